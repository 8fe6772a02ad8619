/* SPDX-License-Identifier: MIT */
/*
 * channel_keeps.c - what is in a channel lives, and what has left it, or has never come into
 * it, does not live because of it.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "tests/asyncs.h"
#include "tests/chans.h"
#include "xylem/xylem.h"

enum {
	OBJECTS = 2000,
	FEW = OBJECTS / 10, /* a plain build scans stacks, and finds stale pointers there */
	BYTES = 64,
};

static struct xyl_weak *weak[OBJECTS];
static struct xyl_chan *chan; /* a root */

static unsigned char byte_of(size_t number, size_t i)
{
	return (unsigned char)(number * 7 + i);
}

__attribute__((noinline)) static unsigned char *object_new(size_t number)
{
	unsigned char *object = xyl_alloc(BYTES);

	for (size_t i = 0; i < BYTES; i++)
		object[i] = byte_of(number, i);
	weak[number] = xyl_weak_new(object);
	return object;
}

__attribute__((noinline)) static void stack_clear(void)
{
	char stale[16384];

	memset(stale, 0, sizeof(stale));
	__asm__ volatile("" : : "r"(stale) : "memory");
}

static size_t living(void)
{
	size_t count = 0;

	for (int i = 0; i < 3; i++) {
		stack_clear();
		xyl_collect();
	}
	for (int i = 0; i < OBJECTS; i++)
		count += weak[i] && xyl_weak_get(weak[i]) != NULL;
	return count;
}

static void begin(ptrdiff_t capacity)
{
	memset(weak, 0, sizeof(weak));
	chan = xyl_chan_new(sizeof(void *), capacity);
}

static void end(void)
{
	memset(weak, 0, sizeof(weak));
	chan = NULL;
}

__attribute__((noinline)) static int put_new(size_t number)
{
	unsigned char *object = object_new(number);

	return xyl_try_send(chan, &object);
}

/* The bytes are those that were sent. */
__attribute__((noinline)) static bool take_intact(size_t number)
{
	unsigned char *object = NULL;

	if (xyl_try_recv(chan, &object) < 0)
		return false;
	for (size_t i = 0; i < BYTES; i++)
		CHECK_EQ(object[i], byte_of(number, i));
	return true;
}

/* ---- slots ------------------------------------------------------------------------------ */

/* The sender forgets, a collection, and there it is. */
TEST(an_object_that_only_the_channel_knows_lives_and_arrives_intact)
{
	static const ptrdiff_t capacities[] = { OBJECTS, XYL_UNLIMITED };

	for (int kind = 0; kind < 2; kind++) {
		begin(capacities[kind]);
		for (size_t i = 0; i < OBJECTS; i++)
			CHECK_EQ(put_new(i), 0);
		CHECK_EQ(living(), OBJECTS);
		for (size_t i = 0; i < OBJECTS; i++)
			CHECK(take_intact(i));
		end();
	}
}

TEST(a_slot_forgets_what_was_received)
{
	static const ptrdiff_t capacities[] = { OBJECTS, XYL_UNLIMITED };

	for (int kind = 0; kind < 2; kind++) {
		begin(capacities[kind]);
		for (size_t i = 0; i < OBJECTS; i++)
			CHECK_EQ(put_new(i), 0);
		for (size_t i = 0; i < OBJECTS / 2; i++)
			CHECK(take_intact(i));
		CHECK(living() < OBJECTS / 2 + FEW);
		for (size_t i = OBJECTS / 2; i < OBJECTS - 1; i++)
			CHECK(take_intact(i)); /* one stays: the slots do, too */
		CHECK(living() < FEW);
		end();
	}
}

TEST(a_slot_forgets_what_was_received_and_thrown_away)
{
	begin(OBJECTS);
	for (size_t i = 0; i < OBJECTS; i++)
		CHECK_EQ(put_new(i), 0);
	for (size_t i = 0; i < OBJECTS; i++)
		CHECK_EQ(xyl_try_recv(chan, NULL), 0);
	CHECK(living() < FEW);
	end();
}

TEST(what_was_replaced_is_forgotten)
{
	begin(XYL_CONFLATED);
	for (size_t i = 0; i < OBJECTS; i++)
		CHECK_EQ(put_new(i), 0);
	CHECK(living() < FEW);
	CHECK(take_intact(OBJECTS - 1));
	end();
}

/* The slots before it grew are cleared: even who holds them holds nothing. */
TEST(slots_that_were_outgrown_keep_nothing)
{
	static void *old_slots;

	begin(XYL_UNLIMITED);
	for (size_t i = 0; i < OBJECTS; i++) {
		CHECK_EQ(put_new(i), 0);
		if (i == 600)
			old_slots = chan->slots;
	}
	CHECK(chan->slots != old_slots);
	for (size_t i = 0; i < OBJECTS - 1; i++)
		CHECK_EQ(xyl_try_recv(chan, NULL), 0);
	CHECK(living() < FEW);
	old_slots = NULL;
	end();
}

TEST(a_closed_channel_keeps_what_can_still_be_received)
{
	begin(OBJECTS);
	for (size_t i = 0; i < OBJECTS; i++)
		CHECK_EQ(put_new(i), 0);
	xyl_chan_close(chan);
	CHECK_EQ(living(), OBJECTS);
	for (size_t i = 0; i < OBJECTS; i++)
		CHECK(take_intact(i));
	CHECK(living() < FEW);
	end();
}

TEST(a_channel_that_nobody_holds_dies_with_what_is_in_it)
{
	begin(OBJECTS);
	for (size_t i = 0; i < OBJECTS; i++)
		CHECK_EQ(put_new(i), 0);
	chan = NULL;
	CHECK(living() < FEW);
	end();
}

/* ---- those who wait ---------------------------------------------------------------------- */

