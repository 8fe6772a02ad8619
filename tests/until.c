/* SPDX-License-Identifier: MIT */
/* xyl_until: a bound by a token. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "spawn/runtime.h"
#include "tests/bounds.h"
#include "tests/child.h"
#include "tests/drive.h"
#include "tests/run.h"
#include "tests/tokens.h"
#include "xylem/xylem.h"

/* ---- round one operation ------------------------------------------------------------------ */

struct until_sleep {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	int64_t ns;
	ssize_t n, again;
};

static xyl_step until_sleep(void *frame)
{
	struct until_sleep *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_until(xyl_sleep(self->ns), self->token));
	CHECK(!xyl_is_aborted(xyl_self()));
	XYL_AWAIT(self->again, xyl_sleep(0));
	CHECK_EQ(self->again, 0);
	XYL_END(self->n);
}

/* Fired when it waits: by whom? */
enum by { BY_A_TASK, BY_A_THREAD, BY_WHO_DRIVES };

static ssize_t sleep_fired(struct xyl_cancel *token, struct xyl_cancel *fired, enum by by)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, until_sleep, .token = token, .ns = LONG_NS);

	drive(&driven, 1);
	CHECK(!xyl_is_done(task) && !token_is_idle(token));
	if (by == BY_WHO_DRIVES)
		xyl_cancel_fire(fired);
	else
		DRIVE_SPAWN(&driven, fire, .token = fired, .by_a_thread = by == BY_A_THREAD);
	drive_until_done(&driven, task);
	CHECK(token_is_idle(token) && token_is_idle(fired));
	CHECK_EQ(driven.rt->shard->timers.count, 0);
	drive_end(&driven);
	return xyl_result(task);
}

TEST(a_token_that_is_fired_ends_the_await)
{
	for (enum by by = BY_A_TASK; by <= BY_WHO_DRIVES; by++) {
		struct xyl_cancel *token = xyl_cancel_new(NULL);

		CHECK_EQ(sleep_fired(token, token, by), -ECANCELED);
	}
}

TEST(so_does_one_above_it)
{
	for (enum by by = BY_A_TASK; by <= BY_WHO_DRIVES; by++) {
		struct xyl_cancel *top = xyl_cancel_new(NULL);

		CHECK_EQ(sleep_fired(xyl_cancel_new(xyl_cancel_new(top)), top, by), -ECANCELED);
	}
}

TEST(a_result_that_comes_first_is_kept_and_nothing_is_left_with_the_token)
{
	struct xyl_cancel *top = xyl_cancel_new(NULL), *token = xyl_cancel_new(top);

	CHECK_EQ(RUN(until_sleep, .token = token, .ns = 1), 0);
	CHECK(token_is_idle(token) && token_is_idle(top));
	xyl_cancel_fire(token);
}

TEST(of_what_was_fired_before_what_is_ready_is_taken)
{
	struct xyl_cancel *token = xyl_cancel_new(NULL);

	xyl_cancel_fire(token);
	CHECK_EQ(RUN(until_sleep, .token = token, .ns = LONG_NS), -ECANCELED);
	CHECK_EQ(RUN(until_sleep, .token = token, .ns = 0), 0);
	CHECK_EQ(RUN(until_sleep, .token = xyl_cancel_new(token), .ns = LONG_NS), -ECANCELED);
}

TEST(without_a_token_nothing_runs_unbounded)
{
	CHECK_EQ(RUN(until_sleep, .token = NULL, .ns = LONG_NS), -EINVAL);
}

static void until_outside(void *unused)
{
	xyl_pending pending = xyl_until((xyl_pending){ 0 }, NULL);

	(void)unused;
	(void)pending;
}

TEST(a_token_outside_a_task_is_named)
{
	child_aborts(until_outside, NULL, "xyl_until: called outside a task");
}

/* ---- fired by the task itself ---------------------------------------------------------------- */

struct fire_between {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	xyl_pending pending;
	ssize_t n;
};

static xyl_step fire_between(void *frame)
{
	struct fire_between *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	self->pending = xyl_until(xyl_sleep(LONG_NS), self->token);
	xyl_cancel_fire(self->token);
	XYL_AWAIT(self->n, self->pending);
	CHECK_EQ(self->n, -ECANCELED);
	XYL_AWAIT(self->n, xyl_sleep(1));
	XYL_END(self->n);
}

