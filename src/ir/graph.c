/* graph.c - making graphs, values and nodes; names and use lists. Order is in order.c. */
#include "graph.h"
#include "order.h"
#include "shape.h"
#include <assert.h>
#include <string.h>

/* ---- names: open addressing, at most half full; hashes stand apart, so that a search seldom looks at a name ---- */

typedef struct NameTable { Value **slot; uint32_t *hash; size_t n, size; } NameTable;

static uint32_t hash_name(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 29);
}

/* The slot that holds this name, or the free one where it belongs. */
static Value **name_slot(const NameTable *t, const char *s, size_t n)
{
	uint32_t h = hash_name(s, n);
	size_t i = h & (t->size - 1);
	while (t->slot[i] && (t->hash[i] != h || strncmp(t->slot[i]->name, s, n) || t->slot[i]->name[n]))
		i = (i + 1) & (t->size - 1);
	return &t->slot[i];
}

/* For a name that is in no slot. */
static void name_put(NameTable *t, Value *v, uint32_t h)
{
	size_t i = h & (t->size - 1);
	while (t->slot[i])
		i = (i + 1) & (t->size - 1);
	t->slot[i] = v;
	t->hash[i] = h;
}

static void names_grow(Graph *g)
{
	NameTable *t = g->names, grown = { .n = t->n, .size = t->size ? t->size * 2 : 64 };
	grown.slot = NEW_ARRAY(&g->arena, grown.size, Value *);
	grown.hash = NEW_ARRAY(&g->arena, grown.size, uint32_t);
	for (size_t i = 0; i < t->size; i++)
		if (t->slot[i])
			name_put(&grown, t->slot[i], t->hash[i]);
	*t = grown;
}

/* Closes the gap, so that later names of the same run of slots are still found. */
static void name_remove(Graph *g, const Value *v)
{
	NameTable *t = g->names;
	size_t gap = (size_t)(name_slot(t, v->name, strlen(v->name)) - t->slot);
	assert(t->slot[gap] == v);
	t->slot[gap] = NULL;
	t->n--;
	for (size_t i = (gap + 1) & (t->size - 1); t->slot[i]; i = (i + 1) & (t->size - 1)) {
		Value *moved = t->slot[i];
		t->slot[i] = NULL;
		name_put(t, moved, t->hash[i]);
	}
}

static void name_add(Graph *g, Value *v, const char *name, size_t n)
{
	NameTable *t = g->names;
	if (t->size < 2 * (t->n + 1))
		names_grow(g);
	Value **slot = name_slot(t, name, n);
	if (!n || memchr(name, 0, n))
		fail(graph_job(g), GRAFT_E_GRAPH, "a value's name must be a text that is not empty and holds no NUL");
	if (*slot)
		fail(graph_job(g), GRAFT_E_GRAPH, "'%s' is defined twice; every value needs a name of its own",
		     (*slot)->name);
	v->name = arena_strndup(&g->arena, name, n);
	name_put(t, v, hash_name(name, n));
	t->n++;
}

static Value *name_holder(const Graph *g, const char *name, size_t n)
{
	return g->names->size && !memchr(name, 0, n) ? *name_slot(g->names, name, n) : NULL;
}

Value *value_find(const Graph *g, const char *name, size_t n)
{
	Value *v = name_holder(g, name, n);
	return v && v->kind != VALUE_SIZE ? v : NULL;
}

bool name_taken(const Graph *g, const char *name)
{
	return name_holder(g, name, strlen(name)) || (g->ahead && g->ahead(g->reader, name));
}

const char *name_fresh(Graph *g, const char *stem)
{
	if (!name_taken(g, stem))
		return stem;
	for (uint32_t i = 1;; i++) {
		/* past the first few, start where a number is likely to be free */
		char *name = arena_printf(&g->arena, "%s_%u", stem, i <= 4 ? i : g->next_value + i);
		if (!name_taken(g, name))
			return name;
	}
}

void value_take_name(Graph *g, Value *v, Value *from)
{
	Value **a = name_slot(g->names, v->name, strlen(v->name));
	Value **b = name_slot(g->names, from->name, strlen(from->name));
	const char *name = v->name;
	assert(*a == v && *b == from);
	v->name = from->name;
	from->name = name;
	*a = from;
	*b = v;
}

