/* SPDX-License-Identifier: MIT */
/*
 * Writing without a copy: the kernel reads the bytes where they lie, for as long as it
 * says, and who wrote them need not know.
 *
 * A peer that does not read keeps the notification away: what fills its window and more
 * stays in our memory.  It reads, and the notification comes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/handle.h"
#include "tests/child.h"
#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"

enum { KIB = 1024, MIB = 1024 * 1024, BIG = 2 * MIB };

struct zc {
	struct xyl_frame frame;
	struct xyl_io *io;
	const char *buf;
	size_t len;
	int64_t bound; /* 0: none */
	ssize_t n;
};

static xyl_step zc(void *frame)
{
	struct zc *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(xyl_write_zc(self->io, self->buf, self->len), self->bound));
	XYL_END(self->n);
}

#define ZC(line, ...) DRIVE_SPAWN(&(line)->driven, zc, .io = (line)->io, __VA_ARGS__)
#define ZC_WRITE(line, ...) hand_join(&(line)->driven, ZC((line), __VA_ARGS__))

/* ---- a connection, and numbered bytes on it ------------------------------------------------ */

struct line {
	struct driven driven;
	struct xyl_io *io;
	int peer;
	size_t heard; /* bytes that the peer has read, and compared */
};

static struct line line_begin(void)
{
	struct line line = { .driven = drive_begin(NULL) };
	int window = 64 * KIB, room = 256 * KIB;

	line.io = raw_tcp(&line.peer);
	CHECK_EQ(setsockopt(xyl_io_fd(line.io), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	CHECK_EQ(setsockopt(line.peer, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
	return line;
}

/* A write of BIG fits in, and is answered at once; the peer's window takes a part of it. */
static struct line line_begin_roomy(void)
{
	struct line line = line_begin();
	int room = 16 * BIG;

	CHECK_EQ(setsockopt(xyl_io_fd(line.io), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)),
		 0);
	return line;
}

static void line_end(struct line *line)
{
	HAND_CLOSE(&line->driven, line->io);
	if (line->peer >= 0)
		close(line->peer);
	hand_drained(&line->driven);
	drive_end(&line->driven);
}

static uint64_t outstanding(const struct line *line)
{
	return drive_stats(&line->driven).ops_outstanding;
}

static char number(size_t at)
{
	return (char)(at * 37 + at / 251 + at / 65521);
}

static char *numbered(char *buf, size_t len, size_t at)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = number(at + i);
	return buf;
}

static char *numbered_new(size_t len, size_t at)
{
	return numbered(xyl_alloc_bytes(len), len, at);
}

/* What is there now, some at a time. */
static void hear_some(struct line *line)
{
	static char bytes[64 * KIB];
	ssize_t n = recv(line->peer, bytes, 1 + test_random() % sizeof(bytes), MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++)
		CHECK(bytes[i] == number(line->heard + (size_t)i));
	line->heard += n > 0 ? (size_t)n : 0;
}

/* Until the peer has had so much. */
static void hear(struct line *line, size_t bytes)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	while (line->heard < bytes) {
		hear_some(line);
		hand_turn(&line->driven);
		CHECK(xyli_clock() < until);
	}
	CHECK_EQ(line->heard, bytes);
}

static ssize_t hear_and_join(struct line *line, const struct xyl_task *task)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	while (!xyl_is_done(task)) {
		hear_some(line);
		hand_turn(&line->driven);
		CHECK(xyli_clock() < until);
	}
	return xyl_result(task);
}

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

/* ---- whose the buffer is, and how long --------------------------------------------------------- */

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

struct in_frame {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
	char buf[MIB];
};

static xyl_step in_frame(void *frame)
{
	struct in_frame *self = frame;

	XYL_BEGIN(self)
	numbered(self->buf, MIB, 0);
	XYL_AWAIT(self->n, xyl_write_zc(self->io, self->buf, MIB));
	XYL_END(self->n);
}

struct calls_in_frame {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_step calls_in_frame(void *frame)
{
	struct calls_in_frame *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(in_frame, .io = self->io));
	XYL_END(self->n);
}

static void churn(void)
{
	for (int i = 0; i < 3; i++) {
		xyl_collect();
		for (int j = 0; j < 3; j++)
			memset(xyl_alloc_bytes(BIG), 0xaa, BIG);
	}
}

/* The initialiser of a frame lies on the stack. */
static struct xyl_task *in_frame_spawn(const struct line *line, bool called)
{
	static struct in_frame init;

