/* SPDX-License-Identifier: MIT */
/* Scopes: tasks and roots that end together. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { DEEP = 500 };

struct give_after {
	struct xyl_frame frame;
	ssize_t value;
	int64_t ns;
	ssize_t n;
};

static xyl_step give_after(void *frame)
{
	struct give_after *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(self->ns));
	XYL_END(self->n < 0 ? self->n : self->value);
}

/* Each test below is one async function with what it needs in this frame. */
#define SCOPE_FRAME(name)                                     \
	struct name {                                         \
		struct xyl_frame frame;                       \
		struct xyl_scope *scope, *child, *grandchild; \
		struct xyl_task *tasks[4], *other;            \
		struct xyl_weak **weak;                       \
		struct xyl_future *gate;                      \
		ssize_t n;                                    \
		int i;                                        \
	};                                                    \
	static xyl_step name(void *frame)

/* ---- join ---------------------------------------------------------------------------- */

SCOPE_FRAME(join_empty)
{
	struct join_empty *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

TEST(an_empty_scope_is_joined_and_closed_at_once_and_twice)
{
	CHECK_EQ(RUN(join_empty), 0);
}

SCOPE_FRAME(join_three)
{
	struct join_three *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (self->i = 0; self->i < 3; self->i++)
		self->tasks[self->i] = xyl_scope_spawn(self->scope, give_after, .value = self->i,
						       .ns = self->i * XYL_MS);
	CHECK_EQ(xyl_scope_count(self->scope), 3);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	for (self->i = 0; self->i < 3; self->i++)
		CHECK_EQ(xyl_result(self->tasks[self->i]), self->i);
	XYL_END(0);
}

TEST(a_join_waits_for_all_and_gives_zero_if_none_failed)
{
	CHECK_EQ(RUN(join_three), 0);
}

SCOPE_FRAME(join_failures)
{
	struct join_failures *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	xyl_scope_spawn(self->scope, give_after, .value = -EIO, .ns = 2 * XYL_MS);
	xyl_scope_spawn(self->scope, give_after, .value = -EPIPE, .ns = 0);
	self->tasks[0] = xyl_scope_spawn(self->scope, give_after, .value = 3, .ns = 3 * XYL_MS);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	CHECK(xyl_is_done(self->tasks[0])); /* a failure stops nobody else */
	CHECK(!xyl_is_aborted(self->tasks[0]));
	XYL_END(self->n);
}

TEST(a_join_gives_the_failure_that_came_first)
{
	CHECK_EQ(RUN(join_failures), -EPIPE);
}

SCOPE_FRAME(join_aborted)
{
	struct join_aborted *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (self->i = 0; self->i < 3; self->i++)
		self->tasks[self->i] = xyl_scope_spawn(self->scope, give_after, .ns = LONG_NS);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_scope_abort(self->scope);
	CHECK_EQ(xyl_scope_count(self->scope), 3);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	for (self->i = 0; self->i < 3; self->i++)
		CHECK(xyl_is_aborted(self->tasks[self->i]));
	self->tasks[0] = xyl_scope_spawn(self->scope, give_after,
					 .value = 1); /* it is open still */
	CHECK(self->tasks[0] != NULL);
	CHECK_EQ(xyl_scope_count(self->scope), 1);
	XYL_END(self->n);
}

TEST(an_aborted_scope_is_joined_with_ecanceled_and_stays_open)
{
	CHECK_EQ(RUN(join_aborted), -ECANCELED);
}

SCOPE_FRAME(abort_one)
{
	struct abort_one *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (self->i = 0; self->i < 3; self->i++)
		self->tasks[self->i] = xyl_scope_spawn(self->scope, give_after, .ns = LONG_NS);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(self->tasks[1]);
	XYL_AWAIT(self->n, xyl_join(self->tasks[1]));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK_EQ(xyl_scope_count(self->scope), 2);
	CHECK(!xyl_is_aborted(self->tasks[0]) && !xyl_is_aborted(self->tasks[2]));
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

TEST(a_task_leaves_its_scope_when_it_ends_and_the_others_stay)
{
	CHECK_EQ(RUN(abort_one), 0);
}

SCOPE_FRAME(join_one)
{
	struct join_one *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	XYL_END(self->n);
}

SCOPE_FRAME(join_by_many)
{
	struct join_by_many *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	xyl_scope_spawn(self->scope, give_after, .value = -EIO, .ns = XYL_MS);
	for (self->i = 0; self->i < 4; self->i++)
		self->tasks[self->i] = xyl_spawn(join_one, .scope = self->scope);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(self->tasks[2]);
	for (self->i = 0; self->i < 4; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->n, self->i == 2 ? -ECANCELED : -EIO);
	}
	XYL_END(0);
}

TEST(any_number_may_join_and_an_aborted_joiner_leaves_the_rest)
{
	CHECK_EQ(RUN(join_by_many), 0);
}

/* ---- close ------------------------------------------------------------------------------- */

SCOPE_FRAME(close_all)
{
	struct close_all *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->tasks[0] = xyl_scope_spawn(self->scope, give_after, .ns = LONG_NS);
	XYL_AWAIT(self->n, xyl_yield());
	self->tasks[1] = xyl_scope_spawn(self->scope, give_after, .ns = LONG_NS); /* has not run */
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	for (self->i = 0; self->i < 2; self->i++) {
		CHECK(xyl_is_done(self->tasks[self->i]));
		CHECK(xyl_is_aborted(self->tasks[self->i]));
	}
	CHECK(xyl_scope_spawn(self->scope, give_after) == NULL);
	CHECK_EQ(xyl_scope_root(self->scope, self), -EINVAL);
	CHECK(xyl_scope_new(self->scope) == NULL);
	XYL_END(0);
}

TEST(a_closed_scope_has_no_tasks_and_takes_no_more)
{
	CHECK_EQ(RUN(close_all), 0);
}

SCOPE_FRAME(close_one)
{
	struct close_one *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

SCOPE_FRAME(close_by_two)
{
	struct close_by_two *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	xyl_scope_spawn(self->scope, give_after, .ns = LONG_NS);
	XYL_AWAIT(self->n, xyl_yield());
	self->tasks[0] = xyl_spawn(join_one, .scope = self->scope);
	self->tasks[1] = xyl_spawn(close_one, .scope = self->scope);
	self->tasks[2] = xyl_spawn(close_one, .scope = self->scope);
	for (self->i = 1; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->n, 0);
	}
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	XYL_END(self->n);
}

/* What the joiner waited for was aborted: that is a failure. */
TEST(of_closers_and_a_joiner_only_the_joiner_gets_the_failure)
{
	CHECK_EQ(RUN(close_by_two), -ECANCELED);
}

SCOPE_FRAME(close_own)
{
	struct close_own *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, -EDEADLK);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	XYL_END(self->n);
}

