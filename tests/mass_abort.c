/* SPDX-License-Identifier: MIT */
/*
 * 10 000 tasks aborted in recv, accept, connect, sleep and read_at: each cleans up once,
 * nothing is left of them, and what arrived meanwhile reaches those who come next.
 */
#include "tests/hand.h"
#include "tests/raw.h"

enum { EACH = 2000, LISTENERS = 20, SIZE = 512 };

enum what { RECV, ACCEPT, CONNECT, SLEEP, READ_AT };

struct massed {
	struct xyl_frame frame;
	enum what what;
	struct xyl_io *io, *got;
	char *buf;
	const char *port;
	size_t *cleanups;
	ssize_t n, closed;
};

static xyl_pending massed_start(struct massed *self)
{
	switch (self->what) {
	case RECV: return xyl_read(self->io, self->buf, SIZE);
	case ACCEPT: return xyl_accept(self->io, &self->got);
	case CONNECT: return xyl_tcp_connect(&self->got, "127.0.0.1", self->port);
	case READ_AT: return xyl_read_at(self->io, self->buf, SIZE, 0);
	case SLEEP:
	default: return xyl_sleep(1000 * XYL_SEC);
	}
}

static xyl_step massed(void *frame)
{
	struct massed *self = frame;

	XYL_BEGIN(self)
	do
		XYL_AWAIT(self->n, massed_start(self));
	while (self->n == SIZE); /* a file never waits */
	if (self->got)
		XYL_AWAIT(self->closed, xyl_close(self->got));
	++*self->cleanups;
	XYL_END(self->n);
}

struct mass {
	struct driven driven;
	size_t count, cleanups;
	struct xyl_task **tasks;
	struct xyl_io **ios;
	int *peers;
};

static struct mass *mass_begin(void)
{
	struct mass *mass = xyl_new(struct mass);

	mass->driven = drive_begin(NULL);
	mass->count = test_scaled(EACH);
	mass->tasks = xyl_alloc(mass->count * sizeof(*mass->tasks));
	mass->ios = xyl_alloc(mass->count * sizeof(*mass->ios));
	mass->peers = xyl_alloc(mass->count * sizeof(*mass->peers));
	return mass;
}

static void mass_wait(struct mass *mass)
{
	while (drive_stats(&mass->driven).resumed < mass->count)
		hand_turn(&mass->driven);
	do
		hand_turn(&mass->driven);
	while (mass->driven.rt->shard->backlog.first);
}

static void mass_abort(struct mass *mass)
{
	for (size_t i = 0; i < mass->count; i++)
		xyl_abort(mass->tasks[i]);
	for (size_t i = 0; i < mass->count; i++)
		xyl_abort(mass->tasks[mass->count - 1 - i]);
}

static void mass_is_over(struct mass *mass)
{
	for (size_t i = 0; i < mass->count; i++)
		hand_join(&mass->driven, mass->tasks[i]);
	CHECK_EQ(mass->cleanups, mass->count);
	CHECK_EQ(drive_stats(&mass->driven).aborted, mass->count);
	hand_drained(&mass->driven);
	CHECK_EQ(drive_stats(&mass->driven).pinned_bytes, 0);
	CHECK_EQ(drive_stats(&mass->driven).live, 0);
}

/* ---- recv -------------------------------------------------------------------------------- */

/* Every second one is sent something: to every fourth it has got already. */
static void some_are_sent(struct mass *mass)
{
	char text[24];

	for (size_t i = 0; i < mass->count; i += 2) {
		snprintf(text, sizeof(text), "%zu", i);
		raw_send(mass->peers[i], text);
		if (i % 4 == 0)
			io_uring_get_events(&mass->driven.rt->shard->ring->uring);
	}
}

static void what_was_sent_is_read(struct mass *mass)
{
	char *buf = xyl_alloc_bytes(SIZE), text[24];

	for (size_t i = 0; i < mass->count; i += 2) {
		snprintf(text, sizeof(text), "%zu", i);
		CHECK_EQ(HAND_READ(&mass->driven, .io = mass->ios[i], .buf = buf, .len = SIZE),
			 strlen(text));
		CHECK(!memcmp(buf, text, strlen(text)));
	}
}

TEST(receivers_aborted_en_masse)
{
	struct mass *mass = mass_begin();

	for (size_t i = 0; i < mass->count; i++) {
		mass->ios[i] = raw_socketpair(&mass->peers[i]);
		mass->tasks[i] = DRIVE_SPAWN(&mass->driven, massed, .what = RECV,
					     .io = mass->ios[i], .buf = xyl_alloc_bytes(SIZE),
					     .cleanups = &mass->cleanups);
	}
	mass_wait(mass);
	CHECK_EQ(drive_stats(&mass->driven).ops_outstanding, mass->count);
	some_are_sent(mass);
	mass_abort(mass);
	mass_is_over(mass);
	CHECK(drive_stats(&mass->driven).adopted_results > 0);
	what_was_sent_is_read(mass);
	for (size_t i = 0; i < mass->count; i++) {
		HAND_CLOSE(&mass->driven, mass->ios[i]);
		close(mass->peers[i]);
	}
	drive_end(&mass->driven);
}

/* ---- accept -------------------------------------------------------------------------------- */

struct door {
	struct folder folder;
	struct xyl_io *listener;
};

