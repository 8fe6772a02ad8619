/* SPDX-License-Identifier: MIT */
/*
 * machine.h - a world for the life of an operation (rt/life.h).
 *
 * Design notes.  The world keeps books of its own: what the kernel has, what the lists and
 * the slot say, whether a task waits.  It knows the machine only through what it says is to
 * be done, which the world does as op.c would, and after each event it is asked whether the
 * promises hold.  It is a specification: it never looks at the machine's state to find out
 * what ought to be.
 *
 * A cancel that the kernel answers after its operation has ended is not in here: its tag
 * finds nothing any more (tests/op.c).
 */
#ifndef TEST_MACHINE_H
#define TEST_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "rt/life.h"
#include "tests/harness.h"

/* ---- the events that the world sends ------------------------------------------------ */

enum event {
	SUBMIT,		 /* a turn ends: what is wanted, and was queued, goes to the kernel */
	SQ_FULL,	 /* a turn ends without room: what is wanted is queued and stays there */
	NO_SLOT,	 /* a turn ends without memory: what is wanted is refused */
	CQE_OK,		 /* the last one; any error but the next counts like it */
	CQE_INTERRUPTED, /* the last one: EINTR, which says nothing about another try */
	CQE_MORE,
	NOTIFICATION,
	ABORT,		 /* of the task that waits */
	CANCEL_OK,	 /* the kernel answers a cancel: it has found it; */
	CANCEL_ENOENT,	 /* it has not; */
	CANCEL_EALREADY, /* it has, and cannot stop it */
	CLOSE,
	STOP,
	RING_FAILS,
	EVENTS
};

static const char *const event_names[EVENTS] = {
	"submit",    "SQ full",	       "no slot",	  "CQE",
	"CQE EINTR", "CQE with MORE",  "notification",	  "abort",
	"cancel 0",  "cancel ENOENT",  "cancel EALREADY", "close",
	"stop",	     "the ring fails",
};

enum shape { ONE_SHOT, MULTISHOT, ZERO_COPY };

/* What an operation is for all its lives. */
struct variety {
	enum shape shape;
	bool waited;   /* a task waits for it, or never one does */
	bool foreign;  /* its buffer is not collected: an abort waits for the kernel */
	bool stubborn; /* a regular file: no cancel for it */
	bool patient;  /* of several results its task wants the last, or the first */
};

struct world {
	struct xyli_life life; /* the machine's, opaque */

	/* The kernel. */
	bool owns;     /* the request, and so what it names */
	bool more;     /* has announced more CQEs */
	bool asked;    /* has a cancel to answer */
	bool answered; /* has done what it can about one */
	bool lost;     /* cannot be reached any more, whatever it still does */

	/* The shard. */
	bool queued;   /* ought to be on the backlog */
	bool backlog;  /* is there */
	bool cancels;  /* is on the list of cancels */
	bool slot;     /* is named by one: pinned */
	bool unwanted; /* an abort, a close or a stop asked for its end */

	/* The task, and the results. */
	bool waits;
	bool may_resume; /* in this step */
	bool due;	 /* a result has come that nobody has dealt with */
};

static struct totals {
	uint64_t sequences, states, far, handed, adopted, again, refused;
} totals;

static const struct variety *variety;
static enum event path[64];
static unsigned path_len;
static int fed = -1; /* beyond the path: an event of the machine's that cannot happen */

/* ---- a promise that is broken ----------------------------------------------------------- */

static _Noreturn void broken(int line, const char *promise)
{
	static const char *const shapes[] = { "one-shot", "multishot", "zero-copy" };

	printf("     %s%s%s%s%s:", shapes[variety->shape], variety->waited ? ", waited for" : "",
	       variety->foreign ? ", foreign memory" : "", variety->stubborn ? ", stubborn" : "",
	       variety->patient ? ", patient" : "");
	for (unsigned i = 0; i < path_len; i++)
		printf("%s %s", i ? "," : "", event_names[path[i]]);
	printf(fed < 0 ? "\n" : ", and then event %d of life.h\n", fed);
	test_failed(__FILE__, line, promise);
}

#define PROMISE(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

/* ---- doing what the machine says, as op.c does it --------------------------------------- */

static void feed(struct world *w, enum xyli_life_event event, bool interrupted);

static bool is_idle(const struct world *w)
{
	return !w->queued && !w->owns;
}

/* What is left to the kernel cannot be cancelled: a file, or only its notification. */
static bool is_cancellable(const struct world *w)
{
	return w->owns && !variety->stubborn && !(variety->shape == ZERO_COPY && w->more);
}

static void start(struct world *w)
{
	w->queued = true;
	w->unwanted = w->more = w->asked = w->answered = false;
	w->waits = variety->waited;
	feed(w, variety->waited ? XYLI_EV_START : XYLI_EV_START_ALONE, false);
}

