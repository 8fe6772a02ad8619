/* SPDX-License-Identifier: MIT */
/* scopes.h - who is in a scope, and who waits for it. */
#ifndef TEST_SCOPES_H
#define TEST_SCOPES_H

#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

/* Waits for its gate, if it has one, and gives a value; -ECANCELED: the gate's await. */
struct member {
	struct xyl_frame frame;
	struct xyl_future *gate;
	ssize_t value, n;
};

__attribute__((unused)) static xyl_step member(void *frame)
{
	struct member *self = frame;

	XYL_BEGIN(self)
	if (self->gate) {
		XYL_AWAIT(self->n, xyl_future_get(self->gate));
		if (self->n < 0)
			XYL_RETURN(self->n);
	}
	XYL_END(self->value);
}

/* Ends when its gate opens, and not before, whoever aborts it. */
struct stubborn {
	struct xyl_frame frame;
	struct xyl_future *gate;
	ssize_t n;
};

__attribute__((unused)) static xyl_step stubborn(void *frame)
{
	struct stubborn *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_future_get(self->gate));
	xyl_shield_end();
	XYL_END(self->n);
}

/* The result of one question; whom it got is in *got. */
struct ask {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	struct xyl_task **got;
	ssize_t n;
};

__attribute__((unused)) static xyl_step ask(void *frame)
{
	struct ask *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, self->got));
	XYL_END(self->n);
}

struct join_scope {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	ssize_t n;
};

__attribute__((unused)) static xyl_step join_scope(void *frame)
{
	struct join_scope *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_scope_join(self->scope));
	XYL_END(self->n);
}

struct close_scope {
	struct xyl_frame frame;
	struct xyl_scope *scope;
	ssize_t n;
};

__attribute__((unused)) static xyl_step close_scope(void *frame)
{
	struct close_scope *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	XYL_END(self->n);
}

/* Most tests are one async function with what it needs in this frame. */
#define SCOPE_FRAME(name)                                             \
	struct name {                                                 \
		struct xyl_frame frame;                               \
		struct xyl_scope *scope, *child, *grandchild, *other; \
		struct xyl_task *tasks[8], *waiters[4], *got;         \
		struct xyl_future *gate, *second, *later;             \
		ssize_t n;                                            \
		int i;                                                \
	};                                                            \
	static xyl_step name(void *frame)

#endif
