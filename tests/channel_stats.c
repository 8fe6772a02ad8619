/* SPDX-License-Identifier: MIT */
/* channel_stats.c - what a channel counts. */
#include <errno.h>
#include <sched.h>

#include "tests/asyncs.h"
#include "tests/chans.h"
#include "tests/run.h"
#include "xylem/xylem.h"

static struct xyl_chan_stats stats_of(struct xyl_chan *chan)
{
	struct xyl_chan_stats stats;

	xyl_chan_stats(chan, &stats);
	CHECK_EQ(stats.bytes, stats.received * chan->elem_size);
	return stats;
}

static void counts_are(struct xyl_chan *chan, uint64_t sent, uint64_t received)
{
	struct xyl_chan_stats stats = stats_of(chan);

	CHECK_EQ(stats.sent, sent);
	CHECK_EQ(stats.received, received);
}

static void failures_are(struct xyl_chan *chan, uint64_t would_block, uint64_t timed_out,
			 uint64_t canceled, uint64_t closed)
{
	struct xyl_chan_stats stats = stats_of(chan);

	CHECK_EQ(stats.would_block, would_block);
	CHECK_EQ(stats.timed_out, timed_out);
	CHECK_EQ(stats.canceled, canceled);
	CHECK_EQ(stats.closed, closed);
}

TEST(a_new_channel_has_counted_nothing)
{
	struct xyl_chan *chan = xyl_chan_new(8, 4);
	struct xyl_chan_stats stats = stats_of(chan);

	counts_are(chan, 0, 0);
	failures_are(chan, 0, 0, 0, 0);
	CHECK_EQ(stats.first_ns, 0);
	CHECK_EQ(stats.last_ns, 0);
}

TEST(what_stands_in_the_slots_is_sent_and_not_received)
{
	struct xyl_chan *chan = xyl_chan_new(24, 10);
	char elem[24] = { 0 };

	for (int i = 0; i < 6; i++)
		CHECK_EQ(xyl_try_send(chan, elem), 0);
	counts_are(chan, 6, 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(xyl_try_recv(chan, elem), 0);
	counts_are(chan, 6, 4);
	CHECK_EQ(stats_of(chan).bytes, 4 * 24);
}

TEST(what_was_replaced_is_sent_and_never_received)
{
	struct xyl_chan *chan = xyl_chan_new(8, XYL_CONFLATED);

	for (long i = 1; i <= 5; i++)
		CHECK_EQ(chan_put(chan, i), 0);
	counts_are(chan, 5, 0);
	CHECK_EQ(chan_take(chan), 5);
	counts_are(chan, 5, 1);
}

TEST(a_sender_who_waits_has_not_sent_yet)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(8, 0);
	struct xyl_task *sender = DRIVE_SPAWN(&driven, put, .chan = chan, .value = 3);

	chan_await(&driven, chan, 1);
	counts_are(chan, 0, 0);
	CHECK_EQ(chan_take(chan), 3);
	counts_are(chan, 1, 1);
	CHECK_EQ(hand_join(&driven, sender), 0);
	drive_end(&driven);
}

/* ---- failures by kind ------------------------------------------------------------------- */

TEST(failure_counters)
{
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), 1);

	CHECK_EQ(chan_put(chan, 42), 0);
	failures_are(chan, 0, 0, 0, 0);
	CHECK_EQ(chan_put(chan, 43), -EAGAIN);
	failures_are(chan, 1, 0, 0, 0);
	xyl_chan_close(chan);
	CHECK_EQ(chan_put(chan, 99), -EPIPE);
	failures_are(chan, 1, 0, 0, 1);
	CHECK_EQ(chan_take(chan), 42);
	failures_are(chan, 1, 0, 0, 1);
	CHECK_EQ(chan_take(chan), -EPIPE);
	failures_are(chan, 1, 0, 0, 2);
}

TEST(whoever_a_close_wakes_is_counted)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(8, 0);

	for (size_t i = 0; i < 5; i++)
		DRIVE_SPAWN(&driven, put, .chan = chan);
	chan_await(&driven, chan, 5);
	xyl_chan_close(chan);
	failures_are(chan, 0, 0, 0, 5);
	hand_quiet(&driven);
	failures_are(chan, 0, 0, 0, 5);
	drive_end(&driven);
}

TEST(bounds_and_aborts_are_counted_apart)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(8, 1);
	struct xyl_task *task = DRIVE_SPAWN(&driven, take, .chan = chan, .bound = XYL_MS);

	CHECK_EQ(hand_join(&driven, task), -ETIMEDOUT);
	failures_are(chan, 0, 1, 0, 0);
	task = DRIVE_SPAWN(&driven, take, .chan = chan);
	chan_await(&driven, chan, 1);
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	failures_are(chan, 0, 1, 1, 0);
	task = DRIVE_SPAWN(&driven, take, .chan = chan);
	xyl_abort(task); /* before it has asked */
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	failures_are(chan, 0, 1, 2, 0);
	drive_end(&driven);
}

/* A bound on a call cuts each await in there: two of them. */
struct put_twice {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long value;
	ssize_t n;
};

static xyl_step put_twice(void *frame)
{
	struct put_twice *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_send(self->chan, &self->value));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_AWAIT(self->n, xyl_send(self->chan, &self->value));
	XYL_END(self->n);
}

struct bounded_call {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct xyl_cancel *token; /* NULL: the clock */
	ssize_t n;
};

static xyl_step bounded_call(void *frame)
{
	struct bounded_call *self = frame;

	XYL_BEGIN(self)
	if (self->token)
		XYL_AWAIT(self->n, xyl_until(xyl_call(put_twice, .chan = self->chan), self->token));
	else
		XYL_AWAIT(self->n, xyl_within(xyl_call(put_twice, .chan = self->chan), XYL_MS));
	XYL_END(self->n);
}

