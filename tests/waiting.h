/* SPDX-License-Identifier: MIT */
/* waiting.h - of a runtime that is driven by hand: turn until a task waits. */
#ifndef TEST_WAITING_H
#define TEST_WAITING_H

#include "spawn/task.h"
#include "tests/drive.h"

__attribute__((unused)) static void drive_until_waiting(const struct driven *driven,
							const struct xyl_task *task)
{
	while (task->wait.state != XYLI_WAITING) {
		CHECK(!xyl_is_done(task));
		CHECK(drive(driven, 1) >= 0);
	}
}

#endif
