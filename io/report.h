/* SPDX-License-Identifier: MIT */
/* report.h - what metrics have seen, as text. */
#ifndef XYLI_IO_REPORT_H
#define XYLI_IO_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "io/metrics.h"

/* In malloc memory, of which it holds no pointer into the collected heap. */
struct xyli_report {
	char *bytes;
	size_t len, sent, room;
};

/* Of the last look: a JSON object a line for each source, or a screenful.  -ENOMEM. */
int xyli_report_lines(struct xyli_report *report, const struct xyl_metrics *metrics, bool is_last);
int xyli_report_view(struct xyli_report *report, const struct xyl_metrics *metrics);

void xyli_report_done(struct xyli_report *report);

#endif
