/* torch_functions.c - torch ops that several of ours say, and that no form can: the functions that rows of torch_ops.def
 * name. */
#include "torch_lower.h"
#include <float.h>
#include <math.h>
#include <string.h>

void lower_to(TorchCall *c)
{
	Operand x = operand(c, "self");
	const TorchArg *copy = arg_named(c, "copy");
	graft_dtype dtype = c->types[0].dtype;
	bool is_copy = !strcmp(c->target, "aten._to_copy.default") ||
		(copy && copy->tag == TAG_bool && json_bool(copy->value));
	if (x.value->type.dtype != dtype)
		emit(c, "cast", &x, 1, true, "dtype", (Attr){ .kind = ATTR_DTYPE, .i = dtype }, NOTHING);
	else
		emit(c, is_copy ? "clone" : "alias", &x, 1, true, NOTHING, NOTHING);
}

void lower_alpha(TorchCall *c)
{
	const TorchArg *alpha = arg_named(c, "alpha");
	if (!alpha)
		give_up(c, "the argument 'alpha' is missing");
	Value *scaled = emit2(c, "mul", operand(c, "other"), literal(c, arg_scalar(c, alpha)), false);
	emit2(c, strstr(c->target, ".sub") ? "sub" : "add", operand(c, "self"), made(scaled), true);
}

void lower_addmm(TorchCall *c)
{
	bool batched = strstr(c->target, ".baddbmm");
	Value *y = emit2(c, "matmul", operand(c, batched ? "batch1" : "mat1"), operand(c, batched ? "batch2" : "mat2"),
	                 false);
	Operand bias = operand(c, "self");
	if (!is_one(c, "alpha"))
		y = emit2(c, "mul", made(y), literal(c, arg_scalar(c, arg_named(c, "alpha"))), false);
	if (f64_named(c, "beta", 1) == 0)
		give_up(c, "with beta 0 the bias is not read, not even where it is NaN");
	if (!is_one(c, "beta"))
		bias = made(emit2(c, "mul", bias, literal(c, arg_scalar(c, arg_named(c, "beta"))), false));
	emit2(c, "add", made(y), bias, true);
}

void lower_masked_fill(TorchCall *c)
{
	Operand x = operand(c, "self"), value = operand(c, "value");
	Operand in[] = { operand(c, "mask"), value, x };
	bool fits = value.value->kind == VALUE_LITERAL || value.value->type.dtype == x.value->type.dtype;
	Value *y = emit(c, "where", in, 3, fits, NOTHING, NOTHING);
	if (!fits)
		emit(c, "cast", (Operand[]){ made(y) }, 1, true, "dtype",
		     (Attr){ .kind = ATTR_DTYPE, .i = x.value->type.dtype }, NOTHING);
}

static Attr axis_attr(int64_t axis)
{
	return (Attr){ .kind = ATTR_AXIS, .i = axis };
}

static Attr bool_attr(int64_t v)
{
	return (Attr){ .kind = ATTR_BOOL, .i = v != 0 };
}

static Attr dim_attr(Dim d)
{
	return (Attr){ .kind = ATTR_DIM, .dim = d };
}

static Attr dims_attr(const Dim *dims, uint32_t n)
{
	return (Attr){ .kind = ATTR_DIMS, .n = n, .dims = dims };
}

static Attr float_attr(double v)
{
	return (Attr){ .kind = ATTR_FLOAT, .f = v };
}

static uint32_t need_axis(const TorchCall *c, int64_t axis, uint32_t rank)
{
	uint32_t place;
	if (!axis_place(axis, rank, &place))
		give_up(c, "there is no axis %lld", (long long)axis);
	return place;
}

static int64_t *int_list(const TorchCall *c, const char *name, uint32_t *n)
{
	const TorchArg *a = arg_named(c, name);
	*n = 0;
	if (!a)
		return NULL;
	if (a->tag == TAG_int) {
		*n = 1;
		return arena_copy(c->scratch, &(int64_t){ arg_int(c, a) }, sizeof(int64_t));
	}
	if (a->tag != TAG_ints)
		give_up(c, "wanted a list of numbers as '%s'", name);
	int64_t *v = NEW_ARRAY(c->scratch, list_length(a->value), int64_t);
	for (JsonList l = json_list(a->value, JSON_ARRAY); json_more(&l);)
		v[(*n)++] = json_int(l.here, INT64_MIN, INT64_MAX);
	return v;
}

/* One of our ops on the way, with one operand. */
static Operand step(TorchCall *c, const char *op, Operand x, const char *name, Attr a)
{
	return made(emit(c, op, &x, 1, false, name, a, NOTHING));
}

