/* SPDX-License-Identifier: MIT */
/*
 * seeds.h - a workload under the hostile ring, seed after seed, each in a process of its own.
 *
 *	XYL_SEED=N		the first seed
 *	XYL_HOSTILE_SEEDS=N	how many
 */
#ifndef TEST_SEEDS_H
#define TEST_SEEDS_H

#include <stdio.h>
#include <stdlib.h>

#include "rt/chance.h"
#include "tests/child.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

enum { SEEDS = 8, PATIENCE_S = 20 };

static inline struct xyl_config config_of_the_day(struct xyli_chance *dice)
{
	static const unsigned entries[] = { 1, 2, 16, 0 }, budgets[] = { 1, 3, 0 };

	return (struct xyl_config){ .ring_entries = entries[xyli_chance_below(dice, 4)],
				    .turn_budget = budgets[xyli_chance_below(dice, 3)],
				    .busy = xyli_chance_below(dice, 8) == 0,
				    .quiesce_ns = PATIENCE_S * XYL_SEC };
}

/* In a process of its own, first: every ring is hostile from now on. */
static inline void seed_begin(uint64_t seed)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)seed);
	setenv("XYL_HOSTILE", text, 1);
	setenv("XYL_HOSTILE_SHORT", "1", 1);
	alarm(PATIENCE_S); /* what is lost is waited for in vain */
}

static inline uint64_t seeds_setting(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

/* one_seed is given the address of its seed. */
static inline void seeds_try(void (*one_seed)(void *seed))
{
	uint64_t first = seeds_setting("XYL_SEED", test_random() % 1000000), seed;
	uint64_t count = seeds_setting("XYL_HOSTILE_SEEDS", SEEDS);

#ifndef XYL_CHECK
	SKIP("only the check build has a hostile ring");
#endif
	for (seed = first; seed < first + count; seed++) {
		int status = child_run(one_seed, &seed, NULL);

		if (status != 0)
			printf("     seed %llu: %s %d\n", (unsigned long long)seed,
			       WIFSIGNALED(status) ? "killed by signal" : "exit code",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		CHECK_EQ(status, 0);
	}
}

#endif
