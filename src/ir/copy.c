/* copy.c - a copy of a graph, or of some of its nodes, that shares nothing with it; as it is, or with its symbols
 * bound. */
#include "graph.h"
#include <string.h>

/* Values by id in the new graph, and dims by way of their text, the last one kept because neighbours tend to be
 * equal. */
typedef struct Copy {
	Graph *to;
	Arena *scratch;
	Value **value;
	const int64_t *bindings;
	Dim last_from, last_to;
	bool whole;                           /* everything comes along: what belongs to the imported file, too */
} Copy;

static Dim copy_poly(Copy *c, Dim d)
{
	int64_t value;
	Text t = { .arena = c->scratch };
	dim_print(&t, d);
	const char *s = t.text;
	if (!c->bindings)
		return dim_parse(c->to, &s, s + t.size);
	if (!dim_eval(d, c->bindings, &value))
		fail(graph_job(c->to), GRAFT_E_DATA,
		     "the size %s cannot be worked out: a symbol has no value, or the result is too large", s);
	return dim_const(value);
}

static Dim copy_dim(Copy *c, Dim d)
{
	if (dim_is_const(d))
		return d;
	if (!dim_same(d, c->last_from)) {
		c->last_to = copy_poly(c, d);
		c->last_from = d;
	}
	return c->last_to;
}

static const Dim *copy_dims(Copy *c, const Dim *d, uint32_t n, Arena *into)
{
	Dim *dims = NEW_ARRAY(into, n, Dim);
	for (uint32_t i = 0; i < n; i++)
		dims[i] = copy_dim(c, d[i]);
	return dims;
}

static Type copy_type(Copy *c, const Type *t, Arena *into)
{
	return (Type){ t->dtype, t->rank, copy_dims(c, t->dims, t->rank, into) };
}

static Attr copy_attr(Copy *c, Attr a)
{
	if (a.kind == ATTR_DIM)
		a.dim = copy_dim(c, a.dim);
	if (a.kind == ATTR_DIMS)
		a.dims = copy_dims(c, a.dims, a.n, c->scratch);
	return a;
}

/* A value that nothing copied makes becomes an input (a param stays one). */
static Value *copy_outer(Copy *c, const Value *v)
{
	Value *(*make)(Graph *, const char *, size_t, Type) = v->kind == VALUE_PARAM ? value_param : value_input;
	Value *made = make(c->to, v->name, strlen(v->name), copy_type(c, &v->type, &c->to->arena));
	made->data = v->data;
	made->path = v->path;
	made->meta = v->meta;
	return c->value[v->id] = made;
}

static Value *copy_size(Copy *c, const Value *v)
{
	Value **made = &c->value[v->id];
	if (!*made) {
		*made = value_size(c->to, v->name, strlen(v->name));
		(*made)->meta = v->meta;
		(*made)->section = v->section;
	}
	return *made;
}

static Value *copy_operand(Copy *c, const Value *v)
{
	if (!v)
		return NULL;
	if (v->kind == VALUE_LITERAL)
		return value_literal(c->to, v->literal);
	if (v->kind == VALUE_SIZE)
		return copy_size(c, v);
	return c->value[v->id] ? c->value[v->id] : copy_outer(c, v);
}

static const char *copy_text(Copy *c, const char *s)
{
	return s ? arena_strdup(&c->to->arena, s) : NULL;
}

static void copy_origin(Copy *c, const Node *n, Node *made)
{
	made->origin.n = n->origin.n;
	made->origin.names = NEW_ARRAY(&c->to->arena, n->origin.n, const char *);
	for (uint32_t i = 0; i < n->origin.n; i++)
		made->origin.names[i] = copy_text(c, n->origin.names[i]);
}

/* What the text of n says and makes besides, and how it is written. */
static void copy_text_of(Copy *c, const Node *n, Node *made)
{
	Value **names = NEW_ARRAY(c->scratch, n->n_names, Value *), **sizes = NEW_ARRAY(c->scratch, n->n_sizes, Value *);
	uint32_t n_names = 0;
	for (uint32_t i = 0; i < n->n_names; i++)
		names[n_names++] = copy_operand(c, n->in[n->n_in + i].value);
	for (uint32_t i = 0; i < n->n_sizes; i++)
		sizes[i] = copy_size(c, n->size[i]);
	if (n_names || n->n_sizes)
		node_names(c->to, made, names, n_names, sizes, n->n_sizes);
	made->source = n->source;
	made->unit = n->unit;
	made->places = n->places;
}

/* A known op's types follow from its operands, so only an unknown one's are copied. A tentative node becomes a plain
 * one: what it stands in for is copied as well, and nothing uses it. */