static Operand cast_to(TorchCall *c, Operand x, graft_dtype d)
{
	return x.value->type.dtype == d ? x : made(torch_cast(c, x.value, x.place, d));
}

/* What norms and the like compute in. */
static graft_dtype wide_of(const Value *v)
{
	return v->type.dtype == GRAFT_DTYPE_f64 ? GRAFT_DTYPE_f64 : GRAFT_DTYPE_f32;
}

/* May x share storage with what the node was given? */
static bool is_given(const TorchCall *c, const Value *x)
{
	for (uint32_t i = 0; i < c->n_args; i++)
		for (uint32_t k = 0; k < c->arg[i].n_tensors; k++)
			if (c->arg[i].tensor[k] == x)
				return true;
	const Node *n = x->def;
	return n && n->n_in && (node_effect(n, 0) & MAY_SHARE) && is_given(c, n->in[0].value);
}

/* The result is x, cast to what the file says of it. It is storage of its own: whoever writes it writes nothing else. */
static void result(TorchCall *c, Operand x)
{
	if (x.value->type.dtype == c->types[0].dtype)
		emit(c, is_given(c, x.value) ? "clone" : "alias", &x, 1, true, NOTHING, NOTHING);
	else
		emit(c, "cast", &x, 1, true, "dtype", (Attr){ .kind = ATTR_DTYPE, .i = c->types[0].dtype }, NOTHING);
}

static bool is_legacy_empty(const Value *v)
{
	return v->type.rank == 1 && dim_is(v->type.dims[0], 0);
}

/* A tensor of shape (0,) joins anything and adds nothing, as it did before there were other empty ones. */
void lower_cat(TorchCall *c)
{
	const TorchArg *a = arg_named(c, "tensors");
	bool flat = c->types[0].rank == 1;
	uint32_t n = 0;
	if (!a || a->tag != TAG_tensors)
		give_up(c, "the argument 'tensors' is missing");
	Operand *in = NEW_ARRAY(c->scratch, a->n_tensors, Operand);
	for (uint32_t i = 0; i < a->n_tensors; i++)
		if (flat || !is_legacy_empty(a->tensor[i]))
			in[n++] = (Operand){ a->tensor[i], a->place[i] };
	emit(c, "concat", in, n, true, "axis", axis_attr(int_named(c, "dim", 0)), NOTHING);
}

/* The results say how long each piece is. */
void lower_split(TorchCall *c)
{
	Operand x = operand(c, "self");
	int64_t axis = int_named(c, "dim", 0);
	Dim *sizes = NEW_ARRAY(c->scratch, c->n_out, Dim);
	for (uint32_t i = 0; i < c->n_out; i++) {
		uint32_t place;
		if (!axis_place(axis, c->types[i].rank, &place))
			give_up(c, "there is no axis %lld", (long long)axis);
		sizes[i] = c->types[i].dims[place];
	}
	emit(c, "split", &x, 1, true, "axis", axis_attr(axis), "sizes",
	     (Attr){ .kind = ATTR_DIMS, .n = c->n_out, .dims = sizes });
}

void lower_stack(TorchCall *c)
{
	const TorchArg *a = arg_named(c, "tensors");
	int64_t axis = int_named(c, "dim", 0);
	if (!a || a->tag != TAG_tensors)
		give_up(c, "the argument 'tensors' is missing");
	Operand *in = NEW_ARRAY(c->scratch, a->n_tensors, Operand);
	for (uint32_t i = 0; i < a->n_tensors; i++)
		in[i] = made(emit(c, "unsqueeze", (Operand[]){ { a->tensor[i], a->place[i] } }, 1, false, "axis",
		                  axis_attr(axis), NOTHING));
	emit(c, "concat", in, a->n_tensors, true, "axis", axis_attr(axis), NOTHING);
}

static Value *narrowed(TorchCall *c, Operand x, int64_t axis, int64_t start, Dim length)
{
	NodeSpec spec = { .op = need_op(c, "narrow"), .n_in = 1 };
	Attr attrs[MAX_ATTRS] = { axis_attr(axis), { .kind = ATTR_DIM, .dim = dim_const(start) },
	                          { .kind = ATTR_DIM, .dim = length } };
	spec.attr = attrs;
	return emit_as(c, spec, &x, false);
}

