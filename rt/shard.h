/* SPDX-License-Identifier: MIT */
/*
 * shard.h - one thread, one ring, one run queue, one root table.
 *
 * A shard is collected memory, named by a slot of a pinned table from its start to its
 * clean stop; everything in flight hangs off it.  All of it belongs to the thread that
 * runs it, but for the inbox, what is atomic, and the counts, which others may read.
 */
#ifndef XYLI_RT_SHARD_H
#define XYLI_RT_SHARD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "gc/block.h"
#include "roots/table.h"
#include "rt/chance.h"
#include "rt/clock.h"
#include "rt/inbox.h"
#include "rt/op.h"
#include "rt/schedule.h"
#include "rt/timer.h"
#include "rt/wait.h"
#include "xylem/xylem.h"

struct xyli_ring;
struct xyli_buffers;

struct xyli_run_queue {
	struct xyli_wait *first, *last;
};

struct xyli_shard {
	/* Resuming tasks: the hot part. */
	struct xyli_run_queue ready;
	unsigned turn_budget;
	unsigned credit;	   /* awaits that may still go on without suspending */
	int64_t now;		   /* the turn's clock */
	struct xyli_blocks blocks; /* free frames */
	size_t in_flight_bytes;	   /* of tasks */
	struct xyli_table tasks;   /* one slot a task in flight */

	/* Asking the kernel. */
	struct xyli_ring *ring;
	struct xyli_table ops;	   /* one slot an outstanding operation */
	struct xyli_ops backlog;   /* QUEUED, to be published */
	struct xyli_ops crowd;	   /* QUEUED, too: files, more than the CQ has room for */
	unsigned files, files_max; /* in the kernel, which will complete whatever happens */
	struct xyli_ops cancels;   /* IN_KERNEL, to be cancelled */
	struct xyli_ops retries;   /* to be cancelled, again, when the timer fires */
	struct xyli_timer retry_timer;
	bool prompt;	     /* something submitted now is most likely done at once */
	int broken;	     /* the ring failed with this: no operation is started any more */
	struct xyli_op bell; /* reads the inbox's eventfd while the shard may sleep */
	uint64_t bell_count;

	struct xyli_buffers *buffers; /* provided to the kernel for receives; NULL: not yet */
	bool buffers_refused;	      /* it has none of them */
	bool multishot_refused;	      /* nor receives that go on */

	struct xyli_chance ties; /* how a select chooses among equals */

	struct xyli_timers timers; /* of tasks, on the shard's clock */
	struct xyli_timers chores; /* its own, which run on the real clock whoever holds that */
	struct xyli_warp warp;	   /* how its clock differs from the real one */
	int64_t deadline;	   /* of a stop under way, which no sleep may pass; XYLI_NEVER */
	struct xyli_inbox inbox;

	/* Floors above. */
	unsigned (*run_tasks)(
		struct xyli_shard *shard); /* spawn/: up to turn_budget of the ready */
	struct xyl_runtime *runtime;
	uintptr_t first_handle; /* io/: those still open, complemented */
	size_t (*close_handles)(struct xyli_shard *shard);
	void (*lose_handles)(struct xyli_shard *shard);	 /* the ring has failed: tell who waits */
	void (*close_signals)(struct xyli_shard *shard); /* sync/: no task is left to wait */

	struct xyl_stats stats;
	unsigned number;
	unsigned task_limit;
	unsigned ring_entries, sqpoll_idle_ms; /* as configured */
	uint8_t sqe_flags;		       /* of every SQE, check build: IOSQE_ASYNC, say */
	uint32_t anchor;		       /* its own slot among the live shards */
	int roots;			       /* the number of its table of the program's roots */
	const struct xyli_wait *until;	       /* xyl_run: the task that the loop turns for */
	atomic_bool stopping;		       /* no more spawns */
	atomic_uint arriving;		       /* tasks spawned from outside, in the inbox */
	bool draining;		      /* no task is left, every operation is being cancelled */
	bool by_hand;		      /* never waits: someone drives it */
	bool busy;		      /* never sleeps */
	_Atomic(const void *) driver; /* who runs it, or did last (a thread's own address); NULL */
	sigset_t signals_before;
	bool sigpipe_pending_before, sigpipe_blocked;
#ifdef XYL_CHECK
	bool seeded; /* what no promise orders is left to chance (schedule.h) */
	struct xyli_chance chance;
#endif
};

/* The shard that this thread is running. */
extern _Thread_local struct xyli_shard *xyli_here __attribute__((tls_model("initial-exec")));

/* Whose step is on this thread's stack; between two, nobody's, who waits for ever.  The task
 * table names its task. */
extern _Thread_local struct xyli_wait *xyli_running __attribute__((tls_model("initial-exec")));
extern struct xyli_wait xyli_nobody;

