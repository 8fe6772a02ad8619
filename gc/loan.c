/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  The list of tables changes under bdwgc's lock, which a collection
 * holds; a table's entries change in the owner's thread, which a collection stops.  An
 * object that is being lent is still on its lender's stack.
 */
#include "gc/loan.h"

#include "gc/bdwgc.h"
#include <gc/gc_mark.h>

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

static void loan_look(struct xyli_loans *loans, struct xyli_loan *loan)
{
	void *obj = (void *)~loan->hidden;

	if (!loan->hidden || GC_is_marked(obj))
		return;
	GC_set_mark_bit(obj);
	loan->hidden = 0;
	loan->found = obj;
	atomic_fetch_add_explicit(&loans->found, 1, memory_order_relaxed);
}

void xyli_loans_look(void)
{
	for (struct xyli_loans *loans = all_loans; loans; loans = loans->next)
		for (size_t i = 0; i < loans->count; i++)
			loan_look(loans, &loans->loans[i]);
}
