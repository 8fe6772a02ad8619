/* SPDX-License-Identifier: MIT */
/*
 * Flights of a hostile ring.
 *
 * Design notes.  The kernel may read a buffer, write to it and name its operation at any
 * time between the SQE and the last CQE, and only then; in practice it does so at once
 * or at the very end, which hides what is wrong in between.  So an SQE is submitted late,
 * its CQEs are delivered late, and all the time the operation must be pinned.  What is
 * read goes to a buffer of ours first, and the program's is filled with a canary, again
 * and again, until the last CQE is delivered.
 *
 * A descriptor of the program's own may be closed once its operation has been submitted
 * (the kernel holds the file): so a poll is never held.  All others are on handles.
 */
#include "rt/flight.h"

#ifdef XYL_CHECK
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "gc/check.h"
#include "gc/must.h"
#include "rt/errand.h"
#include "rt/shard.h"

#define BOUNCE_MAX (1u << 20)	/* more is read in place */
#define SCRIBBLE_MAX (1u << 16) /* of its beginning */
#define LOOKS 16		/* at flights that are OUT, in one tick */
#define BLOCK 4096
#define CANARY 0xc5
#define ENDS_IN 6 /* one multishot CQE in so many is the last */

/* ---- lists ----------------------------------------------------------------------- */

static void flights_append(struct xyli_flights *list, struct xyli_flight *flight)
{
	flight->next = NULL;
	flight->prev = list->last;
	if (list->last)
		list->last->next = flight;
	else
		list->first = flight;
	list->last = flight;
}

static void flights_prepend(struct xyli_flights *list, struct xyli_flight *flight)
{
	flight->prev = NULL;
	flight->next = list->first;
	if (list->first)
		list->first->prev = flight;
	else
		list->last = flight;
	list->first = flight;
}

static void flights_remove(struct xyli_flights *list, struct xyli_flight *flight)
{
	if (flight->prev)
		flight->prev->next = flight->next;
	else
		list->first = flight->next;
	if (flight->next)
		flight->next->prev = flight->prev;
	else
		list->last = flight->prev;
	flight->next = flight->prev = NULL;
}

void xyli_landings_add(struct xyli_landings *landings, struct xyli_cqe cqe, unsigned delay)
{
	struct xyli_landing *landing = malloc(sizeof(*landing));

	XYLI_MUST(landing != NULL);
	*landing = (struct xyli_landing){ NULL, cqe, delay };
	if (landings->last)
		landings->last->next = landing;
	else
		landings->first = landing;
	landings->last = landing;
}

struct xyli_cqe xyli_landings_take(struct xyli_landings *landings)
{
	struct xyli_landing *landing = landings->first;
	struct xyli_cqe cqe = landing->cqe;

	landings->first = landing->next;
	if (!landings->first)
		landings->last = NULL;
	free(landing);
	return cqe;
}

static struct xyli_flight **bucket_of(struct xyli_hostile *hostile, uint64_t tag)
{
	return &hostile->buckets[tag % XYLI_HOSTILE_BUCKETS];
}

struct xyli_flight *xyli_flight_find(struct xyli_hostile *hostile, uint64_t tag)
{
	struct xyli_flight *flight = *bucket_of(hostile, tag);

	while (flight && flight->sqe.user_data != tag)
		flight = flight->bucket;
	return flight;
}

static void bucket_remove(struct xyli_hostile *hostile, const struct xyli_flight *flight)
{
	struct xyli_flight **link = bucket_of(hostile, flight->sqe.user_data);

	while (*link != flight)
		link = &(*link)->bucket;
	*link = flight->bucket;
}

/* ---- its pin and its buffer --------------------------------------------------------- */

static bool flight_is_cancel(const struct xyli_flight *flight)
{
	return flight->sqe.opcode == IORING_OP_ASYNC_CANCEL;
}

/* The operation that the runtime finds by this tag; NULL: none. */
static struct xyli_op *op_of(const struct xyli_hostile *hostile, const struct xyli_flight *flight)
{
	uint64_t tag = flight->sqe.user_data;

