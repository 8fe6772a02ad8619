/* SPDX-License-Identifier: MIT */
/*
 * What arrives for a task that has left: bytes, connections, descriptors.
 *
 * Races hardly ever hit the window, so these go through it by hand: the kernel is done,
 * the shard has not looked, the task is aborted.
 */
#include "tests/asyncs.h"
#include "tests/hand.h"
#include "tests/raw.h"

enum { ROOM = 256 };

static uint64_t adopted(const struct driven *driven)
{
	return drive_stats(driven).adopted_results;
}

/* A reader whose bytes are in its buffer before it is aborted, and whom nobody told. */
static void reader_leaves(const struct driven *driven, struct xyl_io *io, int peer,
			  const char *text)
{
	struct xyl_task *reader = DRIVE_SPAWN(driven, hand_read, .io = io,
					      .buf = xyl_alloc_bytes(ROOM), .len = ROOM);
	uint64_t before = adopted(driven);

	hand_turn(driven);
	raw_send(peer, text);
	hand_completion(driven);
	xyl_abort(reader);
	CHECK_EQ(hand_join(driven, reader), -ECANCELED);
	hand_drained(driven);
	CHECK_EQ(adopted(driven), before + 1);
}

static void expect_bytes(const struct driven *driven, struct xyl_io *io, size_t len,
			 const char *text)
{
	char *buf = xyl_alloc_bytes(ROOM);

	CHECK_EQ(HAND_READ(driven, .io = io, .buf = buf, .len = len), strlen(text));
	CHECK(!memcmp(buf, text, strlen(text)));
}

/* ---- bytes --------------------------------------------------------------------------- */

TEST(bytes_for_a_reader_who_left_go_to_the_next)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	reader_leaves(&driven, io, peer, "0123456789");
	expect_bytes(&driven, io, 4, "0123");
	expect_bytes(&driven, io, ROOM, "456789");
	raw_send(peer, "more");
	expect_bytes(&driven, io, ROOM, "more");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(bytes_of_several_who_left_stay_in_order)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_pipe_reader(&peer);
	struct xyl_task *reader;

	reader_leaves(&driven, io, peer, "0123");
	expect_bytes(&driven, io, 2, "01");
	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
			     .len = ROOM, .whole = true);
	hand_turn(&driven);
	raw_send(peer, "45");
	hand_completion(&driven);
	xyl_abort(reader);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	hand_drained(&driven);
	raw_send(peer, "67");
	expect_bytes(&driven, io, 3, "234");
	expect_bytes(&driven, io, ROOM, "5");
	expect_bytes(&driven, io, ROOM, "67");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(a_reader_in_the_queue_gets_what_came_for_the_one_before)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	char *buf = xyl_alloc_bytes(ROOM);
	struct xyl_task *first, *second;

	first = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
			    .len = ROOM);
	second = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = buf, .len = ROOM);
	hand_turn(&driven);
	raw_send(peer, "to whom?");
	hand_completion(&driven);
	xyl_abort(first);
	CHECK_EQ(hand_join(&driven, first), -ECANCELED);
	CHECK_EQ(hand_join(&driven, second), 8);
	CHECK(!memcmp(buf, "to whom?", 8));
	CHECK_EQ(adopted(&driven), 1);
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(a_reader_who_comes_before_the_late_bytes_waits_for_them)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	char *buf = xyl_alloc_bytes(ROOM);
	struct xyl_task *first, *second;

	first = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
			    .len = ROOM);
	hand_turn(&driven);
	raw_send(peer, "first");
	hand_completion(&driven);
	raw_send(peer, "second");
	xyl_abort(first);
	second = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = buf, .len = ROOM);
	CHECK_EQ(hand_join(&driven, second), 5);
	CHECK(!memcmp(buf, "first", 5));
	expect_bytes(&driven, io, ROOM, "second");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(a_whole_read_takes_what_was_left_and_goes_on_with_what_comes)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	char *buf = xyl_alloc_bytes(ROOM);
	struct xyl_task *reader;

	reader_leaves(&driven, io, peer, "left");
	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = buf, .len = 8, .whole = true);
	hand_turns(&driven, 3);
	CHECK(!xyl_is_done(reader));
	raw_send(peer, "over and more");
	CHECK_EQ(hand_join(&driven, reader), 8);
	CHECK(!memcmp(buf, "leftover", 8));
	expect_bytes(&driven, io, ROOM, " and more");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

