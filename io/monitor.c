/* SPDX-License-Identifier: MIT */
/*
 * A monitor: a task that writes what has changed, period by period.
 *
 * Design notes.  The text lies in malloc memory on purpose.  An abort of a write from there waits
 * for the kernel's last word, so that the monitor knows whether the lines have gone out,
 * and what belongs into its last ones.  From collected memory it would go on at once, and
 * lines that go out all the same would be counted twice.
 *
 * The last lines are written under a shield, within a second: whoever reads them may have
 * stopped reading, and must not keep the runtime from stopping.
 */
#include <errno.h>
#include <stdlib.h>

#include "io/report.h"
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
	self->xyli_own->next_ns = xyl_now() + self->period_ns;
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

static xyl_pending monitor_write(struct xyl_monitor *self)
{
	struct xyli_report *report = &self->xyli_own->report;

	return xyl_write_all(self->to, report->bytes, report->len);
}

/* Periods that have been missed are not made up for. */
static void monitor_wind(struct xyl_monitor *self)
{
	struct xyli_monitoring *own = self->xyli_own;
	int64_t late = xyl_now() - own->next_ns;

	own->next_ns += self->period_ns;
	if (late >= self->period_ns)
		own->next_ns += late / self->period_ns * self->period_ns;
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
		XYL_AWAIT(self->n, monitor_write(self));
		if (self->n < 0)
			break;
		xyli_metrics_keep(self->metrics);
	}
	if (self->n == -ECANCELED) {
		self->n = monitor_look(self, true);
		xyl_shield_begin();
		if (self->n == 0)
			XYL_AWAIT(self->n, xyl_within(monitor_write(self), LAST_NS));
		xyl_shield_end();
	}
	if (self->n >= 0)
		xyli_metrics_keep(self->metrics);
	monitor_end(self);
	XYL_END(self->n < 0 ? self->n : 0);
}
