/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  The check build's collection is exact, and its registry knows what
 * lives.  The plain build's is conservative, and bdwgc is asked for what it marked.
 * What is marked by luck must not be counted:
 *
 *	what a stale slot of the test's stack names: the harness overwrites it;
 *	what is on this thread's own free lists, which bdwgc marks: the thread detaches,
 *	which gives the lists back;
 *	what the collector's own frames name, in the check build, too: addresses of
 *	blocks, and so the large objects there (4 MB of them were seen).  They change with
 *	each try, and a leak does not.
 */
#include "tests/living.h"

#include <stdint.h>
#include <stdlib.h>

#include "gc/bdwgc.h"
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>

#include "gc/check.h"
#include "gc/chunks.h"
#include "gc/finalizer.h"
#include "gc/registry.h"
#include "gc/world.h"
#include "roots/root.h"
#include "tests/harness.h"
#include "tests/leftovers.h"
#include "xylem/xylem.h"

/* How much more may live.  Measured over the suite, each test alone and all in a row:
 * what the first shards take for good (their table, the directories of their roots) is up
 * to 6 KB; bdwgc's tables of finalizers and links, which only the plain build's count
 * sees, double up to 128 KB; what statics name is less than 1 KB; a stack remembers up to
 * two of a test's own buffers (16 KB). */
#ifdef TEST_REMEMBERS
#define SLACK_BYTES ((size_t)64 << 10)
#else
#define SLACK_BYTES (xyli_check_on() ? (size_t)32 << 10 : (size_t)192 << 10)
#endif

#define TRIES 4
#define TOLD 5 /* objects */

struct object {
	uintptr_t hidden; /* its address, complemented */
	size_t bytes;
};

struct objects {
	struct object *of;
	size_t count, cap, bytes;
};

static struct objects noted;

bool living_heap_is_there(void)
{
	return GC_is_init_called();
}

/* Valgrind maps memory so low that plain integers name large objects. */
bool living_is_certain(void)
{
	return !xyli_check_valgrind();
}

/* ---- what lives ---------------------------------------------------------------------- */

static void objects_add(struct objects *objects, uintptr_t hidden, size_t bytes)
{
	if (objects->count == objects->cap) {
		objects->cap = objects->cap ? 2 * objects->cap : 256;
		objects->of = realloc(objects->of, objects->cap * sizeof(*objects->of));
		CHECK(objects->of != NULL);
	}
	objects->of[objects->count++] = (struct object){ hidden, bytes };
	objects->bytes += bytes;
}

#ifdef XYL_CHECK
static void objects_find(struct objects *objects)
{
	xyli_registry_lock();
	for (uint32_t i = 0; i < xyli_registry_size(); i++) {
		struct xyli_object *object = xyli_registry_at(i);

		if (object->state == XYLI_OBJECT_LIVING)
			objects_add(objects, object->hidden, object->size);
	}
	xyli_registry_unlock();
}
#else
/* Not what the library pins: that is there once, for good. */
enum { UNCOLLECTABLE = 2, AUNCOLLECTABLE = 3 }; /* bdwgc's, in no header of its */

static void object_found(void *base, size_t bytes, void *objects)
{
	int kind = GC_get_kind_and_size(base, NULL);

	if (kind != UNCOLLECTABLE && kind != AUNCOLLECTABLE)
		objects_add(objects, ~(uintptr_t)base, bytes);
}

static void *objects_enumerate(void *objects)
{
	GC_enumerate_reachable_objects_inner(object_found, objects);
	return NULL;
}

static void objects_find(struct objects *objects)
{
	GC_call_with_alloc_lock(objects_enumerate, objects);
}
#endif

static void objects_replace(struct objects *objects)
{
	free(objects->of);
	*objects = (struct objects){ NULL, 0, 0, 0 };
	if (!living_heap_is_there())
		return;
	objects_find(objects);
	objects->bytes -= xyli_roots_room() * XYLI_CHUNK_SLOT; /* never given back */
}

void living_note(void)
{
	objects_replace(&noted);
}

/* ---- collecting ---------------------------------------------------------------------- */

/* False: an attached thread runs.  What this thread's stack holds below does not count. */
static bool collect_once(void)
{
	bool collected;

	xyli_check_enter(__builtin_frame_address(0));
	collected = xyli_world_collect();
	xyli_check_leave();
	return collected;
}

/* Once more after finalizers, since what they were given lived until then. */
static bool collect(void)
{
	bool collected = collect_once();

	for (int i = 0; collected && i < 8 && GC_should_invoke_finalizers(); i++) {
		xyli_finalizers_run();
		collected = collect_once();
	}
	return collected;
}

static bool has_grown(const struct objects *now)
{
	return now->bytes > noted.bytes + SLACK_BYTES;
}

/* False: not known. */
static bool objects_left(struct objects *now)
{
	bool was_attached = xyl_thread_detach() == 0, collected;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (int i = 0; i < TRIES; i++) {
		if (i > 0)
			GC_expand_hp(1); /* a block: other addresses */
		collected = collect();
		objects_replace(now);
		if (!collected || !has_grown(now))
			break;
	}
	if (!was_attached)
		CHECK_EQ(xyl_thread_detach(), 0);
	return collected && has_grown(now);
}

/* ---- telling --------------------------------------------------------------------------- */

static int larger_first(const void *left, const void *right)
{
	const struct object *a = left, *b = right;

	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

static bool is_noted(const struct object *object)
{
	for (size_t i = 0; i < noted.count; i++)
		if (noted.of[i].hidden == object->hidden)
			return true;
	return false;
}

static void object_tell(const struct object *object)
{
	void *base = (void *)~object->hidden;

	leftover("an object of %zu bytes at %p", object->bytes, base);
#ifdef XYL_CHECK
	xyli_check_tell(base);
#endif
}

static void objects_tell(struct objects *now)
{
	size_t told = 0;

	if (!leftover("%zu bytes live in %zu objects, where there were %zu in %zu; the largest:",
		      now->bytes, now->count, noted.bytes, noted.count))
		return;
	qsort(now->of, now->count, sizeof(*now->of), larger_first);
	for (size_t i = 0; i < now->count && told < TOLD; i++)
		if (!is_noted(&now->of[i]))
			object_tell(&now->of[i]), told++;
}

void living_tell(void)
{
	struct objects now = { NULL, 0, 0, 0 };

	if (!living_heap_is_there() || !living_is_certain())
		return;
	if (objects_left(&now))
		objects_tell(&now);
	free(now.of);
}
