/* SPDX-License-Identifier: MIT */
/* Futures: a result that arrives once. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "rt/clock.h"
#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* ---- set and get ------------------------------------------------------------------------ */

TEST(a_future_is_set_once_and_keeps_its_value)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *future = xyl_future_new();
	struct xyl_task *tasks[3];

	tasks[0] = DRIVE_SPAWN(&driven, get, .future = future);
	tasks[1] = DRIVE_SPAWN(&driven, get, .future = future);
	drive(&driven, 2);
	CHECK(!xyl_is_done(tasks[0]));
	CHECK_EQ(xyl_future_set(future, -EIO), 0);
	CHECK_EQ(xyl_future_set(future, 4), -EALREADY);
	tasks[2] = DRIVE_SPAWN(&driven, get, .future = future);
	drive(&driven, 2);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(xyl_result(tasks[i]), -EIO);
	CHECK_EQ(xyl_future_wait(future, -1), -EIO);
	CHECK_EQ(xyl_future_set(future, 4), -EALREADY);
	drive_end(&driven);
}

struct set_and_get {
	struct xyl_frame frame;
	struct xyl_future *future;
	struct xyl_task *tasks[3];
	ssize_t n;
	int i;
};

static xyl_step set_and_get(void *frame)
{
	struct set_and_get *self = frame;

	XYL_BEGIN(self)
	self->future = xyl_future_new();
	for (self->i = 0; self->i < 3; self->i++)
		self->tasks[self->i] = xyl_spawn(get, .future = self->future);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(self->tasks[1]);
	XYL_AWAIT(self->n, xyl_join(self->tasks[1]));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK_EQ(xyl_future_set(self->future, 6), 0);
	CHECK(!xyl_is_done(self->tasks[0])); /* set does not run them */
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	CHECK_EQ(self->n, 6);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(self->n, 6);
	XYL_AWAIT(self->n, xyl_join(self->tasks[2]));
	CHECK_EQ(self->n, 6);
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	XYL_END(self->n);
}

TEST(no_future_is_an_error_and_no_crash)
{
	CHECK_EQ(RUN(get), -EINVAL);
	CHECK_EQ(xyl_future_set(NULL, 1), -EINVAL);
	CHECK_EQ(xyl_future_wait(NULL, 0), -EINVAL);
}

TEST(any_number_wait_and_an_aborted_one_leaves_the_rest)
{
	CHECK_EQ(RUN(set_and_get), 6);
}

/* ---- threads --------------------------------------------------------------------------------- */

TEST(a_thread_waits_for_as_long_as_it_says)
{
	struct xyl_future *future = xyl_future_new();
	int64_t start = xyli_clock();

	CHECK_EQ(xyl_future_wait(future, 0), -ETIMEDOUT);
	CHECK_EQ(xyl_future_wait(future, 2 * XYL_MS), -ETIMEDOUT);
	CHECK(xyli_clock() - start >= 2 * XYL_MS);
	CHECK_EQ(xyl_future_set(future, 3), 0);
	CHECK_EQ(xyl_future_wait(future, 0), 3);
	CHECK_EQ(xyl_future_wait(future, -1), 3);
}

struct wait_in_task {
	struct xyl_frame frame;
};

static xyl_step wait_in_task(void *frame)
{
	struct wait_in_task *self = frame;

	XYL_BEGIN(self)
	XYL_END(xyl_future_wait(xyl_future_new(), -1));
}

TEST(a_task_may_not_block_on_a_future)
{
	CHECK_EQ(RUN(wait_in_task), -EDEADLK);
}

enum { FUTURES = 64, SETTERS = 4 };

struct setters {
	struct xyl_future **futures;
	atomic_int *wins;
	unsigned start;
};

/* Each tries to set all of them. */
static void *set_all(void *arg)
{
	struct setters *setters = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (unsigned i = 0; i < FUTURES; i++) {
		unsigned k = (i + setters->start) % FUTURES;
		int r = xyl_future_set(setters->futures[k], (ssize_t)k);

		CHECK(r == 0 || r == -EALREADY);
		atomic_fetch_add(setters->wins, r == 0);
	}
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

/* Tasks wait for half of them; the main thread for all. */
TEST(of_many_threads_that_set_a_future_one_wins_and_no_wake_is_lost)
{
	struct census before = census_take();
	struct setters setters[SETTERS];
	struct xyl_future **futures = xyl_alloc(FUTURES * sizeof(struct xyl_future *));
	struct xyl_task *tasks[FUTURES / 2];
	pthread_t threads[SETTERS];
	atomic_int wins = 0;
	struct xyl_runtime *rt;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	for (int i = 0; i < FUTURES; i++)
		futures[i] = xyl_future_new();
	for (int i = 0; i < FUTURES / 2; i++)
		tasks[i] = xyl_runtime_spawn(rt, XYL_HERE, get, .future = futures[2 * i]);
	for (unsigned i = 0; i < SETTERS; i++) {
		setters[i] = (struct setters){ futures, &wins, i * FUTURES / SETTERS };
		CHECK_EQ(pthread_create(&threads[i], NULL, set_all, &setters[i]), 0);
	}
	for (int i = 0; i < FUTURES; i++)
		CHECK_EQ(xyl_future_wait(futures[i], -1), i);
	for (int i = 0; i < SETTERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(wins, FUTURES);
	for (int i = 0; i < FUTURES / 2; i++) {
		while (!xyl_is_done(tasks[i]))
			sched_yield();
		CHECK_EQ(xyl_result(tasks[i]), 2 * i);
	}
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	census_check(&before, rt);
}

struct ping_pong {
	struct xyl_frame frame;
	struct xyl_future **there, **back;
	size_t rounds, i;
	ssize_t n;
};

static xyl_step ping_pong(void *frame)
{
	struct ping_pong *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->rounds; self->i++) {
		XYL_AWAIT(self->n, xyl_future_get(self->there[self->i]));
		CHECK_EQ(self->n, self->i);
		CHECK_EQ(xyl_future_set(self->back[self->i], self->n + 1), 0);
	}
	XYL_END(0);
}

/* The shard goes to sleep in most rounds, or is about to. */
TEST(a_thread_and_a_task_wake_each_other_in_turns)
{
	struct census before = census_take();
	size_t rounds = test_scaled(2000);
	struct xyl_future **there = xyl_alloc(rounds * sizeof(struct xyl_future *));
	struct xyl_future **back = xyl_alloc(rounds * sizeof(struct xyl_future *));
	struct xyl_runtime *rt;
	struct xyl_task *task;

	for (size_t i = 0; i < rounds; i++) {
		there[i] = xyl_future_new();
		back[i] = xyl_future_new();
	}
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	task = xyl_runtime_spawn(rt, XYL_HERE, ping_pong, .there = there, .back = back,
				 .rounds = rounds);
	for (size_t i = 0; i < rounds; i++) {
		CHECK_EQ(xyl_future_set(there[i], (ssize_t)i), 0);
		CHECK_EQ(xyl_future_wait(back[i], -1), i + 1);
	}
	while (!xyl_is_done(task))
		sched_yield();
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	census_check(&before, rt);
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static void later_outside(void *unused)
{
	(void)unused;
	xyl_later((xyl_pending){ 0 });
}

static void get_outside(void *unused)
{
	xyl_pending pending = xyl_future_get(xyl_future_new());

	(void)unused;
	(void)pending;
}

TEST(later_and_get_outside_a_task_are_named)
{
	child_aborts(later_outside, NULL, "xyl_later: called outside a task");
	child_aborts(get_outside, NULL, "xyl_future_get: called outside a task");
}
