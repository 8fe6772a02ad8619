/* SPDX-License-Identifier: MIT */
/*
 * Writing without a copy.
 *
 * Design notes.  The kernel answers twice: how much it has taken on, and, when its network
 * stack has let go of the pages, a notification.  The lane is free after the first, so
 * that writes follow each other without waiting for the peer; the record, which pins the
 * buffer, lives until the second.  It holds its handle no longer than the first: what is
 * missing then names no descriptor, and comes when the peer pleases, who may not read for
 * ever.  A writer whose buffer is collected goes on after the first answer, too: the
 * buffer is the kernel's for good, and the collector sees to the rest.  One whose buffer
 * is foreign waits for the second, of each part if there are several.
 *
 * A failed one may give an error with F_MORE, and then a notification: only F_MORE
 * counts.  What cannot be sent so (Unix sockets, old kernels) is written as ever, and the
 * handle remembers; so is, for once, what is past RLIMIT_MEMLOCK, against which the
 * kernel counts the pages.
 *
 * Source: io_uring's zero-copy send (Pavel Begunkov, Linux 6.0).
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/socket.h>

#include "gc/heap.h"
#include "io/handle.h"

static void zero_copy_settle(struct xyli_op *base, int res, unsigned cqe_flags);

static const struct xyli_op_kind zero_copy_kind = { .name = "write_zc",
						    .settle = zero_copy_settle,
						    .restarts = true };

/* A record of its own: the lane's spare one would be taken again too early. */
static struct xyli_stream_op *record_new(struct xyl_io *io, const void *buf, size_t len,
					 bool copies)
{
	struct xyli_stream_op *op = xyli_block_new(&io->shard->blocks, sizeof(*op));

	if (!op)
		return NULL;
	op->op.handle = io;
	op->op.fd = io->fd;
	op->lane = &io->out;
	xyli_write_aim(op, buf, len);
	if (copies)
		return op;
	op->op.kind = &zero_copy_kind;
	op->op.opcode = IORING_OP_SEND_ZC;
	op->op.life.zero_copy = true;
	return op;
}

/* What is left of it, for the same waiter, whose turn it still is.  False: no memory. */
static bool rest_start(struct xyli_stream_op *op, bool copies)
{
	struct xyl_io *io = op->op.handle;
	struct xyli_stream_op *rest = record_new(io, op->buf, op->want, copies);

	if (!rest)
		return false;
	rest->done = op->done;
	xyli_stream_advance(rest, 0);
	op->lane->active = rest;
	xyli_io_hold(io);
	xyli_op_hand_over(&op->op, &rest->op);
	return true;
}

/* Only its waiter knows that its buffer is in use. */
static bool is_foreign(const struct xyli_stream_op *op)
{
	return !xyli_heap_base(op->buf);
}

/* The kernel has taken on what it will, and the next write may begin. */
static void sent(struct xyli_stream_op *op, ssize_t result)
{
	struct xyl_io *io = op->op.handle;

	op->result = result;
	if (!op->op.waiter && result > 0)
		xyli_adopted(io->shard, &io->shard->stats.adopted_zero_copies);
	if (!is_foreign(op))
		xyli_op_wake(&op->op, result);
	op->lane->active = NULL;
	if (!io->closing)
		xyli_lane_next(op->lane);
}

/* The kernel has answered, and will again. */
static void answered(struct xyli_stream_op *op, int res)
{
	struct xyl_io *io = op->op.handle;
	bool goes_on = xyli_stream_goes_on(op, res);

	if (goes_on && res > 0)
		op->done += (size_t)res;
	if (goes_on && is_foreign(op)) {
		op->paused = true;
		return;
	}
	if (op->op.waiter)
		op->op.waiter->abandoned = true; /* the buffer may lie in one of its frames */
	if (!goes_on) {
		sent(op, xyli_write_outcome(op, res));
	} else if (!rest_start(op, io->copies)) {
		io->broken |= op->done > 0;
		sent(op, -ENOMEM);
	}
	xyli_io_release(io);
}

/* The kernel has let go of the buffer: whoever waited for that goes on, or his write does. */
static void let_go(struct xyli_stream_op *op)
{
	if (!op->paused) {
		xyli_op_wake(&op->op, op->result);
		return;
	}
	op->paused = false;
	xyli_write_settle(&op->op, op->op.life.canceling ? -ECANCELED : -EINTR, 0);
}

/* It is not to be sent so: as ever, then, if anyone waits for it. */
static bool copy_start(struct xyli_stream_op *op, int res)
{
	struct xyl_io *io = op->op.handle;

	io->copies |= res != -ENOMEM;
	if (!op->op.waiter || op->op.life.canceling || !rest_start(op, true))
		return false;
	xyli_io_release(io);
	return true;
}

static void zero_copy_settle(struct xyli_op *base, int res, unsigned cqe_flags)
{
	struct xyli_stream_op *op = (struct xyli_stream_op *)base;

	if (cqe_flags & IORING_CQE_F_NOTIF) {
		let_go(op);
		return;
	}
	if (res == -EOPNOTSUPP || res == -EINVAL || res == -ENOMEM) {
		if (copy_start(op, res))
			return;
		res = base->life.canceling ? -ECANCELED : -ENOMEM;
	}
	if (cqe_flags & IORING_CQE_F_MORE)
		answered(op, res);
	else
		xyli_write_settle(base, res, cqe_flags);
}

xyl_pending xyl_write_zc(struct xyl_io *io, const void *buf, size_t len)
{
	struct xyl_task *task = xyli_task_calling("xyl_write_zc");
	struct xyli_stream_op *op;
	ssize_t result;
	int r = xyli_io_begin(task, io);

	if (r < 0)
		return xyli_done(task, r);
	if (io->kind != XYLI_IO_SOCKET || io->copies)
		return xyl_write_all(io, buf, len);
	op = record_new(io, buf, len, false);
	if (!op)
		return xyli_done(task, -ENOMEM);
	if (xyli_lane_is_free(&io->out) && xyli_stream_at_hand(op, &result))
		return xyli_done(task, result);
	return xyli_lane_await(task, op);
}
