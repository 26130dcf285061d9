/* torch_lower.c - one node of a torch graph becomes one or more of ours: the rows of torch_ops.def, and what functions
 * and forms share. */
#include "torch_lower.h"
#include "torch_schema.h"
#include "../ir/shape.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const TorchRow rows[] = {
#define ROW(target, op, operands, attrs) { target, #op, operands, attrs, NULL, NULL, TORCH_READ },
#define ALSO(target, op, operands, attrs) { target, #op, operands, attrs, NULL, NULL, TORCH_ALSO },
#define WRITTEN(target, op, operands, attrs) { target, #op, operands, attrs, NULL, NULL, TORCH_WRITTEN },
#define BY(target, function) { target, NULL, "", "", function, NULL, TORCH_READ },
#define WRITTEN_BY(target, op, operands, attrs, function) \
	{ target, #op, operands, attrs, function, NULL, TORCH_WRITTEN },
#define FORM(target, attrs, text) { target, NULL, "", attrs, lower_form, text, TORCH_READ },
#include "torch_ops.def"
#undef ROW
#undef ALSO
#undef WRITTEN
#undef BY
#undef WRITTEN_BY
#undef FORM
};

enum { N_ROWS = sizeof rows / sizeof *rows };

/* ---- rows ---- */

const TorchRow *torch_row(const char *target)
{
	size_t low = 0, high = N_ROWS;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (strcmp(rows[mid].target, target) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < N_ROWS && !strcmp(rows[low].target, target) ? &rows[low] : NULL;
}

const TorchRow *torch_row_at(size_t i)
{
	return i < N_ROWS ? &rows[i] : NULL;
}

static const TorchRow *next_row(const TorchRow *row)
{
	return row + 1 < rows + N_ROWS && !strcmp(row->target, row[1].target) ? row + 1 : NULL;
}

const TorchRow *torch_row_written(const char *op, const TorchRow *last)
{
	TorchWriting writing = last ? TORCH_ALSO : TORCH_WRITTEN;
	for (size_t i = last && last->writing == TORCH_ALSO ? (size_t)(last - rows) + 1 : 0; i < N_ROWS; i++)
		if (rows[i].writing == writing && !strcmp(rows[i].op, op))
			return &rows[i];
	return NULL;
}

bool torch_word(const char **list, TorchWord *w)
{
	*list += strspn(*list, " ");
	*w = (TorchWord){ *list, strcspn(*list, " ") };
	*list += w->n;
	return w->n;
}

static bool word_is(TorchWord w, const char *s, size_t n)
{
	return w.n == n && !memcmp(w.s, s, n);
}

int64_t torch_word_index(const char *words, TorchWord w)
{
	for (int64_t i = 0;; i++) {
		size_t n = strcspn(words, "|");
		if (word_is(w, words, n))
			return i;
		if (!words[n])
			return -1;
		words += n + 1;
	}
}

TorchAttr torch_attr_word(TorchWord w)
{
	TorchAttr a = { 0 };
	const char *end = w.s + w.n, *equals = memchr(w.s, '=', w.n);
	if (*w.s == '-') {
		a.kind = TORCH_IGNORED;
		a.arg = (TorchWord){ w.s + 1, w.n - 1 };
		return a;
	}
	assert(equals && "a word in torch_ops.def");
	const char *p = equals + 1;
	a.attr = (TorchWord){ w.s, (size_t)(equals - w.s) };
	if (*p == '=') {
		a.kind = TORCH_CONDITION;
		a.arg = a.attr;
		a.fallback = (TorchWord){ p + 1, (size_t)(end - p - 1) };
		return a;
	}
	a.kind = *p == '.' ? TORCH_DECLARED : TORCH_GIVEN;
	p += *p == '.';
	const char *colon = memchr(p, ':', (size_t)(end - p));
	a.arg = (TorchWord){ p, (size_t)((colon ? colon : end) - p) };
	if (colon)
		a.fallback = (TorchWord){ colon + 1, (size_t)(end - colon - 1) };
	return a;
}

TorchOperand torch_operand_word(TorchWord w)
{
	TorchOperand o = { .arg = w };
	if (w.n > 3 && !memcmp(w.s + w.n - 3, "...", 3))
		o = (TorchOperand){ { w.s, w.n - 3 }, .list = true };
	else if (w.s[w.n - 1] == '?')
		o = (TorchOperand){ { w.s, w.n - 1 }, .optional = true };
	return o;
}

static void check_row(Job *job, const TorchRow *row)
{
	const Op *op = op_find(row->op, strlen(row->op));
	const char *list = row->attrs;
	TorchWord w;
	if (!op)
		fail(job, GRAFT_E_RULE, "torch_ops.def: %s: no such op: '%s'", row->target, row->op);
	while (torch_word(&list, &w)) {
		TorchAttr a = torch_attr_word(w);
		if ((a.kind == TORCH_GIVEN || a.kind == TORCH_DECLARED) && attr_index(op, a.attr.s, a.attr.n) < 0)
			fail(job, GRAFT_E_RULE, "torch_ops.def: %s: %s has no attribute '%.*s'", row->target, row->op,
			     (int)a.attr.n, a.attr.s);
	}
}

void torch_rows_check(Job *job)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (i && strcmp(rows[i - 1].target, rows[i].target) > 0)
			fail(job, GRAFT_E_RULE, "torch_ops.def: %s stands behind %s", rows[i].target,
			     rows[i - 1].target);
		if (rows[i].op)
			check_row(job, &rows[i]);
		if (rows[i].form)
			torch_form_check(job, &rows[i]);
	}
}

