/* SPDX-License-Identifier: MIT */
/* Provided buffers that are lent: held, returned, dropped. */
#include <pthread.h>
#include <stdlib.h>

#include "tests/lender.h"

enum { MANY = 64 };

/* ---- what is held lives --------------------------------------------------------------------- */

static void held_is_intact(const struct lender *lender, char *const *at)
{
	for (int i = 0; i < 3; i++) {
		collect(&lender->driven);
		xyl_collect();
		churn(lender);
	}
	CHECK_EQ(lent(lender), 1);
	CHECK(!memcmp(*at, "precious", 8));
}

static void held_is_dropped(const struct lender *lender)
{
	collect(&lender->driven);
	CHECK(lent(lender) <= STRAY);
}

static char *in_static;

TEST(bytes_in_static_memory_are_kept_until_they_are_dropped)
{
	struct lender lender = lender_begin();

	in_static = borrow(&lender, "precious");
	held_is_intact(&lender, &in_static);
	in_static = NULL;
	held_is_dropped(&lender);
	lender_end(&lender);
}

/* Not their first byte, but some other. */
static char *in_the_middle;

__attribute__((noinline)) static void borrow_the_middle(const struct lender *lender)
{
	in_the_middle = borrow(lender, "..precious") + 2;
}

TEST(a_pointer_into_the_bytes_keeps_them)
{
	struct lender lender = lender_begin();

	borrow_the_middle(&lender);
	held_is_intact(&lender, &in_the_middle);
	in_the_middle = NULL;
	held_is_dropped(&lender);
	lender_end(&lender);
}

struct holder {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *bytes;
	ssize_t n;
};

/* It reads, and then waits for ever. */
static xyl_step holder(void *frame)
{
	struct holder *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_some(self->io, &self->bytes));
	XYL_AWAIT(self->n, xyl_sleep(3600 * XYL_SEC));
	CHECK(!memcmp(self->bytes, "precious", 8));
	XYL_END(self->n);
}

__attribute__((noinline)) static void hold_in_a_frame(const struct lender *lender)
{
	struct xyl_task *task = DRIVE_SPAWN(&lender->driven, holder, .io = lender->io);

	raw_send(lender->peer, "precious");
	hand_turns(&lender->driven, 3);
	for (int i = 0; i < 3; i++) {
		collect(&lender->driven);
		xyl_collect();
		churn(lender);
	}
	CHECK_EQ(lent(lender), 1);
	xyl_abort(task);
	CHECK_EQ(hand_join(&lender->driven, task), -ECANCELED);
}

TEST(bytes_in_a_frame_are_kept_until_the_task_ends)
{
	struct lender lender = lender_begin();

	hold_in_a_frame(&lender);
	held_is_dropped(&lender);
	lender_end(&lender);
}

/* ---- what is dropped dies -------------------------------------------------------------------- */

static void borrow_many(const struct lender *lender)
{
	uint64_t before = collections();

	for (int i = 0; i < MANY; i++)
		borrow(lender, "dropped");
	CHECK(lent(lender) == MANY || collections() > before);
}

TEST(dropped_buffers_come_back_with_a_collection)
{
	struct lender lender = lender_begin();
	uint64_t before;

	borrow_many(&lender);
	before = drive_stats(&lender.driven).buffers;
	collect(&lender.driven);
	CHECK(lent(&lender) <= STRAY);
	CHECK_EQ(drive_stats(&lender.driven).buffers, before);
	churn(&lender);
	lender_end(&lender);
}

/* An idle connection names the frame of its last reader no longer. */
struct callee {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *bytes;
	ssize_t n;
};

static xyl_step callee(void *frame)
{
	struct callee *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_some(self->io, &self->bytes));
	XYL_END(self->n);
}

struct caller {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_step caller(void *frame)
{
	struct caller *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(callee, .io = self->io));
	XYL_END(self->n);
}

enum { IDLE = 32 };

__attribute__((noinline)) static void fill_idle(const struct lender *lender, struct xyl_io **ios,
						int *peers)
{
	for (int i = 0; i < IDLE; i++) {
		ios[i] = raw_socketpair(&peers[i]);
		raw_send(peers[i], "the first");
		borrow(lender, "warm"); /* there are buffers */
		SOME_READ(&lender->driven, .io = ios[i], .bound = 1);
		raw_send(peers[i], "the last");
		hand_turns(&lender->driven, 2); /* it is stored, for a reader to find */
		CHECK(hand_join(&lender->driven,
				DRIVE_SPAWN(&lender->driven, caller, .io = ios[i])) > 0);
	}
}

TEST(an_idle_connection_keeps_nothing_of_its_last_reader)
{
	struct lender lender = lender_begin();
	struct xyl_io **ios = xyl_alloc(IDLE * sizeof(struct xyl_io *));
	uint64_t before = collections();
	int peers[IDLE];

	fill_idle(&lender, ios, peers);
	CHECK(lent(&lender) > IDLE || collections() > before);
	collect(&lender.driven);
	CHECK(lent(&lender) <= STRAY);
	for (int i = 0; i < IDLE; i++) {
		HAND_CLOSE(&lender.driven, ios[i]);
		close(peers[i]);
	}
	lender_end(&lender);
}

static unsigned looked;
static struct got *raised;

/* It finds the bytes as they were, and raises the first from the dead. */
static void look_at_bytes(void *obj, void *arg)
{
	struct got *got = obj;

	(void)arg;
	CHECK(!memcmp(got->bytes, "precious", 8));
	if (looked++ == 0)
		raised = got;
}

__attribute__((noinline)) static void borrow_for_finalizers(const struct lender *lender)
{
	for (int i = 0; i < MANY; i++) {
		struct got *got = xyl_new(struct got);

		got->bytes = borrow(lender, "precious");
		CHECK_EQ(xyl_on_collect(got, look_at_bytes, NULL), 0);
	}
}

