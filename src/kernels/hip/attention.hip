/* attention.hip - softmax(q k' scale + mask) v: online, nothing is as long as the sequence.
 *
 * Keys are seen tile by tile, with the maximum and the sum so far; when a tile raises the maximum, sum and result so
 * far are scaled down. Everything is computed in float32, in an order that shapes alone decide. A query that may see
 * no key gets zeros.
 *
 *   attend_tile  a block has SIDE * ROWS queries and SIDE * COLUMNS columns of their result; tiles of q, k and v go
 *                through shared memory, sums stay in registers. Of T queries and S keys, S * T / 64 keys and values are
 *                read (T / 32 where a result is wider than 256): an eighth of what blocks of eight queries would read,
 *                which is as many as have a warp each.
 *   attend_row   few queries: a block has one, its teams of LANES threads share out the keys, each with a maximum, a
 *                sum and a result of its own, and the results are put together at the end. Each key and value is read
 *                once, by neighbouring threads. The keys of a query are never shared out to blocks, which would take
 *                memory that a launch does not have.
 *
 * Both read 16 bytes at a time where rows lie at multiples of 16 bytes, else element by element. A result wider than
 * 512 is cut into pieces that compute their scores again.
 */
#include "kernel.h"

enum : int { FEW = 16, SIDE = 16, KEYS = 64, EACH = KEYS / SIDE, DEPTH = 32, QUAD = 4 };

/* Shared memory, in quads: rows of q and of k, one behind the other, take turns with rows of weights; then values. A
 * quad more in each row keeps the threads that read a column of quads at different banks. */
enum : int {
	PITCH = DEPTH / QUAD + 1, WEIGHTS = KEYS / QUAD + 1, VALUES_AT = 2 * KEYS * PITCH, VALUES = 512,
	ROOM = VALUES_AT + VALUES
};
static_assert(KEYS * WEIGHTS <= VALUES_AT, "weights fit where q and k are");

enum : int { LANES = 16, TEAMS = BLOCK / LANES, STEP = 4, PIECE = LANES * EIGHT };
static_assert(BLOCK == SIDE * SIDE && TEAMS * PIECE + 2 * TEAMS <= ROOM * QUAD, "a block is a square; results fit");

struct Quad { alignas(16) float v[QUAD]; };

struct Mat {
	int64_t rows, columns, i, j;          /* strides of rows and columns */
	int32_t packed, down;                 /* rows lie at multiples of 16 bytes; rows are nearer than columns */
};

struct Attention {
	Walk batch;                           /* y, q, k, v, mask */
	Mat y, q, k, v, mask;
	int64_t blocks, tiles;                /* of queries in a batch; of columns in a result */
	float scale;
	int32_t mask_dtype, masked, causal;
};

/* What a block works on: elements from the batch's first ones, tensor by tensor; its first query and column. */
struct Place { int64_t at[5], query, column; };

DEVICE Quad *shared_room()
{
	__shared__ Quad room[ROOM];
	return room;
}

/* False: there is no such block. The last queries, which under `causal` see most keys, go first. */
DEVICE bool place_at(const Attention &a, int queries, int columns, Place *p)
{
	int64_t block = block_index(), batch = block / a.tiles / a.blocks;
	if (batch >= a.batch.size)
		return false;
	walk_at<5>(a.batch, batch, p->at);
	p->column = block % a.tiles * columns;
	p->query = (a.blocks - 1 - block / a.tiles % a.blocks) * queries;
	return true;
}

/* ---- operands ---------------------------------------------------- */

/* Eight neighbours of row i, from column j on; what the matrix does not have is 0. */
template <class T> DEVICE void eight_at(const Attention &a, const Mat &m, int t, const Place &p, int64_t i, int64_t j,
                                        float (&v)[EIGHT])
{
	int64_t left = i < m.rows ? m.columns - j : 0, at = left > 0 ? p.at[t] + i * m.i + j * m.j : 0;
	load_eight(reinterpret_cast<const T *>(a.batch.base[t]) + at, m.j, left, m.packed, v);
}

/* N rows of tensor t from (i, j) on, M eights wide, into rows of `pitch` quads. Neighbouring threads read along the
 * nearer axis. */
template <class T, int N, int M> DEVICE void load_tile(const Attention &a, const Mat &m, int t, const Place &p,
                                                       int64_t i, int64_t j, Quad *tile, unsigned pitch)
{
	for (unsigned n = threadIdx.x; n < N * M; n += BLOCK) {
		unsigned row = m.down ? n % N : n / M, eight = m.down ? n / N : n % M;
		float v[EIGHT];
		eight_at<T>(a, m, t, p, i + row, j + eight * EIGHT, v);
		UNROLL
		for (unsigned e = 0; e < EIGHT; e++)
			tile[row * pitch + eight * 2 + e / QUAD].v[e % QUAD] = v[e];
	}
}

