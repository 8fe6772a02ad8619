/* SPDX-License-Identifier: MIT */
/* Where elements come from that are in memory already: arrays, channels. */
#include <errno.h>

#include "stream/stream.h"
#include "sync/channel.h"

struct of_array {
	struct xyl_stream stream;
	const char *next;
	size_t left;
};

static xyl_step of_array(void *frame)
{
	struct of_array *self = frame;

	XYL_BEGIN(&self->stream)
	if (self->left == 0)
		XYL_RETURN(0);
	if (self->stream.elem_size)
		memcpy(self->stream.elem, self->next, self->stream.elem_size);
	self->next += self->stream.elem_size;
	self->left--;
	XYL_END(1);
}

struct xyl_stream *xyl_stream_of_array(const void *elems, size_t count, size_t elem_size)
{
	return xyl_stream_new(elem_size, of_array, .next = elems, .left = count);
}

struct of_chan {
	struct xyl_stream stream;
	struct xyl_chan *chan;
	ssize_t n;
};

static xyl_step of_chan(void *frame)
{
	struct of_chan *self = frame;

	XYL_BEGIN(&self->stream)
	XYL_AWAIT(self->n, xyl_recv(self->chan, self->stream.elem));
	if (self->n == -EPIPE)
		XYL_RETURN(0);
	XYL_END(self->n < 0 ? self->n : 1);
}

struct xyl_stream *xyl_stream_of_chan(struct xyl_chan *chan)
{
	return chan ? xyl_stream_new(chan->elem_size, of_chan, .chan = chan) : NULL;
}
