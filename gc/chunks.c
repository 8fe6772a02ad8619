/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  The directory is copied as it grows; a reader that still holds the
 * old one finds the same chunks there.  It grows by 128 entries, that is by 16 thousand
 * slots: a million slots cost 64 small copies.
 */
#include "gc/chunks.h"

#include <string.h>

#include "gc/block.h"
#include "gc/check.h"
#include "xylem/xylem.h"

#define DIRECTORY_STEP 128u

static bool directory_grow(struct xyli_chunks *chunks, uint32_t have)
{
	void **directory = xyl_alloc((have + DIRECTORY_STEP) * sizeof(void *));

	if (!directory)
		return false;
	if (have)
		memcpy(directory, chunks->directory, have * sizeof(void *));
	atomic_store_explicit(&chunks->directory, directory, memory_order_release);
	return true;
}

/* xyl_alloc would make it 2 KiB and a byte, that is a 4 KiB block. */
static void *chunk_new(struct xyli_chunks *chunks)
{
	void **chunk = chunks->spare;

	if (xyli_check_on())
		return xyl_alloc(XYLI_CHUNK_SLOTS * XYLI_CHUNK_SLOT);
	if (!chunk) {
		xyli_blocks_get(XYLI_CHUNK_SLOTS * XYLI_CHUNK_SLOT, &chunks->spare);
		chunk = chunks->spare;
	}
	if (chunk) {
		chunks->spare = *chunk;
		*chunk = NULL;
	}
	return chunk;
}

bool xyli_chunks_grow(struct xyli_chunks *chunks)
{
	uint32_t have = chunks->cap / XYLI_CHUNK_SLOTS;
	void *chunk;

	if (have % DIRECTORY_STEP == 0 && !directory_grow(chunks, have))
		return false;
	chunk = chunk_new(chunks);
	if (!chunk)
		return false;
	chunks->directory[have] = chunk;
	chunks->cap += XYLI_CHUNK_SLOTS;
	return true;
}
