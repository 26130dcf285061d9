/* norm.hip - rms_norm, alone and two at once: one kernel, one row function, so that both give the same bits.
 *
 * A row is cut into chunks of 16 bytes, counted in elements whatever their alignment. A group of 8 to 256 threads has
 * a row; thread t has chunks t, t + group, ..., up to K of them, and holds them in registers: x is read once. The sum
 * of squares is the same for every shape of launch: chunk c adds its squares in order into slot c mod SLOTS, and the
 * slots are folded in halves. How many threads share the slots changes who adds, not what is added to what.
 *
 * A launch has blocks for the first norm, then for the second; each norm has its own group size, so a narrow one
 * leaves no thread idle, and a group has one row, so no memory is used twice. Many rows: a warp or less has a row,
 * with no barrier. Few rows: as many threads as there are chunks, for a short way through.
 *
 *   PACKED    rows start at multiples of 16 bytes and hold whole chunks: 16-byte loads and stores; else element by
 *             element
 *   norm_long rows of more than SLOTS chunks, or wide ones that are not packed: x is read twice
 */
#include "kernel.h"

enum { SLOTS = 4096, LEAST_SHIFT = 3, BLOCK_SHIFT = 8, FEW_ROWS = 512 };
static_assert(1 << BLOCK_SHIFT == BLOCK, "a group is a block at most");

struct Norm {
	const char *x, *w;                    /* w NULL: no weight */
	char *y;
	int64_t rows, x_row, y_row;           /* rows; elements from one to the next */
	int64_t x_step, w_step, y_step;       /* elements from one element of a row to the next */
	int64_t n;                            /* elements of a row */
	float eps;
	int32_t early;
	uint32_t shift;                       /* 1 << shift threads share a row */
};

struct Norms { Norm norm[2]; int64_t blocks; };       /* blocks of the first */

/* Chunk c of a row: elements that the row does not have are 0. Packed, the row has it whole. */
template <class T, bool PACKED> DEVICE Chunk row_chunk(const char *row, int64_t c, int64_t n, int64_t step)
{
	enum { LANES = Packed<T>::LANES };
	if constexpr (PACKED) {
		return load_chunk_once(row + c * 16);
	} else {
		Chunk chunk = {};
		UNROLL
		for (int i = 0; i < LANES; i++) {
			int64_t at = c * LANES + i;
			float v = to_float(element<T>(row, (at < n ? at : 0) * step));
			Packed<T>::put(chunk, i, at < n ? v : 0);
		}
		return chunk;
	}
}

template <class T> DEVICE float add_squares(float sum, const Chunk &c)
{
	UNROLL
	for (int i = 0; i < Packed<T>::LANES; i++)
		sum = fmaf(Packed<T>::get(c, i), Packed<T>::get(c, i), sum);
	return sum;
}

/* Late: x * r * w, rounded once. Early: x * r rounded, then * w, rounded. */
template <class T> DEVICE float scaled(const Norm &p, float x, float r, float w)
{
	float v = x * r;
	if (p.early)
		v = rounded<T>(v);
	return p.w ? v * w : v;
}

template <class T, bool PACKED> DEVICE void put_chunk(const Norm &p, char *row, int64_t c, const Chunk &x, float r)
{
	enum { LANES = Packed<T>::LANES };
	if constexpr (PACKED) {
		Chunk w = {}, y;
		if (p.w)
			w = load_chunk(p.w + c * 16);
		UNROLL
		for (int i = 0; i < LANES; i++)
			Packed<T>::put(y, i, scaled<T>(p, Packed<T>::get(x, i), r, Packed<T>::get(w, i)));
		store_chunk(row + c * 16, y);
	} else {
		UNROLL
		for (int i = 0; i < LANES; i++) {
			int64_t at = c * LANES + i;
			float w = p.w && at < p.n ? to_float(element<T>(p.w, at * p.w_step)) : 0;
			if (at < p.n)
				reinterpret_cast<T *>(row)[at * p.y_step] =
					from_float<T>(scaled<T>(p, Packed<T>::get(x, i), r, w));
		}
	}
}

