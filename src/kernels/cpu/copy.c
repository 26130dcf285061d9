/* copy.c - elements moved, cast where the dtypes differ: clone, concat, copy_, reshape, and what else makes y of
 * pieces of x. */
#include "kernel.h"

typedef struct Cast { int to, from; } Cast;

static void cast_run(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Cast *c = arg;
	convert(c->to, at[0], stride[0], c->from, at[1], stride[1], n);
}

int tensor_convert(const graft_launch *l, const graft_tensor *y, const graft_tensor *x)
{
	Cast c = { y->dtype, x->dtype };
	Walk w;
	walk_begin(&w, y);
	if (!walk_add(&w, x))
		return launch_fail(l, GRAFT_E_USAGE, "an operand of rank %d does not broadcast to the result",
		                   (int)x->rank);
	walk_join(&w);
	walk_parallel(l, &w, INT64_MAX, 4, cast_run, &c);
	return 0;
}

int cpu_clone(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 0);
	return status ? status : tensor_convert(l, &l->out[0], &l->in[0]);
}

int cpu_contiguous(const graft_launch *l) { return cpu_clone(l); }

int cpu_copy(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	return status ? status : tensor_convert(l, &l->out[0], &l->in[1]);
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

int cpu_concat(const graft_launch *l)
{
	int status = launch_check(l, 1, INT32_MAX, 1, 1);
	int64_t axis, start = 0;
	if (status)
		return status;
	axis = l->attr[0].i;
	if (axis < 0 || axis >= l->out[0].rank)
		return launch_fail(l, GRAFT_E_USAGE, "concat: there is no axis %lld in rank %d", (long long)axis,
		                   (int)l->out[0].rank);
	for (int i = 0; i < l->n_in && !status; i++) {
		const graft_tensor *x = &l->in[i];
		graft_tensor part = l->out[0];
		if (tensor_size(x) == 0)
			continue;
		if (!part_fits(&part, x, axis, start))
			return launch_fail(l, GRAFT_E_USAGE, "concat: operand %d does not fit into the result", i);
		part.shape = x->shape;
		part.data = (char *)part.data + start * part.stride[axis] * item_size(&part);
		start += x->shape[axis];
		status = tensor_convert(l, &part, x);
	}
	return status;
}

/* First and last byte that a tensor with elements reaches. */
static void extent(const graft_tensor *t, uintptr_t *first, uintptr_t *last)
{
	int64_t low = 0, high = item_size(t) - 1;
	for (int32_t i = 0; i < t->rank; i++) {
		int64_t reach = (t->shape[i] - 1) * t->stride[i] * item_size(t);
		*(reach < 0 ? &low : &high) += reach;
	}
	*first = (uintptr_t)t->data + (uintptr_t)low;
	*last = (uintptr_t)t->data + (uintptr_t)high;
}

static bool overlap(const graft_tensor *a, const graft_tensor *b)
{
	uintptr_t a0, a1, b0, b1;
	if (tensor_size(a) == 0 || tensor_size(b) == 0)
		return false;
	extent(a, &a0, &a1);
	extent(b, &b0, &b1);
	return a0 <= b1 && b0 <= a1;
}

static void dense_strides(const int64_t *shape, int32_t rank, int64_t *stride)
{
	int64_t n = 1;
	for (int32_t i = rank; i-- > 0; n *= shape[i])
		stride[i] = n;
}

/* The source may share memory with what is written (x shifted into itself), so it is read whole first. */
static int copy_through_scratch(const graft_launch *l, const graft_tensor *y, const graft_tensor *x)
{
	int64_t stride[GRAFT_MAX_RANK], n = tensor_size(x);
	graft_tensor room = *x;
	int status;
	dense_strides(x->shape, x->rank, stride);
	room.stride = stride;
	room.data = scratch(l, n, (size_t)item_size(x));
	if (!room.data)
		return no_scratch(l, n, (size_t)item_size(x));
	status = tensor_convert(l, &room, x);
	return status ? status : tensor_convert(l, y, &room);
}

int cpu_copy_(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	const graft_tensor *x = &l->in[0], *src = &l->in[1];
	if (status)
		return status;
	return overlap(x, src) ? copy_through_scratch(l, x, src) : tensor_convert(l, x, src);
}

/* Where the element at a row-major index lies, in elements. */
static int64_t offset_of(const graft_tensor *t, int64_t index)
{
	int64_t offset = 0;
	for (int32_t i = t->rank; i-- > 0; index /= t->shape[i])
		offset += index % t->shape[i] * t->stride[i];
	return offset;
}

static void reshape_piece(void *arg, int64_t begin, int64_t end)
{
	const graft_launch *l = arg;
	const graft_tensor *x = &l->in[0], *y = &l->out[0];
	for (int64_t i = begin; i < end; i++)
		convert(y->dtype, (char *)y->data + offset_of(y, i) * item_size(y), 1,
		        x->dtype, (const char *)x->data + offset_of(x, i) * item_size(x), 1, 1);
}

/* One side without gaps takes the other's shape; with gaps in both, each element is looked up. */
int cpu_reshape(const graft_launch *l)
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
		                   (long long)tensor_size(&x), (long long)tensor_size(&y));
	if (tensor_dense(&y)) {
		dense_strides(x.shape, x.rank, stride);
		y.shape = x.shape, y.stride = stride, y.rank = x.rank;
	} else if (tensor_dense(&x)) {
		dense_strides(y.shape, y.rank, stride);
		x.shape = y.shape, x.stride = stride, x.rank = y.rank;
	} else if (!same_shape(&x, &y)) {
		run_parallel(l, tensor_size(&y), 64, reshape_piece, (void *)(uintptr_t)l);
		return 0;
	}
	return tensor_convert(l, &y, &x);
}

