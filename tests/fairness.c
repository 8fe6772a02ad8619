/* SPDX-License-Identifier: MIT */
/* Turns, budgets and wakes: everybody gets a turn, and no task gets two for one wake. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/clock.h"
#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

#define HOPELESS \
	(30 * XYL_SEC) /* nobody else has had a turn for so long, collecting at each allocation */

/* ---- the budget, and wakes ------------------------------------------------------ */

TEST(five_tasks_under_a_budget_of_two_take_three_turns)
{
	const struct xyl_config config = { .turn_budget = 2 };
	struct driven driven = drive_begin(&config);

	for (int i = 0; i < 5; i++)
		DRIVE_SPAWN(&driven, give, .value = i);
	CHECK_EQ(drive(&driven, 1), 2);
	CHECK_EQ(drive(&driven, 1), 2);
	CHECK_EQ(drive(&driven, 1), 1);
	CHECK_EQ(drive(&driven, 1), 0);
	drive_end(&driven);
}

struct wake_self {
	struct xyl_frame frame;
	int times;
	ssize_t n;
};

static xyl_step wake_self(void *frame)
{
	struct wake_self *self = frame;

	XYL_BEGIN(self)
	while (self->times-- > 0) {
		XYL_AWAIT(self->n, xyl_yield());
		CHECK_EQ(self->n, 0);
	}
	XYL_END(0);
}

TEST(a_task_that_wakes_itself_three_times_is_resumed_four_times)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, wake_self, .times = 3);

	CHECK_EQ(drive(&driven, 10), 4);
	CHECK(xyl_is_done(task));
	CHECK_EQ(drive_stats(&driven).resumed, 4);
	drive_end(&driven);
}

TEST(a_task_woken_and_aborted_in_one_batch_is_resumed_once)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *future = xyl_future_new();
	struct xyl_task *task = DRIVE_SPAWN(&driven, get, .future = future);

	CHECK_EQ(drive(&driven, 1), 1);
	xyl_future_set(future, 7);
	xyl_abort(task);
	CHECK_EQ(drive(&driven, 3), 1);
	CHECK_EQ(xyl_result(task), 7);
	drive_end(&driven);
}

/* Its entry in the run queue must not outlive the abort. */
TEST(a_task_spawned_behind_one_that_was_woken_and_then_aborted_runs)
{
	const struct xyl_config config = { .turn_budget = 1 };
	struct driven driven = drive_in_order(&config);
	struct xyl_future *future = xyl_future_new();
	struct xyl_task *first = DRIVE_SPAWN(&driven, wake_self, .times = 1);
	struct xyl_task *task = DRIVE_SPAWN(&driven, get, .future = future);
	struct xyl_task *after;

	CHECK_EQ(drive(&driven, 2), 2);
	xyl_future_set(future, 7);
	CHECK_EQ(drive(&driven, 1), 1); /* first; task is on the run queue behind it */
	CHECK(xyl_is_done(first) && !xyl_is_done(task));
	xyl_abort(task);
	after = DRIVE_SPAWN(&driven, give, .value = 5);
	CHECK_EQ(drive(&driven, 5), 2);
	CHECK_EQ(xyl_result(after), 5);
	CHECK(xyl_is_done(task));
	CHECK_EQ(xyl_result(task), 7);
	drive_end(&driven);
}

/* ---- order ------------------------------------------------------------------------------- */

struct trace {
	char text[64];
	size_t used;
};

struct yielder {
	struct xyl_frame frame;
	struct trace *trace;
	char name;
	int times;
	ssize_t n;
};

static xyl_step yielder(void *frame)
{
	struct yielder *self = frame;

	XYL_BEGIN(self)
	while (self->times-- > 0) {
		self->trace->text[self->trace->used++] = self->name;
		XYL_AWAIT(self->n, xyl_yield());
	}
	XYL_END(0);
}

static void take_turns(unsigned budget)
{
	const struct xyl_config config = { .turn_budget = budget };
	struct driven driven = drive_begin(&config);
	struct trace trace = { .used = 0 };

	for (int i = 0; i < 3; i++)
		DRIVE_SPAWN(&driven, yielder, .trace = &trace, .name = (char)('a' + i), .times = 4);
	drive(&driven, 100);
	CHECK_EQ(strcmp(trace.text, "abcabcabcabc"), 0);
	drive_end(&driven);
}

