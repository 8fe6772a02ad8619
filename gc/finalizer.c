/* SPDX-License-Identifier: MIT */
/*
 * Finalizers.
 *
 * Design notes.  bdwgc keeps one finalizer an object; ours keeps a list of calls.
 * The list is reachable from bdwgc's tables, so a call names its object only by its
 * offset: a pointer would keep the object alive for ever.  No order
 * among finalizers (frames and handles lie in cycles, which an order would never
 * finalize), and Java's rule (GC_set_java_finalization): everything that a finalizer
 * can reach is intact when it runs, and a resurrected object is sound.
 */
#include "gc/finalizer.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "gc/bdwgc.h"
#include "gc/check.h"
#include "gc/heap.h"
#include "xylem/xylem.h"

struct call {
	struct call *next;
	void (*fn)(void *obj, void *arg);
	void *arg;
	size_t offset; /* of obj in the collected object around it */
};

static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;

static void calls_run(void *base, void *data)
{
	xyli_check_finalizable(base, false);
	for (struct call *call = data; call; call = call->next)
		call->fn((char *)base + call->offset, call->arg);
}

/* bdwgc says that it has no memory only by leaving this alone. */
static void no_memory(void *base, void *data)
{
	(void)base;
	(void)data;
}

/* Replaces in place where there is a list already, which needs no memory. */
static bool calls_set(void *base, struct call *first, struct call **ret_before)
{
	GC_finalization_proc before = no_memory;
	void *data = NULL;

	GC_register_finalizer_no_order(base, calls_run, first, &before, &data);
	*ret_before = before == calls_run ? data : NULL;
	return before != no_memory;
}

static bool calls_append(void *base, struct call *call)
{
	struct call *first, *unused, **last = &first;

	if (!calls_set(base, call, &first))
		return false;
	if (!first)
		return true;
	while (*last)
		last = &(*last)->next;
	*last = call;
	return calls_set(base, first, &unused);
}

int xyl_on_collect(void *obj, void (*fn)(void *obj, void *arg), void *arg)
{
	void *base;
	struct call *call;
	bool kept;

	xyli_heap_start();
	base = xyli_heap_base(obj);
	if (!base)
		return -EINVAL;
	call = xyl_new(struct call);
	if (!call)
		return -ENOMEM;
	*call = (struct call){ .fn = fn,
			       .arg = arg,
			       .offset = (size_t)((char *)obj - (char *)base) };
	xyli_check_finalizable(base, true);
	pthread_mutex_lock(&calls_lock);
	kept = calls_append(base, call);
	pthread_mutex_unlock(&calls_lock);
	return kept ? 0 : -ENOMEM;
}

/* bdwgc ends the process when it has no memory for the first table: have it now. */
void xyli_finalizers_start(void)
{
	void *obj = GC_malloc(sizeof(void *));
	struct call *unused;

	if (obj && calls_set(obj, NULL, &unused))
		GC_register_finalizer_no_order(obj, NULL, NULL, NULL, NULL);
}

void xyli_finalizers_run(void)
{
	if (GC_should_invoke_finalizers())
		GC_invoke_finalizers();
}
