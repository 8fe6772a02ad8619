/* SPDX-License-Identifier: MIT */
/*
 * Any result from the real kernel: a NOP gives what it is told to (Linux 6.10).
 *
 * Whatever it is, it wakes its waiter once, with the right value.
 */
#include <errno.h>
#include <limits.h>

#include "rt/op.h"
#include "tests/hand.h"

#define NOP_INJECT_RESULT 1u /* in the SQE's nop_flags; the result in its len */

enum { ERRNO_MAX = 4095, WIDTH = 64, LINKS = 8 };

/* ---- which results ---------------------------------------------------------------------- */

/* 1 to 4095 are errnos, more are the results that are none. */
static const int32_t others[] = { 0, 1, 2, 511, 512, 516, 4095, 4096, 65536, 1 << 30, INT_MAX };

enum { RESULTS = ERRNO_MAX + sizeof(others) / sizeof(*others) };

static int32_t result_at(size_t i)
{
	return i < ERRNO_MAX ? -1 - (int32_t)i : others[i - ERRNO_MAX];
}

/* A sample of the errnos where a run is slow or each is dear, and all of the others. */
static size_t result_next(size_t i, size_t dear)
{
	size_t next = i + dear * (RESULTS / test_scaled(RESULTS));

	if (i >= ERRNO_MAX)
		return i + 1;
	return next < ERRNO_MAX ? next : ERRNO_MAX;
}

/* What the loop makes of it: ERESTARTSYS and its kin are EINTR by another name. */
static int32_t result_expected(int32_t result)
{
	return result <= -512 && result >= -516 ? -EINTR : result;
}

static void prep_inject(struct io_uring_sqe *sqe, void *arg)
{
	const int32_t *result = arg;

	io_uring_prep_nop(sqe);
	sqe->rw_flags = (int)NOP_INJECT_RESULT;
	sqe->len = (uint32_t)*result;
}

/* By a thread of the kernel's, so that it is done a little later. */
static void prep_inject_async(struct io_uring_sqe *sqe, void *arg)
{
	prep_inject(sqe, arg);
	sqe->flags = IOSQE_ASYNC;
}

static bool kernel_injects(void)
{
	struct driven driven = hand_begin(NULL);
	int32_t result = 42;
	ssize_t n = HAND_SUBMIT(&driven, .prep = prep_inject, .arg = &result);

	drive_end(&driven);
	return n == 42;
}

#define NEEDS_INJECTION()                                          \
	do {                                                       \
		if (!kernel_injects())                             \
			SKIP("this kernel's NOP injects nothing"); \
	} while (0)

/* ---- by xyl_submit ------------------------------------------------------------------------ */

struct injections {
	struct xyl_frame frame;
	size_t i;
	int32_t result;
	int resumed;
	ssize_t n;
};

static xyl_step injections(void *frame)
{
	struct injections *self = frame;

	XYL_BEGIN(self)
	for (; self->i < RESULTS; self->i = result_next(self->i, 1)) {
		self->result = result_at(self->i);
		self->resumed = 0;
		XYL_AWAIT(self->n, xyl_submit(prep_inject, &self->result, NULL, 0));
		self->resumed++;
		CHECK_EQ(self->resumed, 1);
		CHECK_EQ(self->n, result_expected(self->result));
	}
	XYL_END(0);
}

TEST(each_result_wakes_who_submitted_once_and_is_his)
{
	NEEDS_INJECTION();
	CHECK_EQ(RUN(injections), 0);
}

/* Many at once: none takes another's. */
TEST(results_of_many_are_not_mixed_up)
{
	struct driven driven;
	struct xyl_task *tasks[WIDTH];
	int32_t *results = xyl_alloc_bytes(WIDTH * sizeof(*results));

	NEEDS_INJECTION();
	driven = hand_begin(NULL);
	for (size_t round = 0; round < test_scaled(100); round++) {
		for (int i = 0; i < WIDTH; i++) {
			results[i] = result_at(test_random() % RESULTS);
			tasks[i] = DRIVE_SPAWN(&driven, hand_submit, .arg = &results[i],
					       .prep = i % 2 ? prep_inject : prep_inject_async);
		}
		for (int i = 0; i < WIDTH; i++)
			CHECK_EQ(hand_join(&driven, tasks[i]), result_expected(results[i]));
	}
	drive_end(&driven);
}

