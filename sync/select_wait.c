/* SPDX-License-Identifier: MIT */
/*
 * Select: waiting.
 *
 * Design notes.  What may fail for want of memory is done first (the record, copies of what is to
 * be sent, the timer, the tasks that watch descriptors); what follows with the locks held
 * cannot.  A case that finds on its way in that it has happened meanwhile (a token fired by
 * another thread, a future set) claims the select like anyone else, and is served when the
 * locks are free.
 *
 * Channels and tokens claim before they give.  What only the shard itself can wake, a
 * joiner, a future's waiter, a timer, is claimed when it arrives.
 */
#include "sync/select.h"

#include <errno.h>

#include "sync/cancel.h"
#include "sync/future.h"

/* ---- the end -------------------------------------------------------------------- */

static void select_end(struct xyli_select *select, size_t i, ssize_t result)
{
	select->happened = i;
	if (select->cases[i].ret_result)
		*select->cases[i].ret_result = result;
	if (!select->waiter) { /* the thread withdraws it */
		xyli_latch_open(&select->latch);
		return;
	}
	xyli_select_withdraw(select);
	xyli_wake(select->waiter, (ssize_t)i);
}

static bool case_claim(struct xyli_wait *wait)
{
	return xyli_select_claim(((struct xyli_case *)wait)->select);
}

static void case_arrive(struct xyli_wait *wait, ssize_t result)
{
	struct xyli_case *c = (struct xyli_case *)wait;

	select_end(c->select, (size_t)(c - c->select->cases), result);
}

/* Of several things that happened in one turn the first counts. */
static void case_arrive_unclaimed(struct xyli_wait *wait, ssize_t result)
{
	if (case_claim(wait))
		case_arrive(wait, result);
}

static const struct xyli_wait_kind claimed_case = { .name = "select",
						    .arrive = case_arrive,
						    .claim = case_claim };
static const struct xyli_wait_kind local_case = { .name = "select",
						  .arrive = case_arrive_unclaimed };

static void select_timeout(struct xyli_timer *timer)
{
	struct xyli_select *select =
		(struct xyli_select *)((char *)timer - offsetof(struct xyli_select, timer));

	if (xyli_select_claim(select))
		select_end(select, select->timeout, 0);
}

/* ---- on no list any more ----------------------------------------------------------- */

static void task_leave(struct xyl_task *task, struct xyli_wait *wait)
{
	if (wait->prev)
		xyli_waits_remove(&task->joiners, wait);
}

static void case_withdraw(struct xyli_case *c)
{
	struct xyli_wait *wait = &c->agent.wait;

	if (!c->on)
		return;
	switch (c->kind) {
	case XYLI_ON_RECV:
	case XYLI_ON_SEND: xyli_line_leave(wait); break;
	case XYLI_ON_CANCEL:
		if (wait->on)
			xyli_cancel_leave(wait);
		break;
	case XYLI_ON_DONE: task_leave(c->on, wait); break;
	case XYLI_ON_FUTURE: xyli_future_leave(c->on, wait); break;
	case XYLI_ON_READY:
		task_leave(c->on, wait);
		xyl_abort(c->on);
		break;
	default: break;
	}
}

void xyli_select_withdraw(struct xyli_select *select)
{
	if (xyli_here)
		xyli_timer_stop(&xyli_here->timers, &select->timer);
	for (size_t i = 0; i < select->n; i++)
		case_withdraw(&select->cases[i]);
}

/* Whoever has claimed it did so under a lock that its case's withdrawal takes. */
void xyli_select_hasten(struct xyli_select *select)
{
	struct xyli_case *c = select->cases;

	xyli_select_withdraw(select);
	while (c->agent.wait.post.deliver != xyli_wait_arrives)
		c++;
	xyli_inbox_recall(&xyli_here->inbox, &c->agent.wait.post);
	xyli_wait_arrives(&c->agent.wait.post);
}

/* ---- on the lists ------------------------------------------------------------------ */

static void line_enter(struct xyl_chan *chan, struct xyli_line *line, struct xyli_wait *wait)
{
	xyli_chan_settle(chan);
	wait->on = line;
	xyli_waits_append(&line->waits, wait);
}

