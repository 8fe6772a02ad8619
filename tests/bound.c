/* SPDX-License-Identifier: MIT */
/* xyl_within: a bound by the clock. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/clock.h"
#include "spawn/runtime.h"
#include "tests/bounds.h"
#include "tests/child.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* ---- over one operation ------------------------------------------------------------------ */

struct bound_sleep {
	struct xyl_frame frame;
	int64_t sleep_ns, bound_ns, before;
	bool in_a_crowd;
	ssize_t n, again;
};

static xyl_step bound_sleep(void *frame)
{
	struct bound_sleep *self = frame;

	XYL_BEGIN(self)
	self->before = xyli_clock();
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(self->sleep_ns), self->bound_ns));
	CHECK(self->n == 0 || self->bound_ns <= 0 || xyli_clock() >= self->before + self->bound_ns);
	CHECK(self->in_a_crowd || timers_running() == 0);
	CHECK(!xyl_is_aborted(xyl_self()));
	XYL_AWAIT(self->again, xyl_sleep(1));
	CHECK_EQ(self->again, 0);
	XYL_END(self->n);
}

TEST(a_bound_that_passes_first_gives_etimedout)
{
	CHECK_EQ(RUN(bound_sleep, .sleep_ns = LONG_NS, .bound_ns = SHORT_NS), -ETIMEDOUT);
}

TEST(a_result_that_comes_first_is_kept_and_the_bound_leaves_no_timer)
{
	CHECK_EQ(RUN(bound_sleep, .sleep_ns = SHORT_NS, .bound_ns = LONG_NS), 0);
	CHECK_EQ(RUN(bound_sleep, .sleep_ns = SHORT_NS, .bound_ns = INT64_MAX), 0);
}

TEST(a_bound_of_nothing_or_less_takes_what_is_ready)
{
	CHECK_EQ(RUN(bound_sleep, .sleep_ns = LONG_NS, .bound_ns = 0), -ETIMEDOUT);
	CHECK_EQ(RUN(bound_sleep, .sleep_ns = LONG_NS, .bound_ns = -5), -ETIMEDOUT);
	CHECK_EQ(RUN(bound_sleep, .sleep_ns = LONG_NS, .bound_ns = INT64_MIN), -ETIMEDOUT);
	CHECK_EQ(RUN(bound_sleep, .sleep_ns = 0, .bound_ns = 0), 0);
	CHECK_EQ(RUN(bound_sleep, .sleep_ns = -1, .bound_ns = -1), 0);
}

TEST(the_earlier_of_sleep_and_bound_decides)
{
	struct driven driven = drive_begin(NULL);
	size_t count = test_scaled(400);
	struct xyl_task **tasks = xyl_alloc(count * sizeof(struct xyl_task *));

	for (size_t i = 0; i < count; i++) {
		int64_t short_ns = (int64_t)(test_random() % 3000000);
		int64_t long_ns = short_ns + (i % 2 ? 10 * XYL_SEC : 0);

		tasks[i] = DRIVE_SPAWN(&driven, bound_sleep, .sleep_ns = i % 2 ? long_ns : short_ns,
				       .bound_ns = i % 2 ? short_ns : long_ns, .in_a_crowd = true);
	}
	do
		drive(&driven, 1);
	while (driven.rt->shard->timers.count > 0 || drive_stats(&driven).live > 0);
	for (size_t i = 0; i < count; i++)
		CHECK_EQ(xyl_result(tasks[i]), i % 2 ? -ETIMEDOUT : 0);
	drive_end(&driven);
}

struct bound_done {
	struct xyl_frame frame;
	struct xyl_task *task;
	int i;
	ssize_t n;
};

static xyl_step bound_done(void *frame)
{
	struct bound_done *self = frame;

	XYL_BEGIN(self)
	self->task = xyl_spawn(give, .value = 4);
	XYL_AWAIT(self->n, xyl_within(xyl_yield(), 0));
	CHECK_EQ(self->n, 0);
	for (self->i = 0; self->i < 200; self->i++) { /* some are suspended all the same */
		XYL_AWAIT(self->n, xyl_within(xyl_join(self->task), 0));
		CHECK_EQ(self->n, 4);
	}
	CHECK_EQ(timers_running(), 0);
	XYL_END(0);
}

