/* SPDX-License-Identifier: MIT */
/* xyl_scope_detach: the tasks of a scope run on, outside it. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/scopes.h"

SCOPE_FRAME(detach_three)
{
	struct detach_three *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	for (int i = 0; i < 3; i++)
		self->tasks[i] = xyl_scope_spawn(self->scope, member, .gate = self->gate,
						 .value = i);
	xyl_scope_detach(self->scope);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	CHECK_EQ(self->n, 0);
	self->tasks[3] = xyl_scope_spawn(self->scope, sleep_for, .ns = LONG_NS);
	CHECK_EQ(xyl_scope_count(self->scope), 1);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK(xyl_is_aborted(self->tasks[3]));
	xyl_future_set(self->gate, 0);
	for (self->i = 0; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->n, self->i);
	}
	XYL_END(0);
}

TEST(detached_tasks_run_on_and_the_scope_is_empty_and_open)
{
	CHECK_EQ(RUN(detach_three), 0);
}

SCOPE_FRAME(detach_failure)
{
	struct detach_failure *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->tasks[0] = xyl_scope_spawn(self->scope, give, .value = -EIO);
	xyl_scope_detach(self->scope);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(self->n, -EIO);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	XYL_END(self->n);
}

TEST(a_failure_after_the_detaching_is_none_of_the_scope)
{
	CHECK_EQ(RUN(detach_failure), 0);
}

/* ---- where they go -------------------------------------------------------------------- */

SCOPE_FRAME(detach_to_parent)
{
	struct detach_to_parent *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	self->gate = xyl_future_new();
	self->tasks[0] = xyl_scope_spawn(self->child, member, .gate = self->gate, .value = 5);
	self->tasks[1] = xyl_scope_spawn(self->child, sleep_for, .ns = LONG_NS);
	xyl_scope_detach(self->child);
	CHECK_EQ(xyl_scope_count(self->child), 0);
	CHECK_EQ(xyl_scope_count(self->scope), 2);
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, 0);
	CHECK(self->got == self->tasks[0]);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, 0);
	CHECK(xyl_is_done(self->tasks[1]) && xyl_is_aborted(self->tasks[1]));
	XYL_END(0);
}

TEST(they_become_tasks_of_the_parent)
{
	CHECK_EQ(RUN(detach_to_parent), 0);
}

SCOPE_FRAME(detach_tree)
{
	struct detach_tree *self = frame;

	XYL_BEGIN(self)
	self->other = xyl_scope_new(NULL);
	self->scope = xyl_scope_new(self->other);
	self->child = xyl_scope_new(self->scope);
	self->grandchild = xyl_scope_new(self->child);
	self->tasks[0] = xyl_scope_spawn(self->scope, sleep_for, .ns = LONG_NS);
	self->tasks[1] = xyl_scope_spawn(self->child, sleep_for, .ns = LONG_NS);
	self->tasks[2] = xyl_scope_spawn(self->grandchild, sleep_for, .ns = LONG_NS);
	xyl_scope_detach(self->scope);
	CHECK_EQ(xyl_scope_count(self->other), 3);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	CHECK_EQ(xyl_scope_count(self->child), 0);
	CHECK_EQ(xyl_scope_count(self->grandchild), 0);
	self->tasks[3] = xyl_scope_spawn(self->grandchild, sleep_for, .ns = LONG_NS);
	CHECK_EQ(xyl_scope_count(self->scope), 1); /* the tree is as it was */
	CHECK_EQ(xyl_scope_count(self->other), 4);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(xyl_scope_count(self->other), 3);
	CHECK(xyl_is_aborted(self->tasks[3]) && !xyl_is_aborted(self->tasks[2]));
	xyl_scope_abort(self->other);
	for (self->i = 0; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_scope_next(self->other, &self->got));
		CHECK_EQ(self->n, 0);
		CHECK(xyl_is_aborted(self->got));
	}
	XYL_AWAIT(self->n, xyl_scope_close(self->other));
	XYL_END(self->n);
}

TEST(tasks_of_child_scopes_are_detached_too_and_the_children_stay)
{
	CHECK_EQ(RUN(detach_tree), 0);
}

SCOPE_FRAME(detach_own)
{
	struct detach_own *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->waiters[0] = xyl_scope_spawn(self->scope, close_scope, .scope = self->scope);
	xyl_scope_detach(self->scope);
	XYL_AWAIT(self->n, xyl_join(self->waiters[0]));
	XYL_END(self->n);
}

TEST(a_task_may_detach_the_scope_it_is_in_and_then_wait_for_it)
{
	CHECK_EQ(RUN(detach_own), 0);
}

/* ---- who waits at that moment ------------------------------------------------------------ */