/* What each kind of operation does: try again, hand it over, or adopt it. */
static void settle(struct world *w, bool interrupted)
{
	bool last = is_idle(w);

	PROMISE(w->due);
	w->due = false;
	if (last && interrupted && w->waits && !w->life.canceling) {
		PROMISE(!w->unwanted);
		totals.again++;
		start(w);
		return;
	}
	if (w->waits && (last || !variety->patient)) {
		totals.handed++;
		w->may_resume = true;
		feed(w, XYLI_EV_WAKE, false);
		PROMISE(!w->waits);
		return;
	}
	totals.adopted++;
	if (!w->waits)
		feed(w, XYLI_EV_WAKE, false); /* a kind need not ask whether one waits */
}

static void set(bool *it, bool to)
{
	PROMISE(*it != to);
	*it = to;
}

static void lists_do(struct world *w, unsigned todo)
{
	if (todo & XYLI_DO_LINK)
		set(&w->backlog, true);
	if (todo & XYLI_DO_UNLINK)
		set(&w->backlog, false);
	if (todo & XYLI_DO_PIN)
		set(&w->slot, true);
	if (todo & XYLI_DO_UNASK)
		set(&w->cancels, false);
	if (todo & XYLI_DO_ASK) {
		PROMISE(w->unwanted && is_cancellable(w) && !w->asked && !w->answered);
		set(&w->cancels, true);
	}
	if (todo & XYLI_DO_UNPIN)
		set(&w->slot, false);
}

static void carry_out(struct world *w, unsigned todo, bool interrupted)
{
	PROMISE(!(todo & XYLI_DO_NOT));
	lists_do(w, todo);
	if (todo & XYLI_DO_RESUME) {
		PROMISE(w->waits && w->may_resume);
		w->waits = false;
	}
	if (todo & XYLI_DO_SETTLE)
		settle(w, interrupted);
}

static void feed(struct world *w, enum xyli_life_event event, bool interrupted)
{
	struct xyli_life_step step = xyli_life_step(w->life, event);

	w->life = step.life;
	carry_out(w, step.todo, interrupted);
}

/* ---- what each event does to the world --------------------------------------------------- */

/* It ends, if the kernel has not heard of it: that is a result, too. */
static void end_if_queued(struct world *w)
{
	w->due = w->queued;
	w->queued = false;
}

/* What stood on the list of cancels goes first, and into nothing if the ring has failed. */
static void submit(struct world *w)
{
	if (w->cancels) {
		w->asked = !w->lost;
		feed(w, XYLI_EV_CANCEL_SENT, false);
	}
	if (!w->queued)
		return;
	w->queued = false;
	if (w->lost) {
		w->due = true;
		feed(w, XYLI_EV_REFUSE, false);
	} else {
		w->owns = true;
		feed(w, XYLI_EV_PUBLISH, false);
	}
}

static void refuse(struct world *w)
{
	end_if_queued(w);
	feed(w, XYLI_EV_REFUSE, false);
}

static void complete(struct world *w, bool more, bool interrupted)
{
	w->due = true;
	w->owns = more;
	w->more |= more;
	if (!more)
		w->asked = w->answered = false; /* of a life that is over */
	/* The kernel may say EINTR for ECANCELED (op.c). */
	feed(w, more ? XYLI_EV_MORE : XYLI_EV_LAST, interrupted);
}

static void cancel(struct world *w)
{
	w->unwanted = true;
	end_if_queued(w);
	feed(w, XYLI_EV_CANCEL, false);
}

static void abandon(struct world *w)
{
	w->unwanted = true;
	w->may_resume = w->owns; /* else the result is for the task, as always */
	end_if_queued(w);
	feed(w, XYLI_EV_ABANDON, false);
	PROMISE(!w->waits); /* at once, whatever the kernel does */
}

static void answer(struct world *w, bool missed)
{
	w->asked = false;
	w->answered = !missed;
	if (missed)
		feed(w, XYLI_EV_CANCEL_MISSED, false);
}

/* Every task is aborted; the operations are cancelled when none is left. */
static void stop(struct world *w)
{
	if (w->waits)
		variety->foreign ? cancel(w) : abandon(w);
	if (!w->waits && !is_idle(w))
		cancel(w);
}

static void ring_fails(struct world *w)
{
	w->lost = true;
	w->may_resume = w->owns;
	end_if_queued(w);
	feed(w, XYLI_EV_LOSE, false);
	PROMISE(!w->waits && !w->cancels);
}

