/* SPDX-License-Identifier: MIT */
/* Spawn, join, result; tasks that nobody holds; the bound on their number. */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { EIGHT = 8 };

struct nap {
	struct xyl_frame frame;
	int64_t ns;
	ssize_t value, n;
};

static xyl_step nap(void *frame)
{
	struct nap *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(self->ns));
	XYL_END(self->value);
}

/* ---- spawn, join, result --------------------------------------------------- */

TEST(eight_tasks_are_done_after_one_turn)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *tasks[EIGHT];

	for (int i = 0; i < EIGHT; i++)
		tasks[i] = DRIVE_SPAWN(&driven, give, .value = i);
	CHECK_EQ(drive(&driven, 1), EIGHT);
	for (int i = 0; i < EIGHT; i++) {
		CHECK(xyl_is_done(tasks[i]));
		CHECK_EQ(xyl_result(tasks[i]), i);
	}
	CHECK_EQ(drive_stats(&driven).completed, EIGHT);
	drive_end(&driven);
}

struct join_two {
	struct xyl_frame frame;
	struct xyl_task *zero, *aborted;
	ssize_t n;
};

static xyl_step join_two(void *frame)
{
	struct join_two *self = frame;

	XYL_BEGIN(self)
	self->zero = xyl_spawn(give, .value = 0);
	self->aborted = xyl_spawn(nap, .ns = XYL_SEC * 3600, .value = 0);
	XYL_AWAIT(self->n, xyl_join(self->zero));
	CHECK_EQ(self->n, 0);
	CHECK(!xyl_is_aborted(self->zero));

	xyl_abort(self->aborted);
	XYL_AWAIT(self->n, xyl_join(self->aborted));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK(xyl_is_aborted(self->aborted));
	CHECK_EQ(xyl_result(self->aborted), 0);
	XYL_END(0);
}

TEST(a_result_of_zero_is_told_from_an_abort)
{
	CHECK_EQ(RUN(join_two), 0);
}

struct joiner {
	struct xyl_frame frame;
	struct xyl_task *task;
	ssize_t n;
};

static xyl_step joiner(void *frame)
{
	struct joiner *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_join(self->task));
	XYL_END(self->n + 1);
}

struct join_many {
	struct xyl_frame frame;
	struct xyl_task *task, *joiners[EIGHT];
	ssize_t n;
	int i;
};

static xyl_step join_many(void *frame)
{
	struct join_many *self = frame;

	XYL_BEGIN(self)
	self->task = xyl_spawn(nap, .ns = XYL_MS, .value = 41);
	for (self->i = 0; self->i < EIGHT; self->i++)
		self->joiners[self->i] = xyl_spawn(joiner, .task = self->task);
	for (self->i = 0; self->i < EIGHT; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->joiners[self->i]));
		CHECK_EQ(self->n, 42);
	}
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(self->n, 41);
	XYL_END(0);
}

TEST(every_joiner_gets_the_result_and_so_does_one_who_comes_late)
{
	CHECK_EQ(RUN(join_many), 0);
}

struct join_wrongly {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step join_wrongly(void *frame)
{
	struct join_wrongly *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_join(NULL));
	CHECK_EQ(self->n, -EINVAL);
	XYL_AWAIT(self->n, xyl_join(xyl_self()));
	CHECK_EQ(self->n, -EDEADLK);
	XYL_END(0);
}

TEST(joining_nobody_or_oneself_is_refused)
{
	CHECK_EQ(RUN(join_wrongly), 0);
}

TEST(a_task_that_runs_has_no_result_yet)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, nap, .ns = 0, .value = 3);

	CHECK_EQ(xyl_result(task), -EAGAIN);
	CHECK(!xyl_is_done(task));
	drive(&driven, 1);
	CHECK_EQ(xyl_result(task), -EAGAIN);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 3);
	drive_end(&driven);
}

/* ---- who runs when ------------------------------------------------------------------ */

struct mark {
	struct xyl_frame frame;
	int *marked;
	struct xyl_task *me;
};

static xyl_step mark(void *frame)
{
	struct mark *self = frame;

	XYL_BEGIN(self)
	++*self->marked;
	if (self->me)
		CHECK(xyl_self() == self->me);
	XYL_END(0);
}

struct spawn_then_yield {
	struct xyl_frame frame;
	int *marked;
	ssize_t n;
};

