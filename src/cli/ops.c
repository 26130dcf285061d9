/* ops.c - graft ops: the op table, as text, as a page, as signatures; or the ops of one graph. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

static const char *const effects[] = { "pure", "view", "maybe view", "writes", "asserts" };

static void signature(Job *job, const Op *op, char *buf, size_t size)
{
	Text t = { .arena = &job->scratch };
	op_signature(&t, op);
	snprintf(buf, size, "%s", t.text);
}

static void print_attrs(const Op *op)
{
	for (int i = 0; i < op->n_attrs; i++) {
		const AttrSpec *a = &op->attrs[i];
		printf("%s`%s`: %s", i ? "; " : "", a->name, a->words ? a->words : attr_kind_name(a->kind));
		if (a->fallback && strcmp(a->fallback, "none"))
			printf(" = %s", a->fallback);
		else if (a->fallback)
			printf(", may be left out");
	}
}

/* A '|' ends a cell of a table. */
static void print_cell(const char *s)
{
	for (; *s; s++)
		printf(*s == '|' ? "\\|" : "%c", *s);
}

static void print_page(void)
{
	printf("# Ops\n\nMade from `src/ir/ops.def` by `make docs`. An operand with `?` may be left out, one with "
	       "`...` may be repeated. `view`: the result shares its operand's memory; `maybe view`: where strides "
	       "allow; `writes`: in place.\n\n"
	       "| op | operands | results | attributes | meaning | memory |\n|---|---|---|---|---|---|\n");
	for (int i = 0; i < OP_COUNT; i++) {
		const Op *op = &op_table[i];
		printf("| `%s` | %s | %s | ", op->name, op->operands, op->results);
		print_attrs(op);
		printf(" | ");
		print_cell(op->meaning);
		printf(" | %s |\n", effects[op->effect]);
	}
}

static void print_signatures(Job *job, void *arg)
{
	(void)arg;
	char text[512];
	for (int i = 0; i < OP_COUNT; i++) {
		signature(job, &op_table[i], text, sizeof text);
		printf("%s\n", text);
	}
}

typedef struct Count { const char *name, *why; bool known; size_t n; } Count;

static int by_count(const void *a, const void *b)
{
	const Count *x = a, *y = b;
	return x->n != y->n ? x->n < y->n ? 1 : -1 : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const Count *)a)->name, ((const Count *)b)->name);
}

/* Sorted by name, equal names folded into one. */
static size_t count_ops(Count *counts, const Graph *g, bool only_unknown)
{
	size_t n = 0, folded = 0;
	for (const Node *node = g->first; node; node = node->next)
		if (!node->note && (!only_unknown || op_code(node->op) == OP_unknown))
			counts[n++] = (Count){ node->name, node->why, op_code(node->op) != OP_unknown, 1 };
	qsort(counts, n, sizeof *counts, by_name);
	for (size_t i = 0; i < n; i++) {
		if (folded && !strcmp(counts[folded - 1].name, counts[i].name))
			counts[folded - 1].n++;
		else
			counts[folded++] = counts[i];
	}
	qsort(counts, folded, sizeof *counts, by_count);
	return folded;
}

static void print_count(const Count *c)
{
	if (c->known)
		cli_say(stdout, "%8zu  %s", c->n, c->name);
	else
		cli_say(stdout, "%8zu  %s  (not an op graft can run%s%s)", c->n, c->name, c->why ? ": " : "",
		        c->why ? c->why : "");
}

static graft_status print_used(Cli *c)
{
	graft_graph *g = NULL;
	if (cli_load(c, c->files[0], &g))
		return c->err.status;
	Count *counts = calloc(graft_graph_count(g, NULL) + 1, sizeof *counts);
	if (!counts) {
		graft_graph_free(g);
		return error_set(&c->err, GRAFT_E_NOMEM, "no memory left to count ops");
	}
	size_t n = count_ops(counts, &g->g, cli_has(c, OPT_unsupported));
	for (size_t i = 0; i < n; i++)
		print_count(&counts[i]);
	free(counts);
	graft_graph_free(g);
	return GRAFT_OK;
}

int verb_ops(Cli *c)
{
	graft_status status = GRAFT_OK;
	if (c->n_files)
		status = print_used(c);
	else if (cli_has(c, OPT_unsupported))
		return cli_usage(c, "--unsupported needs a FILE");
	else if (cli_has(c, OPT_signatures))
		status = guarded(context_allocator(c->ctx), print_signatures, NULL, &c->err);
	else if (cli_has(c, OPT_markdown))
		print_page();
	else
		for (int i = 0; i < OP_COUNT; i++)
			printf("%-30s %s\n", op_table[i].name, op_table[i].meaning);
	return status ? cli_fail(c) : 0;
}
