/* SPDX-License-Identifier: MIT */
/*
 * A clock that can be held still and moved.
 *
 * Design notes.  Time goes on from where it was left: a clock that is let go runs as far
 * ahead of the real one (or behind) as it stood, so that it never jumps and never goes
 * back.  It never shows XYLI_NEVER, however far it is moved: who sleeps for ever does.
 */
#include "rt/clock.h"

#define LAST (XYLI_NEVER - 1)

int64_t xyli_warp_clock(const struct xyli_warp *warp)
{
	int64_t now = warp->holds ? warp->ns : xyli_clock_add(xyli_clock(), warp->ns);

	return now < LAST ? now : LAST;
}

void xyli_warp_hold(struct xyli_warp *warp)
{
	warp->ns = xyli_warp_clock(warp);
	warp->on = warp->holds = true;
}

void xyli_warp_move(struct xyli_warp *warp, int64_t ns)
{
	warp->ns = xyli_clock_add(warp->ns, ns);
	if (warp->ns > LAST)
		warp->ns = LAST;
	warp->on = true;
}

void xyli_warp_release(struct xyli_warp *warp)
{
	if (warp->holds)
		warp->ns -= xyli_clock();
	warp->holds = false;
}

int64_t xyli_warp_real(const struct xyli_warp *warp, int64_t when_ns)
{
	if (when_ns == XYLI_NEVER)
		return XYLI_NEVER;
	if (warp->holds)
		return when_ns <= warp->ns ? 0 : XYLI_NEVER;
	return xyli_clock_add(when_ns, -warp->ns);
}
