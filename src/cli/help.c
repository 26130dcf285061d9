/* help.c - graft help, docs/cli.md and the man page, all from the tables. */
#include "cli.h"
#include <string.h>

static const struct { const char *name, *operands, *meaning, *details; } verbs[] = {
#define VERB(name, operands, min, max, meaning, details) { #name, operands, meaning, details },
#include "verbs.def"
#undef VERB
};

enum { N_VERBS = sizeof verbs / sizeof *verbs };

static const struct { int code; const char *meaning; } exits[] = {
	{ 0, "good" },
	{ 1, "numbers or expectation differ" },
	{ 2, "usage" },
	{ 3, "the input is not valid" },
	{ 4, "not supported or not available here" },
};

enum { N_EXITS = sizeof exits / sizeof *exits };

/* "--bind T=4", "-ON", "--explain[=P]" */
static void spell(char *buf, size_t size, OptionId id)
{
	const char *value = option_rows[id].value;
	if (!value)
		snprintf(buf, size, "%s", option_rows[id].spelling);
	else if (*value == '[')
		snprintf(buf, size, "%s[=%s", option_rows[id].spelling, value + 1);
	else
		snprintf(buf, size, "%s%s%s", option_rows[id].spelling, id == OPT_level ? "" : " ", value);
}

static bool belongs(OptionId id, int verb)
{
	return option_rows[id].verbs >> verb & 1;
}

static void each_option(int verb, const char *fmt)
{
	char left[64];
	for (OptionId id = 0; id < N_OPTIONS; id++) {
		if (!belongs(id, verb))
			continue;
		spell(left, sizeof left, id);
		if (!strcmp(fmt, "markdown"))
			printf("| `%s` | %s |\n", left, option_rows[id].meaning);
		else if (!strcmp(fmt, "man"))
			printf(".TP\n.B \"%s\"\n%s\n", left, option_rows[id].meaning);
		else
			printf("  %-22s %s\n", left, option_rows[id].meaning);
	}
}

static bool has_options(int verb)
{
	for (OptionId id = 0; id < N_OPTIONS; id++)
		if (belongs(id, verb))
			return true;
	return false;
}

static const char *space(const char *operands)
{
	return *operands ? " " : "";
}

static void print_verb(int v)
{
	printf("usage: graft %s%s%s%s\n\n%s\n\n%s\n", verbs[v].name, space(verbs[v].operands), verbs[v].operands,
	       has_options(v) ? " [options]" : "", verbs[v].meaning, verbs[v].details);
	if (has_options(v))
		printf("\n");
	each_option(v, "text");
}

static void print_overview(void)
{
	printf("graft %s - tensor graphs rewritten safely\n\nusage: graft VERB [operands] [options]\n\n",
	       GRAFT_VERSION);
	for (int v = 0; v < N_VERBS; v++)
		printf("  %-8s %-12s %s\n", verbs[v].name, verbs[v].operands, verbs[v].meaning);
	printf("\n`graft help VERB` lists a verb's options. Exit codes:");
	for (int i = 0; i < N_EXITS; i++)
		printf("%s %d %s", i ? ";" : "", exits[i].code, exits[i].meaning);
	printf(".\n");
}

static void print_markdown(void)
{
	printf("# The tool\n\nMade from `src/cli/verbs.def` and `options.def` by `make docs`.\n\n"
	       "Results go to standard output, notes and errors to standard error; errors read `file:line:column: "
	       "path: message`. No environment variable changes what graft does.\n\n| exit code | meaning |\n"
	       "|---|---|\n");
	for (int i = 0; i < N_EXITS; i++)
		printf("| %d | %s |\n", exits[i].code, exits[i].meaning);
	for (int v = 0; v < N_VERBS; v++) {
		printf("\n## graft %s%s%s\n\n%s: %s\n", verbs[v].name, space(verbs[v].operands), verbs[v].operands,
		       verbs[v].meaning, verbs[v].details);
		if (has_options(v))
			printf("\n| option | meaning |\n|---|---|\n");
		each_option(v, "markdown");
	}
}

static void print_man(void)
{
	printf(".TH GRAFT 1 \"\" \"graft %s\" \"User Commands\"\n.SH NAME\ngraft \\- tensor graphs rewritten safely\n"
	       ".SH SYNOPSIS\n.B graft\n.I VERB\n[operands] [options]\n.SH DESCRIPTION\n"
	       "Loads an exported tensor graph, rewrites it with guarded passes, and writes it back or runs it. A "
	       "rewrite happens only when it is wanted, possible and legal; when it does not happen graft says why.\n",
	       GRAFT_VERSION);
	for (int v = 0; v < N_VERBS; v++) {
		printf(".SH \"graft %s%s%s\"\n%s\n", verbs[v].name, space(verbs[v].operands), verbs[v].operands,
		       verbs[v].details);
		each_option(v, "man");
	}
	printf(".SH \"EXIT STATUS\"\n");
	for (int i = 0; i < N_EXITS; i++)
		printf(".TP\n.B %d\n%s\n", exits[i].code, exits[i].meaning);
}

int verb_help(Cli *c)
{
	if (cli_has(c, OPT_markdown) || cli_has(c, OPT_man)) {
		(cli_has(c, OPT_man) ? print_man : print_markdown)();
		return 0;
	}
	if (!c->n_files) {
		print_overview();
		return 0;
	}
	for (int v = 0; v < N_VERBS; v++)
		if (!strcmp(c->files[0], verbs[v].name)) {
			print_verb(v);
			return 0;
		}
	c->verb = "";
	return cli_usage(c, "there is no verb '%s'", c->files[0]);
}
