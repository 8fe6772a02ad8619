/* SPDX-License-Identifier: MIT */
#include "sync/permits.h"

#include <errno.h>

void xyli_permits_init(struct xyli_permits *permits, size_t free)
{
	xyli_lock_init(&permits->lock);
	permits->line.lock = &permits->lock;
	permits->free = free;
}

size_t xyli_permits_free(struct xyli_permits *permits)
{
	size_t n;

	xyli_lock(&permits->lock);
	n = permits->free;
	xyli_unlock(&permits->lock);
	return n;
}

static size_t permits_wanted(struct xyli_wait *wait)
{
	return (size_t)*xyli_wait_word(wait);
}

struct xyli_wait *xyli_permits_admit(struct xyli_permits *permits)
{
	struct xyli_waits *waits = &permits->line.waits;
	struct xyli_wait *admitted = NULL, **end = &admitted, *wait;

	while ((wait = waits->first) && permits_wanted(wait) <= permits->free) {
		size_t n = permits_wanted(wait);

		if (!xyli_wait_claim(waits, wait))
			continue;
		permits->free -= n;
		*end = wait;
		end = &wait->next;
	}
	return admitted;
}

void xyli_permits_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyli_line *line = wait->on;
	struct xyli_permits *permits =
		(struct xyli_permits *)((char *)line - offsetof(struct xyli_permits, line));
	struct xyli_wait *admitted = NULL;
	bool left;

	(void)why;
	xyli_lock(&permits->lock);
	left = xyli_line_drop(wait);
	if (left)
		admitted = xyli_permits_admit(permits);
	xyli_unlock(&permits->lock);
	if (left)
		xyli_wake(wait, -ECANCELED);
	xyli_line_give_all(admitted, 0);
}

/* With the lock held. */
static int permits_take(struct xyli_permits *permits, size_t n)
{
	if (permits->closed)
		return -EPIPE;
	if (n > permits->free || permits->line.waits.first)
		return -EAGAIN;
	permits->free -= n;
	return 0;
}

xyl_pending xyli_permits_acquire(struct xyli_permits *permits, struct xyl_task *task, size_t n,
				 const struct xyli_wait_kind *kind)
{
	int r;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (n > XYLI_PERMITS_MAX)
		return xyli_done(task, -EINVAL);
	xyli_lock(&permits->lock);
	r = permits_take(permits, n);
	if (r == -EAGAIN) {
		task->leaf->result = (ssize_t)n;
		return xyli_line_wait(&permits->line, task, kind);
	}
	xyli_unlock(&permits->lock);
	return xyli_done(task, r);
}

int xyli_permits_try(struct xyli_permits *permits, size_t n)
{
	int r;

	if (n > XYLI_PERMITS_MAX)
		return -EINVAL;
	xyli_lock(&permits->lock);
	r = permits_take(permits, n);
	xyli_unlock(&permits->lock);
	return r;
}
