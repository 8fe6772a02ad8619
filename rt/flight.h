/* SPDX-License-Identifier: MIT */
/*
 * flight.h - what a hostile ring keeps the runtime waiting for (check build only).
 *
 *	HELD ──> OUT ──> LANDED ──> delivered
 *	  └────────────────^	ended without having reached the kernel
 *
 * A flight is an SQE that was taken from the runtime and whose last CQE has not been
 * delivered; until then it must be pinned.  A cancel flies, too: its answer is LANDED at
 * once, and carrying it out is an errand.  All of it is malloc memory: it keeps nothing
 * of the program's alive, as little as the kernel does.
 */
#ifndef XYLI_RT_FLIGHT_H
#define XYLI_RT_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include <liburing.h>

#include "rt/chance.h"
#include "rt/kernel.h"

#define XYLI_HOSTILE_CHAIN 16 /* linked SQEs that find room in any queue */
#define XYLI_HOSTILE_CQ 8
#define XYLI_HOSTILE_BUCKETS 1024

struct xyli_shard;

enum xyli_flight_state { XYLI_HELD, XYLI_OUT, XYLI_LANDED };

struct xyli_landing { /* a CQE to be delivered */
	struct xyli_landing *next;
	struct xyli_cqe cqe;
	unsigned delay; /* enters */
};

struct xyli_landings {
	struct xyli_landing *first, *last;
};

struct xyli_flight {
	struct xyli_flight *next, *prev; /* HELD, OUT or with landings */
	struct xyli_flight *bucket;	 /* with the same hash */
	struct xyli_flight *linked;	 /* to be submitted right behind it */
	struct io_uring_sqe sqe;	 /* as asked for */
	struct xyli_landings landings;	 /* in order */
	enum xyli_flight_state state;
	unsigned delay; /* HELD: enters */
	char *block;	/* malloc memory, in which lies */
	char *bounce;	/* what the kernel writes to; NULL: to the buffer itself */
	bool in_chain;	/* somewhere in a chain: submitted as it is */
	bool undivided; /* in one piece, whatever the dice say */
	bool shortened;
	bool doomed;	/* an errand is under way */
	bool scribbled; /* the buffer holds the canary */
	bool ending;	/* a multishot that we end */
};

struct xyli_flights {
	struct xyli_flight *first, *last;
};

struct xyli_errand { /* a cancel to be carried out */
	struct xyli_errand *next;
	uint64_t tag;
	unsigned delay;
};

struct xyli_hostile {
	struct xyli_shard *shard;
	struct xyli_ring *ring; /* the real one */
	struct xyli_chance chance;
	uint64_t seed;
	unsigned number; /* of the ring, in this process */

	/* Its temper. */
	unsigned patience;  /* enters that something is held, at most */
	unsigned interrupt; /* one in so many is interrupted */
	bool shortens;	    /* what is not divisible, too */

	/* The queues that the runtime sees. */
	unsigned sq_entries, sq_count;
	struct io_uring_sqe sq[XYLI_HOSTILE_CHAIN];
	unsigned cq_entries, cq_count;
	struct xyli_cqe cq[XYLI_HOSTILE_CQ];
	struct xyli_landings overflow;

	struct xyli_flights held, out, landed; /* landed: with something to deliver */
	struct xyli_flight *buckets[XYLI_HOSTILE_BUCKETS];
	struct xyli_errand *errands;
	uint64_t count; /* flights, without the cancels */
};

_Noreturn void xyli_hostile_fail(const struct xyli_hostile *hostile, const struct io_uring_sqe *sqe,
				 const char *what);

/* Deliver: to the CQ, or to the overflow behind it. */
void xyli_hostile_post(struct xyli_hostile *hostile, struct xyli_cqe cqe);

/* How many enters the next thing is to be held. */
unsigned xyli_hostile_delay(struct xyli_hostile *hostile);

/* Append, for there is always memory. */
void xyli_landings_add(struct xyli_landings *landings, struct xyli_cqe cqe, unsigned delay);
struct xyli_cqe xyli_landings_take(struct xyli_landings *landings);

/* Take an SQE and those linked behind it; how many these were. */
unsigned xyli_flight_take(struct xyli_hostile *hostile, const struct io_uring_sqe *sqe,
			  unsigned left);

/* The buckets, and the end. */
struct xyli_flight *xyli_flight_find(struct xyli_hostile *hostile, uint64_t tag);
void xyli_flights_drop(struct xyli_hostile *hostile);

/* A bit of time passes: look at the pins, launch what is due, run errands. */
void xyli_flights_tick(struct xyli_hostile *hostile);

/* Fetch from the real CQ; deliver what is due. */
void xyli_flights_harvest(struct xyli_hostile *hostile);
void xyli_flights_deliver(struct xyli_hostile *hostile);

/* A cancel has been taken: answer it, and see to it (errand.c). */
void xyli_flight_cancel(struct xyli_hostile *hostile, const struct io_uring_sqe *sqe);
void xyli_flight_answer(struct xyli_hostile *hostile, const struct io_uring_sqe *sqe, int res);

/* One that is HELD would be waiting if it had been tried; what is ready is never refused
 * without having been tried. */
bool xyli_flight_would_wait(const struct xyli_hostile *hostile, const struct xyli_flight *flight);

/* It ends, with this. */
void xyli_flight_end(struct xyli_hostile *hostile, struct xyli_flight *flight, int res);

/* In the real ring; NULL: not now. */
struct io_uring_sqe *xyli_flight_real_sqe(struct xyli_hostile *hostile);

#endif
