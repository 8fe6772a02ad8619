/* SPDX-License-Identifier: MIT */
/*
 * Abort from anywhere.  Cleanup runs once, whoever asked, whenever, however often;
 * aborting what is finished does nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "spawn/runtime.h"
#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

struct seen {
	ssize_t first, second;
	int begun, cleanups;
};

/* What all of them abort: it sleeps, it tries again, it cleans up. */
struct victim {
	struct xyl_frame frame;
	struct seen *seen;
};

static xyl_step victim(void *frame)
{
	struct victim *self = frame;

	XYL_BEGIN(self)
	self->seen->begun++;
	XYL_AWAIT(self->seen->first, xyl_sleep(LONG_NS));
	XYL_AWAIT(self->seen->second, xyl_sleep(LONG_NS));
	self->seen->cleanups++;
	XYL_END(77);
}

static void check_aborted_once(const struct xyl_task *task, const struct seen *seen)
{
	CHECK(xyl_is_done(task));
	CHECK(xyl_is_aborted(task));
	CHECK_EQ(seen->begun, 1);
	CHECK_EQ(seen->first, -ECANCELED);
	CHECK_EQ(seen->second, -ECANCELED);
	CHECK_EQ(seen->cleanups, 1);
	CHECK_EQ(xyl_result(task), 77);
}

/* ---- between turns -------------------------------------------------------------------- */

TEST(an_idle_task_ends_in_the_next_turn)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, victim, .seen = &seen);

	drive(&driven, 2);
	xyl_abort(task);
	CHECK_EQ(seen.cleanups, 0);
	CHECK(!xyl_is_aborted(task));
	CHECK_EQ(drive(&driven, 1), 1);
	check_aborted_once(task, &seen);
	CHECK_EQ(drive_stats(&driven).aborted, 1);
	drive_end(&driven);
}

TEST(a_task_aborted_before_its_first_run_runs_with_every_await_cancelled)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, victim, .seen = &seen);

	xyl_abort(task);
	CHECK_EQ(seen.begun, 0);
	CHECK_EQ(drive(&driven, 1), 1);
	check_aborted_once(task, &seen);
	drive_end(&driven);
}

TEST(twice_is_once)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, victim, .seen = &seen);

	drive(&driven, 1);
	xyl_abort(task);
	xyl_abort(task);
	drive(&driven, 1);
	xyl_abort(task);
	drive(&driven, 1);
	check_aborted_once(task, &seen);
	CHECK_EQ(drive_stats(&driven).aborted, 1);
	drive_end(&driven);
}

TEST(aborting_a_finished_task_does_nothing)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, give, .value = 8);

	drive(&driven, 1);
	CHECK(xyl_is_done(task));
	xyl_abort(task);
	drive(&driven, 1);
	CHECK(!xyl_is_aborted(task));
	CHECK_EQ(xyl_result(task), 8);
	CHECK_EQ(drive_stats(&driven).aborted, 0);
	drive_end(&driven);
	xyl_abort(task);
	CHECK(!xyl_is_aborted(task));
}

/* ---- by tasks ----------------------------------------------------------------------------- */

struct abort_self {
	struct xyl_frame frame;
	struct seen *seen;
	ssize_t n;
};

static xyl_step abort_self(void *frame)
{
	struct abort_self *self = frame;

	XYL_BEGIN(self)
	self->seen->begun++;
	xyl_abort(xyl_self());
	xyl_abort(xyl_self());
	CHECK(!xyl_is_aborted(xyl_self())); /* a request */
	XYL_AWAIT(self->seen->first, xyl_sleep(LONG_NS));
	CHECK(xyl_is_aborted(xyl_self()));
	XYL_AWAIT(self->seen->second, xyl_sleep(LONG_NS));
	self->seen->cleanups++;
	XYL_END(77);
}

TEST(a_task_may_abort_itself)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, abort_self, .seen = &seen);

	drive_until_done(&driven, task);
	check_aborted_once(task, &seen);
	drive_end(&driven);
}

struct abort_and_return {
	struct xyl_frame frame;
};

static xyl_step abort_and_return(void *frame)
{
	struct abort_and_return *self = frame;

	XYL_BEGIN(self)
	xyl_abort(xyl_self());
	XYL_END(6);
}

/* The request comes too late. */
TEST(a_task_that_aborts_itself_and_returns_was_not_aborted)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, abort_and_return);

	drive(&driven, 3);
	CHECK(!xyl_is_aborted(task));
	CHECK_EQ(xyl_result(task), 6);
	drive_end(&driven);
}

