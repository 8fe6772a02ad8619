/* SPDX-License-Identifier: MIT */
/* What the system grants runs out: descriptors, locked memory, threads. */
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>

#include "gc/check.h"
#include "tests/child.h"
#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"
#include "tests/work.h"
#include "xylem/xylem.h"

/* ---- what may come of it ----------------------------------------------------------------- */

static int expected;	     /* the error of this limit */
static const char *says;     /* and what it is called */
static unsigned not_started; /* runtimes that did not come to be */

/* A resolver without descriptors or threads makes its own of it. */
static bool work_may_fail_with(ssize_t error, bool by_name)
{
	return error == -expected || (by_name && (error == -EAGAIN || error == -ENOENT));
}

static void work_refused(ssize_t error)
{
	CHECK_EQ(error, -expected);
	if (!strstr(xyl_runtime_why(), says))
		printf("     no \"%s\" in: %s\n", says, xyl_runtime_why());
	CHECK(strstr(xyl_runtime_why(), says) != NULL);
	not_started++;
}

static void expect(int error, const char *text)
{
	expected = error;
	says = text;
	not_started = 0;
}

static void limit_set(__rlimit_resource_t resource, rlim_t now)
{
	struct rlimit limit;

	CHECK(getrlimit(resource, &limit) == 0);
	limit.rlim_cur = now < limit.rlim_max ? now : limit.rlim_max;
	CHECK(setrlimit(resource, &limit) == 0);
}

/* ---- descriptors ------------------------------------------------------------------------- */

static rlim_t descriptors_now;

/* So many more than are open now. */
static void descriptors_leave(size_t free)
{
	struct rlimit limit;
	int lowest = dup(STDIN_FILENO);

	CHECK(lowest >= 0);
	close(lowest);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	descriptors_now = limit.rlim_cur;
	limit_set(RLIMIT_NOFILE, (rlim_t)lowest + free);
}

static void descriptors_restore(void)
{
	limit_set(RLIMIT_NOFILE, descriptors_now);
}

/* What is closed late, or by a finalizer, is closed by now. */
static void settle(void)
{
	for (int i = 0; i < 2; i++)
		xyl_collect();
	CHECK(xyl_run(child) == 11);
}

/* From none to enough of them: each step less fails. */
static void descriptors_sweep(void *way)
{
	ssize_t failed = 1;
	size_t free;

	setenv("RES_OPTIONS", "timeout:1 attempts:1", 1); /* should it ask a name server */
	expect(EMFILE, "RLIMIT_NOFILE");
	work_begin();
	settle();
	for (free = 0; failed > 0; free++) {
		struct census before = census_take();

		descriptors_leave(free);
		failed = (*(ssize_t(**)(void))way)();
		descriptors_restore();
		settle();
		census_check(&before, NULL);
	}
	CHECK(not_started >= 2); /* the doorbell, the ring */
	CHECK(free > not_started + 2u && free < 30);
	work_end();
}

TEST(each_number_of_descriptors_is_enough_or_an_error)
{
	ssize_t (*ways[])(void) = { work_run, work_start, work_drive };

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		child_succeeds(descriptors_sweep, &ways[i]);
}

enum { CLIENTS = 5, ROOM = 40 };

struct queue {
	struct driven driven;
	struct folder folder;
	struct xyl_io *io, **accepted; /* in collected memory: the kernel writes there late */
	struct xyl_task *tasks[CLIENTS];
	int clients[CLIENTS];
};

static void queue_begin(struct queue *queue)
{
	*queue = (struct queue){ .driven = drive_begin(NULL), .folder = folder_make() };
	queue->accepted = xyl_alloc(CLIENTS * sizeof(struct xyl_io *));
	CHECK_EQ(xyl_unix_listen(&queue->io, queue->folder.path), 0);
}

static void queue_connect(struct queue *queue)
{
	for (int i = 0; i < CLIENTS; i++) {
		queue->clients[i] = raw_unix_connect(queue->folder.path);
		CHECK_EQ(write(queue->clients[i], &(char){ (char)('a' + i) }, 1), 1);
	}
}

static void queue_accept(struct queue *queue)
{
	for (int i = 0; i < CLIENTS; i++)
		queue->tasks[i] = DRIVE_SPAWN(&queue->driven, hand_accept, .io = queue->io,
					      .ret_io = &queue->accepted[i]);
}

/* Each acceptor has this. */
static void queue_check(struct queue *queue, ssize_t result)
{
	for (int i = 0; i < CLIENTS; i++) {
		CHECK_EQ(hand_join(&queue->driven, queue->tasks[i]), result);
		CHECK_EQ(queue->accepted[i] != NULL, result == 0);
	}
}

static void queue_end(struct queue *queue)
{
	char *name = xyl_alloc_bytes(1);

	for (int i = 0; i < CLIENTS; i++) {
		struct xyl_io *io = queue->accepted[i];

		CHECK_EQ(HAND_READ(&queue->driven, .io = io, .buf = name, .len = 1), 1);
		CHECK_EQ(*name, 'a' + i);
		HAND_CLOSE(&queue->driven, io);
		close(queue->clients[i]);
	}
	HAND_CLOSE(&queue->driven, queue->io);
	folder_remove(&queue->folder);
	drive_end(&queue->driven);
}

static int spare[ROOM];

/* All that are left; how many. */
static size_t descriptors_take(void)
{
	size_t n = 0;
	int fd;

	while ((fd = dup(STDIN_FILENO)) >= 0)
		spare[n++] = fd;
	CHECK_EQ(errno, EMFILE);
	return n;
}

