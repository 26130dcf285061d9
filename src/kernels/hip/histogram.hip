/* histogram.hip - histc: how many elements lie in each of equal parts of a range.
 *
 * The part is worked out in the dtype of x, step by step, so that elements on a border fall where torch puts them.
 *
 * A block counts the elements of a slice of x in BINS of the bins, as integers. Where there is one slice, its counts
 * are the result. Of several, the counts are added up in the memory of the result, whose elements are then made
 * numbers of its dtype; additions of integers give the same in any order.
 *
 * Nobody can be told that x, whose range is looked for, has elements that are not finite: all counts are NaN then.
 */
#include "kernel.h"

enum { BINS = 1024, SLICE = 1 << 13, MOST_SLICES = 512 };

typedef unsigned long long Count;

struct Histogram {
	Walk x;
	int32_t dtype, y_dtype;
	int32_t open;                         /* the range is that of x */
	double min, max;                      /* else */
	char *y;
	int64_t bins, step;                   /* of y */
	int64_t slices;
};

struct Range { double min, max; bool strange; };

DEVICE double number(const Histogram &h, int64_t i)
{
	int64_t at;
	walk_at<1>(h.x, i, &at);
	return load<double>(h.dtype, h.x.base[0], at);
}

/* v with the precision of x. */
DEVICE double rounded(const Histogram &h, double v)
{
	bool whole = h.dtype <= GRAFT_DTYPE_i64 || h.dtype == GRAFT_DTYPE_f64;
	return whole ? v : static_cast<double>(rounded_to(h.dtype, static_cast<float>(v)));
}

/* Every thread of the block finds it; what is not finite becomes an infinity on its way. */
DEVICE Range range_of_all(const Histogram &h, double *room)
{
	double most = static_cast<double>(Max::none), least = most;
	for (int64_t i = threadIdx.x; i < h.x.size; i += BLOCK) {
		double v = number(h, i);
		v = is_nan(v) ? -static_cast<double>(Max::none) : v;
		most = Max::of(most, v);
		least = Max::of(least, -v);
	}
	most = group_fold<Max>(most, BLOCK, room);
	__syncthreads();
	least = group_fold<Max>(least, BLOCK, room);
	return {-least, most, is_nan(most - most) || is_nan(least - least)};
}

DEVICE Range range_of(const Histogram &h, double *room)
{
	Range r = {rounded(h, h.min), rounded(h, h.max), false};
	if (h.open)
		r = range_of_all(h, room);
	if (r.min == r.max)
		r.min -= 1, r.max += 1;
	return r;
}

/* The bin that has v; -1: none. */
DEVICE int64_t bin_of(const Histogram &h, const Range &r, double v)
{
	double width = rounded(h, r.max - r.min), bins = rounded(h, static_cast<double>(h.bins));
	if (!(v >= r.min && v <= r.max))
		return -1;
	double place = rounded(h, rounded(h, rounded(h, v - r.min) * bins) / width);
	return place < static_cast<double>(h.bins) ? static_cast<int64_t>(place) : h.bins - 1;
}

/* A count, or its part of one. */
DEVICE void give(const Histogram &h, int64_t bin, Count n, bool strange)
{
	if (h.slices == 1 && strange)
		store<double>(h.y_dtype, h.y, bin * h.step, __longlong_as_double(-1));
	else if (h.slices == 1)
		store<int64_t>(h.y_dtype, h.y, bin * h.step, static_cast<int64_t>(n));
	else if (n && (h.y_dtype == GRAFT_DTYPE_i64 || h.y_dtype == GRAFT_DTYPE_f64))
		atomicAdd(reinterpret_cast<Count *>(h.y) + bin * h.step, n);
	else if (n)
		atomicAdd(reinterpret_cast<unsigned *>(h.y) + bin * h.step, static_cast<unsigned>(n));
}

KERNEL count_slice(Histogram h)
{
	__shared__ Count count[BINS];
	__shared__ double room[BLOCK];
	int64_t block = block_index(), first = block / h.slices * BINS, slice = block % h.slices;
	if (first >= h.bins)
		return;
	for (int i = static_cast<int>(threadIdx.x); i < BINS; i += BLOCK)
		count[i] = 0;
	__syncthreads();
	Range r = range_of(h, room);
	for (int64_t i = slice * BLOCK + threadIdx.x; i < h.x.size; i += h.slices * BLOCK) {
		int64_t bin = bin_of(h, r, number(h, i));
		if (bin >= first && bin < first + BINS)
			atomicAdd(&count[bin - first], Count(1));
	}
	__syncthreads();
	for (int i = static_cast<int>(threadIdx.x); i < BINS && first + i < h.bins; i += BLOCK)
		give(h, first + i, count[i], r.strange);
}

KERNEL clear_counts(Histogram h)
{
	int64_t i = thread_index();
	if (i < h.bins)
		store<int64_t>(h.y_dtype, h.y, i * h.step, 0);
}

KERNEL numbers_of_counts(Histogram h)
{
	int64_t i = thread_index();
	if (i >= h.bins)
		return;
	if (h.y_dtype == GRAFT_DTYPE_f64)
		put<double>(h.y, i * h.step, element<Count>(h.y, i * h.step));
	else
		put<float>(h.y, i * h.step, element<uint32_t>(h.y, i * h.step));
}

/* Several slices need counts that fit into the result's elements, and a range that is known. */
static int64_t slices_of(const Histogram &h)
{
	int32_t size = item_size(h.y_dtype);
	int64_t n = h.x.size / SLICE;
	if (h.open || size < 4 || (size == 4 && h.x.size > UINT32_MAX))
		return 1;
	return n < 1 ? 1 : n < MOST_SLICES ? n : int64_t{MOST_SLICES};
}

static int launch_histogram(const graft_launch *l, Histogram h)
{
	int status = 0;
	h.slices = slices_of(h);
	if (h.slices > 1 && (status = launch_threads(l, clear_counts, h.bins, h)))
		return status;
	status = launch_blocks(l, count_slice, (h.bins + BINS - 1) / BINS * h.slices, h);
	return status || h.slices == 1 || is_integer(h.y_dtype) ? status :
	       launch_threads(l, numbers_of_counts, h.bins, h);
}

int hip_histc(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 3);
	if (status)
		return status;
	const graft_tensor *x = l->in, *y = l->out;
	Histogram h = {};
	Nest nest = nest_over(x);
	h.bins = l->attr[0].i;
	if (h.bins < 1 || y->rank != 1 || y->shape[0] != h.bins)
		return launch_fail(l, GRAFT_E_USAGE, "histc: the result must have one axis of %lld bins",
		                   static_cast<long long>(h.bins));
	nest_join(&nest);
	if (nest.rank > WALK_AXES)
		return launch_fail(l, GRAFT_E_UNSUPPORTED,
		                   "histc: x has %d axes that do not lie as one; at most %d are taken",
		                   static_cast<int>(nest.rank), WALK_AXES);
	h.x = nest_walk(&nest);
	h.dtype = x->dtype, h.y_dtype = y->dtype;
	h.open = l->attr[1].f == l->attr[2].f && nest.size > 0;
	h.min = l->attr[1].f, h.max = l->attr[2].f;
	h.y = static_cast<char *>(y->data), h.step = y->stride[0];
	return launch_histogram(l, h);
}
