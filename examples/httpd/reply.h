/* SPDX-License-Identifier: MIT */
/* reply.h - from a request to the head of its answer and the file that follows it. */
#ifndef HTTPD_REPLY_H
#define HTTPD_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "request.h"

enum { REPLY_BYTES = 32 * 1024 };

struct reply {
	char *text; /* the caller's, of REPLY_BYTES */
	size_t len; /* of text: the head, and a short body if it is an error */
	int status;
	int fd;		  /* the file to send from, now the caller's; -1: none */
	int64_t at, left; /* of the file: where to begin, and how much */
};

/* The served directory: a descriptor, or a negative errno. */
int reply_root_open(const char *path);

/* Never fails: what goes wrong is an answer, too.  All but text is set. */
void reply_make(struct reply *reply, const struct request *req, int root_fd);

#endif
