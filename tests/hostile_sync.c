/* SPDX-License-Identifier: MIT */
/*
 * What waits for something other than the kernel, under the hostile ring and the seeded
 * scheduler: channels, selects, tokens, locks, scopes, intervals, futures, with bounds
 * of both kinds, aborts and stops anywhere; on one runtime, and on two with threads outside.
 *
 * The books are market.h's.  Besides: one holder has the mutex; no more permits are out than
 * there are; each task of a scope is given once to who asks for it; no tick is lost or
 * given twice; at the end nobody is in any line.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "rt/clock.h"
#include "tests/market.h"
#include "tests/run.h"
#include "tests/seeds.h"

enum { ACTORS = 8, ROUNDS = 40, KIDS = 4, RUNTIMES = 2 };

#define PERIOD_NS (20 * XYL_US)

/* What the tasks of one runtime share. */
struct stage {
	struct xyli_chance dice;
	struct xyl_scope *scope;
	struct xyl_task *_Atomic actors[ACTORS];
	struct xyl_future *future;
	struct xyl_interval *interval;
	int64_t first, ticks; /* when its first tick was due, and how many were given */
	bool outsiders;	      /* other threads abort its actors */
	bool over;
};

static unsigned roll(struct stage *stage, unsigned n)
{
	return xyli_chance_below(&stage->dice, n);
}

/* What may cut an await short. */
struct limit {
	bool clock;
	struct xyl_cancel *token;
};

static xyl_pending limited(struct stage *stage, xyl_pending op, struct limit *ret_limit)
{
	int64_t ns = roll(stage, 4) * 10 * XYL_US;
	struct xyl_cancel *token = token_at_random(&stage->dice);

	*ret_limit = (struct limit){ false, NULL };
	switch (roll(stage, 8)) {
	case 0: *ret_limit = (struct limit){ true, NULL }; return xyl_within(op, ns);
	case 1: *ret_limit = (struct limit){ false, token }; return xyl_until(op, token);
	case 2:
		*ret_limit = (struct limit){ true, token };
		return xyl_until(xyl_within(op, ns), token);
	case 3:
		*ret_limit = (struct limit){ true, token };
		return xyl_within(xyl_until(op, token), ns);
	default: return op;
	}
}

static xyl_pending bounded(struct stage *stage, xyl_pending op)
{
	struct limit limit;

	return limited(stage, op, &limit);
}

/* Each act gives 0. */
static void limit_check(const struct limit *limit, ssize_t r)
{
	if (r == -ETIMEDOUT)
		CHECK(limit->clock);
	else if (r == -ECANCELED)
		CHECK(xyl_cancel_is_fired(limit->token) || xyl_is_aborted(xyl_self()));
	else
		CHECK_EQ(r, 0);
}

static xyl_pending pause_a_little(struct stage *stage)
{
	return roll(stage, 3) ? xyl_yield() : xyl_sleep(roll(stage, 2) * 10 * XYL_US);
}

static bool is_cut(ssize_t r)
{
	return r == -ECANCELED || r == -ETIMEDOUT;
}

/* ---- coins, over channels ------------------------------------------------------------- */

struct sell {
	struct xyl_frame frame;
	struct stage *stage;
	struct coin *coin;
	ssize_t r;
};

static xyl_step sell(void *frame)
{
	struct sell *self = frame;

	XYL_BEGIN(self)
	self->coin = coin_new();
	XYL_AWAIT(self->r,
		  bounded(self->stage, xyl_send(chan_at_random(&self->stage->dice), &self->coin)));
	CHECK(self->r == 0 || self->r == -EPIPE || is_cut(self->r));
	coin_told(self->coin, self->r == 0);
	XYL_END(0);
}

struct buy {
	struct xyl_frame frame;
	struct stage *stage;
	struct coin *coin;
	ssize_t r;
};

