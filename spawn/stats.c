/* SPDX-License-Identifier: MIT */
/* Statistics compared with what they were. */
#include "spawn/stats.h"

#include "xylem/xylem.h"

#define COUNT(field) XYLI_STAT_COUNT(struct xyl_stats, field)
#define LEVEL(field) XYLI_STAT_LEVEL(struct xyl_stats, field)

const struct xyli_stat xyli_stats[] = {
	LEVEL(live),
	LEVEL(ops_outstanding),
	LEVEL(pinned_bytes),
	LEVEL(leaked_pins),
	LEVEL(handles_open),
	LEVEL(buffers),
	LEVEL(buffers_lent),
	COUNT(spawned),
	COUNT(completed),
	COUNT(aborted),
	COUNT(resumed),
	COUNT(turns),
	COUNT(ops_submitted),
	COUNT(ops_completed),
	COUNT(cancels),
	COUNT(closed_late),
	COUNT(handles_dropped),
	COUNT(handles_closed_by_stop),
	COUNT(doorbells),
	COUNT(overflow),
	COUNT(foreign_submits),
	COUNT(adopted_results),
	COUNT(adopted_connections),
	COUNT(adopted_bytes),
	COUNT(adopted_writes),
	COUNT(adopted_opens),
	COUNT(adopted_splices),
	COUNT(adopted_sockets),
	COUNT(adopted_pipes),
	COUNT(adopted_rights),
	COUNT(adopted_connects),
	COUNT(adopted_zero_copies),
	COUNT(adopted_buffers),
};

_Static_assert(sizeof(xyli_stats) / sizeof(*xyli_stats) == XYLI_STATS,
	       "each statistic is a count or a level");

void xyli_stats_delta(const struct xyli_stat *stats, size_t n, const uint64_t *now,
		      const uint64_t *before, uint64_t *ret_delta)
{
	for (size_t i = 0; i < n; i++) {
		unsigned word = stats[i].word;

		ret_delta[word] = stats[i].is_level ? now[word] : now[word] - before[word];
	}
}

void xyl_stats_delta(const struct xyl_stats *now, const struct xyl_stats *before,
		     struct xyl_stats *ret_delta)
{
	xyli_stats_delta(xyli_stats, XYLI_STATS, (const uint64_t *)now, (const uint64_t *)before,
			 (uint64_t *)ret_delta);
}

double xyl_rate(uint64_t delta, int64_t ns)
{
	return ns > 0 ? (double)delta * (double)XYL_SEC / (double)ns : 0;
}
