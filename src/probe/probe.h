/* probe.h - what can be called where the graph will run, and why not.
 *
 * A Target answers for one architecture, from the context's kernel packs, from a caps file, or from packs asked in
 * child processes. It never starts a GPU, and except in target_bind runs no kernel. The pack that came furthest
 * answers, of several the one that was added first.
 */
#ifndef GRAFT_PROBE_H
#define GRAFT_PROBE_H

#include "../ir/graph.h"

typedef struct Target Target;

/* Where kernels of a GPU are tried out: calls fn on copies of the blocks in the device's memory, in which `l`'s tensors
 * point, and brings the blocks back. Returns what fn returned; throws what the device itself answers. */
typedef struct RigBlock { char *host; size_t size; } RigBlock;
typedef struct Rig {
	void *self;
	int (*run)(const struct Rig *rig, Job *job, graft_launch_fn fn, const graft_launch *l, const RigBlock *blocks,
	           size_t n);
} Rig;

/* The answer for one question; strings live in the arena that was given. */
typedef struct Answer {
	bool available;
	graft_tier tier;
	const char *pack, *reason;
	/* what would be called; lives until the context's end; NULL: not available, or not of this process */
	const graft_kernel *kernel;
} Answer;

/* This machine's CPU with the context's packs, or, caps not NULL, the machine that a caps file describes (fails with
 * GRAFT_E_CONFIG). */
const Target *target_open(Job *job, graft_context *ctx, const char *caps, Arena *into);
/* The same packs, for another architecture. */
const Target *target_for(graft_context *ctx, const char *arch, Arena *into);
/* The same on a device that is here: self tests run on `rig`, and `pack` is asked too unless packs were named. */
const Target *target_on_device(graft_context *ctx, const char *arch, const char *pack, const Rig *rig, Arena *into);
const char *target_arch(const Target *t);

/* Is the kernel there at all: tiers up to ARCH. Cached in the context. Views and assertions run nothing: available. */
Answer target_kernel(const Target *t, const char *kernel, Arena *into);

/* Does it cover a node like this: tiers up to NODE. Types as in the graph (dtype GRAFT_DTYPE_COUNT: an operand that is
 * not given, or a literal, which is not judged); unknown sizes are judged by their ranges' upper ends; strides, which a
 * graph does not have, by `row_stride` (largest distance between rows; a Dim per operand; NULL: dense). */
Answer target_node(const Target *t, Graph *g, const Op *op, const Type *in, uint32_t n_in, const Attr *attr,
                   const Dim *row_stride, Arena *into);

/* The same, and the kernel has passed its self test (tier SELF_TEST): run at the first question, once for all threads,
 * and remembered. For who is going to call it. Kernels of a GPU that is not here, and ops without a self test
 * (selftest.def), are believed. */
Answer target_bind(const Target *t, Graph *g, const Op *op, const Type *in, uint32_t n_in, const Attr *attr,
                   const Dim *row_stride, Arena *into);

/* ---- for `graft probe` ------------------------------------------------------------------------------------- */

/* As target_for, but each pack is loaded, read and self-tested in a child process of its own, which gets `seconds`; a
 * crash or a hang there is an answer. Call it while the process has one thread. */
const Target *target_isolated(Job *job, graft_context *ctx, const char *arch, int seconds, Arena *into);

/* How one pack stands; i from 0 in the order they were added; false past the end. */
typedef struct Standing {
	const char *pack;                     /* as it was named */
	graft_tier tier;                      /* up to ABI */
	const char *reason;                   /* why not ABI; NULL at ABI */
	const char *name, *version;           /* at ABI */
	const char **kernels;                 /* names, n_kernels of them */
	uint32_t n_kernels;
} Standing;
bool target_pack(const Target *t, uint32_t i, Standing *out, Arena *into);

/* What graft probe --save writes and target_open reads. */
void target_print_caps(const Target *t, Text *out);

#endif
