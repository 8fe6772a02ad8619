/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to fire a token?
 *
 * 10 000 tasks wait; it is fired; time over the waiters, until the last of them has run.
 * They wait for the token itself, or for one of 100 below it, in xyl_cancel_wait; or in a
 * receive until the token.  Spawning, parking and joining are not in the time.  And how long
 * does it take from the call in a thread to the task on a shard that sleeps, two below?
 *
 * What would make it lie: stopping the clock when the fire returns (it stops in the waiter
 * that runs last); waiters that had not parked yet (they are counted before the fire); a
 * handful of waiters, whose frames stay in the nearest cache; a shard that does not sleep
 * yet.
 */
#include "harness.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <xylem/xylem.h>

enum { WAITERS = 10000, BELOW = 100 };

struct crowd {
	struct xyl_cancel *top, *token; /* the one that is fired, the one waited for next */
	struct xyl_chan *chan;		/* nothing comes there; NULL: none receives */
	int parked, woken;
	int64_t last_ns;
};

struct waiter {
	struct xyl_frame frame;
	struct crowd *crowd;
	struct xyl_cancel *token;
	ssize_t r;
};

static xyl_step waiter(void *frame)
{
	struct waiter *self = frame;

	XYL_BEGIN(self)
	self->crowd->parked++;
	if (self->crowd->chan)
		XYL_AWAIT(self->r, xyl_until(xyl_recv(self->crowd->chan, NULL), self->token));
	else
		XYL_AWAIT(self->r, xyl_cancel_wait(self->token));
	if (++self->crowd->woken == WAITERS)
		self->crowd->last_ns = bench_now();
	XYL_END(self->r);
}

struct firer {
	struct xyl_frame frame;
	long n, done;
	double *ret;
	bool below, until;
	struct crowd *crowd;
	struct xyl_task **tasks;
	int i;
	int64_t t0, ns;
	ssize_t r, failed;
};

static struct crowd *crowd_new(bool until)
{
	struct crowd *crowd = xyl_new(struct crowd);

	bench_check(crowd != NULL, "xyl_new");
	crowd->top = crowd->token = xyl_cancel_new(NULL);
	bench_check(crowd->top != NULL, "xyl_cancel_new");
	crowd->chan = until ? xyl_chan_new(0, 0) : NULL;
	return crowd;
}

static void crowd_spawn(const struct firer *self)
{
	struct crowd *crowd = self->crowd;

	for (int i = 0; i < WAITERS; i++) {
		if (self->below && i % (WAITERS / BELOW) == 0)
			crowd->token = xyl_cancel_new(crowd->top);
		self->tasks[i] = xyl_spawn(waiter, .crowd = crowd, .token = crowd->token);
	}
}

static xyl_step firer(void *frame)
{
	struct firer *self = frame;

	XYL_BEGIN(self)
	self->tasks = xyl_alloc(WAITERS * sizeof(*self->tasks));
	for (self->done = 0; self->done < self->n; self->done += WAITERS) {
		self->crowd = crowd_new(self->until);
		crowd_spawn(self);
		XYL_AWAIT(self->r, xyl_yield());
		bench_check(self->crowd->parked == WAITERS && self->crowd->woken == 0, "all wait");
		self->t0 = bench_now();
		xyl_cancel_fire(self->crowd->top);
		for (self->i = 0; self->i < WAITERS; self->i++) {
			XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
			self->failed += self->r != (self->until ? -ECANCELED : 0);
		}
		bench_check(self->crowd->woken == WAITERS, "all have run");
		self->ns += self->crowd->last_ns - self->t0;
	}
	bench_check(self->failed == 0, "a wait for a token that fires ends with it");
	*self->ret = (double)self->ns / (double)self->done;
	XYL_END(0);
}

static void fire(long n, double *ret)
{
	bench_check(xyl_run(firer, .n = n, .ret = ret) == 0, xyl_runtime_why());
}

static void fire_above(long n, double *ret)
{
	bench_check(xyl_run(firer, .n = n, .ret = ret, .below = true) == 0, xyl_runtime_why());
}

static void fire_receivers(long n, double *ret)
{
	bench_check(xyl_run(firer, .n = n, .ret = ret, .until = true) == 0, xyl_runtime_why());
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
	n = bench_n(1000000);
	print("token fired, 10 000 waiters, each", fire, n);
	print("token fired, waiters of 100 below", fire_above, n);
	print("token fired, 10 000 receive until it", fire_receivers, n);
	bench_alone(wake, n / 500, 3, us);
	bench_print("token fired in a thread, median", us[0], "us");
	bench_print("token fired in a thread, p99", us[1], "us");
	return 0;
}
