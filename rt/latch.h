/* SPDX-License-Identifier: MIT */
/* latch.h - a foreign thread's wait for one event: a futex in collected memory. */
#ifndef XYLI_RT_LATCH_H
#define XYLI_RT_LATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct xyli_latch {
	atomic_uint state; /* closed, closed and someone waits, open */
};

struct xyli_latch *xyli_latch_new(void);
void xyli_latch_open(struct xyli_latch *latch); /* any thread, once or more */

/* Blocks this attached thread, parked for the collector.  ns < 0: for ever.  False:
 * not open within ns. */
bool xyli_latch_wait(struct xyli_latch *latch, int64_t ns);

#endif
