/* SPDX-License-Identifier: MIT */
/* xyl_scope_next: the tasks of a scope that have ended, one after the other. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/scopes.h"

/* ---- who is given ------------------------------------------------------------------- */

SCOPE_FRAME(next_mixed)
{
	struct next_mixed *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	for (self->i = 0; self->i < 6; self->i++)
		self->tasks[self->i] = xyl_scope_spawn(self->scope, member, .value = self->i,
						       .gate = self->i < 3 ? NULL : self->gate);
	XYL_AWAIT(self->n, xyl_yield());
	for (int i = 3; i < 6; i++)
		xyl_abort(self->tasks[i]);
	for (self->i = 0; self->i < 6; self->i++) {
		XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
		CHECK_EQ(self->n, 0);
		CHECK(xyl_is_done(self->got));
		for (int i = 0; i < 6; i++) {
			if (self->tasks[i] != self->got)
				continue;
			self->tasks[i] = NULL; /* once */
			CHECK_EQ(xyl_is_aborted(self->got), i >= 3);
			CHECK_EQ(xyl_result(self->got), i < 3 ? i : -ECANCELED);
			self->got = NULL;
			break;
		}
		CHECK(!self->got);
	}
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT);
	CHECK(!self->got);
	XYL_END(0);
}

TEST(three_that_are_done_and_three_that_are_aborted_give_six_results)
{
	CHECK_EQ(RUN(next_mixed), 0);
}

SCOPE_FRAME(next_in_order)
{
	struct next_in_order *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (self->i = 0; self->i < 8; self->i++)
		self->tasks[self->i] = xyl_scope_spawn(self->scope, sleep_for, .ns = LONG_NS);
	XYL_AWAIT(self->n, xyl_yield());
	for (self->i = 0; self->i < 8; self->i++) {
		xyl_abort(self->tasks[3 * self->i % 8]);
		XYL_AWAIT(self->n, xyl_join(self->tasks[3 * self->i % 8]));
	}
	for (self->i = 0; self->i < 8; self->i++) {
		XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
		CHECK_EQ(self->n, 0);
		CHECK(self->got == self->tasks[3 * self->i % 8]);
	}
	XYL_END(0);
}

TEST(they_come_in_the_order_in_which_they_ended)
{
	CHECK_EQ(RUN(next_in_order), 0);
}

SCOPE_FRAME(next_waits)
{
	struct next_waits *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	self->tasks[0] = xyl_scope_spawn(self->scope, member, .gate = self->gate, .value = 7);
	self->waiters[0] = xyl_spawn(ask, .scope = self->scope, .got = &self->got);
	XYL_AWAIT(self->n, xyl_yield());
	CHECK(!self->got);
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_join(self->waiters[0]));
	CHECK_EQ(self->n, 0);
	CHECK(self->got == self->tasks[0]);
	CHECK_EQ(xyl_result(self->got), 7);
	XYL_END(0);
}

TEST(whoever_waits_is_given_the_one_that_ends_then)
{
	CHECK_EQ(RUN(next_waits), 0);
}

SCOPE_FRAME(next_for_three)
{
	struct next_for_three *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	for (int i = 0; i < 2; i++)
		xyl_scope_spawn(self->scope, member, .gate = self->gate);
	for (int i = 0; i < 3; i++)
		self->waiters[i] = xyl_spawn(ask, .scope = self->scope, .got = &self->tasks[i]);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_future_set(self->gate, 0);
	for (self->i = 0; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->waiters[self->i]));
		CHECK_EQ(self->n, self->tasks[self->i] ? 0 : -ENOENT);
	}
	CHECK_EQ(!self->tasks[0] + !self->tasks[1] + !self->tasks[2], 1);
	CHECK(self->tasks[0] != self->tasks[1] && self->tasks[1] != self->tasks[2]);
	XYL_END(0);
}

TEST(of_several_who_ask_each_gets_one_and_the_last_is_told_that_none_is_left)
{
	CHECK_EQ(RUN(next_for_three), 0);
}

SCOPE_FRAME(next_of_none)
{
	struct next_of_none *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT);
	self->tasks[0] = xyl_scope_spawn(self->scope, give, .value = 1);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, 0);
	CHECK(self->got == self->tasks[0]);
	XYL_END(0);
}

