/* Dims: normal form, comparison, evaluation, limits. */
#include "test.h"
#include "../../src/ir/graph.h"

static void with_graph(void (*body)(Graph *g), graft_error *err);

/* Runs `body` with a graph that has T in [1, 64], S in [0, 16], U in [-3, 4], B without bounds above, F in [4, 4]. */
typedef struct Run { graft_context *ctx; void (*body)(Graph *g); } Run;

static void run_body(Job *job, void *arg)
{
	Run *r = arg;
	Graph *g = graph_new(job, r->ctx, "g");
	symbol_add(g, "T", 1, 1, 64);
	symbol_add(g, "S", 1, 0, 16);
	symbol_add(g, "U", 1, -3, 4);
	symbol_add(g, "B", 1, 0, DIM_MAX);
	symbol_add(g, "F", 1, 4, 4);
	r->body(g);
}

static void with_graph(void (*body)(Graph *g), graft_error *err)
{
	Run r = { .body = body };
	graft_error none = { 0 };
	CHECK_INT(graft_context_new(NULL, &r.ctx, NULL), GRAFT_OK);
	graft_status status = guarded(context_allocator(r.ctx), run_body, &r, err ? err : &none);
	graft_context_free(r.ctx);
	if (!err)
		CHECK_STR(none.message, "");
	CHECK_INT(status, err ? err->status : GRAFT_OK);
}

static Dim read(Graph *g, const char *text)
{
	const char *s = text, *end = text + strlen(text);
	Dim d = dim_parse(g, &s, end);
	CHECK_STR(s, "");
	return d;
}

static const char *text(Graph *g, Dim d) { return dim_string(&graph_job(g)->scratch, d); }

static const char *const normal[][2] = {
	/* sums and products */
	{ "0", "0" }, { "-0", "0" }, { "7", "7" }, { "T", "T" }, { "T + 0", "T" }, { "1*T", "T" }, { "T*0", "0" },
	{ "T - T", "0" },
	{ "1 + T", "T + 1" }, { "S + T", "T + S" }, { "S*T", "T*S" }, { "-T", "-T" }, { "5 - T", "-T + 5" },
	{ "T*2", "2*T" },
	{ "(T + 1)*(T - 1)", "T*T - 1" }, { "(T + S)*(T + S)", "T*T + 2*T*S + S*S" }, { "2*(T + S) - 2*S", "2*T" },
	{ "T*T*S + S*S*T + T", "T*T*S + T*S*S + T" }, { "- - T", "T" }, { "T*-2", "-2*T" }, { "((T))", "T" },
	{ " T  +1 ", "T + 1" },
	{ "T - (S - 1)", "T - S + 1" }, { "-(T - 1)*2", "-2*T + 2" },
	{ "9223372036854775807", "9223372036854775807" }, { "-9223372036854775808", "-9223372036854775808" },
	{ "-9223372036854775808*T", "-9223372036854775808*T" },
	{ "T - 9223372036854775808*S", "T - 9223372036854775808*S" },
	/* floordiv */
	{ "floordiv(7, 2)", "3" }, { "floordiv(-7, 2)", "-4" }, { "floordiv(7, -2)", "-4" },
	{ "floordiv(-7, -2)", "3" },
	{ "floordiv(4*T, 2)", "2*T" }, { "floordiv(4*T + 2*S + 7, 4)", "T + floordiv(S + 1, 2) + 1" },
	{ "floordiv(T, 2)", "floordiv(T, 2)" }, { "floordiv(T, 1)", "T" }, { "floordiv(T, -1)", "-T" },
	{ "floordiv(T*S, S)", "T" },
	{ "floordiv(T*T - 1, T + 1)", "T - 1" }, { "floordiv(floordiv(T, 2), 3)", "floordiv(T, 6)" },
	{ "floordiv(floordiv(T, 2) + 1, 2)", "floordiv(T + 2, 4)" }, { "floordiv(T, 65)", "0" },
	{ "floordiv(-T, 64)", "-1" },
	{ "floordiv(T, -2)", "floordiv(-T, 2)" }, { "floordiv(T + 63, 64)", "1" },
	{ "floordiv(T + 62, 64)", "floordiv(T + 62, 64)" }, { "floordiv(0, S)", "0" },
	{ "floordiv(7, T)", "floordiv(7, T)" }, { "floordiv(6*B + 3, 9)", "floordiv(2*B + 1, 3)" },
	/* mod */
	{ "mod(7, 4)", "3" }, { "mod(-7, 4)", "1" }, { "mod(7, -4)", "-1" }, { "mod(T, 1)", "0" },
	{ "mod(4*T, 2)", "0" }, { "mod(T, 65)", "T" },
	{ "mod(T, 64)", "mod(T, 64)" }, { "mod(5*T + 9, 4)", "mod(T + 1, 4)" },
	{ "mod(6*S + 3, 4)", "2*mod(S + 1, 2) + 1" },
	{ "mod(-T, 2)", "mod(T, 2)" }, { "mod(T, -2)", "-mod(T, 2)" }, { "mod(T*S, S)", "0" },
	{ "mod(S, T + 16)", "S" },
	{ "mod(S, T)", "mod(S, T)" }, { "mod(16 - S, 17)", "-S + 16" }, { "mod(S, -U)", "mod(S, -U)" },
	/* max and min */
	{ "max(T, 1)", "T" }, { "max(0, T)", "T" }, { "max(T, 64)", "64" }, { "min(T, 5)", "min(5, T)" },
	{ "max(S, T)", "max(T, S)" },
	{ "min(T, T + 1)", "T" }, { "min(min(T, 5), T)", "min(5, T)" }, { "max(min(T, 5), T)", "T" },
	{ "min(min(T, 5), 7)", "min(5, T)" },
	{ "max(0, min(T, 5) - min(T, 2))", "-min(2, T) + min(5, T)" }, { "max(2*floordiv(T, 2), T)", "T" },
	{ "max(mod(T, 8), T)", "T" },
	{ "min(T - mod(T, 8), T)", "T - mod(T, 8)" }, { "max(T, B)", "max(T, B)" },
	{ "min(B, 9223372036854775807)", "B" },
	{ "max(max(T, S), max(S, T))", "max(T, S)" },
};

