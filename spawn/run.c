/* SPDX-License-Identifier: MIT */
/* xyl_run, spawning from outside, and looking at a runtime. */
#include <errno.h>

#include "rt/ring.h"
#include "spawn/runtime.h"
#include "spawn/task.h"

/* ---- run one function to its end ------------------------------------------------- */

static struct xyl_task *first_task(struct xyl_runtime *rt, const struct xyli_fn *fn,
				   const void *init)
{
	struct xyl_task *task = NULL;

	if (xyli_shard_takes_tasks(rt->shard))
		task = xyli_task_new(rt->shard, fn, init);
	if (task)
		xyli_ready(rt->shard, &task->wait);
	return task;
}

static __attribute__((noinline)) ssize_t run_on_this_stack(struct xyl_runtime *rt,
							   const struct xyli_fn *fn,
							   const void *init)
{
	struct xyli_shard *shard = rt->shard;
	struct xyl_task *task;
	ssize_t result = -ENOMEM;
	int r = xyli_shard_enter(shard, __builtin_frame_address(0));

	if (r < 0)
		return r;
	task = first_task(rt, fn, init);
	if (task) {
		shard->until = &task->wait; /* keeps it, too: its result is wanted */
		while (!xyl_is_done(task))
			xyli_shard_turn(shard);
		result = xyl_result(task);
		shard->until = NULL;
	} else {
		xyli_why_set("no memory for the first task");
	}
	xyli_shard_leave(shard);
	return result;
}

ssize_t xyli_run(const struct xyl_config *config, const struct xyli_fn *fn, const void *init)
{
	struct xyl_runtime *rt;
	ssize_t result;
	int r;

	if (xyli_here) {
		xyli_why_set("this thread runs a shard already: spawn or call instead");
		return -EDEADLK;
	}
	r = xyl_runtime_new(&rt, config);
	if (r < 0)
		return r;
	__builtin_unwind_init();
	result = run_on_this_stack(rt, fn, init);
	r = xyl_runtime_stop(rt, rt->quiesce_ns);
	return r < 0 ? r : result;
}

/* ---- spawning from any attached thread -------------------------------------------- */

struct spawn_post {
	struct xyli_post post; /* first */
	struct xyl_task *task;
};

static void spawn_deliver(struct xyli_post *post)
{
	struct xyl_task *task = ((struct spawn_post *)post)->task;

	xyli_task_arrive(task);
}

static struct xyl_task *spawn_from_outside(struct xyli_shard *shard, const struct xyli_fn *fn,
					   const void *init)
{
	struct spawn_post *message = xyl_new(struct spawn_post);
	struct xyl_task *task = message ? xyli_task_new_outside(shard, fn, init) : NULL;

	if (!task)
		return NULL;
	message->post.deliver = spawn_deliver;
	message->task = task;
	xyli_inbox_post(&shard->inbox, &message->post);
	return task;
}

struct xyl_task *xyli_runtime_spawn(struct xyl_runtime *rt, xyl_placement placement,
				    const struct xyli_fn *fn, const void *init)
{
	(void)placement;
	if (rt->state == XYLI_RT_STOPPED)
		return NULL;
	if (xyli_here == rt->shard)
		return first_task(rt, fn, init);
	return spawn_from_outside(rt->shard, fn, init);
}

/* ---- looking at it ---------------------------------------------------------------- */

void xyl_runtime_stats(const struct xyl_runtime *rt, struct xyl_stats *ret_stats)
{
	const struct xyli_table *tasks = &rt->shard->tasks;
	const uint64_t *from = (const uint64_t *)&rt->shard->stats;
	uint64_t *to = (uint64_t *)ret_stats;

	for (size_t i = 0; i < sizeof(*ret_stats) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	ret_stats->spawned = atomic_load(&tasks->taken); /* a task is a slot */
	ret_stats->completed = atomic_load(&tasks->cleared);
	ret_stats->live = xyli_table_count(tasks);
	ret_stats->doorbells = atomic_load(&rt->shard->inbox.rung);
}

struct xyl_runtime *xyl_runtime_self(void)
{
	return xyli_here ? xyli_here->runtime : NULL;
}

unsigned xyl_shard(void)
{
	return xyli_here ? xyli_here->number : 0;
}

unsigned xyl_shard_count(void)
{
	return 1;
}
