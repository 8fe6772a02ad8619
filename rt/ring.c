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
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gc/check.h"
#include "rt/clock.h"
#include "rt/hostile.h"
#include "xylem/xylem.h"

#define CQ_PER_SQ 4
#define BLIND_NAP_NS (10 * XYL_MS)
#define BLIND_NAP_MAX_S 1000000000 /* longer is for ever */

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

/* ---- waiting ------------------------------------------------------------------------ */

static int wait_in_ring(struct xyli_ring *ring, int64_t ns)
{
	struct __kernel_timespec ts = { .tv_sec = ns / XYL_SEC, .tv_nsec = ns % XYL_SEC };
	struct io_uring_cqe *cqe;

	return io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1,
						ns == XYLI_NEVER ? NULL : &ts, NULL);
}

/* Valgrind 3.19 holds its big lock during a blocking io_uring_enter, not during poll. */
static int wait_in_poll(struct xyli_ring *ring, int64_t ns)
{
	struct io_uring *uring = &ring->uring;
	struct pollfd pollfd = { .fd = uring->ring_fd, .events = POLLIN };
	struct timespec ts = xyli_timespec(ns);
	int r;

	if (ring->deferred && ns > BLIND_NAP_NS)
		ts = xyli_timespec(BLIND_NAP_NS); /* it turned by hand before: poll is not told */
	r = io_uring_submit_and_get_events(uring);
	if (r >= 0 && !io_uring_cq_ready(uring))
		ppoll(&pollfd, 1, ts.tv_sec > BLIND_NAP_MAX_S ? NULL : &ts, NULL);
	return r >= 0 ? io_uring_get_events(uring) : r;
}

int xyli_ring_wait(struct xyli_ring *ring, int64_t ns)
{
	return xyli_check_valgrind() ? wait_in_poll(ring, ns) : wait_in_ring(ring, ns);
}

/* ---- a descriptor to poll ------------------------------------------------------------ */

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
	if (xyli_ring_is_hostile(ring))
		xyli_hostile_close(ring->hostile);
	ring->hostile = NULL;
	ring_unmap(ring);
	ring->open = false;
}
