/* SPDX-License-Identifier: MIT */
/* When the loop collects, and what xyl_gc_stats says of it. */
#include <stdlib.h>
#include <string.h>

#include "tests/child.h"
#include "tests/run.h"
#include "xylem/xylem.h"

#define MIB ((size_t)1 << 20)

/* XYL_CHECK_COLLECT has its own idea of when to collect. */
static bool is_forced(void)
{
#ifdef XYL_CHECK
	const char *forced = getenv("XYL_CHECK_COLLECT");

	return getenv("XYL_HOSTILE") ||
	       (forced && (strcmp(forced, "turn") == 0 || strcmp(forced, "alloc") == 0));
#else
	return false;
#endif
}

static struct xyl_gc_stats stats_now(void)
{
	struct xyl_gc_stats stats;

	xyl_gc_stats(&stats);
	return stats;
}

static uint64_t collections(void)
{
	return stats_now().collections;
}

/* ---- the histogram: first, while there was no collection yet ------------------------------ */

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool is_upper_end(uint64_t end, uint64_t pause)
{
	return end >= pause && (double)end <= 1.13 * (double)pause;
}

/* In a process that has not collected before: all pauses are known to us. */
static void check_percentiles(void *unused)
{
	enum { N = 200 };
	uint64_t pauses[N];

	(void)unused;
	for (int i = 0; i < N; i++) {
		xyl_collect();
		pauses[i] = stats_now().pause_last_ns;
	}
	qsort(pauses, N, sizeof(*pauses), by_size);
	CHECK_EQ(collections(), N);
	CHECK(is_upper_end(stats_now().pause_p50_ns, pauses[N / 2 - 1]));
	CHECK(is_upper_end(stats_now().pause_p99_ns, pauses[N * 99 / 100 - 1]));
	CHECK_EQ(stats_now().pause_max_ns, pauses[N - 1]);
}

TEST(percentiles_are_within_12_percent)
{
	if (is_forced())
		SKIP("collections are forced");
	child_succeeds(check_percentiles, NULL);
}

/* ---- idle ------------------------------------------------------------------------- */

struct idle {
	struct xyl_frame frame;
	uint64_t before;
	ssize_t result;
	int i;
};

static xyl_step idle(void *frame)
{
	struct idle *self = frame;

	XYL_BEGIN(self)
	self->before = collections();
	for (self->i = 0; self->i < 200; self->i++)
		XYL_AWAIT(self->result, xyl_sleep(10 * XYL_US));
	XYL_END((ssize_t)(collections() - self->before));
}

TEST(an_idle_runtime_does_not_collect)
{
	if (is_forced())
		SKIP("collections are forced");
	CHECK_EQ(RUN(idle), 0);
}

TEST(a_runtime_that_spins_does_not_collect)
{
	struct xyl_config config = { .busy = true };

	if (is_forced())
		SKIP("collections are forced");
	CHECK_EQ(RUN_WITH(&config, idle), 0);
}

/* ---- allocating -------------------------------------------------------------------- */

struct churn {
	struct xyl_frame frame;
	size_t bytes, size, done, i;
	bool sleeps;
	uint64_t before;
	ssize_t result;
};

static xyl_step churn(void *frame)
{
	struct churn *self = frame;

	XYL_BEGIN(self)
	xyl_collect();
	self->before = collections();
	while (self->done < self->bytes) {
		for (self->i = 0; self->i < 64 * 1024; self->i += self->size)
			CHECK(xyl_alloc(self->size) != NULL);
		self->done += self->i;
		XYL_AWAIT(self->result, self->sleeps ? xyl_sleep(0) : xyl_yield());
	}
	XYL_END((ssize_t)(collections() - self->before));
}

/* Every floor while there is work; every half floor before a sleep.  A block is up to a
 * quarter larger than what was asked for. */
static void check_pace(size_t floor, size_t size, bool sleeps, ssize_t least, ssize_t most)
{
	struct xyl_config config = { .gc_floor_bytes = floor, .turn_budget = 1 };
	ssize_t got = RUN_WITH(&config, churn, .bytes = 16 * floor, .size = size, .sleeps = sleeps);

	if (got < least || got > most)
		printf("     %zd collections for 16 times the floor of %zu\n", got, floor);
	CHECK(got >= least);
	CHECK(got <= most);
}

static void check_paces(void *unused)
{
	(void)unused;
	check_pace(4 * MIB, 64, false, 14, 24);
	check_pace(8 * MIB, 1024, false, 14, 24);
	check_pace(2 * MIB, 128, false, 14, 24);
	check_pace(4 * MIB, 64, true, 26, 44);
}

TEST(a_runtime_collects_about_every_floor_bytes)
{
#ifdef XYL_CHECK
	SKIP("what is in quarantine counts as living");
#endif
	child_succeeds(check_paces, NULL);
}

struct ballast {
	struct xyl_frame frame;
	void *held[1024];
	uint64_t before;
	ssize_t result;
	int i;
};

