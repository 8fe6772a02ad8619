/* SPDX-License-Identifier: MIT */
/* Mutexes: one holder at a time, first come first served. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/contest.h"
#include "tests/drive.h"
#include "tests/waiting.h"
#include "xylem/xylem.h"

/* Lock it, wait to be told, unlock it. */
struct hold {
	struct xyl_frame frame;
	struct xyl_mutex *mutex;
	struct xyl_future *told;
	bool *ret_held;
	ssize_t r, ignored;
};

static xyl_step hold(void *frame)
{
	struct hold *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_mutex_lock(self->mutex));
	if (self->r < 0)
		XYL_RETURN(self->r);
	*self->ret_held = true;
	XYL_AWAIT(self->ignored, xyl_future_get(self->told));
	*self->ret_held = false;
	xyl_mutex_unlock(self->mutex);
	XYL_END(0);
}

TEST(it_is_handed_to_the_first_who_waits_and_nobody_overtakes)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_mutex *mutex = xyl_mutex_new();
	struct xyl_future *told[3];
	struct xyl_task *tasks[3];
	bool held[3] = { false };

	CHECK_EQ(xyl_mutex_try_lock(mutex), 0);
	for (int i = 0; i < 3; i++) {
		told[i] = xyl_future_new();
		tasks[i] = DRIVE_SPAWN(&driven, hold, .mutex = mutex, .told = told[i],
				       .ret_held = &held[i]);
		drive_until_waiting(&driven, tasks[i]);
	}
	xyl_mutex_unlock(mutex);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(xyl_mutex_try_lock(mutex), -EAGAIN); /* though he has not run yet */
		while (!held[i])
			drive(&driven, 1);
		CHECK_EQ(held[0] + held[1] + held[2], 1);
		xyl_future_set(told[i], 0);
		drive_until_done(&driven, tasks[i]);
	}
	CHECK_EQ(xyl_mutex_try_lock(mutex), 0);
	drive_end(&driven);
}

struct lock_twice {
	struct xyl_frame frame;
	struct xyl_mutex *mutex;
	ssize_t r;
};

static xyl_step lock_twice(void *frame)
{
	struct lock_twice *self = frame;

	XYL_BEGIN(self)
	self->mutex = xyl_mutex_new();
	XYL_AWAIT(self->r, xyl_mutex_lock(self->mutex));
	CHECK_EQ(self->r, 0);
	CHECK_EQ(xyl_mutex_try_lock(self->mutex), -EAGAIN);
	XYL_AWAIT(self->r, xyl_mutex_lock(self->mutex));
	CHECK_EQ(self->r, -EDEADLK);
	xyl_mutex_unlock(self->mutex);
	XYL_AWAIT(self->r, xyl_mutex_lock(self->mutex));
	xyl_mutex_unlock(self->mutex);
	XYL_END(self->r);
}

TEST(a_task_that_locks_twice_is_told)
{
	CHECK_EQ(RUN(lock_twice), 0);
}

/* Two tasks, of which the second unlocks what the first has locked. */
struct unlock {
	struct xyl_frame frame;
	struct xyl_mutex *mutex;
};

static xyl_step unlock(void *frame)
{
	struct unlock *self = frame;

	XYL_BEGIN(self)
	xyl_mutex_unlock(self->mutex);
	XYL_END(0);
}

static void unlock_a_free_one(void *unused)
{
	(void)unused;
	xyl_mutex_unlock(xyl_mutex_new());
}

static void unlock_anothers(void *unused)
{
	struct xyl_mutex *mutex = xyl_mutex_new();

	(void)unused;
	CHECK_EQ(xyl_mutex_try_lock(mutex), 0);
	xyl_run(unlock, .mutex = mutex);
}

TEST(an_unlock_by_one_who_does_not_hold_it_is_named)
{
	child_aborts(unlock_a_free_one, NULL, "xyl_mutex_unlock: by one who does not hold it");
	child_aborts(unlock_anothers, NULL, "xyl_mutex_unlock: by one who does not hold it");
}

/* Somebody else waits, but it is for this task. */
struct lock_later {
	struct xyl_frame frame;
	struct xyl_mutex *mutex;
	struct xyl_future *locked;
	ssize_t r;
};

static xyl_step lock_later(void *frame)
{
	struct lock_later *self = frame;

	XYL_BEGIN(self)
	self->locked = xyl_later(xyl_mutex_lock(self->mutex));
	XYL_AWAIT(self->r, xyl_future_get(self->locked));
	CHECK_EQ(self->r, 0);
	CHECK_EQ(xyl_mutex_try_lock(self->mutex), -EAGAIN);
	xyl_mutex_unlock(self->mutex);
	XYL_END(xyl_mutex_try_lock(self->mutex));
}

TEST(started_for_later_it_is_the_callers)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_mutex *mutex = xyl_mutex_new();
	struct xyl_task *task;

	CHECK_EQ(xyl_mutex_try_lock(mutex), 0);
	task = DRIVE_SPAWN(&driven, lock_later, .mutex = mutex);
	drive_until_waiting(&driven, task);
	xyl_mutex_unlock(mutex);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	drive_end(&driven);
}

TEST(who_was_handed_it_and_is_aborted_gives_it_back)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_mutex *mutex = xyl_mutex_new();
	struct xyl_future *told = xyl_future_new();
	struct xyl_task *task;
	bool held = false;

	CHECK_EQ(xyl_mutex_try_lock(mutex), 0);
	task = DRIVE_SPAWN(&driven, hold, .mutex = mutex, .told = told, .ret_held = &held);
	drive_until_waiting(&driven, task);
	xyl_mutex_unlock(mutex);
	xyl_abort(task);
	CHECK_EQ(xyl_mutex_try_lock(mutex), -EAGAIN);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0); /* it held it, and its cleanup unlocked it */
	CHECK_EQ(xyl_mutex_try_lock(mutex), 0);
	drive_end(&driven);
}

TEST(an_aborted_task_does_not_lock)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_mutex *mutex = xyl_mutex_new();
	bool held = false;
	struct xyl_task *task = DRIVE_SPAWN(&driven, hold, .mutex = mutex, .ret_held = &held);

	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	CHECK_EQ(xyl_mutex_try_lock(mutex), 0);
	drive_end(&driven);
}

/* ---- whatever the order --------------------------------------------------------------- */

static xyl_pending take(void *lock, size_t n)
{
	(void)n;
	return xyl_mutex_lock(lock);
}

static int try_take(void *lock, size_t n)
{
	(void)n;
	return xyl_mutex_try_lock(lock);
}

static void give_back(void *lock, size_t n)
{
	(void)n;
	xyl_mutex_unlock(lock);
}

static struct contest contest = {
	.take = take, .try_take = try_take, .give = give_back, .limit = 1
};

TEST(one_at_a_time_holds_it_whoever_is_aborted_or_bounded)
{
	contest.lock = xyl_mutex_new();
	contest_run(&contest);
	CHECK_EQ(xyl_mutex_try_lock(contest.lock), 0);
	contest.lock = NULL;
}

TEST(one_at_a_time_holds_it_among_two_runtimes_and_threads_outside)
{
	contest.lock = xyl_mutex_new();
	contest_run_everywhere(&contest);
	CHECK_EQ(xyl_mutex_try_lock(contest.lock), 0);
	contest.lock = NULL;
}
