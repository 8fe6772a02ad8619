/* SPDX-License-Identifier: MIT */
/* The check build itself: what it finds dead, what it leaves alone, what it reports. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"
#include "xylem/xylem.h"

#ifdef XYL_CHECK
#include "gc/check.h"
#include "gc/finalizer.h"
#include "gc/heap.h"
#include "gc/registry.h"
#include "gc/world.h"

enum { OBJECTS = 16, TRIALS = 200 };

struct node {
	struct node *next, *other;
	uint64_t value;
};

/* Run fn as a shard's loop is run: frames from here up are the caller's. */
__attribute__((noinline)) static void loop_enter(void (*fn)(void *arg), void *arg)
{
	xyli_check_enter(__builtin_frame_address(0));
	fn(arg);
	xyli_check_leave();
}

__attribute__((noinline)) static void run_as_loop(void (*fn)(void *arg), void *arg)
{
	__builtin_unwind_init();
	loop_enter(fn, arg);
	__asm__ volatile("");
}

/* int: a bool would leave half an address in the register, and so on the next frame. */
static int is_dead(uintptr_t hidden)
{
	const struct xyli_object *object;
	bool dead;

	xyli_registry_lock();
	object = xyli_registry_find((void *)~hidden);
	dead = !object || object->state == XYLI_OBJECT_DEAD;
	xyli_registry_unlock();
	return dead;
}

static size_t dead_of(const uintptr_t *hidden, size_t n)
{
	size_t dead = 0;

	for (size_t i = 0; i < n; i++)
		dead += is_dead(hidden[i]);
	return dead;
}

/* ---- exactness --------------------------------------------------------------------- */

struct trial {
	size_t size;
	void **in_malloc;
	uintptr_t hidden[OBJECTS];
};

static void exact_trial(void *arg)
{
	struct trial *trial = arg;
	void *on_stack[OBJECTS];

	for (int i = 0; i < OBJECTS; i++) {
		on_stack[i] = trial->in_malloc[i] = xyl_alloc(trial->size);
		trial->hidden[i] = ~(uintptr_t)on_stack[i];
	}
	__asm__ volatile("" : : "r"(on_stack) : "memory");
	CHECK(xyli_world_collect());
	__asm__ volatile("" : : "r"(on_stack) : "memory");
}

static void all_are_found(size_t size)
{
	struct trial trial = { .size = size, .in_malloc = malloc(OBJECTS * sizeof(void *)) };
	int complete = 0;

	xyli_heap_start();
	xyli_heap_size((size_t)256 << 20, 0);
	xyl_alloc(size); /* takes the block that bdwgc grew by: stale words of this stack name it */
	for (int i = 0; i < TRIALS; i++) {
		run_as_loop(exact_trial, &trial);
		complete += dead_of(trial.hidden, OBJECTS) == OBJECTS;
	}
	CHECK_EQ(complete, TRIALS);
	free(trial.in_malloc);
}

TEST(a_small_object_without_a_root_is_found_every_time)
{
	all_are_found(sizeof(struct node));
}

TEST(a_large_object_without_a_root_is_found_every_time)
{
	all_are_found(10000);
}

static void collect(void *unused)
{
	(void)unused;
	CHECK(xyli_world_collect());
}

TEST(what_the_caller_of_the_loop_holds_lives)
{
	struct node *volatile held = xyl_new(struct node);
	uintptr_t hidden = ~(uintptr_t)held;

	for (int i = 0; i < TRIALS; i++) {
		run_as_loop(collect, NULL);
		CHECK(!is_dead(hidden));
	}
	held->value = 1;
}

struct meeting {
	pthread_barrier_t barrier;
	uintptr_t hidden;
	bool in_loop;
};

static void meet(void *arg)
{
	struct meeting *meeting = arg;

	pthread_barrier_wait(&meeting->barrier);
	pthread_barrier_wait(&meeting->barrier);
}

__attribute__((noinline)) static void hold_and_park(void *arg)
{
	struct meeting *meeting = arg;
	struct node *volatile held = xyl_new(struct node);

	meeting->hidden = ~(uintptr_t)held;
	xyli_world_park(meet, meeting);
	if (!meeting->in_loop)
		held->value = 1;
}

