/* torch_write.c - a graph that was imported goes back into its file.
 *
 * The file's text is the frame: everything is copied from it but the elements of `nodes`, entries of `tensor_values`,
 * and names of outputs that are now made under another name. A unit is written as its text stands, names exchanged where
 * a value was replaced; a node that has no text is spelled. If nothing came out different, the text itself is what is
 * written. Nothing is decided here: a graph that cannot be written does not come to be (DocumentWays.refuses).
 *
 *   Item    one element of `nodes` to be
 *   Patch   a part of the text that something else takes the place of
 *   Piece   what is written is a list of these, most of them of the file's own text; each node is in one
 */
#include "torch_spell.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct Item {
	const Node *node;                     /* the first of the unit */
	const SourceNode *unit;               /* NULL: the node is spelled */
	UnitName *name;                       /* those that are not what stands there */
	uint32_t n_names;
	size_t piece;                         /* the one it is in */
} Item;

typedef struct Piece { const char *s; size_t n; } Piece;

typedef enum PatchKind { PATCH_NODES, PATCH_VALUES, PATCH_SIZES, PATCH_NAME } PatchKind;
typedef struct Patch {
	PatchKind kind;
	const char *from, *to, *name;
	size_t section;
} Patch;

typedef struct Writer {
	Job *job;
	Graph *g;
	Torch *t;
	Item *item;
	size_t n_items;
	Patch *patch;
	size_t n_patches, cap_patches;
	Piece *piece;
	size_t n_pieces, cap_pieces;
	const char **entry;                   /* where names of tensor_values stand in what was written */
	size_t n_entries, cap_entries;
	Speller speller;
} Writer;

/* ---- items ---- */

/* Most names stand there as they are; operands that come from one place are one value. */
static void exchanged(Writer *w, Item *item)
{
	uint32_t n = unit_names(item->node, &w->job->scratch, &item->name);
	for (uint32_t i = 0; i < n; i++) {
		const UnitName *x = &item->name[i];
		assert(!i || x[-1].place != x->place || x[-1].value == x->value);
		bool again = item->n_names && item->name[item->n_names - 1].place == x->place;
		if (!again && !torch_name_is(x->place, x->value->name))
			item->name[item->n_names++] = *x;
	}
}

