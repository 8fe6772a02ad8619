/* SPDX-License-Identifier: MIT */
/*
 * What has become of a channel, as a stream of differences.
 *
 * Design notes.  Each look goes on from the one before it, whenever it comes: so a period that was
 * missed, since nobody took the last difference in time, is in the next, and they add up.
 *
 * A channel wakes nobody to say that it has been drained: that is seen at the end of a period.
 * Once closed it takes nothing more, so closed, and then empty, is the end, and what is counted
 * after that is failures alone.
 */
#include <errno.h>

#include "rt/clock.h"
#include "sync/channel.h"

void xyl_chan_stats_delta(const struct xyl_chan_stats *now, const struct xyl_chan_stats *before,
			  struct xyl_chan_stats *ret_delta)
{
	*ret_delta = (struct xyl_chan_stats){
		.sent = now->sent - before->sent,
		.received = now->received - before->received,
		.bytes = now->bytes - before->bytes,
		.would_block = now->would_block - before->would_block,
		.timed_out = now->timed_out - before->timed_out,
		.canceled = now->canceled - before->canceled,
		.closed = now->closed - before->closed,
		.first_ns = now->first_ns,
		.last_ns = now->last_ns,
	};
}

static int deltas_begin(struct xyl_chan_deltas *self)
{
	if (!self->of || !self->out || self->out->elem_size != sizeof(self->xyli_delta) ||
	    self->period_ns < 0)
		return -EINVAL;
	if (!self->period_ns)
		self->period_ns = XYL_SEC;
	self->xyli_since_ns = xyl_now();
	self->xyli_ticks = xyl_interval_new(xyli_clock_add(self->xyli_since_ns, self->period_ns),
					    self->period_ns, XYL_SKIP);
	return self->xyli_ticks ? 0 : -ENOMEM;
}

static void deltas_look(struct xyl_chan_deltas *self)
{
	int64_t now_ns = xyl_now();
	struct xyl_chan_stats now;

	self->xyli_over = xyl_chan_is_closed(self->of) && xyl_chan_len(self->of) == 0;
	xyl_chan_stats(self->of, &now);
	xyl_chan_stats_delta(&now, &self->before, &self->xyli_delta.stats);
	self->xyli_delta.over_ns = now_ns - self->xyli_since_ns;
	self->before = now;
	self->xyli_since_ns = now_ns;
}

xyl_step xyl_chan_deltas(void *frame)
{
	struct xyl_chan_deltas *self = frame;

	XYL_BEGIN(self)
	self->n = deltas_begin(self);
	while (self->n >= 0 && !self->xyli_over) {
		XYL_AWAIT(self->n, xyl_interval_tick(self->xyli_ticks));
		if (self->n < 0)
			break;
		deltas_look(self);
		XYL_AWAIT(self->n, xyl_send(self->out, &self->xyli_delta));
	}
	XYL_END(self->n);
}
