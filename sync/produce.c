/* SPDX-License-Identifier: MIT */
/*
 * xyl_produce: a task, and a channel that closes when it ends.
 *
 * Design notes.  The function runs in a frame that is called by the one below, from the start:
 * so it may return anywhere, or be aborted before it first ran, and the channel is closed.
 */
#include "sync/channel.h"

struct producer {
	struct xyl_frame frame;
	struct xyl_chan *chan;
};

/* Resumed once: what it called has returned. */
static xyl_step producer(void *frame)
{
	struct producer *self = frame;

	if (self->frame.line == XYLI_WHERE)
		return xyli_where(&self->frame, __FILE__);
	xyl_chan_close(self->chan);
	return xyli_return(&self->frame, self->frame.result);
}

struct xyl_task *xyli_produce(struct xyl_scope *scope, struct xyl_chan *chan,
			      const struct xyli_fn *fn, const void *init)
{
	struct xyli_shard *shard = xyli_here;
	struct xyl_frame *callee;
	struct xyl_task *task;

	if (!shard)
		xyli_misuse("xyl_produce", "called outside a runtime");
	callee = xyli_frame_new(shard, fn, init);
	task = callee ? xyli_spawn(scope, XYL_HERE, XYLI_FN(producer),
				   XYLI_FRAME(producer, .chan = chan))
		      : NULL;
	if (!task)
		return NULL;
	task->leaf->line = __LINE__;
	xyli_call_frame(task, callee);
	return task;
}
