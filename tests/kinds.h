/* SPDX-License-Identifier: MIT */
/* kinds.h - every kind of operation: how one is started, completed, and what comes of it. */
#ifndef TEST_KINDS_H
#define TEST_KINDS_H

#include <sys/eventfd.h>

#include "tests/hand.h"
#include "tests/raw.h"

enum { LEN = 512 }; /* what O_DIRECT can do as well */

struct subject {
	const struct kind *kind;
	struct xyl_io *io; /* NULL: it makes its own */
	struct xyl_io *got, *to;
	int peer, queued; /* descriptors */
	struct folder folder;
	char *buf;
	bool by_itself, bounded;
	ssize_t result, next;
	int resumed;
};

struct kind {
	const char *name;
	void (*open)(struct subject *on);
	xyl_pending (*start)(struct subject *on);
	void (*complete)(struct subject *on); /* NULL: it does so by itself */
	ssize_t result;			      /* when it completes */
	bool lane;			      /* its like queue behind it */
	bool stubborn;			      /* the kernel cannot cancel it */
	bool buffer;			      /* it has one of the caller's */
	bool leaves;			      /* the kernel's work is for others too */
	bool is_call;			      /* it cleans up before it returns */
	bool by_number;			      /* closing the handle is nothing to it */
	int adopted, closed_late;	      /* when its result comes late */
};

/* ---- the kinds ----------------------------------------------------------------------- */

static void socket_open(struct subject *on)
{
	on->io = raw_socketpair(&on->peer);
}

static void full_socket_open(struct subject *on)
{
	socket_open(on);
	raw_fill(xyl_io_fd(on->io));
}

static void pipe_reader_open(struct subject *on)
{
	on->io = raw_pipe_reader(&on->peer);
}

static void pipes_open(struct subject *on)
{
	pipe_reader_open(on);
	on->to = raw_pipe_writer(&on->queued);
}

static void full_pipe_open(struct subject *on)
{
	on->io = raw_pipe_writer(&on->peer);
	raw_fill(xyl_io_fd(on->io));
}

static void listener_open(struct subject *on)
{
	CHECK_EQ(xyl_unix_listen(&on->io, on->folder.path), 0);
}

static void full_listener_open(struct subject *on)
{
	on->peer = raw_unix_full(on->folder.path, &on->queued);
}

static void fifo_open(struct subject *on)
{
	CHECK_EQ(mkfifo(on->folder.path, 0600), 0);
}

static void counter_open(struct subject *on)
{
	on->peer = eventfd(0, EFD_CLOEXEC);
	CHECK(on->peer >= 0);
}

static void file_open(struct subject *on)
{
	static char bytes[LEN] __attribute__((aligned(4096)));
	int fd = raw_direct_file(on->folder.path, bytes, sizeof(bytes));

	on->io = raw_handle(fd >= 0 ? fd : open(on->folder.path, O_RDWR | O_CLOEXEC));
}

static xyl_pending read_start(struct subject *on)
{
	return xyl_read(on->io, on->buf, LEN);
}

static xyl_pending read_full_start(struct subject *on)
{
	return xyl_read_full(on->io, on->buf, LEN);
}

static xyl_pending write_start(struct subject *on)
{
	return xyl_write(on->io, on->buf, LEN);
}

static xyl_pending write_all_start(struct subject *on)
{
	return xyl_write_all(on->io, on->buf, LEN);
}

static xyl_pending accept_start(struct subject *on)
{
	return xyl_accept(on->io, &on->got);
}

static xyl_pending connect_start(struct subject *on)
{
	return xyl_unix_connect(&on->got, on->folder.path);
}

static xyl_pending open_start(struct subject *on)
{
	/* Without O_CREAT the kernel first tries not to wait, and a FIFO then opens at once. */
	return xyl_open(&on->got, on->folder.path, O_RDONLY | O_CREAT, 0600);
}

static xyl_pending poll_start(struct subject *on)
{
	return xyl_poll(on->peer, POLLIN);
}

static xyl_pending read_at_start(struct subject *on)
{
	return xyl_read_at(on->io, on->buf, LEN, 0);
}

static xyl_pending write_at_start(struct subject *on)
{
	return xyl_write_at(on->io, on->buf, LEN, 0);
}

static xyl_pending fsync_start(struct subject *on)
{
	return xyl_fsync(on->io);
}

static void prep_read(struct io_uring_sqe *sqe, void *arg)
{
	struct subject *on = arg;

	io_uring_prep_read(sqe, xyl_io_fd(on->io), on->buf, LEN, 0);
}

static void prep_poll(struct io_uring_sqe *sqe, void *arg)
{
	struct subject *on = arg;

	io_uring_prep_poll_add(sqe, on->peer, POLLIN);
}

static xyl_pending submit_read_start(struct subject *on)
{
	return xyl_submit(prep_read, on, (void *[]){ on, on->buf }, 2);
}

