/* kernel_logic.c - comparisons, where, clamp, divisions to whole numbers, bits, gelu; as torch has their corners. */
#include "kernel_host.h"
#include <float.h>

static const double huge = (double)INFINITY, nan_ = (double)NAN;

/* op(a, b) of one element each; a_rank 0 or 1. */
static double two(graft_launch_fn kernel, int y_dtype, int a_dtype, double a, int b_dtype, double b, int b_rank)
{
	Box *x = box_vector(a_dtype, 1, &a), *z = b_rank ? box_vector(b_dtype, 1, &b) : box_scalar(b_dtype, b);
	Box *y = box_vector(y_dtype, 1, NULL);
	run_kernel(kernel, 1, BOXES(x, z), BOXES(y), NO_ATTRS);
	double got = box_get(y, 0);
	box_free(x);
	box_free(z);
	box_free(y);
	return got;
}

/* ---- comparisons ---- */

/* for a < b, a == b, a > b */
typedef struct Compare { const char *name; graft_launch_fn kernel; bool below, same, above; } Compare;

static const Compare compares[] = {
	{ "eq", cpu_eq, false, true, false }, { "ne", cpu_ne, true, false, true },
	        { "lt", cpu_lt, true, false, false },
	{ "le", cpu_le, true, true, false },  { "gt", cpu_gt, false, false, true }, { "ge", cpu_ge, false, true, true },
};

static void compare_case(Random *r, const Compare *c, int dtype)
{
	int64_t shape[3] = { 1 + random_below(r, 6), 1 + random_below(r, 6),
	                    random_below(r, 9) ? 1 + random_below(r, 6) : 700 };
	Box *a = box_new(r, dtype, 3, shape, (Layout)random_below(r, LAYOUTS));
	Box *b = box_new(r, dtype, (int)random_below(r, 2) + 1, shape + 1, (Layout)random_below(r, LAYOUTS));
	if (b->t.rank == 1)
		b->shape[0] = 1;
	Box *y = box_new(r, GRAFT_DTYPE_bool, 3, shape, (Layout)random_below(r, EXPANDED));
	run_kernel(c->kernel, 3, BOXES(a, b), BOXES(y), NO_ATTRS);
	for (int64_t i = 0; i < y->size; i++) {
		double va = box_get(a, i), vb = box_get_broadcast(b, y, i);
		CHECK(box_get(y, i) == (va < vb ? c->below : va > vb ? c->above : c->same));
	}
	box_free(a);
	box_free(b);
	box_free(y);
}

TEST(kernel_compare_random)
{
	static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_i64, GRAFT_DTYPE_bf16, GRAFT_DTYPE_u8,
	                             GRAFT_DTYPE_f64, GRAFT_DTYPE_bool };
	Random r = { 31 };
	for (int k = 0; k < 72; k++)
		compare_case(&r, &compares[k % 6], dtypes[k / 6 % 6]);
}

TEST(kernel_compare_with_nan)
{
	for (int k = 0; k < 6; k++) {
		bool ne = compares[k].kernel == cpu_ne;
		CHECK(two(compares[k].kernel, GRAFT_DTYPE_bool, GRAFT_DTYPE_f32, nan_, GRAFT_DTYPE_f32, 1, 1) == ne);
		CHECK(two(compares[k].kernel, GRAFT_DTYPE_bool, GRAFT_DTYPE_f64, nan_, GRAFT_DTYPE_f64, nan_, 1) == ne);
	}
}

