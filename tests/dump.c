/* SPDX-License-Identifier: MIT */
/* xyl_dump_tasks: who waits for what, where, and for how long. */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/clock.h"
#include "spawn/runtime.h"
#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* ---- what it wrote -------------------------------------------------------------------- */

struct paper {
	int fd;
	char text[8192];
};

static void paper_open(struct paper *paper)
{
	paper->fd = memfd_create("dump", MFD_CLOEXEC);
	CHECK(paper->fd >= 0);
}

static const char *paper_read(struct paper *paper)
{
	ssize_t n = pread(paper->fd, paper->text, sizeof(paper->text) - 1, 0);

	CHECK(n >= 0);
	paper->text[n] = 0;
	CHECK_EQ(ftruncate(paper->fd, 0), 0);
	lseek(paper->fd, 0, SEEK_SET);
	return paper->text;
}

static int lines(const char *text)
{
	int count = 0;

	while ((text = strchr(text, '\n')) != NULL) {
		text++;
		count++;
	}
	return count;
}

static void check_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		printf("     not there: %s\n     in:\n%s", part, text);
	CHECK(strstr(text, part) != NULL);
}

/* ---- from between turns ------------------------------------------------------------------ */

struct nap {
	struct xyl_frame frame;
	ssize_t n;
};

static int nap_line;

static xyl_step nap(void *frame)
{
	struct nap *self = frame;

	XYL_BEGIN(self)
	nap_line = __LINE__ + 1;
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	XYL_END(self->n);
}

struct call_nap {
	struct xyl_frame frame;
	ssize_t n;
};

static int call_line;

static xyl_step call_nap(void *frame)
{
	struct call_nap *self = frame;

	XYL_BEGIN(self)
	call_line = __LINE__ + 1;
	XYL_AWAIT(self->n, xyl_call(nap));
	XYL_END(self->n);
}

TEST(each_frame_is_named_with_its_file_and_line_innermost_first)
{
	struct driven driven = drive_begin(NULL);
	struct paper paper;
	char inner[64], outer[64];
	const char *text;

	DRIVE_SPAWN(&driven, call_nap);
	drive(&driven, 1);
	paper_open(&paper);
	CHECK_EQ(xyl_dump_tasks(paper.fd), 1);
	text = paper_read(&paper);
	snprintf(inner, sizeof(inner), " nap  dump.c:%d\n", nap_line);
	snprintf(outer, sizeof(outer), " call_nap  dump.c:%d\n", call_line);
	CHECK_EQ(lines(text), 3);
	check_has(text, " call_nap: sleep for 0.0");
	check_has(text, "root");
	check_has(text, inner);
	check_has(text, outer);
	CHECK(strstr(text, inner) < strstr(text, outer));
	close(paper.fd);
	drive_end(&driven);
}

TEST(a_task_that_has_not_begun_is_told_apart)
{
	const struct xyl_config config = { .turn_budget = 1 };
	struct driven driven = drive_in_order(&config);
	struct paper paper;
	const char *text;

	DRIVE_SPAWN(&driven, nap);
	DRIVE_SPAWN(&driven, call_nap);
	drive(&driven, 1);
	paper_open(&paper);
	CHECK_EQ(xyl_dump_tasks(paper.fd), 2);
	text = paper_read(&paper);
	check_has(text, " nap: sleep");
	check_has(text, " call_nap: is ready");
	check_has(text, "dump.c, not yet begun");
	close(paper.fd);
	drive_end(&driven);
}

TEST(without_tasks_there_is_nothing_to_say)
{
	struct driven driven = drive_begin(NULL);
	struct paper paper;

	paper_open(&paper);
	CHECK_EQ(xyl_dump_tasks(paper.fd), 0);
	CHECK_EQ(lines(paper_read(&paper)), 0);
	close(paper.fd);
	drive_end(&driven);
	CHECK_EQ(xyl_dump_tasks(-1), 0);
}

TEST(an_error_of_the_descriptor_is_told)
{
	struct driven driven = drive_begin(NULL);

	DRIVE_SPAWN(&driven, nap);
	drive(&driven, 1);
	CHECK_EQ(xyl_dump_tasks(-1), -EBADF);
	drive_end(&driven);
}

