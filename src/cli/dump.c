/* dump.c - graft dump: a graph, or what is around one node of it. */
#include "cli.h"
#include "../ir/context.h"
#include <stdlib.h>
#include <string.h>

typedef struct Around { const Graph *g; const char *node; size_t node_size; int radius; Graph *part; } Around;

static Node *find_node(Job *job, const Around *a)
{
	Value *v = value_find(a->g, a->node, a->node_size);
	if (!v)
		fail(job, GRAFT_E_USAGE, "--around names '%.*s', but no value has that name", (int)a->node_size,
		     a->node);
	if (!v->def)
		fail(job, GRAFT_E_USAGE, "--around names '%s', which no node makes: it is an input", v->name);
	return v->def;
}

/* Marks the neighbours of every marked node, one step further. */
static void widen(const Graph *g, uint32_t from, uint32_t to)
{
	for (Node *n = g->first; n; n = n->next) {
		if (n->mark != from)
			continue;
		n->mark = to;
		for (uint32_t i = 0; i < n->n_in; i++)
			if (n->in[i].value && n->in[i].value->def && n->in[i].value->def->mark != from)
				n->in[i].value->def->mark = to;
		for (uint32_t i = 0; i < n->n_out; i++)
			for (const Use *u = n->out[i]->uses; u; u = u->next)
				if (u->node && u->node->mark != from)
					u->node->mark = to;
	}
}

static void extract_around(Job *job, void *arg)
{
	Around *a = arg;
	Graph *g = (Graph *)a->g;
	graph_enter(g, job);
	uint32_t mark = graph_mark(g);
	find_node(job, a)->mark = mark;
	for (int i = 0; i < a->radius; i++) {
		uint32_t wider = graph_mark(g);
		widen(g, mark, wider);
		mark = wider;
	}
	a->part = graph_release(graph_extract(job, g, mark));
}

/* "NODE" or "NODE,R" */
static graft_status around(Cli *c, graft_graph **g)
{
	const char *text = cli_value(c, OPT_around), *comma = strrchr(text, ',');
	Around a = { .g = &(*g)->g, .node = text, .node_size = comma ? (size_t)(comma - text) : strlen(text),
	             .radius = 1 };
	char *end;
	if (comma) {
		long r = strtol(comma + 1, &end, 10);
		if (*end || !comma[1] || r < 0 || r > 1000000)
			return error_set(&c->err, GRAFT_E_USAGE, "--around wants NODE or NODE,STEPS, found '%s'", text);
		a.radius = (int)r;
	}
	graft_status status = guarded(context_allocator(c->ctx), extract_around, &a, &c->err);
	if (!status) {
		graft_graph_free(*g);
		*g = (graft_graph *)a.part;
	}
	return status;
}

int verb_dump(Cli *c)
{
	graft_graph *g = NULL;
	graft_format format;
	const char *out = cli_value(c, OPT_out);
	graft_status status = cli_format(c, cli_value(c, OPT_to), out ? GRAFT_FORMAT_AUTO : GRAFT_FORMAT_TEXT, &format);
	if (!status)
		status = cli_load(c, c->files[0], &g);
	if (!status && cli_has(c, OPT_around))
		status = around(c, &g);
	if (!status)
		status = cli_save(c, g, out, format);
	graft_graph_free(g);
	return status ? cli_fail(c) : 0;
}
