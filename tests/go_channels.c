/* SPDX-License-Identifier: MIT */
/*
 * go_channels.c - what Go's specification and its memory model promise of channels.
 *
 * Retold for tasks and threads; the ideas of the sieve and of the order of many senders are
 * those of the programs in Go's own test/chan.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/asyncs.h"
#include "tests/chans.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* ---- "channels act as first-in-first-out queues" ------------------------------------------ */

struct fifo {
	struct xyl_frame frame;
	ptrdiff_t capacity;
	struct xyl_chan *chan;
	struct xyl_task *sender;
	long i, value;
	ssize_t r;
};

static xyl_step fifo(void *frame)
{
	struct fifo *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), self->capacity);
	self->sender = xyl_spawn(count_up, .chan = self->chan, .n = 1000);
	for (self->i = 1; self->i <= 1000; self->i++) {
		XYL_AWAIT(self->r, xyl_recv(self->chan, &self->value));
		CHECK_EQ(self->r, 0);
		CHECK_EQ(self->value, self->i);
	}
	XYL_AWAIT(self->r, xyl_join(self->sender));
	XYL_END(self->r);
}

TEST(values_come_in_the_order_in_which_they_were_sent)
{
	for (ptrdiff_t capacity = 0; capacity < 12; capacity++)
		CHECK_EQ(RUN(fifo, .capacity = capacity), 0);
}

/* Each task waits for the one before it, and lets the one behind it go: the tokens of a
 * hundred come out in order. */
struct pass_on {
	struct xyl_frame frame;
	struct xyl_chan *out, *before, *behind;
	long value;
	ssize_t r;
};

static xyl_step pass_on(void *frame)
{
	struct pass_on *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_recv(self->before, NULL));
	XYL_AWAIT(self->r, xyl_send(self->out, &self->value));
	XYL_AWAIT(self->r, xyl_send(self->behind, &self->value));
	XYL_END(0);
}

enum { LINKS = 100 };

struct chain {
	struct xyl_frame frame;
	struct xyl_chan *out, *first, *last;
	long i, value;
	ssize_t r;
};

static void chain_spawn(struct chain *self)
{
	struct xyl_chan *before = self->first = xyl_chan_new(sizeof(long), 0);

	for (long i = 0; i < LINKS; i++) {
		struct xyl_chan *behind = xyl_chan_new(sizeof(long), i == LINKS - 1);

		CHECK(xyl_spawn(pass_on, .out = self->out, .before = before, .behind = behind,
				.value = i) != NULL);
		before = behind;
	}
}

static xyl_step chain(void *frame)
{
	struct chain *self = frame;

	XYL_BEGIN(self)
	self->out = xyl_chan_new(sizeof(long), 10);
	chain_spawn(self);
	XYL_AWAIT(self->r, xyl_send(self->first, &self->i));
	for (self->i = 0; self->i < LINKS; self->i++) {
		XYL_AWAIT(self->r, xyl_recv(self->out, &self->value));
		CHECK_EQ(self->value, self->i);
	}
	XYL_END(0);
}

TEST(a_chain_of_tasks_keeps_its_order)
{
	CHECK_EQ(RUN(chain), 0);
}

/* ---- the memory model --------------------------------------------------------------------- */

/* "A send on a channel is synchronized before the completion of the corresponding receive":
 * what is plain, and written before the send, is there after the receive.  TSan looks on. */
struct letter {
	long text; /* plain */
};

struct post_office {
	struct xyl_chan *letters, *acks;
	long n;
	long acked; /* plain, too: written before an acknowledgement */
};

static void *thread_write(void *arg)
{
	struct post_office *office = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (long i = 1; i <= office->n; i++) {
		struct letter *letter = xyl_new(struct letter);

		letter->text = i;
		CHECK_EQ(xyl_send_wait(office->letters, &letter, -1), 0);
		if (office->acks) {
			CHECK_EQ(xyl_recv_wait(office->acks, NULL, -1), 0);
			CHECK_EQ(office->acked, i);
		}
	}
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

struct read_letters {
	struct xyl_frame frame;
	struct post_office *office;
	struct letter *letter;
	long i;
	ssize_t r;
};

static xyl_step read_letters(void *frame)
{
	struct read_letters *self = frame;

	XYL_BEGIN(self)
	for (self->i = 1; self->i <= self->office->n; self->i++) {
		XYL_AWAIT(self->r, xyl_recv(self->office->letters, &self->letter));
		CHECK_EQ(self->r, 0);
		CHECK_EQ(self->letter->text, self->i);
		self->office->acked = self->i;
		if (self->office->acks) {
			XYL_AWAIT(self->r, xyl_send(self->office->acks, NULL));
			CHECK_EQ(self->r, 0);
		}
	}
	XYL_END(0);
}

static void letters_pass(ptrdiff_t capacity, bool acknowledged)
{
	struct post_office *office = xyl_new(struct post_office);
	pthread_t thread;

	office->letters = xyl_chan_new(sizeof(void *), capacity);
	office->acks = acknowledged ? xyl_chan_new(0, 0) : NULL;
	office->n = (long)test_scaled(5000);
	CHECK(pthread_create(&thread, NULL, thread_write, office) == 0);
	CHECK_EQ(RUN(read_letters, .office = office), 0);
	pthread_join(thread, NULL);
}

TEST(what_was_written_before_a_send_is_there_after_the_receive)
{
	letters_pass(0, false);
	letters_pass(10, false);
	letters_pass(XYL_UNLIMITED, false);
}

/* "A receive from an unbuffered channel is synchronized before the completion of the
 * corresponding send." */
TEST(what_was_written_before_a_receive_is_there_after_the_send_of_a_rendezvous)
{
	letters_pass(0, true);
	letters_pass(10, true);
}

/* "The kth receive on a channel with capacity C is synchronized before the completion of the
 * k+Cth send": so C tasks, and no more, are between their send and their receive. */
struct counted {
	atomic_long inside, most;
};

struct bounded_work {
	struct xyl_frame frame;
	struct xyl_chan *slots;
	struct counted *counted;
	long rounds;
	ssize_t r;
};

static void counted_enter(struct counted *counted)
{
	long inside = atomic_fetch_add(&counted->inside, 1) + 1;

	if (inside > atomic_load(&counted->most))
		atomic_store(&counted->most, inside);
}

static xyl_step bounded_work(void *frame)
{
	struct bounded_work *self = frame;

	XYL_BEGIN(self)
	while (self->rounds-- > 0) {
		XYL_AWAIT(self->r, xyl_send(self->slots, NULL));
		CHECK_EQ(self->r, 0);
		counted_enter(self->counted);
		XYL_AWAIT(self->r, xyl_yield());
		atomic_fetch_sub(&self->counted->inside, 1);
		XYL_AWAIT(self->r, xyl_recv(self->slots, NULL));
		CHECK_EQ(self->r, 0);
	}
	XYL_END(0);
}

static void work_is_bounded_by(size_t capacity)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *slots = xyl_chan_new(0, (ptrdiff_t)capacity);
	struct counted *counted = xyl_new(struct counted);

	for (int i = 0; i < 20; i++)
		DRIVE_SPAWN(&driven, bounded_work, .slots = slots, .counted = counted,
			    .rounds = 50);
	hand_turn(&driven);
	hand_quiet(&driven);
	CHECK_EQ(counted->most, capacity);
	CHECK_EQ(xyl_chan_len(slots), 0);
	drive_end(&driven);
}

