/* SPDX-License-Identifier: MIT */
/*
 * The echo server that echo.c compares with: raw liburing, plain recv and send.  Like a
 * task, a connection has one recv or one send under way; the ring is the best one for
 * that (SINGLE_ISSUER, DEFER_TASKRUN, registered), entered once per batch.  It prints its
 * port and serves for a minute, or until it is killed.
 *
 * Not here, because a task that reads and then writes cannot do it either: multishot recv,
 * buffer rings, a send linked to the next recv.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER = 4096, SECONDS_MAX = 60 };
enum { ACCEPT, RECV, SEND, KIND_MASK = 3 };

struct conn {
	int fd;
	unsigned len, sent;
	char buf[BUFFER];
};

static struct io_uring ring;

static struct io_uring_sqe *next_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (__builtin_expect(!sqe, 0)) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	return sqe;
}

static void start_accept(int listener)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
	io_uring_sqe_set_data64(sqe, ACCEPT);
}

static void start_recv(struct conn *conn)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_recv(sqe, conn->fd, conn->buf, BUFFER, 0);
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)conn | RECV);
}

static void start_send(struct conn *conn)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_send(sqe, conn->fd, conn->buf + conn->sent, conn->len - conn->sent,
			   MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)conn | SEND);
}

static void accepted(int fd)
{
	struct conn *conn = malloc(sizeof(*conn));
	int one = 1;

	bench_check(fd >= 0 && conn != NULL, "accept");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn->fd = fd;
	start_recv(conn);
}

static void hang_up(struct conn *conn)
{
	close(conn->fd);
	free(conn);
}

static void received(struct conn *conn, int len)
{
	if (len <= 0) {
		hang_up(conn);
		return;
	}
	conn->len = (unsigned)len;
	conn->sent = 0;
	start_send(conn);
}

static void sent(struct conn *conn, int len)
{
	if (len <= 0) {
		hang_up(conn);
		return;
	}
	conn->sent += (unsigned)len;
	if (conn->sent < conn->len)
		start_send(conn);
	else
		start_recv(conn);
}

static void dispatch(const struct io_uring_cqe *cqe, int listener)
{
	struct conn *conn = (struct conn *)(uintptr_t)(cqe->user_data & ~UINT64_C(3));

	switch (cqe->user_data & KIND_MASK) {
	case RECV: received(conn, cqe->res); break;
	case SEND: sent(conn, cqe->res); break;
	default:
		accepted(cqe->res);
		if (!(cqe->flags & IORING_CQE_F_MORE))
			start_accept(listener);
	}
}

static int listen_and_tell(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bench_check(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0, "bind");
	bench_check(listen(fd, 4096) == 0, "listen");
	bench_check(getsockname(fd, (struct sockaddr *)&at, &len) == 0, "getsockname");
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

int main(void)
{
	unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	struct io_uring_cqe *cqe;
	unsigned head, reaped;
	int listener;

	alarm(SECONDS_MAX);
	bench_check(io_uring_queue_init(1024, &ring, flags) == 0, "io_uring");
	io_uring_register_ring_fd(&ring);
	listener = listen_and_tell();
	start_accept(listener);
	for (;;) {
		io_uring_submit_and_wait(&ring, 1);
		reaped = 0;
		io_uring_for_each_cqe(&ring, head, cqe) {
			dispatch(cqe, listener);
			reaped++;
		}
		io_uring_cq_advance(&ring, reaped);
	}
}
