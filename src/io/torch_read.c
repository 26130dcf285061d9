/* torch_read.c - model.json, alone or in an archive, to a graph.
 *
 * Names are scoped: each graph of the file has a table of its own, from a name to what the file says of it and to our
 * value. The values of an inlined sub-graph get the names of the outer graph where they leave it, and inside names that
 * are free there.
 */
#include "torch_scope.h"
#include <string.h>

typedef struct Reader {
	Job *job;
	Torch *t;
	Graph *g;
	Scope top;
	Json signature, ranges, calls;
	Json at;                              /* what is being read */
	Arena node;                           /* what a node needs while it is read */
} Reader;

enum { NODE_MEMORY = 1 << 18, INLINED_ARGS_MAX = 4096 };

/* ---- sizes and types ---- */

static Dim read_size(Reader *r, Json v)
{
	TorchUnion u = torch_union(v);
	if (u.tag == TAG_int)
		return dim_const(json_int(u.value, INT64_MIN, INT64_MAX));
	JsonList l = json_list(v, JSON_OBJECT);
	json_more(&l);
	if (!json_key_is(&l, "as_expr"))
		json_fail(v, GRAFT_E_GRAPH, "wanted a size, as_int or as_expr, found %.*s", (int)l.key_size, l.key);
	r->at = v;
	return torch_expr(r->g, json_member_need(u.value, "expr_str"));
}

static bool size_named(const TorchCall *c, Json name, Dim *d)
{
	const Scope *s = c->scope;
	const Name *n = find_name(s, torch_name_at(name));
	if (!n || n->kind != NAME_INT)
		return false;
	TorchUnion u = torch_union(n->meta);
	*d = u.tag == TAG_int ? dim_const(json_int(u.value, INT64_MIN, INT64_MAX)) :
		torch_expr(c->g, json_member_need(u.value, "expr_str"));
	return true;
}

static Type read_type(Reader *r, Json meta)
{
	Type t = { .dtype = torch_dtype(json_member_need(meta, "dtype")) };
	Json sizes = json_member_need(meta, "sizes");
	for (JsonList l = json_list(sizes, JSON_ARRAY); json_more(&l);)
		t.rank++;
	if (t.rank > GRAFT_MAX_RANK)
		json_fail(sizes, GRAFT_E_GRAPH, "%u axes; at most %d are read", t.rank, GRAFT_MAX_RANK);
	Dim *dims = NEW_ARRAY(&r->g->arena, t.rank, Dim);
	t.dims = dims;
	for (JsonList l = json_list(sizes, JSON_ARRAY); json_more(&l); dims++) {
		*dims = read_size(r, l.here);
		if (dim_is_const(*dims) && dims->value < 0)
			json_fail(l.here, GRAFT_E_GRAPH, "wanted a size of at least 0, found %lld",
			          (long long)dims->value);
	}
	const char *wrong = type_wrong(r->g, &t);
	if (wrong)
		json_fail(sizes, GRAFT_E_GRAPH, "a tensor with %s", wrong);
	return t;
}

static Value *new_size(Reader *r, const Name *name, const char *as)
{
	Value *v = value_size(r->g, as, strlen(as));
	v->meta = name->meta.at;
	v->section = (uint8_t)(name->kind - NAME_INT);
	return v;
}

/* ---- places ---- */

/* Where names stand. */
typedef struct Sizes { Reader *r; const char **place; uint32_t n; size_t cap; } Sizes;

static void add_place(void *user, Json name)
{
	Sizes *p = user;
	if (!json_there(name))
		return;
	p->place = arena_grow(&p->r->t->document.arena, p->place, p->n, &p->cap, sizeof *p->place);
	p->place[p->n++] = torch_name_at(name);
}

/* ---- arguments ---- */

typedef struct Gather { Reader *r; const Scope *scope; TorchArg *arg; size_t cap, cap_places; } Gather;

static void add_tensor(void *user, Json name)
{
	Gather *w = user;
	TorchArg *a = w->arg;
	Value *v = NULL;
	if (json_there(name)) {
		v = need_name(w->scope, name)->value;
		if (!v)
			json_fail(name, GRAFT_E_GRAPH, "%.*s is read here, but nothing before makes it",
			          (int)(torch_name_size(name.at) + 2), name.at);
	}
	a->tensor = arena_grow(&w->r->node, a->tensor, a->n_tensors, &w->cap, sizeof *a->tensor);
	a->place = arena_grow(&w->r->node, a->place, a->n_tensors, &w->cap_places, sizeof *a->place);
	a->tensor[a->n_tensors] = v;
	a->place[a->n_tensors++] = name.at;
}

static void read_arg(Reader *r, const Scope *scope, Json object, TorchArg *a)
{
	Json name = json_member_need(object, "name");
	a->name = json_text(&r->node, name, &a->name_size);
	TorchUnion u = torch_union(json_member_need(object, "arg"));
	a->tag = u.tag;
	a->value = u.value;
	visit_tensors(u, &(Gather){ .r = r, .scope = scope, .arg = a }, add_tensor);
	if (a->tag == TAG_optional_tensor && !a->tensor[0])
		a->tag = TAG_none;
}

/* ---- results ---- */

static bool is_free(const Reader *r, const TorchCall *c, const char *name)
{
	for (uint32_t i = 0; i < c->n_out; i++)
		if (!strcmp(c->out_name[i], name))
			return false;
	return !name_taken(r->g, name);
}

