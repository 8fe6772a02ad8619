/* SPDX-License-Identifier: MIT */
/* actor.c - actors: started, stopped, and done exactly once, whatever their end. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/asyncs.h"
#include "tests/held.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { IDLE_NS = 1000, OBJECTS = 500, FEW = OBJECTS / 10 };

/* What an actor has done, and what it was told to do at the end. */
struct ledger {
	long sum, handled, cut;
	bool is_busy;
	int done;
	ssize_t result;
	struct xyl_actor *next; /* started by the one before */
};

static struct ledger ledger;

static void ended(void *arg, ssize_t result)
{
	struct ledger *of = arg;

	CHECK(xyl_chan_is_closed(xyl_actor_mailbox(xyl_actor_self())));
	CHECK(!of->is_busy);
	of->done++;
	of->result = result;
}

/* A message: add, wait, and say how to go on. */
struct order {
	long add;
	int64_t sleep_ns;
	ssize_t say;
	bool stop;
	void *object;
};

struct handle {
	struct xyl_frame frame;
	struct ledger *ledger;
	ssize_t n;
	struct order message;
};

static xyl_step handle(void *frame)
{
	struct handle *self = frame;

	XYL_BEGIN(self)
	CHECK(!self->ledger->is_busy);
	CHECK(xyl_actor_self() != NULL);
	self->ledger->is_busy = true;
	self->ledger->sum = self->ledger->sum * 10 + self->message.add;
	self->ledger->handled++;
	if (self->message.stop)
		xyl_actor_stop(xyl_actor_self());
	if (self->message.sleep_ns) {
		XYL_AWAIT(self->n, xyl_sleep(self->message.sleep_ns));
		self->ledger->cut += self->n == -ECANCELED;
	}
	self->ledger->is_busy = false;
	XYL_END(self->message.say);
}

struct play {
	struct xyl_frame frame;
	xyl_async_fn *part;
	struct xyl_actor *actor, *other;
	struct xyl_cancel *token;
	struct xyl_scope *scope;
	struct xyl_task *task;
	struct order order;
	size_t i;
	ssize_t n;
};

static xyl_step play(void *frame)
{
	struct play *self = frame;

	return self->part(frame);
}

#define PLAY(which)                                      \
	do {                                             \
		ledger = (struct ledger){ 0 };           \
		CHECK_EQ(RUN(play, .part = (which)), 0); \
	} while (0)

static struct xyl_actor *start(struct xyl_actor_options options)
{
	struct xyl_actor *actor;

	options.done = ended;
	options.arg = &ledger;
	actor = xyl_actor_start(&options, handle, .ledger = &ledger);
	CHECK(actor != NULL);
	CHECK(xyl_actor_task(actor) != NULL);
	return actor;
}

static int tell(struct xyl_actor *actor, struct order order)
{
	return xyl_try_send(xyl_actor_mailbox(actor), &order);
}

#define TELL(actor, ...) CHECK_EQ(tell(actor, (struct order){ __VA_ARGS__ }), 0)

/* It has ended, once, and nobody can send to it. */
static void ended_with(struct xyl_actor *actor, ssize_t result)
{
	CHECK(xyl_is_done(xyl_actor_task(actor)));
	CHECK_EQ(ledger.done, 1);
	CHECK_EQ(ledger.result, result);
	CHECK_EQ(tell(actor, (struct order){ 0 }), -EPIPE);
}

/* ---- messages ------------------------------------------------------------------------- */

static xyl_step in_order(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ 0 });
	for (self->i = 1; self->i <= 9; self->i++) {
		self->order = (struct order){ .add = (long)self->i, .sleep_ns = self->i % 2 };
		XYL_AWAIT(self->n, xyl_send(xyl_actor_mailbox(self->actor), &self->order));
		CHECK_EQ(self->n, 0);
	}
	xyl_actor_stop(self->actor);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(ledger.sum, 123456789);
	ended_with(self->actor, 0);
	XYL_END(0);
}

TEST(messages_are_handled_one_after_the_other_in_order)
{
	PLAY(in_order);
}

