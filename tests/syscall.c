/* SPDX-License-Identifier: MIT */
/*
 * The n-th system call fails, for each n, at the real kernel's door: an error, and
 * nothing else, comes of it.
 *
 * Refused is what makes something or asks for something.  What gives something back
 * (close, munmap) leaks by definition when it is refused; what cannot fail with the
 * arguments it is given (timerfd_settime, a write to the doorbell) is left alone.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "gc/check.h"
#include "tests/gate.h"
#include "tests/run.h"
#include "tests/work.h"
#include "xylem/xylem.h"

/* ---- what is refused, and how ------------------------------------------------------------ */

/* A sanitizer makes calls of its own, and dies of a refused one. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define ERRORS_MAX 4

enum trait {
	SHOWS = 1, /* something may come of it; otherwise nobody is to notice */
	LIBC = 2,  /* made by libraries, not by us alone */
};

struct rule {
	int number;
	const char *name;
	unsigned traits;
	int errors[ERRORS_MAX];
};

static const struct rule rules[] = {
	{ SYS_io_uring_setup, "io_uring_setup", SHOWS, { EPERM, ENOMEM, EMFILE, EINVAL } },
	{ SYS_io_uring_register, "io_uring_register", SHOWS, { EPERM, ENOMEM, EINVAL } },
	{ SYS_io_uring_enter, "io_uring_enter", 0, { EINTR, EAGAIN, EBUSY } },
	{ SYS_eventfd2, "eventfd2", SHOWS, { EMFILE, ENFILE, ENOMEM } },
	{ SYS_epoll_create1, "epoll_create1", SHOWS, { EMFILE, ENOMEM } },
	{ SYS_epoll_ctl, "epoll_ctl", SHOWS, { ENOMEM, ENOSPC, EPERM } },
	{ SYS_timerfd_create, "timerfd_create", SHOWS, { EMFILE, ENODEV, ENOMEM } },
	{ SYS_socket, "socket", SHOWS, { EMFILE, ENFILE, ENOBUFS, EACCES } },
	{ SYS_bind, "bind", SHOWS, { EADDRINUSE, EACCES } },
	{ SYS_listen, "listen", SHOWS, { EADDRINUSE, EOPNOTSUPP } },
	{ SYS_setsockopt, "setsockopt", 0, { ENOPROTOOPT, EPERM } },
	{ SYS_shutdown, "shutdown", SHOWS, { ENOTCONN, ENOBUFS } },
	{ SYS_fcntl, "fcntl", SHOWS, { EPERM, EINVAL } },
	{ SYS_fstat, "fstat", SHOWS, { ENOMEM, EIO } },
	{ SYS_newfstatat, "newfstatat", SHOWS, { ENOMEM, EIO } },
	{ SYS_preadv2, "preadv2", 0, { EOPNOTSUPP, EINTR, EAGAIN } },
	{ SYS_openat, "openat", SHOWS | LIBC, { EMFILE, EACCES } },
	{ SYS_mmap, "mmap", SHOWS | LIBC, { ENOMEM, EAGAIN } },
	{ SYS_mprotect, "mprotect", SHOWS | LIBC, { ENOMEM } },
	{ SYS_clone, "clone", SHOWS | LIBC, { EAGAIN, ENOMEM } },
	{ SYS_clone3, "clone3", SHOWS | LIBC, { ENOSYS, EAGAIN, EPERM } },
	{ SYS_sched_getaffinity, "sched_getaffinity", SHOWS | LIBC, { EPERM, ENOMEM } },
	{ SYS_getrandom, "getrandom", LIBC, { ENOSYS, EAGAIN } },
};

enum { RULES = sizeof(rules) / sizeof(*rules) };

static const struct rule *rule_of(int number)
{
	for (size_t i = 0; i < RULES; i++)
		if (rules[i].number == number)
			return &rules[i];
	return NULL;
}

static unsigned rule_errors(const struct rule *rule)
{
	unsigned n = 0;

	while (n < ERRORS_MAX && rule->errors[n])
		n++;
	return n;
}

/* ---- the plan of one run, in memory that both processes share ------------------------------- */

struct plan {
	size_t at, count;	   /* the first call that is refused, and how many are */
	unsigned which;		   /* of its errors */
	atomic_bool armed;	   /* the child is at work */
	atomic_size_t calls;	   /* so far, of those that pass the gate */
	atomic_bool refused;	   /* something was, and it may show */
	atomic_bool answered[256]; /* each errno: was it given? */
	const struct rule *rule;   /* of the first that was refused */
	atomic_size_t failed;	   /* in all runs: what could not be done */
};

