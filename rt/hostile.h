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

/* In the plain build a constant, and with it all that follows is gone: not a function,
 * for it must be so without optimization, too. */
#ifdef XYL_CHECK
#define xyli_ring_is_hostile(ring) ((ring)->hostile != NULL)
#else
#define xyli_ring_is_hostile(ring) false
#endif

/* From now on, in this process, whatever the environment says: no ring is made hostile,
 * and no schedule seeded. */
void xyli_hostile_forbid(bool forbid);
bool xyli_hostile_seed(uint64_t *ret_seed); /* false: none is wanted */

/* Put it before the shard's ring, if the environment asks for it (XYL_HOSTILE=seed). */
#ifdef XYL_CHECK
void xyli_hostile_open(struct xyli_shard *shard);
#else
static inline void xyli_hostile_open(struct xyli_shard *shard)
{
	(void)shard;
}
#endif
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
