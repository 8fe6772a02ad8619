/* SPDX-License-Identifier: MIT */
/* pull_cut.c - pulls that are cut short, by an abort, a bound, an error: no element is lost. */
#include <errno.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/pulls.h"

/* ---- from one task to the next ---------------------------------------------------------- */

TEST(a_stream_goes_on_in_another_task_and_another_runtime)
{
	struct xyl_stream *stream = LONGS(1, 2, 3, 4);

	CHECK_EQ(RUN(pull_some, .stream = stream, .count = 2), 3);
	CHECK_EQ(RUN(pull_some, .stream = stream, .count = 2), 7);
}

TEST(a_stream_of_no_stream_is_refused_when_it_is_pulled)
{
	struct xyl_stream *stream = xyl_stream_filter(NULL, is_even, NULL);

	stream = xyl_stream_chunks(xyl_stream_take(xyl_stream_skip(stream, 1), 2), 3);
	CHECK_EQ(RUN(pull_some, .stream = stream, .count = 1), -EINVAL);
}

/* ---- errors ---------------------------------------------------------------------------- */

static int no_thirteen(void *ret_elem, const void *elem, void *arg)
{
	(void)arg;
	*(long *)ret_elem = *(const long *)elem;
	return *(const long *)elem == 13 ? -EDOM : 1;
}

static struct xyl_stream *unlucky(void)
{
	return xyl_stream_filter_map(LONGS(1, 13, 2, 13, 3), sizeof(long), no_thirteen, NULL);
}

struct around_errors {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	long sum, value;
	int errors;
	ssize_t n;
};

static xyl_step around_errors(void *frame)
{
	struct around_errors *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
		if (self->n == 0)
			break;
		if (self->n == 1)
			self->sum = 10 * self->sum + self->value;
		else if (self->n == -EDOM)
			self->errors++;
		else
			XYL_RETURN(self->n);
	}
	XYL_END(10 * self->sum + self->errors);
}

TEST(an_error_passes_through_and_is_no_end)
{
	struct xyl_stream *stream = unlucky();

	stream = xyl_stream_filter(xyl_stream_take(stream, 9), is_below, &(long){ 9 });
	CHECK_EQ(RUN(around_errors, .stream = stream), 1232);
}

TEST(an_error_is_no_element_of_take_and_skip)
{
	CHECK_EQ(RUN(around_errors, .stream = xyl_stream_take(unlucky(), 2)), 121);
	CHECK_EQ(RUN(around_errors, .stream = xyl_stream_skip(unlucky(), 2)), 32);
}

struct collect_on {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	struct xyl_array array;
	long sum;
	ssize_t n;
};

static xyl_step collect_on(void *frame)
{
	struct collect_on *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_stream_collect(self->stream, &self->array));
	CHECK_EQ(self->n, -EDOM);
	CHECK_EQ(self->array.count, 1);
	XYL_AWAIT(self->n, xyl_stream_fold(self->stream, &self->sum, add));
	CHECK_EQ(self->n, -EDOM);
	CHECK_EQ(self->sum, 2);
	XYL_AWAIT(self->n, xyl_stream_collect(self->stream, &self->array));
	CHECK_EQ(self->array.count, 2);
	CHECK_EQ(((long *)self->array.elems)[1], 3);
	XYL_END(self->n);
}

TEST(what_came_before_an_error_is_kept_and_another_consumer_goes_on)
{
	CHECK_EQ(RUN(collect_on, .stream = unlucky()), 1);
}

/* ---- bounds ---------------------------------------------------------------------------- */

/* Pull with bounds of nothing, and feed the channel with one more each time. */
struct impatient {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	struct xyl_chan *chan, *other;
	long sent, to, value, digits;
	int passed;
	ssize_t n;
};

static xyl_step impatient(void *frame)
{
	struct impatient *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_within(xyl_stream_next(self->stream, &self->value), 0));
		if (self->n == 0)
			break;
		if (self->n == 1)
			self->digits = 10 * self->digits + self->value;
		else
			CHECK_EQ(self->n, -ETIMEDOUT);
		if (self->n == 1)
			continue;
		self->passed++;
		if (++self->sent > self->to) {
			xyl_chan_close(self->chan);
			if (self->other)
				xyl_chan_close(self->other);
		} else {
			CHECK_EQ(xyl_try_send(self->other && self->sent % 2 == 0 ? self->other
										 : self->chan,
					      &self->sent),
				 0);
		}
	}
	CHECK(self->passed >= self->to);
	XYL_END(self->digits);
}

