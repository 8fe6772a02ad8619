/* gcc: incompatible types when returning type 'int' but 'xyl_step'
 * clang: returning 'int' from a function with incompatible result type 'xyl_step' */
#include <xylem/xylem.h>

struct fn {
	struct xyl_frame frame;
	ssize_t n;
};

xyl_step fn(void *frame)
{
	struct fn *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_yield());
	if (self->n < 0)
		return 0;
	XYL_END(0);
}
