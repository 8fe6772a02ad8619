/* SPDX-License-Identifier: MIT */
/*
 * Handles: made, bound to a shard, closed.
 *
 * Design notes.  Closing: mark, shut down a socket (its peer learns at once), wake those
 * who queue, cancel what is under way, wait for the last CQE, close(2).  So a number is
 * never reused under an operation.
 *
 * A shard lists its open handles to close them when it stops.  The list must not keep
 * them alive: its links are complemented, and each handle's finalizer takes it off.  A
 * link never dangles, since a handle's memory lasts until its finalizer has run.
 */
#include "io/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/birth.h"

#define AGAIN_MAX 16 /* tries; then EAGAIN is the result */

/* ---- the weak list of open handles ------------------------------------------------ */

static uintptr_t hide(struct xyl_io *io)
{
	return io ? ~(uintptr_t)io : 0;
}

static struct xyl_io *reveal(uintptr_t hidden)
{
	return hidden ? (struct xyl_io *)~hidden : NULL;
}

static void list_add(struct xyl_io *io)
{
	struct xyli_shard *shard = io->shard;
	struct xyl_io *first = reveal(shard->first_handle);

	io->next = shard->first_handle;
	io->prev = 0;
	if (first)
		first->prev = hide(io);
	shard->first_handle = hide(io);
	xyli_count(&shard->stats.handles_open, 1);
}

static void list_remove(struct xyl_io *io)
{
	struct xyl_io *next = reveal(io->next), *prev = reveal(io->prev);

	if (prev)
		prev->next = io->next;
	else
		io->shard->first_handle = io->next;
	if (next)
		next->prev = io->prev;
	io->next = io->prev = 0;
	xyli_count(&io->shard->stats.handles_open, (uint64_t)-1);
}

/* ---- closing ---------------------------------------------------------------------- */

static int fd_close(int fd)
{
	if (close(fd) < 0 && errno != EINTR) /* after EINTR it is closed all the same */
		return -errno;
	return 0;
}

static void closers_wake(struct xyl_io *io, int result)
{
	while (io->closers.first) {
		struct xyli_wait *closer = io->closers.first;

		xyli_waits_remove(&io->closers, closer);
		xyli_wake(closer, result);
	}
}

/* Nobody holds it any more: give the number back. */
static void io_close_now(struct xyl_io *io)
{
	io->close_result = fd_close(io->fd);
	io->fd = -1;
	if (io->shard)
		list_remove(io);
	closers_wake(io, io->close_result);
}

void xyli_io_close_late(struct xyli_shard *shard, int fd)
{
	close(fd);
	xyli_count(&shard->stats.closed_late, 1);
}

static void leftovers_drop(struct xyl_io *io)
{
	xyli_acceptor_empty(io);
	xyli_receiver_empty(io);
	io->pushback = NULL;
	io->pushback_len = 0;
}

static void op_cancel_if_its(uint32_t slot, void *obj, void *arg)
{
	struct xyli_op *op = obj;

	(void)slot;
	if (op->handle == arg)
		xyli_op_cancel(op);
}

/* The next that is still there when this one is cancelled. */
static struct xyli_op *op_after(const struct xyli_op *op)
{
	struct xyli_op *next = op->next;

	for (unsigned links = op->links; links > 0 && next; links--)
		next = next->next;
	return next;
}

static void ops_cancel(struct xyl_io *io, struct xyli_op *op)
{
	struct xyli_op *next;

	for (; op; op = next) {
		next = op->handle == io ? op_after(op) : op->next;
		op_cancel_if_its(0, op, io);
	}
}

/* Positional operations know no lane; the shard knows them all. */
static void positional_cancel(struct xyl_io *io)
{
	ops_cancel(io, io->shard->backlog.first);
	ops_cancel(io, io->shard->crowd.first);
	xyli_table_visit(&io->shard->ops, op_cancel_if_its, io);
}

static void io_close_begin(struct xyl_io *io)
{
	io->closing = true;
	io->held++; /* not to be closed from within */
	xyli_lane_shut(&io->in);
	xyli_lane_shut(&io->out);
	xyli_receiver_shut(io);
	xyli_splices_shut(io);
	xyli_acceptor_shut(io);
	if (io->positional)
		positional_cancel(io);
	if (io->kind == XYLI_IO_SOCKET && io->held > 1)
		shutdown(io->fd, SHUT_RDWR);
	leftovers_drop(io);
	xyli_io_release(io);
}

static void close_wait_stay(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	(void)wait;
	(void)why; /* closing releases: it runs to its end */
}

static void close_wait_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyl_io *io = from->on;

	xyli_waits_replace(&io->closers, from, to);
}

static const struct xyli_wait_kind close_wait = { .name = "close",
						  .cancel = close_wait_stay,
						  .move = close_wait_move };

