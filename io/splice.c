/* SPDX-License-Identifier: MIT */
/*
 * Splicing: bytes go from one handle to another inside the kernel.
 *
 * Design notes.  A splice reads and writes, so it takes its turn twice: in the reading
 * lane of one handle, then in the writing lane of the other.  Nothing else holds a turn
 * while it waits for another, and splices wait for writing turns only while they hold a
 * reading one, never the other way round: so they cannot wait for each other in a ring.
 * The operation keeps both turns until its last CQE, whoever has left by then.
 *
 * Either handle may be closed while the splice waits for its turn at the other one, so
 * each handle knows of the splices that are about it.
 *
 * Bytes that were put back for the next reader go first, by a write, straight from where
 * they lie: what does not get out stays there.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/socket.h>

#include "io/handle.h"

/* A splice is about two handles, and on the list of each. */
struct xyli_splice_end {
	struct xyli_splice_end *next;
	struct splice *splice;
};

struct splice {
	struct xyli_stream_op out, in; /* the turns; the first is the operation */
	struct xyli_splice_end at_from, at_to;
	struct xyli_wait *waiter; /* the task; NULL: it has left */
	struct xyl_io *from, *to;
	bool from_pushback;
};

/* ---- the handles' lists --------------------------------------------------------------- */

static void end_add(struct xyl_io *io, struct xyli_splice_end *end, struct splice *splice)
{
	*end = (struct xyli_splice_end){ io->splices, splice };
	io->splices = end;
}

static void end_remove(struct xyl_io *io, struct xyli_splice_end *end)
{
	struct xyli_splice_end **at = &io->splices;

	while (*at != end)
		at = &(*at)->next;
	*at = end->next;
	end->next = NULL;
}

/* Whether it waits for a turn or for the kernel.  One that does neither will look. */
void xyli_splices_shut(struct xyl_io *io)
{
	for (struct xyli_splice_end *end = io->splices; end; end = end->next) {
		struct xyli_wait *wait = end->splice->waiter;

		if (wait->state == XYLI_WAITING && wait->kind)
			wait->kind->cancel(wait, XYLI_BOUNDED);
	}
}

/* It is no record for others to use again: it names both handles. */
static void turn_end(struct xyli_stream_op *turn)
{
	struct xyli_stream_op *spare = turn->lane->spare;

	xyli_lane_settled(turn);
	turn->lane->spare = spare;
}

/* ---- the operation -------------------------------------------------------------------- */

static void pushback_prepare(struct splice *splice, struct io_uring_sqe *sqe)
{
	struct xyli_op *op = &splice->out.op;
	bool socket = splice->to->kind == XYLI_IO_SOCKET;
	size_t left = splice->from->pushback_len;

	op->buf = splice->from->pushback;
	op->buf_bytes = left < op->len ? (uint32_t)left : op->len;
	sqe->opcode = socket ? IORING_OP_SEND : IORING_OP_WRITE;
	sqe->off = socket ? 0 : (uint64_t)-1;
	sqe->addr = (uintptr_t)op->buf;
	sqe->len = op->buf_bytes;
	sqe->msg_flags = socket ? MSG_NOSIGNAL : 0;
}

static void splice_prepare(struct xyli_op *op, struct io_uring_sqe *sqe)
{
	struct splice *splice = (struct splice *)op;

	splice->from_pushback = splice->from->pushback_len > 0;
	if (splice->from_pushback) {
		pushback_prepare(splice, sqe);
		return;
	}
	sqe->splice_off_in = (uint64_t)-1; /* at the file's own position, as is off */
	sqe->splice_fd_in = splice->from->fd;
}

/* A close has dropped them already. */
static void pushback_drop(struct xyl_io *io, size_t n)
{
	if (!io->pushback)
		return;
	io->pushback += n;
	io->pushback_len -= n;
	if (io->pushback_len == 0)
		io->pushback = NULL;
}

static bool is_closing(const struct splice *splice)
{
	return splice->from->closing || splice->to->closing;
}

static bool splice_goes_on(struct splice *splice, int res)
{
	if (splice->out.op.life.canceling)
		return false;
	return xyli_io_is_interrupted(&splice->in.op, res) &&
	       xyli_io_is_interrupted(&splice->out.op, res);
}

static void splice_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct splice *splice = (struct splice *)op;

	(void)cqe_flags;
	if (res > 0 && splice->from_pushback)
		pushback_drop(splice->from, (size_t)res);
	if (splice_goes_on(splice, res)) {
		xyli_op_start(op->shard, op, op->waiter);
		return;
	}
	if (res > 0 && !op->waiter) { /* nobody knows how much */
		splice->to->broken = true;
		xyli_adopted(op->shard, &op->shard->stats.adopted_splices);
	}
	xyli_op_wake(op, res <= 0 && is_closing(splice) ? -ECANCELED : res);
	turn_end(&splice->in);
	turn_end(&splice->out);
}

