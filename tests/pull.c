/* SPDX-License-Identifier: MIT */
/*
 * pull.c - what streams give: empty, one, many; each adapter, and chains of them.
 *
 * The cases of the streams of tau, a runtime for Rust, told anew.
 */
#include <stdio.h>
#include <string.h>

#include "tests/asyncs.h"
#include "tests/pulls.h"

static struct xyl_stream *ten_times(struct xyl_stream *from)
{
	return xyl_stream_map(from, sizeof(long), times_ten, NULL);
}

static struct xyl_stream *below(struct xyl_stream *from, long limit)
{
	long *arg = xyl_new(long);

	*arg = limit;
	return xyl_stream_take_while(from, is_below, arg);
}

static bool always(const void *elem, void *arg)
{
	(void)elem;
	(void)arg;
	return true;
}

static bool never(const void *elem, void *arg)
{
	return !always(elem, arg);
}

/* ---- text, for elements of another type ------------------------------------------------ */

static char *item(const char *before, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%s%ld", before, value);
	return xyl_strdup(text);
}

static void to_text(void *ret_elem, const void *elem, void *arg)
{
	*(char **)ret_elem = item(arg, *(const long *)elem);
}

static int join_text(void *acc, const void *elem)
{
	strcat(acc, *(char *const *)elem);
	return 0;
}

struct spell {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	char text[64];
	const char *want;
	ssize_t n;
};

static xyl_step spell(void *frame)
{
	struct spell *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_stream_fold(self->stream, self->text, join_text));
	CHECK(strcmp(self->text, self->want) == 0);
	XYL_END(self->n);
}

#define CHECK_SPELLS(from, text) CHECK_EQ(RUN(spell, .stream = (from), .want = (text)), 0)

/* ---- map ------------------------------------------------------------------------------- */

TEST(map_gives_one_for_one)
{
	CHECK_GIVES(ten_times(LONGS(1, 2, 3, 4, 5)), 10, 20, 30, 40, 50);
}

TEST(map_may_change_the_type)
{
	struct xyl_stream *text = xyl_stream_map(LONGS(1, 2, 3), sizeof(char *), to_text, "item_");

	CHECK_SPELLS(text, "item_1item_2item_3");
}

TEST(map_of_nothing_is_nothing)
{
	CHECK_GIVES(ten_times(LONGS()));
}

/* ---- filter ---------------------------------------------------------------------------- */

TEST(filter_keeps_those_that_match)
{
	CHECK_GIVES(xyl_stream_filter(LONGS(1, 2, 3, 4, 5, 6), is_even, NULL), 2, 4, 6);
}

TEST(filter_may_drop_all)
{
	CHECK_GIVES(xyl_stream_filter(LONGS(1, 3, 5), never, NULL));
}

TEST(filter_may_keep_all)
{
	CHECK_GIVES(xyl_stream_filter(LONGS(1, 2, 3), always, NULL), 1, 2, 3);
}

TEST(filter_of_nothing_is_nothing)
{
	CHECK_GIVES(xyl_stream_filter(LONGS(), always, NULL));
}

/* ---- filter_map ------------------------------------------------------------------------ */

static int even_hundreds(void *ret_elem, const void *elem, void *arg)
{
	(void)arg;
	*(long *)ret_elem = 100 * *(const long *)elem;
	return is_even(elem, NULL);
}

static int one_more(void *ret_elem, const void *elem, void *arg)
{
	(void)arg;
	*(long *)ret_elem = *(const long *)elem + 1;
	return 1;
}

static int nothing(void *ret_elem, const void *elem, void *arg)
{
	(void)ret_elem;
	(void)elem;
	(void)arg;
	return 0;
}

static struct xyl_stream *fitted(struct xyl_stream *from,
				 int (*fn)(void *ret_elem, const void *elem, void *arg))
{
	return xyl_stream_filter_map(from, sizeof(long), fn, NULL);
}

TEST(filter_map_does_both)
{
	CHECK_GIVES(fitted(LONGS(1, 2, 3, 4, 5), even_hundreds), 200, 400);
}

TEST(filter_map_may_give_all)
{
	CHECK_GIVES(fitted(LONGS(1, 2, 3), one_more), 2, 3, 4);
}

TEST(filter_map_may_give_none)
{
	CHECK_GIVES(fitted(LONGS(1, 2, 3), nothing));
}