struct abort_other {
	struct xyl_frame frame;
	struct xyl_task **other;
};

static xyl_step abort_other(void *frame)
{
	struct abort_other *self = frame;

	XYL_BEGIN(self)
	xyl_abort(*self->other);
	XYL_END(0);
}

/* Both are on the run queue: the one that aborts before the other, or after it. */
static void abort_peer(bool victim_first)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .cleanups = 0 };
	struct xyl_task **other = xyl_new(struct xyl_task *);

	if (!victim_first)
		DRIVE_SPAWN(&driven, abort_other, .other = other);
	*other = DRIVE_SPAWN(&driven, victim, .seen = &seen);
	if (victim_first)
		DRIVE_SPAWN(&driven, abort_other, .other = other);
	CHECK_EQ(drive(&driven, 1), 2);
	CHECK_EQ(seen.begun, 1);
	CHECK_EQ(drive(&driven, 1), 1);
	check_aborted_once(*other, &seen);
	drive_end(&driven);
}

TEST(a_peer_in_the_same_batch_may_be_aborted)
{
	abort_peer(false);
	abort_peer(true);
}

struct abort_each_other {
	struct xyl_frame frame;
	struct xyl_task **other;
	struct seen *seen;
};

static xyl_step abort_each_other(void *frame)
{
	struct abort_each_other *self = frame;

	XYL_BEGIN(self)
	self->seen->begun++;
	xyl_abort(*self->other);
	XYL_AWAIT(self->seen->first, xyl_join(*self->other));
	XYL_AWAIT(self->seen->second, xyl_join(*self->other));
	self->seen->cleanups++;
	XYL_END(77);
}

TEST(two_tasks_that_abort_and_join_each_other_both_end)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen[2] = { { .cleanups = 0 }, { .cleanups = 0 } };
	struct xyl_task **tasks = xyl_alloc(2 * sizeof(struct xyl_task *));

	for (int i = 0; i < 2; i++)
		tasks[i] = DRIVE_SPAWN(&driven, abort_each_other, .other = &tasks[!i],
				       .seen = &seen[i]);
	drive(&driven, 2);
	for (int i = 0; i < 2; i++)
		check_aborted_once(tasks[i], &seen[i]);
	drive_end(&driven);
}

/* ---- by threads while the loop sleeps ------------------------------------------------------- */

static struct xyl_runtime *start(void)
{
	struct xyl_runtime *rt;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	return rt;
}

/* Until the task has run and the shard has said that it waits: from then on a post must ring. */
static void await_sleep(struct xyl_runtime *rt)
{
	struct xyl_stats stats;

	do {
		sched_yield();
		xyl_runtime_stats(rt, &stats);
	} while (stats.resumed == 0 || !atomic_load(&rt->shard->inbox.asleep));
}

static void stop_and_check(struct xyl_runtime *rt, struct xyl_task *task, const struct seen *seen)
{
	struct xyl_stats stats;

	while (!xyl_is_done(task))
		sched_yield();
	check_aborted_once(task, seen);
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	xyl_runtime_stats(rt, &stats);
	CHECK_EQ(stats.aborted, 1);
	CHECK(stats.doorbells >= 1);
}

TEST(an_attached_thread_may_abort_while_the_loop_sleeps)
{
	struct census before = census_take();
	struct seen seen = { .cleanups = 0 };
	struct xyl_runtime *rt = start();
	struct xyl_task *task = xyl_runtime_spawn(rt, XYL_HERE, victim, .seen = &seen);

	await_sleep(rt);
	xyl_abort(task);
	stop_and_check(rt, task, &seen);
	census_check(&before, rt);
}

static void *abort_it(void *task)
{
	xyl_abort(task);
	xyl_abort(task);
	return NULL;
}

