/* SPDX-License-Identifier: MIT */
/*
 * The quarantine (check build).
 *
 * Design notes.  At GC_EVENT_MARK_END the world stands still and an object without its
 * mark bit is dead: exactly, not by luck.  Setting the bit there keeps its memory from
 * being reused; it is poisoned and stays so, marked anew by each collection, until
 * later corpses push it out.  Then bdwgc reclaims it in the same collection.
 *
 * Not all that is unmarked is dead.  bdwgc's finalizers run later, and whatever their
 * objects reach lives until then: it is traced here as bdwgc will trace it, every
 * aligned word, interior pointers too, never less.  An object with weak references must
 * stay unmarked, or they would not be cleared.  Those are left to bdwgc; at
 * GC_EVENT_RECLAIM_END it has decided, and those it did not mark are forgotten.
 *
 * A corpse that is marked when its time is over stays longer: somebody still points at
 * it, and that is the one whose use we want to see.  When memory is exhausted, the
 * quarantine gives up all the others.
 */
#include "gc/quarantine.h"

#include "gc/check.h"

#ifdef XYL_CHECK
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gc/bdwgc.h"
#include <gc/gc_mark.h>

#include "gc/callstack.h"
#include "gc/poison.h"
#include "gc/registry.h"
#include "gc/valgrind.h"

static struct {
	uint32_t first, last; /* dead objects, the oldest first */
	size_t count, bytes;
	size_t count_max, bytes_max;
	bool unwelcome; /* memory is short */
} corpses;

static uint32_t collection;	  /* its number */
static uint32_t collection_stack; /* who asked for it */

static size_t setting(const char *name, size_t value)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : value;
}

void xyli_quarantine_start(void)
{
	corpses.first = corpses.last = XYLI_NO_OBJECT;
	corpses.count_max = setting("XYL_CHECK_QUARANTINE_OBJECTS", 8192);
	corpses.bytes_max = setting("XYL_CHECK_QUARANTINE_BYTES", (size_t)16 << 20);
}

static bool is_marked(const struct xyli_object *object)
{
	return GC_is_marked(xyli_object_base(object));
}

_Noreturn static void object_is_damaged(const struct xyli_object *object, const char *how)
{
	dprintf(STDERR_FILENO, "xylem: an object was written to %s\n", how);
	xyli_registry_unlock();
	xyli_check_tell(xyli_object_base(object));
	abort();
}

/* ---- corpses ------------------------------------------------------------------- */

static void corpse_append(struct xyli_object *object)
{
	uint32_t index = xyli_registry_index(object);

	object->next = XYLI_NO_OBJECT;
	if (corpses.last == XYLI_NO_OBJECT)
		corpses.first = index;
	else
		xyli_registry_at(corpses.last)->next = index;
	corpses.last = index;
	corpses.count++;
	corpses.bytes += object->room;
}

static struct xyli_object *corpse_take(void)
{
	struct xyli_object *object = xyli_registry_at(corpses.first);

	corpses.first = object->next;
	if (corpses.first == XYLI_NO_OBJECT)
		corpses.last = XYLI_NO_OBJECT;
	corpses.count--;
	corpses.bytes -= object->room;
	return object;
}

static void corpse_release(struct xyli_object *object)
{
	if (!xyli_poison_lift_dead(xyli_object_base(object), object->room))
		object_is_damaged(object, "after its death");
	xyli_registry_forget(object);
}

static void corpses_hold(void)
{
	for (uint32_t i = corpses.first; i != XYLI_NO_OBJECT; i = xyli_registry_at(i)->next) {
		struct xyli_object *object = xyli_registry_at(i);

		object->wanted = is_marked(object);
		GC_set_mark_bit(xyli_object_base(object));
	}
}

static bool corpses_fit(void)
{
	return !corpses.unwelcome && corpses.count <= corpses.count_max &&
	       corpses.bytes <= corpses.bytes_max;
}

