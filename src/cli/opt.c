/* opt.c - graft opt: load, rewrite, say what happened, write. */
#include "cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Prints and dumps around passes. */
typedef struct Hook { Cli *c; int n_dumped; bool failed; } Hook;

static bool asked(const Cli *c, OptionId id, const char *pass)
{
	const char *only = cli_value(c, id);
	return cli_has(c, id) && (!only || !strcmp(only, pass));
}

/* when: 0 before the pass, 1 behind it, -1 before it, once more, because it failed. */
static void dump(Hook *h, const char *pass, int when, graft_graph *g)
{
	static const char *const words[] = { "failed", "before", "after" };
	char path[4096];
	int n = snprintf(path, sizeof path, "%s/%02d-%s-%s.graft", cli_value(h->c, OPT_dump_dir), h->n_dumped,
	                 words[when + 1], pass);
	h->n_dumped += when > 0;
	if (n < 0 || (size_t)n >= sizeof path)
		h->failed = error_set(&h->c->err, GRAFT_E_USAGE, "the folder's name in --dump-dir is too long");
	else if (graft_graph_save(g, path, GRAFT_FORMAT_TEXT, &h->c->err))
		h->failed = true;
}

static void around_pass(void *user, const char *pass, int when, graft_graph *g)
{
	Hook *h = user;
	progress_say(h->c, "pass", pass);
	if (when < 0)
		progress_end(h->c);
	if (h->failed)
		return;
	if (cli_has(h->c, OPT_dump_dir))
		dump(h, pass, when, g);
	else if (when < 0)
		cli_note("--dump-dir D writes the graph on which %s failed", pass);
	if (when < 0 || !asked(h->c, when ? OPT_print_after : OPT_print_before, pass))
		return;
	fprintf(stderr, "# %s %s\n", when ? "after" : "before", pass);
	h->failed |= graft_graph_print(g, GRAFT_FORMAT_TEXT, cli_write, stderr, &h->c->err) != GRAFT_OK;
}

/* "P=N" */
static bool split_expectation(Cli *c, const char *text, char *pass, size_t size, int64_t *n)
{
	const char *equals = strchr(text, '=');
	char *end;
	if (equals && (size_t)(equals - text) < size && equals[1]) {
		memcpy(pass, text, (size_t)(equals - text));
		pass[equals - text] = 0;
		errno = 0;
		*n = strtoll(equals + 1, &end, 10);
		if (!*end && *n >= 0 && !errno)
			return true;
	}
	error_set(&c->err, GRAFT_E_USAGE, "--expect wants PASS=NUMBER, found '%s'", text);
	return false;
}

/* A pass that is named where nothing comes from it would otherwise look like one that did nothing. */
static graft_status check_names(Cli *c, const graft_report *r)
{
	static const OptionId naming[] = { OPT_explain, OPT_print_before, OPT_print_after };
	for (size_t i = 0; i < sizeof naming / sizeof *naming; i++) {
		const char *pass = cli_value(c, naming[i]);
		if (pass && graft_report_applied(r, pass) < 0)
			return error_set(&c->err, GRAFT_E_USAGE,
			                 "%s names the pass '%s', which is not one of those considered",
			                 option_rows[naming[i]].spelling, pass);
	}
	return GRAFT_OK;
}

static graft_status check_expectations(Cli *c, const graft_report *r)
{
	const char *text;
	char pass[128];
	int64_t wanted;
	for (int i = 0; (text = cli_nth(c, OPT_expect, i)); i++) {
		if (!split_expectation(c, text, pass, sizeof pass, &wanted))
			return c->err.status;
		int64_t found = graft_report_applied(r, pass);
		if (found < 0)
			return error_set(&c->err, GRAFT_E_USAGE,
			                 "--expect names the pass '%s', which is not one of those considered", pass);
		if (found == wanted)
			continue;
		cli_explain(r, pass);
		return error_set(&c->err, GRAFT_E_DIFFERS, "expected %lld rewrites by %s, found %lld",
		                 (long long)wanted, pass, (long long)found);
	}
	return GRAFT_OK;
}

static const char *const outcomes[] = { "off", "unavailable", "no match", "applied" };

static void print_stats(const graft_report *r, bool timing)
{
	const graft_pass_result *p;
	printf("%-24s %-12s %8s %8s %8s%s  %s\n", "pass", "outcome", "applied", "before", "after",
	       timing ? "       ms" : "", "why");
	for (size_t i = 0; (p = graft_report_pass(r, i)); i++) {
		printf("%-24s %-12s %8lld %8lld %8lld", p->pass, outcomes[p->outcome], (long long)p->applied,
		       (long long)p->nodes_before, (long long)p->nodes_after);
		if (timing)
			printf(" %8.3f", p->seconds * 1e3);
		printf("  %s\n", p->reason);
	}
}

static void print_json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\' || (unsigned char)*s < 0x20)
			printf("\\u%04x", (unsigned)*s);
		else
			putchar(*s);
	}
	putchar('"');
}