TEST(a_token_fired_between_start_and_await_ends_the_await)
{
	CHECK_EQ(RUN(fire_between), 0);
}

struct fire_own {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	ssize_t n;
};

static xyl_step fire_own(void *frame)
{
	struct fire_own *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(1));
	CHECK_EQ(self->n, 0);
	xyl_cancel_fire(self->token);
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_END(7);
}

struct call_fire_own {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	ssize_t n;
};

static xyl_step call_fire_own(void *frame)
{
	struct call_fire_own *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	XYL_AWAIT(self->n, xyl_until(xyl_call(fire_own, .token = self->token), self->token));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_AWAIT(self->n, xyl_sleep(1));
	XYL_END(self->n);
}

TEST(a_callee_may_fire_its_own_bound)
{
	CHECK_EQ(RUN(call_fire_own), 0);
}

/* ---- round a call ---------------------------------------------------------------------------- */

struct until_stubborn {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	struct seen *seen;
	ssize_t n, again;
};

static xyl_step until_stubborn(void *frame)
{
	struct until_stubborn *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_until(xyl_call(stubborn, .seen = self->seen), self->token));
	CHECK(token_is_idle(self->token));
	XYL_AWAIT(self->again, xyl_sleep(1));
	CHECK_EQ(self->again, 0);
	XYL_END(self->n);
}

static void stubborn_fired(bool before)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_cancel *token = xyl_cancel_new(NULL);
	struct seen *seen = xyl_new(struct seen);
	struct xyl_task *task;

	if (before)
		xyl_cancel_fire(token);
	task = DRIVE_SPAWN(&driven, until_stubborn, .token = token, .seen = seen);
	drive(&driven, 1);
	xyl_cancel_fire(token);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	CHECK_EQ(seen->first, -ECANCELED);
	CHECK_EQ(seen->second, -ECANCELED);
	CHECK_EQ(seen->third, -ECANCELED);
	CHECK_EQ(seen->runs, 1);
	drive_end(&driven);
}

TEST(once_fired_each_await_of_a_callee_is_cancelled_until_it_returns)
{
	stubborn_fired(false);
	stubborn_fired(true);
}

struct unseeing {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	bool shielded;
	ssize_t n;
};

static xyl_step unseeing(void *frame)
{
	struct unseeing *self = frame;

	XYL_BEGIN(self)
	if (self->shielded)
		xyl_shield_begin();
	xyl_cancel_fire(self->token);
	if (self->shielded) {
		XYL_AWAIT(self->n, xyl_sleep(1));
		CHECK_EQ(self->n, 0);
		xyl_shield_end();
	}
	XYL_END(6);
}

struct until_unseeing {
	struct xyl_frame frame;
	bool shielded;
	struct xyl_cancel *token;
	ssize_t n, again;
};

static xyl_step until_unseeing(void *frame)
{
	struct until_unseeing *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	XYL_AWAIT(self->n,
		  xyl_until(xyl_call(unseeing, .token = self->token, .shielded = self->shielded),
			    self->token));
	XYL_AWAIT(self->again, xyl_sleep(1));
	CHECK_EQ(self->again, 0);
	XYL_END(self->n);
}

TEST(a_callee_that_returns_without_having_seen_its_token_keeps_its_result)
{
	CHECK_EQ(RUN(until_unseeing, .shielded = false), 6);
	CHECK_EQ(RUN(until_unseeing, .shielded = true), 6);
}

/* ---- with the clock -------------------------------------------------------------------------- */

struct both {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	bool token_outside, call;
	int64_t ns;
	ssize_t n, again;
};