static void descriptors_give(size_t n)
{
	while (n > 0)
		close(spare[--n]);
}

/* Whoever waits is told; no connection is lost, and none is out of order. */
static void accept_at_the_limit(void *wait_first)
{
	struct queue queue;
	size_t taken;

	descriptors_leave(ROOM); /* a ring remembers the limit that an accept began with */
	queue_begin(&queue);
	if (*(bool *)wait_first) {
		queue_accept(&queue);
		hand_turn(&queue.driven);
		for (int i = 0; i < CLIENTS; i++)
			CHECK(!xyl_is_done(queue.tasks[i]));
	}
	queue_connect(&queue);
	taken = descriptors_take();
	if (!*(bool *)wait_first)
		queue_accept(&queue);
	queue_check(&queue, -EMFILE);
	descriptors_give(taken);
	queue_accept(&queue);
	queue_check(&queue, 0);
	queue_end(&queue);
}

TEST(who_accepts_without_a_descriptor_is_told_and_the_connections_wait)
{
	xyl_collect(); /* starts the library, which then knows */
	if (xyli_check_valgrind())
		SKIP("valgrind keeps the limit itself, and the kernel does not know");
	for (int wait_first = 0; wait_first < 2; wait_first++)
		child_succeeds(accept_at_the_limit, &(bool){ wait_first });
}

/* ---- as nobody: root is exempt from the others ---------------------------------------------- */

enum { NOBODY = 65534, CANNOT = 3 };

static void become_nobody(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(CANNOT);
}

/* False: only root can become nobody. */
static bool nobody_succeeds(void (*fn)(void *arg))
{
	int status = child_run(fn, NULL, NULL);

	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT)
		return false;
	CHECK_EQ(status, 0);
	return true;
}

#define NOBODY_SUCCEEDS(fn)         \
	if (!nobody_succeeds((fn))) \
	SKIP("only root can become nobody, who has limits")

/* Until Linux 5.12 rings are locked memory; since then nothing is. */
static void run_without_locked_memory(void *unused)
{
	(void)unused;
	become_nobody();
	limit_set(RLIMIT_MEMLOCK, 0);
	expect(ENOMEM, "RLIMIT_MEMLOCK");
	work_begin();
	if (work_run() > 0)
		CHECK_EQ(not_started, 1);
	work_end();
}

TEST(without_locked_memory_it_runs_or_says_so)
{
	NOBODY_SUCCEEDS(run_without_locked_memory);
}

static void start_without_threads(void *unused)
{
	struct xyl_task *task;
	struct xyl_runtime *rt;
	struct census before;

	(void)unused;
	become_nobody();
	xyl_collect();
	before = census_take();
	limit_set(RLIMIT_NPROC, 0);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), -EAGAIN);
	CHECK(strstr(xyl_runtime_why(), "thread") != NULL);
	task = xyl_runtime_spawn(rt, XYL_HERE, child);
	while (!xyl_is_done(task))
		CHECK(xyl_runtime_drive(rt, 1) >= 0);
	CHECK_EQ(xyl_result(task), 11);
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	census_check(&before, rt);
}

TEST(a_runtime_that_gets_no_thread_says_so_and_can_still_be_driven)
{
	xyl_collect(); /* starts the library, which knows where it is */
	if (xyli_check_valgrind())
		SKIP("helgrind reports that there is no thread");
	NOBODY_SUCCEEDS(start_without_threads);
}

struct dial {
	struct xyl_frame frame;
	const char *host;
	struct xyl_io *io, *peer;
	char port[8];
	ssize_t n, result;
};

/* What connecting to that host gives. */
static xyl_step dial(void *frame)
{
	struct dial *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(xyl_tcp_listen(&self->io, "127.0.0.1", "0"), 0);
	raw_port(self->io, self->port, sizeof(self->port));
	XYL_AWAIT(self->result, xyl_tcp_connect(&self->peer, self->host, self->port));
	if (self->result == 0) {
		XYL_AWAIT(self->n, xyl_close(self->peer));
		CHECK_EQ(self->n, 0);
	}
	XYL_AWAIT(self->n, xyl_close(self->io));
	CHECK_EQ(self->n, 0);
	XYL_END(self->result);
}

static void look_up_without_threads(void *unused)
{
	(void)unused;
	become_nobody();
	xyl_collect();
	limit_set(RLIMIT_NPROC, 0);
	CHECK_EQ(RUN(dial, .host = "localhost"), -EAGAIN);
	CHECK_EQ(RUN(dial, .host = "127.0.0.1"), 0); /* no name: no thread */
}

TEST(a_name_that_gets_no_thread_is_an_error)
{
	NOBODY_SUCCEEDS(look_up_without_threads);
}

/* The kernel's own threads count, too: what needs one is no abort, and fails. */
static void work_without_threads(void *unused)
{
	ssize_t failed;

	(void)unused;
	become_nobody();
	xyl_collect();
	limit_set(RLIMIT_NPROC, 0);
	expect(EAGAIN, "");
	work_without_splices = true;
	work_begin();
	failed = RUN(all);
	CHECK(failed >= 1 && failed <= 3); /* the name; the open or the fsync, if it waits */
	work_end();
}

TEST(an_operation_that_gets_no_thread_fails_and_the_others_are_done)
{
	NOBODY_SUCCEEDS(work_without_threads);
}
