/* SPDX-License-Identifier: MIT */
/* asyncs.h - async functions that do one thing, for tests that need somebody to do it. */
#ifndef TEST_ASYNCS_H
#define TEST_ASYNCS_H

#include <poll.h>

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

#endif