/* ---- arguments ---- */

static TorchArg *find_arg(const TorchCall *c, const char *name, size_t n)
{
	for (uint32_t i = 0; i < c->n_args; i++)
		if (c->arg[i].name_size == n && !memcmp(c->arg[i].name, name, n))
			return &c->arg[i];
	return NULL;
}

/* The argument, when it is given and is not None. */
static const TorchArg *arg_word(const TorchCall *c, TorchWord w)
{
	const TorchArg *a = find_arg(c, w.s, w.n);
	return a && a->tag != TAG_none ? a : NULL;
}

const TorchArg *arg_named(const TorchCall *c, const char *name)
{
	return arg_word(c, (TorchWord){ name, strlen(name) });
}

Dim read_dim(const TorchCall *c, Json v)
{
	Dim d;
	if (json_kind(v) == JSON_INT)
		return dim_const(json_int(v, INT64_MIN, INT64_MAX));
	TorchUnion u = torch_union(v);
	if (u.tag == TAG_int)
		return dim_const(json_int(u.value, INT64_MIN, INT64_MAX));
	if (json_kind(u.value) != JSON_STRING || !c->size_named(c, u.value, &d))
		give_up(c, "a size that is not known");
	return d;
}

static Dim arg_dim(const TorchCall *c, const TorchArg *a)
{
	if (a->tag != TAG_int && a->tag != TAG_sym_int)
		give_up(c, "wanted an integer");
	return read_dim(c, a->value);
}

int64_t arg_int(const TorchCall *c, const TorchArg *a)
{
	if (a->tag == TAG_bool)
		return json_bool(a->value);
	Dim d = arg_dim(c, a);
	if (!dim_is_const(d))
		give_up(c, "wanted a number, found a symbolic size");
	return d.value;
}

/* Infinities and NaN are strings there. */
static double torch_f64(Json v)
{
	static const char *const words[] = { "Infinity", "-Infinity", "NaN" };
	static const double values[] = { INFINITY, -INFINITY, NAN };
	size_t n;
	if (json_kind(v) != JSON_STRING)
		return json_f64(v);
	const char *s = json_text(&v.text->arena->job->scratch, v, &n);
	for (size_t i = 0; i < 3; i++)
		if (strlen(words[i]) == n && !memcmp(s, words[i], n))
			return values[i];
	json_fail(v, GRAFT_E_GRAPH, "wanted a float, or one of Infinity, -Infinity, NaN");
}

static double arg_f64(const TorchCall *c, const TorchArg *a)
{
	return a->tag == TAG_float ? torch_f64(a->value) : (double)arg_int(c, a);
}

