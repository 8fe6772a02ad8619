/* SPDX-License-Identifier: MIT */
/* Closing: who is woken, what is waited for, when the number is free; handles forgotten. */
#include "tests/hand.h"
#include "tests/raw.h"

enum { QUEUE = 5, ROOM = 64 };

static bool fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* ---- who waits --------------------------------------------------------------------------- */

TEST(a_close_wakes_readers_and_writers_alike)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *readers[QUEUE], *writers[QUEUE];
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	raw_fill(xyl_io_fd(io));
	for (int i = 0; i < QUEUE; i++) {
		readers[i] = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
					 .len = ROOM, .whole = i % 2);
		writers[i] = DRIVE_SPAWN(&driven, hand_write, .io = io, .buf = xyl_alloc(ROOM),
					 .len = ROOM, .whole = i % 2);
	}
	hand_turn(&driven);
	HAND_CLOSE(&driven, io);
	for (int i = 0; i < QUEUE; i++) {
		CHECK_EQ(hand_join(&driven, readers[i]), -ECANCELED);
		CHECK_EQ(hand_join(&driven, writers[i]), -ECANCELED);
	}
	close(peer);
	drive_end(&driven);
}

TEST(a_close_wakes_acceptors)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	struct xyl_task *tasks[QUEUE];
	struct xyl_io *listener, **got = xyl_alloc(sizeof(*got));

	CHECK_EQ(xyl_unix_listen(&listener, folder.path), 0);
	for (int i = 0; i < QUEUE; i++)
		tasks[i] = DRIVE_SPAWN(&driven, hand_accept, .io = listener, .ret_io = got);
	hand_turn(&driven);
	HAND_CLOSE(&driven, listener);
	for (int i = 0; i < QUEUE; i++)
		CHECK_EQ(hand_join(&driven, tasks[i]), -ECANCELED);
	CHECK(!*got);
	folder_remove(&folder);
	drive_end(&driven);
}

struct read_at {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
	char buf[ROOM];
};

static xyl_step read_at(void *frame)
{
	struct read_at *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_at(self->io, self->buf, ROOM, 0));
	XYL_END(self->n);
}

TEST(a_close_ends_positional_reads_that_wait)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *tasks[QUEUE];
	int peer;
	struct xyl_io *io = raw_pipe_reader(&peer);

	for (int i = 0; i < QUEUE; i++)
		tasks[i] = DRIVE_SPAWN(&driven, read_at, .io = io);
	hand_turn(&driven);
	HAND_CLOSE(&driven, io);
	for (int i = 0; i < QUEUE; i++)
		CHECK_EQ(hand_join(&driven, tasks[i]), -ECANCELED);
	close(peer);
	drive_end(&driven);
}

TEST(the_peer_of_a_closed_socket_is_told)
{
	struct driven driven = drive_begin(NULL);
	char byte;
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	HAND_CLOSE(&driven, io);
	CHECK_EQ(read(peer, &byte, 1), 0);
	close(peer);
	drive_end(&driven);
}

struct is_told {
	struct xyl_frame frame;
	int peer;
};

/* Runs in the turn of the close, before the kernel has been asked to cancel. */
static xyl_step is_told(void *frame)
{
	struct is_told *self = frame;
	char byte;

	XYL_BEGIN(self)
	CHECK_EQ(recv(self->peer, &byte, 1, MSG_DONTWAIT), 0);
	XYL_END(0);
}

TEST(the_peer_is_told_at_once_though_an_operation_holds_the_socket)
{
	struct driven driven = drive_in_order(NULL);
	struct xyl_task *reader, *closer, *other;
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
			     .len = ROOM);
	hand_turn(&driven);
	closer = DRIVE_SPAWN(&driven, hand_close, .io = io);
	other = DRIVE_SPAWN(&driven, is_told, .peer = peer);
	CHECK_EQ(hand_join(&driven, other), 0);
	CHECK_EQ(hand_join(&driven, closer), 0);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	close(peer);
	drive_end(&driven);
}

