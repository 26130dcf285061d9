/* replace.c - checks a whole match against what it would become, then changes the graph. Nothing is changed before
 * every check stands. */
#include "match.h"
#include "piece.h"
#include "../ir/shape.h"
#include "../probe/probe.h"
#include <assert.h>
#include <string.h>

/* One line of emit, made up outside the graph: enough of a node for the shape rule and the kernel to judge. */
typedef struct Draft {
	Node node;
	Type *types;
	struct Draft *next;
} Draft;

/* ---- drafts ---- */

static Value *bound_or_made(const Match *m, Value *const *made, int name)
{
	return made[name] ? made[name] : m->s.value[name];
}

/* A constant in an operand's place. */
static Attr scalar_arg(const Match *m, const Arg *a)
{
	return a->kind == ARG_NUMBER ? a->number : m->s.attr[a->name];
}

/* What emit says about attribute k of those it names. */
static Attr named_attr(const Match *m, const AttrArg *a)
{
	return a->name < 0 ? a->literal : m->s.attr[a->name];
}

/* What emit says about attribute i; NONE: nothing. An integer does where a float is wanted. */
static Attr emit_attr(const Match *m, const Term *t, int i)
{
	for (int k = 0; k < t->n_attr; k++) {
		if (t->attr[k].index != i)
			continue;
		Attr a = named_attr(m, &t->attr[k]);
		if (a.kind == ATTR_INT && t->op->attrs[i].kind == ATTR_FLOAT)
			a = (Attr){ .kind = ATTR_FLOAT, .f = (double)a.i };
		return a;
	}
	return (Attr){ .kind = ATTR_NONE };
}

/* A constant of the graph that becomes an attribute may be of a kind that the attribute is not. */
static bool attrs_stand(Match *m, const Term *t)
{
	for (int i = 0; i < t->op->n_attrs; i++) {
		Attr a = emit_attr(m, t, i);
		const AttrSpec *spec = &t->op->attrs[i];
		if (a.kind != ATTR_NONE && a.kind != spec->kind)
			return refuse(m, "attribute", "%s of %s would be a %s, wanted a %s", spec->name, t->op->name,
			              attr_kind_name(a.kind), attr_kind_name(spec->kind));
	}
	return true;
}

static Value *draft_value(Match *m, Type type)
{
	Value *v = NEW(m->run->scratch, Value);
	v->type = type;
	return v;
}

static Value *draft_arg(Match *m, Value *const *made, const Arg *a)
{
	if (a->kind == ARG_VALUE)
		return bound_or_made(m, made, a->name);
	Attr literal = scalar_arg(m, a);
	Value *v = draft_value(m, (Type){ .dtype = literal.kind == ATTR_BOOL ? GRAFT_DTYPE_bool
	                                         : literal.kind == ATTR_INT ? GRAFT_DTYPE_i64 : GRAFT_DTYPE_f64 });
	v->kind = VALUE_LITERAL;
	v->literal = literal;
	return v;
}

static Value *draft_out(Match *m, Node *n, int name)
{
	Value *v = draft_value(m, (Type){ .dtype = GRAFT_DTYPE_COUNT });
	v->name = m->p->line_of[name] >= 0 ? m->s.value[name]->name : m->p->name[name];
	v->def = n;
	return v;
}

static void draft_attrs(Match *m, Node *n, const Term *t)
{
	Arena *a = m->run->scratch;
	bool known = op_code(t->op) != OP_unknown;
	n->n_attr = (uint32_t)(known ? t->op->n_attrs : t->n_attr);
	n->attr = NEW_ARRAY(a, n->n_attr, Attr);
	n->attr_name = known ? NULL : NEW_ARRAY(a, n->n_attr, const char *);
	for (int i = 0; i < (int)n->n_attr; i++) {
		n->attr[i] = known ? emit_attr(m, t, i) : named_attr(m, &t->attr[i]);
		if (!known)
			n->attr_name[i] = t->attr[i].key;
		else if (n->attr[i].kind == ATTR_NONE && t->op->attrs[i].fallback)
			attr_default(m->run->g, &t->op->attrs[i], &n->attr[i]);
	}
}

