/* profile.c - what each step touches and computes, how long it took, and how near that is to what the device can do. */
#include "plan.h"
#include <string.h>
#include <time.h>

struct Profile {
	graft_profile *row;                   /* by step; those that compute nothing have no time and are left out */
	size_t *step, n;                      /* what is shown */
	double seconds;                       /* the fastest run; 0: none yet */
	double bandwidth;
	double flops[GRAFT_DTYPE_COUNT];      /* peak of products by the result's dtype; 0: not known */
};

double profile_clock(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what a step does -------------------------------------------------------------------------------------- */

/* Bytes of a tensor that is read whole; what is expanded is read once. */
static double bytes_of(const graft_tensor *t)
{
	double bytes = t->dtype == GRAFT_DTYPE_COUNT ? 0 : (double)item_size(t);
	for (int32_t i = 0; i < t->rank; i++)
		bytes *= t->shape[i] > 1 && !t->stride[i] ? 1 : (double)t->shape[i];
	return bytes;
}

static bool family_is(const Step *s, const char *family)
{
	return s->node && !strcmp(s->node->op->family, family);
}

static double step_bytes(const Step *s)
{
	double bytes = 0, out = 0;
	for (uint32_t i = 0; i < s->n_out; i++)
		out += bytes_of(&s->call.out[i]);
	for (uint32_t i = 0; i < s->n_in; i++) {
		double in = bytes_of(&s->call.in[i]);
		/* only the rows that are looked up */
		bytes += i == 0 && family_is(s, "gather") && in > out ? out : in;
	}
	return bytes + out;
}

static double size_of(const graft_tensor *t)
{
	return (double)tensor_size(t);
}

static double step_operations(const Step *s)
{
	const graft_tensor *in = s->call.in, *out = s->call.out;
	if (family_is(s, "matmul") && in[0].rank)
		return 2 * size_of(&out[0]) * (double)in[0].shape[in[0].rank - 1];
	if (family_is(s, "attention") && in[1].rank > 1)
		return 2 * (size_of(&in[0]) + size_of(&out[0])) * (double)in[1].shape[in[1].rank - 2];
	return 0;
}

/* ---- what the device can do -------------------------------------------------------------------------------- */

enum { COPY = 32 << 20, SIDE = 768, TIMES = 3 };

typedef struct Work { Host *host; char *to, *from; float *a, *b, *c; } Work;

static void copy_part(void *arg, int64_t begin, int64_t end)
{
	const Work *w = arg;
	memcpy(w->to + begin, w->from + begin, (size_t)(end - begin));
}

static void copy_all(Work *w)
{
	pool_run(w->host->pool, COPY, 1 << 20, copy_part, w);
}

static void multiply(Work *w)
{
	product_run(&w->host->blas, w->host->pool, &(Product){ SIDE, SIDE, SIDE, w->a, SIDE, 1, w->b, SIDE, 1, w->c,
	                                                       SIDE, false });
}

static double fastest(Work *w, void (*work)(Work *))
{
	double best = 0;
	for (int i = 0; i < TIMES; i++) {
		double start = profile_clock();
		work(w);
		double seconds = profile_clock() - start;
		best = !i || seconds < best ? seconds : best;
	}
	return best > 0 ? best : 1e-9;
}

/* A CPU does not say what it can do: a copy and a product of float32 tell. */
static void measure_cpu(graft_plan *p, Profile *f)
{
	Arena *a = &p->arena.job->scratch;
	Work w = { .host = &p->host, .to = plan_block(a, COPY), .from = plan_block(a, COPY) };
	memset(w.from, 0, COPY);
	f->bandwidth = 2.0 * COPY / fastest(&w, copy_all);
	w.a = (float *)(void *)w.from;
	w.b = w.a + SIDE * SIDE;
	w.c = (float *)(void *)w.to;
	if (!p->host.blas_found)
		return;
	int before = blas_begin(&p->host.blas);
	double flops = 2.0 * SIDE * SIDE * SIDE / fastest(&w, multiply);
	blas_end(&p->host.blas, before);
	for (int i = 0; i < GRAFT_DTYPE_COUNT; i++)
		f->flops[i] = flops;
}

static void ask_gpu(const graft_device_info *d, Profile *f)
{
	f->bandwidth = d->bandwidth;
	f->flops[GRAFT_DTYPE_f64] = d->flops_f64;
	f->flops[GRAFT_DTYPE_f32] = d->flops_f32;
	f->flops[GRAFT_DTYPE_f16] = f->flops[GRAFT_DTYPE_bf16] = d->flops_half;
}

/* ---- the profile ------------------------------------------------------------------------------------------- */

void profile_open(graft_plan *p)
{
	Profile *f = NEW(&p->arena, Profile);
	f->row = NEW_ARRAY(&p->arena, p->n_steps, graft_profile);
	f->step = NEW_ARRAY(&p->arena, p->n_steps, size_t);
	for (size_t i = 0; i < p->n_steps; i++) {
		const Step *s = &p->steps[i];
		f->row[i] = (graft_profile){ .node = s->label, .op = s->op, .pack = s->pack, .bytes = step_bytes(s),
		                             .operations = step_operations(s) };
		if (!s->empty)
			f->step[f->n++] = i;
	}
	if (p->device)
		ask_gpu(&p->device->info, f);
	else
		measure_cpu(p, f);
	p->profile = f;
}

void profile_step(graft_plan *p, size_t step, double start, double seconds)
{
	const Profile *f = p->profile;
	graft_profile *r = &f->row[step];
	if (r->seconds > 0 && r->seconds <= seconds)
		return;
	r->start = start;
	r->seconds = seconds;
	if (seconds <= 0)
		return;
	double peak = f->flops[p->steps[step].call.out[0].dtype];
	double memory = f->bandwidth > 0 ? r->bytes / seconds / f->bandwidth : 0;
	double arithmetic = peak > 0 ? r->operations / seconds / peak : 0;
	r->of_arithmetic = arithmetic > memory;
	r->share = r->of_arithmetic ? arithmetic : memory;
}

void profile_total(graft_plan *p, double seconds)
{
	Profile *f = p->profile;
	if (!(f->seconds > 0) || seconds < f->seconds)
		f->seconds = seconds;
}

const graft_profile *graft_plan_profile(const graft_plan *p, size_t i)
{
	return p->profile && i < p->profile->n ? &p->profile->row[p->profile->step[i]] : NULL;
}

double graft_plan_seconds(const graft_plan *p)
{
	return p->profile ? p->profile->seconds : 0;
}
