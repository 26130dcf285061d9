/* pattern.h - a rule's text, read once and planned.
 *
 *     y = mul(nc, wf)          Line ── term ──> Term { op mul, in: [VALUE nc, VALUE wf] }
 *     s = pow(x, 2) | mul(x, x)         └─ other ──> the next alternative
 *     n = div(x, sqrt(v))               in[1] is a TERM of its own
 *
 *     f.default(y!, x)                 writes ── out[0] is y, which is an operand and no result
 *
 * Every name of both texts has a number, every node of `match` a place in Match.node: a line its own number, a nested
 * term one from MAX_LINES on.
 */
#ifndef GRAFT_PATTERN_H
#define GRAFT_PATTERN_H

#include "rule.h"

enum { MAX_NAMES = 32, MAX_LINES = 16, MAX_PLACES = 40, MAX_ARGS = 8 };

typedef enum ArgKind {
	ARG_VALUE,                            /* a name: any value */
	ARG_SCALAR,                           /* a name that stands for an attribute too: a constant */
	ARG_NUMBER,
	ARG_TERM
} ArgKind;

typedef struct Arg {
	ArgKind kind;
	bool optional;                        /* VALUE, written w?: the operand may be missing */
	bool written;                         /* VALUE, written y!: the line's, what the node leaves in its storage */
	int name;
	Attr number;                          /* BOOL, INT or FLOAT */
	const struct Term *term;
} Arg;

typedef struct AttrArg {
	int index;                            /* in the op's row; -1: */
	const char *key;                      /* the name of an attribute of an unknown op */
	int name;                             /* -1: the literal */
	Attr literal;
} AttrArg;

typedef struct Term {
	const Op *op;
	const char *name;                     /* the op's, as a node has it */
	int place;                            /* in Match.node */
	int n_in, n_attr;
	Arg in[MAX_ARGS];
	AttrArg attr[MAX_ATTRS];
	struct Term *other;                   /* the next alternative of a line */
} Term;

typedef struct Line {
	int out[MAX_ARGS], n_out;
	bool optional;                        /* ?= */
	bool writes;                          /* out[0] is no result, but an operand it writes: f(y!, x) */
	Term *term;                           /* NULL: y = x, in emit only */
	int same;                             /* y = x: x */
} Line;

typedef struct Pattern {
	const Rule *rule;
	const char *label;                    /* what messages call it */
	int n_names, n_match, n_emit, n_places, n_roots;
	const char *name[MAX_NAMES];
	bool is_attr[MAX_NAMES], computed[MAX_NAMES];
	int line_of[MAX_NAMES];               /* the match line that defines it; -1: none does */
	Line match[MAX_LINES], emit[MAX_LINES];
	int root[MAX_LINES];                  /* names that emit defines again */
	int start, join;                      /* lines: of the first root; of join_at, -1: none */
	bool writes;                          /* the root, the only one, is what a line writes */
	int deep;                             /* a match that stood this far is worth telling about */
} Pattern;

/* Fails with GRAFT_E_RULE, naming the rule. */
const Pattern *pattern_read(Job *job, Arena *into, const char *pass, const Rule *rule);

int pattern_name(const Pattern *p, const char *name);        /* -1: none */

#endif
