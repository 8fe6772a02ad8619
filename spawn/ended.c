/* SPDX-License-Identifier: MIT */
/*
 * Ended tasks, one after the other: xyl_scope_next.
 *
 * Design notes.  A member that has left its scope stays behind as a link of the list of
 * those that have ended, until somebody asks.  Either that list is empty or nobody waits.
 *
 * A scope that nobody ever asks must not pile up what has ended.  So before the first
 * question it keeps no more of them than it has had running at one time, and a few: about
 * what its own tasks have taken up already.  Who spawns a crowd and asks later loses
 * nothing; of an endless stream only the newest stay, and of a scope that was closed none.
 * Had some to go, the first question is told.
 */
#include <errno.h>

#include "spawn/scope.h"

struct next { /* a question */
	struct xyl_scope *scope;
	struct xyl_task **ret_task;
};

void xyli_ended_forget(struct xyli_ended *ended)
{
	while (ended->first && ended->room != XYLI_ENDED_ALL) {
		xyli_ended_take(ended);
		ended->forgotten = true;
	}
}

void xyli_ended_tell(struct xyli_ended *ended)
{
	while (ended->waits.first && !ended->running) {
		struct xyli_wait *wait = ended->waits.first;

		xyli_waits_remove(&ended->waits, wait);
		xyli_wake(wait, -ENOENT);
	}
}

void xyli_ended_give(struct xyli_ended *ended, struct xyl_task *task)
{
	struct xyli_wait *wait = ended->waits.first;
	const struct next *next = wait->on;

	*next->ret_task = task;
	xyli_waits_remove(&ended->waits, wait);
	xyli_wake(wait, 0);
	xyli_ended_tell(ended);
}

/* ---- asking --------------------------------------------------------------------- */

static void next_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	const struct next *next = wait->on;

	(void)why;
	xyli_waits_remove(&next->scope->ended.waits, wait);
	xyli_wake(wait, -ECANCELED);
}

static void next_move(struct xyli_wait *from, struct xyli_wait *to)
{
	const struct next *next = from->on;

	xyli_waits_replace(&next->scope->ended.waits, from, to);
}

static const struct xyli_wait_kind next_wait = { .name = "scope next",
						 .cancel = next_cancel,
						 .move = next_move };

static xyl_pending next_begin(struct xyl_scope *scope, struct xyl_task *task,
			      struct xyl_task **ret_task)
{
	struct next *next = xyli_block_new(&task->wait.shard->blocks, sizeof(*next));

	if (!next)
		return xyli_done(task, -ENOMEM);
	next->scope = scope;
	next->ret_task = ret_task;
	xyli_wait_begin(&task->wait, &next_wait, next);
	xyli_waits_append(&scope->ended.waits, &task->wait);
	return (xyl_pending){ 1 };
}

xyl_pending xyl_scope_next(struct xyl_scope *scope, struct xyl_task **ret_task)
{
	struct xyl_task *task = xyli_task_calling("xyl_scope_next");
	struct xyli_ended *ended = &scope->ended;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (xyli_scope_holds(scope, task))
		return xyli_done(task, -EDEADLK);
	ended->room = XYLI_ENDED_ALL;
	if (ended->forgotten) {
		ended->forgotten = false;
		return xyli_done(task, -EOVERFLOW);
	}
	if (ended->first) {
		*ret_task = xyli_ended_take(ended);
		return xyli_done(task, 0);
	}
	return ended->running ? next_begin(scope, task, ret_task) : xyli_done(task, -ENOENT);
}