TEST(tasks_that_yield_take_turns_whatever_the_budget)
{
	test_needs_the_real_ring("tasks take turns in order");
	take_turns(1);
	take_turns(2);
	take_turns(64);
}

/* ---- those who never suspend of themselves ------------------------------------------------- */

enum spin_kind {
	SPIN_JOINS,
	SPIN_GETS,
	SPIN_CALLS,
	SPIN_LATERS,
	SPIN_BOUNDS,
	SPIN_YIELDS,
	SPIN_KINDS
};

/* With a collection at every allocation, 64 awaits of two spinners take a second. */
static unsigned bearable(unsigned budget)
{
	const char *collect = getenv("XYL_CHECK_COLLECT");

	return collect && strcmp(collect, "alloc") == 0 && (budget == 0 || budget > 3) ? 3 : budget;
}

struct spin {
	struct xyl_frame frame;
	enum spin_kind kind;
	atomic_bool *stop;
	struct xyl_task *done;
	struct xyl_future *future;
	int64_t until;
	ssize_t n;
};

/* None of its awaits but the last kind's has to wait.  It ignores its abort. */
static xyl_step spin(void *frame)
{
	struct spin *self = frame;

	XYL_BEGIN(self)
	self->until = xyli_clock() + HOPELESS;
	while (!*self->stop && xyli_clock() < self->until) {
		if (self->kind == SPIN_JOINS)
			XYL_AWAIT(self->n, xyl_join(self->done));
		else if (self->kind == SPIN_GETS)
			XYL_AWAIT(self->n, xyl_future_get(self->future));
		else if (self->kind == SPIN_CALLS)
			XYL_AWAIT(self->n, xyl_call(give, .value = 7));
		else if (self->kind == SPIN_LATERS)
			XYL_AWAIT(self->n, xyl_future_get(xyl_later(xyl_join(self->done))));
		else if (self->kind == SPIN_BOUNDS)
			XYL_AWAIT(self->n, xyl_within(xyl_call(give, .value = 7), XYL_SEC));
		else
			XYL_AWAIT(self->n, xyl_yield());
	}
	XYL_END(*self->stop ? 0 : -ETIMEDOUT);
}

struct stopper {
	struct xyl_frame frame;
	atomic_bool *stop;
	int64_t sleep_ns; /* 0: it has only to run */
	ssize_t n;
};

static xyl_step stopper(void *frame)
{
	struct stopper *self = frame;

	XYL_BEGIN(self)
	if (self->sleep_ns)
		XYL_AWAIT(self->n, xyl_sleep(self->sleep_ns));
	*self->stop = true;
	XYL_END(0);
}

static void spin_beside(unsigned budget, enum spin_kind kind, int64_t sleep_ns, bool abort)
{
	const struct xyl_config config = { .turn_budget = bearable(budget) };
	struct driven driven = drive_begin(&config);
	struct xyl_future *future = xyl_future_new();
	struct xyl_task *done = DRIVE_SPAWN(&driven, give, .value = 7), *task;
	atomic_bool stop = false;

	drive(&driven, 1);
	xyl_future_set(future, 7);
	task = DRIVE_SPAWN(&driven, spin, .kind = kind, .stop = &stop, .done = done,
			   .future = future);
	if (abort)
		xyl_abort(task);
	DRIVE_SPAWN(&driven, stopper, .stop = &stop, .sleep_ns = sleep_ns);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	CHECK_EQ(xyl_is_aborted(task), abort);
	drive_end(&driven);
}

static void spin_beside_each(int64_t sleep_ns, bool abort)
{
	const unsigned budgets[] = { 1, 2, 3, 64, 65 };

	for (unsigned i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++)
		for (enum spin_kind kind = 0; kind < SPIN_KINDS; kind++)
			spin_beside(budgets[i], kind, sleep_ns, abort);
}

TEST(awaits_that_need_not_wait_let_the_others_run)
{
	spin_beside_each(0, false);
}

