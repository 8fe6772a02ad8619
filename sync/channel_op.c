/* SPDX-License-Identifier: MIT */
/*
 * The operations of a channel: send and receive.
 *
 * Design notes.  Most sends and receives are on the shard that owns the channel and carry a
 * pointer or a number.  If there is something left of the stretch of slots found free of all
 * questions (channel.h), they take the next one of it, and that is all.  If not, but the one
 * to meet is there already, or there is nothing to do but wait, that is done without a call.
 * All else goes through what channel.c does under the lock, which looks for the next stretch.
 */
#include "sync/channel.h"

#include <errno.h>

/* ---- waiting -------------------------------------------------------------------- */

static struct xyl_chan *chan_of_senders(struct xyli_line *line)
{
	return (struct xyl_chan *)((char *)line - offsetof(struct xyl_chan, senders));
}

static struct xyl_chan *chan_of_receivers(struct xyli_line *line)
{
	return (struct xyl_chan *)((char *)line - offsetof(struct xyl_chan, receivers));
}

static void count_canceled(struct xyl_chan *chan, enum xyli_cancel_why why)
{
	xyli_lock(&chan->lock);
	xyli_chan_count_failure(chan, why == XYLI_BOUNDED ? -ETIMEDOUT : -ECANCELED);
	xyli_unlock(&chan->lock);
}

static void chan_wait_cancel(struct xyli_wait *wait, struct xyl_chan *chan,
			     enum xyli_cancel_why why)
{
	if (!xyli_line_leave(wait))
		return;
	count_canceled(chan, why);
	*xyli_wait_word(wait) = 0; /* the frame keeps no element */
	xyli_wake(wait, -ECANCELED);
}

static void send_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	chan_wait_cancel(wait, chan_of_senders(wait->on), why);
}

static void recv_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	chan_wait_cancel(wait, chan_of_receivers(wait->on), why);
}

static const struct xyli_wait_kind send_wait = { .name = "send",
						 .cancel = send_cancel,
						 .move = xyli_line_move };
static const struct xyli_wait_kind recv_wait = { .name = "receive",
						 .cancel = recv_cancel,
						 .move = xyli_line_move };

/* With the lock held; it is free afterwards. */
static __attribute__((noinline)) xyl_pending chan_fail(struct xyl_chan *chan, struct xyl_task *task,
						       int error)
{
	xyli_chan_count_failure(chan, error);
	xyli_unlock(&chan->lock);
	return xyli_done(task, error);
}

static __attribute__((noinline)) xyl_pending chan_canceled(struct xyl_chan *chan,
							   struct xyl_task *task)
{
	count_canceled(chan, xyli_task_canceled_why(task));
	return xyli_done(task, -ECANCELED);
}

static __attribute__((noinline)) xyl_pending send_slowly(struct xyl_chan *chan,
							 struct xyl_task *task, const void *elem)
{
	struct xyli_wait *met = NULL;
	int r;

	if (!chan)
		return xyli_done(task, -EINVAL); /* there was no memory for it, most likely */
	if (xyli_task_is_canceled(task))
		return chan_canceled(chan, task);
	xyli_lock(&chan->lock);
	r = xyli_chan_offer(chan, elem, &met);
	if (r == -EAGAIN && xyli_chan_keep(chan, elem, &task->leaf->result))
		return xyli_line_wait(&chan->senders, task, &send_wait);
	if (r < 0)
		return chan_fail(chan, task, r == -EAGAIN ? -ENOMEM : r);
	xyli_unlock(&chan->lock);
	if (met)
		xyli_give(met, 0);
	return xyli_done(task, 0);
}

static __attribute__((noinline)) xyl_pending recv_slowly(struct xyl_chan *chan,
							 struct xyl_task *task, void *ret_elem)
{
	struct xyli_wait *met = NULL;
	int r;

	if (!chan)
		return xyli_done(task, -EINVAL);
	if (xyli_task_is_canceled(task))
		return chan_canceled(chan, task);
	xyli_lock(&chan->lock);
	r = xyli_chan_fetch(chan, ret_elem, &met);
	if (r == -EAGAIN) {
		task->leaf->result = (ssize_t)ret_elem;
		return xyli_line_wait(&chan->receivers, task, &recv_wait);
	}
	if (r < 0)
		return chan_fail(chan, task, r);
	xyli_unlock(&chan->lock);
	if (met)
		xyli_give(met, 0);
	return xyli_done(task, 0);
}