static xyl_step spawn_then_yield(void *frame)
{
	struct spawn_then_yield *self = frame;

	XYL_BEGIN(self)
	CHECK(xyl_spawn(mark, .marked = self->marked) != NULL);
	CHECK_EQ(*self->marked, 0);
	XYL_AWAIT(self->n, xyl_yield());
	CHECK_EQ(self->n, 0);
	CHECK_EQ(*self->marked, 1);
	XYL_END(0);
}

TEST(a_task_first_runs_after_its_spawner_has_suspended)
{
	int marked = 0;

	CHECK_EQ(RUN(spawn_then_yield, .marked = &marked), 0);
	CHECK_EQ(marked, 1);
}

struct self_of_call {
	struct xyl_frame frame;
	struct xyl_task *expected;
};

static xyl_step self_of_call(void *frame)
{
	struct self_of_call *self = frame;

	XYL_BEGIN(self)
	XYL_END(xyl_self() == self->expected);
}

struct self_of_task {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step self_of_task(void *frame)
{
	struct self_of_task *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(self_of_call, .expected = xyl_self()));
	XYL_END(self->n);
}

TEST(self_is_the_task_also_in_what_it_calls_and_nobody_outside)
{
	CHECK(xyl_self() == NULL);
	CHECK(xyl_runtime_self() == NULL);
	CHECK_EQ(RUN(self_of_task), 1);
	CHECK(xyl_self() == NULL);
}

TEST(driving_runs_the_turns_it_is_asked_for_and_says_what_it_resumed)
{
	struct driven driven = drive_begin(NULL);
	int marked = 0;

	CHECK_EQ(drive(&driven, 0), 0);
	CHECK_EQ(drive_stats(&driven).turns, 0);
	CHECK_EQ(drive(&driven, 3), 0);
	CHECK_EQ(drive_stats(&driven).turns, 3);
	DRIVE_SPAWN(&driven, mark, .marked = &marked);
	CHECK_EQ(marked, 0);
	CHECK_EQ(drive(&driven, 5), 1);
	CHECK_EQ(drive_stats(&driven).turns, 8);
	CHECK_EQ(drive_stats(&driven).resumed, 1);
	CHECK_EQ(marked, 1);
	drive_end(&driven);
}

/* ---- detached ------------------------------------------------------------------ */

struct wait_and_mark {
	struct xyl_frame frame;
	struct xyl_future *gate;
	int *marked;
	ssize_t n;
};

static xyl_step wait_and_mark(void *frame)
{
	struct wait_and_mark *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_future_get(self->gate));
	*self->marked += (int)self->n;
	XYL_END(0);
}

TEST(a_task_nobody_holds_runs_on_through_three_collections)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_future *gate = xyl_future_new();
	int marked = 0;

	CHECK(DRIVE_SPAWN(&driven, wait_and_mark, .gate = gate, .marked = &marked) != NULL);
	for (int i = 0; i < 3; i++) {
		drive(&driven, 1);
		xyl_collect();
	}
	CHECK_EQ(marked, 0);
	xyl_future_set(gate, 5);
	drive(&driven, 1);
	CHECK_EQ(marked, 5);
	drive_end(&driven);
}

enum { ALONE = 64 };

struct alone {
	struct xyl_frame frame;
	struct xyl_weak **ret_weak;
	struct xyl_future *never;
	ssize_t n;
};

/* Nobody will ever set it, and nobody else knows it. */
static xyl_step alone(void *frame)
{
	struct alone *self = frame;

	XYL_BEGIN(self)
	*self->ret_weak = xyl_weak_new(xyl_self());
	self->never = xyl_future_new();
	XYL_AWAIT(self->n, xyl_future_get(self->never));
	CHECK_EQ(self->n, -ECANCELED);
	XYL_END(0);
}

static int weak_living(struct xyl_weak **weak)
{
	int living = 0;

	for (int i = 0; i < ALONE; i++)
		living += weak[i] && xyl_weak_get(weak[i]);
	return living;
}

TEST(a_task_that_waits_for_what_only_it_knows_lives_until_it_is_aborted)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_weak **weak = xyl_alloc(ALONE * sizeof(struct xyl_weak *));

	for (int i = 0; i < ALONE; i++)
		CHECK(DRIVE_SPAWN(&driven, alone, .ret_weak = &weak[i]) != NULL);
	for (int i = 0; i < 3; i++) {
		drive(&driven, 2);
		xyl_collect();
	}
	CHECK_EQ(weak_living(weak), ALONE);
	drive_end(&driven);
}

