/* SPDX-License-Identifier: MIT */
/*
 * Scopes.
 *
 * Design notes.  A scope counts the tasks in it and below it (`live`), so that joining
 * a tree is one comparison.  It is listed with its parent only while it has tasks or
 * roots: an idle child that nobody holds is garbage.  Its roots are ordinary roots of
 * the program and are counted as such.
 */
#include <errno.h>
#include <string.h>

#include "spawn/task.h"

struct xyli_member { /* one task's membership */
	struct xyli_member *next, *prev;
	struct xyl_task *task;
	struct xyl_scope *scope;
};

struct xyl_scope {
	struct xyl_scope *parent;
	struct xyl_scope *children;    /* those with tasks or roots */
	struct xyl_scope *next, *prev; /* among its parent's */
	struct xyli_member *members;
	size_t live;		 /* tasks, its children's too */
	struct xyli_waits waits; /* joining or closing */
	xyl_root *roots;
	size_t root_count, root_cap;
	ssize_t failure; /* the first */
	bool listed;
	bool closed;
};

/* An idle child is not on its parent's list: it is closed when one above it is. */
bool xyli_scope_is_open(const struct xyl_scope *scope)
{
	while (scope && !scope->closed)
		scope = scope->parent;
	return !scope;
}

struct xyl_scope *xyl_scope_new(struct xyl_scope *parent)
{
	struct xyl_scope *scope;

	if (parent && !xyli_scope_is_open(parent))
		return NULL;
	scope = xyl_new(struct xyl_scope);
	if (scope)
		scope->parent = parent;
	return scope;
}

/* ---- the tree ------------------------------------------------------------------- */

static void scope_list(struct xyl_scope *scope)
{
	struct xyl_scope *parent = scope->parent;

	scope->listed = true;
	scope->next = parent->children;
	if (parent->children)
		parent->children->prev = scope;
	parent->children = scope;
}

static void scope_unlist(struct xyl_scope *scope)
{
	if (scope->prev)
		scope->prev->next = scope->next;
	else
		scope->parent->children = scope->next;
	if (scope->next)
		scope->next->prev = scope->prev;
	scope->next = scope->prev = NULL;
	scope->listed = false;
}

/* Is it listed exactly when it has something to end? */
static void scope_relist(struct xyl_scope *scope)
{
	for (; scope->parent; scope = scope->parent) {
		bool wanted = scope->live || scope->root_count || scope->children;

		if (wanted && !scope->listed)
			scope_list(scope);
		else if (!wanted && scope->listed)
			scope_unlist(scope);
	}
}

static void roots_drop(struct xyl_scope *scope)
{
	while (scope->root_count)
		xyl_root_drop(&scope->roots[--scope->root_count]);
	while (scope->children) {
		struct xyl_scope *child = scope->children;

		roots_drop(child);
		scope_unlist(child);
	}
}

static const struct xyli_wait_kind join_wait, close_wait;

static void waits_wake(struct xyl_scope *scope)
{
	while (scope->waits.first) {
		struct xyli_wait *wait = scope->waits.first;

		xyli_waits_remove(&scope->waits, wait);
		xyli_wake(wait, wait->kind == &close_wait ? 0 : scope->failure);
	}
}

/* Its last task has ended. */
static void scope_empty(struct xyl_scope *scope)
{
	if (scope->closed)
		roots_drop(scope);
	waits_wake(scope);
}

/* ---- membership ----------------------------------------------------------------- */

struct xyli_member *xyli_member_new(struct xyl_scope *scope, struct xyli_shard *shard)
{
	struct xyli_member *member = xyli_block_new(&shard->blocks, sizeof(*member));

	if (member)
		member->scope = scope;
	return member;
}

void xyli_scope_enter(struct xyli_member *member, struct xyl_task *task)
{
	struct xyl_scope *scope = member->scope;

	member->task = task;
	member->next = scope->members;
	if (scope->members)
		scope->members->prev = member;
	scope->members = member;
	task->member = member;
	for (struct xyl_scope *s = scope; s; s = s->parent)
		s->live++;
	scope_relist(scope);
}

static void member_unlink(struct xyli_member *member)
{
	if (member->prev)
		member->prev->next = member->next;
	else
		member->scope->members = member->next;
	if (member->next)
		member->next->prev = member->prev;
	member->next = member->prev = NULL;
}

