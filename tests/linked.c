/* SPDX-License-Identifier: MIT */
/* Linked operations: xyl_submit_linked. */
#include <errno.h>
#include <sys/eventfd.h>

#include "tests/child.h"
#include "tests/hand.h"
#include "tests/raw.h"

#define OP_PIPE 62 /* Linux 6.16 */

enum { LEN = 64, LINKS = 64, MANY = 32 };

/* ---- chains ----------------------------------------------------------------------------- */

/* One operation, as the tests write it down. */
struct step {
	uint8_t opcode, flags;
	int fd;
	void *buf;
	uint32_t len, op_flags;
};

static void prep_step(struct io_uring_sqe *sqe, void *arg)
{
	const struct step *step = arg;

	sqe->opcode = step->opcode;
	sqe->flags = step->flags;
	sqe->fd = step->fd;
	sqe->addr = (uintptr_t)step->buf;
	sqe->len = step->len;
	sqe->rw_flags = (int)step->op_flags;
}

static struct step nop(void)
{
	return (struct step){ .opcode = IORING_OP_NOP, .fd = -1 };
}

static struct step failure(void) /* -EBADF */
{
	return (struct step){ .opcode = IORING_OP_READ, .fd = -1 };
}

static struct step poll_in(int fd)
{
	return (struct step){ .opcode = IORING_OP_POLL_ADD, .fd = fd, .op_flags = POLLIN };
}

static struct step transfer(uint8_t opcode, int fd, void *buf, uint32_t len)
{
	return (struct step){ .opcode = opcode, .fd = fd, .buf = buf, .len = len };
}

struct linked {
	struct xyl_frame frame;
	const struct step *steps;
	size_t n;
	ssize_t *results;
	int64_t bound;
	ssize_t result;
};

/* Each step's buffer is its pin. */
static xyl_pending linked_start(struct linked *self)
{
	struct xyl_submission chain[LINKS + 1];

	for (size_t i = 0; i < self->n; i++)
		chain[i] = (struct xyl_submission){ prep_step, (void *)(uintptr_t)&self->steps[i],
						    &self->steps[i].buf, 1 };
	return hand_bounded(xyl_submit_linked(chain, self->n, self->results), self->bound);
}

static xyl_step linked(void *frame)
{
	struct linked *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->result, linked_start(self));
	XYL_END(self->result);
}

/* Steps in collected memory, and the results of each. */
struct plan {
	struct step steps[LINKS + 1];
	ssize_t results[LINKS + 1];
	size_t n;
};

static struct plan *plan_new(const struct step *steps, size_t n)
{
	struct plan *plan = xyl_new(struct plan);

	memcpy(plan->steps, steps, n * sizeof(*steps));
	for (size_t i = 0; i <= LINKS; i++)
		plan->results[i] = 12345; /* not written */
	plan->n = n;
	return plan;
}

#define PLAN(...)                                      \
	plan_new((const struct step[]){ __VA_ARGS__ }, \
		 sizeof((const struct step[]){ __VA_ARGS__ }) / sizeof(struct step))

static struct xyl_task *plan_spawn(const struct driven *driven, struct plan *plan)
{
	return DRIVE_SPAWN(driven, linked, .steps = plan->steps, .n = plan->n,
			   .results = plan->results);
}

static ssize_t plan_run(const struct driven *driven, struct plan *plan)
{
	return hand_join(driven, plan_spawn(driven, plan));
}

static void expect_results(const struct plan *plan, const ssize_t *results)
{
	for (size_t i = 0; i < plan->n; i++)
		CHECK_EQ(plan->results[i], results[i]);
	CHECK_EQ(plan->results[plan->n], 12345);
}

#define EXPECT_RESULTS(plan, ...) expect_results(plan, (const ssize_t[]){ __VA_ARGS__ })
#define UNWRITTEN 12345

/* ---- one after the other --------------------------------------------------------------- */

