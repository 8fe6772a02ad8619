/* SPDX-License-Identifier: MIT */
/*
 * fanout.c - walks from files to those they include, and on, breadth first.
 *
 *	fanout [-n OPEN] [-d DEPTH] [-I DIR]... FILE...
 *
 * prints each file that is reached by #include "...", once, and in how many steps.  At most
 * OPEN files (8) are open at a time, and none is further away than DEPTH steps.
 *
 * The lesson: fan out as far as the work goes, and limit what is scarce.  Each file of a
 * level gets a task, be they thousands: a task that waits costs some hundred bytes.  What
 * is scarce here is descriptors: whoever opens a file takes a permit of a semaphore before,
 * and returns it after.  When the scope of a level is joined all its files have been read,
 * and plain code makes the next level of what they name.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xylem/xylem.h>

enum { BUCKETS = 1024, DIRS = 64 };

struct page {
	struct page *next; /* of its level */
	struct page *same; /* of its bucket */
	dev_t dev;
	ino_t ino;
	char *path;
	struct xyl_array links; /* char *: what it includes */
	ssize_t error;
};

struct walk {
	int open_max, depth_max, failures;
	size_t ndirs;
	const char *dirs[DIRS];
	struct xyl_semaphore *may_open;
	struct page *seen[BUCKETS]; /* by inode: a file may have many names */
	struct page *level, **level_end;
};

static void complain(struct walk *walk, const char *path, const char *what)
{
	fprintf(stderr, "fanout: %s: %s\n", path, what);
	walk->failures++;
}

/* ---- reading one ----------------------------------------------------------------------- */

/* Of a line that includes: the name, between its quotes. */
static int include_name(void *ret_elem, const void *elem, void *arg)
{
	const struct xyl_bytes *line = elem;
	char name[PATH_MAX];

	(void)arg;
	if (sscanf(line->bytes, " # include \"%4095[^\"]", name) != 1)
		return 0;
	*(char **)ret_elem = xyl_strdup(name);
	return *(char **)ret_elem ? 1 : -ENOMEM;
}

_Static_assert(PATH_MAX == 4096, "as it is in the format");

struct read_page {
	struct xyl_frame frame;
	struct walk *walk;
	struct page *page;
	struct xyl_io *io;
	struct xyl_stream *names;
	ssize_t n, ignored;
};

static xyl_step read_page(void *frame)
{
	struct read_page *self = frame;

	XYL_BEGIN(self)
	XYL_AWAIT(self->n, xyl_semaphore_acquire(self->walk->may_open, 1));
	if (self->n < 0)
		XYL_RETURN(self->n);
	XYL_AWAIT(self->n, xyl_open(&self->io, self->page->path, O_RDONLY, 0));
	if (self->n == 0) {
		self->names = xyl_stream_filter_map(xyl_stream_lines(self->io, 0), sizeof(char *),
						    include_name, NULL);
		XYL_AWAIT(self->n, xyl_stream_collect(self->names, &self->page->links));
		XYL_AWAIT(self->ignored, xyl_close(self->io));
	}
	if (self->n < 0)
		self->page->error = self->n;
	xyl_semaphore_release(self->walk->may_open, 1);
	XYL_END(0);
}

/* ---- from one level to the next -------------------------------------------------------- */

/* False: it has been seen, or there is no memory for it. */
static bool level_add(struct walk *walk, const char *path, const struct stat *status)
{
	struct page **bucket = &walk->seen[status->st_ino % BUCKETS], *page;

	for (page = *bucket; page; page = page->same)
		if (page->ino == status->st_ino && page->dev == status->st_dev)
			return true;
	page = xyl_new(struct page);
	if (!page)
		return false;
	page->path = xyl_strdup(path);
	page->dev = status->st_dev;
	page->ino = status->st_ino;
	page->same = *bucket;
	*bucket = *walk->level_end = page;
	walk->level_end = &page->next;
	return page->path != NULL;
}

