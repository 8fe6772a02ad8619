/* SPDX-License-Identifier: MIT */
/*
 * hand.h - what drive.h does, and the kernel's hand held: a test chooses what comes
 * before what.
 *
 *	hand_turn(&driven);		a read is in the kernel
 *	send(peer, "x", 1, 0);
 *	hand_completion(&driven);	the kernel is done, and the shard has not looked
 *	xyl_abort(task);
 */
#ifndef TEST_HAND_H
#define TEST_HAND_H

#include <liburing.h>
#include <sched.h>

#include "rt/clock.h"
#include "rt/ring.h"
#include "rt/shard.h"
#include "spawn/runtime.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

#define HAND_PATIENCE (10 * XYL_SEC) /* after which something will never come */

/* For those that wait for a completion, which is to stand in the real ring. */
__attribute__((unused)) static struct driven hand_begin(const struct xyl_config *config)
{
	test_needs_the_real_ring("the kernel's hand is held");
	return drive_begin(config);
}

__attribute__((unused)) static void hand_turn(const struct driven *driven)
{
	CHECK(xyl_runtime_drive(driven->rt, 1) >= 0);
}

__attribute__((unused)) static void hand_turns(const struct driven *driven, unsigned turns)
{
	while (turns-- > 0)
		hand_turn(driven);
}

__attribute__((unused)) static ssize_t hand_join(const struct driven *driven,
						 const struct xyl_task *task)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	for (; !xyl_is_done(task); sched_yield()) {
		hand_turn(driven);
		CHECK(xyli_clock() < until);
	}
	return xyl_result(task);
}

/* Turn until no task lives and no operation is outstanding. */
__attribute__((unused)) static void hand_quiet(const struct driven *driven)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	for (; drive_stats(driven).live || drive_stats(driven).ops_outstanding; sched_yield()) {
		hand_turn(driven);
		CHECK(xyli_clock() < until);
	}
}

__attribute__((unused)) static void hand_drained(const struct driven *driven)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	for (; drive_stats(driven).ops_outstanding; sched_yield()) {
		hand_turn(driven);
		CHECK(xyli_clock() < until);
	}
}

/* n results stand in the ring, and the shard has not seen them. */
__attribute__((unused)) static void hand_completions(const struct driven *driven, unsigned n)
{
	struct io_uring *uring = &driven->rt->shard->ring->uring;
	unsigned room = uring->cq.ring_entries;
	int64_t until = xyli_clock() + HAND_PATIENCE;

	for (; io_uring_cq_ready(uring) < (n < room ? n : room); sched_yield()) {
		CHECK(io_uring_get_events(uring) >= 0);
		CHECK(xyli_clock() < until);
	}
}

__attribute__((unused)) static void hand_completion(const struct driven *driven)
{
	hand_completions(driven, 1);
}

/* ---- tasks of one operation each, whose result is theirs --------------------------- */

struct hand_read {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	size_t len;
	bool whole;
	int64_t bound; /* 0: none */
	ssize_t n;
};

/* The operation, within the bound. */
__attribute__((unused)) static xyl_pending hand_bounded(xyl_pending op, int64_t bound)
{
	return bound ? xyl_within(op, bound) : op;
}

__attribute__((unused)) static xyl_step hand_read(void *frame)
{
	struct hand_read *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(self->whole ? xyl_read_full(self->io, self->buf, self->len)
						    : xyl_read(self->io, self->buf, self->len),
					self->bound));
	XYL_END(self->n);
}

struct hand_write {
	struct xyl_frame frame;
	struct xyl_io *io;
	const char *buf;
	size_t len;
	bool whole;
	int64_t bound;
	ssize_t n;
};

__attribute__((unused)) static xyl_step hand_write(void *frame)
{
	struct hand_write *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(self->whole ? xyl_write_all(self->io, self->buf, self->len)
						    : xyl_write(self->io, self->buf, self->len),
					self->bound));
	XYL_END(self->n);
}

struct hand_accept {
	struct xyl_frame frame;
	struct xyl_io *io, **ret_io;
	ssize_t n;
};

__attribute__((unused)) static xyl_step hand_accept(void *frame)
{
	struct hand_accept *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_accept(self->io, self->ret_io));
	XYL_END(self->n);
}

struct hand_close {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

__attribute__((unused)) static xyl_step hand_close(void *frame)
{
	struct hand_close *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->n);
}

struct hand_submit {
	struct xyl_frame frame;
	void (*prep)(struct io_uring_sqe *sqe, void *arg);
	void *arg;
	void **pins;
	size_t npins;
	int64_t bound;
	ssize_t n;
};

__attribute__((unused)) static xyl_step hand_submit(void *frame)
{
	struct hand_submit *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(xyl_submit(self->prep, self->arg, self->pins, self->npins),
					self->bound));
	XYL_END(self->n);
}

/* Do it, and wait for the result. */
#define HAND_READ(driven, ...) hand_join((driven), DRIVE_SPAWN((driven), hand_read, __VA_ARGS__))
#define HAND_WRITE(driven, ...) hand_join((driven), DRIVE_SPAWN((driven), hand_write, __VA_ARGS__))
#define HAND_ACCEPT(driven, ...) \
	hand_join((driven), DRIVE_SPAWN((driven), hand_accept, __VA_ARGS__))
#define HAND_SUBMIT(driven, ...) \
	hand_join((driven), DRIVE_SPAWN((driven), hand_submit, __VA_ARGS__))
#define HAND_CLOSE(driven, which) \
	CHECK_EQ(hand_join((driven), DRIVE_SPAWN((driven), hand_close, .io = (which))), 0)

#endif
