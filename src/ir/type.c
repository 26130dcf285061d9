/* type.c - element types, shapes and axes: what is asked of them everywhere. */
#include "graph.h"
#include <inttypes.h>
#include <string.h>

bool dtype_is_float(graft_dtype d) { return d >= GRAFT_DTYPE_f16 && d < GRAFT_DTYPE_COUNT; }

bool dtype_parse(const char *s, size_t n, graft_dtype *out)
{
	static const struct { const char *name; graft_dtype dtype; } names[] = {
#define X(name, bytes, other) { #name, GRAFT_DTYPE_##name },
		GRAFT_DTYPE_MAP(X) GRAFT_KEPT_DTYPE_MAP(X)
#undef X
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (n == strlen(names[i].name) && !memcmp(s, names[i].name, n)) {
			*out = names[i].dtype;
			return true;
		}
	return false;
}

/* ---- promotion -------------------------------------------------------------------------------------------- */

static int category(graft_dtype d) { return dtype_is_float(d) ? 2 : d != GRAFT_DTYPE_bool; }

graft_dtype dtype_wider(graft_dtype a, graft_dtype b)
{
	if (a == GRAFT_DTYPE_COUNT || b == GRAFT_DTYPE_COUNT || a == b)
		return a == GRAFT_DTYPE_COUNT ? b : a;
	if (category(a) != category(b))
		return category(a) > category(b) ? a : b;
	size_t na = graft_dtype_size(a), nb = graft_dtype_size(b);
	if (na != nb)
		return na > nb ? a : b;
	return dtype_is_float(a) ? GRAFT_DTYPE_f32 : GRAFT_DTYPE_i16;         /* f16 with bf16; u8 with i8 */
}

graft_dtype dtype_over(graft_dtype strong, graft_dtype weak)
{
	if (strong == GRAFT_DTYPE_COUNT || weak == GRAFT_DTYPE_COUNT)
		return strong == GRAFT_DTYPE_COUNT ? weak : strong;
	return category(weak) > category(strong) ? weak : strong;
}

/* ---- shapes ----------------------------------------------------------------------------------------------- */

Tri dims_eq(Graph *g, const Dim *a, const Dim *b, uint32_t n)
{
	Tri all = YES;
	for (uint32_t i = 0; a != b && i < n && all != NO; i++) {
		Tri one = dim_eq(g, a[i], b[i]);
		all = one == YES ? all : one;
	}
	return all;
}

Tri type_eq(Graph *g, const Type *a, const Type *b)
{
	return a->dtype == b->dtype && a->rank == b->rank ? dims_eq(g, a->dims, b->dims, a->rank) : NO;
}

/* A zero makes the product zero, however large the other sizes are. */
Dim dims_product(Graph *g, const Dim *d, uint32_t n)
{
	Dim product = dim_const(1);
	for (uint32_t i = 0; i < n; i++)
		if (dim_is(d[i], 0))
			return d[i];
	for (uint32_t i = 0; i < n; i++)
		product = dim_mul(g, product, d[i]);
	return product;
}

void type_print(Text *t, const Type *type)
{
	text_puts(t, graft_dtype_name(type->dtype));
	text_puts(t, "[");
	for (uint32_t i = 0; i < type->rank; i++) {
		text_puts(t, i ? ", " : "");
		dim_print(t, type->dims[i]);
	}
	text_puts(t, "]");
}

const char *type_wrong(Graph *g, const Type *type)
{
	Arena *a = &graph_job(g)->scratch;
	int64_t min, max, bytes = (int64_t)graft_dtype_size(type->dtype);
	if (type->rank > GRAFT_MAX_RANK)
		return arena_printf(a, "rank %u, but graft's limit is %d", type->rank, GRAFT_MAX_RANK);
	for (uint32_t i = 0; i < type->rank; i++) {
		dim_range(g, type->dims[i], &min, &max);
		if (max < 0)
			return arena_printf(a, "the negative size %s at axis %u", dim_string(a, type->dims[i]), i);
		if (dim_is_const(type->dims[i]) && max > 0 && __builtin_mul_overflow(bytes, max, &bytes))
			return "more bytes than 64-bit offsets reach";
	}
	return NULL;
}

/* ---- axes ------------------------------------------------------------------------------------------------- */

bool axis_place(int64_t axis, uint32_t rank, uint32_t *place)
{
	if (axis < -(int64_t)rank || axis >= (int64_t)rank)
		return false;
	*place = (uint32_t)(axis < 0 ? axis + rank : axis);
	return true;
}

uint32_t axis_of(const Attr *a, uint32_t rank)
{
	uint32_t place = 0;
	axis_place(a->i, rank, &place);
	return place;
}

void attr_axes(const Attr *a, uint32_t rank, bool *in_set)
{
	bool all = a->kind == ATTR_NONE || (a->kind == ATTR_AXES && !a->n);
	uint32_t place;
	for (uint32_t i = 0; i < rank; i++)
		in_set[i] = all;
	for (uint32_t i = 0; a->kind == ATTR_AXES && i < a->n; i++)
		if (axis_place(a->ints[i], rank, &place))
			in_set[place] = true;
	if (a->kind == ATTR_AXIS && axis_place(a->i, rank, &place))
		in_set[place] = true;
}
