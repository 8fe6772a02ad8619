/* SPDX-License-Identifier: MIT */
/*
 * The life of an operation, lived.
 *
 * Design notes.  life.h decides, this file does: each function names the event and
 * carries out what the machine says, no more and no less.  A result whose waiter has
 * left is settled all the same: the kind adopts it.
 */
#include "rt/op.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/check.h"
#include "gc/heap.h"
#include "rt/shard.h"

#define RETRY_NS XYL_MS

static const char *const state_names[] = { "FREE", "QUEUED", "IN_KERNEL", "MULTISHOT",
					   "NOTIFYING" };
static const char *const event_names[XYLI_EVENTS] = {
	"START", "START_ALONE", "PUBLISH", "REFUSE",	  "MORE",	   "LAST",
	"WAKE",	 "ABANDON",	"CANCEL",  "CANCEL_SENT", "CANCEL_MISSED", "LOSE",
};

static _Noreturn void op_cannot(const struct xyli_op *op, enum xyli_life_event event)
{
	fprintf(stderr, "xylem: operation %s: %s while %s\n", op->kind->name, event_names[event],
		state_names[op->life.state]);
	abort();
}

/* What is to be done. */
static inline __attribute__((always_inline)) unsigned op_step(struct xyli_op *op,
							      enum xyli_life_event event)
{
	struct xyli_life_step step = xyli_life_step(op->life, event);

	if (__builtin_expect(step.todo & XYLI_DO_NOT, 0))
		op_cannot(op, event);
	op->life = step.life;
	return step.todo;
}

static void op_resume(struct xyli_op *op, ssize_t result)
{
	struct xyli_wait *waiter = op->waiter;

	op->waiter = NULL;
	xyli_wake(waiter, result);
}

static void op_unpin(struct xyli_op *op)
{
	struct xyl_stats *stats = &op->shard->stats;

	xyli_table_clear_own(&op->shard->ops, op->slot);
	if (op->life.stubborn)
		op->shard->files--;
	if (op->internal)
		return;
	xyli_count(&stats->ops_completed, 1);
	xyli_count(&stats->ops_outstanding, (uint64_t)-1);
	xyli_count(&stats->pinned_bytes, -(uint64_t)op->buf_bytes);
}

static inline void op_unlink(struct xyli_op *op)
{
	struct xyli_shard *shard = op->shard;

	if (__builtin_expect(!op->crowded, 1)) {
		xyli_ops_remove(&shard->backlog, op);
		return;
	}
	xyli_ops_remove(&shard->crowd, op);
	op->crowded = false;
}

static inline void op_unask(struct xyli_op *op)
{
	struct xyli_shard *shard = op->shard;

	xyli_ops_remove(op->patient ? &shard->retries : &shard->cancels, op);
	if (op->patient && !shard->retries.first)
		xyli_timer_stop(&shard->chores, &shard->retry_timer);
	op->patient = false;
}

/* Carry out the rest of it. */
static inline __attribute__((always_inline)) void op_do(struct xyli_op *op, unsigned todo,
							int result, unsigned cqe_flags)
{
	if (todo & XYLI_DO_UNLINK)
		op_unlink(op);
	if (__builtin_expect(todo & XYLI_DO_UNASK, 0))
		op_unask(op);
	if (todo & XYLI_DO_UNPIN)
		op_unpin(op);
	if (todo & XYLI_DO_SETTLE)
		op->kind->settle(op, result, cqe_flags);
}

/* ---- waiting for one ------------------------------------------------------------ */

/* Memory that only we know to be in use may not be given up before the last CQE. */
static bool op_names_foreign_memory(const struct xyli_op *op)
{
	return op->buf && !xyli_heap_base(op->buf);
}

static void op_ask(struct xyli_op *op)
{
	xyli_ops_append(&op->shard->cancels, op);
	xyli_count(&op->shard->stats.cancels, 1);
}

static void op_abandon(struct xyli_op *op)
{
	struct xyli_wait *waiter = op->waiter;
	unsigned todo = op_step(op, XYLI_EV_ABANDON);

	if (todo & XYLI_DO_RESUME) {
		waiter->abandoned = true;
		op_resume(op, -ECANCELED);
	}
	if (todo & XYLI_DO_ASK)
		op_ask(op);
	op_do(op, todo, -ECANCELED, 0);
}

static void op_wait_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyli_op *op = wait->on;

	if (why == XYLI_ABORTED && xyli_op_in_kernel(op) && !op_names_foreign_memory(op))
		op_abandon(op);
	else
		xyli_op_cancel(op);
}

static void op_wait_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyli_op *op = from->on;

	op->waiter = to;
}

static const struct xyli_wait_kind op_wait = { .name = "operation",
					       .cancel = op_wait_cancel,
					       .move = op_wait_move };

const char *xyli_wait_name(const struct xyli_wait *wait)
{
	const struct xyli_op *op = wait->on;

	return wait->kind == &op_wait ? op->kind->name : wait->kind->name;
}

void xyli_op_wake(struct xyli_op *op, ssize_t result)
{
	if (op_step(op, XYLI_EV_WAKE) & XYLI_DO_RESUME)
		op_resume(op, result);
}

void xyli_op_hand_over(struct xyli_op *from, struct xyli_op *to)
{
	struct xyli_wait *waiter = from->waiter;

	from->waiter = NULL;
	op_step(from, XYLI_EV_WAKE);
	xyli_op_start(from->shard, to, waiter);
}

/* ---- its events ----------------------------------------------------------------- */

