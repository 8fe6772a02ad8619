/* SPDX-License-Identifier: MIT */
/* Barriers: nobody goes on before all have come. */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/waiting.h"
#include "xylem/xylem.h"

struct come {
	struct xyl_frame frame;
	struct xyl_barrier *barrier;
	ssize_t r;
};

static xyl_step come(void *frame)
{
	struct come *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_barrier_wait(self->barrier));
	XYL_END(self->r);
}

static struct xyl_task *waiter(const struct driven *driven, struct xyl_barrier *barrier)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, come, .barrier = barrier);

	drive_until_waiting(driven, task);
	return task;
}

TEST(the_last_to_come_is_told_so_and_the_next_round_begins)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_barrier *barrier = xyl_barrier_new(3);

	for (int round = 0; round < 3; round++) {
		struct xyl_task *first = waiter(&driven, barrier);
		struct xyl_task *second = waiter(&driven, barrier);
		struct xyl_task *last = DRIVE_SPAWN(&driven, come, .barrier = barrier);

		drive_until_done(&driven, last);
		drive_until_done(&driven, first);
		drive_until_done(&driven, second);
		CHECK_EQ(xyl_result(last), 1);
		CHECK_EQ(xyl_result(first), 0);
		CHECK_EQ(xyl_result(second), 0);
	}
	drive_end(&driven);
}

TEST(one_who_was_aborted_does_not_count)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_barrier *barrier = xyl_barrier_new(3);
	struct xyl_task *first = waiter(&driven, barrier), *second = waiter(&driven, barrier);
	struct xyl_task *third, *last;

	xyl_abort(first);
	drive_until_done(&driven, first);
	CHECK_EQ(xyl_result(first), -ECANCELED);
	third = waiter(&driven, barrier);
	CHECK(!xyl_is_done(second));
	last = DRIVE_SPAWN(&driven, come, .barrier = barrier);
	drive_until_done(&driven, last);
	drive_until_done(&driven, second);
	drive_until_done(&driven, third);
	CHECK_EQ(xyl_result(last), 1);
	CHECK_EQ(xyl_result(second) + xyl_result(third), 0);
	drive_end(&driven);
}

TEST(one_alone_goes_on_and_none_is_no_barrier)
{
	CHECK_EQ(RUN(come, .barrier = xyl_barrier_new(1)), 1);
	CHECK(xyl_barrier_new(0) == NULL);
}

/* ---- rounds of two runtimes -------------------------------------------------------------- */

enum { PARTIES = 4 };

struct course {
	struct xyl_barrier *barrier;
	size_t rounds;
	size_t at[PARTIES]; /* each one's own; the others read it after the barrier */
	atomic_size_t leaders;
};

struct racer {
	struct xyl_frame frame;
	struct course *course;
	size_t number, round;
	ssize_t r;
};

static void nobody_lags(const struct course *course, size_t round)
{
	for (size_t i = 0; i < PARTIES; i++)
		CHECK_EQ(course->at[i], round);
}

static xyl_step racer(void *frame)
{
	struct racer *self = frame;

	XYL_BEGIN(self)
	for (self->round = 1; self->round <= self->course->rounds; self->round++) {
		self->course->at[self->number] = self->round;
		XYL_AWAIT(self->r, xyl_barrier_wait(self->course->barrier));
		CHECK(self->r == 0 || self->r == 1);
		atomic_fetch_add(&self->course->leaders, (size_t)self->r);
		nobody_lags(self->course, self->round);
		XYL_AWAIT(self->r, xyl_barrier_wait(self->course->barrier));
	}
	XYL_END(0);
}

struct racers {
	struct xyl_frame frame;
	struct course *course;
	size_t first; /* of two */
	struct xyl_task *tasks[2];
	ssize_t r;
};

static xyl_step racers(void *frame)
{
	struct racers *self = frame;

	XYL_BEGIN(self)
	for (size_t i = 0; i < 2; i++)
		self->tasks[i] = xyl_spawn(racer, .course = self->course,
					   .number = self->first + i);
	XYL_AWAIT(self->r, xyl_join(self->tasks[0]));
	XYL_AWAIT(self->r, xyl_join(self->tasks[1]));
	XYL_END(self->r);
}

TEST(nobody_is_a_round_ahead_in_two_runtimes)
{
	static struct course course;
	struct xyl_runtime *other;
	struct xyl_task *there;

	course = (struct course){ .barrier = xyl_barrier_new(PARTIES),
				  .rounds = test_scaled(1000) };
	CHECK_EQ(xyl_runtime_new(&other, NULL), 0);
	CHECK_EQ(xyl_runtime_start(other), 0);
	there = xyl_runtime_spawn(other, XYL_HERE, racers, .course = &course, .first = 2);
	CHECK_EQ(xyl_run(racers, .course = &course), 0);
	while (!xyl_is_done(there))
		sched_yield();
	CHECK_EQ(xyl_runtime_stop(other, 5 * XYL_SEC), 0);
	CHECK_EQ(course.leaders, course.rounds);
	course.barrier = NULL;
}
