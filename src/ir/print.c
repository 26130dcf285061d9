/* print.c - graphs as text: the notation, and Graphviz. What is printed depends on the graph alone. */
#include "graph.h"
#include "lex.h"
#include <inttypes.h>
#include <string.h>

/* ---- attributes ---- */

/* Word `index` of "late|early". */
static void word_print(Text *t, const char *words, int64_t index)
{
	while (index-- > 0)
		words = strchr(words, '|') + 1;
	text_add(t, words, strcspn(words, "|"));
}

static void dims_print(Text *t, const Attr *a)
{
	text_puts(t, "[");
	for (uint32_t i = 0; i < a->n; i++) {
		text_puts(t, i ? ", " : "");
		dim_print(t, a->dims[i]);
	}
	text_puts(t, "]");
}

static void axes_print(Text *t, const Attr *a)
{
	text_puts(t, "[");
	for (uint32_t i = 0; i < a->n; i++)
		text_printf(t, "%s%" PRId64, i ? ", " : "", a->ints[i]);
	text_puts(t, "]");
}

static void list_print(Text *t, const Attr *a)
{
	text_puts(t, "[");
	for (uint32_t i = 0; i < a->n; i++) {
		text_puts(t, i ? ", " : "");
		attr_print(t, NULL, &a->list[i]);
	}
	text_puts(t, "]");
}

void attr_print(Text *t, const AttrSpec *spec, const Attr *a)
{
	switch (a->kind) {
	case ATTR_NONE: text_puts(t, "none"); break;
	case ATTR_BOOL: text_puts(t, a->i ? "true" : "false"); break;
	case ATTR_INT:
	case ATTR_AXIS: text_printf(t, "%" PRId64, a->i); break;
	case ATTR_FLOAT: text_f64(t, a->f); break;
	case ATTR_STRING: string_print(t, a->s); break;
	case ATTR_LIST: list_print(t, a); break;
	case ATTR_DIM: dim_print(t, a->dim); break;
	case ATTR_DIMS: dims_print(t, a); break;
	case ATTR_AXES: axes_print(t, a); break;
	case ATTR_DTYPE: text_puts(t, graft_dtype_name((graft_dtype)a->i)); break;
	case ATTR_NAME: word_print(t, spec->words, a->i); break;
	}
}

static void cut_back(Text *t, size_t size)
{
	t->size = size;
	t->text[size] = '\0';
}

/* `name=value` after a separator; nothing when it is the default. Defaults are written in ops.def as they print. */
static void known_attr_print(Text *t, const AttrSpec *spec, const Attr *a, const char *before)
{
	size_t start = t->size, value;
	text_printf(t, "%s%s=", before, spec->name);
	value = t->size;
	attr_print(t, spec, a);
	if (spec->fallback && strcmp(t->text + value, spec->fallback) == 0)
		cut_back(t, start);
}

/* The attributes that are printed, separated by commas. */
static void attrs_print(Text *t, const Node *n)
{
	size_t start = t->size;
	for (uint32_t i = 0; i < n->n_attr; i++) {
		const char *before = t->size > start ? ", " : "";
		if (!n->attr_name) {
			known_attr_print(t, &n->op->attrs[i], &n->attr[i], before);
			continue;
		}
		text_puts(t, before);
		name_print(t, n->attr_name[i]);
		text_puts(t, "=");
		attr_print(t, NULL, &n->attr[i]);
	}
}

/* ---- nodes ---- */

static void value_print(Text *t, const Value *v)
{
	if (!v)
		text_puts(t, "none");
	else if (v->kind == VALUE_LITERAL)
		attr_print(t, NULL, &v->literal);
	else
		name_print(t, v->name);
}

static void typed_print(Text *t, const Value *v)
{
	name_print(t, v->name);
	text_puts(t, ": ");
	type_print(t, &v->type);
}

/* rms_norm(q_c, q_w) */
static void call_print(Text *t, const Node *n)
{
	name_print(t, n->name);
	text_puts(t, "(");
	for (uint32_t i = 0; i < n->n_in; i++) {
		text_puts(t, i ? ", " : "");
		value_print(t, n->in[i].value);
	}
	text_puts(t, ")");
}

static void origin_print(Text *t, const Origin *o)
{
	for (uint32_t i = 0; i < o->n; i++) {
		text_puts(t, i ? ", " : " @ [");
		name_print(t, o->names[i]);
	}
	text_puts(t, o->n ? "]" : "");
}

void node_print(Text *t, const Node *n)
{
	for (uint32_t i = 0; i < n->n_out; i++) {
		text_puts(t, i ? ", " : "");
		typed_print(t, n->out[i]);
	}
	text_puts(t, n->n_out ? " = " : "");
	call_print(t, n);
	size_t start = t->size;
	text_puts(t, " {");
	attrs_print(t, n);
	if (t->size == start + 2)
		cut_back(t, start);
	else
		text_puts(t, "}");
	origin_print(t, &n->origin);
}

/* ---- graphs ---- */

static void symbol_print(Text *t, const Symbol *s)
{
	text_printf(t, "symbol %s in [%" PRId64 ", ", s->name, s->min);
	if (s->max == DIM_MAX)
		text_puts(t, "inf]\n");
	else
		text_printf(t, "%" PRId64 "]\n", s->max);
}

static void values_print(Text *t, const char *word, Value *const *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		text_puts(t, word);
		typed_print(t, v[i]);
		text_puts(t, "\n");
	}
}

static void output_print(Text *t, const Output *o)
{
	text_puts(t, "output ");
	name_print(t, o->name);
	if (strcmp(o->name, o->use.value->name) != 0) {
		text_puts(t, " = ");
		name_print(t, o->use.value->name);
	}
	text_puts(t, "\n");
}