static void check_normal(Graph *g)
{
	for (size_t i = 0; i < sizeof normal / sizeof *normal; i++) {
		Dim d = read(g, normal[i][0]);
		CHECK_STR(text(g, d), normal[i][1]);
		CHECK(dim_same(d, read(g, normal[i][1])));
	}
}

TEST(dim_normal_form) { with_graph(check_normal, NULL); }

/* ---- what cannot be read ---- */

static const char *wrong_text;
static void read_wrong(Graph *g) { read(g, wrong_text); }

static void check_error(const char *s, graft_status status, const char *message)
{
	graft_error err = { 0 };
	wrong_text = s;
	with_graph(read_wrong, &err);
	CHECK_INT(err.status, status);
	CHECK_STR(err.message, message);
}

TEST(dim_errors)
{
	check_error("", GRAFT_E_SYNTAX, "a size ends where an integer, a symbol or '(' should be");
	check_error("2*", GRAFT_E_SYNTAX, "a size ends where an integer, a symbol or '(' should be");
	check_error("T + ]", GRAFT_E_SYNTAX, "in a size, wanted an integer, a symbol or '(', found ']'");
	check_error("\n", GRAFT_E_SYNTAX, "in a size, wanted an integer, a symbol or '(', found byte 0x0a");
	check_error("(T", GRAFT_E_SYNTAX, "a size ends where ')' should be");
	check_error("max(T)", GRAFT_E_SYNTAX, "in a size, wanted ',', found ')'");
	check_error("max(T, S, T)", GRAFT_E_SYNTAX, "in a size, wanted ')', found ','");
	check_error("ceil(T)", GRAFT_E_SYNTAX, "ceil(...) in a size: wanted floordiv, mod, max or min");
	check_error("X + 1", GRAFT_E_GRAPH, "symbol X is not declared");
	check_error("TT", GRAFT_E_GRAPH, "symbol TT is not declared");
	check_error("max", GRAFT_E_GRAPH, "symbol max is not declared");
	check_error("007", GRAFT_E_SYNTAX, "007: a number may not start with 0");
	check_error("9223372036854775808", GRAFT_E_SYNTAX, "9223372036854775808 is outside the 64-bit integers");
	check_error("-9223372036854775809", GRAFT_E_SYNTAX, "-9223372036854775809 is outside the 64-bit integers");
	check_error("9223372036854775807 + 1", GRAFT_E_GRAPH,
	            "a size leaves the 64-bit integers: (9223372036854775807) + (1)");
	check_error("T*9223372036854775807 + T", GRAFT_E_GRAPH,
	            "a size leaves the 64-bit integers: (9223372036854775807*T) + (T)");
	check_error("3037000500*3037000500", GRAFT_E_GRAPH,
	            "a size leaves the 64-bit integers: (3037000500) * (3037000500)");
	check_error("floordiv(-9223372036854775808, -1)", GRAFT_E_GRAPH,
	            "a size leaves the 64-bit integers: (0) - (-9223372036854775808)");
	check_error("floordiv(T, 0)", GRAFT_E_GRAPH, "floordiv(T, 0) divides by zero");
	check_error("mod(T, S - S)", GRAFT_E_GRAPH, "mod(T, 0) divides by zero");
}

