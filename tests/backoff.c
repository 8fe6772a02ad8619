/* SPDX-License-Identifier: MIT */
/* Back-off: doubling, cap, jitter, tries, deadline. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/asyncs.h"
#include "tests/held.h"
#include "tests/run.h"

struct retry {
	struct xyl_frame frame;
	xyl_async_fn *body;
	enum xyl_jitter jitter;
	struct xyl_backoff *backoff, *other;
	struct xyl_task *task;
	int64_t began, delay, ceiling, least, most;
	size_t count, i;
	ssize_t n;
};

static xyl_step retry(void *frame)
{
	struct retry *self = frame;

	return self->body(frame);
}

static void retry_begin(struct retry *self, const struct xyl_backoff_config *config)
{
	clock_hold_here();
	self->began = xyl_now();
	self->backoff = xyl_backoff_new(config);
	CHECK(self->backoff != NULL);
}

/* Sleeps for as long as it said it would, on a held clock. */
struct wait_out {
	struct xyl_frame frame;
	struct xyl_backoff *backoff;
	int64_t began, delay;
	ssize_t n;
};

static xyl_step wait_out(void *frame)
{
	struct wait_out *self = frame;

	XYL_BEGIN(self)
	self->began = xyl_now();
	self->delay = xyl_backoff_next(self->backoff);
	CHECK_EQ(xyl_backoff_next(self->backoff), self->delay);
	if (self->delay > 0)
		xyl_spawn(move_clock, .ns = self->delay);
	XYL_AWAIT(self->n, xyl_backoff_wait(self->backoff));
	if (self->n == 0)
		CHECK_EQ(xyl_now(), self->began + self->delay);
	else
		CHECK_EQ(self->n, self->delay);
	XYL_END(self->n < 0 ? self->n : (ssize_t)self->delay);
}

/* ---- doubling ---------------------------------------------------------------------------- */

