/* SPDX-License-Identifier: MIT */
/* Reading and writing: sockets of both families, pipes, whole and short transfers, ends. */
#include <signal.h>

#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"

enum { BUF = 4096 };

/* ---- echo, over each kind of socket -------------------------------------------------- */

struct serve_one {
	struct xyl_frame frame;
	struct xyl_io *listener, *io;
	char *buf;
	ssize_t n;
};

/* Echo until the peer has no more to say, then say so too. */
static xyl_step serve_one(void *frame)
{
	struct serve_one *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(BUF);
	XYL_AWAIT(self->n, xyl_accept(self->listener, &self->io));
	CHECK_EQ(self->n, 0);
	for (;;) {
		XYL_AWAIT(self->n, xyl_read(self->io, self->buf, BUF));
		if (self->n <= 0)
			break;
		XYL_AWAIT(self->n, xyl_write_all(self->io, self->buf, (size_t)self->n));
		CHECK(self->n > 0);
	}
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_shutdown(self->io, SHUT_WR));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_read(self->io, self->buf, BUF));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->n);
}

struct talk {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *said, *heard;
	size_t len, i;
	ssize_t n;
};

static xyl_step talk(void *frame)
{
	struct talk *self = frame;

	XYL_BEGIN(self)
	self->said = xyl_alloc_bytes(BUF);
	self->heard = xyl_alloc_bytes(BUF);
	for (self->i = 0; self->i < 100; self->i++) {
		self->len = 1 + test_random() % BUF;
		for (size_t k = 0; k < self->len; k++)
			self->said[k] = (char)test_random();
		XYL_AWAIT(self->n, xyl_write_all(self->io, self->said, self->len));
		CHECK_EQ(self->n, self->len);
		XYL_AWAIT(self->n, xyl_read_full(self->io, self->heard, self->len));
		CHECK_EQ(self->n, self->len);
		CHECK(!memcmp(self->said, self->heard, self->len));
	}
	/* Half-closed: what we have said last still comes back. */
	XYL_AWAIT(self->n, xyl_write_all(self->io, "last words", 10));
	CHECK_EQ(self->n, 10);
	XYL_AWAIT(self->n, xyl_shutdown(self->io, SHUT_WR));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_write(self->io, "x", 1));
	CHECK_EQ(self->n, -EPIPE);
	XYL_AWAIT(self->n, xyl_read_full(self->io, self->heard, BUF));
	CHECK_EQ(self->n, 10);
	CHECK(!memcmp(self->heard, "last words", 10));
	XYL_AWAIT(self->n, xyl_read(self->io, self->heard, BUF));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->n);
}

struct echo {
	struct xyl_frame frame;
	const char *host, *path; /* either */
	struct xyl_io *listener, *io;
	struct xyl_task *server;
	char port[8];
	ssize_t n;
};

static xyl_step echo(void *frame)
{
	struct echo *self = frame;

	XYL_BEGIN(self)
	self->n = self->path ? xyl_unix_listen(&self->listener, self->path)
			     : xyl_tcp_listen(&self->listener, self->host, "0");
	CHECK_EQ(self->n, 0);
	self->server = xyl_spawn(serve_one, .listener = self->listener);
	if (self->path) {
		XYL_AWAIT(self->n, xyl_unix_connect(&self->io, self->path));
	} else {
		raw_port(self->listener, self->port, sizeof(self->port));
		XYL_AWAIT(self->n, xyl_tcp_connect(&self->io, self->host, self->port));
	}
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_call(talk, .io = self->io));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_join(self->server));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_close(self->listener));
	XYL_END(self->n);
}

TEST(tcp_echoes_and_is_closed_in_halves)
{
	CHECK_EQ(RUN(echo, .host = "127.0.0.1"), 0);
}

TEST(unix_sockets_echo_and_are_closed_in_halves)
{
	struct folder folder = folder_make();

	CHECK_EQ(RUN(echo, .path = folder.path), 0);
	folder_remove(&folder);
}

TEST(a_name_is_as_good_as_a_number)
{
	CHECK_EQ(RUN(echo, .host = "localhost"), 0);
}

TEST(no_name_means_this_machine)
{
	CHECK_EQ(RUN(echo, .host = NULL), 0);
}

/* ---- ends -------------------------------------------------------------------------------- */

TEST(a_peer_that_has_gone_ends_the_stream)
{
	struct driven driven = drive_begin(NULL);
	char *buf = xyl_alloc_bytes(BUF);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	raw_send(peer, "bye");
	close(peer);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = BUF), 3);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = BUF), 0);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = BUF, .whole = true), 0);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = BUF), 0);
	HAND_CLOSE(&driven, io);
	drive_end(&driven);
}

