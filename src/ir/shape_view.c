/* shape_view.c - shape rules of ops that move, cut and join but do not compute. */
#include "infer.h"
#include <inttypes.h>

/* ---- axes moved ------------------------------------------------------------------------------------------- */

void infer_transpose(Infer *i)
{
	const Type *x = tensor(i, 0);
	uint32_t a = need_axis(i, "axis0", node_attr(i->node, 0)->i, x->rank);
	uint32_t b = need_axis(i, "axis1", node_attr(i->node, 1)->i, x->rank);
	Dim *dims = dims_copy(i, x->dims, x->rank);
	dims[a] = x->dims[b];
	dims[b] = x->dims[a];
	give(i, 0, x->dtype, x->rank, dims);
}

void infer_permute(Infer *i)
{
	const Type *x = tensor(i, 0);
	const Attr *axes = node_attr(i->node, 0);
	bool seen[GRAFT_MAX_RANK] = { false };
	if (axes->n != x->rank)
		infer_fail(i, "there are %u axes to permute, but %s", axes->n, operand_text(i, 0));
	Dim *dims = dims_new(i, x->rank);
	for (uint32_t k = 0; k < x->rank; k++) {
		uint32_t from = need_axis(i, "axis", axes->ints[k], x->rank);
		if (seen[from])
			infer_fail(i, "axis %u is named twice", from);
		seen[from] = true;
		dims[k] = x->dims[from];
	}
	give(i, 0, x->dtype, x->rank, dims);
}

void infer_unsqueeze(Infer *i)
{
	const Type *x = tensor(i, 0);
	uint32_t axis = need_axis(i, "axis", node_attr(i->node, 0)->i, x->rank + 1);
	Dim *dims = dims_new(i, x->rank + 1);
	for (uint32_t k = 0; k <= x->rank; k++)
		dims[k] = k == axis ? dim_const(1) : x->dims[k - (k > axis)];
	give(i, 0, x->dtype, x->rank + 1, dims);
}

void infer_squeeze(Infer *i)
{
	const Type *x = tensor(i, 0);
	const Attr *axes = node_attr(i->node, 0);
	bool named[GRAFT_MAX_RANK];
	uint32_t rank = 0;
	for (uint32_t k = 0; axes->kind == ATTR_AXES && k < axes->n; k++)
		need_axis(i, "axis", axes->ints[k], x->rank);
	attr_axes(axes, x->rank, named);
	Dim *dims = dims_new(i, x->rank);
	for (uint32_t k = 0; k < x->rank; k++) {
		Tri one = named[k] ? dim_eq(i->g, x->dims[k], dim_const(1)) : NO;
		if (one == UNKNOWN)
			infer_fail(i, "axis %u holds %s, which is not known to be 1 or not",
			           k, size_text(i, x->dims[k]));
		if (one == NO)
			dims[rank++] = x->dims[k];
	}
	give(i, 0, x->dtype, rank, dims);
}

/* ---- shapes changed --------------------------------------------------------------------------------------- */

static const char *shape_text(const Infer *i, const Attr *shape)
{
	Text t = { .arena = &graph_job(i->g)->scratch };
	text_puts(&t, "[");
	for (uint32_t k = 0; k < shape->n; k++) {
		text_puts(&t, k ? ", " : "");
		dim_print(&t, shape->dims[k]);
	}
	text_puts(&t, "]");
	return t.text;
}

void infer_expand(Infer *i)
{
	const Type *x = tensor(i, 0);
	const Attr *shape = node_attr(i->node, 0);
	if (shape->n < x->rank)
		infer_fail(i, "shape has %u sizes, but %s", shape->n, operand_text(i, 0));
	Dim *dims = dims_new(i, shape->n);
	for (uint32_t k = 0; k < shape->n; k++) {
		uint32_t added = shape->n - x->rank;
		Dim want = shape->dims[k], have = k < added ? dim_const(1) : x->dims[k - added];
		if (k < added && dim_is(want, -1))
			infer_fail(i, "shape[%u] is -1, but %s and has no size to keep there", k, operand_text(i, 0));
		dims[k] = dim_is(want, -1) ? have : want;
		Tri same = dim_is(have, 1) ? YES : dim_eq(i->g, have, dims[k]);
		if (same != YES)
			infer_fail(i, "%s and does not expand to %s: %s and %s %s",
			           operand_text(i, 0), shape_text(i, shape), size_text(i, have), size_text(i, want),
			           unequal(same));
	}
	give(i, 0, x->dtype, shape->n, dims);
}

/* What -1 stands for: the elements there are over those the other sizes make. */
static Dim open_size(const Infer *i, Dim have, Dim rest, const Attr *shape)
{
	Dim size;
	if (dim_is(rest, 0))
		infer_fail(i, "-1 in the shape %s could be any size, because the others make 0 elements",
		           shape_text(i, shape));
	if (!dim_divide(i->g, have, rest, &size))
		infer_fail(i, "%s, so it has %s elements, which %s (the sizes beside -1 in %s) %s divide",
		           operand_text(i, 0), size_text(i, have), size_text(i, rest), shape_text(i, shape),
		           dim_is_const(have) && dim_is_const(rest) ? "does not" : "is not known to");
	return size;
}

