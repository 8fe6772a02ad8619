/* SPDX-License-Identifier: MIT */
/* From handle to handle inside the kernel: xyl_splice. */
#include "io/handle.h"
#include "tests/hand.h"
#include "tests/raw.h"

enum { ROOM = 256, LARGE = 1 << 20, MANY = 32 };

struct move {
	struct xyl_frame frame;
	struct xyl_io *from, *to;
	size_t len;
	int64_t bound;
	bool to_the_end;
	size_t all;
	ssize_t n;
};

/* Once, or until the end. */
static xyl_step move(void *frame)
{
	struct move *self = frame;

	XYL_BEGIN(self)
	do {
		XYL_AWAIT(self->n,
			  hand_bounded(xyl_splice(self->from, self->to, self->len), self->bound));
		if (self->n > 0)
			self->all += (size_t)self->n;
	} while (self->to_the_end && self->n > 0);
	XYL_END(self->n < 0 ? self->n : (ssize_t)self->all);
}

#define MOVE(driven, ...) hand_join((driven), DRIVE_SPAWN((driven), move, __VA_ARGS__))

static ssize_t read_of(const struct driven *driven, struct xyl_io *io, char *buf)
{
	return HAND_READ(driven, .io = io, .buf = buf, .len = ROOM);
}

/* From a pipe that we feed to a pipe that we empty. */
struct pipes {
	struct driven driven;
	struct xyl_io *from, *to;
	int feed, drain;
};

static struct pipes pipes_begin_with(const struct xyl_config *config)
{
	struct pipes pipes = { .driven = hand_begin(config) };

	pipes.from = raw_pipe_reader(&pipes.feed);
	pipes.to = raw_pipe_writer(&pipes.drain);
	return pipes;
}

static struct pipes pipes_begin(void)
{
	return pipes_begin_with(NULL);
}

static void pipes_end(struct pipes *pipes)
{
	if (xyl_io_fd(pipes->from) >= 0)
		HAND_CLOSE(&pipes->driven, pipes->from);
	if (xyl_io_fd(pipes->to) >= 0)
		HAND_CLOSE(&pipes->driven, pipes->to);
	if (pipes->feed >= 0)
		close(pipes->feed);
	close(pipes->drain);
	drive_end(&pipes->driven);
}

static struct xyl_task *move_spawn(const struct pipes *pipes)
{
	return DRIVE_SPAWN(&pipes->driven, move, .from = pipes->from, .to = pipes->to, .len = ROOM);
}

static void expect_drained(const struct pipes *pipes, const char *text)
{
	char got[ROOM + 1] = "";

	raw_nonblocking(pipes->drain, true);
	CHECK_EQ(read(pipes->drain, got, ROOM), *text ? (ssize_t)strlen(text) : -1);
	raw_nonblocking(pipes->drain, false);
	CHECK(!strcmp(got, text));
}

/* Both handles are as good as new. */
static void expect_usable(struct pipes *pipes)
{
	raw_send(pipes->feed, "and on");
	CHECK_EQ(MOVE(&pipes->driven, .from = pipes->from, .to = pipes->to, .len = ROOM), 6);
	expect_drained(pipes, "and on");
	CHECK_EQ(HAND_WRITE(&pipes->driven, .io = pipes->to, .buf = "w", .len = 1), 1);
	expect_drained(pipes, "w");
	raw_send(pipes->feed, "r");
	CHECK_EQ(read_of(&pipes->driven, pipes->from, xyl_alloc_bytes(ROOM)), 1);
}

/* ---- bytes ------------------------------------------------------------------------------ */

TEST(bytes_go_from_pipe_to_pipe)
{
	struct pipes pipes = pipes_begin();

	raw_send(pipes.feed, "0123456789");
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = 4), 4);
	expect_drained(&pipes, "0123");
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = 0), 0);
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = ROOM), 6);
	expect_drained(&pipes, "456789");
	close(pipes.feed);
	pipes.feed = -1;
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = ROOM), 0);
	pipes_end(&pipes);
}

TEST(a_splice_waits_for_bytes_and_for_room)
{
	struct pipes pipes = pipes_begin();
	struct xyl_task *task = move_spawn(&pipes);
	size_t filled, drained;

	hand_turns(&pipes.driven, 3);
	CHECK(!xyl_is_done(task));
	filled = raw_fill(xyl_io_fd(pipes.to));
	raw_send(pipes.feed, "patience");
	hand_turns(&pipes.driven, 3);
	CHECK(!xyl_is_done(task));
	drained = raw_drain(pipes.drain);
	CHECK_EQ(hand_join(&pipes.driven, task), 8);
	CHECK_EQ(drained + raw_drain(pipes.drain), filled + 8);
	pipes_end(&pipes);
}