TEST(what_need_not_wait_is_not_bounded)
{
	CHECK_EQ(RUN(bound_done), 0);
}

/* ---- nested on one operation ---------------------------------------------------------------- */

struct bound_twice {
	struct xyl_frame frame;
	int64_t sleep_ns, inner_ns, outer_ns;
	ssize_t n, again;
};

static xyl_step bound_twice(void *frame)
{
	struct bound_twice *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_within(xyl_sleep(self->sleep_ns), self->inner_ns),
				      self->outer_ns));
	CHECK_EQ(timers_running(), 0);
	XYL_AWAIT(self->again, xyl_sleep(0));
	CHECK_EQ(self->again, 0);
	XYL_END(self->n);
}

TEST(of_two_bounds_on_one_await_the_first_to_pass_ends_it)
{
	CHECK_EQ(RUN(bound_twice, .sleep_ns = LONG_NS, .inner_ns = SHORT_NS, .outer_ns = LONG_NS),
		 -ETIMEDOUT);
	CHECK_EQ(RUN(bound_twice, .sleep_ns = LONG_NS, .inner_ns = LONG_NS, .outer_ns = SHORT_NS),
		 -ETIMEDOUT);
	CHECK_EQ(RUN(bound_twice, .sleep_ns = LONG_NS, .inner_ns = 0, .outer_ns = 0), -ETIMEDOUT);
	CHECK_EQ(RUN(bound_twice, .sleep_ns = 0, .inner_ns = LONG_NS, .outer_ns = LONG_NS), 0);
}

/* ---- over a call ----------------------------------------------------------------------------- */

/* Whatever becomes of its awaits, it succeeds. */
struct bound_call {
	struct xyl_frame frame;
	int64_t ns;
	struct seen *seen;
	ssize_t n, again;
};

static xyl_step bound_call(void *frame)
{
	struct bound_call *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_call(stubborn, .seen = self->seen), self->ns));
	CHECK_EQ(timers_running(), 0);
	XYL_AWAIT(self->again, xyl_sleep(1));
	CHECK_EQ(self->again, 0);
	XYL_END(self->n);
}

static void bound_stubborn(int64_t ns)
{
	struct seen seen = { .runs = 0 };

	CHECK_EQ(RUN(bound_call, .ns = ns, .seen = &seen), -ETIMEDOUT);
	CHECK_EQ(seen.first, -ECANCELED);
	CHECK_EQ(seen.second, -ECANCELED);
	CHECK_EQ(seen.third, -ECANCELED);
	CHECK_EQ(seen.runs, 1);
}

TEST(past_its_bound_each_await_of_a_callee_is_cancelled_until_it_returns)
{
	bound_stubborn(SHORT_NS);
	bound_stubborn(0);
	bound_stubborn(-1);
}

/* The bound passes while it computes, or in a shield: no await is cut. */
struct unseeing {
	struct xyl_frame frame;
	bool shielded;
	ssize_t n;
};

static xyl_step unseeing(void *frame)
{
	struct unseeing *self = frame;

	XYL_BEGIN(self)
	if (self->shielded) {
		xyl_shield_begin();
		XYL_AWAIT(self->n, xyl_sleep(3 * SHORT_NS));
		CHECK_EQ(self->n, 0);
		xyl_shield_end();
	} else {
		pass_time(3 * SHORT_NS);
	}
	XYL_END(6);
}

struct bound_unseeing {
	struct xyl_frame frame;
	bool shielded;
	ssize_t n, again;
};

static xyl_step bound_unseeing(void *frame)
{
	struct bound_unseeing *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_call(unseeing, .shielded = self->shielded), SHORT_NS));
	CHECK_EQ(timers_running(), 0);
	XYL_AWAIT(self->again, xyl_sleep(1));
	CHECK_EQ(self->again, 0);
	XYL_END(self->n);
}

TEST(a_callee_that_returns_without_having_seen_its_bound_keeps_its_result)
{
	CHECK_EQ(RUN(bound_unseeing, .shielded = false), 6);
	CHECK_EQ(RUN(bound_unseeing, .shielded = true), 6);
}

