/* SPDX-License-Identifier: MIT */
/* channel.c - one task sends, another receives. */
#include <errno.h>
#include <string.h>

#include "tests/asyncs.h"
#include "tests/chans.h"
#include "tests/run.h"
#include "xylem/xylem.h"

static const ptrdiff_t capacities[] = { 0, 1, 2, 7, 5000, XYL_UNLIMITED };

#define EACH(capacity)                                                              \
	for (size_t at_ = 0; at_ < sizeof(capacities) / sizeof(*capacities); at_++) \
		for (ptrdiff_t capacity = capacities[at_], once_ = 1; once_; once_ = 0)

/* ---- one to one, and some to some ----------------------------------------------------- */

struct one_to_one {
	struct xyl_frame frame;
	ptrdiff_t capacity;
	long n;
	struct xyl_chan *chan;
	struct xyl_task *sender, *receiver;
	ssize_t r;
};

static xyl_step one_to_one(void *frame)
{
	struct one_to_one *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), self->capacity);
	self->sender = xyl_spawn(count_up, .chan = self->chan, .n = self->n);
	self->receiver = xyl_spawn(sum_up, .chan = self->chan);
	XYL_AWAIT(self->r, xyl_join(self->sender));
	CHECK_EQ(self->r, 0);
	xyl_chan_close(self->chan);
	XYL_AWAIT(self->r, xyl_join(self->receiver));
	chan_check_clean(self->chan);
	XYL_END(self->r);
}

TEST(what_is_sent_is_received_whatever_the_capacity)
{
	EACH(capacity)
	CHECK_EQ(RUN(one_to_one, .capacity = capacity, .n = 1000), 500500);
}

enum { SENDERS = 4, RECEIVERS = 4 };

/* Each value is sender * 1 000 000 + its number, from 1. */
#define MANY 1000000L

/* Those of each sender come in order. */
struct take_many {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	long value, last[SENDERS], n;
	ssize_t r;
};

static xyl_step take_many(void *frame)
{
	struct take_many *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, xyl_recv(self->chan, &self->value));
		if (self->r < 0)
			break;
		CHECK(self->last[self->value / MANY] < self->value % MANY);
		self->last[self->value / MANY] = self->value % MANY;
		self->n++;
	}
	CHECK_EQ(self->r, -EPIPE);
	XYL_END(self->n);
}

struct some_to_some {
	struct xyl_frame frame;
	ptrdiff_t capacity;
	long n, received;
	struct xyl_chan *chan;
	struct xyl_task *senders[SENDERS], *receivers[RECEIVERS];
	struct xyl_chan_stats stats;
	int i;
	ssize_t r;
};

static void some_to_some_spawn(struct some_to_some *self)
{
	for (int i = 0; i < RECEIVERS; i++)
		self->receivers[i] = xyl_spawn(take_many, .chan = self->chan);
	for (long i = 0; i < SENDERS; i++)
		self->senders[i] = xyl_spawn(count_up, .chan = self->chan, .n = self->n,
					     .from = i * MANY);
}

static xyl_step some_to_some(void *frame)
{
	struct some_to_some *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), self->capacity);
	some_to_some_spawn(self);
	for (self->i = 0; self->i < SENDERS; self->i++) {
		XYL_AWAIT(self->r, xyl_join(self->senders[self->i]));
		CHECK_EQ(self->r, 0);
	}
	xyl_chan_close(self->chan);
	for (self->i = 0; self->i < RECEIVERS; self->i++) {
		XYL_AWAIT(self->r, xyl_join(self->receivers[self->i]));
		self->received += self->r;
	}
	xyl_chan_stats(self->chan, &self->stats);
	CHECK_EQ(self->stats.sent, SENDERS * self->n);
	CHECK_EQ(self->stats.received, self->received);
	chan_check_clean(self->chan);
	XYL_END(self->received);
}

/* 4 x 4 x 100 000. */
TEST(four_send_to_four_and_each_value_arrives_once_and_in_its_senders_order)
{
	long n = (long)test_scaled(100000);

	EACH(capacity)
	CHECK_EQ(RUN(some_to_some, .capacity = capacity, .n = n), SENDERS * n);
	CHECK(RUN(some_to_some, .capacity = XYL_CONFLATED, .n = n) <= SENDERS * n);
}

