/* SPDX-License-Identifier: MIT */
/*
 * Cancels of a hostile ring.
 *
 * Design notes.  To a cancel the kernel may say that it worked (0), that it is being
 * tried (EALREADY) or that there is nothing of that name (ENOENT), and in each case the
 * operation's own CQE decides what came of it: it may have been on its way before, and
 * whoever takes the answer for the end of the operation is wrong.  ENOENT is said of
 * operations between two tries, too, so the runtime asks again.
 *
 * No cancel is forgotten: unless the answer was ENOENT the operation ends, whether by
 * itself or by an errand.
 */
#include "rt/errand.h"

#ifdef XYL_CHECK
#include <errno.h>
#include <stdlib.h>

#include "gc/must.h"

#define ERESTARTSYS_ 512 /* what io-wq lets out */

/* ---- errands -------------------------------------------------------------------------- */

static void errand_push(struct xyli_hostile *hostile, uint64_t tag, unsigned delay)
{
	struct xyli_errand *errand = malloc(sizeof(*errand));

	XYLI_MUST(errand != NULL);
	*errand = (struct xyli_errand){ hostile->errands, tag, delay };
	hostile->errands = errand;
}

void xyli_errand_add(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	if (flight->doomed)
		return;
	flight->doomed = true;
	errand_push(hostile, flight->sqe.user_data, xyli_hostile_delay(hostile));
}

static int how_it_ends(struct xyli_hostile *hostile)
{
	switch (xyli_chance_below(&hostile->chance, 4)) {
	case 0: return -EINTR;
	case 1: return -ERESTARTSYS_;
	default: return -ECANCELED;
	}
}

/* False: not yet. */
static bool errand_run(struct xyli_hostile *hostile, const struct xyli_errand *errand)
{
	struct xyli_flight *flight = xyli_flight_find(hostile, errand->tag);
	struct io_uring_sqe *sqe;

	if (!flight || flight->state == XYLI_LANDED)
		return true;
	if (flight->state == XYLI_HELD && !xyli_flight_would_wait(hostile, flight))
		return false;
	if (flight->state == XYLI_HELD) {
		xyli_flight_end(hostile, flight, how_it_ends(hostile));
		return true;
	}
	sqe = xyli_flight_real_sqe(hostile);
	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, errand->tag, 0);
	sqe->user_data = XYLI_TAG_ERRAND | errand->tag;
	return true;
}

void xyli_errands_run(struct xyli_hostile *hostile)
{
	struct xyli_errand **link = &hostile->errands, *errand;

	while ((errand = *link) != NULL) {
		if (errand->delay > 0) {
			errand->delay--;
		} else if (errand_run(hostile, errand)) {
			*link = errand->next;
			free(errand);
			continue;
		}
		link = &errand->next;
	}
}

void xyli_errand_answered(struct xyli_hostile *hostile, uint64_t tag, int res)
{
	const struct xyli_flight *flight = xyli_flight_find(hostile, tag);

	if (res == -ENOENT && flight && flight->state != XYLI_LANDED)
		errand_push(hostile, tag, 1);
}

void xyli_errands_drop(struct xyli_hostile *hostile)
{
	struct xyli_errand *errand;

	while ((errand = hostile->errands) != NULL) {
		hostile->errands = errand->next;
		free(errand);
	}
}

/* ---- the runtime asks ------------------------------------------------------------------ */

static int any_answer(struct xyli_hostile *hostile)
{
	static const int answers[] = { 0, -EALREADY, -ENOENT };

	return answers[xyli_chance_below(&hostile->chance, 3)];
}

/* It has not reached the kernel: ended now, or later; or it is not found. */
static int held_cancel(struct xyli_hostile *hostile, struct xyli_flight *flight)
{
	if (xyli_chance_one_in(&hostile->chance, 3) && xyli_flight_would_wait(hostile, flight)) {
		xyli_flight_end(hostile, flight, how_it_ends(hostile));
		return 0;
	}
	if (xyli_chance_one_in(&hostile->chance, 2))
		return -ENOENT;
	xyli_errand_add(hostile, flight);
	return any_answer(hostile);
}

void xyli_flight_cancel(struct xyli_hostile *hostile, const struct io_uring_sqe *sqe)
{
	struct xyli_flight *flight = xyli_flight_find(hostile, sqe->addr);
	int res = -ENOENT;

	if (flight && flight->state == XYLI_HELD) {
		res = held_cancel(hostile, flight);
	} else if (flight && flight->state == XYLI_OUT) {
		xyli_errand_add(hostile, flight);
		res = any_answer(hostile);
	} else if (flight) {
		res = any_answer(hostile); /* too late: its result is on the way */
	}
	xyli_flight_answer(hostile, sqe, res);
}
#endif
