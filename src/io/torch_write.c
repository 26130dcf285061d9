/* torch_write.c - a graph that was imported goes back into its file.
 *
 * The file's text is the frame: everything is copied from it but the elements of `nodes`, entries of `tensor_values`,
 * and names of outputs that are now made under another name. A node of the file whose nodes here are all as they were
 * is written as it stood, names exchanged where an operand was replaced; a node of ours that comes from none is
 * spelled. If nothing came out different, the text itself is what is written.
 *
 *   Item    one element of `nodes` to be: a node of the file, or one of ours
 *   Patch   a part of the text that something else takes the place of
 */
#include "torch_spell.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct Exchange { const char *place, *name; } Exchange;

typedef enum State { UNSEEN, WHOLE, BROKEN } State;

/* What became of a node of the file. */
typedef struct Group {
	const TorchNode *node;
	Node **member;                        /* live nodes, in order; those of its sub-graph too */
	uint32_t n_members;
	State state;
	bool dropped;                         /* carried, and only makes sizes of a tensor that is gone */
	size_t next_carried;                  /* of its sub-graph, as Writer's */
	Exchange *exchange;
	size_t n_exchanges, cap_exchanges;
} Group;

typedef struct Item { Group *group; Node *own; } Item;        /* one of the two */

typedef enum PatchKind { PATCH_NODES, PATCH_VALUES, PATCH_SIZES, PATCH_NAME } PatchKind;
typedef struct Patch { PatchKind kind; const char *from, *to, *name; size_t section; } Patch;

typedef struct Writer {
	Job *job;
	Graph *g;
	Torch *t;
	Group *group;                         /* by TorchNode.id */
	Item *item;
	size_t n_items, cap_items;
	uint32_t *made_at;                    /* by Value.id: item that makes it, plus 1; 0: none (yet) */
	Patch *patch;
	size_t n_patches, cap_patches;
	/* nodes of the file with a smaller index that are carried are items already */
	size_t next_carried;
	Speller speller;
	void (*write)(void *user, const char *text, size_t size);
	void *user;
} Writer;

/* ---- groups ---- */

static TorchNode *torch_node(const SourceNode *s)
{
	return (TorchNode *)(uintptr_t)s;             /* its first member */
}

static void number_groups(Writer *w, const TorchNode *node, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const TorchInlined *in = node[i].source.inlined;
		w->group[node[i].id].node = &node[i];
		if (in)
			number_groups(w, in->node, in->n_nodes);
	}
}

static void gather_members(Writer *w)
{
	Arena *a = &w->job->scratch;
	w->group = NEW_ARRAY(a, w->t->n_ids, Group);
	number_groups(w, w->t->node, w->t->n_nodes);
	for (uint32_t i = 0; i < w->t->n_ids; i++)
		w->group[i].member = NEW_ARRAY(a, w->group[i].node->source.n_nodes, Node *);
	for (Node *n = w->g->first; n; n = n->next)
		for (const SourceNode *s = n->source; s; s = s->outer) {
			Group *g = &w->group[torch_node(s)->id];
			g->member[g->n_members++] = n;
		}
}

static bool is_inside(const Node *n, const TorchNode *group)
{
	const SourceNode *s = n ? n->source : NULL;
	while (s && s != &group->source)
		s = s->outer;
	return s;
}

static void exchange(Writer *w, Group *g, const char *place, const char *name)
{
	g->exchange = arena_grow(&w->job->scratch, g->exchange, g->n_exchanges, &g->cap_exchanges, sizeof *g->exchange);
	g->exchange[g->n_exchanges++] = (Exchange){ place, name };
}

static bool named_by(Writer *w, Group *g, const char *place, const Value *v)
{
	if (!v || v->kind == VALUE_LITERAL)
		return false;
	exchange(w, g, place, v->name);
	return true;
}

static bool used_inside_only(const Value *v, const TorchNode *group)
{
	for (const Use *u = v->uses; u; u = u->next)
		if (!is_inside(u->node, group))
			return false;
	return true;
}

