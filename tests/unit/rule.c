/* rule.c - the rule engine: rules that cannot be read, what a match binds, what is refused, and pipelines that fail. */
#include "../../src/passes/manager.h"
#include "../../src/passes/refusal.h"
#include "../../src/passes/rule.h"
#include "../../src/probe/probe.h"
#include "test.h"

/* ---- reading ---- */

typedef struct Reading { const char *pass; const Rule *rules; } Reading;

static void read_body(Job *job, void *arg)
{
	const Reading *r = arg;
	rules_check(job, r->pass, r->rules);
}

static graft_context *context(void)
{
	graft_context *ctx;
	if (graft_context_new(NULL, &ctx, NULL))
		test_fail(__FILE__, __LINE__, "no context");
	return ctx;
}

static graft_status read_rules(const char *pass, const Rule *rules, graft_error *err)
{
	graft_context *ctx = context();
	graft_status status = guarded(context_allocator(ctx), read_body, &(Reading){ pass, rules }, err);
	graft_context_free(ctx);
	return status;
}

TEST(every_rule_reads)
{
	graft_error err;
	for (size_t i = 0; i < n_passes; i++)
		if (pass_table[i].rules && read_rules(pass_table[i].name, pass_table[i].rules, &err))
			test_fail(__FILE__, __LINE__, "%s: %s: %s", pass_table[i].name, err.path, err.message);
}

TEST(refusal_codes_are_words)
{
	for (size_t i = 0; i < n_refusal_codes; i++)
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(refusal_codes[i].code, refusal_codes[k].code));
	CHECK(n_refusal_codes > 20);
}

static bool always(Match *m)
{
	(void)m;
	return true;
}

static bool no_join(Match *m, bool (*attempt)(Match *m, Node *candidate))
{
	(void)m, (void)attempt;
	return false;
}

static void no_attrs(Match *m)
{
	(void)m;
}

static void check_wrong(Rule rule, const char *wanted)
{
	graft_error err;
	rule.name = "r";
	Rule rules[] = { rule, { .match = NULL } };
	if (read_rules("p", rules, &err) != GRAFT_E_RULE)
		test_fail(__FILE__, __LINE__, "'%s' => '%s' is taken, wanted: %s", rule.match, rule.emit, wanted);
	CHECK_STR(err.path, "r");
	CHECK_HAS(err.message, wanted);
}

#define WRONG(wanted, ...) check_wrong((Rule){ __VA_ARGS__ }, wanted)

TEST(rule_wrong_text)
{
	WRONG("no such op: 'ned'", .match = "y = ned(x)", .emit = "y = x");
	WRONG("neg has no attribute 'axis'", .match = "y = neg(x) {axis=1}", .emit = "y = x");
	WRONG("there are two attributes 'axis'", .match = "y = concat(x) {axis=1, axis=2}", .emit = "y = x");
	WRONG("neg takes (x), found 2 operands", .match = "y = neg(x, x)", .emit = "y = x");
	WRONG("attribute 'keepdim' is a bool", .match = "y = mean(x) {keepdim=1}", .emit = "y = x");
	WRONG("neg makes (y), found 2 names", .match = "y, z = neg(x)", .emit = "y = x");
	WRONG("there are two definitions of 'y'", .match = "y = neg(x)\ny = cos(x)", .emit = "y = x");
	WRONG("wanted an op, found", .match = "y = 3", .emit = "y = x");
	WRONG("wanted '=' or '?='", .match = "y neg(x)", .emit = "y = x");
	WRONG("wanted the end of the line", .match = "y = neg(x) z", .emit = "y = x");
	WRONG("wanted an operand", .match = "y = neg(=)", .emit = "y = x");
	WRONG("a rule may have 16 lines",
	      .match = "a=neg(x)\nb=neg(a)\nc=neg(b)\nd=neg(c)\ne=neg(d)\nf=neg(e)\ng=neg(f)\nh=neg(g)\ni=neg(h)\n"
	      "j=neg(i)\nk=neg(j)\nl=neg(k)\nm=neg(l)\nn=neg(m)\no=neg(n)\np=neg(o)\nq=neg(p)", .emit = "q = x");
	WRONG("one more",
	      .match = "y = concat(a1, a2, a3, a4, a5, a6, a7, a8)\nb = concat(b1, b2, b3, b4, b5, b6, b7, y)\n"
	      "c = concat(c1, c2, c3, c4, c5, c6, c7, b)\nd = concat(d1, d2, d3, d4, d5, d6, d7, c)", .emit = "d = a1");
	WRONG("may have 8 operands", .match = "y = concat(x, x, x, x, x, x, x, x, x)", .emit = "y = x");
}