static char big[8192];

static void repeat(const char *before, const char *middle, const char *after, int n)
{
	big[0] = 0;
	for (int i = 0; i < n; i++)
		strcat(big, before);
	strcat(big, middle);
	for (int i = 0; i < n; i++)
		strcat(big, after);
}

static void read_big(Graph *g) { read(g, big); }

TEST(dim_limits)
{
	graft_error err = { 0 };
	repeat("(", "T", ")", 63);
	with_graph(read_big, NULL);
	repeat("(", "T", ")", 64);
	with_graph(read_big, &err);
	CHECK_STR(err.message, "a size nests deeper than 64");
	repeat("-", "T", "", 63);
	with_graph(read_big, NULL);
	repeat("-", "T", "", 1000);
	with_graph(read_big, &err);
	CHECK_STR(err.message, "a size nests deeper than 64");
	repeat("floordiv(", "7", ", T)", 32);
	with_graph(read_big, NULL);
	repeat("floordiv(", "7", ", T)", 33);
	with_graph(read_big, &err);
	CHECK_HAS(err.message, "a size is too long an expression");
	repeat("T*", "T", "", 63);
	with_graph(read_big, NULL);
	repeat("T*", "T", "", 64);
	with_graph(read_big, &err);
	CHECK_HAS(err.message, "a size is too long an expression");
	repeat("(T + S + U + B + F)*", "T", "", 20);
	with_graph(read_big, &err);
	CHECK_HAS(err.message, "a size is too long an expression");
}

/* ---- symbols ---- */

static const char *symbol_name;
static int64_t symbol_min, symbol_max;
static void add_symbol(Graph *g) { symbol_add(g, symbol_name, strlen(symbol_name), symbol_min, symbol_max); }

static void check_symbol(const char *name, int64_t min, int64_t max, const char *message)
{
	graft_error err = { 0 };
	symbol_name = name, symbol_min = min, symbol_max = max;
	with_graph(add_symbol, *message ? &err : NULL);
	CHECK_STR(err.message, message);
}

TEST(symbols_are_checked)
{
	check_symbol("s0", 1, 1, "");
	check_symbol("_", INT64_MIN, INT64_MAX, "");
	check_symbol("max", 0, 1, "");
	check_symbol("T", 1, 2, "symbol T is declared twice");
	check_symbol("N", 2, 1, "symbol N has the empty range [2, 1]");
	check_symbol("", 1, 2, "'' cannot name a symbol: wanted letters, digits and _, no digit first");
	check_symbol("2x", 1, 2, "'2x' cannot name a symbol: wanted letters, digits and _, no digit first");
	check_symbol("a b", 1, 2, "'a b' cannot name a symbol: wanted letters, digits and _, no digit first");
}