TEST(each_begins_when_the_one_before_has_ended)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC), ends[2];
	char *text = xyl_strdup("after");
	struct xyl_task *task;
	struct plan *plan;

	CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
	plan = PLAN(poll_in(fd), transfer(IORING_OP_WRITE, ends[1], text, 5), nop());
	task = plan_spawn(&driven, plan);
	hand_turns(&driven, 5);
	CHECK_EQ(raw_drain(ends[0]), 0);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 3);
	CHECK_EQ(eventfd_write(fd, 1), 0);
	CHECK_EQ(hand_join(&driven, task), 0);
	EXPECT_RESULTS(plan, POLLIN, 5, 0);
	CHECK_EQ(raw_drain(ends[0]), 5);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	drive_end(&driven);
}

TEST(after_a_failure_the_others_are_cancelled)
{
	struct driven driven = hand_begin(NULL);
	struct plan *plan;

	plan = PLAN(failure());
	CHECK_EQ(plan_run(&driven, plan), -EBADF);
	EXPECT_RESULTS(plan, -EBADF);
	plan = PLAN(nop(), failure(), nop(), nop());
	CHECK_EQ(plan_run(&driven, plan), -EBADF);
	EXPECT_RESULTS(plan, 0, -EBADF, -ECANCELED, -ECANCELED);
	plan = PLAN(nop(), nop(), failure());
	CHECK_EQ(plan_run(&driven, plan), -EBADF);
	EXPECT_RESULTS(plan, 0, 0, -EBADF);
	drive_end(&driven);
}

TEST(what_is_short_counts_as_failed)
{
	struct driven driven = hand_begin(NULL);
	struct plan *plan;
	int ends[2];

	CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
	raw_send(ends[1], "short");
	plan = PLAN(transfer(IORING_OP_READ, ends[0], xyl_alloc_bytes(LEN), LEN), nop());
	CHECK_EQ(plan_run(&driven, plan), -ECANCELED);
	EXPECT_RESULTS(plan, 5, -ECANCELED);
	close(ends[0]);
	close(ends[1]);
	drive_end(&driven);
}

TEST(a_hard_link_bears_a_failure)
{
	struct driven driven = hand_begin(NULL);
	struct plan *plan = PLAN(failure(), nop(), failure(), nop());

	plan->steps[0].flags = IOSQE_IO_HARDLINK;
	CHECK_EQ(plan_run(&driven, plan), -EBADF);
	EXPECT_RESULTS(plan, -EBADF, 0, -EBADF, -ECANCELED);
	drive_end(&driven);
}

static struct step timeout(struct __kernel_timespec *ts)
{
	return (struct step){ .opcode = IORING_OP_LINK_TIMEOUT, .fd = -1, .buf = ts, .len = 1 };
}

TEST(a_link_timeout_limits_the_one_before_and_is_no_failure)
{
	struct driven driven = hand_begin(NULL);
	struct __kernel_timespec *ts = xyl_new(struct __kernel_timespec);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct plan *plan;

	ts->tv_nsec = XYL_MS;
	plan = PLAN(poll_in(fd), timeout(ts), nop());
	CHECK_EQ(plan_run(&driven, plan), -ECANCELED);
	EXPECT_RESULTS(plan, -ECANCELED, -ETIME, -ECANCELED);
	ts->tv_sec = 3600;
	CHECK_EQ(eventfd_write(fd, 1), 0);
	plan = PLAN(poll_in(fd), timeout(ts), nop());
	CHECK_EQ(plan_run(&driven, plan), 0);
	EXPECT_RESULTS(plan, POLLIN, -ECANCELED, 0);
	close(fd);
	drive_end(&driven);
}

/* ---- all or none -------------------------------------------------------------------------- */