TEST(an_empty_scope_has_no_next_and_a_new_task_makes_one)
{
	CHECK_EQ(RUN(next_of_none), 0);
}

SCOPE_FRAME(next_of_child)
{
	struct next_of_child *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	self->tasks[0] = xyl_scope_spawn(self->child, give, .value = 1);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT); /* though there is one below */
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT);
	XYL_AWAIT(self->n, xyl_scope_next(self->child, &self->got));
	CHECK_EQ(self->n, 0);
	CHECK(self->got == self->tasks[0]);
	XYL_END(0);
}

TEST(a_child_keeps_its_own_for_whoever_asks_it)
{
	CHECK_EQ(RUN(next_of_child), 0);
}

SCOPE_FRAME(next_from_inside)
{
	struct next_from_inside *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->child = xyl_scope_new(self->scope);
	self->waiters[0] = xyl_scope_spawn(self->scope, ask, .scope = self->scope,
					   .got = &self->got);
	self->waiters[1] = xyl_scope_spawn(self->child, ask, .scope = self->scope,
					   .got = &self->got);
	for (self->i = 0; self->i < 2; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->waiters[self->i]));
		CHECK_EQ(self->n, -EDEADLK);
	}
	CHECK(!self->got);
	XYL_END(0);
}

TEST(who_is_in_a_scope_or_below_may_not_ask_it)
{
	CHECK_EQ(RUN(next_from_inside), 0);
}

/* ---- cut short ------------------------------------------------------------------------ */

SCOPE_FRAME(next_aborted)
{
	struct next_aborted *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	self->tasks[0] = xyl_scope_spawn(self->scope, member, .gate = self->gate);
	self->waiters[0] = xyl_spawn(ask, .scope = self->scope, .got = &self->tasks[1]);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(self->waiters[0]);
	XYL_AWAIT(self->n, xyl_join(self->waiters[0]));
	CHECK_EQ(self->n, -ECANCELED);
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, 0);
	CHECK(self->got == self->tasks[0]);
	CHECK(!self->tasks[1]);
	XYL_END(0);
}

TEST(who_ends_after_the_asker_was_aborted_goes_to_the_next)
{
	CHECK_EQ(RUN(next_aborted), 0);
}

SCOPE_FRAME(next_bounded)
{
	struct next_bounded *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	self->tasks[0] = xyl_scope_spawn(self->scope, member, .gate = self->gate);
	XYL_AWAIT(self->n, xyl_within(xyl_scope_next(self->scope, &self->got), XYL_MS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK(!self->got);
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	XYL_AWAIT(self->n, xyl_within(xyl_scope_next(self->scope, &self->got), 0));
	CHECK_EQ(self->n, 0);
	CHECK(self->got == self->tasks[0]);
	XYL_END(0);
}

TEST(a_bound_on_the_question_loses_nobody)
{
	CHECK_EQ(RUN(next_bounded), 0);
}

struct opener {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	struct xyl_future *gate;
	struct xyl_task **member, **asker, **got;
};

static xyl_step opener(void *frame)
{
	struct opener *self = frame;

	XYL_BEGIN(self)
	*self->member = xyl_scope_spawn(self->scope, member, .gate = self->gate);
	*self->asker = xyl_spawn(ask, .scope = self->scope, .got = self->got);
	XYL_END(0);
}

TEST(an_answer_that_came_before_the_abort_is_kept)
{
	struct xyl_config config = { .turn_budget = 1 };
	struct driven driven = drive_in_order(&config);
	struct xyl_task **tasks = xyl_alloc(3 * sizeof(*tasks));
	struct xyl_future *gate = xyl_future_new();
	struct xyl_scope *scope = xyl_scope_new(NULL);

	DRIVE_SPAWN(&driven, opener, .scope = scope, .gate = gate, .member = &tasks[0],
		    .asker = &tasks[1], .got = &tasks[2]);
	while (drive(&driven, 1) > 0)
		continue;
	xyl_future_set(gate, 0);
	while (!xyl_is_done(tasks[0]))
		drive(&driven, 1);
	CHECK(!xyl_is_done(tasks[1])); /* it is to run next */
	xyl_abort(tasks[1]);
	drive_until_done(&driven, tasks[1]);
	CHECK(xyl_is_aborted(tasks[1]));
	CHECK_EQ(xyl_result(tasks[1]), 0);
	CHECK(tasks[2] == tasks[0]);
	drive_end(&driven);
}

SCOPE_FRAME(next_later)
{
	struct next_later *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->gate = xyl_future_new();
	self->tasks[0] = xyl_scope_spawn(self->scope, member, .gate = self->gate);
	self->later = xyl_later(xyl_scope_next(self->scope, &self->got));
	XYL_AWAIT(self->n, xyl_yield());
	CHECK(!self->got);
	xyl_future_set(self->gate, 0);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 0);
	CHECK(self->got == self->tasks[0]);
	XYL_END(0);
}

TEST(a_question_for_later_is_answered)
{
	CHECK_EQ(RUN(next_later), 0);
}

/* ---- beside the other ways to wait ------------------------------------------------------- */

SCOPE_FRAME(next_while_closing)
{
	struct next_while_closing *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (int i = 0; i < 2; i++)
		xyl_scope_spawn(self->scope, sleep_for, .ns = LONG_NS);
	for (int i = 0; i < 3; i++)
		self->waiters[i] = xyl_spawn(ask, .scope = self->scope, .got = &self->tasks[i]);
	XYL_AWAIT(self->n, xyl_yield());
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, 0);
	for (self->i = 0; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->waiters[self->i]));
		CHECK_EQ(self->n, self->tasks[self->i] ? 0 : -ENOENT);
		CHECK(!self->tasks[self->i] || xyl_is_aborted(self->tasks[self->i]));
	}
	CHECK_EQ(!self->tasks[0] + !self->tasks[1] + !self->tasks[2], 1);
	XYL_END(0);
}

