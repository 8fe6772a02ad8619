/* SPDX-License-Identifier: MIT */
/*
 * Design notes.  One rule for every opcode: the await ends with the last CQE and gives
 * the result of the first.  So a zero-copy send is over when its notification is here,
 * and an operation of many results is cancelled at its first.  Which opcodes have many
 * need not be known: F_MORE says so.
 *
 * What may come too late and would be lost is a descriptor, by itself or in a message.
 * Bytes are in a buffer that belongs to whoever has left; nobody else can be given them.
 */
#include "io/submission.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "gc/check.h"
#include "gc/heap.h"
#include "io/handle.h"

/* Newer than the headers may be. */
#define OP_PIPE 62	/* Linux 6.16 */
#define MESSAGE_PIDFD 4 /* SCM_PIDFD, Linux 6.5 */
#define SQES_GIVEN 2	/* prep may take it for one of 128 bytes */

/* ---- what may be asked for ---------------------------------------------------------- */

static int sqe_refuse(const struct io_uring_sqe sqes[SQES_GIVEN], unsigned flags_allowed)
{
	static const struct io_uring_sqe zeroes;

	if (sqes[0].flags & ~flags_allowed)
		return -EINVAL;
	/* It would hand memory to the ring for longer than it lives itself. */
	if (sqes[0].opcode == IORING_OP_PROVIDE_BUFFERS ||
	    sqes[0].opcode == IORING_OP_REMOVE_BUFFERS)
		return -EINVAL;
	return memcmp(&sqes[1], &zeroes, sizeof(zeroes)) ? -EINVAL : 0;
}

/* Transfers to and from these are not cancelled in the kernel. */
static bool fd_is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

static bool sqe_is_stubborn(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_READV:
	case IORING_OP_READ_FIXED:
	case IORING_OP_WRITE:
	case IORING_OP_WRITEV:
	case IORING_OP_WRITE_FIXED:
	case IORING_OP_FSYNC:
	case IORING_OP_SYNC_FILE_RANGE:
		return !(sqe->flags & IOSQE_FIXED_FILE) && fd_is_file(sqe->fd);
	default: return false;
	}
}

static bool sqe_is_zero_copy(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_SEND_ZC || sqe->opcode == IORING_OP_SENDMSG_ZC;
}

/* ---- the record --------------------------------------------------------------------- */

/* One of them in foreign memory is enough to wait for. */
static void pin_note(struct xyli_submission *submission, void *pin)
{
	if (pin && !xyli_heap_base(pin))
		submission->op.buf = pin;
}

/* Where we look for descriptors must last as long as the operation. */
static void results_pin(struct xyli_submission *submission)
{
	void *addr = (void *)(uintptr_t)submission->sqe.addr;
	const struct msghdr *msg = addr;

	if (submission->sqe.opcode == OP_PIPE)
		pin_note(submission, addr);
	if (submission->sqe.opcode != IORING_OP_RECVMSG || !addr)
		return;
	if (!msg->msg_control)
		return;
	submission->control = memset(msg->msg_control, 0, msg->msg_controllen);
	submission->control_bytes = msg->msg_controllen;
	pin_note(submission, submission->control);
}

static struct xyli_submission *submission_alloc(struct xyli_shard *shard,
						const struct xyl_submission *what)
{
	struct xyli_submission *submission;

	if (what->npins > SIZE_MAX / sizeof(void *) / 2)
		return NULL;
	submission = xyli_block_new(&shard->blocks,
				    sizeof(*submission) + what->npins * sizeof(void *));
	if (!submission)
		return NULL;
	submission->npins = what->npins;
	for (size_t i = 0; i < what->npins; i++) {
		submission->pins[i] = what->pins[i];
		pin_note(submission, what->pins[i]);
	}
	return submission;
}

int xyli_submission_new(struct xyli_shard *shard, const struct xyl_submission *what,
			const struct xyli_op_kind *kind, unsigned flags_allowed,
			struct xyli_submission **ret_submission)
{
	struct io_uring_sqe sqes[SQES_GIVEN];
	struct xyli_submission *submission = submission_alloc(shard, what);
	int r;

	if (!submission)
		return -ENOMEM;
	memset(sqes, 0, sizeof(sqes));
	what->prep(sqes, what->arg);
	r = sqe_refuse(sqes, flags_allowed);
	if (r < 0)
		return r;
	submission->sqe = sqes[0];
	submission->op.kind = kind;
	submission->op.opcode = sqes[0].opcode;
	submission->op.life.zero_copy = sqe_is_zero_copy(sqes);
	submission->op.life.stubborn = submission->op.prompt = sqe_is_stubborn(sqes);
	results_pin(submission);
	*ret_submission = submission;
	return 0;
}

/* ---- the checkers ------------------------------------------------------------------- */

