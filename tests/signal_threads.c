/* SPDX-License-Identifier: MIT */
/* signal_threads.c - signals that come while threads sleep, drive, and subscribe. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "tests/drive.h"
#include "tests/signals.h"

TEST(errno_is_what_it_was_though_the_bell_is_rung)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct pollfd watched = { .events = POLLIN };
	struct xyl_task *task;

	watched.fd = xyl_runtime_fd(driven.rt);
	task = driven_next(&driven, signals);
	while (poll(&watched, 1, 0) > 0)
		drive(&driven, 1);
	errno = 77;
	raise(SIGUSR1);
	CHECK_EQ(errno, 77);
	CHECK_EQ(poll(&watched, 1, 20000), 1); /* a loop around it is told */
	drive_until_done(&driven, task);
	xyl_signals_close(signals);
	drive_end(&driven);
}

TEST(closing_between_two_drives_wakes_whoever_drives)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct pollfd watched = { .events = POLLIN };
	struct xyl_task *task;

	watched.fd = xyl_runtime_fd(driven.rt);
	task = driven_next(&driven, signals);
	while (poll(&watched, 1, 0) > 0)
		drive(&driven, 1);
	xyl_signals_close(signals);
	CHECK_EQ(poll(&watched, 1, 20000), 1);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	drive_end(&driven);
}

TEST(a_started_runtime_hears_of_a_signal_to_another_thread)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct xyl_task *task;

	CHECK_EQ(xyl_runtime_start(driven.rt), 0);
	for (size_t i = 0; i < test_scaled(200); i++) {
		task = DRIVE_SPAWN(&driven, next, .signals = signals);
		if (test_random() % 2)
			sched_yield();
		raise(SIGUSR1);
		while (!xyl_is_done(task))
			sched_yield();
		CHECK_EQ(xyl_result(task), SIGUSR1);
	}
	drive_end(&driven);
}

struct sender {
	pthread_t to;
	atomic_uint answered; /* by the task */
	size_t rounds;
};

/* TSan runs a handler when the thread next calls something that TSan knows: one that sleeps in the ring
 * may do so for ever.  There, the signals go to the sender alone. */
#if defined(__SANITIZE_THREAD__) || defined(TEST_CLANG_SANITIZER)
#define LATE_HANDLERS true
#else
#define LATE_HANDLERS false
#endif

/* Unknown to the collector, as a thread of some library's would be. */
static void *send_many(void *arg)
{
	struct sender *sender = arg;

	for (size_t i = 0; i < sender->rounds; i++) {
		pthread_kill(i % 2 && !LATE_HANDLERS ? sender->to : pthread_self(), SIGUSR1);
		while (atomic_load(&sender->answered) <= i)
			sched_yield();
	}
	return NULL;
}

struct answer_many {
	struct xyl_frame frame;
	struct xyl_signals *signals;
	struct sender *sender;
	size_t i;
	ssize_t n;
};

static xyl_step answer_many(void *frame)
{
	struct answer_many *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->sender->rounds; self->i++) {
		XYL_AWAIT(self->n, xyl_signals_next(self->signals));
		CHECK_EQ(self->n, SIGUSR1);
		xyl_alloc(64);
		atomic_fetch_add(&self->sender->answered, 1);
	}
	XYL_END(0);
}

/* The loop goes to sleep again and again just as the next one comes. */
TEST(no_signal_is_slept_through)
{
	struct sender sender = { .to = pthread_self(), .rounds = test_scaled(4000) };
	struct xyl_signals *signals = subscribe(SIGUSR1);
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, send_many, &sender), 0);
	CHECK_EQ(RUN(answer_many, .signals = signals, .sender = &sender), 0);
	pthread_join(thread, NULL);
}

static atomic_bool storm_over;

static void *storm(void *arg)
{
	(void)arg;
	while (!atomic_load(&storm_over)) {
		raise(SIGUSR1);
		raise(SIGUSR2);
		sched_yield();
	}
	return NULL;
}

struct open_and_close {
	struct xyl_frame frame;
	struct xyl_signals *signals, *other;
	size_t i, rounds;
	ssize_t n;
};

static xyl_step open_and_close(void *frame)
{
	struct open_and_close *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < self->rounds; self->i++) {
		self->signals = subscribe(SIGUSR1);
		CHECK_EQ(xyl_signals_new(&self->other, (int[]){ SIGUSR1, SIGUSR2 }, 2), 0);
		XYL_AWAIT(self->n, xyl_signals_next(self->signals));
		CHECK_EQ(self->n, SIGUSR1);
		xyl_signals_close(self->signals);
		XYL_AWAIT(self->n, xyl_signals_next(self->other));
		CHECK(self->n == SIGUSR1 || self->n == SIGUSR2);
		if (test_random() % 4)
			xyl_signals_close(self->other); /* else the stop does */
	}
	XYL_END(0);
}

/* A handler is at work on some thread whenever one is closed, and when the runtime stops. */
TEST(subscriptions_come_and_go_in_a_storm_of_signals)
{
	struct sigaction one = action_own(SIGUSR1), two = action_own(SIGUSR2);
	pthread_t threads[2];

	atomic_store(&storm_over, false);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, storm, NULL), 0);
	for (size_t i = 0; i < test_scaled(50); i++)
		CHECK_EQ(RUN(open_and_close, .rounds = 20), 0);
	atomic_store(&storm_over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	action_is_own(SIGUSR1);
	action_is_own(SIGUSR2);
	CHECK_EQ(sigaction(SIGUSR1, &one, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR2, &two, NULL), 0);
}