static struct xyl_chan *chan_new(void)
{
	return xyl_chan_new(sizeof(long), XYL_UNLIMITED);
}

static void digits_of(void *ret_elem, const void *elem, void *arg)
{
	const struct xyl_array *chunk = elem;
	const long *values = chunk->elems;

	(void)arg;
	*(long *)ret_elem = 0;
	for (size_t i = 0; i < chunk->count; i++)
		*(long *)ret_elem = 10 * *(long *)ret_elem + values[i];
}

TEST(bounds_cut_pulls_and_no_element_is_lost)
{
	struct xyl_chan *chan = chan_new();
	struct xyl_stream *stream = xyl_stream_of_chan(chan);

	stream = xyl_stream_filter(xyl_stream_skip(stream, 1), is_below, &(long){ 100 });
	stream = xyl_stream_take(xyl_stream_take_while(stream, is_below, &(long){ 100 }), 9);
	CHECK_EQ(RUN(impatient, .stream = stream, .chan = chan, .to = 6), 23456);
}

TEST(bounds_cut_chunks_and_no_element_is_lost)
{
	struct xyl_chan *chan = chan_new();
	struct xyl_stream *stream = xyl_stream_chunks(xyl_stream_of_chan(chan), 3);

	stream = xyl_stream_map(stream, sizeof(long), digits_of, NULL);
	CHECK_EQ(RUN(impatient, .stream = stream, .chan = chan, .to = 5), 1230 + 45);
}

struct two_longs {
	long left, right;
};

static void two_digits(void *ret_elem, const void *elem, void *arg)
{
	const struct two_longs *two = elem;

	(void)arg;
	*(long *)ret_elem = 10 * two->left + two->right;
}

TEST(bounds_cut_zip_and_no_element_is_lost)
{
	struct xyl_chan *chan = chan_new(), *other = chan_new();
	struct xyl_stream *stream =
		xyl_stream_zip(xyl_stream_of_chan(chan), xyl_stream_of_chan(other),
			       sizeof(struct two_longs), offsetof(struct two_longs, right));

	stream = xyl_stream_map(stream, sizeof(long), two_digits, NULL);
	CHECK_EQ(RUN(impatient, .stream = stream, .chan = chan, .other = other, .to = 6),
		 1200 + 340 + 56);
}

struct in_two_steps {
	struct xyl_stream stream;
	struct xyl_chan *steps;
	long step;
	ssize_t n;
};

/* Takes a step of another channel for each element. */
static xyl_step in_two_steps(void *frame)
{
	struct in_two_steps *self = frame;

	XYL_BEGIN(&self->stream)
	XYL_AWAIT(self->n, xyl_recv(self->steps, &self->step));
	if (self->n == -EPIPE)
		XYL_RETURN(-EPIPE);
	*(long *)self->stream.elem = *(const long *)self->stream.in;
	XYL_END(self->n < 0 ? self->n : 1);
}

struct pass_on {
	struct xyl_stream stream;
	ssize_t n;
};

static xyl_step pass_on(void *frame)
{
	struct pass_on *self = frame;

	XYL_BEGIN(&self->stream)
	XYL_AWAIT(self->n, xyl_yield());
	if (self->n < 0)
		XYL_RETURN(self->n);
	*(struct two_longs *)self->stream.elem = *(const struct two_longs *)self->stream.in;
	XYL_END(1);
}

TEST(bounds_cut_then_and_it_is_called_with_the_same_element_again)
{
	struct xyl_chan *chan = chan_new(), *other = chan_new();
	struct xyl_stream *stream = xyl_stream_then(xyl_stream_of_chan(chan), sizeof(long),
						    in_two_steps, .steps = other);

	CHECK_EQ(RUN(impatient, .stream = stream, .chan = chan, .other = other, .to = 6), 135);
}

/* ---- aborts ---------------------------------------------------------------------------- */

