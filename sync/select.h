/* SPDX-License-Identifier: MIT */
/*
 * select.h - a select that waits: one record, a wait for each of its cases.
 *
 *	task's wait ──> select [ claimed | case 0 | case 1 | ... ]
 *	                           |        |
 *	a channel's line <─────────┘        └──────> another's, a task's joiners, ...
 *
 * Whoever has something for a case claims the whole select, with one atomic exchange; the
 * cases of a select that has been claimed are as good as gone from their lines.
 *
 *	WAITING ──> CLAIMED ──> its index is given		CLAIMED: by a case, an abort, the clock
 */
#ifndef XYLI_SYNC_SELECT_H
#define XYLI_SYNC_SELECT_H

#include <stdatomic.h>
#include <stddef.h>

#include "rt/latch.h"
#include "spawn/give.h"
#include "sync/channel.h"
#include "xylem/xylem.h"

/* Of struct xyl_case; the macros in xylem.h name them. */
enum xyli_case_kind {
	XYLI_ON_RECV = 1,
	XYLI_ON_SEND,
	XYLI_ON_DONE,
	XYLI_ON_FUTURE,
	XYLI_ON_CANCEL,
	XYLI_ON_TIMEOUT,
	XYLI_ON_DEFAULT,
	XYLI_ON_READY,
};

struct xyli_case {
	struct xyli_agent agent; /* first */
	void *on; /* the channel, task, ... on whose list it is, or was; NULL: none */
	struct xyli_select *select;
	enum xyli_case_kind kind;
	ssize_t *ret_result;
};

struct xyli_select {
	struct xyli_wait *waiter; /* a task's; NULL: a thread outside */
	struct xyli_latch latch;  /* he waits here */
	atomic_bool claimed;
	size_t happened; /* the index */
	struct xyli_timer timer;
	size_t timeout; /* the case that the timer is for */
	size_t n;
	struct xyli_case cases[];
};

/* How this thread breaks ties. */
struct xyli_chance *xyli_select_ties_outside(void);

static inline struct xyli_chance *xyli_select_ties(void)
{
	return xyli_here ? &xyli_here->ties : xyli_select_ties_outside();
}

/* The locks of all channels among the cases, taken together. */
#define XYLI_SELECT_FEW 32
struct xyli_select_locks {
	struct xyli_lock *few[XYLI_SELECT_FEW], **sorted;
	size_t n;
	bool owned; /* all are biased to this shard: none is in `sorted` */
};

int xyli_select_lock(struct xyli_select_locks *locks, const struct xyl_case *cases, size_t n);
void xyli_select_unlock(const struct xyli_select_locks *locks, const struct xyl_case *cases,
			size_t n);

/* With the locks held: what can happen at once does.  Its index, or -EAGAIN, or an error;
 * *ret_met is to be given 0 when they are free. */
ssize_t xyli_select_now(const struct xyl_case *cases, size_t n, bool first,
			struct xyli_wait **ret_met);

/* A record, all of whose memory is taken; then, with the locks held, each case on its list.
 * NULL: no memory.  What has happened meanwhile, if anything has, is to be given *ret_result
 * when the locks are free: who is served leaves all lists, and takes the locks for it. */
struct xyli_select *xyli_select_new(const struct xyl_case *cases, size_t n);
struct xyli_wait *xyli_select_enter(struct xyli_select *select, const struct xyl_case *cases,
				    ssize_t *ret_result);

/* False: it has been claimed before. */
static inline bool xyli_select_claim(struct xyli_select *select)
{
	return !atomic_exchange(&select->claimed, true);
}

/* Of a task: claimed elsewhere, and what has happened is on its way; it has come. */
bool xyli_wait_is_select(const struct xyli_wait *wait);
void xyli_select_hasten(struct xyli_select *select);

/* Off all lists; by whoever waits. */
void xyli_select_withdraw(struct xyli_select *select);

#endif
