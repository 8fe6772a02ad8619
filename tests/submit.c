/* SPDX-License-Identifier: MIT */
/* Any opcode: xyl_submit. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/eventfd.h>

#include "tests/child.h"
#include "tests/hand.h"
#include "tests/raw.h"

enum { LEN = 64, MANY = 32 };

/* ---- SQEs ----------------------------------------------------------------------------- */

struct transfer {
	int fd;
	void *buf;
	unsigned len;
};

static void prep_nop(struct io_uring_sqe *sqe, void *arg)
{
	(void)arg;
	io_uring_prep_nop(sqe);
}

static void prep_read(struct io_uring_sqe *sqe, void *arg)
{
	const struct transfer *to = arg;

	io_uring_prep_read(sqe, to->fd, to->buf, to->len, 0);
}

static void prep_recv(struct io_uring_sqe *sqe, void *arg)
{
	const struct transfer *to = arg;

	io_uring_prep_recv(sqe, to->fd, to->buf, to->len, MSG_DONTWAIT);
}

static void prep_poll(struct io_uring_sqe *sqe, void *arg)
{
	io_uring_prep_poll_add(sqe, *(int *)arg, POLLIN);
}

static struct transfer *transfer_new(int fd, void *buf)
{
	struct transfer *transfer = xyl_new(struct transfer);

	*transfer = (struct transfer){ fd, buf, LEN };
	return transfer;
}

/* ---- a program -------------------------------------------------------------------------- */

struct program {
	struct xyl_frame frame;
	int ends[2];
	char *buf;
	ssize_t n;
};

/* NOP and READ by a user program. */
static xyl_step program(void *frame)
{
	struct program *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_submit(prep_nop, NULL, NULL, 0));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(pipe2(self->ends, O_CLOEXEC), 0);
	raw_send(self->ends[1], "from the kernel");
	self->buf = xyl_alloc_bytes(LEN);
	XYL_AWAIT(self->n,
		  xyl_submit(prep_read, &(struct transfer){ self->ends[0], self->buf, LEN },
			     (void *[]){ self->buf }, 1));
	CHECK_EQ(self->n, 15);
	CHECK(!memcmp(self->buf, "from the kernel", 15));
	close(self->ends[0]);
	close(self->ends[1]);
	XYL_END(0);
}

TEST(a_program_submits_a_nop_and_a_read)
{
	CHECK_EQ(RUN(program), 0);
}

struct look {
	struct xyl_frame frame;
	int calls;
	bool cleared;
	ssize_t n;
};

static void prep_look(struct io_uring_sqe *sqe, void *arg)
{
	static const struct io_uring_sqe zeroes;
	struct look *self = arg;

	self->calls++;
	self->cleared = !memcmp(sqe, &zeroes, sizeof(zeroes));
	io_uring_prep_nop(sqe);
	sqe->user_data = 0x123456789abcdefULL; /* not for him to choose */
}

static xyl_pending look_start(struct look *self)
{
	xyl_pending op = xyl_submit(prep_look, self, NULL, 0);

	CHECK_EQ(self->calls, 1);
	return op;
}

static xyl_step look(void *frame)
{
	struct look *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, look_start(self));
	CHECK_EQ(self->n, 0);
	CHECK_EQ(self->calls, 1);
	CHECK(self->cleared);
	XYL_END(0);
}

TEST(prep_is_called_at_once_with_a_cleared_sqe)
{
	CHECK_EQ(RUN(look), 0);
}

TEST(results_are_the_kernels_unchanged)
{
	struct driven driven = hand_begin(NULL);
	char *buf = xyl_alloc_bytes(LEN);
	int ends[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_read, .arg = transfer_new(-1, buf)), -EBADF);
	CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_recv, .arg = transfer_new(ends[0], buf)),
		 -EAGAIN);
	CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_nop), 0);
	close(ends[0]);
	close(ends[1]);
	drive_end(&driven);
}

struct later {
	struct xyl_frame frame;
	int fd;
	struct xyl_future *future;
	ssize_t n;
};

