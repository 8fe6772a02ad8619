/* SPDX-License-Identifier: MIT */
/*
 * Linked operations: published all or none, each begun when the one before has ended.
 *
 * Design notes.  The task waits for the chain, not for one of its operations: those end
 * in an order of the kernel's own.  While the chain is cut short one cancel at a time is
 * under way, for the first that has not ended: the kernel does not find those behind it
 * yet, and ends them itself when the first fails.
 *
 *	operation ──> chain ──> every operation		so all pins last until all have ended
 */
#include <errno.h>

#include "io/submission.h"
#include "spawn/task.h"

#define LINKS_MAX 64

struct xyli_chain {
	struct xyli_wait *waiter; /* NULL: it has left */
	ssize_t *ret_results;	  /* NULL: nobody wants them one by one */
	bool foreign;		  /* a pin of one of them is not in collected memory */
	bool canceling;
	size_t n, left; /* operations; those that have not ended */
	struct xyli_submission *links[];
};

/* ---- the results ---------------------------------------------------------------------- */

/* 0, or the first failure.  A time-out that was not needed is none. */
static ssize_t chain_result(const struct xyli_chain *chain)
{
	for (size_t i = 0; i < chain->n; i++) {
		const struct xyli_submission *link = chain->links[i];

		if (link->res < 0 && link->sqe.opcode != IORING_OP_LINK_TIMEOUT)
			return link->res;
	}
	return 0;
}

static void ended_adopt(struct xyli_chain *chain)
{
	for (size_t i = 0; i < chain->n; i++)
		if (xyli_op_is_free(&chain->links[i]->op))
			xyli_submission_adopt(chain->links[i]);
}

static void chain_leave(struct xyli_chain *chain, ssize_t result)
{
	struct xyli_wait *waiter = chain->waiter;

	chain->waiter = NULL;
	xyli_wake(waiter, result);
}

/* All have ended, and somebody waits. */
static void chain_deliver(struct xyli_chain *chain)
{
	for (size_t i = 0; chain->ret_results && i < chain->n; i++)
		chain->ret_results[i] = chain->links[i]->res;
	if (!chain->ret_results)
		ended_adopt(chain);
	chain_leave(chain, chain_result(chain));
}

static void chain_cancel_next(struct xyli_chain *chain)
{
	size_t i = 0;

	while (xyli_op_is_free(&chain->links[i]->op))
		i++;
	xyli_op_cancel(&chain->links[i]->op);
}

static void link_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct xyli_submission *link = (struct xyli_submission *)op;
	struct xyli_chain *chain = link->chain;

	(void)cqe_flags;
	if (!xyli_submission_settle(link, res))
		return;
	chain->left--;
	if (!chain->waiter)
		xyli_submission_adopt(link);
	if (chain->left > 0 && chain->canceling)
		chain_cancel_next(chain);
	if (chain->left == 0 && chain->waiter)
		chain_deliver(chain);
}

static void link_lose(struct xyli_op *op)
{
	struct xyli_chain *chain = ((struct xyli_submission *)op)->chain;

	if (chain->waiter)
		chain_leave(chain, XYLI_LOST);
}

static const struct xyli_op_kind link_kind = { .name = "submit_linked",
					       .settle = link_settle,
					       .prepare = xyli_submission_prepare,
					       .lose = link_lose };

/* ---- waiting for them ------------------------------------------------------------------- */

/* Those that the kernel has not seen; that is all of them, or none. */
static void queued_cancel(struct xyli_chain *chain)
{
	for (size_t i = 0; i < chain->n; i++)
		if (chain->links[i]->op.life.state == XYLI_OP_QUEUED)
			xyli_op_cancel(&chain->links[i]->op);
}

static void chain_wait_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyli_chain *chain = wait->on;

	queued_cancel(chain);
	if (chain->left == 0)
		return;
	chain->canceling = true;
	chain_cancel_next(chain);
	if (why != XYLI_ABORTED || chain->foreign)
		return;
	wait->abandoned = true;
	ended_adopt(chain);
	chain_leave(chain, -ECANCELED);
}

static void chain_wait_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyli_chain *chain = from->on;

	chain->waiter = to;
}

static const struct xyli_wait_kind chain_wait = { .name = "submit_linked",
						  .cancel = chain_wait_cancel,
						  .move = chain_wait_move };

static xyl_pending chain_await(struct xyl_task *task, struct xyli_chain *chain)
{
	xyli_wait_begin(&task->wait, &chain_wait, chain);
	chain->waiter = &task->wait;
	for (size_t i = 0; i < chain->n; i++) {
		chain->links[i]->op.links = (uint8_t)(chain->n - 1 - i);
		xyli_op_start(task->wait.shard, &chain->links[i]->op, NULL);
	}
	return (xyl_pending){ 1 };
}

/* ---- making them ------------------------------------------------------------------------ */

static int link_add(struct xyli_shard *shard, struct xyli_chain *chain,
		    const struct xyl_submission *what, bool last)
{
	unsigned flags_allowed = XYLI_SUBMISSION_FLAGS;
	struct xyli_submission *link;
	int r;

	if (!last)
		flags_allowed |= IOSQE_IO_LINK | IOSQE_IO_HARDLINK;
	r = xyli_submission_new(shard, what, &link_kind, flags_allowed, &link);
	if (r < 0)
		return r;
	if (!last && !(link->sqe.flags & IOSQE_IO_HARDLINK))
		link->sqe.flags |= IOSQE_IO_LINK;
	link->chain = chain;
	chain->foreign |= link->op.buf != NULL;
	chain->links[chain->n++] = link;
	chain->left = chain->n;
	return 0;
}

static int chain_new(struct xyli_shard *shard, const struct xyl_submission what[], size_t n,
		     struct xyli_chain **ret_chain)
{
	struct xyli_chain *chain;
	int r = 0;

	if (n == 0)
		return -EINVAL;
	if (n > LINKS_MAX || n > shard->ring_entries)
		return -E2BIG;
	chain = xyli_block_new(&shard->blocks, sizeof(*chain) + n * sizeof(*chain->links));
	if (!chain)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++)
		r = link_add(shard, chain, &what[i], i == n - 1);
	*ret_chain = chain;
	return r;
}

xyl_pending xyl_submit_linked(const struct xyl_submission chain[], size_t n, ssize_t ret_results[])
{
	struct xyl_task *task = xyli_task_calling("xyl_submit_linked");
	struct xyli_chain *made;
	int r;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	r = chain_new(task->wait.shard, chain, n, &made);
	if (r < 0)
		return xyli_done(task, r);
	made->ret_results = ret_results;
	return chain_await(task, made);
}