static xyl_step buy(void *frame)
{
	struct buy *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r,
		  bounded(self->stage, xyl_recv(chan_at_random(&self->stage->dice), &self->coin)));
	CHECK(self->r == 0 || self->r == -EPIPE || is_cut(self->r));
	if (self->r == 0)
		coin_received(self->coin);
	XYL_END(0);
}

struct barter {
	struct xyl_frame frame;
	struct stage *stage;
	struct coin *out, *in, *in_too;
	ssize_t r, result;
};

enum { GAVE, GOT, GOT_TOO };

static xyl_pending barter_select(struct barter *self)
{
	struct xyli_chance *dice = &self->stage->dice;

	return xyl_select(
		xyl_on_send(chan_at_random(dice), &self->out, .ret_result = &self->result),
		xyl_on_recv(chan_at_random(dice), &self->in, .ret_result = &self->result),
		xyl_on_recv(chan_at_random(dice), &self->in_too, .ret_result = &self->result),
		xyl_on_cancel(token_at_random(dice)), xyl_on_future(self->stage->future),
		xyl_on_timeout(roll(self->stage, 4) * 20 * XYL_US));
}

static void barter_check(const struct barter *self)
{
	bool did = self->r >= GAVE && self->r <= GOT_TOO && self->result == 0;

	CHECK((self->r >= 0 && self->r <= 5) || is_cut(self->r));
	coin_told(self->out, did && self->r == GAVE);
	CHECK_EQ(self->in != NULL, did && self->r == GOT); /* whoever lost has touched nothing */
	CHECK_EQ(self->in_too != NULL, did && self->r == GOT_TOO);
	if (self->in)
		coin_received(self->in);
	if (self->in_too)
		coin_received(self->in_too);
}

static xyl_step barter(void *frame)
{
	struct barter *self = frame;

	XYL_BEGIN(self)
	self->out = coin_new();
	XYL_AWAIT(self->r, bounded(self->stage, barter_select(self)));
	barter_check(self);
	XYL_END(0);
}

/* Nobody waits for it; in the end somebody looks what came of it. */
static void leave(struct stage *stage)
{
	struct left *left = xyl_new(struct left);
	struct xyl_chan *chan = chan_at_random(&stage->dice);

	left->sends = roll(stage, 2);
	if (left->sends)
		left->coin = coin_new();
	left->future = xyl_later(bounded(stage, left->sends ? xyl_send(chan, &left->coin)
							    : xyl_recv(chan, &left->coin)));
	CHECK(left->future != NULL);
	left->next = atomic_load(&market.left);
	while (!atomic_compare_exchange_weak(&market.left, &left->next, left))
		;
}

/* ---- locks, tokens, ticks --------------------------------------------------------------- */

struct hold {
	struct xyl_frame frame;
	struct stage *stage;
	ssize_t r, paused;
};

static xyl_step hold(void *frame)
{
	struct hold *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, bounded(self->stage, xyl_mutex_lock(market.mutex)));
	if (self->r == 0) {
		CHECK_EQ(market.inside++, 0);
		if (roll(self->stage, 2))
			XYL_AWAIT(self->paused, pause_a_little(self->stage));
		CHECK_EQ(--market.inside, 0);
		xyl_mutex_unlock(market.mutex);
	}
	CHECK(self->r == 0 || is_cut(self->r));
	XYL_END(0);
}

struct rent {
	struct xyl_frame frame;
	struct stage *stage;
	size_t n;
	ssize_t r, paused;
};

static xyl_step rent(void *frame)
{
	struct rent *self = frame;

	XYL_BEGIN(self)
	self->n = 1 + roll(self->stage, PERMITS);
	XYL_AWAIT(self->r, bounded(self->stage, xyl_semaphore_acquire(market.semaphore, self->n)));
	if (self->r == 0) {
		CHECK(atomic_fetch_add(&market.taken, self->n) + self->n <= PERMITS);
		if (roll(self->stage, 2))
			XYL_AWAIT(self->paused, pause_a_little(self->stage));
		atomic_fetch_sub(&market.taken, self->n);
		CHECK_EQ(xyl_semaphore_release(market.semaphore, self->n), 0);
	}
	CHECK(self->r == 0 || is_cut(self->r));
	XYL_END(0);
}

