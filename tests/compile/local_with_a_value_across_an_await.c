/* gcc: switch jumps over variable init
 * clang: variable 'before' is used uninitialized */
#include <xylem/xylem.h>

struct fn {
	struct xyl_frame frame;
	ssize_t n;
};

xyl_step fn(void *frame)
{
	struct fn *self = frame;

	XYL_BEGIN(self)
	ssize_t before = self->n;
	XYL_AWAIT(self->n, xyl_yield());
	XYL_RETURN(before);
	XYL_END(0);
}
