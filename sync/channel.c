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

#define GROWS_FROM 16	  /* slots of an unlimited channel */
#define KEEPS_EMPTY 1024u /* those it keeps when it has been drained */

/* ---- elements ------------------------------------------------------------------- */

/* Most are a pointer or a number: a call of memcpy costs more than the rest of a send. */
static inline void elem_copy(const struct xyl_chan *chan, void *to, const void *from)
{
	if (__builtin_expect(chan->elem_size == sizeof(uint64_t), 1))
		memcpy(to, from, sizeof(uint64_t));
	else if (chan->elem_size)
		memcpy(to, from, chan->elem_size);
}

static inline void elem_clear(const struct xyl_chan *chan, void *slot)
{
	if (__builtin_expect(chan->elem_size == sizeof(uint64_t), 1))
		memset(slot, 0, sizeof(uint64_t));
	else if (chan->elem_size)
		memset(slot, 0, chan->elem_size);
}

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
		elem_copy(chan, ret_word, elem);
		return true;
	}
	copy = xyl_alloc(chan->elem_size);
	if (!copy)
		return false;
	elem_copy(chan, copy, elem);
	*ret_word = (ssize_t)copy;
	return true;
}

/* ---- slots ---------------------------------------------------------------------- */

static inline void slot_put(struct xyl_chan *chan, const void *elem)
{
	elem_copy(chan, chan->tail, elem);
	chan->tail += chan->elem_size;
	if (chan->tail == chan->end)
		chan->tail = chan->slots;
	chan->len++;
}

static inline void slot_drop(struct xyl_chan *chan)
{
	elem_clear(chan, chan->head);
	chan->head += chan->elem_size;
	if (chan->head == chan->end)
		chan->head = chan->slots;
	chan->len--;
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
	chan->slots = chan->head = chan->tail = slots;
	chan->end = slots + bytes;
	chan->room = room;
	return 0;
}

/* They are full: from the head to their end, and from their start to the head.  The old
 * ones are cleared, lest a stale pointer to them keep what will have left the new ones. */
static int slots_grow(struct xyl_chan *chan)
{
	char *slots = chan->slots, *head = chan->head, *end = chan->end;
	size_t to_end = (size_t)(end - head), from_start = (size_t)(head - slots);
	int r = slots_new(chan, chan->room ? 2 * chan->room : GROWS_FROM);

	if (r < 0 || to_end + from_start == 0)
		return r;
	memcpy(chan->slots, head, to_end);
	memcpy(chan->slots + to_end, slots, from_start);
	memset(slots, 0, to_end + from_start);
	chan->tail = chan->slots + to_end + from_start;
	return 0;
}