static xyl_step stopped(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ .mailbox = 3 });
	TELL(self->actor, .add = 1, .sleep_ns = 1);
	TELL(self->actor, .add = 2);
	TELL(self->actor, .add = 3);
	CHECK_EQ(tell(self->actor, (struct order){ 0 }), -EAGAIN);
	CHECK_EQ(ledger.handled, 0);
	xyl_actor_stop(self->actor);
	xyl_actor_stop(self->actor);
	CHECK_EQ(tell(self->actor, (struct order){ 0 }), -EPIPE);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(ledger.sum, 123);
	ended_with(self->actor, 0);
	xyl_actor_stop(self->actor);
	XYL_AWAIT(self->n, xyl_yield());
	CHECK_EQ(ledger.done, 1);
	XYL_END(0);
}

TEST(what_was_sent_before_the_stop_is_handled)
{
	PLAY(stopped);
}

static xyl_step stopped_idle(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ 0 });
	XYL_AWAIT(self->n, xyl_sleep(1));
	xyl_actor_stop(self->actor);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, 0);
	ended_with(self->actor, 0);
	XYL_END(0);
}

TEST(one_that_waits_is_stopped_at_once)
{
	PLAY(stopped_idle);
}

static void *stop_outside(void *actor)
{
	CHECK_EQ(xyl_thread_attach(), 0);
	xyl_actor_stop(actor);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

static xyl_step stopped_outside(void *frame)
{
	struct play *self = frame;
	static pthread_t thread;

	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ 0 });
	TELL(self->actor, .add = 5);
	CHECK_EQ(pthread_create(&thread, NULL, stop_outside, self->actor), 0);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(ledger.sum, 5);
	ended_with(self->actor, 0);
	XYL_END(0);
}

TEST(any_attached_thread_may_stop_it)
{
	PLAY(stopped_outside);
}

static xyl_step stops_itself(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	CHECK(!xyl_actor_self());
	self->actor = start((struct xyl_actor_options){ 0 });
	TELL(self->actor, .add = 1, .stop = true);
	TELL(self->actor, .add = 2);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(ledger.sum, 12);
	ended_with(self->actor, 0);
	XYL_END(0);
}

TEST(a_handler_knows_its_actor_and_may_stop_it)
{
	PLAY(stops_itself);
}

static xyl_step newest(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ .mailbox = XYL_CONFLATED });
	TELL(self->actor, .add = 1);
	TELL(self->actor, .add = 2);
	TELL(self->actor, .add = 3);
	xyl_actor_stop(self->actor);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(ledger.sum, 3);
	ended_with(self->actor, 0);
	XYL_END(0);
}

TEST(a_mailbox_may_be_of_any_kind)
{
	PLAY(newest);
}

/* ---- what the handler says ---------------------------------------------------------------- */

static xyl_step said(struct play *self, ssize_t say)
{
	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ 0 });
	TELL(self->actor, .add = 1);
	TELL(self->actor, .add = 2, .say = say);
	TELL(self->actor, .add = 3);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, say);
	CHECK_EQ(ledger.sum, 12);
	CHECK_EQ(xyl_chan_len(xyl_actor_mailbox(self->actor)), 1);
	ended_with(self->actor, say);
	XYL_END(0);
}

static xyl_step finishes(void *frame)
{
	return said(frame, 7);
}

static xyl_step fails(void *frame)
{
	return said(frame, -EIO);
}

TEST(a_handler_that_has_finished_ends_it)
{
	PLAY(finishes);
}

TEST(a_handler_that_fails_ends_it)
{
	PLAY(fails);
}

static xyl_step sender_waits(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ .mailbox = 1 });
	TELL(self->actor, .sleep_ns = 1, .say = -EIO);
	for (self->i = 0; self->i < 3; self->i++) {
		self->order = (struct order){ .add = 1 };
		XYL_AWAIT(self->n, xyl_send(xyl_actor_mailbox(self->actor), &self->order));
		if (self->n < 0)
			break;
	}
	CHECK_EQ(self->n, -EPIPE);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(ledger.handled, 1);
	ended_with(self->actor, -EIO);
	XYL_END(0);
}

TEST(whoever_waits_to_send_is_told_of_the_end)
{
	PLAY(sender_waits);
}

static void start_next(void *arg, ssize_t result)
{
	struct ledger *of = arg;

	ended(arg, result);
	if (result < 0)
		of->next = start((struct xyl_actor_options){ 0 });
}

