/* SPDX-License-Identifier: MIT */
/*
 * httpd.c - a static file server: HTTP/1.1, one task per connection.
 *
 *	httpd [options] DIRECTORY [PORT]	127.0.0.1 only; PORT 0, the default: any
 *
 * Keep-alive, pipelining, GET and HEAD, a range, If-Modified-Since.  What is HTTP and not
 * waiting is in httpd/request.c and httpd/reply.c; here is the part that waits.
 *
 * Read it from `connection` on: it reads a request, answers it, and does that again.  Bounds
 * are set there and nowhere below it, but for one on a peer that does not read.  An abort may
 * come at any await; what follows each loop is the cleanup for all the ways it can end.
 *
 * --chaos aborts connections in mid-request and --collect-ms collects garbage meanwhile.
 * They are for the demo, which then checks that nothing was lost.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xylem/xylem.h>

#include "httpd/reply.h"
#include "httpd/request.h"

enum { IN_BYTES = 4096, CONNECTION_LIMIT = 4096 };

static struct {
	const char *directory, *port, *stats_path;
	int64_t idle_ns, chaos_ns, collect_ns, stop_ns; /* 0: not asked for, but for idle_ns */
	int root_fd, signal_fd;
} options = { .port = "0", .idle_ns = 10 * XYL_SEC };

static struct {
	uint64_t connections, requests, bytes_sent, timed_out, chaos_aborts, chaos_in_request;
	uint64_t live_max_bytes; /* as collections found them */
	uint64_t answers[6];	 /* by the first digit of their status */
} counts;

/* ---- what a connection owns ------------------------------------------------------------ */

struct session {
	struct xyl_io *peer, *file; /* file: while it is being sent */
	struct xyl_task *task;
	struct request *req;
	char *in;
	size_t in_used, in_have; /* of in: parsed so far; read */
	struct reply reply;
	size_t place; /* in live[] */
};

/* A static variable is a root: the collector looks here. */
static struct session *live[CONNECTION_LIMIT];
static size_t live_count;

/* NULL: no memory, or too many already. */
static struct session *session_new(struct xyl_io *peer)
{
	struct session *s = live_count < CONNECTION_LIMIT ? xyl_new(struct session) : NULL;

	if (!s)
		return NULL;
	s->peer = peer;
	s->req = xyl_alloc_bytes(sizeof *s->req);
	s->in = xyl_alloc_bytes(IN_BYTES);
	s->reply.text = xyl_alloc_bytes(REPLY_BYTES);
	if (!s->req || !s->in || !s->reply.text)
		return NULL;
	request_reset(s->req);
	s->place = live_count;
	live[live_count++] = s;
	counts.connections++;
	return s;
}

static void session_drop(struct session *s)
{
	live[s->place] = live[--live_count];
	live[s->place]->place = s->place;
	live[live_count] = NULL; /* or the table would keep a session that has ended */
}

/* ---- one request ----------------------------------------------------------------------- */

struct receive {
	struct xyl_frame frame;
	struct session *s;
	ssize_t n;
};

/* Reads up to the end of a request: 1; 0 when the peer has left. */
static xyl_step receive(void *frame)
{
	struct receive *self = frame;

	XYL_BEGIN(self)
	request_reset(self->s->req);
	for (;;) {
		/* What came behind the last request goes first: clients may send several. */
		self->s->in_used += request_feed(self->s->req, self->s->in + self->s->in_used,
						 self->s->in_have - self->s->in_used);
		if (self->s->req->complete || self->s->req->refused)
			break;
		XYL_AWAIT(self->n, xyl_read(self->s->peer, self->s->in, IN_BYTES));
		if (self->n <= 0)
			XYL_RETURN(self->n);
		self->s->in_used = 0;
		self->s->in_have = (size_t)self->n;
	}
	XYL_END(1);
}

/* All of an answer that needs no waiting. */
static void answer_make(struct session *s)
{
	reply_make(&s->reply, s->req, options.root_fd);
	counts.requests++;
	counts.answers[s->reply.status / 100]++;
	if (s->reply.fd < 0)
		return;
	s->file = xyl_io_from_fd(s->reply.fd);
	if (!s->file)
		close(s->reply.fd);
}

/* As much of the file as the buffer has room for. */
static size_t piece_len(const struct reply *reply)
{
	size_t room = REPLY_BYTES - reply->len;

	return reply->left < (int64_t)room ? (size_t)reply->left : room;
}

