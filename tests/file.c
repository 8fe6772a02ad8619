/* SPDX-License-Identifier: MIT */
/* Files: open, positional reads and writes at depth 1 and 32, fsync; readiness. */
#include <sys/eventfd.h>

#include "tests/hand.h"
#include "tests/raw.h"
#include "tests/run.h"

enum { BLOCK = 4096, DEPTH_MAX = 32 };

/* ---- a pattern over 16 MiB ----------------------------------------- */

struct pattern {
	struct xyl_io *io;
	int64_t len, next; /* where the next block is to be written, or read */
};

static uint64_t word_at(int64_t offset)
{
	return (uint64_t)offset * UINT64_C(0x9e3779b97f4a7c15) ^ 0x5851f42d4c957f2dULL;
}

static void block_fill(uint64_t *block, int64_t offset)
{
	for (int i = 0; i < BLOCK / 8; i++)
		block[i] = word_at(offset + 8 * i);
}

static void block_check(const uint64_t *block, int64_t offset)
{
	for (int i = 0; i < BLOCK / 8; i++)
		CHECK_EQ(block[i], word_at(offset + 8 * i));
}

struct worker {
	struct xyl_frame frame;
	struct pattern *pattern;
	bool reads;
	uint64_t *block;
	int64_t offset;
	ssize_t n;
};

static void *block_new(void)
{
	return (void *)(((uintptr_t)xyl_alloc_bytes(2 * BLOCK) + BLOCK - 1) &
			~(uintptr_t)(BLOCK - 1));
}

static xyl_step worker(void *frame)
{
	struct worker *self = frame;

	XYL_BEGIN(self)
	self->block = block_new();
	while ((self->offset = self->pattern->next) < self->pattern->len) {
		self->pattern->next += BLOCK;
		if (self->reads) {
			memset(self->block, 0, BLOCK);
			XYL_AWAIT(self->n,
				  xyl_read_at(self->pattern->io, self->block, BLOCK, self->offset));
			block_check(self->block, self->offset);
		} else {
			block_fill(self->block, self->offset);
			XYL_AWAIT(self->n, xyl_write_at(self->pattern->io, self->block, BLOCK,
							self->offset));
		}
		CHECK_EQ(self->n, BLOCK);
	}
	XYL_END(0);
}

struct crew {
	struct xyl_frame frame;
	struct pattern *pattern;
	bool reads;
	int depth, i;
	struct xyl_task *tasks[DEPTH_MAX];
	ssize_t n;
};

static xyl_step crew(void *frame)
{
	struct crew *self = frame;

	XYL_BEGIN(self)
	self->pattern->next = 0;
	for (self->i = 0; self->i < self->depth; self->i++)
		self->tasks[self->i] = xyl_spawn(worker, .pattern = self->pattern,
						 .reads = self->reads);
	for (self->i = 0; self->i < self->depth; self->i++) {
		XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		CHECK_EQ(self->n, 0);
	}
	XYL_END(0);
}

struct check_pattern {
	struct xyl_frame frame;
	const char *path;
	int flags, depth;
	struct pattern *pattern;
	char *byte;
	ssize_t n;
};

static xyl_step check_pattern(void *frame)
{
	struct check_pattern *self = frame;

	XYL_BEGIN(self)
	self->pattern = xyl_new(struct pattern);
	self->pattern->len = (int64_t)(test_scaled((16 << 20) / BLOCK) * BLOCK);
	XYL_AWAIT(self->n, xyl_open(&self->pattern->io, self->path,
				    O_RDWR | O_CREAT | O_TRUNC | self->flags, 0600));
	if (self->n == -EINVAL && self->flags)
		XYL_RETURN(self->n);
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_call(crew, .pattern = self->pattern, .depth = self->depth));
	XYL_AWAIT(self->n, xyl_fsync(self->pattern->io));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n,
		  xyl_call(crew, .pattern = self->pattern, .depth = self->depth, .reads = true));
	self->byte = block_new();
	XYL_AWAIT(self->n, xyl_read_at(self->pattern->io, self->byte, BLOCK, self->pattern->len));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_close(self->pattern->io));
	XYL_END(self->n);
}

static void pattern_holds(int flags, int depth)
{
	struct folder folder = folder_make();
	ssize_t n = RUN(check_pattern, .path = folder.path, .flags = flags, .depth = depth);

	folder_remove(&folder);
	if (n == -EINVAL)
		SKIP("this file system has no O_DIRECT");
	CHECK_EQ(n, 0);
}

TEST(a_pattern_holds_at_depth_1)
{
	pattern_holds(0, 1);
}

TEST(a_pattern_holds_at_depth_32)
{
	pattern_holds(0, 32);
}

TEST(a_pattern_holds_past_the_page_cache_at_depth_1)
{
	pattern_holds(O_DIRECT, 1);
}