/* ---- after the close ---------------------------------------------------------------------- */

struct try_all {
	struct xyl_frame frame;
	struct xyl_io *io, *ret;
	char buf[ROOM];
	ssize_t n;
};

static xyl_step try_all(void *frame)
{
	struct try_all *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read(self->io, self->buf, ROOM));
	CHECK_EQ(self->n, -EBADF);
	XYL_AWAIT(self->n, xyl_read_full(self->io, self->buf, ROOM));
	CHECK_EQ(self->n, -EBADF);
	XYL_AWAIT(self->n, xyl_write(self->io, self->buf, ROOM));
	CHECK_EQ(self->n, -EBADF);
	XYL_AWAIT(self->n, xyl_write_all(self->io, self->buf, ROOM));
	CHECK_EQ(self->n, -EBADF);
	XYL_AWAIT(self->n, xyl_read_at(self->io, self->buf, ROOM, 0));
	CHECK_EQ(self->n, -EBADF);
	XYL_AWAIT(self->n, xyl_write_at(self->io, self->buf, ROOM, 0));
	CHECK_EQ(self->n, -EBADF);
	XYL_AWAIT(self->n, xyl_fsync(self->io));
	CHECK_EQ(self->n, -EBADF);
	XYL_AWAIT(self->n, xyl_accept(self->io, &self->ret));
	CHECK_EQ(self->n, -EBADF);
	XYL_AWAIT(self->n, xyl_shutdown(self->io, SHUT_RDWR));
	CHECK_EQ(self->n, -EBADF);
	XYL_AWAIT(self->n, xyl_close(self->io));
	CHECK_EQ(self->n, -EBADF);
	CHECK_EQ(xyl_io_fd(self->io), -EBADF);
	XYL_END(0);
}

TEST(nothing_can_be_done_with_a_closed_handle)
{
	struct driven driven = drive_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	HAND_CLOSE(&driven, io);
	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, try_all, .io = io)), 0);
	close(peer);
	drive_end(&driven);
}

TEST(two_who_close_at_once_both_wait_until_it_is_closed)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *closers[2], *reader;
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	int fd = xyl_io_fd(io), closed = 0;

	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
			     .len = ROOM);
	hand_turn(&driven);
	for (int i = 0; i < 2; i++)
		closers[i] = DRIVE_SPAWN(&driven, hand_close, .io = io);
	for (int i = 0; i < 2; i++) {
		ssize_t n = hand_join(&driven, closers[i]);

		CHECK(n == 0 || n == -EBADF); /* he began when it had been closed */
		CHECK(!fd_is_open(fd));
		closed += n == 0;
	}
	CHECK(closed > 0);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	close(peer);
	drive_end(&driven);
}

/* ---- the number ----------------------------------------------------------------------------- */

struct open_null {
	struct xyl_frame frame;
	struct xyl_io *closing;
	int fd; /* its number */
	ssize_t n;
};

/* Runs in the turn in which the handle began to close: the kernel may still use it. */
static xyl_step open_null(void *frame)
{
	struct open_null *self = frame;
	int fd;

	XYL_BEGIN(self)
	CHECK(fd_is_open(self->fd));
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && fd != self->fd);
	close(fd);
	XYL_AWAIT(self->n, xyl_read(self->closing, NULL, 1));
	XYL_END(self->n);
}

TEST(a_number_is_not_free_while_the_kernel_works_on_it)
{
	struct driven driven = drive_in_order(NULL);
	struct xyl_task *reader, *closer, *other;
	int peer;
	struct xyl_io *io = raw_pipe_reader(&peer);
	int fd = xyl_io_fd(io);

	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
			     .len = ROOM);
	hand_turn(&driven);
	closer = DRIVE_SPAWN(&driven, hand_close, .io = io);
	other = DRIVE_SPAWN(&driven, open_null, .closing = io, .fd = fd);
	CHECK_EQ(hand_join(&driven, other), -EBADF);
	CHECK_EQ(hand_join(&driven, closer), 0);
	CHECK(!fd_is_open(fd));
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	close(peer);
	drive_end(&driven);
}

