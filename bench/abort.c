/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to abort a task and join it: one asleep, one that receives from a
 * channel, and one in recv on a socket?  Spawning and parking are not in the time; 500
 * tasks are parked, then one after another is aborted and joined (the first figure), or
 * all aborted and then all joined.
 *
 * What would make it lie: aborts only in batches (one inbox round for all of them), or
 * stopping the clock when the join returns: the recv is then abandoned, but its cancel has
 * yet to be submitted and reaped.  So for recv the clock runs on until nothing is
 * outstanding any more.  All 500 receivers wait for one channel; were they aborted in the
 * order in which they came, the victim would always be the first of those who wait.  (For
 * sleepers that order is the dear one: the first timer to expire is the one removed.)
 */
#include "harness.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <xylem/xylem.h>

enum { BATCH = 500, STRIDE = 7, BYTES = 64, DRAIN_TURNS_MAX = 100000 };
enum where { ASLEEP, ON_CHANNEL, IN_RECV };

struct sleeper {
	struct xyl_frame frame;
	ssize_t r;
};

static xyl_step sleeper(void *frame)
{
	struct sleeper *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_sleep(3600 * XYL_SEC));
	XYL_END(self->r);
}

struct listener {
	struct xyl_frame frame;
	struct xyl_chan *chan;
	int64_t value;
	ssize_t r;
};

static xyl_step listener(void *frame)
{
	struct listener *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->r, xyl_recv(self->chan, &self->value));
	XYL_END(self->r);
}

struct receiver {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	ssize_t r;
};

static xyl_step receiver(void *frame)
{
	struct receiver *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(BYTES);
	XYL_AWAIT(self->r, xyl_read(self->io, self->buf, BYTES));
	XYL_END(self->r);
}

struct aborter {
	struct xyl_frame frame;
	long n, done;
	double *ret;
	enum where where;
	bool together;
	struct xyl_task **tasks;
	struct xyl_chan *chan;
	struct xyl_io **ios;
	uint64_t outstanding;
	int64_t t0, ns;
	ssize_t r, failed;
	int i, turns;
};

static uint64_t outstanding(void)
{
	struct xyl_stats stats;

	xyl_runtime_stats(xyl_runtime_self(), &stats);
	return stats.ops_outstanding;
}

static void sockets_open(struct xyl_io **ios)
{
	struct rlimit limit = { 4 * BATCH, 4 * BATCH };
	int ends[2];

	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < BATCH; i++) {
		bench_check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
		ios[i] = xyl_io_from_fd(ends[0]); /* the other end stays open, and silent */
		bench_check(ios[i] != NULL, "xyl_io_from_fd");
	}
}

static struct xyl_task *victim_spawn(struct aborter *self, int i)
{
	switch (self->where) {
	case ON_CHANNEL: return xyl_spawn(listener, .chan = self->chan);
	case IN_RECV: return xyl_spawn(receiver, .io = self->ios[i]);
	default: return xyl_spawn(sleeper, .r = 0);
	}
}

/* Each once; those on the channel not in the order in which they came. */
static struct xyl_task *victim(struct aborter *self, int i)
{
	return self->tasks[self->where == ON_CHANNEL ? i * STRIDE % BATCH : i];
}

static xyl_step aborter(void *frame)
{
	struct aborter *self = frame;

	XYL_BEGIN(self)
	self->tasks = xyl_alloc(BATCH * sizeof(*self->tasks));
	self->ios = xyl_alloc(BATCH * sizeof(*self->ios));
	self->chan = xyl_chan_new(sizeof(int64_t), 1);
	if (self->where == IN_RECV)
		sockets_open(self->ios);
	self->outstanding = outstanding();
	for (self->done = 0; self->done < self->n; self->done += BATCH) {
		for (self->i = 0; self->i < BATCH; self->i++)
			self->tasks[self->i] = victim_spawn(self, self->i);
		for (self->i = 0; self->i < 4; self->i++)
			XYL_AWAIT(self->r, xyl_yield()); /* all are parked, and armed */
		self->t0 = bench_now();
		if (self->together)
			for (self->i = 0; self->i < BATCH; self->i++)
				xyl_abort(victim(self, self->i));
		for (self->i = 0; self->i < BATCH; self->i++) {
			xyl_abort(victim(self, self->i)); /* the second time, nothing */
			XYL_AWAIT(self->r, xyl_join(victim(self, self->i)));
			self->failed += self->r >= 0;
		}
		self->turns = 0;
		while (outstanding() > self->outstanding && self->turns++ < DRAIN_TURNS_MAX)
			XYL_AWAIT(self->r, xyl_yield());
		self->ns += bench_now() - self->t0;
		bench_check(self->turns < DRAIN_TURNS_MAX, "operations stay outstanding");
	}
	bench_check(self->failed == 0, "a victim was not aborted");
	*self->ret = (double)self->ns / (double)self->done;
	XYL_END(0);
}

static void run(long n, double *ret, enum where where, bool together)
{
	ssize_t r = xyl_run(aborter, .n = n, .ret = ret, .where = where, .together = together);

	bench_check(r == 0, xyl_runtime_why());
}

static void asleep(long n, double *ret)
{
	run(n, ret, ASLEEP, false);
}

static void asleep_together(long n, double *ret)
{
	run(n, ret, ASLEEP, true);
}

static void on_channel(long n, double *ret)
{
	run(n, ret, ON_CHANNEL, false);
}

static void in_recv(long n, double *ret)
{
	run(n, ret, IN_RECV, false);
}

static void in_recv_together(long n, double *ret)
{
	run(n, ret, IN_RECV, true);
}

static void print(const char *question, bench_side *side, long n)
{
	struct bench_pair pair;

	bench_in_turn(side, bench_calloc_128, n, 5, &pair);
	bench_print_beside(question, pair.a[0], "ns", "calloc+free 128 B", pair.b[0],
			   pair.ratio[0]);
}

int main(int argc, char **argv)
{
	long n;

	bench_init(argc, argv);
	n = bench_n(500000);
	print("abort+join, asleep", asleep, n);
	print("abort 500, join 500, asleep", asleep_together, n);
	print("abort+join, in recv", in_recv, n / 2);
	print("abort 500, join 500, in recv", in_recv_together, n / 2);
	print("abort+join, on a channel", on_channel, n);
	return 0;
}
