/* SPDX-License-Identifier: MIT */
/* What the check build says of a handle that was lost before anyone closed it. */
#include "tests/hand.h"
#include "tests/raw.h"

#ifdef XYL_CHECK
#include <sys/mman.h>

enum { LOST = 20 };

/* ---- what it said ------------------------------------------------------------------------- */

static int stderr_fd = -1;
static char said[256 * 1024];

static void stderr_catch(void)
{
	int fd = memfd_create("stderr", MFD_CLOEXEC);

	CHECK(fd >= 0);
	fflush(stderr);
	stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	CHECK(stderr_fd >= 0);
	CHECK(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
	close(fd);
}

static void stderr_give_back(void)
{
	ssize_t n = pread(STDERR_FILENO, said, sizeof(said) - 1, 0);

	CHECK(dup2(stderr_fd, STDERR_FILENO) == STDERR_FILENO);
	close(stderr_fd);
	CHECK(n >= 0);
	said[n] = 0;
}

static size_t times_said(const char *part)
{
	size_t times = 0;

	for (const char *at = said; (at = strstr(at, part)) != NULL; at++)
		times++;
	return times;
}

/* As often as it said anything at all. */
static void said_each_time(const char *part)
{
	if (times_said(part) != times_said("xylem: ") || !times_said(part))
		printf("     not each time: %s\n     in: %s", part, said);
	CHECK(times_said(part) > 0);
	CHECK_EQ(times_said(part), times_said("xylem: "));
}

/* Turn and collect until some of what the task lost was found, and it has ended. */
static void lose(const struct driven *driven, const struct xyl_task *task)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	stderr_catch();
	CHECK_EQ(hand_join(driven, task), 0);
	while (drive_stats(driven).handles_dropped == 0) {
		CHECK(xyli_clock() < until);
		xyl_collect();
		hand_turn(driven);
	}
	stderr_give_back();
	CHECK_EQ(times_said("xylem: xyl_close: not called for descriptor "),
		 drive_stats(driven).handles_dropped);
}

/* ---- made at once, by a task -------------------------------------------------------------- */

static char expected[256];
static int inner_line, outer_line;

struct inner {
	struct xyl_frame frame;
	struct xyl_io *io;
	int reader;
	ssize_t n;
};

static xyl_step inner(void *frame)
{
	struct inner *self = frame;

	XYL_BEGIN(self)
	inner_line = __LINE__ + 1;
	XYL_AWAIT(self->n, xyl_yield());
	self->io = raw_pipe_writer(&self->reader);
	XYL_AWAIT(self->n, xyl_write(self->io, "x", 1));
	CHECK_EQ(self->n, 1);
	close(self->reader);
	XYL_END(0);
}

struct outer {
	struct xyl_frame frame;
	int i;
	ssize_t n;
};

static xyl_step outer(void *frame)
{
	struct outer *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < LOST; self->i++) {
		outer_line = __LINE__ + 1;
		XYL_AWAIT(self->n, xyl_call(inner));
	}
	XYL_END(0);
}

TEST(a_lost_handle_is_told_with_the_frames_of_the_task_that_made_it)
{
	struct driven driven = drive_begin(NULL);

	lose(&driven, DRIVE_SPAWN(&driven, outer, .i = 0));
	snprintf(expected, sizeof(expected),
		 " (a pipe or device), whose handle nobody holds any more\n"
		 "  made by task outer, which had last awaited at\n"
		 "        inner  dropped.c:%d\n"
		 "        outer  dropped.c:%d\n"
		 "  0x",
		 inner_line, outer_line);
	said_each_time(expected);
	said_each_time(" is 0 bytes into a collected object of ");
	drive_end(&driven);
}

/* ---- brought by the kernel ------------------------------------------------------------------ */

struct opener {
	struct xyl_frame frame;
	struct xyl_io *io;
	int i;
	ssize_t n;
};

static int opener_line;

static xyl_step opener(void *frame)
{
	struct opener *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < LOST; self->i++) {
		opener_line = __LINE__ + 1;
		XYL_AWAIT(self->n, xyl_open(&self->io, "/proc/self/exe", O_RDONLY, 0));
		CHECK_EQ(self->n, 0);
	}
	XYL_END(0);
}

TEST(one_that_was_opened_is_told_with_the_line_of_the_open)
{
	struct driven driven = drive_begin(NULL);

	lose(&driven, DRIVE_SPAWN(&driven, opener, .i = 0));
	snprintf(expected, sizeof(expected),
		 " (a file), whose handle nobody holds any more\n"
		 "  made by task opener, which awaited it at\n"
		 "        opener  dropped.c:%d\n",
		 opener_line);
	said_each_time(expected);
	drive_end(&driven);
}

struct acceptor {
	struct xyl_frame frame;
	struct xyl_io *listener, *io;
	const char *path;
	int i, peer;
	ssize_t n;
};

static int acceptor_line;

