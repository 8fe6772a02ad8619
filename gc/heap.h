/* SPDX-License-Identifier: MIT */
/* heap.h - the collected heap: its start, and what the runtime itself allocates. */
#ifndef XYLI_GC_HEAP_H
#define XYLI_GC_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* Idempotent, from any thread; the first caller becomes attached. */
void xyli_heap_start(void);

/* At least this much address space, at most that much heap (0: as it is).  Process-wide. */
void xyli_heap_size(size_t start_bytes, size_t limit_bytes);

/* Zeroed and scanned; never collected.  For the few things that roots hang off. */
void *xyli_heap_pin(size_t size);

/* The collected object that p points into, or NULL: p is stack, static or malloc memory. */
void *xyli_heap_base(const void *p);

/* How many bytes it has, as given: no less than asked for.  NULL: 0. */
size_t xyli_heap_room(const void *base);

/* Bytes allocated since the last collection. */
size_t xyli_heap_fresh(void);

#endif
