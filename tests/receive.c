/* SPDX-License-Identifier: MIT */
/* Reading without a buffer of one's own: provided buffers, lent, returned, found again. */
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
	struct driven driven = drive_begin(NULL);
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
	struct driven driven = drive_begin(NULL);
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