struct obey {
	struct xyl_frame frame;
	struct stage *stage;
	struct xyl_cancel *token;
	ssize_t r;
};

static xyl_step obey(void *frame)
{
	struct obey *self = frame;

	XYL_BEGIN(self)
	self->token = token_at_random(&self->stage->dice);
	XYL_AWAIT(self->r, bounded(self->stage, xyl_cancel_wait(self->token)));
	CHECK(self->r == 0 ? xyl_cancel_is_fired(self->token) : is_cut(self->r));
	XYL_END(0);
}

struct tick {
	struct xyl_frame frame;
	struct stage *stage;
	ssize_t r;
};

static void tick_count(struct stage *stage, ssize_t ticks)
{
	stage->ticks += ticks;
	CHECK(stage->first + (stage->ticks - 1) * PERIOD_NS <= xyli_clock()); /* none twice */
}

static xyl_step tick(void *frame)
{
	struct tick *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, bounded(self->stage, xyl_interval_tick(self->stage->interval)));
	CHECK(self->r > 0 || is_cut(self->r));
	if (self->r > 0)
		tick_count(self->stage, self->r);
	XYL_END(0);
}

/* ---- families ----------------------------------------------------------------------------- */

struct kid {
	struct xyl_frame frame;
	struct stage *stage;
	ssize_t r;
};

static xyl_pending kid_act(struct stage *stage)
{
	return roll(stage, 2) ? xyl_call(sell, .stage = stage) : xyl_call(buy, .stage = stage);
}

static xyl_step kid(void *frame)
{
	struct kid *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_within(kid_act(self->stage), 50 * XYL_US));
	XYL_END(0);
}

struct family {
	struct xyl_frame frame;
	struct stage *stage;
	struct xyl_scope *scope;
	struct xyl_task *kid;
	int born, seen;
	bool detached, asked; /* what ended before anybody asked may have been forgotten */
	ssize_t r;
};

static void family_found(struct family *self)
{
	self->scope = xyl_scope_new(self->stage->scope);
	for (unsigned i = roll(self->stage, KIDS + 1); self->scope && i > 0; i--)
		self->born += xyl_scope_spawn(self->scope, kid, .stage = self->stage) != NULL;
}

static void family_leaves(struct family *self)
{
	self->detached = roll(self->stage, 3) == 0;
	if (self->detached)
		xyl_scope_detach(self->scope);
}

static void family_check(const struct family *self)
{
	CHECK_EQ(self->r, -ENOENT);
	CHECK(self->seen <= self->born);
	CHECK(self->seen == self->born || self->detached || !self->asked);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
}

static xyl_step family(void *frame)
{
	struct family *self = frame;

	XYL_BEGIN(self)
	family_found(self);
	if (!self->scope)
		XYL_RETURN(0);
	XYL_AWAIT(self->r, bounded(self->stage, xyl_scope_next(self->scope, &self->kid)));
	self->seen += self->r == 0;
	self->asked = self->r != -ECANCELED;
	family_leaves(self);
	XYL_AWAIT(self->r, bounded(self->stage, xyl_scope_close(self->scope)));
	xyl_shield_begin();
	for (;;) {
		XYL_AWAIT(self->r, xyl_scope_next(self->scope, &self->kid));
		if (self->r == -EOVERFLOW && !self->asked)
			continue;
		if (self->r < 0)
			break;
		CHECK(xyl_is_done(self->kid));
		self->seen++;
	}
	xyl_shield_end();
	family_check(self);
	XYL_END(0);
}

/* ---- the actors ----------------------------------------------------------------------------- */

