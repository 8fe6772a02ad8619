/* SPDX-License-Identifier: MIT */
/*
 * What a handle reads: blocks and lines.
 *
 * Design notes.  Elements are pieces of the block that was read into, which the collector
 * keeps as long as any of them is held: nothing is copied but a line that two blocks share.
 *
 *	block  [ given | begin..end: read, not given | room ]
 *
 * A read that was cut short may be with the kernel still, which then writes into the room
 * (and those bytes go to the handle's next reader): the rest of that block is used no more.
 */
#include <errno.h>

#include "stream/stream.h"

#define BLOCK_BYTES (16u * 1024)
#define LINE_MAX_BYTES (1024u * 1024)

struct block {
	char *bytes;
	size_t begin, end, size;
};

/* A new one, with room for `more` bytes and a NUL behind what has not been given yet. */
static bool block_renew(struct block *block, size_t more)
{
	size_t kept = block->end - block->begin, size = kept + more;
	char *bytes = more < PTRDIFF_MAX - kept ? xyl_alloc_bytes(size + 1) : NULL;

	if (!bytes)
		return false;
	if (kept)
		memcpy(bytes, block->bytes + block->begin, kept);
	*block = (struct block){ bytes, 0, kept, size };
	return true;
}

static void block_give(struct block *block, size_t len, struct xyl_bytes *ret_bytes)
{
	*ret_bytes = (struct xyl_bytes){ block->bytes + block->begin, len };
	block->begin += len;
}

/* What a read gave; false: nothing, and the room is not to be used any more. */
static bool block_fill(struct block *block, ssize_t n)
{
	if (n <= 0)
		block->size = block->end;
	else
		block->end += (size_t)n;
	return n > 0;
}

/* ---- blocks ------------------------------------------------------------------------ */

struct blocks {
	struct xyl_stream stream;
	struct xyl_io *io;
	size_t size;
	struct block block;
	ssize_t n;
};

static xyl_step blocks(void *frame)
{
	struct blocks *self = frame;

	XYL_BEGIN(&self->stream)
	if (self->block.size - self->block.end <= self->size / 2 &&
	    !block_renew(&self->block, self->size))
		XYL_RETURN(-ENOMEM);
	XYL_AWAIT(self->n, xyl_read(self->io, self->block.bytes + self->block.end,
				    self->block.size - self->block.end));
	if (!block_fill(&self->block, self->n))
		XYL_RETURN(self->n);
	block_give(&self->block, (size_t)self->n, self->stream.elem);
	XYL_END(1);
}

struct xyl_stream *xyl_stream_blocks(struct xyl_io *io, size_t size)
{
	if (!io || size == 0)
		return NULL;
	return xyl_stream_new(sizeof(struct xyl_bytes), blocks, .io = io, .size = size);
}

/* ---- lines ------------------------------------------------------------------------- */

struct lines {
	struct xyl_stream stream;
	struct xyl_io *io;
	size_t max;
	struct block block;
	size_t seen; /* of begin..end: there is no newline in it */
	bool at_end;
	ssize_t n;
};

/* 1: a line is given.  0: none is complete.  -EMSGSIZE: it never will be. */
static int line_take(struct lines *self)
{
	struct block *block = &self->block;
	size_t there = block->end - block->begin, len = there;
	char *from, *newline;

	if (there == 0)
		return 0;
	from = block->bytes + block->begin;
	newline = memchr(from + self->seen, '\n', there - self->seen);
	if (newline)
		len = (size_t)(newline - from);
	self->seen = len;
	if (len > self->max)
		return -EMSGSIZE;
	if (!newline && !self->at_end)
		return 0;
	from[len] = '\0';
	block_give(block, len, self->stream.elem);
	block->begin += newline != NULL;
	self->seen = 0;
	return 1;
}

static xyl_step lines(void *frame)
{
	struct lines *self = frame;

	XYL_BEGIN(&self->stream)
	while ((self->n = line_take(self)) == 0 && !self->at_end) {
		if (self->block.end == self->block.size &&
		    !block_renew(&self->block, self->seen + BLOCK_BYTES))
			XYL_RETURN(-ENOMEM);
		XYL_AWAIT(self->n, xyl_read(self->io, self->block.bytes + self->block.end,
					    self->block.size - self->block.end));
		self->at_end = self->n == 0;
		if (!block_fill(&self->block, self->n) && self->n < 0)
			XYL_RETURN(self->n);
	}
	XYL_END(self->n);
}

struct xyl_stream *xyl_stream_lines(struct xyl_io *io, size_t max)
{
	if (!io)
		return NULL;
	return xyl_stream_new(sizeof(struct xyl_bytes), lines, .io = io,
			      .max = max ? max : LINE_MAX_BYTES);
}
