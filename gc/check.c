/* SPDX-License-Identifier: MIT */
/*
 * The check build: what the rest of the library calls.
 *
 * Design notes.  XYL_CHECK_COLLECT=turn collects exactly in every turn; =alloc collects
 * at every allocation, or at every XYL_CHECK_ALLOC_EVERY'th, with all stacks scanned,
 * since a task is in the middle of something.  Both find a root that is missing for one
 * moment only.  Without either, collections come when they always do, but are exact.
 *
 * Once the process is exiting, objects are no longer watched: the leak checkers look at
 * the heap then, and must find ordinary memory.
 */
#include "gc/check.h"

#ifdef XYL_CHECK
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gc/bdwgc.h"
#include "gc/callstack.h"
#include "gc/exact.h"
#include "gc/poison.h"
#include "gc/quarantine.h"
#include "gc/registry.h"
#include "gc/sanitizer.h"
#include "gc/valgrind.h"
#include "gc/world.h"

static bool every_turn;
static size_t alloc_every; /* 0: an allocation does not collect */
static atomic_size_t allocations;
static atomic_bool exiting;

static bool is_watching(void)
{
	return !atomic_load_explicit(&exiting, memory_order_relaxed);
}

/* ---- start and end --------------------------------------------------------------- */

static void settings_read(void)
{
	const char *collect = getenv("XYL_CHECK_COLLECT");
	const char *every = getenv("XYL_CHECK_ALLOC_EVERY");

	every_turn = collect && !strcmp(collect, "turn");
	if (collect && !strcmp(collect, "alloc"))
		alloc_every = every ? strtoull(every, NULL, 0) : 1;
}

static void check_end(void)
{
	if (xyli_world_attached())
		xyli_world_collect_anywhere();
	atomic_store(&exiting, true);
	xyli_quarantine_empty();
	xyli_sanitizer_end();
}

void xyli_check_before_start(void)
{
	xyli_poison_start();
	xyli_sanitizer_start();
	settings_read();
	xyli_callstack_start();
	xyli_quarantine_start();
}

void xyli_check_start(void)
{
	xyli_exact_start();
	atexit(check_end);
}

/* ---- collections ----------------------------------------------------------------- */

void xyli_check_event(int event)
{
	if (!is_watching())
		return;
	if (event == GC_EVENT_START && !xyli_exact_is_running())
		xyli_quarantine_begin();
	else if (event == GC_EVENT_MARK_END)
		xyli_quarantine_sort();
	else if (event == GC_EVENT_RECLAIM_END)
		xyli_quarantine_settle();
}

unsigned xyli_check_setting(const char *name, unsigned otherwise)
{
	const char *value = getenv(name);

	return value ? (unsigned)strtoul(value, NULL, 0) : otherwise;
}

bool xyli_check_every_turn(void)
{
	return every_turn;
}

/* ---- objects --------------------------------------------------------------------- */

static void collect_if_asked(void)
{
	if (alloc_every && xyli_world_attached() &&
	    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) % alloc_every == 0)
		xyli_world_collect_anywhere();
}

static void object_register(void *base, size_t size, bool scanned)
{
	size_t room = GC_size(base);
	uint32_t born = xyli_callstack_here();
	struct xyli_object *object;

	xyli_poison_birth(base, size, room, scanned);
	xyli_registry_lock();
	object = xyli_registry_add(base);
	object->size = size;
	object->room = room;
	object->scanned = scanned;
	object->born = born;
	xyli_registry_unlock();
}

static void *object_new(size_t size, void *(*alloc)(size_t), bool scanned)
{
	void *base;

	collect_if_asked();
	do
		base = alloc(size);
	while (base && xyli_exact_is_unlucky(base, GC_size(base)));
	if (!base)
		xyli_quarantine_yield();
	else if (is_watching())
		object_register(base, size, scanned);
	return base;
}

void *xyli_check_alloc(size_t size)
{
	return object_new(size, GC_malloc, true);
}

void *xyli_check_alloc_bytes(size_t size)
{
	return object_new(size, GC_malloc_atomic, false);
}

void xyli_check_finalizable(void *base, bool is)
{
	struct xyli_object *object;

	xyli_registry_lock();
	object = xyli_registry_find(base);
	if (object)
		object->finalizable = is;
	xyli_registry_unlock();
}

