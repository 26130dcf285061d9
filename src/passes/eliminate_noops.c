/* eliminate_noops.c - casts, views and copies that change nothing. No rule here can change a bit, so none does
 * arithmetic: x * 1 quiets a signalling NaN, and x + 0 turns -0.0 into 0.0.
 *
 * In an imported graph a tensor is more than its elements. There y is x when y is a view of x, and both lie the same way:
 * dtype, sizes, strides, offset, device. A copy never is, and detach is not in a gradient. An op that may copy or not
 * (reshape) copies only what lies otherwise than its result. An output stays what it is: whether it is the tensor that is
 * written back to an input is told by the node.
 */
#include "rule.h"
#include <string.h>

static bool is_plain_view(const Node *n)
{
	return n->unit && n->source == n->unit && n->unit->shares && unit_first(n) == n && unit_last(n) == n &&
	       (n->op->effect == VIEW || n->op->effect == MAYBE_VIEW) && !strstr(n->unit->op, "detach");
}

/* `t` is what lies between x and y; NULL: nothing. */
static bool is_same(Match *m, const char *t)
{
	const Value *x = match_value(m, "x"), *y = match_value(m, "y");
	const Node *between = t ? match_node(m, t) : NULL;
	Graph *g = match_graph(m);
	if (!y->def->unit)
		return true;
	if (!is_plain_view(y->def) || (between && !is_plain_view(between)) || value_kept(y))
		return false;
	return x->meta && y->meta && g->document->ways->same_layout(g, x, y);
}

static bool always(Match *m)
{
	return is_same(m, NULL);
}

/* Same elements in the same order, so the same shape makes it the same value. */
static bool same_type(Match *m)
{
	return type_eq(match_graph(m), &match_value(m, "x")->type, &match_value(m, "y")->type) == YES;
}

static bool same_shape(Match *m)
{
	return same_type(m) && is_same(m, NULL);
}

static bool same_shape_twice(Match *m)
{
	return same_type(m) && is_same(m, "t");
}

static bool same_axes_twice(Match *m)
{
	return match_attr(m, "a")->i == match_attr(m, "b")->i && is_same(m, NULL);
}

static bool swaps_back(Match *m)
{
	int64_t a = match_attr(m, "a")->i, b = match_attr(m, "b")->i, c = match_attr(m, "c")->i,
		d = match_attr(m, "d")->i;
	return ((a == c && b == d) || (a == d && b == c)) && is_same(m, "t");
}

static int64_t place(const Attr *a, uint32_t i)
{
	return a->ints[i] < 0 ? a->ints[i] + a->n : a->ints[i];
}

static bool keeps_axes(Match *m)
{
	const Attr *a = match_attr(m, "a");
	for (uint32_t i = 0; i < a->n; i++)
		if (place(a, i) != i)
			return false;
	return is_same(m, NULL);
}

static bool permutes_back(Match *m)
{
	const Attr *a = match_attr(m, "a"), *b = match_attr(m, "b");
	for (uint32_t i = 0; i < b->n; i++)
		if (place(a, (uint32_t)place(b, i)) != i)
			return false;
	return is_same(m, "t");
}

static bool one_operand(Match *m)
{
	return match_node(m, "y")->n_in == 1 && is_same(m, NULL);
}

static bool one_result(Match *m)
{
	return match_node(m, "y")->n_out == 1 && is_same(m, NULL);
}

const Rule rules_eliminate_noops[] = {
	{ .name = "alias",           .match = "y = alias(x)",    .emit = "y = x", .where = always },
	{ .name = "same_cast",       .match = "y = cast(x)",     .emit = "y = x", .where = same_shape },
	{ .name = "same_reshape",    .match = "y = reshape(x)",  .emit = "y = x", .where = same_shape },
	{ .name = "same_expand",     .match = "y = expand(x)",   .emit = "y = x", .where = same_shape },
	{ .name = "whole_slice",     .match = "y = slice(x)",    .emit = "y = x", .where = same_shape },
	{ .name = "whole_narrow",    .match = "y = narrow(x)",   .emit = "y = x", .where = same_shape },
	{ .name = "no_squeeze",      .match = "y = squeeze(x)",  .emit = "y = x", .where = same_shape },
	{ .name = "clone",           .match = "y = clone(x)",    .emit = "y = x", .where = always },
	{ .name = "concat_of_one",   .match = "y = concat(x)",   .emit = "y = x", .where = one_operand },
	{ .name = "split_into_one",  .match = "y = split(x)",    .emit = "y = x", .where = one_result },
	{ .name = "same_transpose",  .match = "y = transpose(x) {axis0=a, axis1=b}", .emit = "y = x",
	  .where = same_axes_twice },
	{ .name = "same_permute",    .match = "y = permute(x) {axes=a}", .emit = "y = x", .where = keeps_axes },
	{ .name  = "transpose_twice",
	  .match = "t = transpose(x) {axis0=a, axis1=b}\n"
	           "y = transpose(t) {axis0=c, axis1=d}",
	  .emit  = "y = x", .where = swaps_back },
	{ .name  = "permute_back",
	  .match = "t = permute(x) {axes=a}\n"
	           "y = permute(t) {axes=b}",
	  .emit  = "y = x", .where = permutes_back },
	/* All of these keep the elements in row-major order. */
	{ .name  = "reshape_back",
	  .match = "t = reshape(x) | squeeze(x) | unsqueeze(x)\n"
	           "y = reshape(t) | squeeze(t) | unsqueeze(t)",
	  .emit  = "y = x", .where = same_shape_twice },
	{ .match = NULL },
};
