/* SPDX-License-Identifier: MIT */
/* Reading without a buffer of one's own: provided buffers, lent, returned, found again. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"
#include "tests/some.h"

/* ---- what comes, comes in order ---------------------------------------------------------- */

TEST(bytes_come_as_they_were_sent)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	for (int i = 0; i < 1000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "message %d", i);
		raw_send(peer, text);
		some_expect(&driven, io, text);
	}
	close(peer);
	CHECK_EQ(hand_join(&driven, SOME(&driven, .io = io)), 0);
	CHECK_EQ(hand_join(&driven, SOME(&driven, .io = io)), 0);
	HAND_CLOSE(&driven, io);
	drive_end(&driven);
}

/* Both kinds of reads, in turn, of one stream. */
TEST(reads_of_both_kinds_may_be_mixed)
{
	struct driven driven = hand_begin(NULL);
	char *buf = xyl_alloc_bytes(16);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	raw_send(peer, "some");
	some_expect(&driven, io, "some");
	raw_send(peer, "headbody and");
	hand_turns(&driven, 3); /* it lies in a provided buffer now */
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 4, .whole = true), 4);
	CHECK(memcmp(buf, "head", 4) == 0);
	CHECK_EQ(HAND_READ(&driven, .io = io, .buf = buf, .len = 5), 5);
	CHECK(memcmp(buf, "body ", 5) == 0);
	some_expect(&driven, io, "and");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

/* ---- what a whole read had gathered ------------------------------------------------------ */

enum leaving { ABORTED, BOUNDED };

/* Three bytes have come for it, and it waits for more behind an armed receive. */
static struct xyl_task *whole_read_begins(const struct driven *driven, struct xyl_io *io, int peer,
					  enum leaving how)
{
	struct xyl_task *whole;

	SOME_READ(driven, .io = io, .bound = 1);
	CHECK_EQ(drive_stats(driven).ops_outstanding, 1);
	whole = DRIVE_SPAWN(driven, hand_read, .io = io, .buf = xyl_alloc_bytes(8), .len = 8,
			    .whole = true, .bound = how == BOUNDED ? 20 * XYL_MS : 0);
	hand_turn(driven);
	raw_send(peer, "abc");
	hand_turns(driven, 2);
	CHECK(!xyl_is_done(whole));
	return whole;
}

static void whole_read_leaves(const struct driven *driven, struct xyl_task *whole, enum leaving how)
{
	if (how == ABORTED)
		xyl_abort(whole);
	CHECK_EQ(hand_join(driven, whole), how == ABORTED ? -ECANCELED : -ETIMEDOUT);
}

static void whole_read_is_cut(enum leaving how)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	for (int i = 0; i < 2; i++) {
		whole_read_leaves(&driven, whole_read_begins(&driven, io, peer, how), how);
		if (i == 0)
			some_expect(&driven, io, "abc");
		else
			read_expect(&driven, io, 8, "abc");
		CHECK_EQ(drive_stats(&driven).adopted_results, i + 1);
	}
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(what_a_whole_read_had_gathered_goes_to_the_next_reader)
{
	whole_read_is_cut(ABORTED);
	whole_read_is_cut(BOUNDED);
}

static void whole_read_is_cut_before_others(enum leaving how)
{
	struct driven driven = hand_begin(NULL);
	struct got *got = xyl_new(struct got);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	struct xyl_task *whole = whole_read_begins(&driven, io, peer, how), *plain, *taker;
	char *buf = xyl_alloc_bytes(2);

	plain = DRIVE_SPAWN(&driven, hand_read, .io = io, .buf = buf, .len = 2);
	taker = SOME(&driven, .io = io, .got = got);
	hand_turn(&driven);
	whole_read_leaves(&driven, whole, how);
	CHECK_EQ(hand_join(&driven, plain), 2);
	CHECK(!memcmp(buf, "ab", 2));
	hand_join(&driven, taker);
	GOT_TEXT(got, "c");
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

TEST(what_a_whole_read_had_gathered_goes_to_those_who_wait_already)
{
	whole_read_is_cut_before_others(ABORTED);
	whole_read_is_cut_before_others(BOUNDED);
}

/* Which may be more than a provided buffer holds. */
TEST(what_was_put_back_is_given_out_in_pieces)
{
	enum { LEN = 10000 };
	struct driven driven = hand_begin(NULL);
	char *sent = xyl_alloc_bytes(LEN);
	struct got *got = xyl_new(struct got);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);
	struct xyl_task *whole = DRIVE_SPAWN(&driven, hand_read, .io = io, .len = LEN + 1,
					     .buf = xyl_alloc_bytes(LEN + 1), .whole = true);

	for (size_t i = 0; i < LEN; i++)
		sent[i] = (char)test_random();
	CHECK_EQ(write(peer, sent, LEN), LEN);
	hand_turns(&driven, 3);
	xyl_abort(whole);
	CHECK_EQ(hand_join(&driven, whole), -ECANCELED);
	hand_drained(&driven);
	for (size_t n = 0; n < LEN; n += (size_t)got->n) {
		SOME_READ(&driven, .io = io, .got = got);
		CHECK(got->n > 0 && got->n <= 4096 && n + (size_t)got->n <= LEN);
		CHECK(!memcmp(got->bytes, sent + n, (size_t)got->n));
	}
	HAND_CLOSE(&driven, io);
	close(peer);
	drive_end(&driven);
}

/* ---- a kernel without this or that --------------------------------------------------------- */

static struct {
	int error;	   /* what registering a ring of buffers gives */
	bool empty;	   /* it takes one, and never finds a buffer in it */
	unsigned attempts; /* to register one */
} kernel;

