/* SPDX-License-Identifier: MIT */
/*
 * market.h - coins that go round, and the books: for hostile_sync.c.
 *
 * A coin is collected, and named by whoever has it alone.  Who sends one is told once whether
 * it went; one that went is received once, or lies in its channel at the end, or was
 * replaced in a conflated one; one that did not go is received never.
 */
#ifndef TEST_MARKET_H
#define TEST_MARKET_H

#include <errno.h>
#include <stdatomic.h>

#include "rt/chance.h"
#include "sync/cancel.h"
#include "sync/channel.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

enum { COINS = 4000, CHANS = 5, TOKENS = 4, PERMITS = 3 };

enum { TOLD_SENT = 1, TOLD_REFUSED = 2, RECEIVED = 4 }; /* of a coin; the last is a count */

struct coin {
	int number;
	uint64_t stamp;
};

/* Everything of its kind that there ever was: for the end, and for threads that the
 * collector does not know. */
struct past {
	struct past *next;
	void *it;
};

/* Left for later: what came of it is looked at in the end. */
struct left {
	struct left *next;
	struct xyl_future *future;
	struct coin *coin;
	bool sends;
};

static struct {
	_Atomic(struct xyl_chan *) chans[CHANS];
	_Atomic(struct xyl_cancel *) tokens[TOKENS]; /* each the child of the one before */
	_Atomic(struct past *) past_chans, past_tokens, past_tasks;
	_Atomic(struct left *) left;
	struct xyl_mutex *mutex;
	int inside; /* its holders */
	struct xyl_semaphore *semaphore;
	atomic_size_t taken; /* of its permits */
	atomic_int coins;
	atomic_uchar fates[COINS];
} market;

static inline void past_keep(_Atomic(struct past *) *list, void *it)
{
	struct past *past = xyl_new(struct past);

	past->it = it;
	past->next = atomic_load(list);
	while (!atomic_compare_exchange_weak(list, &past->next, past))
		;
}

/* ---- coins ------------------------------------------------------------------------------ */

static inline uint64_t coin_stamp(int number)
{
	return (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15);
}

static inline struct coin *coin_new(void)
{
	struct coin *coin = xyl_new(struct coin);

	coin->number = atomic_fetch_add(&market.coins, 1);
	CHECK(coin->number < COINS);
	coin->stamp = coin_stamp(coin->number);
	return coin;
}

static inline void coin_told(const struct coin *coin, bool sent)
{
	int told = sent ? TOLD_SENT : TOLD_REFUSED;
	int before = atomic_fetch_or(&market.fates[coin->number], told);

	CHECK_EQ(before & (TOLD_SENT | TOLD_REFUSED), 0);
}

static inline void coin_received(const struct coin *coin)
{
	CHECK(coin->number >= 0 && coin->number < COINS);
	CHECK_EQ(coin->stamp, coin_stamp(coin->number)); /* it lives */
	CHECK_EQ(atomic_fetch_add(&market.fates[coin->number], RECEIVED) / RECEIVED, 0);
}

/* ---- what may be replaced at any time -------------------------------------------------------- */

static inline struct xyl_chan *chan_at_random(struct xyli_chance *dice)
{
	return atomic_load(&market.chans[xyli_chance_below(dice, CHANS)]);
}

static inline struct xyl_cancel *token_at_random(struct xyli_chance *dice)
{
	return atomic_load(&market.tokens[xyli_chance_below(dice, TOKENS)]);
}

static inline void chan_renew(struct xyli_chance *dice, unsigned i)
{
	static const ptrdiff_t capacities[] = { 0, 0, 1, 3, XYL_CONFLATED, XYL_UNLIMITED };
	struct xyl_chan *chan = xyl_chan_new(sizeof(struct coin *),
					     capacities[xyli_chance_below(dice, 6)]);
	struct xyl_chan *old;

	past_keep(&market.past_chans, chan);
	old = atomic_exchange(&market.chans[i], chan);
	if (old)
		xyl_chan_close(old);
}

