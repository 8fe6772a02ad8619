/* SPDX-License-Identifier: MIT */
/*
 * Churn: collections at odd moments, and memory for others.
 *
 * Design notes.  A buffer that only an operation names looks like garbage to whoever
 * forgot to pin it.  So garbage is collected and handed out anew all the time, filled
 * with a pattern, and looked at again later: whatever the kernel still writes there is
 * seen, and so is the pattern wherever it does not belong.
 */
#include <string.h>

#include "miri-equivalent/hunt/hunt.h"

struct victim {
	unsigned char *bytes;
	size_t len;
};

struct churn {
	unsigned count, next;
	struct victim victims[];
};

struct churn *churn_new(unsigned victims)
{
	struct churn *churn = xyl_alloc(sizeof(struct churn) + victims * sizeof(struct victim));

	EXPECT(churn, "no memory");
	churn->count = victims;
	return churn;
}

static unsigned char victim_value(const struct churn *churn, const struct victim *victim)
{
	return (unsigned char)(0x80 | (victim - churn->victims));
}

static void victim_check(const struct churn *churn, const struct victim *victim)
{
	if (!bytes_are(victim->bytes, victim->len, victim_value(churn, victim)))
		hunt_failed("memory of %zu bytes, in use since, was written to by the kernel",
			    victim->len);
}

void churn_feed(struct churn *churn, size_t len)
{
	struct victim *victim = &churn->victims[churn->next];

	victim_check(churn, victim);
	victim->bytes = xyl_alloc_bytes(len);
	EXPECT(victim->bytes, "no memory");
	memset(victim->bytes, victim_value(churn, victim), victim->len = len);
	churn->next = (churn->next + 1) % churn->count;
	books.churned++;
}

void churn_check(const struct churn *churn)
{
	for (unsigned i = 0; i < churn->count; i++)
		victim_check(churn, &churn->victims[i]);
}

/* ---- in between ------------------------------------------------------------------------- */

enum { VICTIMS = 500, FED = 4, COLLECT_EVERY = 24, REST_EVERY = 8, REST_NS = 100000 };

struct churning {
	struct xyl_frame frame;
	struct hunter hunter;
	struct churn *churn;
	ssize_t n;
};

/* Of the size of a reader's buffer, mostly. */
static size_t size_roll(struct hunter *hunter)
{
	return 1 + hunter_roll(hunter, hunter_roll(hunter, 8) ? 640 : 12000);
}

static xyl_pending churn_some(struct churning *self)
{
	for (unsigned i = 0; i < FED; i++)
		churn_feed(self->churn, size_roll(&self->hunter));
	if (!hunter_roll(&self->hunter, COLLECT_EVERY))
		xyl_collect();
	if (!hunter_roll(&self->hunter, REST_EVERY))
		return xyl_sleep((int64_t)hunter_roll(&self->hunter, REST_NS));
	return xyl_yield();
}

static xyl_step churning(void *frame)
{
	struct churning *self = frame;

	XYL_BEGIN(self)
	self->churn = churn_new(VICTIMS);
	do
		XYL_AWAIT(self->n, churn_some(self));
	while (self->n == 0);
	churn_check(self->churn);
	XYL_END(0);
}

struct xyl_task *churn_spawn(struct hunter hunter)
{
	return xyl_spawn(churning, .hunter = hunter);
}
