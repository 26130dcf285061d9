/* kernel_reduce.c - sum, mean and softmax against long double. */
#include "kernel_host.h"

static void reduce(graft_launch_fn kernel, int pieces, Box *x, Box *y, const int64_t *axes, int n, bool keepdim)
{
	graft_attr attr[3] = { { .given = axes != NULL, .n = n, .list = axes }, { .given = 1, .i = keepdim },
	                      { .given = 0 } };
	run_kernel(kernel, pieces, BOXES(x), BOXES(y), attr, 3);
}

/* Which result element i of x goes into. */
static int64_t result_of(const Box *x, const bool *gone, int64_t i)
{
	int64_t at[GRAFT_MAX_RANK], result = 0;
	box_coordinates(x, i, at);
	for (int a = 0; a < x->t.rank; a++)
		if (!gone[a])
			result = result * x->shape[a] + at[a];
	return result;
}

typedef struct Sums { long double sum, size; } Sums;   /* of x and of |x| */

static Sums *want_sums(const Box *x, const bool *gone, int64_t n)
{
	Sums *sums = calloc((size_t)n + 1, sizeof *sums);
	for (int64_t i = 0; i < x->size; i++) {
		Sums *s = &sums[result_of(x, gone, i)];
		s->sum += (long double)box_get(x, i);
		s->size += fabsl((long double)box_get(x, i));
	}
	return sums;
}

static void random_reduce(Random *r, int x_dtype, int y_dtype, bool mean)
{
	int rank = (int)random_below(r, 5), n = 0, out = 0;
	int64_t shape[4], kept[4], axes[4], count = 1;
	bool gone[4], keepdim = random_below(r, 2);
	for (int i = 0; i < rank; i++) {
		shape[i] = random_below(r, 6) ? 1 + random_below(r, 5) : random_below(r, 90);
		gone[i] = random_below(r, 2);
	}
	for (int i = rank; i-- > 0;)
		if (gone[i])
			axes[n++] = i;
	for (int i = 0; i < rank; i++) {
		gone[i] = gone[i] || n == 0;  /* no axes: all of them */
		count *= gone[i] ? shape[i] : 1;
		if (!gone[i] || keepdim)
			kept[out++] = gone[i] ? 1 : shape[i];
	}
	Box *x = box_new(r, x_dtype, rank, shape, (Layout)random_below(r, LAYOUTS));
	Box *y = box_new(r, y_dtype, out, kept, (Layout)random_below(r, EXPANDED));
	bool half = y_dtype == GRAFT_DTYPE_f16 || y_dtype == GRAFT_DTYPE_bf16;
	reduce(mean ? cpu_mean : cpu_sum, 1 + (int)random_below(r, 4), x, y, n ? axes : NULL, n, keepdim);
	Sums *sums = want_sums(x, gone, y->size);
	for (int64_t i = 0; i < y->size; i++) {
		double want = (double)(mean ? sums[i].sum / count : sums[i].sum);
		double unit = y_dtype == GRAFT_DTYPE_f64 ? 0x1p-53 : 0x1p-24;
		double slack = (double)sums[i].size / (mean ? (double)count : 1) * 8 * unit;
		if (!close_to(y_dtype, box_get(y, i), want, half ? 0.51 : 1, slack))
			test_fail(__FILE__, __LINE__, "%s to %s: result %lld is %.9g, not %.9g",
			          graft_dtype_name((graft_dtype)x_dtype),
			          graft_dtype_name((graft_dtype)y_dtype), (long long)i, box_get(y, i), want);
	}
	free(sums);
	box_free(x);
	box_free(y);
}

