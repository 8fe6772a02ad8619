/* SPDX-License-Identifier: MIT */
/* address.h - names and numbers of sockets. */
#ifndef XYLI_IO_ADDRESS_H
#define XYLI_IO_ADDRESS_H

#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* getaddrinfo's answer as a negative errno; 0 if it is one. */
int xyli_address_error(int gai);

/* A path as a socket's address; -ENAMETOOLONG, or -EINVAL if it is empty. */
int xyli_address_unix(const char *path, struct sockaddr_un *ret_address, socklen_t *ret_len);

/*
 * A look-up on a thread of its own, that the collector knows nothing of: malloc memory,
 * held by the thread and by whoever asks; the last of the two frees it.
 */
struct xyli_lookup {
	char *host, *port;
	struct addrinfo *found;
	int error;			/* negative errno */
	atomic_bool done;
	int done_fd;			/* eventfd: readable once it is done; -1: it was done at once */
	atomic_int holders;
};

/* Numbers are looked up at once; for names a thread is started. */
int xyli_lookup_start(const char *host, const char *port, struct xyli_lookup **ret_lookup);
void xyli_lookup_drop(struct xyli_lookup *lookup);

#endif
