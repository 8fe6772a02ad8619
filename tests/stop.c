/* SPDX-License-Identifier: MIT */
/*
 * Stop: nothing is left with the kernel, nor open, nor alive; or it says what is.
 */
#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/hand.h"
#include "tests/raw.h"

enum { READS = 128, READ_SIZE = 64 * 1024, PAGE = 4096 };

/* ---- 128 direct reads in flight ---------------------------------------------------------- */

struct direct {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	int64_t offset;
	ssize_t n;
};

static xyl_step direct(void *frame)
{
	struct direct *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_read_at(self->io, self->buf, READ_SIZE, self->offset));
		if (self->n < 0)
			break;
		CHECK_EQ(self->n, READ_SIZE);
	}
	CHECK_EQ(self->n, -ECANCELED);
	XYL_END(0);
}

struct reads {
	struct folder folder;
	struct xyl_io *io;
	char *bufs[READS];
	char *snapshot;
};

static bool reads_begin(struct reads *reads)
{
	char *bytes = xyl_alloc_bytes(READ_SIZE);
	int fd;

	reads->folder = folder_make();
	memset(bytes, 'f', READ_SIZE);
	fd = raw_direct_file(reads->folder.path, bytes, READ_SIZE);
	if (fd < 0) {
		folder_remove(&reads->folder);
		return false;
	}
	CHECK_EQ(ftruncate(fd, READS * READ_SIZE), 0);
	for (int i = 1; i < READS; i++) {
		int plain = open(reads->folder.path, O_WRONLY | O_CLOEXEC);

		CHECK_EQ(pwrite(plain, bytes, READ_SIZE, (int64_t)i * READ_SIZE), READ_SIZE);
		close(plain);
	}
	CHECK_EQ(fsync(fd), 0);
	reads->io = raw_handle(fd);
	reads->snapshot = xyl_alloc_bytes((size_t)READS * READ_SIZE);
	return true;
}

