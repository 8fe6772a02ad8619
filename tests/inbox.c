/* SPDX-License-Identifier: MIT */
/* The inbox: nothing posted is lost, and each thread's posts stay in order. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gc/bdwgc.h"
#include "rt/inbox.h"
#include "tests/run.h"

enum { THREADS = 8, WAIT_MS = 20000 };

struct letter {
	struct xyli_post post; /* first */
	uint32_t thread, number;
};

static struct xyli_inbox inbox;
static struct letter *letters[THREADS];
static size_t letters_each;
static uint32_t next_number[THREADS];
static size_t delivered;
static atomic_uint finished;
static atomic_bool go;

static void deliver(struct xyli_post *post)
{
	struct letter *letter = (struct letter *)post;

	CHECK_EQ(letter->number, next_number[letter->thread]);
	CHECK(post->next == NULL);
	next_number[letter->thread]++;
	delivered++;
}

static void *post_all(void *arg)
{
	uint32_t thread = (uint32_t)(uintptr_t)arg;

	while (!atomic_load(&go))
		sched_yield();
	for (uint32_t i = 0; i < letters_each; i++) {
		struct letter *letter = &letters[thread][i];

		letter->post.deliver = deliver;
		letter->thread = thread;
		letter->number = i;
		xyli_inbox_post(&inbox, &letter->post);
		if (test_random() % 1024 == 0)
			sched_yield();
	}
	atomic_fetch_add(&finished, 1);
	return NULL;
}

static void correspond(size_t each, void (*receive)(void))
{
	pthread_t threads[THREADS];

	CHECK_EQ(xyli_inbox_init(&inbox), 0);
	letters_each = each;
	delivered = 0;
	atomic_store(&finished, 0);
	atomic_store(&go, false);
	for (size_t i = 0; i < THREADS; i++) {
		next_number[i] = 0;
		letters[i] = calloc(each, sizeof(**letters));
		CHECK(letters[i] != NULL);
		CHECK(pthread_create(&threads[i], NULL, post_all, (void *)i) == 0);
	}
	atomic_store(&go, true);
	receive();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(delivered, THREADS * each);
	CHECK(xyli_inbox_is_empty(&inbox));
	for (int i = 0; i < THREADS; i++)
		free(letters[i]);
	xyli_inbox_done(&inbox);
}

static void receive_awake(void)
{
	while (atomic_load(&finished) < THREADS || !xyli_inbox_is_empty(&inbox))
		xyli_inbox_deliver(&inbox);
}

/* Of the wakes that threads send none is lost: here, at the bottom. */
TEST(of_eight_threads_posts_none_is_lost_and_each_ones_come_in_order)
{
	correspond(test_scaled(100000), receive_awake);
}

TEST(nobody_rings_for_a_shard_that_is_awake)
{
	uint64_t rung;

	correspond(test_scaled(10000), receive_awake);
	rung = atomic_load(&inbox.rung);
	CHECK_EQ(rung, 0);
}

/* Sleep on the bell whenever there is nothing: a lost wake-up lasts for ever. */
static void sleep_once(void)
{
	struct pollfd pollfd = { .fd = inbox.bell_fd, .events = POLLIN };
	uint64_t count;

	if (!xyli_inbox_sleep(&inbox))
		return;
	CHECK(poll(&pollfd, 1, WAIT_MS) == 1);
	CHECK(read(inbox.bell_fd, &count, sizeof(count)) == sizeof(count));
	xyli_inbox_wake(&inbox);
}

static size_t slept;

static void receive_asleep(void)
{
	slept = 0;
	while (delivered < THREADS * letters_each) {
		sleep_once();
		slept++;
		xyli_inbox_deliver(&inbox);
	}
}

TEST(a_shard_that_sleeps_whenever_it_can_misses_no_post)
{
	correspond(test_scaled(100000), receive_asleep);
	CHECK(slept > 0);
	CHECK(atomic_load(&inbox.rung) <= slept);
}

/* One letter at a time, so that each one finds the shard falling asleep or asleep. */
static atomic_size_t answered;

static void answer(struct xyli_post *post)
{
	(void)post;
	atomic_fetch_add(&answered, 1);
}

static void *ping(void *arg)
{
	size_t rounds = *(size_t *)arg;
	static struct xyli_post post;

	post.deliver = answer;
	for (size_t i = 0; i < rounds; i++) {
		xyli_inbox_post(&inbox, &post);
		while (atomic_load(&answered) == i)
			sched_yield();
	}
	return NULL;
}

TEST(each_single_post_wakes_the_sleeper)
{
	size_t rounds = test_scaled(50000);
	pthread_t thread;

	CHECK_EQ(xyli_inbox_init(&inbox), 0);
	atomic_store(&answered, 0);
	CHECK(pthread_create(&thread, NULL, ping, &rounds) == 0);
	while (atomic_load(&answered) < rounds) {
		sleep_once();
		xyli_inbox_deliver(&inbox);
	}
	pthread_join(thread, NULL);
	xyli_inbox_done(&inbox);
}

/* ---- what is delivered may post ---------------------------------------------------------- */

static unsigned echoes;

static void echo(struct xyli_post *post)
{
	if (++echoes < 100)
		xyli_inbox_post(&inbox, post);
}

TEST(a_post_made_by_a_delivery_comes_in_the_next_round)
{
	struct xyli_post post = { .deliver = echo };

	CHECK_EQ(xyli_inbox_init(&inbox), 0);
	echoes = 0;
	xyli_inbox_post(&inbox, &post);
	for (unsigned i = 1; i <= 100; i++) {
		xyli_inbox_deliver(&inbox);
		CHECK_EQ(echoes, i);
	}
	CHECK(xyli_inbox_is_empty(&inbox));
	xyli_inbox_done(&inbox);
}

