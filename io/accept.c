/* SPDX-License-Identifier: MIT */
/*
 * Accepting.
 *
 * Design notes.  One multishot accept serves all acceptors of a listener: the kernel
 * takes connections as they come, so a busy loop does not need a turn for each.  An
 * acceptor waits in the listener's own queue, never on the operation: leaving it is
 * always possible at once.  A connection that comes when nobody waits is kept for the
 * next acceptor.
 *
 *	armed	when an acceptor queues
 *	cancelled when the last one leaves, the store is full, or the listener closes
 *
 * Kernels before 5.19 refuse multishot with EINVAL: then one shot at a time, from the
 * first refusal on.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/birth.h"
#include "io/handle.h"

#define STORE_FULL 64 /* connections that nobody has asked for yet */

struct xyli_acceptor {
	struct xyli_op op;	 /* first */
	struct xyli_waits queue; /* on: their struct request */
	int *store;		 /* descriptors, oldest first */
	size_t store_len, store_cap;
	bool single;   /* multishot was refused */
	bool deserted; /* an acceptor has left; what comes now was meant for him */
};

struct request {
	struct xyl_io *listener;
	struct xyl_io **ret_io;
};

/* ---- connections nobody was there for ------------------------------------------------- */

static bool store_grow(struct xyli_acceptor *acceptor)
{
	size_t cap = acceptor->store_cap ? 2 * acceptor->store_cap : 8;
	int *store = xyl_alloc_bytes(cap * sizeof(*store));

	if (!store)
		return false;
	if (acceptor->store_len)
		memcpy(store, acceptor->store, acceptor->store_len * sizeof(*store));
	acceptor->store = store;
	acceptor->store_cap = cap;
	return true;
}

static void store_put(struct xyl_io *io, int fd)
{
	struct xyli_acceptor *acceptor = io->acceptor;

	if (acceptor->deserted)
		xyli_adopted(io->shard, &io->shard->stats.adopted_connections);
	if (io->closing || (acceptor->store_len == acceptor->store_cap && !store_grow(acceptor))) {
		xyli_io_close_late(io->shard, fd);
		return;
	}
	acceptor->store[acceptor->store_len++] = fd;
	if (acceptor->store_len >= STORE_FULL)
		xyli_op_cancel(&acceptor->op);
}

static int store_take(struct xyli_acceptor *acceptor)
{
	int fd = acceptor->store[0];

	acceptor->store_len--;
	memmove(acceptor->store, acceptor->store + 1, acceptor->store_len * sizeof(fd));
	return fd;
}

void xyli_acceptor_empty(struct xyl_io *io)
{
	struct xyli_acceptor *acceptor = io->acceptor;

	while (acceptor && acceptor->store_len)
		xyli_io_close_late(io->shard, store_take(acceptor));
}

/* ---- the operation -------------------------------------------------------------------- */

/* The descriptor becomes a handle for that task, or is closed. */
static ssize_t request_serve(const struct request *request, const struct xyl_task *task, int fd)
{
	struct xyli_shard *shard = request->listener->shard;
	struct xyl_io *accepted = xyli_io_new(fd, XYLI_IO_SOCKET);

	if (!accepted || xyli_io_use(accepted, shard) < 0) {
		xyli_io_close_late(shard, fd);
		return -ENOMEM;
	}
	xyli_io_born(accepted, task);
	*request->ret_io = accepted;
	return 0;
}

/* The first in the queue gets this descriptor, or this error. */
static void queue_serve(struct xyli_acceptor *acceptor, int res)
{
	struct xyli_wait *wait = acceptor->queue.first;
	const struct request *request = wait->on;

	xyli_waits_remove(&acceptor->queue, wait);
	xyli_wake(wait, res >= 0 ? request_serve(request, xyli_task_of(wait), res) : res);
}

static void acceptor_arm(struct xyl_io *io)
{
	struct xyli_acceptor *acceptor = io->acceptor;

	if (!xyli_op_is_free(&acceptor->op) || io->closing)
		return;
	acceptor->op.ioprio = (uint16_t)(acceptor->single ? 0 : IORING_ACCEPT_MULTISHOT);
	xyli_io_hold(io);
	xyli_op_start(io->shard, &acceptor->op, NULL);
}

