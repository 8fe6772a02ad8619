/* SPDX-License-Identifier: MIT */
/* Tokens that are fired at the end of a block, or of a scope. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/run.h"
#include "tests/tokens.h"
#include "xylem/xylem.h"

/* ---- a block -------------------------------------------------------------------------------- */

static int leave_early(struct xyl_cancel *first, struct xyl_cancel *second)
{
	XYL_FIRE_AFTER(one, first);
	XYL_ROOTED(root, second);
	XYL_FIRE_AFTER(two, second);

	CHECK(!xyl_cancel_is_fired(first) && !xyl_cancel_is_fired(second));
	if (xyl_root_get(root) == second)
		return 1;
	return 0;
}

TEST(a_guarded_token_is_fired_when_its_block_is_left)
{
	struct xyl_cancel *first = xyl_cancel_new(NULL), *second = xyl_cancel_new(NULL);

	CHECK_EQ(leave_early(first, second), 1);
	CHECK(xyl_cancel_is_fired(first) && xyl_cancel_is_fired(second));
}

TEST(a_guard_of_no_token_does_nothing)
{
	XYL_FIRE_AFTER(none, NULL);
}

/* ---- a scope -------------------------------------------------------------------------------- */

#define IN_SCOPE(name)                            \
	struct name {                             \
		struct xyl_frame frame;           \
		struct xyl_scope *scope, *child;  \
		struct xyl_cancel *token, *other; \
		struct xyl_future *gate;          \
		ssize_t n;                        \
	};                                        \
	static xyl_step name(void *frame)

IN_SCOPE(scope_ends)
{
	struct scope_ends *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	self->token = xyl_cancel_new(NULL);
	self->other = xyl_cancel_new(NULL);
	self->gate = xyl_future_new();
	CHECK_EQ(xyl_scope_fire(self->scope, self->token), 0);
	CHECK_EQ(xyl_scope_fire(self->scope, self->other), 0);
	CHECK(xyl_scope_spawn(self->scope, get, .future = self->gate) != NULL);
	CHECK(xyl_scope_spawn(self->child, get, .future = self->gate) != NULL);
	XYL_AWAIT(self->n, xyl_sleep(1));
	CHECK(!xyl_cancel_is_fired(self->token));
	xyl_future_set(self->gate, -EIO);
	XYL_AWAIT(self->n, xyl_cancel_wait(self->token));
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	CHECK(xyl_cancel_is_fired(self->other));
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	CHECK_EQ(self->n, -EIO);
	XYL_END(0);
}

TEST(a_token_is_fired_when_the_last_task_of_its_scope_has_ended)
{
	CHECK_EQ(RUN(scope_ends), 0);
}

IN_SCOPE(closed_idle)
{
	struct closed_idle *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(xyl_scope_new(self->scope)); /* idle, as the one between */
	self->token = xyl_cancel_new(NULL);
	self->other = xyl_cancel_new(NULL);
	CHECK_EQ(xyl_scope_fire(self->scope, self->token), 0);
	CHECK_EQ(xyl_scope_fire(self->child, self->other), 0);
	XYL_AWAIT(self->n, xyl_sleep(1));
	CHECK(!xyl_cancel_is_fired(self->token) && !xyl_cancel_is_fired(self->other));
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK(xyl_cancel_is_fired(self->token) && xyl_cancel_is_fired(self->other));
	self->token = xyl_cancel_new(NULL);
	CHECK_EQ(xyl_scope_fire(self->child, self->token), 0);
	CHECK(xyl_cancel_is_fired(self->token)); /* it was too late to wait for that */
	XYL_END(0);
}

TEST(a_token_is_fired_when_its_scope_is_closed_from_above_with_nobody_in_it)
{
	CHECK_EQ(RUN(closed_idle), 0);
}

IN_SCOPE(closed_busy)
{
	struct closed_busy *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	self->token = xyl_cancel_new(NULL);
	CHECK_EQ(xyl_scope_fire(self->child, self->token), 0);
	CHECK(xyl_scope_spawn(self->child, sleep_for, .ns = LONG_NS) != NULL);
	XYL_AWAIT(self->n, xyl_sleep(1));
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK(xyl_cancel_is_fired(self->token));
	XYL_END(0);
}

TEST(a_token_is_fired_when_its_scope_is_closed_and_its_tasks_have_ended)
{
	CHECK_EQ(RUN(closed_busy), 0);
}
