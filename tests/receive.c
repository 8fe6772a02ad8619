/* SPDX-License-Identifier: MIT */
/* Reading without a buffer of one's own: provided buffers, lent, returned, found again. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/buffers.h"
#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* ---- a task that reads some, and keeps what it got ------------------------------------ */

struct some {
	struct xyl_frame frame;
	struct xyl_io *io;
	char **ret_bytes;
	int64_t bound; /* 0: none */
	char *bytes;
	ssize_t n;
};

static xyl_step some(void *frame)
{
	struct some *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(xyl_read_some(self->io, &self->bytes), self->bound));
	if (self->ret_bytes && self->n > 0)
		*self->ret_bytes = self->bytes;
	XYL_END(self->n);
}

/* Read some, compare, and give the buffer back. */
static void expect(const struct driven *driven, struct xyl_io *io, const char *text)
{
	char **bytes = xyl_new(char *);
	ssize_t n = hand_join(driven, DRIVE_SPAWN(driven, some, .io = io, .ret_bytes = bytes));

	CHECK_EQ(n, (ssize_t)strlen(text));
	CHECK(memcmp(*bytes, text, strlen(text)) == 0);
}

struct give_back {
	struct xyl_frame frame;
	char *bytes;
};

static xyl_step give_back(void *frame)
{
	struct give_back *self = frame;

	XYL_BEGIN(self)
	xyl_read_done(self->bytes);
	XYL_END(0);
}

/* ---- what comes, comes in order ---------------------------------------------------------- */

TEST(bytes_come_as_they_were_sent)
{
	struct driven driven = drive_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	for (int i = 0; i < 1000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "message %d", i);
		raw_send(peer, text);
		expect(&driven, io, text);
	}
	close(peer);
	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, some, .io = io)), 0);
	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, some, .io = io)), 0);
	HAND_CLOSE(&driven, io);
	drive_end(&driven);
}

/* Both kinds of reads, in turn, of one stream. */
TEST(reads_of_both_kinds_may_be_mixed)
{
	struct driven driven = drive_begin(NULL);
	char *buf = xyl_alloc_bytes(16);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	raw_send(peer, "some");
	expect(&driven, io, "some");
	raw_send(peer, "headbody and");
	hand_turns(&driven, 3); /* it lies in a provided buffer now */
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 4, .whole = true), 4);
	CHECK(memcmp(buf, "head", 4) == 0);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 5), 5);
	CHECK(memcmp(buf, "body ", 5) == 0);
	expect(&driven, io, "and");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

/* ---- lent, returned, found ----------------------------------------------------------------- */

TEST(a_returned_buffer_is_the_kernels_again)
{
	struct driven driven = drive_begin(NULL);
	char **bytes = xyl_new(char *);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	raw_send(peer, "x");
	hand_join(&driven, DRIVE_SPAWN(&driven, some, .io = io, .ret_bytes = bytes));
	CHECK_EQ(drive_stats(&driven).buffers_lent, 1);
	hand_join(&driven, DRIVE_SPAWN(&driven, give_back, .bytes = *bytes));
	CHECK_EQ(drive_stats(&driven).buffers_lent, 0);
	hand_join(&driven, DRIVE_SPAWN(&driven, give_back, .bytes = *bytes)); /* once is enough */
	CHECK_EQ(drive_stats(&driven).buffers_lent, 0);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}