/* In the file's own graph names stay; a sub-graph's get out of their way. */
static const char *result_name(Reader *r, const Scope *s, const TorchCall *c, const Name *n)
{
	if (n->outer)
		return n->outer;
	const char *stem = arena_strndup(&r->node, n->s, n->n), *name = stem;
	for (uint32_t i = 1; s->outer && !is_free(r, c, name); i++)
		name = arena_printf(&r->node, "%s_%u", stem, i <= 4 ? i : r->g->next_value + i);
	return name;
}

typedef struct Results { Reader *r; const Scope *scope; TorchCall *call; Name **name; size_t cap[4]; } Results;

static void add_result(void *user, Json name)
{
	Results *w = user;
	TorchCall *c = w->call;
	Arena *a = &w->r->node;
	if (!json_there(name))
		return;
	Name *n = need_name(w->scope, name);
	if (n->kind != NAME_TENSOR || n->value)
		json_fail(name, GRAFT_E_GRAPH, "%.*s is made here, but %s", (int)(torch_name_size(name.at) + 2),
		          name.at, n->value ? "was made before" : "is not in tensor_values");
	w->name = arena_grow(a, w->name, c->n_out, &w->cap[0], sizeof *w->name);
	c->out_name = arena_grow(a, c->out_name, c->n_out, &w->cap[1], sizeof *c->out_name);
	c->out_place = arena_grow(a, c->out_place, c->n_out, &w->cap[2], sizeof *c->out_place);
	c->types = arena_grow(a, c->types, c->n_out, &w->cap[3], sizeof *c->types);
	w->name[c->n_out] = n;
	c->out_name[c->n_out] = result_name(w->r, w->scope, c, n);
	c->out_place[c->n_out] = name.at;
	c->types[c->n_out++] = read_type(w->r, n->meta);
}

/* ---- nodes ---- */

typedef struct NodeKeys { Json target, inputs, outputs, name; } NodeKeys;

static NodeKeys take_keys(Torch *t, Json node)
{
	NodeKeys k = { { 0 }, { 0 }, { 0 }, { 0 } };
	for (JsonList l = json_list(node, JSON_OBJECT); json_more(&l);) {
		if (json_key_is(&l, "target"))
			k.target = l.here;
		else if (json_key_is(&l, "inputs"))
			k.inputs = l.here;
		else if (json_key_is(&l, "outputs"))
			k.outputs = l.here;
		else if (json_key_is(&l, "name"))
			k.name = l.here;
		else if (json_key_is(&l, "is_hop_single_tensor_return"))
			t->has_hop = true;
	}
	if (!json_there(k.target) || !json_there(k.inputs) || !json_there(k.outputs))
		json_member_need(node, !json_there(k.target) ? "target" : !json_there(k.inputs) ? "inputs" : "outputs");
	return k;
}

static const char *read_target(Reader *r, Json v)
{
	size_t n;
	const char *s = json_text(&r->job->scratch, v, &n);
	const size_t prefix = sizeof "torch.ops." - 1;
	if (n > prefix && !memcmp(s, "torch.ops.", prefix)) {
		s += prefix;
		n -= prefix;
	}
	if (!n)
		json_fail(v, GRAFT_E_GRAPH, "a target must not be empty");
	return arena_strndup(&r->t->document.arena, s, n);
}

/* A node that makes sizes, or only checks some, has nothing to run: the sizes are symbols here. */
static bool is_note(const TorchCall *c, bool makes_sizes)
{
	static const char *const checks[] = { "aten._assert_scalar", "aten._assert_async", "aten.sym_constrain_range" };
	if (c->n_out)
		return false;
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
		if (!strncmp(c->target, checks[i], strlen(checks[i])))
			return true;
	return makes_sizes;
}

static Node *add_note(Reader *r, const TorchCall *c)
{
	static const char *const nowhere[1];
	Node *n = node_new(r->g, &(NodeSpec){ .op = &op_table[OP_unknown], .name = c->target, .note = true });
	n->source = &c->node->source;
	n->places = arena_copy(&r->t->document.arena, &(Places){ nowhere, NULL }, sizeof(Places));
	return n;
}

typedef struct Lowering { TorchCall *c; Torch *t; bool done; } Lowering;

typedef struct Entered { Document *d; Job *before; } Entered;

static void leave_document(void *entered)
{
	Entered *e = entered;
	e->d->arena.job = e->before;
}

static void enter_document(Document *d, Job *job)
{
	Entered *e = NEW(&job->scratch, Entered);
	*e = (Entered){ d, d->arena.job };
	d->arena.job = job;
	arena_undo(&job->scratch, leave_document, e);
}

static void lower_body(Job *job, void *arg)
{
	Lowering *l = arg;
	graph_enter(l->c->g, job);
	enter_document(&l->t->document, job);
	l->t->text.arena = &job->scratch;
	l->c->scratch = &job->scratch;
	l->done = torch_lower(l->c);
}

/* With our ops if they can say it, else as an op that graft does not know. */
static void make_nodes(Reader *r, TorchCall *c)
{
	graft_error err;
	const Node *last = r->g->last;
	Lowering l = { c, r->t, false };
	graft_status status = guarded(context_allocator(r->g->ctx), lower_body, &l, &err);
	r->t->text.arena = &r->job->scratch;
	if (status && status != GRAFT_E_GRAPH && status != GRAFT_E_UNSUPPORTED)
		fail_again(r->job, &err);
	if (!status && l.done)
		return;
	while (r->g->last != last)
		node_remove(r->g, r->g->last);
	c->scratch = &r->node;
	if (status)
		c->why = arena_strdup(&r->node, err.message);
	else if (torch_row(c->target))
		c->why = "one of its arguments means nothing to graft";
	torch_keep(c);
}

