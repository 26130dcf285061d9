/* json_write.c - a graph as native JSON: one line for each input, param and node, in the graph's order, what equals
 * its default left out. The bytes depend on the graph alone, so reading and writing again changes none. */
#include "io.h"
#include <math.h>
#include <string.h>

enum { PIECE = 1 << 16 };                     /* text is flushed when it has grown to this */

typedef struct Writer {
	Graph *g;
	Text *t;
	void (*flush)(void *user, Text *t);
	void *user;
	Attr defaults[OP_COUNT][MAX_ATTRS];
} Writer;

static void put_separator(Text *t, uint32_t i)
{
	if (i)
		text_add(t, ", ", 2);
}

static void put_dim(Text *t, Dim d)
{
	if (dim_is_const(d)) {
		json_put_int(t, d.value);
		return;
	}
	text_add(t, "\"", 1);
	dim_print(t, d);
	text_add(t, "\"", 1);
}

static void put_dims(Text *t, const Dim *dims, uint32_t n)
{
	text_puts(t, "[");
	for (uint32_t i = 0; i < n; i++) {
		put_separator(t, i);
		put_dim(t, dims[i]);
	}
	text_puts(t, "]");
}

static void put_axes(Text *t, const Attr *a)
{
	text_puts(t, "[");
	for (uint32_t i = 0; i < a->n; i++) {
		put_separator(t, i);
		json_put_int(t, a->ints[i]);
	}
	text_puts(t, "]");
}

/* before and after: what stands around a value that JSON has no number for. */
static void put_float(Text *t, double v, const char *before, const char *after)
{
	bool finite = isfinite(v);
	text_puts(t, finite ? "" : before);
	text_f64(t, v);
	text_puts(t, finite ? "" : after);
}

/* An attribute whose kind no row tells: an unknown op's, a literal, an element of a list. */
static void put_free(Text *t, const Attr *a)
{
	switch (a->kind) {
	case ATTR_BOOL: text_puts(t, a->i ? "true" : "false"); return;
	case ATTR_INT: json_put_int(t, a->i); return;
	case ATTR_FLOAT: put_float(t, a->f, "{\"literal\": \"", "\"}"); return;
	case ATTR_STRING: json_put_string(t, a->s); return;
	case ATTR_LIST: break;
	default: text_puts(t, "null"); return;
	}
	text_puts(t, "[");
	for (uint32_t i = 0; i < a->n; i++) {
		put_separator(t, i);
		put_free(t, &a->list[i]);
	}
	text_puts(t, "]");
}

static void put_word(Text *t, const char *words, int64_t index)
{
	while (index-- > 0)
		words = strchr(words, '|') + 1;
	text_puts(t, "\"");
	text_add(t, words, strcspn(words, "|"));
	text_puts(t, "\"");
}

static void put_known(Text *t, const AttrSpec *spec, const Attr *a)
{
	switch (a->kind) {
	case ATTR_AXIS: json_put_int(t, a->i); break;
	case ATTR_FLOAT: put_float(t, a->f, "\"", "\""); break;
	case ATTR_DIM: put_dim(t, a->dim); break;
	case ATTR_DIMS: put_dims(t, a->dims, a->n); break;
	case ATTR_AXES: put_axes(t, a); break;
	case ATTR_DTYPE: text_printf(t, "\"%s\"", graft_dtype_name((graft_dtype)a->i)); break;
	case ATTR_NAME: put_word(t, spec->words, a->i); break;
	default: put_free(t, a);
	}
}

/* `"key": ` in an object that began at `start`, with what must stand before it. */
static void put_key(Text *t, size_t start, const char *key)
{
	text_puts(t, t->size > start ? ", " : "{");
	json_put_string(t, key);
	text_add(t, ": ", 2);
}

static void put_attrs(Writer *w, const Node *n)
{
	Text *t = w->t;
	size_t start = 0;
	for (uint32_t i = 0; i < n->n_attr; i++) {
		const AttrSpec *spec = n->attr_name ? NULL : &n->op->attrs[i];
		if (spec && spec->fallback && attr_same(&n->attr[i], &w->defaults[op_code(n->op)][i]))
			continue;
		if (!start) {
			text_puts(t, ", \"attrs\": ");
			start = t->size;
		}
		put_key(t, start, spec ? spec->name : n->attr_name[i]);
		if (spec)
			put_known(t, spec, &n->attr[i]);
		else
			put_free(t, &n->attr[i]);
	}
	text_puts(t, start ? "}" : "");
}

static void put_operand(Text *t, const Value *v)
{
	if (!v)
		text_puts(t, "null");
	else if (v->kind == VALUE_LITERAL)
		put_free(t, &v->literal);
	else
		json_put_string(t, v->name);
}

static void put_type(Text *t, const Type *type)
{
	text_printf(t, "\"dtype\": \"%s\", \"shape\": ", graft_dtype_name(type->dtype));
	put_dims(t, type->dims, type->rank);
	text_puts(t, "}");
}

