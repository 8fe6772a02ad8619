/* SPDX-License-Identifier: MIT */
/* Threads that the library did not start. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { THREADS = 8 };

static void thread_run(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, fn, arg) == 0);
	pthread_join(thread, NULL);
}

/* ---- the first use, from any thread: each in a process that has not used it yet ----------- */

struct list {
	struct list *next;
	uint64_t value;
};

static void list_check(void)
{
	struct list *list = NULL;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < 1000; i++) {
		struct list *node = xyl_new(struct list);

		*node = (struct list){ list, i };
		list = node;
		if (i % 100 == 0)
			xyl_collect();
	}
	for (; list; list = list->next)
		sum += list->value;
	CHECK_EQ(sum, 499500);
}

static void *use_it(void *unused)
{
	(void)unused;
	list_check();
	CHECK_EQ(xyl_thread_attach(), -EALREADY);
	CHECK_EQ(xyl_run(give, .value = 5), 5);
	list_check();
	return NULL;
}

static void first_use_elsewhere(void *unused)
{
	(void)unused;
	thread_run(use_it, NULL);
	CHECK_EQ(xyl_thread_attach(), 0); /* the main thread was not attached */
	list_check();
	CHECK_EQ(xyl_run(give, .value = 6), 6);
	CHECK_EQ(xyl_thread_detach(), 0);
}

bool test_uses_the_library_first = true;

TEST(the_first_use_may_be_on_a_thread_other_than_the_main_one)
{
	child_succeeds(first_use_elsewhere, NULL);
}

static void *run_only(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_run(give, .value = 5), 5);
	list_check();
	return NULL;
}

static void first_run_elsewhere(void *unused)
{
	(void)unused;
	thread_run(run_only, NULL);
}

TEST(the_first_use_may_be_a_run_on_another_thread)
{
	child_succeeds(first_run_elsewhere, NULL);
}

static void *attach_only(void *unused)
{
	int r = xyl_thread_attach();

	(void)unused;
	CHECK(r == 0 || r == -EALREADY);
	list_check();
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

static void first_attach_elsewhere(void *unused)
{
	(void)unused;
	thread_run(attach_only, NULL);
	CHECK_EQ(xyl_thread_attach(), 0);
	list_check();
}

TEST(the_first_use_may_be_an_attach)
{
	child_succeeds(first_attach_elsewhere, NULL);
}

/* All of them at once. */
static void first_use_by_all(void *unused)
{
	pthread_t threads[THREADS];

	(void)unused;
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, attach_only, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

TEST(the_first_use_may_be_by_many_threads_at_once)
{
	for (int i = 0; i < 5; i++)
		child_succeeds(first_use_by_all, NULL);
}

static void set_and_count(void *unused)
{
	xyl_root root;

	(void)unused;
	CHECK_EQ(xyl_root_count(), 0);
	root = xyl_root_add(&root);
	CHECK(xyl_root_get(root) == &root);
	xyl_root_drop(&root);
}

static void ask_for_stats(void *unused)
{
	struct xyl_gc_stats stats;

	(void)unused;
	xyl_gc_stats(&stats);
	CHECK(stats.heap_bytes > 0);
}

static void make_a_future(void *unused)
{
	struct xyl_future *future = xyl_future_new();

	(void)unused;
	CHECK_EQ(xyl_future_set(future, 3), 0);
	CHECK_EQ(xyl_future_wait(future, -1), 3);
}

static void make_a_weak(void *unused)
{
	(void)unused;
	CHECK(xyl_weak_get(xyl_weak_new(NULL)) == NULL);
}

static void make_a_handle(void *unused)
{
	struct xyl_io *io;

	(void)unused;
	CHECK_EQ(xyl_tcp_listen(&io, "127.0.0.1", "0"), 0);
	CHECK(xyl_io_fd(io) >= 0);
}

static void refuse_a_finalizer(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_on_collect(unused, NULL, NULL), -EINVAL);
}

static void dump_nothing(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_dump_roots(2), 0);
	CHECK_EQ(xyl_dump_tasks(2), 0);
}

