/* SPDX-License-Identifier: MIT */
/*
 * Select: what can happen at once.
 *
 * Design notes.  The locks of all channels are taken first, in the order of their
 * addresses (or in any, when all are biased to this shard, for then nobody can be waiting
 * for one while he holds another: that is done while looking).  Then one pass looks which
 * cases can happen, and one of them is chosen; if there is none, each case goes on its list
 * before the locks are let go.  So between looking and waiting nothing can be missed, and of
 * two selects that meet only one is on lists.  This is how Go's runtime does it.
 */
#include "sync/select.h"

#include <errno.h>
#include <poll.h>

#include "sync/cancel.h"
#include "sync/future.h"

static inline struct xyl_chan *chan_of(const struct xyl_case *c)
{
	return (unsigned)c->kind - XYLI_ON_RECV <= XYLI_ON_SEND - XYLI_ON_RECV ? c->on : NULL;
}

/* ---- the locks ------------------------------------------------------------------ */

/* A channel that is there twice is locked and let go twice, which is the same. */
static void unlock_owned(const struct xyl_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct xyl_chan *chan = chan_of(&cases[i]);

		if (chan)
			xyli_unlock_owned(&chan->lock);
	}
}

static bool lock_owned(const struct xyl_case *cases, size_t n)
{
	uintptr_t here = xyli_lock_mark();

	for (size_t i = 0; i < n; i++) {
		struct xyl_chan *chan = chan_of(&cases[i]);

		if (chan && !xyli_lock_owned_by(&chan->lock, here)) {
			unlock_owned(cases, i);
			return false;
		}
	}
	return true;
}

/* Sorted by address, each once. */
static void locks_add(struct xyli_select_locks *locks, struct xyli_lock *lock)
{
	size_t i = locks->n;

	while (i > 0 && (uintptr_t)locks->sorted[i - 1] > (uintptr_t)lock)
		i--;
	if (i > 0 && locks->sorted[i - 1] == lock)
		return;
	for (size_t j = locks->n++; j > i; j--)
		locks->sorted[j] = locks->sorted[j - 1];
	locks->sorted[i] = lock;
}

