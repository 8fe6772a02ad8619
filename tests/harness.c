/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  A failed check leaves with _exit: there is nothing to unwind in
 * a process whose shards may be in the middle of anything, and a child that was
 * expected to abort() cannot be mistaken for one that failed.
 */
#include "tests/harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gc/check.h"
#include "rt/hostile.h"
#include "tests/leftovers.h"
#include "xylem/xylem.h"

#define STALE_BYTES ((size_t)256 << 10)

enum { EXIT_SKIPPED = 77 };

static struct test *first, **last = &first;
static const char *running = "(none)";
static bool skipped;
static unsigned leaves;
static _Atomic uint64_t random_state;

void test_add(struct test *test)
{
	*last = test;
	last = &test->next;
}

void test_skip(const char *why)
{
	skipped = true;
	printf("skip %s: %s\n", running, why);
}

void test_leaves(unsigned what, const char *why)
{
	leaves |= what;
	printf("     %s leaves %s\n", running, why);
}

void test_needs_the_real_ring(const char *why)
{
#ifdef XYL_CHECK
	if (getenv("XYL_HOSTILE"))
		printf("     %s: on the real ring: %s\n", running, why);
	xyli_hostile_forbid(true);
#else
	(void)why;
#endif
}

/* One write to one stream, so that two threads cannot mix their lines. */
_Noreturn static void fail(const char *text)
{
	printf("FAIL %s\n     %s\n", running, text);
	fflush(stdout);
	_exit(EXIT_FAILURE);
}

void test_failed(const char *file, int line, const char *condition)
{
	char text[512];

	snprintf(text, sizeof(text), "%s:%d: %s", file, line, condition);
	fail(text);
}

/* -110 is -ETIMEDOUT to whoever has to find out why. */
static void print_value(char *text, size_t size, test_integer value)
{
	const char *name = value < 0 && value > -4096 ? strerrorname_np((int)-value) : NULL;

	if (name)
		snprintf(text, size, "%d (-%s)", (int)value, name);
	else if (value < 0)
		snprintf(text, size, "%" PRId64, (int64_t)value);
	else
		snprintf(text, size, "%" PRIu64, (uint64_t)value);
}

void test_check_eq(const char *file, int line, const char *condition, test_integer a,
		   test_integer b)
{
	char text[512], a_text[64], b_text[64];

	if (a == b)
		return;
	print_value(a_text, sizeof(a_text), a);
	print_value(b_text, sizeof(b_text), b);
	snprintf(text, sizeof(text), "%s:%d: %s: %s, not %s", file, line, condition, a_text,
		 b_text);
	fail(text);
}

/* splitmix64 */
uint64_t test_random(void)
{
	const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = atomic_fetch_add(&random_state, step) + step;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t choose_seed(void)
{
	const char *given = getenv("XYL_SEED");
	struct timespec now;

	if (given)
		return strtoull(given, NULL, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

size_t test_fd_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	if (!dir)
		fail("cannot open /proc/self/fd");
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* dir's own */
}

/* XYL_TEST_EXCEPT: names with a blank between two, for a setting that they cannot be run in. */
static bool is_excepted(const struct test *test)
{
	const char *except = getenv("XYL_TEST_EXCEPT");
	size_t len = strlen(test->name);

	for (const char *at = except; at && (at = strstr(at, test->name)); at += len)
		if ((at == except || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

static bool is_chosen(const struct test *test, char **names)
{
	if (!*names)
		return !is_excepted(test);
	for (; *names; names++)
		if (!strcmp(*names, test->name))
			return true;
	return false;
}

/* No pointer that the test had on the stack stays there for the collector to find. */
__attribute__((noinline)) static void stack_overwrite(void)
{
	char stale[STALE_BYTES];

	memset(stale, 0, sizeof(stale));
	__asm__ volatile("" : : "r"(stale) : "memory");
}

static void check_leftovers(void)
{
	char heading[256];

	snprintf(heading, sizeof(heading), "FAIL %s", running);
	if (leftovers_tell(heading, leaves))
		_exit(EXIT_FAILURE);
}

bool test_run(const struct test *test, uint64_t seed)
{
	running = test->name;
	skipped = false;
	leaves = 0;
#ifdef XYL_CHECK
	xyli_hostile_forbid(false);
#endif
	random_state = seed;
	leftovers_note();
	test->run();
	stack_overwrite();
	check_leftovers();
	if (!skipped)
		printf("ok   %s\n", test->name);
	return !skipped;
}

/* The first report under a sanitizer of clang's starts a process that finds its lines, and keeps two
 * pipes to it: they are not a test's. */
static void reporter_start(void)
{
#ifdef TEST_CLANG_SANITIZER
	if (&test_uses_the_library_first)
		return;
	int stderr_is = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(nowhere, STDERR_FILENO);
	close(nowhere);
	xyli_check_tell(xyl_alloc(16));
	dup2(stderr_is, STDERR_FILENO);
	close(stderr_is);
#endif
}

int main(int argc, char **argv)
{
	uint64_t seed = choose_seed();
	int chosen = 0, passed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	reporter_start();
	printf("seed %" PRIu64 "\n", seed);
	for (struct test *test = first; test; test = test->next) {
		if (!is_chosen(test, argv + 1))
			continue;
		chosen++;
		passed += test_run(test, seed);
	}
	if (!chosen && argc > 1) {
		fprintf(stderr, "%s: no such test\n", argv[0]);
		return EXIT_FAILURE;
	}
	return passed ? EXIT_SUCCESS : EXIT_SKIPPED;
}
