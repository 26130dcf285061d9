/* kernel_pack.c - the built-in pack: one kernel for each row that computes. */
#include "test.h"
#include "../../src/ir/graph.h"
#include "../../src/kernels/cpu/cpu.h"

typedef struct Seen { char text[512]; uint32_t n, kernels; unsigned rounds, cast, add; bool same; } Seen;

static void look(Job *job, void *arg)
{
	Seen *s = arg;
	const graft_pack *p = cpu_pack(&job->scratch);
	s->same = p->magic == GRAFT_PACK_MAGIC && p->abi == GRAFT_PACK_ABI && p->struct_size == sizeof *p &&
	          p->kernel_size == sizeof(graft_kernel) && p->n_kernels == p->n_kernels_again;
	s->kernels = p->n_kernels;
	for (uint32_t i = 0; i < p->n_kernels; i++) {
		const graft_kernel *k = &p->kernels[i];
		const Op *op = op_find(k->name, strlen(k->name));
		Text t = { .arena = &job->scratch };
		op_signature(&t, op);
		s->same = s->same && op && k->launch && strcmp(k->signature, t.text) == 0 &&
			strcmp(k->archs, "cpu") == 0;
		if (op_code(op) == OP_fused_mla_dual_rms_norm) {
			snprintf(s->text, sizeof s->text, "%s", k->signature);
			s->rounds = k->rounds;
		}
		s->cast = op_code(op) == OP_cast ? k->dtypes : s->cast;
		s->add = op_code(op) == OP_add ? k->dtypes : s->add;
	}
	for (int i = 0; i < OP_COUNT; i++)
		s->n += op_table[i].effect != VIEW && op_table[i].effect != ASSERTS;
}

TEST(kernel_pack_has_every_row)
{
	Seen s = { .same = false };
	graft_context *ctx;
	CHECK_INT(graft_context_new(NULL, &ctx, NULL), GRAFT_OK);
	CHECK_INT(guarded(context_allocator(ctx), look, &s, NULL), GRAFT_OK);
	graft_context_free(ctx);
	CHECK(s.same);
	CHECK_INT(s.kernels, s.n);
	CHECK_STR(s.text, "fused_mla_dual_rms_norm(q, q_w, kv, kv_w) -> (q_n, kv_n) "
	                  "{q_eps: float, kv_eps: float, round: late|early}");
	CHECK_INT(s.rounds, GRAFT_ROUND_LATE | GRAFT_ROUND_EARLY);
	CHECK(s.cast & GRAFT_DTYPE_BIT(GRAFT_DTYPE_f8e4m3fn));
	CHECK(!(s.add & GRAFT_DTYPE_BIT(GRAFT_DTYPE_f8e4m3fn)));
}