/* x[1:] - x[:-1], with what is put in front and behind. */
void lower_diff(TorchCall *c)
{
	int64_t axis = int_named(c, "dim", -1);
	uint32_t n = 0, place;
	Operand in[3], x = operand(c, "self");
	const TorchArg *prepend = arg_named(c, "prepend"), *append = arg_named(c, "append");
	if (int_named(c, "n", 1) != 1 || x.value->type.dtype == GRAFT_DTYPE_bool ||
	    !axis_place(axis, x.value->type.rank, &place))
		give_up(c, "only a first difference of numbers along an axis");
	if (prepend)
		in[n++] = operand_of(c, prepend);
	in[n++] = x;
	if (append)
		in[n++] = operand_of(c, append);
	if (n > 1)
		x = made(emit(c, "concat", in, n, false, "axis", axis_attr(axis), NOTHING));
	Dim length = dim_sub(c->g, x.value->type.dims[place], dim_const(1));
	Value *late = narrowed(c, x, axis, 1, length), *early = narrowed(c, x, axis, 0, length);
	emit2(c, "sub", made(late), made(early), true);
}

static TorchCall only_result(const TorchCall *c, uint32_t i)
{
	TorchCall one = *c;
	one.n_out = 1;
	one.out_name += i;
	one.out_place += i;
	one.types += i;
	return one;
}

/* Something whose greatest is the least of x; NaN stays greatest. */
static Value *reversed(TorchCall *c, Operand x)
{
	return emit(c, dtype_is_float(x.value->type.dtype) ? "neg" : "bitwise_not", &x, 1, false, NOTHING, NOTHING);
}

/* The largest (or least) elements along an axis, and where they stand. */
void lower_extreme(TorchCall *c)
{
	Operand x = operand(c, "self");
	Attr axis = axis_attr(int_named(c, "dim", 0)),
		keepdim = bool_attr(int_named(c, "keepdim", 0));
	Attr axes = { .kind = ATTR_AXES, .n = 1, .ints = (int64_t[]){ axis.i } };
	bool least = strstr(c->target, ".min.");
	if (c->n_out != 2)
		give_up(c, "wanted two results");
	TorchCall values = only_result(c, 0), ids = only_result(c, 1);
	emit(&values, least ? "amin" : "amax", &x, 1, true, "axes", axes, "keepdim", keepdim);
	Operand of = least ? made(reversed(&ids, x)) : x;
	emit(&ids, "argmax", &of, 1, true, "axis", axis, "keepdim", keepdim);
}

void lower_argmin(TorchCall *c)
{
	Operand x = made(reversed(c, operand(c, "self")));
	const TorchArg *dim = arg_named(c, "dim");
	emit(c, "argmax", &x, 1, true, dim ? "axis" : NULL, dim ? axis_attr(arg_int(c, dim)) : (Attr){ 0 }, "keepdim",
	     bool_attr(int_named(c, "keepdim", 0)));
}

/* eps None is what one and the next number are apart in the type that the norm is computed in, float32 for halves. */
static double norm_eps(const TorchCall *c, graft_dtype d)
{
	return f64_named(c, "eps", d == GRAFT_DTYPE_f64 ? DBL_EPSILON : (double)FLT_EPSILON);
}

static Value *norm(TorchCall *c, bool last)
{
	Operand in[] = { operand(c, "input"), operand_of(c, arg_named(c, "weight")) };
	const TorchArg *over = arg_named(c, "normalized_shape");
	const Type *t = &in[0].value->type;
	if (!over || (over->tag != TAG_ints && over->tag != TAG_sym_ints) || list_length(over->value) != 1 || !t->rank)
		give_up(c, "a norm over more than the last axis");
	for (JsonList l = json_list(over->value, JSON_ARRAY); json_more(&l);)
		if (dim_eq(c->g, read_dim(c, l.here), t->dims[t->rank - 1]) != YES)
			give_up(c, "a norm over another size than that of the last axis");
	return emit(c, "rms_norm", in, in[1].value ? 2 : 1, last, "eps",
	            (Attr){ .kind = ATTR_FLOAT, .f = norm_eps(c, t->dtype) }, NOTHING);
}

void lower_rms_norm(TorchCall *c)
{
	norm(c, true);
}

/* The norm, and 1 / sqrt(mean(x*x) + eps) for a backward pass. */
void lower_fused_rms_norm(TorchCall *c)
{
	if (c->n_out != 2)
		give_up(c, "wanted two results");
	TorchCall y = only_result(c, 0), rstd = only_result(c, 1);
	norm(&y, true);
	Operand x = operand(c, "input");
	graft_dtype wide = c->types[1].dtype;
	Attr eps = { .kind = ATTR_FLOAT, .f = norm_eps(c, x.value->type.dtype) };
	if (x.value->type.dtype != wide)
		x = made(emit(&rstd, "cast", &x, 1, false, "dtype", (Attr){ .kind = ATTR_DTYPE, .i = wide }, NOTHING));
	Value *v = emit(&rstd, "square", &x, 1, false, NOTHING, NOTHING);
	v = emit(&rstd, "mean", (Operand[]){ made(v) }, 1, false, "axes",
	         (Attr){ .kind = ATTR_AXES, .n = 1, .ints = (int64_t[]){ -1 } }, "keepdim",
	         (Attr){ .kind = ATTR_BOOL, .i = true });
	v = emit2(&rstd, "add", made(v), literal(c, eps), false);
	emit(&rstd, "rsqrt", (Operand[]){ made(v) }, 1, true, NOTHING, NOTHING);
}


