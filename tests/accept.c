/* SPDX-License-Identifier: MIT */
/* Listeners and those who wait at them. */
#include "tests/hand.h"
#include "tests/raw.h"

enum { LONG_PATH = 200 };

/* ---- making one ---------------------------------------------------------------------- */

static void listener_drop(struct xyl_io *io)
{
	struct driven driven = drive_begin(NULL);

	HAND_CLOSE(&driven, io);
	CHECK_EQ(xyl_runtime_stop(driven.rt, HAND_PATIENCE), 0);
}

TEST(a_listener_needs_no_runtime)
{
	struct xyl_io *io;
	char port[8];

	CHECK_EQ(xyl_tcp_listen(&io, NULL, "0"), 0);
	raw_port(io, port, sizeof(port));
	CHECK(strcmp(port, "0") != 0);
	listener_drop(io);
}

TEST(a_path_must_fit_into_an_address)
{
	struct sockaddr_un address;
	struct folder folder = folder_make();
	char path[LONG_PATH];
	struct xyl_io *io = NULL;
	size_t len = strlen(folder.path);

	memset(path, 'x', sizeof(path));
	memcpy(path, folder.path, len);
	path[sizeof(address.sun_path)] = 0;
	CHECK_EQ(xyl_unix_listen(&io, path), -ENAMETOOLONG);
	CHECK_EQ(xyl_unix_listen(&io, ""), -EINVAL);
	CHECK(!io);
	path[sizeof(address.sun_path) - 1] = 0;
	CHECK_EQ(xyl_unix_listen(&io, path), 0);
	listener_drop(io);
	unlink(path);
	folder_remove(&folder);
}

TEST(an_address_is_taken_once)
{
	struct folder folder = folder_make();
	struct xyl_io *io, *second = NULL;
	size_t fds = test_fd_count();
	char port[8];

	CHECK_EQ(xyl_unix_listen(&io, folder.path), 0);
	CHECK_EQ(xyl_unix_listen(&second, folder.path), -EADDRINUSE);
	listener_drop(io);
	CHECK_EQ(xyl_tcp_listen(&io, "127.0.0.1", "0"), 0);
	raw_port(io, port, sizeof(port));
	CHECK_EQ(xyl_tcp_listen(&second, "127.0.0.1", port), -EADDRINUSE);
	listener_drop(io);
	CHECK(!second);
	CHECK_EQ(test_fd_count(), fds);
	folder_remove(&folder);
}

TEST(a_port_is_free_again_after_its_listener_is_closed)
{
	struct xyl_io *io;
	char port[8];

	CHECK_EQ(xyl_tcp_listen(&io, "127.0.0.1", "0"), 0);
	raw_port(io, port, sizeof(port));
	listener_drop(io);
	CHECK_EQ(xyl_tcp_listen(&io, "127.0.0.1", port), 0);
	listener_drop(io);
}

TEST(what_is_no_host_or_port_is_refused)
{
	struct xyl_io *io = NULL;

	CHECK_EQ(xyl_tcp_listen(&io, "127.0.0.1", "no such service"), -EINVAL);
	CHECK(xyl_tcp_listen(&io, "no such host", "0") < 0);
	CHECK(xyl_tcp_listen(&io, "192.0.2.1", "0") < 0); /* nobody's, least of all ours */
	CHECK(!io);
}

/* ---- waiting ----------------------------------------------------------------------------- */

enum { MANY = 20 };

struct crowd {
	struct driven driven;
	struct folder folder;
	struct xyl_io *io, **accepted;
	struct xyl_task *tasks[MANY];
	int clients[MANY];
};

static struct crowd crowd_begin(void)
{
	struct crowd crowd = { .driven = drive_in_order(NULL), .folder = folder_make() };

	crowd.accepted = xyl_alloc(MANY * sizeof(struct xyl_io *));
	CHECK_EQ(xyl_unix_listen(&crowd.io, crowd.folder.path), 0);
	return crowd;
}

static void crowd_acceptors(struct crowd *crowd)
{
	for (int i = 0; i < MANY; i++)
		crowd->tasks[i] = DRIVE_SPAWN(&crowd->driven, hand_accept, .io = crowd->io,
					      .ret_io = &crowd->accepted[i]);
}

static void crowd_clients(struct crowd *crowd)
{
	for (int i = 0; i < MANY; i++) {
		char name = (char)('a' + i);

		crowd->clients[i] = raw_unix_connect(crowd->folder.path);
		CHECK_EQ(write(crowd->clients[i], &name, 1), 1);
	}
}

static void crowd_is_in_order(struct crowd *crowd)
{
	char *name = xyl_alloc_bytes(1);

	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(hand_join(&crowd->driven, crowd->tasks[i]), 0);
		CHECK_EQ(HAND_READ(&crowd->driven, .io = crowd->accepted[i], .buf = name, .len = 1),
			 1);
		CHECK_EQ(*name, 'a' + i);
		HAND_CLOSE(&crowd->driven, crowd->accepted[i]);
		close(crowd->clients[i]);
	}
}

static void crowd_end(struct crowd *crowd)
{
	HAND_CLOSE(&crowd->driven, crowd->io);
	folder_remove(&crowd->folder);
	drive_end(&crowd->driven);
}