static xyl_step later(void *frame)
{
	struct later *self = frame;

	XYL_BEGIN(self)
	self->fd = eventfd(0, EFD_CLOEXEC);
	self->future = xyl_later(xyl_submit(prep_poll, &self->fd, NULL, 0));
	CHECK(self->future != NULL);
	CHECK_EQ(eventfd_write(self->fd, 1), 0);
	XYL_AWAIT(self->n, xyl_future_get(self->future));
	CHECK_EQ(self->n, POLLIN);
	close(self->fd);
	XYL_END(0);
}

TEST(its_result_may_be_awaited_later)
{
	CHECK_EQ(RUN(later), 0);
}

static void outside(void *arg)
{
	xyl_pending op = xyl_submit(prep_nop, arg, NULL, 0);

	(void)op;
}

TEST(only_a_task_submits)
{
	child_aborts(outside, NULL, "xylem: xyl_submit: called outside a task");
}

/* ---- what is refused ---------------------------------------------------------------------- */

struct shape {
	uint8_t opcode, flags;
	bool long_one;
};

static void prep_shape(struct io_uring_sqe *sqe, void *arg)
{
	const struct shape *shape = arg;

	io_uring_prep_nop(sqe);
	sqe->opcode = shape->opcode;
	sqe->flags = shape->flags;
	if (shape->long_one)
		memset(sqe + 1, 1, sizeof(*sqe));
}

TEST(what_would_break_the_bookkeeping_is_refused)
{
	static struct shape shapes[] = {
		{ .flags = IOSQE_CQE_SKIP_SUCCESS },
		{ .flags = IOSQE_IO_LINK },
		{ .flags = IOSQE_IO_HARDLINK },
		{ .flags = IOSQE_IO_DRAIN },
		{ .flags = IOSQE_BUFFER_SELECT },
		{ .flags = 1u << 7 }, /* of a time to come */
		{ .flags = IOSQE_ASYNC | IOSQE_IO_LINK },
		{ .opcode = IORING_OP_PROVIDE_BUFFERS },
		{ .opcode = IORING_OP_REMOVE_BUFFERS },
		{ .long_one = true },
	};
	struct driven driven = hand_begin(NULL);

	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
		CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_shape, .arg = &shapes[i]), -EINVAL);
	CHECK_EQ(drive_stats(&driven).ops_submitted, 0);
	CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_shape,
			     .arg = &(struct shape){ .flags = IOSQE_ASYNC }),
		 0);
	drive_end(&driven);
}

static void prep_direct_socket(struct io_uring_sqe *sqe, void *arg)
{
	(void)arg;
	io_uring_prep_socket_direct_alloc(sqe, AF_UNIX, SOCK_STREAM, 0, 0);
}

TEST(the_kernel_refuses_direct_descriptors)
{
	struct driven driven = hand_begin(NULL);
	size_t fds = test_fd_count();

	CHECK(HAND_SUBMIT(&driven, .prep = prep_direct_socket) < 0);
	CHECK_EQ(test_fd_count(), fds);
	CHECK_EQ(drive_stats(&driven).closed_late, 0);
	drive_end(&driven);
}

TEST(more_pins_than_memory_can_hold_are_refused)
{
	struct driven driven = hand_begin(NULL);

	CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_nop, .npins = SIZE_MAX), -ENOMEM);
	CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_nop, .npins = SIZE_MAX / sizeof(void *)),
		 -ENOMEM);
	drive_end(&driven);
}

/* ---- cut short ------------------------------------------------------------------------------ */

struct aborted {
	struct xyl_frame frame;
	struct look look;
	ssize_t n;
};

static xyl_step aborted(void *frame)
{
	struct aborted *self = frame;

	XYL_BEGIN(self)
	xyl_abort(xyl_self());
	XYL_AWAIT(self->n, xyl_sleep(60 * XYL_SEC));
	XYL_AWAIT(self->n, xyl_submit(prep_look, &self->look, NULL, 0));
	CHECK_EQ(self->look.calls, 0);
	XYL_END(self->n);
}

TEST(in_an_aborted_task_prep_is_not_called)
{
	CHECK_EQ(RUN(aborted), -ECANCELED);
}

static struct xyl_task *reader(const struct driven *driven, int fd, void *pin)
{
	void **pins = xyl_alloc(2 * sizeof(*pins));

