/* SPDX-License-Identifier: MIT */
/*
 * Writers are aborted.
 *
 * Design notes.  Nobody knows how much of an aborted write has gone out, so all that can
 * be said is: nothing of it and the stream goes on; a part of it and the stream is broken,
 * with nothing behind the part; or all of it.  Each write is a segment of numbered bytes
 * of its own, behind one byte that says which segment it is, and the other end keeps all
 * that it sees: what is there can be one thing only.
 *
 * The pair is new for each round, and narrow, so that writes get stuck half-way; its
 * reader begins late.  Buffers as in streams.c: named by the operation alone once the
 * writer is aborted, or scorched where the kernel must be done with them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "miri-equivalent/hunt/hunt.h"

enum { WRITERS = 4, SEGMENT = 12000, STEPS = 5, ACTS = 3, SIGHT = 4096 };

#define BOUND_NS 60000

struct segment { /* one call of xyl_write or xyl_write_all */
	struct segment *next;
	uint64_t number;
	size_t len;
	ssize_t n; /* what the writer was told */
	unsigned char tag;
	bool begun;
};

struct course {
	struct pair pair;
	uint64_t number;
	struct segment *first, *last; /* in the order of the calls */
	unsigned segments;
	struct xyl_future *gate; /* the reader begins */
	unsigned char *seen;
	size_t seen_len;
};

/* ---- a segment ------------------------------------------------------------------------- */

static struct segment *segment_begin(struct course *course, size_t len)
{
	struct segment *segment = xyl_new(struct segment);

	EXPECT(segment, "no memory");
	*segment = (struct segment){ .number = course->number << 8 | course->segments,
				     .len = len,
				     .tag = (unsigned char)course->segments };
	course->segments++;
	if (course->first)
		course->last->next = segment;
	else
		course->first = segment;
	course->last = segment;
	return segment;
}

static void segment_fill(const struct segment *segment, unsigned char *buf)
{
	numbers_fill(buf, segment->number, 0, segment->len);
	buf[0] = segment->tag;
}

/* How much of it, from its first byte on, is to be seen there? */
static size_t segment_match(const struct segment *segment, const unsigned char *seen, size_t len)
{
	if (len > segment->len)
		len = segment->len;
	if (len == 0 || seen[0] != segment->tag)
		return 0;
	return 1 + numbers_match(seen + 1, segment->number, 1, len - 1);
}

/* ---- a writer ---------------------------------------------------------------------------- */

struct writer {
	struct xyl_frame frame;
	struct course *course;
	size_t len;
	int64_t bound_ns; /* 0: none */
	bool whole;
	struct segment *segment;
	unsigned char *foreign; /* malloc memory, or NULL */
	unsigned char *buf;
	ssize_t n;
};

static xyl_pending write_begin(struct writer *self)
{
	struct xyl_io *out = self->course->pair.out;
	xyl_pending op;

	self->buf = self->foreign ? self->foreign : xyl_alloc_bytes(self->len);
	self->segment = segment_begin(self->course, self->len);
	segment_fill(self->segment, self->buf);
	op = self->whole ? xyl_write_all(out, self->buf, self->len)
			 : xyl_write(out, self->buf, self->len);
	return self->bound_ns ? xyl_within(op, self->bound_ns) : op;
}

static void write_end(struct writer *self)
{
	if (self->n == -ETIMEDOUT || (self->n < 0 && self->foreign))
		memset(self->buf, SCORCHED, self->len);
	self->buf = NULL;
	self->segment->n = self->n;
	hunt_count_cut(self->whole ? CUT_WRITE_ALL : CUT_WRITE, self->n);
	EXPECT(self->n < 0 || !self->whole || self->n == (ssize_t)self->len,
	       "a whole write gave %zd of %zu bytes", self->n, self->len);
}

static xyl_step writer(void *frame)
{
	struct writer *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, write_begin(self));
	write_end(self);
	XYL_END(self->n);
}

/* ---- the one reader, whom nobody aborts ---------------------------------------------------- */

struct watcher {
	struct xyl_frame frame;
	struct course *course;
	ssize_t n;
};

static xyl_step watcher(void *frame)
{
	struct watcher *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_future_get(self->course->gate));
	do {
		XYL_AWAIT(self->n, xyl_read(self->course->pair.in,
					    self->course->seen + self->course->seen_len, SIGHT));
		self->course->seen_len += self->n > 0 ? (size_t)self->n : 0;
	} while (self->n > 0);
	EXPECT(self->n == 0, "the reader of an aborted writer got %zd", self->n);
	XYL_END(0);
}

/* ---- what was seen --------------------------------------------------------------------------- */

