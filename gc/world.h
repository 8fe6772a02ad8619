/* SPDX-License-Identifier: MIT */
/* world.h - the threads that the collector knows, and how it stops them. */
#ifndef XYLI_GC_WORLD_H
#define XYLI_GC_WORLD_H

#include <stdbool.h>

/* Called once by heap_init: the thread that starts the collector is attached. */
void xyli_world_start(void);

bool xyli_world_attached(void); /* this thread is */

/* While it runs a shard it may not detach. */
void xyli_world_engage(bool busy);

/* fn is called in each thread that ends and was ever attached, attached still or not. */
void xyli_world_on_exit(void (*fn)(void));

/* In there: attach it once more, whatever it did before.  0, or -ENOMEM. */
int xyli_world_return(void);

/* Run fn(arg) as a stretch in which this thread touches no collected memory: a
 * collection neither waits for it nor signals it.  What it blocks on (a ring, a
 * futex) is not interrupted. */
void xyli_world_park(void (*fn)(void *arg), void *arg);

/* fn(arg), and no collection begins or is under way meanwhile.  For a thread that none would
 * stop; fn does not allocate. */
void xyli_world_hold(void *(*fn)(void *arg), void *arg);

/* At a safe point, with no task frame on this stack.  False: the check build could
 * not, because another attached thread was not parked. */
bool xyli_world_collect(void);

/* Run fn(arg) while nobody marks.  For threads that a collection does not stop: what they move
 * from where it has not looked yet to where it has, it does not see.  fn allocates nothing. */
void xyli_world_hold(void *(*fn)(void *arg), void *arg);

/* Anywhere: the stacks are scanned. */
void xyli_world_collect_anywhere(void);

#endif
