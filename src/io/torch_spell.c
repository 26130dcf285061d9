/* torch_spell.c - the rows of torch_ops.def backwards, in the words of PyTorch's schemas.
 *
 *   row, node  ──collect──>  Given: what the node has to say for each argument that the row names
 *   schema     ──put_args──> each argument in its order, in a kind that its type takes
 *
 * Nothing here fails: a reason comes back instead, and the next row of the op is tried. torch_spell_refuses and
 * torch_spell_node ask the same function, so they cannot disagree.
 */
#include "torch_spell.h"
#include "torch_schema.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is to be said for one argument. */
typedef enum GivenKind { GIVEN_VALUE, GIVEN_LIST, GIVEN_ATTR, GIVEN_WORD } GivenKind;
typedef struct Given {
	GivenKind kind;
	TorchWord name;
	uint32_t operand;                     /* VALUE; LIST: the first of it */
	const AttrSpec *spec;                 /* ATTR */
	const Attr *attr;
	TorchWord word;                       /* WORD: what the row's condition says */
} Given;

enum { MAX_GIVEN = 16 };

typedef struct Spelling {
	Arena *arena;
	const Torch *torch;
	Graph *g;
	Text *t;
	const Node *n;
	const TorchRow *row;
	const char *target;
	TorchSchema schema;
	bool known;                           /* the schema is; else arguments stand as in the row */
	Given given[MAX_GIVEN];
	uint32_t n_given, n_args;
	bool gap;                             /* an argument that may go by place was left out */
} Spelling;

/* {"as_<tag>": text}, or why that cannot be said. */
typedef struct Said { TorchTag tag; const char *text, *why; } Said;

#define SAY(tag, ...) ((Said){ TAG_##tag, arena_printf(p->arena, __VA_ARGS__), NULL })
#define CANNOT(...) ((Said){ TAG_none, NULL, arena_printf(p->arena, __VA_ARGS__) })

/* ---- scalars and sizes ---- */