SCOPE_FRAME(wait_for_oneself)
{
	struct wait_for_oneself *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	self->tasks[0] = xyl_scope_spawn(self->scope, close_own, .scope = self->scope);
	self->tasks[1] = xyl_scope_spawn(self->child, close_own, .scope = self->scope);
	for (self->i = 0; self->i < 2; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->n, -EDEADLK);
		CHECK(!xyl_is_aborted(self->tasks[self->i]));
	}
	XYL_END(0);
}

TEST(a_task_may_not_wait_for_a_scope_it_is_in)
{
	CHECK_EQ(RUN(wait_for_oneself), 0);
}

/* ---- a tree -------------------------------------------------------------------------------- */

SCOPE_FRAME(count_tree)
{
	struct count_tree *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	self->grandchild = xyl_scope_new(self->child);
	self->tasks[0] = xyl_scope_spawn(self->scope, give_after, .ns = LONG_NS);
	self->tasks[1] = xyl_scope_spawn(self->child, give_after, .ns = LONG_NS);
	self->tasks[2] = xyl_scope_spawn(self->grandchild, give_after, .ns = LONG_NS);
	self->other = xyl_spawn(give_after, .ns = LONG_NS);
	CHECK_EQ(xyl_scope_count(self->scope), 3);
	CHECK_EQ(xyl_scope_count(self->child), 2);
	CHECK_EQ(xyl_scope_count(self->grandchild), 1);

	XYL_AWAIT(self->n, xyl_scope_close(self->child));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(xyl_scope_count(self->scope), 1);
	CHECK(!xyl_is_aborted(self->tasks[0]));
	CHECK(xyl_is_aborted(self->tasks[1]) && xyl_is_aborted(self->tasks[2]));
	CHECK(xyl_scope_spawn(self->grandchild, give_after) == NULL);

	xyl_scope_abort(self->scope);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK(xyl_is_aborted(self->tasks[0]));
	CHECK(!xyl_is_aborted(self->other));
	XYL_END(0);
}

