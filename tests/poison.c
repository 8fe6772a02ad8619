/* SPDX-License-Identifier: MIT */
/*
 * A ring that fails poisons its shard: whoever waits for I/O is told, no new operation is
 * started, what the kernel has stays pinned, and all that is no I/O goes on.
 *
 * Each test is a process of its own: such a shard is never given up.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gc/check.h"
#include "rt/op.h"
#include "rt/shard.h"
#include "tests/child.h"
#include "tests/hand.h"
#include "tests/poison.h"
#include "tests/probe.h"
#include "tests/raw.h"

#define LOST (-ENOTRECOVERABLE)
#define SHORT (xyli_check_valgrind() ? 3 * XYL_SEC : 100 * XYL_MS)
#define LONG (60 * XYL_SEC)

#define ALONE(fn) child_succeeds(fn, NULL)

/* ---- whoever waits --------------------------------------------------------------------------- */

static struct xyl_task *tasks[32];
static unsigned task_count;

static struct xyl_task *told(struct xyl_task *task)
{
	CHECK(task != NULL);
	return tasks[task_count++] = task;
}

/* In the kernel, or behind those that are. */
static void waiters_start(const struct driven *driven, const struct folder *folder,
			  const struct folder *full)
{
	static char foreign[64];
	int peer, queued;
	struct xyl_io *socket = raw_socketpair(&peer), *other = raw_socketpair(&peer);
	struct xyl_io *bounded = raw_socketpair(&peer), *pipe = raw_pipe_writer(&peer), *listener;
	struct xyl_io **accepted = xyl_alloc(2 * sizeof(struct xyl_io *));
	char *buf = xyl_alloc(64);

	raw_fill(xyl_io_fd(pipe));
	raw_unix_full(full->path, &queued);
	CHECK_EQ(xyl_unix_listen(&listener, folder->path), 0);
	for (unsigned i = 0; i < 2; i++) {
		told(DRIVE_SPAWN(driven, hand_read, .io = socket, .buf = buf, .len = 64));
		told(DRIVE_SPAWN(driven, hand_write, .io = pipe, .buf = buf, .len = 64));
		told(DRIVE_SPAWN(driven, hand_accept, .io = listener, .ret_io = &accepted[i]));
	}
	told(DRIVE_SPAWN(driven, hand_read, .io = other, .buf = foreign, .len = sizeof(foreign)));
	told(DRIVE_SPAWN(driven, hand_read, .io = bounded, .buf = buf, .len = 64, .bound = LONG));
	told(DRIVE_SPAWN(driven, watch, .fd = eventfd(0, EFD_CLOEXEC)));
	told(DRIVE_SPAWN(driven, dial, .path = full->path));
	told(DRIVE_SPAWN(driven, join_task, .task = tasks[0]));
	hand_turns(driven, 2);
}

/* In the turn in which the ring fails: closing, opening, files and more files. */
static void late_waiters_start(const struct driven *driven, const struct folder *folder)
{
	static char block[4096] __attribute__((aligned(4096)));
	int peer, fd = raw_direct_file(folder->path, block, sizeof(block));
	struct xyl_io *closing = raw_socketpair(&peer);
	struct xyl_io *file = raw_handle(fd >= 0 ? fd : open(folder->path, O_RDWR | O_CLOEXEC));

	told(DRIVE_SPAWN(driven, hand_read, .io = closing, .buf = xyl_alloc_bytes(8), .len = 8));
	hand_turns(driven, 2);
	ring_break(driven->rt->shard);
	told(DRIVE_SPAWN(driven, hand_close, .io = closing));
	told(DRIVE_SPAWN(driven, open_file));
	for (unsigned i = 0; i < 3; i++) {
		told(DRIVE_SPAWN(driven, write_file, .io = file));
		told(DRIVE_SPAWN(driven, read_file, .io = file, .buf = block));
	}
}

