/* kernel_norm.c - rms_norm alone and fused: rounding, accuracy, and bits that do not depend on fusing or threads. */
#include "kernel_host.h"

enum { LATE, EARLY };

static void norm(int pieces, Box *x, Box *w, Box *y, double eps, int round)
{
	graft_attr attr[2] = { { .given = 1, .f = eps }, { .given = 1, .i = round } };
	run_kernel(cpu_rms_norm, pieces, BOXES(x, w), BOXES(y), attr, 2);
}

/* mean = (1 + 49) / 2 = 25, so x * r is 0.2 and 1.4, which bf16 does not have: 0.2 rounds to 205/1024, 1.4 to 179/128.
 *          late: x * r * w, rounded once        early: from the rounded x * r
 *   0.2    0.225 = 230.4/1024 -> 230/1024       205/1024 * 1.125 = 230.625/1024 -> 231/1024
 *   1.4    1.575 = 201.6/128  -> 202/128        179/128  * 1.125 = 201.375/128  -> 201/128 */
TEST(kernel_norm_golden_rounding)
{
	Box *x = box_vector(GRAFT_DTYPE_bf16, 2, (double[]){ 1, 7 });
	Box *w = box_vector(GRAFT_DTYPE_bf16, 2, (double[]){ 1.125, 1.125 });
	Box *y = box_vector(GRAFT_DTYPE_bf16, 2, NULL);
	uint16_t got[2];
	norm(1, x, w, y, 0, LATE);
	memcpy(got, y->t.data, sizeof got);
	CHECK_INT(got[0], 0x3e66);
	CHECK_INT(got[1], 0x3fca);
	norm(1, x, w, y, 0, EARLY);
	memcpy(got, y->t.data, sizeof got);
	CHECK_INT(got[0], 0x3e67);
	CHECK_INT(got[1], 0x3fc9);
	norm(1, x, MISSING, y, 0, LATE);
	memcpy(got, y->t.data, sizeof got);
	CHECK_INT(got[0], 0x3e4d);
	CHECK_INT(got[1], 0x3fb3);
	box_free(x);
	box_free(w);
	box_free(y);
}

static long double scale_of(const Box *x, int64_t row, double eps)
{
	int64_t n = x->shape[x->t.rank - 1];
	long double sum = 0;
	for (int64_t k = 0; k < n; k++)
		sum += (long double)box_get(x, row * n + k) * (long double)box_get(x, row * n + k);
	return 1 / sqrtl(sum / n + (long double)eps);
}

static void check_norm(const Box *x, const Box *w, const Box *y, double eps, int round)
{
	int64_t n = x->shape[x->t.rank - 1];
	bool half = y->t.dtype == GRAFT_DTYPE_f16 || y->t.dtype == GRAFT_DTYPE_bf16;
	long double scale = 0;
	for (int64_t i = 0; i < y->size; i++) {
		if (i % n == 0)
			scale = scale_of(x, i / n, eps);
		double want = (double)(box_get(x, i) * scale), got = box_get(y, i);
		want = (round == EARLY ? rounded(x->t.dtype, want) : want) * (w->memory ? box_get(w, i % n) : 1);
		if (!close_to(y->t.dtype, got, want, !half ? 10 : round == EARLY ? 2.6 : 0.51, 0))
			test_fail(__FILE__, __LINE__, "%s of %lld: element %lld is %.9g, not %.9g",
			          graft_dtype_name((graft_dtype)x->t.dtype), (long long)n, (long long)i, got, want);
	}
}

TEST(kernel_norm_random)
{
	static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16, GRAFT_DTYPE_f64 };
	static const int64_t sizes[] = { 1, 2, 15, 16, 17, 31, 512, 513, 700, 1536 };
	Random r = { 21 };
	for (int k = 0; k < 80; k++) {
		int dtype = dtypes[k % 4], round = k / 4 % 2;
		int64_t shape[] = { random_below(&r, 3), 1 + random_below(&r, 3), sizes[random_below(&r, 10)] };
		Box *x = box_new(&r, dtype, 3, shape, (Layout)random_below(&r, LAYOUTS));
		Box *y = box_new(&r, dtype, 3, shape, (Layout)random_below(&r, EXPANDED));
		Box *w = box_new(&r, dtype, 1, shape + 2, (Layout)random_below(&r, LAYOUTS));
		norm(1 + k % 3, x, k % 7 ? w : MISSING, y, 1e-6, round);
		check_norm(x, k % 7 ? w : MISSING, y, 1e-6, round);
		box_free(x);
		box_free(y);
		box_free(w);
	}
}

/* One row with these values in every element but the first. */
static Box *row_of(int dtype, int64_t n, double v, double first)
{
	Box *b = box_vector(dtype, n, NULL);
	for (int64_t i = 0; i < n; i++)
		box_put(b, i, i ? v : first);
	return b;
}

static void special(int dtype, double v, double first, double eps, double want, double want_first)
{
	Box *x = row_of(dtype, 37, v, first), *y = row_of(dtype, 37, 0, 0);
	norm(1, x, MISSING, y, eps, LATE);
	CHECK(close_to(dtype, box_get(y, 0), want_first, 2, 0));
	CHECK(close_to(dtype, box_get(y, 36), want, 2, 0));
	box_free(x);
	box_free(y);
}

