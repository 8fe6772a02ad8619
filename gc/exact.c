/* SPDX-License-Identifier: MIT */
/*
 * Exact collection (check build).
 *
 * Design notes.  A stale pointer in a dead stack slot keeps its object in some runs and
 * not in others, so that a forgotten root may hide for years.  Here an object lives only
 * if a root says so: all threads are parked at a safe point, and of their stacks only
 * what lies above xyli_check_enter, the frames of the library's caller, is scanned.
 *
 * bdwgc calls GC_push_other_roots for the stacks; it is given one of ours.  That leaves
 * what bdwgc scans without asking: a few frames of its own, between the collection's
 * entry and the marking, with the callee-saved registers in them.  Hence the registers
 * are zeroed around the call, and the stack below is overwritten before it, and from then
 * on nobody but bdwgc writes there; and see xyli_exact_is_unlucky.
 *
 * A thread that is parked elsewhere than in a shard's loop is scanned from where it
 * parked: who wrote that code never promised that no pointer is on its stack.
 */
#include "gc/exact.h"

#include "gc/check.h"

#ifdef XYL_CHECK
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "gc/bdwgc.h"
#include <gc/gc_mark.h>

#include "gc/quarantine.h"

#define LIMITS 8 /* runs of shards inside each other, on one thread */
#define BLOCK 4096
#define STALE_BYTES ((size_t)32 << 10)

struct thread {
	struct thread *next;
	void *bottom; /* the highest address of its stack */
	void *parked;
	void *limits[LIMITS];
	unsigned depth;
};

static struct thread *threads; /* attached; the world is still when this changes */
static _Thread_local struct thread self;
static GC_push_other_roots_proc push_as_usual;
static bool exactly; /* the collection that is running; by its own thread */

void xyli_check_join(void)
{
	struct GC_stack_base base;

	GC_get_my_stackbottom(&base);
	self.next = threads;
	self.bottom = base.mem_base;
	threads = &self;
}

void xyli_check_part(void)
{
	struct thread **link = &threads;

	while (*link != &self)
		link = &(*link)->next;
	*link = self.next;
}

void xyli_check_park(void *sp)
{
	self.parked = sp;
}

void xyli_check_enter(void *stack_limit)
{
	assert(self.depth < LIMITS);
	self.limits[self.depth++] = stack_limit;
}

void xyli_check_leave(void)
{
	assert(self.depth > 0);
	self.depth--;
}

/* ---- scanning the stacks ------------------------------------------------------- */

static void *thread_limit(const struct thread *thread)
{
	return thread->depth ? thread->limits[thread->depth - 1] : NULL;
}

static void push_callers(void)
{
	if (!exactly) {
		push_as_usual();
		return;
	}
	for (struct thread *thread = threads; thread; thread = thread->next) {
		void *from = thread_limit(thread);

		GC_push_all_eager(from ? from : thread->parked, thread->bottom);
	}
}

void xyli_exact_start(void)
{
	push_as_usual = GC_get_push_other_roots();
	GC_set_push_other_roots(push_callers);
}

/* ---- collecting ------------------------------------------------------------------ */

#if defined(__x86_64__)
/* Call fn with nothing in the registers that it must preserve. */
void xyli_exact_call_bare(void (*fn)(void));
__asm__(".text\n"
	".type xyli_exact_call_bare, @function\n"
	"xyli_exact_call_bare:\n"
	"	.cfi_startproc\n"
	"	push %rbp\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset %rbp, 0\n"
	"	push %rbx\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset %rbx, 0\n"
	"	push %r12\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset %r12, 0\n"
	"	push %r13\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset %r13, 0\n"
	"	push %r14\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset %r14, 0\n"
	"	push %r15\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset %r15, 0\n"
	"	sub $8, %rsp\n	.cfi_adjust_cfa_offset 8\n"
	"	xor %ebp, %ebp\n"
	"	xor %ebx, %ebx\n"
	"	xor %r12d, %r12d\n"
	"	xor %r13d, %r13d\n"
	"	xor %r14d, %r14d\n"
	"	xor %r15d, %r15d\n"
	"	call *%rdi\n"
	"	add $8, %rsp\n	.cfi_adjust_cfa_offset -8\n"
	"	pop %r15\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore %r15\n"
	"	pop %r14\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore %r14\n"
	"	pop %r13\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore %r13\n"
	"	pop %r12\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore %r12\n"
	"	pop %rbx\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore %rbx\n"
	"	pop %rbp\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore %rbp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size xyli_exact_call_bare, . - xyli_exact_call_bare\n");
#else
/* Elsewhere an object may be kept by luck, in a register. */
static void xyli_exact_call_bare(void (*fn)(void))
{
	fn();
}
#endif

__attribute__((noinline)) static void stack_overwrite(void)
{
	char stale[STALE_BYTES];

	memset(stale, 0, sizeof(stale));
	__asm__ volatile("" : : "r"(stale) : "memory");
}

bool xyli_exact_is_running(void)
{
	return exactly;
}

void xyli_check_collect(void)
{
	if (!thread_limit(&self)) {
		GC_gcollect();
		return;
	}
	xyli_quarantine_begin();
	exactly = true;
	stack_overwrite();
	xyli_exact_call_bare(GC_gcollect);
	exactly = false;
}

bool xyli_exact_is_unlucky(const void *base, size_t room)
{
	return (uintptr_t)base % BLOCK == 0 && room <= BLOCK / 2;
}
#endif