TEST(filter_map_of_nothing_is_nothing)
{
	CHECK_GIVES(fitted(LONGS(), one_more));
}

/* ---- take_while, take, skip -------------------------------------------------------------- */

TEST(take_while_ends_early)
{
	CHECK_GIVES(below(LONGS(1, 2, 3, 4, 5), 4), 1, 2, 3);
}

TEST(take_while_may_take_all)
{
	CHECK_GIVES(xyl_stream_take_while(LONGS(1, 2, 3), always, NULL), 1, 2, 3);
}

TEST(take_while_may_take_none)
{
	CHECK_GIVES(xyl_stream_take_while(LONGS(1, 2, 3), never, NULL));
}

TEST(take_while_does_not_go_on_after_the_first_that_fails)
{
	CHECK_GIVES(below(LONGS(10, 1, 2), 5));
}

TEST(take_while_of_nothing_is_nothing)
{
	CHECK_GIVES(xyl_stream_take_while(LONGS(), always, NULL));
}

TEST(take_gives_no_more_than_it_was_told)
{
	CHECK_GIVES(xyl_stream_take(LONGS(1, 2, 3), 2), 1, 2);
	CHECK_GIVES(xyl_stream_take(LONGS(1, 2, 3), 9), 1, 2, 3);
	CHECK_GIVES(xyl_stream_take(LONGS(1, 2, 3), 0));
}

TEST(skip_gives_the_rest)
{
	CHECK_GIVES(xyl_stream_skip(LONGS(1, 2, 3), 2), 3);
	CHECK_GIVES(xyl_stream_skip(LONGS(1, 2, 3), 9));
	CHECK_GIVES(xyl_stream_skip(LONGS(1, 2, 3), 0), 1, 2, 3);
}

/* ---- then ------------------------------------------------------------------------------ */

struct slowly {
	struct xyl_stream stream;
	long factor;
	bool at_once;
	ssize_t n;
};

/* Those of a factor, and only the even ones if it is 0. */
static xyl_step slowly(void *frame)
{
	struct slowly *self = frame;

	XYL_BEGIN(&self->stream)
	if (!self->at_once)
		XYL_AWAIT(self->n, xyl_yield());
	if (self->factor == 0 && !is_even(self->stream.in, NULL))
		XYL_RETURN(0);
	*(long *)self->stream.elem = (self->factor ? self->factor : 1) *
				     *(const long *)self->stream.in;
	XYL_END(self->n < 0 ? self->n : 1);
}

struct slow_text {
	struct xyl_stream stream;
	ssize_t n;
};

static xyl_step slow_text(void *frame)
{
	struct slow_text *self = frame;

	XYL_BEGIN(&self->stream)
	XYL_AWAIT(self->n, xyl_sleep(0));
	*(char **)self->stream.elem = item("v", *(const long *)self->stream.in);
	XYL_END(self->n < 0 ? self->n : 1);
}

TEST(then_with_a_function_that_is_done_at_once)
{
	CHECK_GIVES(xyl_stream_then(LONGS(1, 2, 3), sizeof(long), slowly, .factor = 10,
				    .at_once = true),
		    10, 20, 30);
}

TEST(then_may_change_the_type)
{
	CHECK_SPELLS(xyl_stream_then(LONGS(1, 2, 3), sizeof(char *), slow_text), "v1v2v3");
}

TEST(then_keeps_the_order)
{
	CHECK_GIVES(xyl_stream_then(LONGS(3, 1, 2), sizeof(long), slowly, .factor = 1), 3, 1, 2);
}

TEST(then_may_drop_some)
{
	CHECK_GIVES(xyl_stream_then(LONGS(1, 2, 3, 4), sizeof(long), slowly), 2, 4);
}

TEST(then_of_nothing_is_nothing)
{
	CHECK_GIVES(xyl_stream_then(LONGS(), sizeof(long), slowly));
}

/* ---- next ------------------------------------------------------------------------------ */

struct one_by_one {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	long want, value;
	ssize_t n;
};

static xyl_step one_by_one(void *frame)
{
	struct one_by_one *self = frame;

	XYL_BEGIN(self)
	for (; self->want <= 30; self->want += 10) {
		XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
		CHECK_EQ(self->n, 1);
		CHECK_EQ(self->value, self->want);
	}
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
	XYL_END(self->n);
}

TEST(next_gives_one_at_a_time)
{
	CHECK_EQ(RUN(one_by_one, .stream = LONGS(10, 20, 30), .want = 10), 0);
}

