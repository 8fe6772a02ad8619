/* SPDX-License-Identifier: MIT */
/* select.c - of several things exactly one happens. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "sync/cancel.h"
#include "sync/channel.h"
#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/run.h"
#include "tests/tokens.h"
#include "xylem/xylem.h"

#define LOOKS 300

/* Two channels, and what came of a select over both. */
struct two {
	struct xyl_frame frame;
	struct xyl_chan *a, *b;
	bool first;
	long value;
	ssize_t result, n;
};

static xyl_step two(void *frame)
{
	struct two *self = frame;

	XYL_BEGIN(self)
	self->value = -1;
	self->result = 77;
	if (self->first) {
		XYL_AWAIT(self->n,
			  xyl_select_first(
				  xyl_on_recv(self->a, &self->value, .ret_result = &self->result),
				  xyl_on_recv(self->b, &self->value, .ret_result = &self->result)));
	} else {
		XYL_AWAIT(self->n,
			  xyl_select(
				  xyl_on_recv(self->a, &self->value, .ret_result = &self->result),
				  xyl_on_recv(self->b, &self->value, .ret_result = &self->result)));
	}
	XYL_END(self->n < 0 ? self->n : self->n * 100 + self->value);
}

static struct xyl_chan *chan_with(long value)
{
	struct xyl_chan *chan = xyl_chan_new(sizeof(value), 4);

	CHECK_EQ(xyl_try_send(chan, &value), 0);
	return chan;
}

static bool nobody_waits(const struct xyl_chan *chan)
{
	return !chan->receivers.waits.first && !chan->senders.waits.first;
}

TEST(what_is_there_is_taken_and_the_other_left_alone)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *a = chan_with(5), *b = xyl_chan_new(sizeof(long), 4);
	struct xyl_task *task = DRIVE_SPAWN(&driven, two, .a = a, .b = b);

	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 5);
	CHECK(nobody_waits(a) && nobody_waits(b));
	task = DRIVE_SPAWN(&driven, two, .a = a, .b = chan_with(6));
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 106);
	drive_end(&driven);
}

TEST(who_waits_is_given_one_and_leaves_the_other_line)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *a = xyl_chan_new(sizeof(long), 4), *b = xyl_chan_new(sizeof(long), 4);
	struct xyl_task *task = DRIVE_SPAWN(&driven, two, .a = a, .b = b);
	long seven = 7, eight = 8;

	drive(&driven, 2);
	CHECK(!nobody_waits(a) && !nobody_waits(b));
	CHECK_EQ(xyl_try_send(b, &seven), 0);
	CHECK_EQ(xyl_try_send(a, &eight), 0); /* too late for it */
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 107);
	CHECK_EQ(xyl_chan_len(a), 1);
	CHECK_EQ(xyl_chan_len(b), 0);
	CHECK(nobody_waits(a) && nobody_waits(b));
	drive_end(&driven);
}

TEST(an_abort_takes_it_out_of_all_lines)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *a = xyl_chan_new(sizeof(long), 4), *b = xyl_chan_new(sizeof(long), 0);
	struct xyl_task *task = DRIVE_SPAWN(&driven, two, .a = a, .b = b);
	long value = 7;

	drive(&driven, 2);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK(nobody_waits(a) && nobody_waits(b));
	CHECK_EQ(xyl_try_send(b, &value), -EAGAIN);
	drive_end(&driven);
}

TEST(a_value_given_before_an_abort_is_kept)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *a = xyl_chan_new(sizeof(long), 0);
	struct xyl_task *task = DRIVE_SPAWN(&driven, two, .a = a, .b = NULL);
	long value = 7;

	drive(&driven, 2);
	CHECK_EQ(xyl_try_send(a, &value), 0);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 7);
	drive_end(&driven);
}

TEST(a_closed_channel_has_happened)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *a = xyl_chan_new(sizeof(long), 0), *b = xyl_chan_new(sizeof(long), 0);
	struct xyl_task *task = DRIVE_SPAWN(&driven, two, .a = a, .b = b);

	drive(&driven, 2);
	xyl_chan_close(b);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 99); /* the second; its value is as it was */
	task = DRIVE_SPAWN(&driven, two, .a = a, .b = b);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 99);
	CHECK(nobody_waits(a));
	drive_end(&driven);
}

/* ---- ties ------------------------------------------------------------------------------ */

struct ties {
	struct xyl_frame frame;
	struct xyl_chan *chans[4];
	bool first;
	long value, counts[4];
	int i;
	ssize_t n;
};

