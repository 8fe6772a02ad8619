/* SPDX-License-Identifier: MIT */
/*
 * line.h - those who wait for one thing, first come first served: tasks of any shard,
 * cases of selects, threads outside.
 *
 * A line lies beside the lock that guards it and what is waited for.  A wait in it has `on`
 * set to the line.  The pattern of all of sync/:
 *
 *	xyli_lock(&mutex->lock);
 *	if (mutex->held)
 *		return xyli_line_wait(&mutex->line, task, &mutex_wait);	unlocks
 *	mutex->held = true;
 *	xyli_unlock(&mutex->lock);
 *
 *	xyli_lock(&mutex->lock);
 *	next = xyli_line_take(&mutex->line);
 *	mutex->held = next;
 *	xyli_unlock(&mutex->lock);
 *	if (next)
 *		xyli_give(next, 0);
 */
#ifndef XYLI_SYNC_LINE_H
#define XYLI_SYNC_LINE_H

#include "rt/lock.h"
#include "spawn/give.h"

struct xyli_line {
	struct xyli_lock *lock;
	struct xyli_waits waits;
};

/* A running task joins it, and its operation is pending.  With the lock held; it is free
 * afterwards. */
xyl_pending xyli_line_wait(struct xyli_line *line, struct xyl_task *task,
			   const struct xyli_wait_kind *kind);

/* The first that may be given something, claimed: to be given it, when the lock is free.
 * NULL: none.  With the lock held. */
struct xyli_wait *xyli_line_take(struct xyli_line *line);

/* All of them, claimed, linked by `next`; with the lock held.  Then, without it: */
struct xyli_wait *xyli_line_take_all(struct xyli_line *line);
void xyli_line_give_all(struct xyli_wait *taken, ssize_t result);

/* False: it has been claimed, and its result is on its way.  The first, with the lock held. */
bool xyli_line_drop(struct xyli_wait *wait);
bool xyli_line_leave(struct xyli_wait *wait);

/* Of a task that has been claimed elsewhere: what is on its way to it has come. */
void xyli_line_hasten(struct xyli_wait *wait);

/* For a struct xyli_wait_kind, whose waits have `on` set to their line. */
void xyli_line_cancel(struct xyli_wait *wait, enum xyli_cancel_why why);
void xyli_line_move(struct xyli_wait *from, struct xyli_wait *to);

#endif
