/* attention.c - softmax(q k' scale + mask) v, for a block of queries and a block of keys at a time.
 *
 * Nothing is as long as the sequence: a row of scores is seen in blocks, with the maximum and the sum so far. When a
 * block raises the maximum, sum and result so far are scaled down. The blocks depend on shapes alone, so the result
 * does not depend on threads. A query that may see no key (every score -inf) gets zeros, as from torch's
 * scaled_dot_product_attention.
 */
#include "kernel.h"
#include <math.h>

enum { QUERIES = 128, KEYS = 256, BLOCK = 1 << 16, SLOTS = 32 };

typedef struct Mat { int dtype; int64_t i, j; } Mat;               /* strides of rows and columns, in elements */

typedef struct Attention {
	const graft_launch *l;
	int64_t n_queries, n_keys, depth, width; /* q: depth columns, v: width columns */
	int64_t queries, keys;                  /* of a block */
	int64_t blocks, slots;                  /* blocks of queries over the whole batch; run at once */
	Mat y, q, k, v, mask;
	bool masked, causal;
	double scale;
	Walk batch;                             /* y, q, k, v, mask */
	char *room;
	int64_t slot_bytes;
} Attention;

/* One block of queries at work. */
typedef struct Block {
	const Attention *a;
	char *y, *q, *k, *v, *mask;             /* of this batch; y, q, mask: at the first query */
	int64_t first, queries;                 /* its first query */
	void *room;
} Block;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static char *row_at(char *data, const Mat *m, int64_t i)
{
	return data + i * m->i * (int64_t)graft_dtype_size((graft_dtype)m->dtype);
}

static void product_f32(const Attention *a, int64_t m, int64_t n, int64_t k, const float *x, int64_t xi, const float *y,
                        int64_t yk, int64_t yj, float *c, int64_t ci, bool accumulate)
{
	a->l->host->sgemm(a->l->host->self, m, n, k, x, xi, 1, y, yk, yj, c, ci, accumulate);
}

static void product_f64(const Attention *a, int64_t m, int64_t n, int64_t k, const double *x, int64_t xi,
                        const double *y, int64_t yk, int64_t yj, double *c, int64_t ci, bool accumulate)
{
	(void)a;
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++) {
			double sum = accumulate ? c[i * ci + j] : 0;
			for (int64_t z = 0; z < k; z++)
				sum += x[i * xi + z] * y[z * yk + j * yj];
			c[i * ci + j] = sum;
		}
}

/* Rooms of a slot, in numbers: q, k and v widened, scores, result, and a maximum, a sum and a mask's row. */
static int64_t slot_numbers(const Attention *a)
{
	return a->queries * (a->depth + a->width + a->keys + 2) + a->keys * (a->depth + a->width + 1);
}

#define TEMPLATE "attention.inc"
#include "as_f32.h"
#include "as_f64.h"

static void block_run(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	Block *b = arg;
	const Attention *a = b->a;
	(void)stride;
	(void)n;
	b->y = row_at(at[0], &a->y, b->first);
	b->q = row_at(at[1], &a->q, b->first);
	b->k = at[2];
	b->v = at[3];
	b->mask = a->masked ? row_at(at[4], &a->mask, b->first) : NULL;
	if (class_of(a->y.dtype) == CLASS_F64)
		block_f64(b);
	else
		block_f32(b);
}

/* Slots take turns at the blocks, so that causal ones, which grow with the query, are shared out evenly. */
static void slots_run(void *arg, int64_t begin, int64_t end)
{
	const Attention *a = arg;
	int64_t each = (a->n_queries - 1) / a->queries + 1;
	for (int64_t slot = begin; slot < end; slot++)
		for (int64_t i = slot; i < a->blocks; i += a->slots) {
			Block b = { .a = a, .first = i % each * a->queries, .room = a->room + slot * a->slot_bytes };
			b.queries = least(a->queries, a->n_queries - b.first);
			walk_range(&a->batch, i / each, i / each + 1, 1, block_run, &b);
		}
}

/* The stride of an axis counted from the end; 0 where it is not there or has size 1. */
static int64_t step_from_end(const graft_tensor *t, int32_t axis)
{
	return t->rank < axis || t->shape[t->rank - axis] == 1 ? 0 : t->stride[t->rank - axis];
}

