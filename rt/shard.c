/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  Live shards are named by a pinned table of their own, not by a static
 * pointer: a program may tell the collector to scan no static data.  A clean stop
 * clears the slot; a shard that could not drain keeps it for ever, and with it every
 * pin (the graveyard).
 *
 * SIGPIPE: a write to a pipe without readers raises it in the thread that submits, and
 * io_uring's write has no MSG_NOSIGNAL.  It is blocked while a thread runs a shard (and
 * between two drives, where a write may still go on), and one that came is taken back.
 */
#include "rt/shard.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "gc/check.h"
#include "gc/heap.h"
#include "gc/pace.h"
#include "gc/world.h"
#include "roots/root.h"
#include "rt/buffers.h"
#include "rt/hostile.h"
#include "rt/lock.h"
#include "rt/ring.h"

#define ENTRIES_DEFAULT 1024
#define ENTRIES_MAX 32768
#define BUDGET_DEFAULT 64
#define SHARDS_VISITED 256
#define HEAP_START_DEFAULT ((size_t)64 << 20)

_Thread_local struct xyli_shard *xyli_here __attribute__((tls_model("initial-exec")));

static const struct xyli_wait_kind nothing = { .name = "nothing" };
struct xyli_wait xyli_nobody = { .kind = &nothing, .state = XYLI_WAITING };
_Thread_local struct xyli_wait *xyli_running
	__attribute__((tls_model("initial-exec"))) = &xyli_nobody;

/* ---- the live shards ------------------------------------------------------------ */

static struct xyli_table *anchors;
static pthread_mutex_t anchors_lock = PTHREAD_MUTEX_INITIALIZER;

static bool shard_anchor(struct xyli_shard *shard)
{
	pthread_mutex_lock(&anchors_lock);
	if (!anchors) {
		anchors = xyli_heap_pin(sizeof(*anchors));
		if (anchors)
			xyli_table_init(anchors);
	}
	shard->anchor = anchors ? xyli_table_take(anchors, shard) : XYLI_TABLE_NONE;
	pthread_mutex_unlock(&anchors_lock);
	return shard->anchor != XYLI_TABLE_NONE;
}

static void shard_unanchor(struct xyli_shard *shard)
{
	pthread_mutex_lock(&anchors_lock);
	xyli_table_clear_own(anchors, shard->anchor);
	pthread_mutex_unlock(&anchors_lock);
}

/* Up to `cap` of them, into shards. */
static size_t shards_copy(struct xyli_shard **shards, size_t cap)
{
	size_t n = 0;

	pthread_mutex_lock(&anchors_lock);
	for (uint32_t slot = 0; anchors && slot < anchors->used && n < cap; slot++) {
		struct xyli_shard *shard = atomic_load(&xyli_table_slot(anchors, slot)->obj);

		if (shard)
			shards[n++] = shard;
	}
	pthread_mutex_unlock(&anchors_lock);
	return n;
}

void xyli_shards_visit(void (*visit)(struct xyli_shard *shard, void *arg), void *arg)
{
	struct xyli_shard *shards[SHARDS_VISITED];
	size_t n = shards_copy(shards, SHARDS_VISITED);

	for (size_t i = 0; i < n; i++)
		visit(shards[i], arg);
}

struct xyli_shard *xyli_shard_left(void)
{
	struct xyli_shard *left = NULL;

	pthread_mutex_lock(&anchors_lock);
	for (uint32_t slot = 0; anchors && slot < anchors->used && !left; slot++) {
		struct xyli_shard *shard = atomic_load(&xyli_table_slot(anchors, slot)->obj);

		if (shard && atomic_load(&shard->driver) == &xyli_here)
			left = shard;
	}
	pthread_mutex_unlock(&anchors_lock);
	return left;
}

void xyli_shard_disown(struct xyli_shard *shard)
{
	atomic_store(&shard->driver, shard); /* no thread's own address */
}

/* ---- set-up and end ------------------------------------------------------------- */

static void bell_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	(void)op;
	(void)res;
	(void)cqe_flags; /* it has ended the wait: that was all */
}

static const struct xyli_op_kind bell_kind = { .name = "doorbell", .settle = bell_settle };

