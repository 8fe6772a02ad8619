/* SPDX-License-Identifier: MIT */
/*
 * table.h - a table of slots, each of which keeps one object alive.
 *
 *	slot = object 8 + generation 4 + link of the free list 4 = 16 bytes
 *
 * The generation changes whenever a slot is taken or cleared.  Slots never move and
 * are never given back.
 *
 * One thread at a time (the owner, or whoever holds the lock that replaces one) may
 * take slots.  Any thread may look one up or clear it: clearing is claimed by a
 * compare-and-swap on the generation, so that of two droppers one wins.
 */
#ifndef XYLI_ROOTS_TABLE_H
#define XYLI_ROOTS_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gc/chunks.h"

#define XYLI_TABLE_MAX (UINT32_C(1) << 24) /* slots */
#define XYLI_TABLE_NONE UINT32_MAX	   /* no slot */

struct xyli_slot {
	_Atomic(void *) obj;
	atomic_uint generation; /* odd while taken */
	uint32_t next_free;	/* complemented: never looks like a pointer; 0 ends a list */
};

_Static_assert(sizeof(struct xyli_slot) == XYLI_CHUNK_SLOT, "a root costs 16 bytes");

struct xyli_table { /* lies in scanned memory */
	struct xyli_chunks slots;
	atomic_uint used;		     /* slots that were ever taken */
	uint32_t free;			     /* first of the owner's free list */
	atomic_uint freed_away;		     /* first of those that other threads cleared */
	atomic_uint_fast64_t taken, cleared; /* written by the owner */
	atomic_uint_fast64_t cleared_away;   /* by the others */
};

void xyli_table_init(struct xyli_table *table);

/* The owner's list is empty: the first of a new one.  XYLI_TABLE_NONE: no memory. */
uint32_t xyli_table_open(struct xyli_table *table);

/* Clear by a thread that is not the owner. */
bool xyli_table_clear_away(struct xyli_table *table, uint32_t slot, uint32_t generation);

size_t xyli_table_count(const struct xyli_table *table);

/* Call visit for each taken slot, in order; returns how many.  Any thread: slots may come
 * and go meanwhile. */
size_t xyli_table_visit(const struct xyli_table *table,
			void (*visit)(uint32_t slot, void *obj, void *arg), void *arg);

/* Recount and walk; aborts where they disagree.  Owner only. */
void xyli_table_check(const struct xyli_table *table);

static inline struct xyli_slot *xyli_table_slot(const struct xyli_table *table, uint32_t slot)
{
	return xyli_chunks_at(&table->slots, slot);
}

static inline uint32_t xyli_table_generation(const struct xyli_table *table, uint32_t slot)
{
	return atomic_load_explicit(&xyli_table_slot(table, slot)->generation,
				    memory_order_relaxed);
}

/* The object, or NULL if the slot has been cleared since.  Any thread. */
static inline void *xyli_table_get(const struct xyli_table *table, uint32_t index,
				   uint32_t generation)
{
	struct xyli_slot *slot = xyli_table_slot(table, index);
	void *obj;

	if (atomic_load_explicit(&slot->generation, memory_order_acquire) != generation)
		return NULL;
	obj = atomic_load_explicit(&slot->obj, memory_order_acquire);
	if (atomic_load_explicit(&slot->generation, memory_order_relaxed) != generation)
		return NULL;
	return obj;
}

/* Count up without a locked instruction: only the owner writes. */
static inline void xyli_table_bump(atomic_uint_fast64_t *count)
{
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
			      memory_order_release);
}

/* Name obj in a free slot, and tell its generation.  Owner only. */
static inline uint32_t xyli_table_take_as(struct xyli_table *table, void *obj,
					  uint32_t *ret_generation)
{
	uint32_t index = table->free;
	struct xyli_slot *slot;
	uint32_t generation;

	if (__builtin_expect(index == XYLI_TABLE_NONE, 0)) {
		index = xyli_table_open(table);
		if (index == XYLI_TABLE_NONE)
			return index;
	}
	slot = xyli_table_slot(table, index);
	table->free = ~slot->next_free;
	xyli_table_bump(&table->taken);
	atomic_store_explicit(&slot->obj, obj, memory_order_relaxed);
	generation = atomic_load_explicit(&slot->generation, memory_order_relaxed);
	atomic_store_explicit(&slot->generation, generation + 1, memory_order_release);
	*ret_generation = generation + 1;
	return index;
}

static inline uint32_t xyli_table_take(struct xyli_table *table, void *obj)
{
	uint32_t generation;

	return xyli_table_take_as(table, obj, &generation);
}

static inline void xyli_table_put_free(struct xyli_table *table, struct xyli_slot *slot,
				       uint32_t index)
{
	atomic_store_explicit(&slot->obj, NULL, memory_order_relaxed);
	slot->next_free = ~table->free;
	table->free = index;
	xyli_table_bump(&table->cleared);
}

/* Clear a slot whose number nobody but the owner knows.  Owner only. */
static inline void xyli_table_clear_own(struct xyli_table *table, uint32_t index)
{
	struct xyli_slot *slot = xyli_table_slot(table, index);
	uint32_t generation = atomic_load_explicit(&slot->generation, memory_order_relaxed);

	atomic_store_explicit(&slot->generation, generation + 1, memory_order_relaxed);
	xyli_table_put_free(table, slot, index);
}

/* Clear a slot if it is still of that generation.  Owner only; others may race. */
static inline bool xyli_table_clear(struct xyli_table *table, uint32_t index, uint32_t generation)
{
	struct xyli_slot *slot = xyli_table_slot(table, index);

	if (!atomic_compare_exchange_strong_explicit(&slot->generation, &generation, generation + 1,
						     memory_order_acq_rel, memory_order_relaxed))
		return false;
	xyli_table_put_free(table, slot, index);
	return true;
}

#endif
