/* SPDX-License-Identifier: MIT */
/* Futures: a result that arrives once; and xyl_later. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/clock.h"
#include "spawn/runtime.h"
#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* ---- set and get ------------------------------------------------------------------------ */

TEST(a_future_is_set_once_and_keeps_its_value)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *future = xyl_future_new();
	struct xyl_task *tasks[3];

	tasks[0] = DRIVE_SPAWN(&driven, get, .future = future);
	tasks[1] = DRIVE_SPAWN(&driven, get, .future = future);
	drive(&driven, 2);
	CHECK(!xyl_is_done(tasks[0]));
	CHECK_EQ(xyl_future_set(future, -EIO), 0);
	CHECK_EQ(xyl_future_set(future, 4), -EALREADY);
	tasks[2] = DRIVE_SPAWN(&driven, get, .future = future);
	drive(&driven, 2);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(xyl_result(tasks[i]), -EIO);
	CHECK_EQ(xyl_future_wait(future, -1), -EIO);
	CHECK_EQ(xyl_future_set(future, 4), -EALREADY);
	drive_end(&driven);
}

struct set_and_get {
	struct xyl_frame frame;
	struct xyl_future *future;
	struct xyl_task *tasks[3];
	ssize_t n;
	int i;
};

static xyl_step set_and_get(void *frame)
{
	struct set_and_get *self = frame;

	XYL_BEGIN(self)
	self->future = xyl_future_new();
	for (self->i = 0; self->i < 3; self->i++)
		self->tasks[self->i] = xyl_spawn(get, .future = self->future);
	XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(self->tasks[1]);
	XYL_AWAIT(self->n, xyl_join(self->tasks[1]));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK_EQ(xyl_future_set(self->future, 6), 0);
	CHECK(!xyl_is_done(self->tasks[0])); /* set does not run them */
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	CHECK_EQ(self->n, 6);
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	CHECK_EQ(self->n, 6);
	XYL_AWAIT(self->n, xyl_join(self->tasks[2]));
	CHECK_EQ(self->n, 6);
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	XYL_END(self->n);
}

TEST(any_number_wait_and_an_aborted_one_leaves_the_rest)
{
	CHECK_EQ(RUN(set_and_get), 6);
}

/* ---- threads ---------------------------------------------------------------------------------- */

TEST(a_thread_waits_for_as_long_as_it_says)
{
	struct xyl_future *future = xyl_future_new();
	int64_t start = xyli_clock();

	CHECK_EQ(xyl_future_wait(future, 0), -ETIMEDOUT);
	CHECK_EQ(xyl_future_wait(future, 2 * XYL_MS), -ETIMEDOUT);
	CHECK(xyli_clock() - start >= 2 * XYL_MS);
	CHECK_EQ(xyl_future_set(future, 3), 0);
	CHECK_EQ(xyl_future_wait(future, 0), 3);
	CHECK_EQ(xyl_future_wait(future, -1), 3);
}

struct wait_in_task {
	struct xyl_frame frame;
};

static xyl_step wait_in_task(void *frame)
{
	struct wait_in_task *self = frame;

	XYL_BEGIN(self)
	XYL_END(xyl_future_wait(xyl_future_new(), -1));
}

TEST(a_task_may_not_block_on_a_future)
{
	CHECK_EQ(RUN(wait_in_task), -EDEADLK);
}

enum { FUTURES = 64, SETTERS = 4 };

struct setters {
	struct xyl_future **futures;
	atomic_int *wins;
	unsigned start;
};

