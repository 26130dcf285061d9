/* create.hip - arange and constant: values from attributes. */
#include "kernel.h"

/* As many values as go into one launch, integers or the bits of doubles. */
enum { VALUES = 256 };
struct Values { int64_t v[VALUES]; };

KERNEL arange_elements(char *y, int32_t dtype, int64_t n, int64_t stride, int64_t start, int64_t step)
{
	int64_t i = thread_index();
	if (i < n)
		store<int64_t>(dtype, y, i * stride, static_cast<int64_t>(static_cast<uint64_t>(start) +
		                                                          static_cast<uint64_t>(i) *
		                                                          static_cast<uint64_t>(step)));
}

DEVICE void store_bits(int dtype, void *y, int64_t at, int64_t bits)
{
	if (dtype <= GRAFT_DTYPE_i64)
		store<int64_t>(dtype, y, at, bits);
	else
		store<double>(dtype, y, at, __longlong_as_double(bits));
}

KERNEL fill_elements(Walk y, int32_t dtype, int64_t bits)
{
	int64_t i = thread_index(), at;
	if (i >= y.size)
		return;
	walk_at<1>(y, i, &at);
	store_bits(dtype, y.base[0], at, bits);
}

/* Elements first ... first + n - 1. */
KERNEL put_values(Walk y, int32_t dtype, int64_t first, int64_t n, Values values)
{
	int64_t i = thread_index(), at;
	if (i >= n)
		return;
	walk_at<1>(y, first + i, &at);
	store_bits(dtype, y.base[0], at, values.v[i]);
}

int hip_arange(const graft_launch *l)
{
	int status = launch_check(l, 0, 0, 1, 4);
	const graft_tensor *y = l->out;
	if (status)
		return status;
	if (y->rank != 1)
		return launch_fail(l, GRAFT_E_USAGE, "arange: the result must have rank 1, not %d",
		                   static_cast<int>(y->rank));
	return launch_threads(l, arange_elements, y->shape[0], static_cast<char *>(y->data), y->dtype, y->shape[0],
	                      y->stride[0], l->attr[0].i, l->attr[2].i);
}

int hip_constant(const graft_launch *l)
{
	int status = launch_check(l, 0, 0, 1, 3);
	const graft_tensor *y = l->out;
	if (status)
		return status;
	const graft_attr *list = &l->attr[2];
	Nest nest = nest_over(y);
	nest_join(&nest);
	if (nest.size > 0 && list->n != 1 && list->n != nest.size)
		return launch_fail(l, GRAFT_E_USAGE, "constant: %lld values do not fill %lld elements",
		                   static_cast<long long>(list->n), static_cast<long long>(nest.size));
	int64_t next = 0;
	return nest_launch(nest, [&](const Walk &w) {
		if (list->n == 1)
			return launch_threads(l, fill_elements, w.size, w, y->dtype, list->list[0]);
		int bad = 0;
		for (int64_t first = 0; first < w.size && !bad;) {
			Values values = {};
			int64_t n = 0;
			for (; n < VALUES && first + n < w.size; n++)
				values.v[n] = list->list[next++];
			bad = launch_threads(l, put_values, n, w, y->dtype, first, n, values);
			first += n;
		}
		return bad;
	});
}