static int config_check(const struct xyl_config *config)
{
	unsigned entries = config->ring_entries;

	if (config->shards > 1) {
		xyli_why_set("config.shards is %u: only one shard is supported so far",
			     config->shards);
		return -ENOTSUP;
	}
	if ((entries & (entries - 1)) != 0 || entries > ENTRIES_MAX) {
		xyli_why_set("config.ring_entries is %u: it must be a power of two up to %d",
			     entries, ENTRIES_MAX);
		return -EINVAL;
	}
	return 0;
}

static void shard_init(struct xyli_shard *shard, const struct xyl_config *config)
{
	xyli_table_init(&shard->tasks);
	xyli_table_init(&shard->ops);
	shard->turn_budget = config->turn_budget ? config->turn_budget : BUDGET_DEFAULT;
	shard->credit = shard->turn_budget;
	shard->task_limit = config->task_limit;
	shard->busy = config->busy;
	shard->sqe_flags = (uint8_t)xyli_check_setting("XYL_SQE_FLAGS", 0);
	shard->now = xyli_clock();
	shard->ties.state = (uint64_t)shard->now;
	shard->bell.kind = &bell_kind;
	shard->bell.opcode = IORING_OP_READ;
	shard->bell.internal = true;
	shard->inbox.bell_fd = shard->inbox.worn_fd = -1;
	shard->deadline = XYLI_NEVER;
	xyli_schedule_start(shard);
}

struct xyli_shard *xyli_shard_new(const struct xyl_config *config, int *ret_error)
{
	struct xyli_shard *shard;
	int r = config_check(config);

	if (r < 0)
		goto fail;
	xyli_heap_start();
	xyli_locks_start();
	xyli_heap_size(config->heap_start_bytes ? config->heap_start_bytes : HEAP_START_DEFAULT,
		       config->heap_limit_bytes);
	xyli_pace_floor(config->gc_floor_bytes);
	r = -ENOMEM;
	xyli_why_set("no memory for a shard");
	shard = xyl_new(struct xyli_shard);
	if (!shard)
		goto fail;
	shard_init(shard, config);
	shard->ring = xyl_new(struct xyli_ring);
	if (!shard->ring || !shard_anchor(shard))
		goto fail;
	r = xyli_inbox_init(&shard->inbox);
	if (r < 0) {
		xyli_why_ring(r);
		goto fail_anchored;
	}
	shard->ring_entries = config->ring_entries;
	if (!shard->ring_entries)
		shard->ring_entries = xyli_check_setting("XYL_RING_ENTRIES", ENTRIES_DEFAULT);
	shard->sqpoll_idle_ms = config->sqpoll_idle_ms;
	r = xyli_ring_open(shard->ring, shard->ring_entries, shard->sqpoll_idle_ms, false);
	if (r < 0)
		goto fail_anchored;
	xyli_hostile_open(shard);
	shard->files_max = shard->ring->uring.cq.ring_entries / 4 * 3;
	shard->roots = xyli_roots_reserve();
	return shard;

fail_anchored:
	xyli_inbox_done(&shard->inbox);
	shard_unanchor(shard);
fail:
	*ret_error = r;
	return NULL;
}

int xyli_shard_poll_fd(struct xyli_shard *shard)
{
	struct xyli_ring *ring = shard->ring, pollable;
	int r;

	if (ring->deferred && !ring->claimed) {
		r = xyli_ring_open(&pollable, shard->ring_entries, shard->sqpoll_idle_ms, true);
		if (r < 0)
			return r; /* polling the other would miss things */
		xyli_ring_close(ring);
		*ring = pollable;
		xyli_hostile_open(shard);
	}
	return xyli_ring_poll_fd(ring);
}

/* Not even a timer: whoever it would wake is a task. */
static void shard_must_be_empty(const struct xyli_shard *shard)
{
	XYLI_MUST(xyli_table_count(&shard->tasks) == 0);
	XYLI_MUST(xyli_table_count(&shard->ops) == 0);
	XYLI_MUST(!shard->backlog.first && !shard->crowd.first);
	XYLI_MUST(!shard->cancels.first && !shard->retries.first);
	XYLI_MUST(shard->timers.count == 0 && shard->chores.count == 0);
}

void xyli_shard_close(struct xyli_shard *shard)
{
	shard_must_be_empty(shard);
	xyli_buffers_close(shard);
	xyli_ring_close(shard->ring);
	xyli_inbox_done(&shard->inbox);
	xyli_roots_release(shard->roots);
	xyli_blocks_drop(&shard->blocks); /* a finished task may be held, and holds its shard */
	shard_unanchor(shard);
}

