/* SPDX-License-Identifier: MIT */
/*
 * Bounds: xyl_within.
 *
 * Design notes.  A bound is set on one await (its frame is the one that awaits) or on a
 * call (its frame is the callee).  When its time comes it cancels what the task awaits,
 * and it goes on doing so at each later await until its frame has returned.  It turns
 * the result into -ETIMEDOUT only if its cancelling was seen: a result that came first
 * wins.  Bounds nest as frames do, so they are a stack.
 */
#include <errno.h>

#include "spawn/task.h"

struct xyli_bound {
	struct xyli_bound *outer;
	struct xyl_task *task;
	struct xyl_frame *frame;
	struct xyli_timer timer;
	uint16_t shields; /* the task's when it was set: shields begun since keep it out */
	bool is_call;
	bool passed;
	bool cut;  /* it has cancelled the await under way */
	bool seen; /* an await has given -ECANCELED for it */
};

static bool bound_reaches(const struct xyli_bound *bound)
{
	return bound->passed && bound->shields >= bound->task->shields;
}

bool xyli_bounds_reach(struct xyl_task *task)
{
	bool any = false;

	for (struct xyli_bound *bound = task->bounds; bound; bound = bound->outer)
		if (bound_reaches(bound))
			any = bound->seen = true;
	return any;
}

/* By another bound, that passed at the same time. */
static bool task_was_cut(const struct xyl_task *task)
{
	const struct xyli_bound *bound = task->bounds;

	while (bound && !bound->cut)
		bound = bound->outer;
	return bound != NULL;
}

static void bound_pass(struct xyli_timer *timer)
{
	struct xyli_bound *bound =
		(struct xyli_bound *)((char *)timer - offsetof(struct xyli_bound, timer));
	struct xyl_task *task = bound->task;

	bound->passed = true;
	task->wait.expired = true;
	if (!bound_reaches(bound))
		return;
	if (task->wait.state == XYLI_WAITING) {
		bound->cut = true;
		task->wait.kind->cancel(&task->wait, XYLI_BOUNDED);
	} else {
		bound->cut = task_was_cut(task);
	}
}

static void bound_pop(struct xyl_task *task)
{
	struct xyli_bound *bound = task->bounds;

	xyli_timer_stop(&task->wait.shard->timers, &bound->timer);
	task->bounds = bound->outer;
	bound->outer = NULL;
	if (!bound->passed)
		return;
	task->wait.expired = false;
	for (bound = task->bounds; bound; bound = bound->outer)
		task->wait.expired |= bound->passed;
}

/* An abort is stronger: its -ECANCELED stays. */
static bool task_may_time_out(const struct xyl_task *task)
{
	return !task->wait.aborted || task->shields;
}

/* A result that came all the same has won over the bounds that cut its await. */
static void bounds_look(struct xyl_task *task)
{
	for (struct xyli_bound *bound = task->bounds; bound; bound = bound->outer) {
		bound->seen |= bound->cut && task->wait.result == -ECANCELED;
		bound->cut = false;
	}
}

void xyli_bounds_awaited(struct xyl_task *task)
{
	struct xyli_bound *bound;

	if (task->wait.expired)
		bounds_look(task);
	while ((bound = task->bounds) && !bound->is_call && bound->frame == task->leaf) {
		if (bound->seen && task_may_time_out(task))
			task->wait.result = -ETIMEDOUT;
		bound_pop(task);
	}
}

void xyli_bounds_returned(struct xyl_task *task, struct xyl_frame *frame)
{
	struct xyli_bound *bound;

	while ((bound = task->bounds) && bound->is_call && bound->frame == frame) {
		if (bound->passed && bound->seen && task_may_time_out(task))
			frame->result = -ETIMEDOUT;
		bound_pop(task);
	}
}

void xyli_bounds_move(struct xyl_task *from, struct xyl_task *to, struct xyl_frame *callee)
{
	struct xyli_bound **last = &to->bounds;
	struct xyli_bound *bound;

	while ((bound = from->bounds) && bound->frame == (callee ? callee : from->leaf) &&
	       bound->is_call == (callee != NULL)) {
		from->bounds = bound->outer;
		bound->outer = NULL;
		bound->task = to;
		if (!callee)
			bound->frame = to->leaf;
		bound->shields = 0;
		*last = bound;
		last = &bound->outer;
	}
}

/* ---- xyl_within ----------------------------------------------------------------- */

static struct xyli_bound *bound_new(struct xyl_task *task, bool is_call, int64_t when)
{
	struct xyli_shard *shard = task->wait.shard;
	struct xyli_bound *bound = xyli_block_new(&shard->blocks, sizeof(*bound));

	if (!bound)
		return NULL;
	bound->task = task;
	bound->frame = task->leaf;
	bound->is_call = is_call;
	bound->shields = task->shields;
	bound->timer.fire = bound_pass;
	if (xyli_timer_start(&shard->timers, &bound->timer, when) < 0)
		return NULL;
	bound->outer = task->bounds;
	task->bounds = bound;
	return bound;
}

/* What cannot be bounded must not run unbounded. */
static xyl_pending within_no_memory(struct xyl_task *task, xyl_pending op)
{
	struct xyli_wait *wait = &task->wait;

	if (op.xyli_code == XYLI_PENDING_CALL) {
		struct xyl_frame *callee = task->leaf;

		xyli_bounds_returned(task, callee);
		xyli_task_call_off(task);
		return xyli_done(task, -ENOMEM);
	}
	wait->kind->cancel(wait, XYLI_BOUNDED);
	if (!wait->kind && wait->result == -ECANCELED)
		wait->result = -ENOMEM;
	return op;
}

xyl_pending xyl_within(xyl_pending op, int64_t ns)
{
	struct xyl_task *task = xyl_self();
	const struct xyli_shard *shard;
	int64_t when;

	if (!task)
		xyli_misuse("xyl_within", "called outside a task");
	shard = task->wait.shard;
	if (op.xyli_code == 0 || (op.xyli_code != XYLI_PENDING_CALL && !task->wait.kind))
		return op; /* the result is here already */
	when = ns > 0 ? xyli_clock_add(xyli_shard_clock(shard), ns) : shard->now;
	if (!bound_new(task, op.xyli_code == XYLI_PENDING_CALL, when))
		return within_no_memory(task, op);
	return op;
}
