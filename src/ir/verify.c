/* verify.c - what a legal graph is. */
#include "graph.h"
#include "shape.h"
#include <stdlib.h>
#include <string.h>

_Noreturn static void broken(Graph *g, const Node *n, const char *what)
{
	fail_at(graph_job(g), GRAFT_E_GRAPH, node_label(n), "the graph is broken at %s (%s): %s", node_label(n),
	        n->name, what);
}

static void verify_operands(Graph *g, const Node *n)
{
	for (uint32_t i = 0; i < n->n_in + n->n_names; i++) {
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
		/* a look may look anywhere */
		if (v->def && !value_outside(v) && !unit_same(n, v->def) && !n->tentative)
			broken(g, n, "an operand is inside of another node of the file");
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
	node_infer(g, n, types, n->n_out);
	for (uint32_t i = 0; i < n->n_out; i++)
		if (type_eq(g, &types[i], &n->out[i]->type) != YES)
			broken(g, n, "its type is not what the shape rule gives");
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)*(const SourceNode *const *)a, y = (uintptr_t)*(const SourceNode *const *)b;
	return (x > y) - (x < y);
}

/* The nodes of a unit stand together: none begins twice. */
static void verify_units(Graph *g)
{
	Arena *scratch = &graph_job(g)->scratch;
	Mark mark = arena_mark(scratch);
	const SourceNode **begun = NEW_ARRAY(scratch, g->n_nodes, const SourceNode *);
	uint32_t n = 0;
	for (const Node *x = g->first; x; x = x->next)
		if (x->unit && !(x->prev && x->prev->unit == x->unit))
			begun[n++] = x->unit;
	if (n)
		qsort(begun, n, sizeof *begun, by_address);
	for (uint32_t i = 1; i < n; i++)
		if (begun[i] == begun[i - 1])
			fail(graph_job(g), GRAFT_E_GRAPH, "the graph is broken: the nodes of %s do not stand together",
			     begun[i]->op);
	arena_release(scratch, mark);
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
	verify_units(g);
	for (uint32_t i = 0; i < g->n_outputs; i++) {
		const Value *v = g->outputs[i]->use.value;
		if (!v || (v->def && v->def->dead))
			fail(graph_job(g), GRAFT_E_GRAPH, "graph output '%s' reads a value that nothing makes",
			     g->outputs[i]->name);
	}
	g->checked = g->next_id;
}
