/* SPDX-License-Identifier: MIT */
/*
 * Holding a runtime's clock still, and moving it.
 *
 * Design notes.  A clock belongs to its shard, whose thread alone touches it.  A task of
 * that shard changes it at once.  Whoever else asks sends a post and does not wait for
 * it: what he sends afterwards (a spawn, an abort, another move) comes after it, and to
 * wait would be to hang beside a runtime that nobody drives.
 *
 * A stop lets go of the clock, or cleanup that sleeps would outlast it.
 */
#include <errno.h>

#include "spawn/runtime.h"

enum clock_change { CLOCK_HOLD, CLOCK_MOVE, CLOCK_RELEASE };

struct clock_post {
	struct xyli_post post; /* first */
	struct xyli_shard *shard;
	enum clock_change change;
	int64_t ns;
};

static void clock_change(struct xyli_shard *shard, enum clock_change change, int64_t ns)
{
	switch (change) {
	case CLOCK_HOLD:
		if (!shard->stopping)
			xyli_warp_hold(&shard->warp);
		break;
	case CLOCK_MOVE: xyli_warp_move(&shard->warp, ns); break;
	case CLOCK_RELEASE: xyli_warp_release(&shard->warp); break;
	}
	shard->now = xyli_shard_clock(shard);
}

static void clock_deliver(struct xyli_post *post)
{
	const struct clock_post *message = (struct clock_post *)post;

	clock_change(message->shard, message->change, message->ns);
}

static int clock_send(struct xyli_shard *shard, enum clock_change change, int64_t ns)
{
	struct clock_post *message = xyl_new(struct clock_post);

	if (!message)
		return -ENOMEM;
	message->post.deliver = clock_deliver;
	message->shard = shard;
	message->change = change;
	message->ns = ns;
	xyli_inbox_post(&shard->inbox, &message->post);
	return 0;
}

static int clock_ask(struct xyl_runtime *rt, enum clock_change change, int64_t ns)
{
	if (ns < 0 || rt->state == XYLI_RT_STOPPED)
		return -EINVAL;
	if (xyli_here != rt->shard)
		return clock_send(rt->shard, change, ns);
	clock_change(rt->shard, change, ns);
	return 0;
}

int xyl_clock_hold(struct xyl_runtime *rt)
{
	return clock_ask(rt, CLOCK_HOLD, 0);
}

int xyl_clock_move(struct xyl_runtime *rt, int64_t ns)
{
	return clock_ask(rt, CLOCK_MOVE, ns);
}

int xyl_clock_release(struct xyl_runtime *rt)
{
	return clock_ask(rt, CLOCK_RELEASE, 0);
}
