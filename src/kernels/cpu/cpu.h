/* cpu.h - the reference kernels: one function per row of ops.def that computes, each with the ABI of plugin.h.
 *
 * They are the oracle for everything else: plain loops over strided operands, every dtype of the row, sums in float32
 * (float64 for f64), casts to nearest even. A kernel checks what its launch can get wrong (dtype, rank) and returns a
 * graft_status with a message; shapes have been checked by the plan.
 */
#ifndef GRAFT_CPU_H
#define GRAFT_CPU_H

#include <graft/plugin.h>

/* The built-in pack: one kernel per row that computes, its limits as plugin.h has them (cpu_pack.c). */
struct Arena;
const graft_pack *cpu_pack(struct Arena *a);

/* One declaration per row that computes; a VIEW or an ASSERTS row runs nothing. */
#define OP(name, family, in, out, effect, ...) DECLARE_##effect(name)
#define DECLARE_PURE(name) int cpu_##name(const graft_launch *l);
#define DECLARE_MAYBE_VIEW(name) DECLARE_PURE(name)
#define DECLARE_WRITES(name) DECLARE_PURE(name)
#define DECLARE_VIEW(name)
#define DECLARE_ASSERTS(name)
#include "../../ir/ops.def"
#undef OP

#endif