TEST(next_of_nothing_is_the_end)
{
	CHECK_EQ(RUN(one_by_one, .stream = LONGS(), .want = 40), 0);
}

/* ---- collect, for_each, fold ------------------------------------------------------------- */

TEST(collect_makes_an_array)
{
	CHECK_GIVES(LONGS(1, 2, 3, 4), 1, 2, 3, 4);
}

TEST(collect_of_nothing_is_empty)
{
	CHECK_GIVES(LONGS());
}

struct see {
	struct xyl_stream stream;
	long *seen;
	ssize_t n;
};

static xyl_step see(void *frame)
{
	struct see *self = frame;

	XYL_BEGIN(&self->stream)
	XYL_AWAIT(self->n, xyl_yield());
	*self->seen = 10 * *self->seen + *(const long *)self->stream.in;
	XYL_END(self->n);
}

struct see_each {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	long seen;
	ssize_t n;
};

static xyl_step see_each(void *frame)
{
	struct see_each *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_stream_for_each(self->stream, see, .seen = &self->seen));
	XYL_END(self->n < 0 ? self->n : self->seen);
}

TEST(for_each_visits_all_in_order)
{
	CHECK_EQ(RUN(see_each, .stream = LONGS(1, 2, 3)), 123);
}

TEST(for_each_of_nothing_visits_nothing)
{
	CHECK_EQ(RUN(see_each, .stream = LONGS()), 0);
}

struct fold_to {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	int (*fn)(void *acc, const void *elem);
	long acc;
	ssize_t n;
};

static xyl_step fold_to(void *frame)
{
	struct fold_to *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_stream_fold(self->stream, &self->acc, self->fn));
	XYL_END(self->n < 0 ? self->n : self->acc);
}

static int multiply(void *acc, const void *elem)
{
	*(long *)acc *= *(const long *)elem;
	return 0;
}

TEST(fold_to_a_sum)
{
	CHECK_EQ(RUN(fold_to, .stream = LONGS(1, 2, 3, 4), .fn = add), 10);
}

TEST(fold_to_a_product)
{
	CHECK_EQ(RUN(fold_to, .stream = LONGS(1, 2, 3, 4), .fn = multiply, .acc = 1), 24);
}

TEST(fold_of_nothing_is_what_it_began_with)
{
	CHECK_EQ(RUN(fold_to, .stream = LONGS(), .fn = add, .acc = 42), 42);
}

TEST(fold_to_a_text)
{
	const char **letters = xyl_alloc(3 * sizeof(*letters));

	letters[0] = "a";
	letters[1] = "b";
	letters[2] = "c";
	CHECK_SPELLS(xyl_stream_of_array(letters, 3, sizeof(*letters)), "abc");
}

/* ---- merge ----------------------------------------------------------------------------- */

struct merged {
	struct xyl_frame frame;
	struct xyl_stream *left, *right;
	long above; /* 0: no filter */
	struct xyl_scope *scope;
	struct xyl_stream *stream;
	const long *want;
	size_t count;
	ssize_t n;
};

static xyl_step merged(void *frame)
{
	struct merged *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->stream = xyl_stream_merge(self->scope, self->left, self->right);
	if (self->above)
		self->stream = xyl_stream_filter(self->stream, is_above, &self->above);
	XYL_AWAIT(self->n, xyl_call(gives, .stream = self->stream, .want = self->want,
				    .count = self->count));
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(0);
}

#define CHECK_MERGES(l, r, limit, ...)                                                        \
	CHECK_EQ(RUN(merged, .left = (l), .right = (r), .above = (limit),                     \
		     .want = (long[]){ 0, __VA_ARGS__ } + 1, .count = COUNT_OF(__VA_ARGS__)), \
		 0)

TEST(merge_gives_all_of_both)
{
	test_needs_the_real_ring("which of two ready tasks comes first, which is no promise");
	CHECK_MERGES(LONGS(1, 3, 5), LONGS(2, 4, 6), 0, 1, 2, 3, 4, 5, 6);
}

TEST(merge_with_nothing_gives_the_other)
{
	CHECK_MERGES(LONGS(10, 20), LONGS(), 0, 10, 20);
	CHECK_MERGES(LONGS(), LONGS(10, 20), 0, 10, 20);
}

TEST(merge_of_nothing_is_nothing)
{
	CHECK_MERGES(LONGS(), LONGS(), 0);
}

