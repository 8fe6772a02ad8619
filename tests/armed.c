/* SPDX-License-Identifier: MIT */
/*
 * The multishot receive behind a socket, in each state in which its readers may leave: no
 * byte is lost, and nothing is armed in vain.
 */
#include "tests/armed.h"

/* ---- a reader is aborted ------------------------------------------------------------------- */

static void aborted_behind_a_plain_read(bool plain)
{
	struct line line = line_begin();
	char *buf = xyl_alloc_bytes(8);
	struct xyl_task *first, *second;

	first = DRIVE_SPAWN(&line.driven, hand_read, .io = line.io, .buf = buf, .len = 5);
	second = SOME(&line.driven, .io = line.io);
	hand_turn(&line.driven);
	CHECK(!xyli_receiver_is_armed(line.io));
	aborted(&line, second);
	raw_send(line.peer, "firstsecond");
	CHECK_EQ(hand_join(&line.driven, first), 5);
	expect(&line, plain, "second");
	CHECK_EQ(adopted(&line), 0);
	line_end(&line);
}

static void aborted_while_it_is_armed(bool plain)
{
	struct line line = line_begin();
	struct xyl_task *reader = SOME(&line.driven, .io = line.io);
	uint64_t submitted;

	hand_turns(&line.driven, 2);
	CHECK(xyli_receiver_is_armed(line.io));
	CHECK_EQ(drive_stats(&line.driven).pinned_bytes, 0); /* who waits holds no buffer */
	aborted(&line, reader);
	hand_drained(&line.driven);
	submitted = drive_stats(&line.driven).ops_submitted;
	raw_send(line.peer, "late");
	hand_turns(&line.driven, 5);
	CHECK_EQ(drive_stats(&line.driven).ops_submitted, submitted);
	expect(&line, plain, "late");
	CHECK_EQ(adopted(&line), 0);
	line_end(&line);
}

static void aborted_when_bytes_have_come(bool plain)
{
	struct line line = line_begin();
	struct xyl_task *reader = SOME(&line.driven, .io = line.io);

	hand_turns(&line.driven, 2);
	raw_send(line.peer, "for nobody");
	hand_completion(&line.driven);
	aborted(&line, reader);
	hand_drained(&line.driven);
	CHECK_EQ(adopted(&line), 1);
	CHECK_EQ(drive_stats(&line.driven).buffers_lent, 0);
	expect(&line, plain, "for nobody");
	pool_is_whole(&line);
	line_end(&line);
}

static void aborted_when_bytes_are_stored(bool plain)
{
	struct line line = line_begin();
	struct xyl_task *reader;

	arm(&line);
	raw_send(line.peer, "stored");
	hand_turns(&line.driven, 2);
	reader = SOME(&line.driven, .io = line.io);
	aborted(&line, reader); /* before it first ran */
	expect(&line, plain, "stored");
	line_end(&line);
}

static void aborted_with_a_buffer_of_its_own(bool plain)
{
	struct line line = line_begin();
	struct xyl_task *reader;

	line.driven.rt->shard->multishot_refused = true;
	reader = SOME(&line.driven, .io = line.io);
	hand_turn(&line.driven);
	CHECK(drive_stats(&line.driven).pinned_bytes > 0);
	raw_send(line.peer, "private");
	hand_completion(&line.driven);
	aborted(&line, reader);
	hand_drained(&line.driven);
	CHECK_EQ(adopted(&line), 1);
	expect(&line, plain, "private");
	line_end(&line);
}

TEST(bytes_for_an_aborted_reader_go_to_the_next_of_either_kind)
{
	for (int plain = 0; plain < 2; plain++) {
		aborted_behind_a_plain_read(plain);
		aborted_while_it_is_armed(plain);
		aborted_when_bytes_have_come(plain);
		aborted_when_bytes_are_stored(plain);
		aborted_with_a_buffer_of_its_own(plain);
	}
}

/* The receive stands for all who wait: the abort of one is no matter. */
TEST(a_receive_stays_armed_for_those_who_still_wait)
{
	struct line line = line_begin();
	struct got *got = xyl_new(struct got);
	struct xyl_task *first = SOME(&line.driven, .io = line.io);
	struct xyl_task *second = SOME(&line.driven, .io = line.io, .got = got);

	hand_turns(&line.driven, 2);
	aborted(&line, first);
	CHECK_EQ(drive_stats(&line.driven).cancels, 0);
	raw_send(line.peer, "second");
	CHECK_EQ(hand_join(&line.driven, second), 6);
	GOT_TEXT(got, "second");
	CHECK_EQ(adopted(&line), 0);
	line_end(&line);
}

