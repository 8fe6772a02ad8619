/* SPDX-License-Identifier: MIT */
/*
 * Writing without a copy: the kernel reads the bytes where they lie, for as long as it
 * says, and who wrote them need not know.
 */
#include <sys/resource.h>

#include "tests/child.h"
#include "tests/zero_copy.h"

/* ---- bytes arrive -------------------------------------------------------------------------- */

enum memory { COLLECTED, STATIC, MALLOC, MEMORIES };

static char in_static_memory[4 * MIB];

static void all_arrive(enum memory memory, size_t len)
{
	struct line line = line_begin();
	int small = len > MIB ? 128 * KIB : 16 * KIB;
	char *buf = memory == COLLECTED ? xyl_alloc_bytes(len)
		    : memory == STATIC	? in_static_memory
					: malloc(len);

	CHECK_EQ(setsockopt(xyl_io_fd(line.io), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	for (int i = 0; i < 2; i++) {
		size_t at = (size_t)i * len;

		CHECK_EQ(hear_and_join(&line, ZC(&line, .buf = numbered(buf, len, at), .len = len)),
			 (ssize_t)len);
		if (memory != COLLECTED)
			CHECK_EQ(outstanding(&line), 0); /* the kernel has let go */
		hear(&line, at + len);
		hand_drained(&line.driven);
	}
	CHECK(!line.io->copies);
	line_end(&line);
	if (memory == MALLOC)
		free(buf);
}

TEST(bytes_arrive_from_memory_of_every_kind)
{
	static const size_t lens[] = { 1, 2, 4095, 4096, 60000, 500001, 3 * MIB };

	for (int memory = 0; memory < MEMORIES; memory++)
		for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++)
			all_arrive((enum memory)memory, lens[i]);
}

TEST(a_write_of_nothing_gives_0)
{
	struct line line = line_begin();

	CHECK_EQ(ZC_WRITE(&line, .buf = xyl_alloc(1), .len = 0), 0);
	CHECK_EQ(ZC_WRITE(&line, .buf = in_static_memory, .len = 0), 0);
	line_end(&line);
}

/* ---- whose the buffer is, and how long ------------------------------------------------------- */

TEST(who_gives_collected_memory_away_does_not_wait_for_the_peer)
{
	struct line line = line_begin_roomy();
	char *buf = numbered_new(BIG, 0);

	CHECK_EQ(ZC_WRITE(&line, .buf = buf, .len = BIG), BIG);
	CHECK_EQ(outstanding(&line), 1);
	CHECK_EQ(drive_stats(&line.driven).pinned_bytes, BIG);
	hear(&line, BIG);
	hand_drained(&line.driven);
	CHECK_EQ(drive_stats(&line.driven).pinned_bytes, 0);
	line_end(&line);
}

TEST(who_lends_other_memory_waits_until_the_kernel_has_let_go)
{
	struct line line = line_begin_roomy();
	char *buf = numbered(malloc(BIG), BIG, 0);
	struct xyl_task *writer = ZC(&line, .buf = buf, .len = BIG);

	hand_turns(&line.driven, 100);
	CHECK(!xyl_is_done(writer));
	CHECK(line.io->out.active == NULL); /* the kernel has answered, and others may write */
	CHECK_EQ(outstanding(&line), 1);
	CHECK_EQ(hear_and_join(&line, writer), BIG);
	CHECK_EQ(outstanding(&line), 0);
	memset(buf, 0, BIG);
	free(buf);
	hear(&line, BIG);
	line_end(&line);
}

TEST(a_buffer_in_the_frame_of_a_task_that_has_ended_is_sent_as_it_was)
{
	for (int called = 0; called < 2; called++) {
		struct line line = line_begin_roomy();

		CHECK_EQ(hand_join(&line.driven, in_frame_spawn(&line, called)), MIB);
		CHECK_EQ(outstanding(&line), 1);
		churn();
		hear(&line, MIB);
		line_end(&line);
	}
}

__attribute__((noinline)) static struct xyl_weak *give_away(const struct line *line)
{
	char *buf = numbered_new(BIG, 0);
	struct xyl_weak *weak = xyl_weak_new(buf);

	CHECK_EQ(ZC_WRITE(line, .buf = buf, .len = BIG), BIG);
	return weak;
}

TEST(a_buffer_that_nobody_else_names_lives_until_the_notification)
{
	struct line line = line_begin_roomy();
	struct xyl_weak *weak = give_away(&line);

	churn();
	CHECK(xyl_weak_get(weak) != NULL);
	hear(&line, BIG);
	line_end(&line);
}

/* ---- order ----------------------------------------------------------------------------------- */

TEST(writes_go_out_in_order_while_notifications_are_outstanding)
{
	enum { WRITES = 40 };
	struct line line = line_begin_roomy();
	struct xyl_task *tasks[WRITES];
	size_t at = 0, missing = 0;

	for (int i = 0; i < WRITES; i++) {
		size_t len = 1 + test_random() % (BIG / WRITES);
		char *buf = numbered_new(len, at);

		tasks[i] = i % 3 == 2 ? DRIVE_SPAWN(&line.driven, hand_write, .io = line.io,
						    .buf = buf, .len = len, .whole = true)
				      : ZC(&line, .buf = buf, .len = len);
		at += len;
	}
	for (int i = 0; i < WRITES; i++)
		CHECK(hand_join(&line.driven, tasks[i]) > 0); /* the peer has not read a byte */
	missing = outstanding(&line);
	CHECK(missing > 1);
	hear(&line, at);
	line_end(&line);
}

/* ---- what cannot be sent so ------------------------------------------------------------------ */

TEST(a_unix_socket_is_written_as_ever_and_remembers)
{
	struct line line = { .driven = hand_begin(NULL) };
	uint64_t before;

	line.io = raw_socketpair(&line.peer);
	CHECK_EQ(ZC_WRITE(&line, .buf = numbered_new(100, 0), .len = 100), 100);
	CHECK(line.io->copies);
	before = drive_stats(&line.driven).ops_submitted;
	CHECK_EQ(ZC_WRITE(&line, .buf = numbered_new(100, 100), .len = 100), 100);
	CHECK_EQ(drive_stats(&line.driven).ops_submitted, before + 1);
	CHECK_EQ(ZC_WRITE(&line, .buf = numbered(in_static_memory, 100, 200), .len = 100), 100);
	hear(&line, 300);
	line_end(&line);
}

/* Those who queued when the first was refused, too. */
TEST(several_writers_learn_that_a_socket_cannot)
{
	struct line line = { .driven = hand_begin(NULL) };
	struct xyl_task *tasks[4];

	line.io = raw_socketpair(&line.peer);
	for (size_t i = 0; i < 4; i++)
		tasks[i] = ZC(&line, .buf = numbered_new(100, 100 * i), .len = 100);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(hand_join(&line.driven, tasks[i]), 100);
	hear(&line, 400);
	line_end(&line);
}

TEST(pipes_and_files_are_written_as_ever)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	int reader, fd = open(folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct line line = { driven, raw_pipe_writer(&reader), 0, 0 };
	char bytes[8] = "";

	CHECK_EQ(ZC_WRITE(&line, .buf = "in a pipe", .len = 8), 8);
	CHECK_EQ(read(reader, bytes, 8), 8);
	CHECK(!memcmp(bytes, "in a pip", 8));
	close(reader);
	CHECK_EQ(ZC_WRITE(&line, .buf = "in a pipe", .len = 8), -EPIPE);
	HAND_CLOSE(&driven, line.io);
	line.io = raw_handle(fd);
	CHECK_EQ(ZC_WRITE(&line, .buf = "in a file", .len = 9), 9);
	CHECK_EQ(pread(fd, bytes, 8, 0), 8);
	CHECK(!memcmp(bytes, "in a fil", 8));
	HAND_CLOSE(&driven, line.io);
	CHECK_EQ(ZC_WRITE(&line, .buf = "closed", .len = 6), -EBADF);
	folder_remove(&folder);
	drive_end(&driven);
}

/* The pages count against a limit, for whoever has no CAP_IPC_LOCK. */
static void write_past_the_limit(void *arg)
{
	const struct rlimit limit = { MIB / 2, MIB / 2 };
	struct line line;

	(void)arg;
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	CHECK_EQ(setresuid(65534, 65534, 65534), 0);
	line = line_begin();
	CHECK_EQ(hear_and_join(&line, ZC(&line, .buf = numbered_new(BIG, 0), .len = BIG)), BIG);
	hear(&line, BIG);
	CHECK(!line.io->copies);
	CHECK_EQ(hear_and_join(&line, ZC(&line, .buf = numbered_new(BIG, BIG), .len = 4096)), 4096);
	hear(&line, BIG + 4096);
	line_end(&line);
}

TEST(what_is_past_the_limit_for_locked_memory_is_written_as_ever)
{
	if (geteuid() != 0)
		SKIP("only root can become nobody");
	child_succeeds(write_past_the_limit, NULL);
}