/* ---- norms and moments ---- */

static Attr last_axes(const TorchCall *c, uint32_t n)
{
	int64_t *axes = NEW_ARRAY(c->scratch, n, int64_t);
	for (uint32_t i = 0; i < n; i++)
		axes[i] = (int64_t)i - n;
	return (Attr){ .kind = ATTR_AXES, .n = n, .ints = axes };
}

static Operand mean_over(TorchCall *c, Operand x, Attr axes)
{
	return made(emit(c, "mean", &x, 1, false, "axes", axes, "keepdim", bool_attr(true)));
}

/* (x - mean) * rstd * weight + bias; native_layer_norm has the mean and rstd as results, too. */
void lower_layer_norm(TorchCall *c)
{
	bool native = c->n_out == 3;
	const TorchArg *over = arg_named(c, "normalized_shape");
	Operand x = operand(c, "input"), w = operand_of(c, arg_named(c, "weight")), b = operand_of(c, arg_named(c, "bias"));
	graft_dtype wide = wide_of(x.value);
	uint32_t n = over && (over->tag == TAG_ints || over->tag == TAG_sym_ints) ? list_length(over->value) : 0;
	if (!n || n > x.value->type.rank || (!native && c->n_out != 1))
		give_up(c, "a norm over the last axes has their sizes");
	TorchCall y = only_result(c, 0);
	Attr axes = last_axes(c, n);
	x = cast_to(&y, x, wide);
	Operand mean = mean_over(&y, x, axes), d = made(emit2(&y, "sub", x, mean, false));
	Operand v = mean_over(&y, step(&y, "square", d, NOTHING), axes);
	v = made(emit2(&y, "add", v, literal(c, float_attr(f64_named(c, "eps", 1e-5))), false));
	v = step(&y, "rsqrt", v, NOTHING);
	Operand out = made(emit2(&y, "mul", d, v, false));
	if (w.value)
		out = made(emit2(&y, "mul", out, cast_to(&y, w, wide), false));
	if (b.value)
		out = made(emit2(&y, "add", out, cast_to(&y, b, wide), false));
	result(&y, out);
	if (!native)
		return;
	TorchCall means = only_result(c, 1), rstds = only_result(c, 2);
	result(&means, mean);
	result(&rstds, v);
}

/* How many elements become one; 0: a symbolic number. */
static int64_t reduced(const TorchCall *c, const Type *t, Attr axes)
{
	bool in_set[GRAFT_MAX_RANK];
	int64_t n = 1;
	attr_axes(&axes, t->rank, in_set);
	for (uint32_t i = 0; i < t->rank; i++)
		if (in_set[i] && (!dim_is_const(t->dims[i]) || __builtin_mul_overflow(n, t->dims[i].value, &n)))
			give_up(c, "the variance over a symbolic number of elements");
	return n;
}

/* `unbiased` is correction 1 or 0. */
static double correction(const TorchCall *c)
{
	return arg_named(c, "unbiased") ? (double)int_named(c, "unbiased", 1) : f64_named(c, "correction", 1);
}

void lower_var(TorchCall *c)
{
	bool root = strstr(c->target, ".std."), both = c->n_out == 2;
	Operand x = operand(c, "self");
	Attr axes = { .kind = ATTR_AXES }, keepdim = bool_attr(int_named(c, "keepdim", 0));
	axes.ints = int_list(c, "dim", &axes.n);
	TorchCall y = only_result(c, 0);
	double n = (double)reduced(c, &x.value->type, axes) - correction(c);
	x = cast_to(&y, x, wide_of(x.value));
	Operand d = made(emit2(&y, "sub", x, mean_over(&y, x, axes), false));
	Operand v = made(emit(&y, "sum", (Operand[]){ step(&y, "square", d, NOTHING) }, 1, false, "axes", axes, "keepdim",
	                      keepdim));
	v = made(emit2(&y, "div", v, literal(c, float_attr(n > 0 ? n : 0)), false));
	result(&y, root ? step(&y, "sqrt", v, NOTHING) : v);
	if (!both)
		return;
	TorchCall means = only_result(c, 1);
	result(&means, made(emit(&means, "mean", &x, 1, false, "axes", axes, "keepdim", keepdim)));
}

/* ---- moving ---- */

