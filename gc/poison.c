/* SPDX-License-Identifier: MIT */
/*
 * Poison (check build).
 *
 * Design notes.  Each change is told three times.  To memory itself: a pattern that is
 * no address on any 64-bit machine, so that a plain build crashes on the first pointer
 * it takes from a dead object, and that is still there when the object leaves its
 * quarantine unless somebody wrote to it: the kernel, say, which no checker watches.
 * To ASan, through functions that exist only in a program that runs under it.  To
 * memcheck, which is told of malloc and free and then shows both stacks by itself.
 *
 * bdwgc scans and clears memory without asking: it is not instrumented, and memcheck is
 * told to overlook it (memcheck.supp).  What it clears is lifted before it gets it.
 */
#include "gc/poison.h"

#include "gc/check.h"

#ifdef XYL_CHECK
#include <string.h>

#include "gc/valgrind.h"

enum {
	NEWBORN = 0xa5, /* memory that is not promised to be zero */
	BEYOND = 0xbe,	/* between an object's end and the end of its room */
	DEAD = 0xdb,
	FINISHED = 0xdf,
};

void __asan_poison_memory_region(const volatile void *start, size_t size) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *start, size_t size) __attribute__((weak));

static bool poison_on_valgrind; /* a client request costs little, asking costs less */

void xyli_poison_start(void)
{
	poison_on_valgrind = RUNNING_ON_VALGRIND != 0;
}

bool xyli_check_valgrind(void)
{
	return poison_on_valgrind;
}

static void region_close(void *start, size_t size)
{
	if (__asan_poison_memory_region)
		__asan_poison_memory_region(start, size);
	if (poison_on_valgrind)
		VALGRIND_MAKE_MEM_NOACCESS(start, size);
}

static void region_open(void *start, size_t size)
{
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(start, size);
	if (poison_on_valgrind)
		VALGRIND_MAKE_MEM_DEFINED(start, size);
}

static void region_fill(void *start, size_t size, int pattern)
{
	region_open(start, size);
	memset(start, pattern, size);
	region_close(start, size);
}

static bool region_holds(const void *start, size_t size, int pattern)
{
	const unsigned char *bytes = start;

	return size == 0 || (bytes[0] == pattern && !memcmp(bytes, bytes + 1, size - 1));
}

void xyli_poison_birth(void *base, size_t size, size_t room, bool zeroed)
{
	if (!zeroed)
		memset(base, NEWBORN, size);
	if (poison_on_valgrind) {
		VALGRIND_MALLOCLIKE_BLOCK(base, size, 0, zeroed);
		VALGRIND_HG_CLEAN_MEMORY(base, room); /* its last life is over */
	}
	region_fill((char *)base + size, room - size, BEYOND);
}

bool xyli_poison_death(void *base, size_t size, size_t room)
{
	char *end = (char *)base + size;
	bool sound;

	if (poison_on_valgrind)
		VALGRIND_FREELIKE_BLOCK(base, 0);
	region_open(end, room - size);
	sound = region_holds(end, room - size, BEYOND);
	region_fill(base, room, DEAD);
	return sound;
}

void xyli_poison_part(void *start, size_t size)
{
	region_fill(start, size, FINISHED);
}

void xyli_poison_lift_part(void *start, size_t size)
{
	region_open(start, size);
}

bool xyli_poison_lift_dead(void *base, size_t room)
{
	region_open(base, room);
	return region_holds(base, room, DEAD);
}

void xyli_poison_lift_living(void *base, size_t room)
{
	if (poison_on_valgrind)
		VALGRIND_FREELIKE_BLOCK(base, 0);
	region_open(base, room);
}
#endif
