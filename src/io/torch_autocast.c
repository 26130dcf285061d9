/* torch_autocast.c - ops under autocast compute in another dtype than their operands say: those casts, as nodes. */
#include "torch.h"
#include <string.h>

typedef enum Policy { NONE, LOWER, F32, F32_SUM, PROMOTE } Policy;

static const struct { const char *target; uint8_t policy[TORCH_DEVICES]; } policies[] = {
#define AUTOCAST(target, cpu, cuda) { target, { cpu, cuda } },
#include "torch_autocast.def"
#undef AUTOCAST
};

enum { N_POLICIES = sizeof policies / sizeof *policies };

static Policy policy_of(const char *target, TorchDevice device)
{
	for (size_t i = 0; i < N_POLICIES; i++)
		if (!strcmp(policies[i].target, target))
			return (Policy)policies[i].policy[device];
	return NONE;
}

void torch_autocast_check(Job *job)
{
	for (size_t i = 0; i < N_POLICIES; i++)
		if (!torch_row(policies[i].target) || (i && strcmp(policies[i - 1].target, policies[i].target) >= 0))
			fail(job, GRAFT_E_RULE, "torch_autocast.def: %s has no row in torch_ops.def, or is not in order",
			     policies[i].target);
}

/* Ops of others may be registered for autocast, too; what has no row is not known to be safe. */
bool torch_autocast_knows(Arena *a, const char *target)
{
	static const char *const sizes[] = { "aten.sym_", "aten._assert_", "higher_order.wrap_with_" };
	const char *dot = strrchr(target, '.');
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		if (!strncmp(target, sizes[i], strlen(sizes[i])))
			return true;
	if (torch_row(target) || !strncmp(target, "_operator.", 10) || !strncmp(target, "math.", 5))
		return true;
	return dot && dot > target && dot[-1] == '_' &&
	       torch_row(arena_printf(a, "%.*s%s", (int)(dot - target - 1), target, dot));
}

static bool is_cast(const Value *v)
{
	return v && v->kind != VALUE_LITERAL && dtype_is_float(v->type.dtype) && v->type.dtype != GRAFT_DTYPE_f64;
}

static graft_dtype widest(const TorchCall *c)
{
	graft_dtype d = c->autocast;
	for (uint32_t i = 0; i < c->n_args; i++)
		for (uint32_t k = 0; k < c->arg[i].n_tensors; k++) {
			const Value *v = c->arg[i].tensor[k];
			if (is_cast(v) && v->type.dtype == GRAFT_DTYPE_f32)
				d = GRAFT_DTYPE_f32;
			else if (is_cast(v) && v->type.dtype != c->autocast)
				fail(graph_job(c->g), GRAFT_E_GRAPH, "autocast to %s does not promote %s",
				     graft_dtype_name(c->autocast), graft_dtype_name(v->type.dtype));
		}
	return d;
}

static bool asks_for_dtype(const TorchCall *c)
{
	for (uint32_t i = 0; i < c->n_args; i++)
		if (c->arg[i].name_size == 5 && !memcmp(c->arg[i].name, "dtype", 5) && c->arg[i].tag != TAG_none)
			return true;
	return false;
}

static bool cast_arg(TorchCall *c, TorchArg *a, graft_dtype to)
{
	bool any = false;
	Value **tensor = NEW_ARRAY(c->scratch, a->n_tensors, Value *);
	const char **place = NEW_ARRAY(c->scratch, a->n_tensors, const char *);
	for (uint32_t k = 0; k < a->n_tensors; k++) {
		bool cast = is_cast(a->tensor[k]) && a->tensor[k]->type.dtype != to;
		tensor[k] = cast ? torch_cast(c, a->tensor[k], a->place[k], to) : a->tensor[k];
		place[k] = cast ? NULL : a->place[k];
		any |= cast;
	}
	a->tensor = tensor;
	a->place = place;
	return any;
}

bool torch_autocast(TorchCall *c)
{
	Policy policy = c->autocast == GRAFT_DTYPE_COUNT ? NONE : policy_of(c->target, c->device);
	if (policy == NONE || (policy == F32_SUM && asks_for_dtype(c)))
		return false;
	graft_dtype to = policy == LOWER ? c->autocast : policy == PROMOTE ? widest(c) : GRAFT_DTYPE_f32;
	bool any = false;
	TorchArg *arg = arena_copy(c->scratch, c->arg, c->n_args * sizeof *c->arg);
	c->arg = arg;
	for (uint32_t i = 0; i < c->n_args; i++)
		any |= cast_arg(c, &arg[i], to);
	return any;
}
