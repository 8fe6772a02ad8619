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
 *
 * Two stretches of slots, one to be filled and one to be emptied, are found free of all
 * questions once, and then used up with no further look: nobody waits, it is open, an element is
 * a word.  What has been done there is counted when they are settled, and whatever would make
 * it untrue settles them first:
 *
 *	len, room, sent, who waits		settle, then look or change, then perhaps open
 */
#ifndef XYLI_SYNC_CHANNEL_H
#define XYLI_SYNC_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sync/line.h"
#include "xylem/xylem.h"

enum xyli_pace {
	XYLI_SLOW,    /* closed, or not of words, or not used yet */
	XYLI_SETTLED, /* nothing but who waits need be looked at */
	XYLI_QUICK,   /* not even that, in the two stretches */
};

/* at == until: there is nothing quick to be done. */
struct xyli_stretch {
	char *at, *until;
	char *since; /* from here to `at` is not counted yet */
};

struct xyl_chan {
	struct xyli_lock lock;
	struct xyli_stretch in, out; /* at: the tail, and the head */
	size_t elem_size;
	size_t len, room; /* slots in use, and those there are; when settled */
	char *slots, *end;
	bool closed;
	enum xyli_pace pace;
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

static inline void xyli_stretch_begin(struct xyli_stretch *stretch, char *at)
{
	stretch->at = stretch->until = stretch->since = at;
}

void xyli_chan_settle_slowly(struct xyl_chan *chan);

/* Everything counted, and nothing quick any more. */
static inline void xyli_chan_settle(struct xyl_chan *chan)
{
	if (chan->pace == XYLI_QUICK)
		xyli_chan_settle_slowly(chan);
}

/* Of a settled one; it stays settled where there is a reason. */
void xyli_chan_open(struct xyl_chan *chan);

static inline bool xyli_chan_put_quickly(struct xyl_chan *chan, const void *elem)
{
	char *at = chan->in.at;

	if (at == chan->in.until)
		return false;
	memcpy(at, elem, sizeof(uint64_t));
	chan->in.at = at + sizeof(uint64_t);
	return true;
}

/* To somewhere. */
static inline bool xyli_chan_take_quickly(struct xyl_chan *chan, void *ret_elem)
{
	char *at = chan->out.at;

	if (at == chan->out.until)
		return false;
	memcpy(ret_elem, at, sizeof(uint64_t));
	memset(at, 0, sizeof(uint64_t));
	chan->out.at = at + sizeof(uint64_t);
	return true;
}

/* To one who waits. */
static inline void xyli_chan_hand(struct xyli_wait *receiver, size_t size, const void *elem)
{
	void *place = (void *)*xyli_wait_word(receiver);

	if (place)
		xyli_elem_copy(size, place, elem);
}

static inline void xyli_chan_count_sent(struct xyl_chan *chan, int64_t now)
{
	chan->stats.last_ns = now;
	chan->sent++;
}

#endif
