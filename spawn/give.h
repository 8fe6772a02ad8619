/* SPDX-License-Identifier: MIT */
/*
 * give.h - a result for whoever waits, on whatever shard or thread.
 *
 * Whoever has something for a wait *claims* it, under the lock of the list it is on, and then
 * gives it its result.  A claimed wait is on no list any more; an abort or a bound that
 * comes now finds that the result is on its way, and leaves it alone.
 *
 *	listed ──> claimed ──> woken		listed ──> left: aborted, bounded, moved
 */
#ifndef XYLI_SPAWN_GIVE_H
#define XYLI_SPAWN_GIVE_H

#include "spawn/task.h"

/* What waits in a task's stead (a case of a select), or in a thread's: then shard is NULL. */
struct xyli_agent {
	struct xyli_wait wait; /* first; its kind has an `arrive` */
	ssize_t word;
};

/* While it is listed, what it brings: a small value, or where one is, or is to go.  Once it is
 * given something from elsewhere, the result.  A task's lies in the frame that awaits. */
static inline ssize_t *xyli_wait_word(struct xyli_wait *wait)
{
	return wait->kind->arrive ? &((struct xyli_agent *)wait)->word
				  : &xyli_task_of(wait)->leaf->result;
}

/* The mark of a claimed wait, and how its result arrives at its shard. */
void xyli_wait_arrives(struct xyli_post *post);

/* Under the lock of its list. */
static inline bool xyli_wait_is_listed(const struct xyli_wait *wait)
{
	return wait->prev && wait->post.deliver != xyli_wait_arrives;
}

/* Off its list: it is the caller's to give it something.  False: it has been served
 * elsewhere, and is off the list as well. */
static inline bool xyli_wait_claim(struct xyli_waits *list, struct xyli_wait *wait)
{
	bool (*claim)(struct xyli_wait * wait) = wait->kind->claim;

	xyli_waits_remove(list, wait);
	if (__builtin_expect(claim != NULL, 0) && !claim(wait))
		return false;
	wait->post.deliver = xyli_wait_arrives;
	return true;
}

void xyli_give_slowly(struct xyli_wait *wait, ssize_t result);

/* To one that was on a list of this shard's own, which has no lock: join, scopes, futures. */
static inline void xyli_give_here(struct xyli_wait *wait, ssize_t result)
{
	if (__builtin_expect(!wait->kind->arrive, 1))
		xyli_wake(wait, result);
	else
		xyli_give_slowly(wait, result);
}

/* To a claimed one.  With no lock held: it may be another shard's, whose bell is to be rung. */
static inline void xyli_give(struct xyli_wait *wait, ssize_t result)
{
	if (__builtin_expect(wait->shard == xyli_here && !wait->kind->arrive, 1))
		xyli_wake(wait, result);
	else
		xyli_give_slowly(wait, result);
}

#endif
