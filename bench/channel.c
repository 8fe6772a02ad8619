/* SPDX-License-Identifier: MIT */
/*
 * What does a channel cost?  A number of 8 bytes goes to another task and comes back, over
 * two channels (capacity 1, and rendezvous); numbers stream from one task to another
 * (capacity 64), and from four to four (capacity 1024).
 *
 * What would make it lie: a message that is dropped, sent twice or never looked at (every
 * number is sent once, and count and sum are checked); a clock that stops when the last is
 * sent (it stops when the last receiver has found the channel closed and was joined); more
 * than one thread.
 */
#include "harness.h"

#include <errno.h>
#include <xylem/xylem.h>

enum { FOUR = 4 };

/* ---- to and fro ---- */

struct answerer {
	struct xyl_frame frame;
	struct xyl_chan *in, *out;
	int64_t value;
	ssize_t r;
};

static xyl_step answerer(void *frame)
{
	struct answerer *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, xyl_recv(self->in, &self->value));
		if (self->r < 0)
			break;
		self->value++;
		XYL_AWAIT(self->r, xyl_send(self->out, &self->value));
	}
	XYL_END(self->r == -EPIPE ? 0 : self->r);
}

struct asker {
	struct xyl_frame frame;
	long n, i;
	ptrdiff_t capacity;
	double *ret;
	struct xyl_chan *out, *in;
	struct xyl_task *other;
	int64_t value, t0;
	ssize_t r, failed;
};

static xyl_step asker(void *frame)
{
	struct asker *self = frame;

	XYL_BEGIN(self)
	self->out = xyl_chan_new(sizeof(int64_t), self->capacity);
	self->in = xyl_chan_new(sizeof(int64_t), self->capacity);
	bench_check(self->out && self->in, "xyl_chan_new");
	self->other = xyl_spawn(answerer, .in = self->out, .out = self->in);
	XYL_AWAIT(self->r, xyl_yield());
	self->t0 = bench_now();
	for (self->i = 0; self->i < self->n; self->i++) {
		XYL_AWAIT(self->r, xyl_send(self->out, &self->value));
		self->failed += self->r < 0;
		XYL_AWAIT(self->r, xyl_recv(self->in, &self->value));
		self->failed += self->r < 0;
	}
	*self->ret = bench_ns_each(self->t0, self->n);
	bench_check(self->failed == 0 && self->value == self->n, "each trip adds one");
	xyl_chan_close(self->out);
	XYL_AWAIT(self->r, xyl_join(self->other));
	XYL_END(self->r);
}

/* ---- one way ---- */

struct sender {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	int64_t from, to; /* sends from, from + 1, ... to - 1 */
	ssize_t r, failed;
};

static xyl_step sender(void *frame)
{
	struct sender *self = frame;

	XYL_BEGIN(self)
	for (; self->from < self->to; self->from++) {
		XYL_AWAIT(self->r, xyl_send(self->chan, &self->from));
		self->failed += self->r < 0;
	}
	XYL_END(-self->failed);
}

struct tally {
	int64_t count, sum;
};

struct receiver {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	struct tally *tally;
	int64_t value, count, sum;
	ssize_t r;
};

static xyl_step receiver(void *frame)
{
	struct receiver *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, xyl_recv(self->chan, &self->value));
		if (self->r < 0)
			break;
		self->count++;
		self->sum += self->value;
	}
	self->tally->count += self->count;
	self->tally->sum += self->sum;
	XYL_END(self->r == -EPIPE ? 0 : self->r);
}

struct stream {
	struct xyl_frame frame;
	long n, each;
	int ends, i;
	ptrdiff_t capacity;
	double *ret;
	struct xyl_chan *chan;
	struct tally *tally;
	struct xyl_task *senders[FOUR], *receivers[FOUR];
	int64_t t0;
	ssize_t r, failed;
};

static xyl_step stream(void *frame)
{
	struct stream *self = frame;

	XYL_BEGIN(self)
	self->each = self->n / self->ends;
	self->n = self->each * self->ends;
	self->chan = xyl_chan_new(sizeof(int64_t), self->capacity);
	self->tally = xyl_new(struct tally);
	bench_check(self->chan && self->tally, "no memory");
	for (self->i = 0; self->i < self->ends; self->i++) {
		self->senders[self->i] = xyl_spawn(sender, .chan = self->chan,
						   .from = self->i * self->each,
						   .to = (self->i + 1) * self->each);
		self->receivers[self->i] = xyl_spawn(receiver, .chan = self->chan,
						     .tally = self->tally);
	}
	self->t0 = bench_now();
	for (self->i = 0; self->i < self->ends; self->i++) {
		XYL_AWAIT(self->r, xyl_join(self->senders[self->i]));
		self->failed += self->r != 0;
	}
	xyl_chan_close(self->chan);
	for (self->i = 0; self->i < self->ends; self->i++) {
		XYL_AWAIT(self->r, xyl_join(self->receivers[self->i]));
		self->failed += self->r != 0;
	}
	*self->ret = bench_ns_each(self->t0, self->n);
	bench_check(self->failed == 0, "nobody failed");
	bench_check(self->tally->count == self->n, "each number arrived once");
	bench_check(self->tally->sum == self->n * (self->n - 1) / 2, "they are those sent");
	XYL_END(0);
}

/* ---- the questions ---- */

static void round_trip(long n, double *ret, ptrdiff_t capacity)
{
	bench_check(xyl_run(asker, .n = n, .ret = ret, .capacity = capacity) == 0,
		    xyl_runtime_why());
}

static void capacity_1(long n, double *ret)
{
	round_trip(n, ret, 1);
}

static void rendezvous(long n, double *ret)
{
	round_trip(n, ret, 0);
}

static void one_way(long n, double *ret, int ends, ptrdiff_t capacity)
{
	bench_check(xyl_run(stream, .n = n, .ret = ret, .ends = ends, .capacity = capacity) == 0,
		    xyl_runtime_why());
}

static void one_to_one(long n, double *ret)
{
	one_way(n, ret, 1, 64);
}

static void four_to_four(long n, double *ret)
{
	one_way(n, ret, FOUR, 1024);
}

static void print_ns(const char *question, bench_side *side, long n)
{
	struct bench_pair pair;

	bench_in_turn(side, bench_calloc_128, n, 5, &pair);
	bench_print_beside(question, pair.a[0], "ns", "calloc+free 128 B", pair.b[0],
			   pair.ratio[0]);
}

static double inverse(double x)
{
	return x > 0 ? 1 / x : 0;
}

static void print_rate(const char *question, bench_side *side, long n)
{
	struct bench_pair pair;

	bench_in_turn(side, bench_calloc_128, n, 5, &pair);
	bench_print_beside(question, 1e3 * inverse(pair.a[0]), "M/s", "calloc+free 128 B",
			   1e3 * inverse(pair.b[0]), inverse(pair.ratio[0]));
}

int main(int argc, char **argv)
{
	long n;

	bench_init(argc, argv);
	n = bench_n(5000000);
	print_ns("channel round trip, capacity 1", capacity_1, n);
	print_ns("channel round trip, rendezvous", rendezvous, n);
	print_rate("channel 1 to 1, capacity 64", one_to_one, n);
	print_rate("channel 4 to 4, capacity 1024", four_to_four, n);
	return 0;
}
