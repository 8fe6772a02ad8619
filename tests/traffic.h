/* SPDX-License-Identifier: MIT */
/*
 * traffic.h - bytes through streams, with readers and writers who leave: for hostile.c.
 *
 *	streaming	numbered bytes: none is lost, doubled or out of order
 *	postman		letters: what was sent has arrived, and only the last may be incomplete
 */
#ifndef TEST_TRAFFIC_H
#define TEST_TRAFFIC_H

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/chance.h"
#include "tests/harness.h"
#include "tests/raw.h"
#include "xylem/xylem.h"

static struct {
	struct xyli_chance dice;
	struct folder folder; /* an open that was left may still make a file in it */
	bool stops;	      /* in the middle: nothing need be complete */
} work;

static unsigned roll(unsigned n)
{
	return xyli_chance_below(&work.dice, n);
}

static bool is_cut(ssize_t n)
{
	return n == -ECANCELED && xyl_is_aborted(xyl_self());
}

/* ---- numbered bytes, read by those who leave ------------------------------------------- */

enum { TOTAL = 4000, CHUNK = 300 };

struct stream {
	struct xyl_io *in, *out;
	uint64_t sent, received;
	char *foreign; /* not collected: whoever is aborted stays until it is free */
	bool over;
	bool own_buffers; /* a receive without would stand there until it is closed */
};

static unsigned char byte_at(uint64_t i)
{
	return (unsigned char)(i * UINT64_C(0x9e3779b97f4a7c15) >> 40);
}

static char *bytes_from(uint64_t i, size_t len)
{
	char *bytes = xyl_alloc_bytes(len);

	for (size_t k = 0; k < len; k++)
		bytes[k] = (char)byte_at(i + k);
	return bytes;
}

struct pour {
	struct xyl_frame frame;
	struct stream *stream;
	char *buf;
	size_t len;
	ssize_t n;
};

static xyl_pending pour_some(struct pour *self)
{
	self->len = 1 + roll(CHUNK);
	self->buf = bytes_from(self->stream->sent, self->len);
	switch (roll(3)) {
	case 0: return xyl_write(self->stream->out, self->buf, self->len);
	case 1: return xyl_write_all(self->stream->out, self->buf, self->len);
	default: return xyl_write_zc(self->stream->out, self->buf, self->len);
	}
}

static xyl_step pour(void *frame)
{
	struct pour *self = frame;

	XYL_BEGIN(self)
	while (self->stream->sent < TOTAL) {
		XYL_AWAIT(self->n, pour_some(self));
		if (is_cut(self->n))
			break;
		CHECK(self->n > 0 && (size_t)self->n <= self->len);
		self->stream->sent += (uint64_t)self->n;
		if (roll(8) == 0)
			XYL_AWAIT(self->n, xyl_sleep(roll(50) * XYL_US));
	}
	XYL_AWAIT(self->n, xyl_close(self->stream->out));
	XYL_END(self->n);
}

struct drink {
	struct xyl_frame frame;
	struct stream *stream;
	char *buf;
	size_t len;
	int left;
	bool lent;
	ssize_t n;
};

static xyl_pending drink_from_own(struct drink *self)
{
	struct xyl_io *io = self->stream->in;

	self->len = 1 + roll(CHUNK);
	self->buf = roll(4) ? xyl_alloc_bytes(self->len) : self->stream->foreign;
	memset(self->buf, 0, self->len);
	return roll(2) ? xyl_read(io, self->buf, self->len)
		       : xyl_read_full(io, self->buf, self->len);
}

static xyl_pending drink_some(struct drink *self)
{
	xyl_pending op;

	self->lent = !self->stream->own_buffers && roll(3) == 0;
	self->len = SIZE_MAX;
	op = self->lent ? xyl_read_some(self->stream->in, &self->buf) : drink_from_own(self);
	return roll(4) ? op : xyl_within(op, roll(3) * 20 * XYL_US);
}

static void drink_check(struct drink *self)
{
	for (ssize_t i = 0; i < self->n; i++)
		CHECK_EQ((unsigned char)self->buf[i],
			 byte_at(self->stream->received + (uint64_t)i));
	self->stream->received += (uint64_t)self->n;
	if (self->lent && self->n > 0 && roll(2))
		xyl_read_done(self->buf);
}

static xyl_step drink(void *frame)
{
	struct drink *self = frame;

	XYL_BEGIN(self)
	for (self->left = 1 + (int)roll(4); self->left > 0; self->left--) {
		XYL_AWAIT(self->n, drink_some(self));
		if (is_cut(self->n))
			XYL_RETURN(self->n);
		if (self->n == -ETIMEDOUT)
			continue;
		CHECK(self->n >= 0 && (size_t)self->n <= self->len);
		drink_check(self);
		if (self->n == 0) {
			self->stream->over = true;
			break;
		}
	}
	XYL_END(0);
}

struct streaming {
	struct xyl_frame frame;
	char *foreign;
	struct stream *stream;
	struct xyl_task *pour, *drink;
	unsigned wait;
	ssize_t n;
};