static Operand counting(TorchCall *c, int64_t start, int64_t end, int64_t step)
{
	NodeSpec spec = { .op = need_op(c, "arange") };
	Attr attrs[MAX_ATTRS] = { dim_attr(dim_const(start)), dim_attr(dim_const(end)), dim_attr(dim_const(step)) };
	spec.attr = attrs;
	return made(emit_as(c, spec, NULL, false));
}

static int64_t const_size(const TorchCall *c, const Value *v, uint32_t axis)
{
	if (!dim_is_const(v->type.dims[axis]))
		give_up(c, "along an axis of symbolic size");
	return v->type.dims[axis].value;
}

void lower_flip(TorchCall *c)
{
	uint32_t n;
	int64_t *dims = int_list(c, "dims", &n);
	Operand x = operand(c, "self");
	for (uint32_t i = 0; i < n; i++) {
		uint32_t axis = need_axis(c, dims[i], x.value->type.rank);
		Operand in[] = { x, counting(c, const_size(c, x.value, axis) - 1, -1, -1) };
		x = made(emit(c, "index_select", in, 2, false, "axis", axis_attr(axis), NOTHING));
	}
	result(c, x);
}

static Operand joined(TorchCall *c, Operand a, Operand b, uint32_t axis)
{
	return made(emit(c, "concat", (Operand[]){ a, b }, 2, false, "axis", axis_attr(axis), NOTHING));
}

static Operand rolled(TorchCall *c, Operand x, int64_t shift, uint32_t axis)
{
	int64_t size = const_size(c, x.value, axis), at = size ? shift % size : 0;
	at = at < 0 ? at + size : at;
	if (!at)
		return x;
	Operand late = made(narrowed(c, x, axis, size - at, dim_const(at))),
		early = made(narrowed(c, x, axis, 0, dim_const(size - at)));
	return joined(c, late, early, axis);
}

void lower_roll(TorchCall *c)
{
	uint32_t n, n_shifts;
	int64_t *dims = int_list(c, "dims", &n), *shifts = int_list(c, "shifts", &n_shifts);
	Operand x = operand(c, "self");
	if (!n || n != n_shifts)
		give_up(c, "rolls by as many shifts as axes");
	for (uint32_t i = 0; i < n; i++)
		x = rolled(c, x, shifts[i], need_axis(c, dims[i], x.value->type.rank));
	result(c, x);
}

static Operand filled(TorchCall *c, const Type *like, uint32_t axis, int64_t size, Attr value)
{
	NodeSpec spec = { .op = need_op(c, "constant") };
	Dim *dims = arena_copy(c->scratch, like->dims, like->rank * sizeof *like->dims);
	dims[axis] = dim_const(size);
	Attr attrs[MAX_ATTRS] = { { .kind = ATTR_DTYPE, .i = like->dtype }, dims_attr(dims, like->rank),
	                          { .kind = ATTR_LIST, .n = 1, .list = &value } };
	spec.attr = attrs;
	return made(emit_as(c, spec, NULL, false));
}

/* By `before` and `behind` elements; fewer than none takes some away. */
static Operand padded(TorchCall *c, Operand x, uint32_t axis, int64_t before, int64_t behind, Attr value)
{
	int64_t less = (before < 0 ? -before : 0) + (behind < 0 ? -behind : 0);
	if (less)
		x = made(narrowed(c, x, axis, before < 0 ? -before : 0,
		                  dim_sub(c->g, x.value->type.dims[axis], dim_const(less))));
	if (before > 0)
		x = joined(c, filled(c, &x.value->type, axis, before, value), x, axis);
	if (behind > 0)
		x = joined(c, x, filled(c, &x.value->type, axis, behind, value), axis);
	return x;
}

/* The list begins with the last axis. */
void lower_pad(TorchCall *c)
{
	enum { PAD_MAX = 1 << 30 };
	uint32_t n;
	size_t len;
	int64_t *pad = int_list(c, "pad", &n);
	const TorchArg *mode = arg_named(c, "mode"), *value = arg_named(c, "value");
	Operand x = operand(c, "self");
	const char *word = mode && mode->tag == TAG_string ? json_text(c->scratch, mode->value, &len) : "constant";
	if (strncmp(word, "constant", 8) || n % 2 || n / 2 > x.value->type.rank)
		give_up(c, "only padding with one value");
	bool is_float = dtype_is_float(x.value->type.dtype);
	Attr fill = value ? arg_scalar(c, value) : is_float ? float_attr(0) :
		(Attr){ .kind = x.value->type.dtype == GRAFT_DTYPE_bool ? ATTR_BOOL : ATTR_INT };
	for (uint32_t i = 0; i < n / 2; i++) {
		int64_t before = pad[2 * i], behind = pad[2 * i + 1];
		if (before > PAD_MAX || before < -PAD_MAX || behind > PAD_MAX || behind < -PAD_MAX)
			give_up(c, "padding by more than %d", PAD_MAX);
		x = padded(c, x, x.value->type.rank - 1 - i, before, behind, fill);
	}
	result(c, x);
}