/* ---- graphs ---- */

static void free_tied(void *tie)
{
	graph_free(*(Graph **)tie);
}

Graph *graph_new(Job *job, graft_context *ctx, const char *name)
{
	Graph **tie = NEW(&job->scratch, Graph *);
	arena_undo(&job->scratch, free_tied, tie);
	Arena a;
	arena_init(&a, context_allocator(ctx), job);
	Graph *g = NEW(&a, Graph);
	g->arena = a;
	g->tie = tie;
	*tie = g;
	g->ctx = ctx;
	g->name = arena_strdup(&g->arena, name);
	g->names = NEW(&g->arena, NameTable);
	return g;
}

Graph *graph_release(Graph *g)
{
	*g->tie = NULL;
	g->tie = NULL;
	g->arena.job = NULL;
	return g;
}

void graph_free(Graph *g)
{
	if (!g)
		return;
	Arena a = g->arena;
	arena_free(&a);
}

static void drop(void *document)
{
	Document *d = document;
	if (__atomic_sub_fetch(&d->holders, 1, __ATOMIC_ACQ_REL))
		return;
	Arena a = d->arena;
	arena_free(&a);
}

void graph_hold(Graph *g, Document *d)
{
	assert(!g->document);
	__atomic_add_fetch(&d->holders, 1, __ATOMIC_RELAXED);
	arena_undo(&g->arena, drop, d);
	g->document = d;
}

typedef struct Visit { Graph *g; Job *before; } Visit;

static void leave(void *visit)
{
	Visit *v = visit;
	v->g->arena.job = v->before;
}

void graph_enter(Graph *g, Job *job)
{
	Visit *v = NEW(&job->scratch, Visit);
	*v = (Visit){ g, g->arena.job };
	g->arena.job = job;
	arena_undo(&job->scratch, leave, v);
}

/* ---- values ---- */

static void check_type(Graph *g, const char *name, size_t n, const Type *type)
{
	const char *wrong = type_wrong(g, type);
	if (wrong)
		fail_at(graph_job(g), GRAFT_E_GRAPH, arena_strndup(&g->arena, name, n), "the type given has %s", wrong);
}

static Value *value_new(Graph *g, ValueKind kind, const char *name, size_t n, Type type)
{
	if (kind == VALUE_INPUT || kind == VALUE_PARAM)
		check_type(g, name, n, &type);
	Value *v = NEW(&g->arena, Value);
	v->kind = kind;
	v->type = type;
	v->id = g->next_value++;
	v->name = "";
	if (kind != VALUE_LITERAL)
		name_add(g, v, name, n);
	return v;
}

Value *value_size(Graph *g, const char *name, size_t n)
{
	return value_new(g, VALUE_SIZE, name, n, (Type){ .dtype = GRAFT_DTYPE_i64 });
}

Value *value_input(Graph *g, const char *name, size_t n, Type type)
{
	Value *v = value_new(g, VALUE_INPUT, name, n, type);
	g->inputs = arena_grow(&g->arena, g->inputs, g->n_inputs, &g->cap_inputs, sizeof *g->inputs);
	v->index = g->n_inputs;
	g->inputs[g->n_inputs++] = v;
	return v;
}

Value *value_param(Graph *g, const char *name, size_t n, Type type)
{
	Value *v = value_new(g, VALUE_PARAM, name, n, type);
	g->params = arena_grow(&g->arena, g->params, g->n_params, &g->cap_params, sizeof *g->params);
	v->index = g->n_params;
	g->params[g->n_params++] = v;
	return v;
}

Value *value_literal(Graph *g, Attr literal)
{
	graft_dtype dtype = literal.kind == ATTR_BOOL ? GRAFT_DTYPE_bool
	                  : literal.kind == ATTR_INT ? GRAFT_DTYPE_i64 : GRAFT_DTYPE_f64;
	assert(literal.kind == ATTR_BOOL || literal.kind == ATTR_INT || literal.kind == ATTR_FLOAT);
	Value *v = value_new(g, VALUE_LITERAL, NULL, 0, (Type){ .dtype = dtype });
	v->literal = literal;
	return v;
}

