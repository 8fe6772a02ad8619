/* SPDX-License-Identifier: MIT */
/*
 * Each kind of late result, one test a kind: what becomes of it, and which count says so.
 *
 * The window: the kernel is done, the shard has not looked, the task is aborted.
 */
#include <stddef.h>

#include "tests/hand.h"
#include "tests/raw.h"

enum { ROOM = 256, LARGE = 1 << 20 };

/* ---- the counts --------------------------------------------------------------------- */

#define COUNT(name) offsetof(struct xyl_stats, adopted_##name)

static const size_t counts[] = { COUNT(connections), COUNT(bytes), COUNT(writes), COUNT(opens),
				 COUNT(connects) };

static uint64_t count_of(const struct xyl_stats *stats, size_t offset)
{
	return *(const uint64_t *)(const void *)((const char *)stats + offset);
}

/* That one stands at n, all the others at 0. */
static void expect_only(const struct driven *driven, size_t offset, uint64_t n)
{
	struct xyl_stats stats = drive_stats(driven);

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		CHECK_EQ(count_of(&stats, counts[i]), counts[i] == offset ? n : 0);
	CHECK_EQ(stats.adopted_results, n);
}

/* ---- through the window ---------------------------------------------------------------- */

/* The result stands in the ring: its task leaves without it. */
static void leave(const struct driven *driven, struct xyl_task *task)
{
	hand_completion(driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(driven, task), -ECANCELED);
	hand_drained(driven);
}

/* ---- streams ----------------------------------------------------------------------------- */

static void late_bytes(struct xyl_io *(*open)(int *ret_peer))
{
	struct driven driven = drive_begin(NULL);
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
	struct driven driven = drive_begin(NULL);
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

/* ---- descriptors ----------------------------------------------------------------------------- */

TEST(accept_its_connection_goes_to_the_next_acceptor)
{
	struct driven driven = drive_begin(NULL);
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

struct opener {
	struct xyl_frame frame;
	const char *path;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_step opener(void *frame)
{
	struct opener *self = frame;

	XYL_BEGIN(self)
	/* Without O_CREAT the kernel first tries not to wait, and a FIFO then opens at once. */
	XYL_AWAIT(self->n, xyl_open(&self->io, self->path, O_RDONLY | O_CREAT, 0600));
	CHECK(!self->io);
	XYL_END(self->n);
}

TEST(open_its_descriptor_is_closed)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	size_t fds = test_fd_count();
	struct xyl_task *task;
	int writer;

	CHECK_EQ(mkfifo(folder.path, 0600), 0);
	task = DRIVE_SPAWN(&driven, opener, .path = folder.path);
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
	struct driven driven = drive_begin(NULL);
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
