/* dim.c - dimensions: symbols, arithmetic with simplification, comparison, evaluation. */
#include "dim.h"
#include "poly.h"
#include <inttypes.h>
#include <string.h>

/* ---- symbols ---------------------------------------------------------------------------------------------- */

static bool is_name(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';
		if (!letter && !(i && s[i] >= '0' && s[i] <= '9'))
			return false;
	}
	return n > 0;
}

/* The slot that holds the name, or the free one where it would go. */
static Symbol **symbol_slot(const PolyTable *t, const char *name, size_t n)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)name[i]) * 16777619u;
	size_t at = h & (t->n_slots - 1);
	while (t->symbol[at] && (strncmp(t->symbol[at]->name, name, n) || t->symbol[at]->name[n]))
		at = (at + 1) & (t->n_slots - 1);
	return &t->symbol[at];
}

Symbol *symbol_find(const Graph *g, const char *name, size_t n)
{
	return g->polys && g->polys->n_slots ? *symbol_slot(g->polys, name, n) : NULL;
}

static void symbol_slots(Graph *g, PolyTable *t)
{
	if (2 * (size_t)g->n_symbols < t->n_slots)
		return;
	t->n_slots = t->n_slots ? 2 * t->n_slots : 16;
	t->symbol = NEW_ARRAY(&g->arena, t->n_slots, Symbol *);
	for (Symbol *s = g->symbols; s; s = s->next)
		*symbol_slot(t, s->name, strlen(s->name)) = s;
}

Symbol *symbol_add(Graph *g, const char *name, size_t n, int64_t min, int64_t max)
{
	int show = n < 64 ? (int)n : 64;
	if (!is_name(name, n))
		fail(graph_job(g), GRAFT_E_GRAPH,
		     "'%.*s' cannot name a symbol: wanted letters, digits and _, no digit first", show, name);
	if (symbol_find(g, name, n))
		fail(graph_job(g), GRAFT_E_GRAPH, "symbol %.*s is declared twice", show, name);
	if (min > max)
		fail(graph_job(g), GRAFT_E_GRAPH, "symbol %.*s has the empty range [%" PRId64 ", %" PRId64 "]",
		     show, name, min, max);
	PolyTable *t = poly_table(g);
	symbol_slots(g, t);
	Symbol *s = NEW(&g->arena, Symbol);
	*s = (Symbol){ arena_strndup(&g->arena, name, n), min, max, g->n_symbols, NULL };
	*symbol_slot(t, name, n) = s;
	*(t->last ? &t->last->next : &g->symbols) = s;
	t->last = s;
	g->n_symbols++;
	return s;
}

/* ---- arithmetic ------------------------------------------------------------------------------------------- */

const char *dim_string(Arena *a, Dim d)
{
	Text t = { .arena = a };
	dim_print(&t, d);
	return t.text;
}

static const char *show(Graph *g, Dim d) { return dim_string(&graph_job(g)->scratch, d); }

/* The result, or the failure with both operands. */
static Dim result(Graph *g, Why why, Dim d, const char *op, Dim a, Dim b)
{
	if (why)
		fail(graph_job(g), GRAFT_E_GRAPH, "a size %s: (%s) %s (%s)", why, show(g, a), op, show(g, b));
	return d;
}

static Dim add_times(Graph *g, Dim a, int64_t k, Dim b, const char *op)
{
	Sum x, y, sum;
	Dim d = dim_const(0);
	if (!a.poly && !b.poly && k == 1 && !__builtin_add_overflow(a.value, b.value, &d.value))
		return d;
	sum_of(&x, a);
	sum_of(&y, b);
	Why why = sum_add(&sum, &x, k, &y);
	return result(g, why ? why : sum_dim(g, &sum, &d), d, op, a, b);
}

Dim dim_add(Graph *g, Dim a, Dim b) { return add_times(g, a, 1, b, "+"); }
Dim dim_sub(Graph *g, Dim a, Dim b) { return add_times(g, a, -1, b, "-"); }

