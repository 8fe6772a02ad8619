/* SPDX-License-Identifier: MIT */
/* The graceful end: a signal resolves a waiter, and the runtime drains. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { PEERS = 16 };

static int cleaned_up;
static int peers[PEERS][2]; /* the far ends stay open until the run is over */

static void peers_open(void)
{
	cleaned_up = 0;
	for (int i = 0; i < PEERS; i++)
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peers[i]), 0);
}

static void peers_close(void)
{
	CHECK_EQ(cleaned_up, PEERS);
	for (int i = 0; i < PEERS; i++)
		close(peers[i][1]);
}

struct serve {
	struct xyl_frame frame;
	struct xyl_io *io;
	char buf[64];
	ssize_t n;
};

static xyl_step serve(void *frame)
{
	struct serve *self = frame;

	XYL_BEGIN(self)
	do
		XYL_AWAIT(self->n, xyl_read(self->io, self->buf, sizeof(self->buf)));
	while (self->n > 0);
	cleaned_up += self->n == -ECANCELED;
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(0);
}

struct until_told {
	struct xyl_frame frame;
	int signal_fd;
	bool close_scope;
	struct xyl_scope *scope;
	struct signalfd_siginfo info;
	ssize_t n;
};

static xyl_step until_told(void *frame)
{
	struct until_told *self = frame;

	XYL_BEGIN(self)
	self->scope = xyl_scope_new(NULL);
	for (int i = 0; i < PEERS; i++)
		CHECK(xyl_scope_spawn(self->scope, serve, .io = xyl_io_from_fd(peers[i][0])));
	XYL_AWAIT(self->n, xyl_within(xyl_poll(self->signal_fd, POLLIN), 0));
	CHECK_EQ(self->n, -ETIMEDOUT); /* not before it was sent */
	kill(getpid(), SIGTERM);
	XYL_AWAIT(self->n, xyl_poll(self->signal_fd, POLLIN));
	CHECK_EQ(self->n, POLLIN);
	CHECK_EQ(read(self->signal_fd, &self->info, sizeof(self->info)), sizeof(self->info));
	CHECK_EQ(self->info.ssi_signo, SIGTERM);
	if (self->close_scope) {
		XYL_AWAIT(self->n, xyl_scope_close(self->scope));
		CHECK_EQ(cleaned_up, PEERS);
	}
	XYL_END(SIGTERM);
}

static void told_to_end(bool close_scope)
{
	sigset_t term, before;
	size_t before_run;
	int fd;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, &before);
	fd = signalfd(-1, &term, SFD_CLOEXEC);
	CHECK(fd >= 0);
	peers_open();
	before_run = test_fd_count();
	CHECK_EQ(xyl_run(until_told, .signal_fd = fd, .close_scope = close_scope), SIGTERM);
	CHECK_EQ(test_fd_count(), before_run - PEERS); /* each server closed its end */
	peers_close();
	close(fd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

TEST(a_signal_resolves_its_waiter_which_closes_the_scope_and_each_server_cleans_up)
{
	told_to_end(true);
}

TEST(a_main_task_that_returns_on_a_signal_leaves_the_rest_to_the_stop)
{
	told_to_end(false);
}

struct until_signalled {
	struct xyl_frame frame;
	struct xyl_signals *signals;
	ssize_t n;
};

static xyl_step until_signalled(void *frame)
{
	struct until_signalled *self = frame;

	XYL_BEGIN(self)
	CHECK_EQ(xyl_signals_new(&self->signals, (int[]){ SIGINT, SIGTERM }, 2), 0);
	for (int i = 0; i < PEERS; i++)
		CHECK(xyl_spawn(serve, .io = xyl_io_from_fd(peers[i][0])));
	XYL_AWAIT(self->n, xyl_within(xyl_signals_next(self->signals), 0));
	CHECK_EQ(self->n, -ETIMEDOUT); /* not before it was sent */
	kill(getpid(), SIGTERM);
	XYL_AWAIT(self->n, xyl_signals_next(self->signals));
	XYL_END(self->n);
}

TEST(a_subscription_resolves_its_waiter_and_the_runtime_drains)
{
	struct sigaction action;

	peers_open();
	CHECK_EQ(xyl_run(until_signalled), SIGTERM);
	peers_close();
	CHECK_EQ(sigaction(SIGTERM, NULL, &action), 0);
	CHECK(action.sa_handler == SIG_DFL); /* as it was */
}
