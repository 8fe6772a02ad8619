/* SPDX-License-Identifier: MIT */
/* request.h - one HTTP request, parsed as its bytes come in. */
#ifndef HTTPD_REQUEST_H
#define HTTPD_REQUEST_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { URL_BYTES = 2048, VALUE_BYTES = 96, HEAD_LIMIT = 8192, BODY_LIMIT = 64 * 1024 };

/* The headers we read.  All others are parsed and forgotten. */
enum { HOST, RANGE, IF_RANGE, IF_MODIFIED_SINCE, EXPECT, WANTED, UNWANTED = -1 };

/* Text, and no pointers but the parser's own back to here: the collector need not look. */
struct request {
	http_parser parser;
	bool begun, complete; /* its first byte has come; its last one has */
	bool keep_alive, in_value;
	int refused;   /* a status: answer that, and read no further */
	int which;     /* the header whose value is coming in */
	unsigned seen; /* which headers came, one bit each */
	uint64_t body_bytes;
	char name[24], value[WANTED][VALUE_BYTES], url[URL_BYTES];
};

/* Before each request. */
void request_reset(struct request *req);

/* Parses up to the end of the request, where req->complete or req->refused says so, and
 * returns how many of the bytes were used: the others belong to the next request. */
size_t request_feed(struct request *req, const char *text, size_t len);

/* The URL's path as a relative file name of less than URL_BYTES, its escapes decoded once.
 * False: there is none.  It may well hold "..". */
bool request_path(const struct request *req, char *ret_path);

#endif
