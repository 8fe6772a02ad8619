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
	bool quick; /* open, of words, and used before: nothing but who waits need be looked at */
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
static inline void xyli_elem_copy(size_t size, void *to, const void *from)
{
	if (__builtin_expect(size == sizeof(uint64_t), 1))
		memcpy(to, from, sizeof(uint64_t));
	else if (size)
		memcpy(to, from, size);
}

static inline void xyli_elem_clear(size_t size, void *slot)
{
	if (__builtin_expect(size == sizeof(uint64_t), 1))
		memset(slot, 0, sizeof(uint64_t));
	else if (size)
		memset(slot, 0, size);
}

/* These are told the size: most know it when they are compiled. */
static inline void xyli_slot_put(struct xyl_chan *chan, size_t size, const void *elem)
{
	xyli_elem_copy(size, chan->tail, elem);
	chan->tail += size;
	if (chan->tail == chan->end)
		chan->tail = chan->slots;
	chan->len++;
}

static inline void xyli_slot_drop(struct xyl_chan *chan, size_t size)
{
	xyli_elem_clear(size, chan->head);
	chan->head += size;
	if (chan->head == chan->end)
		chan->head = chan->slots;
	chan->len--;
}

/* To one who waits. */
static inline void xyli_chan_hand(struct xyli_wait *receiver, size_t size, const void *elem)
{
	void *place = (void *)*xyli_wait_word(receiver);

	if (place)
		xyli_elem_copy(size, place, elem);
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
	chan->sent++;
}

#endif