static void reads_spawn(struct reads *reads, struct xyl_runtime *rt)
{
	for (int i = 0; i < READS; i++) {
		uintptr_t at = (uintptr_t)xyl_alloc_bytes(READ_SIZE + PAGE);

		reads->bufs[i] = (char *)((at + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
		memset(reads->bufs[i], 'u', READ_SIZE);
		CHECK(xyl_runtime_spawn(rt, XYL_HERE, direct, .io = reads->io,
					.buf = reads->bufs[i], .offset = (int64_t)i * READ_SIZE));
	}
}

/* Until some of them are with the kernel: a disk may be faster than two turns. */
static uint64_t reads_launch(struct reads *reads, const struct driven *driven)
{
	do {
		reads_spawn(reads, driven->rt);
		hand_turns(driven, 2);
	} while (drive_stats(driven).ops_outstanding == 0);
	return drive_stats(driven).ops_outstanding;
}

/* What the kernel would write from now on it would write over this. */
static void reads_mark(struct reads *reads)
{
	for (int i = 0; i < READS; i++)
		memset(reads->bufs[i], 'm', READ_SIZE);
}

static void reads_are_unchanged(const struct reads *reads)
{
	for (int i = 0; i < READS; i++)
		CHECK(reads->bufs[i][0] == 'm' &&
		      !memcmp(reads->bufs[i], reads->bufs[i] + 1, READ_SIZE - 1));
}

/* As long as as many reads would have taken, and some more. */
static void reads_would_be_over(const struct reads *reads)
{
	int fd = open(reads->folder.path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	void *page = NULL;

	CHECK_EQ(posix_memalign(&page, PAGE, READ_SIZE), 0);
	for (int i = 0; i < 2 * READS; i++)
		CHECK_EQ(pread(fd, page, READ_SIZE, (int64_t)(i % READS) * READ_SIZE), READ_SIZE);
	free(page);
	close(fd);
}

TEST(after_a_stop_no_byte_of_any_buffer_changes)
{
	struct driven driven = drive_begin(NULL);
	struct reads reads;

	if (!reads_begin(&reads)) {
		drive_end(&driven);
		SKIP("this file system has no O_DIRECT");
	}
	reads_launch(&reads, &driven);
	CHECK_EQ(xyl_runtime_stop(driven.rt, HAND_PATIENCE), 0);
	reads_mark(&reads);
	reads_would_be_over(&reads);
	reads_are_unchanged(&reads);
	folder_remove(&reads.folder);
	census_check(&driven.before, driven.rt);
	CHECK_EQ(drive_stats(&driven).handles_closed_by_stop, 1);
}

TEST(a_started_runtime_stops_as_cleanly)
{
	struct census before = census_take();
	struct xyl_runtime *rt;
	struct xyl_stats stats;
	struct reads reads;

	if (!reads_begin(&reads))
		SKIP("this file system has no O_DIRECT");
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	reads_spawn(&reads, rt);
	do {
		xyl_runtime_stats(rt, &stats);
	} while (stats.ops_submitted < READS);
	CHECK_EQ(xyl_runtime_stop(rt, HAND_PATIENCE), 0);
	reads_mark(&reads);
	reads_would_be_over(&reads);
	reads_are_unchanged(&reads);
	folder_remove(&reads.folder);
	census_check(&before, rt);
}

/* Not a moment is given, though the kernel still reads. */
TEST(a_stop_without_time_says_what_is_left_and_a_later_one_goes_on)
{
	struct driven driven = drive_begin(NULL);
	struct reads reads;
	struct xyl_stats stats;

	if (!reads_begin(&reads)) {
		drive_end(&driven);
		SKIP("this file system has no O_DIRECT");
	}
	CHECK(reads_launch(&reads, &driven) > 0);
	CHECK_EQ(xyl_runtime_stop(driven.rt, 0), -ETIMEDOUT);
	stats = drive_stats(&driven);
	CHECK(stats.leaked_pins > 0);
	CHECK_EQ(stats.leaked_pins, stats.ops_outstanding);
	CHECK_EQ(stats.pinned_bytes, stats.ops_outstanding * READ_SIZE);
	CHECK_EQ(xyl_runtime_stop(driven.rt, HAND_PATIENCE), 0);
	reads_mark(&reads);
	reads_would_be_over(&reads);
	reads_are_unchanged(&reads);
	folder_remove(&reads.folder);
	census_check(&driven.before, driven.rt);
}

/* ---- an operation that is held: a shielded read --------------------------------------------- */

struct shielded {
	struct xyl_frame frame;
	struct xyl_io *io;
	char buf[16];
	ssize_t n;
};

static xyl_step shielded(void *frame)
{
	struct shielded *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_read(self->io, self->buf, sizeof(self->buf)));
	xyl_shield_end();
	XYL_END(self->n);
}

static void held_then_released(struct xyl_runtime *rt, struct xyl_task *task, int peer)
{
	struct xyl_stats stats;

	CHECK_EQ(xyl_runtime_stop(rt, XYL_MS), -ETIMEDOUT);
	xyl_runtime_stats(rt, &stats);
	CHECK_EQ(stats.live, 1);
	CHECK_EQ(stats.ops_outstanding, 1);
	CHECK_EQ(stats.leaked_pins, 1);
	CHECK_EQ(stats.pinned_bytes, 16);
	CHECK_EQ(stats.handles_open, 1);
	CHECK(!xyl_is_done(task));
	raw_send(peer, "released");
	CHECK_EQ(xyl_runtime_stop(rt, HAND_PATIENCE), 0);
	CHECK_EQ(xyl_result(task), 8);
	CHECK(xyl_is_aborted(task));
	xyl_runtime_stats(rt, &stats);
	CHECK_EQ(stats.handles_closed_by_stop, 1);
	CHECK_EQ(xyl_runtime_stop(rt, 0), 0);
}

TEST(a_held_operation_is_counted_and_once_released_all_is_zero)
{
	struct driven driven = drive_begin(NULL);
	int peer;
	struct xyl_task *task = DRIVE_SPAWN(&driven, shielded, .io = raw_socketpair(&peer));

	hand_turn(&driven);
	held_then_released(driven.rt, task, peer);
	close(peer);
	census_check(&driven.before, driven.rt);
}

TEST(a_held_operation_of_a_started_runtime_is_counted_too)
{
	struct census before = census_take();
	struct xyl_runtime *rt;
	struct xyl_stats stats;
	struct xyl_task *task;
	int peer;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	task = xyl_runtime_spawn(rt, XYL_HERE, shielded, .io = raw_socketpair(&peer));
	do {
		xyl_runtime_stats(rt, &stats);
	} while (stats.ops_outstanding < 1);
	held_then_released(rt, task, peer);
	close(peer);
	census_check(&before, rt);
}

/* ---- tasks --------------------------------------------------------------------------------- */

struct stubborn {
	struct xyl_frame frame;
	int ignores;
	ssize_t n;
};

static xyl_step stubborn(void *frame)
{
	struct stubborn *self = frame;

	XYL_BEGIN(self)
	while (self->ignores) {
		XYL_AWAIT(self->n, xyl_sleep(XYL_SEC));
		self->ignores -= self->n == -ECANCELED;
	}
	XYL_END(1);
}

TEST(a_task_that_ignores_its_abort_for_a_while_is_waited_for)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, stubborn, .ignores = 1000);

	hand_turn(&driven);
	drive_end(&driven);
	CHECK_EQ(xyl_result(task), 1);
}