typedef int register_buf_ring(struct io_uring *ring, struct io_uring_buf_reg *reg, unsigned flags);

/* This program's own. */
int io_uring_register_buf_ring(struct io_uring *ring, struct io_uring_buf_reg *reg, unsigned flags)
{
	struct io_uring_buf_reg other = *reg;
	register_buf_ring *real =
		(register_buf_ring *)(uintptr_t)dlsym(RTLD_NEXT, "io_uring_register_buf_ring");

	kernel.attempts++;
	if (kernel.error)
		return kernel.error;
	other.bgid += kernel.empty;
	return real(ring, &other, flags);
}

static void reads_in_both_ways(const struct driven *driven, struct xyl_io *io, int peer)
{
	struct xyl_task *first = SOME(driven, .io = io), *second = SOME(driven, .io = io);

	hand_turns(driven, 2);
	raw_send(peer, "first");
	CHECK_EQ(hand_join(driven, first), 5);
	raw_send(peer, "second");
	CHECK_EQ(hand_join(driven, second), 6);
	for (int i = 0; i < 10; i++) {
		raw_send(peer, "this and that");
		some_expect(driven, io, "this and that");
		raw_send(peer, "and so on");
		read_expect(driven, io, 4, "and ");
		some_expect(driven, io, "so on");
	}
	CHECK_EQ(SOME_READ(driven, .io = io, .bound = 1), -ETIMEDOUT);
	close(peer);
	CHECK_EQ(SOME_READ(driven, .io = io), 0);
	HAND_CLOSE(driven, io);
}

TEST(without_a_ring_of_buffers_each_reader_has_his_own)
{
	struct driven driven = hand_begin(NULL);
	int peer;

	kernel.attempts = 0;
	kernel.error = -EINVAL;
	for (int i = 0; i < 3; i++) {
		struct xyl_io *io = raw_socketpair(&peer);

		reads_in_both_ways(&driven, io, peer);
	}
	CHECK_EQ(kernel.attempts, 1); /* it is remembered */
	CHECK_EQ(drive_stats(&driven).buffers, 0);
	drive_end(&driven);
	kernel.error = 0;
}

TEST(a_kernel_that_finds_no_buffer_though_there_are_some_is_not_asked_for_ever)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	kernel.empty = true;
	reads_in_both_ways(&driven, io, peer);
	CHECK_EQ(drive_stats(&driven).buffers_lent, 0);
	drive_end(&driven);
	kernel.empty = false;
}

TEST(without_multishot_receives_each_reader_has_his_own_buffer)
{
	struct driven driven = hand_begin(NULL);
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	driven.rt->shard->multishot_refused = true;
	reads_in_both_ways(&driven, io, peer);
	CHECK_EQ(drive_stats(&driven).buffers, 0);
	drive_end(&driven);
}

TEST(a_pipe_and_a_file_are_read_into_buffers_of_the_readers)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	int peer, fd = open(folder.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct xyl_io *io = raw_pipe_reader(&peer);

	reads_in_both_ways(&driven, io, peer);
	CHECK_EQ(pwrite(fd, "in a file", 9, 0), 9);
	io = raw_handle(fd);
	some_expect(&driven, io, "in a file");
	CHECK_EQ(SOME_READ(&driven, .io = io), 0);
	HAND_CLOSE(&driven, io);
	CHECK_EQ(SOME_READ(&driven, .io = io), -EBADF);
	io = raw_handle(open(folder.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	CHECK_EQ(SOME_READ(&driven, .io = io), -EISDIR);
	HAND_CLOSE(&driven, io);
	CHECK_EQ(drive_stats(&driven).buffers, 0);
	folder_remove(&folder);
	drive_end(&driven);
}

/* ---- refusals ------------------------------------------------------------------------------- */

/* It is lent a provided buffer. */
static void expect_lent(const struct driven *driven, struct xyl_io *io, int peer, bool is_lent)
{
	struct got *got = xyl_new(struct got);

	raw_send(peer, "ready");
	SOME_READ(driven, .io = io, .got = got);
	GOT_TEXT(got, "ready");
	CHECK_EQ(drive_stats(driven).buffers_lent, is_lent);
	SOME_DONE(driven, got->bytes);
}

/* It is at fault itself: the other sockets go on as ever. */
static void odd_socket(const struct driven *driven, struct xyl_io *odd, ssize_t expected)
{
	int peer;
	struct xyl_io *io = raw_socketpair(&peer);

	for (int i = 0; i < 3; i++)
		CHECK_EQ(SOME_READ(driven, .io = odd), expected);
	expect_lent(driven, io, peer, true);
	HAND_CLOSE(driven, io);
	HAND_CLOSE(driven, odd);
	close(peer);
}

TEST(a_socket_that_is_not_connected_spoils_nothing_for_others)
{
	struct driven driven = hand_begin(NULL);
	struct folder folder = folder_make();
	struct xyl_io *io;

	odd_socket(&driven, raw_handle(socket(AF_UNIX, SOCK_STREAM, 0)), -EINVAL);
	odd_socket(&driven, raw_handle(socket(AF_INET, SOCK_STREAM, 0)), -ENOTCONN);
	CHECK_EQ(xyl_unix_listen(&io, folder.path), 0);
	odd_socket(&driven, io, -EINVAL);
	CHECK_EQ(xyl_tcp_listen(&io, "127.0.0.1", "0"), 0);
	odd_socket(&driven, io, -ENOTCONN);
	folder_remove(&folder);
	drive_end(&driven);
}
