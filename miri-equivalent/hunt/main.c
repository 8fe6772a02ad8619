/* SPDX-License-Identifier: MIT */
/*
 * hunt [ABORTS]: the hunts of hunt.h, all at once, on each kind of ring in turn; then one
 * table.  Exit code 1: something was lost, doubled or overwritten, or the books do not
 * balance.  XYL_SEED=<seed> in the environment repeats the choices of a run.
 *
 * Design notes.  Where completions run only when the shard asks for them, a cancel nearly
 * always wins, and what comes late is mostly half of a whole read.  A ring that is driven
 * by hand can be polled, so it lets completions run in whatever system call comes next;
 * with SQPOLL they come at any time, from another thread.  There the windows are wide.
 * Each kind is tried with a large ring and with a tiny one, which overflows.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "miri-equivalent/hunt/hunt.h"

#define ABORTS 1000000

enum { RINGS = 3, LARGE = 1024, TINY = 8, TURNS = 8 };

static const struct leg {
	const char *name;
	unsigned ring; /* the column of the table */
	bool by_hand;
	struct xyl_config config;
} legs[] = {
	{ "xyl_run", 0, false, { .ring_entries = LARGE } },
	{ "xyl_run", 0, false, { .ring_entries = TINY } },
	{ "by hand", 1, true, { .ring_entries = LARGE } },
	{ "by hand", 1, true, { .ring_entries = TINY } },
	{ "SQPOLL", 2, false, { .ring_entries = LARGE, .sqpoll_idle_ms = 5 } },
	{ "SQPOLL", 2, false, { .ring_entries = TINY, .sqpoll_idle_ms = 5 } },
};

enum { LEGS = sizeof(legs) / sizeof(*legs) };

struct books books;
static uint64_t seed, asked_before; /* in the legs that are over */
static const struct leg *running;

void hunt_failed(const char *format, ...)
{
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	printf("FAIL after %" PRIu64 " aborts (seed %" PRIu64 ", %s, %u entries): %s\n",
	       asked_before + books.asked, seed, running->name, running->config.ring_entries, what);
	fflush(stdout);
	_exit(EXIT_FAILURE); /* there is nothing to unwind in the middle of anything */
}

void hunt_count_cut(enum cut cut, ssize_t result)
{
	books.cut[cut] += result == -ECANCELED;
	books.timed_out += result == -ETIMEDOUT;
}

/* ---- all hunts at once ------------------------------------------------------------------ */

enum { STREAMS = 12, WRITES = 6, CONNECTIONS = 3, FILES = 3 };
enum { HUNTS = STREAMS + WRITES + CONNECTIONS + FILES };

struct hunting {
	struct xyl_frame frame;
	uint64_t dice, aborts;
	const char *folder;
	struct xyl_runtime **ret_rt;
	struct xyl_task *hunts[HUNTS], *churn;
	unsigned i;
	ssize_t n;
};

/* Of a hundred aborts, so many are shared by the hunts of its kind. */
static struct hunter hunter_of(struct hunting *self, unsigned share, unsigned hunts)
{
	struct hunter dealer = { .dice = self->dice };
	struct hunter hunter = { .dice = hunter_roll(&dealer, UINT64_MAX) };

	self->dice = dealer.dice;
	hunter.left = hunts ? self->aborts * share / 100 / hunts + 1 : 0;
	return hunter;
}

static struct xyl_task *hunt_spawn(struct hunting *self, unsigned i)
{
	if (i < STREAMS)
		return streams_spawn(hunter_of(self, 58, STREAMS), i);
	i -= STREAMS;
	if (i < WRITES)
		return writes_spawn(hunter_of(self, 12, WRITES), i);
	i -= WRITES;
	if (i < CONNECTIONS)
		return connections_spawn(hunter_of(self, 22, CONNECTIONS), i, self->folder);
	i -= CONNECTIONS;
	return files_spawn(hunter_of(self, 8, FILES), i + CONNECTIONS, self->folder);
}

static void hunts_spawn(struct hunting *self)
{
	*self->ret_rt = xyl_runtime_self();
	self->churn = churn_spawn(hunter_of(self, 0, 0));
	for (unsigned i = 0; i < HUNTS; i++)
		EXPECT(self->hunts[i] = hunt_spawn(self, i), "no hunt");
}

