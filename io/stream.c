/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing at the descriptor's own position.
 *
 * Design notes.  Nothing that has been received is lost: bytes that come for a reader
 * who has left, and those that a whole read had gathered before it failed, are copied
 * to the handle's pushback, which the next reader empties before it asks the kernel.
 * (A copy, since the one who left may write to his buffer.)  Nothing that has been sent
 * is sent twice: a write that was cut short after a part of it had gone out breaks the
 * stream, for nobody knows where it stands.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/socket.h>

#include "io/handle.h"
#include "rt/buffers.h"

#define SOME_MAX 4096 /* bytes that xyl_read_some gives */

static bool op_was_cut(const struct xyli_stream_op *op, int res)
{
	const struct xyl_io *io = op->op.handle;

	return !op->op.waiter || op->op.life.canceling || (io->closing && res <= 0);
}

/* An interrupted or incomplete transfer goes on, while someone waits for it. */
bool xyli_stream_goes_on(struct xyli_stream_op *op, int res)
{
	if (res > 0 && (!op->whole || op->done + (size_t)res >= op->want))
		return false;
	return !op_was_cut(op, res) && (xyli_io_is_interrupted(&op->op, res) || res > 0);
}

void xyli_stream_advance(struct xyli_stream_op *op, int res)
{
	if (res > 0)
		op->done += (size_t)res;
	op->op.buf = op->buf + op->done;
	op->op.len = op->op.buf_bytes = xyli_io_length(op->want - op->done);
}

/* Cut off by a close: the error is ours, not what the shutdown made the kernel say. */
static ssize_t op_error(const struct xyli_stream_op *op, int res)
{
	const struct xyl_io *io = op->op.handle;

	return io->closing && res <= 0 ? -ECANCELED : res;
}

/* It goes on, or its waiter is told what came of it, and the lane is free. */
static void transfer_settle(struct xyli_stream_op *op, int res,
			    ssize_t (*outcome)(struct xyli_stream_op *op, int res))
{
	if (xyli_stream_goes_on(op, res)) {
		xyli_stream_advance(op, res);
		xyli_lane_again(op);
		return;
	}
	xyli_op_wake(&op->op, outcome(op, res));
	xyli_lane_settled(op);
}

/* ---- reading ------------------------------------------------------------------------ */

/* The pushback is empty: whoever asked the kernel had emptied it before. */
static void pushback_put(struct xyl_io *io, const char *bytes, size_t len)
{
	XYLI_MUST(io->pushback_len == 0);
	io->pushback = xyl_alloc_bytes(len);
	if (!io->pushback) {
		io->torn = true; /* every later read says so */
		return;
	}
	memcpy(io->pushback, bytes, len);
	io->pushback_len = len;
}

static size_t pushback_shorten(struct xyl_io *io, size_t max)
{
	size_t n = io->pushback_len < max ? io->pushback_len : max;

	io->pushback_len -= n;
	io->pushback = io->pushback_len ? io->pushback + n : NULL;
	return n;
}

static size_t pushback_take(struct xyl_io *io, char *buf, size_t len)
{
	const char *bytes = io->pushback;
	size_t n = pushback_shorten(io, len);

	if (n > 0)
		memcpy(buf, bytes, n);
	return n;
}

/* Its bytes as they lie there: a piece of collected memory, like any other buffer, and no
 * more at once than one of those holds. */
static size_t pushback_give(struct xyl_io *io, char **ret_bytes)
{
	*ret_bytes = io->pushback;
	return pushback_shorten(io, SOME_MAX);
}

static void read_adopt(struct xyli_stream_op *op)
{
	struct xyl_io *io = op->op.handle;

	if (op->done == 0 || io->closing)
		return;
	pushback_put(io, op->buf, op->done);
	xyli_adopted(io->shard, &io->shard->stats.adopted_bytes);
}

void xyli_stream_left(struct xyli_stream_op *op)
{
	const struct xyl_io *io = op->op.handle;

	if (op->lane == &io->in)
		read_adopt(op);
}

/* For a buffer of the reader's own: as much as it takes, or as there is. */
static bool copy_at_hand(struct xyli_stream_op *op, ssize_t *ret_result)
{
	struct xyl_io *io = op->op.handle;
	ssize_t error;

	op->done += pushback_take(io, op->buf + op->done, op->want - op->done);
	if (io->receiver)
		op->done += xyli_receiver_copy(io, op->buf + op->done, op->want - op->done);
	*ret_result = (ssize_t)op->done;
	if (op->done == op->want || (op->done > 0 && !op->whole))
		return true;
	xyli_stream_advance(op, 0);
	error = io->receiver ? xyli_receiver_take(io, NULL) : 0;
	if (error == 0)
		return false;
	read_adopt(op);
	*ret_result = error;
	return true;
}

bool xyli_stream_at_hand(struct xyli_stream_op *op, ssize_t *ret_result)
{
	struct xyl_io *io = op->op.handle;

	if (op->lane == &io->out || io->torn) {
		*ret_result = io->torn ? -EIO : -EPIPE;
		return io->torn || io->broken;
	}
	if (!op->ret_bytes)
		return copy_at_hand(op, ret_result);
	*ret_result = io->pushback_len ? (ssize_t)pushback_give(io, op->ret_bytes)
				       : xyli_receiver_take(io, op->ret_bytes);
	return *ret_result != 0;
}

