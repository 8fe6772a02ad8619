/* SPDX-License-Identifier: MIT */
/*
 * Numbers as text.
 *
 * Design notes.  Nothing needs quoting: the keys are C names, the sources' names are plain, and all
 * else is a number.  No floating point is printed, for its comma is the locale's.
 */
#include "io/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "xylem/xylem.h"

#define ROOM_FIRST 4096

/* ---- text that grows ---------------------------------------------------------------------- */

static bool report_grow(struct xyli_report *report, size_t need)
{
	size_t room = report->room ? report->room : ROOM_FIRST;
	char *bytes;

	while (room < need)
		room *= 2;
	bytes = realloc(report->bytes, room);
	if (!bytes)
		return false;
	report->bytes = bytes;
	report->room = room;
	return true;
}

static __attribute__((format(printf, 2, 3))) bool report_add(struct xyli_report *report,
							     const char *format, ...)
{
	va_list args;
	int len;

	if (!report->room && !report_grow(report, 1))
		return false;
	for (;;) {
		size_t left = report->room - report->len;

		va_start(args, format);
		len = vsnprintf(report->bytes + report->len, left, format, args);
		va_end(args);
		if (len >= 0 && (size_t)len < left)
			break;
		if (len < 0 || !report_grow(report, report->len + (size_t)len + 1))
			return false;
	}
	report->len += (size_t)len;
	return true;
}

void xyli_report_done(struct xyli_report *report)
{
	free(report->bytes);
	*report = (struct xyli_report){ .bytes = NULL };
}

/* ---- one source ----------------------------------------------------------------------------- */

static bool rate_add(struct xyli_report *report, const char *format, const char *name, double rate)
{
	uint64_t milli = (uint64_t)(rate * 1000 + 0.5);

	return report_add(report, format, name, milli / 1000, milli % 1000);
}

static double source_rate(const struct xyli_source *source, const struct xyli_stat *stat)
{
	return xyl_rate(source->delta[stat->word], source->now_ns - source->before_ns);
}

enum part { PART_NOW, PART_DELTA, PART_RATE };

static const char *const part_names[] = { "now", "delta", "per_second" };

static bool stat_add(struct xyli_report *report, const struct xyli_source *source,
		     const struct xyli_stat *stat, enum part part)
{
	if (part == PART_RATE)
		return rate_add(report, "\"%s\":%" PRIu64 ".%03" PRIu64, stat->name,
				source_rate(source, stat));
	return report_add(report, "\"%s\":%" PRIu64, stat->name, source->delta[stat->word]);
}

/* "now":{"live":12,"ops_outstanding":3} */
static bool part_add(struct xyli_report *report, const struct xyli_source *source, enum part part)
{
	const struct xyli_source_kind *kind = source->kind;
	const char *comma = "";
	bool ok = report_add(report, ",\"%s\":{", part_names[part]);

	for (size_t i = 0; i < kind->n && ok; i++) {
		if (kind->stats[i].is_level != (part == PART_NOW))
			continue;
		ok = report_add(report, "%s", comma) &&
		     stat_add(report, source, &kind->stats[i], part);
		comma = ",";
	}
	return ok && report_add(report, "}");
}

static bool line_add(struct xyli_report *report, const struct xyli_source *source, bool is_last)
{
	return report_add(report,
			  "{\"type\":\"%s\",\"name\":\"%s\",\"line\":%" PRIu64 ",\"at_ns\":%" PRId64
			  ",\"over_ns\":%" PRId64 ",\"last\":%s",
			  source->kind->type, source->name, source->line, source->now_ns,
			  source->now_ns - source->before_ns, is_last ? "true" : "false") &&
	       part_add(report, source, PART_NOW) && part_add(report, source, PART_DELTA) &&
	       part_add(report, source, PART_RATE) && report_add(report, "}\n");
}

/* What is not zero, one below the other. */
static bool view_add(struct xyli_report *report, const struct xyli_source *source)
{
	const struct xyli_source_kind *kind = source->kind;
	bool ok = report_add(report, "%s (%s)\n", source->name, kind->type);

	for (size_t i = 0; i < kind->n && ok; i++) {
		const struct xyli_stat *stat = &kind->stats[i];

		if (source->delta[stat->word] == 0)
			continue;
		ok = stat->is_level ? report_add(report, "  %-24s %14" PRIu64 "\n", stat->name,
						 source->delta[stat->word])
				    : rate_add(report, "  %-24s %14" PRIu64 ".%03" PRIu64 " /s\n",
					       stat->name, source_rate(source, stat));
	}
	return ok && report_add(report, "\n");
}

/* ---- all of them ----------------------------------------------------------------------------- */

int xyli_report_lines(struct xyli_report *report, const struct xyl_metrics *metrics, bool is_last)
{
	bool ok = true;

	report->len = report->sent = 0;
	for (const struct xyli_source *source = metrics->first; source && ok; source = source->next)
		ok = line_add(report, source, is_last);
	return ok ? 0 : -ENOMEM;
}

int xyli_report_view(struct xyli_report *report, const struct xyl_metrics *metrics)
{
	bool ok;

	report->len = report->sent = 0;
	ok = report_add(report, "\033[H\033[J"); /* home, and clear */
	for (const struct xyli_source *source = metrics->first; source && ok; source = source->next)
		ok = view_add(report, source);
	return ok ? 0 : -ENOMEM;
}
