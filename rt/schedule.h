/* SPDX-License-Identifier: MIT */
/*
 * schedule.h - a shard whose order is left to chance (check build, with XYL_HOSTILE).
 *
 * What no promise orders comes in any order.  In the plain build all of this is nothing.
 */
#ifndef XYLI_RT_SCHEDULE_H
#define XYLI_RT_SCHEDULE_H

#include <stdbool.h>

struct xyli_shard;
struct xyli_wait;

#ifdef XYL_CHECK

void xyli_schedule_start(struct xyli_shard *shard);

/* One of the first few ready tasks becomes the first. */
void xyli_schedule_ready(struct xyli_shard *shard);

/* It lets the other ready tasks run first. */
void xyli_schedule_last(struct xyli_wait *wait);

/* In this turn: */
bool xyli_schedule_overlooks(struct xyli_shard *shard); /* the inbox, or the clock */
bool xyli_schedule_collects(struct xyli_shard *shard);

#else

static inline void xyli_schedule_start(struct xyli_shard *shard)
{
	(void)shard;
}

static inline void xyli_schedule_ready(struct xyli_shard *shard)
{
	(void)shard;
}

static inline void xyli_schedule_last(struct xyli_wait *wait)
{
	(void)wait;
}

static inline bool xyli_schedule_overlooks(struct xyli_shard *shard)
{
	(void)shard;
	return false;
}

static inline bool xyli_schedule_collects(struct xyli_shard *shard)
{
	(void)shard;
	return false;
}

#endif
#endif
