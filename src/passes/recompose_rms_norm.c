/* recompose_rms_norm.c - norms spelled out in small ops become rms_norm nodes.
 *
 * Tentative: a norm that no fusion takes goes back to the ops it was spelled in, so that an exported graph is not
 * changed for nothing. Two rules, because the casts tell where the product with the weight is rounded. `xf`, `wf` and
 * `nc` are the same values as `x`, `w` and `n` where a model has no casts; a cast to the dtype that was there is a clone
 * or an alias in some exports.
 *
 * What it takes by itself has the bits of the norm on the CPU, where a norm sums its rows as mean and sum do, and mean
 * is the sum divided by the number of columns. sum * (1 / n) has these bits where n is a power of two; for another n, and
 * for a division by the square root, it has not, and is taken when the pass is asked for by name.
 */
#include "match.h"

static bool is_one_plus(const Value *w)
{
	if (!w->def || op_code(w->def->op) != OP_add)
		return false;
	for (uint32_t i = 0; i < w->def->n_in; i++) {
		const Value *v = w->def->in[i].value;
		if (v->kind == VALUE_LITERAL && (v->literal.kind == ATTR_FLOAT ? v->literal.f == 1 : v->literal.i == 1))
			return true;
	}
	return false;
}

static const char *dtype_of(const Value *v)
{
	return graft_dtype_name(v->type.dtype);
}

static bool weight_fits(Match *m, const Value *x, const Value *w)
{
	Graph *g = match_graph(m);
	Arena *a = match_run(m)->scratch;
	Dim last = x->type.dims[x->type.rank - 1];
	if (is_one_plus(w))
		return refuse(m, "gemma", "the weight '%s' is 1 + w, wanted w itself", w->name);
	if (w->type.rank != 1)
		return refuse(m, "weight_rank", "the weight '%s' has %u axes, wanted 1", w->name, w->type.rank);
	if (dim_eq(g, w->type.dims[0], last) != YES)
		return refuse(m, "weight_length", "the weight '%s' is %s long, the last axis of '%s' is %s", w->name,
		              dim_string(a, w->type.dims[0]), x->name, dim_string(a, last));
	return w->type.dtype == x->type.dtype ||
	       refuse(m, "weight_dtype", "the weight '%s' is %s, the input '%s' is %s", w->name, dtype_of(w), x->name,
	              dtype_of(x));
}

/* Sums are made in float32, or in float64 for float64. */
static bool sums_fit(Match *m, const Value *x)
{
	graft_dtype wanted = x->type.dtype == GRAFT_DTYPE_f64 ? GRAFT_DTYPE_f64 : GRAFT_DTYPE_f32;
	const char *const names[] = { "xf", "sq", "mn", "v", "n" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const Value *v = match_value(m, names[i]);
		if (v->type.dtype != wanted)
			return refuse(m, "dtype", "'%s' is %s, wanted %s", v->name, dtype_of(v),
			              graft_dtype_name(wanted));
	}
	return true;
}

/* The number that a sum is divided by or multiplied with; false: it is none. */
static bool factor_of(const Match *m, const Node *mean, double *out)
{
	for (uint32_t i = 2; i-- > 0;) {
		const Value *v = mean->in[i].value;
		Attr a;
		if (!v || (m->alias && alias_written(m->alias, v)) || !value_scalar(v, &a) || a.kind == ATTR_BOOL)
			continue;
		*out = a.kind == ATTR_FLOAT ? a.f : (double)a.i;
		return true;
	}
	return false;
}

/* Where the mean is spelled as sum / n or sum * (1 / n), is n the length of the last axis? */
static bool mean_fits(Match *m)
{
	const Value *x = match_value(m, "x"), *mn = match_value(m, "mn");
	OpCode op = op_code(mn->def->op);
	Dim last = x->type.dims[x->type.rank - 1];
	double found;
	if (op == OP_mean)
		return true;
	if (!factor_of(m, mn->def, &found))
		return refuse(m, "not_constant", "the sum is divided by what is no number in '%s'", mn->name);
	if (!dim_is_const(last))
		return refuse(m, "size_unknown", "the last axis of '%s' is symbolic, and '%s' makes the mean with %g",
		              x->name, mn->name, found);
	double wanted = op == OP_div ? (double)last.value : 1 / (double)last.value;
	bool is_mean = found == wanted || (mn->type.dtype != GRAFT_DTYPE_f64 && (float)found == (float)wanted);
	if (!is_mean)
		return refuse(m, "mean", "'%s' makes the mean of %lld columns with %g", mn->name, (long long)last.value,
		              found);
	return op == OP_div || !(last.value & (last.value - 1)) || match_run(m)->keep ||
	       refuse(m, "rounds", "'%s' multiplies by 1 / %lld; rms_norm divides, which may differ in the last bit; "
	              "--enable recompose_rms_norm takes it", mn->name, (long long)last.value);
}

