/* softmax.hip - exp(x - max) / sum along one axis; a row of -inf becomes NaN, as torch has it.
 *
 * A group of threads has a row and reads it three times: maximum, sum, result; it stays in the caches. NaN is passed
 * over by the maximum and comes back in the sum.
 */
#include "kernel.h"

struct Softmax {
	Walk rows;                            /* y, x */
	int32_t y_dtype, x_dtype;
	int32_t round;                        /* the half precision an operand takes first; f32: none */
	uint32_t shift;                       /* 1 << shift threads have a row */
	int64_t n, y_step, x_step;            /* the axis: size, strides */
};

KERNEL softmax_rows(Softmax s)
{
	__shared__ float room[BLOCK];
	int64_t row = block_index() * (BLOCK >> s.shift) + (threadIdx.x >> s.shift), at[2] = {};
	unsigned group = 1u << s.shift, first = threadIdx.x & (group - 1);
	int64_t n = row < s.rows.size ? s.n : 0;
	if (n)
		walk_at<2>(s.rows, row, at);
	float max = Max::none, sum = 0;
	for (int64_t i = first; i < n; i += group)
		max = Max::of(max, rounded_to(s.round, load<float>(s.x_dtype, s.rows.base[1], at[1] + i * s.x_step)));
	max = group_fold<Max>(max, group, room);
	__syncthreads();
	for (int64_t i = first; i < n; i += group)
		sum += expf(rounded_to(s.round, load<float>(s.x_dtype, s.rows.base[1], at[1] + i * s.x_step)) - max);
	sum = group_fold<Sum>(sum, group, room);
	for (int64_t i = first; i < n; i += group) {
		float x = rounded_to(s.round, load<float>(s.x_dtype, s.rows.base[1], at[1] + i * s.x_step));
		store<float>(s.y_dtype, s.rows.base[0], at[0] + i * s.y_step, expf(x - max) / sum);
	}
}

int hip_softmax(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 2);
	const graft_tensor *x = l->in, *y = l->out;
	Softmax s = {};
	if (status)
		return status;
	if (!same_shape(x, y) || (x->rank > 0 && (l->attr[0].i < 0 || l->attr[0].i >= x->rank)))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "softmax: there is no axis %lld, or operand and result differ in shape",
		                   static_cast<long long>(l->attr[0].i));
	if (!is_computed(y->dtype))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "softmax gives f16, bf16 or f32 here, not %s",
		                   dtype_name(y->dtype));
	s.y_dtype = y->dtype, s.x_dtype = x->dtype;
	s.round = x->dtype == y->dtype ? GRAFT_DTYPE_f32 : y->dtype;
	s.n = 1;
	graft_tensor one = tensor_front(y, y->rank);
	Nest rows = nest_over(&one);
	one = tensor_front(x, x->rank);
	nest_add(&rows, &one);
	for (int32_t i = 0; i < x->rank; i++) {
		const int64_t strides[] = {y->stride[i], x->stride[i]};
		if (i == l->attr[0].i)
			s.n = x->shape[i], s.y_step = y->stride[i], s.x_step = x->stride[i];
		else
			nest_axis(&rows, x->shape[i], strides);
	}
	nest_join(&rows);
	for (s.shift = 3; s.shift < 8 && (8 << s.shift) < s.n;)
		s.shift++;
	int64_t each = BLOCK >> s.shift;
	return nest_launch(rows, [&](const Walk &w) {
		s.rows = w;
		return launch_blocks(l, softmax_rows, (w.size + each - 1) / each, s);
	});
}
