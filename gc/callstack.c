/* SPDX-License-Identifier: MIT */
/*
 * Call stacks (check build).
 *
 * Design notes.  A program allocates from few places, so that a stack is stored once
 * and an object names it in four bytes.  Stacks are never given back.  Under valgrind
 * none is taken: memcheck keeps its own, better ones.  Nothing here runs inside a
 * collection but the printing, which a fatal report may need.
 */
#include "gc/callstack.h"

#include "gc/check.h"

#ifdef XYL_CHECK
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 12
#define SKIPPED 2 /* ours, above the caller's */
#define HEADS 4096

struct callstack {
	uint32_t next; /* with the same hash */
	uint32_t depth;
	void *frames[FRAMES];
};

static struct callstack *callstacks;
static uint32_t callstack_count = 1, callstack_cap; /* number 0 is the unknown one */
static uint32_t heads[HEADS];
static pthread_mutex_t callstack_lock = PTHREAD_MUTEX_INITIALIZER;

/* In a program that runs under a sanitizer: file and line. */
void __sanitizer_symbolize_pc(void *pc, const char *format, char *text, size_t size)
	__attribute__((weak));

static uint32_t callstack_hash(void *const *frames, uint32_t depth)
{
	uint64_t hash = depth;

	for (uint32_t i = 0; i < depth; i++)
		hash = (hash ^ (uintptr_t)frames[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(hash >> 40) % HEADS;
}

static uint32_t callstack_find(uint32_t head, void *const *frames, uint32_t depth)
{
	for (uint32_t i = heads[head]; i; i = callstacks[i].next)
		if (callstacks[i].depth == depth &&
		    !memcmp(callstacks[i].frames, frames, depth * sizeof(*frames)))
			return i;
	return 0;
}

static uint32_t callstack_add(uint32_t head, void *const *frames, uint32_t depth)
{
	if (callstack_count >= callstack_cap) {
		uint32_t cap = callstack_cap ? 2 * callstack_cap : 256;
		struct callstack *grown = realloc(callstacks, cap * sizeof(*grown));

		if (!grown)
			return 0;
		callstacks = grown;
		callstack_cap = cap;
	}
	callstacks[callstack_count] = (struct callstack){ .next = heads[head], .depth = depth };
	memcpy(callstacks[callstack_count].frames, frames, depth * sizeof(*frames));
	heads[head] = callstack_count;
	return callstack_count++;
}

uint32_t xyli_callstack_here(void)
{
	void *frames[FRAMES + SKIPPED];
	uint32_t depth, head, number;
	int all;

	if (xyli_check_valgrind())
		return 0;
	all = backtrace(frames, FRAMES + SKIPPED);
	depth = all > SKIPPED ? (uint32_t)all - SKIPPED : 0;
	head = callstack_hash(frames + SKIPPED, depth);
	pthread_mutex_lock(&callstack_lock);
	number = callstack_find(head, frames + SKIPPED, depth);
	if (!number)
		number = callstack_add(head, frames + SKIPPED, depth);
	pthread_mutex_unlock(&callstack_lock);
	return number;
}

/* A return address lies behind its call. */
static void frame_print(void *frame)
{
	char text[512];

	if (__sanitizer_symbolize_pc) {
		__sanitizer_symbolize_pc((char *)frame - 1, "%F %L", text, sizeof(text));
		dprintf(STDERR_FILENO, "    %s\n", text);
	} else {
		dprintf(STDERR_FILENO, "    ");
		backtrace_symbols_fd(&frame, 1, STDERR_FILENO);
	}
}

void xyli_callstack_print(uint32_t number)
{
	if (!number)
		dprintf(STDERR_FILENO, "    (stack not recorded)\n");
	for (uint32_t i = 0; number && i < callstacks[number].depth; i++)
		frame_print(callstacks[number].frames[i]);
}

/* The first backtrace loads a library, which must not happen inside a collection. */
void xyli_callstack_start(void)
{
	xyli_callstack_here();
}
#endif
