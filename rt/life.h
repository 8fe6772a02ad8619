/* SPDX-License-Identifier: MIT */
/*
 * life.h - the life of an operation, as a machine.
 *
 *	FREE ──> QUEUED ──> IN_KERNEL ──> [MULTISHOT | NOTIFYING] ──> FREE
 *
 * A pure function: the life so far and what happens give the life from now on and what
 * is to be done.  op.c does it, and tests/machine.c tries every order of events.
 *
 *	pinned		= IN_KERNEL | MULTISHOT | NOTIFYING, and nothing else
 *	resumed		once at most for each time that it was waited for
 *	settled		once for each result, waited for or not; then it is adopted
 */
#ifndef XYLI_RT_LIFE_H
#define XYLI_RT_LIFE_H

#include <stdbool.h>
#include <stdint.h>

enum xyli_life_state {
	XYLI_OP_FREE,	   /* not in use; START leaves it */
	XYLI_OP_QUEUED,	   /* on the backlog; PUBLISH, REFUSE or a cancel leaves it */
	XYLI_OP_IN_KERNEL, /* SQE published; a CQE leaves it */
	XYLI_OP_MULTISHOT, /* a CQE with F_MORE has come; the one without it leaves it */
	XYLI_OP_NOTIFYING, /* as above, for a zero-copy send: its notification leaves it */
};

struct xyli_life {
	uint8_t state;	    /* enum xyli_life_state */
	bool waited : 1;    /* a task waits for its result */
	bool canceling : 1; /* its end was asked for; what comes is taken for -ECANCELED */
	bool asking : 1;    /* and the kernel is yet to be told */
	bool stubborn : 1;  /* a regular file: the kernel cannot cancel it */
	bool zero_copy : 1; /* what follows F_MORE is a notification */
};

enum xyli_life_event {
	XYLI_EV_START,	       /* wanted by a task */
	XYLI_EV_START_ALONE,   /* wanted, with no task waiting for it */
	XYLI_EV_PUBLISH,       /* its SQE is the kernel's */
	XYLI_EV_REFUSE,	       /* it will not get that far */
	XYLI_EV_MORE,	       /* a CQE with F_MORE */
	XYLI_EV_LAST,	       /* a CQE without */
	XYLI_EV_WAKE,	       /* settling found its result good for the task that waits */
	XYLI_EV_ABANDON,       /* its task goes on without it: all memory it names is collected */
	XYLI_EV_CANCEL,	       /* its end is wanted; whoever waits does so until it has come */
	XYLI_EV_CANCEL_SENT,   /* the cancel's SQE is the kernel's */
	XYLI_EV_CANCEL_MISSED, /* the kernel had not found it, or not stopped it */
	XYLI_EV_LOSE,	       /* the ring has failed: no CQE is to be counted on */
	XYLI_EVENTS
};

/* What is to be done, in this order. */
enum {
	XYLI_DO_LINK = 1,     /* put it on the backlog */
	XYLI_DO_UNLINK = 2,   /* take it off */
	XYLI_DO_PIN = 4,      /* its slot names it: counted by whoever took the slot */
	XYLI_DO_UNASK = 8,    /* take it off the list of cancels */
	XYLI_DO_ASK = 16,     /* put it there */
	XYLI_DO_UNPIN = 32,   /* clear its slot */
	XYLI_DO_RESUME = 64,  /* the task that waits gets its result */
	XYLI_DO_SETTLE = 128, /* the result is here */
	XYLI_DO_NOT = 256     /* cannot happen: a bug, ours or the kernel's */
};

struct xyli_life_step {
	struct xyli_life life;
	unsigned todo;
};

static inline bool xyli_life_is_pinned(struct xyli_life life)
{
	return life.state >= XYLI_OP_IN_KERNEL;
}

/* It ends before the kernel knew of it, or with its last CQE. */
static inline unsigned xyli_life_end(struct xyli_life *life)
{
	unsigned todo = XYLI_DO_SETTLE | (life->asking ? XYLI_DO_UNASK : 0u);

	todo |= life->state == XYLI_OP_QUEUED ? XYLI_DO_UNLINK : XYLI_DO_UNPIN;
	life->state = XYLI_OP_FREE;
	life->asking = false;
	return todo;
}

