/* SPDX-License-Identifier: MIT */
/* A runtime's clock, held still and moved. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/asyncs.h"
#include "tests/bounds.h"
#include "tests/hand.h"
#include "tests/held.h"

/* ---- driven by hand ---------------------------------------------------------------------- */

static struct driven held_begin(void)
{
	struct driven driven = drive_begin(NULL);

	CHECK_EQ(xyl_clock_hold(driven.rt), 0);
	return driven;
}

static void turn_until_timers(const struct driven *driven, uint32_t count)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	while (driven->rt->shard->timers.count != count) {
		hand_turn(driven);
		CHECK(xyli_clock() < until);
	}
}

TEST(a_sleep_lasts_until_the_clock_is_moved_to_its_end)
{
	struct driven driven = held_begin();
	struct xyl_task *task = DRIVE_SPAWN(&driven, sleep_for, .ns = XYL_SEC);

	turn_until_timers(&driven, 1);
	CHECK_EQ(xyl_clock_move(driven.rt, XYL_SEC - 1), 0);
	hand_turns(&driven, 5);
	CHECK(!xyl_is_done(task));
	CHECK_EQ(xyl_clock_move(driven.rt, 1), 0);
	CHECK_EQ(hand_join(&driven, task), 0);
	drive_end(&driven);
}

/* It is over by the real clock. */
TEST(a_sleep_does_not_end_while_the_clock_is_held)
{
	struct driven driven = held_begin();
	struct xyl_task *task = DRIVE_SPAWN(&driven, sleep_for, .ns = XYL_US);

	turn_until_timers(&driven, 1);
	pass_time(XYL_MS);
	hand_turns(&driven, 20);
	CHECK(!xyl_is_done(task));
	CHECK_EQ(xyl_clock_release(driven.rt), 0);
	CHECK_EQ(hand_join(&driven, task), 0);
	drive_end(&driven);
}

TEST(an_aborted_sleeper_leaves_no_timer_on_a_held_clock)
{
	struct driven driven = held_begin();
	struct xyl_task *task = DRIVE_SPAWN(&driven, sleep_for, .ns = XYL_SEC);

	turn_until_timers(&driven, 1);
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	CHECK_EQ(driven.rt->shard->timers.count, 0);
	drive_end(&driven);
}

TEST(who_sleeps_for_ever_sleeps_on_at_the_end_of_time)
{
	struct driven driven = held_begin();
	struct xyl_task *forever = DRIVE_SPAWN(&driven, sleep_for, .ns = INT64_MAX);
	struct xyl_task *long_task = DRIVE_SPAWN(&driven, sleep_for, .ns = INT64_MAX / 2);

	turn_until_timers(&driven, 2);
	CHECK_EQ(xyl_clock_move(driven.rt, INT64_MAX), 0);
	CHECK_EQ(xyl_clock_move(driven.rt, INT64_MAX), 0);
	CHECK_EQ(hand_join(&driven, long_task), 0);
	CHECK_EQ(xyl_clock_release(driven.rt), 0);
	hand_turns(&driven, 5);
	CHECK(!xyl_is_done(forever));
	drive_end(&driven);
}

TEST(a_clock_that_is_not_held_is_moved_too)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, sleep_for, .ns = LONG_NS);

	turn_until_timers(&driven, 1);
	CHECK_EQ(xyl_clock_move(driven.rt, LONG_NS), 0);
	CHECK_EQ(hand_join(&driven, task), 0);
	task = DRIVE_SPAWN(&driven, sleep_for, .ns = XYL_MS);
	CHECK_EQ(hand_join(&driven, task), 0);
	drive_end(&driven);
}