static void all_are_told(void *arg)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make(), listening = folder_make(), full = folder_make();
	struct xyl_task *sleeper = DRIVE_SPAWN(&driven, sleep_for, .ns = SHORT);
	int64_t before = xyli_clock();

	(void)arg;
	waiters_start(&driven, &listening, &full);
	driven.rt->shard->files_max = 2;
	late_waiters_start(&driven, &folder);
	CHECK_EQ(driven.rt->shard->broken, 0);
	hand_turn(&driven);
	CHECK(driven.rt->shard->broken != 0);
	CHECK(driven.rt->shard->crowd.first == NULL && driven.rt->shard->files == 2);
	hand_turns(&driven, 2);
	for (unsigned i = 0; i < task_count; i++)
		CHECK_EQ(xyl_result(tasks[i]), LOST);
	CHECK(!xyl_is_done(sleeper));
	CHECK_EQ(hand_join(&driven, sleeper), 0);
	CHECK(xyli_clock() - before >= SHORT);
	folder_remove(&folder);
	folder_remove(&listening);
	folder_remove(&full);
}

TEST(whoever_waits_for_the_kernel_is_told_and_whoever_sleeps_goes_on)
{
	ALONE(all_are_told);
}

static void refused_by_the_system_call(void *arg)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *waits, *asks;
	int peer;

	(void)arg;
	waits = DRIVE_SPAWN(&driven, hand_read, .io = raw_socketpair(&peer),
			    .buf = xyl_alloc_bytes(8), .len = 8);
	hand_turns(&driven, 2);
	if (!ring_refuse(EIO))
		_exit(77);
	asks = DRIVE_SPAWN(&driven, watch, .fd = peer);
	hand_turns(&driven, 3);
	CHECK_EQ(xyl_result(waits), LOST);
	CHECK_EQ(xyl_result(asks), LOST);
	CHECK(strstr(xyl_runtime_why(), strerror(EIO)) != NULL);
}

static void only_busy(void *error)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *asks;

	hand_turn(&driven);
	if (!ring_refuse(*(int *)error))
		_exit(77);
	asks = DRIVE_SPAWN(&driven, watch, .fd = eventfd(0, EFD_CLOEXEC));
	hand_turns(&driven, 5);
	CHECK(!xyl_is_done(asks));
	CHECK_EQ(driven.rt->shard->broken, 0);
}

TEST(an_error_that_nobody_expects_is_a_failure_and_one_that_passes_is_not)
{
	static int passing[] = { EAGAIN, EBUSY, EINTR };
	int status = child_run(refused_by_the_system_call, NULL, NULL);

	if (WEXITSTATUS(status) == 77)
		SKIP("no seccomp filters here");
	CHECK_EQ(status, 0);
	for (unsigned i = 0; i < sizeof(passing) / sizeof(*passing); i++)
		child_succeeds(only_busy, &passing[i]);
}

/* ---- whoever comes later --------------------------------------------------------------------- */

static void poison(const struct driven *driven)
{
	ring_break(driven->rt->shard);
	DRIVE_SPAWN(driven, watch, .fd = driven->rt->shard->inbox.bell_fd);
	hand_turns(driven, 2);
	CHECK(driven->rt->shard->broken != 0);
}

struct try_all {
	struct xyl_frame frame;
	struct xyl_io *io, *other, *listener;
	const char *path;
	char bytes[8];
	ssize_t n;
};

#define IS_LOST(op)                      \
	do {                             \
		XYL_AWAIT(self->n, op);  \
		CHECK_EQ(self->n, LOST); \
	} while (0)

static xyl_step try_all(void *frame)
{
	struct try_all *self = frame;

	XYL_BEGIN(self)
	IS_LOST(xyl_read(self->io, self->bytes, 8));
	IS_LOST(xyl_read_full(self->io, self->bytes, 8));
	IS_LOST(xyl_write(self->io, self->bytes, 8));
	IS_LOST(xyl_write_all(self->io, self->bytes, 8));
	IS_LOST(xyl_read_at(self->io, self->bytes, 8, 0));
	IS_LOST(xyl_write_at(self->io, self->bytes, 8, 0));
	IS_LOST(xyl_fsync(self->io));
	IS_LOST(xyl_shutdown(self->io, SHUT_RDWR));
	IS_LOST(xyl_accept(self->listener, &self->other));
	IS_LOST(xyl_open(&self->other, "/dev/null", O_RDONLY, 0));
	IS_LOST(xyl_poll(0, POLLIN));
	IS_LOST(xyl_unix_connect(&self->other, self->path));
	IS_LOST(xyl_tcp_connect(&self->other, "127.0.0.1", "1"));
	XYL_AWAIT(self->n, xyl_sleep(0));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(LONG), XYL_MS));
	CHECK_EQ(self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_call(sleep_for, .ns = 0));
	CHECK_EQ(self->n, 0);
	XYL_END(0);
}

