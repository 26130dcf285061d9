/* attention.hip - softmax(q k' scale + mask) v, for QUERIES queries of one batch and KEYS keys at a time.
 *
 * LANES threads have a query: of a tile of keys, one score each; of a tile of the result, COLUMNS columns each, LANES
 * apart. Scores are seen tile by tile, with the maximum and the sum so far; when a tile raises the maximum, sum and
 * result so far are scaled down. A result wider than a tile computes its scores again for each. A query that may see
 * no key gets zeros.
 */
#include "kernel.h"

enum : int { LANES = 32, QUERIES = BLOCK / LANES, KEYS = LANES, COLUMNS = 8, TILE = LANES * COLUMNS };

struct Mat { int32_t dtype; int64_t i, j; };                  /* strides of rows and columns */

struct Attention {
	Walk batch;                           /* y, q, k, v, mask */
	Mat y, q, k, v, mask;
	int64_t n_queries, n_keys, depth, width;
	int64_t blocks, tiles;                /* of queries in a batch; of columns in a result */
	float scale;
	int32_t masked, causal;
};

/* A query at work: where its batch lies, in elements, and its own state, the same in each of its threads. */
struct Query { int64_t at[5], i; bool live; float max, sum; };

DEVICE float item(const Attention &a, const Mat &m, int t, const Query &q, int64_t i, int64_t j)
{
	return load<float>(m.dtype, a.batch.base[t], q.at[t] + i * m.i + j * m.j);
}

DEVICE float score(const Attention &a, const Query &q, int64_t key)
{
	float s = 0;
	if (!q.live || key >= a.n_keys || (a.causal && key > q.i))
		return Max::none;
	for (int64_t d = 0; d < a.depth; d++)
		s = fmaf(item(a, a.q, 1, q, q.i, d), item(a, a.k, 2, q, key, d), s);
	s *= a.scale;
	if (!a.masked)
		return s;
	float mask = item(a, a.mask, 4, q, q.i, key);
	return a.mask.dtype != GRAFT_DTYPE_bool ? s + mask : mask != 0 ? s : Max::none;
}

/* The weight of a key; what was summed before is scaled to the new maximum by `shrink`. */
DEVICE float weigh(Query *q, float s, float *shrink)
{
	float max = Max::of(q->max, group_fold<Max>(s, LANES, nullptr));
	float from = max == Max::none ? 0 : max, p = expf(s - from);
	*shrink = expf(q->max - from);
	q->sum = q->sum * *shrink + group_fold<Sum>(p, LANES, nullptr);
	q->max = max;
	return p;
}

DEVICE void add_values(const Attention &a, const Query &q, const float *p, int64_t key, int64_t column, float *sum)
{
	int64_t left = a.n_keys - key, n = left < KEYS ? left : int64_t{KEYS};
	for (int64_t k = 0; k < n; k++)
		for (int c = 0; c < COLUMNS; c++)
			if (column + c * LANES < a.width)
				sum[c] = fmaf(p[k], item(a, a.v, 3, q, key + k, column + c * LANES), sum[c]);
}

KERNEL attend(Attention a)
{
	__shared__ float weight[QUERIES][KEYS];
	int64_t block = block_index(), tile = block % a.tiles, first = block / a.tiles % a.blocks * QUERIES;
	unsigned lane = threadIdx.x % LANES, mine = threadIdx.x / LANES;
	Query q = {{}, first + mine, first + mine < a.n_queries, Max::none, 0};
	float sum[COLUMNS] = {}, shrink;
	if (block / a.tiles / a.blocks >= a.batch.size)
		return;
	walk_at<5>(a.batch, block / a.tiles / a.blocks, q.at);
	int64_t column = tile * TILE + lane, end = a.causal && first + QUERIES < a.n_keys ? first + QUERIES : a.n_keys;
	for (int64_t key = 0; key < end; key += KEYS) {
		float p = weigh(&q, score(a, q, key + lane), &shrink);
		__syncthreads();
		weight[mine][lane] = p;
		__syncthreads();
		for (int c = 0; c < COLUMNS; c++)
			sum[c] *= shrink;
		add_values(a, q, weight[mine], key, column, sum);
	}
	for (int c = 0; c < COLUMNS; c++)
		if (q.live && column + c * LANES < a.width)
			store<float>(a.y.dtype, a.batch.base[0], q.at[0] + q.i * a.y.i + (column + c * LANES) * a.y.j,
			             q.sum == 0 ? 0 : sum[c] / q.sum);
}

/* ---- operands ---------------------------------------------------- */

static Mat mat_of(const graft_tensor *t)
{
	int32_t r = t->rank;
	return {t->dtype, r < 2 || t->shape[r - 2] == 1 ? 0 : t->stride[r - 2],
	        r < 1 || t->shape[r - 1] == 1 ? 0 : t->stride[r - 1]};
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

static bool add_batch(Nest *n, const graft_tensor *t)
{
	graft_tensor front = tensor_front(t, t->rank < 2 ? t->rank : 2);
	return nest_add(n, &front);
}

int hip_scaled_dot_product_attention(const graft_launch *l)
{
	int status = launch_check(l, 3, 4, 1, 2);
	const graft_tensor *q = l->in, *k = l->in + 1, *v = l->in + 2, *mask = operand(l, 3), *y = l->out;
	Attention a = {};
	if (status)
		return status;
	if (q->rank < 2 || k->rank < 2 || v->rank < 2 || y->rank < 2)
		return launch_fail(l, GRAFT_E_USAGE, "attention: q, k, v and the result must have at least two axes");
	if (!is_computed(y->dtype) || (mask && mask->dtype != GRAFT_DTYPE_bool && !is_computed(mask->dtype)))
		return launch_fail(l, GRAFT_E_UNSUPPORTED,
		                   "attention takes f16, bf16 and f32, and a mask that is bool or one of those");
	a.n_queries = from_end(q, 2), a.depth = from_end(q, 1), a.n_keys = from_end(k, 2), a.width = from_end(v, 1);
	a.y = mat_of(y), a.q = mat_of(q), a.k = mat_of(k), a.v = mat_of(v);
	a.mask = mask ? mat_of(mask) : Mat();
	a.masked = mask != nullptr;
	a.causal = l->attr[0].i != 0;
	a.scale = static_cast<float>(l->attr[1].given ? l->attr[1].f : 1 / sqrt(static_cast<double>(a.depth)));
	a.blocks = (a.n_queries + QUERIES - 1) / QUERIES;
	a.tiles = (a.width + TILE - 1) / TILE;
	graft_tensor front = tensor_front(y, 2);
	Nest batch = nest_over(&front);
	if (!shapes_fit(&a, y, k, v, mask) || !add_batch(&batch, q) || !add_batch(&batch, k) || !add_batch(&batch, v) ||
	    (mask && !add_batch(&batch, mask)))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "attention: q[.., t, d], k[.., s, d], v[.., s, e] and a mask [.., t, s] do not give "
		                   "the result [.., t, e]");
	nest_join(&batch);
	return nest_launch(batch, [&](const Walk &w) {
		a.batch = w;
		return launch_blocks(l, attend, w.size * a.blocks * a.tiles, a);
	});
}
