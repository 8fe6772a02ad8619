/* SPDX-License-Identifier: MIT */
/*
 * monitor.c - a known load, watched while it runs.
 *
 *	monitor [--json] [SECONDS]	a live view, or lines of JSON; until Ctrl-C without SECONDS
 *
 * A producer puts a job on a channel each millisecond, as near as it can; four workers take
 * them.  Watched are the runtime, the heap, the channel and two variables of our own.  So
 * the view should say: jobs.sent 1000 /s, done 1000 /s, spawned 1000 /s.
 *
 *	monitor --json 5 | jq -r 'select(.name == "done") | .per_second.value'
 *
 * The lesson: a monitor is one more task.  It is aborted like any other, and what it had not
 * told yet is in its last lines: so the differences add up to what this prints at the end.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xylem/xylem.h>

enum { WORKERS = 4, ROOM = 64 };

static uint64_t jobs_done, workers_busy;

/* ---- the load -------------------------------------------------------------------------- */

struct job {
	struct xyl_frame frame;
	char *text;
	ssize_t n;
};

static xyl_step job(void *frame)
{
	struct job *self = frame;

	XYL_BEGIN(self)
	self->text = xyl_alloc_bytes(1024); /* something for the collector */
	XYL_AWAIT(self->n, xyl_sleep(2 * XYL_MS));
	XYL_END(self->n);
}

struct worker {
	struct xyl_frame frame;
	struct xyl_chan *jobs;
	uint64_t number;
	struct xyl_task *task;
	ssize_t n;
};

static xyl_step worker(void *frame)
{
	struct worker *self = frame;

	XYL_BEGIN(self)
	for (;;) {
		XYL_AWAIT(self->n, xyl_recv(self->jobs, &self->number));
		if (self->n < 0)
			break;
		workers_busy++;
		self->task = xyl_spawn(job);
		XYL_AWAIT(self->n, xyl_join(self->task));
		workers_busy--;
		if (self->n < 0)
			break;
		jobs_done++;
	}
	XYL_END(0);
}

struct producer {
	struct xyl_frame frame;
	struct xyl_chan *jobs;
	uint64_t number;
	int64_t next;
	ssize_t n;
};

static xyl_step producer(void *frame)
{
	struct producer *self = frame;

	XYL_BEGIN(self)
	self->next = xyl_now();
	for (;; self->number++) {
		self->next += XYL_MS;
		XYL_AWAIT(self->n, xyl_sleep_until(self->next));
		if (self->n < 0)
			break;
		XYL_AWAIT(self->n, xyl_send(self->jobs, &self->number));
		if (self->n < 0)
			break;
	}
	XYL_END(0);
}

/* ---- the first task -------------------------------------------------------------------- */

/* NULL: no memory. */
static struct xyl_metrics *metrics_make(struct xyl_chan *jobs)
{
	struct xyl_metrics *metrics = xyl_metrics_new();

	if (!metrics || xyl_metrics_add(metrics, "done", XYL_COUNT, &jobs_done) < 0 ||
	    xyl_metrics_add(metrics, "busy", XYL_LEVEL, &workers_busy) < 0 ||
	    xyl_metrics_add_chan(metrics, "jobs", jobs) < 0 ||
	    xyl_metrics_add_runtime(metrics, "runtime", xyl_runtime_self()) < 0 ||
	    xyl_metrics_add_heap(metrics, "heap") < 0)
		return NULL;
	return metrics;
}

struct show {
	struct xyl_frame frame;
	bool json;
	long seconds; /* 0: until a signal */
	struct xyl_io *out;
	struct xyl_chan *jobs;
	struct xyl_scope *load;
	struct xyl_task *monitor;
	struct xyl_signals *signals;
	ssize_t n;
};

/* False: no memory. */
static bool show_begin(struct show *self)
{
	struct xyl_metrics *metrics;

	self->out = xyl_io_from_fd(dup(STDOUT_FILENO));
	self->jobs = xyl_chan_new(sizeof(uint64_t), ROOM);
	self->load = xyl_scope_new(NULL);
	metrics = self->jobs ? metrics_make(self->jobs) : NULL;
	if (!self->out || !self->load || !metrics)
		return false;
	self->monitor = xyl_spawn(xyl_monitor, .metrics = metrics, .to = self->out,
				  .live = !self->json, .period_ns = 250 * XYL_MS);
	for (int i = 0; i < WORKERS; i++)
		xyl_scope_spawn(self->load, worker, .jobs = self->jobs);
	return self->monitor && xyl_scope_spawn(self->load, producer, .jobs = self->jobs);
}

static xyl_step show(void *frame)
{
	struct show *self = frame;

	XYL_BEGIN(self)
	self->n = xyl_signals_new(&self->signals, (int[]){ SIGINT, SIGTERM }, 2);
	if (self->n < 0)
		XYL_RETURN(self->n);
	if (!show_begin(self))
		XYL_RETURN(-ENOMEM);
	if (self->seconds)
		XYL_AWAIT(self->n,
			  xyl_within(xyl_signals_next(self->signals), self->seconds * XYL_SEC));
	else
		XYL_AWAIT(self->n, xyl_signals_next(self->signals));
	XYL_AWAIT(self->n, xyl_scope_close(self->load)); /* first the load, then who watches it */
	xyl_abort(self->monitor);
	XYL_AWAIT(self->n, xyl_join(self->monitor));
	self->n = xyl_result(self->monitor);
	XYL_END(self->n);
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	long seconds = argc > 1 + json ? strtol(argv[1 + json], NULL, 10) : 0;
	ssize_t n;

	if (argc > 2 + json || seconds < 0 || (argc > 1 + json && argv[1 + json][0] == '-')) {
		fprintf(stderr, "usage: monitor [--json] [SECONDS]\n");
		return 2;
	}
	n = xyl_run(show, .json = json, .seconds = seconds);
	if (n < 0) {
		fprintf(stderr, "monitor: %s %s\n", strerror((int)-n), xyl_runtime_why());
		return 1;
	}
	fprintf(stderr, "monitor: %llu jobs done\n", (unsigned long long)jobs_done);
	return 0;
}