static char byte_at(size_t i)
{
	return (char)(i * 31 + i / 256);
}

struct receive {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	size_t all;
	ssize_t n;
};

static xyl_step receive(void *frame)
{
	struct receive *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_read(self->io, self->buf, 4096));
		if (self->n <= 0)
			break;
		for (ssize_t i = 0; i < self->n; i++)
			CHECK_EQ(self->buf[i], byte_at(self->all + (size_t)i));
		self->all += (size_t)self->n;
	}
	XYL_END(self->n < 0 ? self->n : (ssize_t)self->all);
}

static void file_fill(int fd)
{
	char *bytes = malloc(LARGE);

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = byte_at(i);
	CHECK_EQ(pwrite(fd, bytes, LARGE, 0), LARGE);
	free(bytes);
}

struct relay {
	struct xyl_frame frame;
	struct xyl_io *file, *pipe_in, *pipe_out, *socket;
	struct xyl_task *behind;
	ssize_t n, closed;
};

/* What a web server does: a file to a socket, through a pipe. */
static xyl_step relay(void *frame)
{
	struct relay *self = frame;

	XYL_BEGIN(self)
	self->behind = xyl_spawn(move, .from = self->pipe_out, .to = self->socket, .len = LARGE,
				 .to_the_end = true);
	XYL_AWAIT(self->n, xyl_call(move, .from = self->file, .to = self->pipe_in, .len = LARGE,
				    .to_the_end = true));
	CHECK_EQ(self->n, LARGE);
	XYL_AWAIT(self->closed, xyl_close(self->pipe_in));
	XYL_AWAIT(self->n, xyl_join(self->behind));
	XYL_AWAIT(self->closed, xyl_close(self->pipe_out));
	XYL_AWAIT(self->closed, xyl_close(self->socket));
	XYL_AWAIT(self->closed, xyl_close(self->file));
	XYL_END(self->n);
}

TEST(a_file_goes_through_a_pipe_to_a_socket)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	int fd = open(folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), peer, ends[2];
	struct xyl_io *socket = raw_socketpair(&peer), *reader = raw_handle(peer);
	struct xyl_task *task, *receiver;

	file_fill(fd);
	CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
	receiver = DRIVE_SPAWN(&driven, receive, .io = reader, .buf = xyl_alloc_bytes(4096));
	task = DRIVE_SPAWN(&driven, relay, .file = raw_handle(fd), .pipe_in = raw_handle(ends[1]),
			   .pipe_out = raw_handle(ends[0]), .socket = socket);
	CHECK_EQ(hand_join(&driven, task), LARGE);
	CHECK_EQ(hand_join(&driven, receiver), LARGE);
	HAND_CLOSE(&driven, reader);
	folder_remove(&folder);
	drive_end(&driven);
}

TEST(a_socket_goes_through_a_pipe_to_a_file)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	int fd = open(folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), peer, ends[2];
	struct xyl_io *socket = raw_socketpair(&peer), *in, *out, *file = raw_handle(fd);
	char got[8] = "";

	CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
	in = raw_handle(ends[1]);
	out = raw_handle(ends[0]);
	raw_send(peer, "to disk");
	CHECK_EQ(MOVE(&driven, .from = socket, .to = in, .len = ROOM), 7);
	CHECK_EQ(MOVE(&driven, .from = out, .to = file, .len = 3), 3);
	CHECK_EQ(MOVE(&driven, .from = out, .to = file, .len = ROOM), 4);
	CHECK_EQ(pread(fd, got, sizeof(got), 0), 7);
	CHECK(!strcmp(got, "to disk"));
	HAND_CLOSE(&driven, socket);
	HAND_CLOSE(&driven, in);
	HAND_CLOSE(&driven, out);
	HAND_CLOSE(&driven, file);
	close(peer);
	folder_remove(&folder);
	drive_end(&driven);
}

TEST(one_of_the_two_must_be_a_pipe_and_both_open)
{
	struct pipes pipes = pipes_begin();
	int peer;
	struct xyl_io *socket = raw_socketpair(&peer);

	CHECK_EQ(MOVE(&pipes.driven, .from = socket, .to = socket, .len = ROOM), -EINVAL);
	HAND_CLOSE(&pipes.driven, socket);
	CHECK_EQ(MOVE(&pipes.driven, .from = socket, .to = pipes.to, .len = ROOM), -EBADF);
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = socket, .len = ROOM), -EBADF);
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.to, .to = pipes.from, .len = ROOM), -EBADF);
	expect_usable(&pipes);
	close(peer);
	pipes_end(&pipes);
}

