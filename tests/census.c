/* SPDX-License-Identifier: MIT */
/* The census after every test: it names what a test left, and passes one that did not. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/harness.h"
#include "tests/leftovers.h"
#include "tests/living.h"
#include "xylem/xylem.h"

#define BUFFER_BYTES ((size_t)1 << 20)

/* ---- tests that would leave something, each in a child ------------------------------ */

static void run_it(void *test)
{
	dup2(STDERR_FILENO, STDOUT_FILENO);
	leftovers_patience(10 * XYL_MS);
	test_run(test, 1);
}

static char said[CHILD_TEXT];

/* Of a test that does this, its name and this is said. */
static void fails(void (*leak)(void), const char *saying)
{
	struct test test = { "one_that_leaks", leak, NULL };
	int status = child_run(run_it, &test, said);

	if (status != EXIT_FAILURE << 8 || !strstr(said, saying))
		printf("     status %#x; it said: %s\n", (unsigned)status, said);
	CHECK_EQ(status, EXIT_FAILURE << 8);
	CHECK(strstr(said, "FAIL one_that_leaks\n") != NULL);
	CHECK(strstr(said, saying) != NULL);
}

/* With all the patience there is. */
static void run_it_patiently(void *test)
{
	dup2(STDERR_FILENO, STDOUT_FILENO);
	test_run(test, 1);
}

static void passes(void (*clean)(void))
{
	struct test test = { "one_that_is_clean", clean, NULL };
	int status = child_run(run_it_patiently, &test, said);

	if (status || !strstr(said, "ok   one_that_is_clean\n"))
		printf("     status %#x; it said: %s\n", (unsigned)status, said);
	CHECK_EQ(status, 0);
	CHECK(strstr(said, "ok   one_that_is_clean\n") != NULL);
}

/* ---- descriptors ----------------------------------------------------------------------- */

static void leave_a_socket(void)
{
	dup2(socket(AF_UNIX, SOCK_STREAM, 0), 99);
}

static void close_what_is_not_ours(void)
{
	close(STDIN_FILENO);
}

static void put_another_in_its_place(void)
{
	dup2(eventfd(0, 0), STDIN_FILENO);
}

/* The census's own collection would close it. */
static void drop_a_handle(void)
{
	xyl_io_from_fd(fcntl(STDERR_FILENO, F_DUPFD, 99));
}

TEST(a_descriptor_left_open_is_named)
{
	fails(leave_a_socket, "left: fd 99 -> socket:[");
	fails(drop_a_handle, "left: fd 99 -> pipe:[");
}

TEST(a_descriptor_that_was_closed_or_replaced_is_named)
{
	fails(close_what_is_not_ours, "left: fd 0 -> ");
	fails(put_another_in_its_place, "left: fd 0 -> anon_inode:[eventfd]");
}

/* ---- threads and shards -------------------------------------------------------------------- */

static void *wait_for_ever(void *unused)
{
	while (pause())
		;
	return unused;
}

static void leave_a_thread(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
	pthread_setname_np(thread, "idler");
}

struct ask {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *byte;
	ssize_t n;
};

static xyl_step ask(void *frame)
{
	struct ask *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read(self->io, self->byte, 1));
	XYL_END(self->n);
}

static void leave_a_runtime(void)
{
	struct xyl_runtime *rt;
	int fds[2];

	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK(xyl_runtime_spawn(rt, XYL_HERE, sleep_for, .ns = LONG_NS) != NULL);
	CHECK(xyl_runtime_spawn(rt, XYL_HERE, sleep_for, .ns = LONG_NS) != NULL);
	CHECK(xyl_runtime_spawn(rt, XYL_HERE, ask, .io = xyl_io_from_fd(fds[0]),
				.byte = xyl_alloc_bytes(1)) != NULL);
	CHECK_EQ(xyl_runtime_drive(rt, 1), 3);
}

static void leave_a_started_runtime(void)
{
	struct xyl_runtime *rt;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
}

TEST(a_thread_that_still_runs_is_named)
{
	fails(leave_a_thread, ", idler\n");
}

TEST(a_runtime_that_was_not_stopped_is_told_with_what_is_in_it)
{
	fails(leave_a_runtime,
	      "not stopped: 1 operations outstanding, 3 tasks, 2 timers, 1 handles\n");
	CHECK(strstr(said, "anon_inode:[io_uring]") != NULL);
	fails(leave_a_started_runtime, ", not stopped: ");
	CHECK(strstr(said, "left: thread ") != NULL);
}

