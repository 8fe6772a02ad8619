/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - counts lines, words and bytes of many files, as wc(1) does, eight at a time.
 *
 *	pipeline [FILE...]	no file, or -: the standard input
 *
 * The lesson: stages joined by channels.  One task hands out files, eight count them, and
 * one prints:
 *
 *	feed ──> work ──> 8 workers ──> results ──> print
 *
 * The channels hold little or nothing, so each stage waits for the next: no more files are
 * open than there are workers, however many there are to be counted.  What went wrong with
 * a file is a part of its result, and its worker takes the next one.
 *
 * Counting a file is one line: a fold over the stream of its blocks.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xylem/xylem.h>

enum { WORKERS = 8, BLOCK_BYTES = 64 * 1024 };

struct count {
	const char *name; /* NULL: the standard input, that nobody named */
	unsigned long lines, words, bytes;
	bool in_word, done;
	ssize_t error;
};

static bool is_stdin(const struct count *count)
{
	return !count->name || strcmp(count->name, "-") == 0;
}

/* ---- one file -------------------------------------------------------------------------- */

static int count_block(void *acc, const void *elem)
{
	const struct xyl_bytes *block = elem;
	struct count *count = acc;

	count->bytes += block->len;
	for (size_t i = 0; i < block->len; i++) {
		unsigned char c = (unsigned char)block->bytes[i];
		bool in_word = !isspace(c) && (count->in_word || isprint(c));

		count->lines += c == '\n';
		count->words += in_word && !count->in_word;
		count->in_word = in_word;
	}
	return 0;
}

struct count_file {
	struct xyl_frame frame;
	struct count *count;
	struct xyl_io *io;
	ssize_t n, ignored;
};

static xyl_step count_file(void *frame)
{
	struct count_file *self = frame;

	XYL_BEGIN(self)
	if (is_stdin(self->count)) {
		self->io = xyl_io_from_fd(dup(STDIN_FILENO));
		self->n = self->io ? 0 : -EBADF;
	} else {
		XYL_AWAIT(self->n, xyl_open(&self->io, self->count->name, O_RDONLY, 0));
	}
	if (self->n < 0)
		XYL_RETURN(self->n);
	XYL_AWAIT(self->n, xyl_stream_fold(xyl_stream_blocks(self->io, BLOCK_BYTES), self->count,
					   count_block));
	XYL_AWAIT(self->ignored, xyl_close(self->io));
	XYL_END(self->n);
}

/* ---- the stages ------------------------------------------------------------------------ */

struct feed {
	struct xyl_frame frame;
	struct count *counts;
	int n, i;
	struct xyl_chan *work;
	struct count *next;
	ssize_t r;
};

static xyl_step feed(void *frame)
{
	struct feed *self = frame;

	XYL_BEGIN(self)
	for (self->r = 0; self->i < self->n && self->r == 0; self->i++) {
		self->next = &self->counts[self->i];
		XYL_AWAIT(self->r, xyl_send(self->work, &self->next));
	}
	xyl_chan_close(self->work); /* the workers finish what they have, and end */
	XYL_END(self->r);
}

struct worker {
	struct xyl_frame frame;
	struct xyl_chan *work, *results;
	struct count *count;
	ssize_t r;
};

static xyl_step worker(void *frame)
{
	struct worker *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, xyl_recv(self->work, &self->count));
		if (self->r < 0)
			break;
		XYL_AWAIT(self->count->error, xyl_call(count_file, .count = self->count));
		XYL_AWAIT(self->r, xyl_send(self->results, &self->count));
		if (self->r < 0)
			break;
	}
	XYL_END(self->r == -EPIPE ? 0 : self->r);
}

/* ---- what is printed, as wc prints it ---------------------------------------------------- */

