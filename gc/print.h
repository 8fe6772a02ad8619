/* SPDX-License-Identifier: MIT */
/* print.h - a line for a descriptor of the caller's.  (glibc's dprintf leaks when it fails.) */
#ifndef XYLI_GC_PRINT_H
#define XYLI_GC_PRINT_H

/* 0, or the error of write(2).  At most 511 bytes. */
int xyli_print(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
