/* SPDX-License-Identifier: MIT */
/*
 * Where a task stands.
 *
 * Design notes.  A frame stores a line but no file: eight bytes in every frame for a
 * rare question.  Instead the function is asked: called with the line XYLI_WHERE it
 * does nothing but name its file (XYL_BEGIN).
 */
#include "spawn/trace.h"

#include <string.h>

#include "gc/print.h"

static _Thread_local const char *where_file;

xyl_step xyli_where(struct xyl_frame *frame, const char *file)
{
	(void)frame;
	where_file = file;
	return (xyl_step){ 0 };
}

struct xyli_place xyli_place_of(struct xyl_frame *frame)
{
	struct xyli_place place = { .function = frame->fn->name, .line = frame->line };
	const char *slash;

	frame->line = XYLI_WHERE;
	frame->fn->run(frame);
	frame->line = place.line;
	slash = strrchr(where_file, '/');
	place.file = slash ? slash + 1 : where_file;
	return place;
}

int xyli_place_print(const struct xyli_place *place, int fd)
{
	if (place->line == 0)
		return xyli_print(fd, "        %s  (%s, not yet begun)\n", place->function,
				  place->file);
	return xyli_print(fd, "        %s  %s:%d\n", place->function, place->file, place->line);
}

#ifdef XYL_CHECK
void xyli_trace_take(struct xyli_trace *trace, const struct xyl_task *task)
{
	*trace = (struct xyli_trace){ 0 };
	if (!task)
		return;
	trace->task = xyli_task_first_frame(task)->fn->name;
	trace->ran = task->wait.state == XYLI_RUNNING;
	for (struct xyl_frame *frame = task->leaf; frame; frame = frame->caller) {
		if (trace->depth < XYLI_TRACE_PLACES)
			trace->places[trace->depth] = xyli_place_of(frame);
		trace->depth++;
	}
}

void xyli_trace_print(const struct xyli_trace *trace, int fd)
{
	if (!trace->task)
		xyli_print(fd, "  made outside a task\n");
	else
		xyli_print(fd, "  made by task %s, which %s\n", trace->task,
			   trace->ran ? "had last awaited at" : "awaited it at");
	for (unsigned i = 0; i < trace->depth && i < XYLI_TRACE_PLACES; i++)
		xyli_place_print(&trace->places[i], fd);
	if (trace->depth > XYLI_TRACE_PLACES)
		xyli_print(fd, "        (and %u more)\n", trace->depth - XYLI_TRACE_PLACES);
}
#endif