static bool member_stands(Writer *w, Group *g, const Node *n)
{
	for (uint32_t i = 0; i < n->n_in; i++) {
		const Value *v = n->in[i].value;
		bool own = !v || v->kind == VALUE_LITERAL || is_inside(v->def, g->node);
		if (n->place[i] ? !named_by(w, g, n->place[i], v) : !own)
			return false;
	}
	for (uint32_t i = 0; i < n->n_out; i++) {
		const char *place = n->place[n->n_in + i];
		if (place ? !named_by(w, g, place, n->out[i]) : !used_inside_only(n->out[i], g->node))
			return false;
	}
	return true;
}

static bool is_named(const TorchNode *node, const Value *v)
{
	for (uint32_t i = 0; i < node->n_made; i++)
		if (torch_name_is(node->made[i], v->name))
			return true;
	return false;
}

/* The input of the sub-graph that this operand was read through; -1: none. */
static int inner_input(const TorchInlined *in, const char *place)
{
	size_t n = place ? torch_name_size(place) + 2 : 0;
	for (uint32_t i = 0; place && i < in->n_inputs; i++)
		if (torch_name_size(in->inner[i]) + 2 == n && !memcmp(in->inner[i], place, n))
			return (int)i;
	return -1;
}

/* A node inside a sub-graph: what it reads from outside goes through the sub-graph's inputs, what leaves is named among
 * its results. */
static bool inner_stands(Writer *w, Group *g, const Node *n)
{
	const TorchInlined *in = g->node->source.inlined;
	for (uint32_t i = 0; i < n->n_in; i++) {
		int k = n->source->outer == &g->node->source ? inner_input(in, n->place[i]) : -1;
		const Value *v = n->in[i].value;
		if (k >= 0 && (!v || is_inside(v->def, g->node) || !named_by(w, g, in->place[k], v)))
			return false;
	}
	for (uint32_t i = 0; i < n->n_out; i++)
		if (!used_inside_only(n->out[i], g->node) && !is_named(g->node, n->out[i]))
			return false;
	return true;
}

static int by_place(const void *a, const void *b)
{
	const Exchange *x = a, *y = b;
	return (x->place > y->place) - (x->place < y->place);
}

/* Several operands may come from one place, and must still be one value. Most exchanges put the name that is there. */
static bool settle_exchanges(Group *g)
{
	size_t n = 0;
	if (g->n_exchanges)
		qsort(g->exchange, g->n_exchanges, sizeof *g->exchange, by_place);
	for (size_t i = 0; i < g->n_exchanges; i++) {
		const Exchange *e = &g->exchange[i];
		if (i && e[-1].place == e->place && strcmp(e[-1].name, e->name))
			return false;
	}
	for (size_t i = 0; i < g->n_exchanges; i++) {
		Exchange e = g->exchange[i];
		if (!torch_name_is(e.place, e.name) && !(n && g->exchange[n - 1].place == e.place))
			g->exchange[n++] = e;
	}
	g->n_exchanges = n;
	return true;
}

/* A node of a sub-graph is written outside of it: the names that no value stands for are exchanged, too. */
static bool names_stand(Writer *w, Group *g)
{
	for (uint32_t i = 0; i < g->node->n_names && g->node->source.outer; i++) {
		const TorchName *name = &g->node->names[i];
		if (!name->as)
			return false;
		exchange(w, g, name->place, name->as);
	}
	return true;
}

static bool stands(Writer *w, Group *g)
{
	if (g->n_members != g->node->source.n_nodes || g->node->bound)
		return false;
	for (uint32_t i = 0; i < g->n_members; i++)
		if (!(g->node->source.inlined ? inner_stands : member_stands)(w, g, g->member[i]))
			return false;
	return names_stand(w, g) && settle_exchanges(g);
}

static bool is_whole(Writer *w, Group *g)
{
	if (g->state == UNSEEN)
		g->state = stands(w, g) ? WHOLE : BROKEN;
	return g->state == WHOLE;
}

/* The outermost node of the file that n can be written as a part of; NULL: none. */
static Group *owner(Writer *w, const Node *n)
{
	Group *found = NULL;
	for (const SourceNode *s = n->source; s; s = s->outer) {
		Group *g = &w->group[torch_node(s)->id];
		if (is_whole(w, g))
			found = g;
	}
	return found;
}

