/* SPDX-License-Identifier: MIT */
/*
 * What does a switch between tasks cost?  100 tasks yield in turn; time over all yields.
 *
 * What would make it lie: one task alone (its frame never leaves the L1 cache, and a
 * runtime may notice that nobody else is ready); so few yields that the 100 spawns count.
 */
#include "harness.h"

#include <xylem/xylem.h>

enum { TASKS = 100 };

struct yielder {
	struct xyl_frame frame;
	long left;
	ssize_t r;
};

static xyl_step yielder(void *frame)
{
	struct yielder *self = frame;

	XYL_BEGIN(self)
	while (self->left-- > 0)
		XYL_AWAIT(self->r, xyl_yield());
	XYL_END(0);
}

struct root_task {
	struct xyl_frame frame;
	long n;
	double *ret;
	int64_t t0;
	struct xyl_task **tasks;
	ssize_t r;
	int i;
};

static xyl_step root_task(void *frame)
{
	struct root_task *self = frame;

	XYL_BEGIN(self)
	self->tasks = xyl_alloc(TASKS * sizeof(*self->tasks));
	for (self->i = 0; self->i < TASKS; self->i++)
		self->tasks[self->i] = xyl_spawn(yielder, .left = self->n / TASKS);
	self->t0 = bench_now();
	for (self->i = 0; self->i < TASKS; self->i++)
		XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
	*self->ret = bench_ns_each(self->t0, self->n);
	XYL_END(0);
}

static void xylem(long n, double *ret)
{
	bench_check(xyl_run(root_task, .n = n, .ret = ret) == 0, xyl_runtime_why());
}

int main(int argc, char **argv)
{
	struct bench_pair pair;

	bench_init(argc, argv);
	bench_in_turn(xylem, bench_call_and_queue, bench_n(20000000), 5, &pair);
	bench_print_beside("yield, 100 tasks", pair.a[0], "ns", "call and queue", pair.b[0],
			   pair.ratio[0]);
	return 0;
}
