/* SPDX-License-Identifier: MIT */
/*
 * A thread ends, and a runtime that it drove is not stopped.
 *
 * Design notes.  Its ring ends with the thread, and with it the news of what the kernel
 * still does to memory of ours.  So the thread stops it in its last moments, or the
 * program ends.  No list says which runtimes a thread drove: it could not hold them (L12)
 * and would have to forget those that were stopped.  The live shards are listed anyhow,
 * and each knows who drives it.
 *
 * A thread that ends from within a turn cannot stop anything: the task that called
 * pthread_exit never returns from its step.
 */
#include <stdio.h>

#include "gc/world.h"
#include "spawn/runtime.h"
#include "spawn/task.h"

static _Noreturn void runtime_give_up(const struct xyl_runtime *rt)
{
	struct xyl_stats stats;
	char what[200];

	xyl_runtime_stats(rt, &stats);
	snprintf(what, sizeof(what),
		 "the thread that drove this runtime ends, and it does not stop within %.3f s "
		 "(tasks left: %llu, operations with the kernel: %llu)",
		 (double)rt->quiesce_ns / XYL_SEC, (unsigned long long)stats.live,
		 (unsigned long long)stats.ops_outstanding);
	xyli_misuse("xyl_runtime_stop", what);
}

/* One whose ring has failed is as stopped as it will ever be: its pins stay. */
static void runtime_leave(struct xyl_runtime *rt)
{
	int r = xyl_runtime_stop(rt, rt->quiesce_ns);

	if (r == XYLI_LOST)
		xyli_shard_disown(rt->shard);
	else if (r < 0)
		runtime_give_up(rt);
}

static void thread_ends(void)
{
	struct xyli_shard *shard;

	if (xyli_here)
		xyli_misuse("pthread_exit", "a thread ends inside the runtime that it runs");
	if (!xyli_shard_left())
		return;
	if (xyli_world_return() < 0)
		xyli_misuse("xyl_runtime_stop",
			    "the thread that drove this runtime ends, and there "
			    "is no memory to stop it");
	while ((shard = xyli_shard_left()) != NULL)
		runtime_leave(shard->runtime);
}

void xyli_runtimes_watch(void)
{
	xyli_world_on_exit(thread_ends);
}
