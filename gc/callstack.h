/* SPDX-License-Identifier: MIT */
/* callstack.h - call stacks, each kept once and named by a number (check build). */
#ifndef XYLI_GC_CALLSTACK_H
#define XYLI_GC_CALLSTACK_H

#include <stdint.h>

void xyli_callstack_start(void);

/* The caller's stack; 0: unknown. */
uint32_t xyli_callstack_here(void);

/* On stderr, one line a frame. */
void xyli_callstack_print(uint32_t number);

#endif