int64_t xyli_shard_due(const struct xyli_shard *shard)
{
	int64_t when = xyli_warp_real(&shard->warp, xyli_timers_next(&shard->timers));
	int64_t chore = xyli_timers_next(&shard->chores);

	if (when > chore)
		when = chore;
	return when < shard->deadline ? when : shard->deadline;
}

/* ---- running it ----------------------------------------------------------------- */

static void sigpipe_block(struct xyli_shard *shard)
{
	sigset_t pipe_only, pending;

	if (shard->sigpipe_blocked)
		return;
	shard->sigpipe_blocked = true;
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	shard->sigpipe_pending_before = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &pipe_only, &shard->signals_before);
}

/* Without DEFER_TASKRUN a write under way may go on in any system call of the thread's. */
static bool sigpipe_may_come(const struct xyli_shard *shard)
{
	return !shard->ring->deferred && shard->stats.ops_outstanding > 0;
}

static void sigpipe_restore(struct xyli_shard *shard)
{
	struct timespec at_once = { 0, 0 };
	sigset_t pipe_only;

	if (sigpipe_may_come(shard))
		return;
	shard->sigpipe_blocked = false;
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	if (!shard->sigpipe_pending_before)
		sigtimedwait(&pipe_only, NULL, &at_once);
	if (sigismember(&shard->signals_before, SIGPIPE) == 0)
		pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
}

int xyli_shard_enter(struct xyli_shard *shard, void *stack_limit)
{
	int r;

	if (xyli_check_valgrind() && !shard->by_hand)
		xyli_shard_poll_fd(shard); /* it will wait in poll(2) */
	r = xyli_ring_claim(shard->ring);
	if (r < 0)
		return r;
	sigpipe_block(shard);
	xyli_world_engage(true);
	xyli_roots_enter(shard->roots);
	xyli_check_enter(stack_limit);
	atomic_store(&shard->driver, &xyli_here);
	xyli_here = shard;
	return 0;
}

bool xyli_shard_is_ours(const struct xyli_shard *shard)
{
	const void *driver = atomic_load(&shard->driver);

	return !driver || driver == &xyli_here;
}

void xyli_shard_leave(struct xyli_shard *shard)
{
	xyli_here = NULL;
	xyli_check_leave();
	xyli_roots_leave();
	xyli_world_engage(false);
	sigpipe_restore(shard);
}

/* ---- invariants ----------------------------------------------------------------- */

struct op_tally {
	size_t internal, files, canceling;
};

static void op_check(uint32_t slot, void *obj, void *arg)
{
	const struct xyli_op *op = obj;
	struct op_tally *tally = arg;

	XYLI_MUST(op->slot == slot);
	XYLI_MUST(xyli_op_in_kernel(op));
	tally->internal += op->internal;
	tally->files += op->life.stubborn;
	tally->canceling += op->life.asking;
}

static void queued_check(const struct xyli_ops *list, bool crowd)
{
	for (const struct xyli_op *op = list->first; op; op = op->next) {
		XYLI_MUST(op->life.state == XYLI_OP_QUEUED && op->crowded == crowd);
		XYLI_MUST(op->next ? op->next->prev == op : list->last == op);
	}
}

static size_t cancels_check(const struct xyli_ops *list)
{
	size_t n = 0;

	for (const struct xyli_op *op = list->first; op; op = op->next, n++)
		XYLI_MUST(xyli_op_in_kernel(op) && op->life.asking);
	return n;
}

static void ops_check(const struct xyli_shard *shard)
{
	struct op_tally tally = { 0 };
	size_t ops;

	xyli_table_check(&shard->ops);
	ops = xyli_table_visit(&shard->ops, op_check, &tally);
	XYLI_MUST(ops - tally.internal == shard->stats.ops_outstanding);
	XYLI_MUST(tally.files == shard->files);
	XYLI_MUST(cancels_check(&shard->cancels) + cancels_check(&shard->retries) ==
		  tally.canceling);
	queued_check(&shard->backlog, false);
	queued_check(&shard->crowd, true);
}

void xyli_shard_check(struct xyli_shard *shard)
{
	xyli_table_check(&shard->tasks);
	xyli_timers_check(&shard->timers);
	xyli_timers_check(&shard->chores);
	ops_check(shard);
	XYLI_MUST(!xyli_is_in_step());
	if (shard->buffers)
		xyli_buffers_check(shard->buffers);
}
