/* SPDX-License-Identifier: MIT */
/* Any opcode. */
#include <errno.h>

#include "io/submission.h"
#include "spawn/task.h"

static void submit_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct xyli_submission *submission = (struct xyli_submission *)op;

	(void)cqe_flags;
	if (!xyli_submission_settle(submission, res))
		return;
	if (!op->waiter)
		xyli_submission_adopt(submission);
	xyli_op_wake(op, submission->res);
}

static const struct xyli_op_kind submit_kind = { .name = "submit",
						 .settle = submit_settle,
						 .prepare = xyli_submission_prepare };

xyl_pending xyl_submit(void (*prep)(struct io_uring_sqe *sqe, void *arg), void *arg,
		       void *const pins[], size_t npins)
{
	struct xyl_task *task = xyli_task_calling("xyl_submit");
	const struct xyl_submission what = { prep, arg, pins, npins };
	struct xyli_submission *submission;
	int r;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	r = xyli_submission_new(task->wait.shard, &what, &submit_kind, XYLI_SUBMISSION_FLAGS,
				&submission);
	if (r < 0)
		return xyli_done(task, r);
	return xyli_op_await(task->wait.shard, &submission->op);
}