/* Its ends are known to nobody else, so that a stop closes them. */
static void ends_open(struct xyl_io **ret_in, struct xyl_io **ret_out)
{
	int fds[2];

	switch (roll(3)) {
	case 0: CHECK_EQ(pipe2(fds, O_CLOEXEC), 0); break;
	case 1: CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0); break;
	default: raw_tcp_pair(fds); break;
	}
	*ret_in = raw_handle(fds[0]);
	*ret_out = raw_handle(fds[1]);
}

static xyl_step streaming(void *frame)
{
	struct streaming *self = frame;

	XYL_BEGIN(self)
	self->stream = xyl_new(struct stream);
	ends_open(&self->stream->in, &self->stream->out);
	self->stream->foreign = self->foreign;
	self->pour = xyl_spawn(pour, .stream = self->stream);
	while (self->pour && !self->stream->over && !is_cut(self->n)) {
		self->drink = xyl_spawn(drink, .stream = self->stream);
		for (self->wait = roll(5); self->wait > 0; self->wait--)
			XYL_AWAIT(self->n, xyl_yield());
		if (self->drink && roll(2))
			xyl_abort(self->drink);
		XYL_AWAIT(self->n, xyl_join(self->drink));
	}
	if (!is_cut(self->n) && !work.stops)
		CHECK_EQ(self->stream->received, self->stream->sent);
	XYL_AWAIT(self->n, xyl_close(self->stream->in));
	if (!self->pour) /* a stop knows only those that were used */
		XYL_AWAIT(self->n, xyl_close(self->stream->out));
	XYL_END(0);
}
/* ---- letters, by writers who leave ---------------------------------------------------------- */

enum { LETTERS = 12, LETTER_MAX = 20000 };

struct letter {
	uint32_t number, len; /* of bytes */
	unsigned char bytes[];
};

struct post {
	struct xyl_io *in, *out;
	bool sent[LETTERS], arrived[LETTERS];
};

struct mail {
	struct xyl_frame frame;
	struct post *post;
	uint32_t number;
	struct letter *letter;
	ssize_t n;
};

static xyl_step mail(void *frame)
{
	struct mail *self = frame;

	XYL_BEGIN(self)
	self->letter = xyl_alloc_bytes(sizeof(struct letter) + LETTER_MAX);
	self->letter->number = self->number;
	self->letter->len = roll(LETTER_MAX);
	memset(self->letter->bytes, (int)self->number, self->letter->len);
	XYL_AWAIT(self->n, xyl_write_all(self->post->out, self->letter,
					 sizeof(struct letter) + self->letter->len));
	self->post->sent[self->number] = self->n > 0;
	XYL_END(self->n);
}

struct inbox {
	struct xyl_frame frame;
	struct post *post;
	struct letter *letter;
	ssize_t n;
};

/* Only the last may be incomplete: behind it the stream is broken. */
static xyl_step inbox(void *frame)
{
	struct inbox *self = frame;

	XYL_BEGIN(self)
	self->letter = xyl_alloc_bytes(sizeof(struct letter) + LETTER_MAX);
	for (;;) {
		XYL_AWAIT(self->n, xyl_read_full(self->post->in, self->letter, 8));
		if (self->n < 8)
			break;
		CHECK(self->letter->number < LETTERS && self->letter->len < LETTER_MAX);
		CHECK(!self->post->arrived[self->letter->number]);
		XYL_AWAIT(self->n,
			  xyl_read_full(self->post->in, self->letter->bytes, self->letter->len));
		if (self->n < (ssize_t)self->letter->len)
			break;
		for (uint32_t i = 0; i < self->letter->len; i++)
			CHECK_EQ(self->letter->bytes[i], self->letter->number);
		self->post->arrived[self->letter->number] = true;
	}
	XYL_AWAIT(self->n, xyl_close(self->post->in));
	XYL_END(0);
}

struct postman {
	struct xyl_frame frame;
	struct post *post;
	struct xyl_task *inbox, *mails[LETTERS];
	uint32_t i;
	ssize_t n;
};

static void post_check(const struct post *post)
{
	for (int i = 0; i < LETTERS; i++)
		CHECK(!post->sent[i] || post->arrived[i]);
}

static xyl_step postman(void *frame)
{
	struct postman *self = frame;

	XYL_BEGIN(self)
	self->post = xyl_new(struct post);
	ends_open(&self->post->in, &self->post->out);
	self->inbox = xyl_spawn(inbox, .post = self->post);
	for (self->i = 0; self->i < LETTERS; self->i++) {
		self->mails[self->i] = xyl_spawn(mail, .post = self->post, .number = self->i);
		if (roll(2))
			XYL_AWAIT(self->n, xyl_yield());
		if (self->mails[self->i] && roll(6) == 0)
			xyl_abort(self->mails[self->i]);
	}
	for (self->i = 0; self->i < LETTERS; self->i++)
		if (self->mails[self->i])
			XYL_AWAIT(self->n, xyl_join(self->mails[self->i]));
	XYL_AWAIT(self->n, xyl_close(self->post->out));
	if (self->inbox)
		XYL_AWAIT(self->n, xyl_join(self->inbox));
	else
		XYL_AWAIT(self->n, xyl_close(self->post->in));
	if (!is_cut(self->n) && !work.stops)
		post_check(self->post);
	XYL_END(0);
}

#endif