static const struct xyli_op_kind splice_kind = {
	.name = "splice", .settle = splice_settle, .prepare = splice_prepare, .restarts = true
};

/* ---- turn by turn ------------------------------------------------------------------------ */

static int splice_begin(struct xyl_task *task, const struct splice *splice)
{
	if (xyli_task_is_canceled(task) || is_closing(splice))
		return -ECANCELED;
	if (splice->from->torn)
		return -EIO;
	return splice->to->broken ? -EPIPE : 0;
}

static xyl_pending turn_await(struct splice *splice, struct xyli_stream_op *turn)
{
	struct xyl_task *task = xyli_task_calling("xyl_splice");
	int r = splice_begin(task, splice);

	return r < 0 ? xyli_done(task, r) : xyli_lane_turn(task, turn);
}

/* What a receive into provided buffers has brought, or that it has failed. */
static int arrivals_put_back(struct xyl_io *io)
{
	ssize_t n = io->pushback_len ? 0 : xyli_receiver_take(io, &io->pushback);

	if (n > 0)
		io->pushback_len = (size_t)n;
	return n < 0 ? (int)n : 0;
}

static xyl_pending bytes_await(struct splice *splice)
{
	struct xyl_task *task = xyli_task_calling("xyl_splice");
	int r = splice_begin(task, splice);

	if (r == 0)
		r = arrivals_put_back(splice->from);
	if (r == 0) {
		splice->out.op.kind = &splice_kind;
		return xyli_op_await(task->wait.shard, &splice->out.op);
	}
	turn_end(&splice->in);
	turn_end(&splice->out);
	return xyli_done(task, r);
}

struct splice_bytes {
	struct xyl_frame frame;
	struct splice *splice;
	ssize_t n;
};

static void splice_enter(struct splice *splice)
{
	splice->waiter = &xyl_self()->wait;
	end_add(splice->from, &splice->at_from, splice);
	end_add(splice->to, &splice->at_to, splice);
}

static void splice_leave(struct splice *splice)
{
	end_remove(splice->from, &splice->at_from);
	end_remove(splice->to, &splice->at_to);
	splice->waiter = NULL;
}

static xyl_step splice_bytes(void *frame)
{
	struct splice_bytes *self = frame;

	XYL_BEGIN(self)
	splice_enter(self->splice);
	XYL_AWAIT(self->n, turn_await(self->splice, &self->splice->in));
	if (self->n == 0) {
		XYL_AWAIT(self->n, turn_await(self->splice, &self->splice->out));
		if (self->n == 0)
			XYL_AWAIT(self->n, bytes_await(self->splice));
		else
			turn_end(&self->splice->in);
	}
	splice_leave(self->splice);
	XYL_END(self->n);
}

/* ---- xyl_splice ---------------------------------------------------------------------------- */

static void turn_init(struct xyli_stream_op *turn, struct xyl_io *io, struct xyli_lane *lane)
{
	turn->op.fd = io->fd;
	turn->op.handle = io;
	turn->lane = lane;
}

static struct splice *splice_new(struct xyl_io *from, struct xyl_io *to, size_t len)
{
	struct splice *splice = xyli_block_new(&from->shard->blocks, sizeof(*splice));

	if (!splice)
		return NULL;
	splice->from = from;
	splice->to = to;
	turn_init(&splice->in, from, &from->in);
	turn_init(&splice->out, to, &to->out);
	splice->out.op.opcode = IORING_OP_SPLICE;
	splice->out.op.off = (uint64_t)-1;
	splice->out.op.len = xyli_io_length(len);
	return splice;
}

xyl_pending xyl_splice(struct xyl_io *from, struct xyl_io *to, size_t len)
{
	struct xyl_task *task = xyli_task_calling("xyl_splice");
	struct splice_bytes args = { .n = 0 };
	int r = xyli_io_begin(task, from);

	if (r == 0)
		r = xyli_io_use(to, task->wait.shard);
	if (r == 0 && from->kind != XYLI_IO_PIPE && to->kind != XYLI_IO_PIPE)
		r = -EINVAL;
	if (r < 0 || len == 0)
		return xyli_done(task, r);
	args.splice = splice_new(from, to, len);
	return args.splice ? xyli_call(XYLI_FN(splice_bytes), &args) : xyli_done(task, -ENOMEM);
}
