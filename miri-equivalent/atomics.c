/* SPDX-License-Identifier: MIT */
/*
 * C11 atomics for helgrind.
 *
 * Design notes.  Helgrind knows mutexes and condition variables.  An atomic hand-over is
 * two plain accesses to it, and whatever was handed over is a race.  So the helgrind
 * build is compiled with clang's -fsanitize=thread, reduced to what it does to atomics:
 * each becomes one of the calls below.  They do the operation and tell helgrind its
 * order, and only that: a relaxed one orders nothing.
 *
 * A release is told before the operation and an acquire after it.  If another thread
 * comes in between, an order is told that did not matter: a race may be missed, none is
 * invented.  helgrind.supp keeps silent about the atomic words themselves, by the name
 * of these functions.
 */
#include <stdbool.h>
#include <stdint.h>
#include <valgrind/helgrind.h>

enum { RELAXED, CONSUME, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST };

static void before(const volatile void *word, int order)
{
	if (order >= RELEASE)
		ANNOTATE_HAPPENS_BEFORE(word);
}

static void after(const volatile void *word, int order)
{
	if (order != RELAXED && order != RELEASE)
		ANNOTATE_HAPPENS_AFTER(word);
}

#define LOAD(type, bits)                                                       \
	type __tsan_atomic##bits##_load(const volatile type *word, int order); \
	type __tsan_atomic##bits##_load(const volatile type *word, int order)  \
	{                                                                      \
		type value = __atomic_load_n(word, __ATOMIC_SEQ_CST);          \
                                                                               \
		after(word, order);                                            \
		return value;                                                  \
	}

#define STORE(type, bits)                                                             \
	void __tsan_atomic##bits##_store(volatile type *word, type value, int order); \
	void __tsan_atomic##bits##_store(volatile type *word, type value, int order)  \
	{                                                                             \
		before(word, order);                                                  \
		__atomic_store_n(word, value, __ATOMIC_SEQ_CST);                      \
	}

#define CHANGE(type, bits, name, builtin)                                              \
	type __tsan_atomic##bits##_##name(volatile type *word, type value, int order); \
	type __tsan_atomic##bits##_##name(volatile type *word, type value, int order)  \
	{                                                                              \
		type old;                                                              \
                                                                                       \
		before(word, order);                                                   \
		old = builtin(word, value, __ATOMIC_SEQ_CST);                          \
		after(word, order);                                                    \
		return old;                                                            \
	}

/* The three differ in how they give back what they found. */
#define COMPARE(type, bits)                                                                        \
	static bool compare##bits(volatile type *word, type *expected, type value, int order,      \
				  int failure)                                                     \
	{                                                                                          \
		bool done;                                                                         \
                                                                                                   \
		before(word, order);                                                               \
		done = __atomic_compare_exchange_n(word, expected, value, false, __ATOMIC_SEQ_CST, \
						   __ATOMIC_SEQ_CST);                              \
		after(word, done ? order : failure);                                               \
		return done;                                                                       \
	}                                                                                          \
	int __tsan_atomic##bits##_compare_exchange_strong(volatile type *, type *, type, int,      \
							  int);                                    \
	int __tsan_atomic##bits##_compare_exchange_strong(volatile type *word, type *expected,     \
							  type value, int order, int failure)      \
	{                                                                                          \
		return compare##bits(word, expected, value, order, failure);                       \
	}                                                                                          \
	int __tsan_atomic##bits##_compare_exchange_weak(volatile type *, type *, type, int, int);  \
	int __tsan_atomic##bits##_compare_exchange_weak(volatile type *word, type *expected,       \
							type value, int order, int failure)        \
	{                                                                                          \
		return compare##bits(word, expected, value, order, failure);                       \
	}                                                                                          \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *, type, type, int, int);    \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *word, type expected,        \
							type value, int order, int failure)        \
	{                                                                                          \
		compare##bits(word, &expected, value, order, failure);                             \
		return expected;                                                                   \
	}

#define ATOMICS(type, bits)                                 \
	LOAD(type, bits)                                    \
	STORE(type, bits)                                   \
	CHANGE(type, bits, exchange, __atomic_exchange_n)   \
	CHANGE(type, bits, fetch_add, __atomic_fetch_add)   \
	CHANGE(type, bits, fetch_sub, __atomic_fetch_sub)   \
	CHANGE(type, bits, fetch_and, __atomic_fetch_and)   \
	CHANGE(type, bits, fetch_or, __atomic_fetch_or)     \
	CHANGE(type, bits, fetch_xor, __atomic_fetch_xor)   \
	CHANGE(type, bits, fetch_nand, __atomic_fetch_nand) \
	COMPARE(type, bits)

ATOMICS(uint8_t, 8)
ATOMICS(uint16_t, 16)
ATOMICS(uint32_t, 32)
ATOMICS(uint64_t, 64)

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
	(void)order; /* orders words that are told of themselves */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
	(void)order;
}
