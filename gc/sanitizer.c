/* SPDX-License-Identifier: MIT */
/*
 * The sanitizers (check build).
 *
 * Design notes.  One check build serves them all: what their runtimes offer is declared
 * weak, and is there only in a program that was linked with one.  What they look for in
 * the program, options and suppressions, is defined here, where the linker cannot leave
 * it out of a static program: check.c needs this file.
 *
 * The runtimes keep megabytes of static data.  bdwgc would scan it at each collection
 * and find nothing of ours; where the runtime is a shared library it is left out.
 *
 * LSan does not look into bdwgc's heap.  At exit each run of its pages is declared a
 * root region: what a living object points at is no leak.  Corpses are poisoned by
 * then no more, but overwritten, so that malloc memory which only they owned is
 * reported: a finalizer is missing.
 */
#include "gc/sanitizer.h"

#include "gc/check.h"

#ifdef XYL_CHECK
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gc/bdwgc.h"
#include "xylem/xylem.h"

#define MAPPING_MAX ((uintptr_t)1 << 36) /* larger ones are shadow memory */

void *__asan_region_is_poisoned(void *start, size_t size) __attribute__((weak));
void *__asan_get_current_fake_stack(void) __attribute__((weak));
void *__asan_get_report_address(void) __attribute__((weak));
void __lsan_register_root_region(const void *start, size_t size) __attribute__((weak));
void __tsan_read_range(void *start, long size) __attribute__((weak));
void __tsan_write_range(void *start, long size) __attribute__((weak));
void __tsan_release(void *token) __attribute__((weak));
void __tsan_acquire(void *token) __attribute__((weak));

/* ---- found by the runtimes ------------------------------------------------------ */

XYL_API const char *__asan_default_options(void);
XYL_API const char *__asan_default_suppressions(void);
XYL_API const char *__lsan_default_options(void);
XYL_API const char *__ubsan_default_options(void);
XYL_API void __asan_on_error(void);

/* Fake stacks would hide every local variable from the collector. */
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0";
}

/* bdwgc clears blocks it reuses in which other, poisoned objects still lie. */
const char *__asan_default_suppressions(void)
{
	return "interceptor_via_lib:libgc.so\n";
}

const char *__lsan_default_options(void)
{
	return "report_objects=1";
}

const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1";
}

void __asan_on_error(void)
{
	void *p = __asan_get_report_address ? __asan_get_report_address() : NULL;

	if (GC_is_init_called() && GC_base(p))
		xyli_check_tell(p);
}

/* ---- roots ----------------------------------------------------------------------- */

static int library_has_roots(const char *name, void *start, size_t size)
{
	(void)start;
	(void)size;
	return !strstr(name, "san.so") && !strstr(name, "/libclang_rt.") &&
	       !strstr(name, "/vgpreload_");
}

void xyli_sanitizer_start(void)
{
	GC_register_has_static_roots_callback(library_has_roots);
	if (!__asan_get_current_fake_stack || !__asan_get_current_fake_stack())
		return;
	fprintf(stderr, "xylem: ASan hides local variables from the collector: "
			"set detect_stack_use_after_return=0 in ASAN_OPTIONS\n");
	abort();
}

/* Register the pages of one mapping that belong to bdwgc's heap. */
static void mapping_register(uintptr_t start, uintptr_t end, uintptr_t page)
{
	uintptr_t run = start;

	for (uintptr_t p = start; p <= end; p += page) {
		if (p < end && GC_is_heap_ptr((void *)p))
			continue;
		if (p > run)
			__lsan_register_root_region((void *)run, p - run);
		run = p + page;
	}
}

void xyli_sanitizer_end(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start, end;
	FILE *maps = __lsan_register_root_region ? fopen("/proc/self/maps", "r") : NULL;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx rw", &start, &end) == 2 && end - start < MAPPING_MAX)
			mapping_register(start, end, page);
	if (maps)
		fclose(maps);
}

/* ---- memory ---------------------------------------------------------------------- */

bool xyli_sanitizer_forbids(const void *buf, size_t size)
{
	return __asan_region_is_poisoned &&
	       __asan_region_is_poisoned((void *)(uintptr_t)buf, size) != NULL;
}

void xyli_sanitizer_reads(const void *buf, size_t size)
{
	if (__tsan_read_range)
		__tsan_read_range((void *)(uintptr_t)buf, (long)size);
}

void xyli_sanitizer_writes(const void *buf, size_t size)
{
	if (__tsan_write_range)
		__tsan_write_range((void *)(uintptr_t)buf, (long)size);
}

void xyli_sanitizer_gives(void *token)
{
	if (__tsan_release)
		__tsan_release(token);
}

void xyli_sanitizer_takes(void *token)
{
	if (__tsan_acquire)
		__tsan_acquire(token);
}
#endif
