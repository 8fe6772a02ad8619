/* SPDX-License-Identifier: MIT */
/*
 * bound.h - what may end an await before its time: the clock (xyl_within), a token (xyl_until).
 *
 *	set ──> passed ──> popped		set ──> popped: the await was over first
 */
#ifndef XYLI_SPAWN_BOUND_H
#define XYLI_SPAWN_BOUND_H

#include "spawn/task.h"

struct xyli_bound_kind {
	enum xyli_cancel_why why; /* how it cuts an await: XYLI_BOUNDED, XYLI_FIRED */
	/* The await is over, and it has not passed: it must not do so any more.  True: it was
	 * about to, and word of it on the way. */
	bool (*stop)(struct xyli_bound *bound);
};

struct xyli_bound { /* begins a struct of its kind's */
	struct xyli_bound *outer;
	struct xyl_task *task;
	struct xyl_frame *frame;
	const struct xyli_bound_kind *kind;
	uint16_t shields; /* the task's when it was set: shields begun since keep it out */
	bool is_call;
	bool passed;
	bool cut;  /* it has cancelled the await under way */
	bool seen; /* an await has given -ECANCELED for it */
};

/* The running task has started `op`: is there anything to bound?  Or is its result here? */
static inline bool xyli_bound_is_needed(const struct xyl_task *task, xyl_pending op)
{
	return op.xyli_code == XYLI_PENDING_CALL || (op.xyli_code != 0 && task->wait.kind);
}

void xyli_bound_set(struct xyli_bound *bound, const struct xyli_bound_kind *kind,
		    struct xyl_task *task, xyl_pending op);

/* It passes: on the shard of its task, at most once, and not after it was stopped. */
void xyli_bound_pass(struct xyli_bound *bound);

/* As if a token had been fired at the end of this turn: what is ready by then is taken. */
xyl_pending xyli_bound_now(struct xyl_task *task, xyl_pending op);

/* What cannot be bounded must not run unbounded: op gives `error`, and is over, or will be. */
xyl_pending xyli_bound_refuse(struct xyl_task *task, xyl_pending op, int error);

#endif
