/* probe.h - what can be called where the graph will run, and why not.
 *
 * A Target answers for one architecture, from the context's kernel packs or from a caps file; it never starts a GPU.
 */
#ifndef GRAFT_PROBE_H
#define GRAFT_PROBE_H

#include "../ir/graph.h"

typedef struct Target Target;

/* The answer for one question; strings live in the arena that was given, or the context. */
typedef struct Answer {
	bool available;
	graft_tier tier;
	const char *pack, *reason;
	const graft_kernel *kernel;           /* the row that would be called; NULL from a caps file or when not available */
} Answer;

/* This machine's CPU with the context's packs, or, caps not NULL, the machine a caps file describes (fails with GRAFT_E_CONFIG). */
const Target *target_open(Job *job, graft_context *ctx, const char *caps, Arena *into);
const char *target_arch(const Target *t);

/* Is the kernel there at all: tiers up to ARCH. Cached in the context. */
Answer target_kernel(const Target *t, const char *kernel, Arena *into);

/* Does it cover a node like this: tiers up to NODE. Types as in the graph; unknown sizes are judged by their ranges' upper ends; strides, which a
 * graph does not have, by `row_stride` (largest distance between rows; a Dim per operand; NULL: dense). */
Answer target_node(const Target *t, Graph *g, const Op *op, const Type *in, uint32_t n_in, const Attr *attr, const Dim *row_stride,
                   Arena *into);

#endif
