/* SPDX-License-Identifier: MIT */
/* Operations: their states, their tags, and which CQE is whose. */
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <liburing.h>

#include "rt/op.h"
#include "rt/ring.h"
#include "rt/shard.h"
#include "tests/child.h"
#include "tests/probe.h"
#include "tests/run.h"

/* ---- a life ------------------------------------------------------------------------ */

static xyl_step lives(void *frame)
{
	struct act *self = frame;

	XYL_BEGIN(self)
	self->before = stats_now();
	self->probe = probe_new(IORING_OP_NOP, -1);
	CHECK_EQ(self->probe->op.life.state, XYLI_OP_FREE);
	XYL_AWAIT(self->result, xyli_op_await(xyli_here, &self->probe->op));
	CHECK_EQ(self->result, 0);
	CHECK_EQ(self->probe->settled, 1);
	CHECK_EQ(self->probe->op.life.state, XYLI_OP_FREE);
	CHECK_EQ(stats_now().ops_submitted, self->before.ops_submitted + 1);
	CHECK_EQ(stats_now().ops_completed, self->before.ops_completed + 1);
	XYL_END(0);
}

TEST(an_operation_is_submitted_settled_once_and_free_again)
{
	CHECK_EQ(ACT(lives), 0);
}

static xyl_step is_pinned(void *frame)
{
	struct act *self = frame;

	XYL_BEGIN(self)
	self->fd = eventfd(0, EFD_CLOEXEC);
	self->probe = probe_new(IORING_OP_READ, self->fd);
	self->probe->op.buf = xyl_alloc_bytes(8);
	self->probe->op.len = 8;
	self->probe->op.buf_bytes = 8;
	self->probe->op.kernel_writes = true;
	xyli_op_start(xyli_here, &self->probe->op, NULL);
	CHECK_EQ(self->probe->op.life.state, XYLI_OP_QUEUED);
	CHECK_EQ(stats_now().ops_outstanding, 0);
	TURN(self);
	CHECK_EQ(self->probe->op.life.state, XYLI_OP_IN_KERNEL);
	CHECK_EQ(stats_now().ops_outstanding, 1);
	CHECK_EQ(stats_now().pinned_bytes, 8);
	CHECK(xyli_table_get(&xyli_here->ops, self->probe->op.slot,
			     xyli_table_generation(&xyli_here->ops, self->probe->op.slot)) ==
	      self->probe);
	bell_ring(self->fd);
	while (self->probe->settled == 0)
		TURN(self);
	CHECK_EQ(self->probe->res, 8);
	CHECK_EQ(self->probe->state, XYLI_OP_FREE);
	CHECK_EQ(stats_now().ops_outstanding, 0);
	CHECK_EQ(stats_now().pinned_bytes, 0);
	CHECK_EQ(xyli_table_count(&xyli_here->ops), 0);
	close(self->fd);
	XYL_END(0);
}

TEST(an_operation_and_its_buffer_are_pinned_while_the_kernel_has_them)
{
	CHECK_EQ(ACT(is_pinned), 0);
}

/* ---- cancelling ---------------------------------------------------------------------- */

static xyl_step canceled_on_the_backlog(void *frame)
{
	struct act *self = frame;

	XYL_BEGIN(self)
	self->before = stats_now();
	self->fd = eventfd(0, EFD_CLOEXEC);
	self->probe = probe_start(IORING_OP_POLL_ADD, self->fd);
	xyli_op_cancel(&self->probe->op);
	CHECK_EQ(self->probe->settled, 1);
	CHECK_EQ(self->probe->res, -ECANCELED);
	CHECK_EQ(self->probe->op.life.state, XYLI_OP_FREE);
	TURN(self);
	bell_ring(self->fd);
	TURN(self);
	CHECK_EQ(self->probe->settled, 1);
	CHECK_EQ(stats_now().ops_submitted, self->before.ops_submitted);
	CHECK_EQ(stats_now().cancels, self->before.cancels);
	close(self->fd);
	XYL_END(0);
}

TEST(an_operation_canceled_on_the_backlog_never_reaches_the_kernel)
{
	CHECK_EQ(ACT(canceled_on_the_backlog), 0);
}

