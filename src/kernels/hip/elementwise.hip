/* elementwise.hip - one result element from one element of each operand, which are broadcast.
 *
 * Floats are computed in float32, bool and integers in int64_t. Where every operand is dense or stays put along the
 * innermost axis and all floats have the result's dtype, a thread computes 16 bytes of the result; else one element of
 * any dtype.
 */
#include "kernel.h"

/* dtype: y, then operands; round: the half precision that an operand takes before it is used, f32 for none; splat: see
 * walk_pack. */
struct Elementwise {
	Walk walk;
	int32_t dtype[3], round[2];
	uint32_t splat;
};

template <class Op> KERNEL elementwise_f32(Elementwise e)
{
	int64_t i = thread_index(), at[3];
	if (i >= e.walk.size)
		return;
	walk_at<3>(e.walk, i, at);
	float a = rounded_to(e.round[0], load<float>(e.dtype[1], e.walk.base[1], at[1])), b = 0;
	if (e.walk.n == 3)
		b = rounded_to(e.round[1], load<float>(e.dtype[2], e.walk.base[2], at[2]));
	store<float>(e.dtype[0], e.walk.base[0], at[0], Op::of(a, b));
}

template <class Op> KERNEL elementwise_i64(Elementwise e)
{
	int64_t i = thread_index(), at[3];
	if (i >= e.walk.size)
		return;
	walk_at<3>(e.walk, i, at);
	int64_t a = load<int64_t>(e.dtype[1], e.walk.base[1], at[1]), b = 0;
	if (e.walk.n == 3)
		b = load<int64_t>(e.dtype[2], e.walk.base[2], at[2]);
	store<int64_t>(e.dtype[0], e.walk.base[0], at[0], Op::of(a, b));
}

/* A chunk of an operand, or its one element everywhere: then `wide` is false and `one` counts. */
struct Some { Chunk chunk; float one; bool wide; };

template <class T> DEVICE Some some_of(const Elementwise &e, int t, int64_t at)
{
	Some s = {};
	s.wide = !(e.splat >> t & 1);
	if (s.wide)
		s.chunk = load_chunk(e.walk.base[t] + at * static_cast<int64_t>(sizeof(T)));
	else
		s.one = rounded_to(e.round[t - 1], load<float>(e.dtype[t], e.walk.base[t], at));
	return s;
}

template <class Op, class T> DEVICE void compute_chunk(const Elementwise &e, const int64_t *at)
{
	Some a = some_of<T>(e, 1, at[1]), b = {};
	Chunk y;
	if (e.walk.n == 3)
		b = some_of<T>(e, 2, at[2]);
	UNROLL
	for (int i = 0; i < Packed<T>::LANES; i++)
		Packed<T>::put(y, i, Op::of(a.wide ? Packed<T>::get(a.chunk, i) : a.one,
		                            b.wide ? Packed<T>::get(b.chunk, i) : b.one));
	store_chunk(e.walk.base[0] + at[0] * static_cast<int64_t>(sizeof(T)), y);
}

template <class Op> KERNEL elementwise_packed(Elementwise e)
{
	int64_t i = thread_index(), at[3];
	if (i >= e.walk.size)
		return;
	walk_at<3>(e.walk, i, at);
	switch (e.dtype[0]) {
	case GRAFT_DTYPE_f32: return compute_chunk<Op, float>(e, at);
	case GRAFT_DTYPE_f16: return compute_chunk<Op, f16>(e, at);
	default: return compute_chunk<Op, bf16>(e, at);
	}
}

/* Integers take the dtype of a half-precision result before the op; a number of rank 0 keeps its float32 value. */
static int32_t rounding(const graft_tensor *x, int y)
{
	bool half = y == GRAFT_DTYPE_f16 || y == GRAFT_DTYPE_bf16;
	return half && x->rank > 0 && x->dtype != y ? y : GRAFT_DTYPE_f32;
}

static int prepare(const graft_launch *l, Elementwise *e, Nest *nest, int n_in)
{
	*e = {};
	e->dtype[0] = l->out[0].dtype;
	*nest = nest_over(&l->out[0]);
	for (int i = 0; i < n_in; i++) {
		e->dtype[i + 1] = l->in[i].dtype;
		e->round[i] = rounding(&l->in[i], e->dtype[0]);
		if (!nest_add(nest, &l->in[i]))
			return launch_fail(l, GRAFT_E_USAGE, "operand %d does not broadcast to the result", i);
	}
	nest_join(nest);
	return 0;
}