static int lock_sorted(struct xyli_select_locks *locks, const struct xyl_case *cases, size_t n)
{
	locks->n = 0;
	locks->sorted = n <= XYLI_SELECT_FEW ? locks->few : xyl_alloc(n * sizeof(*locks->sorted));
	if (!locks->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (chan_of(&cases[i]))
			locks_add(locks, &chan_of(&cases[i])->lock);
	for (size_t i = 0; i < locks->n; i++)
		xyli_lock(locks->sorted[i]);
	return 0;
}

int xyli_select_lock(struct xyli_select_locks *locks, const struct xyl_case *cases, size_t n)
{
	locks->owned = lock_owned(cases, n);
	return locks->owned ? 0 : lock_sorted(locks, cases, n);
}

void xyli_select_unlock(const struct xyli_select_locks *locks, const struct xyl_case *cases,
			size_t n)
{
	if (locks->owned) {
		unlock_owned(cases, n);
		return;
	}
	for (size_t i = 0; i < locks->n; i++)
		xyli_unlock(locks->sorted[i]);
}

/* ---- looking -------------------------------------------------------------------- */

enum outlook {
	NOT_YET,
	AT_ONCE,   /* or, of a channel, most likely */
	OTHERWISE, /* if nothing else can */
};

/* Who finds that it cannot has settled it. */
static inline bool can_recv(struct xyl_chan *chan)
{
	if (!chan)
		return false;
	if (chan->out.at != chan->out.until)
		return true;
	xyli_chan_settle(chan);
	return (chan->len > 0 || chan->closed || chan->senders.waits.first);
}

static bool can_send(struct xyl_chan *chan)
{
	if (!chan)
		return false;
	if (chan->in.at != chan->in.until)
		return true;
	xyli_chan_settle(chan);
	return (chan->len < chan->room || chan->closed || chan->capacity < 0 ||
		chan->receivers.waits.first);
}

static int task_look(const struct xyl_task *task)
{
	if (!task)
		return -EINVAL;
	if (xyli_task_is_done(task))
		return AT_ONCE;
	return task->wait.shard == xyli_here ? NOT_YET : -EXDEV;
}

static int future_look(const struct xyl_future *future)
{
	ssize_t value;

	if (!future)
		return -EINVAL;
	if (xyli_future_has(future, &value))
		return AT_ONCE;
	return xyli_future_is_ours(future) ? NOT_YET : -EXDEV;
}

static int descriptor_look(const struct xyl_case *c)
{
	struct pollfd pollfd = { .fd = c->fd, .events = (short)c->events };

	return poll(&pollfd, 1, 0) > 0 ? AT_ONCE : NOT_YET;
}

static inline int case_look(const struct xyl_case *c)
{
	if (__builtin_expect(c->kind == XYLI_ON_RECV, 1))
		return can_recv(c->on);
	switch ((enum xyli_case_kind)c->kind) {
	case XYLI_ON_SEND: return can_send(c->on);
	case XYLI_ON_DONE: return task_look(c->on);
	case XYLI_ON_FUTURE: return future_look(c->on);
	case XYLI_ON_CANCEL: return c->on && xyl_cancel_is_fired(c->on);
	case XYLI_ON_TIMEOUT: return c->ns <= 0 ? OTHERWISE : NOT_YET;
	case XYLI_ON_DEFAULT: return OTHERWISE;
	case XYLI_ON_READY: return descriptor_look(c);
	default: return -EINVAL;
	}
}

/* What came of a look at XYLI_SELECT_FEW cases at most, a bit for each. */
struct looks {
	uint32_t at_once, otherwise;
	unsigned equals; /* so many at once */
	int error;
};

static inline void looks_add(struct looks *looks, size_t i, int outlook)
{
	if (__builtin_expect(outlook == AT_ONCE, 1)) {
		looks->at_once |= UINT32_C(1) << i;
		looks->equals++;
	} else if (outlook == OTHERWISE) {
		looks->otherwise |= UINT32_C(1) << i;
	} else if (outlook < 0 && looks->error == 0) {
		looks->error = outlook;
	}
}

/* Any of those that can happen, each with the same chance; or the first. */
static inline ssize_t looks_choose(const struct looks *looks, bool first)
{
	uint32_t among = looks->at_once ? looks->at_once : looks->otherwise;
	unsigned skipped = 0;

	if (__builtin_expect(looks->error != 0, 0))
		return looks->error;
	if (among == 0)
		return -EAGAIN;
	if (!first && looks->equals > 1)
		skipped = xyli_chance_below(xyli_select_ties(), looks->equals);
	while (skipped-- > 0)
		among &= among - 1;
	return __builtin_ctz(among);
}

/* Of so many that come after `before` equals of earlier ones: is the choice among them? */
static bool looks_win(const struct looks *looks, unsigned before, bool first)
{
	if (looks->equals == 0 || before == 0)
		return looks->equals > 0;
	return !first &&
	       xyli_chance_below(xyli_select_ties(), before + looks->equals) < looks->equals;
}

static ssize_t cases_choose(const struct xyl_case *cases, size_t n, bool first)
{
	ssize_t chosen = -EAGAIN, otherwise = -EAGAIN;
	unsigned equals = 0;

	for (size_t from = 0; from < n; from += XYLI_SELECT_FEW) {
		struct looks looks = { 0 };

		for (size_t i = 0; i < XYLI_SELECT_FEW && from + i < n; i++)
			looks_add(&looks, i, case_look(&cases[from + i]));
		if (looks.error != 0)
			return looks.error;
		if (looks_win(&looks, equals, first))
			chosen = (ssize_t)from + looks_choose(&looks, first);
		else if (looks.otherwise && otherwise < 0)
			otherwise = (ssize_t)from + __builtin_ctz(looks.otherwise);
		equals += looks.equals;
	}
	return chosen >= 0 ? chosen : otherwise;
}

/* ---- and doing it ------------------------------------------------------------------ */

static ssize_t descriptor_events(const struct xyl_case *c)
{
	struct pollfd pollfd = { .fd = c->fd, .events = (short)c->events };

	if (poll(&pollfd, 1, 0) < 0)
		return -errno;
	return pollfd.revents & POLLNVAL ? -EBADF : pollfd.revents;
}

/* What came of it; -EAGAIN from a channel: those who wait there have been served elsewhere. */
static ssize_t case_do(const struct xyl_case *c, struct xyli_wait **ret_met)
{
	ssize_t value = 0;

	switch ((enum xyli_case_kind)c->kind) {
	case XYLI_ON_RECV: return xyli_chan_fetch(c->on, c->slot, ret_met);
	case XYLI_ON_SEND: return xyli_chan_offer(c->on, c->elem, ret_met);
	case XYLI_ON_DONE: return xyli_join_result(c->on);
	case XYLI_ON_FUTURE: xyli_future_has(c->on, &value); return value;
	case XYLI_ON_READY: return descriptor_events(c);
	default: return 0;
	}
}

/* -EAGAIN, -ENOMEM: it has not. */
static int case_happen(const struct xyl_case *c, struct xyli_wait **ret_met)
{
	ssize_t r = case_do(c, ret_met);

	if (r < 0 && chan_of(c)) {
		if (r == -EAGAIN || r == -ENOMEM)
			return (int)r;
		xyli_chan_count_failure(c->on, (int)r);
	}
	if (c->ret_result)
		*c->ret_result = r;
	return 0;
}

ssize_t xyli_select_now(const struct xyl_case *cases, size_t n, bool first,
			struct xyli_wait **ret_met)
{
	for (;;) {
		ssize_t i = cases_choose(cases, n, first);
		int r = i < 0 ? 0 : case_happen(&cases[i], ret_met);

		if (r == 0)
			return i;
		if (r != -EAGAIN)
			return r;
	}
}

/* The same, beginning with the locks, if all are biased to this shard.  False: they are not,
 * and none is held. */
static inline bool select_owned(const struct xyl_case *cases, size_t n, bool first, uintptr_t here,
				struct xyli_wait **ret_met, ssize_t *ret_r)
{
	struct looks looks = { 0 };
	ssize_t i;
	int r;

	for (size_t k = 0; k < n; k++) {
		struct xyl_chan *chan = chan_of(&cases[k]);

		if (chan && !xyli_lock_owned_by(&chan->lock, here)) {
			unlock_owned(cases, k);
			return false;
		}
		looks_add(&looks, k, case_look(&cases[k]));
	}
	i = looks_choose(&looks, first);
	r = i < 0 ? 0 : case_happen(&cases[i], ret_met);
	*ret_r = r == 0 ? i : r == -EAGAIN ? xyli_select_now(cases, n, first, ret_met) : r;
	return true;
}

/* ---- xyl_select ------------------------------------------------------------------- */

static void select_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyli_select *select = wait->on;

	(void)why;
	if (!xyli_select_claim(select))
		return; /* a case has happened, and is on its way */
	xyli_select_withdraw(select);
	xyli_wake(wait, -ECANCELED);
}