	return xyli_table_get(&hostile->shard->ops, tag & XYLI_TAG_SLOT,
			      (uint32_t)(tag >> XYLI_TAG_GENERATION));
}

static void *buf_of(const struct xyli_flight *flight)
{
	return (void *)(uintptr_t)flight->sqe.addr;
}

/* The kernel has it: it must be pinned, and so must its memory. */
static void flight_check(const struct xyli_hostile *hostile, const struct xyli_flight *flight)
{
	const struct xyli_op *op = op_of(hostile, flight);

	if (!op)
		xyli_hostile_fail(hostile, &flight->sqe, "the kernel has it, and nothing pins it");
	if (!xyli_op_in_kernel(op))
		xyli_hostile_fail(hostile, &flight->sqe, "the kernel has it, and it is not pinned");
	if (!op->kind->prepare && op->buf != buf_of(flight))
		xyli_hostile_fail(hostile, &flight->sqe,
				  "the kernel has its buffer, and its record another");
	if (flight->bounce)
		xyli_check_kernel_writes(buf_of(flight), flight->sqe.len);
	else if (op->buf)
		xyli_check_kernel_reads(op->buf, op->buf_bytes);
}

/* Until its last CQE the buffer is the kernel's: nobody else may have written to it. */
static void flight_scribble(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	size_t len = flight->sqe.len < SCRIBBLE_MAX ? flight->sqe.len : SCRIBBLE_MAX;
	unsigned char *bytes = buf_of(flight);

	if (!flight->bounce)
		return;
	for (size_t i = 0; flight->scribbled && i < len; i++)
		if (bytes[i] != CANARY)
			xyli_hostile_fail(hostile, &flight->sqe,
					  "the kernel has its buffer, and someone wrote to it");
	memset(bytes, CANARY, len);
	flight->scribbled = true;
}

static void flight_look(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	for (; flight; flight = flight->linked) {
		if (flight_is_cancel(flight))
			continue;
		flight_check(hostile, flight);
		flight_scribble(hostile, flight);
	}
}

/* As well aligned as the buffer itself: O_DIRECT asks for it. */
static void bounce_make(struct xyli_flight *flight)
{
	const struct io_uring_sqe *sqe = &flight->sqe;
	size_t offset = sqe->addr % BLOCK;

	if ((sqe->opcode != IORING_OP_READ && sqe->opcode != IORING_OP_RECV) ||
	    sqe->flags & IOSQE_BUFFER_SELECT || sqe->len == 0 || sqe->len > BOUNCE_MAX)
		return;
	flight->block = aligned_alloc(BLOCK, (offset + sqe->len + BLOCK - 1) / BLOCK * BLOCK);
	XYLI_MUST(flight->block != NULL);
	flight->bounce = flight->block + offset;
	memcpy(flight->bounce, buf_of(flight), sqe->len);
}

/* ---- taken ------------------------------------------------------------------------- */

static struct xyli_flight *flight_new(struct xyli_hostile *hostile, const struct io_uring_sqe *sqe)
{
	struct xyli_flight *flight = calloc(1, sizeof(*flight)), **bucket;

	XYLI_MUST(flight != NULL);
	flight->sqe = *sqe;
	if (flight_is_cancel(flight))
		return flight;
	XYLI_MUST(!xyli_flight_find(hostile, sqe->user_data));
	bucket = bucket_of(hostile, sqe->user_data);
	flight->bucket = *bucket;
	*bucket = flight;
	hostile->count++;
	bounce_make(flight);
	flight_look(hostile, flight);
	return flight;
}

/* It lands: sooner or later than its neighbours. */
static void flight_land(struct xyli_hostile *hostile, struct xyli_flight *flight, int res,
			unsigned flags)
{
	struct xyli_cqe cqe = { flight->sqe.user_data, res, flags };

	if (!flight->landings.first) {
		if (xyli_chance_one_in(&hostile->chance, 2))
			flights_append(&hostile->landed, flight);
		else
			flights_prepend(&hostile->landed, flight);
	}
	xyli_landings_add(&flight->landings, cqe, xyli_hostile_delay(hostile));
}

