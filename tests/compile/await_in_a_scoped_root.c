/* gcc: await inside a scoped root
 * clang: await inside a scoped root */
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
		XYL_ROOTED(root, xyl_alloc(64));
		XYL_AWAIT(self->n, xyl_yield());
	}
	XYL_END(0);
}
