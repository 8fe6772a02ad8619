/* SPDX-License-Identifier: MIT */
/*
 * Pacing and pause accounting.
 *
 * Design notes.  A collection costs time in proportion to what lives, and wins what
 * died.  So: collect when about as much may have died as lives (or the floor, 4 MiB,
 * which keeps frames in cache while little lives).  Tasks in flight are counted as
 * living at once: a program that spawns a million tasks would otherwise pay for
 * collections that can find nothing.
 *
 * What lives after a collection is taken as heap minus free blocks; blocks that are
 * partly in use count whole.  The histogram has 8 bins an octave (12 %).
 */
#include "gc/pace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "gc/bdwgc.h"
#include "gc/check.h"
#include "gc/heap.h"
#include "gc/loan.h"
#include "gc/world.h"
#include "xylem/xylem.h"

#define FLOOR_DEFAULT ((size_t)4 << 20)
#define RUNAWAY_FLOOR ((size_t)256 << 20)
#define BINS_PER_OCTAVE 8
#define BINS (64 * BINS_PER_OCTAVE)

static atomic_size_t pace_floor = FLOOR_DEFAULT;
static atomic_size_t pace_live;	     /* bytes, after the last collection */
static atomic_size_t pace_in_flight; /* bytes of tasks at the last collection */

/* Written in collection events, which hold bdwgc's lock. */
static struct {
	int64_t began_ns;
	uint64_t collections, last_ns, max_ns, total_ns;
	uint64_t bins[BINS];
} pauses;

static int64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * XYL_SEC + ts.tv_nsec;
}

/* Bin of a duration: its octave, and the three bits below the leading one. */
static unsigned bin_of(uint64_t ns)
{
	unsigned octave;

	if (ns < BINS_PER_OCTAVE)
		return (unsigned)ns;
	octave = 63 - (unsigned)__builtin_clzll(ns);
	return (octave - 2) * BINS_PER_OCTAVE + (unsigned)(ns >> (octave - 3)) % BINS_PER_OCTAVE;
}

static uint64_t bin_end(unsigned bin)
{
	unsigned octave = bin / BINS_PER_OCTAVE + 2;

	if (bin < BINS_PER_OCTAVE)
		return bin;
	return ((uint64_t)(BINS_PER_OCTAVE + bin % BINS_PER_OCTAVE + 1) << (octave - 3)) - 1;
}

static void pause_record(uint64_t ns)
{
	pauses.collections++;
	pauses.last_ns = ns;
	pauses.total_ns += ns;
	if (ns > pauses.max_ns)
		pauses.max_ns = ns;
	pauses.bins[bin_of(ns)]++;
}

static void pace_on_event(GC_EventType event)
{
	xyli_check_event((int)event);
	if (event == GC_EVENT_START) {
		pauses.began_ns = clock_ns();
	} else if (event == GC_EVENT_RECLAIM_END) {
		xyli_loans_look();
	} else if (event == GC_EVENT_END) {
		atomic_store_explicit(&pace_live, GC_get_heap_size() - GC_get_free_bytes(),
				      memory_order_relaxed);
		pause_record((uint64_t)(clock_ns() - pauses.began_ns));
	}
}

void xyli_pace_start(void)
{
	GC_set_on_collection_event(pace_on_event);
}

void xyli_pace_floor(size_t bytes)
{
	atomic_store_explicit(&pace_floor, bytes ? bytes : FLOOR_DEFAULT, memory_order_relaxed);
}

/* What was allocated or lent, less what lies in stock: it cannot have died. */
static size_t bytes_fresh(ptrdiff_t lent)
{
	size_t fresh = xyli_heap_fresh();

	return lent < 0 && (size_t)-lent > fresh ? 0 : fresh + (size_t)lent;
}

bool xyli_pace_due(size_t in_flight, ptrdiff_t lent, bool idle)
{
	size_t fresh = bytes_fresh(lent);
	size_t floor = atomic_load_explicit(&pace_floor, memory_order_relaxed);
	size_t before, live;

	if (fresh < floor / 2)
		return false;
	before = atomic_load_explicit(&pace_in_flight, memory_order_relaxed);
	live = atomic_load_explicit(&pace_live, memory_order_relaxed);
	if (in_flight > before)
		fresh -= in_flight - before < fresh ? in_flight - before : fresh;
	if (live < floor)
		live = floor;
	return fresh >= (idle ? live / 2 : live);
}

void xyli_pace_collected(size_t in_flight)
{
	atomic_store_explicit(&pace_in_flight, in_flight, memory_order_relaxed);
}

void xyli_pace_relieve(void)
{
	size_t live = atomic_load_explicit(&pace_live, memory_order_relaxed);
	size_t fresh = xyli_heap_fresh();

	if (fresh > RUNAWAY_FLOOR && fresh > 2 * live)
		xyli_world_collect_anywhere();
}

/* ---- accounting ---------------------------------------------------------------- */

/* The end of the bin in which the given share of all pauses is reached. */
static uint64_t pause_percentile(unsigned percent)
{
	uint64_t wanted = (pauses.collections * percent + 99) / 100;
	uint64_t seen = 0;

	for (unsigned bin = 0; bin < BINS && wanted; bin++) {
		seen += pauses.bins[bin];
		if (seen >= wanted)
			return bin_end(bin) < pauses.max_ns ? bin_end(bin) : pauses.max_ns;
	}
	return 0;
}

static void *pause_copy(void *ret)
{
	struct xyl_gc_stats *stats = ret;

	stats->collections = pauses.collections;
	stats->pause_last_ns = pauses.last_ns;
	stats->pause_max_ns = pauses.max_ns;
	stats->pause_total_ns = pauses.total_ns;
	stats->pause_p50_ns = pause_percentile(50);
	stats->pause_p99_ns = pause_percentile(99);
	return NULL;
}

void xyl_gc_stats(struct xyl_gc_stats *ret_stats)
{
	xyli_heap_start();
	GC_call_with_alloc_lock(pause_copy, ret_stats);
	ret_stats->heap_bytes = GC_get_heap_size();
	ret_stats->live_bytes = atomic_load_explicit(&pace_live, memory_order_relaxed);
	ret_stats->allocated_bytes = GC_get_total_bytes();
}