TEST(a_finalizer_finds_the_bytes_as_they_were)
{
	struct lender lender = lender_begin();

	looked = 0;
	borrow_for_finalizers(&lender);
	for (int i = 0; i < 4; i++) {
		collect(&lender.driven);
		churn(&lender);
	}
	CHECK(looked >= MANY - STRAY);
	CHECK(!memcmp(raised->bytes, "precious", 8));
	raised = NULL;
	collect(&lender.driven);
	CHECK(lent(&lender) <= STRAY);
	lender_end(&lender);
}

__attribute__((noinline)) static void borrow_weakly(const struct lender *lender,
						    struct xyl_weak **weaks)
{
	for (int i = 0; i < MANY; i++)
		weaks[i] = xyl_weak_new(borrow(lender, "precious"));
}

TEST(a_weak_reference_does_not_lead_to_a_buffer_that_was_dropped)
{
	struct lender lender = lender_begin();
	struct xyl_weak **weaks = xyl_alloc(MANY * sizeof(struct xyl_weak *));
	int left = 0;

	borrow_weakly(&lender, weaks);
	collect(&lender.driven);
	for (int i = 0; i < MANY; i++)
		left += xyl_weak_get(weaks[i]) != NULL;
	CHECK(left <= STRAY);
	lender_end(&lender);
}

/* ---- another thread collects ----------------------------------------------------------------- */

/* In the check build it waits until the shard's thread is parked. */
static void *collect_there(void *arg)
{
	uint64_t before;

	(void)arg;
	CHECK_EQ(xyl_thread_attach(), 0);
	for (before = collections(); collections() == before; sched_yield())
		xyl_collect();
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

static void join_thread(void *arg)
{
	pthread_t *thread = arg;

	CHECK_EQ(pthread_join(*thread, NULL), 0);
}

TEST(another_threads_collection_finds_what_was_dropped)
{
	struct lender lender = lender_begin();
	pthread_t thread;

	borrow_many(&lender);
	CHECK_EQ(pthread_create(&thread, NULL, collect_there, NULL), 0);
	xyli_world_park(join_thread, &thread);
	hand_turn(&lender.driven);
	CHECK(lent(&lender) <= MANY / 4); /* its collections are conservative in any build */
	churn(&lender);
	lender_end(&lender);
}

/* ---- giving back ----------------------------------------------------------------------------- */

TEST(a_returned_buffer_is_the_kernels_again)
{
	struct lender lender = lender_begin();
	char *bytes = borrow(&lender, "x");

	CHECK_EQ(lent(&lender), 1);
	SOME_DONE(&lender.driven, bytes);
	CHECK_EQ(lent(&lender), 0);
	SOME_DONE(&lender.driven, bytes); /* once is enough */
	CHECK_EQ(lent(&lender), 0);
	bytes = borrow(&lender, "0123456789");
	SOME_DONE(&lender.driven, bytes + 9);
	CHECK_EQ(lent(&lender), 0);
	lender_end(&lender);
}

/* As large as a buffer, with a number that is one's. */
static char *pretender(void)
{
	uint64_t *block = xyl_alloc_bytes(4080);

	memset(block, 0, 4080);
	return (char *)(block + 2);
}

TEST(what_is_no_buffer_may_be_given_back_for_nothing)
{
	static char in_static_memory[64];
	struct lender lender = lender_begin();
	char on_stack[64], *bytes = borrow(&lender, "precious"), *small = xyl_alloc_bytes(5);
	char *in_malloc = malloc(64);

	memcpy(small, "small", 5);
	SOME_DONE(&lender.driven, NULL);
	SOME_DONE(&lender.driven, on_stack);
	SOME_DONE(&lender.driven, in_static_memory);
	SOME_DONE(&lender.driven, in_malloc);
	SOME_DONE(&lender.driven, small);
	SOME_DONE(&lender.driven, pretender());
	SOME_DONE(&lender.driven, (char *)8);
	CHECK_EQ(lent(&lender), 1);
	churn(&lender);
	CHECK(!memcmp(bytes, "precious", 8));
	free(in_malloc);
	lender_end(&lender);
}

TEST(bytes_that_were_put_back_may_be_given_back_for_nothing)
{
	struct lender lender = lender_begin();
	struct got *got = xyl_new(struct got);
	struct xyl_task *reader = DRIVE_SPAWN(&lender.driven, hand_read, .io = lender.io,
					      .buf = xyl_alloc_bytes(16), .len = 16);

	hand_turn(&lender.driven);
	raw_send(lender.peer, "put");
	hand_completion(&lender.driven);
	xyl_abort(reader);
	hand_join(&lender.driven, reader);
	SOME_READ(&lender.driven, .io = lender.io, .got = got);
	GOT_TEXT(got, "put");
	CHECK_EQ(lent(&lender), 0);
	SOME_DONE(&lender.driven, got->bytes);
	SOME_DONE(&lender.driven, got->bytes);
	GOT_TEXT(got, "put");
	lender_end(&lender);
}

static void *give_back_there(void *bytes)
{
	CHECK_EQ(xyl_thread_attach(), 0);
	xyl_read_done(bytes);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(from_elsewhere_giving_back_does_nothing)
{
	struct lender lender = lender_begin();
	char *bytes = borrow(&lender, "precious");
	pthread_t thread;

	xyl_read_done(bytes);
	CHECK_EQ(pthread_create(&thread, NULL, give_back_there, bytes), 0);
	xyli_world_park(join_thread, &thread);
	CHECK_EQ(lent(&lender), 1);
	churn(&lender);
	CHECK(!memcmp(bytes, "precious", 8));
	lender_end(&lender);
}
