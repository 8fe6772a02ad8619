/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  What a channel does takes a few nanoseconds, and an atomic
 * read-modify-write to lock it takes as long again; nearly always all who use it are on one
 * shard.  Biased locking is the old answer (Kawachiya, Koseki and Onodera, "Lock Reservation",
 * OOPSLA 2002); its weak point was revocation, which had to stop the owner.  Here the owner
 * is not stopped: membarrier(2) runs a full barrier in every thread of the process, which
 * is the half of Dekker's handshake that the owner leaves out.
 *
 * `held` and `state` are two words on purpose: an owner who loaded `bias` before it was
 * revoked may still write `held`, for a moment, when others hold the lock already.
 *
 * Without membarrier(2) no lock is ever biased.
 */
#include "rt/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 100

enum { LOCK_FREE, LOCK_TAKEN, LOCK_SLEPT_FOR };

static atomic_bool biased_allowed;

static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

void xyli_locks_start(void)
{
	if (!atomic_load_explicit(&biased_allowed, memory_order_relaxed) &&
	    membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0)
		atomic_store(&biased_allowed, true);
}

/* The owner is inside for some nanoseconds, unless he was preempted there. */
static void bias_revoke(struct xyli_lock *lock)
{
	if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0) {
		fprintf(stderr, "xylem: membarrier(2) worked at the start, and now: %s\n",
			strerror(errno));
		abort();
	}
	while (atomic_load_explicit(&lock->held, memory_order_acquire))
		sched_yield();
	atomic_store_explicit(&lock->bias, XYLI_LOCK_SHARED, memory_order_release);
}

/* What a fresh lock becomes for whoever comes first. */
static uintptr_t bias_first(void)
{
	bool may = xyli_here && atomic_load_explicit(&biased_allowed, memory_order_relaxed);

	return may ? xyli_lock_mark() : XYLI_LOCK_SHARED;
}

static void shared_lock(struct xyli_lock *lock)
{
	int saved_errno = errno;

	for (unsigned i = 0; i < SPINS; i++) {
		unsigned state = LOCK_FREE;

		if (atomic_compare_exchange_weak_explicit(&lock->state, &state, LOCK_TAKEN,
							  memory_order_acquire,
							  memory_order_relaxed))
			return;
		if (state == LOCK_SLEPT_FOR)
			break;
	}
	while (atomic_exchange_explicit(&lock->state, LOCK_SLEPT_FOR, memory_order_acquire) !=
	       LOCK_FREE)
		syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, LOCK_SLEPT_FOR, NULL, NULL, 0);
	errno = saved_errno;
}

void xyli_unlock_slowly(struct xyli_lock *lock)
{
	int saved_errno = errno;

	if (atomic_exchange_explicit(&lock->state, LOCK_FREE, memory_order_release) ==
	    LOCK_SLEPT_FOR)
		syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = saved_errno;
}

void xyli_lock_slowly(struct xyli_lock *lock)
{
	for (;;) {
		uintptr_t bias = atomic_load_explicit(&lock->bias, memory_order_acquire);

		if (bias == XYLI_LOCK_SHARED) {
			shared_lock(lock);
			return;
		}
		if (bias == xyli_lock_mark()) {
			if (xyli_lock_owned(lock))
				return;
		} else if (bias == XYLI_LOCK_FRESH) {
			atomic_compare_exchange_strong(&lock->bias, &bias, bias_first());
		} else if (bias == XYLI_LOCK_REVOKING) {
			sched_yield();
		} else if (atomic_compare_exchange_strong(&lock->bias, &bias, XYLI_LOCK_REVOKING)) {
			bias_revoke(lock);
		}
	}
}