void graph_print(Graph *g, Text *t)
{
	text_puts(t, "graph ");
	name_print(t, g->name);
	text_puts(t, "\n");
	if (g->weights) {
		text_puts(t, "weights ");
		string_print(t, g->weights);
		text_puts(t, "\n");
	}
	for (const Symbol *s = g->symbols; s; s = s->next)
		symbol_print(t, s);
	values_print(t, "input ", g->inputs, g->n_inputs);
	values_print(t, "param ", g->params, g->n_params);
	for (const Node *n = g->first; n; n = n->next) {
		if (n->note)
			continue;
		node_print(t, n);
		text_puts(t, "\n");
	}
	for (uint32_t i = 0; i < g->n_outputs; i++)
		output_print(t, g->outputs[i]);
}

uint64_t graph_fingerprint(Graph *g, Arena *scratch)
{
	Text t = { .arena = scratch };
	uint64_t h = 0xcbf29ce484222325u;
	graph_print(g, &t);
	for (size_t i = 0; i < t.size; i++)
		h = (h ^ (unsigned char)t.text[i]) * 0x100000001b3u;
	return h;
}

/* ---- Graphviz ----
 *
 * A node is called after its first result, so that names, like the text, say nothing about how the graph was made:
 * n:NAME a node, v:NAME an input or parameter, o:NAME an output, a:NUMBER a node without results.
 */

typedef struct Dot {
	Text *t;
	Text part;                            /* notation on its way into a pair of quotes */
	uint64_t n_asserts;
} Dot;

/* What Graphviz would take for the end of a string, or for the fields of a record. */
static void dot_escape(Text *t, const char *s)
{
	for (; *s; s++) {
		if (strchr("\"\\{}|<>", *s))
			text_puts(t, "\\");
		text_add(t, s, 1);
	}
}

static void dot_flush(Dot *d)
{
	if (d->part.size)
		dot_escape(d->t, d->part.text);
	d->part.size = 0;
}

static void dot_name(Dot *d, const char *name)
{
	name_print(&d->part, name);
	dot_flush(d);
}

static void dot_id(Dot *d, char kind, const char *name)
{
	text_printf(d->t, "\"%c:", kind);
	dot_name(d, name);
	text_puts(d->t, "\"");
}

static void dot_value_id(Dot *d, const Value *v)
{
	if (v->kind == VALUE_RESULT)
		dot_id(d, 'n', v->def->out[0]->name);
	else
		dot_id(d, 'v', v->name);
}

static void dot_node_id(Dot *d, const Node *n)
{
	if (n->n_out)
		dot_id(d, 'n', n->out[0]->name);
	else
		text_printf(d->t, "\"a:%" PRIu64 "\"", d->n_asserts);
}

/* The arrow's head is still to be written. */
static void dot_tail(Dot *d, const Value *v)
{
	text_puts(d->t, "\t");
	dot_value_id(d, v);
	text_puts(d->t, " -> ");
}

static void dot_label(Dot *d, const Value *v)
{
	text_puts(d->t, " [label=\"");
	typed_print(&d->part, v);
	dot_flush(d);
	text_puts(d->t, "\"]\n");
}

static void dot_node(Dot *d, const Node *n)
{
	text_puts(d->t, "\t");
	dot_node_id(d, n);
	text_puts(d->t, " [label=\"{");
	call_print(&d->part, n);
	dot_flush(d);
	attrs_print(&d->part, n);
	text_puts(d->t, d->part.size ? "|" : "");
	dot_flush(d);
	text_puts(d->t, "}\"]\n");
	for (uint32_t i = 0; i < n->n_in; i++) {
		const Value *v = n->in[i].value;
		if (!v || v->kind == VALUE_LITERAL)
			continue;
		dot_tail(d, v);
		dot_node_id(d, n);
		dot_label(d, v);
	}
	d->n_asserts += !n->n_out;
}

static void dot_values(Dot *d, Value *const *v, uint32_t n, const char *style)
{
	for (uint32_t i = 0; i < n; i++) {
		text_puts(d->t, "\t");
		dot_value_id(d, v[i]);
		text_puts(d->t, " [label=\"");
		typed_print(&d->part, v[i]);
		dot_flush(d);
		text_printf(d->t, "\", %s]\n", style);
	}
}

static void dot_output(Dot *d, const Output *o)
{
	text_puts(d->t, "\t");
	dot_id(d, 'o', o->name);
	text_puts(d->t, " [label=\"");
	dot_name(d, o->name);
	text_puts(d->t, "\", shape=ellipse, peripheries=2]\n");
	dot_tail(d, o->use.value);
	dot_id(d, 'o', o->name);
	dot_label(d, o->use.value);
}

void graph_print_dot(Graph *g, Text *t)
{
	Dot d = { .t = t, .part = { .arena = &graph_job(g)->scratch } };
	text_puts(t, "digraph \"");
	dot_name(&d, g->name);
	text_puts(t, "\" {\n\tnode [shape=record, fontname=monospace]\n\tedge [fontname=monospace]\n");
	dot_values(&d, g->inputs, g->n_inputs, "shape=ellipse");
	dot_values(&d, g->params, g->n_params, "shape=box, style=filled, fillcolor=lightgrey");
	for (const Node *n = g->first; n; n = n->next)
		if (!n->note)
			dot_node(&d, n);
	for (uint32_t i = 0; i < g->n_outputs; i++)
		dot_output(&d, g->outputs[i]);
	text_puts(t, "}\n");
}
