/* SPDX-License-Identifier: MIT */
/*
 * xylem.h - a garbage-collected async runtime for C, on bdwgc and io_uring.
 *
 * Vocabulary
 *   frame      what an async function keeps while it is suspended: a plain
 *              struct in the collected heap, arguments first, then locals.
 *   task       a spawned frame with its callees; the unit of abort and join.
 *   operation  one thing asked of the kernel; outstanding from the moment its
 *              SQE is published to its last CQE.
 *   root       a slot that keeps one object alive while only memory that the
 *              collector does not scan (the kernel, malloc, a foreign thread)
 *              points at it.
 *   shard      one thread, one ring, one run queue, one root table.
 *
 * Conventions
 *   A function that can fail returns a negative errno; errno is never set.
 *   Results are ssize_t.  Times are int64_t nanoseconds on CLOCK_MONOTONIC.
 *
 *   What is declared XYL_OP is an *operation*: only a task calls it, it may
 *   suspend that task, and its xyl_pending goes straight into XYL_AWAIT,
 *   xyl_within, xyl_until or xyl_later.  Besides the errors named with it, each one gives
 *   -ECANCELED in a task that was aborted and -ENOMEM when memory is exhausted.
 *   Every other function returns at once, unless it says that it blocks.
 *
 *   "Any attached thread" is one that made the first call into the library,
 *   runs a shard, or has called xyl_thread_attach.
 */
#ifndef XYLEM_H
#define XYLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
#error "xylem.h is C: its macros use compound literals and designated initialisers"
#endif

#define XYL_API __attribute__((visibility("default")))
#define XYL_OP __attribute__((warn_unused_result)) XYL_API xyl_pending

#define XYL_US  INT64_C(1000)
#define XYL_MS  INT64_C(1000000)
#define XYL_SEC INT64_C(1000000000)

/* ---- collected memory ----------------------------------------------------
 * Nothing here is ever freed by hand.  NULL only when memory is exhausted or
 * the heap limit is reached.  The first use of the library, of any part of it,
 * starts the collector; the thread that did so is attached.  Any attached
 * thread may call these.
 *
 * The collector finds pointers in collected memory, on the stacks and in the
 * registers of attached threads, and in static variables.  It does not look
 * into malloc memory or thread-local variables: what only those point at needs
 * a root. */

XYL_API void *xyl_alloc(size_t size);		/* zeroed, scanned for pointers */
XYL_API void *xyl_alloc_bytes(size_t size);	/* not zeroed, never scanned: buffers, text */
XYL_API char *xyl_strdup(const char *text);
#define xyl_new(type) ((type *)xyl_alloc(sizeof(type)))

/* Run fn(obj, arg) on a shard's loop once obj is unreachable: never inside the
 * collector, never more than once.  A safety net, not a schedule: without a
 * running shard it waits.  obj may lie inside a collected object (a frame, say);
 * it lives until fn has returned.  Several may be set on one object; they run in
 * the order in which they were set.  arg is kept until then: it must not lead to obj.
 * -EINVAL: obj is not in collected memory; -ENOMEM. */
XYL_API int xyl_on_collect(void *obj, void (*fn)(void *obj, void *arg), void *arg);

struct xyl_weak;			/* does not keep its target alive */
XYL_API struct xyl_weak *xyl_weak_new(void *obj);
XYL_API void *xyl_weak_get(const struct xyl_weak *weak);	/* NULL once collected */

XYL_API void xyl_collect(void);		/* a full collection, now, conservative */

struct xyl_gc_stats {
	uint64_t collections, heap_bytes, live_bytes, allocated_bytes;
	uint64_t pause_last_ns, pause_max_ns, pause_total_ns;
	uint64_t pause_p50_ns, pause_p99_ns;	/* upper ends of histogram bins, within 12 % */
};
XYL_API void xyl_gc_stats(struct xyl_gc_stats *ret_stats);

/* ---- roots ---------------------------------------------------------------
 * Counted per root, not per object: two roots on one object are two reasons to
 * keep it.  Any attached thread; a root may be dropped by another thread than
 * the one that added it. */

typedef struct xyl_root { uint32_t slot, generation; } xyl_root;

XYL_API xyl_root xyl_root_add(void *obj);	/* no memory: a cleared root */
XYL_API void *xyl_root_get(xyl_root root);	/* NULL once dropped: generations differ */
XYL_API void xyl_root_drop(xyl_root *root);	/* idempotent; a cleared root is a no-op */
XYL_API size_t xyl_root_count(void);		/* roots now held by the program */

/* One line per root now held: slot, object, and in the check build the file and
 * line that took it.  Returns the number of roots, or the error of write(2). */
XYL_API int xyl_dump_roots(int fd);

/* XYL_ROOTED(name, obj): a root for the rest of the block.  It cannot span an
 * await (the suspended function has left its block): the compiler refuses it. */
#define XYL_ROOTED(name, obj)						\
	XYLI_GUARD							\
	__attribute__((cleanup(xyl_root_drop), unused)) xyl_root name = xyl_root_add(obj)

/* ---- async functions -----------------------------------------------------
 * A struct and a function of the same name:
 *
 *	struct echo {
 *		struct xyl_frame frame;		always first
 *		struct xyl_io *peer;		an argument
 *		char *buf;			locals that survive an await
 *		ssize_t n;
 *	};
 *
 *	static xyl_step echo(void *frame)
 *	{
 *		struct echo *self = frame;
 *
 *		XYL_BEGIN(self)
 *		self->buf = xyl_alloc_bytes(4096);
 *		for (;;) {
 *			XYL_AWAIT(self->n, xyl_read(self->peer, self->buf, 4096));
 *			if (self->n <= 0)
 *				break;
 *			XYL_AWAIT(self->n, xyl_write_all(self->peer, self->buf, self->n));
 *			if (self->n < 0)
 *				break;
 *		}
 *		XYL_END(self->n);
 *	}
 *
 * and xyl_spawn(echo, .peer = io) runs it as a task.  Nothing but `self` may
 * stand before XYL_BEGIN; no await inside a `switch`; one await on a line.  What
 * an operation writes to (buffers, ret_ arguments) is in the frame or in other
 * collected memory, never a plain local of the body. */

typedef struct xyl_step { int xyli_code; } xyl_step;
typedef struct xyl_pending { int xyli_code; } xyl_pending;
typedef xyl_step xyl_async_fn(void *frame);
struct xyl_task;
struct xyli_fn;

struct xyl_frame {			/* private: only the macros touch it */
	const struct xyli_fn *fn;
	struct xyl_frame *caller;
	ssize_t result;
	int line;
	bool stays;			/* a stream's: it is called again, and again */
	bool abandoned;			/* and an operation that it left may name it */
};

#define XYL_BEGIN(self)							\
	_Static_assert(offsetof(__typeof__(*(self)), frame) == 0,	\
		       "struct xyl_frame must be the first member");	\
	_Static_assert(_Alignof(__typeof__(*(self))) <= 16,		\
		       "a frame is aligned to 16 bytes, no more");	\
	struct xyl_frame *const xyli_self = &(self)->frame;		\
	switch (xyli_self->line) {					\
	case XYLI_WHERE:						\
		return xyli_where(xyli_self, __FILE__);			\
	default:							\
		xyli_bad_resume(xyli_self);				\
	case 0:;

#define XYL_AWAIT(dst, op)						\
	do {								\
		_Static_assert(sizeof(xyli_guard) == 1, "await inside a scoped root or guard"); \
		if ((op).xyli_code) {					\
			xyli_self->line = __LINE__;			\
			return (xyl_step){ 1 };				\
		case __LINE__:;						\
		}							\
		(dst) = xyli_result(xyli_self);				\
	} while (0)

#define XYL_RETURN(value) return xyli_return(xyli_self, (value))
#define XYL_END(value) } return xyli_return(xyli_self, (value))

/* Call an async function from another and await its result. */
#define xyl_call(fn, ...) xyli_call(XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__))

/* ---- tasks ----------------------------------------------------------------
 * A task pointer is good for as long as it is held: nothing is reused under it.
 * A task nobody holds runs on all the same (detached).  A spawned task first runs
 * after its spawner has suspended, never inside xyl_spawn.  Called from a task, or
 * from a finalizer on the loop; from anywhere else, xyl_runtime_spawn.  NULL: no
 * memory, config.task_limit is reached, or the runtime is stopping. */

#define xyl_spawn(fn, ...) \
	xyli_spawn(NULL, XYL_HERE, XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__))
#define xyl_spawn_at(placement, fn, ...) \
	xyli_spawn(NULL, placement, XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__))

XYL_API struct xyl_task *xyl_self(void);	/* NULL outside a task */
XYL_OP xyl_yield(void);				/* let the other ready tasks run; 0 */

/* Its result; -ECANCELED if it was aborted; -EDEADLK: oneself; -EXDEV: a task of another
 * runtime; -EINVAL: NULL, as a failed spawn gave it. */
XYL_OP xyl_join(struct xyl_task *task);

/* What a finished task returned, aborted or not; -EAGAIN while it runs.  These
 * three: any attached thread. */
XYL_API ssize_t xyl_result(const struct xyl_task *task);
XYL_API bool xyl_is_done(const struct xyl_task *task);
XYL_API bool xyl_is_aborted(const struct xyl_task *task);

