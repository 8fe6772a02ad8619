/* gcc: duplicate case value
 * clang: duplicate case value */
#include <xylem/xylem.h>

struct fn {
	struct xyl_frame frame;
	ssize_t n;
};

xyl_step fn(void *frame)
{
	struct fn *self = frame;

	XYL_BEGIN(self)
	/* clang-format off */
	XYL_AWAIT(self->n, xyl_yield()); XYL_AWAIT(self->n, xyl_yield());
	XYL_END(0);
}
