/* judge.h - what packs answer to a question, by their tables alone. */
#ifndef GRAFT_JUDGE_H
#define GRAFT_JUDGE_H

#include "../ir/graph.h"
#include "pack.h"

/* What matters of one operand. Sizes are upper ends; DIM_MAX: no upper end is known. */
typedef struct Fact {
	const char *name;                     /* in the op's row */
	const char *type;                     /* "bf16[T, 1536]" */
	graft_dtype dtype;
	int64_t last, rows, stride;           /* stride: largest distance between rows */
	bool even, dense;                     /* provably */
} Fact;

/* A question. `upto` is the last tier asked about: ARCH, NODE (facts and round count) or SELF_TEST. */
typedef struct Ask {
	const char *kernel, *arch;
	const Op *op;                         /* NULL: graft has no such op */
	const char *signature;                /* of op */
	graft_tier upto;
	const Fact *facts;
	uint32_t n_facts;
	unsigned round;                       /* a GRAFT_ROUND_ bit; 0: the op has none */
} Ask;

typedef struct Verdict {
	graft_tier tier;
	const Pack *pack;
	Row *row;                             /* NULL: the pack has no kernel of that name */
	const char *reason;                   /* one sentence */
} Verdict;

Ask ask_kernel(const char *kernel, const char *arch, Arena *a);
/* Works out the facts now: judging looks at no graph, so that it can be done under a lock. */
Ask ask_node(Graph *g, const Op *op, const Type *in, uint32_t n_in, const Attr *attr, const Dim *row_stride,
             const char *arch, Arena *a);

/* Does the op run nothing, so that it needs no kernel? */
bool op_runs_nothing(const Op *op);

/* The verdict on the pack that came furthest; packs have been looked at. There is at least one. */
Verdict judge(const Ask *q, Pack *const *packs, size_t n, Arena *a);

#endif
