/* kernel.h - what the launch functions share on the host: refusals, operands, walks, launches.
 *
 * A launch function has the ABI of plugin.h. It looks at shapes and strides, never at device memory, and queues
 * kernels on the launch's stream: nothing waits, so a launch can be captured into a graph.
 */
#ifndef GRAFT_HIP_KERNEL_H
#define GRAFT_HIP_KERNEL_H

#include "device.h"
#include <graft/plugin.h>

/* Fills the launch's message; returns status. */
int launch_fail(const graft_launch *l, graft_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* What a kernel must have before it looks at anything: in_min..in_max operands, n_out results, n_attr attributes, and
 * tensors with a dtype, a rank and memory, each operand in it that is not optional. Returns 0 or a status. */
int launch_check(const graft_launch *l, int in_min, int in_max, int n_out, int n_attr);

/* Operand i, or NULL when it is optional and missing. */
static inline const graft_tensor *operand(const graft_launch *l, int i)
{
	return i < l->n_in && l->in[i].dtype != GRAFT_DTYPE_COUNT ? &l->in[i] : nullptr;
}

static inline bool is_integer(int dtype) { return dtype <= GRAFT_DTYPE_i64; }
static inline bool is_computed(int dtype)
{
	return dtype == GRAFT_DTYPE_f16 || dtype == GRAFT_DTYPE_bf16 || dtype == GRAFT_DTYPE_f32;
}
int32_t item_size(int dtype);
int64_t tensor_size(const graft_tensor *t);
bool same_shape(const graft_tensor *a, const graft_tensor *b);
bool tensor_dense(const graft_tensor *t);     /* row-major without gaps */
const char *dtype_name(int dtype);

/* The same tensor without its last n axes. */
static inline graft_tensor tensor_front(const graft_tensor *t, int32_t n)
{
	graft_tensor front = *t;
	front.rank -= n;
	return front;
}

/* A 0-d tensor as a line of one element, for ops that torch lets take it so; room holds its shape and stride. */
graft_tensor as_line(const graft_tensor *t, int64_t (&room)[2]);

/* A Walk that still has all axes, and may have more tensors. */
enum { NEST_TENSORS = 10 };
struct Nest {
	int32_t rank, n;
	int64_t size;
	char *base[NEST_TENSORS];
	int32_t item[NEST_TENSORS];
	int64_t shape[GRAFT_MAX_RANK + 1];
	int64_t stride[GRAFT_MAX_RANK + 1][NEST_TENSORS];
};

/* Over the axes of `over`, which is its first tensor; one more tensor, broadcast to the first (false when its shape
 * does not do that); one more axis inside all others; axes of size 1 left out and neighbours made one where they are
 * one in every tensor. */
Nest nest_over(const graft_tensor *over);
bool nest_add(Nest *n, const graft_tensor *t);
void nest_axis(Nest *n, int64_t size, const int64_t *strides);
void nest_join(Nest *n);
bool nest_aligned(const Nest *n, int32_t t);  /* tensor t is at a multiple of 16 bytes wherever the nest goes */

/* As a walk, over as many tensors as it has. */
Walk nest_walk(const Nest *n);

/* launch(nest), which returns a status, for a nest of no more axes than a walk has: one that has more is cut into its
 * inner ones, in order. */
template <class F> int nest_cut(const Nest &n, F launch)
{
	if (n.size == 0)
		return 0;
	if (n.rank <= WALK_AXES)
		return launch(n);
	Nest inner = n;
	inner.rank--;
	inner.size = n.size / n.shape[0];
	for (int32_t a = 0; a < inner.rank; a++) {
		inner.shape[a] = n.shape[a + 1];
		for (int32_t t = 0; t < n.n; t++)
			inner.stride[a][t] = n.stride[a + 1][t];
	}
	int status = 0;
	for (int64_t i = 0; i < n.shape[0] && !status; i++) {
		status = nest_cut(inner, launch);
		for (int32_t t = 0; t < n.n; t++)
			inner.base[t] += n.stride[0][t] * n.item[t];
	}
	return status;
}

/* The same with launch(walk). */
template <class F> int nest_launch(const Nest &n, F launch)
{
	return nest_cut(n, [&](const Nest &piece) { return launch(nest_walk(&piece)); });
}

/* run(base) for each run along the innermost axis, where every tensor begins; nothing when there are no elements.
 * Returns the first status that is not 0. */
template <class F> int nest_runs(const Nest &n, F run)
{
	int64_t at[GRAFT_MAX_RANK + 1] = {}, runs = n.rank ? n.size / n.shape[n.rank - 1] : 1;
	char *base[NEST_TENSORS] = {};
	for (int32_t t = 0; t < n.n; t++)
		base[t] = n.base[t];
	int status = 0;
	for (int64_t i = 0; n.size && i < runs && !status; i++) {
		status = run(base);
		for (int32_t a = n.rank - 1; a-- > 0;) {
			bool wraps = ++at[a] == n.shape[a];
			for (int32_t t = 0; t < n.n; t++)
				base[t] += (wraps ? 1 - n.shape[a] : 1) * n.stride[a][t] * n.item[t];
			if (!wraps)
				break;
			at[a] = 0;
		}
	}
	return status;
}

/* The same walk over pieces of `lanes` neighbouring elements, the innermost axis counting pieces. Tensor 0 must have
 * its elements side by side there; others may, or stay at one element: `splat` gets a bit for each of those. Every
 * piece must lie at a multiple of its size. False: it can't be done, and w is as it was. */
bool walk_pack(Walk *w, int64_t lanes, unsigned *splat);

/* The grid of at least `blocks` blocks; kernels ask block_index() and compare it. */
static inline dim3 grid_of(int64_t blocks)
{
	const int64_t widest = 1 << 20;
	int64_t x = blocks < widest ? blocks : widest;
	return dim3(static_cast<uint32_t>(x), static_cast<uint32_t>((blocks + x - 1) / x));
}

int launched(const graft_launch *l);

/* Queues a kernel; nothing when there are no blocks. */
template <class... P, class... A> int launch_blocks(const graft_launch *l, void (*kernel)(P...), int64_t blocks,
                                                    A... arguments)
{
	if (blocks <= 0)
		return 0;
	hipLaunchKernelGGL(kernel, grid_of(blocks), dim3(BLOCK), 0, static_cast<hipStream_t>(l->stream), arguments...);
	return launched(l);
}

template <class... P, class... A> int launch_threads(const graft_launch *l, void (*kernel)(P...), int64_t threads,
                                                     A... arguments)
{
	return launch_blocks(l, kernel, threads / BLOCK + (threads % BLOCK != 0), arguments...);
}

/* As many threads share n elements as 1 << this, 8 to BLOCK. */
uint32_t group_shift(int64_t n);

/* What is kept of x and what goes into each element of it: kept over y and x, gone over x from its first element on.
 * False when the list names an axis that is not there, or y has not the shape of what is kept (reduce.hip). */
bool reduce_nests(Nest *kept, Nest *gone, const graft_tensor *y, const graft_tensor *x, const graft_attr *axes,
                  bool keepdim);

/* A thread shall have a result, not a group: neighbouring results lie nearer to each other than what goes into one. */
bool reduce_by_columns(const Nest *kept, const Nest *gone);

/* Lines of n elements along an axis of two tensors of one shape, y and x: starts goes over where they begin. A tensor of
 * rank 0 is a line of one. False when the shapes differ, or there is no such axis. */
struct Lines { Nest starts; int64_t n, step[2]; };
bool lines_of(Lines *lines, const graft_tensor *y, const graft_tensor *x, int64_t axis);

/* y = x, converted and broadcast (copy.hip). */
int tensor_convert(const graft_launch *l, const graft_tensor *y, const graft_tensor *x);

/* The kernels of the pack, one for each row of pack.def. */
#define ROW(name, rounds) int hip_##name(const graft_launch *l);
#include "pack.def"
#undef ROW

#endif
