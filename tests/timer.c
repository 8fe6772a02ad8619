/* SPDX-License-Identifier: MIT */
/* The heap of timers, against a plain array. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "rt/timer.h"
#include "tests/child.h"
#include "tests/run.h"

enum { TIMERS = 3000 };

/* Two bodies a timer: it moves from one to the other. */
struct model {
	struct xyli_timer body[2];
	int64_t when;
	unsigned at;
	bool running;
	unsigned fired;
};

static struct model models[TIMERS];
static struct xyli_timers timers; /* static data is scanned */
static int64_t fired_last;
static size_t running;

static struct model *model_of(struct xyli_timer *timer)
{
	return &models[((char *)timer - (char *)models) / (ptrdiff_t)sizeof(*models)];
}

static void fire(struct xyli_timer *timer)
{
	struct model *model = model_of(timer);

	CHECK(model->running);
	CHECK(timer == &model->body[model->at]);
	CHECK_EQ(timer->place, 0);
	CHECK(model->when >= fired_last); /* the earliest first */
	fired_last = model->when;
	model->running = false;
	model->fired++;
	running--;
}

static void start(struct model *model, int64_t when)
{
	struct xyli_timer *timer = &model->body[model->at];

	timer->fire = fire;
	CHECK_EQ(xyli_timer_start(&timers, timer, when), 0);
	CHECK(timer->place != 0);
	model->when = when;
	model->running = true;
	running++;
}

static void stop(struct model *model)
{
	xyli_timer_stop(&timers, &model->body[model->at]);
	CHECK_EQ(model->body[model->at].place, 0);
	running -= model->running;
	model->running = false;
}

static void move(struct model *model)
{
	xyli_timer_move(&timers, &model->body[model->at], &model->body[!model->at]);
	CHECK_EQ(model->body[model->at].place, 0);
	model->at = !model->at;
	CHECK_EQ(model->body[model->at].place != 0, model->running);
}

static int64_t earliest(void)
{
	int64_t best = XYLI_NEVER;

	for (int i = 0; i < TIMERS; i++)
		if (models[i].running && models[i].when < best)
			best = models[i].when;
	return best;
}

static void fire_until(int64_t now)
{
	size_t due = 0, before = running;

	for (int i = 0; i < TIMERS; i++)
		due += models[i].running && models[i].when <= now;
	fired_last = INT64_MIN;
	xyli_timers_fire(&timers, now);
	CHECK_EQ(before - running, due);
	for (int i = 0; i < TIMERS; i++)
		CHECK(!models[i].running || models[i].when > now);
}

static void forget(void)
{
	for (int i = 0; i < TIMERS; i++)
		stop(&models[i]);
	CHECK_EQ(timers.count, 0);
	memset(models, 0, sizeof(models));
	memset(&timers, 0, sizeof(timers)); /* and the memory of the heap */
}

/* ---- one at a time --------------------------------------------------------------------- */

TEST(without_timers_the_next_is_never)
{
	CHECK_EQ(xyli_timers_next(&timers), XYLI_NEVER);
	xyli_timers_fire(&timers, XYLI_NEVER);
	xyli_timers_check(&timers);
}

TEST(a_timer_fires_once_at_its_time_and_not_before)
{
	start(&models[0], 100);
	CHECK_EQ(xyli_timers_next(&timers), 100);
	fire_until(99);
	CHECK_EQ(models[0].fired, 0);
	fire_until(100);
	CHECK_EQ(models[0].fired, 1);
	fire_until(1000);
	CHECK_EQ(models[0].fired, 1);
	forget();
}

TEST(a_stopped_timer_does_not_fire_and_stopping_twice_is_no_operation)
{
	start(&models[0], 10);
	stop(&models[0]);
	stop(&models[0]);
	fire_until(100);
	CHECK_EQ(models[0].fired, 0);
	forget();
}

TEST(a_moved_timer_fires_in_its_new_place)
{
	for (int i = 0; i < 20; i++)
		start(&models[i], 20 - i);
	for (int i = 0; i < 20; i += 2)
		move(&models[i]);
	xyli_timers_check(&timers);
	fire_until(20);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(models[i].fired, 1);
	forget();
}

TEST(moving_a_timer_that_does_not_run_starts_nothing)
{
	models[0].body[0].fire = fire;
	move(&models[0]);
	CHECK_EQ(timers.count, 0);
	forget();
}

