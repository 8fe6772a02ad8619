/* SPDX-License-Identifier: MIT */
/* A runtime that is driven by hand, and the descriptor that says when. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "xylem/xylem.h"

enum { WAIT_MS = 20000 };

struct reader {
	struct xyl_frame frame;
	struct xyl_io *io;
	int fd;
	char *buf;
	ssize_t n;
};

static xyl_step reader(void *frame)
{
	struct reader *self = frame;

	XYL_BEGIN(self)
	self->io = xyl_io_from_fd(self->fd);
	self->buf = xyl_alloc_bytes(64);
	XYL_AWAIT(self->n, xyl_read(self->io, self->buf, 64));
	XYL_END(self->n);
}

TEST(a_driven_runtime_does_what_it_is_driven_to)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, give, .value = 9);

	CHECK(!xyl_is_done(task));
	CHECK_EQ(xyl_result(task), -EAGAIN);
	CHECK_EQ(drive(&driven, 0), 0);
	CHECK(!xyl_is_done(task));
	CHECK_EQ(drive(&driven, 1), 1);
	CHECK(xyl_is_done(task));
	CHECK_EQ(xyl_result(task), 9);
	CHECK_EQ(drive(&driven, 10), 0);
	drive_end(&driven);
	CHECK_EQ(xyl_runtime_drive(driven.rt, 1), -EBUSY);
	CHECK_EQ(xyl_runtime_stop(driven.rt, 0), 0);
}

TEST(a_driven_runtime_cannot_be_started)
{
	struct driven driven = drive_begin(NULL);

	drive(&driven, 1);
	CHECK_EQ(xyl_runtime_start(driven.rt), -EBUSY);
	drive_end(&driven);
}

TEST(driving_never_waits)
{
	struct driven driven = drive_begin(NULL);

	CHECK(DRIVE_SPAWN(&driven, sleep_for, .ns = LONG_NS) != NULL);
	CHECK(drive(&driven, 100) >= 1);
	drive_end(&driven);
}

static bool is_readable(struct xyl_runtime *rt, int wait_ms)
{
	struct pollfd pollfd = { .fd = xyl_runtime_fd(rt), .events = POLLIN };

	CHECK(pollfd.fd >= 0);
	return poll(&pollfd, 1, wait_ms) == 1;
}

/* As a loop of the program's own would. */
static void poll_until_done(struct xyl_runtime *rt, const struct xyl_task *task)
{
	while (!xyl_is_done(task)) {
		CHECK(is_readable(rt, WAIT_MS));
		CHECK(xyl_runtime_drive(rt, 1) >= 0);
	}
}

/* What was on its way has been seen to. */
static void settle(struct xyl_runtime *rt)
{
	for (int i = 0; i < 100 && is_readable(rt, 0); i++)
		xyl_runtime_drive(rt, 1);
}

TEST(an_idle_runtime_is_not_readable)
{
	struct driven driven = drive_begin(NULL);

	settle(driven.rt);
	CHECK(!is_readable(driven.rt, 10));
	CHECK(DRIVE_SPAWN(&driven, sleep_for, .ns = LONG_NS) != NULL);
	settle(driven.rt);
	CHECK(!is_readable(driven.rt, 10));
	drive_end(&driven);
}

TEST(a_spawn_makes_it_readable)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task;

	settle(driven.rt);
	for (int i = 0; i < 10; i++) {
		task = DRIVE_SPAWN(&driven, give, .value = i);
		CHECK(task != NULL);
		poll_until_done(driven.rt, task);
		CHECK_EQ(xyl_result(task), i);
		settle(driven.rt);
		CHECK(!is_readable(driven.rt, 0));
	}
	drive_end(&driven);
}

TEST(a_spawn_before_the_descriptor_was_asked_for_makes_it_readable)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, sleep_for, .ns = XYL_MS);

	poll_until_done(driven.rt, task);
	drive_end(&driven);
}

TEST(a_timer_makes_it_readable)
{
	struct driven driven = drive_begin(NULL);

	for (int i = 0; i < 10; i++)
		poll_until_done(driven.rt, DRIVE_SPAWN(&driven, sleep_for, .ns = i * XYL_MS));
	drive_end(&driven);
}

TEST(a_completion_makes_it_readable)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task;
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	task = DRIVE_SPAWN(&driven, reader, .fd = ends[0]);
	CHECK(task != NULL);
	settle(driven.rt);
	CHECK(!is_readable(driven.rt, 10));
	CHECK(write(ends[1], "hello", 5) == 5);
	CHECK(is_readable(driven.rt, WAIT_MS));
	poll_until_done(driven.rt, task);
	CHECK_EQ(xyl_result(task), 5);
	close(ends[1]);
	drive_end(&driven);
}

/* An eventfd of the ring's would miss these: one eventfd does not signal another. */
TEST(an_eventfd_that_a_task_polls_makes_it_readable)
{
	struct driven driven = drive_begin(NULL);
	uint64_t one_more = 1;

	for (int i = 0; i < 10; i++) {
		int fd = eventfd(0, EFD_CLOEXEC);
		struct xyl_task *task = DRIVE_SPAWN(&driven, watch, .fd = fd);

		settle(driven.rt);
		CHECK(!is_readable(driven.rt, 0));
		CHECK(write(fd, &one_more, sizeof(one_more)) == sizeof(one_more));
		poll_until_done(driven.rt, task);
		CHECK_EQ(xyl_result(task), POLLIN);
		close(fd);
	}
	drive_end(&driven);
}

TEST(an_abort_makes_it_readable)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, sleep_for, .ns = LONG_NS);

	settle(driven.rt);
	CHECK(!is_readable(driven.rt, 0));
	xyl_abort(task);
	poll_until_done(driven.rt, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	drive_end(&driven);
}

struct setter {
	struct xyl_future *future;
	ssize_t value;
};

static void *set_it(void *arg)
{
	struct setter *setter = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_future_set(setter->future, setter->value), 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(a_post_from_another_thread_makes_it_readable)
{
	struct driven driven = drive_begin(NULL);

	for (int i = 0; i < 20; i++) {
		static struct setter setter;
		struct xyl_task *task;
		pthread_t thread;

		setter = (struct setter){ xyl_future_new(), i };
		task = DRIVE_SPAWN(&driven, get, .future = setter.future);
		settle(driven.rt);
		CHECK(!is_readable(driven.rt, 0));
		CHECK(pthread_create(&thread, NULL, set_it, &setter) == 0);
		poll_until_done(driven.rt, task);
		CHECK_EQ(xyl_result(task), i);
		pthread_join(thread, NULL);
	}
	drive_end(&driven);
}
