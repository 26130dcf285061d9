/* copy.hip - clone, concat, copy_, reshape: elements moved, cast where the dtypes differ; and what else makes y of
 * pieces of x.
 *
 * Elements of one dtype are moved as bytes, in the largest pieces of 1 to 16 that lie right on both sides; float32 and
 * half precision are cast 8 at a time where they lie side by side.
 */
#include "kernel.h"

/* Elements lie by index: the two sides may have different axes. */
struct Move {
	Walk y, x;
	int32_t y_dtype, x_dtype;
};

template <class Piece> KERNEL move_pieces(Walk w)
{
	int64_t i = thread_index(), at[2];
	if (i >= w.size)
		return;
	walk_at<2>(w, i, at);
	reinterpret_cast<Piece *>(w.base[0])[at[0]] = reinterpret_cast<const Piece *>(w.base[1])[at[1]];
}

KERNEL move_chunks(Walk w)
{
	int64_t i = thread_index(), at[2];
	if (i >= w.size)
		return;
	walk_at<2>(w, i, at);
	store_chunk(w.base[0] + at[0] * w.item[0], load_chunk(w.base[1] + at[1] * w.item[1]));
}

KERNEL convert_elements(Walk w, int32_t to, int32_t from)
{
	int64_t i = thread_index(), at[2];
	if (i >= w.size)
		return;
	walk_at<2>(w, i, at);
	convert(to, w.base[0], at[0], from, w.base[1], at[1]);
}

enum { CAST = 8 };                            /* elements: one chunk of half precision, two of float32 */

template <class To, class From> KERNEL cast_packed(Walk w)
{
	enum { IN = Packed<From>::LANES, OUT = Packed<To>::LANES };
	int64_t i = thread_index(), at[2];
	Chunk in[CAST / IN], out[CAST / OUT];
	if (i >= w.size)
		return;
	walk_at<2>(w, i, at);
	UNROLL
	for (int k = 0; k < CAST / IN; k++)
		in[k] = load_chunk(w.base[1] + at[1] * w.item[1] + 16 * k);
	UNROLL
	for (int k = 0; k < CAST; k++)
		Packed<To>::put(out[k / OUT], k % OUT, Packed<From>::get(in[k / IN], k % IN));
	UNROLL
	for (int k = 0; k < CAST / OUT; k++)
		store_chunk(w.base[0] + at[0] * w.item[0] + 16 * k, out[k]);
}

KERNEL convert_by_index(Move m)
{
	int64_t i = thread_index(), to, from;
	if (i >= m.y.size)
		return;
	walk_at<1>(m.y, i, &to);
	walk_at<1>(m.x, i, &from);
	convert(m.y_dtype, m.y.base[0], to, m.x_dtype, m.x.base[0], from);
}

static int move_walk(const graft_launch *l, Walk w)
{
	unsigned splat;
	if (w.item[0] < 16 && w.stride[w.rank - 1][1] != 0 && walk_pack(&w, 16 / w.item[0], &splat))
		return launch_threads(l, move_chunks, w.size, w);
	switch (w.item[0]) {
	case 1: return launch_threads(l, move_pieces<uint8_t>, w.size, w);
	case 2: return launch_threads(l, move_pieces<uint16_t>, w.size, w);
	case 4: return launch_threads(l, move_pieces<uint32_t>, w.size, w);
	default: return launch_threads(l, move_pieces<uint64_t>, w.size, w);
	}
}

static int convert_walk(const graft_launch *l, const Walk &w, int to, int from)
{
	unsigned splat = 0;
	Walk packed = w;
	if (!is_computed(to) || !is_computed(from) || w.stride[w.rank - 1][1] == 0 || !walk_pack(&packed, CAST, &splat))
		return launch_threads(l, convert_elements, w.size, w, to, from);
	if (from == GRAFT_DTYPE_f32)
		return launch_threads(l, to == GRAFT_DTYPE_f16 ? cast_packed<f16, float> : cast_packed<bf16, float>,
		                      packed.size, packed);
	if (to == GRAFT_DTYPE_f32)
		return launch_threads(l, from == GRAFT_DTYPE_f16 ? cast_packed<float, f16> : cast_packed<float, bf16>,
		                      packed.size, packed);
	return launch_threads(l, to == GRAFT_DTYPE_f16 ? cast_packed<f16, bf16> : cast_packed<bf16, f16>, packed.size,
	                      packed);
}

int tensor_convert(const graft_launch *l, const graft_tensor *y, const graft_tensor *x)
{
	Nest nest = nest_over(y);
	if (!nest_add(&nest, x))
		return launch_fail(l, GRAFT_E_USAGE, "an operand of rank %d does not broadcast to the result",
		                   static_cast<int>(x->rank));
	nest_join(&nest);
	return nest_launch(nest, [&](const Walk &w) {
		return x->dtype == y->dtype ? move_walk(l, w) : convert_walk(l, w, y->dtype, x->dtype);
	});
}