/* A score under the mask. */
DEVICE float masked(const Attention &a, const Place &p, int64_t query, int64_t key, float s)
{
	const char *mask = a.batch.base[4];
	int64_t at = p.at[4] + query * a.mask.i + key * a.mask.j;
	switch (a.mask_dtype) {
	case GRAFT_DTYPE_bool: return element<uint8_t>(mask, at) ? s : Max::none;
	case GRAFT_DTYPE_f16: return s + to_float(element<f16>(mask, at));
	case GRAFT_DTYPE_bf16: return s + to_float(element<bf16>(mask, at));
	default: return s + element<float>(mask, at);
	}
}

/* A product of q and k as a score. */
DEVICE float scored(const Attention &a, const Place &p, int64_t query, int64_t key, float s)
{
	if (query >= a.q.rows || key >= a.k.rows || (a.causal && key > query))
		return Max::none;
	return a.masked ? masked(a, p, query, key, s * a.scale) : s * a.scale;
}

/* Maximum and sum of what a query has seen. */
struct Seen { float max, sum; };

/* N scores, `max` the greatest of all that the query's threads have, become weights; this thread's are added to its
 * sum. Returns what everything before is scaled by. */
template <int N> DEVICE float weigh(Seen *q, float (&s)[N], float max)
{
	max = Max::of(q->max, max);
	float from = max == Max::none ? 0 : max, shrink = expf(q->max - from);
	q->max = max;
	q->sum *= shrink;
	UNROLL
	for (int j = 0; j < N; j++) {
		s[j] = expf(s[j] - from);
		q->sum += s[j];
	}
	return shrink;
}

template <int N> DEVICE float greatest(const float (&s)[N])
{
	float max = s[0];
	UNROLL
	for (int j = 1; j < N; j++)
		max = Max::of(max, s[j]);
	return max;
}

template <class T> DEVICE void store_result(const Attention &a, const Place &p, int64_t query, int64_t column,
                                            float sum, float y)
{
	if (query < a.y.rows && column < a.y.columns)
		reinterpret_cast<T *>(a.batch.base[0])[p.at[0] + query * a.y.i + column * a.y.j] =
			from_float<T>(sum == 0 ? 0 : y / sum);
}

/* ---- a tile of queries ---------------------------------------------------- */

/* Thread (x, y) of the square has queries y, y + SIDE, ..., of a tile of keys those at x, x + SIDE, ..., and of the
 * result the columns of quads x, x + SIDE, ... */
DEVICE unsigned square_x() { return threadIdx.x % SIDE; }
DEVICE unsigned square_y() { return threadIdx.x / SIDE; }

template <int ROWS> DEVICE void multiply_keys(float (&s)[ROWS][EACH], const Quad *q, const Quad *k)
{
	for (unsigned d = 0; d < DEPTH / QUAD; d++) {
		Quad key[EACH];
		UNROLL
		for (unsigned j = 0; j < EACH; j++)
			key[j] = k[(square_x() + j * SIDE) * PITCH + d];
		UNROLL
		for (unsigned i = 0; i < ROWS; i++) {
			Quad query = q[(square_y() + i * SIDE) * PITCH + d];
			UNROLL
			for (int n = 0; n < EACH * QUAD; n++)
				s[i][n % EACH] = fmaf(query.v[n / EACH], key[n % EACH].v[n / EACH], s[i][n % EACH]);
		}
	}
}

/* The products of the block's queries with KEYS keys, the first at `key`. */
template <class T, int ROWS> DEVICE void tile_scores(const Attention &a, const Place &p, int64_t key,
                                                     float (&s)[ROWS][EACH])
{
	Quad *q = shared_room(), *k = q + KEYS * PITCH;
	for (int64_t d = 0; d < a.q.columns; d += DEPTH) {
		__syncthreads();
		load_tile<T, SIDE * ROWS, DEPTH / EIGHT>(a, a.q, 1, p, p.query, d, q, PITCH);
		load_tile<T, KEYS, DEPTH / EIGHT>(a, a.k, 2, p, key, d, k, PITCH);
		__syncthreads();
		multiply_keys<ROWS>(s, q, k);
	}
	UNROLL
	for (unsigned i = 0; i < ROWS; i++)
		UNROLL
		for (unsigned j = 0; j < EACH; j++)
			s[i][j] = scored(a, p, p.query + square_y() + i * SIDE, key + square_x() + j * SIDE, s[i][j]);
}

