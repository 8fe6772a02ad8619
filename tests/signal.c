/* SPDX-License-Identifier: MIT */
/* Signals: each subscription gets each, none is lost, and what was there before comes back. */
#include <errno.h>
#include <signal.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/signals.h"

/* ---- arriving ---------------------------------------------------------------------------- */

TEST(a_signal_wakes_the_task_that_waits_for_it)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct xyl_task *task = driven_next(&driven, signals);

	raise(SIGUSR1);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), SIGUSR1);
	xyl_signals_close(signals);
	drive_end(&driven);
}

TEST(a_signal_that_comes_when_nobody_waits_is_kept)
{
	struct xyl_signals *signals = subscribe(SIGTERM);

	raise(SIGTERM); /* before there is a runtime */
	CHECK_EQ(RUN(next, .signals = signals), SIGTERM);
}

TEST(several_of_one_number_are_one)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);

	for (int i = 0; i < 5; i++)
		raise(SIGUSR1);
	CHECK_EQ(driven_ask(&driven, signals), SIGUSR1);
	CHECK_EQ(driven_ask(&driven, signals), 0);
	xyl_signals_close(signals);
	drive_end(&driven);
}

TEST(each_number_is_handed_out_once_and_in_turn)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals;

	CHECK_EQ(xyl_signals_new(&signals, (int[]){ SIGRTMIN, SIGHUP, SIGTERM, SIGHUP }, 4), 0);
	raise(SIGRTMIN);
	raise(SIGTERM);
	raise(SIGHUP);
	CHECK_EQ(driven_ask(&driven, signals), SIGHUP);
	raise(SIGHUP);
	CHECK_EQ(driven_ask(&driven, signals), SIGTERM); /* the new one hides nothing */
	CHECK_EQ(driven_ask(&driven, signals), SIGRTMIN);
	CHECK_EQ(driven_ask(&driven, signals), SIGHUP);
	CHECK_EQ(driven_ask(&driven, signals), 0);
	xyl_signals_close(signals);
	drive_end(&driven);
}

TEST(each_subscription_gets_it)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *one = subscribe(SIGUSR1), *two = subscribe(SIGUSR1);
	struct xyl_signals *other = subscribe(SIGUSR2);
	struct xyl_task *task = driven_next(&driven, two);

	raise(SIGUSR1);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), SIGUSR1);
	CHECK_EQ(driven_ask(&driven, one), SIGUSR1);
	CHECK_EQ(driven_ask(&driven, other), 0);
	xyl_signals_close(one);
	raise(SIGUSR1); /* still caught */
	CHECK_EQ(driven_ask(&driven, two), SIGUSR1);
	xyl_signals_close(two);
	xyl_signals_close(other);
	drive_end(&driven);
}

TEST(of_the_tasks_that_wait_on_one_subscription_one_gets_it)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct xyl_task *one = driven_next(&driven, signals);
	struct xyl_task *two = driven_next(&driven, signals);

	raise(SIGUSR1);
	drive_until_done(&driven, one);
	drive(&driven, 4);
	CHECK(!xyl_is_done(two));
	raise(SIGUSR1);
	drive_until_done(&driven, two);
	CHECK_EQ(xyl_result(two), SIGUSR1);
	xyl_signals_close(signals);
	drive_end(&driven);
}

struct raise_and_wait {
	struct xyl_frame frame;
	struct xyl_signals *signals;
	ssize_t n;
};

static xyl_step raise_and_wait(void *frame)
{
	struct raise_and_wait *self = frame;

	XYL_BEGIN(self)
	raise(SIGUSR1); /* the shard has not answered it yet */
	XYL_AWAIT(self->n, xyl_signals_next(self->signals));
	XYL_END(self->n);
}

TEST(whoever_comes_last_does_not_take_it_from_the_first)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct xyl_task *first = driven_next(&driven, signals);
	struct xyl_task *last = DRIVE_SPAWN(&driven, raise_and_wait, .signals = signals);

	drive_until_done(&driven, first);
	CHECK_EQ(xyl_result(first), SIGUSR1);
	CHECK(!xyl_is_done(last));
	xyl_signals_close(signals);
	drive_until_done(&driven, last);
	drive_end(&driven);
}

