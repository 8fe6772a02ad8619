/* SPDX-License-Identifier: MIT */
/* xyl_runtime_why: each cause has an error and a sentence of its own, and nothing leaks. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "rt/ring.h"
#include "rt/shard.h"
#include "spawn/runtime.h"
#include "tests/child.h"
#include "tests/run.h"
#include "xylem/xylem.h"

struct nothing {
	struct xyl_frame frame;
};

static xyl_step nothing(void *frame)
{
	struct nothing *self = frame;

	XYL_BEGIN(self)
	XYL_END(7);
}

static void count_shard(struct xyli_shard *shard, void *arg)
{
	size_t *count = arg;

	(void)shard;
	++*count;
}

static size_t shards_live(void)
{
	size_t count = 0;

	xyli_shards_visit(count_shard, &count);
	return count;
}

/* A start that fails with this error and says each of these words. */
static void check_refused(const struct xyl_config *config, int error, const char *const *words)
{
	struct census before = census_take();
	struct xyl_runtime *rt = NULL;

	for (int i = 0; i < 20; i++) {
		CHECK_EQ(xyl_runtime_new(&rt, config), error);
		CHECK(rt == NULL);
		CHECK_EQ(xyl_run_with(config, nothing), error);
	}
	for (; *words; words++) {
		if (!strstr(xyl_runtime_why(), *words))
			printf("     no \"%s\" in: %s\n", *words, xyl_runtime_why());
		CHECK(strstr(xyl_runtime_why(), *words) != NULL);
	}
	CHECK_EQ(shards_live(), 0);
	census_check(&before, NULL);
}

#define CHECK_REFUSED(config, error, ...) \
	check_refused((config), (error), (const char *const[]){ __VA_ARGS__, NULL })

/* ---- the program's own mistakes ------------------------------------------------------ */

TEST(there_is_nothing_to_say_at_first_and_after_a_good_start)
{
	struct xyl_config bad = { .shards = 2 };

	CHECK_EQ(strcmp(xyl_runtime_why(), ""), 0);
	CHECK_EQ(xyl_run_with(&bad, nothing), -ENOTSUP);
	CHECK(strcmp(xyl_runtime_why(), "") != 0);
	CHECK_EQ(RUN(nothing), 7);
	CHECK_EQ(strcmp(xyl_runtime_why(), ""), 0);
}

TEST(more_than_one_shard_is_not_supported)
{
	struct xyl_config config = { .shards = 3 };

	CHECK_REFUSED(&config, -ENOTSUP, "shards", "3");
}

TEST(a_ring_whose_size_is_no_power_of_two_or_too_large_is_refused)
{
	static const unsigned bad[] = { 3, 1000, 32767, 65536, 1u << 31, ~0u };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct xyl_config config = { .ring_entries = bad[i] };

		CHECK_REFUSED(&config, -EINVAL, "ring_entries", "power of two");
	}
}

static void *look_elsewhere(void *ret)
{
	*(bool *)ret = strcmp(xyl_runtime_why(), "") == 0;
	return NULL;
}

TEST(each_thread_has_a_sentence_of_its_own)
{
	struct xyl_config config = { .shards = 2 };
	pthread_t thread;
	bool empty = false;

	CHECK_EQ(xyl_run_with(&config, nothing), -ENOTSUP);
	CHECK(pthread_create(&thread, NULL, look_elsewhere, &empty) == 0);
	pthread_join(thread, NULL);
	CHECK(empty);
}

/* ---- seccomp --------------------------------------------------------------------------- */

struct filter {
	long syscall;
	int error;
};

static void filter_install(const struct filter *filter)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)filter->syscall, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)filter->error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void run_filtered(void *arg)
{
	const struct filter *filter = arg;
	struct xyl_config plain = { 0 };

	filter_install(filter);
	CHECK_REFUSED(&plain, -filter->error, "seccomp", "io_uring_setup", strerror(filter->error));
}

TEST(a_filter_that_says_eperm_is_named)
{
	struct filter filter = { SYS_io_uring_setup, EPERM };

	child_succeeds(run_filtered, &filter);
}

TEST(a_filter_that_says_enosys_is_named_and_not_taken_for_an_old_kernel)
{
	struct filter filter = { SYS_io_uring_setup, ENOSYS };

	child_succeeds(run_filtered, &filter);
}

TEST(a_filter_that_says_eacces_is_named)
{
	struct filter filter = { SYS_io_uring_setup, EACCES };

	child_succeeds(run_filtered, &filter);
}

/* The ring is set up, but cannot be enabled. */
static void run_unregistered(void *arg)
{
	struct census before;
	struct xyl_runtime *rt;

	xyl_collect();
	before = census_take();
	filter_install(arg);
	CHECK_EQ(xyl_run(nothing), -EPERM);
	CHECK(strstr(xyl_runtime_why(), "seccomp") != NULL);
	CHECK(strstr(xyl_runtime_why(), "io_uring_register") != NULL);
	census_check(&before, NULL);
	CHECK_EQ(shards_live(), 0);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_drive(rt, 1), -EPERM);
	CHECK_EQ(xyl_runtime_stop(rt, XYL_SEC), 0);
	census_check(&before, NULL);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), -EPERM);
	census_check(&before, NULL);
	CHECK_EQ(shards_live(), 0);
}

TEST(a_filter_of_io_uring_register_alone_is_named_and_nothing_leaks)
{
	struct filter filter = { SYS_io_uring_register, EPERM };

	child_succeeds(run_unregistered, &filter);
}