/* The kernel is not asked then. */
TEST(one_of_the_two_must_be_a_pipe_for_what_was_put_back_too)
{
	struct driven driven = hand_begin(NULL);
	int peer, other;
	struct xyl_io *from = raw_socketpair(&peer), *to = raw_socketpair(&other);
	struct xyl_task *task = DRIVE_SPAWN(&driven, hand_read, .io = from,
					    .buf = xyl_alloc_bytes(ROOM), .len = ROOM);

	hand_turn(&driven);
	raw_send(peer, "back");
	hand_completion(&driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	hand_drained(&driven);
	CHECK_EQ(MOVE(&driven, .from = from, .to = to, .len = ROOM), -EINVAL);
	CHECK_EQ(read_of(&driven, from, xyl_alloc_bytes(ROOM)), 4);
	HAND_CLOSE(&driven, from);
	HAND_CLOSE(&driven, to);
	close(peer);
	close(other);
	drive_end(&driven);
}

TEST(a_pipe_without_a_reader_gives_an_error_and_no_signal)
{
	struct pipes pipes = pipes_begin();

	close(pipes.drain);
	raw_send(pipes.feed, "x");
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = ROOM), -EPIPE);
	pipes.drain = dup(pipes.feed);
	pipes_end(&pipes);
}

/* Somebody who shares the pipe makes it non-blocking; the first try finds that out. */
static void interrupt(const struct pipes *pipes, struct xyl_io *which, struct xyl_task **ret_task)
{
	int64_t until = xyli_clock() + HAND_PATIENCE;

	raw_nonblocking(xyl_io_fd(which), true);
	*ret_task = move_spawn(pipes);
	while (fcntl(xyl_io_fd(which), F_GETFL) & O_NONBLOCK) {
		hand_turn(&pipes->driven);
		CHECK(xyli_clock() < until);
	}
	hand_turns(&pipes->driven, 3);
	CHECK(!xyl_is_done(*ret_task));
}

TEST(an_interrupted_splice_goes_on)
{
	struct pipes pipes = pipes_begin();
	struct xyl_task *task;
	size_t filled, drained;

	interrupt(&pipes, pipes.from, &task);
	raw_send(pipes.feed, "at last");
	CHECK_EQ(hand_join(&pipes.driven, task), 7);
	expect_drained(&pipes, "at last");
	filled = raw_fill(xyl_io_fd(pipes.to));
	raw_send(pipes.feed, "room?");
	interrupt(&pipes, pipes.to, &task);
	drained = raw_drain(pipes.drain);
	CHECK_EQ(hand_join(&pipes.driven, task), 5);
	CHECK_EQ(drained + raw_drain(pipes.drain), filled + 5);
	pipes_end(&pipes);
}

/* ---- its turn -------------------------------------------------------------------------------- */

TEST(it_takes_its_turn_among_readers_and_writers)
{
	struct pipes pipes = pipes_begin();
	char *before = xyl_alloc(ROOM), *after = xyl_alloc(ROOM);
	struct xyl_task *tasks[5];

	raw_fill(xyl_io_fd(pipes.to));
	tasks[0] = DRIVE_SPAWN(&pipes.driven, hand_write, .io = pipes.to, .buf = xyl_strdup("[1]"),
			       .len = 3, .whole = true);
	tasks[1] = DRIVE_SPAWN(&pipes.driven, hand_read, .io = pipes.from, .buf = before, .len = 3,
			       .whole = true);
	tasks[2] = DRIVE_SPAWN(&pipes.driven, move, .from = pipes.from, .to = pipes.to, .len = 3);
	hand_turns(&pipes.driven, 2);
	tasks[3] = DRIVE_SPAWN(&pipes.driven, hand_read, .io = pipes.from, .buf = after, .len = 3,
			       .whole = true);
	hand_turns(&pipes.driven, 2);
	raw_send(pipes.feed, "oneTWOsix");
	CHECK_EQ(hand_join(&pipes.driven, tasks[1]), 3);
	hand_turns(&pipes.driven, 3); /* it has its turn to read, and waits for the writer */
	CHECK(!xyl_is_done(tasks[2]));
	CHECK(!xyl_is_done(tasks[3]));
	tasks[4] = DRIVE_SPAWN(&pipes.driven, hand_write, .io = pipes.to, .buf = xyl_strdup("[2]"),
			       .len = 3, .whole = true);
	hand_turns(&pipes.driven, 2);
	raw_drain(pipes.drain);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(hand_join(&pipes.driven, tasks[i]), 3);
	CHECK(!memcmp(before, "one", 3));
	CHECK(!memcmp(after, "six", 3));
	pipes_end(&pipes);
}

