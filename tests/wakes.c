/* SPDX-License-Identifier: MIT */
/* Of the wakes that threads send, none is lost. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "tests/run.h"
#include "xylem/xylem.h"

enum { THREADS = 8 };

struct lane {
	_Atomic(struct xyl_future *) next; /* what this lane's task waits for now */
	atomic_size_t served;
};

static struct lane lanes[THREADS];
static size_t wakes_each;

struct lane_task {
	struct xyl_frame frame;
	struct lane *lane;
	struct xyl_future *future;
	size_t i;
	ssize_t n;
};

static xyl_step lane_task(void *frame)
{
	struct lane_task *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < wakes_each; self->i++) {
		self->future = xyl_future_new();
		atomic_store(&self->lane->next, self->future);
		XYL_AWAIT(self->n, xyl_future_get(self->future));
		CHECK_EQ(self->n, self->i);
		atomic_fetch_add(&self->lane->served, 1);
	}
	XYL_END(0);
}

static void *lane_waker(void *arg)
{
	struct lane *lane = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (size_t i = 0; i < wakes_each; i++) {
		struct xyl_future *future;

		while (!(future = atomic_exchange(&lane->next, NULL)))
			sched_yield();
		CHECK_EQ(xyl_future_set(future, (ssize_t)i), 0);
	}
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

/* A task waits afresh for each wake, so that a lost one hangs its lane. */
TEST(of_eight_threads_wakes_none_is_lost)
{
	struct census before = census_take();
	pthread_t threads[THREADS];
	struct xyl_task *tasks[THREADS];
	struct xyl_runtime *rt;

	wakes_each = test_scaled(5000);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	for (int i = 0; i < THREADS; i++) {
		atomic_store(&lanes[i].served, 0);
		tasks[i] = xyl_runtime_spawn(rt, XYL_HERE, lane_task, .lane = &lanes[i]);
		CHECK(tasks[i] != NULL);
		CHECK(pthread_create(&threads[i], NULL, lane_waker, &lanes[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++) {
		while (!xyl_is_done(tasks[i]))
			sched_yield();
		CHECK_EQ(atomic_load(&lanes[i].served), wakes_each);
	}
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	census_check(&before, rt);
}

/* All futures are there; the threads set them as fast as they can, the tasks take them. */
struct batch {
	struct xyl_frame frame;
	struct xyl_future **futures;
	size_t i, sum;
	ssize_t n;
};

static size_t batch_each;

static xyl_step batch(void *frame)
{
	struct batch *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < batch_each; self->i++) {
		XYL_AWAIT(self->n, xyl_future_get(self->futures[self->i]));
		CHECK_EQ(self->n, self->i);
		self->sum++;
	}
	XYL_END((ssize_t)self->sum);
}

static struct xyl_future **batches[THREADS];

static void *batch_set(void *arg)
{
	struct xyl_future **futures = batches[(uintptr_t)arg];

	CHECK_EQ(xyl_thread_attach(), 0);
	for (size_t i = 0; i < batch_each; i++)
		CHECK_EQ(xyl_future_set(futures[i], (ssize_t)i), 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

/* 8 threads x 100 000. */
TEST(eight_threads_set_a_hundred_thousand_futures_each)
{
	struct census before = census_take();
	pthread_t threads[THREADS];
	struct xyl_task *tasks[THREADS];
	struct xyl_runtime *rt;

	batch_each = test_scaled(100000);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	for (uintptr_t i = 0; i < THREADS; i++) {
		batches[i] = xyl_alloc(batch_each * sizeof(**batches));
		for (size_t j = 0; j < batch_each; j++)
			batches[i][j] = xyl_future_new();
		tasks[i] = xyl_runtime_spawn(rt, XYL_HERE, batch, .futures = batches[i]);
	}
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, batch_set, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++) {
		while (!xyl_is_done(tasks[i]))
			sched_yield();
		CHECK_EQ(xyl_result(tasks[i]), batch_each);
		batches[i] = NULL;
	}
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	census_check(&before, rt);
}
