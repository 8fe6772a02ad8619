/* SPDX-License-Identifier: MIT */
/*
 * go_select.c - what Go's specification promises of a select.
 *
 * The ideas of the programs that meet in many selects, and of the values that must not come
 * twice, are those of Go's own test/chan.
 */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/chans.h"
#include "tests/run.h"
#include "xylem/xylem.h"

static struct xyl_chan *chan_of_longs(ptrdiff_t capacity)
{
	return xyl_chan_new(sizeof(long), capacity);
}

/* ---- one of those that can proceed, and nothing else ---------------------------------------- */

enum { READY = 4 };

/* Exactly one case, fair; losers untouched. */
struct choose {
	struct xyl_frame frame;
	struct xyl_chan *chans[READY], *full;
	long places[READY], rounds, i;
	size_t *counts;
	ssize_t n;
};

static void chosen_check(struct choose *self)
{
	CHECK(self->n >= 0 && self->n < READY);
	for (int i = 0; i < READY; i++) {
		CHECK_EQ(self->places[i], i == self->n ? 100 + i : -1);
		CHECK_EQ(xyl_chan_len(self->chans[i]), i == self->n ? 0 : 1);
	}
	self->places[self->n] = -1;
	CHECK_EQ(chan_put(self->chans[self->n], 100 + self->n), 0);
	self->counts[self->n]++;
}

static void choose_begin(struct choose *self)
{
	self->full = chan_of_longs(1);
	CHECK_EQ(chan_put(self->full, 1), 0);
	for (int i = 0; i < READY; i++) {
		self->places[i] = -1;
		self->chans[i] = chan_of_longs(1);
		CHECK_EQ(chan_put(self->chans[i], 100 + i), 0);
	}
}

static xyl_step choose(void *frame)
{
	struct choose *self = frame;

	XYL_BEGIN(self)
	choose_begin(self);
	for (self->i = 0; self->i < self->rounds; self->i++) {
		XYL_AWAIT(self->n, xyl_select(xyl_on_recv(self->chans[0], &self->places[0]),
					      xyl_on_recv(self->chans[1], &self->places[1]),
					      xyl_on_recv(self->chans[2], &self->places[2]),
					      xyl_on_recv(self->chans[3], &self->places[3]),
					      xyl_on_send(self->full, &self->rounds),
					      xyl_on_recv(NULL, NULL)));
		chosen_check(self);
	}
	CHECK_EQ(xyl_chan_len(self->full), 1);
	XYL_END(0);
}

/* "If one or more of the communications can proceed, a single one is chosen via a uniform
 * pseudo-random selection": chi-square with three degrees of freedom is beyond 30 about once
 * in a million times. */
TEST(a_million_selects_each_take_one_and_all_are_taken_alike)
{
	struct driven driven = drive_begin(NULL);
	size_t *counts = xyl_alloc_bytes(READY * sizeof(size_t));
	long rounds = (long)test_scaled(1000000);
	double expected = (double)rounds / READY, chi2 = 0;
	struct xyl_task *task;

	for (int i = 0; i < READY; i++)
		counts[i] = 0;
	driven.rt->shard->ties.state = 12345;
	task = DRIVE_SPAWN(&driven, choose, .rounds = rounds, .counts = counts);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	for (int i = 0; i < READY; i++)
		chi2 += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
	CHECK(chi2 < 30);
	drive_end(&driven);
}

/* ---- default, nothing, nil ------------------------------------------------------------------- */

/* A select or two of its own. */
#define SELECTER(name)                           \
	struct name {                            \
		struct xyl_frame frame;          \
		struct xyl_chan *a, *b;          \
		long in, out, i, n, sum, places; \
		ssize_t r, result;               \
	};                                       \
	static xyl_step name(void *frame)

/* "Otherwise, if there is a default case, that case is chosen." */
SELECTER(try_recv)
{
	struct try_recv *self = frame;

	XYL_BEGIN(self)
	self->in = -1;
	XYL_AWAIT(self->r, xyl_select(xyl_on_recv(self->a, &self->in), xyl_on_default()));
	XYL_END(self->r == 0 ? self->in : -self->r);
}

