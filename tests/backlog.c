/* SPDX-License-Identifier: MIT */
/* What stands in line for the kernel: cancels, the backlog, and chains on it. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/handle.h"
#include "rt/op.h"
#include "rt/shard.h"
#include "tests/hand.h"
#include "tests/probe.h"
#include "tests/raw.h"

#define MANY 50

/* ---- the backlog ------------------------------------------------------------------------ */

static unsigned settled_count;

struct numbered {
	struct probe probe; /* first */
	unsigned place;
};

static void numbered_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct numbered *numbered = (struct numbered *)op;

	numbered->place = settled_count++;
	probe_settle(op, res, cqe_flags);
}

static const struct xyli_op_kind numbered_kind = { .name = "numbered", .settle = numbered_settle };

TEST(more_than_the_queue_has_room_for_go_through_in_their_order)
{
	struct driven driven = shard_of(2);
	struct numbered *all[MANY];

	settled_count = 0;
	for (unsigned i = 0; i < MANY; i++) {
		all[i] = xyl_new(struct numbered);
		all[i]->probe.op.kind = &numbered_kind;
		all[i]->probe.op.opcode = IORING_OP_NOP;
		begin(&driven, &all[i]->probe);
	}
	CHECK_EQ(length(&shard_at(&driven)->backlog), MANY);
	hand_turn(&driven);
	hand_drained(&driven);
	for (unsigned i = 0; i < MANY; i++) {
		is_settled(&all[i]->probe, 0);
		CHECK_EQ(all[i]->place, i);
	}
	CHECK_EQ(drive_stats(&driven).ops_submitted, MANY);
	drive_end(&driven);
}

/* ---- cancels ------------------------------------------------------------------------------ */

TEST(more_cancels_than_the_queue_has_room_for_are_all_sent_once)
{
	struct driven driven = shard_of(2);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct probe *all[MANY];

	for (unsigned i = 0; i < MANY; i++)
		all[i] = begin_poll(&driven, fd);
	while (drive_stats(&driven).ops_outstanding < MANY)
		hand_turn(&driven);
	for (unsigned i = 0; i < 2 * MANY; i++)
		xyli_op_cancel(&all[i % MANY]->op);
	CHECK_EQ(length(&shard_at(&driven)->cancels), MANY);
	hand_turn(&driven);
	CHECK_EQ(length(&shard_at(&driven)->cancels), 0);
	hand_drained(&driven);
	for (unsigned i = 0; i < MANY; i++)
		is_settled(all[i], -ECANCELED);
	CHECK_EQ(drive_stats(&driven).cancels, MANY);
	close(fd);
	drive_end(&driven);
}

/* Its settling ends another one. */
struct assassin {
	struct probe probe; /* first */
	struct probe *victim;
};

static void assassin_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct assassin *assassin = (struct assassin *)op;

	xyli_op_cancel(&assassin->victim->op);
	CHECK(xyli_here->cancels.first == &assassin->victim->op);
	probe_settle(op, res, cqe_flags);
}

static const struct xyli_op_kind assassin_kind = { .name = "assassin", .settle = assassin_settle };

TEST(a_cancel_that_a_completion_overtakes_is_taken_off_its_list)
{
	struct driven driven = hand_begin(NULL);
	int first = eventfd(0, EFD_CLOEXEC), second = eventfd(0, EFD_CLOEXEC);
	struct assassin *assassin = xyl_new(struct assassin);

	assassin->probe = *probe_new(IORING_OP_POLL_ADD, first);
	assassin->probe.op.kind = &assassin_kind;
	begin(&driven, &assassin->probe);
	assassin->victim = begin_poll(&driven, second);
	hand_turn(&driven);
	bell_ring(first);
	hand_completion(&driven);
	bell_ring(second);
	hand_completions(&driven, 2);
	hand_turn(&driven);
	is_settled(&assassin->probe, POLLIN);
	is_settled(assassin->victim, POLLIN);
	CHECK_EQ(length(&shard_at(&driven)->cancels), 0);
	close(first);
	close(second);
	drive_end(&driven);
}

TEST(a_cancel_that_missed_is_sent_again_and_any_other_answer_counts)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct probe *probe = begin_poll(&driven, fd);

	hand_turn(&driven);
	xyli_op_cancel(&probe->op);
	xyli_op_cancel_sent(&probe->op); /* as if it were */
	CHECK_EQ(length(&shard_at(&driven)->cancels), 0);
	xyli_op_cancel_missed(&probe->op, 0);
	CHECK_EQ(length(&shard_at(&driven)->cancels), 0);
	xyli_op_cancel_missed(&probe->op, -ENOENT);
	xyli_op_cancel_missed(&probe->op, -ENOENT);
	CHECK_EQ(length(&shard_at(&driven)->cancels), 1);
	hand_turn(&driven);
	hand_drained(&driven);
	is_settled(probe, -ECANCELED);
	close(fd);
	drive_end(&driven);
}

