/* SPDX-License-Identifier: MIT */
/* sanitizer.h - ASan, TSan, LSan and UBSan told what they cannot see (check build). */
#ifndef XYLI_GC_SANITIZER_H
#define XYLI_GC_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

void xyli_sanitizer_start(void); /* before GC_INIT */
void xyli_sanitizer_end(void);	 /* the process exits */

bool xyli_sanitizer_forbids(const void *buf, size_t size); /* ASan: poisoned in part */

/* TSan: the calling thread touches this, as if it did so itself. */
void xyli_sanitizer_reads(const void *buf, size_t size);
void xyli_sanitizer_writes(const void *buf, size_t size);

/* TSan: what came before the one comes before what follows the other. */
void xyli_sanitizer_gives(void *token);
void xyli_sanitizer_takes(void *token);

#endif
