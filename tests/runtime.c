/* SPDX-License-Identifier: MIT */
/* The runtime: run, or started on a thread of its own; refused; full; two at once. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { WAIT_MS = 20000 };

static atomic_size_t ran;

struct one {
	struct xyl_frame frame;
	ssize_t value;
};

static xyl_step one(void *frame)
{
	struct one *self = frame;

	XYL_BEGIN(self)
	atomic_fetch_add(&ran, 1);
	XYL_END(self->value);
}

struct sleeper {
	struct xyl_frame frame;
	int64_t ns;
	ssize_t n;
};

static xyl_step sleeper(void *frame)
{
	struct sleeper *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(self->ns));
	atomic_fetch_add(&ran, 1);
	XYL_END(self->n);
}

struct reader {
	struct xyl_frame frame;
	struct xyl_io *io;
	int fd;
	char *buf;
	ssize_t n;
};

static xyl_step reader(void *frame)
{
	struct reader *self = frame;

	XYL_BEGIN(self)
	self->io = xyl_io_from_fd(self->fd);
	self->buf = xyl_alloc_bytes(64);
	XYL_AWAIT(self->n, xyl_read(self->io, self->buf, 64));
	atomic_fetch_add(&ran, 1);
	XYL_END(self->n);
}

/* ---- run ------------------------------------------------------------------------------- */

TEST(run_gives_the_result_of_its_function)
{
	CHECK_EQ(RUN(one, .value = 42), 42);
	CHECK_EQ(RUN(one, .value = 0), 0);
	CHECK_EQ(RUN(one, .value = -EDOM), -EDOM);
	CHECK_EQ(RUN(sleeper, .ns = XYL_MS), 0);
}

struct nested {
	struct xyl_frame frame;
	struct xyl_runtime *rt;
	ssize_t n;
};

static xyl_step nested(void *frame)
{
	struct nested *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(xyl_run(one), -EDEADLK);
	CHECK(xyl_runtime_why()[0] != 0);
	CHECK_EQ(xyl_runtime_stop(xyl_runtime_self(), XYL_SEC), -EDEADLK);
	CHECK(xyl_runtime_drive(xyl_runtime_self(), 1) < 0);
	XYL_AWAIT(self->n, xyl_yield());
	XYL_END(self->n);
}

TEST(a_task_can_neither_run_nor_stop_nor_drive_a_runtime)
{
	atomic_store(&ran, 0);
	CHECK_EQ(RUN(nested), 0);
	CHECK_EQ(atomic_load(&ran), 0);
}

TEST(a_runtime_can_be_run_again_and_again)
{
	for (int i = 0; i < 50; i++)
		CHECK_EQ(RUN(one, .value = i), i);
}

TEST(outside_a_task_there_is_no_runtime_and_no_self)
{
	CHECK(xyl_runtime_self() == NULL);
	CHECK(xyl_self() == NULL);
	CHECK_EQ(xyl_shard_count(), 1);
}

struct spinner {
	struct xyl_frame frame;
	struct xyl_task *task;
	int i;
	ssize_t n;
};

static xyl_step spinner(void *frame)
{
	struct spinner *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < 20; self->i++) {
		self->task = xyl_spawn(sleeper, .ns = 100 * XYL_US);
		XYL_AWAIT(self->n, xyl_join(self->task));
		CHECK_EQ(self->n, 0);
	}
	XYL_END(0);
}

TEST(a_busy_runtime_does_the_same)
{
	struct xyl_config config = { .busy = true };

	CHECK_EQ(RUN_WITH(&config, spinner), 0);
}

/* ---- what is left when the first task ends ------------------------------------------------- */

struct leaves {
	struct xyl_frame frame;
	int ends[2];
	ssize_t n;
};

static xyl_step leaves(void *frame)
{
	struct leaves *self = frame;

	XYL_BEGIN(self)
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->ends) == 0);
	CHECK(xyl_spawn(sleeper, .ns = 3600 * XYL_SEC) != NULL);
	CHECK(xyl_spawn(reader, .fd = self->ends[0]) != NULL);
	CHECK(xyl_io_from_fd(self->ends[1]) != NULL);
	XYL_AWAIT(self->n, xyl_sleep(0));
	XYL_END(5);
}

