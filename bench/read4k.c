/* SPDX-License-Identifier: MIT */
/*
 * How fast are 4 KiB reads of a file in the page cache, one at a time and 32 at once?
 * Beside raw liburing: *plain* (a ring with SINGLE_ISSUER and DEFER_TASKRUN) and *tuned*
 * (the same with file, buffers and ring registered), and beside pread.
 *
 * What would make it lie: a file that is not in the cache (16 MiB, read once before), or
 * offsets that a prefetcher follows (they are random, the same for each side), or a side
 * that reads nothing (each block begins with its number, and each side looks).
 */
#include "harness.h"

#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xylem/xylem.h>

enum { BLOCK = 4096, BLOCKS = 4096, DEPTH = 32 };

static int file;
static uint64_t random_state = 88172645463325252u;

static uint64_t next_block(void)
{
	return bench_random(&random_state) % BLOCKS;
}

static void block_check(const void *buf, ssize_t len, uint64_t number)
{
	uint64_t found;

	memcpy(&found, buf, sizeof(found));
	bench_check(len == BLOCK && found == number, "the right 4 KiB were read");
}

static void file_make(void)
{
	static uint64_t block[BLOCK / sizeof(uint64_t)];
	const char *folder = getenv("TMPDIR");
	char path[4096];

	snprintf(path, sizeof(path), "%s/bench-read4k-XXXXXX", folder ? folder : "/tmp");
	file = mkstemp(path);
	bench_check(file >= 0 && unlink(path) == 0, "a temporary file");
	for (uint64_t i = 0; i < BLOCKS; i++) {
		block[0] = i;
		bench_check(write(file, block, BLOCK) == BLOCK, "write");
	}
	for (uint64_t i = 0; i < BLOCKS; i++)
		bench_check(pread(file, block, BLOCK, (off_t)(i * BLOCK)) == BLOCK, "pread");
}

/* ---- Xylem: one task for each read in flight ---- */

struct reader {
	struct xyl_frame frame;
	struct xyl_io *io;
	long n;
	void *buf;
	uint64_t block;
	ssize_t r;
};

