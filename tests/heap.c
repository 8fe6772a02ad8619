/* SPDX-License-Identifier: MIT */
/* Collected memory: what allocation promises, and what happens when there is no more. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "gc/block.h"
#include "gc/chunks.h"
#include "gc/heap.h"
#include "tests/child.h"
#include "tests/run.h"
#include "xylem/xylem.h"

#define MIB ((size_t)1 << 20)

static bool is_zero(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* So that what follows is memory that was in use before. */
static void heap_dirty(void)
{
	for (int i = 0; i < 2000; i++) {
		size_t size = 1 + test_random() % 4096;
		char *obj = test_random() % 2 ? xyl_alloc(size) : xyl_alloc_bytes(size);

		memset(obj, 0xee, size);
	}
	xyl_collect();
}

TEST(memory_is_zeroed_whatever_its_size_and_what_was_there_before)
{
	heap_dirty();
	for (size_t size = 1; size < 3 * 4096; size += 1 + size / 8)
		for (int i = 0; i < 8; i++)
			CHECK(is_zero(xyl_alloc(size), size));
	CHECK(is_zero(xyl_alloc(4 * MIB), 4 * MIB));
}

TEST(an_allocation_of_no_bytes_is_an_object)
{
	CHECK(xyl_alloc(0) != NULL);
	CHECK(xyl_alloc_bytes(0) != NULL);
}

TEST(memory_is_aligned_for_any_type)
{
	for (size_t size = 1; size < 600; size++) {
		CHECK_EQ((uintptr_t)xyl_alloc(size) % _Alignof(max_align_t), 0);
		CHECK_EQ((uintptr_t)xyl_alloc_bytes(size) % _Alignof(max_align_t), 0);
	}
}

/* ---- every word counts ---------------------------------------------------------------- */

enum { WORDS = 62, EACH = 16 }; /* up to the largest block */

struct blocks {
	struct xyli_blocks lists;
	struct xyli_chunks chunks;
	void **block[WORDS][EACH];
	struct xyl_weak *weak[WORDS][EACH], *in_chunk[EACH];
};

/* What only the last word of a block names. */
static __attribute__((noinline)) void blocks_fill(struct blocks *blocks)
{
	for (int words = 1; words < WORDS; words++) {
		for (int i = 0; i < EACH; i++) {
			void *obj = xyl_alloc_bytes(48), **block;

			block = xyli_block_new(&blocks->lists, (size_t)words * sizeof(void *));
			block[words - 1] = obj;
			blocks->block[words][i] = block;
			blocks->weak[words][i] = xyl_weak_new(obj);
		}
	}
	for (uint32_t i = 0; i < EACH; i++) {
		void **slot, *obj = xyl_alloc_bytes(48);

		CHECK(xyli_chunks_grow(&blocks->chunks));
		slot = xyli_chunks_at(&blocks->chunks, (i + 1) * XYLI_CHUNK_SLOTS - 1);
		slot[1] = obj;
		blocks->in_chunk[i] = xyl_weak_new(obj);
	}
}

TEST(what_the_last_word_of_a_block_names_is_kept)
{
	struct blocks *blocks = xyl_new(struct blocks);

	blocks_fill(blocks);
	memset(&blocks->lists, 0, sizeof(blocks->lists));
	xyl_collect();
	xyl_collect();
	for (int words = 1; words < WORDS; words++)
		for (int i = 0; i < EACH; i++)
			CHECK(xyl_weak_get(blocks->weak[words][i]) != NULL);
	for (int i = 0; i < EACH; i++)
		CHECK(xyl_weak_get(blocks->in_chunk[i]) != NULL);
}

struct list {
	struct list *next;
	uint64_t value;
};

TEST(what_a_living_object_points_at_lives)
{
	enum { NODES = 10000 };
	struct list *list = NULL;
	uint64_t expected = NODES;

	for (uint64_t i = 1; i <= NODES; i++) {
		struct list *node = xyl_new(struct list);

		*node = (struct list){ list, i };
		list = node;
	}
	for (int i = 0; i < 3; i++) {
		xyl_collect();
		heap_dirty();
	}
	for (; list; list = list->next)
		CHECK_EQ(list->value, expected--);
	CHECK_EQ(expected, 0);
}