static Draft *draft_line(Match *m, Value *const *made, const Line *l)
{
	Arena *a = m->run->scratch;
	const Term *t = l->term;
	Draft *d = NEW(a, Draft);
	Node *n = &d->node;
	n->op = t->op;
	n->name = t->name;
	n->n_in = (uint32_t)t->n_in;
	n->in = NEW_ARRAY(a, n->n_in, Use);
	for (uint32_t i = 0; i < n->n_in; i++)
		n->in[i] = (Use){ .value = draft_arg(m, made, &t->in[i]), .node = n };
	draft_attrs(m, n, t);
	n->n_out = (uint32_t)l->n_out;
	d->types = NEW_ARRAY(a, n->n_out, Type);
	n->out = NEW_ARRAY(a, n->n_out, Value *);
	for (uint32_t i = 0; i < n->n_out; i++)
		n->out[i] = draft_out(m, n, l->out[i]);
	return d;
}

typedef struct Inference { Graph *g; const Node *node; Type *out; } Inference;

static void infer_body(Job *job, void *arg)
{
	Inference *i = arg;
	graph_enter(i->g, job);
	node_infer(i->g, i->node, i->out, i->node->n_out);
}

/* What an op that graft does not know makes is what it replaces. */
static void root_types(const Match *m, const Line *l, Draft *d)
{
	for (int i = 0; i < l->n_out; i++)
		d->types[i] = m->s.value[l->out[i]]->type;
}

/* The shape rule's own words when it does not take the operands. */
static bool draft_types(Match *m, const Line *l, Draft *d)
{
	if (!d->node.op->infer) {
		root_types(m, l, d);
		return true;
	}
	Graph *g = m->run->g;
	graft_error err;
	Inference i = { g, &d->node, d->types };
	graft_status status = guarded(context_allocator(g->ctx), infer_body, &i, &err);
	if (status == GRAFT_OK)
		return true;
	if (status != GRAFT_E_GRAPH)
		fail_again(graph_job(g), &err);
	return refuse(m, "type", "%s", err.message);
}

static const char *type_words(Match *m, const Type *type)
{
	Text t = { .arena = m->run->scratch };
	type_print(&t, type);
	return t.text;
}

static bool same_type(Match *m, const Value *root, const Type *type)
{
	return type_eq(m->run->g, &root->type, type) == YES ||
	       refuse(m, "type", "'%s' is %s, its replacement would be %s", root->name, type_words(m, &root->type),
	              type_words(m, type));
}

/* ---- can the target call it ---- */

static bool kernel_covers(Match *m, const Draft *d)
{
	PassRun *run = m->run;
	const Node *n = &d->node;
	if (!run->kernel || strcmp(n->op->name, run->kernel))
		return true;
	Type *types = NEW_ARRAY(run->scratch, n->n_in, Type);
	Dim *strides = NEW_ARRAY(run->scratch, n->n_in, Dim);
	for (uint32_t i = 0; i < n->n_in; i++) {
		Value *v = n->in[i].value;
		types[i] = v ? v->type : (Type){ .dtype = GRAFT_DTYPE_COUNT };
		strides[i] = v ? piece_row_stride(run->g, v) : dim_const(0);
	}
	Answer a = target_node(run->target, run->g, n->op, types, n->n_in, n->attr, strides, run->scratch);
	return a.available || refuse(m, "kernel", "%s", a.reason);
}

/* ---- storage ---- */

static bool only_views(const Match *m)
{
	for (int i = 0; i < m->p->n_places; i++)
		if (m->s.node[i] && m->s.node[i]->op->effect != VIEW)
			return false;
	return true;
}

