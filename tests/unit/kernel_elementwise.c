/* kernel_elementwise.c - ops of one element each, against float64, on random shapes, layouts and dtypes. */
#include "kernel_host.h"
#include <float.h>

typedef struct Case {
	const char *name;
	graft_launch_fn kernel;
	int n_in;
	double (*want)(double a, double b);
	double ulps;                          /* of float32 and float64 */
	bool integers;                        /* an integer result is computed in integers */
	bool positive;                        /* operands are made positive */
} Case;

static double want_add(double a, double b) { return a + b; }
static double want_sub(double a, double b) { return a - b; }
static double want_mul(double a, double b) { return a * b; }
static double want_div(double a, double b) { return a / b; }
static double want_neg(double a, double b) { return -a + 0 * b; }
static double want_square(double a, double b) { return a * a + 0 * b; }
static double want_cos(double a, double b) { return cos(a) + 0 * b; }
static double want_sin(double a, double b) { return sin(a) + 0 * b; }
static double want_reciprocal(double a, double b) { return 1 / a + 0 * b; }
static double want_sqrt(double a, double b) { return sqrt(a) + 0 * b; }
static double want_rsqrt(double a, double b) { return 1 / sqrt(a) + 0 * b; }
static double want_sigmoid(double a, double b) { return 1 / (1 + exp(-a)) + 0 * b; }
static double want_silu(double a, double b) { return a / (1 + exp(-a)) + 0 * b; }

static double want_abs(double a, double b) { return fabs(a) + 0 * b; }
static double want_relu(double a, double b) { return (a > 0 ? a : 0) + 0 * b; }
static double want_exp(double a, double b) { return exp(a) + 0 * b; }
static double want_erf(double a, double b) { return erf(a) + 0 * b; }
static double want_log(double a, double b) { return log(a) + 0 * b; }
static double want_tanh(double a, double b) { return tanh(a) + 0 * b; }
static double want_maximum(double a, double b) { return a > b ? a : b; }
static double want_minimum(double a, double b) { return a < b ? a : b; }

static const Case cases[] = {
	{ "add", cpu_add, 2, want_add, 0.5, true, false },
	{ "sub", cpu_sub, 2, want_sub, 0.5, true, false },
	{ "mul", cpu_mul, 2, want_mul, 0.5, true, false },
	{ "div", cpu_div, 2, want_div, 0.5, false, false },
	{ "pow", cpu_pow, 2, pow, 1, true, true },
	{ "neg", cpu_neg, 1, want_neg, 0, true, false },
	{ "square", cpu_square, 1, want_square, 0.5, true, false },
	{ "cos", cpu_cos, 1, want_cos, 1, false, false },
	{ "sin", cpu_sin, 1, want_sin, 1, false, false },
	{ "reciprocal", cpu_reciprocal, 1, want_reciprocal, 0.5, false, false },
	{ "sqrt", cpu_sqrt, 1, want_sqrt, 0.5, false, true },
	{ "rsqrt", cpu_rsqrt, 1, want_rsqrt, 1.5, false, true },
	{ "sigmoid", cpu_sigmoid, 1, want_sigmoid, 2.5, false, false },
	{ "silu", cpu_silu, 1, want_silu, 3, false, false },
	{ "abs", cpu_abs, 1, want_abs, 0, true, false },
	{ "relu", cpu_relu, 1, want_relu, 0, true, false },
	{ "exp", cpu_exp, 1, want_exp, 1.5, false, false },
	{ "log", cpu_log, 1, want_log, 1, false, true },
	{ "tanh", cpu_tanh, 1, want_tanh, 1.5, false, false },
	{ "maximum", cpu_maximum, 2, want_maximum, 0, true, false },
	{ "minimum", cpu_minimum, 2, want_minimum, 0, true, false },
	{ "erf", cpu_erf, 1, want_erf, 1, false, false },
};

/* A shape that broadcasts to `shape`: some axes of size 1, some leading ones not there. */
static Box *broadcast_box(Random *r, int dtype, int rank, const int64_t *shape, bool full)
{
	int64_t own[GRAFT_MAX_RANK];
	int skip = full ? 0 : (int)random_below(r, rank + 1);
	for (int i = skip; i < rank; i++)
		own[i - skip] = !full && random_below(r, 3) == 0 ? 1 : shape[i];
	return box_new(r, dtype, rank - skip, own, (Layout)random_below(r, LAYOUTS));
}

static void make_positive(Box *b)
{
	for (int64_t i = 0; i < b->size; i++)
		box_put(b, i, fabs(box_get(b, i)));
}

