/* SPDX-License-Identifier: MIT */
/*
 * Files: open, positional reads and writes, fsync; and readiness of foreign descriptors.
 *
 * Design notes.  Positional operations know no order, so there is no lane: any number
 * are under way at once, each with a record of its own.  A read that the page cache can
 * serve is served at once (preadv2 with RWF_NOWAIT): that is faster than any ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/uio.h>

#include "io/birth.h"
#include "io/handle.h"

struct file_op {
	struct xyli_op op;	/* first */
	struct xyl_io **ret_io; /* open */
};

static struct file_op *file_op_new(struct xyl_task *task, const struct xyli_op_kind *kind,
				   uint8_t opcode, int fd)
{
	struct file_op *op = xyli_block_new(&task->wait.shard->blocks, sizeof(*op));

	if (!op)
		return NULL;
	op->op.kind = kind;
	op->op.opcode = opcode;
	op->op.fd = fd;
	return op;
}

/* ---- on an open file ------------------------------------------------------------------ */

static void file_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct xyl_io *io = op->handle;

	(void)cqe_flags;
	if (res < 0 && op->waiter && !op->life.canceling && !io->closing &&
	    xyli_io_is_interrupted(op, res)) {
		xyli_op_start(op->shard, op, op->waiter);
		return;
	}
	xyli_op_wake(op, res < 0 && io->closing ? -ECANCELED : res);
	op->buf = NULL;
	op->next = io->spares;
	io->spares = op;
	io->positional--;
	xyli_io_release(io);
}

static const struct xyli_op_kind read_at_kind = { .name = "read_at",
						  .settle = file_settle,
						  .restarts = true };
static const struct xyli_op_kind write_at_kind = { .name = "write_at",
						   .settle = file_settle,
						   .restarts = true };
static const struct xyli_op_kind fsync_kind = { .name = "fsync",
						.settle = file_settle,
						.restarts = true };

/* A settled record is known to nobody but us: as many are kept as were ever under way. */
static struct xyli_op *record_new(struct xyl_task *task, struct xyl_io *io,
				  const struct xyli_op_kind *kind, uint8_t opcode)
{
	struct xyli_op *op = io->spares;

	if (op)
		io->spares = op->next;
	else
		op = xyli_block_new(&task->wait.shard->blocks, sizeof(*op));
	if (!op)
		return NULL;
	*op = (struct xyli_op){ .kind = kind, .opcode = opcode, .fd = io->fd, .handle = io };
	op->life.stubborn = op->prompt = io->kind == XYLI_IO_FILE;
	return op;
}

static xyl_pending record_await(struct xyl_task *task, struct xyl_io *io, struct xyli_op *op)
{
	xyli_io_hold(io);
	io->positional++;
	return xyli_op_await(task->wait.shard, op);
}

/* A system call of one's own is the fastest way for one; several share the ring's. */
static bool shard_is_alone(const struct xyli_shard *shard)
{
	return !shard->ready.first && !shard->backlog.first;
}

/* All of it from the page cache, or nothing; the end of the file counts as nothing. */
static bool read_from_cache(struct xyl_io *io, void *buf, size_t len, int64_t offset)
{
	struct iovec iov = { buf, len };
	ssize_t n;

	if (!io->reads_nowait || !shard_is_alone(io->shard))
		return false;
	n = preadv2(io->fd, &iov, 1, offset, RWF_NOWAIT);
	if (n < 0 && errno == EOPNOTSUPP)
		io->reads_nowait = false;
	return n == (ssize_t)len;
}

static xyl_pending positional(const char *function, const struct xyli_op_kind *kind,
			      struct xyl_io *io, void *buf, size_t len, int64_t offset)
{
	struct xyl_task *task = xyli_task_calling(function);
	bool reads = kind == &read_at_kind;
	struct xyli_op *op;
	int r = xyli_io_begin(task, io);

