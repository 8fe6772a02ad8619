/* SPDX-License-Identifier: MIT */
/* Slot tables, and the check that recounts them. */
#include <stdint.h>
#include <string.h>

#include "gc/heap.h"
#include "roots/table.h"
#include "tests/child.h"
#include "tests/run.h"

static int objects[1000];

static struct xyli_table *table_new(void)
{
	struct xyli_table *table = xyli_heap_pin(sizeof(*table));

	xyli_table_init(table);
	return table;
}

/* Its memory, too: the table itself stays pinned. */
static void table_forget(struct xyli_table *table)
{
	memset(table, 0, sizeof(*table));
}

TEST(a_new_table_is_empty_and_sound)
{
	struct xyli_table *table = table_new();

	CHECK_EQ(xyli_table_count(table), 0);
	CHECK_EQ(xyli_table_visit(table, NULL, NULL), 0);
	xyli_table_check(table);
	table_forget(table);
}

TEST(a_slot_is_16_bytes)
{
	CHECK_EQ(sizeof(struct xyli_slot), 16);
}

TEST(slots_are_used_again_and_never_under_the_same_name)
{
	struct xyli_table *table = table_new();
	uint32_t first = xyli_table_take(table, objects);
	uint32_t generation = xyli_table_generation(table, first);

	for (int i = 0; i < 1000; i++) {
		uint32_t slot;

		CHECK(xyli_table_clear(table, first, generation));
		CHECK(!xyli_table_clear(table, first, generation));
		CHECK(xyli_table_get(table, first, generation) == NULL);
		slot = xyli_table_take(table, &objects[i]);
		CHECK_EQ(slot, first);
		CHECK(xyli_table_generation(table, slot) != generation);
		generation = xyli_table_generation(table, slot);
		CHECK(xyli_table_get(table, slot, generation) == &objects[i]);
	}
	CHECK_EQ(table->used, 1);
	xyli_table_check(table);
	table_forget(table);
}

static struct xyli_table *table_filled(uint32_t *slots, size_t n)
{
	struct xyli_table *table = table_new();

	for (size_t i = 0; i < n; i++) {
		slots[i] = xyli_table_take(table, &objects[i]);
		CHECK(slots[i] != XYLI_TABLE_NONE);
	}
	return table;
}

/* Against a plain array: random takes and clears, by the owner and by others. */
TEST(a_table_behaves_as_an_array_of_its_slots)
{
	enum { MODEL = 1000 };
	static uint32_t slots[MODEL], generations[MODEL];
	static bool taken[MODEL];
	struct xyli_table *table = table_new();
	size_t count = 0, rounds = test_scaled(100000);

	for (size_t round = 0; round < rounds; round++) {
		size_t i = test_random() % MODEL;

		if (!taken[i]) {
			slots[i] = xyli_table_take(table, &objects[i]);
			generations[i] = xyli_table_generation(table, slots[i]);
			count++;
		} else if (test_random() % 2) {
			CHECK(xyli_table_get(table, slots[i], generations[i]) == &objects[i]);
			CHECK(xyli_table_clear(table, slots[i], generations[i]));
			count--;
		} else {
			CHECK(xyli_table_clear_away(table, slots[i], generations[i]));
			CHECK(!xyli_table_clear_away(table, slots[i], generations[i]));
			count--;
		}
		taken[i] = !taken[i];
		CHECK_EQ(xyli_table_count(table), count);
		if (round % 1000 == 0)
			xyli_table_check(table);
	}
	CHECK(table->used <= MODEL);
	CHECK_EQ(xyli_table_visit(table, NULL, NULL), count);
	table_forget(table);
}

static void note_visit(uint32_t slot, void *obj, void *arg)
{
	int *seen = arg;

	(void)slot;
	seen[(int *)obj - objects]++;
}

TEST(a_visit_sees_each_taken_slot_once)
{
	static uint32_t slots[1000];
	static int seen[1000];
	struct xyli_table *table = table_filled(slots, 1000);

	for (int i = 0; i < 1000; i += 3)
		xyli_table_clear_own(table, slots[i]);
	CHECK_EQ(xyli_table_visit(table, note_visit, seen), 666);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(seen[i], i % 3 != 0);
	table_forget(table);
}

TEST(what_a_table_names_lives)
{
	struct xyli_table *table = table_new();
	uint64_t *obj;

	for (uint64_t i = 0; i < 1000; i++) {
		obj = xyl_alloc(sizeof(*obj));
		*obj = i;
		CHECK_EQ(xyli_table_take(table, obj), i);
	}
	obj = NULL;
	xyl_collect();
	for (int i = 0; i < 10000; i++)
		memset(xyl_alloc(sizeof(*obj)), 0xff, sizeof(*obj));
	for (uint32_t i = 0; i < 1000; i++) {
		obj = xyli_table_get(table, i, 1);
		CHECK_EQ(*obj, i);
	}
	table_forget(table);
}

/* ---- the check finds damage ------------------------------------------------------------ */

static uint32_t slots[20];

static struct xyli_table *table_used(void)
{
	struct xyli_table *table = table_filled(slots, 20);

	for (int i = 0; i < 8; i++)
		xyli_table_clear_own(table, slots[i]);
	for (int i = 8; i < 12; i++)
		xyli_table_clear_away(table, slots[i], xyli_table_generation(table, slots[i]));
	xyli_table_check(table);
	return table;
}

static void lose_a_free_slot(void *unused)
{
	struct xyli_table *table = table_used();

	(void)unused;
	table->free = ~xyli_table_slot(table, table->free)->next_free;
	xyli_table_check(table);
}

static void lose_a_slot_freed_away(void *unused)
{
	struct xyli_table *table = table_used();

	(void)unused;
	atomic_store(&table->freed_away, XYLI_TABLE_NONE);
	xyli_table_check(table);
}

static void miscount(void *unused)
{
	struct xyli_table *table = table_used();

	(void)unused;
	xyli_table_bump(&table->taken);
	xyli_table_check(table);
}

static void clear_without_telling(void *unused)
{
	struct xyli_table *table = table_used();

	(void)unused;
	atomic_fetch_add(&xyli_table_slot(table, slots[15])->generation, 1);
	xyli_table_check(table);
}

TEST(the_check_aborts_on_a_damaged_table)
{
	child_aborts(lose_a_free_slot, NULL, "xylem: root table:");
	child_aborts(lose_a_slot_freed_away, NULL, "xylem: root table:");
	child_aborts(miscount, NULL, "xylem: root table:");
	child_aborts(clear_without_telling, NULL, "xylem: root table:");
}
