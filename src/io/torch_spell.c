/* torch_spell.c - the rows of torch_ops.def backwards. */
#include "torch_spell.h"
#include <math.h>
#include <string.h>

typedef struct Spelling { Speller *s; Text *t; const Node *n; const TorchRow *row; const char *target;
                          uint32_t n_args; } Spelling;

_Noreturn static void cannot(const Spelling *p, const char *why)
{
	fail_at(p->s->job, GRAFT_E_UNSUPPORTED, node_label(p->n),
	        "%s '%s' was made by a pass and cannot be written as a torch op: %s; "
	        "leave that pass out with --disable, or write --to json", p->n->name, node_label(p->n), why);
}

/* ---- scalars ---- */

static void put_f64(Text *t, double v)
{
	if (isnan(v))
		text_puts(t, "\"NaN\"");
	else if (isinf(v))
		text_puts(t, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	else
		text_f64(t, v);
}

static void put_scalar(Text *t, const Attr *a)
{
	if (a->kind == ATTR_BOOL)
		text_printf(t, "{\"as_bool\": %s}", a->i ? "true" : "false");
	else if (a->kind == ATTR_INT)
		text_printf(t, "{\"as_int\": %lld}", (long long)a->i);
	else {
		text_puts(t, "{\"as_float\": ");
		put_f64(t, a->f);
		text_puts(t, "}");
	}
}

static void put_ints(Text *t, const int64_t *v, uint32_t n)
{
	text_puts(t, "{\"as_ints\": [");
	for (uint32_t i = 0; i < n; i++)
		text_printf(t, "%s%lld", i ? ", " : "", (long long)v[i]);
	text_puts(t, "]}");
}

static int64_t number(const Spelling *p, Dim d)
{
	if (!dim_is_const(d))
		cannot(p, "one of its sizes is symbolic");
	return d.value;
}

static void put_dims(const Spelling *p, const Dim *d, uint32_t n)
{
	int64_t *v = NEW_ARRAY(&p->s->job->scratch, n, int64_t);
	for (uint32_t i = 0; i < n; i++)
		v[i] = number(p, d[i]);
	put_ints(p->t, v, n);
}

static void put_word(Text *t, const char *words, int64_t i)
{
	for (; i; i--)
		words += strcspn(words, "|") + 1;
	text_printf(t, "{\"as_string\": \"%.*s\"}", (int)strcspn(words, "|"), words);
}

static void put_attr(const Spelling *p, const AttrSpec *spec, const Attr *a)
{
	Text *t = p->t;
	switch (a->kind) {
	case ATTR_BOOL: case ATTR_INT: case ATTR_FLOAT: put_scalar(t, a); return;
	case ATTR_AXIS: text_printf(t, "{\"as_int\": %lld}", (long long)a->i); return;
	case ATTR_AXES: put_ints(t, a->ints, a->n); return;
	case ATTR_DIM: text_printf(t, "{\"as_int\": %lld}", (long long)number(p, a->dim)); return;
	case ATTR_DIMS: put_dims(p, a->dims, a->n); return;
	case ATTR_DTYPE: text_printf(t, "{\"as_scalar_type\": %d}", torch_dtype_number((graft_dtype)a->i)); return;
	case ATTR_NAME: put_word(t, spec->words, a->i); return;
	case ATTR_LIST:
		if (a->n != 1 || (a->list[0].kind != ATTR_BOOL && a->list[0].kind != ATTR_INT &&
		                  a->list[0].kind != ATTR_FLOAT))
			cannot(p, "it holds more than one value");
		put_scalar(t, &a->list[0]);
		return;
	case ATTR_STRING: case ATTR_NONE: break;
	}
	cannot(p, "one of its attributes has no form there");
}

/* ---- arguments ---- */

static bool is_aten(const Spelling *p)
{
	return !strncmp(p->target, "aten.", 5);
}

/* Of aten ops only the first argument goes by its place, because our order is not always theirs. */
static void begin_arg(Spelling *p, TorchWord name)
{
	text_printf(p->t, "%s{\"name\": \"%.*s\", \"arg\": ", p->n_args ? ", " : "", (int)name.n, name.s);
}

static void end_arg(Spelling *p)
{
	if (p->s->t->has_kind)
		text_printf(p->t, ", \"kind\": %d", is_aten(p) && p->n_args ? 2 : 1);
	text_puts(p->t, "}");
	p->n_args++;
}

static void put_value(const Spelling *p, const Value *v)
{
	if (v->kind == VALUE_LITERAL)
		put_scalar(p->t, &v->literal);
	else
		text_printf(p->t, "{\"as_tensor\": {\"name\": \"%s\"}}", v->name);
}

static void put_list(const Spelling *p, uint32_t from)
{
	text_puts(p->t, "{\"as_tensors\": [");
	for (uint32_t i = from; i < p->n->n_in; i++) {
		if (!p->n->in[i].value || p->n->in[i].value->kind == VALUE_LITERAL)
			cannot(p, "one of its list of operands is missing");
		text_printf(p->t, "%s{\"name\": \"%s\"}", i > from ? ", " : "", p->n->in[i].value->name);
	}
	text_puts(p->t, "]}");
}

static void put_operands(Spelling *p)
{
	TorchWord w;
	uint32_t i = 0;
	for (const char *list = p->row->operands; torch_word(&list, &w); i++) {
		TorchOperand o = torch_operand_word(w);
		if (!o.list && (i >= p->n->n_in || !p->n->in[i].value))
			continue;
		begin_arg(p, o.arg);
		if (o.list)
			put_list(p, i);
		else
			put_value(p, p->n->in[i].value);
		end_arg(p);
	}
}

static bool is_wide(const Spelling *p)
{
	graft_dtype d = p->n->in[0].value->type.dtype;
	return d == GRAFT_DTYPE_f32 || d == GRAFT_DTYPE_f64;
}

/* A target that rounds in one way only takes no norm that rounds in the other, unless there is nothing to round. */
static void check_round(const Spelling *p, const TorchAttr *t)
{
	if (t->arg.n || t->attr.n != 5 || memcmp(t->attr.s, "round", 5) || is_wide(p))
		return;
	const AttrSpec *spec = &p->n->op->attrs[attr_index(p->n->op, t->attr.s, t->attr.n)];
	int64_t own = node_attr_named(p->n, "round")->i;
	if (own != torch_word_index(spec->words, t->fallback))
		cannot(p, arena_printf(&p->s->job->scratch, "it rounds %s, and %s rounds %s", own ? "early" : "late",
		                       p->target, own ? "late" : "early"));
}

static void put_attrs(Spelling *p)
{
	const Op *op = p->n->op;
	TorchWord w;
	for (const char *list = p->row->attrs; torch_word(&list, &w);) {
		TorchAttr t = torch_attr_word(w);
		check_round(p, &t);
		if ((t.kind != TORCH_GIVEN && t.kind != TORCH_DECLARED) || !t.arg.n)
			continue;
		int i = attr_index(op, t.attr.s, t.attr.n);
		if (i < 0 || p->n->attr[i].kind == ATTR_NONE)
			continue;
		begin_arg(p, t.arg);
		put_attr(p, &op->attrs[i], &p->n->attr[i]);
		end_arg(p);
	}
}

/* aten's norm multiplies by the weight before it rounds. */
static void put_norm_args(Spelling *p)
{
	const Value *x = p->n->in[0].value;
	if (node_attr_named(p->n, "round")->i && !is_wide(p))
		cannot(p, "it rounds early, and aten.rms_norm rounds late");
	put_operands(p);
	begin_arg(p, (TorchWord){ "normalized_shape", 16 });
	put_dims(p, &x->type.dims[x->type.rank - 1], 1);
	end_arg(p);
	if (p->n->n_in > 1 && p->n->in[1].value) {
		begin_arg(p, (TorchWord){ "weight", 6 });
		put_value(p, p->n->in[1].value);
		end_arg(p);
	}
	begin_arg(p, (TorchWord){ "eps", 3 });
	put_attr(p, NULL, node_attr_named(p->n, "eps"));
	end_arg(p);
}

/* ---- nodes ---- */

static void put_results(const Spelling *p)
{
	bool list = p->n->op->out_max == MANY;
	text_puts(p->t, list ? "{\"as_tensors\": [" : "");
	for (uint32_t i = 0; i < p->n->n_out; i++)
		text_printf(p->t, list ? "%s{\"name\": \"%s\"}" : "%s{\"as_tensor\": {\"name\": \"%s\"}}",
		            i ? ", " : "", p->n->out[i]->name);
	text_puts(p->t, list ? "]}" : "");
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

static void choose(Spelling *p)
{
	const Op *op = p->n->op;
	if (op_code(op) == OP_unknown)
		cannot(p, "graft does not know it");
	p->row = torch_row_of(op->name);
	if (!p->row)
		cannot(p, "torch has no op that does the same");
	p->target = p->row->target;
	if (op_code(op) == OP_fused_mla_dual_rms_norm && p->s->g->torch_op) {
		const TorchRow *own = torch_row(p->s->g->torch_op);
		p->target = p->s->g->torch_op;
		p->row = own && own->op && !strcmp(own->op, op->name) ? own : p->row;
	}
}

void torch_spell_node(Speller *s, Text *t, const Node *n)
{
	Spelling p = { .s = s, .t = t, .n = n };
	choose(&p);
	text_printf(t, "{\"target\": \"torch.ops.%s\", \"inputs\": [", p.target);
	if (op_code(n->op) == OP_rms_norm) {
		put_norm_args(&p);
	} else {
		put_operands(&p);
		put_attrs(&p);
	}
	text_puts(t, "], \"outputs\": [");
	put_results(&p);
	text_puts(t, "], \"metadata\": {}");
	if (s->t->has_hop)
		text_puts(t, ", \"is_hop_single_tensor_return\": null");
	if (s->t->has_name)
		text_printf(t, ", \"name\": \"%s\"", node_name(s, n));
	text_puts(t, "}");
}

/* ---- tensor_values ---- */

/* The device that the first tensor of the file is on. */
static void put_device(Speller *s, Text *t)
{
	JsonList l = json_list(s->t->tensor_values, JSON_OBJECT);
	Json device = json_more(&l) ? json_member(l.here, "device") : (Json){ NULL, NULL, NULL };
	if (json_there(device))
		text_add(t, device.at, (size_t)(json_skip_value(device.text, device.at) - device.at));
	else
		text_puts(t, "{\"type\": \"cpu\", \"index\": null}");
}

static void put_size(const Spelling *p, Dim d)
{
	if (dim_is_const(d)) {
		text_printf(p->t, "{\"as_int\": %lld}", (long long)d.value);
		return;
	}
	const char *text = torch_expr_text(&p->s->job->scratch, p->s->t, d);
	if (!text)
		cannot(p, "one of its sizes is an expression that graft does not know");
	text_printf(p->t, "{\"as_expr\": {\"expr_str\": \"%s\", \"hint\": null}}", text);
}

static void put_sizes(const Spelling *p, const Dim *d, uint32_t n)
{
	text_puts(p->t, "[");
	for (uint32_t i = 0; i < n; i++) {
		text_puts(p->t, i ? ", " : "");
		put_size(p, d[i]);
	}
	text_puts(p->t, "]");
}

void torch_spell_meta(Speller *s, Text *t, const Value *v)
{
	Spelling p = { .s = s, .t = t, .n = v->def };
	Dim stride[GRAFT_MAX_RANK], next = dim_const(1);
	for (uint32_t i = v->type.rank; i-- > 0;) {
		stride[i] = next;
		if (!dim_is(v->type.dims[i], 0))
			next = dim_mul(s->g, next, v->type.dims[i]);
	}
	text_printf(t, "{\"dtype\": %d, \"sizes\": ", torch_dtype_number(v->type.dtype));
	put_sizes(&p, v->type.dims, v->type.rank);
	text_puts(t, ", \"requires_grad\": false, \"device\": ");
	put_device(s, t);
	text_puts(t, ", \"strides\": ");
	put_sizes(&p, stride, v->type.rank);
	text_puts(t, ", \"storage_offset\": {\"as_int\": 0}, \"layout\": 7}");
}

const char *torch_refuses(Graph *g, const Node *n, Arena *a)
{
	(void)g, (void)n, (void)a;
	return NULL;
}
