/* SPDX-License-Identifier: MIT */
/*
 * Channels.
 *
 * Design notes.  An element goes straight to a receiver who waits, past the slots; a sender
 * waits only while they are full.  So at most one of the two lines has somebody in it, and
 * a wake-up always carries its value: nobody is woken to try again, nobody is queued twice.
 *
 * A slot is cleared when its element has left, and the copy that a waiting sender brings
 * hangs off its frame: a channel keeps alive what is in it, and nothing else.
 *
 * The lock is held for copies of elements and for growing, never while anyone is woken.
 */
#include "sync/channel.h"

#include <errno.h>
#include <string.h>

#include "gc/check.h"
#include "rt/clock.h"

#define GROWS_FROM 16 /* slots of an unlimited channel */
#define KEPT 1024     /* of one that has been drained */

/* ---- elements ------------------------------------------------------------------- */

/* Somebody's who waits in the line of senders. */
static inline const void *elem_of(const struct xyl_chan *chan, struct xyli_wait *sender)
{
	ssize_t *word = xyli_wait_word(sender);

	return chan->elem_size <= sizeof(*word) ? word : (const void *)*word;
}

bool xyli_chan_keep(const struct xyl_chan *chan, const void *elem, ssize_t *ret_word)
{
	void *copy;

	if (chan->elem_size <= sizeof(*ret_word)) {
		xyli_elem_copy(chan->elem_size, ret_word, elem);
		return true;
	}
	copy = xyl_alloc(chan->elem_size);
	if (!copy)
		return false;
	xyli_elem_copy(chan->elem_size, copy, elem);
	*ret_word = (ssize_t)copy;
	return true;
}

/* ---- slots ---------------------------------------------------------------------- */

static void slots_set(struct xyl_chan *chan, char *slots, size_t room)
{
	chan->slots = slots;
	chan->end = slots ? slots + room * chan->elem_size : NULL;
	chan->room = room;
	xyli_stretch_begin(&chan->in, slots);
	xyli_stretch_begin(&chan->out, slots);
}

/* At least a byte: a slot without a size has an address, too. */
static int slots_new(struct xyl_chan *chan, size_t room)
{
	size_t bytes;
	char *slots = NULL;

	if (!__builtin_mul_overflow(room, chan->elem_size, &bytes) && bytes < PTRDIFF_MAX)
		slots = xyl_alloc(bytes ? bytes : 1);
	if (!slots)
		return -ENOMEM;
	slots_set(chan, slots, room);
	return 0;
}

/* They are full: from the head to their end, and from their start to the head.  The old
 * ones are cleared, lest a stale pointer to them keep what will have left the new ones. */
static int slots_grow(struct xyl_chan *chan)
{
	char *slots = chan->slots, *head = chan->out.at, *end = chan->end;
	size_t to_end = (size_t)(end - head), from_start = (size_t)(head - slots);
	int r = slots_new(chan, chan->room ? 2 * chan->room : GROWS_FROM);

	if (r < 0 || to_end + from_start == 0)
		return r;
	memcpy(chan->slots, head, to_end);
	memcpy(chan->slots + to_end, slots, from_start);
	memset(slots, 0, to_end + from_start);
	xyli_stretch_begin(&chan->in, chan->slots + to_end + from_start);
	return 0;
}

/* So many that, when all have left, they are to go as well. */
static bool slots_are_many(const struct xyl_chan *chan)
{
	return chan->room > KEPT && chan->capacity == XYL_UNLIMITED;
}

/* A crowd that has passed leaves no empty hall behind. */
static void slots_shrink(struct xyl_chan *chan)
{
	if (chan->len == 0 && slots_are_many(chan))
		slots_set(chan, NULL, 0);
}

static void slot_put(struct xyl_chan *chan, const void *elem)
{
	char *at = chan->in.at, *next = at + chan->elem_size;

	xyli_elem_copy(chan->elem_size, at, elem);
	xyli_stretch_begin(&chan->in, next == chan->end ? chan->slots : next);
	chan->len++;
}

static void slot_drop(struct xyl_chan *chan)
{
	char *at = chan->out.at, *next = at + chan->elem_size;

	xyli_elem_clear(chan->elem_size, at);
	xyli_stretch_begin(&chan->out, next == chan->end ? chan->slots : next);
	chan->len--;
}

