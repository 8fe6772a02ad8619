/* SPDX-License-Identifier: MIT */
/*
 * Accepting.
 *
 * Design notes.  A connection that arrives for an acceptor who has left goes to the next
 * in the queue, or else is kept with the listener.  One place is enough: an acceptor
 * takes the kept one before it asks the kernel, and the kernel is asked by one at a time.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/handle.h"

/* The descriptor becomes a handle, or is closed. */
static ssize_t accept_deliver(struct xyli_stream_op *op, int fd)
{
	struct xyl_io *io = op->op.handle;
	struct xyl_io *accepted = xyli_io_new(fd, XYLI_IO_SOCKET);

	if (!accepted || xyli_io_use(accepted, io->shard) < 0) {
		xyli_io_close_late(io->shard, fd);
		return -ENOMEM;
	}
	*op->ret_io = accepted;
	return 0;
}

static void accept_adopt(struct xyl_io *io, int fd)
{
	xyli_count(&io->shard->stats.adopted_results, 1);
	if (io->closing)
		xyli_io_close_late(io->shard, fd);
	else
		io->stashed_fd = fd;
}

bool xyli_accept_at_hand(struct xyli_stream_op *op, ssize_t *ret_result)
{
	struct xyl_io *io = op->op.handle;
	int fd = io->stashed_fd;

	if (fd < 0)
		return false;
	io->stashed_fd = -1;
	*ret_result = accept_deliver(op, fd);
	return true;
}

/* A connection that was gone before we took it says nothing about the next. */
static bool accept_goes_on(const struct xyli_stream_op *op, int res)
{
	const struct xyl_io *io = op->op.handle;

	return op->op.waiter && !op->op.canceling && !io->closing &&
	       (res == -EINTR || res == -ECONNABORTED);
}

static void accept_settle(struct xyli_op *base, int res, unsigned cqe_flags)
{
	struct xyli_stream_op *op = (struct xyli_stream_op *)base;
	struct xyl_io *io = base->handle;

	(void)cqe_flags;
	if (accept_goes_on(op, res)) {
		xyli_lane_again(op);
		return;
	}
	if (res >= 0 && base->waiter)
		xyli_op_wake(base, accept_deliver(op, res));
	else if (res >= 0)
		accept_adopt(io, res);
	else
		xyli_op_wake(base, io->closing ? -ECANCELED : res);
	xyli_lane_settled(op);
}

const struct xyli_op_kind xyli_accept_kind = { "accept", accept_settle };

xyl_pending xyl_accept(struct xyl_io *listener, struct xyl_io **ret_io)
{
	struct xyl_task *task = xyli_task_calling("xyl_accept");
	struct xyli_stream_op *op;
	ssize_t result;
	int r = xyli_io_begin(task, listener);

	if (r < 0)
		return xyli_done(task, r);
	op = xyli_lane_record(listener, &listener->in);
	if (!op)
		return xyli_done(task, -ENOMEM);
	op->op.kind = &xyli_accept_kind;
	op->op.opcode = IORING_OP_ACCEPT;
	op->op.op_flags = SOCK_CLOEXEC;
	op->ret_io = ret_io;
	if (xyli_lane_is_free(&listener->in) && xyli_accept_at_hand(op, &result)) {
		listener->in.spare = op;
		return xyli_done(task, result);
	}
	return xyli_lane_await(task, op);
}