TEST(many_timers_of_one_time_all_fire)
{
	for (int i = 0; i < TIMERS; i++)
		start(&models[i], 5);
	fire_until(5);
	for (int i = 0; i < TIMERS; i++)
		CHECK_EQ(models[i].fired, 1);
	forget();
}

TEST(the_ends_of_time_are_times)
{
	start(&models[0], INT64_MIN);
	start(&models[1], INT64_MAX);
	start(&models[2], 0);
	CHECK_EQ(xyli_timers_next(&timers), INT64_MIN);
	fire_until(-1);
	CHECK_EQ(models[0].fired, 1);
	CHECK_EQ(models[2].fired, 0);
	fire_until(INT64_MAX);
	CHECK_EQ(models[1].fired, 1);
	forget();
}

/* ---- at random ------------------------------------------------------------------------- */

static void random_step(int64_t now)
{
	struct model *model = &models[test_random() % TIMERS];
	unsigned what = (unsigned)(test_random() % 8);

	if (!model->running)
		start(model, now + (int64_t)(test_random() % 1000));
	else if (what < 3)
		move(model);
	else
		stop(model);
}

TEST(a_heap_of_timers_behaves_as_a_sorted_list)
{
	size_t rounds = test_scaled(2000);
	int64_t now = 0;

	for (size_t round = 0; round < rounds; round++) {
		for (int i = 0; i < 100; i++)
			random_step(now);
		CHECK_EQ(timers.count, running);
		CHECK_EQ(xyli_timers_next(&timers), earliest());
		xyli_timers_check(&timers);
		now += (int64_t)(test_random() % 50);
		fire_until(now);
	}
	forget();
}

/* What fires may start, stop and move others. */
static size_t chain;

static void fire_and_meddle(struct xyli_timer *timer)
{
	struct model *model = model_of(timer), *other = &models[test_random() % TIMERS];

	CHECK(model->running);
	model->running = false;
	running--;
	if (other->running && chain % 2)
		stop(other);
	if (++chain < 2000 && !model->running) {
		timer->fire = fire_and_meddle;
		CHECK_EQ(xyli_timer_start(&timers, timer, model->when + 1), 0);
		model->when++;
		model->running = true;
		running++;
	}
}

TEST(a_timer_that_fires_may_start_and_stop_others)
{
	chain = 0;
	for (int i = 0; i < 100; i++) {
		start(&models[i], (int64_t)(test_random() % 10));
		models[i].body[0].fire = fire_and_meddle;
	}
	xyli_timers_fire(&timers, 1000000);
	CHECK_EQ(running, 0);
	CHECK_EQ(timers.count, 0);
	CHECK(chain > 100);
	forget();
}

/* ---- the collector, and the check ------------------------------------------------------- */

TEST(a_running_timer_keeps_what_it_lies_in)
{
	struct xyl_weak **weak = xyl_alloc(1000 * sizeof(*weak));

	for (int i = 0; i < 1000; i++) {
		struct xyli_timer *timer = xyl_alloc(sizeof(*timer));

		CHECK_EQ(xyli_timer_start(&timers, timer, i), 0);
		weak[i] = xyl_weak_new(timer);
	}
	xyl_collect();
	for (int i = 0; i < 1000; i++)
		CHECK(xyl_weak_get(weak[i]) != NULL);
	for (int i = 0; i < 1000; i++)
		xyli_timer_stop(&timers, xyl_weak_get(weak[i]));
	forget();
}

struct entry {
	int64_t when;
	struct xyli_timer *timer;
};

static void disorder(void *unused)
{
	struct entry *last;

	(void)unused;
	for (int i = 0; i < 100; i++)
		start(&models[i], 100 + i);
	xyli_timers_check(&timers);
	last = xyli_chunks_at(&timers.entries, 50);
	last->when = 0;
	xyli_timers_check(&timers);
}

static void misplace(void *unused)
{
	(void)unused;
	for (int i = 0; i < 100; i++)
		start(&models[i], 100 + i);
	models[30].body[0].place++;
	xyli_timers_check(&timers);
}

TEST(the_check_aborts_on_a_damaged_heap)
{
	child_aborts(disorder, NULL, "xylem: timer heap: entry 50 of 100");
	child_aborts(misplace, NULL, "xylem: timer heap:");
}
