/* SPDX-License-Identifier: MIT */
/*
 * channel_threads.c - threads outside and runtimes on threads of their own share a channel:
 * each value arrives once, and those of one sender in their order.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/asyncs.h"
#include "tests/chans.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { SENDERS = 8, RECEIVERS = 8, THREADS_MAX = 20 };

/* Each value is sender * MANY + its number, from 1. */
#define MANY 1000000L

struct fair {
	struct xyl_chan *chan;
	long n;		    /* each sender sends so many */
	atomic_uchar *seen; /* how often each has come */
	atomic_long sending, sent, received;
};

static struct fair *fair_new(ptrdiff_t capacity, long senders, long n)
{
	struct fair *fair = xyl_new(struct fair);

	fair->chan = xyl_chan_new(sizeof(long), capacity);
	fair->n = n;
	fair->seen = xyl_alloc_bytes((size_t)(senders * (n + 1)));
	for (long i = 0; i < senders * (n + 1); i++)
		atomic_init(&fair->seen[i], 0);
	atomic_store(&fair->sending, senders);
	return fair;
}

/* The last of the senders closes it. */
static void fair_sent(struct fair *fair, long n)
{
	atomic_fetch_add(&fair->sent, n);
	if (atomic_fetch_sub(&fair->sending, 1) == 1)
		xyl_chan_close(fair->chan);
}

static void fair_received(struct fair *fair, long value, long *last)
{
	long sender = value / MANY, number = value % MANY;

	CHECK(number >= 1 && number <= fair->n);
	CHECK(last[sender] < number);
	last[sender] = number;
	CHECK_EQ(atomic_fetch_add(&fair->seen[sender * (fair->n + 1) + number], 1), 0);
	atomic_fetch_add(&fair->received, 1);
}

static void fair_check(struct fair *fair, long senders)
{
	struct xyl_chan_stats stats;

	xyl_chan_stats(fair->chan, &stats);
	CHECK_EQ(atomic_load(&fair->sent), senders * fair->n);
	CHECK_EQ(stats.sent, senders * fair->n);
	CHECK_EQ(stats.received, atomic_load(&fair->received));
	if (fair->chan->capacity != XYL_CONFLATED)
		CHECK_EQ(atomic_load(&fair->received), senders * fair->n);
	chan_check_clean(fair->chan);
}

/* ---- threads outside --------------------------------------------------------------------- */

struct outsider {
	struct fair *fair;
	long number;
	bool waits; /* and does not try again and again */
	pthread_t thread;
};

static ssize_t outside_send(const struct outsider *outsider, long value)
{
	ssize_t r;

	if (outsider->waits)
		return xyl_send_wait(outsider->fair->chan, &value, -1);
	while ((r = chan_put(outsider->fair->chan, value)) == -EAGAIN)
		sched_yield();
	return r;
}

static void *thread_send(void *arg)
{
	struct outsider *outsider = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (long i = 1; i <= outsider->fair->n; i++)
		CHECK_EQ(outside_send(outsider, outsider->number * MANY + i), 0);
	fair_sent(outsider->fair, outsider->fair->n);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

static ssize_t outside_recv(const struct outsider *outsider, long *ret_value)
{
	ssize_t r;

	if (outsider->waits)
		return xyl_recv_wait(outsider->fair->chan, ret_value, -1);
	while ((r = xyl_try_recv(outsider->fair->chan, ret_value)) == -EAGAIN)
		sched_yield();
	return r;
}

static void *thread_receive(void *arg)
{
	struct outsider *outsider = arg;
	long last[SENDERS] = { 0 }, value;
	ssize_t r;

	CHECK_EQ(xyl_thread_attach(), 0);
	while ((r = outside_recv(outsider, &value)) == 0)
		fair_received(outsider->fair, value, last);
	CHECK_EQ(r, -EPIPE);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

/* ---- runtimes ------------------------------------------------------------------------------ */

struct send_fair {
	struct xyl_frame frame;
	struct fair *fair;
	long number, i, value;
	ssize_t r;
};

static xyl_step send_fair(void *frame)
{
	struct send_fair *self = frame;

	XYL_BEGIN(self)
	for (self->i = 1; self->i <= self->fair->n; self->i++) {
		self->value = self->number * MANY + self->i;
		XYL_AWAIT(self->r, xyl_send(self->fair->chan, &self->value));
		CHECK_EQ(self->r, 0);
	}
	fair_sent(self->fair, self->fair->n);
	XYL_END(0);
}

struct receive_fair {
	struct xyl_frame frame;
	struct fair *fair;
	long value, last[SENDERS];
	ssize_t r;
};

static xyl_step receive_fair(void *frame)
{
	struct receive_fair *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, xyl_recv(self->fair->chan, &self->value));
		if (self->r < 0)
			break;
		fair_received(self->fair, self->value, self->last);
	}
	CHECK_EQ(self->r, -EPIPE);
	XYL_END(0);
}