TEST(a_result_that_has_arrived_survives_the_abort)
{
	struct line line = line_begin();
	struct got *got = xyl_new(struct got);
	struct xyl_task *reader = SOME(&line.driven, .io = line.io, .got = got);

	hand_turns(&line.driven, 2);
	raw_send(line.peer, "mine");
	hand_turn(&line.driven);
	xyl_abort(reader);
	hand_join(&line.driven, reader);
	GOT_TEXT(got, "mine");
	line_end(&line);
}

/* The peer has said its last word: the receive for the second reader is not yet published. */
TEST(a_receive_on_the_backlog_never_reaches_the_kernel)
{
	struct line line = line_begin();
	struct xyl_task *first = SOME(&line.driven, .io = line.io);
	struct xyl_task *second = SOME(&line.driven, .io = line.io);
	uint64_t submitted;

	hand_turns(&line.driven, 2);
	shutdown(line.peer, SHUT_WR);
	hand_completion(&line.driven);
	submitted = drive_stats(&line.driven).ops_submitted;
	hand_turn(&line.driven);
	CHECK(xyli_receiver_is_armed(line.io));
	xyl_abort(second);
	CHECK_EQ(hand_join(&line.driven, second), -ECANCELED);
	CHECK_EQ(hand_join(&line.driven, first), 0);
	CHECK(!xyli_receiver_is_armed(line.io));
	CHECK_EQ(drive_stats(&line.driven).ops_submitted, submitted);
	CHECK_EQ(SOME_READ(&line.driven, .io = line.io), 0);
	line_end(&line);
}

/* Its cancel is on its way: whoever comes now waits for what is left to come. */
TEST(a_reader_may_come_while_the_receive_is_being_cancelled)
{
	struct line line = line_begin();
	struct got *got = xyl_new(struct got);
	struct xyl_task *reader = SOME(&line.driven, .io = line.io), *next;

	hand_turns(&line.driven, 2);
	raw_send(line.peer, "first");
	hand_completion(&line.driven);
	xyl_abort(reader);
	next = SOME(&line.driven, .io = line.io, .got = got);
	hand_join(&line.driven, next);
	GOT_TEXT(got, "first");
	expect(&line, false, (raw_send(line.peer, "second"), "second"));
	line_end(&line);
}

/* ---- a bound passes -------------------------------------------------------------------------- */

TEST(a_bound_leaves_the_receive_armed_and_loses_nothing)
{
	for (int plain = 0; plain < 2; plain++) {
		struct line line = line_begin();

		arm(&line);
		CHECK_EQ(drive_stats(&line.driven).cancels, 0);
		raw_send(line.peer, "stored");
		hand_turns(&line.driven, 2);
		CHECK_EQ(outstanding(&line), 1);
		expect(&line, plain, "stored");
		CHECK_EQ(adopted(&line), 0);
		line_end(&line);
	}
}

TEST(what_is_ready_now_is_had_within_no_time)
{
	struct line line = line_begin();

	CHECK_EQ(SOME_READ(&line.driven, .io = line.io, .bound = -1), -ETIMEDOUT);
	raw_send(line.peer, "ready");
	CHECK_EQ(SOME_READ(&line.driven, .io = line.io, .bound = -1), 5);
	CHECK_EQ(SOME_READ(&line.driven, .io = line.io, .bound = -1), -ETIMEDOUT);
	line_end(&line);
}

/* ---- looking at it --------------------------------------------------------------------------- */

TEST(a_dump_names_what_a_reader_waits_for)
{
	struct line line = line_begin();
	struct xyl_task *reader = SOME(&line.driven, .io = line.io);
	char text[1024] = "";
	int fds[2];

	hand_turns(&line.driven, 2);
	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(xyl_dump_tasks(fds[1]), 1);
	CHECK(read(fds[0], text, sizeof(text) - 1) > 0);
	CHECK(strstr(text, "read_some") != NULL);
	close(fds[0]);
	close(fds[1]);
	aborted(&line, reader);
	line_end(&line);
}