static bool fd_would_wait(int fd, short events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	return poll(&pollfd, 1, 0) == 0;
}

bool xyli_flight_would_wait(const struct xyli_hostile *hostile, const struct xyli_flight *flight)
{
	if (flight->in_chain)
		return false;
	switch (flight->sqe.opcode) {
	case IORING_OP_READ:
	case IORING_OP_RECV:
	case IORING_OP_ACCEPT:
		return op_of(hostile, flight)->life.stubborn ||
		       fd_would_wait(flight->sqe.fd, POLLIN);
	case IORING_OP_WRITE:
	case IORING_OP_SEND:
		return op_of(hostile, flight)->life.stubborn ||
		       fd_would_wait(flight->sqe.fd, POLLOUT);
	case IORING_OP_OPENAT:
	case IORING_OP_FSYNC: return true;
	default: return false;
	}
}

/* What will be tried again, or the bell, may be interrupted while it waits. */
static bool flight_is_interrupted(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	const struct xyli_op *op = op_of(hostile, flight);
	bool again = op->kind->restarts && xyli_chance_one_in(&hostile->chance, 3);

	if ((!op->internal && !op->kind->restarts) ||
	    !xyli_chance_one_in(&hostile->chance, hostile->interrupt) ||
	    !xyli_flight_would_wait(hostile, flight))
		return false;
	flight->state = XYLI_LANDED;
	flight_land(hostile, flight, again ? -EAGAIN : -EINTR, 0);
	return true;
}

static unsigned chain_take(struct xyli_hostile *hostile, struct xyli_flight *head,
			   const struct io_uring_sqe *sqe, unsigned left)
{
	struct xyli_flight *last = head;
	unsigned n = 1;

	for (; n < left && sqe[n - 1].flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK); n++) {
		last->linked = flight_new(hostile, &sqe[n]);
		last = last->linked;
		head->in_chain = last->in_chain = true;
	}
	return n;
}

unsigned xyli_flight_take(struct xyli_hostile *hostile, const struct io_uring_sqe *sqe,
			  unsigned left)
{
	struct xyli_flight *head;
	unsigned n;

	if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
		xyli_flight_cancel(hostile, sqe);
		return 1;
	}
	head = flight_new(hostile, sqe);
	n = chain_take(hostile, head, sqe, left);
	if (!head->in_chain && flight_is_interrupted(hostile, head))
		return n;
	if (sqe->opcode != IORING_OP_POLL_ADD)
		head->delay = xyli_hostile_delay(hostile);
	flights_append(&hostile->held, head);
	return n;
}

void xyli_flight_answer(struct xyli_hostile *hostile, const struct io_uring_sqe *sqe, int res)
{
	struct xyli_flight *flight;

	if (res >= 0 && sqe->flags & IOSQE_CQE_SKIP_SUCCESS)
		return;
	flight = flight_new(hostile, sqe);
	flight->state = XYLI_LANDED;
	flight_land(hostile, flight, res, 0);
}

void xyli_flight_end(struct xyli_hostile *hostile, struct xyli_flight *flight, int res)
{
	XYLI_MUST(flight->state == XYLI_HELD && !flight->in_chain);
	flights_remove(&hostile->held, flight);
	flight->state = XYLI_LANDED;
	flight_land(hostile, flight, res, 0);
}

/* ---- launched ----------------------------------------------------------------------- */

static bool is_transfer(unsigned opcode)
{
	return opcode == IORING_OP_READ || opcode == IORING_OP_WRITE || opcode == IORING_OP_RECV ||
	       opcode == IORING_OP_SEND;
}

