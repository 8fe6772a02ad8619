/* SPDX-License-Identifier: MIT */
/*
 * line.c - what is true of each kind of lock alike: who waits is let go, aborted, bounded,
 * waited for by another, stopped; and whoever waits behind him does not suffer by it.
 */
#include <errno.h>
#include <pthread.h>

#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/drive.h"
#include "tests/waiting.h"
#include "xylem/xylem.h"

/* Each is used by one thread, outside its tasks. */
struct kind {
	void *(*make)(void);		   /* one at which a task has to wait */
	xyl_pending (*wait)(void *object); /* what it does */
	void (*let)(void *object);	   /* lets the first one go */
	ssize_t gives;			   /* what that gives him */
	bool one_only;			   /* a second would let the first one go */
};

/* ---- the kinds ---------------------------------------------------------------------- */

static void *mutex_make(void)
{
	struct xyl_mutex *mutex = xyl_mutex_new();

	CHECK_EQ(xyl_mutex_try_lock(mutex), 0);
	return mutex;
}

static xyl_pending mutex_wait(void *object)
{
	return xyl_mutex_lock(object);
}

static void mutex_let(void *object)
{
	xyl_mutex_unlock(object);
}

static void *semaphore_make(void)
{
	return xyl_semaphore_new(2);
}

static xyl_pending semaphore_wait(void *object)
{
	return xyl_semaphore_acquire(object, 3);
}

static void semaphore_let(void *object)
{
	CHECK_EQ(xyl_semaphore_release(object, 1), 0);
}

static void *rwlock_make(void)
{
	struct xyl_rwlock *rwlock = xyl_rwlock_new();

	CHECK_EQ(xyl_rwlock_try_write(rwlock), 0);
	return rwlock;
}

static xyl_pending read_wait(void *object)
{
	return xyl_rwlock_read(object);
}

static xyl_pending write_wait(void *object)
{
	return xyl_rwlock_write(object);
}

static void rwlock_let(void *object)
{
	xyl_rwlock_unlock(object);
}

static void *notify_make(void)
{
	return xyl_notify_new();
}

static xyl_pending notify_wait(void *object)
{
	return xyl_notify_wait(object);
}

static void notify_let_one(void *object)
{
	xyl_notify_one(object);
}

static void notify_let_all(void *object)
{
	xyl_notify_all(object);
}

static void *watch_make(void)
{
	return xyl_watch_new(sizeof(int), NULL);
}

static xyl_pending watch_wait(void *object)
{
	return xyl_watch_changed(object, xyl_watch_get(object, NULL));
}

static void watch_let(void *object)
{
	CHECK_EQ(xyl_watch_set(object, &(int){ 1 }), 0);
}

static void *broadcast_make(void)
{
	return xyl_broadcast_new(sizeof(int), 1);
}

static xyl_pending broadcast_wait(void *object)
{
	return xyl_broadcast_recv(xyl_broadcast_subscribe(object), NULL);
}

static void broadcast_let(void *object)
{
	CHECK_EQ(xyl_broadcast_send(object, &(int){ 1 }), 0);
}

/* Two of these are operations: the thread does them in a runtime of its own. */
struct operate {
	struct xyl_frame frame;
	xyl_pending (*operation)(void *object);
	void *object;
	int64_t within_ns; /* 0: no bound */
	bool later;
	struct xyl_future *future;
	ssize_t n;
};

static xyl_pending operate_start(struct operate *self)
{
	xyl_pending pending = self->operation(self->object);

	return self->within_ns ? xyl_within(pending, self->within_ns) : pending;
}

static xyl_step operate(void *frame)
{
	struct operate *self = frame;

	XYL_BEGIN(self)
	if (self->later) {
		self->future = xyl_later(operate_start(self));
		XYL_AWAIT(self->n, xyl_future_get(self->future));
	} else {
		XYL_AWAIT(self->n, operate_start(self));
	}
	XYL_END(self->n);
}

static xyl_pending once_wait(void *object)
{
	return xyl_once_begin(object);
}

