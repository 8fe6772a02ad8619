/* SPDX-License-Identifier: MIT */
/*
 * Timers.
 *
 * Design notes.  A 4-ary heap: half as deep as a binary one, and the four children of
 * an entry share a cache line.  An entry holds the deadline beside the pointer, so
 * sifting touches no timer but those that move; each timer knows its place, so that
 * stopping one (an abort, a bound that was not needed) costs no search.
 *
 *	       0		children of i: 4i + 1 ... 4i + 4
 *	 1   2   3   4		parent of i:   (i - 1) / 4
 *
 * No kernel timers: other runtimes lost wake-ups to races between a time-out's CQE
 * and its removal; here one deadline goes into the wait, and there is nothing to race.
 */
#include "rt/timer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ARITY 4u

struct entry {
	int64_t when_ns;
	struct xyli_timer *timer;
};

_Static_assert(sizeof(struct entry) == XYLI_CHUNK_SLOT, "a sleeper costs 16 bytes of heap");

static struct entry *entry_at(const struct xyli_timers *timers, uint32_t i)
{
	return xyli_chunks_at(&timers->entries, i);
}

static void entry_put(struct xyli_timers *timers, uint32_t i, struct entry entry)
{
	*entry_at(timers, i) = entry;
	entry.timer->place = i + 1;
}

/* Let `entry` rise from the hole at i to where its parent is not later. */
static void sift_up(struct xyli_timers *timers, uint32_t i, struct entry entry)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / ARITY;
		struct entry above = *entry_at(timers, parent);

		if (above.when_ns <= entry.when_ns)
			break;
		entry_put(timers, i, above);
		i = parent;
	}
	entry_put(timers, i, entry);
}

static uint32_t earliest_child(const struct xyli_timers *timers, uint32_t i)
{
	uint32_t first = ARITY * i + 1, best = first;
	uint32_t end = first + ARITY < timers->count ? first + ARITY : timers->count;

	for (uint32_t child = first + 1; child < end; child++)
		if (entry_at(timers, child)->when_ns < entry_at(timers, best)->when_ns)
			best = child;
	return best;
}

static void sift_down(struct xyli_timers *timers, uint32_t i, struct entry entry)
{
	while (ARITY * i + 1 < timers->count) {
		uint32_t child = earliest_child(timers, i);
		struct entry below = *entry_at(timers, child);

		if (entry.when_ns <= below.when_ns)
			break;
		entry_put(timers, i, below);
		i = child;
	}
	entry_put(timers, i, entry);
}

int xyli_timer_start(struct xyli_timers *timers, struct xyli_timer *timer, int64_t when_ns)
{
	if (timers->count == timers->entries.cap && !xyli_chunks_grow(&timers->entries))
		return -ENOMEM;
	sift_up(timers, timers->count++, (struct entry){ when_ns, timer });
	return 0;
}

void xyli_timer_stop(struct xyli_timers *timers, struct xyli_timer *timer)
{
	uint32_t i;
	struct entry last;

	if (timer->place == 0)
		return;
	i = timer->place - 1;
	assert(entry_at(timers, i)->timer == timer);
	timer->place = 0;
	last = *entry_at(timers, --timers->count);
	*entry_at(timers, timers->count) = (struct entry){ 0, NULL };
	if (i == timers->count)
		return;
	if (i > 0 && entry_at(timers, (i - 1) / ARITY)->when_ns > last.when_ns)
		sift_up(timers, i, last);
	else
		sift_down(timers, i, last);
}

void xyli_timer_move(struct xyli_timers *timers, struct xyli_timer *from, struct xyli_timer *to)
{
	*to = *from;
	from->place = 0;
	if (to->place)
		entry_at(timers, to->place - 1)->timer = to;
}

void xyli_timers_fire(struct xyli_timers *timers, int64_t now_ns)
{
	while (timers->count && entry_at(timers, 0)->when_ns <= now_ns) {
		struct xyli_timer *timer = entry_at(timers, 0)->timer;

		xyli_timer_stop(timers, timer);
		timer->fire(timer);
	}
}

int64_t xyli_timers_next(const struct xyli_timers *timers)
{
	return timers->count ? entry_at(timers, 0)->when_ns : XYLI_NEVER;
}

void xyli_timers_check(const struct xyli_timers *timers)
{
	for (uint32_t i = 0; i < timers->count; i++) {
		struct entry *entry = entry_at(timers, i);

		if (entry->timer->place == i + 1 &&
		    (i == 0 || entry_at(timers, (i - 1) / ARITY)->when_ns <= entry->when_ns))
			continue;
		fprintf(stderr, "xylem: timer heap: entry %u of %u is out of place\n", i,
			timers->count);
		abort();
	}
}