static const Node *first_matched(const Match *m)
{
	const Node *first = NULL;
	for (int i = 0; i < m->p->n_places; i++)
		if (m->s.node[i] && (!first || m->s.node[i]->pos < first->pos))
			first = m->s.node[i];
	return first;
}

static Node *root_node(const Match *m, int i)
{
	return m->s.node[m->p->line_of[m->p->root[i]]];
}

static Node *last_root(const Match *m)
{
	Node *last = root_node(m, 0);
	for (int i = 1; i < m->p->n_roots; i++)
		if (root_node(m, i)->pos > last->pos)
			last = root_node(m, i);
	return last;
}

/* What it writes is what the match makes of it (writes_stand), no write that is in the way. */
static bool is_own_write(const Match *m, const Node *n)
{
	return m->p->writes && n == root_node(m, 0);
}

static bool writes_class(const Match *m, const Node *n, uint32_t class)
{
	if (is_own_write(m, n))
		return false;
	for (uint32_t i = 0; i < n->n_in; i++)
		if ((node_effect(n, i) & MAY_WRITE) && n->in[i].value && n->in[i].value->kind != VALUE_LITERAL &&
		    alias_class(m->alias, n->in[i].value) == class)
			return true;
	return false;
}

/* "_C::rms_norm" of "_C.rms_norm.default". */
static const char *declared_name(const Match *m, const Node *n)
{
	const char *dot = strchr(n->name, '.');
	size_t space = dot ? (size_t)(dot - n->name) : strlen(n->name);
	const char *name = dot ? dot + 1 : "";
	return arena_printf(m->run->scratch, "%.*s::%.*s", (int)space, n->name, (int)strcspn(name, "."), name);
}

static const char *writing(const Node *n)
{
	return op_code(n->op) == OP_unknown && !n->effects ? "is not known to graft and may write" : "writes";
}

static const char *what_to_do(Match *m, const Node *n)
{
	return op_code(n->op) == OP_unknown && !n->effects && strchr(n->name, '.') ?
		arena_printf(m->run->scratch, "; if it does not, say --pure %s", declared_name(m, n)) : "";
}

/* The replacement reads where the last root stands what the match read from its first node on: no write may lie
 * between. */
static bool reads_stand(Match *m, const Value *v)
{
	if (!v || v->kind == VALUE_LITERAL || !alias_written(m->alias, v))
		return true;
	uint32_t class = alias_class(m->alias, v);
	const Node *last = last_root(m);
	for (const Node *n = first_matched(m); n != last; n = n->next)
		if (writes_class(m, n, class))
			return refuse(m, "hazard", "%s '%s' %s the storage of '%s', which is read before and after%s",
			              n->name, node_label(n), writing(n), v->name, what_to_do(m, n));
	return true;
}

/* The same for what is between: a matched value that was written since is not what its node made. */
static bool inner_reads_stand(Match *m)
{
	for (int i = 0; i < m->p->n_places; i++) {
		const Node *n = m->s.node[i];
		for (uint32_t k = 0; n && k < n->n_in; k++)
			if (!reads_stand(m, n->in[k].value))
				return false;
	}
	return true;
}

/* A replaced value whose storage is written would take its writers along. Where all is views, storage stays what it
 * was. */
static bool storage_stands(Match *m, Value *const *operands, uint32_t n)
{
	if (!m->alias || only_views(m))
		return true;
	for (int i = 0; i < m->p->n_roots && !m->p->writes; i++) {
		const Value *v = m->s.value[m->p->root[i]];
		if (alias_written(m->alias, v))
			return refuse(m, "hazard", "the storage of '%s' is written in place", v->name);
	}
	for (uint32_t i = 0; i < n; i++)
		if (!reads_stand(m, operands[i]))
			return false;
	if (!inner_reads_stand(m))
		return false;
	for (int i = 0; i < m->p->n_emit; i++) {
		const Line *l = &m->p->emit[i];
		if (!l->term && alias_written(m->alias, m->s.value[l->same]))
			return refuse(m, "hazard", "the storage of '%s' is written in place",
			              m->s.value[l->same]->name);
	}
	return true;
}

