/* SPDX-License-Identifier: MIT */
/*
 * Abort.
 *
 * Design notes.  An abort is a request: it travels through the inbox whoever makes it,
 * and is applied at the start of a turn, when no task runs.  It frees nothing.  Its
 * post lies in the task, so that it cannot fail for want of memory; `abort_asked` sees
 * to it that the post is sent once.
 */
#include "spawn/task.h"

static struct xyl_task *task_of_post(struct xyli_post *post)
{
	return (struct xyl_task *)((char *)post - offsetof(struct xyl_task, abort_post));
}

static void abort_deliver(struct xyli_post *post)
{
	struct xyl_task *task = task_of_post(post);
	struct xyli_wait *wait = &task->wait;

	if (wait->state == XYLI_DONE)
		return;
	__atomic_store_n(&task->wait.aborted, true, __ATOMIC_RELAXED);
	xyli_count(&wait->shard->stats.aborted, 1);
	if (wait->state == XYLI_WAITING && !task->shields)
		wait->kind->cancel(wait, XYLI_ABORTED);
}

void xyl_abort(struct xyl_task *task)
{
	if (xyli_task_is_done(task) || atomic_exchange(&task->wait.abort_asked, true))
		return;
	task->abort_post.deliver = abort_deliver;
	xyli_inbox_post(&task->wait.shard->inbox, &task->abort_post);
}

void xyl_shield_begin(void)
{
	struct xyl_task *task = xyli_task_calling("xyl_shield_begin");

	if (task->shields == UINT16_MAX)
		xyli_misuse("xyl_shield_begin", "nested 65535 deep");
	task->shields++;
}

void xyl_shield_end(void)
{
	struct xyl_task *task = xyli_task_calling("xyl_shield_end");

	if (task->shields == 0)
		xyli_misuse("xyl_shield_end", "without xyl_shield_begin");
	task->shields--;
}