TEST(a_peer_that_goes_ends_a_read_that_waits)
{
	struct driven driven = drive_begin(NULL);
	char *buf = xyl_alloc_bytes(BUF);
	struct xyl_task *reader;
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = buf, .len = BUF, .whole = true);
	hand_turn(&driven);
	raw_send(peer, "bye");
	hand_turns(&driven, 3);
	CHECK(!xyl_is_done(reader));
	close(peer);
	CHECK_EQ(hand_join(&driven, reader), 3);
	HAND_CLOSE(&driven, io);
	drive_end(&driven);
}

static void write_to_nobody(struct xyl_io *(*open_io)(int *ret_peer))
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *writer;
	int peer;
	struct xyl_io *io = open_io(&peer);

	raw_fill(xyl_io_fd(io));
	writer = DRIVE_SPAWN(&driven, hand_write, .io = io, .buf = xyl_strdup("x"), .len = 1);
	hand_turn(&driven);
	close(peer);
	CHECK(hand_join(&driven, writer) < 0);
	for (int whole = 0; whole <= 1; whole++)
		CHECK_EQ(HAND_WRITE(&driven, .io = io, .buf = "x", .len = 1, .whole = whole),
			 -EPIPE);
	HAND_CLOSE(&driven, io);
	drive_end(&driven);
}

TEST(a_write_that_nobody_can_read_fails_and_raises_no_signal)
{
	signal(SIGPIPE, SIG_DFL);
	write_to_nobody(raw_pipe_writer);
	write_to_nobody(raw_socketpair);
}

struct write_all_to_nobody {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	ssize_t n;
};

static xyl_step write_all_to_nobody(void *frame)
{
	struct write_all_to_nobody *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc(BUF);
	XYL_AWAIT(self->n, xyl_write_all(self->io, self->buf, BUF));
	CHECK_EQ(self->n, -EPIPE);
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->n);
}

TEST(a_runtime_of_its_own_thread_raises_no_sigpipe_either)
{
	struct census before = census_take();
	struct xyl_runtime *rt;
	struct xyl_task *task;
	struct xyl_io *io;
	int peer;

	signal(SIGPIPE, SIG_DFL);
	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	io = raw_pipe_writer(&peer);
	close(peer);
	task = xyl_runtime_spawn(rt, XYL_HERE, write_all_to_nobody, .io = io);
	while (!xyl_is_done(task))
		sched_yield();
	CHECK_EQ(xyl_result(task), 0);
	CHECK_EQ(xyl_runtime_stop(rt, HAND_PATIENCE), 0);
	census_check(&before, rt);
}

/* ---- lengths ----------------------------------------------------------------------------- */

TEST(an_empty_transfer_moves_nothing)
{
	struct driven driven = drive_begin(NULL);
	char *buf = xyl_alloc_bytes(1);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	for (int whole = 0; whole <= 1; whole++) {
		CHECK_EQ(HAND_WRITE(&driven, .io = io, .buf = buf, .len = 0, .whole = whole), 0);
		CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 0, .whole = whole), 0);
	}
	raw_send(peer, "x");
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 1), 1);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(a_read_takes_what_there_is)
{
	struct driven driven = drive_begin(NULL);
	char *buf = xyl_alloc_bytes(BUF);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	raw_send(peer, "abcdef");
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 4), 4);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf + 4, .len = BUF - 4), 2);
	CHECK(!memcmp(buf, "abcdef", 6));
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

/* ---- many segments -------------------------------------------------------------------------- */

struct segments {
	struct xyl_frame frame;
	struct xyl_io *to, *from;
	size_t len, segment, i;
	char *sent, *received;
	struct xyl_task *writer;
	ssize_t n;
};

/* Written whole, read whole a segment at a time; buffers of the kernel hold neither. */
static xyl_step segments(void *frame)
{
	struct segments *self = frame;

	XYL_BEGIN(self)
	self->sent = xyl_alloc_bytes(self->len);
	self->received = xyl_alloc_bytes(self->len);
	for (size_t k = 0; k < self->len; k++)
		self->sent[k] = (char)(k * 31 + k / 251);
	self->writer = xyl_spawn(hand_write, .io = self->to, .buf = self->sent, .len = self->len,
				 .whole = true);
	for (self->i = 0; self->i < self->len; self->i += (size_t)self->n) {
		self->segment = 1 + test_random() % (self->len / 8);
		if (self->segment > self->len - self->i)
			self->segment = self->len - self->i;
		XYL_AWAIT(self->n,
			  xyl_read_full(self->from, self->received + self->i, self->segment));
		CHECK_EQ(self->n, self->segment);
	}
	XYL_AWAIT(self->n, xyl_join(self->writer));
	CHECK_EQ(self->n, self->len);
	CHECK(!memcmp(self->sent, self->received, self->len));
	XYL_AWAIT(self->n, xyl_close(self->to));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_read(self->from, self->received, 1));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_close(self->from));
	XYL_END(self->n);
}

