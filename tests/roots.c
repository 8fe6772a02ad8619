/* SPDX-License-Identifier: MIT */
/* Roots: counted one by one, from any thread, each with a generation. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/run.h"
#include "xylem/xylem.h"

enum { THREADS = 4, GUARDS = 10000 };

__attribute__((noinline)) static void stack_clear(void)
{
	volatile char stale[16384];

	for (size_t i = 0; i < sizeof(stale); i++)
		stale[i] = 0;
}

static void collect(void)
{
	stack_clear();
	xyl_collect();
	stack_clear();
}

/* Roots and weak references lie where the collector finds no objects. */
static xyl_root guards[GUARDS], second[GUARDS];
static struct xyl_weak *weak[GUARDS];

__attribute__((noinline)) static void guard_all(bool twice)
{
	for (uint32_t i = 0; i < GUARDS; i++) {
		uint32_t *obj = xyl_alloc(32);

		*obj = i;
		guards[i] = xyl_root_add(obj);
		CHECK(guards[i].generation != 0);
		if (twice)
			second[i] = xyl_root_add(obj);
		weak[i] = xyl_weak_new(obj);
	}
}

static size_t living(void)
{
	size_t count = 0;

	for (int i = 0; i < GUARDS; i++)
		count += xyl_weak_get(weak[i]) != NULL;
	return count;
}

__attribute__((noinline)) static void guards_check(const xyl_root *roots)
{
	for (uint32_t i = 0; i < GUARDS; i++) {
		const uint32_t *obj = xyl_root_get(roots[i]);

		CHECK(obj != NULL);
		CHECK_EQ(*obj, i);
	}
}

static void drop_all(xyl_root *roots)
{
	for (int i = 0; i < GUARDS; i++)
		xyl_root_drop(&roots[i]);
}

static void forget_all(void)
{
	memset(weak, 0, sizeof(weak));
}

TEST(ten_thousand_guards_keep_their_objects_and_dropping_them_lets_these_die)
{
	size_t before = xyl_root_count();

	guard_all(false);
	CHECK_EQ(xyl_root_count(), before + GUARDS);
	for (int i = 0; i < 3; i++)
		collect();
	CHECK_EQ(living(), GUARDS);
	guards_check(guards);
	drop_all(guards);
	CHECK_EQ(xyl_root_count(), before);
	collect();
	CHECK(living() < GUARDS / 20);
	forget_all();
}

TEST(of_two_guards_on_one_object_dropping_one_keeps_it)
{
	size_t before = xyl_root_count();

	guard_all(true);
	CHECK_EQ(xyl_root_count(), before + 2 * (size_t)GUARDS);
	drop_all(guards);
	collect();
	CHECK_EQ(living(), GUARDS);
	guards_check(second);
	CHECK_EQ(xyl_root_count(), before + GUARDS);
	drop_all(second);
	collect();
	CHECK(living() < GUARDS / 20);
	CHECK_EQ(xyl_root_count(), before);
	forget_all();
}

TEST(a_guard_costs_less_than_32_bytes)
{
	struct xyl_gc_stats before, after;

	drop_all(guards);
	xyl_gc_stats(&before);
	for (int i = 0; i < GUARDS; i++)
		guards[i] = xyl_root_add(&guards);
	for (int i = 0; i < GUARDS; i++)
		second[i] = xyl_root_add(&guards);
	xyl_gc_stats(&after);
	CHECK(after.allocated_bytes - before.allocated_bytes < 32 * 2 * (size_t)GUARDS);
	drop_all(guards);
	drop_all(second);
}

/* ---- generations ------------------------------------------------------------------- */

TEST(a_dropped_root_gives_null_and_so_does_each_copy_of_it)
{
	xyl_root root = xyl_root_add(&guards), copy = root;

	CHECK(xyl_root_get(copy) == &guards);
	xyl_root_drop(&root);
	CHECK_EQ(root.generation, 0);
	CHECK(xyl_root_get(root) == NULL);
	CHECK(xyl_root_get(copy) == NULL);
}

