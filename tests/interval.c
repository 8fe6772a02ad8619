/* SPDX-License-Identifier: MIT */
/* Intervals, their three policies, reset. */
#include <errno.h>
#include <stdint.h>

#include "rt/clock.h"
#include "spawn/task.h"
#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/held.h"
#include "tests/run.h"

#define P XYL_SEC /* a period */
#define YEARS (INT64_C(100) * 365 * 86400 * XYL_SEC)

/* ---- one who ticks ----------------------------------------------------------------------- */

struct ticker {
	struct xyl_frame frame;
	xyl_async_fn *body;
	enum xyl_missed missed;
	struct xyl_interval *interval;
	struct xyl_task *tasks[3];
	struct xyl_future *later;
	int64_t began;
	ssize_t n;
	int i;
};

static xyl_step ticker(void *frame)
{
	struct ticker *self = frame;

	return self->body(frame);
}

/* On a held clock, with the first tick one period from now. */
static void ticker_begin(struct ticker *self)
{
	clock_hold_here();
	self->began = xyl_now();
	self->interval = xyl_interval_new(self->began + P, P, self->missed);
	CHECK(self->interval != NULL);
}

static xyl_step regular(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	for (self->i = 1; self->i <= 5; self->i++) {
		xyl_spawn(move_clock, .ns = P);
		XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
		CHECK_EQ(self->n, 1);
		CHECK_EQ(xyl_now(), self->began + self->i * P);
		CHECK_EQ(timers_here(), 0);
	}
	XYL_END(0);
}

TEST(an_interval_ticks_once_a_period_whatever_the_policy)
{
	CHECK_EQ(RUN(ticker, .body = regular, .missed = XYL_BURST), 0);
	CHECK_EQ(RUN(ticker, .body = regular, .missed = XYL_DELAY), 0);
	CHECK_EQ(RUN(ticker, .body = regular, .missed = XYL_SKIP), 0);
}

static xyl_step at_once(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->interval = xyl_interval_new(xyl_now(), P, self->missed);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	xyl_spawn(move_clock, .ns = P);
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), P - 1));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	XYL_END(0);
}

TEST(a_first_time_of_now_ticks_at_once)
{
	CHECK_EQ(RUN(ticker, .body = at_once, .missed = XYL_BURST), 0);
	CHECK_EQ(RUN(ticker, .body = at_once, .missed = XYL_DELAY), 0);
	CHECK_EQ(RUN(ticker, .body = at_once, .missed = XYL_SKIP), 0);
}

struct unheld {
	struct xyl_frame frame;
	struct xyl_interval *interval;
	int64_t first;
	ssize_t n;
	int i;
};

static xyl_step unheld(void *frame)
{
	struct unheld *self = frame;

	XYL_BEGIN(self)
	self->first = xyli_clock();
	self->interval = xyl_interval_new(self->first, XYL_MS, XYL_BURST);
	for (self->i = 0; self->i < 5; self->i++) {
		XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
		CHECK_EQ(self->n, 1);
		CHECK(xyli_clock() >= self->first + self->i * XYL_MS);
	}
	XYL_END(0);
}

TEST(no_tick_comes_early_by_the_real_clock)
{
	CHECK_EQ(RUN(unheld), 0);
}

/* ---- who is late ------------------------------------------------------------------------- */

/* The next tick is `ns` after the beginning, not before. */
#define NEXT_AT(ns)        \
	XYL_AWAIT(self->n, \
		  xyl_within(xyl_interval_tick(self->interval), self->began + (ns)-1 - xyl_now()))

static xyl_step late_burst(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	clock_move_here(5 * P + P / 2);
	for (self->i = 0; self->i < 5; self->i++) {
		XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
		CHECK_EQ(self->n, 1);
		CHECK_EQ(xyl_now(), self->began + 5 * P + P / 2);
	}
	xyl_spawn(move_clock, .ns = P / 2 - 1);
	NEXT_AT(6 * P);
	CHECK_EQ(self->n, -ETIMEDOUT);
	xyl_spawn(move_clock, .ns = 1);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(xyl_now(), self->began + 6 * P);
	XYL_END(0);
}

TEST(burst_gives_each_missed_tick_and_keeps_the_schedule)
{
	CHECK_EQ(RUN(ticker, .body = late_burst, .missed = XYL_BURST), 0);
}

static xyl_step late_skip(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	clock_move_here(5 * P + P / 2);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 5);
	xyl_spawn(move_clock, .ns = P / 2 - 1);
	NEXT_AT(6 * P);
	CHECK_EQ(self->n, -ETIMEDOUT);
	xyl_spawn(move_clock, .ns = 1);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(xyl_now(), self->began + 6 * P);
	clock_move_here(2 * P);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 2); /* the one at 8 P has come, just so */
	XYL_END(0);
}

