/* SPDX-License-Identifier: MIT */
/*
 * The runtime: its shard run by xyl_run, by a thread of its own, or by hand.
 *
 * Design notes.  The three ways differ only in who calls xyli_shard_turn.  Whoever does
 * comes in through *_on_this_stack: the frames above that point are the program's and
 * count as roots, those below are ours and do not in an exact collection.  The registers
 * that the program's frames keep are spilled before (__builtin_unwind_init).
 */
#include "spawn/runtime.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "rt/ring.h"
#include "spawn/task.h"

#define QUIESCE_DEFAULT (5 * XYL_SEC)

int xyl_runtime_new(struct xyl_runtime **ret_rt, const struct xyl_config *config)
{
	static const struct xyl_config defaults;
	struct xyl_runtime *rt = xyl_new(struct xyl_runtime);
	int r = -ENOMEM;

	if (!config)
		config = &defaults;
	xyli_runtimes_watch();
	if (!rt) {
		xyli_why_set("no memory for a runtime");
		return r;
	}
	rt->shard = xyli_shard_new(config, &r);
	if (!rt->shard)
		return r;
	rt->quiesce_ns = config->quiesce_ns ? config->quiesce_ns : QUIESCE_DEFAULT;
	rt->drive_fd = rt->drive_timer_fd = -1;
	rt->shard->runtime = rt;
	rt->shard->run_tasks = xyli_tasks_run;
	xyli_why_set("%s", "");
	*ret_rt = rt;
	return 0;
}

/* Quiet: only the statistics remain. */
static void runtime_close(struct xyl_runtime *rt)
{
	xyli_drive_done(rt);
	xyli_shard_close(rt->shard);
}

/* Its ring could not be claimed, ever: no task has run, and those on their way are refused. */
static void runtime_abandon(struct xyl_runtime *rt)
{
	struct xyli_shard *shard = rt->shard;

	shard->stopping = true;
	while (atomic_load(&shard->arriving) > 0 || !xyli_inbox_is_empty(&shard->inbox))
		xyli_inbox_deliver(&shard->inbox);
	runtime_close(rt);
}

/* ---- by hand -------------------------------------------------------------------- */

static __attribute__((noinline)) int drive_on_this_stack(struct xyl_runtime *rt, unsigned turns)
{
	struct xyli_shard *shard = rt->shard;
	unsigned resumed = 0;
	int r;

	shard->by_hand = true;
	r = xyli_shard_enter(shard, __builtin_frame_address(0));
	if (r == 0) {
		xyli_drive_begin(rt);
		while (turns-- > 0)
			resumed += xyli_shard_turn(shard);
		xyli_drive_end(rt);
		xyli_shard_leave(shard);
	}
	shard->by_hand = false;
	return r < 0 ? r : (int)resumed;
}

int xyl_runtime_drive(struct xyl_runtime *rt, unsigned turns)
{
	int r;

	if (xyli_here)
		return -EDEADLK;
	if (rt->state != XYLI_RT_BY_HAND || !xyli_shard_is_ours(rt->shard))
		return -EBUSY;
	__builtin_unwind_init();
	r = drive_on_this_stack(rt, turns);
	__asm__ volatile("" ::: "memory"); /* no tail call: this frame must stay */
	return r;
}

/* ---- on a thread of its own ------------------------------------------------------ */

static __attribute__((noinline)) void thread_on_this_stack(struct xyl_runtime *rt)
{
	struct xyli_shard *shard = rt->shard;

	rt->error = xyli_shard_enter(shard, __builtin_frame_address(0));
	xyli_latch_open(rt->started);
	if (rt->error < 0)
		return; /* whoever waits for the start abandons it */
	while (!shard->stopping || !xyli_quiesce_step(shard))
		xyli_shard_turn(shard);
	rt->lost = xyli_quiesce_is_lost(shard) ? XYLI_LOST : 0;
	xyli_shard_leave(shard);
	if (rt->lost == 0)
		runtime_close(rt);
	else
		xyli_shard_disown(shard); /* or this thread would stop it once more as it ends */
}

static void *thread_run(void *arg)
{
	xyl_root *root = arg;
	struct xyl_runtime *rt = xyl_root_get(*root);
	struct xyli_latch *stopped = rt->stopped;
	int r = xyl_thread_attach();

	if (r < 0) { /* it must not touch collected memory any more than this */
		rt->error = r;
		xyli_latch_open(rt->started);
		return NULL;
	}
	rt->attached = true;
	xyl_root_drop(root);
	thread_on_this_stack(rt);
	xyli_latch_open(stopped);
	xyl_thread_detach();
	return NULL;
}

/* The program's signals go to the program's threads.  The collector's must not be
 * blocked, nor those that a thread raises by its own fault. */
