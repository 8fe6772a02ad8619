/* SPDX-License-Identifier: MIT */
/*
 * work.h - something of everything, for a program in which things fail.
 *
 * Each part does what it can and counts what it could not do.  The program says which
 * errors may come of its faults:
 *
 *	static bool work_may_fail_with(ssize_t error, bool by_name)
 *	{
 *		return error == -ENOMEM;
 *	}
 *	static void work_refused(ssize_t error)
 *	{
 *		CHECK_EQ(error, -ENOMEM);
 *	}
 *	work_begin();
 *	CHECK_EQ(work_run(), 0);	how many things failed
 *	work_end();
 */
#ifndef TEST_WORK_H
#define TEST_WORK_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/raw.h"
#include <liburing.h>

#include "tests/run.h"
#include "xylem/xylem.h"

static bool work_may_fail_with(ssize_t error, bool by_name); /* in a look-up, too? */
static void work_refused(ssize_t error);		     /* why a runtime did not come to be */

static struct folder work_sockets, work_files;

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
	struct xyl_task *ended;
	struct xyl_future *future;
	struct xyl_cancel *token;
	struct xyl_actor *actor;
	struct xyl_signals *signals;
	struct xyl_metrics *metrics;
	struct xyl_io *io, *peer;
	struct xyl_interval *interval;
	struct xyl_backoff *backoff;
	char *buf, *some;
	int ends[2];
	ssize_t links[2];
	size_t failed, sum;
	ssize_t n;
	int i;
};

static xyl_async_fn names;

/* What was asked for, or what may come of a fault.  True: it was done. */
static bool done(struct work *self, ssize_t n, ssize_t expected)
{
	if (n == expected)
		return true;
	if (!work_may_fail_with(n, self->part == names))
		CHECK_EQ(n, expected);
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

/* Where there is no memory for a bound the operation does not go on without it. */
static xyl_step tokens(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(xyl_cancel_new(NULL));
	if (!made(self, self->token))
		XYL_RETURN((ssize_t)self->failed);
	XYL_AWAIT(self->n, xyl_until(xyl_call(child), self->token));
	done(self, self->n, 11);
	self->scope = xyl_scope_new(NULL);
	if (made(self, self->scope) && done(self, xyl_scope_fire(self->scope, self->token), 0)) {
		self->future = xyl_later(xyl_until(xyl_sleep(3600 * XYL_SEC), self->token));
		XYL_AWAIT(self->n, xyl_scope_close(self->scope));
		CHECK(xyl_cancel_is_fired(self->token));
		if (made(self, self->future)) {
			XYL_AWAIT(self->n, xyl_future_get(self->future));
			done(self, self->n, -ECANCELED);
		}
	}
	xyl_cancel_fire(self->token);
	XYL_AWAIT(self->n, xyl_cancel_wait(self->token));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_until(xyl_sleep(3600 * XYL_SEC), self->token));
	done(self, self->n, -ECANCELED);
	XYL_END((ssize_t)self->failed);
}

static void scope_fill(struct work *self)
{
	for (int i = 0; i < 10; i++)
		done(self, xyl_scope_root(self->scope, self->scope), 0);
	for (int i = 0; i < 10; i++)
		made(self, xyl_scope_spawn(self->scope, child));
}