TEST(dropping_twice_or_dropping_nothing_is_no_operation)
{
	size_t before = xyl_root_count();
	xyl_root root = xyl_root_add(&guards), none = { 0 };

	xyl_root_drop(&root);
	xyl_root_drop(&root);
	xyl_root_drop(&none);
	CHECK_EQ(xyl_root_count(), before);
	CHECK(xyl_root_get(none) == NULL);
}

TEST(a_stale_handle_does_not_reach_the_next_owner_of_its_slot)
{
	size_t before = xyl_root_count();
	xyl_root old[100];

	for (int i = 0; i < 100; i++) {
		xyl_root root = xyl_root_add(&guards);

		old[i] = root;
		xyl_root_drop(&root);
	}
	guards[0] = xyl_root_add(&weak);
	for (int i = 0; i < 100; i++) {
		CHECK(xyl_root_get(old[i]) == NULL);
		xyl_root_drop(&old[i]);
	}
	CHECK(xyl_root_get(guards[0]) == &weak);
	CHECK_EQ(xyl_root_count(), before + 1);
	xyl_root_drop(&guards[0]);
}

/* ---- a block ------------------------------------------------------------------------- */

__attribute__((noinline)) static struct xyl_weak *rooted_block(size_t before)
{
	uint32_t *obj = xyl_alloc(64);
	struct xyl_weak *ref = xyl_weak_new(obj);
	XYL_ROOTED(guard, obj);

	CHECK(xyl_root_get(guard) == obj);
	CHECK_EQ(xyl_root_count(), before + 1);
	{
		XYL_ROOTED(inner, ref);

		CHECK_EQ(xyl_root_count(), before + 2);
	}
	CHECK_EQ(xyl_root_count(), before + 1);
	return ref;
}

TEST(a_rooted_block_holds_its_root_to_its_end_however_it_is_left)
{
	size_t before = xyl_root_count();

	CHECK(rooted_block(before) != NULL);
	CHECK_EQ(xyl_root_count(), before);
	for (int i = 0; i < 3; i++) {
		XYL_ROOTED(guard, weak);

		if (i == 1)
			continue;
	}
	CHECK_EQ(xyl_root_count(), before);
}

/* ---- printing -------------------------------------------------------------------------- */

static size_t dump(char *text, size_t size, int *ret_count)
{
	char path[] = "/tmp/xylem-roots-XXXXXX";
	int fd = mkstemp(path);
	ssize_t n;

	CHECK(fd >= 0);
	unlink(path);
	*ret_count = xyl_dump_roots(fd);
	n = pread(fd, text, size - 1, 0);
	CHECK(n >= 0);
	text[n] = 0;
	close(fd);
	return (size_t)n;
}

static size_t count_of(const char *text, const char *what)
{
	size_t count = 0;

	for (; (text = strstr(text, what)); text++)
		count++;
	return count;
}

TEST(each_root_is_listed_with_its_object)
{
	static char text[65536];
	char expected[64];
	int before, count;

	dump(text, sizeof(text), &before);
	for (int i = 0; i < 50; i++)
		guards[i] = xyl_root_add(&guards[i]);
	dump(text, sizeof(text), &count);
	CHECK_EQ(count, before + 50);
	CHECK_EQ(count_of(text, "\n"), count);
	for (int i = 0; i < 50; i++) {
		snprintf(expected, sizeof(expected), "%p", (void *)&guards[i]);
		CHECK_EQ(count_of(text, expected), 1);
		xyl_root_drop(&guards[i]);
	}
	dump(text, sizeof(text), &count);
	CHECK_EQ(count, before);
}

TEST(the_check_build_says_who_took_a_root)
{
#ifdef XYL_CHECK
	static char text[65536];
	char expected[64];
	xyl_root root = xyl_root_add(&guards);
	int count, line = __LINE__ - 1;

	dump(text, sizeof(text), &count);
	snprintf(expected, sizeof(expected), "roots.c:%d", line);
	CHECK(strstr(text, expected) != NULL);
	xyl_root_drop(&root);
	dump(text, sizeof(text), &count);
	CHECK(strstr(text, expected) == NULL);
#else
	SKIP("not the check build");
#endif
}

