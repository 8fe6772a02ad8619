/* SPDX-License-Identifier: MIT */
#include "sync/line.h"

#include <errno.h>

xyl_pending xyli_line_wait(struct xyli_line *line, struct xyl_task *task,
			   const struct xyli_wait_kind *kind)
{
	xyli_wait_begin(&task->wait, kind, line);
	xyli_waits_append(&line->waits, &task->wait);
	xyli_unlock(line->lock);
	return (xyl_pending){ 1 };
}

struct xyli_wait *xyli_line_take(struct xyli_line *line)
{
	struct xyli_wait *wait;

	while ((wait = line->waits.first) != NULL)
		if (xyli_wait_claim(&line->waits, wait))
			return wait;
	return NULL;
}

struct xyli_wait *xyli_line_take_all(struct xyli_line *line)
{
	struct xyli_wait *first = xyli_line_take(line), *last = first;

	while (last) {
		last->next = xyli_line_take(line);
		last = last->next;
	}
	return first;
}

void xyli_line_give_all(struct xyli_wait *taken, ssize_t result)
{
	while (taken) {
		struct xyli_wait *next = taken->next;

		taken->next = NULL;
		xyli_give(taken, result);
		taken = next;
	}
}

bool xyli_line_drop(struct xyli_wait *wait)
{
	struct xyli_line *line = wait->on;
	bool listed = xyli_wait_is_listed(wait);

	if (listed)
		xyli_waits_remove(&line->waits, wait);
	return listed;
}

bool xyli_line_leave(struct xyli_wait *wait)
{
	struct xyli_line *line = wait->on;
	bool left;

	xyli_lock(line->lock);
	left = xyli_line_drop(wait);
	xyli_unlock(line->lock);
	return left;
}

void xyli_line_cancel(struct xyli_wait *wait, enum xyli_cancel_why why)
{
	(void)why;
	if (xyli_line_leave(wait))
		xyli_wake(wait, -ECANCELED);
}

void xyli_line_hasten(struct xyli_wait *wait)
{
	xyli_inbox_recall(&wait->shard->inbox, &wait->post);
	xyli_wait_arrives(&wait->post);
}

/* Its result is on its way to this shard, and is the other's now. */
static void line_redirect(struct xyli_wait *from, struct xyli_wait *to)
{
	xyli_inbox_recall(&from->shard->inbox, &from->post);
	from->post.deliver = NULL;
	xyli_wake(to, *xyli_wait_word(from));
}

/* The word of a claimed one belongs to whoever claimed it, until its result has come. */
void xyli_line_move(struct xyli_wait *from, struct xyli_wait *to)
{
	struct xyli_line *line = from->on;
	bool listed;

	xyli_lock(line->lock);
	listed = xyli_wait_is_listed(from);
	if (listed) {
		*xyli_wait_word(to) = *xyli_wait_word(from);
		*xyli_wait_word(from) = 0; /* that frame goes on, and keeps no element */
		xyli_waits_replace(&line->waits, from, to);
	}
	xyli_unlock(line->lock);
	if (!listed)
		line_redirect(from, to);
}