TEST(a_chain_may_be_as_long_as_the_ring_and_not_longer)
{
	struct xyl_config config = { .ring_entries = 8 };
	struct driven driven = hand_begin(&config);
	struct plan *plan = xyl_new(struct plan);

	for (plan->n = 1; plan->n <= config.ring_entries; plan->n++)
		CHECK_EQ(plan_run(&driven, plan), 0);
	CHECK_EQ(plan_run(&driven, plan), -E2BIG);
	drive_end(&driven);
	driven = hand_begin(NULL);
	plan->n = LINKS;
	CHECK_EQ(plan_run(&driven, plan), 0);
	plan->n = LINKS + 1;
	CHECK_EQ(plan_run(&driven, plan), -E2BIG);
	plan->n = 0;
	CHECK_EQ(plan_run(&driven, plan), -EINVAL);
	CHECK_EQ(drive_stats(&driven).ops_submitted, LINKS);
	drive_end(&driven);
}

TEST(of_a_chain_with_one_that_is_refused_nothing_is_submitted)
{
	static const uint8_t refused[] = { IOSQE_CQE_SKIP_SUCCESS, IOSQE_IO_DRAIN,
					   IOSQE_BUFFER_SELECT };
	struct driven driven = hand_begin(NULL);
	struct plan *plan = PLAN(nop(), nop(), nop());

	for (size_t at = 0; at < plan->n; at++) {
		for (size_t i = 0; i < sizeof(refused); i++) {
			plan->steps[at].flags = refused[i];
			CHECK_EQ(plan_run(&driven, plan), -EINVAL);
		}
		plan->steps[at].flags = 0;
	}
	plan->steps[2].flags = IOSQE_IO_LINK; /* to what? */
	CHECK_EQ(plan_run(&driven, plan), -EINVAL);
	plan->steps[2].flags = IOSQE_IO_HARDLINK;
	CHECK_EQ(plan_run(&driven, plan), -EINVAL);
	CHECK_EQ(drive_stats(&driven).ops_submitted, 0);
	EXPECT_RESULTS(plan, UNWRITTEN, UNWRITTEN, UNWRITTEN);
	plan->steps[2].flags = 0;
	plan->steps[1].flags = IOSQE_IO_LINK;
	CHECK_EQ(plan_run(&driven, plan), 0);
	drive_end(&driven);
}

/* All well up to the failure, if there is one, and nothing behind it. */
static void expect_well_until(const struct plan *plan, size_t failure_at)
{
	for (size_t i = 0; i < plan->n; i++)
		CHECK_EQ(plan->results[i], i < failure_at    ? 0
					   : i == failure_at ? -EBADF
							     : -ECANCELED);
}

/* Many, of any length, in a queue that has room for few: none gets into another's, none
 * is torn. */
TEST(chains_side_by_side_do_not_touch)
{
	struct driven driven = hand_begin(&(struct xyl_config){ .ring_entries = 8 });
	struct plan *plans[MANY];
	struct xyl_task *tasks[MANY];
	size_t failure_at[MANY];

	for (size_t round = 0; round < test_scaled(50); round++) {
		for (int i = 0; i < MANY; i++) {
			plans[i] = xyl_new(struct plan);
			plans[i]->n = 1 + test_random() % 8;
			failure_at[i] = i % 3 ? SIZE_MAX : test_random() % plans[i]->n;
			if (i % 3 == 0)
				plans[i]->steps[failure_at[i]] = failure();
			tasks[i] = plan_spawn(&driven, plans[i]);
		}
		for (int i = 0; i < MANY; i++) {
			CHECK_EQ(hand_join(&driven, tasks[i]), i % 3 ? 0 : -EBADF);
			expect_well_until(plans[i], failure_at[i]);
		}
	}
	drive_end(&driven);
}

/* ---- cut short ------------------------------------------------------------------------------- */

struct cut {
	struct driven driven;
	int fd, ends[2];
	struct plan *plan;
	struct xyl_task *task;
};

/* The first has ended, the second waits, the third has not begun. */
static struct cut cut_begin(void *buf)
{
	struct cut cut = { .driven = hand_begin(NULL), .fd = eventfd(0, EFD_CLOEXEC) };