TEST(any_part_of_the_library_may_come_first)
{
	child_succeeds(set_and_count, NULL);
	child_succeeds(ask_for_stats, NULL);
	child_succeeds(make_a_future, NULL);
	child_succeeds(make_a_weak, NULL);
	child_succeeds(make_a_handle, NULL);
	child_succeeds(refuse_a_finalizer, NULL);
	child_succeeds(dump_nothing, NULL);
}

/* ---- attach and detach ------------------------------------------------------------------- */

static void *attach_twice(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_detach(), -ESRCH);
	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_thread_attach(), -EALREADY);
	CHECK_EQ(xyl_thread_detach(), 0);
	CHECK_EQ(xyl_thread_detach(), -ESRCH);
	CHECK_EQ(xyl_thread_attach(), 0);
	list_check();
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(a_thread_attaches_once_and_detaches_once)
{
	xyl_collect();
	CHECK_EQ(xyl_thread_attach(), -EALREADY); /* the first call was ours */
	thread_run(attach_twice, NULL);
}

struct detacher {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step detacher(void *frame)
{
	struct detacher *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(xyl_thread_detach(), -EBUSY);
	XYL_AWAIT(self->n, xyl_yield());
	CHECK_EQ(xyl_thread_attach(), -EALREADY);
	XYL_END(0);
}

TEST(a_thread_that_runs_a_shard_cannot_detach)
{
	CHECK_EQ(RUN(detacher), 0);
}

static void *forget_to_detach(void *unused)
{
	(void)unused;
	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK(xyl_alloc(100) != NULL);
	return NULL;
}

/* bdwgc would scan stacks that are gone; the check build could not collect any more. */
TEST(a_thread_that_forgets_is_detached_as_it_exits)
{
	struct xyl_gc_stats before, after;

	xyl_collect(); /* else the first of them would start the collector, and be attached */
	for (int i = 0; i < 20; i++) {
		thread_run(forget_to_detach, NULL);
		xyl_gc_stats(&before);
		xyl_collect();
		xyl_gc_stats(&after);
		CHECK_EQ(after.collections, before.collections + 1);
	}
}

/* ---- the stack of an attached thread is scanned -------------------------------------------- */

static atomic_int stage;

static void stage_reach(int n)
{
	atomic_store(&stage, n);
}

static void stage_await(int n)
{
	while (atomic_load(&stage) < n)
		sched_yield();
}

static void *hold_on_stack(void *arg)
{
	uint64_t *volatile held[16];
	struct xyl_future *future = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (uint64_t i = 0; i < 16; i++) {
		held[i] = xyl_alloc(32);
		*held[i] = i;
	}
	stage_reach(1);
	CHECK_EQ(xyl_future_wait(future, 20 * XYL_SEC), 8);
	for (uint64_t i = 0; i < 16; i++)
		CHECK_EQ(*held[i], i);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

/* It neither delays the collections nor loses what its stack holds. */
TEST(collections_go_on_while_a_thread_waits_for_a_future)
{
	static struct xyl_future *future;
	struct xyl_gc_stats before, after;
	pthread_t thread;

	future = xyl_future_new();
	stage_reach(0);
	CHECK(pthread_create(&thread, NULL, hold_on_stack, future) == 0);
	stage_await(1);
	do { /* until it is parked, the check build cannot */
		xyl_gc_stats(&before);
		xyl_collect();
		xyl_gc_stats(&after);
	} while (after.collections == before.collections);
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 1000; j++)
			memset(xyl_alloc(32), 0xff, 32);
		xyl_collect();
	}
	xyl_gc_stats(&before);
	CHECK(before.collections >=
	      after.collections + 20); /* more, where each allocation collects */
	CHECK_EQ(xyl_future_set(future, 8), 0);
	pthread_join(thread, NULL);
	future = NULL;
}

