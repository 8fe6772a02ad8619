/* SPDX-License-Identifier: MIT */
/*
 * Reading without a buffer of one's own.
 *
 * Design notes.  One multishot receive stands behind a socket's in lane; the kernel takes
 * a provided buffer when bytes arrive, so a reader who waits holds none, and a busy
 * connection asks the kernel once for many receives.  Readers of both kinds wait in the
 * lane's own queue and are served from what has arrived: those who bring a buffer get a
 * copy, the others the bytes where they lie.  Leaving the queue is always possible at
 * once.
 *
 *	armed		when a reader without a buffer is the first to wait
 *	cancelled	when he is aborted and nobody else waits, when too much lies
 *			unread, or the handle closes
 *
 * Where there is no multishot receive (Linux before 6.0, no buffer ring, or no socket)
 * a reader gets a fresh buffer for himself; a refusal is remembered.  So is it, once,
 * when the kernel has run out of buffers and no more can be had.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/socket.h>

#include "io/handle.h"
#include "rt/buffers.h"

#define UNREAD_FULL 16 /* buffers on one handle: then the socket itself is to keep the rest */

struct xyli_receiver {
	struct xyli_op op; /* first */
	struct xyli_arrivals arrivals;
	int error;	 /* came behind them; 0 */
	bool refused;	 /* there is to be none on this handle */
	bool fresh;	 /* armed, and nothing has come of it yet */
	uint8_t starved; /* so many times there was no buffer, and nothing has come since */
	bool deserted;	 /* a reader was aborted; what comes now was meant for him */
};

/* ---- what has arrived ------------------------------------------------------------------- */

size_t xyli_receiver_copy(struct xyl_io *io, char *buf, size_t len)
{
	struct xyli_receiver *receiver = io->receiver;

	if (!receiver || !receiver->arrivals.count)
		return 0;
	return xyli_buffers_copy(io->shard->buffers, &receiver->arrivals, buf, len);
}

ssize_t xyli_receiver_take(struct xyl_io *io, char **ret_bytes)
{
	struct xyli_receiver *receiver = io->receiver;
	ssize_t error;
	size_t len;

	if (!receiver)
		return 0;
	if (receiver->arrivals.count && ret_bytes) {
		*ret_bytes = xyli_buffers_lend(io->shard->buffers, &receiver->arrivals, &len);
		return (ssize_t)len;
	}
	error = receiver->error;
	receiver->error = 0;
	return error;
}

void xyli_receiver_empty(struct xyl_io *io)
{
	struct xyli_receiver *receiver = io->receiver;
	size_t dropped;

	if (!receiver || !receiver->arrivals.count)
		return;
	dropped = xyli_buffers_drop(io->shard->buffers, &receiver->arrivals);
	while (dropped-- > 0)
		xyli_adopted(io->shard, &io->shard->stats.adopted_buffers);
}

/* ---- the operation ------------------------------------------------------------------------ */

bool xyli_receiver_is_armed(const struct xyl_io *io)
{
	return io->receiver && !xyli_op_is_free(&io->receiver->op);
}

/* The first in the queue learns of the end, or of what went wrong. */
static void queue_tell(struct xyl_io *io, int res)
{
	struct xyli_wait *wait = io->in.queue.first;
	struct xyli_stream_op *op = wait->on;

	xyli_waits_remove(&io->in.queue, wait);
	xyli_wake(wait, res == 0 ? (ssize_t)op->done : res);
	if (res < 0)
		xyli_stream_left(op);
	xyli_lane_spare(op);
}

