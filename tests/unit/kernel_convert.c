/* kernel_convert.c - element types: every pattern of the small floats, rounding at every boundary between them. */
#include "kernel_host.h"
#include "../../src/kernels/cpu/convert.h"
#include <float.h>

static void check_widening(int dtype, uint32_t patterns)
{
	for (uint32_t b = 0; b < patterns; b++) {
		uint16_t two = (uint16_t)b;
		uint8_t one = (uint8_t)b;
		const void *p = patterns == 0x100 ? (const void *)&one : (const void *)&two;
		float got;
		double want = element_get(dtype, p);
		load_f32(&got, dtype, p, 1, 1);
		if (isnan(want) ? !isnan(got) : (double)got != want || !signbit(got) != !signbit(want))
			test_fail(__FILE__, __LINE__, "%s %#x is %g, not %g", graft_dtype_name((graft_dtype)dtype), b,
			          (double)got, want);
	}
}

static const int small_floats[] = { GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f8e4m3fn, GRAFT_DTYPE_f8e4m3fnuz,
                                    GRAFT_DTYPE_f8e5m2 };
enum { N_SMALL = sizeof small_floats / sizeof *small_floats };

static uint32_t n_patterns(int dtype) { return graft_dtype_size((graft_dtype)dtype) == 1 ? 0x100 : 0x10000; }

TEST(kernel_convert_widens_every_pattern)
{
	for (int i = 0; i < N_SMALL; i++)
		check_widening(small_floats[i], n_patterns(small_floats[i]));
}

static double through(int dtype, float v)
{
	uint64_t element;
	store_f32(dtype, &element, 1, &v, 1);
	return element_get(dtype, &element);
}

static void check_narrowing(int dtype, float v)
{
	double got = through(dtype, v), want = rounded(dtype, (double)v);
	bool zero_sign = dtype == GRAFT_DTYPE_f8e4m3fnuz || !signbit(got) == !signbit(want);
	if (isnan(want) ? !isnan(got) : got != want || !zero_sign)
		test_fail(__FILE__, __LINE__, "%a as %s is %g, not %g", (double)v, graft_dtype_name((graft_dtype)dtype),
		          got, want);
}

/* Each value, and halfway to the next one, and one float32 step to either side of that. */
TEST(kernel_convert_rounds_to_nearest_even)
{
	for (int i = 0; i < N_SMALL; i++)
		for (uint32_t b = 0; b < n_patterns(small_floats[i]); b++) {
			uint16_t two = (uint16_t)b;
			uint8_t one = (uint8_t)b;
			double v = element_get(small_floats[i],
			                       n_patterns(small_floats[i]) == 0x100 ? (void *)&one : (void *)&two);
			float half = (float)(v + (v < 0 ? -0.5 : 0.5) * ulp(small_floats[i], v));
			check_narrowing(small_floats[i], (float)v);
			if (!isfinite(v))
				continue;
			check_narrowing(small_floats[i], half);
			check_narrowing(small_floats[i], nextafterf(half, INFINITY));
			check_narrowing(small_floats[i], nextafterf(half, -INFINITY));
		}
}

TEST(kernel_convert_rounds_anything)
{
	Random r = { 7 };
	for (int i = 0; i < N_SMALL; i++)
		for (int k = 0; k < 50000; k++)
			check_narrowing(small_floats[i], f32_from_bits((uint32_t)random_bits(&r)));
}

TEST(kernel_convert_keeps_nan)
{
	const uint32_t nan[] = { 0x7fc00000, 0x7f800001, 0x7fffffff, 0xff800001, 0xffc12345, 0x7f80ffff };
	for (int i = 0; i < N_SMALL; i++)
		for (size_t k = 0; k < sizeof nan / sizeof *nan; k++)
			CHECK(isnan(through(small_floats[i], f32_from_bits(nan[k]))));
}

TEST(kernel_convert_golden_patterns)
{
	CHECK_INT(f32_to_bf16(1.00390625f), 0x3f80);          /* 1 + 2^-8: a tie, 1 is even */
	CHECK_INT(f32_to_bf16(1.01171875f), 0x3f82);          /* 1 + 3 * 2^-8: a tie, 1 + 2^-6 is even */
	CHECK_INT(f32_to_bf16(FLT_MAX), 0x7f80);
	CHECK_INT(f32_to_bf16(-0.0f), 0x8000);
	CHECK_INT(f32_to_f16(65519.0f), 0x7bff);
	CHECK_INT(f32_to_f16(65520.0f), 0x7c00);
	CHECK_INT(f32_to_f16(0x1p-24f), 0x0001);
	CHECK_INT(f32_to_f16(0x1p-25f), 0x0000);              /* a tie between 0 and the least denormal */
	CHECK_INT(f32_to_f16(0x1.8p-25f), 0x0001);
	CHECK_INT(f32_to_f16(0x1.ffcp-15f), 0x0400);          /* between the greatest denormal and the least normal */
	CHECK_INT(f32_to_f8e4m3fn(464.0f), 0x7e);
	CHECK_INT(f32_to_f8e4m3fn(465.0f), 0x7f);
	CHECK_INT(f32_to_f8e4m3fn(-INFINITY), 0xff);
	CHECK_INT(f32_to_f8e4m3fnuz(-0.0f), 0x00);
	CHECK_INT(f32_to_f8e4m3fnuz(248.0f), 0x80);
	CHECK_INT(f32_to_f8e5m2(61440.0f), 0x7c);
	CHECK_INT(f32_to_f8e5m2(-57344.0f), 0xfb);
}

