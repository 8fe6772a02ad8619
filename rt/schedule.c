/* SPDX-License-Identifier: MIT */
/*
 * The seeded scheduler.
 *
 * Design notes.  Tasks that are ready at the same time run in any order, but one that
 * gave way does not overtake: that is what xyl_yield promises.  Posts keep their order:
 * a value that was set before an abort is kept, whichever threads did it.  So do timers:
 * the earlier deadline fires first.  Both may come a turn later than they could, as if
 * the shard had looked a moment before; not when it is driven by hand, for who posts
 * between two turns counts on the next.
 */
#include "rt/schedule.h"

#ifdef XYL_CHECK
#include <stdatomic.h>

#include "rt/hostile.h"
#include "rt/shard.h"

#define READY_FEW 6    /* so many at the head of the run queue are equal */
#define COLLECTS_IN 8  /* turns */
#define OVERLOOKS_IN 4 /* turns */

static atomic_uint shards;

void xyli_schedule_start(struct xyli_shard *shard)
{
	uint64_t seed;

	shard->seeded = xyli_hostile_seed(&seed);
	if (!shard->seeded)
		return;
	shard->chance.state = ~seed * 0x10001 + atomic_fetch_add(&shards, 1);
	shard->ties.state = ~shard->chance.state;
}

/* Bring forward the one behind `before`. */
static void ready_choose(struct xyli_run_queue *ready, struct xyli_wait *before)
{
	struct xyli_wait *chosen = before->next;

	before->next = chosen->next;
	if (!before->next)
		ready->last = before;
	chosen->next = ready->first;
	ready->first = chosen;
}

void xyli_schedule_ready(struct xyli_shard *shard)
{
	struct xyli_wait *before = shard->ready.first;
	unsigned n = shard->seeded ? xyli_chance_below(&shard->chance, READY_FEW) : 0;

	for (; n > 1 && before->next; n--)
		before = before->next;
	if (n > 0 && before->next && !before->next->gives_way)
		ready_choose(&shard->ready, before);
	shard->ready.first->gives_way = false;
}

void xyli_schedule_last(struct xyli_wait *wait)
{
	wait->gives_way = true;
}

bool xyli_schedule_overlooks(struct xyli_shard *shard)
{
	return shard->seeded && !shard->by_hand && xyli_chance_one_in(&shard->chance, OVERLOOKS_IN);
}

bool xyli_schedule_collects(struct xyli_shard *shard)
{
	return shard->seeded && xyli_chance_one_in(&shard->chance, COLLECTS_IN);
}
#endif