/* It has gathered some: then it is cut while it waits for the rest. */
static void whole_read_is_cut(char *buf, bool on_backlog)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	struct xyl_task *reader;

	reader_leaves(&driven, io, peer, "ab");
	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = buf, .len = 8, .whole = true);
	hand_turn(&driven);
	raw_send(peer, "cd");
	hand_completion(&driven);
	hand_turns(&driven, on_backlog ? 1 : 2);
	xyl_abort(reader);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	hand_drained(&driven);
	CHECK_EQ(adopted(&driven), 2);
	raw_send(peer, "ef");
	expect_bytes(&driven, io, ROOM, "abcd");
	expect_bytes(&driven, io, ROOM, "ef");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(what_a_whole_read_had_gathered_goes_to_the_next_reader)
{
	static char foreign[ROOM];

	whole_read_is_cut(xyl_alloc_bytes(ROOM), false);
	whole_read_is_cut(xyl_alloc_bytes(ROOM), true);
	whole_read_is_cut(foreign, false);
	whole_read_is_cut(foreign, true);
}

/* The last bytes come between its abort and its last CQE. */
TEST(a_whole_read_that_would_have_been_complete_goes_to_the_next_reader)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	struct xyl_task *reader;

	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(4), .len = 4,
			     .whole = true);
	hand_turn(&driven);
	raw_send(peer, "ab");
	hand_completion(&driven);
	hand_turns(&driven, 2);
	raw_send(peer, "cd");
	hand_completion(&driven);
	xyl_abort(reader);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	hand_drained(&driven);
	expect_bytes(&driven, io, ROOM, "abcd");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

struct in_frame {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
	char buf[16];
};

static xyl_step in_frame(void *frame)
{
	struct in_frame *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_read_full(self->io, self->buf, sizeof(self->buf)));
	XYL_END(self->n);
}

TEST(bytes_in_the_frame_of_a_task_that_has_ended_are_not_lost)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	struct xyl_task *reader = DRIVE_SPAWN(&driven, in_frame, .io = io);

	hand_turn(&driven);
	raw_send(peer, "gathered");
	hand_completion(&driven);
	hand_turns(&driven, 2);
	raw_send(peer, ", late");
	hand_completion(&driven);
	xyl_abort(reader);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	expect_bytes(&driven, io, ROOM, "gathered, late");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

struct caller {
	struct xyl_frame frame;
	struct xyl_io *io;
	ssize_t n;
};

/* What was the callee's is overwritten, if anyone else may have it. */
static void blocks_take(size_t size)
{
	for (size_t more = 0; more <= 32; more += 16)
		for (int i = 0; i < 1000; i++)
			memset(xyl_alloc(size + more), 'x', size + more);
}

static xyl_step caller(void *frame)
{
	struct caller *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(in_frame, .io = self->io));
	blocks_take(sizeof(struct in_frame));
	XYL_END(self->n);
}

TEST(bytes_in_the_frame_of_a_callee_that_has_returned_are_not_lost)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	struct xyl_task *reader = DRIVE_SPAWN(&driven, caller, .io = io);

	hand_turn(&driven);
	raw_send(peer, "late");
	hand_completion(&driven);
	xyl_abort(reader);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	expect_bytes(&driven, io, ROOM, "late");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(the_end_of_a_stream_is_found_by_the_next_reader_too)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	struct xyl_task *reader;

	reader_leaves(&driven, io, peer, "last");
	reader = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = xyl_alloc_bytes(ROOM),
			     .len = ROOM, .whole = true);
	hand_turn(&driven);
	close(peer);
	hand_completion(&driven);
	xyl_abort(reader);
	CHECK_EQ(hand_join(&driven, reader), -ECANCELED);
	hand_drained(&driven);
	expect_bytes(&driven, io, ROOM, "last");
	expect_bytes(&driven, io, ROOM, "");
	HAND_CLOSE(&driven, io);
	drive_end(&driven);
}

