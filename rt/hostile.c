/* SPDX-License-Identifier: MIT */
/*
 * A hostile ring: its queues.
 *
 * Design notes.  A proxy: the runtime fills SQEs of ours, they become flights
 * (flight.h), and these are submitted to the real ring, late; what comes of them is put
 * into a CQ of ours, late.  Both queues are tiny, so the CQ overflows.  Time is counted
 * in enters: a seed gives the same run on a slow machine.  While anything is held a wait
 * does not block; when nothing is, it waits in the real ring.
 *
 * What a seed cannot fix: when the kernel completes an operation (a peer's answer, a
 * thread of io-wq), which of two threads comes first, the clock, and addresses, on which
 * the collector's choices depend.  So a seed makes a run likely to be the same, not
 * certain.
 */
#include "rt/hostile.h"

#ifdef XYL_CHECK
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt/errand.h"
#include "rt/flight.h"
#include "rt/shard.h"

#define REFUSES_IN 16 /* one system call in so many does nothing */

static atomic_bool forbidden;
static atomic_uint rings;

void xyli_hostile_forbid(bool forbid)
{
	atomic_store(&forbidden, forbid);
}

bool xyli_hostile_seed(uint64_t *ret_seed)
{
	const char *given = getenv("XYL_HOSTILE");

	if (!given || atomic_load(&forbidden))
		return false;
	*ret_seed = strtoull(given, NULL, 0);
	return true;
}

_Noreturn void xyli_hostile_fail(const struct xyli_hostile *hostile, const struct io_uring_sqe *sqe,
				 const char *what)
{
	fprintf(stderr, "xylem: hostile ring %u, seed %" PRIu64 ": opcode %u, tag %#llx: %s\n",
		hostile->number, hostile->seed, sqe->opcode, (unsigned long long)sqe->user_data,
		what);
	abort();
}

/* ---- made and closed ------------------------------------------------------------------ */

static void temper_choose(struct xyli_hostile *hostile)
{
	static const unsigned patiences[] = { 0, 1, 4, 16 }, interrupts[] = { 4, 16, 64 };
	struct xyli_chance *chance = &hostile->chance;

	hostile->sq_entries = 1u << xyli_chance_below(chance, 3);
	hostile->cq_entries = 2 * hostile->sq_entries;
	hostile->patience = patiences[xyli_chance_below(chance, 4)];
	hostile->interrupt = interrupts[xyli_chance_below(chance, 3)];
	hostile->shortens = getenv("XYL_HOSTILE_SHORT") != NULL;
}

void xyli_hostile_open(struct xyli_shard *shard)
{
	struct xyli_hostile *hostile;
	uint64_t seed;

	if (!xyli_hostile_seed(&seed) || shard->ring->uring.flags & IORING_SETUP_SQPOLL)
		return;
	hostile = calloc(1, sizeof(*hostile));
	XYLI_MUST(hostile != NULL);
	hostile->shard = shard;
	hostile->ring = shard->ring;
	hostile->seed = seed;
	hostile->number = atomic_fetch_add(&rings, 1);
	hostile->chance.state = seed * 0x10001 + hostile->number;
	temper_choose(hostile);
	shard->ring->hostile = hostile;
}

void xyli_hostile_close(struct xyli_hostile *hostile)
{
	if (hostile->count > 0 && !hostile->shard->broken) {
		fprintf(stderr,
			"xylem: hostile ring %u, seed %" PRIu64 ": closed with %" PRIu64
			" under way\n",
			hostile->number, hostile->seed, hostile->count);
		abort();
	}
	xyli_flights_drop(hostile);
	xyli_errands_drop(hostile);
	free(hostile);
}

/* Mostly none, seldom long. */
unsigned xyli_hostile_delay(struct xyli_hostile *hostile)
{
	struct xyli_chance *chance = &hostile->chance;

	if (xyli_chance_one_in(chance, 2))
		return 0;
	if (xyli_chance_one_in(chance, 16))
		return xyli_chance_below(chance, 4 * hostile->patience + 1);
	return xyli_chance_below(chance, hostile->patience + 1);
}

/* ---- the queues ------------------------------------------------------------------------ */

