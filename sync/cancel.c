/* SPDX-License-Identifier: MIT */
/*
 * Tokens.
 *
 * Design notes.  A token points at its parent, and the parent points back only while there is
 * somebody to wake (`linked`): so a root that lives as long as its server keeps none of
 * the million tokens that were made below it, and firing costs what it wakes.  Whoever
 * asks whether a token is fired looks upwards.
 *
 *	linked	=	someone is in its line, or it has linked children
 *	linked	->	its parent is linked, or the root
 *	linked	->	neither it nor any above it has been fired
 *
 * A tree has one lock, its root's, so that whoever enters either is found by him who fires,
 * or finds that he has.  All that a linked token needs hangs off those who wait: a thread
 * may fire though the collector does not know it.
 *
 * The walks go round by the links, not by recursion: a tree may be as deep as memory allows.
 */
#include "sync/cancel.h"

#include <errno.h>
#include <stddef.h>

#include "spawn/scope.h"

struct root {
	struct xyl_cancel token; /* first */
	struct xyli_lock lock;
};

static struct xyl_cancel *root_new(void)
{
	struct root *root = xyl_new(struct root);

	if (!root)
		return NULL;
	xyli_lock_init(&root->lock);
	root->token.line.lock = &root->lock;
	return &root->token;
}

struct xyl_cancel *xyl_cancel_new(struct xyl_cancel *parent)
{
	struct xyl_cancel *token;

	if (!parent)
		return root_new();
	token = xyl_new(struct xyl_cancel);
	if (!token)
		return NULL;
	token->parent = parent;
	token->line.lock = parent->line.lock;
	return token;
}

static inline bool flag_is_set(const struct xyl_cancel *token)
{
	return atomic_load_explicit(&token->fired, memory_order_acquire);
}

bool xyl_cancel_is_fired(const struct xyl_cancel *token)
{
	while (token && !flag_is_set(token))
		token = token->parent;
	return token != NULL;
}

/* ---- the tree, under its lock --------------------------------------------------- */

static void token_link(struct xyl_cancel *token)
{
	struct xyl_cancel *parent = token->parent;

	token->linked = true;
	token->next = parent->children;
	if (token->next)
		token->next->prev = token;
	parent->children = token;
}

static void token_unlink(struct xyl_cancel *token)
{
	if (token->prev)
		token->prev->next = token->next;
	else
		token->parent->children = token->next;
	if (token->next)
		token->next->prev = token->prev;
	token->next = token->prev = NULL;
	token->linked = false;
}

/* It has somebody to wake: so have all above it. */
static void branch_link(struct xyl_cancel *token)
{
	for (; token->parent && !token->linked; token = token->parent)
		token_link(token);
}

/* It may have nobody to wake any more. */
static void branch_unlink(struct xyl_cancel *token)
{
	while (token->linked && !token->line.waits.first && !token->children) {
		token_unlink(token);
		token = token->parent;
	}
}

/* As xyl_cancel_is_fired, and no further than it must. */
static bool token_is_fired(const struct xyl_cancel *token)
{
	while (token && !token->linked && !flag_is_set(token))
		token = token->parent;
	return token && !token->linked;
}

/* ---- waiting -------------------------------------------------------------------- */

static struct xyl_cancel *token_of(struct xyli_line *line)
{
	return (struct xyl_cancel *)((char *)line - offsetof(struct xyl_cancel, line));
}

bool xyli_cancel_enter(struct xyl_cancel *token, struct xyli_wait *wait)
{
	bool fired;

	wait->on = &token->line;
	xyli_lock(token->line.lock);
	fired = token_is_fired(token);
	if (!fired) {
		xyli_waits_append(&token->line.waits, wait);
		branch_link(token);
	}
	xyli_unlock(token->line.lock);
	return !fired;
}

bool xyli_cancel_leave(struct xyli_wait *wait)
{
	struct xyl_cancel *token = token_of(wait->on);
	bool listed;

	xyli_lock(token->line.lock);
	listed = xyli_wait_is_listed(wait);
	if (listed) {
		xyli_waits_remove(&token->line.waits, wait);
		branch_unlink(token);
	}
	xyli_unlock(token->line.lock);
	return listed;
}

static void fired_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	(void)why;
	if (xyli_cancel_leave(wait))
		xyli_wake(wait, -ECANCELED);
}

static const struct xyli_wait_kind fired_wait = { .name = "token",
						  .cancel = fired_cancel,
						  .move = xyli_line_move };

xyl_pending xyl_cancel_wait(struct xyl_cancel *token)
{
	struct xyl_task *task = xyli_task_calling("xyl_cancel_wait");

	if (xyli_task_is_canceled(task))
		return xyli_done(task, -ECANCELED);
	if (!token)
		return xyli_done(task, -EINVAL);
	xyli_wait_begin(&task->wait, &fired_wait, &token->line);
	if (xyli_cancel_enter(token, &task->wait))
		return (xyl_pending){ 1 };
	task->wait.kind = NULL;
	return xyli_done(task, 0);
}

/* ---- firing --------------------------------------------------------------------- */

/* The next one to be fired, after `token` and what hung below it: round by the links. */
static struct xyl_cancel *token_after(struct xyl_cancel *token, const struct xyl_cancel *top)
{
	struct xyl_cancel *parent = token->parent;

	if (token->children)
		return token->children;
	if (token == top)
		return NULL;
	token_unlink(token);
	return parent;
}

/* All who wait below it, and for it: claimed, linked by `next`. */
static struct xyli_wait *branch_fire(struct xyl_cancel *top)
{
	struct xyli_wait *first = NULL, **end = &first;

	for (struct xyl_cancel *token = top; token; token = token_after(token, top)) {
		atomic_store_explicit(&token->fired, true, memory_order_release);
		while ((*end = xyli_line_take(&token->line)) != NULL)
			end = &(*end)->next;
	}
	branch_unlink(top);
	return first;
}

void xyl_cancel_fire(struct xyl_cancel *token)
{
	struct xyli_wait *taken = NULL;

	if (!token || flag_is_set(token))
		return;
	xyli_lock(token->line.lock);
	if (!flag_is_set(token))
		taken = branch_fire(token);
	xyli_unlock(token->line.lock);
	xyli_line_give_all(taken, 0);
}

/* ---- at the end of a scope -------------------------------------------------------- */

struct guard {			 /* waits for the scope */
	struct xyli_agent agent; /* first */
	struct xyl_cancel *token;
};

static void guard_arrive(struct xyli_wait *wait, ssize_t result)
{
	struct guard *guard = (struct guard *)wait;

	(void)result;
	xyl_cancel_fire(guard->token);
}

static const struct xyli_wait_kind guard_wait = { .name = "scope end", .arrive = guard_arrive };

int xyl_scope_fire(struct xyl_scope *scope, struct xyl_cancel *token)
{
	struct guard *guard = xyl_new(struct guard);

	if (!guard)
		return -ENOMEM;
	guard->agent.wait.kind = &guard_wait; /* on no shard: it arrives where it is told */
	guard->token = token;
	xyli_scope_tell(scope, &guard->agent);
	return 0;
}
