/* elementwise.c - one result element from one element of each operand, which are broadcast.
 *
 * The result's dtype says what is computed in: f32 for f8, f16, bf16 and f32, f64 for f64, i64 for bool and integers.
 */
#include "kernel.h"
#include <math.h>

/* One step of an op in each class, on the runs of its operands; NULL: it has none in that class. */
typedef struct Steps {
	void (*f32)(float *restrict y, const float *const *in, int64_t n);
	void (*f64)(double *restrict y, const double *const *in, int64_t n);
	void (*i64)(int64_t *restrict y, const int64_t *const *in, int64_t n);
	/* operands of rank 0 are rounded to a half-precision result's dtype too */
	bool rounds_numbers;
} Steps;

enum { MOST = 3 };                            /* operands */

typedef struct Elementwise {
	const Steps *steps;
	int n_in, y, in[MOST];                /* dtypes */
	int round[MOST];                      /* dtype an operand is rounded to before it is used; f32: none */
} Elementwise;

#define STEP1(name, class, type, expr)                                                                                 \
	VECTOR static void step_##name##_##class(type *restrict y, const type *const *in, int64_t n)                   \
	{                                                                                                              \
		const type *restrict pa = in[0];                                                                       \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			type a = pa[i];                                                                                \
			y[i] = expr;                                                                                   \
		}                                                                                                      \
	}
#define STEP2(name, class, type, expr)                                                                                 \
	VECTOR static void step_##name##_##class(type *restrict y, const type *const *in, int64_t n)                   \
	{                                                                                                              \
		const type *restrict pa = in[0], *restrict pb = in[1];                                                 \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			type a = pa[i], b = pb[i];                                                                     \
			y[i] = expr;                                                                                   \
		}                                                                                                      \
	}
#define STEP3(name, class, type, expr)                                                                                 \
	VECTOR static void step_##name##_##class(type *restrict y, const type *const *in, int64_t n)                   \
	{                                                                                                              \
		const type *restrict pa = in[0], *restrict pb = in[1], *restrict pc = in[2];                           \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			type a = pa[i], b = pb[i], c = pc[i];                                                          \
			y[i] = expr;                                                                                   \
		}                                                                                                      \
	}

#define NUMBERS(STEP, name, of_f32, of_f64, of_i64)                                                                    \
	STEP(name, f32, float, of_f32)                                                                                 \
	STEP(name, f64, double, of_f64)                                                                                \
	STEP(name, i64, int64_t, of_i64)                                                                               \
	static const Steps name##_steps = { step_##name##_f32, step_##name##_f64, step_##name##_i64, false };
#define FLOATS(STEP, name, of_f32, of_f64)                                                                             \
	STEP(name, f32, float, of_f32)                                                                                 \
	STEP(name, f64, double, of_f64)                                                                                \
	static const Steps name##_steps = { step_##name##_f32, step_##name##_f64, NULL, false };
#define INTEGERS(STEP, name, of_i64)                                                                                   \
	STEP(name, i64, int64_t, of_i64)                                                                               \
	static const Steps name##_steps = { NULL, NULL, step_##name##_i64, false };

/* Two's complement without overflow: a OP b on the unsigned numbers with the same bits. */
#define WRAP(a, op, b) (int64_t)((uint64_t)(a) op (uint64_t)(b))

/* a ** b modulo 2^64; below 0 the power is a fraction, which is 0 unless a is 1 or -1. */
static int64_t power(int64_t a, int64_t b)
{
	uint64_t y = 1, square = (uint64_t)a;
	if (b < 0)
		return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
	for (; b; b >>= 1, square *= square)
		if (b & 1)
			y *= square;
	return (int64_t)y;
}

