/* SPDX-License-Identifier: MIT */
/*
 * chat.c - a chat server: what one client says, all others hear.
 *
 *	chat [PORT]	listens on 127.0.0.1; without PORT the kernel chooses one
 *
 * A client sends lines, and is sent those of the others with their number.  One that reads
 * too slowly holds nobody back: it is told how many lines it has missed.  SIGTERM or
 * SIGINT: nobody is listened to any more, everyone is sent what has been said, and a
 * farewell; who has not read it within two seconds is cut off.
 *
 * The lesson: for each client a task that reads and one that writes, and between all of them
 * a broadcast.  No reader waits for a writer, and a line is in memory once, however many are
 * to be sent it, for as long as one of them needs it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <xylem/xylem.h>

enum {
	LINES_KEPT = 256, /* for those who read slowly */
	LONGEST = 1000,	  /* line */
	NOTICE = 64,
	BATCH = 16384,	/* written at once */
	UNSENT = 65536, /* that the kernel keeps for a client: what is old helps nobody */
};

struct line {
	unsigned from;
	size_t len;
	char text[];
};

struct room {
	struct xyl_io *listener;
	struct xyl_signals *signals;
	struct xyl_broadcast *said; /* struct line * */
	struct xyl_cancel *stop;
	struct xyl_scope *tasks;
	unsigned clients; /* that have ever come */
	unsigned long long lines;
};

/* To all but `from`.  Without memory nobody hears it. */
static void say(struct room *room, unsigned from, const char *format, ...)
{
	char text[LONGEST + NOTICE];
	struct line *line;
	va_list args;
	size_t len;

	va_start(args, format);
	len = (size_t)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line = xyl_alloc_bytes(sizeof(*line) + len);
	if (!line)
		return;
	*line = (struct line){ .from = from, .len = len };
	memcpy(line->text, text, len);
	xyl_broadcast_send(room->said, &line);
}

/* ---- to a client ----------------------------------------------------------------------- */

struct hear {
	struct xyl_frame frame;
	struct room *room;
	struct xyl_receiver *ears;
	struct xyl_io *peer;
	unsigned number;
	char batch[BATCH];
	size_t len;
	struct line *line;
	ssize_t n;
};

/* What xyl_broadcast_recv has given: a line, or how many it were too many. */
static void batch_add(struct hear *self)
{
	char *end = self->batch + self->len;

	if (self->n > 0) {
		self->len += (size_t)snprintf(end, NOTICE, "*** you missed %zd lines\n", self->n);
	} else if (self->line->from != self->number) {
		memcpy(end, self->line->text, self->line->len);
		self->len += self->line->len;
	}
}

/* And what else there is. */
static void batch_fill(struct hear *self)
{
	self->len = 0;
	do {
		batch_add(self);
		if (self->len > BATCH - LONGEST - NOTICE)
			break;
		self->n = xyl_broadcast_try_recv(self->ears, &self->line);
	} while (self->n >= 0);
}

static xyl_step hear(void *frame)
{
	struct hear *self = frame;

	XYL_BEGIN(self)
	self->ears = xyl_broadcast_subscribe(self->room->said);
	self->len = (size_t)snprintf(self->batch, BATCH, "*** you are %u\n", self->number);
	while (self->ears) {
		if (self->len > 0)
			XYL_AWAIT(self->n, xyl_write_all(self->peer, self->batch, self->len));
		if (self->n < 0)
			break;
		XYL_AWAIT(self->n, xyl_broadcast_recv(self->ears, &self->line));
		if (self->n < 0)
			break; /* -EPIPE: all has been said */
		batch_fill(self);
		self->n = 0;
	}
	XYL_AWAIT(self->n, xyl_shutdown(self->peer, SHUT_RDWR)); /* nor is it listened to */
	XYL_END(0);
}

/* ---- from a client --------------------------------------------------------------------- */

struct client {
	struct xyl_frame frame;
	struct room *room;
	struct xyl_io *peer;
	unsigned number;
	struct xyl_task *hearer;
	struct xyl_stream *lines;
	struct xyl_bytes line;
	ssize_t n;
};

