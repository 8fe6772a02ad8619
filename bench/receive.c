/* SPDX-License-Identifier: MIT */
/*
 * What does an echo cost whose reader brings no buffer?  64 bytes on 64 connections, over
 * Unix sockets and over TCP on 127.0.0.1: xyl_read_some and xyl_read_done beside xyl_read,
 * and in the same run a raw ring's multishot receive with a buffer ring beside its plain
 * recv, to show what there is to be gained.  The figure is CPU time per request of the
 * server, a process of its own.
 *
 *	receive [N]				the comparisons
 *	receive --server NAME unix|tcp [N]	one server alone, for perf and callgrind; NAME:
 *						some, read, raw_some, raw_read
 *
 * What would make it lie: batches that differ from side to side.  So the load asks on all
 * connections, then hears all, and both share CPU 0, where the server, of SCHED_BATCH,
 * does not interrupt the load: it finds the 64 together, whatever else the machine does.
 * Beyond that: the start of the runtime in the count (the first tenth of the requests is
 * left out); requests/s, which a busy machine distorts; answers that nobody compares (each
 * carries a number and is checked).
 */
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xylem/xylem.h>

enum { CONNECTIONS = 64, BYTES = 64, BUFFER = 4096, ROUNDS = 9 };
enum { LOAD_ENDS = 200 }; /* the load's descriptors: this one and those behind it */
enum { SECONDS_MAX = 60 };

static int ends[CONNECTIONS]; /* the server's descriptors */
static bool over_tcp;

/* ---- Xylem: one task for each connection ---- */

struct echo_read {
	struct xyl_frame frame;
	struct xyl_io *peer;
	char *buf;
	ssize_t n;
};

static xyl_step echo_read(void *frame)
{
	struct echo_read *self = frame;

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

struct echo_some {
	struct xyl_frame frame;
	struct xyl_io *peer;
	char *bytes;
	ssize_t n;
};

static xyl_step echo_some(void *frame)
{
	struct echo_some *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_read_some(self->peer, &self->bytes));
		if (self->n <= 0)
			break;
		XYL_AWAIT(self->n, xyl_write_all(self->peer, self->bytes, (size_t)self->n));
		xyl_read_done(self->bytes);
		if (self->n < 0)
			break;
	}
	XYL_AWAIT(self->n, xyl_close(self->peer));
	XYL_END(self->n);
}

struct serve {
	struct xyl_frame frame;
	bool some;
	int i;
	struct xyl_task *tasks[CONNECTIONS];
	ssize_t r;
};

static struct xyl_task *serve_one(int fd, bool some)
{
	struct xyl_io *peer = xyl_io_from_fd(fd);

	return some ? xyl_spawn(echo_some, .peer = peer) : xyl_spawn(echo_read, .peer = peer);
}

static xyl_step serve(void *frame)
{
	struct serve *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < CONNECTIONS; self->i++)
		self->tasks[self->i] = serve_one(ends[self->i], self->some);
	for (self->i = 0; self->i < CONNECTIONS; self->i++) {
		XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
		bench_check(self->r == 0, "a connection came to its end");
	}
	XYL_END(0);
}

static void xylem_server(bool some)
{
	bench_check(xyl_run(serve, .some = some) == 0, xyl_runtime_why());
}

/* ---- raw liburing ---- */

enum { RAW_BUFFERS = 128, GROUP = 1 }; /* a power of two */
enum { RECV, SEND };

static struct raw {
	struct io_uring ring;
	struct io_uring_buf_ring *provided;
	bool some;
	int open;
	char bufs[RAW_BUFFERS][BUFFER]; /* each connection's own; or the provided */
} raw;

/* user_data: the length of a send 16 | buffer 16 | connection 16 | kind 1 */
static uint64_t raw_tag(int kind, unsigned connection, unsigned buf, unsigned len)
{
	return (uint64_t)len << 33 | buf << 17 | connection << 1 | (unsigned)kind;
}

static void raw_provide(unsigned buf)
{
	io_uring_buf_ring_add(raw.provided, raw.bufs[buf], BUFFER, (unsigned short)buf,
			      RAW_BUFFERS - 1, 0);
	io_uring_buf_ring_advance(raw.provided, 1);
}