SCOPE_FRAME(detach_from_waiters)
{
	struct detach_from_waiters *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	self->tasks[0] = xyl_scope_spawn(self->scope, give, .value = -EIO);
	self->tasks[1] = xyl_scope_spawn(self->scope, sleep_for, .ns = LONG_NS);
	self->tasks[2] = xyl_scope_spawn(self->child, sleep_for, .ns = LONG_NS);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	self->got = NULL;
	self->waiters[0] = xyl_spawn(join_scope, .scope = self->scope);
	self->waiters[1] = xyl_spawn(ask, .scope = self->scope, .got = &self->got);
	self->waiters[2] = xyl_spawn(join_scope, .scope = self->child);
	self->waiters[3] = xyl_spawn(ask, .scope = self->child, .got = &self->got);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_scope_detach(self->scope);
	XYL_AWAIT(self->n, xyl_join(self->waiters[0]));
	CHECK_EQ(self->n, -EIO);
	XYL_AWAIT(self->n, xyl_join(self->waiters[1]));
	CHECK_EQ(self->n, -ENOENT);
	XYL_AWAIT(self->n, xyl_join(self->waiters[2]));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_join(self->waiters[3]));
	CHECK_EQ(self->n, -ENOENT);
	CHECK(!self->got && !xyl_is_done(self->tasks[1]) && !xyl_is_done(self->tasks[2]));
	xyl_abort(self->tasks[1]);
	xyl_abort(self->tasks[2]);
	XYL_END(0);
}

TEST(joiners_get_the_first_failure_so_far_and_askers_that_none_is_left)
{
	CHECK_EQ(RUN(detach_from_waiters), 0);
}

SCOPE_FRAME(detach_after_end)
{
	struct detach_after_end *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	self->tasks[0] = xyl_scope_spawn(self->scope, give, .value = 1);
	self->tasks[1] = xyl_scope_spawn(self->scope, member, .gate = self->gate);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	xyl_scope_detach(self->scope);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, 0);
	CHECK(self->got == self->tasks[0]);
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	XYL_END(self->n == -ENOENT ? 0 : -1);
}

TEST(what_had_ended_before_is_still_given)
{
	CHECK_EQ(RUN(detach_after_end), 0);
}

/* ---- beside a close ---------------------------------------------------------------------- */

SCOPE_FRAME(detach_closing)
{
	struct detach_closing *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	self->tasks[0] = xyl_scope_spawn(self->scope, stubborn, .gate = self->gate);
	self->waiters[0] = xyl_spawn(close_scope, .scope = self->scope);
	XYL_AWAIT(self->n, xyl_yield());
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_scope_detach(self->scope);
	CHECK_EQ(xyl_scope_count(self->scope), 1);
	CHECK(!xyl_is_done(self->waiters[0]));
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_join(self->waiters[0]));
	CHECK_EQ(self->n, 0);
	CHECK(xyl_is_done(self->tasks[0]));
	XYL_END(0);
}

TEST(a_scope_that_is_closing_keeps_its_tasks)
{
	CHECK_EQ(RUN(detach_closing), 0);
}

SCOPE_FRAME(detach_closing_child)
{
	struct detach_closing_child *self = frame;

	XYL_BEGIN(self)
	self->other = xyl_scope_new(NULL);
	self->scope = xyl_scope_new(self->other);
	self->child = xyl_scope_new(self->scope);
	self->gate = xyl_future_new();
	CHECK_EQ(xyl_scope_root(self->child, self->child), 0);
	self->tasks[0] = xyl_scope_spawn(self->child, stubborn, .gate = self->gate);
	self->tasks[1] = xyl_scope_spawn(self->scope, sleep_for, .ns = LONG_NS);
	self->waiters[0] = xyl_spawn(close_scope, .scope = self->child);
	XYL_AWAIT(self->n, xyl_yield());
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_scope_detach(self->scope);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	CHECK_EQ(xyl_scope_count(self->child), 1);
	CHECK_EQ(xyl_scope_count(self->other), 2);
	self->waiters[1] = xyl_spawn(close_scope, .scope = self->other);
	XYL_AWAIT(self->n, xyl_join(self->tasks[1]));
	CHECK(!xyl_is_done(self->waiters[0]) && !xyl_is_done(self->waiters[1]));
	CHECK_EQ(xyl_root_count(), 1);
	xyl_future_set(self->gate, 0);
	for (self->i = 0; self->i < 2; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->waiters[self->i]));
		CHECK_EQ(self->n, 0);
	}
	CHECK_EQ(xyl_root_count(), 0);
	XYL_END(0);
}

TEST(a_child_that_is_closing_moves_to_the_parent_as_it_is)
{
	CHECK_EQ(RUN(detach_closing_child), 0);
}

