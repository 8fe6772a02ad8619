/* SPDX-License-Identifier: MIT */
/* inbox.h - how anything outside a shard's own turn reaches it: one queue for all. */
#ifndef XYLI_RT_INBOX_H
#define XYLI_RT_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Lies in what is sent: posting cannot fail.  In scanned memory, always. */
struct xyli_post {
	struct xyli_post *next;
	void (*deliver)(struct xyli_post *post); /* on the shard, at the start of a turn */
};

struct xyli_inbox {
	_Atomic(struct xyli_post *) newest;
	struct xyli_post
		*kept;	     /* the shard's own: taken, oldest first, and still to be delivered */
	atomic_bool asleep;  /* the shard waits; whoever clears this rings */
	atomic_bool knocked; /* nothing lies in the list for it: the shard answers */
	atomic_uint ringers; /* threads that may be about to write to bell_fd */
	int bell_fd;	     /* eventfd; -1: none */
	int worn_fd;	     /* the one before it, which a lost read still listens to; -1 */
	atomic_uint_fast64_t rung;
	void (*answer)(struct xyli_inbox *inbox); /* set before anybody knocks */
};

int xyli_inbox_init(struct xyli_inbox *inbox);
void xyli_inbox_done(struct xyli_inbox *inbox);

/* Any thread, attached or not. */
void xyli_inbox_post(struct xyli_inbox *inbox, struct xyli_post *post);

/* The same without a post, and so without a pointer: also from where the collector may be
 * marking at this moment (a signal handler in a parked thread). */
void xyli_inbox_knock(struct xyli_inbox *inbox);

/* Deliver all that has come so far, in the order in which it came. */
void xyli_inbox_deliver(struct xyli_inbox *inbox);

/* The shard takes back a post that is in there, or about to be. */
void xyli_inbox_recall(struct xyli_inbox *inbox, struct xyli_post *post);

/* About to wait: false if something came meanwhile, and the shard must not. */
bool xyli_inbox_sleep(struct xyli_inbox *inbox);
void xyli_inbox_wake(struct xyli_inbox *inbox);

/* Awake, and once at most: a bell that nobody listens to yet takes the place of this one. */
void xyli_inbox_renew(struct xyli_inbox *inbox);

void xyli_inbox_hush(struct xyli_inbox *inbox); /* the bell has been heard */

static inline bool xyli_inbox_is_empty(const struct xyli_inbox *inbox)
{
	return atomic_load_explicit(&inbox->newest, memory_order_relaxed) == NULL && !inbox->kept &&
	       !atomic_load_explicit(&inbox->knocked, memory_order_relaxed);
}

#endif