TEST(a_clock_does_not_go_back_nor_after_its_runtime)
{
	struct driven driven = held_begin();

	CHECK_EQ(xyl_clock_move(driven.rt, -1), -EINVAL);
	CHECK_EQ(xyl_clock_move(driven.rt, 0), 0);
	drive_end(&driven);
	CHECK_EQ(xyl_clock_hold(driven.rt), -EINVAL);
	CHECK_EQ(xyl_clock_move(driven.rt, 1), -EINVAL);
	CHECK_EQ(xyl_clock_release(driven.rt), -EINVAL);
}

/* ---- its descriptor ---------------------------------------------------------------------- */

static bool is_readable(const struct driven *driven, int wait_ms)
{
	struct pollfd pollfd = { .fd = xyl_runtime_fd(driven->rt), .events = POLLIN };

	CHECK(pollfd.fd >= 0);
	return poll(&pollfd, 1, wait_ms) == 1;
}

static void poll_until_done(const struct driven *driven, const struct xyl_task *task)
{
	while (!xyl_is_done(task)) {
		CHECK(is_readable(driven, 20000));
		hand_turn(driven);
	}
}

TEST(a_moved_clock_makes_the_runtime_readable_and_a_held_one_does_not)
{
	struct driven driven = held_begin();
	struct xyl_task *task;

	CHECK(xyl_runtime_fd(driven.rt) >= 0);
	task = DRIVE_SPAWN(&driven, sleep_for, .ns = XYL_MS);
	turn_until_timers(&driven, 1);
	while (is_readable(&driven, 0))
		hand_turn(&driven);
	CHECK(!is_readable(&driven, 10));
	CHECK_EQ(xyl_clock_move(driven.rt, XYL_MS), 0);
	poll_until_done(&driven, task);
	task = DRIVE_SPAWN(&driven, sleep_for, .ns = XYL_MS);
	turn_until_timers(&driven, 1);
	CHECK_EQ(xyl_clock_release(driven.rt), 0);
	poll_until_done(&driven, task);
	drive_end(&driven);
}

/* ---- from a task ------------------------------------------------------------------------- */

struct look {
	struct xyl_frame frame;
	int64_t began;
	ssize_t n;
};

static xyl_step look(void *frame)
{
	struct look *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->began = xyl_now();
	pass_time(XYL_MS);
	XYL_AWAIT(self->n, xyl_yield());
	CHECK_EQ(xyl_now(), self->began);
	clock_hold_here();
	CHECK_EQ(xyl_now(), self->began);
	clock_move_here(XYL_SEC);
	CHECK_EQ(xyl_now(), self->began + XYL_SEC);
	XYL_AWAIT(self->n, xyl_yield());
	CHECK_EQ(xyl_now(), self->began + XYL_SEC);
	XYL_END(0);
}

TEST(a_held_clock_stands_and_shows_at_once_that_it_was_moved)
{
	CHECK_EQ(RUN(look), 0);
}

struct let_go {
	struct xyl_frame frame;
	int64_t began;
	ssize_t n;
};

static xyl_step let_go(void *frame)
{
	struct let_go *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	clock_move_here(LONG_NS);
	self->began = xyl_now();
	pass_time(XYL_MS);
	CHECK_EQ(xyl_clock_release(xyl_runtime_self()), 0);
	CHECK(xyl_now() >= self->began && xyl_now() < self->began + LONG_NS);
	self->began = xyl_now();
	XYL_AWAIT(self->n, xyl_sleep(2 * XYL_MS));
	CHECK(xyl_now() >= self->began + 2 * XYL_MS);
	XYL_AWAIT(self->n, xyl_sleep_until(xyl_now() + XYL_MS));
	CHECK(xyl_now() >= self->began + 3 * XYL_MS);
	CHECK(xyl_now() < self->began + LONG_NS);
	clock_hold_here();
	CHECK(xyl_now() >= self->began + 3 * XYL_MS);
	XYL_END(0);
}

TEST(a_clock_that_is_released_goes_on_from_where_it_stood)
{
	CHECK_EQ(RUN(let_go), 0);
}

struct bounded {
	struct xyl_frame frame;
	int64_t began;
	ssize_t n;
};

