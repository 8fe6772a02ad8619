/* SPDX-License-Identifier: MIT */
/*
 * Mutexes.
 *
 * Design notes.  A mutex that is given back goes straight to the first who waits: it is not
 * free in between, nobody overtakes, and a wake-up never finds it taken again.
 *
 * Who waits brings, as the word of his wait, the task that asked.  With xyl_later another
 * waits in its stead, but it is the one who asked that will hold the mutex.
 */
#include <errno.h>

#include "sync/line.h"

struct xyl_mutex {
	struct xyli_lock lock;
	struct xyli_line line;
	const void *holder; /* a task, or a thread's own address; NULL: nobody */
};

struct xyl_mutex *xyl_mutex_new(void)
{
	struct xyl_mutex *mutex = xyl_new(struct xyl_mutex);

	if (!mutex)
		return NULL;
	xyli_lock_init(&mutex->lock);
	mutex->line.lock = &mutex->lock;
	return mutex;
}

static inline const void *caller(void)
{
	return xyli_is_in_step() ? (const void *)xyli_running : &xyli_here;
}

_Static_assert(offsetof(struct xyl_task, wait) == 0, "a task goes by its wait");

/* With the lock held. */
static inline bool mutex_take(struct xyl_mutex *mutex, const void *who)
{
	if (mutex->holder)
		return false;
	mutex->holder = who;
	return true;
}

/* ---- waiting -------------------------------------------------------------------- */

static const struct xyli_wait_kind mutex_wait = { .name = "mutex",
						  .cancel = xyli_line_cancel,
						  .move = xyli_line_move };

static __attribute__((noinline)) xyl_pending lock_slowly(struct xyl_mutex *mutex,
							 struct xyl_task *task)
{
	bool taken, again;

	if (!mutex)
		return xyli_done(task, -EINVAL); /* there was no memory for it, most likely */
	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	xyli_lock(&mutex->lock);
	taken = mutex_take(mutex, task);
	again = !taken && mutex->holder == task;
	if (!taken && !again) {
		task->leaf->result = (ssize_t)task;
		return xyli_line_wait(&mutex->line, task, &mutex_wait);
	}
	xyli_unlock(&mutex->lock);
	return xyli_done(task, again ? -EDEADLK : 0);
}

xyl_pending xyl_mutex_lock(struct xyl_mutex *mutex)
{
	struct xyl_task *task = xyli_task_calling("xyl_mutex_lock");
	bool taken;

	if (mutex && !xyli_task_is_bothered(task) && xyli_lock_owned(&mutex->lock)) {
		taken = mutex_take(mutex, task);
		xyli_unlock_owned(&mutex->lock);
		if (taken)
			return xyli_done(task, 0);
	}
	return lock_slowly(mutex, task);
}

/* ---- without waiting -------------------------------------------------------------- */

int xyl_mutex_try_lock(struct xyl_mutex *mutex)
{
	bool taken;

	if (!mutex)
		return -EINVAL;
	xyli_lock(&mutex->lock);
	taken = mutex_take(mutex, caller());
	xyli_unlock(&mutex->lock);
	return taken ? 0 : -EAGAIN;
}

static __attribute__((noinline)) void unlock_slowly(struct xyl_mutex *mutex)
{
	struct xyli_wait *next;

	xyli_lock(&mutex->lock);
	if (mutex->holder != caller())
		xyli_misuse("xyl_mutex_unlock", "by one who does not hold it");
	next = xyli_line_take(&mutex->line);
	mutex->holder = next ? (const void *)*xyli_wait_word(next) : NULL;
	xyli_unlock(&mutex->lock);
	if (next)
		xyli_give(next, 0);
}

void xyl_mutex_unlock(struct xyl_mutex *mutex)
{
	bool quick;

	if (xyli_lock_owned(&mutex->lock)) {
		quick = mutex->holder == caller() && !mutex->line.waits.first;
		if (quick)
			mutex->holder = NULL;
		xyli_unlock_owned(&mutex->lock);
		if (quick)
			return;
	}
	unlock_slowly(mutex);
}
