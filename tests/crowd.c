/* SPDX-License-Identifier: MIT */
/* The crowd: operations on files, more of them than the completion queue has room for. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rt/op.h"
#include "rt/shard.h"
#include "tests/hand.h"
#include "tests/probe.h"
#include "tests/raw.h"

#define MANY 50
#define ROOM 3

/* It cannot be cancelled, and takes until the descriptor is readable. */
static struct probe *begin_file(const struct driven *driven, int fd)
{
	struct probe *probe = probe_new(IORING_OP_POLL_ADD, fd);

	probe->op.life.stubborn = true;
	return begin(driven, probe);
}

static struct driven shard_with_room(unsigned files)
{
	struct driven driven = shard_of(0);

	shard_at(&driven)->files_max = files;
	return driven;
}

static void crowd_is(const struct driven *driven, unsigned in_kernel, unsigned crowd)
{
	CHECK_EQ(shard_at(driven)->files, in_kernel);
	CHECK_EQ(length(&shard_at(driven)->crowd), crowd);
}

TEST(files_have_three_quarters_of_the_completion_queue)
{
	struct driven driven = shard_of(8);

	CHECK_EQ(shard_at(&driven)->files_max, 24);
	drive_end(&driven);
}

TEST(no_more_files_than_there_is_room_for_are_with_the_kernel)
{
	struct driven driven = shard_with_room(ROOM);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct probe *all[MANY];

	for (unsigned i = 0; i < MANY; i++)
		all[i] = begin_file(&driven, fd);
	hand_turns(&driven, 3);
	crowd_is(&driven, ROOM, MANY - ROOM);
	CHECK_EQ(drive_stats(&driven).ops_submitted, ROOM);
	bell_ring(fd);
	while (drive_stats(&driven).ops_completed < MANY) {
		hand_turn(&driven);
		CHECK(shard_at(&driven)->files <= ROOM);
	}
	for (unsigned i = 0; i < MANY; i++)
		is_settled(all[i], POLLIN);
	crowd_is(&driven, 0, 0);
	begin(&driven, all[MANY - 1]); /* its record is as good as new */
	hand_turn(&driven);
	hand_drained(&driven);
	CHECK_EQ(all[MANY - 1]->settled, 2);
	close(fd);
	drive_end(&driven);
}