/* What it held back has not been overtaken. */
TEST(what_it_moves_is_not_overtaken)
{
	struct pipes pipes = pipes_begin();
	struct xyl_task *tasks[3];

	tasks[0] = move_spawn(&pipes);
	hand_turns(&pipes.driven, 2);
	tasks[1] = DRIVE_SPAWN(&pipes.driven, hand_write, .io = pipes.to,
			       .buf = xyl_strdup(", written"), .len = 9);
	tasks[2] = move_spawn(&pipes);
	hand_turns(&pipes.driven, 2);
	CHECK(!xyl_is_done(tasks[1]));
	raw_send(pipes.feed, "spliced");
	CHECK_EQ(hand_join(&pipes.driven, tasks[1]), 9);
	raw_send(pipes.feed, ", spliced");
	CHECK_EQ(hand_join(&pipes.driven, tasks[2]), 9);
	expect_drained(&pipes, "spliced, written, spliced");
	pipes_end(&pipes);
}

static struct xyl_io *fifo_both_ways(void)
{
	struct folder folder = folder_make();
	int fd;

	CHECK_EQ(mkfifo(folder.path, 0600), 0);
	fd = open(folder.path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	folder_remove(&folder);
	return raw_handle(fd);
}

TEST(splices_in_opposite_directions_do_not_wait_for_each_other)
{
	struct driven driven = hand_begin(NULL);
	struct xyl_io *left = fifo_both_ways(), *right = fifo_both_ways();
	struct xyl_task *tasks[MANY];

	for (int i = 0; i < MANY; i++)
		tasks[i] = DRIVE_SPAWN(&driven, move, .from = i % 2 ? left : right,
				       .to = i % 2 ? right : left, .len = ROOM);
	hand_turns(&driven, 3);
	for (int i = 0; i < MANY; i++)
		CHECK(!xyl_is_done(tasks[i]));
	raw_send(xyl_io_fd(left), "round and round");
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(hand_join(&driven, tasks[i]), 15);
	HAND_CLOSE(&driven, left);
	HAND_CLOSE(&driven, right);
	drive_end(&driven);
}

/* ---- what was put back ----------------------------------------------------------------------- */

/* So many bytes of `from` are in user space. */
static void put_back(struct pipes *pipes, const char *text)
{
	struct xyl_task *task = DRIVE_SPAWN(&pipes->driven, hand_read, .io = pipes->from,
					    .buf = xyl_alloc_bytes(ROOM), .len = ROOM);

	hand_turn(&pipes->driven);
	raw_send(pipes->feed, text);
	hand_completion(&pipes->driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&pipes->driven, task), -ECANCELED);
	hand_drained(&pipes->driven);
	CHECK_EQ(drive_stats(&pipes->driven).adopted_bytes, 1);
}

TEST(what_was_put_back_goes_first)
{
	struct pipes pipes = pipes_begin();

	put_back(&pipes, "0123456789");
	raw_send(pipes.feed, "behind");
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = 4), 4);
	expect_drained(&pipes, "0123");
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = ROOM), 6);
	expect_drained(&pipes, "456789");
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = ROOM), 6);
	expect_drained(&pipes, "behind");
	pipes_end(&pipes);
}

TEST(what_was_put_back_goes_to_sockets_and_files_too)
{
	struct pipes pipes = pipes_begin();
	struct folder folder = folder_make();
	int fd = open(folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), peer;
	struct xyl_io *socket = raw_socketpair(&peer), *file = raw_handle(fd);
	char got[8] = "";

	put_back(&pipes, "firstthen");
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = socket, .len = 5), 5);
	CHECK_EQ(read(peer, got, sizeof(got)), 5);
	CHECK(!memcmp(got, "first", 5));
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = file, .len = ROOM), 4);
	CHECK_EQ(pread(fd, got, sizeof(got), 0), 4);
	CHECK(!memcmp(got, "then", 4));
	expect_usable(&pipes);
	HAND_CLOSE(&pipes.driven, socket);
	HAND_CLOSE(&pipes.driven, file);
	close(peer);
	folder_remove(&folder);
	pipes_end(&pipes);
}