/* Operands that move along the innermost axis have the result's dtype. */
static bool one_dtype(const Elementwise *e)
{
	for (int t = 1; t < e->walk.n; t++)
		if (e->walk.stride[e->walk.rank - 1][t] != 0 && e->dtype[t] != e->dtype[0])
			return false;
	return true;
}

template <class Op> static int floats(const graft_launch *l, int n_in)
{
	Elementwise e = {};
	Nest nest = {};
	int status = launch_check(l, n_in, n_in, 1, 0);
	if (status || (status = prepare(l, &e, &nest, n_in)))
		return status;
	if (!is_computed(e.dtype[0]))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "the result of this op is f16, bf16 or f32 here, not %s",
		                   dtype_name(e.dtype[0]));
	return nest_launch(nest, [&](const Walk &w) {
		Elementwise some = e;
		some.walk = w;
		if (one_dtype(&some) && walk_pack(&some.walk, 16 / w.item[0], &some.splat))
			return launch_threads(l, elementwise_packed<Op>, some.walk.size, some);
		return launch_threads(l, elementwise_f32<Op>, w.size, some);
	});
}

template <class Op> static int integers(const graft_launch *l, int n_in)
{
	Elementwise e = {};
	Nest nest = {};
	int status = launch_check(l, n_in, n_in, 1, 0);
	if (status || (status = prepare(l, &e, &nest, n_in)))
		return status;
	if (!is_integer(e.dtype[0]))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "the result of this op is an integer or bool, not %s",
		                   dtype_name(e.dtype[0]));
	return nest_launch(nest, [&](const Walk &w) {
		Elementwise some = e;
		some.walk = w;
		return launch_threads(l, elementwise_i64<Op>, w.size, some);
	});
}

template <class Op> static int numbers(const graft_launch *l, int n_in)
{
	int status = launch_check(l, n_in, n_in, 1, 0);
	return status ? status : is_integer(l->out[0].dtype) ? integers<typename Op::Integer>(l, n_in) :
	       floats<typename Op::Float>(l, n_in);
}

/* ---- ops ---------------------------------------------------- */

/* a ** b modulo 2^64; below 0 the power is a fraction, which is 0 unless a is 1 or -1. */
DEVICE int64_t power(int64_t a, int64_t b)
{
	uint64_t y = 1, square = static_cast<uint64_t>(a);
	if (b < 0)
		return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
	for (; b; b >>= 1, square *= square)
		if (b & 1)
			y *= square;
	return static_cast<int64_t>(y);
}

/* Powers that need no logarithm are also what torch computes, so that (-inf) ** 0.5 is NaN and (-0.0) ** 0.5 is -0.0,
 * unlike C's pow. */
DEVICE float power_of_number(float a, float b)
{
	return b == 2 ? a * a : b == 0.5f ? sqrtf(a) : b == 1 ? a : b == 3 ? a * a * a : b == -0.5f ? 1 / sqrtf(a) :
	       b == -1 ? 1 / a : b == -2 ? 1 / (a * a) : powf(a, b);
}

/* NaN, in whichever operand, is the result. */
#define GREATER(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
#define LESSER(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))

DEVICE float gelu_by_tanh(float a)
{
	return 0.5f * a * (1 + tanhf(0.79788456080286535588f * (a + 0.044715f * a * a * a)));         /* sqrt(2 / pi) */
}

DEVICE float sigmoid_of(float a) { return 1 / (1 + expf(-a)); }

/* Two's complement without overflow: a OP b on the unsigned numbers with the same bits. */
#define WRAP(a, op, b) static_cast<int64_t>(static_cast<uint64_t>(a) op static_cast<uint64_t>(b))

#define FLOAT_STEP(expr) static __device__ float of(float a, float b) { (void)a; (void)b; return expr; }
#define INTEGER_STEP(expr) static __device__ int64_t of(int64_t a, int64_t b) { (void)a; (void)b; return expr; }

#define FLOATS(name, n_in, expr)               \
	namespace {                            \
	struct Op_##name { FLOAT_STEP(expr) }; \
	}                                      \
	int hip_##name(const graft_launch *l) { return floats<Op_##name>(l, n_in); }
