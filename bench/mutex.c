/* SPDX-License-Identifier: MIT */
/*
 * What does a lock cost that nobody contends for?  One task takes and gives back, again and
 * again: a mutex, a permit of a semaphore, a read lock.  For instructions.sh, too.
 *
 *	mutex [N] [--once=K]	1: mutex, 2: semaphore, 3: read lock
 *
 * What would make it lie: a compiler that sees through the calls (they are in the library); a
 * lock that another thread has touched, which costs the atomic operations left out here.
 */
#include "harness.h"

#include <xylem/xylem.h>

struct holder {
	struct xyl_frame frame;
	xyl_pending (*take)(void *lock);
	void (*give)(void *lock);
	void *lock;
	long n, left;
	double *ret;
	int64_t t0;
	ssize_t r;
};

static xyl_step holder(void *frame)
{
	struct holder *self = frame;

	XYL_BEGIN(self)
	self->t0 = bench_now();
	for (self->left = self->n; self->left > 0; self->left--) {
		XYL_AWAIT(self->r, self->take(self->lock));
		self->give(self->lock);
	}
	*self->ret = bench_ns_each(self->t0, self->n);
	XYL_END(0);
}

static xyl_pending mutex_take(void *lock)
{
	return xyl_mutex_lock(lock);
}

static void mutex_give(void *lock)
{
	xyl_mutex_unlock(lock);
}

static xyl_pending semaphore_take(void *lock)
{
	return xyl_semaphore_acquire(lock, 1);
}

static void semaphore_give(void *lock)
{
	xyl_semaphore_release(lock, 1);
}

static xyl_pending read_take(void *lock)
{
	return xyl_rwlock_read(lock);
}

static void read_give(void *lock)
{
	xyl_rwlock_unlock(lock);
}

static void mutex(long n, double *ret)
{
	bench_check(xyl_run(holder, .n = n, .ret = ret, .lock = xyl_mutex_new(), .take = mutex_take,
			    .give = mutex_give) == 0,
		    xyl_runtime_why());
}

static void semaphore(long n, double *ret)
{
	bench_check(xyl_run(holder, .n = n, .ret = ret, .lock = xyl_semaphore_new(1),
			    .take = semaphore_take, .give = semaphore_give) == 0,
		    xyl_runtime_why());
}

static void read_lock(long n, double *ret)
{
	bench_check(xyl_run(holder, .n = n, .ret = ret, .lock = xyl_rwlock_new(), .take = read_take,
			    .give = read_give) == 0,
		    xyl_runtime_why());
}

static void alone(const char *question, bench_side *side)
{
	double figures[BENCH_FIGURES];

	bench_alone(side, bench_n(50000000), 5, figures);
	bench_print(question, figures[0], "ns");
}

int main(int argc, char **argv)
{
	bench_init(argc, argv);
	alone("mutex, lock and unlock", mutex);
	alone("semaphore, acquire and release", semaphore);
	alone("read lock, lock and unlock", read_lock);
	return 0;
}
