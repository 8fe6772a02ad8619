/* SPDX-License-Identifier: MIT */
/*
 * echo.c - a TCP echo server, one task per connection.
 *
 *	echo [PORT]	listens on 127.0.0.1; without PORT the kernel chooses one
 *
 * The lesson: a connection is a function with a loop, and what follows the loop
 * is its cleanup.  The loop ends at the end of the stream, at an error, or because
 * somebody aborted the task; the code that follows does not need to know which.
 *
 * A task waits for SIGINT or SIGTERM, closes the listener and then the scope, in which all
 * the connections live.  (graceful.c lets requests under way finish.)
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <xylem/xylem.h>

enum { BUF_BYTES = 16 * 1024 };

static void complain(const char *what, ssize_t error)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror((int)-error));
}

/* ---- one connection -------------------------------------------------------------------- */

struct talk {
	struct xyl_frame frame;
	struct xyl_io *peer;
	char *buf;
	ssize_t n;
};

static xyl_step talk(void *frame)
{
	struct talk *self = frame;

	XYL_BEGIN(self)
	/* Collected and never scanned.  If this task is aborted while the kernel is
	 * writing here, the task goes on at once and the buffer stays where it is
	 * until the kernel is done: nobody has to wait, and nobody has to free it. */
	self->buf = xyl_alloc_bytes(BUF_BYTES);
	while (self->buf) {
		XYL_AWAIT(self->n, xyl_read(self->peer, self->buf, BUF_BYTES));
		if (self->n <= 0)
			break;
		XYL_AWAIT(self->n, xyl_write_all(self->peer, self->buf, (size_t)self->n));
		if (self->n < 0)
			break;
	}
	/* Not an ordinary await: a close runs to its end in an aborted task too. */
	XYL_AWAIT(self->n, xyl_close(self->peer));
	XYL_END(0);
}

/* ---- the listener ---------------------------------------------------------------------- */

struct welcome {
	struct xyl_frame frame;
	struct xyl_io *listener;
	struct xyl_scope *scope; /* where the connections live */
	struct xyl_io *peer;
	ssize_t n;
};

static xyl_step welcome(void *frame)
{
	struct welcome *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		/* The new handle is written into the frame, which outlives the await;
		 * a local of this block would not. */
		XYL_AWAIT(self->n, xyl_accept(self->listener, &self->peer));
		if (self->n == -ECANCELED || self->n == -EBADF)
			break;
		if (self->n < 0) {
			/* Out of descriptors, say.  The client waits in the backlog; trying
			 * again at once would only spin. */
			complain("accept", self->n);
			XYL_AWAIT(self->n, xyl_sleep(10 * XYL_MS));
			continue;
		}
		/* Copies its arguments into a new frame; the task first runs later. */
		if (!xyl_scope_spawn(self->scope, talk, .peer = self->peer))
			XYL_AWAIT(self->n, xyl_close(self->peer));
	}
	XYL_END(0);
}

/* ---- the first task -------------------------------------------------------------------- */

struct serve {
	struct xyl_frame frame;
	struct xyl_io *listener;
	struct xyl_signals *signals;
	struct xyl_scope *scope;
	ssize_t n, ignored;
};

static xyl_step serve(void *frame)
{
	struct serve *self = frame;

	XYL_BEGIN(self)
	self->n = -ENOMEM;
	self->scope = xyl_scope_new(NULL);
	if (self->scope &&
	    xyl_scope_spawn(self->scope, welcome, .listener = self->listener, .scope = self->scope))
		XYL_AWAIT(self->n, xyl_signals_next(self->signals));

	/* First no new connections, then no old ones.  After the scope is closed no task
	 * of it runs any more: each has been through its own cleanup. */
	XYL_AWAIT(self->ignored, xyl_close(self->listener));
	if (self->scope) {
		printf("echo: stopping, %zu tasks\n", xyl_scope_count(self->scope));
		XYL_AWAIT(self->ignored, xyl_scope_close(self->scope));
	}
	XYL_END(self->n < 0 ? self->n : 0);
}

/* ---- start ----------------------------------------------------------------------------- */

static unsigned port_of(const struct xyl_io *listener)
{
	struct sockaddr_in addr = { .sin_port = 0 };
	socklen_t len = sizeof addr;

	if (getsockname(xyl_io_fd(listener), (struct sockaddr *)&addr, &len) < 0)
		return 0;
	return ntohs(addr.sin_port);
}

int main(int argc, char **argv)
{
	struct xyl_io *listener = NULL;
	struct xyl_signals *signals = NULL;
	ssize_t n;

	if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
		fprintf(stderr, "usage: %s [PORT]\n", argv[0]);
		return 2;
	}
	/* Before anybody can know that we are there: who sends one then, means it. */
	n = xyl_signals_new(&signals, (int[]){ SIGINT, SIGTERM }, 2);
	if (n < 0) {
		complain("signals", n);
		return 1;
	}
	n = xyl_tcp_listen(&listener, "127.0.0.1", argc == 2 ? argv[1] : "0");
	if (n < 0) {
		complain("listen", n);
		return 1;
	}
	printf("echo: listening on 127.0.0.1:%u\n", port_of(listener));
	fflush(stdout);

	n = xyl_run(serve, .listener = listener, .signals = signals);
	if (n < 0) {
		complain("run", n);
		fprintf(stderr, "%s\n", xyl_runtime_why());
	}
	return n < 0 ? 1 : 0;
}
