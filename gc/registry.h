/* SPDX-License-Identifier: MIT */
/*
 * registry.h - every collected object, living and dead (check build).
 *
 *	LIVING ──> DEAD (quarantined, poisoned) ──> forgotten, and bdwgc reclaims it
 *	   └──────────────────────────────────────> forgotten: bdwgc itself saw it die
 */
#ifndef XYLI_GC_REGISTRY_H
#define XYLI_GC_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XYLI_NO_OBJECT UINT32_MAX

enum xyli_object_state {
	XYLI_OBJECT_FREE, /* an unused entry */
	XYLI_OBJECT_LIVING,
	XYLI_OBJECT_DEAD,
};

struct xyli_object {
	uintptr_t hidden; /* the address, complemented */
	size_t size;	  /* as asked for */
	size_t room;	  /* as given */
	uint32_t chain;	  /* with the same hash; free: the next free entry */
	uint32_t next;	  /* dead: the one that died after it */
	uint32_t born;	  /* call stacks */
	uint32_t died;
	uint32_t finished;   /* when a part of it was; 0: none */
	uint32_t collection; /* in which it died */
	uint8_t state;
	bool scanned;
	bool finalizable; /* bdwgc holds a finalizer of it */
	bool exempt;	  /* weak references name it, or it is one */
	bool reached;	  /* in this collection: bdwgc decides on it */
	bool wanted;	  /* dead, but something still points at it */
};

void xyli_registry_lock(void);
void xyli_registry_unlock(void);
bool xyli_registry_trylock(void);

/* Under the lock from here on. */
struct xyli_object *xyli_registry_add(void *base);
void xyli_registry_forget(struct xyli_object *object);

struct xyli_object *xyli_registry_find(const void *base); /* NULL: not one of ours */
struct xyli_object *xyli_registry_around(const void *p);  /* into which p points */

/* All entries, free ones too; an index stays with its object. */
uint32_t xyli_registry_size(void);
struct xyli_object *xyli_registry_at(uint32_t index);
uint32_t xyli_registry_index(const struct xyli_object *object);

/* Room for the index of every entry, for a collection, which must not allocate. */
uint32_t *xyli_registry_worklist(void);

static inline void *xyli_object_base(const struct xyli_object *object)
{
	return (void *)~object->hidden;
}

#endif