TEST(a_pattern_holds_past_the_page_cache_at_depth_32)
{
	pattern_holds(O_DIRECT, 32);
}

/* ---- one operation each ------------------------------------------------------------------ */

struct file {
	struct driven driven;
	struct folder folder;
	struct xyl_io *io;
};

struct opening {
	struct xyl_frame frame;
	struct xyl_io **ret_io;
	const char *path;
	int flags;
	mode_t mode;
	ssize_t n;
};

static xyl_step opening(void *frame)
{
	struct opening *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_open(self->ret_io, self->path, self->flags, self->mode));
	XYL_END(self->n);
}

#define OPEN(file, ...)            \
	hand_join(&(file)->driven, \
		  DRIVE_SPAWN(&(file)->driven, opening, .ret_io = &(file)->io, __VA_ARGS__))

struct at {
	struct xyl_frame frame;
	struct xyl_io *io;
	char *buf;
	size_t len;
	int64_t offset;
	enum { READ_AT, WRITE_AT, FSYNC, POLL } what;
	int fd;
	ssize_t n;
};

static xyl_pending at_start(const struct at *at)
{
	switch (at->what) {
	case READ_AT: return xyl_read_at(at->io, at->buf, at->len, at->offset);
	case WRITE_AT: return xyl_write_at(at->io, at->buf, at->len, at->offset);
	case FSYNC: return xyl_fsync(at->io);
	case POLL:
	default: return xyl_poll(at->fd, (unsigned)at->len);
	}
}

static xyl_step at(void *frame)
{
	struct at *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, at_start(self));
	XYL_END(self->n);
}

#define AT(file, ...) \
	hand_join(&(file)->driven, DRIVE_SPAWN(&(file)->driven, at, .io = (file)->io, __VA_ARGS__))

static struct file file_begin(void)
{
	return (struct file){ .driven = drive_begin(NULL), .folder = folder_make() };
}

static void file_end(struct file *file)
{
	if (file->io)
		HAND_CLOSE(&file->driven, file->io);
	folder_remove(&file->folder);
	drive_end(&file->driven);
}

TEST(an_open_that_fails_says_why)
{
	struct file file = file_begin();

	CHECK_EQ(OPEN(&file, .path = file.folder.path, .flags = O_RDONLY), -ENOENT);
	CHECK_EQ(OPEN(&file, .path = file.folder.dir, .flags = O_RDWR), -EISDIR);
	CHECK_EQ(OPEN(&file, .path = "", .flags = O_RDONLY), -ENOENT);
	CHECK_EQ(OPEN(&file, .path = "/dev/null/x", .flags = O_RDONLY), -ENOTDIR);
	CHECK(!file.io);
	file_end(&file);
}

TEST(a_new_file_has_the_mode_and_is_closed_on_exec)
{
	struct file file = file_begin();
	struct stat st;

	CHECK_EQ(OPEN(&file, .path = file.folder.path, .flags = O_RDWR | O_CREAT | O_EXCL,
		      .mode = 0640),
		 0);
	CHECK_EQ(fstat(xyl_io_fd(file.io), &st), 0);
	CHECK_EQ(st.st_mode & 0700, 0600);
	CHECK_EQ(st.st_mode & 0007, 0);
	CHECK(fcntl(xyl_io_fd(file.io), F_GETFD) & FD_CLOEXEC);
	HAND_CLOSE(&file.driven, file.io);
	file.io = NULL;
	CHECK_EQ(OPEN(&file, .path = file.folder.path, .flags = O_RDWR | O_CREAT | O_EXCL,
		      .mode = 0640),
		 -EEXIST);
	file_end(&file);
}

TEST(reads_stop_at_the_end_and_writes_leave_holes)
{
	struct file file = file_begin();
	char *buf = xyl_alloc(BLOCK);

	CHECK_EQ(OPEN(&file, .path = file.folder.path, .flags = O_RDWR | O_CREAT, .mode = 0600), 0);
	CHECK_EQ(AT(&file, .what = WRITE_AT, .buf = xyl_strdup("end"), .len = 3, .offset = 100), 3);
	CHECK_EQ(AT(&file, .buf = buf, .len = BLOCK, .offset = 90), 13);
	CHECK(!memcmp(buf, "\0\0\0\0\0\0\0\0\0\0end", 13));
	CHECK_EQ(AT(&file, .buf = buf, .len = BLOCK, .offset = 103), 0);
	CHECK_EQ(AT(&file, .buf = buf, .len = BLOCK, .offset = 1 << 20), 0);
	CHECK_EQ(AT(&file, .buf = buf, .len = 0, .offset = 0), 0);
	CHECK_EQ(AT(&file, .buf = buf, .len = 1, .offset = -1), -EINVAL);
	CHECK_EQ(AT(&file, .what = WRITE_AT, .buf = buf, .len = 1, .offset = -1), -EINVAL);
	CHECK_EQ(AT(&file, .what = FSYNC), 0);
	CHECK_EQ(lseek(xyl_io_fd(file.io), 0, SEEK_CUR), 0);
	file_end(&file);
}