static void ballast_take(struct ballast *self)
{
	for (size_t i = 0; i < sizeof(self->held) / sizeof(*self->held); i++)
		self->held[i] = xyl_alloc_bytes(64 * 1024 - 64);
}

/* 64 MiB live: 32 MiB of garbage are no reason to collect, 128 MiB are. */
static xyl_step ballast(void *frame)
{
	struct ballast *self = frame;

	XYL_BEGIN(self)
	ballast_take(self);
	xyl_collect();
	XYL_AWAIT(self->result, xyl_call(churn, .bytes = 24 * MIB, .size = 256));
	self->before = collections();
	XYL_AWAIT(self->result, xyl_call(churn, .bytes = 24 * MIB, .size = 256));
	CHECK(self->result <= 1);
	XYL_AWAIT(self->result, xyl_call(churn, .bytes = 256 * MIB, .size = 256));
	CHECK(self->result >= 2);
	CHECK(self->result <= 12);
	CHECK(self->held[0] != NULL);
	XYL_END(0);
}

static void run_ballast(void *unused)
{
	(void)unused;
	CHECK_EQ(RUN(ballast), 0);
}

TEST(the_more_lives_the_rarer_are_collections)
{
#ifdef XYL_CHECK
	SKIP("what is in quarantine counts as living");
#endif
	child_succeeds(run_ballast, NULL);
}

struct parked {
	struct xyl_frame frame;
	char ballast[256];
	ssize_t result;
};

static xyl_step parked(void *frame)
{
	struct parked *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->result, xyl_sleep(3600 * XYL_SEC));
	XYL_END(0);
}

struct crowd {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	uint64_t before, during;
	ssize_t result;
	int i;
};

static void crowd_spawn(struct crowd *self)
{
	for (int i = 0; i < 1000; i++)
		CHECK(xyl_scope_spawn(self->scope, parked) != NULL);
}

/* 50 000 tasks of half a KiB: 25 MB, all of them alive. */
static xyl_step crowd(void *frame)
{
	struct crowd *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	xyl_collect();
	self->before = collections();
	for (self->i = 0; self->i < 50; self->i++) {
		crowd_spawn(self);
		XYL_AWAIT(self->result, xyl_sleep(0));
	}
	self->during = collections() - self->before;
	XYL_AWAIT(self->result, xyl_scope_close(self->scope));
	XYL_END((ssize_t)self->during);
}

static void run_crowd(void *unused)
{
	ssize_t got = RUN(crowd);

	(void)unused;
	if (got > 2)
		printf("     %zd collections\n", got);
	CHECK(got <= 2);
}

TEST(tasks_in_flight_are_known_to_live)
{
#ifdef XYL_CHECK
	SKIP("what is in quarantine counts as living");
#endif
	child_succeeds(run_crowd, NULL);
}

/* ---- the figures --------------------------------------------------------------------- */

TEST(each_collection_is_counted)
{
	uint64_t before = collections();

	for (int i = 0; i < 10; i++)
		xyl_collect();
	CHECK_EQ(collections(), before + 10);
}

TEST(the_figures_agree_with_each_other)
{
	if (is_forced())
		SKIP("collections are forced");
	for (int i = 0; i < 50; i++) {
		struct xyl_gc_stats before = stats_now(), stats;

		for (int j = 0; j < 100; j++)
			CHECK(xyl_alloc(1 + test_random() % 1000) != NULL);
		xyl_collect();
		stats = stats_now();
		CHECK(stats.pause_last_ns > 0);
		CHECK(stats.pause_last_ns <= stats.pause_max_ns);
		CHECK(stats.pause_p50_ns <= stats.pause_p99_ns);
		CHECK(stats.pause_p99_ns <= stats.pause_max_ns);
		CHECK(stats.pause_p50_ns > 0);
		CHECK(stats.pause_max_ns >= before.pause_max_ns);
		CHECK_EQ(stats.pause_total_ns, before.pause_total_ns + stats.pause_last_ns);
		CHECK(stats.pause_total_ns >= stats.pause_max_ns);
		CHECK(stats.pause_max_ns * stats.collections >= stats.pause_total_ns);
		CHECK(stats.live_bytes <= stats.heap_bytes);
	}
}

TEST(what_is_allocated_is_counted_and_what_lives_is_measured)
{
	struct xyl_gc_stats before = stats_now(), after;
	static void *held[64];

	for (int i = 0; i < 64; i++)
		held[i] = xyl_alloc_bytes(MIB / 2);
	after = stats_now();
	CHECK(after.allocated_bytes - before.allocated_bytes >= 32 * MIB);
	CHECK(after.allocated_bytes - before.allocated_bytes < 48 * MIB);
	xyl_collect();
	after = stats_now();
	CHECK(after.live_bytes >= 32 * MIB);
	CHECK(after.heap_bytes >= after.live_bytes);
	memset(held, 0, sizeof(held));
#ifndef XYL_CHECK
	xyl_collect();
	CHECK(stats_now().live_bytes < after.live_bytes - 24 * MIB);
#endif
}
