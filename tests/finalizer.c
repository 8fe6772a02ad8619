/* SPDX-License-Identifier: MIT */
/* xyl_on_collect: once, in order, on the loop, and never inside the collector. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "gc/finalizer.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { OBJECTS = 400, FEW = OBJECTS / 10 };

struct node {
	struct node *other;
	uint32_t number, touched;
	uint32_t round; /* of the test: what one leaves on the stack, the next must not count */
};

static unsigned ran[OBJECTS];

__attribute__((noinline)) static void stack_clear(void)
{
	volatile char stale[16384];

	for (size_t i = 0; i < sizeof(stale); i++)
		stale[i] = 0;
}

static void collect(void)
{
	stack_clear();
	xyl_collect();
	stack_clear();
}

static void collect_and_run(void)
{
	collect();
	xyli_finalizers_run();
	stack_clear();
}

static uint32_t round_now;

static void ran_forget(void)
{
	round_now++;
	memset(ran, 0, sizeof(ran));
}

/* How many objects' finalizers ran; none ran more than `most` times. */
static size_t ran_count(unsigned most)
{
	size_t count = 0;

	for (int i = 0; i < OBJECTS; i++) {
		CHECK(ran[i] <= most);
		count += ran[i] > 0;
	}
	return count;
}

static void count_run(void *obj, void *arg)
{
	struct node *node = obj;

	CHECK(node->number < OBJECTS);
	ran[node->number] += node->round == round_now;
	(void)arg;
}

__attribute__((noinline)) static void fill(struct node **hold)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct node *node = xyl_new(struct node);

		node->number = i;
		node->round = round_now;
		CHECK_EQ(xyl_on_collect(node, count_run, NULL), 0);
		if (hold)
			hold[i] = node;
	}
}

TEST(a_finalizer_runs_once_its_object_is_unreachable)
{
	static struct node *hold[OBJECTS];

	ran_forget();
	fill(hold);
	collect_and_run();
	CHECK_EQ(ran_count(0), 0);
	memset(hold, 0, sizeof(hold));
	collect_and_run();
	CHECK(ran_count(1) > OBJECTS - FEW);
}

TEST(it_never_runs_twice)
{
	ran_forget();
	fill(NULL);
	for (int i = 0; i < 10; i++)
		collect_and_run();
	CHECK(ran_count(1) > OBJECTS - FEW);
}

TEST(it_does_not_run_inside_the_collection)
{
	ran_forget();
	fill(NULL);
	collect();
	collect();
	CHECK_EQ(ran_count(0), 0);
	xyli_finalizers_run();
	CHECK(ran_count(1) > OBJECTS - FEW);
}

TEST(it_does_not_run_inside_an_allocation)
{
	ran_forget();
	fill(NULL);
	collect();
	for (int i = 0; i < 20000; i++)
		CHECK(xyl_alloc(200) != NULL);
	CHECK_EQ(ran_count(0), 0);
	xyli_finalizers_run();
}

TEST(only_collected_memory_can_have_one)
{
	static struct node of_the_program;
	struct node of_the_stack;

	CHECK_EQ(xyl_on_collect(&of_the_program, count_run, NULL), -EINVAL);
	CHECK_EQ(xyl_on_collect(&of_the_stack, count_run, NULL), -EINVAL);
	CHECK_EQ(xyl_on_collect(NULL, count_run, NULL), -EINVAL);
}

/* ---- several on one object ------------------------------------------------------------ */

static char order[OBJECTS][8];

static void note_order(void *obj, void *arg)
{
	const struct node *node = obj;
	char *text = order[node->number];

	strcat(text, arg);
}

__attribute__((noinline)) static void fill_several(void)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct node *node = xyl_new(struct node);

		node->number = i;
		CHECK_EQ(xyl_on_collect(node, note_order, "a"), 0);
		CHECK_EQ(xyl_on_collect(node, note_order, "b"), 0);
		CHECK_EQ(xyl_on_collect(node, note_order, "c"), 0);
		CHECK_EQ(xyl_on_collect(node, note_order, "d"), 0);
	}
}

TEST(several_run_in_the_order_in_which_they_were_set)
{
	size_t complete = 0;

	memset(order, 0, sizeof(order));
	fill_several();
	for (int i = 0; i < 3; i++)
		collect_and_run();
	for (int i = 0; i < OBJECTS; i++) {
		CHECK(!order[i][0] || strcmp(order[i], "abcd") == 0);
		complete += order[i][0] != 0;
	}
	CHECK(complete > OBJECTS - FEW);
}