TEST(acceptors_who_wait_are_served_in_the_order_in_which_they_came)
{
	struct crowd crowd = crowd_begin();

	crowd_acceptors(&crowd);
	hand_turn(&crowd.driven);
	crowd_clients(&crowd);
	crowd_is_in_order(&crowd);
	crowd_end(&crowd);
}

TEST(clients_who_wait_are_served_in_the_order_in_which_they_came)
{
	struct crowd crowd = crowd_begin();

	crowd_clients(&crowd);
	crowd_acceptors(&crowd);
	crowd_is_in_order(&crowd);
	crowd_end(&crowd);
}

/* Whoever leaves, no client is left out, and none is served twice. */
static void crowd_thins_out(struct crowd *crowd)
{
	char *name = xyl_alloc_bytes(1);
	int next = 0;

	crowd_acceptors(crowd);
	hand_turns(&crowd->driven, test_random() % 2);
	crowd_clients(crowd);
	hand_turns(&crowd->driven, test_random() % 2);
	for (int i = 0; i < MANY; i++)
		if (test_random() % 2)
			xyl_abort(crowd->tasks[i]);
	for (int i = 0; i < MANY; i++)
		if (hand_join(&crowd->driven, crowd->tasks[i]) < 0)
			CHECK(!crowd->accepted[i]);
	for (int i = 0; next < MANY; i++) {
		struct xyl_io **ret_io = &crowd->accepted[i % MANY];

		if (!*ret_io && i >= MANY)
			CHECK_EQ(HAND_ACCEPT(&crowd->driven, .io = crowd->io, .ret_io = ret_io), 0);
		if (!*ret_io)
			continue;
		CHECK_EQ(HAND_READ(&crowd->driven, .io = *ret_io, .buf = name, .len = 1), 1);
		CHECK_EQ(*name, 'a' + next);
		HAND_CLOSE(&crowd->driven, *ret_io);
		*ret_io = NULL;
		close(crowd->clients[next++]);
	}
}

TEST(every_client_is_served_in_order_however_many_acceptors_leave)
{
	struct crowd crowd = crowd_begin();
	size_t rounds = test_scaled(200);

	if (rounds < 60)
		rounds = 60; /* one in five hits the window */
	for (size_t i = 0; i < rounds; i++)
		crowd_thins_out(&crowd);
	CHECK(drive_stats(&crowd.driven).adopted_results > 0);
	crowd_end(&crowd);
}

TEST(a_flood_without_acceptors_waits_in_the_kernel_and_is_served_later)
{
	enum { FLOOD = 300 };
	struct crowd crowd = crowd_begin();
	char *name = xyl_alloc_bytes(1);
	int *clients = xyl_alloc(FLOOD * sizeof(*clients));

	for (int i = 0; i < FLOOD; i++) {
		clients[i] = raw_unix_connect(crowd.folder.path);
		CHECK_EQ(write(clients[i], (char[]){ (char)i }, 1), 1);
	}
	for (int i = 0; i < FLOOD; i++) {
		CHECK_EQ(HAND_ACCEPT(&crowd.driven, .io = crowd.io, .ret_io = crowd.accepted), 0);
		CHECK_EQ(HAND_READ(&crowd.driven, .io = *crowd.accepted, .buf = name, .len = 1), 1);
		CHECK_EQ(*name, (char)i);
		HAND_CLOSE(&crowd.driven, *crowd.accepted);
		close(clients[i]);
	}
	crowd_end(&crowd);
}

TEST(a_client_that_went_before_it_was_accepted_is_still_handed_over)
{
	struct crowd crowd = crowd_begin();
	char *byte = xyl_alloc_bytes(1);

	close(raw_unix_connect(crowd.folder.path));
	CHECK_EQ(HAND_ACCEPT(&crowd.driven, .io = crowd.io, .ret_io = crowd.accepted), 0);
	CHECK_EQ(HAND_READ(&crowd.driven, .io = *crowd.accepted, .buf = byte, .len = 1), 0);
	HAND_CLOSE(&crowd.driven, *crowd.accepted);
	crowd_end(&crowd);
}

TEST(who_does_not_listen_accepts_nobody)
{
	struct driven driven = drive_begin(NULL);
	struct xyl_io *ret;
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	CHECK_EQ(HAND_ACCEPT(&driven, .io = io, .ret_io = &ret), -EINVAL);
	CHECK_EQ(HAND_ACCEPT(&driven, .io = io, .ret_io = &ret), -EINVAL);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(while_nobody_waits_the_kernel_accepts_nobody)
{
	struct crowd crowd = crowd_begin();
	struct xyl_task *task = DRIVE_SPAWN(&crowd.driven, hand_accept, .io = crowd.io,
					    .ret_io = crowd.accepted);

	hand_turn(&crowd.driven);
	CHECK_EQ(drive_stats(&crowd.driven).ops_outstanding, 1);
	xyl_abort(task);
	CHECK_EQ(hand_join(&crowd.driven, task), -ECANCELED);
	hand_drained(&crowd.driven);
	hand_turns(&crowd.driven, 3);
	CHECK_EQ(drive_stats(&crowd.driven).ops_outstanding, 0);
	crowd_end(&crowd);
}