/* It runs just now: it may be past the point where it notices. */
TEST(a_cancel_that_found_its_target_running_is_sent_again_in_a_while)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct probe *probe = begin_poll(&driven, fd);

	hand_turn(&driven);
	xyli_op_cancel(&probe->op);
	xyli_op_cancel_sent(&probe->op); /* as if it were */
	xyli_op_cancel_missed(&probe->op, -EALREADY);
	xyli_op_cancel_missed(&probe->op, -EALREADY);
	CHECK_EQ(length(&shard_at(&driven)->cancels), 0);
	CHECK_EQ(length(&shard_at(&driven)->retries), 1);
	hand_drained(&driven);
	is_settled(probe, -ECANCELED);
	CHECK_EQ(length(&shard_at(&driven)->retries), 0);
	close(fd);
	drive_end(&driven);
}

TEST(a_cancel_is_sent_again_in_a_while_though_the_clock_is_held)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct probe *probe = begin_poll(&driven, fd);

	CHECK_EQ(xyl_clock_hold(driven.rt), 0);
	hand_turn(&driven);
	xyli_op_cancel(&probe->op);
	xyli_op_cancel_sent(&probe->op); /* as if it were */
	xyli_op_cancel_missed(&probe->op, -EALREADY);
	hand_drained(&driven);
	is_settled(probe, -ECANCELED);
	close(fd);
	drive_end(&driven);
}

TEST(a_repeated_cancel_that_a_completion_overtakes_leaves_no_timer)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct probe *probe = begin_poll(&driven, fd);

	hand_turn(&driven);
	xyli_op_cancel(&probe->op);
	xyli_op_cancel_sent(&probe->op); /* as if it were */
	xyli_op_cancel_missed(&probe->op, -EALREADY);
	CHECK_EQ(shard_at(&driven)->chores.count, 1);
	bell_ring(fd);
	hand_drained(&driven);
	is_settled(probe, POLLIN);
	CHECK_EQ(shard_at(&driven)->chores.count, 0);
	close(fd);
	drive_end(&driven);
}

/* ---- chains --------------------------------------------------------------------------------- */

#define CHAIN 3

/* A read of nothing fails, and then the kernel ends what is linked behind it. */
static void begin_chain(const struct driven *driven, struct probe *chain[CHAIN])
{
	for (unsigned i = 0; i < CHAIN; i++) {
		chain[i] = probe_new(i == 0 ? IORING_OP_READ : IORING_OP_NOP, -1);
		chain[i]->op.links = (uint8_t)(CHAIN - 1 - i);
		chain[i]->op.sqe_flags = i < CHAIN - 1 ? IOSQE_IO_LINK : 0;
		begin(driven, chain[i]);
	}
}

static void are_settled(struct probe *chain[CHAIN], int res)
{
	for (unsigned i = 0; i < CHAIN; i++)
		is_settled(chain[i], res);
}

TEST(a_chain_goes_to_the_kernel_in_one_piece)
{
	struct driven driven = shard_of(4); /* two and a part of the chain would fit */
	struct probe *before[2], *chain[CHAIN], *behind;

	for (unsigned i = 0; i < 2; i++)
		before[i] = begin(&driven, probe_new(IORING_OP_NOP, -1));
	begin_chain(&driven, chain);
	behind = begin(&driven, probe_new(IORING_OP_NOP, -1));
	hand_turn(&driven);
	hand_drained(&driven);
	is_settled(before[0], 0);
	is_settled(before[1], 0);
	is_settled(behind, 0);
	is_settled(chain[0], -EBADF);
	is_settled(chain[1], -ECANCELED);
	is_settled(chain[2], -ECANCELED);
	drive_end(&driven);
}

TEST(a_chain_longer_than_the_queue_is_refused_and_holds_nobody_up)
{
	struct driven driven = shard_of(2);
	struct probe *chain[CHAIN], *before, *behind;

	before = begin(&driven, probe_new(IORING_OP_NOP, -1));
	begin_chain(&driven, chain);
	behind = begin(&driven, probe_new(IORING_OP_NOP, -1));
	hand_turn(&driven);
	are_settled(chain, -E2BIG);
	CHECK_EQ(drive_stats(&driven).ops_submitted, 2);
	hand_drained(&driven);
	is_settled(before, 0);
	is_settled(behind, 0);
	drive_end(&driven);
}

