/* gcc: 'struct fn' has no member named 'm'
 * clang: field designator 'm' does not refer to any field */
#include <xylem/xylem.h>

struct fn {
	struct xyl_frame frame;
	ssize_t n;
};

xyl_async_fn fn;

void spawn_it(void)
{
	xyl_spawn(fn, .m = 1);
}