/* ---- inside an object ------------------------------------------------------------------ */

struct outer {
	char before[40];
	struct node inner;
	char after[40];
};

static void check_inner(void *obj, void *arg)
{
	struct node *node = obj;
	struct outer *outer = (struct outer *)((char *)obj - offsetof(struct outer, inner));

	(void)arg;
	CHECK(outer->before[0] == 'b' && outer->after[39] == 'a');
	ran[node->number]++;
}

__attribute__((noinline)) static void fill_inner(void)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct outer *outer = xyl_new(struct outer);

		outer->before[0] = 'b';
		outer->after[39] = 'a';
		outer->inner.number = i;
		CHECK_EQ(xyl_on_collect(&outer->inner, check_inner, NULL), 0);
	}
}

TEST(it_may_be_set_on_a_part_of_an_object_and_is_given_that_part)
{
	ran_forget();
	fill_inner();
	collect_and_run();
	CHECK(ran_count(1) > OBJECTS - FEW);
}

/* ---- the argument ----------------------------------------------------------------------- */

static void check_argument(void *obj, void *arg)
{
	struct node *node = obj, *argument = arg;

	CHECK_EQ(argument->number, node->number + 1000);
	ran[node->number]++;
}

__attribute__((noinline)) static void fill_arguments(void)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct node *node = xyl_new(struct node), *argument = xyl_new(struct node);

		node->number = i;
		argument->number = i + 1000;
		CHECK_EQ(xyl_on_collect(node, check_argument, argument), 0);
	}
}

TEST(its_argument_is_kept_until_then)
{
	ran_forget();
	fill_arguments();
	for (int i = 0; i < 3; i++) {
		collect_and_run();
		for (int j = 0; j < 5000; j++)
			memset(xyl_alloc(sizeof(struct node)), 0xdd, sizeof(struct node));
	}
	CHECK(ran_count(1) > OBJECTS - FEW);
}

/* ---- cycles, and what an object leads to -------------------------------------------------- */

static void check_cycle(void *obj, void *arg)
{
	struct node *node = obj;

	(void)arg;
	CHECK(node->other->other == node); /* intact, whichever of the two comes first */
	CHECK_EQ(node->other->number, node->number);
	node->touched = node->other->touched = 1;
	ran[node->number]++;
}

__attribute__((noinline)) static void fill_cycles(void)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct node *a = xyl_new(struct node), *b = xyl_new(struct node);

		*a = (struct node){ .other = b, .number = i };
		*b = (struct node){ .other = a, .number = i };
		CHECK_EQ(xyl_on_collect(a, check_cycle, NULL), 0);
		CHECK_EQ(xyl_on_collect(b, check_cycle, NULL), 0);
	}
}

TEST(cycles_are_finalized_and_intact_while_they_are)
{
	size_t both = 0;

	ran_forget();
	fill_cycles();
	for (int i = 0; i < 3; i++)
		collect_and_run();
	CHECK(ran_count(2) > OBJECTS - FEW);
	for (int i = 0; i < OBJECTS; i++)
		both += ran[i] == 2;
	CHECK(both > OBJECTS - FEW);
}

/* ---- resurrection ------------------------------------------------------------------------ */

static struct node *resurrected[OBJECTS];

static void resurrect(void *obj, void *arg)
{
	struct node *node = obj;

	(void)arg;
	resurrected[node->number] = node;
	ran[node->number]++;
}

__attribute__((noinline)) static void fill_resurrecting(void)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct node *node = xyl_new(struct node);

		node->number = i;
		node->other = xyl_new(struct node);
		node->other->number = i + 5;
		CHECK_EQ(xyl_on_collect(node, resurrect, NULL), 0);
	}
}

TEST(an_object_that_its_finalizer_keeps_is_sound_and_is_not_finalized_again)
{
	ran_forget();
	fill_resurrecting();
	for (int i = 0; i < 5; i++) {
		collect_and_run();
		for (int j = 0; j < 5000; j++)
			memset(xyl_alloc(sizeof(struct node)), 0xdd, sizeof(struct node));
	}
	CHECK(ran_count(1) > OBJECTS - FEW);
	for (uint32_t i = 0; i < OBJECTS; i++)
		if (resurrected[i])
			CHECK_EQ(resurrected[i]->other->number, i + 5);
	memset(resurrected, 0, sizeof(resurrected));
	collect_and_run();
	ran_count(1);
}

