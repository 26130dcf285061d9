/* matmul.hip - linear, matmul and grouped_matmul: through the host's BLAS where there is one and it can read the
 * operands where they lie, else a tile of the result to a block.
 *
 * A bias goes into the result first and the product is added to it, so that there is one rounding more only where the
 * BLAS is used.
 *
 * Where a group of rows ends is known on the device alone, so that nobody can be told of ends that are wrong: one below
 * those before it counts as the greatest of them, one beyond the rows as their number, and no two groups share a row.
 */
#include "kernel.h"
#include <math.h>

enum : int { TILE = 64, DEPTH = 32, EACH = 4, SIDE = TILE / EACH };   /* a thread has EACH x EACH results, SIDE apart */
static_assert(SIDE * SIDE == BLOCK && TILE * DEPTH == BLOCK * EIGHT, "each thread loads eight");

struct Mat { char *data; int64_t i, j; };                             /* strides of rows and columns */

struct Product {
	Walk batch;                           /* c, a, b */
	int64_t m, n, k;
	Mat a, b, c;                          /* data: unused, the batch's */
	const char *bias;                     /* n numbers, or NULL */
	int64_t bias_step;
	int64_t tiles_m, tiles_n;
	int32_t dtype;                        /* of all */
	int32_t packed[3];                    /* c: unused; a, b: 16 bytes at a time along the nearer axis */
};

/* How numbers are read, summed and written: those of half precision and float32 in float, integers in int64_t. */
template <class T> struct Number {
	typedef float sum;
	static __device__ float get(int, const char *base, int64_t i) { return to_float(element<T>(base, i)); }
	static __device__ void set(int, char *base, int64_t i, float v)
	{
		reinterpret_cast<T *>(base)[i] = from_float<T>(v);
	}
};
template <> struct Number<int64_t> {
	typedef int64_t sum;
	static __device__ int64_t get(int dtype, const char *base, int64_t i) { return load<int64_t>(dtype, base, i); }
	static __device__ void set(int dtype, char *base, int64_t i, int64_t v) { store<int64_t>(dtype, base, i, v); }
};