/* Each tries to set all of them. */
static void *set_all(void *arg)
{
	struct setters *setters = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (unsigned i = 0; i < FUTURES; i++) {
		unsigned k = (i + setters->start) % FUTURES;
		int r = xyl_future_set(setters->futures[k], (ssize_t)k);

		CHECK(r == 0 || r == -EALREADY);
		atomic_fetch_add(setters->wins, r == 0);
	}
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

/* Tasks wait for half of them; the main thread for all. */
TEST(of_many_threads_that_set_a_future_one_wins_and_no_wake_is_lost)
{
	struct census before = census_take();
	struct setters setters[SETTERS];
	struct xyl_future **futures = xyl_alloc(FUTURES * sizeof(struct xyl_future *));
	struct xyl_task *tasks[FUTURES / 2];
	pthread_t threads[SETTERS];
	atomic_int wins = 0;
	struct xyl_runtime *rt;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	for (int i = 0; i < FUTURES; i++)
		futures[i] = xyl_future_new();
	for (int i = 0; i < FUTURES / 2; i++)
		tasks[i] = xyl_runtime_spawn(rt, XYL_HERE, get, .future = futures[2 * i]);
	for (unsigned i = 0; i < SETTERS; i++) {
		setters[i] = (struct setters){ futures, &wins, i * FUTURES / SETTERS };
		CHECK_EQ(pthread_create(&threads[i], NULL, set_all, &setters[i]), 0);
	}
	for (int i = 0; i < FUTURES; i++)
		CHECK_EQ(xyl_future_wait(futures[i], -1), i);
	for (int i = 0; i < SETTERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(wins, FUTURES);
	for (int i = 0; i < FUTURES / 2; i++) {
		while (!xyl_is_done(tasks[i]))
			sched_yield();
		CHECK_EQ(xyl_result(tasks[i]), 2 * i);
	}
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	census_check(&before, rt);
}

struct ping_pong {
	struct xyl_frame frame;
	struct xyl_future **there, **back;
	size_t rounds, i;
	ssize_t n;
};

static xyl_step ping_pong(void *frame)
{
	struct ping_pong *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->rounds; self->i++) {
		XYL_AWAIT(self->n, xyl_future_get(self->there[self->i]));
		CHECK_EQ(self->n, self->i);
		CHECK_EQ(xyl_future_set(self->back[self->i], self->n + 1), 0);
	}
	XYL_END(0);
}

/* The shard goes to sleep in most rounds, or is about to. */
TEST(a_thread_and_a_task_wake_each_other_in_turns)
{
	struct census before = census_take();
	size_t rounds = test_scaled(2000);
	struct xyl_future **there = xyl_alloc(rounds * sizeof(struct xyl_future *));
	struct xyl_future **back = xyl_alloc(rounds * sizeof(struct xyl_future *));
	struct xyl_runtime *rt;
	struct xyl_task *task;

	for (size_t i = 0; i < rounds; i++) {
		there[i] = xyl_future_new();
		back[i] = xyl_future_new();
	}
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	task = xyl_runtime_spawn(rt, XYL_HERE, ping_pong, .there = there, .back = back,
				 .rounds = rounds);
	for (size_t i = 0; i < rounds; i++) {
		CHECK_EQ(xyl_future_set(there[i], (ssize_t)i), 0);
		CHECK_EQ(xyl_future_wait(back[i], -1), i + 1);
	}
	while (!xyl_is_done(task))
		sched_yield();
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	census_check(&before, rt);
}

/* ---- later ------------------------------------------------------------------------------------------ */

struct give_later {
	struct xyl_frame frame;
	ssize_t value;
	int64_t ns;
	int *marked;
	ssize_t n;
};

static xyl_step give_later(void *frame)
{
	struct give_later *self = frame;

	XYL_BEGIN(self)
	if (self->marked)
		++*self->marked;
	if (self->ns)
		XYL_AWAIT(self->n, xyl_sleep(self->ns));
	XYL_END(self->n < 0 ? self->n : self->value);
}

#define LATER_FRAME(name)                                \
	struct name {                                    \
		struct xyl_frame frame;                  \
		struct xyl_future *later, *other, *gate; \
		struct xyl_task *task;                   \
		struct xyl_scope *scope;                 \
		struct xyl_io *io;                       \
		struct xyl_stats stats;                  \
		char *buf;                               \
		int *marked;                             \
		int i, peer;                             \
		ssize_t n;                               \
	};                                               \
	static xyl_step name(void *frame)

LATER_FRAME(later_call)
{
	struct later_call *self = frame;

	XYL_BEGIN(self)
	self->later = xyl_later(xyl_call(give_later, .value = 5, .marked = self->marked));
	CHECK(self->later != NULL);
	CHECK_EQ(*self->marked, 0); /* it has not begun */
	self->other =
		xyl_later(xyl_call(give_later, .value = 6, .ns = XYL_MS, .marked = self->marked));
	XYL_AWAIT(self->n, xyl_yield());
	CHECK_EQ(*self->marked, 2);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 5);
	XYL_AWAIT(self->n, xyl_call(give_later, .value = 7));
	CHECK_EQ(self->n, 7);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	XYL_END(self->n);
}

TEST(a_call_for_later_runs_beside_its_caller)
{
	int marked = 0;

	CHECK_EQ(RUN(later_call, .marked = &marked), 6);
}