struct bound_give {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step bound_give(void *frame)
{
	struct bound_give *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_call(give, .value = 3), 0));
	CHECK_EQ(self->n, 3);
	XYL_AWAIT(self->n, xyl_within(xyl_call(give, .value = -EIO), XYL_SEC));
	CHECK_EQ(self->n, -EIO);
	XYL_AWAIT(self->n, xyl_within(xyl_call(give, .value = -ECANCELED), XYL_SEC));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK_EQ(timers_running(), 0);
	XYL_END(0);
}

TEST(a_callee_that_does_not_wait_is_not_cut_and_its_errors_are_its_own)
{
	CHECK_EQ(RUN(bound_give), 0);
}

/* ---- a result that came first ---------------------------------------------------------------- */

struct wait_for {
	struct xyl_frame frame;
	struct xyl_task *task;
	struct xyl_future *future;
	ssize_t n;
};

static xyl_step wait_for(void *frame)
{
	struct wait_for *self = frame;

	XYL_BEGIN(self)
	if (self->task)
		XYL_AWAIT(self->n, xyl_within(xyl_join(self->task), SHORT_NS));
	else
		XYL_AWAIT(self->n, xyl_within(xyl_future_get(self->future), SHORT_NS));
	XYL_END(self->n);
}

struct hold_turn {
	struct xyl_frame frame;
	int turns;
	ssize_t n;
};

static xyl_step hold_turn(void *frame)
{
	struct hold_turn *self = frame;

	XYL_BEGIN(self)
	while (self->turns-- > 0)
		XYL_AWAIT(self->n, xyl_yield());
	XYL_END(0);
}

/* The value wakes the task; before it runs, its bound passes. */
static void value_then_bound(ssize_t value)
{
	const struct xyl_config config = { .turn_budget = 1 };
	struct driven driven = drive_in_order(&config);
	struct xyl_future *future = xyl_future_new();
	struct xyl_task *task = DRIVE_SPAWN(&driven, wait_for, .future = future);

	drive(&driven, 1);
	DRIVE_SPAWN(&driven, hold_turn, .turns = 1);
	drive(&driven, 1); /* it yields: it is on the run queue before the task */
	xyl_future_set(future, value);
	drive(&driven, 1);
	CHECK(!xyl_is_done(task));
	CHECK(driven.rt->shard->ready.first != NULL);
	pass_time(2 * SHORT_NS);
	drive(&driven, 1);
	CHECK_EQ(xyl_result(task), value);
	drive_end(&driven);
}

TEST(a_value_that_came_before_the_bound_passed_is_kept)
{
	value_then_bound(4);
	value_then_bound(-EIO);
}

TEST(a_value_of_ecanceled_that_came_before_the_bound_passed_is_kept_too)
{
	value_then_bound(-ECANCELED);
}

/* The bound has cut it; before it runs, the abort comes: that is the stronger word. */
TEST(an_abort_between_the_bound_and_its_result_wins)
{
	const struct xyl_config config = { .turn_budget = 1 };
	struct driven driven = drive_in_order(&config);
	struct xyl_task *task = DRIVE_SPAWN(&driven, wait_for, .future = xyl_future_new());

	drive(&driven, 1);
	DRIVE_SPAWN(&driven, hold_turn, .turns = 1);
	drive(&driven, 1); /* it yields: it is on the run queue before the task */
	pass_time(2 * SHORT_NS);
	drive(&driven, 1);
	CHECK(!xyl_is_done(task));
	CHECK_EQ(driven.rt->shard->timers.count, 0);
	xyl_abort(task);
	drive(&driven, 1);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	drive_end(&driven);
}

/* ---- what it was waiting for goes on --------------------------------------------------------- */

struct sleep_and_give {
	struct xyl_frame frame;
	struct xyl_future *gate;
	ssize_t n;
};

static xyl_step sleep_and_give(void *frame)
{
	struct sleep_and_give *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_future_get(self->gate));
	XYL_END(self->n);
}