/* ---- what graft does not know ---- */

/* A node that goes must do no more than make what is replaced. */
static bool does_no_more(Match *m)
{
	for (int i = 0; i < m->p->n_roots && !m->p->writes; i++) {
		const Node *n = root_node(m, i);
		if (op_code(n->op) == OP_unknown && !node_is_pure(n))
			return refuse(m, "hazard", "%s '%s' is not known to graft and may do more; if it does not, say "
			              "'pure %s'", n->name, node_label(n), declared_name(m, n));
	}
	return true;
}

/* Has nothing else this storage, where v is made? */
static bool is_fresh(const Value *v)
{
	const Node *n = v->def;
	if (!n || n->n_out != 1 || (op_code(n->op) == OP_unknown && !n->pure))
		return false;
	for (uint32_t i = 0; i < n->n_in; i++)
		if (n->in[i].value && (node_effect(n, i) & MAY_SHARE))
			return false;
	return true;
}

static bool writes_one(Match *m, const Node *w, const Value *y)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < w->n_in + w->n_names; i++) {
		const Value *v = w->in[i].value;
		n += v == y;
		if (v && v != y && v->kind != VALUE_LITERAL && (node_effect(w, i) & MAY_WRITE))
			return refuse(m, "hazard", "%s may write '%s', too; say what it writes: 'writes %s' and the numbers "
			              "of its operands, from 0", w->name, v->name, declared_name(m, w));
	}
	return n == 1 || refuse(m, "hazard", "%s reads '%s', which it writes", w->name, y->name);
}

static bool read_behind(Match *m, const Node *w, const Value *y)
{
	for (const Use *u = y->uses; u; u = u->next)
		if (u->node && u->node != w && u->node->pos < w->pos && use_counts(u))
			return refuse(m, "hazard", "%s '%s' uses '%s' before %s writes it", u->node->name,
			              node_label(u->node), y->name, w->name);
	return true;
}

/* `f(y!, x)`: the storage of y is made here, shared with nothing where f writes it, and written by nothing else, so what
 * reads it behind f reads what f left there. */
static bool write_stands(Match *m)
{
	if (!m->p->writes)
		return true;
	const Value *y = m->s.value[m->p->root[0]];
	const Node *w = root_node(m, 0);
	for (uint32_t i = 0; i < w->n_out; i++)
		if (value_used(w->out[i]))
			return refuse(m, "hazard", "'%s' of %s is used besides what it writes", w->out[i]->name, w->name);
	if (w->source != w->unit)
		return refuse(m, "inside", "%s is a part of %s, which is one node of the file", w->name, w->unit->op);
	if (!is_fresh(y) || value_pinned(y))
		return refuse(m, "hazard", "the storage of '%s', which %s writes, is not its own", y->name, w->name);
	if (m->alias && alias_writes(m->alias, y) > 1)
		return refuse(m, "hazard", "the storage of '%s' is written by others than %s", y->name, w->name);
	return writes_one(m, w, y) && read_behind(m, w, y);
}

/* Does anybody read what is written? */
static bool write_wanted(const Match *m)
{
	const Node *w = root_node(m, 0);
	for (const Use *u = m->s.value[m->p->root[0]]->uses; u; u = u->next)
		if (u->node != w && use_counts(u))
			return true;
	return false;
}

/* ---- order ---- */

static const char *name_of(const Node *n)
{
	return n ? node_label(n) : "?";
}

/* A look stays where its root is, and so does what stands in for a write. */
static bool operands_before(Match *m, Value *const *operands, uint32_t n)
{
	const Node *root = last_root(m);
	for (uint32_t i = 0; i < n; i++)
		if (operands[i] && operands[i]->def && operands[i]->def->pos >= root->pos)
			return refuse(m, "cycle", "the replacement needs '%s', which stands behind what is replaced",
			              operands[i]->name);
	return true;
}