/* ---- the kinds ------------------------------------------------------------------------ */

TEST(a_rendezvous_waits_for_its_receiver)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), 0);
	struct xyl_task *sender = DRIVE_SPAWN(&driven, put, .chan = chan, .value = 5), *receiver;

	chan_await(&driven, chan, 1);
	hand_turns(&driven, 5);
	CHECK(!xyl_is_done(sender));
	CHECK_EQ(xyl_chan_len(chan), 0);
	receiver = DRIVE_SPAWN(&driven, take, .chan = chan);
	CHECK_EQ(hand_join(&driven, receiver), 5);
	CHECK_EQ(hand_join(&driven, sender), 0);
	drive_end(&driven);
}

TEST(a_buffered_one_takes_as_many_as_it_holds)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), 3);
	struct xyl_task *sender = DRIVE_SPAWN(&driven, count_up, .chan = chan, .n = 5);

	chan_await(&driven, chan, 1);
	CHECK_EQ(xyl_chan_len(chan), 3);
	CHECK_EQ(chan_take(chan), 1); /* and the fourth has a slot */
	chan_await(&driven, chan, 0);
	chan_await(&driven, chan, 1);
	CHECK_EQ(xyl_chan_len(chan), 3);
	CHECK_EQ(chan_take(chan), 2);
	CHECK_EQ(hand_join(&driven, sender), 0);
	for (long i = 3; i <= 5; i++)
		CHECK_EQ(chan_take(chan), i);
	CHECK_EQ(chan_take(chan), -EAGAIN);
	chan_check_clean(chan);
	drive_end(&driven);
}

TEST(a_conflated_one_keeps_the_last)
{
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), XYL_CONFLATED);

	CHECK_EQ(chan_take(chan), -EAGAIN);
	for (long i = 1; i <= 1000; i++) {
		CHECK_EQ(chan_put(chan, i), 0);
		CHECK_EQ(xyl_chan_len(chan), 1);
	}
	CHECK_EQ(chan_take(chan), 1000);
	CHECK_EQ(chan_take(chan), -EAGAIN);
	CHECK_EQ(chan_put(chan, 7), 0);
	xyl_chan_close(chan);
	CHECK_EQ(chan_put(chan, 8), -EPIPE);
	CHECK_EQ(chan_take(chan), 7);
	CHECK_EQ(chan_take(chan), -EPIPE);
}

TEST(a_conflated_one_hands_each_to_a_receiver_who_waits)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), XYL_CONFLATED);
	struct xyl_task *first = DRIVE_SPAWN(&driven, take, .chan = chan), *second;

	chan_await(&driven, chan, 1);
	second = DRIVE_SPAWN(&driven, take, .chan = chan);
	chan_await(&driven, chan, 2);
	for (long i = 1; i <= 4; i++)
		CHECK_EQ(chan_put(chan, i), 0);
	CHECK_EQ(hand_join(&driven, first), 1);
	CHECK_EQ(hand_join(&driven, second), 2);
	CHECK_EQ(chan_take(chan), 4);
	drive_end(&driven);
}

/* Its slots are full with the head anywhere when it grows. */
TEST(an_unlimited_one_grows_in_order)
{
	for (long early = 0; early < 40; early++) {
		struct xyl_chan *chan = xyl_chan_new(sizeof(long), XYL_UNLIMITED);
		long next = 1, last = 0;

		while (last < early)
			CHECK_EQ(chan_put(chan, ++last), 0);
		while (next <= early)
			CHECK_EQ(chan_take(chan), next++);
		for (long i = 0; i < 300; i++)
			CHECK_EQ(chan_put(chan, ++last), 0);
		CHECK_EQ(xyl_chan_len(chan), 300);
		while (next <= last)
			CHECK_EQ(chan_take(chan), next++);
		CHECK_EQ(chan_take(chan), -EAGAIN);
		chan_check_clean(chan);
	}
}