void xyli_scope_leave(struct xyl_task *task)
{
	struct xyli_member *member = task->member;
	ssize_t result = task->wait.aborted ? -ECANCELED : xyl_result(task);

	task->member = NULL;
	member_unlink(member);
	for (struct xyl_scope *scope = member->scope; scope; scope = scope->parent) {
		if (result < 0 && scope->failure == 0)
			scope->failure = result;
		if (--scope->live == 0)
			scope_empty(scope);
	}
	scope_relist(member->scope);
}

int xyl_scope_root(struct xyl_scope *scope, void *obj)
{
	xyl_root root;

	if (!xyli_scope_is_open(scope))
		return -EINVAL;
	if (scope->root_count == scope->root_cap) {
		size_t cap = scope->root_cap ? 2 * scope->root_cap : 8;
		xyl_root *roots = xyl_alloc_bytes(cap * sizeof(*roots));

		if (!roots)
			return -ENOMEM;
		if (scope->root_count)
			memcpy(roots, scope->roots, scope->root_count * sizeof(*roots));
		scope->roots = roots;
		scope->root_cap = cap;
	}
	root = xyl_root_add(obj);
	if (!root.generation)
		return -ENOMEM;
	scope->roots[scope->root_count++] = root;
	scope_relist(scope);
	return 0;
}

size_t xyl_scope_count(const struct xyl_scope *scope)
{
	return scope->live;
}

void xyl_scope_abort(struct xyl_scope *scope)
{
	for (struct xyli_member *member = scope->members; member; member = member->next)
		xyl_abort(member->task);
	for (struct xyl_scope *child = scope->children; child; child = child->next)
		xyl_scope_abort(child);
}

/* ---- waiting for its end -------------------------------------------------------- */

static void scope_wait_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	struct xyl_scope *scope = wait->on;

	(void)why;
	xyli_waits_remove(&scope->waits, wait);
	xyli_wake(wait, -ECANCELED);
}

/* Closing releases: it runs to its end in an aborted task, too. */
static void scope_wait_stay(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	(void)wait;
	(void)why;
}

static void scope_wait_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyl_scope *scope = from->on;

	xyli_waits_replace(&scope->waits, from, to);
}

static const struct xyli_wait_kind join_wait = { .name = "scope join",
						 .cancel = scope_wait_cancel,
						 .move = scope_wait_move };
static const struct xyli_wait_kind close_wait = { .name = "scope close",
						  .cancel = scope_wait_stay,
						  .move = scope_wait_move };

/* A task that waits for a scope it is in waits for itself. */
static bool scope_holds(const struct xyl_scope *scope, const struct xyl_task *task)
{
	const struct xyl_scope *s = task->member ? task->member->scope : NULL;

	while (s && s != scope)
		s = s->parent;
	return s != NULL;
}

static xyl_pending scope_wait(struct xyl_scope *scope, struct xyl_task *task,
			      const struct xyli_wait_kind *kind)
{
	xyli_wait_begin(&task->wait, kind, scope);
	xyli_waits_append(&scope->waits, &task->wait);
	return (xyl_pending){ 1 };
}

xyl_pending xyl_scope_join(struct xyl_scope *scope)
{
	struct xyl_task *task = xyli_task_calling("xyl_scope_join");

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (scope_holds(scope, task))
		return xyli_done(task, -EDEADLK);
	if (scope->live == 0)
		return xyli_done(task, scope->failure);
	return scope_wait(scope, task, &join_wait);
}

static void scope_shut(struct xyl_scope *scope)
{
	scope->closed = true;
	for (struct xyl_scope *child = scope->children; child; child = child->next)
		scope_shut(child);
}

xyl_pending xyl_scope_close(struct xyl_scope *scope)
{
	struct xyl_task *task = xyli_task_calling("xyl_scope_close");

	if (scope_holds(scope, task))
		return xyli_done(task, -EDEADLK);
	scope_shut(scope);
	xyl_scope_abort(scope);
	if (scope->live)
		return scope_wait(scope, task, &close_wait);
	roots_drop(scope);
	scope_relist(scope);
	return xyli_done(task, 0);
}