static void read_nodes(Reader *r, Scope *s, const SourceNode *outer, TorchNode **out, size_t *n);

/* ---- sub-graphs ---- */

/* The kind of device that all tensors of the sub-graph are on; NULL: there are several. */
static const char *device_of(Reader *r, const Scope *s)
{
	const char *found = NULL;
	for (JsonList l = json_list(s->tensor_values, JSON_OBJECT); json_more(&l);) {
		size_t n;
		Json type = json_member(l.here, "device");
		if (json_there(type))
			type = json_member(type, "type");
		if (!json_there(type))
			return NULL;
		const char *device = json_text(&r->node, type, &n);
		if (found && (strncmp(found, device, n) || found[n]))
			return NULL;
		found = found ? found : arena_strndup(&r->node, device, n);
	}
	return found;
}

/* The place of the graph among the arguments of an op that runs it as it is; -1: it is no such op. */
static int graph_arg(const TorchCall *c)
{
	const char *target = c->target;
	bool grad = !strcmp(target, "higher_order.wrap_with_set_grad_enabled"),
		cast = !strcmp(target, "higher_order.wrap_with_autocast");
	uint32_t i = 0;
	while (i < c->n_args && c->arg[i].tag != TAG_graph)
		i++;
	if (i == c->n_args || (!grad && !cast) || c->n_args > INLINED_ARGS_MAX ||
	    (cast && (i < 3 || c->arg[0].tag != TAG_string || c->arg[2].tag != TAG_bool)))
		return -1;
	return (int)i;
}

static const char *string_arg(Reader *r, const TorchArg *a)
{
	size_t n;
	const char *s = json_text(&r->node, a->value, &n);
	return arena_strndup(&r->node, s, n);
}

/* What autocast is set to: (device, dtype, enabled, ...). */
static bool set_autocast(Reader *r, TorchCall *c, Scope *s)
{
	const char *device = string_arg(r, &c->arg[0]);
	bool is_cpu = !strcmp(device, "cpu"), on = json_bool(c->arg[2].value);
	Autocast cast = { .dtype = GRAFT_DTYPE_COUNT, .device = is_cpu ? TORCH_CPU : TORCH_CUDA, .region = c->node };
	const char *there = device_of(r, s);
	if (on && !there)
		c->why = "autocast is on in it, and its tensors are on several devices";
	else if (on && !is_cpu && strcmp(device, "cuda"))
		c->why = arena_printf(&r->node, "graft does not know what autocast does on device %s", device);
	if (c->why || !there || strcmp(there, device))
		return !c->why;
	if (on && c->arg[1].tag == TAG_none)
		cast.dtype = is_cpu ? GRAFT_DTYPE_bf16 : GRAFT_DTYPE_f16;
	else if (on && c->arg[1].tag == TAG_scalar_type)
		cast.dtype = torch_dtype(c->arg[1].value);
	if (on && cast.dtype != GRAFT_DTYPE_bf16 && cast.dtype != GRAFT_DTYPE_f16)
		c->why = "autocast to another dtype than bf16 and f16";
	s->autocast = cast;
	return !c->why;
}

/* Under autocast an op computes in another dtype than its operands say: all of them must be known. */
static bool knows_ops(Reader *r, TorchCall *c, const Scope *s)
{
	if (s->autocast.dtype == GRAFT_DTYPE_COUNT)
		return true;
	for (JsonList l = json_list(s->nodes, JSON_ARRAY); json_more(&l);) {
		Mark mark = arena_mark(&r->job->scratch);
		const char *target = read_target(r, json_member_need(l.here, "target"));
		bool knows = torch_autocast_knows(&r->job->scratch, target);
		arena_release(&r->job->scratch, mark);
		if (!knows)
			c->why = arena_printf(&r->node, "autocast is on in it, and graft does not know what that does to %s",
			                      target);
		if (!knows)
			return false;
	}
	return true;
}

/* A size of the sub-graph is what the outer graph has for it at `outside`. */
static bool join_size(Scope *s, const char *place, const Scope *outer, const char *outside)
{
	Name *name = find_name(s, place), *is = find_name(outer, outside);
	if (!name || !is || name->kind == NAME_TENSOR || name->kind != is->kind || name->value)
		return false;
	name->value = is->value;
	name->outside = outside;
	return true;
}

/* Each result must be made by a node of the sub-graph, and be one result only. */
static bool join_outputs(Scope *s, const TorchCall *c, const Sizes *sizes, Sizes *inner)
{
	uint32_t n = 0;
	for (JsonList l = json_list(s->outputs, JSON_ARRAY); json_more(&l);) {
		TorchUnion u = torch_union(l.here);
		uint32_t before = inner->n;
		visit_sizes(u, inner, add_place);
		if (inner->n > before)
			continue;
		Name *name = u.tag == TAG_tensor ? find_name(s, torch_name_at(name_of(u.value))) : NULL;
		if (!name || name->value || name->outer || n == c->n_out)
			return false;
		name->outside = c->out_place[n];
		name->outer = c->out_name[n++];
	}
	for (uint32_t i = 0; i < inner->n && inner->n == sizes->n; i++)
		if (!join_size(s, inner->place[i], c->scope, sizes->place[i]))
			return false;
	return n == c->n_out && inner->n == sizes->n;
}

