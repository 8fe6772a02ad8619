/* SPDX-License-Identifier: MIT */
/* clock.h - CLOCK_MONOTONIC in nanoseconds, and what a shard makes of it. */
#ifndef XYLI_RT_CLOCK_H
#define XYLI_RT_CLOCK_H

#include <stdbool.h>
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

/* ---- a clock that can be held still, and moved --------------------------------- */

struct xyli_warp {
	int64_t ns; /* held: the time; else how far ahead of the real clock it goes */
	bool on;    /* held or moved: until then it is the real clock */
	bool holds;
};

void xyli_warp_hold(struct xyli_warp *warp);
void xyli_warp_move(struct xyli_warp *warp, int64_t ns);
void xyli_warp_release(struct xyli_warp *warp);

int64_t xyli_warp_clock(const struct xyli_warp *warp);

/* When, on the real clock, it shows `when_ns`; XYLI_NEVER: not by itself. */
int64_t xyli_warp_real(const struct xyli_warp *warp, int64_t when_ns);

#endif
