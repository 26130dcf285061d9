/* plan.c - making plans: options, the parts in their order, outputs. */
#include "plan.h"
#include <assert.h>
#include <string.h>

/* ---- memory of a plan -------------------------------------------------------------------------------------- */

typedef struct Block { const graft_allocator *mem; void *data; size_t size; } Block;

static void free_block(void *block)
{
	Block *b = block;
	if (b->data)
		b->mem->resize(b->mem->user, b->data, b->size, 0);
}

enum { LINE = 64 };

void *plan_block(Arena *a, size_t size)
{
	Block *b = NEW(a, Block);
	*b = (Block){ .mem = a->mem };
	arena_undo(a, free_block, b);
	b->size = size + LINE;
	b->data = a->mem->resize(a->mem->user, NULL, 0, b->size);
	if (!b->data)
		fail(a->job, GRAFT_E_NOMEM, "no memory left for %zu bytes of tensors", size);
	return (char *)b->data + (LINE - (uintptr_t)b->data % LINE) % LINE;
}

void plan_note(graft_plan *p, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *note = arena_vprintf(&p->arena, fmt, ap);
	va_end(ap);
	p->notes = arena_grow(&p->arena, p->notes, p->n_notes, &p->cap_notes, sizeof *p->notes);
	p->notes[p->n_notes++] = note;
}

static void free_tied(void *tie)
{
	graft_plan_free(*(graft_plan **)tie);
}

static graft_plan *plan_alloc(Job *job, graft_context *ctx)
{
	graft_plan **tie = NEW(&job->scratch, graft_plan *);
	arena_undo(&job->scratch, free_tied, tie);
	Arena a;
	arena_init(&a, context_allocator(ctx), job);
	graft_plan *p = NEW(&a, graft_plan);
	p->arena = a;
	p->ctx = ctx;
	p->tie = tie;
	*tie = p;
	return p;
}

graft_plan *plan_release(graft_plan *p)
{
	*p->tie = NULL;
	p->tie = NULL;
	p->arena.job = NULL;
	return p;
}

void graft_plan_free(graft_plan *p)
{
	if (!p)
		return;
	Arena a = p->arena;
	arena_free(&a);
}

/* ---- options ----------------------------------------------------------------------------------------------- */

/* Options of a caller compiled against an older header are shorter: what it does not know is zero. */
void options_read(Job *job, void *to, size_t size, const void *from, size_t found)
{
	if (found < sizeof(size_t) || found > size)
		fail(job, GRAFT_E_USAGE, "the options say they have %zu bytes, wanted at most %zu; set struct_size to "
		     "sizeof the struct, and use the header of this library", found, size);
	memset(to, 0, size);
	memcpy(to, from, found);
}

PlanSpec plan_spec(Job *job, const graft_plan_options *options, const graft_tensors *inputs)
{
	PlanSpec spec = { .inputs = inputs };
	if (options)
		options_read(job, &spec.options, sizeof spec.options, options, options->struct_size);
	if (spec.options.threads < 0 || spec.options.threads > MAX_THREADS)
		fail(job, GRAFT_E_USAGE, "threads is %d, wanted 0 (one per core) to %d", spec.options.threads,
		     MAX_THREADS);
	return spec;
}

/* ---- making -------------------------------------------------------------------------------------------------- */

static void free_graph(void *g)
{
	graph_free(g);
}

static void free_tensors(void *t)
{
	graft_tensors_free(t);
}

/* Launches point at tensors of their own, in one array: operands, then results. */
static void finish_step(graft_plan *p, Step *s)
{
	uint32_t n = s->n_in + s->n_out;
	graft_tensor *t = NEW_ARRAY(&p->arena, n, graft_tensor);
	s->empty = true;
	for (uint32_t i = 0; i < n; i++) {
		t[i] = (graft_tensor){ .dtype = GRAFT_DTYPE_COUNT };
		if (s->slots[i] != NO_SLOT)
			t[i] = p->slots[s->slots[i]].tensor;
		s->empty &= i < s->n_in || tensor_size(&t[i]) == 0;
	}
	s->call.struct_size = sizeof s->call;
	s->call.n_in = (int32_t)s->n_in;
	s->call.n_out = (int32_t)s->n_out;
	s->call.in = t;
	s->call.out = t + s->n_in;
	s->call.host = p->device ? gpu_host(p) : &p->host.api;
	s->call.stream = p->device ? p->device->api->stream(p->device->session) : NULL;
	s->call.message = p->message;
	s->call.message_size = sizeof p->message;
}

