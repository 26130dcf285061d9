/* verify.c - two graphs, the same numbers: do they agree?
 *
 * Each graph gets a plan; what is random in the first is borrowed by the second. When outputs differ, both run once
 * more without reusing storage, and the values they have under one name are compared in the order of the first.
 */
#include "plan.h"
#include "compare.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct Pair {
	Job *job;
	graft_graph *a, *b;
	graft_plan *pa, *pb;
	double rtol, atol;
	graft_verify_result *out;
} Pair;

static double run_once(Job *job, graft_plan *p)
{
	graft_error err;
	double from = profile_clock();
	if (graft_plan_run(p, &err))
		fail_again(job, &err);
	return profile_clock() - from;
}

enum { REPEATED_BELOW = 5 };                  /* seconds */

/* The first run touches memory for the first time, so the time of a second one says more, where it does not take
 * long. */
static double run_timed(Job *job, graft_plan *p)
{
	double first = run_once(job, p);
	return first < REPEATED_BELOW ? fmin(first, run_once(job, p)) : first;
}

static graft_difference difference(const Pair *v, const graft_tensor *a, const graft_tensor *b)
{
	return tensors_compare(a, b, v->rtol, v->atol);
}

/* ---- outputs ------------------------------------------------------------------------------------------------- */

static const Value *output_value(const Graph *g, const char *name)
{
	for (uint32_t i = 0; i < g->n_outputs; i++)
		if (!strcmp(g->outputs[i]->name, name))
			return g->outputs[i]->use.value;
	return NULL;
}

static const char *type_text(Job *job, const Type *type)
{
	Text t = { .arena = &job->scratch };
	type_print(&t, type);
	return t.text;
}

static void check_outputs(const Pair *v)
{
	const Graph *a = v->pa->g, *b = v->pb->g;
	for (uint32_t i = 0; i < a->n_outputs; i++) {
		const char *name = a->outputs[i]->name;
		const Value *x = a->outputs[i]->use.value, *y = output_value(b, name);
		if (!y)
			fail_at(v->job, GRAFT_E_GRAPH, name,
			        "the first graph has an output %s, the second has none of that name", name);
		if (type_eq(v->pa->g, &x->type, &y->type) != YES)
			fail_at(v->job, GRAFT_E_GRAPH, name, "output %s is %s in the first graph and %s in the second",
			        name, type_text(v->job, &x->type), type_text(v->job, &y->type));
	}
	for (uint32_t i = 0; i < b->n_outputs; i++)
		if (!output_value(a, b->outputs[i]->name))
			fail_at(v->job, GRAFT_E_GRAPH, b->outputs[i]->name,
			        "the second graph has an output %s, the first has none of that name",
			        b->outputs[i]->name);
}

static bool worse(graft_difference x, graft_difference y)
{
	return x.same != y.same ? !x.same : x.max_rel > y.max_rel;
}

static void compare_outputs(const Pair *v)
{
	const graft_tensor *a;
	const char *name;
	graft_difference worst = { .same = true, .max_rel = -1 };
	v->out->same = true;
	for (size_t i = 0; (a = graft_tensors_at(v->pa->outputs, i, &name)); i++) {
		graft_difference d = difference(v, a, graft_tensors_get(v->pb->outputs, name));
		v->out->same &= d.same;
		v->out->count += d.count;
		v->out->nan += d.nan;
		v->out->max_abs = fmax(v->out->max_abs, d.max_abs);
		v->out->max_rel = fmax(v->out->max_rel, d.max_rel);
		if (!worse(d, worst))
			continue;
		worst = d;
		snprintf(v->out->outputs, sizeof v->out->outputs, "%s", name);
	}
}

/* ---- the first value that differs ------------------------------------------------------------------------------ */

static graft_plan *plan_again(Job *job, graft_graph *g, const PlanSpec *spec, const graft_plan *like)
{
	PlanSpec s = *spec;
	s.like = like;
	s.keep_all = true;
	graft_plan *p = plan_make(job, g, &s);
	run_once(job, p);
	return p;
}

