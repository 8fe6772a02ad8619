/* SPDX-License-Identifier: MIT */
/*
 * loan.h - objects that are lent to the program: their lender learns when they have died.
 *
 * Cheaper than a finalizer: a loan is a hidden pointer in a table, and the end of a
 * collection looks which of them it has reclaimed.  An object on loan dies as any other
 * does: after the finalizers that can reach it, and its weak references are cleared.
 */
#ifndef XYLI_GC_LOAN_H
#define XYLI_GC_LOAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xyli_loan {
	uintptr_t hidden; /* the object's complement while it is lent; 0 */
	bool over;	  /* it has died; whoever takes note of that clears it */
};

struct xyli_loans {
	struct xyli_loans *next;
	struct xyli_loan *loans; /* collected memory; the owner keeps it */
	size_t count;
	atomic_size_t over; /* how many have died, and nobody has taken note */
};

/* From now on, until the other, collections look at them. */
void xyli_loans_open(struct xyli_loans *loans);
void xyli_loans_close(struct xyli_loans *loans);

/* A large one (more than half of bdwgc's blocks), which it reclaims at once; its start. */
static inline void xyli_loan_lend(struct xyli_loan *loan, void *obj)
{
	__atomic_store_n(&loan->hidden, ~(uintptr_t)obj, __ATOMIC_RELEASE);
}

static inline bool xyli_loan_is_of(const struct xyli_loan *loan, const void *obj)
{
	return __atomic_load_n(&loan->hidden, __ATOMIC_RELAXED) == ~(uintptr_t)obj;
}

static inline void xyli_loan_end(struct xyli_loan *loan)
{
	__atomic_store_n(&loan->hidden, 0, __ATOMIC_RELEASE);
}

/* One that is over is so no longer: true, and its lender may lend anew. */
static inline bool xyli_loan_is_over(struct xyli_loans *loans, struct xyli_loan *loan)
{
	if (!__atomic_load_n(&loan->over, __ATOMIC_ACQUIRE))
		return false;
	loan->over = false;
	atomic_fetch_sub_explicit(&loans->over, 1, memory_order_relaxed);
	return true;
}

/* From the collection's callback: what has died is reclaimed, the lock is held. */
void xyli_loans_look(void);

#endif