/* ---- roots ------------------------------------------------------------------------------- */

SCOPE_FRAME(detach_roots)
{
	struct detach_roots *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	self->second = xyl_future_new();
	CHECK_EQ(xyl_scope_root(self->scope, self->gate), 0);
	CHECK_EQ(xyl_scope_root(self->scope, self->second), 0);
	self->tasks[0] = xyl_scope_spawn(self->scope, member, .gate = self->gate);
	self->tasks[1] = xyl_scope_spawn(self->scope, member, .gate = self->second);
	xyl_scope_detach(self->scope);
	CHECK_EQ(xyl_scope_root(self->scope, self), 0); /* it is as new */
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(xyl_root_count(), 2);
	self->scope = NULL;
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_collect();
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(xyl_root_count(), 2);
	xyl_future_set(self->second, 0);
	XYL_AWAIT(self->n, xyl_join(self->tasks[1]));
	CHECK_EQ(xyl_root_count(), 0);
	XYL_END(0);
}

TEST(roots_last_as_long_as_the_tasks_that_were_detached_with_them)
{
	CHECK_EQ(RUN(detach_roots), 0);
}

SCOPE_FRAME(detach_only_roots)
{
	struct detach_only_roots *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	CHECK_EQ(xyl_scope_root(self->scope, self), 0);
	CHECK_EQ(xyl_scope_root(self->child, self), 0);
	xyl_scope_detach(self->scope);
	CHECK_EQ(xyl_root_count(), 0);
	XYL_END(0);
}

TEST(roots_of_a_scope_without_tasks_are_dropped_at_once)
{
	CHECK_EQ(RUN(detach_only_roots), 0);
}

SCOPE_FRAME(detach_often)
{
	struct detach_often *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (self->i = 0; self->i < 50; self->i++) {
		self->child = xyl_scope_new(self->scope);
		self->grandchild = xyl_scope_new(self->child);
		CHECK_EQ(xyl_scope_root(self->child, self), 0);
		CHECK_EQ(xyl_scope_root(self->grandchild, self), 0);
		self->tasks[0] = xyl_scope_spawn(self->grandchild, give, .value = self->i);
		xyl_scope_detach(self->child);
		CHECK_EQ(xyl_root_count(), 2);
		CHECK_EQ(xyl_scope_count(self->scope), 1);
		XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
		CHECK(self->got == self->tasks[0]);
		CHECK_EQ(xyl_root_count(), 0);
	}
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

TEST(roots_do_not_pile_up_with_a_parent_that_lives_on)
{
	CHECK_EQ(RUN(detach_often), 0);
}

SCOPE_FRAME(detach_twice)
{
	struct detach_twice *self = frame;

	XYL_BEGIN(self)
	self->other = xyl_scope_new(NULL);
	self->scope = xyl_scope_new(self->other);
	self->child = xyl_scope_new(self->scope);
	self->gate = xyl_future_new();
	self->second = xyl_future_new();
	CHECK_EQ(xyl_scope_root(self->child, self->gate), 0);
	self->tasks[0] = xyl_scope_spawn(self->child, member, .gate = self->gate);
	xyl_scope_detach(self->child);
	CHECK_EQ(xyl_scope_root(self->scope, self->second), 0);
	self->tasks[1] = xyl_scope_spawn(self->scope, member, .gate = self->second);
	xyl_scope_detach(self->scope);
	CHECK_EQ(xyl_root_count(), 2);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	CHECK_EQ(xyl_scope_count(self->other), 2);

	xyl_future_set(self->second, 0);
	XYL_AWAIT(self->n, xyl_scope_next(self->other, &self->got));
	CHECK(self->got == self->tasks[1]);
	CHECK_EQ(xyl_root_count(), 2); /* the other one may use both */
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_scope_next(self->other, &self->got));
	CHECK(self->got == self->tasks[0]);
	CHECK_EQ(xyl_root_count(), 0);
	XYL_END(0);
}

TEST(what_was_detached_twice_still_holds_its_roots)
{
	CHECK_EQ(RUN(detach_twice), 0);
}

SCOPE_FRAME(detach_then_close)
{
	struct detach_then_close *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	CHECK_EQ(xyl_scope_root(self->child, self), 0);
	self->tasks[0] = xyl_scope_spawn(self->child, sleep_for, .ns = LONG_NS);
	xyl_scope_detach(self->child);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK(xyl_is_aborted(self->tasks[0]));
	CHECK_EQ(xyl_root_count(), 0);
	XYL_END(self->n);
}

TEST(a_parent_that_closes_drops_the_roots_of_what_was_detached_into_it)
{
	CHECK_EQ(RUN(detach_then_close), 0);
}