/* ---- items ---- */

_Noreturn static void cannot(const Writer *w, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

_Noreturn static void cannot(const Writer *w, const char *name, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *why = arena_vprintf(&w->job->scratch, fmt, ap);
	va_end(ap);
	fail_at(w->job, GRAFT_E_UNSUPPORTED, name,
	        "the graph cannot be written as torch.export's: %s; find the pass that did it with "
	        "--opt-limit and leave it out with --disable", why);
}

static void add_item(Writer *w, Group *group, Node *own)
{
	w->item = arena_grow(&w->job->scratch, w->item, w->n_items, &w->cap_items, sizeof *w->item);
	w->item[w->n_items++] = (Item){ group, own };
}

static bool is_dropped(const Writer *w, const TorchName *name)
{
	return name->maker && w->group[name->maker->id].dropped;
}

/* Is what a carried node reads still made, and before it? */
static bool can_carry(const Writer *w, const TorchNode *n)
{
	bool there = true;
	for (uint32_t i = 0; i < n->n_names; i++) {
		const TorchName *name = &n->names[i];
		const Value *v = name->tensor && name->as ? value_find(w->g, name->as, strlen(name->as)) : NULL;
		there = there && !(name->tensor ? !v : is_dropped(w, name));
		if (v && v->def && !w->made_at[v->id])
			cannot(w, n->target, "%s reads '%s', which is made later now", n->target, v->name);
	}
	return there;
}

static bool makes_sizes(const TorchNode *n)
{
	for (uint32_t i = 0; i < n->n_names; i++)
		if (n->names[i].made)
			return true;
	return false;
}

static void add_carried(Writer *w, Group *g)
{
	if (can_carry(w, g->node)) {
		if (is_whole(w, g))
			add_item(w, g, NULL);
		else
			cannot(w, g->node->target, "%s reads a size that has no name outside of its sub-graph",
			       g->node->target);
		return;
	}
	if (!makes_sizes(g->node))
		cannot(w, g->node->target, "%s reads a value that is made no more", g->node->target);
	g->dropped = true;
}

static void carry_up_to(Writer *w, const TorchNode *node, size_t *next, size_t end)
{
	for (; *next < end; ++*next) {
		const TorchNode *n = &node[*next];
		const TorchInlined *in = n->source.inlined;
		Group *g = &w->group[n->id];
		if (n->carried)
			add_carried(w, g);
		else if (in && !is_whole(w, g))
			carry_up_to(w, in->node, &g->next_carried, in->n_nodes);
	}
}

/* What stood in front of n and is carried. */
static void carry_before(Writer *w, const TorchNode *n)
{
	if (!n->source.outer) {
		carry_up_to(w, w->t->node, &w->next_carried, n->source.index);
		return;
	}
	const TorchNode *outer = torch_node(n->source.outer);
	const TorchInlined *in = outer->source.inlined;
	carry_before(w, outer);
	carry_up_to(w, in->node, &w->group[outer->id].next_carried, n->source.index);
}

static void check_sizes(const Writer *w, const char *reader, const TorchName *name, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!name[i].made && !name[i].tensor && is_dropped(w, &name[i]))
			cannot(w, reader, "%s reads the size '%s' of a value that is made no more", reader, name[i].as);
}

static void check_order(Writer *w, const Node *n, const Group *g)
{
	for (uint32_t i = 0; i < n->n_in; i++) {
		const Value *v = n->in[i].value;
		if (v && v->def && !w->made_at[v->id] && !(g && is_inside(v->def, g->node)))
			cannot(w, node_label(n),
			       "'%s' reads '%s', which is made by a node of the file that only ends behind it",
			       node_label(n), v->name);
	}
}

static void mark_made(Writer *w, const Node *n)
{
	for (uint32_t i = 0; i < n->n_out; i++)
		w->made_at[n->out[i]->id] = (uint32_t)w->n_items;
}

