/* reduce.hip - sum and mean over any set of axes; float64 adds up in double, other floats in float32, integers modulo
 * 2^64.
 *
 *   reduce_rows     a group of threads has one result, thread t the elements t, t + group, ...
 *   reduce_columns  a thread has one result, neighbours have neighbours
 *
 * A thread empties its sum into a second one every FLUSH elements, so that the error grows with the root of their
 * number at most. The order of additions depends on shape and strides alone.
 */
#include "kernel.h"

enum { FLUSH = 64 };

struct Reduce {
	Walk kept, gone;                      /* y, x; x from the first element that is summed */
	int32_t y_dtype, x_dtype;
	int32_t round;                        /* the dtype an operand takes before it is summed; f32: none */
	int32_t mean;
	uint32_t shift;                       /* 1 << shift threads have one result */
};

template <class C> DEVICE C take(const Reduce &r, int64_t from, int64_t i)
{
	int64_t at;
	walk_at<1>(r.gone, i, &at);
	return rounded_to(r.round, load<C>(r.x_dtype, r.gone.base[0], from + at));
}

/* Elements first, first + step, ... of the result whose elements begin at `from`. One loop, not two: clang 19 lets
 * threads that have left an inner loop by the same condition as the outer one go round once more. */
template <class C> DEVICE C partial_sum(const Reduce &r, int64_t from, int64_t first, int64_t step)
{
	C total = 0, part = 0;
	int k = 0;
	for (int64_t i = first; i < r.gone.size; i += step) {
		part = Sum::of(part, take<C>(r, from, i));
		if (++k == FLUSH) {
			total = Sum::of(total, part);
			part = 0;
			k = 0;
		}
	}
	return Sum::of(total, part);
}

template <class C> DEVICE void finish(const Reduce &r, int64_t at, C sum)
{
	store_result(r.y_dtype, r.kept.base[0], at, r.mean ? sum / static_cast<C>(r.gone.size) : sum);
}

template <class C> KERNEL reduce_rows(Reduce r)
{
	__shared__ C room[BLOCK];
	int64_t row = block_index() * (BLOCK >> r.shift) + (threadIdx.x >> r.shift), at[2] = {};
	unsigned group = 1u << r.shift, first = threadIdx.x & (group - 1);
	C sum = 0;
	if (row < r.kept.size) {
		walk_at<2>(r.kept, row, at);
		sum = partial_sum<C>(r, at[1], first, group);
	}
	sum = group_fold<Sum>(sum, group, room);
	if (row < r.kept.size && first == 0)
		finish<C>(r, at[0], sum);
}

template <class C> KERNEL reduce_columns(Reduce r)
{
	int64_t i = thread_index(), at[2];
	if (i >= r.kept.size)
		return;
	walk_at<2>(r.kept, i, at);
	finish<C>(r, at[0], partial_sum<C>(r, at[1], 0, 1));
}

/* Which axes of x go; false when the list names one that is not there. */
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

bool reduce_nests(Nest *kept, Nest *gone, const graft_tensor *y, const graft_tensor *x, const graft_attr *axes,
                  bool keepdim)
{
	graft_tensor y_first = tensor_front(y, y->rank), x_first = tensor_front(x, x->rank);
	bool goes[GRAFT_MAX_RANK];
	int32_t at = 0;
	if (!reduced_axes(axes, x->rank, goes))
		return false;
	*kept = nest_over(&y_first);
	nest_add(kept, &x_first);
	*gone = nest_over(&x_first);
	for (int32_t i = 0; i < x->rank; i++) {
		int64_t size = goes[i] ? 1 : x->shape[i];
		if (goes[i])
			nest_axis(gone, x->shape[i], &x->stride[i]);
		if (goes[i] && !keepdim)
			continue;
		if (at == y->rank || y->shape[at] != size)
			return false;
		const int64_t strides[] = {y->stride[at++], goes[i] ? 0 : x->stride[i]};
		nest_axis(kept, size, strides);
	}
	nest_join(kept);
	nest_join(gone);
	return at == y->rank;
}

static int64_t inner_stride(const Nest *n, int tensor)
{
	int64_t s = n->rank ? n->stride[n->rank - 1][tensor] : INT64_MAX;
	return s < 0 ? -s : s;
}

/* Few results leave most threads without one, unless each of them is short. */
bool reduce_by_columns(const Nest *kept, const Nest *gone)
{
	return inner_stride(kept, 1) < inner_stride(gone, 0) && (kept->size >= 1 << 14 || gone->size <= 128);
}

template <class C> static int launch_reduce(const graft_launch *l, const Reduce &r, bool columns)
{
	int64_t rows = BLOCK >> r.shift;
	if (columns)
		return launch_threads(l, reduce_columns<C>, r.kept.size, r);
	return launch_blocks(l, reduce_rows<C>, (r.kept.size + rows - 1) / rows, r);
}

static int reduce(const graft_launch *l, bool mean)
{
	int status = launch_check(l, 1, 1, 1, 3);
	const graft_tensor *x = &l->in[0], *y = &l->out[0];
	Nest kept, gone;
	Reduce r = {};
	if (status)
		return status;
	bool f64 = y->dtype == GRAFT_DTYPE_f64;
	if (!f64 && !is_computed(y->dtype) && (mean || !is_integer(y->dtype)))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "%s does not give %s here", mean ? "mean" : "sum",
		                   dtype_name(y->dtype));
	if (!reduce_nests(&kept, &gone, y, x, &l->attr[0], l->attr[1].i != 0))
		return launch_fail(l, GRAFT_E_USAGE, "the result does not have the shape of the axes that are kept");
	if (gone.rank > WALK_AXES)
		return launch_fail(l, GRAFT_E_UNSUPPORTED,
		                   "a sum over %d axes apart from each other; at most %d are taken",
		                   static_cast<int>(gone.rank), WALK_AXES);
	r.gone = nest_walk(&gone);
	r.y_dtype = y->dtype, r.x_dtype = x->dtype, r.mean = mean;
	r.round = x->dtype == y->dtype ? static_cast<int32_t>(GRAFT_DTYPE_f32) : y->dtype;
	r.shift = group_shift(gone.size);
	bool columns = reduce_by_columns(&kept, &gone);
	return nest_launch(kept, [&](const Walk &w) {
		Reduce some = r;
		some.kept = w;
		some.gone.base[0] = w.base[1];
		return is_integer(y->dtype) ? launch_reduce<int64_t>(l, some, columns) :
		       f64 ? launch_reduce<double>(l, some, columns) : launch_reduce<float>(l, some, columns);
	});
}

int hip_sum(const graft_launch *l) { return reduce(l, false); }
int hip_mean(const graft_launch *l) { return reduce(l, true); }
