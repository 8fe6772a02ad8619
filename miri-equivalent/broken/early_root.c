/* SPDX-License-Identifier: MIT */
/*
 * A root is dropped while malloc memory still needs its object.
 *
 * check: exit code 139
 * asan: use-after-poison
 * memcheck: Invalid read
 */
#include <stdlib.h>
#include <xylem/xylem.h>

struct message {
	const char *text;
};

struct user {
	struct xyl_frame frame;
	struct message **outbox;
	xyl_root root;
};

static xyl_step user(void *frame)
{
	struct user *self = frame;
	ssize_t r;

	XYL_BEGIN(self)
	self->outbox = malloc(sizeof(*self->outbox));
	*self->outbox = xyl_new(struct message);
	(*self->outbox)->text = "hello";
	self->root = xyl_root_add(*self->outbox);
	XYL_AWAIT(r, xyl_sleep(XYL_MS));
	xyl_root_drop(&self->root);
	XYL_AWAIT(r, xyl_sleep(XYL_MS));
	XYL_AWAIT(r, xyl_sleep(XYL_MS));
	r = *(*self->outbox)->text != 'h';
	free(self->outbox);
	XYL_END(r);
}

int main(void)
{
	return (int)xyl_run(user);
}