/* How much of it, this time. */
static uint32_t length_choose(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	const struct xyli_op *op = op_of(hostile, flight);
	uint32_t len = flight->sqe.len, most;

	flight->shortened = false;
	if (flight->in_chain || flight->undivided || len < 2 || !is_transfer(flight->sqe.opcode) ||
	    op->internal || flight->sqe.flags & IOSQE_BUFFER_SELECT ||
	    (!op->divisible && !hostile->shortens) || xyli_chance_one_in(&hostile->chance, 2))
		return len;
	flight->shortened = true;
	most = xyli_chance_one_in(&hostile->chance, 4) && len > 16 ? 16 : len - 1;
	return 1 + xyli_chance_below(&hostile->chance, most);
}

static void sqe_fill(struct xyli_hostile *hostile, struct io_uring_sqe *sqe,
		     struct xyli_flight *flight)
{
	uint32_t len = length_choose(hostile, flight);

	*sqe = flight->sqe;
	sqe->len = len;
	if (flight->bounce)
		sqe->addr = (uintptr_t)flight->bounce;
}

/* Room for so many in a row in the real ring. */
static bool real_reserve(struct xyli_hostile *hostile, unsigned n)
{
	struct io_uring *uring = &hostile->ring->uring;

	if (io_uring_sq_space_left(uring) < n)
		io_uring_submit(uring);
	return io_uring_sq_space_left(uring) >= n;
}

struct io_uring_sqe *xyli_flight_real_sqe(struct xyli_hostile *hostile)
{
	return real_reserve(hostile, 1) ? io_uring_get_sqe(&hostile->ring->uring) : NULL;
}

static void flight_launch(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	struct xyli_flight *next;
	unsigned n = 0;

	for (next = flight; next; next = next->linked)
		n++;
	if (!real_reserve(hostile, n))
		return;
	flights_remove(&hostile->held, flight);
	for (; flight; flight = next) {
		next = flight->linked;
		flight->linked = NULL;
		sqe_fill(hostile, io_uring_get_sqe(&hostile->ring->uring), flight);
		flight->state = XYLI_OUT;
		flights_append(&hostile->out, flight);
	}
}

static void held_launch(struct xyli_hostile *hostile)
{
	struct xyli_flight *next;

	for (struct xyli_flight *flight = hostile->held.first; flight; flight = next) {
		next = flight->next;
		flight_look(hostile, flight);
		if (flight->delay > 0)
			flight->delay--;
		else
			flight_launch(hostile, flight);
	}
}

/* Some of those that are with the kernel, each in its turn. */
static void out_look(struct xyli_hostile *hostile)
{
	struct xyli_flight *last = hostile->out.last, *flight;

	for (unsigned n = 0; n < LOOKS && (flight = hostile->out.first) != NULL; n++) {
		flight_look(hostile, flight);
		flights_remove(&hostile->out, flight);
		flights_append(&hostile->out, flight);
		if (flight == last)
			break;
	}
}

void xyli_flights_tick(struct xyli_hostile *hostile)
{
	out_look(hostile);
	for (struct xyli_flight *flight = hostile->landed.first; flight; flight = flight->next)
		flight_look(hostile, flight);
	held_launch(hostile);
	xyli_errands_run(hostile);
}

/* ---- landed ------------------------------------------------------------------------- */

static bool may_be_ended(const struct xyli_flight *flight)
{
	return flight->sqe.opcode == IORING_OP_ACCEPT ||
	       (flight->sqe.opcode == IORING_OP_RECV && flight->sqe.flags & IOSQE_BUFFER_SELECT);
}

/* The last CQE of a multishot that we have ended, as if the kernel had.  True: the one
 * before it is the last. */
static bool ending_hide(struct xyli_hostile *hostile, struct xyli_flight *flight, int *res)
{
	const struct xyli_op *op = op_of(hostile, flight);

	if (!flight->ending || *res != -ECANCELED || op->life.canceling)
		return false;
	if (flight->landings.first && xyli_chance_one_in(&hostile->chance, 2)) {
		flight->landings.last->cqe.flags &= ~(unsigned)IORING_CQE_F_MORE;
		return true;
	}
	*res = flight->sqe.opcode == IORING_OP_ACCEPT ? -EINTR : -ENOBUFS;
	return false;
}

