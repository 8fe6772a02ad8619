/* SPDX-License-Identifier: MIT */
/* Watching: the differences add up, the rates are those of the load. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rt/clock.h"
#include "spawn/stats.h"
#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/json.h"

enum { OPERATIONS = 1000, SOURCES = 5, LINE_BYTES = 8192 };

/* ---- what a monitor has written ------------------------------------------------------------ */

struct paper {
	int fd; /* of a file in memory */
};

static struct paper paper_make(void)
{
	struct paper paper = { .fd = memfd_create("paper", MFD_CLOEXEC) };

	CHECK(paper.fd >= 0);
	return paper;
}

static struct xyl_io *paper_handle(const struct paper *paper)
{
	struct xyl_io *io = xyl_io_from_fd(fcntl(paper->fd, F_DUPFD_CLOEXEC, 0));

	CHECK(io != NULL);
	return io;
}

static FILE *paper_open(const struct paper *paper)
{
	FILE *file = fdopen(paper->fd, "r");

	CHECK(file != NULL);
	rewind(file);
	return file;
}

/* What is in each line of each source, whatever it watches. */
static void line_is_of_the_schema(const struct json *json)
{
	static const char *const keys[] = { "type",    "name", "line", "at_ns",
					    "over_ns", "last", "now" };

	CHECK(json->ok);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		CHECK(strcmp(json->pairs[i].path, keys[i]) == 0);
	CHECK(strcmp(json_text(json, "delta"), "{") == 0);
	CHECK(strcmp(json_text(json, "per_second"), "{") == 0);
	for (size_t i = 0; i < json->n; i++) {
		const char *path = json->pairs[i].path;
		char rate[JSON_PATH + 16];
		double told, reckoned;

		if (strncmp(path, "delta.", 6) != 0)
			continue;
		snprintf(rate, sizeof(rate), "per_second.%s", path + 6);
		told = json_number(json, rate);
		reckoned = (double)json_count(json, path) * 1e9 /
			   (double)json_count(json, "over_ns");
		if (json_count(json, "over_ns") == 0)
			reckoned = 0;
		CHECK(told - reckoned < 0.0011 && reckoned - told < 0.0011);
	}
}

/* Those of one source, added up. */
struct sums {
	size_t lines, last;
	uint64_t at_ns, over_ns;
	struct json json; /* the latest */
	uint64_t sums[JSON_PAIRS];
};

static void sums_add(struct sums *sums, const struct json *json)
{
	CHECK_EQ(json_count(json, "line"), sums->lines);
	if (sums->lines > 0)
		CHECK_EQ(json_count(json, "at_ns"), sums->at_ns + json_count(json, "over_ns"));
	sums->lines++;
	CHECK_EQ(sums->last, 0); /* it is the last line */
	sums->last += strcmp(json_text(json, "last"), "true") == 0;
	sums->at_ns = json_count(json, "at_ns");
	sums->over_ns += json_count(json, "over_ns");
	for (size_t i = 0; i < json->n; i++)
		if (strncmp(json->pairs[i].path, "delta.", 6) == 0)
			sums->sums[i] += strtoull(json->pairs[i].value, NULL, 10);
	sums->json = *json;
}

static struct sums sums_of(const struct paper *paper, const char *name)
{
	static struct sums sums;
	static char line[LINE_BYTES];
	int fd = fcntl(paper->fd, F_DUPFD_CLOEXEC, 0);
	struct paper again = { .fd = fd };
	FILE *file = paper_open(&again);

	memset(&sums, 0, sizeof(sums));
	while (fgets(line, sizeof(line), file)) {
		struct json json = json_read(line);

		line_is_of_the_schema(&json);
		if (strcmp(json_text(&json, "name"), name) == 0)
			sums_add(&sums, &json);
	}
	fclose(file);
	CHECK(sums.lines > 0);
	return sums;
}

