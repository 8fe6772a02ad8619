/* SPDX-License-Identifier: MIT */
/*
 * A stream, and pulling it.
 *
 * Design notes.  A stream's frame is called like any other, but it is not made for the call,
 * nor finished after it.  So a pull through five streams is five calls of the loop's, in
 * place: none allocates, and none suspends unless a source must wait.
 *
 * Each call begins at the top.  A function that kept its place instead, as generators do in
 * other languages, would have to tell apart, at each of its awaits, a bound that has cut
 * this pull short from an error that ends the stream.  Beginning anew is right for both,
 * for whoever keeps in its frame what it has taken and not yet given.
 */
#include <errno.h>

#include "spawn/task.h"
#include "stream/stream.h"

struct xyl_stream *xyli_stream_new(const struct xyli_fn *fn, const void *init)
{
	struct xyl_stream *stream = xyl_alloc(fn->size);

	if (!stream)
		return NULL;
	memcpy(stream, init, fn->size);
	stream->frame =
		(struct xyl_frame){ .fn = fn, .result = 1, .line = XYLI_RETURNED, .stays = true };
	return stream;
}

static xyl_pending stream_call(struct xyl_task *task, struct xyl_stream *stream, const void *in,
			       void *ret_elem)
{
	struct xyl_frame *frame = &stream->frame;

	stream->in = in;
	stream->elem = ret_elem;
	frame->line = 0;
	return xyli_call_frame(task, frame);
}

static inline bool stream_is_at_work(const struct xyl_stream *stream)
{
	return stream->frame.line != XYLI_RETURNED;
}

xyl_pending xyl_stream_next(struct xyl_stream *stream, void *ret_elem)
{
	struct xyl_task *task = xyli_task_calling("xyl_stream_next");

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (!stream)
		return xyli_done(task, -EINVAL);
	if (stream_is_at_work(stream))
		return xyli_done(task, -EBUSY);
	if (stream->frame.result == 0)
		return xyli_done(task, 0);
	return stream_call(task, stream, NULL, ret_elem);
}

xyl_pending xyli_stream_call(struct xyl_stream *stream, const void *in, void *ret_elem)
{
	struct xyl_task *task = xyli_task_calling("xyl_stream_next");

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (stream_is_at_work(stream))
		return xyli_done(task, -EBUSY);
	return stream_call(task, stream, in, ret_elem);
}