SELECTER(try_send)
{
	struct try_send *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_select(xyl_on_default(), xyl_on_send(self->a, &self->out)));
	XYL_END(self->r);
}

TEST(with_a_default_nobody_waits)
{
	for (ptrdiff_t capacity = 0; capacity < 3; capacity++) {
		struct driven driven = drive_begin(NULL);
		struct xyl_chan *chan = chan_of_longs(capacity);
		struct xyl_task *task;

		CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, try_recv, .a = chan)), -1);
		for (long i = 0; i < capacity; i++)
			CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, try_send, .a = chan,
								.out = i + 10)),
				 1);
		CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, try_send, .a = chan)), 0);
		CHECK_EQ(xyl_chan_len(chan), capacity);
		for (long i = 0; i < capacity; i++)
			CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, try_recv, .a = chan)),
				 i + 10);
		CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, try_recv, .a = chan)), -1);
		CHECK_EQ(chan_waiters(chan), 0);
		task = DRIVE_SPAWN(&driven, take, .chan = chan); /* there is somebody, now */
		chan_await(&driven, chan, 1);
		CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, try_send, .a = chan, .out = 9)),
			 1);
		CHECK_EQ(hand_join(&driven, task), 9);
		drive_end(&driven);
	}
}

/* "A nil channel is never ready for communication", and a select of nothing else blocks for
 * ever: until it is aborted. */
SELECTER(of_nothing)
{
	struct of_nothing *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_select(xyl_on_recv(NULL, &self->in), xyl_on_send(NULL, &self->out),
				      xyl_on_cancel(NULL)));
	XYL_END(self->r);
}

SELECTER(of_nothing_for_a_while)
{
	struct of_nothing_for_a_while *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_select(xyl_on_recv(NULL, &self->in), xyl_on_timeout(XYL_MS)));
	XYL_END(self->r);
}

TEST(a_case_on_nothing_never_happens)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, of_nothing);

	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, of_nothing_for_a_while)), 1);
	CHECK(!xyl_is_done(task));
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	drive_end(&driven);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

/* "The channel operands of receive operations and the channel and right-hand-side expressions
 * of send statements are evaluated exactly once, in source order", whichever is chosen. */
static struct xyl_chan *evaluate_chan(struct xyl_chan *chan, long *trace, int number)
{
	*trace = *trace * 10 + number;
	return chan;
}

static long *evaluate_elem(long *elem, long *trace, int number)
{
	*trace = *trace * 10 + number;
	return elem;
}

SELECTER(evaluate)
{
	struct evaluate *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r,
		  xyl_select(xyl_on_send(evaluate_chan(self->a, &self->places, 1), &self->out),
			     xyl_on_recv(evaluate_chan(self->b, &self->places, 2),
					 evaluate_elem(&self->in, &self->places, 3)),
			     xyl_on_default()));
	CHECK_EQ(self->r, 0);
	/* In C the order within the list is no promise; once each is. */
	CHECK_EQ(self->places / 100 + self->places / 10 % 10 + self->places % 10, 6);
	XYL_END(0);
}

TEST(every_operand_is_evaluated_once_whatever_happens)
{
	CHECK_EQ(RUN(evaluate, .a = chan_of_longs(1), .b = chan_of_longs(1)), 0);
}

/* ---- one channel several times --------------------------------------------------------------- */

SELECTER(thrice)
{
	struct thrice *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->n; self->i++) {
		self->in = 0;
		XYL_AWAIT(self->r, xyl_select(xyl_on_recv(self->a, &self->in),
					      xyl_on_recv(self->a, &self->in),
					      xyl_on_recv(self->a, &self->in)));
		CHECK(self->r >= 0 && self->r < 3);
		CHECK_EQ(self->in, self->i + 1);
		self->places |= 1L << self->r;
	}
	XYL_END(self->places);
}