/* Ask a task to stop.  Any thread, attached or not, any time, any number of
 * times, but from no signal handler (xyl_signals_next); returns at once (a thread that is
 * not attached, as soon as no collection is under way) and frees nothing.  At the start of
 * its shard's next turn the await that the task is in is abandoned and gives -ECANCELED, as
 * does each later one, so what follows the loop is its cleanup.  A result that has already
 * arrived is kept.  Operations that release (xyl_close, xyl_scope_close) run to
 * their end all the same.  A buffer that the kernel still owns stays pinned until
 * its last CQE: an aborted task must not write to it again.  No-op on a finished
 * task. */
XYL_API void xyl_abort(struct xyl_task *task);

/* Between these two, the current task's awaits see neither an abort nor a bound
 * set outside: for cleanup that must itself await.  They nest. */
XYL_API void xyl_shield_begin(void);
XYL_API void xyl_shield_end(void);

/* One line per task: its number, name and root, on what it waits and for how long;
 * below it one line per frame with file and line.  From the thread that runs the
 * shard at once; from any other attached thread the shard is asked to, and the call
 * blocks up to a second for it.  Returns the number of tasks; -ETIMEDOUT: a task
 * keeps its shard from turning. */
XYL_API int xyl_dump_tasks(int fd);

/* ---- where a task runs ----------------------------------------------------
 * With one shard, which is all there is so far, every placement is XYL_HERE. */

typedef struct xyl_placement { uint32_t kind; uint32_t shard; uint64_t key; } xyl_placement;
#define XYL_HERE       ((xyl_placement){ 0, 0, 0 })	/* the spawner's shard */
#define XYL_ON(n)      ((xyl_placement){ 1, (n), 0 })	/* that shard, always */
#define XYL_ROUND      ((xyl_placement){ 2, 0, 0 })	/* next shard in turn */
#define XYL_STICKY(k)  ((xyl_placement){ 3, 0, (k) })	/* same key, same shard */
#define XYL_STEALABLE  ((xyl_placement){ 4, 0, 0 })	/* any shard may take it */
#define XYL_PREFER(n)  ((xyl_placement){ 5, (n), 0 })	/* that one, unless it is busy */
XYL_API unsigned xyl_shard(void);	/* the number of the caller's; 0 outside one */
XYL_API unsigned xyl_shard_count(void);

/* ---- scopes: tasks and roots that end together ----------------------------
 * Called on the shard that made the scope, from a task or a finalizer.  A task leaves its
 * scope when it ends.  A closed scope takes no more tasks (NULL), roots (-EINVAL) or child
 * scopes (NULL).  Waiting for a scope that the caller is in itself, or in a child of it
 * (join, close, next), gives -EDEADLK. */

struct xyl_scope;
XYL_API struct xyl_scope *xyl_scope_new(struct xyl_scope *parent);	/* parent NULL: none */
#define xyl_scope_spawn(scope, fn, ...) \
	xyli_spawn(scope, XYL_HERE, XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__))

/* Kept until the scope, or one above it, has been closed and its last task has ended; or
 * until the scope is detached (see there). */
XYL_API int xyl_scope_root(struct xyl_scope *scope, void *obj);

/* Of all its tasks that still run, its child scopes' too: how many; an abort; waiting for the
 * last to end: 0, or the first failure. */
XYL_API size_t xyl_scope_count(const struct xyl_scope *scope);
XYL_API void xyl_scope_abort(struct xyl_scope *scope);
XYL_OP xyl_scope_join(struct xyl_scope *scope);

/* Takes no more, aborts all, and gives 0 when the last has ended and the roots are dropped;
 * child scopes likewise.  Neither an abort nor a bound cuts it short.  A second closer
 * waits for the same. */
XYL_OP xyl_scope_close(struct xyl_scope *scope);

/* The next of the scope's own tasks (not its children's) that has ended, in the order in
 * which they end: 0, and *ret_task; xyl_is_aborted and xyl_result say how it went.  Each is
 * given once; any number of tasks may ask, first come first served.  An abort or a bound
 * while it waits loses nobody: who ends later goes to the next who asks.  Tasks that ended
 * before they were asked for are kept.
 * -ENOENT: none is left, neither running nor kept.
 *
 * A scope that nobody asks does not hoard.  Until the first call it keeps as many ended
 * tasks as have ever run in it at one time and 64 more, and beyond that forgets the oldest;
 * when it has been closed, all.  The first call then gives -EOVERFLOW, once.  From the first
 * call on, one that gave -ENOENT included, all are kept until they are asked for, a close
 * notwithstanding. */
XYL_OP xyl_scope_next(struct xyl_scope *scope, struct xyl_task **ret_task);

/* Let its tasks run on: they become tasks of the parent, for which nothing changes but that
 * its xyl_scope_next will give them, or of no scope if there is none.  The tasks of child
 * scopes do too.  All roots of these scopes go with them and are dropped when the last of
 * them has ended, at once if there is none.
 *
 * The scope, and each child, then stands there as if they had all ended, open and empty:
 * joiners get 0, or the first failure there was; who waits in xyl_scope_next gets -ENOENT;
 * what had ended before is kept.  A child scope that is being closed is not emptied: it
 * moves to the parent as it is.  On a closed scope it does nothing: who closes is never
 * outlived. */
XYL_API void xyl_scope_detach(struct xyl_scope *scope);

/* Tasks by their owner: a user, a peer, whatever has a number.  The child scope of that
 * number, made if there is none:
 *
 *	xyl_scope_spawn(xyl_scope_of(server, user), request, .peer = io);
 *	xyl_scope_count(xyl_scope_of(server, user))
 *	xyl_scope_abort(xyl_scope_of(server, user));
 *
 * It is the same one for as long as it has tasks or roots, or anybody holds it; beyond, it
 * costs nothing.  When it has been closed, and its last task has ended, the next call makes
 * a new one.  A number that is an address does not keep what is there.  Finding it does not
 * depend on how many there are.  NULL: no memory, or the parent is closed. */
XYL_API struct xyl_scope *xyl_scope_of(struct xyl_scope *parent, uint64_t owner);

/* ---- futures: a result that arrives once ---------------------------------- */

struct xyl_future;

/* These two: any attached thread.  new: NULL, no memory.  set: -EALREADY, it has a value,
 * which stays; -EINVAL: NULL. */
XYL_API struct xyl_future *xyl_future_new(void);
XYL_API int xyl_future_set(struct xyl_future *future, ssize_t value);

/* Its value, once it has one; any number of waiters, of one runtime (another's abort the
 * program), and any number of threads, by xyl_future_wait.  -EINVAL: NULL. */
XYL_OP xyl_future_get(struct xyl_future *future);

/* Go on now, await the result later: the operation is handed to a task of its own.
 * An abort of the caller does not reach it; stopping the runtime does.  NULL: no
 * memory; the operation has then run to its end or been cancelled. */
XYL_API struct xyl_future *xyl_later(xyl_pending op);

/* ---- channels -------------------------------------------------------------
 * Elements of one size are copied in and out; an element that is a pointer carries its
 * object across, untouched.  Any shard, any attached thread: tasks of several runtimes
 * and threads outside may use one channel, which is fastest as long as one shard alone
 * does.  A receiver who waits is handed the element directly; those who wait are served
 * first come first served.  A channel keeps what is in it alive, and nothing that has
 * left it.  Nobody need close a channel: one that nobody holds is garbage.
 *
 * After Hoare's "Communicating Sequential Processes" (1978) and the channels of Go. */

#define XYL_CONFLATED ((ptrdiff_t)-1)	/* holds the newest only: a send replaces it */
#define XYL_UNLIMITED ((ptrdiff_t)-2)	/* grows; a send never waits, -ENOMEM at the end */
struct xyl_chan;

/* capacity 0: rendezvous, a send waits for its receiver.  elem_size 0: nothing but the
 * event.  NULL: no memory, or not a capacity. */
XYL_API struct xyl_chan *xyl_chan_new(size_t elem_size, ptrdiff_t capacity);

/* 0; -EPIPE: closed; -EINVAL: no channel.  The element is read before xyl_send returns (so
 * it may be a local), and a sender that failed still owns what is in it.  A receive drains
 * what was sent before the close, then gives -EPIPE; ret_elem NULL: it is dropped. */
XYL_OP xyl_send(struct xyl_chan *chan, const void *elem);
XYL_OP xyl_recv(struct xyl_chan *chan, void *ret_elem);

/* From any attached thread: -EAGAIN instead of waiting, -EPIPE, -EINVAL, -ENOMEM. */
XYL_API int xyl_try_send(struct xyl_chan *chan, const void *elem);
XYL_API int xyl_try_recv(struct xyl_chan *chan, void *ret_elem);

/* Any attached thread, any number of times.  Wakes every waiter, with -EPIPE. */
XYL_API void xyl_chan_close(struct xyl_chan *chan);
XYL_API bool xyl_chan_is_closed(const struct xyl_chan *chan);	/* it may hold elements still */
XYL_API size_t xyl_chan_len(const struct xyl_chan *chan);

/* Spawns fn(...), in a scope or not (NULL), and closes chan when it has ended, whatever its
 * end.  NULL as with xyl_spawn; then chan is open still.
 *
 *	xyl_produce(scope, self->lines, read_lines, .io = io, .out = self->lines); */
#define xyl_produce(scope, chan, fn, ...) \
	xyli_produce(scope, chan, XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__))

struct xyl_chan_stats {
	uint64_t sent, received, bytes;	/* received */
	uint64_t would_block, timed_out;	/* those that gave -EAGAIN; that a bound ended */
	uint64_t canceled, closed;	/* that an abort or a token ended; that gave -EPIPE */
	int64_t first_ns, last_ns;	/* xyl_now of the first send; of the last of all; 0: none */
};
XYL_API void xyl_chan_stats(const struct xyl_chan *chan, struct xyl_chan_stats *ret_stats);

