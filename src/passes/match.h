/* match.h - one match in the making, shared by match.c (search), replace.c (check and change) and rules.c (the
 * sweep). */
#ifndef GRAFT_MATCH_H
#define GRAFT_MATCH_H

#include "pattern.h"

/* Something that is still to be matched: this value must be made by that line or term. */
typedef struct Goal { int line; const Term *term; Value *value; } Goal;   /* line -1: a nested term */

/* What is bound. A choice is undone by putting a copy back. */
typedef struct State {
	Value *value[MAX_NAMES];
	Attr attr[MAX_NAMES];
	bool bound[MAX_NAMES], done[MAX_LINES];
	Node *node[MAX_PLACES];
	int n_goals, depth;                   /* depth: nodes that stand, optional ones not counted */
	Goal goal[MAX_LINES + MAX_PLACES];    /* only the first n_goals mean anything, and are copied */
} State;

/* The deepest place where the pattern did not fit. */
typedef struct Miss {
	int depth;
	const char *code;
	const Node *node;                     /* what was found, */
	const Value *value;
	const Term *term;                     /* and what was wanted */
	const Arg *arg;
	int name, attr;
} Miss;

struct Match {
	PassRun *run;
	const Pattern *p;
	const Alias *alias;                   /* NULL: nobody writes any storage */
	bool *held;                           /* by node id, up to n_held: makes what a tentative node stands in for */
	uint32_t n_held;
	State s;
	Miss miss;
	bool whole;                           /* the pattern stood once; what was told then, if anything, is why not */
	struct Draft *draft;                  /* what emit will make (replace.c) */
};

/* True: the whole match stands and its replacement is checked. Else it says why not, if it came far. */
bool match_at(Match *m, const Pattern *p, Node *start);

bool value_scalar(const Value *v, Attr *out);             /* a literal, or a constant of one element */

/* replace.c */
bool replace_check(Match *m);
bool replace_apply(Match *m);                 /* false: the limit of rewrites is reached */
/* Puts back what nodes with these ids stand for, unless something consumed them; returns how many. */
int64_t tentative_restore(Graph *g, uint32_t first_id, uint32_t end_id);
int64_t tentative_count(const Graph *g);

#endif
