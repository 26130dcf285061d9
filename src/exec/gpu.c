/* gpu.c - a plan on a GPU: one block of its memory, what goes in and out, the captured graph.
 *
 *   buffer    [ intermediates, reused ][ outputs ][ params, literals, constants: uploaded once ][ inputs: in each run ]
 *   staging   [ inputs, made dense ][ outputs ]           memory of the host that the device copies from and to by
 *                                                         itself
 *
 * The first run launches step by step, the second records the same launches as a graph, and from then on the graph is
 * replayed. Everything is queued on one stream, and a run waits once, at its end. What plugin and kernels answer comes
 * back as an error, never as a plan that is half done: whatever is still queued is waited for before anything is freed
 * or used again.
 */
#include "plan.h"
#include <math.h>
#include <string.h>

/* One tensor between host and device. */
typedef struct Transfer { const graft_tensor *from; char *device; size_t at, size; } Transfer;

struct Gpu {
	Device *device;
	graft_host host;                      /* what kernels may ask for */
	bool blas_sought;
	void *memory, *staging;
	Transfer *in, *out;
	uint32_t n_in, n_out;
	bool busy;                            /* something may be queued still */
	bool direct;                          /* capturing failed: step by step for good */
	uint64_t runs;
	void *graph;
	void **event;                         /* for a profile: one before each step, one behind the last */
	size_t n_events;
};

/* ---- opening and closing ----------------------------------------------------------------------------------- */

static void gpu_close(void *gpu)
{
	Gpu *u = gpu;
	const graft_device *api = u->device->api;
	graft_session *s = u->device->session;
	graft_fault fault;
	if (u->busy)
		api->wait(s, &fault);
	for (size_t i = 0; i < u->n_events; i++)
		api->event_free(s, u->event[i]);
	if (u->graph)
		api->graph_free(s, u->graph);
	if (u->staging)
		api->free_host(s, u->staging);
	if (u->memory)
		api->free(s, u->memory);
}

static void leave(void *device)
{
	device_leave(device);
}

/* Until the job's end the thread's current device is the plan's. */
static void enter(Job *job, Device *d)
{
	device_enter(job, d);
	arena_undo(&job->scratch, leave, d);
}

/* Status other than 0: the kernel goes its own way, and the product is tried no further. */
static int host_gemm(void *self, const graft_gemm *g)
{
	const Gpu *u = self;
	graft_fault fault;
	return u->device->api->gemm(u->device->session, g, &fault);
}

void gpu_open(graft_plan *p)
{
	Job *job = p->arena.job;
	p->device = device_open(job, p->spec.options.device, &p->arena);
	p->gpu = NEW(&p->arena, Gpu);
	p->gpu->device = p->device;
	p->gpu->host.self = p->gpu;
	arena_undo(&p->arena, gpu_close, p->gpu);
	enter(job, p->device);
	p->device_name = arena_printf(&p->arena, "%s (%s)", p->device->info.name, p->device->info.arch);
}

void gpu_need_blas(graft_plan *p)
{
	graft_fault fault = { 0 };
	if (p->gpu->blas_sought)
		return;
	p->gpu->blas_sought = true;
	if (p->device->api->blas(p->device->session, &fault))
		p->gpu->host.gemm = host_gemm;
	else
		plan_note(p, "matrix products run on the pack's own kernel, which is slower than a BLAS: %s",
		          fault.message);
}

const graft_host *gpu_host(const graft_plan *p)
{
	return &p->gpu->host;
}

static void wait_all(Job *job, graft_plan *p)
{
	p->gpu->busy = true;
	device_wait(job, p->device, NULL);
	p->gpu->busy = false;
}

/* ---- what is given ----------------------------------------------------------------------------------------- */

/* to = t, dense. */
static void gather(void *to, const graft_tensor *t)
{
	int64_t index[GRAFT_MAX_RANK] = { 0 }, each = item_size(t), n = tensor_size(t);
	int32_t rank = t->rank;
	int64_t row = rank ? t->shape[rank - 1] : 1, stride = rank ? t->stride[rank - 1] : 1, at = 0;
	if (!n)
		return;
	if (tensor_dense(t)) {
		memcpy(to, t->data, (size_t)(n * each));
		return;
	}
	for (char *out = to; n > 0; n -= row, out += row * each) {
		convert(t->dtype, out, 1, t->dtype, (const char *)t->data + at * each, stride, row);
		for (int32_t i = rank - 1; i-- > 0;) {
			at += t->stride[i];
			if (++index[i] < t->shape[i])
				break;
			at -= t->shape[i] * t->stride[i];
			index[i] = 0;
		}
	}
}

static bool uploads(const Store *s)
{
	return s->kind == STORE_GIVEN && !s->each_run && s->size;
}

