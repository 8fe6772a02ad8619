/* SPDX-License-Identifier: MIT */
/* Two ends of one stream, by plain system calls. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "miri-equivalent/hunt/hunt.h"

enum { NARROW = 1, PAGE = 4096 }; /* the kernel rounds a buffer's size up */

static struct xyl_io *handle(int fd)
{
	struct xyl_io *io = xyl_io_from_fd(fd);

	EXPECT(io, "no handle for descriptor %d", fd);
	return io;
}

static void tcp_connected(int fds[2], bool narrow)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);
	int small = 2 * PAGE, one = 1;

	if (narrow)
		setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&at, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) < 0 ||
	    connect(fds[1], (struct sockaddr *)&at, len) < 0)
		hunt_failed("no TCP on 127.0.0.1: %s", strerror(errno));
	fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	EXPECT(fds[0] >= 0, "accept: %s", strerror(errno));
	setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(listener);
}

static int kind_open(enum pair_kind kind, int fds[2], bool narrow)
{
	switch (kind) {
	case PAIR_PIPE: return pipe2(fds, O_CLOEXEC);
	case PAIR_TCP: tcp_connected(fds, narrow); return 0;
	case PAIR_UNIX:
	default: return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	}
}

struct pair pair_make(enum pair_kind kind, bool narrow)
{
	int fds[2], small = NARROW;

	if (kind_open(kind, fds, narrow) < 0)
		hunt_failed("no pair of descriptors: %s", strerror(errno));
	if (narrow && kind == PAIR_PIPE)
		fcntl(fds[1], F_SETPIPE_SZ, PAGE);
	else if (narrow)
		setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	return (struct pair){ .in = handle(fds[0]), .out = handle(fds[1]), .kind = kind };
}

void pair_send(const struct pair *pair, const void *bytes, size_t len)
{
	ssize_t n = write(xyl_io_fd(pair->out), bytes, len);

	EXPECT(n == (ssize_t)len, "a plain write of %zu bytes gave %zd (%s)", len, n,
	       strerror(errno));
}