static void raw_open(bool some)
{
	unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	struct io_uring_buf_reg reg = { .ring_entries = RAW_BUFFERS, .bgid = GROUP };

	bench_check(io_uring_queue_init(1024, &raw.ring, flags) == 0, "io_uring");
	io_uring_register_ring_fd(&raw.ring);
	raw.some = some;
	if (!some)
		return;
	raw.provided = aligned_alloc(4096, RAW_BUFFERS * sizeof(struct io_uring_buf));
	reg.ring_addr = (uintptr_t)raw.provided;
	bench_check(io_uring_register_buf_ring(&raw.ring, &reg, 0) == 0, "a buffer ring");
	io_uring_buf_ring_init(raw.provided);
	for (unsigned buf = 0; buf < RAW_BUFFERS; buf++)
		raw_provide(buf);
}

static void raw_recv(unsigned connection)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&raw.ring);

	if (raw.some) {
		io_uring_prep_recv(sqe, ends[connection], NULL, 0, 0);
		sqe->ioprio = IORING_RECV_MULTISHOT;
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = GROUP;
	} else {
		io_uring_prep_recv(sqe, ends[connection], raw.bufs[connection], BUFFER, 0);
	}
	io_uring_sqe_set_data64(sqe, raw_tag(RECV, connection, 0, 0));
}

static void raw_received(unsigned connection, const struct io_uring_cqe *cqe)
{
	unsigned buf = raw.some ? cqe->flags >> IORING_CQE_BUFFER_SHIFT : connection;
	struct io_uring_sqe *sqe;

	if (cqe->res <= 0) {
		bench_check(cqe->res == 0, "recv");
		close(ends[connection]);
		raw.open--;
		return;
	}
	bench_check(!raw.some || cqe->flags & IORING_CQE_F_MORE, "the receive goes on");
	sqe = io_uring_get_sqe(&raw.ring);
	io_uring_prep_send(sqe, ends[connection], raw.bufs[buf], (size_t)cqe->res,
			   MSG_NOSIGNAL | MSG_WAITALL);
	io_uring_sqe_set_data64(sqe, raw_tag(SEND, connection, buf, (unsigned)cqe->res));
}

static void raw_dispatch(const struct io_uring_cqe *cqe)
{
	unsigned connection = cqe->user_data >> 1 & 0xffff;

	if ((cqe->user_data & 1) == RECV) {
		raw_received(connection, cqe);
		return;
	}
	bench_check(cqe->res == (int)(cqe->user_data >> 33), "send");
	if (raw.some)
		raw_provide(cqe->user_data >> 17 & 0xffff);
	else
		raw_recv(connection);
}

static void raw_server(bool some)
{
	struct io_uring_cqe *cqe;
	unsigned head, reaped;

	raw_open(some);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		raw_recv(i);
	for (raw.open = CONNECTIONS; raw.open > 0;) {
		io_uring_submit_and_wait(&raw.ring, 1);
		reaped = 0;
		io_uring_for_each_cqe(&raw.ring, head, cqe) {
			raw_dispatch(cqe);
			reaped++;
		}
		io_uring_cq_advance(&raw.ring, reaped);
	}
	io_uring_queue_exit(&raw.ring);
}

/* ---- the load: a program of its own, so that callgrind does not count it ---- */

static int64_t parent_cpu_ns(void)
{
	struct timespec t = { 0, 0 };
	clockid_t clock;

	bench_check(clock_getcpuclockid(getppid(), &clock) == 0, "the server's CPU clock");
	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void load_ask(long number)
{
	char out[BYTES] = { 0 };

	memcpy(out, &number, sizeof(number));
	bench_check(write(LOAD_ENDS + (int)(number % CONNECTIONS), out, BYTES) == BYTES, "write");
}

static void load_hear(long number)
{
	char in[BYTES];
	long found;
	ssize_t n, len;

	for (len = 0; len < BYTES; len += n) {
		n = read(LOAD_ENDS + (int)(number % CONNECTIONS), in + len, (size_t)(BYTES - len));
		bench_check(n > 0, "read");
	}
	memcpy(&found, in, sizeof(found));
	bench_check(found == number, "the answer is the question");
}

/* Ask on every connection, then hear every answer; the next number. */
static long load_round(long number)
{
	for (int i = 0; i < CONNECTIONS; i++)
		load_ask(number + i);
	for (int i = 0; i < CONNECTIONS; i++)
		load_hear(number + i);
	return number + CONNECTIONS;
}

static int load_main(long n)
{
	long number = 0, from;
	int64_t cpu;

	alarm(SECONDS_MAX);
	bench_pin(0);
	while (number < n / 10)
		number = load_round(number);
	from = number;
	cpu = parent_cpu_ns();
	while (number < from + n)
		number = load_round(number);
	cpu = parent_cpu_ns() - cpu;
	printf("%.4f\n", (double)cpu / 1e3 / (double)(number - from));
	return 0;
}

static FILE *load_start(long n, const int *load_ends)
{
	char path[PATH_MAX] = { 0 }, count[24];
	char *argv[] = { path, "--load", count, NULL };
	int out[2];
	pid_t pid;

	bench_check(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0, "/proc/self/exe");
	bench_check(pipe2(out, O_CLOEXEC) == 0, "pipe");
	snprintf(count, sizeof(count), "%ld", n);
	pid = fork();
	bench_check(pid >= 0, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		for (int i = 0; i < CONNECTIONS; i++)
			dup2(load_ends[i], LOAD_ENDS + i);
		execv(path, argv);
		_exit(1);
	}
	close(out[1]);
	for (int i = 0; i < CONNECTIONS; i++)
		close(load_ends[i]);
	return fdopen(out[0], "r");
}

/* ---- both ends of the connections ---- */

static void pair_unix(int *ret_pair)
{
	bench_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_pair) == 0,
		    "socketpair");
}

