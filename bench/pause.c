/* SPDX-License-Identifier: MIT */
/*
 * How long does the world stand still for a collection?  A task allocates 100 MB a second
 * beside 200 MB that live (a list of 256-byte objects, in order), and beside next to
 * nothing.  And how long is one full collection of the 200 MB, in order and shuffled,
 * beside bdwgc alone with its own defaults?
 *
 * What would make it lie: a live set that lies in allocation order only (shuffled, each
 * object is a cache miss); a run with one or two collections (hence 6 s, and their count);
 * pauses as the library counts them and nothing else, hence a second task that wakes every
 * millisecond and notes how late it was at worst.
 */
#include "harness.h"

#include <gc.h>
#include <stdio.h>
#include <xylem/xylem.h>

enum { GARBAGE_BYTES_PER_MS = 100000, GARBAGE = 128, COLLECTIONS = 3 };
enum { P50, P99, LONGEST, COUNT, LATE, PAUSES_MAX = 10000 };

static const int64_t LOAD_NS = 6000000000;

struct leaf {
	struct leaf *next;
	char rest[248];
};

static struct leaf *live; /* a static: the collector sees it */

static void *gc_alloc(size_t size)
{
	return GC_malloc(size);
}

/* A list of that many bytes; shuffled, the links jump about in it. */
static void live_make(long bytes, bool shuffled, void *(*alloc)(size_t))
{
	size_t n = (size_t)bytes / sizeof(struct leaf);
	struct leaf **leaves = alloc((n + 1) * sizeof(struct leaf *));
	uint64_t random = 88172645463325252u;

	bench_check(leaves != NULL, "memory for the live set");
	for (size_t i = 0; i < n; i++) {
		leaves[i] = alloc(sizeof(struct leaf));
		bench_check(leaves[i] != NULL, "memory for the live set");
	}
	for (size_t i = n; shuffled && i > 1; i--) {
		size_t j = bench_random(&random) % i;
		struct leaf *leaf = leaves[i - 1];

		leaves[i - 1] = leaves[j];
		leaves[j] = leaf;
	}
	for (size_t i = 0; i < n; i++) {
		leaves[i]->next = live;
		live = leaves[i];
		leaves[i] = NULL; /* the list alone holds them */
	}
}

/* ---- under load ---- */

struct litter {
	struct xyl_frame frame;
	int64_t end;
	ssize_t r;
};

static xyl_step litter(void *frame)
{
	struct litter *self = frame;

	XYL_BEGIN(self)
	while (bench_now() < self->end) {
		for (int i = 0; i < GARBAGE_BYTES_PER_MS / GARBAGE; i++)
			bench_check(xyl_alloc(GARBAGE) != NULL, "xyl_alloc");
		XYL_AWAIT(self->r, xyl_sleep(XYL_MS));
	}
	XYL_END(0);
}

struct ticker {
	struct xyl_frame frame;
	int64_t end, due, latest;
	uint64_t seen;
	double *ret;
	ssize_t r;
};

static double pauses_us[PAUSES_MAX];

/* The library's percentiles are of all its life; these are of the load alone. */
static void pause_note(struct ticker *self)
{
	struct xyl_gc_stats stats;
	int count = (int)self->ret[COUNT];

	xyl_gc_stats(&stats);
	if (stats.collections == self->seen || count == PAUSES_MAX)
		return;
	self->seen = stats.collections;
	pauses_us[count] = (double)stats.pause_last_ns / 1e3;
	self->ret[COUNT]++;
}

static xyl_step ticker(void *frame)
{
	struct ticker *self = frame;

	XYL_BEGIN(self)
	while (self->due < self->end) {
		self->due = bench_now() + XYL_MS;
		XYL_AWAIT(self->r, xyl_sleep_until(self->due));
		if (bench_now() - self->due > self->latest)
			self->latest = bench_now() - self->due;
		pause_note(self);
	}
	self->ret[LATE] = (double)self->latest / 1e3;
	XYL_END(0);
}

struct under_load {
	struct xyl_frame frame;
	long live_bytes;
	double *ret;
	struct xyl_task *litter, *ticker;
	struct xyl_gc_stats before;
	ssize_t r;
};