/* The one size that an argument names. */
static const char *size_place(Reader *r, TorchUnion u)
{
	Sizes p = { .r = r };
	visit_sizes(u, &p, add_place);
	return p.n == 1 ? p.place[0] : NULL;
}

static bool join_size_input(Reader *r, Scope *s, const TorchCall *c, TorchUnion in, const TorchArg *arg)
{
	const char *inner = size_place(r, in), *outer = size_place(r, (TorchUnion){ arg->tag, arg->value });
	if (!inner || !outer)
		return true;
	return join_size(s, inner, c->scope, outer);
}

static bool join_inputs(Reader *r, Scope *s, const TorchCall *c, uint32_t first)
{
	uint32_t i = first;
	for (JsonList l = json_list(s->inputs, JSON_ARRAY); json_more(&l); i++) {
		TorchUnion u = torch_union(l.here);
		if (i == c->n_args || u.tag != c->arg[i].tag)
			return false;
		if (u.tag != TAG_tensor && !join_size_input(r, s, c, u, &c->arg[i]))
			return false;
		if (u.tag != TAG_tensor)
			continue;
		Name *name = need_name(s, name_of(u.value));
		if (name->value)
			return false;
		name->value = c->arg[i].tensor[0];
		name->outside = c->arg[i].place[0];
	}
	return i == c->n_args;
}

static bool inline_graph(Reader *r, TorchCall *c, const Sizes *sizes)
{
	int at = graph_arg(c);
	if (at < 0)
		return false;
	Scope s;
	Sizes made = { .r = r };
	TorchInlined *in = NEW(&r->t->document.arena, TorchInlined);
	open_scope(&r->job->scratch, &s, json_member_need(c->arg[at].value, "graph"), (Scope *)(uintptr_t)c->scope);
	if (at >= 3 && !set_autocast(r, c, &s))
		return false;
	if (!knows_ops(r, c, &s) || !join_inputs(r, &s, c, (uint32_t)at + 1) || !join_outputs(&s, c, sizes, &made))
		return false;
	c->node->source.inlined = in;
	read_nodes(r, &s, &c->node->source, &in->node, &in->n_nodes);
	add_note(r, c)->pure = true;
	return true;
}

/* The values that were made under the results' names. */
static void bind_results(Reader *r, const TorchCall *c, Name *const *name)
{
	for (uint32_t i = 0; i < c->n_out; i++) {
		name[i]->value = value_find(r->g, c->out_name[i], strlen(c->out_name[i]));
		if (!name[i]->value)
			json_fail(c->node->json, GRAFT_E_GRAPH, "nothing in its sub-graph makes '%s'", c->out_name[i]);
		if (!name[i]->value->meta)
			name[i]->value->meta = name[i]->meta.at;
	}
}

/* ---- regions and arguments ---- */

/* What is bound to a sub-graph that sets autocast binds all that it stands in up to there; what is bound for another
 * reason, all of it. */
static void bind_to_region(const Scope *s, const TorchNode *n)
{
	const SourceNode *region = s->autocast.region ? &s->autocast.region->source : NULL;
	for (const SourceNode *at = n->source.outer; n->source.bound && at; at = at->outer) {
		SourceNode *outer = (SourceNode *)(uintptr_t)at;
		if (outer == region)
			return;
		outer->bound = true;
	}
}

static void note_kind(Torch *t, Json arg)
{
	if (!t->has_kind && json_there(json_member(arg, "kind")))
		t->has_kind = true;
}

static void read_args(Reader *r, const Scope *s, Json inputs, TorchCall *c)
{
	for (JsonList l = json_list(inputs, JSON_ARRAY); json_more(&l);)
		c->n_args++;
	c->arg = NEW_ARRAY(&r->node, c->n_args, TorchArg);
	uint32_t i = 0;
	for (JsonList l = json_list(inputs, JSON_ARRAY); json_more(&l);) {
		if (!i)
			note_kind(r->t, l.here);
		read_arg(r, s, l.here, &c->arg[i++]);
	}
}

/* ---- what the text of a node names ---- */

/* Everything named among the arguments, and the sizes among the results. */
typedef struct Named {
	Reader *r;
	const Scope *scope;
	Value **value;
	const char **place;
	uint32_t n;
	size_t cap[2];
	bool lost;                            /* a name that has no value: a number, in this sub-graph */
} Named;

static void add_named(void *user, Json v)
{
	Named *w = user;
	const Name *name = json_there(v) ? find_name(w->scope, torch_name_at(v)) : NULL;
	w->lost |= name && !name->value;
	if (!name || !name->value)
		return;
	w->value = arena_grow(&w->r->node, w->value, w->n, &w->cap[0], sizeof *w->value);
	w->place = arena_grow(&w->r->node, w->place, w->n, &w->cap[1], sizeof *w->place);
	w->value[w->n] = name->value;
	w->place[w->n++] = v.at;
}

static bool is_operand(const Node *first, const SourceNode *source, const char *place)
{
	for (const Node *n = first; n; n = n->next)
		for (uint32_t i = 0; i < n->n_in && n->source == source; i++)
			if (n->places->at[i] == place)
				return true;
	return false;
}

