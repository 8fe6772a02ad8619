/* SPDX-License-Identifier: MIT */
/* pull_cost.c - what a pull asks for and allocates, and what a stream keeps: no more than it must. */
#include "tests/pulls.h"

/* ---- what is pulled ---------------------------------------------------------------------- */

TEST(nothing_is_pulled_that_nobody_asked_for)
{
	long *pulled = xyl_new(long);
	struct xyl_stream *stream = xyl_stream_map(naturals_new(pulled), sizeof(long), times_ten,
						   NULL);

	stream = xyl_stream_take(xyl_stream_filter(stream, is_even, NULL), 5);
	CHECK_EQ(*pulled, 0);
	CHECK_EQ(RUN(pull_some, .stream = stream, .count = 3), 30);
	CHECK_EQ(*pulled, 3);
	CHECK_EQ(RUN(pull_some, .stream = stream, .count = 3), 0);
	CHECK_EQ(*pulled, 5);
}

/* ---- cost ------------------------------------------------------------------------------ */

struct pull_many {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	long count, value;
	uint64_t resumed, bytes;
	ssize_t n;
};

static uint64_t resumed_now(void)
{
	struct xyl_stats stats;

	xyl_runtime_stats(xyl_runtime_self(), &stats);
	return stats.resumed;
}

static uint64_t allocated_now(void)
{
	struct xyl_gc_stats stats;

	xyl_gc_stats(&stats);
	return stats.allocated_bytes;
}

static xyl_step pull_many(void *frame)
{
	struct pull_many *self = frame;

	XYL_BEGIN(self)
	self->resumed = resumed_now();
	self->bytes = allocated_now();
	while (self->count-- > 0) {
		XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
		CHECK_EQ(self->n, 1);
	}
	CHECK(allocated_now() - self->bytes < 4096);
	XYL_END((ssize_t)(resumed_now() - self->resumed));
}

TEST(ready_elements_pass_without_an_allocation_or_a_wait)
{
	static long limit = 1000000000;
	struct xyl_config config = { .turn_budget = 1u << 30 };
	struct xyl_stream *stream = naturals_new(xyl_new(long));

	for (int i = 0; i < 4; i++)
		stream = xyl_stream_filter(xyl_stream_map(stream, sizeof(long), times_ten, NULL),
					   is_below, &limit);
	CHECK_EQ(RUN_WITH(&config, pull_many, .stream = stream, .count = 10000), 0);
}

/* ---- what a stream keeps --------------------------------------------------------------- */

struct through {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	void *elem;
	ssize_t n;
};

static struct xyl_weak *last;

/* Pull one, and let go of it. */
static xyl_step through(void *frame)
{
	struct through *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->elem));
	last = xyl_weak_new(self->elem);
	self->elem = NULL;
	XYL_END(self->n);
}

struct boxes {
	struct xyl_stream stream;
};

static xyl_step boxes(void *frame)
{
	struct boxes *self = frame;

	XYL_BEGIN(&self->stream)
	*(void **)self->stream.elem = xyl_alloc(64);
	XYL_END(1);
}

static void same(void *ret_elem, const void *elem, void *arg)
{
	(void)arg;
	*(void **)ret_elem = *(void *const *)elem;
}

struct same_later {
	struct xyl_stream stream;
};

static xyl_step same_later(void *frame)
{
	struct same_later *self = frame;

	XYL_BEGIN(&self->stream)
	*(void **)self->stream.elem = *(void *const *)self->stream.in;
	XYL_END(1);
}

static bool any(const void *elem, void *arg)
{
	(void)elem;
	(void)arg;
	return true;
}

static struct xyl_stream *volatile kept; /* else the compiler sees that nobody looks */

enum { ROUNDS = 20 };

/* What the calls before have left on the stack keeps nothing. */
__attribute__((noinline)) static void collect(void)
{
	volatile char stale[16384];

	for (size_t i = 0; i < sizeof(stale); i++)
		stale[i] = 0;
	xyl_collect();
}

/* What is on the stack by chance may keep one or another. */
static bool lives_as_a_rule(struct xyl_stream *stream)
{
	int living = 0;

	kept = stream;
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_EQ(RUN(through, .stream = stream), 1);
		collect();
		living += xyl_weak_get(last) != NULL;
	}
	kept = NULL;
	last = NULL;
	return living > ROUNDS / 2;
}

static struct xyl_stream *all_boxes(void)
{
	return xyl_stream_new(sizeof(void *), boxes);
}

TEST(a_stream_keeps_no_element_that_it_has_handed_on)
{
	CHECK(!lives_as_a_rule(xyl_stream_map(all_boxes(), sizeof(void *), same, NULL)));
	CHECK(!lives_as_a_rule(xyl_stream_filter(all_boxes(), any, NULL)));
	CHECK(!lives_as_a_rule(xyl_stream_take_while(all_boxes(), any, NULL)));
	CHECK(!lives_as_a_rule(xyl_stream_skip(all_boxes(), 1)));
	CHECK(!lives_as_a_rule(xyl_stream_then(all_boxes(), sizeof(void *), same_later)));
}

static struct xyl_weak *source_weak;

__attribute__((noinline)) static void ended_over_a_source(void)
{
	struct xyl_stream *source = LONGS(1, 2, 3);

	source_weak = xyl_weak_new(source);
	kept = xyl_stream_map(source, sizeof(long), times_ten, NULL);
	CHECK_EQ(RUN(pull_some, .stream = kept, .count = 9), 0);
}

TEST(a_stream_that_has_ended_keeps_nothing)
{
	int living = 0;

	for (int i = 0; i < ROUNDS; i++) {
		ended_over_a_source();
		collect();
		living += xyl_weak_get(source_weak) != NULL;
	}
	CHECK(living <= ROUNDS / 2);
	source_weak = NULL;
	kept = NULL;
}