static graft_tensor value_of(Job *job, const graft_plan *p, const Value *v)
{
	const Slot *s = plan_slot(p, v);
	return p->device ? gpu_read(job, p, s) : s->tensor;
}

/* A value whose storage is written later is not what it was. */
static bool value_differs(const Pair *v, const Alias *written_a, const Alias *written_b, const Value *x)
{
	const Value *y = value_find(v->pb->g, x->name, strlen(x->name));
	if (!y || !y->def || type_eq(v->pa->g, &x->type, &y->type) != YES || alias_written(written_a, x) ||
	    alias_written(written_b, y))
		return false;
	Mark mark = arena_mark(&v->job->scratch);
	graft_tensor a = value_of(v->job, v->pa, x), b = value_of(v->job, v->pb, y);
	bool differs = !difference(v, &a, &b).same;
	arena_release(&v->job->scratch, mark);
	return differs;
}

static void find_first(const Pair *v)
{
	const Alias *a = alias_of(v->pa->g, &v->job->scratch), *b = alias_of(v->pb->g, &v->job->scratch);
	for (const Node *n = v->pa->g->first; n; n = n->next)
		for (uint32_t i = 0; i < n->n_out; i++)
			if (value_differs(v, a, b, n->out[i])) {
				snprintf(v->out->value, sizeof v->out->value, "%s", n->out[i]->name);
				return;
			}
}

/* ---- the call -------------------------------------------------------------------------------------------------- */

typedef struct VerifyArgs {
	graft_graph *a, *b;
	const graft_verify_options *options;
	const graft_tensors *inputs;
	graft_verify_result out;
} VerifyArgs;

/* Every value at once may be more than there is memory for: the answer then stands without the value's name. */
static void look_closer(Job *job, void *arg)
{
	Pair v = *(Pair *)arg;
	const graft_plan *pa = v.pa, *pb = v.pb;
	v.job = job;
	v.pa = plan_again(job, v.a, &pa->spec, pa);
	v.pb = plan_again(job, v.b, &pb->spec, pa);
	find_first(&v);
}

static graft_plan *plan_on(Job *job, graft_graph *g, const PlanSpec *spec, const char *device, const graft_plan *like)
{
	PlanSpec s = *spec;
	s.options.device = device;
	s.like = like;
	if (device_kind(job, device) == DEVICE_AUTO)
		fail(job, GRAFT_E_USAGE, "graphs are compared on a device that is named, not on 'auto'; say cpu or hip");
	return plan_make(job, g, &s);
}

static void verify_body(Job *job, void *arg)
{
	VerifyArgs *args = arg;
	graft_verify_options o = { .struct_size = sizeof o, .rtol = -1, .atol = -1 };
	if (args->options)
		options_read(job, &o, sizeof o, args->options, args->options->struct_size);
	o.run.struct_size = o.run.struct_size ? o.run.struct_size : sizeof o.run;
	PlanSpec spec = plan_spec(job, &o.run, args->inputs);
	Pair v = { .job = job, .a = args->a, .b = args->b, .rtol = o.rtol, .atol = o.atol, .out = &args->out };
	v.pa = plan_on(job, v.a, &spec, o.reference ? o.reference : o.run.device, NULL);
	v.pb = plan_on(job, v.b, &spec, o.run.device, v.pa);
	check_outputs(&v);
	args->out.seconds_a = run_timed(job, v.pa);
	args->out.seconds_b = run_timed(job, v.pb);
	compare_outputs(&v);
	graft_error err;
	if (!args->out.same && guarded(context_allocator(v.pa->ctx), look_closer, &v, &err) &&
	    err.status != GRAFT_E_NOMEM)
		fail_again(job, &err);
}

graft_status graft_verify(graft_graph *a, graft_graph *b, const graft_verify_options *options,
                          const graft_tensors *inputs, graft_verify_result *out, graft_error *err)
{
	VerifyArgs args = { a, b, options, inputs, { 0 } };
	graft_status status = guarded(context_allocator(a->g.ctx), verify_body, &args, err);
	if (!status)
		*out = args.out;
	return status;
}
