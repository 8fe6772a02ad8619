/* SPDX-License-Identifier: MIT */
/*
 * The life of a task: spawn, resume, finish.
 *
 * Design notes.  A step is a plain function call from the loop.  It returns when its
 * task suspends, when it has called another async function (which then runs next, on
 * this same loop, so that depth costs no machine stack), or when it is done.
 *
 * One disposal path: however a task ends, it ends in task_finish, with no lock held.
 * The task's block may be held by handles for long after: the user's part of the first
 * frame is cleared, so that a handle keeps a result alive and nothing else.  Unless an
 * operation was abandoned: its buffer may lie there, with bytes that are not lost yet.
 */
#include "spawn/task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gc/check.h"
#include "spawn/give.h"

void xyli_misuse(const char *function, const char *what)
{
	fprintf(stderr, "xylem: %s: %s\n", function, what);
	abort();
}

void xyli_not_calling(const char *function)
{
	xyli_misuse(function, xyli_is_in_step() ? "the operation started before it was not awaited"
						: "called outside a task");
}

/* ---- frames --------------------------------------------------------------------- */

/* Most frames have a few words: a call of memcpy or memset costs more than they do. */
typedef uint64_t __attribute__((may_alias)) frame_word;

static inline void words_copy(frame_word *to, const frame_word *from, size_t bytes)
{
	switch (bytes / sizeof(*to)) {
	case 4: to[3] = from[3]; __attribute__((fallthrough));
	case 3: to[2] = from[2]; __attribute__((fallthrough));
	case 2: to[1] = from[1]; __attribute__((fallthrough));
	case 1: to[0] = from[0]; __attribute__((fallthrough));
	case 0: return;
	default: memcpy(to, from, bytes);
	}
}

static inline void words_clear(frame_word *to, size_t bytes)
{
	static const frame_word zeroes[4];

	if (bytes <= sizeof(zeroes))
		words_copy(to, zeroes, bytes);
	else
		memset(to, 0, bytes);
}

static inline void frame_init(struct xyl_frame *frame, const struct xyli_fn *fn, const void *init)
{
	words_copy((frame_word *)(frame + 1),
		   (const frame_word *)((const struct xyl_frame *)init + 1),
		   fn->size - sizeof(*frame));
	frame->fn = fn;
}

struct xyl_frame *xyli_frame_new(struct xyli_shard *shard, const struct xyli_fn *fn,
				 const void *init)
{
	struct xyl_frame *frame = xyli_block_new(&shard->blocks, fn->size);

	if (frame)
		frame_init(frame, fn, init);
	return frame;
}

xyl_pending xyli_call(const struct xyli_fn *fn, const void *init)
{
	struct xyl_task *task = xyli_task_calling(fn->name);
	struct xyl_frame *frame = xyli_frame_new(task->wait.shard, fn, init);

	if (!frame)
		return xyli_done(task, -ENOMEM);
	return xyli_call_frame(task, frame);
}

void xyli_bad_resume(const struct xyl_frame *frame)
{
	fprintf(stderr, "xylem: %s: resumed at line %d, where it does not wait%s\n",
		frame->fn->name, frame->line,
		frame->line == XYLI_RETURNED ? " (it has returned)" : "");
	abort();
}

static void joiners_wake(struct xyl_task *task, ssize_t result)
{
	while (task->joiners.first) {
		struct xyli_wait *joiner = task->joiners.first;

		xyli_waits_remove(&task->joiners, joiner);
		xyli_give_here(joiner, result);
	}
}

/* ---- spawn ---------------------------------------------------------------------- */

/* A task is 8 bytes short of a multiple of 16.  Where the frame needs that alignment, as
 * with a long double in it, the task begins 8 bytes into its block. */
static inline size_t task_shift(const struct xyli_fn *fn)
{
	return fn->align > 8 ? 8 : 0;
}

static inline size_t task_bytes(const struct xyli_fn *fn)
{
	return sizeof(struct xyl_task) + fn->size + task_shift(fn);
}

static inline struct xyl_task *task_place(void *block, const struct xyli_fn *fn)
{
	return block ? (struct xyl_task *)((char *)block + task_shift(fn)) : NULL;
}

