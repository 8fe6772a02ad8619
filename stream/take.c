/* SPDX-License-Identifier: MIT */
/* A part of a stream: take_while, take, skip. */
#include "stream/stream.h"

struct take_while {
	struct xyl_stream stream;
	struct xyl_stream *from;
	bool (*fn)(const void *elem, void *arg);
	void *arg, *in;
	ssize_t n;
};

static xyl_step take_while(void *frame)
{
	struct take_while *self = frame;

	XYL_BEGIN(&self->stream)
	XYL_AWAIT(self->n, xyl_stream_next(self->from, self->in));
	if (self->n == 1 && !self->fn(self->in, self->arg))
		XYL_RETURN(0);
	if (self->n == 1)
		xyli_stream_elem_move(self->stream.elem, self->in, self->stream.elem_size);
	XYL_END(self->n);
}

struct xyl_stream *xyl_stream_take_while(struct xyl_stream *from,
					 bool (*fn)(const void *elem, void *arg), void *arg)
{
	void *in = from ? xyli_stream_elem_new(from->elem_size) : NULL;

	if (!in)
		return NULL;
	return xyl_stream_new(from->elem_size, take_while, .from = from, .fn = fn, .arg = arg,
			      .in = in);
}

/* ---- by number --------------------------------------------------------------------- */

struct take {
	struct xyl_stream stream;
	struct xyl_stream *from;
	size_t left;
	ssize_t n;
};

static xyl_step take(void *frame)
{
	struct take *self = frame;

	XYL_BEGIN(&self->stream)
	if (self->left == 0)
		XYL_RETURN(0);
	XYL_AWAIT(self->n, xyl_stream_next(self->from, self->stream.elem));
	if (self->n == 1)
		self->left--;
	XYL_END(self->n);
}

struct xyl_stream *xyl_stream_take(struct xyl_stream *from, size_t n)
{
	return from ? xyl_stream_new(from->elem_size, take, .from = from, .left = n) : NULL;
}

struct skip {
	struct xyl_stream stream;
	struct xyl_stream *from;
	size_t left;
	void *in; /* for those that nobody sees */
	ssize_t n;
};

static xyl_step skip(void *frame)
{
	struct skip *self = frame;

	XYL_BEGIN(&self->stream)
	while (self->left > 0) {
		XYL_AWAIT(self->n, xyl_stream_next(self->from, self->in));
		if (self->n != 1)
			XYL_RETURN(self->n);
		self->left--;
	}
	self->in = NULL; /* the last of them may be there */
	XYL_AWAIT(self->n, xyl_stream_next(self->from, self->stream.elem));
	XYL_END(self->n);
}

struct xyl_stream *xyl_stream_skip(struct xyl_stream *from, size_t n)
{
	void *in = from ? xyli_stream_elem_new(from->elem_size) : NULL;

	return in ? xyl_stream_new(from->elem_size, skip, .from = from, .left = n, .in = in) : NULL;
}
