/* SPDX-License-Identifier: MIT */
/* Late results of the user's own operations: descriptors are closed, whatever brought them. */
#include <linux/openat2.h>
#include <stddef.h>
#include <sys/eventfd.h>

#include "tests/late.h"

/* ---- descriptors of the user's own operations ------------------------------------------------ */

#define OP_PIPE 62 /* Linux 6.16 */
#define PASS_PIDFD 76

struct asked {
	const char *path;
	struct open_how how;
	int fd, fds[2];
};

static void prep_openat(struct io_uring_sqe *sqe, void *arg)
{
	const struct asked *asked = arg;

	io_uring_prep_openat(sqe, AT_FDCWD, asked->path, O_RDONLY | O_CREAT, 0600);
}

static void prep_openat2(struct io_uring_sqe *sqe, void *arg)
{
	struct asked *asked = arg;

	asked->how = (struct open_how){ .flags = O_RDONLY | O_CREAT, .mode = 0600 };
	io_uring_prep_openat2(sqe, AT_FDCWD, asked->path, &asked->how);
}

static void late_submitted_open(void (*prep)(struct io_uring_sqe *sqe, void *arg))
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	struct asked *asked = xyl_new(struct asked);
	size_t fds = test_fd_count();
	struct xyl_task *task;
	int writer;

	CHECK_EQ(mkfifo(folder.path, 0600), 0);
	asked->path = folder.path;
	task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep, .arg = asked,
			   .pins = (void *[]){ asked }, .npins = 1);
	hand_turn(&driven);
	writer = raw_fifo_writer(folder.path);
	leave(&driven, task);
	close(writer);
	expect_only(&driven, COUNT(opens), 1);
	CHECK_EQ(drive_stats(&driven).closed_late, 1);
	CHECK_EQ(test_fd_count(), fds);
	folder_remove(&folder);
	drive_end(&driven);
}

TEST(submitted_openat_its_descriptor_is_closed)
{
	late_submitted_open(prep_openat);
}

TEST(submitted_openat2_its_descriptor_is_closed)
{
	late_submitted_open(prep_openat2);
}

/* What is done as soon as it is submitted has no window, unless a thread of the kernel's
 * does it, and that is a race: until it is lost. */
static void late_by_race(size_t offset, void (*prep)(struct io_uring_sqe *sqe, void *arg),
			 void *arg, void (*undo)(ssize_t result, void *arg), uint64_t closed)
{
	struct driven driven = hand_begin(NULL);
	size_t fds = test_fd_count();

	while (!drive_stats(&driven).adopted_results) {
		struct xyl_task *task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep, .arg = arg,
						    .pins = &arg, .npins = 1);

		hand_turn(&driven);
		if (!xyl_is_done(task) && drive_stats(&driven).ops_outstanding)
			leave(&driven, task);
		else
			undo(hand_join(&driven, task), arg);
	}
	expect_only(&driven, offset, 1);
	CHECK_EQ(drive_stats(&driven).closed_late, closed);
	CHECK_EQ(test_fd_count(), fds);
	drive_end(&driven);
}

static void prep_socket(struct io_uring_sqe *sqe, void *arg)
{
	(void)arg;
	io_uring_prep_socket(sqe, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
	sqe->flags = IOSQE_ASYNC;
}

static void socket_undo(ssize_t result, void *arg)
{
	(void)arg;
	CHECK(result >= 0);
	close((int)result);
}

TEST(submitted_socket_it_is_closed)
{
	late_by_race(COUNT(sockets), prep_socket, NULL, socket_undo, 1);
}

static void prep_socket_direct(struct io_uring_sqe *sqe, void *arg)
{
	(void)arg;
	io_uring_prep_socket_direct_alloc(sqe, AF_UNIX, SOCK_STREAM, 0, 0);
	sqe->flags = IOSQE_ASYNC;
}

/* The result is a slot of a table, which has the number of somebody's descriptor. */
TEST(submitted_socket_into_a_slot_no_descriptor_is_closed)
{
	enum { SLOTS = 64 };
	struct driven driven = hand_begin(NULL);
	struct xyl_task *task;
	bool late = false;

	hand_turn(&driven);
	CHECK_EQ(io_uring_register_files_sparse(&driven.rt->shard->ring->uring, SLOTS), 0);
	for (int i = 0; i < SLOTS && !late; i++) {
		task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep_socket_direct);
		hand_turn(&driven);
		late = !xyl_is_done(task) && drive_stats(&driven).ops_outstanding;
		if (late)
			leave(&driven, task);
		else
			CHECK(hand_join(&driven, task) >= 0);
	}
	CHECK(late);
	CHECK_EQ(drive_stats(&driven).closed_late, 0);
	CHECK_EQ(drive_stats(&driven).adopted_results, 0);
	drive_end(&driven);
}

