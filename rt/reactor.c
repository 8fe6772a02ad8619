/* SPDX-License-Identifier: MIT */
/*
 * The reactor: steps 5, 6 and 7 of a turn, and all the talk with the kernel.
 *
 * Design notes.  SQEs are filled at the end of the turn, one system call submits them
 * and fetches what is done.  Cancels go first and are never dropped: their list is
 * intrusive and unbounded, and a cancel that is submitted before its operation's
 * completion is reaped wins.  CQEs are copied out before any is settled, so that the CQ
 * has room again and nothing that settling does can disturb the walk.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "gc/check.h"
#include "gc/world.h"
#include "rt/ring.h"
#include "rt/shard.h"

#define REAP_BATCH 64
#define BLIND_NAP_NS (10 * XYL_MS)
#define BLIND_NAP_MAX_S 1000000000 /* longer is for ever */

/* What a system call on the ring may say and mean nothing by it: try again next turn. */
static bool is_transient(int r)
{
	return r == -EINTR || r == -EAGAIN || r == -EBUSY || r == -ETIME;
}

/* Anything else breaks the ring: no new operations, and the pins stay. */
static void ring_judge(struct xyli_shard *shard, int r)
{
	if (r < 0 && !is_transient(r) && !shard->broken)
		shard->broken = r;
}

static struct io_uring_sqe *sqe_get(struct xyli_shard *shard)
{
	struct io_uring *uring = &shard->ring->uring;
	struct io_uring_sqe *sqe = io_uring_get_sqe(uring);

	if (sqe)
		return sqe;
	ring_judge(shard, io_uring_submit(uring));
	io_uring_sqring_wait(uring); /* SQPOLL: the kernel's thread has yet to take them */
	return io_uring_get_sqe(uring);
}

/* ---- 5: flush ------------------------------------------------------------------- */

static void flush_cancels(struct xyli_shard *shard)
{
	while (shard->cancels.first) {
		struct xyli_op *op = shard->cancels.first;
		struct io_uring_sqe *sqe = sqe_get(shard);

		if (!sqe)
			return;
		xyli_ops_remove(&shard->cancels, op);
		io_uring_prep_cancel64(sqe, xyli_op_tag(op), 0);
		sqe->user_data = XYLI_TAG_CANCEL | xyli_op_tag(op);
		if (shard->ring->skips_cancels)
			sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	}
}

static void sqe_fill(struct io_uring_sqe *sqe, const struct xyli_op *op)
{
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op->opcode;
	sqe->ioprio = op->ioprio;
	sqe->fd = op->fd;
	sqe->off = op->off;
	sqe->addr = (uintptr_t)op->buf;
	sqe->len = op->len;
	sqe->rw_flags = (int)op->op_flags;
	sqe->user_data = xyli_op_tag(op);
}

static void flush_backlog(struct xyli_shard *shard)
{
	while (shard->backlog.first) {
		struct xyli_op *op = shard->backlog.first;
		struct io_uring_sqe *sqe;

		if (shard->broken) {
			xyli_op_refuse(op, shard->broken);
			continue;
		}
		op->slot = xyli_table_take(&shard->ops, op);
		if (op->slot == XYLI_TABLE_NONE) {
			xyli_op_refuse(op, -ENOMEM);
			continue;
		}
		sqe = sqe_get(shard);
		if (!sqe) {
			xyli_table_clear_own(&shard->ops, op->slot);
			return;
		}
		xyli_ops_remove(&shard->backlog, op);
		shard->prompt |= op->prompt;
		sqe_fill(sqe, op);
		xyli_op_publish(op);
	}
}

void xyli_ring_flush(struct xyli_shard *shard)
{
	if (shard->cancels.first)
		flush_cancels(shard);
	if (shard->backlog.first)
		flush_backlog(shard);
}

/* ---- 6: enter ------------------------------------------------------------------- */

/* The kernel holds back work for us, or CQEs that did not fit. */
static bool ring_holds_back(const struct xyli_shard *shard)
{
	unsigned flags = __atomic_load_n(shard->ring->uring.sq.kflags, __ATOMIC_RELAXED);

	return flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW) ||
	       (shard->ring->deferred && !shard->ring->flagged);
}

/* What a system call that was interrupted did not take is to be submitted still. */
bool xyli_ring_has_news(const struct xyli_shard *shard)
{
	const struct io_uring *uring = &shard->ring->uring;

	return io_uring_cq_ready(uring) || io_uring_sq_ready(uring) || ring_holds_back(shard);
}

