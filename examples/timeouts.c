/* SPDX-License-Identifier: MIT */
/*
 * timeouts.c - bounds and aborts, and the two errors that tell them apart.
 *
 *	timeouts	runs the lessons, says what happened, exits 0 if all was as told
 *
 * -ETIMEDOUT is given to whoever set the bound: "your bound has passed".  It is news;
 * one may try again.
 *
 * -ECANCELED is given to whoever is inside: "somebody above wants you to stop", be it a
 * bound set by a caller or an abort of the task.  Trying again is useless, since every
 * later await gives the same; clean up and return.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xylem/xylem.h>

static int surprises;

/* Reports a result beside the one the lesson promises. */
static void expect(const char *lesson, ssize_t got, ssize_t want)
{
	char text[64];

	if (got < 0)
		snprintf(text, sizeof text, "%s", strerror((int)-got));
	else
		snprintf(text, sizeof text, "%zd", got);
	printf("  %-58s %s%s\n", lesson, text, got == want ? "" : "   <- NOT AS TOLD");
	if (got != want)
		surprises++;
}

/* ---- a bound on a read ----------------------------------------------------------------- */

struct on_read {
	struct xyl_frame frame;
	struct xyl_io *near, *far;
	char buf[16];
	int64_t began;
	ssize_t n;
};

static xyl_step on_read(void *frame)
{
	struct on_read *self = frame;

	XYL_BEGIN(self)
	puts("a read");
	self->began = xyl_now();
	XYL_AWAIT(self->n,
		  xyl_within(xyl_read(self->near, self->buf, sizeof self->buf), 30 * XYL_MS));
	expect("nobody writes: the bound passes", self->n, -ETIMEDOUT);
	expect("and not before its time", xyl_now() - self->began >= 30 * XYL_MS, true);

	/* A bound returns only when the kernel has let go of the buffer, so it can be used
	 * again.  (After an *abort* the kernel may still write there: leave it alone.) */
	memset(self->buf, 0, sizeof self->buf);
	XYL_AWAIT(self->n, xyl_write_all(self->far, "late", 4));
	expect("the peer writes after all", self->n, 4);
	XYL_AWAIT(self->n, xyl_within(xyl_read(self->near, self->buf, sizeof self->buf), XYL_SEC));
	expect("nothing was lost by trying early", self->n, 4);

	/* A bound of nothing takes what is ready and does not wait. */
	XYL_AWAIT(self->n, xyl_within(xyl_read(self->near, self->buf, sizeof self->buf), 0));
	expect("a bound of 0, nothing there", self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_write_all(self->far, "now", 3));
	XYL_AWAIT(self->n, xyl_within(xyl_read(self->near, self->buf, sizeof self->buf), 0));
	expect("a bound of 0, three bytes there: the result wins", self->n, 3);
	XYL_END(0);
}

/* ---- a bound on a call ----------------------------------------------------------------- */

struct ask {
	struct xyl_frame frame;
	struct xyl_io *peer;
	char *buf;
	ssize_t n, sent;
};

/* Sends a question and reads the answer.  It knows nothing of any bound: it only
 * returns when an await fails, as a well-made function does anyway. */
static xyl_step ask(void *frame)
{
	struct ask *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_write_all(self->peer, "well?", 5));
	if (self->n < 0)
		XYL_RETURN(self->n);
	self->buf = xyl_alloc_bytes(64);
	if (!self->buf)
		XYL_RETURN(-ENOMEM);
	XYL_AWAIT(self->n, xyl_read(self->peer, self->buf, 64));
	if (self->n < 0) {
		expect("inside, the read is cut short", self->n, -ECANCELED);
		XYL_AWAIT(self->sent, xyl_write_all(self->peer, "bye", 3));
		expect("and so is whatever it awaits next", self->sent, -ECANCELED);

		/* Cleanup that must itself await asks for a shield. */
		xyl_shield_begin();
		XYL_AWAIT(self->sent, xyl_write_all(self->peer, "bye", 3));
		xyl_shield_end();
		expect("unless it is shielded", self->sent, 3);
	}
	XYL_END(self->n);
}

struct on_call {
	struct xyl_frame frame;
	struct xyl_io *near, *far;
	char buf[16];
	ssize_t n;
};

static xyl_step on_call(void *frame)
{
	struct on_call *self = frame;

	XYL_BEGIN(self)
	puts("a call");
	XYL_AWAIT(self->n, xyl_within(xyl_call(ask, .peer = self->near), 30 * XYL_MS));
	expect("outside, it was the bound", self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_read_full(self->far, self->buf, 8));
	expect("the peer got the question and the farewell", self->n, 8);
	expect("in this order", memcmp(self->buf, "well?bye", 8), 0);
	XYL_END(0);
}