/* Operands are compared in the dtype they have in common. */
TEST(kernel_compare_promotes)
{
	double bf16_tenth = rounded(GRAFT_DTYPE_bf16, 0.1);
	CHECK(two(cpu_eq, GRAFT_DTYPE_bool, GRAFT_DTYPE_bf16, bf16_tenth, GRAFT_DTYPE_f64, 0.1, 0) == 1);
	CHECK(two(cpu_eq, GRAFT_DTYPE_bool, GRAFT_DTYPE_bf16, bf16_tenth, GRAFT_DTYPE_f32, (double)0.1f, 1) == 0);
	CHECK(two(cpu_eq, GRAFT_DTYPE_bool, GRAFT_DTYPE_u8, 255, GRAFT_DTYPE_i64, -1, 0) == 1);
	CHECK(two(cpu_eq, GRAFT_DTYPE_bool, GRAFT_DTYPE_u8, 255, GRAFT_DTYPE_i64, -1, 1) == 0);
	CHECK(two(cpu_lt, GRAFT_DTYPE_bool, GRAFT_DTYPE_i64, 2, GRAFT_DTYPE_f64, 2.5, 0) == 1);
	/* in f32 */
	CHECK(two(cpu_eq, GRAFT_DTYPE_bool, GRAFT_DTYPE_i64, 16777217, GRAFT_DTYPE_f64, 16777216, 0) == 1);
	CHECK(two(cpu_eq, GRAFT_DTYPE_bool, GRAFT_DTYPE_i64, 16777217, GRAFT_DTYPE_f64, 16777216, 1) == 0);
	CHECK(two(cpu_ge, GRAFT_DTYPE_bool, GRAFT_DTYPE_bool, 1, GRAFT_DTYPE_i64, 2, 0) == 0);
}

TEST(kernel_truths)
{
	static const double v[4][2] = { { 0, 0 }, { 0, 2 }, { -1, 0 }, { 0.5, nan_ } };
	for (int i = 0; i < 4; i++) {
		bool a = v[i][0] != 0, b = v[i][1] != 0;
		CHECK(two(cpu_logical_and, GRAFT_DTYPE_bool, GRAFT_DTYPE_f32, v[i][0], GRAFT_DTYPE_f32, v[i][1],
		          1) == (a && b));
		CHECK(two(cpu_logical_or, GRAFT_DTYPE_bool, GRAFT_DTYPE_f64, v[i][0], GRAFT_DTYPE_f32, v[i][1],
		          1) == (a || b));
		Box *x = box_vector(GRAFT_DTYPE_f32, 2, v[i]), *y = box_vector(GRAFT_DTYPE_bool, 2, NULL);
		run_kernel(cpu_logical_not, 1, BOXES(x), BOXES(y), NO_ATTRS);
		CHECK(box_get(y, 0) == !a && box_get(y, 1) == !b);
		box_free(x);
		box_free(y);
	}
}

/* ---- where and clamp ---- */

static void where_case(Random *r, int y_dtype, int a_dtype, int b_dtype)
{
	int64_t shape[2] = { 1 + random_below(r, 9), random_below(r, 6) ? 1 + random_below(r, 9) : 1100 };
	Box *cond = box_new(r, GRAFT_DTYPE_bool, 2, shape, (Layout)random_below(r, LAYOUTS));
	Box *a = box_new(r, a_dtype, 1, shape + 1, (Layout)random_below(r, LAYOUTS));
	Box *b = random_below(r, 2) ? box_scalar(b_dtype, -3) : box_new(r, b_dtype, 2, shape,
	                                                                (Layout)random_below(r, LAYOUTS));
	Box *y = box_new(r, y_dtype, 2, shape, (Layout)random_below(r, EXPANDED));
	run_kernel(cpu_where, 3, BOXES(cond, a, b), BOXES(y), NO_ATTRS);
	for (int64_t i = 0; i < y->size; i++) {
		double want = box_get(cond, i) != 0 ? box_get_broadcast(a, y, i) : box_get_broadcast(b, y, i);
		CHECK(close_to(y_dtype, box_get(y, i), rounded(y_dtype, want), 0, 0));
	}
	box_free(cond);
	box_free(a);
	box_free(b);
	box_free(y);
}

