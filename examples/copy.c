/* SPDX-License-Identifier: MIT */
/*
 * copy.c - copies a file with 32 blocks in flight.
 *
 *	copy FROM TO
 *
 * The lesson: depth is a number of tasks.  Each worker is a plain loop, read a block
 * and write it, and 32 of them run side by side on one thread; the kernel sees up to
 * 32 reads and writes at once.  The workers share one small object and need no lock,
 * since a task gives way only where it awaits.
 *
 * Reads and writes may be short, also on a regular file.  Here each is a function of
 * its own that goes on until the block is complete; xyl_call awaits it like any other
 * operation.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xylem/xylem.h>

enum { DEPTH = 32, BLOCK_BYTES = 128 * 1024 };

/* What the workers share.  It lies in collected memory, and the frames of the
 * workers point at it; that is all it takes to keep it. */
struct job {
	struct xyl_io *from, *to;
	int64_t size; /* of the source, when the job began */
	int64_t next; /* where the next block begins */
	int64_t copied;
};

/* To stderr; returns the error, so that a caller can fail and say so in one line. */
static ssize_t complain(const char *what, ssize_t error)
{
	fprintf(stderr, "copy: %s: %s\n", what, strerror((int)-error));
	return error;
}

/* ---- a whole block, however many calls it takes ---------------------------------------- */

/* Both mean "nothing happened, ask again".  -ECANCELED does not: somebody wants us
 * to stop. */
static bool worth_another_try(ssize_t n)
{
	return n == -EINTR || n == -EAGAIN;
}

struct read_block {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	size_t len;
	int64_t at;
	size_t done;
	ssize_t n;
};

/* The bytes read: fewer than asked for only where the file ends. */
static xyl_step read_block(void *frame)
{
	struct read_block *self = frame;

	XYL_BEGIN(self)
	while (self->done < self->len) {
		XYL_AWAIT(self->n,
			  xyl_read_at(self->io, self->buf + self->done, self->len - self->done,
				      self->at + (int64_t)self->done));
		if (worth_another_try(self->n))
			continue;
		if (self->n < 0)
			XYL_RETURN(self->n);
		if (self->n == 0)
			break;
		self->done += (size_t)self->n;
	}
	XYL_END((ssize_t)self->done);
}

struct write_block {
	struct xyl_frame frame;
	struct xyl_io *io;
	const char *buf;
	size_t len;
	int64_t at;
	size_t done;
	ssize_t n;
};

static xyl_step write_block(void *frame)
{
	struct write_block *self = frame;

	XYL_BEGIN(self)
	while (self->done < self->len) {
		XYL_AWAIT(self->n,
			  xyl_write_at(self->io, self->buf + self->done, self->len - self->done,
				       self->at + (int64_t)self->done));
		if (worth_another_try(self->n))
			continue;
		if (self->n < 0)
			XYL_RETURN(self->n);
		if (self->n == 0)
			XYL_RETURN(-EIO); /* no progress and no reason: do not loop */
		self->done += (size_t)self->n;
	}
	XYL_END((ssize_t)self->done);
}

/* ---- one of 32 ------------------------------------------------------------------------- */

/* The next block nobody has taken yet; its length, 0 when there is none. */
static size_t block_take(struct job *job, int64_t *ret_at)
{
	int64_t left = job->size - job->next;
	size_t len = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;

	*ret_at = job->next;
	job->next += (int64_t)len;
	return len;
}

struct worker {
	struct xyl_frame frame;
	struct job *job;
	char *buf;
	size_t len;
	int64_t at;
	ssize_t n;
};

static xyl_step worker(void *frame)
{
	struct worker *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(BLOCK_BYTES);
	self->n = self->buf ? 0 : -ENOMEM;
	while (self->n >= 0 && (self->len = block_take(self->job, &self->at)) > 0) {
		XYL_AWAIT(self->n, xyl_call(read_block, .io = self->job->from, .buf = self->buf,
					    .len = self->len, .at = self->at));
		if (self->n <= 0)
			continue; /* an error, or the file has shrunk: see sizes_agree */
		XYL_AWAIT(self->n, xyl_call(write_block, .io = self->job->to, .buf = self->buf,
					    .len = (size_t)self->n, .at = self->at));
		if (self->n > 0)
			self->job->copied += self->n;
	}
	if (self->n < 0)
		self->job->next = self->job->size; /* the others find nothing more to take */
	XYL_END(self->n < 0 ? self->n : 0);
}

/* ---- the whole file -------------------------------------------------------------------- */

