/* SPDX-License-Identifier: MIT */
/*
 * Why a runtime did not start.
 *
 * Design notes.  The errno of io_uring_setup says little: EPERM may be a sysctl or a
 * seccomp filter, ENOSYS an old kernel or a filter.  /proc tells them apart.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "rt/ring.h"
#include "xylem/xylem.h"

static _Thread_local char why[256];

void xyli_why_set(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
}

const char *xyl_runtime_why(void)
{
	return why;
}

/* The number after `key` in a file of /proc; -1: not there. */
static int proc_number(const char *path, const char *key)
{
	char line[256];
	int value = -1;
	FILE *file = fopen(path, "re");

	if (!file)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			sscanf(line + strlen(key), "%d", &value);
	fclose(file);
	return value;
}

static void why_denied(int error)
{
	int disabled = proc_number("/proc/sys/kernel/io_uring_disabled", "");
	int seccomp = proc_number("/proc/self/status", "Seccomp:");

	if (disabled == 2)
		xyli_why_set("io_uring is switched off: sysctl kernel.io_uring_disabled is 2; set "
			     "it to 0");
	else if (disabled == 1 && error == EPERM && seccomp <= 0)
		xyli_why_set("io_uring is for privileged processes only: sysctl "
			     "kernel.io_uring_disabled "
			     "is 1; set it to 0, or join the group of kernel.io_uring_group");
	else if (seccomp > 0)
		xyli_why_set("a seccomp filter denies io_uring (%s): allow io_uring_setup, "
			     "io_uring_enter and io_uring_register, as containers often do not",
			     strerror(error));
	else
		xyli_why_set("io_uring_setup was refused: %s", strerror(error));
}

static void why_old_kernel(void)
{
	struct utsname name;

	uname(&name);
	xyli_why_set("this kernel (%s) has no usable io_uring: Linux 5.19 or newer is needed, "
		     "6.1 or newer is better",
		     name.release);
}

static void why_limit(const char *what, __rlimit_resource_t resource)
{
	struct rlimit limit = { 0 };

	getrlimit(resource, &limit);
	xyli_why_set("%s is too low (now %llu): raise it with ulimit or LimitXXX= of the service",
		     what, (unsigned long long)limit.rlim_cur);
}

void xyli_why_ring(int error)
{
	switch (-error) {
	case EPERM:
	case EACCES: why_denied(-error); break;
	case ENOSYS:
		if (proc_number("/proc/self/status", "Seccomp:") > 0)
			why_denied(ENOSYS);
		else
			why_old_kernel();
		break;
	case EMFILE: why_limit("the limit on open files (RLIMIT_NOFILE)", RLIMIT_NOFILE); break;
	case ENFILE:
		xyli_why_set("the system has no file descriptors left: see sysctl fs.file-max");
		break;
	case ENOMEM:
		why_limit("memory for the ring: the limit on locked memory (RLIMIT_MEMLOCK)",
			  RLIMIT_MEMLOCK);
		break;
	default: xyli_why_set("io_uring_setup failed: %s", strerror(-error));
	}
}