/* False: it has happened meanwhile. */
static bool case_enter(struct xyli_case *c, void *on)
{
	struct xyli_wait *wait = &c->agent.wait;
	struct xyl_chan *chan = on;

	c->on = on;
	switch (c->kind) {
	case XYLI_ON_RECV: line_enter(chan, &chan->receivers, wait); return true;
	case XYLI_ON_SEND: line_enter(chan, &chan->senders, wait); return true;
	case XYLI_ON_READY:
	case XYLI_ON_DONE: xyli_waits_append(&((struct xyl_task *)on)->joiners, wait); return true;
	case XYLI_ON_CANCEL: return xyli_cancel_enter(on, wait);
	case XYLI_ON_FUTURE: return xyli_future_enter(on, wait);
	default: return true;
	}
}

/* What is claimed before it is given is the caller's from here on. */
struct xyli_wait *xyli_select_enter(struct xyli_select *select, const struct xyl_case *cases,
				    ssize_t *ret_result)
{
	for (size_t i = 0; i < select->n; i++) {
		struct xyli_case *c = &select->cases[i];

		if (!cases[i].on || case_enter(c, cases[i].on))
			continue;
		*ret_result = 0;
		if (c->kind == XYLI_ON_FUTURE)
			xyli_future_has(cases[i].on, ret_result);
		if (!c->agent.wait.kind->claim || xyli_select_claim(select))
			return &c->agent.wait;
	}
	return NULL;
}

/* ---- a new one ----------------------------------------------------------------------- */

/* Watches a descriptor for a select, which waits for its end. */
struct watcher {
	struct xyl_frame frame;
	int fd;
	unsigned events;
	ssize_t r;
};

static xyl_step watcher(void *frame)
{
	struct watcher *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_poll(self->fd, self->events));
	XYL_END(self->r);
}

static bool case_prepare(struct xyli_case *c, const struct xyl_case *from)
{
	switch (c->kind) {
	case XYLI_ON_RECV: c->agent.word = (ssize_t)from->slot; return true;
	case XYLI_ON_SEND: return !from->on || xyli_chan_keep(from->on, from->elem, &c->agent.word);
	case XYLI_ON_READY:
		c->on = xyl_spawn(watcher, .fd = from->fd, .events = from->events);
		return c->on && case_enter(c, c->on);
	default: return true;
	}
}

static void case_init(struct xyli_case *c, struct xyli_select *select, const struct xyl_case *from)
{
	c->select = select;
	c->kind = (enum xyli_case_kind)from->kind;
	c->ret_result = from->ret_result;
	c->agent.wait.shard = xyli_here;
	c->agent.wait.kind = c->kind == XYLI_ON_DONE || c->kind == XYLI_ON_FUTURE ||
					     c->kind == XYLI_ON_READY
				     ? &local_case
				     : &claimed_case;
}

/* The earliest counts. */
static int64_t timeout_of(struct xyli_select *select, const struct xyl_case *cases)
{
	int64_t ns = XYLI_NEVER;

	for (size_t i = 0; i < select->n; i++) {
		if (cases[i].kind != XYLI_ON_TIMEOUT || cases[i].ns >= ns)
			continue;
		ns = cases[i].ns;
		select->timeout = i;
	}
	return ns;
}

static bool timer_start(struct xyli_select *select, const struct xyl_case *cases)
{
	int64_t ns = timeout_of(select, cases);

	if (ns == XYLI_NEVER || !xyli_here)
		return true;
	select->timer.fire = select_timeout;
	return xyli_timer_start(&xyli_here->timers, &select->timer,
				xyli_clock_add(xyli_shard_clock(xyli_here), ns)) == 0;
}

static struct xyli_select *select_alloc(size_t n)
{
	size_t size;

	if (__builtin_mul_overflow(n, sizeof(struct xyli_case), &size) ||
	    __builtin_add_overflow(size, sizeof(struct xyli_select), &size))
		return NULL;
	return xyli_here ? xyli_block_new(&xyli_here->blocks, size) : xyl_alloc(size);
}

struct xyli_select *xyli_select_new(const struct xyl_case *cases, size_t n)
{
	struct xyli_select *select = select_alloc(n);
	bool whole;

	if (!select)
		return NULL;
	select->n = n;
	for (size_t i = 0; i < n; i++)
		case_init(&select->cases[i], select, &cases[i]);
	whole = timer_start(select, cases);
	for (size_t i = 0; i < n && whole; i++)
		whole = case_prepare(&select->cases[i], &cases[i]);
	if (whole)
		return select;
	xyli_select_withdraw(select);
	return NULL;
}
