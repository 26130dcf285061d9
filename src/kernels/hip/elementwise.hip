/* elementwise.hip - one result element from one element of each operand, which are broadcast.
 *
 * Float64 is computed in double, other floats in float32, bool and integers in int64_t. Where every operand is dense or
 * stays put along the innermost axis and all floats have the result's dtype, a thread computes 16 bytes of the result;
 * else one element of any dtype, and so for float64 and integers.
 *
 * Nobody can be told that an integer is divided by 0: quotient and remainder are 0 then.
 */
#include "kernel.h"

/* dtype: y, then operands; round: the dtype that an operand takes before it is used (see rounded_to), f32 for none;
 * splat: see walk_pack. */
struct Elementwise {
	Walk walk;
	int32_t dtype[3], round[2];
	uint32_t splat;
};

template <class C> DEVICE C operand_of(const Elementwise &e, int t, int64_t at)
{
	return rounded_to(e.round[t - 1], load<C>(e.dtype[t], e.walk.base[t], at));
}

template <class Op, class C> KERNEL elementwise_numbers(Elementwise e)
{
	int64_t i = thread_index(), at[3];
	if (i >= e.walk.size)
		return;
	walk_at<3>(e.walk, i, at);
	C a = operand_of<C>(e, 1, at[1]), b = 0;
	if (e.walk.n == 3)
		b = operand_of<C>(e, 2, at[2]);
	store_result(e.dtype[0], e.walk.base[0], at[0], Op::of(a, b));
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
		s.one = operand_of<float>(e, t, at);
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

enum Numbers { KEEP_NUMBERS, ROUND_NUMBERS };

/* Operands take the dtype of an integer or half-precision result before the op; most ops leave a number of rank 0 its
 * float32 value. */
static int32_t rounding(const graft_tensor *x, int y, Numbers numbers)
{
	bool half = y == GRAFT_DTYPE_f16 || y == GRAFT_DTYPE_bf16;
	bool rounds = is_integer(y) || (half && (x->rank > 0 || numbers == ROUND_NUMBERS));
	return rounds && x->dtype != y ? y : GRAFT_DTYPE_f32;
}

static int prepare(const graft_launch *l, Elementwise *e, Nest *nest, int n_in, Numbers numbers)
{
	*e = {};
	e->dtype[0] = l->out[0].dtype;
	*nest = nest_over(&l->out[0]);
	for (int i = 0; i < n_in; i++) {
		e->dtype[i + 1] = l->in[i].dtype;
		e->round[i] = rounding(&l->in[i], e->dtype[0], numbers);
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

template <class Op> static int floats(const graft_launch *l, int n_in, Numbers numbers = KEEP_NUMBERS)
{
	Elementwise e = {};
	Nest nest = {};
	int status = launch_check(l, n_in, n_in, 1, 0);
	if (status || (status = prepare(l, &e, &nest, n_in, numbers)))
		return status;
	bool f64 = e.dtype[0] == GRAFT_DTYPE_f64;
	if (!f64 && !is_computed(e.dtype[0]))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "the result of this op is f16, bf16, f32 or f64, not %s",
		                   dtype_name(e.dtype[0]));
	return nest_launch(nest, [&](const Walk &w) {
		Elementwise some = e;
		some.walk = w;
		if (f64)
			return launch_threads(l, elementwise_numbers<Op, double>, w.size, some);
		if (one_dtype(&some) && walk_pack(&some.walk, 16 / w.item[0], &some.splat))
			return launch_threads(l, elementwise_packed<Op>, some.walk.size, some);
		return launch_threads(l, elementwise_numbers<Op, float>, w.size, some);
	});
}

template <class Op> static int integers(const graft_launch *l, int n_in)
{
	Elementwise e = {};
	Nest nest = {};
	int status = launch_check(l, n_in, n_in, 1, 0);
	if (status || (status = prepare(l, &e, &nest, n_in, KEEP_NUMBERS)))
		return status;
	if (!is_integer(e.dtype[0]))
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "the result of this op is an integer or bool, not %s",
		                   dtype_name(e.dtype[0]));
	return nest_launch(nest, [&](const Walk &w) {
		Elementwise some = e;
		some.walk = w;
		return launch_threads(l, elementwise_numbers<Op, int64_t>, w.size, some);
	});
}

template <class Op> static int numbers(const graft_launch *l, int n_in, Numbers how = KEEP_NUMBERS)
{
	int status = launch_check(l, n_in, n_in, 1, 0);
	return status ? status : is_integer(l->out[0].dtype) ? integers<typename Op::Integer>(l, n_in) :
	       floats<typename Op::Float>(l, n_in, how);
}

/* ---- ops ---------------------------------------------------- */

/* Two's complement without overflow: a OP b on the unsigned numbers with the same bits. */
#define WRAP(a, op, b) static_cast<int64_t>(static_cast<uint64_t>(a) op static_cast<uint64_t>(b))

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
template <class F> DEVICE F power_of_number(F a, F b)
{
	return b == 2 ? a * a : b == F(0.5) ? sqrt_of(a) : b == 1 ? a : b == 3 ? a * a * a :
	       b == F(-0.5) ? 1 / sqrt_of(a) : b == -1 ? 1 / a : b == -2 ? 1 / (a * a) : pow_of(a, b);
}

/* Divisions that are rounded to whole numbers, as Python has them. */
DEVICE int64_t trunc_whole(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? WRAP(0, -, a) : a / b; }
DEVICE int64_t rest_whole(int64_t a, int64_t b)
{
	int64_t rest = b == 0 || b == -1 ? 0 : a % b;
	return rest && (rest < 0) != (b < 0) ? rest + b : rest;
}
DEVICE int64_t floor_whole(int64_t a, int64_t b)
{
	int64_t rest = b == 0 || b == -1 ? 0 : a % b;
	return trunc_whole(a, b) - (rest && (rest < 0) != (b < 0));
}

template <class F> DEVICE F rest_of(F a, F b)
{
	F rest = fmod_of(a, b);
	return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* The quotient is made from what is left over, so that it is right where a / b rounds up to a whole number. */
template <class F> DEVICE F floor_divide(F a, F b)
{
	F rest = fmod_of(a, b), y = (a - rest) / b;
	if (b == 0)
		return a / b;
	if (rest != 0 && (rest < 0) != (b < 0))
		y -= 1;
	F down = floor_of(y);
	return y == 0 ? copysign_of(F(0), a / b) : y - down > F(0.5) ? down + 1 : down;
}

/* NaN, in whichever operand, is the result. */
#define GREATER(a, b) ((a) > (b) || is_nan(a) ? (a) : (b))
#define LESSER(a, b) ((a) < (b) || is_nan(a) ? (a) : (b))

template <class F> DEVICE F gelu_by_tanh(F a)
{
	const F scale = F(0.79788456080286535588);            /* sqrt(2 / pi) */
	return F(0.5) * a * (1 + tanh_of(scale * (a + F(0.044715) * a * a * a)));
}

template <class F> DEVICE F gelu(F a) { return F(0.5) * a * erfc_of(-a * F(0.70710678118654752440)); }

template <class F> DEVICE F sigmoid_of(F a) { return 1 / (1 + exp_of(-a)); }

#define FLOAT_STEP(expr) template <class F> static __device__ F of(F a, F b) { (void)a; (void)b; return expr; }
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

NUMBERS(abs, 1, fabs_of(a), a < 0 ? WRAP(0, -, a) : a)
NUMBERS(relu, 1, a < 0 ? 0 : a, a < 0 ? 0 : a)
NUMBERS(maximum, 2, GREATER(a, b), GREATER(a, b))
NUMBERS(minimum, 2, LESSER(a, b), LESSER(a, b))
NUMBERS(floor_divide, 2, floor_divide(a, b), floor_whole(a, b))
INTEGERS(bitwise_and, 2, a & b)
INTEGERS(bitwise_or, 2, a | b)
INTEGERS(bitwise_xor, 2, a ^ b)
FLOATS(erf, 1, erf_of(a))
FLOATS(exp, 1, exp_of(a))
FLOATS(log, 1, log_of(a))
FLOATS(tanh, 1, tanh_of(a))
NUMBERS(add, 2, a + b, WRAP(a, +, b))
NUMBERS(sub, 2, a - b, WRAP(a, -, b))
NUMBERS(mul, 2, a * b, WRAP(a, *, b))
NUMBERS(neg, 1, -a, WRAP(0, -, a))
NUMBERS(square, 1, a * a, WRAP(a, *, a))
FLOATS(div, 2, a / b)
FLOATS(cos, 1, cos_of(a))
FLOATS(sin, 1, sin_of(a))
FLOATS(reciprocal, 1, 1 / a)
FLOATS(sqrt, 1, sqrt_of(a))
FLOATS(rsqrt, 1, 1 / sqrt_of(a))
FLOATS(sigmoid, 1, sigmoid_of(a))
FLOATS(silu, 1, a / (1 + exp_of(-a)))

namespace {
struct Power {
	struct Float { FLOAT_STEP(pow_of(a, b)) };
	struct Integer { INTEGER_STEP(power(a, b)) };
};
struct BitwiseNot { INTEGER_STEP(~a) };
struct Not { INTEGER_STEP(a == 0) };
struct Gelu { FLOAT_STEP(gelu(a)) };
struct GeluByTanh { FLOAT_STEP(gelu_by_tanh(a)) };
/* The exponent is one number. */
struct PowerOfNumber {
	struct Float { FLOAT_STEP(power_of_number(a, b)) };
	struct Integer { INTEGER_STEP(power(a, b)) };
};
struct Remainder {
	struct Float { FLOAT_STEP(rest_of(a, b)) };
	struct Integer { INTEGER_STEP(rest_whole(a, b)) };
};
struct TruncDivide {
	struct Float { FLOAT_STEP(trunc_of(a / b)) };
	struct Integer { INTEGER_STEP(trunc_whole(a, b)) };
};
struct Trunc { FLOAT_STEP(trunc_of(a)) };
}

int hip_remainder(const graft_launch *l) { return numbers<Remainder>(l, 2, ROUND_NUMBERS); }

/* torch rounds a half-precision quotient to its dtype, then to a whole number, unless it divides by a number of rank
 * 0. */
int hip_trunc_divide(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	bool half = !status && is_computed(l->out[0].dtype) && l->out[0].dtype != GRAFT_DTYPE_f32;
	if (status || !half || l->in[1].rank == 0)
		return status ? status : numbers<TruncDivide>(l, 2);
	graft_launch again = *l;
	again.in = l->out;
	again.n_in = 1;
	status = hip_div(l);
	return status ? status : floats<Trunc>(&again, 1);
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