void xyli_check_exempt(void *base)
{
	struct xyli_object *object;

	xyli_registry_lock();
	object = xyli_registry_find(base);
	if (object)
		object->exempt = true;
	xyli_registry_unlock();
}

void xyli_check_finish(void *start, size_t size)
{
	uint32_t stack = xyli_callstack_here();
	struct xyli_object *object;

	xyli_registry_lock();
	object = is_watching() ? xyli_registry_around(start) : NULL;
	if (object) {
		object->finished = stack;
		xyli_poison_part(start, size);
	}
	xyli_registry_unlock();
}

void xyli_check_revive(void *start, size_t size)
{
	xyli_registry_lock();
	if (is_watching() && xyli_registry_around(start))
		xyli_poison_lift_part(start, size);
	xyli_registry_unlock();
}

bool xyli_check_is_dead(const void *base)
{
	const struct xyli_object *object;
	bool dead;

	xyli_registry_lock();
	object = is_watching() ? xyli_registry_find(base) : NULL;
	dead = object && object->state == XYLI_OBJECT_DEAD;
	xyli_registry_unlock();
	return dead;
}

/* ---- telling --------------------------------------------------------------------- */

static void object_tell(const struct xyli_object *object, const void *p)
{
	const char *base = xyli_object_base(object);

	dprintf(STDERR_FILENO, "  %p is %td bytes into a collected object of %zu bytes, born at\n",
		p, (const char *)p - base, object->size);
	xyli_callstack_print(object->born);
	if (object->finished) {
		dprintf(STDERR_FILENO, "  a part of it was finished at\n");
		xyli_callstack_print(object->finished);
	}
	if (object->state == XYLI_OBJECT_DEAD) {
		dprintf(STDERR_FILENO, "  found dead in collection %u at\n", object->collection);
		xyli_callstack_print(object->died);
	}
}

void xyli_check_tell(const void *p)
{
	const struct xyli_object *object;

	if (!xyli_registry_trylock())
		return;
	object = xyli_registry_around(p);
	if (object)
		object_tell(object, p);
	else
		dprintf(STDERR_FILENO, "  %p is in no collected object\n", p);
	xyli_registry_unlock();
}

/* ---- the kernel -------------------------------------------------------------------- */

/* What it will touch must be one living object's, or not ours at all. */
static void buffer_check(const void *buf, size_t size, const char *what)
{
	const struct xyli_object *object;
	bool dead = false, beyond = false;

	if (!is_watching())
		return;
	xyli_registry_lock();
	object = xyli_registry_around(buf);
	if (object) {
		dead = object->state == XYLI_OBJECT_DEAD;
		beyond = (const char *)buf + size >
			 (const char *)xyli_object_base(object) + object->size;
	}
	xyli_registry_unlock();
	if (!dead && !beyond && !xyli_sanitizer_forbids(buf, size))
		return;
	dprintf(STDERR_FILENO, "xylem: the kernel %s %zu bytes at %p, %s\n", what, size, buf,
		dead	 ? "which are dead"
		: beyond ? "past the end of their object"
			 : "which are poisoned");
	xyli_check_tell(buf);
	abort();
}

void xyli_check_gives(void *token)
{
	xyli_sanitizer_gives(token);
	if (xyli_check_valgrind())
		ANNOTATE_HAPPENS_BEFORE(token);
}

void xyli_check_takes(void *token)
{
	xyli_sanitizer_takes(token);
	if (xyli_check_valgrind())
		ANNOTATE_HAPPENS_AFTER(token);
}

void xyli_check_kernel_reads(const void *buf, size_t size)
{
	buffer_check(buf, size, "reads");
	if (xyli_check_valgrind())
		VALGRIND_CHECK_MEM_IS_DEFINED(buf, size);
	xyli_sanitizer_reads(buf, size);
}

void xyli_check_kernel_writes(void *buf, size_t size)
{
	buffer_check(buf, size, "writes");
	if (xyli_check_valgrind())
		VALGRIND_CHECK_MEM_IS_ADDRESSABLE(buf, size);
	xyli_sanitizer_writes(buf, size);
}

void xyli_check_kernel_wrote(void *buf, size_t size)
{
	buffer_check(buf, size, "wrote");
	if (xyli_check_valgrind())
		VALGRIND_MAKE_MEM_DEFINED(buf, size);
	xyli_sanitizer_writes(buf, size);
}
#endif
