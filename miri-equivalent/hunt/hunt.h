/* SPDX-License-Identifier: MIT */
/*
 * hunt.h - the race hunt: a great many aborts against real traffic, and books that must
 * balance at the end.
 *
 *	streams.c	readers are aborted: each byte sent is read once, in order
 *	writes.c	writers are aborted: what is seen is what was written, cut short at
 *			most once, at its end
 *	connections.c	acceptors and connectors are aborted: each connection made is served
 *			once
 *	files.c		reads of a file are aborted: the kernel writes to nobody else's memory
 *
 * Each of these is a *hunt*: a task with dice of its own and a number of aborts to spend.
 * What it does is chosen by the dice alone, so a seed repeats the choices, though not
 * what the kernel makes of them.
 */
#ifndef HUNT_H
#define HUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xylem/xylem.h"

/* ---- the books (main.c) ------------------------------------------------------------ */

enum cut {
	CUT_READ,
	CUT_READ_FULL,
	CUT_WRITE,
	CUT_WRITE_ALL,
	CUT_ACCEPT,
	CUT_CONNECT,
	CUT_READ_AT,
	CUT_OPEN,
	CUTS
};

/* Counts and nothing else: the books of several rings are added up. */
struct books {
	uint64_t asked, by_thread, arrived;
	uint64_t cut[CUTS]; /* awaits that an abort ended */
	uint64_t timed_out; /* awaits that a bound ended */
	uint64_t adopted, closed_late;
	uint64_t sent, read, drained;	/* bytes, of streams whose readers are aborted */
	uint64_t offered, seen, broken; /* bytes, of streams whose writers are; how many broke */
	uint64_t made, served, kept, nameless; /* connections */
	uint64_t file_reads, opens;	       /* that came to their end */
	uint64_t churned, collections, turns, ns;
};

extern struct books books; /* of the ring at work; the runtime's thread alone writes them */

/* Says what is wrong, after how many aborts, with which seed; and ends the program. */
_Noreturn void hunt_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define EXPECT(condition, ...) ((condition) ? (void)0 : hunt_failed(__VA_ARGS__))

/* The result of an await that may be cut. */
void hunt_count_cut(enum cut cut, ssize_t result);

/* ---- who aborts (hunter.c) --------------------------------------------------------- */

struct hunter {
	uint64_t dice;
	uint64_t left;		      /* aborts */
	const struct xyl_task *asked; /* the last one it aborted */
};

uint64_t hunter_roll(struct hunter *hunter, uint64_t below); /* 0 to below - 1 */

/* A bound for one await in so many, of less than `below` nanoseconds; 0: none. */
int64_t hunter_bound(struct hunter *hunter, uint64_t one_in, uint64_t below);

/* Ask one of the tasks to stop: now, or as soon as another thread comes to it. */
void hunter_abort(struct hunter *hunter, struct xyl_task *const *tasks, unsigned count);

/* The other thread: from before the run to after it. */
void handover_begin(void);
uint64_t handover_end(void); /* how many aborts it asked for */

/* ---- numbered bytes (numbers.c) ------------------------------------------------------- */

/* Byte `at` of a stream is a hash of both: none can be lost, doubled or moved unseen. */
void numbers_fill(unsigned char *buf, uint64_t stream, uint64_t at, size_t len);
void numbers_check(const unsigned char *buf, uint64_t stream, uint64_t at, size_t len);
size_t numbers_match(const unsigned char *buf, uint64_t stream, uint64_t at, size_t len);

#define SCORCHED 0xee /* what lies in a buffer that nobody may write to any more */

bool bytes_are(const unsigned char *bytes, size_t len, unsigned char value);

/* ---- pairs (pair.c) ------------------------------------------------------------------- */

enum pair_kind { PAIR_UNIX, PAIR_TCP, PAIR_PIPE };

struct pair {
	struct xyl_io *in, *out;
	enum pair_kind kind;
};

struct pair pair_make(enum pair_kind kind, bool narrow); /* narrow: holds as little as can be */
void pair_send(const struct pair *pair, const void *bytes, size_t len); /* at once: room is there */

/* ---- memory for others (churn.c) --------------------------------------------------------- */

/* Victims: whose memory was an abandoned buffer's before, if anyone gave it up too early. */
struct churn;
struct churn *churn_new(unsigned victims);
void churn_feed(struct churn *churn, size_t len); /* another one, in place of the oldest */
void churn_check(const struct churn *churn);	  /* all of them */

/* ---- the hunts ----------------------------------------------------------------------------- */

struct xyl_task *streams_spawn(struct hunter hunter, uint64_t number);
struct xyl_task *writes_spawn(struct hunter hunter, uint64_t number);
struct xyl_task *connections_spawn(struct hunter hunter, uint64_t number, const char *folder);
struct xyl_task *files_spawn(struct hunter hunter, uint64_t number, const char *folder);
struct xyl_task *churn_spawn(struct hunter hunter); /* goes on until it is aborted */

#endif
