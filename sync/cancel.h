/* SPDX-License-Identifier: MIT */
/*
 * cancel.h - a token, and those who wait until it is fired.
 *
 *	root ─── a ─── b		parent: always set; firing a fires b, too
 *	     └── c			children: only those that are waited for
 *
 * A token is *linked* into its parent while somebody waits for it, or for one below it.
 */
#ifndef XYLI_SYNC_CANCEL_H
#define XYLI_SYNC_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "sync/line.h"
#include "xylem/xylem.h"

struct xyl_cancel {
	struct xyl_cancel *parent;
	struct xyl_cancel *children;	/* the linked ones */
	struct xyl_cancel *next, *prev; /* among its parent's */
	struct xyli_line line;		/* its lock is the whole tree's */
	atomic_bool fired;		/* itself, or on the way down from above */
	bool linked;
};

/* `wait`, with its kind and shard set, waits in the token's line from now on; what it is
 * given is 0.  False: the token has been fired, and it does not.  `on` is the line. */
bool xyli_cancel_enter(struct xyl_cancel *token, struct xyli_wait *wait);

/* It does no more.  False: it has been claimed, and its 0 is on its way. */
bool xyli_cancel_leave(struct xyli_wait *wait);

#endif