Attr arg_scalar(const TorchCall *c, const TorchArg *a)
{
	if (a->tag == TAG_bool)
		return (Attr){ .kind = ATTR_BOOL, .i = json_bool(a->value) };
	if (a->tag == TAG_float)
		return (Attr){ .kind = ATTR_FLOAT, .f = torch_f64(a->value) };
	return (Attr){ .kind = ATTR_INT, .i = arg_int(c, a) };
}

int64_t int_named(const TorchCall *c, const char *name, int64_t otherwise)
{
	const TorchArg *a = arg_named(c, name);
	return a ? arg_int(c, a) : otherwise;
}

double f64_named(const TorchCall *c, const char *name, double otherwise)
{
	const TorchArg *a = arg_named(c, name);
	return a ? arg_f64(c, a) : otherwise;
}

uint32_t list_length(Json array)
{
	uint32_t n = 0;
	for (JsonList l = json_list(array, JSON_ARRAY); json_more(&l);)
		n++;
	return n;
}

/* ---- attributes from arguments ---- */

static Attr attr_axes_of(const TorchCall *c, const TorchArg *a)
{
	if (a->tag == TAG_int) {
		int64_t *one = NEW(c->scratch, int64_t);
		*one = arg_int(c, a);
		return (Attr){ .kind = ATTR_AXES, .n = 1, .ints = one };
	}
	if (a->tag != TAG_ints)
		give_up(c, "wanted a list of axes");
	uint32_t n = list_length(a->value), i = 0;
	int64_t *axes = NEW_ARRAY(c->scratch, n, int64_t);
	for (JsonList l = json_list(a->value, JSON_ARRAY); json_more(&l);)
		axes[i++] = json_int(l.here, INT64_MIN, INT64_MAX);
	return (Attr){ .kind = ATTR_AXES, .n = n, .ints = axes };
}

static Attr attr_dims_of(const TorchCall *c, const TorchArg *a)
{
	if (a->tag != TAG_ints && a->tag != TAG_sym_ints)
		give_up(c, "wanted a list of sizes");
	uint32_t n = list_length(a->value), i = 0;
	Dim *dims = NEW_ARRAY(c->scratch, n, Dim);
	for (JsonList l = json_list(a->value, JSON_ARRAY); json_more(&l);)
		dims[i++] = read_dim(c, l.here);
	return (Attr){ .kind = ATTR_DIMS, .n = n, .dims = dims };
}

static Attr attr_word_of(const TorchCall *c, const AttrSpec *spec, const TorchArg *a)
{
	TorchWord w = { "", 0 };
	if (a->tag == TAG_string)
		w.s = json_text(c->scratch, a->value, &w.n);
	int64_t i = torch_word_index(spec->words, w);
	if (i < 0)
		give_up(c, "wanted one of %s", spec->words);
	return (Attr){ .kind = ATTR_NAME, .i = i };
}

static Attr one_value(const TorchCall *c, Attr scalar)
{
	return (Attr){ .kind = ATTR_LIST, .n = 1, .list = arena_copy(c->scratch, &scalar, sizeof scalar) };
}

static Attr attr_of(const TorchCall *c, const AttrSpec *spec, const TorchArg *a)
{
	Attr out = { .kind = spec->kind };
	switch (spec->kind) {
	case ATTR_BOOL: out.i = arg_int(c, a) != 0; return out;
	case ATTR_INT: case ATTR_AXIS: out.i = arg_int(c, a); return out;
	case ATTR_FLOAT: out.f = arg_f64(c, a); return out;
	case ATTR_DIM: out.dim = arg_dim(c, a); return out;
	case ATTR_DIMS: return attr_dims_of(c, a);
	case ATTR_AXES: return attr_axes_of(c, a);
	case ATTR_NAME: return attr_word_of(c, spec, a);
	case ATTR_LIST: return one_value(c, arg_scalar(c, a));
	case ATTR_DTYPE:
		if (a->tag != TAG_scalar_type)
			give_up(c, "wanted a dtype");
		out.i = torch_dtype(a->value);
		if (dtype_is_kept((graft_dtype)out.i))
			give_up(c, "graft has no kernels for %s", torch_kept_name((graft_dtype)out.i));
		return out;
	case ATTR_STRING: case ATTR_NONE: break;
	}
	give_up(c, "an argument that cannot be an attribute");
}

