/* SPDX-License-Identifier: MIT */
/*
 * Who made a handle.
 *
 * Design notes.  Two answers, since neither is enough alone.  The C stack names the line
 * for what is made at once, but for what the kernel hands over (an open, an accept) it is
 * the loop's.  There the task that waited is known, with the line of each of its frames.
 */
#include "io/birth.h"

#ifdef XYL_CHECK
#include <unistd.h>

#include "gc/check.h"
#include "gc/print.h"

void xyli_io_born(struct xyl_io *io, const struct xyl_task *task)
{
	xyli_trace_take(&io->made, task ? task : xyl_self());
}

static const char *kind_name(const struct xyl_io *io)
{
	switch (io->kind) {
	case XYLI_IO_FILE: return "a file";
	case XYLI_IO_SOCKET: return "a socket";
	default: return "a pipe or device";
	}
}

void xyli_io_mourn(const struct xyl_io *io)
{
	xyli_print(STDERR_FILENO,
		   "xylem: xyl_close: not called for descriptor %d (%s), whose handle nobody holds "
		   "any more\n",
		   io->fd, kind_name(io));
	xyli_trace_print(&io->made, STDERR_FILENO);
	xyli_check_tell(io);
}
#endif
