/* SPDX-License-Identifier: MIT */
/* trace.h - where a task stands: its frames, by function, file and line. */
#ifndef XYLI_SPAWN_TRACE_H
#define XYLI_SPAWN_TRACE_H

#include "spawn/task.h"
#include "xylem/xylem.h"

struct xyli_place {
	const char *function;
	const char *file; /* without its folders */
	int line;	  /* of the await it is in, or, while it runs, was in last; 0: none yet */
};

struct xyli_place xyli_place_of(struct xyl_frame *frame);
int xyli_place_print(const struct xyli_place *place, int fd); /* 0, or the error of write(2) */

#ifdef XYL_CHECK
/* Kept for a report that comes later.  It names only what is static. */
#define XYLI_TRACE_PLACES 8

struct xyli_trace {
	const char *task; /* its first function; NULL: no task */
	bool ran;	  /* it was past that await, not in it */
	unsigned depth;
	struct xyli_place places[XYLI_TRACE_PLACES]; /* of the innermost frames */
};

void xyli_trace_take(struct xyli_trace *trace, const struct xyl_task *task);
void xyli_trace_print(const struct xyli_trace *trace, int fd);
#endif

#endif
