/* torch_expr.c - sizes that are expressions: Add(Mul(Integer(2), Symbol('s77', integer=True)), Integer(1)); read, and
 * written.
 *
 * PyTorch evaluates this text as Python. Here it is a closed grammar:
 *
 *     expr = NAME [ '(' [ arg { ',' arg } ] ')' ] | INT        arg = [ NAME '=' ] ( expr | STRING )
 *
 * Of the functions only those that are sizes for us mean something; a call of any other makes the whole expression a
 * symbol of its own, whose name comes from the text, so that equal texts are equal sizes.
 */
#include "torch.h"
#include <string.h>

enum { EXPR_DEPTH = 64, EXPR_ARGS = 256, POWER_MAX = 16 };

typedef struct Expr {
	Graph *g;
	Json at;
	const char *start, *p, *end;
	unsigned depth;
	bool unknown;
} Expr;

typedef struct Word { const char *s; size_t n; } Word;

_Noreturn static void wrong(const Expr *e, const char *wanted)
{
	json_fail(e->at, GRAFT_E_GRAPH, "a size: wanted %s behind '%.*s'", wanted,
	          (int)(e->p - e->start < 60 ? e->p - e->start : 60), e->start);
}

static void blanks(Expr *e)
{
	while (e->p < e->end && *e->p == ' ')
		e->p++;
}

static bool accept(Expr *e, char c)
{
	blanks(e);
	if (e->p == e->end || *e->p != c)
		return false;
	e->p++;
	blanks(e);
	return true;
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Of a dotted name the last part counts. */
static Word word(Expr *e)
{
	const char *start = e->p;
	while (e->p < e->end && (is_letter(*e->p) || is_digit(*e->p) || *e->p == '.')) {
		if (*e->p == '.')
			start = e->p + 1;
		e->p++;
	}
	return (Word){ start, (size_t)(e->p - start) };
}

static bool is(Word w, const char *name)
{
	return strlen(name) == w.n && !memcmp(w.s, name, w.n);
}

static Word quoted(Expr *e)
{
	const char *start = ++e->p;
	while (e->p < e->end && *e->p != '\'')
		e->p++;
	if (e->p == e->end)
		wrong(e, "the end of a quoted name");
	return (Word){ start, (size_t)(e->p++ - start) };
}

static int64_t integer(Expr *e)
{
	bool minus = accept(e, '-');
	int64_t v = 0;
	if (e->p == e->end || !is_digit(*e->p))
		wrong(e, "an integer");
	for (; e->p < e->end && is_digit(*e->p); e->p++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *e->p - '0', &v))
			wrong(e, "an integer of 64 bits");
	return minus ? -v : v;
}

/* ---- calls ---- */

static Dim dim_opaque(Graph *g, const char *s, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)s[i]) * 0x100000001b3u;
	const char *name = arena_printf(&g->arena, "expr_%016llx", (unsigned long long)hash);
	Symbol *symbol = symbol_find(g, name, strlen(name));
	return dim_symbol(g, symbol ? symbol : symbol_add(g, name, strlen(name), 0, DIM_MAX));
}

static Dim dim_named(Expr *e, Word w)
{
	Symbol *s = symbol_find(e->g, w.s, w.n);
	if (s)
		return dim_symbol(e->g, s);
	for (size_t i = 0; i < w.n; i++)
		if (!is_letter(w.s[i]) && !(i && is_digit(w.s[i])))
			e->unknown = true;
	if (e->unknown || !w.n)
		return dim_const(0);
	return dim_symbol(e->g, symbol_add(e->g, w.s, w.n, 0, DIM_MAX));
}

static Dim power(Expr *e, Dim base, Dim exponent)
{
	Dim d = dim_const(1);
	if (!dim_is_const(exponent) || exponent.value < 0 || exponent.value > POWER_MAX) {
		e->unknown = true;
		return d;
	}
	for (int64_t i = 0; i < exponent.value; i++)
		d = dim_mul(e->g, d, base);
	return d;
}

static Dim divide(Expr *e, Dim a, Dim b)
{
	if (dim_is(b, 0))
		json_fail(e->at, GRAFT_E_GRAPH, "a size is divided by 0");
	return dim_floordiv(e->g, a, b);
}

static Dim modulo(Expr *e, Dim a, Dim b)
{
	if (dim_is(b, 0))
		json_fail(e->at, GRAFT_E_GRAPH, "a size is taken modulo 0");
	return dim_mod(e->g, a, b);
}

typedef Dim Fold(Graph *g, Dim a, Dim b);

static Dim fold(Expr *e, const Dim *arg, uint32_t n, Fold *f)
{
	Dim d = n ? arg[0] : dim_const(0);
	e->unknown |= !n;
	for (uint32_t i = 1; i < n; i++)
		d = f(e->g, d, arg[i]);
	return d;
}

static Dim apply(Expr *e, Word name, const Dim *arg, uint32_t n)
{
	if (e->unknown)
		return dim_const(0);
	if (is(name, "Integer") && n == 1)
		return arg[0];
	if (is(name, "Add"))
		return fold(e, arg, n, dim_add);
	if (is(name, "Mul"))
		return fold(e, arg, n, dim_mul);
	if (is(name, "Max"))
		return fold(e, arg, n, dim_max);
	if (is(name, "Min"))
		return fold(e, arg, n, dim_min);
	if (is(name, "Pow") && n == 2)
		return power(e, arg[0], arg[1]);
	if ((is(name, "FloorDiv") || is(name, "CleanDiv")) && n == 2)
		return divide(e, arg[0], arg[1]);
	if ((is(name, "Mod") || is(name, "PythonMod")) && n == 2)
		return modulo(e, arg[0], arg[1]);
	e->unknown = true;
	return dim_const(0);
}