void infer_reshape(Infer *i)
{
	const Type *x = tensor(i, 0);
	const Attr *shape = node_attr(i->node, 0);
	Dim *dims = dims_new(i, shape->n);
	int64_t open = -1;
	for (uint32_t k = 0; k < shape->n; k++) {
		dims[k] = dim_is(shape->dims[k], -1) ? dim_const(1) : shape->dims[k];
		if (open >= 0 && dim_is(shape->dims[k], -1))
			infer_fail(i, "the shape %s has more than one -1", shape_text(i, shape));
		open = dim_is(shape->dims[k], -1) ? k : open;
	}
	give(i, 0, x->dtype, shape->n, dims);                 /* before the products, so that they fit */
	Dim have = dims_product(i->g, x->dims, x->rank), want = dims_product(i->g, dims, shape->n);
	if (open >= 0)
		dims[open] = open_size(i, have, want, shape);
	Tri same = open >= 0 ? YES : dim_eq(i->g, have, want);
	if (same != YES)
		infer_fail(i, "%s, so it has %s elements, and the shape %s has %s: the two %s", operand_text(i, 0),
		           size_text(i, have), shape_text(i, shape), size_text(i, want), unequal(same));
	give(i, 0, x->dtype, shape->n, dims);
}

/* ---- pieces ----------------------------------------------------------------------------------------------- */

/* x with another size at an axis. */
static void give_piece(const Infer *i, uint32_t k, uint32_t axis, Dim size)
{
	const Type *x = tensor(i, 0);
	Dim *dims = dims_copy(i, x->dims, x->rank);
	dims[axis] = size;
	give(i, k, x->dtype, x->rank, dims);
}

void infer_narrow(Infer *i)
{
	const Type *x = tensor(i, 0);
	uint32_t axis = need_axis(i, "axis", node_attr(i->node, 0)->i, x->rank);
	Dim start = node_attr(i->node, 1)->dim, length = node_attr(i->node, 2)->dim;
	Dim size = x->dims[axis], zero = dim_const(0);
	const char *what[] = { "start", "length" };
	const Dim part[] = { start, length };
	for (int k = 0; k < 2; k++)
		if (dim_le(i->g, zero, part[k]) != YES)
			infer_fail(i, "%s is %s, which is not %sat least 0", what[k], size_text(i, part[k]),
			           dim_is_const(part[k]) ? "" : "known to be ");
	Tri fits = dim_le(i->g, length, size);
	if (fits == YES)
		fits = dim_le(i->g, start, dim_sub(i->g, size, length));
	if (fits != YES)
		infer_fail(i, "start %s and length %s %s axis %u, which holds %s",
		           size_text(i, start), size_text(i, length),
		           fits == NO ? "do not fit" : "are not known to fit", axis, size_text(i, size));
	give_piece(i, 0, axis, length);
}

/* Where an end of a slice lies in an axis of this size: counted from the back when negative, clamped. */
static Dim clamped(const Infer *i, const char *what, Dim at, Dim size)
{
	Graph *g = i->g;
	Dim zero = dim_const(0);
	Tri front = dim_le(g, zero, at);
	if (front == UNKNOWN)
		infer_fail(i, "%s is %s, which is not known to be negative or not", what, size_text(i, at));
	return front == YES ? dim_min(g, at, size) : dim_max(g, zero, dim_add(g, at, size));
}

/* How much of an axis of this size the attributes axis, start, end, step choose. */
static Dim sliced(const Infer *i, Dim size)
{
	Graph *g = i->g;
	const Attr *a = i->node->attr;
	Dim one = dim_const(1);
	if (a[3].i < 1)
		infer_fail(i, "step is %" PRId64 ", but must be at least 1", a[3].i);
	Dim start = clamped(i, "start", a[1].dim, size), end = clamped(i, "end", a[2].dim, size);
	Dim length = dim_max(g, dim_const(0), dim_sub(g, end, start));
	return dim_add(g, dim_floordiv(g, dim_sub(g, length, one), dim_const(a[3].i)), one);
}

void infer_slice(Infer *i)
{
	const Type *x = tensor(i, 0);
	uint32_t axis = need_axis(i, "axis", node_attr(i->node, 0)->i, x->rank);
	give_piece(i, 0, axis, sliced(i, x->dims[axis]));
}

void infer_slice_scatter(Infer *i)
{
	const Type *x = tensor(i, 0), *src = tensor(i, 1);
	uint32_t axis = need_axis(i, "axis", node_attr(i->node, 0)->i, x->rank);
	if (src->rank != x->rank)
		infer_fail(i, "%s and %s, but they must have one rank", operand_text(i, 0), operand_text(i, 1));
	for (uint32_t k = 0; k < x->rank; k++) {
		Dim size = k == axis ? sliced(i, x->dims[k]) : x->dims[k];
		Tri same = dim_eq(i->g, src->dims[k], size);
		if (same != YES)
			infer_fail(i, "%s and %s: %s at axis %u of src and %s that it goes to %s", operand_text(i, 0),
			           operand_text(i, 1), size_text(i, src->dims[k]), k, size_text(i, size),
			           unequal(same));
	}
	give_like(i, 0, x->dtype, x);
}

