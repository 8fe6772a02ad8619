/* SPDX-License-Identifier: MIT */
#include "rt/latch.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gc/world.h"
#include "rt/clock.h"
#include "xylem/xylem.h"

enum { LATCH_CLOSED, LATCH_AWAITED, LATCH_OPEN };

struct xyli_latch *xyli_latch_new(void)
{
	return xyl_new(struct xyli_latch);
}

void xyli_latch_open(struct xyli_latch *latch)
{
	if (atomic_exchange(&latch->state, LATCH_OPEN) == LATCH_AWAITED)
		syscall(SYS_futex, &latch->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

struct vigil {
	struct xyli_latch *latch;
	int64_t until_ns; /* on the clock; XYLI_NEVER */
};

static void latch_sleep(struct vigil *vigil)
{
	struct timespec until = xyli_timespec(vigil->until_ns);
	bool forever = vigil->until_ns == XYLI_NEVER;

	syscall(SYS_futex, &vigil->latch->state, FUTEX_WAIT_BITSET_PRIVATE, LATCH_AWAITED,
		forever ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* Signals and strange wake-ups lead back to the question. */
static void vigil_keep(void *arg)
{
	struct vigil *vigil = arg;
	unsigned closed = LATCH_CLOSED;

	atomic_compare_exchange_strong(&vigil->latch->state, &closed, LATCH_AWAITED);
	while (atomic_load(&vigil->latch->state) != LATCH_OPEN && xyli_clock() < vigil->until_ns)
		latch_sleep(vigil);
}

bool xyli_latch_wait(struct xyli_latch *latch, int64_t ns)
{
	struct vigil vigil = { latch, ns < 0 ? XYLI_NEVER : xyli_clock_add(xyli_clock(), ns) };

	if (atomic_load(&latch->state) != LATCH_OPEN)
		xyli_world_park(vigil_keep, &vigil);
	return atomic_load(&latch->state) == LATCH_OPEN;
}