static Dim read(Expr *e);

/* A quoted name counts as the symbol; what is given by keyword (integer=True) says nothing we need. */
static Dim read_args(Expr *e, Word name)
{
	Dim arg[EXPR_ARGS];
	Word symbol = { 0 };
	uint32_t n = 0;
	for (bool more = !accept(e, ')'); more;) {
		const char *start = e->p;
		word(e);
		if (!accept(e, '='))
			e->p = start;
		bool keyword = e->p != start;
		if (n == EXPR_ARGS)
			wrong(e, "fewer arguments");
		if (e->p < e->end && *e->p == '\'')
			symbol = quoted(e);
		else if (keyword)
			word(e);
		else
			arg[n++] = read(e);
		if (accept(e, ')'))
			break;
		if (!accept(e, ','))
			wrong(e, "',' or ')'");
	}
	return symbol.s && is(name, "Symbol") ? dim_named(e, symbol) : apply(e, name, arg, n);
}

static Dim read(Expr *e)
{
	Dim d;
	if (e->depth++ == EXPR_DEPTH)
		json_fail(e->at, GRAFT_E_GRAPH, "a size: the expression is nested deeper than %d levels", EXPR_DEPTH);
	blanks(e);
	if (e->p < e->end && (is_digit(*e->p) || *e->p == '-')) {
		d = dim_const(integer(e));
	} else {
		if (e->p == e->end || !is_letter(*e->p))
			wrong(e, "a name or an integer");
		Word name = word(e);
		d = accept(e, '(') ? read_args(e, name) : dim_named(e, name);
	}
	e->depth--;
	return d;
}

Dim torch_expr(Graph *g, Json text)
{
	size_t n;
	const char *s = json_text(&graph_job(g)->scratch, text, &n);
	Expr e = { .g = g, .at = text, .start = s, .p = s, .end = s + n };
	Dim d = read(&e);
	blanks(&e);
	if (e.p != e.end)
		wrong(&e, "the end of the expression");
	return e.unknown ? dim_opaque(g, s, n) : d;
}

/* ---- writing ---- */

/* Reads what dim_print makes of a size. */
typedef struct Rewrite { Arena *a; const Torch *t; const char *p; bool unknown; } Rewrite;

static const char *rewrite_sum(Rewrite *r);

/* As the file writes it: symbols that are assumed something else are others to PyTorch. */
static const char *rewrite_symbol(Rewrite *r, Word name)
{
	const char *start = arena_printf(r->a, "Symbol('%.*s'", (int)name.n, name.s), *end_of_text = r->t->text.end;
	const char *values = r->t->tensor_values.at, *data = r->t->text.data;
	const char *found = memmem(values, (size_t)(end_of_text - values), start, strlen(start));
	if (!found)
		found = memmem(data, (size_t)(end_of_text - data), start, strlen(start));
	const char *end = found ? memchr(found, ')', (size_t)(end_of_text - found)) : NULL;
	if (end && (memchr(found, '"', (size_t)(end - found)) || memchr(found, '\\', (size_t)(end - found))))
		end = NULL;
	r->unknown |= !end;
	return end ? arena_strndup(r->a, found, (size_t)(end + 1 - found)) : "";
}

static const char *rewrite_call(Rewrite *r, Word op)
{
	static const char *const names[][2] = { { "floordiv", "FloorDiv" }, { "mod", "PythonMod" }, { "max", "Max" },
	                                        { "min", "Min" } };
	const char *name = "", *a = (r->p++, rewrite_sum(r)), *b = (r->p += 2, rewrite_sum(r));
	r->p++;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		name = is(op, names[i][0]) ? names[i][1] : name;
	return arena_printf(r->a, "%s(%s, %s)", name, a, b);
}

static const char *rewrite_factor(Rewrite *r)
{
	Word w = { r->p, 0 };
	while (is_letter(r->p[w.n]) || is_digit(r->p[w.n]))
		w.n++;
	r->p += w.n;
	if (is_digit(*w.s))
		return arena_printf(r->a, "Integer(%.*s)", (int)w.n, w.s);
	return *r->p == '(' ? rewrite_call(r, w) : rewrite_symbol(r, w);
}

static const char *rewrite_product(Rewrite *r, bool negative)
{
	const char *all = rewrite_factor(r);
	if (negative)
		all = arena_printf(r->a, "Mul(Integer(-1), %s)", all);
	while (*r->p == '*') {
		r->p++;
		all = arena_printf(r->a, "Mul(%s, %s)", all, rewrite_factor(r));
	}
	return all;
}

static const char *rewrite_sum(Rewrite *r)
{
	bool negative = *r->p == '-';
	r->p += negative;
	const char *all = rewrite_product(r, negative);
	while (*r->p == ' ') {
		negative = r->p[1] == '-';
		r->p += 3;
		all = arena_printf(r->a, "Add(%s, %s)", all, rewrite_product(r, negative));
	}
	return all;
}

const char *torch_expr_text(Arena *a, const Torch *t, Dim d)
{
	Rewrite r = { .a = a, .t = t, .p = dim_string(a, d) };
	const char *all = rewrite_sum(&r);
	return r.unknown ? NULL : all;
}
