/* SPDX-License-Identifier: MIT */
/*
 * What does an idle connection hold?  10 000 connected Unix sockets, a task waiting in
 * each: in xyl_read_some, which holds no buffer, beside xyl_read with one of its own, as large as
 * a provided one is.
 *
 * What would make it lie: tasks that have not got as far as the kernel (as many operations
 * are outstanding as there are connections); an array of them in the count (there is
 * none: the collector finds the tasks by the runtime); live bytes alone, so the resident
 * set as well; and untouched buffers, which are not resident (each reader of the second
 * kind has filled his once, as one who was ever busy has).
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <xylem/xylem.h>

enum { CONNECTIONS = 10000, BUFFER = 4064, SPARE_DESCRIPTORS = 64 };
enum { LIVE, RESIDENT, BUFFERS, LENT };

struct some {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *bytes;
	ssize_t n;
};

static xyl_step some(void *frame)
{
	struct some *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_some(self->io, &self->bytes));
	XYL_END(self->n);
}

struct plain {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	ssize_t n;
};

static xyl_step plain(void *frame)
{
	struct plain *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(BUFFER);
	bench_check(self->buf != NULL, "xyl_alloc_bytes");
	memset(self->buf, 1, BUFFER);
	XYL_AWAIT(self->n, xyl_read(self->io, self->buf, BUFFER));
	XYL_END(self->n);
}

struct idling {
	struct xyl_frame frame;
	long n, i;
	bool some;
	double *ret;
	uint64_t live_bytes;
	int64_t rss_bytes;
	ssize_t r;
};

static void park_one(bool with_some)
{
	int ends[2];
	struct xyl_io *io;
	struct xyl_task *task;

	bench_check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
	io = xyl_io_from_fd(ends[0]);
	bench_check(io != NULL, "xyl_io_from_fd");
	task = with_some ? xyl_spawn(some, .io = io) : xyl_spawn(plain, .io = io);
	bench_check(task != NULL, "xyl_spawn");
}

static struct xyl_stats stats_now(void)
{
	struct xyl_stats stats;

	xyl_runtime_stats(xyl_runtime_self(), &stats);
	return stats;
}

static uint64_t live_bytes(void)
{
	struct xyl_gc_stats stats;

	xyl_collect();
	xyl_gc_stats(&stats);
	return stats.live_bytes;
}

static void report(const struct idling *self)
{
	struct xyl_stats stats = stats_now();

	self->ret[LIVE] = (double)(live_bytes() - self->live_bytes) / (double)self->n;
	self->ret[RESIDENT] = (double)(bench_rss_bytes() - self->rss_bytes) / (double)self->n;
	self->ret[BUFFERS] = (double)stats.buffers;
	self->ret[LENT] = (double)stats.buffers_lent;
}

static xyl_step idling(void *frame)
{
	struct idling *self = frame;

	XYL_BEGIN(self)
	self->live_bytes = live_bytes();
	self->rss_bytes = bench_rss_bytes();
	for (self->i = 0; self->i < self->n; self->i++)
		park_one(self->some);
	while (stats_now().ops_outstanding < (uint64_t)self->n)
		XYL_AWAIT(self->r, xyl_yield());
	report(self);
	XYL_END(0); /* the runtime's stop aborts them all */
}

static void run(long n, double *ret, bool with_some)
{
	struct xyl_config config = { .quiesce_ns = 30 * XYL_SEC };

	bench_check(xyl_run_with(&config, idling, .n = n, .ret = ret, .some = with_some) == 0,
		    xyl_runtime_why());
}

static void in_read_some(long n, double *ret)
{
	run(n, ret, true);
}

static void in_read(long n, double *ret)
{
	run(n, ret, false);
}

/* Two descriptors each; as many as there can be. */
static long connections(void)
{
	struct rlimit limit;
	long possible;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	possible = ((long)limit.rlim_cur - SPARE_DESCRIPTORS) / 2;
	return possible < bench_n(CONNECTIONS) ? possible : bench_n(CONNECTIONS);
}

int main(int argc, char **argv)
{
	struct bench_pair pair;
	long n;

	bench_init(argc, argv);
	n = connections();
	bench_in_turn(in_read_some, in_read, n, 3, &pair);
	bench_print_beside("idle connection, live", pair.a[LIVE], "B", "xyl_read", pair.b[LIVE],
			   pair.ratio[LIVE]);
	bench_print_beside("idle connection, resident", pair.a[RESIDENT], "B", "xyl_read",
			   pair.b[RESIDENT], pair.ratio[RESIDENT]);
	bench_print("provided buffers for all of them", pair.a[BUFFERS], "");
	bench_print("of them lent", pair.a[LENT], "");
	return 0;
}