static int thread_create(struct xyl_runtime *rt, xyl_root *root)
{
	static const int open_signals[] = { SIGPWR, SIGXCPU, SIGSEGV, SIGBUS,
					    SIGFPE, SIGILL,  SIGTRAP, SIGSYS };
	sigset_t most, before;
	int r;

	sigfillset(&most);
	for (size_t i = 0; i < sizeof(open_signals) / sizeof(*open_signals); i++)
		sigdelset(&most, open_signals[i]);
	pthread_sigmask(SIG_BLOCK, &most, &before);
	r = -pthread_create(&rt->thread, NULL, thread_run, root);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* Several threads may have asked it to stop. */
static void thread_end(struct xyl_runtime *rt)
{
	if (!atomic_exchange(&rt->joined, true))
		pthread_join(rt->thread, NULL);
	rt->state = XYLI_RT_STOPPED;
}

/* The thread could tell only itself. */
static void start_failed(const struct xyl_runtime *rt)
{
	if (rt->attached)
		xyli_why_ring(rt->error);
	else
		xyli_why_set("the shard's thread cannot be attached to the collector: %s",
			     strerror(-rt->error));
}

int xyl_runtime_start(struct xyl_runtime *rt)
{
	xyl_root root;
	int r;

	if (rt->state != XYLI_RT_BY_HAND || rt->shard->ring->claimed)
		return -EBUSY;
	rt->started = xyli_latch_new();
	rt->stopped = xyli_latch_new();
	if (!rt->started || !rt->stopped) {
		xyli_why_set("no memory for a thread's start");
		return -ENOMEM;
	}
	root = xyl_root_add(rt); /* until the thread has it on its own stack */
	if (!root.generation) {
		xyli_why_set("no memory for a thread's start");
		return -ENOMEM;
	}
	rt->state = XYLI_RT_STARTED;
	atomic_store(&rt->shard->driver, rt); /* no thread's own address: it is not ours any more */
	r = thread_create(rt, &root);
	if (r < 0) {
		xyl_root_drop(&root);
		atomic_store(&rt->shard->driver, NULL);
		rt->state = XYLI_RT_BY_HAND;
		xyli_why_set("no thread for the shard: %s", strerror(-r));
		return r;
	}
	xyli_latch_wait(rt->started, -1);
	if (rt->error < 0) {
		thread_end(rt);
		xyl_root_drop(&root);
		runtime_abandon(rt);
		xyli_latch_open(rt->stopped); /* another thread may be in a stop already */
		start_failed(rt);
	}
	return rt->error;
}

static void stop_deliver(struct xyli_post *post)
{
	struct xyl_runtime *rt =
		(struct xyl_runtime *)((char *)post - offsetof(struct xyl_runtime, stop_post));

	xyli_quiesce_begin(rt->shard);
}

static int thread_stop(struct xyl_runtime *rt, int64_t deadline_ns)
{
	struct xyl_stats *stats = &rt->shard->stats;

	if (!atomic_exchange(&rt->stop_asked, true)) {
		rt->stop_post.deliver = stop_deliver;
		xyli_inbox_post(&rt->shard->inbox, &rt->stop_post);
	}
	if (!xyli_latch_wait(rt->stopped, deadline_ns < 0 ? 0 : deadline_ns)) {
		__atomic_store_n(&stats->leaked_pins,
				 __atomic_load_n(&stats->ops_outstanding, __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
		return -ETIMEDOUT;
	}
	thread_end(rt);
	__atomic_store_n(&stats->leaked_pins, rt->lost ? xyli_quiesce_leak(rt->shard) : 0,
			 __ATOMIC_RELAXED);
	return rt->lost;
}

/* ---- stop ----------------------------------------------------------------------- */

static __attribute__((noinline)) int stop_on_this_stack(struct xyl_runtime *rt, int64_t deadline_ns)
{
	int64_t until = xyli_clock_add(xyli_clock(), deadline_ns);
	int r = xyli_shard_enter(rt->shard, __builtin_frame_address(0));

	if (r < 0) {
		runtime_abandon(rt);
		r = 0;
	} else {
		r = xyli_quiesce(rt->shard, until);
		xyli_shard_leave(rt->shard);
		if (r == 0)
			runtime_close(rt);
	}
	if (r == 0)
		rt->state = XYLI_RT_STOPPED;
	return r;
}

int xyl_runtime_stop(struct xyl_runtime *rt, int64_t deadline_ns)
{
	int r;

	if (xyli_here)
		return -EDEADLK;
	switch (atomic_load(&rt->state)) {
	case XYLI_RT_STOPPED: return rt->lost;
	case XYLI_RT_STARTED: return thread_stop(rt, deadline_ns);
	case XYLI_RT_BY_HAND:
		if (!xyli_shard_is_ours(rt->shard))
			return -EBUSY;
		break;
	}
	__builtin_unwind_init();
	r = stop_on_this_stack(rt, deadline_ns);
	__asm__ volatile("" ::: "memory");
	return r;
}
