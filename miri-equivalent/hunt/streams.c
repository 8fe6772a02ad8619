/* SPDX-License-Identifier: MIT */
/*
 * Readers are aborted.
 *
 * Design notes.  Reads are served in the order of their calls, so a stream lists them in
 * that order and checks the bytes of each against the number of the next byte.  A reader
 * that was cut has none: the next one must get exactly what would have been its bytes,
 * were they already taken from the socket or not.
 *
 * Late bytes come only if the kernel is done with a read between its reader's abort and
 * its cancel.  So a round starts readers, lets few turns or none go by, and then sends
 * and aborts in whatever order the dice say, often within one step.
 *
 * Once it is aborted a reader forgets its buffer: the operation alone names it.  With a
 * buffer of malloc memory, or after a bound, the kernel must be done before the reader
 * goes on, who scorches it: nobody may write there after that.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "miri-equivalent/hunt/hunt.h"

enum { READERS = 4, LONGEST = 600, TIMES = 2, STEPS = 6, ACTS = 3, CROWDED = 64 };

#define BOUND_NS 40000

struct reading { /* one call of xyl_read or xyl_read_full */
	struct reading *next;
	const unsigned char *bytes;
	size_t len;
	bool settled;
};

struct stream {
	struct pair pair;
	uint64_t number, sent, taken, checked; /* bytes */
	unsigned sends;			       /* since it was last drained */
	struct reading *first, *last;	       /* in the order of the calls */
	unsigned char *foreign;		       /* READERS buffers of malloc memory */
	size_t scorched[READERS];	       /* bytes of them */
	bool ended;
};

/* ---- in the order of the calls --------------------------------------------------------- */

static struct reading *reading_begin(struct stream *stream)
{
	struct reading *reading = xyl_new(struct reading);

	EXPECT(reading, "no memory");
	if (stream->first)
		stream->last->next = reading;
	else
		stream->first = reading;
	stream->last = reading;
	return reading;
}

static void readings_check(struct stream *stream)
{
	struct reading *reading;

	while ((reading = stream->first) && reading->settled) {
		numbers_check(reading->bytes, stream->number, stream->checked, reading->len);
		stream->checked += reading->len;
		stream->first = reading->next;
	}
}

static void reading_end(struct stream *stream, struct reading *reading, const unsigned char *bytes,
			ssize_t n)
{
	reading->settled = true;
	if (n > 0) {
		reading->bytes = bytes;
		reading->len = (size_t)n;
		stream->taken += (size_t)n;
	}
	readings_check(stream);
}

/* ---- a reader ---------------------------------------------------------------------------- */

struct reader {
	struct xyl_frame frame;
	struct stream *stream;
	size_t len;
	int64_t bound_ns; /* 0: none */
	unsigned times, place;
	bool whole, foreign;
	struct reading *reading;
	unsigned char *buf;
	ssize_t n;
};

static xyl_pending read_begin(struct reader *self)
{
	struct stream *stream = self->stream;
	xyl_pending op;

	self->buf = self->foreign ? stream->foreign + self->place * LONGEST
				  : xyl_alloc_bytes(self->len);
	if (self->foreign)
		stream->scorched[self->place] = 0; /* his again */
	self->reading = reading_begin(stream);
	op = self->whole ? xyl_read_full(stream->pair.in, self->buf, self->len)
			 : xyl_read(stream->pair.in, self->buf, self->len);
	return self->bound_ns ? xyl_within(op, self->bound_ns) : op;
}