/* What became of the one between two looks: counts are what they went up by, first_ns and
 * last_ns what they are now.  Any thread. */
XYL_API void xyl_chan_stats_delta(const struct xyl_chan_stats *now,
				  const struct xyl_chan_stats *before,
				  struct xyl_chan_stats *ret_delta);

/* An async function: what has become of a channel, sent to another one each period, and a last
 * time at the end of the period in which it has been closed and drained: 0.  The differences
 * add up to what xyl_chan_stats gives (less .before).  A period that was missed, for want of a
 * receiver, is not made up for: it is in the next.  -EPIPE: out is closed; -EINVAL: no
 * channel, another size of elements, or a negative period.
 *
 *	xyl_produce(scope, self->deltas, xyl_chan_deltas, .of = self->jobs, .out = self->deltas);
 *	...
 *	XYL_AWAIT(self->n, xyl_recv(self->deltas, &self->delta));
 *	... xyl_rate(self->delta.stats.sent, self->delta.over_ns) ... */
struct xyl_chan_delta {			/* the elements of out */
	struct xyl_chan_stats stats;
	int64_t over_ns;		/* since the one before, or the start of the task */
};
struct xyl_interval;
struct xyl_chan_deltas {
	struct xyl_frame frame;
	const struct xyl_chan *of;
	struct xyl_chan *out;
	int64_t period_ns;		/* 0: a second */
	struct xyl_chan_stats before;	/* begin there; zero: with all that ever was */
	struct xyl_chan_delta xyli_delta;	/* private, and what follows */
	struct xyl_interval *xyli_ticks;
	int64_t xyli_since_ns;
	bool xyli_over;
	ssize_t n;
};
XYL_API xyl_async_fn xyl_chan_deltas;

/* ---- select ----------------------------------------------------------------
 * Wait for several things at once; exactly one of them happens, the others do not
 * happen at all: nothing is received, sent or counted there.  Among those that can
 * happen at once, chance decides; with xyl_select_first, the order.  What a case
 * names NULL (a channel, a token) never happens, which switches a case off.
 *
 *	XYL_AWAIT(self->n, xyl_select(xyl_on_recv(self->jobs, &self->job),
 *				      xyl_on_cancel(self->token),
 *				      xyl_on_timeout(XYL_SEC)));
 *
 * gives the index of the case that happened, from 0.  A closed channel has happened, a
 * failed task too; what came of it is written to .ret_result, if given, which lies
 * in collected memory: xyl_on_recv(ch, &self->job, .ret_result = &self->r).  There
 *	recv, send	0, or -EPIPE: closed
 *	done, future	what xyl_join, xyl_future_get give
 *	cancel		0
 *	ready		as xyl_poll
 * A default happens, and so does a time-out of 0, if nothing else can happen at once.
 *
 * Errors of the select itself: -EINVAL: no case, an unknown one, or one on a NULL task or
 * future; -EXDEV: a task or a future of another runtime.
 *
 * Up to 32 cases of which one can happen at once take no memory; who waits takes one
 * block.  After Go's select, and Newsqueak's before it. */
struct xyl_case {
	int kind;
	void *on;
	union {				/* by its kind: */
		void *slot;		/* recv */
		const void *elem;	/* send */
		int64_t ns;		/* timeout */
		struct {		/* ready */
			int fd;
			unsigned events;
		};
	};
	ssize_t *ret_result;
};
#define xyl_on_recv(ch, ...)	/* to NULL: it is dropped */ \
	((struct xyl_case){ .kind = 1, .on = (ch), .slot = __VA_ARGS__ })
#define xyl_on_send(ch, ...)	((struct xyl_case){ .kind = 2, .on = (ch), .elem = __VA_ARGS__ })
#define xyl_on_done(...)	((struct xyl_case){ .kind = 3, .on = __VA_ARGS__ })
#define xyl_on_future(...)	((struct xyl_case){ .kind = 4, .on = __VA_ARGS__ })
#define xyl_on_cancel(...)	((struct xyl_case){ .kind = 5, .on = __VA_ARGS__ })
#define xyl_on_timeout(t)	((struct xyl_case){ .kind = 6, .ns = (t) })
#define xyl_on_default()	((struct xyl_case){ .kind = 7 })
#define xyl_on_ready(d, ...)	/* descriptor and events, as of xyl_poll */ \
	((struct xyl_case){ .kind = 8, .fd = (d), .events = __VA_ARGS__ })

#define xyl_select(...)       xyli_select(XYLI_CASES(__VA_ARGS__), false)
#define xyl_select_first(...) xyli_select(XYLI_CASES(__VA_ARGS__), true)

/* For threads outside: each blocks an attached thread, for ns at most; ns < 0: for ever.
 * -ETIMEDOUT; -EDEADLK: from a task; -ENOMEM.  xyl_select_wait knows recv, send, cancel,
 * timeout and default only (-EINVAL). */
XYL_API ssize_t xyl_send_wait(struct xyl_chan *chan, const void *elem, int64_t ns);
XYL_API ssize_t xyl_recv_wait(struct xyl_chan *chan, void *ret_elem, int64_t ns);
#define xyl_select_wait(ns, ...) xyli_select_wait(XYLI_CASES(__VA_ARGS__), ns)

/* ---- bounds: one word instead of a twin of every function ------------------
 * Any operation, a compound one or an xyl_call included: past the bound, what the
 * callee awaits gives -ECANCELED until it has returned, and the await here gives
 * -ETIMEDOUT, or -ECANCELED for a token, which wins over the clock where both have
 * passed.  Unlike an abort, a bound returns only when the kernel is done with
 * the buffer, so the buffer can be used again; a result that came first wins.
 * Regular files cannot be interrupted: there, the result of the system call under way
 * always wins.  Releasing operations (xyl_close, xyl_scope_close) are not bounded.
 * Bounds nest, in any order. */
XYL_OP xyl_within(xyl_pending op, int64_t ns);		/* 0: what is ready now */

/* For tokens, see below.  One fired already: what is ready now; so a loop that always finds
 * something asks xyl_cancel_is_fired.  token NULL: op is cancelled, unless its result is
 * here already, and gives -EINVAL. */
struct xyl_cancel;
XYL_OP xyl_until(xyl_pending op, struct xyl_cancel *token);

/* ---- tokens ---------------------------------------------------------------
 * A token says "stop" to whoever looks: once, for good, and to all below it, never to
 * what is above.  It is not an abort: nobody is cut off, a task sees it where it waits
 * for it (xyl_cancel_wait), or has asked for an await to end with it (xyl_until).
 * A token keeps alive who waits for it and its parent, but not its children: one that
 * nobody holds is garbage, and a long-lived parent may have any number.
 *
 * After the cancellation tokens of .NET (Toub) and the contexts of Go. */

struct xyl_cancel;

/* parent NULL: a tree of its own.  Born fired if the parent is.  NULL: no memory.  Any
 * attached thread. */
XYL_API struct xyl_cancel *xyl_cancel_new(struct xyl_cancel *parent);

/* Any thread, attached or not, that has a token which something keeps alive; any number of
 * times, and NULL does nothing.  Costs what it wakes.  What was written before it is
 * seen by who finds the token fired. */
XYL_API void xyl_cancel_fire(struct xyl_cancel *token);

/* Any thread.  It or one above it; looks at each of them. */
XYL_API bool xyl_cancel_is_fired(const struct xyl_cancel *token);

/* 0 once it is fired; any number of waiters, of any shard.  -EINVAL: NULL, as a failed new
 * gave it. */
XYL_OP xyl_cancel_wait(struct xyl_cancel *token);

/* XYL_FIRE_AFTER(name, token): fired at the end of the block, however it is left.  As
 * with XYL_ROOTED, no await may stand in it. */
#define XYL_FIRE_AFTER(name, token)					\
	XYLI_GUARD							\
	__attribute__((cleanup(xyli_fire), unused)) struct xyl_cancel *name = (token)

/* Fired when the last task of the scope, its children's too, has ended, the next time
 * that this happens, or when it is closed without one in it; at once if that was so.  On the
 * scope's shard; any number of tokens.  -ENOMEM. */
XYL_API int xyl_scope_fire(struct xyl_scope *scope, struct xyl_cancel *token);

/* ---- locks ------------------------------------------------------------------
 * Eight ways to wait for one another: for tasks of any shard, of several runtimes too, and,
 * where it is no operation, for any attached thread.  All are one idea: a line, first come
 * first served, in which whoever is let go is given what he waits for, directly.  Nobody is
 * woken to try again, and nobody overtakes; a try does not, either.
 *
 * Who is aborted, or whose bound passes, leaves the line, and those who had to wait only
 * for him go on.  A result that has come is kept: after 0 you hold it, in an aborted task
 * too, and must give it back.  Begun with xyl_later it is the caller's once the future has
 * its value.  Nothing need be closed: what nobody holds is garbage.
 *
 * A new one is NULL if there is no memory, or its size makes no sense; what returns an error,
 * an operation among them, then gives -EINVAL. */

/* One holder at a time: a task, or a thread outside one.  -EDEADLK: he holds it already.  An
 * unlock hands it to the first who waits; by anyone but the holder it aborts the program.
 * After Dijkstra's "Cooperating sequential processes" (1965). */
struct xyl_mutex;
XYL_API struct xyl_mutex *xyl_mutex_new(void);
XYL_OP xyl_mutex_lock(struct xyl_mutex *mutex);
XYL_API int xyl_mutex_try_lock(struct xyl_mutex *mutex);	/* -EAGAIN */
XYL_API void xyl_mutex_unlock(struct xyl_mutex *mutex);

