/* SPDX-License-Identifier: MIT */
/*
 * chaos.c - tasks send, receive, select, close, abort and time out at random.
 *
 * The model: each value is one of its kind.  Its sender is told once whether it was sent.  What
 * was sent is received once, or is still in its channel at the end, or was replaced in a
 * conflated one; what was refused is received never.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include "rt/chance.h"
#include "sync/select.h"
#include "tests/asyncs.h"
#include "tests/chans.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { CHANS = 8, ACTORS = 64, RUNTIMES = 3 };

enum { TOLD_SENT = 1, TOLD_REFUSED = 2, RECEIVED = 4 }; /* of a value; the last is a count */

/* Left for later: what came of it is looked at in the end. */
struct left {
	struct left *next;
	struct xyl_future *future;
	bool sends;
	long value;
};

struct past {
	struct past *next;
	struct xyl_chan *chan;
};

static struct {
	_Atomic(struct xyl_chan *) chans[CHANS];
	_Atomic(struct past *) all_chans;
	_Atomic(struct left *) all_left;
	struct xyl_task *_Atomic actors[ACTORS];
	atomic_uchar *fates;
	long values, limit;
	atomic_long next, ops, awaited, resumed;
} world;

/* ---- values ----------------------------------------------------------------------------- */

static long value_new(void)
{
	long value = atomic_fetch_add(&world.next, 1) + 1;

	CHECK(value < world.values);
	return value;
}

static void value_told(long value, bool sent)
{
	int told = sent ? TOLD_SENT : TOLD_REFUSED;

	CHECK_EQ(atomic_fetch_or(&world.fates[value], told) & (TOLD_SENT | TOLD_REFUSED), 0);
}

static void value_received(long value)
{
	CHECK(value > 0 && value <= atomic_load(&world.next));
	CHECK_EQ(atomic_fetch_add(&world.fates[value], RECEIVED) / RECEIVED, 0);
}

/* ---- channels ----------------------------------------------------------------------------- */

static struct xyl_chan *chan_at_random(struct xyli_chance *chance)
{
	return atomic_load(&world.chans[xyli_chance_below(chance, CHANS)]);
}

static void chan_renew(struct xyli_chance *chance, unsigned i)
{
	static const ptrdiff_t capacities[] = { 0, 0, 1, 2, 5, 100, XYL_CONFLATED, XYL_UNLIMITED };
	struct past *past = xyl_new(struct past);
	struct xyl_chan *old;

	past->chan = xyl_chan_new(sizeof(long), capacities[xyli_chance_below(chance, 8)]);
	past->next = atomic_load(&world.all_chans);
	while (!atomic_compare_exchange_weak(&world.all_chans, &past->next, past))
		;
	old = atomic_exchange(&world.chans[i], past->chan);
	if (old)
		xyl_chan_close(old);
}

/* ---- what an actor does ---------------------------------------------------------------------- */

struct actor {
	struct xyl_frame frame;
	struct xyli_chance chance;
	struct xyl_chan *a, *b, *c;
	long in, out;
	int64_t bound, timeout;
	unsigned plan;
	ssize_t r, result;
};

enum { SEND, RECV, SELECT, LATER, AT_ONCE };

static int64_t bound_at_random(struct xyli_chance *chance)
{
	static const int64_t bounds[] = { -1, 1, 20 * XYL_US, 200 * XYL_US, 0, 0 };

	return bounds[xyli_chance_below(chance, 6)];
}

static void actor_plan(struct actor *self)
{
	static const unsigned char plans[16] = { SEND,	 SEND,	SEND,	 SEND,	 RECV,	 RECV,
						 RECV,	 RECV,	SELECT,	 SELECT, SELECT, SELECT,
						 SELECT, LATER, AT_ONCE, AT_ONCE };

	self->plan = plans[xyli_chance_below(&self->chance, 16)];
	self->a = chan_at_random(&self->chance);
	self->b = chan_at_random(&self->chance);
	self->c = xyli_chance_one_in(&self->chance, 8) ? NULL : chan_at_random(&self->chance);
	self->bound = bound_at_random(&self->chance);
	self->timeout = xyli_chance_below(&self->chance, 100) * XYL_US;
	self->result = 0;
	self->in = 0;
	if (self->plan == SEND || self->plan == SELECT)
		self->out = value_new();
	atomic_fetch_add(&world.awaited, 1);
}

static void actor_selected(struct actor *self)
{
	bool did = self->result == 0;

	CHECK(self->result == 0 || self->result == -EPIPE);
	value_told(self->out, self->r == 0 && did);
	if ((self->r == 1 || self->r == 2) && did)
		value_received(self->in);
	else
		CHECK_EQ(self->in, 0); /* whoever lost has touched nothing */
}