struct answer {
	struct xyl_frame frame;
	struct xyl_io *peer, *file;
	struct reply *reply;
	ssize_t n;
};

/* The head and the first of the file leave in one piece, the rest buffer by buffer.
 * Returns more than 0, or an error. */
static xyl_step answer(void *frame)
{
	struct answer *self = frame;

	XYL_BEGIN(self)
	if (self->reply->left > 0 && !self->file)
		XYL_RETURN(-ENOMEM);
	do {
		if (self->reply->left > 0) {
			XYL_AWAIT(self->n,
				  xyl_read_at(self->file, self->reply->text + self->reply->len,
					      piece_len(self->reply), self->reply->at));
			if (self->n == -EINTR || self->n == -EAGAIN)
				continue;
			if (self->n == 0)
				XYL_RETURN(-EIO); /* it has shrunk: we promised more */
			if (self->n < 0)
				XYL_RETURN(self->n);
			self->reply->at += self->n;
			self->reply->left -= self->n;
			self->reply->len += (size_t)self->n;
		}
		/* A peer that does not read would hold this task for ever. */
		XYL_AWAIT(self->n,
			  xyl_within(xyl_write_all(self->peer, self->reply->text, self->reply->len),
				     options.idle_ns));
		if (self->n < 0)
			XYL_RETURN(self->n);
		counts.bytes_sent += self->reply->len;
		self->reply->len = 0;
	} while (self->reply->left > 0);
	XYL_END(self->n);
}

struct hang_up {
	struct xyl_frame frame;
	struct session *s;
	ssize_t n;
};

/* After a refusal the client may still be sending.  A close would answer that with a reset,
 * which can overtake the answer: so end our half, and read until the client ends its own. */
static xyl_step hang_up(void *frame)
{
	struct hang_up *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_shutdown(self->s->peer, SHUT_WR));
	while (self->n >= 0) {
		XYL_AWAIT(self->n, xyl_read(self->s->peer, self->s->in, IN_BYTES));
		if (self->n == 0)
			break;
	}
	XYL_END(self->n);
}

/* ---- a connection ---------------------------------------------------------------------- */

struct connection {
	struct xyl_frame frame;
	struct session *s;
	ssize_t n, closed;
};

/* What this opens it closes, and nothing it calls does: so no abort can come between. */
static xyl_step connection(void *frame)
{
	struct connection *self = frame;

	XYL_BEGIN(self)
	do {
		/* One bound over the whole request: a byte now and then does not prolong it. */
		XYL_AWAIT(self->n, xyl_within(xyl_call(receive, .s = self->s), options.idle_ns));
		if (self->n == -ETIMEDOUT) {
			counts.timed_out++;
			self->s->req->refused = 408;
			self->n = self->s->req->begun; /* an idle peer is not told */
		}
		if (self->n <= 0)
			break;
		answer_make(self->s);
		XYL_AWAIT(self->n, xyl_call(answer, .peer = self->s->peer, .file = self->s->file,
					    .reply = &self->s->reply));
		if (self->s->file)
			XYL_AWAIT(self->closed, xyl_close(self->s->file));
		self->s->file = NULL;
	} while (self->n > 0 && self->s->req->keep_alive);

	if (self->n > 0 && self->s->req->refused)
		XYL_AWAIT(self->n, xyl_within(xyl_call(hang_up, .s = self->s), XYL_SEC));
	session_drop(self->s);
	XYL_AWAIT(self->closed, xyl_close(self->s->peer));
	XYL_END(0); /* a lost connection is no failure of the server's */
}

struct welcome {
	struct xyl_frame frame;
	struct xyl_io *listener, *peer;
	struct xyl_scope *scope;
	struct session *s;
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
		self->s = session_new(self->peer);
		if (self->s) {
			self->s->task = xyl_scope_spawn(self->scope, connection, .s = self->s);
			if (self->s->task)
				continue;
			session_drop(self->s);
		}
		XYL_AWAIT(self->n, xyl_close(self->peer));
	}
	XYL_END(0);
}

/* ---- chaos ----------------------------------------------------------------------------- */