/* Divisions that are rounded to whole numbers, as Python has them; b is not 0, for that was looked for before. */
static int64_t trunc_whole(int64_t a, int64_t b) { return b == -1 ? WRAP(0, -, a) : a / b; }
static int64_t rest_whole(int64_t a, int64_t b)
{
	int64_t rest = b == -1 ? 0 : a % b;
	return rest && (rest < 0) != (b < 0) ? rest + b : rest;
}
static int64_t floor_whole(int64_t a, int64_t b)
{
	int64_t rest = b == -1 ? 0 : a % b;
	return trunc_whole(a, b) - (rest && (rest < 0) != (b < 0));
}

/* The quotient is made from what is left over, so that it is right where a / b rounds up to a whole number. */
#define WHOLE(type, f)                                                                                                 \
	static type rest##f(type a, type b)                                                                            \
	{                                                                                                              \
		type rest = fmod##f(a, b);                                                                             \
		return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;                                           \
	}                                                                                                              \
	static type floor_divide##f(type a, type b)                                                                    \
	{                                                                                                              \
		type rest = fmod##f(a, b), y = (a - rest) / b, down;                                                   \
		if (b == 0)                                                                                            \
			return a / b;                                                                                  \
		if (rest != 0 && (rest < 0) != (b < 0))                                                                \
			y -= 1;                                                                                        \
		down = floor##f(y);                                                                                    \
		return y == 0 ? copysign##f(0, a / b) : y - down > (type)0.5 ? down + 1 : down;                        \
	}                                                                                                              \
	static type gelu_tanh##f(type a)                                                                               \
	{                                                                                                              \
		const type scale = (type)0.79788456080286535588; /* sqrt(2 / pi) */                                    \
		return (type)0.5 * a * (1 + tanh##f(scale * (a + (type)0.044715 * a * a * a)));                        \
	}
WHOLE(float, f)
WHOLE(double, )

#define ROOT_HALF 0.70710678118654752440      /* of gelu, which has 1 + erf(v): that is erfc(-v) */

/* NaN, in whichever operand, is the result. */
#define GREATER(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
#define LESSER(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#define GREATER_INT(a, b) ((a) > (b) ? (a) : (b))
#define LESSER_INT(a, b) ((a) < (b) ? (a) : (b))

NUMBERS(STEP1, abs, fabsf(a), fabs(a), a < 0 ? WRAP(0, -, a) : a)
NUMBERS(STEP1, relu, a < 0 ? 0 : a, a < 0 ? 0 : a, a < 0 ? 0 : a)
NUMBERS(STEP2, maximum, GREATER(a, b), GREATER(a, b), GREATER_INT(a, b))
NUMBERS(STEP2, minimum, LESSER(a, b), LESSER(a, b), LESSER_INT(a, b))
NUMBERS(STEP3, clamp, LESSER(c, GREATER(b, a)), LESSER(c, GREATER(b, a)), LESSER_INT(c, GREATER_INT(b, a)))
NUMBERS(STEP2, floor_divide, floor_dividef(a, b), floor_divide(a, b), floor_whole(a, b))
NUMBERS(STEP2, trunc_divide, truncf(a / b), trunc(a / b), trunc_whole(a, b))
NUMBERS(STEP2, remainder_of, restf(a, b), rest(a, b), rest_whole(a, b))
INTEGERS(STEP2, bitwise_and, a & b)
INTEGERS(STEP2, bitwise_or, a | b)
INTEGERS(STEP2, bitwise_xor, a ^ b)
INTEGERS(STEP1, bitwise_not, ~a)
INTEGERS(STEP1, not, a == 0)
FLOATS(STEP1, erf, erff(a), erf(a))
FLOATS(STEP1, exp, exp_f32(a), exp(a))
FLOATS(STEP1, log, logf(a), log(a))
FLOATS(STEP1, tanh, tanhf(a), tanh(a))
FLOATS(STEP1, gelu, (float)0.5 * a * erfcf(-a * (float)ROOT_HALF), 0.5 * a * erfc(-a * ROOT_HALF))
FLOATS(STEP1, trunc, truncf(a), trunc(a))
FLOATS(STEP1, gelu_tanh, gelu_tanhf(a), gelu_tanh(a))
NUMBERS(STEP2, add, a + b, a + b, WRAP(a, +, b))
NUMBERS(STEP2, sub, a - b, a - b, WRAP(a, -, b))
NUMBERS(STEP2, mul, a * b, a * b, WRAP(a, *, b))
NUMBERS(STEP2, pow, powf(a, b), pow(a, b), power(a, b))
NUMBERS(STEP1, neg, -a, -a, WRAP(0, -, a))
NUMBERS(STEP1, square, a * a, a * a, WRAP(a, *, a))
FLOATS(STEP2, div, a / b, a / b)
FLOATS(STEP1, cos, cosf(a), cos(a))
FLOATS(STEP1, sin, sinf(a), sin(a))
FLOATS(STEP1, reciprocal, 1 / a, 1 / a)
FLOATS(STEP1, sqrt, sqrtf(a), sqrt(a))
FLOATS(STEP1, rsqrt, 1 / sqrtf(a), 1 / sqrt(a))
FLOATS(STEP1, sigmoid, 1 / (1 + exp_f32(-a)), 1 / (1 + exp(-a)))
FLOATS(STEP1, silu, a / (1 + exp_f32(-a)), a / (1 + exp(-a)))
FLOATS(STEP1, cube, a * a * a, a * a * a)
FLOATS(STEP1, reciprocal_square, 1 / (a * a), 1 / (a * a))
FLOATS(STEP1, same, a, a)

/* An operand's run, rounded first when the op takes place in a narrower dtype than the operand has. */
static const float *fetch_rounded(const Elementwise *e, int i, float *room, const char *at, int64_t stride, int64_t n)
{
	if (e->round[i] == GRAFT_DTYPE_f32)
		return fetch_f32(room, e->in[i], at, stride, n);
	load_f32(room, e->in[i], at, stride, n);
	round_f32(e->round[i], room, n);
	return room;
}

static void run_f32(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Elementwise *e = arg;
	float room[1 + MOST][RUN];
	float *y = placed(e->y, GRAFT_DTYPE_f32, at[0], stride[0]) ? (float *)(void *)at[0] : room[0];
	const float *in[MOST] = { NULL };
	for (int i = 0; i < e->n_in; i++)
		in[i] = fetch_rounded(e, i, room[1 + i], at[1 + i], stride[1 + i], n);
	e->steps->f32(y, in, n);
	if (y == room[0])
		store_f32(e->y, at[0], stride[0], y, n);
}

static const double *fetch_as_f64(const Elementwise *e, int i, double *room, const char *at, int64_t stride, int64_t n)
{
	return fetch_f64(room, e->in[i], at, stride, n);
}

/* A wider integer keeps the low bits that the result's dtype has: -3 beside u8 is 253. */
static const int64_t *fetch_as_i64(const Elementwise *e, int i, int64_t *room, const char *at, int64_t stride,
                                   int64_t n)
{
	char narrow[8 * RUN];
	if (e->in[i] == e->y || e->y == GRAFT_DTYPE_i64 || e->y == GRAFT_DTYPE_bool)
		return fetch_i64(room, e->in[i], at, stride, n);
	convert(e->y, narrow, 1, e->in[i], at, stride, n);
	load_i64(room, e->y, narrow, 1, n);
	return room;
}

#define RUN_CLASS(class, type)                                                                                         \
	static void run_##class(void *arg, char *const *at, const int64_t *stride, int64_t n)                          \
	{                                                                                                              \
		const Elementwise *e = arg;                                                                            \
		type room[1 + MOST][RUN];                                                                              \
		const type *in[MOST] = { NULL };                                                                       \
		for (int i = 0; i < e->n_in; i++)                                                                      \
			in[i] = fetch_as_##class(e, i, room[1 + i], at[1 + i], stride[1 + i], n);                      \
		e->steps->class(room[0], in, n);                                                                       \
		store_##class(e->y, at[0], stride[0], room[0], n);                                                     \
	}
RUN_CLASS(f64, double)
RUN_CLASS(i64, int64_t)

/* Integers take the dtype of a half-precision result before the op; a number of rank 0 keeps its float32 value in
 * most. */
static int rounded_to(const graft_tensor *x, int y, bool numbers_too)
{
	bool half = y == GRAFT_DTYPE_f16 || y == GRAFT_DTYPE_bf16;
	return half && (x->rank > 0 || numbers_too) && x->dtype != y ? y : GRAFT_DTYPE_f32;
}

static int elementwise(const graft_launch *l, const graft_tensor *in, const Steps *steps, int n_in, int64_t cost)
{
	static const walk_fn runs[] = { [CLASS_F32] = run_f32, [CLASS_F64] = run_f64, [CLASS_I64] = run_i64 };
	Elementwise e = { .steps = steps, .n_in = n_in, .y = l->out[0].dtype };
	Class class = class_of(e.y);
	Walk w;
	if (class == CLASS_I64 ? !steps->i64 : !steps->f32)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "this op has no result of dtype %s", dtype_text(l->out));
	walk_begin(&w, &l->out[0]);
	for (int i = 0; i < n_in; i++) {
		e.in[i] = in[i].dtype;
		e.round[i] = rounded_to(&in[i], e.y, steps->rounds_numbers);
		if (!walk_add(&w, &in[i]))
			return launch_fail(l, GRAFT_E_USAGE, "operand %d does not broadcast to the result", i);
	}
	walk_join(&w);
	walk_parallel(l, &w, RUN, cost, runs[class], &e);
	return 0;
}

