/* SPDX-License-Identifier: MIT */
/* A write of which a part had gone out when it was cut breaks its stream. */
#include "tests/hand.h"
#include "tests/raw.h"

enum { ROOM = 256 };

static uint64_t adopted(const struct driven *driven)
{
	return drive_stats(driven).adopted_results;
}

enum { LARGE = 1 << 20 };

static void expect_broken(const struct driven *driven, struct xyl_io *io, int peer)
{
	CHECK_EQ(HAND_WRITE(driven, .io = io, .buf = "x", .len = 1), -EPIPE);
	CHECK_EQ(HAND_WRITE(driven, .io = io, .buf = "x", .len = 1, .whole = true), -EPIPE);
	raw_drain(peer);
	CHECK_EQ(HAND_WRITE(driven, .io = io, .buf = "x", .len = 1), -EPIPE);
	CHECK_EQ(raw_drain(peer), 0);
}

/* A part is out; one more writer queues behind.  After so many turns it is cut. */
static void write_is_cut(struct xyl_io *(*open)(int *ret_peer), const char *buf, unsigned turns)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = open(&peer);
	struct xyl_task *writer, *behind;

	writer = DRIVE_SPAWN(&driven, hand_write, .io = io, .buf = buf, .len = LARGE,
			     .whole = true);
	behind = DRIVE_SPAWN(&driven, hand_write, .io = io, .buf = "behind", .len = 6);
	hand_turns(&driven, turns);
	xyl_abort(writer);
	CHECK_EQ(hand_join(&driven, writer), -ECANCELED);
	CHECK_EQ(hand_join(&driven, behind), -EPIPE);
	CHECK_EQ(adopted(&driven), 1);
	expect_broken(&driven, io, peer);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

/* After the first turn, what is left of a write to a pipe is on the backlog. */
static void writes_are_cut(struct xyl_io *(*open)(int *ret_peer))
{
	static char foreign[LARGE];

	for (unsigned turns = 1; turns <= 3; turns++) {
		write_is_cut(open, xyl_alloc(LARGE), turns);
		write_is_cut(open, foreign, turns);
	}
}

TEST(half_a_write_breaks_a_pipe)
{
	writes_are_cut(raw_pipe_writer);
}

TEST(half_a_write_breaks_a_socket)
{
	writes_are_cut(raw_socketpair);
}

TEST(half_a_write_that_was_reaped_late_breaks_the_stream)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_pipe_writer(&peer);
	struct xyl_task *writer;
	char bytes[4096];

	raw_fill(xyl_io_fd(io));
	writer = DRIVE_SPAWN(&driven, hand_write, .io = io, .buf = xyl_alloc(LARGE), .len = LARGE);
	hand_turn(&driven);
	CHECK_EQ(read(peer, bytes, sizeof(bytes)), sizeof(bytes));
	hand_completion(&driven);
	xyl_abort(writer);
	CHECK_EQ(hand_join(&driven, writer), -ECANCELED);
	hand_drained(&driven);
	CHECK_EQ(adopted(&driven), 1);
	expect_broken(&driven, io, peer);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(a_write_of_which_nothing_or_all_went_out_breaks_nothing)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	struct xyl_task *writer;

	for (int all = 0; all <= 1; all++) {
		raw_fill(xyl_io_fd(io));
		writer = DRIVE_SPAWN(&driven, hand_write, .io = io, .buf = xyl_strdup("text"),
				     .len = 4);
		hand_turn(&driven);
		if (all) {
			raw_drain(peer);
			hand_completion(&driven);
		}
		xyl_abort(writer);
		CHECK_EQ(hand_join(&driven, writer), -ECANCELED);
		hand_drained(&driven);
		CHECK_EQ(raw_drain(peer) % 4096, all ? 4 : 0);
		CHECK_EQ(HAND_WRITE(&driven, .io = io, .buf = "x", .len = 1), 1);
		CHECK_EQ(raw_drain(peer), 1);
	}
	CHECK_EQ(adopted(&driven), 0);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(a_bound_that_cuts_a_write_in_two_breaks_the_stream)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	raw_drain(peer);
	CHECK_EQ(HAND_WRITE(&driven, .io = io, .buf = xyl_alloc(LARGE), .len = LARGE, .whole = true,
			    .bound = XYL_MS),
		 -ETIMEDOUT);
	CHECK_EQ(adopted(&driven), 1);
	expect_broken(&driven, io, peer);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}
