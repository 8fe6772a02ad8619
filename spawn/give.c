/* SPDX-License-Identifier: MIT */
#include "spawn/give.h"

static void wait_end(struct xyli_wait *wait, ssize_t result)
{
	if (wait->kind->arrive)
		wait->kind->arrive(wait, result);
	else
		xyli_wake(wait, result);
}

void xyli_wait_arrives(struct xyli_post *post)
{
	struct xyli_wait *wait = (struct xyli_wait *)post;

	wait_end(wait, *xyli_wait_word(wait));
}

_Static_assert(offsetof(struct xyli_wait, post) == 0, "a post is cast to its wait");

void xyli_give_slowly(struct xyli_wait *wait, ssize_t result)
{
	if (!wait->shard || wait->shard == xyli_here) {
		wait_end(wait, result);
		return;
	}
	*xyli_wait_word(wait) = result;
	xyli_inbox_post(&wait->shard->inbox, &wait->post);
}