/* Memory of the host must live until it has been copied, so all of it is made before the first copy. */
static void upload(graft_plan *p)
{
	Job *job = p->arena.job;
	const void **host = NEW_ARRAY(&job->scratch, p->n_stores, const void *);
	for (size_t i = 0; i < p->n_stores; i++) {
		const Store *s = &p->stores[i];
		if (!uploads(s))
			continue;
		host[i] = s->from->data;
		if (tensor_dense(s->from))
			continue;
		void *dense = plan_block(&job->scratch, s->size);
		gather(dense, s->from);
		host[i] = dense;
	}
	for (size_t i = 0; i < p->n_stores; i++) {
		p->gpu->busy = true;
		if (host[i])
			CALL(job, p->device, copy_in, p->buffer + p->stores[i].at, host[i], p->stores[i].size);
	}
	wait_all(job, p);
}

void gpu_place(graft_plan *p)
{
	CALL(p->arena.job, p->device, alloc, p->size ? p->size : plan_line(p), &p->gpu->memory);
	p->buffer = p->gpu->memory;
	upload(p);
}

/* ---- what goes in and out ---------------------------------------------------------------------------------- */

static size_t lines(size_t size)
{
	enum { LINE = 64 };
	return (size + LINE - 1) / LINE * LINE;
}

static void list_inputs(graft_plan *p, size_t *size)
{
	Gpu *u = p->gpu;
	u->in = NEW_ARRAY(&p->arena, p->n_stores, Transfer);
	for (size_t i = 0; i < p->n_stores; i++) {
		const Store *s = &p->stores[i];
		if (s->kind != STORE_GIVEN || !s->each_run || !s->size)
			continue;
		u->in[u->n_in++] = (Transfer){ s->from, p->buffer + s->at, *size, s->size };
		*size += lines(s->size);
	}
}

static void list_outputs(graft_plan *p, size_t *size)
{
	Gpu *u = p->gpu;
	u->out = NEW_ARRAY(&p->arena, p->g->n_outputs, Transfer);
	u->n_out = p->g->n_outputs;
	for (uint32_t i = 0; i < u->n_out; i++) {
		const graft_tensor *t = &p->slots[p->output_slot[i]].tensor;
		u->out[i] = (Transfer){ NULL, t->data, *size, (size_t)(tensor_size(t) * item_size(t)) };
		*size += lines(u->out[i].size);
	}
}

static void make_events(graft_plan *p)
{
	Gpu *u = p->gpu;
	u->event = NEW_ARRAY(&p->arena, p->n_steps + 1, void *);
	for (size_t i = 0; i <= p->n_steps; i++) {
		CALL(p->arena.job, p->device, event_new, &u->event[i]);
		u->n_events++;
	}
}

void gpu_outputs(graft_plan *p)
{
	size_t size = 0;
	list_inputs(p, &size);
	list_outputs(p, &size);
	if (size)
		CALL(p->arena.job, p->device, alloc_host, size, &p->gpu->staging);
	if (p->spec.options.profile)
		make_events(p);
}

graft_tensor gpu_output(const graft_plan *p, uint32_t i)
{
	graft_tensor t = p->slots[p->output_slot[i]].tensor;
	t.data = p->gpu->staging ? (char *)p->gpu->staging + p->gpu->out[i].at : NULL;
	return t;
}

static void copy_inputs(Job *job, graft_plan *p)
{
	const Gpu *u = p->gpu;
	for (uint32_t i = 0; i < u->n_in; i++)
		gather((char *)u->staging + u->in[i].at, u->in[i].from);
	for (uint32_t i = 0; i < u->n_in; i++)
		CALL(job, p->device, copy_in, u->in[i].device, (char *)u->staging + u->in[i].at, u->in[i].size);
}

static void copy_outputs(Job *job, graft_plan *p)
{
	const Gpu *u = p->gpu;
	for (uint32_t i = 0; i < u->n_out; i++)
		if (u->out[i].size)
			CALL_AT(p->g->outputs[i]->name, job, p->device, copy_out, (char *)u->staging + u->out[i].at,
			        u->out[i].device, u->out[i].size);
}

graft_tensor gpu_read(Job *job, const graft_plan *p, const Slot *s)
{
	graft_tensor t = s->tensor;
	int64_t low = 0, high = 0, each = item_size(&t);
	for (int32_t i = 0; i < t.rank; i++)
		*(t.stride[i] < 0 ? &low : &high) += (t.shape[i] - 1) * t.stride[i] * each;
	if (!tensor_size(&t))
		return t;
	char *host = arena_alloc(&job->scratch, (size_t)(high - low + each));
	CALL(job, p->device, copy_out, host, (char *)t.data + low, (size_t)(high - low + each));
	device_wait(job, p->device, NULL);
	t.data = host - low;
	return t;
}

/* ---- launching --------------------------------------------------------------------------------------------- */

