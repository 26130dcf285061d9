/* verify.c - what a legal graph is. */
#include "graph.h"
#include "shape.h"
#include <string.h>

_Noreturn static void broken(Graph *g, const Node *n, const char *what)
{
	fail_at(graph_job(g), GRAFT_E_GRAPH, node_label(n), "the graph is broken at %s (%s): %s", node_label(n),
	        n->name, what);
}

static void verify_operands(Graph *g, const Node *n)
{
	for (uint32_t i = 0; i < n->n_in; i++) {
		const Value *v = n->in[i].value;
		if (!v)
			continue;
		if (n->in[i].node != n || *n->in[i].link != &n->in[i])
			broken(g, n, "an operand is not in the list of uses of its value");
		if (v->def && v->def->dead)
			broken(g, n, "an operand is made by a node that was removed");
		if (v->def && v->def->pos >= n->pos)
			broken(g, n, "an operand is made behind the node that reads it (a cycle, or an order that was "
			       "not repaired)");
	}
}

static void verify_results(Graph *g, const Node *n)
{
	for (uint32_t i = 0; i < n->n_out; i++) {
		const Value *v = n->out[i];
		if (v->def != n || v->index != i || value_find(g, v->name, strlen(v->name)) != v)
			broken(g, n, "a result does not know its node or its name");
	}
}

/* Types never change and a value is replaced only by one of its type, so a node needs to be looked at once. */
static void verify_types(Graph *g, const Node *n)
{
	Type *types = NEW_ARRAY(&g->arena, n->n_out, Type);
	n->op->infer(&(Infer){ g, n, types, n->n_out });
	for (uint32_t i = 0; i < n->n_out; i++)
		if (type_eq(g, &types[i], &n->out[i]->type) != YES)
			broken(g, n, "its type is not what the shape rule gives");
}

void graph_verify(Graph *g)
{
	uint32_t n_nodes = 0;
	int64_t pos = 0;
	for (const Node *n = g->first; n; n = n->next) {
		if (n->dead || n->pos <= pos || (n->next && n->next->prev != n))
			broken(g, n, "the list of nodes is not whole");
		pos = n->pos;
		verify_operands(g, n);
		verify_results(g, n);
		if (n->id >= g->checked && n->op->infer)
			verify_types(g, n);
		n_nodes++;
	}
	if (n_nodes != g->n_nodes)
		fail(graph_job(g), GRAFT_E_GRAPH, "the graph is broken: it counts %u nodes and lists %u", g->n_nodes,
		     n_nodes);
	for (uint32_t i = 0; i < g->n_outputs; i++) {
		const Value *v = g->outputs[i]->use.value;
		if (!v || (v->def && v->def->dead))
			fail(graph_job(g), GRAFT_E_GRAPH, "graph output '%s' reads a value that nothing makes",
			     g->outputs[i]->name);
	}
	g->checked = g->next_id;
}
