/* piece.c - see piece.h. */
#include "piece.h"

/* Views are traced this far, and splits into no more pieces; beyond that is no model, and would make a pass
 * quadratic. */
enum { MAX_TRACE = 64, MAX_CUTS = 256 };

static Dim last_dim(const Value *v)
{
	return v->type.dims[v->type.rank - 1];
}

static bool on_last(const Node *n, int attr)
{
	uint32_t rank = n->in[0].value->type.rank;
	return axis_of(node_attr(n, attr), rank) == rank - 1;
}

static bool const_dim(Dim d, int64_t *add)
{
	*add += d.value;
	return dim_is_const(d) && d.value >= 0;
}

/* Columns cut out by split, slice or narrow along the last axis. */
static bool cut_step(const Node *n, const Value *out, int64_t *start)
{
	int64_t from = 0;
	if (!dim_is_const(last_dim(out)) || out->index >= MAX_CUTS)
		return false;
	switch (op_code(n->op)) {
	case OP_split:
		for (uint32_t i = 0; i < out->index; i++)
			if (!const_dim(node_attr(n, 1)->dims[i], &from))
				return false;
		break;
	case OP_narrow:
		if (!const_dim(node_attr(n, 1)->dim, &from))
			return false;
		break;
	case OP_slice: {
		Dim begin = node_attr(n, 1)->dim, size = last_dim(n->in[0].value);
		if (node_attr(n, 3)->i != 1 || !dim_is_const(begin) || !dim_is_const(size))
			return false;
		from = begin.value < 0 ? begin.value + size.value : begin.value;
		from = from < 0 ? 0 : from > size.value ? size.value : from;
		break;
	}
	default:
		return false;
	}
	if (!on_last(n, 0))
		return false;
	*start += from;
	return true;
}

/* The last axis of size 1 may be dropped, so there it is not the same axis. */
static bool same_last(Graph *g, const Value *x, const Value *out)
{
	return dim_eq(g, last_dim(x), last_dim(out)) == YES;
}

static bool keeps_rows(Graph *g, const Node *n, const Value *out)
{
	const Value *x = n->in[0].value;
	switch (op_code(n->op)) {
	case OP_clone: case OP_contiguous: case OP_alias:
		return true;
	case OP_reshape: case OP_expand:
		return same_last(g, x, out);
	case OP_squeeze:
		return dim_is_const(last_dim(x)) && !dim_is(last_dim(x), 1);
	case OP_unsqueeze:
		return axis_of(node_attr(n, 0), out->type.rank) < out->type.rank - 1;
	case OP_transpose:
		return !on_last(n, 0) && !on_last(n, 1);
	case OP_permute: {
		int64_t last = node_attr(n, 0)->ints[out->type.rank - 1];
		return last == -1 || last == (int64_t)out->type.rank - 1;
	}
	default:
		return false;
	}
}

static bool traceable(const Value *out)
{
	const Value *x = out->def && out->def->n_in ? out->def->in[0].value : NULL;
	return x && op_code(out->def->op) != OP_unknown && x->type.rank && out->type.rank;
}

bool piece_step(Graph *g, const Value *out, int64_t *start)
{
	return traceable(out) && (cut_step(out->def, out, start) || keeps_rows(g, out->def, out));
}

static bool moves_rows(const Node *n)
{
	return op_code(n->op) == OP_transpose || op_code(n->op) == OP_permute || op_code(n->op) == OP_expand;
}

static PieceEnd end_of(const Value *base)
{
	if (!traceable(base))
		return PIECE_BASE;
	switch (op_code(base->def->op)) {
	case OP_reshape: return PIECE_RESHAPED;
	case OP_transpose: case OP_permute: return PIECE_TURNED;
	case OP_split: case OP_slice: case OP_narrow: return on_last(base->def, 0) ? PIECE_SYMBOLIC : PIECE_BASE;
	default: return PIECE_BASE;
	}
}

Piece piece_of(Graph *g, Value *v)
{
	Piece p = { .base = v, .length = -1, .whole = true };
	if (v->type.rank && dim_is_const(last_dim(v)))
		p.length = last_dim(v).value;
	for (int i = 0; i < MAX_TRACE && piece_step(g, p.base, &p.start); i++) {
		p.moved |= moves_rows(p.base->def);
		p.base = p.base->def->in[0].value;
	}
	p.whole = p.base->type.rank && v->type.rank && same_last(g, v, p.base);
	p.end = end_of(p.base);
	return p;
}

Dim piece_row_stride(Graph *g, Value *v)
{
	if (!v->type.rank)
		return dim_const(1);
	Piece p = piece_of(g, v);
	if (p.moved)
		return dims_product(g, p.base->type.dims, p.base->type.rank);
	return last_dim(p.base);
}
