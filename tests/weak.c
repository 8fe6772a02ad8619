/* SPDX-License-Identifier: MIT */
/* Weak references. */
#include <stdint.h>
#include <string.h>

#include "tests/asyncs.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { OBJECTS = 1000, FEW = OBJECTS / 10 };

static struct xyl_weak *weak[OBJECTS];
static void *held[OBJECTS];

__attribute__((noinline)) static void stack_clear(void)
{
	volatile char stale[16384];

	for (size_t i = 0; i < sizeof(stale); i++)
		stale[i] = 0;
}

static size_t living(void)
{
	size_t count = 0;

	for (int i = 0; i < OBJECTS; i++)
		count += xyl_weak_get(weak[i]) != NULL;
	return count;
}

__attribute__((noinline)) static void fill(size_t offset, bool hold)
{
	for (int i = 0; i < OBJECTS; i++) {
		char *obj = xyl_alloc(64);

		weak[i] = xyl_weak_new(obj + offset);
		CHECK(weak[i] && xyl_weak_get(weak[i]) == obj + offset);
		held[i] = hold ? obj : NULL;
	}
}

static void let_go(void)
{
	memset(weak, 0, sizeof(weak));
	memset(held, 0, sizeof(held));
}

static void collect(void)
{
	stack_clear();
	xyl_collect();
	stack_clear();
}

TEST(a_weak_reference_gives_its_target_while_something_else_holds_it)
{
	fill(0, true);
	collect();
	CHECK_EQ(living(), OBJECTS);
	for (int i = 0; i < OBJECTS; i++)
		CHECK(xyl_weak_get(weak[i]) == held[i]);
	let_go();
}

TEST(a_weak_reference_does_not_keep_its_target)
{
	fill(0, false);
	collect();
	CHECK(living() < FEW);
	let_go();
}

TEST(targets_that_are_let_go_die_then_and_not_before)
{
	fill(0, true);
	collect();
	CHECK_EQ(living(), OBJECTS);
	memset(held, 0, OBJECTS / 2 * sizeof(*held));
	collect();
	CHECK(living() >= OBJECTS / 2);
	CHECK(living() < OBJECTS / 2 + FEW);
	let_go();
}

TEST(the_target_may_lie_inside_an_object)
{
	fill(24, true);
	collect();
	for (int i = 0; i < OBJECTS; i++)
		CHECK(xyl_weak_get(weak[i]) == (char *)held[i] + 24);
	memset(held, 0, sizeof(held));
	collect();
	CHECK(living() < FEW);
	let_go();
}

TEST(two_weak_references_to_one_object_are_both_cleared)
{
	for (int i = 0; i < OBJECTS; i += 2) {
		void *obj = xyl_alloc(32);

		weak[i] = xyl_weak_new(obj);
		weak[i + 1] = xyl_weak_new(obj);
	}
	collect();
	for (int i = 0; i < OBJECTS; i += 2)
		CHECK((xyl_weak_get(weak[i]) == NULL) == (xyl_weak_get(weak[i + 1]) == NULL));
	CHECK(living() < FEW);
	let_go();
}

TEST(a_weak_reference_that_dies_first_does_no_harm)
{
	fill(0, true);
	memset(weak, 0, sizeof(weak));
	for (int i = 0; i < 3; i++) {
		collect();
		for (int j = 0; j < 2000; j++)
			memset(xyl_alloc_bytes(16), 0xff, 16);
	}
	memset(held, 0, sizeof(held));
	collect();
	let_go();
}

TEST(what_is_not_in_collected_memory_never_dies)
{
	static int of_the_program;
	struct xyl_weak *to_static = xyl_weak_new(&of_the_program);

	collect();
	CHECK(xyl_weak_get(to_static) == &of_the_program);
	CHECK(xyl_weak_get(xyl_weak_new(NULL)) == NULL);
}

struct node {
	struct node *next;
};

__attribute__((noinline)) static void fill_cycles(void)
{
	for (int i = 0; i < OBJECTS; i++) {
		struct node *a = xyl_new(struct node), *b = xyl_new(struct node);

		a->next = b;
		b->next = a;
		weak[i] = xyl_weak_new(a);
	}
}

TEST(cycles_die)
{
	fill_cycles();
	collect();
	CHECK(living() < FEW);
	let_go();
}

/* ---- the frame of a task -------------------------------------------------------------- */

struct observe {
	struct xyl_frame frame;
	ssize_t result;
	int i;
};

static void tasks_spawn(void)
{
	for (int i = 0; i < OBJECTS; i++) {
		struct xyl_task *task = xyl_spawn(sleep_for, .ns = LONG_NS);

		weak[i] = xyl_weak_new(task);
	}
}

static void tasks_abort(void)
{
	for (int i = 0; i < OBJECTS; i++)
		xyl_abort(xyl_weak_get(weak[i]));
}

static xyl_step observe(void *frame)
{
	struct observe *self = frame;

	XYL_BEGIN(self)
	tasks_spawn();
	XYL_AWAIT(self->result, xyl_sleep(0));
	collect();
	CHECK_EQ(living(), OBJECTS);
	tasks_abort();
	for (self->i = 0; self->i < 2 + OBJECTS / 64; self->i++) /* the budget of a turn */
		XYL_AWAIT(self->result, xyl_sleep(0));
	collect();
	CHECK(living() < FEW);
	XYL_END(0);
}

TEST(a_task_nobody_holds_lives_while_it_runs_and_dies_after)
{
	CHECK_EQ(RUN(observe), 0);
	memset(weak, 0, sizeof(weak));
}