/* One step; 0, or a status with p->message filled. Throws nothing: a capture must be ended first. */
static int launch(graft_plan *p, const Step *s)
{
	graft_fault fault = { 0 };
	p->message[0] = 0;
	int status = s->launch(&s->call);
	if (status)
		return status;
	status = p->device->api->launched(p->device->session, &fault);
	if (status)
		memcpy(p->message, fault.message, sizeof fault.message);
	return status;
}

/* Launches all steps; where a profile is wanted the first run waits after each, so that a kernel that faults is
 * named. */
static void launch_directly(Job *job, graft_plan *p)
{
	bool careful = p->spec.options.profile && !p->gpu->runs;
	for (size_t i = 0; i < p->n_steps; i++) {
		const Step *s = &p->steps[i];
		int status = s->empty ? 0 : launch(p, s);
		if (status)
			step_fail(job, p, s, status);
		if (careful)
			device_wait(job, p->device, s->label);
	}
}

static const Step *record_steps(graft_plan *p, int *status)
{
	for (size_t i = 0; i < p->n_steps; i++)
		if (!p->steps[i].empty && (*status = launch(p, &p->steps[i])))
			return &p->steps[i];
	return NULL;
}

/* Makes the graph, or leaves it and notes why. */
static void capture(graft_plan *p)
{
	Gpu *u = p->gpu;
	const graft_device *api = p->device->api;
	graft_fault fault = { 0 };
	int status = api->capture_begin(p->device->session, &fault);
	const Step *failed = status ? NULL : record_steps(p, &status);
	bool begun = failed || !status;
	if (begun) {
		int ended = api->capture_end(p->device->session, failed ? NULL : &u->graph, &fault);
		status = failed ? status : ended;
	}
	u->direct = status != 0;
	if (status)
		plan_note(p, "runs are launched node by node, they cannot be captured as a graph: %s%s%s",
		          failed ? failed->label : "", failed ? ": " : "", failed ? p->message : fault.message);
}

static bool computes(const graft_plan *p)
{
	for (size_t i = 0; i < p->n_steps; i++)
		if (!p->steps[i].empty)
			return true;
	return false;
}

static void launch_steps(Job *job, graft_plan *p)
{
	Gpu *u = p->gpu;
	if (u->runs && !u->graph && !u->direct && computes(p))
		capture(p);
	if (u->graph)
		CALL(job, p->device, graph_launch, u->graph);
	else
		launch_directly(job, p);
}

/* ---- measuring --------------------------------------------------------------------------------------------- */

/* Keeps the device at work while the host queues steps and events, so that no step is measured waiting for the host. */
static void queue_ahead(Job *job, graft_plan *p, double seconds)
{
	enum { MOST = 16 };
	const double host_seconds = 20e-6;    /* for one step with its event, well on the long side */
	double n = seconds > 0 ? ceil((double)p->n_steps * host_seconds / seconds) : 0;
	for (int i = 0; p->gpu->graph && i < MOST && i < n; i++)
		CALL(job, p->device, graph_launch, p->gpu->graph);
}

/* Runs the steps once more with an event between each. Inputs are on the device still, and outputs have left it. */
static void measure_steps(Job *job, graft_plan *p, double total)
{
	Gpu *u = p->gpu;
	queue_ahead(job, p, total);
	CALL(job, p->device, event_record, u->event[0]);
	for (size_t i = 0; i < p->n_steps; i++) {
		const Step *s = &p->steps[i];
		int status = s->empty ? 0 : launch(p, s);
		if (status)
			step_fail(job, p, s, status);
		CALL_AT(s->label, job, p->device, event_record, u->event[i + 1]);
	}
	wait_all(job, p);
	for (size_t i = 0; i < p->n_steps; i++) {
		double start, seconds;
		CALL(job, p->device, event_seconds, u->event[0], u->event[i], &start);
		CALL(job, p->device, event_seconds, u->event[i], u->event[i + 1], &seconds);
		profile_step(p, i, start, seconds);
	}
}

static void measure(Job *job, graft_plan *p)
{
	double total;
	CALL(job, p->device, event_seconds, p->gpu->event[0], p->gpu->event[p->n_steps], &total);
	profile_total(p, total);
	p->gpu->busy = true;
	measure_steps(job, p, total);
}

/* ---- a run ------------------------------------------------------------------------------------------------- */

void gpu_run(Job *job, graft_plan *p)
{
	Gpu *u = p->gpu;
	bool measured = p->profile && p->n_steps;
	enter(job, p->device);
	if (u->busy)
		wait_all(job, p);
	u->busy = true;
	copy_inputs(job, p);
	if (measured)
		CALL(job, p->device, event_record, u->event[0]);
	launch_steps(job, p);
	if (measured)
		CALL(job, p->device, event_record, u->event[p->n_steps]);
	copy_outputs(job, p);
	wait_all(job, p);
	if (measured)
		measure(job, p);
	u->runs++;
}