static uint64_t sum(const struct sums *sums, const char *key)
{
	char path[JSON_PATH];

	snprintf(path, sizeof(path), "delta.%s", key);
	for (size_t i = 0; i < sums->json.n; i++)
		if (strcmp(sums->json.pairs[i].path, path) == 0)
			return sums->sums[i];
	test_failed(__FILE__, __LINE__, key);
}

/* ---- a known load ---------------------------------------------------------------------------- */

static uint64_t counted, level;

struct pass {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	ssize_t n;
};

static xyl_step pass(void *frame)
{
	struct pass *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_send(self->chan, &(uint64_t){ 7 }));
	counted++;
	XYL_END(self->n);
}

struct load {
	struct xyl_frame frame;
	const struct paper *paper;
	struct xyl_io *to;
	struct xyl_metrics *metrics;
	struct xyl_chan *chan;
	struct xyl_task *monitor;
	struct xyl_stats *before, *after;
	uint64_t got;
	int i;
	ssize_t n;
};

static void load_begin(struct load *self)
{
	self->to = paper_handle(self->paper);
	counted = level = 0;
	self->chan = xyl_chan_new(sizeof(uint64_t), 4);
	self->metrics = xyl_metrics_new();
	CHECK(self->chan && self->metrics);
	xyl_runtime_stats(xyl_runtime_self(), self->before);
	CHECK_EQ(xyl_metrics_add_runtime(self->metrics, "main", xyl_runtime_self()), 0);
	CHECK_EQ(xyl_metrics_add_heap(self->metrics, "heap"), 0);
	CHECK_EQ(xyl_metrics_add_chan(self->metrics, "jobs.in-1", self->chan), 0);
	CHECK_EQ(xyl_metrics_add(self->metrics, "requests", XYL_COUNT, &counted), 0);
	CHECK_EQ(xyl_metrics_add(self->metrics, "clients", XYL_LEVEL, &level), 0);
}

static xyl_step load(void *frame)
{
	struct load *self = frame;

	XYL_BEGIN(self)
	load_begin(self);
	self->monitor = xyl_spawn(xyl_monitor, .metrics = self->metrics, .to = self->to,
				  .period_ns = XYL_MS / 10);
	for (self->i = 0; self->i < OPERATIONS; self->i++) {
		CHECK(xyl_spawn(pass, .chan = self->chan));
		XYL_AWAIT(self->n, xyl_recv(self->chan, &self->got));
		CHECK_EQ(self->got, 7);
		level = (uint64_t)self->i;
		if (self->i % 100 == 0)
			XYL_AWAIT(self->n,
				  xyl_sleep(XYL_MS)); /* so that there is more than one line */
	}
	XYL_AWAIT(self->n, xyl_yield());
	xyl_runtime_stats(xyl_runtime_self(), self->after);
	xyl_abort(self->monitor);
	XYL_AWAIT(self->n, xyl_join(self->monitor));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_AWAIT(self->n, xyl_close(self->to));
	XYL_END(xyl_result(self->monitor));
}

TEST(the_differences_of_a_thousand_operations_add_up)
{
	struct paper paper = paper_make();
	struct xyl_stats before, after;
	struct sums sums;

	CHECK_EQ(RUN(load, .paper = &paper, .before = &before, .after = &after), 0);
	sums = sums_of(&paper, "requests");
	CHECK(sums.lines > 1);
	CHECK_EQ(sums.last, 1);
	CHECK_EQ(sum(&sums, "value"), OPERATIONS);
	sums = sums_of(&paper, "jobs.in-1");
	CHECK_EQ(sum(&sums, "sent"), OPERATIONS);
	CHECK_EQ(sum(&sums, "received"), OPERATIONS);
	CHECK_EQ(sum(&sums, "bytes"), OPERATIONS * sizeof(uint64_t));
	CHECK_EQ(json_count(&sums.json, "now.len"), 0);
	sums = sums_of(&paper, "main");
	CHECK_EQ(sum(&sums, "spawned"), after.spawned - before.spawned);
	CHECK_EQ(sum(&sums, "spawned"), OPERATIONS + 1);
	CHECK_EQ(sum(&sums, "aborted"), 1);
	sums = sums_of(&paper, "clients");
	CHECK_EQ(json_count(&sums.json, "now.value"), OPERATIONS - 1);
	close(paper.fd);
}

