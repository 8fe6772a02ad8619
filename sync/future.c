/* SPDX-License-Identifier: MIT */
/*
 * Futures.
 *
 * Design notes.  The setter claims the future with one compare-and-swap, stores the
 * value, and only then publishes it: whoever sees VALUE may read it.  Tasks wait on a
 * list that belongs to their shard; a setter elsewhere posts the future itself to that
 * shard's inbox, which cannot fail.  Foreign threads wait on a latch.
 *
 *	EMPTY ──> CLAIMED ──> VALUE		with TASKS and THREADS as orthogonal facts
 */
#include <errno.h>
#include <stdatomic.h>

#include "rt/latch.h"
#include "spawn/give.h"
#include "spawn/task.h"
#include "sync/future.h"
#include "sync/line.h"
#include "sync/select.h"

enum {
	FUTURE_CLAIMED = 1, /* a setter is at work; it alone leaves this */
	FUTURE_VALUE = 2,   /* for good */
	FUTURE_TASKS = 4,   /* tasks of `shard` are on `waits`, or may be */
};

struct xyl_future {
	struct xyli_post post; /* first: the news, to the shard of the tasks that wait */
	atomic_uint state;
	ssize_t value;
	struct xyli_shard *shard;
	struct xyli_waits waits;
	struct xyli_latch latch; /* foreign threads */
};

struct xyl_future *xyl_future_new(void)
{
	return xyl_new(struct xyl_future);
}

static void waits_wake(struct xyl_future *future)
{
	while (future->waits.first) {
		struct xyli_wait *wait = future->waits.first;

		xyli_waits_remove(&future->waits, wait);
		xyli_give_here(wait, future->value);
	}
}

static void future_deliver(struct xyli_post *post)
{
	waits_wake((struct xyl_future *)post);
}

int xyl_future_set(struct xyl_future *future, ssize_t value)
{
	unsigned before;

	if (!future)
		return -EINVAL;
	before = atomic_fetch_or(&future->state, FUTURE_CLAIMED);
	if (before & FUTURE_CLAIMED)
		return -EALREADY;
	future->value = value;
	before = atomic_fetch_or(&future->state, FUTURE_VALUE);
	xyli_latch_open(&future->latch);
	if (!(before & FUTURE_TASKS))
		return 0;
	if (future->shard == xyli_here) {
		waits_wake(future);
	} else {
		future->post.deliver = future_deliver;
		xyli_inbox_post(&future->shard->inbox, &future->post);
	}
	return 0;
}

/* ---- tasks ---------------------------------------------------------------------- */

static void future_wait_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyl_future *future = wait->on;

	(void)why;
	xyli_waits_remove(&future->waits, wait);
	xyli_wake(wait, -ECANCELED);
}

static void future_wait_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyl_future *future = from->on;

	xyli_waits_replace(&future->waits, from, to);
}

static const struct xyli_wait_kind future_wait = { .name = "future",
						   .cancel = future_wait_cancel,
						   .move = future_wait_move };

/* Tell setters that tasks of this shard wait.  False: the value is there already. */
static bool future_expect(struct xyl_future *future, struct xyli_shard *shard)
{
	if (!future->shard)
		future->shard = shard;
	else if (future->shard != shard)
		xyli_misuse("xyl_future_get", "tasks of another runtime wait for this future");
	return !(atomic_fetch_or(&future->state, FUTURE_TASKS) & FUTURE_VALUE);
}

xyl_pending xyl_future_get(struct xyl_future *future)
{
	struct xyl_task *task = xyli_task_calling("xyl_future_get");

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (!future)
		return xyli_done(task, -EINVAL);
	if (atomic_load(&future->state) & FUTURE_VALUE || !future_expect(future, task->wait.shard))
		return xyli_done(task, future->value);
	xyli_wait_begin(&task->wait, &future_wait, future);
	xyli_waits_append(&future->waits, &task->wait);
	return (xyl_pending){ 1 };
}

/* ---- a select's case -------------------------------------------------------------- */

bool xyli_future_has(const struct xyl_future *future, ssize_t *ret_value)
{
	if (!(atomic_load(&future->state) & FUTURE_VALUE))
		return false;
	*ret_value = future->value;
	return true;
}

bool xyli_future_is_ours(const struct xyl_future *future)
{
	return !future->shard || future->shard == xyli_here;
}