TEST(who_asks_while_the_scope_is_closed_gets_each_and_then_none)
{
	CHECK_EQ(RUN(next_while_closing), 0);
}

SCOPE_FRAME(next_of_closed)
{
	struct next_of_closed *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT);
	self->tasks[0] = xyl_scope_spawn(self->scope, sleep_for, .ns = LONG_NS);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, 0);
	CHECK(self->got == self->tasks[0]);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT);
	XYL_END(0);
}

TEST(a_closed_scope_that_was_asked_before_still_says_how_its_tasks_ended)
{
	CHECK_EQ(RUN(next_of_closed), 0);
}

SCOPE_FRAME(next_too_late)
{
	struct next_too_late *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	xyl_scope_spawn(self->scope, sleep_for, .ns = LONG_NS);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -EOVERFLOW);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT);
	CHECK(!self->got);
	self->scope = xyl_scope_new(NULL);
	self->tasks[0] = xyl_scope_spawn(self->scope, give);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	XYL_AWAIT(self->n, xyl_scope_close(self->scope)); /* it is empty already */
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -EOVERFLOW);
	XYL_END(0);
}

TEST(a_scope_that_was_closed_before_the_first_question_has_forgotten)
{
	CHECK_EQ(RUN(next_too_late), 0);
}

/* ---- what is kept -------------------------------------------------------------------------- */

enum { CROWD = 1000, STREAM = 10000, KEPT = 64 };

SCOPE_FRAME(keep_crowd)
{
	struct keep_crowd *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (int i = 0; i < CROWD; i++)
		xyl_scope_spawn(self->scope, give, .value = 1);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	for (self->i = 0; self->i < CROWD; self->i++) {
		XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
		CHECK_EQ(self->n, 0);
		CHECK_EQ(xyl_result(self->got), 1);
	}
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT);
	XYL_END(0);
}

TEST(a_crowd_that_ended_before_the_first_question_is_kept)
{
	CHECK_EQ(RUN(keep_crowd), 0);
}

SCOPE_FRAME(keep_newest)
{
	struct keep_newest *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (self->i = 0; self->i < STREAM; self->i++) { /* one at a time */
		self->tasks[0] = xyl_scope_spawn(self->scope, give, .value = self->i);
		XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	}
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -EOVERFLOW); /* once */
	for (self->i = STREAM - KEPT - 1; self->i < STREAM; self->i++) {
		XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
		CHECK_EQ(self->n, 0);
		CHECK_EQ(xyl_result(self->got), self->i);
	}
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT);
	XYL_END(0);
}

TEST(of_a_stream_that_nobody_asked_for_only_the_newest_are_kept)
{
	CHECK_EQ(RUN(keep_newest), 0);
}