/* The factor of a row, from the K sums of each thread of its group. */
template <int K> DEVICE float row_factor(const Norm &p, float *sum, float *room)
{
	UNROLL
	for (int half = K / 2; half > 0; half /= 2)
		UNROLL
		for (int i = 0; i < half; i++)
			sum[i] += sum[i + half];
	return 1.0f / sqrtf(group_fold<Sum>(sum[0], 1u << p.shift, room) / static_cast<float>(p.n) + p.eps);
}

template <class T, int K, bool PACKED> DEVICE void norm_row(const Norm &p, int64_t row, float *room)
{
	uint32_t chunks = static_cast<uint32_t>((p.n + Packed<T>::LANES - 1) / Packed<T>::LANES);
	uint32_t group = 1u << p.shift, first = threadIdx.x & (group - 1), end = row < p.rows ? chunks : 0;
	const char *x = p.x + row * p.x_row * static_cast<int64_t>(sizeof(T));
	char *y = p.y + row * p.y_row * static_cast<int64_t>(sizeof(T));
	Chunk chunk[K] = {};
	float sum[K];
	UNROLL
	for (uint32_t i = 0; i < K; i++)
		if (first + i * group < end)
			chunk[i] = row_chunk<T, PACKED>(x, first + i * group, p.n, p.x_step);
	UNROLL
	for (uint32_t i = 0; i < K; i++)
		sum[i] = add_squares<T>(0, chunk[i]);
	float r = row_factor<K>(p, sum, room);
	UNROLL
	for (uint32_t i = 0; i < K; i++)
		stay_packed(&chunk[i]);
	UNROLL
	for (uint32_t i = 0; i < K; i++)
		if (first + i * group < end)
			put_chunk<T, PACKED>(p, y, first + i * group, chunk[i], r);
}

/* The norm and the row that this thread works on; the row may be past the last. */
DEVICE int64_t my_row(const Norms &two, int *which)
{
	int64_t block = block_index();
	*which = block >= two.blocks;
	uint32_t shift = two.norm[*which].shift;
	return (block - (*which ? two.blocks : 0)) * (BLOCK >> shift) + (threadIdx.x >> shift);
}

template <class T, int K, bool PACKED> KERNEL norm_rows(Norms two)
{
	__shared__ float room[BLOCK];
	int which;
	int64_t row = my_row(two, &which);
	if (which)
		norm_row<T, K, PACKED>(two.norm[1], row, room);
	else
		norm_row<T, K, PACKED>(two.norm[0], row, room);
}

/* A row to a block; its slots are spread over the block as those of norm_row with K = SLOTS / BLOCK. */
template <class T> KERNEL norm_long(Norms two)
{
	enum { K = SLOTS / BLOCK, LANES = Packed<T>::LANES };
	__shared__ float room[BLOCK];
	int which;
	int64_t row = my_row(two, &which);
	const Norm &p = two.norm[which];
	int64_t chunks = row < p.rows ? (p.n + LANES - 1) / LANES : 0;
	const char *x = p.x + row * p.x_row * static_cast<int64_t>(sizeof(T));
	char *y = p.y + row * p.y_row * static_cast<int64_t>(sizeof(T));
	float sum[K] = {};
	for (int64_t c = threadIdx.x; c < chunks; c += SLOTS)
		UNROLL
		for (int i = 0; i < K; i++)
			sum[i] = add_squares<T>(sum[i], row_chunk<T, false>(x, c + i * BLOCK, p.n, p.x_step));
	float r = row_factor<K>(p, sum, room);
	for (int64_t c = threadIdx.x; c < chunks; c += BLOCK)
		put_chunk<T, false>(p, y, c, row_chunk<T, false>(x, c, p.n, p.x_step), r);
}