/* What the op sees of an operand: an integer tensor takes a half-precision result's dtype first. */
static double seen(const Box *b, const Box *y, int64_t i)
{
	bool half = y->t.dtype == GRAFT_DTYPE_f16 || y->t.dtype == GRAFT_DTYPE_bf16;
	double v = box_get_broadcast(b, y, i);
	return half && b->t.rank > 0 ? rounded(y->t.dtype, v) : v;
}

static double allowed(const Case *c, int dtype)
{
	return dtype == GRAFT_DTYPE_f16 || dtype == GRAFT_DTYPE_bf16 ? 0.51 : c->ulps + 0.01;
}

static void check_case(const Case *c, const Box *a, const Box *b, const Box *y)
{
	for (int64_t i = 0; i < y->size; i++) {
		double va = seen(a, y, i), vb = b ? seen(b, y, i) : 0, want = c->want(va, vb), got = box_get(y, i);
		if (y->t.dtype == GRAFT_DTYPE_bool)
			want = want != 0;
		if (y->t.dtype == GRAFT_DTYPE_u8 || y->t.dtype == GRAFT_DTYPE_i8)
			want = fmod(want, 256), got = fmod(got, 256);
		if (y->t.dtype == GRAFT_DTYPE_u8 && want < 0)
			want += 256;
		if (y->t.dtype == GRAFT_DTYPE_i8)
			want = want > 127 ? want - 256 : want < -128 ? want + 256 : want;
		if (!close_to(y->t.dtype, got, want, allowed(c, y->t.dtype), 0))
			test_fail(__FILE__, __LINE__, "%s(%.17g, %.17g) in %s is %.17g, not %.17g", c->name, va, vb,
			          graft_dtype_name((graft_dtype)y->t.dtype), got, want);
	}
}

static void random_case(Random *r, const Case *c, int y_dtype)
{
	int64_t shape[4];
	int rank = (int)random_below(r, 5);
	for (int i = 0; i < rank; i++)
		shape[i] = i < rank - 1 || random_below(r, 4) ? 1 + random_below(r, 6) : random_below(r, 1200);
	Box *y = box_new(r, y_dtype, rank, shape, (Layout)random_below(r, EXPANDED));
	bool mixed = random_below(r, 3) == 0 && !is_integer(y_dtype);
	Box *a = broadcast_box(r, y_dtype, rank, shape, random_below(r, 2));
	Box *b = broadcast_box(r, mixed ? GRAFT_DTYPE_i16 : y_dtype, rank, shape, random_below(r, 2));
	if (c->positive && y_dtype != GRAFT_DTYPE_u8)
		make_positive(a), make_positive(b);
	if (y_dtype == GRAFT_DTYPE_i64 && c->kernel == cpu_pow)       /* keep the float64 reference exact */
		for (int64_t i = 0; i < b->size; i++)
			box_put(b, i, fmod(fabs(box_get(b, i)), 7));
	if (y_dtype != GRAFT_DTYPE_i64 && is_integer(y_dtype) && c->kernel == cpu_pow)
		for (int64_t i = 0; i < b->size; i++)
			box_put(b, i, fmod(fabs(box_get(b, i)), 2));
	run_kernel(c->kernel, 1 + (int)random_below(r, 5), (Box *[]){ a, b }, c->n_in, BOXES(y), NO_ATTRS);
	check_case(c, a, c->n_in == 2 ? b : NULL, y);
	box_free(a);
	box_free(b);
	box_free(y);
}

TEST(kernel_elementwise_random)
{
	static const int floats[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f64, GRAFT_DTYPE_f16 };
	static const int integers[] = { GRAFT_DTYPE_i64, GRAFT_DTYPE_i32, GRAFT_DTYPE_u8, GRAFT_DTYPE_i8 };
	Random r = { 3 };
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
		for (int k = 0; k < 24; k++) {
			random_case(&r, &cases[c], floats[k % 4]);
			if (cases[c].integers)
				random_case(&r, &cases[c], integers[k % 4]);
		}
}

/* An integer operand of an op whose result is a float. */
TEST(kernel_elementwise_integers_to_float)
{
	Box *a = box_vector(GRAFT_DTYPE_i64, 3, (double[]){ 7, -1, 0 });
	Box *b = box_vector(GRAFT_DTYPE_i32, 3, (double[]){ 2, 4, 0 });
	Box *y = box_vector(GRAFT_DTYPE_f32, 3, NULL);
	run_kernel(cpu_div, 1, BOXES(a, b), BOXES(y), NO_ATTRS);
	CHECK(box_get(y, 0) == 3.5 && box_get(y, 1) == -0.25 && isnan(box_get(y, 2)));
	run_kernel(cpu_rsqrt, 1, BOXES(b), BOXES(y), NO_ATTRS);
	CHECK(box_get(y, 1) == 0.5 && box_get(y, 2) == (double)INFINITY);
	box_free(a);
	box_free(b);
	box_free(y);
}

