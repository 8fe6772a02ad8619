/* SPDX-License-Identifier: MIT */
/* Bounds inside bounds, in and around shields, aborts and scopes. */
#include <errno.h>
#include <stdint.h>

#include "spawn/runtime.h"
#include "tests/bounds.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* ---- nested calls ---------------------------------------------------------------------------- */

struct inner {
	struct xyl_frame frame;
	int64_t sleep_ns;
	ssize_t n;
};

static xyl_step inner(void *frame)
{
	struct inner *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(self->sleep_ns));
	XYL_END(self->n);
}

struct outer {
	struct xyl_frame frame;
	int64_t inner_ns;
	struct seen *seen;
};

static xyl_step outer(void *frame)
{
	struct outer *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->seen->first,
		  xyl_within(xyl_call(inner, .sleep_ns = LONG_NS), self->inner_ns));
	XYL_AWAIT(self->seen->second, xyl_sleep(0));
	XYL_AWAIT(self->seen->third, xyl_call(inner, .sleep_ns = 0));
	XYL_END(self->seen->second);
}

struct outermost {
	struct xyl_frame frame;
	int64_t outer_ns, inner_ns;
	struct seen *seen;
	ssize_t n, again;
};

static xyl_step outermost(void *frame)
{
	struct outermost *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n,
		  xyl_within(xyl_call(outer, .inner_ns = self->inner_ns, .seen = self->seen),
			     self->outer_ns));
	CHECK_EQ(timers_running(), 0);
	XYL_AWAIT(self->again, xyl_call(inner, .sleep_ns = 1));
	CHECK_EQ(self->again, 0);
	XYL_END(self->n);
}

TEST(when_the_inner_bound_passes_first_the_outer_callee_goes_on)
{
	struct seen seen = { .runs = 0 };

	CHECK_EQ(RUN(outermost, .outer_ns = LONG_NS, .inner_ns = SHORT_NS, .seen = &seen), 0);
	CHECK_EQ(seen.first, -ETIMEDOUT);
	CHECK_EQ(seen.second, 0);
	CHECK_EQ(seen.third, 0);
}

/* The inner call was not out of time itself: it was cancelled from outside. */
TEST(when_the_outer_bound_passes_first_all_that_is_inside_is_cancelled)
{
	struct seen seen = { .runs = 0 };

	CHECK_EQ(RUN(outermost, .outer_ns = SHORT_NS, .inner_ns = LONG_NS, .seen = &seen),
		 -ETIMEDOUT);
	CHECK_EQ(seen.first, -ECANCELED);
	CHECK_EQ(seen.second, -ECANCELED);
	CHECK_EQ(seen.third, -ECANCELED);
}

TEST(when_both_bounds_pass_at_once_both_say_so)
{
	struct seen seen = { .runs = 0 };

	CHECK_EQ(RUN(outermost, .outer_ns = 0, .inner_ns = 0, .seen = &seen), -ETIMEDOUT);
	CHECK_EQ(seen.first, -ETIMEDOUT);
	CHECK_EQ(seen.second, -ECANCELED);
	CHECK_EQ(seen.third, -ECANCELED);
}

/* ---- shields --------------------------------------------------------------------------------- */

struct shield_inside {
	struct xyl_frame frame;
	struct seen *seen;
};

static xyl_step shield_inside(void *frame)
{
	struct shield_inside *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	XYL_AWAIT(self->seen->first, xyl_sleep(3 * SHORT_NS));
	XYL_AWAIT(self->seen->second, xyl_within(xyl_sleep(LONG_NS), SHORT_NS));
	xyl_shield_end();
	XYL_AWAIT(self->seen->third, xyl_sleep(LONG_NS));
	XYL_END(0);
}

struct bound_shield {
	struct xyl_frame frame;
	struct seen *seen;
	ssize_t n;
};

static xyl_step bound_shield(void *frame)
{
	struct bound_shield *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_call(shield_inside, .seen = self->seen), SHORT_NS));
	CHECK_EQ(timers_running(), 0);
	XYL_END(self->n);
}

TEST(a_shield_keeps_out_the_bounds_set_outside_and_not_those_set_inside)
{
	struct seen seen = { .runs = 0 };

	CHECK_EQ(RUN(bound_shield, .seen = &seen), -ETIMEDOUT);
	CHECK_EQ(seen.first, 0);
	CHECK_EQ(seen.second, -ETIMEDOUT);
	CHECK_EQ(seen.third, -ECANCELED);
}

struct shielded_bound {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step shielded_bound(void *frame)
{
	struct shielded_bound *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(LONG_NS), SHORT_NS));
	xyl_shield_end();
	XYL_END(self->n);
}

