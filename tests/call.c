/* SPDX-License-Identifier: MIT */
/* Async functions that call others, and the frames in which arguments arrive. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "tests/drive.h"
#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

struct fibonacci {
	struct xyl_frame frame;
	ssize_t of, a, b;
};

static xyl_step fibonacci(void *frame)
{
	struct fibonacci *self = frame;

	XYL_BEGIN(self)
	if (self->of < 2)
		XYL_RETURN(self->of);
	XYL_AWAIT(self->a, xyl_call(fibonacci, .of = self->of - 1));
	XYL_AWAIT(self->b, xyl_call(fibonacci, .of = self->of - 2));
	XYL_END(self->a + self->b);
}

TEST(a_call_returns_its_result_to_its_caller)
{
	CHECK_EQ(RUN(fibonacci, .of = 12), 144);
}

struct descend {
	struct xyl_frame frame;
	ssize_t depth, n;
};

static xyl_step descend(void *frame)
{
	struct descend *self = frame;

	XYL_BEGIN(self)
	if (self->depth == 0) {
		XYL_AWAIT(self->n, xyl_sleep(0));
		XYL_RETURN(self->n);
	}
	XYL_AWAIT(self->n, xyl_call(descend, .depth = self->depth - 1));
	XYL_END(self->n < 0 ? self->n : self->n + 1);
}

TEST(depth_costs_no_machine_stack)
{
	size_t depth = test_scaled(200000);

	CHECK_EQ(RUN(descend, .depth = (ssize_t)depth), depth);
}

TEST(a_task_aborted_at_depth_unwinds_through_every_caller)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_task *task = DRIVE_SPAWN(&driven, descend, .depth = 10);

	xyl_abort(task);
	drive_until_done(&driven, task);
	CHECK_EQ(xyl_result(task), -ECANCELED);
	drive_end(&driven);
}

/* Frames of each size around those that are copied word by word. */
#define FRAME_OF(words)                                          \
	struct sum_##words {                                     \
		struct xyl_frame frame;                          \
		uint64_t word[words];                            \
	};                                                       \
	static xyl_step sum_##words(void *frame)                 \
	{                                                        \
		struct sum_##words *self = frame;                \
		ssize_t sum;                                     \
                                                                 \
		XYL_BEGIN(self)                                  \
		sum = 0;                                         \
		for (int i = 0; i < words; i++)                  \
			sum = sum * 10 + (ssize_t)self->word[i]; \
		XYL_END(sum);                                    \
	}

FRAME_OF(1)
FRAME_OF(2)
FRAME_OF(3)
FRAME_OF(4)
FRAME_OF(5)
FRAME_OF(9)

struct sum_all {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step sum_all(void *frame)
{
	struct sum_all *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(sum_1, .word = { 1 }));
	CHECK_EQ(self->n, 1);
	XYL_AWAIT(self->n, xyl_call(sum_2, .word = { 1, 2 }));
	CHECK_EQ(self->n, 12);
	XYL_AWAIT(self->n, xyl_call(sum_3, .word = { 1, 2, 3 }));
	CHECK_EQ(self->n, 123);
	XYL_AWAIT(self->n, xyl_join(xyl_spawn(sum_4, .word = { 1, 2, 3, 4 })));
	CHECK_EQ(self->n, 1234);
	XYL_AWAIT(self->n, xyl_join(xyl_spawn(sum_5, .word = { 1, 2, 3, 4, 5 })));
	CHECK_EQ(self->n, 12345);
	XYL_AWAIT(self->n, xyl_join(xyl_spawn(sum_9, .word = { 1, 2, 3, 4, 5, 6, 7, 8, 9 })));
	CHECK_EQ(self->n, 123456789);
	XYL_END(0);
}

TEST(arguments_arrive_in_frames_of_any_size)
{
	CHECK_EQ(RUN(sum_all), 0);
}

struct large {
	struct xyl_frame frame;
	unsigned char bytes[100000];
	ssize_t n;
};

static xyl_step large(void *frame)
{
	struct large *self = frame;

	XYL_BEGIN(self)
	for (size_t i = 0; i < sizeof(self->bytes); i++)
		CHECK_EQ(self->bytes[i], i == 7 ? 9 : 0);
	memset(self->bytes, 1, sizeof(self->bytes));
	XYL_AWAIT(self->n, xyl_yield());
	for (size_t i = 0; i < sizeof(self->bytes); i++)
		CHECK_EQ(self->bytes[i], 1);
	XYL_END(0);
}

TEST(a_frame_may_be_large_and_begins_zeroed_but_for_its_arguments)
{
	CHECK_EQ(RUN(large, .bytes[7] = 9), 0);
}

struct aligned {
	struct xyl_frame frame;
	max_align_t unit;
	ssize_t n;
};

static xyl_step aligned(void *frame)
{
	struct aligned *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ((uintptr_t)&self->unit % _Alignof(max_align_t), 0);
	XYL_AWAIT(self->n, xyl_yield());
	XYL_END(0);
}

struct spawn_and_call_aligned {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step spawn_and_call_aligned(void *frame)
{
	struct spawn_and_call_aligned *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(aligned));
	XYL_AWAIT(self->n, xyl_join(xyl_spawn(aligned)));
	XYL_END(self->n);
}

TEST(a_frame_is_aligned_for_anything_as_malloc_is)
{
	CHECK_EQ(RUN(spawn_and_call_aligned), 0);
}
