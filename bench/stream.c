/* SPDX-License-Identifier: MIT */
/*
 * What does an element cost on its way through a stream and four more (map, filter, map,
 * filter), none of which has to wait?
 *
 * What would make it lie: functions that the compiler sees through (they are called through
 * pointers, from the library), or a loop that asks for less than a stream does: the one
 * beside it calls the same four functions on the same numbers, and nothing else.
 */
#include "harness.h"

#include <xylem/xylem.h>

struct numbers {
	struct xyl_stream stream;
	long next;
};

static xyl_step numbers(void *frame)
{
	struct numbers *self = frame;

	XYL_BEGIN(&self->stream)
	*(long *)self->stream.elem = self->next++;
	XYL_END(1);
}

static void twice(void *ret_elem, const void *elem, void *arg)
{
	(void)arg;
	*(long *)ret_elem = 2 * *(const long *)elem;
}

static bool is_small(const void *elem, void *arg)
{
	(void)arg;
	return *(const long *)elem < INT64_MAX;
}

struct pull {
	struct xyl_frame frame;
	long n, i;
	double *ret;
	struct xyl_stream *stream;
	long value;
	int64_t t0;
	ssize_t r;
};

static xyl_step pull(void *frame)
{
	struct pull *self = frame;

	XYL_BEGIN(self)
	self->stream = xyl_stream_new(sizeof(long), numbers);
	for (int i = 0; i < 2; i++) {
		self->stream = xyl_stream_map(self->stream, sizeof(long), twice, NULL);
		self->stream = xyl_stream_filter(self->stream, is_small, NULL);
	}
	self->t0 = bench_now();
	for (self->i = 0; self->i < self->n; self->i++)
		XYL_AWAIT(self->r, xyl_stream_next(self->stream, &self->value));
	*self->ret = bench_ns_each(self->t0, self->n);
	XYL_END(self->value);
}

static void xylem(long n, double *ret)
{
	bench_check(xyl_run(pull, .n = n, .ret = ret) == 4 * (n - 1), xyl_runtime_why());
}

static void (*volatile map_fn)(void *ret_elem, const void *elem, void *arg) = twice;
static bool (*volatile filter_fn)(const void *elem, void *arg) = is_small;

static void loop(long n, double *ret)
{
	int64_t t0 = bench_now();
	long value = 0;

	for (long i = 0; i < n; i++) {
		value = i;
		map_fn(&value, &value, NULL);
		bench_check(filter_fn(&value, NULL), "filtered");
		map_fn(&value, &value, NULL);
		bench_check(filter_fn(&value, NULL), "filtered");
	}
	*ret = bench_ns_each(t0, n);
	bench_check(value == 4 * (n - 1), "the sum is wrong");
}

int main(int argc, char **argv)
{
	struct bench_pair pair;

	bench_init(argc, argv);
	bench_in_turn(xylem, loop, bench_n(2000000), 5, &pair);
	bench_print_beside("element through 5 streams", pair.a[0], "ns", "the 4 calls in a loop",
			   pair.b[0], pair.ratio[0]);
	return 0;
}