static void check_cast(int to, int from, double v, double want)
{
	Box *x = box_scalar(from, v), *y = box_scalar(to, 0);
	graft_attr dtype = { .given = 1, .i = to };
	run_kernel(cpu_cast, 1, BOXES(x), BOXES(y), &dtype, 1);
	if (!close_to(to, box_get(y, 0), want, 0, 0))
		test_fail(__FILE__, __LINE__, "%g of %s as %s is %g, not %g", v, graft_dtype_name((graft_dtype)from),
		          graft_dtype_name((graft_dtype)to), box_get(y, 0), want);
	box_free(x);
	box_free(y);
}

TEST(kernel_cast_to_integers)
{
	enum { f32 = GRAFT_DTYPE_f32, f64 = GRAFT_DTYPE_f64, i8 = GRAFT_DTYPE_i8, u8 = GRAFT_DTYPE_u8,
	      i64 = GRAFT_DTYPE_i64,
	       i32 = GRAFT_DTYPE_i32, i16 = GRAFT_DTYPE_i16, b = GRAFT_DTYPE_bool };
	check_cast(i32, f32, -1.9, -1);
	check_cast(i32, f32, 1.9, 1);
	check_cast(i32, f32, 3e9, INT32_MIN);
	check_cast(i32, f64, 2147483647.5, INT32_MAX);
	check_cast(i32, f64, -2147483648.5, INT32_MIN);
	check_cast(i32, f64, -3e9, INT32_MIN);
	check_cast(i32, f32, NAN, INT32_MIN);
	check_cast(i64, f32, INFINITY, -0x1p63);
	check_cast(i64, f64, -INFINITY, -0x1p63);
	check_cast(i64, f32, 0x1p62, 0x1p62);
	check_cast(u8, f32, -1, 255);
	check_cast(u8, f64, 0x1p32 + 1, 1);
	check_cast(u8, f32, NAN, 0);
	check_cast(u8, f32, 255.5, 255);
	check_cast(i8, GRAFT_DTYPE_bf16, 200, -56);
	check_cast(i8, f64, 0x1p32 + 1, 0);
	check_cast(i16, f32, -40000, 25536);
	check_cast(i16, f32, NAN, 0);
	check_cast(i8, i32, 200, -56);
	check_cast(i16, i64, 65537, 1);
	check_cast(u8, i64, -1, 255);
	check_cast(b, f32, 0.5, 1);
	check_cast(b, f32, NAN, 1);
	check_cast(b, f64, -0.0, 0);
	check_cast(b, i64, 0x1p40, 1);
	check_cast(f32, b, 1, 1);
	check_cast(f32, i64, 16777217, 16777216);
	check_cast(f64, i64, 0x1p53, 0x1p53);
	check_cast(GRAFT_DTYPE_f16, i64, 70000, INFINITY);
	check_cast(f32, f64, 1e300, INFINITY);
	check_cast(GRAFT_DTYPE_bf16, f64, 1.00390625, 1);
}

/* Every pair of dtypes, on awkward memory, against the definitions. */
TEST(kernel_cast_every_pair)
{
	Random r = { 11 };
	for (int from = 0; from < GRAFT_DTYPE_COUNT; from++)
		for (int to = 0; to < GRAFT_DTYPE_COUNT; to++) {
			Box *x = box_new(&r, from, SHAPE(3, 5, 2), (Layout)random_below(&r, LAYOUTS));
			Box *y = box_new(&r, to, SHAPE(3, 5, 2), (Layout)random_below(&r, EXPANDED));
			graft_attr dtype = { .given = 1, .i = to };
			run_kernel(cpu_cast, 2, BOXES(x), BOXES(y), &dtype, 1);
			for (int64_t i = 0; i < y->size; i++) {
				double v = box_get(x, i), want = rounded(to, v);
				if (is_integer(to))
					want = to == GRAFT_DTYPE_bool ? v != 0 : trunc(v);
				if (to == GRAFT_DTYPE_u8)
					want = (uint8_t)(int64_t)want;
				if (to == GRAFT_DTYPE_i8)
					want = (int8_t)(int64_t)want;
				if (!close_to(to, box_get(y, i), want, 0, 0))
					test_fail(__FILE__, __LINE__, "%g of %s as %s is %g, not %g", v,
					          graft_dtype_name((graft_dtype)from),
					          graft_dtype_name((graft_dtype)to), box_get(y, i), want);
			}
			box_free(x);
			box_free(y);
		}
}

TEST(kernel_exp_is_close)
{
	for (float v = -104.5f; v < 89.5f; v += 0.00390625f * 0.73f) {
		double want = exp((double)v);
		if (want > FLT_MAX)
			want = (double)INFINITY;
		if (!close_to(GRAFT_DTYPE_f32, (double)exp_f32(v), want, 1.25, 0))
			test_fail(__FILE__, __LINE__, "exp(%a) is %a, not %a", (double)v, (double)exp_f32(v), want);
	}
	CHECK(isnan(exp_f32(NAN)));
	CHECK(exp_f32(INFINITY) == INFINITY);
	CHECK(exp_f32(-INFINITY) == 0);
	CHECK(exp_f32(0) == 1);
}

/* Memory that is not aligned is read and written all the same. */
TEST(kernel_convert_unaligned)
{
	unsigned char bytes[33] = { 0 }, copy[33];
	const double v[4] = { 1, -2, 0.5, 1e300 };
	double back[4];
	memcpy(bytes + 1, v, sizeof v);
	load_f64(back, GRAFT_DTYPE_f64, bytes + 1, 1, 4);
	CHECK(memcmp(back, v, sizeof v) == 0);
	CHECK(fetch_f64(back, GRAFT_DTYPE_f64, bytes + 1, 1, 4) == back);
	memset(copy, 0, sizeof copy);
	store_f64(GRAFT_DTYPE_f64, copy + 1, 1, back, 4);
	CHECK(memcmp(copy, bytes, sizeof copy) == 0);
}