static xyl_step starts_anew(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor =
		xyl_actor_start((&(struct xyl_actor_options){ .done = start_next, .arg = &ledger }),
				handle, .ledger = &ledger);
	TELL(self->actor, .add = 1, .say = -EIO);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, -EIO);
	CHECK(ledger.next != NULL);
	TELL(ledger.next, .add = 2);
	xyl_actor_stop(ledger.next);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(ledger.next)));
	CHECK_EQ(ledger.sum, 12);
	CHECK_EQ(ledger.done, 2);
	XYL_END(0);
}

TEST(its_end_may_start_another_in_its_stead)
{
	PLAY(starts_anew);
}

/* ---- tokens ---------------------------------------------------------------------------- */

static xyl_step token_waits(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	self->actor = start((struct xyl_actor_options){ .token = self->token });
	TELL(self->actor, .add = 1);
	XYL_AWAIT(self->n, xyl_sleep(1));
	CHECK_EQ(ledger.handled, 1);
	xyl_cancel_fire(self->token);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK(!xyl_is_aborted(xyl_actor_task(self->actor)));
	ended_with(self->actor, -ECANCELED);
	XYL_END(0);
}

TEST(one_with_no_timeout_exits_on_its_token)
{
	PLAY(token_waits);
}

static xyl_step token_cuts(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	self->actor = start((struct xyl_actor_options){ .token = self->token });
	TELL(self->actor, .add = 1, .sleep_ns = LONG_NS);
	TELL(self->actor, .add = 2);
	while (!ledger.is_busy)
		XYL_AWAIT(self->n, xyl_yield());
	xyl_cancel_fire(self->token);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK_EQ(ledger.cut, 1);
	CHECK_EQ(ledger.sum, 1);
	ended_with(self->actor, -ECANCELED);
	XYL_END(0);
}

TEST(a_token_cuts_what_the_handler_awaits)
{
	PLAY(token_cuts);
}

static xyl_step token_first(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	self->actor = start((struct xyl_actor_options){ .token = self->token });
	TELL(self->actor, .add = 1);
	xyl_cancel_fire(self->token);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK_EQ(ledger.handled, 0);
	ended_with(self->actor, -ECANCELED);
	XYL_END(0);
}

TEST(once_the_token_is_fired_no_message_is_taken)
{
	PLAY(token_first);
}

/* ---- being idle ------------------------------------------------------------------------- */

static xyl_step idle(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->actor = start((struct xyl_actor_options){ .idle_ns = IDLE_NS });
	for (self->i = 0; self->i < 3; self->i++) {
		while (timers_here() == 0)
			XYL_AWAIT(self->n, xyl_yield());
		clock_move_here(IDLE_NS - 1);
		XYL_AWAIT(self->n, xyl_yield());
		TELL(self->actor, .add = 1); /* its patience begins anew */
		while (ledger.handled == (long)self->i)
			XYL_AWAIT(self->n, xyl_yield());
	}
	while (timers_here() == 0)
		XYL_AWAIT(self->n, xyl_yield());
	clock_move_here(IDLE_NS - 1);
	for (self->i = 0; self->i < 5; self->i++)
		XYL_AWAIT(self->n, xyl_yield());
	CHECK(!xyl_is_done(xyl_actor_task(self->actor)));
	clock_move_here(1);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, -ETIMEDOUT);
	CHECK_EQ(ledger.handled, 3);
	CHECK_EQ(timers_here(), 0);
	ended_with(self->actor, -ETIMEDOUT);
	XYL_END(0);
}

TEST(one_that_waits_in_vain_ends_after_its_patience)
{
	PLAY(idle);
}

static xyl_step busy(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->actor = start((struct xyl_actor_options){ .idle_ns = IDLE_NS });
	TELL(self->actor, .add = 1, .sleep_ns = 5 * IDLE_NS);
	while (!ledger.is_busy)
		XYL_AWAIT(self->n, xyl_yield());
	clock_move_here(5 * IDLE_NS);
	while (ledger.is_busy)
		XYL_AWAIT(self->n, xyl_yield());
	TELL(self->actor, .add = 2, .say = 1);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, 1);
	ended_with(self->actor, 1);
	XYL_END(0);
}

TEST(one_that_works_is_not_idle)
{
	PLAY(busy);
}

/* Sends as the actor's patience runs out: both wake in one turn. */
struct late {
	struct xyl_frame frame;
	struct xyl_actor *actor;
	int64_t ns;
	ssize_t n;
};

