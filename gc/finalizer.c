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

#include "gc/bdwgc.h"
#include "gc/check.h"
#include "gc/heap.h"
#include "xylem/xylem.h"

struct call {
	struct call *next;
	void (*fn)(void *obj, void *arg);
	void *arg;
	size_t offset;		/* of obj in the collected object around it */
};

static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;

static void calls_run(void *base, void *data)
{
	xyli_check_finalizable(base, false);
	for (struct call *call = data; call; call = call->next)
		call->fn((char *)base + call->offset, call->arg);
}

/* The first call of base's list, off bdwgc's table for the moment. */
static struct call *calls_take(void *base)
{
	GC_finalization_proc fn = NULL;
	void *data = NULL;

	GC_register_finalizer_no_order(base, NULL, NULL, &fn, &data);
	return fn == calls_run ? data : NULL;
}

static void calls_append(void *base, struct call *call)
{
	struct call *first = calls_take(base), **last = &first;

	while (*last)
		last = &(*last)->next;
	*last = call;
	GC_register_finalizer_no_order(base, calls_run, first, NULL, NULL);
}

int xyl_on_collect(void *obj, void (*fn)(void *obj, void *arg), void *arg)
{
	void *base;
	struct call *call;

	xyli_heap_start();
	base = xyli_heap_base(obj);
	if (!base)
		return -EINVAL;
	call = xyl_new(struct call);
	if (!call)
		return -ENOMEM;
	*call = (struct call){ .fn = fn, .arg = arg, .offset = (size_t)((char *)obj - (char *)base) };
	xyli_check_finalizable(base, true);
	pthread_mutex_lock(&calls_lock);
	calls_append(base, call);
	pthread_mutex_unlock(&calls_lock);
	return 0;
}

void xyli_finalizers_run(void)
{
	if (GC_should_invoke_finalizers())
		GC_invoke_finalizers();
}