#define KERNEL(name, n_in, cost)                                                                                       \
	int cpu_##name(const graft_launch *l)                                                                          \
	{                                                                                                              \
		int status = launch_check(l, n_in, n_in, 1, 0);                                                        \
		return status ? status : elementwise(l, l->in, &name##_steps, n_in, cost);                             \
	}
KERNEL(add, 2, 2)
KERNEL(sub, 2, 2)
KERNEL(mul, 2, 2)
KERNEL(div, 2, 4)
KERNEL(neg, 1, 2)
KERNEL(square, 1, 2)
KERNEL(cos, 1, 20)
KERNEL(sin, 1, 20)
KERNEL(reciprocal, 1, 4)
KERNEL(sqrt, 1, 4)
KERNEL(rsqrt, 1, 8)
KERNEL(sigmoid, 1, 10)
KERNEL(silu, 1, 10)
KERNEL(abs, 1, 2)
KERNEL(relu, 1, 2)
KERNEL(erf, 1, 20)
KERNEL(exp, 1, 10)
KERNEL(log, 1, 20)
KERNEL(tanh, 1, 30)
KERNEL(maximum, 2, 2)
KERNEL(minimum, 2, 2)
KERNEL(bitwise_and, 2, 2)
KERNEL(bitwise_or, 2, 2)
KERNEL(bitwise_xor, 2, 2)

int cpu_bitwise_not(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 0);
	bool truth = !status && l->out[0].dtype == GRAFT_DTYPE_bool;
	return status ? status : elementwise(l, l->in, truth ? &not_steps : &bitwise_not_steps, 1, 2);
}