/* Any connection; rather one that is in mid-request. */
static void abort_some_connection(void)
{
	struct session *s = NULL;

	for (int tries = 0; live_count > 0 && tries < 8; tries++) {
		s = live[(size_t)random() % live_count];
		if (s->req->begun)
			break;
	}
	if (!s)
		return;
	counts.chaos_aborts++;
	counts.chaos_in_request += s->req->begun;
	xyl_abort(s->task);
}

struct chaos {
	struct xyl_frame frame;
	int64_t next;
	ssize_t n;
};

static xyl_step chaos(void *frame)
{
	struct chaos *self = frame;

	XYL_BEGIN(self)
	self->next = xyl_now();
	for (;;) {
		XYL_AWAIT(self->n, xyl_sleep_until(self->next));
		if (self->n < 0)
			break;
		/* A busy server may wake us late: as many as are due by now. */
		for (; self->next <= xyl_now(); self->next += options.chaos_ns)
			abort_some_connection();
	}
	XYL_END(0);
}

static void collect_now(void)
{
	struct xyl_gc_stats gc;

	xyl_collect();
	xyl_gc_stats(&gc);
	if (gc.live_bytes > counts.live_max_bytes)
		counts.live_max_bytes = gc.live_bytes;
}

struct collect {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step collect(void *frame)
{
	struct collect *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_sleep(options.collect_ns));
		if (self->n < 0)
			break;
		collect_now();
	}
	XYL_END(0);
}

/* ---- the first task -------------------------------------------------------------------- */

static struct xyl_runtime *runtime; /* for its statistics, once it has stopped */

static bool serve_start(struct xyl_scope *scope, struct xyl_io *listener)
{
	runtime = xyl_runtime_self();
	if (!scope || !xyl_scope_spawn(scope, welcome, .listener = listener, .scope = scope))
		return false;
	if (options.chaos_ns && !xyl_scope_spawn(scope, chaos))
		return false;
	return !options.collect_ns || xyl_scope_spawn(scope, collect);
}

struct serve {
	struct xyl_frame frame;
	struct xyl_io *listener;
	struct xyl_scope *scope;
	ssize_t n, closed;
};

/* Starts the others, waits for a signal or its time, ends them. */
static xyl_step serve(void *frame)
{
	struct serve *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	if (!serve_start(self->scope, self->listener))
		self->n = -ENOMEM;
	else if (options.stop_ns)
		XYL_AWAIT(self->n,
			  xyl_within(xyl_poll(options.signal_fd, POLLIN), options.stop_ns));
	else
		XYL_AWAIT(self->n, xyl_poll(options.signal_fd, POLLIN));
	XYL_AWAIT(self->closed, xyl_close(self->listener));
	if (self->scope)
		XYL_AWAIT(self->closed, xyl_scope_close(self->scope));
	XYL_END(self->n == -ETIMEDOUT || self->n > 0 ? 0 : self->n);
}

/* ---- numbers --------------------------------------------------------------------------- */

static uint64_t descriptors_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", "..", and the directory's own */
}

static int stats_write(const char *path, uint64_t fds_before, uint64_t fds_after)
{
	struct xyl_stats st;
	struct xyl_gc_stats gc;
	FILE *out = fopen(path, "w");

	if (!out)
		return -errno;
	xyl_runtime_stats(runtime, &st);
	xyl_gc_stats(&gc);
#define LINE(name, value) fprintf(out, "%s=%" PRIu64 "\n", name, (uint64_t)(value))
#define FIELD(of, field) LINE(#field, of.field)
	FIELD(counts, connections);
	FIELD(counts, requests);
	FIELD(counts, bytes_sent);
	FIELD(counts, timed_out);
	FIELD(counts, chaos_aborts);
	FIELD(counts, chaos_in_request);
	FIELD(counts, live_max_bytes);
	LINE("answers_2xx", counts.answers[2]);
	LINE("answers_3xx", counts.answers[3]);
	LINE("answers_4xx", counts.answers[4]);
	LINE("answers_5xx", counts.answers[5]);
	FIELD(st, spawned);
	FIELD(st, completed);
	FIELD(st, aborted);
	FIELD(st, live);
	FIELD(st, turns);
	FIELD(st, ops_submitted);
	FIELD(st, ops_completed);
	FIELD(st, ops_outstanding);
	FIELD(st, pinned_bytes);
	FIELD(st, cancels);
	FIELD(st, adopted_results);
	FIELD(st, closed_late);
	FIELD(st, leaked_pins);
	FIELD(st, handles_open);
	FIELD(st, handles_dropped);
	FIELD(st, handles_closed_by_stop);
	FIELD(gc, collections);
	FIELD(gc, heap_bytes);
	FIELD(gc, live_bytes);
	FIELD(gc, allocated_bytes);
	FIELD(gc, pause_p50_ns);
	FIELD(gc, pause_p99_ns);
	FIELD(gc, pause_max_ns);
	LINE("roots", xyl_root_count());
	LINE("fds_before", fds_before);
	LINE("fds_after", fds_after);
	return fclose(out) < 0 ? -errno : 0;
}

