/* SPDX-License-Identifier: MIT */
/*
 * harness.h - a test program is a file of these:
 *
 *	TEST(a_dropped_root_no_longer_keeps_its_object)
 *	{
 *		CHECK_EQ(xyl_root_count(), 0);
 *	}
 *
 * The program runs all of its tests in the order of the file, in one process, or
 * those named on its command line.  The first failed check ends it with exit code
 * 1; 77 says that all was skipped.  Each test starts from the same seed, which is
 * printed: XYL_SEED=<seed> in the environment repeats a run.
 *
 * A test leaves the process as it found it: after each one a census looks for open
 * descriptors, threads, shards that were not stopped, roots, and objects that live.
 */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__clang__) && defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_CLANG_SANITIZER
#endif
#endif

/* A program that defines it is about the library's first use: the harness makes none. */
extern bool test_uses_the_library_first __attribute__((weak));

/* Frames that are large, and keep what was in them: it takes luck to forget. */
#if defined(TEST_CLANG_SANITIZER) || defined(__SANITIZE_THREAD__)
#define TEST_REMEMBERS
#endif

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

__extension__ typedef __int128 test_integer; /* holds each value of each integer type */

#define TEST(behaviour)                                                           \
	static void test_##behaviour(void);                                       \
	__attribute__((constructor)) static void test_add_##behaviour(void)       \
	{                                                                         \
		static struct test test = { #behaviour, test_##behaviour, NULL }; \
		test_add(&test);                                                  \
	}                                                                         \
	static void test_##behaviour(void)

/* Anywhere, in an async function and on another thread too. */
#define CHECK(condition) ((condition) ? (void)0 : test_failed(__FILE__, __LINE__, #condition))
#define CHECK_EQ(a, b) test_check_eq(__FILE__, __LINE__, #a " == " #b, (a), (b))

/* Ends the test: for use in the body of the TEST itself. */
#define SKIP(why)               \
	do {                    \
		test_skip(why); \
		return;         \
	} while (0)

/* For a test that must leave something: which kinds, and what it is. */
enum {
	LEAVES_DESCRIPTORS = 1,
	LEAVES_THREADS = 2,
	LEAVES_SHARDS = 4,
	LEAVES_ROOTS = 8,
	LEAVES_OBJECTS = 16,
	LEAVES_END = 32,
};
void test_leaves(unsigned what, const char *why);

uint64_t test_random(void); /* any thread */
size_t test_fd_count(void); /* descriptors now open in this process */

/* First in a test: it looks into the ring, or at an order that nothing promises, and so
 * cannot do with a hostile one (XYL_HOSTILE). */
void test_needs_the_real_ring(const char *why);

void test_add(struct test *test);
bool test_run(const struct test *test, uint64_t seed); /* false: skipped */
void test_skip(const char *why);
_Noreturn void test_failed(const char *file, int line, const char *condition);
void test_check_eq(const char *file, int line, const char *condition, test_integer a,
		   test_integer b);

#endif