/* Scores to weights in shared memory; the result so far is scaled. */
template <int ROWS, int COLUMNS> DEVICE void tile_weights(float (&s)[ROWS][EACH], Seen (&seen)[ROWS],
                                                          float (&y)[ROWS][COLUMNS])
{
	float *weights = shared_room()->v;
	__syncthreads();
	UNROLL
	for (unsigned i = 0; i < ROWS; i++) {
		float shrink = weigh<EACH>(&seen[i], s[i], group_fold<Max>(greatest<EACH>(s[i]), SIDE, nullptr));
		UNROLL
		for (int c = 0; c < COLUMNS; c++)
			y[i][c] *= shrink;
		UNROLL
		for (unsigned j = 0; j < EACH; j++)
			weights[(square_y() + i * SIDE) * WEIGHTS * QUAD + square_x() + j * SIDE] = s[i][j];
	}
}

/* Weights from quad `first` of each row on, times N values. */
template <int ROWS, int COLUMNS, int N> DEVICE void multiply_values(float (&y)[ROWS][COLUMNS], unsigned first)
{
	const Quad *weights = shared_room() + first, *values = shared_room() + VALUES_AT;
	for (unsigned k = 0; k < N / QUAD; k++) {
		Quad w[ROWS];
		UNROLL
		for (unsigned i = 0; i < ROWS; i++)
			w[i] = weights[(square_y() + i * SIDE) * WEIGHTS + k];
		UNROLL
		for (unsigned n = 0; n < QUAD * COLUMNS / QUAD; n++) {
			unsigned e = n / (COLUMNS / QUAD), c = n % (COLUMNS / QUAD);
			Quad v = values[(k * QUAD + e) * (SIDE * COLUMNS / QUAD) + square_x() + c * SIDE];
			UNROLL
			for (unsigned i = 0; i < ROWS * QUAD; i++)
				y[i / QUAD][c * QUAD + i % QUAD] = fmaf(w[i / QUAD].v[e], v.v[i % QUAD],
				                                        y[i / QUAD][c * QUAD + i % QUAD]);
		}
	}
}

template <class T, int ROWS, int COLUMNS> DEVICE void tile_values(const Attention &a, const Place &p, int64_t key,
                                                                  int64_t end, float (&y)[ROWS][COLUMNS])
{
	enum { N = VALUES * QUAD / (SIDE * COLUMNS) };
	for (unsigned k = 0; k < KEYS && key + k < end; k += N) {
		__syncthreads();
		load_tile<T, N, SIDE * COLUMNS / EIGHT>(a, a.v, 3, p, key + k, p.column, shared_room() + VALUES_AT,
		                                     SIDE * COLUMNS / QUAD);
		__syncthreads();
		multiply_values<ROWS, COLUMNS, N>(y, k / QUAD);
	}
}

template <class T, int ROWS, int COLUMNS> KERNEL attend_tile(Attention a)
{
	Place p = {};
	Seen seen[ROWS];
	float y[ROWS][COLUMNS] = {};
	if (!place_at(a, SIDE * ROWS, SIDE * COLUMNS, &p))
		return;
	UNROLL
	for (int i = 0; i < ROWS; i++)
		seen[i] = {Max::none, 0};
	int64_t last = p.query + SIDE * ROWS, end = a.causal && last < a.k.rows ? last : a.k.rows;
	for (int64_t key = 0; key < end; key += KEYS) {
		float s[ROWS][EACH] = {};
		tile_scores<T, ROWS>(a, p, key, s);
		tile_weights<ROWS, COLUMNS>(s, seen, y);
		tile_values<T, ROWS, COLUMNS>(a, p, key, end, y);
	}
	UNROLL
	for (unsigned i = 0; i < ROWS; i++) {
		float sum = group_fold<Sum>(seen[i].sum, SIDE, nullptr);
		UNROLL
		for (unsigned c = 0; c < COLUMNS; c++)
			store_result<T>(a, p, p.query + square_y() + i * SIDE,
			             p.column + (square_x() + c / QUAD * SIDE) * QUAD + c % QUAD, sum, y[i][c]);
	}
}

/* ---- one query ---------------------------------------------------- */

DEVICE unsigned lane() { return threadIdx.x % LANES; }
DEVICE unsigned team() { return threadIdx.x / LANES; }