/* ---- a bound on a sleep, and bounds within bounds -------------------------------------- */

struct attempts {
	struct xyl_frame frame;
	int *ret_tries;
	ssize_t n;
};

/* Tries until it works; each try has a bound of its own.  The test below is the whole
 * difference between the two errors: -ETIMEDOUT is this function's own bound and worth
 * another try, -ECANCELED is somebody else's wish. */
static xyl_step attempts(void *frame)
{
	struct attempts *self = frame;

	XYL_BEGIN(self)
	do {
		++*self->ret_tries;
		XYL_AWAIT(self->n, xyl_within(xyl_sleep(3600 * XYL_SEC), 10 * XYL_MS));
	} while (self->n == -ETIMEDOUT);
	XYL_END(self->n);
}

struct on_sleep {
	struct xyl_frame frame;
	int tries;
	ssize_t n;
};

static xyl_step on_sleep(void *frame)
{
	struct on_sleep *self = frame;

	XYL_BEGIN(self)
	puts("a sleep");
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(3600 * XYL_SEC), 10 * XYL_MS));
	expect("an hour, within 10 ms", self->n, -ETIMEDOUT);
	XYL_AWAIT(self->n, xyl_within(xyl_sleep(5 * XYL_MS), 3600 * XYL_SEC));
	expect("5 ms, within an hour", self->n, 0);
	XYL_AWAIT(self->n, xyl_within(xyl_call(attempts, .ret_tries = &self->tries), 55 * XYL_MS));
	expect("tries of 10 ms each, all of them within 55 ms", self->n, -ETIMEDOUT);
	expect("several tries were made", self->tries > 1, true);
	XYL_END(0);
}

/* ---- an abort -------------------------------------------------------------------------- */

struct sleeper {
	struct xyl_frame frame;
	ssize_t n;
};

static xyl_step sleeper(void *frame)
{
	struct sleeper *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_sleep(3600 * XYL_SEC));
	XYL_END(self->n == -ECANCELED ? 42 : self->n);
}

struct on_abort {
	struct xyl_frame frame;
	struct xyl_task *task;
	ssize_t n;
};

static xyl_step on_abort(void *frame)
{
	struct on_abort *self = frame;

	XYL_BEGIN(self)
	puts("an abort");
	self->task = xyl_spawn(sleeper);
	if (!self->task)
		XYL_RETURN(-ENOMEM);

	/* To wait with a bound does not stop what is waited for. */
	XYL_AWAIT(self->n, xyl_within(xyl_join(self->task), 10 * XYL_MS));
	expect("a bound on the join leaves the task alone", self->n, -ETIMEDOUT);
	expect("it still sleeps", xyl_result(self->task), -EAGAIN);

	xyl_abort(self->task);
	XYL_AWAIT(self->n, xyl_join(self->task));
	expect("an aborted task, joined", self->n, -ECANCELED);
	expect("it ran to its end all the same, and returned", xyl_result(self->task), 42);
	XYL_END(0);
}

/* ---- the first task -------------------------------------------------------------------- */

struct lessons {
	struct xyl_frame frame;
	struct xyl_io *near, *far;
	ssize_t n, failed;
};

static xyl_step lessons(void *frame)
{
	struct lessons *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_call(on_read, .near = self->near, .far = self->far));
	XYL_AWAIT(self->n, xyl_call(on_call, .near = self->near, .far = self->far));
	XYL_AWAIT(self->n, xyl_call(on_sleep));
	XYL_AWAIT(self->failed, xyl_call(on_abort));
	XYL_AWAIT(self->n, xyl_close(self->near));
	XYL_AWAIT(self->n, xyl_close(self->far));
	XYL_END(self->failed);
}

int main(int argc, char **argv)
{
	int pair[2];
	ssize_t n;

	if (argc != 1) {
		fprintf(stderr, "usage: %s\n", argv[0]);
		return 2;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		perror("timeouts: socketpair");
		return 1;
	}
	n = xyl_run(lessons, .near = xyl_io_from_fd(pair[0]), .far = xyl_io_from_fd(pair[1]));
	if (n < 0) {
		fprintf(stderr, "timeouts: %s %s\n", strerror((int)-n), xyl_runtime_why());
		return 1;
	}
	return surprises ? 1 : 0;
}
