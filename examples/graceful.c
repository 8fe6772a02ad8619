/* SPDX-License-Identifier: MIT */
/*
 * graceful.c - a server that is told to stop, and finishes what it has begun.
 *
 *	graceful [--grace-ms N] [PORT]	listens on 127.0.0.1; without PORT the kernel chooses one
 *
 * A request is a line with a number of milliseconds.  The answer is "begun", and after so
 * long "done".
 *
 * SIGTERM or SIGINT: it accepts nobody any more, connections with nothing to do are
 * closed, requests under way may finish within N milliseconds (10000), what is left then
 * is aborted.  A second signal: at once.  Either way it exits with 0.
 *
 * The lesson: two scopes, aborted one after the other.  A connection is told to stop at
 * once, but while it waits for its request it has a shield up.  The request is a task in
 * the other scope, and is not told before the time is up.
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <xylem/xylem.h>

enum { LINE_BYTES = 64 };

static struct {
	unsigned long long finished, cut;
} counts;

/* ---- a request ------------------------------------------------------------------------- */

struct request {
	struct xyl_frame frame;
	struct xyl_io *peer;
	long ms;
	ssize_t n;
};

static xyl_step request(void *frame)
{
	struct request *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_write_all(self->peer, "begun\n", 6));
	if (self->n >= 0)
		XYL_AWAIT(self->n, xyl_sleep(self->ms * XYL_MS)); /* the work */
	if (self->n >= 0)
		XYL_AWAIT(self->n, xyl_write_all(self->peer, "done\n", 5));
	counts.finished += self->n >= 0;
	counts.cut += self->n == -ECANCELED;
	XYL_END(self->n);
}

/* ---- a connection ---------------------------------------------------------------------- */

struct read_line {
	struct xyl_frame frame;
	struct xyl_io *peer;
	char *line;
	size_t len;
	ssize_t n;
};

/* Byte by byte, which is slow and leaves what follows where it is.  1; 0: the peer has left. */
static xyl_step read_line(void *frame)
{
	struct read_line *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_read(self->peer, self->line + self->len, 1));
		if (self->n <= 0 || self->line[self->len] == '\n')
			break;
		if (++self->len == LINE_BYTES)
			XYL_RETURN(-EMSGSIZE);
	}
	XYL_END(self->n);
}

struct connection {
	struct xyl_frame frame;
	struct xyl_io *peer;
	struct xyl_scope *requests;
	struct xyl_task *task;
	char *line;
	ssize_t n;
};

static xyl_step connection(void *frame)
{
	struct connection *self = frame;

	XYL_BEGIN(self)
	self->line = xyl_alloc_bytes(LINE_BYTES);
	while (self->line) {
		XYL_AWAIT(self->n, xyl_call(read_line, .peer = self->peer, .line = self->line));
		if (self->n <= 0)
			break;
		self->task = xyl_scope_spawn(self->requests, request, .peer = self->peer,
					     .ms = strtol(self->line, NULL, 10));
		/* An abort that comes now is seen when the request is over. */
		xyl_shield_begin();
		XYL_AWAIT(self->n, xyl_join(self->task));
		xyl_shield_end();
		if (self->n < 0)
			break;
	}
	XYL_AWAIT(self->n, xyl_close(self->peer));
	XYL_END(0);
}

struct welcome {
	struct xyl_frame frame;
	struct xyl_io *listener, *peer;
	struct xyl_scope *connections, *requests;
	ssize_t n;
};

static xyl_step welcome(void *frame)
{
	struct welcome *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_accept(self->listener, &self->peer));
		if (self->n == -ECANCELED || self->n == -EBADF)
			break;
		if (self->n < 0) { /* no descriptor left, mostly: clients wait meanwhile */
			XYL_AWAIT(self->n, xyl_sleep(10 * XYL_MS));
			continue;
		}
		if (!xyl_scope_spawn(self->connections, connection, .peer = self->peer,
				     .requests = self->requests))
			XYL_AWAIT(self->n, xyl_close(self->peer));
	}
	XYL_END(0);
}

