/* SPDX-License-Identifier: MIT */
/*
 * The ring: each rung of the ladder does the same work, and so does the smallest ring.
 *
 * Kernels of other ages are made here: io_uring_queue_init_params is this program's own
 * and refuses what such a kernel would not know.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <liburing.h>

#include "gc/check.h"
#include "rt/ring.h"
#include "rt/shard.h"
#include "tests/asyncs.h"
#include "tests/run.h"

/* ---- the kernel of the day ----------------------------------------------------------- */

static struct {
	unsigned unknown_flags, missing_features;
	int error;
	unsigned calls;
} kernel;

typedef int queue_init(unsigned entries, struct io_uring *ring, struct io_uring_params *params);

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
			       struct io_uring_params *params)
{
	queue_init *real = (queue_init *)(uintptr_t)dlsym(RTLD_NEXT, "io_uring_queue_init_params");
	int r;

	kernel.calls++;
	if (kernel.error)
		return kernel.error;
	if (params->flags & kernel.unknown_flags)
		return -EINVAL;
	r = real(entries, ring, params);
	params->features &= ~kernel.missing_features;
	return r;
}

/* ---- work for it ----------------------------------------------------------------------- */

enum { MANY = 1000 };

struct echo {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	ssize_t n;
};

static xyl_step echo(void *frame)
{
	struct echo *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(64);
	for (;;) {
		XYL_AWAIT(self->n, xyl_read(self->io, self->buf, 64));
		if (self->n <= 0)
			break;
		XYL_AWAIT(self->n, xyl_write_all(self->io, self->buf, (size_t)self->n));
		if (self->n < 0)
			break;
	}
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->n);
}

struct record {
	struct xyl_frame frame;
	struct xyl_io *file;
	uint64_t number;
	uint64_t *buf;
	ssize_t n;
};

/* Its own place in a file: written, then read back. */
static xyl_step record(void *frame)
{
	struct record *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(8);
	*self->buf = self->number * 3 + 1;
	XYL_AWAIT(self->n, xyl_write_at(self->file, self->buf, 8, (int64_t)self->number * 8));
	CHECK_EQ(self->n, 8);
	*self->buf = 0;
	XYL_AWAIT(self->n, xyl_read_at(self->file, self->buf, 8, (int64_t)self->number * 8));
	CHECK_EQ(self->n, 8);
	CHECK_EQ(*self->buf, self->number * 3 + 1);
	XYL_END(0);
}

struct work {
	struct xyl_frame frame;
	xyl_async_fn *part; /* one of the three below */
	struct xyl_scope *scope;
	struct xyl_task *tasks[MANY];
	struct xyl_io *file, *io;
	char *buf;
	size_t many, i;
	int bell, ends[2];
	ssize_t n;
};

static void bell_ring(int fd)
{
	uint64_t one = 1;

	CHECK(write(fd, &one, sizeof(one)) == sizeof(one));
}

static void records_spawn(struct work *self)
{
	for (size_t i = 0; i < self->many; i++)
		CHECK(xyl_scope_spawn(self->scope, record, .file = self->file, .number = i) !=
		      NULL);
}

static xyl_step work_on_a_file(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->file = xyl_io_from_fd(memfd_create("records", MFD_CLOEXEC));
	records_spawn(self);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_close(self->file));
	XYL_END(self->n);
}

static void watches_spawn(struct work *self)
{
	for (size_t i = 0; i < self->many; i++) {
		self->tasks[i] = xyl_spawn(watch, .fd = self->bell);
		CHECK(self->tasks[i] != NULL);
	}
}

static bool all_are_in_kernel(const struct work *self)
{
	struct xyl_stats stats;

	xyl_runtime_stats(xyl_runtime_self(), &stats);
	return stats.ops_outstanding == self->many;
}

/* All at once: half of them aborted, the others told by one bell. */
static xyl_step work_on_watches(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	self->bell = eventfd(0, EFD_CLOEXEC);
	watches_spawn(self);
	while (!all_are_in_kernel(self))
		XYL_AWAIT(self->n, xyl_sleep(0));
	for (size_t i = 0; i < self->many; i += 2)
		xyl_abort(self->tasks[i]);
	for (self->i = 0; self->i < self->many; self->i += 2) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->n, -ECANCELED);
	}
	bell_ring(self->bell);
	for (self->i = 1; self->i < self->many; self->i += 2) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->n, POLLIN);
	}
	close(self->bell);
	XYL_END(0);
}