static bool can_move(Match *m, Value *const *operands, uint32_t n)
{
	Value *roots[MAX_LINES];
	const Node *culprit = NULL;
	for (int i = 0; i < m->p->n_roots; i++)
		roots[i] = m->s.value[m->p->root[i]];
	switch (graph_can_move(m->run->g, m->alias, roots, (uint32_t)m->p->n_roots, operands, n, &culprit)) {
	case MOVE_OK:
		return true;
	case MOVE_CYCLE:
		return refuse(m, "cycle", "the replacement needs '%s', which depends on what is replaced",
		              name_of(culprit));
	case MOVE_HAZARD:
		return refuse(m, "hazard", "%s '%s' %s storage that is used before and after it%s", culprit->name,
		              name_of(culprit), writing(culprit), what_to_do(m, culprit));
	}
	return false;
}

/* ---- units ---- */

/* A value inside of a node of the file is seen from outside once that has come apart. */
static bool comes_out(Match *m, const Value *v)
{
	if (!v || value_outside(v))
		return true;
	const Node *n = v->def;
	const char *why = n->unit->inlined || m->p->rule->user ? unit_opens(m->run->g, n, !m->run->free, m->run->scratch) :
		"only a rule of your own takes such a node apart";
	return !why || refuse(m, "inside", "'%s' is a part of %s, which is one node of the file: %s", v->name,
	                      n->unit->op, why);
}

static void take_out(Graph *g, const Value *v)
{
	while (v && !value_outside(v))
		unit_open(g, v->def);
}

/* ---- all checks ---- */

/* Nothing moves for a look, and nothing of it is written. */
static bool is_look(const Match *m)
{
	return m->p->rule->tentative && !m->run->keep;
}

static bool is_held(const Match *m, const Node *n)
{
	return n->id < m->n_held && m->held[n->id];
}

/* Operands of the replacement that are in the graph already: names that emit does not define. */
static uint32_t outer_operands(const Match *m, Value **operands)
{
	bool own[MAX_NAMES] = { false };
	uint32_t n = 0;
	for (int i = 0; i < m->p->n_emit; i++) {
		const Line *l = &m->p->emit[i];
		if (!l->term && !own[l->same])
			operands[n++] = m->s.value[l->same];
		for (int k = 0; l->term && k < l->term->n_in; k++)
			if (l->term->in[k].kind == ARG_VALUE && !own[l->term->in[k].name])
				operands[n++] = m->s.value[l->term->in[k].name];
		for (int k = 0; k < l->n_out; k++)
			own[l->out[k]] = true;
	}
	return n;
}

static bool check_line(Match *m, Value **made, const Line *l, Draft **end)
{
	if (!l->term)
		return same_type(m, m->s.value[l->out[0]], &m->s.value[l->same]->type);
	if (!attrs_stand(m, l->term))
		return false;
	Draft *d = *end = draft_line(m, made, l);
	if (!draft_types(m, l, d))
		return false;
	for (int i = 0; i < l->n_out; i++) {
		if (m->p->line_of[l->out[i]] >= 0 && !same_type(m, m->s.value[l->out[i]], &d->types[i]))
			return false;
		made[l->out[i]] = d->node.out[i];
		made[l->out[i]]->type = d->types[i];
	}
	return kernel_covers(m, d);
}

/* Does the file have a way to say all this? */
static bool can_be_written(Match *m, Value *const *operands, uint32_t n)
{
	const Document *d = m->run->g->document;
	for (uint32_t i = 0; i < n; i++)
		if (!comes_out(m, operands[i]))
			return false;
	for (int i = 0; i < m->p->n_roots; i++)
		if (!comes_out(m, m->s.value[m->p->root[i]]))
			return false;
	for (const Draft *x = d && !m->run->free ? m->draft : NULL; x; x = x->next) {
		const char *why = d->ways->refuses(m->run->g, &x->node, m->run->scratch);
		if (why)
			return refuse(m, "unwritable", "%s", why);
	}
	return true;
}

