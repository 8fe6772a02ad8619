/* SPDX-License-Identifier: MIT */
/* timer.h - a shard's timers: a heap in user space, whose first deadline ends the ring's wait. */
#ifndef XYLI_RT_TIMER_H
#define XYLI_RT_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "gc/chunks.h"
#include "rt/clock.h"

struct xyli_timer { /* lies in what waits: no allocation a timer */
	void (*fire)(struct xyli_timer *timer);
	uint32_t place; /* in the heap, from 1; 0: not running */
};

struct xyli_timers { /* in scanned memory: a running timer keeps what it lies in */
	struct xyli_chunks entries;
	uint32_t count;
};

int xyli_timer_start(struct xyli_timers *timers, struct xyli_timer *timer,
		     int64_t when_ns); /* -ENOMEM */
void xyli_timer_stop(struct xyli_timers *timers,
		     struct xyli_timer *timer); /* no-op if not running */

/* `to` takes the place of `from`, which is then not running. */
void xyli_timer_move(struct xyli_timers *timers, struct xyli_timer *from, struct xyli_timer *to);

/* Stop and fire each timer whose time has come, earliest first. */
void xyli_timers_fire(struct xyli_timers *timers, int64_t now_ns);

int64_t xyli_timers_next(const struct xyli_timers *timers); /* XYLI_NEVER: none */
void xyli_timers_check(const struct xyli_timers *timers);

#endif