TEST(what_did_not_get_out_stays_put_back)
{
	struct pipes pipes = pipes_begin();
	char *buf = xyl_alloc(ROOM);
	struct xyl_task *task;

	put_back(&pipes, "0123456789");
	raw_fill(xyl_io_fd(pipes.to));
	task = move_spawn(&pipes);
	hand_turns(&pipes.driven, 3);
	CHECK(!xyl_is_done(task));
	CHECK_EQ(drive_stats(&pipes.driven).pinned_bytes, 10);
	xyl_abort(task);
	CHECK_EQ(hand_join(&pipes.driven, task), -ECANCELED);
	hand_drained(&pipes.driven);
	CHECK_EQ(read_of(&pipes.driven, pipes.from, buf), 10);
	CHECK(!memcmp(buf, "0123456789", 10));
	CHECK_EQ(drive_stats(&pipes.driven).adopted_splices, 0);
	raw_drain(pipes.drain);
	expect_usable(&pipes);
	pipes_end(&pipes);
}

TEST(what_was_put_back_and_got_out_too_late_is_gone)
{
	struct pipes pipes = pipes_begin();
	char *buf = xyl_alloc(ROOM);
	struct xyl_task *task;

	put_back(&pipes, "0123456789");
	raw_fill(xyl_io_fd(pipes.to));
	task = DRIVE_SPAWN(&pipes.driven, move, .from = pipes.from, .to = pipes.to, .len = 6);
	hand_turns(&pipes.driven, 3);
	raw_drain(pipes.drain);
	hand_completion(&pipes.driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&pipes.driven, task), -ECANCELED);
	hand_drained(&pipes.driven);
	expect_drained(&pipes, "012345");
	CHECK_EQ(drive_stats(&pipes.driven).adopted_splices, 1);
	CHECK_EQ(read_of(&pipes.driven, pipes.from, buf), 4);
	CHECK(!memcmp(buf, "6789", 4));
	CHECK_EQ(HAND_WRITE(&pipes.driven, .io = pipes.to, .buf = "x", .len = 1), -EPIPE);
	pipes_end(&pipes);
}

/* ---- cut short ------------------------------------------------------------------------------- */

enum where { BEHIND_A_READER, BEHIND_A_WRITER, IN_KERNEL, WHERES };

/* A splice that stands there, and who stands before it. */
static struct xyl_task *stand(struct pipes *pipes, enum where where, struct xyl_task **ret_before)
{
	struct xyl_task *task;

	*ret_before = NULL;
	if (where == BEHIND_A_READER)
		*ret_before = DRIVE_SPAWN(&pipes->driven, hand_read, .io = pipes->from,
					  .buf = xyl_alloc_bytes(1), .len = 1);
	if (where == BEHIND_A_WRITER) {
		raw_fill(xyl_io_fd(pipes->to));
		*ret_before = DRIVE_SPAWN(&pipes->driven, hand_write, .io = pipes->to,
					  .buf = xyl_alloc(1), .len = 1);
	}
	task = move_spawn(pipes);
	hand_turns(&pipes->driven, 10);
	CHECK(!xyl_is_done(task));
	CHECK_EQ(drive_stats(&pipes->driven).ops_outstanding, 1);
	return task;
}

/* Whoever stood before it comes to his end. */
static void go_on(struct pipes *pipes, enum where where, const struct xyl_task *before)
{
	if (where == BEHIND_A_READER)
		raw_send(pipes->feed, "x");
	if (where == BEHIND_A_WRITER)
		raw_drain(pipes->drain);
	if (before)
		CHECK_EQ(hand_join(&pipes->driven, before), 1);
	raw_drain(pipes->drain);
}

TEST(an_abort_takes_effect_at_once_wherever_it_stands)
{
	for (enum where where = 0; where < WHERES; where++) {
		struct pipes pipes = pipes_begin();
		struct xyl_task *before, *task = stand(&pipes, where, &before);

		xyl_abort(task);
		hand_turn(&pipes.driven);
		CHECK(xyl_is_done(task));
		CHECK_EQ(xyl_result(task), -ECANCELED);
		go_on(&pipes, where, before);
		hand_drained(&pipes.driven);
		expect_usable(&pipes);
		CHECK_EQ(drive_stats(&pipes.driven).adopted_results, 0);
		pipes_end(&pipes);
	}
}

