/* SPDX-License-Identifier: MIT */
/* Owners: groups of tasks that are found by a number. */
#include <errno.h>

#include "spawn/scope.h"
#include "tests/asyncs.h"
#include "tests/scopes.h"

enum { OWNERS = 10000 };

SCOPE_FRAME(drop_one)
{
	struct drop_one *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (int i = 0; i < 8; i++)
		self->tasks[i] = xyl_scope_spawn(xyl_scope_of(self->scope, i % 2), sleep_for,
						 .ns = LONG_NS);
	CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, 0)), 4);
	CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, 1)), 4);
	CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, 2)), 0);
	CHECK_EQ(xyl_scope_count(self->scope), 8);
	XYL_AWAIT(self->n, xyl_scope_close(xyl_scope_of(self->scope, 1)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, 0)), 4);
	CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, 1)), 0);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(xyl_is_aborted(self->tasks[i]), i % 2);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

TEST(the_tasks_of_one_owner_are_counted_and_dropped_and_the_others_stay)
{
	CHECK_EQ(RUN(drop_one), 0);
}

SCOPE_FRAME(hold_group)
{
	struct hold_group *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_of(self->scope, 7); /* idle: only this frame holds it */
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_collect();
	CHECK(xyl_scope_of(self->scope, 7) == self->child);
	CHECK(xyl_scope_of(self->scope, 8) != self->child);
	self->other = xyl_scope_new(NULL);
	CHECK(xyl_scope_of(self->other, 7) != self->child); /* another parent's */
	xyl_scope_spawn(self->child, sleep_for, .ns = LONG_NS);
	self->child = NULL; /* its task keeps it */
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_collect();
	CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, 7)), 1);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

TEST(an_owner_has_one_group_while_anybody_holds_it)
{
	CHECK_EQ(RUN(hold_group), 0);
}

SCOPE_FRAME(close_group)
{
	struct close_group *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	self->child = xyl_scope_of(self->scope, 7);
	xyl_scope_spawn(self->child, stubborn, .gate = self->gate);
	self->waiters[0] = xyl_spawn(close_scope, .scope = self->child);
	XYL_AWAIT(self->n, xyl_yield());
	CHECK(xyl_scope_of(self->scope, 7) == self->child);
	CHECK(!xyl_scope_spawn(xyl_scope_of(self->scope, 7), give));
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_join(self->waiters[0]));
	CHECK_EQ(self->n, 0);
	CHECK(xyl_scope_of(self->scope, 7) != self->child);
	self->tasks[0] = xyl_scope_spawn(xyl_scope_of(self->scope, 7), give, .value = 3);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(self->n, 3);
	XYL_END(0);
}

TEST(a_group_that_closes_takes_nobody_until_it_is_empty_and_is_new_then)
{
	CHECK_EQ(RUN(close_group), 0);
}

SCOPE_FRAME(close_parent)
{
	struct close_parent *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_of(self->scope, 1);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK(!xyl_scope_of(self->scope, 2));
	CHECK(!xyl_scope_spawn(self->child, give));
	XYL_END(self->n);
}

TEST(a_closed_parent_has_no_new_groups)
{
	CHECK_EQ(RUN(close_parent), 0);
}

SCOPE_FRAME(nest_groups)
{
	struct nest_groups *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (int i = 0; i < 4; i++)
		xyl_scope_spawn(xyl_scope_of(xyl_scope_of(self->scope, 1), i % 2), sleep_for,
				.ns = LONG_NS);
	CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, 1)), 4);
	CHECK_EQ(xyl_scope_count(xyl_scope_of(xyl_scope_of(self->scope, 1), 1)), 2);
	CHECK_EQ(xyl_scope_count(xyl_scope_of(xyl_scope_of(self->scope, 0), 1)), 0);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

TEST(a_group_has_groups_of_its_own)
{
	CHECK_EQ(RUN(nest_groups), 0);
}

SCOPE_FRAME(move_group)
{
	struct move_group *self = frame;

	XYL_BEGIN(self)
	self->other = xyl_scope_new(NULL);
	self->scope = xyl_scope_new(self->other);
	self->gate = xyl_future_new();
	self->child = xyl_scope_of(self->scope, 7);
	xyl_scope_spawn(self->child, stubborn, .gate = self->gate);
	self->waiters[0] = xyl_spawn(close_scope, .scope = self->child);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_scope_detach(self->scope);
	CHECK(xyl_scope_of(self->scope, 7) != self->child);
	CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, 7)), 0);
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_join(self->waiters[0]));
	XYL_END(self->n);
}

TEST(a_group_that_moved_away_while_it_closed_is_found_no_more)
{
	CHECK_EQ(RUN(move_group), 0);
}

/* ---- many ------------------------------------------------------------------------------- */

struct many {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	int64_t stride;
	size_t owners, i;
	ssize_t n;
};

