/* SPDX-License-Identifier: MIT */
/*
 * Signals as something a task can wait on.
 *
 * Design notes.  The handler counts the signal and knocks at the shards that want it; that is
 * all.  A subscription remembers how far it has seen each count, so one that is ahead is
 * a signal to be handed out: nothing is lost while nobody waits, several of one number
 * become one (as in the kernel), and each of several subscriptions sees it.
 *
 *	handler: count, then read `shard`		xyl_signals_next: set `shard`, then read the count
 *
 * All four are sequentially consistent, so one of the two sees the other.
 *
 * Whatever thread the handler interrupts, and wherever, it takes no lock, allocates
 * nothing and links nothing: the collector may be marking at that moment (inbox.c says why
 * that forbids a post).  It walks the list of open subscriptions, though, which hangs off
 * pinned memory, for static data may not be scanned.  Those who walk are counted, and a
 * closer waits, between unlinking and forgetting, until nobody does.  So a handler never
 * meets a subscription that is gone, nor the shard of one: a runtime that stops closes its
 * subscriptions first.
 *
 * Why not signalfd: a signal reaches it only if every thread of the process blocks it,
 * those that some library started before main included, and so do the children that they
 * spawn, unless somebody remembers to undo it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "gc/heap.h"
#include "spawn/task.h"

#define SIGNALS 64 /* the kernel's, from 1 */

struct xyl_signals {
	_Atomic(struct xyl_signals *) next; /* of all that are open */
	_Atomic(struct xyli_shard *) shard; /* whose tasks wait; NULL: nobody has yet */
	struct xyli_waits waits;
	atomic_bool open;
	uint64_t wanted;	    /* bit 0: signal 1 */
	int last;		    /* the one handed out last: the search goes on behind it */
	uint32_t seen[SIGNALS + 1]; /* of `arrived` */
};

struct subscriptions {
	_Atomic(struct xyl_signals *) first;
};

static atomic_uint arrived[SIGNALS + 1]; /* only ever up, and round */
static atomic_uint walkers;		 /* on the list of subscriptions at this moment */
static _Atomic(struct subscriptions *) subscriptions; /* pinned */

/* The lock is of these two and of the list's links. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned subscribers[SIGNALS + 1];
static struct sigaction before[SIGNALS + 1]; /* what we took the place of */

static bool signals_want(const struct xyl_signals *signals, int signo)
{
	return signals->wanted >> (signo - 1) & 1;
}

/* ---- the handler ------------------------------------------------------------------ */

static struct xyl_signals *walk_begin(void)
{
	atomic_fetch_add(&walkers, 1);
	return atomic_load(&atomic_load(&subscriptions)->first);
}

static void walk_end(void)
{
	atomic_fetch_sub(&walkers, 1);
}

static void signal_arrive(int signo)
{
	struct xyl_signals *signals;
	struct xyli_shard *shard;

	atomic_fetch_add(&arrived[signo], 1);
	for (signals = walk_begin(); signals; signals = atomic_load(&signals->next)) {
		shard = atomic_load(&signals->shard);
		if (shard && signals_want(signals, signo))
			xyli_inbox_knock(&shard->inbox);
	}
	walk_end();
}

/* ---- its place among the program's ------------------------------------------------ */

static int handler_set(int signo)
{
	struct sigaction action = { .sa_handler = signal_arrive, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	if (subscribers[signo] == 0 && sigaction(signo, &action, &before[signo]) < 0)
		return -errno;
	subscribers[signo]++;
	return 0;
}

/* If the program has put one of its own there meanwhile, that stays. */
static void handler_unset(int signo)
{
	struct sigaction now;

	if (--subscribers[signo] > 0 || sigaction(signo, NULL, &now) < 0)
		return;
	if (!(now.sa_flags & SA_SIGINFO) && now.sa_handler == signal_arrive)
		sigaction(signo, &before[signo], NULL);
}

static void handlers_unset(const struct xyl_signals *signals, int below)
{
	for (int signo = 1; signo < below; signo++)
		if (signals_want(signals, signo))
			handler_unset(signo);
}

static int handlers_set(const struct xyl_signals *signals)
{
	int r;

	for (int signo = 1; signo <= SIGNALS; signo++) {
		r = signals_want(signals, signo) ? handler_set(signo) : 0;
		if (r < 0) {
			handlers_unset(signals, signo);
			return r;
		}
	}
	return 0;
}

/* ---- opening and closing ------------------------------------------------------------ */

static uint64_t signal_bit(int signo)
{
	return UINT64_C(1) << (signo - 1);
}

/* What cannot be caught, what a thread raises by its own fault, what the collector stops
 * threads with, and what shards block. */
static uint64_t signals_refused(void)
{
	static const int refused[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
				       SIGTRAP, SIGABRT, SIGSYS,  SIGPWR, SIGXCPU, SIGPIPE };
	uint64_t bits = 0;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		bits |= signal_bit(refused[i]);
	return bits;
}

/* -EINVAL: there is one among them that is not to be had. */
static int signals_wanted(const int signos[], size_t n, uint64_t *ret_bits)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < n; i++) {
		if (signos[i] < 1 || signos[i] > SIGNALS)
			return -EINVAL;
		bits |= signal_bit(signos[i]);
	}
	if (!bits || bits & signals_refused())
		return -EINVAL;
	*ret_bits = bits;
	return 0;
}

static bool subscriptions_begin(void)
{
	struct subscriptions *pinned;

	if (atomic_load(&subscriptions))
		return true;
	pinned = xyli_heap_pin(sizeof(*pinned));
	if (pinned)
		atomic_store(&subscriptions, pinned);
	return pinned != NULL;
}

