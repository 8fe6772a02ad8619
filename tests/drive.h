/* SPDX-License-Identifier: MIT */
/*
 * drive.h - a runtime driven by hand, turn by turn, under a census.
 *
 *	struct driven driven = drive_begin(NULL);
 *	struct xyl_task *task = DRIVE_SPAWN(&driven, echo, .peer = io);
 *
 *	CHECK_EQ(drive(&driven, 1), 1);
 *	drive_end(&driven);
 */
#ifndef TEST_DRIVE_H
#define TEST_DRIVE_H

#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

struct driven {
	struct xyl_runtime *rt;
	struct census before;
};

#define DRIVE_SPAWN(driven, fn, ...) xyl_runtime_spawn((driven)->rt, XYL_HERE, fn, __VA_ARGS__)

__attribute__((unused)) static struct driven drive_begin(const struct xyl_config *config)
{
	struct driven driven = { .before = census_take() };

	CHECK_EQ(xyl_runtime_new(&driven.rt, config), 0);
	return driven;
}

/* Where it matters that ready tasks run in the order in which they became so. */
__attribute__((unused)) static struct driven drive_in_order(const struct xyl_config *config)
{
	test_needs_the_real_ring("the order of ready tasks, which is no promise");
	return drive_begin(config);
}

__attribute__((unused)) static int drive(const struct driven *driven, unsigned turns)
{
	return xyl_runtime_drive(driven->rt, turns);
}

/* It ends without waiting for anything outside the process but the clock. */
__attribute__((unused)) static void drive_until_done(const struct driven *driven,
						     const struct xyl_task *task)
{
	while (!xyl_is_done(task))
		CHECK(drive(driven, 1) >= 0);
}

__attribute__((unused)) static struct xyl_stats drive_stats(const struct driven *driven)
{
	struct xyl_stats stats;

	xyl_runtime_stats(driven->rt, &stats);
	return stats;
}

__attribute__((unused)) static void drive_end(const struct driven *driven)
{
	CHECK_EQ(xyl_runtime_stop(driven->rt, 5 * XYL_SEC), 0);
	census_check(&driven->before, driven->rt);
}

#endif