static void *once_make(void)
{
	struct xyl_once *once = xyl_once_new();

	CHECK_EQ(xyl_run(operate, .operation = once_wait, .object = once), 1);
	return once;
}

static void once_let(void *object)
{
	xyl_once_end(object, -EIO);
}

static void *barrier_make(void)
{
	return xyl_barrier_new(2);
}

static xyl_pending barrier_wait(void *object)
{
	return xyl_barrier_wait(object);
}

static void barrier_let(void *object)
{
	CHECK_EQ(xyl_run(operate, .operation = barrier_wait, .object = object), 1);
}

static const struct kind kinds[] = {
	{ .make = mutex_make, .wait = mutex_wait, .let = mutex_let },
	{ .make = semaphore_make, .wait = semaphore_wait, .let = semaphore_let },
	{ .make = rwlock_make, .wait = read_wait, .let = rwlock_let },
	{ .make = rwlock_make, .wait = write_wait, .let = rwlock_let },
	{ .make = notify_make, .wait = notify_wait, .let = notify_let_one },
	{ .make = notify_make, .wait = notify_wait, .let = notify_let_all },
	{ .make = watch_make, .wait = watch_wait, .let = watch_let },
	{ .make = broadcast_make, .wait = broadcast_wait, .let = broadcast_let },
	{ .make = once_make, .wait = once_wait, .let = once_let, .gives = 1 },
	{ .make = barrier_make, .wait = barrier_wait, .let = barrier_let, .one_only = true },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- what is true of each ------------------------------------------------------------- */

static struct xyl_task *waiter_spawn(const struct driven *driven, const struct kind *kind,
				     void *object)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, operate, .operation = kind->wait,
					    .object = object);

	drive_until_waiting(driven, task);
	return task;
}

static void for_each_kind(void (*check)(const struct driven *driven, const struct kind *kind,
					void *object))
{
	for (size_t i = 0; i < KINDS; i++) {
		struct driven driven = drive_begin(NULL);

		check(&driven, &kinds[i], kinds[i].make());
		drive_end(&driven);
	}
}

static void served(const struct driven *driven, const struct kind *kind, void *object)
{
	struct xyl_task *task = waiter_spawn(driven, kind, object);

	kind->let(object);
	drive_until_done(driven, task);
	CHECK_EQ(xyl_result(task), kind->gives);
}

TEST(who_waits_is_let_go)
{
	for_each_kind(served);
}

/* Behind him another waits. */
static void cut(const struct driven *driven, const struct kind *kind, void *object,
		struct xyl_task *first, bool aborted)
{
	struct xyl_task *second = NULL;

	if (!kind->one_only)
		second = waiter_spawn(driven, kind, object);
	if (aborted)
		xyl_abort(first);
	drive_until_done(driven, first);
	CHECK_EQ(xyl_result(first), aborted ? -ECANCELED : -ETIMEDOUT);
	if (kind->one_only)
		second = waiter_spawn(driven, kind, object);
	CHECK(!xyl_is_done(second));
	kind->let(object);
	drive_until_done(driven, second);
	CHECK_EQ(xyl_result(second), kind->gives);
}

static void aborted(const struct driven *driven, const struct kind *kind, void *object)
{
	cut(driven, kind, object, waiter_spawn(driven, kind, object), true);
}

TEST(an_aborted_waiter_takes_nothing_with_him)
{
	for_each_kind(aborted);
}

static void bounded(const struct driven *driven, const struct kind *kind, void *object)
{
	struct xyl_task *first = DRIVE_SPAWN(driven, operate, .operation = kind->wait,
					     .object = object, .within_ns = XYL_MS);

	cut(driven, kind, object, first, false);
}

TEST(a_bound_on_the_wait_takes_nothing_with_it)
{
	for_each_kind(bounded);
}

static void later(const struct driven *driven, const struct kind *kind, void *object)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, operate, .operation = kind->wait,
					    .object = object, .later = true);

	drive_until_waiting(driven, task);
	kind->let(object);
	drive_until_done(driven, task);
	CHECK_EQ(xyl_result(task), kind->gives);
}

TEST(another_waits_in_his_stead)
{
	for_each_kind(later);
}