/* A Unix socket that is not connected says the same to any receive. */
static bool is_connected(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

static void receive_refused(struct xyl_io *io)
{
	io->receiver->refused = true;
	if (is_connected(io->fd))
		io->shard->multishot_refused = true;
}

/* It has ended; what for? */
static void receive_ended(struct xyl_io *io, int res)
{
	struct xyli_receiver *receiver = io->receiver;

	if (res == -EINVAL && receiver->fresh)
		receive_refused(io);
	else if (res == -ENOBUFS)
		receiver->starved++;
	else if (res == -ECANCELED || xyli_io_is_interrupted(&receiver->op, res))
		return; /* again, if anyone still waits */
	else if (io->in.queue.first)
		queue_tell(io, res);
	else
		receiver->error = res; /* the end can be asked for again, an error cannot */
}

static void receive_arrived(struct xyl_io *io, int res, unsigned cqe_flags)
{
	struct xyli_receiver *receiver = io->receiver;

	xyli_buffers_arrive(io->shard->buffers, &receiver->arrivals, cqe_flags,
			    res > 0 ? (size_t)res : 0);
	receiver->starved = 0;
	if (io->closing)
		xyli_receiver_empty(io);
	else if (receiver->deserted && res > 0)
		xyli_adopted(io->shard, &io->shard->stats.adopted_bytes);
	if (receiver->arrivals.count >= UNREAD_FULL)
		xyli_op_cancel(&receiver->op);
}

static void receive_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct xyl_io *io = op->handle;

	if (cqe_flags & IORING_CQE_F_BUFFER)
		receive_arrived(io, res, cqe_flags);
	if (res <= 0 && !io->closing)
		receive_ended(io, res);
	io->receiver->fresh = false;
	if (!io->closing)
		xyli_lane_next(&io->in);
	if (!(cqe_flags & IORING_CQE_F_MORE))
		xyli_io_release(io);
}

static const struct xyli_op_kind receive_kind = { .name = "receive", .settle = receive_settle };

static struct xyli_receiver *receiver_of(struct xyl_io *io)
{
	struct xyli_receiver *receiver = io->receiver;

	if (receiver || !xyli_buffers_of(io->shard))
		return receiver;
	receiver = xyl_new(struct xyli_receiver);
	if (!receiver)
		return NULL;
	receiver->op.kind = &receive_kind;
	receiver->op.opcode = IORING_OP_RECV;
	receiver->op.ioprio = IORING_RECV_MULTISHOT;
	receiver->op.sqe_flags = IOSQE_BUFFER_SELECT;
	receiver->op.buf_group = XYLI_BUFFERS_GROUP;
	receiver->op.fd = io->fd;
	receiver->op.handle = io;
	return io->receiver = receiver;
}

/* The kernel finds a buffer when bytes come.  If it found none last time, and there still
 * is none, or it found none twice, whatever we know: false, once. */
static bool finds_a_buffer(struct xyli_receiver *receiver, struct xyli_shard *shard)
{
	bool any = xyli_buffers_more(shard->buffers);

	if (receiver->starved == 0 || (receiver->starved == 1 && any))
		return true;
	receiver->starved = 0;
	return false;
}

bool xyli_receiver_arm(struct xyl_io *io)
{
	struct xyli_receiver *receiver = NULL;

	if (io->kind == XYLI_IO_SOCKET && !io->shard->multishot_refused)
		receiver = receiver_of(io);
	if (!receiver || receiver->refused || !finds_a_buffer(receiver, io->shard))
		return false;
	receiver->deserted = false;
	receiver->fresh = true;
	xyli_io_hold(io);
	xyli_op_start(io->shard, &receiver->op, NULL);
	return true;
}

void xyli_receiver_desert(struct xyl_io *io)
{
	if (!xyli_receiver_is_armed(io))
		return;
	io->receiver->deserted = true;
	xyli_op_cancel(&io->receiver->op);
}

void xyli_receiver_shut(struct xyl_io *io)
{
	if (io->receiver)
		xyli_op_cancel(&io->receiver->op);
}

/* ---- reading -------------------------------------------------------------------------------- */

xyl_pending xyl_read_some(struct xyl_io *io, char **ret_bytes)
{
	struct xyl_task *task = xyli_task_calling("xyl_read_some");
	struct xyli_stream_op *op;
	ssize_t result;
	int r = xyli_io_begin(task, io);

	if (r < 0)
		return xyli_done(task, r);
	op = xyli_lane_record(io, &io->in);
	if (!op)
		return xyli_done(task, -ENOMEM);
	op->ret_bytes = ret_bytes;
	if (xyli_lane_is_free(&io->in) && xyli_stream_at_hand(op, &result)) {
		xyli_lane_spare(op);
		return xyli_done(task, result);
	}
	return xyli_lane_await(task, op);
}

void xyl_read_done(const char *bytes)
{
	struct xyli_shard *shard = xyli_here;

	if (shard && shard->buffers)
		xyli_buffers_return(shard->buffers, bytes);
}
