/* SPDX-License-Identifier: MIT */
/*
 * submission.h - an operation of the user's own: an SQE that he filled, and the objects
 * that it needs.
 *
 * The record keeps the SQE until it is published, and the objects until the last CQE.
 * The collector looks into it: what the SQE itself names is kept as well.
 */
#ifndef XYLI_IO_SUBMISSION_H
#define XYLI_IO_SUBMISSION_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/io_uring.h>

#include "rt/op.h"
#include "xylem/xylem.h"

struct xyli_chain;
struct xyli_shard;

struct xyli_submission {
	struct xyli_op op;	  /* first; its buf is one of the pins in foreign memory, or NULL */
	struct xyli_chain *chain; /* that it is a link of, or NULL */
	struct io_uring_sqe sqe;
	void *control; /* of a RECVMSG: where descriptors may arrive */
	size_t control_bytes;
	int res;       /* the first: the operation's */
	bool answered; /* it is here */
	size_t npins;
	void *pins[];
};

/* What an SQE of the user's may ask for besides; everything else breaks the bookkeeping. */
#define XYLI_SUBMISSION_FLAGS (IOSQE_FIXED_FILE | IOSQE_ASYNC)

/* Calls prep.  0, or why it cannot be: then nothing is left of it. */
int xyli_submission_new(struct xyli_shard *shard, const struct xyl_submission *what,
			const struct xyli_op_kind *kind, unsigned flags_allowed,
			struct xyli_submission **ret_submission);

/* For the kinds of operations that are submissions. */
void xyli_submission_prepare(struct xyli_op *op, struct io_uring_sqe *sqe);

/* A CQE has come.  True: it was the last, and `res` is what the operation gives. */
bool xyli_submission_settle(struct xyli_submission *submission, int res);

/* Its result is for nobody: close the descriptors that came with it. */
void xyli_submission_adopt(struct xyli_submission *submission);

#endif
