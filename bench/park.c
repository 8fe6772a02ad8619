/* SPDX-License-Identifier: MIT */
/*
 * How many bytes is a parked task?  A million tasks wait on one future, and a million
 * sleep until a random time; each has a frame of the header and two words.
 *
 * What would make it lie: an array of task pointers in the count (there is none here);
 * live bytes alone, which leave out what the heap keeps in reserve, and what is not in the
 * collected heap at all (tables, timers).  So the resident set is the figure that has an
 * aim, measured from a running, collected, but empty runtime.
 */
#include "harness.h"

#include <stdio.h>
#include <xylem/xylem.h>

enum { LIVE, HEAP, RESIDENT, NS };

static long parked_count;

struct parked {
	struct xyl_frame frame;
	struct xyl_future *future;
	ssize_t r;
};

static xyl_step parked(void *frame)
{
	struct parked *self = frame;

	XYL_BEGIN(self)
	parked_count++;
	XYL_AWAIT(self->r, xyl_future_get(self->future));
	XYL_END(self->r);
}

struct dozer {
	struct xyl_frame frame;
	int64_t ns;
	ssize_t r;
};

static xyl_step dozer(void *frame)
{
	struct dozer *self = frame;

	XYL_BEGIN(self)
	parked_count++;
	XYL_AWAIT(self->r, xyl_sleep(self->ns));
	XYL_END(self->r);
}

struct parking {
	struct xyl_frame frame;
	long n, i;
	double *ret;
	bool asleep;
	struct xyl_future *future;
	uint64_t random;
	struct xyl_gc_stats before;
	int64_t rss, t0;
	ssize_t r;
};

static void park_one(struct parking *self)
{
	int64_t ns = 3600 * XYL_SEC + (int64_t)(bench_random(&self->random) % 49000) * XYL_US;
	struct xyl_task *task;

	task = self->asleep ? xyl_spawn(dozer, .ns = ns)
			    : xyl_spawn(parked, .future = self->future);
	bench_check(task != NULL, "xyl_spawn");
}

static void report(const struct parking *self)
{
	struct xyl_gc_stats after;
	double n = (double)self->n;

	xyl_collect();
	xyl_gc_stats(&after);
	self->ret[LIVE] = (double)(int64_t)(after.live_bytes - self->before.live_bytes) / n;
	self->ret[HEAP] = (double)(int64_t)(after.heap_bytes - self->before.heap_bytes) / n;
	self->ret[RESIDENT] = (double)(bench_rss_bytes() - self->rss) / n;
}

static xyl_step parking(void *frame)
{
	struct parking *self = frame;

	XYL_BEGIN(self)
	self->future = xyl_future_new();
	self->random = 88172645463325252u;
	xyl_collect();
	XYL_AWAIT(self->r, xyl_yield());
	xyl_gc_stats(&self->before);
	self->rss = bench_rss_bytes();
	self->t0 = bench_now();
	for (self->i = 0; self->i < self->n; self->i++)
		park_one(self);
	XYL_AWAIT(self->r, xyl_yield());
	self->ret[NS] = bench_ns_each(self->t0, self->n);
	bench_check(parked_count == self->n, "all tasks are parked");
	XYL_AWAIT(self->r, xyl_yield());
	report(self);
	XYL_END(0); /* the runtime's stop aborts them all */
}

static void run(long n, double *ret, bool asleep)
{
	struct xyl_config config = { .quiesce_ns = 30 * XYL_SEC };

	parked_count = 0;
	bench_check(xyl_run_with(&config, parking, .n = n, .ret = ret, .asleep = asleep) == 0,
		    xyl_runtime_why());
}

static void on_future(long n, double *ret)
{
	run(n, ret, false);
}

static void on_sleep(long n, double *ret)
{
	run(n, ret, true);
}

static void print(const char *what, const double *figures)
{
	char question[64];

	snprintf(question, sizeof(question), "task %s, resident", what);
	bench_print(question, figures[RESIDENT], "B");
	snprintf(question, sizeof(question), "task %s, live", what);
	bench_print(question, figures[LIVE], "B");
	snprintf(question, sizeof(question), "task %s, heap", what);
	bench_print(question, figures[HEAP], "B");
	snprintf(question, sizeof(question), "task %s, to spawn and park", what);
	bench_print(question, figures[NS], "ns");
}

int main(int argc, char **argv)
{
	double figures[BENCH_FIGURES];
	long n;

	bench_init(argc, argv);
	n = bench_n(1000000);
	bench_alone(on_future, n, 3, figures);
	print("parked", figures);
	bench_alone(on_sleep, n, 3, figures);
	print("asleep", figures);
	return 0;
}