TEST(rule_wrong_emit)
{
	WRONG("emit reads a name that not every match binds, or that it replaces: 'z'", .match = "y = neg(x)",
	      .emit = "y = cos(z)");
	WRONG("emit reads a name that not every match binds, or that it replaces: 'y'", .match = "y = neg(x)",
	      .emit = "y = cos(y)");
	WRONG("not every match binds, or that it replaces: 'b'", .match = "y = add(x, b) | neg(x)",
	      .emit = "y = cos(b)");
	WRONG("not every match binds, or that it replaces: 'd'", .match = "c ?= cast(x) {dtype=d}\ny = neg(c)",
	      .emit = "y = cast(x) {dtype=d}");
	WRONG("emit must define at least one value", .match = "y = neg(x)", .emit = "z = cos(x)");
	WRONG("emit must define at least one value", .match = "y = neg(x)", .emit = "");
	WRONG("emit defines what match does not make: 'x'", .match = "y = neg(x)", .emit = "y = cos(x)\nx = sin(y)");
	WRONG("emit has two definitions of 'y'", .match = "y = neg(x)", .emit = "y = cos(x)\ny = sin(x)");
	WRONG("cannot replace an optional value: 'c'", .match = "c ?= cast(x)\ny = neg(c)",
	      .emit = "c = cos(x)\ny = sin(x)");
	WRONG("emit has one op a line", .match = "y = neg(x)", .emit = "y = cos(sin(x))");
	WRONG("nothing in emit is optional", .match = "y = neg(x)", .emit = "y ?= cos(x)");
	WRONG("rms_norm needs its attribute 'eps'", .match = "y = neg(x)", .emit = "y = rms_norm(x, x)");
	WRONG("emit gives a second name to 'x'", .match = "y = neg(x)", .emit = "z = x\ny = cos(z)");
	WRONG("a tentative rule emits one node", .match = "y = neg(x)", .emit = "t = cos(x)\ny = sin(t)",
	      .tentative = true);
}

TEST(rule_wrong_plan)
{
	WRONG("the pattern is in pieces, and no join leads to 'b'", .match = "a = neg(x)\nb = cos(z)",
	      .emit = "a = sin(x)\nb = sin(z)");
	WRONG("join and join_at go together", .match = "a = neg(x)\nb = cos(z)", .emit = "a = sin(x)", .join_at = "b");
	WRONG("join_at names no value that match makes: 'x'", .match = "a = neg(x)\nb = cos(z)", .emit = "a = x",
	      .join_at = "x", .join = no_join);
	WRONG("a join is not needed to reach 'a'", .match = "a = neg(x)\nb = cos(a)", .emit = "b = x", .join_at = "a",
	      .join = no_join);
	WRONG("both a value and an attribute: 'a'", .match = "a = neg(x)\ny = concat(a) {axis=a}", .emit = "y = x");
	WRONG("an optional line has one result", .match = "c ?= cast(x) | neg(y)\ny = cos(c)", .emit = "y = x");
	WRONG("the pattern is in pieces", .match = "y = neg(x)\nc ?= cast(y)", .emit = "y = x");
	WRONG("attrs and computed go together", .match = "y = neg(x)", .emit = "y = cos(x)", .computed = "d");
	WRONG("attrs and computed go together", .match = "y = neg(x)", .emit = "y = cos(x)", .attrs = no_attrs);
	WRONG("may be missing, not 'w'", .match = "w = neg(x)\ny = rms_norm(x, w?)", .emit = "y = x", .where = always);
}

/* ---- matching ---- */

enum { TEXT_SIZE = 4096 };

/* A graph, rules, and what came of them. */
typedef struct Try {
	const char *text;
	const Rule *rules;
	graft_context *ctx;
	int64_t limit, applied;
	bool changed;
	char nodes[TEXT_SIZE];                /* the lines of the nodes, without types and origins */
	char refusal[TEXT_SIZE];              /* "node: code: message" of the first */
} Try;

