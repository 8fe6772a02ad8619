/* A user's program: it runs one task through the installed library. */
#include <xylem/xylem.h>

struct app {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step app(void *frame)
{
	struct app *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
	XYL_END(self->n);
}

int main(void)
{
	return xyl_run(app) == 0 ? 0 : 1;
}