static inline void op_start(struct xyli_shard *shard, struct xyli_op *op, struct xyli_wait *waiter)
{
	if (waiter)
		op_step(op, XYLI_EV_START);
	else
		op_step(op, XYLI_EV_START_ALONE);
	op->shard = shard;
	op->waiter = waiter;
	if (waiter) {
		waiter->kind = &op_wait;
		waiter->on = op;
	}
	xyli_ops_append(&shard->backlog, op);
}

void xyli_op_start(struct xyli_shard *shard, struct xyli_op *op, struct xyli_wait *waiter)
{
	op_start(shard, op, waiter);
}

xyl_pending xyli_op_await(struct xyli_shard *shard, struct xyli_op *op)
{
	XYLI_MUST(xyli_running->state == XYLI_RUNNING && !xyli_running->kind);
	op_start(shard, op, xyli_running);
	return (xyl_pending){ 1 };
}

void xyli_op_refuse(struct xyli_op *op, int error)
{
	op_do(op, op_step(op, XYLI_EV_REFUSE), error, 0);
}

static void op_cancel(struct xyli_op *op)
{
	unsigned todo = op_step(op, XYLI_EV_CANCEL);

	if (todo & XYLI_DO_ASK)
		op_ask(op);
	op_do(op, todo, -ECANCELED, 0);
}

/* The first of those on the backlog that it is linked with. */
static struct xyli_op *chain_head(struct xyli_op *op)
{
	for (unsigned far = 1; op->prev && op->prev->links >= far; far++)
		op = op->prev;
	return op;
}

/* All or none: without one of them the others may not be published. */
void xyli_op_cancel(struct xyli_op *op)
{
	struct xyli_op *next;
	unsigned left = 1;

	if (op->life.state == XYLI_OP_QUEUED) {
		op = chain_head(op);
		left += op->links;
	}
	for (; left > 0 && op; left--, op = next) {
		next = op->next;
		op_cancel(op);
	}
}

void xyli_op_cancel_sent(struct xyli_op *op)
{
	op_do(op, op_step(op, XYLI_EV_CANCEL_SENT), 0, 0);
}

static void ops_retry(struct xyli_timer *timer)
{
	struct xyli_shard *shard =
		(struct xyli_shard *)((char *)timer - offsetof(struct xyli_shard, retry_timer));

	while (shard->retries.first) {
		struct xyli_op *op = shard->retries.first;

		op_unask(op);
		xyli_ops_append(&shard->cancels, op);
	}
}

static bool retry_soon(struct xyli_shard *shard)
{
	if (shard->retries.first)
		return true; /* the timer runs */
	shard->retry_timer.fire = ops_retry;
	return xyli_timer_start(&shard->chores, &shard->retry_timer, xyli_clock() + RETRY_NS) == 0;
}

/* ENOENT: it was just being tried anew, neither polled nor running.  EALREADY: it runs,
 * and has been interrupted; but it may be past the point where it would notice, and then
 * go on waiting.  To ask at once could be for ever: it may not be interruptible. */
void xyli_op_cancel_missed(struct xyli_op *op, int res)
{
	struct xyli_shard *shard = op->shard;

	if ((res != -ENOENT && res != -EALREADY) ||
	    !(op_step(op, XYLI_EV_CANCEL_MISSED) & XYLI_DO_ASK))
		return;
	op->patient = res == -EALREADY && retry_soon(shard);
	xyli_ops_append(op->patient ? &shard->retries : &shard->cancels, op);
}

void xyli_op_lose(struct xyli_op *op)
{
	unsigned todo = op_step(op, XYLI_EV_LOSE);

	if (todo & XYLI_DO_RESUME)
		op_resume(op, XYLI_LOST);
	op_do(op, todo, XYLI_LOST, 0);
	if (xyli_op_in_kernel(op) && op->kind->lose)
		op->kind->lose(op);
}

void xyli_op_publish(struct xyli_op *op)
{
	struct xyl_stats *stats = &op->shard->stats;

	op_do(op, op_step(op, XYLI_EV_PUBLISH), 0, 0);
	if (op->life.stubborn)
		op->shard->files++;
	if (op->internal)
		return;
	xyli_count(&stats->ops_submitted, 1);
	xyli_count(&stats->ops_outstanding, 1);
	xyli_count(&stats->pinned_bytes, op->buf_bytes);
	if (op->kernel_writes)
		xyli_check_kernel_writes(op->buf, op->buf_bytes);
	else if (op->buf)
		xyli_check_kernel_reads(op->buf, op->buf_bytes);
}

/* ERESTARTSYS and its kin (512 to 516) mean EINTR, but io-wq lets them out. */
static bool is_interrupted(int res)
{
	return res == -EINTR || (res <= -512 && res >= -516);
}

/* io-wq ends a cancelled operation as interrupted, the others give ECANCELED.  What would
 * have been tried again ends, too.  And io-wq says ECANCELED of one that nobody cancelled,
 * when it gets no thread to run it on. */
static int op_error(const struct xyli_op *op, int res)
{
	bool interrupted = is_interrupted(res), restarts = op->kind->restarts;

	if (op->life.canceling)
		return interrupted || (res == -EAGAIN && restarts) ? -ECANCELED : res;
	if (res == -ECANCELED && restarts)
		return -EAGAIN;
	return interrupted ? -EINTR : res;
}

static inline int op_result(const struct xyli_op *op, int res)
{
	return __builtin_expect(res >= 0, 1) ? res : op_error(op, res);
}

void xyli_op_complete(struct xyli_op *op, int res, unsigned cqe_flags, bool more)
{
	if (op->kernel_writes && res > 0)
		xyli_check_kernel_wrote(op->buf, (size_t)res);
	if (more)
		op_do(op, op_step(op, XYLI_EV_MORE), op_result(op, res), cqe_flags);
	else
		op_do(op, op_step(op, XYLI_EV_LAST), op_result(op, res), cqe_flags);
}