static double one(graft_launch_fn kernel, int dtype, double a, int b_dtype, double b)
{
	Box *x = box_vector(dtype, 1, &a), *z = box_scalar(b_dtype, b), *y = box_vector(dtype, 1, NULL);
	double got;
	run_kernel(kernel, 1, BOXES(x, z), BOXES(y), NO_ATTRS);
	got = box_get(y, 0);
	box_free(x);
	box_free(y);
	box_free(z);
	return got;
}

/* A literal keeps its float32 value next to a bf16 tensor: it is not rounded to bf16 first. */
TEST(kernel_elementwise_literals)
{
	CHECK(one(cpu_add, GRAFT_DTYPE_f32, 1, GRAFT_DTYPE_f64, 1e-6) == (double)(1.0f + 1e-6f));
	CHECK(one(cpu_mul, GRAFT_DTYPE_bf16, 255, GRAFT_DTYPE_f64, 1.00390625) == 256);
	CHECK(one(cpu_mul, GRAFT_DTYPE_i32, 5, GRAFT_DTYPE_i64, 3) == 15);
	CHECK(one(cpu_add, GRAFT_DTYPE_f64, 1, GRAFT_DTYPE_f64, 0x1p-52) == 1 + 0x1p-52);
}

TEST(kernel_pow_literals)
{
	enum { f32 = GRAFT_DTYPE_f32, f64 = GRAFT_DTYPE_f64, i64 = GRAFT_DTYPE_i64 };
	CHECK(one(cpu_pow, f32, 3, i64, 2) == 9);
	CHECK(one(cpu_pow, f32, -3, f64, 3) == -27);
	CHECK(one(cpu_pow, f32, 4, f64, 0.5) == 2);
	CHECK(one(cpu_pow, f32, 4, f64, -0.5) == 0.5);
	CHECK(one(cpu_pow, f32, 4, f64, -1) == 0.25);
	CHECK(one(cpu_pow, f32, 4, f64, -2) == 0.0625);
	CHECK(one(cpu_pow, f32, 4, GRAFT_DTYPE_bool, 1) == 4);
	CHECK(one(cpu_pow, f32, 4, f64, 0) == 1);
	CHECK(isnan(one(cpu_pow, f32, -INFINITY, f64, 0.5)));
	CHECK(isnan(one(cpu_pow, f32, NAN, f64, 2)));
	CHECK(one(cpu_pow, f64, 2, i64, -1) == 0.5);
	CHECK(one(cpu_pow, GRAFT_DTYPE_f16, 300, i64, 2) == (double)INFINITY);
	CHECK(one(cpu_pow, i64, 2, i64, -1) == 0);
	CHECK(one(cpu_pow, i64, -1, i64, -3) == -1);
	CHECK(one(cpu_pow, i64, 1, i64, -4) == 1);
	CHECK(one(cpu_pow, i64, 0, i64, 0) == 1);
	CHECK(one(cpu_pow, i64, -3, i64, 3) == -27);
}

static int64_t one_integer(graft_launch_fn kernel, int64_t a, int64_t b)
{
	Box *x = box_vector(GRAFT_DTYPE_i64, 1, NULL), *z = box_vector(GRAFT_DTYPE_i64, 1, NULL);
	Box *y = box_vector(GRAFT_DTYPE_i64, 1, NULL);
	int64_t got;
	memcpy(x->t.data, &a, sizeof a);
	memcpy(z->t.data, &b, sizeof b);
	run_kernel(kernel, 1, BOXES(x, z), BOXES(y), NO_ATTRS);
	got = box_integer(y, 0);
	box_free(x);
	box_free(y);
	box_free(z);
	return got;
}

TEST(kernel_elementwise_integers_wrap)
{
	CHECK_INT(one_integer(cpu_add, INT64_MAX, 1), INT64_MIN);
	CHECK_INT(one_integer(cpu_sub, INT64_MIN, 1), INT64_MAX);
	CHECK_INT(one_integer(cpu_mul, INT64_MAX, 2), -2);
	CHECK_INT(one_integer(cpu_pow, 2, 64), 0);
	CHECK_INT(one_integer(cpu_pow, 3, 41), -420491770248316829);
	CHECK_INT(one_integer(cpu_add, (INT64_C(1) << 53) + 1, 0), (INT64_C(1) << 53) + 1);
}

static float unary(graft_launch_fn kernel, float v)
{
	Box *x = box_vector(GRAFT_DTYPE_f32, 1, (double[]){ (double)v }), *y = box_vector(GRAFT_DTYPE_f32, 1, NULL);
	float got;
	run_kernel(kernel, 1, BOXES(x), BOXES(y), NO_ATTRS);
	got = (float)box_get(y, 0);
	box_free(x);
	box_free(y);
	return got;
}