void graph_sizes(const Graph *g, void (*visit)(void *user, Value *size), void *user)
{
	for (size_t i = 0; i < g->names->size; i++)
		if (g->names->slot[i] && g->names->slot[i]->kind == VALUE_SIZE)
			visit(user, g->names->slot[i]);
}

/* ---- uses ---- */

static void use_link(Use *u, Value *v)
{
	u->value = v;
	if (!v)
		return;
	u->next = v->uses;
	u->link = &v->uses;
	if (v->uses)
		v->uses->link = &u->next;
	v->uses = u;
}

static void use_unlink(Use *u)
{
	if (!u->value)
		return;
	*u->link = u->next;
	if (u->next)
		u->next->link = u->link;
	u->value = NULL;
}

static void use_set(Use *u, Value *v)
{
	use_unlink(u);
	use_link(u, v);
}

bool value_used(const Value *v)
{
	for (const Use *u = v->uses; u; u = u->next)
		if (use_counts(u))
			return true;
	return false;
}

void graph_pin(Graph *g, Value *v, const char *place)
{
	Pin *p = NEW(&g->arena, Pin);
	*p = (Pin){ .use = { .pin = true }, .place = place, .next = g->pins };
	use_link(&p->use, v);
	g->pins = p;
}

bool value_kept(const Value *v)
{
	for (const Use *u = v->uses; u; u = u->next)
		if (!u->node)
			return true;
	return false;
}

bool value_pinned(const Value *v)
{
	for (const Use *u = v->uses; u; u = u->next)
		if (u->pin)
			return true;
	return false;
}

/* Outputs by name, as values are; an output is never removed. */
typedef struct OutputTable { Output **slot; size_t size; } OutputTable;

static Output **output_slot(const OutputTable *t, const char *name)
{
	size_t i = hash_name(name, strlen(name)) & (t->size - 1);
	while (t->slot[i] && strcmp(t->slot[i]->name, name))
		i = (i + 1) & (t->size - 1);
	return &t->slot[i];
}

static OutputTable *output_names(Graph *g)
{
	OutputTable *t = g->output_names ? g->output_names : (g->output_names = NEW(&g->arena, OutputTable));
	if (t->size < 2 * ((size_t)g->n_outputs + 1)) {
		t->size = t->size ? t->size * 2 : 16;
		t->slot = NEW_ARRAY(&g->arena, t->size, Output *);
		for (uint32_t i = 0; i < g->n_outputs; i++)
			*output_slot(t, g->outputs[i]->name) = g->outputs[i];
	}
	return t;
}

Output *graph_output(Graph *g, const char *name, Value *v)
{
	Output **slot = output_slot(output_names(g), name);
	if (*slot)
		fail(graph_job(g), GRAFT_E_GRAPH, "there are two graph outputs called '%s'", name);
	if (v->kind == VALUE_LITERAL)
		fail(graph_job(g), GRAFT_E_GRAPH, "graph output '%s' must be a value, not a literal", name);
	g->outputs = arena_grow(&g->arena, g->outputs, g->n_outputs, &g->cap_outputs, sizeof *g->outputs);
	Output *o = NEW(&g->arena, Output);
	o->name = arena_strdup(&g->arena, name);
	use_link(&o->use, v);
	g->outputs[g->n_outputs++] = o;
	*slot = o;
	return o;
}

/* writer NULL: all of them. */
static void replace_uses(Graph *g, Value *old, Value *by, const Node *writer)
{
	assert(old != by && type_eq(g, &old->type, &by->type) == YES);
	bool early = false;
	for (Use *u = old->uses, *next; u; u = next) {
		next = u->next;
		if (u->node && old->def && old->def->unit && u->node->source == old->def->source)
			continue;
		if (u->node && writer && u->node->pos <= writer->pos)
			continue;
		early |= u->node && by->def && u->node->pos < by->def->pos;
		use_set(u, by);
	}
	g->rewrites++;
	if (early)
		order_repair(g, by->def);
}

void value_replace(Graph *g, Value *old, Value *by)
{
	replace_uses(g, old, by, NULL);
}

