/* SPDX-License-Identifier: MIT */
/*
 * channel_cut.c - whoever waits for a channel is aborted, bounded, or goes on without waiting;
 * the channel is closed, and the runtime stops.  No value is lost, and none is there twice.
 *
 * Between two turns this thread is one outside: what it sends to a task that waits is on its
 * way until the next turn.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/asyncs.h"
#include "tests/chans.h"
#include "xylem/xylem.h"

static struct xyl_chan *chan_of_longs(ptrdiff_t capacity)
{
	return xyl_chan_new(sizeof(long), capacity);
}

/* Waiting, as the last of so many. */
static struct xyl_task *take_waiting(const struct driven *driven, struct xyl_chan *chan, size_t n)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, take, .chan = chan);

	chan_await(driven, chan, n);
	return task;
}

static struct xyl_task *put_waiting(const struct driven *driven, struct xyl_chan *chan, long value,
				    size_t n)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, put, .chan = chan, .value = value);

	chan_await(driven, chan, n);
	return task;
}

/* ---- abort ---------------------------------------------------------------------------- */

/* First, middle, last. */
TEST(an_aborted_receiver_leaves_the_line_and_the_others_stay)
{
	for (size_t cut = 0; cut < 3; cut++) {
		struct driven driven = drive_begin(NULL);
		struct xyl_chan *chan = chan_of_longs(1);
		struct xyl_task *tasks[3];

		for (size_t i = 0; i < 3; i++)
			tasks[i] = take_waiting(&driven, chan, i + 1);
		xyl_abort(tasks[cut]);
		CHECK_EQ(hand_join(&driven, tasks[cut]), -ECANCELED);
		CHECK_EQ(chan_waiters(chan), 2);
		CHECK_EQ(chan_put(chan, 1), 0);
		CHECK_EQ(chan_put(chan, 2), 0);
		CHECK_EQ(hand_join(&driven, tasks[cut == 0]), 1);
		CHECK_EQ(hand_join(&driven, tasks[2 - (cut == 2)]), 2);
		chan_check_clean(chan);
		drive_end(&driven);
	}
}

TEST(what_an_aborted_sender_had_is_never_received)
{
	for (size_t cut = 0; cut < 3; cut++) {
		struct driven driven = drive_begin(NULL);
		struct xyl_chan *chan = chan_of_longs(0);
		struct xyl_task *tasks[3];

		for (size_t i = 0; i < 3; i++)
			tasks[i] = put_waiting(&driven, chan, (long)i + 1, i + 1);
		xyl_abort(tasks[cut]);
		CHECK_EQ(hand_join(&driven, tasks[cut]), -ECANCELED);
		CHECK_EQ(chan_take(chan), cut == 0 ? 2 : 1);
		CHECK_EQ(chan_take(chan), cut == 2 ? 2 : 3);
		CHECK_EQ(chan_take(chan), -EAGAIN);
		drive_end(&driven);
	}
}

/* Sends two, and says what came of each. */
struct put_two {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long first, second;
	ssize_t r[2];
	ssize_t *ret_r;
};

static xyl_step put_two(void *frame)
{
	struct put_two *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r[0], xyl_send(self->chan, &self->first));
	XYL_AWAIT(self->r[1], xyl_send(self->chan, &self->second));
	CHECK_EQ(self->first, 1); /* a failed sender's element is as it was */
	CHECK_EQ(self->second, 2);
	self->ret_r[0] = self->r[0];
	self->ret_r[1] = self->r[1];
	XYL_END(0);
}

TEST(after_an_abort_each_send_and_each_receive_fails)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(1);
	struct xyl_task *task;
	ssize_t *r = xyl_alloc(2 * sizeof(ssize_t));

	CHECK_EQ(chan_put(chan, 9), 0);
	task = DRIVE_SPAWN(&driven, put_two, .chan = chan, .first = 1, .second = 2, .ret_r = r);
	chan_await(&driven, chan, 1);
	xyl_abort(task);
	hand_join(&driven, task);
	CHECK_EQ(r[0], -ECANCELED);
	CHECK_EQ(r[1], -ECANCELED);
	CHECK_EQ(chan_take(chan), 9);
	CHECK_EQ(chan_take(chan), -EAGAIN);
	drive_end(&driven);
}