/* Does this error say nothing about the next try? */
static bool is_worth_retrying(struct xyli_op *op, int res)
{
	return res == -ECANCELED || res == -ECONNABORTED || xyli_io_is_interrupted(op, res);
}

/* For the first in the queue; or for nobody. */
static void accept_result(struct xyl_io *io, int res)
{
	struct xyli_acceptor *acceptor = io->acceptor;

	if (res == -EINVAL && !acceptor->single)
		acceptor->single = true;
	else if (res >= 0 && !acceptor->queue.first)
		store_put(io, res);
	else if (acceptor->queue.first && !is_worth_retrying(&acceptor->op, res))
		queue_serve(acceptor, res);
}

static void accept_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct xyl_io *io = op->handle;
	struct xyli_acceptor *acceptor = io->acceptor;

	(void)cqe_flags;
	accept_result(io, res);
	if (!xyli_op_is_free(op))
		return; /* more will come */
	if (acceptor->queue.first)
		acceptor_arm(io);
	xyli_io_release(io);
}

static const struct xyli_op_kind accept_kind = { .name = "accept", .settle = accept_settle };

void xyli_acceptor_shut(struct xyl_io *io)
{
	struct xyli_acceptor *acceptor = io->acceptor;

	if (!acceptor)
		return;
	while (acceptor->queue.first)
		queue_serve(acceptor, -ECANCELED);
	xyli_op_cancel(&acceptor->op);
}

void xyli_acceptor_lose(struct xyl_io *io)
{
	struct xyli_acceptor *acceptor = io->acceptor;

	while (acceptor && acceptor->queue.first)
		queue_serve(acceptor, XYLI_LOST);
}

/* ---- waiting for a connection --------------------------------------------------------- */

static void accept_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	const struct request *request = wait->on;
	struct xyli_acceptor *acceptor = request->listener->acceptor;

	(void)why;
	xyli_waits_remove(&acceptor->queue, wait);
	xyli_wake(wait, -ECANCELED);
	acceptor->deserted = true;
	if (!acceptor->queue.first)
		xyli_op_cancel(&acceptor->op);
}

static void accept_move(struct xyli_wait *from, struct xyli_wait *to)
{
	const struct request *request = from->on;

	xyli_waits_replace(&request->listener->acceptor->queue, from, to);
}

static const struct xyli_wait_kind accept_wait = { .name = "accept",
						   .cancel = accept_cancel,
						   .move = accept_move };

static struct xyli_acceptor *acceptor_of(struct xyl_io *io)
{
	struct xyli_acceptor *acceptor = io->acceptor;

	if (acceptor)
		return acceptor;
	acceptor = xyl_new(struct xyli_acceptor);
	if (!acceptor)
		return NULL;
	acceptor->op.kind = &accept_kind;
	acceptor->op.opcode = IORING_OP_ACCEPT;
	acceptor->op.op_flags = SOCK_CLOEXEC;
	acceptor->op.fd = io->fd;
	acceptor->op.handle = io;
	return io->acceptor = acceptor;
}

static xyl_pending accept_queue(struct xyl_task *task, struct xyl_io *io, struct xyl_io **ret_io)
{
	struct request *request = xyli_block_new(&task->wait.shard->blocks, sizeof(*request));

	if (!request)
		return xyli_done(task, -ENOMEM);
	*request = (struct request){ io, ret_io };
	xyli_wait_begin(&task->wait, &accept_wait, request);
	xyli_waits_append(&io->acceptor->queue, &task->wait);
	acceptor_arm(io);
	return (xyl_pending){ 1 };
}

xyl_pending xyl_accept(struct xyl_io *listener, struct xyl_io **ret_io)
{
	struct xyl_task *task = xyli_task_calling("xyl_accept");
	struct xyli_acceptor *acceptor;
	int r = xyli_io_begin(task, listener);

	if (r < 0)
		return xyli_done(task, r);
	acceptor = acceptor_of(listener);
	if (!acceptor)
		return xyli_done(task, -ENOMEM);
	if (acceptor->store_len && !acceptor->queue.first)
		return xyli_done(task, request_serve(&(struct request){ listener, ret_io }, task,
						     store_take(acceptor)));
	acceptor->deserted = false;
	return accept_queue(task, listener, ret_io);
}