static void print_nodes(const Graph *g, char *out)
{
	size_t n = 0;
	for (const Node *x = g->first; x; x = x->next) {
		n += (size_t)snprintf(out + n, TEXT_SIZE - n, "%s=%s(", node_label(x), x->name);
		for (uint32_t i = 0; i < x->n_in; i++) {
			const Value *v = x->in[i].value;
			bool named = v && v->kind != VALUE_LITERAL;
			n += (size_t)snprintf(out + n, TEXT_SIZE - n, "%s%s", i ? "," : "", named ? v->name : "_");
		}
		n += (size_t)snprintf(out + n, TEXT_SIZE - n, ")%s", x->next ? " " : "");
	}
}

static void try_body(Job *job, void *arg)
{
	Try *t = arg;
	Graph *g = graph_parse_text(job, t->ctx, t->text, strlen(t->text), NULL);
	uint64_t before = graph_fingerprint(g, &job->scratch);
	PassRun run = { .g = g, .pass = "test", .scratch = &job->scratch, .budget = &t->limit,
	                .target = target_open(job, t->ctx, NULL, &job->scratch) };
	rules_run(&run, t->rules);
	graph_verify(g);
	t->applied = run.applied;
	t->changed = graph_fingerprint(g, &job->scratch) != before;
	print_nodes(g, t->nodes);
	if (run.n_refusals)
		snprintf(t->refusal, sizeof t->refusal, "%s: %s: %s", run.refusals[0].node, run.refusals[0].code,
		         run.refusals[0].message);
}

static graft_status try_rule(Rule rule, const char *text, int64_t limit, Try *t, graft_error *err)
{
	Rule rules[] = { rule, { .match = NULL } };
	*t = (Try){ .text = text, .rules = rules, .limit = limit, .ctx = context() };
	graft_status status = guarded(context_allocator(t->ctx), try_body, t, err);
	graft_context_free(t->ctx);
	return status;
}

static void check_match(Rule rule, const char *text, int64_t applied, const char *nodes)
{
	Try t;
	graft_error err;
	if (try_rule(rule, text, -1, &t, &err))
		test_fail(__FILE__, __LINE__, "'%s' => '%s' failed: %s", rule.match, rule.emit, err.message);
	CHECK_STR(t.nodes, nodes);
	CHECK_INT(t.applied, applied);
	CHECK_INT(t.changed, applied > 0);
}

#define MATCH(text, applied, nodes, ...) check_match((Rule){ __VA_ARGS__ }, text, applied, nodes)
#define HEAD "graph g\ninput x: f32[4, 4]\ninput z: f32[4, 4]\n"

TEST(rule_fires_everywhere)
{
	MATCH(HEAD "a = neg(x)\nb = neg(z)\nc = add(a, b)\noutput c", 2, "a=cos(x) b=cos(z) c=add(a,b)",
	      .match = "y = neg(x)", .emit = "y = cos(x)");
}

TEST(rule_names_of_values_bind_once)
{
	const Rule r = { .match = "y = sub(x, x)", .emit = "y = neg(x)" };
	check_match(r, HEAD "a = sub(x, x)\noutput a", 1, "a=neg(x)");
	check_match(r, HEAD "a = sub(x, z)\noutput a", 0, "a=sub(x,z)");
}

TEST(rule_names_of_attributes_bind_once)
{
	const Rule twice = { .match = "t = softmax(x) {axis=a}\ny = softmax(t) {axis=a}",
	                     .emit = "y = softmax(x) {axis=a}" };
	check_match(twice, HEAD "a = softmax(x) {axis=1}\nb = softmax(a) {axis=-1}\noutput b", 1, "b=softmax(x)");
	check_match(twice, HEAD "a = softmax(x) {axis=0}\nb = softmax(a) {axis=-1}\noutput b", 0,
	            "a=softmax(x) b=softmax(a)");
}

TEST(rule_literals)
{
	const Rule r = { .match = "y = pow(x, 2)", .emit = "y = square(x)" };
	check_match(r, HEAD "a = pow(x, 2)\noutput a", 1, "a=square(x)");
	check_match(r, HEAD "a = pow(x, 2.0)\noutput a", 1, "a=square(x)");
	check_match(r, HEAD "c = constant() {dtype=f32, values=[2.0]}\na = pow(x, c)\noutput a", 1, "a=square(x)");
	check_match(r, HEAD "a = pow(x, 2.5)\noutput a", 0, "a=pow(x,_)");
	check_match(r, HEAD "a = pow(x, true)\noutput a", 0, "a=pow(x,_)");
	check_match(r, HEAD "a = pow(x, z)\noutput a", 0, "a=pow(x,z)");
}

