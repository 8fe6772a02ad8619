/* SPDX-License-Identifier: MIT */
/*
 * What does one trip to the kernel and back cost the loop?  Two tasks throw 64 bytes to and
 * fro over a Unix socketpair, and one task or 32 read 4 KiB of a cached file: for
 * instructions.sh, which counts what the library itself does for each.
 *
 *	roundtrip [N] [--once=K]	1: xyl_read, 2: xyl_read_some, 3: xyl_read_at,
 *					4: the same 32 at once
 *
 * What would make it lie: the process's own start (instructions.sh takes the difference
 * of two runs); turns that carry more than one trip (there is one ball; it is the reads of
 * 4 that share theirs).
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xylem/xylem.h>

enum { BALL = 64, BUFFER = 4096, DEPTH = 32 };

/* ---- to and fro ---- */

struct player {
	struct xyl_frame frame;
	struct xyl_io *io;
	long n;
	bool some, serves;
	char *buf, *bytes;
	ssize_t r;
};

static xyl_pending player_read(struct player *self)
{
	self->bytes = self->buf;
#ifndef BENCH_WITHOUT_SOME
	if (self->some)
		return xyl_read_some(self->io, &self->bytes);
#endif
	return xyl_read(self->io, self->buf, BUFFER);
}

static void player_done(struct player *self)
{
	bench_check(self->r == BALL, "the ball is caught");
#ifndef BENCH_WITHOUT_SOME
	if (self->some)
		xyl_read_done(self->bytes);
#endif
}

static xyl_step player(void *frame)
{
	struct player *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(BUFFER);
	if (self->serves)
		XYL_AWAIT(self->r, xyl_write_all(self->io, self->buf, BALL));
	while (self->n-- > 0) {
		XYL_AWAIT(self->r, player_read(self));
		bench_check(self->r == BALL, "the ball is caught");
		XYL_AWAIT(self->r, xyl_write_all(self->io, self->bytes, BALL));
		player_done(self);
	}
	XYL_END(0);
}

struct match {
	struct xyl_frame frame;
	long n;
	bool some;
	double *ret;
	int i;
	struct xyl_io *ios[2];
	struct xyl_task *tasks[2];
	int64_t t0;
	ssize_t r;
};

static xyl_step match(void *frame)
{
	struct match *self = frame;

	XYL_BEGIN(self)
	{
		int ends[2];

		bench_check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
		for (int i = 0; i < 2; i++)
			self->ios[i] = xyl_io_from_fd(ends[i]);
	}
	self->t0 = bench_now();
	for (self->i = 0; self->i < 2; self->i++)
		self->tasks[self->i] = xyl_spawn(player, .io = self->ios[self->i], .n = self->n,
						 .some = self->some, .serves = self->i == 0);
	for (self->i = 0; self->i < 2; self->i++)
		XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
	*self->ret = bench_ns_each(self->t0, self->n);
	for (self->i = 0; self->i < 2; self->i++)
		XYL_AWAIT(self->r, xyl_close(self->ios[self->i]));
	XYL_END(0);
}

static void with_read(long n, double *ret)
{
	bench_check(xyl_run(match, .n = n, .ret = ret) == 0, xyl_runtime_why());
}

static void with_some(long n, double *ret)
{
	bench_check(xyl_run(match, .n = n, .ret = ret, .some = true) == 0, xyl_runtime_why());
}

/* ---- a file in the cache ---- */

struct reader {
	struct xyl_frame frame;
	struct xyl_io *io;
	long n;
	void *buf;
	ssize_t r;
};

static xyl_step reader(void *frame)
{
	struct reader *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(BUFFER);
	while (self->n-- > 0) {
		XYL_AWAIT(self->r, xyl_read_at(self->io, self->buf, BUFFER, 0));
		bench_check(self->r == BUFFER, "4 KiB were read");
	}
	XYL_END(0);
}

struct readers {
	struct xyl_frame frame;
	long n;
	int depth, i;
	double *ret;
	struct xyl_io *io;
	struct xyl_task *tasks[DEPTH];
	int64_t t0;
	ssize_t r;
};

static int file_make(void)
{
	static const char block[BUFFER];
	const char *folder = getenv("TMPDIR");
	char path[4096];
	int file;

	snprintf(path, sizeof(path), "%s/bench-roundtrip-XXXXXX", folder ? folder : "/tmp");
	file = mkstemp(path);
	bench_check(file >= 0 && unlink(path) == 0, "a temporary file");
	bench_check(write(file, block, BUFFER) == BUFFER, "write");
	return file;
}

static xyl_step readers(void *frame)
{
	struct readers *self = frame;

	XYL_BEGIN(self)
	self->io = xyl_io_from_fd(file_make());
	self->t0 = bench_now();
	for (self->i = 0; self->i < self->depth; self->i++)
		self->tasks[self->i] = xyl_spawn(reader, .io = self->io,
						 .n = self->n / self->depth);
	for (self->i = 0; self->i < self->depth; self->i++)
		XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
	*self->ret = bench_ns_each(self->t0, self->n);
	XYL_AWAIT(self->r, xyl_close(self->io));
	XYL_END(0);
}

static void read_1(long n, double *ret)
{
	bench_check(xyl_run(readers, .n = n, .ret = ret, .depth = 1) == 0, xyl_runtime_why());
}

static void read_32(long n, double *ret)
{
	bench_check(xyl_run(readers, .n = n, .ret = ret, .depth = DEPTH) == 0, xyl_runtime_why());
}

static void alone(const char *question, bench_side *side)
{
	double figures[BENCH_FIGURES];

	bench_alone(side, bench_n(200000), 5, figures);
	bench_print(question, figures[0], "ns");
}

int main(int argc, char **argv)
{
	bench_init(argc, argv);
	alone("round trip of 64 bytes", with_read);
	alone("the same with xyl_read_some", with_some);
	alone("4 KiB cached read, one at a time", read_1);
	alone("4 KiB cached read, 32 at once", read_32);
	return 0;
}
