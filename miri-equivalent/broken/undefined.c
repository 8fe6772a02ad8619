/* SPDX-License-Identifier: MIT */
/*
 * An argument of a frame overflows.
 *
 * ubsan: signed integer overflow
 */
#include <limits.h>
#include <xylem/xylem.h>

struct add {
	struct xyl_frame frame;
	int a, b;
};

static xyl_step add(void *frame)
{
	struct add *self = frame;

	XYL_BEGIN(self)
	self->a += self->b;
	XYL_END(self->a > 0);
}

int main(void)
{
	return (int)xyl_run(add, .a = INT_MAX, .b = 1);
}
