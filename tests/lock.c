/* SPDX-License-Identifier: MIT */
/* lock.c - one at a time, whoever owns the bias. */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>

#include "rt/lock.h"
#include "tests/asyncs.h"
#include "tests/child.h"
#include "tests/gate.h"
#include "tests/run.h"
#include "xylem/xylem.h"

enum { THREADS = 4 };

struct guarded {
	struct xyli_lock lock;
	long count; /* plain: the lock is all that orders it */
	long twice; /* the same, written last */
	long rounds;
	atomic_int stage;
};

static struct guarded *guarded_new(long rounds)
{
	struct guarded *guarded = xyl_new(struct guarded);

	xyli_lock_init(&guarded->lock);
	guarded->rounds = rounds;
	return guarded;
}

static uintptr_t bias_of(struct guarded *guarded)
{
	return atomic_load(&guarded->lock.bias);
}

static void guarded_add(struct guarded *guarded)
{
	xyli_lock(&guarded->lock);
	CHECK_EQ(guarded->count, guarded->twice);
	guarded->count++;
	guarded->twice++;
	xyli_unlock(&guarded->lock);
}

static void guarded_hammer(struct guarded *guarded)
{
	for (long i = 0; i < guarded->rounds; i++)
		guarded_add(guarded);
}

static void *thread_hammer(void *arg)
{
	guarded_hammer(arg);
	return NULL;
}

static void *thread_add(void *arg)
{
	guarded_add(arg);
	return NULL;
}

static pthread_t thread_start(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, fn, arg) == 0);
	return thread;
}

static void thread_run(void *(*fn)(void *), void *arg)
{
	pthread_join(thread_start(fn, arg), NULL);
}

/* On a shard: a function that does not wait. */
struct on_shard {
	struct xyl_frame frame;
	void (*fn)(struct guarded *guarded);
	struct guarded *guarded;
};

static xyl_step on_shard(void *frame)
{
	struct on_shard *self = frame;

	XYL_BEGIN(self)
	self->fn(self->guarded);
	XYL_END(0);
}

#define ON_SHARD(function, what) CHECK_EQ(RUN(on_shard, .fn = (function), .guarded = (what)), 0)

/* ---- without membarrier(2): first, as long as no shard has been there --------------------- */

static void hammer_with_threads(struct guarded *guarded)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		threads[i] = thread_start(thread_hammer, guarded);
	guarded_hammer(guarded);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(guarded->count, (THREADS + 1) * guarded->rounds);
	CHECK_EQ(bias_of(guarded), XYLI_LOCK_SHARED);
}

static void take_and_be_refused(struct guarded *guarded)
{
	guarded_add(guarded);
	CHECK_EQ(bias_of(guarded), XYLI_LOCK_SHARED);
	thread_run(thread_add, guarded);
	CHECK_EQ(guarded->count, 2);
	hammer_with_threads(guarded_new((long)test_scaled(20000)));
}

static void unbiased(void *unused)
{
	(void)unused;
	ON_SHARD(take_and_be_refused, guarded_new(0));
}

static int refuse_membarrier(const struct seccomp_data *call, void *arg)
{
	(void)call;
	return -*(int *)arg;
}

TEST(without_membarrier_no_lock_is_biased)
{
	static const int numbers[] = { SYS_membarrier };
	static int errors[] = { ENOSYS, EPERM, EINVAL };

	for (size_t i = 0; i < 3; i++) {
		const struct gate gate = { .numbers = numbers,
					   .count = 1,
					   .keeper = refuse_membarrier,
					   .arg = &errors[i] };
		int status = gate_run(&gate, unbiased, NULL);

		if (status == GATE_UNSUPPORTED)
			SKIP("no seccomp notifications here");
		CHECK_EQ(status, 0);
	}
}

/* ---- whose it is --------------------------------------------------------------------------- */

static void take_and_keep(struct guarded *guarded)
{
	guarded_add(guarded);
	CHECK(bias_of(guarded) == xyli_lock_mark() || bias_of(guarded) == XYLI_LOCK_SHARED);
	guarded_hammer(guarded);
	CHECK_EQ(atomic_load(&guarded->lock.held), 0);
}

/* Where membarrier(2) is not to be had they are not. */
static bool locks_are_biased(void)
{
	struct guarded *guarded = guarded_new(0);

	ON_SHARD(take_and_keep, guarded);
	return bias_of(guarded) != XYLI_LOCK_SHARED;
}