static void list_items(Writer *w)
{
	w->item = NEW_ARRAY(&w->job->scratch, w->g->n_nodes, Item);
	for (const Node *n = w->g->first; n; n = unit_last(n)->next) {
		Item *item = &w->item[w->n_items++];
		*item = (Item){ .node = n, .unit = n->unit };
		if (n->unit)
			exchanged(w, item);
	}
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

static void patch_pins(Writer *w)
{
	for (const Pin *p = w->g->pins; p; p = p->next)
		patch_name(w, (Json){ &w->t->text, p->place, NULL }, p->use.value);
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
	for (size_t i = 0; i < w->n_items; i++)
		if (w->item[i].unit != &w->t->node[i].source || w->item[i].n_names)
			return false;
	return true;
}

/* ---- text ---- */

/* s lives until the document is written. */
static void put(Writer *w, const char *s, size_t n)
{
	if (!n)
		return;
	w->piece = arena_grow(&w->job->scratch, w->piece, w->n_pieces, &w->cap_pieces, sizeof *w->piece);
	w->piece[w->n_pieces++] = (Piece){ s, n };
}

static void put_text(Writer *w, Text *t)
{
	put(w, arena_strndup(&w->job->scratch, t->size ? t->text : "", t->size), t->size);
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

static void put_unit(Writer *w, const Item *item, Text *t)
{
	const SourceNode *s = item->unit;
	const char *at = s->text;
	if (!item->n_names) {
		put(w, s->text, s->size);
		return;
	}
	for (uint32_t i = 0; i < item->n_names; i++) {
		const UnitName *x = &item->name[i];
		text_add(t, at, (size_t)(x->place + 1 - at));
		text_puts(t, x->value->name);
		at = json_skip_string(x->place) - 1;
	}
	text_add(t, at, (size_t)(s->text + s->size - at));
	put_text(w, t);
}

static void put_nodes(Writer *w)
{
	TorchWord between = separator(w->t->nodes), first = head(w->t->nodes);
	Text t = { .arena = &w->job->scratch };
	put(w, first.s, first.n);
	for (size_t i = 0; i < w->n_items; i++) {
		if (i)
			put(w, between.s, between.n);
		w->item[i].piece = w->n_pieces;
		if (w->item[i].unit) {
			put_unit(w, &w->item[i], &t);
			continue;
		}
		torch_spell_node(&w->speller, &t, w->item[i].node);
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
} Values;

/* name: the text of the entry, from the quote of its name on */
static void put_entry(Values *x, const char *name, size_t n)
{
	Writer *w = x->w;
	if (x->n++)
		put(w, x->between.s, x->between.n);
	w->entry = arena_grow(&w->job->scratch, w->entry, w->n_entries, &w->cap_entries, sizeof *w->entry);
	w->entry[w->n_entries++] = name;
	put(w, name, n);
}

static void keep_entries(Values *x)
{
	const Torch *t = x->w->t;
	for (JsonList l = json_list(t->tensor_values, JSON_OBJECT); json_more(&l);) {
		const Value *v = value_find(x->w->g, l.key, l.key_size);
		if (!v || !value_outside(v))
			continue;
		put_entry(x, l.key - 1, (size_t)(end_of(l.here) - (l.key - 1)));
		x->there[v->id] = true;
	}
}

/* A value that the file knew under another name, or in a sub-graph, is still what was said of it there. */
static void put_meta(Values *x, const Value *v)
{
	if (v->meta) {
		put(x->w, v->meta, (size_t)(json_skip_value(&x->w->t->text, v->meta) - v->meta));
		return;
	}
	torch_spell_meta(&x->w->speller, &x->t, v);
	put_text(x->w, &x->t);
}

static void add_entries(Values *x, const Node *n)
{
	for (uint32_t i = 0; i < n->n_out; i++) {
		const Value *v = n->out[i];
		if (x->there[v->id] || !value_outside(v))
			continue;
		x->there[v->id] = true;
		const char *name = arena_printf(&x->w->job->scratch, "\"%s\": ", v->name);
		put_entry(x, name, strlen(name));
		put_meta(x, v);
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
	for (const Node *n = w->g->first; n; n = n->next)
		add_entries(&x, n);
}

/* ---- sizes of sub-graphs ---- */

typedef struct Sizes { Writer *w; size_t section; TorchWord between; bool first; } Sizes;

static void put_size(Sizes *x, const Value *v)
{
	if (!x->first)
		put(x->w, x->between.s, x->between.n);
	x->first = false;
	put(x->w, "\"", 1);
	put(x->w, v->name, strlen(v->name));
	put(x->w, "\": ", 3);
	put(x->w, v->meta, (size_t)(json_skip_value(&x->w->t->text, v->meta) - v->meta));
}

/* Does only the table of a sub-graph say what it is? */
static bool is_inner_size(const Writer *w, const Value *v, size_t section)
{
	Json table = w->t->sizes[section];
	return v->section == section && !(json_there(table) && v->meta > table.at && v->meta < end_of(table));
}

/* Calls put_size for those that nodes of sub-graphs, now written outside, make; x NULL: only says whether there are
 * any. */
static bool each_size(Writer *w, size_t section, Sizes *x)
{
	bool any = false;
	for (const Node *n = w->g->first; n; n = n->next)
		for (uint32_t i = 0; i < n->n_sizes && n->unit == n->source; i++) {
			if (!is_inner_size(w, n->size[i], section))
				continue;
			any = true;
			if (x)
				put_size(x, n->size[i]);
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
			fail(w->job, GRAFT_E_UNSUPPORTED, "the sizes of a sub-graph that is taken apart have no place in the file");
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
	for (size_t i = 0; i < w->n_patches; i++) {
		put(w, at, (size_t)(w->patch[i].from - at));
		put_patch(w, &w->patch[i]);
		at = w->patch[i].to;
	}
	put(w, at, (size_t)(w->t->text.end - at));
}

/* ---- reading back ---- */

static Json text_of(Writer *w, const char *s, size_t n)
{
	JsonText *text = arena_copy(&w->job->scratch, &w->t->text, sizeof *text);
	text->data = s;
	text->end = s + n;
	return (Json){ text, s, NULL };
}

/* A part of the file in which no more than names took another's place, as it was written. */
static Json written(Writer *w, Json v)
{
	Text t = { .arena = &w->job->scratch };
	const char *at = v.at, *end = json_there(v) ? end_of(v) : NULL;
	for (size_t i = 0; i < w->n_patches && json_there(v); i++) {
		const Patch *p = &w->patch[i];
		if (p->kind != PATCH_NAME || p->from < at || p->to > end)
			continue;
		text_add(&t, at, (size_t)(p->from - at));
		text_printf(&t, "\"%s\"", p->name);
		at = p->to;
	}
	if (!json_there(v) || at == v.at)
		return v;
	text_add(&t, at, (size_t)(end - at));
	return text_of(w, t.text, t.size);
}

static TorchWritten all_written(Writer *w)
{
	const Torch *t = w->t;
	TorchWritten x = { .inputs = t->inputs, .outputs = written(w, t->outputs),
	                   .output_specs = written(w, t->output_specs), .calls = written(w, t->calls),
	                   .node = NEW_ARRAY(&w->job->scratch, w->n_items, TorchWrittenNode), .n_nodes = w->n_items,
	                   .entry = w->entry, .n_entries = w->n_entries };
	for (size_t i = 0; i < TORCH_SECTIONS; i++)
		x.sizes[i] = t->sizes[i];
	for (size_t i = 0; i < w->n_items; i++) {
		const Item *item = &w->item[i];
		const Piece *p = &w->piece[item->piece];
		Json json = item->unit && !item->n_names ? (Json){ &t->text, p->s, NULL } : text_of(w, p->s, p->n);
		x.node[i] = (TorchWrittenNode){ json, !item->unit };
	}
	return x;
}

/* The pass that made the node or, when a name is missing, removed what was called so. */
static const char *to_blame(const Writer *w, const TorchFault *f)
{
	if (f->node < w->n_items && !w->item[f->node].unit)
		return w->item[f->node].node->pass;
	for (const Node *n = w->g->gone; n; n = n->gone) {
		for (uint32_t i = 0; i < n->n_out; i++)
			if (f->name && torch_name_is(f->name, n->out[i]->name))
				return n->pass;
		for (uint32_t i = 0; i < n->n_sizes; i++)
			if (f->name && torch_name_is(f->name, n->size[i]->name))
				return n->pass;
	}
	return NULL;
}

static void read_back(Writer *w)
{
	TorchWritten x = all_written(w);
	TorchFault fault = { .node = SIZE_MAX };
	torch_read_back(w->job, &x, &fault);
	if (!fault.why)
		return;
	const char *pass = to_blame(w, &fault);
	fail_at(w->job, GRAFT_E_RULE, w->g->name, "what would be written cannot be read back: %s%s%s; nothing was written, and "
	        "the fault is graft's: leave that pass out with --disable, and report it", fault.why,
	        pass ? "; to blame is pass " : "", pass ? pass : "");
}

static void begin(Writer *w, Job *job, Graph *g)
{
	*w = (Writer){ .job = job, .g = g, .t = torch_view(job, g) };
	w->speller = (Speller){ .job = job, .g = g, .t = w->t };
	list_items(w);
	patch_outputs(w);
	patch_pins(w);
	if (is_unchanged(w))
		return;
	patch_inside(w, PATCH_NODES, w->t->nodes);
	patch_inside(w, PATCH_VALUES, w->t->tensor_values);
	patch_sizes(w);
	qsort(w->patch, w->n_patches, sizeof *w->patch, by_from);
}

/* The document as it will be, whole and read back, before any of it leaves. */
static void make_document(Writer *w, Job *job, Graph *g)
{
	begin(w, job, g);
	put_document(w);
	if (w->n_patches)
		read_back(w);
}

void torch_write_json(Job *job, Graph *g, void (*write)(void *user, const char *text, size_t size), void *user)
{
	Writer w;
	make_document(&w, job, g);
	for (size_t i = 0; i < w.n_pieces; i++)
		write(user, w.piece[i].s, w.piece[i].n);
}

/* ---- the archive ---- */

static void put_model(const Writer *w, ZipOut *z)
{
	uint64_t size = 0;
	uint32_t crc = 0;
	for (size_t i = 0; i < w->n_pieces; i++) {
		size += w->piece[i].n;
		crc = zip_crc(crc, w->piece[i].s, w->piece[i].n);
	}
	zip_begin(z, w->t->model->name, size, crc);
	for (size_t i = 0; i < w->n_pieces; i++)
		zip_data(z, w->piece[i].s, w->piece[i].n);
}

void torch_write_archive(Job *job, Graph *g, FileOut *file)
{
	Writer w;
	make_document(&w, job, g);
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
