/* SPDX-License-Identifier: MIT */
/*
 * Semaphores.
 *
 * Design notes.  Permits (permits.h), and a close.  Permits belong to nobody: whoever gives
 * them back, a thread outside for one, need not have taken them.
 */
#include <errno.h>

#include "sync/permits.h"

struct xyl_semaphore {
	struct xyli_permits permits;
};

struct xyl_semaphore *xyl_semaphore_new(size_t permits)
{
	struct xyl_semaphore *semaphore;

	if (permits > XYLI_PERMITS_MAX)
		return NULL;
	semaphore = xyl_new(struct xyl_semaphore);
	if (semaphore)
		xyli_permits_init(&semaphore->permits, permits);
	return semaphore;
}

static const struct xyli_wait_kind semaphore_wait = { .name = "semaphore",
						      .cancel = xyli_permits_cancel,
						      .move = xyli_line_move };

xyl_pending xyl_semaphore_acquire(struct xyl_semaphore *semaphore, size_t n)
{
	struct xyl_task *task = xyli_task_calling("xyl_semaphore_acquire");

	if (!semaphore)
		return xyli_done(task, -EINVAL);
	if (xyli_permits_take_quickly(&semaphore->permits, task, n))
		return xyli_done(task, 0);
	return xyli_permits_acquire(&semaphore->permits, task, n, &semaphore_wait);
}

int xyl_semaphore_try_acquire(struct xyl_semaphore *semaphore, size_t n)
{
	return semaphore ? xyli_permits_try(&semaphore->permits, n) : -EINVAL;
}

int xyl_semaphore_release(struct xyl_semaphore *semaphore, size_t n)
{
	struct xyli_permits *permits;

	if (!semaphore)
		return -EINVAL;
	permits = &semaphore->permits;
	xyli_lock(&permits->lock);
	if (n > XYLI_PERMITS_MAX - permits->free) {
		xyli_unlock(&permits->lock);
		return -EOVERFLOW;
	}
	xyli_permits_put(permits, n);
	return 0;
}

size_t xyl_semaphore_available(struct xyl_semaphore *semaphore)
{
	return xyli_permits_free(&semaphore->permits);
}

void xyl_semaphore_close(struct xyl_semaphore *semaphore)
{
	struct xyli_permits *permits = &semaphore->permits;
	struct xyli_wait *waiting;

	xyli_lock(&permits->lock);
	permits->closed = true;
	waiting = xyli_line_take_all(&permits->line);
	xyli_unlock(&permits->lock);
	xyli_line_give_all(waiting, -EPIPE);
}
