/* SPDX-License-Identifier: MIT */
/*
 * A token's bound: xyl_until.
 *
 * Design notes.  An agent of the bound waits in the token's line.  When the token is fired the
 * agent is claimed there, under the lock; it arrives on the shard of its task, at once or
 * through the inbox, and the bound passes.  If the await is over in between, the post is
 * taken back before the bound is let go of: whoever fires may be a thread that
 * the collector does not know, and it holds the agent until it has posted it.
 *
 *	listed ──> claimed ──> arrived: passed		listed ──> left, claimed ──> recalled
 *
 * If the token has been fired before, the bound is the clock's, of no time: there is one look
 * at the ring before it passes, as with xyl_within(op, 0), and what is ready is taken.
 */
#include <errno.h>

#include "spawn/bound.h"
#include "sync/cancel.h"

struct until {
	struct xyli_bound bound; /* first */
	struct xyli_agent agent;
};

static void until_arrive(struct xyli_wait *wait, ssize_t result)
{
	struct until *until = (struct until *)((char *)wait - offsetof(struct until, agent));

	(void)result;
	xyli_bound_pass(&until->bound);
}

static const struct xyli_wait_kind until_wait = { .name = "token", .arrive = until_arrive };

static bool until_stop(struct xyli_bound *bound)
{
	struct xyli_wait *wait = &((struct until *)bound)->agent.wait;

	if (xyli_cancel_leave(wait))
		return false;
	xyli_inbox_recall(&wait->shard->inbox, &wait->post);
	return true;
}

static const struct xyli_bound_kind until_kind = { XYLI_FIRED, until_stop };

xyl_pending xyl_until(xyl_pending op, struct xyl_cancel *token)
{
	struct xyl_task *task = xyl_self();
	struct until *until;

	if (!task)
		xyli_misuse("xyl_until", "called outside a task");
	if (!xyli_bound_is_needed(task, op))
		return op;
	if (!token)
		return xyli_bound_refuse(task, op, -EINVAL);
	until = xyli_block_new(&task->wait.shard->blocks, sizeof(*until));
	if (!until)
		return xyli_bound_refuse(task, op, -ENOMEM);
	until->agent.wait.kind = &until_wait;
	until->agent.wait.shard = task->wait.shard;
	if (!xyli_cancel_enter(token, &until->agent.wait))
		return xyli_bound_now(task, op);
	xyli_bound_set(&until->bound, &until_kind, task, op); /* before it can arrive: here */
	return op;
}
