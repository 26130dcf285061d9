/* shape.c - shape rules: what they share, elementwise ops, reductions, ops that make values. */
#include "infer.h"
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- messages --------------------------------------------------------------------------------------------- */

void infer_fail(const Infer *i, const char *fmt, ...)
{
	Job *job = graph_job(i->g);
	const char *label = node_label(i->node);
	va_list ap;
	va_start(ap, fmt);
	const char *text = arena_vprintf(&job->scratch, fmt, ap);
	va_end(ap);
	fail_at(job, GRAFT_E_GRAPH, strcmp(label, i->node->name) ? label : NULL, "%s: %s", i->node->name, text);
}

static Arena *scratch(const Infer *i) { return &graph_job(i->g)->scratch; }

/* The k-th of "x, w?"; in "x, ids..." those from the second on are ids[0], ids[1], ... */
const char *operand_name(const Infer *i, uint32_t k)
{
	const char *s = i->node->op->operands, *comma;
	uint32_t before = 0;
	for (; before < k && (comma = strchr(s, ',')); before++)
		s = comma + 2;
	size_t n = strcspn(s, ",?.");
	if (s[n] != '.')
		return arena_strndup(scratch(i), s, n);
	return arena_printf(scratch(i), "%.*s[%u]", (int)n, s, k - before);
}

const char *operand_text(const Infer *i, uint32_t k)
{
	Text t = { .arena = scratch(i) };
	text_printf(&t, "%s is ", operand_name(i, k));
	if (is_literal(i, k))
		text_puts(&t, "a literal");
	else
		type_print(&t, &i->node->in[k].value->type);
	return t.text;
}

const char *size_text(const Infer *i, Dim d) { return dim_string(scratch(i), d); }

const char *unequal(Tri t) { return t == NO ? "differ" : "are not known to be equal"; }

static void need_sizes(const Infer *i, Tri t, uint32_t j, const char *what_a, Dim a, uint32_t k, const char *what_b,
                       Dim b)
{
	if (t != YES)
		infer_fail(i, "%s and %s: %s of %s is %s and %s of %s is %s, which %s",
		           operand_text(i, j), operand_text(i, k), what_a, operand_name(i, j), size_text(i, a), what_b,
		           operand_name(i, k), size_text(i, b), unequal(t));
}

void need_equal(const Infer *i, uint32_t j, const char *what_a, Dim a, uint32_t k, const char *what_b, Dim b)
{
	need_sizes(i, dim_eq(i->g, a, b), j, what_a, a, k, what_b, b);
}

void need_may_equal(const Infer *i, uint32_t j, const char *what_a, Dim a, uint32_t k, const char *what_b, Dim b)
{
	Tri t = dim_eq(i->g, a, b);
	need_sizes(i, t == UNKNOWN ? YES : t, j, what_a, a, k, what_b, b);
}

void need_same_dtype(const Infer *i, uint32_t a, uint32_t b)
{
	if (i->node->in[a].value->type.dtype != i->node->in[b].value->type.dtype)
		infer_fail(i, "%s and %s, but they must have one dtype: cast one of them",
		           operand_text(i, a), operand_text(i, b));
}

void need_rank(const Infer *i, uint32_t k, uint32_t least)
{
	if (tensor(i, k)->rank < least)
		infer_fail(i, "%s, but it needs at least %u ax%s", operand_text(i, k), least, least == 1 ? "is" : "es");
}

/* ---- operands and results --------------------------------------------------------------------------------- */

bool given(const Infer *i, uint32_t k) { return k < i->node->n_in && i->node->in[k].value; }
bool is_literal(const Infer *i, uint32_t k) { return i->node->in[k].value->kind == VALUE_LITERAL; }

static bool is_f8(graft_dtype d) { return dtype_is_float(d) && graft_dtype_size(d) == 1; }

const Type *tensor(const Infer *i, uint32_t k)
{
	if (!given(i, k))
		infer_fail(i, "operand %s is missing", operand_name(i, k));
	if (is_literal(i, k))
		infer_fail(i, "operand %s is a literal, but must be a tensor", operand_name(i, k));
	return &i->node->in[k].value->type;
}

