/* SPDX-License-Identifier: MIT */
/*
 * Connecting.
 *
 * Design notes.  A connect is an operation of the new handle's out lane; whoever gave up
 * on it closes the handle, which waits for the last CQE, so a late success leaves no
 * descriptor behind.  The address lies in collected memory that the operation names.
 * Looking up a name and trying each address in turn is an async function like any other.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/address.h"
#include "io/handle.h"

static void connect_settle(struct xyli_op *base, int res, unsigned cqe_flags)
{
	struct xyl_io *io = base->handle;

	(void)cqe_flags;
	if (!base->waiter && res == 0)
		xyli_adopted(io->shard, &io->shard->stats.adopted_connects);
	xyli_op_wake(base, io->closing && res < 0 ? -ECANCELED : res);
	xyli_lane_settled((struct xyli_stream_op *)base);
}

static const struct xyli_op_kind connect_kind = { .name = "connect", .settle = connect_settle };

static xyl_pending socket_connect(struct xyl_io *io, const void *address, socklen_t len)
{
	struct xyl_task *task = xyli_task_calling("xyl_connect");
	struct xyli_stream_op *op;
	int r = xyli_io_begin(task, io);

	if (r < 0)
		return xyli_done(task, r);
	op = xyli_lane_record(io, &io->out);
	if (op)
		op->op.buf = xyl_alloc_bytes(len);
	if (!op || !op->op.buf)
		return xyli_done(task, -ENOMEM);
	memcpy(op->op.buf, address, len);
	op->op.buf_bytes = len;
	op->op.off = len;
	op->op.kind = &connect_kind;
	op->op.opcode = IORING_OP_CONNECT;
	return xyli_lane_await(task, op);
}

/* A new socket of that family, as a handle. */
static int socket_open(struct xyl_io **ret_io, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	if (family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*ret_io = xyli_io_new(fd, XYLI_IO_SOCKET);
	if (*ret_io)
		return 0;
	close(fd);
	return -ENOMEM;
}

/* ---- one address ------------------------------------------------------------------------- */

struct connect_to {
	struct xyl_frame frame;
	struct xyl_io **ret_io;
	struct sockaddr_storage address;
	socklen_t len;
	struct xyl_io *io;
	ssize_t result, closed;
};

static xyl_step connect_to(void *frame)
{
	struct connect_to *self = frame;

	XYL_BEGIN(self)
	self->result = socket_open(&self->io, self->address.ss_family);
	if (self->result < 0)
		XYL_RETURN(self->result);
	XYL_AWAIT(self->result, socket_connect(self->io, &self->address, self->len));
	if (self->result < 0) {
		XYL_AWAIT(self->closed, xyl_close(self->io));
		XYL_RETURN(self->result);
	}
	*self->ret_io = self->io;
	XYL_END(0);
}

xyl_pending xyl_unix_connect(struct xyl_io **ret_io, const char *path)
{
	struct xyl_task *task = xyli_task_calling("xyl_unix_connect");
	struct connect_to args = { .ret_io = ret_io };
	int r = xyli_address_unix(path, (struct sockaddr_un *)&args.address, &args.len);

	if (r < 0)
		return xyli_done(task, r);
	return xyli_call(XYLI_FN(connect_to), &args);
}

/* ---- a name, and each of its addresses --------------------------------------------------- */

struct tcp_connect {
	struct xyl_frame frame;
	struct xyl_io **ret_io;
	char *host, *port;
	struct xyli_lookup *lookup; /* malloc memory: dropped below, whatever happens */
	const struct addrinfo *next;
	ssize_t result;
};

static void address_take(struct tcp_connect *self, struct connect_to *args)
{
	*args = (struct connect_to){ .ret_io = self->ret_io, .len = self->next->ai_addrlen };
	memcpy(&args->address, self->next->ai_addr, self->next->ai_addrlen);
	self->next = self->next->ai_next;
}

static xyl_pending next_address_try(struct tcp_connect *self)
{
	struct connect_to args;

	address_take(self, &args);
	return xyli_call(XYLI_FN(connect_to), &args);
}

static xyl_step tcp_connect(void *frame)
{
	struct tcp_connect *self = frame;

	XYL_BEGIN(self)
	self->result = xyli_lookup_start(self->host, self->port, &self->lookup);
	if (self->result < 0)
		XYL_RETURN(self->result);
	while (!xyli_lookup_is_done(self->lookup)) {
		XYL_AWAIT(self->result, xyl_poll(self->lookup->done_fd, POLLIN));
		if (self->result < 0)
			break;
	}
	if (self->result >= 0) {
		self->result = self->lookup->error < 0 ? self->lookup->error : -ENOENT;
		self->next = self->lookup->found;
	}
	while (self->next && self->result < 0 && self->result != -ECANCELED)
		XYL_AWAIT(self->result, next_address_try(self));
	xyli_lookup_drop(self->lookup);
	XYL_END(self->result);
}

xyl_pending xyl_tcp_connect(struct xyl_io **ret_io, const char *host, const char *port)
{
	struct xyl_task *task = xyli_task_calling("xyl_tcp_connect");
	struct tcp_connect args = { .ret_io = ret_io };

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	args.host = host ? xyl_strdup(host) : NULL;
	args.port = xyl_strdup(port);
	if ((host && !args.host) || !args.port)
		return xyli_done(task, -ENOMEM);
	return xyli_call(XYLI_FN(tcp_connect), &args);
}

/* ---- shutdown ----------------------------------------------------------------------------- */

xyl_pending xyl_shutdown(struct xyl_io *io, int how)
{
	struct xyl_task *task = xyli_task_calling("xyl_shutdown");
	int r = xyli_io_begin(task, io);

	if (r == 0 && shutdown(io->fd, how) < 0)
		r = -errno;
	return xyli_done(task, r);
}