static inline void task_init(struct xyl_task *task, struct xyli_shard *shard,
			     const struct xyli_fn *fn, const void *init)
{
	task->wait.shard = shard;
	task->leaf = xyli_task_first_frame(task);
	frame_init(task->leaf, fn, init);
}

/* From now on it is in flight. */
static inline bool task_root(struct xyl_task *task)
{
	struct xyli_shard *shard = task->wait.shard;

	task->slot = xyli_table_take(&shard->tasks, task);
	if (__builtin_expect(task->slot == XYLI_TABLE_NONE, 0))
		return false;
	shard->in_flight_bytes += xyli_task_size(task);
	return true;
}

static inline struct xyl_task *task_new(struct xyli_shard *shard, const struct xyli_fn *fn,
					const void *init)
{
	struct xyl_task *task = task_place(xyli_block_new(&shard->blocks, task_bytes(fn)), fn);

	if (!task)
		return NULL;
	task_init(task, shard, fn, init);
	return task_root(task) ? task : NULL;
}

struct xyl_task *xyli_task_new(struct xyli_shard *shard, const struct xyli_fn *fn, const void *init)
{
	return task_new(shard, fn, init);
}

struct xyl_task *xyli_task_new_outside(struct xyli_shard *shard, const struct xyli_fn *fn,
				       const void *init)
{
	struct xyl_task *task = NULL;

	if (!xyli_shard_takes_tasks(shard))
		return NULL;
	atomic_fetch_add(&shard->arriving, 1); /* from here on a stop waits for it */
	if (!atomic_load(&shard->stopping))
		task = task_place(xyl_alloc(task_bytes(fn)), fn);
	if (task)
		task_init(task, shard, fn, init);
	else
		atomic_fetch_sub(&shard->arriving, 1);
	return task;
}

/* It never ran: no stage of task_finish has anything to undo. */
static void task_refuse(struct xyl_task *task)
{
	task->leaf->result = -ECANCELED;
	task->leaf = NULL;
	__atomic_store_n(&task->wait.aborted, true, __ATOMIC_RELAXED);
	xyli_wait_set(&task->wait, XYLI_DONE);
	joiners_wake(task, -ECANCELED);
}

void xyli_task_arrive(struct xyl_task *task)
{
	struct xyli_shard *shard = task->wait.shard;

	atomic_fetch_sub(&shard->arriving, 1);
	if (!xyli_shard_takes_tasks(shard) || !task_root(task))
		task_refuse(task);
	else
		xyli_ready(shard, &task->wait);
}

/* With one shard, every placement is here. */
struct xyl_task *xyli_spawn(struct xyl_scope *scope, xyl_placement placement,
			    const struct xyli_fn *fn, const void *init)
{
	struct xyli_shard *shard = xyli_here;
	struct xyli_member *member = NULL;
	struct xyl_task *task;

	(void)placement;
	if (__builtin_expect(!shard, 0))
		xyli_misuse("xyl_spawn", "called outside a runtime: use xyl_runtime_spawn");
	if (__builtin_expect(!xyli_shard_takes_tasks(shard), 0))
		return NULL;
	if (scope) {
		member = xyli_member_new(scope, shard);
		if (!member)
			return NULL;
	}
	task = task_new(shard, fn, init);
	if (!task)
		return NULL;
	if (member)
		xyli_scope_enter(member, task);
	xyli_ready(shard, &task->wait);
	return task;
}

/* ---- finish --------------------------------------------------------------------- */

static void words_finish(void *words, size_t size)
{
	if (xyli_check_on())
		xyli_check_finish(words, size);
	else
		words_clear(words, size);
}

static void frame_finish(struct xyl_frame *frame)
{
	words_finish(frame + 1, frame->fn->size - sizeof(*frame));
}

static void task_finish(struct xyl_task *task)
{
	struct xyli_shard *shard = task->wait.shard;
	ssize_t result = task->leaf->result;

	xyli_table_clear_own(&shard->tasks, task->slot);
	shard->in_flight_bytes -= xyli_task_size(task);
	if (!task->wait.abandoned)
		frame_finish(task->leaf);
	task->leaf = NULL;
	xyli_wait_set(&task->wait, XYLI_DONE);
	if (task->joiners.first)
		joiners_wake(task, task->wait.aborted ? -ECANCELED : result);
	if (task->member)
		xyli_scope_leave(task);
}

