/* SPDX-License-Identifier: MIT */
/*
 * xyl_dump_tasks: who waits for what, where, since when, and held by which root.
 */
#include <errno.h>
#include <stdio.h>

#include "gc/print.h"
#include "rt/latch.h"
#include "spawn/task.h"
#include "spawn/trace.h"

#define ANSWER_NS XYL_SEC

struct dump {
	int fd;
	int error;
	struct xyli_shard *shard;
};

static void dump_frame(struct dump *dump, struct xyl_frame *frame)
{
	struct xyli_place place = xyli_place_of(frame);

	if (!dump->error)
		dump->error = xyli_place_print(&place, dump->fd);
}

static const char *wait_name(const struct xyl_task *task)
{
	switch (task->wait.state) {
	case XYLI_RUNNING: return "runs";
	case XYLI_WAITING: return xyli_wait_name(&task->wait);
	default: return "is ready";
	}
}

/* " for 1.234 s" while it waits. */
static const char *wait_time(const struct xyl_task *task, char *text, size_t size)
{
	uint32_t ms = (uint32_t)(xyli_shard_clock(task->wait.shard) / XYL_MS) - task->wait.since_ms;

	if (task->wait.state != XYLI_WAITING)
		return "";
	snprintf(text, size, " for %.3f s", (double)ms / 1000);
	return text;
}

static void dump_task(uint32_t slot, void *obj, void *arg)
{
	struct xyl_task *task = obj;
	struct dump *dump = arg;
	char time[32];

	if (dump->error)
		return;
	dump->error = xyli_print(dump->fd, "task %u.%u %s: %s%s%s%s, held by task root %u\n",
				 dump->shard->number, slot, xyli_task_first_frame(task)->fn->name,
				 wait_name(task), wait_time(task, time, sizeof(time)),
				 task->wait.aborted ? ", aborted" : "",
				 task->shields ? ", shielded" : "", slot);
	for (struct xyl_frame *frame = task->leaf; frame; frame = frame->caller)
		dump_frame(dump, frame);
}

static int shard_dump(struct xyli_shard *shard, int fd)
{
	struct dump dump = { .fd = fd, .shard = shard };
	size_t count = xyli_table_visit(&shard->tasks, dump_task, &dump);

	return dump.error ? dump.error : (int)count;
}

/* ---- asking a shard that another thread runs ------------------------------------- */

struct question {
	struct xyli_post post; /* first */
	struct xyli_shard *shard;
	struct xyli_latch *answered;
	atomic_bool taken; /* by the shard that answers, or by the asker who gives up */
	int fd, answer;
};

static void question_answer(struct xyli_post *post)
{
	struct question *question = (struct question *)post;

	if (atomic_exchange(&question->taken, true))
		return; /* the asker has left; his descriptor may be somebody else's */
	question->answer = shard_dump(question->shard, question->fd);
	xyli_latch_open(question->answered);
}

static int shard_ask(struct xyli_shard *shard, int fd)
{
	struct question *question = xyl_new(struct question);

	if (!question)
		return -ENOMEM;
	question->answered = xyli_latch_new();
	if (!question->answered)
		return -ENOMEM;
	question->post.deliver = question_answer;
	question->shard = shard;
	question->fd = fd;
	xyli_inbox_post(&shard->inbox, &question->post);
	if (!xyli_latch_wait(question->answered, ANSWER_NS)) {
		if (!atomic_exchange(&question->taken, true))
			return -ETIMEDOUT;
		xyli_latch_wait(question->answered, -1); /* it is being written */
	}
	return question->answer;
}

struct dump_all {
	int fd, total, error;
};

static void dump_one(struct xyli_shard *shard, void *arg)
{
	struct dump_all *all = arg;
	int r;

	if (xyli_shard_is_ours(shard))
		r = shard_dump(shard, all->fd);
	else
		r = shard_ask(shard, all->fd);
	if (r < 0)
		all->error = r; /* the others are shown all the same */
	else
		all->total += r;
}

int xyl_dump_tasks(int fd)
{
	struct dump_all all = { .fd = fd };

	xyli_shards_visit(dump_one, &all);
	return all.error < 0 ? all.error : all.total;
}
