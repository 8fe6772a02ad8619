/* SPDX-License-Identifier: MIT */
/*
 * harness.h - how every program in bench/ measures and what it prints.
 *
 * A *side* is one contestant: it does n operations and leaves one or more figures.
 * Each round of a side runs in a child process of its own, so that neither the heap nor
 * the ring of an earlier round is in the way, and the sides of a comparison take turns:
 * the machine's drift then hits both alike.  What is reported is the median of the
 * rounds, and for a comparison the median of the rounds' ratios.
 *
 *	prog [N] [--once[=K]]	N: operations a round
 *				--once: of the K-th question (the first) Xylem's side alone,
 *				one round, in this process: for perf, valgrind, instructions.sh
 *		--round		every question, Xylem's side alone, one round: for peers.sh
 *
 * A line of output has tab-separated fields: question, figure, rate, other side, its
 * figure, ratio.  The last three are empty where there is nothing to compare with.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_FIGURES = 8, BENCH_ROUNDS_MAX = 15 };

typedef void bench_side(long n, double *ret_figures);

struct bench_pair {
	double a[BENCH_FIGURES], b[BENCH_FIGURES], ratio[BENCH_FIGURES]; /* a over b */
};

/* Reads the arguments; call it first. */
void bench_init(int argc, char **argv);
long bench_n(long fallback);

int64_t bench_now(void); /* CLOCK_MONOTONIC, ns */
double bench_ns_each(int64_t since, long n);
int64_t bench_rss_bytes(void);
void bench_pin(int cpu);
double bench_median(double *values, int count);
uint64_t bench_random(uint64_t *state);
void bench_check(bool ok, const char *what); /* a benchmark that fails says so and exits 1 */

void bench_alone(bench_side *side, long n, int rounds, double *ret_figures);
void bench_in_turn(bench_side *a, bench_side *b, long n, int rounds, struct bench_pair *ret_pair);

/* What the library's figures rest on, as sides: see floor.c. */
bench_side bench_calloc_128, bench_gc_malloc_64, bench_call_and_queue;

void bench_print(const char *question, double figure, const char *unit);
void bench_print_beside(const char *question, double figure, const char *unit, const char *other,
			double other_figure, double ratio);

#endif /* BENCH_HARNESS_H */