static void select_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyli_select *select = from->on;

	select->waiter = to;
}

static const struct xyli_wait_kind select_wait = { .name = "select",
						   .cancel = select_cancel,
						   .move = select_move };

bool xyli_wait_is_select(const struct xyli_wait *wait)
{
	return wait->kind == &select_wait;
}

static __attribute__((noinline)) xyl_pending select_later(struct xyl_task *task,
							  const struct xyl_case *cases, size_t n,
							  const struct xyli_select_locks *locks)
{
	struct xyli_select *select = xyli_select_new(cases, n);
	struct xyli_wait *met;
	ssize_t result;

	if (!select) {
		xyli_select_unlock(locks, cases, n);
		return xyli_done(task, -ENOMEM);
	}
	select->waiter = &task->wait;
	xyli_wait_begin(&task->wait, &select_wait, select);
	met = xyli_select_enter(select, cases, &result);
	xyli_select_unlock(locks, cases, n);
	if (met)
		xyli_give(met, result);
	return (xyl_pending){ 1 };
}

static const struct xyli_select_locks all_owned = { .owned = true };

static __attribute__((noinline)) xyl_pending select_slowly(struct xyl_task *task,
							   const struct xyl_case *cases, size_t n,
							   bool first)
{
	struct xyli_select_locks locks;
	struct xyli_wait *met = NULL;
	ssize_t r;

	if (n == 0)
		return xyli_done(task, -EINVAL);
	r = xyli_select_lock(&locks, cases, n);
	if (r < 0)
		return xyli_done(task, r);
	r = xyli_select_now(cases, n, first, &met);
	if (r == -EAGAIN)
		return select_later(task, cases, n, &locks);
	xyli_select_unlock(&locks, cases, n);
	if (met)
		xyli_give(met, 0);
	return xyli_done(task, r);
}

xyl_pending xyli_select(const struct xyl_case *cases, size_t n, bool first)
{
	struct xyl_task *task = xyli_task_calling("xyl_select");
	uintptr_t here = xyli_lock_mark_of(task->wait.shard);
	struct xyli_wait *met = NULL;
	ssize_t r;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (n - 1 >= XYLI_SELECT_FEW || !select_owned(cases, n, first, here, &met, &r))
		return select_slowly(task, cases, n, first);
	if (r == -EAGAIN)
		return select_later(task, cases, n, &all_owned);
	unlock_owned(cases, n);
	if (met)
		xyli_give(met, 0);
	return xyli_done(task, r);
}
