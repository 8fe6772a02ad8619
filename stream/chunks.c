/* SPDX-License-Identifier: MIT */
/* Several at a time.  Those that are together already wait for the rest in the stream. */
#include <errno.h>

#include "stream/array.h"
#include "stream/stream.h"

struct chunks {
	struct xyl_stream stream;
	struct xyl_stream *from;
	size_t size;
	struct xyl_array chunk;
	void *place;
	ssize_t n;
};

static xyl_step chunks(void *frame)
{
	struct chunks *self = frame;

	XYL_BEGIN(&self->stream)
	while (self->chunk.count < self->size) {
		self->place = xyli_array_place(&self->chunk, self->from->elem_size);
		if (!self->place)
			XYL_RETURN(-ENOMEM);
		XYL_AWAIT(self->n, xyl_stream_next(self->from, self->place));
		self->place = NULL;
		if (self->n < 0)
			XYL_RETURN(self->n);
		if (self->n == 0)
			break;
		self->chunk.count++;
	}
	if (self->chunk.count == 0)
		XYL_RETURN(0);
	xyli_stream_elem_move(self->stream.elem, &self->chunk, sizeof(self->chunk));
	XYL_END(1);
}

struct xyl_stream *xyl_stream_chunks(struct xyl_stream *from, size_t n)
{
	if (!from || n == 0)
		return NULL;
	return xyl_stream_new(sizeof(struct xyl_array), chunks, .from = from, .size = n);
}