static xyl_step ties(void *frame)
{
	struct ties *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < 4; self->i++)
		self->chans[self->i] = xyl_chan_new(sizeof(long), XYL_UNLIMITED);
	for (self->i = 0; self->i < 4 * LOOKS; self->i++)
		CHECK_EQ(xyl_try_send(self->chans[self->i % 4], &self->value), 0);
	for (self->i = 0; self->i < LOOKS; self->i++) {
		XYL_AWAIT(self->n,
			  xyli_select(
				  (struct xyl_case[]){ xyl_on_recv(self->chans[0], &self->value),
						       xyl_on_recv(self->chans[1], &self->value),
						       xyl_on_recv(self->chans[2], &self->value),
						       xyl_on_recv(self->chans[3], &self->value) },
				  4, self->first));
		self->counts[self->n]++;
	}
	for (self->i = 0; self->i < 4; self->i++)
		CHECK_EQ(xyl_chan_len(self->chans[self->i]),
			 (size_t)(LOOKS - self->counts[self->i]));
	if (self->first)
		CHECK_EQ(self->counts[0], LOOKS);
	for (self->i = 0; !self->first && self->i < 4; self->i++)
		CHECK(self->counts[self->i] > LOOKS / 8);
	XYL_END(0);
}

TEST(ties_are_broken_by_chance_or_by_order)
{
	CHECK_EQ(RUN(ties), 0);
	CHECK_EQ(RUN(ties, .first = true), 0);
}

/* ---- each kind of case ------------------------------------------------------------------ */

struct kinds_done {
	struct xyl_frame frame;
	struct xyl_task *task;
	struct xyl_future *future;
	struct xyl_chan *chan;
	int pipe[2];
	long value;
	ssize_t n, result;
};