TEST(skip_drops_missed_ticks_and_keeps_the_schedule)
{
	CHECK_EQ(RUN(ticker, .body = late_skip, .missed = XYL_SKIP), 0);
}

static xyl_step late_delay(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	clock_move_here(5 * P + P / 2);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 5);
	xyl_spawn(move_clock, .ns = P - 1);
	NEXT_AT(6 * P + P / 2);
	CHECK_EQ(self->n, -ETIMEDOUT);
	clock_move_here(1 + P / 4);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval)); /* a quarter late: none is missed */
	CHECK_EQ(self->n, 1);
	xyl_spawn(move_clock, .ns = P - 1);
	NEXT_AT(7 * P + 3 * P / 4);
	CHECK_EQ(self->n, -ETIMEDOUT);
	xyl_spawn(move_clock, .ns = 1);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(xyl_now(), self->began + 7 * P + 3 * P / 4);
	XYL_END(0);
}

TEST(delay_drops_missed_ticks_and_begins_the_schedule_anew)
{
	CHECK_EQ(RUN(ticker, .body = late_delay, .missed = XYL_DELAY), 0);
}

/* He asks in time, and the timer is late. */
static xyl_step late_timer(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	xyl_spawn(move_clock, .ns = P + P / 10);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	xyl_spawn(move_clock, .ns = P - P / 10);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(xyl_now(), self->began + 2 * P);
	xyl_spawn(move_clock, .ns = 3 * P + P / 2); /* so late that two are missed */
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 3);
	xyl_spawn(move_clock, .ns = P - 1);
	NEXT_AT(6 * P + P / 2);
	CHECK_EQ(self->n, -ETIMEDOUT);
	xyl_spawn(move_clock, .ns = 1);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	XYL_END(0);
}

TEST(delay_does_not_drift_by_what_a_timer_is_late_itself)
{
	CHECK_EQ(RUN(ticker, .body = late_timer, .missed = XYL_DELAY), 0);
}

/* ---- the ends of time -------------------------------------------------------------------- */

static xyl_step years(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->interval = xyl_interval_new(xyl_now(), 1, self->missed);
	clock_move_here(YEARS);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, YEARS + 1);
	xyl_spawn(move_clock, .ns = 1);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	clock_move_here(INT64_MAX);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK(self->n > 0);
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), 0));
	CHECK_EQ(self->n, -ETIMEDOUT); /* nothing is due any more */
	CHECK_EQ(timers_here(), 0);
	XYL_END(0);
}

TEST(the_ticks_of_years_are_counted_at_once)
{
	CHECK_EQ(RUN(ticker, .body = years, .missed = XYL_SKIP), 0);
	CHECK_EQ(RUN(ticker, .body = years, .missed = XYL_DELAY), 0);
}

static xyl_step endless(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->interval = xyl_interval_new(INT64_MIN, INT64_MAX, self->missed);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), 0));
	CHECK_EQ(self->n, -ETIMEDOUT);
	clock_move_here(INT64_MAX);
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), 0));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_END(0);
}

TEST(a_schedule_that_reaches_the_end_of_time_ends_there)
{
	CHECK_EQ(RUN(ticker, .body = endless, .missed = XYL_BURST), 0);
	CHECK_EQ(RUN(ticker, .body = endless, .missed = XYL_DELAY), 0);
	CHECK_EQ(RUN(ticker, .body = endless, .missed = XYL_SKIP), 0);
}

static xyl_step senseless(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	CHECK(xyl_interval_new(0, 0, XYL_BURST) == NULL);
	CHECK(xyl_interval_new(0, -1, XYL_BURST) == NULL);
	CHECK(xyl_interval_new(0, INT64_MIN, XYL_SKIP) == NULL);
	CHECK(xyl_interval_new(0, 1, (enum xyl_missed)3) == NULL);
	CHECK(xyl_interval_new(0, 1, (enum xyl_missed) - 1) == NULL);
	XYL_AWAIT(self->n, xyl_interval_tick(NULL));
	CHECK_EQ(self->n, -EINVAL);
	xyl_interval_reset(NULL);
	XYL_END(0);
}

TEST(a_period_must_be_above_nothing)
{
	CHECK_EQ(RUN(ticker, .body = senseless), 0);
}

/* ---- several who wait -------------------------------------------------------------------- */

struct tick {
	struct xyl_frame frame;
	struct xyl_interval *interval;
	ssize_t n;
};

static xyl_step tick(void *frame)
{
	struct tick *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	XYL_END(self->n);
}

