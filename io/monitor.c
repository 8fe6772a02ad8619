/* SPDX-License-Identifier: MIT */
/*
 * A monitor: a task that writes what has changed, period by period.
 *
 * Design notes.  What was seen is kept only when its lines have gone out, so an abort must leave no
 * doubt about that.  The text lies in malloc memory on purpose: an abort of a write from there waits
 * for the kernel's last word, and the write says how much it was.  (From collected memory
 * the task would go on at once, and lines that go out all the same would be counted twice.)  And
 * it is xyl_write, not xyl_write_all: cut short in the middle, the latter breaks the stream.
 *
 * The last lines are written under a shield, within a second: whoever reads them may have
 * stopped reading, and must not keep the runtime from stopping.
 */
#include <errno.h>
#include <stdlib.h>

#include "io/report.h"
#include "rt/clock.h"
#include "xylem/xylem.h"

#define LAST_NS XYL_SEC

struct xyli_monitoring {
	struct xyli_report report;
	int64_t next_ns;
};

/* What is watched if nothing is named. */
static struct xyl_metrics *metrics_of_here(void)
{
	struct xyl_metrics *metrics = xyl_metrics_new();

	if (!metrics || xyl_metrics_add_runtime(metrics, "runtime", xyl_runtime_self()) < 0 ||
	    xyl_metrics_add_heap(metrics, "heap") < 0)
		return NULL;
	return metrics;
}

static int monitor_begin(struct xyl_monitor *self)
{
	if (!self->to || self->period_ns < 0)
		return -EINVAL;
	if (!self->period_ns)
		self->period_ns = XYL_SEC;
	if (!self->metrics)
		self->metrics = metrics_of_here();
	self->xyli_own = xyl_new(struct xyli_monitoring);
	if (!self->metrics || !self->xyli_own)
		return -ENOMEM;
	if (self->metrics->watched)
		return -EBUSY;
	self->metrics->watched = true;
	self->xyli_own->next_ns = xyli_clock_add(xyl_now(), self->period_ns);
	return 0;
}

/* If the ring has failed, nobody knows whether the kernel still reads the text. */
static void monitor_end(struct xyl_monitor *self)
{
	if (self->n != -ENOTRECOVERABLE)
		xyli_report_done(&self->xyli_own->report);
	self->metrics->watched = false;
}

static int monitor_look(struct xyl_monitor *self, bool is_last)
{
	struct xyli_report *report = &self->xyli_own->report;

	xyli_metrics_look(self->metrics, xyl_now());
	if (self->live)
		return xyli_report_view(report, self->metrics);
	return xyli_report_lines(report, self->metrics, is_last);
}

struct publish {
	struct xyl_frame frame;
	struct xyl_metrics *metrics;
	struct xyli_report *report;
	struct xyl_io *to;
	ssize_t n;
};

/* What has not gone out yet of the lines that there are. */
static xyl_step publish(void *frame)
{
	struct publish *self = frame;

	XYL_BEGIN(self)
	while (self->report->sent < self->report->len) {
		XYL_AWAIT(self->n, xyl_write(self->to, self->report->bytes + self->report->sent,
					     self->report->len - self->report->sent));
		if (self->n < 0)
			XYL_RETURN(self->n);
		self->report->sent += (size_t)self->n;
	}
	xyli_metrics_keep(self->metrics);
	XYL_END(0);
}

static xyl_pending monitor_publish(struct xyl_monitor *self)
{
	return xyl_call(publish, .metrics = self->metrics, .report = &self->xyli_own->report,
			.to = self->to);
}

static bool report_is_torn(const struct xyli_report *report)
{
	return report->sent > 0 && report->sent < report->len;
}

struct conclude {
	struct xyl_frame frame;
	struct xyl_monitor *monitor;
	ssize_t n;
};

/* The rest of what it was at, and the last lines. */
static xyl_step conclude(void *frame)
{
	struct conclude *self = frame;

	XYL_BEGIN(self)
	if (report_is_torn(&self->monitor->xyli_own->report)) {
		XYL_AWAIT(self->n, monitor_publish(self->monitor));
		if (self->n < 0)
			XYL_RETURN(self->n);
	}
	self->n = monitor_look(self->monitor, true);
	if (self->n == 0)
		XYL_AWAIT(self->n, monitor_publish(self->monitor));
	XYL_END(self->n);
}

/* Periods that have been missed are not made up for. */
static void monitor_wind(struct xyl_monitor *self)
{
	struct xyli_monitoring *own = self->xyli_own;
	int64_t late = xyl_now() - own->next_ns;

	if (late >= self->period_ns)
		own->next_ns += late / self->period_ns * self->period_ns;
	own->next_ns = xyli_clock_add(own->next_ns, self->period_ns);
}

xyl_step xyl_monitor(void *frame)
{
	struct xyl_monitor *self = frame;

	XYL_BEGIN(self)
	self->n = monitor_begin(self);
	if (self->n < 0)
		XYL_RETURN(self->n);
	for (;; monitor_wind(self)) {
		XYL_AWAIT(self->n, xyl_sleep_until(self->xyli_own->next_ns));
		if (self->n < 0)
			break;
		if (monitor_look(self, false) < 0)
			continue; /* no memory: what it missed is in the next */
		XYL_AWAIT(self->n, monitor_publish(self));
		if (self->n < 0)
			break;
	}
	if (self->n == -ECANCELED) {
		xyl_shield_begin();
		XYL_AWAIT(self->n, xyl_within(xyl_call(conclude, .monitor = self), LAST_NS));
		xyl_shield_end();
	}
	monitor_end(self);
	XYL_END(self->n);
}