LATER_FRAME(later_sleep)
{
	struct later_sleep *self = frame;

	XYL_BEGIN(self)
	self->later = xyl_later(xyl_sleep(2 * XYL_MS));
	self->other = xyl_later(xyl_sleep(LONG_NS));
	XYL_AWAIT(self->n, xyl_sleep(0));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_within(xyl_future_get(self->other), 5 * XYL_MS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	XYL_END(self->n);
}

/* The other one ends with the runtime. */
TEST(a_sleep_for_later_goes_on_without_its_caller)
{
	CHECK_EQ(RUN(later_sleep), 0);
}

LATER_FRAME(later_waits)
{
	struct later_waits *self = frame;

	XYL_BEGIN(self)
	self->gate = xyl_future_new();
	self->scope = xyl_scope_new(NULL);
	self->task = xyl_scope_spawn(self->scope, give_later, .value = 3, .ns = XYL_MS);
	self->later = xyl_later(xyl_join(self->task));
	self->other = xyl_later(xyl_join(self->task));
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(self->n, 3);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 3);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, 3);

	self->later = xyl_later(xyl_future_get(self->gate));
	self->other = xyl_later(xyl_future_get(self->gate));
	xyl_future_set(self->gate, 4);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 4);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, 4);

	self->task = xyl_scope_spawn(self->scope, give_later, .ns = LONG_NS);
	self->later = xyl_later(xyl_scope_join(self->scope));
	self->other = xyl_later(xyl_scope_close(self->scope));
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_END(0);
}

TEST(joins_futures_and_scopes_can_be_waited_for_later)
{
	CHECK_EQ(RUN(later_waits), 0);
}

LATER_FRAME(later_bounds)
{
	struct later_bounds *self = frame;

	XYL_BEGIN(self)
	self->later = xyl_later(xyl_within(xyl_sleep(LONG_NS), XYL_MS));
	self->other =
		xyl_later(xyl_within(xyl_call(give_later, .value = 2, .ns = LONG_NS), XYL_MS));
	XYL_AWAIT(self->n, xyl_sleep(4 * XYL_MS)); /* the bounds went with them */
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, -ETIMEDOUT);

	self->later = xyl_later(xyl_within(xyl_within(xyl_sleep(1), LONG_NS), LONG_NS));
	self->other = xyl_later(xyl_within(xyl_call(give_later, .value = 2, .ns = 1), LONG_NS));
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	CHECK_EQ(self->n, 2);
	CHECK_EQ(xyl_runtime_self()->shard->timers.count, 0);
	XYL_END(0);
}

TEST(a_bounded_operation_for_later_keeps_its_bound)
{
	CHECK_EQ(RUN(later_bounds), 0);
}

LATER_FRAME(later_in_bound)
{
	struct later_in_bound *self = frame;

	XYL_BEGIN(self)
	self->later = xyl_later(xyl_call(give_later, .value = 2, .ns = 4 * XYL_MS));
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	CHECK_EQ(self->n, -ECANCELED);
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	xyl_shield_end();
	CHECK_EQ(self->n, 2);
	XYL_END(8);
}

LATER_FRAME(bound_later)
{
	struct bound_later *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_call(later_in_bound), XYL_MS));
	XYL_END(self->n);
}

TEST(a_bound_around_the_caller_does_not_reach_what_it_left_for_later)
{
	CHECK_EQ(RUN(bound_later), -ETIMEDOUT);
}

TEST(an_abort_of_the_caller_does_not_reach_what_it_left_for_later)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, later_in_bound);

	drive(&driven, 1);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 8);
	drive_end(&driven);
}

/* Each result is known at once; now and then the task is to be suspended all the same. */
LATER_FRAME(later_done)
{
	struct later_done *self = frame;

	XYL_BEGIN(self)
	self->task = xyl_spawn(give_later, .value = 3);
	XYL_AWAIT(self->n, xyl_join(self->task));
	for (self->i = 0; self->i < 300; self->i++) {
		self->later = xyl_later(xyl_join(self->task));
		self->other = xyl_later(xyl_within(xyl_join(self->task), 0));
		if (self->i % 3 == 0) {
			XYL_AWAIT(self->n, xyl_future_get(self->later));
			CHECK_EQ(self->n, 3);
		}
		XYL_AWAIT(self->n, xyl_future_get(self->other));
		CHECK_EQ(self->n, 3);
	}
	self->later = xyl_later(xyl_yield());
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 0);
	xyl_runtime_stats(xyl_runtime_self(), &self->stats);
	CHECK_EQ(self->stats.spawned, 2); /* none of this needed a task */
	XYL_END(0);
}

TEST(what_is_known_at_once_is_not_handed_to_a_task)
{
	CHECK_EQ(RUN(later_done), 0);
}

LATER_FRAME(later_aborted)
{
	struct later_aborted *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	self->later = xyl_later(xyl_sleep(LONG_NS));
	CHECK(self->later != NULL);
	CHECK_EQ(xyl_future_set(self->later, 1), -EALREADY);
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	xyl_shield_end();
	XYL_END(self->n);
}