/* It and those below are new; the old ones are fired. */
static inline void tokens_renew(unsigned i)
{
	struct xyl_cancel *old = atomic_load(&market.tokens[i]);

	for (unsigned k = i; k < TOKENS; k++) {
		struct xyl_cancel *above = k ? atomic_load(&market.tokens[k - 1]) : NULL;
		struct xyl_cancel *token = xyl_cancel_new(above);

		past_keep(&market.past_tokens, token);
		atomic_store(&market.tokens[k], token);
	}
	xyl_cancel_fire(old);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static inline void market_open(struct xyli_chance *dice)
{
	market.mutex = xyl_mutex_new();
	market.semaphore = xyl_semaphore_new(PERMITS);
	market.coins = 0;
	for (int i = 0; i < COINS; i++)
		atomic_store(&market.fates[i], 0);
	for (unsigned i = 0; i < CHANS; i++)
		chan_renew(dice, i);
	tokens_renew(0);
}

static inline void left_settle(void)
{
	for (struct left *left = market.left; left; left = left->next) {
		ssize_t r = xyl_future_wait(left->future, 0);

		CHECK(r == 0 || r == -EPIPE || r == -ETIMEDOUT || r == -ECANCELED);
		if (left->sends)
			coin_told(left->coin, r == 0);
		else if (r == 0)
			coin_received(left->coin);
	}
}

/* What is still inside; how many were replaced. */
static inline uint64_t chans_drain(void)
{
	uint64_t replaced = 0;
	struct coin *coin;

	for (struct past *past = market.past_chans; past; past = past->next) {
		struct xyl_chan *chan = past->it;

		CHECK(!chan->senders.waits.first && !chan->receivers.waits.first);
		while (xyl_try_recv(chan, &coin) == 0)
			coin_received(coin);
		CHECK_EQ(chan->len, 0);
		replaced += chan->replaced;
	}
	return replaced;
}

/* While no other thread is about: nobody waits for what has happened. */
static inline void nobody_sleeps_on(void)
{
	for (struct past *past = market.past_tokens; past; past = past->next) {
		const struct xyl_cancel *token = past->it;

		CHECK(!xyl_cancel_is_fired(token) || !token->line.waits.first);
	}
	for (struct past *past = market.past_chans; past; past = past->next) {
		const struct xyl_chan *chan = past->it;

		CHECK(!chan->closed ||
		      (!chan->senders.waits.first && !chan->receivers.waits.first));
	}
}

static inline void lines_check(void)
{
	for (struct past *past = market.past_tokens; past; past = past->next) {
		const struct xyl_cancel *token = past->it;

		CHECK(!token->line.waits.first && !token->children && !token->linked);
	}
	CHECK_EQ(xyl_mutex_try_lock(market.mutex), 0);
	xyl_mutex_unlock(market.mutex); /* whoever were in the line would be given it */
	CHECK_EQ(xyl_mutex_try_lock(market.mutex), 0);
	xyl_mutex_unlock(market.mutex);
	CHECK_EQ(market.inside, 0);
	CHECK_EQ(market.taken, 0);
	CHECK_EQ(xyl_semaphore_available(market.semaphore), PERMITS);
}

/* No runtime is left. */
static inline void market_close(void)
{
	uint64_t replaced, missing = 0;

	left_settle();
	replaced = chans_drain();
	for (int i = 0; i < market.coins; i++) {
		int fate = market.fates[i], told = fate & (TOLD_SENT | TOLD_REFUSED);

		CHECK(told == TOLD_SENT || told == TOLD_REFUSED);
		CHECK(fate / RECEIVED <= (told == TOLD_SENT));
		missing += told == TOLD_SENT && fate / RECEIVED == 0;
	}
	CHECK_EQ(missing, replaced);
	lines_check();
	atomic_store(&market.past_chans, NULL);
	atomic_store(&market.past_tokens, NULL);
	atomic_store(&market.past_tasks, NULL);
	atomic_store(&market.left, NULL);
}

#endif