/* Each line's rate is checked where it is read: this is that they are of the load. */
TEST(the_rates_are_those_of_a_known_load)
{
	struct paper paper = paper_make();
	struct xyl_stats before, after;
	char line[LINE_BYTES];
	double operations = 0;
	FILE *file;

	CHECK_EQ(RUN(load, .paper = &paper, .before = &before, .after = &after), 0);
	file = paper_open(&paper);
	while (fgets(line, sizeof(line), file)) {
		struct json json = json_read(line);

		CHECK(json.ok);
		if (strcmp(json_text(&json, "name"), "requests") == 0)
			operations += json_number(&json, "per_second.value") *
				      json_number(&json, "over_ns") / 1e9;
	}
	fclose(file);
	CHECK(operations > OPERATIONS - 1 && operations < OPERATIONS + 1);
}

TEST(each_statistic_is_in_a_line_once)
{
	struct paper paper = paper_make();
	struct xyl_stats before, after;
	struct sums sums;
	char path[JSON_PATH];

	CHECK_EQ(RUN(load, .paper = &paper, .before = &before, .after = &after), 0);
	sums = sums_of(&paper, "main");
	CHECK(strcmp(json_text(&sums.json, "type"), "runtime") == 0);
	for (size_t i = 0; i < XYLI_STATS; i++) {
		snprintf(path, sizeof(path), "%s.%s", xyli_stats[i].is_level ? "now" : "delta",
			 xyli_stats[i].name);
		json_count(&sums.json, path);
		for (size_t j = 0; j < i; j++)
			CHECK(xyli_stats[i].word != xyli_stats[j].word);
	}
	sums = sums_of(&paper, "heap");
	CHECK(json_count(&sums.json, "now.heap_bytes") > 0);
	json_count(&sums.json, "now.pause_p99_ns");
	json_count(&sums.json, "delta.collections");
	close(paper.fd);
}

TEST(of_a_delta_counts_are_differences_and_levels_are_levels)
{
	struct xyl_stats before = { .spawned = 5, .live = 9, .adopted_buffers = 1, .buffers = 64 };
	struct xyl_stats now = { .spawned = 7, .live = 3, .adopted_buffers = 4, .buffers = 64 };
	struct xyl_stats delta;

	xyl_stats_delta(&now, &before, &delta);
	CHECK_EQ(delta.spawned, 2);
	CHECK_EQ(delta.live, 3);
	CHECK_EQ(delta.adopted_buffers, 3);
	CHECK_EQ(delta.buffers, 64);
	CHECK_EQ(delta.turns, 0);
	CHECK(xyl_rate(30, 2 * XYL_SEC) > 14.999 && xyl_rate(30, 2 * XYL_SEC) < 15.001);
	CHECK(!(xyl_rate(30, 0) > 0));
}

/* ---- names ----------------------------------------------------------------------------------- */

TEST(a_name_that_needs_quoting_is_refused)
{
	static const char *const bad[] = { "", "a b", "a\"b", "a\\b", "a\nb", "\xc3\xa4", "a,b" };
	struct xyl_metrics *metrics = xyl_metrics_new();
	char name[66];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK_EQ(xyl_metrics_add(metrics, bad[i], XYL_COUNT, &counted), -EINVAL);
	memset(name, 'x', sizeof(name));
	name[65] = '\0';
	CHECK_EQ(xyl_metrics_add(metrics, name, XYL_COUNT, &counted), -EINVAL);
	CHECK_EQ(xyl_metrics_add(metrics, name + 1, XYL_COUNT, &counted), 0);
	CHECK_EQ(xyl_metrics_add(metrics, "AZaz09_.-", XYL_LEVEL, &level), 0);
	CHECK_EQ(xyl_metrics_add_heap(metrics, "AZaz09_.-"), -EEXIST);
}

/* ---- when it ends ---------------------------------------------------------------------------- */

