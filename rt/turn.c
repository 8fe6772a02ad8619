/* SPDX-License-Identifier: MIT */
/*
 * One turn of a shard.
 *
 * The order matters.  Aborts come before tasks, so that a task aborted from outside
 * does not run on in the same turn.  The collection comes after the tasks: no frame is
 * on the machine stack.  Cancels and submissions come after the collection, completions
 * last, so that what they wake runs with a fresh clock and an emptied inbox.
 */
#include "gc/check.h"
#include "gc/finalizer.h"
#include "gc/pace.h"
#include "gc/world.h"
#include "rt/buffers.h"
#include "rt/shard.h"

static void inbox_drain(struct xyli_shard *shard)
{
	if (!xyli_inbox_is_empty(&shard->inbox) && !xyli_schedule_overlooks(shard))
		xyli_inbox_deliver(&shard->inbox);
}

static void timers_expire(struct xyli_shard *shard)
{
	shard->now = xyli_shard_clock(shard);
	if (xyli_schedule_overlooks(shard))
		return;
	xyli_timers_fire(&shard->timers, shard->now);
	if (__builtin_expect(shard->chores.count, 0))
		xyli_timers_fire(&shard->chores, xyli_clock());
}

static unsigned run_ready(struct xyli_shard *shard)
{
	unsigned resumed = shard->run_tasks(shard);

	xyli_count(&shard->stats.resumed, resumed);
	return resumed;
}

static void gc_pace(struct xyli_shard *shard)
{
	ptrdiff_t lent = xyli_buffers_fresh(shard->buffers);
	size_t in_flight = shard->in_flight_bytes;

	if (xyli_check_every_turn() || xyli_schedule_collects(shard) ||
	    xyli_pace_due(in_flight, lent, xyli_ring_is_waiting(shard))) {
		xyli_blocks_drop(&shard->blocks);
		if (xyli_world_collect()) {
			xyli_pace_collected(in_flight);
			xyli_buffers_collected(shard->buffers);
		}
	}
	xyli_finalizers_run();
}

unsigned xyli_shard_turn(struct xyli_shard *shard)
{
	unsigned resumed;

	inbox_drain(shard);
	timers_expire(shard);
	resumed = run_ready(shard);
	gc_pace(shard);
	xyli_ring_flush(shard);
	xyli_ring_enter(shard);
	xyli_ring_reap(shard);

	xyli_count(&shard->stats.turns, 1);
	if (xyli_check_on())
		xyli_shard_check(shard);
	return resumed;
}