static void prep_pipe(struct io_uring_sqe *sqe, void *arg)
{
	struct asked *asked = arg;

	sqe->opcode = OP_PIPE;
	sqe->addr = (uintptr_t)asked->fds;
	sqe->rw_flags = O_CLOEXEC;
	sqe->flags = IOSQE_ASYNC;
}

static void pipe_undo(ssize_t result, void *arg)
{
	const struct asked *asked = arg;

	CHECK_EQ(result, 0);
	close(asked->fds[0]);
	close(asked->fds[1]);
}

static bool kernel_has_pipe(struct asked *asked)
{
	struct driven driven = hand_begin(NULL);
	ssize_t n = HAND_SUBMIT(&driven, .prep = prep_pipe, .arg = asked);

	if (n == 0)
		pipe_undo(n, asked);
	else
		CHECK_EQ(n, -EINVAL);
	drive_end(&driven);
	return n == 0;
}

TEST(submitted_pipe_both_its_ends_are_closed)
{
	struct asked *asked = xyl_new(struct asked);

	if (!kernel_has_pipe(asked))
		SKIP("this kernel has no IORING_OP_PIPE");
	late_by_race(COUNT(pipes), prep_pipe, asked, pipe_undo, 2);
}

/* Its two numbers are read by us: memory that will be gone does not do. */
TEST(submitted_pipe_into_foreign_memory_is_waited_for)
{
	static struct asked foreign;
	struct driven driven;
	struct xyl_task *task;
	ssize_t n;

	if (!kernel_has_pipe(&foreign))
		SKIP("this kernel has no IORING_OP_PIPE");
	driven = hand_begin(NULL);
	for (int i = 0; i < 20; i++) {
		task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep_pipe, .arg = &foreign);
		hand_turn(&driven);
		if (drive_stats(&driven).ops_outstanding)
			hand_completion(&driven);
		xyl_abort(task);
		n = hand_join(&driven, task);
		CHECK_EQ(n, 0); /* it beats the abort, which has nothing to leave behind */
		pipe_undo(n, &foreign);
	}
	CHECK_EQ(drive_stats(&driven).adopted_results, 0);
	drive_end(&driven);
}

static void prep_accept(struct io_uring_sqe *sqe, void *arg)
{
	const struct asked *asked = arg;

	io_uring_prep_accept(sqe, asked->fd, NULL, NULL, SOCK_CLOEXEC);
}

static void prep_accept_multishot(struct io_uring_sqe *sqe, void *arg)
{
	const struct asked *asked = arg;

	io_uring_prep_multishot_accept(sqe, asked->fd, NULL, NULL, SOCK_CLOEXEC);
}

TEST(submitted_accept_its_connection_is_closed)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	struct asked *asked = xyl_new(struct asked);
	struct xyl_task *task;
	int client;

	asked->fd = raw_unix_listen(folder.path, 8);
	task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep_accept, .arg = asked);
	hand_turn(&driven);
	client = raw_unix_connect(folder.path);
	leave(&driven, task);
	expect_only(&driven, COUNT(connections), 1);
	CHECK_EQ(drive_stats(&driven).closed_late, 1);
	close(client);
	close(asked->fd);
	folder_remove(&folder);
	drive_end(&driven);
}

/* Three are there: the first is the result, and the others were not asked for. */
TEST(submitted_multishot_accept_what_follows_the_first_is_closed)
{
	enum { CLIENTS = 3 };
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	struct asked *asked = xyl_new(struct asked);
	struct xyl_task *task;
	int clients[CLIENTS];
	ssize_t accepted;

	asked->fd = raw_unix_listen(folder.path, 8);
	task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep_accept_multishot, .arg = asked);
	hand_turn(&driven);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = raw_unix_connect(folder.path);
	hand_completions(&driven, CLIENTS);
	accepted = hand_join(&driven, task);
	CHECK(accepted >= 0);
	raw_send(clients[0], "to the first");
	CHECK_EQ(raw_drain((int)accepted), 12);
	expect_only(&driven, COUNT(connections), CLIENTS - 1);
	CHECK_EQ(drive_stats(&driven).closed_late, CLIENTS - 1);
	close((int)accepted);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	close(asked->fd);
	folder_remove(&folder);
	drive_end(&driven);
}

