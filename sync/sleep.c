/* SPDX-License-Identifier: MIT */
/*
 * Sleeping: the faces of the timers.
 *
 * Design notes.  The deadline is reckoned from the shard's clock as it is, not the turn's,
 * which may be a turn old: a sleep never ends early.  The timer lies in the task's wait: a
 * sleeper costs 16 bytes of heap and no allocation.
 */
#include <errno.h>

#include "sync/sleep.h"

static void sleep_over(struct xyli_timer *timer)
{
	struct xyli_wait *wait = (struct xyli_wait *)timer;

	xyli_wake(wait, 0);
}

static void sleep_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	(void)why;
	xyli_timer_stop(&wait->shard->timers, &wait->timer);
	xyli_wake(wait, -ECANCELED);
}

static void sleep_move(struct xyli_wait *from, struct xyli_wait *to)
{
	xyli_timer_move(&from->shard->timers, &from->timer, &to->timer);
}

static const struct xyli_wait_kind sleep_wait = { .name = "sleep",
						  .cancel = sleep_cancel,
						  .move = sleep_move };

_Static_assert(offsetof(struct xyli_wait, timer) == 0, "a sleeper's timer is cast to its wait");

xyl_pending xyli_sleep_till(struct xyl_task *task, int64_t when)
{
	struct xyli_wait *wait = &task->wait;
	int r;

	wait->timer = (struct xyli_timer){ .fire = sleep_over };
	r = xyli_timer_start(&wait->shard->timers, &wait->timer, when > 0 ? when : 0);
	if (r < 0)
		return xyli_done(task, r);
	xyli_wait_begin(wait, &sleep_wait, NULL);
	return (xyl_pending){ 1 };
}

xyl_pending xyl_sleep(int64_t ns)
{
	struct xyl_task *task = xyli_task_calling("xyl_sleep");
	int64_t when;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	when = ns > 0 ? xyli_clock_add(xyli_shard_clock(task->wait.shard), ns) : 0;
	return xyli_sleep_till(task, when);
}

xyl_pending xyl_sleep_until(int64_t when)
{
	struct xyl_task *task = xyli_task_calling("xyl_sleep_until");

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	return xyli_sleep_till(task, when);
}

int64_t xyl_now(void)
{
	return xyli_is_in_step() ? xyli_running->shard->now : xyli_clock();
}