/* The scores of STEP keys, the same in each thread of the team. */
template <class T> DEVICE void row_scores(const Attention &a, const Place &p, int64_t key, float (&s)[STEP])
{
	for (int64_t d = lane() * EIGHT; d < a.q.columns; d += PIECE) {
		float q[EIGHT], k[EIGHT];
		eight_at<T>(a, a.q, 1, p, p.query, d, q);
		UNROLL
		for (int n = 0; n < STEP; n++) {
			eight_at<T>(a, a.k, 2, p, key + n, d, k);
			UNROLL
			for (int e = 0; e < EIGHT; e++)
				s[n] = fmaf(q[e], k[e], s[n]);
		}
	}
	UNROLL
	for (int n = 0; n < STEP; n++)
		s[n] = scored(a, p, p.query, key + n, group_fold<Sum>(s[n], LANES, nullptr));
}

template <class T, int PIECES> DEVICE void row_values(const Attention &a, const Place &p, int64_t key,
                                                      const float (&w)[STEP], float shrink,
                                                      float (&y)[PIECES][EIGHT])
{
	UNROLL
	for (int c = 0; c < PIECES; c++) {
		UNROLL
		for (int e = 0; e < EIGHT; e++)
			y[c][e] *= shrink;
		UNROLL
		for (int n = 0; n < STEP; n++) {
			float v[EIGHT];
			eight_at<T>(a, a.v, 3, p, key + n, p.column + c * PIECE + lane() * EIGHT, v);
			UNROLL
			for (int e = 0; e < EIGHT; e++)
				y[c][e] = fmaf(w[n], v[e], y[c][e]);
		}
	}
}

/* What the teams have seen, put together: this team's is to be scaled by what is returned. */
DEVICE float join_teams(Seen *seen, float *room)
{
	float *max = room, *sum = room + TEAMS, most = Max::none, all = 0;
	if (lane() == 0)
		max[team()] = seen->max, sum[team()] = seen->sum;
	__syncthreads();
	for (int t = 0; t < TEAMS; t++)
		most = Max::of(most, max[t]);
	float from = most == Max::none ? 0 : most;
	for (int t = 0; t < TEAMS; t++)
		all += sum[t] * expf(max[t] - from);
	seen->sum = all;
	return expf(seen->max - from);
}

template <class T, int PIECES> KERNEL attend_row(Attention a)
{
	Place p = {};
	Seen seen = {Max::none, 0};
	float y[PIECES][EIGHT] = {}, *room = shared_room()->v;
	if (!place_at(a, 1, PIECES * PIECE, &p))
		return;
	int64_t end = a.causal && p.query + 1 < a.k.rows ? p.query + 1 : a.k.rows;
	for (int64_t key = 0; key < end; key += TEAMS * STEP) {
		float s[STEP] = {};
		row_scores<T>(a, p, key + team() * STEP, s);
		float shrink = weigh<STEP>(&seen, s, greatest<STEP>(s));
		row_values<T, PIECES>(a, p, key + team() * STEP, s, shrink, y);
	}
	float scale = join_teams(&seen, room);
	UNROLL
	for (int c = 0; c < PIECES; c++) {
		__syncthreads();
		UNROLL
		for (unsigned e = 0; e < EIGHT; e++)
			room[2 * TEAMS + team() * PIECE + lane() * EIGHT + e] = y[c][e] * scale;
		__syncthreads();
		float sum = 0;
		for (unsigned t = 0; t < TEAMS && threadIdx.x < PIECE; t++)
			sum += room[2 * TEAMS + t * PIECE + threadIdx.x];
		if (threadIdx.x < PIECE)
			store_result<T>(a, p, p.query, p.column + c * PIECE + threadIdx.x, seen.sum, sum);
	}
}

/* ---- launches ---------------------------------------------------- */

/* The stride of an axis counted from the end; 0 where it is not there or has size 1. */
static int64_t step_from_end(const graft_tensor *t, int32_t axis)
{
	return t->rank < axis || t->shape[t->rank - axis] == 1 ? 0 : t->stride[t->rank - axis];
}

static int64_t from_end(const graft_tensor *t, int32_t axis)
{
	return t->rank < axis ? 1 : t->shape[t->rank - axis];
}

static Mat mat_of(const graft_tensor *t)
{
	Mat m = {from_end(t, 2), from_end(t, 1), step_from_end(t, 2), step_from_end(t, 1), 0, 0};
	m.down = m.i == 1;
	return m;
}

/* Does each row of each batch start at a multiple of 16 bytes, its elements side by side? */
static int32_t packed(const Mat &m, const Nest &batch, int32_t t)
{
	return m.j == 1 && m.i * batch.item[t] % 16 == 0 && nest_aligned(&batch, t);
}

