/* pass.h - what a pass is: one row of passes.def, one file.
 *
 * A pass is a function over a graph (PASS) or a list of rewrite rules (RULES, see rule.h). It counts its rewrites with
 * pass_rewrite, which says no once --opt-limit is reached, and tells why it left something alone with pass_refuse.
 */
#ifndef GRAFT_PASS_H
#define GRAFT_PASS_H

#include "../ir/graph.h"

typedef struct Refusal { const char *node, *code, *message; uint32_t id; int depth; } Refusal;

/* One run of one pass. */
typedef struct PassRun {
	Graph *g;
	const char *pass;
	const char *kernel;                   /* the op whose kernel must cover each node made; NULL: none */
	bool keep;                            /* tentative rewrites are made for good */
	bool free;                            /* what is made need not have a name in the file that g came from */
	Graph **backup;                       /* gets a copy of g before the first change; NULL: no need */
	Arena *scratch;                       /* ends with this pass; refusals live here */
	const struct Target *target;          /* what can be called where the graph will run; never NULL (probe.h) */
	const Declared *declared;             /* what is known of ops that graft does not know */
	size_t n_declared;
	int64_t *budget;                      /* rewrites left over all passes; negative: no limit */
	int64_t applied;
	Refusal *refusals;
	size_t n_refusals, cap_refusals;
	uint32_t *refusal_at;                 /* by node id: place in refusals plus 1 */
	size_t n_refusal_at;
	void *state;                          /* what a rule's `join` remembers while this pass runs */
} PassRun;

/* Asks for one more rewrite, just before making it: counts it, or says no because the limit is reached. */
bool pass_rewrite(PassRun *run);
void pass_touch(PassRun *run);                /* about to change the graph in a way that is not counted */
void pass_forget(PassRun *run);               /* drops the refusals so far, before everything is looked at again */

/* Remembers why `node` stayed. Of several refusals at one node the deepest (most of the match found) is kept. `code` is
 * a stable word of refusals.def. Always returns false, so that predicates read `return ok || refuse(...)`. */
bool pass_refuse(PassRun *run, const Node *node, int depth, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

typedef struct Rule Rule;

/* A row of passes.def. */
typedef struct Pass {
	const char *name, *meaning;
	int level;                            /* `auto` means on from this level; 4: only when asked for by name */
	const char *kernel;                   /* the op its result needs a kernel for; NULL: none */
	void (*run)(PassRun *run);            /* PASS; NULL for RULES */
	const Rule *rules;                    /* RULES, ended by a Rule whose match is NULL */
} Pass;

#define PASS(name, level, kernel, meaning) void pass_##name(PassRun *run);
#define RULES(name, level, kernel, meaning)
#include "passes.def"
#undef PASS
#undef RULES

extern const Pass pass_table[];               /* in pipeline order */
extern const size_t n_passes;
const Pass *pass_find(const char *name, size_t n);

#endif
