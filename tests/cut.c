/* SPDX-License-Identifier: MIT */
/*
 * Each operation cut short, by an abort, a bound or a close, in each state that it can
 * be in, with its buffer in collected and in other memory.
 */
#include <pthread.h>

#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/kinds.h"

enum state {
	IN_LANE,    /* behind another */
	ON_BACKLOG, /* its turn has come, the kernel has not been asked */
	IN_KERNEL,
	UNREAPED, /* done, and the shard has not looked */
	SETTLED,  /* its task is ready to run */
	FINISHED, /* its task has run */
};

enum memory { COLLECTED, MALLOCED, STATIC, ON_STACK };

/* ---- the task that is cut short -------------------------------------------------------- */

struct victim {
	struct xyl_frame frame;
	struct subject *on;
	ssize_t n;
};

static xyl_step victim(void *frame)
{
	struct victim *self = frame;

	XYL_BEGIN(self)
	if (self->on->by_itself)
		xyl_abort(xyl_self());
	if (self->on->bounded)
		XYL_AWAIT(self->n, xyl_within(self->on->kind->start(self->on), 1));
	else
		XYL_AWAIT(self->n, self->on->kind->start(self->on));
	self->on->result = self->n;
	self->on->resumed++;
	XYL_AWAIT(self->n, xyl_yield());
	self->on->next = self->n;
	if (self->on->got)
		XYL_AWAIT(self->n, xyl_close(self->on->got));
	XYL_END(0);
}

/* ---- a case --------------------------------------------------------------------------- */

struct cut {
	struct driven driven;
	struct subject *on, *ahead;
	struct xyl_task *task;
	enum state state;
};

static char *buffer_new(enum memory memory, char *on_stack)
{
	static char in_static[LEN] __attribute__((aligned(4096)));
	void *in_malloc = NULL;

	switch (memory) {
	case COLLECTED:
		/* The collector aligns whole pages. */
		return (char *)(((uintptr_t)xyl_alloc_bytes(2 * 4096) + 4095) & ~(uintptr_t)4095);
	case MALLOCED: CHECK_EQ(posix_memalign(&in_malloc, 4096, LEN), 0); return in_malloc;
	case STATIC: return in_static;
	case ON_STACK: return on_stack;
	}
	return NULL;
}

static struct subject *subject_new(const struct kind *kind, char *buf)
{
	struct subject *on = xyl_new(struct subject);

	memset(buf, 0, LEN);
	*on = (struct subject){ .kind = kind, .peer = -1, .queued = -1, .buf = buf };
	on->folder = folder_make();
	return on;
}

/* An operation on a file may be over by the end of the turn in which it began. */
static bool is_over(const struct cut *cut)
{
	return !drive_stats(&cut->driven).ops_outstanding;
}

/* Up to the state in which it is to be cut. */
static void cut_prepare(struct cut *cut)
{
	struct subject *on = cut->on;

	if (cut->state <= ON_BACKLOG) {
		cut->ahead = xyl_new(struct subject);
		*cut->ahead = *on;
		cut->ahead->by_itself = cut->ahead->bounded = false;
		cut->ahead->buf = xyl_alloc_bytes(LEN);
		memset(cut->ahead->buf, 0, LEN);
		DRIVE_SPAWN(&cut->driven, victim, .on = cut->ahead);
	}
	cut->task = DRIVE_SPAWN(&cut->driven, victim, .on = on);
	hand_turn(&cut->driven);
	if (cut->state == IN_LANE || cut->state == IN_KERNEL)
		return;
	if (on->kind->complete)
		on->kind->complete(on);
	if (!is_over(cut)) {
		hand_completion(&cut->driven);
		if (cut->state != UNREAPED)
			hand_turn(&cut->driven);
	} else if (cut->state == UNREAPED) {
		cut->state = SETTLED;
	}
	if (cut->state == FINISHED)
		hand_join(&cut->driven, cut->task);
}

