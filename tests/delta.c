/* SPDX-License-Identifier: MIT */
/* delta.c - what becomes of a channel, period by period: the differences add up. */
#include <errno.h>
#include <string.h>

#include "tests/held.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { OPERATIONS = 1000 };

#define PERIOD (10 * XYL_MS)

struct watched {
	struct xyl_frame frame;
	xyl_async_fn *part;
	struct xyl_chan *chan, *deltas;
	struct xyl_task *task;
	struct xyl_chan_delta delta;
	struct xyl_chan_stats sum;
	int64_t over_ns;
	size_t done, i;
	ssize_t n;
};

static xyl_step watched(void *frame)
{
	struct watched *self = frame;

	return self->part(frame);
}

static void begin(struct watched *self, ptrdiff_t capacity, ptrdiff_t deltas)
{
	clock_hold_here();
	self->chan = xyl_chan_new(24, capacity);
	self->deltas = xyl_chan_new(sizeof(struct xyl_chan_delta), deltas);
	self->task = xyl_produce(NULL, self->deltas, xyl_chan_deltas, .of = self->chan,
				 .out = self->deltas, .period_ns = PERIOD);
	CHECK(self->task != NULL);
}

/* One operation, whatever becomes of it. */
static void operate(struct watched *self)
{
	char elem[24] = { 0 };

	if (test_random() % 2)
		xyl_try_send(self->chan, elem);
	else
		xyl_try_recv(self->chan, elem);
	self->done++;
}

static void add_up(struct watched *self)
{
	const struct xyl_chan_stats *delta = &self->delta.stats;

	self->sum.sent += delta->sent;
	self->sum.received += delta->received;
	self->sum.bytes += delta->bytes;
	self->sum.would_block += delta->would_block;
	self->sum.timed_out += delta->timed_out;
	self->sum.canceled += delta->canceled;
	self->sum.closed += delta->closed;
	self->sum.first_ns = delta->first_ns;
	self->sum.last_ns = delta->last_ns;
	self->over_ns += self->delta.over_ns;
}

static void check_sum(const struct watched *self)
{
	struct xyl_chan_stats total;

	xyl_chan_stats(self->chan, &total);
	CHECK_EQ(memcmp(&total, &self->sum, sizeof(total)), 0);
}

static uint64_t operations(const struct xyl_chan_stats *stats)
{
	return stats->sent + stats->received + stats->would_block + stats->closed;
}

/* ---- period by period ---------------------------------------------------------------------- */

static xyl_step each_period(void *frame)
{
	struct watched *self = frame;

	XYL_BEGIN(self)
	begin(self, 5, 0);
	XYL_AWAIT(self->n, xyl_yield());
	while (self->done < OPERATIONS) {
		for (self->i = 0; self->i < 50; self->i++)
			operate(self);
		while (timers_here() == 0) /* it waits for its tick */
			XYL_AWAIT(self->n, xyl_yield());
		clock_move_here(PERIOD);
		XYL_AWAIT(self->n, xyl_recv(self->deltas, &self->delta));
		CHECK_EQ(self->n, 0);
		CHECK_EQ(self->delta.over_ns, PERIOD);
		CHECK_EQ(operations(&self->delta.stats), 50);
		CHECK(xyl_rate(operations(&self->delta.stats), self->delta.over_ns) == 5000);
		add_up(self);
	}
	CHECK_EQ(operations(&self->sum), OPERATIONS);
	check_sum(self);
	xyl_abort(self->task);
	XYL_AWAIT(self->n, xyl_recv(self->deltas, &self->delta));
	CHECK_EQ(self->n, -EPIPE);
	XYL_END(0);
}

TEST(the_differences_of_a_thousand_operations_add_up)
{
	CHECK_EQ(RUN(watched, .part = each_period), 0);
}

/* Whoever is to receive them comes when he likes, and more time passes than one period. */
static xyl_step at_random(void *frame)
{
	struct watched *self = frame;

	XYL_BEGIN(self)
	begin(self, 3, (ptrdiff_t)(test_random() % 3));
	while (self->done < OPERATIONS) {
		for (self->i = test_random() % 20; self->i > 0; self->i--)
			operate(self);
		clock_move_here((int64_t)(test_random() % (3 * PERIOD)));
		XYL_AWAIT(self->n, xyl_yield());
		if (test_random() % 4 == 0 && xyl_try_recv(self->deltas, &self->delta) == 0)
			add_up(self);
	}
	while (xyl_try_recv(self->chan, NULL) == 0)
		;
	xyl_chan_close(self->chan);
	for (;;) {
		clock_move_here(PERIOD);
		XYL_AWAIT(self->n, xyl_yield());
		self->n = xyl_try_recv(self->deltas, &self->delta);
		if (self->n == -EPIPE)
			break;
		if (self->n == 0)
			add_up(self);
	}
	check_sum(self);
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(self->n, 0);
	XYL_END(0);
}