static void refuse_f8(const Infer *i, uint32_t k)
{
	if (is_f8(i->node->in[k].value->type.dtype))
		infer_fail(i, "%s, and 8-bit floats can only be moved and cast: cast it to a wider float first",
		           operand_text(i, k));
}

const Type *number(const Infer *i, uint32_t k)
{
	const Type *t = tensor(i, k);
	refuse_f8(i, k);
	return t;
}

const Type *real(const Infer *i, uint32_t k)
{
	const Type *t = number(i, k);
	if (!dtype_is_float(t->dtype))
		infer_fail(i, "%s, but must have a float dtype: cast it first", operand_text(i, k));
	return t;
}

static graft_dtype dtype_attr(const Attr *a, graft_dtype otherwise)
{
	return a->kind == ATTR_DTYPE ? (graft_dtype)a->i : otherwise;
}

Dim *dims_new(const Infer *i, uint32_t rank)
{
	if (rank > GRAFT_MAX_RANK)
		infer_fail(i, "the result would have rank %u, but graft's limit is %d", rank, GRAFT_MAX_RANK);
	return NEW_ARRAY(&i->g->arena, rank, Dim);
}

Dim *dims_copy(const Infer *i, const Dim *dims, uint32_t rank)
{
	Dim *copy = dims_new(i, rank);
	for (uint32_t k = 0; k < rank; k++)
		copy[k] = dims[k];
	return copy;
}

void give(const Infer *i, uint32_t k, graft_dtype dtype, uint32_t rank, const Dim *dims)
{
	Type t = { dtype, rank, dims };
	const char *wrong = type_wrong(i->g, &t);
	if (wrong)
		infer_fail(i, "the result would have %s", wrong);
	i->out[k] = t;
}

void give_like(const Infer *i, uint32_t k, graft_dtype dtype, const Type *like)
{
	give(i, k, dtype, like->rank, like->dims);
}

uint32_t need_axis(const Infer *i, const char *name, int64_t axis, uint32_t rank)
{
	uint32_t place;
	if (!rank)
		infer_fail(i, "%s is %" PRId64 ", but %s has no axes", name, axis, operand_name(i, 0));
	if (!axis_place(axis, rank, &place))
		infer_fail(i, "%s is %" PRId64 ", but must be from %d to %d", name, axis, -(int)rank, (int)rank - 1);
	return place;
}

/* ---- promotion -------------------------------------------------------------------------------------------- */

static graft_dtype promoted_from(const Infer *i, uint32_t first)
{
	/* of tensors, 0-d tensors, literals */
	graft_dtype of[3] = { GRAFT_DTYPE_COUNT, GRAFT_DTYPE_COUNT, GRAFT_DTYPE_COUNT };
	for (uint32_t k = first; k < i->node->n_in; k++) {
		if (!given(i, k))
			continue;
		const Type *t = &i->node->in[k].value->type;
		graft_dtype d = is_literal(i, k) && t->dtype == GRAFT_DTYPE_f64 ? GRAFT_DTYPE_f32 : t->dtype;
		graft_dtype *kind = &of[is_literal(i, k) ? 2 : t->rank == 0];
		*kind = dtype_wider(*kind, d);
	}
	return dtype_over(of[0], dtype_over(of[1], of[2]));
}

graft_dtype promoted(const Infer *i) { return promoted_from(i, 0); }

/* ---- broadcasting ----------------------------------------------------------------------------------------- */

static _Noreturn void no_broadcast(const Infer *i, Shape a, Dim x, Shape b, Dim y, Tri t)
{
	infer_fail(i, "%s and %s do not broadcast: %s and %s %s",
	           operand_text(i, a.operand), operand_text(i, b.operand), size_text(i, x), size_text(i, y),
	           unequal(t));
}

uint32_t broadcast(const Infer *i, Shape a, Shape b, Dim *out)
{
	uint32_t rank = a.rank > b.rank ? a.rank : b.rank;
	for (uint32_t k = 1; k <= rank; k++) {                /* from the last axis */
		Dim x = k <= a.rank ? a.dims[a.rank - k] : dim_const(1);
		Dim y = k <= b.rank ? b.dims[b.rank - k] : dim_const(1);
		Tri t = dim_is(y, 1) ? YES : dim_is(x, 1) ? NO : dim_eq(i->g, x, y);
		if (t != YES && !dim_is(x, 1))
			no_broadcast(i, a, x, b, y, t);
		out[rank - k] = t == YES ? x : y;
	}
	return rank;
}

