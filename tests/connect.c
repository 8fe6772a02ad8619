/* SPDX-License-Identifier: MIT */
/* Connecting: refused, misnamed, cut off on the way. */
#include "tests/hand.h"
#include "tests/raw.h"

struct dial {
	struct xyl_frame frame;
	const char *host, *port, *path; /* path: a Unix socket */
	int64_t bound;
	struct xyl_io *io;
	ssize_t n, closed;
};

static xyl_step dial(void *frame)
{
	struct dial *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n,
		  hand_bounded(self->path ? xyl_unix_connect(&self->io, self->path)
					  : xyl_tcp_connect(&self->io, self->host, self->port),
			       self->bound));
	CHECK_EQ(self->io != NULL, self->n == 0);
	if (self->io)
		XYL_AWAIT(self->closed, xyl_close(self->io));
	XYL_END(self->n);
}

#define DIAL(driven, ...) hand_join((driven), DRIVE_SPAWN((driven), dial, __VA_ARGS__))

/* ---- refused ---------------------------------------------------------------------------- */

TEST(a_port_at_which_nobody_listens_refuses)
{
	struct driven driven = drive_begin(NULL);
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound: nobody else's */
	char port[8];

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
	CHECK_EQ(DIAL(&driven, .host = "127.0.0.1", .port = port), -ECONNREFUSED);
	CHECK_EQ(DIAL(&driven, .host = "localhost", .port = port), -ECONNREFUSED);
	close(fd);
	drive_end(&driven);
}

TEST(a_path_at_which_nobody_listens_refuses)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	int full, queued;

	CHECK_EQ(DIAL(&driven, .path = folder.path), -ENOENT);
	full = raw_unix_full(folder.path, &queued);
	close(full);
	close(queued);
	CHECK_EQ(DIAL(&driven, .path = folder.path), -ECONNREFUSED);
	folder_remove(&folder);
	drive_end(&driven);
}

TEST(a_path_too_long_for_an_address_is_refused)
{
	struct driven driven = drive_begin(NULL);
	char path[200];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = 0;
	CHECK_EQ(DIAL(&driven, .path = path), -ENAMETOOLONG);
	path[sizeof(((struct sockaddr_un *)0)->sun_path)] = 0;
	CHECK_EQ(DIAL(&driven, .path = path), -ENAMETOOLONG);
	path[sizeof(((struct sockaddr_un *)0)->sun_path) - 1] = 0;
	CHECK_EQ(DIAL(&driven, .path = path), -ENOENT);
	CHECK_EQ(DIAL(&driven, .path = ""), -EINVAL);
	drive_end(&driven);
}

/* ---- names ------------------------------------------------------------------------------ */

/* Without a resolver that answers, that nobody could say is an answer as well. */
TEST(a_name_that_does_not_resolve_is_an_error)
{
	struct driven driven = drive_begin(NULL);
	ssize_t n = DIAL(&driven, .host = "no such host", .port = "1");

	CHECK(n == -ENOENT || n == -EAGAIN);
	CHECK_EQ(DIAL(&driven, .host = "127.0.0.1", .port = "no such service"), -EINVAL);
	drive_end(&driven);
}

TEST(each_address_of_a_name_is_tried)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_io *io;
	char port[8];

	CHECK_EQ(xyl_tcp_listen(&io, "127.0.0.1", "0"), 0);
	raw_port(io, port, sizeof(port));
	CHECK_EQ(DIAL(&driven, .host = "localhost", .port = port), 0);
	CHECK_EQ(DIAL(&driven, .host = NULL, .port = port), 0);
	CHECK_EQ(DIAL(&driven, .host = "127.0.0.1", .port = port), 0);
	HAND_CLOSE(&driven, io);
	drive_end(&driven);
}

/* The look-up goes on without us, on its thread, and cleans up after itself. */
TEST(a_look_up_may_be_left)
{
	struct driven driven = drive_begin(NULL);
	int64_t until = xyli_clock() + HAND_PATIENCE;
	struct xyl_task *task;

	for (int i = 0; i < 20; i++) {
		task = DRIVE_SPAWN(&driven, dial, .host = "localhost", .port = "1");
		hand_turns(&driven, 1 + test_random() % 2);
		xyl_abort(task);
		hand_join(&driven, task);
	}
	hand_drained(&driven);
	CHECK_EQ(xyl_runtime_stop(driven.rt, HAND_PATIENCE), 0);
	while (test_fd_count() != driven.before.fds) {
		CHECK(xyli_clock() < until);
		sched_yield();
	}
	census_check(&driven.before, driven.rt);
}

/* ---- cut off ------------------------------------------------------------------------------ */

TEST(a_connect_that_waits_goes_on_when_there_is_room)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	int queued, full = raw_unix_full(folder.path, &queued);
	struct xyl_task *task = DRIVE_SPAWN(&driven, dial, .path = folder.path);
	int accepted;

	hand_turns(&driven, 10);
	CHECK(!xyl_is_done(task));
	accepted = accept4(full, NULL, NULL, SOCK_CLOEXEC);
	CHECK_EQ(hand_join(&driven, task), 0);
	close(accepted);
	close(full);
	close(queued);
	folder_remove(&folder);
	drive_end(&driven);
}

/* However far it has come. */
TEST(a_connect_may_be_cut_at_any_turn)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	int queued, full = raw_unix_full(folder.path, &queued);
	struct xyl_task *task;

	for (unsigned turns = 0; turns < 200; turns += 1 + turns / 4) {
		task = DRIVE_SPAWN(&driven, dial, .path = folder.path);
		hand_turns(&driven, turns);
		xyl_abort(task);
		CHECK_EQ(hand_join(&driven, task), -ECANCELED);
		CHECK_EQ(DIAL(&driven, .path = folder.path, .bound = 1 + turns * XYL_US),
			 -ETIMEDOUT);
		CHECK_EQ(drive_stats(&driven).ops_outstanding, 0);
	}
	close(full);
	close(queued);
	folder_remove(&folder);
	drive_end(&driven);
}

/* A full TCP queue answers to nobody. */
TEST(a_tcp_connect_without_an_answer_may_be_cut)
{
	enum { MANY = 8 };
	struct driven driven = drive_begin(NULL);
	struct xyl_task *tasks[MANY];
	struct xyl_io *io;
	char port[8];
	int waiting = 0;

	CHECK_EQ(xyl_tcp_listen(&io, "127.0.0.1", "0"), 0);
	CHECK_EQ(listen(xyl_io_fd(io), 0), 0);
	raw_port(io, port, sizeof(port));
	for (int i = 0; i < MANY; i++)
		tasks[i] = DRIVE_SPAWN(&driven, dial, .host = "127.0.0.1", .port = port);
	hand_turns(&driven, 10);
	for (int i = 0; i < MANY; i++) {
		if (xyl_is_done(tasks[i]))
			continue;
		waiting++;
		xyl_abort(tasks[i]);
		CHECK_EQ(hand_join(&driven, tasks[i]), -ECANCELED);
	}
	CHECK(waiting > 0);
	CHECK_EQ(DIAL(&driven, .host = "127.0.0.1", .port = port, .bound = XYL_MS), -ETIMEDOUT);
	HAND_CLOSE(&driven, io);
	drive_end(&driven);
}
