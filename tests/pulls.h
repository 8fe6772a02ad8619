/* SPDX-License-Identifier: MIT */
/*
 * pulls.h - streams of long, what is done to them, and what comes out.
 *
 *	CHECK_GIVES(xyl_stream_map(LONGS(1, 2), sizeof(long), times_ten, NULL), 10, 20);
 */
#ifndef TEST_PULLS_H
#define TEST_PULLS_H

#include "tests/run.h"
#include "xylem/xylem.h"

#define COUNT_OF(...) (sizeof((long[]){ 0, __VA_ARGS__ }) / sizeof(long) - 1)
#define LONGS(...) longs((long[]){ 0, __VA_ARGS__ } + 1, COUNT_OF(__VA_ARGS__))

/* Of a copy: the array may be gone before the stream. */
__attribute__((unused)) static struct xyl_stream *longs(const long *values, size_t count)
{
	long *copy = xyl_alloc((count + 1) * sizeof(*copy));

	for (size_t i = 0; i < count; i++)
		copy[i] = values[i];
	return xyl_stream_of_array(copy, count, sizeof(*copy));
}

__attribute__((unused)) static void times_ten(void *ret_elem, const void *elem, void *arg)
{
	(void)arg;
	*(long *)ret_elem = 10 * *(const long *)elem;
}

__attribute__((unused)) static bool is_even(const void *elem, void *arg)
{
	(void)arg;
	return *(const long *)elem % 2 == 0;
}

__attribute__((unused)) static bool is_below(const void *elem, void *arg)
{
	return *(const long *)elem < *(const long *)arg;
}

__attribute__((unused)) static bool is_above(const void *elem, void *arg)
{
	return *(const long *)elem > *(const long *)arg;
}

__attribute__((unused)) static int add(void *acc, const void *elem)
{
	*(long *)acc += *(const long *)elem;
	return 0;
}

/* An endless one: 0, 1, 2...; how many have been pulled is there to see. */
struct naturals {
	struct xyl_stream stream;
	long *pulled;
};

__attribute__((unused)) static xyl_step naturals(void *frame)
{
	struct naturals *self = frame;

	XYL_BEGIN(&self->stream)
	*(long *)self->stream.elem = (*self->pulled)++;
	XYL_END(1);
}

__attribute__((unused)) static struct xyl_stream *naturals_new(long *pulled)
{
	return xyl_stream_new(sizeof(long), naturals, .pulled = pulled);
}

/* The sum of so many; or what came instead. */
struct pull_some {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	long count, i, value, sum;
	ssize_t n;
};

__attribute__((unused)) static xyl_step pull_some(void *frame)
{
	struct pull_some *self = frame;

	XYL_BEGIN(self)
	for (; self->i < self->count; self->i++) {
		XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
		if (self->n != 1)
			XYL_RETURN(self->n);
		self->sum += self->value;
	}
	XYL_END(self->sum);
}

/* Pull to the end, and once more. */
struct gives {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	const long *want;
	size_t count;
	struct xyl_array got;
	long extra;
	ssize_t n;
};

__attribute__((unused)) static xyl_step gives(void *frame)
{
	struct gives *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_stream_collect(self->stream, &self->got));
	CHECK_EQ(self->n, self->count);
	CHECK_EQ(self->got.count, self->count);
	for (size_t i = 0; i < self->count; i++)
		CHECK_EQ(((long *)self->got.elems)[i], self->want[i]);
	self->extra = -7;
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->extra));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(self->extra, -7);
	XYL_END(0);
}

#define CHECK_GIVES(from, ...)                                                        \
	CHECK_EQ(RUN(gives, .stream = (from), .want = (long[]){ 0, __VA_ARGS__ } + 1, \
		     .count = COUNT_OF(__VA_ARGS__)),                                 \
		 0)

#endif