/* Wide enough for the sum of all sizes, as far as these can be known before. */
static int width_of(const struct count *counts, int n)
{
	unsigned long total = 0;
	int width = 1, least = 1;
	struct stat status;

	for (int i = 0; i < n; i++) {
		if ((is_stdin(&counts[i]) ? fstat(STDIN_FILENO, &status)
					  : stat(counts[i].name, &status)) < 0)
			continue;
		if (S_ISREG(status.st_mode))
			total += (unsigned long)status.st_size;
		else
			least = 7;
	}
	for (; total >= 10; total /= 10)
		width++;
	return width > least ? width : least;
}

static void count_print(const struct count *count, int width)
{
	printf("%*lu %*lu %*lu%s%s\n", width, count->lines, width, count->words, width,
	       count->bytes, count->name ? " " : "", count->name ? count->name : "");
}

/* wc counts what it has read of a file before an error, and so a directory as nothing. */
static void result_print(const struct count *count, int width, struct count *total)
{
	if (count->error < 0)
		fprintf(stderr, "pipeline: %s: %s\n", count->name ? count->name : "-",
			strerror((int)-count->error));
	if (count->error >= 0 || count->error == -EISDIR || count->bytes > 0)
		count_print(count, width);
	total->lines += count->lines;
	total->words += count->words;
	total->bytes += count->bytes;
	if (count->error < 0)
		total->error = count->error;
}

/* ---- all of it ------------------------------------------------------------------------- */

struct pipeline {
	struct xyl_frame frame;
	int argc;
	char **argv;
	struct count *counts, *result, total;
	struct xyl_chan *work, *results;
	struct xyl_scope *scope;
	int n, received, printed, width;
	ssize_t r, ignored;
};

/* A task for each stage, but for the last, which is ours. */
static int stages_start(struct pipeline *self)
{
	self->work = xyl_chan_new(sizeof(struct count *), 0);
	self->results = xyl_chan_new(sizeof(struct count *), WORKERS);
	self->scope = xyl_scope_new(NULL);
	if (!self->work || !self->results || !self->scope ||
	    !xyl_scope_spawn(self->scope, feed, .counts = self->counts, .n = self->n,
			     .work = self->work))
		return -ENOMEM;
	for (int i = 0; i < WORKERS; i++)
		if (!xyl_scope_spawn(self->scope, worker, .work = self->work,
				     .results = self->results))
			return -ENOMEM;
	return 0;
}

static xyl_step pipeline(void *frame)
{
	struct pipeline *self = frame;

	XYL_BEGIN(self)
	self->n = self->argc > 1 ? self->argc - 1 : 1;
	self->counts = xyl_alloc((size_t)self->n * sizeof(*self->counts));
	if (!self->counts)
		XYL_RETURN(-ENOMEM);
	for (int i = 0; i < self->n; i++)
		self->counts[i].name = self->argv[i + 1];
	self->width = width_of(self->counts, self->n);
	self->r = stages_start(self);

	/* Results come in any order, and are printed in that of the arguments. */
	for (; self->r == 0 && self->received < self->n; self->received++) {
		XYL_AWAIT(self->r, xyl_recv(self->results, &self->result));
		if (self->r < 0)
			break;
		self->result->done = true;
		while (self->printed < self->n && self->counts[self->printed].done)
			result_print(&self->counts[self->printed++], self->width, &self->total);
	}
	if (self->scope)
		XYL_AWAIT(self->ignored, xyl_scope_close(self->scope));
	if (self->n > 1 && self->r == 0)
		count_print(&self->total, self->width);
	XYL_END(self->r < 0 ? self->r : self->total.error < 0);
}

int main(int argc, char **argv)
{
	ssize_t r = xyl_run(pipeline, .argc = argc, .argv = argv, .total = { .name = "total" });

	if (r < 0)
		fprintf(stderr, "pipeline: %s %s\n", strerror((int)-r), xyl_runtime_why());
	if (fclose(stdout) == 0)
		return r != 0;
	perror("pipeline: standard output");
	return 1;
}
