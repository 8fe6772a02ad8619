/* SPDX-License-Identifier: MIT */
/* runtime.h - the shards of a program, started and stopped together. */
#ifndef XYLI_SPAWN_RUNTIME_H
#define XYLI_SPAWN_RUNTIME_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "rt/latch.h"
#include "rt/shard.h"
#include "rt/timer.h"
#include "xylem/xylem.h"

enum xyli_runtime_state {
	XYLI_RT_BY_HAND, /* driven by the caller; start or stop leaves it */
	XYLI_RT_STARTED, /* a thread runs the shard; its end leaves it */
	XYLI_RT_STOPPED, /* quiesced; only the statistics remain */
};

struct xyl_runtime {
	struct xyli_shard *shard;
	int64_t quiesce_ns;
	_Atomic(enum xyli_runtime_state) state;
	pthread_t thread;
	struct xyli_latch *started; /* the thread has entered, or failed to */
	struct xyli_latch *stopped; /* the thread has quiesced and left */
	struct xyli_post stop_post;
	atomic_bool stop_asked, joined;
	bool attached;		      /* the thread is, or was */
	int error;		      /* of its start */
	int lost;		      /* of its end: the ring had failed; 0 */
	int drive_fd, drive_timer_fd; /* for xyl_runtime_fd; -1 */
};

/* Turn until all is quiet or the time is up: 0, -ETIMEDOUT, or XYLI_LOST: the ring has
 * failed with operations in it, of which nothing more is to be expected (quiesce.c). */
int xyli_quiesce(struct xyli_shard *shard, int64_t until_ns);

/* Turn until quiet, or lost, however long it takes: what a shard's thread does once it is
 * asked. */
void xyli_quiesce_begin(struct xyli_shard *shard);
bool xyli_quiesce_step(struct xyli_shard *shard);
bool xyli_quiesce_is_lost(const struct xyli_shard *shard);
uint64_t xyli_quiesce_leak(const struct xyli_shard *shard); /* pins, its own one included */

/* From now on a thread that ends does not leave a runtime behind (exit.c). */
void xyli_runtimes_watch(void);

/* Between two drives: is xyl_runtime_fd to be readable? (drive.c) */
void xyli_drive_begin(struct xyl_runtime *rt);
void xyli_drive_end(struct xyl_runtime *rt);
void xyli_drive_done(struct xyl_runtime *rt);

#endif