/* Beside the file that includes it, or in one of the folders, as a compiler looks. */
static void link_add(struct walk *walk, const struct page *from, const char *name)
{
	const char *slash = strrchr(from->path, '/');
	char path[PATH_MAX];
	struct stat status;

	for (size_t i = 0; i <= walk->ndirs; i++) {
		int beside = slash ? (int)(slash - from->path) + 1 : 0;

		if (i == 0 || name[0] == '/')
			snprintf(path, sizeof(path), "%.*s%s", name[0] == '/' ? 0 : beside,
				 from->path, name);
		else
			snprintf(path, sizeof(path), "%s/%s", walk->dirs[i - 1], name);
		if (stat(path, &status) < 0)
			continue;
		if (!level_add(walk, path, &status))
			complain(walk, path, strerror(ENOMEM));
		return;
	}
	fprintf(stderr, "fanout: %s: includes \"%s\", which is not there\n", from->path, name);
	walk->failures++;
}

/* What the pages of a level name is the next one. */
static void level_next(struct walk *walk, bool last)
{
	struct page *page = walk->level;

	walk->level = NULL;
	walk->level_end = &walk->level;
	for (; page; page = page->next) {
		char **names = page->links.elems;

		if (page->error < 0)
			complain(walk, page->path, strerror((int)-page->error));
		for (size_t i = 0; i < page->links.count && !last; i++)
			link_add(walk, page, names[i]);
		page->links = (struct xyl_array){ 0 };
	}
}

/* ---- all of it ------------------------------------------------------------------------- */

struct fanout {
	struct xyl_frame frame;
	struct walk *walk;
	int depth;
	struct xyl_scope *scope;
	ssize_t n;
};

static ssize_t level_start(struct walk *walk, struct xyl_scope *scope, int depth)
{
	for (struct page *page = walk->level; page; page = page->next) {
		printf("%d %s\n", depth, page->path);
		if (!scope || !xyl_scope_spawn(scope, read_page, .walk = walk, .page = page))
			return -ENOMEM;
	}
	return 0;
}

static xyl_step fanout(void *frame)
{
	struct fanout *self = frame;

	XYL_BEGIN(self)
	for (; self->walk->level && self->depth <= self->walk->depth_max; self->depth++) {
		self->scope = xyl_scope_new(NULL);
		self->n = level_start(self->walk, self->scope, self->depth);
		if (self->n < 0)
			break; /* the tasks there are end with the runtime */
		XYL_AWAIT(self->n, xyl_scope_join(self->scope));
		if (self->n < 0)
			break;
		level_next(self->walk, self->depth == self->walk->depth_max);
	}
	XYL_END(self->n);
}

static bool number(const char *text, int least, int *ret_number)
{
	return sscanf(text, "%d", ret_number) == 1 && *ret_number >= least;
}

static bool options_read(struct walk *walk, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "n:d:I:")) != -1) {
		if (option == 'I' && walk->ndirs < DIRS)
			walk->dirs[walk->ndirs++] = optarg;
		else if (!(option == 'n' && number(optarg, 1, &walk->open_max)) &&
			 !(option == 'd' && number(optarg, 0, &walk->depth_max)))
			return false;
	}
	return optind < argc;
}

int main(int argc, char **argv)
{
	static struct walk walk = { .open_max = 8, .depth_max = INT_MAX };
	struct stat status;
	ssize_t n;

	walk.level_end = &walk.level;
	if (!options_read(&walk, argc, argv)) {
		fprintf(stderr, "usage: fanout [-n OPEN] [-d DEPTH] [-I DIR]... FILE...\n");
		return 2;
	}
	walk.may_open = xyl_semaphore_new((size_t)walk.open_max);
	for (; optind < argc; optind++)
		if (stat(argv[optind], &status) < 0 || !level_add(&walk, argv[optind], &status))
			complain(&walk, argv[optind], strerror(errno));
	n = walk.may_open ? xyl_run(fanout, .walk = &walk) : -ENOMEM;
	if (n < 0)
		fprintf(stderr, "fanout: %s %s\n", strerror((int)-n), xyl_runtime_why());
	return n < 0 || walk.failures > 0;
}