TEST(abort_and_close_reach_child_scopes_and_nobody_else)
{
	CHECK_EQ(RUN(count_tree), 0);
}

SCOPE_FRAME(idle_child)
{
	struct idle_child *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	self->grandchild = xyl_scope_new(self->child);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, 0);
	CHECK(xyl_scope_spawn(self->child, give_after) == NULL);
	CHECK(xyl_scope_spawn(self->grandchild, give_after) == NULL);
	CHECK_EQ(xyl_scope_root(self->child, self), -EINVAL);
	CHECK(xyl_scope_new(self->child) == NULL);
	XYL_END(0);
}

TEST(a_child_that_was_idle_when_its_parent_closed_is_closed_too)
{
	CHECK_EQ(RUN(idle_child), 0);
}

SCOPE_FRAME(spawn_in_end)
{
	struct spawn_in_end *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	XYL_END(xyl_scope_spawn(self->scope, give_after) == NULL && !xyl_scope_new(self->scope));
}

SCOPE_FRAME(close_against_spawn)
{
	struct close_against_spawn *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->tasks[0] = xyl_scope_spawn(self->scope, spawn_in_end, .scope = self->scope);
	XYL_AWAIT(self->n, xyl_yield());
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, 0);
	XYL_END(xyl_result(self->tasks[0]));
}

TEST(a_scope_that_closes_takes_nothing_from_those_who_clean_up)
{
	CHECK_EQ(RUN(close_against_spawn), 1);
}

struct slow_end {
	struct xyl_frame frame;
	struct xyl_future *gate;
	ssize_t n;
};

/* Cleans up until the gate opens. */
static xyl_step slow_end(void *frame)
{
	struct slow_end *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_future_get(self->gate));
	xyl_shield_end();
	XYL_END(0);
}

SCOPE_FRAME(close_within)
{
	struct close_within *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_scope_close(self->scope), 0));
	XYL_END(self->n);
}

SCOPE_FRAME(close_uncut)
{
	struct close_uncut *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	self->tasks[0] = xyl_scope_spawn(self->scope, slow_end, .gate = self->gate);
	XYL_AWAIT(self->n, xyl_yield());
	self->tasks[1] = xyl_spawn(close_within, .scope = self->scope);
	self->tasks[2] = xyl_spawn(close_one, .scope = self->scope);
	self->tasks[3] = xyl_spawn(close_one, .scope = self->scope);
	xyl_abort(self->tasks[3]); /* before it has begun */
	XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(self->tasks[2]);
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS)); /* past the bound and the aborts */
	for (int i = 0; i < 4; i++)
		CHECK(!xyl_is_done(self->tasks[i]));
	xyl_future_set(self->gate, 0);
	for (self->i = 1; self->i < 4; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(xyl_result(self->tasks[self->i]), 0);
		CHECK(xyl_is_done(self->tasks[0]));
	}
	XYL_END(0);
}

TEST(neither_a_bound_nor_an_abort_lets_a_closer_go_before_the_last_task_has_ended)
{
	CHECK_EQ(RUN(close_uncut), 0);
}