bool replace_check(Match *m)
{
	Value *made[MAX_NAMES] = { NULL }, *operands[MAX_LINES * MAX_ARGS];
	bool wanted = false;
	for (int i = 0; i < m->p->n_roots; i++) {
		wanted |= m->p->writes ? write_wanted(m) : value_wanted(m->s.value[m->p->root[i]]);
		if (is_held(m, root_node(m, i)))
			return false;
	}
	/* what was replaced before may stand there still, as a part of something else */
	if (!wanted)
		return false;
	m->draft = NULL;
	Draft **end = &m->draft;
	for (int i = 0; i < m->p->n_emit; i++) {
		if (!check_line(m, made, &m->p->emit[i], end))
			return false;
		end = *end ? &(*end)->next : end;
	}
	uint32_t n = outer_operands(m, operands);
	if (!does_no_more(m) || !write_stands(m) || !storage_stands(m, operands, n))
		return false;
	if ((is_look(m) || m->p->writes) && !operands_before(m, operands, n))
		return false;
	return is_look(m) || (can_be_written(m, operands, n) && (m->p->writes || can_move(m, operands, n)));
}

/* ---- change ---- */

static const char *out_name(Match *m, int name)
{
	const char *stem = m->p->line_of[name] >= 0 ? m->s.value[name]->name : m->p->name[name];
	return name_fresh(m->run->g, stem);
}

static Value *real_arg(Match *m, Value *const *made, const Arg *a)
{
	return a->kind == ARG_VALUE ? bound_or_made(m, made, a->name) : value_literal(m->run->g, scalar_arg(m, a));
}

/* Where the texts of the node that makes or writes the root have its name. */
static uint32_t place_of_root(const Match *m, const Node *n)
{
	const Value *root = m->s.value[m->p->root[0]];
	uint32_t i = 0;
	if (!m->p->writes)
		return n->n_in + root->index;
	while (n->in[i].value != root)
		i++;
	return i;
}

static Node *build_line(Match *m, Value **made, const Line *l, const Draft *d, Node *before)
{
	Value *in[MAX_ARGS];
	const char *names[MAX_ARGS];
	for (int i = 0; i < l->term->n_in; i++)
		in[i] = real_arg(m, made, &l->term->in[i]);
	for (int i = 0; i < l->n_out; i++)
		names[i] = out_name(m, l->out[i]);
	Node *n = node_new(m->run->g, &(NodeSpec){
		.op = l->term->op, .name = l->term->name, .in = in, .n_in = d->node.n_in, .out_names = names,
		.n_out = d->node.n_out,
		.attr = d->node.attr, .attr_name = d->node.attr_name, .n_attr = d->node.n_attr,
		.types = l->term->op->infer ? NULL : d->types,
		.before = before, .inside = is_look(m),
	});
	for (size_t i = 0; i < m->run->n_declared; i++)
		node_declare(m->run->g, n, &m->run->declared[i]);
	if (is_look(m))
		unit_join(m->run->g, n, before, place_of_root(m, before));
	for (int i = 0; i < l->n_out; i++)
		made[l->out[i]] = n->out[i];
	return n;
}

/* Matched nodes in order. */
static uint32_t matched_nodes(const Match *m, Node **nodes)
{
	uint32_t n = 0;
	for (int i = 0; i < m->p->n_places; i++) {
		Node *x = m->s.node[i];
		if (!x)
			continue;
		uint32_t at = n++;
		for (; at > 0 && nodes[at - 1]->pos > x->pos; at--)
			nodes[at] = nodes[at - 1];
		nodes[at] = x;
	}
	return n;
}

