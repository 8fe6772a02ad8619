/* SPDX-License-Identifier: MIT */
/* xyl_later: an operation that is handed to a task of its own. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "spawn/runtime.h"
#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

struct give_later {
	struct xyl_frame frame;
	ssize_t value;
	int64_t ns;
	int *marked;
	ssize_t n;
};

static xyl_step give_later(void *frame)
{
	struct give_later *self = frame;

	XYL_BEGIN(self)
	if (self->marked)
		++*self->marked;
	if (self->ns)
		XYL_AWAIT(self->n, xyl_sleep(self->ns));
	XYL_END(self->n < 0 ? self->n : self->value);
}

#define LATER_FRAME(name)                                \
	struct name {                                    \
		struct xyl_frame frame;                  \
		struct xyl_future *later, *other, *gate; \
		struct xyl_task *task;                   \
		struct xyl_scope *scope;                 \
		struct xyl_io *io;                       \
		struct xyl_stats stats;                  \
		char *buf;                               \
		int *marked;                             \
		struct xyl_cancel *token;                \
		xyl_pending pending;                     \
		int i, peer;                             \
		ssize_t n;                               \
	};                                               \
	static xyl_step name(void *frame)

LATER_FRAME(later_call)
{
	struct later_call *self = frame;

	XYL_BEGIN(self)
	self->later = xyl_later(xyl_call(give_later, .value = 5, .marked = self->marked));
	CHECK(self->later != NULL);
	CHECK_EQ(*self->marked, 0); /* it has not begun */
	self->other =
		xyl_later(xyl_call(give_later, .value = 6, .ns = XYL_MS, .marked = self->marked));
	XYL_AWAIT(self->n, xyl_yield());
	CHECK_EQ(*self->marked, 2);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 5);
	XYL_AWAIT(self->n, xyl_call(give_later, .value = 7));
	CHECK_EQ(self->n, 7);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	XYL_END(self->n);
}

TEST(a_call_for_later_runs_beside_its_caller)
{
	int marked = 0;

	CHECK_EQ(RUN(later_call, .marked = &marked), 6);
}

LATER_FRAME(later_sleep)
{
	struct later_sleep *self = frame;

	XYL_BEGIN(self)
	self->later = xyl_later(xyl_sleep(2 * XYL_MS));
	self->other = xyl_later(xyl_sleep(LONG_NS));
	XYL_AWAIT(self->n, xyl_sleep(0));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_within(xyl_future_get(self->other), 5 * XYL_MS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	XYL_END(self->n);
}

/* The other one ends with the runtime. */
TEST(a_sleep_for_later_goes_on_without_its_caller)
{
	CHECK_EQ(RUN(later_sleep), 0);
}

LATER_FRAME(later_waits)
{
	struct later_waits *self = frame;

	XYL_BEGIN(self)
	self->gate = xyl_future_new();
	self->scope = xyl_scope_new(NULL);
	self->task = xyl_scope_spawn(self->scope, give_later, .value = 3, .ns = XYL_MS);
	self->later = xyl_later(xyl_join(self->task));
	self->other = xyl_later(xyl_join(self->task));
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(self->n, 3);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 3);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, 3);

	self->later = xyl_later(xyl_future_get(self->gate));
	self->other = xyl_later(xyl_future_get(self->gate));
	xyl_future_set(self->gate, 4);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 4);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, 4);

	self->task = xyl_scope_spawn(self->scope, give_later, .ns = LONG_NS);
	self->later = xyl_later(xyl_scope_join(self->scope));
	self->other = xyl_later(xyl_scope_close(self->scope));
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_END(0);
}

TEST(joins_futures_and_scopes_can_be_waited_for_later)
{
	CHECK_EQ(RUN(later_waits), 0);
}