struct deaf {
	struct xyl_frame frame;
	const bool *stop;
	ssize_t n;
};

static xyl_step deaf(void *frame)
{
	struct deaf *self = frame;

	XYL_BEGIN(self)
	while (!*self->stop)
		XYL_AWAIT(self->n, xyl_yield());
	XYL_END(1);
}

TEST(a_task_that_never_ends_makes_the_stop_time_out)
{
	static bool stop;
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, deaf, .stop = &stop);

	hand_turn(&driven);
	CHECK_EQ(xyl_runtime_stop(driven.rt, 10 * XYL_MS), -ETIMEDOUT);
	CHECK_EQ(drive_stats(&driven).live, 1);
	CHECK_EQ(drive_stats(&driven).leaked_pins, 0);
	stop = true;
	drive_end(&driven);
	CHECK_EQ(xyl_result(task), 1);
}

struct late_spawner {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step late_spawner(void *frame)
{
	struct late_spawner *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(1000 * XYL_SEC));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK(!xyl_spawn(stubborn, .ignores = 1));
	CHECK_EQ(xyl_runtime_stop(xyl_runtime_self(), XYL_SEC), -EDEADLK);
	XYL_END(1);
}

TEST(a_runtime_that_stops_takes_no_new_task)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, late_spawner, .n = 0);

	hand_turn(&driven);
	drive_end(&driven);
	CHECK_EQ(xyl_result(task), 1);
	CHECK_EQ(drive_stats(&driven).spawned, 1);
	CHECK(!DRIVE_SPAWN(&driven, stubborn, .ignores = 1));
}

TEST(a_task_that_was_on_its_way_when_the_stop_began_comes_to_an_end)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, stubborn, .ignores = 1);

	drive_end(&driven);
	CHECK_EQ(xyl_result(task), -ECANCELED); /* it never ran */
	CHECK(xyl_is_aborted(task));
}

/* ---- handles -------------------------------------------------------------------------------- */

TEST(handles_left_open_are_closed_and_counted)
{
	enum { HANDLES = 20 };
	struct driven driven = drive_begin(NULL);
	struct xyl_io *ios[HANDLES];
	struct xyl_task *tasks[HANDLES];
	int peers[HANDLES];
	char byte;

	for (int i = 0; i < HANDLES; i++) {
		ios[i] = raw_socketpair(&peers[i]);
		tasks[i] = DRIVE_SPAWN(&driven, hand_read, .io = ios[i], .buf = xyl_alloc_bytes(16),
				       .len = 16);
	}
	hand_turn(&driven);
	CHECK_EQ(drive_stats(&driven).handles_open, HANDLES);
	CHECK_EQ(xyl_runtime_stop(driven.rt, HAND_PATIENCE), 0);
	CHECK_EQ(drive_stats(&driven).handles_closed_by_stop, HANDLES);
	for (int i = 0; i < HANDLES; i++) {
		CHECK_EQ(xyl_result(tasks[i]), -ECANCELED);
		CHECK_EQ(xyl_io_fd(ios[i]), -EBADF);
		CHECK_EQ(read(peers[i], &byte, 1), 0);
		close(peers[i]);
	}
	census_check(&driven.before, driven.rt);
}

TEST(what_a_listener_keeps_in_store_is_closed_with_it)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	struct xyl_io *listener, **got = xyl_alloc(sizeof(*got));
	struct xyl_task *task;
	int client;

	CHECK_EQ(xyl_unix_listen(&listener, folder.path), 0);
	task = DRIVE_SPAWN(&driven, hand_accept, .io = listener, .ret_io = got);
	hand_turn(&driven);
	client = raw_unix_connect(folder.path);
	hand_completion(&driven);
	xyl_abort(task);
	hand_drained(&driven);
	CHECK_EQ(xyl_runtime_stop(driven.rt, HAND_PATIENCE), 0);
	CHECK_EQ(drive_stats(&driven).closed_late, 1);
	close(client);
	folder_remove(&folder);
	census_check(&driven.before, driven.rt);
}