TEST(an_unattached_thread_may_abort_while_the_loop_sleeps)
{
	struct census before = census_take();
	struct seen seen = { .cleanups = 0 };
	struct xyl_runtime *rt = start();
	struct xyl_task *task = xyl_runtime_spawn(rt, XYL_HERE, victim, .seen = &seen);
	pthread_t thread;

	await_sleep(rt);
	CHECK_EQ(pthread_create(&thread, NULL, abort_it, task), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	stop_and_check(rt, task, &seen);
	census_check(&before, rt);
}

enum { ABORTERS = 4, VICTIMS = 64 };

struct mob {
	struct xyl_task **tasks;
	size_t count;
	atomic_int *start;
};

static void *abort_all(void *arg)
{
	struct mob *mob = arg;

	atomic_fetch_sub(mob->start, 1);
	while (atomic_load(mob->start) > 0)
		;
	for (size_t i = 0; i < mob->count; i++)
		xyl_abort(mob->tasks[i]);
	return NULL;
}

/* Attached or not, all abort all, some before their first run. */
TEST(a_task_that_many_threads_abort_at_once_is_aborted_once)
{
	struct census before = census_take();
	struct xyl_runtime *rt = start();
	struct seen seen[VICTIMS] = { { .cleanups = 0 } };
	struct mob mob = { .count = VICTIMS };
	atomic_int begin = ABORTERS;
	pthread_t threads[ABORTERS];
	struct xyl_stats stats;

	mob.tasks = xyl_alloc(VICTIMS * sizeof(struct xyl_task *));
	mob.start = &begin;
	for (int i = 0; i < VICTIMS; i++)
		mob.tasks[i] = xyl_runtime_spawn(rt, XYL_HERE, victim, .seen = &seen[i]);
	for (int i = 0; i < ABORTERS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, abort_all, &mob), 0);
	for (int i = 0; i < ABORTERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < VICTIMS; i++)
		while (!xyl_is_done(mob.tasks[i]))
			sched_yield();
	for (int i = 0; i < VICTIMS; i++)
		check_aborted_once(mob.tasks[i], &seen[i]);
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	xyl_runtime_stats(rt, &stats);
	CHECK_EQ(stats.aborted, VICTIMS);
	census_check(&before, rt);
}

/* ---- nothing is left ------------------------------------------------------------------------- */

struct count_in_frame {
	struct xyl_frame frame;
	size_t *cleanups;
	void *held;
	ssize_t n;
};

static xyl_step count_in_frame(void *frame)
{
	struct count_in_frame *self = frame;

	XYL_BEGIN(self)
	self->held = xyl_alloc(16);
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	CHECK_EQ(self->n, -ECANCELED);
	++*self->cleanups;
	XYL_END(0);
}

TEST(ten_thousand_aborts_leave_no_roots)
{
	struct driven driven = drive_begin(NULL);
	size_t count = test_scaled(10000), cleanups = 0;
	struct xyl_task **tasks = xyl_alloc(count * sizeof(struct xyl_task *));
	struct xyl_stats stats;

	for (size_t i = 0; i < count; i++)
		tasks[i] = DRIVE_SPAWN(&driven, count_in_frame, .cleanups = &cleanups);
	do
		drive(&driven, 1);
	while (driven.rt->shard->timers.count < count);
	xyl_collect();
	for (size_t i = 0; i < count; i++)
		xyl_abort(tasks[i]);
	do
		drive(&driven, 1);
	while (cleanups < count);
	stats = drive_stats(&driven);
	CHECK_EQ(cleanups, count);
	CHECK_EQ(stats.aborted, count);
	CHECK_EQ(stats.completed, count);
	CHECK_EQ(stats.live, 0);
	CHECK_EQ(driven.rt->shard->timers.count, 0);
	CHECK_EQ(xyl_root_count(), driven.before.roots);
	drive_end(&driven);
}

/* Some have begun, some have not, some have ended, some are aborted twice. */
TEST(tasks_aborted_at_random_clean_up_once_each)
{
	const struct xyl_config config = { .turn_budget = 5 };
	struct driven driven = drive_begin(&config);
	size_t count = test_scaled(4000);
	struct seen *seen = xyl_alloc(count * sizeof(struct seen));
	struct xyl_task **tasks = xyl_alloc(count * sizeof(struct xyl_task *));

	for (size_t i = 0; i < count; i++) {
		tasks[i] = DRIVE_SPAWN(&driven, victim, .seen = &seen[i]);
		if (test_random() % 2)
			drive(&driven, 1);
		if (test_random() % 2)
			xyl_abort(tasks[test_random() % (i + 1)]);
	}
	for (size_t i = 0; i < count; i++)
		xyl_abort(tasks[i]);
	do
		drive(&driven, 1);
	while (drive_stats(&driven).live);
	for (size_t i = 0; i < count; i++)
		check_aborted_once(tasks[i], &seen[i]);
	CHECK_EQ(drive_stats(&driven).aborted, count);
	drive_end(&driven);
}