struct leave {
	struct xyl_frame frame;
	const struct paper *paper;
	struct xyl_io *to;
	ssize_t n;
};

/* Its monitor runs on until the runtime stops. */
static xyl_step leave(void *frame)
{
	struct leave *self = frame;

	XYL_BEGIN(self)
	self->to = paper_handle(self->paper);
	CHECK(xyl_spawn(xyl_monitor, .to = self->to, .period_ns = LONG_NS));
	XYL_AWAIT(self->n, xyl_yield());
	XYL_END(0);
}

TEST(a_runtime_that_stops_is_told_of_in_a_last_line)
{
	struct paper paper = paper_make();
	struct sums sums;

	CHECK_EQ(xyl_run(leave, .paper = &paper), 0);
	sums = sums_of(&paper, "runtime");
	CHECK_EQ(sums.lines, 1);
	CHECK_EQ(sums.last, 1);
	CHECK_EQ(json_count(&sums.json, "now.live"), 1); /* itself */
	sums = sums_of(&paper, "heap");
	CHECK_EQ(sums.last, 1);
	close(paper.fd);
}

struct bounded {
	struct xyl_frame frame;
	const struct paper *paper;
	struct xyl_io *to;
	bool live;
	ssize_t n, closed;
};

static xyl_step bounded(void *frame)
{
	struct bounded *self = frame;

	XYL_BEGIN(self)
	self->to = paper_handle(self->paper);
	XYL_AWAIT(self->n, xyl_within(xyl_call(xyl_monitor, .to = self->to, .live = self->live,
					       .period_ns = LONG_NS),
				      XYL_MS));
	XYL_AWAIT(self->closed, xyl_close(self->to));
	XYL_END(self->n);
}

TEST(a_call_within_a_bound_writes_its_last_line)
{
	struct paper paper = paper_make();
	struct sums sums;

	CHECK_EQ(RUN(bounded, .paper = &paper), -ETIMEDOUT);
	sums = sums_of(&paper, "runtime");
	CHECK_EQ(sums.lines, 1);
	CHECK_EQ(sums.last, 1);
	close(paper.fd);
}

TEST(a_live_view_is_a_screenful_of_what_is_not_zero)
{
	struct paper paper = paper_make();
	char text[LINE_BYTES] = "";

	CHECK_EQ(RUN(bounded, .paper = &paper, .live = true), -ETIMEDOUT);
	CHECK(pread(paper.fd, text, sizeof(text) - 1, 0) > 0);
	CHECK(strstr(text, "\033[H\033[Jruntime (runtime)\n") == text);
	CHECK(strstr(text, "\n  live  ") != NULL);
	CHECK(strstr(text, " /s\n") != NULL);
	CHECK(strstr(text, "leaked_pins") == NULL);
	CHECK(strstr(text, "\nheap (heap)\n") != NULL);
	close(paper.fd);
}

TEST(a_period_without_end_has_a_last_line_and_no_other)
{
	struct driven driven = drive_begin(NULL);
	struct paper paper = paper_make();
	struct xyl_task *task = DRIVE_SPAWN(&driven, xyl_monitor, .to = paper_handle(&paper),
					    .period_ns = INT64_MAX);

	for (int i = 0; i < 20; i++)
		CHECK(drive(&driven, 1) >= 0);
	CHECK_EQ(drive_stats(&driven).ops_submitted, 0); /* it has not begun to write */
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK(lseek(paper.fd, 0, SEEK_END) > 0);
	close(paper.fd);
	drive_end(&driven);
}

