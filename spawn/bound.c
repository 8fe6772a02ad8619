/* SPDX-License-Identifier: MIT */
/*
 * Bounds, and that of the clock: xyl_within.
 *
 * Design notes.  A bound is set on one await (its frame is the one that awaits) or on a
 * call (its frame is the callee).  When it passes it cancels what the task awaits,
 * and it goes on doing so at each later await until its frame has returned.  It has its
 * say in the result only if its cancelling was seen: a result that came first wins.
 * Bounds nest as frames do, so they are a stack.  Of those on one await a token's word
 * counts for more than the clock's.
 */
#include "spawn/bound.h"

#include <errno.h>

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

void xyli_bound_pass(struct xyli_bound *bound)
{
	struct xyl_task *task = bound->task;

	bound->passed = true;
	task->wait.expired = true;
	if (!bound_reaches(bound))
		return;
	if (task->wait.kind) {
		bound->cut = true;
		task->wait.kind->cancel(&task->wait, bound->kind->why);
	} else {
		bound->cut = task_was_cut(task);
	}
}

/* Off the stack.  Has it passed? */
static bool bound_pop(struct xyl_task *task)
{
	struct xyli_bound *bound = task->bounds;

	task->bounds = bound->outer;
	bound->outer = NULL;
	if (!bound->passed)
		return bound->kind->stop(bound);
	task->wait.expired = false;
	for (bound = task->bounds; bound; bound = bound->outer)
		task->wait.expired |= bound->passed;
	return true;
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

/* Off the stack, those that were set on this frame.  What they say: 0, nothing. */
static int bounds_end(struct xyl_task *task, const struct xyl_frame *frame, bool is_call)
{
	bool seen = false, fired = false;
	struct xyli_bound *bound;

	while ((bound = task->bounds) && bound->is_call == is_call && bound->frame == frame) {
		seen |= bound->seen;
		fired |= bound_pop(task) && bound->kind->why == XYLI_FIRED;
	}
	if (!seen || !task_may_time_out(task))
		return 0;
	return fired ? -ECANCELED : -ETIMEDOUT;
}

void xyli_bounds_awaited(struct xyl_task *task)
{
	int error;

	if (task->wait.expired)
		bounds_look(task);
	error = bounds_end(task, task->leaf, false);
	if (error)
		task->wait.result = error;
}

void xyli_bounds_returned(struct xyl_task *task, struct xyl_frame *frame)
{
	int error = bounds_end(task, frame, true);

	if (error)
		frame->result = error;
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

void xyli_bound_set(struct xyli_bound *bound, const struct xyli_bound_kind *kind,
		    struct xyl_task *task, xyl_pending op)
{
	bound->kind = kind;
	bound->task = task;
	bound->frame = task->leaf;
	bound->is_call = op.xyli_code == XYLI_PENDING_CALL;
	bound->shields = task->shields;
	bound->outer = task->bounds;
	task->bounds = bound;
}

xyl_pending xyli_bound_refuse(struct xyl_task *task, xyl_pending op, int error)
{
	struct xyli_wait *wait = &task->wait;

	if (op.xyli_code == XYLI_PENDING_CALL) {
		struct xyl_frame *callee = task->leaf;

		xyli_bounds_returned(task, callee);
		task->leaf = callee->caller;
		return xyli_done(task, error);
	}
	wait->kind->cancel(wait, XYLI_BOUNDED);
	if (!wait->kind && wait->result == -ECANCELED)
		wait->result = error;
	return op;
}

/* ---- xyl_within ----------------------------------------------------------------- */

struct within {
	struct xyli_bound bound;
	struct xyli_timer timer;
};

_Static_assert(offsetof(struct within, bound) == 0, "a bound is cast to its struct");

static void within_fire(struct xyli_timer *timer)
{
	struct within *within = (struct within *)((char *)timer - offsetof(struct within, timer));

	xyli_bound_pass(&within->bound);
}

static bool within_stop(struct xyli_bound *bound)
{
	struct within *within = (struct within *)bound;

	xyli_timer_stop(&bound->task->wait.shard->timers, &within->timer);
	return false;
}

static const struct xyli_bound_kind within_kind = { XYLI_BOUNDED, within_stop };

static struct within *within_new(struct xyli_shard *shard, int64_t when)
{
	struct within *within = xyli_block_new(&shard->blocks, sizeof(*within));

	if (!within)
		return NULL;
	within->timer.fire = within_fire;
	return xyli_timer_start(&shard->timers, &within->timer, when) < 0 ? NULL : within;
}

xyl_pending xyl_within(xyl_pending op, int64_t ns)
{
	struct xyl_task *task = xyl_self();
	struct within *within;
	int64_t when;

	if (!task)
		xyli_misuse("xyl_within", "called outside a task");
	if (!xyli_bound_is_needed(task, op))
		return op;
	when = ns > 0 ? xyli_clock_add(xyli_clock(), ns) : task->wait.shard->now;
	within = within_new(task->wait.shard, when);
	if (!within)
		return xyli_bound_refuse(task, op, -ENOMEM);
	xyli_bound_set(&within->bound, &within_kind, task, op);
	return op;
}