static void set_again(void *obj, void *arg)
{
	struct node *node = obj;

	(void)arg;
	if (++ran[node->number] < 3)
		CHECK_EQ(xyl_on_collect(obj, set_again, NULL), 0);
}

__attribute__((noinline)) static void fill_again(void)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct node *node = xyl_new(struct node);

		node->number = i;
		CHECK_EQ(xyl_on_collect(node, set_again, NULL), 0);
	}
}

TEST(a_finalizer_may_set_another)
{
	size_t thrice = 0;

	ran_forget();
	fill_again();
	for (int i = 0; i < 6; i++)
		collect_and_run();
	for (int i = 0; i < OBJECTS; i++)
		thrice += ran[i] == 3;
	CHECK(thrice > OBJECTS - FEW);
	ran_count(3);
}

/* ---- on the loop ------------------------------------------------------------------------- */

static size_t on_the_loop;
static bool loop_is_over; /* what chance has kept until then is for the census to find */

static void run_on_loop(void *obj, void *arg)
{
	(void)obj;
	(void)arg;
	CHECK(xyl_self() == NULL); /* between two tasks */
	CHECK(xyl_runtime_self() != NULL || loop_is_over);
	CHECK(xyl_alloc(32) != NULL);
	on_the_loop++;
}

__attribute__((noinline)) static void fill_for_loop(void)
{
	for (int i = 0; i < OBJECTS; i++)
		CHECK_EQ(xyl_on_collect(xyl_alloc(48), run_on_loop, NULL), 0);
}

/* A sleep of no time lasts until the next turn; the finalizers run before that. */
struct waits {
	struct xyl_frame frame;
	ssize_t result;
	int i;
};

static xyl_step waits(void *frame)
{
	struct waits *self = frame;

	XYL_BEGIN(self)
	fill_for_loop();
	XYL_AWAIT(self->result, xyl_sleep(0));
	collect();
	for (self->i = 0; self->i < 3; self->i++)
		XYL_AWAIT(self->result, xyl_sleep(0));
	CHECK(on_the_loop > OBJECTS - FEW);
	CHECK(on_the_loop <= OBJECTS);
	XYL_END(0);
}

TEST(finalizers_run_on_the_loop_between_tasks)
{
	on_the_loop = 0;
	CHECK_EQ(RUN(waits), 0);
	loop_is_over = true;
}

/* A frame lies inside its task's block. */
struct framed {
	struct xyl_frame frame;
	uint32_t number;
	ssize_t result;
};

static size_t frames_gone;

static void frame_gone(void *obj, void *arg)
{
	(void)obj;
	(void)arg;
	frames_gone++;
}

static xyl_step framed(void *frame)
{
	struct framed *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(xyl_on_collect(self, frame_gone, NULL), 0);
	XYL_AWAIT(self->result, xyl_sleep(3600 * XYL_SEC));
	XYL_END(self->result);
}

struct frames {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	uint64_t collections;
	ssize_t result;
	int i;
};

static uint64_t collections(void)
{
	struct xyl_gc_stats stats;

	xyl_gc_stats(&stats);
	return stats.collections;
}

static void frames_spawn(struct xyl_scope *scope)
{
	for (int i = 0; i < OBJECTS; i++)
		CHECK(xyl_scope_spawn(scope, framed) != NULL);
}

static xyl_step frames(void *frame)
{
	struct frames *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	frames_spawn(self->scope);
	for (self->i = 0; self->i < 10; self->i++)
		XYL_AWAIT(self->result, xyl_sleep(0));
	collect();
	XYL_AWAIT(self->result, xyl_sleep(0));
	CHECK_EQ(frames_gone, 0);
	self->collections = collections();
	XYL_AWAIT(self->result, xyl_scope_close(self->scope));
	CHECK(frames_gone == 0 || collections() > self->collections);
	self->scope = NULL;
	XYL_AWAIT(self->result, xyl_sleep(0));
	collect();
	XYL_AWAIT(self->result, xyl_sleep(0));
	CHECK(frames_gone > OBJECTS - FEW);
	CHECK(frames_gone <= OBJECTS);
	XYL_END(0);
}

/* An abort frees nothing; only a collection after it does. */
TEST(a_finalizer_on_a_frame_runs_after_the_abort_and_a_collection)
{
	frames_gone = 0;
	CHECK_EQ(RUN(frames), 0);
}
