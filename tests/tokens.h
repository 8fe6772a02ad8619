/* SPDX-License-Identifier: MIT */
/* tokens.h - what the tests of tokens, and of what is bounded by them, have in common. */
#ifndef TEST_TOKENS_H
#define TEST_TOKENS_H

#include <pthread.h>

#include "sync/cancel.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

/* Nobody waits for it, nor below it: it is on no list, and none hangs off it. */
__attribute__((unused)) static bool token_is_idle(const struct xyl_cancel *token)
{
	return !token->children && !token->line.waits.first && !token->linked && !token->next &&
	       !token->prev;
}

__attribute__((unused)) static void *fire_outside(void *token)
{
	xyl_cancel_fire(token);
	return NULL;
}

/* By a thread that the collector does not know, and that is gone when this returns: word of
 * it is in the inbox of who waits. */
__attribute__((unused)) static void fire_by_a_thread(struct xyl_cancel *token)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, fire_outside, token), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* A task that fires a token and is done. */
struct fire {
	struct xyl_frame frame;
	struct xyl_cancel *token;
	bool by_a_thread;
};

__attribute__((unused)) static xyl_step fire(void *frame)
{
	struct fire *self = frame;

	XYL_BEGIN(self)
	if (self->by_a_thread)
		fire_by_a_thread(self->token);
	else
		xyl_cancel_fire(self->token);
	XYL_END(0);
}

#endif
