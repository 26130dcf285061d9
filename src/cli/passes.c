/* passes.c - graft passes: the pass table, as text or as a page. */
#include "cli.h"
#include "../passes/pass.h"
#include "../passes/refusal.h"

static const char *level_text(const Pass *p)
{
	static const char *const texts[] = { "-O0 and up", "-O1 and up", "-O2 and up", "-O3", "when asked for" };
	return texts[p->level];
}

static void print_page(void)
{
	printf("# Passes\n\nMade from `src/passes/passes.def` and `src/passes/refusals.def` by `make docs`. Passes run "
	       "in this order. `auto` turns a pass on at its level when the kernel it needs can be called.\n\n"
	       "| pass | on `auto` | needs the kernel | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < n_passes; i++)
		printf("| `%s` | %s | %s | %s |\n", pass_table[i].name, level_text(&pass_table[i]),
		       pass_table[i].kernel ? pass_table[i].kernel : "", pass_table[i].meaning);
	printf("\n## Why something stayed as it was\n\n"
	       "`--explain` prints one of these words for every place a pass looked at closely.\n\n"
	       "| code | meaning |\n|---|---|\n");
	for (size_t i = 0; i < n_refusal_codes; i++)
		printf("| `%s` | %s |\n", refusal_codes[i].code, refusal_codes[i].meaning);
}

int verb_passes(Cli *c)
{
	if (cli_has(c, OPT_markdown)) {
		print_page();
		return 0;
	}
	for (size_t i = 0; i < n_passes; i++)
		printf("%-24s %-15s %s\n", pass_table[i].name, level_text(&pass_table[i]), pass_table[i].meaning);
	return 0;
}
