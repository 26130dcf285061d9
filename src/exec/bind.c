/* bind.c - from nodes to launches: which kernel, which operands, which attributes.
 *
 * Nodes are asked about one by one, with the strides their operands really have. A fused node that no kernel takes is
 * lowered to the ops it stands for by the pass that does so (all of them: one graph, one way), and binding starts anew.
 */
#include "plan.h"
#include "../kernels/cpu/cpu.h"
#include "../passes/rule.h"
#include <string.h>

/* ---- what cannot run --------------------------------------------------------------------------------------- */

/* Nodes of one op that cannot run, and why the first of them cannot. */
typedef struct Trouble { const char *op, *first, *reason; uint32_t n; } Trouble;
struct Troubles { Trouble *v; size_t n, cap; };

static void add_trouble(Troubles *t, Arena *a, const char *op, const char *label, const char *reason)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->v[i].op, op)) {
			t->v[i].n++;
			return;
		}
	t->v = arena_grow(a, t->v, t->n, &t->cap, sizeof *t->v);
	t->v[t->n++] = (Trouble){ op, label, reason, 1 };
}

static bool told_before(const Troubles *t, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(t->v[k].reason, t->v[i].reason))
			return true;
	return false;
}

/* "add (a), mul (b and 2 more): why": all that share the reason of i. */
static void report_reason(Text *text, const Troubles *t, size_t i)
{
	text_puts(text, text->size ? "; " : "");
	for (size_t k = i; k < t->n; k++)
		if (!strcmp(t->v[k].reason, t->v[i].reason))
			text_printf(text, "%s%s (%s%s)", k > i ? ", " : "", t->v[k].op, t->v[k].first,
			            t->v[k].n > 1 ? arena_printf(text->arena, " and %u more", t->v[k].n - 1) : "");
	text_printf(text, ": %s", t->v[i].reason);
}

static void report(Job *job, const Troubles *t)
{
	Text text = { .arena = &job->scratch };
	for (size_t i = 0; i < t->n; i++)
		if (!told_before(t, i))
			report_reason(&text, t, i);
	if (t->n)
		fail(job, GRAFT_E_UNSUPPORTED, "the graph cannot run here: %s", text.text);
}

static void refuse_kept(Job *job, const Value *v)
{
	if (dtype_is_kept(v->type.dtype))
		fail(job, GRAFT_E_UNSUPPORTED, "the graph cannot run here: '%s' is %s, which graft has no kernels for",
		     v->name, graft_dtype_name(v->type.dtype));
}

void bind_refuse_unknown(Job *job, const Graph *g)
{
	Troubles t = { 0 };
	for (const Node *n = g->first; n; n = n->next)
		if (op_code(n->op) == OP_unknown && !n->note)
			add_trouble(&t, &job->scratch, n->name, node_label(n),
			            n->why ? n->why : "not an op of graft's, see `graft ops`");
	report(job, &t);
	for (uint32_t i = 0; i < g->n_inputs; i++)
		refuse_kept(job, g->inputs[i]);
	for (uint32_t i = 0; i < g->n_params; i++)
		refuse_kept(job, g->params[i]);
}

/* ---- operands ---------------------------------------------------------------------------------------------- */

/* The distance between rows; -1 when rows lie at uneven distances or their elements apart. */
static int64_t row_distance(const graft_tensor *t)
{
	int64_t distance = 0, next = 0;
	if (!t->rank || tensor_dense(t))
		return t->rank ? t->shape[t->rank - 1] : 1;
	if (t->shape[t->rank - 1] > 1 && t->stride[t->rank - 1] != 1)
		return -1;
	for (int32_t i = t->rank - 1; i-- > 0;) {
		if (t->shape[i] == 1)
			continue;
		if (t->stride[i] < 0 || (next && t->stride[i] != next))
			return -1;
		distance = next ? distance : t->stride[i];
		next = t->stride[i] * t->shape[i];
	}
	return distance;
}

/* How a slot's rows lie, for the probe. What a pack's kernel could not walk would be copied, and then is dense. */
static Dim distance_of(const graft_tensor *t)
{
	int64_t d = row_distance(t);
	return dim_const(d >= 0 ? d : t->shape[t->rank - 1]);
}