struct io_uring_sqe *xyli_hostile_sqe(struct xyli_hostile *hostile)
{
	if (hostile->sq_count == XYLI_HOSTILE_CHAIN)
		return NULL;
	return &hostile->sq[hostile->sq_count++];
}

/* An empty one has room for a chain, too: it must be submitted as a whole. */
unsigned xyli_hostile_room(const struct xyli_hostile *hostile)
{
	if (hostile->sq_count == 0)
		return XYLI_HOSTILE_CHAIN;
	return hostile->sq_count < hostile->sq_entries ? hostile->sq_entries - hostile->sq_count
						       : 0;
}

unsigned xyli_hostile_unsubmitted(const struct xyli_hostile *hostile)
{
	return hostile->sq_count;
}

static void sq_take(struct xyli_hostile *hostile)
{
	unsigned n = 0;

	while (n < hostile->sq_count)
		n += xyli_flight_take(hostile, &hostile->sq[n], hostile->sq_count - n);
	hostile->sq_count = 0;
}

void xyli_hostile_post(struct xyli_hostile *hostile, struct xyli_cqe cqe)
{
	if (hostile->overflow.first || hostile->cq_count == hostile->cq_entries)
		xyli_landings_add(&hostile->overflow, cqe, 0);
	else
		hostile->cq[hostile->cq_count++] = cqe;
}

static void overflow_flush(struct xyli_hostile *hostile)
{
	while (hostile->overflow.first && hostile->cq_count < hostile->cq_entries)
		hostile->cq[hostile->cq_count++] = xyli_landings_take(&hostile->overflow);
}

bool xyli_hostile_overflows(const struct xyli_hostile *hostile)
{
	return hostile->overflow.first;
}

unsigned xyli_hostile_ready(const struct xyli_hostile *hostile)
{
	return hostile->cq_count;
}

unsigned xyli_hostile_reap(struct xyli_hostile *hostile, struct xyli_cqe *batch, unsigned cap)
{
	unsigned n = hostile->cq_count < cap ? hostile->cq_count : cap;

	memcpy(batch, hostile->cq, n * sizeof(*batch));
	hostile->cq_count -= n;
	memmove(hostile->cq, hostile->cq + n, hostile->cq_count * sizeof(*batch));
	return n;
}

/* ---- entering ---------------------------------------------------------------------------- */

/* Time must pass for something to happen. */
static bool holds_something(const struct xyli_hostile *hostile)
{
	return hostile->held.first || hostile->landed.first || hostile->errands ||
	       hostile->overflow.first;
}

bool xyli_hostile_holds_back(const struct xyli_hostile *hostile)
{
	const struct xyli_ring *ring = hostile->ring;
	unsigned flags = __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_RELAXED);

	return holds_something(hostile) || io_uring_cq_ready(&ring->uring) > 0 ||
	       flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW) ||
	       (ring->deferred && !ring->flagged);
}

/* A system call that does nothing, for a reason that means nothing. */
static int call_refuse(struct xyli_hostile *hostile)
{
	static const int reasons[] = { -EINTR, -EAGAIN, -EBUSY };

	if (!xyli_chance_one_in(&hostile->chance, REFUSES_IN))
		return 0;
	return reasons[xyli_chance_below(&hostile->chance, 3)];
}

static int call_finish(struct xyli_hostile *hostile, int r)
{
	xyli_flights_harvest(hostile);
	xyli_flights_deliver(hostile);
	return r;
}

static void call_begin(struct xyli_hostile *hostile)
{
	overflow_flush(hostile);
	sq_take(hostile);
	xyli_flights_tick(hostile);
}

int xyli_hostile_enter(struct xyli_hostile *hostile)
{
	int r = call_refuse(hostile);

	if (r < 0)
		return r;
	call_begin(hostile);
	return call_finish(hostile, io_uring_submit_and_get_events(&hostile->ring->uring));
}

int xyli_hostile_wait(struct xyli_hostile *hostile, int64_t ns)
{
	int r = call_refuse(hostile);

	if (r < 0)
		return r;
	call_begin(hostile);
	if (holds_something(hostile) || hostile->cq_count > 0)
		r = io_uring_submit_and_get_events(&hostile->ring->uring);
	else
		r = xyli_ring_wait(hostile->ring, ns);
	return call_finish(hostile, r);
}
#endif
