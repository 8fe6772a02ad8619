/* SPDX-License-Identifier: MIT */
/*
 * Trees of scopes at random, beside a model of them.
 *
 * The model knows for each task in which scope it is and for each scope its parent; it
 * finds all else by looking at each of them.  Detaching is the one thing that changes who
 * is where: it moves tasks up, and whole scopes that are closing.
 */
#include <errno.h>

#include "spawn/scope.h"
#include "tests/asyncs.h"
#include "tests/scopes.h"

enum { SCOPES = 10, TASKS = 60, ROOTS = 20, CLOSERS = 12, STEPS = 150, RUNS = 200, NOWHERE = -1 };

struct scope_of_model {
	struct xyl_scope *scope;
	int parent;
	bool closed;
	bool drops; /* its roots when it is empty; else one above it does */
};

struct task_of_model {
	struct xyl_task *task;
	struct xyl_future *gate; /* NULL: an abort ends it */
	int scope;
	bool told; /* to end */
	bool over, given;
};

struct root_of_model {
	int scope;	   /* NOWHERE: detached, with these */
	bool users[TASKS]; /* it is kept for */
};

struct model {
	struct scope_of_model scopes[SCOPES];
	struct task_of_model tasks[TASKS];
	struct root_of_model roots[ROOTS];
	struct xyl_task *closers[CLOSERS];
	int closes[CLOSERS];
	int scope_count, task_count, root_count, closer_count;
};

/* ---- what the model says --------------------------------------------------------------- */

static bool model_is_in(const struct model *model, int scope, int top)
{
	while (scope != NOWHERE && scope != top)
		scope = model->scopes[scope].parent;
	return scope == top;
}

static bool model_is_open(const struct model *model, int scope)
{
	while (scope != NOWHERE && !model->scopes[scope].closed)
		scope = model->scopes[scope].parent;
	return scope == NOWHERE;
}

static size_t model_live(const struct model *model, int scope)
{
	size_t live = 0;

	for (int i = 0; i < model->task_count; i++)
		live += !model->tasks[i].over && model->tasks[i].scope != NOWHERE &&
			model_is_in(model, model->tasks[i].scope, scope);
	return live;
}

/* Its own that run, or that ended and were not given. */
static int model_own(const struct model *model, int scope, bool over)
{
	int own = 0;

	for (int i = 0; i < model->task_count; i++)
		own += model->tasks[i].scope == scope && model->tasks[i].over == over &&
		       !model->tasks[i].given;
	return own;
}

static bool model_root_is_used(const struct model *model, const struct root_of_model *root)
{
	for (int i = 0; i < model->task_count; i++)
		if (root->users[i] && !model->tasks[i].over)
			return true;
	return false;
}

static bool model_root_is_kept(const struct model *model, const struct root_of_model *root)
{
	if (root->scope == NOWHERE)
		return model_root_is_used(model, root);
	for (int s = root->scope; s != NOWHERE; s = model->scopes[s].parent)
		if (model->scopes[s].drops && model_live(model, s) == 0)
			return false;
	return true;
}

static void model_check(struct model *model)
{
	size_t roots = 0;

	for (int i = 0; i < model->task_count; i++)
		model->tasks[i].over |= xyl_is_done(model->tasks[i].task);
	for (int i = 0; i < model->scope_count; i++)
		CHECK_EQ(xyl_scope_count(model->scopes[i].scope), model_live(model, i));
	for (int i = 0; i < model->root_count; i++)
		roots += model_root_is_kept(model, &model->roots[i]);
	CHECK_EQ(xyl_root_count(), roots);
	for (int i = 0; i < model->closer_count; i++)
		if (xyl_is_done(model->closers[i]))
			CHECK_EQ(model_live(model, model->closes[i]), 0);
}

/* ---- what is done to both --------------------------------------------------------------- */

static void both_new(struct model *model)
{
	int parent = (int)(test_random() % ((unsigned)model->scope_count + 1)) - 1;
	struct xyl_scope *scope;

	if (model->scope_count == SCOPES)
		return;
	scope = xyl_scope_new(parent == NOWHERE ? NULL : model->scopes[parent].scope);
	CHECK_EQ(scope != NULL, model_is_open(model, parent));
	if (scope)
		model->scopes[model->scope_count++] = (struct scope_of_model){ .scope = scope,
									       .parent = parent };
}

static void both_spawn(struct model *model, int scope)
{
	struct task_of_model *task = &model->tasks[model->task_count];
	struct xyl_future *gate = test_random() % 4 ? NULL : xyl_future_new();

	if (model->task_count == TASKS)
		return;
	task->task = gate ? xyl_scope_spawn(model->scopes[scope].scope, stubborn, .gate = gate)
			  : xyl_scope_spawn(model->scopes[scope].scope, sleep_for, .ns = LONG_NS);
	CHECK_EQ(task->task != NULL, model_is_open(model, scope));
	if (!task->task)
		return;
	task->gate = gate;
	task->scope = scope;
	model->task_count++;
}