static xyl_step under_load(void *frame)
{
	struct under_load *self = frame;

	XYL_BEGIN(self)
	live_make(self->live_bytes, false, xyl_alloc);
	xyl_collect();
	XYL_AWAIT(self->r, xyl_yield());
	xyl_gc_stats(&self->before);
	self->litter = xyl_spawn(litter, .end = bench_now() + LOAD_NS);
	self->ticker = xyl_spawn(ticker, .end = bench_now() + LOAD_NS, .ret = self->ret,
				 .seen = self->before.collections);
	XYL_AWAIT(self->r, xyl_join(self->litter));
	XYL_AWAIT(self->r, xyl_join(self->ticker));
	XYL_END(0);
}

static void load_run(long live_bytes, double *ret)
{
	int count;

	bench_check(xyl_run(under_load, .live_bytes = live_bytes, .ret = ret) == 0,
		    xyl_runtime_why());
	count = (int)ret[COUNT];
	bench_check(count > 0, "a collection fell into the time");
	bench_median(pauses_us, count); /* sorts */
	ret[P50] = pauses_us[count / 2];
	ret[P99] = pauses_us[(count - 1) * 99 / 100];
	ret[LONGEST] = pauses_us[count - 1];
}

static void load_print(const char *what, const double *figures)
{
	static const char *const names[] = { "p50", "p99", "longest", "count",
					     "1 ms timer late by" };
	char question[64];

	for (int f = 0; f <= LATE; f++) {
		snprintf(question, sizeof(question), "pause, %s live: %s", what, names[f]);
		bench_print(question, figures[f], f == COUNT ? "" : "us");
	}
}

/* ---- one full collection ---- */

static void time_collections(void (*collect)(void), double *ret)
{
	double ns[COLLECTIONS];

	collect(); /* the first one also marks what making the list left behind */
	for (int i = 0; i < COLLECTIONS; i++) {
		int64_t t0 = bench_now();

		collect();
		ns[i] = bench_ns_each(t0, 1);
	}
	ret[0] = bench_median(ns, COLLECTIONS) / 1e6;
}

struct full {
	struct xyl_frame frame;
	bool shuffled;
	long bytes;
	double *ret;
};

static xyl_step full(void *frame)
{
	struct full *self = frame;

	XYL_BEGIN(self)
	live_make(self->bytes, self->shuffled, xyl_alloc);
	time_collections(xyl_collect, self->ret);
	XYL_END(0);
}

static void xylem_in_order(long bytes, double *ret)
{
	bench_check(xyl_run(full, .bytes = bytes, .ret = ret) == 0, xyl_runtime_why());
}

static void xylem_shuffled(long bytes, double *ret)
{
	bench_check(xyl_run(full, .bytes = bytes, .ret = ret, .shuffled = true) == 0,
		    xyl_runtime_why());
}

static void bdwgc_in_order(long bytes, double *ret)
{
	GC_INIT();
	live_make(bytes, false, gc_alloc);
	time_collections(GC_gcollect, ret);
}

static void bdwgc_shuffled(long bytes, double *ret)
{
	GC_INIT();
	live_make(bytes, true, gc_alloc);
	time_collections(GC_gcollect, ret);
}

int main(int argc, char **argv)
{
	double figures[BENCH_FIGURES];
	struct bench_pair pair;
	long bytes;

	bench_init(argc, argv);
	bytes = bench_n(200000000);
	bench_alone(load_run, bytes, 1, figures);
	load_print("200 MB", figures);
	bench_alone(load_run, 0, 1, figures);
	load_print("little", figures);
	bench_in_turn(xylem_in_order, bdwgc_in_order, bytes, 3, &pair);
	bench_print_beside("full collection, 200 MB in order", pair.a[0], "ms", "bdwgc alone",
			   pair.b[0], pair.ratio[0]);
	bench_in_turn(xylem_shuffled, bdwgc_shuffled, bytes, 3, &pair);
	bench_print_beside("full collection, 200 MB shuffled", pair.a[0], "ms", "bdwgc alone",
			   pair.b[0], pair.ratio[0]);
	return 0;
}
