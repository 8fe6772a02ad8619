/* SPDX-License-Identifier: MIT */
/*
 * probe.h - an operation of the tests' own, which remembers what became of it, and a task
 * whose body is a test's.
 */
#ifndef TEST_PROBE_H
#define TEST_PROBE_H

#include <linux/io_uring.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "rt/op.h"
#include "rt/shard.h"
#include "tests/hand.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

struct probe {
	struct xyli_op op; /* first */
	unsigned settled;
	int res;
	uint8_t state; /* when it was last settled */
};

static void probe_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct probe *probe = (struct probe *)op;

	probe->settled++;
	probe->res = res;
	probe->state = op->life.state;
	if (!(cqe_flags & IORING_CQE_F_MORE))
		xyli_op_wake(op, res);
}

static const struct xyli_op_kind probe_kind = { .name = "probe", .settle = probe_settle };

__attribute__((unused)) static struct probe *probe_new(uint8_t opcode, int fd)
{
	struct probe *probe = xyl_new(struct probe);

	probe->op.kind = &probe_kind;
	probe->op.opcode = opcode;
	probe->op.fd = fd;
	if (opcode == IORING_OP_POLL_ADD)
		probe->op.op_flags = POLLIN;
	return probe;
}

__attribute__((unused)) static struct probe *probe_start(uint8_t opcode, int fd)
{
	struct probe *probe = probe_new(opcode, fd);

	xyli_op_start(xyli_here, &probe->op, NULL);
	return probe;
}

__attribute__((unused)) static void bell_ring(int fd)
{
	uint64_t one = 1;

	CHECK(write(fd, &one, sizeof(one)) == sizeof(one));
}

__attribute__((unused)) static struct xyl_stats stats_now(void)
{
	struct xyl_stats stats;

	xyl_runtime_stats(xyl_runtime_self(), &stats);
	return stats;
}

#define TURN(self) XYL_AWAIT((self)->result, xyl_sleep(0))

/* The frame of each of the bodies below. */
struct act {
	struct xyl_frame frame;
	xyl_async_fn *body;
	struct probe *probe, *other;
	struct xyl_stats before;
	uint64_t tag;
	uint32_t slot;
	int fd, i;
	ssize_t result;
};

__attribute__((unused)) static xyl_step act(void *frame)
{
	struct act *self = frame;

	return self->body(frame);
}

#define ACT(fn) RUN(act, .body = fn, .fd = -1)

/* ---- outside a task, by hand -------------------------------------------------------------- */

__attribute__((unused)) static struct driven shard_of(unsigned entries)
{
	struct driven driven = hand_begin(&(struct xyl_config){ .ring_entries = entries });

	hand_turn(&driven);
	return driven;
}

__attribute__((unused)) static struct xyli_shard *shard_at(const struct driven *driven)
{
	return driven->rt->shard;
}

__attribute__((unused)) static struct probe *begin(const struct driven *driven, struct probe *probe)
{
	xyli_op_start(shard_at(driven), &probe->op, NULL);
	return probe;
}

__attribute__((unused)) static struct probe *begin_poll(const struct driven *driven, int fd)
{
	return begin(driven, probe_new(IORING_OP_POLL_ADD, fd));
}

__attribute__((unused)) static unsigned length(const struct xyli_ops *list)
{
	unsigned n = 0;

	for (const struct xyli_op *op = list->first; op; op = op->next) {
		CHECK(op->next ? op->next->prev == op : list->last == op);
		n++;
	}
	return n;
}

__attribute__((unused)) static void is_settled(const struct probe *probe, int res)
{
	CHECK_EQ(probe->settled, 1);
	CHECK_EQ(probe->res, res);
	CHECK_EQ(probe->op.life.state, XYLI_OP_FREE);
}

#endif