enum fate { RECEIVED, BOUNDED, ABORTED, CLOSED, FATES };

/* Sends an object that it forgets, and then lives on. */
struct send_object {
	struct xyl_frame frame;
	size_t number;
	int64_t bound;
	bool later;
	struct xyl_future *gate, *future;
	ssize_t n;
};

/* Of the channel's size, the object in front. */
__attribute__((noinline)) static xyl_pending object_send(size_t number, int64_t bound)
{
	unsigned char *elem[4] = { object_new(number) };
	xyl_pending op = hand_bounded(xyl_send(chan, elem), bound);

	memset(elem, 0, sizeof(elem));
	__asm__ volatile("" : : "r"(elem) : "memory");
	return op;
}

static xyl_step send_object(void *frame)
{
	struct send_object *self = frame;

	XYL_BEGIN(self)
	if (self->later)
		self->future = xyl_later(object_send(self->number, self->bound));
	else
		XYL_AWAIT(self->n, object_send(self->number, self->bound));
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_future_get(self->gate));
	xyl_shield_end();
	XYL_END(0);
}

/* Has somewhere to receive to, which it forgets, and lives on. */
struct recv_object {
	struct xyl_frame frame;
	size_t number;
	int64_t bound;
	struct xyl_future *gate;
	ssize_t n;
};

__attribute__((noinline)) static xyl_pending object_recv(size_t number, int64_t bound)
{
	return hand_bounded(xyl_recv(chan, object_new(number)), bound);
}

static xyl_step recv_object(void *frame)
{
	struct recv_object *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, object_recv(self->number, self->bound));
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_future_get(self->gate));
	xyl_shield_end();
	XYL_END(0);
}

static struct xyl_task *tasks[OBJECTS];

static void fate_meets(enum fate fate)
{
	unsigned char *elem[4] = { 0 };

	for (size_t i = 0; i < OBJECTS; i++)
		if (fate == ABORTED)
			xyl_abort(tasks[i]);
		else if (fate == RECEIVED && chan->senders.waits.first)
			CHECK_EQ(xyl_try_recv(chan, NULL), 0);
		else if (fate == RECEIVED)
			CHECK_EQ(xyl_try_send(chan, elem), 0);
	if (fate == CLOSED)
		xyl_chan_close(chan);
}

/* Nobody waits, and those that waited for later have ended. */
static void fate_await(const struct driven *driven)
{
	while (chan->senders.waits.first || chan->receivers.waits.first ||
	       drive_stats(driven).live > OBJECTS)
		drive(driven, 10);
	drive(driven, 100);
}

static void who_waits_keeps(enum fate fate, size_t elem_size, bool sends, bool later)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *gate = xyl_future_new();
	int64_t bound = fate == BOUNDED ? 50 * XYL_MS : 0;

	begin(0);
	chan = xyl_chan_new(elem_size, 0);
	for (size_t i = 0; i < OBJECTS; i++)
		tasks[i] = sends ? DRIVE_SPAWN(&driven, send_object, .number = i, .gate = gate,
					       .bound = bound, .later = later)
				 : DRIVE_SPAWN(&driven, recv_object, .number = i, .gate = gate,
					       .bound = bound);
	while (!weak[OBJECTS - 1])
		hand_turn(&driven);
	if (fate != BOUNDED) {
		hand_turns(&driven, 5);
		CHECK_EQ(living(), OBJECTS);
	}
	fate_meets(fate);
	fate_await(&driven);
	CHECK(living() < FEW);
	CHECK_EQ(drive_stats(&driven).live, OBJECTS);
	xyl_future_set(gate, 0);
	hand_quiet(&driven);
	drive_end(&driven);
	memset(tasks, 0, sizeof(tasks));
	end();
}

TEST(a_sender_keeps_a_small_element_no_longer_than_it_waits)
{
	for (enum fate fate = 0; fate < FATES; fate++)
		who_waits_keeps(fate, sizeof(void *), true, false);
}

TEST(a_sender_keeps_a_copied_element_no_longer_than_it_waits)
{
	for (enum fate fate = 0; fate < FATES; fate++)
		who_waits_keeps(fate, 4 * sizeof(void *), true, false);
}

TEST(a_receiver_keeps_the_place_for_an_element_no_longer_than_it_waits)
{
	for (enum fate fate = 0; fate < FATES; fate++)
		who_waits_keeps(fate, sizeof(void *), false, false);
}

/* Nor does whoever left the sending for later. */
TEST(a_send_for_later_keeps_its_element_no_longer_than_it_waits)
{
	for (size_t size = 1; size <= 4; size += 3) {
		who_waits_keeps(RECEIVED, size * sizeof(void *), true, true);
		who_waits_keeps(BOUNDED, size * sizeof(void *), true, true);
		who_waits_keeps(CLOSED, size * sizeof(void *), true, true);
	}
}

/* ---- what used it ---------------------------------------------------------------------------- */

/* A lock remembers which shard it is biased to. */
__attribute__((noinline)) static void runtime_use(size_t number)
{
	struct driven driven = drive_begin(NULL);

	weak[number] = xyl_weak_new(driven.rt);
	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, take, .chan = chan, .bound = -1)),
		 -ETIMEDOUT);
	CHECK(chan->lock.bias != XYLI_LOCK_FRESH);
	drive_end(&driven);
}

TEST(a_channel_does_not_keep_the_runtime_alive_that_used_it)
{
	static struct xyl_chan *chans[50];
	size_t kept;

	begin(0);
	for (size_t i = 0; i < 50; i++) {
		chan = chans[i] = xyl_chan_new(sizeof(void *), 0);
		runtime_use(i);
	}
	kept = living();
	CHECK(kept < 10);
	memset(chans, 0, sizeof(chans));
	end();
}