TEST(a_channel_limits_how_many_are_at_work)
{
	for (size_t capacity = 1; capacity < 6; capacity++)
		work_is_bounded_by(capacity);
}

/* "The closing of a channel is synchronized before a receive that returns because the
 * channel is closed." */
struct closing {
	struct xyl_chan *chan;
	long text; /* plain */
};

static void *thread_close(void *arg)
{
	struct closing *closing = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	closing->text = 5;
	xyl_chan_close(closing->chan);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(what_was_written_before_a_close_is_there_after_the_receive_that_fails)
{
	for (int i = 0; i < 50; i++) {
		struct closing *closing = xyl_new(struct closing);
		pthread_t thread;

		closing->chan = xyl_chan_new(sizeof(long), 0);
		CHECK(pthread_create(&thread, NULL, thread_close, closing) == 0);
		CHECK_EQ(RUN(take, .chan = closing->chan), -EPIPE);
		CHECK_EQ(closing->text, 5);
		pthread_join(thread, NULL);
	}
}

/* ---- closing --------------------------------------------------------------------------------- */

/* "After calling close, and after any previously sent values have been received, receive
 * operations will return the zero value": here, -EPIPE, and the place is as it was. */
TEST(a_closed_channel_gives_what_was_sent_before_and_then_nothing)
{
	for (ptrdiff_t capacity = 0; capacity < 5; capacity++) {
		struct xyl_chan *chan = xyl_chan_new(sizeof(long), capacity);
		long value = 99;

		for (long i = 0; i < capacity; i++)
			CHECK_EQ(chan_put(chan, i), 0);
		xyl_chan_close(chan);
		for (long i = 0; i < capacity; i++) {
			CHECK_EQ(xyl_try_recv(chan, &value), 0);
			CHECK_EQ(value, i);
		}
		value = 99;
		for (int i = 0; i < 10; i++)
			CHECK_EQ(xyl_try_recv(chan, &value), -EPIPE);
		CHECK_EQ(value, 99);
		CHECK_EQ(xyl_chan_len(chan), 0);
	}
}

/* ---- the sieve ------------------------------------------------------------------------------- */

/* Passes on what its prime does not divide. */
struct filter {
	struct xyl_frame frame;
	struct xyl_chan *in, *out;
	long prime, value;
	ssize_t r;
};

static xyl_step filter(void *frame)
{
	struct filter *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, xyl_recv(self->in, &self->value));
		if (self->r < 0)
			break;
		if (self->value % self->prime == 0)
			continue;
		XYL_AWAIT(self->r, xyl_send(self->out, &self->value));
		if (self->r < 0)
			break;
	}
	xyl_chan_close(self->in);
	XYL_END(0);
}

struct sieve {
	struct xyl_frame frame;
	ptrdiff_t capacity;
	struct xyl_chan *in, *out;
	long prime;
	int i;
	ssize_t r;
};

static xyl_step sieve(void *frame)
{
	struct sieve *self = frame;

	XYL_BEGIN(self)
	self->in = xyl_chan_new(sizeof(long), self->capacity);
	xyl_spawn(count_up, .chan = self->in, .from = 1, .n = 1000000);
	for (self->i = 0; self->i < 100; self->i++) {
		XYL_AWAIT(self->r, xyl_recv(self->in, &self->prime));
		CHECK_EQ(self->r, 0);
		self->out = xyl_chan_new(sizeof(long), self->capacity);
		xyl_spawn(filter, .in = self->in, .out = self->out, .prime = self->prime);
		self->in = self->out;
	}
	xyl_chan_close(self->in); /* which runs up the chain */
	XYL_END(self->prime);
}

TEST(the_sieve_of_eratosthenes)
{
	CHECK_EQ(RUN(sieve, .capacity = 0), 541);
	CHECK_EQ(RUN(sieve, .capacity = 3), 541);
}