/* Hide them from the stack: what only bytes point at dies. */
__attribute__((noinline)) static void weak_fill(struct xyl_weak **weak, void **store, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		store[i] = xyl_alloc(64);
		weak[i] = xyl_weak_new(store[i]);
	}
}

__attribute__((noinline)) static void stack_clear(void)
{
	volatile char stale[16384];

	for (size_t i = 0; i < sizeof(stale); i++)
		stale[i] = 0;
}

static size_t living(struct xyl_weak **weak, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += xyl_weak_get(weak[i]) != NULL;
	return count;
}

TEST(pointers_are_found_in_scanned_memory_and_not_in_bytes)
{
	enum { OBJECTS = 1000 };
	struct xyl_weak **weak = xyl_alloc(OBJECTS * sizeof(*weak));
	void **scanned = xyl_alloc(OBJECTS * sizeof(*scanned));
	void **bytes = xyl_alloc_bytes(OBJECTS * sizeof(*bytes));

	weak_fill(weak, scanned, OBJECTS);
	stack_clear();
	xyl_collect();
	CHECK_EQ(living(weak, OBJECTS), OBJECTS);
	CHECK(scanned[OBJECTS - 1] != NULL);
	weak_fill(weak, bytes, OBJECTS);
	stack_clear();
	xyl_collect();
	CHECK(living(weak, OBJECTS) < OBJECTS / 10);
}

TEST(a_string_is_copied)
{
	char text[] = "to be copied";
	char *copy = xyl_strdup(text);

	text[0] = 'X';
	CHECK(strcmp(copy, "to be copied") == 0);
	CHECK(strcmp(xyl_strdup(""), "") == 0);
}

TEST(the_base_of_an_object_is_found_from_inside_and_only_there)
{
	static int of_the_program;
	int of_the_stack;
	char *obj = xyl_alloc(100), *bytes = xyl_alloc_bytes(5000);

	CHECK(xyli_heap_base(obj + 99) == obj);
	CHECK(xyli_heap_base(bytes + 4999) == bytes);
	CHECK(xyli_heap_base(&of_the_program) == NULL);
	CHECK(xyli_heap_base(&of_the_stack) == NULL);
	CHECK(xyli_heap_base(NULL) == NULL);
}

/* ---- no more memory ------------------------------------------------------------------ */

/* Not a list, of which one stale pointer would keep the rest. */
static void *hoard[1 << 18];
static size_t hoarded;

/* How many could be had. */
static size_t hoard_all(size_t size)
{
	size_t count = 0;
	void *more;

	while ((more = xyl_alloc(size))) {
		CHECK(hoarded < sizeof(hoard) / sizeof(*hoard));
		hoard[hoarded++] = more;
		count++;
	}
	return count;
}

static void hoard_drop(void)
{
	memset(hoard, 0, sizeof(hoard));
	hoarded = 0;
}

struct glutton {
	struct xyl_frame frame;
	ssize_t slept;
	size_t got;
	int tries;
};

struct greet {
	struct xyl_frame frame;
};

static xyl_step greet(void *frame)
{
	struct greet *self = frame;

	XYL_BEGIN(self)
	XYL_END(42);
}

/* Down to the last free block of each small size. */
static void exhaust(void)
{
	hoard_all(8192);
	for (size_t size = 1008; size >= 16; size -= 16)
		hoard_all(size);
}

static const char *long_text;

