/* SPDX-License-Identifier: MIT */
/* Misuse that no error code can tell ends the program, and is named. */
#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

static void yield_outside(void *unused)
{
	xyl_pending pending = xyl_yield();

	(void)unused;
	(void)pending;
}

static void spawn_outside(void *unused)
{
	(void)unused;
	xyl_spawn(give, .value = 1);
}

TEST(an_operation_outside_a_task_is_named)
{
	child_aborts(yield_outside, NULL, "xyl_yield: called outside a task");
	child_aborts(spawn_outside, NULL, "xyl_spawn: called outside a runtime");
}

struct two_at_once {
	struct xyl_frame frame;
	xyl_pending first;
	ssize_t n;
};

static xyl_step two_at_once(void *frame)
{
	struct two_at_once *self = frame;

	XYL_BEGIN(self)
	self->first = xyl_sleep(XYL_MS);
	XYL_AWAIT(self->n, xyl_yield());
	XYL_END(0);
}

static void run_two_at_once(void *unused)
{
	(void)unused;
	xyl_run(two_at_once);
}

TEST(an_operation_started_before_the_last_one_was_awaited_is_named)
{
	child_aborts(run_two_at_once, NULL, "xyl_yield: the operation started before it");
}

/* Its caller would get the result of the wrong callee. */
struct two_calls {
	struct xyl_frame frame;
	xyl_pending first;
	ssize_t n;
};

static xyl_step two_calls(void *frame)
{
	struct two_calls *self = frame;

	XYL_BEGIN(self)
	self->first = xyl_call(give, .value = 1);
	XYL_AWAIT(self->n, xyl_call(give, .value = 2));
	XYL_END(0);
}

static void run_two_calls(void *unused)
{
	(void)unused;
	xyl_run(two_calls);
}

struct call_and_sleep {
	struct xyl_frame frame;
	xyl_pending first;
	ssize_t n;
};

static xyl_step call_and_sleep(void *frame)
{
	struct call_and_sleep *self = frame;

	XYL_BEGIN(self)
	self->first = xyl_call(give, .value = 1);
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
	XYL_END(0);
}

static void run_call_and_sleep(void *unused)
{
	(void)unused;
	xyl_run(call_and_sleep);
}

TEST(an_operation_started_before_the_last_call_was_awaited_is_named)
{
	child_aborts(run_two_calls, NULL, "not awaited");
	child_aborts(run_call_and_sleep, NULL, "not awaited");
}

static void resume_returned(void *unused)
{
	struct give finished = { .value = 1 };

	(void)unused;
	finished.frame.fn = XYLI_FN(give); /* clang 14 takes it for a constant in an initialiser */
	CHECK_EQ(give(&finished).xyli_code, 0);
	give(&finished);
}

TEST(a_function_resumed_after_its_return_is_named)
{
	child_aborts(resume_returned, NULL, "give: resumed at line -2");
}