/* One after the other, so that they wait in this order. */
static xyl_step crowd(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	for (self->i = 0; self->i < 3; self->i++) {
		self->tasks[self->i] = xyl_spawn(tick, .interval = self->interval);
		while (self->tasks[self->i]->wait.state != XYLI_WAITING)
			XYL_AWAIT(self->n, xyl_yield());
	}
	CHECK_EQ(timers_here(), 1);
	for (self->i = 0; self->i < 3; self->i++) {
		clock_move_here(P);
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->n, 1);
		for (int j = self->i + 1; j < 3; j++)
			CHECK(!xyl_is_done(self->tasks[j]));
		CHECK_EQ(timers_here(), self->i < 2);
	}
	XYL_END(0);
}

TEST(each_tick_goes_to_one_of_those_who_wait_in_their_order)
{
	CHECK_EQ(RUN(ticker, .body = crowd, .missed = XYL_BURST), 0);
	CHECK_EQ(RUN(ticker, .body = crowd, .missed = XYL_DELAY), 0);
	CHECK_EQ(RUN(ticker, .body = crowd, .missed = XYL_SKIP), 0);
}

/* Two ticks come due at once, for three who wait. */
static xyl_step leap(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	for (self->i = 0; self->i < 3; self->i++) {
		self->tasks[self->i] = xyl_spawn(tick, .interval = self->interval);
		while (self->tasks[self->i]->wait.state != XYLI_WAITING)
			XYL_AWAIT(self->n, xyl_yield());
	}
	clock_move_here(2 * P);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(self->n, self->missed == XYL_BURST ? 1 : 2);
	if (self->missed == XYL_BURST) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[1]));
		CHECK_EQ(self->n, 1);
	}
	CHECK_EQ(xyl_is_done(self->tasks[1]), self->missed == XYL_BURST);
	CHECK(!xyl_is_done(self->tasks[2]));
	clock_move_here(2 * P);
	XYL_AWAIT(self->n, xyl_join(self->tasks[1]));
	if (self->missed != XYL_BURST)
		clock_move_here(2 * P);
	XYL_AWAIT(self->n, xyl_join(self->tasks[2]));
	CHECK_EQ(self->n, self->missed == XYL_BURST ? 1 : 2);
	XYL_END(0);
}

TEST(a_burst_is_shared_out_and_dropped_ticks_count_for_one)
{
	CHECK_EQ(RUN(ticker, .body = leap, .missed = XYL_BURST), 0);
	CHECK_EQ(RUN(ticker, .body = leap, .missed = XYL_DELAY), 0);
	CHECK_EQ(RUN(ticker, .body = leap, .missed = XYL_SKIP), 0);
}

/* ---- cut short --------------------------------------------------------------------------- */

static xyl_step aborted(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	self->tasks[0] = xyl_spawn(tick, .interval = self->interval);
	while (self->tasks[0]->wait.state != XYLI_WAITING)
		XYL_AWAIT(self->n, xyl_yield());
	self->tasks[1] = xyl_spawn(tick, .interval = self->interval);
	while (self->tasks[1]->wait.state != XYLI_WAITING)
		XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(self->tasks[0]);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK_EQ(xyl_result(self->tasks[0]), -ECANCELED);
	CHECK_EQ(timers_here(), 1);
	clock_move_here(P);
	XYL_AWAIT(self->n, xyl_join(self->tasks[1]));
	CHECK_EQ(self->n, 1);
	self->tasks[0] = xyl_spawn(tick, .interval = self->interval);
	while (self->tasks[0]->wait.state != XYLI_WAITING)
		XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(self->tasks[0]);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(timers_here(), 0);
	clock_move_here(P);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	XYL_END(0);
}

static xyl_step bounded(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	xyl_spawn(move_clock, .ns = P / 2);
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), P / 2));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK_EQ(timers_here(), 0);
	xyl_spawn(move_clock, .ns = P); /* past both of them, the bound first */
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), P / 4));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), 0));
	CHECK_EQ(self->n, 1); /* it took nothing away */
	xyl_spawn(move_clock, .ns = P);
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), P - 1));
	CHECK_EQ(self->n, 1); /* it came first */
	XYL_END(0);
}

static xyl_step awaited_later(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	self->later = xyl_later(xyl_interval_tick(self->interval));
	CHECK(self->later != NULL);
	clock_move_here(P);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 1);
	XYL_END(0);
}

TEST(an_aborted_waiter_takes_no_tick_and_leaves_no_timer)
{
	CHECK_EQ(RUN(ticker, .body = aborted, .missed = XYL_SKIP), 0);
}

TEST(a_bound_round_a_tick_takes_none)
{
	CHECK_EQ(RUN(ticker, .body = bounded, .missed = XYL_SKIP), 0);
}

