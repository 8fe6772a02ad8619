/* SPDX-License-Identifier: MIT */
/*
 * The multishot receive behind a socket when the handle closes, the runtime stops, the
 * stream ends or fails, and when nobody reads: no buffer is lost, and no error.
 */
#include "tests/armed.h"

/* ---- the handle closes ----------------------------------------------------------------------- */

/* in_cq: bytes have come when it closes, and the shard has not looked. */
static void close_with_waiters(bool some_first, bool refused, const char *in_cq)
{
	struct line line = line_begin();
	struct xyl_task *tasks[4], *closer;

	line.driven.rt->shard->multishot_refused = refused;
	for (int i = 0; i < 4; i++)
		tasks[i] = i % 2 == !some_first
				   ? SOME(&line.driven, .io = line.io)
				   : DRIVE_SPAWN(&line.driven, hand_read, .io = line.io,
						 .buf = xyl_alloc_bytes(16), .len = 16,
						 .whole = i & 2);
	hand_turns(&line.driven, 2);
	closer = DRIVE_SPAWN(&line.driven, hand_close, .io = line.io);
	if (in_cq) {
		raw_send(line.peer, in_cq);
		hand_completion(&line.driven);
	}
	CHECK_EQ(hand_join(&line.driven, closer), 0);
	for (int i = 0; i < 4; i++) {
		bool won = i == 0 && in_cq && (refused || !some_first); /* a read of its own */

		CHECK_EQ(hand_join(&line.driven, tasks[i]),
			 won ? (ssize_t)strlen(in_cq) : -ECANCELED);
	}
	CHECK_EQ(outstanding(&line), 0);
	pool_is_whole(&line);
	close(line.peer);
	drive_end(&line.driven);
}

TEST(a_close_wakes_waiters_of_both_kinds)
{
	close_with_waiters(true, false, NULL);
	close_with_waiters(false, false, NULL);
	close_with_waiters(true, true, NULL);
	close_with_waiters(true, false, "came too late");
	close_with_waiters(false, false, "came too late");
	close_with_waiters(true, true, "came too late");
}

TEST(a_close_gives_unread_buffers_back)
{
	struct line line = line_begin();
	uint64_t before;

	arm(&line);
	for (int i = 0; i < 10; i++) {
		raw_send(line.peer, "unread");
		hand_turns(&line.driven, 2);
	}
	before = adopted(&line);
	HAND_CLOSE(&line.driven, line.io);
	CHECK(adopted(&line) > before);
	CHECK_EQ(outstanding(&line), 0);
	pool_is_whole(&line);
	close(line.peer);
	drive_end(&line.driven);
}

__attribute__((noinline)) static void forget_one(const struct driven *driven)
{
	struct line line = { .driven = *driven };

	line.io = raw_socketpair(&line.peer);
	arm(&line);
	raw_send(line.peer, "unread");
	hand_turns(driven, 2);
	shutdown(line.peer, SHUT_WR); /* which ends the receive: nothing holds the handle */
	hand_turns(driven, 2);
	CHECK_EQ(outstanding(&line), 0);
	close(line.peer);
}

/* Not as long as it is armed: then the kernel holds it. */
TEST(a_forgotten_handle_gives_unread_buffers_back)
{
	struct line line = line_begin();
	enum { FORGOTTEN = 8 };

	for (int i = 0; i < FORGOTTEN; i++)
		forget_one(&line.driven);
	for (int i = 0; i < 5; i++) {
		xyl_collect();
		hand_turns(&line.driven, 2);
	}
	CHECK(drive_stats(&line.driven).handles_dropped >= FORGOTTEN - 4);
	CHECK_EQ(adopted(&line), drive_stats(&line.driven).handles_dropped);
	line_end(&line);
}

/* ---- the runtime stops ----------------------------------------------------------------------- */

static struct got across_the_stop[8];

