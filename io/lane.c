/* SPDX-License-Identifier: MIT */
/*
 * Lanes: one operation of a direction at a time, first come first served.
 *
 * Design notes.  An abandoned operation stays the lane's active one until its last CQE:
 * whoever comes next waits behind it, and gets what it may still bring in.  The record
 * of a settled operation is kept for the next one on this lane; nobody else knows it.
 */
#include <errno.h>

#include "io/handle.h"

bool xyli_lane_is_free(const struct xyli_lane *lane)
{
	return !lane->active && !lane->queue.first;
}

struct xyli_stream_op *xyli_lane_record(struct xyl_io *io, struct xyli_lane *lane)
{
	struct xyli_stream_op *op = lane->spare;

	lane->spare = NULL;
	if (op) {
		op->done = 0;
		return op;
	}
	op = xyli_block_new(&io->shard->blocks, sizeof(*op));
	if (!op)
		return NULL;
	op->op.fd = io->fd;
	op->op.handle = io;
	op->lane = lane;
	return op;
}

void xyli_lane_spare(struct xyli_stream_op *op)
{
	op->buf = NULL;
	op->op.buf = NULL;
	op->ret_bytes = NULL;
	op->lane->spare = op;
}

static void lane_start(struct xyli_stream_op *op, struct xyli_wait *waiter)
{
	struct xyl_io *io = op->op.handle;

	op->lane->active = op;
	xyli_io_hold(io);
	xyli_op_start(io->shard, &op->op, waiter);
}

/* ---- waiting for one's turn ---------------------------------------------------------- */

static void turn_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyli_stream_op *op = wait->on;
	struct xyl_io *io = op->op.handle;

	xyli_waits_remove(&op->lane->queue, wait);
	xyli_wake(wait, -ECANCELED);
	xyli_stream_left(op);
	xyli_lane_spare(op);
	if (why == XYLI_ABORTED && op->lane == &io->in && !io->in.queue.first)
		xyli_receiver_desert(io);
}

static void turn_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyli_stream_op *op = from->on;

	xyli_waits_replace(&op->lane->queue, from, to);
}

static const struct xyli_wait_kind turn_wait = { "its turn", turn_cancel, turn_move };
static const struct xyli_wait_kind some_wait = { "read_some", turn_cancel, turn_move };

/* For the one whose turn it is: he stays in the queue, for a receive brings what comes. */
static bool lane_is_fed(const struct xyli_stream_op *op)
{
	struct xyl_io *io = op->op.handle;

	if (op->lane != &io->in)
		return false;
	return xyli_receiver_is_armed(io) || (op->ret_bytes && xyli_receiver_arm(io));
}

xyl_pending xyli_lane_await(struct xyl_task *task, struct xyli_stream_op *op)
{
	if (xyli_lane_is_free(op->lane) && !lane_is_fed(op)) {
		if (!xyli_stream_aim(op))
			return xyli_done(task, -ENOMEM);
		lane_start(op, &task->wait);
		return (xyl_pending){ 1 };
	}
	xyli_wait_begin(&task->wait, op->ret_bytes ? &some_wait : &turn_wait, op);
	xyli_waits_append(&op->lane->queue, &task->wait);
	return (xyl_pending){ 1 };
}

void xyli_lane_again(struct xyli_stream_op *op)
{
	struct xyli_wait *waiter = op->op.waiter;

	xyli_op_start(op->op.shard, &op->op, waiter);
}

void xyli_lane_next(struct xyli_lane *lane)
{
	while (!lane->active && lane->queue.first) {
		struct xyli_wait *wait = lane->queue.first;
		struct xyli_stream_op *op = wait->on;
		ssize_t result = -ENOMEM;
		bool at_hand = xyli_stream_at_hand(op, &result);

		if (!at_hand && lane_is_fed(op))
			return;
		xyli_waits_remove(&lane->queue, wait);
		if (!at_hand && xyli_stream_aim(op)) {
			lane_start(op, wait);
			return;
		}
		xyli_wake(wait, result);
		xyli_lane_spare(op);
	}
}

void xyli_lane_settled(struct xyli_stream_op *op)
{
	struct xyl_io *io = op->op.handle;
	struct xyli_lane *lane = op->lane;

	lane->active = NULL;
	xyli_lane_spare(op);
	if (lane->queue.first && !io->closing)
		xyli_lane_next(lane);
	xyli_io_release(io);
}

static void queue_wake(struct xyli_lane *lane, ssize_t result)
{
	while (lane->queue.first) {
		struct xyli_wait *wait = lane->queue.first;

		xyli_waits_remove(&lane->queue, wait);
		xyli_wake(wait, result);
	}
}

void xyli_lane_lose(struct xyli_lane *lane)
{
	queue_wake(lane, XYLI_LOST);
}

void xyli_lane_shut(struct xyli_lane *lane)
{
	queue_wake(lane, -ECANCELED);
	if (lane->active)
		xyli_op_cancel(&lane->active->op);
}