static void origin_add(Graph *g, Origin *o, size_t *cap, const char *name)
{
	for (uint32_t i = 0; i < o->n; i++)
		if (!strcmp(o->names[i], name))
			return;
	o->names = arena_grow(&g->arena, o->names, o->n, cap, sizeof *o->names);
	o->names[o->n++] = name;
}

/* The names of all replaced nodes. A node without an origin is one of the source. */
static Origin origin_of(Match *m)
{
	Node *nodes[MAX_PLACES];
	Origin o = { 0 };
	size_t cap = 0;
	uint32_t n = matched_nodes(m, nodes);
	for (uint32_t i = 0; i < n; i++) {
		if (!nodes[i]->origin.n)
			origin_add(m->run->g, &o, &cap, is_own_write(m, nodes[i]) ?
			           m->s.value[m->p->root[0]]->name : node_label(nodes[i]));
		for (uint32_t k = 0; k < nodes[i]->origin.n; k++)
			origin_add(m->run->g, &o, &cap, nodes[i]->origin.names[k]);
	}
	return o;
}

typedef struct Sources { const SourceNode **v; uint32_t n; size_t cap; } Sources;

static void source_add(Graph *g, Sources *s, const SourceNode *source)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->v[i] == source)
			return;
	s->v = arena_grow(&g->arena, s->v, s->n, &s->cap, sizeof *s->v);
	s->v[s->n++] = source;
}

/* The nodes of the file that all replaced nodes came from. */
static Sources sources_of(Match *m)
{
	Node *nodes[MAX_PLACES];
	Sources s = { 0 };
	uint32_t n = matched_nodes(m, nodes);
	for (uint32_t i = 0; i < n; i++) {
		if (nodes[i]->source)
			source_add(m->run->g, &s, nodes[i]->source);
		for (uint32_t k = 0; k < nodes[i]->n_replaces; k++)
			source_add(m->run->g, &s, nodes[i]->replaces[k]);
	}
	return s;
}

/* Is x held by a node outside of its unit? One inside goes with it. */
static bool is_held_outside(const Match *m, const Node *x)
{
	const Node *end = unit_last(x)->next;
	for (const Node *n = unit_first(x); n != end; n = n->next)
		if (n->tentative && (n->held->def == x || n->writer == x))
			return false;
	return is_held(m, x);
}

/* Goes with the node that stands in for what it writes. */
static bool goes_along(const Node *x)
{
	const Node *end = unit_last(x)->next;
	for (const Node *n = unit_first(x); n != end; n = n->next)
		if (n->writer == x)
			return true;
	return false;
}

static bool removable(const Match *m, const Node *n)
{
	if (n->dead || unit_used(n))
		return false;
	const Node *end = unit_last(n)->next;
	for (const Node *x = unit_first(n); x != end; x = x->next)
		if ((!node_is_pure(x) && !goes_along(x)) || is_held_outside(m, x))
			return false;
	return true;
}

typedef struct Worklist { Node **v; size_t n, cap; } Worklist;

static void list_add(Match *m, Worklist *w, const Value *v)
{
	if (!v || !v->def)
		return;
	w->v = arena_grow(m->run->scratch, w->v, w->n, &w->cap, sizeof *w->v);
	w->v[w->n++] = v->def;
}

static void release(const Match *m, const Node *held)
{
	if (held && is_held(m, held))
		m->held[held->id] = false;
}

/* Removes the unit and the asserts on its results; what it read is looked at next. */
static void remove_one(Match *m, Worklist *w, Node *n)
{
	const Node *end = unit_last(n)->next;
	Node *writer = NULL;
	for (const Node *x = unit_first(n); x != end; x = x->next) {
		for (uint32_t i = 0; i < x->n_in + x->n_names; i++)
			list_add(m, w, x->in[i].value);
		release(m, x->held ? x->held->def : NULL);
		release(m, x->writer);
		list_add(m, w, x->held);
		writer = x->writer && !unit_same(x, x->writer) ? x->writer : writer;
	}
	unit_remove(m->run->g, n);
	if (writer)
		remove_one(m, w, writer);
}

