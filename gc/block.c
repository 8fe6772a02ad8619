/* SPDX-License-Identifier: MIT */
#include "gc/block.h"

#include "gc/bdwgc.h"
#include <gc/gc_inline.h>

#include "gc/world.h"
#include "xylem/xylem.h"

void *xyli_block_refill(struct xyli_blocks *blocks, size_t size)
{
	size_t class = (size + XYLI_BLOCK_GRAIN - 1) / XYLI_BLOCK_GRAIN;
	void **list;

	if (xyli_check_on() || class >= XYLI_BLOCK_CLASSES)
		return xyl_alloc(size);
	list = &blocks->first[class];
	GC_generic_malloc_many(class * XYLI_BLOCK_GRAIN, GC_I_NORMAL, list);
	if (!*list) {
		xyli_world_collect_anywhere();
		GC_generic_malloc_many(class * XYLI_BLOCK_GRAIN, GC_I_NORMAL, list);
	}
	return *list ? xyli_block_new(blocks, size) : NULL;
}