TEST(an_aborted_pull_leaves_the_stream_to_the_next_task)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_new();
	struct xyl_stream *stream = xyl_stream_map(xyl_stream_of_chan(chan), sizeof(long),
						   times_ten, NULL);
	struct xyl_task *first = DRIVE_SPAWN(&driven, pull_some, .stream = stream, .count = 2);
	struct xyl_task *next;

	CHECK_EQ(xyl_try_send(chan, &(long){ 1 }), 0);
	drive(&driven, 3);
	xyl_abort(first);
	drive_until_done(&driven, first);
	CHECK_EQ(xyl_result(first), -ECANCELED);
	CHECK_EQ(xyl_try_send(chan, &(long){ 2 }), 0);
	CHECK_EQ(xyl_try_send(chan, &(long){ 3 }), 0);
	next = DRIVE_SPAWN(&driven, pull_some, .stream = stream, .count = 2);
	drive_until_done(&driven, next);
	CHECK_EQ(xyl_result(next), 50);
	drive_end(&driven);
}

TEST(one_task_at_a_time)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_chan *chan = chan_new();
	struct xyl_stream *stream = xyl_stream_filter(xyl_stream_of_chan(chan), is_even, NULL);
	struct xyl_task *first = DRIVE_SPAWN(&driven, pull_some, .stream = stream, .count = 1);
	struct xyl_task *second;

	drive(&driven, 3);
	second = DRIVE_SPAWN(&driven, pull_some, .stream = stream, .count = 1);
	drive_until_done(&driven, second);
	CHECK_EQ(xyl_result(second), -EBUSY);
	CHECK_EQ(xyl_try_send(chan, &(long){ 2 }), 0);
	drive_until_done(&driven, first);
	CHECK_EQ(xyl_result(first), 2);
	drive_end(&driven);
}

TEST(an_endless_fold_is_aborted)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(
		&driven, pull_some, .stream = naturals_new(xyl_new(long)), .count = INT64_MAX);

	drive(&driven, 5);
	CHECK(!xyl_is_done(task));
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	drive_end(&driven);
}

/* ---- a storm of aborts ------------------------------------------------------------------- */

struct pull_checked {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	long *got;
	struct two_longs value;
	ssize_t n;
};

/* Both of a pair are the next number. */
static xyl_step pull_checked(void *frame)
{
	struct pull_checked *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
		if (self->n != 1)
			break;
		CHECK_EQ(self->value.left, *self->got);
		CHECK_EQ(self->value.right, *self->got);
		++*self->got;
	}
	XYL_END(self->n);
}

/* A few more numbers for a channel. */
static long feed(struct xyl_chan *chan, long next)
{
	for (long more = (long)(test_random() % 4); more > 0; more--, next++)
		CHECK_EQ(xyl_try_send(chan, &next), 0);
	return next;
}

struct storm {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	struct xyl_chan *chan, *other;
	size_t rounds;
	long sent, other_sent, got;
	struct xyl_task *task;
	ssize_t n;
};

static xyl_step storm(void *frame)
{
	struct storm *self = frame;

	XYL_BEGIN(self)
	while (self->rounds-- > 0) {
		self->task = xyl_spawn(pull_checked, .stream = self->stream, .got = &self->got);
		self->sent = feed(self->chan, self->sent);
		if (test_random() % 2)
			XYL_AWAIT(self->n, xyl_yield());
		self->other_sent = feed(self->other, self->other_sent);
		if (test_random() % 2)
			XYL_AWAIT(self->n, xyl_yield());
		xyl_abort(self->task);
		if (test_random() % 2)
			self->sent = feed(self->chan, self->sent);
		XYL_AWAIT(self->n, xyl_join(self->task));
		CHECK_EQ(self->n, -ECANCELED);
	}
	xyl_chan_close(self->chan);
	xyl_chan_close(self->other);
	XYL_AWAIT(self->n, xyl_call(pull_checked, .stream = self->stream, .got = &self->got));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(self->got, self->sent < self->other_sent ? self->sent : self->other_sent);
	XYL_END(0);
}

/* Through one of each kind: pairs are taken apart and made anew. */
static struct xyl_stream *pairs_of(struct xyl_chan *chan, struct xyl_chan *other)
{
	struct xyl_stream *pairs =
		xyl_stream_zip(xyl_stream_of_chan(chan), xyl_stream_of_chan(other),
			       sizeof(struct two_longs), offsetof(struct two_longs, right));

	pairs = xyl_stream_then(pairs, sizeof(struct two_longs), pass_on);
	return xyl_stream_take(xyl_stream_skip(pairs, 0), SIZE_MAX);
}

