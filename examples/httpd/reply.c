/* SPDX-License-Identifier: MIT */
/*
 * reply.c - finds the file and writes the head.  Nothing here waits.
 *
 * Design notes.  Only the kernel can say whether a path stays below a directory: a check
 * of the text misses symbolic links, and realpath() may see another tree than the open()
 * that follows it.  So files are opened by openat2(RESOLVE_BENEATH), which refuses at each
 * step of its walk to leave, be it by "..", by a link, or by both.
 *
 * That call is made here and now, not on the ring: a path in the kernel's cache takes two
 * microseconds.  A server over a slow disk would do it on a thread.
 */
#define _GNU_SOURCE 1
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "reply.h"

/* ---- the file -------------------------------------------------------------------------- */

static int open_beneath(int root_fd, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof how);

	return fd < 0 ? -errno : (int)fd;
}

int reply_root_open(const char *path)
{
	int root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = root_fd < 0 ? -errno : open_beneath(root_fd, ".", O_RDONLY | O_DIRECTORY);

	/* Asked once now, so that an old kernel or a filter is not taken for 404s. */
	if (fd < 0 && root_fd >= 0)
		close(root_fd);
	if (fd < 0)
		return fd;
	close(fd);
	return root_fd;
}

/* A regular file to read from; -EISDIR or another error. */
static int file_open(int root_fd, const char *path, struct stat *ret_stat)
{
	/* O_NONBLOCK, for a FIFO would make the open wait; a file we read is rid of it. */
	int fd = open_beneath(root_fd, path, O_RDONLY | O_NONBLOCK);
	int error = ENOENT;

	if (fd < 0)
		return fd;
	if (fstat(fd, ret_stat) < 0)
		error = errno;
	else if (S_ISDIR(ret_stat->st_mode))
		error = EISDIR;
	else if (S_ISREG(ret_stat->st_mode) && fcntl(fd, F_SETFL, 0) == 0)
		return fd;
	close(fd);
	return -error;
}

/* The same, or what stands for a directory.  path has room for the added name and is the
 * name of the file afterwards. */
static int file_find(int root_fd, char *path, struct stat *ret_stat)
{
	static const char *const names[] = { "index.html", "README.md" };
	size_t len = strlen(path);
	int fd = file_open(root_fd, len ? path : ".", ret_stat);

	if (fd != -EISDIR)
		return fd;
	if (len && path[len - 1] != '/')
		path[len++] = '/';
	for (size_t i = 0; fd < 0 && i < sizeof names / sizeof *names; i++) {
		strcpy(path + len, names[i]);
		fd = file_open(root_fd, path, ret_stat);
	}
	return fd;
}

