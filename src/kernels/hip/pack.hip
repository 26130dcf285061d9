/* pack.hip - the table: one row for each of pack.def, with the signature that its row of ops.def has. */
#include "kernel.h"
#include <stddef.h>

/* ---- signatures, as op_signature prints them ---------------------------------------------------- */

#define IN(min, max, names) names
#define OUT(min, max, names) names
#define ATTR(name, kind) ", " #name ": " kind
#define BOOL(name, fallback) ATTR(name, "bool")
#define INT(name, fallback) ATTR(name, "integer")
#define FLOAT(name, fallback) ATTR(name, "float")
#define LIST(name, fallback) ATTR(name, "list")
#define DIM(name, fallback) ATTR(name, "size")
#define DIMS(name, fallback) ATTR(name, "list of sizes")
#define AXIS(name, fallback) ATTR(name, "axis")
#define AXES(name, fallback) ATTR(name, "list of axes")
#define DTYPE(name, fallback) ATTR(name, "dtype")
#define NAME(name, words, fallback) ATTR(name, words)
#define STRIP(...) "" __VA_ARGS__

template <size_t N> struct Text { char text[N]; };

/* Attributes arrive as ", a: kind, b: kind": the first comma becomes " {", and a brace ends them. */
template <size_t N, size_t A> constexpr Text<N + A + 2> signature(const char (&front)[N], const char (&attrs)[A])
{
	Text<N + A + 2> s = {};
	size_t n = 0;
	for (size_t i = 0; i + 1 < N; i++)
		s.text[n++] = front[i];
	if (A > 1) {
		s.text[n++] = ' ';
		s.text[n++] = '{';
		for (size_t i = 2; i + 1 < A; i++)
			s.text[n++] = attrs[i];
		s.text[n++] = '}';
	}
	return s;
}

#define OP(name, family, in, out, effect, flags, infer, meaning, attrs) \
	static constexpr auto signature_##name = signature(#name "(" in ") -> (" out ")", STRIP attrs);
#include "../../ir/ops.def"
#undef OP

/* ---- the table ---------------------------------------------------- */

enum : uint32_t {
	FLOATS = GRAFT_DTYPE_BIT(GRAFT_DTYPE_f16) | GRAFT_DTYPE_BIT(GRAFT_DTYPE_bf16) |
		GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32),
	MOVED = FLOATS | GRAFT_DTYPE_BIT(GRAFT_DTYPE_f64) | GRAFT_DTYPE_BIT(GRAFT_DTYPE_f8e4m3fn) |
	        GRAFT_DTYPE_BIT(GRAFT_DTYPE_f8e4m3fnuz) | GRAFT_DTYPE_BIT(GRAFT_DTYPE_f8e5m2),
	BOTH = GRAFT_ROUND_LATE | GRAFT_ROUND_EARLY
};

/* Elements of every dtype are moved and cast; computed in are f16, bf16, f32 and, where no product of matrices or norm
 * is, f64. */
static constexpr bool same_text(const char *a, const char *b)
{
	return *a == *b && (!*a || same_text(a + 1, b + 1));
}
static constexpr bool moves(const char *family, const char *name)
{
	return same_text(family, "copy") || same_text(family, "gather") || same_text(family, "create") ||
	       same_text(family, "index") || same_text(family, "sort") || same_text(name, "cast");
}
static constexpr bool takes_f64(const char *family)
{
	return !same_text(family, "matmul") && !same_text(family, "norm") && !same_text(family, "attention");
}

#define OP(name, family, ...)                                                        \
	static constexpr uint32_t dtypes_##name = moves(#family, #name) ? MOVED :    \
		takes_f64(#family) ? FLOATS | GRAFT_DTYPE_BIT(GRAFT_DTYPE_f64) : FLOATS;
#include "../../ir/ops.def"
#undef OP

#ifndef GRAFT_HIP_ARCHS
#define GRAFT_HIP_ARCHS "*"
#endif

static const graft_kernel kernels[] = {
#define ROW(name, rounds)                                                            \
	{ #name, signature_##name.text, 1, dtypes_##name, rounds,                    \
	  GRAFT_KERNEL_ANY_STRIDE | GRAFT_KERNEL_ODD_LAST | GRAFT_KERNEL_ANY_LAYOUT, \
	  GRAFT_HIP_ARCHS, 0, 0, 0, hip_##name },
#include "pack.def"
#undef ROW
};

static const uint32_t n_kernels = sizeof kernels / sizeof *kernels;

static const graft_pack pack = {
	GRAFT_PACK_MAGIC, GRAFT_PACK_ABI, sizeof(graft_pack), sizeof(graft_kernel), "hip", GRAFT_VERSION, n_kernels,
		n_kernels, kernels,
};

extern "C" GRAFT_API const graft_pack *graft_pack_v1(void);
extern "C" GRAFT_API const graft_pack *graft_pack_v1(void)
{
	return &pack;
}
