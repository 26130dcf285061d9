/* dim.h - dimensions: integers, or polynomials over named symbols with ranges.
 *
 * A Dim is a constant (poly NULL) or a polynomial that is not constant. Polynomials are interned per graph, in one
 * normal form, so two dims that are the same polynomial have the same pointer. What is not a polynomial (floordiv, mod,
 * max, min) is an atom in it, like a symbol.
 */
#ifndef GRAFT_DIM_H
#define GRAFT_DIM_H

#include "arena.h"

typedef struct Poly Poly;
typedef struct Graph Graph;

typedef struct Dim { int64_t value; const Poly *poly; } Dim;   /* poly NULL: value; else value is 0 */

typedef enum Tri { NO, YES, UNKNOWN } Tri;

/* A named size with its range, both ends included. */
typedef struct Symbol { const char *name; int64_t min, max; uint32_t index; struct Symbol *next; } Symbol;

#define DIM_MAX INT64_MAX

static inline Dim dim_const(int64_t v) { return (Dim){ v, NULL }; }
static inline bool dim_is_const(Dim d) { return !d.poly; }
static inline bool dim_is(Dim d, int64_t v) { return !d.poly && d.value == v; }
static inline bool dim_same(Dim a, Dim b) { return a.poly == b.poly && a.value == b.value; }

Symbol *symbol_find(const Graph *g, const char *name, size_t n);              /* NULL: none */
Symbol *symbol_add(Graph *g, const char *name, size_t n, int64_t min, int64_t max);   /* fails if there or min > max */
Dim dim_symbol(Graph *g, Symbol *s);

/* Arithmetic; fails with GRAFT_E_GRAPH when a coefficient leaves int64. */
Dim dim_add(Graph *g, Dim a, Dim b);
Dim dim_sub(Graph *g, Dim a, Dim b);
Dim dim_mul(Graph *g, Dim a, Dim b);
Dim dim_floordiv(Graph *g, Dim a, Dim b);     /* rounds towards minus infinity; exact quotients become polynomials */
Dim dim_mod(Graph *g, Dim a, Dim b);          /* sign of b, as Python's */
Dim dim_max(Graph *g, Dim a, Dim b);
Dim dim_min(Graph *g, Dim a, Dim b);
bool dim_divide(Graph *g, Dim a, Dim b, Dim *quotient);   /* true when b divides a for every binding */

void dim_range(const Graph *g, Dim d, int64_t *min, int64_t *max);   /* an interval that holds every value; saturates */
Tri dim_eq(Graph *g, Dim a, Dim b);
Tri dim_le(Graph *g, Dim a, Dim b);

/* The value under bindings by Symbol.index; false on overflow, division by zero or an unbound symbol (INT64_MIN). */
bool dim_eval(Dim d, const int64_t *bindings, int64_t *out);

/* Solves dim = value for the one unbound symbol it holds, when it is linear in it; false when that is not so. */
bool dim_solve(Dim d, const int64_t *bindings, int64_t value, const Symbol **symbol, int64_t *out);

/* Text: `2*T + 1`, `floordiv(T, 2)`, `max(S, T)`. Reads one expression from *s (end excluded) and moves *s past it;
 * fails with GRAFT_E_SYNTAX, *s where it stopped; unknown symbols fail with GRAFT_E_GRAPH. Printing and reading give
 * back the same dim. */
Dim dim_parse(Graph *g, const char **s, const char *end);
void dim_print(Text *t, Dim d);
const char *dim_string(Arena *a, Dim d);      /* for messages */

#endif