static xyl_step reader(void *frame)
{
	struct reader *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(BLOCK);
	while (self->n-- > 0) {
		self->block = next_block();
		XYL_AWAIT(self->r,
			  xyl_read_at(self->io, self->buf, BLOCK, (int64_t)self->block * BLOCK));
		block_check(self->buf, self->r, self->block);
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

static xyl_step readers(void *frame)
{
	struct readers *self = frame;

	XYL_BEGIN(self)
	self->io = xyl_io_from_fd(dup(file));
	self->t0 = bench_now();
	for (self->i = 0; self->i < self->depth; self->i++)
		self->tasks[self->i] = xyl_spawn(reader, .io = self->io,
						 .n = self->n / self->depth);
	for (self->i = 0; self->i < self->depth; self->i++)
		XYL_AWAIT(self->r, xyl_join(self->tasks[self->i]));
	*self->ret = 1e6 / bench_ns_each(self->t0, self->n);
	XYL_AWAIT(self->r, xyl_close(self->io));
	XYL_END(self->r);
}

static void xylem_1(long n, double *ret)
{
	bench_check(xyl_run(readers, .n = n, .depth = 1, .ret = ret) == 0, xyl_runtime_why());
}

static void xylem_32(long n, double *ret)
{
	bench_check(xyl_run(readers, .n = n, .depth = DEPTH, .ret = ret) == 0, xyl_runtime_why());
}

/* ---- raw liburing ---- */

struct raw {
	struct io_uring ring;
	char *bufs;
	uint64_t blocks[DEPTH];
	bool tuned;
};

static void raw_open(struct raw *raw, unsigned depth, bool tuned)
{
	struct iovec all = { NULL, (size_t)depth * BLOCK };
	unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

	raw->tuned = tuned;
	raw->bufs = aligned_alloc(BLOCK, all.iov_len);
	all.iov_base = raw->bufs;
	bench_check(io_uring_queue_init(2 * DEPTH, &raw->ring, flags) == 0, "io_uring");
	if (!tuned)
		return;
	bench_check(io_uring_register_ring_fd(&raw->ring) == 1, "register the ring");
	bench_check(io_uring_register_files(&raw->ring, &file, 1) == 0, "register the file");
	bench_check(io_uring_register_buffers(&raw->ring, &all, 1) == 0, "register buffers");
}

static void raw_start(struct raw *raw, unsigned slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&raw->ring);
	char *buf = raw->bufs + (size_t)slot * BLOCK;
	uint64_t block = next_block();

	raw->blocks[slot] = block;
	if (raw->tuned) {
		io_uring_prep_read_fixed(sqe, 0, buf, BLOCK, block * BLOCK, 0);
		sqe->flags |= IOSQE_FIXED_FILE;
	} else {
		io_uring_prep_read(sqe, file, buf, BLOCK, block * BLOCK);
	}
	io_uring_sqe_set_data64(sqe, slot);
}

static void raw_run(long n, double *ret, unsigned depth, bool tuned)
{
	struct raw raw;
	struct io_uring_cqe *cqe;
	unsigned head, reaped;
	long started = depth, done = 0;
	int64_t t0;

	raw_open(&raw, depth, tuned);
	t0 = bench_now();
	for (unsigned slot = 0; slot < depth; slot++)
		raw_start(&raw, slot);
	while (done < n) {
		io_uring_submit_and_wait(&raw.ring, 1);
		reaped = 0;
		io_uring_for_each_cqe(&raw.ring, head, cqe) {
			unsigned slot = (unsigned)cqe->user_data;

			block_check(raw.bufs + (size_t)slot * BLOCK, cqe->res, raw.blocks[slot]);
			reaped++;
			if (started < n) {
				raw_start(&raw, slot);
				started++;
			}
		}
		io_uring_cq_advance(&raw.ring, reaped);
		done += reaped;
	}
	ret[0] = 1e6 / bench_ns_each(t0, done);
	io_uring_queue_exit(&raw.ring);
	free(raw.bufs);
}

static void plain_1(long n, double *ret)
{
	raw_run(n, ret, 1, false);
}

static void plain_32(long n, double *ret)
{
	raw_run(n, ret, DEPTH, false);
}

static void tuned_1(long n, double *ret)
{
	raw_run(n, ret, 1, true);
}

static void tuned_32(long n, double *ret)
{
	raw_run(n, ret, DEPTH, true);
}

static void with_pread(long n, double *ret)
{
	static char buf[BLOCK] __attribute__((aligned(BLOCK)));
	int64_t t0 = bench_now();

	for (long i = 0; i < n; i++) {
		uint64_t block = next_block();

		block_check(buf, pread(file, buf, BLOCK, (off_t)(block * BLOCK)), block);
	}
	ret[0] = 1e6 / bench_ns_each(t0, n);
}

static void beside(const char *question, bench_side *xylem, const char *other, bench_side *side)
{
	struct bench_pair pair;

	bench_in_turn(xylem, side, bench_n(200000), 7, &pair);
	bench_print_beside(question, pair.a[0], "k/s", other, pair.b[0], pair.ratio[0]);
}

int main(int argc, char **argv)
{
	bench_init(argc, argv);
	file_make();
	beside("4 KiB cached read, depth 1", xylem_1, "liburing", plain_1);
	beside("4 KiB, depth 1, tuned", xylem_1, "liburing, tuned", tuned_1);
	beside("4 KiB, depth 1, pread", xylem_1, "pread", with_pread);
	beside("4 KiB cached read, depth 32", xylem_32, "liburing", plain_32);
	beside("4 KiB, depth 32, tuned", xylem_32, "liburing, tuned", tuned_32);
	return 0;
}
