/* SPDX-License-Identifier: MIT */
/*
 * Barriers.
 *
 * Design notes.  The last to come takes everyone who waits off the line, all at once, and
 * so begins the next round: nobody who comes again can be counted twice.  Who is aborted
 * before that leaves the line and the count together; a round he has completed is not
 * undone.
 */
#include <errno.h>

#include "sync/line.h"

struct xyl_barrier {
	struct xyli_lock lock;
	struct xyli_line line;
	size_t parties, waiting;
};

struct xyl_barrier *xyl_barrier_new(size_t parties)
{
	struct xyl_barrier *barrier = parties ? xyl_new(struct xyl_barrier) : NULL;

	if (!barrier)
		return NULL;
	xyli_lock_init(&barrier->lock);
	barrier->line.lock = &barrier->lock;
	barrier->parties = parties;
	return barrier;
}

static void barrier_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyli_line *line = wait->on;
	struct xyl_barrier *barrier =
		(struct xyl_barrier *)((char *)line - offsetof(struct xyl_barrier, line));
	bool left;

	(void)why;
	xyli_lock(&barrier->lock);
	left = xyli_line_drop(wait);
	if (left)
		barrier->waiting--;
	xyli_unlock(&barrier->lock);
	if (left)
		xyli_wake(wait, -ECANCELED);
}

static const struct xyli_wait_kind barrier_wait = { .name = "barrier",
						    .cancel = barrier_cancel,
						    .move = xyli_line_move };

xyl_pending xyl_barrier_wait(struct xyl_barrier *barrier)
{
	struct xyl_task *task = xyli_task_calling("xyl_barrier_wait");
	struct xyli_wait *others;

	if (!barrier)
		return xyli_done(task, -EINVAL);
	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	xyli_lock(&barrier->lock);
	if (++barrier->waiting < barrier->parties)
		return xyli_line_wait(&barrier->line, task, &barrier_wait);
	barrier->waiting = 0;
	others = xyli_line_take_all(&barrier->line);
	xyli_unlock(&barrier->lock);
	xyli_line_give_all(others, 0);
	return xyli_done(task, 1);
}
