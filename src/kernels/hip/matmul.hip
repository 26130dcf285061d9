/* matmul.hip - linear and matmul: through the host's BLAS where there is one and it can read the operands where they
 * lie, else a tile of the result to a block.
 *
 * A bias goes into the result first and the product is added to it, so that there is one rounding more only where the
 * BLAS is used.
 */
#include "kernel.h"
#include <math.h>

enum { TILE = 64, DEPTH = 16, EACH = 4, SIDE = TILE / EACH };         /* a thread has EACH x EACH results, SIDE apart */

struct Mat { char *data; int64_t i, j; };                             /* strides of rows and columns */

struct Product {
	Walk batch;                           /* c, a, b */
	int64_t m, n, k;
	Mat a, b, c;                          /* data: unused, the batch's */
	const char *bias;                     /* n numbers, or NULL */
	int64_t bias_step;
	int64_t tiles_m, tiles_n;
	int32_t dtype;                        /* of all */
};

DEVICE float add_product(float sum, float a, float b) { return fmaf(a, b, sum); }
DEVICE int64_t add_product(int64_t sum, int64_t a, int64_t b)
{
	return static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

/* Rows i0 .. of m, columns j0 ..: TILE x DEPTH, stored by columns; what is outside is 0. Neighbouring threads read
 * along the nearer axis. */
template <class C> DEVICE void load_tile(C (*tile)[TILE + 1], int dtype, const char *base, int64_t at, const Mat &m,
                                         int64_t i0, int64_t rows, int64_t j0, int64_t cols)
{
	bool down = m.i == 1;
	for (unsigned t = threadIdx.x; t < TILE * DEPTH; t += BLOCK) {
		unsigned i = down ? t % TILE : t / DEPTH, j = down ? t / TILE : t % DEPTH;
		bool inside = i0 + i < rows && j0 + j < cols;
		tile[j][i] = inside ? load<C>(dtype, base, at + (i0 + i) * m.i + (j0 + j) * m.j) : 0;
	}
}

template <class C> DEVICE void multiply_tiles(C sum[EACH][EACH], C (*a)[TILE + 1], C (*b)[TILE + 1])
{
	unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
	for (int k = 0; k < DEPTH; k++)
		UNROLL
		for (unsigned i = 0; i < EACH; i++)
			UNROLL
			for (unsigned j = 0; j < EACH; j++)
				sum[i][j] = add_product(sum[i][j], a[k][y + i * SIDE], b[k][x + j * SIDE]);
}

template <class C> KERNEL multiply(Product p)
{
	__shared__ C a[DEPTH][TILE + 1], b[DEPTH][TILE + 1];
	int64_t block = block_index(), tile = block % (p.tiles_m * p.tiles_n), at[3];
	int64_t i0 = tile / p.tiles_n * TILE, j0 = tile % p.tiles_n * TILE;
	unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
	C sum[EACH][EACH] = {};
	if (block / (p.tiles_m * p.tiles_n) >= p.batch.size)
		return;
	walk_at<3>(p.batch, block / (p.tiles_m * p.tiles_n), at);
	const Mat b_rows = {nullptr, p.b.j, p.b.i};
	for (int i = 0; i < EACH; i++)
		for (int j = 0; j < EACH; j++)
			if (p.bias && j0 + x + j * SIDE < p.n)
				sum[i][j] = load<C>(p.dtype, p.bias, (j0 + x + j * SIDE) * p.bias_step);
	for (int64_t k = 0; k < p.k; k += DEPTH) {
		__syncthreads();
		load_tile<C>(a, p.dtype, p.batch.base[1], at[1], p.a, i0, p.m, k, p.k);
		load_tile<C>(b, p.dtype, p.batch.base[2], at[2], b_rows, j0, p.n, k, p.k);
		__syncthreads();
		multiply_tiles<C>(sum, a, b);
	}
	for (int i = 0; i < EACH; i++)
		for (int j = 0; j < EACH; j++)
			if (i0 + y + i * SIDE < p.m && j0 + x + j * SIDE < p.n)
				store<C>(p.dtype, p.batch.base[0],
				         at[0] + (i0 + y + i * SIDE) * p.c.i + (j0 + x + j * SIDE) * p.c.j, sum[i][j]);
}

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
	p->tiles_m = (p->m + TILE - 1) / TILE;
	p->tiles_n = (p->n + TILE - 1) / TILE;
	return nest_launch(*batch, [&](const Walk &w) {
		p->batch = w;
		return launch_blocks(l, is_integer(p->dtype) ? multiply<int64_t> : multiply<float>,
		                     w.size * p->tiles_m * p->tiles_n, *p);
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