	CHECK_EQ(pipe2(cut.ends, O_CLOEXEC), 0);
	cut.plan = PLAN(nop(), transfer(IORING_OP_READ, cut.ends[0], buf, LEN), nop());
	cut.task = plan_spawn(&cut.driven, cut.plan);
	hand_turns(&cut.driven, 2);
	CHECK_EQ(drive_stats(&cut.driven).ops_outstanding, 2);
	return cut;
}

static void cut_end(struct cut *cut)
{
	hand_drained(&cut->driven);
	CHECK_EQ(raw_drain(cut->ends[0]), 0);
	close(cut->fd);
	close(cut->ends[0]);
	close(cut->ends[1]);
	drive_end(&cut->driven);
}

TEST(an_abort_takes_effect_at_once_and_cancels_all)
{
	struct cut cut = cut_begin(xyl_alloc_bytes(LEN));

	xyl_abort(cut.task);
	hand_turn(&cut.driven);
	CHECK(xyl_is_done(cut.task));
	CHECK_EQ(xyl_result(cut.task), -ECANCELED);
	hand_drained(&cut.driven);
	EXPECT_RESULTS(cut.plan, UNWRITTEN, UNWRITTEN, UNWRITTEN);
	cut_end(&cut);
}

TEST(with_a_foreign_pin_an_abort_waits_for_all)
{
	static char foreign[LEN];
	struct cut cut = cut_begin(foreign);

	xyl_abort(cut.task);
	CHECK_EQ(hand_join(&cut.driven, cut.task), -ECANCELED);
	CHECK_EQ(drive_stats(&cut.driven).ops_outstanding, 0);
	EXPECT_RESULTS(cut.plan, 0, -ECANCELED, -ECANCELED);
	cut_end(&cut);
}

TEST(results_that_beat_the_abort_are_kept_with_a_foreign_pin)
{
	static char foreign[LEN], bytes[LEN];
	struct cut cut = cut_begin(foreign);

	CHECK_EQ(write(cut.ends[1], bytes, LEN), LEN);
	hand_completions(&cut.driven, 2);
	xyl_abort(cut.task);
	CHECK_EQ(hand_join(&cut.driven, cut.task), 0);
	EXPECT_RESULTS(cut.plan, 0, LEN, 0);
	cut_end(&cut);
}

TEST(results_that_are_not_reaped_yet_are_nobodys)
{
	static char bytes[LEN];
	struct cut cut = cut_begin(xyl_alloc_bytes(LEN));

	CHECK_EQ(write(cut.ends[1], bytes, LEN), LEN);
	hand_completions(&cut.driven, 2);
	xyl_abort(cut.task);
	CHECK_EQ(hand_join(&cut.driven, cut.task), -ECANCELED);
	hand_drained(&cut.driven);
	EXPECT_RESULTS(cut.plan, UNWRITTEN, UNWRITTEN, UNWRITTEN);
	cut_end(&cut);
}

TEST(past_a_bound_all_have_ended_and_the_results_are_written)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct plan *plan = PLAN(nop(), poll_in(fd), nop());

	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, linked, .steps = plan->steps, .n = plan->n,
						.results = plan->results, .bound = XYL_MS)),
		 -ETIMEDOUT);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 0);
	EXPECT_RESULTS(plan, 0, -ECANCELED, -ECANCELED);
	close(fd);
	drive_end(&driven);
}

/* Each that a hard link lets begin is cancelled in its turn. */
TEST(an_abort_ends_a_chain_of_hard_links)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct plan *plan = PLAN(poll_in(fd), poll_in(fd), poll_in(fd), poll_in(fd));
	struct xyl_task *task;

	for (size_t i = 0; i + 1 < plan->n; i++)
		plan->steps[i].flags = IOSQE_IO_HARDLINK;
	task = plan_spawn(&driven, plan);
	hand_turn(&driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	hand_drained(&driven);
	CHECK(drive_stats(&driven).cancels <= plan->n);
	close(fd);
	drive_end(&driven);
}

