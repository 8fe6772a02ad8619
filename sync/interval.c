/* SPDX-License-Identifier: MIT */
/*
 * Intervals.
 *
 * Design notes.  An interval is the time of its next tick; whoever takes the tick reckons
 * the one after it, in constant time however many were missed.  Nothing runs while nobody
 * waits: a tick that is due is found due.  Those who wait are a list, served in order by
 * one timer, which lies in the interval and runs exactly as long as the list is not empty.
 *
 * A tick is late when it was asked for after its time, or when the next one has come due
 * before it could be given.  What a timer is late by itself (a turn, the kernel) does not
 * count, or XYL_DELAY would drift by it at every tick.
 */
#include <errno.h>

#include "spawn/task.h"

struct xyl_interval {
	struct xyli_timer timer; /* first */
	int64_t next, period_ns;
	enum xyl_missed missed;
	struct xyli_shard *shard; /* that first ticked it */
	struct xyli_waits waits;
};

struct xyl_interval *xyl_interval_new(int64_t first, int64_t period_ns, enum xyl_missed missed)
{
	struct xyl_interval *interval;

	if (period_ns <= 0 || (unsigned)missed > XYL_SKIP)
		return NULL;
	interval = xyl_new(struct xyl_interval);
	if (!interval)
		return NULL;
	interval->next = first > 0 ? first : 0;
	interval->period_ns = period_ns;
	interval->missed = missed;
	return interval;
}

/* The tick that is due at `now`: for how many it stands. */
static ssize_t interval_take(struct xyl_interval *interval, int64_t now, bool late)
{
	int64_t missed = (now - interval->next) / interval->period_ns;

	switch (interval->missed) {
	case XYL_BURST: missed = 0; break;
	case XYL_DELAY:
		if (late || missed > 0)
			interval->next = now;
		break;
	case XYL_SKIP: interval->next += missed * interval->period_ns; break;
	}
	interval->next = xyli_clock_add(interval->next, interval->period_ns);
	return missed + 1;
}

/* Its place in the heap is free: it has just fired, or been stopped. */
static void interval_rearm(struct xyl_interval *interval)
{
	int r = xyli_timer_start(&interval->shard->timers, &interval->timer, interval->next);

	XYLI_MUST(r == 0);
}

static void interval_fire(struct xyli_timer *timer)
{
	struct xyl_interval *interval = (struct xyl_interval *)timer;
	int64_t now = interval->shard->now;
	struct xyli_wait *wait;

	while ((wait = interval->waits.first) && interval->next <= now) {
		xyli_waits_remove(&interval->waits, wait);
		xyli_wake(wait, interval_take(interval, now, false));
	}
	if (wait)
		interval_rearm(interval);
}

_Static_assert(offsetof(struct xyl_interval, timer) == 0, "a timer is cast to its interval");

/* ---- waiting for one ------------------------------------------------------------- */

static void tick_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyl_interval *interval = wait->on;

	(void)why;
	xyli_waits_remove(&interval->waits, wait);
	if (!interval->waits.first)
		xyli_timer_stop(&interval->shard->timers, &interval->timer);
	xyli_wake(wait, -ECANCELED);
}

static void tick_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyl_interval *interval = from->on;

	xyli_waits_replace(&interval->waits, from, to);
}

static const struct xyli_wait_kind tick_wait = { .name = "tick",
						 .cancel = tick_cancel,
						 .move = tick_move };

static xyl_pending tick_await(struct xyl_task *task, struct xyl_interval *interval)
{
	int r = 0;

	if (!interval->waits.first) {
		interval->timer.fire = interval_fire;
		r = xyli_timer_start(&interval->shard->timers, &interval->timer, interval->next);
	}
	if (r < 0)
		return xyli_done(task, r);
	xyli_wait_begin(&task->wait, &tick_wait, interval);
	xyli_waits_append(&interval->waits, &task->wait);
	return (xyl_pending){ 1 };
}

static int tick_refusal(struct xyl_task *task, struct xyl_interval *interval)
{
	if (xyli_task_is_canceled(task))
		return -ECANCELED;
	if (!interval)
		return -EINVAL;
	if (!interval->shard)
		interval->shard = task->wait.shard;
	return interval->shard == task->wait.shard ? 0 : -EXDEV;
}

xyl_pending xyl_interval_tick(struct xyl_interval *interval)
{
	struct xyl_task *task = xyli_task_calling("xyl_interval_tick");
	int r = tick_refusal(task, interval);
	int64_t now;

	if (r < 0)
		return xyli_done(task, r);
	now = xyli_shard_clock(task->wait.shard);
	if (interval->waits.first || interval->next > now)
		return tick_await(task, interval);
	return xyli_done(task, interval_take(interval, now, interval->next < now));
}

void xyl_interval_reset(struct xyl_interval *interval)
{
	struct xyli_shard *shard = xyli_task_calling("xyl_interval_reset")->wait.shard;

	if (!interval)
		return;
	if (interval->waits.first && interval->shard != shard)
		xyli_misuse("xyl_interval_reset",
			    "tasks of another runtime wait for this interval");
	interval->next = xyli_clock_add(xyli_shard_clock(shard), interval->period_ns);
	if (!interval->waits.first)
		return;
	xyli_timer_stop(&shard->timers, &interval->timer);
	interval_rearm(interval);
}
