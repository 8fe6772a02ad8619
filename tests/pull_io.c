/* SPDX-License-Identifier: MIT */
/* pull_io.c - streams of what a handle reads: blocks and lines. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/asyncs.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* A file with this in it, to be read from its start. */
static struct xyl_io *file_of(const char *text)
{
	int fd = memfd_create("pull_io", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	return xyl_io_from_fd(fd);
}

/* ---- lines ----------------------------------------------------------------------------- */

struct lines_of {
	struct xyl_frame frame;
	const char *text;
	size_t max;
	struct xyl_io *io;
	struct xyl_array lines;
	const char *want; /* each line in brackets */
	ssize_t n, ignored;
};

static void lines_check(const struct xyl_array *lines, const char *want)
{
	const struct xyl_bytes *line = lines->elems;

	for (size_t i = 0; i < lines->count; i++, line++) {
		CHECK(*want == '[' && strncmp(want + 1, line->bytes, line->len) == 0);
		CHECK_EQ(line->bytes[line->len], '\0');
		want += line->len + 2;
		CHECK_EQ(want[-1], ']');
	}
	CHECK_EQ(*want, '\0');
}

static xyl_step lines_of(void *frame)
{
	struct lines_of *self = frame;

	XYL_BEGIN(self)
	self->io = file_of(self->text);
	XYL_AWAIT(self->n, xyl_stream_collect(xyl_stream_lines(self->io, self->max), &self->lines));
	lines_check(&self->lines, self->want);
	XYL_AWAIT(self->ignored, xyl_close(self->io));
	XYL_END(self->n);
}

#define LINES(from, limit, wanted) RUN(lines_of, .text = (from), .max = (limit), .want = (wanted))

TEST(lines_are_given_without_their_newlines)
{
	CHECK_EQ(LINES("one\ntwo\nthree\n", 0, "[one][two][three]"), 3);
}

TEST(a_last_line_needs_no_newline)
{
	CHECK_EQ(LINES("one\ntwo", 0, "[one][two]"), 2);
	CHECK_EQ(LINES("one", 0, "[one]"), 1);
}

TEST(lines_may_be_empty_and_so_may_a_file)
{
	CHECK_EQ(LINES("\n\none\n\n", 0, "[][][one][]"), 4);
	CHECK_EQ(LINES("", 0, ""), 0);
	CHECK_EQ(LINES("\n", 0, "[]"), 1);
}

TEST(a_line_that_is_too_long_is_an_error_and_those_before_it_are_not)
{
	CHECK_EQ(LINES("one\nfour5\nsix\n", 4, "[one]"), -EMSGSIZE);
	CHECK_EQ(LINES("one\nfour\n", 4, "[one][four]"), 2);
	CHECK_EQ(LINES("one\nfour5", 4, "[one]"), -EMSGSIZE);
}

/* Longer than a block, and than the next. */
TEST(a_line_may_be_longer_than_a_block)
{
	enum { LEN = 100000 };
	char *text = malloc(LEN + 8), *want = malloc(LEN + 16);

	memset(text, 'x', LEN);
	strcpy(text + LEN, "\nend\n");
	snprintf(want, LEN + 16, "[%.*s][end]", LEN, text);
	CHECK_EQ(LINES(text, 0, want), 2);
	CHECK_EQ(LINES(text, LEN - 1, ""), -EMSGSIZE);
	free(text);
	free(want);
}

/* ---- blocks ---------------------------------------------------------------------------- */

struct blocks_of {
	struct xyl_frame frame;
	const char *text, *want;
	size_t size;
	struct xyl_io *io;
	struct xyl_array blocks;
	ssize_t n, ignored;
};

static xyl_step blocks_of(void *frame)
{
	struct blocks_of *self = frame;

	XYL_BEGIN(self)
	self->io = file_of(self->text);
	XYL_AWAIT(self->n,
		  xyl_stream_collect(xyl_stream_blocks(self->io, self->size), &self->blocks));
	for (size_t i = 0; i < self->blocks.count; i++) {
		const struct xyl_bytes *block = (struct xyl_bytes *)self->blocks.elems + i;

		CHECK(block->len > 0 && block->len <= self->size);
		CHECK(memcmp(self->want, block->bytes, block->len) == 0);
		self->want += block->len;
	}
	CHECK_EQ(*self->want, '\0');
	XYL_AWAIT(self->ignored, xyl_close(self->io));
	XYL_END(self->n);
}

TEST(blocks_are_what_was_read)
{
	const char *text = "what is read in blocks of any size is what was there";
	size_t len = strlen(text);

	CHECK_EQ(RUN(blocks_of, .text = text, .size = len, .want = text), 1);
	CHECK_EQ(RUN(blocks_of, .text = text, .size = 1, .want = text), (ssize_t)len);
	CHECK_EQ(RUN(blocks_of, .text = text, .size = 65536, .want = text), 1);
	CHECK_EQ(RUN(blocks_of, .text = "", .size = 10, .want = ""), 0);
	CHECK(!xyl_stream_blocks(NULL, 10));
}

struct block_too_large {
	struct xyl_frame frame;
	struct xyl_io *io;
	struct xyl_bytes block;
	ssize_t n, ignored;
};

static xyl_step block_too_large(void *frame)
{
	struct block_too_large *self = frame;

	XYL_BEGIN(self)
	self->io = file_of("more than fits into the smallest object there is");
	XYL_AWAIT(self->n, xyl_stream_next(xyl_stream_blocks(self->io, SIZE_MAX), &self->block));
	XYL_AWAIT(self->ignored, xyl_close(self->io));
	XYL_END(self->n);
}

TEST(a_block_larger_than_any_memory_is_not_read)
{
	CHECK_EQ(RUN(block_too_large), -ENOMEM);
}

/* ---- a socket, and readers who are aborted ----------------------------------------------- */

enum { TEXT_LINES = 400 };

struct talk {
	struct xyl_frame frame;
	struct xyl_io *io;
	const char *text;
	size_t len, done;
	ssize_t n;
};

/* The text in pieces, with pauses between them. */
static xyl_step talk(void *frame)
{
	struct talk *self = frame;

	XYL_BEGIN(self)
	while (self->done < self->len) {
		self->n = 1 + (ssize_t)(test_random() % 100);
		if ((size_t)self->n > self->len - self->done)
			self->n = (ssize_t)(self->len - self->done);
		XYL_AWAIT(self->n,
			  xyl_write_all(self->io, self->text + self->done, (size_t)self->n));
		CHECK(self->n > 0);
		self->done += (size_t)self->n;
		while (test_random() % 3)
			XYL_AWAIT(self->n, xyl_yield());
	}
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(0);
}

struct hear {
	struct xyl_frame frame;
	struct xyl_stream *lines;
	struct xyl_array *heard;
	ssize_t n;
};

static xyl_step hear(void *frame)
{
	struct hear *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_stream_collect(self->lines, self->heard));
	XYL_END(self->n);
}

