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

#endif