/* A task that keeps its value though it was aborted. */
struct take_kept {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long value, *ret_value;
	int64_t bound;
	ssize_t n;
};

static xyl_step take_kept(void *frame)
{
	struct take_kept *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(xyl_recv(self->chan, &self->value), self->bound));
	*self->ret_value = self->n < 0 ? self->n : self->value;
	XYL_END(0);
}

static struct xyl_task *kept_waiting(const struct driven *driven, struct xyl_chan *chan,
				     int64_t bound, long *ret_value)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, take_kept, .chan = chan, .bound = bound,
					    .ret_value = ret_value);

	chan_await(driven, chan, 1);
	return task;
}

/* The abort arrives first, and finds the value on its way. */
TEST(an_abort_does_not_take_a_value_away_that_is_on_its_way)
{
	for (int abort_first = 0; abort_first < 2; abort_first++) {
		struct driven driven = drive_begin(NULL);
		struct xyl_chan *chan = chan_of_longs(0);
		long *value = xyl_alloc(sizeof(long));
		struct xyl_task *task = kept_waiting(&driven, chan, 0, value);

		if (abort_first)
			xyl_abort(task);
		CHECK_EQ(chan_put(chan, 5), 0);
		xyl_abort(task);
		hand_join(&driven, task);
		CHECK_EQ(*value, 5);
		CHECK(xyl_is_aborted(task));
		drive_end(&driven);
	}
}

TEST(a_send_that_was_received_is_no_failure_though_an_abort_came_first)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(0);
	ssize_t *r = xyl_alloc(2 * sizeof(ssize_t));
	struct xyl_task *task = DRIVE_SPAWN(&driven, put_two, .chan = chan, .first = 1, .second = 2,
					    .ret_r = r);

	chan_await(&driven, chan, 1);
	xyl_abort(task);
	CHECK_EQ(chan_take(chan), 1);
	hand_join(&driven, task);
	CHECK_EQ(r[0], 0);
	CHECK_EQ(r[1], -ECANCELED);
	CHECK_EQ(chan_take(chan), -EAGAIN);
	drive_end(&driven);
}

/* ---- bounds --------------------------------------------------------------------------- */

TEST(a_bound_ends_a_wait_and_a_later_value_is_another_ones)
{
	static const int64_t bounds[] = { -1, 1, XYL_MS };

	for (size_t i = 0; i < 3; i++) {
		int64_t bound = bounds[i];
		struct driven driven = drive_begin(NULL);
		struct xyl_chan *to = chan_of_longs(0), *from = chan_of_longs(3);
		struct xyl_task *sender, *receiver;

		sender = DRIVE_SPAWN(&driven, put, .chan = to, .value = 4, .bound = bound);
		receiver = DRIVE_SPAWN(&driven, take, .chan = from, .bound = bound);
		CHECK_EQ(hand_join(&driven, sender), -ETIMEDOUT);
		CHECK_EQ(hand_join(&driven, receiver), -ETIMEDOUT);
		CHECK_EQ(chan_waiters(to), 0);
		CHECK_EQ(chan_waiters(from), 0);
		CHECK_EQ(chan_take(to), -EAGAIN);
		CHECK_EQ(chan_put(from, 6), 0);
		CHECK_EQ(xyl_chan_len(from), 1);
		drive_end(&driven);
	}
}

TEST(a_bound_takes_nothing_away_from_what_is_there_already)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(1);
	struct xyl_task *task;

	task = DRIVE_SPAWN(&driven, put, .chan = chan, .value = 4, .bound = -1);
	CHECK_EQ(hand_join(&driven, task), 0);
	task = DRIVE_SPAWN(&driven, take, .chan = chan, .bound = -1);
	CHECK_EQ(hand_join(&driven, task), 4);
	drive_end(&driven);
}

/* Claimed by a thread that is slow to say so: it is this one. */
static struct xyli_wait *receiver_claim(struct xyl_chan *chan, long value)
{
	struct xyli_wait *wait;