/* A number or a word written in a row. */
static Attr attr_fixed(const TorchCall *c, const AttrSpec *spec, TorchWord w)
{
	int64_t i = strtoll(arena_strndup(c->scratch, w.s, w.n), NULL, 10);
	switch (spec->kind) {
	case ATTR_DIM: return (Attr){ .kind = ATTR_DIM, .dim = dim_const(i) };
	case ATTR_FLOAT: return (Attr){ .kind = ATTR_FLOAT, .f = (double)i };
	case ATTR_NAME: return (Attr){ .kind = ATTR_NAME, .i = torch_word_index(spec->words, w) };
	case ATTR_LIST:
		return one_value(c, (Attr){ .kind = c->types[0].dtype == GRAFT_DTYPE_bool ? ATTR_BOOL : ATTR_INT,
		                            .i = i });
	default: return (Attr){ .kind = spec->kind, .i = i };
	}
}

static Attr attr_declared(const TorchCall *c, const AttrSpec *spec)
{
	const Type *t = &c->types[0];
	if (spec->kind == ATTR_DTYPE)
		return (Attr){ .kind = ATTR_DTYPE, .i = t->dtype };
	return (Attr){ .kind = ATTR_DIMS, .n = t->rank, .dims = t->dims };
}

/* ---- making nodes ---- */

static const char *helper_name(const TorchCall *c)
{
	return name_fresh(c->g, arena_printf(&c->g->arena, "%s_tmp", c->n_out ? c->out_name[0] : "assert"));
}

Value *emit_as(TorchCall *c, NodeSpec spec, const Operand *in, bool last)
{
	Value **values = NEW_ARRAY(c->scratch, spec.n_in, Value *);
	const char *helper = last ? NULL : helper_name(c);
	const char **place = NEW_ARRAY(&c->g->document->arena, (size_t)spec.n_in + (last ? c->n_out : 1), const char *);
	for (uint32_t i = 0; i < spec.n_in; i++) {
		values[i] = in[i].value;
		place[i] = in[i].place;
	}
	for (uint32_t i = 0; last && i < c->n_out; i++)
		place[spec.n_in + i] = c->out_place[i];
	spec.in = values;
	spec.n_out = last ? c->n_out : 1;
	spec.out_names = last ? c->out_name : &helper;
	spec.types = last && !c->loose ? c->types : spec.types;
	Node *n = node_new(c->g, &spec);
	n->source = &c->node->source;
	n->places = arena_copy(&c->g->document->arena, &(Places){ place, NULL }, sizeof(Places));
	return n->n_out ? n->out[0] : NULL;
}

const Op *need_op(const TorchCall *c, const char *name)
{
	const Op *op = op_find(name, strlen(name));
	if (!op)
		give_up(c, "graft has no op '%s'", name);
	return op;
}

Value *emit(TorchCall *c, const char *op, const Operand *in, uint32_t n_in, bool last,
                   const char *name_a, Attr a, const char *name_b, Attr b)
{
	NodeSpec spec = { .op = need_op(c, op), .n_in = n_in };
	Attr attrs[MAX_ATTRS] = { { 0 } };
	if (name_a)
		attrs[attr_index(spec.op, name_a, strlen(name_a))] = a;
	if (name_b)
		attrs[attr_index(spec.op, name_b, strlen(name_b))] = b;
	spec.attr = attrs;
	return emit_as(c, spec, in, last);
}

Value *emit2(TorchCall *c, const char *op, Operand a, Operand b, bool last)
{
	return emit(c, op, (Operand[]){ a, b }, 2, last, NOTHING, NOTHING);
}

Operand made(Value *v)
{
	return (Operand){ v, NULL };
}

Operand literal(TorchCall *c, Attr a)
{
	return (Operand){ value_literal(c->g, a), NULL };
}

