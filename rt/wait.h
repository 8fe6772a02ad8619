/* SPDX-License-Identifier: MIT */
/*
 * wait.h - the one wait primitive.
 *
 * A wait is what the loop knows of a task: where it stands, what it waits for, and
 * what came of it.  Join, futures, timers, scopes and I/O all do the same three things
 * with it: put it on a list (or a timer), name a `cancel` callback, and later wake it
 * with a result.
 *
 *	NEW ──> READY <──> RUNNING <──> WAITING		RUNNING ──> DONE
 */
#ifndef XYLI_RT_WAIT_H
#define XYLI_RT_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gc/must.h"
#include "rt/inbox.h"
#include "rt/timer.h"

struct xyli_shard;
struct xyli_wait;

enum xyli_wait_state {
	XYLI_NEW,   /* spawned; queueing leaves it (or refusal, or xyl_later, that waits at once) */
	XYLI_READY, /* on the run queue; the loop resumes it */
	XYLI_RUNNING, /* inside its step; its own return leaves it */
	XYLI_WAITING, /* suspended; xyli_wake leaves it */
	XYLI_DONE,    /* for good */
};

enum xyli_cancel_why {
	XYLI_ABORTED, /* the task will not look at its buffers again */
	XYLI_BOUNDED, /* it may: return only when the kernel is done with them */
	XYLI_FIRED,   /* likewise; it was a token, not the clock */
};

struct xyli_wait_kind {
	const char *name; /* "join", "recv": for xyl_dump_tasks */
	/* Stop waiting: wake with -ECANCELED now, or see to it that a wake follows. */
	void (*cancel)(struct xyli_wait *wait, enum xyli_cancel_why why);
	/* Another task waits in its stead from now on (xyl_later). */
	void (*move)(struct xyli_wait *from, struct xyli_wait *to);

	/* Of what waits for a task without being its own wait (a case of a select, a token's
	 * bound): what came of it, on its shard.  NULL: the task is woken. */
	void (*arrive)(struct xyli_wait *wait, ssize_t result);
	/* Any thread: may it be given something?  False: it has been served elsewhere.  NULL: yes. */
	bool (*claim)(struct xyli_wait *wait);
};

struct xyli_wait {
	union {
		struct {
			struct xyli_wait *next, *prev; /* the run queue, or the list it waits on */
		};
		struct xyli_timer timer; /* while it sleeps */
		struct xyli_post post;	 /* claimed elsewhere: what came of it is on its way */
	};
	const struct xyli_wait_kind *kind; /* NULL: it waits for nothing, or was woken */
	union {
		void *on;	/* what it waits for */
		ssize_t result; /* once woken */
	};
	struct xyli_shard *shard;
	uint32_t since_ms;	 /* when it was suspended, on the shard's clock */
	uint8_t state;		 /* enum xyli_wait_state */
	atomic_bool abort_asked; /* spawn/'s, here because there is room: its post is on its way, or
				  * has arrived.  Other threads write it, so it does not stand
				  * between the next two, which are looked at together: */
	bool aborted;
	bool expired : 1;   /*   at least one of its bounds has passed */
	bool abandoned : 1; /* an operation it left, or left for later, may name its frames */
	bool gives_way : 1; /* check build: ready, and not to be brought forward */
};

/* Other threads ask whether a task is done. */
static inline void xyli_wait_set(struct xyli_wait *wait, enum xyli_wait_state state)
{
	__atomic_store_n(&wait->state, (uint8_t)state, __ATOMIC_RELEASE);
}

/* ---- lists of waits: circular, first come first served ------------------------- */

struct xyli_waits {
	struct xyli_wait *first;
};

static inline void xyli_waits_append(struct xyli_waits *list, struct xyli_wait *wait)
{
	struct xyli_wait *first = list->first;

	if (!first) {
		wait->next = wait->prev = wait;
		list->first = wait;
		return;
	}
	wait->next = first;
	wait->prev = first->prev;
	first->prev->next = wait;
	first->prev = wait;
}

static inline void xyli_waits_remove(struct xyli_waits *list, struct xyli_wait *wait)
{
	if (wait->next == wait) {
		list->first = NULL;
	} else {
		wait->prev->next = wait->next;
		wait->next->prev = wait->prev;
		if (list->first == wait)
			list->first = wait->next;
	}
	wait->next = wait->prev = NULL;
}

/* `to` takes the place of `from`. */
static inline void xyli_waits_replace(struct xyli_waits *list, struct xyli_wait *from,
				      struct xyli_wait *to)
{
	if (from->next == from) {
		to->next = to->prev = to;
	} else {
		to->next = from->next;
		to->prev = from->prev;
		to->next->prev = to->prev->next = to;
	}
	if (list->first == from)
		list->first = to;
	from->next = from->prev = NULL;
}

#endif
