/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  Each kind of leftover is a line of the table at the end: a function
 * that notes what is there, one that tells what is there and was not noted.  The heap
 * comes last: its collections run finalizers, and those close the handles that a test
 * forgot.  Nothing here may keep a collected object alive: addresses are complemented.
 */
#include "tests/leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt/clock.h"
#include "rt/shard.h"
#include "tests/harness.h"
#include "tests/living.h"
#include "xylem/xylem.h"

static const char *heading;
static size_t left;
static bool excused; /* this kind, for this test: count, but do not tell */

bool leftover(const char *format, ...)
{
	va_list args;

	if (excused) {
		left++;
		return false;
	}
	if (left++ == 0)
		printf("%s\n", heading);
	fputs("     left: ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fputs("\n", stdout);
	fflush(stdout);
	return true;
}

/* ---- numbers with a text each: what /proc lists ------------------------------------ */

#define TEXT 64

struct entry {
	int number;
	char text[TEXT];
};

struct list {
	struct entry *of;
	size_t count;
};

static void list_clear(struct list *list)
{
	free(list->of);
	*list = (struct list){ NULL, 0 };
}

static struct entry *list_add(struct list *list, int number)
{
	struct entry *entry;

	list->of = realloc(list->of, (list->count + 1) * sizeof(*entry));
	CHECK(list->of != NULL);
	entry = &list->of[list->count++];
	*entry = (struct entry){ .number = number };
	return entry;
}

static const struct entry *list_find(const struct list *list, int number)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->of[i].number == number)
			return &list->of[i];
	return NULL;
}

static bool list_has(const struct list *list, const struct entry *entry)
{
	const struct entry *same = list_find(list, entry->number);

	return same && !strcmp(same->text, entry->text);
}

/* ---- descriptors --------------------------------------------------------------------- */

static struct list descriptors;

static struct list descriptors_now(void)
{
	struct list now = { NULL, 0 };
	DIR *dir = opendir("/proc/self/fd");

	CHECK(dir != NULL);
	for (struct dirent *link; (link = readdir(dir));)
		if (link->d_name[0] != '.' && atoi(link->d_name) != dirfd(dir))
			readlinkat(dirfd(dir), link->d_name,
				   list_add(&now, atoi(link->d_name))->text, TEXT - 1);
	closedir(dir);
	return now;
}

static void descriptors_note(void)
{
	list_clear(&descriptors);
	descriptors = descriptors_now();
}

static void descriptors_tell(void)
{
	struct list now = descriptors_now();

	for (size_t i = 0; i < now.count; i++)
		if (!list_has(&descriptors, &now.of[i]))
			leftover("fd %d -> %s", now.of[i].number, now.of[i].text);
	for (size_t i = 0; i < descriptors.count; i++)
		if (!list_find(&now, descriptors.of[i].number))
			leftover("fd %d -> %s, which the test closed and did not open",
				 descriptors.of[i].number, descriptors.of[i].text);
	list_clear(&now);
}

/* ---- threads ------------------------------------------------------------------------- */

static struct list threads;
static int64_t patience = 10 * XYL_SEC;

void leftovers_patience(int64_t ns)
{
	patience = ns;
}

/* The kernel's own workers, of a ring or of what was one, come and go as they like. */
static bool thread_is_ours(int task_fd, const char *tid, char *ret_name)
{
	char path[NAME_MAX + sizeof("/comm")];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/comm", tid);
	fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false; /* it has ended meanwhile */
	n = read(fd, ret_name, TEXT - 1);
	close(fd);
	ret_name[n > 0 ? n - 1 : 0] = 0; /* its newline */
	return n > 0 && strncmp(ret_name, "iou-", 4) != 0;
}

static struct list threads_now(void)
{
	struct list now = { NULL, 0 };
	DIR *dir = opendir("/proc/self/task");
	char name[TEXT];

	CHECK(dir != NULL);
	for (struct dirent *thread; (thread = readdir(dir));)
		if (thread->d_name[0] != '.' && thread_is_ours(dirfd(dir), thread->d_name, name))
			memcpy(list_add(&now, atoi(thread->d_name))->text, name, TEXT);
	closedir(dir);
	return now;
}

static void *do_nothing(void *unused)
{
	return unused;
}

