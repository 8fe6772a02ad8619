/* SPDX-License-Identifier: MIT */
/*
 * Stop: refuse new work, abort every task, run until none is live; cancel and reap
 * until no operation is outstanding; close every handle still open; silence the bell.
 *
 * Design notes.  Closing a ring does not stop the kernel from writing, so no stage may
 * be skipped.  Each stage is one question asked before every turn; a turn in between
 * sleeps in the ring as usual, but not past the deadline.  Nothing here needs memory.
 * Of a ring that has failed nothing is to be expected: what the kernel has stays pinned
 * in the graveyard, and the stop says so at once.
 */
#include <errno.h>

#include "spawn/runtime.h"
#include "spawn/task.h"

static void task_abort(uint32_t slot, void *obj, void *arg)
{
	(void)slot;
	(void)arg;
	xyl_abort(obj);
}

void xyli_quiesce_begin(struct xyli_shard *shard)
{
	shard->stopping = true;
	xyli_warp_release(&shard->warp);
	xyli_table_visit(&shard->tasks, task_abort, NULL);
}

static void op_cancel(uint32_t slot, void *obj, void *arg)
{
	struct xyli_op *op = obj;

	(void)slot;
	(void)arg;
	if (!op->internal)
		xyli_op_cancel(op);
}

/* Handles: those still held are closed, which may take turns; then the bell. */
static bool shard_is_silent(struct xyli_shard *shard)
{
	if (shard->close_handles && shard->close_handles(shard) > 0)
		return false;
	xyli_op_cancel(&shard->bell);
	return xyli_op_is_free(&shard->bell);
}

uint64_t xyli_quiesce_leak(const struct xyli_shard *shard)
{
	return shard->stats.ops_outstanding + !xyli_op_is_free(&shard->bell);
}

bool xyli_quiesce_is_lost(const struct xyli_shard *shard)
{
	return shard->broken && xyli_quiesce_leak(shard) > 0;
}

bool xyli_quiesce_step(struct xyli_shard *shard)
{
	if (xyli_table_count(&shard->tasks) > 0 || atomic_load(&shard->arriving) > 0)
		return false;
	if (shard->close_signals)
		shard->close_signals(shard);
	if (!xyli_inbox_is_empty(&shard->inbox))
		return false;
	if (xyli_quiesce_is_lost(shard)) {
		if (shard->close_handles)
			shard->close_handles(shard); /* those that no operation holds */
		return true;
	}
	if (shard->backlog.first || shard->crowd.first || shard->stats.ops_outstanding > 0) {
		while (shard->backlog.first)
			xyli_op_cancel(shard->backlog.first);
		while (shard->crowd.first)
			xyli_op_cancel(shard->crowd.first);
		xyli_table_visit(&shard->ops, op_cancel, NULL);
		shard->draining = true;
		return false;
	}
	return shard_is_silent(shard);
}

int xyli_quiesce(struct xyli_shard *shard, int64_t until_ns)
{
	uint64_t leak = 0;
	bool over, lost;

	shard->deadline = until_ns;
	xyli_quiesce_begin(shard);
	while (!(over = xyli_quiesce_step(shard)) && xyli_clock() < until_ns)
		xyli_shard_turn(shard);
	shard->deadline = XYLI_NEVER;
	lost = over && xyli_quiesce_is_lost(shard);
	if (lost)
		leak = xyli_quiesce_leak(shard);
	else if (!over)
		leak = shard->stats.ops_outstanding;
	__atomic_store_n(&shard->stats.leaked_pins, leak, __ATOMIC_RELAXED);
	if (lost)
		return XYLI_LOST;
	return over ? 0 : -ETIMEDOUT;
}