static xyl_step many(void *frame)
{
	struct many *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->owners = test_scaled(OWNERS);
	for (size_t i = 0; i < self->owners; i++)
		CHECK(xyl_scope_spawn(xyl_scope_of(self->scope, i * self->stride), sleep_for,
				      .ns = LONG_NS));
	CHECK_EQ(xyl_scope_count(self->scope), self->owners);
	for (size_t i = 0; i < self->owners; i++)
		CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, i * self->stride)), 1);
	for (self->i = 0; self->i < self->owners; self->i += 2) {
		XYL_AWAIT(self->n,
			  xyl_scope_close(xyl_scope_of(self->scope, self->i * self->stride)));
		CHECK_EQ(self->n, 0);
	}
	for (size_t i = 0; i < self->owners; i++)
		CHECK_EQ(xyl_scope_count(xyl_scope_of(self->scope, i * self->stride)), i % 2);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

TEST(ten_thousand_owners_with_a_task_each)
{
	CHECK_EQ(RUN(many, .stride = 1), 0);
}

/* As addresses are, and other numbers whose low bits say nothing. */
TEST(owners_that_differ_in_a_few_bits_only)
{
	CHECK_EQ(RUN(many, .stride = 4096), 0);
	CHECK_EQ(RUN(many, .stride = INT64_C(1) << 40), 0);
}

struct passing {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	struct xyl_task *task;
	size_t i, owners, at_most;
	ssize_t n;
};

/* Each comes once, and is forgotten. */
static xyl_step passing(void *frame)
{
	struct passing *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->owners = test_scaled(20 * OWNERS);
	for (self->i = 0; self->i < self->owners; self->i++) {
		self->task = xyl_scope_spawn(xyl_scope_of(self->scope, self->i), give);
		XYL_AWAIT(self->n, xyl_join(self->task));
		if (self->i % (self->owners / 20) == 0)
			xyl_collect();
		if (xyli_owners_places(self->scope) > self->at_most)
			self->at_most = xyli_owners_places(self->scope);
	}
	CHECK(self->at_most < self->owners / 2);
	XYL_END(0);
}

TEST(owners_that_come_and_go_do_not_pile_up)
{
	CHECK_EQ(RUN(passing), 0);
}

struct shrinking {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	struct xyl_task *task;
	size_t i, owners;
	ssize_t n;
};

static xyl_step shrinking(void *frame)
{
	struct shrinking *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->owners = test_scaled(OWNERS);
	for (size_t i = 0; i < self->owners; i++)
		xyl_scope_spawn(xyl_scope_of(self->scope, i), give);
	CHECK(xyli_owners_places(self->scope) > self->owners);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_collect();
	xyl_collect();
	for (self->i = 0; self->i < 2 * self->owners; self->i++) { /* one owner is left */
		self->task = xyl_scope_spawn(xyl_scope_of(self->scope, 0), give);
		XYL_AWAIT(self->n, xyl_join(self->task));
	}
	CHECK(xyli_owners_places(self->scope) < self->owners / 2);
	XYL_END(0);
}

TEST(the_table_shrinks_when_its_owners_are_gone)
{
	CHECK_EQ(RUN(shrinking), 0);
}

/* ---- at random --------------------------------------------------------------------------- */

enum { NUMBERS = 12, ROUNDS = 2000 };

struct model {
	struct xyl_frame frame;
	struct xyl_scope *scope, *held[NUMBERS];
	size_t counts[NUMBERS];
	int round, number;
	ssize_t n;
};

static void model_check(struct model *self)
{
	size_t sum = 0;

	for (uint64_t i = 0; i < NUMBERS; i++) {
		struct xyl_scope *group = xyl_scope_of(self->scope, i);

		CHECK_EQ(xyl_scope_count(group), self->counts[i]);
		if (self->held[i] && !self->held[i]->closed)
			CHECK(group == self->held[i]);
		sum += self->counts[i];
	}
	CHECK_EQ(xyl_scope_count(self->scope), sum);
}

static xyl_step model(void *frame)
{
	struct model *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (self->round = 0; self->round < ROUNDS; self->round++) {
		self->number = (int)(test_random() % NUMBERS);
		switch (test_random() % 4) {
		case 0: self->held[self->number] = NULL; break;
		case 1: self->held[self->number] = xyl_scope_of(self->scope, self->number); break;
		default:
			if (self->counts[self->number] < 8 &&
			    xyl_scope_spawn(xyl_scope_of(self->scope, self->number), sleep_for,
					    .ns = LONG_NS))
				self->counts[self->number]++;
		}
		model_check(self);
		if (test_random() % 16 == 0) {
			XYL_AWAIT(self->n,
				  xyl_scope_close(xyl_scope_of(self->scope, self->number)));
			self->counts[self->number] = 0;
			model_check(self);
		}
		if (test_random() % 64 == 0)
			xyl_collect();
	}
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

TEST(groups_are_what_a_model_says_they_are)
{
	CHECK_EQ(RUN(model), 0);
}
