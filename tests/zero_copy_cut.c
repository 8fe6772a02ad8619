/* SPDX-License-Identifier: MIT */
/* Writes without a copy that are cut: by aborts, bounds, closes, stops and peers that go. */
#include "tests/zero_copy.h"

static char in_static_memory[MIB];

/* ---- the kernel takes a part -------------------------------------------------------------- */

/* It takes all of a write unless it is interrupted: so it is told of 1000 bytes only, when
 * the write's turn has come and it is not published yet. */
static struct xyl_task *begin_short(const struct line *line, const char *buf)
{
	struct xyl_task *first = ZC(line, .buf = numbered_new(10, 0), .len = 10);
	struct xyl_task *second = ZC(line, .buf = buf, .len = MIB);
	struct xyli_stream_op *op;

	do {
		hand_turn(&line->driven);
		op = line->io->out.active;
	} while (!op || op->buf != buf || op->op.life.state != XYLI_OP_QUEUED);
	op->op.len = op->op.buf_bytes = 1000;
	CHECK_EQ(hand_join(&line->driven, first), 10);
	return second;
}

TEST(what_the_kernel_has_left_of_a_write_is_sent_too)
{
	for (int foreign = 0; foreign < 2; foreign++) {
		struct line line = line_begin_roomy();
		char *buf = foreign ? in_static_memory : xyl_alloc_bytes(MIB);
		struct xyl_task *writer = begin_short(&line, numbered(buf, MIB, 10));
		struct xyl_task *next = ZC(&line, .buf = numbered_new(100, MIB + 10), .len = 100);

		CHECK_EQ(hear_and_join(&line, writer), MIB);
		if (foreign)
			CHECK_EQ(drive_stats(&line.driven).pinned_bytes, 0);
		hear_and_join(&line, next);
		hear(&line, MIB + 110);
		line_end(&line);
	}
}

/* Before the rest of foreign memory is sent, the kernel has let go of the part. */
TEST(a_write_that_is_cut_between_two_parts_breaks_the_stream)
{
	for (int closed = 0; closed < 2; closed++) {
		struct line line = line_begin_roomy();
		struct xyl_task *writer, *closer = NULL;

		CHECK_EQ(ZC_WRITE(&line, .buf = xyl_alloc(BIG), .len = BIG), BIG);
		writer = begin_short(&line, numbered(in_static_memory, MIB, 10));
		hand_turns(&line.driven, 5);
		CHECK(line.io->out.active && line.io->out.active->paused);
		if (closed)
			closer = DRIVE_SPAWN(&line.driven, hand_close, .io = line.io);
		else
			xyl_abort(writer);
		hand_turns(&line.driven, 5);
		CHECK(!xyl_is_done(writer));
		for (; !xyl_is_done(writer); hand_turn(&line.driven))
			raw_drain(line.peer);
		CHECK_EQ(xyl_result(writer), -ECANCELED);
		CHECK(line.io->broken);
		if (closer)
			CHECK_EQ(hand_join(&line.driven, closer), 0);
		else
			HAND_CLOSE(&line.driven, line.io);
		close(line.peer);
		hand_drained(&line.driven);
		drive_end(&line.driven);
	}
}

/* ---- aborts ---------------------------------------------------------------------------------- */

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

/* False: a byte did go out, for the peer's kernel had found some more room. */
static bool nothing_went_out(bool foreign)
{
	struct line line = line_begin();
	size_t stuffed = stuff(&line);
	char *buf = foreign ? in_static_memory : xyl_alloc(MIB);
	struct xyl_task *first = ZC(&line, .buf = buf, .len = MIB);
	struct xyl_task *queued = ZC(&line, .buf = buf, .len = MIB);

	hand_turns(&line.driven, 3);
	aborted(&line, queued);
	xyl_abort(first);
	for (; !xyl_is_done(first) || outstanding(&line); hand_turn(&line.driven))
		if (line.io->broken)
			raw_drain(line.peer);
	CHECK_EQ(xyl_result(first), -ECANCELED);
	if (!line.io->broken) {
		CHECK_EQ(drive_stats(&line.driven).adopted_results, 0);
		unstuff(&line, stuffed);
		CHECK_EQ(ZC_WRITE(&line, .buf = numbered_new(1000, 0), .len = 1000), 1000);
		hear(&line, 1000);
	}
	line_end(&line);
	return !line.io->broken;
}

TEST(a_write_that_is_aborted_before_a_byte_went_out_leaves_no_trace)
{
	for (int foreign = 0; foreign < 2; foreign++)
		while (!nothing_went_out(foreign))
			;
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
	if (bound && !foreign)
		CHECK_EQ(hand_join(&line.driven, writer), -ETIMEDOUT);
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

/* ---- close and stop -------------------------------------------------------------------------- */

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

/* ---- errors ---------------------------------------------------------------------------------- */

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
