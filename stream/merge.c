/* SPDX-License-Identifier: MIT */
/*
 * Two streams into one, as elements come.
 *
 * Design notes.  To wait for two streams takes two tasks.  Each pulls one element ahead, into
 * memory of its side, says so in `ready`, and pulls the next when that one has been taken.
 * So `ready` holds two at most: nobody waits to send, nothing is allocated for an element,
 * and a side that is always ready comes behind the other.
 *
 *	side 0  pulls ──> elem ──┐
 *	                         ├─ ready ──> merge ──> taken, of that side
 *	side 1  pulls ──> elem ──┘
 *
 * The tasks hold both sides, but not the merged stream.  What ends them is the scope, if the
 * streams do not: a task that the collector ended would end at a time of its choosing.
 */
#include <errno.h>

#include "spawn/scope.h"
#include "stream/stream.h"

struct side {
	struct xyl_stream *from;
	struct xyl_chan *taken;
	void *elem;
	ssize_t result; /* of the pull: 1, or an error */
	bool started;
};

struct both {
	struct xyl_chan *ready; /* struct side *: one that has something */
	unsigned at_work;	/* sides that have not ended */
	bool cut;		/* a side was aborted */
	struct side sides[2];
};

/* ---- pulling one side ---------------------------------------------------------------- */

struct pull {
	struct xyl_frame frame;
	struct both *both;
	struct side *side;
	ssize_t r;
};

static xyl_step pull(void *frame)
{
	struct pull *self = frame;

	XYL_BEGIN(self)
	do {
		XYL_AWAIT(self->r, xyl_stream_next(self->side->from, self->side->elem));
		if (self->r == 0)
			break;
		self->side->result = self->r;
		XYL_AWAIT(self->r, xyl_send(self->both->ready, &self->side));
		if (self->r == 0)
			XYL_AWAIT(self->r, xyl_recv(self->side->taken, NULL));
	} while (self->r == 0);
	self->both->cut |= self->r < 0;
	if (--self->both->at_work == 0)
		xyl_chan_close(self->both->ready);
	XYL_END(0);
}

static int pulls_start(struct both *both, struct xyl_scope *scope)
{
	for (struct side *side = both->sides; side < both->sides + 2; side++) {
		if (!side->started)
			side->started = xyl_scope_spawn(scope, pull, .both = both, .side = side);
		if (!side->started)
			return xyli_scope_is_open(scope) ? -ENOMEM : -ECANCELED;
	}
	return 0;
}

/* ---- what they pulled ------------------------------------------------------------------ */

struct merge {
	struct xyl_stream stream;
	struct xyl_scope *scope;
	struct both *both;
	struct side *side;
	ssize_t n;
};

/* Its result; its task goes on. */
static ssize_t side_take(struct side *side, void *ret_elem, size_t elem_size)
{
	if (side->result == 1)
		xyli_stream_elem_move(ret_elem, side->elem, elem_size);
	xyl_try_send(side->taken, NULL);
	return side->result;
}

static xyl_step merge(void *frame)
{
	struct merge *self = frame;

	XYL_BEGIN(&self->stream)
	self->n = pulls_start(self->both, self->scope);
	if (self->n == 0)
		XYL_AWAIT(self->n, xyl_recv(self->both->ready, &self->side));
	if (self->n == -EPIPE)
		XYL_RETURN(self->both->cut ? -ECANCELED : 0);
	if (self->n == 0)
		self->n = side_take(self->side, self->stream.elem, self->stream.elem_size);
	XYL_END(self->n);
}

/* ---- a new one --------------------------------------------------------------------------- */

static bool side_init(struct side *side, struct xyl_stream *from)
{
	side->from = from;
	side->taken = xyl_chan_new(0, 1);
	side->elem = xyli_stream_elem_new(from->elem_size);
	return side->taken && side->elem;
}

static struct both *both_new(struct xyl_stream *left, struct xyl_stream *right)
{
	struct both *both = xyl_new(struct both);

	if (!both)
		return NULL;
	both->ready = xyl_chan_new(sizeof(struct side *), 2);
	both->at_work = 2;
	if (!both->ready || !side_init(&both->sides[0], left) || !side_init(&both->sides[1], right))
		return NULL;
	return both;
}

struct xyl_stream *xyl_stream_merge(struct xyl_scope *scope, struct xyl_stream *left,
				    struct xyl_stream *right)
{
	struct both *both = NULL;

	if (scope && left && right && left->elem_size == right->elem_size)
		both = both_new(left, right);
	if (!both)
		return NULL;
	return xyl_stream_new(left->elem_size, merge, .scope = scope, .both = both);
}
