/* SPDX-License-Identifier: MIT */
/*
 * What is sent was never written: somebody's old data leaves the process.
 *
 * memcheck: Uninitialised byte
 */
#include <unistd.h>
#include <xylem/xylem.h>

static int ends[2];

struct user {
	struct xyl_frame frame;
	struct xyl_io *out;
	ssize_t n;
};

static xyl_step user(void *frame)
{
	struct user *self = frame;
	ssize_t r;

	XYL_BEGIN(self)
	self->out = xyl_io_from_fd(ends[1]);
	XYL_AWAIT(self->n, xyl_write(self->out, xyl_alloc_bytes(16), 16));
	XYL_AWAIT(r, xyl_close(self->out));
	XYL_END(self->n != 16 || r < 0);
}

int main(void)
{
	if (pipe(ends) < 0)
		return 77;
	return (int)xyl_run(user);
}