static Said say_f64(const Spelling *p, double v)
{
	Text t = { .arena = p->arena };
	if (isnan(v))
		return SAY(float, "\"NaN\"");
	if (isinf(v))
		return SAY(float, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	text_f64(&t, v);
	return (Said){ TAG_float, t.text, NULL };
}

static Said say_int(const Spelling *p, int64_t v)
{
	return SAY(int, "%lld", (long long)v);
}

static Said say_scalar(const Spelling *p, const Attr *a)
{
	if (a->kind == ATTR_BOOL)
		return SAY(bool, a->i ? "true" : "false");
	return a->kind == ATTR_INT ? say_int(p, a->i) : say_f64(p, a->f);
}

static Said say_ints(const Spelling *p, const int64_t *v, uint32_t n)
{
	Text t = { .arena = p->arena };
	text_puts(&t, "[");
	for (uint32_t i = 0; i < n; i++)
		text_printf(&t, "%s%lld", i ? ", " : "", (long long)v[i]);
	text_puts(&t, "]");
	return (Said){ TAG_ints, t.text, NULL };
}

static Said symbolic(const Spelling *p, Dim d)
{
	return CANNOT("its size %s is symbolic, and graft has no name for it in the file", dim_string(p->arena, d));
}

static Said say_dim(const Spelling *p, Dim d)
{
	return dim_is_const(d) ? say_int(p, d.value) : symbolic(p, d);
}

/* May the one symbolic size of a shape be left to PyTorch? The others must say it. */
static bool others_tell(const Dim *d, uint32_t n)
{
	uint32_t symbols = 0;
	bool tell = true;
	for (uint32_t i = 0; i < n; i++) {
		symbols += !dim_is_const(d[i]);
		tell = tell && (!dim_is_const(d[i]) || d[i].value > 0);
	}
	return tell && symbols == 1;
}

/* Does -1 mean this size? Of a shape, what the rest leaves; to expand, the size that is there. */
static bool is_implied(const Spelling *p, const Dim *d, uint32_t n, uint32_t i)
{
	const Type *x = p->n->n_in ? &p->n->in[0].value->type : NULL;
	if (op_code(p->n->op) == OP_reshape)
		return others_tell(d, n);
	return op_code(p->n->op) == OP_expand && i + x->rank >= n && dim_same(d[i], x->dims[i + x->rank - n]);
}

static Said say_dims(const Spelling *p, const Dim *d, uint32_t n)
{
	int64_t *v = NEW_ARRAY(p->arena, n, int64_t);
	for (uint32_t i = 0; i < n; i++) {
		if (!dim_is_const(d[i]) && !is_implied(p, d, n, i))
			return symbolic(p, d[i]);
		v[i] = dim_is_const(d[i]) ? d[i].value : -1;
	}
	return say_ints(p, v, n);
}

/* ---- attributes ---- */

static Said say_name(const Spelling *p, const char *words, int64_t i)
{
	for (; i; i--)
		words += strcspn(words, "|") + 1;
	return SAY(string, "\"%.*s\"", (int)strcspn(words, "|"), words);
}

static Said say_single(const Spelling *p, const Attr *a)
{
	if (a->n != 1)
		return CANNOT("%s takes one value, and it holds %u", p->target, a->n);
	AttrKind kind = a->list[0].kind;
	if (kind != ATTR_BOOL && kind != ATTR_INT && kind != ATTR_FLOAT)
		return CANNOT("%s takes a number, and it holds a %s", p->target, attr_kind_name(kind));
	return say_scalar(p, &a->list[0]);
}

static Said say_attr(const Spelling *p, const AttrSpec *spec, const Attr *a)
{
	switch (a->kind) {
	case ATTR_BOOL: case ATTR_INT: case ATTR_FLOAT: return say_scalar(p, a);
	case ATTR_AXIS: return say_int(p, a->i);
	case ATTR_AXES: return say_ints(p, a->ints, a->n);
	case ATTR_DIM: return say_dim(p, a->dim);
	case ATTR_DIMS: return say_dims(p, a->dims, a->n);
	case ATTR_DTYPE: return SAY(scalar_type, "%d", torch_dtype_number((graft_dtype)a->i));
	case ATTR_NAME: return say_name(p, spec->words, a->i);
	case ATTR_LIST: return say_single(p, a);
	case ATTR_STRING: case ATTR_NONE: break;
	}
	return CANNOT("%s has no form in torch", spec->name);
}

/* A word of the row: "floor", "false", "2". */
static Said say_word(const Spelling *p, const TorchSchemaArg *arg, TorchWord w)
{
	if (!strncmp(arg->type, "str", 3))
		return SAY(string, "\"%.*s\"", (int)w.n, w.s);
	if (!strncmp(arg->type, "bool", 4))
		return SAY(bool, "%.*s", (int)w.n, w.s);
	return SAY(int, "%.*s", (int)w.n, w.s);
}

/* ---- operands ---- */

static Said say_value(const Spelling *p, const Value *v)
{
	if (v->kind == VALUE_LITERAL)
		return say_scalar(p, &v->literal);
	return SAY(tensor, "{\"name\": \"%s\"}", v->name);
}

static Said say_list(const Spelling *p, uint32_t from)
{
	Text t = { .arena = p->arena };
	bool whole = true;
	for (uint32_t i = from; i < p->n->n_in; i++)
		whole = whole && p->n->in[i].value;
	text_puts(&t, "[");
	for (uint32_t i = from; i < p->n->n_in; i++) {
		const Value *v = p->n->in[i].value;
		if (v && v->kind == VALUE_LITERAL)
			return CANNOT("%s takes a list of tensors, and one of them is a number", p->target);
		text_puts(&t, i > from ? ", " : "");
		if (!v)
			text_puts(&t, "{\"as_none\": true}");
		else
			text_printf(&t, whole ? "{\"name\": \"%s\"}" : "{\"as_tensor\": {\"name\": \"%s\"}}", v->name);
	}
	text_puts(&t, "]");
	return (Said){ whole ? TAG_tensors : TAG_optional_tensors, t.text, NULL };
}

static bool is_wide(const Spelling *p)
{
	graft_dtype d = p->n->in[0].value->type.dtype;
	return d == GRAFT_DTYPE_f32 || d == GRAFT_DTYPE_f64;
}

/* ---- what the node has to say ---- */

static const char *give(Spelling *p, Given x)
{
	assert(p->n_given < MAX_GIVEN && "a row of torch_ops.def is this long");
	p->given[p->n_given++] = x;
	return NULL;
}

static const char *collect_operands(Spelling *p)
{
	const Node *n = p->n;
	TorchWord w;
	uint32_t i = 0;
	for (const char *list = p->row->operands; torch_word(&list, &w);) {
		TorchOperand o = torch_operand_word(w);
		bool there = i < n->n_in && n->in[i].value;
		if (o.list) {
			give(p, (Given){ .kind = GIVEN_LIST, .name = o.arg, .operand = i });
			i = n->n_in;
		} else if (w.n == 4 && !memcmp(w.s, "none", 4)) {
			if (there)
				break;
			i++;
		} else {
			if (there)
				give(p, (Given){ .kind = GIVEN_VALUE, .name = o.arg, .operand = i });
			i++;
		}
	}
	for (; i < n->n_in; i++)
		if (n->in[i].value)
			return arena_printf(p->arena, "%s has no place for '%s'", p->target,
			                    n->in[i].value->kind == VALUE_LITERAL ? "a number" : n->in[i].value->name);
	return NULL;
}

static bool is_left_out(const Attr *a)
{
	return a->kind == ATTR_NONE || (a->kind == ATTR_AXES && !a->n);       /* no axes are all axes, with us */
}

static bool attr_is_word(const AttrSpec *spec, const Attr *a, TorchWord w)
{
	int64_t v = strtoll(w.s, NULL, 10);
	switch (a->kind) {
	case ATTR_NAME: return a->i == torch_word_index(spec->words, w);
	case ATTR_BOOL: case ATTR_INT: case ATTR_AXIS: return a->i == v;
	case ATTR_DIM: return dim_is(a->dim, v);
	default: return false;
	}
}

static const char *rounds_otherwise(const Spelling *p, bool early)
{
	bool pair = op_code(p->n->op) != OP_rms_norm;
	int size = (int)(strrchr(p->target, '.') - p->target);
	return arena_printf(p->arena, "%.*s rounds %s, and %s %s", size, p->target, early ? "late" : "early",
	                    pair ? "these norms round" : "this norm rounds", early ? "early" : "late");
}

/* An attribute that the target has no argument for must be what the target always does. Rounding once or twice is the
 * same where nothing is rounded. */
static const char *check_fixed(const Spelling *p, const AttrSpec *spec, const Attr *a, TorchWord w)
{
	if (attr_is_word(spec, a, w))
		return NULL;
	if (!strcmp(spec->name, "round"))
		return is_wide(p) ? NULL : rounds_otherwise(p, a->i);
	return arena_printf(p->arena, "%s only has %s=%.*s", p->target, spec->name, (int)w.n, w.s);
}

static bool is_default(const Spelling *p, const AttrSpec *spec, const Attr *a)
{
	Attr usual = { 0 };
	if (is_left_out(a))
		return true;
	if (!spec->fallback || !strcmp(spec->fallback, "none"))
		return false;
	attr_default(p->g, spec, &usual);
	return attr_same(a, &usual);
}

/* A word of the row; said[i]: attribute i is taken care of. */
static const char *collect_word(Spelling *p, TorchAttr word, bool *said)
{
	const Op *op = p->n->op;
	if (word.kind == TORCH_CONDITION)
		return give(p, (Given){ .kind = GIVEN_WORD, .name = word.arg, .word = word.fallback });
	if (word.kind == TORCH_IGNORED)
		return NULL;
	int i = attr_index(op, word.attr.s, word.attr.n);
	assert(i >= 0 && "an attribute in torch_ops.def");
	const Attr *a = &p->n->attr[i];
	if (!word.arg.n && word.kind == TORCH_DECLARED)
		return NULL;
	said[i] = true;
	if (!word.arg.n)
		return check_fixed(p, &op->attrs[i], a, word.fallback);
	if (is_left_out(a))
		return NULL;
	return give(p, (Given){ .kind = GIVEN_ATTR, .name = word.arg, .spec = &op->attrs[i], .attr = a });
}

static const char *collect_attrs(Spelling *p)
{
	const Op *op = p->n->op;
	bool said[MAX_ATTRS] = { false };
	const char *why;
	TorchWord w;
	for (const char *list = p->row->attrs; torch_word(&list, &w);)
		if ((why = collect_word(p, torch_attr_word(w), said)))
			return why;
	for (int i = 0; i < op->n_attrs; i++)
		if (!said[i] && !is_default(p, &op->attrs[i], &p->n->attr[i]))
			return arena_printf(p->arena, "%s has no argument for '%s'", p->target, op->attrs[i].name);
	return NULL;
}

/* ---- arguments ---- */

static Said say_given(const Spelling *p, const Given *x, const TorchSchemaArg *arg)
{
	switch (x->kind) {
	case GIVEN_VALUE: return say_value(p, p->n->in[x->operand].value);
	case GIVEN_LIST: return say_list(p, x->operand);
	case GIVEN_ATTR: return say_attr(p, x->spec, x->attr);
	case GIVEN_WORD: break;
	}
	return say_word(p, arg, x->word);
}

/* The device that the first tensor of the file is on. */
static const char *device_text(Arena *a, const Torch *t)
{
	JsonList l = json_list(t->tensor_values, JSON_OBJECT);
	Json device = json_more(&l) ? json_member(l.here, "device") : (Json){ NULL, NULL, NULL };
	if (!json_there(device))
		return "{\"type\": \"cpu\", \"index\": null}";
	return arena_strndup(a, device.at, (size_t)(json_skip_value(device.text, device.at) - device.at));
}

/* What no part of the row gives: why NULL and no text means that it is left out. */
static Said say_missing(const Spelling *p, const TorchSchemaArg *arg)
{
	if (op_code(p->n->op) == OP_rms_norm && !strcmp(arg->name, "normalized_shape")) {
		const Type *x = &p->n->in[0].value->type;
		return say_dims(p, &x->dims[x->rank - 1], 1);
	}
	if (!p->n->n_in && !strcmp(arg->name, "device"))
		return (Said){ TAG_device, device_text(p->arena, p->torch), NULL };
	if (arg->fallback)
		return (Said){ 0 };
	if (arg->type[strlen(arg->type) - 1] == '?')
		return SAY(none, "true");
	return CANNOT("%s needs its argument '%s', which this node does not say", p->target, arg->name);
}

static const Given *given_named(const Spelling *p, const char *name)
{
	size_t n = strlen(name);
	for (uint32_t i = 0; i < p->n_given; i++)
		if (p->given[i].name.n == n && !memcmp(p->given[i].name.s, name, n))
			return &p->given[i];
	return NULL;
}

static void put_arg(Spelling *p, TorchWord name, Said said, bool by_name)
{
	text_printf(p->t, "%s{\"name\": \"%.*s\", \"arg\": {\"as_%s\": %s}", p->n_args ? ", " : "", (int)name.n, name.s,
	            torch_tag_name(said.tag), said.text);
	if (p->torch->has_kind)
		text_printf(p->t, ", \"kind\": %d", by_name ? 2 : 1);
	text_puts(p->t, "}");
	p->n_args++;
}

static const char *does_not_take(const Spelling *p, const TorchSchemaArg *arg, TorchTag tag)
{
	const char *found = tag == TAG_tensor ? "a tensor" : tag == TAG_int || tag == TAG_float ? "a number" :
	                    arena_printf(p->arena, "a %s", torch_tag_name(tag));
	return arena_printf(p->arena, "'%s' of %s is a %s, and here it is %s", arg->name, p->target, arg->type, found);
}

static const char *put_schema_arg(Spelling *p, const TorchSchemaArg *arg)
{
	const Given *x = given_named(p, arg->name);
	bool as_usual = x && x->kind == GIVEN_WORD && arg->fallback;
	Said said = x && !as_usual ? say_given(p, x, arg) : say_missing(p, arg);
	if (said.why)
		return said.why;
	if (!said.text) {
		p->gap = p->gap || !arg->keyword;
		return NULL;
	}
	if (!torch_schema_takes(&p->schema, arg, said.tag))
		return does_not_take(p, arg, said.tag);
	put_arg(p, (TorchWord){ arg->name, strlen(arg->name) }, said, arg->keyword || p->gap);
	return NULL;
}

/* Of an op that PyTorch does not bring: all by place, in the order of the row. */
static const char *put_row_arg(Spelling *p, const Given *x)
{
	if (x->kind == GIVEN_WORD)
		return NULL;
	Said said = say_given(p, x, NULL);
	if (!said.why)
		put_arg(p, x->name, said, false);
	return said.why;
}

static const char *put_args(Spelling *p)
{
	const char *why = NULL;
	for (uint32_t i = 0; p->known && i < p->schema.n_args && !why; i++)
		why = put_schema_arg(p, &p->schema.arg[i]);
	for (uint32_t i = 0; !p->known && i < p->n_given && !why; i++)
		why = put_row_arg(p, &p->given[i]);
	return why;
}

/* ---- nodes ---- */

/* What the schema takes, and PyTorch then has no kernel for. */
static const char *lacks_kernel(const Spelling *p)
{
	if (strncmp(p->target, "aten.clamp", 10) || p->n->out[0]->type.dtype != GRAFT_DTYPE_bool)
		return NULL;
	return arena_printf(p->arena, "%s has no kernel for bool", p->target);
}

static const char *spell_row(const Spelling *start, const TorchRow *row, const char *target)
{
	Spelling p = *start;
	size_t before = p.t->size;
	p.row = row;
	p.target = target;
	p.known = torch_schema(p.arena, target, &p.schema);
	text_printf(p.t, "{\"target\": \"torch.ops.%s\", \"inputs\": [", target);
	const char *why = lacks_kernel(&p);
	if (!why)
		why = collect_operands(&p);
	if (!why)
		why = collect_attrs(&p);
	if (!why)
		why = put_args(&p);
	if (why)
		p.t->size = before;
	else
		text_puts(p.t, "]");
	return why;
}

/* The target that was asked for; its arguments are those of its own row, or of ours. */
static const char *spell_asked(const Spelling *p)
{
	const char *target = p->g->torch_op, *op = p->n->op->name;
	const TorchRow *own = torch_row(target);
	return spell_row(p, own && own->op && !strcmp(own->op, op) ? own : torch_row_written(op, NULL), target);
}

/* Target and inputs, as the first row that takes them has it. When none does, nothing is put, and what the first one
 * lacks is the reason. */
static const char *spell(const Spelling *p)
{
	const Op *op = p->n->op;
	if (op_code(op) == OP_unknown)
		return "graft does not know what it does";
	if (op_code(op) == OP_fused_mla_dual_rms_norm && p->g->torch_op)
		return spell_asked(p);
	const char *first = NULL, *why;
	for (const TorchRow *row = torch_row_written(op->name, NULL); row; row = torch_row_written(op->name, row)) {
		if (!(why = spell_row(p, row, row->target)))
			return NULL;
		first = first ? first : why;
	}
	return first ? first : "torch has no op that does the same";
}

/* An operand's sizes are in the file. */
static bool operand_has(const Node *n, Dim d)
{
	for (uint32_t i = 0; i < n->n_in; i++)
		for (uint32_t k = 0; n->in[i].value && k < n->in[i].value->type.rank; k++)
			if (dim_same(n->in[i].value->type.dims[k], d))
				return true;
	return false;
}

/* What tensor_values would say of the results. */
static const char *types_refuse(Arena *a, const Torch *t, const Node *n)
{
	for (uint32_t i = 0; i < n->n_out; i++)
		for (uint32_t k = 0; k < n->out[i]->type.rank; k++) {
			Dim d = n->out[i]->type.dims[k];
			if (!dim_is_const(d) && !operand_has(n, d) && !torch_expr_text(a, t, d))
				return arena_printf(a, "the file has no symbol for its size %s", dim_string(a, d));
		}
	return NULL;
}

const char *torch_spell_refuses(Arena *a, const Torch *t, Graph *g, const Node *n)
{
	Text text = { .arena = a };
	Spelling p = { .arena = a, .torch = t, .g = g, .t = &text, .n = n };
	const char *why = spell(&p);
	return why ? why : types_refuse(a, t, n);
}

_Noreturn static void cannot(const Speller *s, const Node *n, const char *why)
{
	fail_at(s->job, GRAFT_E_UNSUPPORTED, node_label(n),
	        "%s '%s' was made by a pass and cannot be written as a torch op: %s; "
	        "leave that pass out with --disable, or write --to json", n->name, node_label(n), why);
}

static void put_results(Text *t, const Node *n)
{
	bool list = n->op->out_max == MANY;
	text_puts(t, list ? "{\"as_tensors\": [" : "");
	for (uint32_t i = 0; i < n->n_out; i++)
		text_printf(t, list ? "%s{\"name\": \"%s\"}" : "%s{\"as_tensor\": {\"name\": \"%s\"}}",
		            i ? ", " : "", n->out[i]->name);
	text_puts(t, list ? "]}" : "");
}

/* One more than the largest number behind `stem` among the nodes of the file. */
static uint32_t first_free(const TorchNode *node, size_t n, const char *stem, uint32_t most)
{
	size_t len = strlen(stem);
	for (size_t i = 0; i < n; i++) {
		const TorchInlined *in = node[i].source.inlined;
		if (in)
			most = first_free(in->node, in->n_nodes, stem, most);
		if (!node[i].name || node[i].name_size < len || memcmp(node[i].name, stem, len))
			continue;
		uint32_t number = 0;
		for (size_t k = len + 1; k < node[i].name_size && number < UINT32_MAX / 16; k++)
			number = node[i].name[k] >= '0' && node[i].name[k] <= '9' ?
			         number * 10 + (uint32_t)(node[i].name[k] - '0') : number;
		most = number + 1 > most ? number + 1 : most;
	}
	return most;
}

static const char *node_name(Speller *s, const Node *n)
{
	uint32_t *next = &s->next[op_code(n->op)];
	if (!*next)
		*next = first_free(s->t->node, s->t->n_nodes, n->op->name, 0) + 1;
	const char *name;
	do {
		uint32_t number = (*next)++ - 1;
		name = number ? arena_printf(&s->job->scratch, "%s_%u", n->op->name, number) : n->op->name;
	} while (value_find(s->g, name, strlen(name)));
	return name;
}

/* A node that was lowered and then written by itself has what the node of the file had. */
static void put_metadata(Speller *s, Text *t, const Node *n)
{
	const SourceNode *const *from = n->replaces;
	size_t n_from = n->n_replaces;
	if (n->source) {
		from = &n->source;
		n_from = 1;
	}
	torch_spell_metadata(&s->job->scratch, s->t, from, n_from, t);
}

void torch_spell_node(Speller *s, Text *t, const Node *n)
{
	Spelling p = { .arena = &s->job->scratch, .torch = s->t, .g = s->g, .t = t, .n = n };
	const char *why = spell(&p);
	if (why)
		cannot(s, n, why);
	text_puts(t, ", \"outputs\": [");
	put_results(t, n);
	text_puts(t, "], \"metadata\": ");
	put_metadata(s, t, n);
	if (s->t->has_hop)
		text_puts(t, ", \"is_hop_single_tensor_return\": null");
	if (s->t->has_name)
		text_printf(t, ", \"name\": \"%s\"", node_name(s, n));
	text_puts(t, "}");
}

/* ---- tensor_values ---- */

static void put_size(Speller *s, Text *t, const Value *v, Dim d)
{
	if (dim_is_const(d)) {
		text_printf(t, "{\"as_int\": %lld}", (long long)d.value);
		return;
	}
	const char *text = torch_expr_text(&s->job->scratch, s->t, d);
	if (!text)
		cannot(s, v->def, "one of its sizes is an expression that graft does not know");
	text_printf(t, "{\"as_expr\": {\"expr_str\": \"%s\", \"hint\": null}}", text);
}

static void put_sizes(Speller *s, Text *t, const Value *v, const Dim *d)
{
	text_puts(t, "[");
	for (uint32_t i = 0; i < v->type.rank; i++) {
		text_puts(t, i ? ", " : "");
		put_size(s, t, v, d[i]);
	}
	text_puts(t, "]");
}

void torch_spell_meta(Speller *s, Text *t, const Value *v)
{
	Dim stride[GRAFT_MAX_RANK], next = dim_const(1);
	for (uint32_t i = v->type.rank; i-- > 0;) {
		stride[i] = next;
		if (!dim_is(v->type.dims[i], 0))
			next = dim_mul(s->g, next, v->type.dims[i]);
	}
	text_printf(t, "{\"dtype\": %d, \"sizes\": ", torch_dtype_number(v->type.dtype));
	put_sizes(s, t, v, v->type.dims);
	text_printf(t, ", \"requires_grad\": false, \"device\": %s, \"strides\": ",
	            device_text(&s->job->scratch, s->t));
	put_sizes(s, t, v, stride);
	text_puts(t, ", \"storage_offset\": {\"as_int\": 0}, \"layout\": 7}");
}

Torch *torch_view(Job *job, const Graph *g)
{
	if (!g->document)
		fail(job, GRAFT_E_USAGE, "only a graph that was read from a torch.export file can be written as one");
	Torch *t = arena_copy(&job->scratch, g->document, sizeof(Torch));
	t->text.arena = &job->scratch;
	Json *const places[] = { &t->root, &t->graph, &t->nodes, &t->tensor_values, &t->inputs, &t->outputs,
	                         &t->output_specs, &t->calls, &t->sizes[0], &t->sizes[1], &t->sizes[2] };
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		places[i]->text = &t->text;
	return t;
}

const char *torch_refuses(Graph *g, const Node *n, Arena *a)
{
	const char *why = torch_spell_refuses(a, torch_view(graph_job(g), g), g, n);
	return why ? arena_printf(a, "%s cannot be written as a torch op: %s", n->name, why) : NULL;
}
