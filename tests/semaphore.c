/* SPDX-License-Identifier: MIT */
/* Semaphores: never more permits than there are, and few wait behind many. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/contest.h"
#include "tests/drive.h"
#include "tests/waiting.h"
#include "xylem/xylem.h"

struct acquire {
	struct xyl_frame frame;
	struct xyl_semaphore *semaphore;
	size_t n;
	int64_t within_ns;
	ssize_t r;
};

static xyl_pending acquire_start(struct acquire *self)
{
	xyl_pending pending = xyl_semaphore_acquire(self->semaphore, self->n);

	return self->within_ns ? xyl_within(pending, self->within_ns) : pending;
}

static xyl_step acquire(void *frame)
{
	struct acquire *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, acquire_start(self));
	XYL_END(self->r);
}

/* Three who want 5, 1 and 2, in this order, of a semaphore that has 3. */
struct three {
	struct driven driven;
	struct xyl_semaphore *semaphore;
	struct xyl_task *five, *one, *two;
};

static struct xyl_task *waiter(const struct three *three, size_t n)
{
	struct xyl_task *task = DRIVE_SPAWN(&three->driven, acquire, .semaphore = three->semaphore,
					    .n = n);

	drive_until_waiting(&three->driven, task);
	return task;
}

static struct three three_begin(void)
{
	struct three three = { drive_begin(NULL), xyl_semaphore_new(3), NULL, NULL, NULL };

	three.five = waiter(&three, 5);
	three.one = waiter(&three, 1);
	three.two = waiter(&three, 2);
	return three;
}

static void served(const struct three *three, const struct xyl_task *task)
{
	drive_until_done(&three->driven, task);
	CHECK_EQ(xyl_result(task), 0);
}

TEST(few_wait_behind_many)
{
	struct three three = three_begin();

	CHECK_EQ(xyl_semaphore_available(three.semaphore), 3);
	CHECK_EQ(xyl_semaphore_try_acquire(three.semaphore, 1), -EAGAIN);
	CHECK_EQ(xyl_semaphore_release(three.semaphore, 1), 0);
	drive(&three.driven, 4);
	CHECK(!xyl_is_done(three.five) && !xyl_is_done(three.one));
	CHECK_EQ(xyl_semaphore_release(three.semaphore, 2), 0);
	CHECK_EQ(xyl_semaphore_available(three.semaphore), 0); /* 5 and 1 are theirs */
	served(&three, three.five);
	served(&three, three.one);
	CHECK(!xyl_is_done(three.two));
	CHECK_EQ(xyl_semaphore_release(three.semaphore, 9), 0);
	served(&three, three.two);
	CHECK_EQ(xyl_semaphore_available(three.semaphore), 7);
	drive_end(&three.driven);
}

TEST(when_the_one_in_front_is_aborted_those_behind_him_go)
{
	struct three three = three_begin();

	xyl_abort(three.five);
	served(&three, three.one);
	served(&three, three.two);
	CHECK_EQ(xyl_result(three.five), -ECANCELED);
	CHECK_EQ(xyl_semaphore_available(three.semaphore), 0);
	drive_end(&three.driven);
}

TEST(when_the_bound_of_the_one_in_front_passes_those_behind_him_go)
{
	struct three three = { drive_begin(NULL), xyl_semaphore_new(3), NULL, NULL, NULL };

	three.five = DRIVE_SPAWN(&three.driven, acquire, .semaphore = three.semaphore, .n = 5,
				 .within_ns = 50 * XYL_MS);
	drive_until_waiting(&three.driven, three.five);
	three.one = DRIVE_SPAWN(&three.driven, acquire, .semaphore = three.semaphore, .n = 1);
	served(&three, three.one);
	drive_until_done(&three.driven, three.five);
	CHECK_EQ(xyl_result(three.five), -ETIMEDOUT);
	CHECK_EQ(xyl_semaphore_available(three.semaphore), 2);
	drive_end(&three.driven);
}

TEST(one_aborted_in_the_middle_lets_nobody_past_the_first)
{
	struct three three = three_begin();

	xyl_abort(three.one);
	drive_until_done(&three.driven, three.one);
	CHECK_EQ(xyl_result(three.one), -ECANCELED);
	drive(&three.driven, 4);
	CHECK(!xyl_is_done(three.two));
	CHECK_EQ(xyl_semaphore_available(three.semaphore), 3);
	drive_end(&three.driven);
}

TEST(a_close_sends_all_away_and_takes_no_more)
{
	struct three three = three_begin();

	xyl_semaphore_close(three.semaphore);
	drive_until_done(&three.driven, three.two);
	drive_until_done(&three.driven, three.one);
	drive_until_done(&three.driven, three.five);
	CHECK_EQ(xyl_result(three.five), -EPIPE);
	CHECK_EQ(xyl_result(three.one), -EPIPE);
	CHECK_EQ(xyl_result(three.two), -EPIPE);
	CHECK_EQ(xyl_semaphore_try_acquire(three.semaphore, 1), -EPIPE);
	CHECK_EQ(RUN(acquire, .semaphore = three.semaphore, .n = 1), -EPIPE);
	CHECK_EQ(xyl_semaphore_release(three.semaphore, 1), 0);
	drive_end(&three.driven);
}