static void many_symbols(Graph *g)
{
	char name[16];
	for (int i = 0; i < 1000; i++) {
		int n = snprintf(name, sizeof name, "s%d", i);
		CHECK_INT(symbol_add(g, name, (size_t)n, 1, 2)->index, i + 5);
	}
	CHECK_INT(symbol_find(g, "s999", 4)->index, 1004);
	CHECK_INT(symbol_find(g, "s9999", 4)->index, 1004);
	CHECK(!symbol_find(g, "s9999", 5));
	CHECK_INT(g->n_symbols, 1005);
	CHECK_STR(g->symbols->name, "T");
	CHECK_STR(g->symbols->next->name, "S");
	CHECK_STR(text(g, read(g, "s999 + s1*T + s10*s2")), "T*s1 + s2*s10 + s999");
}

TEST(symbols_by_the_thousand) { with_graph(many_symbols, NULL); }

/* ---- comparison ---- */

typedef struct Pair { const char *a, *b; Tri eq, le; } Pair;

static const Pair pairs[] = {
	{ "3", "3", YES, YES }, { "3", "4", NO, YES }, { "4", "3", NO, NO },
	{ "-9223372036854775808", "9223372036854775807", NO, YES },
	{ "T", "T", YES, YES }, { "T", "S", UNKNOWN, UNKNOWN }, { "T", "T + 1", NO, YES }, { "T + 1", "T", NO, NO },
	{ "T", "64", UNKNOWN, YES }, { "T", "65", NO, YES }, { "T", "0", NO, NO }, { "T", "1", UNKNOWN, UNKNOWN },
	{ "2*T", "2*S + 1", NO, UNKNOWN }, { "2*T", "2*S", UNKNOWN, UNKNOWN }, { "4*T + 2*S", "7", NO, UNKNOWN },
	{ "F", "4", YES, YES }, { "F", "5", NO, YES }, { "F*T", "4*T", UNKNOWN, UNKNOWN }, { "T + 20", "S", NO, NO },
	{ "B", "9223372036854775807", UNKNOWN, YES }, { "B*B", "B", UNKNOWN, UNKNOWN }, { "0", "B*B", UNKNOWN, YES },
	{ "max(T, S)", "T", UNKNOWN, UNKNOWN }, { "T", "max(T, S)", UNKNOWN, YES }, { "min(T, S) - 1", "T", NO, YES },
	{ "min(S, 3) + 1", "min(S, 3)", NO, NO }, { "floordiv(T, 2)", "T", UNKNOWN, YES },
	{ "2*floordiv(T, 2)", "T", UNKNOWN, YES }, { "3*floordiv(T, 2)", "2*T", UNKNOWN, YES },
	{ "2*floordiv(T, 2)", "T + 1", NO, YES },
	{ "mod(T, 2)", "1", UNKNOWN, YES }, { "mod(T, 2)", "2", NO, YES }, { "max(S, 2)", "1", NO, NO },
	{ "max(T, S)", "T + S", UNKNOWN, YES }, { "9223372036854775807*U", "-9223372036854775807*U", UNKNOWN, UNKNOWN },
};

static void check_pairs(Graph *g)
{
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		Dim a = read(g, pairs[i].a), b = read(g, pairs[i].b);
		const char *eq[] = { [NO] = "no", [YES] = "yes", [UNKNOWN] = "unknown" };
		if (dim_eq(g, a, b) != pairs[i].eq || dim_eq(g, b, a) != pairs[i].eq)
			test_fail(__FILE__, __LINE__, "%s = %s is %s", pairs[i].a, pairs[i].b, eq[dim_eq(g, a, b)]);
		if (dim_le(g, a, b) != pairs[i].le)
			test_fail(__FILE__, __LINE__, "%s <= %s is %s", pairs[i].a, pairs[i].b, eq[dim_le(g, a, b)]);
	}
}

TEST(dim_comparison) { with_graph(check_pairs, NULL); }