static void add_group(Writer *w, Group *g)
{
	carry_before(w, g->node);
	check_sizes(w, g->node->target, g->node->names, g->node->n_names);
	for (uint32_t i = 0; i < g->n_members; i++)
		check_order(w, g->member[i], g);
	add_item(w, g, NULL);
	for (uint32_t i = 0; i < g->n_members; i++)
		mark_made(w, g->member[i]);
}

/* A group stands where its last node stands: then all that it reads is there. */
static void list_items(Writer *w)
{
	for (Node *n = w->g->first; n; n = n->next) {
		Group *g = owner(w, n);
		if (g) {
			if (g->member[g->n_members - 1] == n)
				add_group(w, g);
			continue;
		}
		if (n->source && op_code(n->op) == OP_unknown)
			cannot(w, node_label(n), "%s works under autocast, and cannot be taken out of its sub-graph, in "
			       "which something was changed", n->name);
		check_order(w, n, NULL);
		add_item(w, NULL, n);
		mark_made(w, n);
	}
	carry_up_to(w, w->t->node, &w->next_carried, w->t->n_nodes);
	check_sizes(w, "an output", w->t->size_output, w->t->n_size_outputs);
}

/* ---- patches ---- */

static void add_patch(Writer *w, PatchKind kind, const char *from, const char *to, const char *name)
{
	w->patch = arena_grow(&w->job->scratch, w->patch, w->n_patches, &w->cap_patches, sizeof *w->patch);
	w->patch[w->n_patches++] = (Patch){ kind, from, to, name, 0 };
}

static const char *end_of(Json v)
{
	return json_skip_value(v.text, v.at);
}

/* What stands between the brackets, but for blanks at the end. */
static void patch_inside(Writer *w, PatchKind kind, Json container)
{
	const char *from = container.at + 1, *to = end_of(container) - 1;
	while (to > from && strchr(" \t\n\r", to[-1]))
		to--;
	add_patch(w, kind, from, to, NULL);
}

/* The name in {"as_tensor": {"name": ...}} or {"name": ...}; not there: at NULL. */
static Json tensor_name(Json v)
{
	Json inner = json_kind(v) == JSON_OBJECT ? json_member(v, "as_tensor") : v;
	if (json_kind(v) != JSON_OBJECT)
		return (Json){ v.text, NULL, NULL };
	return json_member(json_there(inner) ? inner : v, "name");
}

static bool patch_name(Writer *w, Json name, const Value *v)
{
	if (!json_there(name) || json_kind(name) != JSON_STRING || torch_name_is(name.at, v->name))
		return false;
	add_patch(w, PATCH_NAME, name.at, json_skip_string(name.at), v->name);
	return true;
}

/* {"user_output": {"arg": {"as_tensor": {...}}}} and the like. */
static Json spec_name(Json spec)
{
	JsonList l = json_list(spec, JSON_OBJECT);
	if (!json_more(&l) || json_kind(l.here) != JSON_OBJECT)
		return (Json){ spec.text, NULL, NULL };
	Json arg = json_member(l.here, "arg");
	return json_there(arg) ? tensor_name(arg) : arg;
}

/* An output's value may now be made under another name; the graph's list and the signature's say it both. */
static void patch_outputs(Writer *w)
{
	uint32_t i = 0;
	JsonList spec = json_list(w->t->output_specs, JSON_ARRAY);
	for (JsonList l = json_list(w->t->outputs, JSON_ARRAY); json_more(&l);) {
		bool has_spec = json_more(&spec);
		if (torch_union(l.here).tag != TAG_tensor)
			continue;
		assert(i < w->g->n_outputs);
		const Value *v = w->g->outputs[i++]->use.value;
		if (patch_name(w, tensor_name(l.here), v) && has_spec)
			patch_name(w, spec_name(spec.here), v);
	}
}

static int by_from(const void *a, const void *b)
{
	const Patch *x = a, *y = b;
	return (x->from > y->from) - (x->from < y->from);
}

static bool is_unchanged(const Writer *w)
{
	if (w->n_items != w->t->n_nodes || w->n_patches)
		return false;
	for (size_t i = 0; i < w->n_items; i++) {
		const Group *g = w->item[i].group;
		if (!g || g->node != &w->t->node[i] || g->n_exchanges)
			return false;
	}
	return true;
}

