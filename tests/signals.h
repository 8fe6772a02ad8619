/* SPDX-License-Identifier: MIT */
/* signals.h - those who wait for signals, and handlers of the program's own. */
#ifndef TEST_SIGNALS_H
#define TEST_SIGNALS_H

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

#include "tests/drive.h"
#include "xylem/xylem.h"

__attribute__((unused)) static struct xyl_signals *subscribe(int signo)
{
	struct xyl_signals *signals = NULL;

	CHECK_EQ(xyl_signals_new(&signals, &signo, 1), 0);
	return signals;
}

struct next {
	struct xyl_frame frame;
	struct xyl_signals *signals;
	int64_t bound; /* 0: none */
	ssize_t n;
};

__attribute__((unused)) static xyl_step next(void *frame)
{
	struct next *self = frame;

	XYL_BEGIN(self)
	if (self->bound)
		XYL_AWAIT(self->n, xyl_within(xyl_signals_next(self->signals), self->bound));
	else
		XYL_AWAIT(self->n, xyl_signals_next(self->signals));
	XYL_END(self->n);
}

/* Nothing but what is there by now: 0 if it is nothing. */
struct ask {
	struct xyl_frame frame;
	struct xyl_signals *signals;
	ssize_t n;
};

__attribute__((unused)) static xyl_step ask(void *frame)
{
	struct ask *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_within(xyl_signals_next(self->signals), 0));
	XYL_END(self->n == -ETIMEDOUT ? 0 : self->n);
}

__attribute__((unused)) static ssize_t driven_ask(const struct driven *driven,
						  struct xyl_signals *signals)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, ask, .signals = signals);

	drive_until_done(driven, task);
	return xyl_result(task);
}

__attribute__((unused)) static struct xyl_task *driven_next(const struct driven *driven,
							    struct xyl_signals *signals)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, next, .signals = signals);

	drive(driven, 4);
	CHECK(!xyl_is_done(task));
	return task;
}

/* ---- what the program had there ---------------------------------------------------------- */

static atomic_int own_calls;

__attribute__((unused)) static void own(int signo)
{
	(void)signo;
	own_calls++;
}

__attribute__((unused)) static struct sigaction action_now(int signo)
{
	struct sigaction action;

	CHECK_EQ(sigaction(signo, NULL, &action), 0);
	return action;
}

__attribute__((unused)) static struct sigaction action_own(int signo)
{
	struct sigaction action = { .sa_handler = own, .sa_flags = SA_NODEFER }, before;

	sigaddset(&action.sa_mask, SIGHUP);
	CHECK_EQ(sigaction(signo, &action, &before), 0);
	own_calls = 0;
	return before;
}

__attribute__((unused)) static void action_is_own(int signo)
{
	struct sigaction action = action_now(signo);

	CHECK(action.sa_handler == own);
	CHECK(action.sa_flags & SA_NODEFER);
	CHECK_EQ(sigismember(&action.sa_mask, SIGHUP), 1);
}

#endif
