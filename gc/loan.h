/* SPDX-License-Identifier: MIT */
/*
 * loan.h - objects that come back when nobody holds them.
 *
 * Cheaper than a finalizer: a loan is a hidden pointer in a table, and the end of a
 * collection's marking looks which of them nobody has reached.  What is found is kept
 * alive and handed back, to be lent again.
 */
#ifndef XYLI_GC_LOAN_H
#define XYLI_GC_LOAN_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct xyli_loan {
	uintptr_t hidden; /* the object's complement while it is lent; 0 */
	void *found;	  /* it came back; NULL */
};

struct xyli_loans {
	struct xyli_loans *next;
	struct xyli_loan *loans; /* collected memory; the owner keeps it */
	size_t count;
	atomic_size_t found; /* how many came back and were not fetched yet */
};

/* From now on, until the other, collections look at them. */
void xyli_loans_open(struct xyli_loans *loans);
void xyli_loans_close(struct xyli_loans *loans);

/* An object without pointers of its own, to its very start. */
static inline void xyli_loan_lend(struct xyli_loan *loan, void *obj)
{
	__atomic_store_n(&loan->hidden, ~(uintptr_t)obj, __ATOMIC_RELEASE);
}

static inline void xyli_loan_end(struct xyli_loan *loan)
{
	loan->hidden = 0;
}

/* From the collection's callback: marking is over, the lock is held. */
void xyli_loans_look(void);

#endif
