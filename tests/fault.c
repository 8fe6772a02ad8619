/* SPDX-License-Identifier: MIT */
/* The n-th allocation fails, for each n: an error, and nothing else, comes of it. */
#include <errno.h>
#include <string.h>

#include "tests/faults.h"
#include "tests/run.h"
#include "tests/work.h"
#include "xylem/xylem.h"

static bool work_may_fail_with(ssize_t error, bool by_name)
{
	(void)by_name;
	return error == -ENOMEM;
}

static void work_refused(ssize_t error)
{
	CHECK_EQ(error, -ENOMEM);
	CHECK(strstr(xyl_runtime_why(), "memory") != NULL);
}

/* ---- the sweeps ------------------------------------------------------------------------------ */

/* What is closed late, or by a finalizer, is closed by now. */
static void settle(void)
{
	faults_plan(0, 0);
	for (int i = 0; i < 2; i++)
		xyl_collect();
	CHECK(xyl_run(child) == 11);
}

static bool sweep_step(ssize_t (*way)(void), size_t at, size_t count, size_t *ret_failed)
{
	struct census before = census_take();
	size_t reached;

	faults_plan(at, count);
	*ret_failed += way() > 0;
	reached = faults_reached();
	settle();
	census_check(&before, NULL);
	return reached >= at;
}

/* From the first allocation to the last; how many of them were missed. */
static size_t sweep(ssize_t (*way)(void), size_t count)
{
	size_t stride = test_scaled(1000) < 1000 ? 11 : 1; /* where a run is slow, a sample */
	size_t failed = 0, n = 1 + test_random() % stride;

	work_begin();
	settle();
	while (sweep_step(way, n, count, &failed))
		n += stride;
	work_end();
	CHECK(n > 10);
	return failed;
}

TEST(without_a_fault_all_succeeds)
{
	work_begin();
	faults_plan(0, 0);
	CHECK_EQ(RUN(all), 0);
	work_end();
}

/* A collection may have made room: the second try counts. */
TEST(a_failure_that_a_collection_mends_is_not_seen)
{
	CHECK_EQ(sweep(work_run, 1), 0);
}

TEST(the_nth_allocation_fails)
{
	CHECK(sweep(work_run, 2) > 0);
}

TEST(ten_allocations_in_a_row_fail)
{
	CHECK(sweep(work_run, 20) > 0);
}

TEST(the_nth_allocation_of_a_started_runtime_fails)
{
	CHECK(sweep(work_start, 2) > 0);
}

TEST(the_nth_allocation_of_a_driven_runtime_fails)
{
	CHECK(sweep(work_drive, 2) > 0);
}
