/* SPDX-License-Identifier: MIT */
/* Watch: each sees the latest value, and no change is missed. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/waiting.h"
#include "xylem/xylem.h"

/* Look at each value that one sees, until it is closed; they are pairs that agree. */
struct pair {
	long value, negated;
};

struct look {
	struct xyl_frame frame;
	struct xyl_watch *watch;
	struct pair pair;
	uint64_t seen, version;
	long values, sum;
	ssize_t r;
};

static void look_at(struct look *self)
{
	long before = self->pair.value;

	self->version = xyl_watch_get(self->watch, &self->pair);
	CHECK(self->version > self->seen);
	self->seen = self->version;
	CHECK_EQ(self->pair.value, -self->pair.negated);
	CHECK(self->values == 0 || self->pair.value > before);
	self->values++;
	self->sum += self->pair.value;
}

static xyl_step look(void *frame)
{
	struct look *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, xyl_watch_changed(self->watch, self->seen));
		if (self->r < 0)
			break;
		look_at(self);
	}
	CHECK_EQ(self->r, -EPIPE);
	XYL_END(self->pair.value);
}

static int set(struct xyl_watch *watch, long value)
{
	return xyl_watch_set(watch, &(struct pair){ value, -value });
}

TEST(each_sees_the_latest_and_may_miss_those_between)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_watch *watch = xyl_watch_new(sizeof(struct pair), NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, look, .watch = watch);

	drive_until_waiting(&driven, task); /* it has seen the first one */
	for (long i = 1; i <= 3; i++)
		CHECK_EQ(set(watch, i), 0);
	drive(&driven, 4);
	drive_until_waiting(&driven, task);
	CHECK_EQ(set(watch, 4), 0);
	xyl_watch_close(watch);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 4);
	drive_end(&driven);
}

TEST(the_first_value_is_new_to_who_has_seen_none)
{
	struct xyl_watch *watch = xyl_watch_new(sizeof(struct pair), &(struct pair){ 5, -5 });
	struct pair pair;

	xyl_watch_close(watch);
	CHECK_EQ(RUN(look, .watch = watch), 5);
	CHECK_EQ(xyl_watch_get(watch, &pair), 1);
	CHECK_EQ(pair.value, 5);
	CHECK_EQ(set(watch, 6), -EPIPE);
	CHECK_EQ(xyl_watch_get(watch, NULL), 1);
}

TEST(a_close_wakes_who_waits)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_watch *watch = xyl_watch_new(sizeof(struct pair), NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, look, .watch = watch);

	drive_until_waiting(&driven, task);
	xyl_watch_close(watch);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	drive_end(&driven);
}

TEST(it_keeps_what_its_value_points_at_and_nothing_older)
{
	void *object = xyl_alloc(64);
	struct xyl_weak *weak = xyl_weak_new(object);
	struct xyl_watch *watch = xyl_watch_new(sizeof(object), &object);
	void *none = NULL;

	CHECK(xyl_weak_get(weak) != NULL);
	xyl_collect();
	CHECK(xyl_weak_get(weak) != NULL);
	CHECK_EQ(xyl_watch_set(watch, &none), 0);
	CHECK_EQ(xyl_watch_get(watch, &none), 2);
	CHECK(none == NULL);
}

TEST(a_value_may_have_no_size_and_no_memory_is_said)
{
	struct xyl_watch *watch = xyl_watch_new(0, NULL);

	CHECK_EQ(xyl_watch_set(watch, NULL), 0);
	CHECK_EQ(xyl_watch_get(watch, NULL), 2);
	CHECK(xyl_watch_new(SIZE_MAX, NULL) == NULL);
	CHECK(xyl_watch_new(PTRDIFF_MAX, NULL) == NULL);
}

/* ---- set by a thread outside, faster than anyone looks ------------------------------------ */

struct setter {
	struct xyl_watch *watch;
	long last;
};

static void *set_outside(void *arg)
{
	struct setter *setter = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (long i = 1; i <= setter->last; i++) {
		CHECK_EQ(set(setter->watch, i), 0);
		if (test_random() % 8 == 0)
			sched_yield();
	}
	xyl_watch_close(setter->watch);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(nobody_misses_the_last_value_nor_sees_half_of_one)
{
	static struct setter setter;
	struct driven driven = drive_begin(NULL);
	struct xyl_task *tasks[3];
	pthread_t thread;

	setter.watch = xyl_watch_new(sizeof(struct pair), NULL);
	setter.last = (long)test_scaled(5000);
	for (int i = 0; i < 3; i++)
		tasks[i] = DRIVE_SPAWN(&driven, look, .watch = setter.watch);
	CHECK_EQ(pthread_create(&thread, NULL, set_outside, &setter), 0);
	for (int i = 0; i < 3; i++) {
		drive_until_done(&driven, tasks[i]);
		CHECK_EQ(xyl_result(tasks[i]), setter.last);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	drive_end(&driven);
	setter.watch = NULL;
}
