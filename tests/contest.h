/* SPDX-License-Identifier: MIT */
/*
 * contest.h - many want what there is not enough of: tasks of two runtimes, some of them
 * aborted or bounded as they wait, and threads outside.  Whatever the order, never are more
 * in at once than may be, and in the end nobody is.
 */
#ifndef TEST_CONTEST_H
#define TEST_CONTEST_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/asyncs.h"
#include "tests/run.h"
#include "xylem/xylem.h"

struct contest {
	void *lock;
	xyl_pending (*take)(void *lock, size_t n);
	int (*try_take)(void *lock, size_t n);
	void (*give)(void *lock, size_t n);
	size_t limit;
	bool all_or_one; /* nothing between */
	atomic_size_t in;
	atomic_uint begun;   /* runtimes whose tasks are at it */
	atomic_uint outside; /* threads that are, or will be */
	size_t guarded; /* written by who has all, read by the others: a race is for TSan to see */
};

static size_t contest_draw(const struct contest *contest)
{
	if (contest->all_or_one)
		return test_random() % 3 ? 1 : contest->limit;
	return 1 + test_random() % contest->limit;
}

static void contest_enter(struct contest *contest, size_t n)
{
	CHECK(atomic_fetch_add_explicit(&contest->in, n, memory_order_relaxed) + n <=
	      contest->limit);
	if (n == contest->limit)
		contest->guarded++;
	else
		CHECK(contest->guarded != SIZE_MAX);
}

static void contest_leave(struct contest *contest, size_t n)
{
	atomic_fetch_sub_explicit(&contest->in, n, memory_order_relaxed);
	contest->give(contest->lock, n);
}

struct contender {
	struct xyl_frame frame;
	struct contest *contest;
	size_t rounds, n;
	unsigned stay, rest;
	ssize_t r, ignored;
};

static xyl_pending contender_take(struct contender *self)
{
	xyl_pending pending = self->contest->take(self->contest->lock, self->n);

	return test_random() % 4 ? pending : xyl_within(pending, 0);
}

/* As long as somebody waits, no try succeeds: threads outside need a lull. */
static unsigned contender_rest(struct contender *self)
{
	return atomic_load(&self->contest->outside) ? 4 + test_random() % 16 : 0;
}

static xyl_step contender(void *frame)
{
	struct contender *self = frame;

	XYL_BEGIN(self)
	for (; self->rounds > 0; self->rounds--) {
		self->n = contest_draw(self->contest);
		XYL_AWAIT(self->r, contender_take(self));
		if (self->r == -ETIMEDOUT)
			continue;
		if (self->r < 0)
			break;
		contest_enter(self->contest, self->n);
		for (self->stay = test_random() % 3; self->stay > 0; self->stay--)
			XYL_AWAIT(self->ignored, xyl_yield());
		contest_leave(self->contest, self->n);
		for (self->rest = contender_rest(self); self->rest > 0; self->rest--)
			XYL_AWAIT(self->ignored, xyl_yield());
	}
	XYL_END(self->r);
}

enum { CONTENDERS = 12 };

struct contention {
	struct xyl_frame frame;
	struct contest *contest;
	size_t rounds, i;
	struct xyl_task *tasks[CONTENDERS];
	ssize_t r;
};

static void contention_stir(struct contention *self)
{
	unsigned crowd = atomic_load(&self->contest->outside) ? 3 : CONTENDERS;
	struct xyl_task **task = &self->tasks[test_random() % crowd];

	if (*task && test_random() % 2)
		xyl_abort(*task);
	if (!*task || xyl_is_done(*task))
		*task = xyl_spawn(contender, .contest = self->contest, .rounds = 20);
}

static xyl_step contention(void *frame)
{
	struct contention *self = frame;

	XYL_BEGIN(self)
	atomic_fetch_add(&self->contest->begun, 1);
	for (self->i = 0; self->i < self->rounds || atomic_load(&self->contest->outside);
	     self->i++) {
		contention_stir(self);
		XYL_AWAIT(self->r, xyl_yield());
	}
	for (self->i = 0; self->i < CONTENDERS; self->i++)
		if (self->tasks[self->i])
			XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
	XYL_END(0);
}

static void *contest_outside(void *arg)
{
	struct contest *contest = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	while (atomic_load(&contest->begun) < 2)
		sched_yield();
	for (size_t i = test_scaled(1000); i > 0; i--) {
		size_t n = contest_draw(contest);

		while (contest->try_take(contest->lock, n) == -EAGAIN)
			sched_yield();
		contest_enter(contest, n);
		contest_leave(contest, n);
	}
	atomic_fetch_sub(&contest->outside, 1);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

/* Among the tasks of one runtime. */
__attribute__((unused)) static void contest_run(struct contest *contest)
{
	CHECK_EQ(RUN(contention, .contest = contest, .rounds = test_scaled(4000)), 0);
	CHECK_EQ(atomic_load(&contest->in), 0);
}

/* Among those of two, and two threads outside. */
__attribute__((unused)) static void contest_run_everywhere(struct contest *contest)
{
	struct xyl_runtime *other;
	struct xyl_task *there;
	pthread_t threads[2];

	atomic_store(&contest->begun, 0);
	atomic_store(&contest->outside, 2);
	CHECK_EQ(xyl_runtime_new(&other, NULL), 0);
	CHECK_EQ(xyl_runtime_start(other), 0);
	there = xyl_runtime_spawn(other, XYL_HERE, contention, .contest = contest,
				  .rounds = test_scaled(1000));
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, contest_outside, contest), 0);
	CHECK_EQ(xyl_run(contention, .contest = contest, .rounds = test_scaled(1000)), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	while (!xyl_is_done(there))
		sched_yield();
	CHECK_EQ(xyl_result(there), 0);
	CHECK_EQ(xyl_runtime_stop(other, 5 * XYL_SEC), 0);
	CHECK_EQ(atomic_load(&contest->in), 0);
}

#endif
