/* SPDX-License-Identifier: MIT */
/*
 * The life of an operation (rt/life.h), in every order of events.
 *
 * Design notes.  machine.h says what each event means, and what must be true after it.  Two
 * tests use it.  One tries every sequence of events up to a length.  The other goes from
 * state to state until there is no new one, so that it speaks for sequences of any length.
 * What cannot happen is left out there and tried apart: the machine must refuse it, or it
 * must do no harm.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "rt/life.h"
#include "tests/harness.h"
#include "tests/machine.h"
#include "tests/run.h"

/* ---- states: what of a world decides about its future --------------------------------------- */

#define STATES (1u << 15)

static bool state_known[STATES], state_ends[STATES];

/* The backlog and the slot are what queued and owns say, or a promise was broken. */
static unsigned world_state(const struct world *w)
{
	const bool bits[] = { w->life.waited, w->life.canceling, w->life.asking, w->owns,
			      w->more,	      w->asked,		 w->answered,	 w->lost,
			      w->queued,      w->cancels,	 w->unwanted,	 w->waits };
	unsigned state = w->life.state;

	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++)
		state = state << 1 | bits[i];
	return state;
}

static bool is_new(bool *known, const struct world *w)
{
	bool *it = &known[world_state(w)];

	return *it ? false : (*it = true);
}

/* ---- every sequence -------------------------------------------------------------------------- */

static void sequences_try(const struct world *w, unsigned left)
{
	for (enum event event = 0; event < EVENTS; event++) {
		struct world next = *w;

		if (!is_possible(w, event))
			continue;
		step(&next, event);
		totals.sequences++;
		if (left > 1)
			sequences_try(&next, left - 1);
		else if (is_new(state_ends, &next))
			quiesce(next);
		path_len--;
	}
}

static void sequences_of(void *arg)
{
	const unsigned *depth = arg;
	struct world w = world_new();

	memset(state_ends, 0, sizeof(state_ends));
	sequences_try(&w, *depth);
}

TEST(every_sequence_of_events_keeps_the_promises)
{
	unsigned depth = test_scaled(1000) < 1000 ? 8 : 10;

	totals = (struct totals){ 0 };
	each_variety(sequences_of, &depth);
	printf("     %" PRIu64 " sequences of up to %u events: %" PRIu64 " results handed over, "
	       "%" PRIu64 " adopted, %" PRIu64 " tried again\n",
	       totals.sequences, depth, totals.handed, totals.adopted, totals.again);
}

/* ---- what cannot happen ---------------------------------------------------------------------
 *
 * Refused, which ends the program: whatever would pin, unpin, settle or start at the wrong
 * moment.  Harmless: a wake or an abandon with nobody waiting, a cancel of what has ended,
 * a ring that fails with nothing in it (ignored, or as good as a cancel); more of what has
 * but one result; a cancel too many of what is to end anyway.
 */

static bool is_ignored(const struct world *w, struct xyli_life_step step)
{
	struct world after = *w;

	after.life = step.life;
	return step.todo == 0 && world_state(&after) == world_state(w);
}

static bool is_refused(struct xyli_life_step step)
{
	return step.todo == XYLI_DO_NOT;
}

/* More of what has but one result: it stays pinned until the one without. */
static bool is_taken_for_multishot(struct xyli_life_step step)
{
	unsigned last = xyli_life_step(step.life, XYLI_EV_LAST).todo;

	return step.todo == XYLI_DO_SETTLE && xyli_life_is_pinned(step.life) &&
	       (last & ~XYLI_DO_UNASK) == (XYLI_DO_SETTLE | XYLI_DO_UNPIN);
}

/* An answer to a cancel that nobody sent: what is unwanted is cancelled once more. */
static bool is_a_cancel_too_many(const struct world *w, struct xyli_life_step step)
{
	if (!w->owns || !w->unwanted || variety->stubborn)
		return is_refused(step);
	return step.todo == 0 || (step.todo == XYLI_DO_ASK && !w->cancels && is_cancellable(w));
}

/* Of what can happen nothing is said here. */
static bool is_borne(const struct world *w, enum xyli_life_event event)
{
	struct xyli_life_step step = xyli_life_step(w->life, event);

	switch (event) {
	case XYLI_EV_START:
	case XYLI_EV_START_ALONE: return is_idle(w) || is_refused(step);
	case XYLI_EV_PUBLISH:
	case XYLI_EV_REFUSE: return w->queued || is_refused(step);
	case XYLI_EV_MORE:
		if (w->owns && variety->shape == ONE_SHOT)
			return is_taken_for_multishot(step);
		return is_possible(w, CQE_MORE) || is_refused(step);
	case XYLI_EV_LAST: return w->owns || is_refused(step);
	case XYLI_EV_WAKE: return w->waits || is_ignored(w, step);
	case XYLI_EV_ABANDON:
		return w->waits || step.todo == xyli_life_step(w->life, XYLI_EV_CANCEL).todo;
	case XYLI_EV_CANCEL: return !is_idle(w) || is_ignored(w, step);
	case XYLI_EV_CANCEL_SENT: return w->cancels || is_refused(step);
	case XYLI_EV_CANCEL_MISSED: return w->asked || is_a_cancel_too_many(w, step);
	case XYLI_EV_LOSE: return !is_idle(w) || is_ignored(w, step);
	case XYLI_EVENTS: return is_refused(step);
	}
	return false;
}

static void impossible_try(const struct world *w)
{
	for (unsigned i = 0; i <= XYLI_EVENTS; i++) {
		enum xyli_life_event event = (enum xyli_life_event)i;

		fed = i;
		PROMISE(is_borne(w, event));
		totals.refused += is_refused(xyli_life_step(w->life, event));
	}
	fed = -1;
}

/* ---- every state ----------------------------------------------------------------------------- */

static struct visit {
	struct world world;
	unsigned from; /* the visit before, and what led here; the first leads to itself */
	enum event by;
	unsigned far;
} visits[STATES];

static void visit_path(const struct visit *visit)
{
	path_len = visit->far;
	for (unsigned i = visit->far; i > 0; i--, visit = &visits[visit->from])
		path[i - 1] = visit->by;
}

static unsigned visit_next(unsigned at, unsigned count)
{
	for (enum event event = 0; event < EVENTS; event++) {
		struct visit next = visits[at];

		if (!is_possible(&next.world, event))
			continue;
		visit_path(&visits[at]);
		step(&next.world, event);
		if (is_new(state_known, &next.world))
			visits[count++] = (struct visit){ next.world, at, event, next.far + 1 };
	}
	return count;
}

static void states_of(void *unused)
{
	unsigned count = 1;

	(void)unused;
	memset(state_known, 0, sizeof(state_known));
	visits[0] = (struct visit){ .world = world_new() };
	is_new(state_known, &visits[0].world);
	for (unsigned at = 0; at < count; at++) {
		count = visit_next(at, count);
		visit_path(&visits[at]);
		impossible_try(&visits[at].world);
		quiesce(visits[at].world);
	}
	totals.states += count;
	if (totals.far < visits[count - 1].far)
		totals.far = visits[count - 1].far;
}

TEST(every_state_keeps_the_promises_and_bears_what_cannot_happen)
{
	totals = (struct totals){ 0 };
	each_variety(states_of, NULL);
	printf("     %" PRIu64 " states, none farther than %" PRIu64 " events; from each of them, "
	       "%" PRIu64 " times in all, the machine refused what cannot be\n",
	       totals.states, totals.far, totals.refused);
}