/* ---- waiting -------------------------------------------------------------------------------- */

TEST(a_future_that_nobody_sets_times_out)
{
	struct xyl_future *future = xyl_future_new();
	int64_t before = xyl_now();

	CHECK_EQ(xyl_future_wait(future, 0), -ETIMEDOUT);
	CHECK_EQ(xyl_future_wait(future, 2 * XYL_MS), -ETIMEDOUT);
	CHECK(xyl_now() - before >= 2 * XYL_MS);
	CHECK_EQ(xyl_future_set(future, 4), 0);
	CHECK_EQ(xyl_future_set(future, 5), -EALREADY);
	CHECK_EQ(xyl_future_wait(future, 0), 4);
	CHECK_EQ(xyl_future_wait(future, -1), 4);
}

static void *set_it(void *arg)
{
	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_future_set(arg, 21), 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(a_thread_may_wait_for_ever)
{
	for (int i = 0; i < 50; i++) {
		static struct xyl_future *future;
		pthread_t thread;

		future = xyl_future_new();
		CHECK(pthread_create(&thread, NULL, set_it, future) == 0);
		CHECK_EQ(xyl_future_wait(future, -1), 21);
		pthread_join(thread, NULL);
	}
}

static void *wait_for_it(void *arg)
{
	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_future_wait(arg, -1), 77);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(many_threads_may_wait_for_one_future)
{
	static struct xyl_future *future;
	pthread_t threads[THREADS];

	future = xyl_future_new();
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, wait_for_it, future) == 0);
	CHECK_EQ(xyl_future_set(future, 77), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static atomic_size_t setters_that_won;

static void *try_to_set(void *arg)
{
	int r;

	CHECK_EQ(xyl_thread_attach(), 0);
	r = xyl_future_set(arg, 1);
	CHECK(r == 0 || r == -EALREADY);
	atomic_fetch_add(&setters_that_won, r == 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(of_many_setters_one_wins)
{
	static struct xyl_future *future;
	pthread_t threads[THREADS];

	for (int round = 0; round < 20; round++) {
		future = xyl_future_new();
		atomic_store(&setters_that_won, 0);
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, try_to_set, future) == 0);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		CHECK_EQ(atomic_load(&setters_that_won), 1);
	}
}

struct waiter {
	struct xyl_frame frame;
	struct xyl_future *future;
	ssize_t n;
};

static xyl_step waiter(void *frame)
{
	struct waiter *self = frame;

	XYL_BEGIN(self)
	self->future = xyl_future_new();
	CHECK_EQ(xyl_future_wait(self->future, 0), -EDEADLK);
	CHECK_EQ(xyl_future_wait(self->future, -1), -EDEADLK);
	xyl_future_set(self->future, 2);
	CHECK_EQ(xyl_future_wait(self->future, -1), -EDEADLK);
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	XYL_END(self->n);
}

TEST(a_task_may_not_block_its_shard)
{
	CHECK_EQ(RUN(waiter), 2);
}

/* ---- abort from a thread that is not attached ------------------------------------------------ */

static void *abort_it(void *task)
{
	for (int i = 0; i < 100; i++)
		xyl_abort(task);
	return NULL;
}

TEST(a_thread_that_is_not_attached_may_abort)
{
	struct census before = census_take();
	struct xyl_runtime *rt;
	struct xyl_stats stats;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	for (int i = 0; i < 50; i++) {
		struct xyl_task *task = xyl_runtime_spawn(rt, XYL_HERE, sleep_for, .ns = LONG_NS);

		thread_run(abort_it, task);
		while (!xyl_is_done(task))
			sched_yield();
		CHECK(xyl_is_aborted(task));
		CHECK_EQ(xyl_result(task), -ECANCELED);
	}
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	xyl_runtime_stats(rt, &stats);
	CHECK_EQ(stats.aborted, 50);
	census_check(&before, rt);
}