/* ---- text ---- */

static void put(Writer *w, const char *s, size_t n)
{
	if (n)
		w->write(w->user, s, n);
}

static void put_text(Writer *w, Text *t)
{
	put(w, t->text, t->size);
	t->size = 0;
}

/* What the file puts between its elements, and in front of the first one. */
static TorchWord separator(Json container)
{
	const char *p = container.at + 1;
	JsonList l = json_list(container, *container.at == '[' ? JSON_ARRAY : JSON_OBJECT);
	if (!json_more(&l))
		return (TorchWord){ ", ", 2 };
	const char *first = end_of(l.here);
	if (!json_more(&l))
		return (TorchWord){ ", ", 2 };
	p = *container.at == '[' ? l.here.at : l.key - 1;
	return (TorchWord){ first, (size_t)(p - first) };
}

static TorchWord head(Json container)
{
	JsonList l = json_list(container, *container.at == '[' ? JSON_ARRAY : JSON_OBJECT);
	const char *start = container.at + 1;
	if (!json_more(&l))
		return (TorchWord){ "", 0 };
	return (TorchWord){ start, (size_t)((*container.at == '[' ? l.here.at : l.key - 1) - start) };
}

static void put_group(Writer *w, const Group *g)
{
	const SourceNode *s = &g->node->source;
	const char *at = s->text;
	for (size_t i = 0; i < g->n_exchanges; i++) {
		const Exchange *e = &g->exchange[i];
		put(w, at, (size_t)(e->place + 1 - at));
		put(w, e->name, strlen(e->name));
		at = json_skip_string(e->place) - 1;
	}
	put(w, at, (size_t)(s->text + s->size - at));
}

static void put_nodes(Writer *w)
{
	TorchWord between = separator(w->t->nodes), first = head(w->t->nodes);
	Text t = { .arena = &w->job->scratch };
	put(w, first.s, first.n);
	for (size_t i = 0; i < w->n_items; i++) {
		if (i)
			put(w, between.s, between.n);
		if (w->item[i].group) {
			put_group(w, w->item[i].group);
			continue;
		}
		torch_spell_node(&w->speller, &t, w->item[i].own);
		put_text(w, &t);
	}
}

/* ---- tensor_values ---- */

typedef struct Values {
	Writer *w;
	bool *there;                          /* by Value.id: it has its entry */
	TorchWord between;
	size_t n;
	Text t;
	const TorchInlined *in;               /* the sub-graph whose entries were looked at last, and where */
	JsonList at;
} Values;

static void begin_entry(Values *x)
{
	if (x->n++)
		put(x->w, x->between.s, x->between.n);
}

static void keep_entries(Values *x)
{
	const Torch *t = x->w->t;
	for (JsonList l = json_list(t->tensor_values, JSON_OBJECT); json_more(&l);) {
		const Value *v = value_find(x->w->g, l.key, l.key_size);
		if (!v || (v->def && !x->w->made_at[v->id]))
			continue;
		begin_entry(x);
		put(x->w, l.key - 1, (size_t)(end_of(l.here) - (l.key - 1)));
		x->there[v->id] = true;
	}
}

/* Entries are looked for in the order in which they stand, as a rule, so the search goes on where the last one
 * ended. */
static Json inner_meta(Values *x, const TorchInlined *in, const char *place)
{
	size_t n = torch_name_size(place);
	for (int turn = 0; turn < 2; turn++) {
		if (x->in != in || turn)
			x->at = json_list(in->tensor_values, JSON_OBJECT);
		x->in = in;
		while (json_more(&x->at))
			if (x->at.key_size == n && !memcmp(x->at.key, place + 1, n))
				return x->at.here;
	}
	assert(false && "a result was read without its entry");
	return x->at.here;
}