/* Only what no operand of the unit, which begins at first and ends the list, stands for. */
static Named named_besides(Reader *r, const Scope *s, const TorchCall *c, const Node *first)
{
	Named all = { .r = r, .scope = s };
	uint32_t n = 0;
	for (uint32_t i = 0; i < c->n_args; i++) {
		TorchUnion u = { c->arg[i].tag, c->arg[i].value };
		visit_tensors(u, &all, add_named);
		visit_sizes(u, &all, add_named);
	}
	for (uint32_t i = 0; i < all.n; i++)
		if (!is_operand(first, &c->node->source, all.place[i])) {
			all.value[n] = all.value[i];
			all.place[n++] = all.place[i];
		}
	all.n = n;
	c->node->source.bound |= all.lost;
	return all;
}

/* The sizes a node makes; those of a sub-graph get names that are free outside. */
static Named make_sizes(Reader *r, const Scope *s, const Sizes *sizes)
{
	Named made = { .r = r, .scope = s };
	for (uint32_t i = 0; i < sizes->n; i++) {
		Name *name = find_name(s, sizes->place[i]);
		if (!name || name->kind == NAME_TENSOR || (name->value && name->value->def))
			continue;
		if (!name->value)
			name->value = new_size(r, name, name_fresh(r->g, arena_strndup(&r->node, name->s, name->n)));
		add_named(&made, (Json){ s->graph.text, sizes->place[i], NULL });
	}
	return made;
}

/* Gives the last node of a unit what else is named and made. */
static void name_rest(Reader *r, const Named *names, const Named *sizes)
{
	Arena *a = &r->t->document.arena;
	Node *n = r->g->last;
	if (!names->n && !sizes->n)
		return;
	node_names(r->g, n, names->value, names->n, sizes->value, sizes->n);
	uint32_t results = n->n_in + n->n_out;
	const char **at = NEW_ARRAY(a, (size_t)results + names->n + sizes->n, const char *);
	for (uint32_t i = 0; i < results + names->n + sizes->n; i++)
		at[i] = i < results ? n->places->at[i] : i < results + names->n ? names->place[i - results] :
			sizes->place[i - results - names->n];
	n->places = arena_copy(a, &(Places){ at, NULL }, sizeof(Places));
}

/* The same one sub-graph further out. */
static const Places *places_outside(Reader *r, const Scope *s, const Places *in, uint32_t n)
{
	if (!s->outer)
		return NULL;
	Arena *a = &r->t->document.arena;
	const char **at = NEW_ARRAY(a, n, const char *);
	for (uint32_t i = 0; i < n; i++) {
		const Name *name = in->at[i] ? find_name(s, in->at[i]) : NULL;
		at[i] = name ? name->outside : NULL;
	}
	Places *out = arena_copy(a, &(Places){ at, NULL }, sizeof(Places));
	out->outer = places_outside(r, s->outer, out, n);
	return out;
}

/* The nodes from first on, those of one node of the file, become a unit. */
static void make_unit(Reader *r, const Scope *s, TorchCall *c, Node *first, const Named *sizes)
{
	const SourceNode *unit = &c->node->source;
	Named names = named_besides(r, s, c, first);
	name_rest(r, &names, sizes);
	while (unit->outer)
		unit = unit->outer;
	for (Node *n = first; n; n = n->next) {
		n->unit = unit;
		if (n->source == &c->node->source && s->outer)
			n->places = arena_copy(&r->t->document.arena,
				&(Places){ n->places->at, places_outside(r, s, n->places,
				           n->n_in + n->n_out + n->n_names + n->n_sizes) }, sizeof(Places));
	}
}

/* ---- one node ---- */

static void read_node(Reader *r, Scope *s, TorchNode *n)
{
	NodeKeys k = take_keys(r->t, n->json);
	r->at = n->json;
	n->source.op = read_target(r, k.target);
	n->source.args = k.inputs.at;
	n->source.args_size = (size_t)(json_skip_value(k.inputs.text, k.inputs.at) - k.inputs.at);
	if (json_there(k.name)) {
		n->name = torch_name_at(k.name) + 1;
		n->name_size = torch_name_size(k.name.at);
		r->t->has_name = true;
	}
	TorchCall c = { .g = r->g, .scratch = &r->node, .node = n, .target = n->source.op, .size_named = size_named,
	                .scope = s, .autocast = s->autocast.dtype, .device = s->autocast.device };
	Results results = { .r = r, .scope = s, .call = &c };
	Sizes sizes = { .r = r };
	Node *before = r->g->last;
	read_args(r, s, k.inputs, &c);
	for (JsonList l = json_list(k.outputs, JSON_ARRAY); json_more(&l);) {
		TorchUnion u = torch_union(l.here);
		visit_tensors(u, &results, add_result);
		visit_sizes(u, &sizes, add_place);
	}
	n->source.shares = torch_shares(&r->node, &c);
	if (is_note(&c, sizes.n))
		add_note(r, &c);
	else if (!inline_graph(r, &c, &sizes))
		make_nodes(r, &c);
	if (r->g->last == before)
		add_note(r, &c);
	Named made = make_sizes(r, s, &sizes);
	make_unit(r, s, &c, before ? before->next : r->g->first, &made);
	bind_to_region(s, n);
	bind_results(r, &c, results.name);
}