TEST(merge_takes_turns_when_both_are_ready)
{
	test_needs_the_real_ring("which of two ready tasks comes first, which is no promise");
	CHECK_MERGES(LONGS(1, 1, 1), LONGS(2, 2, 2), 0, 1, 2, 1, 2, 1, 2);
}

/* ---- chunks, zip ----------------------------------------------------------------------- */

static void to_sum(void *ret_elem, const void *elem, void *arg)
{
	const struct xyl_array *chunk = elem;
	const long *values = chunk->elems;
	long sum = 0;

	(void)arg;
	for (size_t i = 0; i < chunk->count; i++)
		sum = 10 * sum + values[i];
	*(long *)ret_elem = sum;
}

static struct xyl_stream *chunk_digits(struct xyl_stream *from, size_t n)
{
	return xyl_stream_map(xyl_stream_chunks(from, n), sizeof(long), to_sum, NULL);
}

TEST(chunks_are_full_but_for_the_last)
{
	CHECK_GIVES(chunk_digits(LONGS(1, 2, 3, 4, 5), 2), 12, 34, 5);
	CHECK_GIVES(chunk_digits(LONGS(1, 2, 3, 4), 2), 12, 34);
	CHECK_GIVES(chunk_digits(LONGS(1, 2, 3), 9), 123);
	CHECK_GIVES(chunk_digits(LONGS(), 2));
	CHECK(!xyl_stream_chunks(LONGS(1), 0));
}

struct pair {
	char letter;
	long number;
};

static void to_number(void *ret_elem, const void *elem, void *arg)
{
	const struct pair *pair = elem;

	(void)arg;
	*(long *)ret_elem = 100 * pair->letter + pair->number;
}

static struct xyl_stream *zipped(const char *letters, struct xyl_stream *numbers)
{
	struct xyl_stream *left = xyl_stream_of_array(letters, strlen(letters), 1);

	return xyl_stream_map(
		xyl_stream_zip(left, numbers, sizeof(struct pair), offsetof(struct pair, number)),
		sizeof(long), to_number, NULL);
}

TEST(zip_makes_pairs_as_long_as_both_have_some)
{
	CHECK_GIVES(zipped("AB", LONGS(1, 2)), 6501, 6602);
	CHECK_GIVES(zipped("ABC", LONGS(1)), 6501);
	CHECK_GIVES(zipped("A", LONGS(1, 2)), 6501);
	CHECK_GIVES(zipped("", LONGS(1, 2)));
}

TEST(zip_refuses_what_does_not_fit)
{
	CHECK(!xyl_stream_zip(LONGS(1), LONGS(2), 16, 7));
	CHECK(!xyl_stream_zip(LONGS(1), LONGS(2), 15, 8));
	CHECK(!xyl_stream_zip(LONGS(1), LONGS(2), 8, 16));
	CHECK(xyl_stream_zip(LONGS(1), LONGS(2), 16, 8));
}

/* ---- chains ---------------------------------------------------------------------------- */

static void twice(void *ret_elem, const void *elem, void *arg)
{
	(void)arg;
	*(long *)ret_elem = 2 * *(const long *)elem;
}

TEST(map_then_filter_then_collect)
{
	static long limit = 10;
	struct xyl_stream *doubled = xyl_stream_map(LONGS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
						    sizeof(long), twice, NULL);

	CHECK_GIVES(xyl_stream_filter(doubled, is_above, &limit), 12, 14, 16, 18, 20);
}

static int odd_only(void *ret_elem, const void *elem, void *arg)
{
	(void)arg;
	*(long *)ret_elem = *(const long *)elem;
	return !is_even(elem, NULL);
}

TEST(filter_map_then_then_then_fold)
{
	CHECK_EQ(RUN(fold_to,
		     .stream = xyl_stream_then(fitted(LONGS(1, 2, 3, 4, 5), odd_only), sizeof(long),
					       slowly, .factor = 10),
		     .fn = add),
		 90);
}

TEST(take_while_then_map_then_collect)
{
	CHECK_SPELLS(
		xyl_stream_map(below(LONGS(1, 2, 3, 10, 4, 5), 10), sizeof(char *), to_text, "#"),
		"#1#2#3");
}

TEST(merge_then_filter_then_collect)
{
	CHECK_MERGES(LONGS(1, 2, 3), LONGS(4, 5, 6), 3, 4, 5, 6);
}