	pins[1] = pin; /* and one that is NULL */
	return DRIVE_SPAWN(driven, hand_submit, .prep = prep_read, .arg = transfer_new(fd, pin),
			   .pins = pins, .npins = 2);
}

TEST(with_collected_pins_an_abort_takes_effect_at_once)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct xyl_task *task = reader(&driven, fd, xyl_alloc_bytes(LEN));

	hand_turn(&driven);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 1);
	/* Its CQE is there, and does not matter. */
	CHECK_EQ(eventfd_write(fd, 1), 0);
	hand_completion(&driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	hand_drained(&driven);
	close(fd);
	drive_end(&driven);
}

struct watch {
	struct xyl_frame frame;
	struct transfer transfer;
	uint64_t outstanding; /* when the await returned */
	ssize_t n;
};

static xyl_step watch(void *frame)
{
	struct watch *self = frame;
	struct xyl_stats stats;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_submit(prep_read, &self->transfer,
				      (void *[]){ NULL, self, self->transfer.buf }, 3));
	xyl_runtime_stats(xyl_runtime_self(), &stats);
	self->outstanding = stats.ops_outstanding;
	XYL_END(self->outstanding ? 1 : self->n);
}

static ssize_t watch_abort(void *buf)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct xyl_task *task = DRIVE_SPAWN(&driven, watch,
					    .transfer = { .fd = fd, .buf = buf, .len = LEN });
	ssize_t n;

	hand_turn(&driven);
	xyl_abort(task);
	n = hand_join(&driven, task);
	hand_drained(&driven);
	close(fd);
	drive_end(&driven);
	return n;
}

TEST(with_a_foreign_pin_an_abort_waits_for_the_last_cqe)
{
	static char foreign[LEN];

	CHECK_EQ(watch_abort(xyl_alloc_bytes(LEN)), 1);
	CHECK_EQ(watch_abort(foreign), -ECANCELED);
}

TEST(a_result_that_beats_the_abort_is_kept_with_a_foreign_pin)
{
	static char foreign[LEN];
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct xyl_task *task = reader(&driven, fd, foreign);

	hand_turn(&driven);
	CHECK_EQ(eventfd_write(fd, 1), 0);
	hand_completion(&driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), 8);
	close(fd);
	drive_end(&driven);
}

TEST(past_a_bound_the_kernel_is_done_with_the_pins)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	char *buf = xyl_alloc_bytes(LEN);

	CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_read, .arg = transfer_new(fd, buf),
			     .pins = (void *[]){ buf }, .npins = 1, .bound = XYL_MS),
		 -ETIMEDOUT);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 0);
	close(fd);
	drive_end(&driven);
}

