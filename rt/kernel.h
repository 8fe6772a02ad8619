/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - what rt/ asks of a ring, once it is set up.
 *
 * The one seam between the loop and io_uring: inline calls of liburing, which cost what
 * they would cost in place.  In the check build a ring may be hostile instead
 * (hostile.h): the same questions, answered as late and as awkwardly as is allowed.
 */
#ifndef XYLI_RT_KERNEL_H
#define XYLI_RT_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <liburing.h>

#include "rt/hostile.h"
#include "rt/ring.h"

struct xyli_cqe {
	uint64_t tag;
	int res;
	unsigned flags;
};

/* An SQE to fill; NULL: the queue is full. */
static inline struct io_uring_sqe *xyli_kernel_sqe(struct xyli_ring *ring)
{
	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_sqe(ring->hostile);
	return io_uring_get_sqe(&ring->uring);
}

/* How many can be had without submitting, and how many stand there unsubmitted. */
static inline unsigned xyli_kernel_room(const struct xyli_ring *ring)
{
	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_room(ring->hostile);
	return io_uring_sq_space_left(&ring->uring);
}

static inline unsigned xyli_kernel_unsubmitted(const struct xyli_ring *ring)
{
	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_unsubmitted(ring->hostile);
	return io_uring_sq_ready(&ring->uring);
}

/* Submit what stands there.  With SQPOLL, wait until the kernel's thread has taken it. */
static inline int xyli_kernel_submit(struct xyli_ring *ring)
{
	int r;

	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_enter(ring->hostile);
	r = io_uring_submit(&ring->uring);
	io_uring_sqring_wait(&ring->uring);
	return r;
}

/* Submit, and let held-back completions run; never wait. */
static inline int xyli_kernel_look(struct xyli_ring *ring)
{
	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_enter(ring->hostile);
	return io_uring_submit_and_get_events(&ring->uring);
}

/* Submit, and wait for a CQE, ns at most (INT64_MAX: for ever). */
static inline int xyli_kernel_wait(struct xyli_ring *ring, int64_t ns)
{
	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_wait(ring->hostile, ns);
	return xyli_ring_wait(ring, ns);
}

/* CQEs that did not fit. */
static inline bool xyli_kernel_overflows(const struct xyli_ring *ring)
{
	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_overflows(ring->hostile);
	return __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW;
}

/* Work that is done when we ask for it, or CQEs that did not fit. */
static inline bool xyli_kernel_holds_back(const struct xyli_ring *ring)
{
	unsigned flags;

	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_holds_back(ring->hostile);
	flags = __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_RELAXED);
	return flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW) ||
	       (ring->deferred && !ring->flagged);
}

static inline unsigned xyli_kernel_ready(const struct xyli_ring *ring)
{
	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_ready(ring->hostile);
	return io_uring_cq_ready(&ring->uring);
}

/* Copy CQEs out and give their room back. */
static inline unsigned xyli_kernel_reap(struct xyli_ring *ring, struct xyli_cqe *batch,
					unsigned cap)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	if (xyli_ring_is_hostile(ring))
		return xyli_hostile_reap(ring->hostile, batch, cap);
	io_uring_for_each_cqe(&ring->uring, head, cqe) {
		batch[n++] = (struct xyli_cqe){ cqe->user_data, cqe->res, cqe->flags };
		if (n == cap)
			break;
	}
	io_uring_cq_advance(&ring->uring, n);
	return n;
}

#endif
