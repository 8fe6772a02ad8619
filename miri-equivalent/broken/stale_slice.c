/* SPDX-License-Identifier: MIT */
/*
 * Bytes that xyl_read_some gave are looked at after they were given back.
 *
 * check: exit code 1$
 * asan: use-after-poison
 * memcheck: Invalid read
 */
#include <sys/socket.h>
#include <unistd.h>
#include <xylem/xylem.h>

struct user {
	struct xyl_frame frame;
	struct xyl_io *io;
	int ends[2];
	char *bytes;
	bool same;
};

static xyl_step user(void *frame)
{
	struct user *self = frame;
	ssize_t r;

	XYL_BEGIN(self)
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, self->ends) < 0 || write(self->ends[1], "x", 1) < 1)
		XYL_RETURN(77);
	self->io = xyl_io_from_fd(self->ends[0]);
	XYL_AWAIT(r, xyl_read_some(self->io, &self->bytes));
	xyl_read_done(self->bytes);
	self->same = *self->bytes == 'x';
	XYL_AWAIT(r, xyl_close(self->io));
	XYL_END(r < 0 || !self->same);
}

int main(void)
{
	return (int)xyl_run(user);
}
