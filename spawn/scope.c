/* SPDX-License-Identifier: MIT */
/*
 * Scopes: the tree, roots, joining and closing.
 *
 * Design notes.  A scope counts the tasks in it and below it (`live`), so that joining
 * a tree is one comparison.  It is listed with its parent only while it has tasks or
 * roots: an idle child that nobody holds is garbage.  Its roots are ordinary roots of
 * the program and are counted as such.  Trees may be deep: no walk of them recurses.
 */
#include "spawn/scope.h"

#include <errno.h>

#include "spawn/give.h"

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

size_t xyl_scope_count(const struct xyl_scope *scope)
{
	return scope->live;
}

void xyl_scope_abort(struct xyl_scope *scope)
{
	for (struct xyl_scope *s = scope; s; s = xyli_scope_following(s, scope))
		for (struct xyli_member *member = s->members; member; member = member->next)
			xyl_abort(member->task);
}

bool xyli_scope_holds(const struct xyl_scope *scope, const struct xyl_task *task)
{
	const struct xyl_scope *s = task->member ? task->member->scope : NULL;

	while (s && s != scope)
		s = s->parent;
	return s != NULL;
}

/* ---- the tree ------------------------------------------------------------------- */

void xyli_scope_list(struct xyl_scope *scope)
{
	struct xyl_scope *parent = scope->parent;

	scope->listed = true;
	scope->next = parent->children;
	if (parent->children)
		parent->children->prev = scope;
	parent->children = scope;
}

void xyli_scope_unlist(struct xyl_scope *scope)
{
	if (scope->prev)
		scope->prev->next = scope->next;
	else
		scope->parent->children = scope->next;
	if (scope->next)
		scope->next->prev = scope->prev;
	scope->next = scope->prev = NULL;
	scope->listed = false;
	if (scope->parent->owners)
		xyli_owners_idle(scope->parent);
}

void xyli_scope_relist(struct xyl_scope *scope)
{
	for (; scope->parent; scope = scope->parent) {
		bool wanted = scope->live || scope->roots || scope->children || scope->waits.first;

		if (wanted && !scope->listed)
			xyli_scope_list(scope);
		else if (!wanted && scope->listed)
			xyli_scope_unlist(scope);
	}
}

/* ---- roots ---------------------------------------------------------------------- */

int xyl_scope_root(struct xyl_scope *scope, void *obj)
{
	struct xyli_kept *kept;

	if (!xyli_scope_is_open(scope))
		return -EINVAL;
	if (!scope->spare)
		scope->spare = xyl_new(struct xyl_scope);
	kept = scope->spare ? xyl_new(struct xyli_kept) : NULL;
	if (!kept)
		return -ENOMEM;
	kept->root = xyl_root_add(obj);
	if (!kept->root.generation)
		return -ENOMEM;
	kept->next = scope->roots;
	scope->roots = kept;
	xyli_scope_relist(scope);
	return 0;
}

static void roots_drop(struct xyl_scope *scope)
{
	for (struct xyli_kept *kept; (kept = scope->roots); kept->next = NULL) {
		scope->roots = kept->next;
		xyl_root_drop(&kept->root);
	}
}

/* From below: nothing is left in those that come off their parents' lists. */
void xyli_scope_drop_roots(struct xyl_scope *top)
{
	struct xyl_scope *scope = top;

	for (;;) {
		struct xyl_scope *parent;

		while (scope->children)
			scope = scope->children;
		roots_drop(scope);
		if (scope == top)
			return;
		parent = scope->parent;
		xyli_scope_unlist(scope);
		scope = parent;
	}
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

void xyli_scope_wake(struct xyl_scope *scope)
{
	while (scope->waits.first) {
		struct xyli_wait *wait = scope->waits.first;

		xyli_waits_remove(&scope->waits, wait);
		xyli_give_here(wait, wait->kind == &close_wait ? 0 : scope->failure);
	}
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
	if (xyli_scope_holds(scope, task))
		return xyli_done(task, -EDEADLK);
	if (scope->live == 0)
		return xyli_done(task, scope->failure);
	return scope_wait(scope, task, &join_wait);
}

void xyli_scope_tell(struct xyl_scope *scope, struct xyli_agent *agent)
{
	if (scope->live == 0 && !xyli_scope_is_open(scope)) {
		xyli_give_here(&agent->wait, scope->failure);
		return;
	}
	agent->wait.on = scope;
	xyli_waits_append(&scope->waits, &agent->wait);
	xyli_scope_relist(scope);
}

static void scope_shut(struct xyl_scope *scope)
{
	for (struct xyl_scope *s = scope; s; s = xyli_scope_following(s, scope)) {
		s->closed = true;
		if (s->live == 0)
			xyli_scope_wake(s);
	}
}

xyl_pending xyl_scope_close(struct xyl_scope *scope)
{
	struct xyl_task *task = xyli_task_calling("xyl_scope_close");

	if (xyli_scope_holds(scope, task))
		return xyli_done(task, -EDEADLK);
	scope_shut(scope);
	xyl_scope_abort(scope);
	if (scope->live)
		return scope_wait(scope, task, &close_wait);
	xyli_ended_forget(&scope->ended);
	xyli_scope_drop_roots(scope);
	xyli_scope_relist(scope);
	return xyli_done(task, 0);
}