TEST(random_aborts_of_who_pulls_lose_no_element)
{
	struct xyl_chan *chan = chan_new(), *other = chan_new();

	CHECK_EQ(RUN(storm, .stream = pairs_of(chan, other), .chan = chan, .other = other,
		     .rounds = test_scaled(20000)),
		 0);
}

/* ---- merge ----------------------------------------------------------------------------- */

struct pull_sum {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	long *sum;
	ssize_t n;
};

static xyl_step pull_sum(void *frame)
{
	struct pull_sum *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_stream_fold(self->stream, self->sum, add));
	XYL_END(self->n);
}

struct merge_storm {
	struct xyl_frame frame;
	struct xyl_chan *chan, *other;
	size_t rounds;
	struct xyl_scope *scope;
	struct xyl_stream *stream;
	long sent, other_sent, sum;
	struct xyl_task *task;
	ssize_t n;
};

static xyl_step merge_storm(void *frame)
{
	struct merge_storm *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->stream = xyl_stream_merge(self->scope, xyl_stream_of_chan(self->chan),
					xyl_stream_of_chan(self->other));
	while (self->rounds-- > 0) {
		self->task = xyl_spawn(pull_sum, .stream = self->stream, .sum = &self->sum);
		self->sent = feed(self->chan, self->sent);
		self->other_sent = feed(self->other, self->other_sent);
		for (self->n = 0; test_random() % 3;)
			XYL_AWAIT(self->n, xyl_yield());
		xyl_abort(self->task);
		XYL_AWAIT(self->n, xyl_join(self->task));
	}
	xyl_chan_close(self->chan);
	xyl_chan_close(self->other);
	XYL_AWAIT(self->n, xyl_call(pull_sum, .stream = self->stream, .sum = &self->sum));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	CHECK_EQ(self->sum,
		 self->sent * (self->sent - 1) / 2 + self->other_sent * (self->other_sent - 1) / 2);
	XYL_END(0);
}

TEST(random_aborts_of_who_pulls_a_merge_lose_no_element)
{
	CHECK_EQ(RUN(merge_storm, .chan = chan_new(), .other = chan_new(),
		     .rounds = test_scaled(20000)),
		 0);
}

struct merge_left {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct xyl_stream *endless;
	struct xyl_scope *scope;
	struct xyl_stream *stream;
	long value;
	ssize_t n;
};

/* One side never gives anything, the other always would. */
static xyl_step merge_left(void *frame)
{
	struct merge_left *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->stream = xyl_stream_merge(self->scope, xyl_stream_of_chan(self->chan), self->endless);
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
	CHECK_EQ(self->n, 1);
	CHECK_EQ(xyl_scope_count(self->scope), 2);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(xyl_scope_count(self->scope), 0);
	do {
		XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
	} while (self->n == 1);
	CHECK_EQ(self->n, -ECANCELED);
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
	XYL_END(self->n);
}

TEST(the_tasks_of_a_merge_begin_with_the_first_pull_and_end_with_their_scope)
{
	CHECK_EQ(RUN(merge_left, .chan = chan_new(), .endless = naturals_new(xyl_new(long))),
		 -ECANCELED);
}

struct merge_errors {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	ssize_t n;
};

static xyl_step merge_errors(void *frame)
{
	struct merge_errors *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	XYL_AWAIT(self->n, xyl_call(around_errors,
				    .stream = xyl_stream_merge(self->scope, unlucky(), LONGS())));
	XYL_END(self->n);
}

TEST(errors_pass_through_a_merge)
{
	CHECK_EQ(RUN(merge_errors), 1232);
}

/* ---- a pull that is called off ------------------------------------------------------------- */

struct call_off {
	struct xyl_frame frame;
	struct xyl_stream *stream;
	long value;
	ssize_t n;
};

static xyl_step call_off(void *frame)
{
	struct call_off *self = frame;

	XYL_BEGIN(self)
	self->stream = LONGS(1);
	XYL_AWAIT(self->n, xyl_until(xyl_stream_next(self->stream, &self->value), NULL));
	CHECK_EQ(self->n, -EINVAL);
	CHECK(self->stream->frame.caller == NULL);
	CHECK(self->stream->elem == NULL);
	XYL_AWAIT(self->n, xyl_stream_next(self->stream, &self->value));
	XYL_END(self->value);
}

TEST(a_stream_keeps_nobody_whose_pull_was_not_begun)
{
	CHECK_EQ(RUN(call_off), 1);
}