TEST(a_tick_can_be_awaited_later)
{
	CHECK_EQ(RUN(ticker, .body = awaited_later, .missed = XYL_SKIP), 0);
}

static xyl_step overtaking(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	self->tasks[0] = xyl_spawn(tick, .interval = self->interval);
	while (self->tasks[0]->wait.state != XYLI_WAITING)
		XYL_AWAIT(self->n, xyl_yield());
	clock_move_here(P);
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), 0));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(self->n, 1);
	XYL_END(0);
}

TEST(a_tick_that_is_due_goes_to_who_waits_and_not_to_who_asks)
{
	CHECK_EQ(RUN(ticker, .body = overtaking, .missed = XYL_SKIP), 0);
}

struct refused {
	struct xyl_frame frame;
	struct xyl_interval *interval;
	ssize_t n;
};

static xyl_step refused(void *frame)
{
	struct refused *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->interval = xyl_interval_new(xyl_now(), P, XYL_BURST);
	xyl_abort(xyl_self());
	while (!xyl_is_aborted(xyl_self()))
		XYL_AWAIT(self->n, xyl_yield());
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, -ECANCELED);
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	xyl_shield_end();
	CHECK_EQ(self->n, 1);
	XYL_END(0);
}

TEST(an_aborted_task_that_asks_takes_no_tick)
{
	CHECK_EQ(RUN(refused), 0);
}

/* ---- reset ------------------------------------------------------------------------------- */

static xyl_step reset(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	clock_move_here(3 * P + P / 2);
	xyl_interval_reset(self->interval); /* what was missed is forgotten */
	xyl_spawn(move_clock, .ns = P - 1);
	NEXT_AT(4 * P + P / 2);
	CHECK_EQ(self->n, -ETIMEDOUT);
	xyl_spawn(move_clock, .ns = 1);
	XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
	CHECK_EQ(self->n, 1);
	XYL_END(0);
}

static xyl_step reset_under_a_waiter(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	ticker_begin(self);
	self->tasks[0] = xyl_spawn(tick, .interval = self->interval);
	while (self->tasks[0]->wait.state != XYLI_WAITING)
		XYL_AWAIT(self->n, xyl_yield());
	clock_move_here(P - 1);
	xyl_interval_reset(self->interval);
	CHECK_EQ(timers_here(), 1);
	clock_move_here(P - 1);
	for (self->i = 0; self->i < 5; self->i++)
		XYL_AWAIT(self->n, xyl_sleep(0));
	CHECK(!xyl_is_done(self->tasks[0]));
	clock_move_here(1);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(self->n, 1);
	XYL_END(0);
}

/* It was to come much later. */
static xyl_step reset_to_sooner(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->interval = xyl_interval_new(xyl_now() + 10 * P, P, XYL_SKIP);
	self->tasks[0] = xyl_spawn(tick, .interval = self->interval);
	while (self->tasks[0]->wait.state != XYLI_WAITING)
		XYL_AWAIT(self->n, xyl_yield());
	xyl_interval_reset(self->interval);
	clock_move_here(2 * P);
	for (self->i = 0; self->i < 20; self->i++)
		XYL_AWAIT(self->n, xyl_sleep(0));
	CHECK_EQ(xyl_result(self->tasks[0]), 2);
	XYL_END(0);
}

TEST(after_a_reset_the_next_tick_is_one_period_away)
{
	CHECK_EQ(RUN(ticker, .body = reset, .missed = XYL_BURST), 0);
	CHECK_EQ(RUN(ticker, .body = reset, .missed = XYL_DELAY), 0);
	CHECK_EQ(RUN(ticker, .body = reset, .missed = XYL_SKIP), 0);
	CHECK_EQ(RUN(ticker, .body = reset_under_a_waiter), 0);
	CHECK_EQ(RUN(ticker, .body = reset_to_sooner), 0);
}

/* ---- two runtimes ------------------------------------------------------------------------ */

TEST(an_interval_belongs_to_the_runtime_that_first_ticked_it)
{
	struct xyl_interval *interval = xyl_interval_new(0, P, XYL_SKIP);
	struct driven first = drive_begin(NULL), second;
	struct xyl_task *task = DRIVE_SPAWN(&first, tick, .interval = interval);

	drive_until_done(&first, task);
	CHECK(xyl_result(task) >= 1);
	drive_end(&first);
	second = drive_begin(NULL);
	task = DRIVE_SPAWN(&second, tick, .interval = interval);
	drive_until_done(&second, task);
	CHECK_EQ(xyl_result(task), -EXDEV);
	drive_end(&second);
}
