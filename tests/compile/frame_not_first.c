/* gcc: struct xyl_frame must be the first member
 * clang: struct xyl_frame must be the first member */
#include <xylem/xylem.h>

struct fn {
	ssize_t n;
	struct xyl_frame frame;
};

xyl_step fn(void *frame)
{
	struct fn *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_yield());
	XYL_END(0);
}
