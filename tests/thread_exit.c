/* SPDX-License-Identifier: MIT */
/* A thread ends, and a runtime that it drove by hand is not stopped. */
#include <errno.h>
#include <pthread.h>

#include "gc/bdwgc.h"
#include "tests/child.h"
#include "tests/hand.h"
#include "tests/raw.h"

enum { ROOM = 4096, RUNTIMES = 20 };

static void thread_run(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, fn, arg) == 0);
	pthread_join(thread, NULL);
}

/* ---- a task that waits for the kernel, and cleans up ------------------------------------- */

static int cleaned_up;

struct reader {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	ssize_t n;
};

static xyl_step reader(void *frame)
{
	struct reader *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read(self->io, self->buf, ROOM));
	CHECK_EQ(self->n, -ECANCELED);
	xyl_collect(); /* of a thread that the collector does not know it would be the last */
	XYL_AWAIT(self->n, xyl_close(self->io));
	CHECK_EQ(self->n, 0);
	cleaned_up++;
	XYL_END(0);
}

/* Static variables are scanned: main looks at them when the thread is gone. */
static struct xyl_runtime *runtimes[RUNTIMES];
static int peers[RUNTIMES];

/* Until the kernel has its read. */
static void runtime_park(int i, struct xyl_io *io)
{
	struct xyl_stats stats = { 0 };

	CHECK_EQ(xyl_runtime_new(&runtimes[i], NULL), 0);
	CHECK(xyl_runtime_spawn(runtimes[i], XYL_HERE, reader, .io = io,
				.buf = xyl_alloc_bytes(ROOM)));
	for (; stats.ops_outstanding == 0; xyl_runtime_stats(runtimes[i], &stats))
		CHECK(xyl_runtime_drive(runtimes[i], 1) >= 0);
}

static void park_in_recv(int i)
{
	runtime_park(i, raw_socketpair(&peers[i]));
}

static void park_in_read(int i)
{
	runtime_park(i, raw_pipe_reader(&peers[i]));
}

static void *forget_in_recv(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	park_in_recv(0);
	return NULL;
}

static void *forget_in_read(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	park_in_read(0);
	return NULL;
}

static void *forget_two(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	park_in_recv(0);
	park_in_read(1);
	CHECK(xyl_runtime_drive(runtimes[0], 1) >= 0);
	return NULL;
}

static void *forget_after_detaching(void *unused)
{
	forget_two(unused);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

static void *forget_and_pthread_exit(void *unused)
{
	forget_in_recv(unused);
	pthread_exit(NULL);
}

/* The thread leaves n runtimes behind, and nothing else. */
static void leaves_nothing(void *(*fn)(void *), int n)
{
	struct census before = census_take();

	cleaned_up = 0;
	thread_run(fn, NULL);
	CHECK_EQ(cleaned_up, n);
	for (int i = 0; i < n; i++) {
		close(peers[i]);
		census_check_stats(runtimes[i]);
		CHECK_EQ(xyl_runtime_drive(runtimes[i], 1), -EBUSY); /* it is stopped */
		CHECK_EQ(xyl_runtime_stop(runtimes[i], 0), 0);
		runtimes[i] = NULL;
	}
	census_check(&before, NULL);
}

TEST(a_thread_that_ends_stops_a_runtime_whose_task_waits_in_recv)
{
	xyl_collect(); /* the first use is ours */
	leaves_nothing(forget_in_recv, 1);
}

TEST(a_thread_that_ends_stops_a_runtime_whose_task_reads_a_pipe)
{
	leaves_nothing(forget_in_read, 1);
}

TEST(a_thread_that_ends_stops_each_runtime_it_drove)
{
	leaves_nothing(forget_two, 2);
}

TEST(it_does_so_after_it_has_detached)
{
	leaves_nothing(forget_after_detaching, 2);
}

TEST(it_does_so_when_it_ends_by_pthread_exit)
{
	leaves_nothing(forget_and_pthread_exit, 1);
}

TEST(threads_that_come_and_go_leave_nothing_to_those_that_follow)
{
	for (size_t i = test_scaled(100); i > 0; i--)
		leaves_nothing(i % 2 ? forget_after_detaching : forget_two, 2);
}

/* ---- direct reads: the kernel cannot cancel them -------------------------------------------- */

enum { READS = 32, READ_SIZE = 64 * 1024 };

struct direct {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	ssize_t n;
};

static xyl_step direct(void *frame)
{
	struct direct *self = frame;

	XYL_BEGIN(self)
	do
		XYL_AWAIT(self->n, xyl_read_at(self->io, self->buf, READ_SIZE, 0));
	while (self->n == READ_SIZE);
	CHECK_EQ(self->n, -ECANCELED);
	XYL_END(0);
}

static struct xyl_io *direct_io;
static char *bufs[READS];

static void *forget_direct_reads(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_runtime_new(&runtimes[0], NULL), 0);
	for (int i = 0; i < READS; i++)
		CHECK(xyl_runtime_spawn(runtimes[0], XYL_HERE, direct, .io = direct_io,
					.buf = bufs[i]));
	CHECK(xyl_runtime_drive(runtimes[0], 2) >= READS);
	return NULL;
}