Operand operand_of(TorchCall *c, const TorchArg *a)
{
	if (!a)
		return (Operand){ NULL, NULL };
	if (a->tag == TAG_tensor || a->tag == TAG_optional_tensor)
		return (Operand){ a->tensor[0], a->place[0] };
	return literal(c, arg_scalar(c, a));
}

Operand operand(TorchCall *c, const char *name)
{
	Operand o = operand_of(c, arg_named(c, name));
	if (!o.value)
		give_up(c, "the argument '%s' is missing", name);
	return o;
}

bool is_one(const TorchCall *c, const char *name)
{
	return f64_named(c, name, 1) == 1;
}

/* ---- rows ---- */

static bool is_dropped(const TorchArg *a)
{
	static const char *const dropped[] = { "device", "layout", "pin_memory", "memory_format", "non_blocking",
	                                       "copy" };
	for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
		if (a->name_size == strlen(dropped[i]) && !memcmp(a->name, dropped[i], a->name_size))
			return true;
	return a->tag == TAG_none;
}

static bool holds(const TorchCall *c, TorchAttr condition)
{
	const TorchArg *a = arg_word(c, condition.arg);
	size_t n;
	if (!a)
		return true;
	if (a->tag == TAG_string) {
		const char *s = json_text(c->scratch, a->value, &n);
		return word_is(condition.fallback, s, n);
	}
	if (a->tag == TAG_bool)
		return json_bool(a->value) == (*condition.fallback.s == 't');
	return (a->tag == TAG_int || a->tag == TAG_float) &&
	       arg_f64(c, a) == strtod(arena_strndup(c->scratch, condition.fallback.s, condition.fallback.n), NULL);
}

/* Do its conditions hold? Marks the arguments that the row names. */
static bool row_holds(const TorchCall *c, const TorchRow *row)
{
	TorchWord w;
	for (uint32_t i = 0; i < c->n_args; i++)
		c->arg[i].used = is_dropped(&c->arg[i]);
	for (const char *list = row->operands; torch_word(&list, &w);) {
		TorchOperand o = torch_operand_word(w);
		TorchArg *a = find_arg(c, o.arg.s, o.arg.n);
		if (a)
			a->used = true;
	}
	for (const char *list = row->attrs; torch_word(&list, &w);) {
		TorchAttr t = torch_attr_word(w);
		TorchArg *a = find_arg(c, t.arg.s, t.arg.n);
		if (a)
			a->used = true;
		if (t.kind == TORCH_CONDITION && !holds(c, t))
			return false;
	}
	return true;
}

static bool row_fits(const TorchCall *c, const TorchRow *row)
{
	if (!row_holds(c, row))
		return false;
	for (uint32_t i = 0; i < c->n_args && !row->lower; i++)
		if (!c->arg[i].used)
			return false;
	return true;
}

static uint32_t row_operands(TorchCall *c, const TorchRow *row, Operand **out)
{
	uint32_t n = 0, most = 0;
	TorchWord w;
	for (uint32_t i = 0; i < c->n_args; i++)
		most += c->arg[i].n_tensors + 1;
	Operand *in = *out = NEW_ARRAY(c->scratch, most + 8, Operand);
	for (const char *list = row->operands; torch_word(&list, &w);) {
		TorchOperand o = torch_operand_word(w);
		const TorchArg *a = arg_word(c, o.arg);
		for (uint32_t i = 0; o.list && a && i < a->n_tensors; i++)
			in[n++] = (Operand){ a->tensor[i], a->place[i] };
		if (!o.list)
			in[n++] = operand_of(c, a);
	}
	while (n && !in[n - 1].value)
		n--;
	return n;
}

void row_attrs(const TorchCall *c, const char *words, const Op *op, Attr *attrs)
{
	TorchWord w;
	for (const char *list = words; torch_word(&list, &w);) {
		TorchAttr t = torch_attr_word(w);
		if (t.kind != TORCH_GIVEN && t.kind != TORCH_DECLARED)
			continue;
		int i = attr_index(op, t.attr.s, t.attr.n);
		const TorchArg *a = t.arg.n ? arg_word(c, t.arg) : NULL;
		if (i < 0)
			give_up(c, "%s has no attribute '%.*s'", op->name, (int)t.attr.n, t.attr.s);
		if (t.kind == TORCH_DECLARED)
			attrs[i] = attr_declared(c, &op->attrs[i]);
		else if (a)
			attrs[i] = attr_of(c, &op->attrs[i], a);
		else if (t.fallback.n)
			attrs[i] = attr_fixed(c, &op->attrs[i], t.fallback);
	}
}

