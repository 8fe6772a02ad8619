/* SPDX-License-Identifier: MIT */
/*
 * A runtime inside a loop of the program's own.
 *
 * Design notes.  xyl_runtime_fd is an epoll descriptor over three: the ring (a CQE), the
 * doorbell (a post), and a timerfd that stands at the next deadline, or at once when
 * tasks are ready still.  Between two drives the shard counts as asleep, so that posts
 * ring.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "rt/ring.h"
#include "spawn/runtime.h"

static int drive_watch(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int drive_open(struct xyl_runtime *rt, int ring_fd)
{
	int r = 0;

	rt->drive_fd = epoll_create1(EPOLL_CLOEXEC);
	rt->drive_timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (rt->drive_fd < 0 || rt->drive_timer_fd < 0)
		r = -errno;
	if (r == 0)
		r = drive_watch(rt->drive_fd, rt->drive_timer_fd);
	if (r == 0)
		r = drive_watch(rt->drive_fd, rt->shard->inbox.bell_fd);
	if (r == 0)
		r = drive_watch(rt->drive_fd, ring_fd);
	if (r < 0)
		xyli_drive_done(rt);
	return r;
}

static void drive_refused(int error)
{
	if (error == -EMFILE || error == -ENFILE)
		xyli_why_ring(error);
	else
		xyli_why_set("no descriptor to drive by: %s", strerror(-error));
}

int xyl_runtime_fd(struct xyl_runtime *rt)
{
	int ring_fd, r;

	if (rt->state != XYLI_RT_BY_HAND)
		return -EINVAL;
	if (rt->drive_fd >= 0)
		return rt->drive_fd;
	ring_fd = xyli_shard_poll_fd(rt->shard);
	if (ring_fd < 0)
		return ring_fd;
	r = drive_open(rt, ring_fd);
	if (r < 0) {
		drive_refused(r);
		return r;
	}
	xyli_drive_end(rt);
	return rt->drive_fd;
}

void xyli_drive_done(struct xyl_runtime *rt)
{
	if (rt->drive_fd >= 0)
		close(rt->drive_fd);
	if (rt->drive_timer_fd >= 0)
		close(rt->drive_timer_fd);
	rt->drive_fd = rt->drive_timer_fd = -1;
}

void xyli_drive_begin(struct xyl_runtime *rt)
{
	if (rt->drive_fd < 0)
		return;
	xyli_inbox_wake(&rt->shard->inbox);
	xyli_inbox_hush(&rt->shard->inbox);
}

/* The timer stands at the next thing to do; a time that has passed reads at once. */
void xyli_drive_end(struct xyl_runtime *rt)
{
	struct xyli_shard *shard = rt->shard;
	int64_t when = xyli_shard_due(shard);
	struct itimerspec spec = { 0 };

	if (rt->drive_fd < 0)
		return;
	xyli_ring_hush(shard->ring); /* it was signalled for what has been reaped, too */
	if (!xyli_inbox_sleep(&shard->inbox) || shard->ready.first || xyli_ring_is_behind(shard) ||
	    xyli_ring_has_news(shard))
		when = 1;
	if (when != XYLI_NEVER)
		spec.it_value = xyli_timespec(when > 0 ? when : 1);
	timerfd_settime(rt->drive_timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}
