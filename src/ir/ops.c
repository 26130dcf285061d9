/* ops.c - the op table, made from ops.def. */
#include "ops.h"
#include "shape.h"
#include <string.h>

#define IN(min, max, names) min, max, names
#define OUT(min, max, names) min, max, names

#define BOOL(name, fallback) { #name, ATTR_BOOL, NULL, fallback },
#define INT(name, fallback) { #name, ATTR_INT, NULL, fallback },
#define FLOAT(name, fallback) { #name, ATTR_FLOAT, NULL, fallback },
#define LIST(name, fallback) { #name, ATTR_LIST, NULL, fallback },
#define DIM(name, fallback) { #name, ATTR_DIM, NULL, fallback },
#define DIMS(name, fallback) { #name, ATTR_DIMS, NULL, fallback },
#define AXIS(name, fallback) { #name, ATTR_AXIS, NULL, fallback },
#define AXES(name, fallback) { #name, ATTR_AXES, NULL, fallback },
#define DTYPE(name, fallback) { #name, ATTR_DTYPE, NULL, fallback },
#define NAME(name, words, fallback) { #name, ATTR_NAME, words, fallback },

#define END { NULL, ATTR_NONE, NULL, NULL }

#define STRIP(...) __VA_ARGS__
#define OP(...) ROW(__VA_ARGS__)
#define ROW(name, family, in_min, in_max, operands, out_min, out_max, results, effect, flags, infer, meaning, attrs) \
	[OP_##name] = { #name, #family, in_min, in_max, out_min, out_max, operands, results, effect, flags,          \
	                infer_##infer,                                                                               \
	                meaning, sizeof((AttrSpec[]){ STRIP attrs END }) / sizeof(AttrSpec) - 1, { STRIP attrs END } },

const Op op_table[OP_COUNT + 1] = {
#include "ops.def"
	[OP_unknown] = { "unknown", "none", 0, MANY, 0, MANY, "...", "...", PURE, 0, NULL, "an op without a row", 0,
	                 { END } },
};

static int compare(const char *name, size_t n, const char *row)
{
	int c = strncmp(name, row, n);
	return c ? c : -(row[n] != 0);
}

const Op *op_find(const char *name, size_t n)
{
	for (size_t low = 0, high = OP_COUNT; low < high;) {
		size_t mid = (low + high) / 2;
		int c = compare(name, n, op_table[mid].name);
		if (!c)
			return &op_table[mid];
		*(c < 0 ? &high : &low) = c < 0 ? mid : mid + 1;
	}
	return NULL;
}

int attr_index(const Op *op, const char *name, size_t n)
{
	for (int i = 0; i < op->n_attrs; i++)
		if (!compare(name, n, op->attrs[i].name))
			return i;
	return -1;
}

static const char *const kind_names[] = {
	[ATTR_NONE] = "none", [ATTR_BOOL] = "bool", [ATTR_INT] = "integer", [ATTR_FLOAT] = "float",
	[ATTR_STRING] = "string", [ATTR_LIST] = "list", [ATTR_DIM] = "size", [ATTR_DIMS] = "list of sizes",
	[ATTR_AXIS] = "axis", [ATTR_AXES] = "list of axes", [ATTR_DTYPE] = "dtype", [ATTR_NAME] = "name",
};

const char *attr_kind_name(AttrKind kind)
{
	return kind_names[kind];
}

void op_signature(Text *t, const Op *op)
{
	text_printf(t, "%s(%s) -> (%s)", op->name, op->operands, op->results);
	for (int i = 0; i < op->n_attrs; i++)
		text_printf(t, "%s%s: %s", i ? ", " : " {", op->attrs[i].name,
		            op->attrs[i].words ? op->attrs[i].words : attr_kind_name(op->attrs[i].kind));
	if (op->n_attrs)
		text_puts(t, "}");
}

static bool lists_same(const Attr *a, const Attr *b)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (!attr_same(&a->list[i], &b->list[i]))
			return false;
	return true;
}

static bool dims_same(const Attr *a, const Attr *b)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (!dim_same(a->dims[i], b->dims[i]))
			return false;
	return true;
}

bool attr_same(const Attr *a, const Attr *b)
{
	if (a->kind != b->kind || a->n != b->n)
		return false;
	switch (a->kind) {
	case ATTR_NONE:   return true;
	case ATTR_FLOAT:  return !memcmp(&a->f, &b->f, sizeof a->f);
	case ATTR_STRING: return !strcmp(a->s, b->s);
	case ATTR_DIM:    return dim_same(a->dim, b->dim);
	case ATTR_DIMS:   return dims_same(a, b);
	case ATTR_AXES:   return !a->n || !memcmp(a->ints, b->ints, a->n * sizeof *a->ints);
	case ATTR_LIST:   return lists_same(a, b);
	case ATTR_BOOL: case ATTR_INT: case ATTR_AXIS: case ATTR_DTYPE: case ATTR_NAME: return a->i == b->i;
	}
	return false;
}