static xyl_pending act_at_random(struct stage *stage)
{
	switch (roll(stage, 12)) {
	case 0:
	case 1: return xyl_call(sell, .stage = stage);
	case 2:
	case 3: return xyl_call(buy, .stage = stage);
	case 4:
	case 5: return xyl_call(barter, .stage = stage);
	case 6: return xyl_call(hold, .stage = stage);
	case 7: return xyl_call(rent, .stage = stage);
	case 8: return xyl_call(obey, .stage = stage);
	case 9: return xyl_call(tick, .stage = stage);
	case 10: return xyl_call(family, .stage = stage);
	default: leave(stage); return xyl_yield();
	}
}

struct actor {
	struct xyl_frame frame;
	struct stage *stage;
	struct limit limit;
	ssize_t r;
};

static xyl_step actor(void *frame)
{
	struct actor *self = frame;

	XYL_BEGIN(self)
	while (!self->stage->over && !xyl_is_aborted(xyl_self())) {
		XYL_AWAIT(self->r, limited(self->stage, act_at_random(self->stage), &self->limit));
		limit_check(&self->limit, self->r);
	}
	XYL_END(0);
}

/* ---- the play -------------------------------------------------------------------------------- */

static void actor_renew(struct stage *stage, unsigned i)
{
	struct xyl_task *old = atomic_load(&stage->actors[i]), *task;

	if (old)
		xyl_abort(old);
	task = xyl_scope_spawn(stage->scope, actor, .stage = stage);
	if (stage->outsiders && task)
		past_keep(&market.past_tasks, task);
	atomic_store(&stage->actors[i], task);
}

static void coin_tossed(struct xyli_chance *dice)
{
	struct coin *coin = coin_new();

	coin_told(coin, xyl_try_send(chan_at_random(dice), &coin) == 0);
}

static void coin_caught(struct xyli_chance *dice)
{
	struct coin *coin;

	if (xyl_try_recv(chan_at_random(dice), &coin) == 0)
		coin_received(coin);
}

/* From a task, and from a thread outside. */
static void disturb_anything(struct xyli_chance *dice)
{
	switch (xyli_chance_below(dice, 8)) {
	case 0: chan_renew(dice, xyli_chance_below(dice, CHANS)); break;
	case 1:
	case 2: tokens_renew(xyli_chance_below(dice, TOKENS)); break;
	case 3:
	case 4: coin_tossed(dice); break;
	default: coin_caught(dice); break;
	}
}

static void disturb(struct stage *stage)
{
	switch (roll(stage, 4)) {
	case 0: actor_renew(stage, roll(stage, ACTORS)); break;
	case 1:
		xyl_future_set(stage->future, 0);
		stage->future = xyl_future_new();
		break;
	default: disturb_anything(&stage->dice); break;
	}
}

struct play {
	struct xyl_frame frame;
	struct stage *stage;
	int i;
	int64_t asked;
	ssize_t r;
};

static void play_begin(struct stage *stage)
{
	stage->scope = xyl_scope_new(NULL);
	stage->future = xyl_future_new();
	stage->first = xyl_now();
	stage->interval = xyl_interval_new(stage->first, PERIOD_NS, XYL_SKIP);
	for (unsigned i = 0; i < ACTORS; i++)
		actor_renew(stage, i);
}

static xyl_step play(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	play_begin(self->stage);
	for (self->i = 0; self->i < ROUNDS && self->r != -ECANCELED; self->i++) {
		disturb(self->stage);
		if (!self->stage->outsiders)
			nobody_sleeps_on();
		XYL_AWAIT(self->r, pause_a_little(self->stage));
	}
	self->stage->over = true;
	XYL_AWAIT(self->r, xyl_scope_close(self->stage->scope));
	self->asked = xyl_now();
	XYL_AWAIT(self->r, xyl_interval_tick(self->stage->interval));
	if (self->r > 0) {
		tick_count(self->stage, self->r);
		CHECK(self->stage->first + self->stage->ticks * PERIOD_NS > self->asked);
	}
	XYL_END(0);
}

/* ---- one runtime, and two -------------------------------------------------------------------- */

static struct stage stages[RUNTIMES];

