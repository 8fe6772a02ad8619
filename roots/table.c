/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  Slots cleared by other threads are pushed onto `freed_away`; the owner takes that
 * whole list when its own is empty, so no thread ever pops from a shared list and the
 * ABA problem does not arise.
 */
#include "roots/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void xyli_table_init(struct xyli_table *table)
{
	*table = (struct xyli_table){ .free = XYLI_TABLE_NONE, .freed_away = XYLI_TABLE_NONE };
}

/* Put a slot that was never used on the free list. */
static bool table_open_slot(struct xyli_table *table)
{
	uint32_t used = atomic_load_explicit(&table->used, memory_order_relaxed);

	if (used == table->slots.cap &&
	    (used + XYLI_CHUNK_SLOTS > XYLI_TABLE_MAX || !xyli_chunks_grow(&table->slots)))
		return false;
	table->free = used;
	atomic_store_explicit(&table->used, used + 1, memory_order_release);
	return true;
}

uint32_t xyli_table_open(struct xyli_table *table)
{
	table->free = atomic_exchange_explicit(&table->freed_away, XYLI_TABLE_NONE,
					       memory_order_acquire);
	if (table->free == XYLI_TABLE_NONE && !table_open_slot(table))
		return XYLI_TABLE_NONE;
	return table->free;
}

bool xyli_table_clear_away(struct xyli_table *table, uint32_t index, uint32_t generation)
{
	struct xyli_slot *slot = xyli_table_slot(table, index);
	uint32_t head;

	if (!atomic_compare_exchange_strong_explicit(&slot->generation, &generation, generation + 1,
						     memory_order_acq_rel, memory_order_relaxed))
		return false;
	atomic_store_explicit(&slot->obj, NULL, memory_order_relaxed);
	atomic_fetch_add_explicit(&table->cleared_away, 1, memory_order_relaxed);
	head = atomic_load_explicit(&table->freed_away, memory_order_relaxed);
	do
		slot->next_free = ~head;
	while (!atomic_compare_exchange_weak_explicit(&table->freed_away, &head, index,
						      memory_order_release, memory_order_relaxed));
	return true;
}

size_t xyli_table_count(const struct xyli_table *table)
{
	/* In this order: what is cleared was taken before. */
	uint64_t gone = atomic_load(&table->cleared_away) + atomic_load(&table->cleared);

	return (size_t)(atomic_load(&table->taken) - gone);
}

size_t xyli_table_visit(const struct xyli_table *table,
			void (*visit)(uint32_t slot, void *obj, void *arg), void *arg)
{
	size_t count = 0;

	for (uint32_t index = 0; index < table->used; index++) {
		if (xyli_table_generation(table, index) % 2 == 0)
			continue;
		count++;
		if (visit)
			visit(index, atomic_load(&xyli_table_slot(table, index)->obj), arg);
	}
	return count;
}

/* Length of a free list; every slot on it must be cleared. */
static size_t free_list_check(const struct xyli_table *table, uint32_t index)
{
	size_t length = 0;

	for (; index != XYLI_TABLE_NONE; index = ~xyli_table_slot(table, index)->next_free) {
		assert(index < table->used && length <= table->used);
		assert(xyli_table_generation(table, index) % 2 == 0);
		assert(!xyli_table_slot(table, index)->obj);
		length++;
	}
	return length;
}

void xyli_table_check(const struct xyli_table *table)
{
	size_t held = xyli_table_visit(table, NULL, NULL);
	size_t free = free_list_check(table, table->free) +
		      free_list_check(table, atomic_load(&table->freed_away));

	if (held == xyli_table_count(table) && held + free == table->used)
		return;
	fprintf(stderr, "xylem: root table: %zu held, %zu counted, %zu free, %u used\n", held,
		xyli_table_count(table), free, table->used);
	abort();
}