static bool reads(const struct xyli_submission *submission)
{
	return submission->sqe.opcode == IORING_OP_READ || submission->sqe.opcode == IORING_OP_RECV;
}

static bool writes(const struct xyli_submission *submission)
{
	return submission->sqe.opcode == IORING_OP_WRITE ||
	       submission->sqe.opcode == IORING_OP_SEND;
}

static void checkers_tell_publish(const struct xyli_submission *submission)
{
	void *addr = (void *)(uintptr_t)submission->sqe.addr;

	if (reads(submission))
		xyli_check_kernel_writes(addr, submission->sqe.len);
	else if (writes(submission))
		xyli_check_kernel_reads(addr, submission->sqe.len);
}

static void checkers_tell_result(const struct xyli_submission *submission, int res)
{
	if (reads(submission) && res > 0)
		xyli_check_kernel_wrote((void *)(uintptr_t)submission->sqe.addr, (size_t)res);
}

void xyli_submission_prepare(struct xyli_op *op, struct io_uring_sqe *sqe)
{
	const struct xyli_submission *submission = (struct xyli_submission *)op;
	uint64_t tag = sqe->user_data;

	*sqe = submission->sqe;
	sqe->user_data = tag;
	checkers_tell_publish(submission);
}

/* ---- results that nobody waits for ---------------------------------------------------- */

static void fds_close(struct xyli_submission *submission, const void *fds, size_t n)
{
	int fd;

	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, (const char *)fds + i * sizeof(fd), sizeof(fd));
		if (fd >= 0)
			xyli_io_close_late(submission->op.shard, fd);
	}
}

/* How many descriptors it carries.  One that is longer than its buffer is not the
 * kernel's. */
static size_t message_fds(const struct cmsghdr *message, size_t room)
{
	if (message->cmsg_len < CMSG_LEN(0) || message->cmsg_len > room ||
	    message->cmsg_level != SOL_SOCKET)
		return 0;
	if (message->cmsg_type != SCM_RIGHTS && message->cmsg_type != MESSAGE_PIDFD)
		return 0;
	return (message->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

/* The buffer was clear: what is in it now is the kernel's.  The length that it gives is
 * not to be trusted: where it had to try twice, Linux 6.18 counts from behind what the
 * first try has left there.  What found no room (MSG_CTRUNC) never became descriptors. */
static void rights_adopt(struct xyli_submission *submission)
{
	struct msghdr msg = { .msg_control = submission->control,
			      .msg_controllen = submission->control_bytes };
	size_t n = 0;

	if (!submission->control)
		return;
	xyli_check_kernel_wrote(msg.msg_control, msg.msg_controllen);
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&msg); at; at = CMSG_NXTHDR(&msg, at)) {
		size_t before = (size_t)((char *)at - (char *)msg.msg_control);
		size_t fds = message_fds(at, msg.msg_controllen - before);

		fds_close(submission, CMSG_DATA(at), fds);
		n += fds;
	}
	if (n > 0)
		xyli_adopted(submission->op.shard, &submission->op.shard->stats.adopted_rights);
}

static void fds_adopt(struct xyli_submission *submission, const void *fds, size_t n,
		      uint64_t *count)
{
	if (submission->sqe.file_index)
		return; /* a slot of the ring's, not a descriptor */
	fds_close(submission, fds, n);
	xyli_adopted(submission->op.shard, count);
}

static void result_adopt(struct xyli_submission *submission, int res)
{
	struct xyl_stats *stats = &submission->op.shard->stats;
	void *addr = (void *)(uintptr_t)submission->sqe.addr;

	if (res < 0)
		return;
	switch (submission->sqe.opcode) {
	case IORING_OP_OPENAT:
	case IORING_OP_OPENAT2: fds_adopt(submission, &res, 1, &stats->adopted_opens); break;
	case IORING_OP_SOCKET: fds_adopt(submission, &res, 1, &stats->adopted_sockets); break;
	case IORING_OP_ACCEPT: fds_adopt(submission, &res, 1, &stats->adopted_connections); break;
	case OP_PIPE:
		xyli_check_kernel_wrote(addr, 2 * sizeof(int));
		fds_adopt(submission, addr, 2, &stats->adopted_pipes);
		break;
	case IORING_OP_RECVMSG: rights_adopt(submission); break;
	default: break;
	}
}

void xyli_submission_adopt(struct xyli_submission *submission)
{
	result_adopt(submission, submission->res);
}

bool xyli_submission_settle(struct xyli_submission *submission, int res)
{
	struct xyli_op *op = &submission->op;

	checkers_tell_result(submission, res);
	if (!submission->answered) {
		submission->answered = true;
		submission->res = res;
	} else {
		result_adopt(submission, res);
	}
	if (xyli_op_is_free(op))
		return true;
	if (!op->life.zero_copy)
		xyli_op_cancel(op);
	return false;
}
