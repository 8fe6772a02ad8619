/* gcc: 'i' may be used uninitialized
 * clang: variable 'i' is used uninitialized */
#include <xylem/xylem.h>

struct fn {
	struct xyl_frame frame;
	ssize_t n;
};

xyl_step fn(void *frame)
{
	struct fn *self = frame;

	XYL_BEGIN(self)
	for (int i = 0; i < 3; i++)
		XYL_AWAIT(self->n, xyl_yield());
	XYL_END(0);
}
