/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "spawn/task.h"

static void join_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyl_task *joined = wait->on;

	(void)why;
	xyli_waits_remove(&joined->joiners, wait);
	xyli_wake(wait, -ECANCELED);
}

static void join_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyl_task *joined = from->on;

	xyli_waits_replace(&joined->joiners, from, to);
}

static const struct xyli_wait_kind join_wait = { .name = "join",
						 .cancel = join_cancel,
						 .move = join_move };

ssize_t xyli_join_result(const struct xyl_task *joined)
{
	return joined->wait.aborted ? -ECANCELED : xyli_task_first_frame(joined)->result;
}

xyl_pending xyl_join(struct xyl_task *joined)
{
	struct xyl_task *task = xyli_task_calling("xyl_join");

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (!joined)
		return xyli_done(task, -EINVAL); /* a spawn that failed, most likely */
	if (joined == task)
		return xyli_done(task, -EDEADLK);
	if (xyli_task_is_done(joined))
		return xyli_done(task, xyli_join_result(joined));
	if (joined->wait.shard != task->wait.shard)
		return xyli_done(task, -EXDEV);
	xyli_wait_begin(&task->wait, &join_wait, joined);
	xyli_waits_append(&joined->joiners, &task->wait);
	return (xyl_pending){ 1 };
}
