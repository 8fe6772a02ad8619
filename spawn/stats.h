/* SPDX-License-Identifier: MIT */
/* stats.h - the statistics by name: which are counts, which are levels. */
#ifndef XYLI_SPAWN_STATS_H
#define XYLI_SPAWN_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A word of a struct of statistics, which is nothing but uint64_t. */
struct xyli_stat {
	const char *name;
	uint16_t word;
	bool is_level; /* goes up and down; else a count, which only goes up */
};

#define XYLI_STAT_COUNT(type, field)                                    \
	{                                                               \
#field, offsetof(type, field) / sizeof(uint64_t), false \
	}
#define XYLI_STAT_LEVEL(type, field)                                   \
	{                                                              \
#field, offsetof(type, field) / sizeof(uint64_t), true \
	}

#define XYLI_STATS (sizeof(struct xyl_stats) / sizeof(uint64_t))

/* Each word of struct xyl_stats, in some order. */
extern const struct xyli_stat xyli_stats[];

/* What has become of n words since: counts are what they went up by, levels what they are. */
void xyli_stats_delta(const struct xyli_stat *stats, size_t n, const uint64_t *now,
		      const uint64_t *before, uint64_t *ret_delta);

#endif
