/* alias.c - which values may share memory: union-find over views and in-place writes. */
#include "graph.h"
#include <stdlib.h>

struct Alias {
	uint32_t n;                           /* values with a smaller id are in the table */
	uint32_t *parent;
	bool *written;                        /* by class */
};

static uint32_t root(const Alias *a, uint32_t i)
{
	while (a->parent[i] != i) {
		a->parent[i] = a->parent[a->parent[i]];
		i = a->parent[i];
	}
	return i;
}

static void join(Alias *a, const Value *x, const Value *y)
{
	uint32_t i = root(a, x->id), j = root(a, y->id);
	a->parent[i > j ? i : j] = i < j ? i : j;
}

/* An unknown op may return views of anything it reads. */
static bool shares(const Node *n, uint32_t operand)
{
	return op_code(n->op) == OP_unknown || (operand == 0 && n->op->effect != PURE && n->op->effect != ASSERTS);
}

Alias *alias_of(Graph *g, Arena *into)
{
	Alias *a = NEW(into, Alias);
	a->n = g->next_value;
	a->parent = NEW_ARRAY(into, a->n, uint32_t);
	a->written = NEW_ARRAY(into, a->n, bool);
	for (uint32_t i = 0; i < a->n; i++)
		a->parent[i] = i;
	for (const Node *n = g->first; n; n = n->next)
		for (uint32_t i = 0; i < n->n_in; i++)
			for (uint32_t o = 0; n->in[i].value && shares(n, i) && o < n->n_out; o++)
				join(a, n->in[i].value, n->out[o]);
	for (const Node *n = g->first; n; n = n->next)
		if (node_writes(n) && n->n_in && n->in[0].value)
			a->written[root(a, n->in[0].value->id)] = true;
	return a;
}

uint32_t alias_class(const Alias *a, const Value *v)
{
	while (v->id >= a->n && v->def && v->def->n_in && v->def->in[0].value && shares(v->def, 0))
		v = v->def->in[0].value;
	return v->id < a->n ? root(a, v->id) : v->id;
}

bool alias_written(const Alias *a, const Value *v)
{
	uint32_t class = alias_class(a, v);
	return class < a->n && a->written[class];
}
