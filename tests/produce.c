/* SPDX-License-Identifier: MIT */
/* produce.c - a channel that closes when its producer ends. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* 1, 2, 3 ...: n of them, then a value, or for ever. */
struct numbers {
	struct xyl_frame frame;
	struct xyl_chan *out;
	long n, i;
	ssize_t r;
};

static xyl_step numbers(void *frame)
{
	struct numbers *self = frame;

	XYL_BEGIN(self)
	for (self->i = 1; self->n < 0 || self->i <= self->n; self->i++) {
		XYL_AWAIT(self->r, xyl_send(self->out, &self->i));
		if (self->r < 0)
			XYL_RETURN(self->r);
	}
	XYL_END(77);
}

struct consume {
	struct xyl_frame frame;
	long n, limit, value, sum;
	bool abort_at_once, close_scope;
	struct xyl_chan *chan;
	struct xyl_scope *scope;
	struct xyl_task *producer;
	ssize_t r, result;
};

static xyl_step consume(void *frame)
{
	struct consume *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), 2);
	self->scope = xyl_scope_new(NULL);
	self->producer = xyl_produce(self->scope, self->chan, numbers, .out = self->chan,
				     .n = self->n);
	CHECK(self->producer != NULL);
	if (self->abort_at_once)
		xyl_abort(self->producer);
	for (;;) {
		XYL_AWAIT(self->r, xyl_recv(self->chan, &self->value));
		if (self->r < 0)
			break;
		self->sum += self->value;
		if (self->value == self->limit)
			xyl_abort(self->producer);
	}
	CHECK_EQ(self->r, -EPIPE);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	XYL_AWAIT(self->result, xyl_join(self->producer));
	CHECK_EQ(self->result, self->n < 0 ? -ECANCELED : 77);
	XYL_AWAIT(self->r, xyl_scope_close(self->scope));
	XYL_END(self->sum);
}

TEST(what_was_produced_is_followed_by_the_end)
{
	CHECK_EQ(RUN(consume, .n = 0), 0);
	CHECK_EQ(RUN(consume, .n = 100), 5050);
}

TEST(an_aborted_producer_closes_too)
{
	CHECK(RUN(consume, .n = -1, .limit = 10) >= 55);
	CHECK(RUN(consume, .n = -1, .abort_at_once = true) >= 0);
}

struct leave {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct xyl_scope *scope;
	long value;
	ssize_t r;
};

static xyl_step leave(void *frame)
{
	struct leave *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), 0);
	self->scope = xyl_scope_new(NULL);
	xyl_produce(self->scope, self->chan, numbers, .out = self->chan, .n = -1);
	XYL_AWAIT(self->r, xyl_recv(self->chan, &self->value));
	CHECK_EQ(self->value, 1);
	XYL_AWAIT(self->r, xyl_scope_close(self->scope));
	CHECK(xyl_chan_is_closed(self->chan));
	CHECK(!xyl_produce(self->scope, self->chan, numbers, .out = self->chan));
	XYL_END(0);
}

TEST(a_scope_that_closes_ends_what_is_produced_in_it)
{
	CHECK_EQ(RUN(leave), 0);
}