/* What arrives from here on is its own.  Under the lock. */
static int signals_open(struct xyl_signals *signals)
{
	struct subscriptions *all;
	int r;

	if (!subscriptions_begin())
		return -ENOMEM;
	all = atomic_load(&subscriptions);
	for (int signo = 1; signo <= SIGNALS; signo++)
		signals->seen[signo] = atomic_load(&arrived[signo]);
	r = handlers_set(signals);
	if (r < 0)
		return r;
	atomic_store(&signals->open, true);
	atomic_store(&signals->next, atomic_load(&all->first));
	atomic_store(&all->first, signals);
	return 0;
}

/* When it returns, no handler knows it any more.  Under the lock. */
static void signals_shut(struct xyl_signals *signals)
{
	_Atomic(struct xyl_signals *) *link = &atomic_load(&subscriptions)->first;

	atomic_store(&signals->open, false);
	handlers_unset(signals, SIGNALS + 1);
	while (atomic_load(link) != signals)
		link = &atomic_load(link)->next;
	atomic_store(link, atomic_load(&signals->next));
	while (atomic_load(&walkers) > 0)
		sched_yield();
	atomic_store(&signals->next, NULL);
	atomic_store(&signals->shard, NULL);
}

static struct xyl_signals *signals_of(const struct xyli_shard *shard)
{
	struct xyl_signals *signals = walk_begin();

	while (signals && atomic_load(&signals->shard) != shard)
		signals = atomic_load(&signals->next);
	walk_end();
	return signals;
}

static void signals_close_all(struct xyli_shard *shard)
{
	struct xyl_signals *signals;

	while ((signals = signals_of(shard)) != NULL)
		xyl_signals_close(signals);
}

/* ---- handing out -------------------------------------------------------------------- */

/* One that has arrived and was not handed out; 0: none.  In turn, so that one that comes
 * again and again does not hide the others. */
static int signals_take(struct xyl_signals *signals)
{
	for (int i = 0; i < SIGNALS; i++) {
		int signo = (signals->last + i) % SIGNALS + 1;
		uint32_t count = atomic_load(&arrived[signo]);

		if (!signals_want(signals, signo) || signals->seen[signo] == count)
			continue;
		signals->seen[signo] = count;
		signals->last = signo;
		return signo;
	}
	return 0;
}

static void waits_wake(struct xyl_signals *signals, int result)
{
	struct xyli_wait *wait = signals->waits.first;

	xyli_waits_remove(&signals->waits, wait);
	xyli_wake(wait, result);
}

static void signals_answer(struct xyli_inbox *inbox)
{
	struct xyli_shard *shard =
		(struct xyli_shard *)((char *)inbox - offsetof(struct xyli_shard, inbox));
	struct xyl_signals *signals;
	int signo;

	for (signals = walk_begin(); signals; signals = atomic_load(&signals->next))
		while (atomic_load(&signals->shard) == shard && signals->waits.first &&
		       (signo = signals_take(signals)) != 0)
			waits_wake(signals, signo);
	walk_end();
}

/* From now on handlers knock at this shard.  False: it is another's. */
static bool signals_bind(struct xyl_signals *signals, struct xyli_shard *shard)
{
	struct xyli_shard *bound = NULL;

	shard->inbox.answer = signals_answer;
	shard->close_signals = signals_close_all;
	return atomic_compare_exchange_strong(&signals->shard, &bound, shard) || bound == shard;
}

/* ---- the public face ------------------------------------------------------------------ */

int xyl_signals_new(struct xyl_signals **ret_signals, const int signos[], size_t n)
{
	struct xyl_signals *signals;
	uint64_t wanted;
	int r = signals_wanted(signos, n, &wanted);

	if (r < 0)
		return r;
	signals = xyl_new(struct xyl_signals);
	if (!signals)
		return -ENOMEM;
	signals->wanted = wanted;
	if (xyli_here)
		signals_bind(signals, xyli_here);
	pthread_mutex_lock(&lock);
	r = signals_open(signals);
	pthread_mutex_unlock(&lock);
	if (r == 0)
		*ret_signals = signals;
	return r;
}

static void signals_wait_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyl_signals *signals = wait->on;

	(void)why;
	xyli_waits_remove(&signals->waits, wait);
	xyli_wake(wait, -ECANCELED);
}

static void signals_wait_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyl_signals *signals = from->on;

	xyli_waits_replace(&signals->waits, from, to);
}

static const struct xyli_wait_kind signals_wait = { .name = "signal",
						    .cancel = signals_wait_cancel,
						    .move = signals_wait_move };

xyl_pending xyl_signals_next(struct xyl_signals *signals)
{
	struct xyl_task *task = xyli_task_calling("xyl_signals_next");
	int signo;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (!atomic_load(&signals->open))
		return xyli_done(task, -EBADF);
	if (!signals_bind(signals, task->wait.shard))
		return xyli_done(task, -EXDEV);
	signo = signals->waits.first ? 0 : signals_take(signals);
	if (signo)
		return xyli_done(task, signo);
	xyli_wait_begin(&task->wait, &signals_wait, signals);
	xyli_waits_append(&signals->waits, &task->wait);
	return (xyl_pending){ 1 };
}

void xyl_signals_close(struct xyl_signals *signals)
{
	struct xyli_shard *shard;

	if (!signals || !atomic_load(&signals->open))
		return;
	shard = atomic_load(&signals->shard);
	if (shard && !xyli_shard_is_ours(shard))
		xyli_misuse("xyl_signals_close", "another thread runs the tasks that wait for it");
	pthread_mutex_lock(&lock);
	signals_shut(signals);
	pthread_mutex_unlock(&lock);
	while (signals->waits.first)
		waits_wake(signals, -ECANCELED);
	if (shard && shard != xyli_here)
		xyli_inbox_knock(&shard->inbox); /* it is driven by hand, and has work now */
}
