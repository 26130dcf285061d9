/* cse.c - computes equal things once: nodes of the same op with the same operands and attributes become one.
 *
 * Storage that somebody writes is left alone: equal reads of it at different times are not equal, and two copies that
 * are written are two.
 */
#include "pass.h"
#include <string.h>

typedef struct Table { Node **slot; size_t size; const Alias *alias; const bool *held; uint32_t n_held; } Table;

static uint64_t mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

static uint64_t hash_attr(uint64_t h, const Attr *a);

static uint64_t hash_dim(uint64_t h, Dim d)
{
	return mix(mix(h, (uint64_t)d.value), (uintptr_t)d.poly);
}

static uint64_t hash_list(uint64_t h, const Attr *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		h = hash_attr(h, &a->list[i]);
	return h;
}

static uint64_t hash_text(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = mix(h, (unsigned char)*s);
	return h;
}

static uint64_t hash_attr(uint64_t h, const Attr *a)
{
	uint64_t bits;
	h = mix(h, a->kind);
	switch (a->kind) {
	case ATTR_NONE:   return h;
	case ATTR_FLOAT:  memcpy(&bits, &a->f, sizeof bits); return mix(h, bits);
	case ATTR_STRING: return hash_text(h, a->s);
	case ATTR_LIST:   return hash_list(h, a);
	case ATTR_DIM:    return hash_dim(h, a->dim);
	case ATTR_DIMS:
		for (uint32_t i = 0; i < a->n; i++)
			h = hash_dim(h, a->dims[i]);
		return h;
	case ATTR_AXES:
		for (uint32_t i = 0; i < a->n; i++)
			h = mix(h, (uint64_t)a->ints[i]);
		return h;
	case ATTR_BOOL: case ATTR_INT: case ATTR_AXIS: case ATTR_DTYPE: case ATTR_NAME:
		return mix(h, (uint64_t)a->i);
	}
	return h;
}

static uint64_t hash_value(const Value *v)
{
	if (!v)
		return 0;
	return v->kind == VALUE_LITERAL ? hash_attr(1, &v->literal) : mix(2, v->id);
}

static bool commutes(const Node *n)
{
	return (n->op->flags & COMMUTES) && n->n_in >= 2;
}

/* The first two operands of an op that commutes count the same in either order. */
static uint64_t hash_node(const Node *n)
{
	uint64_t h = mix(n->n_in, (uint64_t)op_code(n->op));
	for (uint32_t i = 0; i < n->n_in; i++)
		if (!commutes(n) || i >= 2)
			h = mix(h, hash_value(n->in[i].value));
	if (commutes(n))
		h = mix(h, hash_value(n->in[0].value) + hash_value(n->in[1].value));
	for (uint32_t i = 0; i < n->n_attr; i++)
		h = hash_attr(h, &n->attr[i]);
	return h;
}

static bool same_operand(const Use *a, const Use *b)
{
	const Value *x = a->value, *y = b->value;
	return x == y || (x && y && x->kind == VALUE_LITERAL && y->kind == VALUE_LITERAL &&
	                  attr_same(&x->literal, &y->literal));
}

static bool same_operands(const Node *a, const Node *b)
{
	uint32_t from = 0;
	if (commutes(a) && same_operand(&a->in[0], &b->in[1]) && same_operand(&a->in[1], &b->in[0]))
		from = 2;
	for (uint32_t i = from; i < a->n_in; i++)
		if (!same_operand(&a->in[i], &b->in[i]))
			return false;
	return true;
}

static bool same_node(const Node *a, const Node *b)
{
	if (a->op != b->op || a->n_in != b->n_in || a->n_out != b->n_out || !same_operands(a, b))
		return false;
	for (uint32_t i = 0; i < a->n_attr; i++)
		if (!attr_same(&a->attr[i], &b->attr[i]))
			return false;
	return true;
}

static bool written(const Table *t, const Value *v)
{
	return v && v->kind != VALUE_LITERAL && t->alias && alias_written(t->alias, v);
}

/* May this node be merged at all? */
static bool mergeable(const Table *t, const Node *n)
{
	if (op_code(n->op) == OP_unknown || n->op->effect == WRITES || n->op->effect == ASSERTS || n->tentative)
		return false;
	if (n->id < t->n_held && t->held[n->id])
		return false;
	for (uint32_t i = 0; i < n->n_in; i++)
		if (written(t, n->in[i].value))
			return false;
	for (uint32_t i = 0; i < n->n_out; i++)
		if (written(t, n->out[i]))
			return false;
	return true;
}

/* The equal node seen before, or NULL, and then this one is remembered. */
static Node *equal_before(Table *t, Node *n)
{
	size_t i = hash_node(n) & (t->size - 1);
	for (; t->slot[i]; i = (i + 1) & (t->size - 1))
		if (same_node(t->slot[i], n))
			return t->slot[i];
	t->slot[i] = n;
	return NULL;
}

static void prepare(Table *t, Graph *g, Arena *a)
{
	bool *held = NEW_ARRAY(a, g->next_id, bool), writes = false;
	for (const Node *n = g->first; n; n = n->next) {
		writes |= node_writes(n);
		if (n->tentative)
			held[n->held->def->id] = true;
	}
	t->held = held;
	t->n_held = g->next_id;
	t->alias = writes ? alias_of(g, a) : NULL;
	t->size = 64;
	while (t->size < 2 * (size_t)g->n_nodes)
		t->size *= 2;
	t->slot = NEW_ARRAY(a, t->size, Node *);
}

void pass_cse(PassRun *run)
{
	Table t;
	prepare(&t, run->g, run->scratch);
	for (Node *n = run->g->first, *next; n; n = next) {
		next = n->next;
		Node *first = mergeable(&t, n) ? equal_before(&t, n) : NULL;
		if (!first)
			continue;
		if (!pass_rewrite(run))
			return;
		for (uint32_t i = 0; i < n->n_out; i++)
			value_replace(run->g, n->out[i], first->out[i]);
		node_remove(run->g, n);
	}
}