struct talk_and_hear {
	struct xyl_frame frame;
	const char *text, *want;
	int ends[2];
	struct xyl_io *near, *far;
	struct xyl_stream *lines;
	struct xyl_array *heard;
	struct xyl_task *talker, *hearer;
	ssize_t n;
};

static xyl_step talk_and_hear(void *frame)
{
	struct talk_and_hear *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->ends), 0);
	self->near = xyl_io_from_fd(self->ends[0]);
	self->far = xyl_io_from_fd(self->ends[1]);
	self->heard = xyl_new(struct xyl_array);
	self->lines = xyl_stream_lines(self->near, 0);
	self->talker = xyl_spawn(talk, .io = self->far, .text = self->text,
				 .len = strlen(self->text));
	do {
		self->hearer = xyl_spawn(hear, .lines = self->lines, .heard = self->heard);
		do {
			XYL_AWAIT(self->n, xyl_yield());
		} while (test_random() % 8);
		xyl_abort(self->hearer);
		XYL_AWAIT(self->n, xyl_join(self->hearer));
	} while (self->n == -ECANCELED && !xyl_is_done(self->talker));
	XYL_AWAIT(self->n, xyl_call(hear, .lines = self->lines, .heard = self->heard));
	CHECK(self->n >= 0);
	CHECK_EQ(self->heard->count, TEXT_LINES);
	lines_check(self->heard, self->want);
	XYL_AWAIT(self->n, xyl_join(self->talker));
	XYL_AWAIT(self->n, xyl_close(self->near));
	XYL_END(0);
}

TEST(lines_of_a_socket_come_whole_though_readers_are_aborted)
{
	static char text[TEXT_LINES * 64], want[TEXT_LINES * 64];
	char *t = text, *w = want;

	for (int i = 0; i < TEXT_LINES; i++) {
		int len = (int)(test_random() % 40);

		t += sprintf(t, "%d%.*s\n", i, len, "abcdefghijklmnopqrstuvwxyz0123456789-+.,");
		w += sprintf(w, "[%d%.*s]", i, len, "abcdefghijklmnopqrstuvwxyz0123456789-+.,");
	}
	CHECK_EQ(RUN(talk_and_hear, .text = text, .want = want), 0);
}
