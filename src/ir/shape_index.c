/* shape_index.c - shape rules of ops that choose elements by index, and of those that put them in order or count them.
 *
 * Where torch takes a 0-d tensor for a line of one element, so do these.
 */
#include "infer.h"
#include <inttypes.h>
#include <math.h>

static uint32_t axes_of(const Type *t) { return t->rank ? t->rank : 1; }
static Dim size_at(const Type *t, uint32_t axis) { return t->rank ? t->dims[axis] : dim_const(1); }

/* Operand k as indices. */
static const Type *indices(const Infer *i, uint32_t k)
{
	const Type *t = tensor(i, k);
	if (t->dtype == GRAFT_DTYPE_bool || t->dtype == GRAFT_DTYPE_u8)
		infer_fail(i, "%s, and graft has no masks as indices, because their results have no size that is "
		           "known before "
		           "they run: use where", operand_text(i, k));
	if (t->dtype != GRAFT_DTYPE_i32 && t->dtype != GRAFT_DTYPE_i64)
		infer_fail(i, "%s, but ids must be i32 or i64", operand_text(i, k));
	return t;
}

/* What goes into x has its dtype; a literal takes it. */
static void need_source(const Infer *i, uint32_t k)
{
	if (!given(i, k))
		infer_fail(i, "operand %s is missing", operand_name(i, k));
	if (!is_literal(i, k))
		need_same_dtype(i, 0, k);
}

/* x with another size at an axis. */
static void give_resized(const Infer *i, uint32_t k, graft_dtype dtype, uint32_t axis, Dim size)
{
	const Type *x = tensor(i, 0);
	Dim *dims = dims_copy(i, x->dims, x->rank);
	if (x->rank)
		dims[axis] = size;
	give(i, k, dtype, x->rank, dims);
}

/* ---- one index for each element ---------------------------------------------------------------------------- */

static void need_within(const Infer *i, uint32_t small, uint32_t large, int64_t but_axis)
{
	const Type *a = tensor(i, small), *b = tensor(i, large);
	if (axes_of(a) != axes_of(b))
		infer_fail(i, "%s and %s, but they must have one rank", operand_text(i, large), operand_text(i, small));
	for (uint32_t k = 0; k < axes_of(a); k++) {
		Tri fits = k == but_axis ? YES : dim_le(i->g, size_at(a, k), size_at(b, k));
		if (fits != YES)
			infer_fail(i, "%s and %s: %s at axis %u of %s %s more than %s of %s", operand_text(i, large),
			           operand_text(i, small), size_text(i, size_at(a, k)), k, operand_name(i, small),
			           fits == NO ? "is" : "is not known not to be", size_text(i, size_at(b, k)),
			           operand_name(i, large));
	}
}

void infer_gather(Infer *i)
{
	const Type *x = tensor(i, 0), *ids = indices(i, 1);
	uint32_t axis = need_line(i, "axis", node_attr(i->node, 0)->i, x);
	need_within(i, 1, 0, axis);
	give_like(i, 0, x->dtype, ids);
}

void infer_scatter(Infer *i)
{
	const Type *x = tensor(i, 0);
	indices(i, 1);
	uint32_t axis = need_line(i, "axis", node_attr(i->node, 0)->i, x);
	need_within(i, 1, 0, axis);
	need_source(i, 2);
	if (!is_literal(i, 2))
		need_within(i, 1, 2, -1);
	give_like(i, 0, x->dtype, x);
}

/* ---- one index for each slice ------------------------------------------------------------------------------ */

static Dim line_of_indices(const Infer *i)
{
	const Type *ids = indices(i, 1);
	if (ids->rank > 1)
		infer_fail(i, "%s, but ids must have one axis, or none", operand_text(i, 1));
	return size_at(ids, 0);
}

void infer_index_select(Infer *i)
{
	const Type *x = tensor(i, 0);
	uint32_t axis = need_line(i, "axis", node_attr(i->node, 0)->i, x);
	Dim n = line_of_indices(i);
	if (!x->rank && !dim_is(n, 1))
		infer_fail(i, "%s, from which one element can be chosen, but there are %s ids", operand_text(i, 0),
		           size_text(i, n));
	give_resized(i, 0, x->dtype, axis, n);
}

void infer_index_add(Infer *i)
{
	const Type *x = number(i, 0), *src = tensor(i, 2);
	uint32_t axis = need_line(i, "axis", node_attr(i->node, 0)->i, x);
	Dim n = line_of_indices(i);
	need_source(i, 2);
	if (src->rank != x->rank)
		infer_fail(i, "%s and %s, but they must have one rank", operand_text(i, 0), operand_text(i, 2));
	for (uint32_t k = 0; k < axes_of(x); k++) {
		if (k == axis)
			need_equal(i, 2, "the axis", size_at(src, k), 1, "the number", n);
		else
			need_equal(i, 0, "an axis", size_at(x, k), 2, "that axis", size_at(src, k));
	}
	give_like(i, 0, x->dtype, x);
}

