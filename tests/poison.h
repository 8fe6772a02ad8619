/* SPDX-License-Identifier: MIT */
/* poison.h - how a ring fails, and tasks that wait for one thing each. */
#ifndef TEST_POISON_H
#define TEST_POISON_H

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <liburing.h>

#include "rt/ring.h"
#include "rt/shard.h"
#include "tests/asyncs.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

/* ---- how a ring fails ----------------------------------------------------------------------- */

/* Another file under its descriptor: EOPNOTSUPP.  By the thread that runs the shard. */
__attribute__((unused)) static void ring_break(struct xyli_shard *shard)
{
	struct io_uring *uring = &shard->ring->uring;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	io_uring_unregister_ring_fd(uring); /* its second one, if it has one */
	CHECK_EQ(dup3(fd, uring->ring_fd, O_CLOEXEC), uring->ring_fd);
	close(fd);
}

/* The system call gives this error from now on, on this thread; false: not to be had. */
__attribute__((unused)) static bool ring_refuse(int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* ---- tasks that wait ------------------------------------------------------------------------- */

struct dial {
	struct xyl_frame frame;
	const char *path;
	struct xyl_io *io;
	ssize_t n;
};

__attribute__((unused)) static xyl_step dial(void *frame)
{
	struct dial *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_unix_connect(&self->io, self->path));
	XYL_END(self->n);
}

struct write_file {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

__attribute__((unused)) static xyl_step write_file(void *frame)
{
	struct write_file *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_write_at(self->io, "x", 1, 0));
	XYL_END(self->n);
}

struct read_file {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	ssize_t n;
};

__attribute__((unused)) static xyl_step read_file(void *frame)
{
	struct read_file *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_at(self->io, self->buf, 4096, 0));
	XYL_END(self->n);
}

struct open_file {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

__attribute__((unused)) static xyl_step open_file(void *frame)
{
	struct open_file *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_open(&self->io, "/dev/null", O_RDONLY, 0));
	XYL_END(self->n);
}

#endif