/* A crowd that has passed leaves no empty hall behind. */
static inline void slots_shrink(struct xyl_chan *chan)
{
	if (chan->len > 0 || chan->room <= KEEPS_EMPTY || chan->capacity != XYL_UNLIMITED)
		return;
	chan->slots = chan->head = chan->tail = chan->end = NULL;
	chan->room = 0;
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

static inline void count_sent(struct xyl_chan *chan, int64_t now)
{
	chan->stats.last_ns = now;
	if (__builtin_expect(chan->sent++ == 0, 0))
		chan->stats.first_ns = now;
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
	void *place;
	int r;

	if (chan->closed)
		return -EPIPE;
	receiver = xyli_line_take(&chan->receivers);
	if (receiver) {
		place = (void *)*xyli_wait_word(receiver);
		if (place)
			elem_copy(chan, place, elem);
		*ret_met = receiver;
	} else {
		r = chan->len == chan->room ? slot_make(chan) : 0;
		if (r < 0)
			return r;
		slot_put(chan, elem);
	}
	count_sent(chan, time_now());
	return 0;
}

/* The first who waits to send may, now. */
static struct xyli_wait *sender_take(struct xyl_chan *chan)
{
	struct xyli_wait *sender = xyli_line_take(&chan->senders);

	if (sender)
		count_sent(chan, time_now());
	return sender;
}

int xyli_chan_fetch(struct xyl_chan *chan, void *ret_elem, struct xyli_wait **ret_met)
{
	const void *elem = chan->head;
	struct xyli_wait *sender;

	sender = sender_take(chan);
	if (chan->len == 0) {
		if (!sender)
			return chan->closed ? -EPIPE : -EAGAIN;
		elem = elem_of(chan, sender);
	}
	if (ret_elem)
		elem_copy(chan, ret_elem, elem);
	if (chan->len > 0) {
		slot_drop(chan);
		if (sender)
			slot_put(chan, elem_of(chan, sender));
		else
			slots_shrink(chan);
	}
	chan->stats.last_ns = time_now();
	*ret_met = sender;
	return 0;
}

/* ---- what happens most, on the shard that owns the channel -------------------------- */

/* There is room, and nobody waits for the element. */
static inline bool offer_quickly(struct xyl_chan *chan, const void *elem, int64_t now)
{
	if (chan->closed || chan->len == chan->room || chan->receivers.waits.first ||
	    chan->elem_size != sizeof(uint64_t))
		return false;
	slot_put(chan, elem);
	count_sent(chan, now);
	return true;
}

/* There is one, and nobody waits for its slot. */
static inline bool fetch_quickly(struct xyl_chan *chan, void *ret_elem, int64_t now)
{
	if (chan->len == 0 || chan->senders.waits.first || !ret_elem ||
	    chan->elem_size != sizeof(uint64_t))
		return false;
	elem_copy(chan, ret_elem, chan->head);
	slot_drop(chan);
	slots_shrink(chan);
	chan->stats.last_ns = now;
	return true;
}

/* ---- waiting -------------------------------------------------------------------- */

static struct xyl_chan *chan_of_senders(struct xyli_line *line)
{
	return (struct xyl_chan *)((char *)line - offsetof(struct xyl_chan, senders));
}

static struct xyl_chan *chan_of_receivers(struct xyli_line *line)
{
	return (struct xyl_chan *)((char *)line - offsetof(struct xyl_chan, receivers));
}

static void count_failure(struct xyl_chan *chan, int error)
{
	xyli_lock(&chan->lock);
	xyli_chan_count_failure(chan, error);
	xyli_unlock(&chan->lock);
}

static void chan_wait_cancel(struct xyli_wait *wait, struct xyl_chan *chan,
			     enum xyli_cancel_why why)
{
	if (!xyli_line_leave(wait))
		return;
	count_failure(chan, why == XYLI_BOUNDED ? -ETIMEDOUT : -ECANCELED);
	*xyli_wait_word(wait) = 0; /* the frame keeps no element */
	xyli_wake(wait, -ECANCELED);
}

static void send_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	chan_wait_cancel(wait, chan_of_senders(wait->on), why);
}

static void recv_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	chan_wait_cancel(wait, chan_of_receivers(wait->on), why);
}

static const struct xyli_wait_kind send_wait = { .name = "send",
						 .cancel = send_cancel,
						 .move = xyli_line_move };
static const struct xyli_wait_kind recv_wait = { .name = "receive",
						 .cancel = recv_cancel,
						 .move = xyli_line_move };

/* With the lock held; it is free afterwards. */
static __attribute__((noinline)) xyl_pending chan_fail(struct xyl_chan *chan, struct xyl_task *task,
						       int error)
{
	xyli_chan_count_failure(chan, error);
	xyli_unlock(&chan->lock);
	return xyli_done(task, error);
}

static __attribute__((noinline)) xyl_pending chan_canceled(struct xyl_chan *chan,
							   struct xyl_task *task)
{
	bool aborted = task->wait.aborted && !task->shields;

	count_failure(chan, aborted ? -ECANCELED : -ETIMEDOUT);
	return xyli_done(task, -ECANCELED);
}