/* Whoever waits for a task of a runtime that never came to be need not wait for ever. */
static void run_refused_tasks(void *arg)
{
	struct xyl_task *driven, *started;
	struct xyl_runtime *rt;

	filter_install(arg);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	driven = xyl_runtime_spawn(rt, XYL_HERE, nothing);
	CHECK_EQ(xyl_runtime_drive(rt, 1), -EPERM);
	CHECK(!xyl_is_done(driven)); /* the next drive may do better */
	CHECK_EQ(xyl_runtime_stop(rt, XYL_SEC), 0);
	CHECK(xyl_is_done(driven) && xyl_is_aborted(driven));
	CHECK_EQ(xyl_result(driven), -ECANCELED);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	started = xyl_runtime_spawn(rt, XYL_HERE, nothing);
	CHECK_EQ(xyl_runtime_start(rt), -EPERM);
	CHECK(xyl_is_done(started) && xyl_is_aborted(started));
	CHECK(!xyl_runtime_spawn(rt, XYL_HERE, nothing));
}

TEST(a_runtime_that_never_ran_refuses_its_tasks)
{
	struct filter filter = { SYS_io_uring_register, EPERM };

	child_succeeds(run_refused_tasks, &filter);
}

static void check_unpollable(struct xyl_runtime *rt, int error, const char *word)
{
	CHECK_EQ(xyl_runtime_fd(rt), error);
	if (!strstr(xyl_runtime_why(), word))
		printf("     no \"%s\" in: %s\n", word, xyl_runtime_why());
	CHECK(strstr(xyl_runtime_why(), word) != NULL);
}

/* Where the ring would have to be made anew, to be polled. */
static void run_unpollable(void *arg)
{
	const struct filter *filter = arg;
	struct census before;
	struct xyl_runtime *rt;
	bool anew;

	xyl_collect();
	before = census_take();
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	anew = rt->shard->ring->deferred;
	filter_install(filter);
	if (anew || filter->syscall != SYS_io_uring_setup)
		check_unpollable(rt, -filter->error, strerror(filter->error));
	CHECK(xyl_runtime_drive(rt, 1) >= 0);
	CHECK_EQ(xyl_runtime_stop(rt, XYL_SEC), 0);
	census_check(&before, rt);
}

TEST(a_runtime_that_cannot_be_polled_says_so_and_can_still_be_driven)
{
	struct filter filters[] = { { SYS_io_uring_setup, EPERM },
				    { SYS_epoll_create1, EPERM },
				    { SYS_timerfd_create, ENODEV },
				    { SYS_epoll_ctl, ENOSPC } };

	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++)
		child_succeeds(run_unpollable, &filters[i]);
}

/* ---- limits ------------------------------------------------------------------------------ */

static void descriptors_limit(size_t free)
{
	struct rlimit limit;
	int lowest = dup(STDIN_FILENO); /* the first that is free */

	CHECK(lowest >= 0);
	close(lowest);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = (rlim_t)lowest + free;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* The doorbell takes a descriptor, the ring another; the census needs one. */
static void run_without_descriptors(void *arg)
{
	size_t free = *(const size_t *)arg;
	struct xyl_runtime *rt;

	xyl_collect();
	descriptors_limit(free);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(xyl_runtime_new(&rt, NULL), -EMFILE);
	CHECK(strstr(xyl_runtime_why(), "RLIMIT_NOFILE") != NULL);
	CHECK(strstr(xyl_runtime_why(), "open files") != NULL);
	CHECK_EQ(shards_live(), 0);
	for (size_t i = 0; i < free; i++)
		CHECK(dup(STDIN_FILENO) >= 0); /* they are all there still */
}

TEST(the_limit_on_descriptors_is_named)
{
	for (size_t free = 0; free < 2; free++)
		child_succeeds(run_without_descriptors, &free);
}

static void run_with_two_descriptors(void *unused)
{
	(void)unused;
	xyl_collect();
	descriptors_limit(3);
	CHECK_EQ(xyl_run(nothing), 7);
}

TEST(with_descriptors_enough_it_starts)
{
	child_succeeds(run_with_two_descriptors, NULL);
}

/* ---- memory ------------------------------------------------------------------------------- */

static void *hoard[1 << 18];

static void run_without_memory(void *unused)
{
	struct xyl_config small = { .heap_limit_bytes = (size_t)16 << 20,
				    .heap_start_bytes = (size_t)1 << 20 };
	size_t hoarded = 0;
	struct xyl_runtime *rt;

	(void)unused;
	CHECK_EQ(xyl_run_with(&small, nothing), 7);
	for (size_t size = 8192; size >= 16; size /= 2)
		while ((hoard[hoarded] = xyl_alloc(size)))
			hoarded++;
	for (size_t size = 1008; size >= 16; size -= 16)
		while ((hoard[hoarded] = xyl_alloc(size)))
			hoarded++;
	CHECK_EQ(xyl_runtime_new(&rt, &small), -ENOMEM);
	CHECK(strstr(xyl_runtime_why(), "memory") != NULL);
	memset(hoard, 0, sizeof(hoard));
	xyl_collect();
	xyl_collect();
	CHECK_EQ(xyl_run_with(&small, nothing), 7);
}

TEST(no_memory_is_named)
{
	child_succeeds(run_without_memory, NULL);
}