/* A handle that the shard knew before, or one that it never saw. */
static void nothing_starts(void *arg)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	struct xyl_io *known, *listener;
	int peer, fds;

	(void)arg;
	known = raw_socketpair(&peer);
	CHECK_EQ(xyl_unix_listen(&listener, folder.path), 0);
	CHECK_EQ(HAND_WRITE(&driven, .io = known, .buf = "x", .len = 1), 1);
	poison(&driven);
	fds = (int)test_fd_count();
	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, try_all, .io = known, .listener = listener,
						.path = folder.path)),
		 0);
	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, try_all, .io = raw_socketpair(&peer),
						.listener = listener, .path = folder.path)),
		 0);
	CHECK_EQ(test_fd_count(), fds + 2); /* the new pair */
	folder_remove(&folder);
}

TEST(no_new_operation_starts_and_none_leaves_a_descriptor_behind)
{
	ALONE(nothing_starts);
}

static void closing(void *arg)
{
	struct driven driven = drive_begin(NULL);
	int peer, fd[3];
	struct xyl_io *io[3];

	(void)arg;
	for (unsigned i = 0; i < 3; i++) {
		io[i] = raw_socketpair(&peer);
		fd[i] = xyl_io_fd(io[i]);
	}
	CHECK_EQ(HAND_WRITE(&driven, .io = io[0], .buf = "x", .len = 1), 1);
	DRIVE_SPAWN(&driven, hand_read, .io = io[2], .buf = xyl_alloc_bytes(8), .len = 8);
	hand_turn(&driven);
	poison(&driven);
	HAND_CLOSE(&driven, io[0]); /* which nobody holds */
	HAND_CLOSE(&driven, io[1]); /* nor has ever used */
	for (unsigned i = 0; i < 2; i++)
		CHECK(fcntl(fd[i], F_GETFD) < 0 && errno == EBADF);
	for (unsigned i = 0; i < 2; i++) /* which the kernel holds: its number stays taken */
		CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, hand_close, .io = io[2])), LOST);
	CHECK(fcntl(fd[2], F_GETFD) >= 0);
	CHECK_EQ(HAND_READ(&driven, .io = io[2], .buf = xyl_alloc_bytes(8), .len = 8), -EBADF);
}

TEST(a_handle_can_be_closed_unless_the_kernel_holds_it)
{
	ALONE(closing);
}

/* ---- pins, and stopping ---------------------------------------------------------------------- */

#define BUFFER 256

/* Only the kernel's operation names it. */
__attribute__((noinline)) static struct xyl_weak *read_start(const struct driven *driven,
							     struct xyl_io *io)
{
	char *buf = xyl_alloc_bytes(BUFFER);

	memset(buf, 'p', BUFFER);
	DRIVE_SPAWN(driven, hand_read, .io = io, .buf = buf, .len = BUFFER);
	hand_turns(driven, 2);
	return xyl_weak_new(buf);
}

static void is_pinned(const struct xyl_weak *weak)
{
	for (unsigned i = 0; i < 5; i++) {
		xyl_collect();
		for (unsigned n = 0; n < 1000; n++)
			memset(xyl_alloc_bytes(BUFFER), 'x', BUFFER);
	}
	CHECK(xyl_weak_get(weak) != NULL);
	CHECK_EQ(((char *)xyl_weak_get(weak))[BUFFER - 1], 'p');
}