static void bounded_later(const struct driven *driven, const struct kind *kind, void *object)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, operate, .operation = kind->wait,
					    .object = object, .later = true, .within_ns = XYL_MS);

	drive_until_done(driven, task);
	CHECK_EQ(xyl_result(task), -ETIMEDOUT);
	served(driven, kind, object);
}

TEST(a_bound_moves_with_the_wait)
{
	for_each_kind(bounded_later);
}

static void aborted_late(const struct driven *driven, const struct kind *kind, void *object)
{
	struct xyl_task *task = waiter_spawn(driven, kind, object);

	kind->let(object);
	xyl_abort(task);
	drive_until_done(driven, task);
	CHECK_EQ(xyl_result(task), kind->gives);
	CHECK(xyl_is_aborted(task));
}

TEST(what_was_given_before_an_abort_is_kept)
{
	for_each_kind(aborted_late);
}

TEST(a_stop_sends_everyone_away_and_the_next_runtime_goes_on)
{
	for (size_t i = 0; i < KINDS; i++) {
		const struct kind *kind = &kinds[i];
		void *object = kind->make();
		struct driven driven = drive_begin(NULL);
		struct xyl_task *tasks[3];
		unsigned n = kind->one_only ? 1 : 3;

		for (unsigned j = 0; j < n; j++)
			tasks[j] = waiter_spawn(&driven, kind, object);
		drive_end(&driven);
		for (unsigned j = 0; j < n; j++)
			CHECK_EQ(xyl_result(tasks[j]), -ECANCELED);
		driven = drive_begin(NULL);
		served(&driven, kind, object);
		drive_end(&driven);
	}
}

/* ---- a thread outside ------------------------------------------------------------------ */

/* It makes the object, waits until a task waits for that, and lets it go. */
struct outside {
	const struct kind *kind;
	struct xyl_future *made, *waited_for, *let;
};

static void *outside_run(void *arg)
{
	struct outside *outside = arg;
	void *object;

	CHECK_EQ(xyl_thread_attach(), 0);
	object = outside->kind->make();
	xyl_future_set(outside->made, (ssize_t)object);
	xyl_future_wait(outside->waited_for, -1);
	outside->kind->let(object);
	xyl_future_set(outside->let, 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

static pthread_t outside_start(struct outside *outside, const struct kind *kind)
{
	pthread_t thread;

	*outside = (struct outside){ kind, xyl_future_new(), xyl_future_new(), xyl_future_new() };
	CHECK_EQ(pthread_create(&thread, NULL, outside_run, outside), 0);
	return thread;
}

TEST(a_thread_outside_lets_a_task_go)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct driven driven = drive_begin(NULL);
		struct outside outside;
		pthread_t thread = outside_start(&outside, &kinds[i]);
		void *object = (void *)xyl_future_wait(outside.made, -1);
		struct xyl_task *task = waiter_spawn(&driven, &kinds[i], object);

		xyl_future_set(outside.waited_for, 0);
		drive_until_done(&driven, task);
		CHECK_EQ(xyl_result(task), kinds[i].gives);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		drive_end(&driven);
	}
}

/* What it gives is on its way to the shard, and comes before the abort or after it. */
static void cross(const struct kind *kind, bool aborted_first)
{
	struct driven driven = drive_begin(NULL);
	struct outside outside;
	pthread_t thread = outside_start(&outside, kind);
	void *object = (void *)xyl_future_wait(outside.made, -1);
	struct xyl_task *task = waiter_spawn(&driven, kind, object);

	if (aborted_first)
		xyl_abort(task);
	xyl_future_set(outside.waited_for, 0);
	xyl_future_wait(outside.let, -1);
	if (!aborted_first)
		xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), kind->gives);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	drive_end(&driven);
}

TEST(what_is_given_from_outside_and_crosses_an_abort_is_kept)
{
	for (size_t i = 0; i < KINDS; i++) {
		cross(&kinds[i], false);
		cross(&kinds[i], true);
	}
}

/* ---- no memory ------------------------------------------------------------------------- */

static xyl_pending broadcast_wait_without_receiver(void *object)
{
	return xyl_broadcast_recv(object, NULL);
}

