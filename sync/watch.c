/* SPDX-License-Identifier: MIT */
/*
 * Watched values.
 *
 * Design notes.  Each value has a version, and who waits says which one he has seen: so a
 * change is never missed, whenever it came, and a watcher is no more than that number in
 * his frame.  The value is copied with the lock held: nobody sees half of one.
 */
#include <errno.h>
#include <string.h>

#include "sync/line.h"

struct xyl_watch {
	struct xyli_lock lock;
	struct xyli_line line; /* of those who have seen the newest */
	size_t size;
	uint64_t version; /* 0 is none, and older than any */
	bool closed;
	_Alignas(void *) char value[];
};

/* A value without a size may be NULL. */
static void value_copy(const struct xyl_watch *watch, void *to, const void *from)
{
	if (watch->size)
		memcpy(to, from, watch->size);
}

struct xyl_watch *xyl_watch_new(size_t size, const void *initial)
{
	struct xyl_watch *watch = NULL;

	if (size < PTRDIFF_MAX - sizeof(*watch))
		watch = xyl_alloc(sizeof(*watch) + size);
	if (!watch)
		return NULL;
	xyli_lock_init(&watch->lock);
	watch->line.lock = &watch->lock;
	watch->size = size;
	watch->version = 1;
	if (initial)
		value_copy(watch, watch->value, initial);
	return watch;
}

int xyl_watch_set(struct xyl_watch *watch, const void *value)
{
	struct xyli_wait *watching = NULL;
	bool closed;

	if (!watch)
		return -EINVAL;
	xyli_lock(&watch->lock);
	closed = watch->closed;
	if (!closed) {
		value_copy(watch, watch->value, value);
		watch->version++;
		watching = xyli_line_take_all(&watch->line);
	}
	xyli_unlock(&watch->lock);
	xyli_line_give_all(watching, 0);
	return closed ? -EPIPE : 0;
}

uint64_t xyl_watch_get(struct xyl_watch *watch, void *ret_value)
{
	uint64_t version;

	xyli_lock(&watch->lock);
	if (ret_value)
		value_copy(watch, ret_value, watch->value);
	version = watch->version;
	xyli_unlock(&watch->lock);
	return version;
}

static const struct xyli_wait_kind watch_wait = { .name = "watch",
						  .cancel = xyli_line_cancel,
						  .move = xyli_line_move };

xyl_pending xyl_watch_changed(struct xyl_watch *watch, uint64_t seen)
{
	struct xyl_task *task = xyli_task_calling("xyl_watch_changed");
	bool changed;

	if (!watch)
		return xyli_done(task, -EINVAL);
	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	xyli_lock(&watch->lock);
	changed = watch->version != seen;
	if (!changed && !watch->closed)
		return xyli_line_wait(&watch->line, task, &watch_wait);
	xyli_unlock(&watch->lock);
	return xyli_done(task, changed ? 0 : -EPIPE);
}

void xyl_watch_close(struct xyl_watch *watch)
{
	struct xyli_wait *watching;

	xyli_lock(&watch->lock);
	watch->closed = true;
	watching = xyli_line_take_all(&watch->line);
	xyli_unlock(&watch->lock);
	xyli_line_give_all(watching, -EPIPE);
}
