/* SPDX-License-Identifier: MIT */
/* bounds.h - what the tests of xyl_within have in common. */
#ifndef TEST_BOUNDS_H
#define TEST_BOUNDS_H

#include <stdint.h>

#include "gc/check.h"
#include "rt/clock.h"
#include "spawn/runtime.h"
#include "tests/asyncs.h"
#include "xylem/xylem.h"

/* It passes; not before all is ready for it. */
#define SHORT_NS (xyli_check_valgrind() ? 100 * XYL_MS : XYL_MS)

__attribute__((unused)) static void pass_time(int64_t ns)
{
	int64_t until = xyli_clock() + ns;

	while (xyli_clock() < until)
		;
}

__attribute__((unused)) static uint32_t timers_running(void)
{
	return xyl_runtime_self()->shard->timers.count;
}

struct seen {
	ssize_t first, second, third;
	int runs;
};

struct stubborn {
	struct xyl_frame frame;
	struct seen *seen;
};

__attribute__((unused)) static xyl_step stubborn(void *frame)
{
	struct stubborn *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->seen->first, xyl_sleep(LONG_NS));
	XYL_AWAIT(self->seen->second, xyl_yield());
	XYL_AWAIT(self->seen->third, xyl_sleep(LONG_NS));
	self->seen->runs++;
	XYL_END(5);
}

#endif