void value_replace_written(Graph *g, Value *old, Value *by, const Node *writer)
{
	replace_uses(g, old, by, writer);
}

/* ---- nodes ---- */

const char *node_label(const Node *n)
{
	return n->n_out ? n->out[0]->name : n->name;
}

/* "1 operand", "1 to 2 operands", "at least 1 operand" */
static const char *range_text(Graph *g, unsigned min, unsigned max, const char *what)
{
	const char *s = max == 1 ? "" : "s";
	if (max == MANY)
		return arena_printf(&g->arena, "at least %u %s", min, what);
	if (min == max)
		return arena_printf(&g->arena, "%u %s%s", min, what, s);
	return arena_printf(&g->arena, "%u to %u %ss", min, max, what);
}

static void check_arity(Graph *g, const NodeSpec *s)
{
	const Op *op = s->op;
	if (op_code(op) == OP_unknown)
		return;
	if (s->n_in < op->in_min || (op->in_max != MANY && s->n_in > op->in_max))
		fail(graph_job(g), GRAFT_E_GRAPH, "%s takes %s%s%s%s, found %u", op->name,
		     range_text(g, op->in_min, op->in_max, "operand"), *op->operands ? " (" : "", op->operands,
		     *op->operands ? ")" : "", s->n_in);
	if (s->n_out < op->out_min || (op->out_max != MANY && s->n_out > op->out_max))
		fail(graph_job(g), GRAFT_E_GRAPH, "%s makes %s, found %u", op->name,
		     range_text(g, op->out_min, op->out_max, "result"), s->n_out);
	for (uint32_t i = 0; i < s->n_in && i < op->in_min; i++)
		if (!s->in[i])
			fail(graph_job(g), GRAFT_E_GRAPH, "%s needs its operand %u (of %s), found none", op->name, i,
			     op->operands);
}

static Attr attr_copy(Graph *g, Attr a)
{
	if (a.kind == ATTR_STRING)
		a.s = arena_strdup(&g->arena, a.s);
	else if (a.kind == ATTR_DIMS)
		a.dims = arena_copy(&g->arena, a.dims, a.n * sizeof *a.dims);
	else if (a.kind == ATTR_AXES)
		a.ints = arena_copy(&g->arena, a.ints, a.n * sizeof *a.ints);
	else if (a.kind == ATTR_LIST) {
		Attr *list = NEW_ARRAY(&g->arena, a.n, Attr);
		for (uint32_t i = 0; i < a.n; i++)
			list[i] = attr_copy(g, a.list[i]);
		a.list = list;
	}
	return a;
}

static void set_known_attrs(Graph *g, Node *n, const Attr *given)
{
	n->n_attr = n->op->n_attrs;
	n->attr = NEW_ARRAY(&g->arena, n->n_attr, Attr);
	for (uint32_t i = 0; i < n->n_attr; i++) {
		const AttrSpec *spec = &n->op->attrs[i];
		if (given && given[i].kind != ATTR_NONE) {
			assert(given[i].kind == spec->kind);
			n->attr[i] = attr_copy(g, given[i]);
		} else if (spec->fallback) {
			attr_default(g, spec, &n->attr[i]);
		} else {
			fail(graph_job(g), GRAFT_E_GRAPH, "%s needs its attribute '%s' (%s)", n->op->name, spec->name,
			     attr_kind_name(spec->kind));
		}
	}
}

static void set_unknown_attrs(Graph *g, Node *n, const NodeSpec *s)
{
	n->n_attr = s->n_attr;
	n->attr = NEW_ARRAY(&g->arena, s->n_attr, Attr);
	n->attr_name = NEW_ARRAY(&g->arena, s->n_attr, const char *);
	for (uint32_t i = 0; i < s->n_attr; i++) {
		n->attr[i] = attr_copy(g, s->attr[i]);
		n->attr_name[i] = arena_strdup(&g->arena, s->attr_name[i]);
	}
}

static Type type_copy(Graph *g, const Type *t)
{
	return (Type){ t->dtype, t->rank, arena_copy(&g->arena, t->dims, t->rank * sizeof *t->dims) };
}

static bool declared(const NodeSpec *s, uint32_t i)
{
	return s->types && s->types[i].dtype != GRAFT_DTYPE_COUNT;
}