/* Both regular, and not one file under two names: emptying the target would then
 * empty the source.  The target is opened without O_TRUNC for that reason. */
static int files_check(struct job *job)
{
	struct stat from, to;

	if (fstat(xyl_io_fd(job->from), &from) < 0 || fstat(xyl_io_fd(job->to), &to) < 0)
		return -errno;
	if (!S_ISREG(from.st_mode) || !S_ISREG(to.st_mode))
		return -EINVAL;
	if (from.st_dev == to.st_dev && from.st_ino == to.st_ino)
		return -EEXIST;
	if (ftruncate(xyl_io_fd(job->to), 0) < 0)
		return -errno;
	job->size = from.st_size;
	return 0;
}

/* A file that grew or shrank meanwhile has not been copied. */
static int sizes_agree(const struct job *job)
{
	struct stat from, to;

	if (fstat(xyl_io_fd(job->from), &from) < 0 || fstat(xyl_io_fd(job->to), &to) < 0)
		return -errno;
	if (job->copied != job->size || from.st_size != job->size || to.st_size != job->size)
		return -EIO;
	return 0;
}

/* All the workers of a job: how many could be made, or -ENOMEM if none. */
static ssize_t workers_start(struct xyl_scope *scope, struct job *job)
{
	ssize_t n = 0;

	while (scope && n < DEPTH && xyl_scope_spawn(scope, worker, .job = job))
		n++;
	return n > 0 ? n : -ENOMEM;
}

struct copy_blocks {
	struct xyl_frame frame;
	struct job *job;
	struct xyl_scope *scope;
	ssize_t n;
};

static xyl_step copy_blocks(void *frame)
{
	struct copy_blocks *self = frame;

	XYL_BEGIN(self)
	self->n = files_check(self->job);
	if (self->n < 0)
		XYL_RETURN(complain("not a pair of different, regular files", self->n));
	self->scope = xyl_scope_new(NULL);
	self->n = workers_start(self->scope, self->job);
	if (self->n < 0)
		XYL_RETURN(complain("workers", self->n));

	/* Returns when the last worker has: 0, or what the first to fail returned. */
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	if (self->n < 0)
		XYL_RETURN(complain("copying", self->n));
	XYL_AWAIT(self->n, xyl_fsync(self->job->to));
	if (self->n < 0)
		XYL_RETURN(complain("fsync", self->n));
	self->n = sizes_agree(self->job);
	if (self->n < 0)
		complain("the sizes differ: the file changed while it was copied", self->n);
	XYL_END(self->n);
}

struct copy {
	struct xyl_frame frame;
	const char *from, *to;
	struct job *job;
	int64_t began;
	ssize_t n, closed;
};

static xyl_step copy(void *frame)
{
	struct copy *self = frame;

	XYL_BEGIN(self)
	self->job = xyl_new(struct job);
	if (!self->job)
		XYL_RETURN(complain("job", -ENOMEM));
	self->began = xyl_now();

	XYL_AWAIT(self->n, xyl_open(&self->job->from, self->from, O_RDONLY | O_CLOEXEC, 0));
	if (self->n < 0)
		XYL_RETURN(complain(self->from, self->n));
	XYL_AWAIT(self->n,
		  xyl_open(&self->job->to, self->to, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
	if (self->n < 0)
		complain(self->to, self->n);
	else
		XYL_AWAIT(self->n, xyl_call(copy_blocks, .job = self->job));

	/* The collector would close a forgotten handle too, but at a time of its choosing,
	 * and nobody would see the error: a close can fail where the write did not. */
	if (self->job->to) {
		XYL_AWAIT(self->closed, xyl_close(self->job->to));
		if (self->closed < 0 && self->n >= 0)
			self->n = complain(self->to, self->closed);
	}
	XYL_AWAIT(self->closed, xyl_close(self->job->from));
	if (self->n >= 0)
		printf("copied %lld bytes in %.3f s\n", (long long)self->job->copied,
		       (double)(xyl_now() - self->began) / (double)XYL_SEC);
	XYL_END(self->n);
}

int main(int argc, char **argv)
{
	ssize_t n;

	if (argc != 3) {
		fprintf(stderr, "usage: %s FROM TO\n", argv[0]);
		return 2;
	}
	n = xyl_run(copy, .from = argv[1], .to = argv[2]);
	if (n < 0 && xyl_runtime_why()[0])
		fprintf(stderr, "copy: %s\n", xyl_runtime_why());
	return n < 0 ? 1 : 0;
}