/* ---- what happens most ------------------------------------------------------------ */

/* A lock that has an owner was never taken elsewhere: who waits is of this shard.  But it may
 * be a case of a select. */
static inline bool is_near(const struct xyli_wait *wait, const struct xyli_wait_kind *kind)
{
	return wait && wait->kind == kind;
}

static inline xyl_pending wait_quickly(struct xyl_chan *chan, struct xyli_line *line,
				       struct xyl_task *task, const struct xyli_wait_kind *kind)
{
	xyli_wait_begin(&task->wait, kind, line);
	xyli_waits_append(&line->waits, &task->wait);
	xyli_unlock_owned(&chan->lock);
	return (xyl_pending){ 1 };
}

/* Off its line: it has got, or given, its word. */
static inline xyl_pending meet_quickly(struct xyl_chan *chan, struct xyli_wait *met,
				       struct xyl_task *task, struct xyli_shard *shard)
{
	xyli_chan_count_sent(chan, shard->now);
	xyli_unlock_owned(&chan->lock);
	xyli_wake(met, 0);
	return xyli_done_on(shard, task, 0);
}

/* Both with the lock held, as its owner. */
static __attribute__((noinline)) xyl_pending send_owned(struct xyl_chan *chan,
							struct xyl_task *task, const void *elem,
							struct xyli_shard *shard)
{
	struct xyli_wait *receiver = chan->receivers.waits.first;
	bool settled = chan->pace == XYLI_SETTLED;

	if (settled && is_near(receiver, &recv_wait)) {
		xyli_waits_remove(&chan->receivers.waits, receiver);
		xyli_chan_hand(receiver, sizeof(uint64_t), elem);
		return meet_quickly(chan, receiver, task, shard);
	}
	if (settled && !receiver && chan->len == chan->room && chan->capacity >= 0) {
		xyli_elem_copy(sizeof(uint64_t), &task->leaf->result, elem);
		return wait_quickly(chan, &chan->senders, task, &send_wait);
	}
	xyli_unlock_owned(&chan->lock);
	return send_slowly(chan, task, elem);
}

static __attribute__((noinline)) xyl_pending recv_owned(struct xyl_chan *chan,
							struct xyl_task *task, void *ret_elem,
							struct xyli_shard *shard)
{
	struct xyli_wait *sender = chan->senders.waits.first;
	bool drained = chan->pace == XYLI_SETTLED && chan->len == 0;

	if (drained && !sender) {
		task->leaf->result = (ssize_t)ret_elem;
		return wait_quickly(chan, &chan->receivers, task, &recv_wait);
	}
	if (drained && is_near(sender, &send_wait)) {
		xyli_waits_remove(&chan->senders.waits, sender);
		xyli_elem_copy(sizeof(uint64_t), ret_elem, &xyli_task_of(sender)->leaf->result);
		return meet_quickly(chan, sender, task, shard);
	}
	xyli_unlock_owned(&chan->lock);
	return recv_slowly(chan, task, ret_elem);
}

static inline bool lock_quickly(struct xyl_chan *chan, const struct xyl_task *task)
{
	return chan && !xyli_task_is_bothered(task) &&
	       xyli_lock_owned_by(&chan->lock, xyli_lock_mark_of(task->wait.shard));
}

xyl_pending xyl_send(struct xyl_chan *chan, const void *elem)
{
	struct xyl_task *task = xyli_task_calling("xyl_send");
	struct xyli_shard *shard = task->wait.shard;

	if (!lock_quickly(chan, task))
		return send_slowly(chan, task, elem);
	if (!xyli_chan_put_quickly(chan, elem))
		return send_owned(chan, task, elem, shard);
	chan->stats.last_ns = shard->now;
	xyli_unlock_owned(&chan->lock);
	return xyli_done_on(shard, task, 0);
}

xyl_pending xyl_recv(struct xyl_chan *chan, void *ret_elem)
{
	struct xyl_task *task = xyli_task_calling("xyl_recv");
	struct xyli_shard *shard = task->wait.shard;

	if (!ret_elem || !lock_quickly(chan, task))
		return recv_slowly(chan, task, ret_elem);
	if (!xyli_chan_take_quickly(chan, ret_elem))
		return recv_owned(chan, task, ret_elem, shard);
	chan->stats.last_ns = shard->now;
	xyli_unlock_owned(&chan->lock);
	return xyli_done_on(shard, task, 0);
}
