/* SPDX-License-Identifier: MIT */
/* late.h - a result that comes for a task which has left, and the counts that say so. */
#ifndef TEST_LATE_H
#define TEST_LATE_H

#include <stddef.h>

#include "tests/hand.h"
#include "tests/raw.h"

enum { ROOM = 256, LARGE = 1 << 20 };

/* ---- the counts --------------------------------------------------------------------- */

#define COUNT(name) offsetof(struct xyl_stats, adopted_##name)

__attribute__((unused)) static const size_t counts[] = {
	COUNT(connections), COUNT(bytes),	COUNT(writes),	COUNT(opens),
	COUNT(connects),    COUNT(splices),	COUNT(sockets), COUNT(pipes),
	COUNT(rights),	    COUNT(zero_copies), COUNT(buffers)
};

__attribute__((unused)) static uint64_t count_of(const struct xyl_stats *stats, size_t offset)
{
	return *(const uint64_t *)(const void *)((const char *)stats + offset);
}

/* That one stands at n, all the others at 0. */
__attribute__((unused)) static void expect_only(const struct driven *driven, size_t offset,
						uint64_t n)
{
	struct xyl_stats stats = drive_stats(driven);

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		CHECK_EQ(count_of(&stats, counts[i]), counts[i] == offset ? n : 0);
	CHECK_EQ(stats.adopted_results, n);
}

/* ---- through the window ---------------------------------------------------------------- */

/* The result stands in the ring: its task leaves without it. */
__attribute__((unused)) static void leave(const struct driven *driven, struct xyl_task *task)
{
	hand_completion(driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(driven, task), -ECANCELED);
	hand_drained(driven);
}

#endif