TEST(whole_transfers_go_on_over_many_segments_of_a_pipe)
{
	struct census before = census_take();
	int fds[2];

	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	CHECK_EQ(xyl_run(segments, .len = test_scaled(4 << 20), .to = raw_handle(fds[1]),
			 .from = raw_handle(fds[0])),
		 0);
	census_check(&before, NULL);
}

TEST(whole_transfers_go_on_over_many_segments_of_a_socket)
{
	struct census before = census_take();
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	CHECK_EQ(xyl_run(segments, .len = test_scaled(4 << 20), .to = raw_handle(fds[1]),
			 .from = raw_handle(fds[0])),
		 0);
	census_check(&before, NULL);
}

/* ---- turns: first come first served ---------------------------------------------------------- */

enum { TASKS = 20 };

TEST(readers_are_served_in_the_order_in_which_they_came)
{
	struct driven driven = drive_in_order(NULL);
	struct xyl_task *readers[TASKS];
	char *bufs = xyl_alloc(TASKS);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	for (int i = 0; i < TASKS; i++)
		readers[i] = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = bufs + i, .len = 1,
					 .whole = i % 2);
	hand_turn(&driven);
	raw_send(peer, "abcdefghijklmnopqrst");
	for (int i = 0; i < TASKS; i++)
		CHECK_EQ(hand_join(&driven, readers[i]), 1);
	CHECK(!memcmp(bufs, "abcdefghijklmnopqrst", TASKS));
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(writers_are_served_in_the_order_in_which_they_came)
{
	struct driven driven = drive_in_order(NULL);
	struct xyl_task *writers[TASKS];
	char *letters = xyl_strdup("abcdefghijklmnopqrst"), got[TASKS];
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	for (int i = 0; i < TASKS; i++)
		writers[i] = DRIVE_SPAWN(&driven, hand_write, .io = io, .buf = letters + i,
					 .len = 1, .whole = i % 2);
	for (int i = 0; i < TASKS; i++)
		CHECK_EQ(hand_join(&driven, writers[i]), 1);
	CHECK_EQ(read(peer, got, TASKS), TASKS);
	CHECK(!memcmp(got, letters, TASKS));
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

/* ---- descriptors from elsewhere -------------------------------------------------------------- */

TEST(a_non_blocking_descriptor_waits_like_any_other)
{
	struct driven driven = drive_begin(NULL);
	char *buf = xyl_alloc_bytes(BUF);
	struct xyl_task *reader, *writer;
	struct xyl_io *ends[2];
	int fds[2];

	CHECK_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	ends[0] = raw_handle(fds[0]);
	reader = DRIVE_SPAWN(&driven, hand_read, .io = ends[0], .buf = buf, .len = 1);
	hand_turns(&driven, 3);
	CHECK(!xyl_is_done(reader));
	ends[1] = raw_handle(fds[1]);
	CHECK_EQ(HAND_WRITE(&driven, .io = ends[1], .buf = "x", .len = 1), 1);
	CHECK_EQ(hand_join(&driven, reader), 1);
	raw_fill(fds[1]);
	writer = DRIVE_SPAWN(&driven, hand_write, .io = ends[1], .buf = buf, .len = 1);
	hand_turns(&driven, 3);
	CHECK(!xyl_is_done(writer));
	raw_drain(fds[0]);
	CHECK_EQ(hand_join(&driven, writer), 1);
	HAND_CLOSE(&driven, ends[0]);
	HAND_CLOSE(&driven, ends[1]);
	drive_end(&driven);
}

TEST(a_non_blocking_socket_waits_like_any_other)
{
	struct driven driven = drive_begin(NULL);
	char *buf = xyl_alloc_bytes(BUF);
	struct xyl_task *reader;
	struct xyl_io *io;
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	io = raw_handle(fds[0]);
	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = buf, .len = 1, .whole = true);
	hand_turns(&driven, 3);
	CHECK(!xyl_is_done(reader));
	raw_send(fds[1], "x");
	CHECK_EQ(hand_join(&driven, reader), 1);
	HAND_CLOSE(&driven, io);
	close(fds[1]);
	drive_end(&driven);
}

