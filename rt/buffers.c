/* SPDX-License-Identifier: MIT */
/*
 * Provided buffers.
 *
 * Design notes.  A buffer is a block of the collector's own size, without pointers, and
 * begins with its number, so that any pointer into it leads to its slot.  The slot names
 * it, and so pins it while the kernel may write to it or its bytes wait for a reader;
 * while it is lent the slot's loan names it in hiding, and the program alone keeps it
 * alive.  One that was dropped dies as any object does, and its slot gets another: to
 * lend the very same again would be cheaper, but finalizers and weak references may lead
 * to it.  The ring's memory is not collected: it is the kernel's to look at until it is
 * unregistered.
 *
 * There are few at first, and as many as need be up to BUFFERS_MAX, since bytes that are
 * lent and not returned count as allocated, and those that lie in stock do not: past the
 * collector's floor a collection looks for those that were dropped.  When even that gives
 * none, a receive gets a buffer of its own.
 *
 * Source: provided buffer rings are io_uring's (Jens Axboe, Linux 5.19).
 */
#include "rt/buffers.h"

#include <string.h>
#include <sys/mman.h>

#include "gc/check.h"
#include "gc/heap.h"
#include "gc/loan.h"
#include "rt/ring.h"
#include "rt/shard.h"

#define BLOCK_BYTES 4080 /* with the byte that bdwgc adds, one of its blocks */
#define BUFFERS_FIRST 64
#define BUFFERS_MAX 1024 /* a power of two: the ring's entries */
#define NONE UINT16_MAX

enum slot_state {
	SLOT_EMPTY,  /* no memory; filling leaves it */
	SLOT_KERNEL, /* in the ring; a CQE leaves it */
	SLOT_STORED, /* bytes that nobody has taken; a reader or a close leaves it */
	SLOT_LENT,   /* the program's; its return leaves it, or its death, to EMPTY */
};

struct block {
	uint64_t number;
	uint64_t unused; /* the bytes begin on 16 */
	char bytes[BLOCK_BYTES - 16];
};

struct slot {
	struct block *block; /* NULL while it is lent, or if there is none */
	uint16_t from, len;  /* of its bytes, those not taken yet */
	uint16_t next;	     /* behind it in the same line */
	uint8_t state;	     /* enum slot_state */
};

struct xyli_buffers {
	struct xyli_loans loans;
	struct slot slots[BUFFERS_MAX];
	struct xyli_loan loan[BUFFERS_MAX];
	struct io_uring_buf_ring *ring;
	struct xyl_stats *stats;
	unsigned count, in_ring, lent; /* slots ever used; of them, the kernel's, the program's */
	ptrdiff_t fresh;	       /* bytes lent, less those allocated for stock */
};

_Static_assert(sizeof(struct block) == BLOCK_BYTES, "a block is the collector's");

/* ---- open and close -------------------------------------------------------------------- */

static size_t ring_bytes(void)
{
	return BUFFERS_MAX * sizeof(struct io_uring_buf);
}