static xyl_step both(void *frame)
{
	struct both *self = frame;

	XYL_BEGIN(self)
	if (self->call && self->token_outside)
		XYL_AWAIT(self->n,
			  xyl_until(xyl_within(xyl_call(sleep_for, .ns = LONG_NS), self->ns),
				    self->token));
	else if (self->call)
		XYL_AWAIT(self->n,
			  xyl_within(xyl_until(xyl_call(sleep_for, .ns = LONG_NS), self->token),
				     self->ns));
	else if (self->token_outside)
		XYL_AWAIT(self->n,
			  xyl_until(xyl_within(xyl_sleep(LONG_NS), self->ns), self->token));
	else
		XYL_AWAIT(self->n,
			  xyl_within(xyl_until(xyl_sleep(LONG_NS), self->token), self->ns));
	CHECK_EQ(timers_running(), 0);
	CHECK(token_is_idle(self->token));
	XYL_AWAIT(self->again, xyl_sleep(0));
	CHECK_EQ(self->again, 0);
	XYL_END(self->n);
}

static ssize_t both_run(bool fired, int64_t ns, int order)
{
	struct xyl_cancel *token = xyl_cancel_new(NULL);

	if (fired)
		xyl_cancel_fire(token);
	return RUN(both, .token = token, .ns = ns, .token_outside = order & 1, .call = order & 2);
}

TEST(of_a_token_and_the_clock_whichever_passes_says_so_and_the_token_wins)
{
	for (int order = 0; order < 4; order++) {
		CHECK_EQ(both_run(false, SHORT_NS, order), -ETIMEDOUT);
		CHECK_EQ(both_run(true, LONG_NS, order), -ECANCELED);
		CHECK_EQ(both_run(true, 0, order), -ECANCELED);
	}
}

/* The clock has cut it; before it runs, the token is fired: word of it has arrived, or not. */
static void clock_then_token(int order, bool arrives)
{
	const struct xyl_config config = { .turn_budget = arrives ? 1 : 2 };
	struct driven driven = drive_begin(&config);
	struct xyl_cancel *token = xyl_cancel_new(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, both, .token = token, .ns = SHORT_NS,
					    .token_outside = order & 1, .call = order & 2);

	drive(&driven, 1);
	pass_time(2 * SHORT_NS);
	DRIVE_SPAWN(&driven, fire, .token = token, .by_a_thread = true);
	drive(&driven, 1); /* it is ready before the clock makes the other so */
	CHECK_EQ(xyli_inbox_is_empty(&driven.rt->shard->inbox), !arrives); /* taken back */
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	drive_end(&driven);
}

TEST(a_token_that_is_fired_before_the_one_who_timed_out_runs_wins)
{
	test_needs_the_real_ring("the order of ready tasks, which is no promise");
	for (int order = 0; order < 4; order++) {
		clock_then_token(order, true);
		clock_then_token(order, false);
	}
}

struct two_tokens {
	struct xyl_frame frame;
	struct xyl_cancel *inner, *outer;
	ssize_t n;
};

static xyl_step two_tokens(void *frame)
{
	struct two_tokens *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_until(xyl_until(xyl_sleep(LONG_NS), self->inner), self->outer));
	CHECK(token_is_idle(self->inner) && token_is_idle(self->outer));
	XYL_END(self->n);
}

TEST(of_two_tokens_round_one_await_either_ends_it)
{
	struct xyl_cancel *fired = xyl_cancel_new(NULL), *other = xyl_cancel_new(NULL);

	xyl_cancel_fire(fired);
	CHECK_EQ(RUN(two_tokens, .inner = fired, .outer = other), -ECANCELED);
	CHECK_EQ(RUN(two_tokens, .inner = other, .outer = fired), -ECANCELED);
	CHECK_EQ(RUN(two_tokens, .inner = fired, .outer = fired), -ECANCELED);
}

struct nested_tokens {
	struct xyl_frame frame;
	struct xyl_cancel *inner, *outer;
	ssize_t n, m;
};

static xyl_step nested_tokens(void *frame)
{
	struct nested_tokens *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_until(xyl_call(until_sleep, .ns = LONG_NS, .token = self->inner),
				     self->outer));
	XYL_END(self->n);
}

TEST(a_token_inside_ends_what_is_inside_and_no_more)
{
	struct xyl_cancel *fired = xyl_cancel_new(NULL), *other = xyl_cancel_new(NULL);

	xyl_cancel_fire(fired);
	CHECK_EQ(RUN(nested_tokens, .inner = fired, .outer = other), -ECANCELED);
	CHECK(token_is_idle(other) && token_is_idle(fired));
}

