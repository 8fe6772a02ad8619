/* SPDX-License-Identifier: MIT */
/*
 * The world that a collection stops.
 *
 * Design notes.  bdwgc stops a registered thread with a signal unless the thread is
 * inside GC_do_blocking.  A shard waits for its ring in there (a signalled wait ends
 * with EINTR, at each collection, on each shard).  The only attached thread need not:
 * nobody else can collect, and one that attaches meanwhile and does costs it an EINTR.
 *
 * The check build is *cooperative*: it collects only when every other attached
 * thread is parked, so that no signal is ever sent: signals are what the thread
 * checkers cannot bear.  `parked` changes only inside the parked stretch and under
 * world_lock, which the collection holds: parked threads stay parked meanwhile.  A
 * thread that runs makes the collection wait for another turn.  The plain build
 * counts nothing.
 *
 * The end of a thread is one key's destructor, so that what comes before what does not
 * hang on the order in which keys were made: the destructors of the program's own keys
 * come first (ours waits for the second round), then the floors above, for whom the
 * thread is attached once more if need be, then it is detached.
 */
#include "gc/world.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "gc/bdwgc.h"
#include "gc/check.h"
#include "gc/heap.h"
#include "xylem/xylem.h"

static pthread_mutex_t world_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint world_threads; /* attached; changed under world_lock */
static unsigned world_parked;	  /* of those; under world_lock; check build only */
static pthread_key_t world_exit_key;
static void (*_Atomic world_farewell)(void); /* of the floors above */
static _Thread_local bool world_member;
static _Thread_local bool world_engaged;
static _Thread_local bool world_borrowed; /* bdwgc knew it before: the program uses it, too */
static _Thread_local bool world_ending;	  /* the program's own destructors have run */

static void world_join(void)
{
	world_threads++;
	xyli_check_join();
	world_member = true;
	pthread_setspecific(world_exit_key, &world_threads);
}

static void world_leave(void)
{
	world_threads--;
	xyli_check_part();
	world_member = false; /* the key stays set: one that has detached may owe a farewell */
}

/* A thread that ends without detaching would leave bdwgc a stack that is gone. */
static void world_thread_exits(void *value)
{
	void (*farewell)(void) = atomic_load(&world_farewell);

	if (!world_ending) {
		world_ending = true;
		pthread_setspecific(world_exit_key, value);
		return;
	}
	if (farewell)
		farewell();
	if (world_member)
		xyl_thread_detach();
}

void xyli_world_start(void)
{
	pthread_key_create(&world_exit_key, world_thread_exits);
	pthread_mutex_lock(&world_lock);
	world_join();
	pthread_mutex_unlock(&world_lock);
}

bool xyli_world_attached(void)
{
	return world_member;
}

int xyl_thread_attach(void)
{
	struct GC_stack_base base;
	int known, r = 0;

	xyli_heap_start();
	if (world_member)
		return -EALREADY;
	if (GC_get_stack_base(&base) != GC_SUCCESS)
		return -ENOMEM;
	pthread_mutex_lock(&world_lock);
	known = GC_register_my_thread(&base);
	if (known == GC_SUCCESS || known == GC_DUPLICATE)
		world_join();
	else
		r = -ENOMEM;
	world_borrowed = known == GC_DUPLICATE;
	pthread_mutex_unlock(&world_lock);
	return r;
}

void xyli_world_engage(bool busy)
{
	world_engaged = busy;
}

int xyl_thread_detach(void)
{
	if (!world_member)
		return -ESRCH;
	if (world_engaged)
		return -EBUSY;
	pthread_mutex_lock(&world_lock);
	if (!world_borrowed)
		GC_unregister_my_thread();
	world_leave();
	pthread_mutex_unlock(&world_lock);
	return 0;
}

void xyli_world_on_exit(void (*fn)(void))
{
	atomic_store(&world_farewell, fn);
}

/* Whether bdwgc still knows a thread that was the program's own business, only it can say. */
int xyli_world_return(void)
{
	if (world_member && !world_borrowed)
		return 0;
	xyl_thread_detach();
	return xyl_thread_attach();
}

struct parked_call {
	void (*fn)(void *arg);
	void *arg;
};

static void world_count_parked(int change)
{
	pthread_mutex_lock(&world_lock);
	world_parked += (unsigned)change;
	pthread_mutex_unlock(&world_lock);
}

static void *world_call_parked(void *data)
{
	struct parked_call *call = data;

	xyli_check_park(__builtin_frame_address(0));
	if (xyli_check_on())
		world_count_parked(+1);
	call->fn(call->arg);
	if (xyli_check_on())
		world_count_parked(-1);
	return NULL;
}

void xyli_world_park(void (*fn)(void *arg), void *arg)
{
	struct parked_call call = { fn, arg };

	assert(world_member);
	if (!xyli_check_on() && atomic_load(&world_threads) == 1) {
		fn(arg);
		return;
	}
	GC_do_blocking(world_call_parked, &call);
}

/* Marking has this lock from its first object to its last. */
void xyli_world_hold(void *(*fn)(void *arg), void *arg)
{
	GC_call_with_alloc_lock(fn, arg);
}

/* The check build's collections, with the world held still by world_lock. */
static bool world_collect_cooperatively(void (*collect)(void))
{
	bool alone;

	pthread_mutex_lock(&world_lock);
	alone = world_parked == world_threads - world_member;
	if (alone)
		collect();
	pthread_mutex_unlock(&world_lock);
	return alone;
}

bool xyli_world_collect(void)
{
	if (xyli_check_on())
		return world_collect_cooperatively(xyli_check_collect);
	GC_gcollect();
	return true;
}

void xyli_world_collect_anywhere(void)
{
	if (xyli_check_on())
		world_collect_cooperatively(GC_gcollect);
	else
		GC_gcollect();
}

void xyl_collect(void)
{
	xyli_heap_start();
	xyli_world_collect_anywhere();
}