TEST(an_abandoned_operation_holds_the_number_too)
{
	struct driven driven = drive_in_order(NULL);
	struct xyl_task *reader, *closer, *other;
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	int fd = xyl_io_fd(io);

	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
			     .len = ROOM);
	hand_turn(&driven);
	xyl_abort(reader);
	closer = DRIVE_SPAWN(&driven, hand_close, .io = io);
	other = DRIVE_SPAWN(&driven, open_null, .closing = io, .fd = fd);
	CHECK_EQ(hand_join(&driven, other), -EBADF);
	CHECK_EQ(hand_join(&driven, closer), 0);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	close(peer);
	drive_end(&driven);
}

/* ---- closing is not cut short ---------------------------------------------------------------- */

struct aborted_close {
	struct xyl_frame frame;
	struct xyl_io *io;
	bool bounded;
	ssize_t n;
};

static xyl_step aborted_close(void *frame)
{
	struct aborted_close *self = frame;

	XYL_BEGIN(self)
	if (self->bounded) {
		XYL_AWAIT(self->n, xyl_within(xyl_close(self->io), 1));
	} else {
		xyl_abort(xyl_self());
		XYL_AWAIT(self->n, xyl_close(self->io));
	}
	CHECK_EQ(xyl_io_fd(self->io), -EBADF);
	XYL_END(self->n);
}

static void close_runs_to_its_end(bool bounded)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *reader, *closer;
	int peer;
	struct xyl_io *io = raw_pipe_reader(&peer);

	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
			     .len = ROOM);
	hand_turn(&driven);
	closer = DRIVE_SPAWN(&driven, aborted_close, .io = io, .bounded = bounded);
	CHECK_EQ(hand_join(&driven, closer), 0);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	close(peer);
	drive_end(&driven);
}

TEST(a_close_in_an_aborted_task_runs_to_its_end)
{
	close_runs_to_its_end(false);
}

TEST(a_close_is_not_bounded)
{
	close_runs_to_its_end(true);
}

/* The handle waits for a read that no kernel cancels: the closer is aborted meanwhile.
 * False: the read was too fast. */
static bool closer_is_aborted(const struct driven *driven, const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	struct xyl_io *io = raw_handle(fd);
	struct xyl_task *reader, *closer;
	bool waits;

	reader = DRIVE_SPAWN(driven, hand_read, .io = io, .buf = buf, .len = len);
	hand_turn(driven);
	closer = DRIVE_SPAWN(driven, hand_close, .io = io);
	hand_turn(driven);
	waits = !xyl_is_done(closer) && drive_stats(driven).ops_outstanding;
	xyl_abort(closer);
	CHECK_EQ(hand_join(driven, closer), 0);
	CHECK(!fd_is_open(fd));
	hand_join(driven, reader);
	return waits;
}

TEST(a_closer_that_is_aborted_while_it_waits_still_waits)
{
	enum { LARGE = 4 << 20 };
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	void *buf = NULL;
	int fd, waited = 0;

	CHECK_EQ(posix_memalign(&buf, 4096, LARGE), 0);
	memset(buf, 'x', LARGE);
	fd = raw_direct_file(folder.path, buf, LARGE);
	for (int i = 0; fd >= 0 && !waited && i < 50; i++)
		waited += closer_is_aborted(&driven, folder.path, buf, LARGE);
	if (fd >= 0)
		close(fd);
	free(buf);
	folder_remove(&folder);
	drive_end(&driven);
	if (!waited)
		SKIP("no read was slow enough");
}

/* ---- handles that nobody closes -------------------------------------------------------------- */

enum { FORGOTTEN = 50 };

struct forgetful {
	struct xyl_frame frame;
	int fds[2];
	int i;
	struct xyl_io *io;
	char buf[ROOM];
	ssize_t n;
};