static void both_root(struct model *model, int scope)
{
	if (model->root_count == ROOTS)
		return;
	CHECK_EQ(xyl_scope_root(model->scopes[scope].scope, model),
		 model_is_open(model, scope) ? 0 : -EINVAL);
	if (model_is_open(model, scope))
		model->roots[model->root_count++] = (struct root_of_model){ .scope = scope };
}

static void both_end(struct model *model, int i)
{
	struct task_of_model *task = &model->tasks[i];

	if (task->gate)
		xyl_future_set(task->gate, 0);
	else
		xyl_abort(task->task);
	task->told = true;
}

static void both_abort(struct model *model, int top)
{
	xyl_scope_abort(model->scopes[top].scope);
	for (int i = 0; i < model->task_count; i++)
		if (!model->tasks[i].gate && model->tasks[i].scope != NOWHERE)
			model->tasks[i].told |= model_is_in(model, model->tasks[i].scope, top);
}

/* Nobody ends unseen. */
static bool model_is_settled(const struct model *model)
{
	for (int i = 0; i < model->task_count; i++)
		if (model->tasks[i].told && !model->tasks[i].over)
			return false;
	return true;
}

static struct xyl_task *both_close(struct model *model, int scope)
{
	if (model->closer_count == CLOSERS)
		return NULL;
	model->closes[model->closer_count] = scope;
	return model->closers[model->closer_count++] =
		       xyl_spawn(close_scope, .scope = model->scopes[scope].scope);
}

/* As soon as a closer has run. */
static void model_close(struct model *model, int top)
{
	for (int i = 0; i < model->scope_count; i++) {
		if (!model_is_in(model, i, top))
			continue;
		model->scopes[i].closed = true;
		model->scopes[i].drops |= i == top || model_live(model, i);
	}
	for (int i = 0; i < model->task_count; i++)
		if (!model->tasks[i].gate && model->tasks[i].scope != NOWHERE)
			model->tasks[i].told |= model_is_in(model, model->tasks[i].scope, top);
}

/* The innermost that is closed, or the scope itself, is what moves. */
static bool model_moves_by_itself(const struct model *model, int scope, int top)
{
	for (; scope != top; scope = model->scopes[scope].parent)
		if (model->scopes[scope].closed)
			return false;
	return true;
}

static void model_detach_roots(struct model *model, int top)
{
	for (int r = 0; r < model->root_count; r++) {
		struct root_of_model *root = &model->roots[r];

		if (root->scope == NOWHERE || !model_is_in(model, root->scope, top) ||
		    !model_moves_by_itself(model, root->scope, top))
			continue;
		for (int i = 0; i < model->task_count; i++)
			root->users[i] = !model->tasks[i].over &&
					 model->tasks[i].scope != NOWHERE &&
					 model_is_in(model, model->tasks[i].scope, top);
		root->scope = NOWHERE;
	}
}

static void model_detach(struct model *model, int top)
{
	int up = model->scopes[top].parent;
	bool moves[SCOPES];

	model_detach_roots(model, top);
	for (int i = 0; i < model->task_count; i++) {
		struct task_of_model *task = &model->tasks[i];

		if (!task->over && task->scope != NOWHERE && model_is_in(model, task->scope, top) &&
		    model_moves_by_itself(model, task->scope, top))
			task->scope = up;
	}
	for (int i = 0; i < model->scope_count; i++)
		moves[i] = i != top && model->scopes[i].closed && model_is_in(model, i, top) &&
			   model_moves_by_itself(model, model->scopes[i].parent, top);
	for (int i = 0; i < model->scope_count; i++)
		if (moves[i])
			model->scopes[i].parent = up;
}

static void both_detach(struct model *model, int scope)
{
	xyl_scope_detach(model->scopes[scope].scope);
	if (!model_is_open(model, scope))
		return;
	model_detach(model, scope);
}

static void model_given(struct model *model, int scope, const struct xyl_task *task)
{
	int i = 0;

	while (i < model->task_count && model->tasks[i].task != task)
		i++;
	CHECK(i < model->task_count);
	CHECK(model->tasks[i].over && !model->tasks[i].given);
	CHECK_EQ(model->tasks[i].scope, scope);
	model->tasks[i].given = true;
}

/* ---- runs ------------------------------------------------------------------------------- */

struct walk {
	struct xyl_frame frame;
	struct model *model;
	struct xyl_task *got;
	int step, scope, i, asked;
	ssize_t n;
};

