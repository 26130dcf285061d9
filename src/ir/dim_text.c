/* dim_text.c - dims as text.
 *
 *     sum     = ["-"] product { ("+" | "-") product }
 *     product = factor { "*" factor }
 *     factor  = integer | symbol | op "(" sum "," sum ")" | "(" sum ")" | "-" factor
 *     op      = "floordiv" | "mod" | "max" | "min"
 */
#include "poly.h"
#include <inttypes.h>
#include <string.h>

static const char *const op_name[] = { [FLOORDIV] = "floordiv", [MOD] = "mod", [MAX] = "max", [MIN] = "min" };

/* ---- printing --------------------------------------------------------------------------------------------- */

static void print_atom(Text *t, const AtomKey *k)
{
	if (k->op == SYMBOL) {
		text_puts(t, k->symbol->name);
		return;
	}
	text_puts(t, op_name[k->op]);
	text_puts(t, "(");
	dim_print(t, k->a);
	text_puts(t, ", ");
	dim_print(t, k->b);
	text_puts(t, ")");
}

static void print_term(Text *t, const Term *term, bool first)
{
	uint64_t size = term->coef < 0 ? -(uint64_t)term->coef : (uint64_t)term->coef;
	text_puts(t, first ? term->coef < 0 ? "-" : "" : term->coef < 0 ? " - " : " + ");
	bool shown = size != 1 || !term->mono;
	if (shown)
		text_printf(t, "%" PRIu64, size);
	for (uint32_t i = 0; i < mono_degree(term->mono); i++) {
		text_puts(t, shown || i ? "*" : "");
		print_atom(t, &term->mono->atom[i]->key);
	}
}

void dim_print(Text *t, Dim d)
{
	if (!d.poly)
		text_printf(t, "%" PRId64, d.value);
	for (uint32_t i = 0; d.poly && i < poly_terms(d.poly); i++)
		print_term(t, &d.poly->term[i], i == 0);
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

enum { NEST_MAX = 2 * DEPTH_MAX };

typedef struct Reader { Graph *g; const char **s, *end; int depth; } Reader;

static Dim read_sum(Reader *r);

static int peek(Reader *r)
{
	while (*r->s < r->end && (**r->s == ' ' || **r->s == '\t'))
		++*r->s;
	return *r->s < r->end ? (unsigned char)**r->s : -1;
}

static bool take(Reader *r, char c)
{
	if (peek(r) != c)
		return false;
	++*r->s;
	return true;
}

static _Noreturn void wanted(Reader *r, const char *what)
{
	int c = peek(r);
	if (c < 0)
		fail(graph_job(r->g), GRAFT_E_SYNTAX, "a size ends where %s should be", what);
	if (c < ' ' || c > '~')
		fail(graph_job(r->g), GRAFT_E_SYNTAX, "in a size, wanted %s, found byte 0x%02x", what, (unsigned)c);
	fail(graph_job(r->g), GRAFT_E_SYNTAX, "in a size, wanted %s, found '%c'", what, c);
}

static void need(Reader *r, char c)
{
	const char what[] = { '\'', c, '\'', 0 };
	if (!take(r, c))
		wanted(r, what);
}

static bool is_digit(int c) { return c >= '0' && c <= '9'; }
static bool is_letter(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/* The sign belongs to the number, so that the smallest integer can be read. */
static Dim read_integer(Reader *r, bool negative)
{
	const char *start = *r->s;
	int64_t v = 0;
	bool over = false;
	for (; *r->s < r->end && is_digit((unsigned char)**r->s); ++*r->s) {
		int digit = **r->s - '0';
		over |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, negative ? -digit : digit, &v);
	}
	int n = *r->s - start < 40 ? (int)(*r->s - start) : 40;
	if (over)
		fail(graph_job(r->g), GRAFT_E_SYNTAX, "%s%.*s%s is outside the 64-bit integers",
		     negative ? "-" : "", n, start, n == 40 ? "..." : "");
	if (n > 1 && *start == '0')
		fail(graph_job(r->g), GRAFT_E_SYNTAX, "%.*s: a number may not start with 0", n, start);
	return dim_const(v);
}

static Dim read_op(Reader *r, AtomOp op)
{
	need(r, '(');
	Dim a = read_sum(r);
	need(r, ',');
	Dim b = read_sum(r);
	need(r, ')');
	return dim_apply(r->g, op, a, b);
}

static Dim read_name(Reader *r)
{
	const char *start = *r->s;
	while (*r->s < r->end && (is_letter((unsigned char)**r->s) || is_digit((unsigned char)**r->s)))
		++*r->s;
	size_t n = (size_t)(*r->s - start);
	for (int op = FLOORDIV; peek(r) == '(' && op <= MIN; op++)
		if (n == strlen(op_name[op]) && !memcmp(start, op_name[op], n))
			return read_op(r, (AtomOp)op);
	Symbol *s = symbol_find(r->g, start, n);
	int show = n < 64 ? (int)n : 64;
	if (peek(r) == '(')
		fail(graph_job(r->g), GRAFT_E_SYNTAX, "%.*s(...) in a size: wanted floordiv, mod, max or min",
		     show, start);
	if (!s)
		fail(graph_job(r->g), GRAFT_E_GRAPH, "symbol %.*s is not declared", show, start);
	return dim_symbol(r->g, s);
}

static Dim negated(Reader *r, Dim d, bool negative) { return negative ? dim_sub(r->g, dim_const(0), d) : d; }

static Dim read_factor(Reader *r, bool negative)
{
	Dim d;
	if (is_digit(peek(r)))
		return read_integer(r, negative);
	if (is_letter(peek(r)))
		return negated(r, read_name(r), negative);
	if (take(r, '-')) {
		if (++r->depth > NEST_MAX)
			fail(graph_job(r->g), GRAFT_E_SYNTAX, "a size nests deeper than %d", NEST_MAX);
		d = read_factor(r, !negative);
		r->depth--;
		return d;
	}
	if (!take(r, '('))
		wanted(r, "an integer, a symbol or '('");
	d = read_sum(r);
	need(r, ')');
	return negated(r, d, negative);
}

static Dim read_product(Reader *r, bool negative)
{
	Dim d = read_factor(r, negative);
	while (take(r, '*'))
		d = dim_mul(r->g, d, read_factor(r, false));
	return d;
}

static Dim read_sum(Reader *r)
{
	if (++r->depth > NEST_MAX)
		fail(graph_job(r->g), GRAFT_E_SYNTAX, "a size nests deeper than %d", NEST_MAX);
	Dim d = read_product(r, take(r, '-'));
	for (int c = peek(r); c == '+' || c == '-'; c = peek(r)) {
		++*r->s;
		d = dim_add(r->g, d, read_product(r, c == '-'));
	}
	r->depth--;
	return d;
}

Dim dim_parse(Graph *g, const char **s, const char *end)
{
	return read_sum(&(Reader){ g, s, end, 0 });
}
