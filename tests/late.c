/* SPDX-License-Identifier: MIT */
/*
 * Each kind of late result, one test a kind: what becomes of it, and which count says so.
 * Those of xyl_submit: late_submit.c.
 *
 * The window: the kernel is done, the shard has not looked, the task is aborted.
 */
#include <string.h>

#include "io/handle.h"
#include "tests/asyncs.h"
#include "tests/late.h"

/* ---- streams ----------------------------------------------------------------------------- */

static void late_bytes(struct xyl_io *(*open)(int *ret_peer))
{
	struct driven driven = hand_begin(NULL);
	char *buf = xyl_alloc_bytes(ROOM);
	struct xyl_task *task;
	int peer;
	struct xyl_io *io = open(&peer);

	task = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM), .len = ROOM);
	hand_turn(&driven);
	raw_send(peer, "late");
	leave(&driven, task);
	expect_only(&driven, COUNT(bytes), 1);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = ROOM), 4);
	CHECK(!memcmp(buf, "late", 4));
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(recv_its_bytes_go_to_the_next_reader)
{
	late_bytes(raw_socketpair);
}

TEST(read_its_bytes_go_to_the_next_reader)
{
	late_bytes(raw_pipe_reader);
}

TEST(partial_send_breaks_the_stream)
{
	struct driven driven = hand_begin(NULL);
	struct xyl_task *task;
	char bytes[4096];
	int peer;
	struct xyl_io *io = raw_pipe_writer(&peer);

	raw_fill(xyl_io_fd(io));
	task = DRIVE_SPAWN(&driven, hand_write, .io = io, .buf = xyl_alloc(LARGE), .len = LARGE);
	hand_turn(&driven);
	CHECK_EQ(read(peer, bytes, sizeof(bytes)), sizeof(bytes));
	leave(&driven, task);
	expect_only(&driven, COUNT(writes), 1);
	CHECK_EQ(HAND_WRITE(&driven, .io = io, .buf = "x", .len = 1), -EPIPE);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

struct mover {
	struct xyl_frame frame;
	struct xyl_io *from, *to;
	ssize_t n;
};

static xyl_step mover(void *frame)
{
	struct mover *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_splice(self->from, self->to, ROOM));
	XYL_END(self->n);
}

TEST(splice_breaks_the_stream_that_it_went_to)
{
	struct driven driven = hand_begin(NULL);
	int feed, drain;
	struct xyl_io *from = raw_pipe_reader(&feed), *to = raw_pipe_writer(&drain);
	struct xyl_task *task = DRIVE_SPAWN(&driven, mover, .from = from, .to = to);

	hand_turns(&driven, 2);
	raw_send(feed, "late");
	leave(&driven, task);
	expect_only(&driven, COUNT(splices), 1);
	CHECK_EQ(HAND_WRITE(&driven, .io = to, .buf = "x", .len = 1), -EPIPE);
	CHECK_EQ(raw_drain(drain), 4);
	HAND_CLOSE(&driven, from);
	HAND_CLOSE(&driven, to);
	close(feed);
	close(drain);
	drive_end(&driven);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

TEST(accept_its_connection_goes_to_the_next_acceptor)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	struct xyl_io **accepted = xyl_alloc(2 * sizeof(*accepted));
	struct xyl_task *task;
	struct xyl_io *io;
	int client;

	CHECK_EQ(xyl_unix_listen(&io, folder.path), 0);
	task = DRIVE_SPAWN(&driven, hand_accept, .io = io, .ret_io = &accepted[0]);
	hand_turn(&driven);
	client = raw_unix_connect(folder.path);
	leave(&driven, task);
	CHECK(!accepted[0]);
	expect_only(&driven, COUNT(connections), 1);
	CHECK_EQ(HAND_ACCEPT(&driven, .io = io, .ret_io = &accepted[1]), 0);
	CHECK_EQ(drive_stats(&driven).closed_late, 0);
	HAND_CLOSE(&driven, accepted[1]);
	HAND_CLOSE(&driven, io);
	close(client);
	folder_remove(&folder);
	drive_end(&driven);
}