static inline unsigned xyli_life_start(struct xyli_life *life, bool waited)
{
	if (life->state != XYLI_OP_FREE)
		return XYLI_DO_NOT;
	life->state = XYLI_OP_QUEUED;
	life->waited = waited;
	life->canceling = false;
	return XYLI_DO_LINK;
}

static inline unsigned xyli_life_cancel(struct xyli_life *life)
{
	bool asked = life->canceling;

	if (life->state == XYLI_OP_FREE)
		return 0;
	life->canceling = true;
	if (life->state == XYLI_OP_QUEUED)
		return xyli_life_end(life);
	if (asked || life->stubborn || life->state == XYLI_OP_NOTIFYING)
		return 0; /* the kernel could do nothing about it */
	life->asking = true;
	return XYLI_DO_ASK;
}

/* Its task leaves.  On the backlog it ends anyway, and settling resumes the task. */
static inline unsigned xyli_life_leave(struct xyli_life *life)
{
	if (!life->waited || !xyli_life_is_pinned(*life))
		return 0;
	life->waited = false;
	return XYLI_DO_RESUME;
}

/* It was just being tried anew, neither polled nor running: ask again. */
static inline unsigned xyli_life_missed(struct xyli_life *life)
{
	if (!life->canceling || life->stubborn || !xyli_life_is_pinned(*life))
		return XYLI_DO_NOT; /* nobody had asked */
	if (life->asking || life->state == XYLI_OP_NOTIFYING)
		return 0;
	life->asking = true;
	return XYLI_DO_ASK;
}

/* The ring has failed: what the kernel has stays pinned for ever. */
static inline unsigned xyli_life_lose(struct xyli_life *life)
{
	unsigned todo;

	if (life->state == XYLI_OP_QUEUED)
		return xyli_life_end(life);
	todo = xyli_life_leave(life) | (life->asking ? XYLI_DO_UNASK : 0u);
	life->asking = false;
	return todo;
}

static inline unsigned xyli_life_more(struct xyli_life *life)
{
	if (!xyli_life_is_pinned(*life) || life->state == XYLI_OP_NOTIFYING ||
	    (life->state == XYLI_OP_MULTISHOT && life->zero_copy))
		return XYLI_DO_NOT;
	life->state = life->zero_copy ? XYLI_OP_NOTIFYING : XYLI_OP_MULTISHOT;
	return XYLI_DO_SETTLE;
}

static inline struct xyli_life_step xyli_life_step(struct xyli_life life,
						   enum xyli_life_event event)
{
	unsigned todo = 0;

	switch (event) {
	case XYLI_EV_START: todo = xyli_life_start(&life, true); break;
	case XYLI_EV_START_ALONE: todo = xyli_life_start(&life, false); break;
	case XYLI_EV_PUBLISH:
		todo = life.state == XYLI_OP_QUEUED ? XYLI_DO_UNLINK | XYLI_DO_PIN : XYLI_DO_NOT;
		life.state = XYLI_OP_IN_KERNEL;
		break;
	case XYLI_EV_REFUSE:
		todo = life.state == XYLI_OP_QUEUED ? xyli_life_end(&life) : XYLI_DO_NOT;
		break;
	case XYLI_EV_MORE: todo = xyli_life_more(&life); break;
	case XYLI_EV_LAST:
		todo = xyli_life_is_pinned(life) ? xyli_life_end(&life) : XYLI_DO_NOT;
		break;
	case XYLI_EV_WAKE:
		todo = life.waited ? XYLI_DO_RESUME : 0u;
		life.waited = false;
		break;
	case XYLI_EV_ABANDON:
		todo = xyli_life_leave(&life);
		todo |= xyli_life_cancel(&life);
		break;
	case XYLI_EV_CANCEL: todo = xyli_life_cancel(&life); break;
	case XYLI_EV_CANCEL_SENT:
		todo = life.asking ? XYLI_DO_UNASK : XYLI_DO_NOT;
		life.asking = false;
		break;
	case XYLI_EV_CANCEL_MISSED: todo = xyli_life_missed(&life); break;
	case XYLI_EV_LOSE: todo = xyli_life_lose(&life); break;
	case XYLI_EVENTS: todo = XYLI_DO_NOT; break;
	}
	return (struct xyli_life_step){ life, todo };
}

#endif