static const char *type_text(Graph *g, const Type *t)
{
	Text text = { .arena = &g->arena };
	type_print(&text, t);
	return text.text;
}

/* Types of the outputs: by the shape rule, and equal to what was declared; an unknown op's must be declared. */
static void node_types(Graph *g, const Node *n, const NodeSpec *s, Type *out)
{
	if (n->op->infer)
		node_infer(g, n, out, s->n_out);
	for (uint32_t i = 0; i < s->n_out; i++) {
		if (!n->op->infer && !declared(s, i))
			fail_at(graph_job(g), GRAFT_E_GRAPH, s->out_names ? s->out_names[i] : NULL,
			        "%s is not an op graft knows, so the types of its results must be given", n->name);
		if (!n->op->infer)
			check_type(g, n->name, strlen(n->name), &s->types[i]);
		if (!n->op->infer)
			out[i] = type_copy(g, &s->types[i]);
		else if (declared(s, i) && type_eq(g, &out[i], &s->types[i]) != YES)
			fail_at(graph_job(g), GRAFT_E_GRAPH, s->out_names ? s->out_names[i] : NULL,
			        "the graph says %s, but %s gives %s", type_text(g, &s->types[i]), n->name,
			        type_text(g, &out[i]));
	}
}

static Value *result_new(Graph *g, Node *n, uint32_t i, const char *name, Type type)
{
	if (!name)
		name = name_fresh(g, n->op->out_max == 1 ? n->name : arena_printf(&g->arena, "%s_%u", n->name, i));
	Value *v = value_new(g, VALUE_RESULT, name, strlen(name), type);
	v->def = n;
	v->index = i;
	return v;
}

Node *node_new(Graph *g, const NodeSpec *s)
{
	check_arity(g, s);
	Node *n = NEW(&g->arena, Node);
	n->op = s->op;
	n->name = s->name && op_code(s->op) == OP_unknown ? arena_strdup(&g->arena, s->name) : s->op->name;
	n->note = s->note;
	n->n_in = s->n_in;
	n->in = NEW_ARRAY(&g->arena, s->n_in, Use);
	for (uint32_t i = 0; i < s->n_in; i++)
		n->in[i] = (Use){ .value = s->in[i], .node = n };
	if (op_code(s->op) == OP_unknown)
		set_unknown_attrs(g, n, s);
	else
		set_known_attrs(g, n, s->attr);
	Arena *scratch = &graph_job(g)->scratch;
	Mark mark = arena_mark(scratch);
	Type *types = NEW_ARRAY(scratch, s->n_out, Type);
	node_types(g, n, s, types);
	n->n_out = s->n_out;
	n->out = NEW_ARRAY(&g->arena, s->n_out, Value *);
	for (uint32_t i = 0; i < s->n_out; i++)
		n->out[i] = result_new(g, n, i, s->out_names ? s->out_names[i] : NULL, types[i]);
	arena_release(scratch, mark);
	for (uint32_t i = 0; i < s->n_in; i++)
		use_link(&n->in[i], s->in[i]);
	n->id = g->next_id++;
	n->pass = g->pass;
	order_insert(g, n, s->before, s->inside);
	g->n_nodes++;
	g->n_notes += n->note;
	g->rewrites++;
	return n;
}

void node_names(Graph *g, Node *n, Value *const *names, uint32_t n_names, Value *const *sizes, uint32_t n_sizes)
{
	assert(!n->n_names && !n->n_sizes);
	Use *in = NEW_ARRAY(&g->arena, (size_t)n->n_in + n_names, Use);
	for (uint32_t i = 0; i < n->n_in + n_names; i++) {
		Value *v = i < n->n_in ? n->in[i].value : names[i - n->n_in];
		in[i].node = n;
		if (i < n->n_in)
			use_unlink(&n->in[i]);
		use_link(&in[i], v);
	}
	n->in = in;
	n->n_names = n_names;
	n->size = arena_copy(&g->arena, sizes, n_sizes * sizeof *sizes);
	n->n_sizes = n_sizes;
	for (uint32_t i = 0; i < n_sizes; i++)
		n->size[i]->def = n;
}