	xyli_lock(&chan->lock);
	wait = xyli_line_take(&chan->receivers);
	CHECK(wait != NULL);
	*(long *)*xyli_wait_word(wait) = value;
	xyli_unlock(&chan->lock);
	return wait;
}

TEST(a_bound_that_passes_while_the_value_is_on_its_way_has_no_say)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(0);
	long *value = xyl_alloc(sizeof(long));
	struct xyl_task *task = kept_waiting(&driven, chan, 100 * XYL_MS, value);
	struct xyli_wait *claimed = receiver_claim(chan, 5);

	while (!task->wait.expired)
		hand_turn(&driven);
	hand_turns(&driven, 3);
	CHECK(!xyl_is_done(task));
	xyl_abort(task);
	hand_turns(&driven, 3);
	CHECK(!xyl_is_done(task));
	xyli_give(claimed, 0);
	hand_join(&driven, task);
	CHECK_EQ(*value, 5);
	drive_end(&driven);
}

/* ---- closing at each point -------------------------------------------------------------- */

enum cut { CUT_NOTHING, CUT_ABORT, CUT_CLOSE, CUT_MEET, CUT_TURN, CUTS };

static void cut_apply(const struct driven *driven, enum cut cut, struct xyl_chan *chan,
		      struct xyl_task *task, bool sends, long *met)
{
	int r;

	switch (cut) {
	case CUT_ABORT: xyl_abort(task); break;
	case CUT_CLOSE: xyl_chan_close(chan); break;
	case CUT_TURN: hand_turn(driven); break;
	case CUT_MEET:
		r = sends ? (int)chan_take(chan) : chan_put(chan, 1);
		*met += sends ? r == 1 : r == 0;
		break;
	default: break;
	}
}

/* What the task says is what its peer saw. */
static void cuts_try(const enum cut *cuts, size_t n, bool sends)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(0);
	ssize_t *r = xyl_alloc(2 * sizeof(ssize_t));
	struct xyl_task *task;
	long met = 0;

	if (sends)
		task = DRIVE_SPAWN(&driven, put_two, .chan = chan, .first = 1, .second = 2,
				   .ret_r = r);
	else
		task = DRIVE_SPAWN(&driven, take_kept, .chan = chan, .ret_value = (long *)r);
	chan_await(&driven, chan, 1);
	for (size_t i = 0; i < n; i++)
		cut_apply(&driven, cuts[i], chan, task, sends, &met);
	xyl_chan_close(chan);
	hand_join(&driven, task);
	CHECK(met <= 1 || !sends);
	CHECK_EQ(met >= 1, sends ? r[0] == 0 : r[0] == 1);
	CHECK(r[0] >= 0 || r[0] == -EPIPE || r[0] == -ECANCELED);
	chan_check_clean(chan);
	drive_end(&driven);
}

TEST(abort_close_and_a_peer_in_each_order)
{
	for (size_t order = 0; order < CUTS * CUTS * CUTS * CUTS; order++) {
		enum cut cuts[4];

		for (size_t i = 0, rest = order; i < 4; i++, rest /= CUTS)
			cuts[i] = (enum cut)(rest % CUTS);
		cuts_try(cuts, 4, true);
		cuts_try(cuts, 4, false);
	}
}

/* ---- stopping --------------------------------------------------------------------------- */

TEST(a_stop_ends_who_waits_and_the_channel_serves_the_next_runtime)
{
	struct xyl_chan *to = chan_of_longs(0), *from = chan_of_longs(2);

	for (int round = 0; round < 5; round++) {
		struct driven driven = drive_begin(NULL);
		struct xyl_task *sender, *receiver;

		for (size_t i = 1; i <= 10; i++) {
			sender = put_waiting(&driven, to, (long)i, i);
			receiver = take_waiting(&driven, from, i);
		}
		drive_end(&driven);
		CHECK_EQ(xyl_result(sender), -ECANCELED);
		CHECK_EQ(xyl_result(receiver), -ECANCELED);
		chan_check_clean(to);
		chan_check_clean(from);
		CHECK_EQ(chan_take(to), -EAGAIN);
		CHECK_EQ(chan_put(from, 7), 0);
		CHECK_EQ(chan_take(from), 7);
	}
}