static xyl_step acceptor(void *frame)
{
	struct acceptor *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(xyl_unix_listen(&self->listener, self->path), 0);
	for (self->i = 0; self->i < LOST; self->i++) {
		self->peer = raw_unix_connect(self->path);
		acceptor_line = __LINE__ + 1;
		XYL_AWAIT(self->n, xyl_accept(self->listener, &self->io));
		CHECK_EQ(self->n, 0);
		close(self->peer);
	}
	XYL_AWAIT(self->n, xyl_close(self->listener));
	XYL_END(0);
}

TEST(one_that_was_accepted_is_told_with_the_line_of_the_accept)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();

	lose(&driven, DRIVE_SPAWN(&driven, acceptor, .path = folder.path));
	snprintf(expected, sizeof(expected),
		 " (a socket), whose handle nobody holds any more\n"
		 "  made by task acceptor, which awaited it at\n"
		 "        acceptor  dropped.c:%d\n",
		 acceptor_line);
	said_each_time(expected);
	folder_remove(&folder);
	drive_end(&driven);
}

/* ---- deep down ------------------------------------------------------------------- */

struct deep {
	struct xyl_frame frame;
	int depth;
	ssize_t n;
};

static xyl_step deep(void *frame)
{
	struct deep *self = frame;

	XYL_BEGIN(self)
	if (self->depth > 0)
		XYL_AWAIT(self->n, xyl_call(deep, .depth = self->depth - 1));
	else
		XYL_AWAIT(self->n, xyl_call(outer));
	XYL_END(0);
}

TEST(of_a_deep_task_the_innermost_frames_are_told)
{
	struct driven driven = drive_begin(NULL);

	lose(&driven, DRIVE_SPAWN(&driven, deep, .depth = 20));
	said_each_time("  made by task deep, which had last awaited at\n        inner  dropped.c:");
	said_each_time("        (and 15 more)\n");
	CHECK_EQ(times_said("        deep  dropped.c:"), 6 * times_said("xylem: "));
	drive_end(&driven);
}

/* ---- what is not told ------------------------------------------------------------------------ */

static struct xyl_io *kept[LOST];

struct keeper {
	struct xyl_frame frame;
	int i, reader;
	ssize_t n;
};

static xyl_step keeper(void *frame)
{
	struct keeper *self = frame;

	XYL_BEGIN(self)
	kept[self->i] = raw_pipe_writer(&self->reader);
	XYL_AWAIT(self->n, xyl_write(kept[self->i], "x", 1));
	close(self->reader);
	XYL_AWAIT(self->n, xyl_sleep(3600 * XYL_SEC));
	XYL_END(self->n);
}

TEST(what_is_open_at_the_stop_is_not_told)
{
	struct driven driven;

	stderr_catch();
	driven = drive_begin(NULL);
	for (int i = 0; i < LOST; i++)
		CHECK(DRIVE_SPAWN(&driven, keeper, .i = i) != NULL);
	hand_turns(&driven, 3);
	drive_end(&driven);
	stderr_give_back();
	CHECK_EQ(drive_stats(&driven).handles_closed_by_stop, LOST);
	CHECK_EQ(times_said("xylem: "), 0);
	memset(kept, 0, sizeof(kept));
}

struct late_loser {
	struct xyl_frame frame;
	ssize_t n;
};

/* In its cleanup, while the runtime stops. */
static xyl_step late_loser(void *frame)
{
	struct late_loser *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(3600 * XYL_SEC));
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_call(outer));
	for (int i = 0; i < 3; i++)
		xyl_collect();
	XYL_AWAIT(self->n, xyl_sleep(0));
	xyl_shield_end();
	XYL_END(0);
}

TEST(nor_what_is_found_while_it_stops)
{
	struct driven driven;

	stderr_catch();
	driven = drive_begin(NULL);
	CHECK(DRIVE_SPAWN(&driven, late_loser) != NULL);
	hand_turn(&driven);
	drive_end(&driven);
	stderr_give_back();
	CHECK(drive_stats(&driven).handles_dropped > 0);
	CHECK_EQ(times_said("xylem: "), 0);
}

/* ---- outside a task; last, for a few of them may be closed much later ----- */

static __attribute__((noinline)) void lose_outside(void)
{
	for (int i = 0; i < LOST; i++) {
		int reader;

		raw_pipe_writer(&reader);
		close(reader);
	}
}

static __attribute__((noinline)) void stack_overwrite(void)
{
	char volatile room[4096];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 0;
}

TEST(one_that_no_task_made_and_none_used_is_told_too)
{
	struct driven driven = drive_begin(NULL);
	int64_t until = xyli_clock() + HAND_PATIENCE;

	stderr_catch();
	lose_outside();
	while (test_fd_count() > driven.before.fds + LOST / 2) {
		CHECK(xyli_clock() < until);
		xyl_collect();
		hand_turn(&driven);
	}
	stderr_give_back();
	said_each_time("  made outside a task\n  0x");
	for (int i = 0; i < 100 && test_fd_count() > driven.before.fds; i++) {
		stack_overwrite(); /* over what the stack still says of the last few */
		xyl_collect();
		hand_turn(&driven);
	}
	CHECK_EQ(xyl_runtime_stop(driven.rt, XYL_SEC), 0);
}

#else

TEST(the_check_build_tells_of_lost_handles)
{
	SKIP("this is not the check build");
}

#endif