TEST(a_bound_is_kept_wherever_it_stands)
{
	for (enum where where = 0; where < WHERES; where++) {
		struct pipes pipes = pipes_begin();
		struct xyl_task *before, *task = stand(&pipes, where, &before);

		CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = ROOM,
			      .bound = XYL_MS),
			 -ETIMEDOUT);
		xyl_abort(task);
		CHECK_EQ(hand_join(&pipes.driven, task), -ECANCELED);
		go_on(&pipes, where, before);
		hand_drained(&pipes.driven);
		CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = ROOM,
			      .bound = XYL_MS),
			 -ETIMEDOUT);
		expect_usable(&pipes);
		pipes_end(&pipes);
	}
}

static void closed_where(enum where where, bool close_from)
{
	struct pipes pipes = pipes_begin();
	struct xyl_task *before, *task = stand(&pipes, where, &before), *closer;

	closer = DRIVE_SPAWN(&pipes.driven, hand_close, .io = close_from ? pipes.from : pipes.to);
	CHECK_EQ(hand_join(&pipes.driven, task), -ECANCELED);
	CHECK_EQ(hand_join(&pipes.driven, closer), 0);
	if (close_from) {
		close(pipes.feed);
		pipes.feed = -1;
		if (where == BEHIND_A_READER)
			CHECK_EQ(hand_join(&pipes.driven, before), -ECANCELED);
		else
			go_on(&pipes, where, before);
		CHECK_EQ(HAND_WRITE(&pipes.driven, .io = pipes.to, .buf = "w", .len = 1), 1);
	} else if (where == BEHIND_A_WRITER) {
		CHECK_EQ(hand_join(&pipes.driven, before), -ECANCELED);
	} else {
		raw_send(pipes.feed, "r");
		if (before)
			CHECK_EQ(hand_join(&pipes.driven, before), 1);
	}
	pipes_end(&pipes);
}

/* Also of the handle for whose turn it does not wait yet, or no longer. */
TEST(a_close_of_either_handle_wakes_it_wherever_it_stands)
{
	for (enum where where = 0; where < WHERES; where++) {
		closed_where(where, true);
		closed_where(where, false);
	}
}

struct idle {
	struct xyl_frame frame;
};

static xyl_step idle(void *frame)
{
	struct idle *self = frame;

	XYL_BEGIN(self)
	XYL_END(0);
}

/* Its turn has come and it is ready to run: then the handle is closed by one who runs
 * before it.  One task runs in a turn. */
TEST(a_close_before_it_could_use_its_turn_ends_it)
{
	for (int close_from = 0; close_from <= 1; close_from++) {
		struct pipes pipes = pipes_begin_with(&(struct xyl_config){ .turn_budget = 1 });
		struct xyl_task *before, *task = stand(&pipes, BEHIND_A_WRITER, &before), *closer;

		raw_drain(pipes.drain);
		hand_completion(&pipes.driven);
		DRIVE_SPAWN(&pipes.driven, idle);
		closer = DRIVE_SPAWN(&pipes.driven, hand_close,
				     .io = close_from ? pipes.from : pipes.to);
		CHECK_EQ(hand_join(&pipes.driven, closer), 0);
		CHECK_EQ(hand_join(&pipes.driven, task), -ECANCELED);
		CHECK_EQ(hand_join(&pipes.driven, before), 1);
		pipes_end(&pipes);
	}
}

TEST(an_abort_before_it_could_use_its_turn_ends_it)
{
	struct pipes pipes = pipes_begin();
	struct xyl_task *before, *task = stand(&pipes, BEHIND_A_WRITER, &before);

	raw_drain(pipes.drain);
	hand_completion(&pipes.driven);
	hand_turn(&pipes.driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&pipes.driven, task), -ECANCELED);
	go_on(&pipes, BEHIND_A_WRITER, before);
	expect_usable(&pipes);
	pipes_end(&pipes);
}

/* The kernel sees an end where we have shut the socket down. */
TEST(a_close_is_no_end_of_the_stream)
{
	for (int i = 0; i < 20; i++) {
		struct pipes pipes = pipes_begin();
		int peer;
		struct xyl_io *socket = raw_socketpair(&peer);
		struct xyl_task *task = DRIVE_SPAWN(&pipes.driven, move, .from = socket,
						    .to = pipes.to, .len = ROOM);

		hand_turns(&pipes.driven, 2);
		CHECK_EQ(shutdown(xyl_io_fd(socket), SHUT_RDWR), 0);
		hand_completion(&pipes.driven);
		DRIVE_SPAWN(&pipes.driven, hand_close, .io = socket);
		CHECK_EQ(hand_join(&pipes.driven, task), -ECANCELED);
		hand_quiet(&pipes.driven);
		close(peer);
		pipes_end(&pipes);
	}
}

