/* elementwise.c - one result element from one element of each operand, which are broadcast.
 *
 * The result's dtype says what is computed in: f32 for f8, f16, bf16 and f32, f64 for f64, i64 for bool and integers.
 */
#include "kernel.h"
#include <math.h>

/* One step of an op in each class; b is NULL for an op of one operand. */
typedef struct Steps {
	void (*f32)(float *restrict y, const float *restrict a, const float *restrict b, int64_t n);
	void (*f64)(double *restrict y, const double *restrict a, const double *restrict b, int64_t n);
	void (*i64)(int64_t *restrict y, const int64_t *restrict a, const int64_t *restrict b, int64_t n);
} Steps;

typedef struct Elementwise {
	const Steps *steps;
	int n_in, y, in[2];                   /* dtypes */
	int round[2];                         /* dtype an operand is rounded to before it is used; f32: none */
} Elementwise;

#define STEP1(name, class, type, expr)                                                                                 \
	VECTOR static void name##_##class(type *restrict y, const type *restrict pa, const type *restrict pb,          \
	                                   int64_t n)                                                                  \
	{                                                                                                              \
		(void)pb;                                                                                              \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			type a = pa[i];                                                                                \
			y[i] = expr;                                                                                   \
		}                                                                                                      \
	}
#define STEP2(name, class, type, expr)                                                                                 \
	VECTOR static void name##_##class(type *restrict y, const type *restrict pa, const type *restrict pb,          \
	                                   int64_t n)                                                                  \
	{                                                                                                              \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			type a = pa[i], b = pb[i];                                                                     \
			y[i] = expr;                                                                                   \
		}                                                                                                      \
	}

#define NUMBERS(STEP, name, of_f32, of_f64, of_i64)                                                                    \
	STEP(name, f32, float, of_f32)                                                                                 \
	STEP(name, f64, double, of_f64)                                                                                \
	STEP(name, i64, int64_t, of_i64)                                                                               \
	static const Steps name##_steps = { name##_f32, name##_f64, name##_i64 };
#define FLOATS(STEP, name, of_f32, of_f64)                                                                             \
	STEP(name, f32, float, of_f32)                                                                                 \
	STEP(name, f64, double, of_f64)                                                                                \
	static const Steps name##_steps = { name##_f32, name##_f64, NULL };

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
	float room[3][RUN];
	float *y = placed(e->y, GRAFT_DTYPE_f32, at[0], stride[0]) ? (float *)(void *)at[0] : room[0];
	const float *a = fetch_rounded(e, 0, room[1], at[1], stride[1], n);
	const float *b = e->n_in == 2 ? fetch_rounded(e, 1, room[2], at[2], stride[2], n) : NULL;
	e->steps->f32(y, a, b, n);
	if (y == room[0])
		store_f32(e->y, at[0], stride[0], y, n);
}

#define RUN_CLASS(class, type)                                                                                         \
	static void run_##class(void *arg, char *const *at, const int64_t *stride, int64_t n)                          \
	{                                                                                                              \
		const Elementwise *e = arg;                                                                            \
		type room[3][RUN];                                                                                     \
		const type *a = fetch_##class(room[1], e->in[0], at[1], stride[1], n);                                 \
		const type *b = e->n_in == 2 ? fetch_##class(room[2], e->in[1], at[2], stride[2], n) : NULL;           \
		e->steps->class(room[0], a, b, n);                                                                     \
		store_##class(e->y, at[0], stride[0], room[0], n);                                                     \
	}
RUN_CLASS(f64, double)
RUN_CLASS(i64, int64_t)

/* Integers take the dtype of a half-precision result before the op; a number of rank 0 keeps its float32 value. */
static int rounded_to(const graft_tensor *x, int y)
{
	bool half = y == GRAFT_DTYPE_f16 || y == GRAFT_DTYPE_bf16;
	return half && x->rank > 0 && x->dtype != y ? y : GRAFT_DTYPE_f32;
}

static int elementwise(const graft_launch *l, const Steps *steps, int n_in, int64_t cost)
{
	static const walk_fn runs[] = { [CLASS_F32] = run_f32, [CLASS_F64] = run_f64, [CLASS_I64] = run_i64 };
	Elementwise e = { .steps = steps, .n_in = n_in, .y = l->out[0].dtype };
	Class class = class_of(e.y);
	Walk w;
	if (class == CLASS_I64 && !steps->i64)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "the result of this op is a float, not %s",
		                   dtype_text(l->out));
	walk_begin(&w, &l->out[0]);
	for (int i = 0; i < n_in; i++) {
		e.in[i] = l->in[i].dtype;
		e.round[i] = rounded_to(&l->in[i], e.y);
		if (!walk_add(&w, &l->in[i]))
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
		return status ? status : elementwise(l, &name##_steps, n_in, cost);                                    \
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
	return steps ? elementwise(l, steps, 1, 8) : elementwise(l, &pow_steps, 2, 60);
}

int cpu_cast(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 1);
	return status ? status : tensor_convert(l, &l->out[0], &l->in[0]);
}
