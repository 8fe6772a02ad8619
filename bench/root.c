/* SPDX-License-Identifier: MIT */
/*
 * What does a root cost, added and dropped?  In a task, alone and beside 10 000 that stay;
 * and on a thread that runs no shard, where it takes a lock.
 *
 * What would make it lie: always the same slot (the first figure, the best case); so the
 * second drops one of the 10 000 at random and adds it anew, which walks the whole table.
 */
#include "harness.h"

#include <xylem/xylem.h>

enum { LIVE = 10000 };

static void add_and_drop(long n, double *ret)
{
	void *obj = xyl_alloc(64);
	size_t before = xyl_root_count();
	int64_t t0;

	bench_check(obj != NULL, "xyl_alloc");
	t0 = bench_now();
	for (long i = 0; i < n; i++) {
		xyl_root root = xyl_root_add(obj);

		xyl_root_drop(&root);
	}
	ret[0] = bench_ns_each(t0, n);
	bench_check(xyl_root_count() == before, "no root is left over");
}

static void among_many(long n, double *ret)
{
	static xyl_root roots[LIVE];
	uint64_t random = 88172645463325252u;
	void *obj = xyl_alloc(64);
	int64_t t0;

	bench_check(obj != NULL, "xyl_alloc");
	for (int i = 0; i < LIVE; i++)
		roots[i] = xyl_root_add(obj);
	t0 = bench_now();
	for (long i = 0; i < n; i++) {
		xyl_root *root = &roots[bench_random(&random) % LIVE];

		xyl_root_drop(root);
		*root = xyl_root_add(obj);
	}
	ret[0] = bench_ns_each(t0, n);
	bench_check(xyl_root_count() >= LIVE, "roots are counted");
}

struct in_task {
	struct xyl_frame frame;
	bench_side *side;
	long n;
	double *ret;
};

static xyl_step in_task(void *frame)
{
	struct in_task *self = frame;

	XYL_BEGIN(self)
	self->side(self->n, self->ret);
	XYL_END(0);
}

static void task_alone(long n, double *ret)
{
	bench_check(xyl_run(in_task, .side = add_and_drop, .n = n, .ret = ret) == 0,
		    xyl_runtime_why());
}

static void task_among_many(long n, double *ret)
{
	bench_check(xyl_run(in_task, .side = among_many, .n = n, .ret = ret) == 0,
		    xyl_runtime_why());
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
	long n;

	bench_init(argc, argv);
	n = bench_n(10000000);
	print("root added and dropped", task_alone, n);
	print("the same among 10 000 live", task_among_many, n);
	print("the same, no shard on the thread", add_and_drop, n);
	return 0;
}