static void *other_thread(void *arg)
{
	struct meeting *meeting = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	if (meeting->in_loop)
		run_as_loop(hold_and_park, meeting);
	else
		hold_and_park(meeting);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

static bool parked_thread_keeps(bool in_loop)
{
	struct meeting meeting = { .in_loop = in_loop };
	pthread_t thread;

	xyli_heap_start();
	pthread_barrier_init(&meeting.barrier, NULL, 2);
	CHECK_EQ(pthread_create(&thread, NULL, other_thread, &meeting), 0);
	pthread_barrier_wait(&meeting.barrier);
	run_as_loop(collect, NULL);
	pthread_barrier_wait(&meeting.barrier);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	pthread_barrier_destroy(&meeting.barrier);
	return !is_dead(meeting.hidden);
}

TEST(a_thread_parked_in_its_loop_keeps_nothing)
{
	for (int i = 0; i < 20; i++)
		CHECK(!parked_thread_keeps(true));
}

TEST(a_thread_parked_elsewhere_keeps_what_its_stack_holds)
{
	for (int i = 0; i < 20; i++)
		CHECK(parked_thread_keeps(false));
}

/* ---- no false finds ---------------------------------------------------------------- */

static int finalized;

static void finalize(void *obj, void *arg)
{
	struct node *node = obj;

	CHECK_EQ(node->value, (uint64_t)(uintptr_t)arg);
	for (struct node *other = node->other; other; other = other->next)
		CHECK_EQ(other->value, node->value);
	finalized++;
}

/* A node that drags a list of five behind it, reachable only through it. */
static struct node *node_with_tail(uint64_t value)
{
	struct node *node = xyl_new(struct node);

	node->value = value;
	for (int i = 0; i < 5; i++) {
		struct node *tail = xyl_new(struct node);

		*tail = (struct node){ .next = node->other, .value = value };
		node->other = tail;
	}
	return node;
}

static void churn(void *arg)
{
	struct node **list = arg;

	for (uint64_t i = 1; i <= 200; i++) {
		struct node *node = node_with_tail(i);

		CHECK_EQ(xyl_on_collect(node, finalize, (void *)(uintptr_t)i), 0);
		if (i % 2) {
			node->next = *list;
			*list = node;
		}
		if (i % 10 == 0) {
			CHECK(xyli_world_collect());
			xyli_finalizers_run();
		}
	}
	CHECK(xyli_world_collect());
	xyli_finalizers_run();
}

TEST(finalizers_see_all_that_their_object_reaches)
{
	struct node **list = xyli_heap_pin(sizeof(*list));
	int living = 0;

	finalized = 0;
	run_as_loop(churn, list);
	for (struct node *node = *list; node; node = node->next)
		for (struct node *tail = node->other; tail; tail = tail->next)
			CHECK_EQ(tail->value, node->value);
	for (struct node *node = *list; node; node = node->next)
		living++;
	CHECK_EQ(living, 100);
	CHECK_EQ(finalized, 100);
	*list = NULL;
}

struct weaks {
	struct xyl_weak *weak[OBJECTS];
	struct node *kept[OBJECTS];
};

static void weak_trial(void *arg)
{
	struct weaks *weaks = arg;

	for (int i = 0; i < OBJECTS; i++) {
		struct node *node = node_with_tail(1);

		weaks->weak[i] = xyl_weak_new(node);
		if (i % 2)
			weaks->kept[i] = node;
	}
	CHECK(xyli_world_collect());
	for (int i = 0; i < OBJECTS; i++)
		CHECK(xyl_weak_get(weaks->weak[i]) == weaks->kept[i]);
	memset(weaks, 0, sizeof(*weaks));
	CHECK(xyli_world_collect());
}

TEST(weak_references_are_cleared)
{
	struct weaks *weaks = xyli_heap_pin(sizeof(*weaks));

	for (int i = 0; i < TRIALS; i++)
		run_as_loop(weak_trial, weaks);
	memset(weaks, 0, sizeof(*weaks));
}

static uintptr_t finalized_hidden;

static void finalizable_trial(void *unused)
{
	struct node *node = node_with_tail(3);

	(void)unused;
	finalized_hidden = ~(uintptr_t)node;
	CHECK_EQ(xyl_on_collect(node, finalize, (void *)3), 0);
	CHECK(xyli_world_collect());
	CHECK(!is_dead(finalized_hidden));
	xyli_finalizers_run();
	CHECK(xyli_world_collect());
	CHECK(is_dead(finalized_hidden));
}

TEST(after_its_finalizer_an_object_dies_like_any_other)
{
	run_as_loop(finalizable_trial, NULL);
}

/* ---- what is reported -------------------------------------------------------------- */

/* Of a child that runs fn.  Its words are swallowed; the tools' are tested elsewhere. */
static bool is_reported(void (*fn)(void *arg))
{
	const struct rlimit no_core = { 0, 0 };
	int status;
	pid_t pid;

	xyli_heap_start();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		CHECK(freopen("/dev/null", "w", stderr));
		run_as_loop(fn, NULL);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status != 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TOOL true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TOOL true
#endif
#endif
#ifndef TOOL
#define TOOL xyli_check_valgrind()
#endif

static struct node *dead_node(void)
{
	struct node *node = xyl_new(struct node);

	node->next = xyl_new(struct node);
	CHECK(xyli_world_collect());
	return node;
}

static void sound_use(void *unused)
{
	struct node *node = xyl_new(struct node);

	(void)unused;
	node->next = node;
	node->next->value = 1;
}

static void dead_pointer_use(void *unused)
{
	(void)unused;
	dead_node()->next->value = 1;
}

static void dead_write(void *unused)
{
	(void)unused;
	dead_node()->value = 1;
	exit(0);
}

static void overrun(void *unused)
{
	char *text = xyl_alloc_bytes(20);

	(void)unused;
	__asm__ volatile("" : "+r"(text));
	text[20] = 1;
	CHECK(xyli_world_collect());
}

static void finished_use(void *unused)
{
	struct node *node = xyl_new(struct node);

	(void)unused;
	xyli_check_finish(node, sizeof(*node));
	__asm__ volatile("" : "+r"(node));
	node->next->value = 1;
}

static void kernel_write_beyond(void *unused)
{
	(void)unused;
	xyli_check_kernel_writes(xyl_alloc_bytes(100), 101);
}

static void kernel_write_dead(void *unused)
{
	(void)unused;
	xyli_check_kernel_wrote(dead_node(), 1);
}

TEST(without_a_tool_misuse_still_ends_the_program)
{
	if (TOOL)
		SKIP("the tool reports it");
	CHECK(!is_reported(sound_use));
	CHECK(is_reported(dead_pointer_use));
	CHECK(is_reported(dead_write));
	CHECK(is_reported(overrun));
	CHECK(is_reported(finished_use));
	CHECK(is_reported(kernel_write_beyond));
	CHECK(is_reported(kernel_write_dead));
}

#else

TEST(the_check_build)
{
	SKIP("this is not the check build");
}

#endif