static xyl_step bounded(void *frame)
{
	struct bounded *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	clock_move_here(LONG_NS); /* far from the real one */
	self->began = xyl_now();
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(LONG_NS), 0));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK_EQ(xyl_now(), self->began);
	xyl_spawn(move_clock, .ns = XYL_SEC - 1);
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(XYL_SEC - 1), XYL_SEC));
	CHECK_EQ(self->n, 0);
	xyl_spawn(move_clock, .ns = XYL_SEC);
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(XYL_SEC + 1), XYL_SEC));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK_EQ(xyl_now(), self->began + 2 * XYL_SEC - 1);
	CHECK_EQ(timers_here(), 0);
	XYL_END(0);
}

TEST(a_bound_passes_when_the_clock_is_moved_to_it)
{
	CHECK_EQ(RUN(bounded), 0);
}

struct choose {
	struct xyl_frame frame;
	struct xyl_chan *silent;
	ssize_t n;
};

static xyl_step choose(void *frame)
{
	struct choose *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	clock_move_here(LONG_NS);
	self->silent = xyl_chan_new(sizeof(int), 0);
	xyl_spawn(move_clock, .ns = XYL_SEC - 1);
	XYL_AWAIT(self->n,
		  xyl_within(xyl_select(xyl_on_recv(self->silent, NULL), xyl_on_timeout(XYL_SEC)),
			     XYL_SEC - 1));
	CHECK_EQ(self->n, -ETIMEDOUT);
	xyl_spawn(move_clock, .ns = XYL_SEC);
	XYL_AWAIT(self->n, xyl_select(xyl_on_recv(self->silent, NULL), xyl_on_timeout(XYL_SEC)));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(timers_here(), 0);
	XYL_END(0);
}

TEST(a_select_times_out_when_the_clock_is_moved_to_it)
{
	CHECK_EQ(RUN(choose), 0);
}

/* ---- what does not go by it -------------------------------------------------------------- */

