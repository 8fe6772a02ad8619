/* SPDX-License-Identifier: MIT */
/* Numbered bytes, and what they are when they are wrong. */
#include <inttypes.h>
#include <string.h>

#include "miri-equivalent/hunt/hunt.h"

enum { WORD = sizeof(uint64_t), SEARCHED = 1 << 16 };

static uint64_t hash(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t word_of(uint64_t stream, uint64_t at)
{
	return hash(hash(stream + 1) + at / WORD);
}

static unsigned char byte_of(uint64_t stream, uint64_t at)
{
	return (unsigned char)(word_of(stream, at) >> at % WORD * 8);
}

void numbers_fill(unsigned char *buf, uint64_t stream, uint64_t at, size_t len)
{
	uint64_t end = at + len, word;

	for (; at < end && at % WORD; at++)
		*buf++ = byte_of(stream, at);
	for (; at + WORD <= end; at += WORD, buf += WORD) {
		word = word_of(stream, at);
		memcpy(buf, &word, WORD);
	}
	for (; at < end; at++)
		*buf++ = byte_of(stream, at);
}

size_t numbers_match(const unsigned char *buf, uint64_t stream, uint64_t at, size_t len)
{
	size_t n = 0;
	uint64_t word;

	while (n < len) {
		word = word_of(stream, at + n);
		if ((at + n) % WORD == 0 && n + WORD <= len && !memcmp(buf + n, &word, WORD))
			n += WORD;
		else if (buf[n] == byte_of(stream, at + n))
			n++;
		else
			break;
	}
	return n;
}

/* Which bytes are these, if they are some of this stream? */
static int64_t numbers_find(const unsigned char *buf, uint64_t stream, uint64_t at, size_t len)
{
	uint64_t from = at > SEARCHED ? at - SEARCHED : 0;

	if (len < WORD)
		return -1;
	for (uint64_t i = from; i < at + SEARCHED; i++)
		if (numbers_match(buf, stream, i, len < 2 * WORD ? len : 2 * WORD) >= WORD)
			return (int64_t)i;
	return -1;
}

void numbers_check(const unsigned char *buf, uint64_t stream, uint64_t at, size_t len)
{
	size_t n = numbers_match(buf, stream, at, len);
	int64_t found;

	if (n == len)
		return;
	found = numbers_find(buf + n, stream, at + n, len - n);
	if (found >= 0)
		hunt_failed("stream %" PRIu64 ": byte %" PRIu64 " came where %" PRIu64
			    " should have",
			    stream, (uint64_t)found, at + n);
	hunt_failed("stream %" PRIu64 ": what came where byte %" PRIu64
		    " should have is none of it: %02x %02x..., %zu more",
		    stream, at + n, buf[n], n + 1 < len ? buf[n + 1] : 0, len - n - 1);
}

bool bytes_are(const unsigned char *bytes, size_t len, unsigned char value)
{
	return len == 0 || (bytes[0] == value && !memcmp(bytes, bytes + 1, len - 1));
}
