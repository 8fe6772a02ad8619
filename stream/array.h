/* SPDX-License-Identifier: MIT */
/* array.h - struct xyl_array, which grows. */
#ifndef XYLI_STREAM_ARRAY_H
#define XYLI_STREAM_ARRAY_H

#include "xylem/xylem.h"

/* Where the next element goes; NULL: no memory.  It counts when it is there. */
void *xyli_array_place(struct xyl_array *array, size_t elem_size);

#endif
