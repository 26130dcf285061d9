/* cse.c - computes equal things once: equal units (graph.h) become one.
 *
 * Nodes of ours are equal when op, operands and attributes are. Nodes of an imported file are equal when their texts are,
 * but for names that stand for the same value: every argument counts, whether graft knows what it means or not.
 *
 * Storage that somebody writes is left alone: equal reads of it at different times are not equal, and two copies that
 * are written are two. So are two results that both leave the graph: whoever gets them may write one.
 */
#include "pass.h"
#include <string.h>

typedef struct Table {
	Arena *a;
	Node **slot;                          /* the first node of a unit */
	size_t size;
	const Alias *alias;                   /* NULL: nobody writes, and outputs are the graph's own */
	bool *leaves;                         /* by alias class: some output of an imported graph shares this storage */
	const bool *held;
	uint32_t n_held;
} Table;

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
	uint64_t h = hash_text(mix(n->n_in, n->n_out), n->name);
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
	if (strcmp(a->name, b->name) || a->n_in != b->n_in || a->n_out != b->n_out || a->n_attr != b->n_attr ||
	    !same_operands(a, b))
		return false;
	for (uint32_t i = 0; i < a->n_attr; i++)
		if ((a->attr_name && strcmp(a->attr_name[i], b->attr_name[i])) ||
		    !attr_same(&a->attr[i], &b->attr[i]))
			return false;
	return true;
}

/* ---- texts ---- */

/* What a unit's text says it reads: the text between names, and the values that the names stand for. */
typedef struct Reading { const char *at, *end; const UnitName *name; uint32_t n; } Reading;

static Reading reading(const Table *t, const Node *n)
{
	const SourceNode *s = n->unit;
	UnitName *name;
	uint32_t count = unit_names(n, t->a, &name);
	while (count && name->place < s->args)
		name++, count--;
	while (count && name[count - 1].place >= s->args + s->args_size)
		count--;
	return (Reading){ s->args, s->args + s->args_size, name, count };
}

/* Goes behind the next name; false: there is none. */
static bool next_name(Reading *r, const char **text, size_t *size, const Value **v)
{
	const char *from = r->at;
	while (r->n && r->name->place < from)         /* the same place once more */
		r->name++, r->n--;
	*text = from;
	*size = (size_t)((r->n ? r->name->place : r->end) - from);
	*v = r->n ? r->name->value : NULL;
	if (r->n)
		r->at = (const char *)memchr(r->name->place + 1, '"', (size_t)(r->end - r->name->place - 1)) + 1;
	return r->n;
}

static uint64_t hash_reading(const Table *t, const Node *n)
{
	uint64_t h = hash_text(3, n->unit->op);
	Mark mark = arena_mark(t->a);
	const char *text;
	size_t size;
	const Value *v;
	for (Reading r = reading(t, n); next_name(&r, &text, &size, &v);)
		h = mix(mix(h, size), v->id);
	arena_release(t->a, mark);
	return h;
}

static bool same_reading(const Table *t, const Node *a, const Node *b)
{
	Mark mark = arena_mark(t->a);
	Reading x = reading(t, a), y = reading(t, b);
	const char *s, *u;
	size_t n, m;
	const Value *v, *w;
	bool same = !strcmp(a->unit->op, b->unit->op), more = true;
	while (same && more) {
		more = next_name(&x, &s, &n, &v);
		same = next_name(&y, &u, &m, &w) == more && v == w && n == m && !memcmp(s, u, n);
	}
	arena_release(t->a, mark);
	return same;
}

static bool same_unit(const Table *t, const Node *a, const Node *b)
{
	return a->unit && b->unit ? same_reading(t, a, b) : !a->unit && !b->unit && same_node(a, b);
}

/* ---- what may be merged ---- */

static bool written(const Table *t, const Value *v)
{
	return v && v->kind != VALUE_LITERAL && t->alias && alias_written(t->alias, v);
}

static bool mergeable_node(const Table *t, const Node *n)
{
	if (!node_is_pure(n) || n->note || n->tentative || (n->id < t->n_held && t->held[n->id]))
		return false;
	for (uint32_t i = 0; i < n->n_in; i++)
		if (written(t, n->in[i].value))
			return false;
	for (uint32_t i = 0; i < n->n_out; i++)
		if (written(t, n->out[i]) || value_pinned(n->out[i]))
			return false;
	return true;
}

/* May this unit be merged at all? A sub-graph is not looked into. */
static bool mergeable(const Table *t, const Node *n)
{
	const Node *end = unit_last(n)->next;
	for (const Node *m = n; m != end; m = m->next)
		if (m->source != m->unit || !mergeable_node(t, m))
			return false;
	return true;
}

static bool leave_together(const Table *t, const Value *v, const Value *w)
{
	uint32_t x = alias_class(t->alias, v), y = alias_class(t->alias, w);
	return x == y ? value_kept(v) && value_kept(w) : t->leaves[x] && t->leaves[y];
}

/* Would results that leave the graph apart leave it as one? */
static bool are_two(const Table *t, const Node *n, const Node *first)
{
	const Node *end = unit_last(n)->next;
	for (const Node *m = n, *f = first; n->unit && m != end; m = m->next, f = f->next)
		for (uint32_t i = 0; i < m->n_out; i++)
			if (leave_together(t, m->out[i], f->out[i]))
				return true;
	return false;
}

/* The equal node seen before, or NULL, and then this one is remembered. */
static Node *equal_before(Table *t, Node *n)
{
	size_t i = (n->unit ? hash_reading(t, n) : hash_node(n)) & (t->size - 1);
	for (; t->slot[i]; i = (i + 1) & (t->size - 1))
		if (same_unit(t, t->slot[i], n))
			return t->slot[i];
	t->slot[i] = n;
	return NULL;
}

/* Two equal units have equal nodes in equal order. */
static void merge(const Table *t, Graph *g, Node *n, Node *first)
{
	const Node *end = unit_last(n)->next;
	for (const Node *m = n, *f = first; m != end; m = m->next, f = f->next)
		for (uint32_t i = 0; i < m->n_out; i++) {
			if (n->unit)
				t->leaves[alias_class(t->alias, f->out[i])] |= t->leaves[alias_class(t->alias, m->out[i])];
			if (value_outside(m->out[i]))
				value_replace(g, m->out[i], f->out[i]);
		}
	unit_remove(g, n);
}

static void prepare(Table *t, Graph *g, Arena *a)
{
	t->a = a;
	bool *held = NEW_ARRAY(a, g->next_id, bool), writes = false;
	for (const Node *n = g->first; n; n = n->next) {
		writes |= node_writes(n);
		if (n->tentative)
			held[n->held->def->id] = true;
	}
	t->held = held;
	t->n_held = g->next_id;
	t->alias = writes || g->document ? alias_of(g, a) : NULL;
	t->leaves = NEW_ARRAY(a, g->next_value, bool);
	for (uint32_t i = 0; i < g->n_outputs && t->alias; i++)
		t->leaves[alias_class(t->alias, g->outputs[i]->use.value)] = true;
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
		next = unit_last(n)->next;
		Node *first = mergeable(&t, n) ? equal_before(&t, n) : NULL;
		if (!first || are_two(&t, n, first))
			continue;
		if (!pass_rewrite(run))
			return;
		merge(&t, run->g, n, first);
	}
}
