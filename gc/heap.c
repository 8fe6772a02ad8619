/* SPDX-License-Identifier: MIT */
/*
 * The collected heap.
 *
 * Design notes.  bdwgc is set up once, for the whole process: automatic collection
 * off (pace.c decides when), finalizers on demand (finalizer.c runs them), one
 * marker thread (a second one puts malloc on its multi-threaded path, 6 ns a task),
 * no incremental mode (its write protection makes the kernel's writes fail with
 * EFAULT).  An allocation that fails collects once and tries again before it gives
 * NULL: with automatic collection off bdwgc itself would not.
 */
#include "gc/heap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gc/bdwgc.h"
#include "gc/block.h"
#include "gc/check.h"
#include "gc/finalizer.h"
#include "gc/pace.h"
#include "gc/world.h"
#include "xylem/xylem.h"

/* A thread that allocates this much looks at once whether the heap runs away. */
#define PRESSURE_STEP ((size_t)1 << 20)

static pthread_once_t heap_once = PTHREAD_ONCE_INIT;
static atomic_bool heap_started;
static _Thread_local size_t heap_unwatched; /* bytes since this thread last looked */

/* bdwgc takes the thread that initialises it for the main thread and scans up to the
 * main stack's end; from any other thread that would run through unmapped memory. */
static void heap_name_the_stack(void)
{
	struct GC_stack_base base;

	if (syscall(SYS_gettid) != getpid() && GC_get_stack_base(&base) == GC_SUCCESS)
		GC_set_stackbottom(NULL, &base);
}

static void heap_init(void)
{
	unsetenv("GC_ENABLE_INCREMENTAL");
	heap_name_the_stack();
	GC_set_finalize_on_demand(1);
	GC_set_java_finalization(1);
	GC_set_markers_count(1);
	GC_set_warn_proc(GC_ignore_warn_proc);
	xyli_check_before_start();
	GC_INIT();
	GC_allow_register_threads();
	GC_set_disable_automatic_collection(1);
	GC_set_allocd_bytes_per_finalizer(0); /* the other way malloc would collect */
	xyli_blocks_start();
	xyli_finalizers_start();
	xyli_pace_start();
	xyli_world_start();
	xyli_check_start();
	atomic_store_explicit(&heap_started, true, memory_order_release);
}

void xyli_heap_start(void)
{
	if (!atomic_load_explicit(&heap_started, memory_order_acquire))
		pthread_once(&heap_once, heap_init);
}

void xyli_heap_size(size_t start_bytes, size_t limit_bytes)
{
	size_t now = GC_get_heap_size();

	if (limit_bytes)
		GC_set_max_heap_size(limit_bytes);
	if (limit_bytes && start_bytes > limit_bytes)
		start_bytes = limit_bytes;
	if (now < start_bytes)
		GC_expand_hp(start_bytes - now);
}

/* A task that allocates without ever awaiting never reaches a safe point. */
static void heap_watch(size_t size)
{
	heap_unwatched += size;
	if (heap_unwatched < PRESSURE_STEP)
		return;
	heap_unwatched = 0;
	xyli_pace_relieve();
}

static void *heap_alloc(size_t size, void *(*alloc)(size_t))
{
	void *obj;

	xyli_heap_start();
	heap_watch(size);
	obj = alloc(size);
	if (__builtin_expect(!obj, 0)) {
		xyli_world_collect_anywhere();
		obj = alloc(size);
	}
	return obj;
}

void *xyl_alloc(size_t size)
{
	return heap_alloc(size, xyli_check_on() ? xyli_check_alloc : GC_malloc);
}

void *xyl_alloc_bytes(size_t size)
{
	return heap_alloc(size, xyli_check_on() ? xyli_check_alloc_bytes : GC_malloc_atomic);
}

char *xyl_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = xyl_alloc_bytes(size);

	return copy ? memcpy(copy, text, size) : NULL;
}

void *xyli_heap_pin(size_t size)
{
	xyli_heap_start();
	return GC_malloc_uncollectable(size);
}

void *xyli_heap_base(const void *p)
{
	return GC_base((void *)(uintptr_t)p);
}

size_t xyli_heap_room(const void *base)
{
	return base ? GC_size(base) : 0;
}

size_t xyli_heap_fresh(void)
{
	return GC_get_bytes_since_gc();
}