/* What the probe is asked: types, and distances between rows. */
static Answer ask(graft_plan *p, const Node *n)
{
	Arena *a = &p->arena.job->scratch;
	Type *types = NEW_ARRAY(a, n->n_in, Type);
	Dim *distance = NEW_ARRAY(a, n->n_in, Dim);
	for (uint32_t i = 0; i < n->n_in; i++) {
		const Value *v = n->in[i].value;
		types[i] = (Type){ .dtype = GRAFT_DTYPE_COUNT };
		if (!v || v->kind == VALUE_LITERAL)
			continue;
		types[i] = v->type;
		distance[i] = distance_of(&p->slots[p->slot_of[v->id]].tensor);
	}
	return target_bind(p->target, p->g, n->op, types, n->n_in, n->attr, distance, a);
}

/* Does a pass make this op only where a kernel for it can be called? Then a missing kernel means what the user should
 * know. */
static bool guarded_op(const Op *op)
{
	for (size_t i = 0; i < n_passes; i++)
		if (pass_table[i].kernel && !strcmp(pass_table[i].kernel, op->name))
			return true;
	return false;
}

static const graft_kernel *own_kernel(graft_plan *p, const Op *op)
{
	if (!p->own)
		p->own = cpu_pack(&p->arena);
	for (uint32_t i = 0; i < p->own->n_kernels; i++)
		if (!strcmp(p->own->kernels[i].name, op->name))
			return &p->own->kernels[i];
	return NULL;
}

/* Packs that were named take the place of graft's own for fused ops alone: what else they lack, graft computes itself;
 * but not for a GPU, whose memory it does not reach. */
static Answer ask_or_own(graft_plan *p, const Node *n)
{
	Answer a = ask(p, n);
	if (a.available || guarded_op(n->op) || p->device)
		return a;
	const graft_kernel *own = own_kernel(p, n->op);
	return own ? (Answer){ .available = true, .tier = GRAFT_TIER_NODE, .pack = "builtin", .kernel = own } : a;
}

static bool is_builtin(const Answer *a)
{
	return !strcmp(a->pack, "builtin");
}

/* Graft's own kernels walk everything. */
static bool walks_all(const Answer *a)
{
	return is_builtin(a) || a->kernel->flags & GRAFT_KERNEL_ANY_LAYOUT;
}

/* A kernel must not read what it writes: a second operand in the storage that is written is copied. So is what a pack's
 * kernel cannot walk. */
static bool needs_copy(const graft_plan *p, const Node *n, uint32_t i, uint32_t slot, const Answer *a)
{
	bool writes = n->op->effect == WRITES;
	if (writes && i == 0)
		return false;
	return (writes && p->slots[slot].store == p->slots[p->slot_of[n->in[0].value->id]].store) ||
	       (!walks_all(a) && row_distance(&p->slots[slot].tensor) < 0);
}

/* ---- attributes -------------------------------------------------------------------------------------------- */

static const int64_t *axes_list(graft_plan *p, const Attr *a, uint32_t rank, int32_t *n)
{
	bool in_set[GRAFT_MAX_RANK] = { 0 };
	int64_t *list = NEW_ARRAY(&p->arena, rank, int64_t);
	attr_axes(a, rank, in_set);
	for (uint32_t i = 0; i < rank; i++)
		if (in_set[i])
			list[(*n)++] = i;
	return list;
}

static const int64_t *dims_list(graft_plan *p, const Attr *a, int32_t *n)
{
	int64_t *list = NEW_ARRAY(&p->arena, a->n, int64_t);
	for (uint32_t i = 0; i < a->n; i++)
		list[(*n)++] = a->dims[i].value;
	return list;
}

/* Values of a constant: integers, or the bits of doubles where the result is a float. */
static const int64_t *values_list(graft_plan *p, const Node *n, const Attr *a, int32_t *count)
{
	bool real = dtype_is_float(n->out[0]->type.dtype);
	int64_t *list = NEW_ARRAY(&p->arena, a->n, int64_t);
	for (uint32_t i = 0; i < a->n; i++)
		convert(real ? GRAFT_DTYPE_f64 : GRAFT_DTYPE_i64, &list[(*count)++], 1,
		        a->list[i].kind == ATTR_FLOAT ? GRAFT_DTYPE_f64 : GRAFT_DTYPE_i64, &a->list[i].i, 1, 1);
	return list;
}

