/* SPDX-License-Identifier: MIT */
/*
 * scope.h - a scope: a tree of scopes with tasks in them.
 *
 *	scope ── members: its tasks that run        (spawn/member.c)
 *	      ├─ ended: those that nobody asked for (spawn/ended.c)
 *	      ├─ roots, waits                       (spawn/scope.c)
 *	      ├─ children: those that have something to end
 *	      └─ owners: its groups, by number      (spawn/owner.c)
 */
#ifndef XYLI_SPAWN_SCOPE_H
#define XYLI_SPAWN_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rt/wait.h"
#include "spawn/task.h"
#include "xylem/xylem.h"

struct xyli_agent;
struct xyli_owners;

struct xyli_member { /* one task's membership */
	struct xyli_member *next, *prev;
	struct xyl_task *task;
	struct xyl_scope *scope;
};

struct xyli_kept { /* one object */
	struct xyli_kept *next;
	xyl_root root;
};

struct xyli_ended {			  /* for xyl_scope_next */
	struct xyli_member *first, *last; /* whom nobody has asked for yet, in order */
	struct xyli_waits waits;	  /* who asks; only while there is none of those */
	size_t count, running;		  /* ended; to come */
	size_t room;			  /* the most that ran at one time; asked: no limit */
	bool forgotten;
};

struct xyl_scope {
	struct xyl_scope *parent;
	struct xyl_scope *children;    /* those with tasks or roots */
	struct xyl_scope *next, *prev; /* among its parent's */
	struct xyli_member *members;
	size_t live; /* tasks, its children's too */
	struct xyli_ended ended;
	struct xyli_waits waits; /* joining or closing */
	struct xyli_kept *roots;
	struct xyl_scope *spare; /* an heir, made with the first root: detaching cannot fail */
	struct xyli_owners *owners;
	ssize_t failure; /* the first */
	bool listed;
	bool closed;
	bool heir; /* nobody's: it keeps roots until the tasks that were detached have ended */
};

/* An idle child is not on its parent's list: it is closed when one above it is. */
static inline bool xyli_scope_is_open(const struct xyl_scope *scope)
{
	while (scope && !scope->closed)
		scope = scope->parent;
	return !scope;
}

/* ---- the tree ------------------------------------------------------------------- */

/* The one behind it in a walk of `top` from above, itself first; NULL: that was all. */
static inline struct xyl_scope *xyli_scope_following(const struct xyl_scope *scope,
						     const struct xyl_scope *top)
{
	if (scope->children)
		return scope->children;
	while (scope != top && !scope->next)
		scope = scope->parent;
	return scope == top ? NULL : scope->next;
}

void xyli_scope_list(struct xyl_scope *scope);
void xyli_scope_unlist(struct xyl_scope *scope);

/* It and those above it: listed exactly when there is something to end. */
void xyli_scope_relist(struct xyl_scope *scope);

void xyli_scope_drop_roots(struct xyl_scope *scope); /* its children's too */
void xyli_scope_wake(struct xyl_scope *scope);	     /* there is nobody left to wait for */

/* It is given the first failure when the last task has left, or at a close with none in it. */
void xyli_scope_tell(struct xyl_scope *scope, struct xyli_agent *agent);

/* A task that waits for a scope it is in waits for itself. */
bool xyli_scope_holds(const struct xyl_scope *scope, const struct xyl_task *task);

/* ---- what has ended ------------------------------------------------------------- */

/* Who is told of the end of a task: an heir has nobody who could ask it. */
static inline struct xyl_scope *xyli_scope_teller(struct xyl_scope *scope)
{
	while (scope && __builtin_expect(scope->heir, 0))
		scope = scope->parent;
	return scope;
}

#define XYLI_ENDED_ALL (SIZE_MAX / 2)
#define XYLI_ENDED_MORE 64 /* kept besides as many as ran at one time */

static inline void xyli_ended_expect(struct xyli_ended *ended, size_t tasks)
{
	ended->running += tasks;
	if (ended->running > ended->room)
		ended->room = ended->running;
}

/* The oldest of several. */
static inline void xyli_ended_drop(struct xyli_ended *ended)
{
	struct xyli_member *member = ended->first;

	ended->first = member->next;
	member->next = NULL;
	ended->forgotten = true;
}

static inline struct xyl_task *xyli_ended_take(struct xyli_ended *ended)
{
	struct xyli_member *member = ended->first;

	ended->first = member->next;
	if (!ended->first)
		ended->last = NULL;
	member->next = NULL;
	ended->count--;
	return member->task;
}

/* It has been closed and is empty: if nobody has asked yet, nobody will. */
void xyli_ended_forget(struct xyli_ended *ended);

/* Someone waits for it. */
void xyli_ended_give(struct xyli_ended *ended, struct xyl_task *task);
/* Is none to come?  Then tell who asks. */
void xyli_ended_tell(struct xyli_ended *ended);

static inline void xyli_ended_add(struct xyli_ended *ended, struct xyli_member *member)
{
	ended->running--;
	if (__builtin_expect(ended->waits.first != NULL, 0)) {
		xyli_ended_give(ended, member->task);
		return;
	}
	if (ended->last)
		ended->last->next = member;
	else
		ended->first = member;
	ended->last = member;
	if (ended->count < ended->room + XYLI_ENDED_MORE)
		ended->count++;
	else
		xyli_ended_drop(ended);
}

/* ---- owners --------------------------------------------------------------------- */

/* One of its children has nothing to end any more: most likely it is garbage. */
void xyli_owners_idle(struct xyl_scope *parent);

size_t xyli_owners_places(const struct xyl_scope *parent); /* how large the table is */

#endif
