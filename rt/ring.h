/* SPDX-License-Identifier: MIT */
/* ring.h - an io_uring: set up as well as the kernel allows, and torn down. */
#ifndef XYLI_RT_RING_H
#define XYLI_RT_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <liburing.h>

struct xyli_ring {
	struct io_uring uring;
	bool open;
	bool claimed;		      /* enabled, and its descriptor registered, by the owner */
	bool deferred;		      /* DEFER_TASKRUN: completions come only when we ask */
	bool flagged;		      /* TASKRUN_FLAG: the SQ's flags say when to ask */
	bool skips_cancels;	      /* CQE_SKIP: a cancel that worked posts nothing */
	struct xyli_hostile *hostile; /* check build: it stands in for `uring`; NULL */
	int notify_fd;		      /* eventfd that the kernel signals; -1: none */
};

/* Disabled, so that the thread which enables it becomes its one issuer.  pollable: its
 * descriptor is to be polled, which DEFER_TASKRUN spoils (ring.c). */
int xyli_ring_open(struct xyli_ring *ring, unsigned entries, unsigned sqpoll_idle_ms,
		   bool pollable);
int xyli_ring_claim(struct xyli_ring *ring); /* on the shard's thread, once */
void xyli_ring_close(struct xyli_ring *ring);

/* Submit, and wait for a CQE, ns at most (INT64_MAX: for ever). */
int xyli_ring_wait(struct xyli_ring *ring, int64_t ns);

/* A descriptor that is readable when there is something to reap: its own, or notify_fd
 * if it is not pollable. */
int xyli_ring_poll_fd(struct xyli_ring *ring);
void xyli_ring_hush(struct xyli_ring *ring); /* it has been noticed */

/* Why a ring could not be set up, in a sentence a person can act on. */
void xyli_why_set(const char *format, ...) __attribute__((format(printf, 1, 2)));
void xyli_why_ring(int error);

#endif
