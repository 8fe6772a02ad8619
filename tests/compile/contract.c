/* What programs rely on, to the letter: the types of the functions, and what the macros
 * take.  Where this one is refused, programs that people have written are, too. */
#include <errno.h>

#include <xylem/xylem.h>

#define SAME(name, ...) \
	_Static_assert(__builtin_types_compatible_p(__typeof__(name), __VA_ARGS__), #name)

struct io_uring_sqe;
typedef void prep_fn(struct io_uring_sqe *sqe, void *arg);

/* ---- memory, roots ---------------------------------------------------------------------- */

SAME(xyl_alloc, void *(size_t));
SAME(xyl_alloc_bytes, void *(size_t));
SAME(xyl_strdup, char *(const char *));
SAME(xyl_on_collect, int(void *, void (*)(void *, void *), void *));
SAME(xyl_weak_new, struct xyl_weak *(void *));
SAME(xyl_weak_get, void *(const struct xyl_weak *));
SAME(xyl_collect, void(void));
SAME(xyl_gc_stats, void(struct xyl_gc_stats *));
SAME(xyl_root_add, xyl_root(void *));
SAME(xyl_root_get, void *(xyl_root));
SAME(xyl_root_drop, void(xyl_root *));
SAME(xyl_root_count, size_t(void));

/* ---- tasks, scopes, futures ------------------------------------------------------------- */

SAME(xyl_self, struct xyl_task *(void));
SAME(xyl_yield, xyl_pending(void));
SAME(xyl_join, xyl_pending(struct xyl_task *));
SAME(xyl_result, ssize_t(const struct xyl_task *));
SAME(xyl_is_done, bool(const struct xyl_task *));
SAME(xyl_is_aborted, bool(const struct xyl_task *));
SAME(xyl_abort, void(struct xyl_task *));
SAME(xyl_shield_begin, void(void));
SAME(xyl_shield_end, void(void));
SAME(xyl_dump_tasks, int(int));
SAME(xyl_shard, unsigned(void));
SAME(xyl_shard_count, unsigned(void));
SAME(xyl_scope_new, struct xyl_scope *(struct xyl_scope *));
SAME(xyl_scope_root, int(struct xyl_scope *, void *));
SAME(xyl_scope_count, size_t(const struct xyl_scope *));
SAME(xyl_scope_abort, void(struct xyl_scope *));
SAME(xyl_scope_next, xyl_pending(struct xyl_scope *, struct xyl_task **));
SAME(xyl_scope_join, xyl_pending(struct xyl_scope *));
SAME(xyl_scope_close, xyl_pending(struct xyl_scope *));
SAME(xyl_scope_detach, void(struct xyl_scope *));
SAME(xyl_future_new, struct xyl_future *(void));
SAME(xyl_future_set, int(struct xyl_future *, ssize_t));
SAME(xyl_future_get, xyl_pending(struct xyl_future *));
SAME(xyl_future_wait, ssize_t(struct xyl_future *, int64_t));
SAME(xyl_later, struct xyl_future *(xyl_pending));

/* ---- channels, tokens, bounds, time ----------------------------------------------------- */

SAME(XYL_CONFLATED, ptrdiff_t);
SAME(XYL_UNLIMITED, ptrdiff_t);
SAME(xyl_chan_new, struct xyl_chan *(size_t, ptrdiff_t));
SAME(xyl_send, xyl_pending(struct xyl_chan *, const void *));
SAME(xyl_recv, xyl_pending(struct xyl_chan *, void *));
SAME(xyl_try_send, int(struct xyl_chan *, const void *));
SAME(xyl_try_recv, int(struct xyl_chan *, void *));
SAME(xyl_chan_close, void(struct xyl_chan *));
SAME(xyl_chan_len, size_t(const struct xyl_chan *));
SAME(xyl_chan_stats, void(const struct xyl_chan *, struct xyl_chan_stats *));
SAME(xyl_cancel_new, struct xyl_cancel *(struct xyl_cancel *));
SAME(xyl_cancel_fire, void(struct xyl_cancel *));
SAME(xyl_cancel_is_fired, bool(const struct xyl_cancel *));
SAME(xyl_cancel_wait, xyl_pending(struct xyl_cancel *));
SAME(xyl_within, xyl_pending(xyl_pending, int64_t));
SAME(xyl_until, xyl_pending(xyl_pending, struct xyl_cancel *));
SAME(xyl_now, int64_t(void));
SAME(xyl_sleep, xyl_pending(int64_t));
SAME(xyl_sleep_until, xyl_pending(int64_t));
SAME(xyl_interval_new, struct xyl_interval *(int64_t, int64_t, enum xyl_missed));
SAME(xyl_interval_tick, xyl_pending(struct xyl_interval *));

/* ---- I/O -------------------------------------------------------------------------------- */

SAME(xyl_io_from_fd, struct xyl_io *(int));
SAME(xyl_io_fd, int(const struct xyl_io *));
SAME(xyl_close, xyl_pending(struct xyl_io *));
SAME(xyl_read, xyl_pending(struct xyl_io *, void *, size_t));
SAME(xyl_write, xyl_pending(struct xyl_io *, const void *, size_t));
SAME(xyl_read_full, xyl_pending(struct xyl_io *, void *, size_t));
SAME(xyl_write_all, xyl_pending(struct xyl_io *, const void *, size_t));
SAME(xyl_open, xyl_pending(struct xyl_io **, const char *, int, mode_t));
SAME(xyl_read_at, xyl_pending(struct xyl_io *, void *, size_t, int64_t));
SAME(xyl_write_at, xyl_pending(struct xyl_io *, const void *, size_t, int64_t));
SAME(xyl_fsync, xyl_pending(struct xyl_io *));
SAME(xyl_splice, xyl_pending(struct xyl_io *, struct xyl_io *, size_t));
SAME(xyl_tcp_listen, int(struct xyl_io **, const char *, const char *));
SAME(xyl_unix_listen, int(struct xyl_io **, const char *));
SAME(xyl_accept, xyl_pending(struct xyl_io *, struct xyl_io **));
SAME(xyl_tcp_connect, xyl_pending(struct xyl_io **, const char *, const char *));
SAME(xyl_unix_connect, xyl_pending(struct xyl_io **, const char *));
SAME(xyl_shutdown, xyl_pending(struct xyl_io *, int));
SAME(xyl_poll, xyl_pending(int, unsigned));
SAME(xyl_submit, xyl_pending(prep_fn *, void *, void *const[], size_t));

/* ---- threads, runtime ------------------------------------------------------------------- */

SAME(xyl_thread_attach, int(void));
SAME(xyl_thread_detach, int(void));
SAME(xyl_runtime_new, int(struct xyl_runtime **, const struct xyl_config *));
SAME(xyl_runtime_start, int(struct xyl_runtime *));
SAME(xyl_runtime_drive, int(struct xyl_runtime *, unsigned));
SAME(xyl_runtime_stop, int(struct xyl_runtime *, int64_t));
SAME(xyl_runtime_stats, void(const struct xyl_runtime *, struct xyl_stats *));
SAME(xyl_runtime_why, const char *(void));

/* ---- the macros ------------------------------------------------------------------------- */

struct stage {
	struct xyl_frame frame;
	struct xyl_chan *from, *to;
	struct xyl_cancel *token;
	struct xyl_scope *scope;
	struct xyl_future *future;
	struct xyl_interval *interval;
	struct xyl_task *task;
	long job;
	ssize_t n;
};

static xyl_step stage(void *frame)
{
	struct stage *self = frame;

	XYL_BEGIN(self)
	do {
		XYL_AWAIT(self->n,
			  xyl_select(xyl_on_recv(self->from, &self->job),
				     xyl_on_recv(self->from, NULL),
				     xyl_on_send(self->to, &self->job), xyl_on_done(self->task),
				     xyl_on_future(self->future), xyl_on_cancel(self->token),
				     xyl_on_timeout(XYL_SEC), xyl_on_default()));
	} while (self->n == 0);
	self->interval = xyl_interval_new(xyl_now(), 10 * XYL_MS, XYL_SKIP);
	XYL_AWAIT(self->n, xyl_within(xyl_interval_tick(self->interval), 20 * XYL_US));
	XYL_AWAIT(self->n, xyl_until(xyl_call(stage, .token = self->token), self->token));
	self->scope = xyl_scope_new(NULL);
	self->task = xyl_scope_spawn(self->scope, stage, .from = self->from);
	self->future = xyl_later(xyl_send(self->to, &(long){ 1 }));
	XYL_AWAIT(self->n, xyl_scope_next(self->scope, &self->task));
	if (self->n == -ENOENT)
		XYL_RETURN(xyl_result(self->task));
	{
		XYL_ROOTED(root, xyl_new(struct stage));
		xyl_spawn(stage, .token = xyl_root_get(root));
		xyl_spawn_at(XYL_ROUND, stage);
		xyl_spawn_at(xyl_shard() ? XYL_HERE : XYL_STEALABLE, stage);
	}
	XYL_END(self->n);
}

int main(void)
{
	struct xyl_placement places[] = { XYL_ON(1), XYL_STICKY(2), XYL_PREFER(3) };
	enum xyl_missed missed[] = { XYL_BURST, XYL_DELAY, XYL_SKIP };
	struct xyl_config config = { .shards = 1, .quiesce_ns = XYL_SEC };
	struct xyl_chan_stats counts = { .sent = 0 };
	struct xyl_case one = xyl_on_recv(NULL, NULL);
	struct xyl_runtime *rt = NULL;

	xyl_runtime_spawn(rt, places[0], stage, .job = missed[0]);
	counts.sent += counts.received + counts.bytes + counts.would_block + counts.timed_out;
	counts.sent += counts.canceled + counts.closed;
	one.ns = counts.first_ns + counts.last_ns + (int64_t)counts.sent;
	return (int)(one.ns + xyl_run(stage) + xyl_run_with(&config, stage));
}
