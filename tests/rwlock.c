/* SPDX-License-Identifier: MIT */
/* Read-write locks: many readers or one writer, in the order in which they came. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/contest.h"
#include "tests/drive.h"
#include "tests/waiting.h"
#include "xylem/xylem.h"

/* Take it, and keep it when it ends: locks belong to nobody in particular. */
struct take_lock {
	struct xyl_frame frame;
	struct xyl_rwlock *rwlock;
	bool writes;
	ssize_t r;
};

static xyl_step take_lock(void *frame)
{
	struct take_lock *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r,
		  self->writes ? xyl_rwlock_write(self->rwlock) : xyl_rwlock_read(self->rwlock));
	XYL_END(self->r);
}

static struct xyl_task *waiter(const struct driven *driven, struct xyl_rwlock *rwlock, bool writes)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, take_lock, .rwlock = rwlock, .writes = writes);

	drive_until_waiting(driven, task);
	return task;
}

static void served(const struct driven *driven, const struct xyl_task *task)
{
	drive_until_done(driven, task);
	CHECK_EQ(xyl_result(task), 0);
}

TEST(readers_share_it_and_a_writer_has_it_alone)
{
	struct xyl_rwlock *rwlock = xyl_rwlock_new();

	CHECK_EQ(xyl_rwlock_try_read(rwlock), 0);
	CHECK_EQ(xyl_rwlock_try_read(rwlock), 0);
	CHECK_EQ(xyl_rwlock_try_write(rwlock), -EAGAIN);
	xyl_rwlock_unlock(rwlock);
	CHECK_EQ(xyl_rwlock_try_write(rwlock), -EAGAIN);
	xyl_rwlock_unlock(rwlock);
	CHECK_EQ(xyl_rwlock_try_write(rwlock), 0);
	CHECK_EQ(xyl_rwlock_try_write(rwlock), -EAGAIN);
	CHECK_EQ(xyl_rwlock_try_read(rwlock), -EAGAIN);
	xyl_rwlock_unlock(rwlock);
	CHECK_EQ(RUN(take_lock, .rwlock = rwlock), 0);
	CHECK_EQ(RUN(take_lock, .rwlock = rwlock), 0);
	xyl_rwlock_unlock(rwlock);
	xyl_rwlock_unlock(rwlock);
	CHECK_EQ(RUN(take_lock, .rwlock = rwlock, .writes = true), 0);
	CHECK_EQ(xyl_rwlock_try_read(rwlock), -EAGAIN);
}

/* A reader is in; a writer, two readers, a writer and a reader wait. */
struct queue {
	struct driven driven;
	struct xyl_rwlock *rwlock;
	struct xyl_task *writer, *reader, *reader_too, *second_writer, *last;
};

static struct queue queue_begin(void)
{
	struct queue queue = { .driven = drive_begin(NULL), .rwlock = xyl_rwlock_new() };

	served(&queue.driven, DRIVE_SPAWN(&queue.driven, take_lock, .rwlock = queue.rwlock));
	queue.writer = waiter(&queue.driven, queue.rwlock, true);
	queue.reader = waiter(&queue.driven, queue.rwlock, false);
	queue.reader_too = waiter(&queue.driven, queue.rwlock, false);
	queue.second_writer = waiter(&queue.driven, queue.rwlock, true);
	queue.last = waiter(&queue.driven, queue.rwlock, false);
	return queue;
}

TEST(readers_go_in_together_up_to_the_next_writer)
{
	struct queue queue = queue_begin();

	CHECK_EQ(xyl_rwlock_try_read(queue.rwlock), -EAGAIN); /* the writer was first */
	xyl_rwlock_unlock(queue.rwlock);
	served(&queue.driven, queue.writer);
	CHECK(!xyl_is_done(queue.reader));
	xyl_rwlock_unlock(queue.rwlock);
	served(&queue.driven, queue.reader);
	served(&queue.driven, queue.reader_too);
	CHECK(!xyl_is_done(queue.second_writer) && !xyl_is_done(queue.last));
	xyl_rwlock_unlock(queue.rwlock);
	CHECK(!xyl_is_done(queue.second_writer));
	xyl_rwlock_unlock(queue.rwlock);
	served(&queue.driven, queue.second_writer);
	CHECK(!xyl_is_done(queue.last));
	xyl_rwlock_unlock(queue.rwlock);
	served(&queue.driven, queue.last);
	drive_end(&queue.driven);
}