static struct plan *plan;

/* libgc 8.2 tries twice to get memory for a block's map; without it, it has a block in
 * its heap of which its next collection dies.  (The rings' memory is not anonymous.) */
static bool is_to_pass(const struct seccomp_data *data)
{
	return data->nr == SYS_mmap && data->args[3] & MAP_ANONYMOUS &&
	       !(data->args[3] & MAP_STACK) && plan->count > 1;
}

static int plan_answer(const struct seccomp_data *data, void *unused)
{
	const struct rule *rule = rule_of(data->nr);
	size_t call;
	int error;

	(void)unused;
	if (!atomic_load(&plan->armed) || is_to_pass(data))
		return 0;
	call = atomic_fetch_add(&plan->calls, 1) + 1;
	if (call < plan->at || call >= plan->at + plan->count)
		return 0;
	if (!plan->rule)
		plan->rule = rule;
	error = rule->errors[plan->which % rule_errors(rule)];
	atomic_store(&plan->answered[error], true);
	if (rule->traits & SHOWS)
		atomic_store(&plan->refused, true);
	return -error;
}

static bool plan_gave(ssize_t error)
{
	return error < 0 && error > -256 && atomic_load(&plan->answered[-error]);
}

/* A resolver makes its own of what it is told, and a name has more than one address. */
static bool work_may_fail_with(ssize_t error, bool by_name)
{
	static const int resolved[] = { EAGAIN, EIO, ENOENT, ECONNREFUSED, EADDRNOTAVAIL };

	for (size_t i = 0; by_name && i < sizeof(resolved) / sizeof(*resolved); i++)
		if (error == -resolved[i])
			return true;
	return error == -ENOMEM || error == -ENOTRECOVERABLE || plan_gave(error);
}

/* A runtime that does not come to be says so, and why. */
static void work_refused(ssize_t error)
{
	if (!plan_gave(error) && error != -ENOMEM)
		CHECK_EQ(error, -EAGAIN); /* as pthread_create has it */
	CHECK(*xyl_runtime_why());
}

/* ---- the child: one run, and what is left of it ---------------------------------------------- */

/* What is closed late, or by a finalizer, is closed by now. */
static void settle(void)
{
	for (int i = 0; i < 2; i++)
		xyl_collect();
	CHECK(xyl_run(child) == 11);
}

static void run_under_plan(void *way)
{
	struct census before;
	ssize_t failed;

	setenv("RES_OPTIONS", "timeout:1 attempts:1", 1); /* should it ask a name server */
	before = census_take();
	atomic_store(&plan->armed, true);
	failed = (*(ssize_t(**)(void))way)();
	atomic_store(&plan->armed, false);
	CHECK(failed >= 0);
	if (!atomic_load(&plan->refused))
		CHECK_EQ(failed, 0);
	atomic_fetch_add(&plan->failed, (size_t)failed);
	settle();
	census_check(&before, NULL);
}

/* ---- the sweeps ------------------------------------------------------------------------------ */

static struct gate gate_of_rules(void)
{
	static int numbers[RULES];
	struct gate gate = { .numbers = numbers, .keeper = plan_answer };

	for (size_t i = 0; i < RULES; i++)
		if (!SANITIZED || !(rules[i].traits & LIBC))
			numbers[gate.count++] = rules[i].number;
	return gate;
}

static void run_report(int status)
{
	const struct rule *rule = plan->rule;

	printf("     call %zu of %zu, %s, %s: %s (status %#x)\n", plan->at,
	       atomic_load(&plan->calls), rule ? rule->name : "none",
	       rule ? strerror(rule->errors[plan->which % rule_errors(rule)]) : "no error",
	       status == GATE_HANGS ? "hangs" : "fails", (unsigned)status);
}

static struct plan plan_of(size_t at, size_t count, unsigned which)
{
	return (struct plan){ .at = at, .count = count, .which = which };
}

/* False: the gate cannot be had. */
static bool run_refused(ssize_t (*way)(void), const struct plan *of)
{
	size_t failed = atomic_load(&plan->failed);
	struct gate gate = gate_of_rules();
	int status;

	memcpy(plan, of, sizeof(*plan));
	atomic_store(&plan->failed, failed);
	status = gate_run(&gate, run_under_plan, &way);
	if (status == GATE_UNSUPPORTED)
		return false;
	if (status != 0)
		run_report(status);
	CHECK_EQ(status, 0);
	return true;
}

