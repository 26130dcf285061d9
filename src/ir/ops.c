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
	[OP_##name] = { #name, #family, in_min, in_max, out_min, out_max, operands, results, effect, flags, infer_##infer, \
	                meaning, sizeof((AttrSpec[]){ STRIP attrs END }) / sizeof(AttrSpec) - 1, { STRIP attrs END } },

const Op op_table[OP_COUNT + 1] = {
#include "ops.def"
	[OP_unknown] = { "unknown", "none", 0, MANY, 0, MANY, "...", "...", PURE, 0, NULL, "an op without a row", 0, { END } },
};