static void read_end(struct reader *self)
{
	struct stream *stream = self->stream;
	unsigned char *buf = self->buf;

	if (self->n == -ECANCELED)
		self->buf = NULL;
	if (self->n < 0 && self->foreign) {
		memset(buf, SCORCHED, self->len);
		stream->scorched[self->place] = self->len;
	} else if (self->foreign) { /* it will be used again before it is checked */
		buf = memcpy(xyl_alloc_bytes(self->len), buf, self->len);
	}
	reading_end(stream, self->reading, buf, self->n);
	hunt_count_cut(self->whole ? CUT_READ_FULL : CUT_READ, self->n);
	EXPECT(self->n > 0 || self->n == -ECANCELED || self->n == -ETIMEDOUT || stream->ended,
	       "a read of stream %" PRIu64 " gave %zd", stream->number, self->n);
	EXPECT(self->n < 0 || !self->whole || self->n == (ssize_t)self->len || stream->ended,
	       "a whole read of stream %" PRIu64 " gave %zd of %zu bytes", stream->number, self->n,
	       self->len);
}

static xyl_step reader(void *frame)
{
	struct reader *self = frame;

	XYL_BEGIN(self)
	for (; self->times; self->times--) {
		XYL_AWAIT(self->n, read_begin(self));
		read_end(self);
		if (self->n == -ECANCELED)
			break;
		if (self->n == -ETIMEDOUT) {
			memset(self->buf, SCORCHED, self->len);
			XYL_AWAIT(self->n, xyl_yield());
			EXPECT(bytes_are(self->buf, self->len, SCORCHED),
			       "the kernel wrote to a buffer after its bound had passed");
		}
	}
	XYL_END(self->n);
}

/* ---- a round ------------------------------------------------------------------------------- */

struct stream_hunt {
	struct xyl_frame frame;
	struct hunter hunter;
	uint64_t number;
	struct stream *stream;
	struct xyl_task *readers[READERS];
	size_t owed[READERS]; /* bytes that it may want */
	unsigned count, steps, i;
	unsigned char *bytes; /* for a write of the library's */
	ssize_t n;
};

static void reader_add(struct stream_hunt *self)
{
	struct hunter *hunter = &self->hunter;
	size_t len = 1 + hunter_roll(hunter, LONGEST);
	unsigned times = 1 + (unsigned)hunter_roll(hunter, TIMES);
	bool whole = hunter_roll(hunter, 3) == 0, foreign = hunter_roll(hunter, 6) == 0;
	int64_t bound_ns = hunter_bound(hunter, 4, BOUND_NS);

	if (self->count == READERS)
		return;
	self->owed[self->count] = len * times;
	self->readers[self->count] = xyl_spawn(reader, .stream = self->stream, .len = len,
					       .times = times, .place = self->count, .whole = whole,
					       .foreign = foreign, .bound_ns = bound_ns);
	EXPECT(self->readers[self->count], "no reader");
	self->count++;
}

static void bytes_send(struct stream *stream, size_t len)
{
	unsigned char bytes[READERS * TIMES * LONGEST];

	if (len == 0)
		return;
	numbers_fill(bytes, stream->number, stream->sent, len);
	stream->sent += len;
	stream->sends++;
	pair_send(&stream->pair, bytes, len);
}

static size_t length_roll(struct stream_hunt *self)
{
	return 1 + hunter_roll(&self->hunter, hunter_roll(&self->hunter, 4) ? 200 : LONGEST);
}

/* What takes no turn. */
static void round_act(struct stream_hunt *self)
{
	switch (hunter_roll(&self->hunter, 6)) {
	case 0:
	case 1: reader_add(self); break;
	case 2:
	case 3: bytes_send(self->stream, length_roll(self)); break;
	default: hunter_abort(&self->hunter, self->readers, self->count);
	}
}

/* What takes one. */
static xyl_pending round_turn(struct stream_hunt *self)
{
	struct stream *stream = self->stream;
	size_t len;

	if (hunter_roll(&self->hunter, 4))
		return xyl_yield();
	len = length_roll(self);
	self->bytes = xyl_alloc_bytes(len);
	numbers_fill(self->bytes, stream->number, stream->sent, len);
	stream->sent += len;
	stream->sends++;
	return xyl_write_all(stream->pair.out, self->bytes, len);
}

static void round_step(struct stream_hunt *self)
{
	for (uint64_t acts = hunter_roll(&self->hunter, ACTS + 1); acts; acts--)
		round_act(self);
}