__attribute__((noinline)) static void spawn_alone(struct driven *driven, struct xyl_weak **weak)
{
	static struct xyl_weak *nobody;

	for (int i = 0; i < ALONE; i++)
		weak[i] = xyl_weak_new(DRIVE_SPAWN(driven, alone, .ret_weak = &nobody));
}

TEST(a_task_that_has_not_arrived_at_its_shard_yet_lives)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_weak **weak = xyl_alloc(ALONE * sizeof(struct xyl_weak *));

	spawn_alone(&driven, weak);
	for (int i = 0; i < 3; i++)
		xyl_collect();
	CHECK_EQ(weak_living(weak), ALONE);
	CHECK_EQ(drive(&driven, 1), ALONE);
	drive_end(&driven);
}

/* ---- what a frame holds lives as long as its task ------------------------------- */

struct keep {
	struct xyl_frame frame;
	uint64_t *value;
	ssize_t n;
	int rounds;
};

static xyl_step keep(void *frame)
{
	struct keep *self = frame;

	XYL_BEGIN(self)
	while (self->rounds-- > 0)
		XYL_AWAIT(self->n, xyl_yield());
	XYL_END((ssize_t)*self->value);
}

__attribute__((noinline)) static struct xyl_task *spawn_keep(struct driven *driven, uint64_t value,
							     int rounds)
{
	uint64_t *object = xyl_alloc(sizeof(*object));

	*object = value;
	return DRIVE_SPAWN(driven, keep, .value = object, .rounds = rounds);
}

TEST(what_only_a_frame_names_survives_a_hundred_collections)
{
	const struct xyl_config config = { .turn_budget = 1 };
	struct driven driven = drive_begin(&config);
	struct xyl_task *task = spawn_keep(&driven, 0x5eed, 100);

	for (int i = 0; i < 100; i++) {
		CHECK_EQ(drive(&driven, 1), 1);
		xyl_collect();
		for (int j = 0; j < 16; j++)
			memset(xyl_alloc_bytes(sizeof(uint64_t)), 0xff, sizeof(uint64_t));
	}
	drive(&driven, 1);
	CHECK_EQ(xyl_result(task), 0x5eed);
	drive_end(&driven);
}

enum { OBJECTS = 64 };

__attribute__((noinline)) static void spawn_watched(struct driven *driven, struct xyl_task **tasks,
						    struct xyl_weak **weak)
{
	for (int i = 0; i < OBJECTS; i++) {
		uint64_t *object = xyl_alloc(sizeof(*object));

		weak[i] = xyl_weak_new(object);
		tasks[i] = DRIVE_SPAWN(driven, keep, .value = object, .rounds = 1);
	}
}

static int alive(struct xyl_weak **weak)
{
	int count = 0;

	for (int i = 0; i < OBJECTS; i++)
		count += xyl_weak_get(weak[i]) != NULL;
	return count;
}

/* Conservative collections may miss a few, never most. */
TEST(the_handle_of_a_finished_task_keeps_nothing_but_its_result)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task **tasks = xyl_alloc(OBJECTS * sizeof(*tasks));
	struct xyl_weak **weak = xyl_alloc(OBJECTS * sizeof(*weak));

	spawn_watched(&driven, tasks, weak);
	xyl_collect();
	CHECK_EQ(alive(weak), OBJECTS);
	drive(&driven, 2);
	for (int i = 0; i < OBJECTS; i++)
		CHECK(xyl_is_done(tasks[i]));
	xyl_collect();
	xyl_collect();
	CHECK(alive(weak) < OBJECTS / 2);
	drive_end(&driven);
	CHECK(tasks[0] != NULL);
}

/* ---- the bound on tasks in flight ------------------------------------------------- */

struct spawn_to_the_limit {
	struct xyl_frame frame;
	struct xyl_task *first, *second, *third;
	struct xyl_stats stats;
	ssize_t n;
};