DEVICE float add_product(float sum, float a, float b) { return fmaf(a, b, sum); }
DEVICE int64_t add_product(int64_t sum, int64_t a, int64_t b)
{
	return static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

/* Two tiles in shared memory, by depth: the rows or columns of one thread lie side by side. A piece more in each line
 * keeps threads that write down a tile at different banks. */
template <class C> struct Piece { alignas(EACH * sizeof(C)) C v[EACH]; };
template <class C> struct Tile { Piece<C> line[DEPTH][SIDE + 1]; };

template <class C> DEVICE Tile<C> *shared_tiles()
{
	__shared__ Tile<C> tiles[2];
	return tiles;
}

/* Of a tile, row i at depth k. */
template <class C> DEVICE C *item_of(Tile<C> *tile, unsigned i, unsigned k)
{
	return &tile->line[k][i % SIDE].v[i / SIDE];
}

/* Where a tile is loaded from: its first element, what there is from there on, strides. */
struct Source { const char *base; int64_t at, rows, depth; Mat m; };

/* Neighbouring threads read along the nearer axis; what is outside is 0. */
template <class T, class C> DEVICE void load_items(Tile<C> *tile, int dtype, const Source &s)
{
	for (unsigned t = threadIdx.x; t < TILE * DEPTH; t += BLOCK) {
		unsigned i = s.m.i == 1 ? t % TILE : t / DEPTH, k = s.m.i == 1 ? t / TILE : t % DEPTH;
		bool inside = i < s.rows && k < s.depth;
		*item_of(tile, i, k) = inside ? Number<T>::get(dtype, s.base, s.at + i * s.m.i + k * s.m.j) : 0;
	}
}

/* A thread loads eight along the nearer axis; its neighbour has the next row, or where rows are nearer, the next eight:
 * so they write to different banks. */
template <class T> DEVICE void load_eights(Tile<float> *tile, const Source &s)
{
	bool down = s.m.i == 1;
	unsigned t = threadIdx.x, i = down ? t % (TILE / EIGHT) * EIGHT : t % TILE,
		k = down ? t / (TILE / EIGHT) : t / TILE * EIGHT;
	int64_t left = i < s.rows && k < s.depth ? down ? s.rows - i : s.depth - k : 0;
	int64_t at = left ? s.at + i * s.m.i + k * s.m.j : 0;
	float v[EIGHT];
	load_eight(reinterpret_cast<const T *>(s.base) + at, 1, left, true, v);
	UNROLL
	for (unsigned e = 0; e < EIGHT; e++)
		*item_of(tile, down ? i + e : i, down ? k : k + e) = v[e];
}

template <class T, class C> DEVICE void load_tile(Tile<C> *tile, int dtype, const Source &s, bool packed)
{
	if constexpr (sizeof(C) == sizeof(float)) {
		if (packed)
			return load_eights<T>(tile, s);
	}
	load_items<T>(tile, dtype, s);
}

template <class C> DEVICE void multiply_tiles(C (&sum)[EACH][EACH], const Tile<C> *a, const Tile<C> *b)
{
	unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
	for (int k = 0; k < DEPTH; k++) {
		Piece<C> left = a->line[k][y], right = b->line[k][x];
		UNROLL
		for (int i = 0; i < EACH; i++)
			UNROLL
			for (int j = 0; j < EACH; j++)
				sum[i][j] = add_product(sum[i][j], left.v[i], right.v[j]);
	}
}

/* Adds a product of depth k to rows i0 .. of m, columns j0 ..; every thread of the block must come here. */
template <class T, class C> DEVICE void add_products(C (&sum)[EACH][EACH], const Product &p, int64_t at_a, int64_t at_b,
                                                     int64_t i0, int64_t m, int64_t j0, int64_t depth)
{
	Tile<C> *a = shared_tiles<C>(), *b = a + 1;
	const Mat b_rows = {nullptr, p.b.j, p.b.i};
	for (int64_t k = 0; k < depth; k += DEPTH) {
		int64_t a_first = at_a + i0 * p.a.i + k * p.a.j, b_first = at_b + j0 * p.b.j + k * p.b.i;
		__syncthreads();
		load_tile<T>(a, p.dtype, {p.batch.base[1], a_first, m - i0, depth - k, p.a}, p.packed[1]);
		load_tile<T>(b, p.dtype, {p.batch.base[2], b_first, p.n - j0, depth - k, b_rows}, p.packed[2]);
		__syncthreads();
		multiply_tiles<C>(sum, a, b);
	}
}

template <class T, class C> DEVICE void store_sums(const C (&sum)[EACH][EACH], const Product &p, int64_t at, int64_t i0,
                                                   int64_t m, int64_t j0)
{
	unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
	UNROLL
	for (int i = 0; i < EACH; i++)
		UNROLL
		for (int j = 0; j < EACH; j++) {
			int64_t row = i0 + y + i * SIDE, column = j0 + x + j * SIDE;
			if (row < m && column < p.n)
				Number<T>::set(p.dtype, p.batch.base[0], at + row * p.c.i + column * p.c.j, sum[i][j]);
		}
}

template <class T> KERNEL multiply(Product p)
{
	typedef typename Number<T>::sum C;
	int64_t block = block_index(), tile = block % (p.tiles_m * p.tiles_n), at[3];
	int64_t i0 = tile / p.tiles_n * TILE, j0 = tile % p.tiles_n * TILE;
	unsigned x = threadIdx.x % SIDE;
	C sum[EACH][EACH] = {};
	if (block / (p.tiles_m * p.tiles_n) >= p.batch.size)
		return;
	walk_at<3>(p.batch, block / (p.tiles_m * p.tiles_n), at);
	UNROLL
	for (int j = 0; j < EACH; j++) {
		C bias = 0;
		if (p.bias && j0 + x + j * SIDE < p.n)
			bias = Number<T>::get(p.dtype, p.bias, (j0 + x + j * SIDE) * p.bias_step);
		UNROLL
		for (int i = 0; i < EACH; i++)
			sum[i][j] = bias;
	}
	add_products<T>(sum, p, at[1], at[2], i0, p.m, j0, p.k);
	store_sums<T>(sum, p, at[0], i0, p.m, j0);
}

/* ---- groups of rows ---------------------------------------------------- */

struct Groups {
	Product p;                            /* c, a, b[0] */
	const char *ends;
	int32_t ends_dtype;
	int64_t ends_step, b_step, n;         /* n groups; the rows behind them are one more */
};

/* A tile of rows: of which group, its first row, and where the group ends. */
struct Part { int64_t group, row, end; };

/* The tile with this number, counted group by group; *part gets it from one thread, and nothing when there is none.
 * Every thread of the block must come here, and meet the others before it reads *part. */
DEVICE void find_part(const Groups &g, int64_t tile, int64_t (&room)[BLOCK / 32], Part *part)
{
	int64_t last = 0, tiles = 0, most, sum;
	for (int64_t first = 0; first <= g.n; first += BLOCK) {
		int64_t k = first + threadIdx.x, end = g.p.m;
		if (k < g.n)
			end = load<int64_t>(g.ends_dtype, g.ends, k * g.ends_step);
		end = end < 0 ? 0 : end > g.p.m ? g.p.m : end;
		int64_t begin = Max::of(last, block_before<Max>(end, room, &most));
		end = Max::of(begin, end);
		int64_t own = (end - begin + TILE - 1) / TILE, at = tiles + block_before<Sum>(own, room, &sum);
		if (tile >= at && tile < at + own)
			*part = {k, begin + (tile - at) * TILE, end};
		last = Max::of(last, most);
		tiles += sum;
	}
}

template <class T> KERNEL multiply_groups(Groups g)
{
	typedef typename Number<T>::sum C;
	__shared__ int64_t room[BLOCK / 32];
	__shared__ Part part;
	int64_t j0 = block_index() % g.p.tiles_n * TILE;
	C sum[EACH][EACH] = {};
	if (threadIdx.x == 0)
		part = {0, 0, 0};
	find_part(g, block_index() / g.p.tiles_n, room, &part);
	__syncthreads();
	if (part.row >= part.end)
		return;
	add_products<T>(sum, g.p, 0, part.group * g.b_step, part.row, part.end, j0, part.group < g.n ? g.p.k : 0);
	store_sums<T>(sum, g.p, 0, part.row, part.end, j0);
}

#define KERNEL_OF(kernel, dtype)                                                                        \
	((dtype) == GRAFT_DTYPE_f32 ? kernel<float> : (dtype) == GRAFT_DTYPE_f16 ? kernel<f16> :        \
	 (dtype) == GRAFT_DTYPE_bf16 ? kernel<bf16> : kernel<int64_t>)

/* ---- the host's BLAS ---------------------------------------------------- */

/* Can a BLAS read it as it is? The stride of an axis of size 1, which means nothing, is made one it accepts. */
static bool lies_well(Mat *m, int64_t rows, int64_t cols)
{
	if (cols == 1)
		m->j = 1;
	if (rows == 1)
		m->i = m->j == 1 ? cols : 1;
	return (m->j == 1 && m->i >= cols) || (m->i == 1 && m->j >= rows);
}

static graft_gemm gemm_of(const graft_launch *l, const Product *p, const Nest *batch)
{
	graft_gemm g = {};
	int32_t last = batch->rank - 1;
	g.struct_size = sizeof g;
	g.dtype = p->dtype;
	g.m = p->m, g.n = p->n, g.k = p->k;
	g.batch = last < 0 ? 1 : batch->shape[last];
	g.a_i = p->a.i, g.a_k = p->a.j, g.b_k = p->b.i, g.b_j = p->b.j, g.c_i = p->c.i, g.c_j = p->c.j;
	if (last >= 0)
		g.c_batch = batch->stride[last][0], g.a_batch = batch->stride[last][1],
		g.b_batch = batch->stride[last][2];
	g.accumulate = p->bias != nullptr;
	g.stream = l->stream;
	return g;
}

/* The product by the host's BLAS; false when there is none or it does not do this one. */
static bool gemm(const graft_launch *l, Product p, const Nest *batch, const graft_tensor *bias, int *status)
{
	const graft_host *host = l->host;
	*status = 0;
	if (!host || !host->gemm || !is_computed(p.dtype) || p.k == 0 || !lies_well(&p.a, p.m, p.k) ||
	    !lies_well(&p.b, p.k, p.n) || !lies_well(&p.c, p.m, p.n) || p.c.j != 1 || p.c.i < p.n)
		return false;
	if (bias && (*status = tensor_convert(l, &l->out[0], bias)))
		return true;
	graft_gemm g = gemm_of(l, &p, batch);
	return !nest_runs(*batch, [&](char *const *base) {
		g.c = base[0], g.a = base[1], g.b = base[2];
		return host->gemm(host->self, &g);
	});
}

/* ---- operands ---------------------------------------------------- */

/* Where batches share b and their rows follow one another, they are one product with more rows. */
static void fold_batch(Product *p, Nest *batch)
{
	while (batch->rank) {
		const int64_t *stride = batch->stride[batch->rank - 1];
		if (stride[2] != 0 || (p->m != 1 && (stride[0] != p->m * p->c.i || stride[1] != p->m * p->a.i)))
			return;
		if (p->m == 1)
			p->c.i = stride[0], p->a.i = stride[1];
		batch->rank--;
		p->m *= batch->shape[batch->rank];
		batch->size /= batch->shape[batch->rank];
	}
}

/* Do pieces of 16 bytes along the nearer axis of operand t lie at multiples of 16 in every batch? */
static int32_t packed(const Nest &batch, int t, const Mat &m)
{
	int64_t far = m.i == 1 ? m.j : m.i;
	return (m.i == 1 || m.j == 1) && far * batch.item[t] % 16 == 0 && nest_aligned(&batch, t);
}

static int product_run(const graft_launch *l, Product *p, Nest *batch, const graft_tensor *bias)
{
	int status;
	p->dtype = l->out[0].dtype;
	for (int i = 0; i < l->n_in; i++)
		if (operand(l, i) && l->in[i].dtype != p->dtype)
			return launch_fail(l, GRAFT_E_UNSUPPORTED, "a matrix product takes one dtype, not %s and %s",
			                   dtype_name(l->in[i].dtype), dtype_name(p->dtype));
	if (!is_computed(p->dtype) && !is_integer(p->dtype))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "a matrix product takes f16, bf16, f32 and integers, not %s",
		                   dtype_name(p->dtype));
	if (p->m == 0 || p->n == 0 || batch->size == 0)
		return 0;
	nest_join(batch);
	fold_batch(p, batch);
	p->bias = bias ? static_cast<const char *>(bias->data) : nullptr;
	p->bias_step = bias ? bias->stride[0] : 0;
	if (gemm(l, *p, batch, bias, &status))
		return status;
	p->packed[1] = packed(*batch, 1, p->a);
	p->packed[2] = packed(*batch, 2, p->b);
	p->tiles_m = (p->m + TILE - 1) / TILE;
	p->tiles_n = (p->n + TILE - 1) / TILE;
	return nest_launch(*batch, [&](const Walk &w) {
		p->batch = w;
		return launch_blocks(l, KERNEL_OF(multiply, p->dtype), w.size * p->tiles_m * p->tiles_n, *p);
	});
}

