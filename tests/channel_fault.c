/* SPDX-License-Identifier: MIT */
/*
 * channel_fault.c - the n-th allocation fails while channels are used, for each n: somebody is
 * told -ENOMEM, and no value is lost for it.
 */
#include <errno.h>

#include "tests/chans.h"
#include "tests/faults.h"
#include "tests/run.h"
#include "xylem/xylem.h"

static bool is_refused(ssize_t r)
{
	return r == -ENOMEM || r == -ECANCELED; /* no memory for its bound, or none to wait in */
}

/* Of what was sent, and received. */
struct accounts {
	long sent, received, refused;
};

struct large {
	long value, more[74]; /* too large for the lists of free blocks */
};

/* Sends until 30 have been sent, or its patience is over. */
struct send_large {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct accounts *accounts;
	struct large elem;
	struct xyl_future *future;
	int i;
	ssize_t r;
};

static void sent_note(struct accounts *accounts, ssize_t r)
{
	CHECK(r == 0 || r == -EPIPE || is_refused(r));
	accounts->sent += r == 0;
	accounts->refused += is_refused(r);
}

static xyl_step send_large(void *frame)
{
	struct send_large *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < 30; self->i++) {
		self->elem.value = self->i;
		if (self->i % 3 == 0)
			XYL_AWAIT(self->r, xyl_send(self->chan, &self->elem));
		else if (self->i % 3 == 1)
			XYL_AWAIT(self->r, xyl_select(xyl_on_send(self->chan, &self->elem),
						      xyl_on_recv(NULL, NULL)));
		else
			XYL_AWAIT(self->r, xyl_within(xyl_send(self->chan, &self->elem), XYL_SEC));
		sent_note(self->accounts, self->r);
	}
	xyl_chan_close(self->chan);
	XYL_END(0);
}

/* Until it is closed; what it is refused it tries again. */
struct recv_large {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct accounts *accounts;
	struct large elem;
	int i;
	ssize_t r, result;
};

static xyl_step recv_large(void *frame)
{
	struct recv_large *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0;; self->i++) {
		self->result = 0;
		if (self->i % 2)
			XYL_AWAIT(self->r, xyl_recv(self->chan, &self->elem));
		else
			XYL_AWAIT(self->r, xyl_select(xyl_on_recv(self->chan, &self->elem,
								  .ret_result = &self->result)));
		if (self->r == 0)
			self->r = self->result;
		if (self->r == -EPIPE)
			break;
		CHECK(self->r == 0 || is_refused(self->r));
		self->accounts->received += self->r == 0;
		self->accounts->refused += self->r != 0;
	}
	XYL_END(0);
}

/* Of those without memory nothing is left; a sender alone must not wait for ever. */
struct exchange {
	struct xyl_frame frame;
	ptrdiff_t capacity;
	struct accounts *accounts;
	struct xyl_chan *chan;
	struct xyl_task *sender, *receiver;
	ssize_t r;
};

static xyl_step exchange(void *frame)
{
	struct exchange *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(struct large), self->capacity);
	if (!self->chan)
		XYL_RETURN(-ENOMEM);
	self->receiver = xyl_spawn(recv_large, .chan = self->chan, .accounts = self->accounts);
	if (!self->receiver)
		XYL_RETURN(-ENOMEM);
	self->sender = xyl_spawn(send_large, .chan = self->chan, .accounts = self->accounts);
	if (!self->sender)
		xyl_chan_close(self->chan);
	XYL_AWAIT(self->r, xyl_join(self->receiver));
	if (!self->sender)
		XYL_RETURN(-ENOMEM);
	XYL_AWAIT(self->r, xyl_join(self->sender));
	CHECK_EQ(chan_waiters(self->chan), 0);
	XYL_END(0);
}

/* Until a plan is never reached; how many there were. */
static size_t faults_sweep(ptrdiff_t capacity, size_t count)
{
	size_t n = 0, stride = test_scaled(1000) < 1000 ? 5 : 1;
	long refused = 0;

	do {
		static struct accounts accounts;
		ssize_t r;

		n += stride;
		accounts = (struct accounts){ 0 };
		faults_plan(n, count);
		r = xyl_run(exchange, .capacity = capacity, .accounts = &accounts);
		CHECK(r == 0 || r == -ENOMEM);
		CHECK_EQ(accounts.sent, accounts.received);
		refused += accounts.refused;
		CHECK(accounts.refused == 0 || faults_reached() >= n);
		CHECK(r < 0 || accounts.sent + accounts.refused >= 30);
	} while (faults_reached() >= n);
	faults_plan(0, 0);
	CHECK(stride > 1 || refused > 0);
	return n;
}

TEST(the_nth_allocation_fails_and_no_value_is_lost)
{
	CHECK(faults_sweep(0, 2) > 10);
	CHECK(faults_sweep(1, 2) > 10);
}

TEST(ten_allocations_in_a_row_fail_and_no_value_is_lost)
{
	CHECK(faults_sweep(0, 20) > 10);
	CHECK(faults_sweep(XYL_UNLIMITED, 20) > 0);
}

/* ---- an unlimited one that cannot grow ------------------------------------------------------- */

TEST(an_unlimited_channel_without_memory_refuses_and_keeps_what_it_has)
{
	struct xyl_chan *chan = xyl_chan_new(sizeof(long), XYL_UNLIMITED);
	long n = 0;

	faults_plan(1, 1000000); /* nothing at all from now on */
	CHECK_EQ(chan_put(chan, 1), -ENOMEM);
	CHECK_EQ(xyl_chan_len(chan), 0);
	faults_plan(0, 0);
	while (chan->room == 0 || xyl_chan_len(chan) < chan->room)
		CHECK_EQ(chan_put(chan, ++n), 0);
	faults_plan(1, 1000000);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(chan_put(chan, n + 1), -ENOMEM);
	faults_plan(0, 0);
	CHECK_EQ(chan_put(chan, ++n), 0);
	for (long i = 1; i <= n; i++)
		CHECK_EQ(chan_take(chan), i);
	chan_check_clean(chan);
}

TEST(without_memory_there_is_no_channel)
{
	faults_plan(1, 1000000);
	CHECK(xyl_chan_new(8, 0) == NULL);
	CHECK(xyl_chan_new(8, 4) == NULL);
	faults_plan(0, 0);
}

/* ---- a select that need not wait ----------------------------------------------------------- */

enum { MANY = 32 };

struct choose {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct xyl_case cases[MANY];
	long value;
	size_t before;
	ssize_t n;
};

static xyl_step choose(void *frame)
{
	struct choose *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), 4);
	for (int i = 0; i < MANY; i++)
		self->cases[i] = xyl_on_recv(self->chan, &self->value);
	CHECK_EQ(chan_put(self->chan, 7), 0);
	faults_plan(1, 1000000);
	XYL_AWAIT(self->n, xyli_select(self->cases, MANY, false));
	CHECK_EQ(faults_reached(), 0); /* nobody asked for memory */
	CHECK(self->n >= 0 && self->n < MANY);
	CHECK_EQ(self->value, 7);
	XYL_AWAIT(self->n, xyli_select(self->cases, MANY, false));
	faults_plan(0, 0);
	CHECK_EQ(self->n, -ENOMEM); /* that one had to wait */
	XYL_END(0);
}

TEST(a_select_that_need_not_wait_takes_no_memory)
{
	CHECK_EQ(RUN(choose), 0);
}
