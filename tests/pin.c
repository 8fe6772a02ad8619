/* SPDX-License-Identifier: MIT */
/*
 * What the kernel may write to is kept, by the operation alone and for as long as it is
 * outstanding: nobody else is given its memory.
 */
#include "tests/hand.h"
#include "tests/raw.h"

enum { OPS = 64, SMALL = 64 };

/* ---- buffers that only their operation names ---------------------------------------- */

struct nameless {
	struct xyl_frame frame;
	struct xyl_io *io;
	struct xyl_weak **ret_weak;
	ssize_t n;
};

static char *buffer_weak(struct xyl_weak **ret_weak, size_t len)
{
	char *buf = xyl_alloc_bytes(len);

	*ret_weak = xyl_weak_new(buf);
	return buf;
}

static xyl_step nameless(void *frame)
{
	struct nameless *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read(self->io, buffer_weak(self->ret_weak, SMALL), SMALL));
	XYL_END(self->n);
}

struct readers {
	struct driven driven;
	struct xyl_io *ios[OPS];
	int peers[OPS];
	struct xyl_task *tasks[OPS];
	struct xyl_weak *weaks[OPS];
};

static struct readers *readers_begin(void)
{
	struct readers *readers = xyl_new(struct readers);

	readers->driven = drive_begin(NULL);
	for (int i = 0; i < OPS; i++) {
		readers->ios[i] = raw_socketpair(&readers->peers[i]);
		readers->tasks[i] = DRIVE_SPAWN(&readers->driven, nameless, .io = readers->ios[i],
						.ret_weak = &readers->weaks[i]);
	}
	while (drive_stats(&readers->driven).ops_outstanding < OPS)
		hand_turn(&readers->driven);
	CHECK_EQ(drive_stats(&readers->driven).pinned_bytes, OPS * SMALL);
	return readers;
}

static size_t readers_living(const struct readers *readers)
{
	size_t living = 0;

	for (int i = 0; i < OPS; i++)
		living += xyl_weak_get(readers->weaks[i]) != NULL;
	return living;
}

static void readers_end(struct readers *readers)
{
	for (int i = 0; i < OPS; i++) {
		HAND_CLOSE(&readers->driven, readers->ios[i]);
		close(readers->peers[i]);
	}
	drive_end(&readers->driven);
}

static void churn(size_t n, size_t size)
{
	for (size_t i = 0; i < n; i++)
		memset(xyl_alloc_bytes(size), 0xaa, size);
}

TEST(an_operation_keeps_the_buffer_that_only_it_names)
{
	struct readers *readers = readers_begin();
	char text[SMALL];

	xyl_collect();
	churn(10000, SMALL);
	xyl_collect();
	CHECK_EQ(readers_living(readers), OPS);
	for (int i = 0; i < OPS; i++) {
		snprintf(text, sizeof(text), "number %d", i);
		raw_send(readers->peers[i], text);
		CHECK_EQ(hand_join(&readers->driven, readers->tasks[i]), strlen(text));
	}
	readers_end(readers);
}

/* Between the abort and the last CQE. */
TEST(an_abandoned_operation_keeps_its_buffer)
{
	struct readers *readers;

	test_needs_the_real_ring("the kernel's hand is held");
	readers = readers_begin();
	for (int i = 0; i < OPS; i++)
		raw_send(readers->peers[i], "late");
	hand_completions(&readers->driven, OPS);
	for (int i = 0; i < OPS; i++)
		xyl_abort(readers->tasks[i]);
	xyl_collect();
	CHECK_EQ(readers_living(readers), OPS);
	hand_quiet(&readers->driven);
	CHECK_EQ(drive_stats(&readers->driven).pinned_bytes, 0);
	CHECK_EQ(drive_stats(&readers->driven).adopted_results, OPS);
	readers_end(readers);
}

/* Conservative collections may miss a few; hardly most. */
TEST(after_the_last_cqe_the_buffer_may_die)
{
	struct readers *readers = readers_begin();

	for (int i = 0; i < OPS; i++)
		xyl_abort(readers->tasks[i]);
	hand_quiet(&readers->driven);
	CHECK_EQ(drive_stats(&readers->driven).pinned_bytes, 0);
	CHECK_EQ(drive_stats(&readers->driven).cancels, OPS);
	for (int i = 0; i < 3; i++) {
		hand_turn(&readers->driven);
		xyl_collect();
	}
	CHECK(readers_living(readers) < OPS / 2);
	readers_end(readers);
}

