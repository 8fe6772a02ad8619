/* SPDX-License-Identifier: MIT */
/*
 * zero_copy.h - a connection on which numbered bytes are sent without a copy.
 *
 * A peer that does not read keeps the notification away: what fills its window and more
 * stays in our memory.  It reads, and the notification comes.
 */
#ifndef TEST_ZERO_COPY_H
#define TEST_ZERO_COPY_H

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/handle.h"
#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"

enum { KIB = 1024, MIB = 1024 * 1024, BIG = 2 * MIB };

struct zc {
	struct xyl_frame frame;
	struct xyl_io *io;
	const char *buf;
	size_t len;
	int64_t bound; /* 0: none */
	ssize_t n;
};

__attribute__((unused)) static xyl_step zc(void *frame)
{
	struct zc *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(xyl_write_zc(self->io, self->buf, self->len), self->bound));
	XYL_END(self->n);
}

#define ZC(line, ...) DRIVE_SPAWN(&(line)->driven, zc, .io = (line)->io, __VA_ARGS__)
#define ZC_WRITE(line, ...) hand_join(&(line)->driven, ZC((line), __VA_ARGS__))

/* ---- a connection, and numbered bytes on it ------------------------------------------------ */

struct line {
	struct driven driven;
	struct xyl_io *io;
	int peer;
	size_t heard; /* bytes that the peer has read, and compared */
};

__attribute__((unused)) static struct line line_begin(void)
{
	struct line line = { .driven = hand_begin(NULL) };
	int window = 64 * KIB, room = 256 * KIB;

	line.io = raw_tcp(&line.peer);
	CHECK_EQ(setsockopt(xyl_io_fd(line.io), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	CHECK_EQ(setsockopt(line.peer, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
	return line;
}

/* A write of BIG fits in, and is answered at once; the peer's window takes a part of it. */
__attribute__((unused)) static struct line line_begin_roomy(void)
{
	struct line line = line_begin();
	int room = 16 * BIG;

	CHECK_EQ(setsockopt(xyl_io_fd(line.io), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)),
		 0);
	return line;
}

__attribute__((unused)) static void line_end(struct line *line)
{
	HAND_CLOSE(&line->driven, line->io);
	if (line->peer >= 0)
		close(line->peer);
	hand_drained(&line->driven);
	drive_end(&line->driven);
}

__attribute__((unused)) static uint64_t outstanding(const struct line *line)
{
	return drive_stats(&line->driven).ops_outstanding;
}

__attribute__((unused)) static char number(size_t at)
{
	return (char)(at * 37 + at / 251 + at / 65521);
}

__attribute__((unused)) static char *numbered(char *buf, size_t len, size_t at)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = number(at + i);
	return buf;
}

__attribute__((unused)) static char *numbered_new(size_t len, size_t at)
{
	return numbered(xyl_alloc_bytes(len), len, at);
}

/* What is there now, some at a time. */
__attribute__((unused)) static void hear_some(struct line *line)
{
	static char bytes[64 * KIB];
	ssize_t n = recv(line->peer, bytes, 1 + test_random() % sizeof(bytes), MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++)
		CHECK(bytes[i] == number(line->heard + (size_t)i));
	line->heard += n > 0 ? (size_t)n : 0;
}

/* Until the peer has had so much. */
__attribute__((unused)) static void hear(struct line *line, size_t bytes)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	while (line->heard < bytes) {
		hear_some(line);
		hand_turn(&line->driven);
		CHECK(xyli_clock() < until);
	}
	CHECK_EQ(line->heard, bytes);
}

__attribute__((unused)) static ssize_t hear_and_join(struct line *line, const struct xyl_task *task)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	while (!xyl_is_done(task)) {
		hear_some(line);
		hand_turn(&line->driven);
		CHECK(xyli_clock() < until);
	}
	return xyl_result(task);
}

/* ---- a buffer in a frame ----------------------------------------------------------------- */

struct in_frame {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
	char buf[MIB];
};

__attribute__((unused)) static xyl_step in_frame(void *frame)
{
	struct in_frame *self = frame;

	XYL_BEGIN(self)
	numbered(self->buf, MIB, 0);
	XYL_AWAIT(self->n, xyl_write_zc(self->io, self->buf, MIB));
	XYL_END(self->n);
}

struct calls_in_frame {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

__attribute__((unused)) static xyl_step calls_in_frame(void *frame)
{
	struct calls_in_frame *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(in_frame, .io = self->io));
	XYL_END(self->n);
}

__attribute__((unused)) static void churn(void)
{
	for (int i = 0; i < 3; i++) {
		xyl_collect();
		for (int j = 0; j < 3; j++)
			memset(xyl_alloc_bytes(BIG), 0xaa, BIG);
	}
}

/* The initialiser of a frame lies on the stack. */
__attribute__((unused)) static struct xyl_task *in_frame_spawn(const struct line *line, bool called)
{
	static struct in_frame init;

	init.io = line->io;
	if (called)
		return DRIVE_SPAWN(&line->driven, calls_in_frame, .io = line->io);
	return xyli_runtime_spawn(line->driven.rt, XYL_HERE, XYLI_FN(in_frame), &init);
}

#endif