TEST(an_idle_acceptor_armed_for_many_is_stopped)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	struct xyl_io *listener, **got = xyl_alloc(2 * sizeof(*got));
	int client;

	CHECK_EQ(xyl_unix_listen(&listener, folder.path), 0);
	client = raw_unix_connect(folder.path);
	CHECK_EQ(HAND_ACCEPT(&driven, .io = listener, .ret_io = got), 0);
	CHECK_EQ(xyl_runtime_stop(driven.rt, HAND_PATIENCE), 0);
	CHECK_EQ(drive_stats(&driven).handles_closed_by_stop, 2);
	close(client);
	folder_remove(&folder);
	census_check(&driven.before, driven.rt);
}

/* ---- operations without a handle ------------------------------------------------------------- */

TEST(operations_that_no_handle_holds_are_drained)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	struct xyl_task *opens, *polls;
	int fds[2];

	CHECK_EQ(mkfifo(folder.path, 0600), 0);
	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	opens = DRIVE_SPAWN(&driven, open_fifo, .path = folder.path);
	polls = DRIVE_SPAWN(&driven, watch, .fd = fds[0]);
	while (drive_stats(&driven).ops_outstanding < 2)
		hand_turn(&driven);
	CHECK_EQ(xyl_runtime_stop(driven.rt, HAND_PATIENCE), 0);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 0);
	CHECK_EQ(xyl_result(opens), -ECANCELED);
	CHECK_EQ(xyl_result(polls), -ECANCELED);
	close(fds[0]);
	close(fds[1]);
	folder_remove(&folder);
	census_check(&driven.before, driven.rt);
}

/* ---- the doorbell ---------------------------------------------------------------------------- */

struct napper {
	struct xyl_frame frame;
	struct xyl_runtime **ret_rt;
	ssize_t n;
};

static xyl_step napper(void *frame)
{
	struct napper *self = frame;

	XYL_BEGIN(self)
	*self->ret_rt = xyl_runtime_self();
	while (!xyli_op_in_kernel(&xyli_here->bell)) /* it is armed for a sleep that is worth it */
		XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
	XYL_END(0);
}

TEST(after_a_stop_the_kernel_does_not_read_the_doorbell)
{
	struct xyl_runtime *rt = NULL;

	CHECK_EQ(xyl_run(napper, .ret_rt = &rt), 0);
	CHECK(xyli_op_is_free(&rt->shard->bell));
	CHECK_EQ(xyli_table_count(&rt->shard->ops), 0);
}

/* ---- the graveyard --------------------------------------------------------------------------- */

enum { GRAVES = 16 };

struct buried {
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

static xyl_step buried(void *frame)
{
	struct buried *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_read(self->io, buffer_weak(self->ret_weak, PAGE), PAGE));
	xyl_shield_end();
	XYL_END(self->n);
}

__attribute__((noinline)) static void bury(struct xyl_weak **ret_weak, int *ret_peer)
{
	struct xyl_config config = { .ring_entries = 8 };
	struct driven driven = hand_begin(&config);

	DRIVE_SPAWN(&driven, buried, .io = raw_socketpair(ret_peer), .ret_weak = ret_weak);
	hand_turn(&driven);
	CHECK_EQ(xyl_runtime_stop(driven.rt, 0), -ETIMEDOUT);
	CHECK_EQ(drive_stats(&driven).leaked_pins, 1);
}

/* The program forgets its runtimes; the kernel does not. */
static void graveyard(void *arg)
{
	static struct xyl_weak *weaks[GRAVES];
	int peers[GRAVES], living = 0;

	(void)arg;
	for (int i = 0; i < GRAVES; i++)
		bury(&weaks[i], &peers[i]);
	for (int i = 0; i < 3; i++)
		xyl_collect();
	for (int i = 0; i < GRAVES; i++)
		living += xyl_weak_get(weaks[i]) != NULL;
	CHECK_EQ(living, GRAVES);
}

TEST(what_a_stop_past_its_deadline_left_to_the_kernel_stays_for_ever)
{
	child_succeeds(graveyard, NULL);
}

/* ---- nothing at all -------------------------------------------------------------------------- */

TEST(a_runtime_that_never_ran_stops_at_once_and_stays_stopped)
{
	struct driven driven = drive_begin(NULL);

	drive_end(&driven);
	CHECK_EQ(xyl_runtime_stop(driven.rt, 0), 0);
	CHECK(xyl_runtime_drive(driven.rt, 1) < 0);
	CHECK(xyl_runtime_start(driven.rt) < 0);
}