/* It waits each time, or finds them there. */
TEST(a_channel_that_is_in_a_select_several_times_gives_one_value)
{
	for (ptrdiff_t capacity = 0; capacity < 3; capacity += 2) {
		struct driven driven = drive_begin(NULL);
		struct xyl_chan *chan = chan_of_longs(capacity);
		struct xyl_task *task = DRIVE_SPAWN(&driven, thrice, .a = chan, .n = 300);

		DRIVE_SPAWN(&driven, count_up, .chan = chan, .n = 300);
		hand_join(&driven, task);
		CHECK_EQ(chan_take(chan), -EAGAIN);
		chan_check_clean(chan);
		drive_end(&driven);
	}
}

TEST(a_waiting_select_with_one_channel_thrice_is_given_one)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(5);
	struct xyl_task *task = DRIVE_SPAWN(&driven, thrice, .a = chan, .n = 1);

	chan_await(&driven, chan, 3);
	CHECK_EQ(chan_put(chan, 1), 0);
	CHECK_EQ(chan_put(chan, 2), 0);
	CHECK_EQ(chan_put(chan, 3), 0);
	CHECK_EQ(hand_join(&driven, task), 1);
	CHECK_EQ(chan_take(chan), 2);
	CHECK_EQ(chan_take(chan), 3);
	CHECK_EQ(chan_take(chan), -EAGAIN);
	drive_end(&driven);
}

/* ---- it does not meet itself ----------------------------------------------------------------- */

SELECTER(both_ways)
{
	struct both_ways *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->n; self->i++) {
		self->in = -1;
		XYL_AWAIT(self->r, xyl_select(xyl_on_send(self->a, &self->out),
					      xyl_on_recv(self->a, &self->in)));
		if (self->r < 0)
			XYL_RETURN(self->r);
		CHECK_EQ(self->in == -1, self->r == 0);
		CHECK(self->in != self->out);
		self->sum += self->r;
	}
	XYL_END(self->sum);
}

TEST(a_select_does_not_receive_what_it_sends)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(0);
	struct xyl_task *task = DRIVE_SPAWN(&driven, both_ways, .a = chan, .out = 1, .n = 1);

	hand_turns(&driven, 10);
	CHECK(!xyl_is_done(task));
	CHECK_EQ(line_len(&chan->senders), 1);
	CHECK_EQ(line_len(&chan->receivers), 1);
	CHECK_EQ(chan_take(chan), 1);
	CHECK_EQ(hand_join(&driven, task), 0);
	chan_check_clean(chan);
	drive_end(&driven);
}

/* ---- selects that meet ----------------------------------------------------------------------- */

/* Each receives as often as others send: whoever is left when the other is done is aborted. */
TEST(two_selects_that_would_do_either_meet)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(0);
	struct xyl_task *a = DRIVE_SPAWN(&driven, both_ways, .a = chan, .out = 1, .n = 1000);
	struct xyl_task *b = DRIVE_SPAWN(&driven, both_ways, .a = chan, .out = 2, .n = 1000);

	CHECK_EQ(hand_join(&driven, a) + hand_join(&driven, b), 1000);
	chan_check_clean(chan);
	drive_end(&driven);
}

/* Either of two channels, in either order. */
SELECTER(send_either)
{
	struct send_either *self = frame;

	XYL_BEGIN(self)
	for (self->i = 1; self->i <= self->n; self->i++) {
		self->out = self->places + self->i;
		XYL_AWAIT(self->r, xyl_select(xyl_on_send(self->a, &self->out),
					      xyl_on_send(self->b, &self->out)));
		CHECK(self->r == 0 || self->r == 1);
	}
	XYL_END(0);
}

SELECTER(recv_either)
{
	struct recv_either *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		self->result = 0;
		XYL_AWAIT(self->r,
			  xyl_select(xyl_on_recv(self->b, &self->in, .ret_result = &self->result),
				     xyl_on_recv(self->a, &self->in, .ret_result = &self->result)));
		CHECK(self->r == 0 || self->r == 1);
		if (self->result < 0)
			break;
		self->sum += self->in;
	}
	CHECK_EQ(self->result, -EPIPE);
	XYL_END(self->sum);
}

enum { EACH = 4 };