/* A result of a sub-graph that was taken apart has its entry there, under the name it had. */
static void put_inner_meta(Values *x, const Node *n, const Value *v)
{
	const char *place = n->place ? n->place[n->n_in + v->index] : NULL;
	const TorchInlined *in = n->source && n->source->outer ? n->source->outer->inlined : NULL;
	if (place && in) {
		Json meta = inner_meta(x, in, place);
		put(x->w, meta.at, (size_t)(end_of(meta) - meta.at));
		return;
	}
	torch_spell_meta(&x->w->speller, &x->t, v);
	put_text(x->w, &x->t);
}

/* within: the sub-graph, still whole, that n is a part of; NULL: none */
static void add_entries(Values *x, const Node *n, const TorchNode *within)
{
	for (uint32_t i = 0; i < n->n_out; i++) {
		const Value *v = n->out[i];
		if (x->there[v->id] || (within && !is_named(within, v)))
			continue;
		x->there[v->id] = true;
		begin_entry(x);
		text_printf(&x->t, "\"%s\": ", v->name);
		put_text(x->w, &x->t);
		put_inner_meta(x, n, v);
	}
}

static void put_values(Writer *w)
{
	Values x = { .w = w, .there = NEW_ARRAY(&w->job->scratch, w->g->next_value, bool),
	             .between = separator(w->t->tensor_values),
	             .t = { .arena = &w->job->scratch } };
	TorchWord first = head(w->t->tensor_values);
	put(w, first.s, first.n);
	keep_entries(&x);
	for (size_t i = 0; i < w->n_items; i++) {
		const Group *g = w->item[i].group;
		if (!g)
			add_entries(&x, w->item[i].own, NULL);
		for (uint32_t k = 0; g && g->node->source.outer && k < g->n_members; k++)
			add_entries(&x, g->member[k], g->node->source.inlined ? g->node : NULL);
	}
}

/* ---- sizes of sub-graphs ---- */

typedef struct Sizes { Writer *w; size_t section; TorchWord between; bool first; } Sizes;

static void put_size(Sizes *x, const TorchName *name)
{
	Json meta = { &x->w->t->text, name->meta, NULL };
	if (!x->first)
		put(x->w, x->between.s, x->between.n);
	x->first = false;
	put(x->w, "\"", 1);
	put(x->w, name->as, strlen(name->as));
	put(x->w, "\": ", 3);
	put(x->w, meta.at, (size_t)(end_of(meta) - meta.at));
}

static bool is_new_size(const TorchName *name, size_t section)
{
	return name->made && name->meta && name->section == section;
}

/* Calls put_size for those that nodes of sub-graphs, now written outside, make; x NULL: only says whether there are
 * any. */
static bool each_size(Writer *w, size_t section, Sizes *x)
{
	bool any = false;
	for (size_t i = 0; i < w->n_items; i++) {
		const TorchNode *n = w->item[i].group ? w->item[i].group->node : NULL;
		for (uint32_t k = 0; n && n->source.outer && k < n->n_names; k++) {
			if (!is_new_size(&n->names[k], section))
				continue;
			any = true;
			if (x)
				put_size(x, &n->names[k]);
		}
	}
	return any;
}

static void put_sizes(Writer *w, size_t section)
{
	Json container = w->t->sizes[section];
	JsonList l = json_list(container, JSON_OBJECT);
	Sizes x = { w, section, separator(container), !json_more(&l) };
	each_size(w, section, &x);
}

static void patch_sizes(Writer *w)
{
	for (size_t i = 0; i < TORCH_SECTIONS; i++) {
		if (!each_size(w, i, NULL))
			continue;
		if (!json_there(w->t->sizes[i]))
			cannot(w, w->g->name, "the sizes of a sub-graph that is taken apart have no place in the file");
		patch_inside(w, PATCH_SIZES, w->t->sizes[i]);
		Patch *p = &w->patch[w->n_patches - 1];
		p->from = p->to;
		p->section = i;
	}
}

/* ---- the document ---- */

static void put_patch(Writer *w, const Patch *p)
{
	Text t = { .arena = &w->job->scratch };
	switch (p->kind) {
	case PATCH_NODES: put_nodes(w); break;
	case PATCH_VALUES: put_values(w); break;
	case PATCH_SIZES: put_sizes(w, p->section); break;
	case PATCH_NAME:
		text_printf(&t, "\"%s\"", p->name);
		put_text(w, &t);
		break;
	}
}

