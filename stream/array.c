/* SPDX-License-Identifier: MIT */
#include "stream/array.h"

#include <string.h>

#define GROWS_FROM 16

static bool array_grow(struct xyl_array *array, size_t elem_size)
{
	size_t room = array->room ? 2 * array->room : GROWS_FROM, bytes;
	void *elems;

	if (__builtin_mul_overflow(room, elem_size, &bytes) || bytes > PTRDIFF_MAX)
		return false;
	elems = xyl_alloc(bytes ? bytes : 1);
	if (!elems)
		return false;
	if (array->count && elem_size)
		memcpy(elems, array->elems, array->count * elem_size);
	array->elems = elems;
	array->room = room;
	return true;
}

void *xyli_array_place(struct xyl_array *array, size_t elem_size)
{
	if (array->count == array->room && !array_grow(array, elem_size))
		return NULL;
	return (char *)array->elems + array->count * elem_size;
}