int cpu_gelu(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 1);
	bool tanh = !status && l->attr[0].given && l->attr[0].i == 1;
	return status ? status : elementwise(l, l->in, tanh ? &gelu_tanh_steps : &gelu_steps, 1, 40);
}

int cpu_clamp(const graft_launch *l)
{
	int status = launch_check(l, 1, 3, 1, 0);
	const graft_tensor *min = operand(l, 1), *max = operand(l, 2);
	if (status)
		return status;
	if (min && max)
		return elementwise(l, l->in, &clamp_steps, 3, 4);
	if (!min && !max)
		return launch_fail(l, GRAFT_E_USAGE, "clamp: neither min nor max is given");
	return elementwise(l, (const graft_tensor[]){ l->in[0], min ? *min : *max },
	                   min ? &maximum_steps : &minimum_steps, 2, 2);
}

typedef struct Zero { Elementwise e; int64_t at; bool found; } Zero;

static void find_zero(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	Zero *z = arg;
	int64_t room[RUN];
	if (z->found)
		return;
	const int64_t *v = fetch_as_i64(&z->e, 0, room, at[0], stride[0], n);
	for (int64_t i = 0; i < n && !z->found; i++, z->at += !z->found)
		z->found = v[i] == 0;
}

/* Of integers, 0 divides nothing; 256 is 0 beside u8. */
static int whole_divide(const graft_launch *l, const char *name, const Steps *steps)
{
	int status = launch_check(l, 2, 2, 1, 0);
	Walk w;
	if (status)
		return status;
	const graft_tensor *b = &l->in[1];
	Zero z = { .e = { .y = l->out[0].dtype, .in = { b->dtype } } };
	walk_begin(&w, b);
	walk_join(&w);
	if (class_of(l->out[0].dtype) == CLASS_I64 && tensor_size(&l->out[0]) > 0)
		walk_range(&w, 0, w.size, RUN, find_zero, &z);
	char place[PLACE_ROOM];
	if (z.found)
		return launch_fail(l, GRAFT_E_DATA, "%s: b[%s] is 0, and integers have no quotient by 0", name,
		                   place_text(place, b, z.at));
	return elementwise(l, l->in, steps, 2, 20);
}

