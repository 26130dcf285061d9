/* cpu_pack.c - the built-in pack: one kernel per row of ops.def that computes, through the ABI of every other pack. */
#include "../../ir/ops.h"
#include "cpu.h"
#include <string.h>

typedef struct Row { OpCode op; graft_launch_fn launch; } Row;

static const Row rows[] = {
#define OP(name, family, in, out, effect, ...) ROW_##effect(name)
#define ROW_PURE(name) { OP_##name, cpu_##name },
#define ROW_MAYBE_VIEW(name) ROW_PURE(name)
#define ROW_WRITES(name) ROW_PURE(name)
#define ROW_VIEW(name)
#define ROW_ASSERTS(name)
#include "../../ir/ops.def"
#undef OP
};

enum {
	N_ROWS = sizeof rows / sizeof *rows,
	FLOATS = GRAFT_DTYPE_BIT(GRAFT_DTYPE_f16) | GRAFT_DTYPE_BIT(GRAFT_DTYPE_bf16) |
		GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32) |
	         GRAFT_DTYPE_BIT(GRAFT_DTYPE_f64),
	FLOATS_8 = GRAFT_DTYPE_BIT(GRAFT_DTYPE_f8e4m3fn) | GRAFT_DTYPE_BIT(GRAFT_DTYPE_f8e4m3fnuz) |
	           GRAFT_DTYPE_BIT(GRAFT_DTYPE_f8e5m2)
};

/* f8 is stored, moved and cast, never computed in. */
static uint32_t dtypes_of(const Op *op)
{
	bool moves = !strcmp(op->family, "copy") || !strcmp(op->family, "gather") || !strcmp(op->family, "index") ||
	             !strcmp(op->family, "create") || !strcmp(op->name, "cast");
	return moves ? FLOATS | FLOATS_8 : FLOATS;
}

static graft_kernel kernel_of(Arena *a, const Row *row)
{
	const Op *op = &op_table[row->op];
	Text signature = { .arena = a };
	op_signature(&signature, op);
	return (graft_kernel){
		.name = op->name,
		.signature = signature.text,
		.version = 1,
		.dtypes = dtypes_of(op),
		.rounds = attr_index(op, "round", 5) >= 0 ? GRAFT_ROUND_LATE | GRAFT_ROUND_EARLY : 0,
		.flags = GRAFT_KERNEL_ANY_STRIDE | GRAFT_KERNEL_ODD_LAST,
		.archs = "cpu",
		.launch = row->launch,
	};
}

const graft_pack *cpu_pack(Arena *a)
{
	graft_kernel *kernels = NEW_ARRAY(a, N_ROWS, graft_kernel);
	graft_pack *pack = NEW(a, graft_pack);
	for (uint32_t i = 0; i < N_ROWS; i++)
		kernels[i] = kernel_of(a, &rows[i]);
	*pack = (graft_pack){ GRAFT_PACK_MAGIC, GRAFT_PACK_ABI, sizeof *pack, sizeof *kernels, "builtin", GRAFT_VERSION,
	                     N_ROWS, N_ROWS,
	                      kernels };
	return pack;
}