static xyl_step canceled_in_the_kernel(void *frame)
{
	struct act *self = frame;

	XYL_BEGIN(self)
	self->fd = eventfd(0, EFD_CLOEXEC);
	self->probe = probe_start(IORING_OP_POLL_ADD, self->fd);
	TURN(self);
	CHECK_EQ(self->probe->op.life.state, XYLI_OP_IN_KERNEL);
	xyli_op_cancel(&self->probe->op);
	xyli_op_cancel(&self->probe->op);
	CHECK_EQ(self->probe->settled, 0); /* only its last CQE counts */
	CHECK_EQ(stats_now().cancels, 1);
	while (self->probe->settled == 0)
		TURN(self);
	CHECK_EQ(self->probe->res, -ECANCELED);
	for (self->i = 0; self->i < 5; self->i++)
		TURN(self);
	CHECK_EQ(self->probe->settled, 1);
	close(self->fd);
	XYL_END(0);
}

TEST(an_operation_canceled_in_the_kernel_ends_with_its_own_cqe_once)
{
	CHECK_EQ(ACT(canceled_in_the_kernel), 0);
}

/* Its CQE is there already when the cancel is asked for, and the cancel is dropped. */
static xyl_step cancel_comes_too_late(void *frame)
{
	struct act *self = frame;

	XYL_BEGIN(self)
	self->fd = eventfd(1, EFD_CLOEXEC);
	self->probe = probe_start(IORING_OP_POLL_ADD, self->fd);
	while (self->probe->settled == 0)
		TURN(self);
	CHECK_EQ(self->probe->res, POLLIN);
	xyli_op_cancel(&self->probe->op);
	CHECK(xyli_here->cancels.first == NULL);
	TURN(self);
	CHECK_EQ(self->probe->settled, 1);
	close(self->fd);
	XYL_END(0);
}

TEST(cancelling_a_settled_operation_is_no_operation)
{
	CHECK_EQ(ACT(cancel_comes_too_late), 0);
}

/* Nothing that is new may take the room of a cancel, or come before it. */
static xyl_step cancels_first(void *frame)
{
	struct act *self = frame;
	const struct io_uring_sq *sq;

	XYL_BEGIN(self)
	self->fd = eventfd(0, EFD_CLOEXEC);
	self->probe = probe_start(IORING_OP_POLL_ADD, self->fd);
	TURN(self);
	self->other = probe_start(IORING_OP_POLL_ADD, self->fd);
	xyli_op_cancel(&self->probe->op);
	sq = &xyli_here->ring->uring.sq;
	CHECK_EQ(sq->sqe_head, sq->sqe_tail);
	xyli_ring_flush(xyli_here);
	CHECK_EQ(sq->sqe_tail - sq->sqe_head, 2);
	CHECK_EQ(sq->sqes[sq->sqe_head & *sq->kring_mask].opcode, IORING_OP_ASYNC_CANCEL);
	while (self->probe->settled == 0)
		TURN(self);
	xyli_op_cancel(&self->other->op);
	while (self->other->settled == 0)
		TURN(self);
	close(self->fd);
	XYL_END(0);
}

TEST(cancels_are_submitted_before_what_is_new)
{
	test_needs_the_real_ring("looks into its queue");
	CHECK_EQ(ACT(cancels_first), 0);
}

/* ---- only F_MORE decides --------------------------------------------------------------- */

static xyl_step multishot(void *frame)
{
	struct act *self = frame;

	XYL_BEGIN(self)
	self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	self->probe = probe_new(IORING_OP_POLL_ADD, self->fd);
	self->probe->op.len = IORING_POLL_ADD_MULTI;
	xyli_op_start(xyli_here, &self->probe->op, NULL);
	for (self->i = 1; self->i <= 5; self->i++) {
		bell_ring(self->fd);
		while (self->probe->settled < (unsigned)self->i)
			TURN(self);
		CHECK_EQ(self->probe->state, XYLI_OP_MULTISHOT);
		CHECK_EQ(self->probe->res, POLLIN);
		CHECK_EQ(stats_now().ops_outstanding, 1);
	}
	xyli_op_cancel(&self->probe->op);
	while (self->probe->op.life.state != XYLI_OP_FREE)
		TURN(self);
	CHECK_EQ(self->probe->res, -ECANCELED);
	CHECK_EQ(stats_now().ops_outstanding, 0);
	close(self->fd);
	XYL_END(0);
}

TEST(an_operation_of_many_results_is_pinned_until_the_one_without_more)
{
	CHECK_EQ(ACT(multishot), 0);
}

/* ---- tags ------------------------------------------------------------------------------ */

static struct io_uring_sqe *raw_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&xyli_here->ring->uring);

	CHECK(sqe != NULL);
	return sqe;
}

