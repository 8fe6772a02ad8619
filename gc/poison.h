/* SPDX-License-Identifier: MIT */
/*
 * poison.h - memory that nobody may touch, as each checker wants to be told (check build).
 *
 *	base          base + size        base + room
 *	  | the object     | never touched    |
 */
#ifndef XYLI_GC_POISON_H
#define XYLI_GC_POISON_H

#include <stdbool.h>
#include <stddef.h>

void xyli_poison_start(void);

void xyli_poison_birth(void *base, size_t size, size_t room, bool zeroed);

/* False: something had written past its end. */
bool xyli_poison_death(void *base, size_t size, size_t room);

/* A part of an object that lives on. */
void xyli_poison_part(void *start, size_t size);
void xyli_poison_lift_part(void *start, size_t size);

/* Ordinary memory again, for bdwgc to reclaim.  After a death, false: something has
 * written to it since. */
bool xyli_poison_lift_dead(void *base, size_t room);
void xyli_poison_lift_living(void *base, size_t room);

#endif
