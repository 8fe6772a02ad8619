/* SPDX-License-Identifier: MIT */
/*
 * Actors: a mailbox, and a task that calls a function for each message.
 *
 * Design notes.  Two frames: the first one makes sure of the end, whatever it is; the one below it
 * takes messages and calls, under the bound of the token, if there is one, which is set once.
 *
 *	actor ──> attend ──> the handler's, one for each message
 *
 * A handler's frame is made before its message is taken, from the template, and the message is
 * received into it.  So it is copied once, and none is lost for want of memory.
 *
 * A mailbox that is closed ends the actor when it is empty.  Stopping is closing, and so is being
 * idle: a message that was sent while the actor's patience ran out is handled all the same.
 *
 * The handle names the mailbox and the task, and nothing of what the handler was given.
 */
#include <errno.h>

#include "spawn/task.h"

#define MAILBOX 64 /* messages */

struct xyl_actor {
	struct xyl_chan *mailbox;
	struct xyl_task *task;
};

struct handler {
	const struct xyli_fn *fn;
	struct xyl_frame *model; /* with its arguments */
	size_t message_offset;
};

/* ---- message by message ----------------------------------------------------------- */

struct attend {
	struct xyl_frame frame;
	struct handler handler;
	struct xyl_chan *mailbox;
	struct xyl_cancel *token;
	int64_t idle_ns;
	struct xyl_frame *next; /* the handler's, that waits for a message */
	ssize_t n, end;
};

static xyl_pending message_take(struct attend *self)
{
	char *message = (char *)self->next + self->handler.message_offset;
	xyl_pending op = xyl_recv(self->mailbox, message);

	return self->idle_ns ? xyl_within(op, self->idle_ns) : op;
}

/* The frame is the task's from now on: nobody keeps it beyond its end. */
static xyl_pending message_handle(struct attend *self)
{
	struct xyl_frame *frame = self->next;

	self->next = NULL;
	return xyli_call_frame(xyl_self(), frame);
}

static xyl_step attend(void *frame)
{
	struct attend *self = frame;

	XYL_BEGIN(self)
	while (!xyl_cancel_is_fired(self->token)) {
		if (!self->next)
			self->next = xyli_frame_new(xyli_here, self->handler.fn,
						    self->handler.model);
		if (!self->next)
			XYL_RETURN(-ENOMEM);
		XYL_AWAIT(self->n, message_take(self));
		if (self->n == -ETIMEDOUT) {
			self->end = -ETIMEDOUT;
			xyl_chan_close(self->mailbox);
			continue;
		}
		if (self->n < 0)
			XYL_RETURN(self->n == -EPIPE ? self->end : self->n);
		XYL_AWAIT(self->n, message_handle(self));
		if (self->n)
			XYL_RETURN(self->n);
	}
	XYL_END(-ECANCELED);
}

/* ---- from start to end ------------------------------------------------------------- */

struct actor {
	struct xyl_frame frame;
	struct xyl_actor *actor;
	struct handler handler;
	struct xyl_actor_options options;
	ssize_t n;
};

static xyl_pending actor_attend(const struct actor *self)
{
	struct xyl_cancel *token = self->options.token;
	xyl_pending op = xyl_call(attend, .handler = self->handler, .mailbox = self->actor->mailbox,
				  .token = token, .idle_ns = self->options.idle_ns);

	return token ? xyl_until(op, token) : op;
}

static xyl_step actor(void *frame)
{
	struct actor *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, actor_attend(self));
	xyl_chan_close(self->actor->mailbox);
	if (self->options.done)
		self->options.done(self->options.arg, self->n);
	XYL_END(self->n);
}

struct xyl_actor *xyli_actor_start(const struct xyl_actor_options *options,
				   const struct xyli_fn *fn, const void *init,
				   size_t message_offset, size_t message_size)
{
	static const struct xyl_actor_options defaults;
	struct xyli_shard *shard = xyli_here;
	struct handler handler = { .fn = fn, .message_offset = message_offset };
	struct xyl_actor *made;

	if (!shard)
		xyli_misuse("xyl_actor_start", "called outside a runtime");
	if (!options)
		options = &defaults;
	made = options->idle_ns >= 0 ? xyl_new(struct xyl_actor) : NULL;
	handler.model = made ? xyli_frame_new(shard, fn, init) : NULL;
	if (!handler.model)
		return NULL;
	made->mailbox = xyl_chan_new(message_size, options->mailbox ? options->mailbox : MAILBOX);
	if (made->mailbox)
		made->task = xyli_spawn(
			options->scope, XYL_HERE, XYLI_FN(actor),
			XYLI_FRAME(actor, .actor = made, .handler = handler, .options = *options));
	return made->task ? made : NULL;
}

/* ---- the handle -------------------------------------------------------------------- */

struct xyl_chan *xyl_actor_mailbox(const struct xyl_actor *actor)
{
	return actor ? actor->mailbox : NULL;
}

struct xyl_task *xyl_actor_task(const struct xyl_actor *actor)
{
	return actor ? actor->task : NULL;
}

void xyl_actor_stop(struct xyl_actor *actor)
{
	if (actor)
		xyl_chan_close(actor->mailbox);
}

struct xyl_actor *xyl_actor_self(void)
{
	struct xyl_task *task = xyl_self();
	struct xyl_frame *first = task ? xyli_task_first_frame(task) : NULL;

	return first && first->fn->run == actor ? ((struct actor *)first)->actor : NULL;
}