int cpu_slice_scatter(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 4);
	const graft_tensor *y = l->out;
	graft_tensor part = *y;
	int64_t axis, start, stride[GRAFT_MAX_RANK];
	if (status)
		return status;
	axis = l->attr[0].i;
	if (axis < 0 || axis >= y->rank || l->in[1].rank != y->rank || l->attr[3].i < 1)
		return launch_fail(l, GRAFT_E_USAGE, "slice_scatter: there is no axis %lld, or src has another rank",
		                   (long long)axis);
	start = slice_end(l->attr[1].i, y->shape[axis]);
	if (l->in[1].shape[axis] > 0 && start + (l->in[1].shape[axis] - 1) * l->attr[3].i >= y->shape[axis])
		return launch_fail(l, GRAFT_E_USAGE, "slice_scatter: src does not fit into x");
	memcpy(stride, y->stride, (size_t)y->rank * sizeof *stride);
	part.data = (char *)part.data + start * stride[axis] * item_size(y);
	stride[axis] *= l->attr[3].i;
	part.stride = stride, part.shape = l->in[1].shape;
	status = tensor_convert(l, y, &l->in[0]);
	return status || tensor_size(&part) == 0 ? status : tensor_convert(l, &part, &l->in[1]);
}

/* Each axis of y is two: which time, and the axis of x. Axes of size 1 are left out, so that there are never too
 * many. */
int cpu_repeat(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 1);
	const graft_tensor *x = l->in, *y = l->out;
	graft_tensor one;
	Cast c = { y->dtype, x->dtype };
	Walk w;
	if (status || tensor_size(y) == 0)
		return status;
	int32_t added = y->rank - x->rank;
	one = tensor_front(y, y->rank);
	walk_begin(&w, &one);
	one = tensor_front(x, x->rank);
	walk_add(&w, &one);
	for (int32_t i = 0; i < y->rank; i++) {
		int64_t size = i < added ? 1 : x->shape[i - added], times = size ? y->shape[i] / size : 0;
		if (added < 0 || times * size != y->shape[i])
			return launch_fail(l, GRAFT_E_USAGE, "repeat: the result is not a multiple of x");
		if (times != 1)
			walk_axis(&w, times, (const int64_t[]){ size * y->stride[i], 0 });
		if (size != 1)
			walk_axis(&w, size, (const int64_t[]){ y->stride[i], x->stride[i - added] });
	}
	walk_join(&w);
	walk_parallel(l, &w, INT64_MAX, 4, cast_run, &c);
	return 0;
}

typedef struct Triangle { const graft_tensor *x, *y; int64_t rows, columns, diagonal; bool lower; } Triangle;

static void triangle_part(const Triangle *t, int64_t row, int64_t from, int64_t to, bool kept)
{
	static const char zero[8];
	const graft_tensor *x = t->x, *y = t->y;
	int64_t last = x->stride[x->rank - 1];
	graft_tensor front_x = tensor_front(x, 1), front_y = tensor_front(y, 1);
	const char *at = (const char *)x->data + (offset_of(&front_x, row) + from * last) * item_size(x);
	char *to_at = (char *)y->data + (offset_of(&front_y, row) + from * y->stride[y->rank - 1]) * item_size(y);
	if (from < to)
		convert(y->dtype, to_at, y->stride[y->rank - 1], y->dtype, kept ? at : zero, kept ? last : 0,
		        to - from);
}

static void triangle_rows(void *arg, int64_t begin, int64_t end)
{
	const Triangle *t = arg;
	for (int64_t row = begin; row < end; row++) {
		int64_t cut = row % t->rows + t->diagonal + t->lower;
		cut = cut < 0 ? 0 : cut > t->columns ? t->columns : cut;
		triangle_part(t, row, 0, cut, t->lower);
		triangle_part(t, row, cut, t->columns, !t->lower);
	}
}

static int triangle(const graft_launch *l, bool lower)
{
	int status = launch_check(l, 1, 1, 1, 1);
	const graft_tensor *x = l->in, *y = l->out;
	if (status)
		return status;
	if (x->rank < 2 || !same_shape(x, y) || x->dtype != y->dtype)
		return launch_fail(l, GRAFT_E_USAGE, "a triangle needs two axes, and a result of the type of x");
	Triangle t = { x, y, x->shape[x->rank - 2], x->shape[x->rank - 1], l->attr[0].i, lower };
	t.diagonal = t.diagonal > t.columns ? t.columns : t.diagonal < -t.rows - 1 ? -t.rows - 1 : t.diagonal;
	if (tensor_size(y) > 0)
		run_parallel(l, tensor_size(y) / t.columns, 4 * t.columns, triangle_rows, &t);
	return 0;
}

int cpu_tril(const graft_launch *l) { return triangle(l, true); }
int cpu_triu(const graft_launch *l) { return triangle(l, false); }