int cpu_floor_divide(const graft_launch *l) { return whole_divide(l, "floor_divide", &floor_divide_steps); }

/* torch rounds a half-precision quotient to its dtype, then to a whole number, unless it divides by a number of rank
 * 0. */
int cpu_trunc_divide(const graft_launch *l)
{
	bool half = l->n_in == 2 && l->n_out == 1 && l->in[1].rank > 0 &&
	            (l->out[0].dtype == GRAFT_DTYPE_f16 || l->out[0].dtype == GRAFT_DTYPE_bf16);
	int status = whole_divide(l, "trunc_divide", half ? &div_steps : &trunc_divide_steps);
	return status || !half ? status : elementwise(l, l->out, &trunc_steps, 1, 4);
}

int cpu_remainder(const graft_launch *l)
{
	Steps steps = remainder_of_steps;
	steps.rounds_numbers = true;
	return whole_divide(l, "remainder", &steps);
}

/* A power that is one number is often one that needs no logarithm. These are also what torch computes, so that
 * (-inf) ** 0.5 is NaN and (-0.0) ** 0.5 is -0.0, unlike C's pow. */
static const Steps *steps_of_power(double b)
{
	static const struct { double power; const Steps *steps; } known[] = {
		{ 0.5, &sqrt_steps },        { 1, &same_steps }, { 2, &square_steps },             { 3, &cube_steps },
		{ -0.5, &rsqrt_steps },      { -1, &reciprocal_steps }, { -2, &reciprocal_square_steps },
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].power == b)
			return known[i].steps;
	return NULL;
}

int cpu_pow(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	const Steps *steps = NULL;
	double b;
	if (status)
		return status;
	if (l->in[1].rank == 0 && class_of(l->out[0].dtype) != CLASS_I64) {
		load_f64(&b, l->in[1].dtype, l->in[1].data, 1, 1);
		steps = steps_of_power(b);
	}
	return steps ? elementwise(l, l->in, steps, 1, 8) : elementwise(l, l->in, &pow_steps, 2, 60);
}

int cpu_cast(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 1);
	return status ? status : tensor_convert(l, &l->out[0], &l->in[0]);
}