/* How many words it was used for. */
static size_t stretch_end(struct xyli_stretch *stretch, const struct xyl_chan *chan)
{
	char *at = stretch->at;
	size_t words = (size_t)(at - stretch->since) / sizeof(uint64_t);

	xyli_stretch_begin(stretch, at == chan->end ? chan->slots : at);
	return words;
}

void xyli_chan_settle_slowly(struct xyl_chan *chan)
{
	size_t in = stretch_end(&chan->in, chan), out = stretch_end(&chan->out, chan);

	chan->sent += in;
	chan->len += in - out;
	chan->pace = XYLI_SETTLED;
}

/* Those in use lie in one piece, and those free in two, or the other way round.  Nobody waits
 * where this is called, unless for a select that has been served. */
void xyli_chan_open(struct xyl_chan *chan)
{
	char *in = chan->in.at, *out = chan->out.at;

	if (chan->pace != XYLI_SETTLED || chan->receivers.waits.first || chan->senders.waits.first)
		return;
	if (chan->len < chan->room)
		chan->in.until = in < out ? out : chan->end;
	if (chan->len > 0 && !slots_are_many(chan))
		chan->out.until = out < in ? in : chan->end;
	chan->pace = XYLI_QUICK;
}

/* A slot for one more. */
static int slot_make(struct xyl_chan *chan)
{
	if (chan->capacity == XYL_UNLIMITED)
		return slots_grow(chan);
	if (chan->capacity != XYL_CONFLATED)
		return -EAGAIN;
	slot_drop(chan);
	chan->replaced++;
	return 0;
}

/* ---- a new one ------------------------------------------------------------------ */

struct xyl_chan *xyl_chan_new(size_t elem_size, ptrdiff_t capacity)
{
	struct xyl_chan *chan;
	size_t room = capacity > 0 ? (size_t)capacity : capacity == XYL_CONFLATED;

	if (capacity < XYL_UNLIMITED)
		return NULL;
	chan = xyl_new(struct xyl_chan);
	if (!chan)
		return NULL;
	xyli_lock_init(&chan->lock);
	chan->receivers.lock = chan->senders.lock = &chan->lock;
	chan->elem_size = elem_size;
	chan->capacity = capacity;
	if (room && slots_new(chan, room) < 0)
		return NULL;
	return chan;
}

/* ---- what happens, under the lock ------------------------------------------------ */

static inline int64_t time_now(void)
{
	struct xyli_shard *shard = xyli_here;

	return __builtin_expect(shard != NULL, 1) ? shard->now : xyli_clock();
}

static void count_sent(struct xyl_chan *chan)
{
	int64_t now = time_now();

	if (chan->sent == 0) {
		chan->stats.first_ns = now;
		if (chan->elem_size == sizeof(uint64_t))
			chan->pace = XYLI_SETTLED;
	}
	xyli_chan_count_sent(chan, now);
}

void xyli_chan_count_failure(struct xyl_chan *chan, int error)
{
	switch (error) {
	case -EAGAIN: chan->stats.would_block++; break;
	case -ETIMEDOUT: chan->stats.timed_out++; break;
	case -ECANCELED: chan->stats.canceled++; break;
	case -EPIPE: chan->stats.closed++; break;
	default: break;
	}
}

int xyli_chan_offer(struct xyl_chan *chan, const void *elem, struct xyli_wait **ret_met)
{
	struct xyli_wait *receiver;
	int r;

	if (xyli_chan_put_quickly(chan, elem)) {
		chan->stats.last_ns = time_now();
		return 0;
	}
	xyli_chan_settle(chan);
	if (chan->closed)
		return -EPIPE;
	receiver = xyli_line_take(&chan->receivers);
	if (receiver) {
		xyli_chan_hand(receiver, chan->elem_size, elem);
		*ret_met = receiver;
	} else {
		r = chan->len == chan->room ? slot_make(chan) : 0;
		if (r < 0)
			return r;
		slot_put(chan, elem);
	}
	count_sent(chan);
	if (!receiver)
		xyli_chan_open(chan); /* where one has waited, one will wait again */
	return 0;
}

/* The first who waits to send may, now. */
static struct xyli_wait *sender_take(struct xyl_chan *chan)
{
	struct xyli_wait *sender = xyli_line_take(&chan->senders);

