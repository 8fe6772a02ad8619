/* SPDX-License-Identifier: MIT */
/*
 * task.h - a task: a spawned frame with its callees.
 *
 *	task = wait 48 + links 48 + slot 8 + first frame (32 + the user's)	one block
 *
 * It is in flight from spawn to finish; for so long one slot of its shard's task table
 * names it, and all that it needs hangs off it.  Its result is its first frame's.
 */
#ifndef XYLI_SPAWN_TASK_H
#define XYLI_SPAWN_TASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/inbox.h"
#include "rt/shard.h"
#include "rt/wait.h"
#include "xylem/xylem.h"

struct xyli_bound;
struct xyli_member;

struct xyl_task {
	struct xyli_wait wait;	   /* first: the loop's view of it */
	struct xyl_frame *leaf;	   /* the innermost frame */
	struct xyli_bound *bounds; /* innermost first */
	struct xyli_waits joiners;
	struct xyli_member *member; /* of a scope, or NULL */
	struct xyli_post abort_post;
	uint32_t slot; /* in the task table */
	uint16_t shields;
};

_Static_assert(offsetof(struct xyl_task, wait) == 0, "a wait is cast to its task");
_Static_assert(sizeof(struct xyl_task) % 16 == 8, "task_shift aligns the first frame");

static inline struct xyl_task *xyli_task_of(struct xyli_wait *wait)
{
	return (struct xyl_task *)wait;
}

static inline struct xyl_frame *xyli_task_first_frame(const struct xyl_task *task)
{
	return (struct xyl_frame *)(uintptr_t)(task + 1);
}

/* Not stopping, and not full. */
static inline bool xyli_shard_takes_tasks(const struct xyli_shard *shard)
{
	if (atomic_load_explicit(&shard->stopping, memory_order_relaxed))
		return false;
	return !shard->task_limit ||
	       xyli_table_count(&shard->tasks) +
			       atomic_load_explicit(&shard->arriving, memory_order_relaxed) <
		       shard->task_limit;
}

static inline bool xyli_task_is_done(const struct xyl_task *task)
{
	return __atomic_load_n(&task->wait.state, __ATOMIC_ACQUIRE) == XYLI_DONE;
}

/* Of the whole block. */
static inline size_t xyli_task_size(const struct xyl_task *task)
{
	return sizeof(*task) + xyli_task_first_frame(task)->fn->size;
}

/* Set up, rooted, NEW; not on the run queue.  NULL: no memory. */
struct xyl_task *xyli_task_new(struct xyli_shard *shard, const struct xyli_fn *fn,
			       const void *init);

/* The same from another thread: it is not rooted before it has arrived at its shard,
 * where it is told to run; there, it may be refused, and is then done with -ECANCELED. */
struct xyl_task *xyli_task_new_outside(struct xyli_shard *shard, const struct xyli_fn *fn,
				       const void *init);
void xyli_task_arrive(struct xyl_task *task);

ssize_t xyli_join_result(const struct xyl_task *joined); /* of a finished one */

/* A frame in a block of its own, for a call. */
struct xyl_frame *xyli_frame_new(struct xyli_shard *shard, const struct xyli_fn *fn,
				 const void *init);

/* The loop's way into tasks: resume up to turn_budget of those that are ready. */
unsigned xyli_tasks_run(struct xyli_shard *shard);

/* The call that was to be next is not made: the frame has returned, without having begun. */
static inline void xyli_task_call_off(struct xyl_task *task)
{
	struct xyl_frame *callee = task->leaf;

	callee->line = XYLI_RETURNED;
	task->leaf = callee->caller;
	callee->caller = NULL; /* a stream stays, and keeps nobody who has not pulled it */
	if (callee->stays)
		((struct xyl_stream *)callee)->elem = NULL;
}

/* A frame has returned: the bounds that were set on it are over. */
void xyli_bounds_returned(struct xyl_task *task, struct xyl_frame *frame);
/* The await is over: so are the bounds set on it, and they have their say in the result. */
void xyli_bounds_awaited(struct xyl_task *task);
/* Does a bound that has passed reach the current await?  Then its owner will be told. */
bool xyli_bounds_reach(struct xyl_task *task);
/* Hand the bounds set on the current await, or on `callee`, to another task. */
void xyli_bounds_move(struct xyl_task *from, struct xyl_task *to, struct xyl_frame *callee);

/* NULL: no memory, or the scope is closed. */
struct xyli_member *xyli_member_new(struct xyl_scope *scope, struct xyli_shard *shard);
void xyli_scope_enter(struct xyli_member *member, struct xyl_task *task);
void xyli_scope_leave(struct xyl_task *task);

/* ---- at the start of every operation ------------------------------------------- */

_Noreturn void xyli_misuse(const char *function, const char *what) __attribute__((cold));
_Noreturn void xyli_not_calling(const char *function) __attribute__((cold));

/* The task that calls; it must have awaited what it started before. */
static inline struct xyl_task *xyli_task_calling(const char *function)
{
	struct xyli_wait *wait = xyli_running;

	if (__builtin_expect(wait->kind != NULL, 0)) /* nobody's is set, too */
		xyli_not_calling(function);
	return xyli_task_of(wait);
}

/* Aborted, or past a bound: it may be that its awaits are cancelled. */
static inline bool xyli_task_is_bothered(const struct xyl_task *task)
{
	return __builtin_expect(task->wait.aborted || task->wait.expired, 0);
}

static inline bool xyli_task_is_canceled(struct xyl_task *task)
{
	if (!xyli_task_is_bothered(task))
		return false;
	return (task->wait.aborted && !task->shields) ||
	       (task->wait.expired && xyli_bounds_reach(task));
}

/* Of one that is, for who counts them: an abort before a token, a token before the clock. */
enum xyli_cancel_why xyli_task_canceled_why(const struct xyl_task *task);

/* The result is known at once.  Now and then the task is suspended all the same, so
 * that aborts, timers and the other tasks get their turn. */
static inline xyl_pending xyli_done_on(struct xyli_shard *shard, struct xyl_task *task,
				       ssize_t result)
{
	if (__builtin_expect(--shard->credit > 0, 1)) {
		task->leaf->result = result;
		return (xyl_pending){ 0 };
	}
	task->wait.result = result;
	return (xyl_pending){ 1 };
}

static inline xyl_pending xyli_done(struct xyl_task *task, ssize_t result)
{
	return xyli_done_on(task->wait.shard, task, result);
}

/* xyl_pending: 0 the result is in the frame; 1 suspend; 2 suspend, a callee is next. */
#define XYLI_PENDING_CALL 2

/* A frame is next, of which the running task's is the caller. */
static inline xyl_pending xyli_call_frame(struct xyl_task *task, struct xyl_frame *frame)
{
	frame->caller = task->leaf;
	task->leaf = frame;
	return (xyl_pending){ XYLI_PENDING_CALL };
}

#endif
