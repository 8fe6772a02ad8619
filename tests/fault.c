/* SPDX-License-Identifier: MIT */
/*
 * The n-th allocation fails, for each n: an error, and nothing else, comes of it.
 *
 * The collector's allocators are this program's own: they count, and at the chosen call
 * and for some calls after it they give nothing.  The library collects and tries once
 * more before it believes that there is no memory, so that one failure is two calls.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <liburing.h>

#include "tests/run.h"
#include "xylem/xylem.h"

/* ---- the seam -------------------------------------------------------------------------- */

static atomic_size_t calls, fail_at, fail_count; /* fail_at 0: never */

static bool call_fails(void)
{
	size_t call = atomic_fetch_add(&calls, 1) + 1, at = atomic_load(&fail_at);

	return at && call >= at && call < at + atomic_load(&fail_count);
}

static void *real(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	CHECK(fn != NULL);
	return fn;
}

void *GC_malloc(size_t size);
void *GC_malloc_atomic(size_t size);
void GC_generic_malloc_many(size_t size, int kind, void **ret_list);

void *GC_malloc(size_t size)
{
	static void *(*fn)(size_t);

	if (!fn)
		fn = (void *(*)(size_t))(uintptr_t)real("GC_malloc");
	return call_fails() ? NULL : fn(size);
}

void *GC_malloc_atomic(size_t size)
{
	static void *(*fn)(size_t);

	if (!fn)
		fn = (void *(*)(size_t))(uintptr_t)real("GC_malloc_atomic");
	return call_fails() ? NULL : fn(size);
}

void GC_generic_malloc_many(size_t size, int kind, void **ret_list)
{
	static void (*fn)(size_t, int, void **);

	if (!fn)
		fn = (void (*)(size_t, int, void **))(uintptr_t)real("GC_generic_malloc_many");
	if (call_fails())
		*ret_list = NULL;
	else
		fn(size, kind, ret_list);
}

static void faults_plan(size_t at, size_t count)
{
	atomic_store(&calls, 0);
	atomic_store(&fail_count, count);
	atomic_store(&fail_at, at);
}

/* ---- the work ---------------------------------------------------------------------------- */

static char folder[] = "/tmp/xylem-fault-XXXXXX";
static char socket_path[64], file_path[64];

struct child {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step child(void *frame)
{
	struct child *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(XYL_US));
	if (self->n < 0)
		XYL_RETURN(self->n);
	XYL_END(11);
}

/* Too large for the lists of free frames. */
struct large {
	struct xyl_frame frame;
	char bytes[2000];
	ssize_t n;
};

static xyl_step large(void *frame)
{
	struct large *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(child));
	XYL_END(self->n);
}

struct work {
	struct xyl_frame frame;
	xyl_async_fn *part;
	struct xyl_scope *scope;
	struct xyl_future *future;
	struct xyl_io *io, *peer;
	char *buf;
	int ends[2];
	ssize_t links[2];
	size_t failed;
	ssize_t n;
	int i;
};

/* What was asked for, or no memory for it.  True: it was done. */
static bool done(struct work *self, ssize_t n, ssize_t expected)
{
	if (n == expected)
		return true;
	CHECK_EQ(n, -ENOMEM);
	self->failed++;
	return false;
}

static bool made(struct work *self, const void *obj)
{
	self->failed += !obj;
	return obj != NULL;
}

static void finalized(void *obj, void *arg)
{
	(void)obj;
	(void)arg;
}

static void work_on_memory(struct work *self)
{
	void *obj = xyl_alloc(5000);
	xyl_root root;

	made(self, xyl_strdup("text"));
	if (!made(self, obj))
		return;
	done(self, xyl_on_collect(obj, finalized, NULL), 0);
	made(self, xyl_weak_new(obj));
	root = xyl_root_add(obj);
	if (root.generation)
		CHECK(xyl_root_get(root) == obj);
	self->failed += !root.generation;
	xyl_root_drop(&root);
}