/* Where each node stands, so that its text is passed over once only. */
static TorchNode *find_nodes(Reader *r, Json list, const SourceNode *outer, size_t *n)
{
	Arena *a = &r->t->document.arena;
	TorchNode *nodes = NULL;
	size_t cap = 0;
	for (JsonList l = json_list(list, JSON_ARRAY); json_more(&l); ++*n) {
		if (*n == UINT32_MAX)
			json_fail(list, GRAFT_E_GRAPH, "more than %u nodes", UINT32_MAX);
		l.next = json_skip_value(l.here.text, l.here.at);
		nodes = arena_grow(a, nodes, *n, &cap, sizeof *nodes);
		nodes[*n] = (TorchNode){ .json = l.here, .source = { .text = l.here.at, .outer = outer,
		                                                    .size = (size_t)(l.next - l.here.at) } };
	}
	return nodes;
}

static void read_nodes(Reader *r, Scope *s, const SourceNode *outer, TorchNode **out, size_t *n)
{
	*out = find_nodes(r, s->nodes, outer, n);
	for (size_t i = 0; i < *n; i++) {
		read_node(r, s, &(*out)[i]);
		if (!outer && r->node.held > NODE_MEMORY)
			arena_free(&r->node);
	}
}

/* ---- inputs and outputs ---- */

/* "parameter" {arg: {name}, parameter_name}, "user_input" {arg: {as_tensor: {name}}}, ... */
typedef struct Spec { const char *kind; size_t kind_size; Json arg; const char *path; } Spec;

static bool spec_is(const Spec *s, const char *kind)
{
	return s->kind_size == strlen(kind) && !memcmp(s->kind, kind, s->kind_size);
}

static Spec read_spec(Reader *r, Json v)
{
	JsonList l = json_list(v, JSON_OBJECT);
	if (!json_more(&l))
		json_fail(v, GRAFT_E_GRAPH, "wanted an object with one member that says what the input is");
	Spec s = { .kind = l.key, .kind_size = l.key_size };
	static const struct { const char *kind, *key; } params[] = {
		{ "parameter", "parameter_name" }, { "buffer", "buffer_name" },
		{ "tensor_constant", "tensor_constant_name" },
	};
	for (size_t i = 0; i < 3; i++) {
		size_t n;
		if (!spec_is(&s, params[i].kind))
			continue;
		const char *path = json_text(&r->node, json_member_need(l.here, params[i].key), &n);
		s.path = arena_strndup(&r->t->document.arena, path, n);
		s.arg = name_of(json_member_need(l.here, "arg"));
	}
	if (spec_is(&s, "token"))
		s.arg = name_of(json_member_need(l.here, "arg"));
	if (spec_is(&s, "user_input")) {
		TorchUnion u = torch_union(json_member_need(l.here, "arg"));
		if (u.tag == TAG_tensor)
			s.arg = name_of(u.value);
	}
	return s;
}

static void read_input(Reader *r, Json v, const Spec *spec)
{
	TorchUnion u = torch_union(v);
	if (u.tag != TAG_tensor)
		/* a number or an object: what reads it stays an op that graft does not know */
		return;
	Json at = name_of(u.value);
	Name *name = need_name(&r->top, at);
	const char *s = arena_strndup(&r->node, name->s, name->n);
	r->at = v;
	if (name->kind != NAME_TENSOR || name->value)
		json_fail(at, GRAFT_E_GRAPH, "'%s' is an input twice, or is not in tensor_values", s);
	if (!json_there(spec->arg) || !torch_name_is(torch_name_at(spec->arg), s))
		json_fail(at, GRAFT_E_GRAPH, "input '%s' is not what the signature has in its place", s);
	name->value = (spec->path ? value_param : value_input)(r->g, s, name->n, read_type(r, name->meta));
	name->value->path = spec->path;
	name->value->meta = name->meta.at;
}

static void read_inputs(Reader *r)
{
	Json specs = json_member_need(r->signature, "input_specs");
	JsonList spec = json_list(specs, JSON_ARRAY);
	for (JsonList l = json_list(r->top.inputs, JSON_ARRAY); json_more(&l);) {
		if (!json_more(&spec))
			json_fail(specs, GRAFT_E_GRAPH, "the graph has more inputs than the signature");
		Spec s = read_spec(r, spec.here);
		read_input(r, l.here, &s);
	}
	if (json_more(&spec))
		json_fail(spec.here, GRAFT_E_GRAPH, "the signature has more inputs than the graph");
}

static const char *output_name(Reader *r, const char *stem)
{
	const char *name = stem;
	for (uint32_t i = 1;; i++) {
		bool taken = false;
		for (uint32_t k = 0; k < r->g->n_outputs && !taken; k++)
			taken = !strcmp(r->g->outputs[k]->name, name);
		if (!taken)
			return name;
		name = arena_printf(&r->node, "%s_%u", stem, i);
	}
}

/* {"user_output": {"arg": {"as_sym_int": {"as_name"}}}}: sizes of the signature stay, as those of the outputs. */
static void read_output_spec(Json spec, Named *sizes)
{
	JsonList l = json_list(spec, JSON_OBJECT);
	Json arg = json_more(&l) && json_kind(l.here) == JSON_OBJECT ? json_member(l.here, "arg") : (Json){ 0 };
	if (json_there(arg) && json_kind(arg) == JSON_OBJECT && !json_there(json_member(arg, "name")))
		visit_sizes(torch_union(arg), sizes, add_named);
}