static xyl_step hunting(void *frame)
{
	struct hunting *self = frame;

	XYL_BEGIN(self)
	hunts_spawn(self);
	for (self->i = 0; self->i < HUNTS; self->i++)
		XYL_AWAIT(self->n, xyl_join(self->hunts[self->i]));
	xyl_abort(self->churn);
	XYL_AWAIT(self->n, xyl_join(self->churn));
	XYL_END(0);
}

/* ---- one leg ------------------------------------------------------------------------------- */

static ssize_t drive(struct xyl_runtime *rt, const struct xyl_task *task)
{
	struct pollfd pollfd = { .fd = xyl_runtime_fd(rt), .events = POLLIN };

	EXPECT(task && pollfd.fd >= 0, "cannot be driven");
	for (;;) {
		EXPECT(xyl_runtime_drive(rt, TURNS) >= 0, "was not driven");
		if (xyl_is_done(task))
			break;
		poll(&pollfd, 1, -1);
	}
	return xyl_runtime_stop(rt, 10 * XYL_SEC);
}

static ssize_t leg_run(const struct leg *leg, uint64_t aborts, const char *folder,
		       struct xyl_runtime **ret_rt)
{
	uint64_t dice = seed + (uint64_t)(leg - legs);
	struct xyl_runtime *rt;
	ssize_t r;

	if (!leg->by_hand)
		return xyl_run_with(&leg->config, hunting, .dice = dice, .aborts = aborts,
				    .folder = folder, .ret_rt = ret_rt);
	r = xyl_runtime_new(&rt, &leg->config);
	if (r < 0)
		return r;
	xyl_runtime_fd(rt); /* before its first turn: a ring that can be polled */
	return drive(rt, xyl_runtime_spawn(rt, XYL_HERE, hunting, .dice = dice, .aborts = aborts,
					   .folder = folder, .ret_rt = ret_rt));
}

static size_t fd_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	EXPECT(dir, "no /proc");
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void expect_nothing_left(const struct xyl_stats *stats, size_t fds, size_t roots)
{
	EXPECT(stats->live == 0 && stats->spawned == stats->completed, "tasks are left");
	EXPECT(stats->ops_outstanding == 0 && stats->ops_submitted == stats->ops_completed,
	       "operations are left");
	EXPECT(stats->pinned_bytes == 0 && stats->leaked_pins == 0, "pins are left");
	EXPECT(stats->handles_open == 0 && stats->handles_closed_by_stop == 0 &&
		       stats->handles_dropped == 0,
	       "handles are left");
	EXPECT(xyl_root_count() == roots, "%zu roots are left", xyl_root_count() - roots);
	EXPECT(fd_count() == fds, "%zu descriptors are left", fd_count() - fds);
}

static void expect_balance(void)
{
	EXPECT(books.sent == books.read, "%" PRIu64 " bytes sent, %" PRIu64 " read", books.sent,
	       books.read);
	EXPECT(books.made == books.served + books.kept,
	       "%" PRIu64 " connections made, %" PRIu64 " served", books.made,
	       books.served + books.kept);
	books.read -= books.drained;
}

static uint64_t now_ns(void)
{
	return (uint64_t)xyl_now();
}

static void leg_account(const struct xyl_stats *stats, const struct xyl_gc_stats *before)
{
	struct xyl_gc_stats after;

	xyl_gc_stats(&after);
	books.collections = after.collections - before->collections;
	books.arrived = stats->aborted;
	books.adopted = stats->adopted_results;
	books.closed_late = stats->closed_late;
	books.turns = stats->turns;
}

static void leg_hunt(const struct leg *leg, uint64_t aborts, const char *folder)
{
	size_t fds, roots;
	struct xyl_gc_stats before;
	struct xyl_runtime *rt = NULL;
	struct xyl_stats stats;
	ssize_t r;

	running = leg;
	memset(&books, 0, sizeof(books));
	xyl_gc_stats(&before);
	fds = fd_count();
	roots = xyl_root_count();
	books.ns -= now_ns();
	handover_begin();
	r = leg_run(leg, aborts, folder, &rt);
	books.by_thread = handover_end();
	books.ns += now_ns();
	EXPECT(r == 0, "the run gave %zd; %s", r, xyl_runtime_why());
	xyl_runtime_stats(rt, &stats);
	leg_account(&stats, &before);
	expect_nothing_left(&stats, fds, roots);
	expect_balance();
}