/* The last two axes of t, or its only one as a row or a column, whose missing axis has size 1 and stride 0. */
static Mat mat_of(const graft_tensor *t, bool row)
{
	if (t->rank >= 2)
		return {nullptr, t->stride[t->rank - 2], t->stride[t->rank - 1]};
	return {nullptr, row ? 0 : t->stride[0], row ? t->stride[0] : 0};
}

int hip_linear(const graft_launch *l)
{
	int status = launch_check(l, 2, 3, 1, 0);
	const graft_tensor *x = l->in, *w = l->in + 1, *y = l->out, *bias = operand(l, 2);
	Product p = {};
	if (status)
		return status;
	if (x->rank < 1 || y->rank != x->rank || w->rank != 2 || x->shape[x->rank - 1] != w->shape[1] ||
	    y->shape[y->rank - 1] != w->shape[0] || (bias && (bias->rank != 1 || bias->shape[0] != w->shape[0])))
		return launch_fail(l, GRAFT_E_USAGE, "linear: x[.., k], w[n, k] and b[n] do not fit together");
	p.m = 1, p.n = w->shape[0], p.k = w->shape[1];
	p.a = {nullptr, 0, x->stride[x->rank - 1]};
	p.b = {nullptr, w->stride[1], w->stride[0]};
	p.c = {nullptr, 0, y->stride[y->rank - 1]};
	graft_tensor front = tensor_front(y, 1), x_front = tensor_front(x, 1), whole = tensor_front(w, 2);
	Nest batch = nest_over(&front);
	if (!nest_add(&batch, &x_front) || !nest_add(&batch, &whole))
		return launch_fail(l, GRAFT_E_USAGE, "linear: the result must have the leading axes of x");
	return product_run(l, &p, &batch, bias);
}

