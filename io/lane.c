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

static void lane_take(struct xyli_stream_op *op)
{
	op->lane->active = op;
	xyli_io_hold(op->op.handle);
}

static void lane_start(struct xyli_stream_op *op, struct xyli_wait *waiter)
{
	lane_take(op);
	xyli_op_start(waiter->shard, &op->op, waiter);
}

/* ---- waiting for one's turn ---------------------------------------------------------- */

/* A record that starts nothing: its task does what it wants to while it has the turn. */
static bool is_turn(const struct xyli_stream_op *op)
{
	return !op->op.kind && !op->ret_bytes;
}

static void turn_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyli_stream_op *op = wait->on;
	struct xyl_io *io = op->op.handle;

	xyli_waits_remove(&op->lane->queue, wait);
	xyli_wake(wait, -ECANCELED);
	xyli_stream_left(op);
	if (!is_turn(op))
		xyli_lane_spare(op);
	if (op->lane->queue.first)
		xyli_lane_next(op->lane); /* what he had gathered is theirs */
	else if (why == XYLI_ABORTED && op->lane == &io->in)
		xyli_receiver_desert(io);
}

static void turn_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyli_stream_op *op = from->on;

	xyli_waits_replace(&op->lane->queue, from, to);
}

static const struct xyli_wait_kind turn_wait = { .name = "its turn",
						 .cancel = turn_cancel,
						 .move = turn_move };
static const struct xyli_wait_kind some_wait = { .name = "read_some",
						 .cancel = turn_cancel,
						 .move = turn_move };

/* For the one whose turn it is: he stays in the queue, for a receive brings what comes. */
static bool lane_is_fed(const struct xyli_stream_op *op)
{
	struct xyl_io *io = op->op.handle;

	if (op->lane != &io->in)
		return false;
	return xyli_receiver_is_armed(io) || (op->ret_bytes && xyli_receiver_arm(io));
}

static void lane_queue(struct xyl_task *task, struct xyli_stream_op *op)
{
	xyli_wait_begin(&task->wait, op->ret_bytes ? &some_wait : &turn_wait, op);
	xyli_waits_append(&op->lane->queue, &task->wait);
}

xyl_pending xyli_lane_await(struct xyl_task *task, struct xyli_stream_op *op)
{
	if (!xyli_lane_is_free(op->lane) || lane_is_fed(op))
		lane_queue(task, op);
	else if (xyli_stream_aim(op))
		lane_start(op, &task->wait);
	else
		return xyli_done(task, -ENOMEM);
	return (xyl_pending){ 1 };
}

/* A turn is not fed: the receive must end first. */
static bool lane_is_kept(const struct xyli_stream_op *turn)
{
	struct xyl_io *io = turn->op.handle;

	if (turn->lane != &io->in || !xyli_receiver_is_armed(io))
		return false;
	xyli_receiver_shut(io);
	return true;
}

xyl_pending xyli_lane_turn(struct xyl_task *task, struct xyli_stream_op *op)
{
	if (xyli_lane_is_free(op->lane) && !lane_is_kept(op)) {
		lane_take(op);
		return xyli_done(task, 0);
	}
	lane_queue(task, op);
	return (xyl_pending){ 1 };
}

void xyli_lane_again(struct xyli_stream_op *op)
{
	struct xyli_wait *waiter = op->op.waiter;

	xyli_op_start(op->op.shard, &op->op, waiter);
}

/* The first in the queue gets his turn, or what is at hand for him.  False: he waits on. */
static bool lane_serve(struct xyli_lane *lane)
{
	struct xyli_wait *wait = lane->queue.first;
	struct xyli_stream_op *op = wait->on;
	ssize_t result = 0;
	bool turn = is_turn(op), at_hand = !turn && xyli_stream_at_hand(op, &result);

	if (turn ? lane_is_kept(op) : !at_hand && lane_is_fed(op))
		return false;
	xyli_waits_remove(&lane->queue, wait);
	if (turn)
		lane_take(op);
	if (!turn && !at_hand && xyli_stream_aim(op)) {
		lane_start(op, wait);
		return true;
	}
	xyli_wake(wait, turn || at_hand ? result : -ENOMEM);
	if (!turn)
		xyli_lane_spare(op);
	return true;
}

void xyli_lane_next(struct xyli_lane *lane)
{
	while (!lane->active && lane->queue.first && lane_serve(lane))
		;
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
