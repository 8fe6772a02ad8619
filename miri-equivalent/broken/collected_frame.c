/* SPDX-License-Identifier: MIT */
/*
 * The address of a frame outlives the frame, in memory that the collector does not scan.
 *
 * check: exit code 139
 * asan: use-after-poison
 * memcheck: Invalid read
 */
#include <stdlib.h>
#include <xylem/xylem.h>

struct child {
	struct xyl_frame frame;
	const char *word;
	struct child **ret_self;
};

static xyl_step child(void *frame)
{
	struct child *self = frame;
	ssize_t r;

	XYL_BEGIN(self)
	self->word = "alive";
	*self->ret_self = self;
	XYL_AWAIT(r, xyl_sleep(XYL_MS));
	XYL_END(r);
}

struct parent {
	struct xyl_frame frame;
	struct child **kept;
	int turns;
};

static xyl_step parent(void *frame)
{
	struct parent *self = frame;
	ssize_t r;

	XYL_BEGIN(self)
	self->kept = malloc(sizeof(*self->kept));
	XYL_AWAIT(r, xyl_call(child, .ret_self = self->kept));
	for (self->turns = 0; self->turns < 3; self->turns++)
		XYL_AWAIT(r, xyl_sleep(XYL_MS));
	r = *(*self->kept)->word != 'a';
	free(self->kept);
	XYL_END(r);
}

int main(void)
{
	return (int)xyl_run(parent);
}
