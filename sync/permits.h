/* SPDX-License-Identifier: MIT */
/*
 * permits.h - so many may be in at once; who wants more than is free waits, first come first
 * served.  A semaphore is this; a read-write lock is one from which a reader takes one permit
 * and a writer all there are.
 *
 * Who waits brings, as the word of his wait, how many he wants.  Nobody is let past the one
 * in front, however little he wants, and whoever leaves the front, by an abort too, lets in
 * those behind him for whom there is enough.
 */
#ifndef XYLI_SYNC_PERMITS_H
#define XYLI_SYNC_PERMITS_H

#include "sync/line.h"

#define XYLI_PERMITS_MAX ((size_t)PTRDIFF_MAX)

struct xyli_permits {
	struct xyli_lock lock;
	struct xyli_line line;
	size_t free;
	bool closed;
};

void xyli_permits_init(struct xyli_permits *permits, size_t free);
size_t xyli_permits_free(struct xyli_permits *permits);

/* What an operation does, beginning with the look at aborts. */
xyl_pending xyli_permits_acquire(struct xyli_permits *permits, struct xyl_task *task, size_t n,
				 const struct xyli_wait_kind *kind);
int xyli_permits_try(struct xyli_permits *permits, size_t n); /* -EAGAIN, -EPIPE, -EINVAL */

/* For a struct xyli_wait_kind. */
void xyli_permits_cancel(struct xyli_wait *wait, enum xyli_cancel_why why);

/* Those who may go in now, claimed: to be given 0 when the lock is free.  With it held. */
struct xyli_wait *xyli_permits_admit(struct xyli_permits *permits);

/* With the lock held; it is free afterwards. */
static inline void xyli_permits_put(struct xyli_permits *permits, size_t n)
{
	struct xyli_wait *admitted = NULL;

	permits->free += n;
	if (__builtin_expect(permits->line.waits.first != NULL, 0))
		admitted = xyli_permits_admit(permits);
	xyli_unlock(&permits->lock);
	if (admitted)
		xyli_line_give_all(admitted, 0);
}

/* At once, on the shard that owns them. */
static inline bool xyli_permits_take_quickly(struct xyli_permits *permits,
					     const struct xyl_task *task, size_t n)
{
	bool taken;

	if (xyli_task_is_bothered(task) || !xyli_lock_owned(&permits->lock))
		return false;
	taken = n <= permits->free && !permits->line.waits.first && !permits->closed;
	if (taken)
		permits->free -= n;
	xyli_unlock_owned(&permits->lock);
	return taken;
}

#endif