static void bufs_make(void)
{
	for (int i = 0; i < READS; i++) {
		uintptr_t at = (uintptr_t)xyl_alloc_bytes(READ_SIZE + ROOM);

		bufs[i] = (char *)((at + ROOM - 1) & ~(uintptr_t)(ROOM - 1));
	}
}

/* What the kernel wrote from now on it would write over this. */
TEST(once_the_thread_is_gone_the_kernel_writes_nothing)
{
	static char bytes[READ_SIZE];
	struct census before = census_take();
	struct folder folder = folder_make();
	int fd = raw_direct_file(folder.path, bytes, READ_SIZE);

	folder_remove(&folder);
	if (fd < 0)
		SKIP("no O_DIRECT on this file system");
	bufs_make();
	direct_io = raw_handle(fd);
	thread_run(forget_direct_reads, NULL);
	for (int i = 0; i < READS; i++)
		memset(bufs[i], 'm', READ_SIZE);
	census_check(&before, runtimes[0]); /* the handle was closed, too */
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < READS; i++)
			CHECK(bufs[i][0] == 'm' && bufs[i][READ_SIZE - 1] == 'm');
		sched_yield();
	}
	runtimes[0] = NULL;
	direct_io = NULL;
	memset(bufs, 0, sizeof(bufs));
}

/* ---- what is not its business ---------------------------------------------------------------- */

struct one {
	struct xyl_frame frame;
};

static xyl_step one(void *frame)
{
	struct one *self = frame;

	XYL_BEGIN(self)
	XYL_END(1);
}

static void *make_only(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_runtime_new(&runtimes[0], NULL), 0);
	CHECK(xyl_runtime_fd(runtimes[0]) >= 0);
	CHECK(xyl_runtime_spawn(runtimes[0], XYL_HERE, one) != NULL);
	return NULL;
}

TEST(a_runtime_that_was_not_driven_yet_outlives_its_maker)
{
	struct census before = census_take();

	thread_run(make_only, NULL);
	CHECK_EQ(xyl_runtime_drive(runtimes[0], 1), 1);
	CHECK_EQ(xyl_runtime_stop(runtimes[0], XYL_SEC), 0);
	census_check(&before, runtimes[0]);
	runtimes[0] = NULL;
}

static void *start_it(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_runtime_new(&runtimes[0], NULL), 0);
	CHECK_EQ(xyl_runtime_start(runtimes[0]), 0);
	return NULL;
}

TEST(a_started_runtime_outlives_the_thread_that_started_it)
{
	struct census before = census_take();
	static struct xyl_task *task;

	thread_run(start_it, NULL);
	task = xyl_runtime_spawn(runtimes[0], XYL_HERE, one);
	CHECK(task != NULL);
	while (!xyl_is_done(task))
		sched_yield();
	CHECK_EQ(xyl_result(task), 1);
	CHECK_EQ(xyl_runtime_stop(runtimes[0], 10 * XYL_SEC), 0);
	census_check(&before, runtimes[0]);
	runtimes[0] = NULL;
	task = NULL;
}

static struct xyl_weak *stopped[RUNTIMES];

static __attribute__((noinline)) void drive_and_stop(int i)
{
	struct xyl_runtime *rt;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_drive(rt, 1), 0);
	CHECK_EQ(xyl_runtime_stop(rt, XYL_SEC), 0);
	stopped[i] = xyl_weak_new(rt);
}

TEST(a_thread_keeps_no_runtime_that_it_has_stopped)
{
	int gone = 0;

	for (int i = 0; i < RUNTIMES; i++)
		drive_and_stop(i);
	for (int i = 0; i < 3; i++)
		xyl_collect();
	for (int i = 0; i < RUNTIMES; i++)
		gone += xyl_weak_get(stopped[i]) == NULL;
	CHECK(gone > RUNTIMES / 2);
	memset(stopped, 0, sizeof(stopped));
}

/* ---- with the program's own last words ------------------------------------------------------- */