/* Not before it wakes does the loop look at its clock again. */
TEST(how_long_a_task_has_waited_is_up_to_date)
{
	struct driven driven = drive_begin(NULL);
	int64_t until;
	struct paper paper;
	const char *text;

	DRIVE_SPAWN(&driven, nap);
	drive(&driven, 1);
	until = xyli_clock() + 120 * XYL_MS;
	while (xyli_clock() < until)
		usleep(1000);
	paper_open(&paper);
	CHECK_EQ(xyl_dump_tasks(paper.fd), 1);
	text = strstr(paper_read(&paper), "sleep for ");
	CHECK(text != NULL);
	CHECK(strtod(text + strlen("sleep for "), NULL) >= 0.1);
	close(paper.fd);
	drive_end(&driven);
}

/* ---- what they wait for ---------------------------------------------------------------------- */

struct waits {
	struct xyl_frame frame;
	int how;
	struct xyl_future *future;
	struct xyl_task *task;
	struct xyl_scope *scope;
	struct xyl_io *io;
	char buf[8];
	ssize_t n;
};

static xyl_step waits(void *frame)
{
	struct waits *self = frame;

	XYL_BEGIN(self)
	if (self->how == 0)
		XYL_AWAIT(self->n, xyl_future_get(self->future));
	else if (self->how == 1)
		XYL_AWAIT(self->n, xyl_join(self->task));
	else if (self->how == 2)
		XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	else
		XYL_AWAIT(self->n, xyl_read(self->io, self->buf, sizeof(self->buf)));
	XYL_END(self->n);
}

struct all_waits {
	struct xyl_frame frame;
	int fd, result;
	struct xyl_scope *scope;
	struct xyl_task *task;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_step all_waits(void *frame)
{
	struct all_waits *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->task = xyl_scope_spawn(self->scope, nap);
	xyl_spawn(waits, .how = 0, .future = xyl_future_new());
	xyl_spawn(waits, .how = 1, .task = self->task);
	xyl_spawn(waits, .how = 2, .scope = self->scope);
	xyl_spawn(waits, .how = 3, .io = self->io);
	XYL_AWAIT(self->n, xyl_yield());
	self->result = xyl_dump_tasks(self->fd);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->result);
}

TEST(what_each_waits_for_is_named_and_the_caller_runs)
{
	static struct paper paper;
	const char *text;
	int fds[2];

	test_needs_the_real_ring("all tasks but the last are to wait");
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	paper_open(&paper);
	CHECK_EQ(xyl_run(all_waits, .fd = paper.fd, .io = xyl_io_from_fd(fds[0])), 6);
	text = paper_read(&paper);
	CHECK_EQ(lines(text), 12);
	check_has(text, "all_waits: runs");
	check_has(text, "nap: sleep for");
	check_has(text, "waits: future for");
	check_has(text, "waits: join for");
	check_has(text, "waits: scope join for");
	check_has(text, "waits: re"); /* read, or recv */
	close(paper.fd);
	close(fds[1]);
}

struct shield_and_abort {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step shield_and_abort(void *frame)
{
	struct shield_and_abort *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(LONG_NS), 10 * XYL_MS));
	xyl_shield_end();
	XYL_END(self->n);
}

TEST(that_a_task_is_aborted_and_shielded_is_told)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, shield_and_abort);
	struct paper paper;

	drive(&driven, 1);
	xyl_abort(task);
	drive(&driven, 1);
	paper_open(&paper);
	CHECK_EQ(xyl_dump_tasks(paper.fd), 1);
	check_has(paper_read(&paper), ", aborted, shielded");
	close(paper.fd);
	drive_end(&driven);
}

struct dump_later {
	struct xyl_frame frame;
	int fd, result;
	ssize_t n;
};