static xyl_step client(void *frame)
{
	struct client *self = frame;

	XYL_BEGIN(self)
	self->number = ++self->room->clients;
	self->lines = xyl_stream_lines(self->peer, LONGEST);
	setsockopt(xyl_io_fd(self->peer), SOL_SOCKET, SO_SNDBUF, &(int){ UNSENT }, sizeof(int));
	self->hearer = xyl_scope_spawn(self->room->tasks, hear, .room = self->room,
				       .peer = self->peer, .number = self->number);
	say(self->room, self->number, "*** %u comes\n", self->number);
	while (self->hearer && !xyl_cancel_is_fired(self->room->stop)) {
		XYL_AWAIT(self->n,
			  xyl_until(xyl_stream_next(self->lines, &self->line), self->room->stop));
		if (self->n <= 0)
			break;
		say(self->room, self->number, "%u: %s\n", self->number, self->line.bytes);
		self->room->lines++;
	}
	if (self->hearer) {
		if (!xyl_cancel_is_fired(self->room->stop))
			xyl_abort(self->hearer); /* it has left: nothing need be sent any more */
		XYL_AWAIT(self->n, xyl_join(self->hearer));
	}
	XYL_AWAIT(self->n, xyl_close(self->peer));
	say(self->room, self->number, "*** %u leaves\n", self->number);
	XYL_END(0);
}

/* ---- the server ------------------------------------------------------------------------ */

struct welcome {
	struct xyl_frame frame;
	struct room *room;
	struct xyl_io *peer;
	ssize_t n;
};

static xyl_step welcome(void *frame)
{
	struct welcome *self = frame;

	XYL_BEGIN(self)
	while (!xyl_cancel_is_fired(self->room->stop)) {
		XYL_AWAIT(self->n, xyl_until(xyl_accept(self->room->listener, &self->peer),
					     self->room->stop));
		if (self->n < 0) /* no descriptor left, mostly: clients wait meanwhile */
			XYL_AWAIT(self->n, xyl_until(xyl_sleep(10 * XYL_MS), self->room->stop));
		else if (!xyl_scope_spawn(self->room->tasks, client, .room = self->room,
					  .peer = self->peer))
			XYL_AWAIT(self->n, xyl_close(self->peer));
	}
	XYL_AWAIT(self->n, xyl_close(self->room->listener));
	XYL_END(0);
}

struct serve {
	struct xyl_frame frame;
	struct room *room;
	ssize_t n;
};

static xyl_step serve(void *frame)
{
	struct serve *self = frame;

	XYL_BEGIN(self)
	self->room->said = xyl_broadcast_new(sizeof(struct line *), LINES_KEPT);
	self->room->stop = xyl_cancel_new(NULL);
	self->room->tasks = xyl_scope_new(NULL);
	if (!self->room->said || !self->room->stop || !self->room->tasks ||
	    !xyl_scope_spawn(self->room->tasks, welcome, .room = self->room))
		XYL_RETURN(-ENOMEM);
	XYL_AWAIT(self->n, xyl_signals_next(self->room->signals));
	xyl_cancel_fire(self->room->stop);
	say(self->room, 0, "*** farewell\n");
	xyl_broadcast_close(self->room->said);
	XYL_AWAIT(self->n, xyl_within(xyl_scope_join(self->room->tasks), 2 * XYL_SEC));
	XYL_AWAIT(self->n, xyl_scope_close(self->room->tasks)); /* whoever does not read it */
	printf("chat: %u clients said %llu lines\n", self->room->clients, self->room->lines);
	XYL_END(0);
}

int main(int argc, char **argv)
{
	static struct room room;
	struct sockaddr_in addr = { .sin_port = 0 };
	socklen_t len = sizeof(addr);
	ssize_t n;

	if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
		fprintf(stderr, "usage: chat [PORT]\n");
		return 2;
	}
	n = xyl_signals_new(&room.signals, (int[]){ SIGINT, SIGTERM }, 2);
	if (n == 0)
		n = xyl_tcp_listen(&room.listener, "127.0.0.1", argc == 2 ? argv[1] : "0");
	if (n == 0) {
		getsockname(xyl_io_fd(room.listener), (struct sockaddr *)&addr, &len);
		printf("chat: listening on 127.0.0.1:%u\n", ntohs(addr.sin_port));
		fflush(stdout);
		n = xyl_run(serve, .room = &room);
	}
	if (n < 0)
		fprintf(stderr, "chat: %s %s\n", strerror((int)-n), xyl_runtime_why());
	return n < 0;
}
