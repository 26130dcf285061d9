/* random.c - numbers for tensors that nobody gave: from the tensor's name, the seed and the element's index alone, so
 * they are the same on every machine and with any number of threads.
 *
 * What they are like follows from what the graph does with them, so that values keep the size of 1 through any depth:
 *
 *   ids                     0 ... size of the axis they choose from - 1 (the smallest, of several)
 *   ends of groups of rows  rising, in equal steps, to the number of rows
 *   other integers          0 ... 7, bools 0 or 1
 *   matrices                variance 1 / length of the sums they are in
 *   biases                  variance 1 / 100
 *   other vectors (norms)   1 +- 1/8
 *   inputs, tables          variance 1
 */
#include "plan.h"
#include <math.h>
#include <string.h>

enum { SMALL_INTEGERS = 8 };

/* ---- what they are for ------------------------------------------------------------------------------------- */

struct Purpose {
	int64_t ids;                          /* size of the smallest axis they choose from; 0: none */
	int64_t ends;                         /* rows that they cut into groups; 0: none */
	int64_t fan_in;                       /* length of the sums; 0: in none */
	bool bias;
};

static void join(Purpose *to, Purpose from)
{
	if (from.ids && (!to->ids || from.ids < to->ids))
		to->ids = from.ids;
	if (from.ends && (!to->ends || from.ends < to->ends))
		to->ends = from.ends;
	if (from.fan_in > to->fan_in)
		to->fan_in = from.fan_in;
	to->bias |= from.bias;
}

static int64_t size_from_end(const Value *v, uint32_t back)
{
	uint32_t rank = v->type.rank;
	return rank ? v->type.dims[rank < back ? 0 : rank - back].value : 1;
}

/* The size of the axis of operand 0 that attribute 0 names; of a 0-d one, 1. */
static int64_t size_at_axis(const Node *n)
{
	const Type *x = &n->in[0].value->type;
	return x->rank ? x->dims[axis_of(node_attr(n, 0), x->rank)].value : 1;
}

/* What one node makes of its operand i; through views, casts and copies it is what their results are for. */
static Purpose use_purpose(const Purpose *of, const Node *n, uint32_t i)
{
	Purpose p = { 0 };
	const Value *v = n->in[i].value;
	switch (op_code(n->op)) {
	case OP_embedding:
		p.ids = i == 1 ? n->in[0].value->type.dims[0].value : 0;
		p.fan_in = i == 0;
		return p;
	case OP_linear:
		p.fan_in = i == 1 ? size_from_end(v, 1) : 0;
		p.bias = i == 2;
		return p;
	case OP_matmul:
		p.fan_in = i == 1 ? size_from_end(v, 2) : 0;
		return p;
	case OP_grouped_matmul:
		p.fan_in = i == 1 ? size_from_end(v, 2) : 0;
		p.ends = i == 2 ? n->in[0].value->type.dims[0].value : 0;
		return p;
	case OP_gather: case OP_scatter: case OP_index_select: case OP_index_add:
		p.ids = i == 1 ? size_at_axis(n) : 0;
		return p;
	case OP_index:
		p.ids = i >= 1 ? n->in[0].value->type.dims[i - 1].value : 0;
		return p;
	case OP_index_put:
		p.ids = i >= 2 ? n->in[0].value->type.dims[i - 2].value : 0;
		return p;
	default:
		break;
	}
	bool passes = n->op->effect == VIEW || n->op->effect == MAYBE_VIEW || op_code(n->op) == OP_cast ||
	              op_code(n->op) == OP_clone;
	for (uint32_t o = 0; passes && o < n->n_out; o++)
		join(&p, of[n->out[o]->id]);
	return p;
}

const Purpose *random_purposes(const Graph *g, Arena *into)
{
	Purpose *of = NEW_ARRAY(into, g->next_value, Purpose);
	for (const Node *n = g->last; n; n = n->prev)
		for (uint32_t i = 0; i < n->n_in; i++)
			if (n->in[i].value)
				join(&of[n->in[i].value->id], use_purpose(of, n, i));
	return of;
}