static xyl_step dump_later(void *frame)
{
	struct dump_later *self = frame;

	XYL_BEGIN(self)
	CHECK(xyl_later(xyl_call(nap)) != NULL);
	CHECK(xyl_later(xyl_sleep(LONG_NS)) != NULL);
	XYL_AWAIT(self->n, xyl_sleep(0));
	self->result = xyl_dump_tasks(self->fd);
	XYL_END(self->result);
}

TEST(operations_for_later_are_told_too)
{
	static struct paper paper;
	const char *text;

	paper_open(&paper);
	CHECK_EQ(xyl_run(dump_later, .fd = paper.fd), 3);
	text = paper_read(&paper);
	check_has(text, "dump_later: runs");
	check_has(text, " nap  dump.c:");
	CHECK_EQ(lines(text), 7);
	close(paper.fd);
}

/* A dump asks the functions where they are: that must change nothing. */
struct count_steps {
	struct xyl_frame frame;
	int *steps;
	int i;
	ssize_t n;
};

static xyl_step count_steps(void *frame)
{
	struct count_steps *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < 3; self->i++) {
		++*self->steps;
		XYL_AWAIT(self->n, xyl_sleep(0));
		CHECK_EQ(self->n, 0);
	}
	XYL_END(9);
}

TEST(a_dump_changes_nothing)
{
	struct driven driven = drive_begin(NULL);
	struct paper paper;
	int steps = 0;
	struct xyl_task *task = DRIVE_SPAWN(&driven, count_steps, .steps = &steps);

	paper_open(&paper);
	do
		CHECK(xyl_dump_tasks(paper.fd) <= 1);
	while (drive(&driven, 1) > 0 || !xyl_is_done(task));
	CHECK_EQ(steps, 3);
	CHECK_EQ(xyl_result(task), 9);
	close(paper.fd);
	drive_end(&driven);
}

/* ---- from another thread --------------------------------------------------------------------- */

static void await_resumed(const struct xyl_runtime *rt, uint64_t times)
{
	struct xyl_stats stats;

	do {
		sched_yield();
		xyl_runtime_stats(rt, &stats);
	} while (stats.resumed < times);
}

TEST(another_attached_thread_asks_a_shard_that_runs_or_sleeps)
{
	struct census before = census_take();
	struct xyl_runtime *rt;
	struct paper paper;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	paper_open(&paper);
	xyl_runtime_spawn(rt, XYL_HERE, nap);
	xyl_runtime_spawn(rt, XYL_HERE, call_nap);
	await_resumed(rt, 2);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(xyl_dump_tasks(paper.fd), 2);
		check_has(paper_read(&paper), " call_nap  dump.c:");
	}
	while (!atomic_load(&rt->shard->inbox.asleep))
		sched_yield();
	CHECK_EQ(xyl_dump_tasks(paper.fd), 2);
	check_has(paper_read(&paper), " nap  dump.c:");
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	CHECK_EQ(xyl_dump_tasks(paper.fd), 0);
	close(paper.fd);
	census_check(&before, rt);
}

struct hog {
	struct xyl_frame frame;
	atomic_bool *running, *end;
};

static xyl_step hog(void *frame)
{
	struct hog *self = frame;

	XYL_BEGIN(self)
	*self->running = true;
	while (!*self->end)
		;
	XYL_END(0);
}

/* The asker has gone by the time of the answer: its descriptor may be another's by then. */
TEST(a_task_that_keeps_its_shard_from_turning_gives_etimedout_and_no_late_answer)
{
	struct census before = census_take();
	atomic_bool running = false, end = false;
	struct xyl_runtime *rt;
	struct paper paper;
	int64_t start;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	paper_open(&paper);
	xyl_runtime_spawn(rt, XYL_HERE, nap);
	xyl_runtime_spawn(rt, XYL_HERE, hog, .running = &running, .end = &end);
	while (!running)
		sched_yield();
	start = xyli_clock();
	CHECK_EQ(xyl_dump_tasks(paper.fd), -ETIMEDOUT);
	CHECK(xyli_clock() - start >= XYL_SEC / 2);
	end = true;
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	CHECK_EQ(lines(paper_read(&paper)), 0);
	close(paper.fd);
	census_check(&before, rt);
}