Dim dim_mul(Graph *g, Dim a, Dim b)
{
	Sum x, y, sum;
	Dim d = dim_const(0);
	if (!a.poly && !b.poly && !__builtin_mul_overflow(a.value, b.value, &d.value))
		return d;
	sum_of(&x, a);
	sum_of(&y, b);
	Why why = sum_mul(g, &sum, &x, &y);
	return result(g, why ? why : sum_dim(g, &sum, &d), d, "*", a, b);
}

static Dim atom(Graph *g, AtomOp op, const char *name, Dim a, Dim b)
{
	Dim d = dim_const(0);
	Why why = atom_dim(g, op, a, b, &d);
	return result(g, why, d, name, a, b);
}

static Dim dim_of_sum(Graph *g, const Sum *s, const char *op, Dim a, Dim b)
{
	Dim d = dim_const(0);
	Why why = sum_dim(g, s, &d);
	return result(g, why, d, op, a, b);
}

bool dim_divide(Graph *g, Dim a, Dim b, Dim *quotient)
{
	Sum x, y, q;
	sum_of(&x, a);
	sum_of(&y, b);
	return y.n && sum_divide(g, &x, &y, &q) && !sum_dim(g, &q, quotient);
}

static int64_t gcd(int64_t a, int64_t b)      /* b > 0; so the result fits */
{
	while (a) {
		int64_t r = b % a;
		b = a;
		a = r;
	}
	return b < 0 ? -b : b;
}

/* The greatest number that divides k > 0 and every coefficient but the constant's. */
static int64_t common(const Sum *s, int64_t k)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->term[i].mono)
			k = gcd(s->term[i].coef % k, k);
	return k;
}

/* (s - s mod g) / g, where only the constant may leave a rest: what division by a multiple of g sees of s. */
static void divide_down(Sum *s, int64_t g)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		s->term[n] = s->term[i];
		s->term[n].coef = floor_div(s->term[i].coef, g);
		n += s->term[n].coef != 0;
	}
	s->n = n;
}

static int64_t constant_of(const Sum *s) { return s->n && !s->term[s->n - 1].mono ? s->term[s->n - 1].coef : 0; }

/* Is s = floordiv(x, m) + c, m a positive constant? */
static const Atom *is_quotient(const Sum *s)
{
	bool shape = s->n == 1 || (s->n == 2 && !s->term[1].mono);
	if (!shape || s->term[0].coef != 1 || mono_degree(s->term[0].mono) != 1)
		return NULL;
	const Atom *q = s->term[0].mono->atom[0];
	return q->key.op == FLOORDIV && !q->key.b.poly && q->key.b.value > 0 ? q : NULL;
}

/* floor(rest / k), nothing left to take out of it. */
static Dim quotient(Graph *g, Sum *rest, int64_t k)
{
	int64_t lo, hi, m, c;
	sum_range(rest, &lo, &hi);
	if (lo > INT64_MIN && hi < INT64_MAX && floor_div(lo, k) == floor_div(hi, k))
		return dim_const(floor_div(lo, k));
	int64_t f = common(rest, k);
	divide_down(rest, f);
	k /= f;
	const Atom *q = is_quotient(rest);
	if (q && !__builtin_mul_overflow(q->key.b.value, k, &m) &&
	    !__builtin_mul_overflow(constant_of(rest), q->key.b.value, &c))
		return dim_floordiv(g, dim_add(g, q->key.a, dim_const(c)), dim_const(m));
	Dim a = dim_of_sum(g, rest, "over", dim_const(1), dim_const(k));
	return atom(g, FLOORDIV, "floordiv", a, dim_const(k));
}

/* Takes out what k > 0 divides: floordiv(4*T + 2*S + 7, 4) is T + 1 + floordiv(2*S + 3, 4). */
static Dim floordiv_const(Graph *g, Dim a, int64_t k)
{
	Sum s, out = { .n = 0 }, rest = { .n = 0 };
	sum_of(&s, a);
	for (uint32_t i = 0; i < s.n; i++) {
		Term t = s.term[i], q = { floor_div(t.coef, k), t.mono }, r = { floor_mod(t.coef, k), t.mono };
		if (t.mono && r.coef) {
			rest.term[rest.n++] = t;
			continue;
		}
		if (q.coef)
			out.term[out.n++] = q;
		if (r.coef)
			rest.term[rest.n++] = r;
	}
	return dim_add(g, dim_of_sum(g, &out, "over", a, dim_const(k)), quotient(g, &rest, k));
}