#define NUMBERS(name, n_in, of_float, of_integer)            \
	namespace {                                          \
	struct Op_##name {                                   \
		struct Float { FLOAT_STEP(of_float) };       \
		struct Integer { INTEGER_STEP(of_integer) }; \
	};                                                   \
	}                                                    \
	int hip_##name(const graft_launch *l) { return numbers<Op_##name>(l, n_in); }

#define INTEGERS(name, n_in, expr)               \
	namespace {                              \
	struct Op_##name { INTEGER_STEP(expr) }; \
	}                                        \
	int hip_##name(const graft_launch *l) { return integers<Op_##name>(l, n_in); }

NUMBERS(abs, 1, fabsf(a), a < 0 ? WRAP(0, -, a) : a)
NUMBERS(relu, 1, a < 0 ? 0 : a, a < 0 ? 0 : a)
NUMBERS(maximum, 2, GREATER(a, b), GREATER(a, b))
NUMBERS(minimum, 2, LESSER(a, b), LESSER(a, b))
INTEGERS(bitwise_and, 2, a & b)
INTEGERS(bitwise_or, 2, a | b)
INTEGERS(bitwise_xor, 2, a ^ b)
FLOATS(erf, 1, erff(a))
FLOATS(exp, 1, expf(a))
FLOATS(log, 1, logf(a))
FLOATS(tanh, 1, tanhf(a))
NUMBERS(add, 2, a + b, WRAP(a, +, b))
NUMBERS(sub, 2, a - b, WRAP(a, -, b))
NUMBERS(mul, 2, a * b, WRAP(a, *, b))
NUMBERS(neg, 1, -a, WRAP(0, -, a))
NUMBERS(square, 1, a * a, WRAP(a, *, a))
FLOATS(div, 2, a / b)
FLOATS(cos, 1, cosf(a))
FLOATS(sin, 1, sinf(a))
FLOATS(reciprocal, 1, 1 / a)
FLOATS(sqrt, 1, sqrtf(a))
FLOATS(rsqrt, 1, 1 / sqrtf(a))
FLOATS(sigmoid, 1, sigmoid_of(a))
FLOATS(silu, 1, a / (1 + expf(-a)))

namespace {
struct Power {
	struct Float { FLOAT_STEP(powf(a, b)) };
	struct Integer { INTEGER_STEP(power(a, b)) };
};
struct BitwiseNot { INTEGER_STEP(~a) };
struct Not { INTEGER_STEP(a == 0) };
struct Gelu { FLOAT_STEP(0.5f * a * erfcf(-a * 0.70710678118654752440f)) };
struct GeluByTanh { FLOAT_STEP(gelu_by_tanh(a)) };
/* The exponent is one number. */
struct PowerOfNumber {
	struct Float { FLOAT_STEP(power_of_number(a, b)) };
	struct Integer { INTEGER_STEP(power(a, b)) };
};
}

int hip_bitwise_not(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 0);
	return status ? status : l->out[0].dtype == GRAFT_DTYPE_bool ? integers<Not>(l, 1) : integers<BitwiseNot>(l, 1);
}

int hip_gelu(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 1);
	return status ? status : l->attr[0].given && l->attr[0].i == 1 ? floats<GeluByTanh>(l, 1) : floats<Gelu>(l, 1);
}

/* One bound after the other; rounding keeps order, so the result is that of both at once. */
int hip_clamp(const graft_launch *l)
{
	int status = launch_check(l, 1, 3, 1, 0);
	const graft_tensor *min = operand(l, 1), *max = operand(l, 2);
	if (status)
		return status;
	if (!min && !max)
		return launch_fail(l, GRAFT_E_USAGE, "clamp: neither min nor max is given");
	graft_tensor in[2] = {l->in[0], {}};
	graft_launch one = *l;
	one.in = in;
	one.n_in = 2;
	if (min) {
		in[1] = *min;
		if ((status = hip_maximum(&one)) || !max)
			return status;
		in[0] = l->out[0];
	}
	in[1] = *max;
	return hip_minimum(&one);
}

int hip_pow(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	return status ? status : l->in[1].rank == 0 ? numbers<PowerOfNumber>(l, 2) : numbers<Power>(l, 2);
}

int hip_cast(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 1);
	return status ? status : tensor_convert(l, &l->out[0], &l->in[0]);
}