/* ---- tuples of indices ------------------------------------------------------------------------------------- */

enum { MOST_AXES = 2 * GRAFT_MAX_RANK };

/* The shape of x[ids...], where ids are the operands from `first` on; out has room for MOST_AXES. The axes of the ids,
 * broadcast, stand in place of the indexed axes when those are neighbours, else in front. */
static uint32_t indexed(const Infer *i, uint32_t first, Dim *out)
{
	const Type *x = tensor(i, 0);
	Dim ids[GRAFT_MAX_RANK];
	uint32_t n_ids = 0, n = 0, low = 0, high = 0, rank = 0;
	if (i->node->n_in - first > x->rank)
		infer_fail(i, "there are %u ids, but %s", i->node->n_in - first, operand_text(i, 0));
	for (uint32_t k = first; k < i->node->n_in; k++) {
		if (!given(i, k))
			continue;
		const Type *t = indices(i, k);
		n_ids = broadcast(i, (Shape){ ids, n_ids, first + low }, (Shape){ t->dims, t->rank, k }, ids);
		low = n++ ? low : k - first;
		high = k - first;
	}
	if (!n)
		infer_fail(i, "there are no ids: every one is none");
	uint32_t place = high - low + 1 == n ? low : 0;
	for (uint32_t k = 0; k <= x->rank; k++) {
		for (uint32_t d = 0; k == place && d < n_ids; d++)
			out[rank++] = ids[d];
		if (k < x->rank && !given(i, first + k))
			out[rank++] = x->dims[k];
	}
	return rank;
}

void infer_index(Infer *i)
{
	Dim out[MOST_AXES];
	uint32_t rank = indexed(i, 1, out);
	give(i, 0, tensor(i, 0)->dtype, rank, dims_copy(i, out, rank));
}

void infer_index_put(Infer *i)
{
	Dim out[MOST_AXES];
	const Type *x = tensor(i, 0);
	uint32_t rank = indexed(i, 2, out);
	const Type *values = &i->node->in[1].value->type;
	need_source(i, 1);
	if (node_attr(i->node, 0)->i)
		number(i, 0);
	dims_new(i, rank);
	need_broadcasts_to(i, (Shape){ values->dims, values->rank, 1 }, (Shape){ out, rank, 0 });
	give_like(i, 0, x->dtype, x);
}

/* ---- order and counts -------------------------------------------------------------------------------------- */

void infer_sort(Infer *i)
{
	const Type *x = number(i, 0);
	need_line(i, "axis", node_attr(i->node, 0)->i, x);
	give_like(i, 0, x->dtype, x);
	give_like(i, 1, GRAFT_DTYPE_i64, x);
}

void infer_topk(Infer *i)
{
	const Type *x = number(i, 0);
	Dim k = node_attr(i->node, 0)->dim;
	uint32_t axis = need_line(i, "axis", node_attr(i->node, 1)->i, x);
	Tri fits = dim_le(i->g, dim_const(0), k);
	if (fits == YES)
		fits = dim_le(i->g, k, size_at(x, axis));
	if (fits != YES)
		infer_fail(i, "k is %s, which %s from 0 to %s, the size of axis %u", size_text(i, k),
		           fits == NO ? "is not" : "is not known to be", size_text(i, size_at(x, axis)), axis);
	give_resized(i, 0, x->dtype, axis, k);
	give_resized(i, 1, GRAFT_DTYPE_i64, axis, k);
}

void infer_histc(Infer *i)
{
	const Type *x = number(i, 0);
	int64_t bins = node_attr(i->node, 0)->i;
	double min = node_attr(i->node, 1)->f, max = node_attr(i->node, 2)->f;
	if (x->dtype == GRAFT_DTYPE_bool)
		infer_fail(i, "%s, and bools cannot be counted in a range: cast it first", operand_text(i, 0));
	if (bins < 1)
		infer_fail(i, "bins is %" PRId64 ", but must be at least 1", bins);
	if (!isfinite(min) || !isfinite(max) || min > max)
		infer_fail(i, "min is %g and max is %g, but must be finite, and min at most max", min, max);
	Dim *dims = dims_new(i, 1);
	dims[0] = dim_const(bins);
	give(i, 0, x->dtype, 1, dims);
}