TEST(when_the_writer_in_front_is_aborted_the_readers_behind_him_go)
{
	struct queue queue = queue_begin();

	xyl_abort(queue.writer);
	served(&queue.driven, queue.reader);
	served(&queue.driven, queue.reader_too);
	CHECK_EQ(xyl_result(queue.writer), -ECANCELED);
	CHECK(!xyl_is_done(queue.second_writer));
	xyl_abort(queue.second_writer);
	served(&queue.driven, queue.last);
	drive_end(&queue.driven);
}

TEST(a_downgrade_lets_in_the_readers_in_front)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_rwlock *rwlock = xyl_rwlock_new();
	struct xyl_task *reader, *writer, *last;

	CHECK_EQ(xyl_rwlock_try_write(rwlock), 0);
	reader = waiter(&driven, rwlock, false);
	writer = waiter(&driven, rwlock, true);
	last = waiter(&driven, rwlock, false);
	xyl_rwlock_downgrade(rwlock);
	served(&driven, reader);
	xyl_rwlock_unlock(rwlock);
	drive(&driven, 4);
	CHECK(!xyl_is_done(writer) && !xyl_is_done(last));
	xyl_rwlock_unlock(rwlock);
	served(&driven, writer);
	xyl_rwlock_unlock(rwlock);
	served(&driven, last);
	drive_end(&driven);
}

TEST(a_downgraded_writer_is_a_reader)
{
	struct xyl_rwlock *rwlock = xyl_rwlock_new();

	CHECK_EQ(xyl_rwlock_try_write(rwlock), 0);
	xyl_rwlock_downgrade(rwlock);
	CHECK_EQ(xyl_rwlock_try_write(rwlock), -EAGAIN);
	CHECK_EQ(xyl_rwlock_try_read(rwlock), 0);
	xyl_rwlock_unlock(rwlock);
	CHECK_EQ(xyl_rwlock_try_write(rwlock), -EAGAIN);
	xyl_rwlock_unlock(rwlock);
	CHECK_EQ(xyl_rwlock_try_write(rwlock), 0);
}

static void unlock_a_free_one(void *unused)
{
	(void)unused;
	xyl_rwlock_unlock(xyl_rwlock_new());
}

static void downgrade_a_reader(void *unused)
{
	struct xyl_rwlock *rwlock = xyl_rwlock_new();

	(void)unused;
	CHECK_EQ(xyl_rwlock_try_read(rwlock), 0);
	xyl_rwlock_downgrade(rwlock);
}

TEST(an_unlock_or_downgrade_of_what_is_not_held_is_named)
{
	child_aborts(unlock_a_free_one, NULL, "xyl_rwlock_unlock: nobody holds it");
	child_aborts(downgrade_a_reader, NULL, "xyl_rwlock_downgrade: no writer holds it");
}

/* ---- whatever the order --------------------------------------------------------------- */

enum { ALL = 1000 }; /* what a writer has of it */

static xyl_pending take(void *lock, size_t n)
{
	return n == ALL ? xyl_rwlock_write(lock) : xyl_rwlock_read(lock);
}

static int try_take(void *lock, size_t n)
{
	return n == ALL ? xyl_rwlock_try_write(lock) : xyl_rwlock_try_read(lock);
}

static void give_back(void *lock, size_t n)
{
	(void)n;
	xyl_rwlock_unlock(lock);
}

static struct contest contest = {
	.take = take, .try_take = try_take, .give = give_back, .limit = ALL, .all_or_one = true
};

TEST(a_writer_is_alone_whoever_is_aborted_or_bounded)
{
	contest.lock = xyl_rwlock_new();
	contest_run(&contest);
	CHECK_EQ(xyl_rwlock_try_write(contest.lock), 0);
	contest.lock = NULL;
}

TEST(a_writer_is_alone_among_two_runtimes_and_threads_outside)
{
	contest.lock = xyl_rwlock_new();
	contest_run_everywhere(&contest);
	CHECK_EQ(xyl_rwlock_try_write(contest.lock), 0);
	contest.lock = NULL;
}