TEST(a_stop_finds_values_on_their_way)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(0);
	long *value = xyl_alloc(sizeof(long));

	kept_waiting(&driven, chan, 0, value);
	CHECK_EQ(chan_put(chan, 8), 0);
	drive_end(&driven);
	CHECK_EQ(*value, 8);
}

/* ---- later ------------------------------------------------------------------------------ */

/* One receive, or one send, that it does not wait for: *ret_future, and then it is done. */
struct take_later {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long *place;
	struct xyl_future **ret_future;
	int64_t bound;
};

static xyl_step take_later(void *frame)
{
	struct take_later *self = frame;

	XYL_BEGIN(self)
	*self->ret_future = xyl_later(hand_bounded(xyl_recv(self->chan, self->place), self->bound));
	XYL_END(0);
}

struct put_later {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long value;
	struct xyl_future **ret_future;
	int64_t bound;
};

static xyl_step put_later(void *frame)
{
	struct put_later *self = frame;

	XYL_BEGIN(self)
	*self->ret_future =
		xyl_later(hand_bounded(xyl_send(self->chan, &self->value), self->bound));
	XYL_END(0);
}

static ssize_t future_value(const struct driven *driven, struct xyl_future *future)
{
	struct xyl_task *getter = DRIVE_SPAWN(driven, get, .future = future);

	return hand_join(driven, getter);
}

TEST(a_receive_for_later_keeps_its_place_in_the_line)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(0);
	struct xyl_task *first = take_waiting(&driven, chan, 1), *third;
	long *place = xyl_alloc(sizeof(long));
	struct xyl_future **future = xyl_alloc(sizeof(void *));

	hand_join(&driven, DRIVE_SPAWN(&driven, take_later, .chan = chan, .place = place,
				       .ret_future = future));
	CHECK_EQ(chan_waiters(chan), 2);
	third = take_waiting(&driven, chan, 3);
	for (long i = 1; i <= 3; i++)
		CHECK_EQ(chan_put(chan, i), 0);
	CHECK_EQ(hand_join(&driven, first), 1);
	CHECK_EQ(hand_join(&driven, third), 3);
	CHECK_EQ(future_value(&driven, *future), 0);
	CHECK_EQ(*place, 2);
	drive_end(&driven);
}

TEST(a_send_for_later_keeps_its_value_and_its_place)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(0);
	struct xyl_future **future = xyl_alloc(sizeof(void *));

	put_waiting(&driven, chan, 1, 1);
	hand_join(&driven,
		  DRIVE_SPAWN(&driven, put_later, .chan = chan, .value = 2, .ret_future = future));
	put_waiting(&driven, chan, 3, 3);
	for (long i = 1; i <= 3; i++)
		CHECK_EQ(chan_take(chan), i);
	CHECK_EQ(future_value(&driven, *future), 0);
	drive_end(&driven);
}

TEST(what_was_left_for_later_is_told_of_a_close_and_of_a_bound)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_of_longs(0);
	struct xyl_future **futures = xyl_alloc(4 * sizeof(void *));
	long *place = xyl_alloc(sizeof(long));

	hand_join(&driven, DRIVE_SPAWN(&driven, take_later, .chan = chan, .place = place,
				       .ret_future = &futures[0], .bound = XYL_MS));
	CHECK_EQ(future_value(&driven, futures[0]), -ETIMEDOUT);
	CHECK_EQ(chan_waiters(chan), 0);
	hand_join(&driven, DRIVE_SPAWN(&driven, take_later, .chan = chan, .place = place,
				       .ret_future = &futures[1]));
	xyl_chan_close(chan);
	CHECK_EQ(future_value(&driven, futures[1]), -EPIPE);
	hand_join(&driven,
		  DRIVE_SPAWN(&driven, put_later, .chan = chan, .ret_future = &futures[2]));
	CHECK_EQ(future_value(&driven, futures[2]), -EPIPE);
	drive_end(&driven);
}

/* ---- later, while a thread outside has the value on its way ------------------------------ */

/* It claims who waits, says so, and is slow to give it the value. */
struct slow_sender {
	struct xyl_chan *chan;
	long value;
	int yields;
	bool gives_first;
	atomic_bool claimed, go;
};