int hip_clone(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 0);
	return status ? status : tensor_convert(l, &l->out[0], &l->in[0]);
}

int hip_contiguous(const graft_launch *l) { return hip_clone(l); }

int hip_copy(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	return status ? status : tensor_convert(l, &l->out[0], &l->in[1]);
}

/* The plan has seen to it that the source is not in the storage that is written. */
int hip_copy_(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	return status ? status : tensor_convert(l, &l->in[0], &l->in[1]);
}

/* Does x fit into y along axis, from start on, and is it as y on every other axis? */
static bool part_fits(const graft_tensor *y, const graft_tensor *x, int64_t axis, int64_t start)
{
	if (x->rank != y->rank)
		return false;
	for (int32_t i = 0; i < x->rank; i++)
		if (i == axis ? x->shape[i] > y->shape[i] - start : x->shape[i] != y->shape[i])
			return false;
	return true;
}

int hip_concat(const graft_launch *l)
{
	int status = launch_check(l, 1, INT32_MAX, 1, 1);
	int64_t axis, start = 0;
	if (status)
		return status;
	axis = l->attr[0].i;
	if (axis < 0 || axis >= l->out[0].rank)
		return launch_fail(l, GRAFT_E_USAGE, "concat: there is no axis %lld in rank %d",
		                   static_cast<long long>(axis), static_cast<int>(l->out[0].rank));
	for (int i = 0; i < l->n_in && !status; i++) {
		const graft_tensor *x = &l->in[i];
		graft_tensor part = l->out[0];
		if (tensor_size(x) == 0)
			continue;
		if (!part_fits(&part, x, axis, start))
			return launch_fail(l, GRAFT_E_USAGE, "concat: operand %d does not fit into the result", i);
		part.shape = x->shape;
		part.data = static_cast<char *>(part.data) + start * part.stride[axis] * item_size(part.dtype);
		start += x->shape[axis];
		status = tensor_convert(l, &part, x);
	}
	return status;
}

static void dense_strides(const int64_t *shape, int32_t rank, int64_t *stride)
{
	int64_t n = 1;
	for (int32_t i = rank; i-- > 0; n *= shape[i])
		stride[i] = n;
}

/* Gaps on both sides: each element is looked up on each. */
static int reshape_by_index(const graft_launch *l, const graft_tensor *y, const graft_tensor *x)
{
	Nest to = nest_over(y), from = nest_over(x);
	nest_join(&to);
	nest_join(&from);
	if (to.size == 0)
		return 0;
	if (to.rank > WALK_AXES || from.rank > WALK_AXES)
		return launch_fail(l, GRAFT_E_UNSUPPORTED,
		                   "reshape: more than %d axes that are not dense on both sides", WALK_AXES);
	Move m = {nest_walk(&to), nest_walk(&from), y->dtype, x->dtype};
	return launch_threads(l, convert_by_index, to.size, m);
}

/* One side without gaps takes the other's shape. */
int hip_reshape(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 0);
	int64_t stride[GRAFT_MAX_RANK];
	graft_tensor x, y;
	if (status)
		return status;
	x = l->in[0];
	y = l->out[0];
	if (tensor_size(&x) != tensor_size(&y))
		return launch_fail(l, GRAFT_E_USAGE, "reshape: %lld elements do not become %lld",
		                   static_cast<long long>(tensor_size(&x)), static_cast<long long>(tensor_size(&y)));
	if (tensor_dense(&y)) {
		dense_strides(x.shape, x.rank, stride);
		y.shape = x.shape, y.stride = stride, y.rank = x.rank;
	} else if (tensor_dense(&x)) {
		dense_strides(y.shape, y.rank, stride);
		x.shape = y.shape, x.stride = stride, x.rank = y.rank;
	} else if (!same_shape(&x, &y)) {
		return reshape_by_index(l, &y, &x);
	}
	return tensor_convert(l, &y, &x);
}

/* ---- pieces ---------------------------------------------------- */

/* Where an end of a slice lies: from the back when negative, clamped. */
static int64_t slice_end(int64_t i, int64_t size)
{
	if (i < 0)
		i = i < -size ? 0 : i + size;
	return i > size ? size : i;
}