SCOPE_FRAME(keep_all)
{
	struct keep_all *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	CHECK_EQ(self->n, -ENOENT);
	for (self->i = 0; self->i < STREAM; self->i++) {
		self->tasks[0] = xyl_scope_spawn(self->scope, give, .value = self->i);
		XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	}
	for (self->i = 0; self->i < STREAM; self->i++) {
		XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
		CHECK_EQ(self->n, 0);
		CHECK_EQ(xyl_result(self->got), self->i);
	}
	XYL_END(0);
}

TEST(from_the_first_question_on_all_are_kept)
{
	CHECK_EQ(RUN(keep_all), 0);
}

/* ---- what is let go ------------------------------------------------------------------------- */

enum { MANY = 200 };

struct many_weak {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	struct xyl_weak **weak;
	struct xyl_task *task;
	bool asks;
	int i;
	ssize_t n;
};

static int many_alive(struct xyl_weak **weak)
{
	int count = 0;

	for (int i = 0; i < MANY; i++)
		count += xyl_weak_get(weak[i]) != NULL;
	return count;
}

static xyl_step many_weak(void *frame)
{
	struct many_weak *self = frame;

	XYL_BEGIN(self)
	self->weak = xyl_alloc(MANY * sizeof(*self->weak));
	for (self->i = 0; self->i < MANY; self->i++) {
		self->task = xyl_scope_spawn(self->scope, give);
		self->weak[self->i] = xyl_weak_new(self->task);
		XYL_AWAIT(self->n, xyl_join(self->task));
		if (self->asks)
			XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->task));
	}
	self->task = NULL;
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_collect();
	xyl_collect();
	XYL_END(many_alive(self->weak));
}

/* Conservative collections may miss a few, never most. */
TEST(a_scope_does_not_hold_a_task_that_it_has_given_out)
{
	CHECK(RUN(many_weak, .scope = xyl_scope_new(NULL), .asks = true) < MANY / 2);
}

TEST(a_scope_that_nobody_asks_holds_no_more_than_it_may)
{
	ssize_t alive = RUN(many_weak, .scope = xyl_scope_new(NULL));

	CHECK(alive < (MANY + KEPT) / 2);
}

/* ---- many, at random ------------------------------------------------------------------------- */

enum { ROUNDS = 300 };

struct churn {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	struct xyl_task *got, *asker, *members[16];
	struct xyl_task **given;
	int spawned, asked, i;
	ssize_t n;
};

/* Each one who asks is answered, aborted, or bounded: together they get each task once. */
static xyl_step churn(void *frame)
{
	struct churn *self = frame;

	XYL_BEGIN(self)
	self->given = xyl_alloc(sizeof(*self->given));
	self->scope = xyl_scope_new(NULL);
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
	for (self->i = 0; self->i < ROUNDS; self->i++) {
		*self->given = NULL;
		self->asker = xyl_spawn(ask, .scope = self->scope, .got = self->given);
		for (int k = (int)(test_random() % 4); k > 0; k--, self->spawned++)
			self->members[test_random() % 16] = xyl_scope_spawn(
				self->scope, sleep_for, .ns = test_random() % 2 ? 0 : LONG_NS);
		if (test_random() % 2)
			XYL_AWAIT(self->n, xyl_yield());
		xyl_abort(test_random() % 2 || !self->members[3] ? self->asker : self->members[3]);
		if (test_random() % 2)
			xyl_scope_abort(self->scope);
		XYL_AWAIT(self->n, xyl_within(xyl_scope_next(self->scope, &self->got),
					      (int64_t)(test_random() % 3) * 10 * XYL_US));
		self->asked += self->n == 0;
		xyl_abort(self->asker);
		XYL_AWAIT(self->n, xyl_join(self->asker));
		CHECK_EQ(xyl_result(self->asker) == 0, *self->given != NULL);
		self->asked += xyl_result(self->asker) == 0;
	}
	xyl_scope_abort(self->scope);
	for (;;) {
		XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->got));
		if (self->n < 0)
			break;
		self->asked++;
	}
	CHECK_EQ(self->asked, self->spawned);
	XYL_END(self->n);
}

TEST(whatever_cuts_the_questions_short_each_task_is_given_once)
{
	CHECK_EQ(RUN(churn), -ENOENT);
}