/* What the reader is told: a count, or an error, and then no byte of it was his. */
static ssize_t read_outcome(struct xyli_stream_op *op, int res)
{
	const struct xyl_io *io = op->op.handle;
	bool short_of_all, refused;

	if (res > 0)
		op->done += (size_t)res;
	short_of_all = op->whole && res > 0 && op->done < op->want;
	refused = res < 0 || (res == 0 && io->closing);
	if (op->op.waiter && !refused && !(short_of_all && op_was_cut(op, res))) {
		if (op->ret_bytes && op->done)
			*op->ret_bytes = op->buf;
		return (ssize_t)op->done;
	}
	read_adopt(op);
	return res > 0 ? -ECANCELED : op_error(op, res);
}

static void read_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	(void)cqe_flags;
	transfer_settle((struct xyli_stream_op *)op, res, read_outcome);
}

static const struct xyli_op_kind read_kind = { .name = "read",
					       .settle = read_settle,
					       .restarts = true };

/* ---- writing ------------------------------------------------------------------------ */

ssize_t xyli_write_outcome(struct xyli_stream_op *op, int res)
{
	struct xyl_io *io = op->op.handle;
	bool cut = op_was_cut(op, res);

	if (res > 0)
		op->done += (size_t)res;
	if (res >= 0 && (op->done == op->want || (op->op.waiter && !op->whole)))
		return (ssize_t)op->done;
	if (op->done > 0 && cut) {
		io->broken = true;
		xyli_adopted(io->shard, &io->shard->stats.adopted_writes);
	}
	if (op->op.waiter && !cut && res >= 0)
		return (ssize_t)op->done;
	return res > 0 ? -ECANCELED : op_error(op, res);
}

void xyli_write_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	(void)cqe_flags;
	transfer_settle((struct xyli_stream_op *)op, res, xyli_write_outcome);
}

static const struct xyli_op_kind write_kind = { .name = "write",
						.settle = xyli_write_settle,
						.restarts = true };

/* ---- the four operations ------------------------------------------------------------ */

/* What stays as it is while the record is used for the same again. */
static void op_shape(struct xyli_stream_op *op, const struct xyli_op_kind *kind, bool whole)
{
	const struct xyl_io *io = op->op.handle;
	bool reads = kind == &read_kind;
	bool socket = io->kind == XYLI_IO_SOCKET;

	op->whole = whole;
	op->op.kind = kind;
	op->op.opcode = reads ? (socket ? IORING_OP_RECV : IORING_OP_READ)
			      : (socket ? IORING_OP_SEND : IORING_OP_WRITE);
	op->op.off = socket ? 0 : (uint64_t)-1; /* the file's own position */
	op->op.kernel_writes = reads;
	op->op.life.stubborn = io->kind == XYLI_IO_FILE;
	op->op.life.zero_copy = false;
	op->op.prompt = !reads || op->op.life.stubborn;
	op->op.divisible = whole;
	op->op.life.zero_copy = false;
	op->op.op_flags = 0;
	if (socket && !reads)
		op->op.op_flags = MSG_NOSIGNAL | (whole ? MSG_WAITALL : 0);
}

static void op_aim(struct xyli_stream_op *op, void *buf, size_t len, bool whole)
{
	const struct xyl_io *io = op->op.handle;
	const struct xyli_op_kind *kind = op->lane == &io->in ? &read_kind : &write_kind;

	if (op->op.kind != kind || op->whole != whole)
		op_shape(op, kind, whole);
	op->buf = buf;
	op->want = whole ? len : xyli_io_length(len);
	op->op.again = 0;
	xyli_stream_advance(op, 0);
}

void xyli_write_aim(struct xyli_stream_op *op, const void *buf, size_t len)
{
	op_aim(op, (void *)(uintptr_t)buf, len, true);
}

bool xyli_stream_aim(struct xyli_stream_op *op)
{
	size_t room;
	char *buf;

	if (!op->ret_bytes)
		return true;
	buf = xyli_buffers_private(&room);
	if (buf)
		op_aim(op, buf, room, false);
	return buf != NULL;
}

static xyl_pending transfer(const char *function, struct xyl_io *io, struct xyli_lane *lane,
			    void *buf, size_t len, bool whole)
{
	struct xyl_task *task = xyli_task_calling(function);
	struct xyli_stream_op *op;
	ssize_t result;
	int r = xyli_io_begin(task, io);

	if (r < 0)
		return xyli_done(task, r);
	op = xyli_lane_record(io, lane);
	if (!op)
		return xyli_done(task, -ENOMEM);
	op_aim(op, buf, len, whole);
	if (xyli_lane_is_free(lane) && xyli_stream_at_hand(op, &result)) {
		xyli_lane_spare(op);
		return xyli_done(task, result);
	}
	return xyli_lane_await(task, op);
}

xyl_pending xyl_read(struct xyl_io *io, void *buf, size_t len)
{
	return transfer("xyl_read", io, &io->in, buf, len, false);
}

xyl_pending xyl_read_full(struct xyl_io *io, void *buf, size_t len)
{
	return transfer("xyl_read_full", io, &io->in, buf, len, true);
}

xyl_pending xyl_write(struct xyl_io *io, const void *buf, size_t len)
{
	return transfer("xyl_write", io, &io->out, (void *)(uintptr_t)buf, len, false);
}

xyl_pending xyl_write_all(struct xyl_io *io, const void *buf, size_t len)
{
	return transfer("xyl_write_all", io, &io->out, (void *)(uintptr_t)buf, len, true);
}
