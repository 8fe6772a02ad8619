/* SPDX-License-Identifier: MIT */
/* clock.h - CLOCK_MONOTONIC in nanoseconds. */
#ifndef XYLI_RT_CLOCK_H
#define XYLI_RT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define XYLI_NEVER INT64_MAX

static inline int64_t xyli_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* a + b, held at the ends of time instead of overflowing. */
static inline int64_t xyli_clock_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return b > 0 ? XYLI_NEVER : 0;
	return sum;
}

static inline struct timespec xyli_timespec(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

#endif