TEST(a_chain_of_which_one_is_canceled_on_the_backlog_ends_as_a_whole)
{
	for (unsigned victim = 0; victim < CHAIN; victim++) {
		struct driven driven = shard_of(0);
		struct probe *chain[CHAIN], *before, *behind;

		before = begin(&driven, probe_new(IORING_OP_NOP, -1));
		begin_chain(&driven, chain);
		behind = begin(&driven, probe_new(IORING_OP_NOP, -1));
		xyli_op_cancel(&chain[victim]->op);
		are_settled(chain, -ECANCELED);
		CHECK_EQ(length(&shard_at(&driven)->backlog), 2);
		hand_turn(&driven);
		hand_drained(&driven);
		CHECK_EQ(drive_stats(&driven).ops_submitted, 2);
		is_settled(before, 0);
		is_settled(behind, 0);
		drive_end(&driven);
	}
}

/* Closing looks for what is the handle's, and a chain takes more with it. */
TEST(closing_a_handle_ends_its_chains_and_nothing_else)
{
	struct driven driven = shard_of(0);
	struct probe *chain[CHAIN], *before, *behind, *last;
	struct xyl_io *io;
	int peer;

	io = raw_socketpair(&peer);
	CHECK_EQ(xyli_io_use(io, shard_at(&driven)), 0);
	before = begin(&driven, probe_new(IORING_OP_NOP, -1));
	begin_chain(&driven, chain);
	behind = begin(&driven, probe_new(IORING_OP_NOP, -1));
	last = begin(&driven, probe_new(IORING_OP_NOP, -1));
	chain[1]->op.handle = last->op.handle = io;
	io->positional = 1; /* or it would not look */
	HAND_CLOSE(&driven, io);
	are_settled(chain, -ECANCELED);
	is_settled(last, -ECANCELED);
	is_settled(before, 0);
	is_settled(behind, 0);
	CHECK_EQ(drive_stats(&driven).ops_submitted, 2);
	close(peer);
	drive_end(&driven);
}

/* ---- no memory for slots --------------------------------------------------------------------- */

static bool memory_is_out;

void *GC_malloc(size_t size);
void GC_generic_malloc_many(size_t size, int kind, void **ret_list);

void *GC_malloc(size_t size)
{
	static void *(*fn)(size_t);

	if (!fn)
		fn = (void *(*)(size_t))(uintptr_t)dlsym(RTLD_NEXT, "GC_malloc");
	return memory_is_out ? NULL : fn(size);
}

void GC_generic_malloc_many(size_t size, int kind, void **ret_list)
{
	static void (*fn)(size_t, int, void **);

	if (!fn)
		fn = (void (*)(size_t, int, void **))(uintptr_t)dlsym(RTLD_NEXT,
								      "GC_generic_malloc_many");
	if (memory_is_out)
		*ret_list = NULL;
	else
		fn(size, kind, ret_list);
}

/* Take all slots but so many; where there is no memory there will be no more. */
static uint32_t taken[1 << 14];

static unsigned slots_take_all_but(struct xyli_shard *shard, unsigned left)
{
	unsigned n = 0;

	xyli_table_clear_own(&shard->ops, xyli_table_take(&shard->ops, taken)); /* some there are */
	memory_is_out = true;
	while ((taken[n] = xyli_table_take(&shard->ops, taken)) != XYLI_TABLE_NONE)
		CHECK(++n < sizeof(taken) / sizeof(*taken));
	for (unsigned i = 0; i < left; i++)
		xyli_table_clear_own(&shard->ops, taken[--n]);
	return n;
}

TEST(a_chain_takes_all_its_slots_or_none)
{
	for (unsigned left = 0; left <= CHAIN; left++) {
		struct driven driven = shard_of(0);
		struct xyli_shard *shard = shard_at(&driven);
		struct probe *chain[CHAIN];
		unsigned n;

		begin_chain(&driven, chain);
		n = slots_take_all_but(shard, left);
		xyli_ring_flush(shard);
		memory_is_out = false;
		CHECK_EQ(xyli_table_count(&shard->ops), left == CHAIN ? n + CHAIN : n);
		while (n > 0)
			xyli_table_clear_own(&shard->ops, taken[--n]);
		if (left < CHAIN)
			are_settled(chain, -ENOMEM);
		CHECK_EQ(drive_stats(&driven).ops_submitted, left < CHAIN ? 0 : CHAIN);
		hand_turn(&driven);
		hand_drained(&driven);
		drive_end(&driven);
	}
}