static xyl_step forgetful(void *frame)
{
	struct forgetful *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < FORGOTTEN; self->i++) {
		CHECK_EQ(pipe2(self->fds, O_CLOEXEC), 0);
		self->io = raw_handle(self->fds[1]);
		XYL_AWAIT(self->n, xyl_write(self->io, "x", 1));
		CHECK_EQ(self->n, 1);
		self->io = raw_handle(self->fds[0]);
		XYL_AWAIT(self->n, xyl_read(self->io, self->buf, ROOM));
		CHECK_EQ(self->n, 1);
	}
	XYL_END(0);
}

/* Conservative collections may miss a few; what they miss, the stop closes. */
TEST(a_handle_that_nobody_holds_is_closed_and_counted)
{
	struct driven driven = drive_begin(NULL);
	size_t before = test_fd_count();
	struct xyl_stats stats;

	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, forgetful, .fds = { 0 })), 0);
	for (int i = 0; i < 20; i++) {
		hand_turn(&driven);
		xyl_collect();
	}
	hand_turn(&driven);
	stats = drive_stats(&driven);
	CHECK(stats.handles_dropped > FORGOTTEN);
	CHECK_EQ(stats.handles_dropped + stats.handles_open, 2 * FORGOTTEN);
	CHECK(test_fd_count() < before + FORGOTTEN + 8);
	drive_end(&driven);
	stats = drive_stats(&driven);
	CHECK_EQ(stats.handles_dropped + stats.handles_closed_by_stop, 2 * FORGOTTEN);
}

/* Finalizers run on whichever shard comes first; a handle is its own shard's to close. */
TEST(a_handle_that_nobody_holds_is_closed_by_its_own_shard)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_runtime *other;
	uint64_t before;

	CHECK_EQ(xyl_runtime_new(&other, NULL), 0);
	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, forgetful, .fds = { 0 })), 0);
	before = drive_stats(&driven).handles_dropped;
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(xyl_runtime_drive(other, 1), 0);
		xyl_collect();
	}
	CHECK_EQ(drive_stats(&driven).handles_dropped, before);
	hand_turn(&driven);
	CHECK(drive_stats(&driven).handles_dropped > FORGOTTEN);
	CHECK_EQ(xyl_runtime_stop(other, HAND_PATIENCE), 0);
	drive_end(&driven);
}

TEST(a_handle_that_is_held_is_not_closed)
{
	struct driven driven = drive_begin(NULL);
	int peer;
	struct xyl_io *volatile io = raw_socketpair(&peer);

	CHECK_EQ(HAND_WRITE(&driven, .io = io, .buf = "x", .len = 1), 1);
	for (int i = 0; i < 10; i++) {
		hand_turn(&driven);
		xyl_collect();
	}
	CHECK(fd_is_open(xyl_io_fd(io)));
	CHECK_EQ(drive_stats(&driven).handles_dropped, 0);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

struct forget_listener {
	struct xyl_frame frame;
	const char *path;
	int client;
	struct xyl_io *listener, *io;
	ssize_t n;
};

/* It is left with a connection that nobody fetched. */
static xyl_step forget_listener(void *frame)
{
	struct forget_listener *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(xyl_unix_listen(&self->listener, self->path), 0);
	XYL_AWAIT(self->n, xyl_accept(self->listener, &self->io));
	XYL_END(self->n);
}

TEST(a_connection_in_store_goes_with_its_listener)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	struct xyl_task *task = DRIVE_SPAWN(&driven, forget_listener, .path = folder.path);
	int64_t until = xyli_clock() + HAND_PATIENCE;
	int client;

	hand_turn(&driven);
	client = raw_unix_connect(folder.path);
	hand_completion(&driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	hand_drained(&driven);
	for (int i = 0; drive_stats(&driven).handles_open && i < 20; i++) {
		CHECK(xyli_clock() < until);
		xyl_collect();
		hand_turn(&driven);
	}
	close(client);
	folder_remove(&folder);
	drive_end(&driven);
	CHECK_EQ(drive_stats(&driven).closed_late, 1);
}
