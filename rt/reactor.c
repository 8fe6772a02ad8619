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
#include "rt/buffers.h"
#include "rt/kernel.h"
#include "rt/shard.h"

#define REAP_BATCH 64

/* ---- a ring that fails ------------------------------------------------------------ */

static void op_lose(uint32_t slot, void *obj, void *arg)
{
	(void)slot;
	(void)arg;
	xyli_op_lose(obj);
}

/* No new operations; what the kernel has stays pinned; whoever waits is told. */
static void shard_poison(struct xyli_shard *shard, int error)
{
	shard->broken = error;
	if (xyli_op_in_kernel(&shard->bell))
		xyli_inbox_renew(&shard->inbox); /* or the kernel's read might hear it first */
	xyli_why_set("the ring failed (%s): its shard does no I/O any more", strerror(-error));
	xyli_table_visit(&shard->ops, op_lose, NULL);
	while (shard->backlog.first)
		xyli_op_lose(shard->backlog.first);
	while (shard->crowd.first)
		xyli_op_lose(shard->crowd.first);
	if (shard->lose_handles)
		shard->lose_handles(shard);
}

/* What a system call on the ring may say and mean nothing by it: try again next turn. */
static bool is_transient(int r)
{
	return r == -EINTR || r == -EAGAIN || r == -EBUSY || r == -ETIME;
}

static void ring_judge(struct xyli_shard *shard, int r)
{
	if (r < 0 && !is_transient(r) && !shard->broken)
		shard_poison(shard, r);
}

/* ---- 5: flush ------------------------------------------------------------------- */

static __attribute__((noinline)) bool sq_make_room(struct xyli_shard *shard, unsigned n)
{
	ring_judge(shard, xyli_kernel_submit(shard->ring));
	return !shard->broken && xyli_kernel_room(shard->ring) >= n;
}

/* Room for n SQEs in a row. */
static inline bool sq_reserve(struct xyli_shard *shard, unsigned n)
{
	return __builtin_expect(xyli_kernel_room(shard->ring) >= n, 1) || sq_make_room(shard, n);
}

/* Of a ring that has failed nobody hears them. */
static void drop_cancels(struct xyli_shard *shard)
{
	while (shard->cancels.first)
		xyli_op_cancel_sent(shard->cancels.first);
}