TEST(in_an_aborted_task_later_gives_ecanceled)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, later_aborted);

	drive(&driven, 1);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	drive_end(&driven);
}

LATER_FRAME(later_read)
{
	struct later_read *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(16);
	self->later = xyl_later(xyl_read(self->io, self->buf, 16));
	XYL_AWAIT(self->n, xyl_within(xyl_future_get(self->later), XYL_MS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK_EQ(write(self->peer, "hello", 5), 5);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, 5);
	CHECK_EQ(memcmp(self->buf, "hello", 5), 0);

	self->later = xyl_later(xyl_read(self->io, self->buf, 16));
	self->other = xyl_later(xyl_close(self->io));
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	XYL_END(self->n);
}

TEST(a_read_and_a_close_for_later)
{
	size_t fds_before = test_fd_count();
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CHECK_EQ(xyl_run(later_read, .io = xyl_io_from_fd(fds[0]), .peer = fds[1]), 0);
	close(fds[1]);
	CHECK_EQ(test_fd_count(), fds_before);
}

LATER_FRAME(later_forgotten)
{
	struct later_forgotten *self = frame;

	XYL_BEGIN(self)
	CHECK(xyl_later(xyl_call(give_later, .value = 1, .ns = XYL_MS, .marked = self->marked)) !=
	      NULL);
	CHECK(xyl_later(xyl_call(give_later, .value = 1, .ns = LONG_NS, .marked = self->marked)) !=
	      NULL);
	for (self->i = 0; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
		xyl_collect();
	}
	xyl_runtime_stats(xyl_runtime_self(), &self->stats);
	XYL_END((ssize_t)self->stats.live);
}

/* Its future may be forgotten: it runs on, and ends with the runtime at the latest. */
TEST(what_is_left_for_later_runs_on_though_nobody_holds_its_future)
{
	int marked = 0;

	CHECK_EQ(RUN(later_forgotten, .marked = &marked), 2);
	CHECK_EQ(marked, 2);
}

/* A caller that ends first takes nothing away from what it left. */
struct leave {
	struct xyl_frame frame;
	struct xyl_future **ret_later;
};

static xyl_step leave(void *frame)
{
	struct leave *self = frame;

	XYL_BEGIN(self)
	self->ret_later[0] = xyl_later(xyl_sleep(XYL_MS));
	self->ret_later[1] = xyl_later(xyl_call(give_later, .value = 9, .ns = XYL_MS));
	XYL_END(0);
}

LATER_FRAME(left)
{
	struct left *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc(2 * sizeof(struct xyl_future *));
	XYL_AWAIT(self->n, xyl_join(xyl_spawn(leave, .ret_later = (void *)self->buf)));
	xyl_collect();
	XYL_AWAIT(self->n, xyl_future_get(((struct xyl_future **)(void *)self->buf)[0]));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_future_get(((struct xyl_future **)(void *)self->buf)[1]));
	XYL_END(self->n);
}

TEST(what_is_left_for_later_outlives_the_task_that_left_it)
{
	CHECK_EQ(RUN(left), 9);
}

LATER_FRAME(later_in_stop)
{
	struct later_in_stop *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	xyl_shield_begin();
	self->later = xyl_later(xyl_sleep(LONG_NS));
	self->other = xyl_later(xyl_call(give_later, .value = 1, .ns = LONG_NS));
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	*self->marked = self->n == -ECANCELED;
	XYL_AWAIT(self->n, xyl_future_get(self->other));
	*self->marked += self->n == -ECANCELED;
	xyl_shield_end();
	XYL_END(0);
}

TEST(what_is_left_for_later_in_a_runtime_that_stops_is_aborted)
{
	struct driven driven = drive_begin(NULL);
	int marked = 0;

	DRIVE_SPAWN(&driven, later_in_stop, .marked = &marked);
	drive(&driven, 1);
	drive_end(&driven);
	CHECK_EQ(marked, 2);
}

/* ---- misuse ---------------------------------------------------------------------------------------------- */

static void later_outside(void *unused)
{
	(void)unused;
	xyl_later((xyl_pending){ 0 });
}

static void get_outside(void *unused)
{
	xyl_pending pending = xyl_future_get(xyl_future_new());

	(void)unused;
	(void)pending;
}

TEST(later_and_get_outside_a_task_are_named)
{
	child_aborts(later_outside, NULL, "xyl_later: called outside a task");
	child_aborts(get_outside, NULL, "xyl_future_get: called outside a task");
}