/* Enough for all who may still want some. */
static void readers_feed(struct stream_hunt *self)
{
	const struct stream *stream = self->stream;
	uint64_t there = stream->sent - stream->taken, owed = 0;

	for (unsigned i = 0; i < self->count; i++)
		if (!xyl_is_done(self->readers[i]))
			owed += self->owed[i];
	if (owed > there)
		bytes_send(self->stream, owed - there);
}

static void round_end(struct stream_hunt *self)
{
	struct stream *stream = self->stream;

	EXPECT(!stream->first, "a read of stream %" PRIu64 " never ended", stream->number);
	for (unsigned i = 0; i < READERS; i++)
		if (!bytes_are(stream->foreign + i * LONGEST, stream->scorched[i], SCORCHED))
			hunt_failed("the kernel wrote to malloc memory after its reader went on");
	memset(stream->scorched, 0, sizeof(stream->scorched));
	memset(self->readers, 0, sizeof(self->readers));
	self->count = 0;
}

/* ---- before and after ------------------------------------------------------------------------ */

static struct stream *stream_make(uint64_t number, struct hunter *hunter)
{
	static const enum pair_kind kinds[] = { PAIR_UNIX, PAIR_TCP, PAIR_UNIX, PAIR_PIPE };
	struct stream *stream = xyl_new(struct stream);

	EXPECT(stream && (stream->foreign = malloc(READERS * LONGEST)), "no memory");
	stream->number = number;
	stream->pair = pair_make(kinds[hunter_roll(hunter, 4)], false);
	return stream;
}

/* Readers wait only where nothing lies ready for them. */
static bool is_to_be_drained(struct stream_hunt *self)
{
	const struct stream *stream = self->stream;

	return stream->sent > stream->taken &&
	       (stream->sends > CROWDED || hunter_roll(&self->hunter, 3));
}

static xyl_pending stream_drain(struct stream_hunt *self)
{
	struct stream *stream = self->stream;

	stream->sends = 0;
	return xyl_call(reader, .stream = stream, .len = stream->sent - stream->taken, .times = 1,
			.whole = true);
}

/* The writing end is closed: what there is, to the last byte. */
static xyl_pending stream_empty(struct stream_hunt *self)
{
	self->stream->ended = true;
	return xyl_call(reader, .stream = self->stream, .len = LONGEST, .times = 1);
}

static void stream_account(struct stream *stream)
{
	EXPECT(stream->sent == stream->taken && stream->taken == stream->checked,
	       "stream %" PRIu64 ": %" PRIu64 " bytes sent, %" PRIu64 " read", stream->number,
	       stream->sent, stream->taken);
	books.sent += stream->sent;
	books.read += stream->taken;
	free(stream->foreign);
}

static xyl_step stream_hunt(void *frame)
{
	struct stream_hunt *self = frame;

	XYL_BEGIN(self)
	self->stream = stream_make(self->number, &self->hunter);
	while (self->hunter.left) {
		if (is_to_be_drained(self))
			XYL_AWAIT(self->n, stream_drain(self));
		reader_add(self);
		for (self->steps = hunter_roll(&self->hunter, STEPS); self->steps; self->steps--) {
			round_step(self);
			XYL_AWAIT(self->n, round_turn(self));
		}
		round_step(self);
		readers_feed(self);
		for (self->i = 0; self->i < self->count; self->i++)
			XYL_AWAIT(self->n, xyl_join(self->readers[self->i]));
		round_end(self);
	}
	XYL_AWAIT(self->n, xyl_close(self->stream->pair.out));
	do {
		XYL_AWAIT(self->n, stream_empty(self));
		books.drained += self->n > 0 ? (uint64_t)self->n : 0;
	} while (self->n > 0);
	XYL_AWAIT(self->n, xyl_close(self->stream->pair.in));
	stream_account(self->stream);
	XYL_END(0);
}

struct xyl_task *streams_spawn(struct hunter hunter, uint64_t number)
{
	return xyl_spawn(stream_hunt, .hunter = hunter, .number = number);
}
