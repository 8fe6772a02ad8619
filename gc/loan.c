/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  The list of tables changes under bdwgc's lock, which a collection
 * holds.  When it looks, the other threads run again and may lend and end: but only what
 * lives, for whoever ends a loan had the object on his stack when the world stood still.
 */
#include "gc/loan.h"

#include "gc/bdwgc.h"
#include "gc/check.h"

static struct xyli_loans *all_loans; /* each named by its owner, too */

static void *loans_link(void *arg)
{
	struct xyli_loans *loans = arg;

	loans->next = all_loans;
	all_loans = loans;
	return NULL;
}

static void *loans_unlink(void *arg)
{
	struct xyli_loans **at = &all_loans;

	while (*at != arg)
		at = &(*at)->next;
	*at = (*at)->next;
	return NULL;
}

void xyli_loans_open(struct xyli_loans *loans)
{
	GC_call_with_alloc_lock(loans_link, loans);
}

void xyli_loans_close(struct xyli_loans *loans)
{
	GC_call_with_alloc_lock(loans_unlink, loans);
}

static bool has_died(void *obj)
{
	return GC_base(obj) != obj || xyli_check_is_dead(obj);
}

static void loan_look(struct xyli_loans *loans, struct xyli_loan *loan)
{
	uintptr_t hidden = __atomic_load_n(&loan->hidden, __ATOMIC_ACQUIRE);

	if (!hidden || !has_died((void *)~hidden))
		return;
	xyli_loan_end(loan);
	__atomic_store_n(&loan->over, true, __ATOMIC_RELEASE);
	atomic_fetch_add_explicit(&loans->over, 1, memory_order_relaxed);
}

void xyli_loans_look(void)
{
	for (struct xyli_loans *loans = all_loans; loans; loans = loans->next)
		for (size_t i = 0; i < loans->count; i++)
			loan_look(loans, &loans->loans[i]);
}