TEST(rule_attribute_literals)
{
	const Rule r = { .match = "y = mean(x) {axes=[-1], keepdim=true}",
	                 .emit = "y = sum(x) {axes=[-1], keepdim=true}" };
	check_match(r, HEAD "a = mean(x) {axes=[1], keepdim=true}\noutput a", 1, "a=sum(x)");
	check_match(r, HEAD "a = mean(x) {axes=[0], keepdim=true}\noutput a", 0, "a=mean(x)");
	check_match(r, HEAD "a = mean(x) {axes=[1]}\noutput a", 0, "a=mean(x)");
	MATCH(HEAD "a = sum(x) {dtype=f32}\nb = sum(x)\noutput a\noutput b", 1, "a=mean(x) b=sum(x)",
	      .match = "y = sum(x) {dtype=f32}", .emit = "y = mean(x)");
}

TEST(rule_constant_becomes_attribute)
{
	MATCH(HEAD "a = add(x, 3)\nb = add(0.5, a)\nc = add(x, z)\noutput b\noutput c", 2,
	      "a=rms_norm(x) b=rms_norm(a) c=add(x,z)",
	      .match = "y = add(x, e)", .emit = "y = rms_norm(x) {eps=e}");
}

TEST(rule_ops_that_commute)
{
	const Rule r = { .match = "t = neg(x)\ny = mul(t, w)", .emit = "y = add(x, w)" };
	check_match(r, HEAD "n = neg(x)\na = mul(n, z)\noutput a", 1, "a=add(x,z)");
	check_match(r, HEAD "n = neg(x)\na = mul(z, n)\noutput a", 1, "a=add(x,z)");
	MATCH(HEAD "n = neg(x)\na = sub(z, n)\noutput a", 0, "n=neg(x) a=sub(z,n)",
	      .match = "t = neg(x)\ny = sub(t, w)", .emit = "y = add(x, w)");
}

TEST(rule_alternatives_and_terms)
{
	const Rule r = { .match = "y = div(x, sqrt(v)) | mul(x, rsqrt(v))", .emit = "y = sub(x, v)" };
	check_match(r, HEAD "s = sqrt(z)\na = div(x, s)\noutput a", 1, "a=sub(x,z)");
	check_match(r, HEAD "s = rsqrt(z)\na = mul(s, x)\noutput a", 1, "a=sub(x,z)");
	check_match(r, HEAD "s = sqrt(z)\na = mul(s, x)\noutput a", 0, "s=sqrt(z) a=mul(s,x)");
}

TEST(rule_optional_nodes)
{
	const Rule r = { .match = "c ?= cast(x) {dtype=f32}\ny = neg(c)", .emit = "y = cos(c)" };
	check_match(r, "graph g\ninput h: f16[4]\nc = cast(h) {dtype=f32}\ny = neg(c)\noutput y", 1,
	            "c=cast(h) y=cos(c)");
	check_match(r, HEAD "y = neg(x)\noutput y", 1, "y=cos(x)");
	check_match(r, "graph g\ninput h: f16[4]\nc = cast(h) {dtype=bf16}\ny = neg(c)\noutput y", 1,
	            "c=cast(h) y=cos(c)");
}

/* The optional node can be had or not, and only without it does the rest fit. */
TEST(rule_optional_is_given_up)
{
	MATCH(HEAD "c = neg(x)\ny = sub(c, c)\nk = cos(c)\nu = add(y, k)\noutput u", 1, "c=neg(x) u=sub(c,c)",
	      .match = "n ?= neg(a)\ny = sub(n, n)\nk = cos(a)\nu = add(y, k)", .emit = "u = sub(a, n)");
}

TEST(rule_operands_that_may_be_missing)
{
	const Rule r = { .match = "y = rms_norm(x, w?) {eps=e}", .emit = "y = cos(x)" };
	check_match(r, HEAD "y = rms_norm(x) {eps=1e-06}\noutput y", 1, "y=cos(x)");
	check_match(r, HEAD "param w: f32[4]\ny = rms_norm(x, w) {eps=1e-06}\noutput y", 1, "y=cos(x)");
	MATCH(HEAD "y = rms_norm(x) {eps=1e-06}\noutput y", 0, "y=rms_norm(x)", .match = "y = rms_norm(x, w) {eps=e}",
	      .emit = "y = cos(x)");
	MATCH(HEAD "param w: f32[4]\ny = rms_norm(x, w) {eps=1e-06}\noutput y", 0, "y=rms_norm(x,w)",
	      .match = "y = rms_norm(x) {eps=e}", .emit = "y = cos(x)");
}

