/* SPDX-License-Identifier: MIT */
/*
 * How much CPU time do 100 000 sleeps cost?  As many tasks are spawned at once, each sleeps
 * for a random time of 1 to 50 ms, all are joined; the process's CPU time for all of that.
 *
 * What would make it lie: the wall's clock, which the sleeps fill; sleeps that end early
 * (each one is checked); round times, which would end many at once (these differ by
 * nanoseconds); the kernel's share left out (it is in the process's CPU time), or the
 * collector's (likewise, whichever thread it is on).
 */
#include "harness.h"

#include <time.h>
#include <xylem/xylem.h>

static int64_t cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * XYL_SEC + t.tv_nsec;
}

struct dozer {
	struct xyl_frame frame;
	int64_t ns, began;
	ssize_t r;
};

static xyl_step dozer(void *frame)
{
	struct dozer *self = frame;

	XYL_BEGIN(self)
	self->began = bench_now();
	XYL_AWAIT(self->r, xyl_sleep(self->ns));
	XYL_END(self->r == 0 && bench_now() - self->began >= self->ns ? 1 : 0);
}

struct dormitory {
	struct xyl_frame frame;
	long n, i, rested;
	double *ret;
	struct xyl_task **tasks;
	uint64_t random;
	int64_t t0;
	ssize_t r;
};

static struct xyl_task *dozer_spawn(uint64_t *random)
{
	int64_t ns = XYL_MS + (int64_t)(bench_random(random) % (uint64_t)(49 * XYL_MS));

	return xyl_spawn(dozer, .ns = ns);
}

static xyl_step dormitory(void *frame)
{
	struct dormitory *self = frame;

	XYL_BEGIN(self)
	self->tasks = xyl_alloc((size_t)self->n * sizeof(*self->tasks));
	self->random = 88172645463325252u;
	self->t0 = cpu_now();
	for (self->i = 0; self->i < self->n; self->i++)
		self->tasks[self->i] = dozer_spawn(&self->random);
	for (self->i = 0; self->i < self->n; self->i++) {
		XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
		self->rested += self->r;
	}
	*self->ret = (double)(cpu_now() - self->t0) / 1e6;
	bench_check(self->rested == self->n, "each slept as long as it was to");
	XYL_END(0);
}

static void sleeps(long n, double *ret)
{
	bench_check(xyl_run(dormitory, .n = n, .ret = ret) == 0, xyl_runtime_why());
}

int main(int argc, char **argv)
{
	double figures[BENCH_FIGURES];

	bench_init(argc, argv);
	bench_alone(sleeps, bench_n(100000), 5, figures);
	bench_print("100 000 sleeps of 1-50 ms, CPU", figures[0], "ms");
	return 0;
}