static xyl_step work_on_a_stream(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->ends) == 0);
	self->io = xyl_io_from_fd(self->ends[0]);
	self->buf = xyl_alloc_bytes(64);
	self->tasks[0] = xyl_spawn(echo, .io = xyl_io_from_fd(self->ends[1]));
	for (self->i = 0; self->i < 100; self->i++) {
		memset(self->buf, (int)self->i, 64);
		XYL_AWAIT(self->n, xyl_write_all(self->io, self->buf, 64));
		CHECK_EQ(self->n, 64);
		memset(self->buf, 0xff, 64);
		XYL_AWAIT(self->n, xyl_read_full(self->io, self->buf, 64));
		CHECK_EQ(self->n, 64);
		CHECK_EQ(self->buf[63], self->i);
		XYL_AWAIT(self->n, xyl_within(xyl_read(self->io, self->buf, 64), 10 * XYL_US));
		CHECK_EQ(self->n, -ETIMEDOUT);
	}
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_AWAIT(self->n, xyl_join(self->tasks[0]));
	XYL_END(self->n);
}

static xyl_step work(void *frame)
{
	struct work *self = frame;

	return self->part(frame);
}

struct all {
	struct xyl_frame frame;
	size_t many;
	unsigned expected, unexpected; /* of the ring's flags */
	ssize_t n;
};

static xyl_step all(void *frame)
{
	struct all *self = frame;
	unsigned flags;

	XYL_BEGIN(self)
	flags = xyli_here->ring->uring.flags;
	CHECK_EQ(flags & self->expected, self->expected);
	CHECK_EQ(flags & self->unexpected, 0);
	XYL_AWAIT(self->n, xyl_call(work, .part = work_on_a_file, .many = self->many));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_call(work, .part = work_on_watches, .many = self->many));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_call(work, .part = work_on_a_stream));
	CHECK_EQ(self->n, 0);
	XYL_END(0);
}

/* ---- a shard that sleeps, woken by another thread ----------------------------------------- */

struct pinged {
	struct xyl_frame frame;
	struct xyl_future **ping;
	struct xyl_future *pong;
	ssize_t n;
};

static xyl_step pinged(void *frame)
{
	struct pinged *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_future_get(*self->ping));
	xyl_future_set(self->pong, self->n + 1);
	XYL_END(0);
}

