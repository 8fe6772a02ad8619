/* SPDX-License-Identifier: MIT */
/* armed.h - a connection behind which a multishot receive stands. */
#ifndef TEST_ARMED_H
#define TEST_ARMED_H

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/handle.h"
#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"
#include "tests/some.h"

struct line {
	struct driven driven;
	struct xyl_io *io;
	int peer;
};

__attribute__((unused)) static struct line line_over(bool tcp)
{
	struct line line = { .driven = hand_begin(NULL) };

	line.io = tcp ? raw_tcp(&line.peer) : raw_socketpair(&line.peer);
	return line;
}

__attribute__((unused)) static struct line line_begin(void)
{
	return line_over(false);
}

__attribute__((unused)) static void line_end(struct line *line)
{
	HAND_CLOSE(&line->driven, line->io);
	if (line->peer >= 0)
		close(line->peer);
	drive_end(&line->driven);
}

__attribute__((unused)) static uint64_t outstanding(const struct line *line)
{
	return drive_stats(&line->driven).ops_outstanding;
}

__attribute__((unused)) static uint64_t adopted(const struct line *line)
{
	return drive_stats(&line->driven).adopted_results;
}

__attribute__((unused)) static void aborted(const struct line *line, struct xyl_task *task)
{
	xyl_abort(task);
	CHECK_EQ(hand_join(&line->driven, task), -ECANCELED);
}

/* A reader of one kind or the other; both have room for all of it. */
__attribute__((unused)) static void expect(const struct line *line, bool plain, const char *text)
{
	if (plain)
		read_expect(&line->driven, line->io, 64, text);
	else
		some_expect(&line->driven, line->io, text);
}

/* Armed, with nobody waiting: the last one's bound has passed. */
__attribute__((unused)) static void arm(const struct line *line)
{
	CHECK_EQ(SOME_READ(&line->driven, .io = line->io, .bound = 1), -ETIMEDOUT);
	CHECK(xyli_receiver_is_armed(line->io));
}

/* As many as there ever were can be had at once: none is stuck anywhere. */
__attribute__((unused)) static void pool_is_whole(const struct line *line)
{
	uint64_t all = drive_stats(&line->driven).buffers;
	struct got **gots = xyl_alloc((size_t)all * sizeof(struct got *));
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	CHECK_EQ(drive_stats(&line->driven).buffers_lent, 0);
	for (uint64_t i = 0; i < all; i++) {
		gots[i] = xyl_new(struct got);
		raw_send(peer, "x");
		SOME_READ(&line->driven, .io = io, .got = gots[i]);
		GOT_TEXT(gots[i], "x");
	}
	CHECK_EQ(drive_stats(&line->driven).buffers_lent, all);
	CHECK_EQ(drive_stats(&line->driven).buffers, all);
	for (uint64_t i = 0; i < all; i++)
		SOME_DONE(&line->driven, gots[i]->bytes);
	HAND_CLOSE(&line->driven, io);
	close(peer);
}

#endif