/* ---- the table ------------------------------------------------------------------------------ */

#define ROW(text, member)                            \
	{                                            \
		text, offsetof(struct books, member) \
	}

static const struct row {
	const char *text;
	size_t offset;
} rows[] = {
	ROW("aborts asked", asked),
	ROW("  by another thread", by_thread),
	ROW("  that found a living task", arrived),
	ROW("awaits cut: read", cut[CUT_READ]),
	ROW("  read_full", cut[CUT_READ_FULL]),
	ROW("  write", cut[CUT_WRITE]),
	ROW("  write_all", cut[CUT_WRITE_ALL]),
	ROW("  accept", cut[CUT_ACCEPT]),
	ROW("  connect", cut[CUT_CONNECT]),
	ROW("  read_at", cut[CUT_READ_AT]),
	ROW("  open", cut[CUT_OPEN]),
	ROW("  by a bound", timed_out),
	ROW("results adopted", adopted),
	ROW("descriptors closed late", closed_late),
	ROW("bytes sent to aborted readers", sent),
	ROW("  read by them", read),
	ROW("  left, and drained", drained),
	ROW("bytes offered by aborted writers", offered),
	ROW("  seen at the other end", seen),
	ROW("  streams broken", broken),
	ROW("connections made", made),
	ROW("  served in the storm", served),
	ROW("  kept, and served after it", kept),
	ROW("connections of aborted connectors", nameless),
	ROW("reads of a file", file_reads),
	ROW("opens", opens),
	ROW("victims", churned),
	ROW("collections", collections),
	ROW("turns", turns),
};

static void books_add(struct books *to, const struct books *from)
{
	uint64_t *sums = (uint64_t *)to;
	const uint64_t *counts = (const uint64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*sums); i++)
		sums[i] += counts[i];
}

static uint64_t per_second(uint64_t count, const struct books *of)
{
	return of->ns ? count * 1000 / (of->ns / 1000000 + 1) : 0;
}

static void table_print(const struct books *columns, unsigned count)
{
	printf("%-34s", "");
	for (unsigned i = 0; i < RINGS; i++)
		printf("%12s", legs[i * (LEGS / RINGS)].name);
	printf("%12s\n", "all");
	for (size_t row = 0; row < sizeof(rows) / sizeof(*rows); row++) {
		printf("%-34s", rows[row].text);
		for (unsigned i = 0; i < count; i++)
			printf("%12" PRIu64,
			       *(const uint64_t *)((const char *)&columns[i] + rows[row].offset));
		printf("\n");
	}
	printf("%-34s", "aborts a second");
	for (unsigned i = 0; i < count; i++)
		printf("%12" PRIu64, per_second(columns[i].asked, &columns[i]));
	printf("\n%-34s", "turns a second");
	for (unsigned i = 0; i < count; i++)
		printf("%12" PRIu64, per_second(columns[i].turns, &columns[i]));
	printf("\n");
}

/* ---- the program ----------------------------------------------------------------------------- */

static uint64_t seed_choose(void)
{
	const char *given = getenv("XYL_SEED");

	return given ? strtoull(given, NULL, 0) : now_ns();
}

int main(int argc, char **argv)
{
	uint64_t aborts = argc > 1 ? strtoull(argv[1], NULL, 0) : ABORTS;
	char folder[] = "/tmp/xylem-hunt-XXXXXX";
	struct books columns[RINGS + 1] = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	seed = seed_choose();
	printf("seed %" PRIu64 ", %" PRIu64 " aborts\n", seed, aborts);
	if (!mkdtemp(folder)) {
		perror(folder);
		return EXIT_FAILURE;
	}
	for (const struct leg *leg = legs; leg < legs + LEGS; leg++) {
		leg_hunt(leg, aborts / LEGS, folder);
		asked_before += books.asked;
		books_add(&columns[leg->ring], &books);
		books_add(&columns[RINGS], &books);
	}
	rmdir(folder);
	table_print(columns, RINGS + 1);
	return EXIT_SUCCESS;
}