/* n permits at once or none; up to PTRDIFF_MAX (-EINVAL, -EOVERFLOW: nothing has changed).
 * Those who want few wait behind one who wants many.  Permits belong to nobody: anyone may
 * release.  Once closed, every acquire gives -EPIPE, and so do those that wait.  After the
 * same, with the counts and the order of Tokio's Semaphore. */
struct xyl_semaphore;
XYL_API struct xyl_semaphore *xyl_semaphore_new(size_t permits);
XYL_OP xyl_semaphore_acquire(struct xyl_semaphore *semaphore, size_t n);
XYL_API int xyl_semaphore_try_acquire(struct xyl_semaphore *semaphore, size_t n); /* -EAGAIN */
XYL_API int xyl_semaphore_release(struct xyl_semaphore *semaphore, size_t n);
XYL_API size_t xyl_semaphore_available(struct xyl_semaphore *semaphore);
XYL_API void xyl_semaphore_close(struct xyl_semaphore *semaphore);

/* Any number of readers, or one writer.  Readers who come after a writer wait for him; when he
 * unlocks, all of them up to the next writer go in together.  So one who reads and reads
 * again may wait for a writer who waits for him.  Unlocking what nobody holds, and
 * downgrading what no writer does, abort the program.  A downgrade lets in the readers
 * in front.  After Courtois, Heymans and Parnas, "Concurrent control with readers and
 * writers" (1971); the order is that of Tokio's RwLock. */
struct xyl_rwlock;
XYL_API struct xyl_rwlock *xyl_rwlock_new(void);
XYL_OP xyl_rwlock_read(struct xyl_rwlock *rwlock);
XYL_OP xyl_rwlock_write(struct xyl_rwlock *rwlock);
XYL_API int xyl_rwlock_try_read(struct xyl_rwlock *rwlock);	/* -EAGAIN */
XYL_API int xyl_rwlock_try_write(struct xyl_rwlock *rwlock);
XYL_API void xyl_rwlock_unlock(struct xyl_rwlock *rwlock);	/* a reader or the writer */
XYL_API void xyl_rwlock_downgrade(struct xyl_rwlock *rwlock);	/* the writer is a reader now */

/* Something may have happened.  One: the first who waits is told; if nobody does, the next who
 * waits need not, and that is remembered once, however often it was said.  All: those
 * who wait now, and nothing is remembered.  A task that was told and will not act on it
 * tells the next, by xyl_notify_one.  After Tokio's Notify. */
struct xyl_notify;
XYL_API struct xyl_notify *xyl_notify_new(void);
XYL_OP xyl_notify_wait(struct xyl_notify *notify);
XYL_API void xyl_notify_one(struct xyl_notify *notify);
XYL_API void xyl_notify_all(struct xyl_notify *notify);

/* Waits until so many have come; the last to come is given 1, the others 0, and the next round
 * begins.  Who is aborted before that does not count: the round waits for another.
 * NULL for 0 parties. */
struct xyl_barrier;
XYL_API struct xyl_barrier *xyl_barrier_new(size_t parties);
XYL_OP xyl_barrier_wait(struct xyl_barrier *barrier);

/* Something is to be done once, by whoever comes first.  1: do it, then call xyl_once_end with
 * the result, whatever happens, in an aborted task too (any task or thread may; if nobody
 * has begun, it aborts the program).  The others wait meanwhile.  0: it has been done.
 * Ended with a negative result it has not, and the first who waits is given 1.
 * After pthread_once. */
struct xyl_once;
XYL_API struct xyl_once *xyl_once_new(void);
XYL_OP xyl_once_begin(struct xyl_once *once);
XYL_API void xyl_once_end(struct xyl_once *once, ssize_t result);
XYL_API ssize_t xyl_once_result(const struct xyl_once *once);	/* -EAGAIN: not done yet */

/* A value of `size` bytes, of which each sees the latest.  xyl_watch_get copies it and gives its
 * version; xyl_watch_changed waits for another version than that (0: none seen yet), so no
 * change is missed, though values in between may be.  Once closed a set gives -EPIPE, and
 * so does waiting when the last value has been seen.  initial NULL: zeroes; ret_value NULL:
 * the version only.  After Tokio's watch. */
struct xyl_watch;
XYL_API struct xyl_watch *xyl_watch_new(size_t size, const void *initial);
XYL_API int xyl_watch_set(struct xyl_watch *watch, const void *value);
XYL_API uint64_t xyl_watch_get(struct xyl_watch *watch, void *ret_value);
XYL_OP xyl_watch_changed(struct xyl_watch *watch, uint64_t seen);
XYL_API void xyl_watch_close(struct xyl_watch *watch);

/* Every receiver gets every message sent since it subscribed.  Sending never waits: the last
 * `capacity` messages are kept, and a receiver that fell behind them is given, once, the
 * number of those it missed (> 0, and nothing in *ret_elem), then goes on with the oldest
 * kept.  0: a message, of which ret_elem NULL takes no copy; -EPIPE: closed, and all has
 * been received; -EAGAIN (a try): nothing is there; -EBUSY: another task waits with this
 * receiver.  A receiver that is let go of is gone: nobody unsubscribes.  After Tokio's
 * broadcast. */
struct xyl_broadcast;
struct xyl_receiver;
XYL_API struct xyl_broadcast *xyl_broadcast_new(size_t elem_size, size_t capacity);
XYL_API int xyl_broadcast_send(struct xyl_broadcast *broadcast, const void *elem);
XYL_API struct xyl_receiver *xyl_broadcast_subscribe(struct xyl_broadcast *broadcast);
XYL_OP xyl_broadcast_recv(struct xyl_receiver *receiver, void *ret_elem);
XYL_API ssize_t xyl_broadcast_try_recv(struct xyl_receiver *receiver, void *ret_elem);
XYL_API void xyl_broadcast_close(struct xyl_broadcast *broadcast);

/* ---- time -----------------------------------------------------------------
 * A sleep never ends early.  A negative time has passed already. */

XYL_API int64_t xyl_now(void);	/* any thread: in a task the turn's clock, else the real one */
XYL_OP xyl_sleep(int64_t ns);
XYL_OP xyl_sleep_until(int64_t when);

/* An interval ticks at `first` and then every period_ns; xyl_now() as `first`: at once.
 * Nothing runs while nobody waits, so ticks are missed by whoever comes too late for them.
 * What becomes of those (after tokio's MissedTickBehavior) is one of
 *
 *	XYL_BURST  they are made up for: each is given, one after the other without waiting,
 *	           and the schedule stays what it was.  Each counts 1.
 *	XYL_DELAY  they are dropped, and the schedule begins anew: after a tick that was late
 *	           the next one is due one period after it was given.
 *	XYL_SKIP   they are dropped, and the schedule stays what it was: the next one is due
 *	           at the first time of it that has not passed yet.
 *
 * xyl_interval_tick waits for the next tick, or takes at once the one that is due, and gives
 * the number of ticks since the last one: itself, and those that were dropped with it.
 * Under XYL_BURST that is always 1.  A tick is late if it was asked for after its time, or
 * if another one has come due before it could be given; how late a timer is by itself does
 * not count, and no schedule drifts by it.
 *
 * Several tasks of one runtime may wait: each tick goes to one of them, first come first
 * served.  An abort or a bound (xyl_within) takes no tick away: the next to ask gets it.  A
 * schedule that reaches the end of time ends there.  xyl_interval_reset: the next tick is
 * due one period from now, also for those who wait already; from a task.
 *
 * NULL: no memory; or period_ns is not above 0, or missed none of the three.  A first time
 * that is negative is 0.  Errors of the tick: -EINVAL: NULL; -EXDEV: a task of another
 * runtime has ticked it before. */
enum xyl_missed { XYL_BURST, XYL_DELAY, XYL_SKIP };
struct xyl_interval;
XYL_API struct xyl_interval *xyl_interval_new(int64_t first, int64_t period_ns,
					      enum xyl_missed missed);
XYL_OP xyl_interval_tick(struct xyl_interval *interval);	/* 1 or more */
XYL_API void xyl_interval_reset(struct xyl_interval *interval);

/* A back-off waits between two tries of something that may fail:
 *
 *	for (;;) {
 *		XYL_AWAIT(self->n, xyl_tcp_connect(&self->peer, self->host, "80"));
 *		if (self->n >= 0)
 *			break;
 *		XYL_AWAIT(self->waited, xyl_backoff_wait(self->backoff));
 *		if (self->waited < 0)
 *			break;
 *	}
 *
 * Its delays have a ceiling, which is first_ns at first, doubles with each, and stops at
 * cap_ns.  Jitter draws the delay below it, so that those who failed together do not come
 * back together (Marc Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog,
 * 2015): from 0 to the ceiling, or from half of it.  The same seed gives the same delays.
 *
 * xyl_backoff_wait sleeps for the next delay: 0.  -ETIMEDOUT, at once: that was the last of
 * the tries, or the delay would end more than deadline_ns after the first one began.  A
 * delay that was begun counts, even if an abort or a bound cut it short; -EINVAL: NULL.
 * xyl_backoff_next: how long it will be, in ns, or the error that it will give; from a task.
 * xyl_backoff_reset: as new, for the next failure after a success; the random numbers
 * go on.  Tasks of one runtime may share a back-off; each takes the next delay.
 *
 * config is copied; NULL: all is 0.  NULL: no memory, or something in it is negative. */