/* Files wait on the crowd when the CQ has no room for more of them. */
TEST(what_is_aborted_while_it_is_queued_never_reaches_the_kernel)
{
	struct driven driven = hand_begin(&(struct xyl_config){ .ring_entries = 1 });
	struct folder folder = folder_make();
	int fd = open(folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct xyl_task *tasks[MANY];
	uint64_t submitted;

	for (int i = 0; i < MANY; i++)
		tasks[i] = reader(&driven, fd, xyl_alloc_bytes(LEN));
	hand_turn(&driven);
	submitted = drive_stats(&driven).ops_submitted;
	CHECK(submitted < MANY);
	for (int i = 0; i < MANY; i++)
		xyl_abort(tasks[i]);
	for (int i = 0; i < MANY; i++)
		CHECK(hand_join(&driven, tasks[i]) <= 0);
	CHECK_EQ(xyl_result(tasks[MANY - 1]), -ECANCELED);
	CHECK_EQ(drive_stats(&driven).ops_submitted, submitted);
	close(fd);
	folder_remove(&folder);
	drive_end(&driven);
}

TEST(a_stop_drains_it)
{
	static char foreign[LEN];
	int fd = eventfd(0, EFD_CLOEXEC);
	struct driven driven = hand_begin(NULL);
	struct xyl_task *tasks[2];

	tasks[0] = reader(&driven, fd, xyl_alloc_bytes(LEN));
	tasks[1] = reader(&driven, fd, foreign);
	hand_turn(&driven);
	drive_end(&driven);
	CHECK_EQ(xyl_result(tasks[0]), -ECANCELED);
	CHECK_EQ(xyl_result(tasks[1]), -ECANCELED);
	close(fd);
}

/* The kernel holds the file; the number is the user's business. */
TEST(closing_the_handle_of_its_descriptor_is_no_matter)
{
	struct driven driven = hand_begin(NULL);
	char *buf = xyl_alloc_bytes(LEN);
	int peer;
	struct xyl_io *io = raw_pipe_reader(&peer);
	struct xyl_task *task = reader(&driven, xyl_io_fd(io), buf);

	hand_turn(&driven);
	HAND_CLOSE(&driven, io);
	CHECK(!xyl_is_done(task));
	raw_send(peer, "all the same");
	CHECK_EQ(hand_join(&driven, task), 12);
	CHECK(!memcmp(buf, "all the same", 12));
	close(peer);
	drive_end(&driven);
}

/* ---- pins ------------------------------------------------------------------------------------ */

enum { PINS = 8, SIZE = 128, TASKS = 16 };

struct nameless {
	struct xyl_frame frame;
	int fd;
	struct xyl_weak **weaks;
	ssize_t n;
};

/* Objects that nothing else names, by pointers into their middle. */
static __attribute__((noinline)) xyl_pending nameless_start(struct nameless *self)
{
	void *pins[PINS];

	for (int i = 0; i < PINS; i++) {
		char *obj = i % 2 ? xyl_alloc_bytes(SIZE) : xyl_alloc(SIZE);

		self->weaks[i] = xyl_weak_new(obj);
		pins[i] = obj + i * 7;
	}
	return xyl_submit(prep_poll, &self->fd, pins, PINS);
}

static xyl_step nameless(void *frame)
{
	struct nameless *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, nameless_start(self));
	XYL_END(self->n);
}

struct collect {
	struct xyl_frame frame;
};

static xyl_step collect(void *frame)
{
	struct collect *self = frame;

	XYL_BEGIN(self)
	xyl_collect();
	XYL_END(0);
}

struct crowd {
	struct driven driven;
	int fd;
	struct xyl_weak *weaks[TASKS * PINS];
	struct xyl_task *tasks[TASKS];
};

static struct crowd *crowd_begin(void)
{
	struct crowd *crowd = xyl_new(struct crowd);

	crowd->driven = hand_begin(NULL);
	crowd->fd = eventfd(0, EFD_CLOEXEC);
	for (int i = 0; i < TASKS; i++)
		crowd->tasks[i] = DRIVE_SPAWN(&crowd->driven, nameless, .fd = crowd->fd,
					      .weaks = &crowd->weaks[i * PINS]);
	DRIVE_SPAWN(&crowd->driven, collect); /* while they are queued */
	hand_turn(&crowd->driven);
	CHECK_EQ(drive_stats(&crowd->driven).ops_outstanding, TASKS);
	return crowd;
}

static size_t crowd_living(const struct crowd *crowd)
{
	size_t living = 0;

	for (int i = 0; i < TASKS * PINS; i++)
		living += xyl_weak_get(crowd->weaks[i]) != NULL;
	return living;
}

static void crowd_collect(struct crowd *crowd)
{
	for (int i = 0; i < 3; i++) {
		hand_turn(&crowd->driven);
		xyl_collect();
	}
}

static void crowd_end(struct crowd *crowd)
{
	hand_quiet(&crowd->driven);
	close(crowd->fd);
	drive_end(&crowd->driven);
}

TEST(pins_are_kept_until_the_result_is_here)
{
	struct crowd *crowd = crowd_begin();

	crowd_collect(crowd);
	CHECK_EQ(crowd_living(crowd), TASKS * PINS);
	CHECK_EQ(eventfd_write(crowd->fd, 1), 0);
	for (int i = 0; i < TASKS; i++)
		CHECK_EQ(hand_join(&crowd->driven, crowd->tasks[i]), POLLIN);
	crowd_end(crowd);
}

