/* SPDX-License-Identifier: MIT */
/* quarantine.h - which objects a collection found dead, and what becomes of them (check build). */
#ifndef XYLI_GC_QUARANTINE_H
#define XYLI_GC_QUARANTINE_H

#include <stdint.h>

void xyli_quarantine_start(void);

void xyli_quarantine_begin(void); /* before a collection: who asks for it? */

/* At GC_EVENT_MARK_END and at GC_EVENT_RECLAIM_END. */
void xyli_quarantine_sort(void);
void xyli_quarantine_settle(void);

/* Memory is exhausted: the next collection is to find some. */
void xyli_quarantine_yield(void);

/* The process ends: look at every corpse once more, and give all memory back to the
 * checkers, which look for leaks next. */
void xyli_quarantine_empty(void);

#endif
