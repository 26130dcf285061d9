/* fiber.c - see fiber.h. A switch saves the registers the ABI says a call keeps, nothing else. */
#define _GNU_SOURCE
#include "fiber.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
enum { STACK_SIZE = 256 << 10 };
#else
#define __sanitizer_start_switch_fiber(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#define __asan_unpoison_memory_region(p, size) ((void)(p), (void)(size))
enum { STACK_SIZE = 128 << 10 };
#endif

/* The resumer; one is enough, since fibers run under hipsim's lock. */
static struct {
	void *sp, *shadow;
	const void *stack;
	size_t size;
	void (*entry)(void);
	size_t made; /* tops of stacks are spread, or all would share a few cache lines */
} base;

#if defined(__x86_64__) && !defined(HIPSIM_UCONTEXT)

void hipsim_switch(void **save, void *load) __attribute__((visibility("hidden")));
__asm__(".text\n"
	".p2align 4\n"
	".hidden hipsim_switch\n"
	".globl hipsim_switch\n"
	".type hipsim_switch,@function\n"
	"hipsim_switch:\n"
	"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n	pushq %r13\n	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size hipsim_switch,.-hipsim_switch\n");

static void start(void);

/* The stack of a fiber that has yet to start, from the top: 0 as a return address, start, six zero registers. */
static void prepare(hipsim_fiber *f)
{
	void **top = (void **)((char *)f->stack + f->size) - 8;
	memset(top, 0, 8 * sizeof *top);
	top[6] = (void *)(uintptr_t)start;
	f->sp = top;
}

#else
#include <ucontext.h>

static void start(void);

static void hipsim_switch(void **save, void *load)
{
	ucontext_t here, *to = load;
	*save = &here;
	swapcontext(&here, to);
}

/* The context lies at the low end of its own stack; later ones are locals of hipsim_switch. */
static void prepare(hipsim_fiber *f)
{
	ucontext_t *c = f->stack;
	getcontext(c);
	c->uc_stack.ss_sp = (char *)f->stack + sizeof *c;
	c->uc_stack.ss_size = f->size - sizeof *c;
	c->uc_link = NULL;
	makecontext(c, start, 0);
	f->sp = c;
}
#endif

static void start(void)
{
	__sanitizer_finish_switch_fiber(NULL, &base.stack, &base.size);
	base.entry();
	__builtin_trap();
}

bool hipsim_fiber_init(hipsim_fiber *f)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, STACK_SIZE + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
	               0);
	if (p == MAP_FAILED)
		return false;
	if (mprotect(p, page, PROT_NONE)) {
		munmap(p, STACK_SIZE + page);
		return false;
	}
	*f = (hipsim_fiber){ .stack = p + page, .size = STACK_SIZE - base.made++ % 61 * 192 };
	return true;
}

void hipsim_fiber_arm(hipsim_fiber *f, void (*entry)(void))
{
	if (f->started)
		__asan_unpoison_memory_region(f->stack, f->size);
	base.entry = entry;
	f->started = false;
	f->shadow = NULL;
	prepare(f);
}

void hipsim_fiber_resume(hipsim_fiber *f)
{
	f->started = true;
	__sanitizer_start_switch_fiber(&base.shadow, f->stack, f->size);
	hipsim_switch(&base.sp, f->sp);
	__sanitizer_finish_switch_fiber(base.shadow, NULL, NULL);
}

void hipsim_fiber_leave(hipsim_fiber *f, bool last)
{
	f->started = !last;
	__sanitizer_start_switch_fiber(last ? NULL : &f->shadow, base.stack, base.size);
	hipsim_switch(&f->sp, base.sp);
	__sanitizer_finish_switch_fiber(f->shadow, &base.stack, &base.size);
}