/* Itself and two more are allowed. */
static xyl_step spawn_to_the_limit(void *frame)
{
	struct spawn_to_the_limit *self = frame;

	XYL_BEGIN(self)
	self->first = xyl_spawn(nap, .ns = XYL_SEC * 3600);
	self->second = xyl_spawn(nap, .ns = XYL_SEC * 3600);
	CHECK(self->first && self->second);
	CHECK(xyl_spawn(give, .value = 1) == NULL);
	XYL_AWAIT(self->n, xyl_yield());
	CHECK(xyl_spawn(give, .value = 1) == NULL);

	xyl_abort(self->first);
	CHECK(xyl_spawn(give, .value = 1) == NULL);
	XYL_AWAIT(self->n, xyl_join(self->first));
	self->third = xyl_spawn(give, .value = 1);
	CHECK(self->third != NULL);
	CHECK(xyl_spawn(give, .value = 1) == NULL);
	XYL_AWAIT(self->n, xyl_join(self->third));
	CHECK_EQ(self->n, 1);
	xyl_runtime_stats(xyl_runtime_self(), &self->stats);
	CHECK_EQ(self->stats.live, 2);
	CHECK_EQ(self->stats.spawned, 4);
	XYL_END(0);
}

TEST(a_spawn_beyond_the_limit_gives_null_until_a_task_has_ended)
{
	const struct xyl_config config = { .task_limit = 3 };

	CHECK_EQ(RUN_WITH(&config, spawn_to_the_limit), 0);
}

TEST(a_spawn_from_outside_counts_before_it_has_arrived)
{
	const struct xyl_config config = { .task_limit = 2 };
	struct driven driven = drive_begin(&config);
	struct xyl_task *first = DRIVE_SPAWN(&driven, nap, .ns = XYL_SEC * 3600);
	struct xyl_task *second = DRIVE_SPAWN(&driven, give, .value = 1);

	CHECK(first && second);
	CHECK(DRIVE_SPAWN(&driven, give, .value = 1) == NULL);
	drive(&driven, 1);
	CHECK_EQ(xyl_result(second), 1);
	CHECK(DRIVE_SPAWN(&driven, give, .value = 1) != NULL);
	CHECK(DRIVE_SPAWN(&driven, give, .value = 1) == NULL);
	xyl_abort(first);
	drive(&driven, 1);
	CHECK(DRIVE_SPAWN(&driven, give, .value = 1) != NULL);
	CHECK(DRIVE_SPAWN(&driven, give, .value = 1) != NULL);
	CHECK(DRIVE_SPAWN(&driven, give, .value = 1) == NULL);
	drive(&driven, 1);
	CHECK_EQ(drive_stats(&driven).live, 0);
	drive_end(&driven);
}

struct spawn_in_cleanup {
	struct xyl_frame frame;
	bool *refused;
	ssize_t n;
};

static xyl_step spawn_in_cleanup(void *frame)
{
	struct spawn_in_cleanup *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(XYL_SEC * 3600));
	CHECK_EQ(self->n, -ECANCELED);
	*self->refused = xyl_spawn(give, .value = 1) == NULL;
	XYL_END(0);
}

TEST(a_runtime_that_stops_takes_no_new_tasks)
{
	struct driven driven = drive_begin(NULL);
	bool refused = false;

	DRIVE_SPAWN(&driven, spawn_in_cleanup, .refused = &refused);
	drive(&driven, 1);
	drive_end(&driven);
	CHECK(refused);
	CHECK(DRIVE_SPAWN(&driven, give, .value = 1) == NULL);
}

/* ---- from another thread -------------------------------------------------------------------- */

struct set_future {
	struct xyl_frame frame;
	struct xyl_future *future;
	ssize_t value;
};

static xyl_step set_future(void *frame)
{
	struct set_future *self = frame;

	XYL_BEGIN(self)
	xyl_future_set(self->future, self->value);
	XYL_END(self->value);
}

TEST(tasks_spawned_by_another_thread_run_in_the_order_of_their_spawning)
{
	struct census before = census_take();
	struct xyl_future *future = xyl_future_new();
	struct xyl_runtime *rt;
	struct xyl_task *task;
	int marked = 0;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	for (int i = 0; i < 100; i++)
		CHECK(xyl_runtime_spawn(rt, XYL_HERE, mark, .marked = &marked) != NULL);
	task = xyl_runtime_spawn(rt, XYL_HERE, set_future, .future = future, .value = 9);
	CHECK_EQ(xyl_future_wait(future, -1), 9);
	CHECK_EQ(marked, 100);
	while (!xyl_is_done(task))
		sched_yield();
	CHECK_EQ(xyl_result(task), 9);
	CHECK_EQ(xyl_runtime_stop(rt, 5 * XYL_SEC), 0);
	census_check(&before, rt);
}