static void put_document(Writer *w)
{
	const char *at = w->t->text.data;
	memset(w->speller.next, 0, sizeof w->speller.next);
	for (size_t i = 0; i < w->n_patches; i++) {
		put(w, at, (size_t)(w->patch[i].from - at));
		put_patch(w, &w->patch[i]);
		at = w->patch[i].to;
	}
	put(w, at, (size_t)(w->t->text.end - at));
}

/* The graph's document, and a view of its text whose errors go to this job. The document itself is shared and stays as
 * it is. */
static Torch *view_of(Job *job, const Graph *g)
{
	if (!g->document)
		fail(job, GRAFT_E_USAGE, "only a graph that was read from a torch.export file can be written as one");
	Torch *t = arena_copy(&job->scratch, g->document, sizeof(Torch));
	t->text.arena = &job->scratch;
	Json *const places[] = { &t->root, &t->graph, &t->nodes, &t->tensor_values, &t->outputs, &t->output_specs,
	                         &t->sizes[0], &t->sizes[1], &t->sizes[2] };
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		places[i]->text = &t->text;
	return t;
}

static void begin(Writer *w, Job *job, Graph *g)
{
	*w = (Writer){ .job = job, .g = g, .t = view_of(job, g),
	               .made_at = NEW_ARRAY(&job->scratch, g->next_value, uint32_t) };
	w->speller = (Speller){ .job = job, .g = g, .t = w->t };
	gather_members(w);
	list_items(w);
	patch_outputs(w);
	if (is_unchanged(w))
		return;
	patch_inside(w, PATCH_NODES, w->t->nodes);
	patch_inside(w, PATCH_VALUES, w->t->tensor_values);
	patch_sizes(w);
	qsort(w->patch, w->n_patches, sizeof *w->patch, by_from);
}

static void discard(void *user, const char *text, size_t size)
{
	(void)user, (void)text, (void)size;
}

/* What cannot be written is found before anything is. */
void torch_write_json(Job *job, Graph *g, void (*write)(void *user, const char *text, size_t size), void *user)
{
	Writer w;
	begin(&w, job, g);
	w.write = discard;
	put_document(&w);
	w.write = write;
	w.user = user;
	put_document(&w);
}

/* ---- the archive ---- */

typedef struct Measure { uint64_t size; uint32_t crc; } Measure;

static void measure(void *user, const char *text, size_t size)
{
	Measure *m = user;
	m->size += size;
	m->crc = zip_crc(m->crc, text, size);
}

static void to_zip(void *user, const char *text, size_t size)
{
	zip_data(user, text, size);
}

static void put_model(Writer *w, ZipOut *z)
{
	Measure m = { 0 };
	w->write = measure;
	w->user = &m;
	put_document(w);
	zip_begin(z, w->t->model->name, m.size, m.crc);
	w->write = to_zip;
	w->user = z;
	put_document(w);
}

void torch_write_archive(Job *job, Graph *g, FileOut *file)
{
	Writer w;
	begin(&w, job, g);
	if (!w.t->zip)
		fail(job, GRAFT_E_USAGE,
		     "the graph was read from a bare model.json, which has no weights to make an archive of; write "
		     "--to pt2json");
	ZipOut *z = zip_create(job, file);
	for (size_t i = 0; i < w.t->zip->n; i++) {
		const ZipEntry *e = &w.t->zip->entry[i];
		if (e == w.t->model)
			put_model(&w, z);
		else if (e->name[strlen(e->name) - 1] != '/')
			zip_copy(z, e);
	}
	zip_end(z);
}

/* ---- the target of fused norms ---- */

const char *torch_op_target(Graph *g, const char *name)
{
	const char *colons = strstr(name, "::");
	if (!colons || !torch_is_identifier(name, (size_t)(colons - name)) ||
	    !torch_is_identifier(colons + 2, strlen(colons + 2)))
		fail(graph_job(g), GRAFT_E_USAGE, "a torch op is named ns::name, found '%s'", name);
	return arena_printf(&g->arena, "%.*s.%s.default", (int)(colons - name), name, colons + 2);
}