static void corpses_shrink(void)
{
	for (size_t n = corpses.count; n > 0 && !corpses_fit(); n--) {
		struct xyli_object *oldest = corpse_take();

		if (oldest->wanted) {
			corpse_append(oldest);
		} else {
			GC_clear_mark_bit(xyli_object_base(oldest));
			corpse_release(oldest);
		}
	}
	corpses.unwelcome = false;
}

void xyli_quarantine_yield(void)
{
	xyli_registry_lock();
	corpses.unwelcome = true;
	xyli_registry_unlock();
}

/* ---- what bdwgc decides on ------------------------------------------------------- */

/* The living, unmarked object that p points into, if it was not reached before. */
static struct xyli_object *reach(const void *p)
{
	struct xyli_object *object = xyli_registry_around(p);

	if (!object || object->state != XYLI_OBJECT_LIVING || object->reached || is_marked(object))
		return NULL;
	object->reached = true;
	return object;
}

/* Reads what may be poisoned in part, as bdwgc does. */
__attribute__((no_sanitize_address, no_sanitize_thread)) static void trace(uint32_t *worklist,
									   uint32_t depth)
{
	while (depth > 0) {
		struct xyli_object *from = xyli_registry_at(worklist[--depth]), *to;
		void **word = xyli_object_base(from);

		for (size_t n = from->scanned ? from->room / sizeof(*word) : 0; n > 0; n--) {
			to = reach(*word++);
			if (to)
				worklist[depth++] = xyli_registry_index(to);
		}
	}
}

static void reach_exempt(void)
{
	uint32_t *worklist = xyli_registry_worklist(), depth = 0;

	for (uint32_t i = 0; i < xyli_registry_size(); i++) {
		struct xyli_object *object = xyli_registry_at(i);

		if (!object->finalizable && !object->exempt)
			continue;
		if (reach(xyli_object_base(object)) && object->finalizable)
			worklist[depth++] = i;
	}
	if (xyli_check_valgrind())
		VALGRIND_DISABLE_ERROR_REPORTING;
	trace(worklist, depth);
	if (xyli_check_valgrind())
		VALGRIND_ENABLE_ERROR_REPORTING;
}

/* ---- a collection ---------------------------------------------------------------- */

void xyli_quarantine_begin(void)
{
	collection++;
	collection_stack = xyli_callstack_here();
}

static void bury(struct xyli_object *object)
{
	void *base = xyli_object_base(object);

	if (!xyli_poison_death(base, object->size, object->room))
		object_is_damaged(object, "past its end");
	GC_set_mark_bit(base);
	object->state = XYLI_OBJECT_DEAD;
	object->died = collection_stack;
	object->collection = collection;
	corpse_append(object);
}

void xyli_quarantine_sort(void)
{
	xyli_registry_lock();
	corpses_hold();
	reach_exempt();
	for (uint32_t i = 0; i < xyli_registry_size(); i++) {
		struct xyli_object *object = xyli_registry_at(i);

		if (object->state == XYLI_OBJECT_LIVING && !object->reached && !is_marked(object))
			bury(object);
	}
	corpses_shrink();
	xyli_registry_unlock();
}

void xyli_quarantine_settle(void)
{
	xyli_registry_lock();
	for (uint32_t i = 0; i < xyli_registry_size(); i++) {
		struct xyli_object *object = xyli_registry_at(i);
		void *base = xyli_object_base(object);

		if (!object->reached)
			continue;
		object->reached = false;
		if (GC_base(base) == base && GC_is_marked(base))
			continue;
		xyli_poison_lift_living(base, object->room);
		xyli_registry_forget(object);
	}
	xyli_registry_unlock();
}

void xyli_quarantine_empty(void)
{
	xyli_registry_lock();
	while (corpses.count > 0)
		corpse_release(corpse_take());
	for (uint32_t i = 0; i < xyli_registry_size(); i++) {
		struct xyli_object *object = xyli_registry_at(i);

		if (object->state == XYLI_OBJECT_LIVING)
			xyli_poison_lift_living(xyli_object_base(object), object->room);
	}
	xyli_registry_unlock();
}
#endif