TEST(a_bound_that_cuts_a_whole_read_loses_no_byte)
{
	static char foreign[ROOM];
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	raw_send(peer, "abc");
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = foreign, .len = 8, .whole = true,
			   .bound = XYL_MS),
		 -ETIMEDOUT);
	memset(foreign, 0, sizeof(foreign));
	raw_send(peer, "def");
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = xyl_alloc_bytes(8), .len = 8, .whole = true,
			   .bound = 1),
		 -ETIMEDOUT);
	CHECK_EQ(adopted(&driven), 2);
	expect_bytes(&driven, io, ROOM, "abcdef");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

/* ---- bytes, at random ------------------------------------------------------------------- */

enum { CHUNK_MAX = 300 };

struct numbered {
	struct driven driven;
	struct xyl_io *io;
	int peer;
	size_t sent, received;
};

static char byte_at(size_t i)
{
	return (char)(i * 31 + i / 256);
}

static void numbered_send(struct numbered *stream)
{
	char bytes[CHUNK_MAX];
	size_t len = 1 + test_random() % sizeof(bytes);

	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(stream->sent + i);
	CHECK_EQ(write(stream->peer, bytes, len), (ssize_t)len);
	stream->sent += len;
}

static void numbered_check(struct numbered *stream, const char *buf, ssize_t n)
{
	if (n == -ECANCELED)
		return;
	CHECK(n > 0);
	for (ssize_t i = 0; i < n; i++)
		CHECK_EQ(buf[i], byte_at(stream->received + (size_t)i));
	stream->received += (size_t)n;
	CHECK(stream->received <= stream->sent);
}

/* Two readers: one of them, or both, or none is aborted, somewhere on the way. */
static void numbered_round(struct numbered *stream)
{
	size_t len = 1 + test_random() % (2 * CHUNK_MAX);
	struct xyl_task *readers[2];
	char *bufs[2];
	uint64_t dice = test_random();

	for (int i = 0; i < 2; i++) {
		bufs[i] = xyl_alloc_bytes(len);
		readers[i] = DRIVE_SPAWN(&stream->driven, hand_read, .io = stream->io,
					 .buf = bufs[i], .len = len, .whole = dice >> i & 1);
	}
	hand_turns(&stream->driven, dice >> 2 & 1);
	numbered_send(stream);
	if (dice >> 3 & 1)
		io_uring_get_events(&stream->driven.rt->shard->ring->uring);
	hand_turns(&stream->driven, dice >> 4 & 3);
	for (int i = 0; i < 2; i++)
		if (dice >> (6 + i) & 1)
			xyl_abort(readers[i]);
	hand_turns(&stream->driven, dice >> 8 & 3);
	numbered_send(stream);
	while (!xyl_is_done(readers[0]) || !xyl_is_done(readers[1])) {
		numbered_send(stream);
		hand_turn(&stream->driven);
	}
	for (int i = 0; i < 2; i++)
		numbered_check(stream, bufs[i], xyl_result(readers[i]));
}

static void numbered_rest(struct numbered *stream)
{
	char *buf = xyl_alloc_bytes(CHUNK_MAX);

	while (stream->received < stream->sent)
		numbered_check(
			stream, buf,
			HAND_READ(&stream->driven, .io = stream->io, .buf = buf, .len = CHUNK_MAX));
}

TEST(numbered_bytes_survive_random_aborts_once_and_in_order)
{
	struct numbered stream = { .driven = hand_begin(NULL) };

	stream.io = raw_socketpair(&stream.peer);
	for (size_t i = 0; i < test_scaled(2000); i++) {
		numbered_round(&stream);
		if (stream.sent - stream.received > 10000)
			numbered_rest(&stream);
	}
	numbered_rest(&stream);
	CHECK(adopted(&stream.driven) > 0);
	HAND_CLOSE(&stream.driven, stream.io);
	close(stream.peer);
	drive_end(&stream.driven);
}

/* ---- connections -------------------------------------------------------------------------- */

struct door {
	struct driven driven;
	struct folder folder;
	struct xyl_io *io, **accepted;
};

static struct door door_open(void)
{
	struct door door = { .driven = hand_begin(NULL), .folder = folder_make() };

	door.accepted = xyl_alloc(4 * sizeof(struct xyl_io *));
	CHECK_EQ(xyl_unix_listen(&door.io, door.folder.path), 0);
	return door;
}

static void door_close(struct door *door)
{
	if (xyl_io_fd(door->io) >= 0)
		HAND_CLOSE(&door->driven, door->io);
	folder_remove(&door->folder);
	drive_end(&door->driven);
}

