/* SPDX-License-Identifier: MIT */
/* To the end of a stream: fold, collect. */
#include <errno.h>

#include "spawn/task.h"
#include "stream/array.h"
#include "stream/stream.h"

struct fold {
	struct xyl_frame frame;
	struct xyl_stream *from;
	void *acc;
	int (*fn)(void *acc, const void *elem); /* NULL: for_each, whose stream does it all */
	void *elem;
	ssize_t n;
};

static xyl_step fold(void *frame)
{
	struct fold *self = frame;

	XYL_BEGIN(self)
	self->elem = xyli_stream_elem_new(self->from->elem_size);
	if (!self->elem)
		XYL_RETURN(-ENOMEM);
	do {
		XYL_AWAIT(self->n, xyl_stream_next(self->from, self->elem));
		if (self->n == 0)
			XYL_RETURN(0);
		if (self->n == 1 && self->fn)
			self->n = self->fn(self->acc, self->elem);
	} while (self->n >= 0);
	XYL_END(self->n);
}

xyl_pending xyl_stream_fold(struct xyl_stream *stream, void *acc,
			    int (*fn)(void *acc, const void *elem))
{
	struct xyl_task *task = xyli_task_calling("xyl_stream_fold");

	if (!stream)
		return xyli_done(task, -EINVAL);
	return xyl_call(fold, .from = stream, .acc = acc, .fn = fn);
}

/* ---- collect ----------------------------------------------------------------------- */

struct collect {
	struct xyl_frame frame;
	struct xyl_stream *from;
	struct xyl_array *array;
	void *place;
	ssize_t count, n;
};

static xyl_step collect(void *frame)
{
	struct collect *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		self->place = xyli_array_place(self->array, self->from->elem_size);
		if (!self->place)
			XYL_RETURN(-ENOMEM);
		XYL_AWAIT(self->n, xyl_stream_next(self->from, self->place));
		if (self->n != 1)
			break;
		self->array->count++;
		self->count++;
	}
	XYL_END(self->n < 0 ? self->n : self->count);
}

xyl_pending xyl_stream_collect(struct xyl_stream *stream, struct xyl_array *array)
{
	struct xyl_task *task = xyli_task_calling("xyl_stream_collect");

	if (!stream)
		return xyli_done(task, -EINVAL);
	return xyl_call(collect, .from = stream, .array = array);
}
