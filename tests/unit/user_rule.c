/* user_rule.c - rules of the user's own through the API: what `where` sees, how it refuses, what cannot be added. */
#include "test.h"
#include <graft/graft.h>

static const char graph[] = "graph g\nsymbol T in [1, 9]\ninput x: f32[T, 8]\ny = sub(x, 2.5)\noutput y\n";

typedef struct Seen { bool agree; char type[32]; double number; int64_t last; bool known_rows, unbound; } Seen;

static bool look(void *user, graft_match *m)
{
	Seen *s = user;
	int64_t rows;
	snprintf(s->type, sizeof s->type, "%s", graft_match_text(m, "x"));
	CHECK(graft_match_number(m, "c", &s->number));
	CHECK(graft_match_size(m, "x", -1, &s->last));
	s->known_rows = graft_match_size(m, "x", 0, &rows);
	s->unbound = graft_match_text(m, "nobody") != NULL;
	return s->agree || graft_match_refuse(m, "not today");
}

static graft_rule rule_of(Seen *seen)
{
	return (graft_rule){ .struct_size = sizeof(graft_rule), .name = "mine", .match = "y = sub(x, c)", .emit = "y = neg(x)",
	                     .where = look, .user = seen };
}

/* Optimises the graph with the rule; its refusal's code and message, or "" when it fired. */
static void refusal(Seen *seen, char *out, size_t size)
{
	graft_error err;
	graft_context *ctx;
	graft_config *config;
	graft_graph *g;
	graft_report *report;
	graft_rule rule = rule_of(seen);
	CHECK(!graft_context_new(NULL, &ctx, &err) && !graft_config_new(ctx, &config, &err));
	CHECK(!graft_config_add_rule(config, &rule, &err) && !graft_graph_parse(ctx, graph, sizeof graph - 1, "g", &g, &err));
	CHECK(!graft_optimize(g, config, &report, &err));
	const graft_refusal *r = graft_report_refusal(report, 0);
	snprintf(out, size, "%s%s%s", r ? r->code : "", r ? ": " : "", r ? r->message : "");
	CHECK_INT(graft_report_applied(report, "mine"), seen->agree);
	CHECK_INT(graft_graph_count(g, "neg"), seen->agree);
	graft_report_free(report);
	graft_graph_free(g);
	graft_config_free(config);
	graft_context_free(ctx);
}

TEST(user_rule_sees_what_is_bound_and_fires)
{
	Seen seen = { .agree = true };
	char text[256];
	refusal(&seen, text, sizeof text);
	CHECK_STR(text, "");
	CHECK_STR(seen.type, "f32[T, 8]");
	CHECK(seen.number == 2.5);
	CHECK_INT(seen.last, 8);
	CHECK(!seen.known_rows && !seen.unbound);
}

TEST(user_rule_says_why_not)
{
	Seen seen = { .agree = false };
	char text[256];
	refusal(&seen, text, sizeof text);
	CHECK_STR(text, "where: not today");
}

TEST(user_rule_tentative_and_where_it_runs)
{
	Seen seen = { 0 };
	graft_error err;
	graft_context *ctx;
	graft_config *config;
	graft_graph *g;
	graft_report *report;
	graft_rule look = rule_of(&seen), last = rule_of(&seen), first = rule_of(&seen);
	look.where = last.where = first.where = NULL;
	look.tentative = true;
	last.name = "last";
	last.match = "y = my.op.default(x)";
	last.emit = "y = abs(x)";
	first.name = "first";
	first.before = "dce";
	first.match = "y = relu(x)";
	CHECK(!graft_context_new(NULL, &ctx, &err) && !graft_config_new(ctx, &config, &err));
	CHECK(!graft_config_add_rule(config, &look, &err) && !graft_config_add_rule(config, &last, &err) &&
	      !graft_config_add_rule(config, &first, &err));
	CHECK(!graft_graph_parse(ctx, graph, sizeof graph - 1, "g", &g, &err) && !graft_optimize(g, config, &report, &err));
	CHECK_STR(graft_report_pass(report, 0)->pass, "first");
	CHECK_STR(graft_report_pass(report, 5)->pass, "mine");
	CHECK_STR(graft_report_pass(report, 6)->pass, "fuse_mla_dual_rms_norm");
	CHECK_STR(graft_report_pass(report, 8)->pass, "last");
	CHECK_INT(graft_report_applied(report, "mine"), 0);
	CHECK_INT(graft_graph_count(g, "sub"), 1);
	first.name = "nowhere";
	first.before = "nothing";
	CHECK_INT(graft_config_add_rule(config, &first, &err), GRAFT_E_USAGE);
	CHECK_HAS(err.message, "there is no pass 'nothing' to run in front of");
	graft_report_free(report);
	graft_graph_free(g);
	graft_config_free(config);
	graft_context_free(ctx);
}

TEST(user_rule_that_cannot_be_added)
{
	Seen seen = { 0 };
	graft_error err;
	graft_context *ctx;
	graft_config *config;
	graft_rule rule = rule_of(&seen);
	CHECK(!graft_context_new(NULL, &ctx, &err) && !graft_config_new(ctx, &config, &err));
	rule.struct_size = 8;
	CHECK_INT(graft_config_add_rule(config, &rule, &err), GRAFT_E_USAGE);
	rule = rule_of(&seen);
	rule.emit = "y = neg(z)";
	CHECK_INT(graft_config_add_rule(config, &rule, &err), GRAFT_E_RULE);
	rule = rule_of(&seen);
	CHECK_INT(graft_config_add_rule(config, &rule, &err), GRAFT_OK);
	CHECK_INT(graft_config_add_rule(config, &rule, &err), GRAFT_E_USAGE);
	CHECK_HAS(err.message, "there is a pass 'mine' already");
	graft_config_free(config);
	graft_context_free(ctx);
}