TEST(a_file_opened_for_one_way_refuses_the_other)
{
	struct file file = file_begin();
	char *buf = xyl_alloc(1);

	CHECK_EQ(OPEN(&file, .path = file.folder.path, .flags = O_WRONLY | O_CREAT, .mode = 0600),
		 0);
	CHECK_EQ(AT(&file, .buf = buf, .len = 1), -EBADF);
	CHECK_EQ(AT(&file, .what = WRITE_AT, .buf = buf, .len = 1), 1);
	HAND_CLOSE(&file.driven, file.io);
	CHECK_EQ(OPEN(&file, .path = file.folder.path, .flags = O_RDONLY), 0);
	CHECK_EQ(AT(&file, .what = WRITE_AT, .buf = buf, .len = 1), -EBADF);
	CHECK_EQ(AT(&file, .buf = buf, .len = 1), 1);
	file_end(&file);
}

TEST(a_foreign_buffer_does_as_well)
{
	struct file file = file_begin();
	char on_stack[8] = "", *in_malloc = strdup("foreign");

	CHECK_EQ(OPEN(&file, .path = file.folder.path, .flags = O_RDWR | O_CREAT, .mode = 0600), 0);
	CHECK_EQ(AT(&file, .what = WRITE_AT, .buf = in_malloc, .len = 8), 8);
	CHECK_EQ(AT(&file, .buf = on_stack, .len = 8), 8);
	CHECK(!strcmp(on_stack, "foreign"));
	free(in_malloc);
	file_end(&file);
}

TEST(what_is_no_file_is_not_synced)
{
	struct file file = file_begin();
	int peer;

	file.io = raw_socketpair(&peer);
	CHECK_EQ(AT(&file, .what = FSYNC), -EINVAL);
	close(peer);
	file_end(&file);
}

/* ---- the path ------------------------------------------------------------------------------ */

struct open_path {
	struct xyl_frame frame;
	const char *path;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_step open_path(void *frame)
{
	struct open_path *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_open(&self->io, self->path, O_RDWR | O_CREAT, 0600));
	CHECK_EQ(self->n, 0);
	XYL_AWAIT(self->n, xyl_close(self->io));
	XYL_END(self->n);
}

struct scribble {
	struct xyl_frame frame;
	char *text;
};

static xyl_step scribble(void *frame)
{
	struct scribble *self = frame;

	XYL_BEGIN(self)
	memset(self->text, '/', strlen(self->text));
	XYL_END(0);
}

/* Its task waits, and the kernel was not asked yet: another one runs first. */
TEST(the_path_of_an_open_may_be_used_anew_at_once)
{
	struct driven driven = drive_begin(NULL);
	struct folder folder = folder_make();
	char *path = xyl_strdup(folder.path);
	struct xyl_task *task = DRIVE_SPAWN(&driven, open_path, .path = path);

	DRIVE_SPAWN(&driven, scribble, .text = path);
	CHECK_EQ(hand_join(&driven, task), 0);
	CHECK_EQ(access(folder.path, F_OK), 0);
	folder_remove(&folder);
	drive_end(&driven);
}

/* ---- readiness ----------------------------------------------------------------------------- */

TEST(a_descriptor_that_is_ready_is_polled_at_once)
{
	struct file file = file_begin();
	int fd = eventfd(1, EFD_CLOEXEC);

	CHECK_EQ(AT(&file, .what = POLL, .fd = fd, .len = POLLIN), POLLIN);
	CHECK_EQ(AT(&file, .what = POLL, .fd = fd, .len = POLLIN | POLLOUT), POLLIN | POLLOUT);
	close(fd);
	file_end(&file);
}

TEST(a_poll_waits_until_something_comes)
{
	struct file file = file_begin();
	int fds[2];
	struct xyl_task *task;

	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	task = DRIVE_SPAWN(&file.driven, at, .what = POLL, .fd = fds[0], .len = POLLIN);
	hand_turns(&file.driven, 3);
	CHECK(!xyl_is_done(task));
	raw_send(fds[1], "x");
	CHECK_EQ(hand_join(&file.driven, task), POLLIN);
	CHECK_EQ(raw_drain(fds[0]), 1);
	task = DRIVE_SPAWN(&file.driven, at, .what = POLL, .fd = fds[0], .len = POLLIN);
	hand_turn(&file.driven);
	close(fds[1]);
	CHECK_EQ(hand_join(&file.driven, task) & POLLHUP, POLLHUP);
	close(fds[0]);
	CHECK_EQ(AT(&file, .what = POLL, .fd = -1, .len = POLLIN), -EBADF);
	file_end(&file);
}
