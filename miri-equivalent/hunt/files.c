/* SPDX-License-Identifier: MIT */
/*
 * Reads of a file are aborted, and opens.
 *
 * Design notes.  A read past the page cache takes the kernel a while and cannot be called
 * back: for that long the operation alone names the buffer of an aborted read.  So aborts
 * of long reads, which outlast a collection, are followed by one and by allocations of
 * the same size (churn.c).  An open
 * that comes too late must not leave its descriptor behind: main.c counts them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "miri-equivalent/hunt/hunt.h"

enum { PAGE = 4096, PAGES = 128, SHORT = 3, LONG = 16, READERS = 8, TURNS = 3, VICTIMS = 24 };
enum { LONG_EVERY = 8, CACHED_EVERY = 4, OPEN_EVERY = 8, FOREIGN_EVERY = 6 };

/* ---- one read ---------------------------------------------------------------------------- */

struct reader {
	struct xyl_frame frame;
	struct xyl_io *io;
	uint64_t number; /* of the file */
	size_t len;
	int64_t offset;
	unsigned char *foreign; /* malloc memory, or NULL */
	struct churn *churn;	/* to be fed once it is aborted, or NULL */
	unsigned char *buf;
	ssize_t n;
};

static unsigned char *page_aligned(unsigned char *bytes)
{
	return bytes + (PAGE - (uintptr_t)bytes % PAGE) % PAGE;
}

static xyl_pending read_begin(struct reader *self)
{
	self->buf = self->foreign ? self->foreign : page_aligned(xyl_alloc_bytes(self->len + PAGE));
	return xyl_read_at(self->io, self->buf, self->len, self->offset);
}

/* Those who were aborted have forgotten their buffers; the kernel is still at work. */
static void garbage_churn(const struct reader *self)
{
	xyl_collect();
	for (unsigned i = 0; i < READERS; i++)
		churn_feed(self->churn, self->len + PAGE);
}

static void read_end(struct reader *self)
{
	hunt_count_cut(CUT_READ_AT, self->n);
	if (self->n == -ECANCELED) {
		if (self->foreign)
			memset(self->foreign, SCORCHED, self->len);
		self->buf = NULL;
		if (self->churn)
			garbage_churn(self);
		return;
	}
	EXPECT(self->n == (ssize_t)self->len, "a read of %zu bytes of a file gave %zd", self->len,
	       self->n);
	numbers_check(self->buf, self->number, (uint64_t)self->offset, self->len);
	books.file_reads++;
}

static xyl_step reader(void *frame)
{
	struct reader *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, read_begin(self));
	read_end(self);
	XYL_END(self->n);
}

/* ---- one open ------------------------------------------------------------------------------ */

struct opener {
	struct xyl_frame frame;
	const char *path;
	int flags;
	struct xyl_io *io;
	ssize_t n;
};

static xyl_step opener(void *frame)
{
	struct opener *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_open(&self->io, self->path, self->flags, 0600));
	hunt_count_cut(CUT_OPEN, self->n);
	if (self->n == 0) {
		books.opens++;
		XYL_AWAIT(self->n, xyl_close(self->io));
	} else {
		EXPECT(self->n == -ECANCELED, "open gave %zd", self->n);
	}
	XYL_END(self->n);
}

/* ---- a round --------------------------------------------------------------------------------- */

struct file_hunt {
	struct xyl_frame frame;
	struct hunter hunter;
	uint64_t number;
	const char *folder;
	char *path;
	struct xyl_io *direct, *cached;
	struct churn *churn;
	struct xyl_task *tasks[READERS];
	unsigned char *foreign[READERS];
	bool churns; /* in this round */
	size_t len;  /* of its reads */
	unsigned i, turns;
	ssize_t n;
};

static struct xyl_task *reader_new(struct file_hunt *self, unsigned i)
{
	struct hunter *hunter = &self->hunter;
	struct xyl_io *io = hunter_roll(hunter, CACHED_EVERY) ? self->direct : self->cached;
	int64_t offset = (int64_t)hunter_roll(hunter, PAGES - LONG) * PAGE;
	bool is_last = i == READERS - 1;