TEST(what_cannot_be_monitored_is_refused)
{
	struct driven driven = drive_begin(NULL);
	struct paper paper = paper_make();
	struct xyl_io *to = paper_handle(&paper);
	struct xyl_metrics *metrics = xyl_metrics_new();
	struct xyl_task *first, *task;

	task = DRIVE_SPAWN(&driven, xyl_monitor, .to = NULL);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -EINVAL);
	task = DRIVE_SPAWN(&driven, xyl_monitor, .to = to, .period_ns = -1);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -EINVAL);

	CHECK_EQ(xyl_metrics_add_heap(metrics, "heap"), 0);
	first = DRIVE_SPAWN(&driven, xyl_monitor, .to = to, .metrics = metrics);
	drive(&driven, 4);
	task = DRIVE_SPAWN(&driven, xyl_monitor, .to = to, .metrics = metrics);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -EBUSY);
	xyl_abort(first);
	drive_until_done(&driven, first);
	CHECK_EQ(xyl_result(first), 0);
	task = DRIVE_SPAWN(&driven, xyl_monitor, .to = to, .metrics = metrics);
	drive(&driven, 4);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	CHECK_EQ(xyl_runtime_stop(driven.rt, 5 * XYL_SEC), 0); /* closes the handle */
	close(paper.fd);
}

/* ---- readers --------------------------------------------------------------------------------- */

struct tube {
	int read_fd;
	struct xyl_io *io;
	size_t fill; /* bytes of nothing in it */
};

static struct tube tube_make(bool full)
{
	static char nothing[4096];
	struct tube tube = { 0 };
	int fds[2];
	ssize_t n;

	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	CHECK_EQ(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	memset(nothing, '-', sizeof(nothing));
	while (full && (n = write(fds[1], nothing, sizeof(nothing))) > 0)
		tube.fill += (size_t)n;
	tube.read_fd = fds[0];
	tube.io = xyl_io_from_fd(fds[1]);
	CHECK(tube.io != NULL);
	return tube;
}

static size_t tube_len(const struct tube *tube)
{
	int len = 0;

	CHECK_EQ(ioctl(tube->read_fd, FIONREAD, &len), 0);
	return (size_t)len;
}

static void tube_drain(struct tube *tube)
{
	char bytes[4096];

	while (tube->fill > 0) {
		ssize_t n = read(tube->read_fd, bytes,
				 tube->fill < sizeof(bytes) ? tube->fill : sizeof(bytes));

		CHECK(n > 0);
		tube->fill -= (size_t)n;
	}
}

static struct xyl_metrics *one_count(void)
{
	struct xyl_metrics *metrics = xyl_metrics_new();

	counted = 0;
	CHECK_EQ(xyl_metrics_add(metrics, "requests", XYL_COUNT, &counted), 0);
	return metrics;
}

/* Of the count, in all lines that are in it: each is whole. */
static uint64_t tube_sum(const struct tube *tube, struct json *ret_last)
{
	static char text[1 << 16], line[LINE_BYTES];
	ssize_t n = read(tube->read_fd, text, sizeof(text) - 1);
	uint64_t all = 0;

	CHECK(n > 0);
	text[n] = '\0';
	for (char *at = text, *end; *at; at = end + 1) {
		end = strchr(at, '\n');
		CHECK(end != NULL);
		snprintf(line, sizeof(line), "%.*s", (int)(end + 1 - at), at);
		*ret_last = json_read(line);
		line_is_of_the_schema(ret_last);
		if (strcmp(json_text(ret_last, "name"), "requests") == 0)
			all += json_count(ret_last, "delta.value");
	}
	return all;
}

TEST(a_monitor_ends_when_nobody_reads_any_more)
{
	struct driven driven = drive_begin(NULL);
	struct tube tube = tube_make(false);
	struct xyl_task *task;

	close(tube.read_fd);
	task = DRIVE_SPAWN(&driven, xyl_monitor, .to = tube.io, .period_ns = 1,
			   .metrics = one_count());
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -EPIPE);
	drive_end(&driven);
}

/* Aborted in the middle of a write: what it has not said is in the last line. */
TEST(what_an_abort_has_cut_is_in_the_last_line)
{
	struct driven driven = drive_begin(NULL);
	struct tube tube = tube_make(true);
	struct json last;
	struct xyl_task *task = DRIVE_SPAWN(&driven, xyl_monitor, .to = tube.io, .period_ns = 1,
					    .metrics = one_count());

	counted = 2;
	drive(&driven, 8); /* it has looked, and waits for the reader */
	counted = 3;
	drive(&driven, 8);
	xyl_abort(task);
	drive(&driven, 8);
	CHECK(!xyl_is_done(task));
	tube_drain(&tube);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	CHECK_EQ(tube_sum(&tube, &last), 3);
	CHECK(strcmp(json_text(&last, "last"), "true") == 0);
	close(tube.read_fd);
	drive_end(&driven);
}