/* x / s is not x * (1 / s) in every bit. */
static bool keeps_bits(Match *m)
{
	const Value *n = match_value(m, "n");
	return op_code(n->def->op) != OP_div || match_run(m)->keep ||
	       refuse(m, "rounds", "'%s' divides by the square root; rms_norm multiplies by its reciprocal, which may "
	              "differ in the last bit; --enable recompose_rms_norm takes it", n->name);
}

static bool norm_fits(Match *m)
{
	const Value *x = match_value(m, "x");
	if (!x->type.rank || !dtype_is_float(x->type.dtype))
		return false;
	return sums_fit(m, x) && weight_fits(m, x, match_value(m, "w")) && mean_fits(m) && keeps_bits(m);
}

/* A weight multiplied in float32 and cast afterwards is the other rule's, which sees the cast. */
static bool is_cast_back(Match *m)
{
	const Value *x = match_value(m, "x"), *y = match_value(m, "y");
	const Node *up = x->def;
	if (match_node(m, "xf") || !up || op_code(up->op) != OP_cast)
		return false;
	for (const Use *u = y->uses; u; u = u->next)
		if (u->node && op_code(u->node->op) == OP_cast &&
		    u->node->out[0]->type.dtype == up->in[0].value->type.dtype)
			return true;
	return false;
}

static bool early_fits(Match *m)
{
	const Value *x = match_value(m, "x"), *nc = match_value(m, "nc");
	bool differs = nc->type.dtype != x->type.dtype;
	if (is_cast_back(m) || (differs && !match_node(m, "nc")))
		return false;
	if (differs)
		return refuse(m, "dtype", "'%s' is %s where it meets the weight, the input '%s' is %s", nc->name,
		              dtype_of(nc), x->name,
		              dtype_of(x));
	return norm_fits(m);
}

/* In float32 and float64 nothing is rounded between, so both conventions are one. */
static void early_round(Match *m)
{
	graft_dtype d = match_value(m, "x")->type.dtype;
	bool early = d != GRAFT_DTYPE_f32 && d != GRAFT_DTYPE_f64;
	match_bind_attr(m, "round", (Attr){ .kind = ATTR_NAME, .i = early });
}

#define NORM \
	"xf ?= cast(x) | clone(x) | alias(x)\n" \
	"sq = pow(xf, 2) | mul(xf, xf) | square(xf)\n" \
	"mn = mean(sq) {axes=[-1], keepdim=true} | div(sum(sq) {axes=[-1], keepdim=true}, count) " \
	"| mul(sum(sq) {axes=[-1], keepdim=true}, part)\n" \
	"v = add(mn, eps)\n" \
	"n = mul(xf, rsqrt(v)) | mul(xf, reciprocal(sqrt(v))) | mul(xf, pow(v, -0.5)) | mul(xf, div(1, sqrt(v))) " \
	"| div(xf, sqrt(v))\n"

const Rule rules_recompose_rms_norm[] = {
	{ .name  = "rms_norm_late",
	  .match = NORM
	           "wf ?= cast(w) | clone(w) | alias(w)\n"
	           "t = mul(n, wf)\n"
	           "y = cast(t)",
	  .emit  = "y = rms_norm(x, w) {eps=eps, round=late}",
	  .where = norm_fits, .tentative = true },
	{ .name  = "rms_norm_early",
	  .match = NORM
	           "nc ?= cast(n) | clone(n) | alias(n)\n"
	           "wf ?= cast(w) | clone(w) | alias(w)\n"
	           "y = mul(nc, wf)",
	  .emit  = "y = rms_norm(x, w) {eps=eps, round=round}",
	  .where = early_fits, .attrs = early_round, .computed = "round", .tentative = true },
	{ .match = NULL },
};
