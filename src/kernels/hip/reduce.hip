/* reduce.hip - sum and mean over any set of axes.
 *
 *   reduce_rows     the summed axes are the inner ones: a group of threads has one result, thread t the elements t, t +
 *                   group, ...
 *   reduce_columns  they are the outer ones: a thread has one result, neighbours have neighbours
 *
 * A thread empties its sum into a second one every FLUSH elements, so that the error grows with the root of their
 * number at most. The order of additions depends on shape and strides alone.
 */
#include "kernel.h"

enum { FLUSH = 64 };

struct Reduce {
	Walk kept, gone;                      /* y, x; x from the first element that is summed */
	int32_t y_dtype, x_dtype;
	int32_t round;                        /* the half precision an operand takes before it is summed; f32: none */
	int32_t mean;
	uint32_t shift;                       /* 1 << shift threads have one result */
};

DEVICE float take(const Reduce &r, int64_t from, int64_t i)
{
	int64_t at;
	walk_at<1>(r.gone, i, &at);
	return rounded_to(r.round, load<float>(r.x_dtype, r.gone.base[0], from + at));
}

/* Elements first, first + step, ... of the result whose elements begin at `from`. One loop, not two: clang 19 lets
 * threads that have left an inner loop by the same condition as the outer one go round once more. */
DEVICE float partial_sum(const Reduce &r, int64_t from, int64_t first, int64_t step)
{
	float total = 0, part = 0;
	int k = 0;
	for (int64_t i = first; i < r.gone.size; i += step) {
		part += take(r, from, i);
		if (++k == FLUSH) {
			total += part;
			part = 0;
			k = 0;
		}
	}
	return total + part;
}

DEVICE void finish(const Reduce &r, int64_t at, float sum)
{
	store<float>(r.y_dtype, r.kept.base[0], at, r.mean ? sum / static_cast<float>(r.gone.size) : sum);
}

KERNEL reduce_rows(Reduce r)
{
	__shared__ float room[BLOCK];
	int64_t row = block_index() * (BLOCK >> r.shift) + (threadIdx.x >> r.shift), at[2] = {};
	unsigned group = 1u << r.shift, first = threadIdx.x & (group - 1);
	float sum = 0;
	if (row < r.kept.size) {
		walk_at<2>(r.kept, row, at);
		sum = partial_sum(r, at[1], first, group);
	}
	sum = group_fold<Sum>(sum, group, room);
	if (row < r.kept.size && first == 0)
		finish(r, at[0], sum);
}

KERNEL reduce_columns(Reduce r)
{
	int64_t i = thread_index(), at[2];
	if (i >= r.kept.size)
		return;
	walk_at<2>(r.kept, i, at);
	finish(r, at[0], partial_sum(r, at[1], 0, 1));
}

KERNEL reduce_integers(Reduce r)
{
	int64_t i = thread_index(), at[2], from;
	uint64_t sum = 0;
	if (i >= r.kept.size)
		return;
	walk_at<2>(r.kept, i, at);
	for (int64_t k = 0; k < r.gone.size; k++) {
		walk_at<1>(r.gone, k, &from);
		sum += static_cast<uint64_t>(load<int64_t>(r.x_dtype, r.gone.base[0], at[1] + from));
	}
	store<int64_t>(r.y_dtype, r.kept.base[0], at[0], static_cast<int64_t>(sum));
}

/* Which axes of x are summed; false when the list names one that is not there. */
static bool reduced_axes(const graft_attr *axes, int32_t rank, bool *gone)
{
	bool all = !axes->given || axes->n == 0;
	for (int32_t i = 0; i < rank; i++)
		gone[i] = all;
	for (int32_t i = 0; !all && i < axes->n; i++) {
		if (axes->list[i] < 0 || axes->list[i] >= rank)
			return false;
		gone[axes->list[i]] = true;
	}
	return true;
}

/* Splits the axes of x into those y keeps and those summed; false when y does not have the shape of what is kept. */
static bool split_axes(Nest *kept, Nest *summed, const graft_tensor *y, const graft_tensor *x, const bool *gone,
                       bool keepdim)
{
	graft_tensor y_first = tensor_front(y, y->rank), x_first = tensor_front(x, x->rank);
	int32_t at = 0;
	*kept = nest_over(&y_first);
	nest_add(kept, &x_first);
	*summed = nest_over(&x_first);
	for (int32_t i = 0; i < x->rank; i++) {
		int64_t size = gone[i] ? 1 : x->shape[i];
		if (gone[i])
			nest_axis(summed, x->shape[i], &x->stride[i]);
		if (gone[i] && !keepdim)
			continue;
		if (at == y->rank || y->shape[at] != size)
			return false;
		const int64_t strides[] = {y->stride[at++], gone[i] ? 0 : x->stride[i]};
		nest_axis(kept, size, strides);
	}
	nest_join(kept);
	nest_join(summed);
	return at == y->rank;
}

static int64_t inner_stride(const Nest *n, int tensor)
{
	int64_t s = n->rank ? n->stride[n->rank - 1][tensor] : INT64_MAX;
	return s < 0 ? -s : s;
}

static int launch_reduce(const graft_launch *l, Reduce r, bool columns)
{
	if (is_integer(r.y_dtype))
		return launch_threads(l, reduce_integers, r.kept.size, r);
	if (columns)
		return launch_threads(l, reduce_columns, r.kept.size, r);
	for (r.shift = 3; r.shift < 8 && (8 << r.shift) < r.gone.size;)
		r.shift++;
	int64_t rows = BLOCK >> r.shift;
	return launch_blocks(l, reduce_rows, (r.kept.size + rows - 1) / rows, r);
}

static int reduce(const graft_launch *l, bool mean)
{
	int status = launch_check(l, 1, 1, 1, 3);
	const graft_tensor *x = &l->in[0], *y = &l->out[0];
	bool gone[GRAFT_MAX_RANK];
	Nest kept, summed;
	Reduce r = {};
	if (status)
		return status;
	if (!is_computed(y->dtype) && (mean || !is_integer(y->dtype)))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "%s gives f16, bf16 or f32 here, not %s",
		                   mean ? "mean" : "sum", dtype_name(y->dtype));
	if (!reduced_axes(&l->attr[0], x->rank, gone) || !split_axes(&kept, &summed, y, x, gone, l->attr[1].i != 0))
		return launch_fail(l, GRAFT_E_USAGE, "the result does not have the shape of the axes that are kept");
	if (summed.rank > WALK_AXES)
		return launch_fail(l, GRAFT_E_UNSUPPORTED,
		                   "a sum over %d axes apart from each other; at most %d are taken",
		                   static_cast<int>(summed.rank), WALK_AXES);
	r.gone = nest_walk(&summed);
	r.y_dtype = y->dtype, r.x_dtype = x->dtype, r.mean = mean;
	r.round = x->dtype == y->dtype ? GRAFT_DTYPE_f32 : y->dtype;
	bool columns = inner_stride(&kept, 1) < inner_stride(&summed, 0);
	return nest_launch(kept, [&](const Walk &w) {
		Reduce some = r;
		some.kept = w;
		some.gone.base[0] = w.base[1];
		return launch_reduce(l, some, columns);
	});
}

int hip_sum(const graft_launch *l) { return reduce(l, false); }
int hip_mean(const graft_launch *l) { return reduce(l, true); }