TEST(whoever_comes_later_waits_behind_the_crowd)
{
	struct driven driven = shard_with_room(1);
	int fds[3];
	struct probe *all[3];

	for (unsigned i = 0; i < 3; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	all[0] = begin_file(&driven, fds[0]);
	all[1] = begin_file(&driven, fds[1]);
	hand_turn(&driven);
	bell_ring(fds[0]);
	hand_completion(&driven);
	hand_turn(&driven);
	is_settled(all[0], POLLIN);
	all[2] = begin_file(&driven, fds[2]);
	hand_turn(&driven);
	CHECK_EQ(all[1]->op.life.state, XYLI_OP_IN_KERNEL);
	CHECK_EQ(all[2]->op.life.state, XYLI_OP_QUEUED);
	crowd_is(&driven, 1, 1);
	bell_ring(fds[1]);
	bell_ring(fds[2]);
	for (unsigned i = 0; i < 3; i++) {
		while (!all[i]->settled)
			hand_turn(&driven);
		close(fds[i]);
	}
	drive_end(&driven);
}

TEST(what_is_no_file_does_not_wait_behind_the_crowd)
{
	struct driven driven = shard_with_room(1);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct probe *files[2], *other;

	files[0] = begin_file(&driven, fd);
	files[1] = begin_file(&driven, fd);
	hand_turn(&driven);
	other = begin(&driven, probe_new(IORING_OP_NOP, -1));
	while (!other->settled)
		hand_turn(&driven);
	crowd_is(&driven, 1, 1);
	bell_ring(fd);
	while (!files[1]->settled)
		hand_turn(&driven);
	close(fd);
	drive_end(&driven);
}

/* Nobody waits for the one that makes room: no task becomes ready, and still there is
 * something to do. */
TEST(a_program_with_its_own_loop_is_told_when_the_crowd_may_go_on)
{
	struct driven driven = hand_begin(NULL);
	struct pollfd pollfd = { .fd = xyl_runtime_fd(driven.rt), .events = POLLIN };
	int fd = eventfd(0, EFD_CLOEXEC);
	struct probe *files[2];

	shard_at(&driven)->files_max = 1;
	files[0] = begin_file(&driven, fd);
	files[1] = begin_file(&driven, fd);
	hand_turn(&driven);
	bell_ring(fd);
	while (!files[1]->settled) {
		CHECK_EQ(poll(&pollfd, 1, 10000), 1);
		hand_turn(&driven);
	}
	is_settled(files[0], POLLIN);
	close(fd);
	drive_end(&driven);
}

/* ---- leaving the crowd ----------------------------------------------------------------------- */

struct sync_file {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_step sync_file(void *frame)
{
	struct sync_file *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_fsync(self->io));
	XYL_END(self->n);
}

/* Two files, whose two tasks each are on the crowd behind one that holds the kernel up. */
struct jam {
	struct driven driven;
	struct folder folder;
	int fd;
	struct probe *plug;
	struct xyl_io *io[2];
	struct xyl_task *tasks[4];
};

static struct jam jam_make(void)
{
	struct jam jam = { .driven = shard_with_room(1),
			   .folder = folder_make(),
			   .fd = eventfd(0, EFD_CLOEXEC) };

	jam.plug = begin_file(&jam.driven, jam.fd);
	for (unsigned i = 0; i < 2; i++)
		jam.io[i] = raw_handle(open(jam.folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	for (unsigned i = 0; i < 4; i++)
		jam.tasks[i] = DRIVE_SPAWN(&jam.driven, sync_file, .io = jam.io[i / 2]);
	hand_turn(&jam.driven);
	crowd_is(&jam.driven, 1, 4);
	CHECK_EQ(drive_stats(&jam.driven).ops_submitted, 1);
	return jam;
}

static void jam_end(struct jam *jam)
{
	close(jam->fd);
	folder_remove(&jam->folder);
	drive_end(&jam->driven);
}

TEST(a_task_aborted_on_the_crowd_leaves_it_at_once)
{
	struct jam jam = jam_make();

	xyl_abort(jam.tasks[1]);
	hand_turns(&jam.driven, 2);
	CHECK_EQ(xyl_result(jam.tasks[1]), -ECANCELED);
	crowd_is(&jam.driven, 1, 3);
	bell_ring(jam.fd);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(hand_join(&jam.driven, jam.tasks[i]), i == 1 ? -ECANCELED : 0);
	CHECK_EQ(drive_stats(&jam.driven).ops_submitted, 4);
	HAND_CLOSE(&jam.driven, jam.io[0]);
	HAND_CLOSE(&jam.driven, jam.io[1]);
	jam_end(&jam);
}

TEST(closing_a_handle_clears_its_tasks_off_the_crowd)
{
	struct jam jam = jam_make();

	HAND_CLOSE(&jam.driven, jam.io[0]);
	hand_turns(&jam.driven, 2);
	CHECK_EQ(xyl_result(jam.tasks[0]), -ECANCELED);
	CHECK_EQ(xyl_result(jam.tasks[1]), -ECANCELED);
	crowd_is(&jam.driven, 1, 2);
	bell_ring(jam.fd);
	CHECK_EQ(hand_join(&jam.driven, jam.tasks[2]), 0);
	CHECK_EQ(hand_join(&jam.driven, jam.tasks[3]), 0);
	CHECK_EQ(drive_stats(&jam.driven).ops_submitted, 3);
	HAND_CLOSE(&jam.driven, jam.io[1]);
	jam_end(&jam);
}

TEST(stopping_takes_tasks_off_the_crowd)
{
	struct jam jam = jam_make();

	bell_ring(jam.fd); /* but for this, the one in the kernel would never end */
	CHECK_EQ(xyl_runtime_stop(jam.driven.rt, 5 * XYL_SEC), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(xyl_result(jam.tasks[i]), -ECANCELED);
	is_settled(jam.plug, POLLIN);
	CHECK_EQ(drive_stats(&jam.driven).ops_submitted, 1);
	CHECK_EQ(drive_stats(&jam.driven).handles_closed_by_stop, 2);
	jam_end(&jam);
}

TEST(stopping_clears_the_crowd_of_what_no_task_waits_for)
{
	struct driven driven = shard_with_room(1);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct probe *plug, *crowd[2];

	plug = begin_file(&driven, fd);
	for (unsigned i = 0; i < 2; i++)
		crowd[i] = begin_file(&driven, fd);
	hand_turn(&driven);
	crowd_is(&driven, 1, 2);
	bell_ring(fd);
	CHECK_EQ(xyl_runtime_stop(driven.rt, 5 * XYL_SEC), 0);
	is_settled(plug, POLLIN);
	is_settled(crowd[0], -ECANCELED);
	is_settled(crowd[1], -ECANCELED);
	CHECK_EQ(drive_stats(&driven).ops_submitted, 1);
	close(fd);
	drive_end(&driven);
}

/* ---- real files ------------------------------------------------------------------------------ */

#define BLOCK 512

struct write_block {
	struct xyl_frame frame;
	struct xyl_io *io;
	unsigned number;
	char *buf;
	ssize_t n;
};

static xyl_step write_block(void *frame)
{
	struct write_block *self = frame;

	XYL_BEGIN(self)
	self->buf = xyl_alloc_bytes(BLOCK);
	memset(self->buf, 'a' + (int)(self->number % 26), BLOCK);
	XYL_AWAIT(self->n, xyl_write_at(self->io, self->buf, BLOCK, BLOCK * (off_t)self->number));
	CHECK(xyli_here->files <= ROOM);
	XYL_END(self->n);
}

TEST(a_crowd_of_writes_to_a_file_all_arrive)
{
	struct driven driven = shard_with_room(ROOM);
	struct folder folder = folder_make();
	int fd = open(folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct xyl_io *io = raw_handle(fd);
	struct xyl_task *tasks[MANY];
	char bytes[BLOCK];

	for (unsigned i = 0; i < MANY; i++)
		tasks[i] = DRIVE_SPAWN(&driven, write_block, .io = io, .number = i);
	hand_turn(&driven);
	CHECK(length(&shard_at(&driven)->crowd) >= MANY - ROOM - 1);
	for (unsigned i = 0; i < MANY; i++) {
		CHECK_EQ(hand_join(&driven, tasks[i]), BLOCK);
		CHECK_EQ(pread(fd, bytes, BLOCK, BLOCK * (off_t)i), BLOCK);
		CHECK_EQ(bytes[0], 'a' + i % 26);
		CHECK_EQ(memcmp(bytes, bytes + 1, BLOCK - 1), 0);
	}
	HAND_CLOSE(&driven, io);
	folder_remove(&folder);
	drive_end(&driven);
}
