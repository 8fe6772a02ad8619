/* SPDX-License-Identifier: MIT */
/* Pairs.  A left one whose right one has not come yet waits in the stream. */
#include "stream/stream.h"

struct zip {
	struct xyl_stream stream;
	struct xyl_stream *left, *right;
	size_t right_offset;
	char *pair;
	bool has_left;
	ssize_t n;
};

static xyl_step zip(void *frame)
{
	struct zip *self = frame;

	XYL_BEGIN(&self->stream)
	if (!self->has_left) {
		XYL_AWAIT(self->n, xyl_stream_next(self->left, self->pair));
		if (self->n != 1)
			XYL_RETURN(self->n);
		self->has_left = true;
	}
	XYL_AWAIT(self->n, xyl_stream_next(self->right, self->pair + self->right_offset));
	if (self->n == 1) {
		xyli_stream_elem_move(self->stream.elem, self->pair, self->stream.elem_size);
		self->has_left = false;
	}
	XYL_END(self->n);
}

static bool sizes_fit(const struct xyl_stream *left, const struct xyl_stream *right,
		      size_t elem_size, size_t right_offset)
{
	return left->elem_size <= right_offset && right_offset <= elem_size &&
	       right->elem_size <= elem_size - right_offset;
}

struct xyl_stream *xyl_stream_zip(struct xyl_stream *left, struct xyl_stream *right,
				  size_t elem_size, size_t right_offset)
{
	void *pair = NULL;

	if (left && right && sizes_fit(left, right, elem_size, right_offset))
		pair = xyli_stream_elem_new(elem_size);
	if (!pair)
		return NULL;
	return xyl_stream_new(elem_size, zip, .left = left, .right = right,
			      .right_offset = right_offset, .pair = pair);
}