static xyl_step tasks(void *frame)
{
	struct work *self = frame;
	struct xyl_task *task;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < 3; self->i++) {
		task = xyl_spawn(child);
		if (!made(self, task))
			continue;
		XYL_AWAIT(self->n, xyl_join(task));
		done(self, self->n, 11);
	}
	XYL_AWAIT(self->n, xyl_call(large));
	done(self, self->n, 11);
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(XYL_US), 60 * XYL_SEC));
	done(self, self->n, 0);
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(3600 * XYL_SEC), XYL_US));
	done(self, self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_within(xyl_call(child), 60 * XYL_SEC));
	done(self, self->n, 11);
	self->future = xyl_later(xyl_sleep(XYL_US));
	if (made(self, self->future)) {
		XYL_AWAIT(self->n, xyl_future_get(self->future));
		done(self, self->n, 0);
	}
	self->future = xyl_later(xyl_call(child));
	if (made(self, self->future)) {
		XYL_AWAIT(self->n, xyl_future_get(self->future));
		done(self, self->n, 11);
	}
	self->future = xyl_later(xyl_within(xyl_call(large), 60 * XYL_SEC));
	if (made(self, self->future)) {
		XYL_AWAIT(self->n, xyl_future_get(self->future));
		done(self, self->n, 11);
	}
	XYL_END((ssize_t)self->failed);
}

static void scope_fill(struct work *self)
{
	for (int i = 0; i < 20; i++)
		done(self, xyl_scope_root(self->scope, self->scope), 0);
	for (int i = 0; i < 20; i++)
		made(self, xyl_scope_spawn(self->scope, child));
}

static xyl_step scopes(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	if (!made(self, self->scope))
		XYL_RETURN((ssize_t)self->failed);
	scope_fill(self);
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	done(self, self->n, 0);
	scope_fill(self);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	XYL_END((ssize_t)self->failed);
}

/* A handle for fd, or fd is closed. */
static struct xyl_io *take(struct work *self, int fd)
{
	struct xyl_io *io = xyl_io_from_fd(fd);

	if (!made(self, io))
		close(fd);
	return io;
}

static xyl_step streams(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->ends) == 0);
	self->io = take(self, self->ends[0]);
	self->peer = take(self, self->ends[1]);
	self->buf = xyl_alloc_bytes(64);
	if (self->io && self->peer && made(self, self->buf)) {
		XYL_AWAIT(self->n, xyl_write_all(self->io, "12345678", 8));
		if (done(self, self->n, 8)) {
			XYL_AWAIT(self->n, xyl_read(self->peer, self->buf, 4));
			done(self, self->n, 4);
			XYL_AWAIT(self->n, xyl_within(xyl_read(self->io, self->buf, 4), XYL_US));
			done(self, self->n, -ETIMEDOUT);
		}
	}
	if (self->io)
		XYL_AWAIT(self->n, xyl_close(self->io));
	if (self->io)
		done(self, self->n, 0);
	if (self->peer)
		XYL_AWAIT(self->n, xyl_close(self->peer));
	if (self->peer)
		done(self, self->n, 0);
	XYL_END((ssize_t)self->failed);
}

/* The connection waits in the backlog, so that nobody waits in vain. */
static xyl_step connections(void *frame)
{
	struct work *self = frame;
	int r;

	XYL_BEGIN(self)
	unlink(socket_path);
	r = xyl_unix_listen(&self->io, socket_path);
	if (!done(self, r, 0))
		XYL_RETURN((ssize_t)self->failed);
	XYL_AWAIT(self->n, xyl_unix_connect(&self->peer, socket_path));
	if (done(self, self->n, 0)) {
		XYL_AWAIT(self->n, xyl_close(self->peer));
		done(self, self->n, 0);
		XYL_AWAIT(self->n, xyl_accept(self->io, &self->peer));
		if (done(self, self->n, 0)) {
			XYL_AWAIT(self->n, xyl_close(self->peer));
			done(self, self->n, 0);
		}
	}
	XYL_AWAIT(self->n, xyl_close(self->io));
	done(self, self->n, 0);
	XYL_END((ssize_t)self->failed);
}