static const char *const flags[] = { "auto", "on", "off" };

static void print_stats_json(const graft_report *r, bool timing)
{
	const graft_pass_result *p;
	printf("{\"passes\": [");
	for (size_t i = 0; (p = graft_report_pass(r, i)); i++) {
		printf("%s\n  {\"pass\": \"%s\", \"requested\": \"%s\", \"effective\": %s, \"decided_by\": ",
		       i ? "," : "", p->pass, flags[p->requested], p->effective ? "true" : "false");
		print_json_string(p->decided_by);
		printf(", \"reason\": ");
		print_json_string(p->reason);
		printf(", \"outcome\": \"%s\", \"applied\": %lld, \"nodes_before\": %lld, \"nodes_after\": %lld",
		       outcomes[p->outcome], (long long)p->applied, (long long)p->nodes_before,
		       (long long)p->nodes_after);
		if (timing)
			printf(", \"seconds\": %.9f", p->seconds);
		printf("}");
	}
	printf("\n]}\n");
}

/* Without a file the notation is printed, of what would go into one like the graph's own. */
static graft_status output_format(Cli *c, graft_format *print, graft_format *save)
{
	const char *out = cli_value(c, OPT_out), *to = cli_value(c, OPT_to);
	bool file = out && strcmp(out, "-");
	graft_status status = cli_format(c, to, file ? GRAFT_FORMAT_AUTO : GRAFT_FORMAT_TEXT, print);
	*save = to ? *print : file ? graft_format_of(out) : GRAFT_FORMAT_AUTO;
	return status;
}

static graft_status write_graph(Cli *c, graft_graph *g)
{
	graft_format print, save;
	graft_status status = output_format(c, &print, &save);
	return status ? status : cli_save(c, g, cli_value(c, OPT_out), print);
}

/* What decides whether a rewrite can be written is known before anything is rewritten. */
static graft_status set_output(Cli *c, graft_graph *g, graft_config *config)
{
	graft_format print, save;
	graft_status status = output_format(c, &print, &save);
	if (!status && cli_value(c, OPT_torch_op))
		status = graft_graph_set_torch_op(g, cli_value(c, OPT_torch_op), &c->err);
	if (!status)
		graft_config_set_format(config, save);
	return status;
}

static graft_status report(Cli *c, graft_graph *g, const graft_report *r)
{
	const char *stats = cli_value(c, OPT_stats);
	bool timing = cli_has(c, OPT_timing);
	cli_unavailable(r);
	if (cli_has(c, OPT_explain))
		cli_explain(r, cli_value(c, OPT_explain));
	graft_status status = check_names(c, r);
	if (!status)
		status = check_expectations(c, r);
	if (status)
		return status;
	if (stats && strcmp(stats, "json"))
		return error_set(&c->err, GRAFT_E_USAGE, "--stats takes 'json' or nothing, found '%s'", stats);
	if (stats)
		print_stats_json(r, timing);
	else if (cli_has(c, OPT_stats))
		print_stats(r, timing);
	const graft_pass_result *p;
	for (size_t i = 0; timing && !cli_has(c, OPT_stats) && (p = graft_report_pass(r, i)); i++)
		cli_note("%s: %.3f ms", p->pass, p->seconds * 1e3);
	return cli_has(c, OPT_stats) && !cli_has(c, OPT_out) ? GRAFT_OK : write_graph(c, g);
}

static graft_status run_passes(Cli *c, graft_graph *g, const graft_config *config, graft_report **r)
{
	if (!cli_has(c, OPT_print_before) && !cli_has(c, OPT_print_after))
		progress_start(c, "optimising", c->files[0]);
	graft_status status = graft_optimize(g, config, r, &c->err);
	progress_end(c);
	return status;
}

static graft_status optimize(Cli *c, graft_graph *g)
{
	graft_config *config = NULL;
	graft_report *r = NULL;
	Hook hook = { .c = c };
	graft_status status = cli_config(c, &config);
	if (status)
		return status;
	status = set_output(c, g, config);
	const char *folder = cli_value(c, OPT_dump_dir);
	if (!status && folder && mkdir(folder, 0777) && errno != EEXIST)
		status = error_set(&c->err, GRAFT_E_IO, "%s: cannot make this folder: %s", folder, strerror(errno));
	graft_config_set_hook(config, around_pass, &hook);
	if (!status)
		status = run_passes(c, g, config, &r);
	if (!status)
		status = hook.failed ? c->err.status : report(c, g, r);
	graft_report_free(r);
	graft_config_free(config);
	return status;
}

int verb_opt(Cli *c)
{
	graft_graph *g = NULL;
	graft_status status = cli_kernels(c);
	if (!status)
		status = cli_load(c, c->files[0], &g);
	if (!status)
		status = optimize(c, g);
	graft_graph_free(g);
	return status ? cli_fail(c) : 0;
}