static void check_bell(const struct xyl_config *config)
{
	struct census before = census_take();
	struct xyl_runtime *rt;

	CHECK_EQ(xyl_runtime_new(&rt, config), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	for (int i = 0; i < 50; i++) {
		struct xyl_future *ping = xyl_future_new(), *pong = xyl_future_new();

		CHECK(xyl_runtime_spawn(rt, XYL_HERE, pinged, .ping = &ping, .pong = pong) != NULL);
		CHECK_EQ(xyl_future_wait(pong, XYL_US), -ETIMEDOUT);
		CHECK_EQ(xyl_future_set(ping, i), 0);
		CHECK_EQ(xyl_future_wait(pong, 20 * XYL_SEC), i + 1);
	}
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	census_check(&before, rt);
}

/* ---- each rung --------------------------------------------------------------------------- */

enum {
	SINGLE = IORING_SETUP_SINGLE_ISSUER,
	DEFER = IORING_SETUP_DEFER_TASKRUN,
	COOP = IORING_SETUP_COOP_TASKRUN,
	ALL = IORING_SETUP_SUBMIT_ALL,
};

static void check_rung(unsigned unknown, unsigned expected, unsigned calls, unsigned idle_ms)
{
	struct xyl_config config = { .sqpoll_idle_ms = idle_ms };
	bool polled;

	xyl_collect(); /* starts the library, which then knows */
	polled = xyli_check_valgrind() && !idle_ms;
	memset(&kernel, 0, sizeof(kernel));
	kernel.unknown_flags = unknown;
	CHECK_EQ(RUN_WITH(&config, all, .many = test_scaled(MANY),
			  .expected = polled ? 0 : expected, .unexpected = unknown),
		 0);
	CHECK(polled || kernel.calls == calls); /* a ring that is polled has a ladder of its own */
	CHECK_EQ(strcmp(xyl_runtime_why(), ""), 0);
	check_bell(&config);
	memset(&kernel, 0, sizeof(kernel));
}

TEST(the_first_rung_works)
{
	if (xyli_check_valgrind())
		SKIP("under valgrind rings are polled, and those cannot be");
	check_rung(0, SINGLE | DEFER | ALL, 1, 0);
}

TEST(a_kernel_without_deferred_task_work)
{
	check_rung(DEFER, SINGLE | COOP | ALL, 2, 0);
}

TEST(a_kernel_without_single_issuers)
{
	check_rung(DEFER | SINGLE, COOP | ALL, 3, 0);
}

TEST(a_kernel_without_cooperative_task_work)
{
	check_rung(DEFER | SINGLE | COOP, ALL, 4, 0);
}

TEST(a_kernel_that_stops_a_submission_at_an_error)
{
	check_rung(DEFER | SINGLE | COOP | ALL, 0, 5, 0);
}

TEST(a_polling_kernel_thread)
{
	check_rung(0, IORING_SETUP_SQPOLL | SINGLE | ALL, 1, 10);
}

TEST(a_polling_kernel_thread_without_single_issuers)
{
	check_rung(SINGLE, IORING_SETUP_SQPOLL | ALL, 2, 10);
}

TEST(a_polling_kernel_thread_without_anything)
{
	check_rung(SINGLE | ALL, IORING_SETUP_SQPOLL, 3, 10);
}

TEST(below_the_last_rung_there_is_an_error)
{
	struct census before = census_take();
	struct xyl_runtime *rt;

	kernel.unknown_flags = ~0u;
	CHECK_EQ(xyl_runtime_new(&rt, NULL), -EINVAL);
	CHECK(strstr(xyl_runtime_why(), "Invalid argument") != NULL);
	memset(&kernel, 0, sizeof(kernel));
	census_check(&before, NULL);
}

TEST(a_kernel_without_what_the_loop_needs_is_refused)
{
	static const unsigned needed[] = { IORING_FEAT_EXT_ARG, IORING_FEAT_NODROP,
					   IORING_FEAT_SUBMIT_STABLE };
	struct census before = census_take();
	struct xyl_runtime *rt;

	for (int i = 0; i < 3; i++) {
		kernel.missing_features = needed[i];
		CHECK_EQ(xyl_runtime_new(&rt, NULL), -ENOSYS);
		CHECK(strstr(xyl_runtime_why(), "kernel") != NULL);
	}
	memset(&kernel, 0, sizeof(kernel));
	census_check(&before, NULL);
}

TEST(an_error_is_not_taken_for_an_old_kernel)
{
	struct xyl_runtime *rt;

	kernel.error = -ENOMEM;
	kernel.calls = 0;
	CHECK_EQ(xyl_runtime_new(&rt, NULL), -ENOMEM);
	CHECK_EQ(kernel.calls, 1);
	CHECK(strstr(xyl_runtime_why(), "RLIMIT_MEMLOCK") != NULL);
	memset(&kernel, 0, sizeof(kernel));
}

/* A cancel that worked posts a CQE of its own there. */
TEST(a_kernel_that_cannot_skip_cqes)
{
	kernel.missing_features = IORING_FEAT_CQE_SKIP;
	CHECK_EQ(RUN(all, .many = test_scaled(MANY)), 0);
	memset(&kernel, 0, sizeof(kernel));
}

/* ---- the smallest rings --------------------------------------------------------------------- */

/* A thousand operations through one entry: none is lost on the backlog. */
TEST(a_ring_of_one_two_or_four_entries_loses_nothing)
{
	for (unsigned entries = 1; entries <= 4; entries *= 2) {
		struct xyl_config config = { .ring_entries = entries };

		CHECK_EQ(RUN_WITH(&config, all, .many = test_scaled(MANY)), 0);
		check_bell(&config);
	}
}

TEST(a_small_ring_of_an_old_kernel_loses_nothing)
{
	struct xyl_config config = { .ring_entries = 2 };

	kernel.unknown_flags = DEFER | SINGLE | COOP | ALL;
	CHECK_EQ(RUN_WITH(&config, all, .many = test_scaled(MANY)), 0);
	memset(&kernel, 0, sizeof(kernel));
}

TEST(a_small_ring_with_a_polling_kernel_thread_loses_nothing)
{
	for (unsigned entries = 1; entries <= 4; entries *= 2) {
		struct xyl_config config = { .ring_entries = entries, .sqpoll_idle_ms = 5 };

		CHECK_EQ(RUN_WITH(&config, all, .many = test_scaled(MANY)), 0);
		check_bell(&config);
	}
}

struct overflow {
	struct xyl_frame frame;
	size_t many;
	ssize_t n;
};

static xyl_step overflow(void *frame)
{
	struct overflow *self = frame;
	struct xyl_stats stats;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(work, .part = work_on_watches, .many = self->many));
	CHECK_EQ(self->n, 0);
	xyl_runtime_stats(xyl_runtime_self(), &stats);
	XYL_END(stats.overflow > 0);
}

TEST(an_overflow_of_the_completion_queue_is_counted_and_loses_nothing)
{
	struct xyl_config config = { .ring_entries = 1 };

	kernel.unknown_flags = DEFER; /* completions come of themselves */
	CHECK_EQ(RUN_WITH(&config, overflow, .many = MANY), 1);
	memset(&kernel, 0, sizeof(kernel));
}