static void no_zero(Graph *g, const char *op, Dim a, Dim b)
{
	if (dim_is(b, 0))
		fail(graph_job(g), GRAFT_E_GRAPH, "%s(%s, 0) divides by zero", op, show(g, a));
}

/* What the range alone says: op(a, b) can have only one value. */
static bool one_value(AtomOp op, Dim a, Dim b, Dim *d)
{
	int64_t lo, hi;
	atom_range(&(AtomKey){ op, NULL, a, b }, &lo, &hi);
	*d = dim_const(lo);
	return lo == hi && lo != INT64_MIN && lo != INT64_MAX;
}

Dim dim_floordiv(Graph *g, Dim a, Dim b)
{
	Dim d;
	no_zero(g, "floordiv", a, b);
	if (dim_divide(g, a, b, &d))
		return d;
	if (dim_is_const(b) && b.value < 0)
		return dim_floordiv(g, dim_sub(g, dim_const(0), a), dim_sub(g, dim_const(0), b));
	if (dim_is_const(b))
		return floordiv_const(g, a, b.value);
	return one_value(FLOORDIV, a, b, &d) ? d : atom(g, FLOORDIV, "floordiv", a, b);
}

static bool within(Dim a, int64_t min, int64_t max)
{
	int64_t lo, hi;
	dim_range(NULL, a, &lo, &hi);
	return lo >= min && hi <= max;
}

/* Coefficients count modulo k > 0, and what they share with k goes in front: mod(6*S + 3, 4) is 2*mod(S + 1, 2) + 1. */
static Dim mod_const(Graph *g, Dim a, int64_t k)
{
	Sum s;
	if (within(a, 0, k - 1))
		return a;
	sum_of(&s, a);
	uint32_t n = 0;
	for (uint32_t i = 0; i < s.n; i++) {
		s.term[n] = s.term[i];
		s.term[n].coef = floor_mod(s.term[i].coef, k);
		n += s.term[n].coef != 0;
	}
	s.n = n;
	int64_t f = common(&s, k), c = constant_of(&s) % f;
	divide_down(&s, f);
	Dim rest = dim_of_sum(g, &s, "mod", a, dim_const(k));
	if (!within(rest, 0, k / f - 1))
		rest = atom(g, MOD, "mod", rest, dim_const(k / f));
	return dim_add(g, dim_mul(g, rest, dim_const(f)), dim_const(c));
}

Dim dim_mod(Graph *g, Dim a, Dim b)
{
	Dim d, zero = dim_const(0);
	no_zero(g, "mod", a, b);
	if (dim_divide(g, a, b, &d))
		return zero;
	if (dim_is_const(b) && b.value < 0)
		return dim_sub(g, zero, dim_mod(g, dim_sub(g, zero, a), dim_sub(g, zero, b)));
	if (dim_is_const(b))
		return mod_const(g, a, b.value);
	if (dim_le(g, zero, a) == YES && dim_le(g, b, a) == NO)
		return a;
	return one_value(MOD, a, b, &d) ? d : atom(g, MOD, "mod", a, b);
}

static Dim extreme(Graph *g, AtomOp op, const char *name, Dim a, Dim b)
{
	if (dim_le(g, a, b) == YES)
		return op == MAX ? b : a;
	if (dim_le(g, b, a) == YES)
		return op == MAX ? a : b;
	return dim_order(a, b) < 0 ? atom(g, op, name, a, b) : atom(g, op, name, b, a);
}

Dim dim_max(Graph *g, Dim a, Dim b) { return extreme(g, MAX, "max", a, b); }
Dim dim_min(Graph *g, Dim a, Dim b) { return extreme(g, MIN, "min", a, b); }

Dim dim_apply(Graph *g, AtomOp op, Dim a, Dim b)
{
	static Dim (*const apply[])(Graph *, Dim, Dim) = {
		[FLOORDIV] = dim_floordiv, [MOD] = dim_mod, [MAX] = dim_max, [MIN] = dim_min,
	};
	return apply[op](g, a, b);
}

