/* gcc: ignoring return value of 'xyl_sleep'
 * clang: ignoring return value of function declared with 'warn_unused_result' */
#include <xylem/xylem.h>

struct fn {
	struct xyl_frame frame;
};

xyl_step fn(void *frame)
{
	struct fn *self = frame;

	XYL_BEGIN(self)
	xyl_sleep(XYL_SEC);
	XYL_END(0);
}