static void pair_tcp(int listener, int *ret_pair)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);

	bench_check(getsockname(listener, (struct sockaddr *)&at, &len) == 0, "getsockname");
	ret_pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bench_check(connect(ret_pair[1], (struct sockaddr *)&at, sizeof(at)) == 0, "connect");
	ret_pair[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	bench_check(ret_pair[0] >= 0, "accept");
	for (int i = 0; i < 2; i++)
		setsockopt(ret_pair[i], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
}

static int listen_on_tcp(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bench_check(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0, "bind");
	bench_check(listen(fd, CONNECTIONS) == 0, "listen");
	return fd;
}

static void connect_all(int *ret_load_ends)
{
	int listener = over_tcp ? listen_on_tcp() : -1;

	for (int i = 0; i < CONNECTIONS; i++) {
		int pair[2];

		if (over_tcp)
			pair_tcp(listener, pair);
		else
			pair_unix(pair);
		ends[i] = pair[0];
		ret_load_ends[i] = pair[1];
	}
	if (over_tcp)
		close(listener);
}

/* ---- the four in turn ---- */

static void measure(void (*server)(bool some), bool some, long n, double *ret)
{
	int load_ends[CONNECTIONS];
	FILE *figures;

	connect_all(load_ends);
	figures = load_start(n, load_ends);
	bench_pin(0);
	sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	server(some);
	bench_check(fscanf(figures, "%lf", ret) == 1, "the load has a figure");
	wait(NULL);
}

static void xylem_some(long n, double *ret)
{
	measure(xylem_server, true, n, ret);
}

static void xylem_read(long n, double *ret)
{
	measure(xylem_server, false, n, ret);
}

static void raw_some(long n, double *ret)
{
	measure(raw_server, true, n, ret);
}

static void raw_read(long n, double *ret)
{
	measure(raw_server, false, n, ret);
}

static void beside(const char *question, bench_side *some, const char *other, bench_side *plain)
{
	struct bench_pair pair;

	bench_in_turn(some, plain, bench_n(40000), ROUNDS, &pair);
	bench_print_beside(question, pair.a[0], "us/req", other, pair.b[0], pair.ratio[0]);
}

static int one_server(const char *name, long n)
{
	static const struct {
		const char *name;
		bench_side *side;
	} servers[] = { { "some", xylem_some },
			{ "read", xylem_read },
			{ "raw_some", raw_some },
			{ "raw_read", raw_read } };
	double us = 0;

	for (size_t i = 0; i < sizeof(servers) / sizeof(*servers); i++)
		if (strcmp(name, servers[i].name) == 0)
			servers[i].side(n, &us);
	bench_check(us > 0, "a server of that name");
	printf("%s over %s: %.3f us/req\n", name, over_tcp ? "TCP" : "Unix", us);
	return 0;
}

int main(int argc, char **argv)
{
	bench_init(argc, argv);
	if (argc == 3 && strcmp(argv[1], "--load") == 0)
		return load_main(bench_n(1));
	if (argc >= 4 && strcmp(argv[1], "--server") == 0) {
		over_tcp = strcmp(argv[3], "tcp") == 0;
		return one_server(argv[2], argc > 4 ? atol(argv[4]) : 40000);
	}
	beside("receive over Unix, CPU", xylem_some, "xyl_read", xylem_read);
	beside("the same on a raw ring", raw_some, "recv", raw_read);
	over_tcp = true;
	beside("receive over TCP, CPU", xylem_some, "xyl_read", xylem_read);
	beside("the same over TCP on a raw ring", raw_some, "recv", raw_read);
	return 0;
}
