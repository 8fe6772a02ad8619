/* SPDX-License-Identifier: MIT */
/*
 * Notifications.
 *
 * Design notes.  One that finds nobody is remembered, once: who looks at something, finds
 * nothing to do and then waits cannot miss what came between.  It is a semaphore whose
 * permits do not add up.
 */
#include <errno.h>

#include "sync/line.h"

struct xyl_notify {
	struct xyli_lock lock;
	struct xyli_line line;
	bool remembered; /* then nobody waits */
};

struct xyl_notify *xyl_notify_new(void)
{
	struct xyl_notify *notify = xyl_new(struct xyl_notify);

	if (!notify)
		return NULL;
	xyli_lock_init(&notify->lock);
	notify->line.lock = &notify->lock;
	return notify;
}

static const struct xyli_wait_kind notify_wait = { .name = "notify",
						   .cancel = xyli_line_cancel,
						   .move = xyli_line_move };

xyl_pending xyl_notify_wait(struct xyl_notify *notify)
{
	struct xyl_task *task = xyli_task_calling("xyl_notify_wait");

	if (!notify)
		return xyli_done(task, -EINVAL);
	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	xyli_lock(&notify->lock);
	if (!notify->remembered)
		return xyli_line_wait(&notify->line, task, &notify_wait);
	notify->remembered = false;
	xyli_unlock(&notify->lock);
	return xyli_done(task, 0);
}

void xyl_notify_one(struct xyl_notify *notify)
{
	struct xyli_wait *first;

	xyli_lock(&notify->lock);
	first = xyli_line_take(&notify->line);
	notify->remembered |= !first;
	xyli_unlock(&notify->lock);
	if (first)
		xyli_give(first, 0);
}

void xyl_notify_all(struct xyl_notify *notify)
{
	struct xyli_wait *waiting;

	xyli_lock(&notify->lock);
	waiting = xyli_line_take_all(&notify->line);
	xyli_unlock(&notify->lock);
	xyli_line_give_all(waiting, 0);
}