TEST(each_await_that_a_bound_cuts_is_counted_as_its)
{
	struct xyl_chan *chan = xyl_chan_new(8, 0);

	CHECK_EQ(RUN(bounded_call, .chan = chan), -ETIMEDOUT);
	failures_are(chan, 0, 2, 0, 0);
}

TEST(each_await_that_a_token_cuts_is_counted_as_cancelled)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(8, 0);
	struct xyl_cancel *token = xyl_cancel_new(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, bounded_call, .chan = chan, .token = token);

	chan_await(&driven, chan, 1);
	xyl_cancel_fire(token);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	failures_are(chan, 0, 0, 2, 0);
	drive_end(&driven);
}

/* Both have passed before the task looks. */
struct take_until {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct xyl_cancel *token;
	bool token_first;
	ssize_t n;
};

static xyl_step take_until(void *frame)
{
	struct take_until *self = frame;

	XYL_BEGIN(self)
	if (self->token_first)
		XYL_AWAIT(self->n,
			  xyl_within(xyl_until(xyl_recv(self->chan, NULL), self->token), XYL_MS));
	else
		XYL_AWAIT(self->n,
			  xyl_until(xyl_within(xyl_recv(self->chan, NULL), XYL_MS), self->token));
	XYL_END(self->n);
}

static void time_passes(int64_t ns)
{
	for (int64_t until = xyl_now() + ns; xyl_now() < until; sched_yield())
		;
}

TEST(a_token_beats_a_timeout)
{
	for (int token_first = 0; token_first < 2; token_first++) {
		struct driven driven = drive_begin(NULL);
		struct xyl_chan *chan = xyl_chan_new(8, 0);
		struct xyl_cancel *token = xyl_cancel_new(NULL);
		struct xyl_task *task = DRIVE_SPAWN(&driven, take_until, .chan = chan,
						    .token = token, .token_first = token_first);

		chan_await(&driven, chan, 1);
		time_passes(2 * XYL_MS);
		xyl_cancel_fire(token);
		CHECK_EQ(hand_join(&driven, task), -ECANCELED);
		drive_end(&driven);
	}
}

TEST(threads_outside_are_counted_too)
{
	struct xyl_chan *chan = xyl_chan_new(8, 0);
	long value = 0;

	CHECK_EQ(xyl_recv_wait(chan, &value, XYL_MS), -ETIMEDOUT);
	CHECK_EQ(xyl_send_wait(chan, &value, 0), -ETIMEDOUT);
	failures_are(chan, 0, 2, 0, 0);
	xyl_chan_close(chan);
	CHECK_EQ(xyl_send_wait(chan, &value, -1), -EPIPE);
	failures_are(chan, 0, 2, 0, 1);
}

/* ---- times ------------------------------------------------------------------------------ */

TEST(the_first_send_and_the_last_of_all_are_noted)
{
	struct xyl_chan *chan = xyl_chan_new(8, 2);
	int64_t before = xyl_now(), between;
	struct xyl_chan_stats stats;

	CHECK_EQ(chan_take(chan), -EAGAIN); /* no send */
	CHECK_EQ(stats_of(chan).first_ns, 0);
	CHECK_EQ(chan_put(chan, 1), 0);
	between = xyl_now();
	stats = stats_of(chan);
	CHECK(before <= stats.first_ns && stats.first_ns <= between);
	CHECK_EQ(stats.last_ns, stats.first_ns);
	CHECK_EQ(chan_put(chan, 2), 0);
	CHECK_EQ(stats_of(chan).first_ns, stats.first_ns);
	CHECK(stats_of(chan).last_ns >= between);
	between = xyl_now();
	CHECK_EQ(chan_take(chan), 1);
	CHECK_EQ(stats_of(chan).first_ns, stats.first_ns);
	CHECK(stats_of(chan).last_ns >= between);
}

/* ---- deltas ------------------------------------------------------------------------------- */

#define COUNTS 7 /* of the struct's members, in front */

static void deltas_add(uint64_t *sums, const struct xyl_chan_stats *old,
		       const struct xyl_chan_stats *new)
{
	const uint64_t *from = (const uint64_t *)old, *to = (const uint64_t *)new;

	for (int i = 0; i < COUNTS; i++) {
		CHECK(to[i] >= from[i]);
		sums[i] += to[i] - from[i];
	}
}

/* Each of 1000 operations is one delta. */
TEST(the_deltas_of_1000_operations_add_up)
{
	static const ptrdiff_t capacities[] = { 0, 1, 5, XYL_CONFLATED, XYL_UNLIMITED };

	for (size_t kind = 0; kind < 5; kind++) {
		struct xyl_chan *chan = xyl_chan_new(8, capacities[kind]);
		uint64_t sums[COUNTS] = { 0 }, ours[COUNTS] = { 0 };
		struct xyl_chan_stats old = stats_of(chan), new;

		for (int i = 0; i < 1000; i++) {
			bool sends = test_random() & 1;
			long r = sends ? chan_put(chan, i + 1) : chan_take(chan);

			ours[r == -EAGAIN ? 3 : r == -EPIPE ? 6 : !sends]++;
			new = stats_of(chan);
			deltas_add(sums, &old, &new);
			old = new;
			if (i == 900)
				xyl_chan_close(chan);
		}
		ours[2] = 8 * ours[1];
		for (int i = 0; i < COUNTS; i++) {
			CHECK_EQ(sums[i], ours[i]);
			CHECK_EQ(sums[i], ((const uint64_t *)&new)[i]);
		}
	}
}
