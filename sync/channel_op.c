/* SPDX-License-Identifier: MIT */
/*
 * The operations of a channel: send and receive.
 *
 * Design notes.  Most sends and receives are on the shard that owns the channel, carry a pointer or
 * a number, and need neither growing nor anybody of another shard: these take a path of
 * their own, in one function.  All else goes through what channel.c does under the lock.
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

enum quick { NOT_QUICK, DONE, WAITS };

/* A task of this shard, that does nothing but wait here. */
static inline bool is_near(const struct xyli_wait *wait, const struct xyli_wait_kind *kind,
			   const struct xyli_shard *shard)
{
	return wait->kind == kind && wait->shard == shard;
}

static inline enum quick wait_quickly(struct xyli_line *line, struct xyl_task *task,
				      const struct xyli_wait_kind *kind)
{
	xyli_wait_begin(&task->wait, kind, line);
	xyli_waits_append(&line->waits, &task->wait);
	return WAITS;
}

static inline enum quick offer_quickly(struct xyl_chan *chan, const void *elem,
				       struct xyl_task *task, struct xyli_wait **ret_met)
{
	struct xyli_wait *receiver = chan->receivers.waits.first;
	struct xyli_shard *shard = task->wait.shard;

	if (__builtin_expect(receiver != NULL, 0)) {
		if (!is_near(receiver, &recv_wait, shard))
			return NOT_QUICK;
		xyli_waits_remove(&chan->receivers.waits, receiver);
		xyli_chan_hand(receiver, sizeof(uint64_t), elem);
		*ret_met = receiver;
	} else if (chan->len < chan->room) {
		xyli_slot_put(chan, sizeof(uint64_t), elem);
	} else {
		if (chan->capacity < 0)
			return NOT_QUICK;
		xyli_elem_copy(sizeof(uint64_t), &task->leaf->result, elem);
		return wait_quickly(&chan->senders, task, &send_wait);
	}
	xyli_chan_count_sent(chan, shard->now);
	return DONE;
}

static inline enum quick fetch_quickly(struct xyl_chan *chan, void *ret_elem, struct xyl_task *task,
				       struct xyli_wait **ret_met)
{
	struct xyli_wait *sender = chan->senders.waits.first;
	struct xyli_shard *shard = task->wait.shard;

	if (__builtin_expect(sender != NULL, 0)) {
		if (chan->len > 0 || !is_near(sender, &send_wait, shard))
			return NOT_QUICK;
		xyli_waits_remove(&chan->senders.waits, sender);
		xyli_elem_copy(sizeof(uint64_t), ret_elem, &xyli_task_of(sender)->leaf->result);
		xyli_chan_count_sent(chan, shard->now);
		*ret_met = sender;
	} else if (chan->len > 0) {
		xyli_elem_copy(sizeof(uint64_t), ret_elem, chan->head);
		xyli_slot_drop(chan, sizeof(uint64_t));
		xyli_slots_shrink(chan);
		chan->stats.last_ns = shard->now;
	} else {
		task->leaf->result = (ssize_t)ret_elem;
		return wait_quickly(&chan->receivers, task, &recv_wait);
	}
	return DONE;
}

xyl_pending xyl_send(struct xyl_chan *chan, const void *elem)
{
	struct xyl_task *task = xyli_task_calling("xyl_send");
	enum quick quick = NOT_QUICK;
	struct xyli_wait *met = NULL;

	if (chan && !xyli_task_is_bothered(task) && xyli_lock_owned(&chan->lock)) {
		if (chan->quick)
			quick = offer_quickly(chan, elem, task, &met);
		xyli_unlock_owned(&chan->lock);
	}
	if (met)
		xyli_wake(met, 0);
	if (quick == DONE)
		return xyli_done(task, 0);
	return quick == WAITS ? (xyl_pending){ 1 } : send_slowly(chan, task, elem);
}

xyl_pending xyl_recv(struct xyl_chan *chan, void *ret_elem)
{
	struct xyl_task *task = xyli_task_calling("xyl_recv");
	enum quick quick = NOT_QUICK;
	struct xyli_wait *met = NULL;

	if (chan && ret_elem && !xyli_task_is_bothered(task) && xyli_lock_owned(&chan->lock)) {
		if (chan->quick)
			quick = fetch_quickly(chan, ret_elem, task, &met);
		xyli_unlock_owned(&chan->lock);
	}
	if (met)
		xyli_wake(met, 0);
	if (quick == DONE)
		return xyli_done(task, 0);
	return quick == WAITS ? (xyl_pending){ 1 } : recv_slowly(chan, task, ret_elem);
}