static void read_outputs(Reader *r)
{
	enum { OUTPUTS_MAX = 4096 };
	Named sizes = { .r = r, .scope = &r->top };
	for (JsonList l = json_list(r->top.outputs, JSON_ARRAY); json_more(&l);) {
		TorchUnion u = torch_union(l.here);
		visit_sizes(u, &sizes, add_named);
		if (u.tag != TAG_tensor)
			continue;
		Name *name = need_name(&r->top, name_of(u.value));
		r->at = l.here;
		if (!name->value)
			json_fail(l.here, GRAFT_E_GRAPH, "output '%.*s' is made by nothing", (int)name->n, name->s);
		if (r->g->n_outputs == OUTPUTS_MAX)
			json_fail(l.here, GRAFT_E_GRAPH, "more than %d outputs", OUTPUTS_MAX);
		graph_output(r->g, output_name(r, name->value->name), name->value);
	}
	for (JsonList l = json_list(r->t->output_specs, JSON_ARRAY); json_more(&l);)
		read_output_spec(l.here, &sizes);
	for (uint32_t i = 0; i < sizes.n; i++)
		graph_pin(r->g, sizes.value[i], sizes.place[i]);
}

/* What the signature of a module names stays, and keeps its name. */
static void read_call(Reader *r, Json call)
{
	static const char *const lists[] = { "inputs", "outputs" };
	Named names = { .r = r, .scope = &r->top };
	Json signature = json_kind(call) == JSON_OBJECT ? json_member(call, "signature") : (Json){ 0 };
	for (size_t i = 0; i < 2 && json_there(signature) && json_kind(signature) == JSON_OBJECT; i++) {
		Json list = json_member_need(signature, lists[i]);
		for (JsonList l = json_list(list, JSON_ARRAY); json_more(&l);) {
			TorchUnion u = torch_union(l.here);
			visit_tensors(u, &names, add_named);
			visit_sizes(u, &names, add_named);
		}
	}
	for (uint32_t i = 0; i < names.n; i++)
		graph_pin(r->g, names.value[i], names.place[i]);
}

static void read_calls(Reader *r)
{
	if (!json_there(r->calls) || json_kind(r->calls) != JSON_ARRAY)
		return;
	for (JsonList l = json_list(r->calls, JSON_ARRAY); json_more(&l);)
		read_call(r, l.here);
}

/* ---- symbols ---- */

/* A bound that is null, or an infinity as a string, is none. */
static int64_t bound(Json range, const char *key, int64_t none)
{
	Json v = json_member(range, key);
	if (!json_there(v) || json_kind(v) == JSON_NULL || json_kind(v) == JSON_STRING)
		return none;
	int64_t b = json_int(v, INT64_MIN, INT64_MAX);
	return b < 0 ? 0 : b;
}

static void read_ranges(Reader *r)
{
	if (!json_there(r->ranges))
		return;
	for (JsonList l = json_list(r->ranges, JSON_OBJECT); json_more(&l);) {
		r->at = l.here;
		if (torch_is_identifier(l.key, l.key_size))
			symbol_add(r->g, l.key, l.key_size, bound(l.here, "min_val", 0),
			           bound(l.here, "max_val", DIM_MAX));
	}
}

/* ---- the document ---- */

enum { MAJOR = 8 };

static void check_version(Json version)
{
	Json major = json_member_need(version, "major");
	int64_t n = json_int(major, 0, INT64_MAX);
	if (n != MAJOR)
		json_fail(major, GRAFT_E_UNSUPPORTED, "schema version %lld; this graft reads %d (torch 2.6 and later)",
		          (long long)n, MAJOR);
}

static void free_arena(void *arena)
{
	arena_free(arena);
}

/* Names of the file's own graph stay: what graft calls so itself gets out of their way, even where they come later. */
static bool is_ahead(const void *reader, const char *name)
{
	const Reader *r = reader;
	return name_slot(&r->top, name, strlen(name))->s;
}

/* Sizes and values share their names. */
static void reserve_sizes(Reader *r)
{
	for (size_t i = 0; i < r->top.n_slots; i++) {
		Name *name = &r->top.slot[i];
		if (!name->s || name->kind == NAME_TENSOR)
			continue;
		name->value = new_size(r, name, arena_strndup(&r->job->scratch, name->s, name->n));
	}
}

static void read_document(Job *job, void *arg)
{
	Reader *r = arg;
	Torch *t = r->t;
	r->job = job;
	arena_init(&r->node, job->scratch.mem, job);
	arena_undo(&job->scratch, free_arena, &r->node);
	graph_enter(r->g, job);
	enter_document(&t->document, job);
	t->text.arena = &job->scratch;
	r->at = t->root;
	json_scan(&t->text);
	static const char *const root_keys[] = { "graph_module", "schema_version", "range_constraints" };
	static const char *const module_keys[] = { "graph", "signature", "module_call_graph" };
	Json module = { 0 }, version = { 0 };
	Json *const root[] = { &module, &version, &r->ranges }, *const inner[] = { &t->graph, &r->signature, &r->calls };
	take_members(t->root, root_keys, root, 3);
	need_members(t->root, root_keys, root, 2);
	check_version(version);
	take_members(module, module_keys, inner, 3);
	need_members(module, module_keys, inner, 2);
	open_scope(&job->scratch, &r->top, t->graph, NULL);
	reserve_sizes(r);
	r->g->ahead = is_ahead;
	r->g->reader = r;
	memcpy(t->sizes, r->top.sizes, sizeof t->sizes);
	t->nodes = r->top.nodes;
	t->tensor_values = r->top.tensor_values;
	t->inputs = r->top.inputs;
	t->outputs = r->top.outputs;
	t->calls = r->calls;
	t->output_specs = json_member_need(r->signature, "output_specs");
	read_ranges(r);
	read_inputs(r);
	read_nodes(r, &r->top, NULL, &t->node, &t->n_nodes);
	read_outputs(r);
	read_calls(r);
	r->g->ahead = NULL;
	if (t->zip)
		torch_weights(r->g, t);
}

