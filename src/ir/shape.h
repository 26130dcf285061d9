/* shape.h - shape rules: what the outputs of a node look like, from its operands and attributes.
 *
 * A rule reads node->in, node->attr and fills out[0..n_out-1]. It rejects with infer_fail, which names the node.
 * Rules never assume rank, sizes or dtypes that they did not check.
 */
#ifndef GRAFT_SHAPE_H
#define GRAFT_SHAPE_H

#include "graph.h"

struct Infer {
	Graph *g;
	const Node *node;
	Type *out;                            /* n_out of them, zeroed; dims must be graph memory */
	uint32_t n_out;
};

/* Rules named by ops.def (one declaration per row; rows that share a rule declare it again). */
#define OP(name, family, in, out, effect, flags, rule, ...) void infer_##rule(Infer *);
#include "ops.def"
#undef OP

_Noreturn void infer_fail(const Infer *i, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