static void flight_relaunch(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	flights_remove(&hostile->out, flight);
	flight->undivided = true;
	flight->state = XYLI_HELD;
	flights_append(&hostile->held, flight);
	if (!flight->doomed)
		return;
	flight->doomed = false; /* what was to end it came too late for this try, or too early */
	xyli_errand_add(hostile, flight);
}

static void flight_more(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	if (!may_be_ended(flight) || flight->ending ||
	    !xyli_chance_one_in(&hostile->chance, ENDS_IN))
		return;
	flight->ending = true;
	xyli_errand_add(hostile, flight);
}

static void cqe_harvest(struct xyli_hostile *hostile, uint64_t tag, int res, unsigned flags)
{
	struct xyli_flight *flight;

	if (tag & XYLI_TAG_ERRAND) {
		xyli_errand_answered(hostile, tag & ~XYLI_TAG_ERRAND, res);
		return;
	}
	flight = xyli_flight_find(hostile, tag);
	XYLI_MUST(flight && flight->state == XYLI_OUT);
	if (flight->shortened && res == -EINVAL) { /* some are read whole or not at all */
		flight_relaunch(hostile, flight);
		return;
	}
	flight_look(hostile, flight);
	if (!flight->landings.first)
		flights_remove(&hostile->out, flight);
	if (flags & IORING_CQE_F_MORE) {
		flight_land(hostile, flight, res, flags);
		flight_more(hostile, flight);
		return;
	}
	flight->state = XYLI_LANDED;
	if (!ending_hide(hostile, flight, &res))
		flight_land(hostile, flight, res, flags);
}

void xyli_flights_harvest(struct xyli_hostile *hostile)
{
	struct io_uring *uring = &hostile->ring->uring;
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(uring, head, cqe) {
		cqe_harvest(hostile, cqe->user_data, cqe->res, cqe->flags);
		n++;
	}
	io_uring_cq_advance(uring, n);
}

/* ---- delivered ----------------------------------------------------------------------- */

static void flight_free(struct xyli_flight *flight)
{
	while (flight->landings.first)
		xyli_landings_take(&flight->landings);
	free(flight->block);
	free(flight);
}

/* The buffer is the program's again, with what was read, and else as it was. */
static void flight_over(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	if (flight->bounce)
		memcpy(buf_of(flight), flight->bounce, flight->sqe.len);
	if (!flight_is_cancel(flight)) {
		bucket_remove(hostile, flight);
		hostile->count--;
	}
	flight_free(flight);
}

static void flight_deliver(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	while (flight->landings.first) {
		if (flight->landings.first->delay > 0) {
			flight->landings.first->delay--;
			return;
		}
		xyli_hostile_post(hostile, xyli_landings_take(&flight->landings));
	}
	flights_remove(&hostile->landed, flight);
	if (flight->state == XYLI_LANDED)
		flight_over(hostile, flight);
	else
		flights_append(&hostile->out, flight);
}

void xyli_flights_deliver(struct xyli_hostile *hostile)
{
	struct xyli_flight *next;

	for (struct xyli_flight *flight = hostile->landed.first; flight; flight = next) {
		next = flight->next;
		flight_deliver(hostile, flight);
	}
}

/* The kernel may still write to what is OUT, if the ring has failed. */
void xyli_flights_drop(struct xyli_hostile *hostile)
{
	struct xyli_flights *lists[] = { &hostile->held, &hostile->landed };
	struct xyli_flight *next, *linked;

	for (int i = 0; i < 2; i++)
		for (struct xyli_flight *flight = lists[i]->first; flight; flight = next) {
			next = flight->next;
			for (; flight; flight = linked) {
				linked = flight->linked;
				flight_free(flight);
			}
		}
	while (hostile->overflow.first)
		xyli_landings_take(&hostile->overflow);
}
#endif
