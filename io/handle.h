/* SPDX-License-Identifier: MIT */
/*
 * handle.h - struct xyl_io: a descriptor, what is under way on it, and what is left over.
 *
 * A handle is held by its outstanding operations.  Each direction is a lane: at most
 * one operation of it is with the kernel, so that what arrives for a task that has left
 * can go, in order, to the next.
 */
#ifndef XYLI_IO_HANDLE_H
#define XYLI_IO_HANDLE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt/op.h"
#include "rt/shard.h"
#include "spawn/task.h"
#include "spawn/trace.h"
#include "xylem/xylem.h"

enum xyli_io_kind {
	XYLI_IO_FILE,  /* regular file or block device: not cancelled in the kernel */
	XYLI_IO_PIPE,  /* or a FIFO */
	XYLI_IO_OTHER, /* a terminal, anything else that is read and written */
	XYLI_IO_SOCKET,
};

/* One transfer or connect: an operation that takes its turn in a lane. */
struct xyli_stream_op {
	struct xyli_op op; /* first; without a kind: a turn, and nothing started */
	struct xyli_lane *lane;
	char **ret_bytes;  /* of a read that brings its own buffer; NULL: any other */
	char *buf;	   /* as the user gave it: op.buf moves along */
	size_t want, done; /* bytes */
	ssize_t result;	   /* of a zero-copy write whose notification is awaited */
	bool whole;	   /* want is to be reached */
	bool paused;	   /* a part has gone out; the rest waits for its notification */
};

struct xyli_lane {
	struct xyli_stream_op *active; /* on the backlog or in the kernel */
	struct xyli_stream_op *spare;  /* a record to use again */
	struct xyli_waits queue;       /* tasks whose turn has not come; on: their record */
};

struct xyl_io {
	struct xyli_shard *shard; /* the first that used it; NULL before */
	struct xyli_lane in, out;
	struct xyli_acceptor *acceptor;	 /* of a listener that was used as one */
	struct xyli_receiver *receiver;	 /* of a socket that was read without a buffer */
	struct xyli_op *spares;		 /* records of positional operations, to use again */
	struct xyli_splice_end *splices; /* under way, from here or to here */
	struct xyli_waits closers;
	unsigned held;	     /* operations not settled yet */
	unsigned positional; /* of those, the ones that no lane knows */
	int fd;		     /* -1 once closed */
	char *pushback;	     /* bytes nobody was there to read */
	size_t pushback_len;
	uint8_t kind; /* enum xyli_io_kind */
	bool closing;
	bool broken;	   /* a part of a write got out: no more writes */
	bool torn;	   /* bytes were lost for want of memory: no more reads */
	bool copies;	   /* it cannot send without a copy */
	bool reads_nowait; /* worth a try without the ring */
	int close_result;
	uintptr_t next, prev; /* complemented: open handles of a shard, weakly */
	struct xyli_post close_post;
#ifdef XYL_CHECK
	struct xyli_trace made; /* birth.c */
#endif
};

struct xyl_io *xyli_io_new(int fd, enum xyli_io_kind kind); /* NULL: no memory; fd is still yours */

/* At the start of each operation: 0, or why it cannot be. */
int xyli_io_use(struct xyl_io *io, struct xyli_shard *shard);

/* An operation of it is under way; has been settled. */
void xyli_io_hold(struct xyl_io *io);
void xyli_io_release(struct xyl_io *io);

/* What one system call may be asked to transfer: the kernel itself does no more. */
static inline uint32_t xyli_io_length(size_t len)
{
	return len < INT32_MAX - 4095 ? (uint32_t)len : INT32_MAX - 4095;
}

/* Says nothing about the next try, which is to be made while someone waits.  EAGAIN comes
 * of O_NONBLOCK, which someone who shares the open file has switched on again, or of the
 * kernel's want of threads, which may last. */
bool xyli_io_failed_for_now(struct xyli_op *op, int res);

static inline bool xyli_io_is_interrupted(struct xyli_op *op, int res)
{
	if (__builtin_expect(res < 0, 0))
		return xyli_io_failed_for_now(op, res);
	op->again = 0;
	return false;
}

/* A descriptor that came too late for anyone. */
void xyli_io_close_late(struct xyli_shard *shard, int fd);

/* ---- lanes (lane.c) -------------------------------------------------------------- */