/* ---- comparison ------------------------------------------------------------------------------------------- */

void dim_range(const Graph *g, Dim d, int64_t *min, int64_t *max)
{
	(void)g;
	*min = d.poly ? d.poly->cell.min : d.value;
	*max = d.poly ? d.poly->cell.max : d.value;
}

static bool not_negative(const Sum *s, int fuel);

/* Is k*s never negative when its term i, c * atom, is replaced by c*d / k? k > 0 */
static bool replaced(const Sum *s, uint32_t i, Dim d, int64_t k, int fuel)
{
	static const Sum zero;
	Sum rest = *s, by, part, sum;
	rest.n--;
	memmove(&rest.term[i], &rest.term[i + 1], (rest.n - i) * sizeof *rest.term);
	sum_of(&by, d);
	if (sum_add(&part, &zero, s->term[i].coef, &by) || sum_add(&sum, &part, k, &rest))
		return false;
	return not_negative(&sum, fuel - 1);
}

/* A term that is one of two others, so that both must do: -max(a, b) or min(a, b). */
static bool is_either(const Term *t)
{
	const AtomKey *k = &t->mono->atom[0]->key;
	return k->op == (t->coef < 0 ? MAX : MIN);
}

/* Term i is c * op(a, b): does what bounds it from below do?
 *     max(a, b) >= a and >= b, and is one of the two; min the other way round
 *     mod(a, k) <= a for a >= 0, and k*floordiv(a, k) <= a, for k > 0 */
static bool bounded(const Sum *s, uint32_t i, int fuel)
{
	const AtomKey *k = &s->term[i].mono->atom[0]->key;
	if (k->op == MAX || k->op == MIN) {
		bool a = replaced(s, i, k->a, 1, fuel);
		return a != is_either(&s->term[i]) ? a : replaced(s, i, k->b, 1, fuel);
	}
	if (s->term[i].coef > 0 || k->b.poly || k->b.value <= 0)
		return false;
	if (k->op == MOD)
		return within(k->a, 0, INT64_MAX) && replaced(s, i, k->a, 1, fuel);
	return replaced(s, i, k->a, k->b.value, fuel);
}

/* The term to look through: one that is either of two, else the first that is an op; s->n: none. */
static uint32_t find_op(const Sum *s)
{
	uint32_t found = s->n;
	for (uint32_t i = 0; i < s->n; i++) {
		const Mono *m = s->term[i].mono;
		if (mono_degree(m) != 1 || m->atom[0]->key.op == SYMBOL)
			continue;
		if (is_either(&s->term[i]))
			return i;
		found = found == s->n ? i : found;
	}
	return found;
}

/* Is s >= 0 for every binding? Looks at the ranges, then through an op in it: at its operands, and at its own range. */
static bool not_negative(const Sum *s, int fuel)
{
	int64_t lo, hi;
	sum_range(s, &lo, &hi);
	if (lo >= 0)
		return true;
	uint32_t i = find_op(s);
	if (hi < 0 || !fuel || i == s->n)
		return false;
	int64_t end = s->term[i].coef > 0 ? s->term[i].mono->cell.min : s->term[i].mono->cell.max;
	bool known = end != INT64_MIN && end != INT64_MAX;
	return bounded(s, i, fuel) || (known && replaced(s, i, dim_const(end), 1, fuel));
}

enum { FUEL = 4 };

/* d = b - a, minus one when strict; is it never negative? */
static bool surely_le(Dim a, Dim b, bool strict)
{
	static const Sum one = { 1, { { 1, NULL } } };
	Sum x, y, d, less;
	sum_of(&x, a);
	sum_of(&y, b);
	if (sum_add(&d, &y, -1, &x))
		return false;
	return strict ? !sum_add(&less, &d, -1, &one) && not_negative(&less, FUEL) : not_negative(&d, FUEL);
}

Tri dim_le(Graph *g, Dim a, Dim b)
{
	(void)g;
	if (!a.poly && !b.poly)
		return a.value <= b.value ? YES : NO;
	if (dim_same(a, b) || dim_is(b, DIM_MAX) || surely_le(a, b, false))
		return YES;
	return surely_le(b, a, true) ? NO : UNKNOWN;
}

