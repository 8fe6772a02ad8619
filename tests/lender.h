/* SPDX-License-Identifier: MIT */
/*
 * lender.h - a connection whose reader borrows the bytes, and collections that find what
 * was dropped: for certain in the check build, whose collections are exact; in the plain
 * build a few may be kept by what lies about on the stack.
 */
#ifndef TEST_LENDER_H
#define TEST_LENDER_H

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gc/check.h"
#include "gc/world.h"
#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"
#include "tests/some.h"

#if defined(XYL_CHECK) && !defined(TEST_REMEMBERS)
enum { STRAY = 0 };
#else
enum { STRAY = 4 };
#endif

/* ---- collections ----------------------------------------------------------------------- */

struct collecting {
	struct xyl_frame frame;
};

static xyl_step collecting(void *frame)
{
	struct collecting *self = frame;

	XYL_BEGIN(self)
	xyli_world_collect();
	XYL_END(0);
}

/* Exact in the check build, since it is inside a turn; and what died is taken note of. */
__attribute__((unused)) static void collect(const struct driven *driven)
{
	CHECK_EQ(hand_join(driven, DRIVE_SPAWN(driven, collecting)), 0);
	hand_turn(driven);
}

__attribute__((unused)) static uint64_t collections(void)
{
	struct xyl_gc_stats stats;

	xyl_gc_stats(&stats);
	return stats.collections;
}

/* ---- lending ----------------------------------------------------------------------------- */

struct lender {
	struct driven driven;
	struct xyl_io *io;
	int peer;
};

__attribute__((unused)) static struct lender lender_begin(void)
{
	struct lender lender = { .driven = hand_begin(NULL) };

	lender.io = raw_socketpair(&lender.peer);
	return lender;
}

__attribute__((unused)) static void lender_end(struct lender *lender)
{
	HAND_CLOSE(&lender->driven, lender->io);
	close(lender->peer);
	drive_end(&lender->driven);
}

__attribute__((unused)) static uint64_t lent(const struct lender *lender)
{
	return drive_stats(&lender->driven).buffers_lent;
}

/* Send the text, read it, keep nothing but what is returned. */
__attribute__((noinline, unused)) static char *borrow(const struct lender *lender, const char *text)
{
	struct got *got = xyl_new(struct got);
	char *bytes;

	raw_send(lender->peer, text);
	SOME_READ(&lender->driven, .io = lender->io, .got = got);
	GOT_TEXT(got, text);
	bytes = got->bytes;
	*got = (struct got){ 0 };
	return bytes;
}

/* Each buffer that is in stock comes by, and is written to. */
__attribute__((unused)) static void churn(const struct lender *lender)
{
	for (uint64_t i = drive_stats(&lender->driven).buffers; i > 0; i--) {
		raw_send(lender->peer, "churned");
		some_expect(&lender->driven, lender->io, "churned");
	}
}

#endif
