/* SPDX-License-Identifier: MIT */
/*
 * Sources of numbers.
 *
 * Design notes.  Whatever is watched is an array of words, and a table that says what each
 * is called and whether it is a count or a level; so a runtime, a channel and a variable
 * of the program's are one thing to a monitor.  Looking changes nothing: only when a line
 * has gone out is what was seen kept, and the next differences are to that.  So those in the
 * lines of a source always add up, and one that could not be written is in the next.
 */
#include "io/metrics.h"

#include <errno.h>
#include <string.h>

#include "xylem/xylem.h"

#define NAME_LONGEST 64

/* ---- what can be watched ---------------------------------------------------------------- */

static void runtime_read(const void *on, uint64_t *ret_words)
{
	xyl_runtime_stats(on, (struct xyl_stats *)ret_words);
}

static const struct xyli_source_kind runtime_kind = { "runtime", xyli_stats, XYLI_STATS,
						      runtime_read };

#define HEAP_COUNT(field) XYLI_STAT_COUNT(struct xyl_gc_stats, field)
#define HEAP_LEVEL(field) XYLI_STAT_LEVEL(struct xyl_gc_stats, field)

static const struct xyli_stat heap_stats[] = {
	HEAP_LEVEL(heap_bytes),	  HEAP_LEVEL(live_bytes),      HEAP_LEVEL(pause_last_ns),
	HEAP_LEVEL(pause_max_ns), HEAP_LEVEL(pause_p50_ns),    HEAP_LEVEL(pause_p99_ns),
	HEAP_COUNT(collections),  HEAP_COUNT(allocated_bytes), HEAP_COUNT(pause_total_ns),
};

#define HEAP_STATS (sizeof(heap_stats) / sizeof(*heap_stats))
_Static_assert(HEAP_STATS * sizeof(uint64_t) == sizeof(struct xyl_gc_stats),
	       "each statistic is a count or a level");

static void heap_read(const void *on, uint64_t *ret_words)
{
	(void)on;
	xyl_gc_stats((struct xyl_gc_stats *)ret_words);
}

static const struct xyli_source_kind heap_kind = { "heap", heap_stats, HEAP_STATS, heap_read };

/* The times of a channel are neither. */
struct chan_words {
	uint64_t len, sent, received, bytes, would_block, timed_out, canceled, closed;
};

#define CHAN_COUNT(field) XYLI_STAT_COUNT(struct chan_words, field)

static const struct xyli_stat chan_stats[] = {
	XYLI_STAT_LEVEL(struct chan_words, len),
	CHAN_COUNT(sent),
	CHAN_COUNT(received),
	CHAN_COUNT(bytes),
	CHAN_COUNT(would_block),
	CHAN_COUNT(timed_out),
	CHAN_COUNT(canceled),
	CHAN_COUNT(closed),
};

#define CHAN_STATS (sizeof(chan_stats) / sizeof(*chan_stats))

static void chan_read(const void *on, uint64_t *ret_words)
{
	struct chan_words *words = (struct chan_words *)ret_words;
	struct xyl_chan_stats stats;

	xyl_chan_stats(on, &stats);
	*words = (struct chan_words){ xyl_chan_len(on), stats.sent,	   stats.received,
				      stats.bytes,	stats.would_block, stats.timed_out,
				      stats.canceled,	stats.closed };
}

static const struct xyli_source_kind chan_kind = { "channel", chan_stats, CHAN_STATS, chan_read };

static const struct xyli_stat count_stat = { "value", 0, false };
static const struct xyli_stat level_stat = { "value", 0, true };

static void word_read(const void *on, uint64_t *ret_words)
{
	*ret_words = __atomic_load_n((const uint64_t *)on, __ATOMIC_RELAXED);
}

static const struct xyli_source_kind count_kind = { "count", &count_stat, 1, word_read };
static const struct xyli_source_kind level_kind = { "level", &level_stat, 1, word_read };

/* ---- adding ----------------------------------------------------------------------------- */

/* Nothing that JSON, or a shell, would want quoted. */
static bool name_is_plain(const char *name)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789_.-";
	size_t len = strlen(name);

	return len > 0 && len <= NAME_LONGEST && strspn(name, plain) == len;
}

static bool name_is_taken(const struct xyl_metrics *metrics, const char *name)
{
	const struct xyli_source *source = metrics->first;

	while (source && strcmp(source->name, name) != 0)
		source = source->next;
	return source != NULL;
}

static struct xyli_source *source_new(const struct xyli_source_kind *kind, const char *name,
				      const void *on)
{
	struct xyli_source *source = xyl_new(struct xyli_source);
	uint64_t *words = xyl_alloc_bytes(3 * kind->n * sizeof(*words));
	const char *copy = xyl_strdup(name);

	if (!source || !words || !copy)
		return NULL;
	memset(words, 0, 3 * kind->n * sizeof(*words));
	*source = (struct xyli_source){ .kind = kind,
					.name = copy,
					.on = on,
					.before = words,
					.now = words + kind->n,
					.delta = words + 2 * kind->n,
					.before_ns = xyl_now() };
	kind->read(on, source->before);
	return source;
}

static int source_add(struct xyl_metrics *metrics, const struct xyli_source_kind *kind,
		      const char *name, const void *on)
{
	struct xyli_source *source, **end = &metrics->first;

	if (!name_is_plain(name))
		return -EINVAL;
	if (name_is_taken(metrics, name))
		return -EEXIST;
	source = source_new(kind, name, on);
	if (!source)
		return -ENOMEM;
	while (*end)
		end = &(*end)->next;
	*end = source;
	return 0;
}

struct xyl_metrics *xyl_metrics_new(void)
{
	return xyl_new(struct xyl_metrics);
}

int xyl_metrics_add(struct xyl_metrics *metrics, const char *name, enum xyl_metric kind,
		    const uint64_t *value)
{
	return source_add(metrics, kind == XYL_LEVEL ? &level_kind : &count_kind, name, value);
}

int xyl_metrics_add_runtime(struct xyl_metrics *metrics, const char *name,
			    const struct xyl_runtime *rt)
{
	return source_add(metrics, &runtime_kind, name, rt);
}

int xyl_metrics_add_heap(struct xyl_metrics *metrics, const char *name)
{
	return source_add(metrics, &heap_kind, name, NULL);
}

int xyl_metrics_add_chan(struct xyl_metrics *metrics, const char *name, const struct xyl_chan *chan)
{
	return source_add(metrics, &chan_kind, name, chan);
}

/* ---- looking ---------------------------------------------------------------------------- */

void xyli_metrics_look(struct xyl_metrics *metrics, int64_t now_ns)
{
	for (struct xyli_source *source = metrics->first; source; source = source->next) {
		const struct xyli_source_kind *kind = source->kind;

		kind->read(source->on, source->now);
		source->now_ns = now_ns;
		xyli_stats_delta(kind->stats, kind->n, source->now, source->before, source->delta);
	}
}

void xyli_metrics_keep(struct xyl_metrics *metrics)
{
	for (struct xyli_source *source = metrics->first; source; source = source->next) {
		memcpy(source->before, source->now, source->kind->n * sizeof(*source->before));
		source->before_ns = source->now_ns;
		source->line++;
	}
}
