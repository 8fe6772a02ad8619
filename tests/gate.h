/* SPDX-License-Identifier: MIT */
/*
 * gate.h - a child whose system calls pass a gate: this process lets each of them
 * through, or answers in the kernel's stead (seccomp's user notifications).
 *
 *	static int keeper(const struct seccomp_data *call, void *arg)
 *	{
 *		return call->nr == SYS_socket ? -EMFILE : 0;	0: let it through
 *	}
 *	const struct gate gate = { .numbers = ..., .count = ..., .keeper = keeper };
 *
 *	status = gate_run(&gate, fn, arg);
 *
 * Called while this process has one thread.
 */
#ifndef TEST_GATE_H
#define TEST_GATE_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/clock.h"
#include "tests/harness.h"
#include "xylem/xylem.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV /* Linux 5.19 */
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define GATE_CALLS_MAX 60
#define GATE_PATIENCE (20 * XYL_SEC) /* after which a child hangs */

enum { GATE_UNSUPPORTED = -1, GATE_HANGS = -2 }; /* in place of an exit status */

struct gate {
	const int *numbers; /* of the calls that pass it; the others know nothing of it */
	size_t count;
	int (*keeper)(const struct seccomp_data *call, void *arg);
	void *arg;
};

/* ---- the child's side ---------------------------------------------------------------- */

/* The listener's descriptor, or -1.  A signal does not repeat a call that is at the gate:
 * it would be counted twice. */
static int gate_install(const struct gate *gate)
{
	struct sock_filter code[GATE_CALLS_MAX + 3];
	struct sock_fprog program = { .filter = code };
	unsigned short at = 0;

	CHECK(gate->count <= GATE_CALLS_MAX);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						  offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < gate->count; i++)
		code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							  (unsigned)gate->numbers[i],
							  (unsigned char)(gate->count - i), 0);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	program.len = at;
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER |
				    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
			    &program);
}

_Noreturn static void gate_child(const struct gate *gate, int line, void (*fn)(void *arg),
				 void *arg)
{
	const struct rlimit no_core = { 0, 0 };
	int listener;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* without a keeper it would wait for ever */
	setrlimit(RLIMIT_CORE, &no_core);
	listener = gate_install(gate);
	CHECK(write(line, &listener, sizeof(listener)) == sizeof(listener));
	if (read(line, &(char){ 0 }, 1) != 1)
		_exit(EXIT_FAILURE); /* the parent could not fetch it */
	close(listener);
	close(line);
	fn(arg);
	fflush(NULL);
	_exit(0);
}

/* ---- the parent's side ----------------------------------------------------------------- */

/* The child's listener, for this process; or -1: there is none. */
static int gate_fetch(pid_t pid, int line)
{
	int theirs = -1, pidfd = (int)syscall(SYS_pidfd_open, pid, 0), ours;

	CHECK(read(line, &theirs, sizeof(theirs)) == sizeof(theirs));
	ours = theirs < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	close(pidfd);
	if (ours >= 0)
		CHECK(write(line, &theirs, 1) == 1);
	return ours;
}

/* One call.  It may be gone by the time it is looked at. */
static void gate_answer(const struct gate *gate, int listener)
{
	struct seccomp_notif call = { 0 };
	struct seccomp_notif_resp answer = { 0 };

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
		CHECK(errno == ENOENT || errno == EINTR);
		return;
	}
	answer.id = call.id;
	answer.error = gate->keeper(&call.data, gate->arg);
	if (!answer.error)
		answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0)
		CHECK_EQ(errno, ENOENT);
}

/* Until nobody is behind it any more.  False: it takes too long. */
static bool gate_keep(const struct gate *gate, int listener)
{
	struct pollfd pollfd = { .fd = listener, .events = POLLIN };
	int64_t until = xyli_clock() + GATE_PATIENCE, left;

	while ((left = until - xyli_clock()) > 0) {
		if (poll(&pollfd, 1, (int)(left / XYL_MS) + 1) <= 0)
			continue;
		if (!(pollfd.revents & POLLIN))
			return true;
		gate_answer(gate, listener);
	}
	return false;
}

/* The child's exit status, as waitpid gives it, or one of the two above. */
__attribute__((unused)) static int gate_run(const struct gate *gate, void (*fn)(void *arg),
					    void *arg)
{
	int lines[2], listener, status = -1;
	bool ends = false;
	pid_t pid;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, lines) == 0);
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(lines[0]);
		gate_child(gate, lines[1], fn, arg);
	}
	close(lines[1]);
	listener = gate_fetch(pid, lines[0]);
	if (listener >= 0)
		ends = gate_keep(gate, listener);
	if (!ends)
		kill(pid, SIGKILL);
	close(listener);
	close(lines[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (listener < 0)
		return GATE_UNSUPPORTED;
	return ends ? status : GATE_HANGS;
}

#endif