void need_broadcasts_to(const Infer *i, Shape from, Shape to)
{
	for (uint32_t k = 1; k <= from.rank; k++) {
		Dim x = from.dims[from.rank - k];
		if (k > to.rank)
			infer_fail(i, "%s has more axes than %s",
			           operand_text(i, from.operand), operand_text(i, to.operand));
		Dim y = to.dims[to.rank - k];
		Tri t = dim_is(x, 1) ? YES : dim_eq(i->g, x, y);
		if (t != YES)
			no_broadcast(i, from, x, to, y, t);
	}
}

/* ---- elementwise ------------------------------------------------------------------------------------------ */

static Shape shape_of(const Infer *i, uint32_t k)
{
	const Type *t = &i->node->in[k].value->type;
	return (Shape){ t->dims, t->rank, k };
}

static bool shape_is(Shape s, const Dim *dims, uint32_t rank)
{
	for (uint32_t k = 0; k < rank && s.rank == rank; k++)
		if (!dim_same(s.dims[k], dims[k]))
			return false;
	return s.rank == rank;
}

/* An operand's own sizes are handed on where they are the result's, so that most nodes make none. */
static void give_broadcast(const Infer *i, graft_dtype dtype)
{
	Dim out[GRAFT_MAX_RANK];
	const Dim *dims = NULL;
	uint32_t rank = shape_of(i, 0).rank;
	for (uint32_t k = 0; k < rank; k++)
		out[k] = shape_of(i, 0).dims[k];
	for (uint32_t k = 1; k < i->node->n_in; k++)
		if (given(i, k))
			rank = broadcast(i, (Shape){ out, rank, 0 }, shape_of(i, k), out);
	for (uint32_t k = 0; k < i->node->n_in && !dims; k++)
		if (given(i, k) && shape_is(shape_of(i, k), out, rank))
			dims = shape_of(i, k).dims;
	give(i, 0, dtype, rank, dims ? dims : dims_copy(i, out, rank));
}

static void need_numbers(const Infer *i)
{
	for (uint32_t k = 0; k < i->node->n_in; k++)
		if (given(i, k))
			refuse_f8(i, k);
	if (is_literal(i, 0) && is_literal(i, 1))
		infer_fail(i, "both operands are literals, but one must be a tensor");
}

static bool is_whole(const Infer *i, uint32_t k) { return !dtype_is_float(i->node->in[k].value->type.dtype); }

static void check_pow(const Infer *i, graft_dtype dtype)
{
	if (dtype == GRAFT_DTYPE_bool)
		infer_fail(i, "%s and %s, and bools have no powers: cast first",
		           operand_text(i, 0), operand_text(i, 1));
	if (is_literal(i, 1) && is_whole(i, 0) && is_whole(i, 1) && i->node->in[1].value->literal.i < 0)
		infer_fail(i, "%s, and integers have no negative powers: cast to a float first", operand_text(i, 0));
}

void infer_binary(Infer *i)
{
	need_numbers(i);
	graft_dtype dtype = promoted(i);
	for (uint32_t k = 0; k < 2; k++)
		if (op_code(i->node->op) == OP_sub && i->node->in[k].value->type.dtype == GRAFT_DTYPE_bool)
			infer_fail(i, "operand %s is a bool, which cannot be subtracted: cast it first",
			           operand_name(i, k));
	if (op_code(i->node->op) == OP_pow)
		check_pow(i, dtype);
	give_broadcast(i, dtype);
}

void infer_binary_float(Infer *i)
{
	need_numbers(i);
	graft_dtype dtype = promoted(i);
	give_broadcast(i, dtype_is_float(dtype) ? dtype : GRAFT_DTYPE_f32);
}

void infer_unary_float(Infer *i)
{
	const Type *x = number(i, 0);
	give_like(i, 0, dtype_is_float(x->dtype) ? x->dtype : GRAFT_DTYPE_f32, x);
}