/* Each element along the axis n times. */
static Operand each_repeated(TorchCall *c, Operand x, uint32_t axis, int64_t n)
{
	const Type *t = &x.value->type;
	Dim *wide = NEW_ARRAY(c->scratch, t->rank + 1, Dim), *flat = arena_copy(c->scratch, t->dims,
	                                                                          t->rank * sizeof *t->dims);
	for (uint32_t i = 0; i < t->rank; i++)
		wide[i + (i > axis)] = t->dims[i];
	wide[axis + 1] = dim_const(n);
	flat[axis] = dim_mul(c->g, t->dims[axis], dim_const(n));
	uint32_t rank = t->rank;
	x = step(c, "unsqueeze", x, "axis", axis_attr(axis + 1));
	x = step(c, "expand", x, "shape", dims_attr(wide, rank + 1));
	return step(c, "reshape", x, "shape", dims_attr(flat, rank));
}

void lower_repeat_interleave(TorchCall *c)
{
	Operand x = operand(c, "self");
	const TorchArg *dim = arg_named(c, "dim");
	int64_t n = int_named(c, "repeats", 0);
	if (!dim || n < 1)
		give_up(c, "repeats elements along an axis, at least once");
	result(c, each_repeated(c, x, need_axis(c, arg_int(c, dim), x.value->type.rank), n));
}

/* With enable_gqa several heads of the queries share one of the keys and values. */
void lower_grouped_attention(TorchCall *c)
{
	Operand in[] = { operand(c, "query"), operand(c, "key"), operand(c, "value"),
	                 operand_of(c, arg_named(c, "attn_mask")) };
	const TorchArg *scale = arg_named(c, "scale");
	if (f64_named(c, "dropout_p", 0) != 0)
		give_up(c, "attention with dropout");
	for (int i = 1; i < 3; i++) {
		const Type *q = &in[0].value->type, *k = &in[i].value->type;
		if (q->rank < 3 || k->rank < 3)
			give_up(c, "attention in groups has an axis of heads");
		int64_t heads = const_size(c, in[0].value, q->rank - 3), own = const_size(c, in[i].value, k->rank - 3);
		if (!own || heads % own)
			give_up(c, "%lld heads cannot share %lld", (long long)heads, (long long)own);
		if (heads != own)
			in[i] = each_repeated(c, in[i], k->rank - 3, heads / own);
	}
	emit(c, "scaled_dot_product_attention", in, in[3].value ? 4 : 3, true, "causal",
	     bool_attr(int_named(c, "is_causal", 0)), scale ? "scale" : NULL,
	     scale ? float_attr(f64_named(c, "scale", 1)) : (Attr){ 0 });
}

void lower_unbind(TorchCall *c)
{
	Operand x = operand(c, "self");
	uint32_t axis = need_axis(c, int_named(c, "dim", 0), x.value->type.rank);
	if (!dim_is(x.value->type.dims[axis], c->n_out))
		give_up(c, "%u results along an axis of another size", c->n_out);
	for (uint32_t i = 0; i < c->n_out; i++) {
		TorchCall one = only_result(c, i);
		emit(&one, "select", &x, 1, true, "axis", axis_attr(axis), "index", dim_attr(dim_const(i)));
	}
}

void lower_select_scatter(TorchCall *c)
{
	Operand x = operand(c, "self"), src = operand(c, "src");
	int64_t axis = need_axis(c, int_named(c, "dim", 0), x.value->type.rank), at = int_named(c, "index", 0);
	NodeSpec spec = { .op = need_op(c, "slice_scatter"), .n_in = 2 };
	Attr attrs[MAX_ATTRS] = { axis_attr(axis), dim_attr(dim_const(at)),
	                          dim_attr(dim_const(at == -1 ? INT64_MAX : at + 1)) };
	spec.attr = attrs;
	emit_as(c, spec, (Operand[]){ x, step(c, "unsqueeze", src, "axis", axis_attr(axis)) }, true);
}

/* ---- the rest ---- */

void lower_glu(TorchCall *c)
{
	Operand x = operand(c, "self");
	uint32_t axis = need_axis(c, int_named(c, "dim", -1), x.value->type.rank);
	Dim size = x.value->type.dims[axis];
	if (!dim_is_const(size) || size.value % 2)
		give_up(c, "halves of an axis of odd or symbolic size");
	x = cast_to(c, x, wide_of(x.value));
	Operand a = made(narrowed(c, x, axis, 0, dim_const(size.value / 2))),
		b = made(narrowed(c, x, axis, size.value / 2, dim_const(size.value / 2)));
	result(c, made(emit2(c, "mul", a, step(c, "sigmoid", b, NOTHING), false)));
}