bool xyli_future_enter(struct xyl_future *future, struct xyli_wait *wait)
{
	if (!future_expect(future, wait->shard))
		return false;
	xyli_waits_append(&future->waits, wait);
	return true;
}

void xyli_future_leave(struct xyl_future *future, struct xyli_wait *wait)
{
	if (wait->prev)
		xyli_waits_remove(&future->waits, wait);
}

/* ---- foreign threads ------------------------------------------------------------ */

ssize_t xyl_future_wait(struct xyl_future *future, int64_t ns)
{
	if (xyli_here)
		return -EDEADLK;
	if (!future)
		return -EINVAL;
	if (!(atomic_load(&future->state) & FUTURE_VALUE) && !xyli_latch_wait(&future->latch, ns))
		return -ETIMEDOUT;
	return future->value;
}

/* ---- xyl_later ------------------------------------------------------------------- */

/* A task that only waits, in the stead of the one that started the operation. */
struct later {
	struct xyl_frame frame;
	struct xyl_future *future;
};

/* Resumed once: the result has come. */
static xyl_step later(void *frame)
{
	struct later *self = frame;

	if (self->frame.line == XYLI_WHERE)
		return xyli_where(&self->frame, __FILE__);
	xyl_future_set(self->future, self->frame.result);
	return xyli_return(&self->frame, 0);
}

static struct xyl_task *later_task(struct xyli_shard *shard, struct xyl_future *future)
{
	return xyli_task_new(shard, XYLI_FN(later), XYLI_FRAME(later, .future = future));
}

static void later_take_call(struct xyl_task *from, struct xyl_task *to)
{
	struct xyl_frame *callee = from->leaf;

	to->leaf->line = __LINE__;
	xyli_bounds_move(from, to, callee);
	from->leaf = callee->caller;
	callee->caller = to->leaf;
	to->leaf = callee;
	xyli_ready(to->wait.shard, &to->wait);
}

static void later_take_wait(struct xyl_task *from, struct xyl_task *to)
{
	to->leaf->line = __LINE__;
	xyli_bounds_move(from, to, NULL);
	to->wait.kind = from->wait.kind;
	to->wait.on = from->wait.on;
	xyli_wait_set(&to->wait, XYLI_WAITING);
	to->wait.since_ms = (uint32_t)(to->wait.shard->now / XYL_MS);
	from->wait.kind->move(&from->wait, &to->wait);
	from->wait.kind = NULL;
}

/* It would not be cancelled: another shard's has its result, or the kernel its buffer. */
static void later_hasten(struct xyli_wait *wait)
{
	if (wait->kind->move == xyli_line_move)
		xyli_line_hasten(wait);
	else if (xyli_wait_is_select(wait))
		xyli_select_hasten(wait->on);
	else
		xyli_misuse("xyl_later", "no memory, and the operation must be waited for");
}

/* No memory for a task to wait: the operation must not go on unseen. */
static void later_give_up(struct xyl_task *task, xyl_pending op)
{
	struct xyl_frame *callee = task->leaf;

	if (op.xyli_code == XYLI_PENDING_CALL) {
		xyli_bounds_returned(task, callee);
		xyli_task_call_off(task);
		return;
	}
	task->wait.kind->cancel(&task->wait, XYLI_ABORTED);
	if (task->wait.kind)
		later_hasten(&task->wait);
	xyli_bounds_awaited(task);
}

struct xyl_future *xyl_later(xyl_pending op)
{
	struct xyl_task *task = xyl_self(), *waiter;
	struct xyl_future *future = xyl_future_new();
	bool pending;

	if (!task)
		xyli_misuse("xyl_later", "called outside a task");
	pending = op.xyli_code == XYLI_PENDING_CALL || task->wait.kind;
	if (op.xyli_code && !pending) {
		xyli_bounds_awaited(task);
		task->wait.shard->credit = 1; /* it was to give way: the next one will */
	}
	if (future && !pending) {
		xyl_future_set(future, op.xyli_code ? task->wait.result : task->leaf->result);
		return future;
	}
	waiter = future ? later_task(task->wait.shard, future) : NULL;
	if (!waiter) {
		if (pending)
			later_give_up(task, op);
		return NULL;
	}
	task->wait.abandoned = true; /* what goes on without it may name its frames */
	if (op.xyli_code == XYLI_PENDING_CALL)
		later_take_call(task, waiter);
	else
		later_take_wait(task, waiter);
	if (task->wait.shard->stopping)
		xyl_abort(waiter);
	return future;
}
