/* SPDX-License-Identifier: MIT */
/* must.h - assertions that stay in release builds: a state that cannot be must not go on. */
#ifndef XYLI_GC_MUST_H
#define XYLI_GC_MUST_H

_Noreturn void xyli_must_fail(const char *function, const char *what) __attribute__((cold));

#define XYLI_MUST(what)                                  \
	do {                                             \
		if (__builtin_expect(!(what), 0))        \
			xyli_must_fail(__func__, #what); \
	} while (0)

#endif
