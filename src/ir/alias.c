/* alias.c - which values may share memory: union-find over views and in-place writes. */
#include "graph.h"
#include <stdlib.h>

struct Alias {
	uint32_t n;                           /* values with a smaller id are in the table */
	uint32_t *parent;
	uint32_t *writes;                     /* by class: operands that are written */
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

static bool has_storage(const Value *v)
{
	return v && v->kind != VALUE_LITERAL && v->kind != VALUE_SIZE;
}

Alias *alias_of(Graph *g, Arena *into)
{
	Alias *a = NEW(into, Alias);
	a->n = g->next_value;
	a->parent = NEW_ARRAY(into, a->n, uint32_t);
	a->writes = NEW_ARRAY(into, a->n, uint32_t);
	for (uint32_t i = 0; i < a->n; i++)
		a->parent[i] = i;
	for (const Node *n = g->first; n; n = n->next)
		for (uint32_t i = 0; i < n->n_in; i++)
			for (uint32_t o = 0; has_storage(n->in[i].value) && (node_effect(n, i) & MAY_SHARE) &&
			                     o < n->n_out; o++)
				join(a, n->in[i].value, n->out[o]);
	for (const Node *n = g->first; n; n = n->next)
		for (uint32_t i = 0; i < n->n_in; i++)
			if (has_storage(n->in[i].value) && (node_effect(n, i) & MAY_WRITE))
				a->writes[root(a, n->in[i].value->id)]++;
	return a;
}

/* The first operand that v may share storage with; NULL: none. */
static const Value *shared(const Value *v)
{
	for (uint32_t i = 0; v->def && i < v->def->n_in; i++)
		if (has_storage(v->def->in[i].value) && (node_effect(v->def, i) & MAY_SHARE))
			return v->def->in[i].value;
	return NULL;
}

uint32_t alias_class(const Alias *a, const Value *v)
{
	while (v->id >= a->n && shared(v))
		v = shared(v);
	return v->id < a->n ? root(a, v->id) : v->id;
}

void alias_join(Alias *a, const Value *x, const Value *y)
{
	uint32_t i = alias_class(a, x), j = alias_class(a, y);
	assert(i < a->n && j < a->n);
	if (i == j)
		return;
	a->parent[i > j ? i : j] = i < j ? i : j;
	a->writes[i < j ? i : j] += a->writes[i > j ? i : j];
}

uint32_t alias_writes(const Alias *a, const Value *v)
{
	uint32_t class = alias_class(a, v);
	return class < a->n ? a->writes[class] : 0;
}

bool alias_written(const Alias *a, const Value *v)
{
	return alias_writes(a, v);
}