static void put_types(Text *t, const Node *n)
{
	text_puts(t, ", \"types\": [");
	for (uint32_t i = 0; i < n->n_out; i++) {
		put_separator(t, i);
		text_puts(t, "{");
		put_type(t, &n->out[i]->type);
	}
	text_puts(t, "]");
}

static void put_origin(Text *t, const Origin *o)
{
	text_puts(t, ", \"origin\": [");
	for (uint32_t i = 0; i < o->n; i++) {
		put_separator(t, i);
		json_put_string(t, o->names[i]);
	}
	text_puts(t, "]");
}

static void put_node(Writer *w, const Node *n)
{
	Text *t = w->t;
	text_puts(t, "{\"op\": ");
	json_put_string(t, n->name);
	text_puts(t, ", \"in\": [");
	for (uint32_t i = 0; i < n->n_in; i++) {
		put_separator(t, i);
		put_operand(t, n->in[i].value);
	}
	text_puts(t, "], \"out\": [");
	for (uint32_t i = 0; i < n->n_out; i++) {
		put_separator(t, i);
		json_put_string(t, n->out[i]->name);
	}
	text_puts(t, "]");
	put_attrs(w, n);
	if (!n->op->infer)
		put_types(t, n);
	if (n->origin.n)
		put_origin(t, &n->origin);
	text_puts(t, "}");
}

static void put_output(Text *t, const Output *o)
{
	if (!strcmp(o->name, o->use.value->name)) {
		json_put_string(t, o->name);
		return;
	}
	text_puts(t, "{\"name\": ");
	json_put_string(t, o->name);
	text_puts(t, ", \"value\": ");
	put_operand(t, o->use.value);
	text_puts(t, "}");
}

static void put_line(Writer *w, bool first)
{
	text_puts(w->t, first ? "\n" : ",\n");
	if (w->t->size >= PIECE)
		w->flush(w->user, w->t);
}

static void put_values(Writer *w, const char *key, Value *const *values, uint32_t n)
{
	text_printf(w->t, ",\n\"%s\": [", key);
	for (uint32_t i = 0; i < n; i++) {
		put_line(w, i == 0);
		text_puts(w->t, "{\"name\": ");
		json_put_string(w->t, values[i]->name);
		text_puts(w->t, ", ");
		put_type(w->t, &values[i]->type);
	}
	text_puts(w->t, n ? "\n]" : "]");
}

static void put_symbols(Text *t, const Graph *g)
{
	if (!g->symbols)
		return;
	text_puts(t, ",\n\"symbols\": ");
	size_t start = t->size;
	for (const Symbol *s = g->symbols; s; s = s->next) {
		put_key(t, start, s->name);
		text_puts(t, "[");
		json_put_int(t, s->min);
		text_puts(t, ", ");
		if (s->max == DIM_MAX)
			text_puts(t, "null");
		else
			json_put_int(t, s->max);
		text_puts(t, "]");
	}
	text_puts(t, "}");
}

static void put_head(Text *t, const Graph *g)
{
	text_printf(t, "{\n\"graft\": %d,\n\"name\": ", FORMAT_VERSION);
	json_put_string(t, g->name);
	if (g->weights) {
		text_puts(t, ",\n\"weights\": ");
		json_put_string(t, g->weights);
	}
	put_symbols(t, g);
}

static void put_nodes(Writer *w)
{
	bool first = true;
	text_puts(w->t, ",\n\"nodes\": [");
	for (const Node *n = w->g->first; n; n = n->next) {
		if (n->note)
			continue;
		put_line(w, first);
		put_node(w, n);
		first = false;
	}
	text_puts(w->t, first ? "]" : "\n]");
}

static void put_outputs(Text *t, const Graph *g)
{
	text_puts(t, ",\n\"outputs\": [");
	for (uint32_t i = 0; i < g->n_outputs; i++) {
		put_separator(t, i);
		put_output(t, g->outputs[i]);
	}
	text_puts(t, "]\n}\n");
}

static void make_defaults(Writer *w)
{
	for (int op = 0; op < OP_COUNT; op++)
		for (int i = 0; i < op_table[op].n_attrs; i++)
			if (op_table[op].attrs[i].fallback)
				attr_default(w->g, &op_table[op].attrs[i], &w->defaults[op][i]);
}

void graph_print_json_to(Graph *g, Text *t, void (*flush)(void *user, Text *t), void *user)
{
	Writer *w = NEW(t->arena, Writer);
	*w = (Writer){ .g = g, .t = t, .flush = flush, .user = user };
	make_defaults(w);
	put_head(t, g);
	put_values(w, "inputs", g->inputs, g->n_inputs);
	put_values(w, "params", g->params, g->n_params);
	put_nodes(w);
	put_outputs(t, g);
	flush(user, t);
}