static xyl_step files(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_open(&self->io, file_path, O_RDWR | O_CREAT | O_TRUNC, 0600));
	if (!done(self, self->n, 0))
		XYL_RETURN((ssize_t)self->failed);
	self->buf = xyl_alloc_bytes(4096);
	if (made(self, self->buf)) {
		memset(self->buf, 7, 4096);
		XYL_AWAIT(self->n, xyl_write_at(self->io, self->buf, 4096, 0));
		if (done(self, self->n, 4096)) {
			XYL_AWAIT(self->n, xyl_read_at(self->io, self->buf, 4096, 0));
			done(self, self->n, 4096);
			XYL_AWAIT(self->n, xyl_fsync(self->io));
			done(self, self->n, 0);
		}
	}
	XYL_AWAIT(self->n, xyl_close(self->io));
	done(self, self->n, 0);
	XYL_END((ssize_t)self->failed);
}

/* Bytes in one pipe, room in another: handles on what is read from and written to. */
static void splices_open(struct work *self)
{
	int from[2], to[2];

	CHECK(pipe2(from, O_CLOEXEC) == 0 && pipe2(to, O_CLOEXEC) == 0);
	CHECK(write(from[1], "12345678", 8) == 8);
	self->io = take(self, from[0]);
	self->peer = take(self, to[1]);
	self->ends[0] = from[1];
	self->ends[1] = to[0];
}

static xyl_step splices(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	splices_open(self);
	if (self->io && self->peer) {
		XYL_AWAIT(self->n, xyl_splice(self->io, self->peer, 4));
		done(self, self->n, 4);
		XYL_AWAIT(self->n, xyl_within(xyl_splice(self->io, self->peer, 4), 60 * XYL_SEC));
		done(self, self->n, 4);
	}
	if (self->io)
		XYL_AWAIT(self->n, xyl_close(self->io));
	if (self->io)
		done(self, self->n, 0);
	if (self->peer)
		XYL_AWAIT(self->n, xyl_close(self->peer));
	if (self->peer)
		done(self, self->n, 0);
	close(self->ends[0]);
	close(self->ends[1]);
	XYL_END((ssize_t)self->failed);
}

static void prep_read(struct io_uring_sqe *sqe, void *arg)
{
	const struct work *self = arg;

	io_uring_prep_read(sqe, self->ends[0], self->buf, 4, 0);
}

