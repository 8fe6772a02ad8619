/* SPDX-License-Identifier: MIT */
/*
 * A workload for the hostile ring: everything that moves bytes, descriptors or memory,
 * aborted, bounded, closed and stopped at any moment, and what must hold all the same.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/raw.h"
#include "tests/run.h"
#include "tests/seeds.h"
#include "tests/traffic.h"

/* ---- clients and acceptors who leave ---------------------------------------------------- */

enum { CLIENTS = 8, VISITS = 3, ACCEPTORS = 2 };

struct door {
	struct folder folder;
	struct xyl_io *listener;
	char port[8];
	bool tcp;
	bool calm; /* one client, nobody leaves: nobody else arms the accept again */
	unsigned serving;
};

struct serve {
	struct xyl_frame frame;
	struct door *door;
	struct xyl_io *io;
	char buf[16];
	ssize_t n;
};

/* A client who left is no concern of his. */
static xyl_step serve(void *frame)
{
	struct serve *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_read(self->io, self->buf, sizeof(self->buf)));
		if (self->n <= 0)
			break;
		XYL_AWAIT(self->n, xyl_write_all(self->io, self->buf, (size_t)self->n));
		if (self->n <= 0)
			break;
	}
	XYL_AWAIT(self->n, xyl_close(self->io));
	self->door->serving--;
	XYL_END(self->n);
}

struct welcome {
	struct xyl_frame frame;
	struct door *door;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_pending welcome_one(struct welcome *self)
{
	xyl_pending op = xyl_accept(self->door->listener, &self->io);

	return self->door->calm || roll(4) ? op : xyl_within(op, roll(2) * 20 * XYL_US);
}

static xyl_step welcome(void *frame)
{
	struct welcome *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, welcome_one(self));
		if (self->n == -ETIMEDOUT)
			XYL_AWAIT(self->n, xyl_yield());
		else if (self->n < 0)
			break;
		else if (xyl_spawn(serve, .door = self->door, .io = self->io))
			self->door->serving++;
	}
	XYL_END(self->n);
}

struct visit {
	struct xyl_frame frame;
	struct door *door;
	struct xyl_io *io;
	uint64_t number, answer;
	int left;
	ssize_t n, closed;
};

static xyl_pending visit_begin(struct visit *self)
{
	if (self->door->tcp)
		return xyl_tcp_connect(&self->io, "127.0.0.1", self->door->port);
	return xyl_unix_connect(&self->io, self->door->folder.path);
}

static xyl_step visit(void *frame)
{
	struct visit *self = frame;

	XYL_BEGIN(self)
	for (; self->left > 0; self->left--) {
		self->io = NULL;
		XYL_AWAIT(self->n, visit_begin(self));
		if (self->n == 0)
			XYL_AWAIT(self->n, xyl_write_all(self->io, &self->number, 8));
		if (self->n == 8)
			XYL_AWAIT(self->n, xyl_read_full(self->io, &self->answer, 8));
		if (self->n == 8)
			CHECK_EQ(self->answer, self->number);
		else
			CHECK(is_cut(self->n) || work.stops);
		if (self->io)
			XYL_AWAIT(self->closed, xyl_close(self->io));
		if (self->n != 8)
			break;
	}
	XYL_END(self->n);
}

struct storm {
	struct xyl_frame frame;
	struct door *door;
	struct xyl_task *visits[CLIENTS], *welcomes[ACCEPTORS];
	int i, left;
	ssize_t n;
};

static struct door *door_open(void)
{
	struct door *door = xyl_new(struct door);

	door->folder = folder_make();
	door->tcp = roll(2);
	door->calm = roll(2);
	if (!door->tcp) {
		CHECK_EQ(xyl_unix_listen(&door->listener, door->folder.path), 0);
		return door;
	}
	CHECK_EQ(xyl_tcp_listen(&door->listener, "127.0.0.1", "0"), 0);
	raw_port(door->listener, door->port, sizeof(door->port));
	return door;
}