static inline bool xyli_is_in_step(void)
{
	return xyli_running != &xyli_nobody;
}

/* NULL, and xyl_runtime_why, and the error: it could not be set up. */
struct xyli_shard *xyli_shard_new(const struct xyl_config *config, int *ret_error);
void xyli_shard_close(struct xyli_shard *shard); /* nothing is outstanding any more */

/* Readable when the ring has something to reap.  Before the first turn the ring is made
 * anew if it cannot be polled as it is. */
int xyli_shard_poll_fd(struct xyli_shard *shard);

/* Around a stretch in which this thread runs it. */
int xyli_shard_enter(struct xyli_shard *shard, void *stack_limit);
void xyli_shard_leave(struct xyli_shard *shard);

/* This thread runs it, or drives it by hand. */
bool xyli_shard_is_ours(const struct xyli_shard *shard);

/* A live one that this thread ran and that is not closed; NULL: none.  Any thread. */
struct xyli_shard *xyli_shard_left(void);
void xyli_shard_disown(struct xyli_shard *shard); /* nobody will ever drive it again */

/* Each live shard.  No lock is held meanwhile. */
void xyli_shards_visit(void (*visit)(struct xyli_shard *shard, void *arg), void *arg);

/* One turn; how many tasks were resumed. */
unsigned xyli_shard_turn(struct xyli_shard *shard);

/* The parts of a turn that talk to the ring (reactor.c). */
void xyli_ring_flush(struct xyli_shard *shard);
void xyli_ring_enter(struct xyli_shard *shard);
void xyli_ring_reap(struct xyli_shard *shard);
bool xyli_ring_has_news(const struct xyli_shard *shard);   /* to reap, held back, not taken yet */
bool xyli_ring_is_behind(const struct xyli_shard *shard);  /* something to submit */
bool xyli_ring_is_waiting(const struct xyli_shard *shard); /* asleep until a CQE, a bell, a timer */

/* Recount all there is; aborts where something disagrees. */
void xyli_shard_check(struct xyli_shard *shard);

static inline void xyli_count(uint64_t *count, uint64_t change)
{
	__atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + change,
			 __ATOMIC_RELAXED);
}

/* The time for whatever a program can see: every deadline of a task's is reckoned by it. */
static inline int64_t xyli_shard_clock(const struct xyli_shard *shard)
{
	if (__builtin_expect(shard->warp.on, 0))
		return xyli_warp_clock(&shard->warp);
	return xyli_clock();
}

/* When, on the real clock, there will be something to do; XYLI_NEVER. */
int64_t xyli_shard_due(const struct xyli_shard *shard);

/* A result came for a task that had left, and is taken care of.  One of the counts of
 * stats, by kind. */
static inline void xyli_adopted(struct xyli_shard *shard, uint64_t *kind)
{
	xyli_count(kind, 1);
	xyli_count(&shard->stats.adopted_results, 1);
}

/* An operation in its slot, as user_data. */
static inline uint64_t xyli_op_tag(const struct xyli_op *op)
{
	uint32_t generation = xyli_table_generation(&op->shard->ops, op->slot);

	return (uint64_t)generation << XYLI_TAG_GENERATION | op->slot;
}

/* ---- the run queue ------------------------------------------------------------- */

static inline void xyli_ready(struct xyli_shard *shard, struct xyli_wait *wait)
{
	XYLI_MUST(wait->state != XYLI_READY && wait->state != XYLI_DONE);
	xyli_wait_set(wait, XYLI_READY);
	wait->next = NULL;
	if (shard->ready.last)
		shard->ready.last->next = wait;
	else
		shard->ready.first = wait;
	shard->ready.last = wait;
}

static inline struct xyli_wait *xyli_ready_take(struct xyli_shard *shard)
{
	struct xyli_wait *wait;

	xyli_schedule_ready(shard);
	wait = shard->ready.first;
	shard->ready.first = wait->next;
	if (!shard->ready.first)
		shard->ready.last = NULL;
	wait->next = NULL; /* a finished task must not keep those behind it alive */
	return wait;
}

/* ---- waiting and waking -------------------------------------------------------- */

static inline void xyli_wait_begin(struct xyli_wait *wait, const struct xyli_wait_kind *kind,
				   void *on)
{
	XYLI_MUST(wait->state == XYLI_RUNNING && !wait->kind);
	wait->kind = kind;
	wait->on = on;
}

/* Off its list already: give it its result.  A task woken inside its own step is put
 * on the queue when the step returns. */
static inline void xyli_wake(struct xyli_wait *wait, ssize_t result)
{
	XYLI_MUST(wait->kind != NULL);
	wait->kind = NULL;
	wait->result = result;
	if (wait->state == XYLI_WAITING)
		xyli_ready(wait->shard, wait);
}

#endif
