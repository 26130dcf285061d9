/* rope.hip - rotary position embedding: pairs of the last axis turned by an angle; a thread has a pair.
 *
 * cos and sin hold one number a pair in their last axis; their other axes broadcast to those of x.
 */
#include "kernel.h"

struct Rope {
	Walk pairs;                           /* y, x, cos, sin; the innermost axis counts pairs */
	int32_t dtype[4];
	int64_t second[2];                    /* from the first to the second of a pair of y, of x */
};

template <class C> KERNEL rope_pairs(Rope r)
{
	int64_t i = thread_index(), at[4];
	if (i >= r.pairs.size)
		return;
	walk_at<4>(r.pairs, i, at);
	char *const *base = r.pairs.base;
	C a = load<C>(r.dtype[1], base[1], at[1]), b = load<C>(r.dtype[1], base[1], at[1] + r.second[1]);
	C c = load<C>(r.dtype[2], base[2], at[2]), s = load<C>(r.dtype[3], base[3], at[3]);
	store_result(r.dtype[0], base[0], at[0], a * c - b * s);
	store_result(r.dtype[0], base[0], at[0] + r.second[0], b * c + a * s);
}

/* Adds the next tensor; false when it does not broadcast or its last axis does not have that size. */
static bool rope_add(Rope *r, Nest *n, const graft_tensor *t, int64_t last)
{
	graft_tensor front;
	if (t->rank < 1 || t->shape[t->rank - 1] != last)
		return false;
	r->dtype[n->n] = t->dtype;
	front = tensor_front(t, 1);
	return nest_add(n, &front);
}

static int64_t last_stride(const graft_tensor *t) { return t->stride[t->rank - 1]; }

int hip_rope(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 1);
	const graft_tensor *x = l->in, *c = l->in + 1, *s = l->in + 2, *y = l->out;
	Rope r = {};
	if (status)
		return status;
	if (x->rank < 1 || !same_shape(x, y) || x->shape[x->rank - 1] % 2)
		return launch_fail(l, GRAFT_E_USAGE,
		                   "rope: operand and result must have one shape, with an even last axis");
	if (!is_computed(y->dtype) && y->dtype != GRAFT_DTYPE_f64)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "rope takes f16, bf16, f32 and f64, not %s",
		                   dtype_name(y->dtype));
	int64_t n = x->shape[x->rank - 1] / 2, apart = l->attr[0].i ? 2 : 1, half = l->attr[0].i ? 1 : n;
	graft_tensor front = tensor_front(y, 1);
	Nest nest = nest_over(&front);
	nest.n = 0;
	if (!rope_add(&r, &nest, y, 2 * n) || !rope_add(&r, &nest, x, 2 * n) || !rope_add(&r, &nest, c, n) ||
	    !rope_add(&r, &nest, s, n))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "rope: cos and sin must broadcast to x, with %lld numbers in the last axis",
		                   static_cast<long long>(n));
	const int64_t steps[] = {last_stride(y) * apart, last_stride(x) * apart, last_stride(c), last_stride(s)};
	r.second[0] = last_stride(y) * half;
	r.second[1] = last_stride(x) * half;
	nest_axis(&nest, n, steps);
	nest_join(&nest);
	return nest_launch(nest, [&](const Walk &w) {
		r.pairs = w;
		return launch_threads(l, y->dtype == GRAFT_DTYPE_f64 ? rope_pairs<double> : rope_pairs<float>, w.size, r);
	});
}
