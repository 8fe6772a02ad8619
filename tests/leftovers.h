/* SPDX-License-Identifier: MIT */
/* leftovers.h - a census of the process: what is there now, and what was there before. */
#ifndef TEST_LEFTOVERS_H
#define TEST_LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whatever is there now was there before. */
void leftovers_note(void);

/* What was not there before, a line each below the heading, on stdout; how many.  Not of
 * the kinds that are excused (LEAVES_...): of those there must be some. */
size_t leftovers_tell(const char *heading, unsigned excused);

/* How long a thread may take to end that was joined, or detached: 10 s. */
void leftovers_patience(int64_t ns);

/* For who counts one kind of them: one of those lines.  False: it is excused, and details
 * are not wanted. */
bool leftover(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
