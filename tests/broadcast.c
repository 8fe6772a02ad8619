/* SPDX-License-Identifier: MIT */
/* Broadcasts: every receiver gets every message, or is told how many it missed. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/waiting.h"
#include "xylem/xylem.h"

/* Receive until it is closed: numbers in order, of which only those it was told of are missing. */
struct listen {
	struct xyl_frame frame;
	struct xyl_receiver *receiver;
	long number, expected, received, missed;
	long *ret_all;
	int64_t within_ns;
	bool slow;
	ssize_t r, ignored;
};

static xyl_pending listen_start(struct listen *self)
{
	xyl_pending pending = xyl_broadcast_recv(self->receiver, &self->number);

	return self->within_ns ? xyl_within(pending, self->within_ns) : pending;
}

static void listen_to(struct listen *self)
{
	if (self->r > 0) {
		self->missed += self->r;
		self->expected += self->r;
		return;
	}
	CHECK_EQ(self->number, self->expected);
	self->expected++;
	self->received++;
}

static xyl_step listen(void *frame)
{
	struct listen *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->r, listen_start(self));
		if (self->r < 0)
			break;
		listen_to(self);
		if (self->slow && test_random() % 4 == 0)
			XYL_AWAIT(self->ignored, xyl_yield());
	}
	if (self->ret_all)
		*self->ret_all = self->received + self->missed;
	XYL_END(self->r == -EPIPE ? self->received : self->r);
}

TEST(each_receiver_gets_each_message)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_broadcast *broadcast = xyl_broadcast_new(sizeof(long), 8);
	struct xyl_task *tasks[2];

	for (int i = 0; i < 2; i++)
		tasks[i] = DRIVE_SPAWN(&driven, listen,
				       .receiver = xyl_broadcast_subscribe(broadcast));
	for (long i = 0; i < 4; i++)
		CHECK_EQ(xyl_broadcast_send(broadcast, &i), 0);
	drive_until_waiting(&driven, tasks[0]);
	drive_until_waiting(&driven, tasks[1]);
	for (long i = 4; i < 8; i++)
		CHECK_EQ(xyl_broadcast_send(broadcast, &i), 0);
	xyl_broadcast_close(broadcast);
	for (int i = 0; i < 2; i++) {
		drive_until_done(&driven, tasks[i]);
		CHECK_EQ(xyl_result(tasks[i]), 8);
	}
	drive_end(&driven);
}

TEST(one_who_fell_behind_is_told_by_how_many)
{
	struct xyl_broadcast *broadcast = xyl_broadcast_new(sizeof(long), 4);
	struct xyl_receiver *receiver = xyl_broadcast_subscribe(broadcast);
	long number = -1;

	CHECK_EQ(xyl_broadcast_try_recv(receiver, &number), -EAGAIN);
	for (long i = 0; i < 10; i++)
		CHECK_EQ(xyl_broadcast_send(broadcast, &i), 0);
	CHECK_EQ(xyl_broadcast_try_recv(receiver, &number), 6);
	CHECK_EQ(number, -1);
	for (long i = 6; i < 10; i++) {
		CHECK_EQ(xyl_broadcast_try_recv(receiver, &number), 0);
		CHECK_EQ(number, i);
	}
	CHECK_EQ(xyl_broadcast_try_recv(receiver, &number), -EAGAIN);
}

TEST(a_close_lets_what_was_sent_be_received)
{
	struct xyl_broadcast *broadcast = xyl_broadcast_new(sizeof(long), 4);
	struct xyl_receiver *receiver = xyl_broadcast_subscribe(broadcast);
	long number = 0;

	CHECK_EQ(xyl_broadcast_send(broadcast, &number), 0);
	xyl_broadcast_close(broadcast);
	CHECK_EQ(xyl_broadcast_send(broadcast, &number), -EPIPE);
	CHECK_EQ(RUN(listen, .receiver = receiver), 1);
	CHECK_EQ(xyl_broadcast_try_recv(receiver, &number), -EPIPE);
}

TEST(a_close_wakes_who_waits)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_broadcast *broadcast = xyl_broadcast_new(sizeof(long), 4);
	struct xyl_task *task = DRIVE_SPAWN(&driven, listen,
					    .receiver = xyl_broadcast_subscribe(broadcast));

	drive_until_waiting(&driven, task);
	xyl_broadcast_close(broadcast);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), 0);
	drive_end(&driven);
}

