/* SPDX-License-Identifier: MIT */
/* Once: one does it, the others wait, and a failure is tried again. */
#include <errno.h>
#include <sched.h>

#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/drive.h"
#include "tests/waiting.h"
#include "xylem/xylem.h"

/* As a program would: begin; do it, which takes a while; end it on each way out. */
struct attempt {
	struct xyl_frame frame;
	struct xyl_once *once;
	struct xyl_future *told; /* what came of it; NULL: at once, and well */
	int *counts;		 /* how often it was tried, and how often well */
	ssize_t r;
};

static xyl_step attempt(void *frame)
{
	struct attempt *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_once_begin(self->once));
	if (self->r != 1)
		XYL_RETURN(self->r < 0 ? self->r : xyl_once_result(self->once));
	self->counts[0]++;
	self->r = 7;
	if (self->told)
		XYL_AWAIT(self->r, xyl_future_get(self->told));
	self->counts[1] += self->r >= 0;
	xyl_once_end(self->once, self->r);
	XYL_END(self->r);
}

/* One who does it, and two who wait for him. */
struct trial {
	struct driven driven;
	struct xyl_once *once;
	struct xyl_future *told;
	int counts[2];
	struct xyl_task *doer, *second, *third;
};

static void trial_begin(struct trial *trial)
{
	struct xyl_task **tasks[] = { &trial->doer, &trial->second, &trial->third };

	*trial = (struct trial){ .driven = drive_begin(NULL),
				 .once = xyl_once_new(),
				 .told = xyl_future_new() };
	CHECK_EQ(xyl_once_result(trial->once), -EAGAIN);
	for (int i = 0; i < 3; i++) {
		*tasks[i] = DRIVE_SPAWN(&trial->driven, attempt, .once = trial->once,
					.told = i == 0 ? trial->told : NULL,
					.counts = trial->counts);
		drive_until_waiting(&trial->driven, *tasks[i]);
	}
}

static void trial_end(struct trial *trial, ssize_t result, int tried)
{
	drive_until_done(&trial->driven, trial->second);
	drive_until_done(&trial->driven, trial->third);
	CHECK_EQ(xyl_result(trial->second), result);
	CHECK_EQ(xyl_result(trial->third), result);
	CHECK_EQ(trial->counts[0], tried);
	CHECK_EQ(trial->counts[1], 1);
	CHECK_EQ(RUN(attempt, .once = trial->once, .counts = trial->counts), result);
	CHECK_EQ(xyl_once_result(trial->once), result);
	CHECK_EQ(trial->counts[0], tried);
	drive_end(&trial->driven);
}

TEST(one_does_it_and_the_others_wait_for_him)
{
	struct trial trial;

	trial_begin(&trial);
	CHECK_EQ(xyl_once_result(trial.once), -EAGAIN);
	xyl_future_set(trial.told, 3);
	trial_end(&trial, 3, 1);
}

TEST(if_he_fails_the_next_one_tries)
{
	struct trial trial;

	trial_begin(&trial);
	xyl_future_set(trial.told, -EIO);
	drive_until_done(&trial.driven, trial.doer);
	CHECK_EQ(xyl_result(trial.doer), -EIO);
	trial_end(&trial, 7, 2);
}

TEST(if_he_is_aborted_the_next_one_tries)
{
	struct trial trial;

	trial_begin(&trial);
	xyl_abort(trial.doer);
	drive_until_done(&trial.driven, trial.doer);
	CHECK_EQ(xyl_result(trial.doer), -ECANCELED);
	trial_end(&trial, 7, 2);
}

struct begin {
	struct xyl_frame frame;
	struct xyl_once *once;
	ssize_t r;
};

static xyl_step begin(void *frame)
{
	struct begin *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_once_begin(self->once));
	XYL_END(self->r);
}

TEST(one_who_is_told_to_try_and_is_aborted_tells_the_next)
{
	struct xyl_once *once = xyl_once_new();
	struct driven driven = drive_begin(NULL);
	int counts[2] = { 0 };
	struct xyl_task *second, *third;

	CHECK_EQ(RUN(begin, .once = once), 1);
	second = DRIVE_SPAWN(&driven, attempt, .once = once, .told = xyl_future_new(),
			     .counts = counts);
	drive_until_waiting(&driven, second);
	third = DRIVE_SPAWN(&driven, attempt, .once = once, .counts = counts);
	drive_until_waiting(&driven, third);
	xyl_once_end(once, -EIO); /* anyone may */
	xyl_abort(second);
	drive_until_done(&driven, third);
	CHECK_EQ(xyl_result(second), -ECANCELED);
	CHECK_EQ(xyl_result(third), 7);
	CHECK_EQ(counts[0], 2);
	drive_end(&driven);
}

TEST(a_failure_that_nobody_waits_for_leaves_it_to_the_next_who_comes)
{
	struct xyl_once *once = xyl_once_new();
	struct xyl_future *failed = xyl_future_new();
	int counts[2] = { 0 };

	xyl_future_set(failed, -EIO);
	CHECK_EQ(RUN(attempt, .once = once, .told = failed, .counts = counts), -EIO);
	CHECK_EQ(xyl_once_result(once), -EAGAIN);
	CHECK_EQ(RUN(attempt, .once = once, .counts = counts), 7);
	CHECK_EQ(counts[0], 2);
}

static void end_what_has_not_begun(void *unused)
{
	(void)unused;
	xyl_once_end(xyl_once_new(), 0);
}

TEST(an_end_without_a_begin_is_named)
{
	child_aborts(end_what_has_not_begun, NULL, "xyl_once_end: nobody has begun");
}

/* ---- in two runtimes ------------------------------------------------------------------- */

struct crowd {
	struct xyl_frame frame;
	struct xyl_barrier *both; /* come to it at the same time */
	struct xyl_once **onces;
	int (*counts)[2];
	size_t n, i;
	ssize_t r;
};

static xyl_step crowd(void *frame)
{
	struct crowd *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->n; self->i++) {
		XYL_AWAIT(self->r, xyl_barrier_wait(self->both));
		XYL_AWAIT(self->r, xyl_call(attempt, .once = self->onces[self->i],
					    .counts = self->counts[self->i]));
		CHECK_EQ(self->r, 7);
		CHECK_EQ(self->counts[self->i][1], 1); /* what he did is seen */
	}
	XYL_END(0);
}

TEST(it_is_done_once_in_two_runtimes)
{
	size_t n = test_scaled(2000);
	struct xyl_once **onces = xyl_alloc(n * sizeof(*onces));
	int(*counts)[2] = xyl_alloc(n * sizeof(*counts));
	struct xyl_barrier *both = xyl_barrier_new(2);
	struct xyl_runtime *other;
	struct xyl_task *there;

	for (size_t i = 0; i < n; i++)
		onces[i] = xyl_once_new();
	CHECK_EQ(xyl_runtime_new(&other, NULL), 0);
	CHECK_EQ(xyl_runtime_start(other), 0);
	there = xyl_runtime_spawn(other, XYL_HERE, crowd, .both = both, .onces = onces,
				  .counts = counts, .n = n);
	CHECK_EQ(xyl_run(crowd, .both = both, .onces = onces, .counts = counts, .n = n), 0);
	while (!xyl_is_done(there))
		sched_yield();
	CHECK_EQ(xyl_result(there), 0);
	CHECK_EQ(xyl_runtime_stop(other, 5 * XYL_SEC), 0);
	for (size_t i = 0; i < n; i++)
		CHECK_EQ(counts[i][0], 1);
}
