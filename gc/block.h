/* SPDX-License-Identifier: MIT */
/*
 * block.h - frames and tasks come from here: a shard's own lists of zeroed blocks.
 *
 * bdwgc hands out a page's worth of one size at a time (GC_generic_malloc_many);
 * taking one off the list is three instructions and no lock.  The lists are dropped
 * before a shard's own collections: what is on them is free, and the sweep finds it again.
 */
#ifndef XYLI_GC_BLOCK_H
#define XYLI_GC_BLOCK_H

#include <stddef.h>
#include <string.h>

#include "gc/check.h"

#define XYLI_BLOCK_GRAIN 16
#define XYLI_BLOCK_CLASSES 32 /* up to 496 bytes; larger ones come from xyl_alloc */

struct xyli_blocks { /* in scanned memory */
	void *first[XYLI_BLOCK_CLASSES];
};

void xyli_blocks_start(void);

/* Zeroed blocks of that size, a multiple of 16, linked by their first words; all of each
 * is scanned.  NULL when memory is exhausted. */
void xyli_blocks_get(size_t size, void **ret_list);

void *xyli_block_refill(struct xyli_blocks *blocks, size_t size);

static inline void xyli_blocks_drop(struct xyli_blocks *blocks)
{
	memset(blocks, 0, sizeof(*blocks));
}

/* Zeroed, scanned, 16-byte aligned; NULL when memory is exhausted. */
static inline void *xyli_block_new(struct xyli_blocks *blocks, size_t size)
{
	size_t class = (size + XYLI_BLOCK_GRAIN - 1) / XYLI_BLOCK_GRAIN;
	void **block;

	if (xyli_check_on() || class >= XYLI_BLOCK_CLASSES)
		return xyli_block_refill(blocks, size);
	block = blocks->first[class];
	if (__builtin_expect(!block, 0))
		return xyli_block_refill(blocks, size);
	blocks->first[class] = *block;
	*block = NULL;
	return block;
}

#endif
