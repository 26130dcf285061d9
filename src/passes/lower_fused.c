/* lower_fused.c - fused nodes back to the ops they stand for: the inverse of every fusion. */
#include "rule.h"

const Rule rules_lower_fused[] = {
	{ .name  = "lower_mla_dual_rms_norm",
	  .match = "q_n, kv_n = fused_mla_dual_rms_norm(q, q_w, kv, kv_w) {q_eps=q_eps, kv_eps=kv_eps, round=round}",
	  .emit  = "q_n  = rms_norm(q, q_w)   {eps=q_eps, round=round}\n"
	           "kv_n = rms_norm(kv, kv_w) {eps=kv_eps, round=round}" },
	{ .match = NULL },
};
