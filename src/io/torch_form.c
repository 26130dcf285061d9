/* torch_form.c - torch ops that are several of ours, as one line of text in torch_ops.def:
 *
 *     form = [ "f64:" ] { NAME "=" expr ";" } expr
 *     expr = OP "(" [ expr { "," expr } ] ")" [ "{" attributes "}" ] | NAME [ ":" NUMBER ] | NUMBER
 *
 * A NAME is what was said before, or an argument, with what it is when it is missing. Attributes are as in a row.
 * Integers that give a float are cast to the result's dtype first, as torch does. What is computed on the way is not
 * rounded to half precision: such tensors are cast to f32 (with f64: all floats to f64), and the result is cast back.
 */
#include "torch_lower.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 8, OPERANDS_MAX = 4 };

typedef struct Said { TorchWord name; Operand is; } Said;

typedef struct Form {
	TorchCall *c;
	const char *p;
	Said said[NAMES_MAX];
	uint32_t n_said;
	graft_dtype wide;                     /* what floats are cast to; GRAFT_DTYPE_COUNT: nothing */
} Form;

static void blanks(Form *f)
{
	f->p += strspn(f->p, " ");
}

static bool accept(Form *f, char c)
{
	blanks(f);
	if (*f->p != c)
		return false;
	f->p++;
	blanks(f);
	return true;
}

static TorchWord name(Form *f)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	TorchWord w = { f->p, strspn(f->p, letters) };
	f->p += w.n;
	return w;
}

static bool is_number(const char *p)
{
	return strchr("-0123456789", *p) || !strncmp(p, "inf", 3);
}

static Operand number(Form *f)
{
	char *end;
	double v = strtod(f->p, &end);
	bool whole = !memchr(f->p, '.', (size_t)(end - f->p)) && isfinite(v);
	f->p = end;
	return literal(f->c, whole ? (Attr){ .kind = ATTR_INT, .i = (int64_t)v } : (Attr){ .kind = ATTR_FLOAT, .f = v });
}

static Operand say(Form *f, TorchWord name, Operand is)
{
	if (f->n_said == NAMES_MAX)
		give_up(f->c, "its form has too many names");
	f->said[f->n_said++] = (Said){ name, is };
	return is;
}

static TorchArg *argument(const Form *f, TorchWord w)
{
	for (uint32_t i = 0; i < f->c->n_args; i++)
		if (f->c->arg[i].name_size == w.n && !memcmp(f->c->arg[i].name, w.s, w.n))
			return &f->c->arg[i];
	return NULL;
}

/* What torch makes of a tensor before it computes. */
static graft_dtype promoted(const TorchCall *c, const Value *v)
{
	graft_dtype y = c->types[0].dtype;
	return dtype_is_float(y) && !dtype_is_float(v->type.dtype) ? y : v->type.dtype;
}

static Operand cast_to(Form *f, Operand o, graft_dtype to)
{
	return o.value->type.dtype == to ? o : made(torch_cast(f->c, o.value, o.place, to));
}

static Operand widened(Form *f, Operand o)
{
	if (o.value->kind == VALUE_LITERAL)
		return o;
	o = cast_to(f, o, promoted(f->c, o.value));
	bool wide = f->wide != GRAFT_DTYPE_COUNT && dtype_is_float(o.value->type.dtype);
	return wide ? cast_to(f, o, f->wide) : o;
}

static Operand named(Form *f, TorchWord w)
{
	Operand missing = accept(f, ':') ? number(f) : (Operand){ NULL, NULL };
	for (uint32_t i = 0; i < f->n_said; i++)
		if (f->said[i].name.n == w.n && !memcmp(f->said[i].name.s, w.s, w.n))
			return f->said[i].is;
	TorchArg *a = argument(f, w);
	if (a)
		a->used = true;
	Operand o = a && a->tag != TAG_none ? operand_of(f->c, a) : missing;
	if (!o.value)
		give_up(f->c, "the argument '%.*s' is missing", (int)w.n, w.s);
	return say(f, w, widened(f, o));
}

static Operand expr(Form *f, bool last);

static const char *attributes(Form *f)
{
	TorchWord w = { f->p, strcspn(f->p, "}") };
	const char *words = arena_strndup(f->c->scratch, w.s, w.n);
	f->p += w.n + 1;
	for (const char *list = words; torch_word(&list, &w);) {
		TorchArg *a = argument(f, torch_attr_word(w).arg);
		if (a)
			a->used = true;
	}
	return words;
}

