/* SPDX-License-Identifier: MIT */
/*
 * held.h - tests on a clock that is held: a task that waits needs another to move it.
 *
 *	CHECK_EQ(xyl_clock_hold(xyl_runtime_self()), 0);
 *	xyl_spawn(move_clock, .ns = XYL_SEC);		runs once this one waits
 *	XYL_AWAIT(self->n, xyl_sleep(XYL_SEC));
 */
#ifndef TEST_HELD_H
#define TEST_HELD_H

#include "spawn/runtime.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

struct move_clock {
	struct xyl_frame frame;
	int64_t ns;
};

__attribute__((unused)) static xyl_step move_clock(void *frame)
{
	struct move_clock *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(xyl_clock_move(xyl_runtime_self(), self->ns), 0);
	XYL_END(0);
}

__attribute__((unused)) static void clock_hold_here(void)
{
	CHECK_EQ(xyl_clock_hold(xyl_runtime_self()), 0);
}

__attribute__((unused)) static void clock_move_here(int64_t ns)
{
	CHECK_EQ(xyl_clock_move(xyl_runtime_self(), ns), 0);
}

__attribute__((unused)) static uint32_t timers_here(void)
{
	return xyl_runtime_self()->shard->timers.count;
}

#endif