static Mat mat_of(const graft_tensor *t)
{
	return (Mat){ t->dtype, step_from_end(t, 2), step_from_end(t, 1) };
}

static int64_t from_end(const graft_tensor *t, int32_t axis)
{
	return t->rank < axis ? 1 : t->shape[t->rank - axis];
}

static bool shapes_fit(const Attention *a, const graft_tensor *y, const graft_tensor *k, const graft_tensor *v,
                       const graft_tensor *mask)
{
	return from_end(k, 1) == a->depth && from_end(v, 2) == a->n_keys && from_end(y, 2) == a->n_queries &&
	       from_end(y, 1) == a->width &&
	       (!mask || ((from_end(mask, 1) == 1 || from_end(mask, 1) == a->n_keys) &&
	                  (from_end(mask, 2) == 1 || from_end(mask, 2) == a->n_queries)));
}

static bool walk_add_batch(Walk *w, const graft_tensor *t)
{
	graft_tensor front = tensor_front(t, t->rank < 2 ? t->rank : 2);
	return walk_add(w, &front);
}

static int attend(const graft_launch *l, Attention *a)
{
	bool f64 = class_of(a->y.dtype) == CLASS_F64;
	int64_t size = f64 ? sizeof(double) : sizeof(float), columns = a->depth + a->width + 1;
	int64_t lines = most(16, BLOCK / columns / 16 * 16), numbers;
	if (a->n_queries == 0 || a->width == 0 || a->batch.size == 0)
		return 0;
	a->queries = least(least(QUERIES, lines), a->n_queries);
	a->keys = least(least(KEYS, lines), a->n_keys);
	a->blocks = a->batch.size * ((a->n_queries - 1) / a->queries + 1);
	a->slots = least(a->blocks, SLOTS);
	numbers = (slot_numbers(a) + 15) / 16 * 16;
	a->slot_bytes = numbers * size;
	a->room = scratch(l, a->slots * numbers, (size_t)size);
	if (!a->room)
		return no_scratch(l, a->slots * numbers, (size_t)size);
	run_parallel(l, a->slots, 2 * least(a->queries * a->n_keys, INT32_MAX) * least(columns, INT32_MAX / 2),
	             slots_run, a);
	return 0;
}

int cpu_scaled_dot_product_attention(const graft_launch *l)
{
	int status = launch_check(l, 3, 4, 1, 2);
	const graft_tensor *q = l->in, *k = l->in + 1, *v = l->in + 2, *mask = operand(l, 3), *y = l->out;
	graft_tensor front;
	Attention a = { .l = l };
	if (status)
		return status;
	if (q->rank < 2 || k->rank < 2 || v->rank < 2 || y->rank < 2)
		return launch_fail(l, GRAFT_E_USAGE, "attention: q, k, v and the result must have at least two axes");
	if (class_of(y->dtype) == CLASS_I64 ||
	    (mask && mask->dtype != GRAFT_DTYPE_bool && class_of(mask->dtype) == CLASS_I64))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "attention takes floats, and a mask that is bool or float");
	a.n_queries = from_end(q, 2), a.depth = from_end(q, 1), a.n_keys = from_end(k, 2), a.width = from_end(v, 1);
	a.y = mat_of(y), a.q = mat_of(q), a.k = mat_of(k), a.v = mat_of(v);
	if (mask)
		a.mask = mat_of(mask);
	a.masked = mask;
	a.causal = l->attr[0].i != 0;
	a.scale = l->attr[1].given ? l->attr[1].f : 1 / sqrt((double)a.depth);
	front = tensor_front(y, 2);
	walk_begin(&a.batch, &front);
	if (!shapes_fit(&a, y, k, v, mask) || !walk_add_batch(&a.batch, q) || !walk_add_batch(&a.batch, k) ||
	    !walk_add_batch(&a.batch, v) || (mask && !walk_add_batch(&a.batch, mask)))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "attention: q[.., t, d], k[.., s, d], v[.., s, e] and a mask [.., t, s] do not give "
		                   "the result [.., t, e]");
	walk_join(&a.batch);
	return attend(l, &a);
}