static struct cut cut_begin(const struct kind *kind, enum state state, char *buf)
{
	struct cut cut = { .driven = hand_begin(NULL), .state = state };

	cut.on = subject_new(kind, buf);
	kind->open(cut.on);
	return cut;
}

static void cut_end(struct cut *cut)
{
	struct subject *on = cut->on;

	CHECK_EQ(hand_join(&cut->driven, cut->task), 0);
	CHECK_EQ(on->resumed, 1);
	if (on->io && xyl_io_fd(on->io) >= 0)
		HAND_CLOSE(&cut->driven, on->io);
	if (on->to)
		HAND_CLOSE(&cut->driven, on->to);
	hand_quiet(&cut->driven);
	if (cut->ahead)
		CHECK_EQ(cut->ahead->resumed, 1);
	if (on->peer >= 0)
		close(on->peer);
	if (on->queued >= 0)
		close(on->queued);
	folder_remove(&on->folder);
	drive_end(&cut->driven);
}

static bool state_exists(const struct kind *kind, enum state state)
{
	return kind->lane || state >= IN_KERNEL;
}

/* ---- abort ----------------------------------------------------------------------------- */

static void *abort_on_thread(void *task)
{
	xyl_abort(task);
	xyl_abort(task);
	return NULL;
}

static void abort_from_thread(struct xyl_task *task)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, abort_on_thread, task), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static bool result_is_kept(const struct kind *kind, enum state state, bool over, bool collected)
{
	if (state >= SETTLED || over)
		return true;
	return !collected && kind->buffer &&
	       (state == UNREAPED || (state == IN_KERNEL && kind->stubborn));
}

static void abort_checked(struct cut *cut, bool collected)
{
	const struct kind *kind = cut->on->kind;
	bool over = cut->state == IN_KERNEL && is_over(cut);
	bool at_once = (collected || !kind->buffer || cut->state <= ON_BACKLOG) && !kind->is_call;
	struct xyl_stats before = drive_stats(&cut->driven), after;

	abort_from_thread(cut->task);
	hand_turn(&cut->driven);
	if (at_once && cut->state < FINISHED)
		CHECK_EQ(cut->on->resumed, 1);
	else if (!kind->is_call && cut->state < SETTLED && !over)
		CHECK_EQ(cut->on->resumed, 0);
	hand_join(&cut->driven, cut->task);
	if (cut->state != IN_LANE && (!kind->leaves || cut->state < SETTLED))
		hand_drained(&cut->driven);
	after = drive_stats(&cut->driven);
	if (result_is_kept(kind, cut->state, over, collected))
		CHECK_EQ(cut->on->result, kind->result);
	else
		CHECK_EQ(cut->on->result, -ECANCELED);
	CHECK_EQ(cut->on->next, cut->state == FINISHED ? 0 : -ECANCELED);
	CHECK_EQ(xyl_is_aborted(cut->task), cut->state != FINISHED);
	if (cut->state == UNREAPED && at_once) {
		CHECK_EQ(after.adopted_results - before.adopted_results, kind->adopted);
		CHECK_EQ(after.closed_late - before.closed_late, kind->closed_late);
	}
	if (cut->state == ON_BACKLOG && !kind->leaves)
		CHECK_EQ(after.ops_submitted, before.ops_submitted);
}

static void abort_one(const struct kind *kind, enum state state, enum memory memory)
{
	char on_stack[LEN] __attribute__((aligned(4096)));
	char *buf = buffer_new(memory, on_stack);
	struct cut cut = cut_begin(kind, state, buf);

	cut_prepare(&cut);
	abort_checked(&cut, memory == COLLECTED);
	cut_end(&cut);
	if (memory == MALLOCED)
		free(buf);
}

static void abort_each(enum state state)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!state_exists(&kinds[i], state))
			continue;
		for (int memory = COLLECTED; memory <= ON_STACK; memory++)
			abort_one(&kinds[i], state, (enum memory)memory);
	}
}

