/* SPDX-License-Identifier: MIT */
/*
 * buffers.h - a shard's provided buffers: the kernel chooses one when bytes arrive.
 *
 *	EMPTY ──> KERNEL ──> STORED ──> LENT ──> KERNEL | EMPTY
 *
 * So a receive that waits holds no buffer.  Each is a collected object of its own: who
 * holds a pointer into it holds it.  It comes back when it is returned; once a collection
 * has found that nobody holds it any more, another takes its place.
 */
#ifndef XYLI_RT_BUFFERS_H
#define XYLI_RT_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xyli_shard;
struct xyli_buffers;

#define XYLI_BUFFERS_GROUP 1 /* the kernel's name for them */

/* Those that have arrived on one handle and nobody has taken yet, oldest first. */
struct xyli_arrivals {
	uint16_t first, last;
	uint16_t count;
};

/* Of this shard; opened at the first call.  NULL: the kernel will not, or no memory. */
struct xyli_buffers *xyli_buffers_of(struct xyli_shard *shard);
void xyli_buffers_close(struct xyli_shard *shard); /* what is lent stays with its holders */

/* The kernel has put len bytes into the one that a CQE names, and it stands last in line;
 * or it has put none, and gets it back. */
void xyli_buffers_arrive(struct xyli_buffers *buffers, struct xyli_arrivals *arrivals,
			 unsigned cqe_flags, size_t len);

/* Copy from the oldest; how much.  Emptied ones go back to the kernel. */
size_t xyli_buffers_copy(struct xyli_buffers *buffers, struct xyli_arrivals *arrivals, char *buf,
			 size_t len);

/* Lend the oldest out; its bytes. */
char *xyli_buffers_lend(struct xyli_buffers *buffers, struct xyli_arrivals *arrivals,
			size_t *ret_len);

/* Give all of them back to the kernel; how many there were. */
size_t xyli_buffers_drop(struct xyli_buffers *buffers, struct xyli_arrivals *arrivals);

/* The one that these bytes lie in is not needed any more.  False: it is not one of ours. */
bool xyli_buffers_return(struct xyli_buffers *buffers, const char *bytes);

/* Others for those that a collection found to be dropped. */
void xyli_buffers_fetch(struct xyli_buffers *buffers);

/* The kernel has none left, or had none: see to it.  False: there is no more to be given. */
bool xyli_buffers_more(struct xyli_buffers *buffers);

/* A buffer like them that is the caller's alone; NULL: no memory. */
char *xyli_buffers_private(size_t *ret_room);

/* Bytes lent out since the last collection and not returned, which it may win back, less
 * those allocated since that lie in stock, which it cannot. */
ptrdiff_t xyli_buffers_fresh(const struct xyli_buffers *buffers);
void xyli_buffers_collected(struct xyli_buffers *buffers);

/* Recount. */
void xyli_buffers_check(const struct xyli_buffers *buffers);

#endif