TEST(an_unlimited_one_that_was_crowded_lets_its_slots_go)
{
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), XYL_UNLIMITED);

	for (int round = 0; round < 3; round++) {
		for (long i = 1; i <= 5000; i++)
			CHECK_EQ(chan_put(chan, i), 0);
		CHECK(chan->room >= 5000);
		for (long i = 1; i <= 5000; i++)
			CHECK_EQ(chan_take(chan), i);
		CHECK_EQ(chan->room, 0);
		CHECK(!chan->slots && !chan->end && !chan->in.since && !chan->out.since);
	}
	CHECK_EQ(chan_put(chan, 1), 0);
	CHECK_EQ(chan_take(chan), 1);
	CHECK(chan->room > 0); /* it is not to begin anew with each element */
}

TEST(what_is_no_capacity_makes_no_channel)
{
	CHECK(xyl_chan_new(8, -3) == NULL);
	CHECK(xyl_chan_new(8, PTRDIFF_MIN) == NULL);
	CHECK(xyl_chan_new(8, PTRDIFF_MAX) == NULL);
	CHECK(xyl_chan_new(SIZE_MAX, 2) == NULL);
	CHECK(xyl_chan_new(SIZE_MAX / 2 + 2, 2) == NULL); /* 2, if it is reckoned carelessly */
	CHECK(xyl_chan_new(SIZE_MAX, XYL_CONFLATED) == NULL);
	CHECK(xyl_chan_new(SIZE_MAX / 2, 1) == NULL);
}

/* ---- who waits is served first come first served -------------------------------------- */

TEST(receivers_are_served_in_the_order_in_which_they_came)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), 2);
	struct xyl_task *receivers[8];

	for (size_t i = 0; i < 8; i++) {
		receivers[i] = DRIVE_SPAWN(&driven, take, .chan = chan);
		chan_await(&driven, chan, i + 1);
	}
	for (long i = 0; i < 8; i++)
		CHECK_EQ(chan_put(chan, i + 1), 0);
	CHECK_EQ(xyl_chan_len(chan), 0); /* each went past the slots */
	for (long i = 0; i < 8; i++)
		CHECK_EQ(hand_join(&driven, receivers[i]), i + 1);
	drive_end(&driven);
}

TEST(senders_are_served_in_the_order_in_which_they_came)
{
	for (size_t capacity = 0; capacity < 4; capacity++) {
		struct driven driven = drive_begin(NULL);
		struct xyl_chan *chan = xyl_chan_new(sizeof(long), (ptrdiff_t)capacity);

		for (size_t i = 0; i < capacity + 8; i++) {
			DRIVE_SPAWN(&driven, put, .chan = chan, .value = (long)i + 1);
			while (xyl_chan_len(chan) + chan_waiters(chan) != i + 1)
				hand_turn(&driven);
		}
		for (size_t i = 0; i < capacity + 8; i++)
			CHECK_EQ(chan_take(chan), (long)i + 1);
		hand_quiet(&driven);
		chan_check_clean(chan);
		drive_end(&driven);
	}
}

/* ---- elements ------------------------------------------------------------------------- */

enum { ELEM_MAX = 4096, ELEMS = 50 };

static const size_t sizes[] = { 0, 1, 3, 7, 8, 9, 16, 4096 };

static unsigned char elem_byte(size_t number, size_t i)
{
	return (unsigned char)(number * 37 + i * 11 + 1);
}

/* From a stack that is overwritten as soon as it has been called. */
__attribute__((noinline)) static xyl_pending elem_send(struct xyl_chan *chan, size_t size,
						       size_t number)
{
	unsigned char elem[ELEM_MAX];
	xyl_pending op;

	for (size_t i = 0; i < size; i++)
		elem[i] = elem_byte(number, i);
	op = xyl_send(chan, elem);
	memset(elem, 0xee, sizeof(elem));
	__asm__ volatile("" : : "r"(elem) : "memory");
	return op;
}

struct send_elems {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	size_t size, i;
	ssize_t r;
};

static xyl_step send_elems(void *frame)
{
	struct send_elems *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < ELEMS; self->i++) {
		XYL_AWAIT(self->r, elem_send(self->chan, self->size, self->i));
		CHECK_EQ(self->r, 0);
	}
	xyl_chan_close(self->chan);
	XYL_END(0);
}

