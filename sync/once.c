/* SPDX-License-Identifier: MIT */
/*
 * Once.
 *
 * Design notes.  One at a time tries, and the others wait.  If he fails, the first of them is
 * told to try, directly; when one has succeeded all go on, and whoever comes later reads one
 * word.
 *
 *	IDLE ──> TRYING ──> DONE	TRYING ──> IDLE: failed, and nobody waits
 */
#include <errno.h>
#include <stdatomic.h>

#include "sync/line.h"

enum { /* the state; the others may leave it as drawn */
       ONCE_IDLE,
       ONCE_TRYING, /* somebody has been given 1; his xyl_once_end leaves it, or hands it on */
       ONCE_DONE,   /* for good, and `result` may be read */
};

struct xyl_once {
	struct xyli_lock lock;
	struct xyli_line line;
	atomic_uint state;
	ssize_t result;
};

struct xyl_once *xyl_once_new(void)
{
	struct xyl_once *once = xyl_new(struct xyl_once);

	if (!once)
		return NULL;
	xyli_lock_init(&once->lock);
	once->line.lock = &once->lock;
	return once;
}

static inline bool once_is_done(const struct xyl_once *once)
{
	return atomic_load_explicit(&once->state, memory_order_acquire) == ONCE_DONE;
}

static const struct xyli_wait_kind once_wait = { .name = "once",
						 .cancel = xyli_line_cancel,
						 .move = xyli_line_move };

static __attribute__((noinline)) xyl_pending begin_slowly(struct xyl_once *once,
							  struct xyl_task *task)
{
	unsigned state;

	if (!once)
		return xyli_done(task, -EINVAL);
	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	xyli_lock(&once->lock);
	state = atomic_load_explicit(&once->state, memory_order_relaxed);
	if (state == ONCE_TRYING)
		return xyli_line_wait(&once->line, task, &once_wait);
	if (state == ONCE_IDLE)
		atomic_store_explicit(&once->state, ONCE_TRYING, memory_order_relaxed);
	xyli_unlock(&once->lock);
	return xyli_done(task, state == ONCE_IDLE);
}

xyl_pending xyl_once_begin(struct xyl_once *once)
{
	struct xyl_task *task = xyli_task_calling("xyl_once_begin");

	if (once && !xyli_task_is_bothered(task) && once_is_done(once))
		return xyli_done(task, 0);
	return begin_slowly(once, task);
}

/* With the lock held. */
static struct xyli_wait *once_succeed(struct xyl_once *once, ssize_t result)
{
	once->result = result;
	atomic_store_explicit(&once->state, ONCE_DONE, memory_order_release);
	return xyli_line_take_all(&once->line);
}

static struct xyli_wait *once_fail(struct xyl_once *once)
{
	struct xyli_wait *next = xyli_line_take(&once->line);

	if (!next)
		atomic_store_explicit(&once->state, ONCE_IDLE, memory_order_relaxed);
	return next;
}

void xyl_once_end(struct xyl_once *once, ssize_t result)
{
	struct xyli_wait *told;

	xyli_lock(&once->lock);
	if (atomic_load_explicit(&once->state, memory_order_relaxed) != ONCE_TRYING)
		xyli_misuse("xyl_once_end", "nobody has begun");
	told = result < 0 ? once_fail(once) : once_succeed(once, result);
	xyli_unlock(&once->lock);
	xyli_line_give_all(told, result < 0);
}

ssize_t xyl_once_result(const struct xyl_once *once)
{
	if (!once)
		return -EINVAL;
	return once_is_done(once) ? once->result : -EAGAIN;
}