TEST(no_handle_is_made_of_what_is_no_descriptor)
{
	CHECK(!xyl_io_from_fd(-1));
	CHECK(!xyl_io_from_fd(1 << 20));
}

TEST(the_errors_of_the_kernel_are_unchanged)
{
	struct driven driven = drive_begin(NULL);
	char *buf = xyl_alloc(1);
	int peer;
	struct xyl_io *io = raw_pipe_reader(&peer), *ret;

	CHECK_EQ(HAND_WRITE(&driven, .io = io, .buf = buf, .len = 1), -EBADF);
	CHECK_EQ(HAND_ACCEPT(&driven, .io = io, .ret_io = &ret), -ENOTSOCK);
	HAND_CLOSE(&driven, io);
	close(peer);
	io = raw_handle(open("/", O_RDONLY | O_CLOEXEC));
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 1), -EISDIR);
	HAND_CLOSE(&driven, io);
	drive_end(&driven);
}

TEST(a_read_at_the_files_own_position_moves_it)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	char *buf = xyl_alloc_bytes(BUF);
	struct xyl_io *io = raw_handle(open(folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	CHECK_EQ(HAND_WRITE(&driven, .io = io, .buf = "0123456789", .len = 10, .whole = true), 10);
	CHECK_EQ(lseek(xyl_io_fd(io), 0, SEEK_SET), 0);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 4), 4);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf + 4, .len = BUF - 4, .whole = true), 6);
	CHECK(!memcmp(buf, "0123456789", 10));
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 1), 0);
	HAND_CLOSE(&driven, io);
	folder_remove(&folder);
	drive_end(&driven);
}

/* ---- streaming while others spin ------------------------------------------------------------- */

struct spin {
	struct xyl_frame frame;
	const bool *stop;
	ssize_t n;
};

static xyl_step spin(void *frame)
{
	struct spin *self = frame;

	XYL_BEGIN(self)
	while (!*self->stop)
		XYL_AWAIT(self->n, xyl_yield());
	XYL_END(0);
}

struct hot {
	struct xyl_frame frame;
	struct xyl_io *io;
	int peer;
	struct xyl_task *spinners[2], *reader;
	bool stop;
	char buf[16];
	ssize_t n;
};

static xyl_step hot(void *frame)
{
	struct hot *self = frame;

	XYL_BEGIN(self)
	for (int i = 0; i < 2; i++)
		self->spinners[i] = xyl_spawn(spin, .stop = &self->stop);
	self->reader = xyl_spawn(hand_read, .io = self->io, .buf = self->buf,
				 .len = sizeof(self->buf));
	XYL_AWAIT(self->n, xyl_yield());
	XYL_AWAIT(self->n, xyl_yield());
	raw_send(self->peer, "served");
	XYL_AWAIT(self->n, xyl_join(self->reader));
	CHECK_EQ(self->n, 6);
	CHECK(!memcmp(self->buf, "served", 6));
	self->stop = true;
	for (int i = 0; i < 2; i++)
		CHECK(!xyl_is_done(self->spinners[i]));
	XYL_AWAIT(self->n, xyl_join(self->spinners[0]));
	XYL_AWAIT(self->n, xyl_join(self->spinners[1]));
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->n);
}

TEST(a_socket_is_served_while_tasks_spin_on_yield)
{
	struct census before = census_take();
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	CHECK_EQ(xyl_run(hot, .io = io, .peer = peer), 0);
	close(peer);
	census_check(&before, NULL);
}

/* ---- another runtime's -------------------------------------------------------------------- */

TEST(a_handle_of_another_runtime_is_refused_and_counted)
{
	struct driven driven = drive_begin(NULL), other = drive_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	char *buf = xyl_alloc_bytes(BUF);

	CHECK_EQ(HAND_WRITE(&driven, .io = io, .buf = "x", .len = 1), 1);
	CHECK_EQ(HAND_WRITE(&other, .io = io, .buf = "y", .len = 1), -EXDEV);
	CHECK_EQ(HAND_READ(&other, .io = io, .buf = buf, .len = BUF), -EXDEV);
	CHECK_EQ(hand_join(&other, DRIVE_SPAWN(&other, hand_close, .io = io)), -EXDEV);
	CHECK_EQ(drive_stats(&other).foreign_submits, 3);
	CHECK_EQ(drive_stats(&other).ops_submitted, 0);
	CHECK_EQ(drive_stats(&driven).foreign_submits, 0);
	CHECK_EQ(raw_drain(peer), 1);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&other);
	drive_end(&driven);
}
