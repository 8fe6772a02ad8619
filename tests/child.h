/* SPDX-License-Identifier: MIT */
/*
 * child.h - run a part of a test in a process of its own: one that is to die, or that
 * changes what belongs to a whole process.  Called while this process has one thread.
 */
#ifndef TEST_CHILD_H
#define TEST_CHILD_H

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

#define CHILD_TEXT 4096

/* Its exit status, as waitpid gives it; what it wrote on stderr into text, if given. */
__attribute__((unused)) static int child_run(void (*fn)(void *arg), void *arg, char *text)
{
	int pipe_fds[2], status = -1;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	CHECK(pipe(pipe_fds) == 0);
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		const struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		if (text)
			dup2(pipe_fds[1], STDERR_FILENO);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		fn(arg);
		fflush(NULL);
		_exit(0);
	}
	close(pipe_fds[1]);
	while (text && used < CHILD_TEXT - 1 &&
	       (n = read(pipe_fds[0], text + used, CHILD_TEXT - 1 - used)) > 0)
		used += (size_t)n;
	if (text)
		text[used] = 0;
	waitpid(pid, &status, 0);
	close(pipe_fds[0]);
	return status;
}

__attribute__((unused)) static void child_succeeds(void (*fn)(void *arg), void *arg)
{
	CHECK_EQ(child_run(fn, arg, NULL), 0);
}

/* It calls abort(), and says this before. */
__attribute__((unused)) static void child_aborts(void (*fn)(void *arg), void *arg, const char *says)
{
	static char text[CHILD_TEXT];
	int status = child_run(fn, arg, text);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(text, says))
		printf("     status %#x; it said: %s\n", (unsigned)status, text);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGABRT);
	CHECK(strstr(text, says) != NULL);
}

#endif