/* ---- start ----------------------------------------------------------------------------- */

static const char usage[] =
	"usage: httpd [options] DIRECTORY [PORT]\n"
	"  serves DIRECTORY on 127.0.0.1; PORT 0, the default, lets the kernel choose\n"
	"  --idle-ms N     time a client has for a request (10000)\n"
	"  --seconds N     stop after that time (never: stops at SIGTERM or SIGINT)\n"
	"  --chaos N       abort about N connections a second, rather in mid-request\n"
	"  --collect-ms N  a full collection every N ms\n"
	"  --seed N        of the choices chaos makes (1)\n"
	"  --stats FILE    write statistics there at the end\n";

static bool options_parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "idle-ms", 1, NULL, 'i' }, { "seconds", 1, NULL, 's' },
		{ "chaos", 1, NULL, 'c' },   { "collect-ms", 1, NULL, 'g' },
		{ "seed", 1, NULL, 'r' },    { "stats", 1, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		char *end = NULL;
		long n = c == '?' || c == 'o' ? 1 : strtol(optarg, &end, 10);

		if (c == '?' || (end && (end == optarg || *end)) || n <= 0 || n > 1000 * 1000)
			return false;
		if (c == 'o')
			options.stats_path = optarg;
		else if (c == 'r')
			srandom((unsigned)n);
		else if (c == 'c')
			options.chaos_ns = XYL_SEC / n;
		else if (c == 's')
			options.stop_ns = n * XYL_SEC;
		else
			*(c == 'i' ? &options.idle_ns : &options.collect_ns) = n * XYL_MS;
	}
	if (argc - optind < 1 || argc - optind > 2)
		return false;
	options.directory = argv[optind];
	if (argv[optind + 1])
		options.port = argv[optind + 1];
	return true;
}

/* Blocked in every thread, so that only the descriptor delivers them. */
static int signals_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int listen_and_say(struct xyl_io **ret_listener)
{
	struct sockaddr_in addr = { .sin_port = 0 };
	socklen_t len = sizeof addr;
	int fd, one = 1, error = xyl_tcp_listen(ret_listener, "127.0.0.1", options.port);

	if (error < 0)
		return error;
	fd = xyl_io_fd(*ret_listener);
	/* Inherited by what it accepts: an answer's last piece shall not wait for an ACK. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -errno;
	printf("http://127.0.0.1:%u/\n", ntohs(addr.sin_port));
	fflush(stdout);
	return 0;
}

static int fail(const char *what, ssize_t error)
{
	fprintf(stderr, "httpd: %s: %s\n", what, strerror((int)-error));
	return 1;
}

int main(int argc, char **argv)
{
	uint64_t fds_before = descriptors_count();
	struct xyl_io *listener = NULL;
	int error = 0;
	ssize_t n;

	if (!options_parse(argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	options.root_fd = reply_root_open(options.directory);
	if (options.root_fd < 0)
		return fail(options.directory, options.root_fd);
	options.signal_fd = signals_open();
	if (options.signal_fd < 0)
		return fail("signalfd", options.signal_fd);
	n = listen_and_say(&listener);
	if (n < 0)
		return fail("listen", n);

	n = xyl_run(serve, .listener = listener);
	if (!runtime) {
		fprintf(stderr, "httpd: %s\n", xyl_runtime_why());
		return 1;
	}
	close(options.signal_fd);
	close(options.root_fd);
	printf("%" PRIu64 " requests on %" PRIu64 " connections\n", counts.requests,
	       counts.connections);
	if (options.stats_path)
		error = stats_write(options.stats_path, fds_before, descriptors_count());
	if (error < 0)
		return fail(options.stats_path, error);
	return n < 0 ? fail("run", n) : 0;
}
