/* SPDX-License-Identifier: MIT */
/* xyl_sleep and xyl_sleep_until.  Bounds are in bound.c. */
#include <errno.h>
#include <stdint.h>

#include "rt/clock.h"
#include "spawn/runtime.h"
#include "gc/check.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

static uint32_t timers_running(const struct driven *driven)
{
	return driven->rt->shard->timers.count;
}

/* ---- how long ------------------------------------------------------------------------------ */

struct sleep_checked {
	struct xyl_frame frame;
	int64_t ns, before;
	ssize_t n;
};

/* The work before it makes the turn's clock old. */
static xyl_step sleep_checked(void *frame)
{
	struct sleep_checked *self = frame;

	XYL_BEGIN(self)
	while (xyli_clock() < xyl_now() + XYL_MS)
		;
	self->before = xyli_clock();
	XYL_AWAIT(self->n, xyl_sleep(self->ns));
	CHECK_EQ(self->n, 0);
	CHECK(xyli_clock() - self->before >= self->ns);
	self->before = xyli_clock();
	XYL_AWAIT(self->n, xyl_sleep_until(self->before + self->ns));
	CHECK_EQ(self->n, 0);
	CHECK(xyli_clock() - self->before >= self->ns);
	XYL_END(self->n);
}

TEST(a_sleep_never_ends_early_whatever_the_clock_of_the_turn_says)
{
	CHECK_EQ(RUN(sleep_checked, .ns = XYL_US), 0);
	CHECK_EQ(RUN(sleep_checked, .ns = 3 * XYL_MS), 0);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(RUN(sleep_checked, .ns = (int64_t)(test_random() % 2000000)), 0);
}

struct nap {
	struct xyl_frame frame;
	int64_t ns;
	bool until;
	ssize_t n;
};

static xyl_step nap(void *frame)
{
	struct nap *self = frame;

	XYL_BEGIN(self)
	if (self->until)
		XYL_AWAIT(self->n, xyl_sleep_until(self->ns));
	else
		XYL_AWAIT(self->n, xyl_sleep(self->ns));
	XYL_END(self->n);
}

TEST(a_time_that_has_passed_already_is_over_in_the_next_turn)
{
	const int64_t passed[] = { 0, -1, INT64_MIN };
	struct driven driven = drive_begin(NULL);

	for (int i = 0; i < 6; i++) {
		struct xyl_task *task = DRIVE_SPAWN(&driven, nap, .ns = passed[i % 3],
						    .until = i >= 3);

		drive(&driven, 1);
		CHECK(!xyl_is_done(task)); /* it lets the others run */
		drive(&driven, 1);
		CHECK_EQ(xyl_result(task), 0);
	}
	drive_end(&driven);
}

TEST(a_sleep_until_the_end_of_time_can_be_aborted)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *tasks[] = {
		DRIVE_SPAWN(&driven, nap, .ns = INT64_MAX),
		DRIVE_SPAWN(&driven, nap, .ns = INT64_MAX, .until = true),
	};

	drive(&driven, 3);
	for (int i = 0; i < 2; i++) {
		CHECK(!xyl_is_done(tasks[i]));
		xyl_abort(tasks[i]);
	}
	drive(&driven, 2);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(xyl_result(tasks[i]), -ECANCELED);
	drive_end(&driven);
}

struct nap_forever {
	struct xyl_frame frame;
	struct xyl_task *task;
	ssize_t n;
};

static xyl_step nap_forever(void *frame)
{
	struct nap_forever *self = frame;

	XYL_BEGIN(self)
	self->task = xyl_spawn(nap, .ns = INT64_MAX);
	XYL_AWAIT(self->n, xyl_sleep(2 * XYL_MS));
	CHECK(!xyl_is_done(self->task));
	XYL_END(0);
}

/* Its timer is the only one for a while: the ring's own wait has no end then. */
TEST(a_sleep_until_the_end_of_time_ends_with_the_runtime)
{
	CHECK_EQ(RUN(nap_forever), 0);
}

/* ---- the loop asleep ------------------------------------------------------------------------- */

struct count_turns {
	struct xyl_frame frame;
	struct xyl_stats before, after;
	ssize_t n;
};

static xyl_step count_turns(void *frame)
{
	struct count_turns *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
	xyl_runtime_stats(xyl_runtime_self(), &self->before);
	XYL_AWAIT(self->n, xyl_sleep(20 * XYL_MS));
	xyl_runtime_stats(xyl_runtime_self(), &self->after);
	XYL_END((ssize_t)(self->after.turns - self->before.turns));
}

