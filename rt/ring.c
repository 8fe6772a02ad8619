/* SPDX-License-Identifier: MIT */
/*
 * Ring set-up.
 *
 * Design notes.  A ladder of flag sets, best first; each rung is refused with EINVAL by
 * kernels that do not know it.  SINGLE_ISSUER and DEFER_TASKRUN (Linux 6.1) let
 * completions run when the shard asks for them: half the CPU of a default ring in an
 * echo server, and a cancel that is submitted before reaping always wins.  The CQ is
 * four times the SQ: an overflow loses nothing, but is slow and ends multishots.
 *
 * Polling a ring with DEFER_TASKRUN does not work (Linux 6.18): its poll queue is not
 * told of the work that is held back.  A registered eventfd is, but not reliably when
 * the completion is itself an eventfd's.  So a ring that will be polled does without.
 */
#include "rt/ring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gc/check.h"

#define CQ_PER_SQ 4

static const unsigned ladder[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		IORING_SETUP_SUBMIT_ALL, /* the one that is not pollable */
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_SUBMIT_ALL,
	0,
};

static const unsigned ladder_sqpoll[] = {
	IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_SQPOLL | IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_SQPOLL,
};

/* liburing maps and unmaps rings unseen by the thread checkers: a new one may lie where
 * another thread's was. */
static char ring_mappings;

/* What the loop cannot do without: waits with a deadline, no CQE ever dropped. */
#define FEATURES_NEEDED (IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE)

static void ring_unmap(struct xyli_ring *ring)
{
	xyli_check_gives(&ring_mappings);
	io_uring_queue_exit(&ring->uring);
}

static int ring_try(struct xyli_ring *ring, unsigned entries, unsigned idle_ms, unsigned flags)
{
	struct io_uring_params params = {
		.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED,
		.cq_entries = entries * CQ_PER_SQ,
		.sq_thread_idle = idle_ms,
	};
	int r = io_uring_queue_init_params(entries, &ring->uring, &params);

	if (r < 0)
		return r;
	if ((params.features & FEATURES_NEEDED) != FEATURES_NEEDED) {
		ring_unmap(ring);
		return -ENOSYS;
	}
	ring->deferred = flags & IORING_SETUP_DEFER_TASKRUN;
	ring->flagged = flags & IORING_SETUP_TASKRUN_FLAG;
	ring->skips_cancels = params.features & IORING_FEAT_CQE_SKIP;
	return 0;
}

int xyli_ring_open(struct xyli_ring *ring, unsigned entries, unsigned sqpoll_idle_ms, bool pollable)
{
	const unsigned *rungs = sqpoll_idle_ms ? ladder_sqpoll : ladder;
	size_t count = sqpoll_idle_ms ? sizeof(ladder_sqpoll) / sizeof(*ladder_sqpoll)
				      : sizeof(ladder) / sizeof(*ladder);
	int r = -EINVAL;

	memset(ring, 0, sizeof(*ring));
	ring->notify_fd = -1;
	for (size_t i = pollable && rungs == ladder; i < count && r == -EINVAL; i++)
		r = ring_try(ring, entries, sqpoll_idle_ms, rungs[i]);
	if (r < 0) {
		xyli_why_ring(r);
		return r;
	}
	ring->open = true;
	xyli_check_takes(&ring_mappings);
	io_uring_ring_dontfork(&ring->uring); /* a child's SQEs would go into our ring */
	return 0;
}

int xyli_ring_claim(struct xyli_ring *ring)
{
	int r;

	if (ring->claimed)
		return 0;
	/* liburing 2.3 declares io_uring_enable_rings but does not export it. */
	if (syscall(SYS_io_uring_register, ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
		    0) < 0) {
		r = -errno;
		xyli_why_ring(r);
		return r;
	}
	ring->claimed = true;
	io_uring_register_ring_fd(&ring->uring); /* saves a descriptor look-up; may fail */
	return 0;
}

static int ring_notify(struct xyli_ring *ring)
{
	int fd, r;

	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = io_uring_register_eventfd(&ring->uring, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	ring->notify_fd = fd;
	return 0;
}

int xyli_ring_poll_fd(struct xyli_ring *ring)
{
	int r = 0;

	if (!ring->deferred)
		return ring->uring.ring_fd;
	if (ring->notify_fd < 0)
		r = ring_notify(ring);
	if (r < 0)
		xyli_why_ring(r);
	return r < 0 ? r : ring->notify_fd;
}

void xyli_ring_hush(struct xyli_ring *ring)
{
	uint64_t count;
	ssize_t n;

	if (ring->notify_fd < 0)
		return;
	n = read(ring->notify_fd, &count, sizeof(count));
	(void)n;
}

void xyli_ring_close(struct xyli_ring *ring)
{
	if (!ring->open)
		return;
	if (ring->notify_fd >= 0)
		close(ring->notify_fd);
	ring_unmap(ring);
	ring->open = false;
}