/* Can a = b not hold, whatever the integers are? 2*T = 2*S + 1 cannot. */
static bool never_integer(Dim a, Dim b)
{
	Sum x, y, d;
	sum_of(&x, a);
	sum_of(&y, b);
	if (sum_add(&d, &x, -1, &y))
		return false;
	int64_t k = 0, c = constant_of(&d);
	for (uint32_t i = 0; i < d.n; i++)
		if (d.term[i].mono && d.term[i].coef != INT64_MIN)
			k = gcd(k, d.term[i].coef < 0 ? -d.term[i].coef : d.term[i].coef);
		else if (d.term[i].mono)
			return false;
	return k ? c % k != 0 : c != 0;
}

Tri dim_eq(Graph *g, Dim a, Dim b)
{
	(void)g;
	if (dim_same(a, b))
		return YES;
	if (!a.poly && !b.poly)
		return NO;
	if (surely_le(a, b, true) || surely_le(b, a, true) || never_integer(a, b))
		return NO;
	return surely_le(a, b, false) && surely_le(b, a, false) ? YES : UNKNOWN;
}

/* ---- evaluation ------------------------------------------------------------------------------------------- */

static bool atom_eval(const AtomKey *k, const int64_t *bindings, int64_t *out)
{
	int64_t a, b;
	if (k->op == SYMBOL) {
		*out = bindings[k->symbol->index];
		return *out != INT64_MIN;
	}
	if (!dim_eval(k->a, bindings, &a) || !dim_eval(k->b, bindings, &b))
		return false;
	if (k->op == MAX || k->op == MIN) {
		*out = (a > b) == (k->op == MAX) ? a : b;
		return true;
	}
	if (b == 0 || (a == INT64_MIN && b == -1))
		return false;
	*out = k->op == FLOORDIV ? floor_div(a, b) : floor_mod(a, b);
	return true;
}

static bool term_eval(const Term *t, const int64_t *bindings, int64_t *out)
{
	int64_t v;
	*out = t->coef;
	for (uint32_t i = 0; i < mono_degree(t->mono); i++)
		if (!atom_eval(&t->mono->atom[i]->key, bindings, &v) || __builtin_mul_overflow(*out, v, out))
			return false;
	return true;
}

bool dim_eval(Dim d, const int64_t *bindings, int64_t *out)
{
	int64_t v;
	*out = d.value;
	for (uint32_t i = 0; d.poly && i < poly_terms(d.poly); i++)
		if (!term_eval(&d.poly->term[i], bindings, &v) || __builtin_add_overflow(*out, v, out))
			return false;
	return true;
}

/* c * the one atom of the term that is an unbound symbol; false when there are two of them, or an op that holds one. */
static bool term_linear(const Term *t, const int64_t *bindings, int64_t *c, const Symbol **symbol)
{
	int64_t v;
	*c = t->coef;
	*symbol = NULL;
	for (uint32_t i = 0; i < mono_degree(t->mono); i++) {
		const AtomKey *k = &t->mono->atom[i]->key;
		if (k->op == SYMBOL && bindings[k->symbol->index] == INT64_MIN && !*symbol)
			*symbol = k->symbol;
		else if (!atom_eval(k, bindings, &v) || __builtin_mul_overflow(*c, v, c))
			return false;
	}
	return true;
}

bool dim_solve(Dim d, const int64_t *bindings, int64_t value, const Symbol **symbol, int64_t *out)
{
	int64_t c, coef = 0, rest = d.value;
	const Symbol *x = NULL, *s;
	for (uint32_t i = 0; d.poly && i < poly_terms(d.poly); i++) {
		if (!term_linear(&d.poly->term[i], bindings, &c, &s) || (s && x && s != x))
			return false;
		x = s ? s : x;
		if (__builtin_add_overflow(s ? coef : rest, c, s ? &coef : &rest))
			return false;
	}
	if (!x || !coef || __builtin_sub_overflow(value, rest, &value))
		return false;
	if ((coef == -1 && value == INT64_MIN) || value % coef)
		return false;
	*symbol = x;
	*out = value / coef;
	return *out != INT64_MIN;
}