TEST(a_close_while_what_was_put_back_gets_out)
{
	struct pipes pipes = pipes_begin();
	struct xyl_task *task, *closer;

	put_back(&pipes, "0123456789");
	raw_fill(xyl_io_fd(pipes.to));
	task = move_spawn(&pipes);
	hand_turns(&pipes.driven, 3);
	raw_drain(pipes.drain);
	hand_completion(&pipes.driven);
	closer = DRIVE_SPAWN(&pipes.driven, hand_close, .io = pipes.from);
	CHECK_EQ(hand_join(&pipes.driven, closer), 0);
	CHECK_EQ(hand_join(&pipes.driven, task), 10);
	expect_drained(&pipes, "0123456789");
	pipes_end(&pipes);
}

/* It is not tried anew for a task that has left. */
TEST(an_interrupted_splice_does_not_go_on_after_an_abort)
{
	struct pipes pipes = pipes_begin();
	int hits = 0;

	for (int i = 0; i < 1000 && hits < 5; i++) {
		struct xyl_task *task;

		raw_nonblocking(xyl_io_fd(pipes.from), true);
		task = move_spawn(&pipes);
		hand_turn(&pipes.driven);
		if (fcntl(xyl_io_fd(pipes.from), F_GETFL) & O_NONBLOCK) {
			hand_completion(&pipes.driven); /* nobody has seen it yet */
			hits++;
		}
		xyl_abort(task);
		CHECK_EQ(hand_join(&pipes.driven, task), -ECANCELED);
		hand_drained(&pipes.driven);
	}
	CHECK(hits > 0);
	expect_usable(&pipes);
	pipes_end(&pipes);
}

TEST(bytes_that_were_moved_too_late_break_the_stream)
{
	struct pipes pipes = pipes_begin();
	struct xyl_task *task = move_spawn(&pipes), *writer;

	hand_turns(&pipes.driven, 2);
	raw_send(pipes.feed, "late");
	hand_completion(&pipes.driven);
	writer = DRIVE_SPAWN(&pipes.driven, hand_write, .io = pipes.to, .buf = "behind", .len = 6);
	xyl_abort(task);
	CHECK_EQ(hand_join(&pipes.driven, task), -ECANCELED);
	CHECK_EQ(hand_join(&pipes.driven, writer), -EPIPE);
	CHECK_EQ(drive_stats(&pipes.driven).adopted_splices, 1);
	CHECK_EQ(drive_stats(&pipes.driven).adopted_results, 1);
	expect_drained(&pipes, "late");
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = ROOM), -EPIPE);
	raw_send(pipes.feed, "x");
	CHECK_EQ(read_of(&pipes.driven, pipes.from, xyl_alloc_bytes(ROOM)), 1);
	pipes_end(&pipes);
}

/* As when there was no memory to put bytes back. */
TEST(where_bytes_were_lost_nothing_is_moved)
{
	struct pipes pipes = pipes_begin();

	pipes.from->torn = true;
	raw_send(pipes.feed, "x");
	CHECK_EQ(MOVE(&pipes.driven, .from = pipes.from, .to = pipes.to, .len = ROOM), -EIO);
	expect_drained(&pipes, "");
	pipes_end(&pipes);
}

TEST(a_splice_that_waits_for_its_turn_finds_a_broken_stream)
{
	struct pipes pipes = pipes_begin();
	int feed;
	struct xyl_io *other = raw_pipe_reader(&feed);
	struct xyl_task *task = move_spawn(&pipes), *second;

	hand_turns(&pipes.driven, 2);
	second = DRIVE_SPAWN(&pipes.driven, move, .from = other, .to = pipes.to, .len = ROOM);
	hand_turns(&pipes.driven, 2);
	raw_send(pipes.feed, "late");
	hand_completion(&pipes.driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&pipes.driven, second), -EPIPE);
	raw_send(feed, "x");
	CHECK_EQ(read_of(&pipes.driven, other, xyl_alloc_bytes(ROOM)), 1);
	HAND_CLOSE(&pipes.driven, other);
	close(feed);
	pipes_end(&pipes);
}