static pthread_key_t own_key;
static int own_stops;

static void own_destructor(void *unused)
{
	(void)unused;
	CHECK(xyl_alloc(100) != NULL); /* it is attached still */
	CHECK(xyl_runtime_drive(runtimes[0], 1) >= 0);
	CHECK_EQ(xyl_runtime_stop(runtimes[0], 5 * XYL_SEC), 0);
	own_stops++;
}

static void *leave_it_to_the_destructor(void *unused)
{
	pthread_setspecific(own_key, &own_key);
	return forget_in_recv(unused);
}

TEST(a_destructor_of_the_programs_own_may_stop_it_before)
{
	own_stops = 0;
	CHECK(pthread_key_create(&own_key, own_destructor) == 0);
	leaves_nothing(leave_it_to_the_destructor, 1);
	CHECK_EQ(own_stops, 1);
	pthread_key_delete(own_key);
}

#ifndef XYL_CHECK
/* bdwgc's own threads leave it before any destructor runs. */
TEST(a_thread_of_bdwgcs_stops_its_runtime_too)
{
	struct census before = census_take();
	struct xyl_gc_stats stats;
	pthread_t thread;

	for (int i = 0; i < 20; i++) {
		cleaned_up = 0;
		CHECK(GC_pthread_create(&thread, NULL, forget_in_recv, NULL) == 0);
		CHECK(GC_pthread_join(thread, NULL) == 0);
		CHECK_EQ(cleaned_up, 1);
		close(peers[0]);
		census_check(&before, runtimes[0]);
		xyl_collect(); /* of no stack that is gone */
	}
	xyl_gc_stats(&stats);
	CHECK(stats.collections >= 20);
	runtimes[0] = NULL;
}
#endif

/* ---- when it cannot be stopped --------------------------------------------------------------- */

struct deaf {
	struct xyl_frame frame;
	bool hears;
	ssize_t n;
};

/* It yields for ever, whatever it is told. */
static xyl_step deaf(void *frame)
{
	struct deaf *self = frame;

	XYL_BEGIN(self)
	do
		XYL_AWAIT(self->n, xyl_yield());
	while (!self->hears);
	XYL_END(0);
}

static void *leave_a_deaf_task(void *unused)
{
	struct xyl_config config = { .quiesce_ns = 20 * XYL_MS };

	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_runtime_new(&runtimes[0], &config), 0);
	CHECK(xyl_runtime_spawn(runtimes[0], XYL_HERE, deaf) != NULL);
	CHECK(xyl_runtime_drive(runtimes[0], 2) > 0);
	return NULL;
}

static void *stop_a_deaf_task_in_vain(void *unused)
{
	leave_a_deaf_task(unused);
	CHECK_EQ(xyl_runtime_stop(runtimes[0], XYL_MS), -ETIMEDOUT);
	return NULL;
}

static void in_a_thread(void *fn)
{
	thread_run((void *(*)(void *))(uintptr_t)fn, NULL);
}

TEST(a_thread_that_leaves_a_task_which_never_ends_aborts_the_program)
{
	child_aborts(
		in_a_thread, (void *)(uintptr_t)leave_a_deaf_task,
		"xylem: xyl_runtime_stop: the thread that drove this runtime ends, and it "
		"does not stop within 0.020 s (tasks left: 1, operations with the kernel: 0)\n");
}

TEST(a_stop_that_failed_is_no_excuse)
{
	child_aborts(in_a_thread, (void *)(uintptr_t)stop_a_deaf_task_in_vain,
		     "xylem: xyl_runtime_stop: the thread that drove this runtime ends");
}

struct leaver {
	struct xyl_frame frame;
};

static xyl_step leaver(void *frame)
{
	struct leaver *self = frame;

	XYL_BEGIN(self)
	pthread_exit(NULL);
	XYL_END(0);
}

static void *run_a_leaver(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	xyl_run(leaver);
	return NULL;
}

static void start_a_leaver(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_runtime_new(&runtimes[0], NULL), 0);
	CHECK_EQ(xyl_runtime_start(runtimes[0]), 0);
	CHECK(xyl_runtime_spawn(runtimes[0], XYL_HERE, leaver) != NULL);
	xyl_runtime_stop(runtimes[0], 10 * XYL_SEC);
}

TEST(a_task_that_ends_its_thread_aborts_the_program)
{
	const char *says = "xylem: pthread_exit: a thread ends inside the runtime that it runs\n";

	child_aborts(in_a_thread, (void *)(uintptr_t)run_a_leaver, says);
	child_aborts(start_a_leaver, NULL, says);
}