/* From the nearer end. */
void lower_lerp(TorchCall *c)
{
	Operand a = operand(c, "self"), b = operand(c, "end");
	double w = f64_named(c, "weight", 0);
	graft_dtype wide = wide_of(a.value);
	a = cast_to(c, a, wide);
	b = cast_to(c, b, wide);
	Operand d = made(emit2(c, "sub", b, a, false));
	d = made(emit2(c, "mul", d, literal(c, float_attr(fabs(w) < 0.5 ? w : 1 - w)), false));
	result(c, made(emit2(c, fabs(w) < 0.5 ? "add" : "sub", fabs(w) < 0.5 ? a : b, d, false)));
}

/* A number, rounded as a tensor of this dtype holds it. */
static Operand rounded(TorchCall *c, Operand x, graft_dtype d)
{
	if (x.value->kind != VALUE_LITERAL)
		return cast_to(c, x, d);
	NodeSpec spec = { .op = need_op(c, "constant") };
	Attr attrs[MAX_ATTRS] = { { .kind = ATTR_DTYPE, .i = d }, dims_attr(NULL, 0),
	                          { .kind = ATTR_LIST, .n = 1, .list = &x.value->literal } };
	spec.attr = attrs;
	return made(emit_as(c, spec, NULL, false));
}

static Operand where(TorchCall *c, Operand condition, Operand a, Operand b)
{
	return made(emit(c, "where", (Operand[]){ condition, a, b }, 3, false, NOTHING, NOTHING));
}

static Operand is_below_0(TorchCall *c, Operand x)
{
	return made(emit2(c, "lt", x, literal(c, (Attr){ .kind = ATTR_INT }), false));
}

/* The remainder of sign b becomes that of sign a. No magnitude is taken: the least integer has none. */
static Operand fmod_whole(TorchCall *c, Operand a, Operand b)
{
	Operand r = made(emit2(c, "remainder", a, b, false));
	Operand some = made(emit2(c, "ne", r, literal(c, (Attr){ .kind = ATTR_INT }), false));
	Operand apart = made(emit2(c, "ne", is_below_0(c, a), is_below_0(c, b), false));
	Operand wrong = made(emit2(c, "logical_and", some, apart, false));
	return where(c, wrong, made(emit2(c, "sub", r, b, false)), r);
}

/* Of magnitudes, for the remainder of two signs is rounded once more; a zero keeps its sign. */
static Operand fmod_real(TorchCall *c, Operand a, Operand b)
{
	Operand r = made(emit2(c, "remainder", step(c, "abs", a, NOTHING), step(c, "abs", b, NOTHING), false));
	Operand zero = made(emit2(c, "mul", a, r, false));
	Operand above = made(emit2(c, "gt", a, literal(c, (Attr){ .kind = ATTR_INT }), false));
	return where(c, above, r, where(c, is_below_0(c, a), step(c, "neg", r, NOTHING), zero));
}

void lower_fmod(TorchCall *c)
{
	graft_dtype d = c->types[0].dtype;
	Operand a = cast_to(c, operand(c, "self"), d), b = rounded(c, operand(c, "other"), d);
	if (!dtype_is_float(d)) {
		result(c, fmod_whole(c, a, b));
		return;
	}
	graft_dtype wide = wide_of(a.value);
	result(c, fmod_real(c, cast_to(c, a, wide), cast_to(c, b, wide)));
}

void lower_one_hot(TorchCall *c)
{
	Operand x = step(c, "unsqueeze", operand(c, "self"), "axis", axis_attr(-1));
	const Type *t = &c->types[0];
	if (!t->rank || !dim_is_const(t->dims[t->rank - 1]))
		give_up(c, "a symbolic number of classes");
	Operand classes = counting(c, 0, t->dims[t->rank - 1].value, 1);
	result(c, made(emit2(c, "eq", x, classes, false)));
}

/* Sums of half precision are rounded once. */
static graft_dtype summed(const Value *x)
{
	graft_dtype d = x->type.dtype;
	return d == GRAFT_DTYPE_f16 || d == GRAFT_DTYPE_bf16 ? GRAFT_DTYPE_f32 : d;
}