static void need_integers(const Infer *i, uint32_t k)
{
	if (dtype_is_float(i->node->in[k].value->type.dtype))
		infer_fail(i, "%s, but must be an integer or a bool: floats have no bits to combine",
		           operand_text(i, k));
}

void infer_bitwise(Infer *i)
{
	need_numbers(i);
	need_integers(i, 0);
	need_integers(i, 1);
	give_broadcast(i, promoted(i));
}

void infer_bitwise_not(Infer *i)
{
	const Type *x = number(i, 0);
	need_integers(i, 0);
	give_like(i, 0, x->dtype, x);
}

/* Truth values of two operands. */
void infer_compare(Infer *i)
{
	need_numbers(i);
	give_broadcast(i, GRAFT_DTYPE_bool);
}

void infer_truth(Infer *i)
{
	const Type *x = number(i, 0);
	give_like(i, 0, GRAFT_DTYPE_bool, x);
}

static void refuse_bool(const Infer *i, graft_dtype dtype)
{
	if (dtype == GRAFT_DTYPE_bool)
		infer_fail(i, "the result would be bool, and bools cannot be computed with: cast one operand");
}

void infer_whole_divide(Infer *i)
{
	need_numbers(i);
	refuse_bool(i, promoted(i));
	give_broadcast(i, promoted(i));
}

void infer_clamp(Infer *i)
{
	number(i, 0);
	need_numbers(i);
	if (!given(i, 1) && !given(i, 2))
		infer_fail(i, "neither min nor max is given: give one of the two, or both");
	give_broadcast(i, promoted(i));
}

void infer_where(Infer *i)
{
	if (tensor(i, 0)->dtype != GRAFT_DTYPE_bool)
		infer_fail(i, "%s, but must be bool: compare it with 0", operand_text(i, 0));
	need_numbers(i);
	give_broadcast(i, promoted_from(i, 1));
}

void infer_real(Infer *i)
{
	const Type *x = real(i, 0);
	give_like(i, 0, x->dtype, x);
}

/* Some move anything, the others compute. */
static bool moves(OpCode op) { return op == OP_alias || op == OP_clone || op == OP_contiguous; }

void infer_same(Infer *i)
{
	bool computes = !moves(op_code(i->node->op));
	const Type *x = computes ? number(i, 0) : tensor(i, 0);
	if (computes && x->dtype == GRAFT_DTYPE_bool)
		infer_fail(i, "%s, and bools cannot be computed with: cast it first", operand_text(i, 0));
	give_like(i, 0, x->dtype, x);
}

void infer_cast(Infer *i)
{
	const Type *x = tensor(i, 0);
	give_like(i, 0, dtype_attr(node_attr(i->node, 0), x->dtype), x);
}

void infer_copy_(Infer *i)
{
	const Type *x = tensor(i, 0);
	need_broadcasts_to(i, shape_of(i, 1), shape_of(i, 0));
	give_like(i, 0, x->dtype, x);
}

void infer_assert_tensor_metadata(Infer *i)
{
	graft_dtype found = tensor(i, 0)->dtype, wanted = dtype_attr(node_attr(i->node, 0), found);
	if (found != wanted)
		infer_fail(i, "%s, but is asserted to have dtype %s", operand_text(i, 0), graft_dtype_name(wanted));
}

/* ---- reductions ------------------------------------------------------------------------------------------- */

/* A 0-d x counts as one axis of size 1, as torch has it. */
uint32_t need_line(const Infer *i, const char *name, int64_t axis, const Type *x)
{
	return need_axis(i, name, axis, x->rank ? x->rank : 1);
}

static void check_axes(const Infer *i, const Attr *axes, uint32_t rank)
{
	bool seen[GRAFT_MAX_RANK] = { false };
	for (uint32_t k = 0; axes->kind == ATTR_AXES && k < axes->n; k++) {
		uint32_t place = need_axis(i, "axis", axes->ints[k], rank);
		if (seen[place])
			infer_fail(i, "axis %u is named twice", place);
		seen[place] = true;
	}
}

