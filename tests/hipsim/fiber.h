/* fiber.h - stacks that can be switched between, all on one host thread at a time. */
#ifndef HIPSIM_FIBER_H
#define HIPSIM_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hipsim_fiber {
	void *stack;   /* lowest usable byte; an unmapped page lies below */
	size_t size;
	void *sp;      /* where it stands: a stack pointer, or a ucontext_t where there is no assembler version */
	void *shadow;  /* ASan's */
	bool started;  /* has frames: ASan has marked its stack */
} hipsim_fiber;

/* Gives f a stack. False: out of memory. A stack is never given back, only used again. */
bool hipsim_fiber_init(hipsim_fiber *f);

/* Makes f start at entry when it is next resumed, whatever it was doing. entry never returns: it ends in
 * hipsim_fiber_leave(f, true). */
void hipsim_fiber_arm(hipsim_fiber *f, void (*entry)(void));

/* Runs f until it leaves. Not from a fiber. */
void hipsim_fiber_resume(hipsim_fiber *f);

/* Back to the resumer of f, which must be the running fiber. `last`: f will not be resumed before it is armed. */
void hipsim_fiber_leave(hipsim_fiber *f, bool last);

#ifdef __cplusplus
}
#endif
#endif
