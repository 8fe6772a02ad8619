/* SPDX-License-Identifier: MIT */
/*
 * The life of an operation.
 *
 * Design notes.  Every change of state goes through op_move, which asserts the old
 * one.  Only F_MORE decides whether more CQEs come, never the result.  A result whose
 * waiter has left is settled all the same: the kind adopts it.
 */
#include "rt/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <liburing.h>

#include "gc/check.h"
#include "gc/heap.h"
#include "rt/shard.h"

static const char *const state_names[] = { "FREE",	"QUEUED",    "IN_KERNEL",
					   "MULTISHOT", "NOTIFYING", "DONE" };

/* From which states each may be entered: a set of bits. */
static const unsigned entered_from[] = {
	[XYLI_OP_FREE] = 1u << XYLI_OP_DONE,
	[XYLI_OP_QUEUED] = 1u << XYLI_OP_FREE,
	[XYLI_OP_IN_KERNEL] = 1u << XYLI_OP_QUEUED,
	[XYLI_OP_MULTISHOT] = 1u << XYLI_OP_IN_KERNEL | 1u << XYLI_OP_MULTISHOT,
	[XYLI_OP_NOTIFYING] = 1u << XYLI_OP_IN_KERNEL,
	[XYLI_OP_DONE] = 1u << XYLI_OP_QUEUED | 1u << XYLI_OP_IN_KERNEL | 1u << XYLI_OP_MULTISHOT |
			 1u << XYLI_OP_NOTIFYING,
};

static void op_move(struct xyli_op *op, enum xyli_op_state to)
{
	if (__builtin_expect(!(entered_from[to] & 1u << op->state), 0)) {
		fprintf(stderr, "xylem: operation %s: %s -> %s\n", op->kind->name,
			state_names[op->state], state_names[to]);
		abort();
	}
	op->state = (uint8_t)to;
}

/* ---- waiting for one ------------------------------------------------------------ */

/* Memory that only we know to be in use may not be given up before the last CQE. */
static bool op_names_foreign_memory(const struct xyli_op *op)
{
	return op->buf && !xyli_heap_base(op->buf);
}

static void op_wait_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyli_op *op = wait->on;

	if (op->state != XYLI_OP_QUEUED && why == XYLI_ABORTED && !op_names_foreign_memory(op)) {
		op->waiter = NULL;
		wait->abandoned = true;
		xyli_wake(wait, -ECANCELED);
	}
	xyli_op_cancel(op);
}

static void op_wait_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyli_op *op = from->on;

	op->waiter = to;
}

static const struct xyli_wait_kind op_wait = { "operation", op_wait_cancel, op_wait_move };

const char *xyli_wait_name(const struct xyli_wait *wait)
{
	const struct xyli_op *op = wait->on;

	return wait->kind == &op_wait ? op->kind->name : wait->kind->name;
}

void xyli_op_wake(struct xyli_op *op, ssize_t result)
{
	struct xyli_wait *waiter = op->waiter;

	op->waiter = NULL;
	if (waiter)
		xyli_wake(waiter, result);
}

/* ---- its states ----------------------------------------------------------------- */

void xyli_op_start(struct xyli_shard *shard, struct xyli_op *op, struct xyli_wait *waiter)
{
	op_move(op, XYLI_OP_QUEUED);
	op->shard = shard;
	op->waiter = waiter;
	op->canceling = false;
	if (waiter) {
		waiter->kind = &op_wait;
		waiter->on = op;
	}
	xyli_ops_append(&shard->backlog, op);
}

xyl_pending xyli_op_await(struct xyli_shard *shard, struct xyli_op *op)
{
	XYLI_MUST(shard->running->state == XYLI_RUNNING && !shard->running->kind);
	xyli_op_start(shard, op, shard->running);
	return (xyl_pending){ 1 };
}

void xyli_op_refuse(struct xyli_op *op, int error)
{
	xyli_ops_remove(&op->shard->backlog, op);
	op_move(op, XYLI_OP_DONE);
	op_move(op, XYLI_OP_FREE);
	op->kind->settle(op, error, 0);
}

void xyli_op_cancel(struct xyli_op *op)
{
	bool asked = op->canceling;

	if (op->state == XYLI_OP_QUEUED) {
		op->canceling = true; /* settling asks */
		xyli_op_refuse(op, -ECANCELED);
		return;
	}
	if (!xyli_op_in_kernel(op) || asked)
		return;
	op->canceling = true;
	if (op->stubborn)
		return;
	xyli_ops_append(&op->shard->cancels, op);
	xyli_count(&op->shard->stats.cancels, 1);
}

static bool op_is_to_be_canceled(const struct xyli_op *op)
{
	return op->prev || op->shard->cancels.first == op;
}

/* The kernel does not find an operation that it is just trying anew (a connect to a
 * full backlog, say): neither polled nor running, but waiting to be run. */
void xyli_op_cancel_missed(struct xyli_op *op, int res)
{
	if (res == -ENOENT && xyli_op_in_kernel(op) && !op_is_to_be_canceled(op))
		xyli_ops_append(&op->shard->cancels, op);
}

uint64_t xyli_op_tag(const struct xyli_op *op)
{
	uint32_t generation = xyli_table_generation(&op->shard->ops, op->slot);

	return (uint64_t)generation << XYLI_TAG_GENERATION | op->slot;
}

void xyli_op_publish(struct xyli_op *op)
{
	struct xyl_stats *stats = &op->shard->stats;

	op_move(op, XYLI_OP_IN_KERNEL);
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

static void op_unpin(struct xyli_op *op)
{
	struct xyl_stats *stats = &op->shard->stats;

	xyli_table_clear_own(&op->shard->ops, op->slot);
	if (op->internal)
		return;
	xyli_count(&stats->ops_completed, 1);
	xyli_count(&stats->ops_outstanding, (uint64_t)-1);
	xyli_count(&stats->pinned_bytes, -(uint64_t)op->buf_bytes);
}

/* A cancel that was asked for but not yet submitted is not needed any more. */
static void op_forget_cancel(struct xyli_op *op)
{
	if (op_is_to_be_canceled(op))
		xyli_ops_remove(&op->shard->cancels, op);
}

/* ERESTARTSYS and its kin (512 to 516) mean EINTR, but io-wq lets them out. */
static bool is_interrupted(int res)
{
	return res == -EINTR || (res <= -512 && res >= -516);
}

/* io-wq ends a cancelled operation as interrupted, the others give ECANCELED.  It also
 * says so of one that nobody cancelled, when it gets no thread to run it on. */
static int op_result(const struct xyli_op *op, int res)
{
	if (res == -ECANCELED && !op->canceling)
		return -EAGAIN;
	if (!is_interrupted(res))
		return res;
	return op->canceling ? -ECANCELED : -EINTR;
}

void xyli_op_complete(struct xyli_op *op, int res, unsigned cqe_flags, bool more)
{
	if (op->kernel_writes && res > 0)
		xyli_check_kernel_wrote(op->buf, (size_t)res);
	if (more) {
		op_move(op,
			op->opcode == IORING_OP_SEND_ZC ? XYLI_OP_NOTIFYING : XYLI_OP_MULTISHOT);
	} else {
		op_forget_cancel(op);
		op_unpin(op);
		op_move(op, XYLI_OP_DONE);
		op_move(op, XYLI_OP_FREE);
	}
	op->kind->settle(op, op_result(op, res), cqe_flags);
}