LATER_FRAME(later_bounds)
{
	struct later_bounds *self = frame;

	XYL_BEGIN(self)
	self->later = xyl_later(xyl_within(xyl_sleep(LONG_NS), XYL_MS));
	self->other =
		xyl_later(xyl_within(xyl_call(give_later, .value = 2, .ns = LONG_NS), XYL_MS));
	XYL_AWAIT(self->n, xyl_sleep(4 * XYL_MS)); /* the bounds went with them */
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, -ETIMEDOUT);

	self->later = xyl_later(xyl_within(xyl_within(xyl_sleep(1), LONG_NS), LONG_NS));
	self->other = xyl_later(xyl_within(xyl_call(give_later, .value = 2, .ns = 1), LONG_NS));
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, 2);
	CHECK_EQ(xyl_runtime_self()->shard->timers.count, 0);
	XYL_END(0);
}

TEST(a_bounded_operation_for_later_keeps_its_bound)
{
	CHECK_EQ(RUN(later_bounds), 0);
}

LATER_FRAME(later_in_bound)
{
	struct later_in_bound *self = frame;

	XYL_BEGIN(self)
	self->later = xyl_later(xyl_call(give_later, .value = 2, .ns = 4 * XYL_MS));
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	CHECK_EQ(self->n, -ECANCELED);
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	xyl_shield_end();
	CHECK_EQ(self->n, 2);
	XYL_END(8);
}

LATER_FRAME(bound_later)
{
	struct bound_later *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_call(later_in_bound), XYL_MS));
	XYL_END(self->n);
}

TEST(a_bound_around_the_caller_does_not_reach_what_it_left_for_later)
{
	CHECK_EQ(RUN(bound_later), -ETIMEDOUT);
}

TEST(an_abort_of_the_caller_does_not_reach_what_it_left_for_later)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, later_in_bound);

	drive(&driven, 1);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 8);
	drive_end(&driven);
}

/* Each result is known at once; now and then the task is to be suspended all the same. */
LATER_FRAME(later_done)
{
	struct later_done *self = frame;

	XYL_BEGIN(self)
	self->task = xyl_spawn(give_later, .value = 3);
	XYL_AWAIT(self->n, xyl_join(self->task));
	for (self->i = 0; self->i < 300; self->i++) {
		self->later = xyl_later(xyl_join(self->task));
		self->other = xyl_later(xyl_within(xyl_join(self->task), 0));
		if (self->i % 3 == 0) {
			XYL_AWAIT(self->n, xyl_future_get(self->later));
			CHECK_EQ(self->n, 3);
		}
		XYL_AWAIT(self->n, xyl_future_get(self->other));
		CHECK_EQ(self->n, 3);
	}
	self->later = xyl_later(xyl_yield());
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 0);
	xyl_runtime_stats(xyl_runtime_self(), &self->stats);
	CHECK_EQ(self->stats.spawned, 2); /* none of this needed a task */
	XYL_END(0);
}

TEST(what_is_known_at_once_is_not_handed_to_a_task)
{
	CHECK_EQ(RUN(later_done), 0);
}

LATER_FRAME(later_aborted)
{
	struct later_aborted *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	self->later = xyl_later(xyl_sleep(LONG_NS));
	CHECK(self->later != NULL);
	CHECK_EQ(xyl_future_set(self->later, 1), -EALREADY);
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	xyl_shield_end();
	XYL_END(self->n);
}

TEST(in_an_aborted_task_later_gives_ecanceled)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, later_aborted);

	drive(&driven, 1);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	drive_end(&driven);
}