/* ---- a result that came first ---------------------------------------------------------------- */

struct until_future {
	struct xyl_frame frame;
	struct xyl_future *future;
	struct xyl_cancel *token;
	ssize_t n;
};

static xyl_step until_future(void *frame)
{
	struct until_future *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_until(xyl_future_get(self->future), self->token));
	XYL_END(self->n);
}

/* The value wakes the task.  Before it runs the token is fired. */
struct set_then_fire {
	struct xyl_frame frame;
	struct xyl_future *future;
	struct xyl_cancel *token;
	ssize_t value;
	bool by_a_thread;
};

static xyl_step set_then_fire(void *frame)
{
	struct set_then_fire *self = frame;

	XYL_BEGIN(self)
	xyl_future_set(self->future, self->value);
	if (self->by_a_thread)
		fire_by_a_thread(self->token);
	else
		xyl_cancel_fire(self->token);
	XYL_END(0);
}

static void value_then_token(ssize_t value, bool by_a_thread)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *future = xyl_future_new();
	struct xyl_cancel *token = xyl_cancel_new(xyl_cancel_new(NULL));
	struct xyl_task *task = DRIVE_SPAWN(&driven, until_future, .future = future,
					    .token = token);

	drive(&driven, 1);
	DRIVE_SPAWN(&driven, set_then_fire, .future = future, .token = token, .value = value,
		    .by_a_thread = by_a_thread);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), value);
	CHECK(xyli_inbox_is_empty(&driven.rt->shard->inbox));
	CHECK(token_is_idle(token) && token_is_idle(token->parent));
	drive_end(&driven);
}

TEST(a_value_that_came_before_the_token_was_fired_is_kept)
{
	value_then_token(4, false);
	value_then_token(4, true);
	value_then_token(-EIO, true);
	value_then_token(-ECANCELED, true);
}

/* Each has its value, and word of the token on its way, when it runs. */
TEST(of_a_crowd_that_has_its_value_when_the_token_is_fired_each_keeps_it)
{
	struct driven driven = drive_begin(NULL);
	size_t count = test_scaled(10000);
	struct xyl_future *future = xyl_future_new();
	struct xyl_cancel *token = xyl_cancel_new(NULL);
	struct xyl_task **tasks = xyl_alloc(count * sizeof(struct xyl_task *));

	for (size_t i = 0; i < count; i++)
		tasks[i] = DRIVE_SPAWN(&driven, until_future, .future = future, .token = token);
	while (drive(&driven, 1) > 0)
		;
	DRIVE_SPAWN(&driven, set_then_fire, .future = future, .token = token, .value = 4,
		    .by_a_thread = true);
	for (size_t i = 0; i < count; i++) {
		drive_until_done(&driven, tasks[i]);
		CHECK_EQ(xyl_result(tasks[i]), 4);
	}
	CHECK(token_is_idle(token));
	drive_end(&driven);
}

struct until_recv {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct xyl_cancel *token;
	long value;
	ssize_t n;
};

static xyl_step until_recv(void *frame)
{
	struct until_recv *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_until(xyl_recv(self->chan, &self->value), self->token));
	if (self->n == 0) {
		CHECK_EQ(self->value, 3);
		XYL_AWAIT(self->n, xyl_until(xyl_recv(self->chan, &self->value), self->token));
	}
	XYL_END(self->n);
}

TEST(what_a_channel_holds_is_received_though_the_token_is_fired)
{
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), 1);
	struct xyl_cancel *token = xyl_cancel_new(NULL);
	struct xyl_chan_stats stats;
	long three = 3;

	xyl_cancel_fire(token);
	CHECK_EQ(xyl_try_send(chan, &three), 0);
	CHECK_EQ(RUN(until_recv, .chan = chan, .token = token), -ECANCELED);
	xyl_chan_stats(chan, &stats);
	CHECK_EQ(stats.received, 1);
	CHECK_EQ(stats.canceled, 1); /* the second receive, and not by the clock */
	CHECK_EQ(stats.timed_out, 0);
}

/* ---- aborts ---------------------------------------------------------------------------------- */

