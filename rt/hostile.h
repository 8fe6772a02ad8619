/* SPDX-License-Identifier: MIT */
/*
 * hostile.h - a kernel that does what it may, at the worst moment (check build only).
 *
 * It stands between the shard and a real ring: it delays and reorders, completes in
 * parts, interrupts, answers cancels late, has tiny queues that overflow, and scribbles
 * on every buffer that it is still entitled to write.  All its choices come from a seed.
 */
#ifndef XYLI_RT_HOSTILE_H
#define XYLI_RT_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

#include "rt/ring.h"

struct io_uring_sqe;
struct xyli_cqe;
struct xyli_hostile;
struct xyli_shard;

/* In the plain build a constant, and with it all that follows is gone. */
static inline bool xyli_ring_is_hostile(const struct xyli_ring *ring)
{
#ifdef XYLI_HOSTILE
	return ring->hostile;
#else
	(void)ring;
	return false;
#endif
}

/* Put it before the shard's ring, if the environment asks for it (XYL_HOSTILE=seed);
 * false: no memory. */
bool xyli_hostile_open(struct xyli_shard *shard);
void xyli_hostile_close(struct xyli_hostile *hostile);

/* The questions of kernel.h. */
struct io_uring_sqe *xyli_hostile_sqe(struct xyli_hostile *hostile);
unsigned xyli_hostile_room(const struct xyli_hostile *hostile);
unsigned xyli_hostile_unsubmitted(const struct xyli_hostile *hostile);
int xyli_hostile_enter(struct xyli_hostile *hostile);
int xyli_hostile_wait(struct xyli_hostile *hostile, int64_t ns);
bool xyli_hostile_overflows(const struct xyli_hostile *hostile);
bool xyli_hostile_holds_back(const struct xyli_hostile *hostile);
unsigned xyli_hostile_ready(const struct xyli_hostile *hostile);
unsigned xyli_hostile_reap(struct xyli_hostile *hostile, struct xyli_cqe *batch, unsigned cap);

#endif