static void give_reduced(const Infer *i, graft_dtype dtype)
{
	const Type *x = tensor(i, 0);
	bool gone[GRAFT_MAX_RANK], keep = node_attr(i->node, 1)->i;
	uint32_t rank = 0;
	check_axes(i, node_attr(i->node, 0), x->rank);
	attr_axes(node_attr(i->node, 0), x->rank, gone);
	Dim *dims = dims_new(i, x->rank);
	for (uint32_t k = 0; k < x->rank; k++)
		if (!gone[k] || keep)
			dims[rank++] = gone[k] ? dim_const(1) : x->dims[k];
	give(i, 0, dtype, rank, dims);
}

/* The dtype that is asked for; what a float op takes from x and gives. */
static graft_dtype float_attr(const Infer *i, const Attr *a, const Type *x)
{
	graft_dtype d = dtype_attr(a, x->dtype);
	if (!dtype_is_float(d) || is_f8(d))
		infer_fail(i, "%s and the result would be %s, but must be a float of 16 bits or more: give one as "
		           "dtype", operand_text(i, 0), graft_dtype_name(d));
	return d;
}

void infer_mean(Infer *i) { give_reduced(i, float_attr(i, node_attr(i->node, 2), number(i, 0))); }

void infer_sum(Infer *i)
{
	const Type *x = number(i, 0);
	graft_dtype d = dtype_attr(node_attr(i->node, 2), dtype_is_float(x->dtype) ? x->dtype : GRAFT_DTYPE_i64);
	if (is_f8(d))
		infer_fail(i, "dtype is %s, and 8-bit floats cannot be summed in: cast the sum", graft_dtype_name(d));
	give_reduced(i, d);
}

/* Where nothing is compared there is no greatest. */
static void need_elements(const Infer *i, const Attr *axes)
{
	const Type *x = number(i, 0);
	bool gone[GRAFT_MAX_RANK];
	attr_axes(axes, x->rank, gone);
	for (uint32_t k = 0; k < x->rank; k++)
		if (gone[k] && dim_is(x->dims[k], 0))
			infer_fail(i, "%s, and %s of nothing is not defined: axis %u is empty", operand_text(i, 0),
			           i->node->name, k);
}

void infer_extreme(Infer *i)
{
	check_axes(i, node_attr(i->node, 0), number(i, 0)->rank);
	need_elements(i, node_attr(i->node, 0));
	give_reduced(i, tensor(i, 0)->dtype);
}

void infer_argmax(Infer *i)
{
	const Attr *axis = node_attr(i->node, 0);
	if (axis->kind == ATTR_AXIS)
		need_line(i, "axis", axis->i, number(i, 0));
	need_elements(i, axis);
	give_reduced(i, GRAFT_DTYPE_i64);
}

void infer_truth_reduced(Infer *i)
{
	give_reduced(i, number(i, 0)->dtype == GRAFT_DTYPE_u8 ? GRAFT_DTYPE_u8 : GRAFT_DTYPE_bool);
}

void infer_cumsum(Infer *i)
{
	const Type *x = number(i, 0);
	graft_dtype d = dtype_attr(node_attr(i->node, 1), dtype_is_float(x->dtype) ? x->dtype : GRAFT_DTYPE_i64);
	if (is_f8(d))
		infer_fail(i, "dtype is %s, and 8-bit floats cannot be summed in: cast the sum", graft_dtype_name(d));
	need_line(i, "axis", node_attr(i->node, 0)->i, x);
	give_like(i, 0, d, x);
}

void infer_softmax(Infer *i)
{
	const Type *x = number(i, 0);
	need_axis(i, "axis", node_attr(i->node, 0)->i, x->rank);
	give_like(i, 0, float_attr(i, node_attr(i->node, 1), x), x);
}

/* ---- ops that make values --------------------------------------------------------------------------------- */

/* How many steps lead from start to before end: max(0, ceil((end - start) / step)). */
static Dim steps(const Infer *i, Dim start, Dim end, Dim step)
{
	Graph *g = i->g;
	Dim zero = dim_const(0), one = dim_const(1);
	if (dim_le(g, one, step) == YES) {
		Dim last = dim_sub(g, dim_sub(g, end, start), one);
		return dim_max(g, zero, dim_add(g, dim_floordiv(g, last, step), one));
	}
	if (dim_le(g, step, dim_const(-1)) == YES)
		return steps(i, end, start, dim_sub(g, zero, step));
	infer_fail(i, dim_is(step, 0) ? "step is %s" : "step is %s, whose sign is not known", size_text(i, step));
}