/* ---- resume --------------------------------------------------------------------- */

/* A stream's will be called again: it keeps what is its own, and nothing of its caller's.
 * Once it has ended it keeps nothing. */
static void frame_rest(const struct xyl_task *task, struct xyl_frame *frame)
{
	struct xyl_stream *stream = (struct xyl_stream *)frame;
	bool ended = frame->result == 0 && !stream->in;

	frame->abandoned |= task->wait.abandoned;
	frame->caller = NULL;
	stream->elem = NULL;
	stream->in = NULL;
	if (ended && !frame->abandoned)
		words_finish(stream + 1, frame->fn->size - sizeof(*stream));
}

/* The leaf has returned: its caller is next.  False: the task is done. */
static bool task_return(struct xyl_task *task, struct xyl_frame *frame)
{
	struct xyl_frame *caller = frame->caller;

	if (task->bounds)
		xyli_bounds_returned(task, frame);
	if (!caller)
		return false;
	caller->result = frame->result;
	task->leaf = caller;
	if (__builtin_expect(frame->stays, 0))
		frame_rest(task, frame);
	else if (xyli_check_on() && !task->wait.abandoned)
		frame_finish(frame);
	return true;
}

static void task_suspend(struct xyl_task *task)
{
	struct xyli_wait *wait = &task->wait;

	if (!wait->kind) { /* it gives way; or what it awaits came within its own step */
		xyli_schedule_last(wait);
		xyli_ready(wait->shard, wait);
		return;
	}
	wait->since_ms = (uint32_t)(wait->shard->now / XYL_MS);
	xyli_wait_set(wait, XYLI_WAITING);
}

/* A call is next; nothing else may have been started beside it. */
static inline void step_check_call(const struct xyl_task *task, const struct xyl_frame *frame)
{
	if (__builtin_expect(task->leaf->caller != frame || task->wait.kind, 0))
		xyli_misuse(frame->fn->name,
			    "an operation that was started before a call was not awaited");
}

static void task_step(struct xyl_task *task)
{
	struct xyli_shard *shard = task->wait.shard;

	for (;;) {
		struct xyl_frame *frame = task->leaf;
		xyl_step step = frame->fn->run(frame);

		if (step.xyli_code == 0) {
			if (!task_return(task, frame)) {
				task_finish(task);
				return;
			}
			if (--shard->credit > 0)
				continue;
			task->wait.result = task->leaf->result; /* a loop of calls gives way, too */
		} else if (task->leaf != frame) {
			step_check_call(task, frame);
			continue;
		}
		task_suspend(task);
		return;
	}
}

static void task_resume(struct xyli_shard *shard, struct xyli_wait *wait)
{
	struct xyl_task *task = xyli_task_of(wait);

	XYLI_MUST(wait->state == XYLI_READY);
	xyli_wait_set(wait, XYLI_RUNNING);
	xyli_running = wait;
	shard->credit = shard->turn_budget;
	if (task->bounds)
		xyli_bounds_awaited(task);
	task->leaf->result = wait->result;
	task_step(task);
}

unsigned xyli_tasks_run(struct xyli_shard *shard)
{
	unsigned resumed = 0;

	while (shard->ready.first && resumed < shard->turn_budget) {
		task_resume(shard, xyli_ready_take(shard));
		resumed++;
	}
	xyli_running = &xyli_nobody;
	return resumed;
}

/* ---- looking at one ------------------------------------------------------------- */

struct xyl_task *xyl_self(void)
{
	return xyli_is_in_step() ? xyli_task_of(xyli_running) : NULL;
}

bool xyl_is_done(const struct xyl_task *task)
{
	return xyli_task_is_done(task);
}

bool xyl_is_aborted(const struct xyl_task *task)
{
	return __atomic_load_n(&task->wait.aborted, __ATOMIC_RELAXED);
}

ssize_t xyl_result(const struct xyl_task *task)
{
	return xyli_task_is_done(task) ? xyli_task_first_frame(task)->result : -EAGAIN;
}

xyl_pending xyl_yield(void)
{
	struct xyl_task *task = xyli_task_calling("xyl_yield");

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	task->wait.result = 0;
	return (xyl_pending){ 1 };
}
