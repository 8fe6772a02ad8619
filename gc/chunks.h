/* SPDX-License-Identifier: MIT */
/*
 * chunks.h - an array of 16-byte slots that grows without moving.
 *
 *	chunks ──> directory ──> chunk 0 [ slot 0 ... slot 127 ]
 *	                    └──> chunk 1 [ slot 128 ...        ]	all zeroed and scanned
 *
 * Root tables and timer heaps grow while a million tasks wait; doubling one array
 * would copy all of it at the worst moment and leave half of it unused.
 */
#ifndef XYLI_GC_CHUNKS_H
#define XYLI_GC_CHUNKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XYLI_CHUNK_SLOT 16    /* bytes */
#define XYLI_CHUNK_SLOTS 128u /* 2 KiB: the largest size that bdwgc packs without waste */

struct xyli_chunks { /* in scanned memory; all zero at first */
	_Atomic(void **) directory;
	void *spare;  /* bdwgc hands chunks out two at a time */
	uint32_t cap; /* slots */
};

/* One chunk more.  False: no memory.  Readers on other threads may go on meanwhile. */
bool xyli_chunks_grow(struct xyli_chunks *chunks);

static inline void *xyli_chunks_at(const struct xyli_chunks *chunks, uint32_t index)
{
	void **directory = atomic_load_explicit(&chunks->directory, memory_order_acquire);
	char *chunk = directory[index / XYLI_CHUNK_SLOTS];

	return chunk + (size_t)(index % XYLI_CHUNK_SLOTS) * XYLI_CHUNK_SLOT;
}

#endif
