/* SPDX-License-Identifier: MIT */
/*
 * How fast is this machine?  What the figures of the other programs rest on, without the
 * library: calloc+free of a task's size is the scale by which run.sh moves the aims.
 *
 * What would make it lie: the compiler removing a calloc whose memory nobody reads (hence
 * the volatile pointer in harness.c); a freed block handed straight back, which is what a task's frame
 * does as well, so that one is meant.
 */
#include "harness.h"

int main(int argc, char **argv)
{
	double figures[BENCH_FIGURES];
	long n;

	bench_init(argc, argv);
	n = bench_n(5000000);
	bench_alone(bench_calloc_128, n, 5, figures);
	bench_print("floor: calloc+free 128 B", figures[0], "ns");
	bench_alone(bench_gc_malloc_64, n, 5, figures);
	bench_print("floor: GC_malloc 64 B", figures[0], "ns");
	bench_alone(bench_call_and_queue, n, 5, figures);
	bench_print("floor: call and queue", figures[0], "ns");
	return 0;
}