static void flush_cancels(struct xyli_shard *shard)
{
	while (shard->cancels.first && sq_reserve(shard, 1)) {
		struct xyli_op *op = shard->cancels.first;
		struct io_uring_sqe *sqe = xyli_kernel_sqe(shard->ring);

		xyli_op_cancel_sent(op);
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
	sqe->flags = op->sqe_flags;
	sqe->ioprio = op->ioprio;
	sqe->fd = op->fd;
	sqe->off = op->off;
	sqe->addr = (uintptr_t)op->buf;
	sqe->len = op->len;
	sqe->rw_flags = (int)op->op_flags;
	sqe->buf_group = op->buf_group;
	sqe->user_data = xyli_op_tag(op);
}

static inline void op_publish(struct xyli_shard *shard, struct xyli_op *op)
{
	struct io_uring_sqe *sqe = xyli_kernel_sqe(shard->ring);

	shard->prompt |= op->prompt;
	sqe_fill(sqe, op);
	if (__builtin_expect(op->kind->prepare != NULL, 0))
		op->kind->prepare(op, sqe);
	if (xyli_check_on() && !op->internal)
		sqe->flags |= shard->sqe_flags;
	xyli_op_publish(op);
}

static void chain_refuse(struct xyli_op *op, int error)
{
	struct xyli_op *next;

	for (unsigned left = 1 + op->links; left > 0; left--, op = next) {
		next = op->next;
		xyli_op_refuse(op, error);
	}
}

static inline bool op_take_slot(struct xyli_shard *shard, struct xyli_op *op)
{
	op->slot = xyli_table_take(&shard->ops, op);
	return __builtin_expect(op->slot != XYLI_TABLE_NONE, 1);
}

/* A slot for it and for those linked behind it, or for none. */
static bool chain_take_slots(struct xyli_shard *shard, struct xyli_op *head)
{
	struct xyli_op *op = head;

	for (unsigned i = 0; i <= head->links; i++, op = op->next) {
		XYLI_MUST(op->links == head->links - i);
		if (op_take_slot(shard, op))
			continue;
		for (op = head; i > 0; i--, op = op->next)
			xyli_table_clear_own(&shard->ops, op->slot);
		return false;
	}
	return true;
}

static void chain_publish(struct xyli_shard *shard, struct xyli_op *op)
{
	unsigned behind = op->links;
	struct xyli_op *next;

	do {
		next = op->next;
		op_publish(shard, op);
		op = next;
	} while (behind-- > 0);
}

/* More files than the CQ has room for would overflow it, which ends multishots: they
 * complete whatever happens, so they can wait.  What may take for ever may not. */
static bool op_is_crowded_out(struct xyli_shard *shard, struct xyli_op *op)
{
	if (!op->life.stubborn || op->links ||
	    (shard->files < shard->files_max && !shard->crowd.first))
		return false;
	xyli_ops_remove(&shard->backlog, op);
	op->crowded = true;
	xyli_ops_append(&shard->crowd, op);
	return true;
}

static __attribute__((noinline)) void chain_submit(struct xyli_shard *shard, struct xyli_op *head)
{
	if (chain_take_slots(shard, head))
		chain_publish(shard, head);
	else
		chain_refuse(head, -ENOMEM);
}

/* Most stand alone. */
static inline void op_submit(struct xyli_shard *shard, struct xyli_op *op)
{
	if (__builtin_expect(op->links, 0))
		chain_submit(shard, op);
	else if (op_take_slot(shard, op))
		op_publish(shard, op);
	else
		xyli_op_refuse(op, -ENOMEM);
}

/* The queue is empty, and still there is no room for it. */
static bool chain_is_too_long(struct xyli_shard *shard, const struct xyli_op *head)
{
	return head->links && !shard->broken && !xyli_kernel_unsubmitted(shard->ring);
}

static void flush_backlog(struct xyli_shard *shard)
{
	struct xyli_op *op;

	while ((op = shard->backlog.first) != NULL) {
		if (__builtin_expect(shard->broken, 0))
			xyli_op_refuse(op, XYLI_LOST);
		else if (op_is_crowded_out(shard, op))
			continue;
		else if (sq_reserve(shard, 1 + op->links))
			op_submit(shard, op);
		else if (chain_is_too_long(shard, op))
			chain_refuse(op, -E2BIG);
		else if (!shard->broken)
			return;
	}
}

static bool crowd_may_go_on(const struct xyli_shard *shard)
{
	return shard->crowd.first && shard->files < shard->files_max;
}

/* Before the backlog: who came first goes first. */
static void flush_crowd(struct xyli_shard *shard)
{
	while (crowd_may_go_on(shard) && sq_reserve(shard, 1))
		chain_submit(shard, shard->crowd.first);
}

void xyli_ring_flush(struct xyli_shard *shard)
{
	if (__builtin_expect(shard->broken, 0))
		drop_cancels(shard);
	else if (shard->cancels.first)
		flush_cancels(shard);
	if (shard->buffers)
		xyli_buffers_fetch(shard->buffers);
	if (__builtin_expect(shard->crowd.first != NULL, 0))
		flush_crowd(shard);
	if (shard->backlog.first)
		flush_backlog(shard);
}

/* ---- 6: enter ------------------------------------------------------------------- */

/* What a system call that was interrupted did not take is to be submitted still. */
bool xyli_ring_has_news(const struct xyli_shard *shard)
{
	if (xyli_kernel_ready(shard->ring))
		return true;
	return !shard->broken &&
	       (xyli_kernel_unsubmitted(shard->ring) || xyli_kernel_holds_back(shard->ring));
}

/* Submit, and let held-back completions run; never wait. */
static void enter_briefly(struct xyli_shard *shard)
{
	if (xyli_kernel_overflows(shard->ring))
		xyli_count(&shard->stats.overflow, 1);
	if (!shard->broken &&
	    (xyli_kernel_unsubmitted(shard->ring) || xyli_kernel_holds_back(shard->ring)))
		ring_judge(shard, xyli_kernel_look(shard->ring));
}

/* The doorbell is read by an operation of the shard's own: a CQE ends the wait. */
static void bell_arm(struct xyli_shard *shard)
{
	struct xyli_op *bell = &shard->bell;

	if (!xyli_op_is_free(bell) || shard->broken)
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

/* Without a ring there is still the bell. */
static int nap_on_bell(struct xyli_shard *shard, int64_t ns)
{
	struct pollfd pollfd = { .fd = shard->inbox.bell_fd, .events = POLLIN };
	struct timespec ts = xyli_timespec(ns);

	if (ppoll(&pollfd, 1, ns == XYLI_NEVER ? NULL : &ts, NULL) > 0)
		xyli_inbox_hush(&shard->inbox);
	return 0;
}

static void nap_take(void *arg)
{
	struct nap *nap = arg;

	if (nap->shard->broken)
		nap->r = nap_on_bell(nap->shard, nap->ns);
	else
		nap->r = xyli_kernel_wait(nap->shard->ring, nap->ns);
}

/* Parking costs more than a system call: not when a result will be there at once. */
static bool ring_is_prompt(struct xyli_shard *shard)
{
	if (!shard->prompt)
		return false;
	shard->prompt = false;
	enter_briefly(shard);
	return xyli_kernel_ready(shard->ring) > 0;
}

/* Not who cannot be woken; nor if the ring has just failed, for that has woken some. */
static bool may_sleep(const struct xyli_shard *shard)
{
	return shard->broken ? xyli_ring_is_waiting(shard) : xyli_op_in_kernel(&shard->bell);
}

static void ring_sleep(struct xyli_shard *shard)
{
	struct nap nap = { .shard = shard, .ns = xyli_shard_due(shard) };

	if (nap.ns != XYLI_NEVER)
		nap.ns -= xyli_clock();
	if (nap.ns <= 0) {
		enter_briefly(shard);
		return;
	}
	if (ring_is_prompt(shard))
		return;
	bell_arm(shard);
	if (!may_sleep(shard) || !xyli_inbox_sleep(&shard->inbox)) {
		enter_briefly(shard);
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
	       (!shard->draining || shard->stats.ops_outstanding == 0 || shard->broken);
}

bool xyli_ring_is_behind(const struct xyli_shard *shard)
{
	return shard->backlog.first || shard->cancels.first || crowd_may_go_on(shard);
}

bool xyli_ring_is_waiting(const struct xyli_shard *shard)
{
	return !shard->ready.first && xyli_inbox_is_empty(&shard->inbox) &&
	       !xyli_ring_is_behind(shard) && !shard->by_hand && !shard->busy &&
	       !shard_is_finished(shard);
}

void xyli_ring_enter(struct xyli_shard *shard)
{
	if (xyli_ring_is_waiting(shard) && !xyli_kernel_ready(shard->ring))
		ring_sleep(shard);
	else
		enter_briefly(shard);
}

/* ---- 7: reap -------------------------------------------------------------------- */

static void cqe_settle(struct xyli_shard *shard, const struct xyli_cqe *cqe)
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
	struct xyli_cqe batch[REAP_BATCH];
	unsigned n;

	do {
		n = xyli_kernel_reap(shard->ring, batch, REAP_BATCH);
		for (unsigned i = 0; i < n; i++)
			cqe_settle(shard, &batch[i]);
	} while (n == REAP_BATCH);
}