static xyl_step doubling(void *frame)
{
	static const int64_t expected[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
	struct retry *self = frame;

	XYL_BEGIN(self)
	retry_begin(self, &(struct xyl_backoff_config){ .first_ns = 100 * XYL_MS,
							.cap_ns = XYL_SEC,
							.jitter = XYL_NO_JITTER });
	for (self->i = 0; self->i < 7; self->i++) {
		XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
		CHECK_EQ(self->n, expected[self->i] * XYL_MS);
		CHECK_EQ(timers_here(), 0);
	}
	xyl_backoff_reset(self->backoff);
	XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
	CHECK_EQ(self->n, 100 * XYL_MS);
	XYL_END(0);
}

TEST(delays_double_up_to_the_cap_and_begin_anew_after_a_reset)
{
	CHECK_EQ(RUN(retry, .body = doubling), 0);
}

static xyl_step capped_at_first(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	retry_begin(self, &(struct xyl_backoff_config){
				  .first_ns = XYL_SEC, .cap_ns = XYL_MS, .jitter = XYL_NO_JITTER });
	for (self->i = 0; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
		CHECK_EQ(self->n, XYL_MS);
	}
	XYL_END(0);
}

TEST(the_first_delay_is_no_longer_than_the_cap)
{
	CHECK_EQ(RUN(retry, .body = capped_at_first), 0);
}

/* Of a hundred doublings all but a few would overflow. */
static xyl_step huge(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	retry_begin(self, &(struct xyl_backoff_config){
				  .first_ns = 3, .cap_ns = INT64_MAX, .jitter = self->jitter });
	for (self->i = 0, self->ceiling = 3; self->i < 100; self->i++) {
		self->delay = xyl_backoff_next(self->backoff);
		CHECK(self->delay >= 0 && self->delay <= self->ceiling);
		if (self->jitter == XYL_NO_JITTER)
			CHECK_EQ(self->delay, self->ceiling);
		self->ceiling = self->ceiling > INT64_MAX / 2 ? INT64_MAX : 2 * self->ceiling;
		XYL_AWAIT(self->n, xyl_within(xyl_backoff_wait(self->backoff), 0));
		CHECK(self->n == -ETIMEDOUT || self->delay == 0);
	}
	XYL_END(0);
}

TEST(doubling_is_held_at_the_end_of_time)
{
	CHECK_EQ(RUN(retry, .body = huge, .jitter = XYL_NO_JITTER), 0);
	CHECK_EQ(RUN(retry, .body = huge, .jitter = XYL_EQUAL_JITTER), 0);
	CHECK_EQ(RUN(retry, .body = huge, .jitter = XYL_FULL_JITTER), 0);
}

static xyl_step defaults(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	retry_begin(self, NULL);
	for (self->i = 0, self->ceiling = 100 * XYL_MS; self->i < 20; self->i++) {
		XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
		CHECK(self->n >= 0 && self->n <= self->ceiling);
		self->ceiling = 2 * self->ceiling < 30 * XYL_SEC ? 2 * self->ceiling : 30 * XYL_SEC;
	}
	XYL_END(0);
}

TEST(without_a_config_there_is_jitter_and_no_end)
{
	CHECK_EQ(RUN(retry, .body = defaults), 0);
}

/* ---- jitter ------------------------------------------------------------------------------ */

/* All of the range is used, and nothing beside it. */
static xyl_step jittered(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	self->ceiling = 1001;
	retry_begin(self, &(struct xyl_backoff_config){ .first_ns = self->ceiling,
							.cap_ns = self->ceiling,
							.jitter = self->jitter,
							.seed = test_random() | 1 });
	self->least = INT64_MAX;
	for (self->i = 0; self->i < 300; self->i++) {
		XYL_AWAIT(self->delay, xyl_call(wait_out, .backoff = self->backoff));
		if (self->least > self->delay)
			self->least = self->delay;
		if (self->most < self->delay)
			self->most = self->delay;
	}
	CHECK(self->most <= 1001 && self->most > 900);
	if (self->jitter == XYL_FULL_JITTER)
		CHECK(self->least >= 0 && self->least < 100);
	else
		CHECK(self->least >= 500 && self->least < 600);
	XYL_END(0);
}

TEST(full_jitter_draws_from_nothing_up_to_the_ceiling)
{
	CHECK_EQ(RUN(retry, .body = jittered, .jitter = XYL_FULL_JITTER), 0);
}

TEST(equal_jitter_draws_from_half_of_the_ceiling_up_to_it)
{
	CHECK_EQ(RUN(retry, .body = jittered, .jitter = XYL_EQUAL_JITTER), 0);
}

static xyl_step seeded(void *frame)
{
	struct retry *self = frame;
	const struct xyl_backoff_config same = { .cap_ns = XYL_SEC, .seed = 17 }, any = { 0 };

	XYL_BEGIN(self)
	retry_begin(self, self->count ? &same : &any);
	self->other = xyl_backoff_new(self->count ? &same : &any);
	for (self->i = 0; self->i < 20; self->i++) {
		XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
		XYL_AWAIT(self->delay, xyl_call(wait_out, .backoff = self->other));
		self->most += self->n != self->delay;
	}
	XYL_END((ssize_t)self->most);
}

TEST(the_same_seed_gives_the_same_delays_and_none_gives_others)
{
	CHECK_EQ(RUN(retry, .body = seeded, .count = 1), 0);
	CHECK(RUN(retry, .body = seeded, .count = 0) > 10);
}

/* ---- exhausted --------------------------------------------------------------------------- */

static xyl_step tried(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	retry_begin(self, &(struct xyl_backoff_config){ .tries = 3 });
	for (self->count = 0; self->count < 2; self->count++) {
		for (self->i = 0; self->i < 2; self->i++) {
			XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
			CHECK(self->n >= 0);
		}
		for (self->i = 0; self->i < 2; self->i++) {
			self->began = xyl_now();
			XYL_AWAIT(self->n, xyl_backoff_wait(self->backoff));
			CHECK_EQ(self->n, -ETIMEDOUT);
			CHECK_EQ(xyl_backoff_next(self->backoff), -ETIMEDOUT);
		}
		xyl_backoff_reset(self->backoff);
	}
	self->backoff = xyl_backoff_new(&(struct xyl_backoff_config){ .tries = 1 });
	XYL_AWAIT(self->n, xyl_backoff_wait(self->backoff));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_END(0);
}

TEST(three_tries_have_two_delays_between_them)
{
	CHECK_EQ(RUN(retry, .body = tried), 0);
}

/* 1 + 2 + 4 s are over at 7 s; the next 8 s would end at 15. */
static xyl_step overdue(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	retry_begin(self, &(struct xyl_backoff_config){ .first_ns = XYL_SEC,
							.deadline_ns = 15 * XYL_SEC - self->delay,
							.jitter = XYL_NO_JITTER });
	clock_move_here(LONG_NS); /* it is the first wait that counts */
	for (self->i = 0; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
		CHECK_EQ(self->n, XYL_SEC << self->i);
	}
	XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
	CHECK_EQ(self->n, self->delay ? -ETIMEDOUT : 8 * XYL_SEC);
	clock_move_here(LONG_NS);
	XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
	CHECK_EQ(self->n, -ETIMEDOUT);
	xyl_backoff_reset(self->backoff);
	XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
	CHECK_EQ(self->n, XYL_SEC);
	XYL_END(0);
}

TEST(a_delay_that_would_end_past_the_deadline_is_not_begun)
{
	CHECK_EQ(RUN(retry, .body = overdue, .delay = 0), 0);
	CHECK_EQ(RUN(retry, .body = overdue, .delay = 1), 0);
}

static xyl_step hopeless(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	retry_begin(self, &(struct xyl_backoff_config){
				  .first_ns = 2, .deadline_ns = 1, .jitter = XYL_NO_JITTER });
	XYL_AWAIT(self->n, xyl_call(wait_out, .backoff = self->backoff));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_END(0);
}

TEST(a_deadline_may_leave_no_room_for_any_delay)
{
	CHECK_EQ(RUN(retry, .body = hopeless), 0);
}

TEST(a_config_that_makes_no_sense_gives_none)
{
	CHECK(xyl_backoff_new(&(struct xyl_backoff_config){ .first_ns = -1 }) == NULL);
	CHECK(xyl_backoff_new(&(struct xyl_backoff_config){ .cap_ns = -1 }) == NULL);
	CHECK(xyl_backoff_new(&(struct xyl_backoff_config){ .deadline_ns = INT64_MIN }) == NULL);
	CHECK(xyl_backoff_new(&(struct xyl_backoff_config){ .jitter = (enum xyl_jitter)3 }) ==
	      NULL);
}

static xyl_step none(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_backoff_wait(NULL));
	CHECK_EQ(self->n, -EINVAL);
	CHECK_EQ(xyl_backoff_next(NULL), -EINVAL);
	xyl_backoff_reset(NULL);
	XYL_END(0);
}