TEST(there_are_limits_to_the_number_of_permits)
{
	struct xyl_semaphore *semaphore = xyl_semaphore_new(PTRDIFF_MAX);

	CHECK(xyl_semaphore_new((size_t)PTRDIFF_MAX + 1) == NULL);
	CHECK_EQ(xyl_semaphore_release(semaphore, 1), -EOVERFLOW);
	CHECK_EQ(xyl_semaphore_release(semaphore, SIZE_MAX), -EOVERFLOW);
	CHECK_EQ(xyl_semaphore_try_acquire(semaphore, SIZE_MAX), -EINVAL);
	CHECK_EQ(RUN(acquire, .semaphore = semaphore, .n = SIZE_MAX), -EINVAL);
	CHECK_EQ(xyl_semaphore_try_acquire(semaphore, 0), 0);
	CHECK_EQ(xyl_semaphore_try_acquire(semaphore, PTRDIFF_MAX), 0);
	CHECK_EQ(xyl_semaphore_try_acquire(semaphore, 1), -EAGAIN);
	CHECK_EQ(xyl_semaphore_release(semaphore, PTRDIFF_MAX), 0);
	CHECK_EQ(xyl_semaphore_available(semaphore), PTRDIFF_MAX);
}

/* ---- a stop ---------------------------------------------------------------------------- */

struct visit {
	struct xyl_frame frame;
	struct xyl_semaphore *semaphore;
	ssize_t r;
};

static xyl_step visit(void *frame)
{
	struct visit *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_semaphore_acquire(self->semaphore, 1));
	if (self->r == 0)
		CHECK_EQ(xyl_semaphore_release(self->semaphore, 1), 0);
	XYL_END(self->r);
}

enum { VISITORS = 4 };

static atomic_bool releasing;

/* A while that is different each time. */
static void dawdle(void)
{
	for (uint64_t left = test_random() % 8000; left > 0; left--)
		atomic_signal_fence(memory_order_seq_cst);
}

static void *release_outside(void *arg)
{
	CHECK_EQ(xyl_thread_attach(), 0);
	atomic_store(&releasing, true);
	for (int i = 0; i < VISITORS; i++) {
		dawdle();
		CHECK_EQ(xyl_semaphore_release(arg, 1), 0);
	}
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(a_stop_that_crosses_what_is_released_outside_loses_none)
{
	for (size_t i = test_scaled(100); i > 0; i--) {
		struct driven driven = drive_begin(NULL);
		struct xyl_semaphore *semaphore = xyl_semaphore_new(0);
		struct xyl_task *tasks[VISITORS];
		pthread_t thread;

		for (int j = 0; j < VISITORS; j++)
			tasks[j] = DRIVE_SPAWN(&driven, visit, .semaphore = semaphore);
		drive_until_waiting(&driven, tasks[VISITORS - 1]);
		CHECK_EQ(pthread_create(&thread, NULL, release_outside, semaphore), 0);
		while (!atomic_exchange(&releasing, false))
			sched_yield();
		dawdle();
		drive_end(&driven);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		for (int j = 0; j < VISITORS; j++)
			CHECK(xyl_result(tasks[j]) == 0 || xyl_result(tasks[j]) == -ECANCELED);
		CHECK_EQ(xyl_semaphore_available(semaphore), VISITORS);
	}
}

/* ---- whatever the order --------------------------------------------------------------- */

static xyl_pending take(void *lock, size_t n)
{
	return xyl_semaphore_acquire(lock, n);
}

static int try_take(void *lock, size_t n)
{
	return xyl_semaphore_try_acquire(lock, n);
}

static void give_back(void *lock, size_t n)
{
	CHECK_EQ(xyl_semaphore_release(lock, n), 0);
}

static struct contest contest = {
	.take = take, .try_take = try_take, .give = give_back, .limit = 7
};

TEST(never_are_more_taken_than_there_are_whoever_is_aborted_or_bounded)
{
	contest.lock = xyl_semaphore_new(contest.limit);
	contest_run(&contest);
	CHECK_EQ(xyl_semaphore_available(contest.lock), contest.limit);
	contest.lock = NULL;
}

TEST(never_are_more_taken_among_two_runtimes_and_threads_outside)
{
	contest.lock = xyl_semaphore_new(contest.limit);
	contest_run_everywhere(&contest);
	CHECK_EQ(xyl_semaphore_available(contest.lock), contest.limit);
	contest.lock = NULL;
}
