/* softmax.hip - exp(x - max) / sum along one axis, in double for float64; a row of -inf becomes NaN, as torch has it.
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

template <class C> DEVICE C take(const Softmax &s, int64_t row, int64_t i)
{
	return rounded_to(s.round, load<C>(s.x_dtype, s.rows.base[1], row + i * s.x_step));
}

template <class C> KERNEL softmax_rows(Softmax s)
{
	__shared__ C room[BLOCK];
	int64_t row = block_index() * (BLOCK >> s.shift) + (threadIdx.x >> s.shift), at[2] = {};
	unsigned group = 1u << s.shift, first = threadIdx.x & (group - 1);
	int64_t n = row < s.rows.size ? s.n : 0;
	if (n)
		walk_at<2>(s.rows, row, at);
	C max = static_cast<C>(Max::none), sum = 0;
	for (int64_t i = first; i < n; i += group)
		max = Max::of(max, take<C>(s, at[1], i));
	max = group_fold<Max>(max, group, room);
	__syncthreads();
	for (int64_t i = first; i < n; i += group)
		sum += exp_of(take<C>(s, at[1], i) - max);
	sum = group_fold<Sum>(sum, group, room);
	for (int64_t i = first; i < n; i += group)
		store_result(s.y_dtype, s.rows.base[0], at[0] + i * s.y_step, exp_of(take<C>(s, at[1], i) - max) / sum);
}

int hip_softmax(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 2);
	const graft_tensor *x = l->in, *y = l->out;
	Lines lines;
	Softmax s = {};
	if (status)
		return status;
	if (!lines_of(&lines, y, x, l->attr[0].i))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "softmax: there is no axis %lld, or operand and result differ in shape",
		                   static_cast<long long>(l->attr[0].i));
	bool f64 = y->dtype == GRAFT_DTYPE_f64;
	if (!f64 && !is_computed(y->dtype))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "softmax gives f16, bf16, f32 or f64, not %s",
		                   dtype_name(y->dtype));
	s.y_dtype = y->dtype, s.x_dtype = x->dtype;
	s.round = x->dtype == y->dtype ? static_cast<int32_t>(GRAFT_DTYPE_f32) : y->dtype;
	s.n = lines.n, s.y_step = lines.step[0], s.x_step = lines.step[1];
	s.shift = group_shift(s.n);
	int64_t each = BLOCK >> s.shift;
	return nest_launch(lines.starts, [&](const Walk &w) {
		s.rows = w;
		return launch_blocks(l, f64 ? softmax_rows<double> : softmax_rows<float>, (w.size + each - 1) / each,
		                     s);
	});
}
