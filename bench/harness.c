/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <gc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUND_SECONDS_MAX = 60, CALLOCS_MIN = 3000000 };

static struct {
	long n;
	int once;     /* the question to run alone; 0: all */
	int question; /* the one that is on */
	bool round;   /* one of each, and of one side alone */
} args;

void bench_init(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--once") == 0)
			args.once = 1;
		else if (strncmp(argv[i], "--once=", 7) == 0)
			args.once = atoi(argv[i] + 7);
		else if (strcmp(argv[i], "--round") == 0)
			args.round = true;
		else
			args.n = strtol(argv[i], NULL, 10);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
}

long bench_n(long fallback)
{
	return args.n > 0 ? args.n : fallback;
}

int64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

double bench_ns_each(int64_t since, long n)
{
	return (double)(bench_now() - since) / (double)n;
}

int64_t bench_rss_bytes(void)
{
	long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");

	bench_check(statm && fscanf(statm, "%*s %ld", &pages) == 1, "/proc/self/statm");
	fclose(statm);
	return pages * (int64_t)sysconf(_SC_PAGESIZE);
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fprintf(stderr, "bench: cannot pin to CPU %d; figures will wander\n", cpu);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), compare_doubles);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void bench_check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench: failed: %s\n", what);
	exit(1);
}

/* The parent never uses the library, the collector or a ring: a fork of it is clean. */
static void run_in_child(bench_side *side, long n, double *ret_figures)
{
	size_t size = BENCH_FIGURES * sizeof(*ret_figures);
	int ends[2], status;
	pid_t pid;

	bench_check(pipe(ends) == 0, "pipe");
	pid = fork();
	bench_check(pid >= 0, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(ROUND_SECONDS_MAX);
		side(n, ret_figures);
		bench_check(write(ends[1], ret_figures, size) == (ssize_t)size, "write");
		_exit(0);
	}
	close(ends[1]);
	bench_check(read(ends[0], ret_figures, size) == (ssize_t)size, "a side gave no figures");
	close(ends[0]);
	waitpid(pid, &status, 0);
}

static void run_round(bench_side *side, long n, double *ret_figures)
{
	memset(ret_figures, 0, BENCH_FIGURES * sizeof(*ret_figures));
	run_in_child(side, n, ret_figures);
}

/* Is this question to be run alone, or to be passed over?  Then that is done here. */
static bool question_is_single(bench_side *side, long n, double *ret_figures)
{
	args.question++;
	memset(ret_figures, 0, BENCH_FIGURES * sizeof(*ret_figures));
	if (args.question == args.once)
		side(n, ret_figures);
	if (args.round)
		run_in_child(side, n, ret_figures);
	return args.once > 0 || args.round;
}

static void medians(double (*rounds)[BENCH_FIGURES], int count, double *ret_figures)
{
	double column[BENCH_ROUNDS_MAX];

	for (int f = 0; f < BENCH_FIGURES; f++) {
		for (int r = 0; r < count; r++)
			column[r] = rounds[r][f];
		ret_figures[f] = bench_median(column, count);
	}
}

void bench_alone(bench_side *side, long n, int rounds, double *ret_figures)
{
	double figures[BENCH_ROUNDS_MAX][BENCH_FIGURES];

	if (question_is_single(side, n, ret_figures))
		return;
	for (int r = 0; r < rounds; r++)
		run_round(side, n, figures[r]);
	medians(figures, rounds, ret_figures);
}

void bench_in_turn(bench_side *a, bench_side *b, long n, int rounds, struct bench_pair *ret_pair)
{
	double as[BENCH_ROUNDS_MAX][BENCH_FIGURES], bs[BENCH_ROUNDS_MAX][BENCH_FIGURES];
	double ratios[BENCH_ROUNDS_MAX][BENCH_FIGURES];

	memset(ret_pair, 0, sizeof(*ret_pair));
	if (question_is_single(a, n, ret_pair->a))
		return;
	for (int r = 0; r < rounds; r++) {
		run_round(a, n, as[r]);
		run_round(b, n, bs[r]);
		for (int f = 0; f < BENCH_FIGURES; f++)
			ratios[r][f] = bs[r][f] != 0 ? as[r][f] / bs[r][f] : 0;
	}
	medians(as, rounds, ret_pair->a);
	medians(bs, rounds, ret_pair->b);
	medians(ratios, rounds, ret_pair->ratio);
}

void bench_calloc_128(long n, double *ret)
{
	int64_t t0 = bench_now();

	n = n > CALLOCS_MIN ? n : CALLOCS_MIN; /* a few ms would measure the clock's ramp */
	for (long i = 0; i < n; i++) {
		void *volatile block = calloc(1, 128);

		free(block);
	}
	ret[0] = bench_ns_each(t0, n);
}

void bench_gc_malloc_64(long n, double *ret)
{
	static void *volatile keep;
	int64_t t0;

	GC_INIT();
	t0 = bench_now();
	for (long i = 0; i < n; i++)
		keep = GC_malloc(64);
	ret[0] = bench_ns_each(t0, n);
	(void)keep;
}

struct job {
	struct job *next;
	void (*run)(struct job *job);
	long count;
};

static void job_run(struct job *job)
{
	job->count++;
}

/* The least that a switch between tasks can be: off the queue, call, onto the queue. */
void bench_call_and_queue(long n, double *ret)
{
	struct job jobs[100] = { { 0 } }, *head = NULL, **tail = &head;
	int64_t t0;

	for (int i = 0; i < 100; i++) {
		jobs[i].run = job_run;
		*tail = &jobs[i];
		tail = &jobs[i].next;
	}
	t0 = bench_now();
	for (long i = 0; i < n; i++) {
		struct job *volatile job = head;
		struct job *now = job;

		head = now->next;
		now->next = NULL;
		now->run(now);
		*tail = now;
		tail = &now->next;
	}
	ret[0] = bench_ns_each(t0, n);
}

static void print_figure(double figure, const char *unit)
{
	printf("\t%.*f %s", figure < 1000 ? 1 : 0, figure, unit);
}

static void print_rate(double figure, const char *unit)
{
	if (strcmp(unit, "ns") == 0 && figure > 0)
		printf("\t%.0f /s", 1e9 / figure);
	else
		printf("\t");
}

void bench_print(const char *question, double figure, const char *unit)
{
	bench_print_beside(question, figure, unit, "", 0, 0);
}

void bench_print_beside(const char *question, double figure, const char *unit, const char *other,
			double other_figure, double ratio)
{
	if (args.once && args.question != args.once)
		return;
	printf("%s", question);
	print_figure(figure, unit);
	print_rate(figure, unit);
	if (ratio > 0) {
		printf("\t%s", other);
		print_figure(other_figure, unit);
		printf("\t%.3f", ratio);
	} else {
		printf("\t\t\t");
	}
	printf("\n");
}
