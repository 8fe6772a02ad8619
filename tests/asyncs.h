/* SPDX-License-Identifier: MIT */
/* asyncs.h - async functions that do one thing, for tests that need somebody to do it. */
#ifndef TEST_ASYNCS_H
#define TEST_ASYNCS_H

#include <fcntl.h>
#include <poll.h>

#include "tests/harness.h"
#include "xylem/xylem.h"

#define LONG_NS (3600 * XYL_SEC) /* longer than any test */

/* Return a value at once. */
struct give {
	struct xyl_frame frame;
	ssize_t value;
};

__attribute__((unused)) static xyl_step give(void *frame)
{
	struct give *self = frame;

	XYL_BEGIN(self)
	XYL_END(self->value);
}

/* The value of a future. */
struct get {
	struct xyl_frame frame;
	struct xyl_future *future;
	ssize_t n;
};

__attribute__((unused)) static xyl_step get(void *frame)
{
	struct get *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	XYL_END(self->n);
}

/* What a task has come to. */
struct join_task {
	struct xyl_frame frame;
	struct xyl_task *task;
	ssize_t n;
};

__attribute__((unused)) static xyl_step join_task(void *frame)
{
	struct join_task *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_join(self->task));
	XYL_END(self->n);
}

/* Sleep for so long; 0, or why not. */
struct sleep_for {
	struct xyl_frame frame;
	int64_t ns;
	ssize_t n;
};

__attribute__((unused)) static xyl_step sleep_for(void *frame)
{
	struct sleep_for *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(self->ns));
	XYL_END(self->n);
}

/* Wait until a descriptor is readable. */
struct watch {
	struct xyl_frame frame;
	int fd;
	ssize_t n;
};

__attribute__((unused)) static xyl_step watch(void *frame)
{
	struct watch *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_poll(self->fd, POLLIN));
	XYL_END(self->n);
}

/* Wait for a writer of a FIFO.  Without O_CREAT the kernel first tries not to wait, and a FIFO
 * then opens at once. */
struct open_fifo {
	struct xyl_frame frame;
	const char *path;
	struct xyl_io *io;
	ssize_t n;
};

__attribute__((unused)) static xyl_step open_fifo(void *frame)
{
	struct open_fifo *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_open(&self->io, self->path, O_RDONLY | O_CREAT, 0600));
	CHECK((self->n == 0) == (self->io != NULL));
	XYL_END(self->n);
}

#endif