static graft_attr bind_attr(graft_plan *p, const Node *n, const Attr *a)
{
	uint32_t rank = n->n_in && n->in[0].value ? n->in[0].value->type.rank : 0;
	graft_attr to = { .given = a->kind != ATTR_NONE };
	switch (a->kind) {
	case ATTR_BOOL: case ATTR_INT: case ATTR_DTYPE: case ATTR_NAME: to.i = a->i; break;
	case ATTR_DIM: to.i = a->dim.value; break;
	case ATTR_AXIS: to.i = axis_of(a, rank); break;
	case ATTR_FLOAT: to.f = a->f; break;
	case ATTR_AXES: to.list = axes_list(p, a, rank, &to.n); break;
	case ATTR_DIMS: to.list = dims_list(p, a, &to.n); break;
	case ATTR_LIST: to.list = values_list(p, n, a, &to.n); break;
	case ATTR_NONE: case ATTR_STRING: break;
	}
	return to;
}

static const graft_attr *bind_attrs(graft_plan *p, const Node *n)
{
	graft_attr *attr = NEW_ARRAY(&p->arena, n->n_attr, graft_attr);
	for (uint32_t i = 0; i < n->n_attr; i++)
		attr[i] = bind_attr(p, n, &n->attr[i]);
	return attr;
}

/* ---- steps ------------------------------------------------------------------------------------------------- */

static Step *step_new(graft_plan *p, const char *label, const char *op, const Answer *a, uint32_t n_in, uint32_t n_out)
{
	p->steps = arena_grow(&p->arena, p->steps, p->n_steps, &p->cap_steps, sizeof *p->steps);
	Step *s = &p->steps[p->n_steps++];
	*s = (Step){ .label = label, .op = op, .launch = a->kernel->launch, .n_in = n_in, .n_out = n_out };
	s->pack = arena_strdup(&p->arena, a->pack);
	s->slots = NEW_ARRAY(&p->arena, (size_t)n_in + n_out, uint32_t);
	return s;
}

/* Who makes copies. Where nobody does the plan is refused in the end, and until then graft's own stands in. */
static Answer copier(graft_plan *p, uint32_t from, const Type *type, const char *label)
{
	const Op *clone = &op_table[OP_clone];
	Answer own = { .available = true, .pack = "builtin", .kernel = own_kernel(p, clone) };
	if (!p->device)
		return own;
	const graft_tensor *t = &p->slots[from].tensor;
	Dim distance = distance_of(t);
	Answer a = target_bind(p->target, p->g, clone, type, 1, NULL, &distance, &p->arena.job->scratch);
	const char *why = a.reason;
	if (a.available && (walks_all(&a) || row_distance(t) >= 0))
		return a;
	if (a.available)
		why = arena_printf(&p->arena.job->scratch, "clone of '%s' walks rows at even distances only", a.pack);
	add_trouble(p->troubles, &p->arena.job->scratch, clone->name, label, why);
	return own;
}

uint32_t bind_copy(graft_plan *p, uint32_t from, const char *label)
{
	Type type = layout_type(p, &p->slots[from].tensor);
	Answer a = copier(p, from, &type, label);
	Step *s = step_new(p, label, "clone", &a, 1, 1);
	p->n_copies++;
	s->slots[0] = from;
	return s->slots[1] = slot_dense(p, label, &type);
}

static void bind_step(graft_plan *p, const Node *n, const Answer *a)
{
	uint32_t *in = NEW_ARRAY(&p->arena.job->scratch, n->n_in, uint32_t);
	for (uint32_t i = 0; i < n->n_in; i++) {
		in[i] = layout_operand(p, n->in[i].value);
		if (in[i] != NO_SLOT && needs_copy(p, n, i, in[i], a))
			in[i] = bind_copy(p, in[i], node_label(n));
	}
	Step *s = step_new(p, node_label(n), n->op->name, a, n->n_in, n->n_out);
	s->node = n;
	if (n->n_in)
		memcpy(s->slots, in, n->n_in * sizeof *in);
	for (uint32_t i = 0; i < n->n_out; i++)
		s->slots[n->n_in + i] = p->slot_of[n->out[i]->id];
	s->call.attr = bind_attrs(p, n);
	s->call.n_attr = (int32_t)n->n_attr;
}

/* Graft's own kernels say by their family whether they multiply matrices; a pack's could. */
static void provide_blas(graft_plan *p, const Node *n, bool builtin)
{
	bool multiplies = (!builtin && !p->device) || !strcmp(n->op->family, "matmul") ||
		!strcmp(n->op->family, "attention");
	if (multiplies && p->device)
		gpu_need_blas(p);
	else if (multiplies && !p->host.blas_sought && !host_need_blas(&p->host))
		plan_note(p, "no BLAS is found (libopenblas.so.0, libblas.so.3), so matrix products run on a plain "
		          "loop, which is slow; install libopenblas0");
}