TEST(what_came_before_a_subscription_is_not_its_own)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *early = subscribe(SIGUSR1), *late;

	raise(SIGUSR1);
	late = subscribe(SIGUSR1);
	CHECK_EQ(driven_ask(&driven, late), 0);
	CHECK_EQ(driven_ask(&driven, early), SIGUSR1);
	xyl_signals_close(early);
	xyl_signals_close(late);
	drive_end(&driven);
}

/* ---- cut short --------------------------------------------------------------------------- */

TEST(an_abort_takes_no_signal_away)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct xyl_task *task = driven_next(&driven, signals);

	xyl_abort(task);
	raise(SIGUSR1); /* in the same turn */
	drive_until_done(&driven, task);
	if (xyl_result(task) == -ECANCELED)
		CHECK_EQ(driven_ask(&driven, signals), SIGUSR1);
	else
		CHECK_EQ(xyl_result(task), SIGUSR1);
	CHECK_EQ(driven_ask(&driven, signals), 0);

	task = driven_next(&driven, signals);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	raise(SIGUSR1);
	CHECK_EQ(driven_ask(&driven, signals), SIGUSR1);
	xyl_signals_close(signals);
	drive_end(&driven);
}

TEST(a_task_that_was_aborted_before_takes_none)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct xyl_task *task = DRIVE_SPAWN(&driven, next, .signals = signals);

	raise(SIGUSR1);
	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	CHECK_EQ(driven_ask(&driven, signals), SIGUSR1);
	xyl_signals_close(signals);
	drive_end(&driven);
}

TEST(a_bound_takes_no_signal_away)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct xyl_task *task = DRIVE_SPAWN(&driven, next, .signals = signals, .bound = 1);

	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ETIMEDOUT);
	raise(SIGUSR1);
	CHECK_EQ(driven_ask(&driven, signals), SIGUSR1);
	xyl_signals_close(signals);
	drive_end(&driven);
}

struct at_once_and_later {
	struct xyl_frame frame;
	struct xyl_signals *signals;
	struct xyl_future *later;
	ssize_t n;
};

static xyl_step at_once_and_later(void *frame)
{
	struct at_once_and_later *self = frame;

	XYL_BEGIN(self)
	self->signals = subscribe(SIGUSR1);
	self->later = xyl_later(xyl_signals_next(self->signals));
	XYL_AWAIT(self->n, xyl_yield());
	raise(SIGUSR1);
	XYL_AWAIT(self->n, xyl_future_get(self->later));
	CHECK_EQ(self->n, SIGUSR1);
	raise(SIGUSR1);
	XYL_AWAIT(self->n, xyl_signals_next(self->signals));
	xyl_signals_close(self->signals);
	XYL_END(self->n);
}

TEST(a_signal_can_be_awaited_later)
{
	CHECK_EQ(RUN(at_once_and_later), SIGUSR1);
}

/* ---- opening and closing ------------------------------------------------------------------- */

TEST(what_cannot_be_waited_for_is_refused)
{
	static const int refused[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,
				       SIGTRAP, SIGSYS,	 SIGABRT, SIGPWR,  SIGXCPU, SIGPIPE,
				       0,	-1,	 65,	  1 << 20, 32,	    33 };
	struct sigaction before = action_now(SIGHUP);
	struct xyl_signals *signals = NULL;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		CHECK_EQ(xyl_signals_new(&signals, (int[]){ SIGHUP, refused[i], SIGTERM }, 3),
			 -EINVAL);
	CHECK_EQ(xyl_signals_new(&signals, NULL, 0), -EINVAL);
	CHECK(!signals);
	CHECK(action_now(SIGHUP).sa_handler == before.sa_handler);
}

TEST(what_was_there_before_comes_back_with_the_last_subscriber)
{
	struct sigaction before = action_own(SIGUSR1);
	struct xyl_signals *one = subscribe(SIGUSR1), *two = subscribe(SIGUSR1);

	raise(SIGUSR1);
	xyl_signals_close(one);
	raise(SIGUSR1);
	CHECK_EQ(own_calls, 0);
	xyl_signals_close(two);
	action_is_own(SIGUSR1);
	raise(SIGUSR1);
	CHECK_EQ(own_calls, 1);
	CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
}