static void actor_leaves(struct actor *self)
{
	struct left *left = xyl_new(struct left);

	left->sends = xyli_chance_one_in(&self->chance, 2);
	if (left->sends)
		left->value = value_new();
	left->future = xyl_later(hand_bounded(
		left->sends ? xyl_send(self->a, &left->value) : xyl_recv(self->a, &left->value),
		xyli_chance_one_in(&self->chance, 10) ? 0 : 100 * XYL_US));
	CHECK(left->future != NULL);
	left->next = atomic_load(&world.all_left);
	while (!atomic_compare_exchange_weak(&world.all_left, &left->next, left))
		;
}

/* From a task, and from a thread outside. */
static void act_at_once(struct xyli_chance *chance)
{
	struct xyl_chan *chan = chan_at_random(chance);
	unsigned what = xyli_chance_below(chance, 100);
	long value = 0;

	if (what < 42) {
		value = value_new();
		value_told(value, xyl_try_send(chan, &value) == 0);
	} else if (what < 84) {
		if (xyl_try_recv(chan, &value) == 0)
			value_received(value);
	} else if (what < 98) {
		unsigned actor = xyli_chance_below(chance, ACTORS);
		struct xyl_task *task = atomic_load(&world.actors[actor]);

		if (task)
			xyl_abort(task);
	} else {
		chan_renew(chance, xyli_chance_below(chance, CHANS));
	}
}

/* Until it is aborted, or all has been done. */
static xyl_step actor(void *frame)
{
	struct actor *self = frame;

	XYL_BEGIN(self)
	self->chance.state = test_random();
	while (atomic_fetch_add(&world.ops, 1) < world.limit) {
		actor_plan(self);
		if (self->plan == SEND) {
			XYL_AWAIT(self->r,
				  hand_bounded(xyl_send(self->a, &self->out), self->bound));
			value_told(self->out, self->r == 0);
		} else if (self->plan == RECV) {
			XYL_AWAIT(self->r, hand_bounded(xyl_recv(self->a, &self->in), self->bound));
			if (self->r == 0)
				value_received(self->in);
		} else if (self->plan == SELECT) {
			XYL_AWAIT(self->r,
				  hand_bounded(xyl_select(xyl_on_send(self->a, &self->out,
								      .ret_result = &self->result),
							  xyl_on_recv(self->b, &self->in,
								      .ret_result = &self->result),
							  xyl_on_recv(self->c, &self->in,
								      .ret_result = &self->result),
							  xyl_on_timeout(self->timeout)),
					       self->bound));
			actor_selected(self);
		} else if (self->plan == LATER) {
			actor_leaves(self);
			XYL_AWAIT(self->r, xyl_yield());
		} else {
			act_at_once(&self->chance);
			XYL_AWAIT(self->r, xyl_yield());
		}
		atomic_fetch_add(&world.resumed, 1);
		if (self->r == -ECANCELED)
			break;
	}
	XYL_END(0);
}

/* ---- rules that hold between two turns ------------------------------------------------------- */

/* A select that has been served elsewhere is as good as gone. */
static size_t live_waiters(const struct xyli_line *line)
{
	struct xyli_wait *wait = line->waits.first;
	size_t n = 0;

	for (; wait; wait = wait->next == line->waits.first ? NULL : wait->next)
		if (!wait->kind->claim || !((struct xyli_case *)wait)->select->claimed)
			n++;
	return n;
}

/* The senders and receivers of one line each may be one select: it does not meet itself. */
static bool all_are_one(const struct xyli_line *senders, const struct xyli_line *receivers)
{
	struct xyli_wait *wait = senders->waits.first;
	struct xyli_select *one = NULL;

	for (int way = 0; way < 2; way++) {
		const struct xyli_line *line = way ? receivers : senders;

		wait = line->waits.first;
		for (; wait; wait = wait->next == line->waits.first ? NULL : wait->next) {
			if (!wait->kind->claim)
				return false;
			if (((struct xyli_case *)wait)->select->claimed)
				continue;
			if (one && ((struct xyli_case *)wait)->select != one)
				return false;
			one = ((struct xyli_case *)wait)->select;
		}
	}
	return true;
}

/* Nobody waits for what could happen: no wake-up was lost. */
static void rules_check(struct xyl_chan *chan)
{
	size_t senders = live_waiters(&chan->senders), receivers = live_waiters(&chan->receivers);
	bool quick = chan->in.at != chan->in.until || chan->out.at != chan->out.until;
	size_t len = xyl_chan_len(chan);

	CHECK(len <= chan->room);
	CHECK(len == 0 || receivers == 0);
	CHECK(len == chan->room || senders == 0);
	CHECK(!quick ||
	      (!chan->closed && !chan->senders.waits.first && !chan->receivers.waits.first));
	CHECK(chan->capacity >= 0 || senders == 0);
	CHECK(!chan->closed || senders + receivers == 0);
	CHECK(senders == 0 || receivers == 0 || all_are_one(&chan->senders, &chan->receivers));
}

