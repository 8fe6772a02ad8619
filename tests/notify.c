/* SPDX-License-Identifier: MIT */
/* Notify: who is told, and what is remembered when nobody waits. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/waiting.h"
#include "xylem/xylem.h"

struct be_told {
	struct xyl_frame frame;
	struct xyl_notify *notify;
	int64_t within_ns;
	ssize_t r;
};

static xyl_pending be_told_start(struct be_told *self)
{
	xyl_pending pending = xyl_notify_wait(self->notify);

	return self->within_ns ? xyl_within(pending, self->within_ns) : pending;
}

static xyl_step be_told(void *frame)
{
	struct be_told *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, be_told_start(self));
	XYL_END(self->r);
}

static struct xyl_task *waiter(const struct driven *driven, struct xyl_notify *notify)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, be_told, .notify = notify);

	drive_until_waiting(driven, task);
	return task;
}

TEST(one_is_told_and_it_is_the_first)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_notify *notify = xyl_notify_new();
	struct xyl_task *first = waiter(&driven, notify), *second = waiter(&driven, notify);

	xyl_notify_one(notify);
	drive_until_done(&driven, first);
	CHECK_EQ(xyl_result(first), 0);
	drive(&driven, 4);
	CHECK(!xyl_is_done(second));
	xyl_notify_one(notify);
	drive_until_done(&driven, second);
	drive_end(&driven);
}

TEST(what_finds_nobody_is_remembered_once)
{
	struct xyl_notify *notify = xyl_notify_new();

	xyl_notify_one(notify);
	xyl_notify_one(notify);
	CHECK_EQ(RUN(be_told, .notify = notify), 0);
	CHECK_EQ(RUN(be_told, .notify = notify, .within_ns = XYL_MS), -ETIMEDOUT);
}

TEST(all_are_those_who_wait_now)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_notify *notify = xyl_notify_new();
	struct xyl_task *first = waiter(&driven, notify), *second = waiter(&driven, notify);

	xyl_notify_all(notify);
	drive_until_done(&driven, first);
	drive_until_done(&driven, second);
	drive_end(&driven);
	xyl_notify_all(notify);
	CHECK_EQ(RUN(be_told, .notify = notify, .within_ns = XYL_MS), -ETIMEDOUT);
}

TEST(one_who_was_aborted_before_is_passed_over)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_notify *notify = xyl_notify_new();
	struct xyl_task *first = waiter(&driven, notify), *second = waiter(&driven, notify);

	xyl_abort(first);
	drive_until_done(&driven, first);
	xyl_notify_one(notify);
	drive_until_done(&driven, second);
	CHECK_EQ(xyl_result(first), -ECANCELED);
	CHECK_EQ(xyl_result(second), 0);
	drive_end(&driven);
}

/* ---- work that threads outside bring ---------------------------------------------------- */

enum { THREADS = 2 };

struct heap_of_work {
	struct xyl_notify *notify;
	atomic_size_t brought;
	size_t each;
};

static void *bring(void *arg)
{
	struct heap_of_work *work = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (size_t i = 0; i < work->each; i++) {
		atomic_fetch_add(&work->brought, 1);
		xyl_notify_one(work->notify);
		if (test_random() % 16 == 0)
			sched_yield();
	}
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

struct look_for_work {
	struct xyl_frame frame;
	struct heap_of_work *work;
	size_t done;
	ssize_t r;
};

static xyl_step look_for_work(void *frame)
{
	struct look_for_work *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		self->done += atomic_exchange(&self->work->brought, 0);
		if (self->done == THREADS * self->work->each)
			break;
		XYL_AWAIT(self->r, xyl_notify_wait(self->work->notify));
		CHECK_EQ(self->r, 0);
	}
	XYL_END(0);
}

TEST(who_looks_and_then_waits_misses_nothing)
{
	static struct heap_of_work work;
	pthread_t threads[THREADS];

	work.notify = xyl_notify_new();
	work.each = test_scaled(5000);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, bring, &work), 0);
	CHECK_EQ(RUN(look_for_work, .work = &work), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	work.notify = NULL;
}