/* ---- linked ---------------------------------------------------------------------------------- */

struct chain {
	struct xyl_frame frame;
	const int32_t *wanted;
	ssize_t *results;
	ssize_t n;
};

static xyl_pending chain_start(const struct chain *self)
{
	struct xyl_submission chain[LINKS];

	for (int i = 0; i < LINKS; i++)
		chain[i] = (struct xyl_submission){ .prep = prep_inject,
						    .arg = (void *)(uintptr_t)&self->wanted[i] };
	return xyl_submit_linked(chain, LINKS, self->results);
}

static xyl_step chain(void *frame)
{
	struct chain *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, chain_start(self));
	XYL_END(self->n);
}

TEST(any_failure_ends_a_chain_and_no_success_does)
{
	int32_t *wanted = xyl_alloc_bytes(LINKS * sizeof(*wanted));
	ssize_t *results = xyl_alloc_bytes(LINKS * sizeof(*results));
	struct driven driven;

	NEEDS_INJECTION();
	driven = hand_begin(NULL);
	for (size_t at = 0; at < RESULTS; at = result_next(at, 7)) {
		int32_t result = result_at(at), expected = result_expected(result);
		int failing = (int)(test_random() % LINKS);

		for (int i = 0; i < LINKS; i++)
			wanted[i] = i == failing ? result : i;
		CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, chain, .wanted = wanted,
							.results = results)),
			 expected < 0 ? expected : 0);
		for (int i = 0; i < LINKS; i++)
			if (i > failing && expected < 0)
				CHECK_EQ(results[i], -ECANCELED);
			else
				CHECK_EQ(results[i], i == failing ? expected : i);
	}
	drive_end(&driven);
}

/* ---- for nobody ------------------------------------------------------------------------------ */

/* Its result stands in the ring when it is aborted; false: it was too fast. */
static bool abort_unreaped(const struct driven *driven, int32_t *result, void *pin,
			   ssize_t *ret_result)
{
	struct xyl_task *task = DRIVE_SPAWN(driven, hand_submit, .prep = prep_inject_async,
					    .arg = result, .pins = &pin, .npins = 1);
	bool unreaped;

	hand_turn(driven);
	unreaped = drive_stats(driven).ops_outstanding;
	if (unreaped)
		hand_completion(driven);
	xyl_abort(task);
	*ret_result = hand_join(driven, task);
	hand_drained(driven);
	return unreaped;
}

TEST(a_result_that_came_too_late_is_not_taken_for_a_descriptor)
{
	int32_t *result = xyl_alloc_bytes(sizeof(*result));
	struct driven driven;
	size_t fds;
	ssize_t n;

	NEEDS_INJECTION();
	driven = hand_begin(NULL);
	fds = test_fd_count();
	for (size_t at = 0; at < RESULTS; at = result_next(at, 13)) {
		*result = result_at(at);
		if (abort_unreaped(&driven, result, NULL, &n))
			CHECK_EQ(n, -ECANCELED);
		else
			CHECK_EQ(n, result_expected(*result));
	}
	CHECK_EQ(test_fd_count(), fds);
	CHECK_EQ(drive_stats(&driven).closed_late, 0);
	CHECK_EQ(drive_stats(&driven).adopted_results, 0);
	drive_end(&driven);
}