/* The ends of int64 stand for no bound, and arithmetic leaves them so. */
static const struct { const char *dim; int64_t min, max; } ranges[] = {
	{ "7", 7, 7 }, { "T", 1, 64 }, { "2*T - 1", 1, 127 }, { "-T", -64, -1 }, { "T*S", 0, 1024 }, { "U*U", -12, 16 },
	{ "T - U", -3, 67 },
	{ "B", 0, INT64_MAX }, { "B - 5", -5, INT64_MAX }, { "-B", INT64_MIN, 0 }, { "5 - B", INT64_MIN, 5 },
	{ "B*U", INT64_MIN, INT64_MAX },
	{ "4611686018427387904*T", 4611686018427387904, INT64_MAX },
	{ "-4611686018427387904*T*F", INT64_MIN, INT64_MIN },
	{ "floordiv(B, 2)", 0, INT64_MAX }, { "floordiv(-B, 2)", INT64_MIN, 0 }, { "floordiv(7, B)", 0, 7 },
	{ "floordiv(-7, T)", -7, -1 },
	{ "floordiv(T, U)", -64, 64 }, { "floordiv(B, U)", INT64_MIN, INT64_MAX }, { "floordiv(T, S)", 0, 64 },
	{ "floordiv(4611686018427387904*T*F, 3)", INT64_MIN, INT64_MAX },
	{ "mod(T, S)", 0, 15 }, { "mod(B, T)", 0, 63 }, { "mod(U, B)", 0, INT64_MAX }, { "mod(T, U)", -2, 3 },
	{ "mod(S, T + 5)", 0, 16 },
	{ "max(T, S)", 1, 64 }, { "min(T, S)", 0, 16 }, { "max(U, B)", 0, INT64_MAX }, { "min(U, B)", -3, 4 },
};

static void check_ranges(Graph *g)
{
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		int64_t min, max;
		dim_range(g, read(g, ranges[i].dim), &min, &max);
		if (min != ranges[i].min || max != ranges[i].max)
			test_fail(__FILE__, __LINE__, "%s is in [%lld, %lld]", ranges[i].dim, (long long)min,
			          (long long)max);
	}
}

TEST(dim_ranges) { with_graph(check_ranges, NULL); }

static int squarings;

static void square_on(Graph *g)
{
	Dim d = read(g, "T");
	for (squarings = 0;; squarings++)
		d = dim_floordiv(g, dim_mul(g, d, d), read(g, "S + 1"));
}

/* Written out, each of these is twice as long as the one before. */
TEST(dims_stay_short)
{
	graft_error err = { 0 };
	with_graph(square_on, &err);
	CHECK_HAS(err.message, "a size is too long an expression");
	CHECK(squarings > 3 && squarings < 12);
}

static void check_divide(Graph *g)
{
	Dim q;
	CHECK(dim_divide(g, read(g, "6*T*S + 4*T"), read(g, "2*T"), &q));
	CHECK_STR(text(g, q), "3*S + 2");
	CHECK(dim_divide(g, read(g, "T*T + 2*T*S + S*S"), read(g, "T + S"), &q));
	CHECK_STR(text(g, q), "T + S");
	CHECK(dim_divide(g, read(g, "4*floordiv(T, 4)"), read(g, "4"), &q));
	CHECK_STR(text(g, q), "floordiv(T, 4)");
	CHECK(dim_divide(g, dim_const(0), read(g, "T"), &q) && dim_is(q, 0));
	CHECK(!dim_divide(g, read(g, "T"), dim_const(2), &q));
	CHECK(!dim_divide(g, read(g, "2*T + 1"), dim_const(2), &q));
	CHECK(!dim_divide(g, read(g, "T"), dim_const(0), &q));
	CHECK(!dim_divide(g, read(g, "T"), read(g, "S"), &q));
	CHECK(!dim_divide(g, read(g, "T"), read(g, "T*T"), &q));
	CHECK(!dim_divide(g, read(g, "T + 1"), read(g, "T"), &q));
	CHECK(!dim_divide(g, dim_const(7), read(g, "T"), &q));
	CHECK(!dim_divide(g, dim_const(INT64_MIN), dim_const(-1), &q));
}

TEST(dim_division) { with_graph(check_divide, NULL); }

/* ---- evaluation ---- */

enum { T, S, U, B, F, N_SYMBOLS };

