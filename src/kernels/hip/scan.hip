/* scan.hip - cumsum: running sums. Floats add up in double and each sum is rounded once; integers add modulo 2^64.
 *
 *   scan_lines   a thread has a line, and adds one after the other
 *   scan_blocks  a block has a line, PIECE elements a thread at a time: each adds up its own, the sums before them are
 *                found in log2(BLOCK) steps, and what the line had so far is added
 *
 * Both orders depend on shape and strides alone. They differ by what double rounds off, which a float32 sum shows in
 * its last place at most, unless it has cancelled.
 */
#include "kernel.h"

enum { PIECE = 8 };

struct Scan {
	Walk lines;                           /* y, x: where lines begin */
	int64_t n, y_step, x_step;            /* the axis: size, strides */
	int32_t dtype;                        /* of both */
};

template <class C> DEVICE C take(const Scan &s, const int64_t *at, int64_t i)
{
	return load<C>(s.dtype, s.lines.base[1], at[1] + i * s.x_step);
}

template <class C> DEVICE void give(const Scan &s, const int64_t *at, int64_t i, C sum)
{
	store<C>(s.dtype, s.lines.base[0], at[0] + i * s.y_step, sum);
}

template <class C> KERNEL scan_lines(Scan s)
{
	int64_t line = thread_index(), at[2];
	C sum = 0;
	if (line >= s.lines.size)
		return;
	walk_at<2>(s.lines, line, at);
	for (int64_t i = 0; i < s.n; i++) {
		sum = Sum::of(sum, take<C>(s, at, i));
		give(s, at, i, sum);
	}
}

/* The sum of what threads up to this one have. */
template <class C> DEVICE C sum_up_to(C mine, C *room)
{
	for (unsigned step = 1; step < BLOCK; step *= 2) {
		__syncthreads();
		room[threadIdx.x] = mine;
		__syncthreads();
		if (threadIdx.x >= step)
			mine = Sum::of(room[threadIdx.x - step], mine);
	}
	return mine;
}

template <class C> KERNEL scan_blocks(Scan s)
{
	__shared__ C room[BLOCK];
	int64_t line = block_index(), at[2];
	C sum[PIECE], before = 0;
	if (line >= s.lines.size)
		return;
	walk_at<2>(s.lines, line, at);
	for (int64_t tile = 0; tile < s.n; tile += BLOCK * PIECE) {
		int64_t first = tile + threadIdx.x * PIECE;
		C mine = 0;
		UNROLL
		for (int i = 0; i < PIECE; i++)
			sum[i] = mine = Sum::of(mine, first + i < s.n ? take<C>(s, at, first + i) : 0);
		C up_to = sum_up_to(mine, room);
		__syncthreads();
		room[threadIdx.x] = up_to;
		__syncthreads();
		C offset = threadIdx.x > 0 ? Sum::of(before, room[threadIdx.x - 1]) : before;
		UNROLL
		for (int i = 0; i < PIECE; i++)
			if (first + i < s.n)
				give(s, at, first + i, Sum::of(offset, sum[i]));
		before = Sum::of(before, room[BLOCK - 1]);
	}
}

template <class C> static int launch_scan(const graft_launch *l, const Scan &s, bool by_line)
{
	return by_line ? launch_threads(l, scan_lines<C>, s.lines.size, s) :
	       launch_blocks(l, scan_blocks<C>, s.lines.size, s);
}

/* A thread to a line: short ones, and many whose neighbours lie nearer than their own elements. */
static bool by_line(const Lines &lines)
{
	int32_t last = lines.starts.rank - 1;
	int64_t apart = last < 0 ? INT64_MAX : lines.starts.stride[last][1], step = lines.step[1];
	apart = apart < 0 ? -apart : apart, step = step < 0 ? -step : step;
	return lines.n <= 64 || (apart < step && lines.starts.size >= 1 << 14);
}

/* An operand of another dtype takes that of the result first, in its place. */
int hip_cumsum(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 2);
	Lines lines;
	Scan s = {};
	if (status)
		return status;
	const graft_tensor *x = l->in, *y = l->out;
	bool same = x->dtype == y->dtype;
	if (!same_shape(x, y) || !lines_of(&lines, y, same ? x : y, l->attr[0].i))
		return launch_fail(l, GRAFT_E_USAGE, "cumsum: there is no axis %lld, or operand and result differ in shape",
		                   static_cast<long long>(l->attr[0].i));
	if (!same && (status = tensor_convert(l, y, x)))
		return status;
	s.n = lines.n, s.y_step = lines.step[0], s.x_step = lines.step[1], s.dtype = y->dtype;
	bool thread = by_line(lines);
	return nest_launch(lines.starts, [&](const Walk &w) {
		s.lines = w;
		return is_integer(y->dtype) ? launch_scan<int64_t>(l, s, thread) : launch_scan<double>(l, s, thread);
	});
}