TEST(open_its_descriptor_is_closed)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	size_t fds = test_fd_count();
	struct xyl_task *task;
	int writer;

	CHECK_EQ(mkfifo(folder.path, 0600), 0);
	task = DRIVE_SPAWN(&driven, open_fifo, .path = folder.path);
	hand_turn(&driven);
	writer = raw_fifo_writer(folder.path);
	leave(&driven, task);
	close(writer);
	expect_only(&driven, COUNT(opens), 1);
	CHECK_EQ(drive_stats(&driven).closed_late, 1);
	CHECK_EQ(test_fd_count(), fds);
	folder_remove(&folder);
	drive_end(&driven);
}

struct dialler {
	struct xyl_frame frame;
	const char *path;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_step dialler(void *frame)
{
	struct dialler *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_unix_connect(&self->io, self->path));
	CHECK(!self->io);
	XYL_END(self->n);
}

TEST(connect_its_socket_is_closed)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	int queued, full = raw_unix_full(folder.path, &queued), accepted;
	size_t fds = test_fd_count();
	struct xyl_task *task;

	task = DRIVE_SPAWN(&driven, dialler, .path = folder.path);
	hand_turns(&driven, 2);
	accepted = accept4(full, NULL, NULL, SOCK_CLOEXEC);
	CHECK(accepted >= 0);
	leave(&driven, task);
	close(accepted);
	expect_only(&driven, COUNT(connects), 1);
	CHECK_EQ(test_fd_count(), fds);
	close(full);
	close(queued);
	folder_remove(&folder);
	drive_end(&driven);
}

/* ---- a send that is not copied, and a buffer that nobody read -------------------------------- */

struct sender {
	struct xyl_frame frame;
	struct xyl_io *io;
	const char *buf;
	ssize_t n;
};

static xyl_step sender(void *frame)
{
	struct sender *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_write_zc(self->io, self->buf, ROOM));
	XYL_END(self->n);
}

/* False: the socket had room after all, and the send was over before it could be left. */
static bool zero_copy_is_late(void)
{
	struct driven driven = hand_begin(NULL);
	struct xyl_task *task;
	size_t filled = 0, got = 0, n;
	int peer;
	struct xyl_io *io = raw_tcp(&peer);
	bool waits;

	while ((n = raw_fill(xyl_io_fd(io))) > 0)
		filled += n;
	task = DRIVE_SPAWN(&driven, sender, .io = io,
			   .buf = memset(xyl_alloc_bytes(ROOM), 'x', ROOM));
	hand_turn(&driven);
	waits = !xyl_is_done(task) && drive_stats(&driven).ops_completed == 0 && io->out.active &&
		io->out.active->op.life.state == XYLI_OP_IN_KERNEL;
	if (waits) {
		while (io_uring_cq_ready(&driven.rt->shard->ring->uring) == 0) {
			got += raw_drain(peer);
			io_uring_get_events(&driven.rt->shard->ring->uring);
		}
		xyl_abort(task);
		CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	}
	while (got < filled + ROOM) {
		got += raw_drain(peer);
		hand_turn(&driven);
	}
	CHECK_EQ(got, filled + ROOM); /* nothing is taken back */
	hand_quiet(&driven);
	if (waits)
		expect_only(&driven, COUNT(zero_copies), 1);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
	return waits;
}

TEST(zero_copy_send_is_sent_all_the_same)
{
	while (!zero_copy_is_late())
		;
}

struct receiver {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *bytes;
	ssize_t n;
};

static xyl_step receiver(void *frame)
{
	struct receiver *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_some(self->io, &self->bytes));
	XYL_END(self->n);
}

TEST(provided_buffer_goes_back_to_its_ring)
{
	struct driven driven = hand_begin(NULL);
	struct xyl_task *task;
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	task = DRIVE_SPAWN(&driven, receiver, .io = io);
	hand_turn(&driven);
	raw_send(peer, "read");
	CHECK_EQ(hand_join(&driven, task), 4);
	raw_send(peer, "unread");
	hand_turns(&driven, 2);
	expect_only(&driven, COUNT(buffers), 0);
	HAND_CLOSE(&driven, io);
	expect_only(&driven, COUNT(buffers), 1);
	close(peer);
	drive_end(&driven);
}