/* The slot is taken again: what still comes under its old name is nobody's. */
static xyl_step stale_tag(void *frame)
{
	struct act *self = frame;
	struct io_uring_sqe *sqe;

	XYL_BEGIN(self)
	self->fd = eventfd(0, EFD_CLOEXEC);
	self->probe = probe_start(IORING_OP_POLL_ADD, self->fd);
	TURN(self);
	self->tag = xyli_op_tag(&self->probe->op);
	self->slot = self->probe->op.slot;
	xyli_op_cancel(&self->probe->op);
	while (self->probe->settled == 0)
		TURN(self);
	self->other = probe_start(IORING_OP_POLL_ADD, self->fd);
	TURN(self);
	CHECK_EQ(self->other->op.slot, self->slot);
	CHECK(xyli_op_tag(&self->other->op) != self->tag);
	sqe = raw_sqe();
	io_uring_prep_nop(sqe);
	sqe->user_data = self->tag;
	for (self->i = 0; self->i < 5; self->i++)
		TURN(self);
	CHECK_EQ(self->other->settled, 0);
	CHECK_EQ(self->probe->settled, 1);
	CHECK_EQ(self->other->op.life.state, XYLI_OP_IN_KERNEL);
	sqe = raw_sqe();
	io_uring_prep_cancel64(sqe, self->tag, 0);
	sqe->user_data = XYLI_TAG_CANCEL;
	for (self->i = 0; self->i < 5; self->i++)
		TURN(self);
	CHECK_EQ(self->other->settled, 0);
	bell_ring(self->fd);
	while (self->other->settled == 0)
		TURN(self);
	CHECK_EQ(self->other->res, POLLIN);
	close(self->fd);
	XYL_END(0);
}

TEST(a_stale_tag_finds_nothing_and_a_stale_cancel_hits_nothing)
{
	test_needs_the_real_ring("it submits SQEs of its own");
	CHECK_EQ(ACT(stale_tag), 0);
}

static xyl_step tags_differ(void *frame)
{
	struct act *self = frame;

	XYL_BEGIN(self)
	self->fd = eventfd(0, EFD_CLOEXEC);
	for (self->i = 0; self->i < 50; self->i++) {
		self->probe = probe_start(IORING_OP_POLL_ADD, self->fd);
		TURN(self);
		CHECK_EQ(xyli_op_tag(&self->probe->op) & XYLI_TAG_CANCEL, 0);
		CHECK_EQ(xyli_op_tag(&self->probe->op) & XYLI_TAG_SLOT, self->probe->op.slot);
		CHECK(xyli_op_tag(&self->probe->op) != self->tag);
		self->tag = xyli_op_tag(&self->probe->op);
		CHECK(self->tag != (uintptr_t)self->probe);
		xyli_op_cancel(&self->probe->op);
		while (self->probe->settled == 0)
			TURN(self);
	}
	close(self->fd);
	XYL_END(0);
}

TEST(an_operation_is_named_by_slot_and_generation)
{
	CHECK_EQ(ACT(tags_differ), 0);
}

/* ---- the collector ---------------------------------------------------------------------- */

/* Nobody but the operation's slot names the record, nobody but the record its buffer. */
struct orphan {
	struct xyl_frame frame;
	struct xyl_weak *record, *buf;
	int fd, i;
	ssize_t result;
};

__attribute__((noinline)) static void orphan_start(struct orphan *self)
{
	struct probe *probe = probe_new(IORING_OP_READ, self->fd);

	probe->op.buf = xyl_alloc_bytes(4096);
	probe->op.len = 4096;
	probe->op.buf_bytes = 4096;
	probe->op.kernel_writes = true;
	self->record = xyl_weak_new(probe);
	self->buf = xyl_weak_new(probe->op.buf);
	xyli_op_start(xyli_here, &probe->op, NULL);
}

static xyl_step orphan(void *frame)
{
	struct orphan *self = frame;

	XYL_BEGIN(self)
	self->fd = eventfd(0, EFD_CLOEXEC);
	orphan_start(self);
	for (self->i = 0; self->i < 20; self->i++) {
		TURN(self);
		xyl_collect();
		CHECK(xyl_weak_get(self->record) != NULL);
		CHECK(xyl_weak_get(self->buf) != NULL);
	}
	bell_ring(self->fd);
	while (stats_now().ops_outstanding)
		TURN(self);
	close(self->fd);
	XYL_END(0);
}

TEST(an_operation_nobody_waits_for_keeps_its_record_and_its_buffer)
{
	CHECK_EQ(RUN(orphan), 0);
}

/* ---- the stop ------------------------------------------------------------------------------ */