/* With a foreign pin it is waited for.  Interrupted means cancelled, then. */
TEST(a_result_that_is_waited_for_through_an_abort_is_kept)
{
	static int32_t result;
	struct driven driven;
	size_t hits = 0;
	ssize_t n;

	NEEDS_INJECTION();
	driven = hand_begin(NULL);
	for (size_t at = 0; at < RESULTS; at = result_next(at, 13)) {
		result = at % 3 ? result_at(at) : -512 - (int32_t)(at % 5);
		if (!abort_unreaped(&driven, &result, &result, &n))
			continue;
		hits++;
		CHECK_EQ(n, result_expected(result) == -EINTR ? -ECANCELED : result);
	}
	CHECK(hits > 0);
	drive_end(&driven);
}

/* ---- by operations of the tests' own --------------------------------------------------------- */

struct probe {
	struct xyli_op op; /* first */
	unsigned settled;
	int res;
	unsigned again; /* so often it is interrupted yet */
};

static void probe_settle(struct xyli_op *op, int res, unsigned cqe_flags)
{
	struct probe *probe = (struct probe *)op;

	(void)cqe_flags;
	probe->settled++;
	probe->res = res;
	if (probe->again && (res == -EINTR || res == -EAGAIN)) {
		if (--probe->again == 0)
			op->len = 7;
		xyli_op_start(op->shard, op, op->waiter);
		return;
	}
	xyli_op_wake(op, res);
}

static const struct xyli_op_kind probe_kind = { .name = "probe", .settle = probe_settle };

static struct probe *probe_new(int32_t result)
{
	struct probe *probe = xyl_new(struct probe);

	probe->op.kind = &probe_kind;
	probe->op.opcode = IORING_OP_NOP;
	probe->op.fd = -1;
	probe->op.op_flags = NOP_INJECT_RESULT;
	probe->op.len = (uint32_t)result;
	return probe;
}

struct probes {
	struct xyl_frame frame;
	size_t i;
	struct probe *awaited, *alone;
	int turns;
	ssize_t n;
};

static xyl_step probes(void *frame)
{
	struct probes *self = frame;

	XYL_BEGIN(self)
	for (; self->i < RESULTS; self->i = result_next(self->i, 1)) {
		self->alone = probe_new(result_at(self->i));
		self->awaited = probe_new(result_at(self->i));
		xyli_op_start(xyli_here, &self->alone->op, NULL);
		XYL_AWAIT(self->n, xyli_op_await(xyli_here, &self->awaited->op));
		CHECK_EQ(self->n, result_expected(result_at(self->i)));
		CHECK_EQ(self->awaited->res, self->n);
		CHECK_EQ(self->alone->res, self->n);
		CHECK_EQ(self->awaited->settled, 1);
		CHECK_EQ(self->alone->settled, 1);
		CHECK(xyli_op_is_free(&self->awaited->op));
		CHECK(xyli_op_is_free(&self->alone->op));
	}
	for (self->turns = 0; self->turns < 5; self->turns++)
		XYL_AWAIT(self->n, xyl_sleep(0));
	CHECK_EQ(self->awaited->settled, 1);
	CHECK_EQ(self->alone->settled, 1);
	XYL_END(0);
}

TEST(each_result_settles_its_operation_once)
{
	NEEDS_INJECTION();
	CHECK_EQ(RUN(probes), 0);
}

struct interruptions {
	struct xyl_frame frame;
	struct probe *probe;
	int i;
	ssize_t n;
};

/* Each way in which an interruption may be put, three times, and then a result. */
static xyl_step interruptions(void *frame)
{
	static const int32_t ways[] = { -EINTR, -EAGAIN, -512, -513, -514, -515, -516 };
	struct interruptions *self = frame;

	XYL_BEGIN(self)
	for (self->i = 0; self->i < 7; self->i++) {
		self->probe = probe_new(ways[self->i]);
		self->probe->again = 3;
		XYL_AWAIT(self->n, xyli_op_await(xyli_here, &self->probe->op));
		CHECK_EQ(self->n, 7);
		CHECK_EQ(self->probe->settled, 4);
	}
	XYL_END(0);
}

TEST(an_interrupted_operation_that_is_started_again_wakes_once)
{
	NEEDS_INJECTION();
	CHECK_EQ(RUN(interruptions), 0);
}
