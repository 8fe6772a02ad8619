/* SPDX-License-Identifier: MIT */
/* chance.h - what is left to chance, and comes again from the same seed. */
#ifndef XYLI_RT_CHANCE_H
#define XYLI_RT_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct xyli_chance {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t xyli_chance_next(struct xyli_chance *chance)
{
	uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 to n - 1.  Lemire, "Fast Random Integer Generation in an Interval" (2019), less its last
 * correction: a division takes longer than all the rest. */
static inline unsigned xyli_chance_below(struct xyli_chance *chance, unsigned n)
{
	return (unsigned)((xyli_chance_next(chance) >> 32) * n >> 32);
}

static inline bool xyli_chance_one_in(struct xyli_chance *chance, unsigned n)
{
	return xyli_chance_below(chance, n) == 0;
}

#endif
