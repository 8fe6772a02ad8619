/* SPDX-License-Identifier: MIT */
/*
 * Weak references.
 *
 * Design notes.  The target's address lies complemented in memory that the collector
 * does not scan; a disappearing link clears it when the target dies.  Reading it
 * takes bdwgc's lock, so that a collection cannot come between the reading and the
 * pointer's arrival on the reader's stack.
 */

#include "gc/bdwgc.h"
#include "gc/check.h"
#include "gc/heap.h"
#include "xylem/xylem.h"

struct xyl_weak {
	GC_hidden_pointer hidden; /* the target, complemented; 0 once it is collected */
};

struct xyl_weak *xyl_weak_new(void *obj)
{
	struct xyl_weak *weak = xyl_alloc_bytes(sizeof(*weak));
	void *base = xyli_heap_base(obj);

	if (!weak)
		return NULL;
	weak->hidden = GC_HIDE_POINTER(obj);
	if (!base)
		return weak; /* not in collected memory: it never dies */
	xyli_check_exempt(base);
	xyli_check_exempt(weak);
	if (GC_general_register_disappearing_link((void **)&weak->hidden, base) == GC_NO_MEMORY)
		return NULL;
	return weak;
}

static void *weak_reveal(void *data)
{
	const struct xyl_weak *weak = data;

	return weak->hidden ? GC_REVEAL_POINTER(weak->hidden) : NULL;
}

void *xyl_weak_get(const struct xyl_weak *weak)
{
	return GC_call_with_alloc_lock(weak_reveal, (void *)(uintptr_t)weak);
}