static xyl_pending submit_poll_start(struct subject *on)
{
	return xyl_submit(prep_poll, on, (void *[]){ on }, 1);
}

static void prep_nop(struct io_uring_sqe *sqe, void *arg)
{
	(void)arg;
	io_uring_prep_nop(sqe);
}

static xyl_pending splice_start(struct subject *on)
{
	return xyl_splice(on->io, on->to, LEN);
}

static xyl_pending submit_linked_start(struct subject *on)
{
	return xyl_submit_linked(
		(struct xyl_submission[]){ { prep_read, on, (void *[]){ on, on->buf }, 2 },
					   { prep_nop, NULL, NULL, 0 } },
		2, NULL);
}

static void bytes_send(struct subject *on)
{
	static const char bytes[LEN];

	CHECK_EQ(write(on->peer, bytes, LEN), LEN);
}

static void room_make(struct subject *on)
{
	raw_drain(on->peer);
}

static void client_connect(struct subject *on)
{
	close(raw_unix_connect(on->folder.path));
}

static void client_accept(struct subject *on)
{
	int fd = accept4(on->peer, NULL, NULL, SOCK_CLOEXEC);

	CHECK(fd >= 0);
	close(fd);
}

static void writer_open(struct subject *on)
{
	on->peer = raw_fifo_writer(on->folder.path);
}

static void counter_count(struct subject *on)
{
	const uint64_t one = 1;

	CHECK_EQ(write(on->peer, &one, sizeof(one)), sizeof(one));
}

static const struct kind kinds[] = {
	{ .name = "read of a socket",
	  .open = socket_open,
	  .start = read_start,
	  .complete = bytes_send,
	  .result = LEN,
	  .lane = true,
	  .buffer = true,
	  .adopted = 1 },
	{ .name = "read of a pipe",
	  .open = pipe_reader_open,
	  .start = read_start,
	  .complete = bytes_send,
	  .result = LEN,
	  .lane = true,
	  .buffer = true,
	  .adopted = 1 },
	{ .name = "read_full",
	  .open = socket_open,
	  .start = read_full_start,
	  .complete = bytes_send,
	  .result = LEN,
	  .lane = true,
	  .buffer = true,
	  .adopted = 1 },
	{ .name = "write to a socket",
	  .open = full_socket_open,
	  .start = write_start,
	  .complete = room_make,
	  .result = LEN,
	  .lane = true,
	  .buffer = true },
	{ .name = "write to a pipe",
	  .open = full_pipe_open,
	  .start = write_start,
	  .complete = room_make,
	  .result = LEN,
	  .lane = true,
	  .buffer = true },
	{ .name = "write_all",
	  .open = full_socket_open,
	  .start = write_all_start,
	  .complete = room_make,
	  .result = LEN,
	  .lane = true,
	  .buffer = true },
	{ .name = "accept",
	  .open = listener_open,
	  .start = accept_start,
	  .complete = client_connect,
	  .lane = true,
	  .leaves = true,
	  .adopted = 1 },
	{ .name = "connect",
	  .open = full_listener_open,
	  .start = connect_start,
	  .complete = client_accept,
	  .is_call = true,
	  .adopted = 1 },
	{ .name = "open",
	  .open = fifo_open,
	  .start = open_start,
	  .complete = writer_open,
	  .adopted = 1,
	  .closed_late = 1 },
	{ .name = "poll",
	  .open = counter_open,
	  .start = poll_start,
	  .complete = counter_count,
	  .result = POLLIN },
	{ .name = "read_at",
	  .open = file_open,
	  .start = read_at_start,
	  .result = LEN,
	  .stubborn = true,
	  .buffer = true },
	{ .name = "write_at",
	  .open = file_open,
	  .start = write_at_start,
	  .result = LEN,
	  .stubborn = true,
	  .buffer = true },
	{ .name = "fsync", .open = file_open, .start = fsync_start, .stubborn = true },
	{ .name = "splice",
	  .open = pipes_open,
	  .start = splice_start,
	  .complete = bytes_send,
	  .result = LEN,
	  .lane = true,
	  .is_call = true,
	  .adopted = 1 },
	{ .name = "submitted read",
	  .open = pipe_reader_open,
	  .start = submit_read_start,
	  .complete = bytes_send,
	  .result = LEN,
	  .buffer = true },
	{ .name = "submitted read of a file",
	  .open = file_open,
	  .start = submit_read_start,
	  .result = LEN,
	  .stubborn = true,
	  .buffer = true,
	  .by_number = true },
	{ .name = "submitted and linked",
	  .open = pipe_reader_open,
	  .start = submit_linked_start,
	  .complete = bytes_send,
	  .buffer = true },
	{ .name = "submitted poll",
	  .open = counter_open,
	  .start = submit_poll_start,
	  .complete = counter_count,
	  .result = POLLIN },
};

#endif