/* Not a byte beside it is touched. */
struct recv_elems {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	size_t size, i;
	unsigned char *place;
	ssize_t r;
};

static void elem_check(const struct recv_elems *self)
{
	for (size_t i = 0; i < self->size; i++)
		CHECK_EQ(self->place[1 + i], elem_byte(self->i, i));
	CHECK_EQ(self->place[0], 0xaa);
	CHECK_EQ(self->place[1 + self->size], 0xaa);
}

static xyl_step recv_elems(void *frame)
{
	struct recv_elems *self = frame;

	XYL_BEGIN(self)
	self->place = xyl_alloc_bytes(self->size + 2);
	memset(self->place, 0xaa, self->size + 2);
	for (self->i = 0;; self->i++) {
		if (self->i % 3 == 2)
			XYL_AWAIT(self->r, xyl_recv(self->chan, NULL));
		else
			XYL_AWAIT(self->r, xyl_recv(self->chan, self->place + 1));
		if (self->r < 0)
			break;
		if (self->i % 3 != 2)
			elem_check(self);
	}
	CHECK_EQ(self->r, -EPIPE);
	XYL_END((ssize_t)self->i);
}

/* Each of the two first: the one waits, or the other. */
static void elems_pass(size_t size, ptrdiff_t capacity, bool sender_first)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(size, capacity);
	struct xyl_task *receiver;

	if (sender_first)
		DRIVE_SPAWN(&driven, send_elems, .chan = chan, .size = size);
	hand_turns(&driven, 3);
	receiver = DRIVE_SPAWN(&driven, recv_elems, .chan = chan, .size = size);
	hand_turns(&driven, 3);
	if (!sender_first)
		DRIVE_SPAWN(&driven, send_elems, .chan = chan, .size = size);
	CHECK_EQ(hand_join(&driven, receiver), ELEMS);
	hand_quiet(&driven);
	chan_check_clean(chan);
	drive_end(&driven);
}

TEST(elements_of_any_size_arrive_intact_and_may_be_locals_of_their_sender)
{
	EACH(capacity)
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		elems_pass(sizes[i], capacity, true);
		elems_pass(sizes[i], capacity, false);
	}
}

TEST(an_element_too_large_to_be_kept_is_refused)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(SIZE_MAX / 2, 0);
	struct xyl_task *sender = DRIVE_SPAWN(&driven, put, .chan = chan);

	CHECK_EQ(hand_join(&driven, sender), -ENOMEM);
	CHECK_EQ(chan_put(chan, 1), -EAGAIN);
	CHECK_EQ(chan_waiters(chan), 0);
	drive_end(&driven);
}

TEST(an_element_of_no_size_is_an_event)
{
	struct xyl_chan *chan = xyl_chan_new(0, 3);

	for (int i = 0; i < 3; i++)
		CHECK_EQ(xyl_try_send(chan, NULL), 0);
	CHECK_EQ(xyl_try_send(chan, NULL), -EAGAIN);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(xyl_try_recv(chan, NULL), 0);
	CHECK_EQ(xyl_try_recv(chan, NULL), -EAGAIN);
}

/* ---- closing -------------------------------------------------------------------------- */

TEST(a_close_wakes_whoever_waits)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *to = xyl_chan_new(sizeof(long), 0), *from = xyl_chan_new(sizeof(long), 0);
	struct xyl_task *tasks[20];

	for (int i = 0; i < 10; i++) {
		tasks[i] = DRIVE_SPAWN(&driven, put, .chan = to, .value = i + 1);
		tasks[10 + i] = DRIVE_SPAWN(&driven, take, .chan = from);
	}
	chan_await(&driven, to, 10);
	chan_await(&driven, from, 10);
	xyl_chan_close(to);
	xyl_chan_close(from);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(hand_join(&driven, tasks[i]), -EPIPE);
	CHECK_EQ(chan_take(to), -EPIPE); /* what a sender failed to send is his */
	chan_check_clean(to);
	chan_check_clean(from);
	drive_end(&driven);
}

