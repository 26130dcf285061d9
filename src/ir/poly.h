/* poly.h - the normal form behind a Dim; only dim*.c include it.
 *
 *   Poly   term[0] + term[1] + ...     in the order they print: higher degree first, the constant (mono NULL) last
 *   Term   coef * mono                 coef is never 0
 *   Mono   atom[0] * atom[1] * ...     in order, an atom once for each power
 *   Atom   a symbol, or op(a, b)
 *
 * Each is a Cell, interned by its key, so equal ones have equal pointers. Nothing in an order or a text depends on when
 * a cell was made. Every cell is bounded (DEPTH_MAX, WEIGHT_MAX), so walking one by recursion is safe whoever wrote
 * the graph.
 */
#ifndef GRAFT_POLY_H
#define GRAFT_POLY_H

#include "graph.h"

enum { DEGREE_MAX = GRAFT_MAX_RANK, TERMS_MAX = 128, WEIGHT_MAX = 1000, DEPTH_MAX = 32 };

typedef enum CellKind { ATOM, MONO, POLY } CellKind;
typedef enum AtomOp { SYMBOL, FLOORDIV, MOD, MAX, MIN } AtomOp;

typedef struct Cell {
	struct Cell *next;                    /* in its bucket */
	int64_t min, max;                     /* holds every value; the ends of int64 stand for no bound */
	uint32_t hash, size;                  /* of the key, which follows the cell */
	uint32_t weight;                      /* symbols, ops and terms when written out */
	uint16_t depth;                       /* how deep ops nest */
	uint16_t kind;
} Cell;

typedef struct PolyTable {
	Cell **bucket;
	size_t n, n_buckets;
	Symbol **symbol, *last;               /* by name, open addressing; the last one declared */
	size_t n_slots;
} PolyTable;
PolyTable *poly_table(Graph *g);

typedef struct AtomKey { uint64_t op; const Symbol *symbol; Dim a, b; } AtomKey;   /* no padding: compared as bytes */
typedef struct Atom { Cell cell; AtomKey key; } Atom;
typedef struct Mono { Cell cell; const Atom *atom[]; } Mono;
typedef struct Term { int64_t coef; const Mono *mono; } Term;
struct Poly { Cell cell; Term term[]; };

static inline uint32_t mono_degree(const Mono *m) { return m ? m->cell.size / (uint32_t)sizeof(Atom *) : 0; }
static inline uint32_t poly_terms(const Poly *p) { return p->cell.size / (uint32_t)sizeof(Term); }

/* A polynomial being worked on; not interned. Functions return NULL, or why there is no result ("leaves ..."). */
typedef struct Sum { uint32_t n; Term term[TERMS_MAX]; } Sum;
typedef const char *Why;

void sum_of(Sum *s, Dim d);
Why sum_add(Sum *out, const Sum *a, int64_t k, const Sum *b);         /* out = a + k*b; out is neither a nor b */
Why sum_mul(Graph *g, Sum *out, const Sum *a, const Sum *b);          /* out is neither a nor b */
bool sum_divide(Graph *g, const Sum *a, const Sum *b, Sum *q);        /* a = q*b; b is not 0 */
Why sum_dim(Graph *g, const Sum *s, Dim *out);
void sum_range(const Sum *s, int64_t *min, int64_t *max);
void atom_range(const AtomKey *k, int64_t *min, int64_t *max);

/* The atom op(a, b) as it is, nothing simplified. */
Why atom_dim(Graph *g, AtomOp op, Dim a, Dim b, Dim *out);
Dim dim_apply(Graph *g, AtomOp op, Dim a, Dim b);                     /* simplified; op is not SYMBOL */
int dim_order(Dim a, Dim b);                  /* a total order that depends on nothing but what they say */

int64_t floor_div(int64_t a, int64_t b);      /* b is not 0, and not -1 when a is INT64_MIN */
int64_t floor_mod(int64_t a, int64_t b);

#endif