/* c has the batch axes, then m unless a is a vector, then n unless b is one. */
int hip_matmul(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	if (status)
		return status;
	const graft_tensor *a = l->in, *b = l->in + 1, *c = l->out;
	int32_t a_vector = a->rank == 1, b_vector = b->rank == 1, own = 2 - a_vector - b_vector;
	Product p = {};
	if (a->rank < 1 || b->rank < 1 || c->rank < own)
		return launch_fail(l, GRAFT_E_USAGE, "matmul: operands of rank %d and %d do not give rank %d",
		                   static_cast<int>(a->rank), static_cast<int>(b->rank), static_cast<int>(c->rank));
	p.a = mat_of(a, true);
	p.b = mat_of(b, false);
	p.c = {nullptr, a_vector ? 0 : c->stride[c->rank - own], b_vector ? 0 : c->stride[c->rank - 1]};
	p.m = a_vector ? 1 : a->shape[a->rank - 2];
	p.k = a->shape[a->rank - 1];
	p.n = b_vector ? 1 : b->shape[b->rank - 1];
	if (p.k != b->shape[b_vector ? 0 : b->rank - 2] || (!a_vector && c->shape[c->rank - own] != p.m) ||
	    (!b_vector && c->shape[c->rank - 1] != p.n))
		return launch_fail(l, GRAFT_E_USAGE, "matmul: a[.., m, k] and b[.., k, n] do not give the result");
	graft_tensor front = tensor_front(c, own);
	Nest batch = nest_over(&front);
	front = tensor_front(a, a_vector ? 1 : 2);
	bool fit = nest_add(&batch, &front);
	front = tensor_front(b, b_vector ? 1 : 2);
	if (!fit || !nest_add(&batch, &front))
		return launch_fail(l, GRAFT_E_USAGE, "matmul: the batch axes do not broadcast to the result's");
	return product_run(l, &p, &batch, nullptr);
}

