/* SPDX-License-Identifier: MIT */
/*
 * One byte too many.
 *
 * check: written to past its end
 * asan: use-after-poison
 * memcheck: Invalid write
 */
#include <xylem/xylem.h>

struct user {
	struct xyl_frame frame;
	volatile char *text;
	int i;
};

static xyl_step user(void *frame)
{
	struct user *self = frame;
	ssize_t r;

	XYL_BEGIN(self)
	self->text = xyl_alloc_bytes(20);
	for (self->i = 0; self->i <= 20; self->i++)
		self->text[self->i] = 'x';
	self->text = NULL;
	XYL_AWAIT(r, xyl_sleep(XYL_MS));
	XYL_AWAIT(r, xyl_sleep(XYL_MS));
	XYL_END(r);
}

int main(void)
{
	return (int)xyl_run(user);
}