/* ---- the end --------------------------------------------------------------------------- */

struct hurry {
	struct xyl_frame frame;
	struct xyl_signals *signals;
	struct xyl_scope *requests;
	ssize_t n;
};

/* A second signal: no request may finish any more. */
static xyl_step hurry(void *frame)
{
	struct hurry *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_signals_next(self->signals));
	if (self->n > 0)
		xyl_scope_abort(self->requests);
	XYL_END(self->n);
}

struct wind_down {
	struct xyl_frame frame;
	struct xyl_signals *signals;
	struct xyl_io *listener;
	struct xyl_scope *connections, *requests;
	int64_t grace_ns;
	ssize_t n;
};

static xyl_step wind_down(void *frame)
{
	struct wind_down *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_close(self->listener)); /* nobody new */
	xyl_scope_abort(self->connections);	       /* the idle ones leave */
	xyl_spawn(hurry, .signals = self->signals, .requests = self->requests);
	XYL_AWAIT(self->n, xyl_within(xyl_scope_join(self->connections), self->grace_ns));
	if (self->n == -ETIMEDOUT)
		printf("graceful: the time is up\n");
	XYL_AWAIT(self->n, xyl_scope_close(self->requests)); /* whoever is late */
	XYL_AWAIT(self->n, xyl_scope_close(self->connections));
	XYL_END(0);
}

struct serve {
	struct xyl_frame frame;
	struct xyl_io *listener;
	struct xyl_signals *signals;
	int64_t grace_ns;
	struct xyl_scope *connections, *requests;
	ssize_t n, ended;
};

static xyl_step serve(void *frame)
{
	struct serve *self = frame;

	XYL_BEGIN(self)
	self->connections = xyl_scope_new(NULL);
	self->requests = xyl_scope_new(NULL);
	if (!self->connections || !self->requests ||
	    !xyl_scope_spawn(self->connections, welcome, .listener = self->listener,
			     .connections = self->connections, .requests = self->requests))
		XYL_RETURN(-ENOMEM);

	XYL_AWAIT(self->n, xyl_signals_next(self->signals));
	printf("graceful: stopping, %zu requests under way\n", xyl_scope_count(self->requests));
	fflush(stdout);
	XYL_AWAIT(self->ended,
		  xyl_call(wind_down, .signals = self->signals, .listener = self->listener,
			   .connections = self->connections, .requests = self->requests,
			   .grace_ns = self->grace_ns));
	printf("graceful: %llu finished, %llu cut\n", counts.finished, counts.cut);
	XYL_END(self->n < 0 ? self->n : self->ended);
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

static int complain(const char *what, ssize_t error)
{
	fprintf(stderr, "graceful: %s: %s\n%s", what, strerror((int)-error), xyl_runtime_why());
	return 1;
}

int main(int argc, char **argv)
{
	struct xyl_io *listener = NULL;
	struct xyl_signals *signals = NULL;
	long grace_ms = 10000;
	ssize_t n;

	if (argc > 2 && strcmp(argv[1], "--grace-ms") == 0) {
		grace_ms = strtol(argv[2], NULL, 10);
		argc -= 2;
		argv += 2;
	}
	if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
		fprintf(stderr, "usage: graceful [--grace-ms N] [PORT]\n");
		return 2;
	}
	/* Before anybody can know that we are there: who sends one then, means it. */
	n = xyl_signals_new(&signals, (int[]){ SIGINT, SIGTERM }, 2);
	if (n < 0)
		return complain("signals", n);
	n = xyl_tcp_listen(&listener, "127.0.0.1", argc == 2 ? argv[1] : "0");
	if (n < 0)
		return complain("listen", n);
	printf("graceful: listening on 127.0.0.1:%u\n", port_of(listener));
	fflush(stdout);
	n = xyl_run(serve, .listener = listener, .signals = signals, .grace_ns = grace_ms * XYL_MS);
	return n < 0 ? complain("run", n) : 0;
}