TEST(locks_are_biased_where_the_kernel_can_do_it)
{
	bool biased = locks_are_biased();

	CHECK_EQ(biased, syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
}

TEST(the_first_shard_to_take_it_owns_its_bias)
{
	struct guarded *guarded = guarded_new(1000);

	CHECK_EQ(bias_of(guarded), XYLI_LOCK_FRESH);
	ON_SHARD(take_and_keep, guarded);
	CHECK_EQ(guarded->count, 1001);
	CHECK(bias_of(guarded) != XYLI_LOCK_FRESH);
}

TEST(the_first_to_take_it_may_be_a_thread_that_runs_no_shard)
{
	struct guarded *guarded = guarded_new(1000);

	guarded_add(guarded);
	CHECK_EQ(bias_of(guarded), XYLI_LOCK_SHARED);
	ON_SHARD(guarded_hammer, guarded);
	CHECK_EQ(bias_of(guarded), XYLI_LOCK_SHARED);
	CHECK_EQ(guarded->count, 1001);
}

TEST(a_thread_takes_what_is_a_shards_and_it_is_nobodys_from_then_on)
{
	struct guarded *guarded = guarded_new(1000);

	ON_SHARD(take_and_keep, guarded);
	thread_run(thread_add, guarded);
	CHECK_EQ(bias_of(guarded), XYLI_LOCK_SHARED);
	ON_SHARD(guarded_hammer, guarded);
	CHECK_EQ(bias_of(guarded), XYLI_LOCK_SHARED);
	CHECK_EQ(guarded->count, 2002);
}

/* ---- the owner is inside -------------------------------------------------------------------- */

static void *thread_enter(void *arg)
{
	struct guarded *guarded = arg;

	atomic_store(&guarded->stage, 1);
	guarded_add(guarded);
	atomic_fetch_add(&guarded->stage, 1);
	return NULL;
}

/* It asks for the bias, and then it waits. */
static void hold_against(struct guarded *guarded, int others)
{
	pthread_t threads[THREADS];

	guarded_add(guarded);
	xyli_lock(&guarded->lock);
	for (int i = 0; i < others; i++)
		threads[i] = thread_start(thread_enter, guarded);
	while (atomic_load(&guarded->stage) == 0)
		sched_yield();
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(guarded->count, 1);
		CHECK(atomic_load(&guarded->stage) == 1);
		CHECK(bias_of(guarded) != XYLI_LOCK_SHARED || guarded->lock.state != 0);
		sched_yield();
	}
	xyli_unlock(&guarded->lock);
	for (int i = 0; i < others; i++)
		pthread_join(threads[i], NULL);
	guarded_add(guarded);
	CHECK_EQ(guarded->count, others + 2);
	CHECK_EQ(bias_of(guarded), XYLI_LOCK_SHARED);
}

static void hold_against_one(struct guarded *guarded)
{
	hold_against(guarded, 1);
}

static void hold_against_many(struct guarded *guarded)
{
	hold_against(guarded, THREADS);
}

TEST(nobody_comes_in_while_its_owner_is_inside)
{
	ON_SHARD(hold_against_one, guarded_new(0));
	ON_SHARD(hold_against_many, guarded_new(0));
}

/* ---- the owner hammers ----------------------------------------------------------------------- */

/* One thread comes once, at any time. */
static void *thread_come_late(void *arg)
{
	struct guarded *guarded = arg;
	unsigned wait = (unsigned)(test_random() % 2000);

	while (atomic_load(&guarded->stage) == 0)
		;
	for (volatile unsigned i = 0; i < wait; i++)
		;
	guarded_hammer(guarded);
	return NULL;
}

static void hammer_until_shared(struct guarded *guarded)
{
	pthread_t thread = thread_start(thread_come_late, guarded);
	long ours = 0;

	guarded_add(guarded);
	atomic_store(&guarded->stage, 1);
	while (bias_of(guarded) != XYLI_LOCK_SHARED || ours < 100) {
		guarded_add(guarded);
		ours++;
	}
	pthread_join(thread, NULL);
	CHECK_EQ(guarded->count, ours + 1 + guarded->rounds);
	CHECK_EQ(guarded->twice, guarded->count);
}

static void hammer_rounds(struct guarded *guarded)
{
	for (long i = 0; i < guarded->rounds; i++)
		hammer_until_shared(guarded_new(50));
}

TEST(a_bias_is_revoked_while_its_owner_hammers_it)
{
	ON_SHARD(hammer_rounds, guarded_new((long)test_scaled(400)));
}

TEST(a_shard_and_threads_are_in_there_one_at_a_time)
{
	ON_SHARD(hammer_with_threads, guarded_new((long)test_scaled(200000)));
}

/* ---- the owner stands still anywhere, as if preempted ---------------------------------------- */

static struct guarded *stopped_at;
static atomic_int stop_stage; /* 1: asked for; 2: he stands; 3: he may go on */

/* Between looking at the bias and saying that he holds it, once in a while.  Not while he
 * does hold it: who revokes would wait for ever. */
