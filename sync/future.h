/* SPDX-License-Identifier: MIT */
/* future.h - what a select asks of a future. */
#ifndef XYLI_SYNC_FUTURE_H
#define XYLI_SYNC_FUTURE_H

#include "rt/wait.h"
#include "xylem/xylem.h"

bool xyli_future_has(const struct xyl_future *future, ssize_t *ret_value);
bool xyli_future_is_ours(const struct xyl_future *future); /* this shard's tasks may wait for it */

/* Of this shard.  False: the value is there. */
bool xyli_future_enter(struct xyl_future *future, struct xyli_wait *wait);
void xyli_future_leave(struct xyl_future *future, struct xyli_wait *wait); /* if it is there */

#endif
