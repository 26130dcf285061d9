/* poly.c - polynomials in normal form: interning, order, sums and ranges. */
#include "poly.h"
#include <string.h>

static const char too_big[] = "leaves the 64-bit integers";
static const char too_long[] = "is too long an expression";

/* ---- interning -------------------------------------------------------------------------------------------- */

PolyTable *poly_table(Graph *g)
{
	if (!g->polys)
		g->polys = NEW(&g->arena, PolyTable);
	return g->polys;
}

static uint32_t hash_bytes(CellKind kind, const void *key, size_t size)
{
	uint64_t h = 0x9e3779b97f4a7c15u ^ (uint64_t)kind, word;
	for (size_t i = 0; i < size; i += sizeof word) {      /* every key is whole words */
		memcpy(&word, (const char *)key + i, sizeof word);
		h = (h ^ word) * 0xd6e8feb86659fd93u;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

static void table_grow(Graph *g, PolyTable *t)
{
	size_t n = t->n_buckets ? 2 * t->n_buckets : 64;
	Cell **bucket = NEW_ARRAY(&g->arena, n, Cell *), *next;
	for (size_t i = 0; i < t->n_buckets; i++)
		for (Cell *c = t->bucket[i]; c; c = next) {
			next = c->next;
			c->next = bucket[c->hash & (n - 1)];
			bucket[c->hash & (n - 1)] = c;
		}
	t->bucket = bucket;
	t->n_buckets = n;
}

/* The cell with this key; made from `head` when there is none. */
static const void *intern(Graph *g, Cell head, const void *key)
{
	PolyTable *t = poly_table(g);
	head.hash = hash_bytes(head.kind, key, head.size);
	if (t->n >= t->n_buckets)
		table_grow(g, t);
	Cell **bucket = &t->bucket[head.hash & (t->n_buckets - 1)];
	for (Cell *c = *bucket; c; c = c->next)
		if (c->hash == head.hash && c->kind == head.kind && c->size == head.size &&
		    !memcmp(c + 1, key, head.size))
			return c;
	Cell *c = arena_alloc(&g->arena, sizeof *c + head.size);
	*c = head;
	memcpy(c + 1, key, head.size);
	c->next = *bucket;
	*bucket = c;
	t->n++;
	return c;
}

/* ---- order ------------------------------------------------------------------------------------------------ */

static int int_order(int64_t a, int64_t b) { return (a > b) - (a < b); }

static int atom_order(const Atom *a, const Atom *b)
{
	if (a == b)
		return 0;
	if (a->key.op != b->key.op)
		return a->key.op < b->key.op ? -1 : 1;
	if (a->key.op == SYMBOL)
		return int_order(a->key.symbol->index, b->key.symbol->index);
	int o = dim_order(a->key.a, b->key.a);
	return o ? o : dim_order(a->key.b, b->key.b);
}

/* Graded lexicographic, so a product keeps the order of what it multiplies, and long division ends. */
static int mono_order(const Mono *a, const Mono *b)
{
	if (a == b)
		return 0;
	uint32_t n = mono_degree(a), m = mono_degree(b);
	if (n != m)
		return n > m ? -1 : 1;
	for (uint32_t i = 0; i < n; i++)
		if (a->atom[i] != b->atom[i])
			return atom_order(a->atom[i], b->atom[i]);
	return 0;
}

static int poly_order(const Poly *a, const Poly *b)
{
	uint32_t n = poly_terms(a), m = poly_terms(b);
	for (uint32_t i = 0; i < n && i < m; i++) {
		int o = mono_order(a->term[i].mono, b->term[i].mono);
		if (!o)
			o = int_order(a->term[i].coef, b->term[i].coef);
		if (o)
			return o;
	}
	return int_order(n, m);
}

int dim_order(Dim a, Dim b)
{
	if (dim_same(a, b))
		return 0;
	if (a.poly && b.poly)
		return poly_order(a.poly, b.poly);
	return a.poly ? 1 : b.poly ? -1 : int_order(a.value, b.value);
}

/* ---- ranges ----------------------------------------------------------------------------------------------- */

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

int64_t floor_mod(int64_t a, int64_t b)
{
	int64_t r = a % b;
	return r && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t mul_saturated(int64_t a, int64_t b)
{
	int64_t r;
	return !__builtin_mul_overflow(a, b, &r) ? r : (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
}

/* An end that is no bound stays none, whatever is added. */
static int64_t add_saturated(int64_t a, int64_t b, int64_t unbounded)
{
	int64_t r;
	if (a == unbounded || b == unbounded)
		return unbounded;
	return !__builtin_add_overflow(a, b, &r) ? r : a < 0 ? INT64_MIN : INT64_MAX;
}

static void widen(int64_t v, int64_t *min, int64_t *max)
{
	*min = v < *min ? v : *min;
	*max = v > *max ? v : *max;
}

static void range_mul(int64_t *min, int64_t *max, int64_t bmin, int64_t bmax)
{
	int64_t a[2] = { *min, *max }, b[2] = { bmin, bmax };
	*min = INT64_MAX;
	*max = INT64_MIN;
	for (int i = 0; i < 4; i++)
		widen(mul_saturated(a[i / 2], b[i % 2]), min, max);
	if (*min == -INT64_MAX)
		*min = INT64_MIN;             /* -1 times no bound */
}

/* The range of x / y, y not 0: at its corners, y just beside 0 being two of them. */
static void range_div(const int64_t x[2], const int64_t y[2], int64_t *min, int64_t *max)
{
	int64_t beside[4] = { y[0], y[1], -1, 1 };
	if (x[0] == INT64_MAX || x[1] == INT64_MIN || (y[0] == 0 && y[1] == 0)) {
		*min = INT64_MIN;
		*max = INT64_MAX;
		return;
	}
	*min = INT64_MAX;
	*max = INT64_MIN;
	for (int i = 0; i < 8; i++) {
		int64_t a = x[i % 2], b = beside[i / 2];
		if (b == 0 || b < y[0] || b > y[1])
			continue;
		if (a == INT64_MIN || a == INT64_MAX)
			widen((a < 0) == (b < 0) ? INT64_MAX : INT64_MIN, min, max);
		else
			widen(floor_div(a, b), min, max);
	}
}

static void range_mod(const int64_t x[2], const int64_t y[2], int64_t *min, int64_t *max)
{
	*min = y[0] == INT64_MIN ? INT64_MIN : y[0] < 0 ? y[0] + 1 : 0;
	*max = y[1] == INT64_MAX ? INT64_MAX : y[1] > 0 ? y[1] - 1 : 0;
	if (x[0] >= 0 && y[0] >= 0 && x[1] < *max)
		*max = x[1];
}

void atom_range(const AtomKey *k, int64_t *min, int64_t *max)
{
	int64_t x[2], y[2];
	if (k->op == SYMBOL) {
		*min = k->symbol->min;
		*max = k->symbol->max;
		return;
	}
	dim_range(NULL, k->a, &x[0], &x[1]);
	dim_range(NULL, k->b, &y[0], &y[1]);
	bool high = k->op == MAX;
	if (k->op == FLOORDIV) {
		range_div(x, y, min, max);
	} else if (k->op == MOD) {
		range_mod(x, y, min, max);
	} else {
		*min = (x[0] > y[0]) == high ? x[0] : y[0];
		*max = (x[1] > y[1]) == high ? x[1] : y[1];
	}
}

void sum_range(const Sum *s, int64_t *min, int64_t *max)
{
	*min = *max = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		const Mono *m = s->term[i].mono;
		int64_t lo = s->term[i].coef, hi = lo;
		if (m)
			range_mul(&lo, &hi, m->cell.min, m->cell.max);
		*min = add_saturated(*min, lo, INT64_MIN);
		*max = add_saturated(*max, hi, INT64_MAX);
	}
}

/* ---- monomials and sums ----------------------------------------------------------------------------------- */

static const Mono *mono_of(Graph *g, const Atom *const *atom, uint32_t n)
{
	Cell head = { .kind = MONO, .size = n * (uint32_t)sizeof *atom, .min = 1, .max = 1 };
	for (uint32_t i = 0; i < n; i++) {
		head.weight += atom[i]->cell.weight;
		head.depth = atom[i]->cell.depth > head.depth ? atom[i]->cell.depth : head.depth;
		range_mul(&head.min, &head.max, atom[i]->cell.min, atom[i]->cell.max);
	}
	return n ? intern(g, head, atom) : NULL;
}

static Why mono_mul(Graph *g, const Mono *a, const Mono *b, const Mono **out)
{
	const Atom *atom[DEGREE_MAX];
	uint32_t n = 0, i = 0, j = 0, na = mono_degree(a), nb = mono_degree(b);
	if (na + nb > DEGREE_MAX)
		return too_long;
	while (i < na || j < nb) {
		bool first = j == nb || (i < na && atom_order(a->atom[i], b->atom[j]) <= 0);
		atom[n++] = first ? a->atom[i++] : b->atom[j++];
	}
	*out = mono_of(g, atom, n);
	return NULL;
}

/* a / b, when b's atoms are among a's. */
static bool mono_div(Graph *g, const Mono *a, const Mono *b, const Mono **out)
{
	const Atom *atom[DEGREE_MAX];
	uint32_t n = 0, j = 0;
	for (uint32_t i = 0; i < mono_degree(a); i++)
		if (j < mono_degree(b) && a->atom[i] == b->atom[j])
			j++;
		else
			atom[n++] = a->atom[i];
	*out = mono_of(g, atom, n);
	return j == mono_degree(b);
}

void sum_of(Sum *s, Dim d)
{
	s->n = d.poly ? poly_terms(d.poly) : d.value != 0;
	if (d.poly)
		memcpy(s->term, d.poly->term, d.poly->cell.size);
	else
		s->term[0] = (Term){ d.value, NULL };
}

Why sum_add(Sum *out, const Sum *a, int64_t k, const Sum *b)
{
	uint32_t i = 0, j = 0;
	out->n = 0;
	while (i < a->n || j < b->n) {
		int o = i == a->n ? 1 : j == b->n ? -1 : mono_order(a->term[i].mono, b->term[j].mono);
		Term t = { 0, o <= 0 ? a->term[i].mono : b->term[j].mono };
		if (o >= 0 && __builtin_mul_overflow(k, b->term[j++].coef, &t.coef))
			return too_big;
		if (o <= 0 && __builtin_add_overflow(a->term[i++].coef, t.coef, &t.coef))
			return too_big;
		if (!t.coef)
			continue;
		if (out->n == TERMS_MAX)
			return too_long;
		out->term[out->n++] = t;
	}
	return NULL;
}

/* out = a * t */
static Why sum_scale(Graph *g, Sum *out, const Sum *a, Term t)
{
	Why why = NULL;
	out->n = a->n;
	for (uint32_t i = 0; i < a->n && !why; i++) {
		why = mono_mul(g, a->term[i].mono, t.mono, &out->term[i].mono);
		if (__builtin_mul_overflow(a->term[i].coef, t.coef, &out->term[i].coef))
			why = too_big;
	}
	return why;
}

Why sum_mul(Graph *g, Sum *out, const Sum *a, const Sum *b)
{
	Why why = NULL;
	out->n = 0;
	for (uint32_t i = 0; i < b->n && !why; i++) {
		Sum part, before = *out;
		why = sum_scale(g, &part, a, b->term[i]);
		if (!why)
			why = sum_add(out, &before, 1, &part);
	}
	return why;
}

/* Long division: true when a = q * b. */
bool sum_divide(Graph *g, const Sum *a, const Sum *b, Sum *q)
{
	Sum rest = *a;
	for (q->n = 0; rest.n && q->n < TERMS_MAX; q->n++) {
		Term *t = &q->term[q->n], lead = b->term[0];
		Sum part, before = rest;
		if ((lead.coef == -1 && rest.term[0].coef == INT64_MIN) || rest.term[0].coef % lead.coef)
			return false;
		t->coef = rest.term[0].coef / lead.coef;
		if (!mono_div(g, rest.term[0].mono, lead.mono, &t->mono))
			return false;
		if (sum_scale(g, &part, b, *t) || sum_add(&rest, &before, -1, &part))
			return false;
	}
	return !rest.n;
}

Why sum_dim(Graph *g, const Sum *s, Dim *out)
{
	if (!s->n || (s->n == 1 && !s->term[0].mono)) {
		*out = dim_const(s->n ? s->term[0].coef : 0);
		return NULL;
	}
	Cell head = { .kind = POLY, .size = s->n * (uint32_t)sizeof(Term), .weight = s->n };
	for (uint32_t i = 0; i < s->n; i++) {
		const Mono *m = s->term[i].mono;
		if (!m)
			continue;
		head.weight += m->cell.weight;
		head.depth = m->cell.depth > head.depth ? m->cell.depth : head.depth;
	}
	if (head.weight > WEIGHT_MAX)
		return too_long;
	sum_range(s, &head.min, &head.max);
	*out = (Dim){ 0, intern(g, head, s->term) };
	return NULL;
}

static Why atom_key_dim(Graph *g, const AtomKey *key, Dim *out)
{
	Cell head = { .kind = ATOM, .size = sizeof *key, .weight = 1 };
	const Dim arg[2] = { key->a, key->b };
	for (int i = 0; i < 2; i++)
		if (arg[i].poly) {
			head.weight += arg[i].poly->cell.weight;
			if (arg[i].poly->cell.depth >= head.depth)
				head.depth = (uint16_t)(arg[i].poly->cell.depth + 1);
		}
	if (head.depth > DEPTH_MAX)
		return too_long;
	atom_range(key, &head.min, &head.max);
	const Atom *atom = intern(g, head, key);
	return sum_dim(g, &(Sum){ 1, { { 1, mono_of(g, &atom, 1) } } }, out);
}

Why atom_dim(Graph *g, AtomOp op, Dim a, Dim b, Dim *out)
{
	return atom_key_dim(g, &(AtomKey){ op, NULL, a, b }, out);
}

Dim dim_symbol(Graph *g, Symbol *s)
{
	Dim d = { 0, NULL };
	atom_key_dim(g, &(AtomKey){ SYMBOL, s, { 0, NULL }, { 0, NULL } }, &d);       /* one symbol is never too long */
	return d;
}
