/* SPDX-License-Identifier: MIT */
/* The pool of provided buffers when it is new, when all of them are away, in the long run. */
#include <stdlib.h>

#include "tests/lender.h"

enum { POOL = 1024 };

TEST(the_first_reader_of_all_finds_a_buffer)
{
	struct lender lender = lender_begin();

	raw_send(lender.peer, "ready");
	CHECK_EQ(SOME_READ(&lender.driven, .io = lender.io, .bound = -1), 5);
	lender_end(&lender);
}

/* ---- all of them are away -------------------------------------------------------------------- */

static char *hoard[POOL];

__attribute__((noinline)) static void hoard_all(const struct lender *lender)
{
	for (int i = 0; i < POOL; i++)
		hoard[i] = borrow(lender, "hoarded");
	CHECK_EQ(drive_stats(&lender->driven).buffers, POOL);
	CHECK_EQ(lent(lender), POOL);
}

__attribute__((noinline)) static void hoard_give(const struct lender *lender, int i)
{
	SOME_DONE(&lender->driven, hoard[i]);
	hoard[i] = NULL;
}

static void hoard_end(const struct lender *lender)
{
	for (int i = 0; i < POOL; i++)
		CHECK(!hoard[i] || !memcmp(hoard[i], "hoarded", 7));
	memset(hoard, 0, sizeof(hoard));
	collect(&lender->driven);
	CHECK(lent(lender) <= STRAY + 1); /* bdwgc's own frames may hold a block's address */
}

/* Not in the frame of the test, where its address might stay. */
__attribute__((noinline)) static void borrow_private(const struct lender *lender)
{
	char *bytes = borrow(lender, "private");

	CHECK_EQ(lent(lender), POOL);
	SOME_DONE(&lender->driven, bytes);
	CHECK(!memcmp(bytes, "private", 7));
}

TEST(without_a_buffer_a_reader_gets_one_of_his_own)
{
	struct lender lender = lender_begin();

	hoard_all(&lender);
	for (int i = 0; i < 3; i++)
		borrow_private(&lender);
	CHECK_EQ(drive_stats(&lender.driven).buffers, POOL);
	hoard_end(&lender);
	borrow(&lender, "lent again");
	CHECK(lent(&lender) >= 1);
	lender_end(&lender);
}

/* Back by a call, without a collection; and the one who waits holds none meanwhile. */
TEST(buffers_that_are_back_are_used_again)
{
	struct lender lender = lender_begin();
	struct got *got = xyl_new(struct got);
	struct xyl_task *reader;

	hoard_all(&lender);
	reader = SOME(&lender.driven, .io = lender.io, .got = got);
	hand_turns(&lender.driven, 3);
	CHECK_EQ(drive_stats(&lender.driven).pinned_bytes, 0);
	hoard_give(&lender, 7);
	CHECK_EQ(lent(&lender), POOL - 1);
	raw_send(lender.peer, "lent again");
	hand_join(&lender.driven, reader);
	GOT_TEXT(got, "lent again");
	CHECK_EQ(lent(&lender), POOL);
	*got = (struct got){ 0 };
	hoard_end(&lender);
	lender_end(&lender);
}

/* The kernel had none for one who then left: whoever comes when there are some again is
 * lent one. */
TEST(a_want_of_buffers_is_forgotten_when_they_are_back)
{
	struct lender lender = lender_begin();
	struct got *got = xyl_new(struct got);
	struct xyl_task *reader;

	hoard_all(&lender);
	reader = SOME(&lender.driven, .io = lender.io);
	hand_turns(&lender.driven, 2);
	raw_send(lender.peer, "late");
	hand_completion(&lender.driven);
	xyl_abort(reader);
	CHECK_EQ(hand_join(&lender.driven, reader), -ECANCELED);
	hand_drained(&lender.driven);
	for (int i = 0; i < 10; i++)
		hoard_give(&lender, i);
	CHECK_EQ(SOME_READ(&lender.driven, .io = lender.io, .got = got), 4);
	CHECK_EQ(lent(&lender), POOL - 9);
	*got = (struct got){ 0 };
	hoard_end(&lender);
	lender_end(&lender);
}

/* ---- for a long time ------------------------------------------------------------------------- */

struct reader {
	struct xyl_frame frame;
	struct xyl_io *io;
	size_t left;
	int peer;
	char *bytes;
	ssize_t n;
};

static xyl_step reader(void *frame)
{
	struct reader *self = frame;

	XYL_BEGIN(self)
	for (; self->left > 0; self->left--) {
		CHECK_EQ(send(self->peer, &self->left, sizeof(self->left), 0),
			 (ssize_t)sizeof(self->left));
		XYL_AWAIT(self->n, xyl_read_some(self->io, &self->bytes));
		CHECK_EQ(self->n, (ssize_t)sizeof(self->left));
		CHECK(!memcmp(self->bytes, &self->left, sizeof(self->left)));
	}
	XYL_END(0);
}

/* Nobody returns any, and nothing else is allocated. */
TEST(a_million_reads_need_no_more_than_the_pool)
{
	struct lender lender = lender_begin();
	struct xyl_gc_stats before, after;
	size_t reads = test_scaled(1000000) / (getenv("XYL_CHECK_COLLECT") ? 50 : 1);

	xyl_gc_stats(&before);
	drive_until_done(&lender.driven, DRIVE_SPAWN(&lender.driven, reader, .io = lender.io,
						     .peer = lender.peer, .left = reads));
	xyl_gc_stats(&after);
	CHECK(drive_stats(&lender.driven).buffers <= POOL);
	CHECK(drive_stats(&lender.driven).buffers_lent <= POOL);
	CHECK(after.heap_bytes <= before.heap_bytes + ((uint64_t)8 << 20));
	collect(&lender.driven);
	CHECK(lent(&lender) <= STRAY);
	lender_end(&lender);
}
