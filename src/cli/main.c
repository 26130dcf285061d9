/* main.c - finds the verb, makes the context, runs it. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

static const struct { const char *name, *operands; int min, max; int (*run)(Cli *); } verbs[] = {
#define VERB(name, operands, min, max, ...) { #name, operands, min, max, verb_##name },
#include "verbs.def"
#undef VERB
};

enum { N_VERBS = sizeof verbs / sizeof *verbs };

static int run_verb(Cli *c, int verb, int argc, char **argv)
{
	if (!cli_parse(c, argc, argv, verb))
		return cli_fail(c);
	if (cli_has(c, OPT_help)) {
		c->files[0] = c->verb;
		c->n_files = 1;
		return verb_help(c);
	}
	if (c->n_files < verbs[verb].min || c->n_files > verbs[verb].max)
		return cli_usage(c, "graft %s wants %s, found %d file%s", verbs[verb].name,
		                 *verbs[verb].operands ? verbs[verb].operands : "no file", c->n_files,
		                 c->n_files == 1 ? "" : "s");
	if (graft_context_new(NULL, &c->ctx, &c->err))
		return cli_fail(c);
	int code = verbs[verb].run(c);
	graft_context_free(c->ctx);
	return code;
}

int main(int argc, char **argv)
{
	Cli c = { .verb = argc > 1 ? argv[1] : "help" };
	if (!strcmp(c.verb, "--help") || !strcmp(c.verb, "-h"))
		c.verb = "help";
	if (!strcmp(c.verb, "--version")) {
		printf("graft %s\n", GRAFT_VERSION);
		return 0;
	}
	for (int v = 0; v < N_VERBS; v++) {
		if (strcmp(c.verb, verbs[v].name))
			continue;
		c.files = calloc((size_t)argc + 1, sizeof *c.files);
		c.given = calloc((size_t)argc + 1, sizeof *c.given);
		int code = c.files && c.given ? run_verb(&c, v, argc - (argc > 1), argv + (argc > 1)) : 4;
		free(c.files);
		free(c.given);
		if (fflush(stdout) || ferror(stdout)) {
			fprintf(stderr, "error: cannot write to standard output\n");
			return code > 1 ? code : 3;
		}
		return code;
	}
	const char *verb = c.verb;
	c.verb = "";
	return cli_usage(&c, "there is no verb '%s'", verb);
}
