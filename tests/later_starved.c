/* SPDX-License-Identifier: MIT */
/* xyl_later without memory, of what a thread outside has just let go. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/child.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* All that there is: an object refers to the one before it. */
static void **hoard;

static void hoard_all(void)
{
	for (size_t size = 8192; size >= 16; size = size > 1008 ? 1008 : size - 16) {
		void **more;

		while ((more = xyl_alloc(size)) != NULL) {
			*more = hoard;
			hoard = more;
		}
	}
}

enum { NOT_YET, SEND, SENT };

static atomic_int stage;
static struct xyl_chan *chan;

/* It needs no memory once it is attached. */
static void *sender(void *unused)
{
	long elem = 7;

	CHECK_EQ(xyl_thread_attach(), 0);
	while (atomic_load(&stage) != SEND)
		sched_yield();
	CHECK_EQ(xyl_try_send(chan, &elem), 0);
	atomic_store(&stage, SENT);
	CHECK_EQ(xyl_thread_detach(), 0);
	return unused;
}

struct starved {
	struct xyl_frame frame;
	bool by_select;
	struct xyl_chan *other;
	xyl_pending pending;
	long elem;
	int turns;
	ssize_t n;
};

static xyl_step starved(void *frame)
{
	struct starved *self = frame;

	XYL_BEGIN(self)
	chan = xyl_chan_new(sizeof(long), 0);
	self->other = xyl_chan_new(sizeof(long), 0);
	if (self->by_select)
		self->pending = xyl_select(xyl_on_recv(self->other, &self->elem),
					   xyl_on_recv(chan, &self->elem));
	else
		self->pending = xyl_recv(chan, &self->elem);
	hoard_all();
	atomic_store(&stage, SEND);
	while (atomic_load(&stage) != SENT)
		sched_yield();
	CHECK(xyl_later(self->pending) == NULL);
	CHECK_EQ(self->elem, 7);
	hoard = NULL;
	for (self->turns = 0; self->turns < 3; self->turns++) { /* it is woken once for each */
		XYL_AWAIT(self->n, xyl_yield());
		CHECK_EQ(self->n, 0);
	}
	XYL_END(self->n);
}

static void run_starved(void *by_select)
{
	struct xyl_config config = { .heap_limit_bytes = 24 << 20, .heap_start_bytes = 8 << 20 };
	pthread_t thread;

	xyl_collect(); /* the first use: it attaches this thread */
	CHECK(pthread_create(&thread, NULL, sender, NULL) == 0);
	CHECK_EQ(RUN_WITH(&config, starved, .by_select = by_select != NULL), 0);
	pthread_join(thread, NULL);
}

TEST(what_a_thread_has_just_sent_has_come_though_there_is_no_memory_to_wait_for_it)
{
	child_succeeds(run_starved, NULL);
}

TEST(a_select_that_a_thread_has_just_ended_is_over_likewise)
{
	static bool by_select;

	child_succeeds(run_starved, &by_select);
}
