/* copy.c - clone, concat, copy_, reshape: elements moved, cast where the dtypes differ. */
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