SCOPE_FRAME(close_nest)
{
	struct close_nest *self = frame;

	XYL_BEGIN(self)
	self->child = self->scope = xyl_scope_new(NULL);
	for (self->i = 0; self->i < DEEP; self->i++) {
		xyl_scope_spawn(self->child, give_after, .ns = LONG_NS);
		self->child = xyl_scope_new(self->child);
	}
	CHECK_EQ(xyl_scope_root(self->child, self->child), 0);
	CHECK_EQ(xyl_scope_count(self->scope), DEEP);
	self->tasks[0] = xyl_spawn(close_one, .scope = self->child);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	CHECK_EQ(xyl_root_count(), 0);
	CHECK(!xyl_scope_spawn(self->child, give_after));
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	XYL_END(self->n);
}

TEST(closing_the_outermost_of_many_closes_all)
{
	CHECK_EQ(RUN(close_nest), 0);
}

/* ---- roots ----------------------------------------------------------------------------------- */

enum { OBJECTS = 40 };

__attribute__((noinline)) static void root_many(struct xyl_scope *scope, struct xyl_weak **weak)
{
	for (int i = 0; i < OBJECTS; i++) {
		uint64_t *object = xyl_alloc(sizeof(*object));

		weak[i] = xyl_weak_new(object);
		CHECK_EQ(xyl_scope_root(scope, object), 0);
	}
}

static int alive(struct xyl_weak **weak)
{
	int count = 0;

	for (int i = 0; i < OBJECTS; i++)
		count += xyl_weak_get(weak[i]) != NULL;
	return count;
}

/* Conservative collections may miss a few, never most. */
SCOPE_FRAME(keep_roots)
{
	struct keep_roots *self = frame;

	XYL_BEGIN(self)
	self->weak = xyl_alloc(OBJECTS * sizeof(*self->weak));
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	root_many(self->child, self->weak);
	CHECK_EQ(xyl_root_count(), OBJECTS);
	self->child = NULL; /* a scope with roots is held by its parent */
	XYL_AWAIT(self->n, xyl_yield());
	xyl_collect();
	xyl_collect();
	CHECK_EQ(alive(self->weak), OBJECTS);

	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(xyl_root_count(), 0);
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_collect();
	xyl_collect();
	CHECK(alive(self->weak) < OBJECTS / 2);
	XYL_END(self->n);
}

TEST(roots_are_kept_until_their_scope_or_its_parent_ends)
{
	CHECK_EQ(RUN(keep_roots), 0);
}

SCOPE_FRAME(hold_root)
{
	struct hold_root *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_shield_end();
	XYL_END((ssize_t)xyl_root_count());
}

SCOPE_FRAME(roots_last)
{
	struct roots_last *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	CHECK_EQ(xyl_scope_root(self->scope, self->scope), 0);
	self->tasks[0] = xyl_scope_spawn(self->scope, hold_root);
	XYL_AWAIT(self->n, xyl_yield());
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(xyl_result(self->tasks[0]), 1); /* it was there while the task cleaned up */
	CHECK_EQ(xyl_root_count(), 0);
	XYL_END(self->n);
}

TEST(roots_are_dropped_after_the_last_task_has_ended)
{
	CHECK_EQ(RUN(roots_last), 0);
}

/* ---- many ------------------------------------------------------------------------------------ */

SCOPE_FRAME(many_rounds)
{
	struct many_rounds *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (self->i = 0; self->i < 200; self->i++) {
		self->child = xyl_scope_new(self->scope);
		for (int j = (int)(test_random() % 8); j > 0; j--)
			xyl_scope_spawn(self->child, give_after,
					.ns = test_random() % 2 ? 0 : LONG_NS);
		if (test_random() % 2)
			xyl_scope_root(self->child, self->child);
		if (test_random() % 2)
			XYL_AWAIT(self->n, xyl_yield());
		if (test_random() % 4 == 0)
			continue;
		XYL_AWAIT(self->n, xyl_scope_close(self->child));
		CHECK_EQ(self->n, 0);
		CHECK_EQ(xyl_scope_count(self->child), 0);
	}
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	XYL_END(self->n);
}

TEST(nothing_outlives_a_scope_whatever_was_in_it)
{
	CHECK_EQ(RUN(many_rounds), 0);
}
