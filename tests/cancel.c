/* SPDX-License-Identifier: MIT */
/* Tokens: fired once, and all below them. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/run.h"
#include "tests/tokens.h"
#include "xylem/xylem.h"

struct wait_fired {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	ssize_t n;
};

static xyl_step wait_fired(void *frame)
{
	struct wait_fired *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_cancel_wait(self->token));
	XYL_END(self->n);
}

/* ---- without anybody who waits --------------------------------------------------------- */

TEST(a_token_is_fired_once_and_for_good)
{
	struct xyl_cancel *token = xyl_cancel_new(NULL);

	CHECK(!xyl_cancel_is_fired(token));
	xyl_cancel_fire(token);
	CHECK(xyl_cancel_is_fired(token));
	xyl_cancel_fire(token);
	CHECK(xyl_cancel_is_fired(token));
}

TEST(firing_reaches_what_is_below_and_not_what_is_above_or_beside)
{
	struct xyl_cancel *root = xyl_cancel_new(NULL);
	struct xyl_cancel *middle = xyl_cancel_new(root), *beside = xyl_cancel_new(root);
	struct xyl_cancel *leaf = xyl_cancel_new(middle);

	xyl_cancel_fire(middle);
	CHECK(xyl_cancel_is_fired(leaf) && xyl_cancel_is_fired(middle));
	CHECK(!xyl_cancel_is_fired(root) && !xyl_cancel_is_fired(beside));
	xyl_cancel_fire(root);
	CHECK(xyl_cancel_is_fired(root) && xyl_cancel_is_fired(beside));
}

TEST(a_child_of_a_fired_token_is_born_fired)
{
	struct xyl_cancel *token = xyl_cancel_new(NULL);

	xyl_cancel_fire(token);
	CHECK(xyl_cancel_is_fired(xyl_cancel_new(token)));
	CHECK(xyl_cancel_is_fired(xyl_cancel_new(xyl_cancel_new(token))));
}

TEST(no_token_is_never_fired_and_firing_it_does_nothing)
{
	xyl_cancel_fire(NULL);
	CHECK(!xyl_cancel_is_fired(NULL));
}

/* ---- waiting ------------------------------------------------------------------------------ */

TEST(who_waits_for_no_token_is_told)
{
	CHECK_EQ(RUN(wait_fired, .token = NULL), -EINVAL);
}

TEST(who_comes_late_does_not_wait)
{
	struct xyl_cancel *token = xyl_cancel_new(NULL);

	xyl_cancel_fire(token);
	CHECK_EQ(RUN(wait_fired, .token = token), 0);
	CHECK_EQ(RUN(wait_fired, .token = xyl_cancel_new(xyl_cancel_new(token))), 0);
}

/* A cascade of three, somebody waiting at each. */
struct three {
	struct xyl_cancel *tokens[3];
	struct xyl_task *tasks[3];
};

static struct three three_new(const struct driven *driven)
{
	struct three three = { .tokens = { NULL } };

	for (int i = 0; i < 3; i++) {
		three.tokens[i] = xyl_cancel_new(i ? three.tokens[i - 1] : NULL);
		three.tasks[i] = DRIVE_SPAWN(driven, wait_fired, .token = three.tokens[i]);
	}
	drive(driven, 1);
	return three;
}

static void three_check(const struct driven *driven, const struct three *three, int fired)
{
	drive(driven, 2);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(xyl_result(three->tasks[i]), i >= fired ? 0 : -EAGAIN);
		CHECK_EQ(xyl_cancel_is_fired(three->tokens[i]), i >= fired);
	}
}

TEST(a_cascade_of_three_is_woken_from_its_top)
{
	struct driven driven = drive_begin(NULL);
	struct three three = three_new(&driven);

	xyl_cancel_fire(three.tokens[0]);
	three_check(&driven, &three, 0);
	for (int i = 0; i < 3; i++)
		CHECK(token_is_idle(three.tokens[i]));
	drive_end(&driven);
}

