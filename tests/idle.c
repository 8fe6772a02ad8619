/* SPDX-License-Identifier: MIT */
/* Connections on which nothing happens hold no buffers, and reading makes no garbage. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gc/check.h"
#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"
#include "xylem/xylem.h"

#define CONNECTIONS 10000
#define SPARE_DESCRIPTORS 64
#define FIRST_BUFFERS 64
#define EACH_BYTES 1024

/* ---- a great many that wait ------------------------------------------------------------ */

struct idler {
	struct xyl_frame frame;
	struct xyl_io *io;
	char expected;
	char *bytes;
	ssize_t n, closed;
};

static xyl_step idler(void *frame)
{
	struct idler *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_some(self->io, &self->bytes));
	if (self->n > 0) {
		CHECK_EQ(*self->bytes, self->expected);
		xyl_read_done(self->bytes);
	}
	XYL_AWAIT(self->closed, xyl_close(self->io));
	XYL_END(self->n);
}

struct crowd {
	size_t count;
	struct xyl_task **tasks;
	int *peers;
};

/* As many of those wanted as there can be descriptors for. */
static size_t connections_possible(size_t wanted)
{
	struct rlimit limit;
	size_t possible;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	possible = limit.rlim_max > SPARE_DESCRIPTORS
			   ? (size_t)(limit.rlim_max - SPARE_DESCRIPTORS) / 2
			   : 0;
	return possible < wanted ? possible : wanted;
}

static char expected_of(size_t i)
{
	return (char)('a' + i / 100 % 26);
}

static void turn_until_outstanding(const struct driven *driven, size_t count)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	while (drive_stats(driven).ops_outstanding != count) {
		hand_turn(driven);
		CHECK(xyli_clock() < until);
	}
}

/* Each stands in its receive. */
static void crowd_park(const struct driven *driven, struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->count; i++) {
		struct xyl_io *io = raw_socketpair(&crowd->peers[i]);

		crowd->tasks[i] = DRIVE_SPAWN(driven, idler, .io = io, .expected = expected_of(i));
		CHECK(crowd->tasks[i] != NULL);
	}
	turn_until_outstanding(driven, crowd->count);
}

static uint64_t live_bytes(void)
{
	struct xyl_gc_stats stats;

	xyl_collect();
	xyl_gc_stats(&stats);
	return stats.live_bytes;
}

/* A byte to each hundredth comes to him, and to nobody else. */
static void hundredth_served(const struct driven *driven, const struct crowd *crowd)
{
	size_t served = 0;

	for (size_t i = 0; i < crowd->count; i += 100) {
		char byte = expected_of(i);

		CHECK_EQ(send(crowd->peers[i], &byte, 1, 0), 1);
		served++;
	}
	turn_until_outstanding(driven, crowd->count - served);
	for (size_t i = 0; i < crowd->count; i += 100)
		CHECK_EQ(hand_join(driven, crowd->tasks[i]), 1);
	CHECK_EQ(drive_stats(driven).live, crowd->count - served);
}

static void crowd_abort(const struct driven *driven, const struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->count; i++)
		xyl_abort(crowd->tasks[i]);
	hand_quiet(driven);
	for (size_t i = 0; i < crowd->count; i++) {
		CHECK_EQ(xyl_result(crowd->tasks[i]), i % 100 == 0 ? 1 : -ECANCELED);
		close(crowd->peers[i]);
	}
}

TEST(ten_thousand_idle_connections_hold_no_buffers)
{
	size_t wanted = test_scaled(CONNECTIONS);
	struct crowd crowd = { .count = connections_possible(wanted) };
	struct driven driven;
	uint64_t before;

	if (crowd.count < wanted / 2)
		SKIP("not so many descriptors");
	crowd.tasks = xyl_alloc(crowd.count * sizeof(struct xyl_task *));
	crowd.peers = xyl_alloc_bytes(crowd.count * sizeof(int));
	driven = drive_begin(NULL);
	before = live_bytes();
	crowd_park(&driven, &crowd);
	CHECK(drive_stats(&driven).buffers <= FIRST_BUFFERS);
	CHECK_EQ(drive_stats(&driven).buffers_lent, 0);
	if (!xyli_check_on() && !driven.rt->shard->multishot_refused)
		CHECK(live_bytes() - before < crowd.count * EACH_BYTES);
	hundredth_served(&driven, &crowd);
	CHECK_EQ(drive_stats(&driven).buffers_lent, 0);
	crowd_abort(&driven, &crowd);
	drive_end(&driven);
}

/* ---- one that is busy ------------------------------------------------------------------ */

struct busy {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *bytes;
	ssize_t n;
};

static xyl_step busy(void *frame)
{
	struct busy *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_read_some(self->io, &self->bytes));
		if (self->n <= 0)
			break;
		xyl_read_done(self->bytes);
	}
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->n);
}

static uint64_t allocated_bytes(void)
{
	struct xyl_gc_stats stats;

	xyl_gc_stats(&stats);
	return stats.allocated_bytes;
}

/* He waits for each message: one whose turn comes at once would show nothing. */
static void messages_come(const struct driven *driven, int peer, size_t count)
{
	uint64_t resumed;

	for (size_t i = 0; i < count; i++) {
		resumed = drive_stats(driven).resumed;
		raw_send(peer, "message");
		while (drive_stats(driven).resumed == resumed)
			hand_turn(driven);
	}
}

TEST(a_reader_who_waits_and_returns_what_he_got_makes_no_garbage)
{
	struct driven driven = drive_begin(NULL);
	size_t count = test_scaled(10000);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	struct xyl_task *task = DRIVE_SPAWN(&driven, busy, .io = io);
	uint64_t before;

	messages_come(&driven, peer, 100);
	before = allocated_bytes();
	messages_come(&driven, peer, count);
	CHECK(allocated_bytes() - before < count * 16);
	close(peer);
	CHECK_EQ(hand_join(&driven, task), 0);
	drive_end(&driven);
}
