/* SPDX-License-Identifier: MIT */
/* address.h - names and numbers of sockets. */
#ifndef XYLI_IO_ADDRESS_H
#define XYLI_IO_ADDRESS_H

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* getaddrinfo's answer as a negative errno; 0 if it is one. */
int xyli_address_error(int gai);

/* A path as a socket's address; -ENAMETOOLONG, or -EINVAL if it is empty. */
int xyli_address_unix(const char *path, struct sockaddr_un *ret_address, socklen_t *ret_len);

/*
 * A look-up on a thread of its own, that the collector knows nothing of, in malloc
 * memory.  Who asked frees it, or, if he left before it was done, the thread.
 */
struct xyli_lookup {
	char *host, *port;
	struct addrinfo *found;
	int error;	  /* negative errno */
	atomic_int state; /* enum lookup_state */
	int done_fd;	  /* eventfd: readable once it is done; -1: it was done at once */
	pthread_t thread;
};

/* Numbers are looked up at once; for names a thread is started. */
int xyli_lookup_start(const char *host, const char *port, struct xyli_lookup **ret_lookup);
bool xyli_lookup_is_done(struct xyli_lookup *lookup);
void xyli_lookup_drop(struct xyli_lookup *lookup); /* not to be asked any more */

#endif