/* Its CQE stands in the ring, its task has left, and is gone. */
TEST(pins_are_kept_though_their_task_has_left)
{
	struct crowd *crowd = crowd_begin();

	CHECK_EQ(eventfd_write(crowd->fd, 1), 0);
	hand_completions(&crowd->driven, TASKS);
	for (int i = 0; i < TASKS; i++)
		xyl_abort(crowd->tasks[i]);
	memset(crowd->tasks, 0, sizeof(crowd->tasks));
	xyl_collect();
	CHECK_EQ(crowd_living(crowd), TASKS * PINS);
	crowd_end(crowd);
}

/* Conservative collections may miss a few; hardly most. */
TEST(after_the_last_cqe_the_pins_may_die)
{
	struct crowd *crowd = crowd_begin();

	for (int i = 0; i < TASKS; i++)
		xyl_abort(crowd->tasks[i]);
	hand_quiet(&crowd->driven);
	crowd_collect(crowd);
	CHECK(crowd_living(crowd) < TASKS * PINS / 2);
	crowd_end(crowd);
}

/* ---- more than one CQE ----------------------------------------------------------------------- */

static void prep_poll_multishot(struct io_uring_sqe *sqe, void *arg)
{
	io_uring_prep_poll_multishot(sqe, *(int *)arg, POLLIN);
}

TEST(an_operation_of_many_results_gives_the_first_and_is_over)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(1, EFD_CLOEXEC);

	for (uint64_t i = 1; i <= 3; i++) {
		CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_poll_multishot, .arg = &fd), POLLIN);
		CHECK_EQ(drive_stats(&driven).ops_outstanding, 0);
		CHECK_EQ(drive_stats(&driven).cancels, i);
	}
	close(fd);
	drive_end(&driven);
}

/* Between its first result and its last CQE. */
TEST(an_abort_finds_an_operation_of_many_results_at_its_end)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct xyl_task *task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep_poll_multishot,
					    .arg = &fd);

	hand_turn(&driven);
	CHECK_EQ(eventfd_write(fd, 1), 0);
	hand_completion(&driven);
	hand_turn(&driven);
	CHECK(!xyl_is_done(task));
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), -ECANCELED);
	hand_drained(&driven);
	close(fd);
	drive_end(&driven);
}

static void prep_send_zc(struct io_uring_sqe *sqe, void *arg)
{
	const struct transfer *from = arg;

	io_uring_prep_send_zc(sqe, from->fd, from->buf, from->len, MSG_NOSIGNAL, 0);
}

/* Two ends of a TCP connection. */
static void tcp_pair(int ret_ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_EQ(bind(listener, (struct sockaddr *)&address, len), 0);
	CHECK_EQ(listen(listener, 1), 0);
	CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	ret_ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(connect(ret_ends[0], (struct sockaddr *)&address, len), 0);
	ret_ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(ret_ends[1] >= 0);
	close(listener);
}

TEST(a_zero_copy_send_is_over_with_its_notification)
{
	struct driven driven = hand_begin(NULL);
	char *buf = memset(xyl_alloc_bytes(LEN), 'z', LEN), got[LEN];
	struct xyl_task *task;
	int ends[2];

	tcp_pair(ends);
	task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep_send_zc,
			   .arg = transfer_new(ends[0], buf), .pins = (void *[]){ buf },
			   .npins = 1);
	CHECK_EQ(hand_join(&driven, task), LEN);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 0);
	CHECK_EQ(drive_stats(&driven).cancels, 0);
	CHECK_EQ(recv(ends[1], got, LEN, MSG_WAITALL), LEN);
	CHECK(!memcmp(buf, got, LEN));
	close(ends[0]);
	close(ends[1]);
	drive_end(&driven);
}

/* -EOPNOTSUPP with F_MORE, then a notification. */
TEST(a_zero_copy_send_that_fails_has_a_notification_too)
{
	struct driven driven = hand_begin(NULL);
	char *buf = xyl_alloc(LEN);
	int ends[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	CHECK_EQ(HAND_SUBMIT(&driven, .prep = prep_send_zc, .arg = transfer_new(ends[0], buf)),
		 -EOPNOTSUPP);
	CHECK_EQ(drive_stats(&driven).ops_outstanding, 0);
	close(ends[0]);
	close(ends[1]);
	drive_end(&driven);
}