static void check_eval(Graph *g)
{
	int64_t v, at[N_SYMBOLS] = { 10, 3, -2, INT64_MAX, INT64_MIN };
	CHECK(dim_eval(read(g, "2*T*S - 1"), at, &v) && v == 59);
	CHECK(dim_eval(read(g, "floordiv(U, T + 1) + mod(U, T + 1)"), at, &v) && v == 8);
	CHECK(dim_eval(read(g, "max(T, S) - min(T, S)"), at, &v) && v == 7);
	CHECK(dim_eval(read(g, "B"), at, &v) && v == INT64_MAX);
	CHECK(!dim_eval(read(g, "B + 1"), at, &v));
	CHECK(!dim_eval(read(g, "B*T"), at, &v));
	CHECK(!dim_eval(read(g, "F + 1"), at, &v));
	CHECK(!dim_eval(read(g, "max(T, F*S)"), at, &v));
	CHECK(!dim_eval(read(g, "floordiv(T, S - 3)"), at, &v));
	CHECK(!dim_eval(read(g, "mod(T, S - 3)"), at, &v));
}

TEST(dim_evaluation) { with_graph(check_eval, NULL); }

static void check_solve(Graph *g)
{
	const Symbol *s = NULL;
	int64_t v = 0, at[N_SYMBOLS] = { INT64_MIN, 3, INT64_MIN, 0, 4 };
	CHECK(dim_solve(read(g, "T"), at, 7, &s, &v) && v == 7);
	CHECK_STR(s->name, "T");
	CHECK(dim_solve(read(g, "2*T + S"), at, 13, &s, &v) && v == 5);
	CHECK(dim_solve(read(g, "T*S + T*F - 1"), at, 34, &s, &v) && v == 5);
	CHECK(dim_solve(read(g, "T + max(S, B)"), at, 13, &s, &v) && v == 10);
	CHECK(dim_solve(read(g, "-U"), at, 2, &s, &v) && v == -2);
	CHECK(!dim_solve(read(g, "2*T"), at, 7, &s, &v));                 /* no integer */
	CHECK(!dim_solve(read(g, "T*T"), at, 49, &s, &v));                /* not linear */
	CHECK(!dim_solve(read(g, "T + U"), at, 8, &s, &v));               /* two unknowns */
	CHECK(!dim_solve(read(g, "T*U"), at, 7, &s, &v));
	CHECK(!dim_solve(read(g, "S"), at, 3, &s, &v));                   /* none */
	CHECK(!dim_solve(dim_const(3), at, 3, &s, &v));
	CHECK(!dim_solve(read(g, "T + floordiv(T, 2)"), at, 3, &s, &v));  /* inside an op */
	CHECK(!dim_solve(read(g, "T*B"), at, 0, &s, &v));                 /* coefficient 0 */
	CHECK(!dim_solve(read(g, "T - 1"), at, INT64_MAX, &s, &v));
	CHECK(!dim_solve(read(g, "-T"), at, INT64_MIN, &s, &v));
}

TEST(dim_solving) { with_graph(check_solve, NULL); }

/* ---- every claim against brute force, on random expressions ---- */

typedef struct Tree { char op; int64_t value; struct Tree *a, *b; Dim dim; } Tree;

static uint64_t seed;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static Dim tree_dim(Graph *g, const Tree *t)
{
	switch (t->op) {
	case '+': return dim_add(g, t->a->dim, t->b->dim);
	case '-': return dim_sub(g, t->a->dim, t->b->dim);
	case '*': return dim_mul(g, t->a->dim, t->b->dim);
	case '/': return dim_floordiv(g, t->a->dim, t->b->dim);
	case '%': return dim_mod(g, t->a->dim, t->b->dim);
	case '>': return dim_max(g, t->a->dim, t->b->dim);
	default: return dim_min(g, t->a->dim, t->b->dim);
	}
}