	if (sender)
		count_sent(chan);
	return sender;
}

int xyli_chan_fetch(struct xyl_chan *chan, void *ret_elem, struct xyli_wait **ret_met)
{
	const void *elem;
	struct xyli_wait *sender;

	if (ret_elem && xyli_chan_take_quickly(chan, ret_elem)) {
		chan->stats.last_ns = time_now();
		return 0;
	}
	xyli_chan_settle(chan);
	elem = chan->out.at;
	sender = sender_take(chan);
	if (chan->len == 0) {
		if (!sender)
			return chan->closed ? -EPIPE : -EAGAIN;
		elem = elem_of(chan, sender);
	}
	if (ret_elem)
		xyli_elem_copy(chan->elem_size, ret_elem, elem);
	if (chan->len > 0) {
		slot_drop(chan);
		if (sender)
			slot_put(chan, elem_of(chan, sender));
		else
			slots_shrink(chan);
	}
	chan->stats.last_ns = time_now();
	if (!sender)
		xyli_chan_open(chan);
	*ret_met = sender;
	return 0;
}

/* ---- without waiting -------------------------------------------------------------- */

static int chan_try_end(struct xyl_chan *chan, int r, struct xyli_wait *met)
{
	if (r < 0)
		xyli_chan_count_failure(chan, r);
	xyli_unlock(&chan->lock);
	if (met)
		xyli_give(met, 0);
	return r;
}

int xyl_try_send(struct xyl_chan *chan, const void *elem)
{
	struct xyli_wait *met = NULL;
	int r;

	if (!chan)
		return -EINVAL;
	xyli_lock(&chan->lock);
	r = xyli_chan_offer(chan, elem, &met);
	return chan_try_end(chan, r, met);
}

int xyl_try_recv(struct xyl_chan *chan, void *ret_elem)
{
	struct xyli_wait *met = NULL;
	int r;

	if (!chan)
		return -EINVAL;
	xyli_lock(&chan->lock);
	r = xyli_chan_fetch(chan, ret_elem, &met);
	return chan_try_end(chan, r, met);
}

static void count_closed(struct xyl_chan *chan, const struct xyli_wait *taken)
{
	for (; taken; taken = taken->next)
		xyli_chan_count_failure(chan, -EPIPE);
}

void xyl_chan_close(struct xyl_chan *chan)
{
	struct xyli_wait *receivers, *senders;

	xyli_lock(&chan->lock);
	xyli_chan_settle(chan);
	chan->closed = true;
	chan->pace = XYLI_SLOW;
	receivers = xyli_line_take_all(&chan->receivers);
	senders = xyli_line_take_all(&chan->senders);
	count_closed(chan, receivers);
	count_closed(chan, senders);
	xyli_unlock(&chan->lock);
	xyli_line_give_all(receivers, -EPIPE);
	xyli_line_give_all(senders, -EPIPE);
}

/* ---- looking at it --------------------------------------------------------------- */

/* The lock and how it keeps count are no part of what a const channel promises. */
static void chan_copy(const struct xyl_chan *const_chan, struct xyl_chan *ret_chan)
{
	struct xyl_chan *chan = (struct xyl_chan *)(uintptr_t)const_chan;

	xyli_lock(&chan->lock);
	xyli_chan_settle(chan);
	ret_chan->closed = chan->closed;
	ret_chan->len = chan->len;
	ret_chan->stats = chan->stats;
	ret_chan->stats.sent = chan->sent;
	ret_chan->stats.received = chan->sent - chan->len - chan->replaced;
	xyli_unlock(&chan->lock);
}

bool xyl_chan_is_closed(const struct xyl_chan *chan)
{
	struct xyl_chan copy;

	chan_copy(chan, &copy);
	return copy.closed;
}

size_t xyl_chan_len(const struct xyl_chan *chan)
{
	struct xyl_chan copy;

	chan_copy(chan, &copy);
	return copy.len;
}

void xyl_chan_stats(const struct xyl_chan *chan, struct xyl_chan_stats *ret_stats)
{
	struct xyl_chan copy;

	chan_copy(chan, &copy);
	*ret_stats = copy.stats;
	ret_stats->bytes = copy.stats.received * chan->elem_size;
}
