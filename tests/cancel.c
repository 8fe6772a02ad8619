/* SPDX-License-Identifier: MIT */
/* Row 21: tokens. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "sync/cancel.h"
#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/run.h"
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

static bool is_idle(const struct xyl_cancel *token)
{
	return !token->children && !token->line.waits.first && !token->linked && !token->next &&
	       !token->prev;
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
		CHECK(is_idle(three.tokens[i]));
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