enum xyl_jitter { XYL_FULL_JITTER, XYL_EQUAL_JITTER, XYL_NO_JITTER };
struct xyl_backoff_config {
	int64_t first_ns;		/* 0: 100 ms */
	int64_t cap_ns;			/* 0: 30 s; no delay is longer, the first one neither */
	int64_t deadline_ns;		/* 0: none; from the first wait on */
	unsigned tries;			/* 0: no limit; 3 tries have 2 delays between them */
	enum xyl_jitter jitter;
	uint64_t seed;			/* 0: another one each time */
};
struct xyl_backoff;
XYL_API struct xyl_backoff *xyl_backoff_new(const struct xyl_backoff_config *config);
XYL_OP xyl_backoff_wait(struct xyl_backoff *backoff);
XYL_API int64_t xyl_backoff_next(struct xyl_backoff *backoff);
XYL_API void xyl_backoff_reset(struct xyl_backoff *backoff);

/* For tests: the clock of a runtime held still, and moved by hand.  All that tasks know of
 * time goes by it: xyl_now, sleeps, bounds, the time-outs of a select, intervals, back-offs.
 * A deadline comes when the clock is moved to it, and not before.  On the real clock stay
 * threads that wait outside (xyl_future_wait, xyl_runtime_stop) and the kernel.
 *
 * hold: it stands where it is.  move: ns later; held or not.  release: it goes on from where
 * it stands, so it never jumps back.  Each is a no-op where nothing is to be done, and a
 * runtime that stops lets go of its clock, and is not held any more.  A clock that
 * was moved to the end of time stays one ns before it: who sleeps until INT64_MAX goes on
 * sleeping.
 *
 * From a task of that runtime they take effect at once; sleepers whose time has come go on
 * in the next turn.  From any other attached thread, the one that drives it included, at
 * the start of its next turn, without waiting for it: but before whatever that thread
 * asks of the runtime later, be it a spawn, an abort, or another move.
 *
 * The clock is never moved by itself when all tasks wait (as tokio::time::pause has it):
 * the runtime cannot know that nothing else will happen, for what the kernel or another
 * thread may still send is not its to see, and a bound around I/O would pass at once.
 *
 * -EINVAL: ns is negative, or the runtime has stopped; -ENOMEM. */
struct xyl_runtime;
XYL_API int xyl_clock_hold(struct xyl_runtime *rt);
XYL_API int xyl_clock_move(struct xyl_runtime *rt, int64_t ns);
XYL_API int xyl_clock_release(struct xyl_runtime *rt);

/* ---- streams ----------------------------------------------------------------
 * A stream is an async function that is called once for each element, and keeps its frame
 * in between.  The frame begins with struct xyl_stream; the function writes an element to
 * where stream.elem points and returns 1, or it returns 0, the end, or an error:
 *
 *	struct count {
 *		struct xyl_stream stream;	always first
 *		long i, to;
 *	};
 *
 *	static xyl_step count(void *frame)
 *	{
 *		struct count *self = frame;
 *
 *		XYL_BEGIN(&self->stream)
 *		if (self->i == self->to)
 *			XYL_RETURN(0);
 *		*(long *)self->stream.elem = self->i++;
 *		XYL_END(1);
 *	}
 *
 * and xyl_stream_new(sizeof(long), count, .to = 10) is the stream of 0 to 9.  It may await
 * what it likes, other streams too: each of those below is such a function.
 *
 * Nothing happens before somebody pulls.  An element that is there already costs no
 * allocation and no wait, however many streams it passes through (but for an array for each
 * of chunks, and a change of tasks in merge).  An end is for good:
 * the function is not called again.  An error is not: the next pull is a new attempt, and
 * those below have lost nothing by it.  So a pull may be bounded, or its task aborted, and
 * another go on: none of those below takes an element from the one under it before it can
 * keep it or hand it on.
 *
 * Any attached thread may make one; one task at a time pulls it.  A stream keeps what it
 * was made of, and an element only until it has handed it on.  One that nobody holds is
 * garbage: there is nothing to close.
 *
 * NULL: no memory.  A stream made of NULL is NULL, and pulling NULL gives -EINVAL, so that
 * a chain of them is checked once, if at all.
 *
 * After the generators of CLU (1975) and the streams of SICP; the cases are tau's. */

struct xyl_stream {
	struct xyl_frame frame;
	void *elem;			/* where the element is to go */
	const void *in;			/* xyl_stream_then: the element that came */
	size_t elem_size;
};

#define xyl_stream_new(elem_size, fn, ...) \
	xyli_stream_new(XYLI_STREAM_FN(fn), XYLI_STREAM(elem_size, fn, __VA_ARGS__))

/* 1: an element.  0: the end.  -EBUSY: a task is at it already.  Whatever else the stream
 * says.  Like any operation's, ret_elem is in the frame or in other collected memory. */
XYL_OP xyl_stream_next(struct xyl_stream *stream, void *ret_elem);

/* Sources: what is in an array (it is not copied); what a channel receives, to the end when
 * it is closed. */
XYL_API struct xyl_stream *xyl_stream_of_array(const void *elems, size_t count, size_t elem_size);
XYL_API struct xyl_stream *xyl_stream_of_chan(struct xyl_chan *chan);

/* What a handle reads, from where it stands: elements are struct xyl_bytes, in collected
 * memory that no other element shares, though it may be of one block: whoever keeps a line
 * keeps up to 16 KiB, or xyl_strdup's it.
 *	blocks	up to `size` bytes (not 0), as they come
 *	lines	without the newline, with a NUL in its place.  A last line needs no newline.
 *		One of more than `max` bytes (0: 1 MiB): -EMSGSIZE, from then on.
 * They read ahead of what they have given; what a bound or an abort cut short is not lost. */
struct xyl_bytes {
	char *bytes;
	size_t len;
};
struct xyl_io;
XYL_API struct xyl_stream *xyl_stream_blocks(struct xyl_io *io, size_t size);
XYL_API struct xyl_stream *xyl_stream_lines(struct xyl_io *io, size_t max);

/* Made of another one, by functions that do not await.  They are given arg, and must not keep
 * the element beyond the call.
 *	map		one for one
 *	filter		those for which fn is true
 *	filter_map	fn returns 1: an element, 0: none, or an error, which is passed on
 *	take_while	up to the first for which fn is false, which is dropped
 *	take, skip	no more than n; all but the first n */
XYL_API struct xyl_stream *xyl_stream_map(struct xyl_stream *from, size_t elem_size,
		void (*fn)(void *ret_elem, const void *elem, void *arg), void *arg);
XYL_API struct xyl_stream *xyl_stream_filter(struct xyl_stream *from,
		bool (*fn)(const void *elem, void *arg), void *arg);
XYL_API struct xyl_stream *xyl_stream_filter_map(struct xyl_stream *from, size_t elem_size,
		int (*fn)(void *ret_elem, const void *elem, void *arg), void *arg);
XYL_API struct xyl_stream *xyl_stream_take_while(struct xyl_stream *from,
		bool (*fn)(const void *elem, void *arg), void *arg);
XYL_API struct xyl_stream *xyl_stream_take(struct xyl_stream *from, size_t n);
XYL_API struct xyl_stream *xyl_stream_skip(struct xyl_stream *from, size_t n);

/* filter_map with a function that may await.  It is made as with xyl_stream_new, finds each
 * element at stream.in, and is called anew with the same one if it gave -ECANCELED. */
#define xyl_stream_then(from, elem_size, fn, ...) \
	xyli_stream_then(from, xyl_stream_new(elem_size, fn, __VA_ARGS__))

/* n at a time: elements are struct xyl_array, each with memory of its own; the last may have
 * fewer. */
struct xyl_array {
	void *elems;
	size_t count, room;
};
XYL_API struct xyl_stream *xyl_stream_chunks(struct xyl_stream *from, size_t n);

/* One of each, as long as both have one: the left one at the start of an element of
 * elem_size, the right one at right_offset.  NULL if they overlap, too. */
XYL_API struct xyl_stream *xyl_stream_zip(struct xyl_stream *left, struct xyl_stream *right,
					  size_t elem_size, size_t right_offset);

/* Of two streams of one elem_size (else NULL) what comes first; in turn, if both have some.
 * From the first pull on two tasks of the scope do the pulling, each one element ahead; they
 * end with the streams, or with the scope, after which pulling gives -ECANCELED.  They do
 * not end because nobody pulls any more: close the scope. */
XYL_API struct xyl_stream *xyl_stream_merge(struct xyl_scope *scope,
					    struct xyl_stream *left, struct xyl_stream *right);

/* Consumers.  Each pulls until the end, and gives the first error, its own or fn's.
 *	collect		appends to an array, which holds what came before an error, too; how
 *			many.  The array is to be zero at first, and in collected memory.
 *	fold		fn(acc, elem), which does not await, gives 0 or an error; 0.  fn NULL:
 *			the elements are dropped
 *	for_each	an async function, made and called as with xyl_stream_then; 0 */
XYL_OP xyl_stream_collect(struct xyl_stream *stream, struct xyl_array *array);
XYL_OP xyl_stream_fold(struct xyl_stream *stream, void *acc,
		       int (*fn)(void *acc, const void *elem));
#define xyl_stream_for_each(stream, fn, ...) \
	xyl_stream_fold(xyl_stream_then(stream, 0, fn, __VA_ARGS__), NULL, NULL)