TEST(kernel_where_random)
{
	Random r = { 32 };
	for (int k = 0; k < 12; k++) {
		where_case(&r, GRAFT_DTYPE_bf16, GRAFT_DTYPE_bf16, GRAFT_DTYPE_i64);
		where_case(&r, GRAFT_DTYPE_f64, GRAFT_DTYPE_i32, GRAFT_DTYPE_f64);
		where_case(&r, GRAFT_DTYPE_i64, GRAFT_DTYPE_i64, GRAFT_DTYPE_i8);
	}
}

static double clamped(int dtype, double v, double min, double max)
{
	Box *x = box_vector(dtype, 1, &v), *y = box_vector(dtype, 1, NULL), *none = MISSING;
	Box *low = isinf(min) ? none : box_scalar(GRAFT_DTYPE_f64, min);
	Box *high = isinf(max) ? none : box_scalar(GRAFT_DTYPE_f64, max);
	run_kernel(cpu_clamp, 1, BOXES(x, low, high), BOXES(y), NO_ATTRS);
	double got = box_get(y, 0);
	box_free(x);
	box_free(y);
	if (low != none)
		box_free(low);
	if (high != none)
		box_free(high);
	return got;
}

TEST(kernel_clamp)
{
	static const int of[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_f64, GRAFT_DTYPE_bf16, GRAFT_DTYPE_i32 };
	for (int k = 0; k < 4; k++) {
		CHECK(clamped(of[k], 5, -1, 2) == 2 && clamped(of[k], -5, -1, 2) == -1 &&
		      clamped(of[k], 1, -1, 2) == 1);
		CHECK(clamped(of[k], 5, -huge, 2) == 2 && clamped(of[k], -5, -1, huge) == -1 &&
		      clamped(of[k], -5, -huge, 2) == -5);
		CHECK(clamped(of[k], 1, 6, 2) == 2 && clamped(of[k], 9, 6, 2) == 2);
		if (k < 3)
			CHECK(isnan(clamped(of[k], nan_, -1, 2)) && isnan(clamped(of[k], 1, nan_, 2)) &&
			      isnan(clamped(of[k], 1, 0, nan_)));
	}
	CHECK(clamped(GRAFT_DTYPE_bf16, 1, -huge, 0.1) == rounded(GRAFT_DTYPE_bf16, 0.1));
}

TEST(kernel_extremes_of_two_keep_nan)
{
	CHECK(isnan(two(cpu_maximum, GRAFT_DTYPE_f32, GRAFT_DTYPE_f32, nan_, GRAFT_DTYPE_f32, 1, 1)));
	CHECK(isnan(two(cpu_maximum, GRAFT_DTYPE_f32, GRAFT_DTYPE_f32, 1, GRAFT_DTYPE_f32, nan_, 1)));
	CHECK(isnan(two(cpu_minimum, GRAFT_DTYPE_f64, GRAFT_DTYPE_f64, nan_, GRAFT_DTYPE_f64, 1, 1)));
	CHECK(isnan(two(cpu_minimum, GRAFT_DTYPE_bf16, GRAFT_DTYPE_bf16, 1, GRAFT_DTYPE_bf16, nan_, 1)));
	CHECK(two(cpu_maximum, GRAFT_DTYPE_f32, GRAFT_DTYPE_f32, -huge, GRAFT_DTYPE_f32, 1, 1) == 1);
	CHECK(two(cpu_maximum, GRAFT_DTYPE_bool, GRAFT_DTYPE_bool, 0, GRAFT_DTYPE_bool, 1, 1) == 1);
}

/* ---- divisions ---- */

/* rounded down, towards zero; remainder */
typedef struct Division { int dtype; double a, b, down, zero, rest; } Division;