/* Take turns: start the operation, or queue behind the one under way. */
xyl_pending xyli_lane_await(struct xyl_task *task, struct xyli_stream_op *op);

/* The same, and start nothing: 0, and the turn is the caller's until xyli_lane_settled. */
xyl_pending xyli_lane_turn(struct xyl_task *task, struct xyli_stream_op *op);

/* A record with its handle and lane, and nothing done; the rest is left from its last use. */
struct xyli_stream_op *xyli_lane_record(struct xyl_io *io,
					struct xyli_lane *lane); /* NULL: no memory */

/* It is over, or came to nothing: the record can be used again. */
void xyli_lane_spare(struct xyli_stream_op *op);
bool xyli_lane_is_free(const struct xyli_lane *lane);

/* Keep it for the next: it names nothing of its last user's. */
void xyli_lane_spare(struct xyli_stream_op *op);

/* Again, for the same waiter, without giving up its turn. */
void xyli_lane_again(struct xyli_stream_op *op);

/* Serve those who queue from what is at hand; start the first who needs the kernel. */
void xyli_lane_next(struct xyli_lane *lane);

/* It is over; the next one's turn. */
void xyli_lane_settled(struct xyli_stream_op *op);

/* Wake those who queue, cancel what is under way. */
void xyli_lane_shut(struct xyli_lane *lane);

/* The ring has failed: wake those who queue, for their turn will not come. */
void xyli_lane_lose(struct xyli_lane *lane);

/* A transfer has brought this much, or failed: is it to go on?  Then for the rest. */
bool xyli_stream_goes_on(struct xyli_stream_op *op, int res);
void xyli_stream_advance(struct xyli_stream_op *op, int res);

/* Writing all of it: the record is aimed; the result for its waiter; the end. */
void xyli_write_aim(struct xyli_stream_op *op, const void *buf, size_t len);
ssize_t xyli_write_outcome(struct xyli_stream_op *op, int res);
void xyli_write_settle(struct xyli_op *op, int res, unsigned cqe_flags);

/* The one who waits in the queue has left: what he had gathered goes back (stream.c). */
void xyli_stream_left(struct xyli_stream_op *op);

/* It starts: a read that brings its own buffer gets it now.  False: no memory. */
bool xyli_stream_aim(struct xyli_stream_op *op);

/* What is at hand already, for the one whose turn it is (stream.c): true, and its result. */
bool xyli_stream_at_hand(struct xyli_stream_op *op, ssize_t *ret_result);

/* ---- the multishot receive behind the in lane (receive.c) ---------------------------- */

/* It is with the kernel: what comes goes to the first in the lane's queue. */
bool xyli_receiver_is_armed(const struct xyl_io *io);

/* For the first in the queue, who waits for no buffer of his own.  False: the kernel
 * cannot; aim the operation at a buffer of its own. */
bool xyli_receiver_arm(struct xyl_io *io);

/* What has arrived and was not read yet: some of it copied; some of it as it lies there,
 * or the error that came after it (0: nothing at hand). */
size_t xyli_receiver_copy(struct xyl_io *io, char *buf, size_t len);
ssize_t xyli_receiver_take(struct xyl_io *io, char **ret_bytes);

/* The one it was armed for was aborted; the handle closes; what nobody read is dropped. */
void xyli_receiver_desert(struct xyl_io *io);
void xyli_receiver_shut(struct xyl_io *io);
void xyli_receiver_empty(struct xyl_io *io);

/* ---- listeners (accept.c) --------------------------------------------------------- */

/* Wake those who wait for a connection, cancel the accept under way. */
void xyli_acceptor_shut(struct xyl_io *io);

void xyli_acceptor_lose(struct xyl_io *io); /* the ring has failed: wake them */

/* Close the connections that nobody took. */
void xyli_acceptor_empty(struct xyl_io *io);

/* ---- splices (splice.c) ------------------------------------------------------------ */

/* Cancel those that are under way. */
void xyli_splices_shut(struct xyl_io *io);

/* Start an operation on the calling task's behalf: the handle is usable, the task is
 * not canceled.  Otherwise the error, for xyli_done. */
static inline int xyli_io_begin(struct xyl_task *task, struct xyl_io *io)
{
	if (xyli_task_is_canceled(task))
		return -ECANCELED;
	return xyli_io_use(io, task->wait.shard);
}

#endif
