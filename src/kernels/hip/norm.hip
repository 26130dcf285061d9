/* norm.hip - rms_norm, alone and two at once: one kernel, one row function, so that both give the same bits.
 *
 * A row is cut into chunks of 16 bytes, counted in elements whatever their alignment. A group of 8 to 256 threads has
 * a row; thread t has chunks t, t + group, ..., up to K of them, and holds them in registers: x is read once, all of
 * it asked for before any of it is used. The sum of squares is the same for every shape of launch: chunk c adds its
 * squares in order into slot c mod SLOTS, and the slots are folded in halves; slots without a chunk are 0 and change
 * nothing. How many threads share the slots changes who adds, not what is added to what.
 *
 * A launch has blocks for the first norm, then for the second; each norm has its own group size, so a narrow one
 * leaves no thread idle, and a group has one row, so no memory is used twice. Many rows: a warp or less has a row,
 * with no barrier. Fewer: groups grow and K falls until there are blocks enough for every compute unit; at last as
 * many threads as there are chunks, for a short way through, with the weight on its way while x is.
 *
 *   PACKED    rows start at multiples of 16 bytes and hold whole chunks: 16-byte loads and stores; else element by
 *             element
 *   norm_long rows of more than SLOTS chunks, or wide ones that are not packed: x is read twice
 */
#include "kernel.h"

/* ENOUGH: blocks that keep a large GPU busy, about four for each compute unit. */
enum { SLOTS = 4096, LEAST_SHIFT = 3, WARP_SHIFT = 5, BLOCK_SHIFT = 8, MOST_EACH = 8, ENOUGH = 512 };
static_assert(1 << BLOCK_SHIFT == BLOCK, "a group is a block at most");

struct Norm {
	const char *x, *w;                    /* w NULL: no weight */
	char *y;
	int64_t rows, x_row, y_row;           /* rows; elements from one to the next */
	int64_t x_step, w_step, y_step;       /* elements from one element of a row to the next */
	int64_t n;                            /* elements of a row */
	float one_nth, eps;                   /* 1 / n */
	uint32_t chunks;                      /* of a row that norm_rows takes */
	uint32_t shift;                       /* 1 << shift threads share a row */
	int32_t early;
};

struct Norms { Norm norm[2]; int64_t blocks; };       /* blocks of the first */

