/* SPDX-License-Identifier: MIT */
/*
 * How well does an echo server do, beside one of the same shape on raw liburing?  64 bytes
 * over TCP on 127.0.0.1, 64 and 512 connections; one server after the other, each in a
 * process of its own on CPU 0, load.c on CPU 1.
 *
 *	echo [SECONDS]			the comparison
 *	echo --server xylem|raw		one server alone, for a minute (for perf, callgrind)
 *
 * What would make it lie: a weak competitor (the raw server uses the best ring flags, a
 * registered ring, and one submit_and_wait per batch; like a task, it has one recv or one
 * send under way on each connection); requests/s alone, since the load saturates its own
 * core (so CPU per request as well); latency at closed loop, which hides pauses (so also
 * at a fixed rate, and with garbage made beside 200 MB that live).
 */
#include "harness.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xylem/xylem.h>

enum { BUFFER = 4096, SERVER_SECONDS_MAX = 60, RATE = 20000 };
enum { LIVE_BYTES = 200000000, GARBAGE_BYTES_PER_MS = 100000, LITTERED_SECONDS = 6 };
enum { PER_SECOND, P50, P99, P999, LONGEST, CPU_US };

typedef void server_fn(int port_to);

static int rate;      /* requests a second; 0: closed loop */
static bool littered; /* with garbage made in the Xylem server */

static void tell_port(int listener, int port_to)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);

	bench_check(getsockname(listener, (struct sockaddr *)&at, &len) == 0, "getsockname");
	dprintf(port_to, "%d\n", ntohs(at.sin_port));
}

/* ---- Xylem: one task for each connection ---- */

struct echo {
	struct xyl_frame frame;
	struct xyl_io *peer;
	char *buf;
	ssize_t n;
};

static xyl_step echo(void *frame)
{
	struct echo *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(BUFFER);
	for (;;) {
		XYL_AWAIT(self->n, xyl_read(self->peer, self->buf, BUFFER));
		if (self->n <= 0)
			break;
		XYL_AWAIT(self->n, xyl_write_all(self->peer, self->buf, (size_t)self->n));
		if (self->n < 0)
			break;
	}
	XYL_AWAIT(self->n, xyl_close(self->peer));
	XYL_END(self->n);
}

struct leaf {
	struct leaf *next;
	char rest[248];
};

/* 200 MB that live, and 100 MB a second that do not. */
struct litter {
	struct xyl_frame frame;
	struct leaf *live;
	ssize_t r;
};

static xyl_step litter(void *frame)
{
	struct litter *self = frame;

	XYL_BEGIN(self)
	for (int i = 0; i < LIVE_BYTES / (int)sizeof(struct leaf); i++) {
		struct leaf *leaf = xyl_new(struct leaf);

		bench_check(leaf != NULL, "xyl_alloc");
		leaf->next = self->live;
		self->live = leaf;
	}
	for (;;) {
		for (int i = 0; i < GARBAGE_BYTES_PER_MS / 128; i++)
			bench_check(xyl_alloc(128) != NULL, "xyl_alloc");
		XYL_AWAIT(self->r, xyl_sleep(XYL_MS));
		if (self->r < 0)
			break;
	}
	XYL_END(self->r);
}

struct serve {
	struct xyl_frame frame;
	int port_to;
	struct xyl_io *listener, *peer;
	ssize_t r;
};

static xyl_step serve(void *frame)
{
	struct serve *self = frame;

	XYL_BEGIN(self)
	if (littered)
		xyl_spawn(litter, .live = NULL);
	self->r = xyl_tcp_listen(&self->listener, "127.0.0.1", "0");
	bench_check(self->r == 0, "xyl_tcp_listen");
	tell_port(xyl_io_fd(self->listener), self->port_to);
	for (;;) {
		XYL_AWAIT(self->r, xyl_accept(self->listener, &self->peer));
		if (self->r < 0)
			break;
		setsockopt(xyl_io_fd(self->peer), IPPROTO_TCP, TCP_NODELAY, &(int){ 1 },
			   sizeof(int));
		xyl_spawn(echo, .peer = self->peer);
	}
	XYL_END(self->r);
}

static void xylem_server(int port_to)
{
	bench_check(xyl_run(serve, .port_to = port_to) == 0, xyl_runtime_why());
}

/* ---- the two in turn ---- */