static __attribute__((noinline)) xyl_pending send_slowly(struct xyl_chan *chan,
							 struct xyl_task *task, const void *elem)
{
	struct xyli_wait *met = NULL;
	int r;

	if (!chan)
		return xyli_done(task, -EINVAL); /* there was no memory for it, most likely */
	if (xyli_task_is_canceled(task))
		return chan_canceled(chan, task);
	xyli_lock(&chan->lock);
	r = xyli_chan_offer(chan, elem, &met);
	if (r == -EAGAIN && xyli_chan_keep(chan, elem, &task->leaf->result))
		return xyli_line_wait(&chan->senders, task, &send_wait);
	if (r < 0)
		return chan_fail(chan, task, r == -EAGAIN ? -ENOMEM : r);
	xyli_unlock(&chan->lock);
	if (met)
		xyli_give(met, 0);
	return xyli_done(task, 0);
}

xyl_pending xyl_send(struct xyl_chan *chan, const void *elem)
{
	struct xyl_task *task = xyli_task_calling("xyl_send");
	bool sent;

	if (chan && !xyli_task_is_bothered(task) && xyli_lock_owned(&chan->lock)) {
		sent = offer_quickly(chan, elem, task->wait.shard->now);
		xyli_unlock_owned(&chan->lock);
		if (sent)
			return xyli_done(task, 0);
	}
	return send_slowly(chan, task, elem);
}

static __attribute__((noinline)) xyl_pending recv_slowly(struct xyl_chan *chan,
							 struct xyl_task *task, void *ret_elem)
{
	struct xyli_wait *met = NULL;
	int r;

	if (!chan)
		return xyli_done(task, -EINVAL); /* there was no memory for it, most likely */
	if (xyli_task_is_canceled(task))
		return chan_canceled(chan, task);
	xyli_lock(&chan->lock);
	r = xyli_chan_fetch(chan, ret_elem, &met);
	if (r == -EAGAIN) {
		task->leaf->result = (ssize_t)ret_elem;
		return xyli_line_wait(&chan->receivers, task, &recv_wait);
	}
	if (r < 0)
		return chan_fail(chan, task, r);
	xyli_unlock(&chan->lock);
	if (met)
		xyli_give(met, 0);
	return xyli_done(task, 0);
}

xyl_pending xyl_recv(struct xyl_chan *chan, void *ret_elem)
{
	struct xyl_task *task = xyli_task_calling("xyl_recv");
	bool received;

	if (chan && !xyli_task_is_bothered(task) && xyli_lock_owned(&chan->lock)) {
		received = fetch_quickly(chan, ret_elem, task->wait.shard->now);
		xyli_unlock_owned(&chan->lock);
		if (received)
			return xyli_done(task, 0);
	}
	return recv_slowly(chan, task, ret_elem);
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
	chan->closed = true;
	receivers = xyli_line_take_all(&chan->receivers);
	senders = xyli_line_take_all(&chan->senders);
	count_closed(chan, receivers);
	count_closed(chan, senders);
	xyli_unlock(&chan->lock);
	xyli_line_give_all(receivers, -EPIPE);
	xyli_line_give_all(senders, -EPIPE);
}

/* ---- looking at it --------------------------------------------------------------- */

/* The lock is no part of what a const channel promises. */
static void chan_copy(const struct xyl_chan *chan, struct xyl_chan *ret_chan)
{
	struct xyli_lock *lock = ((struct xyl_chan *)(uintptr_t)chan)->receivers.lock;

	xyli_lock(lock);
	ret_chan->closed = chan->closed;
	ret_chan->len = chan->len;
	ret_chan->stats = chan->stats;
	ret_chan->stats.sent = chan->sent;
	ret_chan->stats.received = chan->sent - chan->len - chan->replaced;
	xyli_unlock(lock);
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