static void clients_come(struct mass *mass, const struct door *doors, int first, int last)
{
	for (int i = first; i < last; i++) {
		mass->peers[i] = raw_unix_connect(doors[i % LISTENERS].folder.path);
		CHECK_EQ(write(mass->peers[i], &i, sizeof(i)), sizeof(i));
	}
}

static void clients_are_served(struct mass *mass, const struct door *doors, int clients)
{
	struct xyl_io **got = xyl_alloc(sizeof(*got));
	int *name = xyl_alloc_bytes(sizeof(*name));

	for (int i = 0; i < clients; i++) {
		CHECK_EQ(HAND_ACCEPT(&mass->driven, .io = doors[i % LISTENERS].listener,
				     .ret_io = got),
			 0);
		CHECK_EQ(HAND_READ(&mass->driven, .io = *got, .buf = (char *)name,
				   .len = sizeof(*name)),
			 sizeof(*name));
		CHECK_EQ(*name, i);
		HAND_CLOSE(&mass->driven, *got);
		close(mass->peers[i]);
	}
}

TEST(acceptors_aborted_en_masse)
{
	struct mass *mass = mass_begin();
	struct door *doors = xyl_alloc(LISTENERS * sizeof(*doors));
	int clients = (int)(mass->count / 4);

	for (int i = 0; i < LISTENERS; i++) {
		doors[i].folder = folder_make();
		CHECK_EQ(xyl_unix_listen(&doors[i].listener, doors[i].folder.path), 0);
	}
	for (size_t i = 0; i < mass->count; i++)
		mass->tasks[i] = DRIVE_SPAWN(&mass->driven, massed, .what = ACCEPT,
					     .io = doors[i % LISTENERS].listener,
					     .cleanups = &mass->cleanups);
	mass_wait(mass);
	clients_come(mass, doors, 0, clients / 2);
	hand_completions(&mass->driven, 1);
	mass_abort(mass);
	clients_come(mass, doors, clients / 2, clients);
	mass_is_over(mass);
	CHECK(drive_stats(&mass->driven).adopted_results > 0);
	clients_are_served(mass, doors, clients);
	for (int i = 0; i < LISTENERS; i++) {
		HAND_CLOSE(&mass->driven, doors[i].listener);
		folder_remove(&doors[i].folder);
	}
	CHECK_EQ(drive_stats(&mass->driven).closed_late, 0);
	drive_end(&mass->driven);
}

/* ---- connect --------------------------------------------------------------------------------- */

/* Two find room in the queue of the listener; the others get no answer. */
TEST(connectors_aborted_en_masse)
{
	struct mass *mass = mass_begin();
	struct xyl_io *listener;
	char port[8];

	CHECK_EQ(xyl_tcp_listen(&listener, "127.0.0.1", "0"), 0);
	CHECK_EQ(listen(xyl_io_fd(listener), 0), 0);
	raw_port(listener, port, sizeof(port));
	for (size_t i = 0; i < mass->count; i++)
		mass->tasks[i] = DRIVE_SPAWN(&mass->driven, massed, .what = CONNECT, .port = port,
					     .cleanups = &mass->cleanups);
	mass_wait(mass);
	CHECK(drive_stats(&mass->driven).ops_outstanding > mass->count / 2);
	mass_abort(mass);
	for (size_t i = 0; i < mass->count; i++)
		hand_join(&mass->driven, mass->tasks[i]);
	CHECK_EQ(mass->cleanups, mass->count);
	hand_drained(&mass->driven);
	HAND_CLOSE(&mass->driven, listener);
	drive_end(&mass->driven);
}

/* ---- sleep ----------------------------------------------------------------------------------- */

TEST(sleepers_aborted_en_masse)
{
	struct mass *mass = mass_begin();

	for (size_t i = 0; i < mass->count; i++)
		mass->tasks[i] = DRIVE_SPAWN(&mass->driven, massed, .what = SLEEP,
					     .cleanups = &mass->cleanups);
	mass_wait(mass);
	mass_abort(mass);
	mass_is_over(mass);
	for (size_t i = 0; i < mass->count; i++)
		CHECK_EQ(xyl_result(mass->tasks[i]), -ECANCELED);
	drive_end(&mass->driven);
}

/* ---- read_at --------------------------------------------------------------------------------- */

TEST(direct_readers_aborted_en_masse)
{
	static char bytes[SIZE] __attribute__((aligned(4096)));
	struct mass *mass = mass_begin();
	struct folder folder = folder_make();
	int fd = raw_direct_file(folder.path, bytes, sizeof(bytes));
	struct xyl_io *io = raw_handle(fd >= 0 ? fd : open(folder.path, O_RDWR | O_CLOEXEC));
	char *bufs = xyl_alloc_bytes((mass->count + 8) * SIZE);

	bufs += -(uintptr_t)bufs & 4095;
	for (size_t i = 0; i < mass->count; i++)
		mass->tasks[i] = DRIVE_SPAWN(&mass->driven, massed, .what = READ_AT, .io = io,
					     .buf = bufs + i * SIZE, .cleanups = &mass->cleanups);
	mass_wait(mass);
	CHECK(drive_stats(&mass->driven).ops_outstanding > 0 || fd < 0);
	mass_abort(mass);
	mass_is_over(mass);
	for (size_t i = 0; i < mass->count; i++)
		CHECK_EQ(xyl_result(mass->tasks[i]), -ECANCELED);
	HAND_CLOSE(&mass->driven, io);
	folder_remove(&folder);
	drive_end(&mass->driven);
}