static void walk_step(struct walk *self)
{
	struct model *model = self->model;

	switch (test_random() % 10) {
	case 0: both_new(model); break;
	case 1:
	case 2:
	case 3: both_spawn(model, self->scope); break;
	case 4: both_root(model, self->scope); break;
	case 5:
	case 6:
		if (model->task_count)
			both_end(model, (int)(test_random() % (unsigned)model->task_count));
		break;
	case 7: both_detach(model, self->scope); break;
	case 8: both_abort(model, self->scope); break;
	default: break;
	}
	model_check(model);
}

struct walk_close {
	struct xyl_frame frame;
	struct model *model;
	int scope;
	ssize_t n;
};

static xyl_step walk_close(void *frame)
{
	struct walk_close *self = frame;

	XYL_BEGIN(self)
	while (!model_is_settled(self->model)) {
		XYL_AWAIT(self->n, xyl_yield());
		model_check(self->model);
	}
	if (!model_is_open(self->model, self->scope) || !both_close(self->model, self->scope))
		XYL_RETURN(0);
	while (!self->model->scopes[self->scope].scope->closed)
		XYL_AWAIT(self->n, xyl_yield());
	model_close(self->model, self->scope);
	model_check(self->model);
	XYL_END(0);
}

/* All that have ended; and whether some are to come, which only the scope knows. */
struct walk_ask {
	struct xyl_frame frame;
	struct model *model;
	struct xyl_task *got;
	int scope, over;
	ssize_t n;
};

static xyl_step walk_ask(void *frame)
{
	struct walk_ask *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		self->over = model_own(self->model, self->scope, true);
		if (!self->over && model_own(self->model, self->scope, false))
			break;
		XYL_AWAIT(self->n,
			  xyl_scope_next(self->model->scopes[self->scope].scope, &self->got));
		CHECK_EQ(self->n, self->over ? 0 : -ENOENT);
		model_check(self->model);
		if (self->n < 0)
			break;
		model_given(self->model, self->scope, self->got);
	}
	XYL_END(0);
}

static void tasks_end(struct model *model)
{
	for (int i = 0; i < model->task_count; i++)
		both_end(model, i);
}

static xyl_step walk(void *frame)
{
	struct walk *self = frame;

	XYL_BEGIN(self)
	self->model = xyl_new(struct model);
	while (!self->model->scope_count)
		both_new(self->model);
	XYL_AWAIT(self->n, xyl_scope_next(self->model->scopes[self->asked++].scope, &self->got));
	for (self->step = 0; self->step < STEPS; self->step++) {
		self->scope = (int)(test_random() % (unsigned)self->model->scope_count);
		walk_step(self);
		while (self->asked < self->model->scope_count) { /* from here on all are kept */
			self->i = self->asked++;
			XYL_AWAIT(self->n,
				  xyl_scope_next(self->model->scopes[self->i].scope, &self->got));
			CHECK_EQ(self->n, -ENOENT);
		}
		if (test_random() % 32 == 0) {
			XYL_AWAIT(self->n,
				  xyl_call(walk_close, .model = self->model, .scope = self->scope));
		}
		if (test_random() % 3 == 0)
			XYL_AWAIT(self->n, xyl_yield());
		model_check(self->model);
		if (test_random() % 3 == 0)
			XYL_AWAIT(self->n,
				  xyl_call(walk_ask, .model = self->model, .scope = self->scope));
	}
	tasks_end(self->model);
	for (self->i = 0; self->i < self->model->scope_count; self->i++) {
		XYL_AWAIT(self->n, xyl_scope_close(self->model->scopes[self->i].scope));
		CHECK_EQ(self->n, 0);
		model_close(self->model, self->i);
	}
	for (self->i = 0; self->i < self->model->task_count; self->i++)
		XYL_AWAIT(self->n, xyl_join(self->model->tasks[self->i].task));
	for (self->i = 0; self->i < self->model->closer_count; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->model->closers[self->i]));
		CHECK_EQ(self->n, 0);
	}
	CHECK_EQ(xyl_root_count(), 0);
	for (int i = 0; i < self->model->task_count; i++)
		self->model->tasks[i].over = true;
	for (self->i = 0; self->i < self->model->scope_count; self->i++)
		XYL_AWAIT(self->n, xyl_call(walk_ask, .model = self->model, .scope = self->i));
	for (int i = 0; i < self->model->task_count; i++)
		CHECK_EQ(self->model->tasks[i].given, self->model->tasks[i].scope != NOWHERE);
	XYL_END(0);
}

TEST(trees_of_scopes_are_what_a_model_says_they_are)
{
	for (size_t i = 0; i < test_scaled(RUNS); i++)
		CHECK_EQ(RUN(walk), 0);
}