TEST(rule_several_roots_go_down)
{
	MATCH(HEAD "a = sqrt(x)\nu = add(a, z)\nb = neg(x)\nv = add(b, u)\noutput v", 1,
	      "a=cos(x) u=add(a,z) b=sin(x) v=add(b,u)",
	      .match = "a = sqrt(x)\nb = neg(x)", .emit = "a = cos(x)\nb = sin(x)");
}

TEST(rule_nodes_are_distinct)
{
	const Rule r = { .match = "a = neg(x)\nb = neg(x)", .emit = "a = cos(x)\nb = sin(x)" };
	check_match(r, HEAD "p = neg(x)\noutput p", 0, "p=neg(x)");
	check_match(r, HEAD "p = neg(x)\nq = neg(x)\nz1 = add(p, q)\noutput z1", 1, "p=cos(x) q=sin(x) z1=add(p,q)");
}

TEST(rule_inner_values_with_other_users_stay)
{
	MATCH(HEAD "t = neg(x)\ny = neg(t)\no = cos(t)\noutput y\noutput o", 1, "t=neg(x) o=cos(t)",
	      .match = "t = neg(x)\ny = neg(t)", .emit = "y = x");
}

TEST(rule_goes_no_further_than_the_limit)
{
	Try t;
	graft_error err;
	CHECK_INT(try_rule((Rule){ .match = "y = neg(x)", .emit = "y = cos(x)" },
	                   HEAD "a = neg(x)\nb = neg(a)\nc = neg(b)\noutput c", 2, &t, &err), 0);
	CHECK_STR(t.nodes, "a=cos(x) b=cos(a) c=neg(b)");
	CHECK_INT(t.applied, 2);
}

TEST(rule_that_feeds_itself_is_named)
{
	Try t;
	graft_error err;
	Rule grows = { .name = "grows", .match = "y = neg(x)", .emit = "t = neg(x)\ny = neg(t)" };
	CHECK_INT(try_rule(grows, HEAD "a = neg(x)\noutput a", -1, &t, &err), GRAFT_E_RULE);
	CHECK_HAS(err.message, "rule 'grows' still fires");
	Rule turns = { .name = "turns", .match = "y = sub(a, b)", .emit = "y = sub(b, a)" };
	CHECK_INT(try_rule(turns, HEAD "a = sub(x, z)\noutput a", -1, &t, &err), GRAFT_E_RULE);
	CHECK_HAS(err.message, "rule 'turns' still fires");
}

TEST(rule_refuses_another_type)
{
	Try t;
	graft_error err;
	CHECK_INT(try_rule((Rule){ .match = "y = cast(x)", .emit = "y = neg(x)" },
	                   HEAD "a = cast(x) {dtype=f16}\noutput a", -1, &t, &err), 0);
	CHECK_STR(t.refusal, "a: type: 'a' is f16[4, 4], its replacement would be f32[4, 4]");
	CHECK(!t.changed);
	CHECK_INT(try_rule((Rule){ .match = "y = cast(x)", .emit = "y = matmul(x, x)" },
	                   "graph g\ninput x: f32[4, 3]\na = cast(x) {dtype=f32}\noutput a",
	                   -1, &t, &err), 0);
	CHECK_HAS(t.refusal, "a: type: ");
	CHECK(!t.changed);
}

TEST(rule_refuses_a_cycle)
{
	Try t;
	graft_error err;
	Rule r = { .match = "a = sqrt(x)\nb = add(z, x)", .emit = "a = cos(z)\nb = sin(z)" };
	CHECK_INT(try_rule(r, HEAD "a = sqrt(x)\nn = neg(a)\nb = add(n, x)\noutput b", -1, &t, &err), 0);
	CHECK_STR(t.refusal, "a: cycle: the replacement needs 'n', which depends on what is replaced");
	CHECK(!t.changed);
}

/* ---- pipelines ---- */

static void drop_output_node(PassRun *run)
{
	if (!pass_rewrite(run))
		return;
	run->g->last->pos = 0;
}

static void grow_first(PassRun *run)
{
	static const Rule rules[] = { { .name = "silu_first", .match = "y = neg(x)", .emit = "y = silu(x)" },
	                              { .match = NULL } };
	rules_run(run, rules);
}

