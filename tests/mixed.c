/* SPDX-License-Identifier: MIT */
/*
 * A numbered stream, read in every way at random: with buffers of one's own and without,
 * whole and in part, bounded and aborted, one reader and several.  Each byte comes once,
 * in order, whoever it was meant for.
 *
 * What one reader got is known when his task is done; readers are served in the order in
 * which they came, so that is the order in which their bytes are looked at.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"
#include "tests/some.h"

enum { READERS = 6, LONGEST = 12000, HELD = 400 };

enum kind { SOME, READ, FULL, KINDS };

struct taker {
	struct xyl_frame frame;
	struct xyl_io *io;
	enum kind kind;
	int64_t bound;
	size_t len;
	char **ret_bytes; /* what came lies here */
	char *bytes;
	ssize_t n;
};

static xyl_pending take(struct taker *self)
{
	switch (self->kind) {
	case SOME: return xyl_read_some(self->io, &self->bytes);
	case READ: return xyl_read(self->io, self->bytes, self->len);
	default: return xyl_read_full(self->io, self->bytes, self->len);
	}
}

static xyl_step taker(void *frame)
{
	struct taker *self = frame;

	XYL_BEGIN(self)
	self->bytes = self->kind == SOME ? NULL : xyl_alloc_bytes(self->len);
	XYL_AWAIT(self->n, hand_bounded(take(self), self->bound));
	*self->ret_bytes = self->bytes;
	XYL_END(self->n);
}

struct mix {
	struct driven driven;
	struct xyl_io *io;
	int peer;
	size_t sent, seen, left; /* bytes; and those yet to be sent */
	struct xyl_task *tasks[READERS];
	char *bytes[READERS];
	enum kind kinds[READERS];
	size_t lens[READERS];
	unsigned first, count; /* of the readers, oldest first */
	char *held[HELD];      /* lent, and to be intact until it is given back */
	size_t held_at[HELD];
	unsigned held_next;
	unsigned got, timed_out, canceled;
};

static unsigned char number(size_t at)
{
	return (unsigned char)(at * 31 + at / 251 + at / 65536);
}

static void numbers_check(const char *bytes, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		CHECK_EQ((unsigned char)bytes[i], number(at + i));
}

static bool chance(unsigned one_in)
{
	return test_random() % one_in == 0;
}

static void mix_send(struct mix *mix)
{
	static unsigned char bytes[3 * LONGEST];
	size_t n = 1 + test_random() % (chance(4) ? sizeof(bytes) : 200);
	ssize_t sent;

	n = n < mix->left ? n : mix->left;
	for (size_t i = 0; i < n; i++)
		bytes[i] = number(mix->sent + i);
	sent = send(mix->peer, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent > 0) {
		mix->sent += (size_t)sent;
		mix->left -= (size_t)sent;
	}
	if (mix->left == 0)
		shutdown(mix->peer, SHUT_WR);
}

static void mix_spawn(struct mix *mix)
{
	unsigned i = (mix->first + mix->count++) % READERS;
	size_t len = 1 + test_random() % (chance(3) ? LONGEST : 100);

	mix->kinds[i] = (enum kind)(test_random() % KINDS);
	mix->lens[i] = len;
	mix->tasks[i] = DRIVE_SPAWN(&mix->driven, taker, .io = mix->io, .kind = mix->kinds[i],
				    .len = len, .ret_bytes = &mix->bytes[i],
				    .bound = chance(3) ? 1 + (int64_t)(test_random() % 30000) : 0);
}

/* For later: it must not be lent to anyone else meanwhile. */
static void mix_hold(struct mix *mix, char *bytes, size_t at)
{
	unsigned i = mix->held_next++ % HELD;

	if (mix->held[i]) {
		numbers_check(mix->held[i], 1, mix->held_at[i]);
		SOME_DONE(&mix->driven, mix->held[i]);
	}
	mix->held[i] = bytes;
	mix->held_at[i] = at;
}

/* True: it was the end. */
static bool mix_look(struct mix *mix)
{
	unsigned i = mix->first;
	ssize_t n = xyl_result(mix->tasks[i]);

	mix->timed_out += n == -ETIMEDOUT;
	mix->canceled += n == -ECANCELED;
	mix->first = (mix->first + 1) % READERS;
	mix->count--;
	if (n < 0) {
		CHECK(n == -ETIMEDOUT || n == -ECANCELED);
		return false;
	}
	numbers_check(mix->bytes[i], (size_t)n, mix->seen);
	if (mix->kinds[i] == FULL && (size_t)n < mix->lens[i])
		CHECK(mix->left == 0);
	if (n > 0 && mix->kinds[i] == SOME && chance(2))
		mix_hold(mix, mix->bytes[i], mix->seen);
	else if (n > 0 && mix->kinds[i] == SOME && chance(2))
		SOME_DONE(&mix->driven, mix->bytes[i]);
	mix->bytes[i] = NULL;
	mix->seen += (size_t)n;
	mix->got++;
	return n == 0;
}

static void mix_step(struct mix *mix)
{
	if (mix->left > 0 && chance(2))
		mix_send(mix);
	if (mix->count < READERS && chance(2))
		mix_spawn(mix);
	if (mix->count > 0 && chance(8))
		xyl_abort(mix->tasks[(mix->first + test_random() % mix->count) % READERS]);
	if (chance(500))
		xyl_collect();
	if (chance(3))
		hand_turn(&mix->driven);
}

static void mix_run(bool tcp, size_t bytes)
{
	struct mix *mix = xyl_new(struct mix);
	int64_t until = xyli_clock() + 4 * HAND_PATIENCE;
	bool ended = false;

	mix->driven = hand_begin(NULL);
	mix->io = tcp ? raw_tcp(&mix->peer) : raw_socketpair(&mix->peer);
	mix->left = bytes;
	while (!ended || mix->count > 0) {
		mix_step(mix);
		while (mix->count > 0 && xyl_is_done(mix->tasks[mix->first]))
			ended |= mix_look(mix) && mix->left == 0;
		CHECK(xyli_clock() < until);
	}
	CHECK_EQ(mix->seen, bytes);
	CHECK(mix->got > 5 && mix->timed_out + mix->canceled > 0);
	HAND_CLOSE(&mix->driven, mix->io);
	close(mix->peer);
	drive_end(&mix->driven);
}

TEST(each_byte_of_a_unix_stream_comes_once_in_order)
{
	mix_run(false, test_scaled(8000000));
}

TEST(each_byte_of_a_tcp_stream_comes_once_in_order)
{
	mix_run(true, test_scaled(8000000));
}