/* ---- actors -----------------------------------------------------------------
 * An actor is a mailbox and a task that calls an async function for each message that comes,
 * one after the other.  The function's frame has a member `message`, of any type, which is
 * the size of what the mailbox takes; its other arguments are those of xyl_actor_start, the
 * same for each message: what an actor remembers hangs off one of them.
 *
 *	struct deposit {
 *		struct xyl_frame frame;
 *		long message;
 *		struct account *account;
 *	};
 *
 *	static xyl_step deposit(void *frame)
 *	{
 *		struct deposit *self = frame;
 *
 *		XYL_BEGIN(self)
 *		self->account->balance += self->message;
 *		XYL_END(0);
 *	}
 *
 *	self->actor = xyl_actor_start(NULL, deposit, .account = self->account);
 *	XYL_AWAIT(self->n, xyl_send(xyl_actor_mailbox(self->actor), &self->amount));
 *
 * The function returns 0: on to the next message.  Anything else ends the actor with that.
 * It ends, too, and its result is
 *	0		xyl_actor_stop: what had been sent before is handled first
 *	-ETIMEDOUT	it has waited idle_ns in vain (what was sent meanwhile is handled)
 *	-ECANCELED	its token was fired, or its task aborted: no further message is taken,
 *			and what the function awaits gives -ECANCELED
 *	-ENOMEM		no message is lost by that: none is taken before there is a frame for it
 * Whatever its end, its mailbox is closed then, so that senders get -EPIPE, and after that
 * `done` is called, once, on its shard, by its task; it may not await, but spawn, and start
 * another actor in this one's stead.  What is left in the mailbox is garbage with it.
 *
 * An actor that nobody holds goes on; one that nobody can send to any more waits until its
 * idle_ns, its token, its scope or its runtime ends it.  Given NULL, as a failed start gave
 * it, stop does nothing, and the others give NULL.
 *
 * After Hewitt, Bishop and Steiger, "A Universal Modular ACTOR Formalism" (1973). */

struct xyl_actor;
struct xyl_actor_options {
	struct xyl_scope *scope;	/* of its task; NULL: none */
	struct xyl_cancel *token;	/* NULL: none */
	ptrdiff_t mailbox;		/* capacity, as of a channel; 0: 64 */
	int64_t idle_ns;		/* 0: it waits for ever */
	void (*done)(void *arg, ssize_t result);
	void *arg;
};

/* options NULL: all is 0; they are copied.  Called as xyl_spawn.  NULL: as with xyl_spawn, or
 * idle_ns is negative, or mailbox is no capacity; then `done` is not called. */
#define xyl_actor_start(options, fn, ...)				\
	xyli_actor_start(options, XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__),	\
			 offsetof(struct fn, message), sizeof(((struct fn *)0)->message))

/* Any attached thread; stop, which closes the mailbox, any number of times. */
XYL_API struct xyl_chan *xyl_actor_mailbox(const struct xyl_actor *actor);
XYL_API struct xyl_task *xyl_actor_task(const struct xyl_actor *actor);	/* to join, abort, select */
XYL_API void xyl_actor_stop(struct xyl_actor *actor);

XYL_API struct xyl_actor *xyl_actor_self(void);	/* whose message the caller handles; NULL: none's */

/* ---- signals ---------------------------------------------------------------
 * A subscription: while it is open, these signals no longer do what they did, but are
 * counted, whichever thread the kernel delivers them to, and handed to tasks.  Several of
 * one number that come before somebody asks are one, as in the kernel.  Each subscription
 * that names a signal gets it; of the tasks that wait on one subscription, the first does.
 *
 * A handler is installed (SA_RESTART) for the first subscriber of a signal; when its last
 * one has left, what was there before is there again.  A handler of the program's own is
 * not called meanwhile; one that it installs afterwards takes the signal away from here,
 * and stays.  A signal that every thread blocks, for a signalfd say, does not arrive: the
 * thread of a started runtime blocks what it can, so some other must not.  Children begin
 * with the default action, as after any execve(2).
 *
 * A subscription belongs to the runtime in which it was made or first waited on, which
 * closes it, when it stops, after its last task.  One that no runtime has used stays open. */

struct xyl_signals;

/* Of n signals, from now on.  In a task, or before there is a runtime.  -EINVAL: none, or one
 * that cannot be caught (SIGKILL, SIGSTOP), that is a thread's own fault (SIGSEGV, SIGBUS,
 * SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT), the collector's (SIGPWR, SIGXCPU), the
 * runtime's (SIGPIPE), or no signal; -ENOMEM.
 *
 *	n = xyl_signals_new(&self->signals, (int[]){ SIGINT, SIGTERM }, 2); */
XYL_API int xyl_signals_new(struct xyl_signals **ret_signals, const int signos[], size_t n);

/* The number of one that has come; if several, in turn.  Neither an abort nor a bound takes
 * one away: who asks next gets it.  -EBADF: closed; -EXDEV: another runtime's. */
XYL_OP xyl_signals_next(struct xyl_signals *signals);

/* Wakes who waits with -ECANCELED.  Signals that were not handed out are forgotten.  On the
 * thread of its runtime, or on any attached one if it has none.  No-op on NULL, and on a
 * closed one. */
XYL_API void xyl_signals_close(struct xyl_signals *signals);

/* ---- I/O -------------------------------------------------------------------
 * One handle for everything that has a descriptor.  It owns the descriptor; an
 * outstanding operation holds the handle, so a number is never reused under it.
 * A buffer in collected memory may be abandoned at any time.  Any other buffer
 * (stack, static, malloc) is safe as well: an aborted await on it returns only
 * after its last CQE.
 *
 * On one handle, reads queue behind reads and writes behind writes, first come
 * first served (positional ones, xyl_read_at and xyl_write_at, know no order).
 * Bytes or connections that arrive for a task that was aborted go to the next reader
 * or acceptor.  A write that an abort or a bound cut short after a part of it had gone
 * out breaks the stream: later writes give -EPIPE.  Every operation gives -EBADF on a
 * closed handle and the kernel's own errors unchanged.  SIGPIPE never kills: it is
 * blocked in a thread while that runs a shard.
 *
 * A handle belongs to the shard that first used it; on another: -EXDEV.  Functions
 * that return int, and xyl_io_from_fd, may be called before the runtime starts.  One
 * system call transfers up to 2 GiB.  Should memory run out while bytes are put back for
 * the next reader, later reads give -EIO.
 *
 * Should the ring itself fail (a seccomp filter installed too late, a descriptor closed by
 * mistake), whoever waits for the kernel, and every operation of this section from then
 * on, is given -ENOTRECOVERABLE; whether what was under way is done nobody knows.  Tasks,
 * timers and futures go on.  What the kernel had stays pinned for ever; a buffer that is
 * not in collected memory must stay where it is, too. */

struct xyl_io;

/* Takes the descriptor over; NULL: no memory, or not a descriptor, and it is still yours.
 * O_NONBLOCK is switched off, for whoever else shares the open file, too. */
XYL_API struct xyl_io *xyl_io_from_fd(int fd);
XYL_API int xyl_io_fd(const struct xyl_io *io);	/* -EBADF once closed */

/* Wakes its waiters with -ECANCELED, waits until the kernel has let go of every
 * operation (but not of what xyl_write_zc gave it), then closes.  A socket with an
 * operation under way is shut down first, for whoever else shares it, too.  Runs to its
 * end in an aborted task as well.  0, or the error of close(2); -ENOTRECOVERABLE: the ring
 * has failed with an operation of this handle's, which stays open, or the kernel might find
 * another file there.  A handle that nobody holds is closed after a collection and counted
 * in xyl_stats.handles_dropped: that is a bug to mend, and the check build says on stderr
 * who made it. */
XYL_OP xyl_close(struct xyl_io *io);

XYL_OP xyl_read(struct xyl_io *io, void *buf, size_t len);	/* 0: end */
XYL_OP xyl_write(struct xyl_io *io, const void *buf, size_t len);
XYL_OP xyl_read_full(struct xyl_io *io, void *buf, size_t len);	/* short only at the end */
XYL_OP xyl_write_all(struct xyl_io *io, const void *buf, size_t len);

/* As xyl_write_all, but the kernel sends from where the bytes lie: worth its while from
 * some 10 KiB on, over TCP; what cannot do it copies.  Collected memory is given away: the
 * await ends when the kernel has taken the bytes on, and they must not be changed any
 * more, whatever the result (let go of them, and the collector waits for the kernel).
 * With any other buffer it ends when the kernel has let go: when the peer has taken the
 * bytes, that is, which may take him for ever, and no abort and no bound ends it before.
 * xyl_close does not wait for that, and what was taken on is sent all the same;
 * xyl_runtime_stop does, up to its deadline. */
XYL_OP xyl_write_zc(struct xyl_io *io, const void *buf, size_t len);

/* Reads into a buffer that the kernel chooses when bytes have come, so that waiting holds
 * none: how many there are and, in *ret_bytes, where (up to 4 KiB; 0: end).  They lie in
 * collected memory: whoever holds a pointer to them holds them.  xyl_read_done gives the
 * buffer back at once, where it is lent again, and nobody may look at it any more, nor
 * give it back once more: it may be someone else's by then.  Without it, a collection
 * finds that nobody holds it.  It takes what no such read gave for nothing.  The two kinds
 * of reads may be mixed, on a stream: of datagrams that have come meanwhile the other kind
 * sees no bounds.  A socket that was read so is held by the kernel until it is closed. */
XYL_OP xyl_read_some(struct xyl_io *io, char **ret_bytes);
XYL_API void xyl_read_done(const char *bytes);	/* in a task of that shard; else nothing */

/* Moves up to len bytes inside the kernel, from the one handle's stream to the other's; how
 * many it were, 0: the end.  One of the two must be a pipe: -EINVAL.  It is a read of
 * `from` and a write to `to`, and queues with both; files at their own positions.  Cut
 * short by an abort after bytes were moved, it breaks `to` as a write does; a bound gives
 * their number. */