static const char *content_type(const char *path)
{
	static const char *const types[][2] = {
		{ "html", "text/html; charset=utf-8" },
		{ "css", "text/css; charset=utf-8" },
		{ "md", "text/markdown; charset=utf-8" },
		{ "txt", "text/plain; charset=utf-8" },
		{ "c", "text/plain; charset=utf-8" },
		{ "h", "text/plain; charset=utf-8" },
		{ "js", "text/javascript; charset=utf-8" },
		{ "json", "application/json" },
		{ "svg", "image/svg+xml" },
		{ "png", "image/png" },
		{ "jpg", "image/jpeg" },
		{ "pdf", "application/pdf" },
	};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
		if (strcasecmp(dot + 1, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

/* ---- the head -------------------------------------------------------------------------- */

static const char *reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 206: return "Partial Content";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 416: return "Range Not Satisfiable";
	case 417: return "Expectation Failed";
	case 431: return "Request Header Fields Too Large";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	default: return "Internal Server Error";
	}
}

/* EXDEV is what leaving the directory gives: nothing is there, as far as we tell. */
static int status_of(int error)
{
	switch (-error) {
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case EXDEV: return 404;
	case EACCES:
	case EPERM: return 403;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN: return 503;
	default: return 500;
	}
}

#define HTTP_TIME "%a, %d %b %Y %H:%M:%S GMT"

static char *http_time(time_t when, char text[static 32])
{
	struct tm tm;

	strftime(text, 32, HTTP_TIME, gmtime_r(&when, &tm));
	return text;
}

static const char *http_now(void)
{
	static char text[32];
	static time_t last;
	time_t now = time(NULL);

	if (now != last)
		http_time(last = now, text);
	return text;
}

/* All heads are far shorter than the buffer; the limit is there for the day they are not. */
__attribute__((format(printf, 2, 3))) static void put(struct reply *reply, const char *format, ...)
{
	size_t room = REPLY_BYTES - reply->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(reply->text + reply->len, room, format, args);
	va_end(args);
	reply->len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static void put_status(struct reply *reply, const struct request *req, int status)
{
	reply->status = status;
	put(reply, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\n", status, reason(status),
	    http_now(), req->keep_alive ? "keep-alive" : "close");
}

/* An answer that is its own body.  extra is a header line, or nothing. */
static void put_error(struct reply *reply, const struct request *req, int status, const char *extra)
{
	put_status(reply, req, status);
	put(reply, "%sContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", extra,
	    strlen(reason(status)) + 5);
	if (req->parser.method != HTTP_HEAD)
		put(reply, "%d %s\n", status, reason(status));
}

/* ---- which part of the file, if any ---------------------------------------------------- */

/* Past the digits, or NULL if there are none: strtoll would take spaces and a sign as well.
 * A number too large becomes the largest, which is past the end of any file. */
static const char *number_parse(const char *text, int64_t *ret_number)
{
	char *end = NULL;

	if (isdigit((unsigned char)*text))
		*ret_number = strtoll(text, &end, 10);
	return end;
}

/* "bytes=a-b", "bytes=a-", "bytes=-n": 206, or 416 if the file has no such part.
 * Anything else, a list too, may be answered with the whole file: 200. */
static int range_parse(const char *text, int64_t size, int64_t *ret_at, int64_t *ret_len)
{
	int64_t first = 0, last = INT64_MAX, suffix = 0;

	if (strncasecmp(text, "bytes=", 6) != 0)
		return 200;
	text += 6;
	if (*text == '-') {
		text = number_parse(text + 1, &suffix);
		first = suffix < size ? size - suffix : 0;
	} else {
		text = number_parse(text, &first);
		if (!text || *text++ != '-')
			return 200;
		if (*text)
			text = number_parse(text, &last);
	}
	if (!text || *text || last < first)
		return 200;
	if (first >= size)
		return 416;
	*ret_at = first;
	*ret_len = (last < size ? last + 1 : size) - first;
	return 206;
}

static bool unchanged_since(const char *text, time_t modified)
{
	struct tm tm = { .tm_sec = 0 };
	const char *end = strptime(text, HTTP_TIME, &tm);

	return end && !*end && modified <= timegm(&tm);
}

/* The status of an answer about this file; its part in reply->at and left. */
static int part_choose(struct reply *reply, const struct request *req, const struct stat *st,
		       const char *modified)
{
	const char *if_range = req->value[IF_RANGE];

	reply->at = 0;
	reply->left = st->st_size;
	if (unchanged_since(req->value[IF_MODIFIED_SINCE], st->st_mtime))
		return 304;
	if (req->parser.method == HTTP_HEAD || (*if_range && strcmp(if_range, modified) != 0))
		return 200;
	return range_parse(req->value[RANGE], st->st_size, &reply->at, &reply->left);
}

/* reply->left is 0 afterwards if no byte of the file is to follow. */
static void put_file(struct reply *reply, const struct request *req, const char *path,
		     const struct stat *st)
{
	char modified[32], extra[64];
	int status = part_choose(reply, req, st, http_time(st->st_mtime, modified));
	long long at = reply->at, left = reply->left, size = st->st_size;

	if (status == 304 || status == 416 || req->parser.method == HTTP_HEAD)
		reply->left = 0;
	if (status == 416) {
		snprintf(extra, sizeof extra, "Content-Range: bytes */%lld\r\n", size);
		put_error(reply, req, status, extra);
		return;
	}
	put_status(reply, req, status);
	put(reply, "Last-Modified: %s\r\nAccept-Ranges: bytes\r\n", modified);
	if (status == 206)
		put(reply, "Content-Range: bytes %lld-%lld/%lld\r\n", at, at + left - 1, size);
	if (status != 304)
		put(reply, "Content-Type: %s\r\nContent-Length: %lld\r\n", content_type(path),
		    left);
	put(reply, "\r\n");
}

void reply_make(struct reply *reply, const struct request *req, int root_fd)
{
	char path[URL_BYTES + sizeof "/index.html"];
	struct stat st;

	reply->len = 0;
	reply->fd = -1;
	reply->at = reply->left = 0;
	if (req->refused) {
		put_error(reply, req, req->refused, "");
	} else if (req->parser.method != HTTP_GET && req->parser.method != HTTP_HEAD) {
		put_error(reply, req, 405, "Allow: GET, HEAD\r\n");
	} else if (!request_path(req, path)) {
		put_error(reply, req, 400, "");
	} else {
		reply->fd = file_find(root_fd, path, &st);
		if (reply->fd < 0)
			put_error(reply, req, status_of(reply->fd), "");
		else
			put_file(reply, req, path, &st);
	}
	if (reply->fd >= 0 && reply->left == 0)
		close(reply->fd);
	if (reply->left == 0)
		reply->fd = -1;
}