/* What depends on nothing but attributes is the same in every run: a GPU gets it once, like a weight. */
static void bind_constant(graft_plan *p, const Node *n)
{
	size_t size;
	graft_tensor t = tensor_of(p, n->out[0]->name, &n->out[0]->type, &size);
	t.data = plan_block(&p->arena, size);
	graft_launch l = { .struct_size = sizeof l, .n_out = 1, .n_attr = (int32_t)n->n_attr, .out = &t,
	                   .attr = bind_attrs(p, n),
	                   .host = &p->host.api, .message = p->message, .message_size = sizeof p->message };
	int status = size ? own_kernel(p, n->op)->launch(&l) : 0;
	host_launched(&p->host);
	if (status)
		fail_at(p->arena.job, (graft_status)status, node_label(n), "%s", p->message);
	layout_constant(p, n->out[0], &t);
}

/* One reason for all ops that a pack does not have: the probe's own names the op and what there is instead. */
static const char *trouble_reason(graft_plan *p, const Answer *a)
{
	return a->tier == GRAFT_TIER_ABI ? arena_printf(&p->arena.job->scratch, "'%s' has no kernel for that; use a "
	                                                "pack that has one", a->pack) : a->reason;
}

static void bind_node(graft_plan *p, const Node *n)
{
	if (p->device && !n->n_in && n->n_out == 1 && n->op->effect == PURE) {
		bind_constant(p, n);
		return;
	}
	for (uint32_t i = 0; i < n->n_in; i++)
		layout_operand(p, n->in[i].value);
	if (!layout_node(p, n))
		return;
	Answer a = ask_or_own(p, n);
	if (!a.available || !a.kernel) {
		add_trouble(p->troubles, &p->arena.job->scratch, n->name, node_label(n), trouble_reason(p, &a));
		return;
	}
	provide_blas(p, n, is_builtin(&a));
	bind_step(p, n, &a);
}

static void bind_outputs(graft_plan *p)
{
	p->output_slot = NEW_ARRAY(&p->arena, p->g->n_outputs, uint32_t);
	for (uint32_t i = 0; i < p->g->n_outputs; i++) {
		uint32_t slot = p->slot_of[p->g->outputs[i]->use.value->id];
		if (!tensor_dense(&p->slots[slot].tensor))
			slot = bind_copy(p, slot, p->g->outputs[i]->name);
		p->stores[p->slots[slot].store].kept = true;
		p->output_slot[i] = slot;
	}
}

static Troubles try_bind(graft_plan *p)
{
	Troubles t = { 0 };
	p->troubles = &t;
	p->n_slots = p->n_stores = p->n_steps = p->n_copies = 0;
	p->slot_of = NEW_ARRAY(&p->arena, p->g->next_value, uint32_t);
	memset(p->slot_of, 0xff, p->g->next_value * sizeof *p->slot_of);
	p->alias = alias_of(p->g, &p->arena.job->scratch);
	layout_given(p);
	for (const Node *n = p->g->first; n; n = n->next)
		bind_node(p, n);
	bind_outputs(p);
	p->alias = NULL;
	p->troubles = NULL;
	return t;
}

/* ---- lowering ---------------------------------------------------------------------------------------------- */

/* Fused nodes become the ops they stand for; false when there were none. */
static bool lower(graft_plan *p)
{
	const Pass *pass = pass_find("lower_fused", strlen("lower_fused"));
	Arena *a = &p->arena.job->scratch;
	int64_t budget = -1;
	PassRun run = { .g = p->g, .pass = pass->name, .scratch = a, .target = p->target, .budget = &budget };
	if (pass->run)
		pass->run(&run);
	else
		rules_run(&run, pass->rules);
	return run.applied > 0;
}

static bool still(const Troubles *t, const char *op)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->v[i].op, op))
			return true;
	return false;
}

void bind_nodes(graft_plan *p)
{
	p->target = p->device ? device_target(p->device, p->ctx, &p->arena) :
		target_open(p->arena.job, p->ctx, NULL, &p->arena);
	Troubles t = try_bind(p);
	if (t.n && !p->spec.options.strict && lower(p)) {
		Troubles before = t;
		t = try_bind(p);
		for (size_t i = 0; i < before.n; i++)
			if (!still(&t, before.v[i].op))
				plan_note(p, "%s is run as the ops it stands for (%u node%s): %s", before.v[i].op,
				          before.v[i].n, before.v[i].n == 1 ? "" : "s", before.v[i].reason);
	}
	report(p->arena.job, &t);
}
