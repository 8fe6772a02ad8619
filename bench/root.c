/* SPDX-License-Identifier: MIT */
/*
 * What does a root cost, added and dropped?  Alone, and beside 10 000 that stay.
 *
 * What would make it lie: always the same slot (the first figure, the best case); so the
 * second drops one of the 10 000 at random and adds it anew, which walks the whole table.
 */
#include "harness.h"

#include <xylem/xylem.h>

enum { LIVE = 10000 };

static void alone(long n, double *ret)
{
	void *obj = xyl_alloc(64);
	int64_t t0;

	bench_check(obj != NULL, "xyl_alloc");
	t0 = bench_now();
	for (long i = 0; i < n; i++) {
		xyl_root root = xyl_root_add(obj);

		xyl_root_drop(&root);
	}
	ret[0] = bench_ns_each(t0, n);
	bench_check(xyl_root_count() == 0, "a root is left over");
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
	bench_check(xyl_root_count() == LIVE, "roots are not counted right");
}

int main(int argc, char **argv)
{
	double figures[BENCH_FIGURES];
	long n;

	bench_init(argc, argv);
	n = bench_n(10000000);
	bench_alone(alone, n, 5, figures);
	bench_print("root added and dropped", figures[0], "ns");
	if (bench_once())
		return 0;
	bench_alone(among_many, n, 5, figures);
	bench_print("the same among 10 000 live", figures[0], "ns");
	return 0;
}