TEST(kernel_whole_divisions)
{
	static const Division all[] = {
		{ GRAFT_DTYPE_i64, 7, 2, 3, 3, 1 },       { GRAFT_DTYPE_i64, -7, 2, -4, -3, 1 },
		        { GRAFT_DTYPE_i32, 7, -2, -4, -3, -1 },
		{ GRAFT_DTYPE_i32, -7, -2, 3, 3, -1 },    { GRAFT_DTYPE_i8, 6, -3, -2, -2, 0 },
		        { GRAFT_DTYPE_u8, 250, 7, 35, 35, 5 },
		{ GRAFT_DTYPE_i32, INT32_MIN, -1, INT32_MIN, INT32_MIN, 0 },
		{ GRAFT_DTYPE_f32, 7, 2, 3, 3, 1 },       { GRAFT_DTYPE_f32, -7, 2, -4, -3, 1 },
		        { GRAFT_DTYPE_f64, 7, -2, -4, -3, -1 },
		{ GRAFT_DTYPE_f32, 1, 0, huge, huge, nan_ }, { GRAFT_DTYPE_f64, -1, 0, -huge, -huge, nan_ },
		        { GRAFT_DTYPE_f32, 0, 0, nan_, nan_, nan_ },
		{ GRAFT_DTYPE_f32, -1, huge, -1, 0, huge }, { GRAFT_DTYPE_f32, 1, huge, 0, 0, 1 },
		        { GRAFT_DTYPE_f64, huge, 2, nan_, huge, nan_ },
		{ GRAFT_DTYPE_bf16, 1, 0.10009765625, 9, 10, 0.09912109375 },
		        /* 9.99 rounds to 10 before it loses its fraction */
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		const Division *d = &all[i];
		double down = two(cpu_floor_divide, d->dtype, d->dtype, d->a, d->dtype, d->b, 1);
		double zero = two(cpu_trunc_divide, d->dtype, d->dtype, d->a, d->dtype, d->b, 1);
		double rest = two(cpu_remainder, d->dtype, d->dtype, d->a, d->dtype, d->b, 1);
		if (!close_to(d->dtype, down, d->down, 0, 0) || !close_to(d->dtype, zero, d->zero, 0, 0) ||
		    !close_to(d->dtype, rest, d->rest, 0, 0))
			test_fail(__FILE__, __LINE__, "%g by %g in %s: %.17g, %.17g, %.17g", d->a, d->b,
			          graft_dtype_name((graft_dtype)d->dtype), down, zero, rest);
	}
	/* by a number: not so */
	CHECK(two(cpu_trunc_divide, GRAFT_DTYPE_bf16, GRAFT_DTYPE_bf16, 1, GRAFT_DTYPE_bf16, 0.10009765625, 0) == 9);
	/* 0.1 is a bf16 */
	CHECK(two(cpu_remainder, GRAFT_DTYPE_bf16, GRAFT_DTYPE_bf16, 1, GRAFT_DTYPE_f64, 0.1, 0) == 0.09912109375);
	/* -3 is 253 there */
	CHECK(two(cpu_remainder, GRAFT_DTYPE_u8, GRAFT_DTYPE_u8, 9, GRAFT_DTYPE_i64, -3, 0) == 9);
	/* 1 / 0.1f is 10 */
	CHECK(two(cpu_floor_divide, GRAFT_DTYPE_f32, GRAFT_DTYPE_f32, 1, GRAFT_DTYPE_f32, (double)0.1f, 1) == 9);
}

TEST(kernel_divisions_by_zero)
{
	static const graft_launch_fn kernels[] = { cpu_floor_divide, cpu_trunc_divide, cpu_remainder };
	static const char *const names[] = { "floor_divide", "trunc_divide", "remainder" };
	Random r = { 33 };
	for (int k = 0; k < 3; k++) {
		Host h;
		char want[96];
		Box *a = box_new(&r, GRAFT_DTYPE_i64, SHAPE(2, 700), DENSE);
		Box *b = box_new(&r, GRAFT_DTYPE_i32, SHAPE(2, 700), PERMUTED);
		Box *y = box_new(&r, GRAFT_DTYPE_i64, SHAPE(2, 700), DENSE);
		for (int64_t i = 0; i < b->size; i++)
			box_put(b, i, i == 1300 || i == 1305 ? 0 : 3);
		host_init(&h, 1);
		CHECK_INT(fail_kernel(kernels[k], &h, BOXES(a, b), BOXES(y), NO_ATTRS), GRAFT_E_DATA);
		snprintf(want, sizeof want, "%s: b[1, 600] is 0, and integers have no quotient by 0", names[k]);
		CHECK_STR(h.message, want);
		box_free(a);
		box_free(b);
		box_free(y);
	}
}