TEST(a_bound_in_a_shield_gives_etimedout_in_an_aborted_task_too)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, shielded_bound);

	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ETIMEDOUT);
	drive_end(&driven);
}

/* ---- aborts ---------------------------------------------------------------------------------- */

struct bound_both {
	struct xyl_frame frame;
	int64_t ns;
	struct seen *seen;
};

static xyl_step bound_both(void *frame)
{
	struct bound_both *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->seen->first, xyl_within(xyl_sleep(LONG_NS), self->ns));
	XYL_AWAIT(self->seen->second, xyl_within(xyl_sleep(LONG_NS), self->ns));
	XYL_AWAIT(self->seen->third, xyl_within(xyl_call(inner, .sleep_ns = LONG_NS), self->ns));
	XYL_END(0);
}

static void abort_bounded(int64_t ns, unsigned turns_before)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .runs = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, bound_both, .ns = ns, .seen = &seen);

	drive(&driven, turns_before);
	if (ns < LONG_NS)
		pass_time(2 * ns);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(seen.first, -ECANCELED);
	CHECK_EQ(seen.second, -ECANCELED);
	CHECK_EQ(seen.third, -ECANCELED);
	CHECK_EQ(driven.rt->shard->timers.count, 0);
	drive_end(&driven);
}

TEST(in_an_aborted_task_ecanceled_wins)
{
	abort_bounded(LONG_NS, 1);
	abort_bounded(LONG_NS, 0);
	abort_bounded(SHORT_NS, 1);
	abort_bounded(SHORT_NS, 0);
	abort_bounded(0, 0);
}

struct in_bounded_call {
	struct xyl_frame frame;
	struct seen *seen;
	ssize_t n;
};

static xyl_step in_bounded_call(void *frame)
{
	struct in_bounded_call *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_call(stubborn, .seen = self->seen), SHORT_NS));
	XYL_END(self->n);
}

/* The abort is seen first, the bound passes later: the callee's own result stands. */
TEST(a_bounded_callee_in_an_aborted_task_returns_what_it_returns)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .runs = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, in_bounded_call, .seen = &seen);

	drive(&driven, 1);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(seen.first, -ECANCELED);
	CHECK_EQ(xyl_result(task), 5);
	drive_end(&driven);
}

/* ---- scopes ---------------------------------------------------------------------------------- */

struct slow_to_end {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step slow_to_end(void *frame)
{
	struct slow_to_end *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_sleep(3 * SHORT_NS));
	xyl_shield_end();
	XYL_END(0);
}

struct bound_scope {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	struct xyl_task *task;
	ssize_t n;
};

static xyl_step bound_scope(void *frame)
{
	struct bound_scope *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->task = xyl_scope_spawn(self->scope, slow_to_end);
	XYL_AWAIT(self->n, xyl_within(xyl_scope_join(self->scope), SHORT_NS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK(!xyl_is_aborted(self->task));
	XYL_AWAIT(self->n, xyl_within(xyl_scope_close(self->scope), SHORT_NS));
	CHECK_EQ(self->n, 0);
	CHECK(xyl_is_done(self->task));
	CHECK_EQ(timers_running(), 0);
	XYL_AWAIT(self->n, xyl_sleep(0));
	XYL_END(self->n);
}

TEST(scope_join_is_bounded_and_scope_close_is_not)
{
	CHECK_EQ(RUN(bound_scope), 0);
}

/* In a callee past its bound the same holds. */
struct close_late {
	struct xyl_frame frame;
	struct seen *seen;
	struct xyl_scope *scope;
	ssize_t n;
};

static xyl_step close_late(void *frame)
{
	struct close_late *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	xyl_scope_spawn(self->scope, slow_to_end);
	XYL_AWAIT(self->seen->first, xyl_scope_join(self->scope));
	XYL_AWAIT(self->seen->second, xyl_scope_close(self->scope));
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	XYL_AWAIT(self->seen->third, xyl_yield());
	XYL_END(0);
}

struct bound_close_late {
	struct xyl_frame frame;
	struct seen *seen;
	ssize_t n;
};

static xyl_step bound_close_late(void *frame)
{
	struct bound_close_late *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_call(close_late, .seen = self->seen), SHORT_NS));
	XYL_END(self->n);
}

TEST(a_callee_past_its_bound_still_closes_its_scope)
{
	struct seen seen = { .runs = 0 };

	CHECK_EQ(RUN(bound_close_late, .seen = &seen), -ETIMEDOUT);
	CHECK_EQ(seen.first, -ECANCELED);
	CHECK_EQ(seen.second, 0);
	CHECK_EQ(seen.third, -ECANCELED);
}
