/* SPDX-License-Identifier: MIT */
/*
 * filter_map by a function that awaits.
 *
 * Design notes.  The function is a stream itself, whose frame is called once for each element
 * and finds it at `in`.  An element that it could not finish, since a bound or an abort cut
 * it short, is kept, and the next pull brings it again.
 */
#include <errno.h>

#include "stream/stream.h"

struct then {
	struct xyl_stream stream;
	struct xyl_stream *from, *stage;
	void *in;
	bool kept; /* in `in` */
	ssize_t n;
};

static xyl_step then(void *frame)
{
	struct then *self = frame;

	XYL_BEGIN(&self->stream)
	do {
		if (!self->kept) {
			XYL_AWAIT(self->n, xyl_stream_next(self->from, self->in));
			if (self->n != 1)
				XYL_RETURN(self->n);
			self->kept = true;
		}
		XYL_AWAIT(self->n, xyli_stream_call(self->stage, self->in, self->stream.elem));
		if (self->n == -ECANCELED)
			XYL_RETURN(self->n);
		self->kept = false;
		xyli_stream_elem_clear(self->in, self->from->elem_size);
	} while (self->n == 0);
	XYL_END(self->n < 0 ? self->n : 1);
}

struct xyl_stream *xyli_stream_then(struct xyl_stream *from, struct xyl_stream *stage)
{
	void *in = from && stage ? xyli_stream_elem_new(from->elem_size) : NULL;

	if (!in)
		return NULL;
	return xyl_stream_new(stage->elem_size, then, .from = from, .stage = stage, .in = in);
}