TEST(the_loop_does_not_turn_while_all_sleep)
{
	CHECK(RUN(count_turns) <= 8);
}

/* ---- the clock ------------------------------------------------------------------------------- */

struct look_at_clock {
	struct xyl_frame frame;
	int64_t first, real;
	ssize_t n;
};

static xyl_step look_at_clock(void *frame)
{
	struct look_at_clock *self = frame;

	XYL_BEGIN(self)
	self->first = xyl_now();
	CHECK(self->first <= xyli_clock());
	self->real = xyli_clock();
	while (xyli_clock() < self->real + XYL_MS)
		;
	CHECK_EQ(xyl_now(), self->first);
	XYL_AWAIT(self->n, xyl_sleep(0));
	CHECK(xyl_now() >= self->real + XYL_MS);
	XYL_END(0);
}

TEST(now_is_the_clock_of_the_turn_in_a_task_and_the_real_one_outside)
{
	int64_t before = xyli_clock();

	CHECK(xyl_now() >= before);
	CHECK(xyl_now() <= xyli_clock());
	CHECK_EQ(RUN(look_at_clock), 0);
}

/* ---- many ------------------------------------------------------------------------------------ */

struct wake_in_order {
	struct xyl_frame frame;
	int64_t when;
	int64_t *latest;
	ssize_t n;
};

static xyl_step wake_in_order(void *frame)
{
	struct wake_in_order *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep_until(self->when));
	CHECK_EQ(self->n, 0);
	CHECK(xyli_clock() >= self->when);
	CHECK(self->when >= *self->latest);
	*self->latest = self->when;
	XYL_END(0);
}

TEST(sleepers_wake_in_the_order_of_their_deadlines)
{
	struct driven driven = drive_in_order(NULL);
	size_t count = test_scaled(2000);
	int64_t start = xyli_clock() + (xyli_check_on() ? 1000 : 20) * XYL_MS,
		latest = 0; /* all sleep by then */

	for (size_t i = 0; i < count; i++)
		DRIVE_SPAWN(&driven, wake_in_order, .latest = &latest,
			    .when = start + (int64_t)(test_random() % 5000000));
	do
		drive(&driven, 1);
	while (drive_stats(&driven).live);
	CHECK(latest >= start);
	CHECK_EQ(timers_running(&driven), 0);
	drive_end(&driven);
}

TEST(an_aborted_sleeper_leaves_no_timer)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, nap, .ns = 3600 * XYL_SEC);

	drive(&driven, 1);
	CHECK_EQ(timers_running(&driven), 1);
	xyl_abort(task);
	drive(&driven, 1);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	CHECK_EQ(timers_running(&driven), 0);
	drive_end(&driven);
}

/* Each time the heap has to close the gap in another place. */
TEST(sleepers_aborted_in_any_order_leave_the_others_asleep)
{
	struct driven driven = drive_begin(NULL);
	size_t count = test_scaled(1000), left = count;
	struct xyl_task **tasks = xyl_alloc(count * sizeof(struct xyl_task *));

	for (size_t i = 0; i < count; i++)
		tasks[i] = DRIVE_SPAWN(&driven, nap,
				       .ns = XYL_SEC * (60 + (int64_t)(test_random() % 3600)));
	while (timers_running(&driven) < count)
		drive(&driven, 1);
	while (left > 0) {
		size_t chosen = test_random() % left;
		struct xyl_task *task = tasks[chosen];

		tasks[chosen] = tasks[--left];
		xyl_abort(task);
		CHECK_EQ(drive(&driven, 1), 1);
		CHECK_EQ(xyl_result(task), -ECANCELED);
		CHECK_EQ(timers_running(&driven), left);
		xyli_timers_check(&driven.rt->shard->timers);
	}
	drive_end(&driven);
}

/* The alarm has gone off, the abort comes before the task runs. */
TEST(an_abort_after_the_alarm_keeps_its_result)
{
	const struct xyl_config config = { .turn_budget = 1 };
	struct driven driven = drive_in_order(&config);
	struct xyl_task *first = DRIVE_SPAWN(&driven, nap, .ns = 0);
	struct xyl_task *second = DRIVE_SPAWN(&driven, nap, .ns = 0);

	CHECK_EQ(drive(&driven, 3), 3); /* both asleep; both woken; first is done */
	CHECK(xyl_is_done(first) && !xyl_is_done(second));
	xyl_abort(second);
	drive(&driven, 1);
	CHECK_EQ(xyl_result(second), 0);
	CHECK(xyl_is_aborted(second));
	drive_end(&driven);
}
