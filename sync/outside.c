/* SPDX-License-Identifier: MIT */
/*
 * Channels for threads outside the runtime.
 *
 * Design notes.  A thread waits as a select does, with a latch where a task has its wait:
 * whoever claims a case of it stores the result, in the thread's own memory, and opens the
 * latch.  When its time is up it claims the select itself; if that fails, somebody else is
 * about to open.
 */
#include <errno.h>

#include "rt/clock.h"
#include "sync/select.h"

struct xyli_chance *xyli_select_ties_outside(void)
{
	static _Thread_local struct xyli_chance ties;

	return &ties;
}

static bool case_suits(const struct xyl_case *c)
{
	switch ((enum xyli_case_kind)c->kind) {
	case XYLI_ON_RECV:
	case XYLI_ON_SEND:
	case XYLI_ON_CANCEL:
	case XYLI_ON_TIMEOUT:
	case XYLI_ON_DEFAULT: return true;
	default: return false;
	}
}

static bool cases_suit(const struct xyl_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!case_suits(&cases[i]))
			return false;
	return n > 0;
}

/* The sooner of the two limits; *ret_index is what has happened when it is over. */
static int64_t limit(const struct xyl_case *cases, size_t n, int64_t ns, ssize_t *ret_index)
{
	*ret_index = -ETIMEDOUT;
	for (size_t i = 0; i < n; i++) {
		if (cases[i].kind != XYLI_ON_TIMEOUT || (ns >= 0 && cases[i].ns >= ns))
			continue;
		ns = cases[i].ns;
		*ret_index = (ssize_t)i;
	}
	return ns;
}

static ssize_t select_outwait(struct xyli_select *select, int64_t ns, ssize_t when_over)
{
	ssize_t happened;

	if (!xyli_latch_wait(&select->latch, ns) && xyli_select_claim(select)) {
		happened = when_over;
	} else {
		xyli_latch_wait(&select->latch, -1);
		happened = (ssize_t)select->happened;
	}
	xyli_select_withdraw(select);
	return happened;
}

ssize_t xyli_select_wait(const struct xyl_case *cases, size_t n, int64_t ns)
{
	struct xyli_select_locks locks;
	struct xyli_select *select;
	struct xyli_wait *met = NULL;
	ssize_t r, when_over, result = 0;

	if (xyli_here)
		return -EDEADLK;
	if (!cases_suit(cases, n))
		return -EINVAL;
	r = xyli_select_lock(&locks, cases, n);
	if (r < 0)
		return r;
	r = xyli_select_now(cases, n, false, &met);
	select = r == -EAGAIN ? xyli_select_new(cases, n) : NULL;
	if (select)
		met = xyli_select_enter(select, cases, &result);
	xyli_select_unlock(&locks, cases, n);
	if (met)
		xyli_give(met, result);
	if (select) {
		ns = limit(cases, n, ns, &when_over);
		return select_outwait(select, ns, when_over);
	}
	return r == -EAGAIN ? -ENOMEM : r;
}

static void count_timeout(struct xyl_chan *chan)
{
	xyli_lock(&chan->lock);
	xyli_chan_count_failure(chan, -ETIMEDOUT);
	xyli_unlock(&chan->lock);
}

static ssize_t wait_alone(const struct xyl_case *c, int64_t ns)
{
	ssize_t r = c->on ? xyli_select_wait(c, 1, ns) : -EINVAL;

	if (r == -ETIMEDOUT)
		count_timeout(c->on);
	return r < 0 ? r : *c->ret_result;
}

ssize_t xyl_send_wait(struct xyl_chan *chan, const void *elem, int64_t ns)
{
	ssize_t result;

	return wait_alone(&xyl_on_send(chan, elem, .ret_result = &result), ns);
}

ssize_t xyl_recv_wait(struct xyl_chan *chan, void *ret_elem, int64_t ns)
{
	ssize_t result;

	return wait_alone(&xyl_on_recv(chan, ret_elem, .ret_result = &result), ns);
}
