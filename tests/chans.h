/* SPDX-License-Identifier: MIT */
/*
 * chans.h - tasks that do one thing with a channel of longs, and looks at who waits for it.
 *
 *	task = DRIVE_SPAWN(&driven, take, .chan = chan);
 *	chan_await(&driven, chan, 1);		it waits
 *	CHECK_EQ(xyl_try_send(chan, &value), 0);
 *	CHECK_EQ(hand_join(&driven, task), value);
 */
#ifndef TEST_CHANS_H
#define TEST_CHANS_H

#include <errno.h>

#include "sync/channel.h"
#include "tests/hand.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

/* Send one: 0, or why not. */
struct put {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long value;
	int64_t bound; /* 0: none */
	ssize_t n;
};

__attribute__((unused)) static xyl_step put(void *frame)
{
	struct put *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(xyl_send(self->chan, &self->value), self->bound));
	XYL_END(self->n);
}

/* Receive one: its value, or why not. */
struct take {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	int64_t bound;
	long value;
	ssize_t n;
};

__attribute__((unused)) static xyl_step take(void *frame)
{
	struct take *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(xyl_recv(self->chan, &self->value), self->bound));
	XYL_END(self->n < 0 ? self->n : self->value);
}

/* Send from + 1, ... from + n: 0, or why not all. */
struct count_up {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long from, n, i, value;
	ssize_t r;
};

__attribute__((unused)) static xyl_step count_up(void *frame)
{
	struct count_up *self = frame;

	XYL_BEGIN(self)
	for (self->i = 1; self->i <= self->n; self->i++) {
		self->value = self->from + self->i;
		XYL_AWAIT(self->r, xyl_send(self->chan, &self->value));
		if (self->r < 0)
			XYL_RETURN(self->r);
	}
	XYL_END(0);
}

/* The sum of all, until it is closed. */
struct sum_up {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long value, sum;
	ssize_t r;
};

__attribute__((unused)) static xyl_step sum_up(void *frame)
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

/* From a thread that runs no shard, or from a task. */
__attribute__((unused)) static int chan_put(struct xyl_chan *chan, long value)
{
	return xyl_try_send(chan, &value);
}

__attribute__((unused)) static long chan_take(struct xyl_chan *chan)
{
	long value = 0;
	int r = xyl_try_recv(chan, &value);

	return r < 0 ? r : value;
}

/* ---- who waits ------------------------------------------------------------------------ */

__attribute__((unused)) static size_t line_len(struct xyli_line *line)
{
	struct xyli_wait *wait;
	size_t n = 0;

	xyli_lock(line->lock);
	wait = line->waits.first;
	for (; wait; wait = wait->next == line->waits.first ? NULL : wait->next)
		n++;
	xyli_unlock(line->lock);
	return n;
}

__attribute__((unused)) static size_t chan_waiters(struct xyl_chan *chan)
{
	size_t senders = line_len(&chan->senders), receivers = line_len(&chan->receivers);

	CHECK(senders == 0 || receivers == 0);
	return senders + receivers;
}

/* Turn until so many wait. */
__attribute__((unused)) static void chan_await(const struct driven *driven, struct xyl_chan *chan,
					       size_t waiters)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	while (chan_waiters(chan) != waiters) {
		hand_turn(driven);
		CHECK(xyli_clock() < until);
	}
}

/* Beyond the last element the slots are zero, and nobody waits. */
__attribute__((unused)) static void chan_check_clean(struct xyl_chan *chan)
{
	size_t used = xyl_chan_len(chan) * chan->elem_size; /* it is settled by that */
	size_t bytes = (size_t)(chan->end - chan->slots), at = (size_t)(chan->out.at - chan->slots);

	CHECK_EQ(chan_waiters(chan), 0);
	CHECK_EQ(bytes, chan->room * chan->elem_size);
	for (size_t i = used; i < bytes; i++)
		CHECK_EQ(chan->slots[(at + i) % bytes], 0);
}

#endif