/* What fails below knows no place in the text: it gets that of what was being read. */
static void read_text(Job *job, Torch *t, Graph *g)
{
	graft_error err;
	Reader r = { .t = t, .g = g };
	graft_status status = guarded(context_allocator(g->ctx), read_document, &r, &err);
	t->text.arena = &job->scratch;
	if (!status)
		return;
	if (err.line || err.status == GRAFT_E_NOMEM || err.status == GRAFT_E_DATA || !json_there(r.at))
		fail_again(job, &err);
	json_fail((Json){ &t->text, r.at.at, NULL }, err.status, "%s", err.message);
}

/* ---- what passes ask ---- */

/* Two entries of tensor_values that say the same, but for gradients. */
static bool same_layout(Graph *g, const Value *x, const Value *y)
{
	static const char *const keys[] = { "dtype", "sizes", "device", "strides", "storage_offset", "layout" };
	const Torch *t = (const Torch *)g->document;
	JsonText text = t->text;
	text.arena = &graph_job(g)->scratch;
	Json a = { &text, x->meta, NULL }, b = { &text, y->meta, NULL };
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		Json u = json_member(a, keys[i]), v = json_member(b, keys[i]);
		if (!json_there(u) || !json_there(v))
			return false;
		size_t n = (size_t)(json_skip_value(&text, u.at) - u.at);
		if (n != (size_t)(json_skip_value(&text, v.at) - v.at) || memcmp(u.at, v.at, n))
			return false;
	}
	return true;
}

const DocumentWays torch_ways = { same_layout, torch_refuses };

/* ---- which model of an archive ---- */

static const char *file_part(const char *name)
{
	const char *slash = strrchr(name, '/');
	return slash ? slash + 1 : name;
}

static bool ends(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n > m && !strcmp(s + n - m, end);
}

/* <root>/models/<name>.json; the root is that of the first entry. */
static bool is_model(const Zip *z, const char *name)
{
	const char *root = strchr(z->entry[0].name, '/');
	size_t n = root ? (size_t)(root - z->entry[0].name) + 1 : 0;
	return !strncmp(name, z->entry[0].name, n) && !strncmp(name + n, "models/", 7) && ends(name, ".json") &&
	       !strchr(name + n + 7, '/');
}

static const ZipEntry *find_model(Job *job, const Zip *z)
{
	const ZipEntry *model = NULL;
	for (size_t i = 0; i < z->n; i++) {
		if (!is_model(z, z->entry[i].name))
			continue;
		if (model)
			fail_in(job, GRAFT_E_UNSUPPORTED, z->path, 0, 0, NULL,
			        "the archive holds several models, %s and %s; graft reads archives of one",
			        file_part(model->name), file_part(z->entry[i].name));
		model = &z->entry[i];
	}
	if (!model && zip_find(z, "serialized_exported_program.json"))
		model = zip_find(z, "serialized_exported_program.json");
	if (!model)
		fail_in(job, GRAFT_E_GRAPH, z->path, 0, 0, NULL,
		        "the archive holds no models/*.json: it was not written by torch.export.save");
	return model;
}

bool torch_is_json(const char *text, size_t size)
{
	static const char *const keys[] = { "\"graph_module\"", "\"schema_version\"" };
	size_t found = 0;
	for (size_t i = 0; i < 2; i++)
		found += memmem(text, size, keys[i], strlen(keys[i])) != NULL;
	return found == 2;
}

Graph *torch_load(Job *job, graft_context *ctx, Bytes bytes, Arena *file, const char *name)
{
	Arena a;
	Graph *g = graph_new(job, ctx, "torch");
	arena_init(&a, context_allocator(ctx), job);
	Torch *t = NEW(&a, Torch);
	t->document.arena = a;
	t->document.ways = &torch_ways;
	graph_hold(g, &t->document);
	arena_adopt(&t->document.arena, file);
	t->file = arena_strdup(&t->document.arena, name);
	if (zip_is(bytes.data, bytes.size)) {
		t->zip = zip_open(&t->document.arena, bytes, t->file);
		t->model = find_model(job, t->zip);
		bytes = zip_bytes(&t->document.arena, t->zip, t->model, true);
		t->file = arena_printf(&t->document.arena, "%s:%s", name, t->model->name);
	}
	t->text = (JsonText){ .arena = &job->scratch, .data = bytes.data, .end = bytes.data + bytes.size,
	                      .file = t->file, .wrong = GRAFT_E_GRAPH, .python = true };
	t->root = (Json){ &t->text, json_skip_space(&t->text, bytes.data), NULL };
	read_text(job, t, g);
	t->text.arena = NULL;
	t->document.arena.job = NULL;
	return g;
}