static void stops_at_once(void *arg)
{
	struct driven driven = drive_begin(NULL);
	int peer;
	struct xyl_weak *weak = read_start(&driven, raw_socketpair(&peer));
	int64_t before = xyli_clock();

	(void)arg;
	poison(&driven);
	is_pinned(weak);
	CHECK_EQ(drive_stats(&driven).live, 0);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 2); /* and the one that it failed on */
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(xyl_runtime_stop(driven.rt, LONG), LOST);
		CHECK_EQ(drive_stats(&driven).leaked_pins, 2);
	}
	CHECK(xyli_clock() - before < LONG / 2);
	is_pinned(weak);
	CHECK(drive_stats(&driven).pinned_bytes >= BUFFER);
}

TEST(a_stop_says_so_at_once_and_what_the_kernel_has_stays_pinned)
{
	ALONE(stops_at_once);
}

/* What it failed on was a cancel, and what that was for has ended. */
static void nothing_is_outstanding(void *arg)
{
	struct driven driven = drive_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct xyl_task *task = DRIVE_SPAWN(&driven, watch, .fd = fd);

	(void)arg;
	hand_turn(&driven);
	bell_ring(fd);
	hand_completion(&driven);
	xyl_abort(task);
	ring_break(driven.rt->shard);
	hand_turns(&driven, 2);
	CHECK(driven.rt->shard->broken != 0);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 0);
	close(fd);
	drive_end(&driven);
}

TEST(a_stop_with_nothing_outstanding_succeeds)
{
	ALONE(nothing_is_outstanding);
}

/* ---- run, and started runtimes --------------------------------------------------------------- */

static void patience(void)
{
	alarm(30); /* hanging is what these would do wrong */
}

/* So few turns in so much time: it does not spin. */
struct calm {
	struct xyl_frame frame;
	uint64_t turns;
	ssize_t n;
};

static xyl_step calm(void *frame)
{
	struct calm *self = frame;

	XYL_BEGIN(self)
	self->turns = stats_now().turns;
	XYL_AWAIT(self->n, xyl_sleep(SHORT));
	CHECK_EQ(self->n, 0);
	CHECK(stats_now().turns - self->turns < 10);
	XYL_END(0);
}

struct fail_in_a_write {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

/* A write is looked at once more before the shard sleeps: there it fails. */
static xyl_step fail_in_a_write(void *frame)
{
	struct fail_in_a_write *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS)); /* the bell is armed */
	ring_break(xyli_here);
	XYL_AWAIT(self->n, xyl_write(self->io, "x", 1));
	CHECK_EQ(self->n, LOST);
	XYL_AWAIT(self->n, xyl_call(calm));
	XYL_END(5);
}

static void run_gives_it(void *arg)
{
	int peer;

	(void)arg;
	patience();
	CHECK_EQ(xyl_run(fail_in_a_write, .io = raw_socketpair(&peer)), LOST);
}

TEST(xyl_run_gives_it_whatever_its_task_returned)
{
	ALONE(run_gives_it);
}

#define HELD 8

struct fail_holding {
	struct xyl_frame frame;
	struct xyl_io *io[HELD];
	int i, peer;
	ssize_t n;
};

/* More cancels than the queue has room for, and nobody takes them any more. */
static xyl_step fail_holding(void *frame)
{
	struct fail_holding *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < HELD; self->i++) {
		self->io[self->i] = raw_socketpair(&self->peer);
		CHECK(xyl_spawn(hand_read, .io = self->io[self->i], .buf = xyl_alloc_bytes(8),
				.len = 8));
	}
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
	ring_break(xyli_here);
	IS_LOST(xyl_poll(self->peer, POLLIN));
	for (self->i = 0; self->i < HELD; self->i++)
		IS_LOST(xyl_close(self->io[self->i]));
	XYL_AWAIT(self->n, xyl_call(calm));
	XYL_END(5);
}

static void cancels_pile_up(void *arg)
{
	(void)arg;
	patience();
	CHECK_EQ(xyl_run_with(&(struct xyl_config){ .ring_entries = 2 }, fail_holding), LOST);
}

TEST(cancels_that_nobody_takes_do_not_keep_the_shard_awake)
{
	ALONE(cancels_pile_up);
}

