/* SPDX-License-Identifier: MIT */
/*
 * What does an async call cost whose callee has a frame of its own (80 bytes) and does
 * not suspend?
 *
 * What would make it lie: a callee that the compiler sees through (its frame goes through
 * the library, so it cannot), or comparing with GC_malloc as the library sets the
 * collector up: here GC_malloc runs with the collector's own defaults.
 */
#include "harness.h"

#include <xylem/xylem.h>

struct callee {
	struct xyl_frame frame;
	ssize_t value;
	long local[5];
};

_Static_assert(sizeof(struct callee) == 80, "the question is about a frame of 80 bytes");

static xyl_step callee(void *frame)
{
	struct callee *self = frame;

	XYL_BEGIN(self)
	self->local[0] = self->value;
	XYL_END(self->local[0]);
}

struct caller {
	struct xyl_frame frame;
	long n, i;
	double *ret;
	int64_t t0;
	ssize_t r, sum;
};

static xyl_step caller(void *frame)
{
	struct caller *self = frame;

	XYL_BEGIN(self)
	self->t0 = bench_now();
	for (self->i = 0; self->i < self->n; self->i++) {
		XYL_AWAIT(self->r, xyl_call(callee, .value = 1));
		self->sum += self->r;
	}
	*self->ret = bench_ns_each(self->t0, self->n);
	XYL_END(self->sum);
}

static void xylem(long n, double *ret)
{
	bench_check(xyl_run(caller, .n = n, .ret = ret) == n, xyl_runtime_why());
}

int main(int argc, char **argv)
{
	struct bench_pair pair;

	bench_init(argc, argv);
	bench_in_turn(xylem, bench_gc_malloc_64, bench_n(5000000), 5, &pair);
	bench_print_beside("async call, 80 B frame", pair.a[0], "ns", "GC_malloc 64 B", pair.b[0],
			   pair.ratio[0]);
	return 0;
}