TEST(kernel_reduce_random)
{
	static const struct { int x, y; bool mean; } cases[] = {
		{ GRAFT_DTYPE_f32, GRAFT_DTYPE_f32, false },  { GRAFT_DTYPE_f32, GRAFT_DTYPE_f32, true },
		{ GRAFT_DTYPE_bf16, GRAFT_DTYPE_bf16, true }, { GRAFT_DTYPE_f16, GRAFT_DTYPE_f16, false },
		{ GRAFT_DTYPE_f64, GRAFT_DTYPE_f64, true },   { GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32, false },
		{ GRAFT_DTYPE_i32, GRAFT_DTYPE_i64, false },  { GRAFT_DTYPE_bool, GRAFT_DTYPE_i64, false },
		{ GRAFT_DTYPE_u8, GRAFT_DTYPE_f32, true },
	};
	Random r = { 31 };
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
		for (int k = 0; k < 30; k++)
			random_reduce(&r, cases[c].x, cases[c].y, cases[c].mean);
}

static double reduce_all(graft_launch_fn kernel, Box *x, int y_dtype)
{
	Box *y = box_scalar(y_dtype, 0);
	double got;
	reduce(kernel, 1, x, y, NULL, 0, false);
	got = box_get(y, 0);
	box_free(x);
	box_free(y);
	return got;
}

TEST(kernel_reduce_edges)
{
	Random r = { 32 };
	enum { N = 100000 };
	Box *ones = box_vector(GRAFT_DTYPE_f32, N, NULL);
	for (int64_t i = 0; i < N; i++)
		box_put(ones, i, (double)0.1f);
	CHECK(close_to(GRAFT_DTYPE_f32, reduce_all(cpu_sum, ones, GRAFT_DTYPE_f32), N * (double)0.1f, 4, 0));
	CHECK(reduce_all(cpu_sum, box_new(&r, GRAFT_DTYPE_f32, SHAPE(0, 3), DENSE), GRAFT_DTYPE_f32) == 0);
	CHECK(isnan(reduce_all(cpu_mean, box_new(&r, GRAFT_DTYPE_f32, SHAPE(0), DENSE), GRAFT_DTYPE_f32)));
	CHECK(reduce_all(cpu_sum, box_vector(GRAFT_DTYPE_f16, 3, (double[]){ 65504, 65504, -65504 }),
	                 GRAFT_DTYPE_f16) == 65504);
	CHECK(isnan(reduce_all(cpu_sum, box_vector(GRAFT_DTYPE_f32, 2, (double[]){ INFINITY, -INFINITY }),
	                       GRAFT_DTYPE_f32)));
	CHECK(reduce_all(cpu_sum, box_scalar(GRAFT_DTYPE_i8, -7), GRAFT_DTYPE_i64) == -7);
	/* summed as bf16 numbers when the dtype asked for is bf16: 1 + 2^-8 is 1 there */
	CHECK(reduce_all(cpu_sum, box_vector(GRAFT_DTYPE_f32, 2, (double[]){ 1.00390625, 1.00390625 }),
	                 GRAFT_DTYPE_bf16) == 2);
}

TEST(kernel_reduce_integers_wrap)
{
	Box *x = box_vector(GRAFT_DTYPE_i64, 3, NULL), *y = box_vector(GRAFT_DTYPE_i64, 1, NULL);
	const int64_t v[3] = { INT64_MAX, 1, 5 };
	memcpy(x->t.data, v, sizeof v);
	reduce(cpu_sum, 1, x, y, (const int64_t[]){ 0 }, 1, true);
	CHECK_INT(box_integer(y, 0), INT64_MIN + 5);
	box_free(x);
	box_free(y);
}

TEST(kernel_reduce_refuses)
{
	Random r = { 33 };
	Host h;
	Box *x = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 3), DENSE), *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2), DENSE);
	graft_attr attr[3] = { { .given = 1, .n = 1, .list = (const int64_t[]){ 0 } }, { .given = 1 }, { .given = 0 } };
	host_init(&h, 1);
	CHECK_INT(fail_kernel(cpu_sum, &h, BOXES(x), BOXES(y), attr, 3), GRAFT_E_USAGE);
	attr[0].list = (const int64_t[]){ 2 };
	CHECK_INT(fail_kernel(cpu_sum, &h, BOXES(x), BOXES(y), attr, 3), GRAFT_E_USAGE);
	box_free(x);
	box_free(y);
}

/* ---- softmax ---- */

