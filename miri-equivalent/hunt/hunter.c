/* SPDX-License-Identifier: MIT */
/*
 * Who aborts: the hunt's own task, or another thread to which the task is handed over.
 *
 * Design notes.  Tasks are handed over in bundles, each task by a root.  The next bundle
 * is linked before the one before it is given away, so the two threads share nothing that
 * is still being written.  The other thread waits in xyl_future_wait, where it is parked
 * for the collector, and looks, when it waits in vain, whether the hunt is stuck.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "miri-equivalent/hunt/hunt.h"

enum { BUNDLE = 3, THREAD_SHARE = 6, SPINS = 400 };
enum { FUTILE_EVERY = 10 }; /* a task may be aborted twice, or when it is done */

#define PATIENCE (40 * XYL_SEC) /* without one abort: it is stuck */

struct bundle {
	struct xyl_future *given; /* 1: the last one */
	struct bundle *next;
	unsigned count, limit;
	xyl_root tasks[BUNDLE];
};

static struct {
	struct bundle *filling; /* the runtime's thread */
	pthread_t thread;
	xyl_root first;
	uint64_t aborts; /* the thread's, until it is joined */
	atomic_uint_fast64_t asked;
} handover;

static struct bundle *bundle_new(unsigned limit)
{
	struct bundle *bundle = xyl_new(struct bundle);

	EXPECT(bundle && (bundle->given = xyl_future_new()), "no memory");
	bundle->limit = limit;
	return bundle;
}

/* ---- dice ----------------------------------------------------------------------------- */

/* splitmix64 */
uint64_t hunter_roll(struct hunter *hunter, uint64_t below)
{
	uint64_t z = hunter->dice += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

int64_t hunter_bound(struct hunter *hunter, uint64_t one_in, uint64_t below)
{
	if (hunter_roll(hunter, one_in))
		return 0;
	return 1 + (int64_t)hunter_roll(hunter, below - 1);
}

/* ---- the runtime's side ----------------------------------------------------------------- */

static void bundle_give(unsigned limit, ssize_t last)
{
	struct bundle *bundle = handover.filling;

	handover.filling = bundle->next = last ? NULL : bundle_new(limit);
	xyl_future_set(bundle->given, last);
}

static void task_give(struct hunter *hunter, struct xyl_task *task)
{
	struct bundle *bundle = handover.filling;

	bundle->tasks[bundle->count++] = xyl_root_add(task);
	if (bundle->count == bundle->limit)
		bundle_give(1 + (unsigned)hunter_roll(hunter, BUNDLE), 0);
}

void hunter_abort(struct hunter *hunter, struct xyl_task *const *tasks, unsigned count)
{
	struct xyl_task *task = tasks[hunter_roll(hunter, count)];
	bool futile = task && (xyl_is_done(task) || task == hunter->asked);

	if (hunter->left == 0 || !task || (futile && hunter_roll(hunter, FUTILE_EVERY)))
		return;
	hunter->left--;
	hunter->asked = task;
	books.asked++;
	atomic_fetch_add_explicit(&handover.asked, 1, memory_order_relaxed);
	if (hunter_roll(hunter, THREAD_SHARE) == 0)
		task_give(hunter, task);
	else
		xyl_abort(task);
}

/* ---- the other thread --------------------------------------------------------------------- */

static void stuck(void)
{
	xyl_dump_tasks(STDERR_FILENO);
	hunt_failed("stuck: no abort for %d s", (int)(PATIENCE / XYL_SEC));
}

static ssize_t bundle_wait(const struct bundle *bundle)
{
	uint64_t before;
	ssize_t r;

	do {
		before = atomic_load_explicit(&handover.asked, memory_order_relaxed);
		r = xyl_future_wait(bundle->given, PATIENCE);
		if (r == -ETIMEDOUT &&
		    atomic_load_explicit(&handover.asked, memory_order_relaxed) == before)
			stuck();
	} while (r == -ETIMEDOUT);
	return r;
}

static void bundle_abort(struct bundle *bundle, struct hunter *hunter)
{
	for (unsigned i = 0; i < bundle->count; i++) {
		for (volatile uint64_t spins = hunter_roll(hunter, SPINS); spins; spins--)
			;
		xyl_abort(xyl_root_get(bundle->tasks[i]));
		xyl_root_drop(&bundle->tasks[i]);
		handover.aborts++;
	}
}

static void *thread_hunt(void *unused)
{
	struct hunter hunter = { 0 };
	struct bundle *bundle;
	ssize_t last;

	(void)unused;
	EXPECT(xyl_thread_attach() == 0, "the thread cannot attach");
	bundle = xyl_root_get(handover.first);
	xyl_root_drop(&handover.first);
	do {
		last = bundle_wait(bundle);
		bundle_abort(bundle, &hunter);
		bundle = bundle->next;
	} while (!last);
	xyl_thread_detach();
	return NULL;
}

void handover_begin(void)
{
	handover.filling = bundle_new(BUNDLE);
	handover.first = xyl_root_add(handover.filling);
	handover.aborts = 0;
	EXPECT(pthread_create(&handover.thread, NULL, thread_hunt, NULL) == 0, "no thread");
}

uint64_t handover_end(void)
{
	bundle_give(0, 1);
	pthread_join(handover.thread, NULL);
	return handover.aborts;
}