struct fail_now {
	struct xyl_frame frame;
	int fd;
	ssize_t n;
};

static xyl_step fail_now(void *frame)
{
	struct fail_now *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS)); /* the bell is armed */
	ring_break(xyli_here);
	XYL_AWAIT(self->n, xyl_poll(self->fd, POLLIN));
	CHECK_EQ(self->n, LOST);
	XYL_END(0);
}

struct report {
	struct xyl_frame frame;
	struct xyl_future *future;
};

static xyl_step report(void *frame)
{
	struct report *self = frame;

	XYL_BEGIN(self)
	xyl_future_set(self->future, 7);
	XYL_END(0);
}

/* The program's thread wakes the shard's by its bell alone, again and again. */
static void bell_rings(struct xyl_runtime *rt)
{
	for (unsigned i = 0; i < test_scaled(2000); i++) {
		struct xyl_future *future = xyl_future_new();

		CHECK(xyl_runtime_spawn(rt, XYL_HERE, report, .future = future) != NULL);
		CHECK_EQ(xyl_future_wait(future, 10 * XYL_SEC), 7);
	}
}

static void started(void *config)
{
	struct xyl_runtime *rt;
	struct xyl_stats stats;
	struct xyl_task *task;
	int64_t before;

	patience();
	if (xyl_runtime_new(&rt, config) < 0 || xyl_runtime_start(rt) < 0)
		_exit(77);
	task = xyl_runtime_spawn(rt, XYL_HERE, fail_now, .fd = eventfd(0, EFD_CLOEXEC));
	while (!xyl_is_done(task))
		sched_yield();
	bell_rings(rt);
	task = xyl_runtime_spawn(rt, XYL_HERE, calm);
	while (!xyl_is_done(task))
		sched_yield();
	CHECK_EQ(xyl_result(task), 0);
	before = xyli_clock();
	CHECK_EQ(xyl_runtime_stop(rt, LONG), LOST);
	CHECK(xyli_clock() - before < LONG / 2);
	xyl_runtime_stats(rt, &stats);
	CHECK_EQ(stats.leaked_pins, stats.ops_outstanding + 1); /* the bell's */
	CHECK_EQ(xyl_runtime_stop(rt, LONG), LOST);
}

TEST(a_started_runtime_hears_its_bell_without_a_ring_and_stops_at_once)
{
	ALONE(started);
}

/* Here the kernel goes on by itself, and its read of the bell with it. */
TEST(the_same_with_a_thread_of_the_kernels)
{
	struct xyl_config config = { .sqpoll_idle_ms = 1000 };
	int status = child_run(started, &config, NULL);

	if (WEXITSTATUS(status) == 77)
		SKIP("no SQPOLL here");
	CHECK_EQ(status, 0);
}

/* ---- in a loop of the program's own ---------------------------------------------------------- */

/* The kernel's flag says that something is held back, and that stays so. */
static void own_loop(void *arg)
{
	struct driven driven = drive_begin(NULL);
	struct pollfd pollfd = { .events = POLLIN };
	struct xyl_task *task;
	int peer;

	(void)arg;
	hand_turn(&driven); /* a ring that defers, as it is not made for being polled */
	pollfd.fd = xyl_runtime_fd(driven.rt);
	read_start(&driven, raw_socketpair(&peer));
	poison(&driven);
	raw_send(peer, "x");
	for (unsigned i = 0; i < 3 && poll(&pollfd, 1, 0) > 0; i++)
		hand_turn(&driven);
	CHECK_EQ(poll(&pollfd, 1, 0), 0);
	task = DRIVE_SPAWN(&driven, sleep_for, .ns = XYL_MS);
	while (!xyl_is_done(task)) {
		CHECK_EQ(poll(&pollfd, 1, 10000), 1);
		hand_turn(&driven);
	}
	CHECK_EQ(xyl_runtime_stop(driven.rt, LONG), LOST);
}

TEST(a_program_with_its_own_loop_is_left_in_peace_and_told_of_the_rest)
{
	ALONE(own_loop);
}