TEST(an_operation_that_queues_behind_another_is_aborted_at_once)
{
	abort_each(IN_LANE);
}

TEST(an_operation_on_the_backlog_is_aborted_and_never_reaches_the_kernel)
{
	abort_each(ON_BACKLOG);
}

TEST(an_operation_in_the_kernel_is_abandoned_unless_its_buffer_is_foreign)
{
	abort_each(IN_KERNEL);
}

TEST(a_result_that_is_not_reaped_yet_is_adopted_unless_the_buffer_is_foreign)
{
	abort_each(UNREAPED);
}

TEST(a_result_that_has_arrived_is_kept_by_an_aborted_task)
{
	abort_each(SETTLED);
}

TEST(a_finished_task_is_left_alone_by_an_abort)
{
	abort_each(FINISHED);
}

static void self_abort_one(const struct kind *kind, enum state state)
{
	char on_stack[LEN] __attribute__((aligned(4096)));
	struct cut cut = cut_begin(kind, state, buffer_new(COLLECTED, on_stack));
	bool over;

	cut.on->by_itself = true;
	cut_prepare(&cut);
	over = state == IN_KERNEL && is_over(&cut);
	hand_join(&cut.driven, cut.task);
	CHECK_EQ(cut.on->result, over ? kind->result : -ECANCELED);
	CHECK_EQ(cut.on->next, -ECANCELED);
	cut_end(&cut);
}

TEST(a_task_that_aborts_itself_is_cut_at_its_next_await)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (kinds[i].lane)
			self_abort_one(&kinds[i], IN_LANE);
		self_abort_one(&kinds[i], IN_KERNEL);
	}
}

struct aborter {
	struct xyl_frame frame;
	struct xyl_task *task;
	ssize_t n;
};

static xyl_step aborter(void *frame)
{
	struct aborter *self = frame;

	XYL_BEGIN(self)
	xyl_abort(self->task);
	xyl_abort(self->task);
	XYL_AWAIT(self->n, xyl_join(self->task));
	CHECK_EQ(self->n, xyl_is_aborted(self->task) ? -ECANCELED : 0);
	xyl_abort(self->task);
	XYL_END(0);
}

static void peer_abort_one(const struct kind *kind, enum state state)
{
	char on_stack[LEN] __attribute__((aligned(4096)));
	struct cut cut = cut_begin(kind, state, buffer_new(COLLECTED, on_stack));
	struct xyl_task *peer;

	cut_prepare(&cut);
	peer = DRIVE_SPAWN(&cut.driven, aborter, .task = cut.task);
	CHECK_EQ(hand_join(&cut.driven, peer), 0);
	if (kind->stubborn)
		CHECK(cut.on->result == kind->result || cut.on->result == -ECANCELED);
	else
		CHECK_EQ(cut.on->result, -ECANCELED);
	cut_end(&cut);
}

TEST(a_peer_may_abort_whatever_it_waits_for)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (kinds[i].lane)
			peer_abort_one(&kinds[i], IN_LANE);
		peer_abort_one(&kinds[i], IN_KERNEL);
	}
}

/* More cancels in one turn than the ring has room for. */
TEST(of_many_operations_aborted_at_once_none_is_forgotten)
{
	enum { READERS = 20 };
	struct xyl_config config = { .ring_entries = 2 };
	struct driven driven = hand_begin(&config);
	struct xyl_task *tasks[READERS];
	struct xyl_io *ios[READERS];
	int peers[READERS];

	for (int i = 0; i < READERS; i++) {
		ios[i] = raw_socketpair(&peers[i]);
		tasks[i] = DRIVE_SPAWN(&driven, hand_read, .io = ios[i],
				       .buf = xyl_alloc_bytes(LEN), .len = LEN);
	}
	hand_turn(&driven);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, READERS);
	for (int i = 0; i < READERS; i++)
		xyl_abort(tasks[i]);
	hand_quiet(&driven);
	CHECK_EQ(drive_stats(&driven).cancels, READERS);
	for (int i = 0; i < READERS; i++) {
		CHECK_EQ(xyl_result(tasks[i]), -ECANCELED);
		HAND_CLOSE(&driven, ios[i]);
		close(peers[i]);
	}
	drive_end(&driven);
}

