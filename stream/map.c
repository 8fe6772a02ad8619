/* SPDX-License-Identifier: MIT */
/*
 * One element at a time, by a function that does not await: map, filter, filter_map.
 *
 * Design notes.  The element that came lies in memory of the stream's own, made with it, and
 * not at once where the caller wants his: nothing is written there but what he gets.
 */
#include "stream/stream.h"

/* ---- map --------------------------------------------------------------------------- */

struct map {
	struct xyl_stream stream;
	struct xyl_stream *from;
	void (*fn)(void *ret_elem, const void *elem, void *arg);
	void *arg, *in;
	ssize_t n;
};

static xyl_step map(void *frame)
{
	struct map *self = frame;

	XYL_BEGIN(&self->stream)
	XYL_AWAIT(self->n, xyl_stream_next(self->from, self->in));
	if (self->n == 1) {
		self->fn(self->stream.elem, self->in, self->arg);
		xyli_stream_elem_clear(self->in, self->from->elem_size);
	}
	XYL_END(self->n);
}

struct xyl_stream *xyl_stream_map(struct xyl_stream *from, size_t elem_size,
				  void (*fn)(void *ret_elem, const void *elem, void *arg),
				  void *arg)
{
	void *in = from ? xyli_stream_elem_new(from->elem_size) : NULL;

	if (!in)
		return NULL;
	return xyl_stream_new(elem_size, map, .from = from, .fn = fn, .arg = arg, .in = in);
}

/* ---- filter ------------------------------------------------------------------------ */

struct filter {
	struct xyl_stream stream;
	struct xyl_stream *from;
	bool (*fn)(const void *elem, void *arg);
	void *arg, *in;
	ssize_t n;
};

static xyl_step filter(void *frame)
{
	struct filter *self = frame;

	XYL_BEGIN(&self->stream)
	do {
		XYL_AWAIT(self->n, xyl_stream_next(self->from, self->in));
	} while (self->n == 1 && !self->fn(self->in, self->arg));
	if (self->n == 1)
		xyli_stream_elem_move(self->stream.elem, self->in, self->stream.elem_size);
	else
		xyli_stream_elem_clear(self->in, self->stream.elem_size);
	XYL_END(self->n);
}

struct xyl_stream *xyl_stream_filter(struct xyl_stream *from,
				     bool (*fn)(const void *elem, void *arg), void *arg)
{
	void *in = from ? xyli_stream_elem_new(from->elem_size) : NULL;

	if (!in)
		return NULL;
	return xyl_stream_new(from->elem_size, filter, .from = from, .fn = fn, .arg = arg,
			      .in = in);
}

/* ---- filter_map -------------------------------------------------------------------- */

struct filter_map {
	struct xyl_stream stream;
	struct xyl_stream *from;
	int (*fn)(void *ret_elem, const void *elem, void *arg);
	void *arg, *in;
	ssize_t n;
};

static xyl_step filter_map(void *frame)
{
	struct filter_map *self = frame;

	XYL_BEGIN(&self->stream)
	do {
		XYL_AWAIT(self->n, xyl_stream_next(self->from, self->in));
		if (self->n != 1)
			XYL_RETURN(self->n);
		self->n = self->fn(self->stream.elem, self->in, self->arg);
		xyli_stream_elem_clear(self->in, self->from->elem_size);
	} while (self->n == 0);
	XYL_END(self->n < 0 ? self->n : 1);
}

struct xyl_stream *xyl_stream_filter_map(struct xyl_stream *from, size_t elem_size,
					 int (*fn)(void *ret_elem, const void *elem, void *arg),
					 void *arg)
{
	void *in = from ? xyli_stream_elem_new(from->elem_size) : NULL;

	if (!in)
		return NULL;
	return xyl_stream_new(elem_size, filter_map, .from = from, .fn = fn, .arg = arg, .in = in);
}