/* x[i, ids[i, j], j] += src[i, j]: the other axes are counted along. */
void lower_scatter_add(TorchCall *c)
{
	Operand x = operand(c, "self"), ids = operand(c, "index"), src = operand(c, "src");
	const Type *t = &ids.value->type;
	uint32_t axis = need_axis(c, int_named(c, "dim", 0), x.value->type.rank), rank = t->rank;
	if (rank != x.value->type.rank || src.value->kind == VALUE_LITERAL || src.value->type.rank != rank)
		give_up(c, "its operands differ in rank");
	Operand *in = NEW_ARRAY(c->scratch, rank + 2, Operand);
	for (uint32_t i = 0; i < rank; i++) {
		int64_t size = const_size(c, ids.value, i);
		Dim *dims = NEW_ARRAY(c->scratch, rank, Dim);
		for (uint32_t k = 0; k < rank; k++)
			dims[k] = dim_const(k == i ? size : 1);
		in[i + 2] = i == axis ? ids : step(c, "reshape", counting(c, 0, size, 1), "shape", dims_attr(dims, rank));
		if (!dim_is(src.value->type.dims[i], size))
			src = made(narrowed(c, src, i, 0, dim_const(size)));
	}
	in[0] = cast_to(c, x, summed(x.value));
	in[1] = cast_to(c, src, summed(x.value));
	result(c, made(emit(c, "index_put", in, rank + 2, false, "accumulate", bool_attr(true), NOTHING)));
}

void lower_index_add(TorchCall *c)
{
	Operand x = operand(c, "self"), src = operand(c, "source"), ids = operand(c, "index");
	graft_dtype d = summed(x.value);
	if (!is_one(c, "alpha"))
		give_up(c, "with a factor for what is added");
	Operand in[] = { cast_to(c, x, d), ids, cast_to(c, src, d) };
	bool last = d == x.value->type.dtype;
	Value *y = emit(c, "index_add", in, 3, last, "axis", axis_attr(int_named(c, "dim", 0)), NOTHING);
	if (!last)
		result(c, made(y));
}

static bool is_mask(const Value *v)
{
	return v && (v->type.dtype == GRAFT_DTYPE_bool || v->type.dtype == GRAFT_DTYPE_u8);
}

/* x[mask] = value: the mask stands for as many leading axes as it has. How many elements that are, only a run can say,
 * which does not matter when all get one value. */
static void put_where(TorchCall *c, Operand x, Operand mask, Operand value)
{
	const Type *t = &x.value->type, *m = &mask.value->type;
	if (int_named(c, "accumulate", 0) || value.value->type.rank || m->rank > t->rank ||
	    dims_eq(c->g, m->dims, t->dims, m->rank) != YES)
		give_up(c, "a mask as index, but for one value put where a mask of the leading axes says: how many "
		        "elements that is, only a run can say");
	if (m->dtype == GRAFT_DTYPE_u8)
		mask = made(emit2(c, "ne", mask, literal(c, (Attr){ .kind = ATTR_INT }), false));
	for (uint32_t i = m->rank; i < t->rank; i++)
		mask = step(c, "unsqueeze", mask, "axis", axis_attr(-1));
	Operand in[] = { mask, value.value->kind == VALUE_LITERAL ? value : cast_to(c, value, t->dtype), x };
	emit(c, "where", in, 3, true, NOTHING, NOTHING);
}

void lower_index_put(TorchCall *c)
{
	const TorchArg *ids = arg_named(c, "indices");
	uint32_t n = ids ? ids->n_tensors : 0;
	Operand *in = NEW_ARRAY(c->scratch, n + 2, Operand);
	in[0] = operand(c, "self");
	in[1] = operand(c, "values");
	while (n && !ids->tensor[n - 1])
		n--;
	for (uint32_t i = 0; i < n; i++)
		in[i + 2] = (Operand){ ids->tensor[i], ids->place[i] };
	if (n == 1 && is_mask(in[2].value))
		put_where(c, in[0], in[2], in[1]);
	else
		emit(c, "index_put", in, n + 2, true, "accumulate", bool_attr(int_named(c, "accumulate", 0)), NOTHING);
}

/* With no offsets the groups are a batch. */
void lower_grouped_mm(TorchCall *c)
{
	Operand in[] = { operand(c, "self"), operand(c, "mat2"), operand_of(c, arg_named(c, "offs")) };
	bool batch = !in[2].value && in[0].value->type.rank == 3 && in[1].value->type.rank == 3;
	if (arg_named(c, "bias") || (!batch && (in[0].value->type.rank != 2 || in[1].value->type.rank != 3)))
		give_up(c, "a grouped product of %u-D and %u-D: rows in groups (2-D, 3-D) and batches (3-D, 3-D without "
		        "offsets) are what graft has", in[0].value->type.rank, in[1].value->type.rank);
	emit(c, batch ? "matmul" : "grouped_matmul", in, batch ? 2 : 3, true, NOTHING, NOTHING);
}
