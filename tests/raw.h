/* SPDX-License-Identifier: MIT */
/* raw.h - the other end, by plain system calls: folders, sockets, pipes, files. */
#ifndef TEST_RAW_H
#define TEST_RAW_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/harness.h"
#include "xylem/xylem.h"

/* ---- a folder with one name in it ------------------------------------------------- */

struct folder {
	char dir[32];
	char path[64]; /* of whatever the test puts there */
};

__attribute__((unused)) static struct folder folder_make(void)
{
	struct folder folder = { .dir = "/tmp/xylem-test-XXXXXX" };

	CHECK(mkdtemp(folder.dir) != NULL);
	snprintf(folder.path, sizeof(folder.path), "%s/it", folder.dir);
	return folder;
}

__attribute__((unused)) static void folder_remove(const struct folder *folder)
{
	unlink(folder->path);
	CHECK_EQ(rmdir(folder->dir), 0);
}

/* ---- descriptors ------------------------------------------------------------------ */

__attribute__((unused)) static struct xyl_io *raw_handle(int fd)
{
	struct xyl_io *io = xyl_io_from_fd(fd);

	CHECK(io != NULL);
	return io;
}

/* A handle on one end, the descriptor of the other. */
__attribute__((unused)) static struct xyl_io *raw_socketpair(int *ret_peer)
{
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	*ret_peer = fds[1];
	return raw_handle(fds[0]);
}

/* Two ends of a TCP connection in this machine. */
__attribute__((unused)) static void raw_tcp_pair(int fds[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_EQ(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK_EQ(listen(listener, 1), 0);
	CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(connect(fds[1], (struct sockaddr *)&address, sizeof(address)), 0);
	fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(fds[0] >= 0);
	close(listener);
}

/* As raw_socketpair. */
__attribute__((unused)) static struct xyl_io *raw_tcp(int *ret_peer)
{
	int fds[2];

	raw_tcp_pair(fds);
	*ret_peer = fds[1];
	return raw_handle(fds[0]);
}

/* The connection ends with an error at the other end: what is on its way is lost. */
__attribute__((unused)) static void raw_reset(int fd)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	CHECK_EQ(close(fd), 0);
}

__attribute__((unused)) static struct xyl_io *raw_pipe_reader(int *ret_writer)
{
	int fds[2];

	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	*ret_writer = fds[1];
	return raw_handle(fds[0]);
}

__attribute__((unused)) static struct xyl_io *raw_pipe_writer(int *ret_reader)
{
	int fds[2];

	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	*ret_reader = fds[0];
	return raw_handle(fds[1]);
}

__attribute__((unused)) static void raw_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	CHECK(flags >= 0);
	CHECK_EQ(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), 0);
}

/* Write until no more goes in; how much it was. */
__attribute__((unused)) static size_t raw_fill(int fd)
{
	static const char zeros[4096];
	size_t all = 0;
	ssize_t n;

	raw_nonblocking(fd, true);
	while ((n = write(fd, zeros, sizeof(zeros))) > 0)
		all += (size_t)n;
	CHECK_EQ(errno, EAGAIN);
	raw_nonblocking(fd, false);
	return all;
}

/* Read until no more comes; how much it was. */
__attribute__((unused)) static size_t raw_drain(int fd)
{
	char bytes[4096];
	size_t all = 0;
	ssize_t n;

	raw_nonblocking(fd, true);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		all += (size_t)n;
	raw_nonblocking(fd, false);
	return all;
}

__attribute__((unused)) static void raw_send(int fd, const char *text)
{
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

__attribute__((unused)) static int raw_unix_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CHECK_EQ(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

__attribute__((unused)) static int raw_unix_listen(const char *path, int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK_EQ(listen(fd, backlog), 0);
	return fd;
}

/* A listener whose queue is full: who connects now waits until someone is accepted. */
__attribute__((unused)) static int raw_unix_full(const char *path, int *ret_queued)
{
	int fd = raw_unix_listen(path, 0);

	*ret_queued = raw_unix_connect(path);
	return fd;
}

/* The port of a TCP listener, as text. */
__attribute__((unused)) static void raw_port(const struct xyl_io *io, char *ret_text, size_t size)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	in_port_t port;

	CHECK_EQ(getsockname(xyl_io_fd(io), (struct sockaddr *)&address, &len), 0);
	port = address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
					     : ((struct sockaddr_in *)&address)->sin_port;
	snprintf(ret_text, size, "%u", ntohs(port));
}

/* A FIFO's writing end: this does not wait, and so fails until someone really is in the
 * other open. */
__attribute__((unused)) static int raw_fifo_writer(const char *path)
{
	int fd;

	while ((fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
		CHECK_EQ(errno, ENXIO);
		sched_yield();
	}
	return fd;
}

/* A file for reading past the page cache, or -1 where the file system will not. */
__attribute__((unused)) static int raw_direct_file(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(pwrite(fd, bytes, len, 0), (ssize_t)len);
	CHECK_EQ(fsync(fd), 0);
	close(fd);
	return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
}

#endif