/* ---- numbers ----------------------------------------------------------------------------------------------- */

/* A bijection of 64 bits that leaves no pattern (the finaliser of SplitMix64). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t hash_name(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

typedef struct Fill {
	const graft_tensor *t;
	uint64_t key;
	uint64_t bound;                       /* integers: below this */
	int64_t ends;                         /* integers: rising to this; 0: no */
	int64_t n;
	double offset, scale;                 /* floats: offset + scale * u, u in (-1, 1) */
} Fill;

static uint64_t number(const Fill *f, int64_t i)
{
	return mix(f->key + ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u);
}

/* u is a multiple of 2^-24, so it and its product with the scale, rounded once, have the same bits everywhere. The
 * offset is 0, or 1 with a scale that is a power of two: then the sum is exact. */
static float float_of(const Fill *f, int64_t i)
{
	double u = (double)(2 * (int64_t)(number(f, i) >> 40) + 1 - ((int64_t)1 << 24)) * 0x1p-24;
	return (float)(f->offset != 0 ? f->offset + u * f->scale : u * f->scale);
}

static void fill_range(void *arg, int64_t begin, int64_t end)
{
	const Fill *f = arg;
	float real[RUN];
	int64_t whole[RUN];
	size_t each = graft_dtype_size((graft_dtype)f->t->dtype);
	for (int64_t i = begin; i < end; i += RUN) {
		int64_t n = end - i < RUN ? end - i : RUN;
		char *to = (char *)f->t->data + (size_t)i * each;
		if (f->bound) {
			for (int64_t k = 0; k < n; k++)
				whole[k] = f->ends ? f->ends / f->n * (i + k + 1) + f->ends % f->n * (i + k + 1) / f->n
				                   : (int64_t)((number(f, i + k) >> 32) * f->bound >> 32);
			store_i64(f->t->dtype, to, 1, whole, n);
		} else {
			for (int64_t k = 0; k < n; k++)
				real[k] = float_of(f, i + k);
			store_f32(f->t->dtype, to, 1, real, n);
		}
	}
}

static bool is_vector(const graft_tensor *t)
{
	int64_t count = tensor_size(t);
	for (int32_t i = 0; i < t->rank; i++)
		if (t->shape[i] == count)
			return true;
	return !t->rank;
}

/* sqrt and division are exact to the last bit everywhere. Uniform numbers of variance 1 reach to sqrt(3). */
static void choose_floats(Fill *f, const Value *v, Purpose p)
{
	int64_t last = f->t->rank ? f->t->shape[f->t->rank - 1] : 1;
	if (v->kind == VALUE_INPUT)
		f->scale = sqrt(3.0);
	else if (p.fan_in)
		f->scale = sqrt(3.0 / (double)p.fan_in);
	else if (p.bias)
		f->scale = sqrt(3.0 / 100);
	else if (is_vector(f->t))
		f->offset = 1, f->scale = 0.125;
	else
		f->scale = sqrt(3.0 / (double)last);
}

void random_fill(graft_plan *p, const Value *v, const graft_tensor *t, const Purpose *purposes)
{
	Purpose purpose = purposes[v->id];
	Fill f = { .t = t, .key = mix(p->spec.options.seed ^ mix(hash_name(v->name))) };
	f.ends = purpose.ends, f.n = tensor_size(t);
	if (t->dtype == GRAFT_DTYPE_bool)
		f.bound = 2;
	else if (!dtype_is_float((graft_dtype)t->dtype))
		f.bound = !purpose.ids ? SMALL_INTEGERS : purpose.ids < INT32_MAX ? (uint64_t)purpose.ids : INT32_MAX;
	else
		choose_floats(&f, v, purpose);
	pool_run(p->host.pool, tensor_size(t), 1 << 16, fill_range, &f);
}