TEST(lent_bytes_outlive_the_runtime)
{
	struct line line = line_begin(), stored = line;

	for (int i = 0; i < 8; i++) {
		struct got *got = xyl_new(struct got);

		raw_send(line.peer, "outlives");
		SOME_READ(&line.driven, .io = line.io, .got = got);
		across_the_stop[i] = *got;
	}
	SOME(&line.driven, .io = line.io);
	stored.io = raw_socketpair(&stored.peer);
	arm(&stored);
	raw_send(stored.peer, "unread");
	hand_turns(&line.driven, 2);
	CHECK_EQ(xyl_runtime_stop(line.driven.rt, 5 * XYL_SEC), 0);
	census_check_stats(line.driven.rt);
	for (int i = 0; i < 3; i++) {
		struct line other = line_begin();

		xyl_collect();
		for (int j = 0; j < 200; j++) {
			raw_send(other.peer, "other");
			expect(&other, false, "other");
		}
		line_end(&other);
	}
	for (int i = 0; i < 8; i++)
		GOT_TEXT(&across_the_stop[i], "outlives");
	memset(across_the_stop, 0, sizeof(across_the_stop));
	close(stored.peer);
	close(line.peer);
}

/* ---- the end of the stream ------------------------------------------------------------------- */

TEST(each_reader_learns_of_the_end)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		struct line line = line_over(tcp);
		struct xyl_task *tasks[6];

		for (int i = 0; i < 6; i++)
			tasks[i] = i % 2 ? SOME(&line.driven, .io = line.io)
					 : DRIVE_SPAWN(&line.driven, hand_read, .io = line.io,
						       .buf = xyl_alloc_bytes(4), .len = 4);
		hand_turns(&line.driven, 2);
		shutdown(line.peer, SHUT_WR);
		for (int i = 0; i < 6; i++)
			CHECK_EQ(hand_join(&line.driven, tasks[i]), 0);
		for (int i = 0; i < 3; i++)
			CHECK_EQ(SOME_READ(&line.driven, .io = line.io), 0);
		line_end(&line);
	}
}

TEST(the_end_comes_behind_what_is_stored)
{
	struct line line = line_begin();
	char *buf = xyl_alloc_bytes(8);

	arm(&line);
	raw_send(line.peer, "the rest");
	close(line.peer);
	line.peer = -1;
	hand_turns(&line.driven, 3);
	CHECK_EQ(outstanding(&line), 0);
	CHECK_EQ(HAND_READ(&line.driven, .io = line.io, .buf = buf, .len = 4), 4);
	expect(&line, false, "rest");
	CHECK_EQ(SOME_READ(&line.driven, .io = line.io), 0);
	CHECK_EQ(HAND_READ(&line.driven, .io = line.io, .buf = buf, .len = 4), 0);
	line_end(&line);
}

