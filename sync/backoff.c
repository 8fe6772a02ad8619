/* SPDX-License-Identifier: MIT */
/*
 * Back-off.
 *
 * Design notes.  What doubles is a ceiling, held at the cap, where it stays; the delay is
 * drawn below it.  A delay that would end past the deadline is not begun: to sleep and
 * then give up would only be to give up later.  It is drawn once, so that who asks for it
 * (xyl_backoff_next) is told the one that he will wait.
 */
#include <errno.h>
#include <limits.h>
#include <sys/random.h>

#include "rt/chance.h"
#include "sync/sleep.h"

#define FIRST_DEFAULT (100 * XYL_MS)
#define CAP_DEFAULT (30 * XYL_SEC)
#define NOT_DRAWN (-1)

struct xyl_backoff {
	struct xyl_backoff_config config;
	struct xyli_chance chance;
	int64_t ceiling_ns, delay_ns;
	int64_t began; /* at its first wait */
	unsigned waits;
};

/* Of our own, where the kernel has none to give: what no two share. */
static uint64_t seed_any(const void *unique)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		return seed;
	return (uint64_t)xyli_clock() ^ (uintptr_t)unique;
}

static void config_default(struct xyl_backoff_config *config)
{
	if (config->first_ns == 0)
		config->first_ns = FIRST_DEFAULT;
	if (config->cap_ns == 0)
		config->cap_ns = CAP_DEFAULT;
}

static bool config_is_sound(const struct xyl_backoff_config *config)
{
	return config->first_ns >= 0 && config->cap_ns >= 0 && config->deadline_ns >= 0 &&
	       (unsigned)config->jitter <= XYL_NO_JITTER;
}

static void backoff_begin(struct xyl_backoff *backoff)
{
	const struct xyl_backoff_config *config = &backoff->config;

	backoff->ceiling_ns = config->first_ns < config->cap_ns ? config->first_ns : config->cap_ns;
	backoff->delay_ns = NOT_DRAWN;
	backoff->waits = 0;
}

struct xyl_backoff *xyl_backoff_new(const struct xyl_backoff_config *config)
{
	static const struct xyl_backoff_config defaults;
	struct xyl_backoff *backoff;

	if (!config)
		config = &defaults;
	backoff = config_is_sound(config) ? xyl_new(struct xyl_backoff) : NULL;
	if (!backoff)
		return NULL;
	backoff->config = *config;
	config_default(&backoff->config);
	backoff->chance.state = config->seed ? config->seed : seed_any(backoff);
	backoff_begin(backoff);
	return backoff;
}

void xyl_backoff_reset(struct xyl_backoff *backoff)
{
	if (backoff)
		backoff_begin(backoff);
}

/* 0 to n. */
static int64_t chance_up_to(struct xyli_chance *chance, int64_t n)
{
	return (int64_t)(xyli_chance_next(chance) % ((uint64_t)n + 1));
}

static int64_t backoff_draw(struct xyl_backoff *backoff)
{
	int64_t ceiling = backoff->ceiling_ns;

	switch (backoff->config.jitter) {
	case XYL_FULL_JITTER: return chance_up_to(&backoff->chance, ceiling);
	case XYL_EQUAL_JITTER:
		return ceiling / 2 + chance_up_to(&backoff->chance, ceiling - ceiling / 2);
	case XYL_NO_JITTER: break;
	}
	return ceiling;
}

static bool backoff_is_over(const struct xyl_backoff *backoff, int64_t now)
{
	const struct xyl_backoff_config *config = &backoff->config;
	int64_t began = backoff->waits > 0 ? backoff->began : now;

	if (config->tries && backoff->waits >= config->tries - 1)
		return true;
	return config->deadline_ns &&
	       xyli_clock_add(now, backoff->delay_ns) > xyli_clock_add(began, config->deadline_ns);
}

/* The next delay, or why there is none. */
static int64_t backoff_look(struct xyl_backoff *backoff, int64_t now)
{
	if (!backoff)
		return -EINVAL;
	if (backoff->delay_ns == NOT_DRAWN)
		backoff->delay_ns = backoff_draw(backoff);
	return backoff_is_over(backoff, now) ? -ETIMEDOUT : backoff->delay_ns;
}

/* Its delay has begun. */
static void backoff_double(struct xyl_backoff *backoff, int64_t now)
{
	int64_t cap = backoff->config.cap_ns;

	if (backoff->waits == 0)
		backoff->began = now;
	if (backoff->waits < UINT_MAX)
		backoff->waits++;
	backoff->ceiling_ns = backoff->ceiling_ns > cap / 2 ? cap : 2 * backoff->ceiling_ns;
	backoff->delay_ns = NOT_DRAWN;
}

int64_t xyl_backoff_next(struct xyl_backoff *backoff)
{
	struct xyl_task *task = xyli_task_calling("xyl_backoff_next");

	return backoff_look(backoff, xyli_shard_clock(task->wait.shard));
}

xyl_pending xyl_backoff_wait(struct xyl_backoff *backoff)
{
	struct xyl_task *task = xyli_task_calling("xyl_backoff_wait");
	xyl_pending pending;
	int64_t now, delay;

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	now = xyli_shard_clock(task->wait.shard);
	delay = backoff_look(backoff, now);
	if (delay < 0)
		return xyli_done(task, (ssize_t)delay);
	pending = xyli_sleep_till(task, xyli_clock_add(now, delay));
	if (task->wait.kind) /* not so without memory: then nothing has been used up */
		backoff_double(backoff, now);
	return pending;
}
