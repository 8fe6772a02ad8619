/* SPDX-License-Identifier: MIT */
/* A stop waits for what cleans up, but not past its deadline. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/asyncs.h"
#include "tests/drive.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { WAIT_MS = 20000 };

struct holder {
	struct xyl_frame frame;
	int fd;
	void *buf;
	ssize_t n;
};

/* A shielded read into foreign memory: no abort and no cancel ends it. */
static xyl_step holder(void *frame)
{
	struct holder *self = frame;

	XYL_BEGIN(self)
	xyl_shield_begin();
	XYL_AWAIT(self->n, xyl_poll(self->fd, POLLIN));
	xyl_shield_end();
	XYL_END(self->n);
}

TEST(a_stop_past_its_deadline_says_so_and_a_later_one_goes_on)
{
	struct driven driven = drive_begin(NULL);
	int bell = eventfd(0, EFD_CLOEXEC);
	struct xyl_task *task = DRIVE_SPAWN(&driven, holder, .fd = bell);
	uint64_t one_more = 1;

	drive(&driven, 3);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 1);
	CHECK_EQ(xyl_runtime_stop(driven.rt, XYL_MS), -ETIMEDOUT);
	CHECK_EQ(drive_stats(&driven).live, 1);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 1);
	CHECK_EQ(drive_stats(&driven).leaked_pins, 1);
	CHECK(DRIVE_SPAWN(&driven, give) == NULL);
	CHECK(!xyl_is_done(task));
	CHECK(write(bell, &one_more, sizeof(one_more)) == sizeof(one_more));
	CHECK_EQ(xyl_runtime_stop(driven.rt, 10 * XYL_SEC), 0);
	CHECK_EQ(drive_stats(&driven).leaked_pins, 0);
	CHECK_EQ(xyl_result(task), POLLIN);
	close(bell);
	drive_end(&driven);
}

TEST(a_started_runtime_past_its_deadline_says_so_too)
{
	struct census before = census_take();
	int bell = eventfd(0, EFD_CLOEXEC);
	struct xyl_runtime *rt;
	struct xyl_task *task;
	struct xyl_stats stats;
	uint64_t one_more = 1;

	CHECK_EQ(xyl_runtime_new(&rt, NULL), 0);
	CHECK_EQ(xyl_runtime_start(rt), 0);
	task = xyl_runtime_spawn(rt, XYL_HERE, holder, .fd = bell);
	do
		xyl_runtime_stats(rt, &stats);
	while (stats.ops_outstanding == 0);
	CHECK_EQ(xyl_runtime_stop(rt, XYL_MS), -ETIMEDOUT);
	xyl_runtime_stats(rt, &stats);
	CHECK_EQ(stats.live, 1);
	CHECK_EQ(stats.leaked_pins, 1);
	CHECK(write(bell, &one_more, sizeof(one_more)) == sizeof(one_more));
	CHECK_EQ(xyl_runtime_stop(rt, 10 * XYL_SEC), 0);
	CHECK_EQ(xyl_result(task), POLLIN);
	close(bell);
	census_check(&before, rt);
}

struct stubborn {
	struct xyl_frame frame;
	int *awaits;
	ssize_t n;
};

/* Ends only after so many awaits were cancelled. */
static xyl_step stubborn(void *frame)
{
	struct stubborn *self = frame;

	XYL_BEGIN(self)
	while (*self->awaits > 0) {
		XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
		CHECK_EQ(self->n, -ECANCELED);
		--*self->awaits;
	}
	XYL_END(17);
}

TEST(the_stop_waits_for_tasks_that_clean_up)
{
	struct driven driven = drive_begin(NULL);
	int awaits = 1000;
	struct xyl_task *task = DRIVE_SPAWN(&driven, stubborn, .awaits = &awaits);

	drive(&driven, 1);
	CHECK_EQ(xyl_runtime_stop(driven.rt, 10 * XYL_SEC), 0);
	CHECK_EQ(awaits, 0);
	CHECK_EQ(xyl_result(task), 17);
	CHECK(xyl_is_aborted(task));
	drive_end(&driven);
}

struct breeder {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step breeder(void *frame)
{
	struct breeder *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(LONG_NS));
	CHECK_EQ(self->n, -ECANCELED);
	CHECK(xyl_spawn(give) == NULL);
	XYL_END(0);
}

TEST(a_runtime_that_stops_refuses_new_tasks)
{
	struct driven driven = drive_begin(NULL);

	CHECK(DRIVE_SPAWN(&driven, breeder) != NULL);
	drive(&driven, 1);
	CHECK_EQ(xyl_runtime_stop(driven.rt, 10 * XYL_SEC), 0);
	CHECK_EQ(drive_stats(&driven).spawned, 1);
	drive_end(&driven);
}

struct overrun {
	struct xyl_frame frame;
	int fd;
	ssize_t n;
};

static xyl_step overrun(void *frame)
{
	struct overrun *self = frame;

	XYL_BEGIN(self)
	CHECK(xyl_spawn(holder, .fd = self->fd) != NULL);
	XYL_AWAIT(self->n, xyl_sleep(0));
	XYL_END(1);
}

TEST(run_says_when_it_could_not_stop_in_time)
{
	struct xyl_config config = { .quiesce_ns = XYL_MS };
	int bell = eventfd(0, EFD_CLOEXEC);

	test_leaves(LEAVES_SHARDS | LEAVES_DESCRIPTORS | LEAVES_OBJECTS,
		    "a shard in the graveyard, with its ring, its doorbell and its pins");
	CHECK_EQ(xyl_run_with(&config, overrun, .fd = bell), -ETIMEDOUT);
	close(bell);
}
