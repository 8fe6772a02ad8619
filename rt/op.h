/* SPDX-License-Identifier: MIT */
/*
 * op.h - an operation: one thing asked of the kernel.
 *
 * While it is in the kernel exactly one slot of its shard's operation table names the
 * record, and the record names everything the kernel may touch.  The collector moves
 * nothing, so reachable is pinned.  user_data names the slot and its generation, never
 * an address: the collector could not see it, and a late CQE must not find a new
 * operation.
 * Its states and how it passes from one to the next: life.h.
 */
#ifndef XYLI_RT_OP_H
#define XYLI_RT_OP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rt/life.h"
#include "xylem/xylem.h"

struct xyli_shard;
struct xyli_wait;
struct xyli_op;
struct io_uring_sqe;

/* What every operation of a shard whose ring has failed gives. */
#define XYLI_LOST (-ENOTRECOVERABLE)

struct xyli_op_kind {
	const char *name; /* "recv", "accept": for xyl_dump_tasks */
	/* The result is here (or the operation never reached the kernel: -ECANCELED).
	 * Hand it to the waiter with xyli_op_wake, or to nobody: adopt it.  After the
	 * last CQE (it is FREE) the record may be used again. */
	void (*settle)(struct xyli_op *op, int res, unsigned cqe_flags);
	/* NULL: the record says all; else, what is to be different in the SQE. */
	void (*prepare)(struct xyli_op *op, struct io_uring_sqe *sqe);
	/* NULL, or: the ring has failed and its last CQE will not come; it stays pinned.
	 * Tell whoever waits for more than this operation. */
	void (*lose)(struct xyli_op *op);
	bool restarts; /* EINTR and EAGAIN are not results: settle starts it again */
};

struct xyli_op {
	struct xyli_op *next, *prev; /* the backlog, or the list of cancels */
	const struct xyli_op_kind *kind;
	struct xyli_wait *waiter; /* NULL: abandoned, or nobody ever waited */
	struct xyli_shard *shard;
	void *handle; /* kept alive by us: a struct xyl_io */
	void *buf;    /* the SQE's addr: the buffer, or a path or sockaddr of ours */
	uint64_t off;
	uint32_t len;	    /* the SQE's: a length, a mode */
	uint32_t buf_bytes; /* of buf, that the kernel may read or write */
	uint32_t op_flags;  /* msg_flags, rw_flags, open_flags, poll events, ... */
	int32_t fd;
	uint32_t slot;
	uint16_t ioprio; /* multishot flags */
	uint8_t opcode;
	uint8_t sqe_flags;
	uint8_t again; /* so often EAGAIN has started it anew */
	struct xyli_life life;
	bool kernel_writes : 1; /* into buf */
	bool internal : 1;	/* the shard's own: not counted, not aborted */
	bool prompt : 1;	/* most likely done as soon as it is submitted: a write, a file */
	bool patient : 1;	/* its cancel is to be repeated later: on retries, not on cancels */
	bool crowded : 1;	/* on the crowd, not on the backlog */
	bool divisible : 1;	/* a part of it is as good: the rest will be asked for */
	uint16_t buf_group;	/* provided buffers to choose from, with IOSQE_BUFFER_SELECT */
	uint8_t links; /* so many behind it on the backlog are linked: published all or none.  The
			* next one says one less, and so on. */
};

/* Queue it; the SQE is filled in at the end of the turn.  `waiter` waits for it from
 * now on; it is off any list.  NULL: nobody does. */
void xyli_op_start(struct xyli_shard *shard, struct xyli_op *op, struct xyli_wait *waiter);

/* Queue it and let the running task wait for it. */
xyl_pending xyli_op_await(struct xyli_shard *shard, struct xyli_op *op);

/* Ask for its end.  On the backlog: it ends at once, with -ECANCELED, and never
 * reaches the kernel, nor do those that are linked with it. */
void xyli_op_cancel(struct xyli_op *op);

/* The cancel's own CQE: only its target's counts, but a cancel that missed is repeated;
 * in a while, if the kernel is at work on the target just now. */
void xyli_op_cancel_missed(struct xyli_op *op, int res);

/* Give the waiter, if there still is one, its result. */
void xyli_op_wake(struct xyli_op *op, ssize_t result);

/* Start another operation for the one who waits for this. */
void xyli_op_hand_over(struct xyli_op *from, struct xyli_op *to);

/* What a wait waits for, by name. */
const char *xyli_wait_name(const struct xyli_wait *wait);

/* From the reactor: the SQE is published; a CQE has come; the cancel's SQE is published. */
void xyli_op_publish(struct xyli_op *op);
void xyli_op_complete(struct xyli_op *op, int res, unsigned cqe_flags, bool more);
void xyli_op_cancel_sent(struct xyli_op *op);

/* It ends without having reached the kernel. */
void xyli_op_refuse(struct xyli_op *op, int error);

/* The ring has failed: its waiter is told so, and what the kernel has stays pinned. */
void xyli_op_lose(struct xyli_op *op);

/* user_data:	kind 8 | generation 32 | slot 24 */
#define XYLI_TAG_GENERATION 24
#define XYLI_TAG_SLOT ((UINT64_C(1) << XYLI_TAG_GENERATION) - 1)
#define XYLI_TAG_CANCEL (UINT64_C(1) << 56) /* a cancel of that operation */

static inline bool xyli_op_is_free(const struct xyli_op *op)
{
	return op->life.state == XYLI_OP_FREE;
}

static inline bool xyli_op_in_kernel(const struct xyli_op *op)
{
	return xyli_life_is_pinned(op->life);
}

/* ---- doubly linked lists of operations ------------------------------------------ */

struct xyli_ops {
	struct xyli_op *first, *last;
};

static inline void xyli_ops_append(struct xyli_ops *list, struct xyli_op *op)
{
	op->next = NULL;
	op->prev = list->last;
	if (list->last)
		list->last->next = op;
	else
		list->first = op;
	list->last = op;
}

static inline void xyli_ops_remove(struct xyli_ops *list, struct xyli_op *op)
{
	if (op->prev)
		op->prev->next = op->next;
	else
		list->first = op->next;
	if (op->next)
		op->next->prev = op->prev;
	else
		list->last = op->prev;
	op->next = op->prev = NULL;
}

#endif