TEST(kernel_elementwise_special_values)
{
	CHECK(isnan(unary(cpu_sqrt, -1)));
	CHECK(signbit(unary(cpu_sqrt, -0.0f)));
	CHECK(unary(cpu_rsqrt, 0) == INFINITY && unary(cpu_rsqrt, -0.0f) == -INFINITY);
	CHECK(unary(cpu_rsqrt, INFINITY) == 0);
	CHECK(unary(cpu_reciprocal, -0.0f) == -INFINITY);
	CHECK(signbit(unary(cpu_neg, 0)) && !signbit(unary(cpu_neg, -0.0f)));
	CHECK(unary(cpu_sigmoid, INFINITY) == 1 && unary(cpu_sigmoid, -INFINITY) == 0 &&
	      isnan(unary(cpu_sigmoid, NAN)));
	CHECK(isnan(unary(cpu_silu, -INFINITY)) && unary(cpu_silu, INFINITY) == INFINITY);
	CHECK(isnan(unary(cpu_cos, INFINITY)) && unary(cpu_cos, 0) == 1);
	CHECK(unary(cpu_square, 0x1p-70f) == 0x1p-140f);
	CHECK(unary(cpu_neg, 0x1p-149f) == -0x1p-149f);
}

TEST(kernel_elementwise_bool)
{
	Box *a = box_vector(GRAFT_DTYPE_bool, 4, (double[]){ 0, 0, 1, 1 });
	Box *b = box_vector(GRAFT_DTYPE_bool, 4, (double[]){ 0, 1, 0, 1 });
	Box *y = box_vector(GRAFT_DTYPE_bool, 4, NULL);
	((unsigned char *)b->t.data)[3] = 7;                /* a stranger's byte: true all the same */
	run_kernel(cpu_add, 1, BOXES(a, b), BOXES(y), NO_ATTRS);
	CHECK(memcmp(y->t.data, "\0\1\1\1", 4) == 0);
	run_kernel(cpu_mul, 1, BOXES(a, b), BOXES(y), NO_ATTRS);
	CHECK(memcmp(y->t.data, "\0\0\0\1", 4) == 0);
	box_free(a);
	box_free(b);
	box_free(y);
}

TEST(kernel_elementwise_rank_64_and_empty)
{
	Random r = { 5 };
	int64_t shape[GRAFT_MAX_RANK];
	for (int i = 0; i < GRAFT_MAX_RANK; i++)
		shape[i] = i % 13 == 0 ? 2 : 1;
	Box *a = box_new(&r, GRAFT_DTYPE_f32, GRAFT_MAX_RANK, shape, PERMUTED);
	Box *b = box_new(&r, GRAFT_DTYPE_f32, GRAFT_MAX_RANK, shape, NEGATIVE);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, GRAFT_MAX_RANK, shape, DENSE);
	run_kernel(cpu_add, 3, BOXES(a, b), BOXES(y), NO_ATTRS);
	check_case(&cases[0], a, b, y);
	Box *none = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 0), DENSE);
	Box *y0 = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 0), DENSE);
	run_kernel(cpu_mul, 1, BOXES(none, none), BOXES(y0), NO_ATTRS);
	box_free(a);
	box_free(b);
	box_free(y);
	box_free(none);
	box_free(y0);
}

TEST(kernel_elementwise_refuses)
{
	Random r = { 5 };
	Host h;
	Box *a = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3), DENSE), *b = box_new(&r, GRAFT_DTYPE_f32, SHAPE(4), DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3), DENSE), *i = box_new(&r, GRAFT_DTYPE_i32, SHAPE(3), DENSE);
	host_init(&h, 1);
	CHECK_INT(fail_kernel(cpu_add, &h, BOXES(a, b), BOXES(y), NO_ATTRS), GRAFT_E_USAGE);
	CHECK_STR(h.message, "operand 1 does not broadcast to the result");
	CHECK_INT(fail_kernel(cpu_add, &h, BOXES(a), BOXES(y), NO_ATTRS), GRAFT_E_USAGE);
	CHECK_HAS(h.message, "takes 2 to 2 operands");
	CHECK_INT(fail_kernel(cpu_sqrt, &h, BOXES(a), BOXES(i), NO_ATTRS), GRAFT_E_UNSUPPORTED);
	a->t.dtype = 99;
	CHECK_INT(fail_kernel(cpu_neg, &h, BOXES(a), BOXES(y), NO_ATTRS), GRAFT_E_USAGE);
	a->t.dtype = GRAFT_DTYPE_f32;
	box_free(a);
	box_free(b);
	box_free(y);
	box_free(i);
}
