/* SPDX-License-Identifier: MIT */
/* valgrind.h - valgrind's client requests, or nothing where its headers are missing. */
#ifndef XYLI_GC_VALGRIND_H
#define XYLI_GC_VALGRIND_H

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#include <valgrind/helgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_DISABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_ENABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_MALLOCLIKE_BLOCK(start, size, redzone, zeroed) ((void)0)
#define VALGRIND_FREELIKE_BLOCK(start, redzone) ((void)0)
#define VALGRIND_MAKE_MEM_NOACCESS(start, size) ((void)(start))
#define VALGRIND_MAKE_MEM_DEFINED(start, size) ((void)(start))
#define VALGRIND_MAKE_MEM_UNDEFINED(start, size) ((void)(start))
#define VALGRIND_CHECK_MEM_IS_DEFINED(start, size) ((void)(start))
#define VALGRIND_CHECK_MEM_IS_ADDRESSABLE(start, size) ((void)(start))
#define VALGRIND_HG_CLEAN_MEMORY(start, size) ((void)(start))
#define ANNOTATE_HAPPENS_BEFORE(token) ((void)(token))
#define ANNOTATE_HAPPENS_AFTER(token) ((void)(token))
#endif

#endif
