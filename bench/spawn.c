/* SPDX-License-Identifier: MIT */
/*
 * What does a task cost from spawn to joined?  One at a time, 1000 in flight, and 1000 in
 * a scope.
 *
 * What would make it lie: a batch so small that frames never leave the cache (hence the
 * figure for 1000 as well), or a run so short that no collection falls into it: the
 * default N allocates some hundred MB, and the collections are in the time.
 */
#include "harness.h"

#include <xylem/xylem.h>

enum { BATCH = 1000 };

struct trivial {
	struct xyl_frame frame;
	ssize_t value;
};

static xyl_step trivial(void *frame)
{
	struct trivial *self = frame;

	XYL_BEGIN(self)
	XYL_END(self->value);
}

struct one_by_one {
	struct xyl_frame frame;
	long n, i;
	double *ret;
	int64_t t0;
	ssize_t r, sum;
};

static xyl_step one_by_one(void *frame)
{
	struct one_by_one *self = frame;

	XYL_BEGIN(self)
	self->t0 = bench_now();
	for (self->i = 0; self->i < self->n; self->i++) {
		XYL_AWAIT(self->r, xyl_join(xyl_spawn(trivial, .value = 1)));
		self->sum += self->r;
	}
	*self->ret = bench_ns_each(self->t0, self->n);
	XYL_END(self->sum);
}

struct batches {
	struct xyl_frame frame;
	long n, done;
	double *ret;
	int64_t t0;
	struct xyl_task **tasks;
	ssize_t r, sum;
	int i;
};

static xyl_step batches(void *frame)
{
	struct batches *self = frame;

	XYL_BEGIN(self)
	self->tasks = xyl_alloc(BATCH * sizeof(*self->tasks));
	self->t0 = bench_now();
	for (self->done = 0; self->done < self->n; self->done += BATCH) {
		for (self->i = 0; self->i < BATCH; self->i++)
			self->tasks[self->i] = xyl_spawn(trivial, .value = 1);
		for (self->i = 0; self->i < BATCH; self->i++) {
			XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
			self->sum += self->r;
		}
	}
	*self->ret = bench_ns_each(self->t0, self->done);
	XYL_END(self->sum);
}

struct scoped {
	struct xyl_frame frame;
	long n, done;
	double *ret;
	int64_t t0;
	struct xyl_scope *scope;
	ssize_t r;
	int i;
};

static xyl_step scoped(void *frame)
{
	struct scoped *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->t0 = bench_now();
	for (self->done = 0; self->done < self->n; self->done += BATCH) {
		for (self->i = 0; self->i < BATCH; self->i++)
			xyl_scope_spawn(self->scope, trivial, .value = 1);
		XYL_AWAIT(self->r, xyl_scope_join(self->scope));
	}
	*self->ret = bench_ns_each(self->t0, self->done);
	XYL_END(self->done);
}

static void xylem_one_by_one(long n, double *ret)
{
	bench_check(xyl_run(one_by_one, .n = n, .ret = ret) == n, xyl_runtime_why());
}

static void xylem_batches(long n, double *ret)
{
	bench_check(xyl_run(batches, .n = n, .ret = ret) >= n, xyl_runtime_why());
}

static void xylem_scoped(long n, double *ret)
{
	bench_check(xyl_run(scoped, .n = n, .ret = ret) >= n, xyl_runtime_why());
}

int main(int argc, char **argv)
{
	struct bench_pair pair;
	long n;

	bench_init(argc, argv);
	n = bench_n(5000000);
	bench_in_turn(xylem_one_by_one, bench_calloc_128, n, 5, &pair);
	bench_print_beside("spawn to joined", pair.a[0], "ns", "calloc+free 128 B", pair.b[0],
			   pair.ratio[0]);
	bench_in_turn(xylem_batches, bench_calloc_128, n, 5, &pair);
	bench_print_beside("spawn 1000, join 1000", pair.a[0], "ns", "calloc+free 128 B", pair.b[0],
			   pair.ratio[0]);
	bench_in_turn(xylem_scoped, bench_calloc_128, n, 5, &pair);
	bench_print_beside("spawn 1000, join scope", pair.a[0], "ns", "calloc+free 128 B",
			   pair.b[0], pair.ratio[0]);
	return 0;
}
