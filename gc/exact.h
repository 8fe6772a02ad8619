/* SPDX-License-Identifier: MIT */
/* exact.h - a collection for which machine stacks hold no pointers (check build). */
#ifndef XYLI_GC_EXACT_H
#define XYLI_GC_EXACT_H

#include <stdbool.h>
#include <stddef.h>

void xyli_exact_start(void);
void xyli_exact_mark_start(void);	/* at GC_EVENT_MARK_START */

/* With every other attached thread parked.  False: this thread runs no shard, and the
 * stacks were scanned as usual. */
bool xyli_exact_collect(void);

/* bdwgc's own frames, which it scans even so, hold the addresses of blocks: the first
 * object of a block would be kept by luck. */
bool xyli_exact_is_unlucky(const void *base, size_t room);

#endif