/* A tensor without axes does not raise the dtype of one that has some, and is rounded to it first; PyTorch's mul and div
 * take it as it is when it comes second. */
static void round_scalars(TorchCall *c, const Op *op, Operand *in, uint32_t n)
{
	graft_dtype d = c->n_out ? c->types[0].dtype : GRAFT_DTYPE_COUNT;
	bool half = d == GRAFT_DTYPE_f16 || d == GRAFT_DTYPE_bf16;
	uint32_t rounded = op_code(op) == OP_mul || op_code(op) == OP_div ? 1 : 2;
	bool is_binary = op->infer == infer_binary || op->infer == infer_binary_float;
	for (uint32_t i = 0; half && is_binary && i < n && i < rounded; i++) {
		Value *v = in[i].value;
		if (v && v->kind != VALUE_LITERAL && !v->type.rank && c->types[0].rank &&
		    dtype_is_float(v->type.dtype) && graft_dtype_size(v->type.dtype) > graft_dtype_size(d))
			in[i] = made(torch_cast(c, v, in[i].place, d));
	}
}

static void lower_row(TorchCall *c, const TorchRow *row)
{
	NodeSpec spec = { .op = need_op(c, row->op) };
	Attr attrs[MAX_ATTRS] = { { 0 } };
	Operand *in;
	row_attrs(c, row->attrs, spec.op, attrs);
	spec.n_in = row_operands(c, row, &in);
	round_scalars(c, spec.op, in, spec.n_in);
	spec.attr = attrs;
	emit_as(c, spec, in, true);
}

static bool lower_target(TorchCall *c, const char *target)
{
	const TorchRow *first = torch_row(target);
	if (first && !c->n_out && (!first->op || need_op(c, first->op)->out_min))
		give_up(c, "it has no result");
	for (const TorchRow *row = torch_row(target); row; row = next_row(row)) {
		if (!row_fits(c, row))
			continue;
		c->row = row;
		if (row->lower)
			row->lower(c);
		else
			lower_row(c, row);
		return true;
	}
	return false;
}

/* `x.div_(y)` is t = div(x, y); copy_(x, t). */
static bool lower_in_place(TorchCall *c)
{
	const char *target = c->target, *dot = strrchr(target, '.');
	if (!dot || dot == target || dot[-1] != '_' || c->n_out != 1 || !c->n_args || c->arg[0].tag != TAG_tensor)
		return false;
	const char *tmp = helper_name(c), *nowhere = NULL;
	TorchCall plain = *c;
	plain.out_name = &tmp;
	plain.out_place = &nowhere;
	plain.loose = true;
	if (!lower_target(&plain, arena_printf(c->scratch, "%.*s%s", (int)(dot - target - 1), target, dot)))
		return false;
	emit2(c, "copy_", operand_of(c, &c->arg[0]), made(value_find(c->g, tmp, strlen(tmp))), true);
	return true;
}

/* What there are no kernels for is nothing for our ops. */
static void check_kernels(const TorchCall *c)
{
	for (uint32_t i = 0; i < c->n_out; i++)
		if (dtype_is_kept(c->types[i].dtype))
			give_up(c, "it makes %s, which graft has no kernels for", torch_kept_name(c->types[i].dtype));
	for (uint32_t i = 0; i < c->n_args; i++)
		for (uint32_t k = 0; k < c->arg[i].n_tensors; k++) {
			const Value *v = c->arg[i].tensor[k];
			if (v && dtype_is_kept(v->type.dtype))
				give_up(c, "it reads %s, which graft has no kernels for", torch_kept_name(v->type.dtype));
		}
}

