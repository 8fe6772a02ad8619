/* SPDX-License-Identifier: MIT */
/*
 * Members: tasks enter a scope, leave it when they end, or are detached from it.
 *
 * Design notes.  What is detached goes up: to the parent, whose counts, joins and closes
 * included it before and do so afterwards.  Roots must outlast the tasks that may use
 * them, but not longer: where there are some, the tasks and the roots of the whole tree
 * go into an heir, a scope that nobody holds and that drops its roots when it is empty.
 * It stands where the tasks would have gone.  Its memory is there since the first root
 * was taken, so detaching cannot fail.
 *
 * A scope that is closing, or an heir of an earlier detaching, is moved as it is.
 */
#include <errno.h>

#include "spawn/scope.h"

struct xyli_member *xyli_member_new(struct xyl_scope *scope, struct xyli_shard *shard)
{
	struct xyli_member *member = NULL;

	if (xyli_scope_is_open(scope))
		member = xyli_block_new(&shard->blocks, sizeof(*member));
	if (member)
		member->scope = scope;
	return member;
}

static void member_link(struct xyli_member *member, struct xyl_scope *scope)
{
	member->scope = scope;
	member->next = scope->members;
	if (scope->members)
		scope->members->prev = member;
	scope->members = member;
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

void xyli_scope_enter(struct xyli_member *member, struct xyl_task *task)
{
	struct xyl_scope *scope = member->scope;

	member->task = task;
	task->member = member;
	member_link(member, scope);
	xyli_ended_expect(&scope->ended, 1);
	for (; scope; scope = scope->parent) {
		scope->live++;
		if (!scope->listed && scope->parent)
			xyli_scope_list(scope);
	}
}

/* Its last task has ended. */
static void scope_empty(struct xyl_scope *scope)
{
	if (scope->closed || scope->heir)
		xyli_scope_drop_roots(scope);
	if (scope->closed)
		xyli_ended_forget(&scope->ended);
	xyli_scope_wake(scope);
}

void xyli_scope_leave(struct xyl_task *task)
{
	struct xyli_member *member = task->member;
	struct xyl_scope *scope = member->scope, *teller = xyli_scope_teller(scope);
	ssize_t result = task->wait.aborted ? -ECANCELED : xyli_task_first_frame(task)->result;

	task->member = NULL;
	member_unlink(member);
	member->scope = NULL; /* who holds it holds the task, nothing else */
	if (teller)
		xyli_ended_add(&teller->ended, member);
	for (struct xyl_scope *s = scope; s; s = s->parent) {
		if (result < 0 && s->failure == 0)
			s->failure = result;
		if (--s->live == 0)
			scope_empty(s);
	}
	if (scope->live == 0)
		xyli_scope_relist(scope);
}

/* ---- detaching ------------------------------------------------------------------ */

static void member_free(struct xyli_member *member)
{
	member->task->member = NULL;
	member->task = NULL;
	member->scope = NULL;
}

static void members_move(struct xyl_scope *from, struct xyl_scope *to)
{
	for (struct xyli_member *member; (member = from->members);) {
		member_unlink(member);
		if (to)
			member_link(member, to);
		else
			member_free(member);
	}
}

static void roots_move(struct xyl_scope *from, struct xyl_scope *to)
{
	for (struct xyli_kept *kept; (kept = from->roots);) {
		from->roots = kept->next;
		kept->next = to->roots;
		to->roots = kept;
	}
}

/* Its own tasks, and it stands there as if they had ended. */
static void scope_move_out(struct xyl_scope *from, struct xyl_scope *to)
{
	struct xyl_scope *teller = xyli_scope_teller(to);

	members_move(from, to);
	if (from->roots)
		roots_move(from, to);
	if (teller)
		xyli_ended_expect(&teller->ended, from->ended.running);
	from->ended.running = 0;
	from->live = 0;
	xyli_ended_tell(&from->ended);
	xyli_scope_wake(from);
}

static void scope_move(struct xyl_scope *scope, struct xyl_scope *to)
{
	xyli_scope_unlist(scope);
	scope->parent = to;
	if (to)
		xyli_scope_list(scope);
}

static bool scope_moves_whole(const struct xyl_scope *scope)
{
	return scope->closed || scope->heir;
}

/* For all that is below, too.  NULL: there are no roots. */
static struct xyl_scope *heir_new(struct xyl_scope *top)
{
	struct xyl_scope *scope = top, *heir;

	while (scope && (!scope->roots || scope_moves_whole(scope)))
		scope = xyli_scope_following(scope, top);
	if (!scope)
		return NULL;
	heir = scope->spare;
	scope->spare = NULL;
	heir->heir = true;
	heir->parent = top->parent;
	heir->live = top->live;
	if (heir->parent)
		xyli_scope_list(heir);
	return heir;
}

static void tree_move_out(struct xyl_scope *top, struct xyl_scope *to)
{
	for (struct xyl_scope *scope = top, *parent;; scope = parent) {
		while (scope->children && !scope_moves_whole(scope))
			scope = scope->children;
		parent = scope->parent;
		if (scope_moves_whole(scope)) {
			scope_move(scope, to);
			continue;
		}
		scope_move_out(scope, to);
		if (scope == top)
			return;
		xyli_scope_unlist(scope);
	}
}

void xyl_scope_detach(struct xyl_scope *scope)
{
	struct xyl_scope *heir;

	if (scope->closed)
		return;
	if (scope->live) {
		heir = heir_new(scope);
		tree_move_out(scope, heir ? heir : scope->parent);
	} else {
		xyli_scope_drop_roots(scope);
	}
	xyli_scope_relist(scope);
}
