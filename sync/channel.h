/* SPDX-License-Identifier: MIT */
/*
 * channel.h - a channel: a ring of slots, and two lines of those who wait for it.
 *
 *	slots   [ . . 3 4 5 . . ]	from head to before tail; the others are zero
 *	senders      wait only when the slots are full, receivers only when they are empty:
 *	receivers    at most one of the two lines has somebody in it
 *
 * Whoever waits brings a word (give.h): a receiver where the element is to go, a sender the
 * element itself, if it fits, or where a copy of it is.
 */
#ifndef XYLI_SYNC_CHANNEL_H
#define XYLI_SYNC_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sync/line.h"
#include "xylem/xylem.h"

struct xyl_chan {
	struct xyli_lock lock;
	size_t elem_size;
	size_t len, room; /* slots in use, and those there are */
	char *head, *tail, *slots, *end;
	bool closed;
	struct xyli_line receivers, senders;
	ptrdiff_t capacity;	 /* as asked for */
	uint64_t sent, replaced; /* received is what was sent, and is here no more, nor replaced */
	struct xyl_chan_stats stats; /* the rest of them */
};

/* The rest is for who holds the lock.
 *
 * 0, -EPIPE, -ENOMEM, or -EAGAIN: it would have to wait.  *ret_met, if set, is to be given 0
 * when the lock is free.  Failures are counted by whoever reports them. */
int xyli_chan_offer(struct xyl_chan *chan, const void *elem, struct xyli_wait **ret_met);
int xyli_chan_fetch(struct xyl_chan *chan, void *ret_elem, struct xyli_wait **ret_met);

/* The word of a sender who is to wait.  False: no memory for a copy. */
bool xyli_chan_keep(const struct xyl_chan *chan, const void *elem, ssize_t *ret_word);

/* It has happened, or it failed: -EPIPE, -EAGAIN, -ETIMEDOUT, -ECANCELED. */
void xyli_chan_count_failure(struct xyl_chan *chan, int error);

/* ---- elements and slots, under the lock ------------------------------------------- */

/* Most are a pointer or a number: a call of memcpy costs more than the rest of a send. */
static inline void xyli_elem_copy(const struct xyl_chan *chan, void *to, const void *from)
{
	if (__builtin_expect(chan->elem_size == sizeof(uint64_t), 1))
		memcpy(to, from, sizeof(uint64_t));
	else if (chan->elem_size)
		memcpy(to, from, chan->elem_size);
}

static inline void xyli_elem_clear(const struct xyl_chan *chan, void *slot)
{
	if (__builtin_expect(chan->elem_size == sizeof(uint64_t), 1))
		memset(slot, 0, sizeof(uint64_t));
	else if (chan->elem_size)
		memset(slot, 0, chan->elem_size);
}

static inline void xyli_slot_put(struct xyl_chan *chan, const void *elem)
{
	xyli_elem_copy(chan, chan->tail, elem);
	chan->tail += chan->elem_size;
	if (chan->tail == chan->end)
		chan->tail = chan->slots;
	chan->len++;
}

static inline void xyli_slot_drop(struct xyl_chan *chan)
{
	xyli_elem_clear(chan, chan->head);
	chan->head += chan->elem_size;
	if (chan->head == chan->end)
		chan->head = chan->slots;
	chan->len--;
}

/* To one who waits. */
static inline void xyli_chan_hand(const struct xyl_chan *chan, struct xyli_wait *receiver,
				  const void *elem)
{
	void *place = (void *)*xyli_wait_word(receiver);

	if (place)
		xyli_elem_copy(chan, place, elem);
}

#define XYLI_SLOTS_KEPT 1024u /* of an unlimited channel that has been drained */

/* A crowd that has passed leaves no empty hall behind. */
static inline void xyli_slots_shrink(struct xyl_chan *chan)
{
	if (chan->len > 0 || chan->room <= XYLI_SLOTS_KEPT || chan->capacity != XYL_UNLIMITED)
		return;
	chan->slots = chan->head = chan->tail = chan->end = NULL;
	chan->room = 0;
}

static inline void xyli_chan_count_sent(struct xyl_chan *chan, int64_t now)
{
	chan->stats.last_ns = now;
	if (__builtin_expect(chan->sent++ == 0, 0))
		chan->stats.first_ns = now;
}

#endif
