/* SPDX-License-Identifier: MIT */
/*
 * faults.h - the n-th allocation fails.
 *
 * The collector's allocators are this program's own: they count, and at the chosen call
 * and for some calls after it they give nothing.  The library collects and tries once
 * more before it believes that there is no memory, so that one failure is two calls.
 *
 *	faults_plan(n, 2);
 *	...
 *	if (faults_reached() < n)	all calls have been tried
 *	faults_plan(0, 0);
 */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/harness.h"

static atomic_size_t calls, fail_at, fail_count; /* fail_at 0: never */

static bool call_fails(void)
{
	size_t call = atomic_fetch_add(&calls, 1) + 1, at = atomic_load(&fail_at);

	return at && call >= at && call < at + atomic_load(&fail_count);
}

static void *real(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	CHECK(fn != NULL);
	return fn;
}

void *GC_malloc(size_t size);
void *GC_malloc_atomic(size_t size);
void GC_generic_malloc_many(size_t size, int kind, void **ret_list);

void *GC_malloc(size_t size)
{
	static void *(*fn)(size_t);

	if (!fn)
		fn = (void *(*)(size_t))(uintptr_t)real("GC_malloc");
	return call_fails() ? NULL : fn(size);
}

void *GC_malloc_atomic(size_t size)
{
	static void *(*fn)(size_t);

	if (!fn)
		fn = (void *(*)(size_t))(uintptr_t)real("GC_malloc_atomic");
	return call_fails() ? NULL : fn(size);
}

void GC_generic_malloc_many(size_t size, int kind, void **ret_list)
{
	static void (*fn)(size_t, int, void **);

	if (!fn)
		fn = (void (*)(size_t, int, void **))(uintptr_t)real("GC_generic_malloc_many");
	if (call_fails())
		*ret_list = NULL;
	else
		fn(size, kind, ret_list);
}

static void faults_plan(size_t at, size_t count)
{
	atomic_store(&calls, 0);
	atomic_store(&fail_count, count);
	atomic_store(&fail_at, at);
}

static size_t faults_reached(void)
{
	return atomic_load(&calls);
}

#endif