TEST(a_difference_that_nobody_took_in_time_is_in_the_next)
{
	for (size_t i = test_scaled(100) + 1; i > 0; i--)
		CHECK_EQ(RUN(watched, .part = at_random), 0);
}

static xyl_step to_the_end(void *frame)
{
	struct watched *self = frame;
	char elem[24] = { 0 };

	XYL_BEGIN(self)
	begin(self, 5, XYL_UNLIMITED);
	XYL_AWAIT(self->n, xyl_yield());
	CHECK_EQ(xyl_try_send(self->chan, elem), 0);
	xyl_chan_close(self->chan);
	for (self->i = 0; self->i < 3; self->i++) {
		clock_move_here(PERIOD);
		XYL_AWAIT(self->n, xyl_recv(self->deltas, &self->delta));
		CHECK_EQ(self->n, 0);
		CHECK_EQ(self->delta.stats.sent, self->i == 0);
		CHECK_EQ(self->delta.stats.received, 0);
		while (timers_here() == 0) {
			CHECK(!xyl_is_done(self->task));
			XYL_AWAIT(self->n, xyl_yield());
		}
	}
	CHECK_EQ(xyl_try_recv(self->chan, NULL), 0);
	clock_move_here(PERIOD);
	XYL_AWAIT(self->n, xyl_recv(self->deltas, &self->delta));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(self->delta.stats.received, 1);
	XYL_AWAIT(self->n, xyl_recv(self->deltas, &self->delta));
	CHECK_EQ(self->n, -EPIPE);
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(self->n, 0);
	XYL_END(0);
}

TEST(the_last_one_comes_when_it_is_closed_and_drained)
{
	CHECK_EQ(RUN(watched, .part = to_the_end), 0);
}

/* ---- where it begins, and what is refused ------------------------------------------------- */

static xyl_step from_here(void *frame)
{
	struct watched *self = frame;
	struct xyl_chan_stats now;

	XYL_BEGIN(self)
	clock_hold_here();
	self->chan = xyl_chan_new(24, 5);
	self->deltas = xyl_chan_new(sizeof(self->delta), 1);
	for (self->i = 0; self->i < 20; self->i++)
		operate(self);
	xyl_chan_stats(self->chan, &now);
	xyl_chan_close(self->chan);
	while (xyl_try_recv(self->chan, NULL) == 0)
		;
	self->task = xyl_produce(NULL, self->deltas, xyl_chan_deltas, .of = self->chan,
				 .out = self->deltas, .before = now);
	while (timers_here() == 0)
		XYL_AWAIT(self->n, xyl_yield());
	clock_move_here(XYL_SEC); /* the period if none is given */
	XYL_AWAIT(self->n, xyl_recv(self->deltas, &self->delta));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(self->delta.stats.sent, 0);
	CHECK_EQ(self->delta.stats.closed, 1);
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(self->n, 0);
	XYL_END(0);
}

TEST(it_may_begin_with_what_was_seen_before)
{
	CHECK_EQ(RUN(watched, .part = from_here), 0);
}

static xyl_step refused(void *frame)
{
	struct watched *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->chan = xyl_chan_new(24, 5);
	self->deltas = xyl_chan_new(sizeof(self->delta), 1);
	XYL_AWAIT(self->n, xyl_call(xyl_chan_deltas, .of = self->chan));
	CHECK_EQ(self->n, -EINVAL);
	XYL_AWAIT(self->n, xyl_call(xyl_chan_deltas, .out = self->deltas));
	CHECK_EQ(self->n, -EINVAL);
	XYL_AWAIT(self->n, xyl_call(xyl_chan_deltas, .of = self->chan, .out = self->chan));
	CHECK_EQ(self->n, -EINVAL);
	XYL_AWAIT(self->n, xyl_call(xyl_chan_deltas, .of = self->chan, .out = self->deltas,
				    .period_ns = -1));
	CHECK_EQ(self->n, -EINVAL);
	xyl_chan_close(self->deltas);
	self->task = xyl_spawn(xyl_chan_deltas, .of = self->chan, .out = self->deltas);
	while (timers_here() == 0)
		XYL_AWAIT(self->n, xyl_yield());
	clock_move_here(XYL_SEC);
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(self->n, -EPIPE);
	XYL_END(0);
}

TEST(what_makes_no_sense_is_refused_and_a_closed_receiver_ends_it)
{
	CHECK_EQ(RUN(watched, .part = refused), 0);
}