static void *slow_send(void *arg)
{
	struct slow_sender *sender = arg;
	struct xyli_wait *wait;

	CHECK_EQ(xyl_thread_attach(), 0);
	while (!atomic_load(&sender->go))
		sched_yield();
	wait = receiver_claim(sender->chan, sender->value);
	if (sender->gives_first)
		xyli_give(wait, 0);
	atomic_store(&sender->claimed, true);
	for (int i = 0; i < sender->yields; i++)
		sched_yield();
	if (!sender->gives_first)
		xyli_give(wait, 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

static struct xyl_future *later_once_claimed(struct slow_sender *sender, xyl_pending op)
{
	atomic_store(&sender->go, true);
	while (!atomic_load(&sender->claimed))
		sched_yield();
	return xyl_later(op);
}

/* Another task's value is on its way, too, before and behind. */
struct raced {
	struct xyl_frame frame;
	struct slow_sender *sender;
	struct xyl_chan *chan, *other;
	long value;
	struct xyl_future *future;
	ssize_t n;
};

static xyl_step raced(void *frame)
{
	struct raced *self = frame;

	XYL_BEGIN(self)
	self->future = later_once_claimed(self->sender, xyl_recv(self->chan, &self->value));
	CHECK(self->future != NULL);
	XYL_AWAIT(self->n, xyl_recv(self->other, NULL)); /* its wait is in use again */
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	CHECK_EQ(self->n, 0);
	XYL_END(self->value);
}

static void race_once(bool gives_first, int yields)
{
	struct driven driven = drive_begin(NULL);
	struct slow_sender *sender = xyl_new(struct slow_sender);
	struct xyl_chan *other = chan_of_longs(0), *before = chan_of_longs(0);
	struct xyl_task *waits = take_waiting(&driven, before, 1), *task;
	pthread_t thread;

	sender->chan = chan_of_longs(0);
	sender->value = 6;
	sender->gives_first = gives_first;
	sender->yields = yields;
	CHECK(pthread_create(&thread, NULL, slow_send, sender) == 0);
	task = DRIVE_SPAWN(&driven, raced, .sender = sender, .chan = sender->chan, .other = other);
	CHECK_EQ(chan_put(before, 9), 0);
	chan_await(&driven, other, 1);
	pthread_join(thread, NULL);
	CHECK_EQ(chan_put(other, 1), 0);
	CHECK_EQ(hand_join(&driven, task), 6);
	CHECK_EQ(hand_join(&driven, waits), 9);
	drive_end(&driven);
}

TEST(a_wait_left_for_later_takes_a_value_along_that_is_on_its_way)
{
	for (int i = 0; i < 20; i++) {
		race_once(true, 0);
		race_once(false, i);
	}
}

/* Without a plan: each value arrives once. */
struct later_often {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long n, i, sum, value, *place;
	struct xyl_future *future;
	ssize_t r;
};

static xyl_step later_often(void *frame)
{
	struct later_often *self = frame;

	XYL_BEGIN(self)
	self->place = xyl_alloc(sizeof(long));
	for (self->i = 0; self->i < self->n; self->i++) {
		self->future = xyl_later(xyl_recv(self->chan, self->place));
		XYL_AWAIT(self->r, xyl_future_get(self->future));
		CHECK_EQ(self->r, 0);
		self->sum += *self->place;
	}
	XYL_END(self->sum);
}

struct outsider {
	struct xyl_chan *chan;
	long n;
};

static void *outside(void *arg)
{
	struct outsider *outsider = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (long i = 1; i <= outsider->n; i++)
		while (chan_put(outsider->chan, i) == -EAGAIN)
			sched_yield();
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(waits_left_for_later_race_with_a_thread_that_sends)
{
	long n = (long)test_scaled(50000);
	struct outsider *outsider = xyl_new(struct outsider);
	pthread_t thread;

	*outsider = (struct outsider){ chan_of_longs(0), n };
	CHECK(pthread_create(&thread, NULL, outside, outsider) == 0);
	CHECK_EQ(RUN(later_often, .chan = outsider->chan, .n = n), n * (n + 1) / 2);
	pthread_join(thread, NULL);
	chan_check_clean(outsider->chan);
}