TEST(a_cascade_of_three_is_woken_from_wherever_it_is_fired)
{
	struct driven driven = drive_begin(NULL);
	struct three three = three_new(&driven);

	three_check(&driven, &three, 3);
	for (int i = 2; i >= 0; i--) {
		xyl_cancel_fire(three.tokens[i]);
		three_check(&driven, &three, i);
	}
	drive_end(&driven);
}

TEST(an_abort_of_one_who_waits_leaves_nothing_with_the_token)
{
	struct driven driven = drive_begin(NULL);
	struct three three = three_new(&driven);

	xyl_abort(three.tasks[2]);
	drive(&driven, 2);
	CHECK_EQ(xyl_result(three.tasks[2]), -ECANCELED);
	CHECK(token_is_idle(three.tokens[2]));
	CHECK(three.tokens[0]->children == three.tokens[1] && !three.tokens[1]->children);
	xyl_abort(three.tasks[0]);
	xyl_abort(three.tasks[1]);
	drive(&driven, 2);
	CHECK(token_is_idle(three.tokens[0]) && token_is_idle(three.tokens[1]));
	drive_end(&driven);
}

TEST(who_is_aborted_after_the_token_was_fired_finds_it_fired)
{
	for (int by_a_thread = 0; by_a_thread < 2; by_a_thread++) {
		struct driven driven = drive_begin(NULL);
		struct three three = three_new(&driven);

		if (by_a_thread)
			fire_by_a_thread(three.tokens[0]);
		else
			xyl_cancel_fire(three.tokens[0]);
		xyl_abort(three.tasks[2]);
		drive(&driven, 2);
		CHECK_EQ(xyl_result(three.tasks[2]), 0);
		CHECK(xyl_is_aborted(three.tasks[2]));
		drive_end(&driven);
	}
}

struct wait_later {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	xyl_pending pending;
	bool at_once;
	struct xyl_future *future;
	ssize_t n;
};

static xyl_step wait_later(void *frame)
{
	struct wait_later *self = frame;

	XYL_BEGIN(self)
	self->pending = xyl_cancel_wait(self->token);
	if (self->at_once)
		fire_by_a_thread(self->token);
	self->future = xyl_later(self->pending);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_cancel_fire(self->token);
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	CHECK(token_is_idle(self->token));
	XYL_END(self->n);
}

TEST(a_token_can_be_waited_for_later)
{
	CHECK_EQ(RUN(wait_later, .token = xyl_cancel_new(NULL), .at_once = false), 0);
	CHECK_EQ(RUN(wait_later, .token = xyl_cancel_new(NULL), .at_once = true), 0);
}

/* ---- many ---------------------------------------------------------------------------------- */

TEST(a_chain_as_deep_as_memory_allows_is_fired_without_a_stack)
{
	struct driven driven = drive_begin(NULL);
	size_t depth = test_scaled(100000);
	struct xyl_cancel *top = xyl_cancel_new(NULL), *leaf = top;
	struct xyl_task *task;

	for (size_t i = 0; i < depth; i++)
		leaf = xyl_cancel_new(leaf);
	task = DRIVE_SPAWN(&driven, wait_fired, .token = leaf);
	drive(&driven, 1);
	CHECK(leaf->linked && top->children);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK(token_is_idle(leaf) && token_is_idle(leaf->parent) && token_is_idle(top));

	task = DRIVE_SPAWN(&driven, wait_fired, .token = leaf);
	drive(&driven, 1);
	xyl_cancel_fire(top);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	for (; leaf; leaf = leaf->parent)
		CHECK(token_is_idle(leaf) && xyl_cancel_is_fired(leaf));
	drive_end(&driven);
}