TEST(a_list_that_cannot_be_written_gives_the_error)
{
	xyl_root root = xyl_root_add(&guards);

	CHECK(xyl_dump_roots(-1) < 0);
	xyl_root_drop(&root);
}

/* ---- threads -------------------------------------------------------------------------- */

static atomic_bool go;

static void threads_run(void *(*fn)(void *), void *const *args)
{
	pthread_t threads[THREADS];

	atomic_store(&go, false);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, fn, args ? args[i] : NULL) == 0);
	atomic_store(&go, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Add, look, drop, in random order, never more than 64 at a time. */
static void *churn(void *unused)
{
	xyl_root mine[64] = { { 0 } };
	uint64_t *objs = NULL;
	size_t rounds = test_scaled(100000);

	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	objs = xyl_alloc(64 * sizeof(*objs));
	while (!atomic_load(&go))
		sched_yield();
	for (size_t i = 0; i < rounds; i++) {
		size_t which = test_random() % 64;

		if (mine[which].generation) {
			CHECK(xyl_root_get(mine[which]) == &objs[which]);
			xyl_root_drop(&mine[which]);
		} else {
			mine[which] = xyl_root_add(&objs[which]);
			CHECK(mine[which].generation != 0);
		}
	}
	for (int i = 0; i < 64; i++)
		xyl_root_drop(&mine[i]);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(four_threads_add_look_and_drop_at_once)
{
	size_t before = xyl_root_count();

	threads_run(churn, NULL);
	CHECK_EQ(xyl_root_count(), before);
}

/* Each slot of `passed` is filled by one thread and emptied by another. */
static _Atomic uint64_t passed[64];
static atomic_size_t dropped;

static xyl_root unpack(uint64_t packed)
{
	return (xyl_root){ (uint32_t)packed, (uint32_t)(packed >> 32) };
}

static void pass_or_drop(size_t which)
{
	uint64_t packed = atomic_exchange(&passed[which], 0), none = 0;
	xyl_root root = unpack(packed);

	if (packed) {
		CHECK(xyl_root_get(root) == &passed[which]);
		xyl_root_drop(&root);
		atomic_fetch_add(&dropped, 1);
		return;
	}
	root = xyl_root_add(&passed[which]);
	packed = (uint64_t)root.generation << 32 | root.slot;
	if (!atomic_compare_exchange_strong(&passed[which], &none, packed))
		xyl_root_drop(&root);
}

static void *pass(void *unused)
{
	size_t rounds = test_scaled(100000);

	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	while (!atomic_load(&go))
		sched_yield();
	for (size_t i = 0; i < rounds; i++)
		pass_or_drop(test_random() % 64);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(a_root_may_be_dropped_by_another_thread)
{
	size_t before = xyl_root_count();

	threads_run(pass, NULL);
	CHECK(atomic_load(&dropped) > 0);
	for (int i = 0; i < 64; i++) {
		xyl_root root = unpack(passed[i]);

		passed[i] = 0;
		xyl_root_drop(&root);
	}
	CHECK_EQ(xyl_root_count(), before);
}

/* All drop copies of the same roots: of each, one drop counts. */
static void *drop_copies(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	while (!atomic_load(&go))
		sched_yield();
	for (int i = 0; i < GUARDS; i++) {
		xyl_root copy = guards[i];

		xyl_root_drop(&copy);
	}
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(of_many_droppers_of_one_root_one_wins)
{
	size_t before = xyl_root_count();

	for (int i = 0; i < GUARDS; i++)
		guards[i] = xyl_root_add(&guards[i]);
	threads_run(drop_copies, NULL);
	CHECK_EQ(xyl_root_count(), before);
	for (int i = 0; i < GUARDS; i++)
		guards[i] = xyl_root_add(&guards[i]);
	CHECK_EQ(xyl_root_count(), before + GUARDS);
	drop_all(guards);
}

/* ---- a shard's own table ---------------------------------------------------------------- */

struct adder {
	struct xyl_frame frame;
	int i;
};

static xyl_step adder(void *frame)
{
	struct adder *self = frame;

	XYL_BEGIN(self)
	for (int i = 0; i < GUARDS; i++)
		guards[i] = xyl_root_add(&guards[i]);
	XYL_END(0);
}

TEST(roots_outlive_the_runtime_in_which_they_were_taken)
{
	size_t before = xyl_root_count();

	CHECK_EQ(xyl_run(adder), 0);
	CHECK_EQ(xyl_root_count(), before + GUARDS);
	for (int i = 0; i < GUARDS; i++)
		CHECK(xyl_root_get(guards[i]) == &guards[i]);
	drop_all(guards);
	CHECK_EQ(xyl_root_count(), before);
}

struct dropper {
	struct xyl_frame frame;
};

static xyl_step dropper(void *frame)
{
	struct dropper *self = frame;

	XYL_BEGIN(self)
	drop_all(guards);
	XYL_END(0);
}

TEST(a_shard_may_drop_what_another_thread_took)
{
	size_t before = xyl_root_count();

	for (int i = 0; i < GUARDS; i++)
		guards[i] = xyl_root_add(&guards[i]);
	CHECK_EQ(xyl_run(dropper), 0);
	CHECK_EQ(xyl_root_count(), before);
}

struct stale {
	struct xyl_frame frame;
};

/* In a shard's own table, where nothing is locked. */
static xyl_step stale(void *frame)
{
	struct stale *self = frame;

	XYL_BEGIN(self)
	xyl_root root = xyl_root_add(&guards[0]), copy = root, other;

	xyl_root_drop(&root);
	other = xyl_root_add(&guards[1]);
	CHECK_EQ(other.slot, copy.slot);
	CHECK(!xyl_root_get(copy));
	xyl_root_drop(&copy);
	CHECK(xyl_root_get(other) == &guards[1]);
	xyl_root_drop(&other);
	XYL_END(0);
}

TEST(in_a_shard_too_a_stale_handle_does_not_reach_the_next_owner)
{
	size_t before = xyl_root_count();

	CHECK_EQ(xyl_run(stale), 0);
	CHECK_EQ(xyl_root_count(), before);
}

/* A started runtime adds and hands over; this thread drops. */
struct giver {
	struct xyl_frame frame;
	size_t rounds, i;
	ssize_t result;
};

static xyl_step giver(void *frame)
{
	struct giver *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->rounds; self->i++) {
		for (size_t which = 0; which < 64; which++)
			pass_or_drop(which);
		XYL_AWAIT(self->result, xyl_yield());
		if (self->result < 0)
			break;
	}
	XYL_END(0);
}

TEST(a_shard_and_another_thread_drop_each_others_roots)
{
	struct census before = census_take();
	struct xyl_runtime *rt;
	struct xyl_task *task;
	size_t rounds = test_scaled(5000);

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	task = xyl_runtime_spawn(rt, XYL_HERE, giver, .rounds = rounds);
	CHECK(task != NULL);
	while (!xyl_is_done(task))
		pass_or_drop(test_random() % 64);
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	for (int i = 0; i < 64; i++) {
		xyl_root root = unpack(passed[i]);

		passed[i] = 0;
		xyl_root_drop(&root);
	}
	census_check(&before, rt);
}

TEST(roots_may_be_listed_while_a_shard_takes_more)
{
	struct census before = census_take();
	FILE *null = fopen("/dev/null", "w");
	struct xyl_runtime *rt;
	struct xyl_task *task;

	CHECK(null != NULL);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	task = xyl_runtime_spawn(rt, XYL_HERE, adder);
	CHECK(task != NULL);
	do
		CHECK(xyl_dump_roots(fileno(null)) >= 0);
	while (!xyl_is_done(task));
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	drop_all(guards);
	fclose(null);
	census_check(&before, rt);
}