/* No task that is aborted cancels it, and no handle that is closed. */
static xyl_step left_behind(void *frame)
{
	struct act *self = frame;

	XYL_BEGIN(self)
	self->fd = eventfd(0, EFD_CLOEXEC);
	probe_start(IORING_OP_POLL_ADD, self->fd);
	TURN(self);
	CHECK_EQ(stats_now().ops_outstanding, 1);
	close(self->fd);
	XYL_END(0);
}

TEST(a_stop_ends_an_operation_that_nobody_waits_for)
{
	CHECK_EQ(ACT(left_behind), 0);
}

/* ---- transitions ------------------------------------------------------------------------ */

static struct xyli_shard still; /* a shard that nobody runs */
static struct probe subject;

static void subject_set(enum xyli_life_state state, bool zero_copy)
{
	xyli_table_init(&still.tasks);
	xyli_table_init(&still.ops);
	subject = (struct probe){ .op = { .kind = &probe_kind, .shard = &still } };
	subject.op.life.zero_copy = zero_copy;
	subject.op.slot = xyli_table_take(&still.ops, &subject);
	subject.op.life.state = (uint8_t)state;
	if (state == XYLI_OP_QUEUED)
		xyli_ops_append(&still.backlog, &subject.op);
}

enum move { START, PUBLISH, MORE, MORE_OF_A_SEND, LAST, REFUSE };

static void subject_move(enum move move)
{
	struct xyli_op *op = &subject.op;

	switch (move) {
	case START: xyli_op_start(&still, op, NULL); break;
	case PUBLISH: xyli_op_publish(op); break;
	case MORE:
	case MORE_OF_A_SEND: xyli_op_complete(op, 0, IORING_CQE_F_MORE, true); break;
	case LAST: xyli_op_complete(op, 0, 0, false); break;
	case REFUSE: xyli_op_refuse(op, -EIO); break;
	}
}

struct attempt {
	enum xyli_life_state from;
	enum move move;
};

static void attempt_make(void *arg)
{
	const struct attempt *attempt = arg;

	subject_set(attempt->from, attempt->move == MORE_OF_A_SEND);
	subject_move(attempt->move);
}

TEST(transitions_that_are_not_in_the_picture_abort)
{
	static const struct attempt illegal[] = {
		{ XYLI_OP_QUEUED, START },
		{ XYLI_OP_IN_KERNEL, START },
		{ XYLI_OP_MULTISHOT, START },
		{ XYLI_OP_NOTIFYING, START },
		{ XYLI_OP_FREE, PUBLISH },
		{ XYLI_OP_IN_KERNEL, PUBLISH },
		{ XYLI_OP_MULTISHOT, PUBLISH },
		{ XYLI_OP_FREE, MORE },
		{ XYLI_OP_QUEUED, MORE },
		{ XYLI_OP_NOTIFYING, MORE },
		{ XYLI_OP_MULTISHOT, MORE_OF_A_SEND },
		{ XYLI_OP_NOTIFYING, MORE_OF_A_SEND },
		{ XYLI_OP_FREE, LAST },
	};

	for (size_t i = 0; i < sizeof(illegal) / sizeof(*illegal); i++) {
		struct attempt attempt = illegal[i];

		child_aborts(attempt_make, &attempt, "xylem: operation probe:");
	}
}

TEST(transitions_that_are_in_the_picture_do_not)
{
	struct attempt legal[] = {
		{ XYLI_OP_FREE, START },     { XYLI_OP_QUEUED, PUBLISH },
		{ XYLI_OP_IN_KERNEL, MORE }, { XYLI_OP_MULTISHOT, MORE },
		{ XYLI_OP_IN_KERNEL, LAST }, { XYLI_OP_IN_KERNEL, MORE_OF_A_SEND },
		{ XYLI_OP_QUEUED, REFUSE },  { XYLI_OP_NOTIFYING, LAST },
		{ XYLI_OP_MULTISHOT, LAST },
	};

	for (size_t i = 0; i < sizeof(legal) / sizeof(*legal); i++)
		child_succeeds(attempt_make, &legal[i]);
}

/* The kernel was just trying it anew, and so did not find it. */
TEST(a_cancel_that_missed_is_asked_for_again)
{
	subject_set(XYLI_OP_IN_KERNEL, false);
	xyli_op_cancel(&subject.op);
	CHECK(still.cancels.first == &subject.op);
	xyli_op_cancel_sent(&subject.op);
	CHECK(!still.cancels.first);
	xyli_op_cancel_missed(&subject.op, -ENOENT);
	CHECK(still.cancels.first == &subject.op);
}
