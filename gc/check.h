/* SPDX-License-Identifier: MIT */
/*
 * check.h - the check build's eyes: exact collections, dead objects poisoned, what
 * the kernel reads and writes told to the checkers.  In the plain build every one of
 * these is nothing, and xyli_check_on() is a constant.
 */
#ifndef XYLI_GC_CHECK_H
#define XYLI_GC_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#ifdef XYL_CHECK

static inline bool xyli_check_on(void)
{
	return true;
}

void xyli_check_before_start(void); /* before and after GC_INIT */
void xyli_check_start(void);
void xyli_check_event(int event); /* from the collection callback: lock held, no malloc */

void *xyli_check_alloc(size_t size); /* in place of GC_malloc, GC_malloc_atomic */
void *xyli_check_alloc_bytes(size_t size);

/* bdwgc itself must see these die: it has finalizers (false: they are about to run);
 * it has weak references, or is one. */
void xyli_check_finalizable(void *base, bool is);
void xyli_check_exempt(void *base);

/* The calling thread joins the world, leaves it; its stack in use ends at `sp` until it
 * says so again.  The first two with the world held still. */
void xyli_check_join(void);
void xyli_check_part(void);
void xyli_check_park(void *sp);

/* At a safe point, every other thread parked: what only this thread's stack below
 * `xyli_check_enter` points at dies. */
void xyli_check_collect(void);
bool xyli_check_every_turn(void); /* XYL_CHECK_COLLECT=turn */

/* Around a stretch in which this thread runs a shard: frames above count as roots.  NULL:
 * all of its stack counts until the matching leave. */
void xyli_check_enter(void *stack_limit);
void xyli_check_leave(void);

/* A part of a living object that nobody may touch again (a finished frame). */
void xyli_check_finish(void *start, size_t size);
void xyli_check_revive(void *start, size_t size); /* it is in use again */

/* The kernel is about to read this, is about to write that, has written so much. */
void xyli_check_kernel_reads(const void *buf, size_t size);
void xyli_check_kernel_writes(void *buf, size_t size);
void xyli_check_kernel_wrote(void *buf, size_t size);

/* What this thread did so far comes before what a thread does that takes the same token
 * later, though the thread checkers cannot see why: it went through the kernel. */
void xyli_check_gives(void *token);
void xyli_check_takes(void *token);

/* Valgrind 3.19 holds its big lock during a blocking io_uring_enter. */
bool xyli_check_valgrind(void);

/* A number that the environment sets in its place, to drive the runtime into a corner. */
unsigned xyli_check_setting(const char *name, unsigned otherwise);
/* It is kept in quarantine. */
bool xyli_check_is_dead(const void *base);

/* On stderr: what is known of the object around p.  For debuggers too. */
void xyli_check_tell(const void *p);

#else

static inline bool xyli_check_on(void)
{
	return false;
}

static inline void xyli_check_before_start(void)
{
}

static inline void xyli_check_start(void)
{
}

static inline void xyli_check_event(int event)
{
	(void)event;
}

static inline void *xyli_check_alloc(size_t size)
{
	(void)size;
	return NULL;
}

static inline void *xyli_check_alloc_bytes(size_t size)
{
	(void)size;
	return NULL;
}

static inline void xyli_check_finalizable(void *base, bool is)
{
	(void)base;
	(void)is;
}

static inline void xyli_check_exempt(void *base)
{
	(void)base;
}

static inline void xyli_check_join(void)
{
}

static inline void xyli_check_part(void)
{
}

static inline void xyli_check_park(void *sp)
{
	(void)sp;
}

static inline void xyli_check_collect(void)
{
}

static inline bool xyli_check_every_turn(void)
{
	return false;
}

static inline void xyli_check_enter(void *stack_limit)
{
	(void)stack_limit;
}

static inline void xyli_check_leave(void)
{
}

static inline void xyli_check_finish(void *start, size_t size)
{
	(void)start;
	(void)size;
}

static inline void xyli_check_revive(void *start, size_t size)
{
	(void)start;
	(void)size;
}

static inline void xyli_check_kernel_reads(const void *buf, size_t size)
{
	(void)buf;
	(void)size;
}

static inline void xyli_check_kernel_writes(void *buf, size_t size)
{
	(void)buf;
	(void)size;
}

static inline void xyli_check_kernel_wrote(void *buf, size_t size)
{
	(void)buf;
	(void)size;
}

static inline bool xyli_check_is_dead(const void *base)
{
	(void)base;
	return false;
}

static inline void xyli_check_gives(void *token)
{
	(void)token;
}

static inline void xyli_check_takes(void *token)
{
	(void)token;
}

static inline unsigned xyli_check_setting(const char *name, unsigned otherwise)
{
	(void)name;
	return otherwise;
}

static inline bool xyli_check_valgrind(void)
{
	return false;
}

#endif
#endif
