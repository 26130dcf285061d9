/* eliminate_noops.c - casts, views and copies that change nothing. No rule here can change a bit, so none does
 * arithmetic: x * 1 quiets a signalling NaN, and x + 0 turns -0.0 into 0.0. */
#include "rule.h"

/* Same elements in the same order, so the same shape makes it the same value. */
static bool same_shape(Match *m)
{
	return type_eq(match_graph(m), &match_value(m, "x")->type, &match_value(m, "y")->type) == YES;
}

static bool same_axes_twice(Match *m)
{
	return match_attr(m, "a")->i == match_attr(m, "b")->i;
}

static bool swaps_back(Match *m)
{
	int64_t a = match_attr(m, "a")->i, b = match_attr(m, "b")->i, c = match_attr(m, "c")->i,
		d = match_attr(m, "d")->i;
	return (a == c && b == d) || (a == d && b == c);
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
	return true;
}

static bool permutes_back(Match *m)
{
	const Attr *a = match_attr(m, "a"), *b = match_attr(m, "b");
	for (uint32_t i = 0; i < b->n; i++)
		if (place(a, (uint32_t)place(b, i)) != i)
			return false;
	return true;
}

/* In an imported graph strides mean something: a view behind a copy may need the copy's. */
static bool strides_are_ours(Match *m)
{
	return !match_node(m, "y")->source;
}

static bool one_operand(Match *m)
{
	return match_node(m, "y")->n_in == 1 && strides_are_ours(m);
}

static bool one_result(Match *m)
{
	return match_node(m, "y")->n_out == 1;
}

const Rule rules_eliminate_noops[] = {
	{ .name = "alias",           .match = "y = alias(x)",    .emit = "y = x" },
	{ .name = "same_cast",       .match = "y = cast(x)",     .emit = "y = x", .where = same_shape },
	{ .name = "same_reshape",    .match = "y = reshape(x)",  .emit = "y = x", .where = same_shape },
	{ .name = "same_expand",     .match = "y = expand(x)",   .emit = "y = x", .where = same_shape },
	{ .name = "whole_slice",     .match = "y = slice(x)",    .emit = "y = x", .where = same_shape },
	{ .name = "whole_narrow",    .match = "y = narrow(x)",   .emit = "y = x", .where = same_shape },
	{ .name = "no_squeeze",      .match = "y = squeeze(x)",  .emit = "y = x", .where = same_shape },
	{ .name = "clone",           .match = "y = clone(x)",    .emit = "y = x", .where = strides_are_ours },
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
	  .match = "p = permute(x) {axes=a}\n"
	           "y = permute(p) {axes=b}",
	  .emit  = "y = x", .where = permutes_back },
	/* All of these keep the elements in row-major order. */
	{ .name  = "reshape_back",
	  .match = "t = reshape(x) | squeeze(x) | unsqueeze(x)\n"
	           "y = reshape(t) | squeeze(t) | unsqueeze(t)",
	  .emit  = "y = x", .where = same_shape },
	{ .match = NULL },
};