static void softmax(int pieces, Box *x, Box *y, int64_t axis)
{
	graft_attr attr[2] = { { .given = 1, .i = axis }, { .given = 0 } };
	run_kernel(cpu_softmax, pieces, BOXES(x), BOXES(y), attr, 2);
}

typedef struct Row { int64_t start, inner, n; long double max, sum; } Row;

static Row row_at(const Box *x, int64_t axis, int64_t start, int64_t inner)
{
	Row r = { start, inner, x->shape[axis], -INFINITY, 0 };
	for (int64_t k = 0; k < r.n; k++)
		r.max = fmaxl(r.max, (long double)box_get(x, r.start + k * r.inner));
	for (int64_t k = 0; k < r.n; k++)
		r.sum += expl((long double)box_get(x, r.start + k * r.inner) - r.max);
	return r;
}

static void check_softmax(const Box *x, const Box *y, int64_t axis)
{
	int dtype = y->t.dtype;
	int64_t inner = 1;
	for (int a = (int)axis + 1; a < x->t.rank; a++)
		inner *= x->shape[a];
	for (int64_t i = 0; i < y->size; i++) {
		if (i / inner % x->shape[axis])   /* not the first of its row */
			continue;
		Row r = row_at(x, axis, i, inner);
		for (int64_t k = 0; k < r.n; k++)
			CHECK(close_to(dtype, box_get(y, i + k * r.inner),   /* x - max alone costs 4 */
			               (double)(expl((long double)box_get(x, i + k * r.inner) - r.max) / r.sum),
			               dtype == GRAFT_DTYPE_f32 || dtype == GRAFT_DTYPE_f64 ? 10 : 0.51, 0));
	}
}

TEST(kernel_softmax_random)
{
	static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16, GRAFT_DTYPE_f64 };
	Random r = { 34 };
	for (int k = 0; k < 60; k++) {
		int dtype = dtypes[k % 4];
		int64_t last = 1 + random_below(&r, k % 5 ? 40 : 1300);
		int64_t shape[] = { 1 + random_below(&r, 3), random_below(&r, 5), last };
		int64_t axis = random_below(&r, 3);
		Box *x = box_new(&r, dtype, 3, shape, (Layout)random_below(&r, LAYOUTS));
		Box *y = box_new(&r, dtype, 3, shape, (Layout)random_below(&r, EXPANDED));
		softmax(1 + k % 3, x, y, axis);
		check_softmax(x, y, axis);
		box_free(x);
		box_free(y);
	}
}

TEST(kernel_softmax_special_values)
{
	const double inf = (double)INFINITY;
	Box *x = box_vector(GRAFT_DTYPE_f32, 3, (double[]){ -inf, -inf, -inf });
	Box *y = box_vector(GRAFT_DTYPE_f32, 3, NULL);
	softmax(1, x, y, 0);
	CHECK(isnan(box_get(y, 0)) && isnan(box_get(y, 2)));
	box_put(x, 1, 1e30);
	softmax(1, x, y, 0);
	CHECK(box_get(y, 0) == 0 && box_get(y, 1) == 1);
	box_put(x, 1, inf);
	softmax(1, x, y, 0);
	CHECK(box_get(y, 0) == 0 || isnan(box_get(y, 0)));
	CHECK(isnan(box_get(y, 1)));
	box_put(x, 1, (double)NAN);
	softmax(1, x, y, 0);
	CHECK(isnan(box_get(y, 0)) && isnan(box_get(y, 1)));
	box_free(x);
	box_free(y);
}

TEST(kernel_softmax_of_a_number_and_of_nothing)
{
	Random r = { 35 };
	Box *x = box_scalar(GRAFT_DTYPE_f32, 5), *y = box_scalar(GRAFT_DTYPE_f32, 0);
	softmax(1, x, y, 0);
	CHECK(box_get(y, 0) == 1);
	Box *none = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 0), DENSE);
	Box *out = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 0), DENSE);
	softmax(1, none, out, 1);
	for (int i = 0; i < 4; i++)
		box_free((Box *[]){ x, y, none, out }[i]);
}