/* How many bytes it put on the stream. */
static size_t segment_check(const struct course *course, const struct segment *segment, size_t at,
			    bool *broken)
{
	size_t there = segment_match(segment, course->seen + at, course->seen_len - at);

	if (segment->n > 0) {
		EXPECT(!*broken, "a write went on behind one that was cut half-way");
		EXPECT(there >= (size_t)segment->n,
		       "course %" PRIu64 ": of %zd bytes written %zu were seen", course->number,
		       segment->n, there);
		return (size_t)segment->n;
	}
	EXPECT(segment->n == -ECANCELED || segment->n == -ETIMEDOUT || segment->n == -EPIPE,
	       "a write gave %zd", segment->n);
	if (*broken)
		return 0;
	EXPECT(segment->n != -EPIPE, "a stream is broken that no write has broken");
	*broken = there > 0 && there < segment->len;
	EXPECT(segment->n != -ETIMEDOUT || there < segment->len,
	       "a write that was complete gave -ETIMEDOUT");
	return there;
}

static void course_check(const struct course *course)
{
	bool broken = false;
	size_t at = 0;

	for (const struct segment *segment = course->first; segment; segment = segment->next) {
		at += segment_check(course, segment, at, &broken);
		books.offered += segment->len;
	}
	EXPECT(at == course->seen_len,
	       "course %" PRIu64 ": %zu bytes were seen that should not be there, or twice",
	       course->number, course->seen_len - at);
	books.seen += at;
	books.broken += broken;
}

/* ---- a round -------------------------------------------------------------------------------- */

struct write_hunt {
	struct xyl_frame frame;
	struct hunter hunter;
	uint64_t number;
	struct course *course;
	unsigned char *seen;
	unsigned char *foreign[WRITERS + 1]; /* as each writer's */
	struct xyl_task *writers[WRITERS + 1], *watcher;
	unsigned count, steps, i;
	ssize_t n;
};

static void course_begin(struct write_hunt *self)
{
	static const enum pair_kind kinds[] = { PAIR_UNIX, PAIR_PIPE, PAIR_UNIX, PAIR_PIPE,
						PAIR_UNIX, PAIR_PIPE, PAIR_UNIX, PAIR_TCP };
	struct course *course = xyl_new(struct course);

	EXPECT(course && (course->gate = xyl_future_new()), "no memory");
	course->pair = pair_make(kinds[hunter_roll(&self->hunter, 8)], true);
	course->number = self->number++;
	course->seen = self->seen;
	self->course = course;
	self->count = 0;
	self->watcher = xyl_spawn(watcher, .course = course);
	EXPECT(self->watcher, "no reader");
}

static void writer_add(struct write_hunt *self)
{
	struct hunter *hunter = &self->hunter;
	size_t len = 1 + hunter_roll(hunter, hunter_roll(hunter, 3) ? SEGMENT : 100);
	bool whole = hunter_roll(hunter, 3) != 0;
	int64_t bound_ns = hunter_bound(hunter, 6, BOUND_NS);

	if (hunter_roll(hunter, 6) == 0)
		self->foreign[self->count] = malloc(len);
	self->writers[self->count] =
		xyl_spawn(writer, .course = self->course, .len = len, .whole = whole,
			  .foreign = self->foreign[self->count], .bound_ns = bound_ns);
	EXPECT(self->writers[self->count], "no writer");
	self->count++;
}

static void round_act(struct write_hunt *self)
{
	switch (hunter_roll(&self->hunter, 8)) {
	case 0: xyl_future_set(self->course->gate, 0); break;
	case 1:
	case 2:
	case 3:
	case 4:
		if (self->count < WRITERS)
			writer_add(self);
		break;
	default: hunter_abort(&self->hunter, self->writers, self->count);
	}
}

static void round_step(struct write_hunt *self)
{
	for (uint64_t acts = hunter_roll(&self->hunter, ACTS + 1); acts; acts--)
		round_act(self);
}

static void round_end(struct write_hunt *self)
{
	course_check(self->course);
	for (unsigned i = 0; i < self->count; i++)
		free(self->foreign[i]);
	memset(self->foreign, 0, sizeof(self->foreign));
	memset(self->writers, 0, sizeof(self->writers));
}

static xyl_step write_hunt(void *frame)
{
	struct write_hunt *self = frame;

	XYL_BEGIN(self)
	self->seen = xyl_alloc_bytes((WRITERS + 1) * SEGMENT + SIGHT);
	self->number <<= 32;
	while (self->hunter.left) {
		course_begin(self);
		writer_add(self);
		for (self->steps = hunter_roll(&self->hunter, STEPS); self->steps; self->steps--) {
			round_step(self);
			XYL_AWAIT(self->n, xyl_yield());
		}
		xyl_future_set(self->course->gate, 0);
		round_step(self);
		writer_add(self); /* which nobody aborts: does the stream go on? */
		for (self->i = 0; self->i < self->count; self->i++)
			XYL_AWAIT(self->n, xyl_join(self->writers[self->i]));
		XYL_AWAIT(self->n, xyl_close(self->course->pair.out));
		XYL_AWAIT(self->n, xyl_join(self->watcher));
		XYL_AWAIT(self->n, xyl_close(self->course->pair.in));
		round_end(self);
	}
	XYL_END(0);
}

struct xyl_task *writes_spawn(struct hunter hunter, uint64_t number)
{
	return xyl_spawn(write_hunt, .hunter = hunter, .number = number);
}
