/* SPDX-License-Identifier: MIT */
/*
 * The inbox.
 *
 * Design notes.  Posts are pushed with one compare-and-swap and taken all at once, so
 * nothing is ever popped from the shared list and the ABA problem does not arise; the
 * taken list is newest first and is turned round before delivery.
 *
 * Sleeping is a Dekker handshake: the shard writes `asleep` and then looks at the
 * list; a poster writes the list and then looks at `asleep`.  Both pairs are
 * sequentially consistent, so one of the two sees the other.
 *
 * A thread that the collector does not stop, because it is parked or not attached, and that
 * links a post while it marks, can hide from it the posts behind: the post may be marked
 * already, and the list's head not yet; and nothing else may name those behind (a task that
 * is still to arrive).  So one that is not attached holds marking off.  A signal handler
 * runs in any thread at any time and can wait for nothing: it knocks, which is a flag and no
 * post.
 */
#include "rt/inbox.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gc/world.h"
#include "rt/shard.h"

int xyli_inbox_init(struct xyli_inbox *inbox)
{
	*inbox = (struct xyli_inbox){ .bell_fd = eventfd(0, EFD_CLOEXEC), .worn_fd = -1 };
	return inbox->bell_fd < 0 ? -errno : 0;
}

/* Whoever comes now does not ring; whoever is about to, does it first. */
static void bell_still(struct xyli_inbox *inbox)
{
	atomic_store(&inbox->asleep, false);
	while (atomic_load(&inbox->ringers))
		sched_yield();
}

void xyli_inbox_done(struct xyli_inbox *inbox)
{
	bell_still(inbox);
	if (inbox->bell_fd >= 0)
		close(inbox->bell_fd);
	if (inbox->worn_fd >= 0)
		close(inbox->worn_fd);
	inbox->bell_fd = inbox->worn_fd = -1;
}

static void bell_ring(struct xyli_inbox *inbox)
{
	uint64_t one = 1;
	ssize_t n;

	atomic_fetch_add_explicit(&inbox->rung, 1, memory_order_relaxed);
	do
		n = write(inbox->bell_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

/* The shard may wake for another reason, end, and close the bell meanwhile: it waits
 * for those who are counted here. */
static void bell_ring_once(struct xyli_inbox *inbox)
{
	atomic_fetch_add(&inbox->ringers, 1);
	if (atomic_exchange(&inbox->asleep, false))
		bell_ring(inbox);
	atomic_fetch_sub(&inbox->ringers, 1);
}

static void post_put(struct xyli_inbox *inbox, struct xyli_post *post)
{
	struct xyli_post *newest = atomic_load_explicit(&inbox->newest, memory_order_relaxed);

	do
		post->next = newest;
	while (!atomic_compare_exchange_weak(&inbox->newest, &newest, post));
	if (atomic_load(&inbox->asleep))
		bell_ring_once(inbox);
}

struct stranger {
	struct xyli_inbox *inbox;
	struct xyli_post *post;
};

/* The bell, too: once the post is in, nothing that such a thread has keeps the inbox. */
static void *stranger_posts(void *arg)
{
	const struct stranger *stranger = arg;

	post_put(stranger->inbox, stranger->post);
	return NULL;
}

void xyli_inbox_post(struct xyli_inbox *inbox, struct xyli_post *post)
{
	int saved_errno = errno;

	if (__builtin_expect(xyli_here || xyli_world_attached(), 1))
		post_put(inbox, post);
	else
		xyli_world_hold(stranger_posts, &(struct stranger){ inbox, post });
	errno = saved_errno;
}

void xyli_inbox_knock(struct xyli_inbox *inbox)
{
	int saved_errno = errno;

	atomic_store(&inbox->knocked, true);
	if (atomic_load(&inbox->asleep))
		bell_ring_once(inbox);
	errno = saved_errno;
}

static struct xyli_post *oldest_first(struct xyli_post *newest)
{
	struct xyli_post *oldest = NULL;

	while (newest) {
		struct xyli_post *older = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = older;
	}
	return oldest;
}

/* All there is, oldest first. */
static struct xyli_post *posts_take(struct xyli_inbox *inbox)
{
	struct xyli_post *first = inbox->kept, **end = &first;

	inbox->kept = NULL;
	while (*end)
		end = &(*end)->next;
	*end = oldest_first(atomic_exchange_explicit(&inbox->newest, NULL, memory_order_acquire));
	return first;
}

/* The link to it, among those that were kept. */
static struct xyli_post **post_find(struct xyli_inbox *inbox, const struct xyli_post *post)
{
	struct xyli_post **link = &inbox->kept;

	while (*link && *link != post)
		link = &(*link)->next;
	return *link ? link : NULL;
}

/* Recalled in the order in which they came, as when a crowd leaves, each is found at once. */
void xyli_inbox_recall(struct xyli_inbox *inbox, struct xyli_post *post)
{
	struct xyli_post **link;

	while (!(link = post_find(inbox, post))) {
		if (!atomic_load_explicit(&inbox->newest, memory_order_relaxed))
			sched_yield(); /* its sender has said so, and has not come to post it */
		inbox->kept = posts_take(inbox);
	}
	*link = post->next;
	post->next = NULL;
}

/* One by one: what a delivery recalls is among those that were kept. */
void xyli_inbox_deliver(struct xyli_inbox *inbox)
{
	struct xyli_post *post;

	inbox->kept = posts_take(inbox);
	while ((post = inbox->kept) != NULL) {
		inbox->kept = post->next;
		post->next = NULL; /* a finished task must not keep the next one alive */
		post->deliver(post);
	}
	if (atomic_load_explicit(&inbox->knocked, memory_order_relaxed) &&
	    atomic_exchange(&inbox->knocked, false))
		inbox->answer(inbox);
}

bool xyli_inbox_sleep(struct xyli_inbox *inbox)
{
	atomic_store(&inbox->asleep, true);
	if (atomic_load(&inbox->newest) == NULL && !inbox->kept && !atomic_load(&inbox->knocked))
		return true;
	atomic_store(&inbox->asleep, false);
	return false;
}

void xyli_inbox_wake(struct xyli_inbox *inbox)
{
	atomic_store_explicit(&inbox->asleep, false, memory_order_relaxed);
}

/* The old one stays open, for its number may be about to be looked up by a kernel's thread.
 * No descriptor to be had: then it has to do. */
void xyli_inbox_renew(struct xyli_inbox *inbox)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		return;
	bell_still(inbox);
	inbox->worn_fd = inbox->bell_fd;
	inbox->bell_fd = fd;
}

void xyli_inbox_hush(struct xyli_inbox *inbox)
{
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };
	ssize_t n = preadv2(inbox->bell_fd, &iov, 1, -1, RWF_NOWAIT);

	(void)n; /* it was silent already: just as well */
}