static Operand call(Form *f, TorchWord op, bool last)
{
	NodeSpec spec = { .op = need_op(f->c, arena_strndup(f->c->scratch, op.s, op.n)) };
	Attr attrs[MAX_ATTRS] = { { 0 } };
	Operand in[OPERANDS_MAX];
	for (bool more = !accept(f, ')'); more; more = accept(f, ',')) {
		if (spec.n_in == OPERANDS_MAX)
			give_up(f->c, "its form gives %s too many operands", spec.op->name);
		in[spec.n_in++] = expr(f, false);
	}
	accept(f, ')');
	if (accept(f, '{'))
		row_attrs(f->c, attributes(f), spec.op, attrs);
	spec.attr = attrs;
	blanks(f);
	bool is_result = last && f->wide == GRAFT_DTYPE_COUNT;
	return made(emit_as(f->c, spec, in, is_result));
}

static Operand expr(Form *f, bool last)
{
	blanks(f);
	if (is_number(f->p))
		return number(f);
	TorchWord w = name(f);
	return accept(f, '(') ? call(f, w, last) : named(f, w);
}

/* Is there another "name =" in front? Then it is said. */
static bool statement(Form *f)
{
	const char *semicolon = strchr(f->p, ';');
	if (!semicolon)
		return false;
	blanks(f);
	TorchWord w = name(f);
	accept(f, '=');
	say(f, w, expr(f, false));
	f->p = semicolon + 1;
	return true;
}

static graft_dtype widening(const TorchCall *c, bool most)
{
	graft_dtype wide = GRAFT_DTYPE_COUNT;
	for (uint32_t i = 0; i < c->n_args; i++)
		for (uint32_t k = 0; k < c->arg[i].n_tensors; k++) {
			const Value *v = c->arg[i].tensor[k];
			graft_dtype d = v ? promoted(c, v) : GRAFT_DTYPE_bool;
			if (d == GRAFT_DTYPE_f16 || d == GRAFT_DTYPE_bf16)
				wide = GRAFT_DTYPE_f32;
			else if (d == GRAFT_DTYPE_f32 && (most || c->types[0].dtype == GRAFT_DTYPE_f64))
				wide = GRAFT_DTYPE_f64;
		}
	if (wide != GRAFT_DTYPE_COUNT && c->types[0].dtype == GRAFT_DTYPE_f64)
		return GRAFT_DTYPE_f64;
	return wide != GRAFT_DTYPE_COUNT && most ? GRAFT_DTYPE_f64 : wide;
}

void lower_form(TorchCall *c)
{
	bool most = !strncmp(c->row->form, "f64:", 4);
	Form f = { .c = c, .p = c->row->form + (most ? 4 : 0), .wide = widening(c, most) };
	while (statement(&f))
		;
	Operand y = expr(&f, true);
	if (*f.p)
		give_up(c, "its form ends too late: %s", f.p);
	for (uint32_t i = 0; i < c->n_args; i++)
		if (!c->arg[i].used)
			give_up(c, "its argument '%.*s' means nothing to graft", (int)c->arg[i].name_size,
			        c->arg[i].name);
	if (f.wide != GRAFT_DTYPE_COUNT)
		emit(c, "cast", &y, 1, true, "dtype", (Attr){ .kind = ATTR_DTYPE, .i = c->types[0].dtype }, NOTHING);
}

/* ---- the table ---- */

static const Op *checked_op(Job *job, const TorchRow *row, const char *s, size_t n)
{
	const Op *op = op_find(s, n);
	if (!op)
		fail(job, GRAFT_E_RULE, "torch_ops.def: %s: no such op: '%.*s'", row->target, (int)n, s);
	return op;
}

static void check_attributes(Job *job, const TorchRow *row, const Op *op, const char *s, size_t n)
{
	const char *list = arena_strndup(&job->scratch, s, n);
	TorchWord w;
	while (torch_word(&list, &w)) {
		TorchAttr a = torch_attr_word(w);
		if (!op || attr_index(op, a.attr.s, a.attr.n) < 0)
			fail(job, GRAFT_E_RULE, "torch_ops.def: %s: no attribute '%.*s' there", row->target,
			     (int)a.attr.n, a.attr.s);
	}
}

void torch_form_check(Job *job, const TorchRow *row)
{
	enum { DEPTH = 16 };
	const Op *open[DEPTH], *closed = NULL;
	int depth = 0;
	Form f = { .p = row->form };
	for (; *f.p; f.p++) {
		TorchWord w = name(&f);
		if (*f.p == '(' && depth < DEPTH)
			open[depth++] = checked_op(job, row, w.s, w.n);
		else if (*f.p == ')' && depth)
			closed = open[--depth];
		else if (*f.p == '{')
			check_attributes(job, row, closed, f.p + 1, strcspn(f.p + 1, "}"));
		f.p += *f.p == '{' ? strcspn(f.p, "}") : 0;
		if (!*f.p)
			break;
	}
	if (depth)
		fail(job, GRAFT_E_RULE, "torch_ops.def: %s: a bracket is not closed", row->target);
}