static void stage_set(struct stage *stage, struct xyli_chance *dice)
{
	memset(stage, 0, sizeof(*stage));
	stage->dice.state = xyli_chance_next(dice);
}

static void stage_clear(struct stage *stage)
{
	memset(stage, 0, sizeof(*stage));
}

static void play_alone(struct xyli_chance *dice)
{
	struct xyl_config config = config_of_the_day(dice);

	market_open(dice);
	stage_set(&stages[0], dice);
	CHECK_EQ(RUN_WITH(&config, play, .stage = &stages[0]), 0);
	stage_clear(&stages[0]);
	market_close();
}

struct outsider {
	struct xyli_chance dice;
	atomic_bool over;
};

/* The collector does not know it: it aborts, and it fires, and that is all. */
static void *meddle(void *arg)
{
	struct outsider *self = arg;

	while (!atomic_load(&self->over)) {
		struct stage *stage = &stages[xyli_chance_below(&self->dice, RUNTIMES)];
		struct xyl_task *task =
			atomic_load(&stage->actors[xyli_chance_below(&self->dice, ACTORS)]);

		if (task && xyli_chance_one_in(&self->dice, 2))
			xyl_abort(task);
		else
			xyl_cancel_fire(token_at_random(&self->dice));
		usleep(xyli_chance_below(&self->dice, 200));
	}
	return NULL;
}

static void wait_outside(struct xyli_chance *dice)
{
	struct coin *coin = NULL;

	if (xyli_chance_one_in(dice, 2)) {
		coin = coin_new();
		coin_told(coin, xyl_send_wait(chan_at_random(dice), &coin, 50 * XYL_US) == 0);
	} else if (xyl_recv_wait(chan_at_random(dice), &coin, 50 * XYL_US) == 0) {
		coin_received(coin);
	}
}

static void plays_start(struct xyl_runtime *rts[], struct xyl_task *plays[],
			struct xyli_chance *dice)
{
	for (int i = 0; i < RUNTIMES; i++) {
		struct xyl_config config = config_of_the_day(dice);

		stage_set(&stages[i], dice);
		stages[i].outsiders = true;
		CHECK_EQ(xyl_runtime_new(&rts[i], &config), 0);
		CHECK_EQ(xyl_runtime_start(rts[i]), 0);
		plays[i] = xyl_runtime_spawn(rts[i], XYL_HERE, play, .stage = &stages[i]);
		CHECK(plays[i] != NULL);
	}
}

static void play_together(struct xyli_chance *dice, bool stops)
{
	struct outsider outsider = { .dice = { xyli_chance_next(dice) } };
	struct census before = census_take();
	struct xyl_runtime *rts[RUNTIMES];
	struct xyl_task *plays[RUNTIMES];
	pthread_t thread;

	market_open(dice);
	plays_start(rts, plays, dice);
	CHECK_EQ(pthread_create(&thread, NULL, meddle, &outsider), 0);
	for (int i = 0; i < ROUNDS || (!stops && !xyl_is_done(plays[i % RUNTIMES])); i++) {
		if (i < ROUNDS)
			disturb_anything(dice);
		wait_outside(dice);
	}
	for (int i = 0; i < RUNTIMES; i++)
		CHECK_EQ(xyl_runtime_stop(rts[i], PATIENCE_S * XYL_SEC), 0);
	atomic_store(&outsider.over, true);
	pthread_join(thread, NULL);
	for (int i = 0; i < RUNTIMES; i++)
		stage_clear(&stages[i]);
	market_close();
	for (int i = 0; i < RUNTIMES; i++)
		census_check(&before, rts[i]);
}

static void one_seed(void *arg)
{
	struct xyli_chance dice = { *(uint64_t *)arg };

	seed_begin(dice.state);
	play_alone(&dice);
	play_together(&dice, false);
	play_together(&dice, true);
}

TEST(whatever_waits_each_value_ends_in_one_place_and_nobody_is_left_in_a_line)
{
	seeds_try(one_seed);
}