/* The head is a file's, which the kernel does not cancel: what follows it is. */
TEST(an_abort_reaches_what_follows_a_read_of_a_file)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	int file = open(folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct xyl_task *task;

	raw_send(file, "x");
	task = plan_spawn(&driven,
			  PLAN(transfer(IORING_OP_READ, file, xyl_alloc_bytes(1), 1), poll_in(fd)));
	hand_turn(&driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	hand_drained(&driven);
	close(fd);
	close(file);
	folder_remove(&folder);
	drive_end(&driven);
}

TEST(a_stop_drains_chains)
{
	static char foreign[LEN];
	int fd = eventfd(0, EFD_CLOEXEC), ends[2];
	struct driven driven;
	struct xyl_task *tasks[2];

	CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
	driven = hand_begin(NULL);
	tasks[0] = plan_spawn(&driven, PLAN(nop(), poll_in(fd), nop()));
	tasks[1] = plan_spawn(&driven,
			      PLAN(transfer(IORING_OP_READ, ends[0], foreign, LEN), nop()));
	hand_turn(&driven);
	drive_end(&driven);
	CHECK_EQ(xyl_result(tasks[0]), -ECANCELED);
	CHECK_EQ(xyl_result(tasks[1]), -ECANCELED);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

struct later {
	struct xyl_frame frame;
	struct plan *plan;
	struct linked linked;
	struct xyl_future *future;
	int fd;
	ssize_t n;
};

static xyl_step later(void *frame)
{
	struct later *self = frame;

	XYL_BEGIN(self)
	self->linked.steps = self->plan->steps;
	self->linked.n = self->plan->n;
	self->linked.results = self->plan->results;
	self->future = xyl_later(linked_start(&self->linked));
	CHECK(self->future != NULL);
	CHECK_EQ(eventfd_write(self->fd, 1), 0);
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	XYL_END(self->n);
}

TEST(a_chain_may_be_awaited_later)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct plan *plan = PLAN(poll_in(fd), nop());

	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, later, .plan = plan, .fd = fd)), 0);
	EXPECT_RESULTS(plan, POLLIN, 0);
	close(fd);
	drive_end(&driven);
}

/* ---- late results ---------------------------------------------------------------------------- */

static void prep_socket(struct io_uring_sqe *sqe, void *arg)
{
	(void)arg;
	io_uring_prep_socket(sqe, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
}

static void prep_poll(struct io_uring_sqe *sqe, void *arg)
{
	io_uring_prep_poll_add(sqe, *(int *)arg, POLLIN);
}

struct opener {
	struct xyl_frame frame;
	int *fd; /* to poll between the two */
	ssize_t *results;
	ssize_t n;
};

/* A socket, something to wait for, a socket. */
static xyl_step opener(void *frame)
{
	struct opener *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_submit_linked((struct xyl_submission[]){ { .prep = prep_socket },
									{ .prep = prep_poll,
									  .arg = self->fd },
									{ .prep = prep_socket } },
					     3, self->results));
	XYL_END(self->n);
}

/* Both have been opened, and none is there to take them. */
TEST(descriptors_of_an_aborted_chain_are_closed)
{
	for (int second = 0; second <= 1; second++) {
		struct driven driven = hand_begin(NULL);
		int fd = eventfd(0, EFD_CLOEXEC);
		size_t fds = test_fd_count();
		struct xyl_task *task = DRIVE_SPAWN(&driven, opener, .fd = &fd,
						    .results = xyl_alloc(3 * sizeof(ssize_t)));

		hand_turns(&driven, 2);
		CHECK_EQ(test_fd_count(), fds + 1);
		if (second) {
			CHECK_EQ(eventfd_write(fd, 1), 0);
			hand_completions(&driven, 2);
		}
		xyl_abort(task);
		CHECK_EQ(hand_join(&driven, task), -ECANCELED);
		hand_drained(&driven);
		CHECK_EQ(test_fd_count(), fds);
		CHECK_EQ(drive_stats(&driven).closed_late, 1 + (uint64_t)second);
		CHECK_EQ(drive_stats(&driven).adopted_sockets, 1 + (uint64_t)second);
		close(fd);
		drive_end(&driven);
	}
}