static xyl_step kinds_done(void *frame)
{
	struct kinds_done *self = frame;

	XYL_BEGIN(self)
	self->task = xyl_spawn(give, .value = 4);
	self->chan = xyl_chan_new(8, 0);
	XYL_AWAIT(self->n, xyl_select(xyl_on_recv(self->chan, NULL),
				      xyl_on_done(self->task, .ret_result = &self->result)));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(self->result, 4);
	self->result = 0;
	XYL_AWAIT(self->n, xyl_select(xyl_on_done(self->task, .ret_result = &self->result)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(self->result, 4);
	self->task = xyl_spawn(sleep_for, .ns = LONG_NS);
	XYL_AWAIT(self->n, xyl_select(xyl_on_done(self->task), xyl_on_timeout(1)));
	CHECK_EQ(self->n, 1);
	CHECK(!self->task->joiners.first);
	xyl_abort(self->task);
	XYL_AWAIT(self->n, xyl_select(xyl_on_done(self->task, .ret_result = &self->result)));
	CHECK_EQ(self->result, -ECANCELED);
	XYL_AWAIT(self->n, xyl_select(xyl_on_done(NULL)));
	CHECK_EQ(self->n, -EINVAL);
	CHECK(nobody_waits(self->chan));
	XYL_END(0);
}

struct kinds_future {
	struct xyl_frame frame;
	struct xyl_task *task;
	struct xyl_future *future;
	struct xyl_chan *chan;
	int pipe[2];
	long value;
	ssize_t n, result;
};

static xyl_step kinds_future(void *frame)
{
	struct kinds_future *self = frame;

	XYL_BEGIN(self)
	self->future = xyl_later(xyl_sleep(1));
	XYL_AWAIT(self->n, xyl_select(xyl_on_future(self->future, .ret_result = &self->result)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(self->result, 0);
	self->future = xyl_future_new();
	XYL_AWAIT(self->n, xyl_select(xyl_on_future(self->future), xyl_on_default()));
	CHECK_EQ(self->n, 1);
	XYL_AWAIT(self->n, xyl_select(xyl_on_timeout(1), xyl_on_future(self->future)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(xyl_future_set(self->future, 12), 0);
	XYL_AWAIT(self->n, xyl_select(xyl_on_timeout(0),
				      xyl_on_future(self->future, .ret_result = &self->result)));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(self->result, 12);
	XYL_END(0);
}

struct kinds_ready {
	struct xyl_frame frame;
	struct xyl_task *task;
	struct xyl_future *future;
	struct xyl_chan *chan;
	int pipe[2];
	long value;
	ssize_t n, result;
};

static xyl_step kinds_ready(void *frame)
{
	struct kinds_ready *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(pipe(self->pipe), 0);
	XYL_AWAIT(self->n, xyl_select(xyl_on_ready(self->pipe[0], POLLIN), xyl_on_timeout(1)));
	CHECK_EQ(self->n, 1);
	XYL_AWAIT(self->n,
		  xyl_select(xyl_on_ready(self->pipe[0], POLLIN),
			     xyl_on_ready(self->pipe[1], POLLOUT, .ret_result = &self->result)));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(self->result, POLLOUT);
	CHECK_EQ(write(self->pipe[1], "x", 1), 1);
	XYL_AWAIT(self->n, xyl_select(xyl_on_ready(self->pipe[0], POLLIN), xyl_on_default()));
	CHECK_EQ(self->n, 0);
	close(self->pipe[0]);
	close(self->pipe[1]);
	XYL_AWAIT(self->n,
		  xyl_select(xyl_on_ready(self->pipe[0], POLLIN, .ret_result = &self->result)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(self->result, -EBADF);
	XYL_END(0);
}

struct kinds_send {
	struct xyl_frame frame;
	struct xyl_task *task;
	struct xyl_future *future;
	struct xyl_chan *chan;
	int pipe[2];
	long value;
	ssize_t n, result;
};

static xyl_step kinds_send(void *frame)
{
	struct kinds_send *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), 1);
	XYL_AWAIT(self->n,
		  xyl_select(xyl_on_recv(self->chan, NULL), xyl_on_send(self->chan, &(long){ 3 })));
	CHECK_EQ(self->n, 1);
	self->future = xyl_later(xyl_select(xyl_on_send(self->chan, &(long){ 4 })));
	XYL_AWAIT(self->n, xyl_recv(self->chan, &self->value));
	CHECK_EQ(self->value, 3);
	XYL_AWAIT(self->n, xyl_recv(self->chan, &self->value));
	CHECK_EQ(self->value, 4);
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_within(xyl_select(xyl_on_recv(self->chan, NULL)), 1));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK(nobody_waits(self->chan));
	XYL_END(0);
}

struct kinds_token {
	struct xyl_frame frame;
	struct xyl_cancel *root, *token;
	struct xyl_chan *chan;
	ssize_t n;
};

static xyl_step kinds_token(void *frame)
{
	struct kinds_token *self = frame;

	XYL_BEGIN(self)
	self->root = xyl_cancel_new(NULL);
	self->token = xyl_cancel_new(self->root);
	self->chan = xyl_chan_new(8, 0);
	XYL_AWAIT(self->n, xyl_select(xyl_on_cancel(self->token), xyl_on_timeout(1)));
	CHECK_EQ(self->n, 1);
	CHECK(!self->token->linked);
	xyl_spawn(fire, .token = self->root);
	XYL_AWAIT(self->n, xyl_select(xyl_on_recv(self->chan, NULL), xyl_on_cancel(self->token)));
	CHECK_EQ(self->n, 1);
	CHECK(nobody_waits(self->chan));
	XYL_AWAIT(self->n, xyl_select(xyl_on_recv(self->chan, NULL), xyl_on_cancel(self->token)));
	CHECK_EQ(self->n, 1);
	XYL_END(0);
}

TEST(a_token)
{
	CHECK_EQ(RUN(kinds_token), 0);
}

TEST(a_task_that_ends)
{
	CHECK_EQ(RUN(kinds_done), 0);
}

TEST(a_future)
{
	CHECK_EQ(RUN(kinds_future), 0);
}

TEST(a_descriptor_that_becomes_ready)
{
	CHECK_EQ(RUN(kinds_ready), 0);
}

TEST(a_send)
{
	CHECK_EQ(RUN(kinds_send), 0);
}

/* ---- threads outside ------------------------------------------------------------------- */

struct echo {
	struct xyl_frame frame;
	struct xyl_chan *in, *out;
	long value;
	ssize_t n;
};

static xyl_step echo(void *frame)
{
	struct echo *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n,
			  xyl_select(xyl_on_recv(self->in, &self->value, .ret_result = &self->n)));
		if (xyl_chan_is_closed(self->in))
			break;
		XYL_AWAIT(self->n, xyl_send(self->out, &self->value));
	}
	XYL_END(0);
}

TEST(a_thread_outside_waits_like_a_task)
{
	struct census before = census_take();
	struct xyl_chan *in = xyl_chan_new(sizeof(long), 0), *out = xyl_chan_new(sizeof(long), 0);
	struct xyl_runtime *rt;
	long value, got = 0;
	ssize_t result;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_recv_wait(out, &got, 0), -ETIMEDOUT);
	CHECK_EQ(xyl_select_wait(-1, xyl_on_recv(out, &got), xyl_on_timeout(1)), 1);
	CHECK_EQ(xyl_select_wait(1, xyl_on_recv(out, &got), xyl_on_timeout(LONG_NS)), -ETIMEDOUT);
	CHECK_EQ(xyl_select_wait(-1, xyl_on_recv(out, &got), xyl_on_default()), 1);
	CHECK(xyl_runtime_spawn(rt, XYL_HERE, echo, .in = in, .out = out) != NULL);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	for (value = 0; value < 200; value++) {
		CHECK_EQ(xyl_send_wait(in, &value, -1), 0);
		if (value % 2)
			CHECK_EQ(xyl_recv_wait(out, &got, -1), 0);
		else
			CHECK_EQ(xyl_select_wait(-1, xyl_on_send(in, &value),
						 xyl_on_recv(out, &got, .ret_result = &result)),
				 1);
		CHECK_EQ(got, value);
	}
	xyl_chan_close(in);
	CHECK_EQ(xyl_send_wait(in, &value, -1), -EPIPE);
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	CHECK(nobody_waits(in) && nobody_waits(out));
	census_check(&before, rt);
}
