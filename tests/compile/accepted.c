/* The control: each construct that the refused programs misuse, used as it should
 * be.  If this one is refused, their refusals say nothing. */
#include <xylem/xylem.h>

struct child {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step child(void *frame)
{
	struct child *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(XYL_MS));
	XYL_END(self->n);
}

struct parent {
	struct xyl_frame frame;
	struct xyl_task *task;
	struct xyl_future *later;
	ssize_t n;
};

static xyl_step parent(void *frame)
{
	struct parent *self = frame;

	XYL_BEGIN(self)
	{
		XYL_ROOTED(root, xyl_alloc(64));
		XYL_FIRE_AFTER(token, xyl_cancel_new(NULL));
	}
	self->task = xyl_spawn(child, .n = 1);
	if (!self->task)
		XYL_RETURN(-1);
	XYL_AWAIT(self->n, xyl_join(self->task));
	XYL_AWAIT(self->n, xyl_within(xyl_call(child, .n = 2), XYL_SEC));
	self->later = xyl_later(xyl_yield());
	while (self->n >= 0) {
		{
			ssize_t local = self->n;

			if (local > 9)
				break;
		}
		XYL_AWAIT(self->n, xyl_call(child));
	}
	XYL_END(0);
}

int main(void)
{
	return (int)xyl_run(parent);
}
