/* SPDX-License-Identifier: MIT */
/* birth.h - who made a handle: told if it is dropped (check build; nothing in the plain one). */
#ifndef XYLI_IO_BIRTH_H
#define XYLI_IO_BIRTH_H

#include "io/handle.h"
#include "spawn/task.h"

#ifdef XYL_CHECK

/* It was made for that task; NULL: by the one that runs, if any. */
void xyli_io_born(struct xyl_io *io, const struct xyl_task *task);

/* On stderr: a handle that was neither closed nor held. */
void xyli_io_mourn(const struct xyl_io *io);

#else

static inline void xyli_io_born(struct xyl_io *io, const struct xyl_task *task)
{
	(void)io;
	(void)task;
}

static inline void xyli_io_mourn(const struct xyl_io *io)
{
	(void)io;
}

#endif
#endif
