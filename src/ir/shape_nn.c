/* shape_nn.c - shape rules of matrix products, attention and the layers around them. */
#include "infer.h"

/* ---- matrix products -------------------------------------------------------------------------------------- */

static const Type *matrix_operand(const Infer *i, uint32_t k)
{
	const Type *t = number(i, k);
	if (t->dtype == GRAFT_DTYPE_bool)
		infer_fail(i, "%s, and bools have no matrix products: cast it first", operand_text(i, k));
	need_rank(i, k, 1);
	need_same_dtype(i, 0, k);
	return t;
}

/* A 1-D operand is a row on the left and a column on the right; that axis is not in the result. */
void infer_matmul(Infer *i)
{
	const Type *a = matrix_operand(i, 0), *b = matrix_operand(i, 1);
	bool row = a->rank == 1, column = b->rank == 1;
	Dim out[GRAFT_MAX_RANK];
	need_equal(i, 0, "the last axis", a->dims[a->rank - 1], 1, column ? "the only axis" : "the last axis but one",
	           b->dims[column ? 0 : b->rank - 2]);
	Shape front_a = { a->dims, row ? 0 : a->rank - 2, 0 }, front_b = { b->dims, column ? 0 : b->rank - 2, 1 };
	uint32_t rank = broadcast(i, front_a, front_b, out);
	if (!row)
		out[rank++] = a->dims[a->rank - 2];
	if (!column)
		out[rank++] = b->dims[b->rank - 1];
	give(i, 0, a->dtype, rank, dims_copy(i, out, rank));
}

/* x with another size at its last axis. */
static void give_last(const Infer *i, uint32_t k, const Type *x, Dim last)
{
	Dim *dims = dims_copy(i, x->dims, x->rank);
	dims[x->rank - 1] = last;
	give(i, k, x->dtype, x->rank, dims);
}

void infer_linear(Infer *i)
{
	const Type *x = matrix_operand(i, 0), *w = matrix_operand(i, 1);
	if (w->rank != 2)
		infer_fail(i, "%s, but must have the two axes [out, in]", operand_text(i, 1));
	need_equal(i, 0, "the last axis", x->dims[x->rank - 1], 1, "axis 1", w->dims[1]);
	if (given(i, 2)) {
		const Type *b = matrix_operand(i, 2);
		if (b->rank != 1)
			infer_fail(i, "%s, but must have one axis", operand_text(i, 2));
		need_equal(i, 2, "the only axis", b->dims[0], 1, "axis 0", w->dims[0]);
	}
	give_last(i, 0, x, w->dims[0]);
}

void infer_grouped_matmul(Infer *i)
{
	const Type *a = matrix_operand(i, 0), *b = matrix_operand(i, 1), *offs = tensor(i, 2);
	if (a->rank != 2)
		infer_fail(i, "%s, but must have the two axes [rows, in]", operand_text(i, 0));
	if (b->rank != 3)
		infer_fail(i, "%s, but must have the three axes [groups, in, out]", operand_text(i, 1));
	if (offs->rank != 1 || (offs->dtype != GRAFT_DTYPE_i32 && offs->dtype != GRAFT_DTYPE_i64))
		infer_fail(i, "%s, but must be i32 or i64 and have one axis", operand_text(i, 2));
	need_equal(i, 0, "axis 1", a->dims[1], 1, "axis 1", b->dims[1]);
	need_equal(i, 2, "the only axis", offs->dims[0], 1, "axis 0", b->dims[0]);
	give_last(i, 0, a, b->dims[2]);
}

/* ---- attention -------------------------------------------------------------------------------------------- */

static Shape front(const Type *t, uint32_t operand) { return (Shape){ t->dims, t->rank - 2, operand }; }

static void check_mask(const Infer *i, const Dim *scores, uint32_t rank)
{
	const Type *mask = tensor(i, 3);
	if (node_attr(i->node, 0)->i)
		infer_fail(i, "there is a mask and causal=true: give one of the two");
	if (mask->dtype != GRAFT_DTYPE_bool)
		need_same_dtype(i, 0, 3);
	need_broadcasts_to(i, (Shape){ mask->dims, mask->rank, 3 }, (Shape){ scores, rank, 0 });
}