LATER_FRAME(later_read)
{
	struct later_read *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(16);
	self->later = xyl_later(xyl_read(self->io, self->buf, 16));
	XYL_AWAIT(self->n, xyl_within(xyl_future_get(self->later), XYL_MS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK_EQ(write(self->peer, "hello", 5), 5);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 5);
	CHECK_EQ(memcmp(self->buf, "hello", 5), 0);

	self->later = xyl_later(xyl_read(self->io, self->buf, 16));
	self->other = xyl_later(xyl_close(self->io));
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	XYL_END(self->n);
}

TEST(a_read_and_a_close_for_later)
{
	size_t fds_before = test_fd_count();
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CHECK_EQ(xyl_run(later_read, .io = xyl_io_from_fd(fds[0]), .peer = fds[1]), 0);
	close(fds[1]);
	CHECK_EQ(test_fd_count(), fds_before);
}

LATER_FRAME(later_forgotten)
{
	struct later_forgotten *self = frame;

	XYL_BEGIN(self)
	CHECK(xyl_later(xyl_call(give_later, .value = 1, .ns = XYL_MS, .marked = self->marked)) !=
	      NULL);
	CHECK(xyl_later(xyl_call(give_later, .value = 1, .ns = LONG_NS, .marked = self->marked)) !=
	      NULL);
	for (self->i = 0; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
		xyl_collect();
	}
	xyl_runtime_stats(xyl_runtime_self(), &self->stats);
	XYL_END((ssize_t)self->stats.live);
}

/* Its future may be forgotten: it runs on, and ends with the runtime at the latest. */
TEST(what_is_left_for_later_runs_on_though_nobody_holds_its_future)
{
	int marked = 0;

	CHECK_EQ(RUN(later_forgotten, .marked = &marked), 2);
	CHECK_EQ(marked, 2);
}

/* A caller that ends first takes nothing away from what it left. */
struct leave {
	struct xyl_frame frame;
	struct xyl_future **ret_later;
};

static xyl_step leave(void *frame)
{
	struct leave *self = frame;

	XYL_BEGIN(self)
	self->ret_later[0] = xyl_later(xyl_sleep(XYL_MS));
	self->ret_later[1] = xyl_later(xyl_call(give_later, .value = 9, .ns = XYL_MS));
	XYL_END(0);
}

LATER_FRAME(left)
{
	struct left *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc(2 * sizeof(struct xyl_future *));
	XYL_AWAIT(self->n, xyl_join(xyl_spawn(leave, .ret_later = (void *)self->buf)));
	xyl_collect();
	XYL_AWAIT(self->n, xyl_future_get(((struct xyl_future **)(void *)self->buf)[0]));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(((struct xyl_future **)(void *)self->buf)[1]));
	XYL_END(self->n);
}

TEST(what_is_left_for_later_outlives_the_task_that_left_it)
{
	CHECK_EQ(RUN(left), 9);
}

LATER_FRAME(later_in_stop)
{
	struct later_in_stop *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	xyl_shield_begin();
	self->later = xyl_later(xyl_sleep(LONG_NS));
	self->other = xyl_later(xyl_call(give_later, .value = 1, .ns = LONG_NS));
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	*self->marked = self->n == -ECANCELED;
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	*self->marked += self->n == -ECANCELED;
	xyl_shield_end();
	XYL_END(0);
}

TEST(what_is_left_for_later_in_a_runtime_that_stops_is_aborted)
{
	struct driven driven = drive_begin(NULL);
	int marked = 0;

	DRIVE_SPAWN(&driven, later_in_stop, .marked = &marked);
	drive(&driven, 1);
	drive_end(&driven);
	CHECK_EQ(marked, 2);
}

/* ---- what is over before it is handed on ---------------------------------------------------- */

LATER_FRAME(later_fired)
{
	struct later_fired *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	self->pending = xyl_until(xyl_call(give_later, .ns = LONG_NS), self->token);
	xyl_cancel_fire(self->token);
	self->later = xyl_later(self->pending);
	XYL_AWAIT(self->n, xyl_within(xyl_future_get(self->later), 100 * XYL_MS));
	XYL_END(self->n);
}

TEST(a_token_fired_before_its_call_is_left_for_later_ends_it)
{
	CHECK_EQ(RUN(later_fired), -ECANCELED);
}

/* What it awaits is here before it is handed on, and it awaits nothing else. */
LATER_FRAME(later_over_and_out)
{
	struct later_over_and_out *self = frame;

	XYL_BEGIN(self)
	self->gate = xyl_future_new();
	self->pending = xyl_within(xyl_future_get(self->gate), LONG_NS);
	xyl_future_set(self->gate, 4);
	self->later = xyl_later(self->pending);
	XYL_END(0);
}

TEST(no_bound_of_what_was_over_outlives_its_task)
{
	CHECK_EQ(RUN(later_over_and_out), 0);
}