static void collect_handles(void)
{
	for (int i = 0; i < 4; i++) {
		xyl_collect();
		CHECK_EQ(xyl_run(sleeper, .ns = 0), 0);
	}
}

/* A handle that no operation ever used has no shard: only a collection closes it. */
TEST(tasks_that_are_left_are_aborted_and_their_handles_closed)
{
	size_t fds = test_fd_count();

	atomic_store(&ran, 0);
	CHECK_EQ(xyl_run(leaves), 5);
	CHECK_EQ(atomic_load(&ran), 2); /* they ran to their ends */
	CHECK(test_fd_count() <= fds + 1);
	collect_handles();
}

/* ---- refused ---------------------------------------------------------------------------- */

TEST(a_bad_configuration_is_refused)
{
	struct census before = census_take();
	struct xyl_config shards = { .shards = 2 }, entries = { .ring_entries = 24 };
	struct xyl_runtime *rt = NULL;

	CHECK_EQ(xyl_runtime_new(&rt, &shards), -ENOTSUP);
	CHECK_EQ(xyl_runtime_new(&rt, &entries), -EINVAL);
	CHECK_EQ(xyl_run_with(&shards, one), -ENOTSUP);
	CHECK_EQ(xyl_run_with(&entries, one), -EINVAL);
	CHECK(rt == NULL);
	census_check(&before, NULL);
}

TEST(every_ring_size_that_is_a_power_of_two_is_taken)
{
	for (unsigned entries = 1; entries <= 4096; entries *= 2) {
		struct xyl_config config = { .shards = 1, .ring_entries = entries };

		CHECK_EQ(RUN_WITH(&config, one, .value = 3), 3);
	}
}

/* ---- on a thread of its own ----------------------------------------------------------------- */

TEST(a_started_runtime_runs_what_is_spawned_and_stops)
{
	struct census before = census_take();
	struct xyl_runtime *rt;
	struct xyl_task *tasks[100];

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	CHECK_EQ(xyl_runtime_start(rt), -EBUSY);
	CHECK_EQ(xyl_runtime_drive(rt, 1), -EBUSY);
	CHECK(xyl_runtime_fd(rt) < 0);
	for (int i = 0; i < 100; i++) {
		tasks[i] = xyl_runtime_spawn(rt, XYL_HERE, one, .value = i);
		CHECK(tasks[i] != NULL);
	}
	for (int i = 0; i < 100; i++)
		while (!xyl_is_done(tasks[i]))
			sched_yield();
	for (int i = 0; i < 100; i++)
		CHECK_EQ(xyl_result(tasks[i]), i);
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	CHECK(xyl_runtime_spawn(rt, XYL_HERE, one) == NULL);
	census_check(&before, rt);
}

TEST(start_and_stop_at_once)
{
	struct census before = census_take();

	for (int i = 0; i < 50; i++) {
		struct xyl_runtime *rt;

		CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
		if (i % 3)
			CHECK_EQ(xyl_runtime_start(rt), 0);
		CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
		census_check(&before, rt);
	}
}

/* 8 threads x 10 000 spawns. */
enum { SPAWNERS = 8 };

struct spawning {
	struct xyl_runtime *rt;
	size_t each;
	size_t refused;
	atomic_bool stop;
};