TEST(submitted_multishot_accept_all_are_closed_if_nobody_is_left)
{
	enum { CLIENTS = 3 };
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	struct asked *asked = xyl_new(struct asked);
	struct xyl_task *task;
	int clients[CLIENTS];

	asked->fd = raw_unix_listen(folder.path, 8);
	task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep_accept_multishot, .arg = asked);
	hand_turn(&driven);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = raw_unix_connect(folder.path);
	hand_completions(&driven, CLIENTS);
	leave(&driven, task);
	expect_only(&driven, COUNT(connections), CLIENTS);
	CHECK_EQ(drive_stats(&driven).closed_late, CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	close(asked->fd);
	folder_remove(&folder);
	drive_end(&driven);
}

/* ---- descriptors in messages ----------------------------------------------------------------- */

enum { RIGHTS = 5 };

struct message {
	struct msghdr header;
	struct iovec iov;
	int fd;
	char text[16];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(RIGHTS * sizeof(int)) + 256];
};

static struct message *message_new(struct message *message, int fd, size_t control_bytes)
{
	*message = (struct message){ .fd = fd };
	message->iov = (struct iovec){ message->text, sizeof(message->text) };
	message->header = (struct msghdr){ .msg_iov = &message->iov,
					   .msg_iovlen = 1,
					   .msg_control = message->control,
					   .msg_controllen = control_bytes };
	return message;
}

static void rights_send(int fd)
{
	struct message message;
	struct cmsghdr *at;
	int rights[RIGHTS];

	message_new(&message, fd, CMSG_SPACE(sizeof(rights)));
	strcpy(message.text, "five of them");
	at = CMSG_FIRSTHDR(&message.header);
	*at = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(rights)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS };
	for (int i = 0; i < RIGHTS; i++)
		rights[i] = eventfd(0, EFD_CLOEXEC);
	memcpy(CMSG_DATA(at), rights, sizeof(rights));
	CHECK_EQ(sendmsg(fd, &message.header, 0), sizeof(message.text));
	for (int i = 0; i < RIGHTS; i++)
		close(rights[i]);
}

static void prep_recvmsg(struct io_uring_sqe *sqe, void *arg)
{
	struct message *message = arg;

	io_uring_prep_recvmsg(sqe, message->fd, &message->header, MSG_CMSG_CLOEXEC);
}

static struct xyl_task *receiver(const struct driven *driven, struct message *message)
{
	return DRIVE_SPAWN(driven, hand_submit, .prep = prep_recvmsg, .arg = message);
}

/* So many descriptors came with the message, and are closed. */
static void late_rights(size_t control_bytes, int passing, unsigned messages, unsigned closed)
{
	int ends[2], one = 1, passes = 0;
	struct driven driven = hand_begin(NULL);
	struct message *message = xyl_new(struct message);
	struct xyl_task *task;
	size_t fds;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	for (int option = passing; option; option = option == PASS_PIDFD ? 0 : PASS_PIDFD)
		passes += setsockopt(ends[0], SOL_SOCKET, option, &one, sizeof(one)) == 0;
	fds = test_fd_count();
	task = receiver(&driven, message_new(message, ends[0], control_bytes));
	hand_turn(&driven);
	rights_send(ends[1]);
	leave(&driven, task);
	if (passing && passes < 2)
		closed--; /* before Linux 6.5 there is no descriptor of the sender */
	expect_only(&driven, COUNT(rights), messages);
	CHECK_EQ(drive_stats(&driven).closed_late, closed);
	CHECK_EQ(test_fd_count(), fds);
	close(ends[0]);
	close(ends[1]);
	drive_end(&driven);
}

TEST(submitted_recvmsg_the_descriptors_in_it_are_closed)
{
	late_rights(CMSG_SPACE(RIGHTS * sizeof(int)), 0, 1, RIGHTS);
}

TEST(submitted_recvmsg_of_a_message_that_was_cut_off_those_that_came_are_closed)
{
	late_rights(CMSG_SPACE(2 * sizeof(int)), 0, 1, 2);
	late_rights(CMSG_LEN(3 * sizeof(int)), 0, 1, 3);
	late_rights(CMSG_LEN(0), 0, 0, 0);
	late_rights(0, 0, 0, 0);
}