void infer_select(Infer *i)
{
	const Type *x = tensor(i, 0);
	uint32_t axis = need_axis(i, "axis", node_attr(i->node, 0)->i, x->rank), rank = 0;
	Dim index = node_attr(i->node, 1)->dim, size = x->dims[axis];
	Tri low = dim_le(i->g, dim_sub(i->g, dim_const(0), size), index);
	Tri fits = dim_le(i->g, index, dim_sub(i->g, size, dim_const(1)));
	if (low != YES || fits != YES)
		infer_fail(i, "index %s %s axis %u, which holds %s", size_text(i, index),
		           low == NO || fits == NO ? "is outside of" : "is not known to lie within", axis,
		           size_text(i, size));
	Dim *dims = dims_new(i, x->rank);
	for (uint32_t k = 0; k < x->rank; k++)
		if (k != axis)
			dims[rank++] = x->dims[k];
	give(i, 0, x->dtype, rank, dims);
}

void infer_repeat(Infer *i)
{
	const Type *x = tensor(i, 0);
	const Attr *sizes = node_attr(i->node, 0);
	uint32_t added = sizes->n - x->rank;
	if (sizes->n < x->rank)
		infer_fail(i, "there are %u sizes, but %s", sizes->n, operand_text(i, 0));
	Dim *dims = dims_new(i, sizes->n);
	for (uint32_t k = 0; k < sizes->n; k++) {
		if (dim_le(i->g, dim_const(0), sizes->dims[k]) == NO)
			infer_fail(i, "sizes[%u] is %s, but nothing is repeated less than 0 times", k,
			           size_text(i, sizes->dims[k]));
		dims[k] = k < added ? sizes->dims[k] : dim_mul(i->g, sizes->dims[k], x->dims[k - added]);
	}
	give(i, 0, x->dtype, sizes->n, dims);
}

void infer_triangle(Infer *i)
{
	need_rank(i, 0, 2);
	give_like(i, 0, tensor(i, 0)->dtype, tensor(i, 0));
}

void infer_split(Infer *i)
{
	const Type *x = tensor(i, 0);
	const Attr *sizes = node_attr(i->node, 1);
	uint32_t axis = need_axis(i, "axis", node_attr(i->node, 0)->i, x->rank);
	Dim sum = dim_const(0);
	if (sizes->n != i->n_out)
		infer_fail(i, "there are %u sizes for %u results", sizes->n, i->n_out);
	for (uint32_t k = 0; k < sizes->n; k++) {
		if (dim_le(i->g, dim_const(0), sizes->dims[k]) == NO)
			infer_fail(i, "sizes[%u] is %s, but a size is never negative", k, size_text(i, sizes->dims[k]));
		sum = dim_add(i->g, sum, sizes->dims[k]);
		give_piece(i, k, axis, sizes->dims[k]);
	}
	Tri same = dim_eq(i->g, sum, x->dims[axis]);
	if (same != YES)
		infer_fail(i, "sizes add up to %s, but axis %u holds %s%s",
		           size_text(i, sum), axis, size_text(i, x->dims[axis]),
		           same == NO ? "" : ": the two are not known to be equal");
}

/* ---- pieces joined ---------------------------------------------------------------------------------------- */

static void check_piece(const Infer *i, uint32_t k, uint32_t axis)
{
	const Type *first = tensor(i, 0), *x = tensor(i, k);
	if (x->rank != first->rank)
		infer_fail(i, "%s and %s, but they must have one rank", operand_text(i, 0), operand_text(i, k));
	if (x->dtype != first->dtype) {                       /* it will be cast */
		number(i, 0);
		number(i, k);
	}
	for (uint32_t d = 0; d < x->rank; d++) {
		Tri same = d == axis ? YES : dim_eq(i->g, x->dims[d], first->dims[d]);
		if (same != YES)
			infer_fail(i, "%s and %s: %s and %s at axis %u %s", operand_text(i, 0), operand_text(i, k),
			           size_text(i, first->dims[d]), size_text(i, x->dims[d]), d, unequal(same));
	}
}

void infer_concat(Infer *i)
{
	const Type *x = tensor(i, 0);
	uint32_t axis = need_axis(i, "axis", node_attr(i->node, 0)->i, x->rank);
	Dim sum = x->dims[axis];
	for (uint32_t k = 1; k < i->node->n_in; k++) {
		check_piece(i, k, axis);
		sum = dim_add(i->g, sum, i->node->in[k].value->type.dims[axis]);
	}
	Dim *dims = dims_copy(i, x->dims, x->rank);
	dims[axis] = sum;
	give(i, 0, promoted(i), x->rank, dims);
}
