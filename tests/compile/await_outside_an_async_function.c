/* gcc: 'xyli_self' undeclared
 * clang: use of undeclared identifier 'xyli_self' */
#include <xylem/xylem.h>

ssize_t nap(void)
{
	ssize_t n;

	XYL_AWAIT(n, xyl_sleep(XYL_SEC));
	return n;
}