xyl_pending xyl_close(struct xyl_io *io)
{
	struct xyl_task *task = xyli_task_calling("xyl_close");
	int r = xyli_io_use(io, task->wait.shard);

	if (r < 0 && r != XYLI_LOST && !(io->closing && io->fd >= 0))
		return xyli_done(task, r);
	if (!io->closing)
		io_close_begin(io);
	if (io->fd < 0)
		return xyli_done(task, io->close_result);
	if (io->shard->broken) /* what holds it will never let go */
		return xyli_done(task, XYLI_LOST);
	xyli_wait_begin(&task->wait, &close_wait, io);
	xyli_waits_append(&io->closers, &task->wait);
	return (xyl_pending){ 1 };
}

/* ---- closing what the program forgot ------------------------------------------------ */

/* No operation holds it, or it would not have been collected.  A stop closes what is open:
 * it is no news that a task which it aborted had left something. */
static void io_close_dropped(struct xyl_io *io)
{
	if (io->fd < 0)
		return;
	if (!io->shard || !io->shard->stopping)
		xyli_io_mourn(io);
	if (io->shard)
		xyli_count(&io->shard->stats.handles_dropped, 1);
	leftovers_drop(io);
	io_close_now(io);
}

static void dropped_deliver(struct xyli_post *post)
{
	io_close_dropped((struct xyl_io *)((char *)post - offsetof(struct xyl_io, close_post)));
}

/* Finalizers run on whichever shard comes first; the handle belongs to its own. */
static void io_collected(void *obj, void *arg)
{
	struct xyl_io *io = obj;

	(void)arg;
	if (io->fd < 0)
		return;
	if (!io->shard || io->shard == xyli_here) {
		io_close_dropped(io);
		return;
	}
	io->close_post.deliver = dropped_deliver;
	xyli_inbox_post(&io->shard->inbox, &io->close_post);
}

/* For a shard that stops: close all, and say how many are open still. */
static size_t handles_close(struct xyli_shard *shard)
{
	struct xyl_io *io = reveal(shard->first_handle);

	while (io) {
		struct xyl_io *next = reveal(io->next);

		if (!io->closing) {
			xyli_count(&shard->stats.handles_closed_by_stop, 1);
			io_close_begin(io);
		}
		io = next;
	}
	return shard->stats.handles_open;
}

/* The ring has failed: whoever waits for a turn, a connection or a close is told.  Those
 * who wait for an operation have been. */
static void handles_lose(struct xyli_shard *shard)
{
	for (struct xyl_io *io = reveal(shard->first_handle); io; io = reveal(io->next)) {
		xyli_lane_lose(&io->in);
		xyli_lane_lose(&io->out);
		xyli_acceptor_lose(io);
		closers_wake(io, XYLI_LOST);
	}
}

/* ---- making and using one ------------------------------------------------------------ */

struct xyl_io *xyli_io_new(int fd, enum xyli_io_kind kind)
{
	struct xyl_io *io = xyl_new(struct xyl_io);

	if (!io || xyl_on_collect(io, io_collected, NULL) < 0)
		return NULL;
	io->fd = fd;
	io->kind = (uint8_t)kind;
	xyli_io_born(io, NULL);
	return io;
}

static enum xyli_io_kind kind_of(mode_t mode)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return XYLI_IO_FILE;
	if (S_ISFIFO(mode))
		return XYLI_IO_PIPE;
	return S_ISSOCK(mode) ? XYLI_IO_SOCKET : XYLI_IO_OTHER;
}

/* io_uring gives EAGAIN on a non-blocking descriptor instead of waiting. */
static int fd_make_blocking(int fd, bool *ret_direct)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	*ret_direct = flags & O_DIRECT;
	if (flags & O_NONBLOCK && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

bool xyli_io_failed_for_now(struct xyli_op *op, int res)
{
	bool direct;

	if (res != -EAGAIN) {
		op->again = 0;
		return res == -EINTR;
	}
	fd_make_blocking(op->fd, &direct);
	return op->again++ < AGAIN_MAX;
}

struct xyl_io *xyl_io_from_fd(int fd)
{
	struct stat st;
	struct xyl_io *io;
	bool direct = false;

	if (fd_make_blocking(fd, &direct) < 0 || fstat(fd, &st) < 0)
		return NULL;
	io = xyli_io_new(fd, kind_of(st.st_mode));
	if (io)
		io->reads_nowait = io->kind == XYLI_IO_FILE && !direct;
	return io;
}

int xyl_io_fd(const struct xyl_io *io)
{
	return io->fd >= 0 ? io->fd : -EBADF;
}

static void io_adopt(struct xyl_io *io, struct xyli_shard *shard)
{
	io->shard = shard;
	shard->close_handles = handles_close;
	shard->lose_handles = handles_lose;
	list_add(io);
}

int xyli_io_use(struct xyl_io *io, struct xyli_shard *shard)
{
	if (io->fd < 0 || io->closing)
		return -EBADF;
	if (!io->shard)
		io_adopt(io, shard);
	if (__builtin_expect(io->shard != shard, 0)) {
		xyli_count(&shard->stats.foreign_submits, 1);
		return -EXDEV;
	}
	return __builtin_expect(shard->broken, 0) ? XYLI_LOST : 0;
}

void xyli_io_hold(struct xyl_io *io)
{
	io->held++;
}

void xyli_io_release(struct xyl_io *io)
{
	if (--io->held == 0 && io->closing && io->fd >= 0)
		io_close_now(io);
}