TEST(who_subscribes_gets_what_is_sent_from_then_on)
{
	struct xyl_broadcast *broadcast = xyl_broadcast_new(sizeof(long), 4);
	struct xyl_receiver *receiver;
	long number = 1;

	CHECK_EQ(xyl_broadcast_send(broadcast, &number), 0);
	receiver = xyl_broadcast_subscribe(broadcast);
	CHECK_EQ(xyl_broadcast_try_recv(receiver, NULL), -EAGAIN);
	number = 2;
	CHECK_EQ(xyl_broadcast_send(broadcast, &number), 0);
	CHECK_EQ(xyl_broadcast_try_recv(receiver, &number), 0);
	CHECK_EQ(number, 2);
}

TEST(one_task_at_a_time_waits_with_a_receiver)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_broadcast *broadcast = xyl_broadcast_new(sizeof(long), 4);
	struct xyl_receiver *receiver = xyl_broadcast_subscribe(broadcast);
	struct xyl_task *first = DRIVE_SPAWN(&driven, listen, .receiver = receiver), *second;

	drive_until_waiting(&driven, first);
	second = DRIVE_SPAWN(&driven, listen, .receiver = receiver);
	drive_until_done(&driven, second);
	CHECK_EQ(xyl_result(second), -EBUSY);
	xyl_abort(first);
	drive_until_done(&driven, first);
	CHECK_EQ(xyl_result(first), -ECANCELED);
	second = DRIVE_SPAWN(&driven, listen, .receiver = receiver, .within_ns = XYL_MS);
	drive_until_done(&driven, second);
	CHECK_EQ(xyl_result(second), -ETIMEDOUT);
	drive_end(&driven);
}

TEST(a_size_that_makes_no_sense_is_refused)
{
	CHECK(xyl_broadcast_new(8, 0) == NULL);
	CHECK(xyl_broadcast_new(8, SIZE_MAX / 4) == NULL);
	CHECK(xyl_broadcast_new(1, PTRDIFF_MAX) == NULL);
	CHECK_EQ(xyl_broadcast_send(xyl_broadcast_new(0, 1), NULL), 0);
}

__attribute__((noinline)) static struct xyl_weak *forget_one(struct xyl_broadcast *broadcast)
{
	return xyl_weak_new(xyl_broadcast_subscribe(broadcast));
}

TEST(a_receiver_that_nobody_holds_is_garbage)
{
	struct xyl_broadcast *broadcast = xyl_broadcast_new(sizeof(long), 4);
	struct xyl_weak *weaks[64];
	size_t dead = 0;

	for (size_t i = 0; i < 64; i++)
		weaks[i] = forget_one(broadcast);
	for (long i = 0; i < 100; i++)
		CHECK_EQ(xyl_broadcast_send(broadcast, &i), 0);
	xyl_collect();
	for (size_t i = 0; i < 64; i++)
		dead += !xyl_weak_get(weaks[i]);
	CHECK(dead > 32); /* a conservative collection finds some on the stack */
}

/* ---- whatever the order ------------------------------------------------------------------ */

struct sender {
	struct xyl_broadcast *broadcast;
	long n;
};

static void *send_outside(void *arg)
{
	struct sender *sender = arg;

	CHECK_EQ(xyl_thread_attach(), 0);
	for (long i = 0; i < sender->n; i++) {
		CHECK_EQ(xyl_broadcast_send(sender->broadcast, &i), 0);
		if (test_random() % 8 == 0)
			sched_yield();
	}
	xyl_broadcast_close(sender->broadcast);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(all_that_is_sent_is_received_or_told_to_be_missed)
{
	static struct sender sender;
	struct driven driven = drive_begin(NULL);
	struct xyl_task *tasks[3];
	long all[3] = { 0 };
	pthread_t thread;

	sender.broadcast = xyl_broadcast_new(sizeof(long), 16);
	sender.n = (long)test_scaled(5000);
	for (int i = 0; i < 3; i++)
		tasks[i] = DRIVE_SPAWN(&driven, listen, .slow = i > 0, .ret_all = &all[i],
				       .receiver = xyl_broadcast_subscribe(sender.broadcast));
	CHECK_EQ(pthread_create(&thread, NULL, send_outside, &sender), 0);
	for (int i = 0; i < 3; i++) {
		drive_until_done(&driven, tasks[i]);
		CHECK_EQ(all[i], sender.n);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	drive_end(&driven);
	sender.broadcast = NULL;
}
