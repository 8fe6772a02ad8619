/* SPDX-License-Identifier: MIT */
/*
 * lock.h - a short lock, biased: it costs the shard that uses it two stores and two loads.
 *
 * The first shard to take it owns its bias.  As long as nobody else comes, taking it needs no
 * atomic read-modify-write.  The first other thread to want it revokes the bias for good,
 * at the cost of a system call; from then on it is an ordinary lock.
 *
 *	FRESH ──> a shard's ──> REVOKING ──> SHARED		FRESH ──> SHARED
 *
 * Never held across a suspension or a call of the user's code.
 */
#ifndef XYLI_RT_LOCK_H
#define XYLI_RT_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rt/shard.h"

/* What `bias` is when it is no shard; never ~0, the mark outside all shards. */
enum {
	XYLI_LOCK_FRESH = 1,	/* nobody has taken it yet; the first to do so leaves this */
	XYLI_LOCK_REVOKING = 2, /* somebody waits for the owner to let go; he leaves this */
	XYLI_LOCK_SHARED = 3,	/* for good */
};

struct xyli_lock {
	atomic_uintptr_t bias; /* the shard that owns it, complemented, or one of the above */
	atomic_uint held;      /* by the owner of the bias, and written by him alone */
	atomic_uint state;     /* once shared: free, taken, taken and somebody sleeps */
};

void xyli_locks_start(void); /* before the first shard: may locks be biased here? */

static inline void xyli_lock_init(struct xyli_lock *lock)
{
	atomic_init(&lock->bias, XYLI_LOCK_FRESH);
}

void xyli_lock_slowly(struct xyli_lock *lock);
void xyli_unlock_slowly(struct xyli_lock *lock);

/* Complemented: a lock keeps no shard alive.  A later shard in the memory of one that is
 * gone inherits its locks. */
static inline uintptr_t xyli_lock_mark_of(const struct xyli_shard *shard)
{
	return ~(uintptr_t)shard;
}

static inline uintptr_t xyli_lock_mark(void)
{
	return xyli_lock_mark_of(xyli_here);
}

/* If it is biased to this thread's shard.  The owner writes `held`, then looks at `bias`; who
 * revokes writes `bias`, makes every thread of the process pass a barrier, then looks at
 * `held`: one of the two sees the other (lock.c). */
static inline bool xyli_lock_owned_by(struct xyli_lock *lock, uintptr_t here)
{
	if (__builtin_expect(atomic_load_explicit(&lock->bias, memory_order_relaxed) != here, 0))
		return false;
	atomic_store_explicit(&lock->held, 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(atomic_load_explicit(&lock->bias, memory_order_relaxed) == here, 1))
		return true;
	atomic_store_explicit(&lock->held, 0, memory_order_release);
	return false;
}

static inline bool xyli_lock_owned(struct xyli_lock *lock)
{
	return xyli_lock_owned_by(lock, xyli_lock_mark());
}

/* While it is held by its owner it cannot become shared. */
static inline void xyli_unlock_owned(struct xyli_lock *lock)
{
	atomic_store_explicit(&lock->held, 0, memory_order_release);
}

static inline void xyli_lock(struct xyli_lock *lock)
{
	if (__builtin_expect(!xyli_lock_owned(lock), 0))
		xyli_lock_slowly(lock);
}

static inline void xyli_unlock(struct xyli_lock *lock)
{
	if (__builtin_expect(
		    atomic_load_explicit(&lock->bias, memory_order_relaxed) != XYLI_LOCK_SHARED, 1))
		xyli_unlock_owned(lock);
	else
		xyli_unlock_slowly(lock);
}

#endif
