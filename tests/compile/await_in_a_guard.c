/* gcc: await inside a scoped root or guard
 * clang: await inside a scoped root or guard */
#include <xylem/xylem.h>

struct fn {
	struct xyl_frame frame;
	ssize_t n;
};

xyl_step fn(void *frame)
{
	struct fn *self = frame;

	XYL_BEGIN(self)
	{
		XYL_FIRE_AFTER(token, xyl_cancel_new(NULL));
		XYL_AWAIT(self->n, xyl_yield());
	}
	XYL_END(0);
}