static xyl_step late(void *frame)
{
	struct late *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(self->ns));
	XYL_END(tell(self->actor, (struct order){ .add = 4 }));
}

static xyl_step idle_and_sent(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	clock_hold_here();
	self->actor = start((struct xyl_actor_options){ .idle_ns = IDLE_NS });
	self->task = xyl_spawn(late, .actor = self->actor, .ns = IDLE_NS - 1);
	while (timers_here() < 2)
		XYL_AWAIT(self->n, xyl_yield());
	clock_move_here(IDLE_NS);
	XYL_AWAIT(self->n, xyl_join(self->task));
	XYL_AWAIT(self->i, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(ledger.handled, self->n == 0);
	ended_with(self->actor, -ETIMEDOUT);
	XYL_END(0);
}

TEST(what_was_sent_as_its_patience_ran_out_is_handled)
{
	PLAY(idle_and_sent);
}

/* ---- aborts ----------------------------------------------------------------------------- */

static xyl_step aborted_waiting(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ .idle_ns = LONG_NS });
	XYL_AWAIT(self->n, xyl_sleep(1));
	xyl_abort(xyl_actor_task(self->actor));
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, -ECANCELED);
	ended_with(self->actor, -ECANCELED);
	XYL_END(0);
}

static xyl_step aborted_working(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ 0 });
	TELL(self->actor, .add = 1, .sleep_ns = LONG_NS);
	TELL(self->actor, .add = 2);
	while (!ledger.is_busy)
		XYL_AWAIT(self->n, xyl_yield());
	xyl_abort(xyl_actor_task(self->actor));
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(ledger.cut, 1);
	CHECK_EQ(ledger.sum, 1);
	ended_with(self->actor, -ECANCELED);
	XYL_END(0);
}

static xyl_step aborted_first(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->token = xyl_cancel_new(NULL);
	self->actor = start((struct xyl_actor_options){ .token = self->token });
	TELL(self->actor, .add = 1);
	xyl_abort(xyl_actor_task(self->actor));
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(ledger.handled, 0);
	ended_with(self->actor, -ECANCELED);
	XYL_END(0);
}

TEST(an_abort_ends_one_that_waits)
{
	PLAY(aborted_waiting);
}

TEST(an_abort_ends_one_that_works)
{
	PLAY(aborted_working);
}

/* The abort comes at the start of the second turn, the actor's first step in it. */
TEST(an_abort_before_it_ran_ends_it_too)
{
	const struct xyl_config config = { .turn_budget = 1 };

	test_needs_the_real_ring("when an abort comes");
	ledger = (struct ledger){ 0 };
	CHECK_EQ(RUN_WITH(&config, play, .part = aborted_first), 0);
}

static xyl_step scoped(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	self->actor = start((struct xyl_actor_options){ .scope = self->scope });
	CHECK_EQ(xyl_scope_count(self->scope), 1);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK_EQ(self->n, 0);
	ended_with(self->actor, -ECANCELED);
	XYL_END(0);
}

TEST(a_scope_that_closes_ends_it)
{
	PLAY(scoped);
}

static xyl_step forgotten(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	start((struct xyl_actor_options){ 0 });
	XYL_AWAIT(self->n, xyl_yield());
	XYL_END(0);
}

TEST(a_runtime_that_stops_ends_one_that_nobody_holds)
{
	PLAY(forgotten);
	CHECK_EQ(ledger.done, 1);
	CHECK_EQ(ledger.result, -ECANCELED);
}

/* ---- not started -------------------------------------------------------------------------- */

static struct xyl_actor *refused(struct xyl_actor_options options)
{
	options.done = ended;
	options.arg = &ledger;
	return xyl_actor_start(&options, handle, .ledger = &ledger);
}

static xyl_step not_started(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	XYL_AWAIT(self->n, xyl_scope_close(self->scope));
	CHECK(!refused((struct xyl_actor_options){ .scope = self->scope }));
	CHECK(!refused((struct xyl_actor_options){ .idle_ns = -1 }));
	CHECK(!refused((struct xyl_actor_options){ .mailbox = -9 }));
	XYL_AWAIT(self->n, xyl_yield());
	CHECK_EQ(ledger.done, 0);

	xyl_actor_stop(NULL);
	CHECK(!xyl_actor_mailbox(NULL));
	CHECK(!xyl_actor_task(NULL));
	XYL_AWAIT(self->n, xyl_send(xyl_actor_mailbox(NULL), &self->order));
	CHECK_EQ(self->n, -EINVAL);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(NULL)));
	CHECK_EQ(self->n, -EINVAL);
	XYL_END(0);
}