/* ---- the shape of a launch ---------------------------------------------------- */

static bool multiple_of_16(const void *p, int64_t row, int64_t size)
{
	return reinterpret_cast<uintptr_t>(p) % 16 == 0 && row * size % 16 == 0;
}

static bool packed(const Norm &p, int64_t size)
{
	return p.x_step == 1 && p.y_step == 1 && p.n * size % 16 == 0 && multiple_of_16(p.x, p.x_row, size) &&
	       multiple_of_16(p.y, p.y_row, size) && (!p.w || (p.w_step == 1 && multiple_of_16(p.w, 0, size)));
}

static int64_t power_of_two(int64_t least, int64_t n)
{
	while (least < n)
		least *= 2;
	return least;
}

/* Groups that hold all chunks with k each; returns the blocks there are. */
static int64_t share_out(Norms *two, const int64_t *chunks, int64_t k)
{
	int64_t blocks[2];
	for (int i = 0; i < 2; i++) {
		Norm *p = &two->norm[i];
		p->shift = LEAST_SHIFT;
		while ((k << p->shift) < chunks[i])
			p->shift++;
		int64_t rows = BLOCK >> p->shift;
		blocks[i] = (p->rows + rows - 1) / rows;
	}
	two->blocks = blocks[0];
	return blocks[0] + blocks[1];
}

template <class T> static int launch_long(const graft_launch *l, Norms *two)
{
	two->norm[0].shift = two->norm[1].shift = BLOCK_SHIFT;
	two->blocks = two->norm[0].rows;
	return launch_blocks(l, norm_long<T>, two->norm[0].rows + two->norm[1].rows, *two);
}

template <class T> static int launch_norms(const graft_launch *l, Norms *two)
{
	int64_t lanes = Packed<T>::LANES, chunks[2], most = 1, rows = two->norm[0].rows + two->norm[1].rows;
	bool pack = true;
	for (int i = 0; i < 2; i++) {
		const Norm &p = two->norm[i];
		chunks[i] = p.rows ? (p.n + lanes - 1) / lanes : 0;
		most = chunks[i] > most ? chunks[i] : most;
		pack = pack && (p.rows == 0 || packed(p, sizeof(T)));
	}
	int64_t k = power_of_two(1, (most + BLOCK - 1) / BLOCK), warps = power_of_two(1, (most + 31) / 32);
	if (rows > FEW_ROWS && k < 8)
		k = warps < 8 ? warps : 8;
	if (k > 16 || (!pack && k > 8))
		return launch_long<T>(l, two);
	if (!pack)
		return launch_blocks(l, norm_rows<T, 8, false>, share_out(two, chunks, 8), *two);
	int64_t blocks = share_out(two, chunks, k);
	switch (k) {
	case 1: return launch_blocks(l, norm_rows<T, 1, true>, blocks, *two);
	case 2: return launch_blocks(l, norm_rows<T, 2, true>, blocks, *two);
	case 4: return launch_blocks(l, norm_rows<T, 4, true>, blocks, *two);
	case 8: return launch_blocks(l, norm_rows<T, 8, true>, blocks, *two);
	default: return launch_blocks(l, norm_rows<T, 16, true>, blocks, *two);
	}
}

static int launch_dtype(const graft_launch *l, Norms two)
{
	switch (l->in[0].dtype) {
	case GRAFT_DTYPE_f32: return launch_norms<float>(l, &two);
	case GRAFT_DTYPE_f16: return launch_norms<f16>(l, &two);
	default: return launch_norms<bf16>(l, &two);
	}
}

/* ---- operands ---------------------------------------------------- */

/* One norm as it was given: its rows may lie on several axes. */
struct Given { Norm norm; Nest rows; };