int hip_slice_scatter(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 4);
	if (status)
		return status;
	const graft_tensor *y = l->out, *src = l->in + 1;
	graft_tensor part = *y;
	int64_t axis = l->attr[0].i, step = l->attr[3].i, stride[GRAFT_MAX_RANK];
	if (axis < 0 || axis >= y->rank || src->rank != y->rank || step < 1)
		return launch_fail(l, GRAFT_E_USAGE,
		                   "slice_scatter: there is no axis %lld, or src has another rank",
		                   static_cast<long long>(axis));
	int64_t start = slice_end(l->attr[1].i, y->shape[axis]), n = src->shape[axis];
	if (n > 0 && (start >= y->shape[axis] || n - 1 > (y->shape[axis] - 1 - start) / step))
		return launch_fail(l, GRAFT_E_USAGE, "slice_scatter: src does not fit into x");
	for (int32_t i = 0; i < y->rank; i++)
		stride[i] = y->stride[i];
	if (n > 0)
		part.data = static_cast<char *>(part.data) + start * stride[axis] * item_size(y->dtype);
	stride[axis] *= n > 1 ? step : 1;
	part.stride = stride, part.shape = src->shape;
	status = tensor_convert(l, y, &l->in[0]);
	return status || tensor_size(&part) == 0 ? status : tensor_convert(l, &part, src);
}

/* Each axis of y is two: which time, and the axis of x. Axes of size 1 are left out. */
int hip_repeat(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 1);
	if (status || tensor_size(l->out) == 0)
		return status;
	const graft_tensor *x = l->in, *y = l->out;
	graft_tensor y_first = tensor_front(y, y->rank), x_first = tensor_front(x, x->rank);
	Nest nest = nest_over(&y_first);
	nest_add(&nest, &x_first);
	int32_t added = y->rank - x->rank;
	for (int32_t i = 0; i < y->rank; i++) {
		int64_t size = i < added ? 1 : x->shape[i - added], times = size ? y->shape[i] / size : 0;
		if (added < 0 || times * size != y->shape[i])
			return launch_fail(l, GRAFT_E_USAGE, "repeat: the result is not a multiple of x");
		const int64_t whole[] = {size * y->stride[i], 0};
		const int64_t one[] = {y->stride[i], size != 1 ? x->stride[i - added] : 0};
		if (times != 1)
			nest_axis(&nest, times, whole);
		if (size != 1)
			nest_axis(&nest, size, one);
	}
	nest_join(&nest);
	return nest_launch(nest, [&](const Walk &w) {
		return x->dtype == y->dtype ? move_walk(l, w) : convert_walk(l, w, y->dtype, x->dtype);
	});
}

struct Triangle {
	Walk batch;                           /* y, x: where a matrix begins */
	int64_t rows, columns, diagonal;
	int64_t y_row, y_column, x_row, x_column;
	int32_t lower;
};

KERNEL triangle_elements(Triangle t)
{
	int64_t i = thread_index(), row = i / t.columns % t.rows, column = i % t.columns, at[2];
	if (i >= t.batch.size * t.rows * t.columns)
		return;
	walk_at<2>(t.batch, i / t.columns / t.rows, at);
	char *y = t.batch.base[0] + (at[0] + row * t.y_row + column * t.y_column) * t.batch.item[0];
	const char *x = t.batch.base[1] + (at[1] + row * t.x_row + column * t.x_column) * t.batch.item[0];
	const uint64_t zero = 0;
	if (t.lower ? column - row <= t.diagonal : column - row >= t.diagonal)
		move_item(t.batch.item[0], y, x);
	else
		move_item(t.batch.item[0], y, &zero);
}

static int triangle(const graft_launch *l, bool lower)
{
	int status = launch_check(l, 1, 1, 1, 1);
	if (status)
		return status;
	const graft_tensor *x = l->in, *y = l->out;
	if (x->rank < 2 || !same_shape(x, y) || x->dtype != y->dtype)
		return launch_fail(l, GRAFT_E_USAGE, "a triangle needs two axes, and a result of the type of x");
	if (tensor_size(y) == 0)
		return 0;
	const int64_t *y_stride = y->stride + y->rank - 2, *x_stride = x->stride + x->rank - 2;
	Triangle t = {{}, y->shape[y->rank - 2], y->shape[y->rank - 1], l->attr[0].i, y_stride[0], y_stride[1],
	              x_stride[0], x_stride[1], lower};
	graft_tensor front = tensor_front(y, 2), x_front = tensor_front(x, 2);
	Nest batch = nest_over(&front);
	nest_add(&batch, &x_front);
	nest_join(&batch);
	return nest_launch(batch, [&](const Walk &w) {
		t.batch = w;
		return launch_threads(l, triangle_elements, w.size * t.rows * t.columns, t);
	});
}

int hip_tril(const graft_launch *l) { return triangle(l, true); }
int hip_triu(const graft_launch *l) { return triangle(l, false); }
