/* SPDX-License-Identifier: MIT */
/*
 * The registry (check build).
 *
 * Design notes.  It lies in malloc memory, which bdwgc does not scan, and holds the
 * addresses complemented, so that no copy of it on a stack keeps anything alive.
 * Entries are one array, walked in order by each collection; they do not move, and a
 * hash table of chains finds one by address.  Arrays grow when an object is added,
 * never inside a collection.  Nothing calls bdwgc under the lock but for functions that
 * take none: a collection holds bdwgc's lock and takes this one.
 */
#include "gc/registry.h"

#include "gc/check.h"

#ifdef XYL_CHECK
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/bdwgc.h"

#define FIRST_CAP 1024u

static struct xyli_object *objects;
static uint32_t object_count, object_cap;
static uint32_t object_free = XYLI_NO_OBJECT;
static uint32_t *heads; /* object_cap of them, a power of two */
static uint32_t *worklist;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;

void xyli_registry_lock(void)
{
	pthread_mutex_lock(&registry_lock);
}

void xyli_registry_unlock(void)
{
	pthread_mutex_unlock(&registry_lock);
}

bool xyli_registry_trylock(void)
{
	return pthread_mutex_trylock(&registry_lock) == 0;
}

static uint32_t *head_of(uintptr_t hidden)
{
	uint64_t hash = (hidden >> 4) * UINT64_C(0x9e3779b97f4a7c15);

	return &heads[(hash >> 32) & (object_cap - 1)];
}

static void *array_grow(void *array, size_t count, size_t size)
{
	void *grown = realloc(array, count * size);

	if (!grown) {
		fprintf(stderr, "xylem: the check build has no memory for its registry\n");
		abort();
	}
	return grown;
}

static void registry_grow(void)
{
	object_cap = object_cap ? 2 * object_cap : FIRST_CAP;
	objects = array_grow(objects, object_cap, sizeof(*objects));
	heads = array_grow(heads, object_cap, sizeof(*heads));
	worklist = array_grow(worklist, object_cap, sizeof(*worklist));
	for (uint32_t i = 0; i < object_cap; i++)
		heads[i] = XYLI_NO_OBJECT;
	for (uint32_t i = 0; i < object_count; i++) {
		uint32_t *head = head_of(objects[i].hidden);

		if (objects[i].state == XYLI_OBJECT_FREE)
			continue;
		objects[i].chain = *head;
		*head = i;
	}
}

static struct xyli_object *entry_take(void)
{
	struct xyli_object *object;

	if (object_free != XYLI_NO_OBJECT) {
		object = &objects[object_free];
		object_free = object->chain;
		return object;
	}
	if (object_count == object_cap)
		registry_grow();
	return &objects[object_count++];
}

struct xyli_object *xyli_registry_find(const void *base)
{
	uintptr_t hidden = ~(uintptr_t)base;

	if (!base || !object_cap)
		return NULL;
	for (uint32_t i = *head_of(hidden); i != XYLI_NO_OBJECT; i = objects[i].chain)
		if (objects[i].hidden == hidden)
			return &objects[i];
	return NULL;
}

struct xyli_object *xyli_registry_around(const void *p)
{
	return xyli_registry_find(GC_base((void *)(uintptr_t)p));
}

struct xyli_object *xyli_registry_add(void *base)
{
	struct xyli_object *object;
	uint32_t *head;

	assert(!xyli_registry_find(base));
	object = entry_take();
	*object = (struct xyli_object){ .hidden = ~(uintptr_t)base, .state = XYLI_OBJECT_LIVING };
	head = head_of(object->hidden);
	object->chain = *head;
	*head = xyli_registry_index(object);
	return object;
}

void xyli_registry_forget(struct xyli_object *object)
{
	uint32_t index = xyli_registry_index(object);
	uint32_t *link = head_of(object->hidden);

	while (*link != index)
		link = &objects[*link].chain;
	*link = object->chain;
	*object = (struct xyli_object){ .state = XYLI_OBJECT_FREE, .chain = object_free };
	object_free = index;
}

uint32_t xyli_registry_size(void)
{
	return object_count;
}

struct xyli_object *xyli_registry_at(uint32_t index)
{
	return &objects[index];
}

uint32_t xyli_registry_index(const struct xyli_object *object)
{
	return (uint32_t)(object - objects);
}

uint32_t *xyli_registry_worklist(void)
{
	return worklist;
}
#endif