XYL_OP xyl_splice(struct xyl_io *from, struct xyl_io *to, size_t len);

/* As open(2), with O_CLOEXEC; as pread(2) and pwrite(2), an offset below 0 being -EINVAL. */
XYL_OP xyl_open(struct xyl_io **ret_io, const char *path, int flags, mode_t mode);
XYL_OP xyl_read_at(struct xyl_io *io, void *buf, size_t len, int64_t offset);
XYL_OP xyl_write_at(struct xyl_io *io, const void *buf, size_t len, int64_t offset);
XYL_OP xyl_fsync(struct xyl_io *io);

/* host NULL: every address (listen) or this machine (connect).  port is a number or
 * a service's name; "0" lets the kernel choose, xyl_io_fd and getsockname tell.
 * listen looks names up at once, which may block; connect does it on a thread of
 * its own and tries each address in turn.  A name that does not resolve: -ENOENT;
 * the resolver could not say: -EAGAIN, or, for good, -EIO. */
XYL_API int xyl_tcp_listen(struct xyl_io **ret_io, const char *host, const char *port);
XYL_API int xyl_unix_listen(struct xyl_io **ret_io, const char *path);	/* -ENAMETOOLONG */

/* Any number of tasks may wait; the kernel is asked once for all of them, and up to 64
 * connections that come when nobody waits are kept.  A listener that was accepted from
 * is held by the kernel until it is closed. */
XYL_OP xyl_accept(struct xyl_io *listener, struct xyl_io **ret_io);
XYL_OP xyl_tcp_connect(struct xyl_io **ret_io, const char *host, const char *port);
XYL_OP xyl_unix_connect(struct xyl_io **ret_io, const char *path);
XYL_OP xyl_shutdown(struct xyl_io *io, int how);	/* at once: it overtakes writes under way */

/* Waits until a descriptor that someone else owns is ready: the events of poll(2) that
 * are.  It must stay open meanwhile. */
XYL_OP xyl_poll(int fd, unsigned events);

/* ---- any opcode ----------------------------------------------------------------
 * For what has no function here.  Include <liburing.h> and let prep fill the SQE:
 *
 *	static void nap(struct io_uring_sqe *sqe, void *arg)
 *	{
 *		io_uring_prep_timeout(sqe, arg, 0, 0);
 *	}
 *
 *	XYL_AWAIT(self->n, xyl_submit(nap, self->ts, (void *[]){ self->ts }, 1));
 *
 * prep is called at once, before xyl_submit returns, with a cleared SQE, and must not
 * await.  The result is the CQE's, whatever it is: EINTR and EAGAIN are handed on.
 *
 * pins are the objects that the kernel reads or writes, or that lead to them; each is
 * kept until the last CQE.  Pointers into the middle of an object do, NULL is skipped,
 * and the array itself is copied.  If all are in collected memory, an abort takes effect
 * at once; if one is not, it returns only after the last CQE.  What is neither pinned nor
 * named by the SQE may be collected, and what is not pinned may be written to after an
 * abort.  A descriptor must stay open by itself: pinning a handle keeps it from being
 * collected, not from being closed.
 *
 * The await ends with the last CQE and gives the result of the first: a zero-copy send
 * waits for its notification, and an operation of many results (multishot) is cancelled
 * at its first one.
 *
 * A result that comes too late, after an abort: a descriptor that OPENAT, OPENAT2,
 * SOCKET or ACCEPT opened, the two of a PIPE, and those that a RECVMSG received
 * (SCM_RIGHTS, SCM_PIDFD) are closed; so are those that a multishot gives after its
 * first.  Bytes are lost, and of a send nobody knows how far it came: a stream that goes
 * on needs xyl_read and xyl_write.  The fds of a PIPE and the control data of a RECVMSG
 * count as pins; the msghdr is to be complete when prep returns, and its control data
 * are cleared then.
 *
 * -EINVAL, and nothing is submitted:
 *	IOSQE_CQE_SKIP_SUCCESS		without a CQE it would never end
 *	IOSQE_IO_LINK, IO_HARDLINK	it would be linked to whatever comes next
 *	IOSQE_IO_DRAIN			the ring has operations that end only when it does
 *	IOSQE_BUFFER_SELECT,
 *	PROVIDE_BUFFERS, REMOVE_BUFFERS	the buffers are the ring's own, or would be
 *	flags that are newer than this, and an SQE of 128 bytes.
 * user_data is ours.  No buffers or files are registered: the kernel refuses what needs
 * them, direct descriptors too. */
struct io_uring_sqe;
XYL_OP xyl_submit(void (*prep)(struct io_uring_sqe *sqe, void *arg), void *arg,
		  void *const pins[], size_t npins);

/* Linked operations: published all or none, each begun when the one before has ended
 * well.  After one that failed, or was short, the others give -ECANCELED; unless its SQE
 * has IOSQE_IO_HARDLINK, which prep may set on any but the last.  IORING_OP_LINK_TIMEOUT
 * limits the one before it.
 *
 * The await ends when all have had their last CQE.  ret_results, n of them in collected
 * memory, is written then; NULL if they are not wanted, and then descriptors among them
 * are closed.  0, or the first failure in the order of the chain, of whatever but a
 * LINK_TIMEOUT.  An abort or a bound cuts all of them short together; after an abort that
 * takes effect at once, ret_results is not written and descriptors are closed, those of
 * operations that had ended, too.  All pins are kept until all have ended.
 *
 * -EINVAL: as with xyl_submit, or n is 0; -E2BIG: n is above 64 or config.ring_entries.
 * Then, and without memory, nothing is submitted, though some prep may have been called. */
struct xyl_submission {
	void (*prep)(struct io_uring_sqe *sqe, void *arg);
	void *arg;
	void *const *pins;
	size_t npins;
};
XYL_OP xyl_submit_linked(const struct xyl_submission chain[], size_t n, ssize_t ret_results[]);

/* ---- threads ----------------------------------------------------------------
 * A thread that the library did not start attaches before it touches any of this,
 * and detaches before it ends (a thread that forgets is detached as it exits, after the
 * destructors of the program's own thread-specific data).  One that ends inside a
 * runtime, as by pthread_exit in a task, aborts the program. */

XYL_API int xyl_thread_attach(void);		/* -EALREADY, -ENOMEM */
XYL_API int xyl_thread_detach(void);		/* -ESRCH: not attached; -EBUSY: it runs a shard */

/* Blocks until it has a value, for ns at most; ns < 0: for ever.  -ETIMEDOUT; -EDEADLK: on a
 * thread that runs a shard; -EINVAL: NULL. */
XYL_API ssize_t xyl_future_wait(struct xyl_future *future, int64_t ns);

/* ---- runtime ------------------------------------------------------------------ */

struct xyl_config {
	unsigned shards;		/* 0 or 1; more gives -ENOTSUP for now */
	unsigned ring_entries;		/* 0: 1024; else a power of two up to 32768 */
	unsigned turn_budget;		/* 0: 64 tasks resumed before the ring is looked at */
	unsigned sqpoll_idle_ms;	/* 0: no SQPOLL */
	unsigned task_limit;		/* 0: none; so many in flight, and a spawn gives NULL */
	size_t heap_start_bytes;	/* 0: 64 MiB of address space, touched as it is used */
	size_t gc_floor_bytes;		/* 0: 4 MiB allocated between two collections, at least */
	size_t heap_limit_bytes;	/* 0: none.  The heap is the process's: of this, and of */
					/* the floor, the last one set counts */
	int64_t quiesce_ns;		/* 0: 5 s; for xyl_run's own stop, and as a thread ends */
	bool busy;			/* spin rather than sleep */
};

struct xyl_stats {			/* readable after the runtime has stopped */
	uint64_t spawned, completed, aborted, live, resumed, turns;
	uint64_t ops_submitted, ops_completed, ops_outstanding, pinned_bytes;
	uint64_t cancels, adopted_results, closed_late, leaked_pins;
	uint64_t handles_open, handles_dropped, handles_closed_by_stop;
	uint64_t buffers, buffers_lent;	/* for receives: all of them, those the program has */
	uint64_t doorbells, overflow, foreign_submits;

	/* Results that came for a task which had left, by kind.  adopted_results is
	 * their sum; closed_late counts descriptors, one by one. */
	uint64_t adopted_connections;	/* accepted: kept for the next acceptor, or closed */
	uint64_t adopted_bytes;		/* received: for the next reader */
	uint64_t adopted_writes;	/* a part of one had gone out: the stream is broken */
	uint64_t adopted_opens;		/* closed */
	uint64_t adopted_splices;	/* bytes had been moved: where they went is broken */
	uint64_t adopted_sockets;	/* of xyl_submit: closed */
	uint64_t adopted_pipes;		/* likewise, both ends */
	uint64_t adopted_rights;	/* likewise, all that came with one message */
	uint64_t adopted_connects;	/* closed with its handle */
	uint64_t adopted_zero_copies;	/* taken on: it is sent, or the stream is broken */
	uint64_t adopted_buffers;	/* provided, and nobody read them: back in the ring */
};

/* Start with defaults, run one async function as the first task on this thread,
 * quiesce, stop.  Blocks.  Its result, or why the runtime could not start (-EDEADLK:
 * this thread is inside one), or why it could not stop (xyl_runtime_stop, with
 * config.quiesce_ns), whatever the result was; the thread's end then tries once more, as
 * after xyl_runtime_drive. */
#define xyl_run(fn, ...) xyli_run(NULL, XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__))
#define xyl_run_with(config, fn, ...) xyli_run(config, XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__))

