/* SPDX-License-Identifier: MIT */
/* exact.h - a collection for which machine stacks hold no pointers (check build). */
#ifndef XYLI_GC_EXACT_H
#define XYLI_GC_EXACT_H

#include <stdbool.h>
#include <stddef.h>

void xyli_exact_start(void);
bool xyli_exact_is_running(void); /* this collection is one */

/* bdwgc's own frames, which it scans even so, hold the addresses of blocks: the first
 * object of a block would be kept by luck. */
bool xyli_exact_is_unlucky(const void *base, size_t room);

#endif