static void crowd_fired(bool by_a_thread)
{
	struct driven driven = drive_begin(NULL);
	size_t count = test_scaled(10000);
	struct xyl_cancel *top = xyl_cancel_new(NULL), *token = top;
	struct xyl_task **tasks = xyl_alloc(count * sizeof(struct xyl_task *));

	for (size_t i = 0; i < count; i++) {
		if (i % 100 == 0)
			token = xyl_cancel_new(i % 500 ? token : top);
		tasks[i] = DRIVE_SPAWN(&driven, wait_fired, .token = token);
	}
	while (drive(&driven, 1) > 0)
		;
	if (by_a_thread)
		fire_by_a_thread(top);
	else
		xyl_cancel_fire(top);
	CHECK(token_is_idle(top) && token_is_idle(token));
	for (size_t i = 0; i < count; i++) {
		drive_until_done(&driven, tasks[i]);
		CHECK_EQ(xyl_result(tasks[i]), 0);
	}
	drive_end(&driven);
}

TEST(of_a_crowd_that_waits_all_over_a_tree_nobody_is_forgotten)
{
	crowd_fired(false);
	crowd_fired(true);
}

/* ---- what a token keeps ---------------------------------------------------------------------- */

/* It waits below the token for a moment, as one request of a server does. */
struct requests {
	struct xyl_frame frame;
	struct xyl_cancel *top;
	struct xyl_weak **weaks;
	size_t count, i;
	ssize_t n;
};

static struct xyl_cancel *child_new(struct requests *self)
{
	struct xyl_cancel *child = xyl_cancel_new(self->top);

	self->weaks[self->i] = xyl_weak_new(child);
	return child;
}

static xyl_step requests(void *frame)
{
	struct requests *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->count; self->i++) {
		XYL_AWAIT(self->n, xyl_until(xyl_sleep(0), child_new(self)));
		CHECK_EQ(self->n, 0);
	}
	XYL_END(0);
}

__attribute__((noinline)) static void stack_clear(void)
{
	volatile char stale[16384];

	for (size_t i = 0; i < sizeof(stale); i++)
		stale[i] = 0;
}

TEST(a_token_keeps_none_of_those_that_were_waited_for_below_it)
{
	size_t count = test_scaled(20000), living = 0;
	struct xyl_cancel *top = xyl_cancel_new(NULL);
	struct xyl_weak **weaks = xyl_alloc(count * sizeof(struct xyl_weak *));

	CHECK_EQ(RUN(requests, .top = top, .weaks = weaks, .count = count), 0);
	CHECK(token_is_idle(top));
	stack_clear();
	xyl_collect();
	for (size_t i = 0; i < count; i++)
		living += xyl_weak_get(weaks[i]) != NULL;
	CHECK(living < 10 + count / 10);
	CHECK(!xyl_cancel_is_fired(top));
}

/* ---- several shards -------------------------------------------------------------------------- */

TEST(tasks_of_several_shards_wait_for_one_token)
{
	enum { SHARDS = 3, EACH = 50 };
	struct xyl_runtime *rts[SHARDS];
	struct xyl_task *tasks[SHARDS][EACH];
	struct xyl_cancel *top = xyl_cancel_new(NULL);

	for (int i = 0; i < SHARDS; i++) {
		CHECK_EQ(xyl_runtime_new(&rts[i], NULL), 0);
		CHECK_EQ(xyl_runtime_start(rts[i]), 0);
		for (int j = 0; j < EACH; j++)
			tasks[i][j] = xyl_runtime_spawn(rts[i], XYL_HERE, wait_fired,
							.token = xyl_cancel_new(top));
	}
	CHECK(xyl_runtime_spawn(rts[1], XYL_HERE, fire, .token = top) != NULL);
	for (int i = 0; i < SHARDS; i++) {
		for (int j = 0; j < EACH; j++) {
			while (!xyl_is_done(tasks[i][j]))
				sched_yield();
			CHECK_EQ(xyl_result(tasks[i][j]), 0);
		}
		CHECK_EQ(xyl_runtime_stop(rts[i], 5 * XYL_SEC), 0);
	}
	CHECK(token_is_idle(top));
}