static struct xyl_task *acceptor(struct door *door, int i)
{
	return DRIVE_SPAWN(&door->driven, hand_accept, .io = door->io,
			   .ret_io = &door->accepted[i]);
}

/* A client that says who it is arrives, and then the acceptor leaves. */
static int client_arrives(struct door *door, const char *name, struct xyl_task *leaves)
{
	int fd;

	hand_turn(&door->driven);
	fd = raw_unix_connect(door->folder.path);
	raw_send(fd, name);
	hand_completion(&door->driven);
	xyl_abort(leaves);
	CHECK_EQ(hand_join(&door->driven, leaves), -ECANCELED);
	return fd;
}

TEST(a_connection_for_an_acceptor_who_left_goes_to_the_next_one)
{
	struct door door = door_open();
	struct xyl_task *first = acceptor(&door, 0), *second = acceptor(&door, 1);
	int client = client_arrives(&door, "one", first);

	CHECK_EQ(hand_join(&door.driven, second), 0);
	CHECK(!door.accepted[0]);
	expect_bytes(&door.driven, door.accepted[1], ROOM, "one");
	HAND_CLOSE(&door.driven, door.accepted[1]);
	close(client);
	door_close(&door);
}

TEST(a_connection_waits_for_an_acceptor_to_come)
{
	struct door door = door_open();
	int clients[2];

	clients[0] = client_arrives(&door, "one", acceptor(&door, 0));
	hand_drained(&door.driven);
	CHECK_EQ(adopted(&door.driven), 1);
	clients[1] = raw_unix_connect(door.folder.path);
	raw_send(clients[1], "two");
	for (int i = 1; i <= 2; i++) {
		CHECK_EQ(hand_join(&door.driven, acceptor(&door, i)), 0);
		expect_bytes(&door.driven, door.accepted[i], ROOM, i == 1 ? "one" : "two");
		HAND_CLOSE(&door.driven, door.accepted[i]);
		close(clients[i - 1]);
	}
	CHECK_EQ(drive_stats(&door.driven).closed_late, 0);
	door_close(&door);
}

TEST(a_connection_that_nobody_fetched_is_closed_with_its_listener)
{
	struct door door = door_open();
	int client = client_arrives(&door, "one", acceptor(&door, 0));
	char byte;

	hand_drained(&door.driven);
	HAND_CLOSE(&door.driven, door.io);
	CHECK_EQ(drive_stats(&door.driven).closed_late, 1);
	CHECK(read(client, &byte, 1) <= 0);
	close(client);
	door_close(&door);
}

TEST(a_connection_that_comes_while_its_listener_closes_is_closed)
{
	struct door door = door_open();
	struct xyl_task *acceptor_task = acceptor(&door, 0), *closer;
	int client;

	hand_turn(&door.driven);
	client = raw_unix_connect(door.folder.path);
	hand_completion(&door.driven);
	closer = DRIVE_SPAWN(&door.driven, hand_close, .io = door.io);
	xyl_abort(acceptor_task);
	CHECK_EQ(hand_join(&door.driven, closer), 0);
	CHECK_EQ(hand_join(&door.driven, acceptor_task), -ECANCELED);
	CHECK_EQ(drive_stats(&door.driven).closed_late, 1);
	CHECK_EQ(adopted(&door.driven), 1);
	close(client);
	door_close(&door);
}

/* ---- descriptors ---------------------------------------------------------------------------- */

TEST(a_descriptor_that_was_opened_too_late_is_closed)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	size_t fds = test_fd_count();
	struct xyl_task *task;
	int writer;

	CHECK_EQ(mkfifo(folder.path, 0600), 0);
	for (int i = 0; i < 10; i++) {
		task = DRIVE_SPAWN(&driven, open_fifo, .path = folder.path);
		hand_turn(&driven);
		writer = raw_fifo_writer(folder.path);
		hand_completion(&driven);
		close(writer);
		xyl_abort(task);
		CHECK_EQ(hand_join(&driven, task), -ECANCELED);
		hand_drained(&driven);
	}
	CHECK_EQ(drive_stats(&driven).closed_late, 10);
	CHECK_EQ(adopted(&driven), 10);
	CHECK_EQ(test_fd_count(), fds);
	folder_remove(&folder);
	drive_end(&driven);
}