struct bound_join {
	struct xyl_frame frame;
	struct xyl_task *task;
	struct xyl_future *gate;
	ssize_t n;
};

static xyl_step bound_join(void *frame)
{
	struct bound_join *self = frame;

	XYL_BEGIN(self)
	self->gate = xyl_future_new();
	self->task = xyl_spawn(sleep_and_give, .gate = self->gate);
	XYL_AWAIT(self->n, xyl_within(xyl_join(self->task), SHORT_NS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK(!xyl_is_done(self->task) && !xyl_is_aborted(self->task));
	XYL_AWAIT(self->n, xyl_within(xyl_future_get(self->gate), SHORT_NS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	xyl_future_set(self->gate, 8);
	XYL_AWAIT(self->n, xyl_sleep(0)); /* the ends of both do not wake it again */
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_join(self->task));
	XYL_END(self->n);
}

TEST(what_a_bounded_await_waited_for_goes_on)
{
	CHECK_EQ(RUN(bound_join), 8);
}

/* ---- I/O ------------------------------------------------------------------------------------- */

struct bound_read {
	struct xyl_frame frame;
	struct xyl_io *io;
	int peer;
	char buf[8];
	struct xyl_stats stats;
	ssize_t n;
};

static xyl_step bound_read(void *frame)
{
	struct bound_read *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_read(self->io, self->buf, 8), SHORT_NS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	xyl_runtime_stats(xyl_runtime_self(), &self->stats);
	CHECK_EQ(self->stats.ops_outstanding, 0); /* the buffer is ours again */
	memcpy(self->buf, "-------", 8);
	CHECK_EQ(write(self->peer, "abc", 3), 3);
	XYL_AWAIT(self->n, xyl_sleep(0));
	CHECK_EQ(memcmp(self->buf, "-------", 8), 0);
	XYL_AWAIT(self->n, xyl_within(xyl_read(self->io, self->buf, 8), 0));
	CHECK_EQ(self->n, 3);
	XYL_AWAIT(self->n, xyl_within(xyl_read(self->io, self->buf, 8), 0));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->n);
}

TEST(a_bounded_read_gives_its_buffer_back_and_loses_no_byte)
{
	size_t fds_before = test_fd_count();
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	{
		struct xyl_io *io = xyl_io_from_fd(dup(fds[0]));

		close(fds[0]);
		CHECK_EQ(xyl_run(bound_read, .io = io, .peer = fds[1]), 0);
	}
	close(fds[1]);
	CHECK_EQ(test_fd_count(), fds_before);
	CHECK_EQ(xyl_root_count(), 0);
}

struct read_once {
	struct xyl_frame frame;
	struct xyl_io *io;
	char buf[8];
	ssize_t n;
};

static xyl_step read_once(void *frame)
{
	struct read_once *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read(self->io, self->buf, 8));
	XYL_END(self->n);
}

struct bound_close {
	struct xyl_frame frame;
	struct xyl_io *io;
	struct xyl_task *reader;
	ssize_t n;
};

static xyl_step bound_close(void *frame)
{
	struct bound_close *self = frame;

	XYL_BEGIN(self)
	self->reader = xyl_spawn(read_once, .io = self->io);
	XYL_AWAIT(self->n, xyl_sleep(0));
	XYL_AWAIT(self->n, xyl_within(xyl_close(self->io), 0));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(xyl_io_fd(self->io), -EBADF);
	CHECK_EQ(timers_running(), 0);
	XYL_AWAIT(self->n, xyl_join(self->reader));
	XYL_END(self->n);
}

TEST(close_is_not_bounded)
{
	size_t fds_before = test_fd_count();
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CHECK_EQ(xyl_run(bound_close, .io = xyl_io_from_fd(fds[0])), -ECANCELED);
	close(fds[1]);
	CHECK_EQ(test_fd_count(), fds_before);
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static void bound_outside(void *unused)
{
	xyl_pending pending = xyl_within((xyl_pending){ 0 }, XYL_SEC);

	(void)unused;
	(void)pending;
}

TEST(a_bound_outside_a_task_is_named)
{
	child_aborts(bound_outside, NULL, "xyl_within: called outside a task");
}