static void happen(struct world *w, enum event event)
{
	if (event <= NO_SLOT && is_idle(w))
		start(w);
	switch (event) {
	case SUBMIT: submit(w); break;
	case SQ_FULL: break;
	case NO_SLOT: refuse(w); break;
	case CQE_OK:
	case NOTIFICATION: complete(w, false, false); break;
	case CQE_INTERRUPTED: complete(w, false, true); break;
	case CQE_MORE: complete(w, true, false); break;
	case ABORT: variety->foreign ? cancel(w) : abandon(w); break;
	case CANCEL_OK:
	case CANCEL_EALREADY: answer(w, false); break;
	case CANCEL_ENOENT: answer(w, true); break;
	case CLOSE: cancel(w); break;
	case STOP: stop(w); break;
	case RING_FAILS: ring_fails(w); break;
	case EVENTS: break;
	}
}

/* Nothing is left out but what cannot happen, or would change nothing at all. */
static bool is_possible(const struct world *w, enum event event)
{
	bool notifying = variety->shape == ZERO_COPY && w->more;

	switch (event) {
	case SUBMIT: return !w->owns || w->cancels;
	case SQ_FULL: return is_idle(w) && !w->lost;
	case NO_SLOT: return !w->owns && !w->lost;
	case CQE_OK:
	case CQE_INTERRUPTED: return w->owns && !notifying;
	case CQE_MORE: return w->owns && variety->shape != ONE_SHOT && !notifying;
	case NOTIFICATION: return w->owns && notifying;
	case ABORT: return w->waits;
	case CANCEL_OK:
	case CANCEL_ENOENT:
	case CANCEL_EALREADY: return w->asked;
	case CLOSE:
	case STOP: return !is_idle(w);
	case RING_FAILS: return !w->lost;
	case EVENTS: break;
	}
	return false;
}

/* ---- the promises, after every event ------------------------------------------------------ */

static void promises_check(const struct world *w)
{
	/* Pinned exactly while outstanding; on the backlog exactly before. */
	PROMISE(w->slot == w->owns);
	PROMISE(w->backlog == w->queued);

	/* No result is left lying; nobody waits for what will not come. */
	PROMISE(!w->due);
	PROMISE(!(w->waits && is_idle(w)));
	PROMISE(!(w->waits && w->owns && w->lost));

	/* What is unwanted is cancelled, as far as that is possible, and nothing else is. */
	PROMISE(!(w->cancels && w->asked));
	PROMISE(!w->cancels || (w->owns && w->unwanted && !variety->stubborn));
	PROMISE(!(w->unwanted && is_cancellable(w)) || w->cancels || w->asked || w->answered ||
		w->lost);

	/* What the machine is asked by those who settle and by those who count. */
	PROMISE(xyli_life_is_pinned(w->life) == w->owns);
	PROMISE((w->life.state == XYLI_OP_FREE) == is_idle(w));
	PROMISE(is_idle(w) || w->life.canceling == w->unwanted);
}

static void step(struct world *w, enum event event)
{
	path[path_len++] = event;
	w->may_resume = false;
	happen(w, event);
	promises_check(w);
}

/* ---- its end -------------------------------------------------------------------------------- */

static bool is_over(const struct world *w)
{
	return is_idle(w) || (w->lost && w->unwanted && !w->cancels);
}

/* Stop, and whatever the kernel owes (a lost one nothing): then nothing is left. */
static void quiesce(struct world w)
{
	unsigned before = path_len;

	while (!is_over(&w)) {
		PROMISE(path_len < before + 8);
		if (!w.unwanted || (w.waits && !variety->foreign))
			step(&w, STOP);
		else if (w.cancels)
			step(&w, SUBMIT);
		else if (w.asked)
			step(&w, CANCEL_OK);
		else
			step(&w, is_possible(&w, NOTIFICATION) ? NOTIFICATION : CQE_OK);
	}
	PROMISE(!w.waits && !w.due && !w.cancels && !w.backlog);
	PROMISE(w.slot == (w.lost && w.owns));
	path_len = before;
}

/* ---- every variety ------------------------------------------------------------------------- */

/* What nobody waits for is never aborted, so whose its memory is makes no difference; a task
 * does not go on before the kernel is done with memory that only it knows of. */
static bool variety_makes_sense(const struct variety *v)
{
	if (!v->waited)
		return !v->foreign && !v->patient;
	return v->shape == ONE_SHOT ? !v->patient : !v->foreign || v->patient;
}

static struct variety variety_at(unsigned i)
{
	return (struct variety){ .shape = i / 16,
				 .waited = i & 1,
				 .foreign = i & 2,
				 .stubborn = i & 4,
				 .patient = i & 8 };
}

#define VARIETIES 48

static struct world world_new(void)
{
	struct world w = { 0 };

	w.life.stubborn = variety->stubborn;
	w.life.zero_copy = variety->shape == ZERO_COPY;
	path_len = 0;
	return w;
}

static void each_variety(void (*fn)(void *arg), void *arg)
{
	for (unsigned i = 0; i < VARIETIES; i++) {
		struct variety v = variety_at(i);

		variety = &v;
		if (variety_makes_sense(&v))
			fn(arg);
	}
}

#endif