TEST(a_sleeper_is_rung_once_however_many_post)
{
	struct xyli_post posts[10];
	uint64_t count = 0;

	CHECK_EQ(xyli_inbox_init(&inbox), 0);
	CHECK(xyli_inbox_sleep(&inbox));
	for (int i = 0; i < 10; i++) {
		posts[i] = (struct xyli_post){ .deliver = answer };
		xyli_inbox_post(&inbox, &posts[i]);
	}
	CHECK_EQ(inbox.rung, 1);
	CHECK(read(inbox.bell_fd, &count, sizeof(count)) == sizeof(count));
	CHECK_EQ(count, 1);
	CHECK(!xyli_inbox_sleep(&inbox)); /* there is something: no sleep */
	xyli_inbox_deliver(&inbox);
	CHECK(xyli_inbox_sleep(&inbox));
	xyli_inbox_done(&inbox);
}

/* ---- knocks -------------------------------------------------------------------------- */

static int opened;

static void open_door(struct xyli_inbox *knocked)
{
	CHECK(knocked == &inbox);
	opened++;
}

TEST(a_knock_keeps_it_awake_and_is_answered_once)
{
	CHECK_EQ(xyli_inbox_init(&inbox), 0);
	inbox.answer = open_door;
	opened = 0;
	for (int i = 0; i < 3; i++)
		xyli_inbox_knock(&inbox);
	CHECK(!xyli_inbox_is_empty(&inbox));
	CHECK(!xyli_inbox_sleep(&inbox));
	CHECK(!atomic_load(&inbox.asleep));
	xyli_inbox_deliver(&inbox);
	CHECK_EQ(opened, 1);
	CHECK(xyli_inbox_is_empty(&inbox));
	CHECK(xyli_inbox_sleep(&inbox));
	xyli_inbox_knock(&inbox);
	CHECK(!atomic_load(&inbox.asleep)); /* and the bell was rung, once */
	CHECK_EQ(atomic_load(&inbox.rung), 1);
	xyli_inbox_done(&inbox);
}

/* ---- threads that the collector does not know ------------------------------------------- */

static struct {
	struct xyli_post older, newer;
	char stat[64]; /* the file that says whether the thread sleeps */
	atomic_bool here, go;
	bool marked, linked;
} stranger;

static void *stranger_posts(void *unused)
{
	(void)unused;
	snprintf(stranger.stat, sizeof(stranger.stat), "/proc/self/task/%ld/stat",
		 syscall(SYS_gettid));
	atomic_store(&stranger.here, true);
	while (!atomic_load(&stranger.go))
		;
	xyli_inbox_post(&inbox, &stranger.newer);
	return NULL;
}

/* The world stands still: system calls only. */
static bool stranger_sleeps(void)
{
	char line[128] = { 0 }, *state;
	int fd = open(stranger.stat, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, line, sizeof(line) - 1);

	close(fd);
	state = n > 0 ? strrchr(line, ')') : NULL;
	return state && state[2] == 'S';
}

/* It has been let go of in the midst of the marking: it links, or it waits. */
static void marking(GC_EventType event)
{
	if (event != GC_EVENT_MARK_START || stranger.marked)
		return;
	stranger.marked = true;
	atomic_store(&stranger.go, true);
	while (atomic_load(&inbox.newest) == &stranger.older && !stranger_sleeps())
		sched_yield();
	stranger.linked = atomic_load(&inbox.newest) != &stranger.older;
}

TEST(a_thread_that_is_not_attached_links_nothing_while_the_collector_marks)
{
	GC_on_collection_event_proc before;
	pthread_t thread;

	xyl_collect(); /* the library's first use */
	before = GC_get_on_collection_event();
	CHECK_EQ(xyli_inbox_init(&inbox), 0);
	memset(&stranger, 0, sizeof(stranger));
	stranger.older.deliver = stranger.newer.deliver = answer;
	xyli_inbox_post(&inbox, &stranger.older);
	CHECK(pthread_create(&thread, NULL, stranger_posts, NULL) == 0);
	while (!atomic_load(&stranger.here))
		sched_yield();
	GC_set_on_collection_event(marking);
	xyl_collect();
	GC_set_on_collection_event(before);
	pthread_join(thread, NULL);
	CHECK(stranger.marked);
	CHECK(!stranger.linked);
	CHECK(stranger.newer.next == &stranger.older);
	xyli_inbox_deliver(&inbox);
	xyli_inbox_done(&inbox);
}

/* ---- a delivery that recalls --------------------------------------------------------------- */

static struct xyli_post recaller, recalled;
static unsigned recalls;

static void recall_deliver(struct xyli_post *post)
{
	CHECK(post == &recaller); /* the other one is taken back before its turn comes */
	recalls++;
	xyli_inbox_recall(&inbox, &recalled);
}

TEST(a_delivery_may_recall_what_came_with_it)
{
	recaller.deliver = recalled.deliver = recall_deliver;
	CHECK_EQ(xyli_inbox_init(&inbox), 0);
	xyli_inbox_post(&inbox, &recaller);
	xyli_inbox_post(&inbox, &recalled);
	xyli_inbox_deliver(&inbox);
	CHECK_EQ(recalls, 1);
	CHECK(xyli_inbox_is_empty(&inbox));
	xyli_inbox_done(&inbox);
}