TEST(a_reader_who_has_stopped_reading_does_not_keep_it_from_ending)
{
	struct driven driven = drive_begin(NULL);
	struct tube tube = tube_make(true);
	struct xyl_task *task = DRIVE_SPAWN(&driven, xyl_monitor, .to = tube.io, .period_ns = 1,
					    .metrics = one_count());

	drive(&driven, 8);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ETIMEDOUT);
	close(tube.read_fd);
	drive_end(&driven);
}

/* ---- missed periods -------------------------------------------------------------------------- */

enum { MISSED = 100 };

struct hog {
	struct xyl_frame frame;
	const struct paper *paper;
	struct xyl_io *to;
	struct xyl_task *monitor;
	int64_t began, *ret_ns;
	ssize_t n;
};

static void hog_the_thread(int64_t ns)
{
	int64_t until = xyli_clock() + ns;

	while (xyli_clock() < until)
		;
}

static xyl_step hog(void *frame)
{
	struct hog *self = frame;

	XYL_BEGIN(self)
	self->to = paper_handle(self->paper);
	self->began = xyl_now();
	self->monitor = xyl_spawn(xyl_monitor, .to = self->to, .period_ns = XYL_MS);
	XYL_AWAIT(self->n, xyl_sleep(2 * XYL_MS));
	hog_the_thread(MISSED * XYL_MS);
	XYL_AWAIT(self->n, xyl_sleep(20 * XYL_MS));
	xyl_abort(self->monitor);
	XYL_AWAIT(self->n, xyl_join(self->monitor));
	*self->ret_ns = xyl_now() - self->began;
	XYL_AWAIT(self->n, xyl_close(self->to));
	XYL_END(0);
}

/* However slow the machine: no line can come while the thread is held. */
TEST(periods_that_were_missed_are_not_made_up_for)
{
	struct paper paper = paper_make();
	struct sums sums;
	int64_t ns;

	CHECK_EQ(RUN(hog, .paper = &paper, .ret_ns = &ns), 0);
	sums = sums_of(&paper, "runtime");
	CHECK((int64_t)sums.lines <= ns / XYL_MS - MISSED + 4);
	close(paper.fd);
}

/* Aborted in the middle of a line: that one is finished first. */
TEST(a_line_that_has_begun_is_finished)
{
	struct driven driven;
	struct tube tube;
	char page[4096];
	struct json last;
	struct xyl_metrics *metrics = one_count();
	struct xyl_task *task;

	test_needs_the_real_ring("a page has gone out at once");
	driven = drive_begin(NULL);
	tube = tube_make(true);
	for (int i = 0; i < 5; i++) { /* more than the page that is free has room for */
		char name[24];

		snprintf(name, sizeof(name), "more-%d", i);
		CHECK_EQ(xyl_metrics_add_runtime(metrics, name, driven.rt), 0);
	}
	CHECK_EQ(read(tube.read_fd, page, sizeof(page)), sizeof(page));
	tube.fill -= sizeof(page);
	task = DRIVE_SPAWN(&driven, xyl_monitor, .to = tube.io, .period_ns = 1, .metrics = metrics);
	counted = 2;
	while (tube_len(&tube) < tube.fill + sizeof(page)) /* until a page of it is in there */
		CHECK(drive(&driven, 1) >= 0);
	counted = 5;
	xyl_abort(task);
	drive(&driven, 10);
	CHECK(!xyl_is_done(task));
	tube_drain(&tube);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	CHECK_EQ(tube_sum(&tube, &last), 5);
	CHECK(strcmp(json_text(&last, "last"), "true") == 0);
	CHECK_EQ(json_count(&last, "line"), 1);
	close(tube.read_fd);
	drive_end(&driven);
}