static bool ring_open(struct xyli_buffers *buffers, struct xyli_ring *ring)
{
	void *memory = mmap(NULL, ring_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	struct io_uring_buf_reg reg = { .ring_addr = (uintptr_t)memory,
					.ring_entries = BUFFERS_MAX,
					.bgid = XYLI_BUFFERS_GROUP };

	if (memory == MAP_FAILED)
		return false;
	if (io_uring_register_buf_ring(&ring->uring, &reg, 0) < 0) {
		munmap(memory, ring_bytes());
		return false;
	}
	buffers->ring = memory;
	io_uring_buf_ring_init(buffers->ring);
	return true;
}

struct xyli_buffers *xyli_buffers_of(struct xyli_shard *shard)
{
	struct xyli_buffers *buffers = shard->buffers;

	if (buffers || shard->buffers_refused)
		return buffers;
	buffers = xyl_new(struct xyli_buffers);
	if (!buffers)
		return NULL;
	buffers->stats = &shard->stats;
	buffers->loans.loans = buffers->loan;
	buffers->loans.count = BUFFERS_MAX;
	if (!ring_open(buffers, shard->ring)) {
		shard->buffers_refused = true;
		return NULL;
	}
	xyli_loans_open(&buffers->loans);
	return shard->buffers = buffers;
}

void xyli_buffers_close(struct xyli_shard *shard)
{
	struct xyli_buffers *buffers = shard->buffers;

	if (!buffers)
		return;
	for (unsigned i = 0; i < buffers->count; i++)
		XYLI_MUST(buffers->slots[i].state != SLOT_STORED); /* no handle kept one */
	shard->buffers = NULL;
	shard->buffers_refused = true;
	xyli_loans_close(&buffers->loans);
	io_uring_unregister_buf_ring(&shard->ring->uring, XYLI_BUFFERS_GROUP);
	munmap(buffers->ring, ring_bytes());
}

/* ---- to the kernel and back --------------------------------------------------------------- */

static void slot_provide(struct xyli_buffers *buffers, unsigned i)
{
	struct slot *slot = &buffers->slots[i];

	slot->state = SLOT_KERNEL;
	buffers->in_ring++;
	io_uring_buf_ring_add(buffers->ring, slot->block->bytes, sizeof(slot->block->bytes),
			      (uint16_t)i, BUFFERS_MAX - 1, 0);
	io_uring_buf_ring_advance(buffers->ring, 1);
}

/* The program had it, or the line: nobody is to look at its bytes any more. */
static void slot_recycle(struct xyli_buffers *buffers, unsigned i)
{
	struct block *block = buffers->slots[i].block;

	xyli_check_finish(block->bytes, sizeof(block->bytes));
	slot_provide(buffers, i);
}

void xyli_buffers_arrive(struct xyli_buffers *buffers, struct xyli_arrivals *arrivals,
			 unsigned cqe_flags, size_t len)
{
	unsigned i = cqe_flags >> IORING_CQE_BUFFER_SHIFT;
	struct slot *slot = &buffers->slots[i];

	XYLI_MUST(i < buffers->count && slot->state == SLOT_KERNEL);
	buffers->in_ring--;
	if (len == 0) {
		slot_provide(buffers, i);
		return;
	}
	xyli_check_revive(slot->block->bytes, len);
	xyli_check_kernel_wrote(slot->block->bytes, len);
	slot->state = SLOT_STORED;
	slot->from = 0;
	slot->len = (uint16_t)len;
	slot->next = NONE;
	if (arrivals->count++ == 0)
		arrivals->first = (uint16_t)i;
	else
		buffers->slots[arrivals->last].next = (uint16_t)i;
	arrivals->last = (uint16_t)i;
}

static unsigned arrivals_take(struct xyli_buffers *buffers, struct xyli_arrivals *arrivals)
{
	unsigned i = arrivals->first;

	XYLI_MUST(arrivals->count > 0 && buffers->slots[i].state == SLOT_STORED);
	arrivals->count--;
	arrivals->first = buffers->slots[i].next;
	return i;
}

size_t xyli_buffers_copy(struct xyli_buffers *buffers, struct xyli_arrivals *arrivals, char *buf,
			 size_t len)
{
	size_t done = 0;

	while (arrivals->count && done < len) {
		struct slot *slot = &buffers->slots[arrivals->first];
		size_t n = slot->len < len - done ? slot->len : len - done;

		memcpy(buf + done, slot->block->bytes + slot->from, n);
		done += n;
		slot->from = (uint16_t)(slot->from + n);
		slot->len = (uint16_t)(slot->len - n);
		if (slot->len == 0)
			slot_recycle(buffers, arrivals_take(buffers, arrivals));
	}
	return done;
}

size_t xyli_buffers_drop(struct xyli_buffers *buffers, struct xyli_arrivals *arrivals)
{
	size_t n = arrivals->count;

	while (arrivals->count)
		slot_recycle(buffers, arrivals_take(buffers, arrivals));
	return n;
}

/* ---- to the program and back ---------------------------------------------------------------- */

static void lent_count(struct xyli_buffers *buffers, int change)
{
	buffers->lent += (unsigned)change;
	buffers->fresh += change * BLOCK_BYTES;
	xyli_count(&buffers->stats->buffers_lent, (uint64_t)change);
}

char *xyli_buffers_lend(struct xyli_buffers *buffers, struct xyli_arrivals *arrivals,
			size_t *ret_len)
{
	unsigned i = arrivals_take(buffers, arrivals);
	struct slot *slot = &buffers->slots[i];
	struct block *block = slot->block;

	xyli_loan_lend(&buffers->loan[i], block);
	slot->block = NULL;
	slot->state = SLOT_LENT;
	lent_count(buffers, +1);
	*ret_len = slot->len;
	return block->bytes + slot->from;
}

bool xyli_buffers_return(struct xyli_buffers *buffers, const char *bytes)
{
	struct block *block = xyli_heap_base(bytes);
	uint64_t i = xyli_heap_room(block) >= sizeof(*block) ? block->number : BUFFERS_MAX;

	if (i >= BUFFERS_MAX || !xyli_loan_is_of(&buffers->loan[i], block))
		return false;
	xyli_loan_end(&buffers->loan[i]);
	lent_count(buffers, -1);
	buffers->slots[i].block = block;
	slot_recycle(buffers, (unsigned)i);
	return true;
}

/* ---- more of them -------------------------------------------------------------------------- */

static bool slot_fill(struct xyli_buffers *buffers, unsigned i)
{
	struct block *block = xyl_alloc_bytes(sizeof(*block));

	if (!block)
		return false;
	block->number = i;
	buffers->slots[i].block = block;
	buffers->fresh -= BLOCK_BYTES;
	xyli_count(&buffers->stats->buffers, 1);
	slot_recycle(buffers, i);
	return true;
}

static void slot_empty(struct xyli_buffers *buffers, unsigned i)
{
	buffers->slots[i].state = SLOT_EMPTY;
	lent_count(buffers, -1);
	xyli_count(&buffers->stats->buffers, (uint64_t)-1);
}

/* Without memory a slot stays empty, until more of them are wanted. */
void xyli_buffers_fetch(struct xyli_buffers *buffers)
{
	if (!atomic_load_explicit(&buffers->loans.over, memory_order_relaxed))
		return;
	for (unsigned i = 0; i < buffers->count; i++) {
		if (!xyli_loan_is_over(&buffers->loans, &buffers->loan[i]))
			continue;
		slot_empty(buffers, i);
		slot_fill(buffers, i);
	}
}

/* Of those that there were before, too. */
static void slots_fill(struct xyli_buffers *buffers, unsigned count)
{
	for (unsigned i = 0; i < count && i < BUFFERS_MAX; i++) {
		if (buffers->slots[i].state != SLOT_EMPTY)
			continue;
		if (!slot_fill(buffers, i))
			return;
		if (i >= buffers->count)
			buffers->count = i + 1;
	}
}

bool xyli_buffers_more(struct xyli_buffers *buffers)
{
	xyli_buffers_fetch(buffers);
	if (buffers->in_ring == 0)
		slots_fill(buffers, buffers->count ? 2 * buffers->count : BUFFERS_FIRST);
	return buffers->in_ring > 0;
}

char *xyli_buffers_private(size_t *ret_room)
{
	struct block *block = xyl_alloc_bytes(sizeof(*block));

	if (!block)
		return NULL;
	block->number = UINT64_MAX;
	*ret_room = sizeof(block->bytes);
	return block->bytes;
}

ptrdiff_t xyli_buffers_fresh(const struct xyli_buffers *buffers)
{
	return buffers ? buffers->fresh : 0;
}

void xyli_buffers_collected(struct xyli_buffers *buffers)
{
	if (!buffers)
		return;
	buffers->fresh = (ptrdiff_t)buffers->loans.over * BLOCK_BYTES; /* still counted as lent */
	xyli_buffers_fetch(buffers);
}

/* ---- invariants ------------------------------------------------------------------------------ */

void xyli_buffers_check(const struct xyli_buffers *buffers)
{
	unsigned lent = 0, in_ring = 0;

	for (unsigned i = 0; i < BUFFERS_MAX; i++) {
		const struct slot *slot = &buffers->slots[i];

		XYLI_MUST(slot->state == SLOT_EMPTY || i < buffers->count);
		XYLI_MUST((slot->block != NULL) ==
			  (slot->state == SLOT_KERNEL || slot->state == SLOT_STORED));
		lent += slot->state == SLOT_LENT;
		in_ring += slot->state == SLOT_KERNEL;
	}
	XYLI_MUST(in_ring == buffers->in_ring);
	XYLI_MUST(lent == buffers->lent);
}