TEST(waiting_without_a_back_off_is_refused)
{
	CHECK_EQ(RUN(retry, .body = none), 0);
}

/* ---- cut short --------------------------------------------------------------------------- */

struct wait_once {
	struct xyl_frame frame;
	struct xyl_backoff *backoff;
	ssize_t n;
};

static xyl_step wait_once(void *frame)
{
	struct wait_once *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_backoff_wait(self->backoff));
	XYL_AWAIT(self->n, xyl_backoff_wait(self->backoff)); /* aborted: nothing is used up */
	XYL_END(self->n);
}

static xyl_step cut(void *frame)
{
	struct retry *self = frame;

	XYL_BEGIN(self)
	retry_begin(self,
		    &(struct xyl_backoff_config){ .first_ns = XYL_SEC, .jitter = XYL_NO_JITTER });
	self->task = xyl_spawn(wait_once, .backoff = self->backoff);
	while (timers_here() == 0)
		XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(self->task);
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(xyl_result(self->task), -ECANCELED);
	CHECK_EQ(timers_here(), 0);
	CHECK_EQ(xyl_backoff_next(self->backoff), 2 * XYL_SEC);
	xyl_spawn(move_clock, .ns = XYL_SEC);
	XYL_AWAIT(self->n, xyl_within(xyl_backoff_wait(self->backoff), XYL_SEC));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK_EQ(timers_here(), 0);
	CHECK_EQ(xyl_backoff_next(self->backoff), 4 * XYL_SEC);
	XYL_END(0);
}

TEST(a_delay_that_was_cut_short_counts_and_leaves_no_timer)
{
	CHECK_EQ(RUN(retry, .body = cut), 0);
}