static void groups_fill(struct work *self)
{
	for (uint64_t i = 0; i < 3; i++) {
		struct xyl_scope *group = xyl_scope_of(self->scope, i);

		if (!made(self, group))
			continue;
		made(self, xyl_scope_spawn(group, child));
		if (i == 0)
			done(self, xyl_scope_root(group, group), 0);
	}
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
	do
		XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->ended));
	while (self->n == 0);
	done(self, self->n, -ENOENT);
	groups_fill(self);
	xyl_scope_detach(self->scope);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	groups_fill(self);
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
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->ends) < 0) {
		done(self, -errno, 0);
		XYL_RETURN((ssize_t)self->failed);
	}
	self->io = take(self, self->ends[0]);
	self->peer = take(self, self->ends[1]);
	self->buf = xyl_alloc_bytes(64);
	if (self->io && self->peer && made(self, self->buf)) {
		XYL_AWAIT(self->n, xyl_write_all(self->io, "12345678", 8));
		if (done(self, self->n, 8)) {
			XYL_AWAIT(self->n, xyl_read(self->peer, self->buf, 4));
			self->i = done(self, self->n, 4) ? 4 : 8; /* are left */
			XYL_AWAIT(self->n, xyl_read_some(self->peer, &self->some));
			if (done(self, self->n, self->i))
				xyl_read_done(self->some);
			XYL_AWAIT(self->n, xyl_write_zc(self->peer, "90", 2));
			self->i = done(self, self->n, 2);
			XYL_AWAIT(self->n, xyl_within(xyl_read_some(self->io, &self->some),
						      self->i ? 60 * XYL_SEC : XYL_US));
			self->i = done(self, self->n, self->i ? 2 : -ETIMEDOUT) ? -ETIMEDOUT : 2;
			XYL_AWAIT(self->n, xyl_within(xyl_read(self->io, self->buf, 4),
						      self->i == 2 ? 60 * XYL_SEC : XYL_US));
			done(self, self->n, self->n == -ENOMEM ? -ETIMEDOUT : self->i);
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
	unlink(work_sockets.path);
	r = xyl_unix_listen(&self->io, work_sockets.path);
	if (!done(self, r, 0))
		XYL_RETURN((ssize_t)self->failed);
	XYL_AWAIT(self->n, xyl_unix_connect(&self->peer, work_sockets.path));
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

/* A thread looks the name up. */
static xyl_step names(void *frame)
{
	struct work *self = frame;
	int r;

	XYL_BEGIN(self)
	r = xyl_tcp_listen(&self->io, NULL, "0");
	if (!done(self, r, 0))
		XYL_RETURN((ssize_t)self->failed);
	self->buf = xyl_alloc_bytes(8);
	if (made(self, self->buf)) {
		raw_port(self->io, self->buf, 8);
		XYL_AWAIT(self->n, xyl_tcp_connect(&self->peer, "localhost", self->buf));
		if (done(self, self->n, 0)) {
			XYL_AWAIT(self->n, xyl_shutdown(self->peer, SHUT_WR));
			done(self, self->n, 0);
			XYL_AWAIT(self->n, xyl_close(self->peer));
			done(self, self->n, 0);
			XYL_AWAIT(self->n, xyl_accept(self->io, &self->peer));
			if (done(self, self->n, 0)) {
				XYL_AWAIT(self->n, xyl_close(self->peer));
				done(self, self->n, 0);
			}
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
	XYL_AWAIT(self->n, xyl_open(&self->io, work_files.path, O_RDWR | O_CREAT | O_TRUNC, 0600));
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
static int splices_open(struct work *self)
{
	int from[2], to[2];

	if (pipe2(from, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(to, O_CLOEXEC) < 0) {
		close(from[0]);
		close(from[1]);
		return -errno;
	}
	CHECK(write(from[1], "12345678", 8) == 8);
	self->io = take(self, from[0]);
	self->peer = take(self, to[1]);
	self->ends[0] = from[1];
	self->ends[1] = to[0];
	return 0;
}

static xyl_step splices(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	if (!done(self, splices_open(self), 0))
		XYL_RETURN((ssize_t)self->failed);
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
	if (!done(self, pipe2(self->ends, O_CLOEXEC) < 0 ? -errno : 0, 0))
		XYL_RETURN((ssize_t)self->failed);
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

static void metrics_make(struct work *self)
{
	static uint64_t value;

	self->metrics = xyl_metrics_new();
	if (!made(self, self->metrics))
		return;
	done(self, xyl_metrics_add_runtime(self->metrics, "runtime", xyl_runtime_self()), 0);
	done(self, xyl_metrics_add_heap(self->metrics, "heap"), 0);
	done(self, xyl_metrics_add(self->metrics, "value", XYL_COUNT, &value), 0);
}

/* A signal, and a monitor that writes its last lines. */
static xyl_step watching(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	if (done(self, xyl_signals_new(&self->signals, (int[]){ SIGUSR1 }, 1), 0)) {
		kill(getpid(), SIGUSR1); /* the thread of a started runtime blocks it */
		XYL_AWAIT(self->n, xyl_within(xyl_signals_next(self->signals), 60 * XYL_SEC));
		done(self, self->n, SIGUSR1);
		xyl_signals_close(self->signals);
	}
	metrics_make(self);
	self->io = take(self, open("/dev/null", O_WRONLY | O_CLOEXEC));
	if (!self->io)
		XYL_RETURN((ssize_t)self->failed);
	XYL_AWAIT(self->n,
		  xyl_within(xyl_call(xyl_monitor, .metrics = self->metrics, .to = self->io), 0));
	done(self, self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_close(self->io));
	done(self, self->n, 0);
	XYL_END((ssize_t)self->failed);
}

/* Adds its messages up. */
struct add {
	struct xyl_frame frame;
	int message;
	size_t *sum;
};

static xyl_step add(void *frame)
{
	struct add *self = frame;

	XYL_BEGIN(self)
	*self->sum += (size_t)self->message;
	XYL_END(0);
}

static void actor_done(void *ends, ssize_t result)
{
	(void)result;
	++*(int *)ends;
}

static struct xyl_actor *actor_start(struct work *self)
{
	const struct xyl_actor_options options = { .token = self->token,
						   .idle_ns = 3600 * XYL_SEC,
						   .done = actor_done,
						   .arg = &self->ends[0] };

	return xyl_actor_start(&options, add, .sum = &self->sum);
}

/* One without memory for the next message ends, once, and the others are told. */
static xyl_step actors(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	self->actor = self->token ? actor_start(self) : NULL;
	if (!made(self, self->actor))
		XYL_RETURN((ssize_t)self->failed);
	for (self->i = 1; self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_send(xyl_actor_mailbox(self->actor), &self->i));
		if (self->n == -EPIPE)
			self->failed++;
		else
			done(self, self->n, 0);
	}
	xyl_actor_stop(self->actor);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->ends[0], 1);
	if (done(self, self->n, 0))
		CHECK(self->failed || self->sum == 1 + 2);
	XYL_END((ssize_t)self->failed);
}

/* Where the kernel gets no thread of its own, a splice waits for one, for ever. */
static bool work_without_splices;

static xyl_step times(void *frame)
{
	struct work *self = frame;

	XYL_BEGIN(self)
	self->interval = xyl_interval_new(xyl_now(), XYL_US, XYL_BURST);
	for (self->i = 0; made(self, self->interval) && self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_interval_tick(self->interval));
		done(self, self->n, 1);
	}
	self->backoff = xyl_backoff_new(&(struct xyl_backoff_config){ .first_ns = XYL_US });
	for (self->i = 0; made(self, self->backoff) && self->i < 3; self->i++) {
		XYL_AWAIT(self->n, xyl_backoff_wait(self->backoff));
		done(self, self->n, 0);
	}
	done(self, xyl_clock_move(xyl_runtime_self(), XYL_US), 0);
	XYL_END((ssize_t)self->failed);
}

static xyl_async_fn *const parts[] = { tasks, tokens,  scopes,	    streams, connections, names,
				       files, splices, submissions, times,   watching,	  actors };

static xyl_step work(void *frame)
{
	struct work *self = frame;

	return self->part(frame);
}

/* All parts: how many things failed. */
struct all {
	struct xyl_frame frame;
	size_t failed, i;
	ssize_t n;
};

__attribute__((unused)) static xyl_step all(void *frame)
{
	struct all *self = frame;
	struct work here = { .failed = 0 };

	XYL_BEGIN(self)
	work_on_memory(&here);
	self->failed += here.failed;
	for (self->i = 0; self->i < sizeof(parts) / sizeof(*parts); self->i++) {
		if (work_without_splices && parts[self->i] == splices)
			continue;
		XYL_AWAIT(self->n, xyl_call(work, .part = parts[self->i]));
		if (self->n == -ENOMEM)
			self->n = 1;
		CHECK(self->n >= 0);
		self->failed += (size_t)self->n;
	}
	XYL_END((ssize_t)self->failed);
}

/* ---- the three ways to run them --------------------------------------------------------- */

static ssize_t work_failed(const struct xyl_task *task)
{
	CHECK(xyl_is_done(task));
	if (xyl_is_aborted(task))
		return 1; /* refused */
	CHECK(xyl_result(task) >= 0 || work_may_fail_with(xyl_result(task), false));
	return xyl_result(task) < 0 ? 1 : xyl_result(task);
}

static ssize_t work_was_refused(ssize_t error)
{
	work_refused(error);
	return 1;
}

static void work_stop(struct xyl_runtime *rt)
{
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	census_check_stats(rt);
}

__attribute__((unused)) static ssize_t work_run(void)
{
	ssize_t n = xyl_run(all);

	return n < 0 ? work_was_refused(n) : n;
}

struct told {
	struct xyl_frame frame;
	struct xyl_future *end;
	ssize_t n;
};

static xyl_step told(void *frame)
{
	struct told *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(all));
	xyl_future_set(self->end, 0);
	XYL_END(self->n);
}

/* A task that is refused sets no future. */
__attribute__((unused)) static ssize_t work_start(void)
{
	struct xyl_future *end = xyl_future_new();
	struct xyl_task *task = NULL;
	struct xyl_runtime *rt;
	ssize_t failed = 1;
	int r = end ? xyl_runtime_new(&rt, NULL) : 0;

	if (!end || r < 0)
		return end ? work_was_refused(r) : 1;
	r = xyl_runtime_start(rt);
	if (r < 0)
		work_refused(r);
	else
		task = xyl_runtime_spawn(rt, XYL_HERE, told, .end = end);
	while (task && !xyl_is_done(task))
		xyl_future_wait(end, 10 * XYL_MS);
	if (task)
		failed = work_failed(task);
	work_stop(rt);
	return failed;
}

/* Until it is done, or the ring cannot be had. */
static int work_drive_until(struct xyl_runtime *rt, int fd, const struct xyl_task *task)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	int r = 0;

	while (task && !xyl_is_done(task) && r >= 0) {
		CHECK(poll(&pollfd, 1, -1) == 1);
		r = xyl_runtime_drive(rt, 1);
	}
	return r;
}

/* A task whose runtime was never driven is refused when it stops. */
__attribute__((unused)) static ssize_t work_drive(void)
{
	struct xyl_task *task = NULL;
	struct xyl_runtime *rt;
	int fd, r = xyl_runtime_new(&rt, NULL);

	if (r < 0)
		return work_was_refused(r);
	fd = xyl_runtime_fd(rt);
	if (fd < 0)
		work_refused(fd);
	else
		task = xyl_runtime_spawn(rt, XYL_HERE, all);
	r = work_drive_until(rt, fd, task);
	if (r < 0)
		work_refused(r);
	work_stop(rt);
	return task ? work_failed(task) : 1;
}

__attribute__((unused)) static void work_begin(void)
{
	work_sockets = folder_make();
	work_files = folder_make();
}

__attribute__((unused)) static void work_end(void)
{
	folder_remove(&work_sockets);
	folder_remove(&work_files);
}

#endif
