/* common.c - what several verbs make of their options. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

bool cli_write(void *file, const char *text, size_t size)
{
	return fwrite(text, 1, size, file) == size;
}

graft_status cli_load(Cli *c, const char *path, graft_graph **out)
{
	progress_start(c, "loading", path);
	graft_status status = graft_graph_load(c->ctx, path, out, &c->err);
	progress_end(c);
	return status;
}

graft_status cli_save(Cli *c, graft_graph *g, const char *out, graft_format format)
{
	if (!out)
		return graft_graph_print(g, format, cli_write, stdout, &c->err);
	progress_start(c, "writing", out);
	graft_status status = graft_graph_save(g, out, format, &c->err);
	progress_end(c);
	return status;
}

graft_status cli_kernels(Cli *c)
{
	graft_status status = GRAFT_OK;
	const char *pack;
	for (int i = 0; !status && (pack = cli_nth(c, OPT_kernels, i)); i++)
		status = graft_kernels_add(c->ctx, pack, &c->err);
	return status;
}

graft_status cli_format(Cli *c, const char *name, graft_format otherwise, graft_format *out)
{
	static const struct { const char *name; graft_format format; } formats[] = {
		{ "text", GRAFT_FORMAT_TEXT }, { "json", GRAFT_FORMAT_JSON }, { "dot", GRAFT_FORMAT_DOT },
		{ "pt2", GRAFT_FORMAT_PT2 }, { "pt2json", GRAFT_FORMAT_PT2JSON },
	};
	*out = otherwise;
	if (!name)
		return GRAFT_OK;
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (!strcmp(name, formats[i].name)) {
			*out = formats[i].format;
			return GRAFT_OK;
		}
	return error_set(&c->err, GRAFT_E_USAGE, "--to wants text, json, dot, pt2 or pt2json, found '%s'", name);
}

static graft_status apply(Cli *c, graft_config *config, const Given *g)
{
	switch (g->id) {
	case OPT_level:
		if (!g->value || !*g->value || g->value[1] || *g->value < '0' || *g->value > '3')
			return error_set(&c->err, GRAFT_E_USAGE, "-O wants a level from 0 to 3, found '%s'",
			                 g->value ? g->value : "");
		return graft_config_set_level(config, *g->value - '0', &c->err);
	case OPT_enable:  return graft_config_set(config, g->value, GRAFT_ON, "--enable", &c->err);
	case OPT_disable: return graft_config_set(config, g->value, GRAFT_OFF, "--disable", &c->err);
	case OPT_passes:  return graft_config_set_passes(config, g->value, "--passes", &c->err);
	case OPT_pure:    return graft_config_set_pure(config, g->value, &c->err);
	case OPT_target:  return graft_config_set_target(config, g->value, &c->err);
	default:          return GRAFT_OK;
	}
}

static graft_status fill_config(Cli *c, graft_config *config)
{
	const char *file;
	int64_t limit;
	for (int i = 0; (file = cli_nth(c, OPT_rules, i)); i++)
		if (graft_config_load_rules(config, file, &c->err))
			return c->err.status;
	for (int i = 0; (file = cli_nth(c, OPT_config, i)); i++)
		if (graft_config_load(config, file, &c->err))
			return c->err.status;
	for (int i = 0; i < c->n_given; i++)
		if (apply(c, config, &c->given[i]))
			return c->err.status;
	if (!cli_number(c, OPT_opt_limit, 0, INT64_MAX, -1, &limit))
		return c->err.status;
	if (cli_has(c, OPT_opt_limit))
		graft_config_set_limit(config, limit);
	return GRAFT_OK;
}

graft_status cli_config(Cli *c, graft_config **out)
{
	graft_config *config;
	graft_status status = graft_config_new(c->ctx, &config, &c->err);
	if (status)
		return status;
	status = fill_config(c, config);
	if (status)
		graft_config_free(config);
	else
		*out = config;
	return status;
}

bool cli_tolerance(Cli *c, OptionId id, double *out)
{
	const char *text = cli_value(c, id);
	char *end;
	*out = -1;
	if (!text)
		return true;
	*out = strtod(text, &end);
	if (*text && !*end && *out >= 0)
		return true;
	error_set(&c->err, GRAFT_E_USAGE, "--rtol and --atol want a number that is not negative, found '%s'", text);
	return false;
}

graft_status cli_plan_options(Cli *c, const char **bind, graft_plan_options *out)
{
	int64_t seed, threads;
	int n = 0;
	for (const char *b; (b = cli_nth(c, OPT_bind, n)); n++)
		bind[n] = b;
	bind[n] = NULL;
	if (!cli_number(c, OPT_random, 0, INT64_MAX, 0, &seed) || !cli_number(c, OPT_threads, 1, 1024, 0, &threads))
		return c->err.status;
	*out = (graft_plan_options){
		.struct_size = sizeof *out, .threads = (int)threads, .random = cli_has(c, OPT_random),
		.seed = (uint64_t)seed, .strict = cli_has(c, OPT_strict), .bind = bind,
		.profile = cli_has(c, OPT_profile) || cli_has(c, OPT_trace),
	};
	return GRAFT_OK;
}

graft_status cli_inputs(Cli *c, graft_tensors **out)
{
	graft_tensors *t;
	const char *file;
	graft_status status = graft_tensors_new(c->ctx, &t, &c->err);
	if (status)
		return status;
	for (int i = 0; !status && (file = cli_nth(c, OPT_inputs, i)); i++)
		status = graft_tensors_load(t, file, &c->err);
	if (status)
		graft_tensors_free(t);
	else
		*out = t;
	return status;
}

void cli_explain(const graft_report *r, const char *pass)
{
	const graft_refusal *f;
	for (size_t i = 0; (f = graft_report_refusal(r, i)); i++)
		if (!pass || !strcmp(pass, f->pass))
			cli_note("%s: %s: %s: %s", f->pass, f->node, f->code, f->message);
}

/* Some place lacked nothing but the pass's kernel. */
static bool wanted_kernel(const graft_report *r, const char *pass)
{
	const graft_refusal *f;
	for (size_t i = 0; (f = graft_report_refusal(r, i)); i++)
		if (!strcmp(f->pass, pass) && !strcmp(f->code, "kernel"))
			return true;
	return false;
}

void cli_unavailable(const graft_report *r)
{
	const graft_pass_result *p;
	for (size_t i = 0; (p = graft_report_pass(r, i)); i++)
		if (p->outcome == GRAFT_PASS_UNAVAILABLE && wanted_kernel(r, p->pass))
			cli_note("%s: unavailable: %s", p->pass, p->reason);
}