static bool shapes_fit(const Attention *a)
{
	return a->k.columns == a->q.columns && a->v.rows == a->k.rows && a->y.rows == a->q.rows &&
	       a->y.columns == a->v.columns &&
	       (!a->masked || ((a->mask.columns == 1 || a->mask.columns == a->k.rows) &&
	                       (a->mask.rows == 1 || a->mask.rows == a->q.rows)));
}

static bool add_batch(Nest *n, const graft_tensor *t)
{
	graft_tensor front = tensor_front(t, t->rank < 2 ? t->rank : 2);
	return nest_add(n, &front);
}

static int launch_attention(const graft_launch *l, Attention a, const Nest &batch, void (*kernel)(Attention),
                            int64_t queries, int64_t columns)
{
	a.blocks = (a.q.rows + queries - 1) / queries;
	a.tiles = (a.v.columns + columns - 1) / columns;
	return nest_launch(batch, [&](const Walk &w) {
		a.batch = w;
		return launch_blocks(l, kernel, w.size * a.blocks * a.tiles, a);
	});
}

template <class T> static int launch_shape(const graft_launch *l, const Attention &a, const Nest &batch)
{
	int64_t n = a.v.columns;
	if (a.q.rows <= FEW)
		return n <= PIECE ? launch_attention(l, a, batch, attend_row<T, 1>, 1, PIECE) :
		       launch_attention(l, a, batch, attend_row<T, 4>, 1, 4 * PIECE);
	return n <= 64 ? launch_attention(l, a, batch, attend_tile<T, 4, 4>, 64, 64) :
	       n <= 128 ? launch_attention(l, a, batch, attend_tile<T, 4, 8>, 64, 128) :
	       n <= 256 ? launch_attention(l, a, batch, attend_tile<T, 4, 16>, 64, 256) :
	       launch_attention(l, a, batch, attend_tile<T, 2, 32>, 32, 512);
}

static int launch_dtype(const graft_launch *l, const Attention &a, const Nest &batch)
{
	switch (l->out[0].dtype) {
	case GRAFT_DTYPE_f32: return launch_shape<float>(l, a, batch);
	case GRAFT_DTYPE_f16: return launch_shape<f16>(l, a, batch);
	default: return launch_shape<bf16>(l, a, batch);
	}
}

static int check_dtypes(const graft_launch *l, const graft_tensor *mask)
{
	int dtype = l->out[0].dtype;
	if (!is_computed(dtype) || (mask && mask->dtype != GRAFT_DTYPE_bool && !is_computed(mask->dtype)))
		return launch_fail(l, GRAFT_E_UNSUPPORTED,
		                   "attention takes f16, bf16 and f32, and a mask that is bool or one of those");
	for (int i = 0; i < 3; i++)
		if (l->in[i].dtype != dtype)
			return launch_fail(l, GRAFT_E_UNSUPPORTED, "attention takes one dtype, not %s and %s",
			                   dtype_name(l->in[i].dtype), dtype_name(dtype));
	return 0;
}

int hip_scaled_dot_product_attention(const graft_launch *l)
{
	int status = launch_check(l, 3, 4, 1, 2);
	const graft_tensor *q = l->in, *k = l->in + 1, *v = l->in + 2, *mask = operand(l, 3), *y = l->out;
	Attention a = {};
	if (status || (status = check_dtypes(l, mask)))
		return status;
	if (q->rank < 2 || k->rank < 2 || v->rank < 2 || y->rank < 2)
		return launch_fail(l, GRAFT_E_USAGE, "attention: q, k, v and the result must have at least two axes");
	a.y = mat_of(y), a.q = mat_of(q), a.k = mat_of(k), a.v = mat_of(v);
	a.masked = mask != nullptr;
	if (mask)
		a.mask = mat_of(mask), a.mask_dtype = mask->dtype;
	a.causal = l->attr[0].i != 0;
	a.scale = static_cast<float>(l->attr[1].given ? l->attr[1].f : 1 / sqrt(static_cast<double>(a.q.columns)));
	graft_tensor front = tensor_front(y, 2);
	Nest batch = nest_over(&front);
	if (!shapes_fit(&a) || !add_batch(&batch, q) || !add_batch(&batch, k) || !add_batch(&batch, v) ||
	    (mask && !add_batch(&batch, mask)))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "attention: q[.., t, d], k[.., s, d], v[.., s, e] and a mask [.., t, s] do not give "
		                   "the result [.., t, e]");
	nest_join(&batch);
	a.q.packed = packed(a.q, batch, 1), a.k.packed = packed(a.k, batch, 2), a.v.packed = packed(a.v, batch, 3);
	return launch_dtype(l, a, batch);
}