static xyl_step glutton(void *frame)
{
	struct glutton *self = frame;

	XYL_BEGIN(self)
	exhaust();
	CHECK(hoarded > 0);
	CHECK(xyl_alloc(4096) == NULL);
	CHECK(xyl_alloc_bytes(4096) == NULL);
	CHECK(xyl_strdup(long_text) == NULL);
	CHECK(xyl_future_new() == NULL);
	XYL_AWAIT(self->slept, xyl_yield());
	CHECK_EQ(self->slept, 0);
	hoard_drop();
	for (int i = 0; i < 3; i++) /* the check build keeps the dead for a while */
		self->got += hoard_all(8192);
	CHECK(self->got > 100);
	hoard_drop();
	xyl_collect();
	xyl_collect();
	XYL_AWAIT(self->slept, xyl_sleep(XYL_US));
	CHECK_EQ(self->slept, 0);
	XYL_AWAIT(self->slept, xyl_join(xyl_spawn(greet)));
	CHECK_EQ(self->slept, 42);
	XYL_END(0);
}

static void run_glutton(void *unused)
{
	struct xyl_config config = { .heap_limit_bytes = 32 * MIB, .heap_start_bytes = 8 * MIB };
	char text[8192];

	(void)unused;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	long_text = text;
	CHECK_EQ(RUN_WITH(&config, glutton), 0);
}

TEST(at_the_heap_limit_allocation_fails_and_what_is_dropped_can_be_had_again)
{
	child_succeeds(run_glutton, NULL);
}

/* ---- operations at the limit: -ENOMEM, and the task goes on ---------------------------- */

struct starving {
	struct xyl_frame frame;
	ssize_t result;
	struct xyl_io *io;
	int enomems;
};

static void starving_note(struct starving *self)
{
	if (self->result < 0)
		CHECK_EQ(self->result, -ENOMEM);
	self->enomems += self->result == -ENOMEM;
}

static xyl_step starving(void *frame)
{
	struct starving *self = frame;

	XYL_BEGIN(self)
	exhaust();
	XYL_AWAIT(self->result, xyl_call(greet));
	if (self->result != 42)
		starving_note(self);
	XYL_AWAIT(self->result, xyl_open(&self->io, "/dev/null", 0, 0));
	CHECK_EQ(self->result, -ENOMEM);
	starving_note(self);
	XYL_AWAIT(self->result, xyl_unix_connect(&self->io, "/nowhere/at/all"));
	CHECK_EQ(self->result, -ENOMEM);
	starving_note(self);
	XYL_AWAIT(self->result, xyl_tcp_connect(&self->io, "127.0.0.1", "1"));
	CHECK_EQ(self->result, -ENOMEM);
	starving_note(self);
	CHECK(xyl_later(xyl_sleep(0)) == NULL);
	hoard_drop();
	xyl_collect();
	xyl_collect(); /* the check build keeps the dead for a while */
	XYL_AWAIT(self->result, xyl_open(&self->io, "/dev/null", 0, 0));
	CHECK_EQ(self->result, 0);
	XYL_AWAIT(self->result, xyl_close(self->io));
	CHECK_EQ(self->result, 0);
	XYL_END(self->enomems);
}

static void run_starving(void *unused)
{
	struct xyl_config config = { .heap_limit_bytes = 24 * MIB, .heap_start_bytes = 8 * MIB };

	(void)unused;
	CHECK(RUN_WITH(&config, starving) >= 3);
}

TEST(at_the_heap_limit_operations_give_enomem_and_the_task_goes_on)
{
	child_succeeds(run_starving, NULL);
}

/* ---- a task that never awaits ------------------------------------------------------- */

struct churner {
	struct xyl_frame frame;
	size_t bytes;
};

static xyl_step churner(void *frame)
{
	struct churner *self = frame;
	struct xyl_gc_stats stats;

	XYL_BEGIN(self)
	for (size_t done = 0; done < self->bytes; done += 64 * 1024)
		CHECK(xyl_alloc_bytes(64 * 1024) != NULL);
	xyl_gc_stats(&stats);
	CHECK(stats.heap_bytes < 1024 * MIB);
	XYL_END((ssize_t)(stats.heap_bytes / MIB));
}

static void run_churner(void *unused)
{
	(void)unused;
	CHECK(RUN(churner, .bytes = 2048 * MIB) < 1024);
}

TEST(a_task_that_allocates_without_awaiting_does_not_exhaust_memory)
{
#ifdef XYL_CHECK
	SKIP("what is in quarantine counts as living");
#endif
	child_succeeds(run_churner, NULL);
}