typedef struct Seen { int before, after, failed; char text[TEXT_SIZE]; } Seen;

static bool keep_text(void *user, const char *text, size_t size)
{
	Seen *s = user;
	size_t n = strlen(s->text);
	if (n + size < TEXT_SIZE)
		memcpy(s->text + n, text, size);
	return true;
}

static void hook(void *user, const char *pass, int when, graft_graph *g)
{
	Seen *s = user;
	s->before += when == 0;
	s->after += when == 1;
	s->failed += when < 0;
	if (when < 0 && !strcmp(pass, "breaks"))
		graft_graph_print(g, GRAFT_FORMAT_TEXT, keep_text, s, NULL);
}

TEST(a_pass_that_breaks_the_graph_is_named)
{
	static const Pass first = { .name = "first", .run = grow_first };
	static const Pass breaks = { .name = "breaks", .run = drop_output_node };
	const Pass *list[] = { &first, &breaks, NULL };
	static const char text[] = "graph g\ninput x: f32[2]\na: f32[2] = neg(x)\nb: f32[2] = cos(a)\noutput b\n";
	graft_context *ctx = context();
	graft_graph *g;
	graft_config *c;
	graft_report *r = NULL;
	graft_error err;
	Seen seen = { 0 }, left = { 0 };
	CHECK_INT(graft_graph_parse(ctx, text, strlen(text), "t", &g, &err), GRAFT_OK);
	CHECK_INT(graft_config_new(ctx, &c, &err), GRAFT_OK);
	graft_config_set_hook(c, hook, &seen);
	c->list = list;
	c->list_who = "test";
	CHECK_INT(graft_optimize(g, c, &r, &err), GRAFT_E_RULE);
	CHECK_HAS(err.message, "pass breaks left an invalid graph");
	CHECK(!r);
	CHECK_INT(seen.before, 2);
	CHECK_INT(seen.after, 1);
	CHECK_INT(seen.failed, 1);
	CHECK_HAS(seen.text, "silu(x)");
	CHECK_INT(graft_graph_print(g, GRAFT_FORMAT_TEXT, keep_text, &left, &err), GRAFT_OK);
	CHECK_STR(left.text, text);
	CHECK_INT(graft_graph_verify(g, &err), GRAFT_OK);
	graft_config_free(c);
	graft_graph_free(g);
	graft_context_free(ctx);
}

static void never_ends(PassRun *run)
{
	static const Rule rules[] = { { .name = "grows", .match = "y = cos(x)", .emit = "t = cos(x)\ny = cos(t)" },
	                              { .match = NULL } };
	rules_run(run, rules);
}

TEST(a_failure_leaves_the_graph_as_it_was)
{
	static const Pass first = { .name = "first", .run = grow_first };
	static const Pass second = { .name = "second", .run = never_ends };
	const Pass *list[] = { &first, &second, NULL };
	static const char text[] = "graph g\nsymbol T in [1, 8]\ninput x: f32[2*T]\na: f32[2*T] = neg(x)\n"
	                           "b: f32[2*T] = cos(a)\noutput b\n";
	graft_context *ctx = context();
	graft_graph *g;
	graft_config *c;
	graft_error err;
	Seen left = { 0 }, again = { 0 };
	CHECK_INT(graft_graph_parse(ctx, text, strlen(text), "t", &g, &err), GRAFT_OK);
	CHECK_INT(graft_config_new(ctx, &c, &err), GRAFT_OK);
	c->list = list;
	c->list_who = "test";
	CHECK_INT(graft_optimize(g, c, NULL, &err), GRAFT_E_RULE);
	CHECK_STR(err.path, "grows");
	CHECK_HAS(err.message, "pass second: rule 'grows' still fires");
	CHECK_INT(graft_graph_print(g, GRAFT_FORMAT_TEXT, keep_text, &left, &err), GRAFT_OK);
	CHECK_STR(left.text, text);
	list[1] = NULL;
	CHECK_INT(graft_optimize(g, c, NULL, &err), GRAFT_OK);
	CHECK_INT(graft_graph_print(g, GRAFT_FORMAT_TEXT, keep_text, &again, &err), GRAFT_OK);
	CHECK_HAS(again.text, "a: f32[2*T] = silu(x)");
	graft_config_free(c);
	graft_graph_free(g);
	graft_context_free(ctx);
}
