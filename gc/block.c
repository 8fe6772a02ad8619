/* SPDX-License-Identifier: MIT */
#include "gc/block.h"

#include "gc/bdwgc.h"
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>

#include "gc/world.h"
#include "xylem/xylem.h"

static int kind = GC_I_NORMAL;

/* Of a normal object bdwgc leaves the last word out: it allots one more than was asked
 * for.  GC_generic_malloc_many does not. */
void xyli_blocks_start(void)
{
	kind = (int)GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
}

void xyli_blocks_get(size_t size, void **ret_list)
{
	*ret_list = NULL;
	GC_generic_malloc_many(size, kind, ret_list);
	if (*ret_list)
		return;
	xyli_world_collect_anywhere();
	GC_generic_malloc_many(size, kind, ret_list);
}

void *xyli_block_refill(struct xyli_blocks *blocks, size_t size)
{
	size_t class = (size + XYLI_BLOCK_GRAIN - 1) / XYLI_BLOCK_GRAIN;
	void **list;

	if (xyli_check_on() || class >= XYLI_BLOCK_CLASSES)
		return xyl_alloc(size);
	list = &blocks->first[class];
	xyli_blocks_get(class * XYLI_BLOCK_GRAIN, list);
	return *list ? xyli_block_new(blocks, size) : NULL;
}
