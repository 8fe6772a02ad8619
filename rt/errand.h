/* SPDX-License-Identifier: MIT */
/* errand.h - cancels that a hostile ring will carry out (check build only). */
#ifndef XYLI_RT_ERRAND_H
#define XYLI_RT_ERRAND_H

#include "rt/flight.h"

#define XYLI_TAG_ERRAND (UINT64_C(1) << 57) /* in the real ring: a cancel of ours */

/* In some time; no-op if one is under way. */
void xyli_errand_add(struct xyli_hostile *hostile, struct xyli_flight *flight);

/* Those that are due. */
void xyli_errands_run(struct xyli_hostile *hostile);

/* What the kernel said to the cancel of this flight. */
void xyli_errand_answered(struct xyli_hostile *hostile, uint64_t tag, int res);

void xyli_errands_drop(struct xyli_hostile *hostile);

#endif
