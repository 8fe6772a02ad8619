/* SPDX-License-Identifier: MIT */
/*
 * Read-write locks.
 *
 * Design notes.  Permits (permits.h), of which a reader takes one and a writer all: a
 * writer who waits keeps later readers out, and when he leaves all the readers up to the next
 * writer go in together.  Neither starves.
 *
 * As long as somebody is in, what is free tells who: none, it is a writer.
 */
#include <errno.h>

#include "sync/permits.h"

struct xyl_rwlock {
	struct xyli_permits permits;
};

enum { READER = 1 };
#define WRITER XYLI_PERMITS_MAX

struct xyl_rwlock *xyl_rwlock_new(void)
{
	struct xyl_rwlock *rwlock = xyl_new(struct xyl_rwlock);

	if (rwlock)
		xyli_permits_init(&rwlock->permits, XYLI_PERMITS_MAX);
	return rwlock;
}

static const struct xyli_wait_kind read_wait = { .name = "read lock",
						 .cancel = xyli_permits_cancel,
						 .move = xyli_line_move };
static const struct xyli_wait_kind write_wait = { .name = "write lock",
						  .cancel = xyli_permits_cancel,
						  .move = xyli_line_move };

xyl_pending xyl_rwlock_read(struct xyl_rwlock *rwlock)
{
	struct xyl_task *task = xyli_task_calling("xyl_rwlock_read");

	if (!rwlock)
		return xyli_done(task, -EINVAL);
	if (xyli_permits_take_quickly(&rwlock->permits, task, READER))
		return xyli_done(task, 0);
	return xyli_permits_acquire(&rwlock->permits, task, READER, &read_wait);
}

xyl_pending xyl_rwlock_write(struct xyl_rwlock *rwlock)
{
	struct xyl_task *task = xyli_task_calling("xyl_rwlock_write");

	if (!rwlock)
		return xyli_done(task, -EINVAL);
	if (xyli_permits_take_quickly(&rwlock->permits, task, WRITER))
		return xyli_done(task, 0);
	return xyli_permits_acquire(&rwlock->permits, task, WRITER, &write_wait);
}

int xyl_rwlock_try_read(struct xyl_rwlock *rwlock)
{
	return rwlock ? xyli_permits_try(&rwlock->permits, READER) : -EINVAL;
}

int xyl_rwlock_try_write(struct xyl_rwlock *rwlock)
{
	return rwlock ? xyli_permits_try(&rwlock->permits, WRITER) : -EINVAL;
}

void xyl_rwlock_unlock(struct xyl_rwlock *rwlock)
{
	struct xyli_permits *permits = &rwlock->permits;

	xyli_lock(&permits->lock);
	if (permits->free == XYLI_PERMITS_MAX)
		xyli_misuse("xyl_rwlock_unlock", "nobody holds it");
	xyli_permits_put(permits, permits->free == 0 ? WRITER : READER);
}

void xyl_rwlock_downgrade(struct xyl_rwlock *rwlock)
{
	struct xyli_permits *permits = &rwlock->permits;

	xyli_lock(&permits->lock);
	if (permits->free != 0)
		xyli_misuse("xyl_rwlock_downgrade", "no writer holds it");
	xyli_permits_put(permits, WRITER - READER);
}