/* With the first thread that a program makes, TSan makes one of its own. */
static void threads_settle(void)
{
	static bool settled;
	pthread_t thread;

	if (settled)
		return;
	settled = true;
	CHECK_EQ(pthread_create(&thread, NULL, do_nothing, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void threads_note(void)
{
	threads_settle();
	list_clear(&threads);
	threads = threads_now();
}

static bool threads_are_new(const struct list *now)
{
	for (size_t i = 0; i < now->count; i++)
		if (!list_find(&threads, now->of[i].number))
			return true;
	return false;
}

/* A thread that was joined is listed a moment longer. */
static void threads_tell(void)
{
	struct list now = threads_now();

	for (int64_t until = xyli_clock() + patience; threads_are_new(&now) && xyli_clock() < until;
	     sched_yield()) {
		list_clear(&now);
		now = threads_now();
	}
	for (size_t i = 0; i < now.count; i++)
		if (!list_find(&threads, now.of[i].number))
			leftover("thread %d, %s", now.of[i].number, now.of[i].text);
	list_clear(&now);
}

/* ---- shards -------------------------------------------------------------------------- */

#define SHARDS 256

static uintptr_t shards[SHARDS]; /* complemented */
static size_t shard_count;

static void shard_note(struct xyli_shard *shard, void *arg)
{
	(void)arg;
	CHECK(shard_count < SHARDS);
	shards[shard_count++] = ~(uintptr_t)shard;
}

static void shards_note(void)
{
	shard_count = 0;
	xyli_shards_visit(shard_note, NULL);
}

/* Another thread may run it. */
#define READ(what) __atomic_load_n(&(what), __ATOMIC_RELAXED)

static void shard_tell(struct xyli_shard *shard, void *arg)
{
	(void)arg;
	for (size_t i = 0; i < shard_count; i++)
		if (shards[i] == ~(uintptr_t)shard)
			return;
	leftover("shard %p, not stopped: %zu operations outstanding, %zu tasks, %u timers, "
		 "%zu handles",
		 (void *)shard, (size_t)READ(shard->stats.ops_outstanding),
		 xyli_table_count(&shard->tasks),
		 READ(shard->timers.count) + READ(shard->chores.count),
		 (size_t)READ(shard->stats.handles_open));
}

static void shards_tell(void)
{
	xyli_shards_visit(shard_tell, NULL);
}

/* ---- roots --------------------------------------------------------------------------- */

static size_t roots;

static size_t roots_now(void)
{
	return living_heap_is_there() ? xyl_root_count() : 0;
}

static void roots_note(void)
{
	roots = roots_now();
}

static void roots_tell(void)
{
	size_t now = roots_now();

	if (now == roots)
		return;
	if (leftover("%zu roots, where there were %zu", now, roots))
		xyl_dump_roots(STDOUT_FILENO);
}

/* ---- all of it ----------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*note)(void);
	void (*tell)(void);
} kinds[] = {
	{ "descriptors", descriptors_note, descriptors_tell },
	{ "threads", threads_note, threads_tell },
	{ "shards", shards_note, shards_tell }, /* and all that is outstanding there */
	{ "roots", roots_note, roots_tell },
	/* Provided buffers: a shard recounts them as it closes (rt/buffers.c). */
	{ "objects", living_note, living_tell },
};

_Static_assert(1 << (sizeof(kinds) / sizeof(*kinds)) == LEAVES_END, "a bit each");

void leftovers_note(void)
{
	for (int i = 0; 1 << i < LEAVES_END; i++)
		kinds[i].note();
}

/* Whether there is more of it, nobody knows: memory that was needed once is kept. */
static bool may_be_missing(unsigned bit)
{
	return bit == LEAVES_OBJECTS;
}

static size_t kind_tell(int i, bool is_excused)
{
	size_t before = left;
	bool found;

	excused = is_excused;
	kinds[i].tell();
	found = left > before;
	if (!is_excused)
		return left - before;
	left = before;
	excused = false;
	if (found || may_be_missing(1u << i))
		return 0;
	leftover("no %s, which the test says that it leaves", kinds[i].name);
	return 1;
}

size_t leftovers_tell(const char *below, unsigned excuses)
{
	size_t told = 0;

	heading = below;
	left = 0;
	for (int i = 0; 1 << i < LEAVES_END; i++)
		told += kind_tell(i, excuses >> i & 1);
	return told;
}