static void storm_begin(struct storm *self)
{
	bool calm = self->door->calm;

	for (int i = 0; i < (calm ? 1 : CLIENTS); i++)
		self->visits[i] = xyl_spawn(visit, .door = self->door,
					    .left = calm ? 4 * VISITS : VISITS,
					    .number = xyli_chance_next(&work.dice));
	for (int i = 0; i < ACCEPTORS; i++)
		self->welcomes[i] = xyl_spawn(welcome, .door = self->door);
}

/* One leaves, or nobody; an acceptor is replaced. */
static void storm_blow(struct storm *self)
{
	unsigned which = roll(2 * (CLIENTS + ACCEPTORS));

	if (self->door->calm)
		return;
	if (which < CLIENTS && roll(3) == 0 && self->visits[which]) {
		xyl_abort(self->visits[which]);
	} else if (which >= CLIENTS && which < CLIENTS + ACCEPTORS) {
		which -= CLIENTS;
		if (self->welcomes[which])
			xyl_abort(self->welcomes[which]);
		self->welcomes[which] = xyl_spawn(welcome, .door = self->door);
	}
}

static int visits_left(const struct storm *self)
{
	int left = 0;

	for (int i = 0; i < CLIENTS; i++)
		left += self->visits[i] && !xyl_is_done(self->visits[i]);
	return left;
}

static xyl_step storm(void *frame)
{
	struct storm *self = frame;

	XYL_BEGIN(self)
	self->door = door_open();
	storm_begin(self);
	while (visits_left(self) > 0 && !is_cut(self->n)) {
		storm_blow(self);
		XYL_AWAIT(self->n, xyl_sleep(roll(2) * 10 * XYL_US));
	}
	for (self->i = 0; self->i < ACCEPTORS; self->i++)
		if (self->welcomes[self->i])
			xyl_abort(self->welcomes[self->i]);
	while (self->door->serving > 0 && !is_cut(self->n))
		XYL_AWAIT(self->n, xyl_sleep(10 * XYL_US));
	XYL_AWAIT(self->n, xyl_close(self->door->listener));
	folder_remove(&self->door->folder);
	XYL_END(0);
}

/* ---- files, by those who leave ------------------------------------------------------------ */

enum { AUTHORS = 8, PAGES = 4, PAGE = 512 };

struct turn_page {
	struct xyl_frame frame;
	struct xyl_io *io;
	uint64_t place;
	char *page;
	size_t done;
	ssize_t n;
};

static xyl_pending page_write(struct turn_page *self)
{
	return xyl_write_at(self->io, self->page + self->done, PAGE - self->done,
			    (int64_t)(self->place + self->done));
}

static xyl_pending page_read(struct turn_page *self)
{
	xyl_pending op = xyl_read_at(self->io, self->page + self->done, PAGE - self->done,
				     (int64_t)(self->place + self->done));

	return roll(4) ? op : xyl_within(op, roll(2) * 20 * XYL_US);
}

static void page_check(const struct turn_page *self)
{
	for (size_t i = 0; i < PAGE; i++)
		CHECK_EQ((unsigned char)self->page[i], byte_at(self->place + i));
}

static xyl_step turn_page(void *frame)
{
	struct turn_page *self = frame;

	XYL_BEGIN(self)
	self->page = bytes_from(self->place, PAGE);
	for (self->done = 0; self->done < PAGE; self->done += (size_t)self->n) {
		XYL_AWAIT(self->n, page_write(self));
		if (self->n <= 0)
			XYL_RETURN(self->n);
	}
	self->page = xyl_alloc_bytes(PAGE);
	for (self->done = 0; self->done < PAGE; self->done += (size_t)self->n) {
		XYL_AWAIT(self->n, page_read(self));
		if (self->n == -ETIMEDOUT)
			self->n = 0;
		if (self->n < 0)
			XYL_RETURN(self->n);
	}
	page_check(self);
	XYL_END(1);
}