static void prep_socket(struct io_uring_sqe *sqe, void *arg)
{
	(void)arg;
	io_uring_prep_socket(sqe, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
}

static xyl_pending link_both(struct work *self, ssize_t *results)
{
	return xyl_submit_linked((struct xyl_submission[]){ { .prep = prep_socket },
							    { .prep = prep_read,
							      .arg = self,
							      .pins = (void *[]){ self->buf },
							      .npins = 1 } },
				 2, results);
}

static xyl_step submissions(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	CHECK(pipe2(self->ends, O_CLOEXEC) == 0);
	CHECK(write(self->ends[1], "12345678", 8) == 8);
	self->buf = xyl_alloc_bytes(64);
	if (made(self, self->buf)) {
		XYL_AWAIT(self->n, xyl_submit(prep_read, self, (void *[]){ self->buf }, 1));
		done(self, self->n, 4);
		XYL_AWAIT(self->n, xyl_within(link_both(self, self->links), 60 * XYL_SEC));
		if (done(self, self->n, 0)) {
			CHECK_EQ(self->links[1], 4);
			CHECK_EQ(close((int)self->links[0]), 0);
		}
		CHECK(write(self->ends[1], "1234", 4) == 4); /* whoever had what was there */
		self->future = xyl_later(link_both(self, NULL));
		if (made(self, self->future)) {
			XYL_AWAIT(self->n, xyl_future_get(self->future));
			done(self, self->n, 0);
		}
	}
	close(self->ends[0]);
	close(self->ends[1]);
	XYL_END((ssize_t)self->failed);
}

static xyl_async_fn *const parts[] = { tasks, scopes,  streams,	   connections,
				       files, splices, submissions };

static xyl_step work(void *frame)
{
	struct work *self = frame;

	return self->part(frame);
}

struct all {
	struct xyl_frame frame;
	size_t failed, i;
	ssize_t n;
};

/* How many things failed. */
static xyl_step all(void *frame)
{
	struct all *self = frame;
	struct work here = { .failed = 0 };

	XYL_BEGIN(self)
	work_on_memory(&here);
	self->failed += here.failed;
	for (self->i = 0; self->i < sizeof(parts) / sizeof(*parts); self->i++) {
		XYL_AWAIT(self->n, xyl_call(work, .part = parts[self->i]));
		if (self->n == -ENOMEM)
			self->n = 1;
		CHECK(self->n >= 0);
		self->failed += (size_t)self->n;
	}
	XYL_END((ssize_t)self->failed);
}

static void folder_make(void)
{
	CHECK(mkdtemp(folder) != NULL);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
	snprintf(file_path, sizeof(file_path), "%s/file", folder);
}

static void folder_remove(void)
{
	unlink(socket_path);
	unlink(file_path);
	CHECK(rmdir(folder) == 0);
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
}

/* ---- the sweeps ------------------------------------------------------------------------------ */

/* What is closed late, or by a finalizer, is closed by now. */
static void settle(void)
{
	faults_plan(0, 0);
	for (int i = 0; i < 2; i++)
		xyl_collect();
	CHECK(xyl_run(child) == 11);
}

/* A run that could not start has no result of its own. */
static bool sweep_step(size_t at, size_t count, size_t *ret_failed)
{
	struct census before = census_take();
	ssize_t n;

	faults_plan(at, count);
	n = xyl_run(all);
	CHECK(n >= 0 || n == -ENOMEM);
	*ret_failed += n > 0 || n == -ENOMEM;
	n = (ssize_t)atomic_load(&calls);
	settle();
	census_check(&before, NULL);
	return (size_t)n >= at;
}

/* From the first allocation to the last; how many of them were missed. */
static size_t sweep(size_t count)
{
	size_t stride = test_scaled(1000) < 1000 ? 11 : 1; /* where a run is slow, a sample */
	size_t failed = 0, n = 1 + test_random() % stride;

	folder_make();
	settle();
	while (sweep_step(n, count, &failed))
		n += stride;
	folder_remove();
	CHECK(n > 10);
	return failed;
}

TEST(without_a_fault_all_succeeds)
{
	folder_make();
	faults_plan(0, 0);
	CHECK_EQ(RUN(all), 0);
	folder_remove();
}

/* A collection may have made room: the second try counts. */
TEST(a_failure_that_a_collection_mends_is_not_seen)
{
	CHECK_EQ(sweep(1), 0);
}

TEST(the_nth_allocation_fails)
{
	CHECK(sweep(2) > 0);
}

TEST(ten_allocations_in_a_row_fail)
{
	CHECK(sweep(20) > 0);
}

/* ---- a runtime with a thread of its own --------------------------------------------------------- */

static void started_step(void)
{
	struct xyl_runtime *rt = NULL;
	struct xyl_task *task;
	int r = xyl_runtime_new(&rt, NULL);

	CHECK(r == 0 || r == -ENOMEM);
	if (r < 0)
		return;
	r = xyl_runtime_start(rt);
	CHECK(r == 0 || r == -ENOMEM);
	task = r == 0 ? xyl_runtime_spawn(rt, XYL_HERE, child) : NULL;
	while (task && !xyl_is_done(task))
		sched_yield();
	if (task)
		CHECK(xyl_result(task) == 11 || xyl_result(task) == -ENOMEM ||
		      xyl_result(task) == -ECANCELED);
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	census_check_stats(rt);
}

TEST(starting_and_stopping_survive_each_failure)
{
	bool reached = true;

	settle();
	for (size_t n = 1; reached; n++) {
		struct census before = census_take();

		faults_plan(n, 2);
		started_step();
		reached = atomic_load(&calls) >= n;
		settle();
		census_check(&before, NULL);
	}
}