void node_forget_names(Node *n)
{
	for (uint32_t i = 0; i < n->n_names; i++)
		use_unlink(&n->in[n->n_in + i]);
}

void node_remove(Graph *g, Node *n)
{
	for (uint32_t i = 0; i < n->n_out; i++) {
		assert(!n->out[i]->uses);
		name_remove(g, n->out[i]);
	}
	for (uint32_t i = 0; i < n->n_sizes; i++) {
		assert(!n->size[i]->uses);
		n->size[i]->def = NULL;
	}
	for (uint32_t i = 0; i < n->n_in + n->n_names; i++)
		use_unlink(&n->in[i]);
	order_remove(g, n);
	n->dead = true;
	n->pass = g->pass;
	n->gone = g->gone;
	g->gone = n;
	g->n_nodes--;
	g->n_notes -= n->note;
	g->rewrites++;
}

uint32_t graph_mark(Graph *g)
{
	return ++g->mark;
}

unsigned node_effect(const Node *n, uint32_t operand)
{
	if (n->note || operand >= n->n_in)
		return 0;
	if (op_code(n->op) == OP_unknown)
		return n->pure ? 0 : n->effects ? n->effects[operand] : MAY_WRITE | MAY_SHARE;
	if (operand || n->op->effect == PURE || n->op->effect == ASSERTS)
		return 0;
	return n->op->effect == WRITES ? MAY_WRITE | MAY_SHARE : MAY_SHARE;
}

bool declared_name_fits(const char *op)
{
	const char *colons = strstr(op, "::");
	return colons && colons != op && colons[2] && !strpbrk(op, ". \t") && !strchr(colons + 2, ':');
}

/* Is "_C.rms_norm.default" an overload of "_C::rms_norm"? */
static bool is_overload(const char *name, const char *op)
{
	size_t space = strcspn(op, ":"), rest = strlen(op + space + 2);
	if (strncmp(name, op, space) || name[space] != '.' || strncmp(name + space + 1, op + space + 2, rest))
		return false;
	char end = name[space + 1 + rest];
	return !end || end == '.';
}

/* The op that a node functionalises; NULL: it does not. */
static const char *functionalised(const Node *n)
{
	const Attr *op = strncmp(n->name, "higher_order.auto_functionalized", 32) ? NULL : node_attr_named(n, "arg0");
	return op && op->kind == ATTR_STRING ? op->s : NULL;
}

void node_declare(Graph *g, Node *n, const Declared *d)
{
	const char *inner = op_code(n->op) == OP_unknown && !n->note ? functionalised(n) : NULL;
	if (inner && is_overload(inner, d->op))
		n->pure = true;
	if (op_code(n->op) != OP_unknown || n->note || !is_overload(n->name, d->op))
		return;
	n->pure = d->pure;
	uint8_t *effects = NEW_ARRAY(&g->arena, n->n_in, uint8_t);
	for (uint32_t i = 0; i < n->n_in; i++)
		effects[i] = i < 64 && d->writes >> i & 1 ? MAY_WRITE | MAY_SHARE : 0;
	n->effects = effects;
}

void graph_declare(Graph *g, const Declared *d)
{
	for (Node *n = g->first; n; n = n->next)
		node_declare(g, n, d);
}

bool node_writes(const Node *n)
{
	for (uint32_t i = 0; i < n->n_in; i++)
		if (n->in[i].value && n->in[i].value->kind != VALUE_LITERAL && (node_effect(n, i) & MAY_WRITE))
			return true;
	return false;
}

bool node_is_pure(const Node *n)
{
	if (n->note)
		return n->n_sizes;
	if (op_code(n->op) == OP_unknown)
		return n->pure;
	return n->op->effect != WRITES && n->op->effect != ASSERTS;
}

bool graph_writes(const Graph *g)
{
	for (const Node *n = g->first; n; n = n->next)
		if (node_writes(n))
			return true;
	return false;
}

const Attr *node_attr_named(const Node *n, const char *name)
{
	for (uint32_t i = 0; i < n->n_attr; i++)
		if (!strcmp(n->attr_name ? n->attr_name[i] : n->op->attrs[i].name, name))
			return &n->attr[i];
	return NULL;
}