static void make_outputs(graft_plan *p)
{
	graft_error err = { 0 };
	if (graft_tensors_new(p->ctx, &p->outputs, &err))
		fail_again(p->arena.job, &err);
	arena_undo(&p->arena, free_tensors, p->outputs);
	for (uint32_t i = 0; i < p->g->n_outputs; i++) {
		graft_tensor t = p->device ? gpu_output(p, i) : p->slots[p->output_slot[i]].tensor;
		if (graft_tensors_set(p->outputs, p->g->outputs[i]->name, &t, &err))
			fail_again(p->arena.job, &err);
	}
}

static void make_parts(Job *job, graft_plan *p, Graph *g)
{
	supply_find(p, g);
	p->g = symbols_bind(job, g, p->spec.options.bind, p->given);
	arena_undo(&p->arena, free_graph, p->g);
	graph_enter(p->g, job);
	supply_rest(p);
	bind_nodes(p);
	storage_place(p);
	for (size_t i = 0; i < p->n_steps; i++)
		finish_step(p, &p->steps[i]);
	if (p->device)
		gpu_outputs(p);
	if (p->spec.options.profile)
		profile_open(p);
	make_outputs(p);
}

graft_plan *plan_make(Job *job, graft_graph *graph, const PlanSpec *spec)
{
	Graph *g = (Graph *)graph;
	graph_enter(g, job);
	bind_refuse_unknown(job, g);
	graft_plan *p = plan_alloc(job, g->ctx);
	p->spec = *spec;
	host_open(&p->host, &p->arena, spec->options.threads);
	if (spec->why_cpu)
		plan_note(p, "runs on the CPU: %s", spec->why_cpu);
	p->device_name = "cpu";
	if (device_kind(job, spec->options.device) == DEVICE_HIP)
		gpu_open(p);
	make_parts(job, p, g);
	return p;
}

typedef struct NewArgs {
	graft_graph *g;
	const graft_plan_options *options;
	const graft_tensors *inputs;
	PlanSpec spec;
	graft_plan *made;
} NewArgs;

static void make_as_asked(Job *job, void *arg)
{
	NewArgs *a = arg;
	a->made = plan_release(plan_make(job, a->g, &a->spec));
}

/* Is it the device's fault, or nobody's but the caller's, who would hear the same of the CPU? */
static bool cpu_may_do(graft_status status)
{
	return status == GRAFT_E_UNAVAILABLE || status == GRAFT_E_UNSUPPORTED || status == GRAFT_E_NOMEM ||
	       status == GRAFT_E_EXEC;
}

static void new_body(Job *job, void *arg)
{
	NewArgs *a = arg;
	graft_error err;
	a->spec = plan_spec(job, a->options, a->inputs);
	if (device_kind(job, a->spec.options.device) == DEVICE_AUTO) {
		a->spec.options.device = "hip";
		graft_status status = guarded(job->scratch.mem, make_as_asked, a, &err);
		if (!status)
			return;
		if (!cpu_may_do(status))
			fail_again(job, &err);
		a->spec.options.device = "cpu";
		a->spec.why_cpu = err.message;
	}
	make_as_asked(job, a);
}

graft_status graft_plan_new(graft_graph *g, const graft_plan_options *options, const graft_tensors *inputs,
                            graft_plan **out, graft_error *err)
{
	NewArgs a = { .g = g, .options = options, .inputs = inputs };
	graft_status status = guarded(context_allocator(g->g.ctx), new_body, &a, err);
	if (!status)
		*out = a.made;
	return status;
}

/* ---- what a plan says ---------------------------------------------------------------------------------------- */

const Slot *plan_slot(const graft_plan *p, const Value *v)
{
	return p->slot_of[v->id] == NO_SLOT ? NULL : &p->slots[p->slot_of[v->id]];
}

const graft_tensors *graft_plan_outputs(const graft_plan *p)
{
	return p->outputs;
}

size_t graft_plan_peak(const graft_plan *p)
{
	return p->peak;
}

size_t graft_plan_total(const graft_plan *p)
{
	return p->total;
}

const char *graft_plan_device(const graft_plan *p)
{
	return p->device_name;
}

const char *graft_plan_note(const graft_plan *p, size_t i)
{
	return i < p->n_notes ? p->notes[i] : NULL;
}