/* The sender's credentials come first, then a descriptor of the sender. */
TEST(submitted_recvmsg_of_several_control_messages_all_are_looked_at)
{
	late_rights(sizeof(((struct message *)NULL)->control), SO_PASSCRED, 1, RIGHTS + 1);
}

/* Somebody has written to it after all. */
TEST(submitted_recvmsg_whose_control_data_are_nonsense_closes_nothing)
{
	static const struct cmsghdr nonsense[] = {
		{ 0, SOL_SOCKET, SCM_RIGHTS },
		{ 1, SOL_SOCKET, SCM_RIGHTS },
		{ CMSG_LEN(0) - 1, SOL_SOCKET, SCM_RIGHTS },
		{ SIZE_MAX / 2, SOL_SOCKET, SCM_RIGHTS },
		{ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_CREDENTIALS },
		{ CMSG_LEN(sizeof(int)), IPPROTO_IP, SCM_RIGHTS },
	};
	struct driven driven = hand_begin(NULL);
	struct message *message = xyl_new(struct message);
	struct xyl_task *task;
	struct cmsghdr *at;
	int ends[2], got[RIGHTS];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++) {
		message_new(message, ends[0], CMSG_LEN(sizeof(got)));
		task = receiver(&driven, message);
		hand_turn(&driven);
		rights_send(ends[1]);
		hand_completion(&driven);
		at = CMSG_FIRSTHDR(&message->header);
		memcpy(got, CMSG_DATA(at), sizeof(got));
		*at = nonsense[i];
		leave(&driven, task);
		for (int k = 0; k < RIGHTS; k++)
			CHECK_EQ(close(got[k]), 0);
	}
	CHECK_EQ(drive_stats(&driven).closed_late, 0);
	CHECK_EQ(drive_stats(&driven).adopted_results, 0);
	close(ends[0]);
	close(ends[1]);
	drive_end(&driven);
}

TEST(submitted_recvmsg_without_descriptors_closes_nothing)
{
	struct driven driven = hand_begin(NULL);
	struct message *message = xyl_new(struct message);
	struct xyl_task *task;
	int ends[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	task = receiver(&driven, message_new(message, ends[0], sizeof(message->control)));
	hand_turn(&driven);
	raw_send(ends[1], "plain");
	leave(&driven, task);
	CHECK_EQ(drive_stats(&driven).adopted_results, 0);
	CHECK_EQ(drive_stats(&driven).closed_late, 0);
	close(ends[0]);
	close(ends[1]);
	drive_end(&driven);
}

/* Its control data are read by us, too. */
TEST(submitted_recvmsg_into_foreign_memory_is_waited_for)
{
	static _Alignas(struct cmsghdr) char foreign[256];
	struct driven driven = hand_begin(NULL);
	struct message *message = xyl_new(struct message);
	struct xyl_task *task;
	int ends[2], got[RIGHTS];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	message_new(message, ends[0], sizeof(foreign));
	message->header.msg_control = foreign;
	task = receiver(&driven, message);
	hand_turn(&driven);
	rights_send(ends[1]);
	hand_completion(&driven);
	xyl_abort(task);
	CHECK_EQ(hand_join(&driven, task), sizeof(message->text));
	memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&message->header)), sizeof(got));
	for (int k = 0; k < RIGHTS; k++)
		CHECK_EQ(close(got[k]), 0);
	CHECK_EQ(drive_stats(&driven).adopted_results, 0);
	close(ends[0]);
	close(ends[1]);
	drive_end(&driven);
}

/* ---- and what nobody can be given ------------------------------------------------------------ */

static void prep_poll(struct io_uring_sqe *sqe, void *arg)
{
	io_uring_prep_poll_add(sqe, *(int *)arg, POLLIN);
}

TEST(submitted_poll_is_no_descriptor)
{
	struct driven driven = hand_begin(NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct xyl_task *task = DRIVE_SPAWN(&driven, hand_submit, .prep = prep_poll, .arg = &fd);

	hand_turn(&driven);
	CHECK_EQ(eventfd_write(fd, 1), 0);
	leave(&driven, task);
	CHECK_EQ(drive_stats(&driven).adopted_results, 0);
	CHECK_EQ(drive_stats(&driven).closed_late, 0);
	close(fd);
	drive_end(&driven);
}
