/* SPDX-License-Identifier: MIT */
/*
 * stream.h - what streams that are made of others have in common.
 *
 *	stream = frame 32 + elem, in, elem_size 24 + the function's own	one block
 *
 * Between two pulls its frame's line is XYLI_RETURNED and its frame's result what the last
 * one gave.
 */
#ifndef XYLI_STREAM_STREAM_H
#define XYLI_STREAM_STREAM_H

#include <string.h>

#include "xylem/xylem.h"

/* Called as it is, its end too: xyl_stream_then's, which finds its element at `in`. */
XYL_OP xyli_stream_call(struct xyl_stream *stream, const void *in, void *ret_elem);

/* ---- the element on its way through ------------------------------------------------ */

/* NULL: no memory. */
static inline void *xyli_stream_elem_new(size_t size)
{
	return xyl_alloc(size ? size : 1);
}

/* It has been handed on, and is kept no longer.  Most are a pointer or a number: a call of
 * memset costs more. */
static inline void xyli_stream_elem_clear(void *elem, size_t size)
{
	if (__builtin_expect(size == sizeof(uint64_t), 1))
		memset(elem, 0, sizeof(uint64_t));
	else
		memset(elem, 0, size);
}

static inline void xyli_stream_elem_move(void *to, void *from, size_t size)
{
	if (__builtin_expect(size == sizeof(uint64_t), 1))
		memcpy(to, from, sizeof(uint64_t));
	else if (size)
		memcpy(to, from, size);
	xyli_stream_elem_clear(from, size);
}

#endif
