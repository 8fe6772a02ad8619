/* SPDX-License-Identifier: MIT */
/*
 * The load of echo.c: 64 bytes to and fro on each of many connections.  It pins itself to
 * CPU 1 and says what it saw in one line of numbers: requests a second; latency at p50,
 * p99, p99.9 and the longest, in microseconds; the server's CPU microseconds per request.
 *
 *	load PORT SERVER_PID CONNECTIONS SECONDS [REQUESTS_PER_SECOND]
 *
 * Without a rate the loop is closed: a connection asks again as soon as it is answered.
 * With a rate, requests fall due at even intervals whatever the server does, and each
 * latency counts from when the request was *due*: a server that stands still for 100 ms
 * makes 100 ms worth of requests late, not one.
 *
 * What would make it lie: answers that nobody compares (each carries a number and is
 * checked); the warm-up in the count (the first 0.3 s are left out).  Clocks are read once
 * per batch of completions, so at closed loop a latency is exact to about a batch.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 64, SECONDS_MAX = 60, CONNECTIONS_MAX = 4096 };
enum { SEND = 0, RECV = 1 };
static const int64_t WARM_UP_NS = 300000000;

struct peer {
	int fd;
	uint64_t number;
	int64_t since;
	size_t have;
	char out[BYTES], in[BYTES];
};

static struct {
	struct io_uring ring;
	struct peer *peers, **idle;
	int connections, idle_count;
	int64_t measure_from, interval_ns, due;
	uint32_t *latencies_ns;
	size_t answered, answered_max;
} load;

static int connect_to(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bench_check(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static struct io_uring_sqe *next_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&load.ring);

	if (!sqe) {
		io_uring_submit(&load.ring);
		sqe = io_uring_get_sqe(&load.ring);
	}
	return sqe;
}

static void start_recv(struct peer *peer)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_recv(sqe, peer->fd, peer->in + peer->have, BYTES - peer->have, 0);
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)peer | RECV);
}

static void ask(struct peer *peer, int64_t since)
{
	struct io_uring_sqe *sqe = next_sqe();

	peer->since = since;
	peer->number++;
	peer->have = 0;
	memcpy(peer->out, &peer->number, sizeof(peer->number));
	io_uring_prep_send(sqe, peer->fd, peer->out, BYTES, MSG_NOSIGNAL);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)peer | SEND);
	start_recv(peer);
}

/* Has the peer been answered in full? */
static bool answer_take(struct peer *peer, int32_t len)
{
	bench_check(len > 0, "the server hung up");
	peer->have += (size_t)len;
	if (peer->have < BYTES) {
		start_recv(peer);
		return false;
	}
	bench_check(memcmp(peer->in, peer->out, BYTES) == 0, "the answer is the question");
	return true;
}

static void note(const struct peer *peer, int64_t now)
{
	int64_t ns = now - peer->since;

	if (peer->since < load.measure_from || load.answered == load.answered_max)
		return;
	load.latencies_ns[load.answered++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static void reap(void)
{
	struct io_uring_cqe *cqe;
	unsigned head, reaped = 0;
	int64_t now = bench_now();

	io_uring_for_each_cqe(&load.ring, head, cqe) {
		struct peer *peer = (struct peer *)(uintptr_t)(cqe->user_data & ~UINT64_C(1));

		reaped++;
		bench_check((cqe->user_data & 1) == RECV, "send");
		if (!answer_take(peer, cqe->res))
			continue;
		note(peer, now);
		if (load.interval_ns == 0)
			ask(peer, now);
		else
			load.idle[load.idle_count++] = peer;
	}
	io_uring_cq_advance(&load.ring, reaped);
}

static void ask_what_is_due(void)
{
	int64_t now = bench_now();

	while (load.idle_count > 0 && load.due <= now) {
		ask(load.idle[--load.idle_count], load.due);
		load.due += load.interval_ns;
	}
}

static void run_until(int64_t end)
{
	while (bench_now() < end) {
		if (load.interval_ns == 0) {
			io_uring_submit_and_wait(&load.ring, 1);
		} else { /* never asleep: waking up would be part of the latency */
			ask_what_is_due();
			io_uring_submit_and_get_events(&load.ring);
		}
		reap();
	}
}

static void set_up(uint16_t port, long per_second, int seconds)
{
	unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

	load.peers = calloc((size_t)load.connections, sizeof(*load.peers));
	load.idle = calloc((size_t)load.connections, sizeof(struct peer *));
	load.answered_max = (size_t)seconds * 1000000;
	load.latencies_ns = malloc(load.answered_max * sizeof(*load.latencies_ns));
	load.interval_ns = per_second > 0 ? 1000000000 / per_second : 0;
	bench_check(io_uring_queue_init(4096, &load.ring, flags) == 0, "io_uring");
	io_uring_register_ring_fd(&load.ring);
	for (int i = 0; i < load.connections; i++) {
		load.peers[i].fd = connect_to(port);
		load.idle[load.idle_count++] = &load.peers[i];
	}
	load.due = bench_now();
	load.measure_from = load.due + WARM_UP_NS;
	while (load.interval_ns == 0 && load.idle_count > 0)
		ask(load.idle[--load.idle_count], load.due);
}

static int64_t cpu_ns(pid_t pid)
{
	struct timespec t = { 0, 0 };
	clockid_t clock;

	bench_check(clock_getcpuclockid(pid, &clock) == 0, "the server's CPU clock");
	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int compare_ns(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double at(double part)
{
	size_t last = load.answered - 1;

	return load.latencies_ns[(size_t)(part * (double)last)] / 1e3;
}

int main(int argc, char **argv)
{
	int seconds = argc > 4 ? atoi(argv[4]) : 0;
	int64_t t0, cpu0, elapsed, cpu;
	pid_t server;

	bench_check(seconds > 0 && seconds < SECONDS_MAX,
		    "usage: load PORT SERVER_PID CONNECTIONS SECONDS [REQUESTS_PER_SECOND]");
	alarm(SECONDS_MAX);
	bench_pin(1);
	server = atoi(argv[2]);
	load.connections = atoi(argv[3]);
	bench_check(load.connections > 0 && load.connections <= CONNECTIONS_MAX, "CONNECTIONS");
	set_up((uint16_t)atoi(argv[1]), argc > 5 ? atol(argv[5]) : 0, seconds);

	run_until(load.measure_from);
	t0 = bench_now();
	cpu0 = cpu_ns(server);
	run_until(t0 + seconds * INT64_C(1000000000));
	elapsed = bench_now() - t0;
	cpu = cpu_ns(server) - cpu0;

	bench_check(load.answered > 0, "no answers");
	qsort(load.latencies_ns, load.answered, sizeof(*load.latencies_ns), compare_ns);
	printf("%.0f %.1f %.1f %.1f %.1f %.3f\n", (double)load.answered / (double)elapsed * 1e9,
	       at(0.5), at(0.99), at(0.999), at(1), (double)cpu / 1e3 / (double)load.answered);
	return 0;
}