	init.io = line->io;
	if (called)
		return DRIVE_SPAWN(&line->driven, calls_in_frame, .io = line->io);
	return xyli_runtime_spawn(line->driven.rt, XYL_HERE, XYLI_FN(in_frame), &init);
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

/* The part that had gone out is sent on, though its task is gone. */
TEST(a_buffer_in_the_frame_of_an_aborted_task_is_sent_as_it_was)
{
	for (int called = 0; called < 2; called++) {
		struct line line = line_begin();
		struct xyl_task *writer = in_frame_spawn(&line, called);

		hand_turns(&line.driven, 10);
		CHECK(!xyl_is_done(writer));
		xyl_abort(writer);
		CHECK_EQ(hand_join(&line.driven, writer), -ECANCELED);
		hand_turns(&line.driven, 3);
		CHECK(line.io->broken);
		churn();
		HAND_CLOSE(&line.driven, line.io);
		while (outstanding(&line)) {
			hear_some(&line);
			hand_turn(&line.driven);
		}
		CHECK(line.heard > 0);
		close(line.peer);
		drive_end(&line.driven);
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

/* ---- order --------------------------------------------------------------------------------------- */

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

/* ---- what cannot be sent so -------------------------------------------------------------------------- */

TEST(a_unix_socket_is_written_as_ever_and_remembers)
{
	struct line line = { .driven = drive_begin(NULL) };
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
	struct line line = { .driven = drive_begin(NULL) };
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
	struct driven driven = drive_begin(NULL);
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

/* ---- aborts ------------------------------------------------------------------------------------------- */

/* Not one more byte goes in. */
static size_t stuff(struct line *line)
{
	size_t all = 0, n;

	do
		all += n = raw_fill(xyl_io_fd(line->io));
	while (n > 0);
	return all;
}

/* raw_fill sends zeros: read and forget them. */
static void unstuff(struct line *line, size_t bytes)
{
	for (size_t n = 0; n < bytes; sched_yield()) {
		n += raw_drain(line->peer);
		hand_turn(&line->driven);
	}
}

static void aborted(const struct line *line, struct xyl_task *task)
{
	xyl_abort(task);
	CHECK_EQ(hand_join(&line->driven, task), -ECANCELED);
}

TEST(a_write_that_is_aborted_before_a_byte_went_out_leaves_no_trace)
{
	struct line line = line_begin();
	size_t stuffed = stuff(&line);

	for (int foreign = 0; foreign < 2; foreign++) {
		char *buf = foreign ? in_static_memory : xyl_alloc(MIB);
		struct xyl_task *first = ZC(&line, .buf = buf, .len = MIB);
		struct xyl_task *queued = ZC(&line, .buf = buf, .len = MIB);

		hand_turns(&line.driven, 3);
		aborted(&line, queued);
		aborted(&line, first);
		hand_drained(&line.driven);
	}
	CHECK_EQ(drive_stats(&line.driven).adopted_results, 0);
	unstuff(&line, stuffed);
	CHECK_EQ(ZC_WRITE(&line, .buf = numbered_new(1000, 0), .len = 1000), 1000);
	hear(&line, 1000);
	line_end(&line);
}

static void partly(bool foreign, int64_t bound)
{
	struct line line = line_begin();
	char *buf = foreign ? malloc(BIG) : xyl_alloc_bytes(BIG);
	struct xyl_task *writer, *queued;

	writer = ZC(&line, .buf = numbered(buf, BIG, 0), .len = BIG, .bound = bound);
	queued = ZC(&line, .buf = "queued", .len = 6);
	hand_turns(&line.driven, 10);
	if (!bound)
		xyl_abort(writer);
	while (!line.io->broken)
		hand_turn(&line.driven);
	if (foreign)
		CHECK_EQ(hear_and_join(&line, writer), bound ? -ETIMEDOUT : -ECANCELED);
	else
		CHECK_EQ(hand_join(&line.driven, writer), bound ? -ETIMEDOUT : -ECANCELED);
	CHECK_EQ(hand_join(&line.driven, queued), -EPIPE);
	CHECK(line.io->broken);
	CHECK_EQ(drive_stats(&line.driven).adopted_results, 1);
	CHECK_EQ(ZC_WRITE(&line, .buf = buf, .len = 10), -EPIPE);
	if (foreign)
		CHECK_EQ(outstanding(&line), 0);
	HAND_CLOSE(&line.driven, line.io);
	while (outstanding(&line)) {
		hear_some(&line);
		hand_turn(&line.driven);
	}
	close(line.peer);
	drive_end(&line.driven);
	if (foreign)
		free(buf);
}

TEST(a_write_that_is_cut_after_a_part_went_out_breaks_the_stream)
{
	partly(false, 0);
	partly(true, 0);
	partly(false, 20 * XYL_MS);
	partly(true, 20 * XYL_MS);
}

TEST(who_waits_for_the_notification_keeps_his_result)
{
	for (int bounded = 0; bounded < 2; bounded++) {
		struct line line = line_begin_roomy();
		char *buf = numbered(malloc(BIG), BIG, 0);
		struct xyl_task *writer = ZC(&line, .buf = buf, .len = BIG,
					     .bound = bounded ? XYL_MS : 0);

		hand_turns(&line.driven, 5);
		CHECK(line.io->out.active == NULL);
		if (!bounded)
			xyl_abort(writer);
		while (bounded && xyli_clock() < writer->wait.shard->now + 3 * XYL_MS)
			sched_yield();
		hand_turns(&line.driven, 5);
		CHECK(!xyl_is_done(writer)); /* neither cuts that short */
		CHECK_EQ(hear_and_join(&line, writer), BIG);
		CHECK_EQ(outstanding(&line), 0);
		free(buf);
		hear(&line, BIG);
		line_end(&line);
	}
}

/* ---- close and stop ------------------------------------------------------------------------------------ */

/* The peer does not read: a close is not its business, and it has all the bytes later. */
TEST(a_close_does_not_wait_for_a_notification)
{
	for (int foreign = 0; foreign < 2; foreign++) {
		struct line line = line_begin_roomy();
		char *buf = foreign ? malloc(BIG) : xyl_alloc_bytes(BIG);
		struct xyl_task *writer = ZC(&line, .buf = numbered(buf, BIG, 0), .len = BIG);

		hand_turns(&line.driven, 10);
		HAND_CLOSE(&line.driven, line.io);
		CHECK_EQ(drive_stats(&line.driven).handles_open, 0);
		CHECK_EQ(outstanding(&line), 1);
		hear(&line, BIG);
		CHECK_EQ(hand_join(&line.driven, writer), BIG);
		hand_drained(&line.driven);
		CHECK_EQ(recv(line.peer, in_static_memory, 1, 0), 0);
		close(line.peer);
		drive_end(&line.driven);
		if (foreign)
			free(buf);
	}
}

TEST(a_close_ends_writes_in_every_other_state)
{
	struct line line = line_begin();
	struct xyl_task *tasks[4];

	for (int i = 0; i < 4; i++)
		tasks[i] = ZC(&line, .len = MIB / 2 * (i ? 1 : 4),
			      .buf = i % 2 ? in_static_memory : xyl_alloc(BIG));
	hand_turns(&line.driven, 5);
	HAND_CLOSE(&line.driven, line.io);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(hand_join(&line.driven, tasks[i]), -ECANCELED);
	while (outstanding(&line)) {
		raw_drain(line.peer);
		hand_turn(&line.driven);
	}
	close(line.peer);
	drive_end(&line.driven);
}

TEST(a_stop_waits_for_the_notification_and_says_if_it_does_not_come)
{
	struct line line = line_begin_roomy();

	CHECK_EQ(ZC_WRITE(&line, .buf = numbered_new(BIG, 0), .len = BIG), BIG);
	ZC(&line, .buf = numbered_new(BIG, BIG), .len = BIG);
	hand_turns(&line.driven, 3);
	CHECK_EQ(xyl_runtime_stop(line.driven.rt, 50 * XYL_MS), -ETIMEDOUT);
	CHECK(drive_stats(&line.driven).leaked_pins >= 1);
	for (int i = 0; i < 1000 && line.heard < BIG; i++)
		hear_some(&line);
	close(line.peer);
	drive_end(&line.driven);
}

/* ---- errors --------------------------------------------------------------------------------------------- */

TEST(a_peer_that_is_gone_is_an_error)
{
	for (int foreign = 0; foreign < 2; foreign++) {
		struct line line = line_begin();
		char *buf = foreign ? in_static_memory : xyl_alloc(MIB);
		ssize_t n;

		raw_reset(line.peer);
		line.peer = -1;
		n = ZC_WRITE(&line, .buf = buf, .len = MIB);
		CHECK(n == -EPIPE || n == -ECONNRESET);
		CHECK_EQ(ZC_WRITE(&line, .buf = buf, .len = MIB), -EPIPE);
		hand_drained(&line.driven);
		line_end(&line);
	}
}

/* A part has gone out; then the connection is reset. */
TEST(a_peer_that_goes_meanwhile_is_an_error)
{
	for (int memory = 0; memory < 3; memory++) {
		struct line line = line_begin();
		char *buf = memory == 1 ? malloc(BIG) : NULL;
		struct xyl_task *writer =
			memory == 2 ? in_frame_spawn(&line, true)
				    : ZC(&line, .len = BIG,
					 .buf = numbered(buf ? buf : xyl_alloc_bytes(BIG), BIG, 0));
		ssize_t n;

		hand_turns(&line.driven, 10);
		raw_reset(line.peer);
		line.peer = -1;
		n = hand_join(&line.driven, writer);
		CHECK(n == -EPIPE || n == -ECONNRESET);
		if (buf)
			CHECK_EQ(outstanding(&line), 0);
		hand_drained(&line.driven);
		line_end(&line);
		free(buf);
	}
}
