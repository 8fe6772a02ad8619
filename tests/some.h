/* SPDX-License-Identifier: MIT */
/*
 * some.h - tasks that read some, and what they got.
 *
 *	struct got *got = xyl_new(struct got);
 *
 *	SOME(&driven, .io = io, .got = got);
 *	raw_send(peer, "text");
 *	hand_turn(&driven);
 *	GOT_TEXT(got, "text");
 */
#ifndef TEST_SOME_H
#define TEST_SOME_H

#include <string.h>

#include "tests/hand.h"
#include "xylem/xylem.h"

struct got {
	char *bytes;
	ssize_t n;
};

/* One read.  Whatever came of it is in *got, if that is given, when the task is done. */
struct some {
	struct xyl_frame frame;
	struct xyl_io *io;
	struct got *got;
	int64_t bound; /* 0: none; less: what is there now */
	char *bytes;
	ssize_t n;
};

__attribute__((unused)) static xyl_step some(void *frame)
{
	struct some *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, hand_bounded(xyl_read_some(self->io, &self->bytes), self->bound));
	if (self->got)
		*self->got = (struct got){ self->n > 0 ? self->bytes : NULL, self->n };
	XYL_END(self->n);
}

/* Give it back, from a task. */
struct some_done {
	struct xyl_frame frame;
	const char *bytes;
};

__attribute__((unused)) static xyl_step some_done(void *frame)
{
	struct some_done *self = frame;

	XYL_BEGIN(self)
	xyl_read_done(self->bytes);
	XYL_END(0);
}

#define SOME(driven, ...) DRIVE_SPAWN((driven), some, __VA_ARGS__)
#define SOME_READ(driven, ...) hand_join((driven), SOME((driven), __VA_ARGS__))
#define SOME_DONE(driven, what) \
	CHECK_EQ(hand_join((driven), DRIVE_SPAWN((driven), some_done, .bytes = (what))), 0)

#define GOT_TEXT(got, text)                                           \
	do {                                                          \
		CHECK_EQ((got)->n, (ssize_t)strlen(text));            \
		CHECK(memcmp((got)->bytes, text, strlen(text)) == 0); \
	} while (0)

/* Read some, compare, and give the buffer back: no less than that may be there. */
__attribute__((unused)) static void some_expect(const struct driven *driven, struct xyl_io *io,
						const char *text)
{
	struct got *got = xyl_new(struct got);

	SOME_READ(driven, .io = io, .got = got);
	GOT_TEXT(got, text);
	SOME_DONE(driven, got->bytes);
}

/* The same by a reader with a buffer of `len` bytes of his own. */
__attribute__((unused)) static void read_expect(const struct driven *driven, struct xyl_io *io,
						size_t len, const char *text)
{
	char *buf = xyl_alloc_bytes(len);

	CHECK_EQ(HAND_READ(driven, .io = io, .buf = buf, .len = len), (ssize_t)strlen(text));
	CHECK(memcmp(buf, text, strlen(text)) == 0);
}

#endif