static Tree *tree(Graph *g, int depth)
{
	static const char *const names[] = { "T", "S", "U" };
	Tree *t = NEW(&graph_job(g)->scratch, Tree);
	if (depth == 0 || random_below(5) == 0) {
		t->op = random_below(2) ? 's' : 'c';
		t->value = t->op == 's' ? random_below(3) : (int64_t)random_below(9) - 3;
		t->dim = t->op == 's' ? read(g, names[t->value]) : dim_const(t->value);
		return t;
	}
	t->op = "++-**//%%><"[random_below(11)];
	t->a = tree(g, depth - 1);
	t->b = tree(g, depth - 1);
	if ((t->op == '/' || t->op == '%') && dim_is(t->b->dim, 0))
		t->op = '+';
	t->dim = tree_dim(g, t);
	return t;
}

/* The value by school arithmetic; false where it divides by zero. */
static bool tree_value(const Tree *t, const int64_t *at, int64_t *v)
{
	int64_t a, b;
	if (t->op == 's' || t->op == 'c') {
		*v = t->op == 's' ? at[t->value] : t->value;
		return true;
	}
	if (!tree_value(t->a, at, &a) || !tree_value(t->b, at, &b))
		return false;
	if ((t->op == '/' || t->op == '%') && b == 0)
		return false;
	int64_t q = b == 0 ? 0 : a / b;
	if (b != 0 && q * b != a && (a < 0) != (b < 0))
		q--;
	*v = t->op == '+' ? a + b : t->op == '-' ? a - b : t->op == '*' ? a * b : t->op == '/' ? q
	   : t->op == '%' ? a - q * b : t->op == '>' ? (a > b ? a : b) : (a < b ? a : b);
	return true;
}

static void check_at(Graph *g, const Tree *t, const Tree *u, const int64_t *at)
{
	int64_t v, w, x, min, max;
	if (!tree_value(t, at, &v) || !tree_value(u, at, &w))
		return;
	dim_range(g, t->dim, &min, &max);
	CHECK(min <= v && v <= max);
	if (!dim_eval(t->dim, at, &x) || x != v)
		test_fail(__FILE__, __LINE__, "%s is not %lld at T=%lld S=%lld U=%lld", text(g, t->dim), (long long)v,
		          (long long)at[T], (long long)at[S], (long long)at[U]);
	Tri eq = dim_eq(g, t->dim, u->dim), le = dim_le(g, t->dim, u->dim);
	if ((eq == YES && v != w) || (eq == NO && v == w) || (le == YES && v > w) || (le == NO && v <= w))
		test_fail(__FILE__, __LINE__, "%s and %s compare wrongly at T=%lld S=%lld U=%lld", text(g, t->dim),
		          text(g, u->dim), (long long)at[T], (long long)at[S], (long long)at[U]);
}

static void check_random(Graph *g)
{
	for (int n = 0; n < 600; n++) {
		int64_t at[N_SYMBOLS] = { 0 };
		Tree *t = tree(g, 4), *u = random_below(2) ? tree(g, 2) : t->a ? t->a : t;
		if (!dim_same(read(g, text(g, t->dim)), t->dim))
			test_fail(__FILE__, __LINE__, "%s reads back as %s", text(g, t->dim),
			          text(g, read(g, text(g, t->dim))));
		for (at[T] = 1; at[T] <= 64; at[T] += 7)
			for (at[S] = 0; at[S] <= 16; at[S] += 4)
				for (at[U] = -3; at[U] <= 4; at[U]++)
					check_at(g, t, u, at);
	}
}

TEST(dim_claims_hold_for_every_binding)
{
	for (seed = 1; seed < 4; seed += 1) {
		uint64_t start = seed;
		with_graph(check_random, NULL);
		seed = start;
	}
}

/* ---- cost ---- */

static void check_interning(Graph *g)
{
	Dim a = read(g, "floordiv(T*S + 1, 2)");
	size_t held = g->arena.held;
	for (int i = 0; i < 10000; i++) {
		CHECK(dim_same(read(g, "floordiv(T*S + 1, 2)"), a));
		CHECK_INT(dim_eq(g, a, dim_const(8192)), NO);
		CHECK_INT(dim_eq(g, a, dim_const(8)), UNKNOWN);
	}
	CHECK_INT(g->arena.held, held);
}

TEST(dims_are_interned) { with_graph(check_interning, NULL); }