static void stand_still(int signal)
{
	int asked = 1;

	(void)signal;
	if (!atomic_compare_exchange_strong(&stop_stage, &asked, 2))
		return; /* too late */
	while (atomic_load(&stop_stage) != 3 && !atomic_load(&stopped_at->lock.held))
		;
}

static void *thread_enter_meanwhile(void *arg)
{
	pthread_t *owner = arg;
	long count;

	while (atomic_load(&stop_stage) != 1)
		;
	for (volatile unsigned i = (unsigned)(test_random() % 500); i > 0; i--)
		;
	pthread_kill(*owner, SIGUSR1);
	while (atomic_load(&stop_stage) != 2)
		sched_yield();
	xyli_lock(&stopped_at->lock);
	count = stopped_at->count;
	atomic_store(&stop_stage, 3);
	for (int i = 0; i < 3000; i++)
		CHECK_EQ(*(volatile long *)&stopped_at->count, count);
	xyli_unlock(&stopped_at->lock);
	return NULL;
}

static void stop_once(void)
{
	pthread_t owner = pthread_self(), thread;

	atomic_store(&stop_stage, 0);
	stopped_at = guarded_new(0);
	guarded_add(stopped_at);
	thread = thread_start(thread_enter_meanwhile, &owner);
	atomic_store(&stop_stage, 1);
	while (atomic_load(&stop_stage) != 3)
		guarded_add(stopped_at);
	guarded_add(stopped_at);
	pthread_join(thread, NULL);
}

static void stop_often(struct guarded *guarded)
{
	const struct sigaction stand = { .sa_handler = stand_still };
	struct sigaction before;

	sigaction(SIGUSR1, &stand, &before);
	for (long i = 0; i < guarded->rounds; i++)
		stop_once();
	sigaction(SIGUSR1, &before, NULL);
	stopped_at = NULL;
}

TEST(an_owner_who_stands_still_between_two_instructions_lets_nobody_in_twice)
{
#ifdef TEST_REMEMBERS
	SKIP("the sanitizer is in no hurry with a signal");
#endif
	ON_SHARD(stop_often, guarded_new((long)test_scaled(1000)));
}

/* ---- two shards want a fresh one at once ----------------------------------------------------- */

static void meet_and_hammer(struct guarded *guarded)
{
	atomic_fetch_add(&guarded->stage, 1);
	while (atomic_load(&guarded->stage) < 2)
		sched_yield();
	guarded_hammer(guarded);
}

static void *thread_shard(void *arg)
{
	CHECK_EQ(xyl_thread_attach(), 0);
	CHECK_EQ(xyl_run(on_shard, .fn = meet_and_hammer, .guarded = arg), 0);
	CHECK_EQ(xyl_thread_detach(), 0);
	return NULL;
}

TEST(of_two_shards_that_want_a_fresh_one_each_gets_in)
{
	for (int i = 0; i < 50; i++) {
		struct guarded *guarded = guarded_new(100);
		pthread_t threads[2] = { thread_start(thread_shard, guarded),
					 thread_start(thread_shard, guarded) };

		for (int j = 0; j < 2; j++)
			pthread_join(threads[j], NULL);
		CHECK_EQ(guarded->count, 200);
	}
}

/* ---- errno, fork, and a filter that came too late -------------------------------------------- */

static void *thread_errno(void *arg)
{
	errno = 123;
	guarded_hammer(arg);
	CHECK_EQ(errno, 123);
	return NULL;
}

static void errno_stays(struct guarded *guarded)
{
	pthread_t thread;

	guarded_add(guarded);
	thread = thread_start(thread_errno, guarded);
	thread_errno(guarded);
	pthread_join(thread, NULL);
}

TEST(errno_stays_what_it_was)
{
	ON_SHARD(errno_stays, guarded_new((long)test_scaled(100000)));
}

static void bias_and_revoke(void *unused)
{
	(void)unused;
	ON_SHARD(hammer_until_shared, guarded_new(50));
}

TEST(after_a_fork_the_child_may_revoke_too)
{
	bias_and_revoke(NULL);
	child_succeeds(bias_and_revoke, NULL);
}

static void refuse_from_now_on(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void revoke_and_be_refused(struct guarded *guarded)
{
	guarded_add(guarded);
	refuse_from_now_on();
	thread_run(thread_add, guarded);
}

static void refused_too_late(void *unused)
{
	(void)unused;
	ON_SHARD(revoke_and_be_refused, guarded_new(0));
}

TEST(a_bias_that_cannot_be_revoked_any_more_ends_the_program_and_says_why)
{
	if (!locks_are_biased())
		SKIP("no membarrier(2) here");
	child_aborts(refused_too_late, NULL, "membarrier(2) worked at the start, and now");
}