/* Submit, and let held-back completions run; never wait. */
static void enter_briefly(struct xyli_shard *shard)
{
	struct io_uring *uring = &shard->ring->uring;

	if (__atomic_load_n(uring->sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW)
		xyli_count(&shard->stats.overflow, 1);
	if (io_uring_sq_ready(uring) || ring_holds_back(shard))
		ring_judge(shard, io_uring_submit_and_get_events(uring));
}

/* The doorbell is read by an operation of the shard's own: a CQE ends the wait. */
static void bell_arm(struct xyli_shard *shard)
{
	struct xyli_op *bell = &shard->bell;

	if (bell->state != XYLI_OP_FREE || shard->broken)
		return;
	bell->fd = shard->inbox.bell_fd;
	bell->buf = &shard->bell_count;
	bell->len = sizeof(shard->bell_count);
	xyli_op_start(shard, bell, NULL);
	xyli_ring_flush(shard);
}

struct nap {
	struct xyli_shard *shard;
	int64_t ns; /* XYLI_NEVER: until something happens */
	int r;
};

static void nap_in_ring(struct nap *nap)
{
	struct __kernel_timespec ts = { .tv_sec = nap->ns / XYL_SEC, .tv_nsec = nap->ns % XYL_SEC };
	struct io_uring_cqe *cqe;

	nap->r = io_uring_submit_and_wait_timeout(&nap->shard->ring->uring, &cqe, 1,
						  nap->ns == XYLI_NEVER ? NULL : &ts, NULL);
}

/* Valgrind 3.19 holds its big lock during a blocking io_uring_enter, not during poll. */
static void nap_in_poll(struct nap *nap)
{
	struct io_uring *uring = &nap->shard->ring->uring;
	struct pollfd pollfd = { .fd = uring->ring_fd, .events = POLLIN };
	struct timespec ts = xyli_timespec(nap->ns);

	if (nap->shard->ring->deferred && nap->ns > BLIND_NAP_NS)
		ts = xyli_timespec(BLIND_NAP_NS); /* it turned by hand before: poll is not told */
	nap->r = io_uring_submit_and_get_events(uring);
	if (nap->r >= 0 && !io_uring_cq_ready(uring))
		ppoll(&pollfd, 1, ts.tv_sec > BLIND_NAP_MAX_S ? NULL : &ts, NULL);
	if (nap->r >= 0)
		nap->r = io_uring_get_events(uring);
}

static void nap_take(void *arg)
{
	if (xyli_check_valgrind())
		nap_in_poll(arg);
	else
		nap_in_ring(arg);
}

/* Parking costs more than a system call: not when a result will be there at once. */
static bool ring_is_prompt(struct xyli_shard *shard)
{
	if (!shard->prompt)
		return false;
	shard->prompt = false;
	enter_briefly(shard);
	return io_uring_cq_ready(&shard->ring->uring) > 0;
}

static void ring_sleep(struct xyli_shard *shard)
{
	struct nap nap = { .shard = shard, .ns = xyli_timers_next(&shard->timers) };

	if (nap.ns > shard->deadline)
		nap.ns = shard->deadline;
	if (nap.ns != XYLI_NEVER)
		nap.ns -= xyli_clock();
	if (nap.ns <= 0) {
		enter_briefly(shard);
		return;
	}
	if (ring_is_prompt(shard))
		return;
	bell_arm(shard);
	if (!xyli_op_in_kernel(&shard->bell) || !xyli_inbox_sleep(&shard->inbox)) {
		enter_briefly(shard); /* who cannot be woken, or has been, does not sleep */
		return;
	}
	xyli_world_park(nap_take, &nap);
	xyli_inbox_wake(&shard->inbox);
	ring_judge(shard, nap.r);
}

/* What the loop runs for has come about in this very turn: it must not go to sleep. */
static bool shard_is_finished(const struct xyli_shard *shard)
{
	if (shard->until && shard->until->state == XYLI_DONE)
		return true;
	return shard->stopping && xyli_table_count(&shard->tasks) == 0 &&
	       (!shard->draining || shard->stats.ops_outstanding == 0);
}

bool xyli_ring_is_waiting(const struct xyli_shard *shard)
{
	return !shard->ready.first && xyli_inbox_is_empty(&shard->inbox) && !shard->backlog.first &&
	       !shard->cancels.first && !shard->by_hand && !shard->busy &&
	       !shard_is_finished(shard);
}

void xyli_ring_enter(struct xyli_shard *shard)
{
	if (xyli_ring_is_waiting(shard) && !io_uring_cq_ready(&shard->ring->uring))
		ring_sleep(shard);
	else
		enter_briefly(shard);
}

/* ---- 7: reap -------------------------------------------------------------------- */

struct reaped {
	uint64_t tag;
	int res;
	unsigned flags;
};

static unsigned cqes_copy(struct io_uring *uring, struct reaped *batch)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(uring, head, cqe) {
		batch[n++] = (struct reaped){ cqe->user_data, cqe->res, cqe->flags };
		if (n == REAP_BATCH)
			break;
	}
	io_uring_cq_advance(uring, n);
	return n;
}

static void cqe_settle(struct xyli_shard *shard, const struct reaped *cqe)
{
	uint32_t slot = cqe->tag & XYLI_TAG_SLOT;
	uint32_t generation = (uint32_t)(cqe->tag >> XYLI_TAG_GENERATION);
	struct xyli_op *op;

	op = xyli_table_get(&shard->ops, slot, generation);
	if (!op)
		return;
	if (cqe->tag & XYLI_TAG_CANCEL)
		xyli_op_cancel_missed(op, cqe->res);
	else
		xyli_op_complete(op, cqe->res, cqe->flags, cqe->flags & IORING_CQE_F_MORE);
}

void xyli_ring_reap(struct xyli_shard *shard)
{
	struct reaped batch[REAP_BATCH];
	unsigned n;

	do {
		n = cqes_copy(&shard->ring->uring, batch);
		for (unsigned i = 0; i < n; i++)
			cqe_settle(shard, &batch[i]);
	} while (n == REAP_BATCH);
}