/* ---- roots and objects ----------------------------------------------------------------------- */

static int of_the_program;

static void leave_a_root(void)
{
	xyl_root_add(&of_the_program);
}

static void *forgotten;

static void leave_a_buffer(void)
{
	forgotten = xyl_alloc_bytes(BUFFER_BYTES);
}

/* Too small each to be seen, were there not so many. */
static void leave_a_list(void)
{
	for (size_t bytes = 0; bytes < BUFFER_BYTES; bytes += 64) {
		void **object = xyl_alloc(64);

		*object = forgotten;
		forgotten = object;
	}
}

TEST(a_root_that_is_still_held_is_dumped)
{
	fails(leave_a_root, "left: 1 roots, where there were 0\nroot 0.0 -> ");
}

/* Asked once the heap is there. */
static bool heap_is_counted(void)
{
	xyl_collect();
	return living_is_certain();
}

TEST(a_buffer_that_only_a_static_names_is_told)
{
	if (!heap_is_counted())
		SKIP("under valgrind the heap is not counted");
	fails(leave_a_buffer, " objects, where there were ");
	CHECK(strstr(said, "left: an object of 1048") != NULL);
}

TEST(small_objects_that_live_are_told_together)
{
	if (!heap_is_counted())
		SKIP("under valgrind the heap is not counted");
	fails(leave_a_list, " objects, where there were ");
}

#ifdef XYL_CHECK
TEST(the_check_build_says_where_what_lives_was_allocated)
{
	if (!heap_is_counted())
		SKIP("under valgrind the heap is not counted");
	fails(leave_a_buffer, "0 bytes into a collected object of 1048576 bytes, born at\n");
}
#endif

/* ---- what is no leftover --------------------------------------------------------------------- */

static void leave_nothing(void)
{
}

static void finalized(void *obj, void *arg)
{
	(void)obj;
	*(int *)arg = 1;
}

static void leave_garbage(void)
{
	CHECK_EQ(xyl_on_collect(xyl_alloc(BUFFER_BYTES), finalized, &of_the_program), 0);
	for (int i = 0; i < 8; i++)
		CHECK(xyl_alloc(BUFFER_BYTES) != NULL);
}

/* Where this is the first to use the collector, the thread of the census is not attached. */
static void *run_a_nap(void *unused)
{
	int attached = xyl_thread_attach();
	struct xyl_runtime *rt;

	CHECK(attached == 0 || attached == -EALREADY);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK(xyl_runtime_spawn(rt, XYL_HERE, sleep_for, .ns = LONG_NS) != NULL);
	CHECK_EQ(xyl_runtime_drive(rt, 1), 1);
	CHECK_EQ(xyl_runtime_stop(rt, XYL_SEC), 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return unused;
}

static void run_on_a_thread_that_ends(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, run_a_nap, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(a_test_that_leaves_nothing_or_garbage_passes)
{
	passes(leave_nothing);
	passes(leave_garbage);
	passes(run_on_a_thread_that_ends);
}

/* ---- excuses --------------------------------------------------------------------------------- */

static void leave_a_runtime_and_say_so(void)
{
	test_leaves(LEAVES_SHARDS | LEAVES_DESCRIPTORS | LEAVES_OBJECTS, "a runtime");
	leave_a_runtime();
}

static void leave_more_than_is_said(void)
{
	test_leaves(LEAVES_SHARDS | LEAVES_DESCRIPTORS | LEAVES_OBJECTS, "a runtime");
	leave_a_runtime();
	leave_a_root();
}

static void say_so_and_leave_nothing(void)
{
	test_leaves(LEAVES_SHARDS, "a runtime");
}

static void leave_a_root_and_skip(void)
{
	leave_a_root();
	SKIP("for no reason");
}

TEST(a_test_that_says_what_it_leaves_passes)
{
	passes(leave_a_runtime_and_say_so);
	CHECK(strstr(said, "one_that_is_clean leaves a runtime\nok   one_that_is_clean\n") != NULL);
}

TEST(an_excuse_covers_what_it_names_and_must_be_true)
{
	fails(leave_more_than_is_said, "left: 1 roots, where there were 0\n");
	CHECK(strstr(said, "left: shard") == NULL);
	fails(say_so_and_leave_nothing, "left: no shards, which the test says that it leaves\n");
}

TEST(a_test_that_is_skipped_is_no_exception)
{
	fails(leave_a_root_and_skip, "left: 1 roots, where there were 0\n");
}