static void *spawn_many(void *arg)
{
	struct spawning *spawning = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (size_t i = 0; i < spawning->each; i++)
		CHECK(xyl_runtime_spawn(spawning->rt, XYL_HERE, one) != NULL);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(eight_threads_spawn_ten_thousand_tasks_each_and_all_run)
{
	struct census before = census_take();
	struct spawning spawning = { .each = test_scaled(10000) };
	pthread_t threads[SPAWNERS];

	atomic_store(&ran, 0);
	CHECK_EQ(xyl_runtime_new(&spawning.rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(spawning.rt), 0);
	for (int i = 0; i < SPAWNERS; i++)
		CHECK(pthread_create(&threads[i], NULL, spawn_many, &spawning) == 0);
	for (int i = 0; i < SPAWNERS; i++)
		pthread_join(threads[i], NULL);
	while (atomic_load(&ran) < SPAWNERS * spawning.each)
		sched_yield();
	CHECK_EQ(xyl_runtime_stop(spawning.rt, 10 * XYL_SEC), 0);
	CHECK_EQ(atomic_load(&ran), SPAWNERS * spawning.each);
	census_check(&before, spawning.rt);
}

/* While it stops, a spawn is refused or its task ends: there is no third. */
struct last_call {
	struct xyl_runtime *rt;
	struct xyl_task *last;
	size_t spawned, done;
};

static void *spawn_until_refused(void *arg)
{
	struct last_call *call = arg;
	struct xyl_task *task;

	CHECK_EQ(xyl_thread_attach(), 0);
	while ((task = xyl_runtime_spawn(call->rt, XYL_HERE, one))) {
		call->last = task;
		call->spawned++;
	}
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(a_spawn_during_the_stop_is_refused_or_comes_to_an_end)
{
	struct census before = census_take();
	size_t rounds = test_scaled(400);

	for (size_t i = 0; i < rounds; i++) {
		struct last_call *call = xyl_new(struct last_call);
		xyl_root root = xyl_root_add(call); /* the thread's pointers are its own */
		pthread_t thread;

		CHECK_EQ(xyl_runtime_new(&call->rt, NULL), 0);
		CHECK_EQ(xyl_runtime_start(call->rt), 0);
		CHECK(pthread_create(&thread, NULL, spawn_until_refused, call) == 0);
		CHECK_EQ(xyl_runtime_stop(call->rt, 10 * XYL_SEC), 0);
		pthread_join(thread, NULL);
		CHECK(!call->last || xyl_is_done(call->last));
		xyl_root_drop(&root);
		census_check(&before, call->rt);
	}
}

struct stopper {
	struct xyl_runtime *rt;
	int result;
};

static void *stop_it(void *arg)
{
	struct stopper *stopper = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	stopper->result = xyl_runtime_stop(stopper->rt, 10 * XYL_SEC);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(several_threads_may_stop_it)
{
	struct census before = census_take();
	struct xyl_runtime *rt;
	struct stopper stoppers[4];
	pthread_t threads[4];

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	CHECK(xyl_runtime_spawn(rt, XYL_HERE, sleeper, .ns = 3600 * XYL_SEC) != NULL);
	for (int i = 0; i < 4; i++) {
		stoppers[i] = (struct stopper){ rt, 1 };
		CHECK(pthread_create(&threads[i], NULL, stop_it, &stoppers[i]) == 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		CHECK_EQ(stoppers[i].result, 0);
	}
	census_check(&before, rt);
}

/* ---- bounded admission -------------------------------------------------------------- */

TEST(beyond_the_task_limit_a_spawn_is_refused)
{
	struct xyl_config config = { .task_limit = 3 };
	struct driven driven = drive_begin(&config);
	struct xyl_task *tasks[3];

	for (int i = 0; i < 3; i++) {
		tasks[i] = DRIVE_SPAWN(&driven, sleeper, .ns = 3600 * XYL_SEC);
		CHECK(tasks[i] != NULL);
	}
	CHECK(DRIVE_SPAWN(&driven, one) == NULL);
	drive(&driven, 2);
	CHECK(DRIVE_SPAWN(&driven, one) == NULL);
	xyl_abort(tasks[1]);
	CHECK(DRIVE_SPAWN(&driven, one) == NULL); /* a request, no more */
	drive(&driven, 2);
	CHECK(xyl_is_done(tasks[1]));
	tasks[1] = DRIVE_SPAWN(&driven, one, .value = 4);
	CHECK(tasks[1] != NULL);
	CHECK(DRIVE_SPAWN(&driven, one) == NULL);
	drive(&driven, 2);
	CHECK_EQ(xyl_result(tasks[1]), 4);
	CHECK_EQ(drive_stats(&driven).live, 2);
	drive_end(&driven);
}

struct limited {
	struct xyl_frame frame;
	struct xyl_task *tasks[8];
	ssize_t n;
};

static xyl_step limited(void *frame)
{
	struct limited *self = frame;

	XYL_BEGIN(self)
	for (int i = 0; i < 8; i++)
		self->tasks[i] = xyl_spawn(sleeper, .ns = 3600 * XYL_SEC);
	for (int i = 0; i < 8; i++) /* it counts itself */
		CHECK((self->tasks[i] != NULL) == (i < 4));
	xyl_abort(self->tasks[0]);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(self->n, -ECANCELED);
	self->tasks[0] = xyl_spawn(one, .value = 6);
	CHECK(self->tasks[0] != NULL);
	CHECK(xyl_spawn(one) == NULL);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	XYL_END(self->n);
}

TEST(a_slot_is_free_again_after_an_abort)
{
	struct xyl_config config = { .task_limit = 5 };

	CHECK_EQ(RUN_WITH(&config, limited), 6);
}

/* ---- two at once ----------------------------------------------------------------------------- */

static void *run_another(void *ret)
{
	CHECK_EQ(xyl_thread_attach(), 0);
	for (int i = 0; i < 10; i++)
		*(ssize_t *)ret += xyl_run(spinner) == 0;
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(two_runtimes_on_two_threads_do_not_know_of_each_other)
{
	struct census before = census_take();
	ssize_t there = 0, here = 0;
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, run_another, &there) == 0);
	for (int i = 0; i < 10; i++)
		here += xyl_run(spinner) == 0;
	pthread_join(thread, NULL);
	CHECK_EQ(here, 10);
	CHECK_EQ(there, 10);
	census_check(&before, NULL);
}

struct both {
	struct xyl_frame frame;
	struct xyl_runtime *other;
	struct xyl_task *task;
	ssize_t n;
};

/* A task of one spawns in the other. */
static xyl_step both(void *frame)
{
	struct both *self = frame;

	XYL_BEGIN(self)
	self->task = xyl_runtime_spawn(self->other, XYL_HERE, one, .value = 33);
	CHECK(self->task != NULL);
	while (!xyl_is_done(self->task))
		XYL_AWAIT(self->n, xyl_sleep(100 * XYL_US));
	XYL_END(xyl_result(self->task));
}

TEST(a_task_may_spawn_in_another_runtime)
{
	struct census before = census_take();
	struct xyl_runtime *rt;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	CHECK_EQ(xyl_run(both, .other = rt), 33);
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	census_check(&before, rt);
}

TEST(a_task_may_not_join_one_of_another_runtime)
{
	struct driven driven = drive_begin(NULL), other = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&other, one, .value = 5);
	struct xyl_task *joiner = DRIVE_SPAWN(&driven, join_task, .task = task);

	CHECK_EQ(drive(&driven, 1), 1);
	CHECK_EQ(xyl_result(joiner), -EXDEV);
	CHECK_EQ(drive(&other, 1), 1);
	joiner = DRIVE_SPAWN(&driven, join_task, .task = task);
	CHECK_EQ(drive(&driven, 1), 1);
	CHECK_EQ(xyl_result(joiner), 5); /* it is over: nobody has to wake anyone */
	drive_end(&other);
	drive_end(&driven);
}

static void *drive_too(void *rt)
{
	int r;

	CHECK_EQ(xyl_thread_attach(), 0);
	r = xyl_runtime_drive(rt, 1);
	CHECK_EQ(xyl_thread_detach(), 0);
	return (void *)(intptr_t)r;
}

TEST(a_runtime_that_one_thread_drives_no_other_may_drive)
{
	struct driven driven = drive_begin(NULL);
	pthread_t thread;
	void *result;

	CHECK_EQ(drive(&driven, 1), 0);
	CHECK_EQ(pthread_create(&thread, NULL, drive_too, driven.rt), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK_EQ((intptr_t)result, -EBUSY);
	CHECK_EQ(drive(&driven, 1), 0);
	drive_end(&driven);
}