int hip_grouped_matmul(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 0);
	if (status)
		return status;
	const graft_tensor *a = l->in, *b = l->in + 1, *ends = l->in + 2, *y = l->out;
	if (a->rank != 2 || b->rank != 3 || ends->rank != 1 || y->rank != 2 || !is_integer(ends->dtype) ||
	    b->shape[0] != ends->shape[0] || b->shape[1] != a->shape[1] || y->shape[0] != a->shape[0] ||
	    y->shape[1] != b->shape[2])
		return launch_fail(l, GRAFT_E_USAGE,
		                   "grouped_matmul: a[m, k], b[g, k, n] and offs[g] do not give the result");
	if (a->dtype != y->dtype || b->dtype != y->dtype || (!is_computed(y->dtype) && !is_integer(y->dtype)))
		return launch_fail(l, GRAFT_E_UNSUPPORTED,
		                   "grouped_matmul takes one dtype, f16, bf16, f32 or an integer, not %s and %s",
		                   dtype_name(a->dtype), dtype_name(b->dtype));
	graft_tensor first[3] = {tensor_front(y, 2), tensor_front(a, 2), tensor_front(b, 3)};
	Nest one = nest_over(&first[0]);
	nest_add(&one, &first[1]);
	nest_add(&one, &first[2]);
	Groups g = {};
	g.p.batch = nest_walk(&one);
	g.p.m = a->shape[0], g.p.n = b->shape[2], g.p.k = a->shape[1], g.p.dtype = y->dtype;
	g.p.a = mat_of(a, true), g.p.b = mat_of(b, true), g.p.c = mat_of(y, true);
	g.ends = static_cast<const char *>(ends->data), g.ends_dtype = ends->dtype;
	g.ends_step = ends->stride[0], g.b_step = b->stride[0], g.n = ends->shape[0];
	/* groups begin at any row, so rows that lie side by side begin anywhere */
	g.p.packed[1] = g.p.a.i != 1 && packed(one, 1, g.p.a);
	g.p.packed[2] = packed(one, 2, g.p.b) && g.b_step * one.item[2] % 16 == 0;
	/* each group, and the rows behind them, have a tile that is not full at most */
	g.p.tiles_m = g.p.m / TILE + (g.p.m < g.n + 1 ? g.p.m : g.n + 1);
	g.p.tiles_n = (g.p.n + TILE - 1) / TILE;
	return launch_blocks(l, KERNEL_OF(multiply_groups, y->dtype), g.p.tiles_m * g.p.tiles_n, g);
}