void infer_arange(Infer *i)
{
	const Attr *a = i->node->attr;
	graft_dtype dtype = dtype_attr(&a[3], GRAFT_DTYPE_i64);
	if (dtype == GRAFT_DTYPE_bool || is_f8(dtype))
		infer_fail(i, "dtype is %s, which cannot count: make it i64 and cast", graft_dtype_name(dtype));
	Dim *dims = dims_new(i, 1);
	dims[0] = steps(i, a[0].dim, a[1].dim, a[2].dim);
	give(i, 0, dtype, 1, dims);
}

static double largest(graft_dtype d)
{
	if (d == GRAFT_DTYPE_f16 || d == GRAFT_DTYPE_bf16)
		return d == GRAFT_DTYPE_f16 ? 65504 : 0x1.fep127;
	return d == GRAFT_DTYPE_f32 ? FLT_MAX : DBL_MAX;
}

static bool int_fits(int64_t v, graft_dtype d)
{
	if (dtype_is_float(d))
		return fabs((double)v) <= largest(d);
	unsigned bits = 8 * (unsigned)graft_dtype_size(d);
	if (d == GRAFT_DTYPE_bool || d == GRAFT_DTYPE_u8)
		return v >= 0 && v <= (d == GRAFT_DTYPE_bool ? 1 : UINT8_MAX);
	return bits == 64 || (v >= -((int64_t)1 << (bits - 1)) && v < (int64_t)1 << (bits - 1));
}

static bool fits(const Attr *v, graft_dtype d)
{
	if (v->kind == ATTR_FLOAT)
		return dtype_is_float(d) && (!isfinite(v->f) || fabs(v->f) <= largest(d));
	return v->kind == ATTR_BOOL || int_fits(v->i, d);
}

static const char *value_text(const Infer *i, const Attr *v)
{
	Text t = { .arena = scratch(i) };
	attr_print(&t, NULL, v);
	return t.text;
}

void infer_constant(Infer *i)
{
	const Attr *shape = node_attr(i->node, 1), *values = node_attr(i->node, 2);
	graft_dtype dtype = dtype_attr(node_attr(i->node, 0), GRAFT_DTYPE_f32);
	if (is_f8(dtype))
		infer_fail(i, "dtype is %s, and 8-bit floats can only be moved and cast: make it f32 and cast",
		           graft_dtype_name(dtype));
	for (uint32_t k = 0; k < values->n; k++) {
		const Attr *v = &values->list[k];
		if (v->kind != ATTR_BOOL && v->kind != ATTR_INT && v->kind != ATTR_FLOAT)
			infer_fail(i, "values[%u] is a %s, but must be a number", k, attr_kind_name(v->kind));
		if (!fits(v, dtype))
			infer_fail(i, "values[%u] is %s, which %s cannot hold",
			           k, value_text(i, v), graft_dtype_name(dtype));
	}
	Dim *dims = dims_copy(i, shape->dims, shape->n);
	give(i, 0, dtype, shape->n, dims);
	Dim size = dims_product(i->g, dims, shape->n);
	if (values->n != 1 && !dim_is(size, values->n))
		infer_fail(i, "there are %u values for %s elements: give that many, or one for all",
		           values->n, size_text(i, size));
}

/* ---- before and behind every rule ---- */

void node_infer(Graph *g, const Node *n, Type *out, uint32_t n_out)
{
	Infer i = { g, n, out, n_out };
	for (uint32_t k = 0; k < n->n_in; k++)
		if (n->in[k].value && dtype_is_kept(n->in[k].value->type.dtype))
			infer_fail(&i, "%s, which graft has no kernels for: only ops that it does not know may read it",
			           operand_text(&i, k));
	n->op->infer(&i);
	for (uint32_t k = 0; k < n_out; k++)
		if (dtype_is_kept(out[k].dtype))
			infer_fail(&i, "it would make %s, which graft has no kernels for", graft_dtype_name(out[k].dtype));
}