static int given(const graft_launch *l, Given *g, int x_at, int w_at, int y_at, double eps, bool early)
{
	const graft_tensor *x = &l->in[x_at], *w = operand(l, w_at), *y = &l->out[y_at];
	int32_t last = x->rank - 1;
	if (!is_computed(x->dtype) || x->dtype != l->in[0].dtype || y->dtype != x->dtype || (w && w->dtype != x->dtype))
		return launch_fail(l, GRAFT_E_UNSUPPORTED,
		                   "rms_norm takes one dtype of f16, bf16 and f32, not %s and %s", dtype_name(x->dtype),
		                   dtype_name(w ? w->dtype : y->dtype));
	if (last < 0 || !same_shape(x, y))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "rms_norm: operand and result must have one shape of at least one axis");
	if (w && (w->rank != 1 || w->shape[0] != x->shape[last]))
		return launch_fail(l, GRAFT_E_USAGE, "rms_norm: the weight must have one axis of %lld elements",
		                   static_cast<long long>(x->shape[last]));
	graft_tensor front = tensor_front(y, 1);
	g->rows = nest_over(&front);
	front = tensor_front(x, 1);
	nest_add(&g->rows, &front);
	nest_join(&g->rows);
	g->norm = {};
	g->norm.x = static_cast<char *>(x->data);
	g->norm.y = static_cast<char *>(y->data);
	g->norm.w = w ? static_cast<char *>(w->data) : nullptr;
	g->norm.n = x->shape[last];
	g->norm.rows = g->norm.n ? g->rows.size : 0;
	g->norm.x_step = x->stride[last];
	g->norm.y_step = y->stride[last];
	g->norm.w_step = w ? w->stride[0] : 0;
	if (g->norm.n == 1)
		g->norm.x_step = g->norm.y_step = g->norm.w_step = 1;
	g->norm.eps = static_cast<float>(eps);
	g->norm.early = early;
	if (g->rows.rank == 1) {
		g->norm.y_row = g->rows.stride[0][0];
		g->norm.x_row = g->rows.stride[0][1];
	}
	return 0;
}

/* Rows on several axes: one launch for each run of rows at one distance. */
static int launch_runs(const graft_launch *l, const Given *g)
{
	int32_t last = g->rows.rank - 1;
	Norms two = {};
	if (g->norm.rows == 0)
		return 0;
	two.norm[0] = g->norm;
	two.norm[0].rows = g->rows.shape[last];
	two.norm[0].y_row = g->rows.stride[last][0];
	two.norm[0].x_row = g->rows.stride[last][1];
	return nest_runs(g->rows, [&](char *const *base) {
		two.norm[0].y = base[0];
		two.norm[0].x = base[1];
		return launch_dtype(l, two);
	});
}

int hip_rms_norm(const graft_launch *l)
{
	int status = launch_check(l, 1, 2, 1, 2);
	Given g = {};
	Norms two = {};
	if (status || (status = given(l, &g, 0, 1, 0, l->attr[0].f, l->attr[1].i == 1)))
		return status;
	if (g.rows.rank > 1)
		return launch_runs(l, &g);
	two.norm[0] = g.norm;
	return launch_dtype(l, two);
}

int hip_fused_mla_dual_rms_norm(const graft_launch *l)
{
	int status = launch_check(l, 4, 4, 2, 3);
	bool early = !status && l->attr[2].i == 1;
	Given q, kv;
	if (status || (status = given(l, &q, 0, 1, 0, l->attr[0].f, early)) ||
	    (status = given(l, &kv, 2, 3, 1, l->attr[1].f, early)))
		return status;
	if (q.rows.rank > 1 || kv.rows.rank > 1) {
		status = q.rows.rank > 1 ? launch_runs(l, &q) : launch_dtype(l, {{q.norm, {}}, 0});
		return status ? status : kv.rows.rank > 1 ? launch_runs(l, &kv) : launch_dtype(l, {{kv.norm, {}}, 0});
	}
	return launch_dtype(l, {{q.norm, kv.norm}, 0});
}
