/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to fire a token that 10 000 tasks wait for, from the call until the last
 * of them has run?  They wait for the token itself, or for 100 below it; in xyl_cancel_wait,
 * or in a receive until the token.  And how long does it take from the call in a thread
 * to the task on a shard that sleeps, three tokens below?
 *
 * What would make it lie: stopping the clock when xyl_cancel_fire returns, for most of
 * the work is to run them; or a shard that does not sleep yet.
 */
#include "harness.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <xylem/xylem.h>

enum { WAITERS = 10000, BELOW = 100 };

struct waiter {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	struct xyl_chan *chan; /* receive from it, until the token */
	long *left;
	ssize_t r;
};

static xyl_step waiter(void *frame)
{
	struct waiter *self = frame;

	XYL_BEGIN(self)
	if (self->chan)
		XYL_AWAIT(self->r, xyl_until(xyl_recv(self->chan, NULL), self->token));
	else
		XYL_AWAIT(self->r, xyl_cancel_wait(self->token));
	--*self->left;
	XYL_END(self->r);
}

struct crowd {
	struct xyl_frame frame;
	long n, done;
	double *ret;
	bool below, until;
	struct xyl_cancel *top, *token;
	struct xyl_chan *chan;
	long left;
	int64_t t0, ns;
	ssize_t r;
};

static void waiters_spawn(struct crowd *self)
{
	self->top = self->token = xyl_cancel_new(NULL);
	self->chan = self->until ? xyl_chan_new(0, 0) : NULL;
	for (self->left = 0; self->left < WAITERS; self->left++) {
		if (self->below && self->left % (WAITERS / BELOW) == 0)
			self->token = xyl_cancel_new(self->top);
		bench_check(xyl_spawn(waiter, .token = self->token, .chan = self->chan,
				      .left = &self->left) != NULL,
			    "xyl_spawn");
	}
}

static xyl_step crowd(void *frame)
{
	struct crowd *self = frame;

	XYL_BEGIN(self)
	for (self->done = 0; self->done < self->n; self->done += WAITERS) {
		waiters_spawn(self);
		XYL_AWAIT(self->r, xyl_yield()); /* all wait */
		XYL_AWAIT(self->r, xyl_sleep(XYL_MS));
		self->t0 = bench_now();
		xyl_cancel_fire(self->top);
		while (self->left > 0)
			XYL_AWAIT(self->r, xyl_yield());
		self->ns += bench_now() - self->t0;
	}
	*self->ret = (double)self->ns / (double)self->done;
	XYL_END(0);
}

static void crowd_run(long n, double *ret, bool below, bool until)
{
	ssize_t r = xyl_run(crowd, .n = n, .ret = ret, .below = below, .until = until);

	bench_check(r == 0, xyl_runtime_why());
}

static void waiting(long n, double *ret)
{
	crowd_run(n, ret, false, false);
}

static void waiting_below(long n, double *ret)
{
	crowd_run(n, ret, true, false);
}

static void receiving(long n, double *ret)
{
	crowd_run(n, ret, false, true);
}

/* ---- from a thread to a task that sleeps ------------------------------------------------ */

struct woken {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	atomic_bool *waits;
	_Atomic int64_t *at;
	ssize_t r;
};

static xyl_step woken(void *frame)
{
	struct woken *self = frame;

	XYL_BEGIN(self)
	atomic_store(self->waits, true);
	XYL_AWAIT(self->r, xyl_cancel_wait(self->token));
	atomic_store(self->at, bench_now());
	XYL_END(self->r);
}

static double wake_one(struct xyl_runtime *rt)
{
	struct xyl_cancel *top = xyl_cancel_new(NULL);
	struct xyl_cancel *token = xyl_cancel_new(xyl_cancel_new(top));
	const struct timespec while_it_goes_to_sleep = { 0, 200000 };
	atomic_bool waits = false;
	_Atomic int64_t at = 0;
	int64_t t0;

	xyl_runtime_spawn(rt, XYL_HERE, woken, .token = token, .waits = &waits, .at = &at);
	while (!atomic_load(&waits))
		sched_yield();
	nanosleep(&while_it_goes_to_sleep, NULL);
	t0 = bench_now();
	xyl_cancel_fire(top);
	while (!atomic_load(&at))
		sched_yield();
	return (double)(atomic_load(&at) - t0) / 1000;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median and 99th percentile, in microseconds. */
static void wake(long n, double *ret)
{
	double *us = calloc((size_t)n, sizeof(*us));
	struct xyl_runtime *rt;

	bench_check(us != NULL, "calloc");
	bench_check(xyl_runtime_new(&rt, NULL) == 0 && xyl_runtime_start(rt) == 0,
		    xyl_runtime_why());
	for (long i = 0; i < n; i++)
		us[i] = wake_one(rt);
	bench_check(xyl_runtime_stop(rt, XYL_SEC) == 0, "xyl_runtime_stop");
	qsort(us, (size_t)n, sizeof(*us), by_size);
	ret[0] = us[n / 2];
	ret[1] = us[n - 1 - n / 100];
	free(us);
}

static void print(const char *question, bench_side *side, long n)
{
	struct bench_pair pair;

	bench_in_turn(side, bench_calloc_128, n, 5, &pair);
	bench_print_beside(question, pair.a[0], "ns", "calloc+free 128 B", pair.b[0],
			   pair.ratio[0]);
}

int main(int argc, char **argv)
{
	double us[BENCH_FIGURES];
	long n;

	bench_init(argc, argv);
	n = bench_n(500000);
	print("fire, 10 000 wait", waiting, n);
	print("fire, 10 000 wait below", waiting_below, n);
	print("fire, 10 000 receive until", receiving, n);
	bench_alone(wake, n / 250, 3, us);
	bench_print("fired in a thread, median", us[0], "us");
	bench_print("fired in a thread, p99", us[1], "us");
	return 0;
}