static void copy_node(Copy *c, const Node *n)
{
	bool known = op_code(n->op) != OP_unknown;
	Mark mark = arena_mark(c->scratch);
	Value **in = NEW_ARRAY(c->scratch, n->n_in, Value *);
	const char **names = NEW_ARRAY(c->scratch, n->n_out, const char *);
	Type *types = NEW_ARRAY(c->scratch, n->n_out, Type);
	Attr *attr = NEW_ARRAY(c->scratch, n->n_attr, Attr);
	for (uint32_t i = 0; i < n->n_in; i++)
		in[i] = copy_operand(c, n->in[i].value);
	for (uint32_t i = 0; i < n->n_out; i++) {
		names[i] = n->out[i]->name;
		if (!known)
			types[i] = copy_type(c, &n->out[i]->type, c->scratch);
	}
	for (uint32_t i = 0; i < n->n_attr; i++)
		attr[i] = copy_attr(c, n->attr[i]);
	Node *made = node_new(c->to, &(NodeSpec){
		.op = n->op, .name = n->name, .in = in, .n_in = n->n_in, .out_names = names,
		.types = known ? NULL : types, .n_out = n->n_out,
		.attr = attr, .attr_name = n->attr_name, .n_attr = n->n_attr, .note = n->note,
	});
	for (uint32_t i = 0; i < n->n_out; i++) {
		c->value[n->out[i]->id] = made->out[i];
		made->out[i]->meta = n->out[i]->meta;
	}
	if (c->whole)
		copy_text_of(c, n, made);
	arena_release(c->scratch, mark);
	copy_origin(c, n, made);
	made->why = copy_text(c, n->why);
	made->pure = n->pure;
	made->effects = n->effects ? arena_copy(&c->to->arena, n->effects, n->n_in) : NULL;
	made->replaces = arena_copy(&c->to->arena, n->replaces, n->n_replaces * sizeof *n->replaces);
	made->n_replaces = n->n_replaces;
}

static void copy_named_size(void *copy, Value *size)
{
	copy_size(copy, size);
}

static Copy copy_start(Job *job, const Graph *g, const int64_t *bindings)
{
	Graph *to = graph_new(job, g->ctx, g->name);
	Copy c = { .to = to, .scratch = &job->scratch, .value = NEW_ARRAY(&job->scratch, g->next_value, Value *),
	           .bindings = bindings };
	if (g->document)
		graph_hold(to, g->document);
	to->weights = copy_text(&c, g->weights);
	to->unread = copy_text(&c, g->unread);
	to->file = copy_text(&c, g->file);
	to->torch_op = copy_text(&c, g->torch_op);
	for (const Symbol *s = bindings ? NULL : g->symbols; s; s = s->next)
		symbol_add(to, s->name, strlen(s->name), s->min, s->max);
	return c;
}

Graph *graph_bound(Job *job, const Graph *g, const int64_t *bindings)
{
	Copy c = copy_start(job, g, bindings);
	c.whole = !bindings;
	for (uint32_t i = 0; i < g->n_inputs; i++)
		copy_outer(&c, g->inputs[i]);
	for (uint32_t i = 0; i < g->n_params; i++)
		copy_outer(&c, g->params[i]);
	for (const Node *n = g->first; n; n = n->next)
		if (c.whole || !n->note)
			copy_node(&c, n);
	for (uint32_t i = 0; i < g->n_outputs; i++)
		graph_output(c.to, g->outputs[i]->name, c.value[g->outputs[i]->use.value->id]);
	if (c.whole)
		graph_sizes(g, copy_named_size, &c);
	for (const Pin *p = c.whole ? g->pins : NULL; p; p = p->next)
		graph_pin(c.to, copy_operand(&c, p->use.value), p->place);
	return c.to;
}

Graph *graph_copy(Job *job, const Graph *g)
{
	return graph_bound(job, g, NULL);
}

static bool leaves(const Value *v, uint32_t mark)
{
	for (const Use *u = v->uses; u; u = u->next)
		if (!u->node || u->node->mark != mark)
			return true;
	return !v->uses;
}

Graph *graph_extract(Job *job, const Graph *g, uint32_t mark)
{
	Copy c = copy_start(job, g, NULL);
	for (const Node *n = g->first; n; n = n->next)
		if (n->mark == mark && !n->note)
			copy_node(&c, n);
	for (const Node *n = g->first; n; n = n->next)
		for (uint32_t i = 0; n->mark == mark && i < n->n_out; i++)
			if (leaves(n->out[i], mark))
				graph_output(c.to, n->out[i]->name, c.value[n->out[i]->id]);
	return c.to;
}

void graph_become(Graph *g, Graph *from)
{
	Arena own = g->arena, other = from->arena;
	Graph **tie = g->tie;
	*g = *from;
	g->tie = tie;
	g->arena = own;
	arena_adopt(&g->arena, &other);
}
