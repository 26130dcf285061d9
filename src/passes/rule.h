/* rule.h - rewrite rules as text in the notation, and the engine that applies them.
 *
 *     static const Rule rules_example[] = {
 *         { .name  = "double_transpose",
 *           .match = "t = transpose(x) {axis0=a, axis1=b}\n"
 *                    "y = transpose(t) {axis0=a, axis1=b}\n",
 *           .emit  = "y = x" },
 *         { 0 }
 *     };
 *
 * In `match` a name is one value and a name after `=` in braces one attribute (or, as an operand, a literal: eps in
 * add(v, eps)); used twice it must be the same twice. Values that `emit` defines again are the roots: all are replaced
 * at once. `emit` may use bound names only. What nothing uses any more is removed; intermediate values with other users
 * simply stay.
 *
 *     y = mul(w, x)                  either order, when the op commutes
 *     s = pow(x, 2) | mul(x, x)      alternatives, tried in order; terms nest: div(x, sqrt(v))
 *     c ?= cast(x) {dtype=f32}       optional: without the node c is x (its first operand, in every
 *                                    alternative)
 *     y = mean(x) {axes=[-1], keepdim=true}     literals must be equal; axes compare counted from the front
 *     y = reshape(x)                 attributes not named do not matter
 *     y = rms_norm(x, w?)            an operand that may be missing: w is NULL then
 *     a, b = split(x)                name every result, or only the leading ones
 *     y = ns.op.default(x) {k="s"}   an op that graft does not know
 *     ns.op.default(y!, x)           y is what it leaves in the storage of that operand, and the one root
 *
 * The engine reads and plans every rule once (no such op or attribute, wrong arity, a name in emit that match does
 * not bind, a pattern in pieces without a `join` are GRAFT_E_RULE naming the rule). It starts at each candidate of the
 * first root's op, walks up to definitions and down to users, undoing on failure. Nothing changes before the whole
 * match stands: all bindings equal, nodes distinct, `where` true, the ops that emit makes callable on the target, no
 * cycle (no operand of the replacement reachable from a root), no write moved across (hazard), types of the
 * replacements equal to the replaced. A bound on rounds stops rules that feed themselves, naming the rule.
 */
#ifndef GRAFT_RULE_H
#define GRAFT_RULE_H

#include "pass.h"

typedef struct Match Match;

struct Rule {
	const char *name;                     /* for messages; NULL: the pass's name */
	const char *match, *emit;
	bool (*where)(Match *m);              /* more conditions; says why not with refuse; NULL: none */
	void (*attrs)(Match *m);              /* computes the names in `computed`, with match_bind_attr */
	const char *computed;                 /* those names, "round, scale"; NULL: none */
	/* For a pattern in two pieces: candidates for the node that defines `join_at`, given what is bound so far:
	 * calls try(m, node) until it returns true. Refuses when there is none. */
	const char *join_at;
	bool (*join)(Match *m, bool (*attempt)(Match *m, Node *candidate));
	const struct UserRule *user;          /* a rule of the user's own (user_rule.c); NULL: one of graft's */
	const char *file;                     /* where its text stands, for errors; NULL: nowhere */
	int match_line, emit_line;            /* lines there before match and emit */
	bool tentative;                       /* comes back at the end unless a later rewrite consumed it */
};

#define PASS(name, level, kernel, meaning)
#define RULES(name, level, kernel, meaning) extern const Rule rules_##name[];
#include "passes.def"
#undef PASS
#undef RULES

PassRun *match_run(Match *m);
Graph *match_graph(Match *m);
Value *match_value(Match *m, const char *name);        /* bound value; asserts that the rule binds it */
Node *match_node(Match *m, const char *name);          /* that makes it; NULL: optional and not there */
const Attr *match_attr(Match *m, const char *name);
void match_bind_attr(Match *m, const char *name, Attr a);

/* Says why not, at the match's root; returns false. Depth is how much of the match stood. */
bool refuse(Match *m, const char *code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Applies a list of rules until none fires. */
void rules_run(PassRun *run, const Rule *rules);

/* Reads and plans every rule of the list; fails with GRAFT_E_RULE. For the test that reads all of them. */
void rules_check(Job *job, const char *pass, const Rule *rules);

#endif
