/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  getaddrinfo blocks, and may for seconds.  Its thread is not registered
 * with the collector (it would have to be stopped for collections while it hangs in the
 * resolver): it touches malloc memory only.  An aborted asker drops its half at once;
 * the thread ends when the resolver lets it.
 */
#include "io/address.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int xyli_address_error(int gai)
{
	switch (gai) {
	case 0: return 0;
	case EAI_AGAIN: return -EAGAIN;
	case EAI_MEMORY: return -ENOMEM;
	case EAI_FAIL: return -EIO;
	case EAI_SYSTEM: return errno ? -errno : -EIO;
	case EAI_SERVICE:
	case EAI_FAMILY:
	case EAI_SOCKTYPE: return -EINVAL;
	default: return -ENOENT;
	}
}

int xyli_address_unix(const char *path, struct sockaddr_un *ret_address, socklen_t *ret_len)
{
	size_t len = strlen(path);

	if (len == 0)
		return -EINVAL;
	if (len >= sizeof(ret_address->sun_path))
		return -ENAMETOOLONG;
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret_address->sun_path, path, len + 1);
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return 0;
}

/* ---- look-ups -------------------------------------------------------------------------- */

enum lookup_state {
	LOOKUP_RUNNING, /* either side may leave it */
	LOOKUP_DONE,	/* the asker frees it, after the thread has ended */
	LOOKUP_LEFT,	/* the thread frees it */
};

static void lookup_free(struct xyli_lookup *lookup)
{
	if (lookup->found)
		freeaddrinfo(lookup->found);
	if (lookup->done_fd >= 0)
		close(lookup->done_fd);
	free(lookup->host);
	free(lookup->port);
	free(lookup);
}

static struct xyli_lookup *lookup_new(const char *host, const char *port)
{
	struct xyli_lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup)
		return NULL;
	lookup->host = host ? strdup(host) : NULL;
	lookup->port = strdup(port);
	lookup->done_fd = -1;
	if ((host && !lookup->host) || !lookup->port) {
		lookup_free(lookup);
		return NULL;
	}
	return lookup;
}

static int lookup_run(struct xyli_lookup *lookup, int flags)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags };

	errno = 0;
	return getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
}

static void *lookup_thread(void *arg)
{
	struct xyli_lookup *lookup = arg;
	uint64_t one = 1;
	ssize_t n;

	lookup->error = xyli_address_error(lookup_run(lookup, AI_ADDRCONFIG));
	if (atomic_exchange(&lookup->state, LOOKUP_DONE) == LOOKUP_LEFT) {
		lookup_free(lookup);
		return NULL;
	}
	n = write(lookup->done_fd, &one, sizeof(one));
	(void)n;
	return NULL;
}

static int lookup_start_thread(struct xyli_lookup *lookup)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t all, before;
	int r;

	lookup->done_fd = eventfd(0, EFD_CLOEXEC);
	if (lookup->done_fd < 0)
		return -errno;
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	r = -pthread_create(&lookup->thread, NULL, lookup_thread, lookup);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int xyli_lookup_start(const char *host, const char *port, struct xyli_lookup **ret_lookup)
{
	struct xyli_lookup *lookup = lookup_new(host, port);
	int r;

	if (!lookup)
		return -ENOMEM;
	r = lookup_run(lookup, AI_NUMERICHOST | AI_NUMERICSERV);
	if (r == EAI_NONAME || r == EAI_SERVICE)
		r = lookup_start_thread(lookup);
	else
		r = xyli_address_error(r);
	if (r < 0)
		lookup_free(lookup);
	else
		*ret_lookup = lookup;
	return r;
}

static bool lookup_has_thread(const struct xyli_lookup *lookup)
{
	return lookup->done_fd >= 0;
}

bool xyli_lookup_is_done(struct xyli_lookup *lookup)
{
	return !lookup_has_thread(lookup) || atomic_load(&lookup->state) == LOOKUP_DONE;
}

void xyli_lookup_drop(struct xyli_lookup *lookup)
{
	pthread_t thread = lookup->thread;

	if (lookup_has_thread(lookup)) {
		if (atomic_exchange(&lookup->state, LOOKUP_LEFT) != LOOKUP_DONE) {
			pthread_detach(thread);
			return;
		}
		pthread_join(thread, NULL); /* it only has its last write to do */
	}
	lookup_free(lookup);
}