struct author {
	struct xyl_frame frame;
	const char *path;
	uint64_t place;
	struct xyl_io *io;
	int pages;
	ssize_t n, closed;
};

static xyl_step author(void *frame)
{
	struct author *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_open(&self->io, self->path, O_RDWR | O_CREAT, 0600));
	for (self->pages = PAGES; self->n >= 0 && self->pages > 0; self->pages--) {
		XYL_AWAIT(self->n, xyl_call(turn_page, .io = self->io, .place = self->place));
		self->place += PAGE;
		if (self->n >= 0 && roll(8) == 0)
			XYL_AWAIT(self->n, xyl_fsync(self->io));
	}
	CHECK(self->n >= 0 || is_cut(self->n));
	if (self->io)
		XYL_AWAIT(self->closed, xyl_close(self->io));
	XYL_END(self->n);
}

struct library {
	struct xyl_frame frame;
	struct xyl_task *authors[AUTHORS];
	int i;
	ssize_t n;
};

static xyl_step library(void *frame)
{
	struct library *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < AUTHORS; self->i++)
		self->authors[self->i] = xyl_spawn(author, .path = work.folder.path,
						   .place = (uint64_t)self->i * PAGES * PAGE);
	for (self->i = 0; self->i < AUTHORS; self->i++) {
		if (roll(2))
			XYL_AWAIT(self->n, xyl_sleep(roll(50) * XYL_US));
		if (self->authors[self->i] && roll(4) == 0)
			xyl_abort(self->authors[self->i]);
	}
	for (self->i = 0; self->i < AUTHORS; self->i++)
		if (self->authors[self->i])
			XYL_AWAIT(self->n, xyl_join(self->authors[self->i]));
	XYL_END(0);
}

/* ---- handles closed under those who use them ------------------------------------------------- */

enum { USERS = 4 };

struct use {
	struct xyl_frame frame;
	struct xyl_io *io;
	char buf[64];
	ssize_t n;
};

static xyl_pending use_some(struct use *self)
{
	switch (roll(4)) {
	case 0: return xyl_read(self->io, self->buf, sizeof(self->buf));
	case 1: return xyl_read_full(self->io, self->buf, sizeof(self->buf));
	case 2: return xyl_poll(xyl_io_fd(self->io), POLLIN);
	default: return xyl_write_all(self->io, self->buf, sizeof(self->buf));
	}
}

static xyl_step use(void *frame)
{
	struct use *self = frame;

	XYL_BEGIN(self)
	do
		XYL_AWAIT(self->n, xyl_within(use_some(self), roll(100) * XYL_US));
	while (self->n >= 0 || self->n == -ETIMEDOUT);
	XYL_END(0);
}

struct close_one {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_step close_one(void *frame)
{
	struct close_one *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_close(self->io));
	CHECK_EQ(xyl_io_fd(self->io), -EBADF);
	XYL_END(0);
}

struct ruin {
	struct xyl_frame frame;
	struct xyl_io *ends[2];
	struct xyl_task *users[USERS];
	int i, fds[2];
	ssize_t n;
};

static xyl_step ruin(void *frame)
{
	struct ruin *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->fds), 0);
	for (self->i = 0; self->i < 2; self->i++)
		self->ends[self->i] = raw_handle(self->fds[self->i]);
	for (self->i = 0; self->i < USERS; self->i++)
		self->users[self->i] = xyl_spawn(use, .io = self->ends[roll(2)]);
	for (self->i = (int)roll(4); self->i > 0; self->i--)
		XYL_AWAIT(self->n, xyl_sleep(roll(50) * XYL_US));
	if (self->users[0])
		xyl_abort(self->users[0]);
	xyl_spawn(close_one, .io = self->ends[0]);
	XYL_AWAIT(self->n, xyl_close(self->ends[0]));
	for (self->i = 1; self->i < USERS; self->i++)
		if (self->users[self->i])
			xyl_abort(self->users[self->i]);
	XYL_AWAIT(self->n, xyl_close(self->ends[1]));
	XYL_END(0);
}