TEST(after_an_aborted_receive_nothing_is_written_to_memory_used_anew)
{
	enum { VICTIMS = 10000 };
	struct readers *readers = readers_begin();
	char **victims = xyl_alloc(VICTIMS * sizeof(*victims));

	for (int i = 0; i < OPS; i++)
		xyl_abort(readers->tasks[i]);
	hand_quiet(&readers->driven);
	CHECK_EQ(drive_stats(&readers->driven).ops_outstanding, 0);
	CHECK_EQ(drive_stats(&readers->driven).pinned_bytes, 0);
	memset(readers->weaks, 0, sizeof(readers->weaks));
	xyl_collect();
	for (int i = 0; i < VICTIMS; i++)
		victims[i] = memset(xyl_alloc_bytes(SMALL), 0xaa, SMALL);
	xyl_collect();
	for (int i = 0; i < OPS; i++)
		raw_send(readers->peers[i], "stray");
	hand_turns(&readers->driven, 3);
	for (int i = 0; i < VICTIMS; i++)
		for (int k = 0; k < SMALL; k++)
			CHECK_EQ((unsigned char)victims[i][k], 0xaa);
	readers_end(readers);
}

/* ---- direct reads ----------------------------------------------------------------------- */

enum { PAGE = 4096, READ_SIZE = 16 * PAGE, READS = 64 };

struct direct {
	struct xyl_frame frame;
	struct xyl_io *io;
	int64_t offset;
	ssize_t n;
};

/* Nothing but the operation's record will know where it is. */
static char *buffer_aligned(void)
{
	uintptr_t at = (uintptr_t)xyl_alloc_bytes(READ_SIZE + PAGE);

	return (char *)((at + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
}

static xyl_step direct(void *frame)
{
	struct direct *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_at(self->io, buffer_aligned(), READ_SIZE, self->offset));
	XYL_END(self->n);
}

static int direct_file(const struct folder *folder)
{
	static char bytes[READ_SIZE];
	int fd = raw_direct_file(folder->path, bytes, sizeof(bytes));

	if (fd < 0)
		return fd;
	for (int i = 1; i < READS; i++) {
		void *page = NULL;

		CHECK_EQ(posix_memalign(&page, PAGE, READ_SIZE), 0);
		memset(page, i, READ_SIZE);
		CHECK_EQ(pwrite(fd, page, READ_SIZE, i * READ_SIZE), READ_SIZE);
		free(page);
	}
	return fd;
}

/* Abort them all, and give the memory to others as soon as anyone would have it. */
static uint64_t direct_round(const struct driven *driven, struct xyl_io *io)
{
	enum { VICTIMS = 2 * READS };
	struct xyl_task *tasks[READS];
	char **victims = xyl_alloc(VICTIMS * sizeof(*victims));
	uint64_t outstanding;

	for (int i = 0; i < READS; i++)
		tasks[i] = DRIVE_SPAWN(driven, direct, .io = io, .offset = i * READ_SIZE);
	hand_turn(driven);
	for (int i = 0; i < READS; i++)
		xyl_abort(tasks[i]);
	outstanding = drive_stats(driven).ops_outstanding;
	hand_turn(driven);
	xyl_collect();
	for (int i = 0; i < VICTIMS; i++)
		victims[i] = memset(xyl_alloc_bytes(READ_SIZE + PAGE), 0xaa, READ_SIZE + PAGE);
	hand_drained(driven);
	for (int i = 0; i < VICTIMS; i++)
		CHECK((unsigned char)victims[i][0] == 0xaa &&
		      !memcmp(victims[i], victims[i] + 1, READ_SIZE + PAGE - 1));
	for (int i = 0; i < READS; i++)
		CHECK(xyl_is_done(tasks[i]));
	return outstanding;
}

TEST(abandoned_direct_reads_write_to_nobody_elses_memory)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	int fd = direct_file(&folder);
	uint64_t outstanding = 0;
	struct xyl_io *io;

	if (fd >= 0) {
		io = raw_handle(fd);
		for (size_t i = 0; i < test_scaled(20); i++)
			outstanding += direct_round(&driven, io);
		HAND_CLOSE(&driven, io);
	}
	folder_remove(&folder);
	drive_end(&driven);
	if (fd < 0)
		SKIP("this file system has no O_DIRECT");
	CHECK(outstanding > 0);
}

/* ---- handles ------------------------------------------------------------------------------ */

TEST(an_operation_keeps_the_handle_that_only_it_names)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task;
	char *buf = xyl_alloc_bytes(SMALL);
	int peer;

	task = DRIVE_SPAWN(&driven, hand_read, .io = raw_socketpair(&peer), .buf = buf,
			   .len = SMALL);
	for (int i = 0; i < 5; i++) {
		hand_turn(&driven);
		churn(100, 2 * SMALL);
		xyl_collect();
	}
	CHECK_EQ(drive_stats(&driven).handles_dropped, 0);
	raw_send(peer, "still here");
	CHECK_EQ(hand_join(&driven, task), 10);
	close(peer);
	drive_end(&driven);
}