struct in_frame {
	struct xyl_frame frame;
	int fd, fds[2];
	ssize_t n;
};

static void prep_pipe(struct io_uring_sqe *sqe, void *arg)
{
	struct in_frame *self = arg;

	sqe->opcode = OP_PIPE;
	sqe->addr = (uintptr_t)self->fds;
	sqe->rw_flags = O_CLOEXEC;
}

static void prep_poll_in_frame(struct io_uring_sqe *sqe, void *arg)
{
	const struct in_frame *self = arg;

	io_uring_prep_poll_add(sqe, self->fd, POLLIN);
}

static xyl_step in_frame(void *frame)
{
	struct in_frame *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n,
		  xyl_submit_linked(
			  (struct xyl_submission[]){ { .prep = prep_poll_in_frame, .arg = self },
						     { .prep = prep_pipe, .arg = self } },
			  2, NULL));
	XYL_END(self->n);
}

TEST(descriptors_in_the_frame_of_a_task_that_has_ended_are_closed)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(1, EFD_CLOEXEC);
	size_t fds = test_fd_count();
	struct xyl_task *task = DRIVE_SPAWN(&driven, in_frame, .fd = fd);
	bool has_pipe = hand_join(&driven, task) == 0;
	uint64_t value, closed = drive_stats(&driven).closed_late;

	CHECK_EQ(eventfd_read(fd, &value), 0);
	if (has_pipe) {
		task = DRIVE_SPAWN(&driven, in_frame, .fd = fd);
		hand_turn(&driven);
		CHECK_EQ(eventfd_write(fd, 1), 0);
		hand_completions(&driven, 2);
		xyl_abort(task);
		CHECK_EQ(hand_join(&driven, task), -ECANCELED);
		hand_drained(&driven);
		CHECK_EQ(drive_stats(&driven).closed_late, closed + 2);
	}
	CHECK_EQ(test_fd_count(), fds);
	close(fd);
	drive_end(&driven);
	if (!has_pipe)
		SKIP("this kernel has no IORING_OP_PIPE");
}

TEST(descriptors_that_nobody_wants_one_by_one_are_closed)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(1, EFD_CLOEXEC);
	size_t fds = test_fd_count();

	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, opener, .fd = &fd)), 0);
	CHECK_EQ(test_fd_count(), fds);
	CHECK_EQ(drive_stats(&driven).closed_late, 2);
	close(fd);
	drive_end(&driven);
}

TEST(descriptors_of_a_chain_that_failed_are_the_tasks)
{
	struct driven driven = hand_begin(NULL);
	ssize_t *results = xyl_alloc(3 * sizeof(*results));
	int fd = -1;

	CHECK_EQ(hand_join(&driven, DRIVE_SPAWN(&driven, opener, .fd = &fd, .results = results)),
		 -EBADF);
	CHECK(results[0] >= 0);
	CHECK_EQ(results[1], -EBADF);
	CHECK_EQ(results[2], -ECANCELED);
	CHECK_EQ(close((int)results[0]), 0);
	CHECK_EQ(drive_stats(&driven).closed_late, 0);
	drive_end(&driven);
}

/* ---- pins ------------------------------------------------------------------------------------ */

struct nameless {
	struct xyl_frame frame;
	int *fd;
	struct xyl_weak **weaks;
	ssize_t n;
};

static void *object_new(struct xyl_weak **ret_weak)
{
	char *obj = xyl_alloc_bytes(LEN);

	*ret_weak = xyl_weak_new(obj);
	return obj + 3;
}

static void prep_nop(struct io_uring_sqe *sqe, void *arg)
{
	(void)arg;
	io_uring_prep_nop(sqe);
}

