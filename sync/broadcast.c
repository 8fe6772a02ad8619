/* SPDX-License-Identifier: MIT */
/*
 * Broadcasts.
 *
 * Design notes.  A ring of the newest messages, and a receiver is a place in it.  The ring
 * knows of no receiver but those who wait, so one who is slow holds nobody back, and one whom
 * nobody holds is garbage.  Who was overtaken sees it by the numbers: messages are counted
 * from 0, and number i lies in slot i % capacity until i + capacity is sent.
 *
 * Who waits has had all there was.  The next message is copied to where he wants it, by the
 * sender and under the lock: it cannot be overwritten before he runs.
 */
#include <errno.h>
#include <string.h>

#include "sync/line.h"

struct xyl_broadcast {
	struct xyli_lock lock;
	struct xyli_line line;
	size_t elem_size, capacity;
	uint64_t sent;
	bool closed;
	_Alignas(void *) char slots[];
};

struct xyl_receiver {
	struct xyl_broadcast *broadcast;
	uint64_t next;	 /* the number of the message it is to have next */
	void *ret_elem;	 /* while it waits: where it wants it, or NULL */
	bool is_waiting; /* the word of that wait is the receiver */
};

struct xyl_broadcast *xyl_broadcast_new(size_t elem_size, size_t capacity)
{
	struct xyl_broadcast *broadcast = NULL;
	size_t bytes;

	if (capacity && !__builtin_mul_overflow(elem_size, capacity, &bytes) &&
	    bytes < PTRDIFF_MAX - sizeof(*broadcast))
		broadcast = xyl_alloc(sizeof(*broadcast) + bytes);
	if (!broadcast)
		return NULL;
	xyli_lock_init(&broadcast->lock);
	broadcast->line.lock = &broadcast->lock;
	broadcast->elem_size = elem_size;
	broadcast->capacity = capacity;
	return broadcast;
}

struct xyl_receiver *xyl_broadcast_subscribe(struct xyl_broadcast *broadcast)
{
	struct xyl_receiver *receiver = broadcast ? xyl_new(struct xyl_receiver) : NULL;

	if (!receiver)
		return NULL;
	receiver->broadcast = broadcast;
	xyli_lock(&broadcast->lock);
	receiver->next = broadcast->sent;
	xyli_unlock(&broadcast->lock);
	return receiver;
}

static void *slot_of(struct xyl_broadcast *broadcast, uint64_t number)
{
	return broadcast->slots + number % broadcast->capacity * broadcast->elem_size;
}

static void elem_copy(const struct xyl_broadcast *broadcast, void *to, const void *from)
{
	if (to && broadcast->elem_size)
		memcpy(to, from, broadcast->elem_size);
}

/* ---- sending ---------------------------------------------------------------------- */

static struct xyl_receiver *receiver_of(struct xyli_wait *wait)
{
	return (struct xyl_receiver *)*xyli_wait_word(wait);
}

/* Off the line, and it is not to keep what it will not write to. */
static void receiver_stop(struct xyl_receiver *receiver)
{
	receiver->is_waiting = false;
	receiver->ret_elem = NULL;
}

/* The newest message to those who wait, or none: the broadcast is closed. */
static struct xyli_wait *receivers_take(struct xyl_broadcast *broadcast, const void *elem)
{
	struct xyli_wait *taken = xyli_line_take_all(&broadcast->line);

	for (struct xyli_wait *wait = taken; wait; wait = wait->next) {
		struct xyl_receiver *receiver = receiver_of(wait);

		if (elem)
			elem_copy(broadcast, receiver->ret_elem, elem);
		receiver->next = broadcast->sent;
		receiver_stop(receiver);
	}
	return taken;
}

int xyl_broadcast_send(struct xyl_broadcast *broadcast, const void *elem)
{
	struct xyli_wait *taken = NULL;
	bool closed;

	if (!broadcast)
		return -EINVAL;
	xyli_lock(&broadcast->lock);
	closed = broadcast->closed;
	if (!closed) {
		elem_copy(broadcast, slot_of(broadcast, broadcast->sent), elem);
		broadcast->sent++;
		taken = receivers_take(broadcast, elem);
	}
	xyli_unlock(&broadcast->lock);
	xyli_line_give_all(taken, 0);
	return closed ? -EPIPE : 0;
}

void xyl_broadcast_close(struct xyl_broadcast *broadcast)
{
	struct xyli_wait *taken;

	xyli_lock(&broadcast->lock);
	broadcast->closed = true;
	taken = receivers_take(broadcast, NULL);
	xyli_unlock(&broadcast->lock);
	xyli_line_give_all(taken, -EPIPE);
}

/* ---- receiving -------------------------------------------------------------------- */

/* With the lock held. */
static ssize_t receiver_fetch(struct xyl_receiver *receiver, void *ret_elem)
{
	struct xyl_broadcast *broadcast = receiver->broadcast;
	uint64_t behind = broadcast->sent - receiver->next;

	if (behind == 0)
		return broadcast->closed ? -EPIPE : -EAGAIN;
	if (behind > broadcast->capacity) {
		receiver->next = broadcast->sent - broadcast->capacity;
		return (ssize_t)(behind - broadcast->capacity);
	}
	elem_copy(broadcast, ret_elem, slot_of(broadcast, receiver->next));
	receiver->next++;
	return 0;
}

static void receiver_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyli_line *line = wait->on;
	bool left;

	(void)why;
	xyli_lock(line->lock);
	left = xyli_line_drop(wait);
	if (left)
		receiver_stop(receiver_of(wait));
	xyli_unlock(line->lock);
	if (left)
		xyli_wake(wait, -ECANCELED);
}

static const struct xyli_wait_kind receiver_wait = { .name = "broadcast",
						     .cancel = receiver_cancel,
						     .move = xyli_line_move };

xyl_pending xyl_broadcast_recv(struct xyl_receiver *receiver, void *ret_elem)
{
	struct xyl_task *task = xyli_task_calling("xyl_broadcast_recv");
	struct xyl_broadcast *broadcast;
	ssize_t r;

	if (!receiver)
		return xyli_done(task, -EINVAL);
	broadcast = receiver->broadcast;
	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	xyli_lock(&broadcast->lock);
	r = receiver_fetch(receiver, ret_elem);
	if (r == -EAGAIN && !receiver->is_waiting) {
		receiver->is_waiting = true;
		receiver->ret_elem = ret_elem;
		task->leaf->result = (ssize_t)receiver;
		return xyli_line_wait(&broadcast->line, task, &receiver_wait);
	}
	xyli_unlock(&broadcast->lock);
	return xyli_done(task, r == -EAGAIN ? -EBUSY : r);
}

ssize_t xyl_broadcast_try_recv(struct xyl_receiver *receiver, void *ret_elem)
{
	ssize_t r;

	if (!receiver)
		return -EINVAL;
	xyli_lock(&receiver->broadcast->lock);
	r = receiver_fetch(receiver, ret_elem);
	xyli_unlock(&receiver->broadcast->lock);
	return r;
}
