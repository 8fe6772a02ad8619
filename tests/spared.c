/* SPDX-License-Identifier: MIT */
/* What an abort spares: a result that has arrived, and what releases. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "spawn/runtime.h"
#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

struct seen {
	ssize_t first, second;
	int begun, cleanups;
};

/* ---- a result that has arrived --------------------------------------------------------------- */

struct get_twice {
	struct xyl_frame frame;
	struct xyl_future *future;
	struct seen *seen;
};

static xyl_step get_twice(void *frame)
{
	struct get_twice *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->seen->first, xyl_future_get(self->future));
	XYL_AWAIT(self->seen->second, xyl_future_get(self->future));
	XYL_END(0);
}

static void set_and_abort(bool abort_first, ssize_t expected)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *future = xyl_future_new();
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task = DRIVE_SPAWN(&driven, get_twice, .future = future, .seen = &seen);

	drive(&driven, 1);
	if (abort_first)
		xyl_abort(task);
	xyl_future_set(future, 9);
	if (!abort_first)
		xyl_abort(task);
	drive(&driven, 1);
	CHECK_EQ(seen.first, expected);
	CHECK_EQ(seen.second, -ECANCELED); /* though the value is there */
	drive_end(&driven);
}

TEST(a_value_that_came_before_the_abort_is_kept_and_the_next_await_is_cancelled)
{
	set_and_abort(false, 9);
	set_and_abort(true, -ECANCELED);
}

struct join_and_tell {
	struct xyl_frame frame;
	struct xyl_task *task;
	struct seen *seen;
};

static xyl_step join_and_tell(void *frame)
{
	struct join_and_tell *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->seen->first, xyl_join(self->task));
	XYL_AWAIT(self->seen->second, xyl_yield());
	XYL_END(0);
}

TEST(a_join_that_was_over_before_the_abort_keeps_its_result)
{
	const struct xyl_config config = { .turn_budget = 1 };
	struct driven driven = drive_begin(&config);
	struct xyl_future *gate = xyl_future_new();
	struct seen ignored = { .cleanups = 0 }, seen = { .cleanups = 0 };
	struct xyl_task *joined = DRIVE_SPAWN(&driven, get_twice, .future = gate, .seen = &ignored);
	struct xyl_task *task = DRIVE_SPAWN(&driven, join_and_tell, .task = joined, .seen = &seen);

	CHECK_EQ(drive(&driven, 2), 2);
	xyl_future_set(gate, 1);
	while (!xyl_is_done(joined))
		drive(&driven, 1);
	CHECK(!xyl_is_done(task));
	xyl_abort(task);
	drive(&driven, 3);
	CHECK_EQ(seen.first, 0);
	CHECK_EQ(seen.second, -ECANCELED);
	drive_end(&driven);
}

struct read_and_tell {
	struct xyl_frame frame;
	struct xyl_io *io;
	struct seen *seen;
	char buf[8];
	ssize_t closed;
};

static xyl_step read_and_tell(void *frame)
{
	struct read_and_tell *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->seen->first, xyl_read(self->io, self->buf, sizeof(self->buf)));
	XYL_AWAIT(self->seen->second, xyl_read(self->io, self->buf, sizeof(self->buf)));
	XYL_AWAIT(self->closed, xyl_close(self->io));
	self->seen->cleanups++;
	XYL_END(self->closed);
}

/* The CQE has been reaped at the end of the turn before the abort. */
TEST(bytes_that_were_read_before_the_abort_are_kept)
{
	struct driven driven = drive_in_order(NULL);
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task;
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	task = DRIVE_SPAWN(&driven, read_and_tell, .io = xyl_io_from_fd(fds[0]), .seen = &seen);
	CHECK_EQ(write(fds[1], "abc", 3), 3);
	drive(&driven, 1);
	CHECK(driven.rt->shard->ready.first != NULL);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(seen.first, 3);
	CHECK_EQ(seen.second, -ECANCELED);
	CHECK_EQ(seen.cleanups, 1);
	close(fds[1]);
	drive_end(&driven);
}

/* ---- what releases runs to its end ----------------------------------------------------------- */

TEST(close_in_an_aborted_task_runs_to_its_end)
{
	struct driven driven = drive_begin(NULL);
	struct seen seen = { .cleanups = 0 };
	struct xyl_task *task;
	struct xyl_io *io;
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	io = xyl_io_from_fd(fds[0]);
	task = DRIVE_SPAWN(&driven, read_and_tell, .io = io, .seen = &seen);
	drive(&driven, 2);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(seen.first, -ECANCELED);
	CHECK_EQ(seen.cleanups, 1);
	CHECK_EQ(xyl_result(task), 0);
	CHECK_EQ(xyl_io_fd(io), -EBADF);
	CHECK_EQ(drive_stats(&driven).handles_open, 0);
	close(fds[1]);
	drive_end(&driven);
	CHECK_EQ(drive_stats(&driven).handles_closed_by_stop, 0);
}

struct slow_to_end {
	struct xyl_frame frame;
	struct xyl_future *gate;
	int *ended;
	ssize_t n;
};

/* It takes its time to clean up. */
static xyl_step slow_to_end(void *frame)
{
	struct slow_to_end *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_future_get(self->gate));
	xyl_shield_end();
	++*self->ended;
	XYL_END(0);
}

struct close_scope {
	struct xyl_frame frame;
	struct xyl_future *gate;
	int *ended;
	bool at_once;
	struct xyl_scope *scope;
	ssize_t n, closed;
};

static xyl_step close_scope(void *frame)
{
	struct close_scope *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	xyl_scope_spawn(self->scope, slow_to_end, .gate = self->gate, .ended = self->ended);
	xyl_scope_spawn(self->scope, slow_to_end, .gate = self->gate, .ended = self->ended);
	if (self->at_once)
		XYL_AWAIT(self->n, xyl_yield());
	else
		XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	CHECK_EQ(self->n, self->at_once ? 0 : -ECANCELED);
	XYL_AWAIT(self->closed, xyl_scope_close(self->scope));
	CHECK_EQ(*self->ended, 2);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	XYL_END(self->closed);
}

/* The abort comes before the close, or while it waits. */
static void abort_closer(bool at_once)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *gate = xyl_future_new();
	int ended = 0;
	struct xyl_task *task = DRIVE_SPAWN(&driven, close_scope, .gate = gate, .ended = &ended,
					    .at_once = at_once);

	drive(&driven, 2);
	xyl_abort(task);
	drive(&driven, 5);
	CHECK(!xyl_is_done(task));
	xyl_abort(task);
	drive(&driven, 5);
	CHECK(!xyl_is_done(task));
	CHECK_EQ(ended, 0);
	xyl_future_set(gate, 0);
	drive(&driven, 3);
	CHECK_EQ(ended, 2);
	CHECK_EQ(xyl_result(task), 0);
	drive_end(&driven);
}

TEST(scope_close_in_an_aborted_task_runs_to_its_end)
{
	abort_closer(false);
	abort_closer(true);
}