void infer_attention(Infer *i)
{
	Dim qk[GRAFT_MAX_RANK], out[GRAFT_MAX_RANK];
	const Type *t[3];
	for (uint32_t k = 0; k < 3; k++) {
		t[k] = real(i, k);
		need_rank(i, k, 2);
		need_same_dtype(i, 0, k);
	}
	const Type *q = t[0], *k = t[1], *v = t[2];
	need_equal(i, 0, "the last axis", q->dims[q->rank - 1], 1, "the last axis", k->dims[k->rank - 1]);
	need_may_equal(i, 1, "the last axis but one", k->dims[k->rank - 2],
	               2, "the last axis but one", v->dims[v->rank - 2]);
	uint32_t rank = broadcast(i, front(q, 0), front(k, 1), qk);
	rank = broadcast(i, (Shape){ qk, rank, 0 }, front(v, 2), out);
	out[rank++] = q->dims[q->rank - 2];
	out[rank++] = k->dims[k->rank - 2];
	if (given(i, 3))
		check_mask(i, out, rank);
	out[rank - 1] = v->dims[v->rank - 1];
	give(i, 0, q->dtype, rank, dims_copy(i, out, rank));
}

/* ---- layers ----------------------------------------------------------------------------------------------- */

void infer_embedding(Infer *i)
{
	const Type *table = number(i, 0), *ids = tensor(i, 1);
	if (table->rank != 2)
		infer_fail(i, "%s, but must have two axes", operand_text(i, 0));
	if (ids->dtype != GRAFT_DTYPE_i32 && ids->dtype != GRAFT_DTYPE_i64)
		infer_fail(i, "%s, but ids must be i32 or i64", operand_text(i, 1));
	Dim *dims = dims_new(i, ids->rank + 1);
	for (uint32_t k = 0; k < ids->rank; k++)
		dims[k] = ids->dims[k];
	dims[ids->rank] = table->dims[1];
	give(i, 0, table->dtype, ids->rank + 1, dims);
}

/* Operand k is normed over its last axis and, when it is given, weighted by operand w. */
static const Type *normed(const Infer *i, uint32_t k, uint32_t w)
{
	const Type *x = real(i, k);
	need_rank(i, k, 1);
	if (given(i, w)) {
		const Type *weight = tensor(i, w);
		need_same_dtype(i, k, w);
		if (weight->rank != 1)
			infer_fail(i, "%s, but must have one axis", operand_text(i, w));
		need_equal(i, k, "the last axis", x->dims[x->rank - 1], w, "the only axis", weight->dims[0]);
	}
	return x;
}

void infer_rms_norm(Infer *i)
{
	const Type *x = normed(i, 0, 1);
	give_like(i, 0, x->dtype, x);
}

void infer_fused_mla_dual_rms_norm(Infer *i)
{
	const Type *q = normed(i, 0, 1), *kv = normed(i, 2, 3);
	need_same_dtype(i, 0, 2);
	need_equal(i, 0, "the number of rows", dims_product(i->g, q->dims, q->rank - 1),
	           2, "the number of rows", dims_product(i->g, kv->dims, kv->rank - 1));
	give_like(i, 0, q->dtype, q);
	give_like(i, 1, kv->dtype, kv);
}

static void check_angles(const Infer *i, uint32_t k, const Type *x, Dim half)
{
	const Type *t = real(i, k);
	need_rank(i, k, 1);
	need_same_dtype(i, 1, k);
	need_equal(i, k, "the last axis", t->dims[t->rank - 1], 0, "half the last axis", half);
	need_broadcasts_to(i, (Shape){ t->dims, t->rank - 1, k }, (Shape){ x->dims, x->rank - 1, 0 });
}

void infer_rope(Infer *i)
{
	const Type *x = real(i, 0);
	Dim half;
	need_rank(i, 0, 1);
	if (!dim_divide(i->g, x->dims[x->rank - 1], dim_const(2), &half))
		infer_fail(i, "%s, but its last axis must be known to be even", operand_text(i, 0));
	check_angles(i, 1, x, half);
	check_angles(i, 2, x, half);
	give_like(i, 0, x->dtype, x);
}