/* Four who send to either, four who receive from either: each value is received once. */
static void stress(ptrdiff_t capacity_a, ptrdiff_t capacity_b)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *a = chan_of_longs(capacity_a), *b = chan_of_longs(capacity_b);
	struct xyl_task *senders[EACH], *receivers[EACH];
	long n = (long)test_scaled(5000), sum = 0, all = EACH * n;

	for (int i = 0; i < EACH; i++) {
		senders[i] = DRIVE_SPAWN(&driven, send_either, .a = a, .b = b, .n = n,
					 .places = i * n);
		receivers[i] = DRIVE_SPAWN(&driven, recv_either, .a = a, .b = b);
	}
	for (int i = 0; i < EACH; i++)
		CHECK_EQ(hand_join(&driven, senders[i]), 0);
	while (xyl_chan_len(a) || xyl_chan_len(b))
		hand_turn(&driven);
	xyl_chan_close(a);
	xyl_chan_close(b);
	for (int i = 0; i < EACH; i++)
		sum += hand_join(&driven, receivers[i]);
	CHECK_EQ(sum, all * (all + 1) / 2);
	chan_check_clean(a);
	chan_check_clean(b);
	drive_end(&driven);
}

TEST(four_send_to_either_and_four_receive_from_either)
{
	stress(0, 0);
	stress(0, 3);
	stress(7, 0);
	stress(2, 2);
	stress(XYL_UNLIMITED, 0);
}

/* One at a time to whichever is ready, forwarded in order: nothing comes twice. */
SELECTER(forward)
{
	struct forward *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, xyl_recv(self->a, &self->in));
		if (self->r < 0)
			break;
		XYL_AWAIT(self->r, xyl_send(self->b, &self->in));
		CHECK_EQ(self->r, 0);
	}
	XYL_END(0);
}

TEST(no_value_comes_twice_through_two_forwarders)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *a = chan_of_longs(0), *b = chan_of_longs(0), *out = chan_of_longs(0);
	struct xyl_task *sender, *receiver;
	long n = (long)test_scaled(20000);

	DRIVE_SPAWN(&driven, forward, .a = a, .b = out);
	DRIVE_SPAWN(&driven, forward, .a = b, .b = out);
	receiver = DRIVE_SPAWN(&driven, sum_up, .chan = out);
	sender = DRIVE_SPAWN(&driven, send_either, .a = a, .b = b, .n = n);
	CHECK_EQ(hand_join(&driven, sender), 0);
	xyl_chan_close(a);
	xyl_chan_close(b);
	while (drive_stats(&driven).live > 1)
		hand_turn(&driven);
	xyl_chan_close(out);
	CHECK_EQ(hand_join(&driven, receiver), n * (n + 1) / 2);
	drive_end(&driven);
}

/* ---- closed ---------------------------------------------------------------------------------- */

SELECTER(once_each_way)
{
	struct once_each_way *self = frame;

	XYL_BEGIN(self)
	self->in = 55;
	self->result = 1;
	if (self->n == 0)
		XYL_AWAIT(self->r, xyl_select(xyl_on_send(self->a, &self->out,
							  .ret_result = &self->result)));
	else
		XYL_AWAIT(self->r,
			  xyl_select(xyl_on_recv(self->a, &self->in, .ret_result = &self->result)));
	CHECK_EQ(self->r, 0);
	CHECK_EQ(self->in, 55);
	XYL_END(self->result);
}

/* A send to it panics in Go; here it is told, and so is who waits already. */
TEST(a_select_on_a_closed_channel_goes_on)
{
	for (int way = 0; way < 2; way++) {
		struct driven driven = drive_begin(NULL);
		struct xyl_chan *chan = chan_of_longs(0);
		struct xyl_chan_stats stats;
		struct xyl_task *task = DRIVE_SPAWN(&driven, once_each_way, .a = chan, .n = way);

		chan_await(&driven, chan, 1);
		xyl_chan_close(chan);
		CHECK_EQ(hand_join(&driven, task), -EPIPE);
		task = DRIVE_SPAWN(&driven, once_each_way, .a = chan, .n = way);
		CHECK_EQ(hand_join(&driven, task), -EPIPE);
		xyl_chan_stats(chan, &stats);
		CHECK_EQ(stats.closed, 2);
		drive_end(&driven);
	}
}
