/* SPDX-License-Identifier: MIT */
/*
 * What does a select over four channels cost: when all four are ready, and when none is
 * and a sender wakes it?
 *
 * For the first, each channel is filled with 1000 numbers, 1000 selects run, the channels
 * are filled up again, and so on; the clock stands while they are filled.  No 1000 selects
 * can empty a channel, so all four are ready each time.  For the second, the sender's
 * share is in the time: a send on the channels in turn, and the yield that lets the
 * selecting task run and park again.
 *
 * What would make it lie: a select that always looks at the first case first and is done
 * (so each channel must be chosen about as often as the others); one that finds its value
 * there before it parks (so after each yield exactly what was sent must have arrived);
 * values lost or invented (they are summed).
 */
#include "harness.h"

#include <errno.h>
#include <xylem/xylem.h>

enum { CHANNELS = 4, FILL = 1000 };

static bool chosen_evenly(const long *chosen, long n)
{
	for (int i = 0; i < CHANNELS; i++)
		if (chosen[i] * CHANNELS < n / 10 * 8 || chosen[i] * CHANNELS > n / 10 * 12)
			return false;
	return true;
}

static void chans_new(struct xyl_chan **chans, ptrdiff_t capacity)
{
	for (int i = 0; i < CHANNELS; i++) {
		chans[i] = xyl_chan_new(sizeof(int64_t), capacity);
		bench_check(chans[i] != NULL, "xyl_chan_new");
	}
}

/* ---- all are ready ---- */

struct chooser {
	struct xyl_frame frame;
	long n, done, chosen[CHANNELS];
	double *ret;
	struct xyl_chan *chans[CHANNELS];
	int64_t value, next, sent, received, t0, ns;
	int i;
	ssize_t r;
};

static void fill_up(struct chooser *self)
{
	for (int i = 0; i < CHANNELS; i++)
		for (; xyl_try_send(self->chans[i], &self->next) == 0; self->next++)
			self->sent += self->next;
}

static int64_t sum_of_the_rest(struct chooser *self)
{
	int64_t value, sum = 0;

	for (int i = 0; i < CHANNELS; i++)
		while (xyl_try_recv(self->chans[i], &value) == 0)
			sum += value;
	return sum;
}

static xyl_step chooser(void *frame)
{
	struct chooser *self = frame;

	XYL_BEGIN(self)
	chans_new(self->chans, FILL);
	for (self->done = 0; self->done < self->n; self->done += FILL) {
		fill_up(self);
		self->t0 = bench_now();
		for (self->i = 0; self->i < FILL; self->i++) {
			XYL_AWAIT(self->r, xyl_select(xyl_on_recv(self->chans[0], &self->value),
						      xyl_on_recv(self->chans[1], &self->value),
						      xyl_on_recv(self->chans[2], &self->value),
						      xyl_on_recv(self->chans[3], &self->value)));
			self->chosen[self->r & 3]++;
			self->received += self->value;
		}
		self->ns += bench_now() - self->t0;
	}
	*self->ret = (double)self->ns / (double)self->done;
	bench_check(chosen_evenly(self->chosen, self->done), "a select is fair");
	bench_check(self->received + sum_of_the_rest(self) == self->sent, "nothing is lost");
	XYL_END(0);
}

/* ---- none is, and a sender wakes it ---- */

struct tally {
	int64_t count, sum;
};

struct waiter {
	struct xyl_frame frame;
	struct xyl_chan *chans[CHANNELS];
	struct tally *tally;
	int64_t value;
	ssize_t r;
};

static xyl_step waiter(void *frame)
{
	struct waiter *self = frame;

	XYL_BEGIN(self)
	while (self->value >= 0) {
		XYL_AWAIT(self->r, xyl_select(xyl_on_recv(self->chans[0], &self->value),
					      xyl_on_recv(self->chans[1], &self->value),
					      xyl_on_recv(self->chans[2], &self->value),
					      xyl_on_recv(self->chans[3], &self->value)));
		self->tally->count++;
		self->tally->sum += self->value;
	}
	XYL_END(0);
}

struct waker {
	struct xyl_frame frame;
	long n, i, behind;
	double *ret;
	struct xyl_chan *chans[CHANNELS];
	struct tally *tally;
	struct xyl_task *other;
	int64_t t0, last;
	ssize_t r;
};

static struct xyl_task *waiter_spawn(struct waker *self)
{
	return xyl_spawn(
		waiter, .tally = self->tally,
		.chans = { self->chans[0], self->chans[1], self->chans[2], self->chans[3] });
}

static xyl_step waker(void *frame)
{
	struct waker *self = frame;

	XYL_BEGIN(self)
	chans_new(self->chans, 1);
	self->tally = xyl_new(struct tally);
	self->other = waiter_spawn(self);
	XYL_AWAIT(self->r, xyl_yield());
	self->t0 = bench_now();
	for (self->i = 0; self->i < self->n; self->i++) {
		XYL_AWAIT(self->r, xyl_send(self->chans[self->i % CHANNELS], &self->i));
		XYL_AWAIT(self->r, xyl_yield());
		self->behind += self->tally->count != self->i + 1;
	}
	*self->ret = bench_ns_each(self->t0, self->n);
	bench_check(self->behind == 0, "the select was parked each time");
	bench_check(self->tally->sum == self->n * (self->n - 1) / 2, "what was sent arrived");
	self->last = -1;
	XYL_AWAIT(self->r, xyl_send(self->chans[0], &self->last));
	XYL_AWAIT(self->r, xyl_join(self->other));
	XYL_END(self->r);
}

/* ---- the questions ---- */

static void all_ready(long n, double *ret)
{
	bench_check(xyl_run(chooser, .n = n, .ret = ret) == 0, xyl_runtime_why());
}

static void woken(long n, double *ret)
{
	bench_check(xyl_run(waker, .n = n, .ret = ret) == 0, xyl_runtime_why());
}

static void print(const char *question, bench_side *side)
{
	struct bench_pair pair;

	bench_in_turn(side, bench_calloc_128, bench_n(2000000), 5, &pair);
	bench_print_beside(question, pair.a[0], "ns", "calloc+free 128 B", pair.b[0],
			   pair.ratio[0]);
}

int main(int argc, char **argv)
{
	bench_init(argc, argv);
	print("select, 4 channels ready", all_ready);
	print("select, 4 channels, parked and woken", woken);
	return 0;
}
