/* ops.h - what an op is: one row of ops.def, and the attribute values a node carries.
 *
 * ops.def is included here for the enum and in ops.c for the table; docs/ops.md and every signature are printed from
 * it.
 */
#ifndef GRAFT_OPS_H
#define GRAFT_OPS_H

#include "dim.h"
#include <graft/plugin.h>

typedef enum AttrKind {
	ATTR_NONE,                            /* not given, or null */
	ATTR_BOOL, ATTR_INT, ATTR_FLOAT, ATTR_STRING, ATTR_LIST,   /* what unknown ops may carry; a list nests */
	ATTR_DIM,                             /* an integer that may be symbolic */
	ATTR_DIMS,                            /* a list of those */
	ATTR_AXIS, ATTR_AXES,                 /* counted from the end when negative */
	ATTR_DTYPE,
	ATTR_NAME                             /* one of the words in the row */
} AttrKind;

/*  kind           member
 *  BOOL           i (0 or 1)
 *  INT AXIS NAME  i          NAME: index into the row's words
 *  DTYPE          i          a graft_dtype
 *  FLOAT          f
 *  STRING         s (NUL-terminated, no NUL inside)
 *  DIM            dim
 *  DIMS           dims, n
 *  AXES           ints, n
 *  LIST           list, n                                              */
typedef struct Attr {
	AttrKind kind;
	uint32_t n;
	union {
		int64_t i;
		double f;
		Dim dim;
		const char *s;
		const Dim *dims;
		const int64_t *ints;
		const struct Attr *list;
	};
} Attr;

/* An attribute of a known op. `words` lists the names of a NAME attribute, "late|early"; `fallback` is the default in
 * the notation, NULL when the attribute must be given, "none" when it may be left out and has no value then. */
typedef struct AttrSpec { const char *name; AttrKind kind; const char *words, *fallback; } AttrSpec;

enum { MAX_ATTRS = 8, MANY = 255 };           /* a row's attrs end with a NULL name: one place fewer */

/* What an op does to memory. */
typedef enum Effect {
	PURE,                                 /* new storage, nothing else touched */
	VIEW,                                 /* every output is a view of operand 0 */
	MAYBE_VIEW,                           /* a view of operand 0 where strides allow, else a copy */
	WRITES,                               /* writes operand 0 in place; output 0 is that storage */
	ASSERTS                               /* checks operand 0 and has no output; does not count as a user */
} Effect;

enum { COMMUTES = 1 };                        /* op flags: operands 0 and 1 may be swapped */

typedef struct Infer Infer;

typedef struct Op {
	const char *name;
	const char *family;                   /* the kernel file: src/kernels/<device>/<family>.* */
	uint8_t in_min, in_max, out_min, out_max;   /* MANY: no upper bound */
	const char *operands, *results;       /* "x, w?", "y": names for docs, messages and signatures */
	Effect effect;
	unsigned flags;
	void (*infer)(Infer *);               /* the shape rule; NULL only for an unknown op */
	const char *meaning;                  /* as maths, one line */
	uint8_t n_attrs;
	AttrSpec attrs[MAX_ATTRS];
} Op;

typedef enum OpCode {
#define OP(name, ...) OP_##name,
#include "ops.def"
#undef OP
	OP_COUNT,
	OP_unknown = OP_COUNT                 /* a row of its own: any arity, attributes as they came */
} OpCode;

extern const Op op_table[OP_COUNT + 1];

static inline OpCode op_code(const Op *op) { return (OpCode)(op - op_table); }
const Op *op_find(const char *name, size_t n);            /* NULL: no such op */
int attr_index(const Op *op, const char *name, size_t n); /* place of an attribute in the row; -1 */

/* "fused_mla_dual_rms_norm(q, q_w, kv, kv_w) -> (q_n, kv_n) {q_eps: float, kv_eps: float, round: late|early}" */
void op_signature(Text *t, const Op *op);

const char *attr_kind_name(AttrKind kind);                /* "integer", "list of axes", ...: for messages */
bool attr_same(const Attr *a, const Attr *b);             /* floats by bits, so NaN equals itself and 0.0 is not -0.0 */

#endif