TEST(a_stop_drains_it_wherever_it_stands)
{
	for (enum where where = 0; where < WHERES; where++) {
		struct pipes pipes = { .feed = -1 };
		struct xyl_task *before, *task;
		int feed[2], drain[2];

		CHECK_EQ(pipe2(feed, O_CLOEXEC), 0);
		CHECK_EQ(pipe2(drain, O_CLOEXEC), 0);
		pipes.driven = hand_begin(NULL);
		pipes.from = raw_handle(dup(feed[0]));
		pipes.to = raw_handle(dup(drain[1]));
		task = stand(&pipes, where, &before);
		drive_end(&pipes.driven);
		CHECK_EQ(xyl_result(task), -ECANCELED);
		for (int i = 0; i < 2; i++) {
			close(feed[i]);
			close(drain[i]);
		}
	}
}

/* ---- at random ------------------------------------------------------------------------------- */

enum { FIFOS = 4, LENGTH = 64 };

/* Among a few pipes, each to each: some are aborted, all come to an end. */
TEST(any_number_of_them_side_by_side_come_to_their_end)
{
	struct driven driven = hand_begin(NULL);
	struct xyl_io *fifos[FIFOS];
	struct xyl_task *tasks[MANY] = { NULL };

	for (int i = 0; i < FIFOS; i++)
		fifos[i] = fifo_both_ways();
	for (size_t round = 0; round < test_scaled(2000); round++) {
		size_t i = test_random() % MANY, at = test_random() % FIFOS;

		if (tasks[i] && !xyl_is_done(tasks[i]))
			xyl_abort(tasks[i]);
		else
			tasks[i] = DRIVE_SPAWN(
				&driven, move, .from = fifos[at],
				.to = fifos[(at + 1 + test_random() % (FIFOS - 1)) % FIFOS],
				.len = 1 + test_random() % LENGTH);
		if (round % 3 == 0) {
			raw_nonblocking(xyl_io_fd(fifos[at]), true);
			CHECK(write(xyl_io_fd(fifos[at]), "some bytes", 10) == 10 ||
			      errno == EAGAIN);
			raw_nonblocking(xyl_io_fd(fifos[at]), false);
		}
		hand_turns(&driven, test_random() % 3);
	}
	for (int i = 0; i < FIFOS; i++)
		HAND_CLOSE(&driven, fifos[i]);
	hand_quiet(&driven);
	for (int i = 0; i < MANY; i++)
		CHECK(!tasks[i] || xyl_is_done(tasks[i]));
	drive_end(&driven);
}

/* ---- the collector --------------------------------------------------------------------------- */

TEST(it_keeps_the_handles_that_only_it_names)
{
	struct driven driven = hand_begin(NULL);
	int feed, drain;
	struct xyl_task *task = DRIVE_SPAWN(&driven, move, .from = raw_pipe_reader(&feed),
					    .to = raw_pipe_writer(&drain), .len = ROOM);

	for (int i = 0; i < 5; i++) {
		hand_turn(&driven);
		for (int k = 0; k < 100; k++)
			memset(xyl_alloc_bytes(64), 0xaa, 64);
		xyl_collect();
	}
	CHECK_EQ(drive_stats(&driven).handles_dropped, 0);
	raw_send(feed, "still here");
	CHECK_EQ(hand_join(&driven, task), 10);
	CHECK_EQ(raw_drain(drain), 10);
	close(feed);
	close(drain);
	drive_end(&driven);
}

/* And when it is over, neither handle keeps the other. */
static __attribute__((noinline)) void splice_once(const struct driven *driven, struct xyl_io *from,
						  int *ret_drain)
{
	CHECK_EQ(MOVE(driven, .from = from, .to = raw_pipe_writer(ret_drain), .len = ROOM), 1);
}

TEST(when_it_is_over_one_handle_does_not_keep_the_other)
{
	enum { TRIES = 16 };
	struct driven driven = hand_begin(NULL);
	struct xyl_io **from = xyl_alloc(TRIES * sizeof(*from));
	int feeds[TRIES], drains[TRIES];

	for (int i = 0; i < TRIES; i++) {
		from[i] = raw_pipe_reader(&feeds[i]);
		raw_send(feeds[i], "x");
		splice_once(&driven, from[i], &drains[i]);
	}
	for (int i = 0; i < 5; i++) {
		hand_turn(&driven);
		xyl_collect();
	}
	hand_turn(&driven);
	CHECK(drive_stats(&driven).handles_dropped > TRIES / 2);
	for (int i = 0; i < TRIES; i++) {
		HAND_CLOSE(&driven, from[i]);
		close(feeds[i]);
		close(drains[i]);
	}
	drive_end(&driven);
}