/* ---- all of it ------------------------------------------------------------------------------- */

struct all {
	struct xyl_frame frame;
	struct xyl_task *tasks[8];
	int i, pause;
	ssize_t n;
};

static void all_begin(struct all *self)
{
	static char foreign[2][CHUNK];

	self->tasks[0] = xyl_spawn(streaming, .foreign = foreign[0]);
	self->tasks[1] = xyl_spawn(streaming, .foreign = foreign[1]);
	self->tasks[2] = xyl_spawn(storm);
	self->tasks[3] = xyl_spawn(storm);
	self->tasks[4] = xyl_spawn(library);
	self->tasks[5] = xyl_spawn(postman);
	self->tasks[6] = xyl_spawn(ruin);
	self->tasks[7] = xyl_spawn(ruin);
}

static xyl_step all(void *frame)
{
	struct all *self = frame;

	XYL_BEGIN(self)
	all_begin(self);
	if (work.stops)
		XYL_AWAIT(self->n, xyl_sleep(roll(1000) * XYL_US));
	for (self->i = 0; self->i < 8 && !work.stops; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->n, 0);
	}
	XYL_END(0);
}

/* ---- what is left behind by those who left ------------------------------------------------ */

struct silence {
	struct xyl_frame frame;
	struct stream *stream;
	struct xyl_task *drink;
	struct xyl_stats stats;
	int i;
	ssize_t n;
};

/* No byte comes, nothing is closed: the operation of whoever left ends all the same. */
static xyl_step silence(void *frame)
{
	struct silence *self = frame;

	XYL_BEGIN(self)
	self->stream = xyl_new(struct stream);
	ends_open(&self->stream->in, &self->stream->out);
	self->stream->foreign = xyl_alloc_bytes(CHUNK);
	self->stream->own_buffers = true;
	for (self->i = 0; self->i < 10; self->i++) {
		self->drink = xyl_spawn(drink, .stream = self->stream);
		XYL_AWAIT(self->n,
			  xyl_write(self->stream->out, bytes_from(self->stream->sent, 10), 10));
		CHECK(self->n > 0);
		self->stream->sent += (uint64_t)self->n;
		xyl_abort(self->drink);
		XYL_AWAIT(self->n, xyl_join(self->drink));
		do {
			XYL_AWAIT(self->n, xyl_yield());
			xyl_runtime_stats(xyl_runtime_self(), &self->stats);
		} while (self->stats.ops_outstanding > 0);
	}
	XYL_AWAIT(self->n, xyl_close(self->stream->in));
	XYL_AWAIT(self->n, xyl_close(self->stream->out));
	XYL_END(0);
}

static void run_all(bool stops)
{
	struct xyl_config config = config_of_the_day(&work.dice);

	work.stops = stops;
	CHECK_EQ(RUN_WITH(&config, all), 0);
}

/* By a thread of the shard's own; this one spawns, aborts and stops. */
static void start_all(void)
{
	struct xyl_config config = config_of_the_day(&work.dice);
	struct census before = census_take();
	struct xyl_task *task;
	struct xyl_runtime *rt;

	work.stops = true;
	CHECK_EQ(xyl_runtime_new(&rt, &config), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	task = xyl_runtime_spawn(rt, XYL_HERE, all);
	CHECK(task != NULL);
	usleep(500); /* any length will do */
	xyl_abort(task);
	CHECK_EQ(xyl_runtime_stop(rt, PATIENCE_S * XYL_SEC), 0);
	census_check(&before, rt);
}

static void one_seed(void *arg)
{
	work.dice.state = *(uint64_t *)arg;
	seed_begin(work.dice.state);
	work.folder = folder_make();
	CHECK_EQ(RUN(silence), 0);
	run_all(false);
	run_all(true);
	start_all();
	folder_remove(&work.folder);
}

TEST(whatever_a_hostile_ring_does_nothing_is_lost_and_nothing_is_left)
{
	seeds_try(one_seed);
}
