/* SPDX-License-Identifier: MIT */
/*
 * A read goes to the kernel behind the library's back, so that nothing pins its buffer,
 * and completes when the buffer is dead.  No tool watches the kernel: the check build
 * finds its traces.
 *
 * check: written to after its death
 * asan: written to after its death
 * memcheck: written to after its death
 */
#include <liburing.h>
#include <unistd.h>
#include <xylem/xylem.h>

static struct io_uring ring;
static int ends[2];

struct user {
	struct xyl_frame frame;
	int turns;
};

static void read_start(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	io_uring_prep_read(sqe, ends[0], xyl_alloc_bytes(64), 64, 0);
	io_uring_submit(&ring);
}

static xyl_step user(void *frame)
{
	struct user *self = frame;
	struct io_uring_cqe *cqe;
	ssize_t r;

	XYL_BEGIN(self)
	read_start();
	for (self->turns = 0; self->turns < 3; self->turns++)
		XYL_AWAIT(r, xyl_sleep(XYL_MS));
	r = write(ends[1], "late", 4);
	while (io_uring_peek_cqe(&ring, &cqe))
		io_uring_get_events(&ring);
	XYL_END(r != 4);
}

int main(void)
{
	if (pipe(ends) < 0 || io_uring_queue_init(4, &ring, 0) < 0)
		return 77;
	return (int)xyl_run(user);
}