bool torch_lower(TorchCall *c)
{
	check_kernels(c);
	TorchCall cast = *c;
	c->node->source.bound = torch_autocast(&cast);
	return lower_target(&cast, c->target) || lower_in_place(&cast);
}

Value *torch_cast(TorchCall *c, Value *v, const char *place, graft_dtype to)
{
	return emit(c, "cast", &(Operand){ v, place }, 1, false, "dtype", (Attr){ .kind = ATTR_DTYPE, .i = to },
	            NOTHING);
}

/* ---- ops that graft does not know ---- */

/* The text of anything that has no kind of its own with us. */
static Attr attr_text(const TorchCall *c, Json v)
{
	const char *end = json_skip_value(v.text, v.at);
	return (Attr){ .kind = ATTR_STRING, .s = arena_strndup(c->scratch, v.at, (size_t)(end - v.at)) };
}

static Attr attr_string(const TorchCall *c, Json v)
{
	size_t n;
	const char *s = json_text(c->scratch, v, &n);
	return (Attr){ .kind = ATTR_STRING, .s = arena_strndup(c->scratch, s, n) };
}

/* As ops are named everywhere here: "aten.add.Tensor". */
static Attr attr_operator(const TorchCall *c, Json v)
{
	Attr a = attr_string(c, v);
	size_t prefix = strlen("torch.ops.");
	if (!strncmp(a.s, "torch.ops.", prefix) && a.s[prefix])
		a.s += prefix;
	return a;
}

static Attr attr_any(const TorchCall *c, TorchTag tag, Json v);

static Attr attr_list(const TorchCall *c, TorchTag of, Json array)
{
	uint32_t n = list_length(array), i = 0;
	Attr *list = NEW_ARRAY(c->scratch, n, Attr);
	for (JsonList l = json_list(array, JSON_ARRAY); json_more(&l);)
		list[i++] = attr_any(c, of, l.here);
	return (Attr){ .kind = ATTR_LIST, .n = n, .list = list };
}

static Attr attr_any(const TorchCall *c, TorchTag tag, Json v)
{
	switch (tag) {
	case TAG_none: return (Attr){ 0 };
	case TAG_bool: return (Attr){ .kind = ATTR_BOOL, .i = json_bool(v) };
	case TAG_int: return (Attr){ .kind = ATTR_INT, .i = json_int(v, INT64_MIN, INT64_MAX) };
	case TAG_float: return (Attr){ .kind = ATTR_FLOAT, .f = torch_f64(v) };
	case TAG_string: return attr_string(c, v);
	case TAG_operator: return attr_operator(c, v);
	case TAG_ints: return attr_list(c, TAG_int, v);
	case TAG_floats: return attr_list(c, TAG_float, v);
	case TAG_bools: return attr_list(c, TAG_bool, v);
	case TAG_strings: return attr_list(c, TAG_string, v);
	case TAG_graph: return attr_string(c, json_member_need(v, "name"));
	default: return attr_text(c, v);
	}
}

bool torch_shares(Arena *scratch, const TorchCall *c)
{
	/* they return what they were given, where nothing is to be done, and PyTorch does not declare it */
	static const char *const undeclared[] = { "aten.dropout.default", "aten.type_as.default" };
	TorchSchema s;
	for (size_t i = 0; i < sizeof undeclared / sizeof *undeclared; i++)
		if (!strcmp(c->target, undeclared[i]))
			return true;
	return c->n_out == 1 && torch_schema(scratch, c->target, &s) && s.n_args && s.n_results == 1 &&
	       (s.result[0].storage & s.arg[0].storage) && !s.arg[0].written;
}

/* What PyTorch says that an op may do to what it reads. One that functionalises another reads copies of its own. NULL: it
 * says nothing, so all of it. */