/* ---- bits ---- */

TEST(kernel_bits)
{
	CHECK(two(cpu_bitwise_and, GRAFT_DTYPE_i32, GRAFT_DTYPE_i32, 12, GRAFT_DTYPE_i32, 10, 1) == 8);
	CHECK(two(cpu_bitwise_or, GRAFT_DTYPE_i64, GRAFT_DTYPE_i32, 12, GRAFT_DTYPE_i64, 10, 1) == 14);
	CHECK(two(cpu_bitwise_xor, GRAFT_DTYPE_u8, GRAFT_DTYPE_u8, 12, GRAFT_DTYPE_i64, 10, 0) == 6);
	CHECK(two(cpu_bitwise_and, GRAFT_DTYPE_i64, GRAFT_DTYPE_bool, 1, GRAFT_DTYPE_i64, 3, 1) == 1);
	for (int i = 0; i < 4; i++) {
		double a = i & 1, b = i >> 1;
		CHECK(two(cpu_bitwise_and, GRAFT_DTYPE_bool, GRAFT_DTYPE_bool, a, GRAFT_DTYPE_bool, b, 1) == (i == 3));
		CHECK(two(cpu_bitwise_or, GRAFT_DTYPE_bool, GRAFT_DTYPE_bool, a, GRAFT_DTYPE_bool, b, 1) == (i > 0));
		CHECK(two(cpu_bitwise_xor, GRAFT_DTYPE_bool, GRAFT_DTYPE_bool, a, GRAFT_DTYPE_bool, b, 1) == (i == 1 ||
		                                                                                              i == 2));
	}
	static const struct { int dtype; double x, y; } nots[] = {
		{ GRAFT_DTYPE_bool, 1, 0 }, { GRAFT_DTYPE_bool, 0, 1 }, { GRAFT_DTYPE_u8, 1, 254 },
		        { GRAFT_DTYPE_i64, 5, -6 },
	};
	for (int i = 0; i < 4; i++) {
		Box *x = box_vector(nots[i].dtype, 1, &nots[i].x), *y = box_vector(nots[i].dtype, 1, NULL);
		run_kernel(cpu_bitwise_not, 1, BOXES(x), BOXES(y), NO_ATTRS);
		CHECK(box_get(y, 0) == nots[i].y);
		box_free(x);
		box_free(y);
	}
}

/* ---- gelu ---- */

static double gelu(double x, bool approximate)
{
	const double pi = 3.14159265358979323846;
	if (approximate)
		return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
	return x * erfc(-x / sqrt(2)) / 2;
}

TEST(kernel_gelu)
{
	static const int of[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_f64, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16 };
	Random r = { 34 };
	for (int k = 0; k < 8; k++) {
		Box *x = box_new(&r, of[k / 2], SHAPE(9, 80), (Layout)random_below(&r, LAYOUTS));
		Box *y = box_new(&r, of[k / 2], SHAPE(9, 80), DENSE);
		run_kernel(cpu_gelu, 3, BOXES(x), BOXES(y), &(graft_attr){ .given = k % 2, .i = k % 2 }, 1);
		for (int64_t i = 0; i < y->size; i++) {
			double want = gelu(box_get(x, i), k % 2);
			if (!close_to(of[k / 2], box_get(y, i), want, k < 4 ? 24 : 0.51,
			              k % 2 ? of[k / 2] == GRAFT_DTYPE_f64 ? 1e-15 : 4e-7 : 0))
				test_fail(__FILE__, __LINE__, "gelu(%.17g) in %s is %.17g, not %.17g", box_get(x, i),
				          graft_dtype_name((graft_dtype)of[k / 2]), box_get(y, i), want);
		}
		box_free(x);
		box_free(y);
	}
}