TEST(an_abort_leaves_nothing_with_the_token)
{
	for (int fired = 0; fired < 3; fired++) {
		struct driven driven = drive_begin(NULL);
		struct xyl_cancel *top = xyl_cancel_new(NULL), *token = xyl_cancel_new(top);
		struct xyl_future *future = xyl_future_new();
		struct xyl_task *task = DRIVE_SPAWN(&driven, until_future, .token = token,
						    .future = future);

		drive(&driven, 1);
		if (fired == 1)
			xyl_cancel_fire(top);
		xyl_abort(task);
		if (fired == 2)
			xyl_cancel_fire(top);
		drive_until_done(&driven, task);
		CHECK_EQ(xyl_result(task), -ECANCELED);
		CHECK(token_is_idle(token) && token_is_idle(top));
		drive_end(&driven);
	}
}

/* ---- for later ------------------------------------------------------------------------------- */

struct until_later {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	struct xyl_future *wait, *call;
	ssize_t n;
};

static xyl_step until_later(void *frame)
{
	struct until_later *self = frame;

	XYL_BEGIN(self)
	self->wait = xyl_later(xyl_until(xyl_sleep(LONG_NS), self->token));
	self->call = xyl_later(xyl_until(xyl_call(sleep_for, .ns = LONG_NS), self->token));
	XYL_AWAIT(self->n, xyl_sleep(1)); /* the bounds went with them */
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(self->wait));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_AWAIT(self->n, xyl_future_get(self->call));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK(token_is_idle(self->token));
	XYL_END(0);
}

static void later_fired(int turns, bool by_a_thread)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_cancel *token = xyl_cancel_new(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, until_later, .token = token);

	drive(&driven, (unsigned)turns);
	DRIVE_SPAWN(&driven, fire, .token = token, .by_a_thread = by_a_thread);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	drive_end(&driven);
}

TEST(what_is_left_for_later_keeps_its_token)
{
	for (int turns = 0; turns < 3; turns++) {
		later_fired(turns, false);
		later_fired(turns, true);
	}
}

struct later_at_once {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	struct xyl_future *later;
	xyl_pending pending;
	ssize_t n;
};

/* Word of it is on its way when the operation changes hands. */
static xyl_step later_at_once(void *frame)
{
	struct later_at_once *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	self->pending = xyl_until(xyl_sleep(LONG_NS), self->token);
	fire_by_a_thread(self->token);
	self->later = xyl_later(self->pending);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	XYL_END(self->n);
}

TEST(a_bound_that_changes_hands_with_word_of_its_token_on_the_way_passes)
{
	CHECK_EQ(RUN(later_at_once), -ECANCELED);
}

/* ---- I/O ------------------------------------------------------------------------------------- */

struct until_read {
	struct xyl_frame frame;
	struct xyl_io *io;
	int peer;
	struct xyl_cancel *token;
	char buf[8];
	struct xyl_stats stats;
	ssize_t n;
};

static xyl_step until_read(void *frame)
{
	struct until_read *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	CHECK(xyl_spawn(fire, .token = self->token) != NULL);
	XYL_AWAIT(self->n, xyl_until(xyl_read(self->io, self->buf, 8), self->token));
	CHECK_EQ(self->n, -ECANCELED);
	xyl_runtime_stats(xyl_runtime_self(), &self->stats);
	CHECK_EQ(self->stats.ops_outstanding, 0); /* the buffer is ours again */
	memcpy(self->buf, "-------", 8);
	CHECK_EQ(write(self->peer, "abc", 3), 3);
	XYL_AWAIT(self->n, xyl_sleep(0));
	CHECK_EQ(memcmp(self->buf, "-------", 8), 0);
	XYL_AWAIT(self->n, xyl_until(xyl_read(self->io, self->buf, 8), self->token));
	CHECK_EQ(self->n, 3); /* though it is fired */
	XYL_AWAIT(self->n, xyl_until(xyl_close(self->io), self->token));
	XYL_END(self->n);
}

TEST(a_read_until_a_token_gives_its_buffer_back_and_loses_no_byte)
{
	size_t fds_before = test_fd_count();
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CHECK_EQ(xyl_run(until_read, .io = xyl_io_from_fd(fds[0]), .peer = fds[1]), 0);
	close(fds[1]);
	CHECK_EQ(test_fd_count(), fds_before);
}
