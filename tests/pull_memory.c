/* SPDX-License-Identifier: MIT */
/* pull_memory.c - streams when memory is exhausted: an error, and no element is lost. */
#include <errno.h>
#include <string.h>

#include "tests/child.h"
#include "tests/pulls.h"

#define MIB (1024 * 1024)

static const struct xyl_config small = { .heap_limit_bytes = 32 * MIB,
					 .heap_start_bytes = 8 * MIB };

/* ---- an array that grows to the limit ---------------------------------------------------- */

struct collect_all {
	struct xyl_frame frame;
	struct xyl_array array;
	struct xyl_stream *stream;
	long *pulled, value;
	ssize_t n;
};

static xyl_step collect_all(void *frame)
{
	struct collect_all *self = frame;

	XYL_BEGIN(self)
	self->pulled = xyl_new(long);
	self->stream = naturals_new(self->pulled);
	XYL_AWAIT(self->n, xyl_stream_collect(self->stream, &self->array));
	CHECK_EQ(self->n, -ENOMEM);
	CHECK(self->array.count > 1000);
	CHECK_EQ(self->array.count, *self->pulled);
	self->array = (struct xyl_array){ 0 };
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
	CHECK_EQ(self->value, *self->pulled - 1);
	XYL_END(self->n);
}

static void run_collect_all(void *unused)
{
	(void)unused;
	CHECK_EQ(RUN_WITH(&small, collect_all), 1);
}

TEST(an_array_that_cannot_grow_holds_all_that_was_pulled)
{
	child_succeeds(run_collect_all, NULL);
}

/* ---- a pull that cannot be bounded, or left for later ------------------------------------ */

/* Not a list, of which one stale pointer would keep the rest. */
static void *hoard[1 << 18];

/* Down to the last free block of each small size. */
static void hoard_all(void)
{
	size_t hoarded = 0;
	void *more;

	for (size_t size = 8192; size >= 16; size -= size > 1008 ? 8192 - 1008 : 16)
		while ((more = xyl_alloc(size)) != NULL) {
			CHECK(hoarded < sizeof(hoard) / sizeof(*hoard));
			hoard[hoarded++] = more;
		}
}

struct starve {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct xyl_stream *stream;
	long value;
	ssize_t n;
};

static xyl_step starve(void *frame)
{
	struct starve *self = frame;

	XYL_BEGIN(self)
	self->chan = xyl_chan_new(sizeof(long), 8);
	self->stream = xyl_stream_map(xyl_stream_of_chan(self->chan), sizeof(long), times_ten,
				      NULL);
	CHECK_EQ(xyl_try_send(self->chan, &(long){ 1 }), 0);
	CHECK_EQ(xyl_try_send(self->chan, &(long){ 2 }), 0);
	hoard_all();
	CHECK(xyl_stream_take(self->stream, 1) == NULL);
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(self->value, 10);
	XYL_AWAIT(self->n, xyl_within(xyl_stream_next(self->stream, &self->value), XYL_SEC));
	CHECK_EQ(self->n, -ENOMEM);
	CHECK(xyl_later(xyl_stream_next(self->stream, &self->value)) == NULL);
	memset(hoard, 0, sizeof(hoard));
	xyl_collect();
	xyl_collect();
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(self->value, 20);
	XYL_END(0);
}

static void run_starve(void *unused)
{
	(void)unused;
	CHECK_EQ(RUN_WITH(&small, starve), 0);
}

TEST(a_pull_that_cannot_be_bounded_is_not_begun_and_can_be_made_again)
{
	child_succeeds(run_starve, NULL);
}