	if (r == 0 && offset < 0)
		r = -EINVAL;
	if (r < 0)
		return xyli_done(task, r);
	len = xyli_io_length(len);
	if (reads && read_from_cache(io, buf, len, offset))
		return xyli_done(task, (ssize_t)len);
	op = record_new(task, io, kind, reads ? IORING_OP_READ : IORING_OP_WRITE);
	if (!op)
		return xyli_done(task, -ENOMEM);
	op->buf = buf;
	op->len = op->buf_bytes = (uint32_t)len;
	op->off = (uint64_t)offset;
	op->kernel_writes = reads;
	return record_await(task, io, op);
}

xyl_pending xyl_read_at(struct xyl_io *io, void *buf, size_t len, int64_t offset)
{
	return positional("xyl_read_at", &read_at_kind, io, buf, len, offset);
}

xyl_pending xyl_write_at(struct xyl_io *io, const void *buf, size_t len, int64_t offset)
{
	return positional("xyl_write_at", &write_at_kind, io, (void *)(uintptr_t)buf, len, offset);
}

xyl_pending xyl_fsync(struct xyl_io *io)
{
	struct xyl_task *task = xyli_task_calling("xyl_fsync");
	struct xyli_op *op;
	int r = xyli_io_begin(task, io);

	if (r < 0)
		return xyli_done(task, r);
	op = record_new(task, io, &fsync_kind, IORING_OP_FSYNC);
	if (!op)
		return xyli_done(task, -ENOMEM);
	return record_await(task, io, op);
}

/* ---- open ------------------------------------------------------------------------------ */

/* It came too late, or there is no memory for it: the descriptor is closed. */
static ssize_t open_deliver(struct file_op *op, int fd)
{
	struct xyli_shard *shard = op->op.shard;
	struct xyl_io *io = op->op.waiter ? xyl_io_from_fd(fd) : NULL;

	if (!op->op.waiter)
		xyli_adopted(shard, &shard->stats.adopted_opens);
	if (!io || xyli_io_use(io, shard) < 0) {
		xyli_io_close_late(shard, fd);
		return -ENOMEM;
	}
	xyli_io_born(io, xyli_task_of(op->op.waiter));
	*op->ret_io = io;
	return 0;
}

static void open_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	(void)cqe_flags;
	if (op->waiter && !op->life.canceling && xyli_io_is_interrupted(op, res))
		xyli_op_start(op->shard, op, op->waiter);
	else
		xyli_op_wake(op, res >= 0 ? open_deliver((struct file_op *)op, res) : res);
}

static const struct xyli_op_kind open_kind = { .name = "open",
					       .settle = open_settle,
					       .restarts = true };

xyl_pending xyl_open(struct xyl_io **ret_io, const char *path, int flags, mode_t mode)
{
	struct xyl_task *task = xyli_task_calling("xyl_open");
	struct file_op *op;
	char *copy;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	op = file_op_new(task, &open_kind, IORING_OP_OPENAT, AT_FDCWD);
	copy = xyl_strdup(path); /* the kernel looks at it when the turn ends */
	if (!op || !copy)
		return xyli_done(task, -ENOMEM);
	op->op.buf = copy;
	op->op.buf_bytes = (uint32_t)strlen(copy) + 1;
	op->op.len = mode;
	op->op.op_flags = (uint32_t)(flags | O_CLOEXEC);
	op->ret_io = ret_io;
	return xyli_op_await(task->wait.shard, &op->op);
}

/* ---- poll ------------------------------------------------------------------------------ */

static void poll_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	(void)cqe_flags;
	xyli_op_wake(op, res);
}

static const struct xyli_op_kind poll_kind = { .name = "poll", .settle = poll_settle };

xyl_pending xyl_poll(int fd, unsigned events)
{
	struct xyl_task *task = xyli_task_calling("xyl_poll");
	struct file_op *op;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	op = file_op_new(task, &poll_kind, IORING_OP_POLL_ADD, fd);
	if (!op)
		return xyli_done(task, -ENOMEM);
	op->op.op_flags = events;
	return xyli_op_await(task->wait.shard, &op->op);
}
