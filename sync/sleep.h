/* SPDX-License-Identifier: MIT */
/* sleep.h - sleeping, for what is made of it. */
#ifndef XYLI_SYNC_SLEEP_H
#define XYLI_SYNC_SLEEP_H

#include "spawn/task.h"

/* On its shard's clock.  Without memory the task does not wait, and has -ENOMEM. */
xyl_pending xyli_sleep_till(struct xyl_task *task, int64_t when);

#endif
