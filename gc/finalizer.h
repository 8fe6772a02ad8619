/* SPDX-License-Identifier: MIT */
/* finalizer.h - what runs once an object is unreachable. */
#ifndef XYLI_GC_FINALIZER_H
#define XYLI_GC_FINALIZER_H

void xyli_finalizers_start(void);

/* Run those that a collection has found.  On a loop, at a safe point: user code runs. */
void xyli_finalizers_run(void);

#endif