static xyl_pending watch_wait_without_look(void *object)
{
	return xyl_watch_changed(object, 0);
}

TEST(what_could_not_be_made_is_refused)
{
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].wait != watch_wait && kinds[i].wait != broadcast_wait)
			CHECK_EQ(RUN(operate, .operation = kinds[i].wait), -EINVAL);
	CHECK_EQ(RUN(operate, .operation = broadcast_wait_without_receiver), -EINVAL);
	CHECK_EQ(RUN(operate, .operation = watch_wait_without_look), -EINVAL);
	CHECK_EQ(xyl_mutex_try_lock(NULL), -EINVAL);
	CHECK_EQ(xyl_semaphore_try_acquire(NULL, 1), -EINVAL);
	CHECK_EQ(xyl_semaphore_release(NULL, 1), -EINVAL);
	CHECK_EQ(xyl_rwlock_try_read(NULL), -EINVAL);
	CHECK_EQ(xyl_rwlock_try_write(NULL), -EINVAL);
	CHECK_EQ(xyl_once_result(NULL), -EINVAL);
	CHECK_EQ(xyl_watch_set(NULL, NULL), -EINVAL);
	CHECK(xyl_broadcast_subscribe(NULL) == NULL);
	CHECK_EQ(xyl_broadcast_send(NULL, NULL), -EINVAL);
	CHECK_EQ(xyl_broadcast_try_recv(NULL, NULL), -EINVAL);
}

/* All that there is: an object refers to the one before it. */
static void **hoard;

static void hoard_all(void)
{
	for (size_t size = 8192; size >= 16; size = size > 1008 ? 1008 : size - 16) {
		void **more;

		while ((more = xyl_alloc(size)) != NULL) {
			*more = hoard;
			hoard = more;
		}
	}
}

/* A task can let them go; and waiting is all that the waiter does. */
static bool kind_is_simple(const struct kind *kind)
{
	return kind->wait != once_wait && kind->wait != barrier_wait &&
	       kind->wait != broadcast_wait;
}

struct starving {
	struct xyl_frame frame;
	void *objects[KINDS];
	struct xyl_task *tasks[KINDS];
	size_t i;
	ssize_t r;
};

static void starving_begin(struct starving *self)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (!kind_is_simple(&kinds[i]))
			continue;
		self->objects[i] = kinds[i].make();
		self->tasks[i] = xyl_spawn(operate, .operation = kinds[i].wait,
					   .object = self->objects[i]);
	}
	hoard_all();
}

static void nothing_new(void)
{
	CHECK(xyl_mutex_new() == NULL);
	CHECK(xyl_semaphore_new(1) == NULL);
	CHECK(xyl_rwlock_new() == NULL);
	CHECK(xyl_notify_new() == NULL);
	CHECK(xyl_barrier_new(1) == NULL);
	CHECK(xyl_once_new() == NULL);
	CHECK(xyl_watch_new(1, NULL) == NULL);
	CHECK(xyl_broadcast_new(1, 1) == NULL);
}

static void starving_let(struct starving *self)
{
	for (size_t i = 0; i < KINDS; i++)
		if (self->objects[i])
			kinds[i].let(self->objects[i]);
}

static xyl_step starving(void *frame)
{
	struct starving *self = frame;

	XYL_BEGIN(self)
	starving_begin(self);
	XYL_AWAIT(self->r, xyl_yield());
	nothing_new();
	CHECK(xyl_later(xyl_notify_wait(self->objects[4])) == NULL);
	starving_let(self);
	hoard = NULL;
	for (self->i = 0; self->i < KINDS; self->i++) {
		if (!self->tasks[self->i])
			continue;
		XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->r, kinds[self->i].gives);
	}
	XYL_END(0);
}

static void run_starving(void *unused)
{
	struct xyl_config config = { .heap_limit_bytes = 24 << 20, .heap_start_bytes = 8 << 20 };

	(void)unused;
	CHECK_EQ(RUN_WITH(&config, starving), 0);
}

TEST(who_waits_needs_no_memory)
{
	child_succeeds(run_starving, NULL);
}