/* Chunk c of a row: elements that the row does not have are 0. Packed, the row has it whole. */
template <class T, bool PACKED, bool ONCE> DEVICE Chunk row_chunk(const char *row, int64_t c, int64_t n, int64_t step)
{
	enum { LANES = Packed<T>::LANES };
	if constexpr (PACKED) {
		return ONCE ? load_chunk_once(row + c * 16) : load_chunk(row + c * 16);
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

/* Chunk c of the weight; of none, ones, which change no bit. */
template <class T, bool PACKED> DEVICE Chunk weight_chunk(const Norm &p, int64_t c)
{
	Chunk ones = {};
	if (p.w)
		return row_chunk<T, PACKED, false>(p.w, c, p.n, p.w_step);
	UNROLL
	for (int i = 0; i < Packed<T>::LANES; i++)
		Packed<T>::put(ones, i, 1);
	return ones;
}

/* Late: x * r * w, rounded once. Early: x * r rounded, then * w, rounded. */
template <class T, bool EARLY> DEVICE Chunk scaled(const Chunk &x, float r, const Chunk &w)
{
	enum { LANES = Packed<T>::LANES };
	float v[LANES];
	Chunk y = {};
	UNROLL
	for (int i = 0; i < LANES; i++)
		v[i] = Packed<T>::get(x, i) * r;
	if (EARLY) {
		UNROLL
		for (int i = 0; i < LANES; i++)
			Packed<T>::put(y, i, v[i]);
		stay_packed(&y);                      /* two conversions are one instruction */
		UNROLL
		for (int i = 0; i < LANES; i++)
			v[i] = Packed<T>::get(y, i);
	}
	UNROLL
	for (int i = 0; i < LANES; i++)
		Packed<T>::put(y, i, v[i] * Packed<T>::get(w, i));
	return y;
}

template <class T, bool PACKED> DEVICE void put_chunk(const Norm &p, char *row, int64_t c, const Chunk &y)
{
	enum { LANES = Packed<T>::LANES };
	if constexpr (PACKED) {
		store_chunk(row + c * 16, y);
	} else {
		UNROLL
		for (int i = 0; i < LANES; i++)
			if (c * LANES + i < p.n)
				reinterpret_cast<T *>(row)[(c * LANES + i) * p.y_step] = Packed<T>::item(y, i);
	}
}

/* The factor of a row, from the K sums of each thread of its group; sums past the last would be 0. */
template <int K> DEVICE float row_factor(const Norm &p, float *sum, float *room)
{
	UNROLL
	for (int half = SLOTS / BLOCK / 2; half > 0; half /= 2)
		UNROLL
		for (int i = 0; i < half; i++)
			if (i + half < K)
				sum[i] += sum[i + half];
	return 1.0f / sqrtf(group_fold<Sum>(sum[0], 1u << p.shift, room) * p.one_nth + p.eps);
}

/* A thread's chunks of a row: at, at + group, ..., below end. */
struct Part { uint32_t at, group, end; };

template <class T, int N, bool PACKED> DEVICE void load_weights(const Norm &p, const Part &part, Chunk *w)
{
	UNROLL
	for (uint32_t i = 0; i < N; i++)
		if (part.at + i * part.group < part.end)
			w[i] = weight_chunk<T, PACKED>(p, part.at + i * part.group);
}

/* N of a thread's chunks, their weights in w. */
template <class T, int N, bool PACKED, bool EARLY> DEVICE void put_chunks(const Norm &p, char *y, const Part &part,
                                                                          const Chunk *x, const Chunk *w, float r)
{
	UNROLL
	for (uint32_t i = 0; i < N; i++)
		if (part.at + i * part.group < part.end)
			put_chunk<T, PACKED>(p, y, part.at + i * part.group, scaled<T, EARLY>(x[i], r, w[i]));
}

/* Weights are asked for EACH at a time, all before the first is used; when that is all of them, along with x. */
template <class T, int K, bool PACKED> DEVICE void norm_row(const Norm &p, int64_t row, float *room)
{
	enum { EACH = K <= 4 ? K : K % 4 ? 3 : 4 };
	uint32_t group = 1u << p.shift;
	Part part = {threadIdx.x & (group - 1), group, row < p.rows ? p.chunks : 0};
	const char *x = p.x + row * p.x_row * static_cast<int64_t>(sizeof(T));
	int64_t y = row * p.y_row * static_cast<int64_t>(sizeof(T));
	Chunk chunk[K] = {}, w[EACH] = {};
	float sum[K];
	UNROLL
	for (uint32_t i = 0; i < K; i++)
		if (part.at + i * group < part.end)
			chunk[i] = row_chunk<T, PACKED, true>(x, part.at + i * group, p.n, p.x_step);
	if (EACH == K)
		load_weights<T, EACH, PACKED>(p, part, w);
	UNROLL
	for (uint32_t i = 0; i < K; i++)
		sum[i] = add_squares<T>(0, chunk[i]);
	stay_known(&y);
	float r = row_factor<K>(p, sum, room);
	UNROLL
	for (uint32_t i = 0; i < K; i++)
		stay_packed(&chunk[i]);
	UNROLL
	for (int from = 0; from < K; from += EACH, part.at += EACH * group) {
		if (EACH < K)
			load_weights<T, EACH, PACKED>(p, part, w);
		if (p.early)
			put_chunks<T, EACH, PACKED, true>(p, p.y + y, part, chunk + from, w, r);
		else
			put_chunks<T, EACH, PACKED, false>(p, p.y + y, part, chunk + from, w, r);
	}
}

/* The norm and the row that this thread works on; the row may be past the last. Each number is chosen from two, so that
 * all of them are on their way at once. */
DEVICE Norm my_norm(const Norms &two, int64_t *row)
{
	int64_t block = block_index();
	bool second = block >= two.blocks;
	const Norm &a = two.norm[0], &b = two.norm[1];
	Norm p = {second ? b.x : a.x, second ? b.w : a.w, second ? b.y : a.y, second ? b.rows : a.rows,
	          second ? b.x_row : a.x_row, second ? b.y_row : a.y_row, second ? b.x_step : a.x_step,
	          second ? b.w_step : a.w_step, second ? b.y_step : a.y_step, second ? b.n : a.n,
	          second ? b.one_nth : a.one_nth, second ? b.eps : a.eps, second ? b.chunks : a.chunks,
	          second ? b.shift : a.shift, second ? b.early : a.early};
	block -= second ? two.blocks : 0;
	*row = (block << (BLOCK_SHIFT - p.shift)) + (threadIdx.x >> p.shift);
	return p;
}

template <class T, int K, bool PACKED> KERNEL norm_rows(Norms two)
{
	__shared__ float room[BLOCK];
	int64_t row;
	Norm p = my_norm(two, &row);
	norm_row<T, K, PACKED>(p, row, room);
}

/* A row to a block; its slots are spread over the block as those of norm_row with K = SLOTS / BLOCK. */
template <class T> KERNEL norm_long(Norms two)
{
	enum { K = SLOTS / BLOCK, LANES = Packed<T>::LANES };
	__shared__ float room[BLOCK];
	int64_t row;
	Norm p = my_norm(two, &row);
	int64_t chunks = row < p.rows ? (p.n + LANES - 1) / LANES : 0;
	const char *x = p.x + row * p.x_row * static_cast<int64_t>(sizeof(T));
	char *y = p.y + row * p.y_row * static_cast<int64_t>(sizeof(T));
	float sum[K] = {};
	for (int64_t c = threadIdx.x; c < chunks; c += SLOTS)
		UNROLL
		for (int i = 0; i < K; i++)
			sum[i] = add_squares<T>(sum[i], row_chunk<T, false, true>(x, c + i * BLOCK, p.n, p.x_step));
	float r = row_factor<K>(p, sum, room);
	for (int64_t c = threadIdx.x; c < chunks; c += BLOCK) {
		Chunk v = row_chunk<T, false, true>(x, c, p.n, p.x_step), w = weight_chunk<T, false>(p, c);
		put_chunk<T, false>(p, y, c, p.early ? scaled<T, true>(v, r, w) : scaled<T, false>(v, r, w));
	}
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

/* Groups that hold all chunks with k each; returns the blocks there are. */
static int64_t share_out(Norms *two, int64_t k)
{
	int64_t blocks[2];
	for (int i = 0; i < 2; i++) {
		Norm *p = &two->norm[i];
		p->shift = LEAST_SHIFT;
		while (k << p->shift < p->chunks && p->shift < BLOCK_SHIFT)
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

template <class T, int K, bool PACKED> static int launch_rows(const graft_launch *l, Norms *two)
{
	int64_t blocks = share_out(two, K);
	return launch_blocks(l, norm_rows<T, K, PACKED>, blocks, *two);
}

template <class T> static int launch_packed(const graft_launch *l, Norms *two, int64_t k)
{
	switch (k) {
	case 1: return launch_rows<T, 1, true>(l, two);
	case 2: return launch_rows<T, 2, true>(l, two);
	case 3: return launch_rows<T, 3, true>(l, two);
	case 4: return launch_rows<T, 4, true>(l, two);
	case 6: return launch_rows<T, 6, true>(l, two);
	case 8: return launch_rows<T, 8, true>(l, two);
	default: return launch_rows<T, 16, true>(l, two);
	}
}

/* The least K that there is a kernel for. */
static int64_t each_of(int64_t chunks, uint32_t shift)
{
	int64_t k = (chunks + (int64_t{1} << shift) - 1) >> shift;
	return k <= 4 ? (k > 1 ? k : 1) : k <= 6 ? 6 : k <= 8 ? 8 : 16;
}

/* Chunks for each thread: as many as a warp's threads would have, fewer while there would not be blocks enough. */
static int64_t each_for(Norms *two, int64_t most)
{
	uint32_t shift = WARP_SHIFT;
	while (shift < BLOCK_SHIFT &&
	       (each_of(most, shift) > MOST_EACH || share_out(two, each_of(most, shift)) < ENOUGH))
		shift++;
	return each_of(most, shift);
}

template <class T> static int launch_norms(const graft_launch *l, Norms *two)
{
	int64_t lanes = Packed<T>::LANES, most = 1;
	bool pack = true;
	for (int i = 0; i < 2; i++) {
		Norm &p = two->norm[i];
		int64_t chunks = p.rows ? (p.n + lanes - 1) / lanes : 0;
		most = chunks > most ? chunks : most;
		pack = pack && (p.rows == 0 || packed(p, sizeof(T)));
		p.chunks = static_cast<uint32_t>(chunks);
	}
	if (most > SLOTS || (!pack && most > MOST_EACH * BLOCK))
		return launch_long<T>(l, two);
	return pack ? launch_packed<T>(l, two, each_for(two, most)) : launch_rows<T, MOST_EACH, false>(l, two);
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
	g->norm.one_nth = static_cast<float>(1 / static_cast<double>(x->shape[last] > 0 ? x->shape[last] : 1));
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