static __attribute__((noinline)) xyl_pending nameless_start(struct nameless *self)
{
	void *pins[3];

	for (int i = 0; i < 3; i++)
		pins[i] = object_new(&self->weaks[i]);
	return xyl_submit_linked((struct xyl_submission[]){ { prep_nop, NULL, &pins[0], 1 },
							    { prep_poll, self->fd, &pins[1], 1 },
							    { prep_nop, NULL, &pins[2], 1 } },
				 3, NULL);
}

static xyl_step nameless(void *frame)
{
	struct nameless *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, nameless_start(self));
	XYL_END(self->n);
}

struct pinned {
	struct driven driven;
	int fd;
	struct xyl_weak *weaks[MANY * 3];
	struct xyl_task *tasks[MANY];
};

static struct pinned *pinned_begin(void)
{
	struct pinned *pinned = xyl_new(struct pinned);

	pinned->driven = hand_begin(NULL);
	pinned->fd = eventfd(0, EFD_CLOEXEC);
	for (int i = 0; i < MANY; i++)
		pinned->tasks[i] = DRIVE_SPAWN(&pinned->driven, nameless, .fd = &pinned->fd,
					       .weaks = &pinned->weaks[i * 3]);
	hand_turns(&pinned->driven, 2);
	CHECK_EQ(drive_stats(&pinned->driven).ops_outstanding, 2 * MANY);
	return pinned;
}

static size_t pinned_living(const struct pinned *pinned)
{
	size_t living = 0;

	for (int i = 0; i < MANY * 3; i++)
		living += xyl_weak_get(pinned->weaks[i]) != NULL;
	return living;
}

static void pinned_collect(struct pinned *pinned)
{
	for (int i = 0; i < 3; i++) {
		hand_turn(&pinned->driven);
		xyl_collect();
	}
}

static void pinned_end(struct pinned *pinned)
{
	hand_quiet(&pinned->driven);
	close(pinned->fd);
	drive_end(&pinned->driven);
}

/* Those of operations that have ended or not begun, too. */
TEST(all_pins_are_kept_until_all_have_ended)
{
	struct pinned *pinned = pinned_begin();

	pinned_collect(pinned);
	CHECK_EQ(pinned_living(pinned), 3 * MANY);
	CHECK_EQ(eventfd_write(pinned->fd, 1), 0);
	hand_completions(&pinned->driven, 2 * MANY);
	for (int i = 0; i < MANY; i++)
		xyl_abort(pinned->tasks[i]);
	memset(pinned->tasks, 0, sizeof(pinned->tasks));
	xyl_collect();
	CHECK_EQ(pinned_living(pinned), 3 * MANY);
	pinned_end(pinned);
}

TEST(when_all_have_ended_the_pins_may_die)
{
	struct pinned *pinned = pinned_begin();

	for (int i = 0; i < MANY; i++)
		xyl_abort(pinned->tasks[i]);
	hand_quiet(&pinned->driven);
	pinned_collect(pinned);
	CHECK(pinned_living(pinned) < 3 * MANY / 2);
	pinned_end(pinned);
}

/* ---- a ring that fails ----------------------------------------------------------------------- */

static void ring_fails(void *arg)
{
	struct driven driven = hand_begin(NULL);
	struct io_uring *uring = &driven.rt->shard->ring->uring;
	int fd = eventfd(0, EFD_CLOEXEC), null;
	struct xyl_task *task = plan_spawn(&driven, PLAN(nop(), poll_in(fd), nop()));

	(void)arg;
	hand_turns(&driven, 2);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 2);
	io_uring_unregister_ring_fd(uring);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(dup3(null, uring->ring_fd, O_CLOEXEC), uring->ring_fd);
	plan_spawn(&driven, PLAN(nop()));
	CHECK_EQ(hand_join(&driven, task), -ENOTRECOVERABLE);
	CHECK_EQ(plan_run(&driven, PLAN(nop(), nop())), -ENOTRECOVERABLE);
}

TEST(when_the_ring_fails_the_task_is_told)
{
	child_succeeds(ring_fails, NULL);
}
