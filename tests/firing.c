/* SPDX-License-Identifier: MIT */
/*
 * Tokens fired at random, by threads that the collector does not know, while the tasks of
 * two shards wait for them, in every way: each await ends, once, with a result that can be,
 * and nothing is left on any list.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/asyncs.h"
#include "tests/run.h"
#include "tests/tokens.h"
#include "xylem/xylem.h"

enum { TOKENS = 48, SHARDS = 2, TASKS = 12, FIRERS = 2 };

struct wood {
	struct xyl_cancel *tokens[TOKENS]; /* [0] is above all */
	struct xyl_chan *chan;
};

static struct wood *wood_new(void)
{
	struct wood *wood = xyl_new(struct wood);

	for (size_t i = 0; i < TOKENS; i++)
		wood->tokens[i] = xyl_cancel_new(i ? wood->tokens[test_random() % i] : NULL);
	wood->chan = xyl_chan_new(sizeof(long), 2);
	return wood;
}

static struct xyl_cancel *token_any(const struct wood *wood)
{
	return wood->tokens[test_random() % TOKENS];
}

/* ---- the tasks -------------------------------------------------------------------------- */

/* Two awaits; what the first gave. */
struct twice {
	struct xyl_frame frame;
	struct wood *wood;
	ssize_t n, m;
};

static xyl_step twice(void *frame)
{
	struct twice *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n,
		  xyl_until(xyl_sleep((int64_t)(test_random() % 30000)), token_any(self->wood)));
	XYL_AWAIT(self->m, xyl_cancel_wait(token_any(self->wood)));
	XYL_END(self->n);
}

struct waiter {
	struct xyl_frame frame;
	struct wood *wood;
	struct xyl_future *later;
	long value;
	ssize_t n;
};

/* One of them: what is waited for, and the bounds round it. */
static xyl_pending something(struct waiter *self)
{
	int64_t ns = (int64_t)(test_random() % 50000);

	switch (test_random() % 7) {
	case 0: return xyl_sleep(ns);
	case 1: return xyl_recv(self->wood->chan, &self->value);
	case 2: return xyl_send(self->wood->chan, &self->value);
	case 3: return xyl_cancel_wait(token_any(self->wood));
	case 4: return xyl_call(twice, .wood = self->wood);
	case 5: return xyl_within(xyl_recv(self->wood->chan, &self->value), ns);
	default: return xyl_yield();
	}
}

static xyl_pending bounded(struct waiter *self)
{
	xyl_pending op = something(self);

	if (test_random() % 3 == 0)
		op = xyl_until(op, token_any(self->wood));
	if (test_random() % 4 == 0)
		op = xyl_within(op, (int64_t)(test_random() % 50000));
	return xyl_until(op, token_any(self->wood));
}

static xyl_step waiter(void *frame)
{
	struct waiter *self = frame;

	XYL_BEGIN(self)
	while (!xyl_cancel_is_fired(self->wood->tokens[0])) {
		if (test_random() % 4 == 0) {
			self->later = xyl_later(bounded(self));
			XYL_AWAIT(self->n,
				  xyl_until(xyl_future_get(self->later), token_any(self->wood)));
		} else {
			XYL_AWAIT(self->n, bounded(self));
		}
		CHECK(self->n == 0 || self->n == -ECANCELED || self->n == -ETIMEDOUT);
		CHECK(!xyl_is_aborted(xyl_self()) || self->n != -ETIMEDOUT);
		if (xyl_is_aborted(xyl_self()))
			break;
	}
	XYL_END(0);
}

/* ---- the threads -------------------------------------------------------------------------- */

struct firer {
	struct wood *wood;
	struct xyl_task **tasks;
};

/* All but the one above all. */
static void *firer(void *arg)
{
	struct firer *firer = arg;

	for (int i = 0; i < TOKENS / FIRERS; i++) {
		xyl_cancel_fire(firer->wood->tokens[1 + test_random() % (TOKENS - 1)]);
		if (test_random() % 8 == 0)
			xyl_abort(firer->tasks[test_random() % (SHARDS * TASKS)]);
		for (size_t n = test_random() % 100; n > 0; n--)
			sched_yield();
	}
	return NULL;
}

static void fire_all(struct wood *wood, struct xyl_task **tasks)
{
	struct firer firing = { .wood = wood, .tasks = tasks };
	pthread_t threads[FIRERS];

	for (int i = 0; i < FIRERS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, firer, &firing), 0);
	for (int i = 0; i < FIRERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	fire_by_a_thread(wood->tokens[0]);
}

static void round_of_firing(struct xyl_runtime **rts)
{
	struct wood *wood = wood_new();
	struct xyl_task **tasks = xyl_alloc(SHARDS * TASKS * sizeof(struct xyl_task *));

	for (int i = 0; i < SHARDS * TASKS; i++)
		tasks[i] = xyl_runtime_spawn(rts[i % SHARDS], XYL_HERE, waiter, .wood = wood);
	fire_all(wood, tasks);
	for (int i = 0; i < SHARDS * TASKS; i++)
		while (!xyl_is_done(tasks[i]))
			sched_yield();
	for (int i = 0; i < TOKENS; i++)
		CHECK(xyl_cancel_is_fired(wood->tokens[i]) && token_is_idle(wood->tokens[i]));
}

TEST(whatever_is_fired_while_anyone_waits_each_await_ends_once)
{
	struct xyl_runtime *rts[SHARDS];

	for (int i = 0; i < SHARDS; i++) {
		CHECK_EQ(xyl_runtime_new(&rts[i], NULL), 0);
		CHECK_EQ(xyl_runtime_start(rts[i]), 0);
	}
	for (size_t i = 0; i < test_scaled(100); i++)
		round_of_firing(rts);
	for (int i = 0; i < SHARDS; i++)
		CHECK_EQ(xyl_runtime_stop(rts[i], 5 * XYL_SEC), 0);
}
