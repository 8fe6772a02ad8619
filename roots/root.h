/* SPDX-License-Identifier: MIT */
/* root.h - the program's roots: which table this thread adds to. */
#ifndef XYLI_ROOTS_ROOT_H
#define XYLI_ROOTS_ROOT_H

#include <stddef.h>

/* A shard takes a table of its own for its life; -1: all are taken, it then shares. */
int xyli_roots_reserve(void);
void xyli_roots_release(int number);

/* While this thread runs that shard, its roots go there without a lock. */
void xyli_roots_enter(int number);
void xyli_roots_leave(void);

/* Slots that all tables have had room for, ever.  While no root is added. */
size_t xyli_roots_room(void);

#endif