static void all_rules_check(void)
{
	struct past *past = atomic_load(&world.all_chans);

	for (unsigned i = 0; i < CHANS; i++)
		rules_check(atomic_load(&world.chans[i]));
	for (unsigned i = 0; past && i < 3 * CHANS; i++, past = past->next)
		rules_check(past->chan); /* closed since, most of them */
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void world_begin(long rounds)
{
	struct xyli_chance chance = { test_random() };

	world.limit = rounds;
	world.values = 2 * rounds + 100000;
	world.fates = xyl_alloc_bytes((size_t)world.values);
	for (long i = 0; i < world.values; i++)
		atomic_init(&world.fates[i], 0);
	world.all_left = NULL;
	world.all_chans = NULL;
	world.next = world.ops = world.awaited = world.resumed = 0;
	for (unsigned i = 0; i < CHANS; i++) {
		atomic_store(&world.chans[i], NULL);
		chan_renew(&chance, i);
	}
}

static void left_settle(void)
{
	for (struct left *left = world.all_left; left; left = left->next) {
		ssize_t r = xyl_future_wait(left->future, 0);

		CHECK(r == 0 || r == -EPIPE || r == -ETIMEDOUT || r == -ECANCELED);
		if (left->sends)
			value_told(left->value, r == 0);
		else if (r == 0)
			value_received(left->value);
	}
}

/* What is still inside; how many were replaced. */
static uint64_t chans_drain(void)
{
	uint64_t replaced = 0;
	long value;

	for (struct past *past = world.all_chans; past; past = past->next) {
		while ((value = chan_take(past->chan)) > 0)
			value_received(value);
		replaced += past->chan->replaced;
		chan_check_clean(past->chan);
		xyl_chan_close(past->chan);
	}
	return replaced;
}

static void world_end(void)
{
	uint64_t replaced, missing = 0;

	left_settle();
	replaced = chans_drain();
	for (long value = 1; value <= world.next; value++) {
		int fate = world.fates[value], told = fate & (TOLD_SENT | TOLD_REFUSED);

		CHECK(told == TOLD_SENT || told == TOLD_REFUSED);
		CHECK(fate / RECEIVED <= (told == TOLD_SENT));
		missing += told == TOLD_SENT && fate / RECEIVED == 0;
	}
	CHECK_EQ(missing, replaced);
	CHECK_EQ(world.awaited, world.resumed);
	for (unsigned i = 0; i < CHANS; i++)
		world.chans[i] = NULL;
	for (unsigned i = 0; i < ACTORS; i++)
		world.actors[i] = NULL;
	world.all_left = NULL;
	world.all_chans = NULL;
	world.fates = NULL;
}

/* ---- one runtime, driven --------------------------------------------------------------------- */

static void actors_renew(struct xyl_runtime *const *rts, unsigned n)
{
	for (unsigned i = 0; i < ACTORS; i++) {
		struct xyl_task *task = atomic_load(&world.actors[i]);

		if (!task || xyl_is_done(task))
			atomic_store(&world.actors[i],
				     xyl_runtime_spawn(rts[i % n], XYL_HERE, actor));
	}
}

/* A million rounds. */
TEST(one_million_rounds_of_everything)
{
	struct driven driven = drive_begin(NULL);
	struct xyli_chance chance = { test_random() };

	world_begin((long)test_scaled(1000000));
	while (atomic_load(&world.ops) < world.limit) {
		actors_renew(&driven.rt, 1);
		hand_turns(&driven, 1 + xyli_chance_below(&chance, 4));
		all_rules_check();
		for (unsigned n = xyli_chance_below(&chance, 8); n > 0; n--)
			act_at_once(&chance); /* as a thread outside would, before it looks */
	}
	drive_end(&driven);
	world_end();
}

/* ---- three runtimes, each with its thread ---------------------------------------------------- */

static void wait_at_random(struct xyli_chance *chance)
{
	struct xyl_chan *chan = chan_at_random(chance);
	long value = 0;

	if (xyli_chance_one_in(chance, 2)) {
		value = value_new();
		value_told(value, xyl_send_wait(chan, &value, 50 * XYL_US) == 0);
	} else if (xyl_recv_wait(chan, &value, 50 * XYL_US) == 0) {
		value_received(value);
	}
}

TEST(three_runtimes_and_a_thread_outside)
{
	struct census before = census_take();
	struct xyl_runtime *rts[RUNTIMES];
	struct xyli_chance chance = { test_random() };

	world_begin((long)test_scaled(1000000));
	for (int i = 0; i < RUNTIMES; i++) {
		CHECK_EQ(xyl_runtime_new(&rts[i], NULL), 0);
		CHECK_EQ(xyl_runtime_start(rts[i]), 0);
	}
	while (atomic_load(&world.ops) < world.limit) {
		actors_renew(rts, RUNTIMES);
		for (int i = 0; i < 20; i++)
			act_at_once(&chance);
		wait_at_random(&chance);
	}
	for (int i = 0; i < RUNTIMES; i++)
		CHECK_EQ(xyl_runtime_stop(rts[i], 10 * XYL_SEC), 0);
	world_end();
	for (int i = 0; i < RUNTIMES; i++)
		census_check(&before, rts[i]);
}