	if (hunter_roll(hunter, FOREIGN_EVERY) == 0)
		self->foreign[i] = aligned_alloc(PAGE, self->len);
	return xyl_spawn(reader, .io = io, .number = self->number, .len = self->len,
			 .offset = offset, .foreign = self->foreign[i],
			 .churn = self->churns && is_last ? self->churn : NULL);
}

/* To create or truncate the kernel takes a thread of its own. */
static struct xyl_task *opener_new(struct file_hunt *self)
{
	return xyl_spawn(opener, .path = self->path,
			 .flags = hunter_roll(&self->hunter, 2) ? O_RDONLY : O_RDWR | O_CREAT);
}

static void round_begin(struct file_hunt *self)
{
	self->churns = hunter_roll(&self->hunter, LONG_EVERY) == 0;
	self->turns = self->churns ? 0 : (unsigned)hunter_roll(&self->hunter, TURNS);
	self->len = self->churns ? LONG * PAGE : (1 + hunter_roll(&self->hunter, SHORT)) * PAGE;
	for (unsigned i = 0; i < READERS; i++) {
		self->tasks[i] = hunter_roll(&self->hunter, OPEN_EVERY) ? reader_new(self, i)
									: opener_new(self);
		EXPECT(self->tasks[i], "no reader");
	}
}

static xyl_pending round_turn(struct file_hunt *self)
{
	for (uint64_t aborts = hunter_roll(&self->hunter, READERS); aborts; aborts--)
		hunter_abort(&self->hunter, self->tasks, READERS);
	return xyl_yield();
}

static void round_end(struct file_hunt *self)
{
	for (unsigned i = 0; i < READERS; i++) {
		if (self->foreign[i] && xyl_is_aborted(self->tasks[i]) &&
		    xyl_result(self->tasks[i]) == -ECANCELED)
			EXPECT(bytes_are(self->foreign[i], self->len, SCORCHED),
			       "the kernel wrote to malloc memory after its reader went on");
		free(self->foreign[i]);
		self->foreign[i] = NULL;
		self->tasks[i] = NULL;
	}
}

/* ---- before and after ------------------------------------------------------------------------ */

static void file_write(const char *path, uint64_t number)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	unsigned char *bytes = malloc(PAGES * PAGE);

	EXPECT(fd >= 0 && bytes, "no file %s: %s", path, strerror(errno));
	numbers_fill(bytes, number, 0, PAGES * PAGE);
	if (write(fd, bytes, PAGES * PAGE) != PAGES * PAGE || fsync(fd) < 0)
		hunt_failed("cannot write %s: %s", path, strerror(errno));
	free(bytes);
	close(fd);
}

/* Not every file system reads past its cache. */
static struct xyl_io *file_handle(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	struct xyl_io *io;

	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	io = xyl_io_from_fd(fd);
	EXPECT(io, "cannot open %s", path);
	return io;
}

static void files_open(struct file_hunt *self)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%u", self->folder, (unsigned)self->number);
	self->path = xyl_strdup(path);
	file_write(path, self->number);
	self->direct = file_handle(path, O_DIRECT);
	self->cached = file_handle(path, 0);
	self->churn = churn_new(VICTIMS);
}

static xyl_step file_hunt(void *frame)
{
	struct file_hunt *self = frame;

	XYL_BEGIN(self)
	files_open(self);
	while (self->hunter.left) {
		round_begin(self);
		for (; self->turns; self->turns--)
			XYL_AWAIT(self->n, xyl_yield());
		XYL_AWAIT(self->n, round_turn(self));
		for (self->i = 0; self->i < READERS; self->i++)
			XYL_AWAIT(self->n, xyl_join(self->tasks[self->i]));
		round_end(self);
	}
	XYL_AWAIT(self->n, xyl_close(self->direct));
	XYL_AWAIT(self->n, xyl_close(self->cached));
	churn_check(self->churn);
	unlink(self->path);
	XYL_END(0);
}

struct xyl_task *files_spawn(struct hunter hunter, uint64_t number, const char *folder)
{
	return xyl_spawn(file_hunt, .hunter = hunter, .number = number, .folder = folder);
}
