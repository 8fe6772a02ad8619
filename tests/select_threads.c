/* SPDX-License-Identifier: MIT */
/* select_threads.c - what a select waits for happens on another thread. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/asyncs.h"
#include "tests/chans.h"
#include "tests/run.h"
#include "xylem/xylem.h"

static pthread_t thread_start(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, fn, arg) == 0);
	return thread;
}

/* Different each time, and never optimised away. */
static void loiter(void)
{
	for (volatile unsigned i = (unsigned)(test_random() % 300); i > 0; i--)
		;
}

/* ---- fired, set, at any moment ---------------------------------------------------------- */

struct meeting {
	struct xyl_chan *chan; /* nothing comes there */
	struct xyl_cancel *_Atomic token;
	struct xyl_future *_Atomic future;
	long rounds;
};

static void *thread_fire(void *arg)
{
	struct meeting *meeting = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(chan_take(meeting->chan), -EAGAIN); /* its lock is nobody's from now on */
	for (long i = 0; i < meeting->rounds; i++) {
		struct xyl_cancel *token;
		struct xyl_future *future;

		while (!(token = atomic_exchange(&meeting->token, NULL)))
			sched_yield();
		future = atomic_exchange(&meeting->future, NULL);
		loiter();
		if (future)
			CHECK_EQ(xyl_future_set(future, i), 0);
		else
			xyl_cancel_fire(token);
	}
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

struct meet {
	struct xyl_frame frame;
	struct meeting *meeting;
	bool futures;
	struct xyl_cancel *token;
	struct xyl_future *future;
	long i;
	ssize_t n;
};

static void meet_begin(struct meet *self)
{
	self->token = xyl_cancel_new(NULL);
	self->future = self->futures ? xyl_future_new() : NULL;
	atomic_store(&self->meeting->future, self->future);
	atomic_store(&self->meeting->token, self->token);
	loiter();
}

static xyl_step meet(void *frame)
{
	struct meet *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->meeting->rounds; self->i++) {
		meet_begin(self);
		if (self->futures)
			XYL_AWAIT(self->n, xyl_select(xyl_on_recv(self->meeting->chan, NULL),
						      xyl_on_future(self->future)));
		else
			XYL_AWAIT(self->n, xyl_select(xyl_on_recv(self->meeting->chan, NULL),
						      xyl_on_cancel(self->token)));
		CHECK_EQ(self->n, 1);
	}
	XYL_END(0);
}

static void meet_often(bool futures)
{
	struct meeting *meeting = xyl_new(struct meeting);
	pthread_t thread;

	meeting->chan = xyl_chan_new(sizeof(long), 0);
	meeting->rounds = (long)test_scaled(20000);
	thread = thread_start(thread_fire, meeting);
	CHECK_EQ(RUN(meet, .meeting = meeting, .futures = futures), 0);
	pthread_join(thread, NULL);
	chan_check_clean(meeting->chan);
}

TEST(a_token_is_fired_while_a_select_goes_on_its_lists)
{
	meet_often(false);
}

TEST(a_future_is_set_while_a_select_goes_on_its_lists)
{
	meet_often(true);
}