/* One call, or the first of several, with each of its errors. */
static bool sweep_step(ssize_t (*way)(void), size_t at, size_t count)
{
	unsigned errors = 1;

	for (unsigned which = 0; which < errors; which++) {
		struct plan of = plan_of(at, count, which);

		if (!run_refused(way, &of))
			return false;
		errors = plan->rule ? rule_errors(plan->rule) : 1;
	}
	return true;
}

/* Each call, or a sample where a run is slow.  False: no gate. */
static bool sweep(ssize_t (*way)(void), size_t count)
{
	size_t stride = test_scaled(1000) < 1000 ? 5 : 1;
	size_t at = 1 + test_random() % stride;
	bool gated;

	xyl_collect(); /* starts the library once for all children */
	if (xyli_check_valgrind())
		return false;
	work_begin();
	atomic_store(&plan->failed, 0);
	while ((gated = sweep_step(way, at, count)) && plan->rule)
		at += stride;
	work_end();
	CHECK(!gated || at > 10);
	CHECK(!gated || stride > 1 || atomic_load(&plan->failed) > 0);
	return gated;
}

__attribute__((constructor)) static void plan_map(void)
{
	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(plan != MAP_FAILED);
}

#define NO_GATE "no notifications of seccomp here (nor under valgrind)"

TEST(the_nth_call_of_a_run_fails)
{
	if (!sweep(work_run, 1))
		SKIP(NO_GATE);
}

TEST(the_nth_call_of_a_started_runtime_fails)
{
	if (!sweep(work_start, 1))
		SKIP(NO_GATE);
}

TEST(the_nth_call_of_a_driven_runtime_fails)
{
	if (!sweep(work_drive, 1))
		SKIP(NO_GATE);
}

TEST(ten_calls_in_a_row_fail)
{
	if (!sweep(work_run, 10) || !sweep(work_start, 10) || !sweep(work_drive, 10))
		SKIP(NO_GATE);
}

/* ---- a ring that breaks ---------------------------------------------------------------------- */

static const int breaking[] = { EIO, EBADF, EBADR };

/* From one io_uring_enter on, this or all. */
static int plan_break(const struct seccomp_data *data, void *unused)
{
	size_t call;

	(void)data;
	(void)unused;
	if (!atomic_load(&plan->armed))
		return 0;
	call = atomic_fetch_add(&plan->calls, 1) + 1;
	if (call < plan->at || call - plan->at >= plan->count)
		return 0;
	atomic_store(&plan->refused, true);
	atomic_store(&plan->answered[breaking[plan->which]], true);
	return -breaking[plan->which];
}

/* It ends: with what failed, or with pins that the kernel is not known to have let go of. */
static void run_until_it_breaks(void *unused)
{
	ssize_t failed;

	(void)unused;
	atomic_store(&plan->armed, true);
	failed = xyl_run(all);
	if (!atomic_load(&plan->refused))
		CHECK_EQ(failed, 0);
	else
		CHECK(failed >= 0 || failed == -ENOTRECOVERABLE);
}

static void break_at(size_t at, size_t count, unsigned which)
{
	const int number = SYS_io_uring_enter;
	const struct gate gate = { .numbers = &number, .count = 1, .keeper = plan_break };
	struct plan of = plan_of(at, count, which);
	int64_t since = xyli_clock();
	int status;

	memcpy(plan, &of, sizeof(*plan));
	status = gate_run(&gate, run_until_it_breaks, NULL);
	if (status != 0)
		printf("     io_uring_enter %zu, %s: status %#x\n", at, strerror(breaking[which]),
		       (unsigned)status);
	CHECK_EQ(status, 0);
	CHECK(xyli_clock() - since < 3 * XYL_SEC);
}

TEST(a_ring_that_breaks_ends_the_run)
{
	xyl_collect(); /* starts the library, which knows where it is */
	if (xyli_check_valgrind())
		SKIP(NO_GATE);
	work_begin();
	atomic_store(&plan->refused, true);
	for (size_t at = 1; atomic_load(&plan->refused); at++)
		for (unsigned which = 0; which < sizeof(breaking) / sizeof(*breaking); which++) {
			break_at(at, 1, which);
			break_at(at, SIZE_MAX, which);
		}
	work_end();
}