TEST(a_closed_channel_is_drained_and_closed_once_more_it_is_the_same)
{
	EACH(capacity)
	{
		struct xyl_chan *chan = xyl_chan_new(sizeof(long), capacity);
		long room = 0, next = 1;

		while (room < 100 && chan_put(chan, room + 1) == 0)
			room++;
		CHECK(!xyl_chan_is_closed(chan));
		for (int i = 0; i < 3; i++) {
			xyl_chan_close(chan);
			CHECK(xyl_chan_is_closed(chan));
			CHECK_EQ(chan_put(chan, 1000), -EPIPE);
		}
		CHECK_EQ(xyl_chan_len(chan), room);
		while (next <= room)
			CHECK_EQ(chan_take(chan), next++);
		for (int i = 0; i < 3; i++)
			CHECK_EQ(chan_take(chan), -EPIPE);
		chan_check_clean(chan);
	}
}

/* A sender who waits when it is closed fails; what stood in the slots before is received. */
TEST(a_close_drains_the_slots_and_not_those_who_wait)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), 2);
	struct xyl_task *sender = DRIVE_SPAWN(&driven, count_up, .chan = chan, .n = 3), *receiver;

	chan_await(&driven, chan, 1);
	xyl_chan_close(chan);
	CHECK_EQ(hand_join(&driven, sender), -EPIPE);
	receiver = DRIVE_SPAWN(&driven, sum_up, .chan = chan);
	CHECK_EQ(hand_join(&driven, receiver), 1 + 2);
	drive_end(&driven);
}

/* ---- what kcoro's tests of these names look at ------------------------------------------ */

TEST(chan_basic)
{
	struct xyl_chan *chan = xyl_chan_new(sizeof(int), 2);
	int out = 0;

	CHECK_EQ(xyl_try_send(chan, &(int){ 1 }), 0);
	CHECK_EQ(xyl_try_send(chan, &(int){ 2 }), 0);
	CHECK_EQ(xyl_try_send(chan, &(int){ 3 }), -EAGAIN);
	CHECK_EQ(xyl_try_recv(chan, &out), 0);
	CHECK_EQ(out, 1);
	CHECK_EQ(xyl_try_recv(chan, &out), 0);
	CHECK_EQ(out, 2);
	xyl_chan_close(chan);
	CHECK_EQ(xyl_try_recv(chan, &out), -EPIPE);
	CHECK_EQ(out, 2); /* written only on success */
}

/* One element, by reference, and then it is closed by who sent it. */
struct send_and_close {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	const char *text;
	ssize_t r;
};

static xyl_step send_and_close(void *frame)
{
	struct send_and_close *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_send(self->chan, &self->text));
	CHECK_EQ(self->r, 0);
	xyl_chan_close(self->chan);
	XYL_END(0);
}

struct close_semantics {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct xyl_chan_stats stats;
	const char *text;
	ssize_t r;
};

static xyl_step close_semantics(void *frame)
{
	struct close_semantics *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(char *), 0);
	xyl_spawn(send_and_close, .chan = self->chan, .text = "closing");
	XYL_AWAIT(self->r, xyl_recv(self->chan, &self->text));
	CHECK_EQ(self->r, 0);
	CHECK(strcmp(self->text, "closing") == 0);
	XYL_AWAIT(self->r, xyl_recv(self->chan, &self->text));
	CHECK_EQ(self->r, -EPIPE);
	xyl_chan_stats(self->chan, &self->stats);
	CHECK_EQ(self->stats.sent, 1);
	CHECK_EQ(self->stats.received, 1);
	XYL_END(0);
}

TEST(close_semantics)
{
	struct xyl_chan *chan = xyl_chan_new(sizeof(int), 1);
	int value = 7;

	CHECK_EQ(xyl_try_send(chan, &value), 0);
	xyl_chan_close(chan);
	CHECK_EQ(xyl_try_send(chan, &value), -EPIPE);
	value = 0;
	CHECK_EQ(xyl_try_recv(chan, &value), 0);
	CHECK_EQ(value, 7);
	CHECK_EQ(xyl_try_recv(chan, &value), -EPIPE);
	CHECK_EQ(RUN(close_semantics), 0);
}