/* Two senders and two receivers. */
struct some_of_each {
	struct xyl_frame frame;
	struct fair *fair;
	long number;
	struct xyl_task *tasks[4];
	int i;
	ssize_t r;
};

static xyl_step some_of_each(void *frame)
{
	struct some_of_each *self = frame;

	XYL_BEGIN(self)
	self->tasks[0] = xyl_spawn(send_fair, .fair = self->fair, .number = self->number);
	self->tasks[1] = xyl_spawn(receive_fair, .fair = self->fair);
	self->tasks[2] = xyl_spawn(send_fair, .fair = self->fair, .number = self->number + 1);
	self->tasks[3] = xyl_spawn(receive_fair, .fair = self->fair);
	for (self->i = 0; self->i < 4; self->i++)
		XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
	XYL_END(0);
}

static void *thread_runtime(void *arg)
{
	struct outsider *outsider = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_run(some_of_each, .fair = outsider->fair, .number = outsider->number), 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

/* ---- all of them ----------------------------------------------------------------------------- */

struct cast {
	struct outsider *actors;
	int n;
};

static struct cast cast_new(void)
{
	return (struct cast){ xyl_alloc(THREADS_MAX * sizeof(struct outsider)), 0 };
}

static void cast_add(struct cast *cast, void *(*fn)(void *), struct fair *fair, long number,
		     bool waits)
{
	struct outsider *outsider = &cast->actors[cast->n++];

	*outsider = (struct outsider){ .fair = fair, .number = number, .waits = waits };
	CHECK(pthread_create(&outsider->thread, NULL, fn, outsider) == 0);
}

static void cast_join(struct cast *cast)
{
	for (int i = 0; i < cast->n; i++)
		pthread_join(cast->actors[i].thread, NULL);
}

static const ptrdiff_t capacities[] = { 0, 1, 16, XYL_UNLIMITED, XYL_CONFLATED };

static void outsiders_meet(ptrdiff_t capacity, bool waits)
{
	struct fair *fair = fair_new(capacity, 3, (long)test_scaled(3000));
	struct cast cast = cast_new();

	for (long i = 0; i < 3; i++) {
		cast_add(&cast, thread_send, fair, i, waits);
		cast_add(&cast, thread_receive, fair, i, waits);
	}
	cast_join(&cast);
	fair_check(fair, 3);
}

TEST(threads_outside_try_to_send_and_to_receive)
{
	for (size_t i = 1; i < 5; i++) /* two who only try never meet at a rendezvous */
		outsiders_meet(capacities[i], false);
}

TEST(threads_outside_wait_for_each_other)
{
	for (size_t i = 0; i < 5; i++)
		outsiders_meet(capacities[i], true);
}

static void runtimes_meet(ptrdiff_t capacity)
{
	struct fair *fair = fair_new(capacity, 6, (long)test_scaled(10000));
	struct cast cast = cast_new();

	for (long i = 0; i < 3; i++)
		cast_add(&cast, thread_runtime, fair, 2 * i, false);
	cast_join(&cast);
	fair_check(fair, 6);
}

TEST(tasks_of_three_runtimes_share_a_channel)
{
	for (size_t i = 0; i < 5; i++)
		runtimes_meet(capacities[i]);
}

static void all_meet(ptrdiff_t capacity)
{
	struct fair *fair = fair_new(capacity, 6, (long)test_scaled(10000));
	struct cast cast = cast_new();

	cast_add(&cast, thread_runtime, fair, 0, false);
	cast_add(&cast, thread_runtime, fair, 2, false);
	cast_add(&cast, thread_send, fair, 4, true);
	cast_add(&cast, thread_send, fair, 5, false);
	cast_add(&cast, thread_receive, fair, 0, true);
	cast_add(&cast, thread_receive, fair, 0, false);
	cast_join(&cast);
	fair_check(fair, 6);
}

TEST(tasks_and_threads_outside_share_a_channel)
{
	for (size_t i = 0; i < 5; i++)
		all_meet(capacities[i]);
}

/* ---- the channel is a shard's when a thread comes -------------------------------------------- */

/* Sends and receives by itself until the thread has sent all, and what it sent has come. */
struct owner {
	struct xyl_frame frame;
	struct fair *fair;
	long i, value, ours, last[SENDERS], theirs;
	ssize_t r;
};

static xyl_step owner(void *frame)
{
	struct owner *self = frame;

	XYL_BEGIN(self)
	for (self->i = 1; self->ours < self->i - 1 || self->theirs < self->fair->n; self->i++) {
		self->value = MANY + self->i;
		XYL_AWAIT(self->r, xyl_send(self->fair->chan, &self->value));
		CHECK_EQ(self->r, 0);
		do {
			XYL_AWAIT(self->r, xyl_recv(self->fair->chan, &self->value));
			CHECK_EQ(self->r, 0);
			if (self->value >= MANY)
				CHECK_EQ(self->value, MANY + ++self->ours);
			else
				CHECK_EQ(self->value, ++self->theirs);
		} while (xyl_chan_len(self->fair->chan) > 0);
		if (self->i > 20 && self->theirs == 0)
			sched_yield();
	}
	XYL_END(0);
}

static void *thread_come(void *arg)
{
	struct outsider *outsider = arg;
	unsigned loiter = (unsigned)(test_random() % 5000);

	CHECK_EQ(xyl_thread_attach(), 0);
	for (volatile unsigned i = 0; i < loiter; i++)
		;
	for (long i = 1; i <= outsider->fair->n; i++)
		CHECK_EQ(outside_send(outsider, i), 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(a_thread_comes_while_a_shard_is_busy_with_its_own_channel)
{
	long rounds = (long)test_scaled(300);

	for (long i = 0; i < rounds; i++) {
		struct fair *fair = fair_new(64, 1, 20); /* there is always room */
		struct cast cast = cast_new();

		cast_add(&cast, thread_come, fair, 0, false);
		CHECK_EQ(RUN(owner, .fair = fair), 0);
		cast_join(&cast);
		chan_check_clean(fair->chan);
	}
}

/* ---- wake-ups -------------------------------------------------------------------------------- */

/* 8 threads x 100 000 wakes, none lost.  Each send
 * wakes the receiver of another thread, or is woken by him. */
TEST(eight_threads_wake_a_task_again_and_again)
{
	struct fair *fair = fair_new(0, SENDERS, (long)test_scaled(100000));
	struct cast cast = cast_new();

	for (long i = 0; i < SENDERS; i++)
		cast_add(&cast, thread_send, fair, i, true);
	CHECK_EQ(RUN(receive_fair, .fair = fair), 0);
	cast_join(&cast);
	fair_check(fair, SENDERS);
}

/* ---- closing, and aborting ------------------------------------------------------------------- */

static void *thread_wait(void *arg)
{
	struct outsider *outsider = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_run(receive_fair, .fair = outsider->fair), 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(a_close_wakes_the_waiters_of_all_threads)
{
	for (int i = 0; i < 20; i++) {
		struct fair *fair = fair_new(i % 3, 1, 1);
		struct cast cast = cast_new();

		for (int j = 0; j < 3; j++) {
			cast_add(&cast, thread_wait, fair, 0, false);
			cast_add(&cast, thread_receive, fair, 0, true);
		}
		for (int j = 0; (int)line_len(&fair->chan->receivers) < i % 7; j++)
			sched_yield();
		xyl_chan_close(fair->chan);
		cast_join(&cast);
		chan_check_clean(fair->chan);
	}
}

/* Those that are aborted while values are on their way: what they got is not lost. */
struct take_until_cut {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	atomic_long *received;
	long value;
	ssize_t r;
};

static xyl_step take_until_cut(void *frame)
{
	struct take_until_cut *self = frame;

	XYL_BEGIN(self)
	do {
		XYL_AWAIT(self->r, xyl_recv(self->chan, &self->value));
		if (self->r == 0)
			atomic_fetch_add(self->received, 1);
	} while (self->r == 0);
	CHECK(self->r == -ECANCELED || self->r == -EPIPE);
	XYL_END(0);
}

struct cut_again {
	struct xyl_frame frame;
	struct fair *fair;
	struct xyl_task *task;
	ssize_t r;
};

static xyl_step cut_again(void *frame)
{
	struct cut_again *self = frame;

	XYL_BEGIN(self)
	while (!xyl_chan_is_closed(self->fair->chan)) {
		self->task = xyl_spawn(take_until_cut, .chan = self->fair->chan,
				       .received = &self->fair->received);
		XYL_AWAIT(self->r, xyl_yield());
		XYL_AWAIT(self->r, xyl_yield());
		xyl_abort(self->task);
		XYL_AWAIT(self->r, xyl_join(self->task));
	}
	XYL_AWAIT(self->r, xyl_call(take_until_cut, .chan = self->fair->chan,
				    .received = &self->fair->received));
	XYL_END(0);
}

TEST(receivers_are_aborted_while_threads_send_and_no_value_is_lost)
{
	for (size_t i = 0; i < 4; i++) {
		struct fair *fair = fair_new(capacities[i], 3, (long)test_scaled(2000));
		struct cast cast = cast_new();

		for (long j = 0; j < 3; j++)
			cast_add(&cast, thread_send, fair, j, j != 0);
		CHECK_EQ(RUN(cut_again, .fair = fair), 0);
		cast_join(&cast);
		fair_check(fair, 3);
	}
}
