/* SPDX-License-Identifier: MIT */
/* bdwgc.h - bdwgc's own header, with the settings that each use of it needs. */
#ifndef XYLI_GC_BDWGC_H
#define XYLI_GC_BDWGC_H

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS /* which threads are registered is world.c's business */
#include <gc.h>

#endif
