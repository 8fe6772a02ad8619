/* SPDX-License-Identifier: MIT */
/*
 * run.h - a run under a census: what a runtime leaves behind is nothing.
 *
 *	CHECK_EQ(RUN(echo, .peer = io), 4);
 *
 * runs an async function as xyl_run does, then counts: no task, no operation, no pinned
 * byte, no handle, no more roots and descriptors than before.
 */
#ifndef TEST_RUN_H
#define TEST_RUN_H

#include <stdlib.h>

#include "tests/harness.h"
#include "xylem/xylem.h"

struct census {
	size_t fds, roots;
};

/* A number of rounds, less where each of them is slow: in the check build, and divided
 * by XYL_TEST_SCALE where the environment says so. */
__attribute__((unused)) static size_t test_scaled(size_t n)
{
	const char *scale = getenv("XYL_TEST_SCALE");
	size_t by = scale ? strtoull(scale, NULL, 0) : 1;

#ifdef XYL_CHECK
	by = by > 20 ? by : 20;
#endif
	return n > by && by > 1 ? n / by : n;
}

__attribute__((unused)) static struct census census_take(void)
{
	return (struct census){ .fds = test_fd_count(), .roots = xyl_root_count() };
}

/* Late results, by kind. */
__attribute__((unused)) static uint64_t adopted_by_kind(const struct xyl_stats *stats)
{
	return stats->adopted_connections + stats->adopted_bytes + stats->adopted_writes +
	       stats->adopted_opens + stats->adopted_connects + stats->adopted_sockets +
	       stats->adopted_pipes + stats->adopted_rights + stats->adopted_splices +
	       stats->adopted_zero_copies + stats->adopted_buffers;
}

__attribute__((unused)) static void census_check_stats(const struct xyl_runtime *rt)
{
	struct xyl_stats stats;

	xyl_runtime_stats(rt, &stats);
	CHECK_EQ(stats.live, 0);
	CHECK_EQ(stats.spawned, stats.completed);
	CHECK_EQ(stats.ops_outstanding, 0);
	CHECK_EQ(stats.ops_submitted, stats.ops_completed);
	CHECK_EQ(stats.pinned_bytes, 0);
	CHECK_EQ(stats.leaked_pins, 0);
	CHECK_EQ(stats.handles_open, 0);
	CHECK_EQ(stats.adopted_results, adopted_by_kind(&stats));
}

/* After a stop. */
__attribute__((unused)) static void census_check(const struct census *before,
						 const struct xyl_runtime *rt)
{
	if (rt)
		census_check_stats(rt);
	CHECK_EQ(xyl_root_count(), before->roots);
	CHECK_EQ(test_fd_count(), before->fds);
}

/* ---- RUN ------------------------------------------------------------------------- */

struct run_observed {
	struct xyl_frame frame;
	const struct xyli_fn *fn;
	const void *init;
	struct xyl_runtime **ret_rt;
	ssize_t result;
};

static xyl_step run_observed(void *frame)
{
	struct run_observed *self = frame;

	XYL_BEGIN(self)
	*self->ret_rt = xyl_runtime_self();
	XYL_AWAIT(self->result, xyli_call(self->fn, self->init));
	XYL_END(self->result);
}

__attribute__((unused)) static ssize_t run_with_census(const struct xyl_config *config,
						       const struct xyli_fn *fn, const void *init)
{
	struct census before = census_take();
	struct xyl_runtime *rt = NULL;
	ssize_t result;

	result = xyl_run_with(config, run_observed, .fn = fn, .init = init, .ret_rt = &rt);
	census_check(&before, rt);
	return result;
}

#define RUN_WITH(config, fn, ...) run_with_census(config, XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__))
#define RUN(fn, ...) RUN_WITH(NULL, fn, __VA_ARGS__)

#endif
