/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to wake everybody who waits for a token?  10 000 tasks wait for one; it
 * is fired; time over the waiters, until the last of them has run.  Spawning, parking and
 * joining are not in the time.
 *
 * What would make it lie: stopping the clock when the fire returns (it stops in the waiter
 * that runs last); waiters that had not parked yet (they are counted before the fire); a
 * handful of waiters, whose frames stay in the nearest cache.
 */
#include "harness.h"

#include <xylem/xylem.h>

enum { WAITERS = 10000 };

struct crowd {
	struct xyl_cancel *token;
	int parked, woken;
	int64_t last_ns;
};

struct waiter {
	struct xyl_frame frame;
	struct crowd *crowd;
	ssize_t r;
};

static xyl_step waiter(void *frame)
{
	struct waiter *self = frame;

	XYL_BEGIN(self)
	self->crowd->parked++;
	XYL_AWAIT(self->r, xyl_cancel_wait(self->crowd->token));
	if (++self->crowd->woken == WAITERS)
		self->crowd->last_ns = bench_now();
	XYL_END(self->r);
}

struct firer {
	struct xyl_frame frame;
	long n, done;
	double *ret;
	struct crowd *crowd;
	struct xyl_task **tasks;
	int i;
	int64_t t0, ns;
	ssize_t r, failed;
};

static struct crowd *crowd_new(void)
{
	struct crowd *crowd = xyl_new(struct crowd);

	bench_check(crowd != NULL, "xyl_new");
	crowd->token = xyl_cancel_new(NULL);
	bench_check(crowd->token != NULL, "xyl_cancel_new");
	return crowd;
}

static xyl_step firer(void *frame)
{
	struct firer *self = frame;

	XYL_BEGIN(self)
	self->tasks = xyl_alloc(WAITERS * sizeof(*self->tasks));
	for (self->done = 0; self->done < self->n; self->done += WAITERS) {
		self->crowd = crowd_new();
		for (self->i = 0; self->i < WAITERS; self->i++)
			self->tasks[self->i] = xyl_spawn(waiter, .crowd = self->crowd);
		XYL_AWAIT(self->r, xyl_yield());
		bench_check(self->crowd->parked == WAITERS && self->crowd->woken == 0, "all wait");
		self->t0 = bench_now();
		xyl_cancel_fire(self->crowd->token);
		for (self->i = 0; self->i < WAITERS; self->i++) {
			XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
			self->failed += self->r != 0;
		}
		bench_check(self->crowd->woken == WAITERS, "all have run");
		self->ns += self->crowd->last_ns - self->t0;
	}
	bench_check(self->failed == 0, "a wait for a token that fires gives 0");
	*self->ret = (double)self->ns / (double)self->done;
	XYL_END(0);
}

static void fire(long n, double *ret)
{
	bench_check(xyl_run(firer, .n = n, .ret = ret) == 0, xyl_runtime_why());
}

int main(int argc, char **argv)
{
	struct bench_pair pair;

	bench_init(argc, argv);
	bench_in_turn(fire, bench_calloc_128, bench_n(1000000), 5, &pair);
	bench_print_beside("token fired, 10 000 waiters, each", pair.a[0], "ns",
			   "calloc+free 128 B", pair.b[0], pair.ratio[0]);
	return 0;
}
