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

enum xyli_cancel_why xyli_task_canceled_why(const struct xyl_task *task)
{
	if (task->wait.aborted && !task->shields)
		return XYLI_ABORTED;
	for (const struct xyli_bound *bound = task->bounds; bound; bound = bound->outer)
		if (bound_reaches(bound) && bound->kind->why == XYLI_FIRED)
			return XYLI_FIRED;
	return XYLI_BOUNDED;
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

static void bounds_recount(struct xyl_task *task)
{
	task->wait.expired = false;
	for (const struct xyli_bound *bound = task->bounds; bound; bound = bound->outer)
		task->wait.expired |= bound->passed;
}

/* Off the stack.  Has it passed? */
static bool bound_pop(struct xyl_task *task)
{
	struct xyli_bound *bound = task->bounds;

	task->bounds = bound->outer;
	bound->outer = NULL;
	if (!bound->passed)
		return bound->kind->stop(bound);
	bounds_recount(task);
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
	bounds_recount(from); /* a token may have been fired since it was set */
	bounds_recount(to);
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
		xyli_task_call_off(task);
		return xyli_done(task, error);
	}
	wait->kind->cancel(wait, XYLI_BOUNDED);
	if (!wait->kind && wait->result == -ECANCELED)
		wait->result = error;
	return op;
}

/* ---- the clock's ---------------------------------------------------------------- */

struct clock_bound {
	struct xyli_bound bound; /* first */
	struct xyli_timer timer;
};

static void clock_fire(struct xyli_timer *timer)
{
	struct clock_bound *clock =
		(struct clock_bound *)((char *)timer - offsetof(struct clock_bound, timer));

	xyli_bound_pass(&clock->bound);
}

static bool clock_stop(struct xyli_bound *bound)
{
	struct clock_bound *clock = (struct clock_bound *)bound;

	xyli_timer_stop(&bound->task->wait.shard->timers, &clock->timer);
	return false;
}

static const struct xyli_bound_kind clock_kind = { XYLI_BOUNDED, clock_stop };
static const struct xyli_bound_kind fired_kind = { XYLI_FIRED, clock_stop };

static struct clock_bound *clock_new(struct xyli_shard *shard, int64_t when)
{
	struct clock_bound *clock = xyli_block_new(&shard->blocks, sizeof(*clock));

	if (!clock)
		return NULL;
	clock->timer.fire = clock_fire;
	return xyli_timer_start(&shard->timers, &clock->timer, when) < 0 ? NULL : clock;
}

static xyl_pending clock_set(struct xyl_task *task, xyl_pending op, int64_t when,
			     const struct xyli_bound_kind *kind)
{
	struct clock_bound *clock = clock_new(task->wait.shard, when);

	if (!clock)
		return xyli_bound_refuse(task, op, -ENOMEM);
	xyli_bound_set(&clock->bound, kind, task, op);
	return op;
}

xyl_pending xyli_bound_now(struct xyl_task *task, xyl_pending op)
{
	return clock_set(task, op, task->wait.shard->now, &fired_kind);
}

xyl_pending xyl_within(xyl_pending op, int64_t ns)
{
	struct xyl_task *task = xyl_self();
	const struct xyli_shard *shard;
	int64_t when;

	if (!task)
		xyli_misuse("xyl_within", "called outside a task");
	shard = task->wait.shard;
	if (!xyli_bound_is_needed(task, op))
		return op;
	when = ns > 0 ? xyli_clock_add(xyli_shard_clock(shard), ns) : shard->now;
	return clock_set(task, op, when, &clock_kind);
}