TEST(kernel_norm_special_values)
{
	special(GRAFT_DTYPE_f16, 60000 - 60000 % 32, 60000 - 60000 % 32, 0, 1, 1);   /* squares overflow f16 */
	special(GRAFT_DTYPE_f32, 0, 0, 1e-6, 0, 0);
	special(GRAFT_DTYPE_f32, 0, 0, 0, (double)NAN, (double)NAN);                 /* 0 * inf */
	special(GRAFT_DTYPE_f32, 1, (double)INFINITY, 1e-6, 0, (double)NAN);
	special(GRAFT_DTYPE_bf16, 1, (double)NAN, 1e-6, (double)NAN, (double)NAN);
	special(GRAFT_DTYPE_f32, 0x1p-100, 0x1p-100, 0, (double)INFINITY, (double)INFINITY);   /* squares vanish */
	special(GRAFT_DTYPE_f32, 0x1p-140, 0x1p-140, 1, 0x1p-140, 0x1p-140);
	special(GRAFT_DTYPE_f64, 0x1p-100, 0x1p-100, 0, 1, 1);
	special(GRAFT_DTYPE_f32, 0x1p100, 0x1p100, 1e-6, 0, 0);   /* squares overflow float32: x * (1 / inf) */
}

/* Views of one wider row, as the projection in front of the two norms gives them. */
static Box *view_of(Box *wide, int64_t start, int64_t n)
{
	Box *b = malloc(sizeof *b);
	if (!b)
		abort();
	*b = *wide;
	b->t.shape = b->shape, b->t.stride = b->stride;
	b->shape[1] = n;
	b->size = b->shape[0] * n;
	b->t.data = b->size ? box_at(wide, start) : NULL;
	return b;
}

static void check_fused(Random *r, int dtype, int64_t rows, int64_t n_q, int64_t n_kv, int round)
{
	Box *wide = box_new(r, dtype, SHAPE(rows, n_q + n_kv + 3), DENSE);
	Box *q = view_of(wide, 0, n_q), *kv = view_of(wide, n_q + 1, n_kv);
	Box *q_w = box_new(r, dtype, SHAPE(n_q), DENSE), *kv_w = box_new(r, dtype, SHAPE(n_kv), DENSE);
	Box *q_n = box_new(r, dtype, SHAPE(rows, n_q), DENSE), *kv_n = box_new(r, dtype, SHAPE(rows, n_kv), DENSE);
	Box *q_1 = box_new(r, dtype, SHAPE(rows, n_q), DENSE), *kv_1 = box_new(r, dtype, SHAPE(rows, n_kv), GAPS);
	graft_attr attr[3] = { { .given = 1, .f = 1e-6 }, { .given = 1, .f = 1e-5 }, { .given = 1, .i = round } };
	for (int pieces = 1; pieces < 8; pieces += 3) {
		run_kernel(cpu_fused_mla_dual_rms_norm, pieces, BOXES(q, q_w, kv, kv_w),
		           BOXES(q_n, kv_n), attr, 3);
		norm(1, q, q_w, q_1, 1e-6, round);
		norm(2, kv, kv_w, kv_1, 1e-5, round);
		CHECK(same_bits(q_n, q_1) && same_bits(kv_n, kv_1));
	}
	check_norm(q, q_w, q_n, 1e-6, round);
	check_norm(kv, kv_w, kv_n, 1e-5, round);
	free(q);
	free(kv);
	for (int i = 0; i < 7; i++)
		box_free((Box *[]){ wide, q_w, kv_w, q_n, kv_n, q_1, kv_1 }[i]);
}

TEST(kernel_norm_fused_equals_two_singles)
{
	static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16, GRAFT_DTYPE_f64 };
	Random r = { 22 };
	for (int d = 0; d < 4; d++)
		for (int round = LATE; round <= EARLY; round++) {
			check_fused(&r, dtypes[d], 3, 193, 65, round);
			check_fused(&r, dtypes[d], 2, 1, 1027, round);
			check_fused(&r, dtypes[d], 0, 16, 8, round);
			check_fused(&r, dtypes[d], 1, 512, 15, round);
		}
}

TEST(kernel_norm_refuses)
{
	Random r = { 23 };
	Host h;
	graft_attr attr[2] = { { .given = 1, .f = 1e-6 }, { .given = 1, .i = 0 } };
	Box *x = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(2, 3), DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(2, 3), DENSE);
	Box *w = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(4), DENSE), *i = box_new(&r, GRAFT_DTYPE_i32, SHAPE(2, 3), DENSE);
	Box *right = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(3), DENSE);
	host_init(&h, 1);
	CHECK_INT(fail_kernel(cpu_rms_norm, &h, BOXES(x, w), BOXES(y), attr, 2), GRAFT_E_USAGE);
	CHECK_STR(h.message, "rms_norm: the weight must have one axis of 3 elements");
	CHECK_INT(fail_kernel(cpu_rms_norm, &h, BOXES(i), BOXES(i), attr, 2), GRAFT_E_UNSUPPORTED);
	h.scratch_left = 4;
	CHECK_INT(fail_kernel(cpu_rms_norm, &h, BOXES(x, right), BOXES(y), attr, 2), GRAFT_E_NOMEM);
	for (int k = 0; k < 5; k++)
		box_free((Box *[]){ x, y, w, i, right }[k]);
}
