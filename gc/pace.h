/* SPDX-License-Identifier: MIT */
/* pace.h - when to collect, and what it cost. */
#ifndef XYLI_GC_PACE_H
#define XYLI_GC_PACE_H

#include <stdbool.h>
#include <stddef.h>

void xyli_pace_start(void);
void xyli_pace_floor(size_t bytes); /* allocated between two collections, at least */

/* At a safe point: is a collection worth its while?  in_flight: bytes of tasks that
 * are known to live.  lent: bytes that were not allocated, but that it may win back; less
 * than 0: that were, and that it may not.  idle: the shard is about to sleep, so a
 * collection is cheap. */
bool xyli_pace_due(size_t in_flight, ptrdiff_t lent, bool idle);
void xyli_pace_collected(size_t in_flight);

/* Collect here and now if the heap has run far past every measure. */
void xyli_pace_relieve(void);

#endif