TEST(a_whole_read_is_short_at_the_end)
{
	struct line line = line_begin();
	char *buf = xyl_alloc_bytes(8);
	struct xyl_task *whole;

	arm(&line);
	whole = DRIVE_SPAWN(&line.driven, hand_read, .io = line.io, .buf = buf, .len = 8,
			    .whole = true);
	raw_send(line.peer, "abc");
	hand_turns(&line.driven, 3);
	CHECK(!xyl_is_done(whole));
	shutdown(line.peer, SHUT_WR);
	CHECK_EQ(hand_join(&line.driven, whole), 3);
	CHECK(!memcmp(buf, "abc", 3));
	CHECK_EQ(SOME_READ(&line.driven, .io = line.io), 0);
	line_end(&line);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void reset(struct line *line)
{
	raw_reset(line->peer);
	line->peer = -1;
}

TEST(an_error_is_told_to_one_who_waits)
{
	struct line line = line_over(true);
	struct xyl_task *first = SOME(&line.driven, .io = line.io);
	struct xyl_task *second = SOME(&line.driven, .io = line.io);

	hand_turns(&line.driven, 2);
	reset(&line);
	CHECK_EQ(hand_join(&line.driven, first), -ECONNRESET);
	CHECK_EQ(hand_join(&line.driven, second), 0); /* as recv(2) has it */
	line_end(&line);
}

static void error_is_kept(bool plain, const char *before)
{
	struct line line = line_over(true);
	char *buf = xyl_alloc_bytes(64);

	arm(&line);
	if (*before)
		raw_send(line.peer, before);
	hand_turns(&line.driven, 2);
	reset(&line);
	hand_drained(&line.driven);
	if (*before)
		expect(&line, plain, before);
	if (plain)
		CHECK_EQ(HAND_READ(&line.driven, .io = line.io, .buf = buf, .len = 8), -ECONNRESET);
	else
		CHECK_EQ(SOME_READ(&line.driven, .io = line.io), -ECONNRESET);
	CHECK_EQ(SOME_READ(&line.driven, .io = line.io), 0);
	line_end(&line);
}

TEST(an_error_is_kept_for_the_next_behind_the_bytes)
{
	for (int plain = 0; plain < 2; plain++) {
		error_is_kept(plain, "");
		error_is_kept(plain, "bytes");
	}
}

/* It has a part, or finds one: the error is its, and the part the next one's. */
static void whole_read_fails(bool waits)
{
	struct line line = line_over(true);
	char *buf = xyl_alloc_bytes(8);
	struct xyl_task *whole = NULL;

	arm(&line);
	if (waits)
		whole = DRIVE_SPAWN(&line.driven, hand_read, .io = line.io, .buf = buf, .len = 8,
				    .whole = true);
	raw_send(line.peer, "part");
	hand_turns(&line.driven, 3);
	reset(&line);
	hand_drained(&line.driven);
	if (!waits)
		whole = DRIVE_SPAWN(&line.driven, hand_read, .io = line.io, .buf = buf, .len = 8,
				    .whole = true);
	CHECK_EQ(hand_join(&line.driven, whole), -ECONNRESET);
	expect(&line, false, "part");
	CHECK_EQ(SOME_READ(&line.driven, .io = line.io), 0);
	line_end(&line);
}

TEST(a_whole_read_that_fails_gives_its_part_back)
{
	whole_read_fails(true);
	whole_read_fails(false);
}

/* ---- backpressure ---------------------------------------------------------------------------- */

enum { ROOM = 4064, TAKEN_MAX = 16 + 33 }; /* buffers: kept unread, and what one look brings */

static void numbers_check(const char *bytes, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		CHECK_EQ((unsigned char)bytes[i], (at + i) * 7 % 251);
}

/* Send from where one was until no more goes in. */
static size_t numbers_fill(int fd, size_t at)
{
	unsigned char bytes[1024];
	ssize_t n = 0;

	do {
		at += (size_t)n;
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)((at + i) * 7 % 251);
		n = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n > 0);
	CHECK_EQ(errno, EAGAIN);
	return at;
}

static size_t numbers_flood(const struct line *line, size_t at)
{
	for (int i = 0; i < 50; i++) {
		at = numbers_fill(line->peer, at);
		hand_turns(&line->driven, 2);
	}
	return at;
}

static void numbers_read(const struct line *line, size_t from, size_t to)
{
	struct got *got = xyl_new(struct got);

	for (; from < to; from += (size_t)got->n) {
		SOME_READ(&line->driven, .io = line->io, .got = got);
		CHECK(got->n > 0);
		numbers_check(got->bytes, (size_t)got->n, from);
		SOME_DONE(&line->driven, got->bytes);
	}
	CHECK_EQ(from, to);
}

TEST(a_peer_that_floods_takes_some_of_the_buffers_only)
{
	struct line line = line_begin();
	size_t in_socket, sent;
	int peer;
	struct xyl_io *other = raw_socketpair(&peer);

	in_socket = numbers_fill(line.peer, 0);
	numbers_read(&line, 0, in_socket);
	arm(&line);
	sent = numbers_flood(&line, in_socket);
	CHECK_EQ(outstanding(&line), 0);
	CHECK(sent - in_socket > in_socket); /* it did take some */
	CHECK(sent - 2 * in_socket <= TAKEN_MAX * (size_t)ROOM);
	raw_send(peer, "other");
	some_expect(&line.driven, other, "other");
	CHECK(drive_stats(&line.driven).buffers <= 128);
	numbers_read(&line, in_socket, sent);
	pool_is_whole(&line);
	HAND_CLOSE(&line.driven, other);
	close(peer);
	line_end(&line);
}