/* The parts, for a program that has a loop of its own.  After new, either start
 * (a thread for each shard) or drive by hand (one shard).  The thread that drives it
 * first owns it from then on, and must not end before it is stopped. */
struct xyl_runtime;
XYL_API int xyl_runtime_new(struct xyl_runtime **ret_rt, const struct xyl_config *config);
XYL_API int xyl_runtime_start(struct xyl_runtime *rt);	/* -EBUSY: not the first thing done to it */

/* Readable: time to drive.  Owned by rt.  Best asked for before the first drive: only
 * then can the ring be made for it (afterwards, on Linux 6.18, completions of eventfds
 * may go unnoticed).  -EINVAL: started or stopped; else xyl_runtime_why says it. */
XYL_API int xyl_runtime_fd(struct xyl_runtime *rt);

/* Any attached thread.  NULL as with xyl_spawn.  A runtime that begins to stop, or has
 * no room or memory left, before the task has arrived refuses it: it is done then,
 * aborted, without having run. */
#define xyl_runtime_spawn(rt, placement, fn, ...)			\
	xyli_runtime_spawn(rt, placement, XYLI_FN(fn), XYLI_FRAME(fn, __VA_ARGS__))

/* Never waits; how many tasks were resumed.  -EBUSY: started or stopped, or another
 * thread drives it; -EDEADLK: this thread is inside a runtime.
 *
 * A thread that ends without having stopped what it drove stops it as it exits (detached
 * or not, after the destructors of the program's own thread-specific data), within
 * config.quiesce_ns.  Where that fails the program ends, with a line on stderr and
 * abort(): the kernel may still write into its memory, and the ring that would tell is
 * gone with the thread. */
XYL_API int xyl_runtime_drive(struct xyl_runtime *rt, unsigned turns);

/* Refuse new work, abort every task, cancel and drain every operation, close the
 * handles still open, join the shards.  Blocks; called by the thread that drives,
 * or, of a started runtime, by any other attached thread.  -ETIMEDOUT past
 * deadline_ns from now: what the kernel still owns is kept, counted in leaked_pins,
 * and never freed; a later call goes on where this one ended.  -ENOTRECOVERABLE, at once
 * when the last task has ended: the same, of a ring that has failed and will never let
 * go; if it had nothing left, 0.  -EDEADLK: from inside
 * a runtime; -EBUSY: another thread drives this one, by hand or by xyl_run. */
XYL_API int xyl_runtime_stop(struct xyl_runtime *rt, int64_t deadline_ns);

/* Any thread, any time. */
XYL_API void xyl_runtime_stats(const struct xyl_runtime *rt, struct xyl_stats *ret_stats);
XYL_API struct xyl_runtime *xyl_runtime_self(void);	/* that runs the caller; NULL: none does */

/* ---- watching it run --------------------------------------------------------
 * Statistics are counts, which only go up, and levels. */

/* What became of the one between two looks: counts are what they went up by; levels (live,
 * ops_outstanding, pinned_bytes, leaked_pins, handles_open, buffers, buffers_lent) what
 * they are now.  Any thread. */
XYL_API void xyl_stats_delta(const struct xyl_stats *now, const struct xyl_stats *before,
			     struct xyl_stats *ret_delta);
XYL_API double xyl_rate(uint64_t delta, int64_t ns);	/* per second; 0 of no time */

/* What a monitor is to watch.  In a task, or before there is a runtime; by one thread at a
 * time.  A name is 1 to 64 of A-Z a-z 0-9 _ . -
 * -EINVAL: it is not; -EEXIST: it is taken; -ENOMEM.  What is added is held, and counted
 * from that moment. */
struct xyl_metrics;
enum xyl_metric { XYL_COUNT, XYL_LEVEL };
XYL_API struct xyl_metrics *xyl_metrics_new(void);	/* NULL: no memory */
XYL_API int xyl_metrics_add_runtime(struct xyl_metrics *metrics, const char *name,
				    const struct xyl_runtime *rt);
XYL_API int xyl_metrics_add_heap(struct xyl_metrics *metrics, const char *name);
XYL_API int xyl_metrics_add_chan(struct xyl_metrics *metrics, const char *name,
				 const struct xyl_chan *chan);

/* A variable of the program's: in collected memory or static.  Several threads count with
 * atomic additions, and it is read so. */
XYL_API int xyl_metrics_add(struct xyl_metrics *metrics, const char *name, enum xyl_metric kind,
			    const uint64_t *value);

/* An async function: writes what was watched to `to`, each period and once more when it is
 * aborted or a bound passes (or its runtime stops).  A line of JSON for each source, as
 * docs/monitor.md describes; the differences in the lines of a source add up to what has
 * happened since it was added.  A period that was missed is not made up for, and a reader
 * who does not read delays the next line.  -EBUSY: another monitor watches these metrics;
 * -EINVAL: no handle, or a negative period; -EPIPE and its like: nobody reads any more.  The
 * handle is not closed.  What is last is given up after a second.
 *
 *	xyl_spawn(xyl_monitor, .to = io, .period_ns = 250 * XYL_MS); */
struct xyl_monitor {
	struct xyl_frame frame;
	struct xyl_metrics *metrics;	/* NULL: this "runtime" and the "heap" */
	struct xyl_io *to;
	int64_t period_ns;		/* 0: a second */
	bool live;			/* not JSON: a screenful for a terminal of what is not 0 */
	struct xyli_monitoring *xyli_own;	/* private, and the next */
	ssize_t n;
};
XYL_API xyl_async_fn xyl_monitor;

/* The last failed start on this thread, in a sentence a person can act on; "" if none. */
XYL_API const char *xyl_runtime_why(void);

/* ---- private: for the macros above --------------------------------------------- */

struct xyli_fn {			/* one per call site, static */
	xyl_async_fn *run;
	const char *name;
	uint32_t size, align;
};

/* Of another size in a block that has a guard. */
typedef char xyli_guard[1];
#define XYLI_GUARD							\
	_Pragma("GCC diagnostic push")					\
	_Pragma("GCC diagnostic ignored \"-Wshadow\"")			\
	typedef char xyli_guard[2] __attribute__((unused));		\
	_Pragma("GCC diagnostic pop")

enum { XYLI_WHERE = -1, XYLI_RETURNED = -2 };	/* values of frame.line that are no line */

#define XYLI_FN(fn) __extension__ ({					\
	static const struct xyli_fn xyli_fn_of = {			\
		fn, #fn, sizeof(struct fn), _Alignof(struct fn) };	\
	&xyli_fn_of;							\
})
#define XYLI_FRAME(fn, ...) &(struct fn){ .frame = { 0 }, __VA_ARGS__ }

static inline ssize_t xyli_result(const struct xyl_frame *frame)
{
	return frame->result;
}

static inline xyl_step xyli_return(struct xyl_frame *frame, ssize_t value)
{
	frame->result = value;
	frame->line = XYLI_RETURNED;
	return (xyl_step){ 0 };
}

static inline void xyli_fire(struct xyl_cancel **token)
{
	xyl_cancel_fire(*token);
}

#define XYLI_STREAM_FN(fn) __extension__ ({				\
	_Static_assert(offsetof(struct fn, stream) == 0,		\
		       "struct xyl_stream must be the first member");	\
	XYLI_FN(fn);							\
})
#define XYLI_STREAM(size, fn, ...) \
	&(struct fn){ .stream = { .elem_size = (size) }, __VA_ARGS__ }

XYL_API struct xyl_stream *xyli_stream_new(const struct xyli_fn *fn, const void *init);
XYL_API struct xyl_stream *xyli_stream_then(struct xyl_stream *from, struct xyl_stream *stage);

#define XYLI_CASES(...)							\
	(struct xyl_case[]){ __VA_ARGS__ },				\
	sizeof((struct xyl_case[]){ __VA_ARGS__ }) / sizeof(struct xyl_case)

XYL_OP xyli_call(const struct xyli_fn *fn, const void *init);
XYL_API struct xyl_task *xyli_produce(struct xyl_scope *scope, struct xyl_chan *chan,
				      const struct xyli_fn *fn, const void *init);
XYL_API struct xyl_actor *xyli_actor_start(const struct xyl_actor_options *options,
					   const struct xyli_fn *fn, const void *init,
					   size_t message_offset, size_t message_size);
XYL_OP xyli_select(const struct xyl_case *cases, size_t n, bool first);
XYL_API ssize_t xyli_select_wait(const struct xyl_case *cases, size_t n, int64_t ns);
XYL_API struct xyl_task *xyli_spawn(struct xyl_scope *scope, xyl_placement placement,
				    const struct xyli_fn *fn, const void *init);
XYL_API struct xyl_task *xyli_runtime_spawn(struct xyl_runtime *rt, xyl_placement placement,
					    const struct xyli_fn *fn, const void *init);
XYL_API ssize_t xyli_run(const struct xyl_config *config, const struct xyli_fn *fn,
			 const void *init);
XYL_API xyl_step xyli_where(struct xyl_frame *frame, const char *file);
XYL_API _Noreturn void xyli_bad_resume(const struct xyl_frame *frame);

/* The check build remembers who took a root. */
#ifdef XYL_CHECK
#define XYLI_STR_(x) #x
#define XYLI_STR(x) XYLI_STR_(x)
XYL_API xyl_root xyli_root_add_at(void *obj, const char *where);
#define xyl_root_add(obj) xyli_root_add_at((obj), __FILE__ ":" XYLI_STR(__LINE__))
#endif

#endif /* XYLEM_H */
