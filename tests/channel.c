/* SPDX-License-Identifier: MIT */
/* channel.c - one task sends, another receives. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* Send 1, 2, ... n. */
struct count_up {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long n, i;
	ssize_t r;
};

static xyl_step count_up(void *frame)
{
	struct count_up *self = frame;

	XYL_BEGIN(self)
	for (self->i = 1; self->i <= self->n; self->i++) {
		XYL_AWAIT(self->r, xyl_send(self->chan, &self->i));
		if (self->r < 0)
			XYL_RETURN(self->r);
	}
	XYL_END(0);
}

/* Their sum, until it is closed. */
struct sum_up {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long value, sum;
	ssize_t r;
};

static xyl_step sum_up(void *frame)
{
	struct sum_up *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, xyl_recv(self->chan, &self->value));
		if (self->r < 0)
			break;
		self->sum += self->value;
	}
	CHECK_EQ(self->r, -EPIPE);
	XYL_END(self->sum);
}

struct one_to_one {
	struct xyl_frame frame;
	ptrdiff_t capacity;
	long n;
	struct xyl_chan *chan;
	struct xyl_task *sender, *receiver;
	ssize_t r;
};

static xyl_step one_to_one(void *frame)
{
	struct one_to_one *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), self->capacity);
	self->sender = xyl_spawn(count_up, .chan = self->chan, .n = self->n);
	self->receiver = xyl_spawn(sum_up, .chan = self->chan);
	XYL_AWAIT(self->r, xyl_join(self->sender));
	CHECK_EQ(self->r, 0);
	xyl_chan_close(self->chan);
	XYL_AWAIT(self->r, xyl_join(self->receiver));
	XYL_END(self->r);
}

TEST(what_is_sent_is_received_whatever_the_capacity)
{
	CHECK_EQ(RUN(one_to_one, .capacity = 0, .n = 1000), 500500);
	CHECK_EQ(RUN(one_to_one, .capacity = 1, .n = 1000), 500500);
	CHECK_EQ(RUN(one_to_one, .capacity = 7, .n = 1000), 500500);
	CHECK_EQ(RUN(one_to_one, .capacity = 5000, .n = 1000), 500500);
	CHECK_EQ(RUN(one_to_one, .capacity = XYL_UNLIMITED, .n = 1000), 500500);
}

TEST(a_receiver_who_waits_is_aborted)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), 4);
	struct xyl_task *receiver = DRIVE_SPAWN(&driven, sum_up, .chan = chan);
	long value = 5;

	xyl_chan_close(xyl_chan_new(0, 0));
	drive(&driven, 2);
	CHECK_EQ(xyl_try_send(chan, &value), 0);
	value = 6;
	CHECK_EQ(xyl_try_send(chan, &value), 0);
	xyl_chan_close(chan);
	drive_until_done(&driven, receiver);
	CHECK_EQ(xyl_result(receiver), 11);
	drive_end(&driven);
}

/* ---- threads outside ------------------------------------------------------------------- */

struct outsider {
	struct xyl_chan *chan;
	long n;
};

static void *outside(void *arg)
{
	struct outsider *outsider = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (long i = 1; i <= outsider->n; i++)
		while (xyl_try_send(outsider->chan, &i) == -EAGAIN)
			sched_yield();
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

struct hear_outside {
	struct xyl_frame frame;
	long n;
	struct xyl_chan *chan;
	struct outsider *outsider;
	pthread_t thread;
	long i, value, sum;
	ssize_t r;
};

static xyl_step hear_outside(void *frame)
{
	struct hear_outside *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), 4);
	self->outsider = xyl_new(struct outsider);
	self->outsider->chan = self->chan;
	self->outsider->n = self->n;
	CHECK_EQ(xyl_try_recv(self->chan, &self->value), -EAGAIN); /* it is this shard's now */
	CHECK_EQ(pthread_create(&self->thread, NULL, outside, self->outsider), 0);
	for (self->i = 0; self->i < self->n; self->i++) {
		XYL_AWAIT(self->r, xyl_recv(self->chan, &self->value));
		CHECK_EQ(self->r, 0);
		self->sum += self->value;
	}
	CHECK_EQ(pthread_join(self->thread, NULL), 0);
	XYL_END(self->sum);
}

TEST(a_thread_outside_sends_to_a_task_that_waits)
{
	CHECK_EQ(RUN(hear_outside, .n = 10000), 50005000);
}