/* A descriptor that the kernel makes readable, by its own clock. */
static int alarm_in(int64_t ns)
{
	struct itimerspec spec = { .it_value = { .tv_nsec = (long)ns } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(timerfd_settime(fd, 0, &spec, NULL), 0);
	return fd;
}

struct count_turns {
	struct xyl_frame frame;
	struct xyl_task *sleeper;
	struct xyl_stats before, after;
	int first, second;
	ssize_t n;
};

/* The sleeper's time is over, by the real clock, all the while. */
static xyl_step count_turns(void *frame)
{
	struct count_turns *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->sleeper = xyl_spawn(sleep_for, .ns = XYL_US);
	self->first = alarm_in(XYL_MS);
	XYL_AWAIT(self->n, xyl_poll(self->first, POLLIN));
	CHECK_EQ(self->n, POLLIN);
	self->second = alarm_in(20 * XYL_MS);
	xyl_runtime_stats(xyl_runtime_self(), &self->before);
	XYL_AWAIT(self->n, xyl_poll(self->second, POLLIN));
	xyl_runtime_stats(xyl_runtime_self(), &self->after);
	CHECK_EQ(self->n, POLLIN);
	CHECK(!xyl_is_done(self->sleeper));
	CHECK_EQ(xyl_clock_release(xyl_runtime_self()), 0);
	XYL_AWAIT(self->n, xyl_join(self->sleeper));
	CHECK_EQ(self->n, 0);
	close(self->first);
	close(self->second);
	XYL_END((ssize_t)(self->after.turns - self->before.turns));
}

TEST(the_loop_waits_for_the_kernel_and_does_not_turn_while_its_clock_is_held)
{
	test_needs_the_real_ring("turns are counted, and a hostile ring makes some for nothing");
	CHECK(RUN(count_turns) <= 8);
}

struct tidy_up {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step tidy_up(void *frame)
{
	struct tidy_up *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	CHECK_EQ(self->n, -ECANCELED);
	xyl_shield_begin();
	clock_hold_here();
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
	xyl_shield_end();
	CHECK_EQ(self->n, 0);
	XYL_END(0);
}

struct leave_held {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step leave_held(void *frame)
{
	struct leave_held *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	xyl_spawn(tidy_up);
	XYL_AWAIT(self->n, xyl_yield());
	XYL_END(7);
}

/* It would be -ETIMEDOUT: cleanup sleeps. */
TEST(a_stop_lets_go_of_the_clock)
{
	CHECK_EQ(RUN(leave_held), 7);
}

/* ---- from other threads ------------------------------------------------------------------ */

struct sleeper {
	struct xyl_frame frame;
	int64_t ns, began;
	struct xyl_future *asleep, *awake;
	ssize_t n;
};

static xyl_step sleeper(void *frame)
{
	struct sleeper *self = frame;

	XYL_BEGIN(self)
	self->began = xyl_now();
	xyl_future_set(self->asleep, 0); /* whoever hears of it comes after this step */
	XYL_AWAIT(self->n, xyl_sleep(self->ns));
	if (self->n == 0)
		CHECK_EQ(xyl_now(), self->began + self->ns);
	xyl_future_set(self->awake, self->n);
	XYL_END(0);
}

struct started {
	struct census before;
	struct xyl_runtime *rt;
	struct xyl_future *asleep, *awake;
};

static struct started started_begin(int64_t ns)
{
	struct started started = { .before = census_take() };

	started.asleep = xyl_future_new();
	started.awake = xyl_future_new();
	CHECK_EQ(xyl_runtime_new(&started.rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(started.rt), 0);
	CHECK_EQ(xyl_clock_hold(started.rt), 0);
	CHECK(xyl_runtime_spawn(started.rt, XYL_HERE, sleeper, .ns = ns, .asleep = started.asleep,
				.awake = started.awake) != NULL);
	CHECK_EQ(xyl_future_wait(started.asleep, HAND_PATIENCE), 0);
	return started;
}

static void started_end(struct started *started)
{
	CHECK_EQ(xyl_future_wait(started->awake, HAND_PATIENCE), 0);
	CHECK_EQ(xyl_runtime_stop(started->rt, 5 * XYL_SEC), 0);
	census_check(&started->before, started->rt);
}

TEST(another_thread_moves_the_clock)
{
	struct started started = started_begin(LONG_NS);

	CHECK_EQ(xyl_future_wait(started.awake, 5 * XYL_MS), -ETIMEDOUT);
	CHECK_EQ(xyl_clock_move(started.rt, LONG_NS), 0);
	started_end(&started);
}

enum { MOVERS = 4 };

struct mover {
	pthread_t thread;
	struct xyl_runtime *rt;
	size_t count;
};

static void *mover_run(void *arg)
{
	const struct mover *mover = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (size_t i = 0; i < mover->count; i++)
		CHECK_EQ(xyl_clock_move(mover->rt, 1), 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(no_move_of_any_thread_is_lost)
{
	size_t each = test_scaled(2000);
	struct started started = started_begin((int64_t)each * MOVERS);
	struct mover movers[MOVERS];

	for (int i = 0; i < MOVERS; i++) {
		movers[i] = (struct mover){ .rt = started.rt, .count = each };
		CHECK_EQ(pthread_create(&movers[i].thread, NULL, mover_run, &movers[i]), 0);
	}
	for (int i = 0; i < MOVERS; i++)
		CHECK_EQ(pthread_join(movers[i].thread, NULL), 0);
	started_end(&started);
}

TEST(a_started_runtime_stops_in_time_though_its_clock_is_held)
{
	struct started started = started_begin(LONG_NS);

	CHECK(xyl_runtime_spawn(started.rt, XYL_HERE, tidy_up) != NULL);
	CHECK_EQ(xyl_runtime_stop(started.rt, 5 * XYL_SEC), 0);
	census_check(&started.before, started.rt);
}
