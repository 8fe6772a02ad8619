/* SPDX-License-Identifier: MIT */
/* Listeners: made at once, without a runtime if need be. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/address.h"
#include "io/handle.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

static int socket_listen(int fd, const struct sockaddr *address, socklen_t len)
{
	if (bind(fd, address, len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

/* A socket that listens there, as a handle; or nothing is left of it. */
static int listener_open(struct xyl_io **ret_io, const struct sockaddr *address, socklen_t len)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct xyl_io *io;
	int one = 1, zero = 0, r;

	if (fd < 0)
		return -errno;
	if (address->sa_family != AF_UNIX) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* inherited */
	}
	if (address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	r = socket_listen(fd, address, len);
	io = r == 0 ? xyli_io_new(fd, XYLI_IO_SOCKET) : NULL;
	if (!io) {
		close(fd);
		return r < 0 ? r : -ENOMEM;
	}
	*ret_io = io;
	return 0;
}

int xyl_tcp_listen(struct xyl_io **ret_io, const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *found;
	int r;

	errno = 0;
	r = xyli_address_error(getaddrinfo(host, port, &hints, &found));
	if (r < 0)
		return r;
	r = -ENOENT;
	for (struct addrinfo *at = found; !host && at && r < 0; at = at->ai_next)
		if (at->ai_family == AF_INET6) /* which takes IPv4 as well */
			r = listener_open(ret_io, at->ai_addr, at->ai_addrlen);
	for (struct addrinfo *at = found; at && r < 0; at = at->ai_next)
		r = listener_open(ret_io, at->ai_addr, at->ai_addrlen);
	freeaddrinfo(found);
	return r;
}

int xyl_unix_listen(struct xyl_io **ret_io, const char *path)
{
	struct sockaddr_un address;
	socklen_t len;
	int r = xyli_address_unix(path, &address, &len);

	return r < 0 ? r : listener_open(ret_io, (struct sockaddr *)&address, len);
}
