/* SPDX-License-Identifier: MIT */
/*
 * A thread that the collector does not know posts while it marks.
 *
 *	stage ── inbox ── a letter that nobody else holds
 *	      └─ late ── window		looked at first, and from the left
 *
 * As the window is marked, the collector has looked at the late letter and not yet into the
 * inbox: then another thread posts that letter.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "gc/bdwgc.h"
#include <gc/gc_mark.h>

#include "rt/clock.h"
#include "rt/inbox.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

struct letter {
	struct xyli_post post; /* first */
	GC_word *window;
};

struct stage {
	struct xyli_inbox *inbox;
	struct letter *late; /* behind it: the collector begins at the end */
};

enum { CLOSED, ARMED, OPEN, USED };

static atomic_int window;
static struct stage *stage;
static struct xyl_weak *held_by_the_inbox;
static int delivered;

static void deliver(struct xyli_post *post)
{
	(void)post;
	delivered++;
}

/* Without the bug nobody comes before marking is over. */
static struct GC_ms_entry *window_mark(GC_word *words, struct GC_ms_entry *top,
				       struct GC_ms_entry *limit, GC_word env)
{
	int64_t until = xyli_clock() + 20 * XYL_MS;
	int armed = ARMED;

	(void)limit;
	(void)env;
	if (words[0] && atomic_compare_exchange_strong(&window, &armed, OPEN))
		while (atomic_load(&window) == OPEN && xyli_clock() < until)
			sched_yield();
	return top;
}

static struct letter *letter_new(void)
{
	struct letter *letter = xyl_new(struct letter);

	letter->post.deliver = deliver;
	return letter;
}

/* On a thread of its own: no stack that is scanned keeps what is made here. */
static void *stage_set(void *ret_root)
{
	unsigned proc = GC_new_proc(window_mark);
	unsigned kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(proc, 0), 0, 1);
	struct letter *letter;

	CHECK_EQ(xyl_thread_attach(), 0);
	stage = xyl_new(struct stage);
	*(xyl_root *)ret_root = xyl_root_add(stage);
	stage->inbox = xyl_new(struct xyli_inbox);
	CHECK_EQ(xyli_inbox_init(stage->inbox), 0);
	stage->late = letter_new();
	stage->late->window = GC_generic_malloc(sizeof(GC_word), (int)kind);
	stage->late->window[0] = 1;
	letter = letter_new();
	held_by_the_inbox = xyl_weak_new(letter);
	xyli_inbox_post(stage->inbox, &letter->post);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

static void *post_late(void *unused)
{
	while (atomic_load(&window) != OPEN)
		sched_yield();
	xyli_inbox_post(stage->inbox, &stage->late->post);
	atomic_store(&window, USED);
	return unused;
}

static pthread_t thread_start(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, fn, arg) == 0);
	return thread;
}

TEST(what_an_unattached_thread_posts_during_marking_hides_nothing_behind_it)
{
	xyl_root root;
	pthread_t thread;

	xyl_collect(); /* the first use: it attaches this thread */
	pthread_join(thread_start(stage_set, &root), NULL);
	atomic_store(&window, ARMED);
	thread = thread_start(post_late, NULL);
	xyl_collect();
	CHECK(atomic_load(&window) != ARMED);
	CHECK(xyl_weak_get(held_by_the_inbox) != NULL);
	pthread_join(thread, NULL);
	xyli_inbox_deliver(stage->inbox);
	CHECK_EQ(delivered, 2);
	xyli_inbox_done(stage->inbox);
	xyl_root_drop(&root);
	stage = NULL;
	held_by_the_inbox = NULL;
}