/* What nothing uses goes, from the new nodes and the matched ones up. */
static void remove_unused(Match *m, Value *const *made)
{
	Node *nodes[MAX_PLACES];
	Worklist w = { 0 };
	uint32_t n = matched_nodes(m, nodes);
	for (uint32_t i = 0; i < n; i++)
		list_add(m, &w, nodes[i]->n_out ? nodes[i]->out[0] : NULL);
	for (int i = 0; i < m->p->n_emit; i++)
		list_add(m, &w, made[m->p->emit[i].out[0]]);
	if (m->p->writes)
		remove_one(m, &w, root_node(m, 0));
	while (w.n) {
		Node *next = w.v[--w.n];
		if (removable(m, next))
			remove_one(m, &w, next);
	}
}

static void open_units(Match *m)
{
	Value *operands[MAX_LINES * MAX_ARGS];
	for (uint32_t i = 0, n = outer_operands(m, operands); i < n; i++)
		take_out(m->run->g, operands[i]);
	for (int i = 0; i < m->p->n_roots; i++)
		take_out(m->run->g, m->s.value[m->p->root[i]]);
}

static void build(Match *m, Value **made)
{
	Node *before = last_root(m);
	const Draft *d = m->draft;
	Origin origin = origin_of(m);
	Sources sources = sources_of(m);
	for (int i = 0; i < m->p->n_emit; i++) {
		const Line *l = &m->p->emit[i];
		if (!l->term) {
			made[l->out[0]] = bound_or_made(m, made, l->same);
			continue;
		}
		Node *n = build_line(m, made, l, d, before);
		n->origin = origin;
		n->replaces = sources.v;
		n->n_replaces = sources.n;
		d = d->next;
	}
}

/* A new value stands where the old one stood, under its name; a value that was there before keeps its own. */
static void put(Match *m, Value *old, Value *by, const Line *l)
{
	if (m->p->writes)
		value_replace_written(m->run->g, old, by, root_node(m, 0));
	else
		value_replace(m->run->g, old, by);
	if (l->term)
		value_take_name(m->run->g, by, old);
}

static void put_all(Match *m, Value *const *made)
{
	for (int i = 0; i < m->p->n_emit; i++) {
		const Line *l = &m->p->emit[i];
		for (int k = 0; k < l->n_out; k++)
			if (m->p->line_of[l->out[k]] >= 0)
				put(m, m->s.value[l->out[k]], made[l->out[k]], l);
	}
}

static void hold(Match *m, Value *const *made)
{
	int root = m->p->root[0];
	made[root]->def->tentative = true;
	made[root]->def->held = m->s.value[root];
	made[root]->def->writer = m->p->writes ? root_node(m, 0) : NULL;
}

bool replace_apply(Match *m)
{
	Value *made[MAX_NAMES] = { NULL };
	bool tentative = is_look(m);
	if (tentative) {
		pass_touch(m->run);
		m->run->applied++;
	} else if (!pass_rewrite(m->run)) {
		return false;
	}
	if (!is_look(m))
		open_units(m);
	build(m, made);
	put_all(m, made);
	if (tentative)
		hold(m, made);
	else
		remove_unused(m, made);
	return true;
}

/* ---- tentative nodes ---- */

int64_t tentative_count(const Graph *g)
{
	int64_t count = 0;
	for (const Node *n = g->first; n; n = n->next)
		count += n->tentative;
	return count;
}

int64_t tentative_restore(Graph *g, uint32_t first_id, uint32_t end_id)
{
	int64_t count = 0;
	for (Node *n = g->first, *next; n; n = next) {
		next = n->next;
		if (!n->tentative || n->id < first_id || n->id >= end_id)
			continue;
		value_take_name(g, n->held, n->out[0]);
		value_replace(g, n->out[0], n->held);
		node_remove(g, n);
		count++;
	}
	return count;
}