/* The program of that name that lies beside this one. */
static void become(const char *name, char **argv)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 16);
	char *slash;

	bench_check(len > 0, "/proc/self/exe");
	path[len] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash + 1, name);
	argv[0] = path;
	execv(path, argv);
	bench_check(false, path);
}

static void raw_server(int port_to)
{
	char *argv[] = { NULL, NULL };

	dup2(port_to, STDOUT_FILENO);
	become("raw_echo", argv);
}

static pid_t child_with_pipe(FILE **ret_out, int *ret_end)
{
	int ends[2];
	pid_t pid;

	bench_check(pipe(ends) == 0, "pipe");
	pid = fork();
	bench_check(pid >= 0, "fork");
	*ret_end = ends[1];
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(SERVER_SECONDS_MAX);
		return 0;
	}
	close(ends[1]);
	*ret_out = fdopen(ends[0], "r");
	return pid;
}

static pid_t server_start(server_fn *server, int *ret_port)
{
	FILE *out;
	int port_to;
	pid_t pid = child_with_pipe(&out, &port_to);

	if (pid == 0) {
		bench_pin(0);
		server(port_to);
		_exit(1);
	}
	bench_check(fscanf(out, "%d", ret_port) == 1, "the server is up");
	return pid;
}

static void load_run(int port, pid_t server, int connections, double *ret)
{
	char args[5][16], *argv[7] = { NULL };
	int seconds = littered ? LITTERED_SECONDS : (int)bench_n(1);
	int values[] = { port, server, connections, seconds, rate };
	FILE *out;
	int end;
	pid_t pid = child_with_pipe(&out, &end);

	if (pid == 0) {
		for (int i = 0; i < 5; i++) {
			snprintf(args[i], sizeof(args[i]), "%d", values[i]);
			argv[i + 1] = args[i];
		}
		dup2(end, STDOUT_FILENO);
		become("load", argv);
	}
	bench_check(fscanf(out, "%lf %lf %lf %lf %lf %lf", &ret[PER_SECOND], &ret[P50], &ret[P99],
			   &ret[P999], &ret[LONGEST], &ret[CPU_US]) == 6,
		    "the load has figures");
	waitpid(pid, NULL, 0);
}

static void measure(server_fn *server, long connections, double *ret)
{
	int port;
	pid_t pid = server_start(server, &port);

	load_run(port, pid, (int)connections, ret);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void xylem(long connections, double *ret)
{
	measure(xylem_server, connections, ret);
}

static void raw(long connections, double *ret)
{
	measure(raw_server, connections, ret);
}

static void print(const char *what, int connections, int figure, const char *unit,
		  const struct bench_pair *pair)
{
	char question[64];

	snprintf(question, sizeof(question), "echo, %d connections%s", connections, what);
	bench_print_beside(question, pair->a[figure], unit, "liburing", pair->b[figure],
			   pair->ratio[figure]);
}

static void closed_loop(int connections)
{
	struct bench_pair pair;

	rate = 0;
	bench_in_turn(xylem, raw, connections, 5, &pair);
	print("", connections, PER_SECOND, "req/s", &pair);
	print(", CPU", connections, CPU_US, "us/req", &pair);
	print(", p50", connections, P50, "us", &pair);
	print(", p99", connections, P99, "us", &pair);
	print(", p99.9", connections, P999, "us", &pair);
}

static void fixed_rate(void)
{
	struct bench_pair pair;

	rate = RATE;
	bench_in_turn(xylem, raw, 64, 3, &pair);
	print(" at 20 k/s, p50", 64, P50, "us", &pair);
	print(" at 20 k/s, p99", 64, P99, "us", &pair);
	print(" at 20 k/s, p99.9", 64, P999, "us", &pair);
	print(" at 20 k/s, CPU", 64, CPU_US, "us/req", &pair);
	littered = true;
	bench_alone(xylem, 64, 1, pair.a); /* some collections must fall into it */
	bench_print("the same beside 200 MB and 100 MB/s, p99", pair.a[P99], "us");
	bench_print("the same beside 200 MB and 100 MB/s, p99.9", pair.a[P999], "us");
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--server") == 0) {
		alarm(SERVER_SECONDS_MAX);
		(strcmp(argv[2], "raw") == 0 ? raw_server : xylem_server)(STDOUT_FILENO);
	}
	bench_init(argc, argv);
	closed_loop(64);
	closed_loop(512);
	fixed_rate();
	return 0;
}