static uint8_t *effects_of(TorchCall *c, uint32_t n_in)
{
	TorchSchema schema;
	bool functional = !strncmp(c->target, "higher_order.auto_functionalized", 32);
	if (!functional && !torch_schema(c->scratch, c->target, &schema))
		return NULL;
	uint8_t *effects = NEW_ARRAY(&c->g->arena, n_in, uint8_t);
	uint32_t at = 0;
	for (uint32_t i = 0; i < c->n_args && !functional; i++) {
		const TorchSchemaArg *arg = torch_schema_arg(&schema, c->arg[i].name, c->arg[i].name_size);
		unsigned effect = !arg ? MAY_WRITE | MAY_SHARE : torch_schema_writes(&schema, arg) ? MAY_WRITE : 0;
		for (uint32_t r = 0; arg && r < schema.n_results; r++)
			effect |= torch_schema_shares(&schema, r, arg) ? MAY_SHARE : 0u;
		for (uint32_t k = 0; k < c->arg[i].n_tensors; k++)
			effects[at++] = (uint8_t)effect;
	}
	return effects;
}

/* What prints must read back as the same node: not as an op of ours. */
static const char *kept_op(const TorchCall *c)
{
	const char *target = c->target;
	return op_find(target, strlen(target)) ? arena_printf(c->scratch, "torch.ops.%s", target) : target;
}

static bool is_among(const char *const *names, uint32_t n, const char *name)
{
	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static bool names_an_arg(const TorchCall *c, const char *name)
{
	for (uint32_t i = 0; i < c->n_args; i++)
		if (c->arg[i].name_size == strlen(name) && !memcmp(c->arg[i].name, name, c->arg[i].name_size))
			return true;
	return false;
}

/* The argument's name, or one by its place, also where there are very many; never one of the n that are taken. */
static const char *kept_name(const TorchCall *c, uint32_t i, const char *const *taken, uint32_t n)
{
	enum { NAMED_MAX = 256 };
	const TorchArg *a = &c->arg[i];
	bool many = c->n_args > NAMED_MAX;
	const char *name = a->name_size && !many ? arena_strndup(c->scratch, a->name, a->name_size) :
	                   arena_printf(c->scratch, "arg%u", i);
	while (!many && (is_among(taken, n, name) || (!a->name_size && names_an_arg(c, name))))
		name = arena_printf(c->scratch, "%s_", name);
	return name;
}

static const char *const decomposed[] = {
#define DECOMPOSED(target) target,
#include "torch_decomposed.def"
#undef DECOMPOSED
};

static bool is_decomposed(const char *target)
{
	for (size_t i = 0; i < sizeof decomposed / sizeof *decomposed; i++)
		if (!strcmp(target, decomposed[i]))
			return true;
	return false;
}

/* Why it does not run, and what to do; NULL: nothing is known but that graft has no such op. */
static const char *why_kept(const TorchCall *c)
{
	if (!is_decomposed(c->target))
		return c->why;
	return arena_printf(c->scratch, "%s; run_decompositions() takes it apart into ops that graft has",
	                    c->why ? c->why : "not an op of graft's");
}

void torch_keep(TorchCall *c)
{
	NodeSpec spec = { .op = &op_table[OP_unknown], .name = kept_op(c) };
	Attr *attrs = NEW_ARRAY(c->scratch, c->n_args, Attr);
	const char **names = NEW_ARRAY(c->scratch, c->n_args, const char *);
	uint32_t most = 0;
	for (uint32_t i = 0; i < c->n_args; i++)
		most += c->arg[i].n_tensors;
	Operand *in = NEW_ARRAY(c->scratch, most, Operand);
	for (uint32_t i = 0; i < c->n_args; i++) {
		const TorchArg *a = &c->arg[i];
		for (uint32_t k = 0; k < a->n_tensors; k++)
			in[spec.n_in++] = (Operand){ a->tensor[k], a->place[k] };
		if (a->n_tensors)
			continue;
		names[spec.n_attr] = kept_name(c, i, names, spec.n_attr);
		attrs[spec.n_attr++] = attr_any(c, a->tag, a->value);
	}
	spec.attr = attrs;
	spec.attr_name = names;
	emit_as(c, spec, in, true);
	c->g->last->effects = effects_of(c, spec.n_in);
	c->node->source.bound = c->autocast != GRAFT_DTYPE_COUNT;
	const char *why = why_kept(c);
	if (why)
		c->g->last->why = arena_strdup(&c->g->arena, why);
}
