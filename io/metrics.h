/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - named sources of numbers, and what each was at the last look.
 *
 *	metrics ──> source ──> source		in the order in which they were added
 *	              └──> before, now: a word for each of its kind's statistics
 */
#ifndef XYLI_IO_METRICS_H
#define XYLI_IO_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spawn/stats.h"

struct xyli_source;

struct xyli_source_kind {
	const char *type;
	const struct xyli_stat *stats;
	size_t n;
	void (*read)(const void *on, uint64_t *ret_words);
};

struct xyli_source {
	struct xyli_source *next;
	const struct xyli_source_kind *kind;
	const char *name;
	const void *on;
	uint64_t *before, *now, *delta;
	int64_t before_ns, now_ns;
	uint64_t line; /* lines that were given out */
};

struct xyl_metrics {
	struct xyli_source *first;
	bool watched; /* by a monitor; there can be only one */
};

/* Look at all of them; the differences are to what was, when they were last kept. */
void xyli_metrics_look(struct xyl_metrics *metrics, int64_t now_ns);
void xyli_metrics_keep(struct xyl_metrics *metrics);

#endif
