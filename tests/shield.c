/* SPDX-License-Identifier: MIT */
/* Shields: cleanup that must itself await. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

struct seen {
	ssize_t inside, between, after, last;
	int cleanups;
};

/* ---- one shield ------------------------------------------------------------------------------ */

struct shielded {
	struct xyl_frame frame;
	struct xyl_future *gate;
	struct seen *seen;
};

static xyl_step shielded(void *frame)
{
	struct shielded *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	XYL_AWAIT(self->seen->inside, xyl_future_get(self->gate));
	XYL_AWAIT(self->seen->between, xyl_sleep(0));
	xyl_shield_end();
	XYL_AWAIT(self->seen->after, xyl_sleep(LONG_NS));
	XYL_AWAIT(self->seen->last, xyl_yield());
	self->seen->cleanups++;
	XYL_END(self->seen->inside);
}

static void abort_shielded(unsigned turns_before)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *gate = xyl_future_new();
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, shielded, .gate = gate, .seen = &seen);

	drive(&driven, turns_before);
	xyl_abort(task);
	drive(&driven, 5);
	CHECK(!xyl_is_done(task));
	CHECK(xyl_is_aborted(task));
	xyl_future_set(gate, 11);
	drive_until_done(&driven, task);
	CHECK_EQ(seen.inside, 11);
	CHECK_EQ(seen.between, 0);
	CHECK_EQ(seen.after, -ECANCELED);
	CHECK_EQ(seen.last, -ECANCELED);
	CHECK_EQ(seen.cleanups, 1);
	CHECK_EQ(xyl_result(task), 11);
	drive_end(&driven);
}

TEST(an_abort_that_arrives_inside_a_shield_is_seen_after_its_end)
{
	abort_shielded(1);
}

TEST(an_abort_before_the_first_run_does_not_reach_into_a_shield)
{
	abort_shielded(0);
}

/* ---- nested ---------------------------------------------------------------------------------- */

struct nested {
	struct xyl_frame frame;
	struct xyl_future *gate;
	struct seen *seen;
};

static xyl_step nested(void *frame)
{
	struct nested *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	xyl_shield_begin();
	XYL_AWAIT(self->seen->inside, xyl_future_get(self->gate));
	xyl_shield_end();
	XYL_AWAIT(self->seen->between, xyl_sleep(0));
	xyl_shield_end();
	XYL_AWAIT(self->seen->after, xyl_sleep(LONG_NS));
	XYL_END(0);
}

TEST(shields_nest_and_the_outermost_ends_them)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *gate = xyl_future_new();
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, nested, .gate = gate, .seen = &seen);

	drive(&driven, 1);
	xyl_abort(task);
	drive(&driven, 3);
	xyl_future_set(gate, 12);
	drive_until_done(&driven, task);
	CHECK_EQ(seen.inside, 12);
	CHECK_EQ(seen.between, 0);
	CHECK_EQ(seen.after, -ECANCELED);
	drive_end(&driven);
}

/* ---- cleanup --------------------------------------------------------------------------------- */

struct flush {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step flush(void *frame)
{
	struct flush *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
	XYL_END(self->n);
}

struct clean_up {
	struct xyl_frame frame;
	struct seen *seen;
	ssize_t n;
};

static xyl_step clean_up(void *frame)
{
	struct clean_up *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->seen->inside, xyl_sleep(LONG_NS));
	XYL_AWAIT(self->seen->between, xyl_call(flush));
	xyl_shield_begin();
	XYL_AWAIT(self->seen->after, xyl_call(flush));
	xyl_shield_end();
	XYL_AWAIT(self->seen->last, xyl_call(flush));
	self->seen->cleanups++;
	XYL_END(0);
}

TEST(cleanup_in_a_shield_awaits_as_if_nothing_had_happened)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, clean_up, .seen = &seen);

	drive(&driven, 1);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(seen.inside, -ECANCELED);
	CHECK_EQ(seen.between, -ECANCELED);
	CHECK_EQ(seen.after, 0);
	CHECK_EQ(seen.last, -ECANCELED);
	CHECK_EQ(seen.cleanups, 1);
	drive_end(&driven);
}

struct close_in_shield {
	struct xyl_frame frame;
	struct xyl_task *other;
	ssize_t n;
};

static xyl_step close_in_shield(void *frame)
{
	struct close_in_shield *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_join(self->other));
	xyl_shield_end();
	XYL_END(self->n);
}

/* Of two tasks of one runtime, one is shielded: the other is not. */
TEST(a_shield_is_of_one_task_and_not_of_those_it_waits_for)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *sleeper = DRIVE_SPAWN(&driven, flush);
	struct xyl_task *task = DRIVE_SPAWN(&driven, close_in_shield, .other = sleeper);

	drive(&driven, 1);
	xyl_abort(task);
	xyl_abort(sleeper);
	drive(&driven, 1);
	CHECK_EQ(xyl_result(sleeper), -ECANCELED);
	CHECK_EQ(xyl_result(task), -ECANCELED); /* of the join: that is what sleeper came to */
	drive_end(&driven);
}

TEST(a_stop_waits_for_what_is_shielded)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, clean_up, .seen = &seen);

	drive(&driven, 1);
	drive_end(&driven);
	CHECK(xyl_is_done(task));
	CHECK_EQ(seen.after, 0);
	CHECK_EQ(seen.cleanups, 1);
}

/* ---- misuse ---------------------------------------------------------------------------------- */

struct end_only {
	struct xyl_frame frame;
	bool begin_first;
};

static xyl_step end_only(void *frame)
{
	struct end_only *self = frame;

	XYL_BEGIN(self)
	if (self->begin_first) {
		xyl_shield_begin();
		xyl_shield_end();
	}
	xyl_shield_end();
	XYL_END(0);
}

static void end_without_begin(void *begin_first)
{
	xyl_run(end_only, .begin_first = begin_first != NULL);
}

static void shield_outside(void *unused)
{
	(void)unused;
	xyl_shield_begin();
}

TEST(an_end_without_a_begin_is_named)
{
	child_aborts(end_without_begin, NULL, "xyl_shield_end: without xyl_shield_begin");
	child_aborts(end_without_begin, "", "xyl_shield_end: without xyl_shield_begin");
	child_aborts(shield_outside, NULL, "xyl_shield_begin: called outside a task");
}