TEST(a_handler_that_the_program_put_there_since_stays)
{
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct sigaction ours = action_own(SIGUSR1);

	xyl_signals_close(signals);
	action_is_own(SIGUSR1);
	ours.sa_handler = SIG_DFL;
	CHECK_EQ(sigaction(SIGUSR1, &ours, NULL), 0);
}

TEST(closing_wakes_those_who_wait)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct xyl_task *one = driven_next(&driven, signals);
	struct xyl_task *two = driven_next(&driven, signals);

	xyl_signals_close(signals);
	drive_until_done(&driven, one);
	drive_until_done(&driven, two);
	CHECK_EQ(xyl_result(one), -ECANCELED);
	CHECK_EQ(xyl_result(two), -ECANCELED);
	CHECK_EQ(driven_ask(&driven, signals), -EBADF);
	xyl_signals_close(signals);
	xyl_signals_close(NULL);
	drive_end(&driven);
}

/* By a runtime that stops: the program's own handler is back, and no shard is touched. */
TEST(a_runtime_that_stops_closes_what_is_open)
{
	struct sigaction before = action_own(SIGTERM);
	struct driven driven = drive_begin(NULL);
	struct xyl_signals *waited = subscribe(SIGTERM), *idle = subscribe(SIGTERM);
	struct xyl_task *task = driven_next(&driven, waited);

	CHECK_EQ(driven_ask(&driven, idle), 0); /* bound to it from now on */
	drive_end(&driven);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	action_is_own(SIGTERM);
	raise(SIGTERM);
	CHECK_EQ(own_calls, 1);
	xyl_signals_close(waited);
	xyl_signals_close(idle);
	CHECK_EQ(sigaction(SIGTERM, &before, NULL), 0);
}

TEST(one_that_no_runtime_has_used_stays_open)
{
	struct sigaction before = action_own(SIGTERM);
	struct xyl_signals *signals = subscribe(SIGTERM);

	CHECK_EQ(RUN(give, .value = 4), 4);
	raise(SIGTERM);
	CHECK_EQ(own_calls, 0);
	CHECK_EQ(RUN(next, .signals = signals), SIGTERM);
	CHECK_EQ(RUN(next, .signals = signals), -EBADF); /* the one before has closed it */
	action_is_own(SIGTERM);
	CHECK_EQ(sigaction(SIGTERM, &before, NULL), 0);
}

TEST(a_subscription_belongs_to_the_runtime_that_first_waited_on_it)
{
	struct driven first = drive_begin(NULL), second = drive_begin(NULL);
	struct xyl_signals *signals = subscribe(SIGUSR1);
	struct xyl_task *task = driven_next(&first, signals);

	CHECK_EQ(driven_ask(&second, signals), -EXDEV);
	raise(SIGUSR1);
	drive_until_done(&first, task);
	CHECK_EQ(xyl_result(task), SIGUSR1);
	CHECK_EQ(xyl_runtime_stop(second.rt, XYL_SEC), 0);
	CHECK_EQ(driven_ask(&first, signals), 0); /* still open */
	drive_end(&first);
}

/* ---- the collector --------------------------------------------------------------------------- */

static __attribute__((noinline)) uintptr_t subscribe_unseen(int signo)
{
	return ~(uintptr_t)subscribe(signo);
}

TEST(an_open_subscription_is_kept_though_nobody_names_it)
{
	struct driven driven = drive_begin(NULL);
	uintptr_t hidden = subscribe_unseen(SIGUSR1);
	struct xyl_signals *signals;

	for (int i = 0; i < 3; i++) {
		xyl_collect();
		drive(&driven, 1);
		for (int j = 0; j < 64; j++)
			CHECK(xyl_alloc(400) != NULL); /* would take its place */
	}
	raise(SIGUSR1);
	signals = (struct xyl_signals *)~hidden;
	CHECK_EQ(driven_ask(&driven, signals), SIGUSR1);
	xyl_signals_close(signals);
	drive_end(&driven);
}
