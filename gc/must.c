/* SPDX-License-Identifier: MIT */
#include "gc/must.h"

#include <stdio.h>
#include <stdlib.h>

void xyli_must_fail(const char *function, const char *what)
{
	fprintf(stderr, "xylem: %s: must be: %s\n", function, what);
	abort();
}
