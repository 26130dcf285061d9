/* text.c - the notation, where golden cases do not reach: the lexer by itself, defaults, fingerprints. */
#include "test.h"
#include "../../src/ir/lex.h"
#include "../../src/ir/graph.h"
#include <math.h>

/* Runs body as a job of its own; returns the status. */
static graft_status job(void (*body)(Job *, void *), void *arg, graft_error *err)
{
	graft_context *ctx;
	CHECK_INT(graft_context_new(NULL, &ctx, NULL), GRAFT_OK);
	graft_status status = guarded(context_allocator(ctx), body, arg, err);
	graft_context_free(ctx);
	return status;
}

/* ---- numbers ---- */

static double parsed(const char *s)
{
	double v;
	return f64_parse(s, strlen(s), &v) ? v : NAN;
}

TEST(f64_parse_reads_decimals)
{
	CHECK(parsed("0.1") == 0.1);
	CHECK(parsed("-2.5e-3") == -2.5e-3);
	CHECK(parsed("12") == 12.0);
	CHECK(parsed("1E+2") == 100.0);
	CHECK(parsed("9.999999974752427e-07") == 9.999999974752427e-07);
	CHECK(parsed("1.7976931348623157e308") == 1.7976931348623157e308);
	CHECK(parsed("5e-324") == 5e-324);
	CHECK(parsed("0.000000000000000000001e21") == 1.0);
	CHECK(signbit(parsed("-0.0")));
}

TEST(f64_parse_leaves_float64)
{
	CHECK(parsed("1e309") == INFINITY);
	CHECK(parsed("-1e99999999999999999999") == -INFINITY);
	CHECK(parsed("1e-99999999999999999999") == 0);
}

TEST(f64_parse_refuses)
{
	static const char *const wrong[] = { "", "-", ".5", "5.", "1e", "1e+", "e5", "1.2.3", "0x10", "1 ", " 1", "+1",
	                                     "inf", "nan", "1,5", "--1" };
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(isnan(parsed(wrong[i])));
}

/* ---- the lexer, as rules use it ---- */

static void lex_rule(Job *j, void *text)
{
	Lexer l, mark;
	lex_start(&l, j, &j->scratch, GRAFT_E_RULE, NULL, "rule_x", text, strlen(text));
	CHECK(lex_is_word(&l, "c"));
	lex_next(&l);
	mark = l;
	CHECK(lex_accept(&l, '?'));
	CHECK(lex_accept(&l, '='));
	CHECK(!lex_accept(&l, '='));
	CHECK_INT(l.tok.kind, TOK_NAME);
	l = mark;
	CHECK(lex_is(&l, '?'));
	CHECK_INT(l.tok.line, 1);
	CHECK_INT(l.tok.column, 3);
	while (l.tok.kind != TOK_LINE)
		lex_next(&l);
	lex_next(&l);
	CHECK_INT(l.tok.line, 2);
	lex_want(&l, '|', "'|'");
	lex_fail_wanted(&l, "a term");
}

TEST(lexer_goes_back_and_names_the_rule)
{
	graft_error err;
	char text[256];
	CHECK_INT(job(lex_rule, "c ?= cast(x) {dtype=f32}\n| -3", &err), GRAFT_E_RULE);
	graft_error_print(&err, text, sizeof text);
	CHECK_STR(text, "2:3: rule_x: wanted a term, found the number -3");
}

static void lex_kinds(Job *j, void *arg)
{
	static const char text[] = "a::b.c 1 -1.5 -inf \"\\u00e9\" : # x\n";
	static const TokenKind kinds[] = { TOK_NAME, TOK_INT, TOK_FLOAT, TOK_FLOAT, TOK_STRING, TOK_PUNCT, TOK_LINE,
	                                   TOK_LINE, TOK_END, TOK_END };
	Lexer l;
	(void)arg;
	lex_start(&l, j, &j->scratch, GRAFT_E_SYNTAX, NULL, NULL, text, sizeof text - 1);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++, lex_next(&l)) {
		CHECK_INT(l.tok.kind, kinds[i]);
		if (l.tok.kind == TOK_STRING)
			CHECK_STR(l.tok.s, "\xc3\xa9");
	}
}

TEST(lexer_knows_every_kind)
{
	CHECK_INT(job(lex_kinds, NULL, NULL), GRAFT_OK);
}

/* ---- tables ---- */

typedef struct Parse { graft_context *ctx; const char *text; uint64_t fingerprint; } Parse;

/* Printing leaves an attribute out when its text equals the row's, so a row must hold the text that is printed. */
static void check_defaults(Job *j, void *arg)
{
	Parse *p = arg;
	Graph *g = graph_new(j, p->ctx, "defaults");
	for (int op = 0; op < OP_COUNT; op++) {
		for (int i = 0; i < op_table[op].n_attrs; i++) {
			const AttrSpec *spec = &op_table[op].attrs[i];
			Text t = { .arena = &j->scratch };
			Attr a;
			attr_default(g, spec, &a);
			attr_print(&t, spec, &a);
			CHECK_STR(t.text, spec->fallback ? spec->fallback : "none");
		}
	}
}

static void fingerprint(Job *j, void *arg)
{
	Parse *p = arg;
	p->fingerprint = graph_fingerprint(graph_parse_text(j, p->ctx, p->text, strlen(p->text), NULL), &j->scratch);
}

static uint64_t fingerprint_of(graft_context *ctx, const char *text)
{
	Parse p = { .ctx = ctx, .text = text };
	CHECK_INT(guarded(context_allocator(ctx), fingerprint, &p, NULL), GRAFT_OK);
	return p.fingerprint;
}

TEST(defaults_are_written_as_they_print)
{
	Parse p = { 0 };
	CHECK_INT(graft_context_new(NULL, &p.ctx, NULL), GRAFT_OK);
	CHECK_INT(guarded(context_allocator(p.ctx), check_defaults, &p, NULL), GRAFT_OK);
	graft_context_free(p.ctx);
}

TEST(fingerprints_are_equal_for_what_prints_alike)
{
	graft_context *ctx;
	CHECK_INT(graft_context_new(NULL, &ctx, NULL), GRAFT_OK);
	uint64_t a = fingerprint_of(ctx, "graph g\ninput x: f32[2]\ny = sum(x) {keepdim=false}\noutput y\n");
	uint64_t b = fingerprint_of(ctx, "graph \"g\"\n\ninput x: f32[2] # same\n\"y\": f32[] = sum(x)\noutput y = y");
	uint64_t c = fingerprint_of(ctx, "graph g\ninput x: f32[2]\ny = sum(x) {keepdim=true}\noutput y\n");
	CHECK(a == b);
	CHECK(a != c);
	graft_context_free(ctx);
}