/* ---- bounds ---------------------------------------------------------------------------- */

static void bound_one(const struct kind *kind, enum state state, enum memory memory)
{
	char on_stack[LEN] __attribute__((aligned(4096)));
	char *buf = buffer_new(memory, on_stack);
	struct cut cut = cut_begin(kind, state, buf);
	bool wins = (state == UNREAPED && !kind->leaves) || kind->stubborn;

	cut.on->bounded = true;
	cut_prepare(&cut);
	hand_turn(&cut.driven);
	if (state == IN_KERNEL && !is_over(&cut) && !kind->leaves)
		CHECK_EQ(cut.on->resumed, 0);
	hand_join(&cut.driven, cut.task);
	if (!kind->is_call || !wins)
		CHECK_EQ(cut.on->result, wins ? kind->result : -ETIMEDOUT);
	CHECK_EQ(cut.on->next, 0);
	if (!kind->leaves)
		CHECK_EQ(drive_stats(&cut.driven).ops_outstanding, state == IN_LANE);
	cut_end(&cut);
	if (memory == MALLOCED)
		free(buf);
}

static void bound_each(enum state state)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!state_exists(&kinds[i], state))
			continue;
		for (int memory = COLLECTED; memory <= ON_STACK; memory++)
			bound_one(&kinds[i], state, (enum memory)memory);
	}
}

TEST(a_bound_ends_an_operation_that_queues_behind_another)
{
	bound_each(IN_LANE);
}

TEST(a_bound_ends_an_operation_in_the_kernel_and_waits_for_its_last_cqe)
{
	bound_each(IN_KERNEL);
}

TEST(a_result_that_is_not_reaped_yet_wins_over_the_bound)
{
	bound_each(UNREAPED);
}

/* ---- close ----------------------------------------------------------------------------- */

static void close_one(const struct kind *kind, enum state state, enum memory memory)
{
	char on_stack[LEN] __attribute__((aligned(4096)));
	char *buf = buffer_new(memory, on_stack);
	struct cut cut = cut_begin(kind, state, buf);
	bool wins = state >= (kind->leaves ? SETTLED : UNREAPED) || kind->stubborn;

	cut_prepare(&cut);
	HAND_CLOSE(&cut.driven, cut.on->io);
	CHECK_EQ(drive_stats(&cut.driven).ops_outstanding, 0);
	hand_join(&cut.driven, cut.task);
	CHECK_EQ(cut.on->result, wins ? kind->result : -ECANCELED);
	CHECK_EQ(cut.on->next, 0);
	CHECK_EQ(xyl_io_fd(cut.on->io), -EBADF);
	cut_end(&cut);
	if (memory == MALLOCED)
		free(buf);
}

static void close_each(enum state state)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if ((!kinds[i].lane && !kinds[i].stubborn) || kinds[i].by_number)
			continue; /* no handle that a peer could close */
		if (!state_exists(&kinds[i], state))
			continue;
		for (int memory = COLLECTED; memory <= ON_STACK; memory++)
			close_one(&kinds[i], state, (enum memory)memory);
	}
}

TEST(a_close_ends_the_operations_that_queue)
{
	close_each(IN_LANE);
}

TEST(a_close_ends_the_operation_on_the_backlog)
{
	close_each(ON_BACKLOG);
}

TEST(a_close_ends_the_operation_in_the_kernel)
{
	close_each(IN_KERNEL);
}

TEST(a_result_that_is_not_reaped_yet_wins_over_a_close)
{
	close_each(UNREAPED);
}

TEST(a_close_takes_no_result_away)
{
	close_each(SETTLED);
}