TEST(one_that_cannot_be_started_is_null_and_never_done)
{
	PLAY(not_started);
}

static xyl_step by_default(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor = xyl_actor_start(NULL, handle, .ledger = &ledger);
	for (self->i = 0; tell(self->actor, (struct order){ .add = 0 }) == 0; self->i++)
		CHECK(self->i < 64);
	CHECK_EQ(self->i, 64);
	xyl_actor_stop(self->actor);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(ledger.handled, 64);
	XYL_END(0);
}

TEST(without_options_it_has_those_of_the_header)
{
	PLAY(by_default);
}

/* ---- two of them --------------------------------------------------------------------------- */

struct ball {
	long hits;
	struct xyl_chan *from;
};

struct hit {
	struct xyl_frame frame;
	long limit;
	struct ball message, answer;
	ssize_t n;
};

static xyl_step hit(void *frame)
{
	struct hit *self = frame;

	XYL_BEGIN(self)
	if (self->message.hits == self->limit)
		XYL_RETURN(self->limit);
	self->answer.hits = self->message.hits + 1;
	self->answer.from = xyl_actor_mailbox(xyl_actor_self());
	XYL_AWAIT(self->n, xyl_send(self->message.from, &self->answer));
	XYL_END(self->n);
}

static xyl_step ping_pong(void *frame)
{
	struct play *self = frame;
	struct ball ball;

	XYL_BEGIN(self)
	self->i = test_scaled(10000);
	self->actor = xyl_actor_start(NULL, hit, .limit = (long)self->i);
	self->other = xyl_actor_start(NULL, hit, .limit = (long)self->i);
	ball = (struct ball){ .from = xyl_actor_mailbox(self->other) };
	CHECK_EQ(xyl_try_send(xyl_actor_mailbox(self->actor), &ball), 0);
	self->task = xyl_actor_task(self->i % 2 ? self->other : self->actor);
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(self->n, (ssize_t)self->i);
	xyl_actor_stop(self->actor);
	xyl_actor_stop(self->other);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->i % 2 ? self->actor : self->other)));
	CHECK_EQ(self->n, 0);
	XYL_END(0);
}

TEST(two_of_them_play_ping_pong)
{
	PLAY(ping_pong);
}

/* ---- what it keeps --------------------------------------------------------------------------- */

static struct xyl_weak *weak[OBJECTS];

static __attribute__((noinline)) void tell_of_object(struct xyl_actor *actor, size_t i)
{
	void *object = xyl_alloc(64);

	weak[i] = xyl_weak_new(object);
	TELL(actor, .object = object, .sleep_ns = i % 16 == 0);
}

static __attribute__((noinline)) void stack_clear(void)
{
	char stale[16384];

	memset(stale, 0, sizeof(stale));
	__asm__ volatile("" : : "r"(stale) : "memory");
}

static __attribute__((noinline)) size_t living(void)
{
	size_t count = 0;

	stack_clear();
	xyl_collect();
	for (size_t i = 0; i < OBJECTS; i++)
		count += xyl_weak_get(weak[i]) != NULL;
	return count;
}

static xyl_step keeps(void *frame)
{
	struct play *self = frame;

	XYL_BEGIN(self)
	self->actor = start((struct xyl_actor_options){ .mailbox = OBJECTS });
	for (self->i = 0; self->i < OBJECTS; self->i++)
		tell_of_object(self->actor, self->i);
	CHECK_EQ(living(), OBJECTS);
	while (ledger.handled < OBJECTS)
		XYL_AWAIT(self->n, xyl_sleep(1));
	CHECK(living() < FEW);
	xyl_actor_stop(self->actor);
	XYL_AWAIT(self->n, xyl_join(xyl_actor_task(self->actor)));
	memset(weak, 0, sizeof(weak));
	XYL_END(0);
}

TEST(a_message_lives_in_the_mailbox_and_not_beyond_its_handler)
{
	PLAY(keeps);
}