TEST(awaits_that_need_not_wait_let_timers_run)
{
	spin_beside_each(XYL_MS, false);
}

TEST(a_task_that_ignores_its_abort_and_loops_lets_the_others_run)
{
	spin_beside_each(0, true);
	spin_beside_each(XYL_MS, true);
}

struct abort_reaches {
	struct xyl_frame frame;
	struct xyl_task *done;
	int64_t until;
	ssize_t n;
};

static xyl_step abort_reaches(void *frame)
{
	struct abort_reaches *self = frame;

	XYL_BEGIN(self)
	self->until = xyli_clock() + HOPELESS;
	do
		XYL_AWAIT(self->n, xyl_join(self->done));
	while (self->n >= 0 && xyli_clock() < self->until);
	XYL_END(self->n);
}

TEST(an_abort_reaches_a_task_that_never_waits)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *done = DRIVE_SPAWN(&driven, give, .value = 7), *task;

	drive(&driven, 1);
	task = DRIVE_SPAWN(&driven, abort_reaches, .done = done);
	CHECK(drive(&driven, 1) > 1);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	drive_end(&driven);
}

/* ---- I/O is served while tasks spin --------------------------------------------------- */

struct read_and_stop {
	struct xyl_frame frame;
	struct xyl_io *io;
	atomic_bool *stop;
	char buf[16];
	ssize_t n, r;
};

static xyl_step read_and_stop(void *frame)
{
	struct read_and_stop *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read(self->io, self->buf, sizeof(self->buf)));
	*self->stop = true;
	XYL_AWAIT(self->r, xyl_close(self->io));
	XYL_END(self->n);
}

static void read_beside(enum spin_kind kind)
{
	const struct xyl_config config = { .turn_budget = bearable(0) };
	struct driven driven = drive_begin(&config);
	struct xyl_future *future = xyl_future_new();
	struct xyl_task *done = DRIVE_SPAWN(&driven, give, .value = 7), *reader, *spinners[2];
	atomic_bool stop = false;
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	drive(&driven, 1);
	xyl_future_set(future, 7);
	for (int i = 0; i < 2; i++)
		spinners[i] = DRIVE_SPAWN(&driven, spin, .kind = kind, .stop = &stop, .done = done,
					  .future = future);
	reader = DRIVE_SPAWN(&driven, read_and_stop, .io = xyl_io_from_fd(fds[0]), .stop = &stop);
	drive(&driven, 4);
	CHECK_EQ(write(fds[1], "hello", 5), 5);
	for (int i = 0; i < 2; i++) {
		drive_until_done(&driven, spinners[i]);
		CHECK_EQ(xyl_result(spinners[i]), 0);
	}
	drive_until_done(&driven, reader);
	CHECK_EQ(xyl_result(reader), 5);
	close(fds[1]);
	drive_end(&driven);
}

TEST(a_read_completes_beside_two_hot_yielders)
{
	read_beside(SPIN_YIELDS);
}

TEST(a_read_completes_beside_two_tasks_that_never_wait)
{
	for (enum spin_kind kind = 0; kind < SPIN_KINDS; kind++)
		read_beside(kind);
}

/* ---- from another thread --------------------------------------------------------------------- */

/* Attached to nothing: abort needs no more than the task. */
static void *abort_it(void *task)
{
	xyl_abort(task);
	return NULL;
}

struct spin_self {
	struct xyl_frame frame;
	pthread_t *thread;
	int64_t until;
	ssize_t n;
};

static xyl_step spin_self(void *frame)
{
	struct spin_self *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(pthread_create(self->thread, NULL, abort_it, xyl_self()), 0);
	self->until = xyli_clock() + HOPELESS;
	do
		XYL_AWAIT(self->n, xyl_yield());
	while (self->n == 0 && xyli_clock() < self->until);
	pthread_join(*self->thread, NULL);
	XYL_END(self->n);
}

TEST(an_abort_by_another_thread_reaches_a_loop_that_never_sleeps)
{
	pthread_t thread;

	CHECK_EQ(RUN(spin_self, .thread = &thread), -ECANCELED);
}
