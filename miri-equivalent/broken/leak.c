/* SPDX-License-Identifier: MIT */
/*
 * Malloc memory that a collected object owns, and no finalizer that frees it.
 *
 * lsan: detected memory leaks
 * memcheck: definitely lost
 */
#include <stdlib.h>
#include <xylem/xylem.h>

struct owner {
	char *text;
};

struct user {
	struct xyl_frame frame;
	struct owner *owner;
};

static xyl_step user(void *frame)
{
	struct user *self = frame;
	ssize_t r;

	XYL_BEGIN(self)
	self->owner = xyl_new(struct owner);
	self->owner->text = malloc(100);
	XYL_AWAIT(r, xyl_sleep(XYL_MS));
	self->owner = NULL;
	XYL_AWAIT(r, xyl_sleep(XYL_MS));
	XYL_AWAIT(r, xyl_sleep(XYL_MS));
	XYL_END(r);
}

int main(void)
{
	return (int)xyl_run(user);
}
